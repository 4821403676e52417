//! What an image is called: [`Digest`] and [`Reference`]. Parsing is construction, so a value of
//! these types is well-formed.

pub mod digest;
pub mod reference;

pub use digest::{Digest, DigestError};
pub use reference::{Reference, ReferenceError};
