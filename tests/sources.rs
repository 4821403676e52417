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
#[path = "sources/kills.rs"]
mod kills;
#[path = "sources/node.rs"]
mod node;
#[path = "sources/store.rs"]
mod store;
