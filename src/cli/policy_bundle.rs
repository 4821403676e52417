//! `policy sign` and `policy show`: signed policy bundles.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, value_parser};
use serde::Serialize;

use super::Context;
use super::attestations::{self, runtime};
use super::documents;
use super::error::{CliError, Outcome};
use super::files::{self, Place};
use super::output::{Answer, fields, table};
use super::remote::Store;
use super::sign;
use super::write;
use crate::attestation::{Attestor, KeyRing};
use crate::document::{self, Version};
use crate::policy::bundle::{Contents, Payload, PayloadDocuments, SEAL, WrittenMember};
use crate::policy::sealed::MAX_KEYS;
use crate::policy::{Options, Rulebook, Seal, SealKey, Sealed};

#[derive(Debug, Args)]
pub(super) struct Sign {
    /// Whose nodes it is for: `project` of their `[policy]`
    #[arg(long, value_name = "PROJECT")]
    project: String,
    /// Higher than that of every bundle before it
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u64).range(1..))]
    version: u64,
    #[command(flatten)]
    expiry: Expiry,
    /// The policy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Check sets, obeyed beside the policy
    #[arg(long, value_name = "FILE")]
    platform_policy: Option<PathBuf>,
    /// Digests that are refused, beside those of each node's own list
    #[arg(long, value_name = "FILE")]
    deny_list: Option<PathBuf>,
    /// What the nodes need, in place of their own
    #[arg(long, value_name = "FILE")]
    system_policy: Option<PathBuf>,
    /// Folder of attestor documents: all of them
    #[arg(long, value_name = "DIR")]
    attestors: Option<PathBuf>,
    /// Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)
    #[arg(long)]
    allow_multiple_rule_maps: bool,
    #[command(flatten)]
    how: How,
    /// Where it is written to
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Expiry {
    /// From when on it is not accepted: RFC 3339, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// The same, from now on: such as 90d
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with_all = ["pae", "signature_file"])]
    expires_in: Option<Duration>,
}

#[derive(Debug, Args)]
struct How {
    /// PEM file with an EC P-256 private key, SEC1 or PKCS#8, not encrypted
    #[arg(long, visible_alias = "key", value_name = "FILE", required_unless_present_any = ["pae", "signature_file"])]
    private_key_file: Option<PathBuf>,
    /// Write the bytes to sign instead, for a key that is elsewhere
    #[arg(long, conflicts_with_all = ["private_key_file", "signature_file"])]
    pae: bool,
    /// A signature that was made elsewhere over those bytes, by all the same other flags; base64 of it is
    /// understood too. Again for more
    #[arg(long, value_name = "FILE")]
    signature_file: Vec<PathBuf>,
    /// The id of the key that each was made with, in the same order: a hint for those who check it
    #[arg(long, value_name = "ID", requires = "signature_file")]
    key_id: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The bundle
    #[arg(value_name = "FILE", required_unless_present = "project")]
    file: Option<PathBuf>,
    /// The project whose bundle the store has
    #[arg(long, requires = "store", conflicts_with = "file")]
    project: Option<String>,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    store: Store,
}

/// What a bundle is checked by.
#[derive(Debug, Args)]
pub(super) struct Keys {
    /// PEM file of a key that it may be signed with, again for more [default: the configured ones]
    #[arg(long, visible_alias = "bundle-key", value_name = "FILE", value_delimiter = ',')]
    bundle_keys: Vec<PathBuf>,
    /// Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)
    #[arg(long)]
    allow_multiple_rule_maps: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed<'a> {
    file: &'a Path,
    project: &'a str,
    version: u64,
    expires: String,
    digest: String,
    key_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    place: Place,
    /// Absent without keys to check it with.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(flatten)]
    head: Option<Head>,
    signatures: Vec<SignatureReport>,
    documents: Vec<DocumentReport>,
    problems: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    project: String,
    version: u64,
    expires: String,
    expired: bool,
    digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignatureReport {
    /// As the envelope gives it, which nobody signed.
    key_id: String,
    /// The key that it holds under.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_by: Option<String>,
}

#[derive(Serialize)]
struct DocumentReport {
    what: &'static str,
    name: String,
    version: Version,
}

impl Sign {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let now = SystemTime::now();
        let payload = self.payload(now)?;
        let bytes = payload.to_bytes();
        let options = self.options(context);
        let contents = Contents::parse(&bytes, options).and_then(|contents| {
            contents.within_time(now)?;
            Ok(contents)
        });
        let contents = contents.map_err(|cause| CliError::NotSigned(cause.to_string()))?;
        satisfiable(&contents, &context.defaults.settings.dsse_types)?;
        let signed = SEAL.signed(&bytes);
        if self.how.pae {
            write::replace(&self.to, &signed)?;
            let value = serde_json::json!({"file": self.to, "bytes": signed.len()});
            return context.answer(Outcome::Fine, &value, || {
                format!("the bytes to sign are in {}\n", self.to.display())
            });
        }
        let signatures = self.how.signatures(&signed)?;
        let envelope = SEAL.assemble(&bytes, &signatures);
        // What nodes would not read is not written.
        Sealed::parse(envelope.as_bytes(), &[&SEAL])
            .map_err(|cause| CliError::NotSigned(cause.to_string()))?;
        write::replace(&self.to, envelope.as_bytes())?;
        let value = Signed {
            file: &self.to,
            project: contents.project(),
            version: contents.version(),
            expires: contents.expires(),
            digest: contents.digest().to_string(),
            key_ids: signatures.into_iter().map(|(id, _)| id).collect(),
        };
        context.answer(Outcome::Fine, &value, || {
            let Signed { project, version, expires, .. } = &value;
            format!("version {version} of project {project}, until {expires}, is in {}\n", self.to.display())
        })
    }

    fn options(&self, context: &Context) -> Options {
        super::policy::options(self.allow_multiple_rule_maps, context)
    }

    fn payload(&self, now: SystemTime) -> Result<Payload, CliError> {
        let expires = match (&self.expiry.expires, self.expiry.expires_in) {
            (Some(time), _) => time.clone(),
            (None, span) => {
                let end = now.checked_add(span.unwrap_or_default()).filter(|end| *end < end_of_time());
                let end = end.ok_or_else(|| CliError::MalformedCommand("--expires-in is too long".into()))?;
                humantime::format_rfc3339_seconds(end).to_string()
            }
        };
        let maybe = |path: &Option<PathBuf>, what| path.as_deref().map(|path| member(path, what)).transpose();
        Ok(Payload {
            project: self.project.clone(),
            version: self.version,
            expires,
            documents: PayloadDocuments {
                policy: member(&self.policy, "policy")?,
                platform_policy: maybe(&self.platform_policy, "platform policy")?,
                deny_list: maybe(&self.deny_list, "deny list")?,
                system_policy: maybe(&self.system_policy, "system policy")?,
                attestors: match &self.attestors {
                    None => Vec::new(),
                    Some(folder) => {
                        let paths = files::attestor_paths(folder)?;
                        paths.iter().map(|path| member(path, "attestor")).collect::<Result<_, _>>()?
                    }
                },
            },
        })
    }
}

/// The end of the year 9999: what RFC 3339 can write.
fn end_of_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800)
}

fn member(path: &Path, what: &'static str) -> Result<WrittenMember, CliError> {
    let refused = |cause: &str| CliError::Document { what, path: path.to_owned(), cause: cause.to_owned() };
    let text = files::document(path, what)?;
    let text = String::from_utf8(text).map_err(|_| refused("the document is not UTF-8"))?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| refused("its name is not UTF-8"))?.to_owned();
    Ok(WrittenMember { name, text })
}

/// What asks for attestors, and those that there are.
pub(super) fn obeyed(contents: &Contents, dsse_types: &[String]) -> (Rulebook, KeyRing) {
    let attestors = contents.attestors.iter().map(|one| Attestor::clone(&one.value));
    let book = Rulebook {
        policy: Some(contents.policy.value.clone()),
        platform_policy: contents.platform_policy.as_ref().map(|one| one.value.clone()),
        ..Rulebook::default()
    };
    (book, KeyRing::accepting(attestors, dsse_types))
}

/// Nodes refuse whatever asks for an attestor that nobody can be.
fn satisfiable(contents: &Contents, dsse_types: &[String]) -> Result<(), CliError> {
    let (book, key_ring) = obeyed(contents, dsse_types);
    let mut problems: Vec<_> =
        book.attestors().filter_map(|name| Some(key_ring.hindrance(name)?.to_string())).collect();
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(CliError::NotSigned(problems.join("; "))) }
}

impl How {
    /// Each with the id of its key.
    fn signatures(&self, signed: &[u8]) -> Result<Vec<(String, Vec<u8>)>, CliError> {
        if self.key_id.len() > self.signature_file.len() {
            return Err(CliError::MalformedCommand(
                "there are more of --key-id than of --signature-file".into(),
            ));
        }
        let ids = self.key_id.iter().map(String::as_str).chain(std::iter::repeat(""));
        let mut signatures = Vec::new();
        for (path, id) in self.signature_file.iter().zip(ids) {
            let bytes = attestations::read(path, "signature")?;
            signatures.push((id.to_owned(), attestations::decoded(&bytes).unwrap_or(bytes)));
        }
        if let Some(path) = &self.private_key_file {
            let key = sign::private_key(path)?;
            signatures.push((key.id().to_string(), key.sign(signed)));
        }
        Ok(signatures)
    }
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let (place, bytes) = self.bytes()?;
        let sealed = Sealed::parse(&bytes, &[&SEAL])
            .map_err(|cause| CliError::NotABundle { place: place.clone(), cause: cause.to_string() })?;
        let keys = self.keys.read(context)?;
        let signatures = sealed
            .signatures(&keys)
            .map(|(key_id, signer)| SignatureReport { key_id, verified_by: signer.map(ToString::to_string) });
        let signatures: Vec<_> = signatures.collect();
        let options = self.keys.options(context);
        let verified = (!keys.is_empty()).then(|| signatures.iter().any(|one| one.verified_by.is_some()));
        let (contents, mut problems) = match Contents::parse(sealed.payload(), options) {
            Ok(contents) => (Some(contents), Vec::new()),
            Err(error) => (None, vec![error.to_string()]),
        };
        if verified == Some(false) {
            problems.extend(sealed.signer(&keys).err().map(|error| error.to_string()));
        }
        let members = contents.iter().flat_map(Contents::members);
        let documents = members.map(|(what, name, version)| DocumentReport {
            what,
            name: name.to_owned(),
            version: version.clone(),
        });
        let report = Report {
            place,
            verified,
            documents: documents.collect(),
            head: contents.map(|contents| Head {
                project: contents.project().to_owned(),
                version: contents.version(),
                expires: contents.expires(),
                expired: contents.is_expired(SystemTime::now()),
                digest: contents.digest().to_string(),
            }),
            signatures,
            problems,
        };
        let outcome = if report.problems.is_empty() { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &report, || report_table(&report))
    }

    fn bytes(&self) -> Result<(Place, Vec<u8>), CliError> {
        match (&self.file, &self.project, self.store.documents()?) {
            (None, Some(project), Some(store)) => {
                let bytes = runtime()?.block_on(store.bundle(documents::project(project)?))?.0;
                Ok((Place::Store(store.location()), bytes))
            }
            (Some(file), _, None) => Ok((Place::File(file.clone()), files::document(file, "policy bundle")?)),
            _ => {
                let what = "FILE and --store both name a bundle: leave out the one that is not meant";
                Err(CliError::MalformedCommand(what.to_owned()))
            }
        }
    }
}

impl Keys {
    pub(super) fn options(&self, context: &Context) -> Options {
        super::policy::options(self.allow_multiple_rule_maps, context)
    }

    /// Those that are named, or else configured.
    pub(super) fn read(&self, context: &Context) -> Result<Vec<SealKey>, CliError> {
        let configured = context.defaults.settings.bundle.iter().flat_map(|bundle| &bundle.keys);
        let paths: Vec<_> = match self.bundle_keys.as_slice() {
            [] => configured.collect(),
            given => given.iter().collect(),
        };
        if paths.len() > MAX_KEYS {
            return Err(CliError::MalformedCommand(format!("at most {MAX_KEYS} bundle keys are taken")));
        }
        paths.into_iter().map(|path| key(path, &SEAL)).collect()
    }
}

pub(super) fn key(path: &Path, seal: &'static Seal) -> Result<SealKey, CliError> {
    let bytes = files::read(path, document::MAX_BYTES).map_err(|cause| CliError::Read {
        what: seal.key,
        path: path.to_owned(),
        cause,
    })?;
    SealKey::parse(&String::from_utf8_lossy(&bytes)).map_err(|cause| CliError::SealKey {
        what: seal.key,
        path: path.to_owned(),
        cause,
    })
}

fn report_table(report: &Report) -> String {
    let of = |text: fn(&Head) -> String| report.head.as_ref().map(text).unwrap_or_default();
    let verified = match report.verified {
        None => "not checked: no bundle key is known here, name one with --bundle-keys",
        Some(true) => "yes",
        Some(false) => "no",
    };
    let mut text = fields(&[
        ("policy bundle", report.place.to_string()),
        ("project", of(|head| head.project.clone())),
        ("version", of(|head| head.version.to_string())),
        ("expires", of(|head| head.expires.clone() + if head.expired { " (expired)" } else { "" })),
        ("digest", of(|head| head.digest.clone())),
        ("verified", verified.to_owned()),
    ]);
    for problem in &report.problems {
        text += &fields(&[("problem", problem.clone())]);
    }
    let signature = |one: &SignatureReport| {
        let id = if one.key_id.is_empty() { "-" } else { &one.key_id };
        vec![id.to_owned(), one.verified_by.clone().unwrap_or_else(|| "-".to_owned())]
    };
    let document =
        |one: &DocumentReport| vec![one.what.to_owned(), one.name.clone(), one.version.to_string()];
    let signatures = table(&["SIGNED AS", "HOLDS UNDER"], report.signatures.iter().map(signature).collect());
    let documents = table(&["DOCUMENT", "NAME", "VERSION"], report.documents.iter().map(document).collect());
    format!("{text}\n{signatures}\n{documents}")
}
