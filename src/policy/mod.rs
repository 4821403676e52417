//! The policy: its document, what makes one valid, the patterns it exempts images by and the rule it has
//! for a pod (Binary Authorization `resources.proto`, `Policy`); and the node's own lists beside it, of
//! what is always refused ([`DenyList`]) and of what the node itself needs ([`SystemPolicy`]).

pub mod check;
pub mod deny_list;
pub mod digest_list;
pub mod document;
mod hint;
pub mod image_pattern;
pub mod lint;
pub mod maps;
pub mod pattern;
pub mod platform;
pub mod rule;
pub mod rulebook;
pub mod source_pattern;
pub mod system;
pub mod trusted_directory;

pub use check::{Check, CheckKind, CheckSet, MaximumSeverity, SlsaRule, VulnerabilityBounds};
pub use deny_list::{Denied, DenyList, DenyListError};
pub use digest_list::ListError;
pub use document::{Options, Policy, PolicyError};
pub use image_pattern::{ImagePattern, ImagePatternError};
pub use lint::{Lint, LintCode};
pub use maps::{Place, Scope};
pub use pattern::{Allowlist, AllowlistPattern, PatternError};
pub use platform::{CheckError, PlatformEnforcement, PlatformPolicy, PlatformPolicyError};
pub use rule::{AdmissionRule, EnforcementMode, EvaluationMode, RuleError};
pub use rulebook::{Rulebook, Subjects};
pub use source_pattern::{SourcePattern, SourcePatternError};
pub use system::{SystemPolicy, SystemPolicyError};
pub use trusted_directory::{TrustedDirectory, TrustedDirectoryError};
