//! How the hook is wired: the arguments that the base runtime specification gives it.
//!
//! Nothing is guessed: what is not known is a problem, which refuses the container, since the wiring may have
//! meant something that this version does not do.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use crate::gate::asking::{MAX_WAIT, WAIT};
use crate::text::cut;

const HELP: &str = "\
binauthd-create-hook: an OCI createRuntime hook that asks binauthd whether a container may be created

usage: binauthd-create-hook [--wait SECONDS] [--observe] [--socket PATH] [--made-for TEXT]

  --wait SECONDS   how long no answer is asked again before it refuses: 0 to 300, 20 unless said
  --observe        no answer allows and leaves a record; a refusal still refuses
  --socket PATH    the daemon's socket: over BINAUTHD_GATE_SOCKET, /run/binauthd/gate.sock without both
  --made-for TEXT  which containerd the base runtime specification was made from; means nothing here
  --help, --version

The OCI state is read from standard input. Exit code 0: allowed; anything else: refused, with a line on
standard error that says why.
";
const VERSION: &str = concat!("binauthd-create-hook ", env!("CARGO_PKG_VERSION"), "\n");

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A text to print. Only where it is the sole argument, so that no wiring ends in it by mistake.
    Print(&'static str),
    Ask(Arguments),
}

/// The wiring.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) wait: Duration,
    pub(super) observing: bool,
    pub(super) socket: Option<PathBuf>,
    /// The first thing that is wrong.
    pub(super) problem: Option<String>,
}

impl Arguments {
    /// Reads the elements after the program's own name.
    pub(super) fn parse(elements: impl IntoIterator<Item = OsString>) -> Parsed {
        let elements: Vec<OsString> = elements.into_iter().collect();
        match elements.as_slice() {
            [only] if only == "--help" => return Parsed::Print(HELP),
            [only] if only == "--version" => return Parsed::Print(VERSION),
            _ => {}
        }
        let mut arguments = Self { wait: WAIT, observing: false, socket: None, problem: None };
        let problem = arguments.take(elements).err();
        arguments.problem = problem;
        Parsed::Ask(arguments)
    }

    fn take(&mut self, elements: Vec<OsString>) -> Result<(), String> {
        let mut elements = elements.into_iter();
        while let Some(element) = elements.next() {
            let (flag, attached) = split(&element);
            let mut value = || attached.clone().or_else(|| elements.next()).ok_or("has no value".to_owned());
            let taken = match flag.to_str() {
                Some("--wait") => value().and_then(|value| {
                    self.wait = seconds(&value)?;
                    Ok(())
                }),
                Some("--socket") => value().map(|value| self.socket = Some(value.into())),
                Some("--made-for") => value().map(drop),
                Some("--observe") if attached.is_none() => {
                    self.observing = true;
                    Ok(())
                }
                _ => Err("is not known to it; `binauthd-create-hook --help` says what is".to_owned()),
            };
            let named =
                |problem| format!("the hook's argument `{}` {problem}", cut(&element.to_string_lossy(), 256));
            taken.map_err(named)?;
        }
        Ok(())
    }
}

/// `--flag=value` in two.
fn split(element: &OsStr) -> (OsString, Option<OsString>) {
    let bytes = element.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (flag, value) = (bytes.get(..at), bytes.get(at + 1..));
            let own = |part: Option<&[u8]>| OsString::from_vec(part.unwrap_or_default().to_vec());
            (own(flag), Some(own(value)))
        }
        None => (element.to_owned(), None),
    }
}

fn seconds(value: &OsStr) -> Result<Duration, String> {
    let seconds = value.to_str().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    seconds.filter(|wait| *wait <= MAX_WAIT).ok_or_else(|| {
        format!(
            "needs whole seconds from 0 to {}, not `{}`",
            MAX_WAIT.as_secs(),
            cut(&value.to_string_lossy(), 64)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(elements: &[&str]) -> Parsed {
        Arguments::parse(elements.iter().map(OsString::from))
    }

    #[test]
    fn what_is_known() {
        for (elements, wait, observing, socket) in [
            (&[][..], 20, false, None),
            (&["--wait", "0"], 0, false, None),
            (&["--wait=300", "--observe"], 300, true, None),
            (&["--socket", "/a=b", "--made-for", "containerd 2.1.9"], 20, false, Some("/a=b")),
            (&["--socket=/a=b", "--made-for=--observe"], 20, false, Some("/a=b")),
            (&["--made-for", "--observe"], 20, false, None),
            (&["--made-for", "--help"], 20, false, None),
        ] {
            let (wait, socket) = (Duration::from_secs(wait), socket.map(PathBuf::from));
            assert_eq!(
                parse(elements),
                Parsed::Ask(Arguments { wait, observing, socket, problem: None }),
                "{elements:?}"
            );
        }
        assert_eq!(
            (parse(&["--help"]), parse(&["--version"])),
            (Parsed::Print(HELP), Parsed::Print(VERSION))
        );
    }

    #[test]
    fn everything_else_is_a_problem_by_name() {
        let long = "x".repeat(100_000);
        for (elements, expected) in [
            (&["--wiat=3"][..], "argument `--wiat=3` is not known"),
            (&["--observe=false"], "argument `--observe=false` is not known"),
            (&["--observe", "--help"], "argument `--help` is not known"),
            (&["--version", "--version"], "argument `--version` is not known"),
            (&["-h"], "argument `-h` is not known"),
            (&["stray"], "argument `stray` is not known"),
            (&[""], "argument `` is not known"),
            (&[&long], "is not known"),
            (&["--wait"], "`--wait` has no value"),
            (&["--socket"], "`--socket` has no value"),
            (&["--wait", "301"], "needs whole seconds from 0 to 300, not `301`"),
            (&["--wait", "-1"], "not `-1`"),
            (&["--wait=1.5"], "not `1.5`"),
            (&["--wait=99999999999999999999999"], "not `9999"),
        ] {
            let Parsed::Ask(Arguments { problem: Some(problem), .. }) = parse(elements) else { panic!() };
            assert!(problem.contains(expected) && problem.len() < 512, "{problem}");
        }
        let foreign = Arguments::parse([OsString::from_vec(b"--wait=\xff".to_vec())]);
        let Parsed::Ask(Arguments { problem: Some(problem), .. }) = foreign else { panic!() };
        assert!(problem.contains("needs whole seconds"), "{problem}");
    }
}
