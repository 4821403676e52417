//! How HTTPS is spoken: to one place, which proves who it is, within bounds, without a word of who we are
//! in any message.
//!
//! Owns what every question over HTTP needs alike: files that only root can write ([`Held`]), TLS from PEM
//! ([`tls`]), addresses and how they are printed ([`address`]), bodies that are read no further than wanted
//! ([`body`]), proxies ([`Proxies`]); and, put together, a [`Client`] that gets one place's documents. It
//! refuses redirects, answers that are compressed, credentials over plain HTTP to anywhere but loopback, and
//! an answer over its size or its time. It does not know what is asked for.

pub mod address;
pub mod body;
mod client;
mod credentials;
mod error;
mod held;
mod lines;
mod metadata;
mod proxies;
pub mod retry_after;
pub mod tls;

pub use client::{Answer, Bounds, Change, Client, Options, Seen, Session};
pub use credentials::{Credentials, METADATA_SERVER, bearer};
pub use error::HttpError;
pub use held::{Held, HeldError};
pub use lines::{Line, Lines};
pub use proxies::Proxies;
