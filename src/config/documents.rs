//! Policy and attestors, document by document.
//!
//! A document that is gone is gone at once. One that cannot be read, or is not valid, keeps its own
//! last good version, also across a restart, and says so; changes beside it still apply. What was
//! never seen good decides nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::last_good::{self, LastGood};
use super::trusted;
use crate::attestation::{Attestor, KeyRing};
use crate::document::{Format, MAX_BYTES, Version};
use crate::policy::{Options, Policy};

/// The documents of a node and what became of each at the last reload.
#[derive(Debug)]
pub struct Documents {
    policy_path: PathBuf,
    attestors_path: PathBuf,
    policy: Slot<Policy>,
    attestors: BTreeMap<PathBuf, Slot<Attestor>>,
    folder_problem: Option<String>,
    store: LastGood,
    stored: last_good::Documents,
    /// Copies that were not whole when the daemon started.
    lost: Vec<String>,
    /// Why what is good now could not be kept.
    store_problem: Option<String>,
}

/// What decides trust, at one moment.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The policy, or why there is none.
    pub policy: PolicyState,
    /// Every attestor.
    pub key_ring: KeyRing,
    /// Those that the policy asks: what is filed under the notes of others costs a decision nothing.
    pub asked: KeyRing,
}

/// The policy, or why there is none.
#[derive(Debug, Clone)]
pub enum PolicyState {
    /// This one is obeyed.
    Obeyed(Arc<Policy>),
    /// The file is not there.
    Missing(PathBuf),
    /// The file cannot be obeyed, and no version of it could be before.
    Unreadable(PathBuf, String),
}

impl PolicyState {
    /// Of the policy that is obeyed.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        match self {
            Self::Obeyed(policy) => Some(policy.version()),
            Self::Missing(_) | Self::Unreadable(..) => None,
        }
    }
}

/// What became of one document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentStatus {
    /// The file.
    pub path: PathBuf,
    /// Attestor name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `current`, `last good`, or `refused` when there is no good version.
    pub state: &'static str,
    /// Of the version that is obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// When that version was read, RFC 3339; none for one remembered from before a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded: Option<String>,
    /// Why the file as it stands is not obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[derive(Debug)]
struct Slot<T> {
    good: Option<Good<T>>,
    problem: Option<String>,
}

#[derive(Debug)]
struct Good<T> {
    value: Arc<T>,
    text: String,
    /// None for what was remembered from before a restart.
    loaded: Option<SystemTime>,
}

/// A document as this module needs it.
trait Parse: Sized {
    fn parse(text: &str, format: Format) -> Result<Self, String>;
}

impl Parse for Policy {
    fn parse(text: &str, format: Format) -> Result<Self, String> {
        Self::parse(text.as_bytes(), format, Options::default()).map_err(|error| error.to_string())
    }
}

impl Parse for Attestor {
    fn parse(text: &str, format: Format) -> Result<Self, String> {
        Self::parse(text.as_bytes(), format).map_err(|error| error.to_string())
    }
}

impl Documents {
    /// Reads everything for the first time; last good versions come from `state_dir`.
    #[must_use]
    pub fn open(policy_path: &Path, attestors_path: &Path, state_dir: &Path, now: SystemTime) -> Self {
        let (store, stored, lost) = LastGood::open(state_dir);
        let policy = Slot::remember(policy_path, stored.get(&key(policy_path)));
        let attestors = stored
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text))
            .filter(|(path, _)| path.parent() == Some(attestors_path) && path != policy_path)
            .map(|(path, text)| (path.clone(), Slot::remember(&path, Some(text))))
            .collect();
        let mut documents = Self {
            policy_path: policy_path.to_owned(),
            attestors_path: attestors_path.to_owned(),
            policy,
            attestors,
            folder_problem: None,
            store,
            stored,
            lost,
            store_problem: None,
        };
        documents.reload(now);
        documents
    }

    /// Reads everything again, and remembers what is good.
    pub fn reload(&mut self, now: SystemTime) {
        if self.policy.read(&self.policy_path, now) == Presence::Gone {
            self.policy = Slot { good: None, problem: None };
        }
        self.read_attestors(now);
        self.remember();
    }

    /// What decides trust now.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        let policy = match (&self.policy.good, &self.policy.problem) {
            (Some(good), _) => PolicyState::Obeyed(Arc::clone(&good.value)),
            (None, Some(problem)) => PolicyState::Unreadable(self.policy_path.clone(), problem.clone()),
            (None, None) => PolicyState::Missing(self.policy_path.clone()),
        };
        let attestors = self.attestors.values().filter_map(|slot| slot.good.as_ref());
        let key_ring = KeyRing::new(attestors.map(|good| Attestor::clone(&good.value)));
        let asked = match &policy {
            PolicyState::Obeyed(policy) => key_ring.narrowed(policy.attestors()),
            PolicyState::Missing(_) | PolicyState::Unreadable(..) => key_ring.narrowed([]),
        };
        InForce { policy, key_ring, asked }
    }

    /// What became of the policy.
    #[must_use]
    pub fn policy_status(&self) -> DocumentStatus {
        let mut status = self.policy.status(&self.policy_path, None);
        if status.version.is_none() && status.problem.is_none() {
            status.problem = Some(format!("`{}` does not exist", self.policy_path.display()));
        }
        status
    }

    /// What became of each attestor document.
    #[must_use]
    pub fn attestor_statuses(&self) -> Vec<DocumentStatus> {
        let name = |slot: &Slot<Attestor>| slot.good.as_ref().map(|good| good.value.name().to_string());
        self.attestors.iter().map(|(path, slot)| slot.status(path, name(slot))).collect()
    }

    /// Everything that is wrong with the documents or with keeping them, one line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let of_documents = std::iter::once(self.policy_status()).chain(self.attestor_statuses());
        of_documents
            .filter_map(|status| {
                let problem = status.problem?;
                Some(format!("{}: {problem} ({})", status.path.display(), status.state))
            })
            .chain(self.folder_problem.clone())
            .chain(self.lost.iter().map(|problem| format!("last good versions: a copy was lost: {problem}")))
            .chain(
                self.store_problem
                    .iter()
                    .map(|problem| format!("last good versions cannot be kept: {problem}")),
            )
            .collect()
    }

    /// Changes when any of the files, or who may write them, does; reads no contents.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut file = |path: &Path| {
            if let Ok(meta) = std::fs::metadata(path) {
                let written = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
                (path, meta.dev(), meta.ino(), meta.len(), written, meta.mode(), meta.uid())
                    .hash(&mut hasher);
            }
        };
        file(&self.policy_path);
        file(&self.attestors_path);
        if let Ok(entries) = std::fs::read_dir(&self.attestors_path) {
            let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            paths.iter().for_each(|path| file(path));
        }
        for folder in self.policy_path.ancestors().skip(1).chain(self.attestors_path.ancestors()) {
            if let Ok(meta) = std::fs::metadata(folder) {
                (folder, meta.mode(), meta.uid()).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    fn read_attestors(&mut self, now: SystemTime) {
        self.folder_problem = None;
        let names = match trusted::list(&self.attestors_path) {
            Ok(names) => names,
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => {
                let problem = error.to_string();
                self.attestors.values_mut().for_each(|slot| slot.problem = Some(problem.clone()));
                self.folder_problem = Some(problem);
                return;
            }
        };
        let paths: Vec<_> = names
            .iter()
            .map(|name| self.attestors_path.join(name))
            .filter(|path| is_document(path))
            .collect();
        self.attestors.retain(|path, _| paths.contains(path));
        for path in paths {
            let slot = self.attestors.entry(path.clone()).or_insert(Slot { good: None, problem: None });
            if slot.read(&path, now) == Presence::Gone {
                self.attestors.remove(&path);
            }
        }
    }

    fn remember(&mut self) {
        let policy = self.policy.good.as_ref().map(|good| (key(&self.policy_path), good.text.clone()));
        let attestors = self.attestors.iter();
        let good: last_good::Documents = attestors
            .filter_map(|(path, slot)| Some((key(path), slot.good.as_ref()?.text.clone())))
            .chain(policy)
            .collect();
        if good == self.stored && self.store_problem.is_none() {
            return;
        }
        match self.store.store(&good) {
            Ok(()) => (self.stored, self.store_problem) = (good, None),
            Err(error) => self.store_problem = Some(error.to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Presence {
    Here,
    Gone,
}

impl<T: Parse> Slot<T> {
    /// A last good version from before a restart. One that this version refuses is not obeyed.
    fn remember(path: &Path, text: Option<&String>) -> Self {
        let good = text.and_then(|text| {
            let value = T::parse(text, Format::of(path)).ok()?;
            Some(Good { value: Arc::new(value), text: text.clone(), loaded: None })
        });
        Self { good, problem: None }
    }

    fn read(&mut self, path: &Path, now: SystemTime) -> Presence {
        let bytes = match trusted::read(path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Presence::Gone,
            Err(error) => {
                self.problem = Some(error.to_string());
                return Presence::Here;
            }
        };
        let read = String::from_utf8(bytes)
            .map_err(|_| "the document is not UTF-8".to_owned())
            .and_then(|text| Ok((T::parse(&text, Format::of(path))?, text)));
        match read {
            Ok((value, text)) => {
                self.problem = None;
                if self.good.as_ref().is_none_or(|good| good.text != text || good.loaded.is_none()) {
                    self.good = Some(Good { value: Arc::new(value), text, loaded: Some(now) });
                }
            }
            Err(problem) => self.problem = Some(problem),
        }
        Presence::Here
    }
}

impl<T> Slot<T> {
    fn status(&self, path: &Path, name: Option<String>) -> DocumentStatus {
        let good = self.good.as_ref();
        DocumentStatus {
            path: path.to_owned(),
            name,
            state: match (good, &self.problem) {
                (Some(_), None) => "current",
                (Some(_), Some(_)) => "last good",
                (None, _) => "refused",
            },
            version: good.map(|good| Version::of(good.text.as_bytes())),
            loaded: good
                .and_then(|good| good.loaded)
                .map(|loaded| humantime::format_rfc3339_seconds(loaded).to_string()),
            problem: self.problem.clone(),
        }
    }
}

fn key(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Editors' leftovers and hidden files are not documents.
fn is_document(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::attestation::key_ring::Entry;

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
        let at = |name: &str| folder.join(name);
        Documents::open(&at("policy.yaml"), &at("attestors"), &at("state"), SystemTime::now())
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
        let version = |node: &Node| match node.documents.in_force().policy {
            PolicyState::Obeyed(policy) => Some(policy.version().clone()),
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
        assert!(matches!(node.documents.in_force().policy, PolicyState::Missing(_)));
        fs::write(node.path("policy.yaml"), "broken").unwrap();
        node.restart();
        assert!(matches!(node.documents.in_force().policy, PolicyState::Unreadable(..)));
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
        for copy in ["state/trust.0", "state/trust.1"] {
            fs::write(node.path(copy), "broken").unwrap();
        }
        node.restart();
        node.reload();
        let lost =
            node.documents.problems().iter().filter(|problem| problem.contains("a copy was lost")).count();
        assert_eq!((lost, node.keys()), (2, pairs(&[("a", 2)])));
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
}
