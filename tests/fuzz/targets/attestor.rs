//! The keys of an attestor are found by their ids, and nothing else is.
#![no_main]

use std::collections::BTreeSet;

use binauthd::attestation::attestor::MAX_KEYS;
use binauthd::attestation::{Attestor, KeyRing};
use binauthd::document::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for format in [Format::Json, Format::Yaml] {
        let Ok(attestor) = Attestor::parse(data, format) else { continue };
        let ids: BTreeSet<_> = attestor.keys().iter().map(|key| key.id.as_str()).collect();
        assert!(ids.len() == attestor.keys().len() && ids.len() <= MAX_KEYS && !ids.contains(""));
        for key in attestor.keys() {
            let found = attestor.key(key.id.as_str()).expect("a key is found by its id");
            assert_eq!(found.id, key.id);
            assert!(!key.key.verifies(b"never signed", b"") && !key.key.verifies(b"", &[0; 64]));
        }
        assert!(attestor.key("no such key").is_none() || ids.contains("no such key"));
        let note = attestor.note().expect("a document names a note");
        assert!(attestor.filing().holds(note.as_str(), ""));
        let (one, two) = (KeyRing::new([attestor.clone()]), KeyRing::new([attestor.clone(), attestor]));
        assert_ne!(one.identity(), two.identity());
    }
});
