//! `doctor`: whether this node is asked, and refuses.
//!
//! What containerd's files come to is looked at here, as they are now; what the daemon sees, it says itself. Nothing is changed; the canary leaves
//! nothing behind.

mod canary;
mod create;
mod item;
mod knowledge;
mod node;
mod pull;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::Context;
use super::attestations::runtime;
use super::containerd::Containerd;
use super::daemon;
use super::error::{CliError, Outcome};
use super::output::{Answer, plain, table};
use crate::containerd::wiring::{Effective, Mode, Places, View};
use crate::containerd::{CreateHook, Handlers, Hooked, Installed};
use item::{Item, Items, State};

/// The names of everything that is looked at, for binauthctl-doctor(1).
pub const NAMES: &[(&str, &str)] = &[
    ("attestors", "attestors that the policy names and nobody can satisfy, and those without keys"),
    ("audit", "whether the audit trail can be written"),
    ("base-spec", "whether a base runtime spec is made for the containerd that runs"),
    ("break-glass", "grants that are in force, and the keys under which they are accepted"),
    ("canary-create", "with --canary: whether a container of the canary is refused"),
    ("canary-pull", "with --canary: whether a pull of the canary is refused (2.1 and later)"),
    ("canary-told", "with --canary: whether the daemon could be told of it, for metrics and alerts"),
    ("clock", "whether the clock was set back before what the node remembers"),
    ("config", "config.toml of the daemon: unknown keys, values of the wrong kind"),
    ("containerd", "which containerd it is, and whether it answers"),
    ("containerd-config", "whether its configuration can be read, and what it comes to"),
    ("containerd-restart", "whether it has started since its configuration was changed"),
    ("daemon", "whether the daemon answers, and whether it is of one version with this program"),
    ("documents", "documents that cannot be read: the last good ones decide"),
    ("drop-in", "files for containerd that it does not import"),
    ("evidence", "what is kept of attestations on disk"),
    ("floor", "whether the system policy holds what the node needs before it can reach anything"),
    ("folders", "owners and modes of the folders that decide"),
    ("handler", "each runtime handler: whether its containers pass the hook"),
    ("hook-program", "the program of the hook: this version's, and root's alone"),
    ("kubelet", "whether pods' service accounts are known"),
    ("metrics", "whether metrics can be read"),
    ("mode", "what no answer means to each gate, and whether they agree"),
    ("nri", "whether NRI is on, takes plugins, and listens where the daemon looks for it"),
    ("nri-plugin", "whether containerd asks the daemon by NRI"),
    ("nri-required", "whether no container is created without that (2.2 and later)"),
    ("nri-time", "whether NRI waits long enough for an answer"),
    ("nri-tolerated", "whether a pod can opt out by an annotation"),
    ("nri-validate", "whether it asks once more at the end (VALIDATE, 2.2 and later)"),
    ("pause", "whether the pause image, which no gate sees, is pinned by digest"),
    ("policy", "whether there is a policy in force"),
    ("policy-lint", "what of it is valid and probably not meant: see policy check"),
    ("policy-mode", "whether it refuses anything"),
    ("pull-path", "settings that lead kubelet's pulls around every verifier"),
    ("registry-path", "whether hosts.toml files are found by pulls that reach a verifier"),
    ("sandbox", "whether everything that the daemon needs can be reached from its sandbox"),
    ("sockets", "owners and modes of the sockets and of the folders above them"),
    ("sources", "where attestations come from: reachable, and how old what they gave is"),
    ("unpack-config", "whether pulls that reach a verifier can unpack for the snapshotter"),
    ("units", "whether systemd starts all of it at the next boot"),
    ("verifier-folder", "the folder of verifiers: there, and root's alone"),
    ("verifier-order", "whether containerd executes ours: max_verifiers"),
    ("verifier-plugin", "whether containerd's plugin of verifiers is loaded"),
    ("verifier-program", "our verifier in that folder: there, this version's, and root's alone"),
    ("verifier-required", "whether containerd starts without the plugins that ask"),
    ("verifier-strangers", "what else is executed at every pull"),
    ("verifier-time", "whether a verifier is given enough time"),
];

#[derive(Debug, Args)]
#[command(after_long_help = explained())]
pub(super) struct Doctor {
    #[command(flatten)]
    containerd: Containerd,
    /// The folder of the gate programs of this version
    #[arg(long, value_name = "DIR", default_value = Places::PROGRAMS)]
    programs: PathBuf,
    /// Also show the real runtime an image that nobody may let through, at the pull and at creation, and see what becomes of it
    #[arg(long)]
    canary: bool,
    /// Show only what is not fine
    #[arg(long)]
    problems: bool,
}

/// What each item is about.
fn explained() -> String {
    let lines = NAMES.iter().map(|(name, about)| format!("  {name}: {about}"));
    ["What is looked at:".to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

/// Everything that is looked at.
struct Patient<'a> {
    context: &'a Context,
    programs: PathBuf,
    /// What the daemon says of itself, or why it does not.
    status: Result<Value, CliError>,
    installed: Result<Installed, String>,
    /// What its files come to, or why that is not known.
    effective: Result<Effective, String>,
    /// Why CRI tells nothing of its handlers.
    handlers_problem: Option<String>,
    /// Each handler as CRI has it, where it answers; else as its files say.
    hooks: Vec<(String, Hooked)>,
    /// What no answer means to the pull gate; none where no verifier of ours is there.
    pull_mode: Option<Mode>,
}

#[derive(Serialize)]
struct Report {
    state: State,
    items: Vec<Item>,
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let settings = &context.defaults.settings;
        let installed = self.containerd.find(context).map_err(|error| crate::chain(&error));
        let effective = installed.as_ref().map_err(Clone::clone).and_then(|installed| {
            let view = View::read(installed, &installed.file).map_err(|error| crate::chain(&error))?;
            Ok(Effective::of(&view))
        });
        let handlers = runtime()?.block_on(Handlers::ask(&settings.containerd.address));
        let (handlers, handlers_problem) = match handlers {
            Ok(handlers) => (handlers.all, None),
            Err(error) => {
                let by_files = effective.as_ref().map(|effective| effective.handlers.clone());
                (by_files.unwrap_or_default(), Some(crate::chain(&error)))
            }
        };
        let pull_mode = effective.as_ref().ok().and_then(|effective| {
            let folder = &effective.verifier.as_ref()?.folder;
            let mut modes = [Mode::Enforce, Mode::Observe].into_iter();
            modes.find(|mode| folder.join(mode.verifier()).exists())
        });
        let patient = Patient {
            context,
            programs: self.programs,
            status: daemon::status(&settings.admin_socket()),
            installed,
            effective,
            handlers_problem,
            hooks: handlers.iter().map(|handler| (handler.name.clone(), handler.hooked())).collect(),
            pull_mode,
        };
        let mut items = Items::default();
        node::look(&patient, &mut items);
        pull::look(&patient, &mut items);
        create::look(&patient, &mut items);
        knowledge::look(&patient, &mut items);
        if self.canary {
            canary::show(&patient, &mut items)?;
        }
        let state = items.0.iter().map(|item| item.state).max().unwrap_or(State::Fine);
        let outcome = match (&patient.status, state) {
            (Err(CliError::Unreachable { .. }), _) => Outcome::Unreachable,
            (_, State::Broken) => Outcome::Failed,
            _ => Outcome::Fine,
        };
        if self.problems {
            items.0.retain(|item| item.state > State::Fine);
        }
        let report = Report { state, items: items.0 };
        context.answer(outcome, &report, || report.text())
    }
}

impl Patient<'_> {
    /// The daemon's value at a JSON pointer; null where it does not answer.
    fn at(&self, pointer: &str) -> &Value {
        self.status.as_ref().ok().and_then(|status| status.pointer(pointer)).unwrap_or(&Value::Null)
    }

    fn text(&self, pointer: &str) -> String {
        self.status.as_ref().map(|status| super::status::text(status, pointer)).unwrap_or_default()
    }

    /// The alarms of a kind.
    fn alarms(&self, kind: &str) -> Vec<String> {
        let alarms = self.at("/alarmsByKind").get(kind).and_then(Value::as_array);
        alarms.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The hooks that are there.
    fn hooked(&self) -> impl Iterator<Item = &CreateHook> {
        let hooks = self.hooks.iter();
        hooks.filter_map(|(_, hooked)| if let Hooked::Yes(hook) = hooked { Some(hook) } else { None })
    }

    /// Whether something refuses when nobody answers.
    fn enforces(&self) -> bool {
        self.pull_mode == Some(Mode::Enforce) || self.hooked().any(|hook| !hook.observe)
    }
}

impl Report {
    fn text(&self) -> String {
        let rows = self.items.iter().map(|item| {
            let mut found = plain(&item.found);
            if let Some(fix) = &item.fix {
                found = format!("{found}. {}", plain(fix));
            }
            vec![item.state.as_str().to_owned(), item.name.to_owned(), found]
        });
        let count = |state: State| self.items.iter().filter(|item| item.state == state).count();
        let counts = format!(
            "{} broken, {} warnings, {} fine\n",
            count(State::Broken),
            count(State::Warning),
            count(State::Fine)
        );
        table(&["STATE", "WHAT", "FOUND"], rows.collect()) + &counts
    }
}
