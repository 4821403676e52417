//! `trust`: what this node remembers of what it has accepted, and forgetting it.
//!
//! Asks the daemon; where none runs, reads and changes the files under the lock that a daemon would hold.

use std::path::Path;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use nix::unistd::geteuid;
use serde_json::{Value, json};

use super::Context;
use super::daemon;
use super::error::{CliError, Outcome};
use super::output::{Answer, fields, table};
use super::status::{list, text};
use crate::config::lock;
use crate::config::trust::{self, Trust};
use crate::gate::admin::Forget;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Tell the highest policy bundle that was accepted, the documents kept and the latest time seen
    Show,
    /// Forget what was accepted, so that something else can be
    ///
    /// Without a flag: everything, where no copy of it can be read. For root; the daemon need not run.
    Reset(Reset),
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Reset {
    /// Forget the policy bundle and its version: any version is accepted again, and until one is, every image is
    /// refused
    #[arg(long)]
    bundle: bool,
    /// Forget the latest time seen: the clock is believed again
    #[arg(long)]
    time: bool,
    /// Forget both, and the last good versions of all documents; revoked break-glass grants stay so
    #[arg(long)]
    all: bool,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Show => {
                let report = report(context)?;
                let lost = report.pointer("/lost").is_some_and(|lost| *lost == json!(true));
                let outcome = if lost { Outcome::Failed } else { Outcome::Fine };
                context.answer(outcome, &report, || overview(&report))
            }
            Self::Reset(verb) => verb.run(context),
        }
    }
}

/// What is remembered: the daemon's word, or what lies on disk.
fn report(context: &Context) -> Result<Value, CliError> {
    match daemon::trust(&context.defaults.admin_socket()) {
        // Nobody but root could read it.
        Err(CliError::Unreachable { .. }) if geteuid().is_root() => {
            let report = trust::report(&context.defaults.settings.state_dir);
            Ok(serde_json::to_value(report).map_err(std::io::Error::other)?)
        }
        answer => answer,
    }
}

impl Reset {
    fn forget(&self) -> Forget {
        match (self.bundle, self.time, self.all) {
            (true, ..) => Forget::Bundle,
            (_, true, _) => Forget::Time,
            (.., true) => Forget::All,
            _ => Forget::Broken,
        }
    }

    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let what = self.forget();
        let before = report(context)?;
        let after = match daemon::trust_reset(&context.defaults.admin_socket(), what) {
            Err(CliError::Unreachable { .. }) => offline(&context.defaults.settings.state_dir, what)?,
            answer => answer?,
        };
        let forgotten = forgotten(&before, what);
        let value = json!({"forgotten": forgotten, "remembered": after});
        context.answer(Outcome::Fine, &value, || {
            forgotten.iter().map(|line| format!("forgotten: {line}\n")).collect()
        })
    }
}

fn offline(state_dir: &Path, what: Forget) -> Result<Value, CliError> {
    let what = match what {
        Forget::Broken => trust::Forget::Broken,
        Forget::Bundle => trust::Forget::Bundle,
        Forget::Time => trust::Forget::Time,
        Forget::All => trust::Forget::All,
    };
    let _lock = lock::claim(state_dir)?;
    Trust::open(state_dir).reset(what, SystemTime::now())?;
    Ok(serde_json::to_value(trust::report(state_dir)).map_err(std::io::Error::other)?)
}

/// What is gone, one line each.
fn forgotten(before: &Value, what: Forget) -> Vec<String> {
    let mut lines = Vec::new();
    if before.pointer("/lost").is_some_and(|lost| *lost == json!(true)) {
        lines.push(
            "everything that was accepted, none of which could be read; the broken copies are set aside as *-broken"
                .to_owned(),
        );
        return lines;
    }
    if matches!(what, Forget::Bundle | Forget::All) {
        lines.push(match text(before, "/bundle/version").as_str() {
            "" => "no policy bundle: there was none".to_owned(),
            version => format!(
                "policy bundle {version}: any version is accepted again, and until one is, a node that obeys bundles \
                 refuses every image"
            ),
        });
    }
    if matches!(what, Forget::Time | Forget::All) {
        lines.push(match text(before, "/mark").as_str() {
            "" => "no time: none was seen".to_owned(),
            mark => format!("the time {mark}: the clock is believed again"),
        });
    }
    if what == Forget::All {
        let count = list(before, "/documents").len();
        lines.push(format!(
            "the last good versions of {count} documents: one that cannot be read now has none to fall back on"
        ));
    }
    lines
}

fn overview(report: &Value) -> String {
    let of = |pointer: &str| text(report, pointer);
    let bundle = match of("/bundle/version").as_str() {
        "" => "none".to_owned(),
        version => format!("{version} ({})", of("/bundle/digest")),
    };
    let lost = match of("/lost").as_str() {
        "true" => "nothing can be read: every image is refused until `binauthctl trust reset`",
        _ => "",
    };
    let revoked = list(report, "/breakGlass/revoked").iter().map(|one| text(one, "/serial"));
    let revoked: Vec<_> = revoked.collect();
    let head = fields(&[
        ("highest bundle", bundle),
        ("latest time seen", of("/mark")),
        ("revoked grants", revoked.join(", ")),
        ("LOST", lost.to_owned()),
    ]);
    let row = |pointers: [&'static str; 4]| {
        move |value: &Value| pointers.iter().map(|pointer| text(value, pointer)).collect::<Vec<_>>()
    };
    let copies = list(report, "/copies").iter().map(row(["/path", "/state", "/generation", "/problem"]));
    let documents = list(report, "/documents").iter();
    let documents = documents.map(|one| vec![text(one, "/path"), text(one, "/version")]);
    let copies = table(&["COPY", "STATE", "GENERATION", "PROBLEM"], copies.collect());
    let documents = table(&["LAST GOOD VERSION OF", "VERSION"], documents.collect());
    format!("{head}\n{copies}\n{documents}")
}
