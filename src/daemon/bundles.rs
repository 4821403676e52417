//! Fetches signed policy bundles from a URL, from a thread of its own.
//!
//! Whoever answers is trusted with nothing: what comes is held against the node's keys. It can hold back what is
//! new, and then the age of the last answer shows.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

use super::engine::Engine;
use crate::config::{BundleOrigin, Config};
use crate::http::{Answer, Bounds, Client, Credentials, Options, Proxies};
use crate::policy::bundle::MAX_BYTES;

/// What one question and its answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The first pause after a failure; each further one doubles it, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// Asks a URL for the bundle that lies there.
pub(super) trait Fetch: Send + 'static {
    /// What lies there, at most [`MAX_BYTES`]; `None` where it is what the last
    /// call gave. With `anew` the whole of it is asked for whatever was given before.
    ///
    /// # Errors
    /// Says why nothing came, without credentials.
    fn fetch(&mut self, anew: bool) -> Result<Option<Vec<u8>>, String>;
}

/// A server that is asked over HTTPS.
struct Remote {
    client: Client,
    runtime: Handle,
    /// Of what it gave last.
    etag: Option<String>,
}

impl Fetch for Remote {
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

/// The thread that fetches; it ends when this is dropped, or is left behind where an answer is late.
pub(super) struct Fetcher {
    wake: Option<Sender<()>>,
    _thread: Option<JoinHandle<()>>,
}

impl Fetcher {
    /// Starts fetching, at once and then every `interval`, give or take a tenth.
    pub(super) fn start(engine: Arc<Engine>, interval: Duration, mut source: impl Fetch) -> Self {
        let (wake, woken) = channel();
        let thread = std::thread::Builder::new()
            .name("bundles".into())
            .spawn(move || follow(&engine, interval, &mut source, &woken))
            .inspect_err(|error| tracing::error!("policy bundles are not fetched: {error}"))
            .ok();
        Self { wake: Some(wake), _thread: thread }
    }

    /// Fetches now.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // A thread that is gone shows in the age of its last answer.
            let _ = wake.send(());
        }
    }
}

/// Starts fetching what `config` names, where that is a URL.
///
/// # Errors
/// Those of an address that is never asked.
pub(super) fn start(engine: &Arc<Engine>, config: &Config) -> io::Result<Option<Fetcher>> {
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
    Ok(Some(Fetcher::start(Arc::clone(engine), bundle.interval, remote)))
}

fn follow(engine: &Engine, interval: Duration, source: &mut impl Fetch, woken: &Receiver<()>) {
    let mut failures = 0;
    loop {
        match source.fetch(engine.lacks_bundle()) {
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
        match woken.recv_timeout(pause(interval, failures)) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// How long until the next time after so many failures in a row. Nodes that were started together drift apart.
fn pause(interval: Duration, failures: u32) -> Duration {
    let pause = match failures {
        0 => interval,
        more => FIRST_RETRY.saturating_mul(1 << (more - 1).min(16)).min(interval),
    };
    let chance = RandomState::new().hash_one(()) % 201;
    pause.mul_f64(0.9 + chance as f64 / 1000.0)
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
}
