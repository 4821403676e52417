//! Files, checked and typed: `config.toml`, and the documents that decide trust.
//!
//! Whatever decides trust is read through [`trusted`], which refuses a file that anybody but root could
//! have written. [`documents`] keeps the last good version of each document and forgets what is gone.

pub mod documents;
pub mod file;
pub mod last_good;
pub mod sections;
mod slot;
mod sources;
mod tables;
pub mod trusted;

pub use documents::{Documents, InForce, State};
pub use file::{Config, ConfigError, Location, Source};
pub use sections::{
    Api, ContainerdConfig, HostAccessConfig, KubeletConfig, Login, OnViolation, PodSource, RestConfig,
    RunningConfig,
};
pub use slot::DocumentStatus;
pub use trusted::TrustError;
