//! Unknown digests in great numbers beside those that are in use.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::node::{Node, ask};
use super::store::Mode;
use binauthd::gate::message::Decision;

#[test]
fn no_attested_digest_is_refused_in_a_flood_of_unknown_ones() {
    flood(6_000, 300);
}

#[test]
#[ignore = "takes minutes; `make test-full` runs it"]
fn no_attested_digest_is_refused_in_a_flood_of_100_000_unknown_ones() {
    flood(100_000, 1_000);
}

/// Asks about `unknown` digests while `attested` ones are asked about again and again.
fn flood(unknown: u32, attested: u32) {
    let (store, node) = Node::listing(attested);
    let socket = node.at("run/gate.sock");
    for mode in [Mode::Good, Mode::Status(503), Mode::Slow(Duration::from_secs(30))] {
        store.be(mode);
        let (over, pulls, worst) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let started = Instant::now();
        let reasons = std::thread::scope(|scope| {
            let strangers: Vec<_> = (0..8)
                .map(|asker| {
                    let socket = &socket;
                    scope.spawn(move || {
                        let mut reasons = BTreeMap::<String, u32>::new();
                        // A store that is slow holds up each of the first: no more than these have the time.
                        let deadline =
                            Instant::now() + Duration::from_secs(if unknown > 10_000 { 300 } else { 12 });
                        for n in (asker..unknown).step_by(8) {
                            if Instant::now() > deadline {
                                break;
                            }
                            let answer = ask(socket, 1_000_000 + n).unwrap();
                            assert_ne!(answer.decision, Decision::Allow);
                            *reasons.entry(answer.reason).or_default() += 1;
                        }
                        reasons
                    })
                })
                .collect();
            let users: Vec<_> = (0..2)
                .map(|user| {
                    let (socket, over, pulls, worst) = (&socket, &over, &pulls, &worst);
                    scope.spawn(move || {
                        for n in (user..attested).step_by(2).cycle() {
                            if over.load(Ordering::Relaxed) {
                                return;
                            }
                            let asked = Instant::now();
                            let answer = ask(socket, n).unwrap();
                            assert_eq!(answer.decision, Decision::Allow, "{}", answer.message);
                            pulls.fetch_add(1, Ordering::Relaxed);
                            let took = u64::try_from(asked.elapsed().as_micros()).unwrap();
                            worst.fetch_max(took, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let mut reasons = BTreeMap::<String, u32>::new();
            for stranger in strangers {
                for (reason, count) in stranger.join().unwrap() {
                    *reasons.entry(reason).or_default() += count;
                }
            }
            over.store(true, Ordering::Relaxed);
            users.into_iter().for_each(|user| user.join().unwrap());
            reasons
        });
        println!(
            "{mode:?}: {reasons:?} in {:?}; {} pulls of attested images, none refused, worst {} ms; {} MiB",
            started.elapsed(),
            pulls.load(Ordering::Relaxed),
            worst.load(Ordering::Relaxed) / 1_000,
            node.resident_kib() >> 10
        );
    }
}
