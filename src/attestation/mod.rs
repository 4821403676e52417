//! Who attests, what was attested, and the check that it was: attestors and their keys, occurrence
//! documents, the signed payload, and [`verify`], the only maker of [`Verified`] evidence.

pub mod algorithm;
pub mod attestor;
pub mod base64;
mod candidates;
pub mod dsse;
pub mod jwt;
pub mod key;
pub mod key_ring;
pub mod name;
pub mod occurrence;
pub mod payload;
pub mod pgp;
pub mod statement;
pub mod verify;

pub use algorithm::{Algorithm, Kind};
pub use attestor::{Attestor, AttestorError, Filing, Key};
pub use key::{Check, KeyError, KeyId, PublicKey};
pub use key_ring::KeyRing;
pub use name::{AttestorName, NameError, NoteName};
pub use occurrence::{Occurrence, OccurrenceError};
pub use payload::{Claim, PayloadError};
pub use statement::{Predicate, Statement, StatementError};
pub use verify::{Evidence, Finding, Miss, Verified};
