//! Any bytes as a document of an image: what is read stays within its bounds.
#![no_main]

use binauthd::image::Content;
use binauthd::image::content::{MAX_CHILDREN, MAX_LAYERS, chain_id, config};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let document = Content::read(bytes);
    if let Ok(Content::Index(children)) = &document {
        assert!(children.len() <= MAX_CHILDREN);
    }
    if let Ok(layers) = config(bytes) {
        assert!(layers.len() <= MAX_LAYERS);
        assert_eq!(chain_id(&layers).is_none(), layers.is_empty());
    }
});
