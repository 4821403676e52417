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

/// The first pause after a failure; each further one doubles it, up to the interval.
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

/// The way to the thread that fetches. It ends within a second after this is dropped; nobody waits for an answer that
/// is late.
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
            .spawn(move || follow(&engine, interval, &mut remote, &woken));
        if let Err(error) = thread {
            tracing::error!("policy bundles are not fetched: {error}");
        }
        Self { wake }
    }

    /// Fetches soon: at once, unless that was done just now or the last fetch failed. Never waits, and remembers one
    /// push however many there are: whoever tells of them is not trusted.
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

fn follow(engine: &Engine, interval: Duration, remote: &mut Remote, woken: &Receiver<()>) {
    let (mut failures, mut end) = (0, End::Time);
    loop {
        match remote.fetch(engine.lacks_bundle()) {
            Ok(Some(bytes)) => {
                failures = 0;
                engine.offer(&bytes);
            }
            Ok(None) => {
                failures = 0;
                engine.bundle_unchanged();
            }
            Err(problem) => {
                failures += 1;
                engine.bundle_not_fetched(problem);
            }
        }
        end = rest(woken, pause(interval, failures), failures > 0, end);
        if end == End::Dropped {
            return;
        }
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

/// Rests for `pause`, or until a push. A push does not shorten the rest after a failure, and one that follows upon
/// another waits for its second: `last` is how the rest before this one ended.
fn rest(woken: &Receiver<()>, pause: Duration, failed: bool, last: End) -> End {
    let end = Instant::now() + pause;
    let mut waits = failed || last == End::Push;
    loop {
        if waits {
            // One push in so long is looked at, whoever pushes without end.
            std::thread::sleep(jittered(BETWEEN_PUSHES).min(end.saturating_duration_since(Instant::now())));
        }
        match woken.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(()) if !failed || Instant::now() >= end => return End::Push,
            Ok(()) => waits = true,
            Err(RecvTimeoutError::Timeout) => return End::Time,
            Err(RecvTimeoutError::Disconnected) => return End::Dropped,
        }
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
    fn pushes_without_end_are_one_fetch_a_second_and_hasten_none_after_a_failure() {
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
        (0..10_000).for_each(|_| fetcher.wake());
        let (_, took) = timed(half * 3, true, End::Push);
        assert!(took >= half * 3, "{took:?}");
        // It does not keep the thread.
        drop(fetcher);
        assert_eq!(timed(minute, true, End::Time).0, End::Dropped);
    }
}
