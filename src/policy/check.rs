//! Checks of a platform policy, as they are judged: every check set with its scope, every check with
//! what it compares. Reading them from the document is [`super::platform`]'s.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::image_pattern::ImagePattern;
use super::source_pattern::SourcePattern;
use super::trusted_directory::TrustedDirectory;
use crate::attestation::statement::{Severity, Vulnerability};
use crate::attestation::{Attestor, AttestorName};

/// The builder that `GOOGLE_CLOUD_BUILD` stands for: SLSA v1 provenance names it so, earlier ones with
/// `@v` and a version behind it.
pub const GOOGLE_HOSTED_WORKER: &str = "https://cloudbuild.googleapis.com/GoogleHostedWorker";

/// Checks that hold together for the pods of one scope.
#[derive(Debug, Clone)]
pub struct CheckSet {
    /// `displayName`; empty where there is none.
    pub name: String,
    /// Whom it is for; `None` for whoever no other set is for.
    pub scope: Option<Scope>,
    /// Images that no check of the set is for.
    pub allowlist: Vec<ImagePattern>,
    /// All of them must pass; none at all passes.
    pub checks: Vec<Check>,
}

/// Whose pods a check set is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every pod of the namespace.
    Namespace(String),
    /// The pods of one service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name there.
        account: String,
    },
}

impl Scope {
    /// Whether it holds a pod of this namespace and service account; `None` where that is not known
    /// because one of them is not.
    #[must_use]
    pub fn holds(&self, namespace: Option<&str>, service_account: Option<&str>) -> Option<bool> {
        let is = |ours: &str, theirs: Option<&str>| theirs.map(|theirs| theirs == ours);
        match self {
            Self::Namespace(ours) => is(ours, namespace),
            Self::ServiceAccount { namespace: ours, account } => {
                match (is(ours, namespace), is(account, service_account)) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                }
            }
        }
    }
}

impl fmt::Display for Scope {
    /// `NAMESPACE` or `NAMESPACE:SERVICEACCOUNT`, as it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(namespace) => f.write_str(namespace),
            Self::ServiceAccount { namespace, account } => write!(f, "{namespace}:{account}"),
        }
    }
}

/// One check.
#[derive(Debug, Clone)]
pub struct Check {
    /// `displayName`; empty where there is none.
    pub name: String,
    /// Images that it is not for.
    pub allowlist: Vec<ImagePattern>,
    /// What it compares.
    pub kind: CheckKind,
}

/// What a check compares.
#[derive(Debug, Clone)]
pub enum CheckKind {
    /// Passes for nothing.
    AlwaysDeny,
    /// A time that one of the signers signed is no older.
    Freshness {
        /// More than nothing.
        max_age: Duration,
        /// At least one.
        signers: Vec<AttestorName>,
    },
    /// The image lies in one of these: at least one.
    TrustedDirectory(Vec<TrustedDirectory>),
    /// Any key of the authority attests the image.
    SimpleSigning {
        /// All keys of all authenticators; its name is the place of the check.
        authority: Attestor,
    },
    /// One of the signers signed a provenance that one of the rules accepts.
    Slsa {
        /// At least one.
        rules: Vec<SlsaRule>,
        /// At least one.
        signers: Vec<AttestorName>,
    },
    /// One of the signers signed a scan that found nothing beyond these bounds.
    Vulnerability(VulnerabilityBounds),
}

impl CheckKind {
    /// Google's name of the kind (`ContinuousValidationEvent`, `checkType`).
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::AlwaysDeny => "AlwaysDenyCheck",
            Self::Freshness { .. } => "ImageFreshnessCheck",
            Self::TrustedDirectory(_) => "TrustedDirectoryCheck",
            Self::SimpleSigning { .. } => "SimpleSigningAttestationCheck",
            Self::Slsa { .. } => "SlsaCheck",
            Self::Vulnerability(_) => "VulnerabilityCheck",
        }
    }

    /// The attestors whose signed statements it needs.
    #[must_use]
    pub fn signers(&self) -> &[AttestorName] {
        match self {
            Self::Freshness { signers, .. } | Self::Slsa { signers, .. } => signers,
            Self::Vulnerability(bounds) => &bounds.signers,
            Self::AlwaysDeny | Self::TrustedDirectory(_) | Self::SimpleSigning { .. } => &[],
        }
    }
}

/// What a provenance must say.
#[derive(Debug, Clone)]
pub struct SlsaRule {
    /// Whether `GOOGLE_CLOUD_BUILD` is trusted.
    pub google_cloud_build: bool,
    /// Other builders, by their ids to the letter.
    pub builder_ids: Vec<String>,
    /// Repositories that may be built from: at least one.
    pub sources: Vec<SourcePattern>,
    /// Whether the build must have followed a configuration in that source.
    pub config_based_build_required: bool,
    /// Ids of the projects that provenance is looked for in; empty for anywhere.
    pub projects: Vec<String>,
}

impl SlsaRule {
    /// Whether this builder is trusted.
    #[must_use]
    pub fn trusts_builder(&self, id: &str) -> bool {
        (self.google_cloud_build && is_google_cloud_build(id)) || self.builder_ids.iter().any(|one| one == id)
    }

    /// Whether this source repository is trusted.
    #[must_use]
    pub fn trusts_source(&self, url: &str) -> bool {
        self.sources.iter().any(|pattern| pattern.matches(url))
    }
}

fn is_google_cloud_build(id: &str) -> bool {
    let version =
        |version: &str| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    id.strip_prefix(GOOGLE_HOSTED_WORKER)
        .is_some_and(|rest| rest.is_empty() || rest.strip_prefix("@v").is_some_and(version))
}

/// What a scan may have found.
#[derive(Debug, Clone)]
pub struct VulnerabilityBounds {
    /// Of what has a fix.
    pub maximum_fixable: MaximumSeverity,
    /// Of what has none.
    pub maximum_unfixable: MaximumSeverity,
    /// Let through whatever their severity.
    pub allowed_cves: BTreeSet<String>,
    /// Refused whatever their severity; none of them is allowed as well.
    pub blocked_cves: BTreeSet<String>,
    /// Ids of the projects that scans are looked for in; empty for anywhere.
    pub projects: Vec<String>,
    /// How old the scan may be; more than nothing.
    pub max_scan_age: Option<Duration>,
    /// At least one.
    pub signers: Vec<AttestorName>,
}

impl VulnerabilityBounds {
    /// Whether this finding is beyond what may be found. One of which it is not known whether it has a fix
    /// must pass as both.
    #[must_use]
    pub fn refuses(&self, finding: &Vulnerability) -> bool {
        let is = |listed: &String| listed.eq_ignore_ascii_case(&finding.id);
        let also = |listed: &String| finding.aliases.iter().any(|alias| listed.eq_ignore_ascii_case(alias));
        if self.blocked_cves.iter().any(|listed| is(listed) || also(listed)) {
            return true;
        }
        let fixable = finding.fixable != Some(false) && !self.maximum_fixable.passes(finding.severity);
        let unfixable = finding.fixable != Some(true) && !self.maximum_unfixable.passes(finding.severity);
        (fixable || unfixable) && !self.allowed_cves.iter().any(is)
    }
}

/// The most severe finding that passes, from strict to lax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaximumSeverity {
    /// No finding passes.
    BlockAll,
    /// Up to minimal ones.
    Minimal,
    /// Up to low ones.
    Low,
    /// Up to medium ones.
    Medium,
    /// Up to high ones.
    High,
    /// Up to critical ones.
    Critical,
    /// Every finding passes.
    AllowAll,
}

impl MaximumSeverity {
    const ALL: [Self; 7] =
        [Self::BlockAll, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Critical, Self::AllowAll];

    /// Reads the enum's spelling; `MAXIMUM_ALLOWED_SEVERITY_UNSPECIFIED` is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Whether a finding of this severity passes.
    #[must_use]
    pub fn passes(self, severity: Severity) -> bool {
        let least = match severity {
            Severity::Minimal => Self::Minimal,
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        };
        self >= least
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlockAll => "BLOCK_ALL",
            Self::Minimal => "MINIMAL",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
            Self::AllowAll => "ALLOW_ALL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders() {
        let rule = |google_cloud_build| SlsaRule {
            google_cloud_build,
            builder_ids: vec!["https://ci.acme.example/builder@v2".into()],
            sources: Vec::new(),
            config_based_build_required: false,
            projects: Vec::new(),
        };
        // Id, trusted with GOOGLE_CLOUD_BUILD, without.
        let rows = [
            ("https://cloudbuild.googleapis.com/GoogleHostedWorker", true, false),
            ("https://cloudbuild.googleapis.com/GoogleHostedWorker@v1", true, false),
            ("https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3", true, false),
            ("https://cloudbuild.googleapis.com/GoogleHostedWorker@v", false, false),
            ("https://cloudbuild.googleapis.com/GoogleHostedWorker@main", false, false),
            ("https://cloudbuild.googleapis.com/GoogleHostedWorkerX", false, false),
            ("https://cloudbuild.googleapis.com/CustomerWorker", false, false),
            ("https://ci.acme.example/builder@v2", true, true),
            ("https://ci.acme.example/builder", false, false),
            ("https://ci.acme.example/builder@v2/x", false, false),
            ("", false, false),
        ];
        for (id, with, without) in rows {
            let found = (rule(true).trusts_builder(id), rule(false).trusts_builder(id));
            assert_eq!(found, (with, without), "{id}");
        }
    }

    #[test]
    fn severities_are_in_order() {
        assert!(MaximumSeverity::ALL.is_sorted());
        for severity in MaximumSeverity::ALL {
            assert_eq!(MaximumSeverity::parse(severity.as_str()), Some(severity));
        }
        assert_eq!(MaximumSeverity::parse("MAXIMUM_ALLOWED_SEVERITY_UNSPECIFIED"), None);
    }
}
