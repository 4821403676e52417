//! The end of the chain, kept apart from the trail: a trail that lost its last lines is found by it.
//!
//! It is written once what it tells of is on the disk, at most every five seconds, and at each rotation and stop.
//! So after a crash the trail may be ahead of it, and never behind unless lines were taken away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::chain::{Head, WrittenHead};

/// Where it is kept in the state folder.
#[must_use]
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("audit-head.json")
}

/// The head as it was kept; none where nothing was.
///
/// # Errors
/// It cannot be read, or is not a head.
pub fn read(path: &Path) -> io::Result<Option<Head>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let written: WrittenHead = serde_json::from_slice(&text)?;
    let head = written.read().ok_or_else(|| io::Error::other("its hash is no SHA-256"))?;
    Ok(Some(head))
}

/// Replaces what was kept.
pub(super) fn write(path: &Path, head: Head) -> io::Result<()> {
    super::files::replace(path, &serde_json::to_vec(&WrittenHead::from(head))?)
}
