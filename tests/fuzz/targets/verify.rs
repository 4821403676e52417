//! An attestor, a zero byte and an occurrence: nothing is verified but what the seeds hold, since nobody
//! here has the private keys. What a fuzzer changes beside the signed bytes may stay verified; another
//! digest or another key may not.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use binauthd::attestation::key_ring::Asked;
use binauthd::attestation::{Attestor, Evidence, Key, KeyRing, Occurrence};
use binauthd::document::Format;
use binauthd::image::Digest;
use libfuzzer_sys::fuzz_target;

const SEEDS: &[&[u8]] = &[
    include_bytes!("../seeds/verify/dsse-simple-signing"),
    include_bytes!("../seeds/verify/dsse-statement-v1"),
    include_bytes!("../seeds/verify/dsse-v1beta1"),
    include_bytes!("../seeds/verify/dsse-vsa-passed"),
    include_bytes!("../seeds/verify/ecdsa-p256-sha256-pae"),
    include_bytes!("../seeds/verify/ecdsa-p384-sha384-good"),
    include_bytes!("../seeds/verify/ecdsa-p521-sha512-good"),
    include_bytes!("../seeds/verify/jwt-es256-p256"),
    include_bytes!("../seeds/verify/jwt-rs256-rsa2048"),
    include_bytes!("../seeds/verify/ml-dsa-65-good"),
    include_bytes!("../seeds/verify/pgp-ed25519-good"),
    include_bytes!("../seeds/verify/pgp-generic"),
    include_bytes!("../seeds/verify/pgp-p256-good"),
    include_bytes!("../seeds/verify/pgp-v1beta1"),
    include_bytes!("../seeds/verify/rsa-pss-2048-sha256-good"),
    include_bytes!("../seeds/verify/rsa-sign-pkcs1-2048-sha256-good"),
];

/// The keys and digests of the seeds.
static KNOWN: LazyLock<BTreeSet<(Vec<u8>, Digest)>> = LazyLock::new(|| {
    let mut known = BTreeSet::new();
    for seed in SEEDS {
        let found = verified(seed).expect("a seed is an attestor and an occurrence");
        assert!(!found.is_empty(), "nothing is verified of {}", String::from_utf8_lossy(seed));
        known.extend(found);
    }
    known
});

/// Of everything that is verified, approvals and statements, the key and what it is about.
fn verified(data: &[u8]) -> Option<Vec<(Vec<u8>, Digest)>> {
    let at = data.iter().position(|byte| *byte == 0)?;
    let attestor = Attestor::parse(data.get(..at)?, Format::Json).ok()?;
    let occurrence = Occurrence::parse(data.get(at + 1..)?).ok()?;
    let name = attestor.name().clone();
    let asked = Asked { approvals: [name.clone()].into(), statements: [name.clone()].into() };
    let ring = KeyRing::new([attestor.clone()]).narrowed(asked, []);
    let evidence = Evidence::gather(occurrence.digest, [&occurrence], &ring);
    let key = |id: &str| match &attestor.key(id).expect("what is verified names a key").key {
        Key::Pkix(public) => public.der().to_vec(),
        // Not everything in a certificate is signed; what is, hangs on the key that the fingerprint is of.
        Key::Pgp(certificate) => certificate.key_id().as_str().as_bytes().to_vec(),
    };
    let mut found: Vec<_> =
        evidence.verified().map(|one| (key(one.key_id().as_str()), one.digest())).collect();
    for statement in evidence.statements(&name).iter().flat_map(|statements| &statements.verified) {
        assert!(statement.statement().subjects.contains(&occurrence.digest));
        found.push((key(statement.key_id().as_str()), occurrence.digest));
    }
    assert_eq!(!found.is_empty(), evidence.is_found());
    assert!(found.iter().all(|(_, digest)| *digest == occurrence.digest));
    let again = Evidence::gather_again(occurrence.digest, [&occurrence], &ring, Some(&evidence));
    assert_eq!(again.finding(&name), evidence.finding(&name), "what is known stays known");
    Some(found)
}

fuzz_target!(|data: &[u8]| {
    for one in verified(data).unwrap_or_default() {
        assert!(KNOWN.contains(&one), "a forgery");
    }
});
