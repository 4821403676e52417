//! binauthd on a booted node: real systemd, the units as they are shipped, containerd as a service.
//!
//! Needs root and what `tests/rig/install.sh` fetches; the gate programs are built by `make gate`.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod rig;

#[path = "node/boot.rs"]
mod boot;
#[path = "node/doctor.rs"]
mod doctor;
#[path = "node/floor.rs"]
mod floor;
#[path = "node/kills.rs"]
mod kills;
#[path = "node/packages.rs"]
mod packages;
#[path = "node/recovery.rs"]
mod recovery;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "e2e/signer.rs"]
mod signer;
#[cfg(feature = "store")]
#[path = "node/store.rs"]
mod store;
#[path = "node/wiring.rs"]
mod wiring;

/// Waits until a shell line inside works.
async fn comes_to_work(node: &rig::Booted, line: &str) {
    rig::eventually(line, std::time::Duration::from_secs(15), || async {
        (node.shell(line).0 == 0).then_some(())
    })
    .await;
}
