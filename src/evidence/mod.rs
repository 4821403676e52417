//! Where attestations come from and what is known of a digest: folders of occurrence documents
//! ([`folder`]), servers of Container Analysis and Grafeas ([`rest`]), and the bounded cache of what was verified ([`cache`]), put together in the
//! [`Ledger`].

pub mod cache;
pub mod folder;
pub mod ledger;
pub mod rest;
pub mod source;

pub use cache::CacheStatus;
pub use folder::{Folder, SourceStatus};
pub use ledger::Ledger;
