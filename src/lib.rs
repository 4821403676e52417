//! binauthd: Binary Authorization on the Kubernetes node.
//!
//! containerd asks at its own hooks whether an image may be fetched; the daemon answers from policy,
//! attestors and attestations that lie on the node, and refuses what is not attested.
//!
//! # The map
//!
//! A module names only modules in rows above its own; `tests/layers.rs` holds it to that.
//!
//! | row | modules | what |
//! |---|---|---|
//! | core | [`text`], [`document`], [`image`], [`attestation`], [`policy`], [`decision`] | no IO, no clock, no environment, no async; each names only those before it |
//! | edges | [`config`], [`gate`], [`evidence`], [`containerd`], [`audit`] | each talks to one outside thing, none names another |
//! | programs | [`daemon`], [`cli`] | put the edges together |
//!
//! # The main path
//!
//! containerd executes `binauthd-image-verifier` ([`gate::verifier`]), which asks the daemon on
//! `gate.sock` ([`gate::client`], [`gate::server`]). The daemon reads the question into a
//! [`decision::Subject`], takes what is in force ([`config::InForce`]) and what is known of the digest
//! ([`evidence::Ledger`]), lets [`decision::judge()`] answer, and records the [`decision::Verdict`] once.
//!
//! Without the feature `full` only [`gate`] is there, without its server: what the gate programs link.

#[cfg(feature = "core")]
pub mod attestation;
#[cfg(feature = "full")]
pub mod audit;
#[cfg(feature = "full")]
pub mod cli;
#[cfg(feature = "full")]
pub mod config;
#[cfg(feature = "full")]
pub mod containerd;
#[cfg(feature = "full")]
pub mod daemon;
#[cfg(feature = "core")]
pub mod decision;
#[cfg(feature = "core")]
pub mod document;
#[cfg(feature = "full")]
pub mod evidence;
pub mod gate;
#[cfg(feature = "core")]
pub mod image;
#[cfg(feature = "core")]
pub mod policy;
pub mod text;

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // Many errors of libraries, and some of ours, tell their cause themselves.
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}
