//! The daemon, containerd and their sockets, gone for a while.

use std::fs;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::rig::eventually;
use super::kubelet::{Tally, all};
use super::{Faulty, SOON};

#[tokio::test]
async fn a_daemon_killed_around_creations_lets_nothing_unattested_start() {
    killed(4).await;
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn a_daemon_killed_a_hundred_times_lets_nothing_unattested_start() {
    killed(100).await;
}

/// Before, during (`rounds` times) and after CREATE.
async fn killed(rounds: u64) {
    let mut faulty = Faulty::start().await;
    let kubelet = faulty.kubelet("shop").await;

    faulty.daemon.kill();
    let rush = kubelet.rush(&faulty.good, &faulty.bad, 2);
    let made = kubelet.create(&faulty.bad).await.expect("nobody is asked at CREATE");
    sleep(Duration::from_secs(1)).await;
    faulty.daemon.restart().await;
    let mut sum = kubelet.settle("killed before CREATE", all(rush).await).await;
    faulty.asked().await;
    // Made while nobody was asked, and started when somebody is.
    sum.add(kubelet.settle("made unasked", kubelet.smuggle_made(made).await).await);

    let mut during = Tally::default();
    for round in 0..rounds {
        let rush = if round % 2 == 0 {
            // At some moment, of connecting and synchronizing too.
            let rush = kubelet.rush(&faulty.good, &faulty.bad, 3);
            sleep(Duration::from_millis(round * 53 % 211)).await;
            rush
        } else {
            // While it has been asked and has not answered.
            faulty.asked().await;
            faulty.daemon.freeze();
            let rush = kubelet.rush(&faulty.good, &faulty.bad, 3);
            sleep(Duration::from_millis(300)).await;
            rush
        };
        faulty.daemon.kill();
        sleep(Duration::from_millis(round * 97 % 307)).await;
        faulty.daemon.restart().await;
        let tally = all(rush).await;
        assert_eq!(tally.started.len(), 3, "{tally}");
        assert!(round % 2 == 0 || tally.not_started.len() == 3, "killed unanswered: {tally}");
        during.add(kubelet.settle("a kill", tally).await);
    }
    println!("killed during CREATE, {rounds} times: {during}");
    sum.add(during);
    faulty.asked().await;

    let made = kubelet.create(&faulty.good).await.unwrap();
    faulty.daemon.kill();
    let starter = kubelet.clone();
    let starting = tokio::spawn(async move { starter.start(made).await });
    sleep(Duration::from_secs(1)).await;
    faulty.daemon.restart().await;
    sum.add(kubelet.settle("killed after CREATE", starting.await.unwrap()).await);
    faulty.well(&kubelet, "all kills").await;
    println!("in all: {sum}");
    faulty.stop().await;
}

#[tokio::test]
async fn a_daemon_stopped_in_the_middle_of_requests_lets_nothing_unattested_start() {
    let faulty = Faulty::start().await;
    let kubelet = faulty.kubelet("shop").await;

    // NRI: containerd goes on without an answer after 2 s, and the hook holds.
    let rush = kubelet.rush(&faulty.good, &faulty.bad, 3);
    sleep(Duration::from_millis(30)).await;
    faulty.daemon.freeze();
    sleep(Duration::from_secs(3)).await;
    faulty.daemon.thaw();
    kubelet.settle("stopped in CREATE", all(rush).await).await;
    faulty.well(&kubelet, "a stop in CREATE").await;

    // The hook: NRI has given up on the daemon, so that only the hook asks.
    faulty.daemon.freeze();
    let good = kubelet.create(&faulty.good).await.expect("nobody answers CREATE");
    let bad = kubelet.create(&faulty.bad).await.expect("nobody is asked at CREATE");
    let mut starts = JoinSet::new();
    for (container, is_good) in [(good, true), (bad, false)] {
        let kubelet = kubelet.clone();
        starts.spawn(async move {
            if is_good { kubelet.start(container).await } else { kubelet.smuggle_made(container).await }
        });
    }
    sleep(Duration::from_secs(3)).await;
    faulty.daemon.thaw();
    kubelet.settle("stopped under the hook", all(starts).await).await;
    faulty.well(&kubelet, "a stop under the hook").await;
    faulty.stop().await;
}

#[tokio::test]
async fn a_killed_containerd_lets_nothing_unattested_start() {
    let mut faulty = Faulty::start().await;
    // Without pods.
    faulty.node.restart_containerd().await;
    let kubelet = faulty.kubelet("first").await;
    let tally = all(kubelet.rush(&faulty.good, &faulty.bad, 1)).await;
    kubelet.settle("containerd killed without pods", tally).await;

    // With a pod that runs, and unattested creations under way: some of them meet a containerd that is going.
    let kept = kubelet.bring_up(&faulty.good).await;
    let mut under_way = JoinSet::new();
    for _ in 0..3 {
        let (kubelet, bad) = (kubelet.clone(), faulty.bad.clone());
        under_way.spawn(async move { kubelet.smuggle(&bad).await });
    }
    sleep(Duration::from_millis(40)).await;
    faulty.node.restart_containerd().await;
    // At once: the plugin may not be asked yet.
    let again = faulty.kubelet("second").await;
    let tally = all(again.rush(&faulty.good, &faulty.bad, 2)).await;
    again.settle("containerd killed with pods", tally).await;
    let tally = all(under_way).await;
    again.settle("what was under way when it was killed", tally).await;
    faulty.well(&again, "the death of containerd").await;
    assert!(faulty.node.cri.is_running(&kept.started[0]).await, "what ran goes on");
    faulty.stop().await;
}

#[tokio::test]
async fn a_gate_socket_that_is_removed_comes_back() {
    let mut faulty = Faulty::start().await;
    let kubelet = faulty.kubelet("shop").await;
    let socket = faulty.node.etc.gate_socket();
    fs::remove_file(&socket).unwrap();
    let rush = kubelet.rush(&faulty.good, &faulty.bad, 2);
    // A daemon that nobody finds ends, and its supervisor starts it again.
    let daemon = &mut faulty.daemon;
    let status = eventually("the daemon to see that its socket is gone", SOON, || {
        let ended = daemon.ended();
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(1));
    let says = format!("`{}` has been removed or replaced", socket.display());
    assert!(faulty.daemon.stderr().contains(&says), "{}", faulty.daemon.stderr());
    sleep(Duration::from_millis(200)).await;
    faulty.daemon.restart().await;
    kubelet.settle("the gate socket removed", all(rush).await).await;
    faulty.well(&kubelet, "the removal of the gate socket").await;
    faulty.stop().await;
}

#[tokio::test]
async fn without_the_nri_socket_the_hook_holds_until_it_is_back() {
    let mut faulty = Faulty::start().await;
    let kubelet = faulty.kubelet("shop").await;
    let (socket, away) = (faulty.node.nri_socket(), faulty.node.home.path().join("nri.away"));
    fs::rename(&socket, &away).unwrap();
    // A connection that is there does not mind.
    let tally = all(kubelet.rush(&faulty.good, &faulty.bad, 1)).await;
    assert_eq!(tally.not_made, 1);
    kubelet.settle("the NRI socket gone, connected still", tally).await;
    faulty.daemon.restart().await;
    let tally = all(kubelet.rush(&faulty.good, &faulty.bad, 2)).await;
    // By the hook alone.
    assert_eq!(tally.not_started.len(), 2, "{tally}");
    kubelet.settle("the NRI socket gone", tally).await;
    fs::rename(&away, &socket).unwrap();
    faulty.well(&kubelet, "the NRI socket is back").await;
    faulty.stop().await;
}

#[tokio::test]
async fn no_attested_start_fails_for_a_daemon_that_is_down_a_moment() {
    down(Duration::from_secs(3), 12).await;
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn no_attested_start_of_fifty_fails_for_a_daemon_that_is_down_ten_seconds() {
    down(Duration::from_secs(10), 50).await;
}

/// `starts` within the time for which the daemon is down, each in a pod of its own: a shim creates one
/// container of its pod at a time, and its hook holds up the others.
async fn down(time: Duration, starts: u32) {
    let mut faulty = Faulty::start().await;
    let mut made = Vec::new();
    for number in 0..starts {
        let kubelet = faulty.kubelet(&format!("shop-{number}")).await;
        let container = kubelet.create(&faulty.good).await.unwrap();
        made.push((kubelet, container));
    }
    let kubelet = made[0].0.clone();
    faulty.daemon.kill();
    let mut rush = JoinSet::new();
    let mut turn = tokio::time::interval(time / starts);
    for (kubelet, container) in made {
        turn.tick().await;
        rush.spawn(async move { kubelet.start(container).await });
    }
    turn.tick().await;
    let back = Instant::now();
    faulty.daemon.restart().await;
    let tally = all(rush).await;
    println!("the last one has started {:.1?} after the daemon was started", back.elapsed());
    assert_eq!(tally.started.len(), starts as usize, "{tally}: {:#?}", tally.lost);
    kubelet.settle(&format!("down for {time:?} during {starts} starts"), tally).await;
    faulty.well(&kubelet, "the time without a daemon").await;
    faulty.stop().await;
}
