//! From what is there to what is to be there.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use super::copies::{base_spec, program};
use super::edit::{Edits, Place, shown};
use super::error::PlanError;
use super::record::{Record, Spec};
use super::sources::{Sources, with_import};
use super::startable::startable;
use super::trial::try_out;
use super::undo::{Undone, is_ours, undone};
use super::view::{Difference, Form, View, required};
use super::wanted::{self, Asked, Wanted};
use super::{Change, HEADER, Kind, Mode, Pause, Places, drop_in};
use crate::containerd::{CreateHook, Installed};
use crate::image::Digest;

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
    /// containerd's systemd unit.
    pub unit: String,
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
        let root = installed.file.as_path();
        let (before, other) = match before {
            Some(record) if record.root.path != root => (None, Some(record)),
            before => (before, None),
        };
        if let Some(record) = other.filter(|record| record.enabled) {
            return Err(PlanError::OtherRoot { wired: record.root.path.clone(), read: root.to_owned() });
        }
        let ours = drop_in(root);
        if ours.exists() && !is_ours(&ours) {
            return Err(PlanError::Foreign(ours));
        }
        let undone = undone(before, root, None, places)?;
        let sources = Sources::of(root, undone.root.clone(), &ours)?;
        let view = match &undone.root {
            Some(text) => try_out(installed, root, text, &sources.flat(false, &undone.imported))?,
            None => View::of(installed.defaults()?),
        };
        let handlers = Form::of(view.version()).handlers();
        if view.keys(&handlers).is_empty() {
            return Err(PlanError::NoCri(installed.version.clone()));
        }
        view.has_runtime()?;
        let off = vec!["disabled_plugins".to_owned()];
        let disabled = view.texts(&off);
        if let Some(plugin) =
            required(installed.release).into_iter().find(|one| disabled.iter().any(|off| off == one))
        {
            let path = sources.imported_with(&off).unwrap_or(&sources.path).to_owned();
            return Err(PlanError::Disabled { plugin, path });
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
        let mut record =
            Record::new(order.mode, &self.installed.version, &order.unit, &root, self.places.hook());
        let mut changes = self.copies(order, &wanted, &mut record)?;
        let (root_text, drop_in_text) = self.texts(&wanted, &mut record)?;
        let expected = self.tried(&wanted, &root_text, drop_in_text.as_deref())?;

        let change = |path: &Path, text: &str, kind| Change {
            path: path.to_owned(),
            after: Some(text.as_bytes().to_vec()),
            kind,
        };
        changes
            .extend(self.undone.imported.iter().map(|(path, text)| change(path, text, Kind::Configuration)));
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
                changes.insert(0, change(&copy, text, Kind::Secret));
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
                // One of ours that was found by a way that is not seen leads nowhere once it is made anew.
                from: from.as_ref().map(PathBuf::from).filter(|from| !self.places.holds(from)),
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
        let path = &self.sources.path;
        let mut texts = self.undone.imported.clone();
        texts.extend(drop_in.map(|text| (super::drop_in(path), text.to_owned())));
        let after = try_out(self.installed, path, root, &self.sources.flat(drop_in.is_some(), &texts))?;
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
        let found = startable(installed, &self.record.root.path, None)?;
        let others: Vec<_> = self.expected.differences(&found).iter().map(said).collect();
        if others.is_empty() { Ok(()) } else { Err(PlanError::AlsoChanges(others.join(", "))) }
    }
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

/// k3s, RKE2 and others write the file anew at every start, and say so at its top.
fn says_generated(text: &str) -> bool {
    let comments = text.lines().map(str::trim).take_while(|line| line.is_empty() || line.starts_with('#'));
    comments.map(str::to_ascii_lowercase).any(|line| {
        line.contains("do not edit") || line.contains("file generated by") || line.contains("auto-generated")
    })
}

fn said(difference: &Difference) -> String {
    let text = |value: &Option<toml::Value>| {
        value.as_ref().map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"))
    };
    format!("`{}` from {} to {}", shown(&difference.place), text(&difference.before), text(&difference.after))
}
