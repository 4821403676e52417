//! The client: one question, one answer, by a deadline.
//!
//! Blocks nowhere for longer than its [`Patience`], neither in a connect to a full queue nor in a write,
//! and counts time by the monotonic clock alone. Believes only a server that runs as root or as the
//! caller. Every way to get no answer is a [`NoAnswer`] of its own.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{self, FrameError, Header, Inbox, Kind};
use super::message::{Answer, Ask, Unsupported};

/// How long the pause is before another attempt to enter a full queue.
const QUEUE_RETRY: Duration = Duration::from_millis(5);
/// The same where the daemon has gone without an answer.
const GONE_RETRY: Duration = Duration::from_millis(20);

/// How long a client waits, and how much it reads.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until the first sign of life, counted from the start, and between any two.
    pub silence: Duration,
    /// In all.
    pub total: Duration,
    /// The longest question in bytes.
    pub max_ask: usize,
    /// The longest body of what comes back in bytes.
    pub max_body: usize,
}

impl Patience {
    /// A gate's: 2 s without a sign of life, 9 s in all, questions of 256 KiB, answers of 64 KiB.
    pub const GATE: Self = Self {
        silence: Duration::from_secs(2),
        total: Duration::from_secs(9),
        max_ask: frame::MAX_ASK,
        max_body: frame::MAX_BODY,
    };
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The socket is not there or cannot be reached.
    Absent(io::Error),
    /// Nobody listens on the socket.
    Refused,
    /// The queue of the socket stayed full: whoever listens accepts nothing.
    QueueFull(Duration),
    /// The server runs as that uid, neither root nor the caller's.
    Untrusted(u32),
    /// No sign of life for so long.
    Silent(Duration),
    /// Signs of life, but no answer in all that time.
    TooLong(Duration),
    /// The connection was closed before the answer.
    Closed,
    /// The connection broke.
    Broken(io::Error),
    /// What came is not the protocol.
    Nonsense(FrameError),
    /// The question does not fit the protocol.
    Unaskable(FrameError),
    /// The server does not speak this version.
    Version {
        /// What it speaks.
        supported: Vec<u16>,
        /// What it says about it, for people.
        message: String,
    },
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(error) => write!(f, "its socket cannot be reached: {error}"),
            Self::Refused => f.write_str("nobody listens on its socket (it is not running)"),
            Self::QueueFull(time) => write!(f, "it accepted no connection for {} s", time.as_secs_f32()),
            Self::Untrusted(uid) => write!(f, "its socket is held by uid {uid}, which is not trusted"),
            Self::Silent(time) => write!(f, "it was silent for {} s", time.as_secs_f32()),
            Self::TooLong(time) => write!(f, "it had not decided after {} s", time.as_secs_f32()),
            Self::Closed => f.write_str("it closed the connection without an answer"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Nonsense(error) => write!(f, "it sent {error}"),
            Self::Unaskable(error) => write!(f, "the question is {error}"),
            Self::Version { supported, message } => {
                write!(
                    f,
                    "it does not speak version {} of the gate protocol but {supported:?}",
                    frame::VERSION
                )?;
                if message.is_empty() { Ok(()) } else { write!(f, " ({message})") }
            }
        }
    }
}

/// Its text holds the cause already, so there is none to be told after it.
impl std::error::Error for NoAnswer {}

/// Asks the daemon behind the gate socket at `path`. A daemon that goes before it has answered is asked again, within
/// the same time: a supervisor that holds its socket brings it back, and a question may be asked twice.
///
/// # Errors
/// See [`NoAnswer`]; whatever it is, it comes within `patience`.
pub fn ask(path: &Path, ask: &Ask, patience: Patience) -> Result<Answer, NoAnswer> {
    let request = frame::encode(Kind::Ask, ask, patience.max_ask).map_err(NoAnswer::Unaskable)?;
    let mut waiting = Waiting::from(Instant::now(), patience);
    let mut has_gone = false;
    loop {
        match once(path, &request, &mut waiting) {
            // Nobody holds the socket: it does not come back by itself.
            Err(NoAnswer::Refused | NoAnswer::Absent(_)) if has_gone => return Err(NoAnswer::Closed),
            Err(NoAnswer::Closed) => match waiting.left(Instant::now()) {
                Ok(left) if left > GONE_RETRY => std::thread::sleep(GONE_RETRY),
                _ => return Err(NoAnswer::Closed),
            },
            answer => return answer,
        }
        has_gone = true;
    }
}

/// Sends one request of any type in the same framing and waits for its answer.
///
/// # Errors
/// See [`NoAnswer`]; whatever it is, it comes within `patience`.
pub fn exchange<Q: Serialize, A: DeserializeOwned>(
    path: &Path,
    request: &Q,
    patience: Patience,
) -> Result<A, NoAnswer> {
    let request = frame::encode(Kind::Ask, request, patience.max_ask).map_err(NoAnswer::Unaskable)?;
    once(path, &request, &mut Waiting::from(Instant::now(), patience))
}

/// One connection, one question.
fn once<A: DeserializeOwned>(path: &Path, request: &[u8], waiting: &mut Waiting) -> Result<A, NoAnswer> {
    let mut stream = connected(path, waiting)?;
    trust(&stream)?;
    send(&mut stream, request, waiting)?;

    let mut inbox = Inbox::new(waiting.patience.max_body);
    loop {
        receive(&mut stream, &mut inbox, waiting)?;
        while let Some((header, body)) = inbox.frame().map_err(NoAnswer::Nonsense)? {
            match kind(header, &body)? {
                Kind::Answer => return frame::decode(&body).map_err(NoAnswer::Nonsense),
                Kind::Ack | Kind::Alive => waiting.sign_of_life(Instant::now()),
                other => return Err(NoAnswer::Nonsense(FrameError::Unexpected(other))),
            }
        }
    }
}

/// The kind of a frame of this version; a frame of another one, or one that says so, is the end.
fn kind(header: Header, body: &[u8]) -> Result<Kind, NoAnswer> {
    if header.kind == Kind::Unsupported as u16 {
        let Unsupported { supported, message } = frame::decode(body).map_err(NoAnswer::Nonsense)?;
        return Err(NoAnswer::Version { supported, message: super::line::one_line(&message, 256) });
    }
    if header.version != frame::VERSION {
        return Err(NoAnswer::Version { supported: vec![header.version], message: String::new() });
    }
    Kind::try_from(header.kind).map_err(NoAnswer::Nonsense)
}

/// The two deadlines of an exchange.
struct Waiting {
    silent: Instant,
    over: Instant,
    patience: Patience,
}

impl Waiting {
    fn from(start: Instant, patience: Patience) -> Self {
        Self { silent: start + patience.silence, over: start + patience.total, patience }
    }

    fn sign_of_life(&mut self, now: Instant) {
        self.silent = now + self.patience.silence;
    }

    /// What is left at `now`, never zero.
    fn left(&self, now: Instant) -> Result<Duration, NoAnswer> {
        match self.silent.min(self.over).checked_duration_since(now) {
            Some(left) if !left.is_zero() => Ok(left),
            _ if self.over <= self.silent => Err(NoAnswer::TooLong(self.patience.total)),
            _ => Err(NoAnswer::Silent(self.patience.silence)),
        }
    }
}

/// A non-blocking connection. A unix socket with a full queue says so at once, so it is tried again.
fn connected(path: &Path, waiting: &Waiting) -> Result<UnixStream, NoAnswer> {
    let absent = |errno: Errno| NoAnswer::Absent(errno.into());
    let address = UnixAddr::new(path).map_err(absent)?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(absent)?;
    loop {
        match connect(std::os::fd::AsRawFd::as_raw_fd(&stream), &address) {
            Ok(()) => return Ok(stream.into()),
            Err(Errno::EAGAIN | Errno::EINTR) => match waiting.left(Instant::now()) {
                Ok(left) => std::thread::sleep(QUEUE_RETRY.min(left)),
                Err(_) => return Err(NoAnswer::QueueFull(waiting.patience.silence)),
            },
            Err(Errno::ECONNREFUSED) => return Err(NoAnswer::Refused),
            Err(errno) => return Err(absent(errno)),
        }
    }
}

/// The other end must have begun to listen as root or as the caller.
fn trust(stream: &UnixStream) -> Result<(), NoAnswer> {
    let uid =
        getsockopt(stream, sockopt::PeerCredentials).map_err(|errno| NoAnswer::Broken(errno.into()))?.uid();
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() { Ok(()) } else { Err(NoAnswer::Untrusted(uid)) }
}

/// Sends all of `request`. A server that is done with us before it has read everything, because it is
/// busy say, has left its answer to be read.
fn send(stream: &mut UnixStream, mut request: &[u8], waiting: &Waiting) -> Result<(), NoAnswer> {
    while !request.is_empty() {
        match stream.write(request) {
            Ok(sent) => request = request.get(sent..).unwrap_or_default(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => wait(stream, PollFlags::POLLOUT, waiting)?,
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => return Ok(()),
                _ => return Err(NoAnswer::Broken(error)),
            },
        }
    }
    Ok(())
}

fn receive(stream: &mut UnixStream, inbox: &mut Inbox, waiting: &Waiting) -> Result<(), NoAnswer> {
    let mut chunk = [0; 4096];
    loop {
        wait(stream, PollFlags::POLLIN, waiting)?;
        match stream.read(&mut chunk) {
            Ok(0) => {
                inbox.end().map_err(NoAnswer::Nonsense)?;
                return Err(NoAnswer::Closed);
            }
            Ok(have) => {
                inbox.push(chunk.get(..have).unwrap_or_default());
                return Ok(());
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                io::ErrorKind::ConnectionReset => return Err(NoAnswer::Closed),
                _ => return Err(NoAnswer::Broken(error)),
            },
        }
    }
}

fn wait(stream: &UnixStream, events: PollFlags, waiting: &Waiting) -> Result<(), NoAnswer> {
    loop {
        let left = waiting.left(Instant::now())?;
        // Rounded up: polled for too short it would spin through the last millisecond.
        let timeout = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match nix::poll::poll(&mut [PollFd::new(stream.as_fd(), events)], timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(NoAnswer::Broken(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_the_whole_time_are_told_apart() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut waiting = Waiting::from(start, Patience::GATE);
        assert_eq!(waiting.left(start).unwrap(), Duration::from_secs(2));
        assert!(matches!(waiting.left(at(2000)), Err(NoAnswer::Silent(_))));
        for second in 1..=8 {
            waiting.sign_of_life(at(second * 1000));
        }
        assert_eq!(waiting.left(at(8000)).unwrap(), Duration::from_secs(1));
        assert!(matches!(waiting.left(at(9000)), Err(NoAnswer::TooLong(_))));
    }

    #[test]
    fn another_version_is_named_whatever_the_frame() {
        let header = |version, kind| Header { version, kind, length: 0 };
        for number in [Kind::Answer as u16, Kind::Ack as u16, 77] {
            let Err(NoAnswer::Version { supported, .. }) = kind(header(2, number), b"") else {
                panic!("{number}")
            };
            assert_eq!(supported, [2]);
        }
        let body = br#"{"supported":[2,3],"message":"too old\n","since":"2027"}"#;
        let error = kind(header(9, 5), body).unwrap_err().to_string();
        assert_eq!(error, "it does not speak version 1 of the gate protocol but [2, 3] (too old)");
        assert!(matches!(kind(header(1, 6), b""), Err(NoAnswer::Nonsense(FrameError::UnknownKind(6)))));
    }
}
