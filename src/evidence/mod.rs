//! Where attestations come from and what is known of a digest.
//!
//! [`source`] says what a source is; there are a [`folder`] of documents and servers of the Grafeas API
//! ([`rest`]). [`sync`] follows them and asks them ([`look_ups`]); what they give lies on disk ([`store`]), what was
//! checked of it in memory ([`cache`]), put together in the [`Ledger`]. [`brake`] holds what looks like a
//! broken source.

pub mod brake;
pub mod cache;
pub mod folder;
pub mod ledger;
pub mod look_ups;
pub mod rest;
#[cfg(test)]
mod signed;
pub mod source;
pub mod store;
pub mod sync;

pub use brake::Loss;
pub use cache::CacheStatus;
pub use folder::Folder;
pub use ledger::{Answer, Ledger};
pub use look_ups::{Asker, LookUps, LookUpsStatus, Queue, UnderWay};
pub use source::{Scope, Source};
pub use store::StoreStats;
pub use sync::{Followed, Node, SourceStatus, Sources};
