//! From what is there to what is to be there.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use toml_edit::{Array, DocumentMut};

use super::edit::{EditError, Edits, Place, shown};
use super::record::{Record, Spec};
use super::sources::{SourceError, Sources, with_import};
use super::undo::{Undone, is_ours, undone};
use super::view::{Difference, Form, View};
use super::wanted::{self, Asked, Wanted};
use super::{Change, HEADER, Kind, Mode, Pause, Places, drop_in};
use crate::containerd::base_spec::{self, BaseSpecError, MAX_BYTES};
use crate::containerd::{CreateHook, Installed, InstalledError, output};
use crate::image::Digest;

/// How long `ctr` is waited for.
const DEADLINE: Duration = Duration::from_secs(20);
/// The largest program that is copied, in bytes.
const MAX_PROGRAM: u64 = 64 * 1024 * 1024;

/// Why containerd is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Its files.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What it says that they come to.
    #[error(transparent)]
    Installed(#[from] InstalledError),
    /// A version that nobody has seen yet.
    #[error("containerd {0} is not known: those known are 1.6 to 2.x")]
    Unknown(String),
    /// No CRI.
    #[error(
        "containerd {0} has no runtime handlers: its CRI plugin is disabled (`disabled_plugins`), so no kubelet uses it"
    )]
    NoCri(String),
    /// A file of our name.
    #[error("`{}` was not written by binauthctl: move it away first", _0.display())]
    Foreign(PathBuf),
    /// The root file.
    #[error("`{}` cannot be changed: {cause}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: EditError,
    },
    /// A file that is the work of another program.
    #[error("`{}` says that it is generated: wire the template that it is made from, or say --force", _0.display())]
    Generated(PathBuf),
    /// A value that another file decides on.
    #[error("`{key}` would be {found}, not {wanted}: {}", by_whom(by.as_deref()))]
    NotInEffect {
        /// The key.
        key: String,
        /// What it would be.
        found: String,
        /// What was wanted.
        wanted: String,
        /// The file that decides on it.
        by: Option<PathBuf>,
    },
    /// More would change than was meant.
    #[error("this would also change {0}")]
    AlsoChanges(String),
    /// A base runtime spec.
    #[error("the base runtime spec of handler `{handler}`: {from}")]
    BaseSpec {
        /// The handler.
        handler: String,
        /// Where it is from.
        from: String,
        /// What is wrong with it.
        #[source]
        cause: BaseSpecError,
    },
    /// A file that is needed.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// containerd's defaults.
    #[error(
        "`{program}` does not tell the defaults of containerd {wanted}: {why}; name the right one with --ctr, or save its \
         `ctr oci spec` and name that with --defaults"
    )]
    Ctr {
        /// What was run.
        program: String,
        /// The version of containerd.
        wanted: String,
        /// Why not.
        why: String,
    },
    /// A copy to try it on.
    #[error("cannot try it on a copy in `{}`", path.display())]
    Trial {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

/// What is there, without what an earlier plan has done.
#[derive(Debug)]
pub struct Plan<'a> {
    installed: &'a Installed,
    places: &'a Places,
    sources: Sources,
    view: View,
    undone: Undone,
}

/// What is to be done.
#[derive(Debug)]
pub struct Made {
    /// The files, in the order in which they are written; what counts from the moment it is there comes last.
    pub changes: Vec<Change>,
    /// What tells of it.
    pub record: Record,
    /// What cannot be had, and what is left.
    pub notes: Vec<String>,
    expected: View,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// What no answer means.
    pub mode: Mode,
    /// What becomes of the pause image.
    pub pause: Pause,
    /// Whether settings that lead kubelet's pulls around the verifier are changed.
    pub pull_settings: bool,
    /// The gate socket, where it is not the usual one.
    pub socket: Option<String>,
    /// Whether a file that says that it is generated is changed nevertheless.
    pub force: bool,
}

impl<'a> Plan<'a> {
    /// Reads what is there.
    ///
    /// # Errors
    /// [`PlanError`] where it cannot be read or understood, or is not of a kind that is known.
    pub fn new(
        installed: &'a Installed,
        before: Option<&Record>,
        places: &'a Places,
    ) -> Result<Self, PlanError> {
        if installed.release.major > 2 || !installed.release.is_at_least(1, 6) {
            return Err(PlanError::Unknown(installed.version.clone()));
        }
        let root = before.map_or(installed.file.as_path(), |record| &record.root.path);
        let ours = drop_in(root);
        if ours.exists() && !is_ours(&ours) {
            return Err(PlanError::Foreign(ours));
        }
        let undone = undone(before, root, None, places)?;
        let sources = Sources::of(root, undone.root.clone(), &ours)?;
        let view = match &undone.root {
            Some(text) => try_out(installed, root, text, sources.listed(false), None)?,
            None => View::of(installed.defaults()?),
        };
        let handlers = Form::of(view.version()).handlers();
        if view.keys(&handlers).is_empty() {
            return Err(PlanError::NoCri(installed.version.clone()));
        }
        Ok(Self { installed, places, sources, view, undone })
    }

    /// The pause image as it is configured.
    #[must_use]
    pub fn pause(&self) -> &str {
        self.view.text(&Form::of(self.view.version()).pause())
    }

    /// Makes the plan, and tries it on copies of the files.
    ///
    /// # Errors
    /// [`PlanError`]; nothing has been changed.
    pub fn make(self, order: &Order) -> Result<Made, PlanError> {
        let root = self.sources.path.clone();
        if let Some(text) = &self.undone.root
            && !order.force
            && says_generated(text)
        {
            return Err(PlanError::Generated(root));
        }
        let spec_of = |handler: &str| self.places.spec(handler).display().to_string();
        let asked = Asked {
            release: self.installed.release,
            mode: order.mode,
            pause: &order.pause,
            pull_settings: order.pull_settings,
            spec_of: &spec_of,
        };
        let wanted = Wanted::new(&self.view, &self.sources, &asked);
        let mut record = Record::new(order.mode, &self.installed.version, &root, self.places.hook());
        let mut changes = self.copies(order, &wanted, &mut record)?;
        let (root_text, drop_in_text) = self.texts(&wanted, &mut record)?;
        let expected = self.tried(&wanted, &root_text, drop_in_text.as_deref())?;

        let change = |path: &Path, text: &str, kind| Change {
            path: path.to_owned(),
            after: Some(text.as_bytes().to_vec()),
            kind,
        };
        if let (Some(path), Some(text)) = (&record.drop_in, &drop_in_text) {
            changes.push(change(path, text, Kind::Configuration));
        } else if let Some(file) =
            self.undone.configuration.iter().find(|change| change.path == drop_in(&root))
        {
            changes.push(file.clone());
        }
        if self.undone.root.as_ref() != Some(&root_text) {
            if let Some(text) = &self.undone.root {
                let copy = self.places.copy();
                changes.insert(0, change(&copy, text, Kind::Ours));
                record.root.copy = Some(copy);
            }
            record.root.written = Some(Digest::of(root_text.as_bytes()).to_string());
        }
        if fs::read_to_string(&root).ok().as_ref() != Some(&root_text) {
            changes.push(change(&root, &root_text, Kind::Configuration));
        }
        changes.extend(self.verifiers(order.mode, &wanted, &mut record)?);
        let mut notes = wanted.notes;
        notes.extend(record.verifier.as_deref().and_then(strangers));
        notes.extend(self.undone.notes);
        Ok(Made { changes, record, notes, expected })
    }

    /// The programs and base runtime specs that the configuration names.
    fn copies(&self, order: &Order, wanted: &Wanted, record: &mut Record) -> Result<Vec<Change>, PlanError> {
        let mut changes = vec![program(&self.places.programs.join(CreateHook::PROGRAM), &record.hook)?];
        for (handler, from) in &wanted.handlers {
            let spec = Spec {
                handler: handler.clone(),
                path: self.places.spec(handler),
                from: from.as_ref().map(PathBuf::from),
            };
            let text = base_spec(&spec, self.installed, order.mode, order.socket.as_deref(), &record.hook)?;
            changes.push(Change {
                path: spec.path.clone(),
                after: Some(text.into_bytes()),
                kind: Kind::Ours,
            });
            record.specs.push(spec);
        }
        Ok(changes)
    }

    /// The root file, and our drop-in where there is to be one.
    fn texts(&self, wanted: &Wanted, record: &mut Record) -> Result<(String, Option<String>), PlanError> {
        let version = self.sources.version().unwrap_or_else(|| self.view.version());
        let path = &self.sources.path;
        let edit = |cause| PlanError::Edit { path: path.clone(), cause };
        let mut root = match &self.sources.root {
            Some(root) => root.document.clone(),
            None => started(version),
        };
        let edits = &mut record.root.edits;
        if !self.installed.release.is_at_least(2, 0) {
            for want in &wanted.wants {
                edits.set(&mut root, &want.written, want.value.clone()).map_err(edit)?;
            }
            return Ok((root.to_string(), None));
        }
        let ours = drop_in(path);
        if !self.sources.takes_ours {
            let imports = with_import(self.sources.root.as_ref(), &ours);
            edits.set(&mut root, &["imports".to_owned()], imports.into()).map_err(edit)?;
        }
        let mut text = started(version);
        let mut all = Edits::default();
        for want in &wanted.wants {
            all.set(&mut text, &want.written, want.value.clone()).map_err(edit)?;
        }
        record.drop_in = Some(ours);
        let root = match &self.sources.root {
            Some(before) if record.root.edits.is_empty() => before.text.clone(),
            _ => root.to_string(),
        };
        Ok((root, Some(text.to_string())))
    }

    /// What it comes to; it must be what is wanted, and nothing else.
    fn tried(&self, wanted: &Wanted, root: &str, drop_in: Option<&str>) -> Result<View, PlanError> {
        let listed = self.sources.listed(drop_in.is_some());
        let path = &self.sources.path;
        let ours = super::drop_in(path);
        let after = try_out(self.installed, path, root, listed, drop_in.map(|text| (ours.as_path(), text)))?;
        let is_wanted = |difference: &Difference| {
            wanted.wants.iter().any(|want| {
                want.shown == difference.place
                    && difference.after.as_ref().is_some_and(|after| wanted::is(after, &want.value))
            })
        };
        for want in &wanted.wants {
            let found = after.at(&want.shown);
            if !found.is_some_and(|found| wanted::is(found, &want.value)) {
                return Err(PlanError::NotInEffect {
                    key: shown(&want.shown),
                    found: found.map_or_else(|| "absent".to_owned(), |found| format!("`{found}`")),
                    wanted: format!("`{}`", want.value.to_string().trim()),
                    by: self.decides(&want.written),
                });
            }
        }
        let others: Vec<_> = self
            .view
            .differences(&after)
            .into_iter()
            .filter(|difference| !is_wanted(difference))
            .map(|difference| said(&difference))
            .collect();
        if others.is_empty() { Ok(after) } else { Err(PlanError::AlsoChanges(others.join(", "))) }
    }

    /// The imported file that has a say in a value: in itself, or by its plugin's table.
    fn decides(&self, place: &Place) -> Option<PathBuf> {
        let plugin: Place = place.iter().take(2).cloned().collect();
        let found = self.sources.imported_with(place).or_else(|| self.sources.imported_with(&plugin));
        found.map(Path::to_owned)
    }

    fn verifiers(&self, mode: Mode, wanted: &Wanted, record: &mut Record) -> Result<Vec<Change>, PlanError> {
        let Some(dir) = &wanted.bin_dir else { return Ok(Vec::new()) };
        let path = dir.join(mode.verifier());
        let mut changes = vec![program(&self.places.programs.join(Places::VERIFIER), &path)?];
        let other = dir.join(mode.other().verifier());
        if other.exists() {
            changes.push(Change { path: other, after: None, kind: Kind::Program });
        }
        record.verifier = Some(path);
        Ok(changes)
    }
}

impl Made {
    /// Whether the files, as they are now, come to what was tried.
    ///
    /// # Errors
    /// [`PlanError`] where they do not.
    pub fn holds(&self, installed: &Installed) -> Result<(), PlanError> {
        let found = View::of(installed.dump(&self.record.root.path)?);
        let others: Vec<_> = self.expected.differences(&found).iter().map(said).collect();
        if others.is_empty() { Ok(()) } else { Err(PlanError::AlsoChanges(others.join(", "))) }
    }
}

/// The base runtime spec that `spec` tells of.
///
/// # Errors
/// [`PlanError`] where the one it is made from cannot be had or understood.
pub(super) fn base_spec(
    spec: &Spec,
    installed: &Installed,
    mode: Mode,
    socket: Option<&str>,
    hook: &Path,
) -> Result<String, PlanError> {
    let (text, made_for, from) = match &spec.from {
        Some(path) => (read(path)?, None, format!("`{}`", path.display())),
        None => {
            let text = default_spec(&installed.ctr, &installed.version)?;
            (text, Some(installed.version.clone()), "containerd's own".to_owned())
        }
    };
    let hook = CreateHook {
        observe: mode == Mode::Observe,
        socket: socket.map(str::to_owned),
        made_for,
        ..CreateHook::new(&hook.display().to_string())
    };
    base_spec::merge(&text, &hook).map_err(|cause| PlanError::BaseSpec {
        handler: spec.handler.clone(),
        from,
        cause,
    })
}

/// What the containerd of version `wanted` starts from where a handler names no base runtime spec, by its `ctr`. It is built
/// from containerd's own tree: one of the same version prints the same defaults.
///
/// # Errors
/// [`PlanError::Ctr`], [`PlanError::BaseSpec`]
pub fn default_spec(ctr: &Path, wanted: &str) -> Result<String, PlanError> {
    let failed =
        |why: String| PlanError::Ctr { program: ctr.display().to_string(), wanted: wanted.to_owned(), why };
    let ask = |args: &[&str]| {
        let mut command = Command::new(ctr);
        output(command.args(args), MAX_BYTES, DEADLINE).map_err(|error| failed(error.to_string()))
    };
    let version = ask(&["--version"])?;
    let found = version.split_whitespace().last().unwrap_or_default();
    if found.trim_start_matches('v') != wanted.trim_start_matches('v') {
        return Err(failed(format!("it is of version {found}")));
    }
    base_spec::defaults(&ask(&["oci", "spec"])?).map_err(|cause| failed(crate::chain(&cause)))
}

/// A copy of a program, put at `to`.
///
/// # Errors
/// [`PlanError::Read`]
pub(super) fn program(from: &Path, to: &Path) -> Result<Change, PlanError> {
    let cannot = |cause| PlanError::Read { path: from.to_owned(), cause };
    let mut bytes = Vec::new();
    File::open(from).and_then(|file| file.take(MAX_PROGRAM).read_to_end(&mut bytes)).map_err(cannot)?;
    Ok(Change { path: to.to_owned(), after: Some(bytes), kind: Kind::Program })
}

fn read(path: &Path) -> Result<String, PlanError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text));
    let read = read.and_then(|_| match text.len() {
        length if length > MAX_BYTES => {
            Err(io::Error::other(format!("it has more than the {MAX_BYTES} bytes allowed")))
        }
        _ => Ok(()),
    });
    read.map_err(|cause| PlanError::Read { path: path.to_owned(), cause })?;
    Ok(text)
}

/// Whatever else lies where verifiers do: all of it is executed at every pull.
fn strangers(verifier: &Path) -> Option<String> {
    let ours = [Mode::Observe, Mode::Enforce].map(Mode::verifier);
    let entries = fs::read_dir(verifier.parent()?).ok()?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut strangers: Vec<_> = names.filter(|name| !ours.contains(&name.as_str())).collect();
    strangers.sort();
    let shown = verifier.parent()?.display();
    (!strangers.is_empty()).then(|| {
        format!("`{shown}` also holds `{}`: containerd executes each at every pull, and refuses all where it cannot", strangers.join("`, `"))
    })
}

/// A document that says who wrote it, and its version.
fn started(version: i64) -> DocumentMut {
    let mut document = DocumentMut::new();
    document.insert("version", toml_edit::value(version));
    if let Some(mut key) = document.key_mut("version") {
        key.leaf_decor_mut().set_prefix(HEADER);
    }
    document
}

/// What a root file of this text would come to, at the place of `root`, importing `listed`, of which one may be `ours`.
fn try_out(
    installed: &Installed,
    root: &Path,
    text: &str,
    listed: Vec<PathBuf>,
    ours: Option<(&Path, &str)>,
) -> Result<View, PlanError> {
    let folder = nix::unistd::mkdtemp(&std::env::temp_dir().join("binauthctl.XXXXXX"))
        .map_err(|cause| PlanError::Trial { path: std::env::temp_dir(), cause: cause.into() })?;
    let trial = Trial(folder);
    let cannot = |cause| PlanError::Trial { path: trial.0.clone(), cause };
    let staged = trial.0.join("drop-in.toml");
    if let Some((_, text)) = ours {
        fs::write(&staged, text).map_err(cannot)?;
    }
    let listed: Array = listed
        .iter()
        .map(|path| match ours {
            Some((ours, _)) if ours == path => staged.display().to_string(),
            _ => path.display().to_string(),
        })
        .collect();
    let toml = |cause| PlanError::Edit { path: root.to_owned(), cause };
    let mut document = text
        .parse::<DocumentMut>()
        .map_err(|error| toml(EditError::NotATable(error.message().to_owned())))?;
    // By value, so that a file of another form than expected says so here and not later.
    document.remove("imports");
    if !listed.is_empty() {
        Edits::default().set(&mut document, &["imports".to_owned()], listed.into()).map_err(toml)?;
    }
    let copy = trial.0.join("config.toml");
    fs::write(&copy, document.to_string()).map_err(cannot)?;
    Ok(View::of(installed.dump(&copy)?))
}

/// Removes its folder.
struct Trial(PathBuf);

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// k3s, RKE2 and others write the file anew at every start, and say so at its top.
fn says_generated(text: &str) -> bool {
    let comments = text.lines().map(str::trim).take_while(|line| line.is_empty() || line.starts_with('#'));
    comments.map(str::to_ascii_lowercase).any(|line| {
        line.contains("do not edit") || line.contains("file generated by") || line.contains("auto-generated")
    })
}

fn by_whom(by: Option<&Path>) -> String {
    by.map_or_else(
        || "another table of the configuration decides on it".to_owned(),
        |path| format!("`{}` decides on it; change it there", path.display()),
    )
}

fn said(difference: &Difference) -> String {
    let text = |value: &Option<toml::Value>| {
        value.as_ref().map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"))
    };
    format!("`{}` from {} to {}", shown(&difference.place), text(&difference.before), text(&difference.after))
}
