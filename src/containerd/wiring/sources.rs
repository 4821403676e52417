//! The files of a containerd configuration: the root file and what it imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use toml_edit::{Array, DocumentMut, Value};

use super::edit;
use crate::bounded;

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// The most files that are read.
const MAX_FILES: usize = 256;
/// The versions of the file's form that are known: 2 of containerd 1.x, 3 since 2.0, 4 since 2.3.
const VERSIONS: std::ops::RangeInclusive<i64> = 2..=4;

/// Why a configuration is left alone.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// It is not TOML.
    #[error("`{}` is not TOML: line {line}: {cause}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// A link on the way to it.
    #[error(
        "`{}` is a link to `{}`: whoever made it manages that file. Wire it there, or name the file itself with \
         --containerd-config",
        path.display(), leads_to.display()
    )]
    Link {
        /// As it was named.
        path: PathBuf,
        /// Where it leads.
        leads_to: PathBuf,
    },
    /// No version, or one that is not known.
    #[error(
        "`{}` is of version {found}, and those known are {} to {}: `containerd config migrate` writes older ones anew",
        path.display(), VERSIONS.start(), VERSIONS.end()
    )]
    Version {
        /// The root file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// Something that only this version of containerd's form would say.
    #[error("`{}`: `{key}` is not {expected}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A file that is not there. `containerd config dump` passes over it.
    #[error("`{}` imports `{}`, which is not there: containerd does not start with it", importer.display(), path.display())]
    Missing {
        /// The file that names it.
        importer: PathBuf,
        /// The file that is named.
        path: PathBuf,
    },
    /// More than [`MAX_FILES`].
    #[error("`{}` imports more than the {MAX_FILES} files allowed", _0.display())]
    TooMany(PathBuf),
}

/// A file that is there.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) document: DocumentMut,
}

/// The files.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    /// The root file's place.
    pub(super) path: PathBuf,
    /// The root file, where there is one.
    pub(super) root: Option<Source>,
    /// What it imports, in containerd's order: a later one wins. Not `ours`.
    pub(super) imported: Vec<Source>,
    /// Whether what it imports takes `ours` in, once that is there.
    pub(super) takes_ours: bool,
    /// The patterns of the root file, `ours` last where they do not take it in.
    pub(super) patterns: Vec<String>,
    ours: PathBuf,
}

impl Source {
    /// Reads a file; none where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, SourceError> {
        match File::open(path).and_then(|file| bounded::text(file, MAX_BYTES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(SourceError::Read { path: path.to_owned(), cause }),
            Ok(text) => Self::of(path, text).map(Some),
        }
    }

    /// Reads a file that `importer` names.
    fn there(path: &Path, importer: &Path) -> Result<Option<Self>, SourceError> {
        let missing = || SourceError::Missing { importer: importer.to_owned(), path: path.to_owned() };
        Self::read(path)?.map(Some).ok_or_else(missing)
    }

    /// A file of this text.
    pub(super) fn of(path: &Path, text: String) -> Result<Self, SourceError> {
        let document = text.parse::<DocumentMut>().map_err(|error| {
            let until = error.span().map_or(0, |span| span.start);
            SourceError::Toml {
                path: path.to_owned(),
                line: text.bytes().take(until).filter(|&byte| byte == b'\n').count() + 1,
                cause: error.message().to_owned(),
            }
        })?;
        Ok(Self { path: path.to_owned(), text, document })
    }

    /// What was read, where nothing was changed in it, to the byte; otherwise what it has become.
    pub(super) fn as_edited(&self) -> String {
        let edited = self.document.to_string();
        let is_changed = self.text.parse::<DocumentMut>().is_ok_and(|read| read.to_string() != edited);
        if is_changed { edited } else { self.text.clone() }
    }

    /// The patterns of files that it imports.
    fn imports(&self) -> Result<Vec<String>, SourceError> {
        let wrong =
            || SourceError::Type { path: self.path.clone(), key: "imports", expected: "a list of texts" };
        let Some(item) = self.document.get("imports") else { return Ok(Vec::new()) };
        let texts = item.as_array().ok_or_else(wrong)?.iter().map(Value::as_str);
        texts.map(|text| text.map(str::to_owned).ok_or_else(wrong)).collect()
    }
}

impl Sources {
    /// A root file at `path` of this text, and what it imports, but for `ours`.
    pub(super) fn of(path: &Path, root: Option<String>, ours: &Path) -> Result<Self, SourceError> {
        not_a_link(path)?;
        not_a_link(ours)?;
        let root = root.map(|text| Source::of(path, text)).transpose()?;
        if let Some(root) = &root {
            let version = root.document.get("version");
            if !version
                .and_then(|version| version.as_integer())
                .is_some_and(|found| VERSIONS.contains(&found))
            {
                let found = version.map_or_else(
                    || "1, as it says none".to_owned(),
                    |found| found.to_string().trim().to_owned(),
                );
                return Err(SourceError::Version { path: path.to_owned(), found });
            }
        }
        let mut patterns = root.as_ref().map_or_else(|| Ok(Vec::new()), Source::imports)?;
        let takes_ours = patterns.iter().any(|pattern| takes(pattern, path, ours));
        if !takes_ours {
            patterns.push(ours.display().to_string());
        }
        let mut sources = Self {
            path: path.to_owned(),
            root,
            imported: Vec::new(),
            takes_ours,
            patterns,
            ours: ours.to_owned(),
        };
        let known = BTreeSet::from([path.to_owned(), ours.to_owned()]);
        sources.imported = walk(path, sources.listed(false), known, Source::there)?;
        Ok(sources)
    }

    /// The root file's version; none where there is no root file.
    pub(super) fn version(&self) -> Option<i64> {
        self.root.as_ref()?.document.get("version")?.as_integer()
    }

    /// The files that the root file imports by itself, in containerd's order, as paths from the root. With `ours` in
    /// its place, whether it is there or not, or without it.
    pub(super) fn listed(&self, with_ours: bool) -> Vec<PathBuf> {
        let mut listed = Vec::new();
        for pattern in &self.patterns {
            let mut matches = expand(pattern, &self.path);
            matches.retain(|path| *path != self.ours);
            if with_ours && takes(pattern, &self.path, &self.ours) {
                matches.push(self.ours.clone());
                matches.sort();
            }
            listed.extend(matches);
        }
        listed
    }

    /// All that is imported, as [`listed`](Self::listed) and then, as containerd does, what that imports; each to be read without
    /// importing anything by itself. What is not as it lies on disk is given with its text, changed by `texts`.
    pub(super) fn flat(
        &self,
        with_ours: bool,
        texts: &BTreeMap<PathBuf, String>,
    ) -> Vec<(PathBuf, Option<String>)> {
        let mut paths = self.listed(with_ours);
        let further = self.imported.iter().map(|source| &source.path).filter(|path| !paths.contains(path));
        let further: Vec<_> = further.cloned().collect();
        paths.extend(further);
        let of = |path: PathBuf| {
            let imported = self.imported.iter().find(|source| source.path == path);
            let document = match (texts.get(&path), imported) {
                (Some(text), _) => text.parse::<DocumentMut>().ok(),
                (None, Some(source)) if source.document.contains_key("imports") => {
                    Some(source.document.clone())
                }
                _ => None,
            };
            let text = document.map(|mut document| {
                document.remove("imports");
                document.to_string()
            });
            (path, text)
        };
        paths.into_iter().map(of).collect()
    }

    /// The imported file, of those that are not ours, that decides on a table or on a value in it.
    pub(super) fn imported_with(&self, table: &[String]) -> Option<&Path> {
        let mut found = self.imported.iter().rev();
        let found = found.find(|source| {
            edit::has_table(&source.document, table) || edit::value(&source.document, table).is_some()
        });
        found.map(|source| source.path.as_path())
    }

    /// Whether a file, not ours, has a table.
    pub(super) fn has_table(&self, table: &[String]) -> bool {
        self.root.iter().chain(&self.imported).any(|source| edit::has_table(&source.document, table))
    }
}

/// Everything that a root file imports, as containerd reads it when it starts.
///
/// # Errors
/// [`SourceError`] where one cannot be read or is not there, by each of which containerd does not start.
pub(super) fn imported(root: &Source) -> Result<Vec<Source>, SourceError> {
    let first = root.imports()?.iter().flat_map(|pattern| expand(pattern, &root.path)).collect();
    walk(&root.path, first, [root.path.clone()].into(), Source::there)
}

/// The same, without those that cannot be read or understood, and without what these import.
pub(super) fn readable(root: &Source) -> Vec<Source> {
    let understood = |path: &Path, _: &Path| {
        Ok(Source::read(path).unwrap_or_default().filter(|source| source.imports().is_ok()))
    };
    let first = root.imports().unwrap_or_default();
    let first = first.iter().flat_map(|pattern| expand(pattern, &root.path)).collect();
    walk(&root.path, first, [root.path.clone()].into(), understood).unwrap_or_default()
}

/// Reads files, and what they import, in containerd's order.
fn walk(
    root: &Path,
    first: Vec<PathBuf>,
    mut seen: BTreeSet<PathBuf>,
    read: impl Fn(&Path, &Path) -> Result<Option<Source>, SourceError>,
) -> Result<Vec<Source>, SourceError> {
    let mut waiting: Vec<_> = first.into_iter().map(|path| (path, root.to_owned())).collect();
    let mut imported = Vec::new();
    while !waiting.is_empty() {
        let mut further = Vec::new();
        for (path, importer) in waiting {
            if !seen.insert(path.clone()) {
                continue;
            }
            if seen.len() > MAX_FILES {
                return Err(SourceError::TooMany(root.to_owned()));
            }
            let Some(source) = read(&path, &importer)? else { continue };
            let named = source.imports()?.into_iter().flat_map(|pattern| expand(&pattern, &path));
            further.extend(named.map(|named| (named, path.clone())));
            imported.push(source);
        }
        waiting = further;
    }
    Ok(imported)
}

/// The list of imports with one more, written as the rest of it is.
pub(super) fn with_import(root: Option<&Source>, path: &Path) -> Array {
    let mut array =
        root.and_then(|root| root.document.get("imports")?.as_array().cloned()).unwrap_or_default();
    let mut one = Value::from(path.display().to_string());
    if let Some(last) = array.iter().last()
        && let Some(prefix) = last.decor().prefix().and_then(|prefix| prefix.as_str())
    {
        // Without the comment that belongs to the one before.
        let indent: String = prefix.rsplit('\n').next().unwrap_or_default().to_owned();
        let break_before = if prefix.contains('\n') { "\n" } else { "" };
        one.decor_mut().set_prefix(format!("{break_before}{indent}"));
    }
    array.push_formatted(one);
    array
}

fn not_a_link(path: &Path) -> Result<(), SourceError> {
    // What is not there yet is no link; the folders on the way may be.
    let found = path.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(path);
    match found.canonicalize() {
        Ok(leads_to) if leads_to != found => Err(SourceError::Link { path: found.to_owned(), leads_to }),
        _ => Ok(()),
    }
}

/// As containerd reads it: relative to the file that says it, and a pattern only where it has a `*`.
fn from(pattern: &str, importer: &Path) -> PathBuf {
    importer.parent().unwrap_or(Path::new("/")).join(pattern)
}

fn expand(pattern: &str, importer: &Path) -> Vec<PathBuf> {
    let path = from(pattern, importer);
    if !pattern.contains('*') {
        return vec![clean(&path)];
    }
    let found = glob::glob(&path.to_string_lossy()).into_iter().flatten().flatten();
    let mut found: Vec<_> = found.map(|path| clean(&path)).collect();
    found.sort();
    found
}

fn takes(pattern: &str, importer: &Path, path: &Path) -> bool {
    if !pattern.contains('*') {
        return names(pattern, importer, path);
    }
    let all = from(pattern, importer);
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let all = clean(&all);
    glob::Pattern::new(&all.to_string_lossy()).is_ok_and(|all| all.matches_path_with(path, options))
}

/// Whether an import is this one file.
pub(super) fn names(import: &str, importer: &Path, path: &Path) -> bool {
    !import.contains('*') && clean(&from(import, importer)) == path
}

/// Without `.` and `..`, by the text alone, as Go's `filepath.Clean`.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            component => clean.push(component),
        }
    }
    clean
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_imported() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("conf.d")).unwrap();
        let write = |name: &str, text: &str| fs::write(at(name), text).unwrap();
        write("config.toml", "version = 3\nimports = [\"conf.d/*.toml\", \"one.toml\"]");
        write("conf.d/20-a.toml", "imports = [\"../further.toml\", \"../config.toml\"]");
        write("conf.d/10-b.toml", "[x]\ny = 1");
        write("conf.d/c.tom", "no TOML");
        write("one.toml", "");
        write("further.toml", "[x.z]");
        let ours = at("conf.d/15-ours.toml");
        let read = |name: &str, ours: &Path| Sources::of(&at(name), fs::read_to_string(at(name)).ok(), ours);
        let sources = read("config.toml", &ours).unwrap();
        let paths: Vec<_> = sources.imported.iter().map(|source| source.path.clone()).collect();
        assert_eq!(paths, ["conf.d/10-b.toml", "conf.d/20-a.toml", "one.toml", "further.toml"].map(at));
        assert!(sources.takes_ours && sources.version() == Some(3));
        assert!(sources.listed(true).contains(&ours) && !sources.listed(false).contains(&ours));
        let place = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(sources.imported_with(&place(&["x", "y"])), Some(at("conf.d/10-b.toml").as_path()));
        assert_eq!(sources.imported_with(&place(&["x", "z"])), Some(at("further.toml").as_path()));
        assert!(sources.has_table(&place(&["x"])) && !sources.has_table(&place(&["z"])));

        let elsewhere = at("elsewhere.toml");
        let sources = read("config.toml", &elsewhere).unwrap();
        assert!(!sources.takes_ours && sources.listed(true).last() == Some(&elsewhere));
        let with = with_import(sources.root.as_ref(), Path::new("/x"));
        assert_eq!(with.to_string().trim(), r#"["conf.d/*.toml", "one.toml", "/x"]"#);

        for (text, message) in [
            ("version = 3\n[a\n", "is not TOML: line 2"),
            ("", "is of version 1, as it says none, and those known are 2 to 4"),
            ("version = 1", "is of version 1, and"),
            ("version = 9", "is of version 9, and"),
            ("version = 3\nimports = \"x\"", "`imports` is not a list of texts"),
            ("version = 3\nimports = [\"conf.d/c.tom\"]", "c.tom` is not TOML: line 1"),
            (
                "version = 3\nimports = [\"none.toml\"]",
                "none.toml`, which is not there: containerd does not start with it",
            ),
        ] {
            write("config.toml", text);
            let error = read("config.toml", &ours).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        symlink(at("one.toml"), at("link.toml")).unwrap();
        let error = read("link.toml", &ours).unwrap_err().to_string();
        assert!(error.contains("link.toml` is a link to"), "{error}");
        symlink(at("conf.d"), at("linked")).unwrap();
        let error = read("none", &at("linked/ours.toml")).unwrap_err().to_string();
        assert!(error.contains("linked` is a link to"), "{error}");
        assert!(read("none", &ours).unwrap().root.is_none());
    }
}
