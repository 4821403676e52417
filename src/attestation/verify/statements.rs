//! Statements that were verified, which of them are kept, and where each is filed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::attestation::attestor::project_of_occurrence;
use crate::attestation::dsse::Envelope;
use crate::attestation::key::KeyId;
use crate::attestation::occurrence::{Form, Occurrence, Signature};
use crate::attestation::statement::{Predicate, Statement};

/// The most verified statements of one signer that are kept for a digest.
const MAX_STATEMENTS: usize = 64;

/// The most projects that are kept of those that one statement is filed in.
const MAX_PROJECTS: usize = 64;

/// Proof that a key of a signer signed an in-toto statement about a digest.
#[derive(Debug, Clone)]
pub struct VerifiedStatement {
    pub(super) key_id: KeyId,
    /// Every project that it is filed in, by the names of occurrences.
    pub(super) projects: BTreeSet<String>,
    pub(super) statement: Statement,
}

impl VerifiedStatement {
    /// With which key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Whether it is filed in one of these projects, here or anywhere else.
    #[must_use]
    pub fn is_filed_in(&self, projects: &[String]) -> bool {
        projects.iter().any(|project| self.projects.contains(project))
    }

    /// What it says.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// The statements of one signer about a digest.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    /// Of scans only the newest.
    pub verified: Vec<VerifiedStatement>,
    /// Whether everything that may be one was looked at.
    pub complete: bool,
}

/// Where each envelope lies: a check may look in some projects only, and whoever files a copy elsewhere
/// must not move it there.
pub(super) struct Filings<'a>(Vec<(&'a Envelope, Option<&'a str>)>);

impl<'a> Filings<'a> {
    pub(super) fn of(occurrences: &[&'a Occurrence]) -> Self {
        let mut filings = Vec::new();
        for occurrence in occurrences {
            let project = project_of_occurrence(&occurrence.note, &occurrence.name);
            let mut last = std::ptr::null();
            for signature in &occurrence.signatures {
                if let Form::Dsse(envelope) = &signature.form
                    && Arc::as_ptr(envelope) != last
                {
                    last = Arc::as_ptr(envelope);
                    filings.push((envelope.as_ref(), project));
                }
            }
        }
        Self(filings)
    }

    /// The projects that what is signed here is filed in; `None` where they are more than are kept.
    pub(super) fn projects(&self, signature: &Signature) -> Option<BTreeSet<String>> {
        let Form::Dsse(signed) = &signature.form else { return None };
        let mut projects = BTreeSet::new();
        for (envelope, project) in &self.0 {
            if let Some(project) = project.filter(|project| !projects.contains(*project))
                && **envelope == **signed
            {
                projects.insert(project.to_owned());
                if projects.len() > MAX_PROJECTS {
                    return None;
                }
            }
        }
        Some(projects)
    }
}

impl Statements {
    /// Of scans the newest alone can decide, so those before it need no room; but for those that are filed
    /// where it is not.
    pub(super) fn add(&mut self, statement: VerifiedStatement) {
        if let Some(finished) = scanned(&statement) {
            let newer = |other: &VerifiedStatement| scanned(other).is_some_and(|other| other > finished);
            let older = |other: &VerifiedStatement| scanned(other).is_some_and(|other| other < finished);
            let covered =
                |one: &VerifiedStatement, by: &VerifiedStatement| one.projects.is_subset(&by.projects);
            if self.verified.iter().any(|other| newer(other) && covered(&statement, other)) {
                return;
            }
            self.verified.retain(|other| !(older(other) && covered(other, &statement)));
        }
        if self.verified.len() < MAX_STATEMENTS {
            self.verified.push(statement);
        } else {
            self.complete = false;
        }
    }
}

fn scanned(statement: &VerifiedStatement) -> Option<SystemTime> {
    match &statement.statement.predicate {
        Predicate::Scan(scan) => Some(scan.finished),
        _ => None,
    }
}
