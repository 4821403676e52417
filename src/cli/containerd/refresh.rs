//! `containerd refresh`

use clap::Args;
use serde::Serialize;

use super::Which;
use super::changes::{Changes, Shown, show};
use crate::cli::Context;
use crate::cli::error::{CliError, Outcome};
use crate::cli::output::{Answer, warn};
use crate::cli::write;
use crate::containerd::wiring::{Record, refreshed};

#[derive(Debug, Args)]
pub(in crate::cli) struct Refresh {
    #[command(flatten)]
    which: Which,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    enabled: bool,
    replaced: Vec<Shown>,
    restart_needed: bool,
}

impl Refresh {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let places = self.which.places();
        let _lock = write::lock_ahead(&places.folder)?;
        let record = Record::read(&places.record())?.filter(|record| record.enabled);
        let Some(record) = record else {
            let report = Report { enabled: false, replaced: Vec::new(), restart_needed: false };
            return context.answer(Outcome::Fine, &report, || "containerd is not wired\n".to_owned());
        };
        let installed = self.which.installed(context).map_err(|error| {
            warn(&format!("base runtime specs stay as they are: {}", crate::chain(&error)));
        });
        let found = refreshed(&record, installed.ok().as_ref(), &places, context.gate_socket().as_deref())?;
        let report =
            Report { enabled: true, replaced: show(&found.changes), restart_needed: found.wants_restart };
        let mut changes = Changes::default();
        if let Err(error) = found.changes.iter().try_for_each(|change| changes.add(change)) {
            return Err(changes.roll_back_for(error));
        }
        if let Some(record) = found.record {
            let text = record.text().map_err(std::io::Error::other)?;
            write::replace(&places.record(), text.as_bytes())?;
        }
        context.answer(Outcome::Fine, &report, || report.text())
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.replaced {
            text.push_str(&format!("{}: replaced\n", one.file.display()));
        }
        if self.replaced.is_empty() {
            text.push_str("everything is of this version\n");
        }
        if self.restart_needed {
            text.push_str("restart containerd: it reads base runtime specs when it starts\n");
        }
        text
    }
}
