//! How a source does: since when it fails, and when it is asked again.

use std::time::{Duration, Instant};

use crate::evidence::source::SourceError;
use crate::pace::doubled;

/// Look-ups of a source that is away are refused at once for so long at the most.
const LONGEST_CLOSED: Duration = Duration::from_secs(10);
/// The longest rest before a listing is tried again, unless the source wants a longer one.
const LONGEST_REST: Duration = Duration::from_secs(300);
const FIRST_REST: Duration = Duration::from_secs(1);

/// Of one source.
#[derive(Debug, Default)]
pub(super) struct Weather {
    /// Outages in a row.
    failures: u32,
    /// Nothing is looked up before.
    closed_until: Option<Instant>,
    /// By its own word it wants to be left alone until then.
    asked_for_rest: Option<Instant>,
    /// What is wrong with it.
    pub(super) problem: Option<String>,
    /// Questions without an answer since start, outages or not.
    pub(super) failed: u64,
    /// Documents that the last of them left out.
    pub(super) left_out: usize,
    /// Whether it tells of changes now; none where it is not asked to.
    pub(super) hears: Option<bool>,
}

impl Weather {
    /// Why nothing is looked up now, and for how long.
    pub(super) fn closed(&self, source: &str, now: Instant) -> Option<(String, Duration)> {
        let until = self.closed_until.filter(|until| *until > now)?;
        Some((said(source, self.problem.as_deref().unwrap_or_default()), until - now))
    }

    /// A question was not answered. Where that looks like an outage, others are not asked for a while.
    pub(super) fn failed(&mut self, source: &str, error: &SourceError, now: Instant) -> (String, Duration) {
        let text = error.to_string();
        self.failed += 1;
        let mut rest = FIRST_REST;
        if error.is_outage() {
            self.failures = self.failures.saturating_add(1);
            rest = doubled(FIRST_REST, self.failures).min(LONGEST_CLOSED);
            if let Some(asked) = error.retry_after() {
                rest = asked;
                self.asked_for_rest = Some(now + asked);
            }
            self.closed_until = Some(now + rest);
            self.problem = Some(text.clone());
        }
        (said(source, &text), rest)
    }

    /// It has been heard again: it may be asked, but for as long as it wants to be left alone, which is what this gives.
    pub(super) fn is_back(&mut self, now: Instant) -> Duration {
        let rest = self.asked_for_rest.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if rest.is_zero() {
            self.closed_until = None;
        }
        rest
    }

    /// All is well with it.
    pub(super) fn cleared(&mut self) {
        (self.failures, self.closed_until, self.asked_for_rest) = (0, None, None);
    }

    /// How long it is left alone by what is not urgent: it is away, or asked for that.
    pub(super) fn left_alone(&self, now: Instant) -> Duration {
        let until = self.closed_until.max(self.asked_for_rest);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// The rest before the next listing: `usual`, but for a source that is away.
    pub(super) fn rest(&self, usual: Duration, now: Instant) -> Duration {
        let asked = self.asked_for_rest.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let rest =
            if self.failures == 0 { usual } else { doubled(FIRST_REST, self.failures).min(LONGEST_REST) };
        rest.max(asked)
    }
}

fn said(source: &str, problem: &str) -> String {
    format!("source `{source}`: {problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(60);

    fn unreachable() -> SourceError {
        SourceError::Unreachable { url: "http://store".into(), cause: "refused".into() }
    }

    fn status(status: &str, retry_after: Option<u64>) -> SourceError {
        SourceError::Status {
            url: "http://store".into(),
            status: status.into(),
            said: String::new(),
            remedy: "wait",
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn an_outage_closes_for_longer_and_longer() {
        let (mut weather, now) = (Weather::default(), Instant::now());
        assert!(weather.closed("s", now).is_none());
        for seconds in [1, 2, 4, 8, 10, 10] {
            let (text, rest) = weather.failed("s", &unreachable(), now);
            assert_eq!(
                (text.as_str(), rest.as_secs()),
                ("source `s`: `http://store` cannot be reached: refused", seconds)
            );
            assert_eq!(weather.closed("s", now).unwrap().1.as_secs(), seconds);
            assert!(weather.closed("s", now + rest).is_none());
        }
        assert_eq!(weather.rest(USUAL, now).as_secs(), 32);
        // One that is heard again is asked, and closed for as long as before if that is not answered.
        assert_eq!(weather.is_back(now), Duration::ZERO);
        assert!(weather.closed("s", now).is_none());
        assert_eq!(weather.failed("s", &unreachable(), now).1.as_secs(), 10);
        let (_, rest) = weather.failed("s", &status("503 Service Unavailable", Some(60)), now);
        assert_eq!((weather.is_back(now), weather.closed("s", now).unwrap().1), (rest, rest));
        weather.cleared();
        assert!(weather.closed("s", now).is_none());
        assert_eq!(weather.rest(USUAL, now), USUAL);
    }

    #[test]
    fn its_own_word_counts_and_one_refusal_is_no_outage() {
        let (mut weather, now) = (Weather::default(), Instant::now());
        weather.failed("s", &status("429 Too Many Requests", Some(90)), now);
        assert_eq!(
            (weather.closed("s", now).unwrap().1.as_secs(), weather.rest(USUAL, now).as_secs()),
            (90, 90)
        );
        // A failure after it does not shorten that.
        weather.failed("s", &unreachable(), now);
        assert_eq!((weather.left_alone(now).as_secs(), weather.rest(USUAL, now).as_secs()), (90, 90));
        assert_eq!(weather.left_alone(now + Duration::from_secs(91)), Duration::ZERO);
        let mut weather = Weather::default();
        weather.failed("s", &status("404 Not Found", None), now);
        assert!(weather.closed("s", now).is_none());
        weather.failed("s", &status("503 Service Unavailable", None), now);
        assert!(weather.closed("s", now).is_some());
    }
}
