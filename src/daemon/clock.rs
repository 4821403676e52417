//! The time that decisions go by: it never goes back, neither while the daemon runs nor over restarts.
//!
//! What was permitted until a time must not become permitted again because somebody set the clock back. So time
//! goes on from the latest that was ever seen, by counted uptime, until the wall clock has caught up.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How far behind the wall clock may be before somebody should know.
const SLACK: Duration = Duration::from_secs(60);

/// Wall clock and counted uptime together.
#[derive(Debug)]
pub(super) struct Clock {
    base: Mutex<Base>,
}

/// A time, and when it was that.
#[derive(Debug, Clone, Copy)]
struct Base {
    time: SystemTime,
    at: Instant,
}

impl Clock {
    /// Starts at `mark`, the latest time seen before, where the wall clock says an earlier one.
    pub(super) fn starting_after(mark: Option<SystemTime>) -> Self {
        Self::at(SystemTime::now(), Instant::now(), mark)
    }

    fn at(wall: SystemTime, at: Instant, mark: Option<SystemTime>) -> Self {
        Self { base: Mutex::new(Base { time: mark.map_or(wall, |mark| mark.max(wall)), at }) }
    }

    /// The time now.
    pub(super) fn now(&self) -> SystemTime {
        self.read(SystemTime::now(), Instant::now())
    }

    fn read(&self, wall: SystemTime, at: Instant) -> SystemTime {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = base.counted(at);
        // From the wall clock on where it is ahead: it is the better one, until it is set back.
        if wall >= counted {
            *base = Base { time: wall, at };
            return wall;
        }
        counted
    }

    /// Takes the wall clock's word again, whatever was seen before.
    pub(super) fn reset(&self) {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        *base = Base { time: SystemTime::now(), at: Instant::now() };
    }

    /// What to say where the wall clock is behind what was seen before.
    pub(super) fn problem(&self) -> Option<String> {
        self.doubt(SystemTime::now(), Instant::now())
    }

    fn doubt(&self, wall: SystemTime, at: Instant) -> Option<String> {
        let now = self.read(wall, at);
        let behind = now.duration_since(wall).is_ok_and(|behind| behind > SLACK);
        behind.then(|| {
            let [wall, seen] = [wall, now].map(humantime::format_rfc3339_seconds);
            format!(
                "the clock says {wall}, but {seen} was seen before, and time goes on from there: set the clock, or, if \
                 it was wrong before, run `binauthctl trust reset --time`"
            )
        })
    }
}

impl Base {
    fn counted(&self, at: Instant) -> SystemTime {
        let uptime = at.saturating_duration_since(self.at);
        self.time.checked_add(uptime).unwrap_or(self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn time_goes_on_whatever_the_clock_says() {
        let (wall, start) = (SystemTime::UNIX_EPOCH + 55 * YEAR, Instant::now());
        let later = start + HOUR;
        // The mark, the wall clock an hour of uptime later, the time then, and whether that is told.
        let rows = [
            (None, wall + HOUR, wall + HOUR, false),
            (Some(wall - HOUR), wall + HOUR, wall + HOUR, false),
            (None, wall - YEAR, wall + HOUR, true),
            (None, wall + YEAR, wall + YEAR, false),
            (None, wall + HOUR - SLACK, wall + HOUR, false),
            (Some(wall + YEAR), wall + HOUR, wall + YEAR + HOUR, true),
        ];
        for (mark, said, expected, told) in rows {
            let clock = Clock::at(wall, start, mark);
            assert_eq!(clock.read(said, later), expected);
            assert_eq!(clock.doubt(said, later).is_some(), told);
        }
        // Forward a year and back again: on from there, and not standing still.
        let clock = Clock::at(wall, start, None);
        assert_eq!(clock.read(wall + YEAR, start), wall + YEAR);
        assert_eq!(clock.read(wall + HOUR, later), wall + YEAR + HOUR);
        let told = clock.doubt(wall + HOUR, later).unwrap();
        assert!(told.starts_with("the clock says 2024-") && told.contains("2025-"), "{told}");
        clock.reset();
        assert!(clock.problem().is_none());
    }
}
