//! Several files that change together: all of them, or none.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use serde::Serialize;
use similar::TextDiff;

use crate::cli::error::CliError;
use crate::cli::write::{self, Held};
use crate::containerd::wiring::{Change, Kind};

/// What was there before.
#[derive(Debug, Default)]
pub(super) struct Changes {
    before: Vec<(Change, Option<Held>)>,
    folders: Vec<PathBuf>,
}

/// A file, and how it changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    pub(super) file: PathBuf,
    /// A unified difference of what containerd reads; of ours, what becomes of it.
    pub(super) difference: String,
}

impl Changes {
    /// Changes one more. The folders on the way are made.
    pub(super) fn add(&mut self, change: &Change) -> Result<(), CliError> {
        let cannot = |cause| CliError::Read { what: "file", path: change.path.clone(), cause };
        let (before, held) = match File::open(&change.path) {
            Ok(mut file) => {
                let held = file.metadata().map_err(cannot)?;
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(cannot)?;
                (Some(bytes), Some(Held::of(&held)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
            Err(cause) => return Err(cannot(cause)),
        };
        let is_open = change.kind == Kind::Secret && held.is_some_and(|held| held.mode & 0o077 != 0);
        if before == change.after && !is_open {
            return Ok(());
        }
        for folder in missing(&change.path) {
            write::ensure_folder(&folder)?;
            self.folders.push(folder);
        }
        self.before.push((Change { after: before, ..change.clone() }, held));
        // One that was secret under another mode is not any more.
        put(change, held.filter(|_| change.kind != Kind::Secret))
    }

    /// Makes everything as it was; what could not be.
    pub(super) fn roll_back(self) -> Vec<String> {
        let undone = self.before.iter().rev().filter_map(|(change, held)| put(change, *held).err());
        let problems = undone.map(|error| crate::chain(&error)).collect();
        remove_folders(&self.folders);
        problems
    }

    /// The same, told together with why.
    pub(super) fn roll_back_for(self, cause: CliError) -> CliError {
        if self.before.is_empty() {
            remove_folders(&self.folders);
            return cause;
        }
        CliError::RolledBack { problems: self.roll_back(), cause: Box::new(cause) }
    }
}

/// While it is there, whoever wants this program to end waits: what is half done stays so otherwise. Programs that it runs are
/// not held so.
#[derive(Debug)]
pub(super) struct Undisturbed(Option<SigSet>);

impl Undisturbed {
    pub(super) fn begin() -> Self {
        let mut ends = SigSet::empty();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
            ends.add(signal);
        }
        Self(ends.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok())
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = before.thread_set_mask();
        }
    }
}

/// Removes those that are empty, the innermost first.
pub(super) fn remove_folders(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
}

/// The folders that a file needs and that are not there, outermost first.
pub(super) fn missing(path: &Path) -> Vec<PathBuf> {
    let folders = path.ancestors().skip(1).take_while(|folder| !folder.exists());
    let mut missing: Vec<_> = folders.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// What changes, for people. Files that stay as they are, are left out.
pub(super) fn show(changes: &[Change]) -> Vec<Shown> {
    let mut shown = Vec::new();
    for change in changes {
        let before = fs::read(&change.path).ok();
        if before == change.after {
            continue;
        }
        let difference = match (change.kind, &before, &change.after) {
            (Kind::Configuration, ..) => difference(change, before.as_deref()),
            (_, None, _) => "written".to_owned(),
            (_, _, None) => "removed".to_owned(),
            _ => "replaced".to_owned(),
        };
        shown.push(Shown { file: change.path.clone(), difference });
    }
    shown
}

fn difference(change: &Change, before: Option<&[u8]>) -> String {
    let text = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    let after = change.after.as_deref();
    let (old, new) = (text(before), text(after));
    let name = change.path.display().to_string();
    let named = |bytes: Option<&[u8]>| if bytes.is_some() { name.clone() } else { "/dev/null".to_owned() };
    TextDiff::from_lines(&old, &new).unified_diff().header(&named(before), &named(after)).to_string()
}

/// The differences as one text.
pub(super) fn text(shown: &[Shown]) -> String {
    let line = |one: &Shown| match one.difference.starts_with("--- ") {
        true => one.difference.clone(),
        false => format!("{}: {}\n", one.file.display(), one.difference),
    };
    shown.iter().map(line).collect()
}

/// Puts a file there, held as it was before; by its kind where it was not there.
fn put(change: &Change, before: Option<Held>) -> Result<(), CliError> {
    match (&change.after, before) {
        (Some(bytes), _) if change.kind == Kind::Program => write::program(&change.path, bytes),
        (Some(bytes), Some(held)) => write::replace_held(&change.path, bytes, held),
        (Some(bytes), None) if change.kind == Kind::Secret => {
            write::replace_held(&change.path, bytes, Held::SECRET)
        }
        (Some(bytes), None) => write::replace(&change.path, bytes),
        (None, _) if change.path.exists() => write::remove(&change.path),
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old"), "one\ntwo\n").unwrap();
        fs::write(at("going"), "gone").unwrap();
        let change = |name: &str, after: Option<&str>, kind| Change {
            path: at(name),
            after: after.map(|text| text.as_bytes().to_vec()),
            kind,
        };
        let all = [
            change("old", Some("one\n2\n"), Kind::Configuration),
            change("going", None, Kind::Ours),
            change("a/b/new", Some("#!"), Kind::Program),
        ];
        let shown = text(&show(&all));
        assert!(shown.contains("-two\n+2\n") && shown.contains("/a/b/new: written"), "{shown}");
        let mut changes = Changes::default();
        for change in &all {
            changes.add(change).unwrap();
        }
        assert_eq!(fs::read_to_string(at("old")).unwrap(), "one\n2\n");
        assert!(!at("going").exists() && at("a/b/new").exists() && show(&all).is_empty());
        // The folder of the next one is a file.
        let error = changes.add(&change("old/x", Some(""), Kind::Ours)).unwrap_err();
        let error = changes.roll_back_for(error);
        assert!(error.to_string().starts_with("everything is as it was before"), "{error}");
        assert_eq!(fs::read_to_string(at("old")).unwrap(), "one\ntwo\n");
        assert!(at("going").exists() && !at("a").exists());
    }
}
