//! The state of a container, as the runtime writes it to a hook's standard input (OCI runtime-spec, "State").

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use serde::Deserialize;

/// The longest state in bytes: it holds the container's annotations.
const MAX_STATE: usize = 4 * 1024 * 1024;

/// What is read of it; the rest is in the bundle.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct State {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    /// Of the container's first process.
    pub(super) pid: Option<u32>,
}

impl State {
    /// Reads all of `input` within `patience`; the problem by name where that is no state. Reads only what poll
    /// says is there, so it never waits for longer.
    pub(super) fn read(input: impl AsFd, patience: Duration) -> Result<Self, String> {
        let over = Instant::now() + patience;
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let left = over.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match nix::poll::poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], timeout) {
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(unreadable(errno)),
                Ok(0) => {
                    let seconds = patience.as_secs_f32();
                    return Err(format!("the state on standard input had no end after {seconds} s"));
                }
                Ok(_) => {}
            }
            match nix::unistd::read(&input, &mut chunk) {
                Err(Errno::EINTR | Errno::EAGAIN) => continue,
                Err(errno) => return Err(unreadable(errno)),
                Ok(0) => break,
                Ok(have) => bytes.extend_from_slice(chunk.get(..have).unwrap_or_default()),
            }
            if bytes.len() > MAX_STATE {
                return Err(format!(
                    "the state on standard input has more than the {MAX_STATE} bytes allowed"
                ));
            }
        }
        if bytes.is_empty() {
            return Err("there is no state on standard input; only a runtime may execute this".to_owned());
        }
        serde_json::from_slice(&bytes).map_err(unreadable)
    }
}

fn unreadable(cause: impl std::fmt::Display) -> String {
    format!("the state on standard input cannot be read: {cause}")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What comes of `written`, with or without an end after it.
    fn read(written: &[u8], ends: bool) -> Result<State, String> {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                ours.write_all(written).ok();
                (!ends).then_some(ours)
            });
            let start = Instant::now();
            let read = State::read(&theirs, Duration::from_millis(300));
            assert!(start.elapsed() < Duration::from_secs(3));
            drop(theirs);
            drop(writing.join().unwrap());
            read
        })
    }

    #[test]
    fn states_and_what_is_none() {
        let whole =
            br#"{"ociVersion":"1.2.0","id":"c","status":"creating","pid":7,"bundle":"/b","annotations":{}}"#;
        assert_eq!(read(whole, true), Ok(State { id: "c".into(), bundle: "/b".into(), pid: Some(7) }));
        let huge = [b" ".as_slice(), &vec![b' '; MAX_STATE]].concat();
        for (written, ends, expected) in [
            (&b""[..], true, "there is no state on standard input"),
            (b"", false, "had no end after 0.3 s"),
            (whole, false, "had no end after 0.3 s"),
            (b"nonsense", true, "cannot be read: expected"),
            (b"{\"id\":\"c\"}", true, "cannot be read: missing field `bundle`"),
            (b"{\"bundle\":\"/b\"}", true, "cannot be read: missing field `id`"),
            (b"{\"id\":\"c\",\"id\":\"d\",\"bundle\":\"/b\"}", true, "duplicate field `id`"),
            (b"{\"id\":\"c\",\"bundle\":\"/b\"} {}", true, "trailing characters"),
            (b"{\"id\":7,\"bundle\":\"/b\"}", true, "invalid type"),
            (b"\xff\xfe", true, "cannot be read"),
            (&[b'['; 100_000], true, "cannot be read"),
            (&huge, true, "has more than the 4194304 bytes allowed"),
        ] {
            let problem = read(written, ends).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let folder = std::fs::File::open("/").unwrap();
        assert!(State::read(&folder, Duration::from_secs(1)).unwrap_err().contains("cannot be read"));
    }
}
