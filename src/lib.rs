//! placeholder
#[cfg(feature = "full")]
pub mod attestation;
#[cfg(feature = "full")]
pub mod cli;
#[cfg(feature = "full")]
pub mod decision;
#[cfg(feature = "full")]
pub mod document;
#[cfg(feature = "full")]
pub mod image;
#[cfg(feature = "full")]
pub mod policy;
