//! The platform policy: the `PlatformPolicy` message of Binary Authorization v1 for GKE, YAML or JSON.
//!
//! Every field is read and checked; unknown ones and what this version does not judge (Cloud Run,
//! Sigstore signatures in registries, CEL constraints) are refused by name. Google answers provenance,
//! scan and freshness checks from records of its own; here they need statements that somebody signed,
//! so such a check names who may (`binauthdAttestors`).

mod checks;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;

use super::check::{CheckKind, CheckSet, Scope};
use super::image_pattern::ImagePattern;
use crate::attestation::{Attestor, AttestorName};
use crate::document::{self, DocumentError, Format, Object, Version};
use crate::image::workload::is_label;
pub use checks::CheckError;
use wire::{CheckSetDocument, PlatformPolicyDocument, ScopeDocument};

/// What a check set that does not hold does, beside the policy's own rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlatformEnforcement {
    /// `AUDIT`: it is recorded, as Google's continuous validation does.
    #[default]
    Audit,
    /// `AUDIT_AND_DRYRUN`: and what is allowed says that it would have been refused.
    AuditAndDryRun,
    /// `AUDIT_AND_ENFORCE`: and the image is refused.
    AuditAndEnforce,
}

impl PlatformEnforcement {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "AUDIT",
            Self::AuditAndDryRun => "AUDIT_AND_DRYRUN",
            Self::AuditAndEnforce => "AUDIT_AND_ENFORCE",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Audit, Self::AuditAndDryRun, Self::AuditAndEnforce]
            .into_iter()
            .find(|one| one.as_str() == text)
    }
}

/// A platform policy in force.
#[derive(Debug, Clone)]
pub struct PlatformPolicy {
    name: Option<String>,
    description: Option<String>,
    etag: Option<String>,
    update_time: Option<String>,
    enforcement: PlatformEnforcement,
    allowlist: Vec<ImagePattern>,
    check_sets: Vec<CheckSet>,
    /// Sorted.
    attestors: Vec<AttestorName>,
    version: Version,
}

/// Why a platform policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PlatformPolicyError {
    /// Not a document of this shape.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// `name` is not that of a GKE platform policy.
    #[error("name: `{0}` is not of the form `projects/PROJECT/platforms/gke/policies/ID`")]
    Name(String),
    /// No such mode.
    #[error("binauthdEnforcementMode: `{0}` is none: expected AUDIT, AUDIT_AND_DRYRUN or AUDIT_AND_ENFORCE")]
    EnforcementMode(String),
    /// A policy for Cloud Run.
    #[error("`cloudRunPolicy` is not judged here: expected `gkePolicy`")]
    CloudRun,
    /// Nothing for GKE.
    #[error("`gkePolicy` is missing")]
    NoGkePolicy,
    /// A scope that is none.
    #[error(
        "gkePolicy.checkSets[{0}].scope: exactly one of `kubernetesNamespace` and `kubernetesServiceAccount` (NAMESPACE:SERVICEACCOUNT) is needed, in RFC 1123 labels"
    )]
    Scope(usize),
    /// Whoever no set is for would be judged by none.
    #[error("gkePolicy.checkSets[{0}]: the last check set must be the default: it has no `scope`")]
    NoDefault(usize),
    /// A set without scope before others: none behind it would ever be used.
    #[error(
        "gkePolicy.checkSets[{0}]: only the last check set may be the default: a set before it needs a `scope`"
    )]
    EarlyDefault(usize),
    /// Two sets of one scope.
    #[error("gkePolicy.checkSets[{index}]: there is a check set for `{scope}` already")]
    DuplicateScope {
        /// From 0.
        index: usize,
        /// The scope.
        scope: Scope,
    },
    /// A service account's set behind that of its namespace, which would always be used first.
    #[error("gkePolicy.checkSets[{index}]: `{scope}` must stand before the check set of its namespace")]
    Shadowed {
        /// From 0.
        index: usize,
        /// The scope.
        scope: Scope,
    },
    /// Something in a check, by its place.
    #[error("{place}: {cause}")]
    Check {
        /// Such as `gkePolicy.checkSets[0].checks[1].slsaCheck`.
        place: String,
        /// What is wrong with it.
        cause: CheckError,
    },
}

impl PlatformPolicy {
    /// Reads a platform policy.
    ///
    /// # Errors
    /// See [`PlatformPolicyError`].
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, PlatformPolicyError> {
        let Object(document): Object<PlatformPolicyDocument> = document::parse(bytes, format)?;
        check_name(document.name.as_deref())?;
        let enforcement = match document.binauthd_enforcement_mode {
            None => PlatformEnforcement::default(),
            Some(mode) => PlatformEnforcement::parse(&mode)
                .ok_or_else(|| PlatformPolicyError::EnforcementMode(mode.chars().take(60).collect()))?,
        };
        if document.cloud_run_policy.is_some() {
            return Err(PlatformPolicyError::CloudRun);
        }
        let gke = document.gke_policy.ok_or(PlatformPolicyError::NoGkePolicy)?;
        let allowlist = checks::read_allowlist(&gke.image_allowlist, "gkePolicy")?;
        let check_sets = read_check_sets(gke.check_sets)?;
        let all = check_sets.iter().flat_map(|set| &set.checks);
        let attestors: BTreeSet<_> = all.flat_map(|check| check.kind.signers()).cloned().collect();
        Ok(Self {
            name: document.name,
            description: document.description,
            etag: document.etag,
            update_time: document.update_time,
            enforcement,
            allowlist,
            check_sets,
            attestors: attestors.into_iter().collect(),
            version: Version::of(bytes),
        })
    }

    /// The check sets that could be the one for a pod of this namespace and service account, each with its
    /// place in the list, in its order: up to the first that surely is. Exactly one where both are known
    /// or the sets ask for neither; none where the policy has none, and then everything passes.
    #[must_use]
    pub fn candidates(
        &self,
        namespace: Option<&str>,
        service_account: Option<&str>,
    ) -> Vec<(usize, &CheckSet)> {
        let mut candidates = Vec::new();
        for (place, set) in self.check_sets.iter().enumerate() {
            let held = set.scope.as_ref().map_or(Some(true), |scope| scope.holds(namespace, service_account));
            if held != Some(false) {
                candidates.push((place, set));
            }
            if held == Some(true) {
                break;
            }
        }
        candidates
    }

    /// `projects/PROJECT/platforms/gke/policies/ID`, where the document has it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Free text.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Carried along.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Carried along.
    #[must_use]
    pub fn update_time(&self) -> Option<&str> {
        self.update_time.as_deref()
    }

    /// What a check set that does not hold does.
    #[must_use]
    pub fn enforcement(&self) -> PlatformEnforcement {
        self.enforcement
    }

    /// Images that no check is for.
    #[must_use]
    pub fn allowlist(&self) -> &[ImagePattern] {
        &self.allowlist
    }

    /// In the order of the document.
    #[must_use]
    pub fn check_sets(&self) -> &[CheckSet] {
        &self.check_sets
    }

    /// Of the document's bytes.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Every attestor that the document names, once: documents must define them.
    pub fn attestors(&self) -> impl Iterator<Item = &AttestorName> {
        self.attestors.iter()
    }

    /// Those whose signed statements a check needs. A platform policy names attestors for nothing else.
    pub fn signers(&self) -> impl Iterator<Item = &AttestorName> {
        self.attestors()
    }

    /// The attestors that checks define in their place.
    pub fn inline(&self) -> impl Iterator<Item = &Attestor> {
        self.check_sets.iter().flat_map(|set| &set.checks).filter_map(|check| match &check.kind {
            CheckKind::SimpleSigning { authority } => Some(authority),
            _ => None,
        })
    }
}

fn check_name(name: Option<&str>) -> Result<(), PlatformPolicyError> {
    let Some(name) = name else { return Ok(()) };
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, "platforms", "gke", "policies", id]
            if !project.is_empty() && !id.is_empty() =>
        {
            Ok(())
        }
        _ => Err(PlatformPolicyError::Name(name.chars().take(200).collect())),
    }
}

fn read_check_sets(documents: Vec<CheckSetDocument>) -> Result<Vec<CheckSet>, PlatformPolicyError> {
    let last = documents.len().saturating_sub(1);
    let mut scopes = BTreeSet::new();
    let mut sets = Vec::with_capacity(documents.len());
    for (index, document) in documents.into_iter().enumerate() {
        let scope = document.scope.map(|scope| read_scope(index, scope)).transpose()?;
        match &scope {
            None if index != last => return Err(PlatformPolicyError::EarlyDefault(index)),
            None => {}
            Some(_) if index == last => return Err(PlatformPolicyError::NoDefault(index)),
            Some(scope) if !scopes.insert(scope.clone()) => {
                return Err(PlatformPolicyError::DuplicateScope { index, scope: scope.clone() });
            }
            Some(scope @ Scope::ServiceAccount { namespace, .. })
                if scopes.contains(&Scope::Namespace(namespace.clone())) =>
            {
                return Err(PlatformPolicyError::Shadowed { index, scope: scope.clone() });
            }
            Some(_) => {}
        }
        let place = format!("gkePolicy.checkSets[{index}]");
        let allowlist = checks::read_allowlist(&document.image_allowlist, &place)?;
        let checks = checks::read(index, document.checks)?;
        sets.push(CheckSet { name: document.display_name, scope, allowlist, checks });
    }
    Ok(sets)
}

fn read_scope(index: usize, document: ScopeDocument) -> Result<Scope, PlatformPolicyError> {
    let scope = match (document.kubernetes_namespace, document.kubernetes_service_account) {
        (Some(namespace), None) if is_label(&namespace) => Some(Scope::Namespace(namespace)),
        (None, Some(text)) => text
            .split_once(':')
            .filter(|(namespace, account)| is_label(namespace) && account.split('.').all(is_label))
            .map(|(namespace, account)| Scope::ServiceAccount {
                namespace: namespace.to_owned(),
                account: account.to_owned(),
            }),
        _ => None,
    };
    scope.ok_or(PlatformPolicyError::Scope(index))
}
