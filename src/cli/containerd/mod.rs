//! `containerd`: what containerd is told, so that it asks binauthd.

mod base_spec;
mod changes;
mod disable;
mod enable;
mod ready;
mod refresh;
mod restart;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Context;
use super::error::CliError;
use super::output::Answer;
use crate::config::Config;
use crate::containerd::wiring::{Places, Record, UNIT};
use crate::containerd::{Installed, InstalledError};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make containerd ask binauthd
    ///
    /// With --observe a gate that gets no answer from the daemon lets through, and leaves a record; with --enforce it refuses.
    /// What policy refuses is refused in both: `DRYRUN_AUDIT_LOG_ONLY` is how a policy only reports. Said again, with the same
    /// or the other mode, it begins from what was there before the first time.
    ///
    /// containerd 2.x gets a drop-in, conf.d/99-binauthd.toml beside its configuration file, which is made to import it; before
    /// 2.0 that file itself is changed, comments and order kept. Programs and base runtime specs are copied to /opt/containerd.
    /// Before anything is changed it is tried on copies: `containerd config dump` must show what is wanted, and nothing else
    /// that is new. The difference is shown, a copy of the file is kept, and what goes wrong on the way is taken back.
    ///
    /// containerd reads all that when it starts, but for the verifier, which counts from the moment it is there. With --restart
    /// it is restarted, and everything is taken back where its CRI does not answer within 30 s, or not as it should. Running
    /// containers go on.
    Enable(enable::Enable),
    /// Make containerd as it was before it was made to ask
    ///
    /// Works without the daemon and without a network. What was changed since in the same places is left, and told; base runtime
    /// specs of ours that others have copied to handlers of theirs are taken out of these, too. Where containerd would not start
    /// with what is left, or does not with --restart, everything is as it was before. A containerd that runs goes on using the
    /// hook until it is restarted, with --restart or otherwise; its copy is kept until then.
    Disable(disable::Disable),
    /// Give containerd the programs of this version, and base runtime specs of its own version
    ///
    /// What `enable` copied is replaced in one step, where it differs. The packages do this at every upgrade. Run it after an
    /// upgrade of containerd too, and restart containerd where it says so.
    Refresh(refresh::Refresh),
    /// Print or write the base runtime spec that makes every container of a runtime handler pass the create gate
    ///
    /// For nodes that `enable` is not for. With --from, everything in that spec stays, and the hook is put into it once. Without, the spec is what
    /// this containerd starts from when a handler names none, so that containers get the hook and nothing else:
    /// `ctr oci spec`, without the limits and security profiles that containerd takes out by itself. The version
    /// it was made from is kept in the hook's arguments; write it anew when containerd changes.
    ///
    /// containerd uses it for handlers whose table names it as `base_runtime_spec`, and reads it when it starts:
    /// restart it after the file has changed.
    BaseSpec(base_spec::BaseSpec),
}

/// Which containerd.
#[derive(Debug, Args)]
pub(super) struct Containerd {
    /// containerd's program [default: the one that runs, or the one on the path]
    #[arg(long = "containerd", value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// containerd's configuration file [default: the one that it was started with, or /etc/containerd/config.toml]
    #[arg(long = "containerd-config", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The same, and where our own things are.
#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    containerd: Containerd,
    /// The `ctr` of containerd's own version [default: beside containerd's program]
    #[arg(long, value_name = "PROGRAM")]
    ctr: Option<PathBuf>,
    /// The folder of what is copied
    #[arg(long, value_name = "DIR", default_value = Places::FOLDER)]
    copies: PathBuf,
    /// The folder of the gate programs
    #[arg(long, value_name = "DIR", default_value = Places::PROGRAMS)]
    programs: PathBuf,
}

/// How containerd is restarted.
#[derive(Debug, Args)]
struct Restarting {
    /// Restart containerd
    #[arg(long)]
    restart: bool,
    /// containerd's unit [default: the one that was named last, or containerd.service]
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
}

impl Restarting {
    fn unit(&self, before: Option<&Record>) -> String {
        let named = self.unit.clone().or_else(|| Some(before?.unit.clone()));
        named.unwrap_or_else(|| UNIT.to_owned())
    }
}

impl Containerd {
    pub(super) fn find(&self, context: &Context) -> Result<Installed, InstalledError> {
        let socket = &context.defaults.settings.containerd.address;
        Installed::find(socket, self.program.clone(), self.file.clone())
    }
}

impl Which {
    fn installed(&self, context: &Context) -> Result<Installed, CliError> {
        let mut installed = self.containerd.find(context)?;
        if let Some(ctr) = &self.ctr {
            installed.ctr.clone_from(ctr);
        }
        Ok(installed)
    }

    fn places(&self) -> Places {
        Places { folder: self.copies.clone(), programs: self.programs.clone() }
    }
}

impl Context {
    /// The gate socket, where the gates need to be told.
    fn gate_socket(&self) -> Option<String> {
        let socket = self.defaults.settings.gate_socket();
        let is_usual = socket == Config::default().gate_socket();
        (!is_usual).then(|| socket.display().to_string())
    }
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Enable(verb) => verb.run(context),
            Self::Disable(verb) => verb.run(context),
            Self::Refresh(verb) => verb.run(context),
            Self::BaseSpec(verb) => verb.run(context),
        }
    }
}
