//! What the configuration names lies in a folder of our own: copies of programs, and base runtime specs.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::error::PlanError;
use super::record::Spec;
use super::{Change, Kind, Mode};
use crate::bounded;
use crate::containerd::base_spec::{self, MAX_BYTES};
use crate::containerd::{CreateHook, Installed, output};

/// How long `ctr` is waited for.
const DEADLINE: Duration = Duration::from_secs(20);
/// The largest program that is copied, in bytes.
const MAX_PROGRAM: usize = 64 * 1024 * 1024;

/// The base runtime spec that `spec` tells of.
///
/// # Errors
/// [`PlanError`] where the one it is made from cannot be had or understood.
pub(super) fn base_spec(
    spec: &Spec,
    installed: &Installed,
    mode: Mode,
    socket: Option<&str>,
    hook: &Path,
) -> Result<String, PlanError> {
    let (text, made_for, from) = match &spec.from {
        Some(path) => (read(path)?, None, format!("`{}`", path.display())),
        None => {
            let text = default_spec(&installed.ctr, &installed.version)?;
            (text, Some(installed.version.clone()), "containerd's own".to_owned())
        }
    };
    let hook = CreateHook {
        observe: mode == Mode::Observe,
        socket: socket.map(str::to_owned),
        made_for,
        ..CreateHook::new(&hook.display().to_string())
    };
    base_spec::merge(&text, &hook).map_err(|cause| PlanError::BaseSpec {
        handler: spec.handler.clone(),
        from,
        cause,
    })
}

/// What the containerd of version `wanted` starts from where a handler names no base runtime spec, by its `ctr`. It is built
/// from containerd's own tree: one of the same version prints the same defaults.
///
/// # Errors
/// [`PlanError::Ctr`], [`PlanError::BaseSpec`]
pub fn default_spec(ctr: &Path, wanted: &str) -> Result<String, PlanError> {
    let failed =
        |why: String| PlanError::Ctr { program: ctr.display().to_string(), wanted: wanted.to_owned(), why };
    let ask = |args: &[&str]| {
        let mut command = Command::new(ctr);
        output(command.args(args), MAX_BYTES, DEADLINE).map_err(|error| failed(error.to_string()))
    };
    let version = ask(&["--version"])?;
    let found = version.split_whitespace().last().unwrap_or_default();
    if found.trim_start_matches('v') != wanted.trim_start_matches('v') {
        return Err(failed(format!("it is of version {found}")));
    }
    base_spec::defaults(&ask(&["oci", "spec"])?).map_err(|cause| failed(crate::chain(&cause)))
}

/// A copy of a program, put at `to`.
///
/// # Errors
/// [`PlanError::Read`]
pub(super) fn program(from: &Path, to: &Path) -> Result<Change, PlanError> {
    let read = File::open(from).and_then(|file| bounded::bytes(file, MAX_PROGRAM));
    let bytes = read.map_err(|cause| PlanError::Read { path: from.to_owned(), cause })?;
    Ok(Change { path: to.to_owned(), after: Some(bytes), kind: Kind::Program })
}

fn read(path: &Path) -> Result<String, PlanError> {
    let read = File::open(path).and_then(|file| bounded::text(file, MAX_BYTES));
    read.map_err(|cause| PlanError::Read { path: path.to_owned(), cause })
}
