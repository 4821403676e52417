//! Who attests, what was attested, and the check that it was: attestors and their keys, occurrence
//! documents, what is signed in them, and [`verify`], the only maker of [`Verified`] evidence.
//!
//! Who: [`attestor`], a [`key_ring`] of them, keys by [`algorithm`] or as OpenPGP certificates ([`pgp`]).
//! Where: [`occurrence`], with the forms of signatures; [`jwt`] and [`dsse`] take two of them apart.
//! What: a simple-signing [`payload`] or an in-toto [`statement`], read once a signature over it has held.
//! Which of these a decision needs is not decided here.

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
