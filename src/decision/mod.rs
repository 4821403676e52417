//! The decision: [`judge()`] is a pure function of what is judged, what is known of it, what is in force
//! and the time.
//!
//! A [`Case`] finds first what decides and which digests that needs evidence of; judging it gives the
//! [`Verdict`]. Rules and their attestors are judged in [`judge`](mod@judge) and [`attestors`], check sets
//! in `conformance`, what break-glass lets through in `break_glass`, and what is refused before everything in [`canary`]. Beside the image, [`host_access`] judges what a container would reach of the node.
//! [`explain`] tells afterwards how a verdict came about, and changes none.

pub mod attestors;
mod break_glass;
pub mod canary;
mod conformance;
pub mod explain;
pub mod host_access;
pub mod judge;
pub mod reason;
pub mod subject;
pub mod verdict;

pub use attestors::{Lack, weigh};
pub use break_glass::{BrokenGlass, UsedGrant};
pub use canary::{Blob, Canary};
pub use explain::{Ladder, Looks};
pub use host_access::{Finding, HostAccess, HostRules, Reached, reaches};
pub use judge::{Case, Known, judge};
pub use reason::Reason;
pub use subject::{Subject, SubjectError};
pub use verdict::{AttestorVerdict, Cached, CheckVerdict, Conformance, Decision, Verdict};
