//! Fetches signed policy bundles from a URL, from a thread of its own.
//!
//! Whoever answers is trusted with nothing: what comes is held against the node's keys. It can hold back what is
//! new, and then the age of the last answer shows.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::engine::Engine;
use crate::config::{BundleOrigin, Config};
use crate::http::{Answer, Bounds, Client, Credentials, Options, Proxies};
use crate::pace::{doubled, jittered};
use crate::policy::bundle::MAX_BYTES;

/// What one question and its answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The first pause after a failure; each further one doubles it, up to the interval. It is also the least between a
/// failure and the fetch that a push asks for.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// The least between two fetches that pushes ask for, a tenth more or less: less than a second, within which a push
/// is to count.
const BETWEEN_PUSHES: Duration = Duration::from_millis(850);

/// A server that is asked over HTTPS for the bundle that lies there.
struct Remote {
    client: Client,
    runtime: Handle,
    /// Of what it gave last.
    etag: Option<String>,
}

impl Remote {
    /// What lies there, at most [`MAX_BYTES`]; `None` where it is what the last call gave. With `anew` the whole of
    /// it is asked for whatever was given before.
    ///
    /// # Errors
    /// Says why nothing came, without credentials.
    fn fetch(&mut self, anew: bool) -> Result<Option<Vec<u8>>, String> {
        let etag = self.etag.take().filter(|_| !anew);
        let bounds = Bounds { max_bytes: MAX_BYTES, limit: LIMIT };
        let url = self.client.url().clone();
        match self.runtime.block_on(self.client.get(url, bounds, etag.as_deref())) {
            Ok(Answer::Body { bytes, etag }) => {
                self.etag = etag;
                Ok(Some(bytes))
            }
            Ok(Answer::Unchanged) => {
                self.etag = etag;
                Ok(None)
            }
            Err(error) => Err(crate::chain(&error)),
        }
    }
}

/// The way to the thread that fetches. It ends within a few seconds after this is dropped; nobody waits for an
/// answer that is late.
#[derive(Debug)]
pub(super) struct Fetcher {
    /// Holds one push: that there were more says nothing.
    wake: SyncSender<()>,
}

impl Fetcher {
    /// Starts fetching, at once and then every `interval`, give or take a tenth.
    fn start(engine: Arc<Engine>, interval: Duration, mut remote: Remote) -> Self {
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("bundles".into())
            .spawn(move || follow(interval, &woken, || fetch(&engine, &mut remote)));
        if let Err(error) = thread {
            tracing::error!("policy bundles are not fetched: {error}");
        }
        Self { wake }
    }

    /// Fetches soon: at once, or within seconds where that was done or has failed just now. Never waits, and remembers
    /// one push however many there are: whoever tells of them is not trusted.
    pub(super) fn wake(&self) {
        // A thread that is gone shows in the age of its last answer.
        let _ = self.wake.try_send(());
    }
}

/// Starts fetching what `config` names, where that is a URL.
///
/// # Errors
/// Those of an address that is never asked.
pub(super) fn start(engine: &Arc<Engine>, config: &Config) -> io::Result<Option<Arc<Fetcher>>> {
    let Some(bundle) = &config.bundle else { return Ok(None) };
    let BundleOrigin::Url(url) = &bundle.origin else { return Ok(None) };
    let options = Options {
        url: url.clone(),
        authority: bundle.ca.clone(),
        credentials: bundle.token_file.clone().map_or(Credentials::None, Credentials::Token),
        proxies: Proxies::from_environment(),
    };
    let client = Client::new(options).map_err(io::Error::other)?;
    let remote = Remote { client, runtime: Handle::current(), etag: None };
    let fetcher = Arc::new(Fetcher::start(Arc::clone(engine), bundle.interval, remote));
    engine.fetched_by(&fetcher);
    Ok(Some(fetcher))
}

/// Fetches once, and whether that has failed.
fn fetch(engine: &Engine, remote: &mut Remote) -> bool {
    match remote.fetch(engine.lacks_bundle()) {
        Ok(Some(bytes)) => engine.offer(&bytes),
        Ok(None) => engine.bundle_unchanged(),
        Err(problem) => {
            engine.bundle_not_fetched(problem);
            return true;
        }
    }
    false
}

/// Fetches again and again; `fetch` says whether it has failed.
fn follow(interval: Duration, woken: &Receiver<()>, mut fetch: impl FnMut() -> bool) {
    let (mut failures, mut end) = (0, End::Time);
    while end != End::Dropped {
        failures = if fetch() { failures + 1 } else { 0 };
        end = rest(woken, pause(interval, failures), failures > 0, end);
    }
}

/// Why a rest is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was long enough.
    Time,
    /// A bundle was pushed.
    Push,
    /// Nobody wants anything any more.
    Dropped,
}

/// Rests for `pause`, or until a push, which is remembered while the least has not passed: [`FIRST_RETRY`] after a
/// failure, and [`BETWEEN_PUSHES`] after another push. `last` is how the rest before this one ended.
fn rest(woken: &Receiver<()>, pause: Duration, failed: bool, last: End) -> End {
    let end = Instant::now() + pause;
    let least = match (failed, last) {
        (true, _) => jittered(FIRST_RETRY),
        (false, End::Push) => jittered(BETWEEN_PUSHES),
        (false, _) => Duration::ZERO,
    };
    // One push in so long is looked at, whoever pushes without end.
    std::thread::sleep(least.min(pause));
    match woken.recv_timeout(end.saturating_duration_since(Instant::now())) {
        Ok(()) => End::Push,
        Err(RecvTimeoutError::Timeout) => End::Time,
        Err(RecvTimeoutError::Disconnected) => End::Dropped,
    }
}

/// How long until the next time after so many failures in a row.
fn pause(interval: Duration, failures: u32) -> Duration {
    jittered(if failures == 0 { interval } else { doubled(FIRST_RETRY, failures).min(interval) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_interval_and_no_further() {
        let minute = Duration::from_secs(60);
        for (failures, seconds) in [(0, 60.0), (1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (400, 60.0)] {
            for _ in 0..50 {
                let pause = pause(minute, failures).as_secs_f64();
                assert!((seconds * 0.9..=seconds * 1.1001).contains(&pause), "{failures}: {pause}");
            }
        }
    }

    #[test]
    fn pushes_without_end_are_one_fetch_a_second_and_fewer_while_it_fails() {
        let (wake, woken) = sync_channel(1);
        let fetcher = Fetcher { wake };
        let (minute, half) = (Duration::from_secs(60), Duration::from_millis(500));
        let timed = |pause, failed, last| {
            let began = Instant::now();
            let end = rest(&woken, pause, failed, last);
            (end, began.elapsed())
        };
        (0..10_000).for_each(|_| fetcher.wake());
        let (end, took) = timed(minute, false, End::Time);
        assert!(end == End::Push && took < half, "the first acts at once: {end:?} after {took:?}");
        let (end, took) = timed(half, false, End::Push);
        assert_eq!(end, End::Time, "more of them were one: {took:?}");
        (0..10_000).for_each(|_| fetcher.wake());
        let (end, took) = timed(minute, false, End::Push);
        assert!(end == End::Push && took >= half, "{end:?} after {took:?}");
        // The store was away, for so long that a minute is rested.
        for last in [End::Time, End::Push] {
            (0..10_000).for_each(|_| fetcher.wake());
            let (end, took) = timed(minute, true, last);
            assert!(end == End::Push && took >= FIRST_RETRY.mul_f64(0.9), "{end:?} after {took:?}");
            assert!(took < FIRST_RETRY * 3, "{took:?}");
        }
        let (end, took) = timed(half, true, End::Push);
        assert!(end == End::Time && took < FIRST_RETRY, "an interval is no longer than it says: {took:?}");
        // It does not keep the thread.
        drop(fetcher);
        assert_eq!(timed(minute, true, End::Time).0, End::Dropped);
    }

    #[test]
    fn a_first_bundle_is_fetched_when_it_is_pushed() {
        let (wake, woken) = sync_channel(1);
        let mut fetcher = Some(Fetcher { wake });
        let mut fetched = Vec::new();
        follow(Duration::from_secs(86_400), &woken, || {
            fetched.push(Instant::now());
            match fetched.len() {
                // Nothing lies there yet, and then it is pushed: while the failure is rested upon, or at once.
                1..=3 => fetcher.iter().for_each(Fetcher::wake),
                _ => fetcher = None,
            }
            fetched.len() < 4
        });
        assert_eq!(fetched.len(), 4);
        for (one, next) in fetched.iter().zip(&fetched[1..]) {
            let took = *next - *one;
            assert!((FIRST_RETRY.mul_f64(0.9)..FIRST_RETRY * 3).contains(&took), "{took:?}");
        }
    }
}
