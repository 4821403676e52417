//! How each source does, for people.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use serde::Serialize;

use super::{Sources, Tracked};
use crate::evidence::brake::Loss;
use crate::evidence::ledger::{Shelf, since};

/// What became of a source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is, of one on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Where it is, of another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Documents of it that are on file.
    pub attestations: u64,
    /// Documents that are none, or belong elsewhere.
    pub refused: usize,
    /// Why the source as a whole could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Listings and look-ups since start that had no answer, or a bad one.
    pub failures: u64,
    /// The first of the refused documents, with the reason, where they can be named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_documents: Vec<String>,
    /// Since everything in it was last read to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// Whether it tells of changes now, where it is asked to: they count within a second then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tells: Option<bool>,
    /// The last [`Sources::refresh`] after which all of it was read, or that was tried.
    pub refreshed: u64,
    /// Its parts, where it has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<ScopeStatus>,
}

/// A part of a source that is listed by itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeStatus {
    /// A note, a project, or everything.
    pub scope: String,
    /// Documents of it that are on file.
    pub attestations: u64,
    /// Since it was last listed to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// It has too many documents to be listed, and is asked for each digest.
    pub lookup_only: bool,
    /// What it no longer gives and nobody has agreed to lose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldStatus>,
}

/// Deletions that wait for somebody's word.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldStatus {
    /// Documents that would go.
    pub documents: usize,
    /// What the digests in use would lose.
    #[serde(flatten)]
    pub loss: Loss,
    /// RFC 3339.
    pub since: String,
}

impl Sources {
    /// What became of each source.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        let (shelves, now) = (self.shared.ledger.shelves(), self.shared.node.now());
        self.shared.sources.iter().map(|source| status(source, &shelves, now)).collect()
    }
}

fn status(source: &Tracked, shelves: &[Shelf], now: SystemTime) -> SourceStatus {
    let shelves: Vec<_> = shelves.iter().filter(|shelf| shelf.source == source.name()).collect();
    let age = |heard: SystemTime| since(heard, now).as_secs();
    let remarks = source.followed.source.remarks();
    let location = source.followed.source.location();
    let weather = source.weather.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |shelf: &&Shelf| ScopeStatus {
        scope: shelf.scope.to_string(),
        attestations: shelf.state.rows,
        age_seconds: shelf.state.synced.map(age),
        lookup_only: shelf.state.lookup_only,
        held_back: shelf.held.as_ref().map(|held| HeldStatus {
            documents: held.gone.len(),
            loss: held.loss,
            since: humantime::format_rfc3339_seconds(held.since).to_string(),
        }),
    };
    let oldest = shelves.iter().map(|shelf| shelf.state.synced).min().flatten();
    SourceStatus {
        name: source.name().to_owned(),
        path: source.followed.local.then(|| PathBuf::from(&location)),
        url: (!source.followed.local).then_some(location),
        attestations: shelves.iter().map(|shelf| shelf.state.rows).sum(),
        refused: remarks.refused.max(weather.left_out),
        problem: weather.problem.clone(),
        failures: weather.failed,
        refused_documents: remarks.documents,
        tells: weather.hears,
        age_seconds: oldest.map(age),
        refreshed: source.served.load(Ordering::Acquire),
        scopes: shelves.iter().map(of).collect(),
    }
}
