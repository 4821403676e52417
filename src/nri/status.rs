//! What can be seen of a plugin from outside.

use std::time::SystemTime;

use super::plugin::Runtime;

/// How a plugin stands, and what it has answered since it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The connection.
    pub state: State,
    /// How many connections have synchronized.
    pub synchronized: u64,
    /// Requests that were answered, whatever the answer.
    pub answered: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Those of the refused whose handler took too long.
    pub late: u64,
    /// Those of the refused whose handler panicked.
    pub panicked: u64,
    /// Those of the refused that came while too many were at work.
    pub crowded: u64,
}

/// The connection to the runtime. Only in [`State::Synchronized`] is the plugin asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing has been tried yet.
    #[default]
    Starting,
    /// Nobody listens on the socket, or there is none.
    Absent(String),
    /// Connected, or about to be.
    Connecting,
    /// The runtime knows the plugin, and does not ask it yet.
    Registered,
    /// The runtime asks.
    Synchronized(Synchronized),
    /// The connection ended, or none came about, for this reason. There will be another attempt.
    Lost(String),
    /// The plugin was told to stop.
    Stopped,
}

/// A runtime that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synchronized {
    /// Since when.
    pub since: SystemTime,
    /// It.
    pub runtime: Runtime,
    /// How many pods there were.
    pub pods: usize,
    /// How many containers there were.
    pub containers: usize,
}
