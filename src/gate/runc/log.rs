//! The runtime's log, `--log`: where containerd's shim reads why a runtime failed, the last line of level `error`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

/// Appends `message` to the log at `path` as runc writes it with `--log-format json`, whatever the format asked
/// for: containerd asks for that one. A log that cannot be written loses it; standard error has it too.
pub(super) fn append(path: &Path, message: &str, now: SystemTime) {
    let line = Line { level: "error", msg: message, time: &rfc3339(now) };
    let Ok(mut text) = serde_json::to_vec(&line) else { return };
    text.push(b'\n');
    // Without waiting: a pipe that nobody reads must not hold the refusal up.
    let flags = OFlag::O_NONBLOCK.bits();
    let log = OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags).open(path);
    log.and_then(|mut log| log.write_all(&text)).ok();
}

/// `now` in UTC, to the second, as Go reads it; the years 1970 to 9999.
fn rfc3339(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(253_402_300_799);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years (Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_764_000_000, "2025-11-24T16:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (u64::from(u32::MAX) * 100, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn lines_are_appended_and_a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.json");
        std::fs::write(&log, "{\"level\":\"info\"}\n").unwrap();
        append(&log, "binauthd: \"no\"", UNIX_EPOCH);
        assert_eq!(
            std::fs::read_to_string(&log).unwrap(),
            "{\"level\":\"info\"}\n{\"level\":\"error\",\"msg\":\"binauthd: \\\"no\\\"\",\"time\":\"1970-01-01T00:00:00Z\"}\n"
        );
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        append(&fifo, "x", UNIX_EPOCH);
        append(Path::new("/no/where"), "x", UNIX_EPOCH);
    }
}
