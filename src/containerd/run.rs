//! Runs a program for what it prints.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What `command` prints on standard output, if it ends well within `deadline` and prints `limit` bytes at most.
///
/// # Errors
/// It cannot be run, ends otherwise (with the last line it wrote to standard error), takes longer or prints more.
pub fn output(command: &mut Command, limit: usize, deadline: Duration) -> io::Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("its output cannot be read"));
    };
    let printed = capped(stdout, limit);
    let complaints = capped(stderr, limit);
    let Ok(printed) = printed.recv_timeout(deadline) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(io::Error::other(format!("it says nothing within {} s", deadline.as_secs())));
    };
    if printed.as_ref().is_ok_and(|bytes| bytes.len() > limit) {
        // It may go on writing for ever.
        let _ = child.kill();
    }
    let status = child.wait()?;
    let printed = printed?;
    if printed.len() > limit {
        return Err(io::Error::other(format!("it prints more than the {limit} bytes allowed")));
    }
    if !status.success() {
        let said = complaints.recv_timeout(deadline).ok().and_then(Result::ok).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let colon = if last.is_empty() { "" } else { ": " };
        return Err(io::Error::other(format!("it ended with {status}{colon}{last}")));
    }
    String::from_utf8(printed).map_err(io::Error::other)
}

/// Reads on a thread of its own, one byte more than the limit at most: two pipes are never waited for in turn.
fn capped(from: impl io::Read + Send + 'static, limit: usize) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (give, take) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = from.take(limit as u64 + 1).read_to_end(&mut bytes);
        let _ = give.send(read.map(|_| bytes));
    });
    take
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn sh(line: &str, limit: usize, seconds: u64) -> Result<String, String> {
        output(Command::new("sh").args(["-c", line]), limit, Duration::from_secs(seconds))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn programs_are_run_within_bounds() {
        assert_eq!(sh("echo yes; echo no >&2", 100, 20).unwrap(), "yes\n");
        assert_eq!(sh("echo why >&2; exit 3", 100, 20).unwrap_err(), "it ended with exit status: 3: why");
        assert_eq!(sh("exec yes", 100, 20).unwrap_err(), "it prints more than the 100 bytes allowed");
        assert_eq!(sh("exec sleep 60", 100, 1).unwrap_err(), "it says nothing within 1 s");
        assert_eq!(sh("head -c 300000 /dev/zero >&2; echo yes", 1000, 20).unwrap(), "yes\n");
        assert!(output(&mut Command::new("/none"), 1, Duration::from_secs(1)).is_err());
    }
}
