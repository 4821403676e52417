//! containerd, as far as this version needs it: whether it answers, and whether it has the plugin that
//! runs image verifiers.

mod probe;

pub use probe::{Probe, ProbeStatus};
