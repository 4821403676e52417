//! The log of a program: lines on standard error.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that wait until they are read.
const LINES: usize = 4096;

/// Logs to standard error from now on; the environment's `variable` sets how much, `info` unless set. Lines that wait are
/// written when the guard is dropped.
///
/// A log that nobody reads holds up no decision: its lines wait, and those beyond are dropped. What was decided or changed is
/// on record elsewhere.
pub fn to_stderr(variable: &str) -> WorkerGuard {
    let filter = EnvFilter::try_from_env(variable).unwrap_or_else(|_| EnvFilter::new("info"));
    let (log, flushed_at_the_end) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES).lossy(true).finish(std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(log).with_ansi(false).without_time().init();
    flushed_at_the_end
}
