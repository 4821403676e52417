//! The system policy document, with more digests than before.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::needs::Need;
use super::refused;
use crate::cli::error::CliError;
use crate::cli::{files, output, write};
use crate::document::{self, Format};
use crate::policy::SystemPolicy;

/// The longest reason that is written, in characters.
const MAX_REASON: usize = 200;

/// A system policy as it is and as it becomes.
pub(super) struct Floor {
    format: Format,
    document: Map<String, Value>,
    before: Option<Vec<u8>>,
    is_changed: bool,
}

impl Floor {
    /// Reads what is there; nothing, where no file is.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let format = Format::of(path);
        let before = match files::document(path, "system policy") {
            Ok(bytes) => bytes,
            Err(CliError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { format, document: Map::new(), before: None, is_changed: false });
            }
            Err(error) => return Err(error),
        };
        // What could not be obeyed is not written anew either.
        SystemPolicy::parse(&before, format).map_err(|cause| refused(path, crate::chain(&cause)))?;
        let document: Map<String, Value> =
            document::parse(&before, format).map_err(|cause| refused(path, crate::chain(&cause)))?;
        Ok(Self { format, document, before: Some(before), is_changed: false })
    }

    /// Adds what is not there yet.
    pub(super) fn add(&mut self, needs: &[Need]) {
        let digests = self.document.entry("digests").or_insert_with(|| json!([]));
        if digests.is_null() {
            *digests = json!([]);
        }
        let Some(digests) = digests.as_array_mut() else { return };
        for need in needs {
            let Some(digest) = need.digest.map(|digest| digest.to_string()) else { continue };
            if digests.iter().any(|entry| entry.get("digest") == Some(&json!(digest))) {
                continue;
            }
            let reason: String = format!("{}: {}", need.what, need.image).chars().take(MAX_REASON).collect();
            digests.push(json!({"digest": digest, "reason": reason}));
            self.is_changed = true;
        }
    }

    /// As it becomes.
    pub(super) fn text(&self) -> Result<String, CliError> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(&self.document).map_err(io::Error::other)? + "\n",
            Format::Yaml => output::yaml(&self.document)?,
        };
        Ok(text)
    }

    /// Writes it, whole or not at all, and keeps what was there; whether there was anything to write.
    pub(super) fn write(&self, path: &Path) -> Result<bool, CliError> {
        if !self.is_changed && self.before.is_some() {
            return Ok(false);
        }
        let text = self.text()?;
        SystemPolicy::parse(text.as_bytes(), self.format)
            .map_err(|cause| refused(path, crate::chain(&cause)))?;
        if let Some(before) = &self.before {
            write::replace(&old(path), before)?;
        }
        write::replace(path, text.as_bytes())?;
        Ok(true)
    }
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".old");
    path.with_file_name(name)
}
