//! What sources tell of changes: looked up at once, as if somebody had asked. Where nothing is told, listings find it later.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Shared, Tracked};
use crate::attestation::NoteName;
use crate::evidence::source::{Heard, Listener, Scope, Work};
use crate::image::Digest;
use crate::pace::{doubled, jittered};

/// Look-ups at a time, of one source.
const AT_ONCE: usize = 8;
/// The first pause after a stream has broken off; each further one doubles it, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

impl Shared {
    /// Follows what the source at this place tells, where it does.
    pub(super) async fn hear(self: Arc<Self>, at: usize) {
        let Some(source) = self.sources.get(at) else { return };
        let (mut token, mut failures) = (None, 0);
        loop {
            let mut hearing = Hearing {
                shared: Arc::clone(&self),
                at,
                desks: Arc::new(Semaphore::new(AT_ONCE)),
                heard: false,
            };
            let Some(following) = source.followed.source.follow(&mut token, &mut hearing) else {
                return std::future::pending().await;
            };
            let broken = following.await;
            failures = if hearing.heard { 1 } else { failures + 1 };
            source.weather(|weather| {
                if weather.hears.take().is_some_and(|hears| hears) || failures == 1 {
                    tracing::info!("source `{}` tells of no changes now: {broken}", source.name());
                }
                weather.hears = Some(false);
            });
            tokio::time::sleep(jittered(doubled(FIRST_PAUSE, failures).min(LAST_PAUSE))).await;
        }
    }

    fn relist(source: &Tracked) {
        source.wanted.fetch_add(1, Ordering::AcqRel);
        source.wake.notify_one();
    }
}

struct Hearing {
    shared: Arc<Shared>,
    at: usize,
    desks: Arc<Semaphore>,
    heard: bool,
}

impl Listener for Hearing {
    fn hear<'a>(&'a mut self, heard: Heard) -> Work<'a, ()> {
        Box::pin(async move {
            let Some(source) = self.shared.sources.get(self.at) else { return };
            match heard {
                Heard::Changed(note, digest) => self.look_up(note, digest).await,
                Heard::Bundle => self.shared.node.bundle_pushed(),
                // What was missed may have been a bundle.
                Heard::Relist => {
                    Shared::relist(source);
                    self.shared.node.bundle_pushed();
                }
                Heard::Follows => {
                    self.heard = true;
                    source.weather(|weather| weather.hears = Some(true));
                }
            }
        })
    }
}

impl Hearing {
    /// Looks up what a note has for a digest, where that note counts here.
    async fn look_up(&self, note: NoteName, digest: Digest) {
        let (shared, at) = (Arc::clone(&self.shared), self.at);
        let shelves = shared.ledger.shelves().into_iter();
        let ours = |scope: &Scope| match scope {
            Scope::Note(of) => *of == note,
            Scope::Project(_) => true,
            Scope::Everything => false,
        };
        let name = shared.sources.get(at).map(Tracked::name).unwrap_or_default();
        let shelves: Vec<_> = shelves.filter(|shelf| shelf.source == name && ours(&shelf.scope)).collect();
        if shelves.is_empty() {
            return;
        }
        let Ok(desk) = Arc::clone(&self.desks).acquire_owned().await else { return };
        tokio::spawn(async move {
            let Some(source) = shared.sources.get(at) else { return };
            let mut news = false;
            for shelf in shelves {
                match shared.look_up_in(source, &shelf, digest).await {
                    Ok(new) => news |= new,
                    Err(error) => {
                        // The listing finds it.
                        tracing::info!("source `{}`: {error}", source.name());
                        Shared::relist(source);
                    }
                }
            }
            if news {
                shared.node.changed();
            }
            drop(desk);
        });
    }
}
