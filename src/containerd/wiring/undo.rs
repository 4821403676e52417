//! The way back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::record::{Record, RootFile};
use super::sources::{Source, SourceError, names, readable};
use super::view::Form;
use super::{Change, HEADER, Kind, Mode, Places, drop_in, edit};
use crate::image::Digest;

/// What is as it was before.
#[derive(Debug, Clone, Default)]
pub struct Undone {
    /// The root file's text; none where there was no file, and none is left.
    pub root: Option<String>,
    /// The texts of imported files of others that change.
    pub(super) imported: BTreeMap<PathBuf, String>,
    /// The files of the configuration that change, those included.
    pub configuration: Vec<Change>,
    /// The programs and base runtime specs that nothing names any more then. A containerd that started before goes on
    /// using those of `kept`.
    pub programs: Vec<Change>,
    /// The same that a running containerd has read.
    pub kept: Vec<Change>,
    /// What is left as it is, and why.
    pub notes: Vec<String>,
}

/// What becomes of what `record` tells, and of what can be recognized, in `root` and all that it imports: the import of our
/// drop-in, base runtime specs in our folder, which other programs copy from one handler to the next, and verifiers of our name
/// in `bin_dir`.
///
/// # Errors
/// [`SourceError`] where a root file cannot be read.
pub fn undone(
    record: Option<&Record>,
    root: &Path,
    bin_dir: Option<&Path>,
    places: &Places,
) -> Result<Undone, SourceError> {
    let path = record.map_or(root, |record| &record.root.path);
    let mut undone = Undone::default();
    let ours = Ours { record, places, drop_in: &drop_in(path) };
    undone.root_file(path, &ours)?;
    let mut others = Vec::new();
    for (number, root) in [path, root].into_iter().enumerate() {
        let Some(source) = Source::read(root)? else { continue };
        others.extend(readable(&source));
        // Where containerd reads another file than the one that was wired.
        others.extend((number > 0).then_some(source));
    }
    others.retain(|source| source.path != *path && !is_ours(&source.path));
    for source in others {
        let (path, before) = (source.path.clone(), source.text.clone());
        let after = ours.taken_from(source);
        if after != before {
            undone.imported.insert(path, after);
        }
    }
    let changed = |path: &Path, text: &String| Change {
        path: path.to_owned(),
        after: Some(text.clone().into_bytes()),
        kind: Kind::Configuration,
    };
    undone.configuration.extend(undone.imported.iter().map(|(path, text)| changed(path, text)));
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
    let is_copy = |name: &str| {
        name == super::super::CreateHook::PROGRAM
            || (name.starts_with("base-spec-") && name.ends_with(".json"))
    };
    let copies = fs::read_dir(&places.folder).into_iter().flatten().flatten();
    let copies = copies.filter(|entry| entry.file_name().to_str().is_some_and(is_copy));
    undone.kept = copies.map(|entry| gone(&entry.path(), Kind::Ours)).collect();
    undone.kept.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(undone)
}

impl Undone {
    fn root_file(&mut self, path: &Path, ours: &Ours<'_>) -> Result<(), SourceError> {
        let Some(source) = Source::read(path)? else { return Ok(()) };
        let before = source.text.clone();
        let text = match ours.record.map(|record| &record.root) {
            Some(file) => self.by_record(source, file),
            None => Some(source.text),
        };
        // Whatever the record says: others may have added to the file since.
        self.root =
            text.map(|text| Source::of(path, text)).transpose()?.map(|source| ours.taken_from(source));
        if self.root.as_ref() != Some(&before) {
            self.configuration.push(Change {
                path: path.to_owned(),
                after: self.root.clone().map(String::into_bytes),
                kind: Kind::Configuration,
            });
        }
        Ok(())
    }

    fn by_record(&mut self, mut source: Source, file: &RootFile) -> Option<String> {
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
        Some(source.as_edited())
    }
}

/// What is recognized as ours.
struct Ours<'a> {
    record: Option<&'a Record>,
    places: &'a Places,
    drop_in: &'a Path,
}

impl Ours<'_> {
    /// A file without it. A handler gets back what the spec of ours was made from.
    fn taken_from(&self, mut source: Source) -> String {
        for form in [Form::Two, Form::Three] {
            let Some(table) = edit::table(&mut source.document, &form.handlers()) else { continue };
            let names: Vec<_> = table.iter().map(|(name, _)| name.to_owned()).collect();
            for name in names {
                let handler = table.get_mut(&name).and_then(toml_edit::Item::as_table_like_mut);
                let Some(handler) = handler else { continue };
                let spec = handler.get("base_runtime_spec").and_then(toml_edit::Item::as_str);
                let Some(spec) = spec.map(Path::new).filter(|spec| self.places.holds(spec)) else { continue };
                let of_it = self.record.and_then(|record| record.specs.iter().find(|one| one.path == spec));
                match of_it.and_then(|one| one.from.as_ref()) {
                    Some(from) => {
                        handler.insert("base_runtime_spec", toml_edit::value(from.display().to_string()));
                    }
                    None => {
                        handler.remove("base_runtime_spec");
                    }
                }
            }
        }
        let path = source.path.clone();
        if let Some(imports) = source.document.get_mut("imports").and_then(toml_edit::Item::as_array_mut) {
            edit::take_out(imports, |import| names(import, &path, self.drop_in));
        }
        source.as_edited()
    }
}

/// Whether a drop-in is one that was written here.
pub(super) fn is_ours(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(HEADER.as_bytes()))
}

fn gone(path: &Path, kind: Kind) -> Change {
    Change { path: path.to_owned(), after: None, kind }
}
