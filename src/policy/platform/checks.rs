//! Checks: from the document to what is judged.

use std::collections::BTreeSet;
use std::time::Duration;

use super::PlatformPolicyError;
use super::wire::{
    AllowlistDocument, CheckDocument, DirectoriesDocument, FreshnessDocument, SimpleSigningDocument,
    SlsaDocument, SlsaRuleDocument, VulnerabilityDocument,
};
use crate::attestation::{Attestor, AttestorError, AttestorName, NameError};
use crate::policy::check::{Check, CheckKind, MaximumSeverity, SlsaRule, VulnerabilityBounds};
use crate::policy::image_pattern::{ImagePattern, ImagePatternError};
use crate::policy::rule::MAX_ATTESTORS;
use crate::policy::source_pattern::{SourcePattern, SourcePatternError};
use crate::policy::trusted_directory::{TrustedDirectory, TrustedDirectoryError};

/// The most projects that one check may look in.
const MAX_PROJECTS: usize = 10;
const MAX_ID: usize = 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a check is refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// None or several kinds in one check.
    #[error("exactly one kind of check is needed, found {0}")]
    Kinds(usize),
    /// It can only be true.
    #[error("`alwaysDeny` must be true: leave the check out to deny nothing")]
    AlwaysDeny,
    /// Sigstore signatures lie in registries, which are not asked.
    #[error(
        "`sigstoreSignatureCheck` is not judged by this version: signatures in registries are not verified"
    )]
    Sigstore,
    /// CEL.
    #[error("`customConstraints` is not judged by this version: CEL expressions are not evaluated")]
    CustomConstraints,
    /// A required field is not there, or there is nothing in it.
    #[error("`{0}` is missing or empty")]
    Missing(&'static str),
    /// A number or duration that must be more than zero.
    #[error("`{0}` must be more than zero")]
    Zero(&'static str),
    /// Not a duration.
    #[error("maxScanAge: `{0}` is not a duration: expected for example `86400s` or `24h`")]
    Duration(String),
    /// More than are allowed.
    #[error("`{field}` has {count} entries, more than the {max} allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// Not the name of a project.
    #[error("{field}: `{text}` is not of the form `projects/PROJECT`")]
    Project {
        /// The field.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// No such severity.
    #[error(
        "{field}: `{text}` is none: expected BLOCK_ALL, MINIMAL, LOW, MEDIUM, HIGH, CRITICAL or ALLOW_ALL"
    )]
    Severity {
        /// The field.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// No such builder.
    #[error(
        "trustedBuilder: `{0}` is none: expected GOOGLE_CLOUD_BUILD, or other builders in `binauthdBuilderIds`"
    )]
    Builder(String),
    /// No builder at all.
    #[error("no builder is trusted: `trustedBuilder` or `binauthdBuilderIds` is needed")]
    NoBuilder,
    /// Not an id.
    #[error("{field}: `{text}` is not an id: expected text without white space")]
    Id {
        /// The field.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// Nobody whose word would count.
    #[error("`binauthdAttestors` is missing or empty: name the attestors whose signed {0} counts")]
    NoSigners(&'static str),
    /// Nobody whose word on a time would count.
    #[error(
        "freshness is the age of a time that somebody signed: name in `binauthdAttestors` who, or put a `slsaCheck` or `vulnerabilityCheck` into this check set, whose attestors then count"
    )]
    NoTimeSigners,
    /// Not the name of an attestor.
    #[error("binauthdAttestors: {0}")]
    Attestor(#[from] NameError),
    /// On both lists.
    #[error("`{0}` is in `allowedCves` and in `blockedCves`")]
    AllowedAndBlocked(String),
    /// A pattern of the allowlist, by its place in the list.
    #[error("imageAllowlist.allowPattern[{0}]: {1}")]
    ImagePattern(usize, ImagePatternError),
    /// A trusted directory, by its place in the list.
    #[error("trustedDirPatterns[{0}]: {1}")]
    Directory(usize, TrustedDirectoryError),
    /// A source repository, by its place in the list.
    #[error("trustedSourceRepoPatterns[{0}]: {1}")]
    Source(usize, SourcePatternError),
    /// A key, by its place among all keys of the check.
    #[error("attestationAuthenticators, all keys: {0}")]
    Authority(#[from] AttestorError),
}

pub(super) fn read_allowlist(
    document: &AllowlistDocument,
    place: &str,
) -> Result<Vec<ImagePattern>, PlatformPolicyError> {
    read_all(&document.allow_pattern, ImagePattern::parse, CheckError::ImagePattern)
        .map_err(at(place.to_owned()))
}

/// The checks of check set `set`.
pub(super) fn read(set: usize, documents: Vec<CheckDocument>) -> Result<Vec<Check>, PlatformPolicyError> {
    let mut checks = Vec::with_capacity(documents.len());
    for (index, document) in documents.into_iter().enumerate() {
        let place = format!("checkSets[{set}].checks[{index}]");
        let allowlist = read_allowlist(&document.image_allowlist, &format!("gkePolicy.{place}"))?;
        let name = document.display_name.clone();
        let (field, kind) = read_kind(document, &place);
        let suffix = if field.is_empty() { String::new() } else { format!(".{field}") };
        let kind = kind.map_err(at(format!("gkePolicy.{place}{suffix}")))?;
        checks.push(Check { name, allowlist, kind });
    }
    lend_signers(set, &mut checks)?;
    Ok(checks)
}

/// Freshness checks that name nobody take the word of whoever signs for their check set.
fn lend_signers(set: usize, checks: &mut [Check]) -> Result<(), PlatformPolicyError> {
    let mut lent: Vec<AttestorName> = Vec::new();
    for check in checks.iter() {
        if let CheckKind::Slsa { signers, .. }
        | CheckKind::Vulnerability(VulnerabilityBounds { signers, .. }) = &check.kind
        {
            let new: Vec<_> = signers.iter().filter(|name| !lent.contains(name)).cloned().collect();
            lent.extend(new);
        }
    }
    for (index, check) in checks.iter_mut().enumerate() {
        let CheckKind::Freshness { signers, .. } = &mut check.kind else { continue };
        if signers.is_empty() {
            signers.clone_from(&lent);
        }
        if signers.is_empty() {
            let place = format!("gkePolicy.checkSets[{set}].checks[{index}].imageFreshnessCheck");
            return Err(at(place)(CheckError::NoTimeSigners));
        }
    }
    Ok(())
}

/// The kind, and the field it stands in.
fn read_kind(document: CheckDocument, place: &str) -> (&'static str, Result<CheckKind, CheckError>) {
    let kinds = [
        document.always_deny.is_some(),
        document.image_freshness_check.is_some(),
        document.trusted_directory_check.is_some(),
        document.simple_signing_attestation_check.is_some(),
        document.sigstore_signature_check.is_some(),
        document.slsa_check.is_some(),
        document.vulnerability_check.is_some(),
    ];
    let found = kinds.into_iter().filter(|is_there| *is_there).count();
    if found != 1 {
        return ("", Err(CheckError::Kinds(found)));
    }
    if let Some(check) = document.image_freshness_check {
        return ("imageFreshnessCheck", read_freshness(&check));
    }
    if let Some(check) = document.trusted_directory_check {
        return ("trustedDirectoryCheck", read_directories(&check));
    }
    if let Some(check) = document.simple_signing_attestation_check {
        return ("simpleSigningAttestationCheck", read_simple_signing(check, place));
    }
    if let Some(check) = document.slsa_check {
        return ("slsaCheck", read_slsa(&check));
    }
    if let Some(check) = document.vulnerability_check {
        return ("vulnerabilityCheck", read_vulnerability(&check));
    }
    match document.always_deny {
        Some(true) => ("", Ok(CheckKind::AlwaysDeny)),
        Some(false) => ("", Err(CheckError::AlwaysDeny)),
        None => ("", Err(CheckError::Sigstore)),
    }
}

/// The signers may be empty still: [`lend_signers`] sees to them.
fn read_freshness(check: &FreshnessDocument) -> Result<CheckKind, CheckError> {
    let days = check.max_upload_age_days.ok_or(CheckError::Missing("maxUploadAgeDays"))?;
    let days =
        u32::try_from(days).ok().filter(|days| *days > 0).ok_or(CheckError::Zero("maxUploadAgeDays"))?;
    Ok(CheckKind::Freshness { max_age: DAY * days, signers: read_attestors(&check.binauthd_attestors)? })
}

fn read_directories(check: &DirectoriesDocument) -> Result<CheckKind, CheckError> {
    if check.trusted_dir_patterns.is_empty() {
        return Err(CheckError::Missing("trustedDirPatterns"));
    }
    read_all(&check.trusted_dir_patterns, TrustedDirectory::parse, CheckError::Directory)
        .map(CheckKind::TrustedDirectory)
}

fn read_simple_signing(check: SimpleSigningDocument, place: &str) -> Result<CheckKind, CheckError> {
    const PROJECTS: &str = "containerAnalysisAttestationProjects";
    let projects = read_projects(&check.container_analysis_attestation_projects, PROJECTS)?;
    if projects.is_empty() {
        return Err(CheckError::Missing(PROJECTS));
    }
    if check.attestation_authenticators.is_empty() {
        return Err(CheckError::Missing("attestationAuthenticators"));
    }
    let mut keys = Vec::new();
    for authenticator in check.attestation_authenticators {
        match authenticator.pkix_public_key_set {
            Some(set) if !set.pkix_public_keys.is_empty() => keys.extend(set.pkix_public_keys),
            _ => return Err(CheckError::Missing("pkixPublicKeySet.pkixPublicKeys")),
        }
    }
    let authority = Attestor::inline(AttestorName::inline(place), projects, &keys)?;
    Ok(CheckKind::SimpleSigning { authority })
}

fn read_slsa(check: &SlsaDocument) -> Result<CheckKind, CheckError> {
    if check.rules.is_empty() {
        return Err(CheckError::Missing("rules"));
    }
    let rules = check.rules.iter().map(read_rule).collect::<Result<_, _>>()?;
    let signers = read_attestors(&check.binauthd_attestors)?;
    if signers.is_empty() {
        return Err(CheckError::NoSigners("provenance"));
    }
    Ok(CheckKind::Slsa { rules, signers })
}

fn read_rule(rule: &SlsaRuleDocument) -> Result<SlsaRule, CheckError> {
    if rule.custom_constraints.as_deref().is_some_and(|text| !text.is_empty()) {
        return Err(CheckError::CustomConstraints);
    }
    let google_cloud_build = match rule.trusted_builder.as_deref() {
        None => false,
        Some("GOOGLE_CLOUD_BUILD") => true,
        Some(other) => return Err(CheckError::Builder(brief(other))),
    };
    if !google_cloud_build && rule.binauthd_builder_ids.is_empty() {
        return Err(CheckError::NoBuilder);
    }
    check_ids(&rule.binauthd_builder_ids, "binauthdBuilderIds")?;
    if rule.trusted_source_repo_patterns.is_empty() {
        return Err(CheckError::Missing("trustedSourceRepoPatterns"));
    }
    let projects = match &rule.attestation_source {
        None => Vec::new(),
        Some(source) => read_projects(
            &source.container_analysis_attestation_projects,
            "attestationSource.containerAnalysisAttestationProjects",
        )?,
    };
    Ok(SlsaRule {
        google_cloud_build,
        builder_ids: rule.binauthd_builder_ids.clone(),
        sources: read_all(&rule.trusted_source_repo_patterns, SourcePattern::parse, CheckError::Source)?,
        config_based_build_required: rule.config_based_build_required,
        projects,
    })
}

fn read_vulnerability(check: &VulnerabilityDocument) -> Result<CheckKind, CheckError> {
    check_ids(&check.allowed_cves, "allowedCves")?;
    check_ids(&check.blocked_cves, "blockedCves")?;
    let allowed_cves: BTreeSet<_> = check.allowed_cves.iter().cloned().collect();
    let blocked_cves: BTreeSet<_> = check.blocked_cves.iter().cloned().collect();
    if let Some(both) = allowed_cves.intersection(&blocked_cves).next() {
        return Err(CheckError::AllowedAndBlocked(brief(both)));
    }
    let bounds = VulnerabilityBounds {
        maximum_fixable: read_severity(check.maximum_fixable_severity.as_deref(), "maximumFixableSeverity")?,
        maximum_unfixable: read_severity(
            check.maximum_unfixable_severity.as_deref(),
            "maximumUnfixableSeverity",
        )?,
        allowed_cves,
        blocked_cves,
        projects: read_projects(
            &check.container_analysis_vulnerability_projects,
            "containerAnalysisVulnerabilityProjects",
        )?,
        max_scan_age: check.max_scan_age.as_deref().map(read_age).transpose()?,
        signers: read_attestors(&check.binauthd_attestors)?,
    };
    if bounds.signers.is_empty() {
        return Err(CheckError::NoSigners("scan"));
    }
    Ok(CheckKind::Vulnerability(bounds))
}

fn read_severity(text: Option<&str>, field: &'static str) -> Result<MaximumSeverity, CheckError> {
    let text = text.ok_or(CheckError::Missing(field))?;
    MaximumSeverity::parse(text).ok_or_else(|| CheckError::Severity { field, text: brief(text) })
}

/// A proto duration in whole seconds, or humantime's units.
fn read_age(text: &str) -> Result<Duration, CheckError> {
    let age = humantime::parse_duration(text).map_err(|_| CheckError::Duration(brief(text)))?;
    if age.is_zero() { Err(CheckError::Zero("maxScanAge")) } else { Ok(age) }
}

fn read_projects(names: &[String], field: &'static str) -> Result<Vec<String>, CheckError> {
    if names.len() > MAX_PROJECTS {
        return Err(CheckError::TooMany { field, count: names.len(), max: MAX_PROJECTS });
    }
    let project = |name: &String| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        match name.strip_prefix("projects/") {
            Some(project) if !project.is_empty() && project.bytes().all(plain) => Ok(project.to_owned()),
            _ => Err(CheckError::Project { field, text: brief(name) }),
        }
    };
    names.iter().map(project).collect()
}

fn read_attestors(names: &[String]) -> Result<Vec<AttestorName>, CheckError> {
    if names.len() > MAX_ATTESTORS {
        let (field, count) = ("binauthdAttestors", names.len());
        return Err(CheckError::TooMany { field, count, max: MAX_ATTESTORS });
    }
    let mut attestors: Vec<AttestorName> = Vec::with_capacity(names.len());
    for name in names {
        let name = name.parse()?;
        if !attestors.contains(&name) {
            attestors.push(name);
        }
    }
    Ok(attestors)
}

fn check_ids(ids: &[String], field: &'static str) -> Result<(), CheckError> {
    let is_id = |id: &&String| {
        (1..=MAX_ID).contains(&id.len()) && !id.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    match ids.iter().find(|id| !is_id(id)) {
        Some(other) => Err(CheckError::Id { field, text: brief(other) }),
        None => Ok(()),
    }
}

fn read_all<T, E>(
    texts: &[String],
    parse: fn(&str) -> Result<T, E>,
    refuse: fn(usize, E) -> CheckError,
) -> Result<Vec<T>, CheckError> {
    texts.iter().enumerate().map(|(index, text)| parse(text).map_err(|cause| refuse(index, cause))).collect()
}

fn at(place: String) -> impl FnOnce(CheckError) -> PlatformPolicyError {
    move |cause| PlatformPolicyError::Check { place, cause }
}

fn brief(text: &str) -> String {
    text.chars().take(120).collect()
}
