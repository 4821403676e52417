//! Policy, platform policy and attestors as files of this node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::single::{Single, key, read_attestor, read_platform_policy, read_policy};
use super::{Rules, State};
use crate::attestation::Attestor;
use crate::config::slot::{DocumentStatus, Presence, Slot};
use crate::config::{Config, trust, trusted};
use crate::policy::{Options, PlatformPolicy, Policy};

/// The files, document by document.
#[derive(Debug)]
pub(super) struct Files {
    policy: Single<Policy>,
    platform_policy: Option<Single<PlatformPolicy>>,
    folder: PathBuf,
    attestors: BTreeMap<PathBuf, Slot<Attestor>>,
    folder_problem: Option<String>,
    options: Options,
}

impl Files {
    pub(super) fn remember(config: &Config, options: Options, stored: &trust::Documents) -> Self {
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
        Self {
            policy: Single::remember("policy", &config.policy, stored, read_policy(options)),
            platform_policy: platform_policy
                .map(|path| Single::remember("platform policy", path, stored, read_platform_policy)),
            folder: config.attestors.clone(),
            attestors,
            folder_problem: None,
            options,
        }
    }

    pub(super) fn read(&mut self, now: SystemTime) {
        self.policy.read(now, read_policy(self.options));
        if let Some(platform_policy) = &mut self.platform_policy {
            platform_policy.read(now, read_platform_policy);
        }
        self.read_attestors(now);
    }

    fn read_attestors(&mut self, now: SystemTime) {
        self.folder_problem = None;
        let names = match trusted::list(&self.folder) {
            Ok(names) => names,
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => {
                let problem = error.to_string();
                self.attestors.values_mut().for_each(|slot| slot.fail(problem.clone()));
                self.folder_problem = Some(problem);
                return;
            }
        };
        let paths: Vec<_> =
            names.iter().map(|name| self.folder.join(name)).filter(|path| is_document(path)).collect();
        self.attestors.retain(|path, _| paths.contains(path));
        for path in paths {
            let slot = self.attestors.entry(path.clone()).or_insert(Slot::EMPTY);
            if slot.read(&path, now, read_attestor) == Presence::Gone {
                self.attestors.remove(&path);
            }
        }
    }

    pub(super) fn rules(&self) -> Result<Rules, State> {
        Ok(Rules {
            policy: self.policy.required()?,
            platform_policy: self.platform_policy.as_ref().map(Single::required).transpose()?,
        })
    }

    pub(super) fn attestors(&self) -> impl Iterator<Item = &Arc<Attestor>> {
        self.attestors.values().filter_map(Slot::good)
    }

    pub(super) fn policy_status(&self) -> DocumentStatus {
        self.policy.required_status()
    }

    pub(super) fn platform_policy_status(&self) -> Option<DocumentStatus> {
        self.platform_policy.as_ref().map(Single::required_status)
    }

    pub(super) fn attestor_statuses(&self) -> Vec<DocumentStatus> {
        let name = |slot: &Slot<Attestor>| slot.good().map(|good| good.name().to_string());
        self.attestors.iter().map(|(path, slot)| slot.status(path, name(slot))).collect()
    }

    /// What is wrong beyond the documents.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        self.folder_problem.clone().into_iter()
    }

    pub(super) fn remembered(&self) -> impl Iterator<Item = (String, String)> {
        let attestors =
            self.attestors.iter().filter_map(|(path, slot)| Some((key(path), slot.text()?.clone())));
        attestors
            .chain(self.policy.remembered())
            .chain(self.platform_policy.as_ref().and_then(Single::remembered))
    }

    /// Paths of single files, and the folder whose entries count.
    pub(super) fn paths(&self) -> (Vec<&Path>, Option<&Path>) {
        let platform_policy = self.platform_policy.as_ref().map(|single| single.path.as_path());
        ([self.policy.path.as_path()].into_iter().chain(platform_policy).collect(), Some(&self.folder))
    }
}

/// Editors' leftovers and hidden files are not documents.
fn is_document(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}
