//! The two files: a checksum, a line feed, JSON.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Content;
use crate::config::trusted;
use crate::document::MAX_BYTES;
use crate::image::Digest;

const COPIES: [&str; 2] = ["trust.0", "trust.1"];
/// Of one copy: documents and a bundle, escaped.
const MAX_COPY: usize = 16 * MAX_BYTES;

/// Where each copy is, and what it holds or why it cannot be read.
pub(super) type Both = [(PathBuf, Result<Option<Copy>, String>); 2];

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Copy {
    pub(super) generation: u64,
    #[serde(flatten)]
    pub(super) content: Content,
}

pub(super) fn read_both(folder: &Path) -> Both {
    COPIES.map(|name| {
        let path = folder.join(name);
        let copy = read(&path);
        (path, copy)
    })
}

fn read(path: &Path) -> Result<Option<Copy>, String> {
    let bytes = match trusted::read(path, MAX_COPY) {
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
    let copy: Copy = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if copy.content.bundle.as_ref().is_some_and(|kept| kept.rank().is_none()) {
        return Err("the digest of its bundle is none".into());
    }
    Ok(Some(copy))
}

/// Writes `copy` over the older of the two.
pub(super) fn write(folder: &Path, copy: &Copy) -> io::Result<()> {
    let body = serde_json::to_vec(copy)?;
    let name = if copy.generation.is_multiple_of(2) { COPIES[0] } else { COPIES[1] };
    let temporary = folder.join(format!("{name}.new"));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{}", Digest::of(&body))?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}

/// Renames what cannot be read, for whoever wants to know why.
pub(super) fn set_broken_aside(folder: &Path) -> io::Result<()> {
    for (path, copy) in read_both(folder) {
        if copy.is_err() {
            fs::rename(&path, path.with_extension(aside(&path)))?;
        }
    }
    fs::File::open(folder)?.sync_all()
}

/// `trust.0` becomes `trust.0-broken`.
fn aside(path: &Path) -> String {
    format!("{}-broken", path.extension().unwrap_or_default().to_string_lossy())
}
