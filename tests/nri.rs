//! The NRI plugin runtime against runtimes: one of the tests' own, recorded sessions of real ones, and
//! containerd 2.1 itself, which needs root and what `tests/rig/install.sh` fetches.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod rig;

#[path = "nri/against_containerd.rs"]
mod against_containerd;
#[path = "nri/broken.rs"]
mod broken;
#[path = "nri/fake_runtime.rs"]
mod fake_runtime;
#[path = "nri/gate.rs"]
mod gate;
#[path = "nri/golden.rs"]
mod golden;
#[path = "nri/handlers.rs"]
mod handlers;
#[path = "nri/reconnect.rs"]
mod reconnect;
#[path = "nri/required.rs"]
mod required;
