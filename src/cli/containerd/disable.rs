//! `containerd disable`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::changes::{Changes, Shown, Undisturbed, remove_folders, show, text};
use super::restart::{back, may_use_copies, restart};
use super::{Restarting, Which};
use crate::cli::Context;
use crate::cli::error::{CliError, Outcome};
use crate::cli::output::{Answer, plain, warn};
use crate::cli::write;
use crate::containerd::wiring::{BIN_DIR, Change, Kind, Places, PlanError, Record, View, startable, undone};
use crate::containerd::{DEFAULT_FILE, Installed};

#[derive(Debug, Args)]
pub(in crate::cli) struct Disable {
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    restarting: Restarting,
    #[command(flatten)]
    which: Which,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    changed: bool,
    changes: Vec<Shown>,
    notes: Vec<String>,
    restart_needed: bool,
}

impl Disable {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let places = self.which.places();
        let _lock = (!self.dry_run).then(|| write::lock_ahead(&places.folder)).transpose()?;
        let record = Record::read(&places.record())?;
        let unit = self.restarting.unit(record.as_ref());
        // Without a containerd there is nothing that could be asked, and the files are taken back all the same.
        let installed = self.which.installed(context).map_err(|error| {
            warn(&format!("containerd is not asked: {}", crate::chain(&error)));
        });
        let installed = installed.ok();
        let root = match (&installed, &record) {
            (Some(installed), _) => installed.file.clone(),
            (None, Some(record)) => record.root.path.clone(),
            (None, None) => DEFAULT_FILE.into(),
        };
        let bin_dir = bin_dir(record.as_ref(), installed.as_ref(), &root);
        let undone = undone(record.as_ref(), &root, Some(&bin_dir), &places)?;
        // Whatever becomes of the rest: from here on nothing is refreshed that is taken away.
        let mut first: Vec<Change> = unwired(record.as_ref(), &places)?.into_iter().collect();
        first.extend(undone.programs);
        first.extend(undone.configuration);
        let mut later = undone.kept;
        // What runs may have read what is taken away.
        let restart_needed = !later.is_empty() && may_use_copies(context, &unit, &places)?;
        let keep = restart_needed && !self.restarting.restart;
        let mut report =
            Report { changed: !self.dry_run, changes: Vec::new(), notes: undone.notes, restart_needed: keep };
        if !keep {
            let copies = [places.record(), places.copy()].into_iter().filter(|path| path.exists());
            later.extend(copies.map(|path| Change { path, after: None, kind: Kind::Ours }));
        }
        let shown = first.iter().filter(|change| change.path != places.record());
        let all: Vec<_> = shown.chain(if keep { &[] } else { later.as_slice() }).cloned().collect();
        report.changes = show(&all);
        if !self.dry_run {
            let _undisturbed = Undisturbed::begin();
            let changes = unwire(&first, installed.as_ref(), &places)?;
            if restart_needed && !keep {
                let restarted = restart(context, &unit, None).and_then(|()| {
                    // Others may have copied it once more meanwhile.
                    let is_used = may_use_copies(context, &unit, &places)?;
                    if is_used { Err(CliError::StillUsed(places.folder.clone())) } else { Ok(()) }
                });
                restarted.map_err(|error| {
                    let error = changes.roll_back_for(error);
                    back(context, &unit);
                    error
                })?;
            }
            if !keep {
                let mut changes = Changes::default();
                later.iter().try_for_each(|change| changes.add(change))?;
                remove_folders(record.as_ref().map_or(&[], |record| record.folders.as_slice()));
            }
        }
        context.answer(Outcome::Fine, &report, || report.text(&unit))
    }
}

/// The record of what is wired no more, while a containerd that started before may use the copies still.
fn unwired(record: Option<&Record>, places: &Places) -> Result<Option<Change>, CliError> {
    let Some(record) = record.filter(|record| record.enabled) else { return Ok(None) };
    let text = Record { enabled: false, ..record.clone() }.text().map_err(std::io::Error::other)?;
    Ok(Some(Change { path: places.record(), after: Some(text.into_bytes()), kind: Kind::Ours }))
}

/// Where the verifier lies.
fn bin_dir(record: Option<&Record>, installed: Option<&Installed>, root: &Path) -> PathBuf {
    let recorded = record.and_then(|record| Some(record.verifier.as_ref()?.parent()?.to_owned()));
    let configured = || View::read(installed?, root).ok()?.bin_dir();
    recorded.or_else(configured).unwrap_or_else(|| BIN_DIR.into())
}

/// Takes back what containerd executes and reads, unless it would not start then, or still name what goes away.
fn unwire(first: &[Change], installed: Option<&Installed>, places: &Places) -> Result<Changes, CliError> {
    let would_start = installed.is_none_or(|installed| startable(installed, &installed.file, None).is_ok());
    let mut changes = Changes::default();
    if let Err(error) = first.iter().try_for_each(|change| changes.add(change)) {
        return Err(changes.roll_back_for(error));
    }
    match installed.map(|installed| startable(installed, &installed.file, Some(places))) {
        Some(Err(error)) if would_start || matches!(error, PlanError::StillNamed { .. }) => {
            return Err(changes.roll_back_for(error.into()));
        }
        Some(Err(error)) => warn(&format!(
            "containerd would not have started before, and does not now: {}",
            crate::chain(&error)
        )),
        Some(Ok(_)) | None => {}
    }
    Ok(changes)
}

impl Report {
    fn text(&self, unit: &str) -> String {
        let mut said = text(&self.changes);
        for note in &self.notes {
            said.push_str(&format!("note: {}\n", plain(note)));
        }
        if !self.changed {
            said.push_str("nothing was changed\n");
        } else if self.restart_needed {
            said.push_str(&format!(
                "containerd asks until it is restarted: systemctl restart {unit}\n\
                 the hook's copy is kept until then; this verb, said again afterwards, takes it away\n"
            ));
        } else {
            said.push_str("containerd does not ask binauthd\n");
        }
        said
    }
}
