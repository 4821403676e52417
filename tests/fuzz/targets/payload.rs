//! A claim names a digest that stands in the bytes that were signed.
#![no_main]

use binauthd::attestation::{Claim, payload};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(claim) = Claim::parse(data) else { return };
    let text = std::str::from_utf8(data).expect("JSON is UTF-8");
    // Unless it is spelled with escapes.
    assert!(text.contains('\\') || text.contains(&claim.digest.to_string()));
    if !claim.docker_reference.contains(['"', '\\']) && !claim.docker_reference.contains(char::is_control) {
        let canonical = payload::gcloud(&claim.docker_reference, claim.digest);
        assert_eq!(Claim::parse(canonical.as_bytes()), Ok(claim));
    }
});
