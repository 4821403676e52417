//! `config`: checks of the daemon's configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use super::error::{CliError, Outcome};
use super::files;
use super::output::{Answer, fields};
use crate::config::Config;
use crate::config::file::MAX_BYTES;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check that a configuration is valid and that every key in it is known
    Check(Check),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration [default: that of --config]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    file: PathBuf,
    valid: bool,
    problems: Vec<String>,
    notes: Vec<String>,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let Self::Check(Check { file }) = self;
        let file = file.unwrap_or_else(|| context.defaults.config.clone());
        let bytes = files::read(&file, MAX_BYTES).map_err(|cause| CliError::Read {
            what: "configuration",
            path: file.clone(),
            cause,
        })?;
        // What only warns the daemon, so that it starts, is an error for who can still mend it.
        let (problems, notes) = match Config::parse(&file, &bytes) {
            Ok(config) => (config.warnings, config.notes),
            Err(error) => (vec![error.to_string()], Vec::new()),
        };
        let valid = problems.is_empty();
        let report = Report { file, valid, problems, notes };
        let outcome = if valid { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &report, || {
            let head = ("configuration", report.file.display().to_string());
            let state = ("valid", if report.valid { "yes" } else { "no" }.to_owned());
            let problems = report.problems.iter().map(|problem| ("problem", problem.clone()));
            let notes = report.notes.iter().map(|note| ("note", note.clone()));
            fields(&[head, state].into_iter().chain(problems).chain(notes).collect::<Vec<_>>())
        })
    }
}
