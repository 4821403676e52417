//! `PlatformPolicy` as it is written: lowerCamelCase or snake_case, as proto3 JSON allows.
//!
//! What this version does not judge has a field all the same, so that it is refused by its name.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::attestation::attestor::PkixDocument;
use crate::document;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PlatformPolicyDocument {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) etag: Option<String>,
    #[serde(alias = "update_time")]
    pub(super) update_time: Option<String>,
    #[serde(default, alias = "gke_policy", deserialize_with = "document::given_object")]
    pub(super) gke_policy: Option<GkePolicyDocument>,
    #[serde(alias = "cloud_run_policy")]
    pub(super) cloud_run_policy: Option<IgnoredAny>,
    #[serde(default, alias = "binauthd_enforcement_mode", deserialize_with = "document::given")]
    pub(super) binauthd_enforcement_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GkePolicyDocument {
    #[serde(default, alias = "image_allowlist", deserialize_with = "document::object")]
    pub(super) image_allowlist: AllowlistDocument,
    #[serde(default, alias = "check_sets", deserialize_with = "document::objects")]
    pub(super) check_sets: Vec<CheckSetDocument>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AllowlistDocument {
    #[serde(default, alias = "allow_pattern")]
    pub(super) allow_pattern: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CheckSetDocument {
    #[serde(default, alias = "display_name")]
    pub(super) display_name: String,
    #[serde(default, deserialize_with = "document::given_object")]
    pub(super) scope: Option<ScopeDocument>,
    #[serde(default, alias = "image_allowlist", deserialize_with = "document::object")]
    pub(super) image_allowlist: AllowlistDocument,
    #[serde(default, deserialize_with = "document::objects")]
    pub(super) checks: Vec<CheckDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScopeDocument {
    #[serde(alias = "kubernetes_namespace")]
    pub(super) kubernetes_namespace: Option<String>,
    #[serde(alias = "kubernetes_service_account")]
    pub(super) kubernetes_service_account: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CheckDocument {
    #[serde(default, alias = "display_name")]
    pub(super) display_name: String,
    #[serde(default, alias = "image_allowlist", deserialize_with = "document::object")]
    pub(super) image_allowlist: AllowlistDocument,
    #[serde(alias = "always_deny")]
    pub(super) always_deny: Option<bool>,
    #[serde(default, alias = "image_freshness_check", deserialize_with = "document::given_object")]
    pub(super) image_freshness_check: Option<FreshnessDocument>,
    #[serde(default, alias = "trusted_directory_check", deserialize_with = "document::given_object")]
    pub(super) trusted_directory_check: Option<DirectoriesDocument>,
    #[serde(
        default,
        alias = "simple_signing_attestation_check",
        deserialize_with = "document::given_object"
    )]
    pub(super) simple_signing_attestation_check: Option<SimpleSigningDocument>,
    #[serde(alias = "sigstore_signature_check")]
    pub(super) sigstore_signature_check: Option<IgnoredAny>,
    #[serde(default, alias = "slsa_check", deserialize_with = "document::given_object")]
    pub(super) slsa_check: Option<SlsaDocument>,
    #[serde(default, alias = "vulnerability_check", deserialize_with = "document::given_object")]
    pub(super) vulnerability_check: Option<VulnerabilityDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FreshnessDocument {
    #[serde(alias = "max_upload_age_days")]
    pub(super) max_upload_age_days: Option<i32>,
    #[serde(default, alias = "binauthd_attestors")]
    pub(super) binauthd_attestors: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DirectoriesDocument {
    #[serde(default, alias = "trusted_dir_patterns")]
    pub(super) trusted_dir_patterns: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SimpleSigningDocument {
    #[serde(default, alias = "container_analysis_attestation_projects")]
    pub(super) container_analysis_attestation_projects: Vec<String>,
    #[serde(default, alias = "attestation_authenticators", deserialize_with = "document::objects")]
    pub(super) attestation_authenticators: Vec<AuthenticatorDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AuthenticatorDocument {
    #[serde(rename = "displayName", alias = "display_name")]
    pub(super) _display_name: Option<String>,
    #[serde(default, alias = "pkix_public_key_set", deserialize_with = "document::given_object")]
    pub(super) pkix_public_key_set: Option<KeySetDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeySetDocument {
    #[serde(default, alias = "pkix_public_keys", deserialize_with = "document::objects")]
    pub(super) pkix_public_keys: Vec<PkixDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SlsaDocument {
    #[serde(default, deserialize_with = "document::objects")]
    pub(super) rules: Vec<SlsaRuleDocument>,
    #[serde(default, alias = "binauthd_attestors")]
    pub(super) binauthd_attestors: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SlsaRuleDocument {
    #[serde(alias = "trusted_builder")]
    pub(super) trusted_builder: Option<String>,
    #[serde(default, alias = "binauthd_builder_ids")]
    pub(super) binauthd_builder_ids: Vec<String>,
    #[serde(default, alias = "attestation_source", deserialize_with = "document::given_object")]
    pub(super) attestation_source: Option<SourceDocument>,
    #[serde(default, alias = "config_based_build_required")]
    pub(super) config_based_build_required: bool,
    #[serde(default, alias = "trusted_source_repo_patterns")]
    pub(super) trusted_source_repo_patterns: Vec<String>,
    #[serde(alias = "custom_constraints")]
    pub(super) custom_constraints: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SourceDocument {
    #[serde(default, alias = "container_analysis_attestation_projects")]
    pub(super) container_analysis_attestation_projects: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VulnerabilityDocument {
    #[serde(alias = "maximum_fixable_severity")]
    pub(super) maximum_fixable_severity: Option<String>,
    #[serde(alias = "maximum_unfixable_severity")]
    pub(super) maximum_unfixable_severity: Option<String>,
    #[serde(default, alias = "allowed_cves")]
    pub(super) allowed_cves: Vec<String>,
    #[serde(default, alias = "blocked_cves")]
    pub(super) blocked_cves: Vec<String>,
    #[serde(default, alias = "container_analysis_vulnerability_projects")]
    pub(super) container_analysis_vulnerability_projects: Vec<String>,
    #[serde(alias = "max_scan_age")]
    pub(super) max_scan_age: Option<String>,
    #[serde(default, alias = "binauthd_attestors")]
    pub(super) binauthd_attestors: Vec<String>,
}
