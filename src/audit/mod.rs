//! The audit trail: one JSON line for every decision, allowances too.

pub mod record;
pub mod writer;

pub use record::{Asked, Gate, Place, Record};
pub use writer::{Audit, AuditStatus, QUEUE};
