//! `binauthctl`: see [`binauthd::cli`].

use std::process::ExitCode;

use binauthd::cli::{self, Cli};
use clap::Parser as _;

fn main() -> ExitCode {
    let answer = Cli::parse().run();
    if let Err(error) = &answer {
        cli::report(error);
    }
    ExitCode::from(cli::exit_code(&answer))
}
