//! Every way in which a store lets a node down.

use std::time::{Duration, Instant};

use super::node::{Node, attestation, image, name};
use super::store::{Mode, Store};

/// What a refusal of an unknown image may be called while its store is at fault.
const BY_NAME: [&str; 4] = ["SOURCE_UNREACHABLE", "NO_ATTESTATION", "LOOKUP_PENDING", "LOOKUP_LIMITED"];

#[test]
fn known_digests_go_on_and_unknown_ones_are_refused_by_name_whatever_the_store_does() {
    let (store, node) = Node::listing(30);
    node.all_allowed(0..30);
    let second = Duration::from_secs(1);
    // What the store does, what an image that it does attest meanwhile is refused for, and whether that is an
    // alarm.
    let rows = [
        (Mode::Slow(20 * second), Some("SOURCE_UNREACHABLE"), true),
        (Mode::Reset, Some("SOURCE_UNREACHABLE"), true),
        (Mode::Html, Some("SOURCE_UNREACHABLE"), true),
        (Mode::Status(500), Some("SOURCE_UNREACHABLE"), true),
        (Mode::Status(403), Some("SOURCE_UNREACHABLE"), true),
        (Mode::Busy(1), Some("SOURCE_UNREACHABLE"), true),
        (Mode::EmptyPages, Some("SOURCE_UNREACHABLE"), true),
        (Mode::Endless, None, true),
        (Mode::Restarts, None, true),
        (Mode::Twice, None, false),
        (Mode::AnotherNote, Some("NO_ATTESTATION"), true),
        (Mode::Gigabyte, Some("SOURCE_UNREACHABLE"), true),
        (Mode::Empty, Some("NO_ATTESTATION"), true),
    ];
    for (round, (mode, expected, alarms)) in (0_u32..).zip(rows) {
        let (new, stranger) = (1_000 + round, 2_000 + round);
        store.be(mode);
        store.file([attestation(new)]);
        let started = Instant::now();
        let refusal = node.pull(stranger).expect("nobody has attested it");
        let refused_after = started.elapsed();
        assert!(BY_NAME.contains(&refusal.as_str()), "{mode:?}: {refusal}");
        assert!(refused_after < 9 * second, "{mode:?}: {refused_after:?}");
        if !matches!(mode, Mode::Slow(_)) {
            node.refresh();
        }
        let started = Instant::now();
        node.all_allowed(0..30);
        let known = started.elapsed() / 30;
        if expected.is_some() {
            let said = node.pull(new);
            assert!(said.as_deref().is_some_and(|said| BY_NAME.contains(&said)), "{mode:?}: {said:?}");
        } else {
            assert_eq!(node.pull(new), None, "{mode:?}");
        }
        if alarms && !matches!(mode, Mode::Slow(_)) {
            let alarms = node.alarms();
            assert!(alarms.contains("source `store`"), "{mode:?}: {alarms}");
        }
        println!(
            "{mode:?}: known images allowed in {known:?} each, an unknown one refused in {refused_after:?} ({refusal})"
        );
        store.be(Mode::Good);
        node.until("the store is well again", |node| {
            node.refresh();
            node.pull(new).is_none() && !node.alarms().contains("source `store`")
        });
    }
    let read = store.sent() >> 20;
    println!("of a gigabyte {read} MiB were read; the daemon takes {} MiB", node.resident_kib() >> 10);
    assert!(read < 200 && node.resident_kib() < 200 * 1024);
}

#[test]
fn a_store_that_is_gone_is_missed_by_nobody_whose_image_is_known_and_not_across_a_restart() {
    let (store, mut node) = Node::listing(30);
    node.all_allowed(0..30);
    let (address, occurrences) = (store.address, store.occurrences());
    drop(store);
    for start in 0..3 {
        node.all_allowed(0..30);
        assert_eq!(node.pull(1_000 + start).as_deref(), Some("SOURCE_UNREACHABLE"));
        if start == 0 {
            node.kill()
        } else {
            node.terminate()
        }
        let took = node.start();
        let first = Instant::now();
        node.all_allowed(0..1);
        println!("without the store: started in {took:?}, first verdict after {:?} more", first.elapsed());
    }
    let store = Store::again(address, occurrences);
    store.file([attestation(30)]);
    node.until("what is new", |node| node.pull(30).is_none());
}

#[test]
fn a_miss_is_looked_up_at_once_and_an_attestation_that_is_deleted_stops_counting() {
    let (store, node) = Node::listing(5);
    let mut times = Vec::new();
    for n in 100..150 {
        store.file([attestation(n)]);
        let started = Instant::now();
        assert_eq!(node.pull(n), None);
        times.push(started.elapsed());
    }
    times.sort();
    println!("50 misses: median {:?}, worst {:?}", times[25], times[49]);
    // Nothing waits for the next listing, and an image that nobody attests is asked for once in a while.
    let asked = store.asked();
    for _ in 0..20 {
        assert_eq!(node.pull(500).as_deref(), Some("NO_ATTESTATION"));
    }
    assert!(store.asked() - asked <= 3, "{} questions", store.asked() - asked);
    store.remove(&name(0));
    node.refresh();
    assert_eq!(node.pull(0).as_deref(), Some("NO_ATTESTATION"));
    node.all_allowed(1..5);
}

#[test]
fn a_mass_deletion_is_held_and_alarmed_until_root_agrees() {
    let (store, mut node) = Node::listing(40);
    node.all_allowed(0..40);
    store.be(Mode::Empty);
    node.refresh();
    let held = |node: &Node| node.alarms().contains("of 40 digests in use would lose attestations");
    assert!(held(&node), "{}", node.alarms());
    // Also across a restart.
    node.kill();
    node.start();
    node.until("the alarm again", held);
    node.all_allowed(0..40);
    let (code, text) = node.ctl(&["cache", "accept-deletions", "another"]);
    assert!(code == Some(2) && text.contains("no source `another`"), "{text}");
    let (code, text) = node.ctl(&["cache", "accept-deletions"]);
    assert_eq!((code, text.trim()), (Some(0), "deleted 40 documents"));
    assert!((0..40).all(|n| node.pull(n).as_deref() == Some("NO_ATTESTATION")));
    node.until("no alarm", |node| !held(node));
}

#[test]
fn evidence_of_a_store_that_is_away_for_too_long_is_denied_where_a_rule_says_so() {
    let store = Store::start();
    store.file((0..3).map(attestation));
    let mut node = Node::new(&store);
    node.write_policy(", binauthdMaxStaleness: 2s");
    node.start();
    node.until("the first listing", |node| node.pull(0).is_none());
    let (address, occurrences) = (store.address, store.occurrences());
    drop(store);
    node.until("it grows stale", |node| node.pull(0).as_deref() == Some("EVIDENCE_STALE"));
    node.write_policy(", binauthdMaxStaleness: 2s, binauthdOnStale: ALLOW");
    node.until("it is allowed all the same", |node| node.pull(0).is_none());
    node.write_policy(", binauthdMaxStaleness: 2s");
    node.until("it is stale again", |node| node.pull(1).as_deref() == Some("EVIDENCE_STALE"));
    // A look-up is enough to make it fresh.
    let _store = Store::again(address, occurrences);
    node.until("it is fresh again", |node| node.pull(2).is_none());
}

#[test]
fn what_is_kept_can_be_looked_at_refreshed_and_dropped() {
    let (store, node) = Node::listing(3);
    let listed = node.json(&["cache", "list"]);
    assert_eq!(listed["digests"].as_array().unwrap().len(), 3, "{listed}");
    let digest = image(1).to_string();
    let shown = node.json(&["cache", "show", &digest]);
    assert_eq!(shown["attestors"][0]["reason"], "ATTESTED", "{shown}");
    assert_eq!(shown["documents"][0]["name"], name(1), "{shown}");
    let stats = node.json(&["cache", "stats"]);
    assert_eq!(
        (&stats["evidence"]["disk"]["rows"], &stats["sources"][0]["attestations"]),
        (&3.into(), &3.into())
    );
    store.file([attestation(7)]);
    let refreshed = node.json(&["cache", "refresh", &image(7).to_string()]);
    assert_eq!(refreshed["attestors"][0]["reason"], "ATTESTED", "{refreshed}");
    let (code, text) = node.ctl(&["cache", "drop", "--all"]);
    assert_eq!(code, Some(0), "{text}");
    node.until("it is given again", |node| {
        node.json(&["cache", "list"])["digests"].as_array().unwrap().len() == 4
    });
    node.all_allowed(0..3);
    for (arguments, code, part) in [
        (&["cache", "show", "latest"][..], 2, "not a digest"),
        (&["cache", "drop"], 2, "required"),
        (&["cache", "list", "--limit", "0"], 2, "limit"),
    ] {
        let (ended, text) = node.ctl(arguments);
        assert!(ended == Some(code) && text.contains(part), "{arguments:?}: {ended:?} {text}");
    }
}
