mod vectors;

use ml_dsa::{Keypair as _, MlDsa65, SigningKey};
use p256::ecdsa::signature::SignatureEncoding as _;

use self::vectors::*;
use super::*;
use crate::attestation::payload;

/// The P-256 key of the known-answer vectors.
pub(crate) const P256_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvgIMsXWHkzCb6RxjV0BrxMypUsr2
IT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ==
-----END PUBLIC KEY-----
";
pub(crate) const P256_ID: &str = "ni:///sha-256;brF8RW4OMNJYtiWM4A2K0q3hkfUX-WdkF42aSb0G5oY";
const GOOGLE_BODY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXnpuYEfvLl1kj4fjxViFRwY1a+zC5qzlf9LJIK+rnjq42tiKGyyXMbnZKJiYPPdMDGyltnkrABnztg2jJ48aYQ==";

fn p256(pem: &str) -> Result<PublicKey, KeyError> {
    PublicKey::from_pem(pem, Algorithm::EcdsaP256Sha256)
}

fn pem(body: &str) -> String {
    if body == P256_PEM { body.to_owned() } else { format!("{PEM_BEGIN}\n{body}\n{PEM_END}\n") }
}

fn payload() -> Vec<u8> {
    let digest = format!("sha256:{}", "ab".repeat(32));
    payload::gcloud("registry.example.com/team/app", digest.parse().unwrap()).into_bytes()
}

fn bytes(text: &str) -> Vec<u8> {
    base64::decode(text).unwrap()
}

/// Signatures over [`payload`] that hold: every algorithm at least once.
const HOLD: &[(Algorithm, &str, &str)] = &[
    (Algorithm::RsaPss2048Sha256, RSA_2048, PSS_2048_SHA256),
    (Algorithm::RsaPss2048Sha256, RSA_2048_OTHER, PSS_2048_SHA256_LONGEST),
    (Algorithm::RsaPss2048Sha256, RSA_2048_OTHER, PSS_2048_SHA256_NO_SALT),
    (Algorithm::RsaPss3072Sha256, RSA_3072, PSS_3072_SHA256),
    (Algorithm::RsaPss4096Sha256, RSA_4096, PSS_4096_SHA256_LONGEST),
    (Algorithm::RsaPss4096Sha512, RSA_4096, PSS_4096_SHA512),
    (Algorithm::RsaPss4096Sha512, RSA_4096, PSS_4096_SHA512_LONGEST),
    (Algorithm::RsaPkcs12048Sha256, RSA_2048, PKCS1_2048_SHA256),
    (Algorithm::RsaPkcs13072Sha256, RSA_3072, PKCS1_3072_SHA256),
    (Algorithm::RsaPkcs14096Sha256, RSA_4096, PKCS1_4096_SHA256),
    (Algorithm::RsaPkcs14096Sha512, RSA_4096, PKCS1_4096_SHA512),
    (Algorithm::EcdsaP256Sha256, P256_PEM, ECDSA_P256),
    (Algorithm::EcdsaP384Sha384, P384, ECDSA_P384),
    (Algorithm::EcdsaP521Sha512, P521, ECDSA_P521),
    (Algorithm::MlDsa65, ML_DSA_65_KEY, ML_DSA_65),
];

/// An ECDSA signature as JWS has it; the others as they are.
fn as_jws(algorithm: Algorithm, signature: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::EcdsaP256Sha256 => p256::ecdsa::Signature::from_der(signature).unwrap().to_vec(),
        Algorithm::EcdsaP384Sha384 => p384::ecdsa::Signature::from_der(signature).unwrap().to_vec(),
        Algorithm::EcdsaP521Sha512 => p521::ecdsa::Signature::from_der(signature).unwrap().to_vec(),
        _ => signature.to_vec(),
    }
}

#[test]
fn known_answers() {
    let payload = payload();
    for algorithm in Algorithm::ALL {
        assert!(HOLD.iter().any(|(tested, ..)| tested == algorithm), "{algorithm}");
    }
    for &(algorithm, key, signature) in HOLD {
        let key = PublicKey::from_pem(&pem(key), algorithm).unwrap();
        let signature = bytes(signature);
        let jws = as_jws(algorithm, &signature);
        assert_eq!(key.check(&payload, &signature), Check::Holds, "{algorithm}");
        assert_eq!(key.check_jws(&payload, &jws), Check::Holds, "{algorithm}");
        assert!(key.verifies(&payload, &signature));
        let shorter = payload.strip_suffix(b"\n").unwrap();
        assert_eq!(key.check(shorter, &signature), Check::Fails, "{algorithm}");
        assert_eq!(key.check_jws(shorter, &jws), Check::Fails, "{algorithm}");
        if jws != signature {
            assert_eq!(key.check(&payload, &jws), Check::Malformed, "{algorithm}");
            assert_eq!(key.check_jws(&payload, &signature), Check::Malformed, "{algorithm}");
        }
        for byte in [20, signature.len() / 2, signature.len() - 1] {
            let mut signature = signature.clone();
            signature[byte] ^= 1;
            assert_ne!(key.check(&payload, &signature), Check::Holds, "{algorithm}, byte {byte}");
        }
        assert_eq!(
            (key.algorithm(), format!("{key:?}")),
            (algorithm, format!("PublicKey({})", key.default_id()))
        );
    }
}

#[test]
fn other_hashes_schemes_and_contexts_fail() {
    let payload = payload();
    let signer = SigningKey::<MlDsa65>::from_seed(&std::array::from_fn(|i| i as u8).into());
    assert!(bytes(ML_DSA_65_KEY).ends_with(&signer.verifying_key().encode()));
    let with_context = signer.expanded_key().sign_deterministic(&payload, b"x").unwrap();
    let with_context = base64::encode(&with_context.to_vec());
    let rows = [
        (Algorithm::RsaPss2048Sha256, RSA_2048_OTHER, PSS_2048_MGF1_SHA512),
        (Algorithm::RsaPss2048Sha256, RSA_2048_OTHER, PSS_2048_SHA256),
        (Algorithm::RsaPss2048Sha256, RSA_2048, PKCS1_2048_SHA256),
        (Algorithm::RsaPkcs12048Sha256, RSA_2048, PSS_2048_SHA256),
        (Algorithm::RsaPss4096Sha256, RSA_4096, PSS_4096_SHA512),
        (Algorithm::RsaPss4096Sha512, RSA_4096, PSS_4096_SHA256_LONGEST),
        (Algorithm::RsaPkcs14096Sha256, RSA_4096, PKCS1_4096_SHA512),
        (Algorithm::RsaPkcs14096Sha512, RSA_4096, PKCS1_4096_SHA256),
        (Algorithm::EcdsaP384Sha384, P384, ECDSA_P384_SHA256),
        (Algorithm::MlDsa65, ML_DSA_65_KEY, &with_context),
    ];
    for (algorithm, key, signature) in rows {
        let key = PublicKey::from_pem(&pem(key), algorithm).unwrap();
        assert_eq!(key.check(&payload, &bytes(signature)), Check::Fails, "{algorithm}");
    }
}

#[test]
fn what_is_no_signature_is_malformed() {
    for &(algorithm, key, signature) in HOLD {
        let key = PublicKey::from_pem(&pem(key), algorithm).unwrap();
        let signature = bytes(signature);
        let longer = [signature.as_slice(), &[0]].concat();
        let padded = [&[0], signature.as_slice()].concat();
        let rows: [&[u8]; 6] = [b"", &[0x30], &signature[1..], &longer, &padded, &[0xff; 20_000]];
        for row in rows {
            assert_eq!(key.check(b"x", row), Check::Malformed, "{algorithm}: {} bytes", row.len());
            assert_eq!(key.check_jws(b"x", row), Check::Malformed, "{algorithm}: {} bytes", row.len());
        }
    }
    // Numbers that no signature has.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&order[2 * i..2 * i + 2], 16).unwrap()).collect();
    let key = p256(P256_PEM).unwrap();
    let one = [[0; 31].as_slice(), &[1]].concat();
    let rows =
        [(&one, &one, Check::Fails), (&order, &one, Check::Malformed), (&one, &order, Check::Malformed)];
    for (r, s, check) in rows {
        assert_eq!(key.check_jws(b"x", &[r.as_slice(), s].concat()), check);
    }
    let zero = vec![0; 32];
    assert_eq!(key.check_jws(b"x", &[zero.as_slice(), &one].concat()), Check::Malformed);
    let rows: [(&[u8], Check); 7] = [
        (&[0x30, 6, 2, 1, 1, 2, 1, 1], Check::Fails),
        (&[0x30, 6, 2, 1, 0, 2, 1, 1], Check::Malformed),
        (&[0x30, 6, 2, 1, 1, 2, 1, 0], Check::Malformed),
        (&[0x30, 6, 2, 1, 0x81, 2, 1, 1], Check::Malformed),
        (&[0x30, 7, 2, 2, 0, 1, 2, 1, 1], Check::Malformed),
        (&[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1], Check::Malformed),
        (&[0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1], Check::Malformed),
    ];
    for (signature, check) in rows {
        assert_eq!(key.check(b"x", signature), check, "{signature:?}");
    }
}

#[test]
fn a_key_goes_with_the_algorithms_of_its_kind_only() {
    let keys = [
        (RSA_2048, "RSA 2048"),
        (RSA_3072, "RSA 3072"),
        (RSA_4096, "RSA 4096"),
        (P256_PEM, "EC P-256"),
        (P384, "EC P-384"),
        (P521, "EC P-521"),
        (ML_DSA_65_KEY, "ML-DSA-65"),
    ];
    let mut fitting = 0;
    for (key, kind) in keys {
        let found = PublicKey::kind(&pem(key)).unwrap();
        assert_eq!(found.to_string(), kind);
        for &algorithm in Algorithm::ALL {
            match PublicKey::from_pem(&pem(key), algorithm) {
                Ok(key) => {
                    assert_eq!((algorithm.kind(), key.algorithm()), (found, algorithm));
                    fitting += 1;
                }
                Err(error) => {
                    assert_ne!(algorithm.kind(), found);
                    let expected = format!("signatureAlgorithm is {algorithm}, but the key is {kind}");
                    assert_eq!(error.to_string(), expected);
                }
            }
        }
    }
    assert_eq!(fitting, Algorithm::ALL.len());
}

/// One DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match length {
        0..128 => vec![tag, length as u8],
        128..256 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [header.as_slice(), content].concat()
}

/// A SubjectPublicKeyInfo: OID and parameters as DER, and the key.
fn spki(algorithm: &[&[u8]], key: &[u8]) -> Vec<u8> {
    let key = der(3, &[&[0], key].concat());
    der(0x30, &[der(0x30, &algorithm.concat()), key].concat())
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    spki(&[RSA_OID, NULL], &rsa_numbers(modulus, exponent))
}

fn rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let positive = |number: &[u8]| der(2, &[&[0][usize::from(number[0] < 0x80)..], number].concat());
    der(0x30, &[positive(modulus), positive(exponent)].concat())
}

const NULL: &[u8] = &[5, 0];
const RSA_OID: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1];
const RSASSA_PSS_OID: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 10];
const EC_OID: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256_OID: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const SECP256K1_OID: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 10];
const ML_DSA_OID: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18];
const ML_DSA_87_OID: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19];
const ED25519_OID: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];

#[test]
fn hostile_keys_are_refused_by_name() {
    use Algorithm::{EcdsaP256Sha256 as P256, MlDsa65 as MlDsa, RsaPss2048Sha256 as Rsa};
    let n = [&[0xff; 255], [0x01].as_slice()].concat();
    let even = [&[0xff; 255], [0xfe].as_slice()].concat();
    let e: &[u8] = &[1, 0, 1];
    let numbers = rsa_numbers(&n, e);
    let point = bytes(GOOGLE_BODY)[26..].to_vec();
    let [mut off, mut hybrid, mut compact] = [point.clone(), point.clone(), point[..33].to_vec()];
    (off[64], hybrid[0], compact[0]) = (off[64] ^ 1, 7, 5);
    let ec: &[&[u8]] = &[EC_OID, P256_OID];
    let garbage = [bytes(RSA_2048).as_slice(), &[0]].concat();
    let mut unused_bits = spki(ec, &point);
    unused_bits[25] = 1;
    let rows = [
        (Rsa, rsa(&[0xff; 2048], e), "but the key is RSA 16384"),
        (Rsa, rsa(&[0xff; 2048], &[0xff; 2048]), "but the key is RSA 16384"),
        (Rsa, rsa(&[&[0x7f], &n[1..]].concat(), e), "but the key is RSA 2047"),
        (Rsa, rsa(&[&[1], n.as_slice()].concat(), e), "but the key is RSA 2049"),
        (Rsa, rsa(&[3], e), "but the key is RSA 2"),
        (Rsa, rsa(&[0], e), "but the key is RSA 0"),
        (Rsa, rsa(&even, e), "an even modulus"),
        (Rsa, rsa(&n, &[0]), "an even exponent"),
        (Rsa, rsa(&n, &[1]), "an exponent below 3"),
        (Rsa, rsa(&n, &[2]), "an even exponent"),
        (Rsa, rsa(&n, &[1, 0, 0]), "an even exponent"),
        (Rsa, rsa(&n, &[2, 0, 0, 0, 1]), "an exponent of 2^33 or more"),
        (Rsa, rsa(&n, &n[1..]), "an exponent of 2^33 or more"),
        (Rsa, rsa(&n, &[0xff; 5000]), "no larger than its exponent"),
        (Rsa, spki(&[RSA_OID], &numbers), "wrong algorithm parameters: expected NULL"),
        (Rsa, spki(&[RSA_OID, P256_OID], &numbers), "wrong algorithm parameters: expected NULL"),
        (Rsa, spki(&[RSASSA_PSS_OID], &numbers), "an RSASSA-PSS key (1.2.840.113549.1.1.10)"),
        (Rsa, spki(&[RSASSA_PSS_OID, &der(0x30, &[])], &numbers), "an RSASSA-PSS key"),
        (Rsa, spki(&[RSA_OID, NULL], &[numbers.as_slice(), &[0]].concat()), "well-formed RSA public key"),
        (Rsa, spki(&[RSA_OID, NULL], &point), "well-formed RSA public key"),
        (Rsa, garbage, "well-formed SubjectPublicKeyInfo"),
        (Rsa, vec![0x30; 12_000], "well-formed SubjectPublicKeyInfo"),
        (P256, spki(ec, &off), "well-formed EC public key"),
        (P256, spki(ec, &hybrid), "well-formed EC public key"),
        (P256, spki(ec, &compact), "well-formed EC public key"),
        (P256, spki(ec, &[0]), "well-formed EC public key"),
        (P256, spki(ec, &[]), "well-formed EC public key"),
        (P256, spki(ec, &point[..64]), "well-formed EC public key"),
        (P256, unused_bits, "well-formed SubjectPublicKeyInfo"),
        (P256, spki(&[EC_OID], &point), "expected the name of a curve"),
        (P256, spki(&[EC_OID, &der(0x30, &[2, 1, 1])], &point), "expected the name of a curve"),
        (P256, spki(&[EC_OID, SECP256K1_OID], &point), "but the key is EC on the curve 1.3.132.0.10"),
        (MlDsa, spki(&[ML_DSA_OID, NULL], &[7; 1952]), "wrong algorithm parameters: expected none"),
        (MlDsa, spki(&[ML_DSA_OID], &[7; 1951]), "well-formed ML-DSA-65 public key"),
        (MlDsa, spki(&[ML_DSA_87_OID], &[7; 2592]), "of the type 2.16.840.1.101.3.4.3.19"),
        (MlDsa, spki(&[ED25519_OID], &[7; 32]), "but the key is Ed25519"),
    ];
    for (algorithm, der, part) in rows {
        let error = PublicKey::from_pem(&pem(&base64::encode(&der)), algorithm).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    // The same hands make keys that are taken.
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    for (algorithm, der) in [
        (Rsa, rsa(&n, e)),
        (Rsa, rsa(&n, &[3])),
        (Rsa, rsa(&n, &[1, 0xff, 0xff, 0xff, 0xff])),
        (P256, spki(ec, &point)),
        (P256, spki(ec, &compressed)),
        (MlDsa, spki(&[ML_DSA_OID], &[7; 1952])),
    ] {
        let key = PublicKey::from_pem(&pem(&base64::encode(&der)), algorithm).unwrap();
        assert_eq!((key.der(), key.default_id()), (der.as_slice(), KeyId::of_der(&der)));
    }
}

#[test]
fn ids_are_over_the_der() {
    assert_eq!(p256(P256_PEM).unwrap().default_id().as_str(), P256_ID);
    let one_line = format!("{PEM_BEGIN}\r\n{GOOGLE_BODY}\r\n{PEM_END}\r\n");
    let id = "ni:///sha-256;EwVxs8fNUAHq9FI2AMfh8WNIXVBuuTMeGtPH72U-I70";
    assert_eq!(p256(&one_line).unwrap().default_id().as_str(), id);
}

#[test]
fn a_pem_is_one_clean_block() {
    let rows = [
        String::new(),
        "not pem".into(),
        format!("{P256_PEM}trailing"),
        format!("{P256_PEM}{P256_PEM}"),
        format!("# comment\n{P256_PEM}"),
        P256_PEM.replace("PUBLIC", "PRIVATE"),
        P256_PEM.replace(PEM_END, ""),
        P256_PEM.replace("MFkw", "MF-w"),
        P256_PEM.replace("MFkw", "M!kw"),
        " ".repeat(20_000),
    ];
    for pem in rows {
        assert!(matches!(p256(&pem), Err(KeyError::Pem(_))), "{pem:?}");
    }
    assert!(matches!(p256(&P256_PEM.replace("MFkw", "AAAA")), Err(KeyError::Malformed(_))));
}
