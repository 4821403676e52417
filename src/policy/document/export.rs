//! The policy as a document again, for other readers: what every reader of YAML or JSON takes for the
//! text that it is.

use serde::Serialize;

use super::{Policy, SystemPolicyUse};
use crate::document::Format;
use crate::policy::allowlist::Terms;
use crate::policy::maps::{RuleMap, Scope};
use crate::policy::pattern::AllowlistPattern;
use crate::policy::rule::AdmissionRule;

impl Policy {
    /// The policy in its canonical form: `camelCase`, fields in the order of the proto, rules and patterns
    /// in the order of the document, what is blank left out. Reading it gives the same policy, under
    /// another version unless it was canonical already.
    #[must_use]
    pub fn export(&self, format: Format) -> String {
        let map = |scope| self.maps.iter().find(|map| map.scope() == scope);
        let exported = Exported {
            name: self.head.name.as_deref(),
            description: self.head.description.as_deref(),
            global_policy_evaluation_mode: self.system_policy,
            admission_whitelist_patterns: self
                .allowlist
                .iter()
                .enumerate()
                .map(|(place, name_pattern)| ExportedPattern::of(name_pattern, self.allowlist.terms(place)))
                .collect(),
            cluster_admission_rules: map(Scope::Cluster),
            kubernetes_namespace_admission_rules: map(Scope::Namespace),
            kubernetes_service_account_admission_rules: map(Scope::ServiceAccount),
            istio_service_identity_admission_rules: map(Scope::MeshIdentity),
            default_admission_rule: &self.default_rule,
            update_time: self.head.update_time.as_deref(),
            etag: self.head.etag.as_deref(),
        };
        // Neither serializer refuses text, lists and maps of text. Were it otherwise, what came out would
        // be a document that every reader refuses as empty.
        match format {
            Format::Json => {
                serde_json::to_string_pretty(&exported).map(|text| text + "\n").unwrap_or_default()
            }
            Format::Yaml => {
                let options = serde_saphyr::ser_options! {
                    folded_wrap_chars: usize::MAX,
                    prefer_block_scalars: false,
                };
                serde_saphyr::to_string_with_options(&exported, options).unwrap_or_default()
            }
        }
    }
}

/// `Policy` as it is exported.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_policy_evaluation_mode: Option<SystemPolicyUse>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    admission_whitelist_patterns: Vec<ExportedPattern<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_admission_rules: Option<&'a RuleMap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes_namespace_admission_rules: Option<&'a RuleMap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes_service_account_admission_rules: Option<&'a RuleMap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    istio_service_identity_admission_rules: Option<&'a RuleMap>,
    default_admission_rule: &'a AdmissionRule,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedPattern<'a> {
    name_pattern: &'a AllowlistPattern,
    #[serde(skip_serializing_if = "Option::is_none")]
    binauthd_expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binauthd_owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binauthd_ticket: Option<&'a str>,
}

impl<'a> ExportedPattern<'a> {
    fn of(name_pattern: &'a AllowlistPattern, terms: &'a Terms) -> Self {
        Self {
            name_pattern,
            binauthd_expires: terms.end(),
            binauthd_owner: terms.owner.as_deref(),
            binauthd_ticket: terms.ticket.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
