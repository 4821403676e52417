//! Changes of single values in a TOML document, comments and order kept, and the way back.

use serde::{Deserialize, Serialize};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

/// Where a value is: its keys, from the top.
pub(super) type Place = Vec<String>;

/// Why a value cannot be set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EditError {
    /// A key on the way has a value.
    #[error("`{0}` is not a table")]
    NotATable(String),
    /// The key has a table.
    #[error("`{0}` is a table, not a value")]
    NotAValue(String),
}

/// What was changed in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    values: Vec<Edit>,
    /// Tables that were not there, outermost first.
    tables: Vec<Place>,
}

/// A value that was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    place: Place,
    /// As TOML; none where there was none.
    before: Option<String>,
    after: String,
}

impl Edits {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Gives `place` a value. One that is there already is left as it is written.
    ///
    /// # Errors
    /// [`EditError`]; nothing has been changed then.
    pub fn set(
        &mut self,
        document: &mut DocumentMut,
        place: &[String],
        mut value: Value,
    ) -> Result<(), EditError> {
        let Some((key, tables)) = place.split_last() else { return Ok(()) };
        check(document, place)?;
        let mut at: &mut dyn TableLike = document.as_table_mut();
        for (depth, name) in tables.iter().enumerate() {
            if !at.contains_key(name) {
                let mut table = Table::new();
                // Those that hold tables alone need no line of their own.
                table.set_implicit(depth + 1 < tables.len());
                at.insert(name, Item::Table(table));
                self.tables.push(place.iter().take(depth + 1).cloned().collect());
            }
            let next = at.get_mut(name).and_then(Item::as_table_like_mut);
            at = next.ok_or_else(|| EditError::NotATable(shown(place)))?;
        }
        let after = text(&value);
        let before = at.get(key).and_then(Item::as_value);
        if before.is_some_and(|before| same(before, &value)) {
            return Ok(());
        }
        let edit = Edit { place: place.to_vec(), before: before.map(text), after };
        if let Some(before) = before {
            *value.decor_mut() = before.decor().clone();
        }
        match at.get_mut(key) {
            Some(item) => *item = Item::Value(value),
            None => {
                let indent = indent(at);
                at.insert(key, Item::Value(value));
                if let Some(mut key) = at.key_mut(key) {
                    key.leaf_decor_mut().set_prefix(indent);
                }
            }
        }
        self.values.push(edit);
        Ok(())
    }

    /// Takes everything back that is still as it was set; the places of what has changed since, and is left. Of a list that has
    /// changed since, what was added to it is taken out. A handler's table that was made here, and in which something has changed
    /// since, is left whole but for its base runtime spec: half of one is none, and replaces the default one all the same.
    pub fn undo(&self, document: &mut DocumentMut) -> Vec<String> {
        let whole: Vec<_> = self
            .tables
            .iter()
            .filter(|table| is_handler(table) && self.has_changed(document, table))
            .collect();
        let mut left: Vec<_> = whole.iter().map(|table| shown(table)).collect();
        for edit in self.values.iter().rev() {
            let Some((key, tables)) = edit.place.split_last() else { continue };
            if key != SPEC && whole.iter().any(|table| edit.place.starts_with(table)) {
                continue;
            }
            let Some(table) = table(document, tables) else { continue };
            let Some(item) = table.get_mut(key) else { continue };
            if item.as_value().is_none_or(|found| text(found) != edit.after) {
                if let (Some(added), Some(list)) = (edit.added(), item.as_array_mut()) {
                    take_out(list, |text| added.iter().any(|added| added == text));
                    if list.is_empty() && edit.before.is_none() {
                        table.remove(key);
                    }
                    continue;
                }
                let is_undone = edit.before.is_some() && item.as_value().map(text) == edit.before;
                if !is_undone {
                    left.push(shown(&edit.place));
                }
                continue;
            }
            match edit.before.as_ref().and_then(|before| before.parse::<Value>().ok()) {
                Some(mut before) => {
                    if let Some(found) = item.as_value() {
                        *before.decor_mut() = found.decor().clone();
                    }
                    *item = Item::Value(before);
                }
                None => {
                    table.remove(key);
                }
            }
        }
        for place in self.tables.iter().rev() {
            let Some((key, tables)) = place.split_last() else { continue };
            let Some(table) = table(document, tables) else { continue };
            if table.get(key).and_then(Item::as_table_like).is_some_and(TableLike::is_empty) {
                table.remove(key);
            }
        }
        left
    }
}

impl Edits {
    /// Whether something in a table that was made here is not as it was set.
    fn has_changed(&self, document: &DocumentMut, made: &Place) -> bool {
        let edits: Vec<_> = self.values.iter().filter(|edit| edit.place.starts_with(made)).collect();
        let is_set =
            |edit: &&Edit| value(document, &edit.place).is_some_and(|found| text(found) == edit.after);
        let found = item(document, made).map_or(0, values);
        found > 0 && !(edits.iter().all(is_set) && found == edits.len())
    }
}

/// Whether a place is that of a runtime handler, in whichever form of the file.
fn is_handler(place: &[String]) -> bool {
    matches!(place, [.., containerd, runtimes, _] if containerd == "containerd" && runtimes == "runtimes")
}

/// The key of a handler's base runtime spec.
const SPEC: &str = "base_runtime_spec";

/// How many values a table has, and those in it.
fn values(item: &Item) -> usize {
    item.as_table_like().map_or(1, |table| table.iter().map(|(_, item)| values(item)).sum())
}

fn item<'a>(document: &'a DocumentMut, place: &[String]) -> Option<&'a Item> {
    let (first, rest) = place.split_first()?;
    rest.iter().try_fold(document.get(first)?, |at, key| at.as_table_like()?.get(key))
}

impl Edit {
    /// What a list got; none where it is no list of texts.
    fn added(&self) -> Option<Vec<String>> {
        let texts = |toml: &str| -> Option<Vec<String>> {
            let value = toml.parse::<Value>().ok()?;
            value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
        };
        let before = self.before.as_ref().map_or_else(|| Some(Vec::new()), |before| texts(before))?;
        let mut added = texts(&self.after)?;
        added.retain(|text| !before.contains(text));
        Some(added)
    }
}

/// Takes texts out of a list, comments of the others kept.
pub(super) fn take_out(list: &mut Array, is_taken: impl Fn(&str) -> bool) {
    list.retain(|one| !one.as_str().is_some_and(&is_taken));
}

/// The value at a place.
pub(super) fn value<'a>(document: &'a DocumentMut, place: &[String]) -> Option<&'a Value> {
    let (key, tables) = place.split_last()?;
    let mut at: &dyn TableLike = document.as_table();
    for name in tables {
        at = at.get(name)?.as_table_like()?;
    }
    at.get(key)?.as_value()
}

/// Whether there is a table at a place.
pub(super) fn has_table(document: &DocumentMut, place: &[String]) -> bool {
    let mut at: &dyn TableLike = document.as_table();
    place.iter().all(|name| match at.get(name).and_then(Item::as_table_like) {
        Some(next) => {
            at = next;
            true
        }
        None => false,
    })
}

/// A place as TOML writes it.
pub(super) fn shown(place: &[String]) -> String {
    let keys: Vec<_> = place.iter().map(|key| toml_edit::Key::new(key).to_string()).collect();
    keys.join(".")
}

fn check(document: &DocumentMut, place: &[String]) -> Result<(), EditError> {
    let mut at: &dyn TableLike = document.as_table();
    for (depth, name) in place.iter().enumerate() {
        let until = || shown(place.get(..=depth).unwrap_or(place));
        match at.get(name) {
            None => return Ok(()),
            Some(item) if depth + 1 == place.len() => {
                return if item.is_value() && !item.is_inline_table() {
                    Ok(())
                } else {
                    Err(EditError::NotAValue(until()))
                };
            }
            Some(item) => at = item.as_table_like().ok_or_else(|| EditError::NotATable(until()))?,
        }
    }
    Ok(())
}

/// The table at a place.
pub(super) fn table<'a>(document: &'a mut DocumentMut, place: &[String]) -> Option<&'a mut dyn TableLike> {
    let mut at: &mut dyn TableLike = document.as_table_mut();
    for name in place {
        at = at.get_mut(name)?.as_table_like_mut()?;
    }
    Some(at)
}

/// The blanks before the other keys of a table.
fn indent(table: &dyn TableLike) -> String {
    let key = table.iter().find(|(_, item)| item.is_value()).and_then(|(name, _)| table.key(name));
    let prefix = key.and_then(|key| key.leaf_decor().prefix()?.as_str()).unwrap_or_default();
    let line = prefix.rsplit('\n').next().unwrap_or_default();
    if line.trim().is_empty() { line.to_owned() } else { String::new() }
}

fn text(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// Whether two values say the same, however they are written.
fn same(one: &Value, other: &Value) -> bool {
    let read = |value: &Value| format!("value = {}", text(value)).parse::<toml::Table>().ok();
    read(one) == read(other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    const FILE: &str = r#"# The node's.
version = 2   # two
imports = [
  "/a/*.toml", # others
]

# of CRI
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = 'pause:3' # for now
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]
    runc = { runtime_type = "io.containerd.runc.v2" }
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata] # strong
      runtime_type = "io.containerd.kata.v2"

[debug]
  level = "info"
"#;

    fn place(text: &str) -> Place {
        text.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn values_are_set_and_taken_back() {
        let mut document: DocumentMut = FILE.parse().unwrap();
        let mut edits = Edits::default();
        let runtimes = "plugins/io.containerd.grpc.v1.cri/containerd/runtimes";
        for (at, value) in [
            ("plugins/io.containerd.grpc.v1.cri/sandbox_image", Value::from("pause@sha256:1")),
            (&format!("{runtimes}/kata/base_runtime_spec"), "/spec".into()),
            (&format!("{runtimes}/runc/base_runtime_spec"), "/spec".into()),
            ("plugins/io.containerd.nri.v1.nri/disable", false.into()),
            ("plugins/io.containerd.nri.v1.nri/validator/enable", true.into()),
            ("required_plugins", Value::Array(["a", "b"].into_iter().collect())),
            ("debug/level", "info".into()),
        ] {
            edits.set(&mut document, &place(at), value).unwrap();
        }
        let changed = document.to_string();
        assert_eq!(
            changed,
            r#"# The node's.
version = 2   # two
imports = [
  "/a/*.toml", # others
]
required_plugins = ["a", "b"]

# of CRI
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause@sha256:1" # for now
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]
    runc = { runtime_type = "io.containerd.runc.v2" , base_runtime_spec = "/spec" }
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata] # strong
      runtime_type = "io.containerd.kata.v2"
      base_runtime_spec = "/spec"

[plugins."io.containerd.nri.v1.nri"]
disable = false

[plugins."io.containerd.nri.v1.nri".validator]
enable = true

[debug]
  level = "info"
"#
        );
        // Somebody has changed one of them meanwhile.
        let mut later: DocumentMut = changed.replace("disable = false", "disable = true").parse().unwrap();
        assert_eq!(edits.undo(&mut later), [r#"plugins."io.containerd.nri.v1.nri".disable"#]);
        assert!(later.to_string().contains("disable = true") && !later.to_string().contains("validator"));

        assert_eq!(edits.undo(&mut document), Vec::<String>::new());
        // One value is quoted otherwise than it was.
        assert_eq!(document.to_string().replace(" , }", " }"), FILE);
        assert_eq!(edits.undo(&mut document), Vec::<String>::new(), "again");
    }

    #[test]
    fn what_is_something_else_is_left() {
        let mut document: DocumentMut = FILE.parse().unwrap();
        let mut edits = Edits::default();
        let mut set = |at: &str| edits.set(&mut document, &place(at), true.into()).unwrap_err();
        assert_eq!(set("version/x"), EditError::NotATable("version".to_owned()));
        assert_eq!(set("debug"), EditError::NotAValue("debug".to_owned()));
        assert_eq!(set("debug/level/x/y"), EditError::NotATable("debug.level".to_owned()));
        assert!(edits.is_empty() && document.to_string() == FILE);
    }
}
