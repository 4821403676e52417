//! `binauthctl` as its users run it: the real binary, real folders, keys and signatures by openssl and gpg.

#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bench;
mod node;

mod attestations;
mod attestors;
mod audit;
mod break_glass;
mod bundles;
mod containerd;
mod evaluate;
mod floor;
mod forms;
mod general;
mod ladder;
mod policy;
mod report;
