//! Asks the daemon on this node, on its admin socket.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::error::CliError;
use crate::gate::admin::{AdminAnswer, AdminAsk, CacheAsk, Forget, MAX_BODY};
use crate::gate::client::{self, Patience};
use crate::policy::Serial;

const PATIENCE: Patience = Patience { max_body: MAX_BODY, ..Patience::GATE };

/// The daemon's verdict on an image.
pub(super) fn evaluate(socket: &Path, question: &AdminAsk) -> Result<Value, CliError> {
    match ask(socket, question)? {
        AdminAnswer::Verdict(value) => Ok(value),
        other => Err(unexpected(other)),
    }
}

/// What the daemon knows and does.
pub(super) fn status(socket: &Path) -> Result<Value, CliError> {
    match ask(socket, &AdminAsk::Status)? {
        AdminAnswer::Status(value) => Ok(value),
        other => Err(unexpected(other)),
    }
}

/// What it has on file, or what became of that.
pub(super) fn cache(socket: &Path, question: CacheAsk) -> Result<Value, CliError> {
    match ask(socket, &AdminAsk::Cache(question))? {
        AdminAnswer::Cache(value) => Ok(value),
        other => Err(unexpected(other)),
    }
}

/// The policy bundle that it obeys, as it was signed.
pub(super) fn policy_bundle(socket: &Path) -> Result<Option<String>, CliError> {
    match ask(socket, &AdminAsk::PolicyBundle)? {
        AdminAnswer::PolicyBundle(envelope) => Ok(envelope),
        other => Err(unexpected(other)),
    }
}

/// What the daemon remembers of what it has accepted.
pub(super) fn trust(socket: &Path) -> Result<Value, CliError> {
    match ask(socket, &AdminAsk::Trust)? {
        AdminAnswer::Trust(value) => Ok(value),
        other => Err(unexpected(other)),
    }
}

/// Tells it what became of the canary.
pub(super) fn canary(socket: &Path, refused: BTreeMap<String, bool>) -> Result<(), CliError> {
    match ask(socket, &AdminAsk::Canary { refused })? {
        AdminAnswer::Canary(_) => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// Revokes break-glass grants.
pub(super) fn revoke(socket: &Path, serials: &[Serial]) -> Result<Value, CliError> {
    let serials = serials.iter().map(ToString::to_string).collect();
    match ask(socket, &AdminAsk::Revoke { serials })? {
        AdminAnswer::BreakGlass(value) => Ok(value),
        other => Err(unexpected(other)),
    }
}

/// Makes the daemon forget, and tells what it remembers then.
pub(super) fn trust_reset(socket: &Path, forget: Forget) -> Result<Value, CliError> {
    match ask(socket, &AdminAsk::TrustReset { forget })? {
        AdminAnswer::Trust(value) => Ok(value),
        other => Err(unexpected(other)),
    }
}

fn ask(socket: &Path, ask: &AdminAsk) -> Result<AdminAnswer, CliError> {
    client::exchange(socket, ask, PATIENCE)
        .map_err(|cause| CliError::Unreachable { socket: socket.to_owned(), cause })
}

fn unexpected(answer: AdminAnswer) -> CliError {
    match answer {
        AdminAnswer::Error { reason, message } => CliError::Daemon { reason, message },
        AdminAnswer::Status(_)
        | AdminAnswer::Verdict(_)
        | AdminAnswer::PolicyBundle(_)
        | AdminAnswer::BreakGlass(_)
        | AdminAnswer::Canary(_)
        | AdminAnswer::Cache(_)
        | AdminAnswer::Trust(_) => {
            CliError::Daemon { reason: "INTERNAL".into(), message: "it answered another question".into() }
        }
    }
}
