//! `policy`: checks, import and export of policy documents.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::IgnoredAny;

use super::Context;
use super::attestations::runtime;
use super::documents::{self, Documents};
use super::error::{CliError, Outcome};
use super::files::{self, Attestors, Place};
use super::keeper::{self, Folder};
use super::output::{self, Answer, Format as Output, fields, table};
use super::policy_bundle::{Show, Sign};
use super::policy_import::Import;
use super::pushed::{Fetch, Push};
use super::remote::Store;
use super::rules;
use crate::attestation::{AttestorName, KeyRing};
use crate::document::{self, Format, UniqueMap, Version};
use crate::policy::lint::{self, Lint};
use crate::policy::{
    AllowlistPattern, Exception, ExceptionState, Options, PlatformPolicy, Policy, exceptions,
};

/// What is only looked at may be of any kind.
const ANY: Options = Options { allow_multiple_rule_maps: true };

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check that a policy, or a platform policy, is valid and that every attestor it names can be satisfied
    ///
    /// Warns of what is valid and probably not meant: patterns, rules, keys and checks that let in more than
    /// they look as if they did. Attestors are not checked where their folder cannot be read and no flag
    /// names it. With --store they are those that it has, and with --project so is the policy.
    Check(Check),
    /// Check a policy and put it where the daemon reads it, byte for byte
    ///
    /// With --store it becomes the policy of a project there, if that still is the one that `etag` in the file names, as
    /// `export` gives it. A file without it replaces whatever is there. A store is not what nodes obey: give them files,
    /// or a signed bundle.
    ///
    /// Not for platform policies and lists: put those in place by rename.
    Import(Import),
    /// Print the policy in its canonical form: fields in the order of the API, nothing that is blank
    ///
    /// YAML, or JSON with -o json. What is imported and exported again is the same, byte for byte.
    Export(Export),
    /// Put a signed bundle where nodes fetch it: at a binauth-store
    ///
    /// Refuses a bundle that is not signed by one of the bundle keys that are known here, that has expired, or whose
    /// version is not higher than that of the bundle that is there.
    Push(Push),
    /// Get the signed bundle of a project from a binauth-store
    Fetch(Fetch),
    /// List what the allowlist exempts: who answers for each entry, where more is said, and when it ends
    Exceptions(Exceptions),
    /// Put policy, attestors and lists into one signed bundle
    ///
    /// Every document is checked first, and that every attestor the policy names can be satisfied. To sign with a
    /// key that is elsewhere: write the bytes with --pae, sign them (SHA-256 with ECDSA in ASN.1 DER, or RSA PKCS#1
    /// v1.5; ML-DSA-65), and run the same again with --signature-file.
    #[command(disable_version_flag = true)]
    Sign(Box<Sign>),
    /// Tell what a bundle holds, and whether it is signed by a bundle key
    Show(Show),
}

/// A policy: of a file, or of a project at a store.
#[derive(Debug, Args)]
struct Which {
    /// The policy [default: the configured one]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The project whose policy the store has
    #[arg(long, requires = "store", conflicts_with = "file")]
    project: Option<String>,
    #[command(flatten)]
    store: Store,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    which: Which,
    /// The same as FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "project"])]
    policy: Option<PathBuf>,
    #[command(flatten)]
    attestors: Folder,
    /// Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)
    #[arg(long)]
    allow_multiple_rule_maps: bool,
    /// Exit 1 also for warnings
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
pub(super) struct Exceptions {
    #[command(flatten)]
    which: Which,
    /// Exit 1 where an entry is over
    #[arg(long)]
    strict: bool,
}

/// An exception of a policy.
#[derive(Debug, Serialize)]
pub(super) struct Excepted {
    place: String,
    pub(super) pattern: AllowlistPattern,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ends: Option<String>,
    pub(super) state: ExceptionState,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(flatten)]
    place: Place,
    /// `policy` or `platform policy`.
    kind: &'static str,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcement_mode: Option<&'static str>,
    /// Beside the default rule; of a platform policy its check sets.
    rules: usize,
    patterns: usize,
    attestors: Vec<&'a AttestorName>,
    attestors_checked: bool,
    problems: Vec<String>,
    warnings: Vec<Warning>,
}

#[derive(Serialize)]
pub(super) struct Warning {
    pub(super) code: &'static str,
    pub(super) place: String,
    pub(super) message: String,
}

impl From<Lint> for Warning {
    fn from(lint: Lint) -> Self {
        Self { code: lint.code.as_str(), place: lint.place, message: lint.message }
    }
}

/// What a file turned out to hold.
enum Found {
    Policy(Policy),
    Platform(PlatformPolicy),
}

impl Found {
    fn attestors(&self) -> Vec<&AttestorName> {
        match self {
            Self::Policy(policy) => policy.attestors().collect(),
            Self::Platform(platform) => platform.attestors().collect(),
        }
    }
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Check(verb) => verb.run(context),
            Self::Import(verb) => verb.run(context),
            Self::Export(verb) => verb.run(context),
            Self::Exceptions(verb) => verb.run(context),
            Self::Push(verb) => verb.run(context),
            Self::Fetch(verb) => verb.run(context),
            Self::Sign(verb) => verb.run(context),
            Self::Show(verb) => verb.run(context),
        }
    }
}

pub(super) fn options(allow_multiple_rule_maps: bool, context: &Context) -> Options {
    let configured = context.defaults.options();
    Options { allow_multiple_rule_maps: allow_multiple_rule_maps || configured.allow_multiple_rule_maps }
}

/// A platform policy is known by its own field; all else is held to be a policy.
fn read(path: &Path, options: Options) -> Result<Found, CliError> {
    let bytes = files::document(path, "policy")?;
    let fields = document::parse::<UniqueMap<IgnoredAny>>(&bytes, Format::of(path));
    let is_platform =
        |(field, _): &(String, IgnoredAny)| matches!(field.as_str(), "gkePolicy" | "gke_policy");
    if fields.is_ok_and(|fields| fields.0.iter().any(is_platform)) {
        return rules::platform_policy(path).map(Found::Platform);
    }
    files::policy(path, options).map(Found::Policy)
}

impl Check {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let (place, read) = self.read(options(self.allow_multiple_rule_maps, context), context)?;
        let (found, mut problems) = match read {
            Ok(found) => (Some(found), Vec::new()),
            Err(CliError::Policy { cause, .. }) => (None, vec![cause.to_string()]),
            Err(CliError::Document { cause, .. }) => (None, vec![cause]),
            Err(error) => return Err(error),
        };
        let attestors = self.known_attestors(found.as_ref(), context)?;
        let key_ring = attestors.as_ref().map(|known| known.key_ring(&context.defaults.settings.dsse_types));
        let named = found.as_ref().map(Found::attestors).unwrap_or_default();
        if let Some(key_ring) = &key_ring {
            problems.extend(named.iter().filter_map(|name| Some(key_ring.hindrance(name)?.to_string())));
        }
        let warnings = found.as_ref().map(|found| warnings(found, key_ring.as_ref())).unwrap_or_default();
        let mut report = Report {
            place,
            kind: "policy",
            valid: problems.is_empty(),
            version: None,
            evaluation_mode: None,
            enforcement_mode: None,
            rules: 0,
            patterns: 0,
            attestors: named,
            attestors_checked: attestors.is_some(),
            problems,
            warnings,
        };
        match &found {
            Some(Found::Policy(policy)) => {
                let rule = policy.default_rule();
                report.version = Some(policy.version());
                report.evaluation_mode = Some(rule.evaluation.as_str());
                report.enforcement_mode = Some(rule.enforcement.as_str());
                report.rules = policy.rules().count() - 1;
                report.patterns = policy.allowlist().len();
            }
            Some(Found::Platform(platform)) => {
                report.kind = "platform policy";
                report.version = Some(platform.version());
                report.enforcement_mode = Some(platform.enforcement().as_str());
                report.rules = platform.check_sets().len();
                report.patterns = platform.allowlist().len();
            }
            None => {}
        }
        let fine = report.valid && (report.warnings.is_empty() || !self.strict);
        let outcome = if fine { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &report, || report_table(&report))
    }

    /// The policy, or why it is none, and where it is.
    fn read(
        &self,
        options: Options,
        context: &Context,
    ) -> Result<(Place, Result<Found, CliError>), CliError> {
        if let (Some(project), Some(store)) = (&self.which.project, self.which.store.documents()?) {
            let read = stored(&store, project, options).map(Found::Policy);
            return Ok((Place::Store(store.location()), read));
        }
        let file = self.which.file.as_ref().or(self.policy.as_ref()).unwrap_or(&context.defaults.policy);
        Ok((Place::File(file.clone()), read(file, options)))
    }

    /// The attestors to hold the policy against. A folder that nobody named need not be there: a policy
    /// is also checked where it is written.
    fn known_attestors(
        &self,
        found: Option<&Found>,
        context: &Context,
    ) -> Result<Option<Attestors>, CliError> {
        let store = self.which.store.documents()?;
        if store.is_some() && self.attestors.is_given() {
            let what = "--attestors names a folder and --store a server: leave out the one that is not meant";
            return Err(CliError::MalformedCommand(what.to_owned()));
        }
        let Some(found) = found.filter(|found| !found.attestors().is_empty()) else { return Ok(None) };
        if let Some(store) = store {
            return keeper::some_of(&store, found.attestors().into_iter()).map(Some);
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

/// The exceptions of a policy.
pub(super) fn excepted(path: &Path) -> Result<Vec<Excepted>, CliError> {
    Ok(of_policy(&files::policy(path, ANY)?))
}

fn of_policy(policy: &Policy) -> Vec<Excepted> {
    exceptions(policy, SystemTime::now()).map(Excepted::from).collect()
}

/// The policy that a store has for a project.
pub(super) fn stored(store: &Documents, project: &str, options: Options) -> Result<Policy, CliError> {
    let project = documents::project(project)?;
    let bytes = runtime()?.block_on(store.policy(project))?;
    Policy::parse(&bytes, Format::Json, options).map_err(|cause| CliError::Policy {
        place: Place::Store(format!("{}: projects/{project}/policy", store.location())),
        cause: Box::new(cause),
    })
}

impl Which {
    /// A policy that only another configuration takes can still be looked at.
    fn policy(&self, context: &Context) -> Result<Policy, CliError> {
        match (self.store.documents()?, &self.project, &self.file) {
            (None, _, file) => files::policy(file.as_ref().unwrap_or(&context.defaults.policy), ANY),
            (Some(_), _, Some(_)) => {
                let what = "FILE and --store both name a policy: leave out the one that is not meant";
                Err(CliError::MalformedCommand(what.to_owned()))
            }
            (Some(_), None, None) => {
                let what = "--project is missing: whose policy is meant?";
                Err(CliError::MalformedCommand(what.to_owned()))
            }
            (Some(store), Some(project), None) => stored(&store, project, ANY),
        }
    }
}

/// What of a policy on this node is valid and probably not meant.
pub(super) fn lints(context: &Context, path: &Path) -> Result<Vec<Warning>, CliError> {
    let policy = files::policy(path, options(false, context))?;
    let key_ring = files::attestors(&context.defaults.attestors)
        .map(|attestors| attestors.key_ring(&context.defaults.settings.dsse_types))
        .ok();
    Ok(warnings(&Found::Policy(policy), key_ring.as_ref()))
}

/// What is valid and probably not meant.
fn warnings(found: &Found, key_ring: Option<&KeyRing>) -> Vec<Warning> {
    let of_keys = key_ring.map(lint::lint_attestors).unwrap_or_default();
    let mut lints = match found {
        Found::Policy(policy) => {
            let default = policy.default_rule();
            let rules = policy.rules().filter(|(_, rule)| !std::ptr::eq(*rule, default));
            let mut lints = lint::lint(policy.allowlist(), SystemTime::now());
            lints.extend(lint::lint_rules(default, rules.map(|(place, rule)| (place.to_string(), rule))));
            lints
        }
        Found::Platform(platform) => lint::lint_platform(platform),
    };
    lints.extend(of_keys);
    lints.into_iter().map(Warning::from).collect()
}

impl Export {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let policy = self.which.policy(context)?;
        let format = if context.format == Output::Json { Format::Json } else { Format::Yaml };
        Ok(Answer { outcome: Outcome::Fine, text: policy.export(format) })
    }
}

impl From<Exception<'_>> for Excepted {
    fn from(exception: Exception<'_>) -> Self {
        let Exception { place, pattern, terms, state } = exception;
        Self {
            place: format!("admissionWhitelistPatterns[{place}]"),
            pattern: pattern.clone(),
            owner: terms.owner.clone(),
            ticket: terms.ticket.clone(),
            ends: terms.end(),
            state,
        }
    }
}

impl Exceptions {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let reports = of_policy(&self.which.policy(context)?);
        let is_over = reports.iter().any(|one| one.state == ExceptionState::Ended);
        let outcome = if self.strict && is_over { Outcome::Failed } else { Outcome::Fine };
        context.answer(outcome, &reports, || {
            let row = |one: &Excepted| {
                let said = [&one.owner, &one.ticket, &one.ends]
                    .map(|said| said.as_deref().unwrap_or("-").to_owned());
                let state = one.state.as_str().replace('-', " ");
                [one.pattern.to_string()].into_iter().chain(said).chain([state]).collect()
            };
            table(&["PATTERN", "OWNER", "TICKET", "ENDS", "STATE"], reports.iter().map(row).collect())
        })
    }
}

fn report_table(report: &Report<'_>) -> String {
    let version = report.version.map(ToString::to_string).unwrap_or_default();
    let modes = [report.evaluation_mode, report.enforcement_mode].into_iter().flatten();
    let names: Vec<_> = report.attestors.iter().map(ToString::to_string).collect();
    let counted = |count: usize| if report.version.is_some() { count.to_string() } else { String::new() };
    let (mode, rules) = match report.kind {
        "policy" => ("default rule", "other rules"),
        _ => ("enforcement", "check sets"),
    };
    let mut text = fields(&[
        (report.kind, report.place.to_string()),
        ("valid", if report.valid { "yes" } else { "no" }.to_owned()),
        ("version", version),
        (mode, modes.collect::<Vec<_>>().join(", ")),
        (rules, counted(report.rules)),
        ("attestors", names.join(", ")),
        ("patterns", counted(report.patterns)),
    ]);
    for problem in &report.problems {
        text += &fields(&[("problem", problem.clone())]);
    }
    if !report.warnings.is_empty() {
        let row =
            |warning: &Warning| vec![warning.code.to_owned(), warning.place.clone(), warning.message.clone()];
        text +=
            &format!("\n{}", table(&["WARNING", "WHERE", "WHAT"], report.warnings.iter().map(row).collect()));
    }
    text
}
