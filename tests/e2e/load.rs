//! Many pulls, busy cores, hostile neighbours. These have the machine for themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::os::unix::net::UnixStream;

use super::guarded::{ENFORCE, Guarded, SOON, Share, policy, requires};
use super::rig::{Busy, Image, Pushed, eventually};

const AT_ONCE: usize = 110;
const CONNECTIONS: usize = 10_000;

async fn alone() -> Guarded {
    Guarded::start_with(ENFORCE, Share::all().await, |node, qa| {
        node.etc.write_policy(&policy(node, &requires(&[qa])));
        node.etc.write_attestor("qa.json", &qa.document());
    })
    .await
}

#[tokio::test]
async fn a_hundred_and_ten_pulls_at_once_on_busy_cores_refuse_no_attested_image() {
    rush(true).await;
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn a_hundred_and_ten_new_images_at_once_on_busy_cores_refuse_no_attested_image() {
    rush(false).await;
}

/// All at once, while every core is busy. What is `there` already is resolved and judged, but neither
/// fetched nor unpacked, which takes containerd a minute when it has to do it on busy cores.
async fn rush(there: bool) {
    let mut guarded = alone().await;
    let content = Image::job("app");
    let mut images = Vec::new();
    for number in 0..AT_ONCE {
        let tag = number.to_string();
        // One content under many manifests.
        let image = guarded.node.registry.push("shop/app", &tag, &content.annotated(&tag)).await;
        guarded.attest(&image);
        images.push(image);
    }
    let unattested = guarded.push("shop/other", "1").await;
    guarded.known(images.last().unwrap()).await;
    if there {
        let pulls: Vec<_> = images.iter().map(|image| spawn_pull(&guarded, image)).collect();
        for pull in pulls {
            pull.await.unwrap().unwrap_or_else(|refusal| panic!("{refusal}"));
        }
    }
    let before = guarded.audited_in_all(if there { AT_ONCE } else { 0 }).await;
    // One that has just started has checked no signature yet.
    guarded.daemon.restart().await;

    let busy = Busy::start();
    let start = Instant::now();
    let pulls: Vec<_> = images.iter().map(|image| spawn_pull(&guarded, image)).collect();
    let refused = spawn_pull(&guarded, &unattested);
    let mut took = Vec::new();
    for pull in pulls {
        took.push(pull.await.unwrap().unwrap_or_else(|refusal| panic!("{refusal}")));
    }
    let refusal = refused.await.unwrap().unwrap_err().to_string();
    assert!(refusal.contains("(NO_ATTESTATION)"), "{refusal}");
    let all = start.elapsed();
    drop(busy);
    took.sort();
    let records = guarded.audited_in_all(before.len() + AT_ONCE + 1).await;
    assert_eq!(records.len(), before.len() + AT_ONCE + 1, "one record for each");
    let new = records.iter().skip(before.len());
    let judged = new.map(|record| record["durationMicros"].as_u64().unwrap()).max().unwrap();
    println!(
        "{AT_ONCE} pulls at once on busy cores: all within {all:.2?}, median {:.2?}, worst {:.2?}; \
         judged within {:.2?} at worst",
        took[took.len() / 2],
        took[took.len() - 1],
        Duration::from_micros(judged),
    );
    // A gate waits 2 s for a sign of life.
    assert!(judged < 1_000_000, "{judged} µs");
}

fn spawn_pull(
    guarded: &Guarded,
    image: &Pushed,
) -> tokio::task::JoinHandle<Result<Duration, super::rig::Refusal>> {
    let (cri, image) = (guarded.node.cri.clone(), image.tagged());
    tokio::spawn(async move {
        let start = Instant::now();
        cri.pull(&image).await.map(|_| start.elapsed())
    })
}

#[tokio::test]
async fn ten_thousand_connections_of_one_process_hold_up_no_pull() {
    flood(1).await;
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn connections_by_the_hundred_thousand_hold_up_no_pull() {
    flood(50).await;
}

/// Opens [`CONNECTIONS`] and keeps them, `rounds` times, while pulls go on.
async fn flood(rounds: usize) {
    raise_descriptor_limit();
    let guarded = alone().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    let socket = guarded.node.etc.gate_socket();
    let over = Arc::new(AtomicBool::new(false));
    let flood = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            for _ in 0..rounds {
                let connect = || UnixStream::connect(&socket).expect("a connection");
                let held: Vec<UnixStream> = (0..CONNECTIONS).map(|_| connect()).collect();
                assert_eq!(held.len(), CONNECTIONS);
            }
            over.store(true, Ordering::Relaxed);
        }
    });
    let (mut pulls, mut worst) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) || pulls < 20 {
        let start = Instant::now();
        guarded.node.cri.pull(&app.tagged()).await.unwrap_or_else(|refusal| panic!("{refusal}"));
        worst = worst.max(start.elapsed());
        pulls += 1;
        if pulls % 5 == 0 {
            guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
        }
    }
    flood.join().unwrap();
    // The last ones may still be in the socket's queue.
    let connections = eventually("every connection to be turned away", SOON, async || {
        let connections = guarded.status().await["gates"]["pull"]["connections"].clone();
        let turned_away = ["busy", "abandoned"].map(|end| connections[end].as_u64().unwrap());
        (turned_away.iter().sum::<u64>() >= (rounds * CONNECTIONS) as u64).then_some(connections)
    })
    .await;
    println!("{rounds} × {CONNECTIONS} connections: {pulls} pulls, worst {worst:.2?}; {connections}");
    assert!(connections["busy"].as_u64().unwrap() > 0, "{connections}");
    assert!(guarded.daemon.resident_kib() < 64 * 1024, "{} KiB", guarded.daemon.resident_kib());
}

fn raise_descriptor_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = CONNECTIONS as u64 + 2_000;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).unwrap();
    }
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn a_daemon_killed_two_hundred_times_lets_nothing_unattested_through() {
    const KILLS: usize = 200;
    let mut guarded = alone().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    let over = Arc::new(AtomicBool::new(false));
    let puller = |image: &Pushed| {
        let (cri, image, over) = (guarded.node.cri.clone(), image.tagged(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut pulls = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let start = Instant::now();
                let refusal = cri.pull(&image).await.err();
                pulls.push((start, Instant::now(), refusal));
            }
            pulls
        })
    };
    let (attested, unattested) = ([puller(&app), puller(&app)], puller(&other));
    let mut away = Vec::new();
    for round in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 37) % 150)).await;
        let from = Instant::now();
        guarded.daemon.kill();
        tokio::time::sleep(Duration::from_millis((round as u64 * 61) % 200)).await;
        guarded.daemon.restart().await;
        away.push((from, Instant::now()));
    }
    over.store(true, Ordering::Relaxed);

    let mut refusals = 0;
    let mut pulls = 0;
    for puller in attested {
        for (start, end, refusal) in puller.await.unwrap() {
            pulls += 1;
            let Some(refusal) = refusal else { continue };
            refusals += 1;
            let daemon_was_away = away.iter().any(|(from, until)| start <= *until && end >= *from);
            assert!(daemon_was_away, "refused while the daemon was there: {refusal}");
            assert!(refusal.message.contains("did not answer"), "{refusal}");
        }
    }
    let unattested = unattested.await.unwrap();
    assert!(unattested.iter().all(|(.., refusal)| refusal.is_some()), "an unattested image was pulled");
    assert!(guarded.node.cri.image_names().await.iter().all(|name| !name.contains("shop/other")));
    let longest = away.iter().map(|(from, until)| *until - *from).max().unwrap();
    println!(
        "{KILLS} kills: {pulls} pulls of an attested image, {refusals} refused, each while the daemon was away \
         (at most {longest:.2?}); {} pulls of an unattested one, all refused",
        unattested.len(),
    );
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    guarded.no_alarm().await;
}
