//! The policy: its document, what makes one valid, the patterns it exempts images by and the rule it has
//! for a pod (Binary Authorization `resources.proto`, `Policy`); and the node's own lists beside it, of
//! what is always refused ([`DenyList`]) and of what the node itself needs ([`SystemPolicy`]).

pub mod deny_list;
pub mod digest_list;
pub mod document;
mod hint;
pub mod maps;
pub mod pattern;
pub mod rule;
pub mod system;

pub use deny_list::{Denied, DenyList, DenyListError};
pub use digest_list::ListError;
pub use document::{Options, Policy, PolicyError};
pub use maps::{Place, Scope};
pub use pattern::{AllowlistPattern, PatternError};
pub use rule::{AdmissionRule, EnforcementMode, EvaluationMode, RuleError};
pub use system::{SystemPolicy, SystemPolicyError};
