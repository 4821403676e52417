//! What is told of bundles.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::Serialize;

use super::Bundled;
use crate::config::slot::DocumentStatus;
use crate::config::trust::Trust;
use crate::document::Version;

/// What became of the policy bundle.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleStatus {
    /// Where bundles come from.
    pub from: String,
    /// Whose are obeyed.
    pub project: String,
    /// Of the one in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Of its payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When it expires or has expired, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether it has.
    pub expired: bool,
    /// The key that has signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// When it was accepted, RFC 3339; none for one from before a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// How long ago it was last seen what there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched_seconds_ago: Option<u64>,
    /// No lower version is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest: Option<u64>,
    /// What was refused last, also where something was accepted since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<RefusalStatus>,
    /// What bundles are held against.
    pub keys: Vec<KeyStatus>,
    /// Files of this node that are there and count for nothing.
    pub left_aside: Vec<PathBuf>,
}

/// A refused bundle.
#[derive(Debug, Clone, Serialize)]
pub struct RefusalStatus {
    /// When, RFC 3339.
    pub time: String,
    /// Why.
    pub problem: String,
}

/// A bundle key.
#[derive(Debug, Clone, Serialize)]
pub struct KeyStatus {
    /// Its file.
    pub path: PathBuf,
    /// `ni:///sha-256;…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why the file as it stands does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

impl Bundled {
    pub(in super::super) fn status(
        &self,
        now: SystemTime,
        trust: &Trust,
        local: impl Iterator<Item = PathBuf>,
    ) -> BundleStatus {
        let contents = self.contents();
        let used = self.in_force.as_ref();
        let keys = self.keys.iter().map(|(path, slot)| KeyStatus {
            path: path.clone(),
            id: slot.good().map(|key| key.id().to_string()),
            problem: slot.problem().cloned(),
        });
        BundleStatus {
            from: self.config.origin.to_string(),
            project: self.config.project.clone(),
            version: self.version(),
            digest: contents.map(|contents| contents.digest().to_string()),
            expires: contents.map(|contents| contents.expires()),
            expired: contents.is_some_and(|contents| contents.is_expired(now)),
            signer: used.map(|used| used.bundle.signer().to_string()),
            accepted: used.and_then(|used| used.accepted).map(rfc3339),
            fetched_seconds_ago: self
                .fetched
                .map(|fetched| now.duration_since(fetched).unwrap_or_default().as_secs()),
            highest: trust.bundle().map(|kept| kept.version),
            last_refusal: self.last_refusal.as_ref().map(|refusal| RefusalStatus {
                time: rfc3339(refusal.time),
                problem: refusal.problem.clone(),
            }),
            keys: keys.collect(),
            left_aside: local.filter(|path| path.exists()).collect(),
        }
    }

    /// Everything that is wrong, one line each.
    pub(in super::super) fn problems(&self, now: SystemTime, trust: &Trust) -> Vec<String> {
        let mut problems = Vec::new();
        let stays = match self.version() {
            Some(version) => format!("version {version} stays in force"),
            None => "nothing is obeyed".to_owned(),
        };
        for (path, slot) in &self.keys {
            problems.extend(slot.problem().map(|problem| {
                let use_of_it = if slot.good().is_some() { "last good" } else { "refused" };
                format!("bundle key: {}: {problem} ({use_of_it})", path.display())
            }));
        }
        if let (Some(kept), Some(problem)) = (trust.bundle(), &self.problem) {
            problems.push(format!(
                "policy bundle: version {} cannot be obeyed any more: {problem}",
                kept.version
            ));
        }
        let told = self.problem.is_some() || self.unfetched.is_some() || !self.refused.is_empty();
        if self.in_force.is_none() && !told {
            problems.push(format!("policy bundle: none has been accepted from `{}`", self.config.origin));
        }
        if let Some(contents) = self.contents().filter(|contents| contents.is_expired(now)) {
            let (version, expires) = (contents.version(), contents.expires());
            problems.push(format!(
                "policy bundle: version {version} expired at {expires} and stays in force: a later one is due"
            ));
        }
        problems.extend(self.refused.iter().map(|(from, refusal)| {
            format!("policy bundle: `{from}` is refused: {}; {stays}", refusal.problem)
        }));
        problems.extend(self.unfetched.iter().map(|problem| {
            format!("policy bundle: `{}` cannot be read: {problem}; {stays}", self.config.origin)
        }));
        problems
    }

    /// What became of the documents in it: the policy first, then those beside it, then attestors.
    pub(in super::super) fn document_status(
        &self,
        name: String,
        member: &str,
        version: &Version,
    ) -> DocumentStatus {
        let accepted = self.in_force.as_ref().and_then(|used| used.accepted);
        DocumentStatus {
            path: format!("{}#{member}", self.config.origin).into(),
            name: Some(name),
            state: if self.refused.is_empty() { "current" } else { "last good" },
            version: Some(version.clone()),
            loaded: accepted.map(rfc3339),
            problem: None,
        }
    }

    pub(in super::super) fn policy_status(&self, trust: &Trust) -> DocumentStatus {
        if let Some(contents) = self.contents() {
            let policy = &contents.policy;
            return self.document_status("policy".to_owned(), &policy.name, &policy.version);
        }
        let hindrance = self.rules(trust).err().and_then(|state| state.hindrance());
        DocumentStatus {
            path: self.config.origin.to_string().into(),
            name: Some("policy".to_owned()),
            state: "refused",
            version: None,
            loaded: None,
            problem: hindrance.map(|hindrance| hindrance.cause),
        }
    }

    /// Of the documents beside policy and attestors.
    pub(in super::super) fn other_statuses(&self) -> Vec<DocumentStatus> {
        let members = self.contents().into_iter().flat_map(|contents| contents.members());
        let others = members.filter(|(what, ..)| !matches!(*what, "policy" | "attestor"));
        others.map(|(what, name, version)| self.document_status(what.to_owned(), name, version)).collect()
    }

    pub(in super::super) fn attestor_statuses(&self) -> Vec<DocumentStatus> {
        let attestors = self.contents().into_iter().flat_map(|contents| &contents.attestors);
        attestors
            .map(|one| self.document_status(one.value.name().to_string(), &one.name, &one.version))
            .collect()
    }
}
