//! containerd, as far as this version needs it: whether it answers, whether it has the plugin that runs image
//! verifiers, which runtime
//! handlers it has, and the base runtime spec through which they carry the create hook.

pub mod base_spec;
mod create_hook;
mod handlers;
mod probe;
mod version;

pub use create_hook::CreateHook;
pub use handlers::{Handler, Handlers, HandlersError, Hooked};
pub use probe::{Probe, ProbeStatus};
pub use version::{VersionError, version};
