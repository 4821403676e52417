//! The daemon and its sources: what is attested goes on, and what is not known is refused by name, whatever
//! the metadata store, the disk and the daemon's own end do. Each test prints what it counted.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "sources/air_gap.rs"]
mod air_gap;
#[path = "sources/disk.rs"]
mod disk;
#[path = "sources/faults.rs"]
mod faults;
#[path = "sources/floods.rs"]
mod floods;
#[cfg(feature = "store")]
#[path = "sources/followed.rs"]
mod followed;
#[path = "sources/kills.rs"]
mod kills;
#[path = "sources/node.rs"]
mod node;
#[cfg(feature = "store")]
#[allow(dead_code, unused, reason = "these tests use a part of it")]
#[path = "store/rig.rs"]
mod rig;
#[path = "sources/store.rs"]
mod store;
