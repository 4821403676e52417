//! Digests that somebody who may file attestations makes as dear to judge as he can.
//!
//! Every flood is newer than the one good attestation beside it. Two attestors share the note: `good` has
//! its own key beside the flooded ones and is attested; `lost` has only those, so everything that it is
//! ever to look at is looked at.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use binauthd::attestation::dsse::Envelope;
use binauthd::attestation::occurrence::{Form, Signature};
use binauthd::attestation::{Attestor, Evidence, KeyRing, Occurrence, base64, payload};
use binauthd::document::Format;
use binauthd::image::Digest;
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use super::attest::Key;

const REPOSITORY: &str = "registry.example.com/team/app";
const NOTE: &str = "projects/bench/notes/good";
const COUNT: usize = 10_000;
const RSA_4096: &str = include_str!("hostile/rsa4096.pem");
/// Signed once, not compressed; its last octets are those of the signature's second number.
const PGP_MESSAGE: &[u8] = include_bytes!("hostile/p521.gpg");
const PGP_KEY: &str = include_str!("../../tests/corpus/keys/TEST-ONLY-pgp-p521.public.asc");

/// The floods, and what each is about.
pub(crate) const FLOODS: &[&str] = &[
    "P-256, an occurrence each",
    "P-256, in one occurrence",
    "P-256, under both keys of two",
    "malformed",
    "unknown key ids",
    "DSSE, unknown key ids, 10 keys",
    "OpenPGP P-521 messages, v1beta1",
    "tokens",
    "RSA-4096",
    "P-384",
    "P-521",
    "ML-DSA-65",
    "P-256 over 500 KiB, in one occurrence",
    "copies of one, over 500 KiB each",
    "1,000,000 malformed, in 100 occurrences",
];

/// One digest and everything that is filed for it.
pub(crate) struct Hostile {
    pub(crate) digest: Digest,
    pub(crate) occurrences: Vec<Occurrence>,
    pub(crate) ring: KeyRing,
}

impl Hostile {
    /// The flood of this name.
    pub(crate) fn new(flood: &str) -> Self {
        let digest = Digest::of(b"hostile");
        let text = payload::gcloud(REPOSITORY, digest).into_bytes();
        let own = Key::new(1);
        let (p256, key_id) = pkix("flooded", Key::new(2).pem(), "ECDSA_P256_SHA256");
        let mut keys = vec![p256];
        let over = |text: &[u8]| Form::Detached(text.into());
        let each = |signature: &dyn Fn(usize) -> Signature| (0..COUNT).map(|n| vec![signature(n)]).collect();
        let one = |form: Form, bytes: &dyn Fn(usize) -> Vec<u8>, count| {
            let key_id = key_id.clone();
            vec![
                (0..count)
                    .map(|n| Signature { key_id: key_id.clone(), form: form.clone(), bytes: bytes(n) })
                    .collect(),
            ]
        };
        let detached = |bytes: Vec<u8>| Signature { key_id: key_id.clone(), form: over(&text), bytes };
        let long = [text.as_slice(), &vec![b' '; 500 * 1024]].concat();
        let filed: Vec<Vec<Signature>> = match flood {
            "P-256, an occurrence each" => each(&|n| detached(ecdsa(n))),
            "P-256, in one occurrence" => one(over(&text), &ecdsa, COUNT),
            "P-256, under both keys of two" => {
                keys.push(pkix("second", Key::new(3).pem(), "ECDSA_P256_SHA256").0);
                let id = |n: usize| ["flooded", "second"][n % 2].to_owned();
                each(&|n| Signature { key_id: id(n), form: over(&text), bytes: ecdsa(n) })
            }
            "malformed" => each(&|n| detached(n.to_be_bytes().to_vec())),
            "unknown key ids" => each(&|n| Signature { key_id: format!("k{n}"), ..detached(ecdsa(n)) }),
            "DSSE, unknown key ids, 10 keys" => {
                let more = (3..12)
                    .map(|seed| pkix(&format!("more{seed}"), Key::new(seed).pem(), "ECDSA_P256_SHA256").0);
                keys.extend(more);
                let payload_type = payload::MEDIA_TYPE.to_owned();
                let envelope =
                    || Arc::new(Envelope { payload_type: payload_type.clone(), payload: text.clone() });
                each(&|n| Signature {
                    key_id: format!("k{n}"),
                    form: Form::Dsse(envelope()),
                    bytes: ecdsa(n),
                })
            }
            "OpenPGP P-521 messages, v1beta1" => {
                keys = vec![json!({ "asciiArmoredPgpPublicKey": PGP_KEY })];
                each(&|n| Signature {
                    key_id: "7A7293D6395E7256720F81D9C9EE33A3BCD261F0".into(),
                    form: Form::Attached,
                    bytes: message(n),
                })
            }
            "tokens" => {
                each(&|n| Signature { key_id: key_id.clone(), form: Form::Jwt, bytes: token(&key_id, n) })
            }
            "RSA-4096" => {
                keys = vec![pkix("flooded", RSA_4096, "RSA_PSS_4096_SHA256").0];
                each(&|n| detached(rsa(n)))
            }
            "P-521" => {
                keys = vec![pkix("flooded", &p521_pem(), "ECDSA_P521_SHA512").0];
                each(&|n| detached(ecdsa(n)))
            }
            "P-384" => {
                keys = vec![pkix("flooded", &p384_pem(), "ECDSA_P384_SHA384").0];
                each(&|n| detached(ecdsa(n)))
            }
            "ML-DSA-65" => {
                let (pem, signature) = ml_dsa();
                keys = vec![pkix("flooded", &pem, "ML_DSA_65").0];
                each(&|n| detached(spoilt(&signature, n)))
            }
            "P-256 over 500 KiB, in one occurrence" => one(over(&long), &ecdsa, COUNT),
            "copies of one, over 500 KiB each" => (0..30)
                .map(|_| {
                    vec![Signature { bytes: ecdsa(0), form: over(&long), key_id: key_id.clone() }; COUNT]
                })
                .collect(),
            "1,000,000 malformed, in 100 occurrences" => {
                (0..100).flat_map(|_| one(over(&text), &|n| n.to_be_bytes().to_vec(), COUNT)).collect()
            }
            other => panic!("no flood `{other}`"),
        };
        let (mine, _) = pkix("mine", own.pem(), "ECDSA_P256_SHA256");
        let good: Vec<_> = keys.iter().cloned().chain([mine]).collect();
        let mut occurrences: Vec<_> = filed.into_iter().map(|some| strange(digest, some)).collect();
        occurrences.push(signed(&own, digest));
        let ring = KeyRing::new([attestor("good", &good), attestor("lost", &keys)]);
        Self { digest, occurrences, ring }
    }

    /// Everything that is filed checked: the good one counts, and nothing else does.
    pub(crate) fn gather(&self) -> Evidence {
        let evidence = Evidence::gather(self.digest, &self.occurrences, &self.ring);
        assert_eq!(evidence.verified().count(), 1);
        evidence
    }
}

fn attestor(id: &str, keys: &[Value]) -> Attestor {
    let note = json!({ "noteReference": NOTE, "publicKeys": keys });
    let document = json!({ "name": format!("projects/bench/attestors/{id}"), "userOwnedGrafeasNote": note });
    Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
}

fn pkix(id: &str, pem: &str, algorithm: &str) -> (Value, String) {
    let key = json!({ "publicKeyPem": pem, "signatureAlgorithm": algorithm });
    (json!({ "id": id, "pkixPublicKey": key }), id.to_owned())
}

fn strange(digest: Digest, signatures: Vec<Signature>) -> Occurrence {
    Occurrence {
        name: "projects/bench/occurrences/strange".into(),
        note: NOTE.into(),
        digest,
        resource: format!("https://{REPOSITORY}@{digest}"),
        created: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)),
        signatures,
    }
}

fn signed(key: &Key, digest: Digest) -> Occurrence {
    let mut good = Occurrence::parse(key.attest("good", REPOSITORY, digest).as_bytes()).unwrap();
    for signature in &mut good.signatures {
        signature.key_id = "mine".into();
    }
    good
}

/// DER of two numbers that are in range on every curve.
fn ecdsa(n: usize) -> Vec<u8> {
    let [r, s] = ["r", "s"].map(|name| {
        let hex = Digest::of(format!("{name} {n}").as_bytes()).hex();
        let octets = (1..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap());
        [vec![2, 32, 0x11], octets.collect()].concat()
    });
    [vec![0x30, 68], r, s].concat()
}

/// As long as the modulus and less than it.
fn rsa(n: usize) -> Vec<u8> {
    (0..16).flat_map(|part| ecdsa(16 * n + part)[4..36].to_vec()).collect::<Vec<_>>()
}

fn spoilt(signature: &[u8], n: usize) -> Vec<u8> {
    [&n.to_be_bytes(), &signature[8..]].concat()
}

fn message(n: usize) -> Vec<u8> {
    let kept = PGP_MESSAGE.len() - 8;
    [&PGP_MESSAGE[..kept], &n.to_be_bytes()].concat()
}

fn token(key_id: &str, n: usize) -> Vec<u8> {
    let url = |bytes: &[u8]| base64::encode(bytes).replace('+', "-").replace('/', "_").replace('=', "");
    let header = json!({ "typ": "JWT", "alg": "ES256", "kid": key_id }).to_string();
    let der = ecdsa(n);
    let raw = [&der[4..36], &der[38..]].concat();
    format!("{}.{}.{}", url(header.as_bytes()), url(&n.to_be_bytes()), url(&raw)).into_bytes()
}

fn p521_pem() -> String {
    let key = p521::ecdsa::SigningKey::from_slice(&[[0].as_slice(), &[7; 65]].concat()).unwrap();
    p521::ecdsa::VerifyingKey::from(&key).to_public_key_pem(LineEnding::LF).unwrap()
}

fn p384_pem() -> String {
    let key = p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
    p384::ecdsa::VerifyingKey::from(&key).to_public_key_pem(LineEnding::LF).unwrap()
}

/// A key and a signature of it over something else.
fn ml_dsa() -> (String, Vec<u8>) {
    use ml_dsa::signature::{Keypair as _, Signer as _};
    use ml_dsa::{MlDsa65, SigningKey};
    let key = SigningKey::<MlDsa65>::from_seed(&std::array::from_fn(|i| i as u8).into());
    let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    (pem, key.sign(b"something else").encode().to_vec())
}
