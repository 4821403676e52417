//! Rule maps, and the choice of the rule for a pod.
//!
//! Owns the four kinds of keys, what makes one valid, and the order from most to least specific. A pod
//! that is not known in full gets every rule that could be its own: nothing is guessed.
//!
//! What is chosen costs a look-up in each map, however many rules it has; for a pod that is not known in
//! full it costs as many steps as there are different rules that could apply.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::document::PolicyError;
use super::rule::{AdmissionRule, RuleDocument};
use crate::document::{Object, UniqueMap};
use crate::image::Workload;
use crate::image::workload::{is_label, is_subdomain, is_trust_domain};
use crate::text;

/// The most rules that one map may have.
pub const MAX_RULES: usize = 100_000;

/// What the keys of a rule map name, from least to most specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `LOCATION.CLUSTER`, in fleets `LOCATION.MEMBERSHIP`.
    Cluster,
    /// A namespace.
    Namespace,
    /// `spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT`, with or without `spiffe://`.
    MeshIdentity,
    /// `NAMESPACE:SERVICEACCOUNT`.
    ServiceAccount,
}

impl Scope {
    /// The field of `Policy` that holds its rules.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Cluster => "clusterAdmissionRules",
            Self::Namespace => "kubernetesNamespaceAdmissionRules",
            Self::MeshIdentity => "istioServiceIdentityAdmissionRules",
            Self::ServiceAccount => "kubernetesServiceAccountAdmissionRules",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Namespace => "namespace",
            Self::MeshIdentity => "service identity",
            Self::ServiceAccount => "service account",
        }
    }

    /// Whether `key` has its form.
    #[must_use]
    pub fn takes(self, key: &str) -> bool {
        self.parts(key).is_some()
    }

    /// The form of a key.
    #[must_use]
    pub fn form(self) -> &'static str {
        match self {
            Self::Cluster => "`LOCATION.CLUSTER`, such as `us-central1-a.prod`",
            Self::Namespace => "a namespace: an RFC 1123 label, such as `shop`",
            Self::MeshIdentity => {
                "`spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT`, with or without `spiffe://`"
            }
            Self::ServiceAccount => "`NAMESPACE:SERVICEACCOUNT`, such as `shop:web`",
        }
    }

    /// Namespace and service account of a valid key, blank where its kind names none.
    fn parts(self, key: &str) -> Option<(&str, &str)> {
        match self {
            Self::Cluster => {
                let (location, cluster) = key.split_once('.')?;
                (is_label(location) && is_label(cluster)).then_some(("", ""))
            }
            Self::Namespace => is_label(key).then_some(("", "")),
            Self::ServiceAccount => key
                .split_once(':')
                .filter(|(namespace, account)| is_label(namespace) && is_subdomain(account)),
            Self::MeshIdentity => {
                let mut segments = bare(key).split('/');
                let mut next = || segments.next();
                let (domain, ns, namespace, sa, account) = (next()?, next()?, next()?, next()?, next()?);
                let valid = (ns, sa, segments.next()) == ("ns", "sa", None)
                    && is_trust_domain(domain)
                    && is_label(namespace)
                    && is_subdomain(account);
                valid.then_some((namespace, account))
            }
        }
    }

    /// The one spelling of a key.
    fn normal(self, key: &str) -> &str {
        if self == Self::MeshIdentity { bare(key) } else { key }
    }

    /// The key that a pod has here, if enough is known of it.
    fn key_of(self, workload: &Workload) -> Option<Cow<'_, str>> {
        match self {
            Self::Cluster => workload.cluster.as_deref().map(Cow::Borrowed),
            Self::Namespace => workload.namespace.as_deref().map(Cow::Borrowed),
            Self::MeshIdentity => workload.mesh_identity.as_deref().map(|key| Cow::Borrowed(bare(key))),
            Self::ServiceAccount => {
                let (namespace, account) =
                    (workload.namespace.as_deref()?, workload.service_account.as_deref()?);
                Some(Cow::Owned(joined(namespace, account)))
            }
        }
    }
}

/// Whether `key` could be one of a cluster: `LOCATION.CLUSTER`.
#[must_use]
pub fn is_cluster(key: &str) -> bool {
    Scope::Cluster.takes(key)
}

/// Where in a policy a rule stands. Displayed, it is the path to the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place<'a> {
    /// `defaultAdmissionRule`.
    Default,
    /// In a map, under this key as it is written.
    Map(Scope, &'a str),
}

impl Place<'_> {
    /// The place in words, as in "denied by Binary Authorization cluster admission rule for …".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Default => "default admission rule".to_owned(),
            Self::Map(scope, key) => format!("{} admission rule for {key}", scope.noun()),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("defaultAdmissionRule"),
            Self::Map(scope, key) => write!(f, "{}[{key}]", scope.field()),
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// As it is written.
    key: String,
    rule: AdmissionRule,
    /// The same number for rules that are alike, in all maps of a policy.
    kind: usize,
}

/// Numbers rules while a policy is read; the default rule's is [`DEFAULT`].
#[derive(Debug)]
pub(super) struct Kinds(HashMap<AdmissionRule, usize>);

const DEFAULT: usize = 0;

impl Kinds {
    pub(super) fn new(default: &AdmissionRule) -> Self {
        Self(HashMap::from([(default.clone(), DEFAULT)]))
    }

    fn of(&mut self, rule: &AdmissionRule) -> usize {
        let next = self.0.len();
        if let Some(kind) = self.0.get(rule) {
            return *kind;
        }
        self.0.insert(rule.clone(), next);
        next
    }
}

/// The rules of one scope.
#[derive(Debug, Clone)]
pub(super) struct RuleMap {
    scope: Scope,
    /// In the order of the document.
    entries: Vec<Arc<Entry>>,
    by_key: HashMap<String, Arc<Entry>>,
    /// By what could be known of a pod whose key is not: `NAMESPACE:SERVICEACCOUNT`, unknown halves blank.
    /// Of rules that are alike, the first.
    by_part: HashMap<String, Vec<Arc<Entry>>>,
}

/// What a map has for a pod.
enum Found<'a> {
    Nothing,
    Its(&'a Entry),
    Possible(&'a [Arc<Entry>]),
}

impl RuleMap {
    /// Reads the rules of `scope`.
    pub(super) fn read(
        scope: Scope,
        rules: UniqueMap<Object<RuleDocument>>,
        kinds: &mut Kinds,
    ) -> Result<Self, PolicyError> {
        let count = rules.0.len();
        if count > MAX_RULES {
            return Err(PolicyError::TooManyRules { map: scope.field(), count });
        }
        let mut entries = Vec::with_capacity(count);
        for (key, Object(document)) in rules.0 {
            if scope.parts(&key).is_none() {
                let key = text::shown(&key, 120);
                return Err(PolicyError::Key { map: scope.field(), key, expected: scope.form() });
            }
            let rule = document.try_into().map_err(|cause| {
                let place = Place::Map(scope, &key).to_string();
                PolicyError::Rule { place, cause }
            })?;
            let kind = kinds.of(&rule);
            entries.push(Arc::new(Entry { key, rule, kind }));
        }
        Self::index(scope, entries)
    }

    fn index(scope: Scope, entries: Vec<Arc<Entry>>) -> Result<Self, PolicyError> {
        let mut by_key = HashMap::with_capacity(entries.len());
        let mut by_part: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
        let mut seen: HashSet<(String, usize)> = HashSet::new();
        for entry in &entries {
            if by_key.insert(scope.normal(&entry.key).to_owned(), Arc::clone(entry)).is_some() {
                return Err(PolicyError::Twice { map: scope.field(), key: entry.key.clone() });
            }
            let (namespace, account) = scope.parts(&entry.key).unwrap_or_default();
            let known: &[(&str, &str)] = match scope {
                Scope::Cluster | Scope::Namespace => &[("", "")],
                Scope::ServiceAccount => &[("", ""), (namespace, ""), ("", account)],
                Scope::MeshIdentity => &[("", ""), (namespace, ""), ("", account), (namespace, account)],
            };
            for (namespace, account) in known {
                let part = joined(namespace, account);
                if seen.insert((part.clone(), entry.kind)) {
                    by_part.entry(part).or_default().push(Arc::clone(entry));
                }
            }
        }
        Ok(Self { scope, by_key, by_part, entries })
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every rule, in the order of the document.
    pub(super) fn rules(&self) -> impl Iterator<Item = (Place<'_>, &AdmissionRule)> {
        self.entries.iter().map(|entry| self.placed(entry))
    }

    fn placed<'a>(&self, entry: &'a Entry) -> (Place<'a>, &'a AdmissionRule) {
        (Place::Map(self.scope, &entry.key), &entry.rule)
    }

    fn find(&self, workload: &Workload) -> Found<'_> {
        if let Some(key) = self.scope.key_of(workload) {
            return self.by_key.get(key.as_ref()).map_or(Found::Nothing, |entry| Found::Its(entry));
        }
        let part = match self.scope {
            Scope::Cluster | Scope::Namespace => joined("", ""),
            Scope::MeshIdentity | Scope::ServiceAccount => joined(
                workload.namespace.as_deref().unwrap_or_default(),
                workload.service_account.as_deref().unwrap_or_default(),
            ),
        };
        self.by_part.get(&part).map_or(Found::Nothing, |entries| Found::Possible(entries))
    }
}

/// As it is written: keys and rules, in the order of the document.
impl Serialize for RuleMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries.iter().map(|entry| (&entry.key, &entry.rule)))
    }
}

/// Every rule that could apply to `workload`, most specific first; exactly one where the pod is known.
///
/// `maps` from most to least specific. Of rules that are alike the least specific stands for all: it is the
/// one whose place holds for most of the pods that this could be.
pub(super) fn candidates<'a>(
    maps: &'a [RuleMap],
    default: &'a AdmissionRule,
    workload: &Workload,
) -> Vec<(Place<'a>, &'a AdmissionRule)> {
    let mut found: Vec<(&RuleMap, &[Arc<Entry>])> = Vec::new();
    let mut its = None;
    for map in maps {
        match map.find(workload) {
            Found::Nothing => {}
            Found::Possible(entries) => found.push((map, entries)),
            Found::Its(entry) => {
                its = Some((map.placed(entry), entry.kind));
                break;
            }
        }
    }
    let (last, kind) = its.unwrap_or(((Place::Default, default), DEFAULT));
    let mut rules = vec![last];
    let mut seen = Seen::default();
    seen.insert(kind);
    for (map, entries) in found.into_iter().rev() {
        let unseen = entries.iter().rev().filter(|entry| seen.insert(entry.kind));
        rules.extend(unseen.map(|entry| map.placed(entry)));
    }
    rules.reverse();
    rules
}

/// Kinds of rules that were met; thousands are asked about within microseconds.
#[derive(Default)]
struct Seen(Vec<bool>);

impl Seen {
    /// Whether it is the first of its kind.
    fn insert(&mut self, kind: usize) -> bool {
        if self.0.len() <= kind {
            self.0.resize((kind + 1).next_power_of_two(), false);
        }
        self.0.get_mut(kind).is_some_and(|seen| !std::mem::replace(seen, true))
    }
}

fn joined(namespace: &str, account: &str) -> String {
    format!("{namespace}:{account}")
}

fn bare(identity: &str) -> &str {
    identity.strip_prefix("spiffe://").unwrap_or(identity)
}

#[cfg(test)]
mod tests;
