//! The policy document: the bare `Policy` message of Binary Authorization v1, YAML or JSON.
//!
//! Every field of the schema is read and checked, in the spelling of the API (`defaultAdmissionRule`) or
//! of the proto (`default_admission_rule`). Unknown fields, duplicate keys, modes without a meaning and
//! rules of several kinds refuse the document as a whole: obeying the rest of it would allow or refuse
//! what its author did not mean.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::allowlist::{Allowlist, Exception, Terms, TermsError};
use super::hint;
use super::maps::{self, Kinds, MAX_RULES, Place, RuleMap, Scope};
use super::pattern::{AllowlistPattern, PatternError};
use super::rule::{AdmissionRule, RuleDocument, RuleError};
use crate::attestation::AttestorName;
use crate::document::{self, DocumentError, Format, Object, UniqueMap, Version};
use crate::image::Workload;
use crate::text;

/// The most patterns that a policy may have.
pub const MAX_PATTERNS: usize = 100_000;

/// The most different attestors that the rules of one policy may require. Google's quota is 200.
pub const MAX_POLICY_ATTESTORS: usize = 1_000;

/// What a node makes of a policy beyond what Google does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Rules of several kinds in one policy: service account over mesh identity over namespace over
    /// cluster. Google refuses such a policy.
    pub allow_multiple_rule_maps: bool,
}

/// A policy in force.
#[derive(Debug, Clone)]
pub struct Policy {
    head: Head,
    system_policy: Option<SystemPolicyUse>,
    allowlist: Allowlist,
    /// From most to least specific; none is empty.
    maps: Vec<RuleMap>,
    default_rule: AdmissionRule,
    attestors: Vec<AttestorName>,
    version: Version,
}

/// What is carried along and decides nothing; blank is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    name: Option<String>,
    description: Option<String>,
    update_time: Option<String>,
    etag: Option<String>,
}

/// `GlobalPolicyEvaluationMode`; unspecified is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum SystemPolicyUse {
    Enable,
    Disable,
}

/// The rules of one map, as they are written.
type RulesDocument = UniqueMap<Object<RuleDocument>>;

/// `Policy` as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PolicyDocument {
    name: Option<String>,
    description: Option<String>,
    #[serde(alias = "global_policy_evaluation_mode")]
    global_policy_evaluation_mode: Option<String>,
    #[serde(alias = "admission_whitelist_patterns")]
    admission_whitelist_patterns: Option<Vec<Object<PatternDocument>>>,
    #[serde(alias = "cluster_admission_rules")]
    cluster_admission_rules: Option<RulesDocument>,
    #[serde(alias = "kubernetes_namespace_admission_rules")]
    kubernetes_namespace_admission_rules: Option<RulesDocument>,
    #[serde(alias = "kubernetes_service_account_admission_rules")]
    kubernetes_service_account_admission_rules: Option<RulesDocument>,
    #[serde(alias = "istio_service_identity_admission_rules")]
    istio_service_identity_admission_rules: Option<RulesDocument>,
    #[serde(alias = "default_admission_rule")]
    default_admission_rule: Option<Object<RuleDocument>>,
    #[serde(alias = "update_time")]
    update_time: Option<String>,
    etag: Option<String>,
}

/// `AdmissionWhitelistPattern` as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PatternDocument {
    #[serde(alias = "name_pattern")]
    name_pattern: String,
    /// From when on it matches nothing, RFC 3339; ours.
    #[serde(alias = "binauthd_expires")]
    binauthd_expires: Option<String>,
    /// Who answers for it; ours.
    #[serde(alias = "binauthd_owner")]
    binauthd_owner: Option<String>,
    /// Where more is said; ours.
    #[serde(alias = "binauthd_ticket")]
    binauthd_ticket: Option<String>,
}

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not a document of this shape.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Not a document of this shape, and it can be seen what was meant.
    #[error("{hint} ({cause})")]
    Shape {
        /// What to write.
        hint: String,
        /// Where it stands.
        cause: String,
    },
    /// A field that nothing like it exists of; what the parser says of it.
    #[error("{0}: a policy has no such field")]
    Field(String),
    /// `name` is not `projects/P/policy`.
    #[error("name: `{0}` is not of the form `projects/PROJECT/policy`")]
    Name(String),
    /// No such mode.
    #[error("globalPolicyEvaluationMode: `{0}` is none: expected ENABLE or DISABLE")]
    GlobalMode(String),
    /// More than [`MAX_PATTERNS`].
    #[error("admissionWhitelistPatterns: {0} patterns, more than the {MAX_PATTERNS} allowed")]
    TooManyPatterns(usize),
    /// An entry, by its place in the list.
    #[error("admissionWhitelistPatterns[{index}].{cause}")]
    Pattern {
        /// From 0.
        index: usize,
        /// What is wrong with it.
        cause: EntryError,
    },
    /// A policy without a default rule decides nothing.
    #[error("`defaultAdmissionRule` is missing: a policy needs one")]
    NoDefaultRule,
    /// A rule, by its field or map and key.
    #[error("{place}: {cause}")]
    Rule {
        /// Such as `defaultAdmissionRule`.
        place: String,
        /// What is wrong with it.
        cause: RuleError,
    },
    /// A key that its map cannot hold.
    #[error("{map}[{key}]: the key must be {expected}")]
    Key {
        /// The map.
        map: &'static str,
        /// The key.
        key: String,
        /// Its form.
        expected: &'static str,
    },
    /// One identity under two spellings.
    #[error("{map}[{key}]: there is a rule for this key already, with or without `spiffe://`: leave one")]
    Twice {
        /// The map.
        map: &'static str,
        /// The second spelling.
        key: String,
    },
    /// More than [`MAX_RULES`].
    #[error("{map}: {count} rules, more than the {MAX_RULES} allowed")]
    TooManyRules {
        /// The map.
        map: &'static str,
        /// How many it has.
        count: usize,
    },
    /// More than one rule map is used.
    #[error(
        "{0} and {1} are both used: a policy may have rules of one kind only, beside the default, unless \
         `allow_multiple_rule_maps = true` is configured"
    )]
    SeveralMaps(&'static str, &'static str),
    /// More than [`MAX_POLICY_ATTESTORS`].
    #[error("the rules require {0} different attestors, more than the {MAX_POLICY_ATTESTORS} allowed")]
    TooManyAttestors(usize),
}

/// Why an entry of an allowlist is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Its pattern is none.
    #[error("namePattern: {0}")]
    Pattern(#[from] PatternError),
    /// What is said of it.
    #[error(transparent)]
    Terms(#[from] TermsError),
}

/// Every entry of the policy's allowlist as an exception, in the order of the document, as it stands at `now`.
pub fn exceptions(policy: &Policy, now: SystemTime) -> impl Iterator<Item = Exception<'_>> {
    policy.allowlist.exceptions(now)
}

impl Policy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn parse(bytes: &[u8], format: Format, options: Options) -> Result<Self, PolicyError> {
        let Object(document): Object<PolicyDocument> =
            document::parse(bytes, format).map_err(|cause| misshapen(cause, bytes, format))?;
        let head = Head {
            name: written(document.name),
            description: written(document.description),
            update_time: written(document.update_time),
            etag: written(document.etag),
        };
        check_name(head.name.as_deref())?;
        let system_policy = read_global_mode(document.global_policy_evaluation_mode.as_deref())?;
        let allowlist =
            Allowlist::with_terms(read_patterns(document.admission_whitelist_patterns.unwrap_or_default())?);
        let Object(default_rule) = document.default_admission_rule.ok_or(PolicyError::NoDefaultRule)?;
        let default_rule = default_rule
            .try_into()
            .map_err(|cause| PolicyError::Rule { place: Place::Default.to_string(), cause })?;
        let maps = read_maps(
            &default_rule,
            [
                (Scope::Cluster, document.cluster_admission_rules),
                (Scope::Namespace, document.kubernetes_namespace_admission_rules),
                (Scope::ServiceAccount, document.kubernetes_service_account_admission_rules),
                (Scope::MeshIdentity, document.istio_service_identity_admission_rules),
            ],
            options,
        )?;
        let attestors = required(&default_rule, &maps)?;
        let version = Version::of(bytes);
        Ok(Self { head, system_policy, allowlist, maps, default_rule, attestors, version })
    }

    /// Whether the system policy is asked before this one. Absent is no, as in the proto.
    #[must_use]
    pub fn uses_system_policy(&self) -> bool {
        self.system_policy == Some(SystemPolicyUse::Enable)
    }

    /// Patterns that exempt images, in the order of the document.
    #[must_use]
    pub fn allowlist(&self) -> &Allowlist {
        &self.allowlist
    }

    /// The rule for whatever no pattern exempts and no other rule is for.
    #[must_use]
    pub fn default_rule(&self) -> &AdmissionRule {
        &self.default_rule
    }

    /// Every rule with its place, most specific first, the default last.
    pub fn rules(&self) -> impl Iterator<Item = (Place<'_>, &AdmissionRule)> {
        self.maps.iter().flat_map(RuleMap::rules).chain([(Place::Default, &self.default_rule)])
    }

    /// Every rule that could apply to `workload`, most specific first, each with its place; exactly one
    /// where the pod is known as far as the maps of this policy ask. Rules that are alike come once, under
    /// the least specific of their places. Never empty.
    #[must_use]
    pub fn candidates(&self, workload: &Workload) -> Vec<(Place<'_>, &AdmissionRule)> {
        maps::candidates(&self.maps, &self.default_rule, workload)
    }

    /// Its own name, `projects/P/policy`, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.head.name.as_deref()
    }

    /// What a server that keeps it has given it, to tell one state of it from another.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.head.etag.as_deref()
    }

    /// Of the document's bytes.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Every attestor that a rule requires, each once.
    pub fn attestors(&self) -> impl Iterator<Item = &AttestorName> {
        self.attestors.iter()
    }
}

fn written(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The longest list of fields that is shown, in bytes: those of a rule are, in both their spellings, and
/// those of a policy are more than anybody reads.
const MAX_FIELDS: usize = 200;

/// The refusal of a document of another shape, in as few words as will do.
fn misshapen(cause: DocumentError, bytes: &[u8], format: Format) -> PolicyError {
    let said = cause.to_string();
    // JSON says where after the list.
    let cut = said.split_once(", expected one of ").filter(|(_, fields)| fields.len() > MAX_FIELDS).map(
        |(what, fields)| {
            let place = fields.find(" at line ").and_then(|at| fields.get(at..)).unwrap_or_default();
            format!("{what}{place}")
        },
    );
    match (hint::of_policy(bytes, format), cut) {
        (Some(hint), cut) => PolicyError::Shape { hint, cause: cut.unwrap_or(said) },
        (None, Some(what)) => PolicyError::Field(what),
        (None, None) => cause.into(),
    }
}

fn check_name(name: Option<&str>) -> Result<(), PolicyError> {
    let Some(name) = name else { return Ok(()) };
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, "policy"] if !project.is_empty() => Ok(()),
        _ => Err(PolicyError::Name(text::shown(name, 120))),
    }
}

fn read_global_mode(mode: Option<&str>) -> Result<Option<SystemPolicyUse>, PolicyError> {
    match mode {
        None | Some("" | "GLOBAL_POLICY_EVALUATION_MODE_UNSPECIFIED") => Ok(None),
        Some("ENABLE") => Ok(Some(SystemPolicyUse::Enable)),
        Some("DISABLE") => Ok(Some(SystemPolicyUse::Disable)),
        Some(other) => Err(PolicyError::GlobalMode(text::shown(other, 60))),
    }
}

fn read_patterns(
    documents: Vec<Object<PatternDocument>>,
) -> Result<Vec<(AllowlistPattern, Terms)>, PolicyError> {
    if documents.len() > MAX_PATTERNS {
        return Err(PolicyError::TooManyPatterns(documents.len()));
    }
    patterns(&documents).map_err(|(index, cause)| PolicyError::Pattern { index, cause })
}

/// Patterns with their terms, or the first entry that is none, by its place in the list.
pub(super) fn patterns(
    documents: &[Object<PatternDocument>],
) -> Result<Vec<(AllowlistPattern, Terms)>, (usize, EntryError)> {
    let read = |Object(document): &Object<PatternDocument>| {
        let pattern = AllowlistPattern::parse(&document.name_pattern)?;
        let terms = Terms::read(
            document.binauthd_expires.as_deref(),
            document.binauthd_owner.as_deref(),
            document.binauthd_ticket.as_deref(),
        )?;
        Ok((pattern, terms))
    };
    documents.iter().enumerate().map(|(index, one)| read(one).map_err(|cause| (index, cause))).collect()
}

/// The maps that have rules, from most to least specific.
fn read_maps(
    default_rule: &AdmissionRule,
    documents: [(Scope, Option<RulesDocument>); 4],
    options: Options,
) -> Result<Vec<RuleMap>, PolicyError> {
    let mut maps = Vec::new();
    let mut kinds = Kinds::new(default_rule);
    for (scope, rules) in documents {
        let map = RuleMap::read(scope, rules.unwrap_or_default(), &mut kinds)?;
        if !map.is_empty() {
            maps.push(map);
        }
    }
    if let ([first, second, ..], false) = (maps.as_slice(), options.allow_multiple_rule_maps) {
        return Err(PolicyError::SeveralMaps(first.scope().field(), second.scope().field()));
    }
    maps.sort_by_key(|map| std::cmp::Reverse(map.scope()));
    Ok(maps)
}

/// The attestors that any of the rules requires.
fn required(default_rule: &AdmissionRule, maps: &[RuleMap]) -> Result<Vec<AttestorName>, PolicyError> {
    let rules = maps.iter().flat_map(RuleMap::rules).map(|(_, rule)| rule);
    let mut seen = std::collections::HashSet::new();
    let attestors: Vec<_> = std::iter::once(default_rule)
        .chain(rules)
        .flat_map(AdmissionRule::attestors)
        .filter(|name| seen.insert(*name))
        .cloned()
        .collect();
    if attestors.len() > MAX_POLICY_ATTESTORS {
        return Err(PolicyError::TooManyAttestors(attestors.len()));
    }
    Ok(attestors)
}

mod export;
#[cfg(test)]
mod tests;
