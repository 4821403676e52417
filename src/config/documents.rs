//! Policies, lists and attestors, document by document.
//!
//! A document that is gone is gone at once. One that cannot be read, or is not valid, keeps its own
//! last good version, also across a restart, and says so; changes beside it still apply. What was
//! never seen good decides nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::file::Config;
use super::last_good::{self, LastGood};
use super::slot::{DocumentStatus, Parse, Presence, Slot};
use super::trusted;
use crate::attestation::{Attestor, KeyRing};
use crate::document::Format;
use crate::policy::{DenyList, Options, PlatformPolicy, Policy, Rulebook, SystemPolicy};

/// The documents of a node and what became of each at the last reload.
#[derive(Debug)]
pub struct Documents {
    policy: Single<Policy>,
    platform_policy: Option<Single<PlatformPolicy>>,
    deny_list: Single<DenyList>,
    system_policy: Single<SystemPolicy>,
    attestors_path: PathBuf,
    attestors: BTreeMap<PathBuf, Slot<Attestor>>,
    folder_problem: Option<String>,
    /// What the configuration adds to the documents.
    settings: Settings,
    store: LastGood,
    stored: last_good::Documents,
    /// Copies that were not whole when the daemon started.
    lost: Vec<String>,
    /// Why what is good now could not be kept.
    store_problem: Option<String>,
}

#[derive(Debug)]
struct Settings {
    options: Options,
    rulebook: Rulebook,
    dsse_types: Vec<String>,
}

/// A document of which there is one.
#[derive(Debug)]
struct Single<T> {
    /// What it is called.
    what: &'static str,
    path: PathBuf,
    slot: Slot<T>,
}

/// What decides trust, at one moment.
#[derive(Debug, Clone)]
pub struct InForce {
    /// What is obeyed, or why nothing is.
    pub state: State,
    /// Every attestor.
    pub key_ring: KeyRing,
    /// Those that a decision could ask: what is filed under the notes of others costs it nothing.
    pub asked: Arc<KeyRing>,
}

/// What is obeyed, or why nothing is.
#[derive(Debug, Clone)]
pub enum State {
    /// This is obeyed.
    Obeyed(Arc<Rulebook>),
    /// A file that must be there is not.
    Missing {
        /// What it would be, such as `policy`.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file cannot be obeyed, and no version of it could be before.
    Unreadable {
        /// What it should be, such as `deny list`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

impl State {
    /// What is obeyed, if anything is.
    #[must_use]
    pub fn rulebook(&self) -> Option<&Rulebook> {
        match self {
            Self::Obeyed(rulebook) => Some(rulebook),
            Self::Missing { .. } | Self::Unreadable { .. } => None,
        }
    }
}

fn read_policy(options: Options) -> impl Parse<Policy> {
    move |text, format| Policy::parse(text.as_bytes(), format, options).map_err(|error| error.to_string())
}

fn read_platform_policy(text: &str, format: Format) -> Result<PlatformPolicy, String> {
    PlatformPolicy::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

fn read_deny_list(text: &str, format: Format) -> Result<DenyList, String> {
    DenyList::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

fn read_system_policy(text: &str, format: Format) -> Result<SystemPolicy, String> {
    SystemPolicy::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

fn read_attestor(text: &str, format: Format) -> Result<Attestor, String> {
    Attestor::parse(text.as_bytes(), format).map_err(|error| error.to_string())
}

impl Documents {
    /// Reads everything that `config` names for the first time; last good versions come from its
    /// `state_dir`.
    #[must_use]
    pub fn open(config: &Config, now: SystemTime) -> Self {
        let (store, stored, lost) = LastGood::open(&config.state_dir);
        let options = Options { allow_multiple_rule_maps: config.allow_multiple_rule_maps };
        let rulebook =
            Rulebook {
            subjects: config.subjects,
            deny_tags: config.deny_tags,
            freshness: config.freshness,
            ..Rulebook::default()
        };
        let platform_policy = config.platform_policy.as_ref();
        let singles = [&config.policy, &config.deny_list, &config.system_policy];
        let is_single =
            |path: &Path| singles.into_iter().chain(platform_policy).any(|single| single.as_path() == path);
        let attestors = stored
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text))
            .filter(|(path, _)| path.parent() == Some(&config.attestors) && !is_single(path))
            .map(|(path, text)| (path.clone(), Slot::remember(&path, Some(text), read_attestor)))
            .collect();
        let mut documents = Self {
            policy: Single::remember("policy", &config.policy, &stored, read_policy(options)),
            platform_policy: platform_policy
                .map(|path| Single::remember("platform policy", path, &stored, read_platform_policy)),
            deny_list: Single::remember("deny list", &config.deny_list, &stored, read_deny_list),
            system_policy: Single::remember(
                "system policy",
                &config.system_policy,
                &stored,
                read_system_policy,
            ),
            attestors_path: config.attestors.clone(),
            attestors,
            folder_problem: None,
            settings: Settings { options, rulebook, dsse_types: config.dsse_types.clone() },
            store,
            stored,
            lost,
            store_problem: None,
        };
        documents.reload(now);
        documents
    }

    /// Reads everything again, and remembers what is good.
    pub fn reload(&mut self, now: SystemTime) {
        self.policy.read(now, read_policy(self.settings.options));
        if let Some(platform_policy) = &mut self.platform_policy {
            platform_policy.read(now, read_platform_policy);
        }
        self.deny_list.read(now, read_deny_list);
        self.system_policy.read(now, read_system_policy);
        self.read_attestors(now);
        self.remember();
    }

    /// What decides trust now.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        let attestors = self.attestors.values().filter_map(Slot::good);
        let key_ring =
            KeyRing::accepting(attestors.map(|good| Attestor::clone(good)), &self.settings.dsse_types);
        let state = self.rulebook().map_or_else(|state| state, |rulebook| State::Obeyed(Arc::new(rulebook)));
        let asked = Arc::new(state.rulebook().unwrap_or(&Rulebook::default()).narrow(&key_ring));
        InForce { state, key_ring, asked }
    }

    /// A list that denies must be known to be obeyed, one that only allows need not.
    fn rulebook(&self) -> Result<Rulebook, State> {
        let platform_policy = match &self.platform_policy {
            Some(single) => Some(single.required()?),
            None => None,
        };
        Ok(Rulebook {
            policy: Some(self.policy.required()?),
            platform_policy,
            deny_list: self.deny_list.optional()?,
            system_policy: self.system_policy.optional().unwrap_or_default(),
            ..self.settings.rulebook.clone()
        })
    }

    /// What became of the policy.
    #[must_use]
    pub fn policy_status(&self) -> DocumentStatus {
        self.policy.required_status()
    }

    /// What became of the documents beside policy and attestors, of those that are there.
    #[must_use]
    pub fn other_statuses(&self) -> Vec<DocumentStatus> {
        let platform_policy = self.platform_policy.as_ref().map(Single::required_status);
        let lists = [self.deny_list.optional_status(), self.system_policy.optional_status()];
        platform_policy.into_iter().chain(lists.into_iter().flatten()).collect()
    }

    /// What became of each attestor document.
    #[must_use]
    pub fn attestor_statuses(&self) -> Vec<DocumentStatus> {
        let name = |slot: &Slot<Attestor>| slot.good().map(|good| good.name().to_string());
        self.attestors.iter().map(|(path, slot)| slot.status(path, name(slot))).collect()
    }

    /// Everything that is wrong with the documents or with keeping them, one line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        std::iter::once(self.policy_status())
            .chain(self.other_statuses())
            .chain(self.attestor_statuses())
            .filter_map(|status| {
                let problem = status.problem?;
                Some(format!("{}: {problem} ({})", status.path.display(), status.state))
            })
            .chain(self.folder_problem.clone())
            .chain(self.lost.iter().map(|problem| format!("last good versions: a copy was lost: {problem}")))
            .chain(
                self.store_problem
                    .iter()
                    .map(|problem| format!("last good versions cannot be kept: {problem}")),
            )
            .collect()
    }

    /// Changes when any of the files, or who may write them, does; reads no contents.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut file = |path: &Path| {
            if let Ok(meta) = std::fs::metadata(path) {
                let written = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
                (path, meta.dev(), meta.ino(), meta.len(), written, meta.mode(), meta.uid())
                    .hash(&mut hasher);
            }
        };
        self.singles().for_each(&mut file);
        file(&self.attestors_path);
        if let Ok(entries) = std::fs::read_dir(&self.attestors_path) {
            let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            paths.iter().for_each(|path| file(path));
        }
        let above = self.singles().flat_map(|path| path.ancestors().skip(1));
        for folder in above.chain(self.attestors_path.ancestors()) {
            if let Ok(meta) = std::fs::metadata(folder) {
                (folder, meta.mode(), meta.uid()).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    fn singles(&self) -> impl Iterator<Item = &Path> {
        let platform_policy = self.platform_policy.as_ref().map(|single| single.path.as_path());
        [self.policy.path.as_path(), &self.deny_list.path, &self.system_policy.path]
            .into_iter()
            .chain(platform_policy)
    }

    fn read_attestors(&mut self, now: SystemTime) {
        self.folder_problem = None;
        let names = match trusted::list(&self.attestors_path) {
            Ok(names) => names,
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => {
                let problem = error.to_string();
                self.attestors.values_mut().for_each(|slot| slot.fail(problem.clone()));
                self.folder_problem = Some(problem);
                return;
            }
        };
        let paths: Vec<_> = names
            .iter()
            .map(|name| self.attestors_path.join(name))
            .filter(|path| is_document(path))
            .collect();
        self.attestors.retain(|path, _| paths.contains(path));
        for path in paths {
            let slot = self.attestors.entry(path.clone()).or_insert(Slot::EMPTY);
            if slot.read(&path, now, read_attestor) == Presence::Gone {
                self.attestors.remove(&path);
            }
        }
    }

    fn remember(&mut self) {
        let attestors =
            self.attestors.iter().filter_map(|(path, slot)| Some((key(path), slot.text()?.clone())));
        let good: last_good::Documents = attestors
            .chain(self.policy.remembered())
            .chain(self.platform_policy.as_ref().and_then(Single::remembered))
            .chain(self.deny_list.remembered())
            .chain(self.system_policy.remembered())
            .collect();
        if good == self.stored && self.store_problem.is_none() {
            return;
        }
        match self.store.store(&good) {
            Ok(()) => (self.stored, self.store_problem) = (good, None),
            Err(error) => self.store_problem = Some(error.to_string()),
        }
    }
}

impl<T> Single<T> {
    fn remember(
        what: &'static str,
        path: &Path,
        stored: &last_good::Documents,
        parse: impl Parse<T>,
    ) -> Self {
        Self { what, path: path.to_owned(), slot: Slot::remember(path, stored.get(&key(path)), parse) }
    }

    fn read(&mut self, now: SystemTime, parse: impl Parse<T>) {
        if self.slot.read(&self.path, now, parse) == Presence::Gone {
            self.slot = Slot::EMPTY;
        }
    }

    /// The document, or what stands in its place.
    fn required(&self) -> Result<Arc<T>, State> {
        match (self.slot.good(), self.slot.problem()) {
            (Some(good), _) => Ok(Arc::clone(good)),
            (None, Some(problem)) => {
                Err(State::Unreadable { what: self.what, path: self.path.clone(), problem: problem.clone() })
            }
            (None, None) => Err(State::Missing { what: self.what, path: self.path.clone() }),
        }
    }

    /// The same where a document that is not there is an empty one.
    fn optional(&self) -> Result<Arc<T>, State>
    where
        T: Default,
    {
        match self.required() {
            Err(State::Missing { .. }) => Ok(Arc::default()),
            other => other,
        }
    }

    fn required_status(&self) -> DocumentStatus {
        let mut status = self.slot.status(&self.path, Some(self.what.to_owned()));
        if status.version.is_none() && status.problem.is_none() {
            status.problem = Some(format!("`{}` does not exist", self.path.display()));
        }
        status
    }

    fn optional_status(&self) -> Option<DocumentStatus> {
        let status = self.slot.status(&self.path, Some(self.what.to_owned()));
        (status.version.is_some() || status.problem.is_some()).then_some(status)
    }

    fn remembered(&self) -> Option<(String, String)> {
        Some((key(&self.path), self.slot.text()?.clone()))
    }
}

fn key(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Editors' leftovers and hidden files are not documents.
fn is_document(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

#[cfg(test)]
mod tests;
