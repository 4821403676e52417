//! Serials of break-glass grants: what was seen under each, how often it was used, and which are revoked.
//!
//! A revoked serial stays revoked for good, and the first grant of a serial is the only one: another that says something
//! else under it is refused. When the memory of that was lost, grants that were signed before are refused: one of them
//! may have been revoked.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::policy::{Grant, Serial};

/// The most serials that are remembered. Those of grants that ended longest ago, unless they are revoked, make room.
const MAX: usize = 2_048;

/// Why a grant of this serial does not count.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// It is revoked.
    #[error("it was revoked at {0}")]
    Revoked(String),
    /// Another grant had it first.
    #[error("its serial was used before by a grant that says something else: sign it with another serial")]
    OtherContents,
    /// Signed before the memory of revocations was lost.
    #[error(
        "it was issued before {0}, when this node lost what it knew of revoked grants: sign it anew, with another serial"
    )]
    Forgotten(String),
    /// No room.
    #[error("this node remembers {MAX} serials already, and none of them can be forgotten")]
    Full,
}

/// What is remembered of serials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serials {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    known: BTreeMap<String, Known>,
    /// Seconds since 1970: grants that were issued before are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<u64>,
}

/// What is remembered of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// Of the payload that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// When that ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    /// When it was revoked, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<u64>,
    /// How many decisions it has let through.
    #[serde(default, skip_serializing_if = "is_zero")]
    uses: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Serials {
    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.forgotten.is_none()
    }

    /// The same where what was known before `now` is lost.
    #[must_use]
    pub(super) fn lost(now: SystemTime) -> Self {
        Self { known: BTreeMap::new(), forgotten: Some(seconds(now)) }
    }

    /// Takes in what `other` knows beyond this.
    pub(in crate::config) fn absorb(&mut self, other: &Self) {
        self.forgotten = self.forgotten.max(other.forgotten);
        for (serial, theirs) in &other.known {
            let ours = self.known.entry(serial.clone()).or_default();
            ours.payload = ours.payload.take().or_else(|| theirs.payload.clone());
            ours.expires = ours.expires.or(theirs.expires);
            ours.revoked = ours.revoked.or(theirs.revoked);
            ours.uses = ours.uses.max(theirs.uses);
        }
    }

    /// Whether a grant may count, as far as its serial tells. Nothing is remembered of it by this.
    ///
    /// # Errors
    /// See [`SerialError`].
    pub fn admit(&self, grant: &Grant) -> Result<(), SerialError> {
        if let Some(known) = self.known.get(grant.serial().as_str()) {
            if let Some(revoked) = known.revoked {
                return Err(SerialError::Revoked(rfc3339(revoked)));
            }
            if known.payload.as_ref().is_some_and(|payload| *payload != grant.payload().to_string()) {
                return Err(SerialError::OtherContents);
            }
        }
        match self.forgotten {
            Some(then) if seconds(grant.issued()) < then => Err(SerialError::Forgotten(rfc3339(then))),
            _ => Ok(()),
        }
    }

    /// Whether this very grant was seen before.
    #[must_use]
    pub(in crate::config) fn has_seen(&self, grant: &Grant) -> bool {
        let known = self.known.get(grant.serial().as_str());
        known.is_some_and(|known| known.payload == Some(grant.payload().to_string()))
    }

    /// Remembers a grant that may count.
    ///
    /// # Errors
    /// [`SerialError::Full`].
    pub(in crate::config) fn note(&mut self, grant: &Grant, now: SystemTime) -> Result<(), SerialError> {
        let known = self.entry(grant.serial(), now)?;
        known.payload.get_or_insert_with(|| grant.payload().to_string());
        known.expires.get_or_insert_with(|| seconds(grant.expires()));
        Ok(())
    }

    /// Revokes a serial, seen or not, for good. One that is revoked already stays so since then.
    ///
    /// # Errors
    /// [`SerialError::Full`].
    pub fn revoke(&mut self, serial: &Serial, now: SystemTime) -> Result<(), SerialError> {
        let known = self.entry(serial, now)?;
        known.revoked.get_or_insert_with(|| seconds(now));
        Ok(())
    }

    /// Counts decisions that it has let through; of a serial that is not known, none.
    pub(in crate::config) fn count(&mut self, serial: &str, uses: u64) {
        if let Some(known) = self.known.get_mut(serial) {
            known.uses = known.uses.saturating_add(uses);
        }
    }

    /// How many decisions it has let through.
    #[must_use]
    pub fn uses(&self, serial: &Serial) -> u64 {
        self.known.get(serial.as_str()).map_or(0, |known| known.uses)
    }

    /// Every revoked serial, with when it was, RFC 3339.
    pub fn revoked(&self) -> impl Iterator<Item = (&str, String)> {
        self.known.iter().filter_map(|(serial, known)| Some((serial.as_str(), rfc3339(known.revoked?))))
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    fn entry(&mut self, serial: &Serial, now: SystemTime) -> Result<&mut Known, SerialError> {
        if !self.known.contains_key(serial.as_str()) && self.known.len() >= MAX {
            let over = self.known.iter().filter(|(_, known)| known.is_over(now));
            let oldest = over.min_by_key(|(_, known)| known.expires).map(|(serial, _)| serial.clone());
            self.known.remove(&oldest.ok_or(SerialError::Full)?);
        }
        Ok(self.known.entry(serial.to_string()).or_default())
    }
}

impl Known {
    fn is_over(&self, now: SystemTime) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| expires <= seconds(now))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(super::MAX_MARK)
}

fn rfc3339(seconds: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(super::MAX_MARK));
    humantime::format_rfc3339_seconds(time).to_string()
}
