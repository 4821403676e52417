//! What holds of every decision, whatever the policy and the evidence: good evidence never harms, bad
//! evidence never helps and never hurts, dry run only lets through, and who knows less decides nothing else.
//!
//! Worlds are the same at every run; `PROPTEST_CASES=5000 cargo test --test properties` draws others.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

#[path = "properties/draw.rs"]
mod draw;
#[path = "properties/filed.rs"]
mod filed;
#[path = "properties/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use binauthd::decision::{Decision, Reason};
use binauthd::image::Workload;
use binauthd::policy::break_glass::{GRANT, GrantDocument, Word};
use binauthd::policy::{BreakGlass, Grant, SealKey};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use self::draw::{bad, kind_world, partly, scanned};
use self::filed::{Filed, Says};
use self::world::{Bounds, Check, DAY, MAX_SCAN_AGE, World, digest};

fn config(cases: u32) -> Config {
    let known = std::env::var_os("PROPTEST_CASES").is_none();
    let config = if known {
        Config { cases, rng_seed: RngSeed::Fixed(20_261_124), ..Config::default() }
    } else {
        Config::default()
    };
    Config { failure_persistence: None, max_shrink_iters: 2_000, ..config }
}

fn holds<S: Strategy>(cases: u32, worlds: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    TestRunner::new(config(cases)).run(worlds, test).unwrap_or_else(|error| panic!("{error}"));
}

fn allows(world: &World) -> bool {
    world.judge().allows()
}

/// What is filed, but for what an allowance can do without.
fn lean(mut world: World) -> World {
    let before = world.judge();
    for place in (0..world.filed.len()).rev() {
        let without = world.filed.remove(place);
        let after = world.judge();
        if (after.verdict, after.would) != (before.verdict, before.would) {
            world.filed.insert(place, without);
        }
    }
    world
}

/// Worlds that hold less that is good.
fn poorer(world: &World) -> Vec<(&'static str, World)> {
    let mut less = Vec::new();
    let mut without = |what, change: &dyn Fn(&mut World)| {
        let mut other = world.clone();
        change(&mut other);
        less.push((what, other));
    };
    // Whoever takes away a scan may take away the one that refuses; there is a rule for them below. One from
    // the future stands before others that would tell an age.
    let sets = || world.platform.iter().flat_map(|(_, sets)| sets);
    let asks = |kind: fn(&Check) -> bool| sets().flat_map(|set| &set.checks).any(kind);
    let (scanned, aged) = (
        asks(|check| matches!(check, Check::Vulnerability(_))),
        asks(|check| matches!(check, Check::Freshness { .. })),
    );
    let spared =
        |filed: &Filed| filed.is_scan() && (scanned || (aged && age(filed).is_some_and(|age| age < 0)));
    for (place, _) in world.filed.iter().enumerate().filter(|(_, filed)| !spared(filed)) {
        without("an occurrence", &|world| {
            world.filed.remove(place);
        });
    }
    for (place, party) in world.parties.iter().enumerate() {
        let scans = |key: Option<usize>| {
            let by = |filed: &&Filed| filed.note == party.number && key.is_none_or(|key| filed.key == key);
            world.filed.iter().filter(by).any(spared)
        };
        if !scans(None) {
            without("an attestor", &|world| {
                world.parties.remove(place);
            });
        }
        for (number, key) in party.keys.iter().enumerate() {
            if !scans(Some(*key)) {
                without("a key", &|world| {
                    world.parties[place].keys.remove(number);
                });
            }
        }
    }
    for place in 0..world.patterns.len() {
        without("a pattern", &|world| {
            world.patterns.remove(place);
        });
    }
    for place in 0..world.system_digests.len() {
        without("a digest of the system policy", &|world| {
            world.system_digests.remove(place);
        });
    }
    for place in 0..world.system_patterns.len() {
        without("a pattern of the system policy", &|world| {
            world.system_patterns.remove(place);
        });
    }
    if let Some((_, sets)) = &world.platform {
        for place in 0..sets.len() {
            without("an exemption", &|world| {
                world.platform.as_mut().unwrap().1[place].exempts = false;
            });
        }
    }
    without("all of the system policy", &|world| world.uses_system = false);
    less
}

#[test]
fn less_that_is_good_never_allows() {
    holds(160, &kind_world(), |world| {
        if !allows(&world) {
            for (what, less) in poorer(&world) {
                prop_assert!(!allows(&less), "allowed without {what}");
            }
        }
        Ok(())
    });
}

#[test]
fn more_that_is_bad_never_refuses() {
    let worlds = kind_world().prop_map(lean).prop_flat_map(|world| {
        let bad = prop::collection::vec(bad(world.filed.clone(), true), 1..6);
        (Just(world), bad, any::<bool>())
    });
    holds(300, &worlds, |(mut world, bad, first)| {
        let before = world.judge();
        if before.allows() {
            if first {
                world.filed.splice(0..0, bad);
            } else {
                world.filed.extend(bad);
            }
            let after = world.judge();
            prop_assert!(after.allows(), "{} {}", after.reason, after.message);
            prop_assert_eq!(before.would, after.would);
        }
        Ok(())
    });
}

/// What bad evidence alone makes of a world: the same as none.
#[test]
fn what_is_bad_never_allows() {
    let worlds = kind_world().prop_flat_map(|mut world| {
        let good = std::mem::take(&mut world.filed);
        let bad = prop::collection::vec(bad(good, false), 1..8);
        (Just(world), bad)
    });
    holds(200, &worlds, |(mut world, bad)| {
        let before = world.judge().verdict;
        world.filed = bad;
        prop_assert_eq!(world.judge().verdict, before);
        Ok(())
    });
}

/// What a vulnerability check must come to, told from the list of scans.
fn expected(world: &World, bounds: &Bounds) -> Option<Reason> {
    let counts =
        |one: &&Filed| (world.resolved || one.under == 0) && (!bounds.one_project || one.project == "p");
    // Each digest answers for its own scans; one that was scanned too long ago leaves it to the other, but
    // for what was then found of the manifest.
    let (mut passed, mut old, mut bad_manifest) = (false, false, false);
    for digest in 0..2 {
        let of = |one: &&Filed| one.under == digest && counts(one);
        let scans: Vec<_> = world.filed.iter().filter(of).collect();
        let Some(newest) = scans.iter().filter_map(|one| age(one)).min() else { continue };
        if newest < -600 {
            return Some(Reason::ScanUnreadable);
        }
        let vulnerable = |one: &&&Filed| matches!(one.says, Says::Scan { found: Some("critical"), .. });
        let bad = scans.iter().filter(|one| age(one) == Some(newest)).any(|one| vulnerable(&one));
        match () {
            () if bounds.ages && newest > MAX_SCAN_AGE as i64 => {
                old = true;
                bad_manifest |= bad && world.resolved && digest == 1;
            }
            () if bad => return Some(Reason::Vulnerable),
            () => passed = true,
        }
    }
    match (passed, old) {
        (true, _) => bad_manifest.then_some(Reason::Vulnerable),
        (false, true) => Some(Reason::ScanTooOld),
        (false, false) => Some(Reason::NoScan),
    }
}

fn age(filed: &Filed) -> Option<i64> {
    match filed.says {
        Says::Scan { age, .. } => Some(age),
        _ => None,
    }
}

#[test]
fn the_newest_scans_decide_and_the_worst_of_them() {
    holds(300, &scanned(), |(world, bounds)| {
        let verdict = world.judge();
        let reason = (!verdict.allows()).then_some(verdict.reason);
        prop_assert_eq!(reason, expected(&world, &bounds));
        Ok(())
    });
}

#[test]
fn without_a_scan_only_another_that_is_recent_allows() {
    holds(200, &scanned(), |(world, bounds)| {
        if allows(&world) {
            // An older one changes nothing.
            let oldest = world.filed.iter().filter_map(age).max().unwrap_or_default();
            for under in 0..2 {
                let mut older = world.filed[0].clone();
                (older.under, older.about) = (under, under);
                older.says = Says::Scan { age: oldest + 1, found: Some("critical") };
                let mut more = world.clone();
                more.filed.push(older);
                // Beside an image that has none at all it is the newest.
                let looked_at = |one: &Filed| {
                    one.under == under && age(one).is_some() && (!bounds.one_project || one.project == "p")
                };
                let first = !world.filed.iter().any(looked_at);
                prop_assert!(allows(&more) || first);
            }
            return Ok(());
        }
        for place in 0..world.filed.len() {
            let mut less = world.clone();
            less.filed.remove(place);
            let recent = |one: &Filed| {
                age(one).is_some_and(|age| age >= -600 && (!bounds.ages || age <= MAX_SCAN_AGE as i64))
            };
            prop_assert!(!allows(&less) || less.filed.iter().any(recent));
        }
        Ok(())
    });
}

#[test]
fn the_deny_list_only_refuses() {
    let worlds = (kind_world(), prop::collection::vec(0..3usize, 1..3));
    holds(100, &worlds, |(world, denied)| {
        let mut more = world.clone();
        more.denied.extend(denied.iter().filter(|one| !world.denied.contains(one)));
        more.denied.sort_unstable();
        more.denied.dedup();
        let (before, after) = (world.judge(), more.judge());
        prop_assert!(before.verdict == after.verdict || !after.allows());
        let ours = more.denied.iter().any(|one| *one == 0 || (*one == 1 && world.resolved));
        prop_assert_eq!(after.reason == Reason::DenyListed, ours);
        Ok(())
    });
}

#[test]
fn the_canary_is_never_let_through() {
    let worlds = (kind_world(), any::<bool>());
    holds(200, &worlds, |(world, pod_label)| {
        let mut glass = BreakGlass::default();
        glass.pod_label = pod_label;
        let verdict = world.judge_canary(glass);
        prop_assert!(!verdict.allows() && verdict.enforced && verdict.reason == Reason::Canary);
        Ok(())
    });
}

/// A grant for one of the digests, in a namespace or in any; whether it holds when worlds are judged.
fn granted(which: usize, namespace: Option<&str>, holds: bool) -> Arc<Grant> {
    let key = SigningKey::from_slice(&[9; 32]).unwrap();
    let (issued, expires) = if holds { (DAY, 30_000 * DAY) } else { (DAY, 20_000 * DAY) };
    let time = |seconds| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        humantime::format_rfc3339_seconds(time).to_string()
    };
    let document = GrantDocument {
        version: GrantDocument::VERSION,
        serial: format!("{which}-{}", namespace.unwrap_or("any")),
        issued: time(issued),
        not_before: None,
        expires: time(expires),
        digests: vec![digest(which).to_string()],
        namespaces: namespace.map(str::to_owned).into_iter().collect(),
        any_namespace: namespace.is_none(),
        reason: "drill".to_owned(),
        ticket: None,
        issuer: None,
        clusters: Vec::new(),
        nodes: Vec::new(),
    };
    let payload = document.to_bytes().unwrap();
    let signature: DerSignature = key.sign(&GRANT.signed(&payload));
    let envelope = GRANT.assemble(&payload, &[(String::new(), signature.as_bytes().to_vec())]);
    let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    match Word::verify(envelope.as_bytes(), &[SealKey::parse(&pem).unwrap()]).unwrap() {
        Word::Grant(grant) => grant,
        Word::Revocation(_) => panic!("a revocation"),
    }
}

/// It lets through exactly what is refused, not denied by the list, named and in its place, and tells the same.
#[test]
fn break_glass_lets_through_what_it_names_and_nothing_else() {
    let namespace = prop_oneof![Just(None), Just(Some("shop")), Just(Some("ops"))];
    let worlds = (
        kind_world(),
        any::<[bool; 4]>(),
        0..3_usize,
        namespace,
        prop::bool::weighted(0.8),
        any::<[bool; 2]>(),
    );
    holds(300, &worlds, |(mut world, known, which, namespace, is_held, [node, pod])| {
        world.workload = Workload { break_glass: pod, ..partly(&world.workload, known) };
        let (before, grant) = (world.judge(), granted(which, namespace, is_held));
        let after = world.judge_with(BreakGlass::new(node, vec![grant]));
        let names = which == 0 || (which == 1 && world.resolved);
        let is_there = namespace.is_none() || namespace == world.workload.namespace.as_deref();
        let by_grant = is_held && names && is_there;
        let broken = !before.allows() && before.reason != Reason::DenyListed && (by_grant || (node && pod));
        prop_assert_eq!(after.reason == Reason::BreakGlass, broken, "{}", after.message);
        prop_assert_eq!((after.would, &after.attestors), (before.would, &before.attestors));
        if broken {
            prop_assert!(after.allows());
            let told = after.break_glass.unwrap();
            prop_assert_eq!((told.overrides, told.grant.is_some()), (before.reason, by_grant));
        } else {
            prop_assert_eq!(after, before);
        }
        Ok(())
    });
}

fn enforced(world: &World, dry_run: bool) -> World {
    let mut other = world.clone();
    other.default_rule.1 = dry_run;
    other.rules.iter_mut().for_each(|rule| rule.3 = dry_run);
    if let Some((mode, _)) = &mut other.platform
        && *mode != "AUDIT"
    {
        *mode = if dry_run { "AUDIT_AND_DRYRUN" } else { "AUDIT_AND_ENFORCE" };
    }
    other
}

#[test]
fn dry_run_lets_through_and_tells_the_same() {
    let worlds = (kind_world(), any::<[bool; 4]>(), prop::bool::weighted(0.5));
    holds(200, &worlds, |(mut world, known, whole)| {
        if !whole {
            world.workload = partly(&world.workload, known);
        }
        let (real, dry, mixed) =
            (enforced(&world, false).judge(), enforced(&world, true).judge(), world.judge());
        prop_assert_eq!(real.would, real.verdict);
        prop_assert!(
            dry.allows() || dry.reason == Reason::DenyListed || dry.reason == Reason::PodContextUnknown
        );
        // Of rules that may apply one may allow and one run dry: what is said then is that one would refuse.
        for judged in [&dry, &mixed] {
            prop_assert_eq!(judged.would == Decision::Allow, real.allows());
            if whole {
                prop_assert_eq!(judged.would, real.verdict);
            }
            prop_assert!(judged.allows() || !real.allows());
        }
        Ok(())
    });
}

#[test]
fn knowing_more_of_the_pod_never_decides_otherwise() {
    let worlds = (kind_world(), any::<[bool; 4]>(), any::<[bool; 4]>());
    holds(300, &worlds, |(world, less, more)| {
        let at = |known| World { workload: partly(&world.workload, known), ..world.clone() }.judge();
        let more: [bool; 4] = std::array::from_fn(|one| less[one] || more[one]);
        let (one, two, whole) = (at(less), at(more), world.judge());
        for (before, after) in [(&one, &two), (&two, &whole), (&one, &whole)] {
            if before.verdict != Decision::CannotDecide {
                prop_assert_eq!(before.verdict, after.verdict);
            }
        }
        prop_assert!(whole.verdict != Decision::CannotDecide);
        Ok(())
    });
}

#[test]
fn telling_and_order_change_nothing() {
    let worlds = kind_world().prop_flat_map(|world| {
        let shuffled = Just(world.filed.clone()).prop_shuffle();
        (Just(world), shuffled)
    });
    holds(150, &worlds, |(world, filed)| {
        let verdict = world.judge();
        let ladder = world.explained();
        prop_assert_eq!(&ladder.verdict, &verdict);
        let last = ladder.ladder.last().unwrap();
        prop_assert_eq!(last.reason, Some(verdict.reason));
        let other = World { filed, ..world }.judge();
        prop_assert_eq!(
            (other.verdict, other.would, other.reason),
            (verdict.verdict, verdict.would, verdict.reason)
        );
        let satisfied = |verdict: &binauthd::decision::Verdict| {
            verdict.attestors.iter().map(|one| (one.satisfied, one.reason)).collect::<Vec<_>>()
        };
        prop_assert_eq!(satisfied(&other), satisfied(&verdict));
        Ok(())
    });
}

/// A property of worlds that are all refused, or all allowed, says nothing.
#[test]
fn worlds_are_mixed() {
    let counts = std::cell::RefCell::new(std::collections::BTreeMap::new());
    holds(400, &kind_world(), |world| {
        let verdict = world.judge();
        *counts.borrow_mut().entry(verdict.reason.code()).or_insert(0) += 1;
        *counts.borrow_mut().entry(if verdict.allows() { "allowed" } else { "refused" }).or_insert(0) += 1;
        Ok(())
    });
    let counts = counts.into_inner();
    for (what, least) in [
        ("allowed", 100),
        ("refused", 100),
        ("ATTESTED", 40),
        ("ALLOWLISTED", 10),
        ("SYSTEM_POLICY", 10),
        ("DENY_LISTED", 5),
        ("ATTESTOR_MISSING", 5),
        ("NO_ATTESTATION", 10),
        ("VULNERABLE", 2),
        ("NO_SCAN", 2),
    ] {
        assert!(counts.get(what).is_some_and(|count| *count >= least), "{what}: {counts:?}");
    }
}
