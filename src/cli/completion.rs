//! `completion`: what a shell needs to complete command lines of binauthctl.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::error::{CliError, Outcome};
use super::output::Answer;

/// Prints it; packages put it where the shell looks.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    pub(super) fn run(self) -> Result<Answer, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "binauthctl", &mut script);
        let text = String::from_utf8(script).map_err(std::io::Error::other)?;
        Ok(Answer { text, outcome: Outcome::Fine })
    }
}
