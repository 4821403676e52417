//! What a plugin is called, what it wants to be asked, and every bound of a connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::Events;

/// How a plugin is run.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) socket: PathBuf,
    pub(super) name: String,
    pub(super) index: String,
    pub(super) events: Events,
    pub(super) handler_deadline: Duration,
    pub(super) limits: Limits,
}

/// The bounds of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many requests are at work at once; one more is refused.
    pub requests: usize,
    /// How many bytes the messages of one `Synchronize` have together.
    pub synchronize: usize,
    /// How long the answer to `RegisterPlugin` takes. What the runtime is told, too.
    pub registration: Duration,
    /// How long it takes until everything that is there has been told, counted from the beginning. Long,
    /// because a runtime may be busy with other plugins.
    pub handshake: Duration,
    /// How long the rest of a message takes that has begun, if the runtime's own timeout is not longer.
    pub message: Duration,
    /// How long it takes to get rid of an answer.
    pub write: Duration,
    /// The first pause before another attempt to connect. Each further one is twice as long.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 64,
            synchronize: 64 << 20,
            registration: Duration::from_secs(5),
            handshake: Duration::from_secs(60),
            message: Duration::from_secs(5),
            write: Duration::from_secs(1),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Options that no runtime would accept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The socket's path depends on where the program runs.
    #[error("`{0}` is not an absolute path: name the runtime's NRI socket as `/var/run/nri/nri.sock` does")]
    Relative(PathBuf),
    /// The name has characters that newer runtimes refuse.
    #[error("`{0}` is not a name of a plugin: use letters, digits and `_.+-` only, 64 at most")]
    Name(String),
    /// The index is something else than two digits.
    #[error("`{0}` is not an index of a plugin: use two digits, `00` is asked first")]
    Index(String),
    /// To want nothing would be read as to want everything.
    #[error("no event is wanted: name one at least")]
    NoEvents,
    /// Nothing could be answered.
    #[error("a handler's deadline must be longer than no time")]
    NoTime,
}

impl Options {
    /// How long a handler may take unless told otherwise: less than the 2 s that runtimes wait, with room
    /// for a busy machine.
    pub const HANDLER_DEADLINE: Duration = Duration::from_millis(1200);

    /// A plugin that calls itself `name`, is asked in the place that `index` gives it (two digits), wants
    /// to be asked about `events`, and finds the runtime at `socket`.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn new(socket: &Path, name: &str, index: &str, events: Events) -> Result<Self, OptionsError> {
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
        if !socket.is_absolute() {
            return Err(OptionsError::Relative(socket.to_owned()));
        }
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_of_a_name) {
            return Err(OptionsError::Name(name.to_owned()));
        }
        if index.len() != 2 || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(OptionsError::Index(index.to_owned()));
        }
        if events.is_empty() {
            return Err(OptionsError::NoEvents);
        }
        Ok(Self {
            socket: socket.to_owned(),
            name: name.to_owned(),
            index: index.to_owned(),
            events,
            handler_deadline: Self::HANDLER_DEADLINE,
            limits: Limits::default(),
        })
    }

    /// The same with another deadline for handlers. It is shortened to 60 % of what the runtime says it
    /// waits.
    ///
    /// # Errors
    /// It is no time at all.
    pub fn with_handler_deadline(self, handler_deadline: Duration) -> Result<Self, OptionsError> {
        if handler_deadline.is_zero() {
            Err(OptionsError::NoTime)
        } else {
            Ok(Self { handler_deadline, ..self })
        }
    }

    /// The same with other bounds.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nri::Event;

    #[test]
    fn what_no_runtime_would_accept() {
        let wanted: Events = Event::CreateContainer.into();
        let new = |socket: &str, name: &str, index: &str, events| {
            Options::new(Path::new(socket), name, index, events).map(|_| ())
        };
        let long = "a".repeat(65);
        let rows = [
            (new("/s", "binauthd", "00", wanted), Ok(())),
            (new("/s", "a_B.0+-", "99", wanted), Ok(())),
            (new("s", "a", "00", wanted), Err(OptionsError::Relative("s".into()))),
            (new("/s", "", "00", wanted), Err(OptionsError::Name(String::new()))),
            (new("/s", "a b", "00", wanted), Err(OptionsError::Name("a b".into()))),
            (new("/s", "é", "00", wanted), Err(OptionsError::Name("é".into()))),
            (new("/s", &long, "00", wanted), Err(OptionsError::Name(long.clone()))),
            (new("/s", "a", "0", wanted), Err(OptionsError::Index("0".into()))),
            (new("/s", "a", "0x", wanted), Err(OptionsError::Index("0x".into()))),
            (new("/s", "a", "000", wanted), Err(OptionsError::Index("000".into()))),
            (new("/s", "a", "00", Events::NONE), Err(OptionsError::NoEvents)),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
        let options = Options::new(Path::new("/s"), "a", "00", wanted).unwrap();
        assert_eq!(options.with_handler_deadline(Duration::ZERO).map(|_| ()), Err(OptionsError::NoTime));
    }
}
