//! What would be blocked if everything that only reports refused: what a dry run is for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::trail::{Entry, Filter, Lines};
use crate::image::Digest;

/// Images that are told apart, for each reason; those beyond it are counted alone.
pub const MOST: usize = 10_000;
/// Namespaces that are named of one image.
const NAMESPACES: usize = 32;

/// An image that was refused, or would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// Its name as it was asked for; empty where none was known.
    pub image: String,
    /// Its digest, where one was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why: a reason code.
    pub reason: String,
    /// The pods' namespaces, as far as they are known: pulls have none. 32 at most.
    pub namespaces: BTreeSet<String>,
    /// How often.
    pub count: u64,
    /// How often it was refused indeed.
    pub refused: u64,
    /// The first time.
    #[serde(serialize_with = "rfc3339")]
    pub first: SystemTime,
    /// The last time.
    #[serde(serialize_with = "rfc3339")]
    pub last: SystemTime,
}

/// All of a span, the most frequent first.
#[derive(Debug, Default, Clone, Serialize)]
pub struct WouldBlock {
    /// By image, digest and reason.
    pub images: Vec<Blocked>,
    /// Decisions about images beyond [`MOST`], and about those that the trail only counts.
    pub beyond: u64,
}

/// Reads what would have been blocked from `since` on and before `until`, of the trail whose newest file is `file`.
/// Violations of containers that run already are not among it: each was a decision before.
///
/// # Errors
/// Where the trail cannot be read.
pub fn would_block(file: &Path, since: SystemTime, until: SystemTime) -> io::Result<WouldBlock> {
    let filter = Filter { since: Some(since), until: Some(until), ..Filter::default() };
    let mut collected = Collected::default();
    let mut lines = Lines::of(file)?;
    while let Some(entry) = lines.next_entry()? {
        if filter.takes(&entry) {
            collected.take(&entry);
        }
    }
    Ok(collected.end())
}

/// What was taken so far.
#[derive(Debug, Default)]
pub(super) struct Collected {
    found: BTreeMap<(String, String, String), Blocked>,
    beyond: u64,
}

impl Collected {
    /// Takes a line, if it tells of a question at a gate that would have been refused.
    pub(super) fn take(&mut self, entry: &Entry) {
        let is_decision = entry.is_of_decisions() && entry.text("/gate") != "running";
        if !is_decision || entry.text("/would") != "DENY" || entry.text("/reason") == "CANARY" {
            return;
        }
        if entry.kind() == "summary" {
            // Of how many images, and which beside the first and the last, the trail does not tell.
            self.beyond += entry.count();
            return;
        }
        let key = ["/digest", "/image", "/reason"].map(|pointer| entry.text(pointer).to_owned());
        let key: (String, String, String) = key.into();
        if self.found.len() >= MOST && !self.found.contains_key(&key) {
            self.beyond += entry.count();
            return;
        }
        let blocked = self.found.entry(key).or_insert_with_key(|(digest, image, reason)| Blocked {
            image: image.clone(),
            digest: digest.parse().ok(),
            reason: reason.clone(),
            namespaces: BTreeSet::new(),
            count: 0,
            refused: 0,
            first: entry.time,
            last: entry.time,
        });
        blocked.count += entry.count();
        if entry.text("/verdict") != "ALLOW" {
            blocked.refused += entry.count();
        }
        blocked.first = blocked.first.min(entry.time);
        blocked.last = blocked.last.max(entry.time);
        let namespace = entry.text("/container/podNamespace");
        if !namespace.is_empty() && blocked.namespaces.len() < NAMESPACES {
            blocked.namespaces.insert(namespace.to_owned());
        }
    }

    pub(super) fn end(self) -> WouldBlock {
        let mut images: Vec<_> = self.found.into_values().collect();
        images.sort_by(|one, other| other.count.cmp(&one.count).then(one.image.cmp(&other.image)));
        WouldBlock { images, beyond: self.beyond }
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_would_be_blocked_is_counted_by_image_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.jsonl");
        let digest = Digest::of(b"a");
        let line = |minute: u32, kind: &str, would: &str, verdict: &str, more: &str| {
            format!(
                "{{\"time\":\"2026-11-26T10:{minute:02}:00Z\",\"kind\":\"{kind}\",\"would\":\"{would}\",\"verdict\":\"{verdict}\",\
                 \"image\":\"a/b:1\",\"digest\":\"{digest}\",\"reason\":\"NO_ATTESTATION\"{more}}}\n"
            )
        };
        let text = [
            line(0, "decision", "DENY", "ALLOW", ""), // too early
            line(1, "decision", "DENY", "ALLOW", ",\"container\":{\"podNamespace\":\"x\"}"),
            line(2, "decision", "ALLOW", "ALLOW", ""),
            line(3, "repeats", "DENY", "DENY", ",\"count\":7,\"container\":{\"podNamespace\":\"y\"}"),
            line(4, "decision", "DENY", "ALLOW", ",\"gate\":\"running\""),
            line(4, "summary", "DENY", "DENY", ",\"count\":9").replace("a/b:1", ""),
            line(5, "decision", "DENY", "ALLOW", "").replace("NO_ATTESTATION", "OTHER"),
            "nonsense\n".to_owned(),
            line(9, "decision", "DENY", "ALLOW", ""), // too late
        ]
        .concat();
        fs::write(&file, text).unwrap();
        let at = |minute: u64| {
            humantime::parse_rfc3339("2026-11-26T10:00:00Z").unwrap() + Duration::from_secs(minute * 60)
        };
        let found = would_block(&file, at(1), at(9)).unwrap();
        assert_eq!((found.images.len(), found.beyond), (2, 9));
        let first = &found.images[0];
        assert_eq!((first.count, first.refused, first.reason.as_str()), (8, 7, "NO_ATTESTATION"));
        assert_eq!((first.digest, first.first, first.last), (Some(digest), at(1), at(3)));
        assert_eq!(first.namespaces.iter().map(String::as_str).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((found.images[1].count, found.images[1].refused), (1, 0));
    }
}
