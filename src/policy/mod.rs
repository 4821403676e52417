//! The policy: its document, what makes one valid, and the patterns it exempts images by
//! (Binary Authorization `resources.proto`, `Policy`).

pub mod document;
pub mod pattern;
pub mod rule;

pub use document::{Policy, PolicyError};
pub use pattern::{Allowlist, AllowlistPattern, PatternError};
pub use rule::{AdmissionRule, EnforcementMode, EvaluationMode, RuleError};
