//! What is to be obeyed: the documents, what makes each valid, and [`Rulebook`], all of them as they are in
//! force. Judging by them is `decision`'s part.
//!
//! * [`Policy`] (Binary Authorization `resources.proto`): the patterns it exempts images by and the rule
//!   it has for a pod.
//! * [`PlatformPolicy`] (its v1 API): check sets, beside the policy.
//! * [`DenyList`] and [`SystemPolicy`], of this project: what is always refused, what the node needs.
//! * [`Bundle`], of this project: all of them and the attestors, signed as a whole.
//! * [`BreakGlass`], of this project: signed grants that let through what these refuse, for a while.
//!
//! Four dialects of patterns, each in a module of its own: [`pattern`] (allowlists of policies, put together in [`allowlist`]),
//! [`image_pattern`] (allowlists of platform policies), [`trusted_directory`] and [`source_pattern`].
//! [`lint`] says of a valid document what is probably not meant.

pub mod allowlist;
pub mod break_glass;
pub mod bundle;
pub mod check;
pub mod deny_list;
pub mod digest_list;
pub mod document;
pub mod freshness;
mod hint;
pub mod image_pattern;
pub mod lint;
pub mod maps;
pub mod pattern;
pub mod platform;
pub mod rule;
pub mod rulebook;
pub mod sealed;
pub mod source_pattern;
pub mod system;
pub mod trusted_directory;
pub mod written;

pub use allowlist::{Allowlist, Exception, ExceptionState, Terms, TermsError};
pub use break_glass::{BreakGlass, BreakGlassError, Grant, Revocation, Serial};
pub use bundle::{Bundle, BundleError, Highest};
pub use check::{Check, CheckKind, CheckSet, MaximumSeverity, SlsaRule, VulnerabilityBounds};
pub use deny_list::{Denied, DenyList, DenyListError};
pub use digest_list::ListError;
pub use document::{EntryError, Options, Policy, PolicyError, exceptions};
pub use freshness::{Freshness, OnStale};
pub use image_pattern::{ImagePattern, ImagePatternError};
pub use lint::{Lint, LintCode};
pub use maps::{Place, Scope};
pub use pattern::{AllowlistPattern, PatternError};
pub use platform::{CheckError, PlatformEnforcement, PlatformPolicy, PlatformPolicyError};
pub use rule::{AdmissionRule, EnforcementMode, EvaluationMode, RuleError};
pub use rulebook::{Rulebook, Subjects};
pub use sealed::{Seal, SealKey, Sealed, SealedError};
pub use source_pattern::{SourcePattern, SourcePatternError};
pub use system::{SystemPolicy, SystemPolicyError};
pub use trusted_directory::{TrustedDirectory, TrustedDirectoryError};
pub use written::WrittenError;
