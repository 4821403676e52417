//! Metrics in Prometheus' text format: which there are, how they are written, and who may read them.
//!
//! [`family`] is the table: what is not declared there cannot be written, and a test holds that what is declared
//! is written, and documented. Nothing here knows what the numbers mean; the daemon fills a [`Page`] for each
//! scrape from what it counts anyway. No label holds an image, a digest or a pod: every label has few values.
//!
//! The listener ([`server`]) has no authentication. It answers `GET /metrics` and nothing else, so all it can give
//! away is this page.

pub mod family;
pub mod histogram;
pub mod page;
pub mod process;
pub mod server;

pub use family::{Described, Family, Kind};
pub use histogram::Histogram;
pub use page::{Page, Value};
