use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use super::*;
use crate::attestation::base64;
use crate::document::Version;

pub(crate) const ALLOW: &str =
    "defaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}";
const D: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A key of the tests, by number.
pub(crate) struct TestKey(SigningKey);

impl TestKey {
    pub(crate) fn new(number: u8) -> Self {
        Self(SigningKey::from_slice(&[number; 32]).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        p256::PublicKey::from(self.0.verifying_key()).to_public_key_pem(LineEnding::LF).unwrap()
    }

    pub(crate) fn public(&self) -> SealKey {
        SealKey::parse(&self.pem()).unwrap()
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(message);
        signature.as_bytes().to_vec()
    }

    pub(crate) fn seal(&self, payload: &[u8]) -> String {
        self.seal_as(&SEAL, payload)
    }

    /// An envelope of another kind.
    pub(crate) fn seal_as(&self, seal: &Seal, payload: &[u8]) -> String {
        let signature = self.signature(&seal.signed(payload));
        seal.assemble(payload, &[(self.public().id().to_string(), signature)])
    }
}

pub(crate) fn member(name: &str, text: impl ToString) -> Value {
    json!({"name": name, "text": text.to_string()})
}

pub(crate) fn attestor(id: &str) -> Value {
    let name = format!("projects/p/attestors/{id}");
    let note = json!({"noteReference": format!("projects/p/notes/{id}"), "publicKeys": []});
    json!({"name": name, "userOwnedGrafeasNote": note})
}

/// A bundle of project `p` with everything in it.
pub(crate) fn payload(version: u64) -> Value {
    let listed = format!("digests: [{{digest: '{D}', reason: x}}]");
    json!({"project": "p", "version": version, "expires": "2030-01-01T00:00:00Z", "documents": {
        "policy": member("policy.yaml", ALLOW),
        "platformPolicy": member("platform.yaml", "gkePolicy: {checkSets: []}"),
        "denyList": member("deny.yaml", &listed),
        "systemPolicy": member("system.yaml", &listed),
        "attestors": [member("a.json", attestor("a")), member("b.yaml", attestor("b"))],
    }})
}

pub(crate) fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

fn verify(envelope: &str, keys: &[SealKey]) -> Result<Bundle, BundleError> {
    let terms = Terms { keys, project: "p", options: Options::default() };
    Bundle::verify(envelope.as_bytes(), terms, at("2029-01-01T00:00:00Z"))
}

fn bytes(payload: &Value) -> Vec<u8> {
    payload.to_string().into_bytes()
}

#[test]
fn a_bundle_is_what_it_says() {
    let (one, other) = (TestKey::new(1), TestKey::new(2));
    let keys = [other.public(), one.public()];
    let payload = bytes(&payload(7));
    let bundle = verify(&one.seal(&payload), &keys).unwrap();
    let contents = bundle.contents();
    assert_eq!((contents.project(), contents.version(), bundle.signer()), ("p", 7, one.public().id()));
    assert_eq!(contents.digest(), Digest::of(&payload));
    assert_eq!(contents.expires(), "2030-01-01T00:00:00Z");
    assert_eq!(contents.policy.version, Version::of(ALLOW.as_bytes()));
    assert_eq!(contents.policy.value.version(), &contents.policy.version);
    let members: Vec<_> = contents.members().map(|(what, name, _)| format!("{what} {name}")).collect();
    let expected = [
        "policy policy.yaml",
        "platform policy platform.yaml",
        "deny list deny.yaml",
        "system policy system.yaml",
        "attestor a.json",
        "attestor b.yaml",
    ];
    assert_eq!(members, expected);
    assert_eq!(bundle.rank(), Highest { version: 7, digest: Digest::of(&payload) });
}

#[test]
fn one_good_signature_is_enough_whatever_its_id_says() {
    let (key, stranger) = (TestKey::new(1), TestKey::new(3));
    let payload = bytes(&payload(1));
    let signed = SEAL.signed(&payload);
    let good = key.signature(&signed);
    let url = |text: String| text.replace('+', "-").replace('/', "_").replace('=', "");
    let plain = |signatures: Value| json!({"payloadType": SEAL.payload_type, "payload": base64::encode(&payload), "signatures": signatures});
    let sig = base64::encode(&good);
    let bad = base64::encode(&stranger.signature(&signed));
    let rows = [
        (plain(json!([{"sig": sig}])), true),
        (plain(json!([{"sig": sig, "keyid": "somebody else"}])), true),
        (plain(json!([{"sig": bad}, {"sig": "%"}, {"sig": ""}, {"sig": sig, "cert": "x"}])), true),
        (plain(json!([{"sig": url(sig.clone())}])), true),
        (plain(json!([{"sig": bad, "keyid": key.public().id().as_str()}])), false),
        (plain(json!([{"sig": base64::encode(&key.signature(&payload))}])), false),
        (plain(json!([])), false),
        (
            json!({"payloadType": SEAL.payload_type, "payload": url(base64::encode(&payload)), "more": 1,
                "signatures": [{"sig": sig}]}),
            true,
        ),
    ];
    for (envelope, holds) in rows {
        let verified = verify(&envelope.to_string(), &[key.public()]);
        assert_eq!(verified.is_ok(), holds, "{envelope}");
        if !holds {
            assert!(matches!(verified, Err(BundleError::Sealed(SealedError::Stranger { .. }))), "{envelope}");
        }
    }
    let sealed = plain(json!([{"sig": bad}, {"sig": sig}])).to_string();
    let sealed = Sealed::parse(sealed.as_bytes(), &[&SEAL]).unwrap();
    let keys = [key.public()];
    let told: Vec<_> = sealed.signatures(&keys).map(|(_, signer)| signer.is_some()).collect();
    assert_eq!(told, [false, true]);
}

#[test]
fn refused_by_name() {
    let key = TestKey::new(1);
    let change = |pointer: &str, value: Value| {
        let mut payload = payload(3);
        *payload.pointer_mut(pointer).unwrap() = value;
        key.seal(&bytes(&payload))
    };
    let sealed = |text: &str| key.seal(text.as_bytes());
    let whole = payload(3).to_string();
    let many: Vec<_> = (0..=MAX_ATTESTORS).map(|n| member("a.json", attestor(&format!("a{n}")))).collect();
    let envelope = |payload_type: &str, payload: &str, count: usize| {
        let signatures = vec![json!({"sig": ""}); count];
        json!({"payloadType": payload_type, "payload": payload, "signatures": signatures}).to_string()
    };
    let rows = [
        (String::new(), "it is not a DSSE envelope: the document is empty"),
        ("[]".into(), "it is not a DSSE envelope: invalid type"),
        ("{\"payload\": \"\", \"payload\": \"\"}".into(), "duplicate field `payload`"),
        (envelope("text/plain", "", 1), "its payloadType is `text/plain`, not `application/vnd.binauthd"),
        (envelope(SEAL.payload_type, "%", 1), "its payload is not base64"),
        (envelope(SEAL.payload_type, "", 17), "it has 17 signatures, more than the 16 allowed"),
        (envelope(SEAL.payload_type, "", 0), "not signed by a bundle key of this node: it has no signature"),
        // What no key has signed is not read at all.
        (
            envelope(SEAL.payload_type, "e30=", 1),
            "no signature holds, those there are name a key without an id",
        ),
        (TestKey::new(2).seal(whole.as_bytes()), "no signature holds, those there are name `ni:///sha-256;"),
        (sealed("{}"), "its payload cannot be read: missing field `project`"),
        (sealed("[\"p\", 3]"), "expected an object"),
        (sealed(&whole.replace("\"version\":3", "\"version\":3,\"version\":4")), "duplicate field `version`"),
        (sealed(&whole.replace("\"version\":3", "\"version\":3,\"colour\":4")), "unknown field `colour`"),
        (sealed(&whole.replace("\"denyList\"", "\"denylist\"")), "unknown field `denylist`"),
        (change("/version", json!(-1)), "invalid value: integer `-1`"),
        (change("/version", json!("3")), "invalid type: string \"3\", expected u64"),
        (change("/version", json!(0)), "its version is 0: versions begin with 1"),
        (change("/project", json!("other")), "it is of project `other`, and this node obeys `p`"),
        (change("/expires", json!("soon")), "expires: `soon` is not a time of RFC 3339"),
        (change("/expires", json!("2029-01-01T00:00:00Z")), "version 3 expired at 2029-01-01T00:00:00Z"),
        (change("/documents/policy", Value::Null), "invalid type: null, expected an object"),
        (change("/documents/denyList", Value::Null), "invalid type: null"),
        (change("/documents/attestors", Value::Null), "nothing stands where a list belongs"),
        (change("/documents/policy/name", json!("../policy.yaml")), "`../policy.yaml` is not a name"),
        (change("/documents/policy/name", json!("")), "`` is not a name"),
        (change("/documents/policy/text", json!("")), "its policy `policy.yaml` is refused: the document is"),
        (
            change("/documents/platformPolicy/text", json!("a: b")),
            "its platform policy `platform.yaml` is refused",
        ),
        (change("/documents/denyList/text", json!("digests: [x]")), "its deny list `deny.yaml` is refused"),
        (change("/documents/systemPolicy/text", json!("x: y")), "its system policy `system.yaml` is refused"),
        (change("/documents/attestors/1/text", json!("{")), "its attestor `b.yaml` is refused"),
        (
            change("/documents/attestors/1", member("c.json", attestor("a"))),
            "its documents `a.json` and `c.json` both define attestor `projects/p/attestors/a`",
        ),
        (change("/documents/attestors", json!(many)), "1001 documents, more than the 1000 allowed"),
        (" ".repeat(MAX_BYTES + 1), "8388609 bytes, more than the 8388608 allowed"),
    ];
    for (envelope, part) in rows {
        let error = verify(&envelope, &[key.public()]).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    assert!(matches!(verify(&sealed(&whole), &[]), Err(BundleError::Sealed(SealedError::NoKeys(_)))));
    // What was accepted before may expire.
    let terms = Terms { keys: &[key.public()], project: "p", options: Options::default() };
    let expired = change("/expires", json!("2001-01-01T00:00:00Z"));
    let kept = Bundle::verify_kept(expired.as_bytes(), terms).unwrap();
    assert!(kept.contents().is_expired(at("2002-01-01T00:00:00Z")));
}

#[test]
fn versions_only_rise() {
    let rank = |version, text: &[u8]| Highest { version, digest: Digest::of(text) };
    let highest = rank(5, b"a");
    let rows = [
        (rank(5, b"a"), ""),
        (rank(6, b"a"), ""),
        (rank(u64::MAX, b"b"), ""),
        (rank(4, b"a"), "version 4 is lower than 5, which was accepted before"),
        (rank(5, b"b"), "version 5 was accepted before with other contents"),
    ];
    for (next, part) in rows {
        match highest.admits(next) {
            Ok(()) => assert_eq!(part, ""),
            Err(error) => {
                let error = error.to_string();
                assert!(!part.is_empty() && error.contains(part), "{error}");
                assert!(error.contains("binauthctl trust reset --bundle"), "{error}");
            }
        }
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let error = SealKey::parse(ed25519).unwrap_err().to_string();
    assert!(
        error.contains("the key is of the type Ed25519") || error.contains("the key is Ed25519"),
        "{error}"
    );
    assert!(SealKey::parse("").is_err());
}
