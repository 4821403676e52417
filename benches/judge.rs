//! The judge in this process: no socket, no containerd, no disk while it is measured.
//!
//! A "cached decision" is what the daemon does for a digest it was asked about before: the pull's name
//! and digest are parsed from text, evidence comes from the cache, the verdict is made.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot be set up ends there"
)]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use binauthd::attestation::{Attestor, Evidence, KeyRing, Occurrence};
use binauthd::audit::{Asked, Gate, Record};
use binauthd::decision::{Case, Decision, Known, Reason, Subject, judge};
use binauthd::document::Format;
use binauthd::image::{DigestKind, Workload};
use binauthd::policy::{Options, Policy, Rulebook};
use criterion::{Criterion, criterion_group, criterion_main};

use in_process::{Folder, NAME, decide, digests};

#[path = "gate/attest.rs"]
mod attest;
#[path = "gate/hostile.rs"]
mod hostile;
#[path = "gate/in_process.rs"]
mod in_process;

/// Digests that an uncached engine is asked about before a new one is made.
const UNCACHED: usize = 1_000;

fn rulebook(policy: &str) -> Rulebook {
    let policy = Policy::parse(policy.as_bytes(), Format::Json, Options::default()).unwrap();
    Rulebook { policy: Some(policy.into()), ..Rulebook::default() }
}

/// The pure function alone: two attestors, evidence in hand.
fn pure(criterion: &mut Criterion) {
    let digest = digests("attested", 1).remove(0);
    let subject = Subject::pulled(NAME, &[(digest, DigestKind::Unknown)]).unwrap();
    let keys = [("build", attest::Key::new(1)), ("test", attest::Key::new(2))];
    let document = |text: String| Attestor::parse(text.as_bytes(), Format::Json).unwrap();
    let ring = KeyRing::new(keys.iter().map(|(id, key)| document(attest::attestor(id, &[key]))));
    let occurrences = keys.iter().map(|(id, key)| key.attest(id, "registry.example.com/team/app", digest));
    let occurrences: Vec<_> = occurrences.map(|text| Occurrence::parse(text.as_bytes()).unwrap()).collect();
    let evidence = Evidence::gather(digest, &occurrences, &ring);
    let rulebook = rulebook(&attest::policy(&["build", "test"], &[]));
    let known = [Known::wholly(&evidence)];
    let now = SystemTime::now();
    assert!(judge(&subject, &known, &rulebook, now).allows());
    criterion.bench_function("judge: two attestors, evidence in hand", |bencher| {
        bencher.iter(|| judge(black_box(&subject), &known, &rulebook, now));
    });
    criterion.bench_function("two signatures checked", |bencher| {
        bencher.iter(|| Evidence::gather(black_box(digest), &occurrences, &ring));
    });
}

/// Which part of a policy decides, before any evidence: 10,000 patterns, and 1,000 rules no two of which
/// are alike.
fn selection(criterion: &mut Criterion) {
    let digest = digests("attested", 1).remove(0);
    let last = NAME.replace("team/app:1.4", "team-9999/base/app:1");
    let pod = |namespace: &str| Workload { namespace: Some(namespace.to_owned()), ..Workload::default() };
    let rulebook = rulebook(&attest::wide_policy(1_000, &patterns(10_000)));
    let now = SystemTime::now();
    let rows = [
        ("rule selection: no pattern, namespace known", NAME, pod("team-999")),
        ("rule selection: last of 10,000 patterns", &last, pod("team-999")),
        ("rule selection: no pattern, pod unknown", NAME, Workload::default()),
    ];
    for (title, name, workload) in rows {
        let subject = Subject::pulled(name, &[(digest, DigestKind::Unknown)]).unwrap().in_workload(workload);
        criterion.bench_function(title, |bencher| {
            bencher.iter(|| Case::new(black_box(&subject), &rulebook, now));
        });
    }
}

/// Everything that is filed for a digest by somebody who means harm, checked and judged.
fn floods(criterion: &mut Criterion) {
    let rulebook = rulebook(&attest::policy(&["good", "lost"], &[]));
    let now = SystemTime::now();
    let mut group = criterion.benchmark_group("flood");
    group.sample_size(10);
    for flood in hostile::FLOODS {
        let hostile = hostile::Hostile::new(flood);
        let subject = Subject::pulled(NAME, &[(hostile.digest, DigestKind::Unknown)]).unwrap();
        group.bench_function(*flood, |bencher| {
            bencher.iter(|| {
                let evidence = hostile.gather();
                let known = [Known::wholly(&evidence)];
                judge(&subject, &known, &rulebook, now)
            });
        });
    }
}

/// Decisions of a digest that was asked about before.
fn cached(criterion: &mut Criterion) {
    let attested = digests("attested", 1);
    let absent = digests("absent", 1).remove(0).to_string();
    let present = attested[0].to_string();
    let last = format!("{}9", NAME.replace("team/app:1.4", "team-999/base/"));
    let rows = [
        ("cached decision: attested", 0, NAME, &present, Reason::Attested),
        ("cached decision: not attested", 0, NAME, &absent, Reason::NoAttestation),
        ("cached decision: attested, 1,000 patterns", 1_000, NAME, &present, Reason::Attested),
        ("cached decision: last of 1,000 patterns", 1_000, &last, &absent, Reason::Allowlisted),
    ];
    for (title, count, name, digest, reason) in rows {
        let folder = Folder::new(&attested, &patterns(count));
        let engine = folder.engine();
        assert_eq!(decide(&engine, name, digest).reason, reason, "{title}");
        criterion.bench_function(title, |bencher| {
            bencher.iter(|| decide(&engine, black_box(name), black_box(digest)));
        });
    }
}

/// Decisions of a digest that was never asked about: two signatures are checked.
fn uncached(criterion: &mut Criterion) {
    let attested = digests("attested", UNCACHED);
    let texts: Vec<_> = attested.iter().map(ToString::to_string).collect();
    let folder = Folder::new(&attested, &[]);
    criterion.bench_function("uncached decision: two signatures", |bencher| {
        bencher.iter_custom(|count| {
            let mut took = Duration::ZERO;
            let mut left = usize::try_from(count).unwrap();
            while left > 0 {
                let engine = folder.engine();
                let some = left.min(UNCACHED);
                let start = Instant::now();
                for text in &texts[..some] {
                    assert_eq!(decide(&engine, NAME, text).verdict, Decision::Allow);
                }
                took += start.elapsed();
                left -= some;
            }
            took
        });
    });
}

/// What recording a verdict costs before the answer is sent.
fn record(criterion: &mut Criterion) {
    let attested = digests("attested", 1);
    let engine = Folder::new(&attested, &[]).engine();
    let verdict = decide(&engine, NAME, &attested[0].to_string());
    let asked = Asked {
        pid: 4242,
        uid: 0,
        program: "binauthd-image-verifier/0.1.0".into(),
        entry: "00-binauthd".into(),
    };
    criterion.bench_function("audit record as JSON", |bencher| {
        bencher.iter(|| {
            let duration_micros = Duration::from_micros(7);
            let (time, verdict) = (SystemTime::now(), black_box(&verdict));
            let (gate, container, event) = (Gate::Pull, None, None);
            let record = Record { time, gate, verdict, asked: &asked, container, event, duration_micros };
            serde_json::to_string(&record)
        });
    });
}

/// Allowlist patterns of registries that nothing here is pulled from.
fn patterns(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("registry.example.com/team-{n}/base/**")).collect()
}

criterion_group! {
    name = judging;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = pure, selection, cached, uncached, record, floods
}
criterion_main!(judging);
