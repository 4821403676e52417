//! What sources tell of changes: what this node knows is looked up at once, as if somebody had asked. What it does not
//! know it looks up when somebody asks, or finds by listing, as where nothing is told.
//!
//! A source is trusted with nothing that it says here either: it makes the node look, no more often than
//! [`Hearsay`](super::hearsay::Hearsay) lets it, and file nothing for digests of its own choice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::hearsay::Named;
use super::{LookUp, Shared, Tracked};
use crate::attestation::NoteName;
use crate::evidence::ledger::Standing;
use crate::evidence::source::{Heard, Listener, Scope, Work};
use crate::evidence::store::ScopeId;
use crate::image::Digest;
use crate::pace::{doubled, jittered};

/// Look-ups at a time, of one source.
const AT_ONCE: usize = 8;
/// The first pause after a stream has broken off; each further one doubles it, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// A stream that has lived so long does well, whatever was before.
const STEADY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// After so many streams in a row that did not, the next one counts as telling only once it does.
const BRIEF: u32 = 2;

impl Shared {
    /// Follows what the source at this place tells, where it does.
    pub(super) async fn hear(self: Arc<Self>, at: usize) {
        let Some(source) = self.sources.get(at) else { return };
        let (mut token, mut failures, mut brief) = (None, 0_u32, 0_u32);
        loop {
            let mut hearing = Hearing { shared: &self, source, doubted: brief >= BRIEF, since: None };
            let Some(following) = source.followed.source.follow(&mut token, &mut hearing) else {
                return std::future::pending().await;
            };
            let broken = following.await;
            let lived = hearing.since.map(|since| since.elapsed());
            if lived.is_some_and(|lived| lived >= STEADY) {
                (failures, brief) = (0, 0);
            }
            failures = failures.saturating_add(1);
            brief = brief.saturating_add(lived.is_some().into());
            source.weather(|weather| {
                if weather.hears.replace(false) != Some(false) {
                    tracing::info!("source `{}` tells of no changes now: {broken}", source.name());
                }
            });
            let pause = jittered(doubled(FIRST_PAUSE, failures).min(LAST_PAUSE));
            tokio::time::sleep(pause.max(broken.retry_after().unwrap_or_default())).await;
        }
    }

    /// Looks up what the source at this place has named, several at a time.
    pub(super) async fn attend(self: Arc<Self>, at: usize) {
        let Some(source) = self.sources.get(at) else { return };
        let mut under_way = FuturesUnordered::new();
        loop {
            let mut pause = None;
            while under_way.len() < AT_ONCE {
                match source.hearsay.next(Instant::now()) {
                    Ok((digest, named)) => under_way.push(self.look_up_named(source, digest, named)),
                    Err(until) => {
                        pause = until;
                        break;
                    }
                }
            }
            tokio::select! {
                Some(()) = under_way.next() => {}
                () = source.hearsay.is_named(), if under_way.len() < AT_ONCE => {}
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    async fn look_up_named(&self, source: &Tracked, digest: Digest, named: Named) {
        let shelves = self.ledger.shelves().into_iter().filter(|shelf| named.scopes.contains(&shelf.id));
        let how = if named.only_gone { LookUp::OnlyGone } else { LookUp::All };
        match self.look_up_at(source, shelves.collect(), digest, how).await {
            Ok(true) => self.node.changed(),
            Ok(false) => {}
            Err((_, rest)) => source.hearsay.failed(digest, named, rest, Instant::now()),
        }
    }

    /// Has `digest` looked up in `scopes` of a source where this node knows it: all of it where somebody here asked
    /// for it, and whether what is on file has `gone` where nobody did.
    pub(super) async fn consider(&self, source: &Tracked, digest: Digest, scopes: Vec<ScopeId>, gone: bool) {
        let standing = if self.look_ups.remembers(digest) {
            Standing::Wanted
        } else {
            let ledger = Arc::clone(&self.ledger);
            let standing = tokio::task::spawn_blocking(move || ledger.standing(digest)).await;
            standing.unwrap_or(Standing::Unknown)
        };
        match standing {
            Standing::Wanted => source.hearsay.name(digest, scopes, false, Instant::now()),
            Standing::Filed if gone => source.hearsay.name(digest, scopes, true, Instant::now()),
            Standing::Filed | Standing::Unknown => {}
        }
    }
}

/// What is heard of one stream.
struct Hearing<'a> {
    shared: &'a Shared,
    source: &'a Tracked,
    /// Those before it broke off soon.
    doubted: bool,
    /// Since when something is heard.
    since: Option<Instant>,
}

impl Listener for Hearing<'_> {
    fn hear<'a>(&'a mut self, heard: Heard) -> Work<'a, ()> {
        Box::pin(async move {
            match heard {
                Heard::Filed(note, digest) => self.changed(note, digest, false).await,
                Heard::Gone(note, digest) => self.changed(note, digest, true).await,
                Heard::Bundle => self.shared.node.bundle_pushed(),
                // What was missed may have been a bundle.
                Heard::Relist => {
                    self.source.hearsay.want_listing();
                    self.shared.node.bundle_pushed();
                }
                Heard::Follows => self.follows(),
            }
        })
    }
}

impl Hearing<'_> {
    /// What a note has for a digest has changed, if that note counts here.
    async fn changed(&self, note: NoteName, digest: Digest, gone: bool) {
        let ours = |scope: &Scope| match scope {
            Scope::Note(of) => *of == note,
            Scope::Project(_) => true,
            Scope::Everything => false,
        };
        let scopes = self.shared.ledger.scopes_of(self.source.name(), ours);
        if !scopes.is_empty() {
            // Before it is known whether it is: a listing that is under way may be about to file it.
            self.source.hearsay.note(digest);
            self.shared.consider(self.source, digest, scopes, gone).await;
        }
    }

    fn follows(&mut self) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.doubted && since.elapsed() < STEADY {
            return;
        }
        let now = Instant::now();
        let rest = self
            .source
            .weather(|weather| (weather.hears.replace(true) != Some(true)).then(|| weather.is_back(now)));
        if let Some(rest) = rest {
            tracing::info!("source `{}` tells of changes", self.source.name());
            // What could not be looked up while it was away waits no longer than it asks for.
            self.source.hearsay.hasten(now + rest);
        }
    }
}
