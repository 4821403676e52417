//! The last good version of every document that decides trust, across restarts.
//!
//! Two checksummed copies are written in turn, each by temporary file, fsync and rename, so a power
//! cut leaves the copy before. What is kept is bytes, read again by the same parsers: a document that
//! this version refuses is not obeyed because an earlier one took it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::document::MAX_BYTES;
use crate::image::Digest;

const COPIES: [&str; 2] = ["trust.0", "trust.1"];

/// Documents by key: `policy`, or `attestors/` and a file name.
pub type Documents = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
struct Copy {
    generation: u64,
    documents: Documents,
}

/// The two copies in a folder.
#[derive(Debug)]
pub struct LastGood {
    folder: PathBuf,
    generation: u64,
}

impl LastGood {
    /// Reads the newest copy that is whole. The second value says what is wrong with copies that are
    /// not; a folder without copies is a first start.
    #[must_use]
    pub fn open(folder: &Path) -> (Self, Documents, Vec<String>) {
        let mut newest: Option<Copy> = None;
        let mut problems = Vec::new();
        for name in COPIES {
            let path = folder.join(name);
            match read_copy(&path) {
                Ok(Some(copy)) if newest.as_ref().is_none_or(|other| copy.generation > other.generation) => {
                    newest = Some(copy);
                }
                Ok(_) => {}
                Err(cause) => problems.push(format!("`{}`: {cause}", path.display())),
            }
        }
        let (generation, documents) =
            newest.map_or((0, Documents::new()), |copy| (copy.generation, copy.documents));
        (Self { folder: folder.to_owned(), generation }, documents, problems)
    }

    /// Writes `documents` as the newest copy, over the older of the two.
    ///
    /// # Errors
    /// The system's; the newest copy is untouched then.
    pub fn store(&mut self, documents: &Documents) -> io::Result<()> {
        let generation = self.generation + 1;
        let body = serde_json::to_vec(&Copy { generation, documents: documents.clone() })?;
        let name = if generation.is_multiple_of(2) { COPIES[0] } else { COPIES[1] };
        let temporary = self.folder.join(format!("{name}.new"));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        writeln!(file, "{}", Digest::of(&body))?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(name))?;
        fs::File::open(&self.folder)?.sync_all()?;
        self.generation = generation;
        Ok(())
    }
}

fn read_copy(path: &Path) -> Result<Option<Copy>, String> {
    let bytes = match super::trusted::read(path, 16 * MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let newline = bytes.iter().position(|byte| *byte == b'\n').ok_or("it is cut short")?;
    let (sum, body) = bytes.split_at(newline);
    let body = body.get(1..).unwrap_or_default();
    if sum != Digest::of(body).to_string().as_bytes() {
        return Err("its checksum does not hold".into());
    }
    serde_json::from_slice(body).map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Documents {
        Documents::from([("policy".to_owned(), text.to_owned())])
    }

    #[test]
    fn the_newest_whole_copy_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, found, problems) = LastGood::open(folder.path());
        assert!(found.is_empty() && problems.is_empty());
        for text in ["1", "2", "3"] {
            store.store(&documents(text)).unwrap();
        }
        assert_eq!(LastGood::open(folder.path()).1, documents("3"));

        let newest = folder.path().join("trust.1");
        let whole = fs::read(&newest).unwrap();
        for broken in [&whole[..whole.len() - 1], b"", &[b"x", whole.as_slice()].concat()] {
            fs::write(&newest, broken).unwrap();
            let (_, found, problems) = LastGood::open(folder.path());
            assert_eq!((found, problems.len()), (documents("2"), 1));
        }
        fs::write(folder.path().join("trust.0"), "x").unwrap();
        let (_, found, problems) = LastGood::open(folder.path());
        assert_eq!((found.is_empty(), problems.len()), (true, 2));
    }
}
