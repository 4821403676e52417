//! What a node must not forget about trust: the last good version of every document, the highest policy bundle it
//! accepted, the serials of break-glass grants, and the latest time it has seen.
//!
//! Two checksummed copies are written in turn, each by temporary file, fsync and rename, so a power
//! cut leaves the copy before. A bundle is written to both before it is used, so that whichever copy is lost, the
//! other knows its version. What is kept is bytes, read again by the same parsers: a document that
//! this version refuses is not obeyed because an earlier one took it.
//!
//! With one copy broken the other counts. With none whole, though there is one, nothing is known of what was
//! accepted before: the store is [lost](Trust::lost), gives nothing and takes nothing until it is reset.

mod copies;
mod serials;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::document::Version;
use crate::image::Digest;
use crate::policy::Highest;
use copies::Copy;
pub use serials::{SerialError, Serials};

/// The time is written down anew when what is written is this old.
const MARK_AGE: Duration = Duration::from_secs(600);

/// The latest time that can be written for people: the end of the year 9999, in seconds since 1970.
const MAX_MARK: u64 = 253_402_300_799;

/// Documents by the path of their file.
pub type Documents = BTreeMap<String, String>;

/// The bundle that was accepted last: of the highest version there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its version.
    pub version: u64,
    /// Of its payload: `sha256:` and the digits.
    digest: String,
    /// All of it, as it came.
    pub envelope: String,
}

impl Kept {
    /// A bundle of this rank.
    #[must_use]
    pub fn new(rank: Highest, envelope: String) -> Self {
        Self { version: rank.version, digest: rank.digest.to_string(), envelope }
    }

    /// What later ones are held against; `None` for a digest that is none, which [`Trust::open`] lets nobody see.
    #[must_use]
    pub fn rank(&self) -> Option<Highest> {
        let digest: Digest = self.digest.parse().ok()?;
        Some(Highest { version: self.version, digest })
    }
}

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    documents: Documents,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<Kept>,
    #[serde(default, skip_serializing_if = "Serials::is_empty")]
    break_glass: Serials,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<u64>,
}

impl Content {
    fn mark(&self) -> Option<SystemTime> {
        self.mark.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(MAX_MARK))))
    }
}

/// What is to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// What cannot be read: everything, where no copy is whole.
    Broken,
    /// The bundle and its version.
    Bundle,
    /// The latest time seen.
    Time,
    /// Everything, but for revoked and used serials of break-glass grants.
    All,
}

/// Why nothing was forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// Nothing is broken.
    #[error("what is remembered can be read: say what to forget, with --bundle, --time or --all")]
    Whole,
    /// The file cannot be written.
    #[error("the trust file cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// What is remembered, and what became of its copies.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustReport {
    /// Whether nothing is known any more, and so nothing obeyed.
    pub lost: bool,
    /// The bundle that was accepted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<KeptReport>,
    /// The latest time seen, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Serials of break-glass grants that are remembered.
    #[serde(skip_serializing_if = "is_none")]
    pub break_glass: SerialsReport,
    /// Documents and bundle keys of which the last good version is kept.
    pub documents: Vec<DocumentReport>,
    /// The files.
    pub copies: Vec<CopyReport>,
}

/// Serials of break-glass grants.
#[derive(Debug, Clone, Serialize)]
pub struct SerialsReport {
    /// How many are remembered.
    pub known: usize,
    /// Those that are revoked.
    pub revoked: Vec<RevokedReport>,
}

fn is_none(serials: &SerialsReport) -> bool {
    serials.known == 0
}

/// A revoked serial.
#[derive(Debug, Clone, Serialize)]
pub struct RevokedReport {
    /// The serial.
    pub serial: String,
    /// When it was revoked, RFC 3339.
    pub time: String,
}

impl From<&Serials> for SerialsReport {
    fn from(serials: &Serials) -> Self {
        let revoked =
            serials.revoked().map(|(serial, time)| RevokedReport { serial: serial.to_owned(), time });
        Self { known: serials.len(), revoked: revoked.collect() }
    }
}

/// The bundle that was accepted last.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptReport {
    /// Its version: no lower one is accepted.
    pub version: u64,
    /// Of its payload.
    pub digest: String,
}

/// A last good version.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentReport {
    /// Its file.
    pub path: String,
    /// Of its text.
    pub version: Version,
}

/// One of the two files.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// Where it is.
    pub path: PathBuf,
    /// `whole`, `absent` or `broken`.
    pub state: &'static str,
    /// The higher one is the newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The store in a folder. Whoever has one must hold the [lock](super::lock) of the folder.
#[derive(Debug)]
pub struct Trust {
    folder: PathBuf,
    generation: u64,
    content: Content,
    lost: bool,
    /// Copies that were not whole when it was opened.
    broken: Vec<String>,
    /// Why the last writing failed.
    problem: Option<String>,
}

impl Trust {
    /// Reads the newest copy that is whole; a folder without copies is a first start.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let copies = copies::read_both(folder);
        let broken: Vec<_> = copies.iter().filter_map(|(path, copy)| problem_of(path, copy)).collect();
        let newest = newest(&copies);
        Self {
            folder: folder.to_owned(),
            generation: newest.map_or(0, |copy| copy.generation),
            lost: newest.is_none() && !broken.is_empty(),
            content: newest.map(|copy| copy.content.clone()).unwrap_or_default(),
            broken,
            problem: None,
        }
    }

    /// Whether nothing is known any more of what was accepted.
    #[must_use]
    pub fn lost(&self) -> bool {
        self.lost
    }

    /// The last good version of every document.
    #[must_use]
    pub fn documents(&self) -> &Documents {
        &self.content.documents
    }

    /// The bundle that was accepted last.
    #[must_use]
    pub fn bundle(&self) -> Option<&Kept> {
        self.content.bundle.as_ref()
    }

    /// What is remembered of break-glass grants.
    #[must_use]
    pub fn serials(&self) -> &Serials {
        &self.content.break_glass
    }

    /// The latest time seen.
    #[must_use]
    pub fn mark(&self) -> Option<SystemTime> {
        self.content.mark()
    }

    /// Everything that is wrong, one line each.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let lost = self.lost.then(|| {
            "trust: no copy of what this node has accepted can be read: nothing is obeyed until `binauthctl trust \
             reset` is run"
                .to_owned()
        });
        let broken =
            self.broken.iter().map(|problem| format!("last good versions: a copy was lost: {problem}"));
        let unkept =
            self.problem.iter().map(|problem| format!("last good versions cannot be kept: {problem}"));
        lost.into_iter().chain(broken).chain(unkept)
    }

    /// Keeps these documents, where they are not kept already, and now and then the time. What could not be
    /// written is tried again the next time.
    pub fn keep(&mut self, documents: Documents, now: SystemTime) {
        let aged = |mark| now.duration_since(mark).is_ok_and(|age| age >= MARK_AGE);
        let aged = self.mark().is_none_or(aged);
        if documents == self.content.documents && self.problem.is_none() && !aged {
            return;
        }
        let content = Content { documents, ..self.content.clone() };
        // The caller goes on with what it has read; the problem shows in status.
        let _ = self.write(content, now);
    }

    /// Writes down that `bundle` was accepted, in both copies: only then may it be used.
    ///
    /// # Errors
    /// The system's, and [`io::ErrorKind::InvalidData`] where the store is lost.
    pub fn record(&mut self, bundle: Kept, now: SystemTime) -> io::Result<()> {
        let content = Content { bundle: Some(bundle), ..self.content.clone() };
        self.write(content.clone(), now)?;
        self.write(content, now)
    }

    /// Writes down what is known of break-glass grants, in both copies, where it is not written already.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn keep_serials(&mut self, serials: &Serials, now: SystemTime) -> io::Result<()> {
        if *serials == self.content.break_glass {
            return Ok(());
        }
        let content = Content { break_glass: serials.clone(), ..self.content.clone() };
        self.write(content.clone(), now)?;
        self.write(content, now)
    }

    /// Writes the time down.
    pub fn mark_time(&mut self, now: SystemTime) {
        // As in `keep`.
        let _ = self.write(self.content.clone(), now);
    }

    /// Forgets, in both copies. Copies that cannot be read are set aside. What is known of break-glass grants stays;
    /// where it was lost, those that were issued before `now` are not obeyed any more.
    ///
    /// # Errors
    /// [`ResetError`]; what could not be written down is not forgotten.
    pub fn reset(&mut self, what: Forget, now: SystemTime) -> Result<(), ResetError> {
        if what == Forget::Broken && !self.lost {
            return Err(ResetError::Whole);
        }
        let mut content = self.content.clone();
        match what {
            _ if self.lost => content = Content { break_glass: Serials::lost(now), ..Content::default() },
            Forget::Broken => {}
            Forget::Bundle => content.bundle = None,
            Forget::Time => content.mark = None,
            Forget::All => content = Content { break_glass: content.break_glass, ..Content::default() },
        }
        copies::set_broken_aside(&self.folder)?;
        self.lost = false;
        self.broken.clear();
        for _ in 0..2 {
            self.write_as_it_is(content.clone())?;
        }
        Ok(())
    }

    /// A time that is earlier than the mark leaves the mark as it is.
    fn write(&mut self, mut content: Content, now: SystemTime) -> io::Result<()> {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        content.mark = content.mark.max(Some(seconds.min(MAX_MARK)));
        self.write_as_it_is(content)
    }

    fn write_as_it_is(&mut self, content: Content) -> io::Result<()> {
        if self.lost {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no copy of it can be read"));
        }
        let copy = Copy { generation: self.generation + 1, content };
        let written = copies::write(&self.folder, &copy);
        self.problem = written.as_ref().err().map(ToString::to_string);
        written?;
        (self.generation, self.content) = (copy.generation, copy.content);
        Ok(())
    }
}

/// What lies in `folder`, for people.
#[must_use]
pub fn report(folder: &Path) -> TrustReport {
    let copies = copies::read_both(folder);
    let newest = newest(&copies);
    let content = newest.map(|copy| copy.content.clone()).unwrap_or_default();
    let mark = content.mark();
    let documents = content.documents.iter();
    let break_glass = SerialsReport::from(&content.break_glass);
    TrustReport {
        lost: newest.is_none() && copies.iter().any(|(_, copy)| copy.is_err()),
        bundle: content.bundle.map(|kept| KeptReport { version: kept.version, digest: kept.digest }),
        mark: mark.map(|mark| humantime::format_rfc3339_seconds(mark).to_string()),
        break_glass,
        documents: documents
            .map(|(path, text)| DocumentReport { path: path.clone(), version: Version::of(text.as_bytes()) })
            .collect(),
        copies: copies.into_iter().map(|(path, copy)| CopyReport::of(path, copy)).collect(),
    }
}

impl CopyReport {
    fn of(path: PathBuf, copy: Result<Option<Copy>, String>) -> Self {
        let (state, generation, problem) = match copy {
            Ok(Some(copy)) => ("whole", Some(copy.generation), None),
            Ok(None) => ("absent", None, None),
            Err(problem) => ("broken", None, Some(problem)),
        };
        Self { path, state, generation, problem }
    }
}

fn newest(copies: &copies::Both) -> Option<&Copy> {
    copies.iter().filter_map(|(_, copy)| copy.as_ref().ok()?.as_ref()).max_by_key(|copy| copy.generation)
}

fn problem_of(path: &Path, copy: &Result<Option<Copy>, String>) -> Option<String> {
    copy.as_ref().err().map(|problem| format!("`{}`: {problem}", path.display()))
}
