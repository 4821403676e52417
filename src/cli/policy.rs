//! `policy`: checks of the policy document.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use super::attestors::Folder;
use super::error::{CliError, Outcome};
use super::files::{self, Attestors};
use super::output::{self, Answer, fields};
use crate::attestation::AttestorName;
use crate::document::Version;
use crate::policy::Policy;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check that a policy is valid and that every attestor it requires can be satisfied
    Check(Check),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The policy [default: the configured one]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    attestors: Folder,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    file: &'a PathBuf,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcement_mode: Option<&'static str>,
    patterns: usize,
    attestors: Vec<&'a AttestorName>,
    attestors_checked: bool,
    problems: Vec<String>,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let Self::Check(verb) = self;
        verb.run(context)
    }
}

impl Check {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let file = self.file.as_ref().or(self.policy.as_ref()).unwrap_or(&context.defaults.policy);
        let (policy, mut problems) = match files::policy(file) {
            Ok(policy) => (Some(policy), Vec::new()),
            Err(CliError::Policy { cause, .. }) => (None, vec![cause.to_string()]),
            Err(error) => return Err(error),
        };
        let attestors = self.known_attestors(policy.as_ref(), context)?;
        if let (Some(policy), Some(attestors)) = (&policy, &attestors) {
            problems.extend(unsatisfiable(policy, attestors));
        }
        let rule = policy.as_ref().map(Policy::default_rule);
        let report = Report {
            file,
            valid: problems.is_empty(),
            version: policy.as_ref().map(Policy::version),
            evaluation_mode: rule.map(|rule| rule.evaluation.as_str()),
            enforcement_mode: rule.map(|rule| rule.enforcement.as_str()),
            patterns: policy.as_ref().map_or(0, |policy| policy.allowlist().len()),
            attestors: policy.iter().flat_map(Policy::attestors).collect(),
            attestors_checked: attestors.is_some(),
            problems,
        };
        let outcome = if report.valid { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &report, || report_table(&report))
    }

    /// The attestors to hold the policy against. A folder that nobody named need not be there: a policy
    /// is also checked where it is written.
    fn known_attestors(
        &self,
        policy: Option<&Policy>,
        context: &Context,
    ) -> Result<Option<Attestors>, CliError> {
        if policy.is_none_or(|policy| policy.attestors().next().is_none()) {
            return Ok(None);
        }
        match self.attestors.read(context) {
            Ok(attestors) => Ok(Some(attestors)),
            Err(error) if self.attestors.is_given() => Err(error),
            Err(error) => {
                let why = crate::chain(&error);
                output::warn(&format!("the attestors that the policy names were not checked: {why}"));
                Ok(None)
            }
        }
    }
}

/// Attestors that the policy requires and that nothing can satisfy.
fn unsatisfiable(policy: &Policy, attestors: &Attestors) -> Vec<String> {
    let key_ring = attestors.key_ring();
    policy.attestors().filter_map(|name| Some(key_ring.hindrance(name)?.to_string())).collect()
}

fn report_table(report: &Report<'_>) -> String {
    let version = report.version.map(ToString::to_string).unwrap_or_default();
    let modes = [report.evaluation_mode, report.enforcement_mode].into_iter().flatten();
    let names: Vec<_> = report.attestors.iter().map(ToString::to_string).collect();
    let counted = |count: usize| if report.version.is_some() { count.to_string() } else { String::new() };
    let mut text = fields(&[
        ("policy", report.file.display().to_string()),
        ("valid", if report.valid { "yes" } else { "no" }.to_owned()),
        ("version", version),
        ("default rule", modes.collect::<Vec<_>>().join(", ")),
        ("attestors", names.join(", ")),
        ("patterns", counted(report.patterns)),
    ]);
    for problem in &report.problems {
        text += &fields(&[("problem", problem.clone())]);
    }
    text
}
