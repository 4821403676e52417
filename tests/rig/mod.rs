//! The real thing, started by tests: containerd in three generations with its CRI, runc, a registry,
//! and binauthd itself.
//!
//! Used by `tests/*.rs` and `benches/*.rs` through `#[path = "…/rig/mod.rs"] mod rig;`. A [`Node`]
//! is everything one Kubernetes node has below the kubelet, in one folder of its own; the test
//! plays the kubelet through [`Cri`] and the image publisher through [`Registry`].
//!
//! What it will not do: fake a part, talk to a containerd it did not start, reach beyond the
//! loopback interface, or leave anything behind. When a [`Node`] goes (end of test, panic, or
//! [`until_interrupted`]), its processes, mounts, cgroups and folder go with it; what a killed test
//! run left is removed by the next one.
//!
//! Needs root and the programs that `tests/rig/install.sh` fetches.

#![allow(dead_code, unused_imports, reason = "each test crate uses a part of the rig")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a rig that cannot be set up fails the test, at the place where it happened"
)]

mod binauthd;
mod booted;
mod busy;
mod containerd;
mod cri;
mod etc;
mod home;
mod http;
mod image;
mod node;
mod pod;
mod process;
mod registry;
mod wiring;

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use binauthd::{Daemon, Output, Tool};
pub(crate) use booted::{Booted, package};
pub(crate) use busy::Busy;
pub(crate) use cri::{Cri, Refusal};
pub(crate) use etc::Etc;
pub(crate) use home::Home;
pub(crate) use image::Image;
pub(crate) use node::Node;
pub(crate) use pod::{Container, Pod, bind, env, host_pid, own_users, privileged};
pub(crate) use process::Process;
pub(crate) use registry::{Pushed, Registry};
pub(crate) use wiring::{Generation, Handler, Wiring};

/// Longest the rig waits for any one thing to come up, on a machine busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that `install.sh` fetched.
///
/// # Panics
///
/// When it is not there: the message names the script.
pub(crate) fn program(name: &str) -> PathBuf {
    fetched(&format!("bin/{name}"))
}

/// The same by its place in the script's folder.
fn fetched(place: &str) -> PathBuf {
    let folder = std::env::var_os("BINAUTHD_RIG_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/rig"), PathBuf::from);
    let path = folder.join(place);
    path.canonicalize()
        .unwrap_or_else(|error| panic!("`{}`: {error}; run `tests/rig/install.sh` first", path.display()))
}

/// Asks again and again, every few milliseconds, until `answer` is something.
///
/// # Panics
///
/// After `patience`, naming `what` was waited for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    patience: Duration,
    mut answer: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = answer().await {
            return value;
        }
        assert!(start.elapsed() < patience, "waited {patience:?} for {what}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Runs `work`, unless SIGINT or SIGTERM comes first: then `work` is dropped, with the node in it,
/// and the answer is `None`.
pub(crate) async fn until_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        value = work => Some(value),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    }
}
