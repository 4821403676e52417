//! The policy: its document, what makes one valid, and the patterns it exempts images by
//! (Binary Authorization `resources.proto`, `Policy`).

pub mod check;
pub mod document;
pub mod image_pattern;
pub mod pattern;
pub mod platform;
pub mod rule;
pub mod source_pattern;
pub mod trusted_directory;

pub use check::{Check, CheckKind, CheckSet, MaximumSeverity, Scope, SlsaRule, VulnerabilityBounds};
pub use document::{Policy, PolicyError};
pub use image_pattern::{ImagePattern, ImagePatternError};
pub use pattern::{Allowlist, AllowlistPattern, PatternError};
pub use platform::{CheckError, PlatformEnforcement, PlatformPolicy, PlatformPolicyError};
pub use rule::{AdmissionRule, EnforcementMode, EvaluationMode, RuleError};
pub use source_pattern::{SourcePattern, SourcePatternError};
pub use trusted_directory::{TrustedDirectory, TrustedDirectoryError};
