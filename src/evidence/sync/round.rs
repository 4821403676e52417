//! One round after another over the scopes of a source.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt as _, stream};

use super::listing::Listing;
use super::{LookUp, PATIENCE, Shared, Tracked};
use crate::evidence::brake::Loss;
use crate::evidence::ledger::{Closed, Shelf, since};
use crate::evidence::source::SourceError;
use crate::evidence::store::StoreError;
use crate::image::Digest;
use crate::pace::{doubled, jittered};

/// The longest rest of a local source after a look; four times what the look took, if that is less. Whoever
/// may write to it cannot keep a core busy.
const REST: Duration = Duration::from_millis(400);
/// A listing takes at most one part in so many of the time.
const SHARE: u32 = 10;
/// The least rest before a source is listed again because it said so; each time that this fails doubles it.
const TOLD: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Digests that are looked up again at a time, of a scope that is not listed.
const AHEAD: usize = 4;
/// Whether a scope that is too long to be listed still is: that is tried again after so long.
const TRY_LISTING: Duration = Duration::from_secs(24 * 3600);

impl Shared {
    /// Round after round of the source at this place.
    pub(super) async fn follow(self: Arc<Self>, at: usize) {
        let Some(source) = self.sources.get(at) else { return };
        // When it may next be listed because it said so, and how often that has failed.
        let (mut told_from, mut missed) = (Instant::now(), 0_u32);
        loop {
            let started = Instant::now();
            let wanted = source.wanted.load(Ordering::Acquire);
            let told = source.hearsay.take_listing();
            let thorough = told || wanted > source.served.load(Ordering::Acquire);
            let is_whole = self.round(source, thorough).await;
            source.served.store(wanted, Ordering::Release);
            missed = if is_whole { 0 } else { missed.saturating_add(told.into()) };
            if told && !is_whole {
                source.hearsay.want_listing();
            }
            let took = started.elapsed();
            if source.followed.local {
                tokio::time::sleep((took * 4).min(REST)).await;
            }
            let usual = source.followed.interval.max(took * SHARE);
            let rest = source.weather(|weather| weather.rest(usual, Instant::now()));
            let rest = if source.followed.local { rest.min(usual) } else { rest };
            let least = doubled(TOLD.max(took * SHARE), missed + 1).min(usual.max(TOLD));
            let least = source.weather(|weather| weather.rest(least, Instant::now())).max(least);
            told_from = told_from.max(Instant::now() + least);
            // Nothing is lost by those that do not come first: a wake is remembered, and so is what is wanted.
            tokio::select! {
                () = tokio::time::sleep(jittered(rest)) => {}
                () = source.wake.notified() => {}
                () = told_to_list(source, told_from) => {}
            }
        }
    }

    /// Looks at every scope, also where it was `thorough`ly listed just now. Whether none has failed.
    async fn round(&self, source: &Tracked, thorough: bool) -> bool {
        let generation = self.ledger.generation();
        if source.generation.swap(generation, Ordering::AcqRel) != generation {
            source.followed.source.forget();
            if let Err(error) = self.ledger.read_states() {
                tracing::warn!("how far sources were read cannot be read: {}", crate::chain(&error));
            }
        }
        let mut problems: Vec<String> = self.open_scopes(source).err().into_iter().collect();
        let mut left_out = 0;
        let mut news = false;
        let shelves: Vec<_> =
            self.ledger.shelves().into_iter().filter(|shelf| shelf.source == source.name()).collect();
        let first = source.first.swap(0, Ordering::AcqRel).min(shelves.len());
        let in_turn = shelves.iter().enumerate().cycle().skip(first).take(shelves.len());
        let mut lost = HashSet::new();
        let mut is_whole = true;
        for (at, shelf) in in_turn {
            if !thorough && self.was_just_listed(source, shelf) {
                continue;
            }
            match self.one(source, shelf, thorough, &mut lost).await {
                Ok(listed) => {
                    left_out += listed.left_out;
                    news |= listed.news;
                    problems.extend(listed.held_back);
                }
                Err(error) => {
                    is_whole = false;
                    source.weather(|weather| weather.failed(source.name(), &error, Instant::now()));
                    let outage = error.is_outage();
                    problems.push(error.to_string());
                    if outage {
                        // It may be that this one alone fails: it must not keep the others from their turn.
                        source.first.store(at + 1, Ordering::Release);
                        break;
                    }
                }
            }
        }
        self.ledger.has_read(source.name());
        let well = problems.is_empty();
        let problem = problems.into_iter().next();
        source.weather(|weather| {
            if well {
                weather.cleared();
            }
            weather.left_out = left_out;
            match &problem {
                Some(problem) if weather.problem.as_ref() != Some(problem) => {
                    tracing::warn!("source `{}`: {problem}", source.name());
                }
                None if weather.problem.is_some() => {
                    tracing::info!("source `{}` is well again", source.name());
                }
                _ => {}
            }
            weather.problem = problem;
        });
        if news {
            self.node.changed();
        }
        is_whole
    }

    /// Lists a scope, or where that is too much, asks again for what is in use.
    async fn one(
        &self,
        source: &Tracked,
        shelf: &Shelf,
        thorough: bool,
        lost: &mut HashSet<Digest>,
    ) -> Result<Listed, SourceError> {
        if !shelf.state.lookup_only || self.age(shelf.state.synced) >= TRY_LISTING {
            source.hearsay.begin_listing();
            let listed = self.list(source, shelf, lost).await;
            // What was heard in the meantime may have come before the page that tells something else.
            for digest in source.hearsay.end_listing() {
                self.consider(source, digest, vec![shelf.id], true).await;
            }
            if let Some(listed) = listed? {
                return Ok(listed);
            }
        }
        self.ahead(source, shelf, thorough).await
    }

    /// Lists a scope; none where it is too long for that.
    async fn list(
        &self,
        source: &Tracked,
        shelf: &Shelf,
        lost: &mut HashSet<Digest>,
    ) -> Result<Option<Listed>, SourceError> {
        let limit = source.followed.list_limit;
        let mut listing = Listing::new(Arc::clone(&self.ledger), shelf.id, limit);
        let ended = source.followed.source.list(&shelf.scope, &mut listing).await;
        let filed = listing.end().await;
        let filed = filed.map_err(|cause| SourceError::NotTaken { scope: shelf.scope.to_string(), cause });
        let Listing { present, left_out, mut news, is_too_long, .. } = listing;
        if is_too_long {
            tracing::info!(
                "source `{}`: {} has more than {limit} documents: it is asked for each digest",
                source.name(),
                shelf.scope
            );
            let (ledger, scope, now) = (Arc::clone(&self.ledger), shelf.id, self.node.now());
            self.on_disk(move || ledger.only_look_up(scope, present.len() as u64, now), shelf).await?;
            return Ok(None);
        }
        if let Err(error) = ended.and(filed) {
            // What it gave so far is filed, and counts.
            if news {
                self.node.changed();
            }
            return Err(error);
        }
        let (ring, now) = (self.node.key_ring(), self.node.now());
        let (ledger, scope) = (Arc::clone(&self.ledger), shelf.id);
        let (mut so_far, hearsay) = (std::mem::take(lost), Arc::clone(&source.hearsay));
        let close = move || {
            let meanwhile = |digest| hearsay.was_noted(digest);
            Ok((ledger.close(scope, &present, &ring, now, &mut so_far, meanwhile)?, so_far))
        };
        let closed;
        (closed, *lost) = self.on_disk(close, shelf).await?;
        let held_back = match closed {
            Closed::Taken(gone) => {
                news |= gone > 0;
                None
            }
            Closed::HeldBack(loss) => Some(held_back(shelf, loss)),
        };
        Ok(Some(Listed { left_out, news, held_back }))
    }

    /// Asks again for the digests in use: before what is known of them is old, or `thorough`ly for all.
    async fn ahead(&self, source: &Tracked, shelf: &Shelf, thorough: bool) -> Result<Listed, SourceError> {
        let (ledger, now) = (Arc::clone(&self.ledger), self.node.now());
        let used = self.on_disk(move || ledger.in_use(now), shelf).await?;
        let due = |digest: &_| {
            thorough || self.age(self.ledger.looked_up(shelf.id, *digest)) >= source.followed.interval
        };
        let answers = stream::iter(used.into_iter().filter(due))
            .map(|digest| async move {
                let turn = Arc::new(source.turns.take(digest).await);
                let looked_up = self.look_up_in(source, shelf, digest, LookUp::All, &turn);
                let slow = |_| source.slow();
                tokio::time::timeout(PATIENCE, looked_up).await.map_err(slow)?
            })
            .buffer_unordered(AHEAD);
        let mut answers = std::pin::pin!(answers);
        let mut listed = Listed::default();
        while let Some(answer) = answers.next().await {
            listed.news |= answer?;
        }
        let held = self.ledger.shelves().into_iter().find(|one| one.id == shelf.id).and_then(|one| one.held);
        listed.held_back = held.map(|held| held_back(shelf, held.loss));
        Ok(listed)
    }

    fn was_just_listed(&self, source: &Tracked, shelf: &Shelf) -> bool {
        !source.followed.local && self.age(shelf.state.synced) < source.followed.interval / 2
    }

    fn age(&self, heard: Option<SystemTime>) -> Duration {
        heard.map_or(Duration::MAX, |heard| since(heard, self.node.now()))
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
        shelf: &Shelf,
    ) -> Result<T, SourceError> {
        let not_taken = |cause| SourceError::NotTaken { scope: shelf.scope.to_string(), cause };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|error| not_taken(crate::chain(&error))),
            Err(_) => Err(not_taken("it was given up".to_owned())),
        }
    }
}

/// Waits until a source is to be listed by its own word, and may be: not before `from`, nor while it is left alone.
async fn told_to_list(source: &Tracked, from: Instant) {
    tokio::time::sleep_until(from.into()).await;
    source.hearsay.wants_listing().await;
    loop {
        let left = source.weather(|weather| weather.left_alone(Instant::now()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

/// What a round found in a scope.
#[derive(Default)]
struct Listed {
    left_out: usize,
    news: bool,
    held_back: Option<String>,
}

fn held_back(shelf: &Shelf, loss: Loss) -> String {
    format!(
        "{}: {} of {} digests in use would lose attestations, which looks like a fault: they are kept; \
         `binauthctl cache accept-deletions` lets them go",
        shelf.scope, loss.lost, loss.used
    )
}
