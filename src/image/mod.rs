//! What an image is called: [`Digest`] and [`Reference`]; what its documents say: [`Content`]; and what
//! is known of the pod it is to run in: [`Workload`]. Parsing is construction, so a digest or a reference is
//! well-formed.

pub mod content;
pub mod digest;
pub mod reference;
pub mod workload;

pub use content::{Content, ContentError};
pub use digest::{Digest, DigestError, DigestKind};
pub use reference::{Reference, ReferenceError};
pub use workload::{Workload, mesh_identity};
