//! Copies of newer programs, and base runtime specs of a newer containerd.

use std::fs;

use super::copies::{base_spec, program};
use super::error::PlanError;
use super::{Change, Kind, Places, Record};
use crate::containerd::{CreateHook, Installed};

/// What is to be written anew.
#[derive(Debug, Clone, Default)]
pub struct Refreshed {
    /// The programs and base runtime specs that are not what they should be.
    pub changes: Vec<Change>,
    /// Whether a base runtime spec is among them, which containerd reads when it starts.
    pub wants_restart: bool,
    /// The record, where it changes.
    pub record: Option<Record>,
}

/// What of that which `record` tells is not up to date. A containerd that is not there leaves base runtime specs alone.
///
/// # Errors
/// [`PlanError`] where a program or a base runtime spec cannot be read.
pub fn refreshed(
    record: &Record,
    installed: Option<&Installed>,
    places: &Places,
    socket: Option<&str>,
) -> Result<Refreshed, PlanError> {
    let mut refreshed = Refreshed::default();
    let hook = program(&places.programs.join(CreateHook::PROGRAM), &record.hook)?;
    let mut wanted = vec![hook];
    if let Some(verifier) = &record.verifier {
        wanted.push(program(&places.programs.join(Places::VERIFIER), verifier)?);
    }
    refreshed.changes.extend(wanted.into_iter().filter(differs));
    let Some(installed) = installed else { return Ok(refreshed) };
    for spec in &record.specs {
        let text = base_spec(spec, installed, record.mode, socket, &record.hook)?;
        let change = Change { path: spec.path.clone(), after: Some(text.into_bytes()), kind: Kind::Ours };
        if differs(&change) {
            refreshed.changes.push(change);
            refreshed.wants_restart = true;
        }
    }
    if record.containerd != installed.version {
        refreshed.record = Some(Record { containerd: installed.version.clone(), ..record.clone() });
    }
    Ok(refreshed)
}

fn differs(change: &Change) -> bool {
    fs::read(&change.path).ok() != change.after
}
