//! An occurrence names its digest where it says so, and holds no more than its document did.
#![no_main]

use binauthd::attestation::Occurrence;
use binauthd::attestation::occurrence::Form;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(occurrence) = Occurrence::parse(data) else { return };
    assert!(occurrence.resource.ends_with(&format!("@{}", occurrence.digest)));
    assert!(occurrence.name.chars().count() <= 256 && !occurrence.name.chars().any(binauthd::text::misleads));
    let held: usize = occurrence.signatures.iter().map(|one| one.bytes.len() + one.key_id.len()).sum();
    // A token's key id is in it, too.
    assert!(held <= 2 * data.len(), "{held} bytes of {}", data.len());
    for signature in &occurrence.signatures {
        let payload = match &signature.form {
            Form::Detached(payload) => payload.len(),
            Form::Dsse(envelope) => envelope.payload.len() + envelope.payload_type.len(),
            Form::Attached | Form::Jwt => 0,
        };
        assert!(payload <= data.len());
    }
    assert_eq!(Occurrence::parse(data).ok(), Some(occurrence));
});
