//! The policy: its document, what makes one valid, and the patterns it exempts images by
//! (Binary Authorization `resources.proto`, `Policy`); beside it the platform policy and its checks, and
//! what is valid in them and probably not meant. Images and sources are matched in four dialects, a module
//! each: [`pattern`], [`image_pattern`], [`trusted_directory`], [`source_pattern`].

pub mod check;
pub mod document;
pub mod image_pattern;
pub mod lint;
pub mod pattern;
pub mod platform;
pub mod rule;
pub mod source_pattern;
pub mod trusted_directory;

pub use check::{Check, CheckKind, CheckSet, MaximumSeverity, Scope, SlsaRule, VulnerabilityBounds};
pub use document::{Policy, PolicyError};
pub use image_pattern::{ImagePattern, ImagePatternError};
pub use lint::{Lint, LintCode, lint, lint_attestors, lint_rules};
pub use pattern::{Allowlist, AllowlistPattern, PatternError};
pub use platform::{CheckError, PlatformEnforcement, PlatformPolicy, PlatformPolicyError};
pub use rule::{AdmissionRule, EnforcementMode, EvaluationMode, RuleError};
pub use source_pattern::{SourcePattern, SourcePatternError};
pub use trusted_directory::{TrustedDirectory, TrustedDirectoryError};
