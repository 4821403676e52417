//! References: every spelling of a name leads back to it. Behind a line break a pattern, of any dialect.
#![no_main]

use binauthd::image::Reference;
use binauthd::image::reference::{without_scheme, written_repository};
use binauthd::policy::{AllowlistPattern, ImagePattern, SourcePattern, TrustedDirectory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (name, pattern) = text.split_once('\n').unwrap_or((text, ""));
    assert!(name.ends_with(without_scheme(name)) && name.starts_with(written_repository(name)));
    let Ok(reference) = Reference::parse(name) else { return };
    assert!(reference.repository().len() <= 255);
    assert_eq!(Reference::parse(&reference.to_string()), Ok(reference.clone()));
    let spellings = reference.spellings();
    for spelling in &spellings {
        let again = Reference::parse(spelling).expect("a spelling is a reference");
        assert_eq!((again.repository(), again.digest()), (reference.repository(), reference.digest()));
    }
    if let Some(digest) = reference.digest() {
        assert!(
            name.ends_with(&digest.to_string()) && spellings.iter().all(|one| one.ends_with(&digest.hex()))
        );
    }
    if let Ok(pattern) = AllowlistPattern::parse(pattern) {
        for spelling in spellings.iter().filter(|spelling| pattern.matches(spelling)) {
            assert!(spelling.starts_with(pattern.stem()));
        }
        assert!(pattern.covers(&pattern));
    }
    if let Ok(pattern) = ImagePattern::parse(pattern) {
        let _ = pattern.matches(&reference);
        assert_eq!(
            ImagePattern::parse(pattern.as_str()).map(|it| it.matches(&reference)),
            Ok(pattern.matches(&reference))
        );
    }
    if let Ok(directory) = TrustedDirectory::parse(pattern) {
        let _ = directory.matches(&reference);
        assert_eq!(TrustedDirectory::parse(directory.as_str()), Ok(directory));
    }
    if let Ok(source) = SourcePattern::parse(pattern) {
        let _ = source.matches(name);
    }
});
