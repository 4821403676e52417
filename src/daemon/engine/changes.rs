//! What the audit trail is told when what decides has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Engine;
use super::announced::versions;
use crate::attestation::key_ring::Entry;
use crate::audit::Change;
use crate::config::{DocumentStatus, InForce};
use crate::gate::server::Peer;

/// In the order of [`versions`]; of the key ring its attestors are told one by one.
const DOCUMENTS: [&str; 5] = ["bundle", "policy", "platform_policy", "deny_list", "system_policy"];

impl Engine {
    /// Tells what is in force that was not `before`.
    pub(super) fn tell_changes(
        &self,
        before: &InForce,
        policy: &DocumentStatus,
        others: &[DocumentStatus],
        attestors: &[DocumentStatus],
    ) {
        let after = self.in_force();
        for ((what, old), new) in DOCUMENTS.into_iter().zip(versions(before)).zip(versions(&after)) {
            if old == new {
                continue;
            }
            let (old, new) = match what {
                "bundle" => (json!(before.bundle), json!(after.bundle)),
                _ => (json!(old), json!(new)),
            };
            let who = match (what, after.bundle) {
                (_, Some(version)) => json!({"bundle": version}),
                ("policy", None) => owner(&policy.path),
                _ => {
                    let name = what.replace('_', " ");
                    let of_it = |one: &&DocumentStatus| one.name.as_ref() == Some(&name);
                    others.iter().find(of_it).map_or(Value::Null, |one| owner(&one.path))
                }
            };
            self.audit.change(&Change { what, name: String::new(), before: old, after: new, who });
        }
        let (old, new) = (attestor_keys(before), attestor_keys(&after));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| old.get(*name) != new.get(*name)) {
            let document = attestors.iter().find(|one| one.name.as_ref() == Some(name));
            let who = match after.bundle {
                Some(version) => json!({"bundle": version}),
                None => document.map_or(Value::Null, |one| owner(&one.path)),
            };
            let (before, after) = (json!(old.get(name)), json!(new.get(name)));
            self.audit.change(&Change { what: "attestor", name: name.clone(), before, after, who });
        }
    }

    /// Tells that `peer` had something forgotten or accepted.
    pub(in crate::daemon) fn tell_done(&self, what: &'static str, name: String, peer: &Peer) {
        let who = json!({"uid": peer.uid, "pid": peer.pid});
        self.audit.change(&Change { what, name, before: Value::Null, after: Value::Null, who });
    }
}

/// The ids of each attestor's keys.
fn attestor_keys(in_force: &InForce) -> BTreeMap<String, Vec<String>> {
    let entries = in_force.key_ring.entries();
    let ids = entries.map(|(name, entry)| match entry {
        Entry::Defined(attestor) => {
            (name.to_string(), attestor.keys().iter().map(|key| key.id.to_string()).collect())
        }
        Entry::Ambiguous => (name.to_string(), vec!["ambiguous".to_owned()]),
    });
    ids.collect()
}

/// Whose the file is, and when it was written.
fn owner(path: &Path) -> Value {
    std::fs::metadata(path).map_or(Value::Null, |meta| {
        let time = meta.modified().map(|time| humantime::format_rfc3339_seconds(time).to_string());
        json!({"file": path, "uid": meta.uid(), "mtime": time.ok()})
    })
}
