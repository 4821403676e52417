//! The daemon as a service: its sockets, its supervisor, its audit trail.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::UnixDatagram;

use super::guarded::{DAEMON, ENFORCE, Guarded, SOON, Share, policy, requires, verifier};
use super::rig::{Daemon, Node, eventually};
use super::signer::Signer;

#[tokio::test]
async fn the_sockets_belong_to_root_and_have_their_modes() {
    let mut guarded = Guarded::start().await;
    let group = nix::unistd::Group::from_name("binauthd").unwrap().map_or(0, |group| group.gid.as_raw());
    for _ in 0..2 {
        for (socket, mode, group) in
            [(guarded.node.etc.gate_socket(), 0o600, 0), (guarded.node.etc.admin_socket(), 0o660, group)]
        {
            let found = fs::metadata(&socket).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (0, group, mode), "{socket:?}");
        }
        // The metrics socket, made last, has another name for a moment.
        eventually("nothing temporary is left", SOON, || async {
            let names = fs::read_dir(&guarded.node.etc.runtime_dir).unwrap();
            let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let known = ["gate.sock", "admin.sock", "metrics.sock"];
            names.all(|name| known.contains(&name.as_str())).then_some(())
        })
        .await;
        guarded.daemon.restart().await;
    }
    assert_eq!(fs::metadata(&guarded.node.etc.state_dir).unwrap().mode() & 0o777, 0o700);
    eventually("the audit file", SOON, || async { guarded.node.etc.audit_file.exists().then_some(()) }).await;
    assert_eq!(fs::metadata(&guarded.node.etc.audit_file).unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_client_of_another_uid_cannot_connect_and_is_refused_where_it_can() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let socket = guarded.node.etc.gate_socket();
    let ask = || {
        let output = Command::new(guarded.node.bin_dir().join(ENFORCE))
            .args(["-name", &app.tagged(), "-digest", &app.digest])
            .env("BINAUTHD_GATE_SOCKET", &socket)
            .stdin(Stdio::null())
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, line) = ask();
    assert!(code == Some(1) && line.contains("Permission denied"), "{line}");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let (code, line) = ask();
    assert!(
        code == Some(1) && line.contains("uid 65534 may not ask here, only root (PEER_REFUSED)"),
        "{line}"
    );
    assert_eq!(guarded.status().await["gates"]["pull"]["connections"]["refusedPeer"], 1);
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    assert_eq!(guarded.audited(&app.tagged(), 1).await.len(), 1, "who may not ask is not judged");
}

#[tokio::test]
async fn the_supervisor_hears_ready_and_a_heartbeat_and_stopping() {
    let _share = Share::some().await;
    let node = Node::start().await;
    let qa = Signer::new("qa");
    node.etc.write_policy(&policy(&node, &requires(&[&qa])));
    node.install_verifier(ENFORCE, &verifier());
    let path = node.home.path().join("notify.sock");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    let hear = async || {
        let mut message = [0; 1024];
        let heard = tokio::time::timeout(SOON, supervisor.recv(&mut message)).await;
        let length = heard.expect("the daemon says something").unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "600000")];
    let mut daemon = Daemon::spawn(&node, Path::new(DAEMON), &env);
    let first = hear().await;
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    // Ready means that the gate answers: by now with a refusal that names the attestor.
    let refusal =
        node.cri.pull(&node.registry.push("a", "1", &super::rig::Image::job("a")).await.tagged()).await;
    assert!(refusal.unwrap_err().message.contains("(ATTESTOR_MISSING)"));
    let mut last = Instant::now();
    for beat in 0..4 {
        let message = hear().await;
        assert!(message.lines().any(|line| line == "WATCHDOG=1"), "{message}");
        // The pull above may have kept the test from listening.
        assert!(beat == 0 || last.elapsed() < Duration::from_millis(600) + SOON, "{:?}", last.elapsed());
        last = Instant::now();
    }
    let (status, ()) = tokio::join!(daemon.terminate(), async {
        while !hear().await.lines().any(|line| line == "STOPPING=1") {}
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[tokio::test]
async fn every_decision_is_audited_once_allowances_too() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    for _ in 0..10 {
        guarded.node.cri.pull(&app.tagged()).await.unwrap();
        guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
        guarded.node.cri.pull(&guarded.node.pause.pinned()).await.unwrap();
    }
    // Asking the daemon what it would say is no decision.
    guarded.evaluate(&app.pinned()).await;
    let records = eventually("a record of each, of a repeated refusal the first", SOON, || async {
        let records = guarded.node.etc.audit();
        (records.len() >= 21).then_some(records)
    })
    .await;
    assert_eq!(records.len(), 21);
    let count = |reason: &str| records.iter().filter(|record| record["reason"] == reason).count();
    assert_eq!([count("ATTESTED"), count("NO_ATTESTATION"), count("ALLOWLISTED")], [10, 1, 10]);
    let status = guarded.status().await;
    let policy = &status["policy"]["version"];
    let key_ring = &status["keyRing"]["version"];
    for record in &records {
        assert_eq!((&record["policyVersion"], &record["gate"]), (policy, &"pull".into()), "{record}");
        assert!(record["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{record}");
        assert!(record["durationMicros"].is_u64() && record["asked"]["pid"].is_i64(), "{record}");
        assert_eq!(&record["keyRingVersion"], key_ring, "{record}");
    }
    let counts = &status["gates"]["pull"];
    assert_eq!((&counts["allowed"], &counts["denied"]), (&20.into(), &10.into()));
    let changes = guarded.node.etc.trail().iter().filter(|line| line["kind"] == "change").count();
    assert_eq!(
        (&status["audit"]["written"], &status["audit"]["folded"]),
        (&(21 + changes).into(), &9.into()),
        "{changes} changes"
    );
}

#[tokio::test]
async fn a_hangup_signal_reads_everything_again() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let pid = nix::unistd::Pid::from_raw(guarded.daemon.pid().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    guarded.no_alarm().await;
}

#[tokio::test]
async fn where_it_is_wanted_nothing_is_allowed_that_cannot_be_recorded() {
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_policy(&policy(node, &requires(&[qa])));
        node.etc.write_attestor("qa.json", &qa.document());
        let config = fs::read_to_string(node.etc.config()).unwrap();
        fs::write(node.etc.config(), config.replace("[audit]\n", "[audit]\non_failure = \"refuse\"\n"))
            .unwrap();
    })
    .await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.allowed_soon(&app.tagged()).await;
    let log = guarded.node.etc.audit_file.parent().unwrap();
    let away = log.with_extension("away");
    fs::rename(log, &away).unwrap();
    fs::write(log, "in the way").unwrap();
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    assert!(refusal.message.contains("(AUDIT_UNAVAILABLE)"), "{refusal}");
    fs::remove_file(log).unwrap();
    fs::rename(&away, log).unwrap();
    guarded.allowed_soon(&app.tagged()).await;
    guarded.no_alarm().await;
}
