//! Judges every case of `tests/corpus`, and holds the corpus to its own size and to the table of reasons.
//!
//! `BINAUTHD_CASE=part-of-a-name cargo test --test corpus -- --nocapture` prints the ladders of those cases.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use binauthd::attestation::{Attestor, Evidence, KeyRing, Occurrence, payload};
use binauthd::decision::{Case, Known, Ladder, Looks, Reason, Subject, SubjectError, Verdict};
use binauthd::document::Format;
use binauthd::image::{Digest, DigestKind, ReferenceError, Workload};
use binauthd::policy::{DenyList, Options, PlatformPolicy, Policy, Rulebook, Subjects, SystemPolicy};
use serde_json::Value;

/// Cases by topic. A case that is lost is as bad as one that fails.
const TOPICS: &[(&str, usize)] = &[
    ("appendix-a", 35),
    ("attestors", 47),
    ("check-sets", 293),
    ("defects", 51),
    ("dsse", 58),
    ("floods", 30),
    ("jwt", 73),
    ("keys", 136),
    ("occurrences", 86),
    ("openpgp", 66),
    ("order", 45),
    ("patterns-a", 85),
    ("payloads", 79),
    ("producers", 12),
    ("rules", 132),
    ("subjects", 49),
];

/// Reasons that no case gives: most of them because the judge is not asked. Each is reached by the tests
/// named beside it.
const ELSEWHERE: &[(Reason, &str)] = &[
    (Reason::Canary, "decision::canary::tests, tests/properties.rs, tests/node/doctor.rs"),
    (Reason::Unanswered, "daemon::unanswered::tests, tests/e2e/pulls.rs"),
    (Reason::EvidenceUnread, "daemon::engine::tests"),
    (Reason::MediaTypeUnknown, "daemon::pull::tests, tests/e2e/broken.rs"),
    (Reason::PolicyMissing, "tests/cli, tests/e2e/broken.rs"),
    (Reason::TrustLost, "config::documents::tests, tests/cli/bundles.rs"),
    (Reason::EvidenceStale, "decision::judge::tests, tests/sources/faults.rs"),
    (Reason::SourceUnreachable, "decision::judge::tests, tests/sources/faults.rs"),
    (Reason::LookupPending, "decision::judge::tests, tests/sources/floods.rs"),
    (Reason::LookupLimited, "decision::judge::tests, tests/sources/floods.rs"),
    (Reason::UngatedStart, "tests/e2e/create.rs"),
    (Reason::CheckpointRestore, "tests/e2e/create.rs"),
    (Reason::HandlerUngated, "tests/e2e/create.rs"),
    (Reason::SnapshotUnknown, "tests/e2e/create.rs"),
    (Reason::SnapshotterUnlisted, "tests/e2e/create.rs"),
    (Reason::ImageUnknown, "tests/e2e/create.rs"),
    (Reason::ImageMismatch, "tests/e2e/create.rs"),
    (Reason::ContainerdUnread, "tests/e2e/create.rs"),
    (Reason::NotInTime, "tests/e2e/create.rs"),
    (Reason::HostAccess, "decision::host_access::tests, tests/e2e/create.rs"),
    (Reason::AuditUnavailable, "tests/e2e/service.rs"),
    (Reason::BreakGlass, "decision::judge::tests::break_glass, tests/e2e/break_glass.rs"),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn topics() -> BTreeMap<String, Vec<Value>> {
    let mut topics = BTreeMap::new();
    for entry in fs::read_dir(folder().join("cases")).unwrap() {
        let path = entry.unwrap().path();
        let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let Value::Array(cases) = file["cases"].take() else { panic!("{}: no cases", path.display()) };
        assert!(topics.insert(file["topic"].as_str().unwrap().to_owned(), cases).is_none());
    }
    topics
}

#[test]
fn every_case() {
    let wanted = std::env::var("BINAUTHD_CASE").ok();
    let (mut wrong, mut judged) = (Vec::new(), 0);
    for (topic, cases) in topics() {
        for case in cases {
            let name = case["name"].as_str().unwrap();
            if wanted.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
                continue;
            }
            judged += 1;
            let verdict = judge(&case, wanted.is_some());
            let problems = differences(&case["expect"], &serde_json::to_value(&verdict).unwrap());
            if !problems.is_empty() {
                let why = case["why"].as_str().unwrap_or_default();
                let open = if case["open"] == true { " (open)" } else { "" };
                wrong.push(format!("{topic}/{name}{open}: {why}\n    {}", problems.join("\n    ")));
            }
        }
    }
    println!("{judged} cases judged");
    assert!(judged > 0);
    assert!(wrong.is_empty(), "{} of {judged} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_is_lost() {
    let topics = topics();
    let found: Vec<_> = topics.iter().map(|(topic, cases)| (topic.as_str(), cases.len())).collect();
    assert_eq!(found, TOPICS, "the corpus has other topics or numbers of cases than are counted here");
    let names: Vec<_> = topics.values().flatten().map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two cases have one name");
}

#[test]
fn every_reason_is_reached() {
    let reached: BTreeSet<String> = topics()
        .values()
        .flatten()
        .map(|case| case["expect"]["reason"].as_str().unwrap().to_owned())
        .collect();
    let elsewhere: Vec<_> = ELSEWHERE.iter().map(|(reason, _)| *reason).collect();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !elsewhere.contains(reason) && !reached.contains(reason.code()))
        .collect();
    assert!(missing.is_empty(), "no case reaches {missing:?}");
}

fn judge(case: &Value, explain: bool) -> Verdict {
    let image = case["subject"]["image"].as_str().unwrap();
    let rulebook = match rulebook(case) {
        Ok(rulebook) => rulebook,
        Err((reason, why)) => return Verdict::refused(image, None, reason, &why, ""),
    };
    let subject = match subject(&case["subject"]) {
        Ok(subject) => subject,
        Err((reason, why)) => return Verdict::refused(image, None, reason, &why, ""),
    };
    let now = humantime::parse_rfc3339(case["now"].as_str().unwrap()).unwrap();
    let dsse_types = match &case["options"]["dsseTypes"] {
        Value::Null => vec![payload::MEDIA_TYPE.to_owned()],
        types => serde_json::from_value(types.clone()).unwrap(),
    };
    let attestors = list(&case["attestors"]).iter().filter_map(|one| {
        let parsed = Attestor::parse(&bytes(one), Format::Json);
        parsed.inspect_err(|error| told(explain, &format!("attestor refused: {error}"))).ok()
    });
    let key_ring = rulebook.narrow(&KeyRing::accepting(attestors, &dsse_types));
    let occurrences: Vec<_> = list(&case["occurrences"])
        .iter()
        .flat_map(|one| {
            let times = one["repeat"].as_u64().unwrap_or(1);
            let text = bytes(if one["of"].is_null() { one } else { &one["of"] });
            let parsed = Occurrence::parse(&text);
            let parsed = parsed.inspect_err(|error| told(explain, &format!("occurrence refused: {error}")));
            parsed.ok().into_iter().flat_map(move |one| std::iter::repeat_n(one, times as usize))
        })
        .collect();
    let found = Case::new(&subject, &rulebook, now);
    let mut looks = Looks::default();
    let evidence: Vec<_> = found
        .asks()
        .iter()
        .map(|digest| Evidence::gather_watched(*digest, &occurrences, &key_ring, None, &mut looks))
        .collect();
    let known: Vec<_> = evidence.iter().map(Known::wholly).collect();
    let verdict = found.judge(&known);
    // Telling must not change what is found, and must be possible for every case.
    let ladder = Ladder::new(&found, verdict.clone(), &looks);
    assert!(!ladder.ladder.is_empty());
    if explain {
        println!("{}: {}", case["name"], serde_json::to_string_pretty(&ladder).unwrap());
    }
    verdict
}

fn told(explain: bool, what: &str) {
    if explain {
        println!("{what}");
    }
}

fn rulebook(case: &Value) -> Result<Rulebook, (Reason, String)> {
    let options = &case["options"];
    let allow_multiple_rule_maps = options["allowMultipleRuleMaps"].as_bool().unwrap_or_default();
    let subjects = match options["subjects"].as_array() {
        None => Subjects::default(),
        Some(kinds) => {
            Subjects { index: kinds.contains(&"index".into()), manifest: kinds.contains(&"manifest".into()) }
        }
    };
    let policy = document(&case["policy"], |bytes, format| {
        Policy::parse(bytes, format, Options { allow_multiple_rule_maps })
    })?;
    let platform_policy = document(&case["platformPolicy"], PlatformPolicy::parse)?;
    let deny_list = document(&case["denyList"], DenyList::parse)?;
    let system_policy = document(&case["systemPolicy"], SystemPolicy::parse)?;
    Ok(Rulebook {
        policy: policy.map(Arc::new),
        platform_policy: platform_policy.map(Arc::new),
        deny_list: Arc::new(deny_list.unwrap_or_default()),
        system_policy: Arc::new(system_policy.unwrap_or_default()),
        subjects,
        deny_tags: options["denyTags"].as_bool().unwrap_or_default(),
        ..Rulebook::default()
    })
}

fn document<T, E: std::error::Error>(
    value: &Value,
    parse: impl Fn(&[u8], Format) -> Result<T, E>,
) -> Result<Option<T>, (Reason, String)> {
    let parsed = match value {
        Value::Null => return Ok(None),
        Value::String(text) => parse(text.as_bytes(), Format::Yaml),
        other => parse(other.to_string().as_bytes(), Format::Json),
    };
    parsed.map(Some).map_err(|error| (Reason::PolicyUnreadable, error.to_string()))
}

fn subject(value: &Value) -> Result<Subject, (Reason, String)> {
    let text = |field: &str| value[field].as_str().map(str::to_owned);
    let digest = |field: &str| -> Option<Digest> { Some(value[field].as_str()?.parse().unwrap()) };
    let workload = Workload {
        cluster: text("cluster"),
        namespace: text("namespace"),
        service_account: text("serviceAccount"),
        mesh_identity: text("meshIdentity"),
        break_glass: false,
    };
    let image = value["image"].as_str().unwrap();
    let subject = match Subject::named(image) {
        // No name: only digests speak for it.
        Err(SubjectError::Reference(ReferenceError::ImageId(_))) => Subject::pulled(image, &[]),
        other => other,
    };
    let subject = subject.map_err(refused)?.with_config(digest("config")).in_workload(workload);
    let indices = ["index", "otherIndex"].into_iter().filter_map(digest);
    let indices = indices.map(|digest| (digest, DigestKind::Index));
    let manifest = digest("manifest").map(|digest| (digest, DigestKind::Manifest));
    let digests: Vec<_> = indices.chain(manifest).collect();
    if digests.is_empty() {
        return Ok(subject);
    }
    subject.with_digests(&digests).map_err(refused)
}

/// As the gates refuse it.
fn refused(error: SubjectError) -> (Reason, String) {
    let reason = match &error {
        SubjectError::Contradiction { .. } => Reason::DigestMismatch,
        SubjectError::Reference(ReferenceError::Digest(_)) => Reason::DigestUnsupported,
        SubjectError::Reference(_) => Reason::BadRequest,
    };
    (reason, error.to_string())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A document: inline, as raw text, or a file of the corpus.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(file) => {
            fs::read(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
        }
        Value::Object(members) if members.contains_key("raw") => {
            members["raw"].as_str().unwrap().as_bytes().to_vec()
        }
        other => other.to_string().into_bytes(),
    }
}

fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut same = |what: &str, expected: &Value, found: &Value| {
        if !expected.is_null() && expected != found {
            problems.push(format!("{what} is {found}, not {expected} ({})", "expected"));
        }
    };
    for field in ["verdict", "would", "reason", "rule"] {
        same(field, &expected[field], &found[field]);
    }
    let attestors = list(&found["attestors"]);
    for (name, wanted) in expected["attestors"].as_object().into_iter().flatten() {
        let attestor = attestors.iter().find(|one| one["name"] == **name).cloned().unwrap_or_default();
        for (field, value) in wanted.as_object().unwrap() {
            same(&format!("{name}: {field}"), value, &attestor[field]);
        }
    }
    for (place, wanted) in list(&expected["checks"]).iter().enumerate() {
        let check = found["checks"].get(place).cloned().unwrap_or_default();
        for (field, value) in wanted.as_object().unwrap() {
            same(&format!("checks[{place}]: {field}"), value, &check[field]);
        }
    }
    let message = found["message"].as_str().unwrap_or_default();
    for part in list(&expected["message"]) {
        if !message.contains(part.as_str().unwrap()) {
            problems.push(format!("message lacks {part}: {message}"));
        }
    }
    if !problems.is_empty() {
        problems.push(format!("message: {}", message.chars().take(400).collect::<String>()));
    }
    problems
}
