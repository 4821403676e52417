//! In which order signatures are looked at, so that what strangers file beside a good attestation
//! pushes it out of no bound for as long as can be helped.
//!
//! Occurrences whose payload names the digest come before others; newest and oldest take turns, since
//! whoever floods a note can be on one side only; and every occurrence has its first signature looked at
//! before any has its second, unless it stands behind many that cannot count.

use std::collections::VecDeque;

use super::occurrence::{Form, Occurrence, Signature};
use crate::image::Digest;

/// The most signatures that are so much as looked at for one attestor and digest, and as often again for
/// envelopes that name no key of it; a long one counts as one for every 256 octets. What is no signature of
/// its key or names a key of nobody costs little, and 256 MiB can hold millions of it: this is for those.
pub const MAX_LOOKED_AT: usize = 100_000;

/// Signatures of one occurrence that are passed over before the next has its turn.
const IN_A_TURN: usize = 16;

/// Octets of a signature that are read in one look.
const LOOK: usize = 256;

/// `occurrences` in the order in which they have their turn.
pub(super) fn ordered<'a>(
    digest: Digest,
    occurrences: impl Iterator<Item = &'a Occurrence>,
) -> Vec<&'a Occurrence> {
    let digits = digest.hex();
    let (mut first, mut rest): (Vec<_>, Vec<_>) =
        occurrences.partition(|occurrence| may_name_any(occurrence, &digits));
    for part in [&mut first, &mut rest] {
        part.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
    }
    from_both_ends(first).chain(from_both_ends(rest)).collect()
}

/// One signature of each occurrence in turn, of those that `counts` picks; at most [`MAX_LOOKED_AT`] are
/// looked at for that.
pub(super) fn in_turn<'a, F: Fn(&'a Signature) -> bool>(
    occurrences: &[&'a Occurrence],
    counts: F,
) -> Turns<'a, F> {
    let lines = occurrences.iter().map(|occurrence| (*occurrence, occurrence.signatures.iter())).collect();
    Turns { lines, counts, left: MAX_LOOKED_AT, is_cut: false }
}

/// See [`in_turn`].
pub(super) struct Turns<'a, F> {
    lines: VecDeque<(&'a Occurrence, std::slice::Iter<'a, Signature>)>,
    counts: F,
    left: usize,
    is_cut: bool,
}

impl<F> Turns<'_, F> {
    /// Whether it ended before everything was looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl<'a, F: Fn(&'a Signature) -> bool> Iterator for Turns<'a, F> {
    type Item = (&'a Occurrence, &'a Signature);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((occurrence, mut line)) = self.lines.pop_front() {
            for signature in line.by_ref().take(IN_A_TURN) {
                if self.left == 0 {
                    self.is_cut = true;
                    self.lines.clear();
                    return None;
                }
                self.left -= 1;
                if (self.counts)(signature) {
                    // A token is taken apart before it turns out to be none.
                    self.left = self.left.saturating_sub(signature.bytes.len() / LOOK);
                    self.lines.push_back((occurrence, line));
                    return Some((occurrence, signature));
                }
            }
            if !line.as_slice().is_empty() {
                self.lines.push_back((occurrence, line));
            }
        }
        None
    }
}

/// Whether anything signed in `occurrence` may name the digest, by its bytes.
fn may_name_any(occurrence: &Occurrence, digits: &str) -> bool {
    let mut looked_at = std::ptr::null();
    occurrence.signatures.iter().any(|signature| {
        // Thousands of signatures share one payload.
        let payload = match &signature.form {
            Form::Detached(payload) => payload.as_ptr(),
            Form::Dsse(envelope) => envelope.payload.as_ptr(),
            Form::Attached | Form::Jwt => std::ptr::null(),
        };
        let seen = !payload.is_null() && payload == looked_at;
        looked_at = payload;
        !seen && may_name(signature, digits)
    })
}

/// Whether what is signed may name the digest, by its bytes. An index, not an authority: it orders, and
/// spares a check of what could not count.
pub(super) fn may_name(signature: &Signature, digits: &str) -> bool {
    let names = |payload: &[u8]| std::str::from_utf8(payload).is_ok_and(|text| text.contains(digits));
    match &signature.form {
        Form::Detached(payload) => names(payload),
        Form::Dsse(envelope) => names(&envelope.payload),
        // Packed: it cannot be seen from outside.
        Form::Attached | Form::Jwt => true,
    }
}

fn from_both_ends<T>(items: Vec<T>) -> impl Iterator<Item = T> {
    let mut items = VecDeque::from(items);
    let mut newest = false;
    std::iter::from_fn(move || {
        newest = !newest;
        if newest { items.pop_front() } else { items.pop_back() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_take_turns() {
        assert_eq!(from_both_ends(vec![1, 2, 3, 4, 5]).collect::<Vec<_>>(), [1, 5, 2, 4, 3]);
    }
}
