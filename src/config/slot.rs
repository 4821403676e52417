//! One document that decides trust: what is good of it, and what is wrong with the file as it stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::trusted;
use crate::document::{Format, MAX_BYTES, Version};

/// What became of one document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentStatus {
    /// The file.
    pub path: PathBuf,
    /// Of an attestor its name, where it is known; of another document what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `current`, `last good`, or `refused` when there is no good version.
    pub state: &'static str,
    /// Of the version that is obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// When that version was read, RFC 3339; none for one remembered from before a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded: Option<String>,
    /// Why the file as it stands is not obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A document and its last good version.
#[derive(Debug)]
pub(super) struct Slot<T> {
    good: Option<Good<T>>,
    problem: Option<String>,
}

#[derive(Debug)]
struct Good<T> {
    value: Arc<T>,
    text: String,
    /// None for what was remembered from before a restart.
    loaded: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Presence {
    Here,
    Gone,
}

/// How a text is read.
pub(super) trait Parse<T>: Fn(&str, Format) -> Result<T, String> {}
impl<T, F: Fn(&str, Format) -> Result<T, String>> Parse<T> for F {}

impl<T> Slot<T> {
    pub(super) const EMPTY: Self = Self { good: None, problem: None };

    /// A last good version from before a restart. One that this version refuses is not obeyed.
    pub(super) fn remember(path: &Path, text: Option<&String>, parse: impl Parse<T>) -> Self {
        let good = text.and_then(|text| {
            let value = parse(text, Format::of(path)).ok()?;
            Some(Good { value: Arc::new(value), text: text.clone(), loaded: None })
        });
        Self { good, problem: None }
    }

    pub(super) fn read(&mut self, path: &Path, now: SystemTime, parse: impl Parse<T>) -> Presence {
        let bytes = match trusted::read(path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Presence::Gone,
            Err(error) => {
                self.problem = Some(error.to_string());
                return Presence::Here;
            }
        };
        let read = String::from_utf8(bytes)
            .map_err(|_| "the document is not UTF-8".to_owned())
            .and_then(|text| Ok((parse(&text, Format::of(path))?, text)));
        match read {
            Ok((value, text)) => {
                self.problem = None;
                if self.good.as_ref().is_none_or(|good| good.text != text || good.loaded.is_none()) {
                    self.good = Some(Good { value: Arc::new(value), text, loaded: Some(now) });
                }
            }
            Err(problem) => self.problem = Some(problem),
        }
        Presence::Here
    }

    /// The version that is obeyed.
    pub(super) fn good(&self) -> Option<&Arc<T>> {
        self.good.as_ref().map(|good| &good.value)
    }

    /// Its text.
    pub(super) fn text(&self) -> Option<&String> {
        self.good.as_ref().map(|good| &good.text)
    }

    /// Why the file as it stands is not obeyed.
    pub(super) fn problem(&self) -> Option<&String> {
        self.problem.as_ref()
    }

    pub(super) fn fail(&mut self, problem: String) {
        self.problem = Some(problem);
    }

    pub(super) fn status(&self, path: &Path, name: Option<String>) -> DocumentStatus {
        let good = self.good.as_ref();
        DocumentStatus {
            path: path.to_owned(),
            name,
            state: match (good, &self.problem) {
                (Some(_), None) => "current",
                (Some(_), Some(_)) => "last good",
                (None, _) => "refused",
            },
            version: good.map(|good| Version::of(good.text.as_bytes())),
            loaded: good
                .and_then(|good| good.loaded)
                .map(|loaded| humantime::format_rfc3339_seconds(loaded).to_string()),
            problem: self.problem.clone(),
        }
    }
}
