//! What a configuration comes to (`containerd config dump`), and where in it things are.
//!
//! The dump is of the newest form that a containerd knows, whatever the file's is: 2 of 1.x, 3 since 2.0, 4 since 2.3.
//! The tables that matter here are at the same places in 3 and 4, and CRI's are elsewhere in 2.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::{Table, Value};

use super::edit::Place;

const CRI: &str = "io.containerd.grpc.v1.cri";
const CRI_IMAGES: &str = "io.containerd.cri.v1.images";
const CRI_RUNTIME: &str = "io.containerd.cri.v1.runtime";
pub(super) const NRI_PLUGIN: &str = "io.containerd.nri.v1.nri";
const TRANSFER: &str = "io.containerd.transfer.v1.local";
/// The plugin that runs image verifiers.
pub const VERIFIER_PLUGIN: &str = "io.containerd.image-verifier.v1.bindir";

/// The form of a file or of a dump, as far as places differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One table of CRI.
    Two,
    /// One of its images, one of its runtime.
    Three,
}

/// What a configuration comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    table: Table,
}

/// One value that differs between two.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    pub(super) place: Place,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

impl Form {
    pub(super) const fn of(version: i64) -> Self {
        if version < 3 { Self::Two } else { Self::Three }
    }

    /// A setting of CRI's images; none where this form has no place for it.
    pub(super) fn image_setting(self, name: &str) -> Option<Place> {
        match (self, name) {
            (Self::Three, name) => Some(plugin(CRI_IMAGES, &[name])),
            (Self::Two, "use_local_image_pull") => None,
            (Self::Two, "disable_snapshot_annotations" | "discard_unpacked_layers") => {
                Some(plugin(CRI, &["containerd", name]))
            }
            (Self::Two, name) => Some(plugin(CRI, &[name])),
        }
    }

    /// A setting of CRI's registries.
    pub(super) fn registry(self, name: &str) -> Place {
        plugin(if self == Self::Two { CRI } else { CRI_IMAGES }, &["registry", name])
    }

    /// The pause image.
    pub(super) fn pause(self) -> Place {
        match self {
            Self::Two => plugin(CRI, &["sandbox_image"]),
            Self::Three => plugin(CRI_IMAGES, &["pinned_images", "sandbox"]),
        }
    }

    /// The runtime handlers.
    pub(super) fn handlers(self) -> Place {
        plugin(if self == Self::Two { CRI } else { CRI_RUNTIME }, &["containerd", "runtimes"])
    }
}

impl View {
    /// Of a dump.
    #[must_use]
    pub const fn of(table: Table) -> Self {
        Self { table }
    }

    /// The folder of verifiers; none where this containerd has none.
    #[must_use]
    pub fn bin_dir(&self) -> Option<PathBuf> {
        Some(PathBuf::from(self.text(&verifier(&["bin_dir"])))).filter(|path| path.is_absolute())
    }

    /// Whether the transfer service, which asks verifiers, unpacks images for a snapshotter. Unless told otherwise it does for
    /// containerd's default one.
    pub(super) fn unpacks(&self, snapshotter: &str) -> bool {
        let all = self.at(&plugin(TRANSFER, &["unpack_config"])).and_then(Value::as_array);
        match all.filter(|all| !all.is_empty()) {
            None => matches!(snapshotter, "" | "overlayfs"),
            Some(all) => all.iter().any(|one| {
                one.get("snapshotter").and_then(Value::as_str).is_some_and(|found| found == snapshotter)
            }),
        }
    }

    /// The version of the dump's form.
    pub(super) fn version(&self) -> i64 {
        self.table.get("version").and_then(Value::as_integer).unwrap_or_default()
    }

    pub(super) fn at(&self, place: &[String]) -> Option<&Value> {
        let (first, rest) = place.split_first()?;
        rest.iter().try_fold(self.table.get(first)?, |at, key| at.as_table()?.get(key))
    }

    pub(super) fn text(&self, place: &[String]) -> &str {
        self.at(place).and_then(Value::as_str).unwrap_or_default()
    }

    /// A list of texts.
    pub(super) fn texts(&self, place: &[String]) -> Vec<String> {
        let list = self.at(place).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The keys of a table.
    pub(super) fn keys(&self, place: &[String]) -> Vec<String> {
        self.at(place)
            .and_then(Value::as_table)
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Where it is not what `other` is, without what only says where it comes from.
    pub(super) fn differences(&self, other: &Self) -> Vec<Difference> {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        flatten(&mut Vec::new(), &self.table, &mut before);
        flatten(&mut Vec::new(), &other.table, &mut after);
        let mut places: Vec<_> = before.keys().chain(after.keys()).collect();
        places.sort();
        places.dedup();
        let differences = places.into_iter().filter(|place| before.get(*place) != after.get(*place));
        differences
            .filter(|place| !matches!(place.first().map(String::as_str), Some("imports" | "version")))
            .map(|place| Difference {
                place: place.clone(),
                before: before.get(place).cloned(),
                after: after.get(place).cloned(),
            })
            .collect()
    }
}

/// NRI's table.
pub(super) fn nri(keys: &[&str]) -> Place {
    plugin(NRI_PLUGIN, keys)
}

/// The image verifier's table.
pub(super) fn verifier(keys: &[&str]) -> Place {
    plugin(VERIFIER_PLUGIN, keys)
}

/// The plugins without which a wired containerd had better not start.
pub(super) fn required(release: crate::containerd::Release) -> Vec<&'static str> {
    [(VERIFIER_PLUGIN, (2, 0)), (NRI_PLUGIN, (1, 7))]
        .into_iter()
        .filter(|(_, (major, minor))| release.is_at_least(*major, *minor))
        .map(|(plugin, _)| plugin)
        .collect()
}

fn plugin(name: &str, keys: &[&str]) -> Place {
    ["plugins", name].iter().chain(keys).map(|key| (*key).to_owned()).collect()
}

fn flatten(at: &mut Place, table: &Table, found: &mut BTreeMap<Place, Value>) {
    for (key, value) in table {
        at.push(key.clone());
        match value {
            Value::Table(table) => flatten(at, table, found),
            value => {
                found.insert(at.clone(), value.clone());
            }
        }
        at.pop();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn differences_are_single_values() {
        let view = |text: &str| View::of(text.parse().unwrap());
        let one = view("version = 2\nimports = ['a']\nx = 1\n[t]\na = [1]\nb = 'b'\n[t.u]\n");
        let other = view("version = 3\nx = 1\n[t]\na = [1, 2]\nc = 'c'\n");
        let differences = one.differences(&other);
        let places: Vec<_> = differences.iter().map(|difference| difference.place.join(".")).collect();
        assert_eq!(places, ["t.a", "t.b", "t.c"]);
        assert!(differences[1].after.is_none() && differences[2].before.is_none());
        assert!(one.differences(&one).is_empty());
        assert_eq!(one.text(&["t".to_owned(), "b".to_owned()]), "b");
        assert_eq!((one.version(), other.version()), (2, 3));
        assert!(one.unpacks("overlayfs") && !one.unpacks("zfs"));
        let zfs = "[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\nsnapshotter = 'zfs'";
        assert!(view(zfs).unpacks("zfs") && !view(zfs).unpacks("overlayfs"));
    }
}
