//! The audit trail on a node: a disk that is full, changes while nobody looks, questions that are none.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::mount::{MsFlags, mount};
use serde_json::Value;

use super::guarded::{ENFORCE, Guarded, SOON, Share, policy, requires};
use super::rig::eventually;

/// A node whose trail lies on a small disk of its own, and what fills that.
async fn on_a_small_disk(audit: &str) -> (Guarded, PathBuf) {
    let mut filler = PathBuf::new();
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_policy(&policy(node, &requires(&[qa])));
        node.etc.write_attestor("qa.json", &qa.document());
        let config = fs::read_to_string(node.etc.config()).unwrap();
        fs::write(node.etc.config(), config.replace("[audit]\n", &format!("[audit]\n{audit}"))).unwrap();
        let folder = node.etc.audit_file.parent().unwrap();
        fs::create_dir_all(folder).unwrap();
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some("size=256k,mode=700")).unwrap();
        filler = folder.join("filler");
    })
    .await;
    (guarded, filler)
}

fn fill(filler: &PathBuf) {
    let mut file = fs::File::create(filler).unwrap();
    while file.write_all(&[b'x'; 4096]).is_ok() {}
}

fn allowed(trail: &[Value], image: &str) -> usize {
    let is_one =
        |line: &&Value| line["kind"] == "decision" && line["image"] == image && line["verdict"] == "ALLOW";
    trail.iter().filter(is_one).count()
}

#[tokio::test]
async fn a_full_disk_holds_up_no_decision_and_takes_no_line() {
    let (guarded, filler) = on_a_small_disk("").await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    fill(&filler);
    for _ in 0..20 {
        guarded.node.cri.pull(&app.tagged()).await.unwrap();
    }
    guarded.refused(&other.tagged(), &["NO_ATTESTATION"]).await;
    guarded.alarm(&["audit", "No space left on device"]).await;
    fs::remove_file(&filler).unwrap();
    eventually("every line", SOON, || async {
        (allowed(&guarded.node.etc.trail(), &app.tagged()) == 20).then_some(())
    })
    .await;
    guarded.no_alarm().await;
    guarded.binauthctl("audit verify").await.success();
}

#[tokio::test]
async fn where_it_is_wanted_the_question_that_meets_the_full_disk_is_refused() {
    let (guarded, filler) = on_a_small_disk("on_failure = \"refuse\"\n").await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    assert_eq!(allowed(&guarded.node.etc.trail(), &app.tagged()), 1, "it is there before the answer is");
    fill(&filler);
    // The last page of the trail still takes some.
    let mut pulls = 1;
    let refusal = loop {
        match guarded.node.cri.pull(&app.tagged()).await {
            Ok(_) => pulls += 1,
            Err(refusal) => break refusal,
        }
        assert!(pulls < 100, "a full disk takes everything");
    };
    assert!(refusal.message.contains("(AUDIT_UNAVAILABLE)"), "{refusal}");
    assert_eq!(
        allowed(&guarded.node.etc.trail(), &app.tagged()),
        pulls,
        "each that was allowed is on record"
    );
    fs::remove_file(&filler).unwrap();
    guarded.allowed_soon(&app.tagged()).await;
    guarded.no_alarm().await;
    guarded.binauthctl("audit verify").await.success();
}

#[tokio::test]
async fn what_changes_while_the_daemon_is_away_is_told_when_it_is_back() {
    let mut guarded = Guarded::start().await;
    let changes = async |guarded: &Guarded, what: &str, count: usize| {
        eventually(&format!("{count} changes of {what}"), SOON, || async {
            let trail = guarded.node.etc.trail().into_iter();
            let found: Vec<_> =
                trail.filter(|line| line["kind"] == "change" && line["what"] == what).collect();
            (found.len() == count).then_some(found)
        })
        .await
    };
    for what in ["policy", "attestor", "config"] {
        let first = changes(&guarded, what, 1).await;
        assert!(first[0]["before"].is_null() && !first[0]["after"].is_null(), "{first:?}");
    }
    // One that answers has begun to listen to signals too.
    guarded.status().await;
    guarded.daemon.terminate().await;
    guarded.daemon.restart().await;
    guarded.status().await;
    guarded.daemon.terminate().await;
    changes(&guarded, "policy", 1).await;
    let etc = &guarded.node.etc;
    guarded.write_policy(
        &requires(&[&guarded.qa]).replace("ENFORCED_BLOCK_AND_AUDIT_LOG", "DRYRUN_AUDIT_LOG_ONLY"),
    );
    etc.write_attestor("qa.json", &guarded.qa.document_without_keys());
    let config = fs::read_to_string(etc.config()).unwrap();
    fs::write(etc.config(), config + "\n# Another one.\n").unwrap();
    guarded.daemon.restart().await;
    for what in ["policy", "attestor", "config"] {
        let told = changes(&guarded, what, 2).await;
        assert_eq!(told[1]["before"], told[0]["after"], "{told:?}");
        assert_ne!(told[1]["after"], told[1]["before"], "{told:?}");
        assert_eq!(told[1]["who"]["uid"], 0, "{told:?}");
    }
}

#[tokio::test]
async fn who_leaves_without_a_decision_is_told_of() {
    let mut guarded = Guarded::start().await;
    for _ in 0..3 {
        let mut stream = UnixStream::connect(guarded.node.etc.gate_socket()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // Until it is turned away.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    guarded.daemon.terminate().await;
    let trail = guarded.node.etc.trail();
    let told: Vec<_> = trail.iter().filter(|line| line["kind"] == "unserved").collect();
    assert_eq!(told.len(), 1, "{trail:?}");
    // That the daemon is ready is found out by connecting.
    assert_eq!(told[0]["ends"]["malformed"], 3, "{told:?}");
    let shown = guarded.binauthctl("audit query --kind unserved").await.success();
    assert!(shown.contains("3 malformed"), "{shown}");
}
