//! What an image is called: [`Digest`] and [`Reference`]; and what is known of the pod it is to run in:
//! [`Workload`]. Parsing is construction, so a digest or a reference is well-formed.

pub mod digest;
pub mod reference;
pub mod workload;

pub use digest::{Digest, DigestError, DigestKind};
pub use reference::{Reference, ReferenceError};
pub use workload::{Workload, mesh_identity};
