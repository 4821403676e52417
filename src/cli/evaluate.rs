//! `evaluate`: the verdict on an image, by files or by the daemon.

use std::io;
use std::time::SystemTime;

use clap::Args;
use serde_json::Value;

use super::Context;
use super::attestations::{Occurrences, runtime};
use super::error::{CliError, Outcome};
use super::keeper::Trusted;
use super::output::{Answer, fields, table};
use super::remote::Store;
use super::rules::Rules;
use super::{daemon, policy};
use crate::attestation::Evidence;
use crate::decision::{Case, Known, Ladder, Looks, Reason, Subject, SubjectError, Verdict};
use crate::gate::admin::{AdminAsk, AskedPod};
use crate::image::{Digest, DigestKind, Workload};
use crate::policy::{Rulebook, Scope};

#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// The image, with or without tag and digest
    #[arg(value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    rules: Rules,
    /// Judge by the policy that the store has for this project, and by the attestors that it has, where no flag names
    /// a folder of them
    #[arg(long, requires = "store", conflicts_with = "policy")]
    project: Option<String>,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    occurrences: Occurrences,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    pod: Pod,
    #[command(flatten)]
    digests: Digests,
    /// Judge as of this time, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<SystemTime>,
    /// Tell how the verdict comes about: each step, each attestor, each signature that is looked at
    #[arg(long)]
    explain: bool,
    /// Exit 1 also for what is allowed in dry run only
    #[arg(long)]
    strict: bool,
    /// Judge by files even where no flag names one
    #[arg(long)]
    offline: bool,
}

fn time(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text)
        .map_err(|_| "expected RFC 3339 in UTC, such as 2026-01-31T12:00:00Z".into())
}

/// What is known of the pod; rules that depend on what is left out are held to agree.
#[derive(Debug, Args)]
struct Pod {
    /// Cluster as LOCATION.NAME [default: the configured one]
    #[arg(long)]
    cluster: Option<String>,
    /// Namespace of the pod
    #[arg(long)]
    namespace: Option<String>,
    /// Service account of the pod: its name, or NAMESPACE:NAME
    #[arg(long, value_name = "ACCOUNT")]
    service_account: Option<String>,
    /// Mesh identity of the pod: spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT
    #[arg(long, value_name = "IDENTITY")]
    mesh_identity: Option<String>,
    /// The pod carries the label image-policy.k8s.io/break-glass: "true"
    #[arg(long)]
    break_glass_label: bool,
}

/// What leads to the same bytes as the image's own digest.
#[derive(Debug, Args)]
struct Digests {
    /// Digest of the image's index, where the image is named by its manifest or by tag
    #[arg(long, value_name = "DIGEST")]
    index: Option<Digest>,
    /// Digest of its manifest for the node's platform, where it is named by its index or by tag
    #[arg(long, value_name = "DIGEST")]
    manifest: Option<Digest>,
    /// Digest of its config, which the deny list may name
    #[arg(long, value_name = "DIGEST")]
    config_digest: Option<Digest>,
}

impl Evaluate {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let pod = self.pod.asked()?;
        let subject = self.subject()?;
        let by_files = self.offline
            || self.rules.is_given()
            || self.trusted.is_given()
            || self.occurrences.is_given()
            || self.store.is_given()
            || self.digests.is_given()
            || self.now.is_some();
        let value = if by_files {
            self.judge(&subject.in_workload(workload(pod, context)), context)?
        } else {
            let ask = AdminAsk::Evaluate { image: self.image.clone(), pod, explain: self.explain };
            daemon::evaluate(&context.defaults.admin_socket(), &ask)?
        };
        context.answer(outcome(&value, self.strict), &value, || {
            if self.explain { explained(&value) } else { verdict_table(&value) }
        })
    }

    fn subject(&self) -> Result<Subject, CliError> {
        let text = || self.image.chars().take(200).collect();
        let subject =
            Subject::named(&self.image).map_err(|cause| CliError::Subject { text: text(), cause })?;
        let subject = subject.with_config(self.digests.config_digest);
        let digests = self.digests.of_the_image(&subject);
        if digests.is_empty() {
            return Ok(subject);
        }
        subject.with_digests(&digests).map_err(|cause| match cause {
            SubjectError::Contradiction { pinned, .. } => CliError::MalformedCommand(format!(
                "the image names {pinned}, which is neither that of --index nor that of --manifest"
            )),
            cause => CliError::Subject { text: text(), cause },
        })
    }

    fn rulebook(&self, context: &Context) -> Result<Rulebook, CliError> {
        let policy = match (&self.project, self.store.documents()?) {
            (Some(project), Some(store)) => {
                Some(policy::stored(&store, project, self.rules.options(context))?)
            }
            _ => None,
        };
        self.rules.read(policy, context)
    }

    /// Attestors and occurrences are read only where a rule or a check asks for them.
    fn judge(&self, subject: &Subject, context: &Context) -> Result<Value, CliError> {
        let now = self.now.unwrap_or_else(SystemTime::now);
        let rulebook = match self.rulebook(context) {
            Ok(rulebook) => rulebook,
            Err(
                error @ (CliError::MalformedCommand(_) | CliError::NotApplied { .. } | CliError::Remote(_)),
            ) => return Err(error),
            Err(error) => return value(Ladder::undecided(without_policy(subject, &error)), self.explain),
        };
        let case = Case::new(subject, &rulebook, now);
        let mut looks = Looks::default();
        let mut found = Vec::new();
        let asked = case.asks();
        if !asked.is_empty() {
            let dsse_types = &context.defaults.settings.dsse_types;
            let names = rulebook.attestors();
            let attestors = self.trusted.read_some(names, self.project.is_some(), &self.store, context)?;
            let key_ring = rulebook.narrow(&attestors.key_ring(dsse_types));
            let server = self.store.server()?;
            let filed = match &server {
                Some(_) => Vec::new(),
                None => self.occurrences.read(context)?.into_iter().map(|file| file.occurrence).collect(),
            };
            for &digest in asked {
                let held = match &server {
                    Some(server) => runtime()?.block_on(server.filed(&key_ring, digest))?,
                    None => Vec::new(),
                };
                let occurrences = filed.iter().chain(&held);
                found.push(Evidence::gather_watched(digest, occurrences, &key_ring, None, &mut looks));
            }
        }
        let known: Vec<_> = found.iter().map(Known::wholly).collect();
        let verdict = case.judge(&known);
        value(Ladder::new(&case, verdict, &looks), self.explain)
    }
}

fn value(ladder: Ladder, explain: bool) -> Result<Value, CliError> {
    let value = if explain { serde_json::to_value(ladder) } else { serde_json::to_value(ladder.verdict) };
    value.map_err(|error| io::Error::other(error).into())
}

impl Pod {
    fn asked(&self) -> Result<AskedPod, CliError> {
        let mut namespace = self.namespace.clone();
        let service_account = match &self.service_account {
            None => None,
            Some(text) => Some(match text.split_once(':') {
                None => text.clone(),
                Some((of, account)) if namespace.as_deref().is_none_or(|namespace| namespace == of) => {
                    namespace = Some(of.to_owned());
                    account.to_owned()
                }
                Some((of, _)) => {
                    let named = namespace.unwrap_or_default();
                    let what = format!(
                        "service account `{text}` is of namespace `{of}`, and --namespace is `{named}`"
                    );
                    return Err(CliError::MalformedCommand(what));
                }
            }),
        };
        let (cluster, mesh_identity) = (self.cluster.clone(), self.mesh_identity.clone());
        let account = service_account.as_ref().map(|account| {
            let namespace = namespace.as_deref().unwrap_or("unknown");
            format!("{namespace}:{account}")
        });
        for (flag, scope, key) in [
            ("cluster", Scope::Cluster, &cluster),
            ("namespace", Scope::Namespace, &namespace),
            ("service-account", Scope::ServiceAccount, &account),
            ("mesh-identity", Scope::MeshIdentity, &mesh_identity),
        ] {
            if let Some(key) = key.as_deref().filter(|key| !scope.takes(key)) {
                let what = format!("--{flag}: `{key}` matches no rule: expected {}", scope.form());
                return Err(CliError::MalformedCommand(what));
            }
        }
        Ok(AskedPod {
            cluster,
            namespace,
            service_account,
            mesh_identity,
            break_glass: self.break_glass_label,
        })
    }
}

fn workload(pod: AskedPod, context: &Context) -> Workload {
    let AskedPod { cluster, namespace, service_account, mesh_identity, break_glass } = pod;
    let cluster = cluster.or_else(|| context.defaults.settings.cluster.clone());
    Workload { cluster, namespace, service_account, mesh_identity, break_glass }
}

impl Digests {
    fn is_given(&self) -> bool {
        [self.index, self.manifest, self.config_digest].iter().any(Option::is_some)
    }

    /// The digest in the image's text is one of the two that are named here, or the one that is not.
    fn of_the_image(&self, subject: &Subject) -> Vec<(Digest, DigestKind)> {
        let pinned = subject.digest();
        let (index, manifest) = match (self.index, self.manifest) {
            (None, Some(manifest)) => (pinned.filter(|pinned| *pinned != manifest), Some(manifest)),
            (Some(index), None) => (Some(index), pinned.filter(|pinned| *pinned != index)),
            both => both,
        };
        let index = index.map(|digest| (digest, DigestKind::Index));
        let manifest = manifest.map(|digest| (digest, DigestKind::Manifest));
        index.into_iter().chain(manifest).collect()
    }
}

fn without_policy(subject: &Subject, error: &CliError) -> Verdict {
    let (reason, remedy) = match error {
        CliError::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
            (Reason::PolicyMissing, "Write it there, or name another file by its flag")
        }
        CliError::Policy { .. } => {
            (Reason::PolicyUnreadable, "Mend the policy: `binauthctl policy check` says whether it is valid")
        }
        _ => (Reason::PolicyUnreadable, "Mend the file, or name another by its flag"),
    };
    Verdict::refused(subject.image(), subject.digest(), reason, &crate::chain(error), remedy)
}

/// What is neither an allowance nor a refusal is undecided, whoever said it.
fn outcome(verdict: &Value, strict: bool) -> Outcome {
    let decision = |field| verdict.get(field).and_then(Value::as_str);
    match (decision("verdict"), decision("would")) {
        (Some("ALLOW"), Some("DENY" | "CANNOT_DECIDE")) if strict => Outcome::Failed,
        (Some("ALLOW"), _) => Outcome::Fine,
        (Some("DENY"), _) => Outcome::Failed,
        _ => Outcome::Undecided,
    }
}

fn verdict_table(verdict: &Value) -> String {
    let of = |field| text(verdict, field);
    let by = match of("verdict") == of("would") {
        true => None,
        false if verdict.get("breakGlass").is_some() => Some("break-glass"),
        false => Some("dry run"),
    };
    let would = by.map(|by| format!(" ({by}: would be {})", of("would"))).unwrap_or_default();
    let head = fields(&[
        ("verdict", of("verdict") + &would),
        ("reason", of("reason")),
        ("rule", of("rule")),
        ("image", of("image")),
        ("digest", of("digest")),
        ("message", of("message")),
        ("remedy", of("remedy")),
        ("policy", of("policyVersion")),
        ("platform policy", of("platformPolicyVersion")),
    ]);
    let head = head + &checks_table(verdict);
    let attestors = verdict.get("attestors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if attestors.is_empty() {
        return head;
    }
    let row = |attestor: &Value| {
        let key = text(attestor, "keyId");
        // Not the digest that the image was asked for by, where another one leads to the same bytes.
        let by_another = attestor.get("digest").is_some_and(|digest| Some(digest) != verdict.get("digest"));
        let why = match key.as_str() {
            "" => text(attestor, "detail"),
            _ if by_another => format!("{key}, for {}", text(attestor, "digest")),
            _ => key,
        };
        vec![text(attestor, "name"), text(attestor, "reason"), why]
    };
    let rows = attestors.iter().map(row).collect();
    format!("{head}\n{}", table(&["ATTESTOR", "STATE", "KEY OR CAUSE"], rows))
}

fn checks_table(verdict: &Value) -> String {
    let checks = list(verdict, "checks");
    if checks.is_empty() {
        return String::new();
    }
    let row = |check: &Value| {
        ["place", "type", "verdict", "reason", "explanation"].map(|field| text(check, field)).to_vec()
    };
    let rows = checks.iter().map(row).collect();
    format!("\n{}", table(&["CHECK", "TYPE", "VERDICT", "REASON", "EXPLANATION"], rows))
}

/// The ladder, one step a line and below each the signatures that were looked at.
fn explained(value: &Value) -> String {
    let mut lines = String::new();
    for (number, step) in list(value, "ladder").iter().enumerate() {
        let reason = Some(text(step, "reason")).filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(" [{reason}]")).unwrap_or_default();
        let (name, outcome) = (text(step, "step"), text(step, "outcome").to_lowercase());
        lines += &format!("{:>2}. {name}: {outcome}{reason}: {}\n", number + 1, text(step, "detail"));
        for look in list(step, "signatures") {
            let counts =
                if look.get("counts") == Some(&Value::Bool(true)) { "counts" } else { "does not count" };
            let reason = Some(text(look, "reason")).filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(" [{reason}]")).unwrap_or_default();
            let key = Some(text(look, "keyId")).filter(|key| !key.is_empty());
            let key = key.map(|key| format!(", key {key}")).unwrap_or_default();
            let occurrence = Some(text(look, "occurrence")).filter(|name| !name.is_empty());
            let occurrence = occurrence.unwrap_or_else(|| "an occurrence without a name".to_owned());
            lines += &format!("      {occurrence}{key}: {counts}{reason}: {}\n", text(look, "detail"));
        }
    }
    format!("{lines}\n{}", verdict_table(value))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}
