//! containerd, as far as this version needs it: whether it answers, whether it has the plugin that runs image
//! verifiers, and the base runtime spec through which its handlers carry the create hook.

pub mod base_spec;
mod create_hook;
mod probe;
mod version;

pub use create_hook::CreateHook;
pub use probe::{Probe, ProbeStatus};
pub use version::{VersionError, version};
