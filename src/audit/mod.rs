//! The audit trail: one JSON line for every decision, allowances too, and for every change of what decides.
//!
//! Refusals are folded ([`mod@fold`]): whatever is refused, and however often, they add at most 1 MiB to it in a minute.
//!
//! The lines are a chain ([`chain`]) over all files of the trail ([`files`]), which [`mod@verify`] looks for edits and gaps, and [`trail`] reads.

pub mod blocked;
pub mod chain;
pub mod files;
mod fold;
pub mod head;
pub mod journal;
mod queue;
pub mod record;
pub mod report;
mod told;
pub mod trail;
mod trail_file;
pub mod verify;
pub mod violation;
pub mod writer;

pub use queue::QUEUE;
pub use record::{Asked, Change, Gate, Place, Record, Unserved};
pub use told::Decides;
pub use violation::{Kind, Violation};
pub use writer::{Audit, AuditStatus, Settings, Written};
