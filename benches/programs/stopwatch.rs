//! Runs a verifier as containerd would and appends how long it took, in microseconds, to a file.
//! Which verifier and which file is compiled in: what lies in `bin_dir` gets no configuration.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Instant;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let mut verifier = Command::new(env!("STOPWATCH_VERIFIER"));
    verifier.arg0(name).args(arguments);
    let start = Instant::now();
    let status = verifier.status();
    let took = format!("{}\n", start.elapsed().as_micros());
    let file = std::fs::File::options().create(true).append(true).open(env!("STOPWATCH_FILE"));
    let written = file.and_then(|mut file| file.write_all(took.as_bytes()));
    match (status, written) {
        (Ok(status), Ok(())) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
