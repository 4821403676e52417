//! The audit trail: one JSON line for every decision, allowances too.

pub mod record;
pub mod violation;
pub mod writer;

pub use record::{Asked, Gate, Place, Record};
pub use violation::{Kind, Violation};
pub use writer::{Audit, AuditStatus, QUEUE};
