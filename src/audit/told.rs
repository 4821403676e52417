//! What the trail was last told of what decides, kept apart from it: what has changed while the daemon was away is told
//! when it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::replace;

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What decides: for each kind of it, its names with their versions or terms. What there is one alone of has an empty name.
pub type Decides = BTreeMap<String, BTreeMap<String, Value>>;

/// One that is not what it was.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) what: String,
    pub(super) name: String,
    pub(super) before: Value,
    pub(super) after: Value,
}

/// What was told last.
#[derive(Debug)]
pub(super) struct Told {
    known: Decides,
}

/// Where it is kept in the state folder.
pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("audit-told.json")
}

impl Told {
    /// Reads what was kept. Where that cannot be read everything is told anew.
    pub(super) fn at(path: &Path) -> Self {
        let known = read(path).unwrap_or_else(|error| {
            tracing::warn!("audit: what decided before is not known: `{}`: {error}", path.display());
            Decides::new()
        });
        Self { known }
    }

    /// What of `now` the trail was not told yet.
    pub(super) fn differences(&self, now: &Decides) -> Vec<Difference> {
        let none = BTreeMap::new();
        let kinds: BTreeSet<_> = self.known.keys().chain(now.keys()).collect();
        let of_kind = |what: &String| {
            let (before, after) = (self.known.get(what).unwrap_or(&none), now.get(what).unwrap_or(&none));
            let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
            let value =
                |of: &BTreeMap<String, Value>, name: &String| of.get(name).cloned().unwrap_or_default();
            let differences = differing.map(|name| Difference {
                what: what.clone(),
                name: name.clone(),
                before: value(before, name),
                after: value(after, name),
            });
            differences.collect::<Vec<_>>()
        };
        kinds.into_iter().flat_map(of_kind).collect()
    }

    /// It is being told.
    pub(super) fn tell(&mut self, now: Decides) {
        self.known = now;
    }
}

/// Keeps what the trail has been told, once it is in the file: a daemon that ends before tells it again.
pub(super) fn keep(path: &Path, known: &Decides) -> io::Result<()> {
    replace(path, &serde_json::to_vec(known).map_err(io::Error::other)?)
}

fn read(path: &Path) -> io::Result<Decides> {
    match fs::File::open(path) {
        Ok(file) => Ok(serde_json::from_slice(&crate::bounded::bytes(file, MAX_BYTES)?)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Decides::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use serde_json::json;

    use super::*;

    fn decides(policy: &str, attestors: &[(&str, &str)]) -> Decides {
        let attestors = attestors.iter().map(|(name, key)| ((*name).to_owned(), json!([key]))).collect();
        let policy = BTreeMap::from([(String::new(), json!(policy))]);
        Decides::from([("policy".to_owned(), policy), ("attestor".to_owned(), attestors)])
    }

    #[test]
    fn what_changed_while_nobody_looked_is_told_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path());
        let mut told = Told::at(&path);
        let first = decides("1", &[("a", "k"), ("b", "k")]);
        assert_eq!(told.differences(&first).len(), 3, "a first start");
        told.tell(first.clone());
        assert_eq!(told.differences(&first), []);
        assert_eq!(Told::at(&path).differences(&first).len(), 3, "not in the file yet");
        keep(&path, &first).unwrap();
        let told = Told::at(&path);
        assert_eq!(told.differences(&first), []);
        let difference = |what: &str, name: &str, before: Value, after: Value| Difference {
            what: what.to_owned(),
            name: name.to_owned(),
            before,
            after,
        };
        assert_eq!(
            told.differences(&decides("2", &[("b", "l"), ("c", "k")])),
            [
                difference("attestor", "a", json!(["k"]), Value::Null),
                difference("attestor", "b", json!(["k"]), json!(["l"])),
                difference("attestor", "c", Value::Null, json!(["k"])),
                difference("policy", "", json!("1"), json!("2")),
            ]
        );
        fs::write(&path, "[]").unwrap();
        assert_eq!(Told::at(&path).differences(&first).len(), 3, "not readable");
    }
}
