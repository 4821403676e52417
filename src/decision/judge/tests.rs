use super::*;
use crate::attestation::{Attestor, KeyRing, Occurrence};
use crate::decision::{Decision, Lack};
use crate::document::Format;
use crate::image::DigestKind;
use crate::policy::Options;

const D: &str = "sha256:abababababababababababababababababababababababababababababababab";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvgIMsXWHkzCb6RxjV0BrxMypUsr2\nIT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ==\n-----END PUBLIC KEY-----\n";
const SIGNATURE: &str =
    "MEYCIQDrzbw7EV4LPC5UiBnlOb2oj3loIGcCuNjuAlGwA3Na9wIhAMzJiVJkyHOaDtsdbLXFQDp5jDCQB070Gojt7pnfTghU";

fn attestor(name: &str) -> Attestor {
    let document = serde_json::json!({"name": format!("projects/p/attestors/{name}"), "userOwnedGrafeasNote": {
        "noteReference": format!("projects/p/notes/{name}"),
        "publicKeys": [{"id": "k", "pkixPublicKey": {"publicKeyPem": PEM, "signatureAlgorithm": "ECDSA_P256_SHA256"}}]}});
    Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
}

fn occurrence(note: &str) -> Occurrence {
    let payload = crate::attestation::payload::gcloud("registry.example.com/team/app", D.parse().unwrap());
    let document = serde_json::json!({"resourceUri": format!("https://r.example.com/a@{D}"),
        "noteName": format!("projects/p/notes/{note}"),
        "attestation": {"serializedPayload": crate::attestation::base64::encode(payload.as_bytes()),
            "signatures": [{"publicKeyId": "k", "signature": SIGNATURE}]}});
    Occurrence::parse(document.to_string().as_bytes()).unwrap()
}

/// Attestors `a` and `b` exist; `a` has attested D.
fn evidence(digest: &str) -> Evidence {
    let ring = KeyRing::new([attestor("a"), attestor("b")]);
    Evidence::gather(digest.parse().unwrap(), &[occurrence("a")], &ring)
}

fn judged(subject: &Subject, evidence: Option<&Evidence>, rulebook: &Rulebook) -> Verdict {
    let known: Vec<_> = evidence
        .into_iter()
        .map(|evidence| Known { evidence, age: Some(Duration::from_secs(3)), lack: None })
        .collect();
    judge(subject, &known, rulebook, SystemTime::UNIX_EPOCH)
}

fn policy(rule: &str, enforcement: &str, patterns: &str) -> Rulebook {
    let text = format!(
        "admissionWhitelistPatterns: [{patterns}]\ndefaultAdmissionRule: {{{rule}, enforcementMode: {enforcement}}}"
    );
    let policy = Policy::parse(text.as_bytes(), Format::Yaml, Options::default()).unwrap();
    Rulebook { policy: Some(policy.into()), ..Rulebook::default() }
}

fn require(names: &str) -> String {
    let names: Vec<_> = names.split(' ').map(|name| format!("projects/p/attestors/{name}")).collect();
    format!("evaluationMode: REQUIRE_ATTESTATION, requireAttestationsBy: [{}]", names.join(", "))
}

const ENFORCED: &str = "ENFORCED_BLOCK_AND_AUDIT_LOG";
const DRY_RUN: &str = "DRYRUN_AUDIT_LOG_ONLY";

#[test]
fn rules_and_modes() {
    use Decision::{Allow, Deny};
    let image = format!("docker.io/library/nginx@{D}");
    let other = image.replace("ab", "cd");
    let (allow, deny) = ("evaluationMode: ALWAYS_ALLOW", "evaluationMode: ALWAYS_DENY");
    let hub = "{namePattern: 'docker.io/library/*'}";
    let short = "{namePattern: 'nginx@*'}";
    let far = "{namePattern: 'gcr.io/x/*'}";
    let rows: &[(&str, &str, &str, &str, Decision, Decision, Reason)] = &[
        (&image, allow, ENFORCED, "", Allow, Allow, Reason::AlwaysAllow),
        (&image, deny, ENFORCED, "", Deny, Deny, Reason::AlwaysDeny),
        (&image, deny, DRY_RUN, "", Allow, Deny, Reason::AlwaysDeny),
        (&image, deny, ENFORCED, hub, Allow, Allow, Reason::Allowlisted),
        (&image, deny, ENFORCED, short, Allow, Allow, Reason::Allowlisted),
        (&image, deny, ENFORCED, far, Deny, Deny, Reason::AlwaysDeny),
        (&image, &require("a"), ENFORCED, far, Allow, Allow, Reason::Attested),
        (&other, &require("a"), ENFORCED, "", Deny, Deny, Reason::NoAttestation),
        (&other, &require("a"), DRY_RUN, "", Allow, Deny, Reason::NoAttestation),
        (&image, &require("a b"), ENFORCED, "", Deny, Deny, Reason::NoAttestation),
        (&image, &require("b a"), ENFORCED, "", Deny, Deny, Reason::NoAttestation),
        (&image, &require("a a"), ENFORCED, "", Allow, Allow, Reason::Attested),
        (&image, &require("a c"), ENFORCED, "", Deny, Deny, Reason::AttestorMissing),
        ("nginx:latest", &require("a"), ENFORCED, "", Deny, Deny, Reason::DigestMissing),
        ("nginx", allow, ENFORCED, "", Allow, Allow, Reason::AlwaysAllow),
        ("nginx", deny, ENFORCED, "{namePattern: nginx}", Allow, Allow, Reason::Allowlisted),
    ];
    for (image, rule, enforcement, patterns, verdict, would, reason) in rows {
        let subject = Subject::named(image).unwrap();
        let evidence = subject.digest().map(|digest| evidence(&digest.to_string()));
        let found = judged(&subject, evidence.as_ref(), &policy(rule, enforcement, patterns));
        let row = format!("{image} {rule} {enforcement} {patterns}");
        assert_eq!((found.verdict, found.would, found.reason), (*verdict, *would, *reason), "{row}");
        assert_eq!(found.enforced, *enforcement == ENFORCED || found.reason == Reason::Allowlisted, "{row}");
    }
}

#[test]
fn evidence_about_another_digest_counts_for_nothing() {
    let subject = Subject::named(&format!("nginx@{}", D.replace("ab", "cd"))).unwrap();
    let about_d = evidence(D);
    assert!(!judged(&subject, Some(&about_d), &policy(&require("a"), ENFORCED, "")).allows());
    assert!(!judged(&subject, None, &policy(&require("a"), ENFORCED, "")).allows());
}

#[test]
fn an_image_id_is_no_name() {
    let text = format!("docker.io/library/{D}");
    let digest = D.replace("ab", "cd").parse().unwrap();
    let subject = Subject::pulled(&text, &[(digest, DigestKind::Unknown)]).unwrap();
    let hub = policy("evaluationMode: ALWAYS_DENY", ENFORCED, "{namePattern: 'docker.io/library/**'}");
    assert!(!judged(&subject, None, &hub).allows());
}

#[test]
fn messages_keep_googles_grammar() {
    let subject = Subject::named(&format!("gcr.io/p/i@{}", D.replace("ab", "cd"))).unwrap();
    let image = subject.image();
    let evidence = evidence(&D.replace("ab", "cd"));
    let verdict = judged(&subject, Some(&evidence), &policy(&require("a"), ENFORCED, ""));
    assert_eq!(
        verdict.message,
        format!(
            "Image {image} denied by Binary Authorization default admission rule. Image {image} denied by attestor \
             projects/p/attestors/a: No attestations found that were valid and signed by a key trusted by the attestor"
        )
    );
    assert_eq!(verdict.evidence_age_seconds, Some(3));
    assert!(verdict.line().ends_with("attested by projects/p/attestors/a, then try again"));
    let verdict = judged(&subject, Some(&evidence), &policy("evaluationMode: ALWAYS_DENY", ENFORCED, ""));
    assert_eq!(
        verdict.message,
        format!(
            "Image {image} denied by Binary Authorization default admission rule. Denied by always_deny admission rule"
        )
    );
}

#[test]
fn evidence_may_be_too_old() {
    use Decision::{Allow, Deny};
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    let subject = Subject::named(&format!("r.example.com/a@{D}")).unwrap();
    let evidence = evidence(D);
    let bound = |extra: &str| format!("{}{extra}", require("a"));
    // What the rule adds, its enforcement, the age, what is decided, what would be, why.
    let rows = [
        ("", ENFORCED, hours(1_000_000), Allow, Allow, Reason::Attested),
        (", binauthdMaxStaleness: 24h", ENFORCED, hours(24), Allow, Allow, Reason::Attested),
        (", binauthdMaxStaleness: 24h", ENFORCED, hours(25), Deny, Deny, Reason::EvidenceStale),
        (", binauthdMaxStaleness: 24h", ENFORCED, None, Deny, Deny, Reason::EvidenceStale),
        (", binauthdMaxStaleness: 24h", DRY_RUN, hours(25), Allow, Deny, Reason::EvidenceStale),
        (
            ", binauthdMaxStaleness: 24h, binauthdOnStale: ALLOW",
            ENFORCED,
            hours(25),
            Allow,
            Allow,
            Reason::Attested,
        ),
    ];
    for (extra, enforcement, age, decision, would, reason) in rows {
        let rulebook = policy(&bound(extra), enforcement, "");
        let known = [Known { evidence: &evidence, age, lack: None }];
        let verdict = judge(&subject, &known, &rulebook, SystemTime::UNIX_EPOCH);
        assert_eq!((verdict.verdict, verdict.would, verdict.reason), (decision, would, reason), "{extra}");
    }
    let mut rulebook = policy(&bound(""), ENFORCED, "");
    rulebook.freshness.max_staleness = hours(24);
    let known = [Known { evidence: &evidence, age: hours(25), lack: None }];
    let verdict = judge(&subject, &known, &rulebook, SystemTime::UNIX_EPOCH);
    assert_eq!(verdict.reason, Reason::EvidenceStale);
    assert!(verdict.message.contains("last read 1day 1h ago, more than the 1day"), "{}", verdict.message);
    rulebook.freshness.on_stale = Some(OnStale::Allow);
    let verdict = judge(&subject, &known, &rulebook, SystemTime::UNIX_EPOCH);
    assert!(verdict.allows() && verdict.message.contains("last read 1day 1h ago"), "{}", verdict.message);
}

#[test]
fn what_may_be_elsewhere_is_told_apart_from_what_is_not_there() {
    let subject = Subject::named(&format!("r.example.com/a@{D}")).unwrap();
    let evidence = evidence(D);
    let unreachable = Lack::Unreachable("source `store`: no route".to_owned());
    let rows = [
        (None, Reason::NoAttestation, "signed by a key trusted by the attestor"),
        (Some(&unreachable), Reason::SourceUnreachable, "source `store`: no route"),
        (Some(&Lack::Pending), Reason::LookupPending, "being looked up"),
        (Some(&Lack::Limited(Duration::from_secs(7))), Reason::LookupLimited, "in 7 s"),
    ];
    for (lack, reason, part) in rows {
        for (enforcement, allows) in [(ENFORCED, false), (DRY_RUN, true)] {
            let rulebook = policy(&require("a b"), enforcement, "");
            let known = [Known { lack, ..Known::wholly(&evidence) }];
            let verdict = judge(&subject, &known, &rulebook, SystemTime::UNIX_EPOCH);
            assert_eq!((verdict.reason, verdict.allows()), (reason, allows));
            assert!(verdict.message.contains(part), "{}", verdict.message);
        }
        // What is satisfied needs nothing more.
        let known = [Known { lack, ..Known::wholly(&evidence) }];
        let verdict = judge(&subject, &known, &policy(&require("a"), ENFORCED, ""), SystemTime::UNIX_EPOCH);
        assert_eq!(verdict.reason, Reason::Attested);
    }
}

#[test]
fn what_one_digest_lacks_makes_nothing_old_that_another_has() {
    let other = D.replace("ab", "cd");
    let digests = [D, &other].map(|digest| (digest.parse().unwrap(), DigestKind::Unknown));
    let subject = Subject::pulled("registry.example.com/team/app:1", &digests).unwrap();
    let (attested, absent) = (evidence(D), evidence(&other));
    let ages = |age, of_absent| {
        let known = [(&attested, age), (&absent, of_absent)];
        known.map(|(evidence, age)| Known { evidence, age, lack: None })
    };
    let mut rulebook = policy(&require("a"), ENFORCED, "");
    rulebook.freshness.max_staleness = Some(Duration::from_secs(60));
    let [young, old] = [3, 600].map(|seconds| Some(Duration::from_secs(seconds)));
    let rows = [
        (young, young, true),
        (young, old, true),
        (young, None, true),
        (old, young, false),
        (None, young, false),
    ];
    for (age, of_absent, allowed) in rows {
        let verdict = judge(&subject, &ages(age, of_absent), &rulebook, SystemTime::UNIX_EPOCH);
        assert_eq!(verdict.allows(), allowed, "{age:?} {of_absent:?}: {}", verdict.message);
    }
}

mod break_glass;
