//! `bundle export` and `bundle import`: policy bundle and attestations in one file, for nodes that no network
//! leads to.
//!
//! The file is text, one JSON object a line: a head (`binauthdTransfer`, the version of this format; the
//! policy bundle's envelope, where there is one; how many attestations follow), then an attestation a line,
//! each document byte for byte as its source gave it. Whoever carries the file is trusted with nothing: the
//! policy bundle is signed, and so is every attestation.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Context;
use super::attestations::runtime;
use super::daemon;
use super::documents::{self, Documents};
use super::error::{CliError, Outcome};
use super::files::Place;
use super::output::{Answer, fields, warn};
use super::remote::{Server, Store};
use super::status::{list, text};
use super::{files, policy_bundle, write};
use crate::attestation::Occurrence;
use crate::attestation::occurrence::MAX_BYTES;
use crate::config::{BundleConfig, BundleOrigin};
use crate::evidence::source::Document;
use crate::gate::admin::CacheAsk;
use crate::image::Digest;
use crate::policy::bundle::{self, Bundle, Contents, Terms};
use crate::policy::{Options, Sealed};

/// The version of the format.
const VERSION: u32 = 1;
/// The longest line: a policy bundle, or an attestation, with every sign of it escaped.
const MAX_LINE: u64 = 6 * bundle::MAX_BYTES as u64 + 4_096;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Write what this node has into one file
    ///
    /// The daemon is asked for its policy bundle and for every attestation that it has on file; with --occurrences
    /// or --policy-bundle these are read from files instead, and no daemon is needed. Neither is with --store: the policy
    /// bundle is that of --project there, or a file, and the attestations are all that can count under it.
    Export(Export),
    /// Put what is in such a file where this node's daemon reads it
    ///
    /// The policy bundle goes to the place that `[policy] bundle` names, if it counts under `bundle_keys`;
    /// attestations go into the first occurrence folder. What is there already is left alone. Nothing is put
    /// anywhere before all of the file has been read.
    Import(Import),
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The file to write; replaced in one step
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Only attestations of this digest (sha256:…); again for more
    #[arg(long, value_name = "DIGEST")]
    digest: Vec<Digest>,
    /// Take this policy bundle
    #[arg(long, value_name = "FILE")]
    policy_bundle: Option<PathBuf>,
    /// Take the attestations of this folder
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    occurrences: Option<PathBuf>,
    /// Take the policy bundle that the store has for this project
    #[arg(long, requires = "store", conflicts_with = "policy_bundle")]
    project: Option<String>,
    #[command(flatten)]
    store: Store,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file that `bundle export` wrote
    file: PathBuf,
    /// Where the policy bundle goes: a file, or a folder [default: `[policy] bundle` of the configuration]
    #[arg(long, value_name = "PATH")]
    policy_bundle: Option<PathBuf>,
    /// Where the attestations go [default: the first occurrence folder of the configuration]
    #[arg(long, value_name = "DIR")]
    occurrences: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    binauthd_transfer: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy_bundle: Option<String>,
    attestations: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    attestation: String,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: PathBuf,
    /// The version of the policy bundle that is in it, where it counts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_bundle: Option<u64>,
    attestations: u64,
    /// Of these, not there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<u64>,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let report = match self {
            Self::Export(verb) => verb.run(context)?,
            Self::Import(verb) => verb.run(context)?,
        };
        let lines = [
            ("file", report.file.display().to_string()),
            (
                "policy bundle",
                report.policy_bundle.map(|version| format!("version {version}")).unwrap_or_default(),
            ),
            ("attestations", report.attestations.to_string()),
            ("new", report.new.map(|new| new.to_string()).unwrap_or_default()),
        ];
        context.answer(Outcome::Fine, &report, || fields(&lines))
    }
}

impl Export {
    fn run(self, context: &Context) -> Result<Report, CliError> {
        let socket = context.defaults.admin_socket();
        let envelope = match (&self.policy_bundle, self.store.documents()?) {
            (Some(path), _) => Some(read_text("policy bundle", path)?),
            (None, Some(store)) => Some(self.stored(&store)?),
            (None, None) if self.occurrences.is_some() => None,
            (None, None) => daemon::policy_bundle(&socket)?,
        };
        let documents = match (&self.occurrences, self.store.server()?, &envelope) {
            (Some(folder), ..) => self.of_folder(folder)?,
            (None, Some(server), Some(envelope)) => self.of_store(&server, envelope, context)?,
            (None, ..) => self.of_daemon(&socket)?,
        };
        let version = envelope.as_deref().and_then(|envelope| version_of(envelope.as_bytes()));
        let attestations = documents.len() as u64;
        let head = Head { binauthd_transfer: VERSION, policy_bundle: envelope, attestations };
        write::replace_with(&self.to, |file| {
            let mut out = BufWriter::new(file);
            write_line(&mut out, &head)?;
            documents.into_iter().try_for_each(|attestation| write_line(&mut out, &Line { attestation }))?;
            out.flush()
        })?;
        Ok(Report { file: self.to, policy_bundle: version, attestations, new: None })
    }

    fn is_wanted(&self, digest: Digest) -> bool {
        self.digest.is_empty() || self.digest.contains(&digest)
    }

    /// The policy bundle of a project.
    fn stored(&self, store: &Documents) -> Result<String, CliError> {
        let missing =
            "--project is missing, or --policy-bundle: which attestations are wanted, its attestors say";
        let project =
            self.project.as_deref().ok_or_else(|| CliError::MalformedCommand(missing.to_owned()))?;
        let bytes = runtime()?.block_on(store.bundle(documents::project(project)?))?.0;
        String::from_utf8(bytes).map_err(|_| {
            let place = Place::Store(store.location());
            CliError::NotABundle { place, cause: "it is not UTF-8".to_owned() }
        })
    }

    /// Whatever the attestors of a policy bundle may have filed.
    fn of_store(&self, server: &Server, envelope: &str, context: &Context) -> Result<Vec<String>, CliError> {
        let place = || match &self.policy_bundle {
            Some(path) => Place::File(path.clone()),
            None => Place::Store(server.location()),
        };
        let refused = |cause: String| CliError::NotABundle { place: place(), cause };
        let sealed = Sealed::parse(envelope.as_bytes(), &[&bundle::SEAL])
            .map_err(|cause| refused(cause.to_string()))?;
        let contents = Contents::parse(sealed.payload(), Options { allow_multiple_rule_maps: true })
            .map_err(|cause| refused(cause.to_string()))?;
        let (book, key_ring) = policy_bundle::obeyed(&contents, &context.defaults.settings.dsse_types);
        let documents = runtime()?.block_on(server.documents(&book.narrow(&key_ring), &self.digest))?;
        let text = |document: Document| String::from_utf8_lossy(&document.text).into_owned();
        Ok(documents.into_iter().map(text).collect())
    }

    fn of_folder(&self, folder: &Path) -> Result<Vec<String>, CliError> {
        let (found, problems) = files::occurrences(folder)?;
        problems.iter().for_each(|problem| warn(&crate::chain(problem)));
        let wanted = found.iter().filter(|file| self.is_wanted(file.occurrence.digest));
        let paths = wanted.filter_map(|file| match &file.place {
            Place::File(path) => Some(path),
            Place::Store(_) => None,
        });
        paths.map(|path| read_text("occurrence", path)).collect()
    }

    fn of_daemon(&self, socket: &Path) -> Result<Vec<String>, CliError> {
        let (mut documents, mut after) = (Vec::new(), None);
        loop {
            let page = daemon::cache(socket, CacheAsk::Export { after })?;
            for document in list(&page, "/documents") {
                let text = text(document, "/document");
                // What the daemon has on file it has read.
                let digest = Occurrence::parse(text.as_bytes()).map(|occurrence| occurrence.digest);
                if digest.is_ok_and(|digest| self.is_wanted(digest)) {
                    documents.push(text);
                }
            }
            after = page.get("after").and_then(Value::as_str).map(ToOwned::to_owned);
            if after.is_none() {
                return Ok(documents);
            }
        }
    }
}

impl Import {
    fn run(self, context: &Context) -> Result<Report, CliError> {
        let wrong = |cause: String| CliError::Transfer { path: self.file.clone(), cause };
        let (head, documents) = read(&self.file)?;
        let place = match &head.policy_bundle {
            None => None,
            Some(envelope) => self.accepted(context, envelope)?,
        };
        let folder = self.occurrences.clone().unwrap_or_else(|| context.defaults.occurrences.clone());
        let mut new = 0;
        if !documents.is_empty() {
            write::ensure_folder(&folder)?;
        }
        for (digest, text) in &documents {
            let hex = |digest: Digest, digits: usize| digest.hex().chars().take(digits).collect::<String>();
            let name = format!("{}-{}.json", hex(*digest, 16), hex(Digest::of(text.as_bytes()), 16));
            let path = folder.join(name);
            if files::read(&path, MAX_BYTES).is_ok_and(|there| there == text.as_bytes()) {
                continue;
            }
            write::replace(&path, text.as_bytes())?;
            new += 1;
        }
        let mut report = Report {
            file: self.file.clone(),
            attestations: documents.len() as u64,
            new: Some(new),
            policy_bundle: None,
        };
        // Last: what it asks for is there by then.
        if let (Some((path, version)), Some(envelope)) = (place, &head.policy_bundle) {
            let folder = path.parent().unwrap_or(Path::new("/"));
            if !folder.is_dir() {
                return Err(wrong(format!(
                    "there is no folder `{}` for the policy bundle",
                    folder.display()
                )));
            }
            write::replace(&path, envelope.as_bytes())?;
            report.policy_bundle = Some(version);
        }
        Ok(report)
    }

    /// Where the policy bundle goes, and its version, if it counts on this node.
    fn accepted(&self, context: &Context, envelope: &str) -> Result<Option<(PathBuf, u64)>, CliError> {
        let Some(config) = &context.defaults.settings.bundle else {
            warn("the policy bundle is left out: the configuration names no `bundle` in `[policy]`");
            return Ok(None);
        };
        let BundleConfig { origin, keys, project, .. } = config;
        let keys =
            keys.iter().map(|path| policy_bundle::key(path, &bundle::SEAL)).collect::<Result<Vec<_>, _>>()?;
        let terms = Terms { keys: &keys, project, options: context.defaults.options() };
        let bundle = Bundle::verify(envelope.as_bytes(), terms, SystemTime::now()).map_err(|cause| {
            let cause = format!("its policy bundle is refused: {cause}");
            CliError::Transfer { path: self.file.clone(), cause }
        })?;
        let version = bundle.contents().version();
        let place = match (&self.policy_bundle, origin) {
            (Some(path), _) | (None, BundleOrigin::Path(path)) => path.clone(),
            (None, BundleOrigin::Url(url)) => {
                let cause =
                    format!("this node asks `{url}` for policy bundles: name a place with --policy-bundle");
                return Err(CliError::Transfer { path: self.file.clone(), cause });
            }
        };
        let place = if place.is_dir() { place.join(format!("{version:020}.json")) } else { place };
        Ok(Some((place, version)))
    }
}

/// All of a file, each attestation with the digest that it is filed for.
fn read(path: &Path) -> Result<(Head, Vec<(Digest, String)>), CliError> {
    let wrong = |cause: String| CliError::Transfer { path: path.to_owned(), cause };
    let cannot = |cause| CliError::Read { what: "transfer file", path: path.to_owned(), cause };
    let mut lines = BufReader::new(File::open(path).map_err(cannot)?);
    let first = line(&mut lines).map_err(cannot)?.ok_or_else(|| wrong("it is empty".to_owned()))?;
    let head: Head = serde_json::from_str(&first)
        .map_err(|error| wrong(format!("its first line is none that `bundle export` writes: {error}")))?;
    if head.binauthd_transfer != VERSION {
        let cause = format!("its format is version {}, only {VERSION} is known", head.binauthd_transfer);
        return Err(wrong(cause));
    }
    let mut documents = Vec::new();
    while let Some(next) = line(&mut lines).map_err(cannot)? {
        let number = documents.len() + 2;
        let in_line = |cause: &dyn std::fmt::Display| wrong(format!("line {number}: {cause}"));
        let Line { attestation } = serde_json::from_str(&next).map_err(|error| in_line(&error))?;
        let occurrence = Occurrence::parse(attestation.as_bytes()).map_err(|error| in_line(&error))?;
        documents.push((occurrence.digest, attestation));
    }
    if documents.len() as u64 != head.attestations {
        let cause = format!("{} attestations are to be in it and {} are", head.attestations, documents.len());
        return Err(wrong(cause));
    }
    Ok((head, documents))
}

/// The next line without its end; a longer one than any that is written is an error.
fn line(lines: &mut BufReader<File>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if lines.by_ref().take(MAX_LINE).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        return Err(io::Error::other("a line is cut short, or longer than any that is written"));
    }
    Ok(Some(line))
}

fn write_line(out: &mut impl io::Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn read_text(what: &'static str, path: &Path) -> Result<String, CliError> {
    let cannot = |cause| CliError::Read { what, path: path.to_owned(), cause };
    let bytes = files::read(path, bundle::MAX_BYTES).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|_| cannot(io::Error::other("it is not UTF-8")))
}

/// What a bundle says that its version is; nobody has vouched for it.
fn version_of(envelope: &[u8]) -> Option<u64> {
    let sealed = Sealed::parse(envelope, &[&bundle::SEAL]).ok()?;
    Some(bundle::Payload::parse(sealed.payload()).ok()?.version)
}
