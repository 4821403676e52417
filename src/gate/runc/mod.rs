//! A gate program.

/// The whole program.
#[must_use]
pub fn main() -> std::process::ExitCode {
    eprintln!("binauthd: this gate refuses everything");
    std::process::ExitCode::FAILURE
}
