//! A token that is taken apart can be put together again from its parts.
#![no_main]

use binauthd::attestation::base64;
use binauthd::attestation::jwt::{Compact, MAX_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(token) = Compact::parse(text) else { return };
    assert!(text.len() <= MAX_BYTES && !token.key_id().is_empty() && !token.algorithm().is_empty());
    let signature = base64_url(token.signature());
    assert_eq!([token.signing_input(), b".", signature.as_bytes()].concat(), data);
    let payload = base64_url(token.payload());
    assert!(token.signing_input().ends_with(payload.as_bytes()));
});

fn base64_url(bytes: &[u8]) -> String {
    base64::encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}
