//! Vulnerability scans: cosign's predicate with what Trivy or Grype report in it, and in-toto's own.
//!
//! What a scanner could not rate, or rated in words or numbers that are not read here, is critical: nothing
//! slips under a limit for being strange.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Trouble, object, time};
use crate::document::Object;

/// The most findings of one scan; more are unreadable.
pub const MAX_FINDINGS: usize = 100_000;

/// What a scanner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// When it had looked.
    pub finished: SystemTime,
    /// At most [`MAX_FINDINGS`], in the scanner's order; one for each place a vulnerability was found in.
    pub findings: Vec<Vulnerability>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vulnerability {
    /// Such as `CVE-2021-44228` or `GHSA-jfh8-c2jp-5v3q`, as written.
    pub id: String,
    /// Other names of the same, as the scanner gives them.
    pub aliases: Vec<String>,
    /// How bad; [`Severity::Critical`] where that could not be read.
    pub severity: Severity,
    /// Whether there is a version without it; `None` where the scanner does not say.
    pub fixable: Option<bool>,
}

/// How bad a vulnerability is, from least to most: the levels of Container Analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Or negligible, or none.
    Minimal,
    /// CVSS 0.1 to 3.9.
    Low,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 9.0 to 10.0, and whatever could not be read.
    Critical,
}

impl Severity {
    /// Reads a word, in any case, or a CVSS score by the qualitative scale of CVSS v3.
    #[must_use]
    pub fn read(text: &str) -> Self {
        const WORDS: &[(&str, Severity)] = &[
            ("none", Severity::Minimal),
            ("negligible", Severity::Minimal),
            ("minimal", Severity::Minimal),
            ("low", Severity::Low),
            ("moderate", Severity::Medium),
            ("medium", Severity::Medium),
            ("important", Severity::High),
            ("high", Severity::High),
        ];
        let text = text.trim();
        let word = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        match (word, text.parse::<f64>()) {
            (Some((_, severity)), _) => *severity,
            (None, Ok(score)) => Self::of_score(score),
            (None, Err(_)) => Self::Critical,
        }
    }

    fn of_score(score: f64) -> Self {
        match score {
            0.0 => Self::Minimal,
            score if score > 0.0 && score < 4.0 => Self::Low,
            score if (4.0..7.0).contains(&score) => Self::Medium,
            score if (7.0..9.0).contains(&score) => Self::High,
            _ => Self::Critical,
        }
    }

    /// The same of any JSON value: text or number.
    fn of(value: Option<&RawValue>) -> Self {
        let Some(value) = value else { return Self::Critical };
        match (serde_json::from_str::<String>(value.get()), serde_json::from_str::<f64>(value.get())) {
            (Ok(text), _) => Self::read(&text),
            (_, Ok(score)) => Self::of_score(score),
            _ => Self::Critical,
        }
    }
}

#[derive(Deserialize)]
struct Predicate<'a> {
    #[serde(borrow)]
    scanner: Object<Scanner<'a>>,
    metadata: Object<Metadata>,
}

#[derive(Deserialize)]
struct Scanner<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    scan_finished_on: String,
}

/// `scanner.result` and `metadata.scanFinishedOn`, which both predicates have.
fn read(text: &str) -> Result<(&RawValue, SystemTime), Trouble> {
    let Predicate { scanner: Object(scanner), metadata: Object(metadata) } = object(text)?;
    Ok((scanner.result, time("scanFinishedOn", &metadata.scan_finished_on)?))
}

/// Cosign's predicate: `result` is the scanner's report, whole.
pub(super) fn cosign(text: &str) -> Result<Scan, Trouble> {
    #[derive(Deserialize)]
    struct Report<'a> {
        #[serde(rename = "SchemaVersion")]
        schema: Option<u64>,
        #[serde(borrow, rename = "Results")]
        results: Option<Vec<Object<TrivyResult<'a>>>>,
        #[serde(borrow)]
        matches: Option<Vec<Object<Match<'a>>>>,
    }
    let (result, finished) = read(text)?;
    let report: Report<'_> = object(result.get())?;
    let findings = match (report.schema, report.results, report.matches) {
        (_, Some(results), None) => {
            let lists = results.into_iter().filter_map(|Object(result)| result.vulnerabilities);
            bounded(lists.flatten().map(|Object(found)| found.into()))?
        }
        // Trivy writes no `Results` where it found no packages.
        (Some(2), None, None) => Vec::new(),
        (_, None, Some(matches)) => bounded(matches.into_iter().map(|Object(found)| found.into()))?,
        _ => return Err(Trouble("`scanner.result` is not a report of Trivy or Grype".into())),
    };
    Ok(Scan { finished, findings })
}

#[derive(Deserialize)]
struct TrivyResult<'a> {
    #[serde(borrow, rename = "Vulnerabilities")]
    vulnerabilities: Option<Vec<Object<TrivyVulnerability<'a>>>>,
}

#[derive(Deserialize)]
struct TrivyVulnerability<'a> {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(borrow, rename = "Severity")]
    severity: Option<&'a RawValue>,
    #[serde(rename = "FixedVersion")]
    fixed: Option<String>,
    #[serde(rename = "VendorIDs")]
    vendor_ids: Option<Vec<String>>,
}

impl From<TrivyVulnerability<'_>> for Vulnerability {
    fn from(found: TrivyVulnerability<'_>) -> Self {
        let fixable = found.fixed.is_some_and(|version| !version.is_empty());
        let aliases = found.vendor_ids.unwrap_or_default();
        Self { id: found.id, aliases, severity: Severity::of(found.severity), fixable: Some(fixable) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Match<'a> {
    #[serde(borrow)]
    vulnerability: Object<GrypeVulnerability<'a>>,
    related_vulnerabilities: Option<Vec<Object<Related>>>,
}

#[derive(Deserialize)]
struct Related {
    id: String,
}

#[derive(Deserialize)]
struct GrypeVulnerability<'a> {
    id: String,
    #[serde(borrow)]
    severity: Option<&'a RawValue>,
    fix: Option<Object<Fix>>,
}

#[derive(Deserialize)]
struct Fix {
    state: Option<String>,
}

impl From<Match<'_>> for Vulnerability {
    fn from(found: Match<'_>) -> Self {
        let related = found.related_vulnerabilities;
        let Object(found) = found.vulnerability;
        let fixable = match found.fix.and_then(|Object(fix)| fix.state).as_deref() {
            Some("fixed") => Some(true),
            Some("not-fixed" | "wont-fix") => Some(false),
            _ => None,
        };
        let aliases = related.into_iter().flatten().map(|Object(one)| one.id).collect();
        Self { id: found.id, aliases, severity: Severity::of(found.severity), fixable }
    }
}

/// In-toto's predicate: a list of its own, where the worst of several scores counts. The text of v0.1 puts
/// each finding into a `vulnerability`, its example does not; either is read.
pub(super) fn in_toto(text: &str) -> Result<Scan, Trouble> {
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        vulnerability: Option<Object<Rated<'a>>>,
        id: Option<String>,
        #[serde(borrow)]
        severity: Option<Vec<Object<Score<'a>>>>,
    }
    #[derive(Deserialize)]
    struct Rated<'a> {
        id: String,
        #[serde(borrow)]
        severity: Vec<Object<Score<'a>>>,
    }
    #[derive(Deserialize)]
    struct Score<'a> {
        method: Option<String>,
        #[serde(borrow)]
        score: Option<&'a RawValue>,
    }
    // How likely it is to be used, which is no severity.
    let rates = |score: &Object<Score<'_>>| {
        !score.0.method.as_ref().is_some_and(|method| method.eq_ignore_ascii_case("epss"))
    };
    let (result, finished) = read(text)?;
    let entries: Vec<Object<Entry<'_>>> = serde_json::from_str(result.get())?;
    if entries.len() > MAX_FINDINGS {
        return Err(too_many());
    }
    let mut findings = Vec::with_capacity(entries.len());
    for Object(entry) in entries {
        let (id, scores) = match entry {
            Entry { vulnerability: Some(Object(rated)), id: None, severity: None } => {
                (rated.id, rated.severity)
            }
            Entry { vulnerability: None, id: Some(id), severity } => (id, severity.unwrap_or_default()),
            _ => return Err(Trouble("an entry of `scanner.result` has no `id`".into())),
        };
        let rated = scores.iter().filter(|score| rates(score));
        let worst = rated.map(|Object(score)| Severity::of(score.score)).max();
        let severity = worst.unwrap_or(Severity::Critical);
        findings.push(Vulnerability { id, aliases: Vec::new(), severity, fixable: None });
    }
    Ok(Scan { finished, findings })
}

fn bounded(found: impl Iterator<Item = Vulnerability>) -> Result<Vec<Vulnerability>, Trouble> {
    let findings: Vec<_> = found.take(MAX_FINDINGS + 1).collect();
    if findings.len() > MAX_FINDINGS { Err(too_many()) } else { Ok(findings) }
}

fn too_many() -> Trouble {
    Trouble(format!("the scan has more than {MAX_FINDINGS} findings"))
}
