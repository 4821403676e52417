//! containerd's own API, read and hardly written: what a container is made from, and what an image's name
//! leads to. The one thing done here is stopping a container ([`Containerd::stop_container`]). Nothing here decides; what is found is a fact, and what could not be found out has a name.
//!
//! | question | answer |
//! |---|---|
//! | what a container's root filesystem is made from | [`Containerd::snapshot`] |
//! | what containerd and CRI wrote down about a container | [`Containerd::container`], [`Record`] |
//! | what a digest leads to, and which digests lead to a chain ID | [`Links`] |
//! | whether a pod's name for its image leads to what runs | [`Containerd::pointer`], [`Links::led`] |
//! | what runs, and what is made and starts | [`Containerd::running`], [`Containerd::events`] |
//! | which runtime handlers there are, and which carry the create hook | [`Handlers`] |
//! | the base runtime spec through which they carry it | [`base_spec`] |
//! | which program containerd is, which file it reads, what that comes to | [`Installed`] |
//! | what becomes of an image that nobody may let through | [`canary`] |
//! | whether containerd answers and has the verifier plugin | [`Probe`] |

pub mod base_spec;
pub mod canary;
mod client;
mod container;
mod content;
mod create_hook;
mod cri;
mod facts;
mod handlers;
mod images;
mod installed;
mod introspection;
mod links;
mod names;
mod probe;
mod run;
mod snapshot;
mod spec;
mod stop;
mod tasks;
mod waiting;
pub mod wiring;

pub use client::{Containerd, DEADLINE, ReadError};
pub use container::Record;
pub use create_hook::CreateHook;
pub use cri::{CriContainer, CriMount, CriSandbox, PidNamespace};
pub use handlers::{Handler, Handlers, HandlersError, Hooked, Run, Stamp, run};
pub use installed::{DEFAULT_FILE, Installed, InstalledError, Release, Running, program_behind};
pub use introspection::Plugin;
pub use links::{Leaf, Links, Root};
pub use names::Pointer;
pub use probe::{Probe, ProbeStatus};
pub use run::output;
pub use snapshot::{Parents, Snapshot};
pub use spec::{SpecFacts, SpecMount, SpecNamespace};
pub use tasks::{Events, Happened, Step};
pub use waiting::apart;
