//! What a question of NRI's takes without the reads of containerd that it waits for. The runtime asks one at
//! a time, so this is what a node's creations wait for binauthd itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::containerd::apart;

/// How many of the last questions are remembered.
const LAST: usize = 4_096;

/// The own time of the last questions.
#[derive(Debug, Default)]
pub(in crate::daemon) struct OwnTimes(Mutex<VecDeque<Duration>>);

/// In microseconds.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::daemon) struct OwnTimesStatus {
    /// How many of the last questions these are of.
    questions: usize,
    median: u64,
    p99: u64,
    worst: u64,
}

impl OwnTimes {
    /// Does `work`, of which the reads of containerd do not count.
    pub(super) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let (done, waited) = apart(work).await;
        let own = started.elapsed().saturating_sub(waited);
        let mut last = self.lock();
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(own);
        done
    }

    pub(in crate::daemon) fn status(&self) -> OwnTimesStatus {
        let mut sorted: Vec<_> = self.lock().iter().copied().collect();
        sorted.sort_unstable();
        // The nearest rank: of few questions the p99 is the worst.
        let at = |percent: usize| {
            let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(place).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
        };
        OwnTimesStatus { questions: sorted.len(), median: at(50), p99: at(99), worst: at(100) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let rows = [(0, [0, 0, 0]), (1, [1, 1, 1]), (3, [2, 3, 3]), (200, [100, 198, 200])];
        for (count, [median, p99, worst]) in rows {
            let times = OwnTimes::default();
            times.lock().extend((1..=count).rev().map(Duration::from_micros));
            let questions = times.lock().len();
            assert_eq!(times.status(), OwnTimesStatus { questions, median, p99, worst }, "{count}");
        }
    }

    #[tokio::test]
    async fn the_oldest_are_forgotten() {
        let times = OwnTimes::default();
        for _ in 0..=LAST {
            times.of(async {}).await;
        }
        assert_eq!(times.status().questions, LAST);
    }
}
