//! The way back.

use std::fs;
use std::path::Path;

use super::record::{Record, RootFile};
use super::sources::{Source, SourceError};
use super::{Change, HEADER, Kind, Mode, Places, drop_in, edit};
use crate::image::Digest;

/// What is as it was before.
#[derive(Debug, Clone, Default)]
pub struct Undone {
    /// The root file's text; none where there was no file, and none is left.
    pub root: Option<String>,
    /// The files of the configuration that change.
    pub configuration: Vec<Change>,
    /// The programs and base runtime specs that nothing names any more then. A containerd that started before goes on
    /// using those of `kept`.
    pub programs: Vec<Change>,
    /// The same that a running containerd has read.
    pub kept: Vec<Change>,
    /// What is left as it is, and why.
    pub notes: Vec<String>,
}

/// What becomes of what `record` tells. Where there is no record, of what can be recognized: our drop-in, verifiers of our
/// name in `bin_dir`, base runtime specs that the root file names in our folder.
///
/// # Errors
/// [`SourceError`] where the root file cannot be read.
pub fn undone(
    record: Option<&Record>,
    root: &Path,
    bin_dir: Option<&Path>,
    places: &Places,
) -> Result<Undone, SourceError> {
    let path = record.map_or(root, |record| &record.root.path);
    let mut undone = Undone::default();
    let source = Source::read(path)?;
    undone.root = source.as_ref().map(|source| source.text.clone());
    if let Some(mut source) = source {
        let written = source.document.to_string();
        let after = match record.map(|record| &record.root) {
            Some(file) => undone.by_record(&mut source, file),
            None => Some(by_sight(&mut source, places)),
        };
        // What is not changed stays to the byte, also where it would be written otherwise.
        let after = if after.as_ref() == Some(&written) { Some(source.text.clone()) } else { after };
        if after.as_ref() != Some(&source.text) {
            let bytes = after.clone().map(String::into_bytes);
            undone.configuration.push(Change {
                path: path.to_owned(),
                after: bytes,
                kind: Kind::Configuration,
            });
        }
        undone.root = after;
    }
    let file = record.map_or_else(|| Some(drop_in(path)), |record| record.drop_in.clone());
    if let Some(file) = file.filter(|file| file.exists()) {
        if is_ours(&file) {
            undone.configuration.push(gone(&file, Kind::Configuration));
        } else {
            undone.notes.push(format!("`{}` was not written by binauthctl, and is left", file.display()));
        }
    }
    let names = [Mode::Observe, Mode::Enforce].map(Mode::verifier);
    let verifiers = bin_dir.into_iter().flat_map(|dir| names.map(|name| dir.join(name)));
    let recorded = record.and_then(|record| record.verifier.clone());
    let mut verifiers: Vec<_> = verifiers.chain(recorded).filter(|path| path.exists()).collect();
    verifiers.sort();
    verifiers.dedup();
    undone.programs = verifiers.iter().map(|path| gone(path, Kind::Program)).collect();
    let ours = |name: &str| {
        name == super::super::CreateHook::PROGRAM
            || (name.starts_with("base-spec-") && name.ends_with(".json"))
    };
    let copies = fs::read_dir(&places.folder).into_iter().flatten().flatten();
    let copies = copies.filter(|entry| entry.file_name().to_str().is_some_and(ours));
    undone.kept = copies.map(|entry| gone(&entry.path(), Kind::Ours)).collect();
    undone.kept.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(undone)
}

impl Undone {
    fn by_record(&mut self, source: &mut Source, file: &RootFile) -> Option<String> {
        let written = file
            .written
            .as_ref()
            .is_some_and(|written| *written == Digest::of(source.text.as_bytes()).to_string());
        if written {
            match &file.copy {
                // We made it, and nobody has touched it.
                None => return None,
                Some(copy) => {
                    if let Ok(text) = fs::read_to_string(copy) {
                        return Some(text);
                    }
                }
            }
        }
        for place in file.edits.undo(&mut source.document) {
            self.notes.push(format!(
                "`{place}` of `{}` has been changed since, and is left as it is",
                source.path.display()
            ));
        }
        Some(source.document.to_string())
    }
}

/// Without base runtime specs of our folder, and without the import of our drop-in.
fn by_sight(source: &mut Source, places: &Places) -> String {
    let folder = format!("{}/", places.folder.display());
    for form in [super::view::Form::Two, super::view::Form::Three] {
        let handlers = form.handlers();
        let Some(table) = edit::table(&mut source.document, &handlers) else { continue };
        let names: Vec<_> = table.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let handler = table.get_mut(&name).and_then(toml_edit::Item::as_table_like_mut);
            let Some(handler) = handler else { continue };
            let spec = handler.get("base_runtime_spec").and_then(toml_edit::Item::as_str);
            if spec.is_some_and(|spec| spec.starts_with(&folder)) {
                handler.remove("base_runtime_spec");
            }
        }
    }
    let ours = drop_in(&source.path).display().to_string();
    if let Some(imports) = source.document.get_mut("imports").and_then(toml_edit::Item::as_array_mut) {
        imports.retain(|import| import.as_str() != Some(&ours));
    }
    source.document.to_string()
}

/// Whether a drop-in is one that was written here.
pub(super) fn is_ours(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(HEADER.as_bytes()))
}

fn gone(path: &Path, kind: Kind) -> Change {
    Change { path: path.to_owned(), after: None, kind }
}
