//! `containerd enable`

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::changes::{Changes, Shown, Undisturbed, missing, show, text};
use super::restart::{back, restart};
use super::{Restarting, Which, ready};
use crate::cli::Context;
use crate::cli::error::{CliError, Outcome};
use crate::cli::output::{Answer, plain};
use crate::cli::owner::not_roots_alone;
use crate::cli::write;
use crate::containerd::wiring::{Change, Kind, Made, Mode, Order, Places, Plan, PlanError, Record};
use crate::containerd::{Installed, Stamp, run};

#[derive(Debug, Args)]
pub(in crate::cli) struct Enable {
    #[command(flatten)]
    mode: Modes,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on where a digest of the floor would have been blocked, the daemon does not answer, or containerd's file says
    /// that it is generated
    #[arg(long)]
    force: bool,
    /// Leave settings alone that lead kubelet's pulls around the verifier: creation judges alone then
    #[arg(long)]
    keep_pull_settings: bool,
    /// The pause image, by digest, that containerd is told to use [default: the configured one, by the digest it has on this
    /// node]
    #[arg(long, value_name = "IMAGE@DIGEST")]
    pause: Option<String>,
    #[command(flatten)]
    restarting: Restarting,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Modes {
    /// A gate that gets no answer lets through, and leaves a record
    #[arg(long)]
    observe: bool,
    /// A gate that gets no answer refuses
    #[arg(long)]
    enforce: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    mode: Mode,
    containerd: String,
    changed: bool,
    changes: Vec<Shown>,
    /// containerd's file as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<std::path::PathBuf>,
    /// What of the last 24 hours would have been blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_block: Option<Vec<ready::Blocked>>,
    /// Why it had better not be done yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<String>,
    notes: Vec<String>,
    /// Whether containerd has to be restarted for it.
    restart_needed: bool,
}

impl Enable {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let mode = if self.mode.observe { Mode::Observe } else { Mode::Enforce };
        let installed = self.which.installed(context)?;
        let places = self.which.places();
        let _lock = (!self.dry_run).then(|| write::lock_ahead(&places.folder)).transpose()?;
        let before = Record::read(&places.record())?;
        let unit = self.restarting.unit(before.as_ref());
        let plan = Plan::new(&installed, before.as_ref(), &places)?;
        let order = Order {
            mode,
            pause: ready::pause(context, &installed, plan.pause(), self.pause.as_deref())?,
            pull_settings: !self.keep_pull_settings,
            unit: unit.clone(),
            socket: context.gate_socket(),
            force: self.force,
        };
        let made = plan.make(&order)?;
        let verifiers = made.record.verifier.as_deref().and_then(Path::parent);
        for folder in [Some(places.folder.as_path()), verifiers].into_iter().flatten() {
            if let Some(why) = not_roots_alone(folder) {
                return Err(PlanError::NotRootsAlone { folder: folder.to_owned(), why }.into());
            }
        }
        let shown = show(&made.changes);
        let mut report = Report {
            mode,
            containerd: installed.version.clone(),
            changed: false,
            changes: shown,
            copy: made.record.root.copy.clone(),
            would_block: None,
            against: None,
            notes: made.notes.clone(),
            restart_needed: false,
        };
        if mode == Mode::Enforce {
            let ready = ready::to_enforce(context)?;
            let against = ready.against();
            report.would_block = Some(ready.blocked);
            report.notes.extend(ready.notes);
            report.against = against.filter(|_| !self.force);
        }
        let outcome = match &report.against {
            Some(_) if !self.dry_run => Outcome::Failed,
            _ => Outcome::Fine,
        };
        report.changed = !self.dry_run && outcome == Outcome::Fine;
        if report.changed {
            self.write(context, &installed, &places, before.as_ref(), &made)?;
            report.restart_needed = !self.restarting.restart && is_unread(context, &made.record);
        }
        context.answer(outcome, &report, || report.text(&unit))
    }

    fn write(
        &self,
        context: &Context,
        installed: &Installed,
        places: &Places,
        before: Option<&Record>,
        made: &Made,
    ) -> Result<(), CliError> {
        let mut record = made.record.clone();
        record.folders = before.map(|record| record.folders.clone()).unwrap_or_default();
        let all = made.changes.iter().map(|change| change.path.clone()).chain([places.record()]);
        for folder in all.flat_map(|path| missing(&path)) {
            if !record.folders.contains(&folder) {
                record.folders.push(folder);
            }
        }
        let text = record.text().map_err(std::io::Error::other)?;
        let told = Change { path: places.record(), after: Some(text.into_bytes()), kind: Kind::Ours };
        let mut changes = Changes::default();
        let _undisturbed = Undisturbed::begin();
        // Whatever happens from here on, what was begun is known.
        let mut go = || -> Result<(), CliError> {
            changes.add(&told)?;
            // The verifier counts from the moment it is there: the rest must hold first.
            let (verifier, rest): (Vec<_>, Vec<_>) =
                made.changes.iter().partition(|change| in_bin_dir(change, &record));
            rest.into_iter().try_for_each(|change| changes.add(change))?;
            made.holds(installed)?;
            verifier.into_iter().try_for_each(|change| changes.add(change))
        };
        if let Err(error) = go() {
            return Err(changes.roll_back_for(error));
        }
        if self.restarting.restart
            && let Err(error) = restart(context, &record.unit, Some(&record))
        {
            let error = changes.roll_back_for(error);
            back(context, &record.unit);
            return Err(error);
        }
        Ok(())
    }
}

/// Whether the containerd that runs has started before what it is to read was as it is.
fn is_unread(context: &Context, record: &Record) -> bool {
    let Some(run) = run(&context.defaults.settings.containerd.address) else { return false };
    let specs = record.specs.iter().map(|spec| &spec.path);
    let mut all = specs.chain(&record.drop_in).chain([&record.root.path]);
    all.any(|path| {
        Stamp::of(path).and_then(|stamp| stamp.changed()).is_some_and(|changed| changed > run.started)
    })
}

fn in_bin_dir(change: &Change, record: &Record) -> bool {
    let dir = record.verifier.as_ref().and_then(|verifier| verifier.parent());
    dir.is_some() && change.path.parent() == dir
}

impl Report {
    fn text(&self, unit: &str) -> String {
        let mut said = text(&self.changes);
        for note in &self.notes {
            said.push_str(&format!("note: {}\n", plain(note)));
        }
        if let Some(blocked) = &self.would_block {
            said.push_str(&ready::text(blocked));
        }
        if let Some(against) = &self.against {
            said.push_str(&format!("against it: {}\n", plain(against)));
        }
        if !self.changed {
            said.push_str("nothing was changed\n");
            return said;
        }
        let mode = self.mode;
        if self.changes.is_empty() {
            said.push_str(&format!("containerd {} is wired already, to {mode}\n", self.containerd));
        } else {
            said.push_str(&format!("containerd {} is wired, to {mode}\n", self.containerd));
        }
        if let Some(copy) = &self.copy {
            said.push_str(&format!("its configuration as it was: `{}`\n", copy.display()));
        }
        if self.restart_needed {
            said.push_str(&format!("restart containerd for it to count: systemctl restart {unit}\n"));
        }
        said
    }
}
