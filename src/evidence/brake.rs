//! The brake: a source that takes much away at once is taken for broken.
//!
//! What counts is not how many documents go but how many of the digests in use would lose something that
//! was verified: replacing good attestations by bad ones is taking them away, too.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use super::store::{Row, RowId};
use crate::attestation::{AttestorName, Evidence, KeyRing, Occurrence};
use crate::image::Digest;

/// So many digests may always lose evidence.
const ALWAYS: usize = 10;
/// Beyond, one in so many of those in use.
const ONE_IN: usize = 20;

/// What digests in use would lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// How many of them would lose evidence.
    pub lost: usize,
    /// How many there are.
    pub used: usize,
}

/// Whether that is more than a source may take away: at least 10 of the digests in use and more than 5 % of
/// them.
#[must_use]
pub(super) fn holds(loss: Loss) -> bool {
    loss.lost >= ALWAYS && loss.lost * ONE_IN > loss.used
}

/// Whether `digest` would have less without those of its `rows` that are `going`. What was `known` of it is
/// looked for first, and what goes is looked at by itself as well: a flood of what does not count, filed
/// beforehand, must not hide what is taken away.
#[must_use]
pub(super) fn loses(
    digest: Digest,
    rows: &[Row],
    going: &HashSet<RowId>,
    key_ring: &KeyRing,
    known: Option<&Evidence>,
) -> bool {
    let of = |rows: &[&Row]| {
        let occurrences: Vec<_> = rows.iter().filter_map(|row| Occurrence::parse(&row.text).ok()).collect();
        let evidence = Evidence::gather_again(digest, &occurrences, key_ring, known);
        let attestors: BTreeSet<AttestorName> =
            evidence.verified().map(|verified| verified.attestor().clone()).collect();
        (attestors, evidence.statement_count())
    };
    let (gone, staying): (Vec<_>, Vec<_>) = rows.iter().partition(|row| going.contains(&row.id));
    let ((mut before, stated), (after, still)) = (of(&rows.iter().collect::<Vec<_>>()), of(&staying));
    before.extend(of(&gone).0);
    !before.is_subset(&after) || still < stated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_ten_and_more_than_one_in_twenty() {
        let rows = [
            (0, 0, false),
            (9, 9, false),
            (10, 10, true),
            (10, 199, true),
            (10, 200, false),
            (11, 200, true),
            (50, 1_000, false),
            (51, 1_000, true),
        ];
        for (lost, used, held) in rows {
            assert_eq!(holds(Loss { lost, used }), held, "{lost} of {used}");
        }
    }
}
