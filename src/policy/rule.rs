//! Admission rules: how an image is evaluated and what a failure does.

use serde::{Deserialize, Serialize};

use crate::attestation::{AttestorName, NameError};

/// The most attestors one rule may require.
pub const MAX_ATTESTORS: usize = 128;

/// How an image is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvaluationMode {
    /// `ALWAYS_ALLOW`.
    AlwaysAllow,
    /// `ALWAYS_DENY`.
    AlwaysDeny,
    /// `REQUIRE_ATTESTATION` by every one of these: at least one, each named once.
    RequireAttestation(Vec<AttestorName>),
}

impl EvaluationMode {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AlwaysAllow => "ALWAYS_ALLOW",
            Self::AlwaysDeny => "ALWAYS_DENY",
            Self::RequireAttestation(_) => "REQUIRE_ATTESTATION",
        }
    }
}

/// What a failed evaluation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnforcementMode {
    /// `ENFORCED_BLOCK_AND_AUDIT_LOG`.
    Enforced,
    /// `DRYRUN_AUDIT_LOG_ONLY`: allowed all the same, and recorded as what it would have been.
    DryRun,
}

impl EnforcementMode {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "ENFORCED_BLOCK_AND_AUDIT_LOG",
            Self::DryRun => "DRYRUN_AUDIT_LOG_ONLY",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionRule {
    /// How an image is evaluated.
    pub evaluation: EvaluationMode,
    /// What a failure does.
    pub enforcement: EnforcementMode,
}

/// `AdmissionRule` as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleDocument {
    /// Required; `ALWAYS_ALLOW`, `REQUIRE_ATTESTATION` or `ALWAYS_DENY`.
    #[serde(default)]
    pub evaluation_mode: Option<String>,
    /// Required; `ENFORCED_BLOCK_AND_AUDIT_LOG` or `DRYRUN_AUDIT_LOG_ONLY`.
    #[serde(default)]
    pub enforcement_mode: Option<String>,
    /// Attestors, exactly when the mode is `REQUIRE_ATTESTATION`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_attestations_by: Vec<String>,
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A required mode is not there; neither has a safe default.
    #[error("`{0}` is missing: it has no default")]
    Missing(&'static str),
    /// No mode of that name.
    #[error("`{value}` is not an `{field}`: expected {expected}")]
    Mode {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What may.
        expected: &'static str,
    },
    /// `REQUIRE_ATTESTATION` by nobody would allow everything or nothing.
    #[error("`requireAttestationsBy` is empty: REQUIRE_ATTESTATION needs at least one attestor")]
    NoAttestors,
    /// Attestors that the mode would never ask.
    #[error("`requireAttestationsBy` is superfluous: {0} asks no attestor")]
    Superfluous(String),
    /// More than [`MAX_ATTESTORS`].
    #[error("`requireAttestationsBy` names {0} attestors, more than the {MAX_ATTESTORS} allowed")]
    TooMany(usize),
    /// A name that is none.
    #[error("`requireAttestationsBy`: {0}")]
    Attestor(#[from] NameError),
}

const EVALUATION: &str = "ALWAYS_ALLOW, REQUIRE_ATTESTATION or ALWAYS_DENY";
const ENFORCEMENT: &str = "ENFORCED_BLOCK_AND_AUDIT_LOG or DRYRUN_AUDIT_LOG_ONLY";

impl TryFrom<RuleDocument> for AdmissionRule {
    type Error = RuleError;

    fn try_from(document: RuleDocument) -> Result<Self, RuleError> {
        let mode = document.evaluation_mode.ok_or(RuleError::Missing("evaluationMode"))?;
        let named = document.require_attestations_by;
        let evaluation = match mode.as_str() {
            "ALWAYS_ALLOW" | "ALWAYS_DENY" if !named.is_empty() => return Err(RuleError::Superfluous(mode)),
            "ALWAYS_ALLOW" => EvaluationMode::AlwaysAllow,
            "ALWAYS_DENY" => EvaluationMode::AlwaysDeny,
            "REQUIRE_ATTESTATION" => EvaluationMode::RequireAttestation(read_attestors(&named)?),
            _ => return Err(not_a_mode("evaluationMode", mode, EVALUATION)),
        };
        let mode = document.enforcement_mode.ok_or(RuleError::Missing("enforcementMode"))?;
        let enforcement = match mode.as_str() {
            "ENFORCED_BLOCK_AND_AUDIT_LOG" => EnforcementMode::Enforced,
            "DRYRUN_AUDIT_LOG_ONLY" => EnforcementMode::DryRun,
            _ => return Err(not_a_mode("enforcementMode", mode, ENFORCEMENT)),
        };
        Ok(Self { evaluation, enforcement })
    }
}

fn read_attestors(named: &[String]) -> Result<Vec<AttestorName>, RuleError> {
    if named.is_empty() {
        return Err(RuleError::NoAttestors);
    }
    if named.len() > MAX_ATTESTORS {
        return Err(RuleError::TooMany(named.len()));
    }
    let mut attestors: Vec<AttestorName> = Vec::with_capacity(named.len());
    for name in named {
        let name = name.parse()?;
        if !attestors.contains(&name) {
            attestors.push(name);
        }
    }
    Ok(attestors)
}

fn not_a_mode(field: &'static str, value: String, expected: &'static str) -> RuleError {
    RuleError::Mode { field, value: value.chars().take(60).collect(), expected }
}
