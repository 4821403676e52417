//! A policy that is read can be exported, and is the same policy then.
#![no_main]

use binauthd::document::Format;
use binauthd::image::Workload;
use binauthd::policy::Options;
use binauthd::policy::Policy;
use binauthd::policy::document::{MAX_PATTERNS, MAX_POLICY_ATTESTORS};
use libfuzzer_sys::fuzz_target;

const OPTIONS: Options = Options { allow_multiple_rule_maps: true };

fuzz_target!(|data: &[u8]| {
    for format in [Format::Json, Format::Yaml] {
        let Ok(policy) = Policy::parse(data, format, OPTIONS) else { continue };
        assert!(
            policy.allowlist().len() <= MAX_PATTERNS && policy.attestors().count() <= MAX_POLICY_ATTESTORS
        );
        assert!(!policy.candidates(&Workload::default()).is_empty());
        let known = Workload {
            cluster: Some("us-central1-a.prod".to_owned()),
            namespace: Some("shop".to_owned()),
            service_account: Some("web".to_owned()),
            mesh_identity: Some("mesh/ns/shop/sa/web".to_owned()),
            ..Workload::default()
        };
        assert_eq!(policy.candidates(&known).len(), 1);
        let told = |policy: &Policy| {
            let rules: Vec<_> = policy.rules().map(|(place, rule)| format!("{place} {rule:?}")).collect();
            (rules, policy.allowlist().as_slice().to_vec(), policy.uses_system_policy())
        };
        for other in [Format::Json, Format::Yaml] {
            let text = policy.export(other);
            let again = Policy::parse(text.as_bytes(), other, OPTIONS).expect("an export is a policy");
            assert_eq!(told(&policy), told(&again));
            assert_eq!(again.export(other), text);
        }
    }
});
