//! Files, checked and typed: `config.toml`, and the documents that decide trust.
//!
//! Whatever decides trust is read through [`trusted`], which refuses a file that anybody but root could
//! have written. [`documents`] keeps the last good version of each document and forgets what is gone; [`trust`] is
//! what a node remembers of that.

pub mod documents;
pub mod file;
pub mod lock;
mod policy_table;
pub mod sections;
mod slot;
mod sources;
mod tables;
mod told;
pub mod trust;
pub mod trusted;
mod values;

pub use documents::{BreakGlassStatus, BundleStatus, Documents, Hindrance, InForce, OfferError, State};
pub use file::{Config, ConfigError, Location, Source};
pub use sections::{
    Api, AuditConfig, BreakGlassConfig, BundleConfig, BundleOrigin, ContainerdConfig, EventsConfig,
    HostAccessConfig, KubeletConfig, Listen, Login, OnAuditFailure, OnViolation, PodSource, RestConfig,
    RunningConfig,
};
pub use slot::DocumentStatus;
pub use trusted::TrustError;
