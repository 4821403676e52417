//! What is told of break-glass.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::{Granted, Standing};
use crate::config::documents::KeyStatus;
use crate::config::trust::RevokedReport;
use crate::policy::Grant;
use crate::policy::break_glass::{Namespaces, Phase};

/// What became of grants, and what may let through what the policy refuses.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakGlassStatus {
    /// Whether a pod may ask for it by its label.
    pub pod_label: bool,
    /// The folder of grants.
    pub folder: PathBuf,
    /// What grants are held against.
    pub keys: Vec<KeyStatus>,
    /// How many hold.
    pub active: usize,
    /// Every grant in the folder.
    pub grants: Vec<GrantStatus>,
    /// Serials that count for nothing, whenever they come.
    pub revoked: Vec<RevokedReport>,
}

/// How a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantState {
    /// It lets its images run.
    InForce,
    /// It will.
    NotYet,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
    /// It is for other nodes.
    Elsewhere,
    /// It does not hold.
    Refused,
}

/// What became of a grant.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantStatus {
    /// The file.
    pub path: PathBuf,
    /// How it stands.
    pub state: GrantState,
    /// What it says, where that was signed by a key of this node.
    #[serde(flatten)]
    pub terms: Option<GrantTerms>,
    /// Why it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a grant says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantTerms {
    /// No other grant has it.
    pub serial: String,
    /// When it begins, RFC 3339.
    pub not_before: String,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// What may run.
    pub digests: Vec<String>,
    /// Where; none are all.
    pub namespaces: Vec<String>,
    /// Why.
    pub reason: String,
    /// Where more is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who granted it, by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The key that has signed it.
    pub key_id: String,
    /// How many decisions it has let through on this node.
    pub uses: u64,
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

impl GrantTerms {
    fn of(grant: &Grant, uses: u64) -> Self {
        Self {
            serial: grant.serial().to_string(),
            not_before: rfc3339(grant.not_before()),
            expires: rfc3339(grant.expires()),
            digests: grant.digests().map(|digest| digest.to_string()).collect(),
            namespaces: match grant.namespaces() {
                Namespaces::Any => Vec::new(),
                Namespaces::These(these) => these.iter().cloned().collect(),
            },
            reason: grant.reason().to_owned(),
            ticket: grant.ticket().map(str::to_owned),
            issuer: grant.issuer().map(str::to_owned),
            key_id: grant.signer().to_string(),
            uses,
        }
    }
}

impl Granted {
    pub(in super::super) fn status(&self, now: SystemTime) -> BreakGlassStatus {
        let grants: Vec<_> =
            self.grants.iter().map(|(path, standing)| self.of(path, standing, now)).collect();
        BreakGlassStatus {
            pod_label: self.config.pod_label,
            folder: self.config.grants.clone(),
            keys: self
                .keys
                .iter()
                .map(|(path, slot)| KeyStatus {
                    path: path.clone(),
                    id: slot.good().map(|key| key.id().to_string()),
                    problem: slot.problem().cloned(),
                })
                .collect(),
            active: grants.iter().filter(|grant| grant.state == GrantState::InForce).count(),
            grants,
            revoked: self
                .serials
                .revoked()
                .map(|(serial, time)| RevokedReport { serial: serial.to_owned(), time })
                .collect(),
        }
    }

    fn of(&self, path: &Path, standing: &Standing, now: SystemTime) -> GrantStatus {
        let (grant, state, problem) = match standing {
            Standing::Held(grant) => {
                let state = match grant.phase(now) {
                    Phase::NotYet => GrantState::NotYet,
                    Phase::InForce => GrantState::InForce,
                    Phase::Expired => GrantState::Expired,
                };
                (Some(grant), state, None)
            }
            Standing::Not(grant, state) => (Some(grant), *state, None),
            Standing::Refused(grant, problem) => (grant.as_ref(), GrantState::Refused, Some(problem.clone())),
        };
        GrantStatus {
            path: path.to_owned(),
            state,
            terms: grant.map(|grant| GrantTerms::of(grant, self.serials.uses(grant.serial()))),
            problem,
        }
    }

    /// Everything that is wrong, one line each.
    pub(in super::super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (path, slot) in &self.keys {
            problems.extend(slot.problem().map(|problem| {
                let use_of_it = if slot.good().is_some() { "last good" } else { "refused" };
                format!("break-glass key: {}: {problem} ({use_of_it})", path.display())
            }));
        }
        problems.extend(self.folder_problem.iter().map(|problem| format!("break-glass: {problem}")));
        for (path, standing) in &self.grants {
            if let Standing::Refused(_, problem) = standing {
                problems.push(format!("break-glass: `{}` does not count: {problem}", path.display()));
            }
        }
        let unkept = self.unkept.iter();
        problems
            .extend(unkept.map(|why| format!("break-glass: what is known of serials cannot be kept: {why}")));
        problems
    }

    /// What lets images through that the policy refuses, one line each: it holds, and everybody should know.
    pub(in super::super) fn alarms(&self, now: SystemTime) -> Vec<String> {
        let held = self.in_force();
        held.in_force(now)
            .map(|grant| {
                let digests: Vec<_> = grant.digests().map(|digest| digest.to_string()).collect();
                format!(
                    "break-glass: grant {} lets {} run in {} until {}: {}",
                    grant.serial(),
                    digests.join(", "),
                    grant.namespaces(),
                    rfc3339(grant.expires()),
                    grant.reason()
                )
            })
            .collect()
    }
}
