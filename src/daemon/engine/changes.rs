//! What the audit trail is told when what decides has changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Engine;
use super::announced::versions;
use super::grants::held;
use crate::attestation::key_ring::Entry;
use crate::audit::{Change, Decides};
use crate::config::InForce;
use crate::gate::server::Peer;

/// In the order of [`versions`]; of the key ring its attestors are told one by one, and so are grants.
const DOCUMENTS: [&str; 5] = ["bundle", "policy", "platform_policy", "deny_list", "system_policy"];

impl Engine {
    /// Tells the audit trail what decides now, as far as it has not been told: also what has changed while no daemon ran.
    pub(super) fn tell_changes(&self) {
        let documents = self.documents();
        let mut files = BTreeMap::from([("policy".to_owned(), documents.policy_status().path)]);
        let others = documents
            .other_statuses()
            .into_iter()
            .map(|one| (one.name.map(|name| name.replace(' ', "_")), one.path));
        files.extend(others.filter_map(|(name, path)| Some((name?, path))));
        let attestors = documents.attestor_statuses().into_iter();
        let attestors: BTreeMap<_, _> = attestors.filter_map(|one| Some((one.name?, one.path))).collect();
        drop(documents);
        files.extend(self.origin.iter().map(|(path, _)| ("config".to_owned(), path.clone())));
        let bundle = self.in_force().bundle;
        let who = |what: &str, name: &str| match (what, bundle) {
            ("config", _) | (_, None) => {
                let file = if what == "attestor" { attestors.get(name) } else { files.get(what) };
                file.map_or(Value::Null, |path| owner(path))
            }
            ("break_glass", Some(_)) => Value::Null,
            (_, Some(version)) => json!({"bundle": version}),
        };
        self.audit.decides(|| self.decides(), who);
    }

    /// All that decides, with its versions or terms.
    fn decides(&self) -> Decides {
        let in_force = self.in_force();
        let mut all: Decides = DOCUMENTS
            .into_iter()
            .zip(versions(&in_force))
            .filter_map(|(what, version)| Some((what.to_owned(), alone(json!(version?)))))
            .collect();
        all.extend(in_force.bundle.map(|version| ("bundle".to_owned(), alone(json!(version)))));
        all.extend(self.origin.iter().map(|(_, version)| ("config".to_owned(), alone(json!(version)))));
        all.insert("attestor".to_owned(), attestor_keys(&in_force));
        let grants = held(&in_force).into_iter().map(|(serial, terms)| (serial.to_string(), terms));
        all.insert("break_glass".to_owned(), grants.collect());
        all
    }

    /// Tells that `peer` had something forgotten or accepted.
    pub(in crate::daemon) fn tell_done(&self, what: &'static str, name: String, peer: &Peer) {
        let who = json!({"uid": peer.uid, "pid": peer.pid});
        self.audit.change(&Change {
            what: what.to_owned(),
            name,
            before: Value::Null,
            after: Value::Null,
            who,
        });
    }
}

/// The ids of each attestor's keys.
fn attestor_keys(in_force: &InForce) -> BTreeMap<String, Value> {
    let entries = in_force.key_ring.entries();
    let ids = entries.map(|(name, entry)| match entry {
        Entry::Defined(attestor) => {
            let ids: Vec<_> = attestor.keys().iter().map(|key| key.id.to_string()).collect();
            (name.to_string(), json!(ids))
        }
        Entry::Ambiguous => (name.to_string(), json!(["ambiguous"])),
    });
    ids.collect()
}

/// What there is one of has no name.
fn alone(value: Value) -> BTreeMap<String, Value> {
    BTreeMap::from([(String::new(), value)])
}

/// Whose the file is, and when it was written.
fn owner(path: &Path) -> Value {
    std::fs::metadata(path).map_or(Value::Null, |meta| {
        let time = meta.modified().map(|time| humantime::format_rfc3339_seconds(time).to_string());
        json!({"file": path, "uid": meta.uid(), "mtime": time.ok()})
    })
}
