//! placeholder
#[cfg(feature = "full")]
pub mod attestation;
#[cfg(feature = "full")]
pub mod audit;
#[cfg(feature = "full")]
pub mod config;
#[cfg(feature = "full")]
pub mod decision;
#[cfg(feature = "full")]
pub mod document;
pub mod gate;
#[cfg(feature = "full")]
pub mod evidence;
#[cfg(feature = "full")]
pub mod image;
#[cfg(feature = "full")]
pub mod policy;
