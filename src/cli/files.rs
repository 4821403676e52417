//! Reads policy, attestors and occurrences from plain files, by the caller's own rights.
//!
//! A broken file is told apart and counts for nothing; it never hides the others. Only regular files of
//! bounded size are read, opened so that a pipe cannot hold the reader up.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::error::{CliError, Problem, ProblemCause};
use super::output;
use crate::attestation::attestor::AttestorDocument;
use crate::attestation::{Attestor, AttestorName, KeyRing, Occurrence};
use crate::bounded;
use crate::document::{self, Format};
use crate::evidence::folder;
use crate::policy::{Options, Policy};

/// An attestor and where it is written down.
#[derive(Debug)]
pub(super) struct AttestorFile {
    pub(super) path: PathBuf,
    pub(super) document: AttestorDocument,
    pub(super) attestor: Attestor,
}

/// A folder of attestor documents.
#[derive(Debug)]
pub(super) struct Attestors {
    folder: PathBuf,
    pub(super) files: Vec<AttestorFile>,
    pub(super) problems: Vec<Problem>,
}

/// An occurrence and where it is written down.
#[derive(Debug)]
pub(super) struct OccurrenceFile {
    pub(super) path: PathBuf,
    pub(super) occurrence: Occurrence,
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
        .map_err(|cause| CliError::Policy { path: path.to_owned(), cause: Box::new(cause) })
}

/// Reads any document that decides.
pub(super) fn document(path: &Path, what: &'static str) -> Result<Vec<u8>, CliError> {
    read(path, document::MAX_BYTES).map_err(|cause| CliError::Read { what, path: path.to_owned(), cause })
}

/// Reads every attestor document (`*.yaml`, `*.yml`, `*.json`) of a folder.
pub(super) fn attestors(folder: &Path) -> Result<Attestors, CliError> {
    let mut found = Attestors { folder: folder.to_owned(), files: Vec::new(), problems: Vec::new() };
    for path in attestor_paths(folder)? {
        match attestor(&path) {
            Ok(file) => found.files.push(file),
            Err(cause) => found.problems.push(Problem { path, cause }),
        }
    }
    Ok(found)
}

/// The files of a folder that are attestor documents by their names.
pub(super) fn attestor_paths(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    listed(folder, "attestors folder", &["yaml", "yml", "json"])
}

fn attestor(path: &Path) -> Result<AttestorFile, ProblemCause> {
    let bytes = read(path, document::MAX_BYTES)?;
    let document: AttestorDocument = document::parse(&bytes, Format::of(path))?;
    let attestor = document.clone().try_into()?;
    Ok(AttestorFile { path: path.to_owned(), document, attestor })
}

/// Reads every occurrence document (`*.json`) of a folder, and tells those that are none.
pub(super) fn occurrences(path: &Path) -> Result<(Vec<OccurrenceFile>, Vec<Problem>), CliError> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in listed(path, "occurrences folder", &["json"])? {
        match folder::read(&path) {
            Ok(document) => found.push(OccurrenceFile { path, occurrence: document.occurrence }),
            Err(cause) => problems.push(Problem { path, cause: cause.into() }),
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
        KeyRing::accepting(self.files.iter().map(|file| file.attestor.clone()), dsse_types)
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
            [] => Err(CliError::NoAttestor { name: text.to_owned(), folder: self.folder.clone() }),
            &[name] => Ok(name.clone()),
            several => {
                let several: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(CliError::SeveralNames(text.to_owned(), several.join(", ")))
            }
        }
    }

    /// The one document that defines it.
    pub(super) fn find(&self, text: &str, project: Option<&str>) -> Result<&AttestorFile, CliError> {
        let name = self.name(text, project)?;
        let files: Vec<_> = self.files.iter().filter(|file| *file.attestor.name() == name).collect();
        let &[file] = files.as_slice() else {
            let files: Vec<_> = files.iter().map(|file| format!("`{}`", file.path.display())).collect();
            return Err(CliError::AmbiguousAttestor { name, files: files.join(", ") });
        };
        Ok(file)
    }

    fn names(&self) -> impl Iterator<Item = &AttestorName> {
        self.files.iter().map(|file| file.attestor.name())
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
