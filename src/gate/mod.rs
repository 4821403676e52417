//! The gate: how what containerd executes asks the daemon, and what it does with no answer.
//!
//! Owns the protocol on `/run/binauthd/gate.sock` ([`frame`], [`message`]), its [`client`] and server,
//! the record of questions nobody answered ([`unanswered`]) and the gate programs: [`verifier`] at the gate
//! `pull`, [`create_hook`] and [`runc`] at the gate `create`, which describe a [`container`] and wait for an
//! answer ([`asking`]) alike. Decides nothing: the daemon's handler does. One connection carries one question:
//!
//! ```text
//! gate                                  daemon
//!  │ ── Ask ──────────────────────────▶ │  whole within 1 s
//!  │ ◀───────────────────────────── Ack │  at once
//!  │ ◀─────────────────── Alive (each 500 ms while it looks something up)
//!  │ ◀────────────────────────── Answer │  within 9 s in all
//! ```
//!
//! A frame's header never changes, in any version; an Ask of a version the daemon does not know is met
//! with Unsupported, which gates of every version understand. Within a version members may be added
//! and unknown ones are ignored. Everything but the server builds without the feature `full`, with the
//! standard library, serde and nix alone, so that the gate programs stay small and start fast.

#[cfg(feature = "full")]
pub mod admin;
pub mod asking;
pub mod client;
pub mod container;
pub mod create_hook;
pub mod frame;
#[cfg(feature = "full")]
pub mod inherited;
mod line;
#[cfg(feature = "full")]
pub mod listener;
pub mod message;
pub mod runc;
#[cfg(feature = "full")]
pub mod server;
pub mod unanswered;
pub mod verifier;

/// Where the daemon listens for gates unless [`SOCKET_VARIABLE`] says otherwise.
pub const SOCKET: &str = "/run/binauthd/gate.sock";

/// The environment variable that moves the gate socket.
pub const SOCKET_VARIABLE: &str = "BINAUTHD_GATE_SOCKET";
