//! `make demo`: what binauthd does on a node, as a story with real programs. Every step is checked, and
//! the exit code is 0 only if each went as the text says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a demo that does not work ends where it was wrong"
)]

#[path = "demo/creation.rs"]
mod creation;
mod rig;
#[path = "demo/stage.rs"]
mod stage;
#[path = "demo/story.rs"]
mod story;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let work = || runtime.block_on(rig::until_interrupted(story::tell()));
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Some(Ok(steps))) => {
            let seconds = start.elapsed().as_secs_f32();
            // Whether or not anybody still reads.
            let _ = writeln!(
                std::io::stdout(),
                "\nAll {steps} steps went as said, in {seconds:.1} s. Everything that was started is gone again."
            );
            ExitCode::SUCCESS
        }
        Ok(Some(Err(failure))) => {
            eprintln!("\nFAILED {failure}");
            ExitCode::FAILURE
        }
        Ok(None) => {
            eprintln!("\nInterrupted; everything that was started is gone again.");
            ExitCode::from(130)
        }
        // The panic has been printed where it happened.
        Err(_) => ExitCode::FAILURE,
    }
}
