//! The daemon.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

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
/// are eight a core, and the daemon holds twice the memory. It is read when a program starts, and never again.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if std::env::var_os(ARENAS.0).is_none() {
        // Comes back only if it cannot be done; then it has to go with more memory.
        let (name, value) = ARENAS;
        if let Ok(this) = std::env::current_exe() {
            let _ = Command::new(this).args(std::env::args_os().skip(1)).env(name, value).exec();
        }
    }
    let filter = EnvFilter::try_from_env("BINAUTHD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
    match binauthd::daemon::run(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", binauthd::chain(&error));
            ExitCode::FAILURE
        }
    }
}
