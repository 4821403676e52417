//! OpenPGP: a certificate, a zero byte and a message. Under certificates whose private keys nobody here
//! has, nothing is opened but what was signed once.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use binauthd::attestation::pgp::{Certificate, MAX_CERTIFICATE, MAX_LITERAL};
use libfuzzer_sys::fuzz_target;

const SEEDS: &[&[u8]] = &[
    include_bytes!("../seeds/pgp/pgp-p256-good"),
    include_bytes!("../seeds/pgp/pgp-ed25519-good"),
    include_bytes!("../seeds/pgp/pgp-subkey"),
];

/// Certificates of the seeds, and what their messages hold.
static KNOWN: LazyLock<Vec<(Certificate, Vec<u8>)>> = LazyLock::new(|| {
    let read = |seed: &&[u8]| {
        let (certificate, message) = parts(seed).expect("a seed has two parts");
        let certificate = Certificate::parse(certificate).expect("the certificate of a seed is one");
        let literal = certificate.open(message).expect("the message of a seed opens");
        (certificate, literal)
    };
    SEEDS.iter().map(read).collect()
});

fn parts(data: &[u8]) -> Option<(&str, &[u8])> {
    let at = data.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(data.get(..at)?).ok()?, data.get(at + 1..)?))
}

fuzz_target!(|data: &[u8]| {
    let Some((armored, message)) = parts(data) else { return };
    let literals: BTreeSet<_> = KNOWN.iter().map(|(_, literal)| literal.as_slice()).collect();
    for (certificate, _) in KNOWN.iter() {
        if let Ok(opened) = certificate.open(message) {
            assert!(literals.contains(opened.as_slice()), "a forgery");
        }
    }
    let Ok(certificate) = Certificate::parse(armored) else { return };
    let id = certificate.key_id().as_str();
    assert!(id.len() == 40 && id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
    assert!(certificate.bytes().len() <= MAX_CERTIFICATE);
    if let Ok(opened) = certificate.open(message) {
        assert!(opened.len() <= MAX_LITERAL);
    }
});
