//! The decision: [`judge()`] is a pure function of what is judged, what is known of it and the policy.

pub mod judge;
pub mod reason;
pub mod subject;
pub mod verdict;

pub use judge::{Case, Known, judge, weigh};
pub use reason::Reason;
pub use subject::{Subject, SubjectError};
pub use verdict::{AttestorVerdict, Decision, Verdict};
