//! What the log tells of the documents: what is in force, and what is wrong with them.

use std::sync::PoisonError;
use std::time::SystemTime;

use serde::Serialize;

use super::Engine;
use crate::config::{InForce, State};
use crate::document::Version;

/// The last time a reload found something wrong.
#[derive(Debug, Clone, Serialize)]
pub(in crate::daemon) struct LastProblem {
    pub(in crate::daemon) time: String,
    pub(in crate::daemon) problems: Vec<String>,
}

impl Engine {
    /// Says what has become wrong with the documents since `before`, and what no longer is.
    pub(super) fn announce_problems(&self, before: &[String]) {
        let problems = self.documents().problems();
        for problem in problems.iter().filter(|problem| !before.contains(problem)) {
            tracing::warn!("{problem}");
        }
        for problem in before.iter().filter(|problem| !problems.contains(problem)) {
            tracing::info!("no longer: {problem}");
        }
        if !problems.is_empty() {
            let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            let last = LastProblem { time, problems };
            *self.last_problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        }
    }

    /// Says what is in force.
    pub(super) fn announce_versions(&self) {
        let in_force = self.in_force();
        let key_ring = in_force.key_ring.version();
        match &in_force.state {
            State::Obeyed(rulebook) => {
                let policy = rulebook.policy.as_ref().map(|policy| tracing::field::display(policy.version()));
                let platform =
                    rulebook.platform_policy.as_ref().map(|policy| tracing::field::display(policy.version()));
                let (denied, system) = (rulebook.deny_list.len(), rulebook.system_policy.len());
                let bundle = in_force.bundle;
                tracing::info!(bundle, policy, platform_policy = platform, denied, system, %key_ring, "in force");
            }
            state => {
                if let Some(why) = state.hindrance() {
                    tracing::error!("every image is refused: {} ({})", why.cause, why.reason);
                }
            }
        }
    }
}

/// Versions of everything that is in force.
pub(super) fn versions(in_force: &InForce) -> [Option<Version>; 7] {
    let rulebook = in_force.state.rulebook();
    [
        in_force.bundle.map(|version| Version::of(&version.to_be_bytes())),
        rulebook.and_then(|book| Some(book.policy.as_ref()?.version().clone())),
        rulebook.and_then(|book| Some(book.platform_policy.as_ref()?.version().clone())),
        rulebook.and_then(|book| book.deny_list.version().cloned()),
        rulebook.and_then(|book| book.system_policy.version().cloned()),
        Some(in_force.key_ring.version().clone()),
        rulebook.and_then(|book| book.break_glass.version(in_force.at)),
    ]
}
