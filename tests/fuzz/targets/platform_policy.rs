//! A platform policy has exactly one check set for every pod that is known, and the last for everybody.
#![no_main]

use std::collections::BTreeSet;

use binauthd::document::Format;
use binauthd::policy::PlatformPolicy;
use binauthd::policy::lint::lint_platform;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for format in [Format::Json, Format::Yaml] {
        let Ok(policy) = PlatformPolicy::parse(data, format) else { continue };
        let sets = policy.check_sets();
        if let Some((last, before)) = sets.split_last() {
            assert!(last.scope.is_none() && before.iter().all(|set| set.scope.is_some()));
            assert_eq!(policy.candidates(Some("shop"), Some("web")).len(), 1);
        }
        let possible = policy.candidates(None, None);
        assert_eq!(possible.len(), sets.len());
        // Whoever is judged by one set when known was to be reckoned with before.
        for (namespace, account) in [(Some("shop"), None), (None, Some("web")), (Some("shop"), Some("web"))] {
            let narrower = policy.candidates(namespace, account);
            assert!(narrower.iter().all(|(place, _)| possible.iter().any(|(other, _)| other == place)));
        }
        let inline: Vec<_> = policy.inline().map(|authority| authority.name()).collect();
        assert_eq!(inline.iter().collect::<BTreeSet<_>>().len(), inline.len());
        for check in sets.iter().flat_map(|set| &set.checks) {
            assert!(check.kind.signers().iter().all(|name| policy.attestors().any(|known| known == name)));
        }
        let _ = lint_platform(&policy);
    }
});
