//! `evaluate`: the verdict on an image, by files or by the daemon.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Context;
use super::attestations::Occurrences;
use super::attestors::Folder;
use super::daemon;
use super::error::{CliError, Outcome};
use super::files;
use super::output::{Answer, fields, table};
use crate::attestation::Evidence;
use crate::decision::{Case, Known, Reason, Subject, Verdict};

#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// The image, with or without tag and digest
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Policy to judge by
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    attestors: Folder,
    #[command(flatten)]
    occurrences: Occurrences,
    /// Cluster as LOCATION.NAME; no effect yet, as policies with cluster rules are refused
    #[arg(long)]
    cluster: Option<String>,
    /// Namespace of the pod; no effect yet, as policies with namespace rules are refused
    #[arg(long)]
    namespace: Option<String>,
    /// Service account of the pod; no effect yet, as policies with such rules are refused
    #[arg(long)]
    service_account: Option<String>,
    /// Exit 1 also for what only dry run lets through
    #[arg(long)]
    strict: bool,
    /// Judge by files even where no flag names one
    #[arg(long)]
    offline: bool,
}

impl Evaluate {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let subject = Subject::named(&self.image)
            .map_err(|cause| CliError::Subject { text: self.image.chars().take(200).collect(), cause })?;
        let by_files =
            self.offline || self.policy.is_some() || self.attestors.is_given() || self.occurrences.is_given();
        if by_files {
            let verdict = self.judge(&subject, context)?;
            let value = serde_json::to_value(&verdict).map_err(io::Error::other)?;
            return context.answer(outcome(&value, self.strict), &verdict, || verdict_table(&value));
        }
        let value = daemon::evaluate(&context.defaults.admin_socket(), &self.image)?;
        context.answer(outcome(&value, self.strict), &value, || verdict_table(&value))
    }

    /// Attestors and occurrences are read only where the rule asks for them.
    fn judge(&self, subject: &Subject, context: &Context) -> Result<Verdict, CliError> {
        let path = self.policy.as_ref().unwrap_or(&context.defaults.policy);
        let policy = match files::policy(path) {
            Ok(policy) => policy,
            Err(error) => return Ok(without_policy(subject, &error)),
        };
        let case = Case::new(subject, &policy);
        let Some(digest) = case.asks() else { return Ok(case.judge(None)) };
        let key_ring = self.attestors.read(context)?.key_ring();
        let found = self.occurrences.read(context)?;
        let occurrences = found.iter().map(|file| &file.occurrence);
        let evidence = Evidence::gather(digest, occurrences, &key_ring);
        Ok(case.judge(Some(Known { evidence: &evidence, age: Duration::ZERO })))
    }
}

fn without_policy(subject: &Subject, error: &CliError) -> Verdict {
    let (reason, remedy) = match error {
        CliError::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
            (Reason::PolicyMissing, "Write a policy there, or name another with --policy")
        }
        _ => (
            Reason::PolicyUnreadable,
            "Mend the policy: `binauthctl policy check` says what is wrong with it",
        ),
    };
    Verdict::undecidable(subject.image(), subject.digest(), reason, &crate::chain(error), remedy)
}

/// What is neither an allowance nor a refusal is undecided, whoever said it.
fn outcome(verdict: &Value, strict: bool) -> Outcome {
    let decision = |field| verdict.get(field).and_then(Value::as_str);
    match (decision("verdict"), decision("would")) {
        (Some("ALLOW"), Some("DENY")) if strict => Outcome::Failed,
        (Some("ALLOW"), _) => Outcome::Fine,
        (Some("DENY"), _) => Outcome::Failed,
        _ => Outcome::Undecided,
    }
}

fn verdict_table(verdict: &Value) -> String {
    let text = |value: &Value, field: &str| match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    let of = |field| text(verdict, field);
    let dry_run = verdict.get("enforced") == Some(&Value::Bool(false)) && of("verdict") != of("would");
    let would = if dry_run { format!(" (dry run: would be {})", of("would")) } else { String::new() };
    let head = fields(&[
        ("verdict", of("verdict") + &would),
        ("reason", of("reason")),
        ("rule", of("rule")),
        ("image", of("image")),
        ("digest", of("digest")),
        ("message", of("message")),
        ("remedy", of("remedy")),
        ("policy", of("policyVersion")),
    ]);
    let attestors = verdict.get("attestors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if attestors.is_empty() {
        return head;
    }
    let row = |attestor: &Value| {
        let key = text(attestor, "keyId");
        let why = if key.is_empty() { text(attestor, "detail") } else { key };
        vec![text(attestor, "name"), text(attestor, "reason"), why]
    };
    let rows = attestors.iter().map(row).collect();
    format!("{head}\n{}", table(&["ATTESTOR", "STATE", "KEY OR CAUSE"], rows))
}
