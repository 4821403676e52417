//! binauth-store as it is shipped, asked by curl: on SQLite, and on a PostgreSQL that tests/rig/install.sh has fetched.
#![cfg(feature = "store")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "a test fails by panicking"
)]

#[path = "store/api.rs"]
mod api;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "cli/bench.rs"]
mod bench;
#[path = "store/bounds.rs"]
mod bounds;
#[path = "store/clients.rs"]
mod clients;
#[path = "store/crowd.rs"]
mod crowd;
#[path = "store/faults.rs"]
mod faults;
#[path = "store/rig.rs"]
mod rig;
#[path = "store/roles.rs"]
mod roles;
#[path = "store/stream.rs"]
mod stream;
#[path = "store/verbs.rs"]
mod verbs;
