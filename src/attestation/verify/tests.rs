use std::sync::Arc;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;

use super::super::key::tests::{P256_ID, P256_PEM};
use super::super::{dsse, payload};
use super::*;
use crate::attestation::base64;
use crate::attestation::occurrence::Signature;
use crate::document::Format;

const D: &str = "sha256:abababababababababababababababababababababababababababababababab";
const RAW: &str =
    "MEYCIQDrzbw7EV4LPC5UiBnlOb2oj3loIGcCuNjuAlGwA3Na9wIhAMzJiVJkyHOaDtsdbLXFQDp5jDCQB070Gojt7pnfTghU";
const PAE: &str =
    "MEYCIQDUMnUewcME3llUW+qUFW3sCpJIKqCdKSuPk40X1pnK0gIhAIX/N77PIIOCfGYJlSXv9ODIdc4JIkb8f7icrH9gfOl1";

fn attestor(name: &str, keys: &[(&str, &str)]) -> Attestor {
    let keys: Vec<_> = keys
        .iter()
        .map(|(id, pem)| {
            serde_json::json!({"id": id, "pkixPublicKey":
            {"publicKeyPem": pem, "signatureAlgorithm": "ECDSA_P256_SHA256"}})
        })
        .collect();
    let document = serde_json::json!({"name": format!("projects/p/attestors/{name}"),
        "userOwnedGrafeasNote": {"noteReference": format!("projects/p/notes/{name}"), "publicKeys": keys}});
    Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
}

fn payload() -> String {
    payload::gcloud("registry.example.com/team/app", D.parse().unwrap())
}

fn over(payload: &[u8]) -> Form {
    Form::Detached(payload.into())
}

fn vector(digest: &str, signatures: &[(&str, &str)]) -> Occurrence {
    Occurrence {
        name: "projects/p/occurrences/o".into(),
        note: "projects/p/notes/a".into(),
        digest: digest.parse().unwrap(),
        resource: format!("https://registry.example.com/team/app@{digest}"),
        created: None,
        signatures: signatures
            .iter()
            .map(|(id, text)| Signature {
                form: over(payload().as_bytes()),
                key_id: (*id).into(),
                bytes: base64::decode(text).unwrap_or_default(),
            })
            .collect(),
    }
}

/// A signature of another key: of the right shape, and different for each `n`.
fn bad(n: usize) -> String {
    let stranger = SigningKey::from_slice(&[9; 32]).unwrap();
    let signature: DerSignature = stranger.sign(&n.to_be_bytes());
    base64::encode(signature.as_bytes())
}

/// An occurrence with that many different bad signatures under the attestor's key id.
fn flood(count: usize) -> Occurrence {
    let bad: Vec<_> = (0..count).map(bad).collect();
    vector(D, &bad.iter().map(|bad| (P256_ID, bad.as_str())).collect::<Vec<_>>())
}

fn finding(occurrences: &[Occurrence], digest: &str, attestor: Attestor) -> Finding {
    let name = attestor.name().clone();
    let evidence = Evidence::gather(digest.parse().unwrap(), occurrences, &KeyRing::new([attestor]));
    evidence.finding(&name).unwrap().clone()
}

fn a() -> Attestor {
    attestor("a", &[("", P256_PEM)])
}

#[test]
fn known_answer() {
    let verified = finding(&[vector(D, &[(P256_ID, RAW)])], D, a()).unwrap();
    assert_eq!((verified.key_id().as_str(), verified.digest().to_string().as_str()), (P256_ID, D));
}

#[test]
fn what_does_not_count_says_why() {
    let other = "sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
    let mut no_newline = vector(D, &[(P256_ID, RAW)]);
    no_newline.signatures[0].form = over(payload().trim_end().as_bytes());
    let mut foreign_note = vector(D, &[(P256_ID, RAW)]);
    foreign_note.note = "projects/p/notes/b".into();
    let id = || KeyId::parse(P256_ID).unwrap();
    let rows = [
        (vec![], D, a(), Miss::NoAttestation),
        (vec![vector(other, &[(P256_ID, RAW)])], D, a(), Miss::NoAttestation),
        (vec![foreign_note], D, a(), Miss::NoAttestation),
        (vec![vector(D, &[(P256_ID, RAW)])], D, attestor("a", &[]), Miss::NoKeys),
        (vec![vector(D, &[("other", RAW)])], D, a(), Miss::UnknownKey("other".into())),
        (vec![vector(D, &[("", RAW)])], D, a(), Miss::UnknownKey(String::new())),
        (vec![vector(D, &[("x\nALLOW", RAW)])], D, a(), Miss::UnknownKey("x\u{fffd}ALLOW".into())),
        (vec![flood(1)], D, a(), Miss::BadSignature(id())),
        (
            vec![vector(D, &[(P256_ID, "")])],
            D,
            a(),
            Miss::Malformed(Some(id()), "not a signature of the key's algorithm".into()),
        ),
        (vec![no_newline], D, a(), Miss::BadSignature(id())),
        (
            vec![vector(other, &[(P256_ID, RAW)])],
            other,
            a(),
            Miss::WrongPayload(id(), format!("the signed payload is for {D}")),
        ),
    ];
    for (occurrences, digest, attestor, miss) in rows {
        assert_eq!(finding(&occurrences, digest, attestor), Err(miss));
    }
}

#[test]
fn a_bad_one_never_spoils_a_good_one() {
    let bad_first = vector(D, &[("x", RAW), (P256_ID, &bad(0)), (P256_ID, "!"), (P256_ID, RAW)]);
    assert!(finding(&[bad_first], D, a()).is_ok());
    let bad = flood(1);
    assert!(finding(&[bad.clone(), bad, vector(D, &[(P256_ID, RAW)])], D, a()).is_ok());
    let strangers = vec![("stranger", RAW); 10_000];
    assert!(finding(&[vector(D, &strangers), vector(D, &[(P256_ID, RAW)])], D, a()).is_ok());
}

#[test]
fn either_way_of_signing_counts_and_the_types_are_chosen() {
    let raw_or_pae = [vector(D, &[(P256_ID, PAE)])];
    assert!(finding(&raw_or_pae, D, a()).is_ok());
    let digest = D.parse().unwrap();
    let without = KeyRing::accepting([a()], &[]);
    assert_eq!(Evidence::gather(digest, &raw_or_pae, &without).verified().count(), 0);
    assert_ne!(without.identity(), KeyRing::new([a()]).identity());
}

#[test]
fn checks_are_bounded_and_what_is_beside_a_flood_still_counts() {
    // Each is checked over the payload and over its PAE.
    let mut flooded = flood(MAX_VERIFICATIONS / 2 + 1);
    let at = |seconds| Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
    flooded.created = at(5);
    assert_eq!(finding(&[flooded.clone()], D, a()), Err(Miss::TooMany));
    assert!(matches!(finding(&[flood(MAX_VERIFICATIONS / 2)], D, a()), Err(Miss::BadSignature(_))));
    let mut last = flooded.clone();
    last.signatures.extend(vector(D, &[(P256_ID, RAW)]).signatures);
    assert!(finding(&[last], D, a()).is_err());
    // In an occurrence of its own, filed before or after; repeats cost nothing.
    for seconds in [1, 9] {
        let mut good = vector(D, &[(P256_ID, RAW)]);
        good.created = at(seconds);
        let mut filed = vec![flooded.clone(); 1_000];
        filed.insert(500, good);
        assert!(finding(&filed, D, a()).is_ok());
    }
    // Occurrences whose payload does not name the digest come last.
    let mut others = flooded.clone();
    for signature in &mut others.signatures {
        signature.form = over(b"{}");
    }
    others.created = at(9);
    let mut good = vector(D, &[(P256_ID, RAW)]);
    good.created = at(5);
    let mut filed: Vec<_> = others
        .signatures
        .iter()
        .map(|signature| Occurrence { signatures: vec![signature.clone()], ..others.clone() })
        .collect();
    filed.push(good);
    assert!(finding(&filed, D, a()).is_ok());
}

#[test]
fn a_copy_in_another_form_hides_nothing() {
    let payload_type = "application/vnd.in-toto+json".to_owned();
    let statement = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"x","digest":{{"sha256":"{}"}}}}],"predicateType":"https://x.example/p","predicate":{{}}}}"#,
        &D[7..]
    );
    let mine = SigningKey::from_slice(&[7; 32]).unwrap();
    let pem = mine.verifying_key().to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap();
    let over_pae: DerSignature = mine.sign(&dsse::pae(&payload_type, statement.as_bytes()));
    let envelope = |payload_type: &str| {
        let payload_type = payload_type.to_owned();
        Form::Dsse(Arc::new(dsse::Envelope { payload_type, payload: statement.clone().into_bytes() }))
    };
    let filed = |form: Form, seconds| {
        let bytes = over_pae.as_bytes().to_vec();
        let created = Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        Occurrence {
            created,
            signatures: vec![Signature { key_id: "mine".into(), form, bytes }],
            ..vector(D, &[])
        }
    };
    let ring = KeyRing::new([attestor("a", &[("mine", &pem)])]);
    let digest = D.parse().unwrap();
    let good = filed(envelope(&payload_type), 5);
    let before = Evidence::gather(digest, [&good], &ring);
    assert_eq!(before.verified().count(), 1);
    for copy in [over(statement.as_bytes()), envelope("text/plain")] {
        for seconds in [1, 9] {
            let all = [filed(copy.clone(), seconds), good.clone()];
            assert_eq!(Evidence::gather(digest, &all, &ring).verified().count(), 1);
            // Nor from what was verified before, with a flood around both.
            let mut all: Vec<_> = (0..2 * MAX_VERIFICATIONS)
                .map(|n| {
                    let mut bad = vector(D, &[("mine", &bad(n))]);
                    bad.created = filed(Form::Jwt, if n % 2 == 0 { 10 } else { 0 }).created;
                    bad
                })
                .chain(all)
                .collect();
            assert_eq!(Evidence::gather(digest, &all, &ring).verified().count(), 0);
            assert_eq!(Evidence::gather_again(digest, &all, &ring, Some(&before)).verified().count(), 1);
            all.reverse();
            assert_eq!(Evidence::gather_again(digest, &all, &ring, Some(&before)).verified().count(), 1);
        }
    }
}

#[test]
fn what_is_looked_at_is_bounded() {
    // No signatures at all, and more of them than are looked at.
    let malformed = vector(D, &[(P256_ID, "")]).signatures.remove(0);
    let wide = |key_id: &str| {
        let signature = Signature { key_id: key_id.into(), ..malformed.clone() };
        Occurrence { signatures: vec![signature; MAX_LOOKED_AT], ..vector(D, &[]) }
    };
    let last = |mut occurrence: Occurrence| {
        occurrence.signatures.extend(vector(D, &[(P256_ID, RAW)]).signatures);
        occurrence
    };
    for key_id in [P256_ID, "stranger"] {
        assert_eq!(finding(&[last(wide(key_id))], D, a()), Err(Miss::TooMany));
        assert!(finding(&[wide(key_id), vector(D, &[(P256_ID, RAW)])], D, a()).is_ok());
        let mut fewer = wide(key_id);
        fewer.signatures.pop();
        assert!(finding(&[last(fewer)], D, a()).is_ok());
    }
}

#[test]
fn long_payloads_are_read_a_bounded_number_of_times() {
    // Each check would read a MiB; so would each comparison of one with another.
    let long = [payload().as_bytes(), &vec![b' '; 1 << 20]].concat();
    let copies = |n: usize| {
        let signature =
            Signature { form: over(&long), ..vector(D, &[(P256_ID, &bad(n))]).signatures.remove(0) };
        Occurrence { signatures: vec![signature; 2_000], ..vector(D, &[]) }
    };
    let same: Vec<_> = (0..8).map(|_| copies(0)).collect();
    assert!(matches!(finding(&same, D, a()), Err(Miss::BadSignature(_))));
    let others: Vec<_> = (0..16).map(copies).collect();
    assert_eq!(finding(&others, D, a()), Err(Miss::TooMany));
}

#[test]
fn what_was_verified_stays_whatever_is_filed_beside_it() {
    let mut good = vector(D, &[(P256_ID, RAW)]);
    good.created = Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5));
    // As many on both sides: what was filed between is out of reach.
    let at = |seconds| Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
    let strangers = flood(2 * MAX_VERIFICATIONS).signatures;
    let one = |(n, signature): (usize, &Signature)| Occurrence {
        created: at(if n % 2 == 0 { 9 } else { 1 }),
        signatures: vec![signature.clone()],
        ..vector(D, &[])
    };
    let flood: Vec<_> = strangers.iter().enumerate().map(one).collect();
    let mut forged = vector(D, &[(P256_ID, RAW)]);
    forged.signatures[0].form = over((payload() + " ").as_bytes());
    let digest = D.parse().unwrap();
    let count = |filed: &[Occurrence], ring: &KeyRing, before: Option<&Evidence>| {
        Evidence::gather_again(digest, filed, ring, before).verified().count()
    };
    let ring = KeyRing::new([a()]);
    let before = Evidence::gather(digest, [&good], &ring);
    let all: Vec<_> = flood.iter().cloned().chain([forged, good]).collect();
    assert_eq!(count(&all, &ring, None), 0);
    assert_eq!(count(&all, &ring, Some(&before)), 1);
    // Gone from the source, or its key from the attestor: gone.
    assert_eq!(count(&flood, &ring, Some(&before)), 0);
    assert_eq!(count(&all, &KeyRing::new([attestor("a", &[])]), Some(&before)), 0);
    assert_eq!(count(&all, &KeyRing::new([attestor("a", &[("other", P256_PEM)])]), Some(&before)), 0);
}

#[test]
fn an_ambiguous_attestor_is_satisfied_by_nobody() {
    let ring = KeyRing::new([a(), a()]);
    let evidence = Evidence::gather(D.parse().unwrap(), &[vector(D, &[(P256_ID, RAW)])], &ring);
    assert_eq!(evidence.finding(a().name()), Some(&Err(Miss::Ambiguous)));
    assert_eq!(evidence.verified().count(), 0);
}

#[test]
fn any_key_of_the_attestor_may_sign_and_only_its_own() {
    let mine = SigningKey::from_slice(&[7; 32]).unwrap();
    let pem = mine.verifying_key().to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap();
    let mut occurrence = vector(D, &[]);
    let signature: DerSignature = mine.sign(payload().as_bytes());
    occurrence.signatures.push(Signature {
        key_id: "mine".into(),
        form: over(payload().as_bytes()),
        bytes: signature.as_bytes().to_vec(),
    });
    let occurrences = [occurrence];
    assert!(finding(&occurrences, D, attestor("a", &[("", P256_PEM), ("mine", &pem)])).is_ok());
    // The right key under another id, and another key under the right id.
    assert!(finding(&occurrences, D, attestor("a", &[("other", &pem)])).is_err());
    assert!(finding(&occurrences, D, attestor("a", &[("mine", P256_PEM)])).is_err());
}

/// The same bytes, under the same key id or another, filed as something that they are not.
#[test]
fn what_is_filed_again_as_something_else_does_not_stand_for_it() {
    let payload = payload();
    let dsse = |kind: &str| {
        let payload_type = kind.to_owned();
        Form::Dsse(Arc::new(dsse::Envelope { payload_type, payload: payload.clone().into_bytes() }))
    };
    // The vector is over this envelope as much as over the PAE of the payload.
    let good = dsse(payload::MEDIA_TYPE);
    let flood = flood(2 * MAX_VERIFICATIONS);
    for (form, key_id) in [
        (dsse("application/x"), P256_ID),
        (dsse(""), P256_ID),
        (good.clone(), "other"),
        (Form::Attached, P256_ID),
        (Form::Jwt, P256_ID),
    ] {
        let of = |form: &Form, key_id: &str| {
            let mut one = vector(D, &[(key_id, PAE)]);
            one.signatures[0].form = form.clone();
            one
        };
        let both = [of(&form, key_id), of(&good, P256_ID)];
        assert!(finding(&both, D, a()).is_ok(), "{form:?}");
        // What was verified is found again among them.
        let (digest, ring) = (D.parse().unwrap(), KeyRing::new([a()]));
        let before = Evidence::gather(digest, &both[1..], &ring);
        let mut all = both[0].clone();
        all.signatures.extend(flood.signatures.clone());
        all.signatures.extend(both[1].signatures.clone());
        let count = |before| Evidence::gather_again(digest, [&all], &ring, before).verified().count();
        assert_eq!(count(Some(&before)), 1, "{form:?}");
    }
}
