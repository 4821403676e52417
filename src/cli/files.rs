//! Reads policy, attestors and occurrences from plain files, by the caller's own rights.
//!
//! A broken file is told apart and counts for nothing; it never hides the others. Only regular files of
//! bounded size are read, opened so that a pipe cannot hold the reader up.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::Serialize;

use super::error::{CliError, Problem, ProblemCause};
use super::output;
use crate::attestation::attestor::AttestorDocument;
use crate::attestation::{Attestor, AttestorName, KeyRing, Occurrence};
use crate::bounded;
use crate::document::{self, Format};
use crate::evidence::folder;
use crate::policy::{Options, Policy};

/// Where something is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// A file, or a folder of them.
    File(PathBuf),
    /// The server that holds it.
    Store(String),
}

/// An attestor and where it is written down.
#[derive(Debug, Clone)]
pub(super) struct Defined {
    pub(super) place: Place,
    pub(super) document: AttestorDocument,
    pub(super) attestor: Attestor,
}

/// A folder of attestor documents, or what a store has of them.
#[derive(Debug)]
pub(super) struct Attestors {
    pub(super) place: Place,
    pub(super) all: Vec<Defined>,
    pub(super) problems: Vec<Problem>,
}

/// An occurrence and where it is written down.
#[derive(Debug)]
pub(super) struct OccurrenceFile {
    pub(super) place: Place,
    pub(super) occurrence: Occurrence,
}

impl Place {
    /// What a table calls it.
    pub(super) const fn heading(&self) -> &'static str {
        match self {
            Self::File(_) => "FILE",
            Self::Store(_) => "STORE",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Store(location) => f.write_str(location),
        }
    }
}

/// Reads a regular file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    bounded::bytes(file, limit)
}

/// Reads the policy.
pub(super) fn policy(path: &Path, options: Options) -> Result<Policy, CliError> {
    let bytes = document(path, "policy")?;
    Policy::parse(&bytes, Format::of(path), options)
        .map_err(|cause| CliError::Policy { place: Place::File(path.to_owned()), cause: Box::new(cause) })
}

/// Reads any document that decides.
pub(super) fn document(path: &Path, what: &'static str) -> Result<Vec<u8>, CliError> {
    read(path, document::MAX_BYTES).map_err(|cause| CliError::Read { what, path: path.to_owned(), cause })
}

/// Reads every attestor document (`*.yaml`, `*.yml`, `*.json`) of a folder.
pub(super) fn attestors(folder: &Path) -> Result<Attestors, CliError> {
    let place = Place::File(folder.to_owned());
    let mut found = Attestors { place, all: Vec::new(), problems: Vec::new() };
    for path in attestor_paths(folder)? {
        match attestor(&path) {
            Ok(defined) => found.all.push(defined),
            Err(cause) => found.problems.push(Problem { place: Place::File(path), cause }),
        }
    }
    Ok(found)
}

/// The files of a folder that are attestor documents by their names.
pub(super) fn attestor_paths(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    listed(folder, "attestors folder", &["yaml", "yml", "json"])
}

fn attestor(path: &Path) -> Result<Defined, ProblemCause> {
    let bytes = read(path, document::MAX_BYTES)?;
    let document: AttestorDocument = document::parse(&bytes, Format::of(path))?;
    let attestor = document.clone().try_into()?;
    Ok(Defined { place: Place::File(path.to_owned()), document, attestor })
}

/// Reads every occurrence document (`*.json`) of a folder, and tells those that are none.
pub(super) fn occurrences(path: &Path) -> Result<(Vec<OccurrenceFile>, Vec<Problem>), CliError> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in listed(path, "occurrences folder", &["json"])? {
        match folder::read(&path) {
            Ok(document) => {
                let place = Place::File(path);
                found.push(OccurrenceFile { place, occurrence: document.occurrence });
            }
            Err(cause) => problems.push(Problem { place: Place::File(path), cause: cause.into() }),
        }
    }
    Ok((found, problems))
}

/// The files of a folder with one of these extensions, hidden ones left out, in order of their names.
fn listed(folder: &Path, what: &'static str, extensions: &[&str]) -> Result<Vec<PathBuf>, CliError> {
    let cannot = |cause| CliError::Read { what, path: folder.to_owned(), cause };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !hidden && extension.is_some_and(|extension| extensions.contains(&extension)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Says which files count for nothing.
pub(super) fn warn_of(problems: &[Problem]) {
    for problem in problems {
        output::warn(&crate::chain(problem));
    }
}

impl Attestors {
    /// All of them together, accepting these payload types.
    pub(super) fn key_ring(&self, dsse_types: &[String]) -> KeyRing {
        KeyRing::accepting(self.all.iter().map(|defined| defined.attestor.clone()), dsse_types)
    }

    /// The name that `text` (in full, or an id) stands for among those defined here.
    pub(super) fn name(&self, text: &str, project: Option<&str>) -> Result<AttestorName, CliError> {
        let mut names: Vec<_> = match full_name(text, project)? {
            Some(name) => self.names().filter(|other| **other == name).collect(),
            None => self.names().filter(|name| name.id() == text).collect(),
        };
        names.sort();
        names.dedup();
        match names.as_slice() {
            [] => Err(CliError::NoAttestor { name: text.to_owned(), place: self.place.clone() }),
            &[name] => Ok(name.clone()),
            several => {
                let several: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(CliError::SeveralNames(text.to_owned(), several.join(", ")))
            }
        }
    }

    /// The one document that defines it.
    pub(super) fn find(&self, text: &str, project: Option<&str>) -> Result<&Defined, CliError> {
        let name = self.name(text, project)?;
        let found: Vec<_> = self.all.iter().filter(|defined| *defined.attestor.name() == name).collect();
        let &[defined] = found.as_slice() else {
            let files: Vec<_> = found.iter().map(|defined| format!("`{}`", defined.place)).collect();
            return Err(CliError::AmbiguousAttestor { name, files: files.join(", ") });
        };
        Ok(defined)
    }

    fn names(&self) -> impl Iterator<Item = &AttestorName> {
        self.all.iter().map(|defined| defined.attestor.name())
    }
}

/// The name in full, where text and project tell it.
fn full_name(text: &str, project: Option<&str>) -> Result<Option<AttestorName>, CliError> {
    Ok(match project {
        _ if text.contains('/') => Some(text.parse()?),
        Some(project) => Some(format!("projects/{project}/attestors/{text}").parse()?),
        None => None,
    })
}
