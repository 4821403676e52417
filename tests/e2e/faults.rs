//! The daemon dead, hung, stopping, doubled; containerd restarted.

use std::io::Read as _;
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use binauthd::gate::frame::{self, Kind};
use binauthd::gate::message::{Ask, AskedImage};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::guarded::{DAEMON, Guarded, SOON};
use super::rig::{Daemon, Pushed, eventually};

/// The design's bound for a refusal without a daemon, and room for a busy machine.
const NO_DAEMON: Duration = Duration::from_secs(3);
const ROOM: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nothing_up() {
    let mut guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.daemon.terminate().await;
    let mut daemon = Command::new(DAEMON)
        .arg("--config")
        .arg(guarded.node.etc.config())
        .envs([("BINAUTHD_LOG", "trace"), ("NOTIFY_SOCKET", "")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let admin = guarded.node.etc.admin_socket();
    eventually("the daemon", SOON, || async { UnixStream::connect(&admin).await.ok() }).await;
    for _ in 0..40 {
        guarded.node.cri.pull(&app.tagged()).await.unwrap();
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let mut log = Vec::new();
    daemon.stderr.take().unwrap().read_to_end(&mut log).unwrap();
    assert!(log.len() > 60_000, "the pipe was not full: {}", log.len());
}

#[tokio::test]
async fn a_killed_daemon_refuses_every_pull_with_a_reason_until_it_is_back() {
    let mut guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    guarded.daemon.kill();
    for image in [app.tagged(), app.pinned(), other.tagged(), guarded.node.pause.pinned()] {
        let start = Instant::now();
        let says =
            ["did not answer", "nobody listens on its socket", "the pull is refused", "kubelet retries"];
        let refusal = guarded.refused(&image, &says).await;
        assert!(start.elapsed() < NO_DAEMON, "{:?}", start.elapsed());
        println!("after {:?}: {refusal}", start.elapsed());
    }
    // Without the socket's file it is no better.
    std::fs::remove_file(guarded.node.etc.gate_socket()).unwrap();
    guarded.refused(&app.tagged(), &["its socket cannot be reached: No such file or directory"]).await;
    guarded.daemon.restart().await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
    guarded.no_alarm().await;
}

#[tokio::test]
async fn a_hung_daemon_refuses_every_pull_after_two_seconds_by_name() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.daemon.freeze();
    let start = Instant::now();
    let refusal = guarded.refused(&app.tagged(), &["did not answer", "it was silent for 2 s"]).await;
    let took = start.elapsed();
    println!("after {took:?}: {refusal}");
    assert!(took >= Duration::from_secs(2) && took < NO_DAEMON + ROOM, "{took:?}");
    guarded.daemon.thaw();
    guarded.allowed_soon(&app.tagged()).await;
}

#[tokio::test]
async fn a_restarted_containerd_asks_as_before() {
    let mut guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    guarded.node.restart_containerd().await;
    guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
}

#[tokio::test]
async fn a_second_daemon_on_the_same_state_refuses_to_start() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let mut second = Daemon::spawn(&guarded.node, Path::new(DAEMON), &[]);
    let status = eventually("the second daemon to end", SOON, || {
        let ended = second.ended();
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(1), "{}", second.stderr());
    let says = format!("another binauthd uses `{}`", guarded.node.etc.state_dir.display());
    assert!(second.stderr().contains(&says), "{}", second.stderr());
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_is_told_to_stop_answers_what_was_asked_and_exits_with_zero() {
    let mut guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let socket = guarded.node.etc.gate_socket();
    let accepted = accepted(&guarded).await;
    let question = question(&app);
    let (head, tail) = question.split_at(20);
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    stream.write_all(head).await.unwrap();
    eventually("the question to be accepted", SOON, || async {
        (self::accepted(&guarded).await > accepted).then_some(())
    })
    .await;

    let stopping = async {
        // Half of it came before the signal, the rest after the daemon has left the socket.
        eventually("the daemon to listen no more", SOON, || {
            let gone = Blocking::connect(&socket).is_err();
            async move { gone.then_some(()) }
        })
        .await;
        stream.write_all(tail).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let (status, answer) = tokio::join!(guarded.daemon.terminate(), stopping);
    let ack = frame::bare(Kind::Ack).len();
    let answer: Value = serde_json::from_slice(&answer[ack + frame::HEADER_LENGTH..]).unwrap();
    assert_eq!((&answer["decision"], &answer["reason"]), (&"allow".into(), &"ATTESTED".into()));
    assert_eq!(status.expect("it ends by itself").code(), Some(0), "{}", guarded.daemon.stderr());
    let written = guarded.node.etc.audit();
    assert_eq!(written.last().unwrap()["asked"]["program"], "test", "the audit trail is written to its end");
}

#[tokio::test]
async fn half_a_request_is_turned_away_and_holds_up_nobody() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let start = Instant::now();
    let mut halves = Vec::new();
    for _ in 0..30 {
        let mut stream = UnixStream::connect(guarded.node.etc.gate_socket()).await.unwrap();
        stream.write_all(&question(&app)[..30]).await.unwrap();
        halves.push(stream);
    }
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    for mut stream in halves {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer[frame::HEADER_LENGTH..]).unwrap();
        assert_eq!((&answer["decision"], &answer["reason"]), (&"refuse".into(), &"TIMED_OUT".into()));
    }
    assert!(start.elapsed() < Duration::from_secs(1) + SOON, "{:?}", start.elapsed());
    assert_eq!(guarded.status().await["gates"]["pull"]["connections"]["timedOut"], 30);
}

/// Connections of the gate so far.
async fn accepted(guarded: &Guarded) -> u64 {
    guarded.status().await["gates"]["pull"]["connections"]["accepted"].as_u64().unwrap()
}

/// A question about `image`, as bytes of the gate protocol.
fn question(image: &Pushed) -> Vec<u8> {
    let ask = Ask {
        gate: "pull".into(),
        program: "test".into(),
        entry: "test".into(),
        image: AskedImage {
            name: image.tagged(),
            digests: vec![image.digest.clone()],
            stdin_media_type: None,
            descriptor: None,
        },
        container: None,
        observes: None,
        problem: None,
    };
    frame::encode(Kind::Ask, &ask, frame::MAX_BODY).unwrap()
}
