//! Bundles: accepted, refused, kept over restarts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::*;
use super::{ALLOW, DENY};
use crate::config::{BundleConfig, BundleOrigin};
use crate::decision::Reason;
use crate::policy::bundle::tests::{TestKey, at, attestor, member, payload};

const NOW: &str = "2029-01-01T00:00:00Z";

struct Node {
    folder: tempfile::TempDir,
    documents: Documents,
    now: SystemTime,
}

impl Node {
    /// With the keys 1 and 2, and bundles in the folder `bundles`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["attestors", "state", "bundles", "keys"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for number in [1, 2] {
            fs::write(folder.path().join(format!("keys/{number}.pem")), TestKey::new(number).pem()).unwrap();
        }
        let now = at(NOW);
        let documents = open(folder.path(), now);
        Self { folder, documents, now }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&mut self, name: &str, envelope: &str) {
        fs::write(self.path("bundles").join(name), envelope).unwrap();
        self.reload();
    }

    fn remove(&mut self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
        self.reload();
    }

    fn reload(&mut self) {
        self.documents.reload(self.now);
    }

    fn restart(&mut self) {
        self.documents = open(self.folder.path(), self.now);
    }

    fn version(&self) -> Option<u64> {
        let in_force = self.documents.in_force();
        assert_eq!(in_force.bundle.is_some(), in_force.state.rulebook().is_some());
        in_force.bundle
    }

    /// Why nothing is obeyed.
    fn why(&self) -> (Reason, String) {
        let why = self.documents.in_force().state.hindrance().unwrap();
        (why.reason, why.cause)
    }

    #[track_caller]
    fn tells(&self, part: &str) {
        let problems = self.documents.problems();
        assert!(problems.iter().any(|problem| problem.contains(part)), "{problems:?} lacks {part:?}");
    }

    #[track_caller]
    fn is_well(&self) {
        assert_eq!(self.documents.problems(), Vec::<String>::new());
    }
}

fn open(folder: &Path, now: SystemTime) -> Documents {
    let keys = [1, 2].map(|number| folder.join(format!("keys/{number}.pem")));
    let bundle = BundleConfig {
        origin: BundleOrigin::Path(folder.join("bundles")),
        keys: keys.into(),
        project: "p".to_owned(),
        interval: Duration::from_secs(60),
        ca: None,
        token_file: None,
    };
    Documents::open(&Config { bundle: Some(bundle), ..Config::under(folder) }, now)
}

fn sealed(payload: &Value) -> String {
    TestKey::new(1).seal(payload.to_string().as_bytes())
}

fn version(version: u64) -> String {
    sealed(&payload(version))
}

fn changed(version: u64, pointer: &str, value: Value) -> String {
    let mut payload = payload(version);
    *payload.pointer_mut(pointer).unwrap() = value;
    sealed(&payload)
}

#[test]
fn a_bundle_takes_the_place_of_this_nodes_own_files() {
    let mut node = Node::new();
    fs::write(node.path("policy.yaml"), DENY).unwrap();
    fs::write(
        node.path("deny.yaml"),
        format!("digests: [{{digest: 'sha256:{}', reason: x}}]", "ab".repeat(32)),
    )
    .unwrap();
    node.reload();
    assert_eq!(node.version(), None);
    let (reason, cause) = node.why();
    assert_eq!(reason, Reason::PolicyMissing);
    assert!(cause.contains("no policy bundle has been accepted from") && cause.ends_with("there was none"));
    node.put("7.json", &version(7));
    node.is_well();
    let in_force = node.documents.in_force();
    let book = in_force.state.rulebook().unwrap();
    assert_eq!(book.policy.as_ref().unwrap().version(), &crate::document::Version::of(ALLOW.as_bytes()));
    assert!(book.platform_policy.is_some());
    // Of both lists; of the node's own system policy nothing.
    assert_eq!((book.deny_list.len(), book.system_policy.len()), (2, 1));
    assert_eq!(in_force.key_ring.entries().count(), 2);
    let status = serde_json::json!(node.documents.bundle_status());
    assert_eq!(
        (&status["version"], &status["highest"], &status["expired"]),
        (&7.into(), &7.into(), &false.into())
    );
    assert_eq!(status["leftAside"], json!([node.path("policy.yaml"), node.path("attestors")]));
    assert_eq!(node.documents.policy_status().state, "current");
    assert_eq!(node.documents.attestor_statuses().len(), 2);
    // A bundle without lists leaves the node its own.
    let mut lean = payload(8);
    for name in ["platformPolicy", "denyList", "systemPolicy"] {
        lean["documents"].as_object_mut().unwrap().remove(name);
    }
    lean["documents"]["attestors"] = json!([member("c.json", attestor("c"))]);
    node.put("8.json", &sealed(&lean));
    node.is_well();
    let in_force = node.documents.in_force();
    let book = in_force.state.rulebook().unwrap();
    assert_eq!((book.deny_list.len(), book.system_policy.len()), (1, 0));
    assert!(book.platform_policy.is_none());
    assert_eq!(in_force.key_ring.entries().count(), 1);
}

#[test]
fn what_is_refused_leaves_what_is_in_force() {
    let stranger = TestKey::new(3).seal(payload(9).to_string().as_bytes());
    let rows = [
        (changed(9, "/project", json!("other")), "it is of project `other`, and this node obeys `p`"),
        (
            changed(7, "/expires", json!("2031-01-01T00:00:00Z")),
            "version 7 was accepted before with other contents",
        ),
        (changed(9, "/expires", json!("2028-01-01T00:00:00Z")), "version 9 expired at 2028-01-01T00:00:00Z"),
        (stranger, "it is not signed by a bundle key of this node"),
        (changed(9, "/documents/attestors/0/text", json!("{")), "its attestor `a.json` is refused"),
        ("{".to_owned(), "it is not a DSSE envelope"),
    ];
    for (envelope, part) in rows {
        let mut node = Node::new();
        node.put("7.json", &version(7));
        node.put("next.json", &envelope);
        for _ in 0..2 {
            assert_eq!(node.version(), Some(7), "{part}");
            node.tells(part);
            node.tells("version 7 stays in force");
            assert_eq!(node.documents.policy_status().state, "last good");
            node.restart();
        }
        let refusal = json!(node.documents.bundle_status())["lastRefusal"]["problem"].to_string();
        assert!(refusal.contains(&part.replace('"', "\\\"")), "{refusal}");
        node.remove("bundles/next.json");
        node.is_well();
        // Refused where none is in force yet, too.
        let mut node = Node::new();
        if !part.contains("before") {
            node.put("next.json", &envelope);
            assert!(node.version().is_none() && node.why().1.contains(part), "{:?}", node.why());
        }
    }
}

#[test]
fn what_was_accepted_once_is_never_gone_behind() {
    let mut node = Node::new();
    node.put("7.json", &version(7));
    node.put("far.json", &version(u64::MAX));
    assert_eq!(node.version(), Some(u64::MAX));
    // What came before lies beside it.
    node.is_well();
    node.remove("bundles/far.json");
    for _ in 0..2 {
        assert_eq!(node.version(), Some(u64::MAX));
        node.tells("version 7 is lower than 18446744073709551615, which was accepted before");
        node.tells("binauthctl trust reset --bundle");
        node.restart();
    }
    node.documents.forget(trust::Forget::Bundle, node.now).unwrap();
    assert_eq!(node.version(), Some(7));
    node.is_well();
    node.restart();
    assert_eq!(node.version(), Some(7));
}

#[test]
fn what_was_recorded_is_in_force_after_a_restart_whatever_lies_there() {
    let mut node = Node::new();
    node.put("7.json", &version(7));
    node.remove("bundles/7.json");
    node.restart();
    assert_eq!(node.version(), Some(7));
    node.is_well();
    // Killed between the record and its use.
    let rank = crate::policy::Highest {
        version: 8,
        digest: crate::image::Digest::of(payload(8).to_string().as_bytes()),
    };
    Trust::open(&node.path("state")).record(trust::Kept::new(rank, version(8)), node.now).unwrap();
    node.restart();
    assert_eq!(node.version(), Some(8));
    // Killed before the second copy was written: the first is the newer one.
    let copies =
        || ["trust.0", "trust.1"].map(|name| fs::read(node.folder.path().join("state").join(name)).unwrap());
    let before = copies();
    node.documents.offer(version(9).as_bytes(), node.now).unwrap();
    let generation = Trust::open(&node.path("state")).documents().len();
    assert!(generation > 0);
    for (copy, bytes) in before.iter().enumerate() {
        let path = node.path("state").join(format!("trust.{copy}"));
        let newer = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        node.restart();
        assert_eq!(node.version(), Some(9), "{copy}");
        fs::write(&path, newer).unwrap();
    }
}

#[test]
fn a_key_that_is_gone_takes_its_bundle_with_it() {
    let mut node = Node::new();
    node.put("7.json", &version(7));
    node.remove("keys/1.pem");
    for _ in 0..2 {
        assert_eq!(node.version(), None);
        let (reason, cause) = node.why();
        assert_eq!(reason, Reason::PolicyUnreadable);
        assert!(cause.contains("version 7") && cause.contains("not signed by a bundle key"), "{cause}");
        node.tells("cannot be obeyed any more");
        node.restart();
    }
    // Under another key of the node the same version counts; a lower one does not.
    let again = TestKey::new(2).seal(payload(7).to_string().as_bytes());
    let lower = TestKey::new(2).seal(payload(6).to_string().as_bytes());
    assert!(node.documents.offer(lower.as_bytes(), node.now).is_err());
    assert!(node.documents.offer(again.as_bytes(), node.now).unwrap());
    assert_eq!(node.version(), Some(7));
    assert!(!node.documents.offer(again.as_bytes(), node.now).unwrap());
    node.restart();
    assert_eq!(node.version(), Some(7));
    // One that cannot be read any more keeps its last good version, as a document does.
    fs::write(node.path("keys/2.pem"), "broken").unwrap();
    node.restart();
    assert_eq!(node.version(), Some(7));
    node.tells("is not a bundle key");
    // The key is back.
    node.remove("keys/2.pem");
    assert_eq!(node.version(), None);
    fs::write(node.path("keys/2.pem"), TestKey::new(2).pem()).unwrap();
    node.reload();
    assert_eq!(node.version(), Some(7));
    // Others may write it.
    fs::set_permissions(node.path("keys/2.pem"), fs::Permissions::from_mode(0o666)).unwrap();
    node.reload();
    node.tells("chmod go-w");
}

#[test]
fn one_that_expires_stays_in_force_with_an_alarm() {
    let mut node = Node::new();
    node.put("7.json", &version(7));
    node.now = at("2030-01-01T00:00:00Z");
    node.reload();
    for _ in 0..2 {
        assert_eq!(node.version(), Some(7));
        node.tells("version 7 expired at 2030-01-01T00:00:00Z and stays in force");
        node.restart();
    }
    assert_eq!(node.documents.problems().len(), 1);
}

#[test]
fn the_clock_cannot_bring_back_what_has_expired() {
    let mut node = Node::new();
    let expiring = changed(7, "/expires", json!("2029-06-01T00:00:00Z"));
    // Forward by a year: it is refused, and it still is when the clock is back and the daemon was restarted.
    node.now += Duration::from_secs(365 * 86_400);
    node.put("7.json", &expiring);
    assert_eq!(node.version(), None);
    node.documents.mark(node.now);
    node.now = at(NOW);
    node.restart();
    assert_eq!(node.version(), None);
    assert!(node.why().1.contains("version 7 expired at"));
    assert_eq!(node.documents.seen(), Some(at(NOW) + Duration::from_secs(365 * 86_400)));
    node.documents.forget(trust::Forget::Time, node.now).unwrap();
    assert_eq!(node.version(), Some(7));
    // Back by a year: what is in force stays, and lower versions are refused.
    node.now -= Duration::from_secs(365 * 86_400);
    node.restart();
    assert_eq!(node.version(), Some(7));
    assert!(node.documents.offer(version(6).as_bytes(), node.now).is_err());
}

#[test]
fn nothing_is_used_that_could_not_be_recorded() {
    let mut node = Node::new();
    node.put("7.json", &version(7));
    let state = node.path("state");
    fs::rename(&state, node.path("elsewhere")).unwrap();
    node.put("8.json", &version(8));
    assert_eq!(node.version(), Some(7));
    node.tells("version 8 is not used, because it cannot be recorded that it was accepted");
    fs::rename(node.path("elsewhere"), &state).unwrap();
    node.reload();
    assert_eq!(node.version(), Some(8));
    node.is_well();
}

#[test]
fn with_both_copies_lost_nothing_is_obeyed_until_it_is_reset() {
    let mut node = Node::new();
    node.put("7.json", &version(7));
    fs::write(node.path("state/trust.0"), "broken").unwrap();
    node.restart();
    assert_eq!(node.version(), Some(7));
    node.tells("a copy was lost");
    for copy in ["state/trust.0", "state/trust.1"] {
        fs::write(node.path(copy), "broken").unwrap();
    }
    node.restart();
    node.put("8.json", &version(8));
    assert_eq!(node.version(), None);
    assert_eq!(node.why().0, Reason::TrustLost);
    node.tells("binauthctl trust reset");
    assert!(matches!(node.documents.offer(version(9).as_bytes(), node.now), Err(OfferError::TrustLost)));
    node.restart();
    assert_eq!(node.version(), None);
    node.documents.forget(trust::Forget::Broken, node.now).unwrap();
    assert_eq!(node.version(), Some(8));
    node.is_well();
}

#[test]
fn one_file_is_a_place_too_and_every_change_shows() {
    let mut node = Node::new();
    fs::remove_dir(node.path("bundles")).unwrap();
    node.reload();
    assert!(node.why().1.contains("does not exist"), "{:?}", node.why());
    fs::write(node.path("bundles"), version(3)).unwrap();
    node.reload();
    assert_eq!(node.version(), Some(3));
    node.is_well();
    let mut last = node.documents.fingerprint();
    for name in ["bundles", "keys/1.pem", "keys/2.pem"] {
        let text = fs::read_to_string(node.path(name)).unwrap() + "\n";
        fs::write(node.path(name), text).unwrap();
        let now = node.documents.fingerprint();
        assert_ne!(std::mem::replace(&mut last, now), now, "{name}");
    }
    node.reload();
    assert_eq!(node.version(), Some(3));
    node.is_well();
}

#[test]
fn what_is_no_bundle_of_the_folder_counts_for_nothing() {
    let mut node = Node::new();
    for name in [".hidden.json", "notes.txt", "8.json~"] {
        node.put(name, &version(8));
    }
    node.tells("none has been accepted");
    assert_eq!((node.version(), node.documents.problems().len()), (None, 1));
    // The highest one that is acceptable.
    node.put("a.json", &version(5));
    node.put("b.json", &version(6));
    node.put("c.json", &changed(9, "/project", json!("other")));
    assert_eq!(node.version(), Some(6));
    assert_eq!(node.documents.problems().len(), 1);
    for number in 0..257 {
        fs::write(node.path("bundles").join(format!("x{number}.json")), "").unwrap();
    }
    node.reload();
    assert_eq!(node.version(), Some(6));
    node.tells("more than the 256 allowed");
}

#[test]
fn what_is_fetched_is_offered_like_a_file() {
    let mut node = Node::new();
    node.documents.fetch_failed("no route".to_owned());
    assert!(node.documents.lacks_bundle() && node.why().1.ends_with("no route"));
    assert!(node.documents.offer(version(4).as_bytes(), node.now).unwrap());
    assert!(!node.documents.lacks_bundle());
    assert!(!node.documents.offer(version(4).as_bytes(), node.now).unwrap());
    let error = node.documents.offer(version(3).as_bytes(), node.now).unwrap_err();
    assert!(matches!(
        error,
        OfferError::Refused(crate::policy::BundleError::Older { version: 3, highest: 4 })
    ));
    node.tells("version 4 stays in force");
    node.now += Duration::from_secs(90);
    node.documents.offer(version(5).as_bytes(), node.now).unwrap();
    assert_eq!(json!(node.documents.bundle_status())["fetchedSecondsAgo"], 0);
    node.is_well();
    // Files are not asked for bundles.
    let folder = tempfile::tempdir().unwrap();
    let mut documents = Documents::open(&Config::under(folder.path()), node.now);
    assert!(matches!(documents.offer(version(5).as_bytes(), node.now), Err(OfferError::NotConfigured)));
    assert!(documents.bundle_status().is_none() && !documents.lacks_bundle());
}
