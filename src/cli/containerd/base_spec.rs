//! `containerd base-spec`: the base runtime spec with the create hook, by itself.

use std::io;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::attestations::runtime;
use crate::cli::error::{CliError, Outcome};
use crate::cli::output::{Answer, fields};
use crate::cli::{files, write};
use crate::containerd::base_spec::{self, BaseSpecError, MAX_BYTES};
use crate::containerd::wiring::default_spec;
use crate::containerd::{Containerd, CreateHook};

#[derive(Debug, Args)]
pub(in crate::cli) struct BaseSpec {
    /// The base runtime spec that the handlers have already
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Where to write it; replaced in one step [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// The hook's program
    #[arg(long, value_name = "PATH", default_value = CreateHook::PATH)]
    hook: String,
    /// Let containers start for which the daemon gives no answer
    #[arg(long)]
    observe: bool,
    /// How long the hook asks a daemon that gives no answer
    #[arg(long, value_name = "SECONDS", default_value_t = CreateHook::WAIT,
          value_parser = clap::value_parser!(u16).range(..=i64::from(CreateHook::MAX_WAIT)))]
    wait: u16,
    /// What `ctr oci spec` of this containerd printed [default: it is run]
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    defaults: Option<PathBuf>,
    /// The `ctr` to run: it must be of the version of containerd
    #[arg(long, value_name = "PROGRAM", default_value = "ctr", conflicts_with_all = ["from", "defaults"])]
    ctr: PathBuf,
    /// containerd's version [default: the one that answers on its socket is asked]
    #[arg(long, value_name = "VERSION", conflicts_with = "from")]
    containerd_version: Option<String>,
    /// containerd's socket [default: the configured one]
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["from", "containerd_version"])]
    address: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: PathBuf,
    hook: String,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_for: Option<String>,
}

impl BaseSpec {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        if !self.hook.starts_with('/') || !CreateHook::is_run_by(&self.hook) {
            return Err(CliError::MalformedCommand(format!(
                "`{}` cannot be the hook: it is named by an absolute path that ends in `{}`, by which it is found again",
                self.hook,
                CreateHook::PROGRAM
            )));
        }
        let (spec, made_for, from) = match &self.from {
            Some(path) => self.existing(path.clone())?,
            None => self.defaults(context)?,
        };
        let hook = CreateHook {
            observe: self.observe,
            wait: self.wait,
            socket: context.gate_socket(),
            made_for,
            ..CreateHook::new(&self.hook)
        };
        let merged = base_spec::merge(&spec, &hook).map_err(|cause| CliError::BaseSpec { from, cause })?;
        let Some(to) = self.to else {
            return Ok(Answer { text: merged, outcome: Outcome::Fine });
        };
        write::replace(&to, merged.as_bytes())?;
        let mode = if hook.observe { "observe" } else { "enforce" };
        let report = Report { file: to, hook: hook.path, mode, made_for: hook.made_for };
        context.answer(Outcome::Fine, &report, || {
            fields(&[
                ("base runtime spec", report.file.display().to_string()),
                ("hook", report.hook.clone()),
                ("mode", report.mode.to_owned()),
                ("made for containerd", report.made_for.clone().unwrap_or_default()),
            ])
        })
    }

    /// A spec of somebody's own, or one written before: whose defaults are in it, it says itself.
    fn existing(&self, path: PathBuf) -> Result<(String, Option<String>, String), CliError> {
        let from = format!("`{}`", path.display());
        let refused = |cause| CliError::BaseSpec { from: from.clone(), cause };
        let spec = read(path)?;
        let found = match base_spec::hooks(&spec) {
            // What cannot be understood is about to be replaced.
            Err(BaseSpecError::Hook { .. }) => Vec::new(),
            found => found.map_err(refused)?,
        };
        let made_for = found.into_iter().find_map(|hook| hook.made_for);
        Ok((spec, made_for, from))
    }

    /// What the running containerd starts from, and its version.
    fn defaults(&self, context: &Context) -> Result<(String, Option<String>, String), CliError> {
        let version = match &self.containerd_version {
            Some(version) => version.clone(),
            None => self.running(context)?,
        };
        let (spec, from) = match &self.defaults {
            Some(path) => {
                let from = format!("`{}`", path.display());
                let spec = base_spec::defaults(&read(path.clone())?);
                (spec.map_err(|cause| CliError::BaseSpec { from: from.clone(), cause })?, from)
            }
            None => {
                let from = format!("of `{} oci spec`", self.ctr.display());
                (default_spec(&self.ctr, &version)?, from)
            }
        };
        Ok((spec, Some(version), from))
    }

    fn running(&self, context: &Context) -> Result<String, CliError> {
        let address = self.address.as_ref().unwrap_or(&context.defaults.settings.containerd.address);
        runtime()?
            .block_on(async { Containerd::new(address).version().await })
            .map_err(CliError::ContainerdVersion)
    }
}

fn read(path: PathBuf) -> Result<String, CliError> {
    let text =
        files::read(&path, MAX_BYTES).and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    text.map_err(|cause| CliError::Read { what: "base runtime spec", path, cause })
}
