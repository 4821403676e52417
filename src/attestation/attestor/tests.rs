use super::super::key::tests::{P256_ID, P256_PEM};
use super::*;

const GOOGLE_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXnpuYEfvLl1kj4fjxViFRwY1a+zC5qzlf9LJIK+rnjq42tiKGyyXMbnZKJiYPPdMDGyltnkrABnztg2jJ48aYQ==
-----END PUBLIC KEY-----
";

fn document(keys: &serde_json::Value) -> Vec<u8> {
    serde_json::json!({
        "name": "projects/acme-sec/attestors/built-by-ci",
        "userOwnedGrafeasNote": {"noteReference": "projects/acme-sec/notes/built-by-ci", "publicKeys": keys},
    })
    .to_string()
    .into_bytes()
}

fn key(algorithm: &str, id: Option<&str>) -> serde_json::Value {
    serde_json::json!({"id": id, "pkixPublicKey": {"publicKeyPem": P256_PEM, "signatureAlgorithm": algorithm}})
}

fn parse(keys: &serde_json::Value) -> Result<Attestor, AttestorError> {
    Attestor::parse(&document(keys), Format::Json)
}

#[test]
fn keys_and_ids() {
    let attestor =
        parse(&serde_json::json!([key("ECDSA_P256_SHA256", None), key("ecdsa-p256-sha256", Some("k2"))]))
            .unwrap();
    assert_eq!(attestor.keys().iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), [P256_ID, "k2"]);
    assert!(attestor.key(P256_ID).is_some() && attestor.key("K2").is_none());
    assert!(parse(&serde_json::json!([])).unwrap().keys().is_empty());
}

#[test]
fn refused() {
    let good = || key("ECDSA_P256_SHA256", None);
    let rows = [
        (serde_json::json!([good(), good()]), "there twice"),
        (
            serde_json::json!([key("ECDSA_P384_SHA384", None)]),
            "is ECDSA_P384_SHA384, but the key is EC P-256",
        ),
        (
            serde_json::json!([key("RSA_SIGN_PKCS1_2048_SHA256", None)]),
            "is RSA_SIGN_PKCS1_2048_SHA256, but the key is EC P-256",
        ),
        (serde_json::json!([["x"]]), "expected an object"),
        (serde_json::json!([key("nonsense", None)]), "not a signature algorithm"),
        (serde_json::json!([key("ECDSA_P256_SHA256", Some("a b"))]), "not a key id"),
        (serde_json::json!([{"id": "x"}]), "exactly one of"),
        (serde_json::json!([{"id": "x", "asciiArmoredPgpPublicKey": "y"}]), "publicKeys[0]: "),
        (serde_json::json!([{"id": "x", "unknown": "y"}]), "unknown field"),
        (
            serde_json::json!([{"id": "x", "pkixPublicKey": {"publicKeyPem": P256_PEM,
                    "signatureAlgorithm": "ECDSA_P256_SHA256", "keyId": "y"}}]),
            "`keyId` must be blank",
        ),
    ];
    for (keys, part) in rows {
        let error = parse(&keys).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn what_else_counts() {
    let read = |extra: serde_json::Value| {
        let mut document = serde_json::json!({"name": "projects/acme-sec/attestors/a",
            "userOwnedGrafeasNote": {"noteReference": "projects/acme-sec/notes/n"}});
        document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Attestor::parse(document.to_string().as_bytes(), Format::Json)
    };
    let plain = read(serde_json::json!({})).unwrap();
    assert!(!plain.compares_docker_reference() && plain.predicate_types().is_none());
    let types = ["https://slsa.dev/provenance/v1", "urn:x"];
    let strict = read(serde_json::json!({"binauthdRequireDockerReference": true,
            "binauthdPredicateTypes": types}))
    .unwrap();
    assert!(strict.compares_docker_reference());
    assert_eq!(strict.predicate_types().unwrap(), types);
    let rows = [
        (serde_json::json!([]), "0 types"),
        (serde_json::json!(vec!["a:b"; 65]), "65 types"),
        (serde_json::json!(["provenance"]), "`provenance` is not a URI"),
        (serde_json::json!(["https://a b"]), "is not a URI"),
    ];
    for (types, part) in rows {
        let error = read(serde_json::json!({"binauthdPredicateTypes": types})).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn defined_by_a_check() {
    let key = |id: Option<&str>, algorithm: &str| PkixDocument {
        public_key_pem: P256_PEM.to_owned(),
        signature_algorithm: algorithm.to_owned(),
        key_id: id.map(str::to_owned),
    };
    let inline = |keys: &[PkixDocument]| {
        Attestor::inline(AttestorName::inline("checkSets[0].checks[1]"), vec!["acme".into()], keys)
    };
    let plain = "ECDSA_P256_SHA256";
    let attestor =
        inline(&[key(None, plain), key(Some("k2"), plain), key(Some(""), "EC_SIGN_P256_SHA256")]).unwrap();
    assert_eq!(attestor.keys().iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), [P256_ID, "k2"]);
    assert!(attestor.note().is_none() && attestor.key("k2").is_some());
    let other = GOOGLE_PEM.to_owned();
    let twice = [key(Some("k"), plain), PkixDocument { public_key_pem: other, ..key(Some("k"), plain) }];
    let error = inline(&twice).unwrap_err();
    assert!(matches!(error, AttestorError::DuplicateKeyId { index: 1, .. }), "{error}");
    assert!(matches!(inline(&vec![key(None, plain); 1001]), Err(AttestorError::TooManyKeys(1001))));
}

#[test]
fn filed() {
    let note = Filing::Note("projects/p/notes/n".parse().unwrap());
    let projects = Filing::Projects(vec!["p".into(), "q".into()]);
    // Note, name of the occurrence, filed under the note, filed in the projects.
    let rows = [
        ("projects/p/notes/n", "projects/p/occurrences/1", true, true),
        ("projects/p/notes/n", "projects/x/occurrences/1", true, false),
        ("projects/x/notes/n", "projects/q/occurrences/1", false, true),
        ("projects/q/notes/n", "", false, true),
        ("projects/q/notes/n", "1.json", false, true),
        ("projects/x/notes/n", "1.json", false, false),
        ("projects/p/notes/n", "projects/p/notes/n", true, true),
        ("", "projects/pq/occurrences/1", false, false),
        ("", "projects/p/occurrences/", false, false),
        ("", "", false, false),
    ];
    for (under, name, of_note, of_projects) in rows {
        let found = (note.holds(under, name), projects.holds(under, name));
        assert_eq!(found, (of_note, of_projects), "{name} under {under}");
    }
}
