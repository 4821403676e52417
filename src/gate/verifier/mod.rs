//! `binauthd-image-verifier`: containerd's `bindir` verifier, the pull gate.
//!
//! Reads its arguments, asks the daemon, prints one line and exits: 0 for allowed or deferred, 1 for refused.
//! Decides one thing by itself, what no answer means: a refusal, unless it was executed by the name
//! [`OBSERVE`], which allows and leaves a record. It starts no process and no thread, waits for standard
//! input at most 10 ms, and its exit code stands whether or not anybody reads what it prints.

pub mod arguments;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use self::arguments::{Arguments, DESCRIPTOR, MAX_VALUE};
use super::client::{self, NoAnswer, Patience};
use super::line::one_line;
use super::message::{Answer, Ask, Decision};
use super::unanswered::{self, Record};
use super::{SOCKET, SOCKET_VARIABLE};
use crate::text::cut;

/// The one name that observes; by every other name the verifier enforces.
pub const OBSERVE: &str = "00-binauthd-observe";
/// The longest line printed, in bytes.
pub const MAX_OUTPUT: usize = 4096;
/// The longest descriptor read, in bytes: as JSON of ours it still fits into a question.
const MAX_DESCRIPTOR: usize = 8 * 1024;
/// How long a descriptor may take.
const DESCRIPTOR_PATIENCE: Duration = Duration::from_millis(10);
const PROGRAM: &str = concat!("binauthd-image-verifier/", env!("CARGO_PKG_VERSION"));

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let mut argv = std::env::args_os();
    let entry = entry(argv.next());
    let socket = socket(std::env::var_os(SOCKET_VARIABLE));

    let Arguments { mut image, problem } = Arguments::parse(argv);
    if image.stdin_media_type.as_deref() == Some(DESCRIPTOR) {
        image.descriptor = descriptor(std::io::stdin());
    }
    let observing = entry == OBSERVE;
    let (gate, program) = ("pull".to_owned(), PROGRAM.to_owned());
    let ask = Ask { gate, program, entry, image, container: None, observes: None, problem };
    let answer = client::ask(&socket, &ask, Patience::GATE);
    let Outcome { exit, mut line, unanswered } = Outcome::of(&ask, answer, observing);

    if let Some(cause) = unanswered {
        line.push_str(&leave_record(&socket, &ask, cause));
    }
    print(&line);
    ExitCode::from(exit)
}

/// What the program will say and do.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    exit: u8,
    line: String,
    /// Why nobody judged, where that allowed.
    unanswered: Option<String>,
}

impl Outcome {
    fn of(ask: &Ask, answer: Result<Answer, NoAnswer>, observing: bool) -> Self {
        let image = shown(&ask.image.name);
        if let Some(problem) = &ask.problem {
            let line = match answer {
                // It says the same, with what to do about it.
                Ok(Answer { decision: Decision::Refuse, reason, message }) => format!("{message} ({reason})"),
                Ok(_) => format!("{image} is refused: the question about it is broken: {problem}"),
                Err(error) => format!(
                    "{image} is refused: the question about it is broken: {problem}; and binauthd on this node did \
                     not answer: {error}"
                ),
            };
            return Self { exit: 1, line, unanswered: None };
        }
        let cause = match answer {
            Ok(answer) if answer.is_unjudged() => format!("{} ({})", answer.message, answer.reason),
            Ok(Answer { decision, reason, message }) => {
                let exit = if decision == Decision::Refuse { 1 } else { 0 };
                return Self { exit, line: format!("{message} ({reason})"), unanswered: None };
            }
            Err(error) => error.to_string(),
        };
        if observing {
            let line = format!(
                "{image} is let through unjudged, this node observes: binauthd did not answer: {cause}"
            );
            return Self { exit: 0, line, unanswered: Some(cause) };
        }
        let line = format!(
            "{image}: binauthd on this node did not answer: {cause}; the pull is refused; see `systemctl status \
             binauthd` on the node; kubelet retries"
        );
        Self { exit: 1, line, unanswered: None }
    }
}

fn shown(name: &str) -> String {
    match cut(name, 256) {
        "" => "an image without a name".to_owned(),
        all if all.len() == name.len() => format!("image `{all}`"),
        part => format!("image `{part}…`"),
    }
}

/// The name this program was executed by: containerd's entry. The kernel's word where argv has none.
pub(super) fn entry(argv0: Option<OsString>) -> String {
    let named = argv0.as_deref().and_then(base_name).map(OsStr::to_owned);
    let named = named.or_else(|| {
        std::fs::read_link("/proc/self/exe").ok().as_deref().and_then(Path::file_name).map(OsStr::to_owned)
    });
    // A name that is not UTF-8 is not the one that observes.
    cut(&named.unwrap_or_default().to_string_lossy(), MAX_VALUE).to_owned()
}

fn base_name(argv0: &OsStr) -> Option<&OsStr> {
    Path::new(argv0).file_name()
}

fn socket(variable: Option<OsString>) -> PathBuf {
    variable.filter(|path| !path.is_empty()).map_or_else(|| PathBuf::from(SOCKET), PathBuf::from)
}

/// Reads one line, the descriptor, as far as it is there within [`DESCRIPTOR_PATIENCE`]. Reads only what
/// poll says is there, so it never waits for longer.
fn descriptor(input: impl AsFd) -> Option<serde_json::Value> {
    let over = Instant::now() + DESCRIPTOR_PATIENCE;
    let mut bytes = [0; MAX_DESCRIPTOR];
    let mut have = 0;
    loop {
        let left = over.checked_duration_since(Instant::now())?;
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match nix::poll::poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => continue,
            Ok(ready) if ready > 0 => {}
            _ => return None,
        }
        let room = bytes.get_mut(have..).filter(|room| !room.is_empty())?;
        match nix::unistd::read(&input, room) {
            Err(Errno::EINTR | Errno::EAGAIN) => continue,
            Err(_) => return None,
            Ok(0) => return serde_json::from_slice(bytes.get(..have)?).ok(),
            Ok(more) => have += more,
        }
        let read = bytes.get(..have)?;
        if read.ends_with(b"\n") {
            return serde_json::from_slice(read).ok();
        }
    }
}

/// Leaves the record of an unanswered question; returns what there is to say about it.
fn leave_record(socket: &Path, ask: &Ask, cause: String) -> String {
    let record = Record {
        time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        gate: ask.gate.clone(),
        name: ask.image.name.clone(),
        digest: ask.image.digests.first().cloned().unwrap_or_default(),
        cause,
        container: None,
    };
    let path = unanswered::beside(socket);
    match unanswered::append(&path, &record) {
        Ok(()) => "; recorded for the audit".to_owned(),
        Err(error) => format!("; no record of it could be left in `{}`: {error}", path.display()),
    }
}

/// One line in one write. Nobody may be reading: the exit code is what counts.
fn print(line: &str) {
    let line = format!("binauthd: {}\n", one_line(line, MAX_OUTPUT - "binauthd: \n".len()));
    std::io::stdout().write_all(line.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::gate::message::{AskedImage, reason};

    fn question(problem: Option<&str>) -> Ask {
        let image =
            AskedImage { name: "r/a:1".into(), digests: vec!["sha256:aa".into()], ..AskedImage::default() };
        let (gate, program, entry) = ("pull".into(), PROGRAM.into(), "00-binauthd".into());
        Ask {
            gate,
            program,
            entry,
            image,
            container: None,
            observes: None,
            problem: problem.map(str::to_owned),
        }
    }

    fn answer(decision: Decision, reason: &str) -> Result<Answer, NoAnswer> {
        Ok(Answer { decision, reason: reason.into(), message: "because".into() })
    }

    #[test]
    fn outcomes() {
        const REFUSED: &str =
            "; the pull is refused; see `systemctl status binauthd` on the node; kubelet retries";
        let silent = || Err(NoAnswer::Silent(Duration::from_secs(2)));
        let unanswered = "image `r/a:1`: binauthd on this node did not answer: ";
        let observed = "image `r/a:1` is let through unjudged, this node observes: binauthd did not answer: ";
        let broken = "image `r/a:1` is refused: the question about it is broken: p";
        for (problem, answered, observing, exit, line) in [
            (None, answer(Decision::Allow, "OK"), false, 0, "because (OK)".to_owned()),
            (None, answer(Decision::Defer, "LATER"), false, 0, "because (LATER)".to_owned()),
            (None, answer(Decision::Refuse, "NO"), false, 1, "because (NO)".to_owned()),
            (None, answer(Decision::Refuse, "NO"), true, 1, "because (NO)".to_owned()),
            (
                None,
                answer(Decision::Refuse, reason::BUSY),
                false,
                1,
                format!("{unanswered}because (BUSY){REFUSED}"),
            ),
            (None, answer(Decision::Refuse, reason::BUSY), true, 0, format!("{observed}because (BUSY)")),
            (None, silent(), false, 1, format!("{unanswered}it was silent for 2 s{REFUSED}")),
            (None, silent(), true, 0, format!("{observed}it was silent for 2 s")),
            (Some("p"), answer(Decision::Refuse, "BAD"), true, 1, "because (BAD)".to_owned()),
            (Some("p"), answer(Decision::Allow, "OK"), true, 1, broken.to_owned()),
            (
                Some("p"),
                silent(),
                true,
                1,
                format!("{broken}; and binauthd on this node did not answer: it was silent for 2 s"),
            ),
        ] {
            let outcome = Outcome::of(&question(problem), answered, observing);
            assert_eq!((outcome.exit, outcome.line.as_str()), (exit, line.as_str()));
            assert_eq!(outcome.unanswered.is_some(), line.starts_with(observed));
        }
    }

    #[test]
    fn the_entry_is_the_last_part_of_the_name() {
        for (argv0, expected) in [
            ("/opt/containerd/image-verifier/bin/00-binauthd-observe", OBSERVE),
            ("00-binauthd-observe", OBSERVE),
            ("/opt/00-binauthd-observe/00-binauthd", "00-binauthd"),
            ("00-binauthd-observe2", "00-binauthd-observe2"),
            ("00-BINAUTHD-OBSERVE", "00-BINAUTHD-OBSERVE"),
        ] {
            assert_eq!(entry(Some(argv0.into())), expected);
        }
        let own = std::env::current_exe().unwrap();
        let own = own.file_name().unwrap().to_str().unwrap();
        assert_eq!((entry(None).as_str(), entry(Some("".into())).as_str()), (own, own));
    }

    #[test]
    fn an_empty_variable_moves_nothing() {
        assert_eq!(socket(None), Path::new(SOCKET));
        assert_eq!(socket(Some("".into())), Path::new(SOCKET));
        assert_eq!(socket(Some("/x".into())), Path::new("/x"));
    }

    #[test]
    fn a_descriptor_is_taken_when_it_is_there() {
        let read = |written: &[u8], close: bool| {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(written).unwrap();
            let kept = (!close).then_some(ours);
            let start = Instant::now();
            let value = descriptor(theirs);
            assert!(start.elapsed() < Duration::from_millis(500));
            drop(kept);
            value.map(|value| value.to_string())
        };
        assert_eq!(read(b"{\"size\":1}\n", false).as_deref(), Some("{\"size\":1}"));
        assert_eq!(read(b"{\"size\":1}", true).as_deref(), Some("{\"size\":1}"));
        assert_eq!(read(b"{\"size\":1}", false), None, "neither line nor end within the time");
        assert_eq!(read(b"", false), None);
        assert_eq!(read(b"", true), None);
        assert_eq!(read(b"nonsense\n", true), None);
        assert_eq!(read(&[b'['; MAX_DESCRIPTOR * 2], true), None);
        let grows = format!("[{}1]", "1e15,".repeat(MAX_DESCRIPTOR / 5 - 2));
        let longest = read(grows.as_bytes(), true).unwrap().len();
        assert!(longest < 32 * 1024, "{longest}: with the arguments it fits into a question");
    }
}
