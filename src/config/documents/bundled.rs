//! Policy, platform policy, attestors and lists as they come in signed bundles.
//!
//! What was accepted is in the trust store before it is used, and is held against the node's keys again at every
//! start and whenever they change: a key that is gone takes what it has signed with it. What is refused leaves
//! the bundle in force where it is.

mod offered;
mod status;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::single::key;
use super::{Rules, State};
use crate::attestation::{Attestor, KeyId};
use crate::config::slot::{Presence, Slot};
use crate::config::trust::{self, Kept, Trust};
use crate::config::{BundleConfig, BundleOrigin};
use crate::document::Format;
use crate::policy::bundle::{Contents, Terms};
use crate::policy::{Bundle, BundleError, DenyList, Options, SealKey, SealedError, SystemPolicy};

pub use status::{BundleStatus, KeyStatus, RefusalStatus};

/// Why a bundle that was offered is not used.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] BundleError),
    /// That it was accepted could not be written down.
    #[error("version {version} is not used, because it cannot be recorded that it was accepted: {cause}")]
    NotRecorded {
        /// Its version.
        version: u64,
        /// Why not.
        cause: io::Error,
    },
    /// Nobody knows what was accepted before.
    #[error("what this node has accepted before cannot be read: run `binauthctl trust reset`")]
    TrustLost,
    /// This node obeys its own files.
    #[error("no `[policy] bundle` is configured")]
    NotConfigured,
}

/// Where bundles come from, and the one in force.
#[derive(Debug)]
pub(super) struct Bundled {
    config: BundleConfig,
    options: Options,
    keys: Vec<(PathBuf, Slot<SealKey>)>,
    /// What the kept bundle was last held against.
    tried: Vec<KeyId>,
    in_force: Option<InUse>,
    /// Why the kept one is not in force.
    problem: Option<String>,
    /// What was refused and would be again, by where it came from.
    refused: BTreeMap<String, Refusal>,
    last_refusal: Option<Refusal>,
    /// When what is there was last seen.
    fetched: Option<SystemTime>,
    /// Why it could not be seen since.
    unfetched: Option<String>,
}

#[derive(Debug)]
struct InUse {
    bundle: Arc<Bundle>,
    /// None for one from before a restart.
    accepted: Option<SystemTime>,
}

#[derive(Debug, Clone)]
struct Refusal {
    time: SystemTime,
    problem: String,
}

fn read_key(text: &str, _: Format) -> Result<SealKey, String> {
    SealKey::parse(text).map_err(|error| format!("is not a bundle key: {error}"))
}

impl Bundled {
    pub(super) fn remember(config: &BundleConfig, options: Options, stored: &trust::Documents) -> Self {
        let remember = |path: &PathBuf| {
            let text = stored.get(&key(path));
            (path.clone(), Slot::remember(path, text, read_key))
        };
        Self {
            config: config.clone(),
            options,
            keys: config.keys.iter().map(remember).collect(),
            tried: Vec::new(),
            in_force: None,
            problem: None,
            refused: BTreeMap::new(),
            last_refusal: None,
            fetched: None,
            unfetched: None,
        }
    }

    /// Reads the keys, holds what is kept against them, and looks at what is there.
    pub(super) fn read(&mut self, now: SystemTime, trust: &mut Trust) {
        for (path, slot) in &mut self.keys {
            if slot.read(path, now, read_key) == Presence::Gone {
                *slot = Slot::EMPTY;
                slot.fail(format!("`{}` does not exist", path.display()));
            }
        }
        self.revive(trust.bundle());
        if let BundleOrigin::Path(path) = &self.config.origin {
            let path = path.clone();
            self.read_path(&path, now, trust);
        }
    }

    /// What is kept is in force as long as it holds under the keys of now.
    fn revive(&mut self, kept: Option<&Kept>) {
        let Some(kept) = kept else {
            (self.in_force, self.problem) = (None, None);
            return;
        };
        let keys = self.keys();
        let ids: Vec<_> = keys.iter().map(|key| key.id().clone()).collect();
        let is_kept = |used: &InUse| Some(used.bundle.rank()) == kept.rank();
        let settled = self.problem.is_some() || self.in_force.as_ref().is_some_and(is_kept);
        if settled && self.tried == ids {
            return;
        }
        self.tried = ids;
        let accepted = self.in_force.as_ref().filter(|used| is_kept(used)).and_then(|used| used.accepted);
        match Bundle::verify_kept(kept.envelope.as_bytes(), self.terms(&keys)) {
            Ok(bundle) => {
                (self.in_force, self.problem) = (Some(InUse { bundle: Arc::new(bundle), accepted }), None);
            }
            Err(error) => (self.in_force, self.problem) = (None, Some(error.to_string())),
        }
    }

    /// Takes what somebody has fetched.
    pub(super) fn offer(
        &mut self,
        bytes: &[u8],
        now: SystemTime,
        trust: &mut Trust,
    ) -> Result<bool, OfferError> {
        let from = self.config.origin.to_string();
        (self.fetched, self.unfetched) = (Some(now), None);
        let taken = self.check(bytes, trust).and_then(|offered| self.take(offered, bytes, now, trust));
        match &taken {
            Ok(_) => self.refused.clear(),
            Err(error) => self.refuse(from, error, now),
        }
        taken
    }

    pub(super) fn fetched(&mut self, now: SystemTime) {
        (self.fetched, self.unfetched) = (Some(now), None);
    }

    pub(super) fn fetch_failed(&mut self, problem: String) {
        self.unfetched = Some(problem);
    }

    /// Reads an offer; `None` where it is the one in force, byte for byte.
    fn check(&self, bytes: &[u8], trust: &Trust) -> Result<Option<Bundle>, OfferError> {
        if trust.lost() {
            return Err(OfferError::TrustLost);
        }
        let is_kept = trust.bundle().is_some_and(|kept| kept.envelope.as_bytes() == bytes);
        if is_kept && self.in_force.is_some() {
            return Ok(None);
        }
        // Its time is looked at once it is known that it was not accepted before.
        Ok(Some(Bundle::verify_kept(bytes, self.terms(&self.keys()))?))
    }

    /// Puts a bundle in force, if it may follow and it could be recorded.
    fn take(
        &mut self,
        offered: Option<Bundle>,
        bytes: &[u8],
        now: SystemTime,
        trust: &mut Trust,
    ) -> Result<bool, OfferError> {
        let Some(bundle) = offered else { return Ok(false) };
        let rank = bundle.rank();
        if self.in_force.as_ref().is_some_and(|used| used.bundle.rank() == rank) {
            return Ok(false);
        }
        let highest = trust.bundle().and_then(Kept::rank);
        if let Some(highest) = highest {
            highest.admits(rank)?;
        }
        if highest != Some(rank) {
            bundle.contents().within_time(now)?;
        }
        let envelope =
            String::from_utf8(bytes.to_vec()).map_err(|_| BundleError::from(SealedError::Encoding))?;
        trust
            .record(Kept::new(rank, envelope), now)
            .map_err(|cause| OfferError::NotRecorded { version: rank.version, cause })?;
        self.in_force = Some(InUse { bundle: Arc::new(bundle), accepted: Some(now) });
        self.problem = None;
        self.tried = self.keys().iter().map(|key| key.id().clone()).collect();
        Ok(true)
    }

    fn refuse(&mut self, from: String, problem: impl ToString, now: SystemTime) {
        let problem = problem.to_string();
        let same = self.refused.get(&from).filter(|refusal| refusal.problem == problem);
        let refusal = Refusal { time: same.map_or(now, |same| same.time), problem };
        self.last_refusal = Some(refusal.clone());
        self.refused.insert(from, refusal);
    }

    fn keys(&self) -> Vec<SealKey> {
        self.keys.iter().filter_map(|(_, slot)| slot.good()).map(|key| SealKey::clone(key)).collect()
    }

    fn terms<'a>(&'a self, keys: &'a [SealKey]) -> Terms<'a> {
        Terms { keys, project: &self.config.project, options: self.options }
    }

    pub(super) fn rules(&self, trust: &Trust) -> Result<Rules, State> {
        if let Some(contents) = self.contents() {
            return Ok(Rules {
                policy: Arc::clone(&contents.policy.value),
                platform_policy: contents.platform_policy.as_ref().map(|one| Arc::clone(&one.value)),
            });
        }
        if let (Some(kept), Some(problem)) = (trust.bundle(), &self.problem) {
            return Err(State::BundleRefused { version: kept.version, problem: problem.clone() });
        }
        let problem = self.unfetched.clone().or_else(|| {
            self.refused.iter().next().map(|(from, refusal)| format!("`{from}`: {}", refusal.problem))
        });
        Err(State::NoBundle { from: self.config.origin.to_string(), problem })
    }

    pub(super) fn deny_list(&self) -> Option<&DenyList> {
        Some(&self.contents()?.deny_list.as_ref()?.value)
    }

    pub(super) fn system_policy(&self) -> Option<&Arc<SystemPolicy>> {
        Some(&self.contents()?.system_policy.as_ref()?.value)
    }

    pub(super) fn attestors(&self) -> impl Iterator<Item = &Arc<Attestor>> {
        self.contents().into_iter().flat_map(|contents| &contents.attestors).map(|one| &one.value)
    }

    pub(super) fn version(&self) -> Option<u64> {
        Some(self.contents()?.version())
    }

    fn contents(&self) -> Option<&Contents> {
        Some(self.in_force.as_ref()?.bundle.contents())
    }

    pub(super) fn remembered(&self) -> impl Iterator<Item = (String, String)> {
        self.keys.iter().filter_map(|(path, slot)| Some((key(path), slot.text()?.clone())))
    }

    /// Paths of single files, and the folder whose entries count.
    pub(super) fn paths(&self) -> (Vec<&Path>, Option<&Path>) {
        let keys = self.keys.iter().map(|(path, _)| path.as_path());
        match &self.config.origin {
            BundleOrigin::Path(path) => (keys.chain([path.as_path()]).collect(), Some(path)),
            BundleOrigin::Url(_) => (keys.collect(), None),
        }
    }
}
