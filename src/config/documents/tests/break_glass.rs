//! Break-glass grants of a node: what counts, what is refused by name, and what is remembered.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::*;
use super::DENY;
use crate::config::{BreakGlassConfig, KubeletConfig, PodSource};
use crate::policy::break_glass::tests::{A, grant, sealed};
use crate::policy::break_glass::{REVOCATION, RevocationDocument};
use crate::policy::bundle::tests::{TestKey, at};

const NOW: &str = "2027-03-01T13:00:00Z";

/// With the break-glass key 1, and grants in the folder `break-glass`.
struct Node {
    folder: tempfile::TempDir,
    documents: Documents,
    now: SystemTime,
}

fn open(folder: &Path, now: SystemTime) -> Documents {
    let config = Config {
        cluster: Some("us-central1-a.prod".into()),
        kubelet: Some(KubeletConfig {
            node_name: Some("node-1".into()),
            source: PodSource::Kubeconfig("/nowhere".into()),
        }),
        break_glass: BreakGlassConfig {
            keys: vec![folder.join("keys/1.pem")],
            grants: folder.join("break-glass"),
            ..BreakGlassConfig::default()
        },
        ..Config::under(folder)
    };
    Documents::open(&config, now)
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["attestors", "state", "break-glass", "keys"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("policy.yaml"), DENY).unwrap();
        fs::write(folder.path().join("keys/1.pem"), TestKey::new(1).pem()).unwrap();
        let now = at(NOW);
        let documents = open(folder.path(), now);
        Self { folder, documents, now }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&mut self, name: &str, text: &str) {
        fs::write(self.path("break-glass").join(name), text).unwrap();
        self.reload();
    }

    fn remove(&mut self, name: &str) {
        fs::remove_file(self.path("break-glass").join(name)).unwrap();
        self.reload();
    }

    fn reload(&mut self) {
        self.documents.reload(self.now);
    }

    fn restart(&mut self) {
        self.documents = open(self.folder.path(), self.now);
    }

    /// The serials that hold.
    fn held(&self) -> Vec<String> {
        let in_force = self.documents.in_force();
        let glass = &in_force.state.rulebook().unwrap().break_glass;
        let held = glass.in_force(self.now).map(|grant| grant.serial().to_string()).collect();
        let told = json!(self.documents.break_glass_status(self.now));
        let told = told["grants"].as_array().unwrap().iter().filter(|grant| grant["state"] == "in-force");
        let mut told: Vec<_> = told.map(|grant| grant["serial"].as_str().unwrap().to_owned()).collect();
        let mut held: Vec<String> = held;
        held.sort();
        told.sort();
        assert_eq!(held, told, "what is told is not what holds");
        assert_eq!(self.documents.break_glass_alarms(self.now).len(), held.len());
        held
    }

    /// How the grant in this file stands, and why.
    fn state(&self, name: &str) -> (String, String) {
        let told = json!(self.documents.break_glass_status(self.now));
        let path = json!(self.path("break-glass").join(name));
        let grant = told["grants"].as_array().unwrap().iter().find(|grant| grant["path"] == path).unwrap();
        let text = |member: &str| grant[member].as_str().unwrap_or_default().to_owned();
        (text("state"), text("problem"))
    }

    #[track_caller]
    fn tells(&self, part: &str) {
        let problems = self.documents.problems();
        assert!(problems.iter().any(|problem| problem.contains(part)), "{problems:?} lacks {part:?}");
    }
}

fn by(number: u8, payload: &Value) -> String {
    sealed(&TestKey::new(number), payload)
}

fn changed(serial: &str, member: &str, value: Value) -> String {
    let mut payload = grant(serial);
    payload[member] = value;
    by(1, &payload)
}

fn revocation(serials: &[&str]) -> String {
    let serials: Vec<_> = serials.iter().map(|serial| serial.parse().unwrap()).collect();
    let document = RevocationDocument::new(&serials, None, at(NOW));
    TestKey::new(1).seal_as(&REVOCATION, &document.to_bytes().unwrap())
}

#[test]
fn a_grant_holds_from_its_beginning_to_its_end_while_its_file_is_there() {
    let mut node = Node::new();
    assert!(node.held().is_empty() && node.documents.problems().is_empty());
    node.put("a.json", &by(1, &grant("one")));
    assert_eq!(node.held(), ["one"]);
    assert_eq!(node.documents.in_force().due, Some(at("2027-03-01T16:00:00Z")));
    node.restart();
    assert_eq!(node.held(), ["one"]);
    node.now = at("2027-03-01T16:00:00Z");
    assert!(node.held().is_empty(), "also before it is read again");
    node.reload();
    assert!(node.held().is_empty() && node.documents.in_force().due.is_none());
    assert_eq!(node.state("a.json").0, "expired");
    node.now = at("2027-03-01T11:00:00Z");
    node.reload();
    assert_eq!((node.held().len(), node.state("a.json").0.as_str()), (0, "not-yet"));
    assert_eq!(node.documents.in_force().due, Some(at("2027-03-01T12:00:00Z")));
    node.now = at(NOW);
    node.reload();
    assert_eq!(node.held(), ["one"]);
    node.remove("a.json");
    assert!(node.held().is_empty() && node.documents.problems().is_empty());
}

#[test]
fn what_does_not_hold_is_refused_by_name_and_harms_no_other() {
    let mut node = Node::new();
    node.put("good.json", &by(1, &grant("good")));
    let rows = [
        (by(2, &grant("x")), "refused", "it is not signed by a break-glass key of this node"),
        (TestKey::new(1).seal(grant("x").to_string().as_bytes()), "refused", "its payloadType is"),
        (grant("x").to_string(), "refused", "it is not a DSSE envelope"),
        (String::new(), "refused", "the document is empty"),
        ("x".repeat(70_000), "refused", "has more than 65536 bytes"),
        (
            changed("x", "expires", json!("2027-03-02T12:00:01Z")),
            "refused",
            "longer than the 1day that this node",
        ),
        (changed("x", "expires", json!("2027-03-01T12:30:00Z")), "expired", ""),
        (changed("later", "notBefore", json!("2027-03-01T15:00:00Z")), "not-yet", ""),
        (changed("of-a-cluster", "clusters", json!(["us-central1-a.test"])), "elsewhere", ""),
        (changed("of-a-node", "nodes", json!(["node-2"])), "elsewhere", ""),
    ];
    for (text, state, problem) in rows {
        node.put("x.json", &text);
        let found = node.state("x.json");
        assert!(found.0 == state && found.1.contains(problem), "{found:?} is not {state}: {problem}");
        assert_eq!(node.held(), ["good"]);
        if state == "refused" {
            node.tells(problem);
        } else {
            assert!(node.documents.problems().is_empty());
        }
    }
    node.put("x.json", &changed("x", "nodes", json!(["node-2", "node-1"])));
    assert_eq!(node.held(), ["good", "x"]);
    // Neither hidden nor of another name.
    for name in [".y.json", "y.json~", "y.txt"] {
        node.put(name, &by(1, &grant("y")));
    }
    assert_eq!(node.held(), ["good", "x"]);
}

#[test]
fn files_that_others_could_have_written_count_for_nothing() {
    let mut node = Node::new();
    node.put("a.json", &by(1, &grant("one")));
    let (folder, file) = (node.path("break-glass"), node.path("break-glass/a.json"));
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&file, 0o666);
    node.reload();
    assert!(node.held().is_empty());
    node.tells("is writable by others");
    mode(&file, 0o644);
    chown(&file, Some(65534), None).unwrap();
    node.reload();
    assert!(node.held().is_empty());
    node.tells("belongs to uid 65534");
    chown(&file, Some(0), None).unwrap();
    for open in [0o777, 0o1777] {
        mode(&folder, open);
        node.reload();
        assert!(node.held().is_empty(), "{open:o}");
        node.tells("is writable by others");
    }
    mode(&folder, 0o755);
    // A link is as good as where it leads.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("b.json"), by(1, &grant("two"))).unwrap();
    symlink(elsewhere.path().join("b.json"), folder.join("b.json")).unwrap();
    node.reload();
    assert_eq!(node.held(), ["one", "two"]);
    mode(elsewhere.path(), 0o777);
    node.reload();
    assert_eq!(node.held(), ["one"]);
    fs::remove_file(folder.join("b.json")).unwrap();
    symlink("c.json", folder.join("c.json")).unwrap();
    nix::unistd::mkfifo(&folder.join("d.json"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    fs::create_dir(folder.join("e.json")).unwrap();
    node.reload();
    assert_eq!(node.held(), ["one"]);
    for part in ["too many symbolic links", "d.json` is not a regular file", "e.json` is not a regular file"]
    {
        node.tells(part);
    }
}

#[test]
fn a_serial_has_one_meaning_for_ever() {
    let mut node = Node::new();
    let other = changed("one", "namespaces", json!(["kube-system"]));
    // Both at once: nobody can tell which was meant.
    fs::write(node.path("break-glass/b.json"), &other).unwrap();
    node.put("a.json", &by(1, &grant("one")));
    assert!(node.held().is_empty());
    node.tells("another file has the same serial and says something else");
    node.remove("b.json");
    assert_eq!(node.held(), ["one"]);
    // From now on it is known, also when its file is gone and after a restart.
    node.put("b.json", &other);
    assert_eq!((node.held(), node.state("a.json").0.as_str()), (vec!["one".to_owned()], "in-force"));
    node.remove("a.json");
    node.restart();
    assert!(node.held().is_empty());
    node.tells("its serial was used before by a grant that says something else");
    // The very same again, twice: one grant.
    node.remove("b.json");
    node.put("c.json", &by(1, &grant("one")));
    node.put("d.json", &by(1, &grant("one")));
    let in_force = node.documents.in_force();
    let glass = &in_force.state.rulebook().unwrap().break_glass;
    assert_eq!(glass.in_force(node.now).count(), 1);
}

#[test]
fn what_is_revoked_stays_so() {
    let mut node = Node::new();
    node.put("a.json", &by(1, &grant("one")));
    node.put("b.json", &by(1, &grant("two")));
    // Also what was never seen.
    node.documents.revoke(&["one".parse().unwrap(), "three".parse().unwrap()], node.now).unwrap();
    assert_eq!((node.held(), node.state("a.json").0.as_str()), (vec!["two".to_owned()], "revoked"));
    node.put("c.json", &by(1, &grant("three")));
    node.restart();
    assert_eq!(node.held(), ["two"]);
    // Taken away and put there again, under another name, in another envelope, with another text.
    node.remove("a.json");
    node.put("z.json", &by(1, &grant("one")).replace("\"payloadType\"", " \"payloadType\""));
    node.put("y.json", &changed("one", "reason", json!("once more")));
    assert_eq!(node.held(), ["two"]);
    // By a signed document, whose file may go.
    node.put("r.json", &revocation(&["two", "four"]));
    assert!(node.held().is_empty());
    node.remove("r.json");
    node.put("d.json", &by(1, &grant("four")));
    for what in [Forget::Time, Forget::Bundle, Forget::All] {
        node.documents.forget(what, node.now).unwrap();
        node.restart();
        assert!(node.held().is_empty(), "{what:?}");
    }
    let told = json!(node.documents.break_glass_status(node.now))["revoked"].clone();
    let serials: Vec<_> =
        told.as_array().unwrap().iter().map(|one| one["serial"].as_str().unwrap()).collect();
    assert_eq!(serials, ["four", "one", "three", "two"]);
    assert_eq!(json!(node.documents.trust_report())["breakGlass"]["revoked"].as_array().unwrap().len(), 4);
    // A stranger revokes nothing.
    node.put("e.json", &by(1, &grant("five")));
    let stranger = RevocationDocument::new(&["five".parse().unwrap()], None, node.now).to_bytes().unwrap();
    node.put("s.json", &TestKey::new(2).seal_as(&REVOCATION, &stranger));
    assert_eq!(node.held(), ["five"]);
    node.tells("it is not signed by a break-glass key");
}

#[test]
fn with_the_memory_of_revocations_lost_older_grants_are_refused() {
    let mut node = Node::new();
    node.put("a.json", &by(1, &grant("one")));
    node.documents.revoke(&["one".parse().unwrap()], node.now).unwrap();
    for copy in ["state/trust.0", "state/trust.1"] {
        fs::write(node.path(copy), "broken").unwrap();
    }
    node.restart();
    assert!(node.documents.in_force().state.rulebook().is_none(), "nothing is obeyed");
    node.documents.forget(Forget::Broken, node.now).unwrap();
    for _ in 0..2 {
        assert!(node.held().is_empty());
        node.tells("when this node lost what it knew of revoked grants");
        node.restart();
    }
    node.put("b.json", &changed("two", "issued", json!(NOW)));
    assert_eq!(node.held(), ["two"]);
}

#[test]
fn a_key_that_is_gone_takes_its_grants_with_it() {
    let mut node = Node::new();
    node.put("a.json", &by(1, &grant("one")));
    let key = fs::read(node.path("keys/1.pem")).unwrap();
    fs::write(node.path("keys/1.pem"), TestKey::new(2).pem()).unwrap();
    node.reload();
    assert!(node.held().is_empty());
    node.put("b.json", &by(2, &grant("two")));
    assert_eq!(node.held(), ["two"]);
    // One that cannot be read keeps its last good version.
    fs::write(node.path("keys/1.pem"), "no key").unwrap();
    node.restart();
    assert_eq!(node.held(), ["two"]);
    node.tells("is not a break-glass key");
    fs::remove_file(node.path("keys/1.pem")).unwrap();
    node.restart();
    assert!(node.held().is_empty());
    node.tells("1.pem` does not exist (refused)");
    fs::write(node.path("keys/1.pem"), key).unwrap();
    node.reload();
    assert_eq!(node.held(), ["one"]);
}

#[test]
fn ten_thousand_files_take_no_time_and_grant_nothing() {
    let mut node = Node::new();
    node.put("a.json", &by(1, &grant("one")));
    let text = by(1, &grant("many"));
    for number in 0..10_000 {
        fs::write(node.path("break-glass").join(format!("x{number}.json")), &text).unwrap();
    }
    let started = std::time::Instant::now();
    node.reload();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(node.held().is_empty());
    node.tells("has 10001 documents, more than the 256 allowed, and none of them counts");
    // And as many serials as are remembered, one after the other: old ones make room, none is unremembered.
    fs::remove_dir_all(node.path("break-glass")).unwrap();
    fs::create_dir(node.path("break-glass")).unwrap();
    let mut serials = trust::Serials::default();
    let revoked: Vec<Serial> = (0..2_048).map(|number| format!("r{number}").parse().unwrap()).collect();
    for serial in &revoked {
        serials.revoke(serial, node.now).unwrap();
    }
    assert!(matches!(serials.revoke(&"more".parse().unwrap(), node.now), Err(trust::SerialError::Full)));
    assert!(serials.revoke(&revoked[7], node.now).is_ok());
}

#[test]
fn uses_are_counted_over_restarts() {
    let mut node = Node::new();
    node.put("a.json", &by(1, &grant("one")));
    let uses = |count: u64| BTreeMap::from([("one".to_owned(), count), ("stranger".to_owned(), 7)]);
    node.documents.count_uses(&uses(2));
    node.documents.mark(node.now);
    node.restart();
    node.documents.count_uses(&uses(3));
    node.reload();
    node.restart();
    let told = json!(node.documents.break_glass_status(node.now));
    assert_eq!((&told["grants"][0]["uses"], &told["active"]), (&5.into(), &1.into()));
    assert_eq!(told["grants"][0]["digests"][0], A);
}

#[test]
fn a_full_disk_holds_up_no_emergency_and_a_revocation_says_so() {
    let mut node = Node::new();
    let state = node.path("state");
    fs::rename(&state, node.path("elsewhere")).unwrap();
    node.put("a.json", &by(1, &grant("one")));
    assert_eq!(node.held(), ["one"]);
    node.tells("what is known of serials cannot be kept");
    let error = node.documents.revoke(&["one".parse().unwrap()], node.now).unwrap_err();
    assert!(error.contains("until the daemon ends"), "{error}");
    assert!(node.held().is_empty());
    fs::rename(node.path("elsewhere"), &state).unwrap();
    node.reload();
    node.restart();
    assert!(node.held().is_empty() && node.state("a.json").0 == "revoked");
}

#[test]
fn every_change_shows() {
    let mut node = Node::new();
    let mut last = node.documents.fingerprint();
    let mut shows = |node: &Node, what: &str| {
        let now = node.documents.fingerprint();
        assert_ne!(std::mem::replace(&mut last, now), now, "{what}");
    };
    node.put("a.json", &by(1, &grant("one")));
    shows(&node, "a grant");
    fs::write(node.path("keys/1.pem"), TestKey::new(2).pem() + "\n").unwrap();
    shows(&node, "a key");
    node.remove("a.json");
    shows(&node, "a grant that is gone");
    fs::set_permissions(node.path("break-glass"), fs::Permissions::from_mode(0o777)).unwrap();
    shows(&node, "who may write the folder");
}
