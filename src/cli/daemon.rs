//! Asks the daemon on this node, on its admin socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::error::CliError;

/// What is to be judged.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Question<'a> {
    pub(super) image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_account: Option<&'a str>,
}

/// The daemon's verdict.
pub(super) fn ask_daemon(socket: &Path, question: &Question<'_>) -> Result<Value, CliError> {
    exchange(socket, "evaluate", question)
}

/// What the daemon knows and does.
pub(super) fn status(socket: &Path) -> Result<Value, CliError> {
    exchange(socket, "status", &())
}

fn exchange(socket: &Path, _verb: &str, _question: &impl Serialize) -> Result<Value, CliError> {
    let unreachable = |cause| CliError::Unreachable { socket: socket.to_owned(), cause };
    UnixStream::connect(socket).map_err(unreachable)?;
    Err(unreachable(io::Error::from(io::ErrorKind::Unsupported)))
}
