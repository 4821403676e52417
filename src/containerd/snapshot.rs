//! From a container's id to what its root filesystem is made from.

use std::collections::HashMap;

use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{Info, Kind, StatSnapshotRequest};
use serde::Serialize;
use tokio::task::JoinSet;

use super::client::{Containerd, ReadError};
use super::waiting::Waiting;
use crate::image::Digest;
use crate::text::shown;

const UID_MAP: &str = "containerd.io/snapshot/uidmapping";
const GID_MAP: &str = "containerd.io/snapshot/gidmapping";

/// The most mappings of a user namespace that are read (the kernel's own limit, `user_namespaces(7)`).
const MAX_MAPPINGS: usize = 340;

/// The snapshot that a container's root filesystem is mounted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Who keeps it.
    pub snapshotter: String,
    /// What it was made from.
    pub parents: Parents,
}

/// What a container's snapshot was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// Nothing: an image without layers.
    Scratch,
    /// The layers of this chain ID.
    Chain(Digest),
    /// A copy, made for a user namespace, of these layers (or of none) with other owners: what snapshotters
    /// do that cannot map ids. That its name is the one which containerd gives the copy of these layers for
    /// this container's mapping has been checked.
    Remapped(Option<Digest>),
}

impl Parents {
    /// The chain ID of the image's layers; none for an image without layers.
    #[must_use]
    pub fn chain(self) -> Option<Digest> {
        match self {
            Self::Scratch => None,
            Self::Chain(chain) => Some(chain),
            Self::Remapped(chain) => chain,
        }
    }
}

impl Containerd {
    /// The snapshot of container `key`: it is there from before the container's record, and what is mounted
    /// is this very one.
    ///
    /// `Snapshots.Stat` of every snapshotter at once; one more `Stat` for a user namespace, and
    /// `Introspection.Plugins` on a new connection or when nobody holds the key.
    ///
    /// # Errors
    /// [`ReadError::NotThere`] where no snapshotter holds the key, [`ReadError::Ambiguous`] where several do,
    /// [`ReadError::Unreadable`] where its parent is no chain ID; see [`ReadError`] for the rest. An error of
    /// any snapshotter is an error: it could be the one that holds the key too.
    pub async fn snapshot(&self, namespace: &str, key: &str) -> Result<Snapshot, ReadError> {
        self.in_time(async {
            let known = self.snapshotters(false).await?;
            match self.ask_all(namespace, key, &known).await {
                // Another snapshotter may have been loaded, or one unloaded, behind the same connection.
                Err(ReadError::NotThere(_) | ReadError::Refused(..)) => {
                    let now = self.snapshotters(true).await?;
                    self.ask_all(namespace, key, &now).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// The same where the snapshotter is known, from a container's record. One `Snapshots.Stat`, and one
    /// more for a user namespace.
    ///
    /// # Errors
    /// As [`Containerd::snapshot`].
    pub async fn snapshot_in(
        &self,
        namespace: &str,
        snapshotter: &str,
        key: &str,
    ) -> Result<Snapshot, ReadError> {
        self.in_time(async {
            let info = self.stat(namespace, snapshotter, key).await?;
            self.read_snapshot(namespace, snapshotter, key, info).await
        })
        .await
    }

    async fn ask_all(
        &self,
        namespace: &str,
        key: &str,
        snapshotters: &[String],
    ) -> Result<Snapshot, ReadError> {
        let mut asked = JoinSet::new();
        for snapshotter in snapshotters {
            let (containerd, snapshotter) = (self.clone(), snapshotter.clone());
            let (namespace, key) = (namespace.to_owned(), key.to_owned());
            asked.spawn(async move {
                let answer = containerd.stat(&namespace, &snapshotter, &key).await;
                (snapshotter, answer)
            });
        }
        let mut holders = Vec::new();
        let _waiting = Waiting::begin();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((snapshotter, Ok(info))) => holders.push((snapshotter, info)),
                Ok((_, Err(ReadError::NotThere(_)))) => {}
                Ok((_, Err(error))) => return Err(error),
                Err(error) => return Err(ReadError::Unreadable(format!("a look-up ended early: {error}"))),
            }
        }
        if holders.len() > 1 {
            let mut names: Vec<String> = holders.into_iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            return Err(ReadError::Ambiguous(names));
        }
        let Some((snapshotter, info)) = holders.pop() else { return Err(ReadError::NotThere(words(key))) };
        self.read_snapshot(namespace, &snapshotter, key, info).await
    }

    async fn stat(&self, namespace: &str, snapshotter: &str, key: &str) -> Result<Info, ReadError> {
        let namespaced = self.namespaced(namespace)?;
        let rpc = |channel| {
            let message = StatSnapshotRequest { snapshotter: snapshotter.to_owned(), key: key.to_owned() };
            let request = namespaced.request(message);
            async move { SnapshotsClient::new(channel).stat(request).await }
        };
        let what = words(key);
        let info = self.call(&what, rpc).await?.info;
        info.ok_or_else(|| ReadError::Unreadable(format!("{what} comes without anything about it")))
    }

    async fn read_snapshot(
        &self,
        namespace: &str,
        snapshotter: &str,
        key: &str,
        info: Info,
    ) -> Result<Snapshot, ReadError> {
        let snapshot = |parents| Ok(Snapshot { snapshotter: snapshotter.to_owned(), parents });
        let unreadable = |why: String| Err(ReadError::Unreadable(format!("{}: {why}", words(key))));
        if !matches!(info.kind(), Kind::Active | Kind::View) {
            return unreadable("is not a container's own".to_owned());
        }
        if info.parent.is_empty() {
            return snapshot(Parents::Scratch);
        }
        let chain = info.parent.parse::<Digest>();
        let is_mapped = info.labels.contains_key(UID_MAP) || info.labels.contains_key(GID_MAP);
        if let (Ok(chain), false) = (&chain, is_mapped) {
            return snapshot(Parents::Chain(*chain));
        }
        // A user namespace: the parent is the chain ID, or the copy of it for this mapping. Only its name
        // tells the copy from a chain, whose parent is the chain below it.
        let below = self.stat(namespace, snapshotter, &info.parent).await?.parent;
        let Some(layers) = chain_of(&below) else {
            return unreadable(format!("its parent's parent `{}` is no chain ID", shown(&below, 100)));
        };
        if is_plain_copy(&info.parent, &below) || names_of_copy(&below, &info.labels).contains(&info.parent) {
            return snapshot(Parents::Remapped(layers));
        }
        match chain {
            Ok(chain) => snapshot(Parents::Chain(chain)),
            Err(_) => unreadable(format!("its parent `{}` is no chain ID", shown(&info.parent, 100))),
        }
    }
}

fn words(key: &str) -> String {
    format!("snapshot `{}`", shown(key, 100))
}

/// `Some(None)` for no layers.
fn chain_of(parent: &str) -> Option<Option<Digest>> {
    if parent.is_empty() { Some(None) } else { parent.parse().ok().map(Some) }
}

#[derive(Clone, Serialize)]
struct Mapping {
    #[serde(rename = "containerID")]
    container: u32,
    #[serde(rename = "hostID")]
    host: u32,
    size: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Copied<'a> {
    parent: &'a str,
    #[serde(rename = "IDMap")]
    id_map: IdMap<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IdMap<'a> {
    uid_map: &'a [Mapping],
    gid_map: &'a [Mapping],
}

/// Whether `name` is what containerds up to 2.0 call the copy of `parent`: `PARENT-UID-GID`, which is never
/// a chain ID.
fn is_plain_copy(name: &str, parent: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ids = name.strip_prefix(parent).and_then(|rest| rest.strip_prefix('-'));
    ids.and_then(|ids| ids.split_once('-')).is_some_and(|(uid, gid)| is_number(uid) && is_number(gid))
}

/// Every name that a later containerd gives the copy of `parent` for the mapping in `labels`: the digest of
/// a JSON document, lately with a version in it (`client/snapshotter_opts_unix.go`).
fn names_of_copy(parent: &str, labels: &HashMap<String, String>) -> Vec<String> {
    let mappings = |label| labels.get(label).map_or(Some(Vec::new()), |text| mappings(text));
    let (Some(mut uids), Some(mut gids)) = (mappings(UID_MAP), mappings(GID_MAP)) else { return Vec::new() };
    let digests = |uids: &[Mapping], gids: &[Mapping]| {
        [None, Some(1)].map(|version| {
            let copied = Copied { parent, id_map: IdMap { uid_map: uids, gid_map: gids }, version };
            serde_json::to_vec(&copied).map(|bytes| Digest::of(&bytes).to_string()).unwrap_or_default()
        })
    };
    let mut names = digests(&uids, &gids).to_vec();
    uids.sort_by_key(|mapping| mapping.container);
    gids.sort_by_key(|mapping| mapping.container);
    names.extend(digests(&uids, &gids));
    names
}

/// `CONTAINER:HOST:SIZE,…`
fn mappings(text: &str) -> Option<Vec<Mapping>> {
    let mapping = |text: &str| {
        let mut numbers = text.splitn(3, ':').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Mapping { container: next()?, host: next()?, size: next()? })
    };
    text.split(',')
        .take(MAX_MAPPINGS + 1)
        .map(mapping)
        .collect::<Option<Vec<_>>>()
        .filter(|all| all.len() <= MAX_MAPPINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn labels(uids: &str, gids: &str) -> HashMap<String, String> {
        [(UID_MAP, uids), (GID_MAP, gids)].map(|(name, map)| (name.to_owned(), map.to_owned())).into()
    }

    #[test]
    fn names_of_copies() {
        let digest = |json: String| Digest::of(json.as_bytes()).to_string();
        let map = r#"[{"containerID":0,"hostID":1000,"size":65536}]"#;
        let one = names_of_copy(A, &labels("0:1000:65536", "0:1000:65536"));
        let json = format!(r#"{{"Parent":"{A}","IDMap":{{"UidMap":{map},"GidMap":{map}}}"#);
        assert!(one.contains(&digest(format!("{json}}}"))), "{json}");
        assert!(one.contains(&digest(format!(r#"{json},"Version":1}}"#))));
        let two = names_of_copy("", &labels("1:5:9,0:3:1", "0:7:10"));
        let (sorted, given) = (
            r#"[{"containerID":0,"hostID":3,"size":1},{"containerID":1,"hostID":5,"size":9}]"#,
            r#"[{"containerID":1,"hostID":5,"size":9},{"containerID":0,"hostID":3,"size":1}]"#,
        );
        for uids in [sorted, given] {
            let gids = r#"[{"containerID":0,"hostID":7,"size":10}]"#;
            let json = format!(r#"{{"Parent":"","IDMap":{{"UidMap":{uids},"GidMap":{gids}}}}}"#);
            assert!(two.contains(&digest(json)));
        }
    }

    #[test]
    fn plain_names_of_copies() {
        let rows = [
            (format!("{A}-1000-1001"), A, true),
            ("-0-0".to_owned(), "", true),
            (A.to_owned(), A, false),
            (format!("{A}-1000"), A, false),
            (format!("{A}-1000-"), A, false),
            (format!("{A}-a-1"), A, false),
            (format!("{A}-1-1-remap"), A, false),
            (A.to_owned(), "", false),
        ];
        for (name, parent, is_copy) in rows {
            assert_eq!(is_plain_copy(&name, parent), is_copy, "{name} of {parent}");
        }
    }

    #[test]
    fn mappings_that_are_none_name_no_copy() {
        for text in ["", "0", "0:1", "0:1:x", "0:1:2:3", "-1:1:1", "0:1:2,", "0:1:4294967296"] {
            assert_eq!(names_of_copy(A, &labels(text, "0:1:1")), [""; 0], "{text}");
        }
        let many = vec!["0:1:2"; MAX_MAPPINGS + 1].join(",");
        assert_eq!(names_of_copy(A, &labels(&many, "0:1:1")), [""; 0]);
    }
}
