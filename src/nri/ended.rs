//! How a connection ends.

use std::io;
use std::time::Duration;

use super::mux::MuxError;
use super::ttrpc::TtrpcError;

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It was told to.
    #[error("the plugin was stopped")]
    Stopped,
    /// The runtime closed it.
    #[error("the runtime closed the connection")]
    Closed,
    /// The runtime said so.
    #[error("the runtime shut this plugin down")]
    Shutdown,
    /// It broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came is not the multiplexer's protocol.
    #[error("the runtime sent {0}")]
    Mux(#[from] MuxError),
    /// What came is not ttrpc.
    #[error("the runtime sent {0}")]
    Ttrpc(#[from] TtrpcError),
    /// The runtime does not want this plugin.
    #[error("the runtime refuses to register this plugin (code {code}): {message}")]
    Unwanted {
        /// Of gRPC.
        code: i32,
        /// In the runtime's words.
        message: String,
    },
    /// Registration got no answer.
    #[error("the runtime did not register this plugin within {} s", .0.as_secs_f32())]
    Unregistered(Duration),
    /// The runtime did not say what is there.
    #[error("the runtime did not synchronize this plugin within {} s", .0.as_secs_f32())]
    Unsynchronized(Duration),
    /// A message began, and its rest did not come.
    #[error("the runtime did not send the rest of a message within {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// The runtime does not read.
    #[error("the runtime did not take an answer within {} s", .0.as_secs_f32())]
    Unread(Duration),
}
