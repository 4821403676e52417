//! Policies, lists and attestors, document by document or bundle by bundle.
//!
//! A document that is gone is gone at once. One that cannot be read, or is not valid, keeps its own
//! last good version, also across a restart, and says so; changes beside it still apply. What was
//! never seen good decides nothing.
//!
//! Where signed bundles are obeyed, policy, platform policy and attestors come from the bundle in force and from
//! nowhere else. Its deny list counts beside the node's own, its system policy in place of it.

mod break_glass;
mod bundled;
mod files;
mod single;
mod state;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::file::Config;
use super::slot::DocumentStatus;
use super::trust::{self, Forget, ResetError, Trust, TrustReport};
use crate::attestation::{Attestor, KeyRing};
use crate::policy::{DenyList, Options, PlatformPolicy, Policy, Rulebook, Serial, SystemPolicy};
use break_glass::Granted;
use bundled::Bundled;
use files::Files;
use single::{Single, read_deny_list, read_system_policy};

pub use break_glass::{BreakGlassStatus, GrantState, GrantStatus};
pub use bundled::{BundleStatus, KeyStatus, OfferError, RefusalStatus};
pub use state::{Hindrance, InForce, State};

/// The documents of a node and what became of each at the last reload.
#[derive(Debug)]
pub struct Documents {
    origin: Origin,
    deny_list: Single<DenyList>,
    system_policy: Single<SystemPolicy>,
    granted: Granted,
    /// What the configuration adds to the documents.
    settings: Settings,
    state_dir: PathBuf,
    trust: Trust,
    /// Of the last reload.
    now: SystemTime,
}

/// Where policy, platform policy and attestors come from.
#[derive(Debug)]
enum Origin {
    Files(Box<Files>),
    Bundle(Box<Bundled>),
}

#[derive(Debug)]
struct Settings {
    rulebook: Rulebook,
    dsse_types: Vec<String>,
    /// Files that count for nothing where bundles are obeyed.
    local: Vec<PathBuf>,
}

/// What is asked in every case.
struct Rules {
    policy: Arc<Policy>,
    platform_policy: Option<Arc<PlatformPolicy>>,
}

impl Documents {
    /// Reads everything that `config` names for the first time; last good versions come from its
    /// `state_dir`. Of `now` and the latest time that was ever seen the later one counts.
    #[must_use]
    pub fn open(config: &Config, now: SystemTime) -> Self {
        let trust = Trust::open(&config.state_dir);
        let stored = trust.documents();
        let options = Options { allow_multiple_rule_maps: config.allow_multiple_rule_maps };
        let local = [&config.policy, &config.attestors].into_iter().chain(&config.platform_policy);
        let settings = Settings {
            rulebook: Rulebook {
                subjects: config.subjects,
                deny_tags: config.deny_tags,
                freshness: config.freshness,
                ..Rulebook::default()
            },
            dsse_types: config.dsse_types.clone(),
            local: local.cloned().collect(),
        };
        let now = trust.mark().map_or(now, |mark| mark.max(now));
        let mut documents = Self {
            origin: match &config.bundle {
                None => Origin::Files(Box::new(Files::remember(config, options, stored))),
                Some(bundle) => Origin::Bundle(Box::new(Bundled::remember(bundle, options, stored))),
            },
            deny_list: Single::remember("deny list", &config.deny_list, stored, read_deny_list),
            system_policy: Single::remember(
                "system policy",
                &config.system_policy,
                stored,
                read_system_policy,
            ),
            granted: Granted::remember(config, stored, &trust),
            settings,
            state_dir: config.state_dir.clone(),
            trust,
            now,
        };
        documents.reload(now);
        documents
    }

    /// Reads everything again, and remembers what is good.
    pub fn reload(&mut self, now: SystemTime) {
        self.now = now;
        self.deny_list.read(now, read_deny_list);
        self.system_policy.read(now, read_system_policy);
        match &mut self.origin {
            Origin::Files(files) => files.read(now),
            Origin::Bundle(bundled) => bundled.read(now, &mut self.trust),
        }
        self.granted.read(now, &mut self.trust);
        self.remember(now);
    }

    fn remember(&mut self, now: SystemTime) {
        let lists = self.deny_list.remembered().into_iter().chain(self.system_policy.remembered());
        let lists = lists.chain(self.granted.remembered());
        let documents = match &self.origin {
            Origin::Files(files) => files.remembered().chain(lists).collect(),
            Origin::Bundle(bundled) => bundled.remembered().chain(lists).collect(),
        };
        self.trust.keep(documents, now);
    }

    /// Takes a bundle that was fetched; whether it is another than the one in force. What was recorded is in
    /// force from the next [`in_force`](Self::in_force) on.
    ///
    /// # Errors
    /// See [`OfferError`]; the one in force stays.
    pub fn offer(&mut self, bytes: &[u8], now: SystemTime) -> Result<bool, OfferError> {
        self.now = now;
        match &mut self.origin {
            Origin::Files(_) => Err(OfferError::NotConfigured),
            Origin::Bundle(bundled) => bundled.offer(bytes, now, &mut self.trust),
        }
    }

    /// Takes note that what was fetched last is still what there is.
    pub fn unchanged(&mut self, now: SystemTime) {
        if let Origin::Bundle(bundled) = &mut self.origin {
            bundled.fetched(now);
        }
    }

    /// Takes note that nothing could be fetched.
    pub fn fetch_failed(&mut self, problem: String) {
        if let Origin::Bundle(bundled) = &mut self.origin {
            bundled.fetch_failed(problem);
        }
    }

    /// What decides trust now.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        let attestors: Box<dyn Iterator<Item = &Arc<Attestor>>> = match &self.origin {
            Origin::Files(files) => Box::new(files.attestors()),
            Origin::Bundle(bundled) => Box::new(bundled.attestors()),
        };
        let key_ring =
            KeyRing::accepting(attestors.map(|good| Attestor::clone(good)), &self.settings.dsse_types);
        let state = self.rulebook().map_or_else(|state| state, |rulebook| State::Obeyed(Arc::new(rulebook)));
        let asked = Arc::new(state.rulebook().unwrap_or(&Rulebook::default()).narrow(&key_ring));
        let bundle = match &self.origin {
            Origin::Files(_) => None,
            Origin::Bundle(bundled) => bundled.version(),
        };
        let due = state.rulebook().and_then(|rulebook| rulebook.next_change(self.now));
        InForce { state, key_ring, asked, bundle, at: self.now, due }
    }

    /// A list that denies must be known to be obeyed, one that only allows need not.
    fn rulebook(&self) -> Result<Rulebook, State> {
        if self.trust.lost() {
            return Err(State::TrustLost { folder: self.state_dir.clone() });
        }
        let (rules, denied, system) = match &self.origin {
            Origin::Files(files) => (files.rules()?, None, None),
            Origin::Bundle(bundled) => {
                (bundled.rules(&self.trust)?, bundled.deny_list(), bundled.system_policy())
            }
        };
        let deny_list = self.deny_list.optional()?;
        Ok(Rulebook {
            policy: Some(rules.policy),
            platform_policy: rules.platform_policy,
            deny_list: denied.map_or_else(|| Arc::clone(&deny_list), |more| Arc::new(deny_list.union(more))),
            system_policy: match system {
                Some(system) => Arc::clone(system),
                None => self.system_policy.optional().unwrap_or_default(),
            },
            break_glass: Arc::new(self.granted.in_force()),
            ..self.settings.rulebook.clone()
        })
    }

    /// What became of the policy.
    #[must_use]
    pub fn policy_status(&self) -> DocumentStatus {
        match &self.origin {
            Origin::Files(files) => files.policy_status(),
            Origin::Bundle(bundled) => bundled.policy_status(&self.trust),
        }
    }

    /// What became of the documents beside policy and attestors, of those that are there.
    #[must_use]
    pub fn other_statuses(&self) -> Vec<DocumentStatus> {
        let mut statuses = match &self.origin {
            Origin::Files(files) => files.platform_policy_status().into_iter().collect(),
            Origin::Bundle(bundled) => bundled.other_statuses(),
        };
        statuses.extend(self.own_statuses());
        statuses
    }

    /// Of the lists that are always files of this node.
    fn own_statuses(&self) -> impl Iterator<Item = DocumentStatus> {
        let lists = [self.deny_list.optional_status(), self.system_policy.optional_status()];
        lists.into_iter().flatten()
    }

    /// What became of each attestor document.
    #[must_use]
    pub fn attestor_statuses(&self) -> Vec<DocumentStatus> {
        match &self.origin {
            Origin::Files(files) => files.attestor_statuses(),
            Origin::Bundle(bundled) => bundled.attestor_statuses(),
        }
    }

    /// What became of the policy bundle, where bundles are obeyed.
    #[must_use]
    pub fn bundle_status(&self) -> Option<BundleStatus> {
        let Origin::Bundle(bundled) = &self.origin else { return None };
        let system = bundled.system_policy().map(|_| &self.system_policy.path);
        let local = self.settings.local.iter().chain(system).cloned();
        Some(bundled.status(self.now, &self.trust, local))
    }

    /// What became of break-glass grants, those of this moment and those that are over.
    #[must_use]
    pub fn break_glass_status(&self, now: SystemTime) -> BreakGlassStatus {
        self.granted.status(now)
    }

    /// What lets images through that the policy refuses, one line each.
    #[must_use]
    pub fn break_glass_alarms(&self, now: SystemTime) -> Vec<String> {
        self.granted.alarms(now)
    }

    /// Revokes break-glass grants by their serials, at once and for good.
    ///
    /// # Errors
    /// Why it is not for good.
    pub fn revoke(&mut self, serials: &[Serial], now: SystemTime) -> Result<(), String> {
        self.now = now;
        self.granted.revoke(serials, now, &mut self.trust)
    }

    /// Counts decisions that break-glass grants have let through, by their serials.
    pub fn count_uses(&mut self, uses: &BTreeMap<String, u64>) {
        self.granted.count(uses);
    }

    /// Whether bundles are obeyed, and none is in force.
    #[must_use]
    pub fn lacks_bundle(&self) -> bool {
        matches!(&self.origin, Origin::Bundle(bundled) if bundled.version().is_none())
    }

    /// What is remembered, as it lies on disk.
    #[must_use]
    pub fn trust_report(&self) -> TrustReport {
        trust::report(&self.state_dir)
    }

    /// The bundle that was accepted last, as it was signed; none where no bundles are obeyed.
    #[must_use]
    pub fn kept_bundle(&self) -> Option<String> {
        match &self.origin {
            Origin::Files(_) => None,
            Origin::Bundle(_) => self.trust.bundle().map(|kept| kept.envelope.clone()),
        }
    }

    /// The latest time that was ever seen.
    #[must_use]
    pub fn seen(&self) -> Option<SystemTime> {
        self.trust.mark()
    }

    /// Writes the time down, for the next start.
    pub fn mark(&mut self, now: SystemTime) {
        self.granted.keep(now, &mut self.trust);
        self.trust.mark_time(now);
    }

    /// Forgets what is remembered, on disk and here, and reads everything again.
    ///
    /// # Errors
    /// See [`ResetError`]; nothing is forgotten then.
    pub fn forget(&mut self, what: Forget, now: SystemTime) -> Result<(), ResetError> {
        self.trust.reset(what, now)?;
        self.reload(now);
        Ok(())
    }

    /// Everything that is wrong with the documents or with keeping them, one line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (statuses, others): (Vec<_>, Vec<_>) = match &self.origin {
            Origin::Files(files) => {
                let first = std::iter::once(files.policy_status()).chain(files.platform_policy_status());
                let statuses = first.chain(self.own_statuses()).chain(files.attestor_statuses());
                (statuses.collect(), files.problems().collect())
            }
            Origin::Bundle(bundled) => {
                (self.own_statuses().collect(), bundled.problems(self.now, &self.trust))
            }
        };
        let of_documents = statuses.into_iter().filter_map(|status| {
            let problem = status.problem?;
            Some(format!("{}: {problem} ({})", status.path.display(), status.state))
        });
        of_documents.chain(others).chain(self.granted.problems()).chain(self.trust.problems()).collect()
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
        let (mut singles, folder) = match &self.origin {
            Origin::Files(files) => files.paths(),
            Origin::Bundle(bundled) => bundled.paths(),
        };
        singles.extend([self.deny_list.path.as_path(), &self.system_policy.path]);
        let (keys, grants) = self.granted.paths();
        singles.extend(keys);
        singles.iter().for_each(|path| file(path));
        for folder in folder.into_iter().chain([grants]) {
            file(folder);
            if let Ok(entries) = std::fs::read_dir(folder) {
                let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
                paths.sort();
                paths.iter().for_each(|path| file(path));
            }
        }
        let above = singles.iter().flat_map(|path| path.ancestors().skip(1));
        let folders = folder.into_iter().chain([grants]).flat_map(Path::ancestors);
        for folder in above.chain(folders) {
            if let Ok(meta) = std::fs::metadata(folder) {
                (folder, meta.mode(), meta.uid()).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
