//! `binauthd-create-hook`: an OCI `createRuntime` hook, the create gate where the runtime asks.
//!
//! The runtime executes it when the container is set up and nothing of it runs yet, with the state on standard
//! input, and gives the container up if it exits with anything but 0. It asks the daemon and exits: 0 without a
//! word for allowed or deferred, 1 with one line on standard error for refused. By itself it decides only what no
//! answer means ([`super::asking`]). It starts no process and no thread and never talks to containerd, which may
//! be waiting for it; its exit code stands whether or not anybody reads what it prints.

mod arguments;
mod state;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use self::arguments::{Arguments, Parsed};
use self::state::State;
use super::SOCKET_VARIABLE;
use super::asking::{self, Mode, Outcome};
use super::message::{Ask, AskedContainer};
use super::verifier::entry;

const PROGRAM: &str = concat!("binauthd-create-hook/", env!("CARGO_PKG_VERSION"));
/// How long the state on standard input may take: the runtime writes it before it waits for the hook.
const STATE_PATIENCE: Duration = Duration::from_secs(5);

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let mut argv = std::env::args_os();
    let entry = entry(argv.next());
    let arguments = match Arguments::parse(argv) {
        Parsed::Ask(arguments) => arguments,
        Parsed::Print(text) => {
            std::io::stdout().write_all(text.as_bytes()).ok();
            return ExitCode::SUCCESS;
        }
    };
    let Arguments { wait, observing, socket, problem: wiring } = arguments;
    let socket = asking::socket(socket, std::env::var_os(SOCKET_VARIABLE));

    let (container, problem) = match State::read(std::io::stdin(), STATE_PATIENCE) {
        Ok(State { id, bundle, pid }) => super::container::describe_mounted(&id, &bundle, "hook", pid),
        Err(problem) => {
            let container = AskedContainer { command: "hook".to_owned(), ..AskedContainer::default() };
            (container, Some(problem))
        }
    };
    let ask = Ask::about_container(PROGRAM, entry, container, observing, wiring.or(problem));
    match asking::outcome(&socket, &ask, if observing { Mode::Observe } else { Mode::Enforce(wait) }) {
        Outcome::Allowed | Outcome::LetThrough(None) => ExitCode::SUCCESS,
        Outcome::LetThrough(Some(line)) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Outcome::Refused(line) => {
            say(&line);
            ExitCode::FAILURE
        }
    }
}

/// In one write. Nobody may be reading: the exit code is what counts.
fn say(line: &str) {
    std::io::stderr().write_all(line.as_bytes()).ok();
}
