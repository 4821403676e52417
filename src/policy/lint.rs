//! What is valid and probably not meant: patterns that reach further than they look or never match,
//! attestors that one attestation could satisfy together, rules that let more in than the default.
//!
//! Nothing here refuses a document: that is for whoever reads it. Codes are stable, messages are for
//! people. Docker Hub's short names are fine as they are.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use super::allowlist::{Allowlist, Exception, ExceptionState, Terms};
use super::check::CheckKind;
use super::pattern::{AllowlistPattern, Reach};
use super::platform::PlatformPolicy;
use super::rule::{AdmissionRule, EnforcementMode, EvaluationMode};
use crate::attestation::KeyRing;
use crate::attestation::key_ring::Entry;
use crate::text::shown;

/// What is found, by its stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintCode {
    /// A wildcard in the middle of a name.
    PatternWithoutSeparator,
    /// A wildcard for all that a registry holds.
    PatternWholeRegistry,
    /// A tag, which a name with a digest does not have.
    PatternTagOnly,
    /// The same pattern again.
    PatternDuplicate,
    /// An earlier pattern matches all that this one does.
    PatternUnreachable,
    /// A later pattern matches all that this one does.
    PatternRedundant,
    /// An exception whose end is past.
    ExceptionEnded,
    /// An exception that ends within a week.
    ExceptionEndsSoon,
    /// An exception without an end, where others have one.
    ExceptionWithoutEnd,
    /// An exception without an owner, where others have one.
    ExceptionWithoutOwner,
    /// One key, several attestors.
    AttestorsShareKey,
    /// A rule that lets in what the default refuses.
    RuleAllowsMore,
    /// A vulnerability check that takes a scan of any age.
    ScanWithoutAge,
}

impl LintCode {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PatternWithoutSeparator => "PATTERN_WITHOUT_SEPARATOR",
            Self::PatternWholeRegistry => "PATTERN_WHOLE_REGISTRY",
            Self::PatternTagOnly => "PATTERN_TAG_ONLY",
            Self::PatternDuplicate => "PATTERN_DUPLICATE",
            Self::PatternUnreachable => "PATTERN_UNREACHABLE",
            Self::PatternRedundant => "PATTERN_REDUNDANT",
            Self::ExceptionEnded => "EXCEPTION_ENDED",
            Self::ExceptionEndsSoon => "EXCEPTION_ENDS_SOON",
            Self::ExceptionWithoutEnd => "EXCEPTION_WITHOUT_END",
            Self::ExceptionWithoutOwner => "EXCEPTION_WITHOUT_OWNER",
            Self::AttestorsShareKey => "ATTESTORS_SHARE_KEY",
            Self::RuleAllowsMore => "RULE_ALLOWS_MORE",
            Self::ScanWithoutAge => "SCAN_WITHOUT_AGE",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// Stable.
    pub code: LintCode,
    /// Such as `admissionWhitelistPatterns[0]`.
    pub place: String,
    /// For people.
    pub message: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.message, self.code.as_str())
    }
}

/// Looks at the patterns of `admissionWhitelistPatterns`, one by one and beside each other, as they stand at `now`.
/// Findings are in their order.
#[must_use]
pub fn lint(allowlist: &Allowlist, now: SystemTime) -> Vec<Lint> {
    let stems = Stems::of(allowlist);
    let any = |said: fn(&Terms) -> bool| allowlist.exceptions(now).any(|one| said(one.terms));
    let (any_end, any_owner) = (any(|terms| terms.expires.is_some()), any(|terms| terms.owner.is_some()));
    let mut found = Vec::new();
    for exception in allowlist.exceptions(now) {
        let Exception { place, pattern, terms, state } = exception;
        let no_owner = (any_owner && terms.owner.is_none()).then(|| {
            let message = format!("nobody answers for `{pattern}`: name somebody in `binauthdOwner`");
            (LintCode::ExceptionWithoutOwner, message)
        });
        // What is over matches nothing, and so nothing too much.
        let each = match state {
            ExceptionState::Ended => [ending(pattern, terms, state, any_end), None, None, None, None],
            _ => [
                surprise(pattern),
                tag_only(pattern, &stems),
                stems.overlap(place, pattern),
                ending(pattern, terms, state, any_end),
                no_owner,
            ],
        };
        let place = place_of(place);
        found.extend(each.into_iter().flatten().map(|(code, message)| Lint {
            code,
            place: place.clone(),
            message,
        }));
    }
    found
}

/// An exception that is over, soon is, or never will be.
fn ending(
    pattern: &AllowlistPattern,
    terms: &Terms,
    state: ExceptionState,
    any_end: bool,
) -> Option<(LintCode, String)> {
    let end = terms.end().unwrap_or_default();
    let owner = terms.owner.as_ref().map(|owner| format!(" (owner {owner})")).unwrap_or_default();
    match state {
        ExceptionState::Ended => {
            let message =
                format!("`{pattern}`{owner} ended at {end} and matches nothing: remove it, or renew it");
            Some((LintCode::ExceptionEnded, message))
        }
        ExceptionState::EndsSoon => {
            let message = format!("`{pattern}`{owner} ends at {end}: what needs it is refused from then on");
            Some((LintCode::ExceptionEndsSoon, message))
        }
        ExceptionState::WithoutEnd if any_end => {
            let message = format!("`{pattern}`{owner} has no end: write one in `binauthdExpires`");
            Some((LintCode::ExceptionWithoutEnd, message))
        }
        ExceptionState::WithoutEnd | ExceptionState::Holds => None,
    }
}

fn place_of(place: usize) -> String {
    format!("admissionWhitelistPatterns[{place}]")
}

/// A wildcard that reaches further than it looks.
fn surprise(pattern: &AllowlistPattern) -> Option<(LintCode, String)> {
    let (stem, reach) = (pattern.stem(), pattern.reach());
    if reach == Reach::Exact {
        return None;
    }
    let last = stem.rsplit('/').next().unwrap_or_default();
    if !last.is_empty() && !last.contains([':', '@']) {
        let (other, instead) = match reach {
            Reach::Path => (format!("{stem}-exploit/…"), format!("`{stem}/**`")),
            _ => (format!("{stem}-evil"), format!("`{stem}:*` and `{stem}@*`")),
        };
        let message = format!("`{pattern}` also matches `{other}`: write {instead} if that is not meant");
        return Some((LintCode::PatternWithoutSeparator, message));
    }
    let registry = stem.strip_suffix('/').filter(|registry| !registry.contains('/'))?;
    let is_host = registry.contains(['.', ':']) || registry == "localhost";
    let message =
        || format!("`{pattern}` matches everything in `{registry}`, whoever put it there: name a repository");
    (reach == Reach::Path && is_host).then(|| (LintCode::PatternWholeRegistry, message()))
}

/// A tag where no other pattern lets the image in by digest.
fn tag_only(pattern: &AllowlistPattern, stems: &Stems<'_>) -> Option<(LintCode, String)> {
    let stem = pattern.stem();
    let last = stem.rsplit('/').next().unwrap_or_default();
    let (image, tag) = last.split_once(':').filter(|_| !last.contains('@'))?;
    let name = stem.get(..stem.len() - tag.len() - 1)?;
    let any_digest = AllowlistPattern::parse(&format!("{name}@*")).ok()?;
    if tag.is_empty() && stems.covering(&any_digest).next().is_some() {
        return None;
    }
    let message = format!(
        "`{pattern}` matches no `{image}@sha256:…`, which is what containerd makes of a name with tag and digest"
    );
    Some((LintCode::PatternTagOnly, message))
}

/// The patterns of every stem, in order, so that what covers a pattern is found among the beginnings of
/// its own stem.
struct Stems<'a> {
    allowlist: &'a Allowlist,
    places: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Stems<'a> {
    fn of(allowlist: &'a Allowlist) -> Self {
        let mut stems = Self { allowlist, places: BTreeMap::new() };
        for (place, pattern) in allowlist.iter().enumerate() {
            let same = |known: &usize| allowlist.as_slice().get(*known) == Some(pattern);
            let known = stems.places.get(pattern.stem()).into_iter().flatten();
            // One of a kind is enough to cover another, and the first of it is the one to name.
            if !known.into_iter().any(|known| same(known) && stems.outlasts(*known, place)) {
                stems.places.entry(pattern.stem()).or_default().push(place);
            }
        }
        stems
    }

    /// Whether the entry at `one` matches for as long as that at `other`.
    fn outlasts(&self, one: usize, other: usize) -> bool {
        let end = |place| self.allowlist.terms(place).expires;
        match (end(one), end(other)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(other)) => one >= other,
        }
    }

    /// What matches all that `pattern` does, the first of each kind, with its place.
    fn covering<'b>(
        &'b self,
        pattern: &'b AllowlistPattern,
    ) -> impl Iterator<Item = (usize, &'a AllowlistPattern)> + 'b {
        let stem = pattern.stem();
        let beginnings = stem.char_indices().map(|(at, _)| at).chain([stem.len()]);
        beginnings
            .filter_map(move |end| self.places.get(stem.get(..end)?))
            .flatten()
            .filter_map(|at| Some((*at, self.allowlist.as_slice().get(*at)?)))
            .filter(move |(_, other)| other.covers(pattern))
    }

    fn overlap(&self, place: usize, pattern: &AllowlistPattern) -> Option<(LintCode, String)> {
        let others = self.covering(pattern).filter(|(at, _)| *at != place && self.outlasts(*at, place));
        let (at, other) = others.min_by_key(|(at, _)| *at)?;
        let there = place_of(at);
        Some(if other == pattern {
            (LintCode::PatternDuplicate, format!("`{pattern}` is there already: {there}"))
        } else if at < place {
            let message =
                format!("`{pattern}` is never reached: `{other}` ({there}) matches all that it does");
            (LintCode::PatternUnreachable, message)
        } else {
            let message = format!("`{pattern}` adds nothing: `{other}` ({there}) matches all that it does");
            (LintCode::PatternRedundant, message)
        })
    }
}

/// Looks for keys that several attestors have. Where a policy requires two of them, one attestation that
/// is filed again under the other's note satisfies both.
#[must_use]
pub fn lint_attestors(key_ring: &KeyRing) -> Vec<Lint> {
    let mut holders: BTreeMap<&[u8], Vec<&str>> = BTreeMap::new();
    for (name, entry) in key_ring.entries() {
        let Entry::Defined(attestor) = entry else { continue };
        for key in attestor.keys() {
            let of_key = holders.entry(key.key.bytes()).or_default();
            if of_key.last() != Some(&name.as_str()) {
                of_key.push(name.as_str());
            }
        }
    }
    // Told once for those who share, however many keys they do.
    let mut shared: BTreeMap<&[&str], usize> = BTreeMap::new();
    for of_key in holders.values().filter(|of_key| of_key.len() > 1) {
        *shared.entry(of_key).or_default() += 1;
    }
    let lint = |(names, keys): (&[&str], usize)| {
        let keys = if keys == 1 { "a key".to_owned() } else { format!("{keys} keys") };
        let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        Lint {
            code: LintCode::AttestorsShareKey,
            place: names.first().copied().unwrap_or_default().to_owned(),
            message: format!(
                "{} share {keys}: one attestation, filed again under the other's note, satisfies all of them",
                quoted.join(" and ")
            ),
        }
    };
    shared.into_iter().map(lint).collect()
}

/// Looks for rules that let in what the default refuses and that hold for namespaces or identities in
/// them: such a rule is as strong as whoever assigns namespaces. Rules for clusters are left aside: a
/// cluster is named by the node's own configuration.
#[must_use]
pub fn lint_rules<'a>(
    default: &AdmissionRule,
    rules: impl Iterator<Item = (String, &'a AdmissionRule)>,
) -> Vec<Lint> {
    rules
        .filter(|(place, rule)| !place.starts_with("clusterAdmissionRules") && allows_more(rule, default))
        .map(|(place, rule)| {
            let message = format!(
                "{} ({}) allows more than the default rule does: it is as strong as whoever may create pods or assign identities there",
                rule.evaluation.as_str(),
                rule.enforcement.as_str(),
            );
            Lint { code: LintCode::RuleAllowsMore, place: shown(&place, 400), message }
        })
        .collect()
}

fn allows_more(rule: &AdmissionRule, default: &AdmissionRule) -> bool {
    use EvaluationMode::{AlwaysAllow, AlwaysDeny, RequireAttestation};
    if default.enforcement == EnforcementMode::DryRun || default.evaluation == AlwaysAllow {
        return false;
    }
    if rule.enforcement == EnforcementMode::DryRun {
        return true;
    }
    match (&rule.evaluation, &default.evaluation) {
        (AlwaysDeny, _) => false,
        (RequireAttestation(asked), RequireAttestation(by_default)) => {
            by_default.iter().any(|attestor| !asked.contains(attestor))
        }
        _ => true,
    }
}

/// Checks that let more through than they look as if they did.
#[must_use]
pub fn lint_platform(platform: &PlatformPolicy) -> Vec<Lint> {
    let mut found = Vec::new();
    for (set, checks) in platform.check_sets().iter().enumerate() {
        for (number, check) in checks.checks.iter().enumerate() {
            if matches!(&check.kind, CheckKind::Vulnerability(bounds) if bounds.max_scan_age.is_none()) {
                found.push(Lint {
                    code: LintCode::ScanWithoutAge,
                    place: format!("checkSets[{set}].checks[{number}]"),
                    message: "a scan of any age passes: whoever can hide newer ones decides which; set \
                              `maxScanAge`"
                        .to_owned(),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Attestor;
    use crate::attestation::key::tests::P256_PEM;
    use crate::document::Format;

    fn day(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number * 86_400)
    }

    fn patterns(texts: &[&str]) -> Allowlist {
        Allowlist::new(texts.iter().map(|text| AllowlistPattern::parse(text).unwrap()).collect())
    }

    fn codes(found: &[Lint]) -> Vec<(&str, &str)> {
        let place = |lint: &Lint| lint.place.strip_prefix("admissionWhitelistPatterns").map(str::len);
        assert!(found.iter().all(|lint| place(lint).is_some()));
        found
            .iter()
            .map(|lint| (&lint.place["admissionWhitelistPatterns".len()..], lint.code.as_str()))
            .collect()
    }

    #[test]
    fn one_pattern() {
        let rows: &[(&str, &str, &str)] = &[
            ("gcr.io/my-project**", "PATTERN_WITHOUT_SEPARATOR", "gcr.io/my-project-exploit/…"),
            ("gcr.io/p/nginx*", "PATTERN_WITHOUT_SEPARATOR", "gcr.io/p/nginx-evil"),
            ("docker.io/**", "PATTERN_WHOLE_REGISTRY", "everything in `docker.io`"),
            ("r.example:5000/**", "PATTERN_WHOLE_REGISTRY", "everything in `r.example:5000`"),
            ("localhost/**", "PATTERN_WHOLE_REGISTRY", "everything"),
            ("gcr.io/p/img:v1", "PATTERN_TAG_ONLY", "`img@sha256:…`"),
            ("gcr.io/p/img:*", "PATTERN_TAG_ONLY", "containerd"),
            ("gcr.io/p/img:v1.*", "PATTERN_TAG_ONLY", "containerd"),
            ("mysql:*", "PATTERN_TAG_ONLY", "containerd"),
            ("gcr.io/p/**", "", ""),
            ("gcr.io/p/*", "", ""),
            ("gcr.io/*", "", ""),
            ("bitnami/**", "", ""),
            ("nginx", "", ""),
            ("gcr.io/p/img@*", "", ""),
            ("gcr.io/p/img@sha256:ab*", "", ""),
            ("r.example:5000/p/img", "", ""),
        ];
        for (pattern, code, part) in rows {
            let found = lint(&patterns(&[pattern]), day(1));
            let expected: &[&str] = if code.is_empty() { &[] } else { &[code] };
            assert_eq!(
                found.iter().map(|lint| lint.code.as_str()).collect::<Vec<_>>(),
                expected,
                "{pattern}"
            );
            assert!(found.iter().all(|lint| lint.message.contains(part)), "{found:?}");
        }
    }

    #[test]
    fn patterns_beside_each_other() {
        type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
        let rows: &[Row<'_>] = &[
            (&["r.io/p/**", "r.io/p/a"], &[("[1]", "PATTERN_UNREACHABLE")]),
            (&["r.io/p/a", "r.io/p/**"], &[("[0]", "PATTERN_REDUNDANT")]),
            (&["r.io/p/*", "r.io/p/**"], &[("[0]", "PATTERN_REDUNDANT")]),
            (&["r.io/p/*", "r.io/p/a/b"], &[]),
            (&["r.io/p/a", "q", "r.io/p/a"], &[("[2]", "PATTERN_DUPLICATE")]),
            (&["r.io/p/**", "r.io/p/**"], &[("[1]", "PATTERN_DUPLICATE")]),
            (&["r.io/p/a", "r.io/p/ab"], &[]),
            (&["r.io/p/a:*", "r.io/p/a@*"], &[]),
            (&["r.io/p/a:*", "r.io/p/**"], &[("[0]", "PATTERN_REDUNDANT")]),
            (&["r.io/p/a:v1", "r.io/p/a@*"], &[("[0]", "PATTERN_TAG_ONLY")]),
        ];
        for (texts, expected) in rows {
            assert_eq!(codes(&lint(&patterns(texts), day(1))), *expected, "{texts:?}");
        }
    }

    #[test]
    fn exceptions_with_an_end() {
        // Pattern, end and owner of each, as days; what is found on day 100.
        type Row<'a> = (&'a [(&'a str, Option<u64>, &'a str)], &'a [(&'a str, &'a str)]);
        let rows: &[Row<'_>] = &[
            (&[("r.io/a", None, ""), ("r.io/b", None, "")], &[]),
            (&[("r.io/a", Some(100), "")], &[("[0]", "EXCEPTION_ENDED")]),
            (
                &[("r.io/a", Some(101), ""), ("r.io/b", Some(107), "")],
                &[("[0]", "EXCEPTION_ENDS_SOON"), ("[1]", "EXCEPTION_ENDS_SOON")],
            ),
            (&[("r.io/a", Some(108), "")], &[]),
            (&[("r.io/a", Some(200), ""), ("r.io/b", None, "")], &[("[1]", "EXCEPTION_WITHOUT_END")]),
            (&[("r.io/a", None, "x"), ("r.io/b", None, "")], &[("[1]", "EXCEPTION_WITHOUT_OWNER")]),
            // What ends covers nothing that goes on, and what is over is told of once.
            (&[("r.io/**", Some(200), ""), ("r.io/a", Some(300), "")], &[("[0]", "PATTERN_WHOLE_REGISTRY")]),
            (&[("r.io/p/**", Some(300), ""), ("r.io/p/a", Some(200), "")], &[("[1]", "PATTERN_UNREACHABLE")]),
            (&[("r.io/**", Some(50), ""), ("r.io/a", Some(300), "")], &[("[0]", "EXCEPTION_ENDED")]),
            (
                &[("r.io/a", Some(200), ""), ("r.io/a", Some(300), ""), ("r.io/a", Some(250), "")],
                &[("[0]", "PATTERN_DUPLICATE"), ("[2]", "PATTERN_DUPLICATE")],
            ),
        ];
        for (entries, expected) in rows {
            let entry = |(text, end, owner): &(&str, Option<u64>, &str)| {
                let owner = Some((*owner).to_owned()).filter(|owner| !owner.is_empty());
                let terms = Terms { expires: end.map(day), owner, ticket: None };
                (AllowlistPattern::parse(text).unwrap(), terms)
            };
            let allowlist = Allowlist::with_terms(entries.iter().map(entry));
            assert_eq!(codes(&lint(&allowlist, day(100))), *expected, "{entries:?}");
        }
    }

    #[test]
    fn attestors_that_share_a_key() {
        let attestor = |name: &str, pem: Option<&str>| {
            let keys: Vec<_> = pem
                .into_iter()
                .map(|pem| {
                    serde_json::json!({"id": name,
                    "pkixPublicKey": {"publicKeyPem": pem, "signatureAlgorithm": "ECDSA_P256_SHA256"}})
                })
                .collect();
            let document = serde_json::json!({
                "name": format!("projects/p/attestors/{name}"),
                "userOwnedGrafeasNote": {"noteReference": format!("projects/p/notes/{name}"), "publicKeys": keys},
            });
            Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
        };
        let apart = KeyRing::new([attestor("a", Some(P256_PEM)), attestor("b", None)]);
        assert_eq!(lint_attestors(&apart), []);
        let shared = KeyRing::new([attestor("a", Some(P256_PEM)), attestor("b", Some(P256_PEM))]);
        let [lint] = &lint_attestors(&shared)[..] else { panic!("one finding") };
        assert_eq!((lint.code.as_str(), &*lint.place), ("ATTESTORS_SHARE_KEY", "projects/p/attestors/a"));
        assert!(lint.message.contains("`projects/p/attestors/b` share a key"), "{lint}");
    }

    #[test]
    fn rules_that_allow_more() {
        use EnforcementMode::{DryRun, Enforced};
        let by = |names: &[&str]| {
            let name = |name: &&str| format!("projects/p/attestors/{name}").parse().unwrap();
            EvaluationMode::RequireAttestation(names.iter().map(name).collect())
        };
        let (allow, deny) = (EvaluationMode::AlwaysAllow, EvaluationMode::AlwaysDeny);
        // Default, rule, allows more.
        let rows = [
            ((&deny, Enforced), (&allow, Enforced), true),
            ((&deny, Enforced), (&by(&["a"]), Enforced), true),
            ((&deny, Enforced), (&deny, Enforced), false),
            ((&deny, Enforced), (&deny, DryRun), true),
            ((&deny, DryRun), (&allow, Enforced), false),
            ((&allow, Enforced), (&allow, Enforced), false),
            ((&allow, Enforced), (&deny, DryRun), false),
            ((&by(&["a", "b"]), Enforced), (&by(&["a"]), Enforced), true),
            ((&by(&["a"]), Enforced), (&by(&["b"]), Enforced), true),
            ((&by(&["a"]), Enforced), (&by(&["a", "b"]), Enforced), false),
            ((&by(&["a"]), Enforced), (&deny, Enforced), false),
            ((&by(&["a"]), Enforced), (&allow, Enforced), true),
        ];
        let rule = |(evaluation, enforcement): (&EvaluationMode, EnforcementMode)| AdmissionRule {
            evaluation: evaluation.clone(),
            enforcement,
            freshness: Default::default(),
        };
        for (default, other, more) in rows {
            let (default, other) = (rule(default), rule(other));
            let lint = |map: &str| lint_rules(&default, [(format!("{map}[a.b]"), &other)].into_iter()).len();
            assert_eq!(lint("kubernetesNamespaceAdmissionRules"), usize::from(more), "{default:?} {other:?}");
            assert_eq!(lint("clusterAdmissionRules"), 0);
        }
    }
}
