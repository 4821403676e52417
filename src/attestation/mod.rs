//! Who attests, what was attested, and the check that it was: attestors and their keys, occurrence
//! documents, the signed payload, and [`verify`], the only maker of [`Verified`] evidence.

pub mod attestor;
pub mod base64;
pub mod key;
pub mod key_ring;
pub mod name;
pub mod occurrence;
pub mod payload;
pub mod verify;

pub use attestor::{Attestor, AttestorError, Filing};
pub use key::{Algorithm, KeyError, KeyId, PublicKey};
pub use key_ring::KeyRing;
pub use name::{AttestorName, NameError, NoteName};
pub use occurrence::{Occurrence, OccurrenceError};
pub use payload::{Claim, PayloadError};
pub use verify::{Evidence, Finding, Miss, Verified};
