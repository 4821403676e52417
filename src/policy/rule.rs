//! Admission rules: how an image is evaluated and what a failure does.

use serde::{Deserialize, Serialize};

use super::freshness::{Freshness, OnStale, read_span};
use super::hint;
use crate::attestation::{AttestorName, NameError};
use crate::text;

/// The most attestors one rule may require.
pub const MAX_ATTESTORS: usize = 128;

/// How an image is evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// One rule. Serialized, it is `AdmissionRule` as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "RuleDocument")]
pub struct AdmissionRule {
    /// How an image is evaluated.
    pub evaluation: EvaluationMode,
    /// What a failure does.
    pub enforcement: EnforcementMode,
    /// How old the evidence may be that satisfies it.
    pub freshness: Freshness,
}

impl AdmissionRule {
    /// Attestors that it requires, each once; empty unless it is `REQUIRE_ATTESTATION`.
    #[must_use]
    pub fn attestors(&self) -> &[AttestorName] {
        match &self.evaluation {
            EvaluationMode::RequireAttestation(attestors) => attestors,
            EvaluationMode::AlwaysAllow | EvaluationMode::AlwaysDeny => &[],
        }
    }
}

/// `AdmissionRule` as it is written, its fields in the order of the proto.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleDocument {
    /// Required; `ALWAYS_ALLOW`, `REQUIRE_ATTESTATION` or `ALWAYS_DENY`.
    #[serde(alias = "evaluation_mode")]
    pub evaluation_mode: Option<String>,
    /// Attestors, exactly when the mode is `REQUIRE_ATTESTATION`.
    #[serde(alias = "require_attestations_by", skip_serializing_if = "Option::is_none")]
    pub require_attestations_by: Option<Vec<String>>,
    /// Required; `ENFORCED_BLOCK_AND_AUDIT_LOG` or `DRYRUN_AUDIT_LOG_ONLY`.
    #[serde(alias = "enforcement_mode")]
    pub enforcement_mode: Option<String>,
    /// The greatest age of evidence, such as `24h`; ours. Only where the mode is `REQUIRE_ATTESTATION`.
    #[serde(alias = "binauthd_max_staleness", skip_serializing_if = "Option::is_none")]
    pub binauthd_max_staleness: Option<String>,
    /// What becomes of older evidence, `DENY` or `ALLOW`; ours. Only where the mode is `REQUIRE_ATTESTATION`.
    #[serde(alias = "binauthd_on_stale", skip_serializing_if = "Option::is_none")]
    pub binauthd_on_stale: Option<String>,
}

impl From<AdmissionRule> for RuleDocument {
    fn from(rule: AdmissionRule) -> Self {
        let named: Vec<_> = rule.attestors().iter().map(ToString::to_string).collect();
        Self {
            evaluation_mode: Some(rule.evaluation.as_str().to_owned()),
            require_attestations_by: Some(named).filter(|named| !named.is_empty()),
            enforcement_mode: Some(rule.enforcement.as_str().to_owned()),
            binauthd_max_staleness: rule
                .freshness
                .max_staleness
                .map(|span| humantime::format_duration(span).to_string().replace(' ', "")),
            binauthd_on_stale: rule.freshness.on_stale.map(|on_stale| on_stale.as_str().to_owned()),
        }
    }
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A required mode is not there; neither has a safe default.
    #[error("`{0}` is missing: it has no default, write it out")]
    Missing(&'static str),
    /// No mode of that name.
    #[error("`{value}` is not an `{field}`: {}", hint::expected(.meant, .expected))]
    Mode {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What may.
        expected: &'static str,
        /// What was probably meant.
        meant: Option<&'static str>,
    },
    /// `REQUIRE_ATTESTATION` by nobody would allow everything or nothing.
    #[error("`requireAttestationsBy` is empty: REQUIRE_ATTESTATION needs at least one attestor")]
    NoAttestors,
    /// Attestors that the mode would never ask.
    #[error("`requireAttestationsBy` is superfluous: {0} asks no attestor")]
    Superfluous(String),
    /// Bounds of an age where nothing is asked that has one.
    #[error("`{field}` is superfluous: {mode} needs no evidence that could be old")]
    NothingStale {
        /// The field.
        field: &'static str,
        /// The evaluation mode.
        mode: &'static str,
    },
    /// Not a span of time.
    #[error("binauthdMaxStaleness: `{0}` is not a span of time: expected for example `24h` or `86400s`")]
    Span(String),
    /// No such word.
    #[error("binauthdOnStale: `{0}` is none: expected DENY or ALLOW")]
    OnStale(String),
    /// More than [`MAX_ATTESTORS`].
    #[error("`requireAttestationsBy` names {0} attestors, more than the {MAX_ATTESTORS} allowed")]
    TooMany(usize),
    /// A name that is none, by its place in the list.
    #[error("requireAttestationsBy[{index}]: {cause}")]
    Attestor {
        /// From 0.
        index: usize,
        /// What is wrong with it.
        cause: NameError,
    },
}

/// A field of modes: its name, what may stand there, and what others write for that.
struct Modes {
    field: &'static str,
    expected: &'static str,
    also_written: &'static [(&'static str, &'static [&'static str])],
}

const EVALUATION: Modes = Modes {
    field: "evaluationMode",
    expected: "ALWAYS_ALLOW, REQUIRE_ATTESTATION or ALWAYS_DENY",
    also_written: &[
        ("ALWAYS_ALLOW", &["ALLOW", "ALLOW_ALL", "ALLOW_ALWAYS"]),
        ("REQUIRE_ATTESTATION", &["REQUIRE_ATTESTATIONS", "REQUIRE_ATTESTATIONS_BY", "ATTESTATION_REQUIRED"]),
        ("ALWAYS_DENY", &["DENY", "DENY_ALL", "DENY_ALWAYS", "BLOCK", "BLOCK_ALL"]),
    ],
};

const ENFORCEMENT: Modes = Modes {
    field: "enforcementMode",
    expected: "ENFORCED_BLOCK_AND_AUDIT_LOG or DRYRUN_AUDIT_LOG_ONLY",
    also_written: &[
        (
            "ENFORCED_BLOCK_AND_AUDIT_LOG",
            &["ENFORCE", "ENFORCED", "ENFORCING", "ENFORCING_MODE", "ENFORCED_BLOCK", "BLOCK"],
        ),
        (
            "DRYRUN_AUDIT_LOG_ONLY",
            &["DRYRUN", "DRY_RUN", "DRYRUN_MODE", "DRY_RUN_AUDIT_LOG_ONLY", "AUDIT", "AUDIT_LOG_ONLY"],
        ),
    ],
};

impl Modes {
    fn refuse(&self, value: &str) -> RuleError {
        let upper = value.to_ascii_uppercase().replace(['-', ' '], "_");
        let means = |(mode, others): &&(&str, &[&str])| *mode == upper || others.contains(&upper.as_str());
        let named = self.also_written.iter().find(means).map(|(mode, _)| *mode);
        let modes: Vec<_> = self.also_written.iter().map(|(mode, _)| *mode).collect();
        RuleError::Mode {
            field: self.field,
            value: text::shown(value, 60),
            expected: self.expected,
            meant: named.or_else(|| hint::closest(value, &modes)),
        }
    }
}

impl TryFrom<RuleDocument> for AdmissionRule {
    type Error = RuleError;

    fn try_from(document: RuleDocument) -> Result<Self, RuleError> {
        let mode = document.evaluation_mode.ok_or(RuleError::Missing("evaluationMode"))?;
        let named = document.require_attestations_by.unwrap_or_default();
        let evaluation = match mode.as_str() {
            "ALWAYS_ALLOW" | "ALWAYS_DENY" if !named.is_empty() => return Err(RuleError::Superfluous(mode)),
            "ALWAYS_ALLOW" => EvaluationMode::AlwaysAllow,
            "ALWAYS_DENY" => EvaluationMode::AlwaysDeny,
            "REQUIRE_ATTESTATION" => EvaluationMode::RequireAttestation(read_attestors(&named)?),
            other => return Err(EVALUATION.refuse(other)),
        };
        let mode = document.enforcement_mode.ok_or(RuleError::Missing("enforcementMode"))?;
        let enforcement = match mode.as_str() {
            "ENFORCED_BLOCK_AND_AUDIT_LOG" => EnforcementMode::Enforced,
            "DRYRUN_AUDIT_LOG_ONLY" => EnforcementMode::DryRun,
            other => return Err(ENFORCEMENT.refuse(other)),
        };
        let freshness =
            read_freshness(document.binauthd_max_staleness, document.binauthd_on_stale, &evaluation)?;
        Ok(Self { evaluation, enforcement, freshness })
    }
}

fn read_freshness(
    max_staleness: Option<String>,
    on_stale: Option<String>,
    evaluation: &EvaluationMode,
) -> Result<Freshness, RuleError> {
    let written = [("binauthdMaxStaleness", &max_staleness), ("binauthdOnStale", &on_stale)];
    if let (Some((field, _)), false) = (
        written.into_iter().find(|(_, text)| text.is_some()),
        matches!(evaluation, EvaluationMode::RequireAttestation(_)),
    ) {
        return Err(RuleError::NothingStale { field, mode: evaluation.as_str() });
    }
    let span = |text: String| read_span(&text).ok_or_else(|| RuleError::Span(text::shown(&text, 60)));
    let word = |text: String| OnStale::read(&text).ok_or_else(|| RuleError::OnStale(text::shown(&text, 60)));
    Ok(Freshness {
        max_staleness: max_staleness.map(span).transpose()?,
        on_stale: on_stale.map(word).transpose()?,
    })
}

fn read_attestors(named: &[String]) -> Result<Vec<AttestorName>, RuleError> {
    if named.is_empty() {
        return Err(RuleError::NoAttestors);
    }
    if named.len() > MAX_ATTESTORS {
        return Err(RuleError::TooMany(named.len()));
    }
    let mut attestors: Vec<AttestorName> = Vec::with_capacity(named.len());
    for (index, name) in named.iter().enumerate() {
        let name = name.parse().map_err(|cause| RuleError::Attestor { index, cause })?;
        if !attestors.contains(&name) {
            attestors.push(name);
        }
    }
    Ok(attestors)
}
