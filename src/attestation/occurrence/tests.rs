use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::attestation::base64;

const D: &str = "sha256:abababababababababababababababababababababababababababababababab";
const MESSAGE: &str = "-----BEGIN PGP MESSAGE-----\n\nowGb\n-----END PGP MESSAGE-----\n";

/// `members` with what every v1 occurrence has.
fn v1(members: Value) -> Vec<u8> {
    let mut document = json!({"name": "projects/p/occurrences/o", "resourceUri": format!("https://gcr.io/p/i@{D}"),
        "noteName": "projects/p/notes/n", "kind": "ATTESTATION", "remediation": "ignored"});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    document.to_string().into_bytes()
}

fn resource(uri: &str) -> Vec<u8> {
    v1(json!({"resourceUri": uri, "attestation": {"serializedPayload": "aGk="}}))
}

fn beta(attestation: Value) -> Value {
    json!({"resourceUri": null, "resource": {"name": "", "uri": format!("https://gcr.io/p/i@{D}"), "contentHash": null},
        "attestation": {"attestation": attestation}})
}

fn token() -> String {
    let header = base64::encode_url(br#"{"alg":"ES256","kid":"jwt-key","typ":"JWT"}"#);
    format!("{header}.e30.AAAA")
}

fn envelope() -> Value {
    json!({"payload": "aGk", "payloadType": "t", "signatures": [{"sig": "AAA_", "keyid": "dsse-key"}, {"sig": "AAAA"}]})
}

/// A signature on one line: form, key id, length.
fn line(signature: &Signature) -> String {
    let form = match &signature.form {
        Form::Detached(payload) => format!("detached {}", String::from_utf8_lossy(payload)),
        Form::Attached => "attached".into(),
        Form::Dsse(envelope) => {
            format!("dsse {} {}", envelope.payload_type, String::from_utf8_lossy(&envelope.payload))
        }
        Form::Jwt => "jwt".into(),
    };
    format!("{form}: {:?} {}", signature.key_id, signature.bytes.len())
}

fn lines(document: &[u8]) -> Vec<String> {
    Occurrence::parse(document).unwrap().signatures.iter().map(line).collect()
}

#[test]
fn forms() {
    let signatures = json!([{"publicKeyId": "k", "signature": "AAA_"}]);
    let detached = json!({"serializedPayload": "aGk=", "signatures": signatures});
    let generic = |content: Value| {
        beta(json!({"genericSignedAttestation":
            {"contentType": content, "serializedPayload": "aGk", "signatures": signatures}}))
    };
    let pgp = json!({"signature": MESSAGE, "pgpKeyId": "AB", "contentType": "SIMPLE_SIGNING_JSON"});
    let jwts = json!([{"compactJwt": token()}, {"compactJwt": "a.b.c"}, {"compactJwt": 5}, {}]);
    let k = "detached hi: \"k\" 3";
    let message = format!("attached: \"AB\" {}", MESSAGE.len());
    let jwt = format!("jwt: \"jwt-key\" {}", token().len());
    let dsse = ["dsse t hi: \"dsse-key\" 3", "dsse t hi: \"\" 3"];
    let rows: &[(Value, &[&str])] = &[
        (json!({"attestation": detached}), &[k]),
        (json!({"attestation": {"jwts": jwts}}), &[&jwt, "jwt: \"\" 5"]),
        (
            json!({"attestation": {"jwts": jwts, "signatures": signatures}}),
            &["attached: \"k\" 3", &jwt, "jwt: \"\" 5"],
        ),
        (json!({"attestation": {"serializedPayload": "", "signatures": []}}), &[]),
        (generic(Value::Null), &[k]),
        (generic(json!("CONTENT_TYPE_UNSPECIFIED")), &[k]),
        (generic(json!("SIMPLE_SIGNING_JSON")), &[k]),
        (generic(json!(1)), &[k]),
        (beta(json!({"pgpSignedAttestation": pgp})), &[&message]),
        (beta(json!({"pgpSignedAttestation": {"signature": "m"}})), &["attached: \"\" 1"]),
        (json!({"envelope": envelope()}), &dsse),
        (json!({"kind": "BUILD", "build": {"x": [1]}, "envelope": envelope()}), &dsse),
        (json!({"dsseAttestation": {"envelope": envelope(), "statement": {"subject": "other"}}}), &dsse),
        (json!({"envelope": envelope(), "dsseAttestation": {"envelope": envelope()}}), &dsse),
        // Every part gives its own, and one that cannot be used leaves the others.
        (
            json!({"envelope": envelope(), "attestation": {"serializedPayload": "aGk=", "signatures": signatures,
                "jwts": [{"compactJwt": token()}], "attestation": {"pgpSignedAttestation": pgp}}}),
            &[k, &jwt, &message, dsse[0], dsse[1]],
        ),
        (json!({"envelope": {"payload": "%", "payloadType": "t"}, "attestation": detached}), &[k]),
        (json!({"envelope": {"payload": "aGk="}, "attestation": detached}), &[k]),
        (json!({"envelope": envelope(), "attestation": {"serializedPayload": "%"}}), &dsse),
        (
            beta(json!({"pgpSignedAttestation": {"signature": "m", "contentType": "OTHER"},
            "genericSignedAttestation": {"serializedPayload": "aGk", "signatures": signatures}})),
            &[k],
        ),
    ];
    for (members, expected) in rows {
        for kind in [
            json!("ATTESTATION"),
            json!("ATTESTATION_AUTHORITY"),
            json!("VULNERABILITY"),
            json!(7),
            json!(null),
        ] {
            let mut members = members.clone();
            members["kind"] = kind;
            assert_eq!(lines(&v1(members.clone())), *expected, "{members}");
        }
    }
}

#[test]
fn both_spellings_but_not_at_once() {
    let one = json!({"resource_uri": format!("gcr.io/p/i@{D}"), "note_name": "projects/p/notes/n",
        "create_time": "2026-01-02T05:04:05+02:00",
        "attestation": {"serialized_payload": "aGk=", "signatures": [{"public_key_id": "k", "signature": "AAAA"}],
            "jwts": [{"compact_jwt": token()}], "attestation": {
            "pgp_signed_attestation": {"signature": "m", "pgp_key_id": "AB", "content_type": "SIMPLE_SIGNING_JSON"},
            "generic_signed_attestation": {"content_type": "SIMPLE_SIGNING_JSON", "serialized_payload": "aGk=",
                "signatures": []}}},
        "dsse_attestation": {"envelope": {"payload": "aGk=", "payload_type": "t", "signatures": [{"sig": "AAAA"}]}}});
    let text = one.to_string();
    let parsed = Occurrence::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.created, humantime::parse_rfc3339("2026-01-02T03:04:05Z").ok());
    assert_eq!((parsed.note.as_str(), parsed.signatures.len()), ("projects/p/notes/n", 4));
    let pairs = [
        ("resource_uri", "resourceUri"),
        ("note_name", "noteName"),
        ("create_time", "createTime"),
        ("serialized_payload", "serializedPayload"),
        ("pgp_signed_attestation", "pgpSignedAttestation"),
        ("pgp_key_id", "pgpKeyId"),
        ("content_type", "contentType"),
        ("payload_type", "payloadType"),
        ("dsse_attestation", "dsseAttestation"),
    ];
    for (snake, camel) in pairs {
        for again in [snake, camel] {
            let twice = text.replacen(&format!("\"{snake}\":"), &format!("\"{again}\":null,\"{snake}\":"), 1);
            let error = Occurrence::parse(twice.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("duplicate field"), "{again} {error}");
        }
    }
    // In one signature, or one token, it is that one.
    for (snake, camel) in [("public_key_id", "publicKeyId"), ("compact_jwt", "compactJwt")] {
        let twice = text.replacen(&format!("\"{snake}\":"), &format!("\"{camel}\":\"\",\"{snake}\":"), 1);
        assert_eq!(Occurrence::parse(twice.as_bytes()).unwrap().signatures.len(), 3, "{camel}");
    }
}

#[test]
fn one_unusable_signature_leaves_the_others() {
    let signatures = json!([5, null, [], ["c", "AAAA"], {"publicKeyId": 1}, {"publicKeyId": "a", "signature": "!"},
        {"publicKeyId": "openpgp4fpr:ab12", "signature": "AA"}, {"publicKeyId": "b", "signature": "AAA_", "x": 1}]);
    for scheme in ["https://", "http://", ""] {
        let occurrence = Occurrence::parse(&v1(json!({"resourceUri": format!("{scheme}gcr.io/p/i@{D}"),
            "attestation": {"serializedPayload": "aGk=", "signatures": signatures}})))
        .unwrap();
        assert_eq!(occurrence.digest.to_string(), D);
        let ids: Vec<_> = occurrence.signatures.iter().map(|s| (s.key_id.as_str(), s.bytes.len())).collect();
        assert_eq!(ids, [("a", 0), ("AB12", 1), ("b", 3)]);
    }
}

#[test]
fn many_signatures_share_one_payload() {
    let signatures = vec![json!({"publicKeyId": "k", "signature": "AAAA"}); 10_000];
    let payload = base64::encode(&vec![b'x'; 400_000]);
    let document = v1(json!({"attestation": {"serializedPayload": payload, "signatures": signatures}}));
    let occurrence = Occurrence::parse(&document).unwrap();
    let Form::Detached(payload) = &occurrence.signatures[0].form else { panic!("not detached") };
    assert_eq!(Arc::strong_count(payload), 10_000);
}

#[test]
fn a_name_is_cut_and_stays_on_its_line() {
    let name = format!("a\n\u{9b}\u{202e}{}", "b".repeat(100_000));
    let document = v1(json!({"name": name, "attestation": {"serializedPayload": ""}}));
    let name = Occurrence::parse(&document).unwrap().name;
    assert!(name.starts_with("a\u{fffd}\u{fffd}\u{fffd}b"), "{name}");
    assert_eq!(name.chars().count(), MAX_NAME);
}

#[test]
fn refused() {
    let attestation = json!({"serializedPayload": "aGk="});
    let mut no_note: Value = serde_json::from_slice(&resource(&format!("r@{D}"))).unwrap();
    no_note.as_object_mut().unwrap().remove("noteName");
    let other = D.replace("ab", "cd");
    let rows = [
        (Vec::new(), "empty"),
        (b" \n".to_vec(), "empty"),
        (b"{".to_vec(), "EOF"),
        (b"\xff\xfe".to_vec(), "not an occurrence"),
        (b" []".to_vec(), "a list of occurrences"),
        (br#"{"occurrences":[],"nextPageToken":""}"#.to_vec(), "a list of occurrences"),
        (b"7".to_vec(), "expected an object"),
        (br#"{"kind":"VULNERABILITY","vulnerability":{}}"#.to_vec(), "kind `VULNERABILITY`"),
        (
            br#"{"attestation":null,"envelope":null,"dsseAttestation":{"statement":{}}}"#.to_vec(),
            "kind `unspecified`",
        ),
        (no_note.to_string().into_bytes(), "missing field `noteName`"),
        (resource("gcr.io/p/i:latest"), "does not end in"),
        (resource(&format!("gcr.io/p/i@{}", D.to_uppercase())), "does not end in"),
        (resource(&format!("gcr.io/p/i@{D} ")), "does not end in"),
        (resource(""), "missing field `resourceUri`"),
        (
            v1(json!({"resource": {"uri": format!("r@{other}")}, "attestation": attestation})),
            "different digests",
        ),
        (v1(json!({"resource": {"uri": "r"}, "attestation": attestation})), "`resource.uri` does not end"),
        (
            v1(json!({"attestation": {"serializedPayload": "%"}})),
            "`attestation.serializedPayload` is not base64",
        ),
        (v1(json!({"attestation": {}})), "holds no payload"),
        (v1(json!({"attestation": {"attestation": {}}})), "holds no payload"),
        (v1(json!({"attestation": []})), "expected an object"),
        (v1(json!({"attestation": {"signatures": [{}]}})), "`attestation.serializedPayload` is missing"),
        (v1(json!({"attestation": {"serializedPayload": 5}})), "invalid type"),
        (v1(json!({"envelope": {}})), "`envelope.payload` is missing"),
        (v1(json!({"envelope": {"payload": ""}})), "`envelope.payloadType` is missing"),
        (v1(json!({"envelope": ["aGk=", "t", []]})), "expected an object"),
        (v1(beta(json!({"pgpSignedAttestation": {}}))), "`pgpSignedAttestation.signature` is missing"),
        (
            v1(beta(json!({"pgpSignedAttestation": {"signature": "m", "contentType": 2}}))),
            "`contentType` is `2`",
        ),
        (
            v1(beta(json!({"genericSignedAttestation": {"contentType": "X\n", "serializedPayload": ""}}))),
            "`contentType` is `X\u{fffd}`",
        ),
        (
            br#"{"envelope":{"payload":"aGk=","payload":"aGk="},"noteName":"n","resourceUri":"r"}"#.to_vec(),
            "end in",
        ),
        (vec![b' '; MAX_BYTES + 1], "more than"),
    ];
    for (bytes, part) in rows {
        let error = Occurrence::parse(&bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    let twice = String::from_utf8(v1(json!({"envelope": envelope()}))).unwrap();
    for member in ["payload", "payloadType", "signatures", "envelope", "noteName"] {
        let twice = twice.replacen(&format!("\"{member}\":"), &format!("\"{member}\":null,\"{member}\":"), 1);
        let error = Occurrence::parse(twice.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(&format!("duplicate field `{member}`")), "{error}");
    }
}

proptest! {
    /// Whatever is changed or cut, a parser answers.
    #[test]
    fn spoilt_documents_are_refused_or_read(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        end in any::<proptest::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = v1(json!({"envelope": envelope(), "attestation": {"serializedPayload": "aGk=",
            "signatures": [{"publicKeyId": "k", "signature": "AAAA"}], "jwts": [{"compactJwt": token()}],
            "attestation": {"pgpSignedAttestation": {"signature": "m", "pgpKeyId": "openpgp4fpr:ab"}}}}));
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let _ = Occurrence::parse(&bytes);
    }
}
