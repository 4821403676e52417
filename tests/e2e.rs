//! binauthd on a node, end to end: real containerd, a real registry, the calls a kubelet makes,
//! the static verifier as it is shipped.
//!
//! Every test has a node of its own. They need root and what `tests/rig/install.sh` fetches; the
//! static verifier is built by `make gate`, or is where `BINAUTHD_VERIFIER` says. The ones that take
//! minutes are ignored and belong to `make test-full`.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod rig;

#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "tls/authority.rs"]
mod authority;
#[path = "e2e/base_specs.rs"]
mod base_specs;
#[path = "e2e/bound.rs"]
mod bound;
#[path = "e2e/break_glass.rs"]
mod break_glass;
#[path = "e2e/broken.rs"]
mod broken;
#[path = "e2e/changes.rs"]
mod changes;
#[path = "e2e/create.rs"]
mod create;
#[path = "e2e/create_faults.rs"]
mod create_faults;
#[path = "nri/fake_runtime.rs"]
mod fake_runtime;
#[path = "e2e/faults.rs"]
mod faults;
#[path = "e2e/floor.rs"]
mod floor;
#[path = "e2e/forms.rs"]
mod forms;
#[path = "e2e/gated.rs"]
mod gated;
#[path = "e2e/generations.rs"]
mod generations;
#[path = "e2e/guarded.rs"]
mod guarded;
#[path = "e2e/host.rs"]
mod host;
#[path = "e2e/hostile.rs"]
mod hostile;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "kubelet/server.rs"]
mod kubelet;
#[path = "e2e/load.rs"]
mod load;
#[path = "e2e/loaded.rs"]
mod loaded;
#[path = "e2e/metrics.rs"]
mod metrics;
#[path = "e2e/names.rs"]
mod names;
#[path = "e2e/outside.rs"]
mod outside;
#[path = "e2e/pods.rs"]
mod pods;
#[path = "e2e/pulls.rs"]
mod pulls;
#[path = "e2e/rules.rs"]
mod rules;
#[path = "e2e/running.rs"]
mod running;
#[path = "e2e/service.rs"]
mod service;
#[path = "e2e/signer.rs"]
mod signer;
#[path = "e2e/trail.rs"]
mod trail;
#[path = "e2e/ways.rs"]
mod ways;
#[path = "e2e/wiring.rs"]
mod wiring;
