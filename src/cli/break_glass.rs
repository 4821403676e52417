//! `break-glass`: grants that let images run although the policy refuses them: signed, put in place, listed, revoked.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Context;
use super::attestations::runtime;
use super::daemon;
use super::error::{CliError, Outcome};
use super::output::{self, Answer, fields, table};
use super::sign::SigningKey;
use super::status::{list, text};
use super::{files, policy_bundle, write};
use crate::attestation::Algorithm;
use crate::config::lock;
use crate::config::trust::Trust;
use crate::document;
use crate::image::Digest;
use crate::policy::break_glass::{
    GRANT, GrantDocument, MAX_BYTES, Phase, REVOCATION, RevocationDocument, Word,
};
use crate::policy::{BreakGlassError, Seal, SealKey, Serial};
use crate::signing::Signer;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Sign a grant: these digests may run in these namespaces, until then, for this reason
    ///
    /// Needs no node and no network. The nodes must have the public key among `[break_glass] keys`; carry the file
    /// there, and run `break-glass apply` or put it into their folder of grants.
    Grant(Box<Grant>),
    /// Check a grant or a revocation by this node's keys and put it into its folder
    Apply(Apply),
    /// Revoke grants on this node, at once and for good; with --to, sign that for many nodes
    ///
    /// For root; the daemon need not run. A serial that was never seen here is refused when it comes. With --to nothing
    /// changes on this node: the file does it wherever it is put into the folder of grants.
    Revoke(Box<Revoke>),
    /// List the grants of this node, how each stands and how often it was used, and what is revoked
    List,
}

#[derive(Debug, Args)]
pub(super) struct Grant {
    /// What may run: the digest of an index, of a platform manifest or of a config; again for more. A pull knows that
    /// of index or manifest alone
    #[arg(long, value_name = "DIGEST", required = true)]
    digest: Vec<Digest>,
    /// Where it may, again for more
    #[arg(long, value_name = "NAMESPACE", required_unless_present = "any_namespace")]
    namespace: Vec<String>,
    /// It may anywhere
    #[arg(long, conflicts_with = "namespace")]
    any_namespace: bool,
    /// Why: everybody will read it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Where more is said
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// Who grants it, for people
    #[arg(long, value_name = "WHO")]
    issuer: Option<String>,
    /// When it ends: a duration from its beginning, such as 4h, or a time of RFC 3339
    #[arg(long, value_name = "WHEN")]
    expires: String,
    /// When it begins, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// What tells it from every other grant [default: made up]
    #[arg(long, value_name = "SERIAL")]
    serial: Option<Serial>,
    /// The cluster that it holds in, as LOCATION.NAME, again for more [default: any]
    #[arg(long, value_name = "CLUSTER")]
    cluster: Vec<String>,
    /// The node that it holds on, again for more [default: any]
    #[arg(long, value_name = "NODE")]
    node: Vec<String>,
    #[command(flatten)]
    key: SigningKey,
    /// Where it is written to
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The grant or revocation
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The serials
    #[arg(value_name = "SERIAL", required = true)]
    serials: Vec<Serial>,
    /// Why, for people
    #[arg(long, value_name = "TEXT", requires = "to")]
    reason: Option<String>,
    #[command(flatten)]
    key: SigningKey,
    /// Sign a revocation and write it there
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Grant(verb) => verb.run(context),
            Self::Apply(verb) => verb.run(context),
            Self::Revoke(verb) => verb.run(context),
            Self::List => listed(context),
        }
    }
}

impl Grant {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let now = SystemTime::now();
        let (begins, expires) = self.times(now)?;
        let max = context.defaults.settings.break_glass.max_duration;
        if expires.duration_since(begins).is_ok_and(|span| span > max) {
            let max = humantime::format_duration(max);
            output::warn(&format!(
                "nodes where `max_duration` is {max}, as here, refuse a grant for so long"
            ));
        }
        let serial = self.serial.map_or_else(|| made_up(now), Ok)?;
        let document = GrantDocument {
            version: GrantDocument::VERSION,
            serial: serial.to_string(),
            issued: rfc3339(now.min(begins)),
            not_before: Some(rfc3339(begins)),
            expires: rfc3339(expires),
            digests: self.digest.iter().map(ToString::to_string).collect(),
            namespaces: self.namespace,
            any_namespace: self.any_namespace,
            reason: self.reason,
            ticket: self.ticket,
            issuer: self.issuer,
            clusters: self.cluster,
            nodes: self.node,
        };
        let key_id = sign(&self.key, &GRANT, &document.to_bytes()?, &self.to)?;
        let value = json!({"file": self.to, "grant": document, "keyId": key_id});
        context.answer(Outcome::Fine, &value, || {
            let to = self.to.display();
            format!("grant {serial}, until {}, is in {to}\n", document.expires)
        })
    }

    fn times(&self, now: SystemTime) -> Result<(SystemTime, SystemTime), CliError> {
        let time = |flag: &str, text: &str| {
            document::writable_time(text).ok_or_else(|| {
                CliError::MalformedCommand(format!("--{flag}: `{text}` is not a time of RFC 3339"))
            })
        };
        let begins = self.not_before.as_deref().map_or(Ok(now), |text| time("not-before", text))?;
        let expires = match humantime::parse_duration(&self.expires) {
            Ok(span) => {
                let end = begins.checked_add(span).filter(|end| *end < end_of_time());
                end.ok_or_else(|| CliError::MalformedCommand("--expires is too late".into()))?
            }
            Err(_) => time("expires", &self.expires)?,
        };
        if expires <= now {
            return Err(CliError::MalformedCommand("--expires is past already".into()));
        }
        Ok((begins, expires))
    }
}

/// The end of the year 9999: what RFC 3339 can write.
fn end_of_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800)
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The day, for people, and 64 bits that nobody else has.
fn made_up(now: SystemTime) -> Result<Serial, BreakGlassError> {
    let day: String = rfc3339(now).chars().take(10).collect();
    let random = RandomState::new().hash_one(now);
    format!("{day}-{random:016x}").parse()
}

/// Writes the envelope of `payload`; the id of the key that signed it.
fn sign(key: &SigningKey, seal: &'static Seal, payload: &[u8], to: &Path) -> Result<String, CliError> {
    let (id, signature) = runtime()?.block_on(async {
        let signer = key.open().await?;
        let usual = |algorithm: &&Algorithm| {
            algorithm.kind().usual_algorithm() == Some(**algorithm) && signer.signs_with(**algorithm)
        };
        let algorithm = *Algorithm::ALL.iter().find(usual).ok_or_else(|| {
            let origin = signer.origin();
            CliError::MalformedCommand(format!("{origin} is of a kind that no {} has", seal.key))
        })?;
        let signature = signer.sign(algorithm, &seal.signed(payload)).await?;
        let id = match &signer {
            Signer::File(key) => key.id().to_string(),
            // A hint is all that it is.
            other => other.usual_id().unwrap_or_default(),
        };
        Ok::<_, CliError>((id, signature))
    })?;
    write::replace(to, seal.assemble(payload, &[(id.clone(), signature)]).as_bytes())?;
    Ok(id)
}

/// The keys that were named, or those that are configured.
pub(super) fn keys(named: &[PathBuf], context: &Context) -> Result<Vec<SealKey>, CliError> {
    let configured = &context.defaults.settings.break_glass.keys;
    let paths = if named.is_empty() { configured } else { named };
    paths.iter().map(|path| policy_bundle::key(path, &GRANT)).collect()
}

/// What a file says, by the word of one of `keys`.
pub(super) fn read(path: &Path, keys: &[SealKey]) -> Result<Word, CliError> {
    let bytes = files::read(path, MAX_BYTES + 1).map_err(|cause| CliError::Read {
        what: "break-glass grant",
        path: path.to_owned(),
        cause,
    })?;
    Word::verify(&bytes, keys).map_err(|cause| refused(path, &cause))
}

pub(super) fn refused(path: &Path, cause: &BreakGlassError) -> CliError {
    CliError::NotApplied { path: path.to_owned(), cause: cause.to_string() }
}

impl Apply {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let config = &context.defaults.settings.break_glass;
        let (name, told) = match read(&self.file, &keys(&[], context)?)? {
            Word::Grant(grant) => {
                grant.within(config.max_duration).map_err(|cause| refused(&self.file, &cause))?;
                if grant.phase(SystemTime::now()) == Phase::Expired {
                    let cause = format!("it expired at {}", rfc3339(grant.expires()));
                    return Err(CliError::NotApplied { path: self.file, cause });
                }
                let (serial, until) = (grant.serial().to_string(), rfc3339(grant.expires()));
                (serial.clone(), format!("grant {serial}, until {until}"))
            }
            Word::Revocation(revocation) => {
                let serials: Vec<_> = revocation.serials.iter().map(Serial::as_str).collect();
                let name = format!("revocation-{}", rfc3339(revocation.issued).replace(':', ""));
                (name, format!("a revocation of {}", serials.join(", ")))
            }
        };
        let bytes = files::read(&self.file, MAX_BYTES).map_err(|cause| CliError::Read {
            what: "break-glass grant",
            path: self.file.clone(),
            cause,
        })?;
        write::ensure_folder(&config.grants)?;
        let to = config.grants.join(format!("{name}.json"));
        write::replace(&to, &bytes)?;
        context.answer(Outcome::Fine, &json!({"file": to}), || {
            format!("{told}, is in {}; `binauthctl break-glass list` says how it stands\n", to.display())
        })
    }
}

impl Revoke {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let now = SystemTime::now();
        if let Some(to) = &self.to {
            let document = RevocationDocument::new(&self.serials, self.reason, now);
            let key_id = sign(&self.key, &REVOCATION, &document.to_bytes()?, to)?;
            let value = json!({"file": to, "revocation": document, "keyId": key_id});
            return context.answer(Outcome::Fine, &value, || {
                format!("a revocation of {} is in {}\n", document.serials.join(", "), to.display())
            });
        }
        match daemon::revoke(&context.defaults.admin_socket(), &self.serials) {
            Err(CliError::Unreachable { .. }) => offline(context, &self.serials, now)?,
            Err(CliError::Daemon { message, .. }) => return Err(CliError::NotRevoked(message)),
            answer => drop(answer?),
        }
        context.answer(Outcome::Fine, &json!({"revoked": self.serials}), || {
            self.serials.iter().map(|serial| format!("revoked for good on this node: {serial}\n")).collect()
        })
    }
}

fn offline(context: &Context, serials: &[Serial], now: SystemTime) -> Result<(), CliError> {
    let state_dir = &context.defaults.settings.state_dir;
    let _lock = lock::claim(state_dir)?;
    let mut trust = Trust::open(state_dir);
    let mut known = trust.serials().clone();
    let not_revoked = |why: String| CliError::NotRevoked(why);
    for serial in serials {
        known.revoke(serial, now).map_err(|error| not_revoked(error.to_string()))?;
    }
    trust.keep_serials(&known, now).map_err(|error| not_revoked(error.to_string()))
}

fn listed(context: &Context) -> Result<Answer, CliError> {
    let status = daemon::status(&context.defaults.admin_socket())?;
    let none = json!({"podLabel": false, "grants": [], "revoked": []});
    let glass = status.get("breakGlass").cloned().unwrap_or(none);
    context.answer(Outcome::Fine, &glass, || grants_table(&glass))
}

fn grants_table(glass: &Value) -> String {
    let row = |grant: &Value| {
        let words = |pointer: &str| list(grant, pointer).iter().map(|one| text(one, "")).collect::<Vec<_>>();
        let (namespaces, problem) = (words("/namespaces").join(", "), text(grant, "/problem"));
        let is_read = grant.pointer("/serial").is_some();
        let of = |pointer: &str| if is_read { text(grant, pointer) } else { "-".to_owned() };
        let file =
            Path::new(&text(grant, "/path")).file_name().unwrap_or_default().to_string_lossy().into_owned();
        vec![
            of("/serial"),
            text(grant, "/state").replace('-', " "),
            of("/expires"),
            if is_read && namespaces.is_empty() { "any".to_owned() } else { namespaces },
            words("/digests").join(", "),
            of("/uses"),
            file,
            if problem.is_empty() { text(grant, "/reason") } else { problem },
        ]
    };
    let headings = ["SERIAL", "STATE", "UNTIL", "NAMESPACES", "DIGESTS", "USES", "FILE", "REASON OR PROBLEM"];
    let grants = table(&headings, list(glass, "/grants").iter().map(row).collect());
    let label = if text(glass, "/podLabel") == "true" {
        "counts: whoever may label a pod breaks the glass"
    } else {
        ""
    };
    let revoked = list(glass, "/revoked").iter().map(|one| vec![text(one, "/serial"), text(one, "/time")]);
    let revoked: Vec<_> = revoked.collect();
    let revoked = if revoked.is_empty() {
        String::new()
    } else {
        format!("\n{}", table(&["REVOKED", "SINCE"], revoked))
    };
    format!("{}{grants}{revoked}", fields(&[("pod label", label.to_owned())]))
}
