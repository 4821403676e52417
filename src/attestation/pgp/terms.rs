//! What the primary key's signatures say about a key: whether it signs, how long, and until what.

use pgp::packet::{RevocationCode, Signature, SubpacketData};

/// What one signature of the primary key says about a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) made: u32,
    /// Seconds from the creation of the key.
    pub(super) expires_after: Option<u32>,
    /// `None` where it has no key flags, as before RFC 4880.
    pub(super) signs: Option<bool>,
}

impl Terms {
    pub(super) fn of(signature: &Signature) -> Self {
        let has_flags = signature.config().is_some_and(|config| {
            config.hashed_subpackets().any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)))
        });
        Self {
            made: made(signature),
            expires_after: signature
                .key_expiration_time()
                .map(|after| after.as_secs())
                .filter(|after| *after > 0),
            signs: has_flags.then(|| signature.key_flags().sign()),
        }
    }

    pub(super) fn newest(known: Option<Self>, other: Self) -> Option<Self> {
        Some(match known {
            Some(known) if known.made > other.made => known,
            Some(known) if known.made == other.made => known.strictest(other),
            _ => other,
        })
    }

    pub(super) fn strictest(self, other: Self) -> Self {
        let signs = match (self.signs, other.signs) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        };
        Self { made: self.made, expires_after: earliest(self.expires_after, other.expires_after), signs }
    }
}

/// From when on a revocation counts. Only a reason that leaves the key trustworthy until then spares what
/// it signed before (RFC 9580, section 5.2.3.31).
pub(super) fn revocation(signature: &Signature) -> u32 {
    match signature.revocation_reason_code() {
        Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired) => made(signature),
        _ => 0,
    }
}

/// Without a time it is as old as can be.
pub(super) fn made(signature: &Signature) -> u32 {
    signature.created().map_or(0, |time| time.as_secs())
}

pub(super) fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
