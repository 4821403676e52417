//! What a question of NRI's takes without the reads of containerd that it waits for. The runtime asks one at
//! a time, so this is what a node's creations wait for binauthd itself. Told twice: by the clock, where times count in
//! which others have the core, and by the time on a core, where what is done for the reads counts.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::containerd::apart;

/// How many of the last questions are remembered.
const LAST: usize = 4_096;

/// The own time of the last questions.
#[derive(Debug, Default)]
pub(in crate::daemon) struct OwnTimes(Mutex<VecDeque<OwnTime>>);

#[derive(Debug, Clone, Copy)]
struct OwnTime {
    by_clock: Duration,
    on_core: Duration,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::daemon) struct OwnTimesStatus {
    /// How many of the last questions these are of.
    questions: usize,
    by_clock: Quantiles,
    on_core: Quantiles,
}

/// In microseconds.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Quantiles {
    median: u64,
    p99: u64,
    worst: u64,
}

impl OwnTimes {
    /// Does `work`, of which the reads of containerd do not count.
    pub(super) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let ((done, on_core), waited) = apart(counted(work)).await;
        let by_clock = started.elapsed().saturating_sub(waited);
        let mut last = self.lock();
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(OwnTime { by_clock, on_core });
        done
    }

    pub(in crate::daemon) fn status(&self) -> OwnTimesStatus {
        let last: Vec<_> = self.lock().iter().copied().collect();
        OwnTimesStatus {
            questions: last.len(),
            by_clock: Quantiles::of(last.iter().map(|own| own.by_clock)),
            on_core: Quantiles::of(last.iter().map(|own| own.on_core)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<OwnTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quantiles {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<_> = times.collect();
        sorted.sort_unstable();
        // The nearest rank: of few questions the p99 is the worst.
        let at = |percent: usize| {
            let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(place).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
        };
        Self { median: at(50), p99: at(99), worst: at(100) }
    }
}

/// Does `work`, and tells how long a core was at it.
async fn counted<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = pin!(work);
    let mut on_core = Duration::ZERO;
    poll_fn(|context| {
        let before = of_thread();
        let polled = work.as_mut().poll(context);
        on_core += of_thread().saturating_sub(before);
        polled.map(|done| (done, on_core))
    })
    .await
}

/// How long this thread has had a core.
fn of_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let rows = [(0, [0, 0, 0]), (1, [1, 1, 1]), (3, [2, 3, 3]), (200, [100, 198, 200])];
        for (count, [median, p99, worst]) in rows {
            let times = (1..=count).rev().map(Duration::from_micros);
            assert_eq!(Quantiles::of(times), Quantiles { median, p99, worst }, "{count}");
        }
    }

    #[tokio::test]
    async fn rest_takes_no_core() {
        const STEP: Duration = Duration::from_millis(10);
        let times = OwnTimes::default();
        times.of(tokio::time::sleep(STEP)).await;
        let until = of_thread() + STEP;
        times.of(async { while of_thread() < until {} }).await;
        let own: Vec<_> = times.lock().iter().copied().collect();
        assert!(own[0].by_clock >= STEP && own[0].on_core < STEP, "{own:?}");
        assert!(own[1].on_core >= STEP / 2 && own[1].on_core <= own[1].by_clock, "{own:?}");
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
