//! An envelope: a payload type, a zero byte and a payload, which is read as a statement, too.
#![no_main]

use binauthd::attestation::statement::MAX_FINDINGS;
use binauthd::attestation::{Predicate, Statement, dsse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(at) = data.iter().position(|byte| *byte == 0) else { return };
    let (kind, payload) = data.split_at(at);
    let payload = payload.get(1..).unwrap_or_default();
    if let Ok(kind) = std::str::from_utf8(kind) {
        let encoded = dsse::pae(kind, payload);
        assert_eq!(decoded(&encoded), Some((kind.as_bytes(), payload)), "PAE can be read in one way");
    }
    let Ok(statement) = Statement::parse(payload) else { return };
    let text = std::str::from_utf8(payload).expect("a statement is UTF-8");
    assert!(!statement.subjects.is_empty() && !statement.predicate_type.is_empty() || text.contains("\"\""));
    if !text.contains('\\') {
        assert!(statement.subjects.iter().all(|digest| text.contains(&digest.hex())));
    }
    match &statement.predicate {
        Predicate::Scan(scan) => assert!(scan.findings.len() <= MAX_FINDINGS),
        Predicate::Provenance(provenance) => assert!(!provenance.builder.is_empty()),
        Predicate::Negative(why) | Predicate::Unreadable(why) | Predicate::UnreadableScan(why) => {
            assert!(why.chars().count() <= 250 && !why.chars().any(binauthd::text::misleads));
        }
        Predicate::Other => {}
    }
});

/// PAE backwards.
fn decoded(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    fn field(from: &[u8]) -> Option<(&[u8], &[u8])> {
        let at = from.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(from.get(..at)?).ok()?.parse().ok()?;
        from.get(at + 1..)?.split_at_checked(length)
    }
    let (kind, rest) = field(encoded.strip_prefix(b"DSSEv1 ")?)?;
    let (payload, rest) = field(rest.strip_prefix(b" ")?)?;
    rest.is_empty().then_some((kind, payload))
}
