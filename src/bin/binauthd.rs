//! The daemon.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;

/// Binary Authorization on the Kubernetes node: decides which images containerd may pull.
///
/// Logs to standard error; `BINAUTHD_LOG` sets how much (`info` unless set). `binauthctl status` tells what it
/// knows.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = binauthd::config::file::DEFAULT_PATH)]
    config: PathBuf,
}

/// How many stores for what is freed the C library may keep, one for some of the threads each. Without a bound there
/// are eight a core, and the daemon holds twice the memory. Without unsafe code it can be told at its start alone.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");
/// The daemon has started itself again; that the bound is there it may not see.
const AGAIN: &str = "BINAUTHD_STARTED_AGAIN";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_set = |name: &str| std::env::var_os(name).is_some();
    if !is_set(ARENAS.0)
        && !is_set(AGAIN)
        && let Ok(this) = std::env::current_exe()
    {
        // Comes back only if it cannot be done; then it has to go with more memory.
        let mut again = Command::new(this);
        let _ = again.args(std::env::args_os().skip(1)).envs([ARENAS, (AGAIN, "1")]).exec();
    }
    let _flushed_at_the_end = binauthd::logging::to_stderr("BINAUTHD_LOG");
    match binauthd::daemon::run(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", binauthd::chain(&error));
            ExitCode::FAILURE
        }
    }
}
