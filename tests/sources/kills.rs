//! The daemon killed in the middle of a sync.

use std::time::{Duration, Instant};

use super::node::{Node, attestation};
use super::store::{Mode, Store};

#[test]
fn every_start_after_a_kill_knows_what_was_known() {
    kill(20);
}

#[test]
#[ignore = "takes minutes; `make test-full` runs it"]
fn every_start_after_a_kill_knows_what_was_known_200_times() {
    kill(200);
}

fn kill(times: u32) {
    let store = Store::start();
    store.be(Mode::Slow(Duration::from_millis(1)));
    let mut node = Node::new(&store);
    let (mut filed, mut known, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..times {
        // More than a page, so that the kill falls between pages and commits.
        let more = filed + 300;
        store.file((filed..more).map(attestation));
        filed = more;
        let took = node.start();
        slowest = slowest.max(took);
        // What was seen attested before the kill is attested after it, without the store.
        store.be(Mode::Status(503));
        let first = Instant::now();
        node.all_allowed((0..known).step_by(29));
        let checked = first.elapsed();
        store.be(Mode::Slow(Duration::from_millis(1)));
        let alarms = node.alarms();
        assert!(!alarms.contains("set aside") && !alarms.contains("trust"), "{alarms}");
        let pause = Duration::from_millis(u64::from(round * 7919 % 151));
        std::thread::sleep(pause);
        let before = known;
        while known < filed && node.pull(known).is_none() {
            known += 29;
        }
        node.kill();
        println!("{round}: killed {pause:?} after {took:?}; {before} known before, checked in {checked:?}");
    }
    println!("{times} kills: {filed} attestations filed, slowest start {slowest:?}");
}
