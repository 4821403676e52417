//! A document of which there is one, and how each kind of document is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::State;
use crate::attestation::Attestor;
use crate::config::slot::{DocumentStatus, Parse, Presence, Slot};
use crate::config::trust;
use crate::document::Format;
use crate::policy::{DenyList, Options, PlatformPolicy, Policy, SystemPolicy};

pub(super) fn read_policy(options: Options) -> impl Parse<Policy> {
    move |text, format| Policy::parse(text.as_bytes(), format, options).map_err(|error| error.to_string())
}

pub(super) fn read_platform_policy(text: &str, format: Format) -> Result<PlatformPolicy, String> {
    PlatformPolicy::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

pub(super) fn read_deny_list(text: &str, format: Format) -> Result<DenyList, String> {
    DenyList::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

pub(super) fn read_system_policy(text: &str, format: Format) -> Result<SystemPolicy, String> {
    SystemPolicy::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

pub(super) fn read_attestor(text: &str, format: Format) -> Result<Attestor, String> {
    Attestor::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

/// What a document is remembered under.
pub(super) fn key(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A document of which there is one.
#[derive(Debug)]
pub(super) struct Single<T> {
    /// What it is called.
    what: &'static str,
    pub(super) path: PathBuf,
    slot: Slot<T>,
}

impl<T> Single<T> {
    pub(super) fn remember(
        what: &'static str,
        path: &Path,
        stored: &trust::Documents,
        parse: impl Parse<T>,
    ) -> Self {
        Self { what, path: path.to_owned(), slot: Slot::remember(path, stored.get(&key(path)), parse) }
    }

    pub(super) fn read(&mut self, now: SystemTime, parse: impl Parse<T>) {
        if self.slot.read(&self.path, now, parse) == Presence::Gone {
            self.slot = Slot::EMPTY;
        }
    }

    /// The document, or what stands in its place.
    pub(super) fn required(&self) -> Result<Arc<T>, State> {
        match (self.slot.good(), self.slot.problem()) {
            (Some(good), _) => Ok(Arc::clone(good)),
            (None, Some(problem)) => {
                Err(State::Unreadable { what: self.what, path: self.path.clone(), problem: problem.clone() })
            }
            (None, None) => Err(State::Missing { what: self.what, path: self.path.clone() }),
        }
    }

    /// The same where a document that is not there is an empty one.
    pub(super) fn optional(&self) -> Result<Arc<T>, State>
    where
        T: Default,
    {
        match self.required() {
            Err(State::Missing { .. }) => Ok(Arc::default()),
            other => other,
        }
    }

    pub(super) fn required_status(&self) -> DocumentStatus {
        let mut status = self.slot.status(&self.path, Some(self.what.to_owned()));
        if status.version.is_none() && status.problem.is_none() {
            status.problem = Some(format!("`{}` does not exist", self.path.display()));
        }
        status
    }

    pub(super) fn optional_status(&self) -> Option<DocumentStatus> {
        let status = self.slot.status(&self.path, Some(self.what.to_owned()));
        (status.version.is_some() || status.problem.is_some()).then_some(status)
    }

    pub(super) fn remembered(&self) -> Option<(String, String)> {
        Some((key(&self.path), self.slot.text()?.clone()))
    }
}
