//! In which order signatures are looked at, so that what strangers file beside a good attestation
//! pushes it out of no bound for as long as can be helped.
//!
//! Occurrences whose payload names the digest come before others; newest and oldest take turns, since
//! whoever floods a note can be on one side only; and every occurrence has its first signature looked at
//! before any has its second.

use std::collections::VecDeque;

use super::occurrence::{Form, Occurrence, Signature};
use crate::image::Digest;

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

/// One signature of each occurrence in turn, of those that `counts` picks.
pub(super) fn in_turn<'a>(
    occurrences: &[&'a Occurrence],
    counts: impl Fn(&Signature) -> bool,
) -> impl Iterator<Item = (&'a Occurrence, &'a Signature)> {
    let mut lines: VecDeque<_> =
        occurrences.iter().map(|occurrence| (*occurrence, occurrence.signatures.iter())).collect();
    std::iter::from_fn(move || {
        loop {
            let (occurrence, mut line) = lines.pop_front()?;
            if let Some(signature) = line.find(|signature| counts(signature)) {
                lines.push_back((occurrence, line));
                return Some((occurrence, signature));
            }
        }
    })
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
