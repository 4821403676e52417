use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::attestation::key_ring::Entry;

mod break_glass;
mod bundles;

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvgIMsXWHkzCb6RxjV0BrxMypUsr2\nIT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ==\n-----END PUBLIC KEY-----\n";
const ALLOW: &str =
    "defaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}";
const DENY: &str =
    "defaultAdmissionRule: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}";

struct Node {
    folder: tempfile::TempDir,
    documents: Documents,
}

impl Node {
    fn new(policy: &str, attestors: &[(&str, usize)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("attestors")).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        for (name, keys) in attestors {
            write_attestor(folder.path(), name, *keys);
        }
        let documents = open(folder.path());
        Self { folder, documents }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn reload(&mut self) {
        self.documents.reload(SystemTime::now());
    }

    fn restart(&mut self) {
        self.documents = open(self.folder.path());
    }

    /// Attestor ids with their number of keys.
    fn keys(&self) -> Vec<(String, usize)> {
        let ring = self.documents.in_force().key_ring;
        let keys = |entry: &Entry| match entry {
            Entry::Defined(attestor) => attestor.keys().len(),
            Entry::Ambiguous => 999,
        };
        ring.entries().map(|(name, entry)| (name.id().to_owned(), keys(entry))).collect()
    }
}

fn open(folder: &Path) -> Documents {
    let platform_policy = Some(folder.join("platform.yaml")).filter(|path| path.exists());
    let config = Config { platform_policy, ..Config::under(folder) };
    Documents::open(&config, SystemTime::now())
}

fn write_attestor(folder: &Path, name: &str, keys: usize) {
    let keys: Vec<_> = (0..keys)
        .map(|id| {
            serde_json::json!({"id": format!("k{id}"), "pkixPublicKey":
            {"publicKeyPem": PEM, "signatureAlgorithm": "ECDSA_P256_SHA256"}})
        })
        .collect();
    let document = serde_json::json!({"name": format!("projects/p/attestors/{name}"),
        "userOwnedGrafeasNote": {"noteReference": format!("projects/p/notes/{name}"), "publicKeys": keys}});
    fs::write(folder.join(format!("attestors/{name}.json")), document.to_string()).unwrap();
}

fn pairs(rows: &[(&str, usize)]) -> Vec<(String, usize)> {
    rows.iter().map(|(name, keys)| ((*name).to_owned(), *keys)).collect()
}

#[test]
fn a_key_removed_counts_while_another_file_is_broken() {
    let mut node = Node::new(ALLOW, &[("a", 2), ("b", 1)]);
    assert_eq!(node.keys(), pairs(&[("a", 2), ("b", 1)]));
    fs::write(node.path("attestors/b.json"), "{").unwrap();
    write_attestor(node.folder.path(), "a", 1);
    node.reload();
    assert_eq!(node.keys(), pairs(&[("a", 1), ("b", 1)]));
    assert_eq!(node.documents.problems().len(), 1);
    node.restart();
    assert_eq!(node.keys(), pairs(&[("a", 1), ("b", 1)]));
    assert_eq!(node.documents.attestor_statuses()[1].state, "last good");
    // Broken, changed while the daemon was away, and broken again: the same.
    write_attestor(node.folder.path(), "a", 0);
    node.restart();
    assert_eq!(node.keys(), pairs(&[("a", 0), ("b", 1)]));
}

#[test]
fn attestors_that_the_policy_does_not_name_are_not_asked() {
    let policy = "defaultAdmissionRule: {evaluationMode: REQUIRE_ATTESTATION, \
         enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG, requireAttestationsBy: \
         [projects/p/attestors/b, projects/p/attestors/none]}";
    let mut node = Node::new(policy, &[("a", 1), ("b", 1)]);
    let asked = |node: &Node| {
        let in_force = node.documents.in_force();
        assert_eq!(in_force.asked.version(), in_force.key_ring.version());
        in_force.asked.entries().map(|(name, _)| name.id().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(asked(&node), ["b"]);
    let before = node.documents.in_force().asked.identity();
    write_attestor(node.folder.path(), "b", 0);
    node.reload();
    assert_ne!(node.documents.in_force().asked.identity(), before);
    fs::write(node.path("policy.yaml"), ALLOW).unwrap();
    node.reload();
    assert!(asked(&node).is_empty());
}

#[test]
fn a_file_that_is_gone_is_gone() {
    let mut node = Node::new(ALLOW, &[("a", 1), ("b", 1)]);
    fs::remove_file(node.path("attestors/a.json")).unwrap();
    node.reload();
    assert_eq!(node.keys(), pairs(&[("b", 1)]));
    node.restart();
    assert_eq!(node.keys(), pairs(&[("b", 1)]));
    // Deleted while the daemon was away.
    fs::remove_file(node.path("attestors/b.json")).unwrap();
    node.restart();
    assert_eq!(node.keys(), pairs(&[]));
    fs::remove_dir(node.path("attestors")).unwrap();
    node.reload();
    assert_eq!(node.keys(), pairs(&[]));
}

#[test]
fn the_policy_keeps_its_last_good_version() {
    let mut node = Node::new(DENY, &[]);
    let version = |node: &Node| match node.documents.in_force().state {
        State::Obeyed(book) => Some(book.policy.as_ref().unwrap().version().clone()),
        _ => None,
    };
    let good = version(&node);
    assert!(good.is_some());
    for broken in ["", "defaultAdmissionRule: {}", "\u{0}"] {
        fs::write(node.path("policy.yaml"), broken).unwrap();
        node.reload();
        assert_eq!(version(&node), good);
        node.restart();
        assert_eq!(version(&node), good);
    }
    fs::remove_file(node.path("policy.yaml")).unwrap();
    node.reload();
    assert!(matches!(node.documents.in_force().state, State::Missing { .. }));
    fs::write(node.path("policy.yaml"), "broken").unwrap();
    node.restart();
    assert!(matches!(node.documents.in_force().state, State::Unreadable { .. }));
    fs::write(node.path("policy.yaml"), ALLOW).unwrap();
    node.reload();
    assert!(version(&node).is_some_and(|version| Some(version) != good));
}

#[test]
fn files_that_others_can_write_are_not_obeyed() {
    let mut node = Node::new(ALLOW, &[("a", 2)]);
    let good = node.documents.policy_status().version;
    let before = node.documents.fingerprint();
    fs::write(node.path("policy.yaml"), DENY).unwrap();
    fs::set_permissions(node.path("policy.yaml"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_ne!(node.documents.fingerprint(), before);
    node.reload();
    let status = node.documents.policy_status();
    assert_eq!((status.state, status.version), ("last good", good));
    // A folder that others can write: nothing in it is read, what was good stays.
    write_attestor(node.folder.path(), "a", 1);
    fs::set_permissions(node.path("attestors"), fs::Permissions::from_mode(0o777)).unwrap();
    node.reload();
    assert_eq!(node.keys(), pairs(&[("a", 2)]));
    assert!(node.documents.problems().iter().any(|problem| problem.contains("chmod go-w")));
}

#[test]
fn one_name_in_two_files_is_nobody() {
    let mut node = Node::new(ALLOW, &[("a", 1)]);
    fs::copy(node.path("attestors/a.json"), node.path("attestors/copy.yaml")).unwrap();
    fs::copy(node.path("attestors/a.json"), node.path("attestors/.hidden.json")).unwrap();
    fs::copy(node.path("attestors/a.json"), node.path("attestors/a.json~")).unwrap();
    node.reload();
    assert_eq!(node.keys(), pairs(&[("a", 999)]));
    fs::remove_file(node.path("attestors/copy.yaml")).unwrap();
    node.reload();
    assert_eq!(node.keys(), pairs(&[("a", 1)]));
}

#[test]
fn a_copy_that_was_lost_is_told_until_the_next_start() {
    let mut node = Node::new(ALLOW, &[("a", 1)]);
    write_attestor(node.folder.path(), "a", 2);
    node.reload();
    fs::write(node.path("state/trust.0"), "broken").unwrap();
    node.restart();
    node.reload();
    let lost = node.documents.problems().iter().filter(|problem| problem.contains("a copy was lost")).count();
    assert_eq!((lost, node.keys()), (1, pairs(&[("a", 2)])));
    // Both: who knows what was accepted before.
    for copy in ["state/trust.0", "state/trust.1"] {
        fs::write(node.path(copy), "broken").unwrap();
    }
    node.restart();
    node.reload();
    assert!(matches!(node.documents.in_force().state, State::TrustLost { .. }));
    node.documents.forget(trust::Forget::Broken, SystemTime::now()).unwrap();
    assert!(node.documents.in_force().state.rulebook().is_some() && node.documents.problems().is_empty());
}

#[test]
fn state_that_cannot_be_written_changes_no_decision() {
    let mut node = Node::new(ALLOW, &[("a", 2)]);
    fs::remove_dir_all(node.path("state")).unwrap();
    write_attestor(node.folder.path(), "a", 1);
    node.reload();
    assert_eq!(node.keys(), pairs(&[("a", 1)]));
    assert!(node.documents.problems().iter().any(|problem| problem.contains("last good versions")));
    fs::create_dir(node.path("state")).unwrap();
    node.reload();
    assert!(node.documents.problems().is_empty());
}

const DIGEST: &str = "sha256:abababababababababababababababababababababababababababababababab";
const PLATFORM: &str = "binauthdEnforcementMode: AUDIT_AND_ENFORCE\ngkePolicy: {checkSets: []}";

fn listing(name: &str) -> String {
    if name == "platform.yaml" {
        return PLATFORM.to_owned();
    }
    format!("digests: [{{digest: '{DIGEST}', reason: x}}]")
}

/// How many entries of `name` are obeyed; none where nothing at all is.
fn obeyed(node: &Node, name: &str) -> Option<usize> {
    let State::Obeyed(book) = node.documents.in_force().state else { return None };
    Some(match name {
        "deny.yaml" => book.deny_list.len(),
        "system-policy.yaml" => book.system_policy.len(),
        _ => usize::from(book.platform_policy.is_some()),
    })
}

#[test]
fn documents_beside_the_policy() {
    // The name, what it is called, and what is obeyed of it where it is gone and where it is broken.
    let rows = [
        ("deny.yaml", "deny list", Some(0), None),
        ("system-policy.yaml", "system policy", Some(0), Some(0)),
        ("platform.yaml", "platform policy", None, None),
    ];
    for (name, what, gone, broken) in rows {
        let mut node = Node::new(ALLOW, &[]);
        fs::write(node.path(name), listing(name)).unwrap();
        node.restart();
        assert_eq!((obeyed(&node, name), node.documents.problems().len()), (Some(1), 0), "{name}");
        let status = &node.documents.other_statuses()[0];
        assert_eq!((status.name.as_deref(), status.state), (Some(what), "current"));

        // Broken, now and across a restart: the last good one.
        fs::write(node.path(name), "colour: red").unwrap();
        node.reload();
        for _ in 0..2 {
            assert_eq!(obeyed(&node, name), Some(1), "{name}");
            assert_eq!(node.documents.other_statuses()[0].state, "last good");
            assert!(node.documents.problems()[0].contains("(last good)"));
            node.restart();
        }
        // Gone is gone, and what was good once does not come back. The configuration still names a platform
        // policy, so no restart here: `open` would leave it out.
        fs::remove_file(node.path(name)).unwrap();
        node.reload();
        assert_eq!(obeyed(&node, name), gone, "{name}");
        fs::write(node.path(name), "colour: red").unwrap();
        node.reload();
        // Broken from the start.
        for _ in 0..2 {
            assert_eq!(obeyed(&node, name), broken, "{name}");
            assert_eq!(node.documents.other_statuses()[0].state, "refused");
            assert!(node.documents.problems()[0].contains("(refused)"), "{name}");
            if broken.is_none() {
                let State::Unreadable { what: called, path, .. } = node.documents.in_force().state else {
                    panic!("{name}");
                };
                assert_eq!((called, path), (what, node.path(name)));
            }
            node.restart();
        }
        fs::write(node.path(name), listing(name)).unwrap();
        node.reload();
        assert_eq!((obeyed(&node, name), node.documents.problems().len()), (Some(1), 0), "{name}");
    }
}

#[test]
fn a_platform_policy_that_is_configured_must_be_there() {
    let mut node = Node::new(ALLOW, &[]);
    fs::write(node.path("platform.yaml"), PLATFORM).unwrap();
    node.restart();
    fs::remove_file(node.path("platform.yaml")).unwrap();
    node.reload();
    let State::Missing { what, path } = node.documents.in_force().state else { panic!("obeyed") };
    assert_eq!((what, path), ("platform policy", node.path("platform.yaml")));
    assert!(node.documents.problems()[0].contains("does not exist"));
}

#[test]
fn the_fingerprint_changes_with_every_document() {
    let mut node = Node::new(ALLOW, &[]);
    fs::write(node.path("platform.yaml"), PLATFORM).unwrap();
    node.restart();
    let mut last = node.documents.fingerprint();
    let mut changed = |node: &Node, what: &str| {
        let now = node.documents.fingerprint();
        assert_ne!(std::mem::replace(&mut last, now), now, "{what}");
        assert_eq!(node.documents.fingerprint(), now);
    };
    for name in ["deny.yaml", "system-policy.yaml", "platform.yaml"] {
        fs::write(node.path(name), listing(name) + "\n").unwrap();
        changed(&node, name);
        fs::set_permissions(node.path(name), fs::Permissions::from_mode(0o666)).unwrap();
        changed(&node, name);
        fs::remove_file(node.path(name)).unwrap();
        changed(&node, name);
    }
}
