//! Refusals of one pod for one reason are one event that is counted up. What is to be written, and when: a pod that is
//! tried again and again, or a thousand of them, must not flood the API server.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime};

use lru::LruCache;
use serde_json::{Value, json};

use super::events::Told;

/// Series at a time; of more the one that was heard of last is forgotten first.
const MAX_SERIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_023);
/// Between two writes about one pod and reason.
const REPEAT: Duration = Duration::from_secs(60);
/// What could not be written for so long is given up.
const OUTDATED: Duration = Duration::from_secs(15 * 60);
/// A series ends when nothing was heard for so long: the API server forgets events after an hour, too.
const ENDED: Duration = Duration::from_secs(60 * 60);
/// So many writes at once, and one more each second.
const BURST: u32 = 25;

/// Everything that is counted up.
#[derive(Debug)]
pub(super) struct AllSeries {
    all: LruCache<Key, Series>,
    tokens: u32,
    refilled: Instant,
    /// Numbers the events, so that each has a name of its own.
    names: u64,
    /// What was given up.
    pub(super) dropped: u64,
}

type Key = (String, String, &'static str);

#[derive(Debug)]
struct Series {
    told: Told,
    /// The name of the event, once it is written.
    name: Option<String>,
    count: u64,
    first: SystemTime,
    last: SystemTime,
    /// What was counted up to the last write.
    written: u64,
    heard: Instant,
    due: Instant,
}

/// One event to be written.
#[derive(Debug, Clone)]
pub(super) struct Job {
    key: Key,
    pub(super) told: Told,
    /// It is there already, and counted up.
    pub(super) is_known: bool,
    pub(super) name: String,
    pub(super) count: u64,
    first: SystemTime,
    last: SystemTime,
}

impl AllSeries {
    /// None yet. `seed` makes the names of events those of this start of the daemon.
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self { all: LruCache::new(MAX_SERIES), tokens: BURST, refilled: now, names: seed, dropped: 0 }
    }

    /// Takes a refusal.
    pub(super) fn take(&mut self, told: Told, now: Instant) {
        let key = (told.uid.clone(), told.container.clone(), told.code);
        if let Some(series) = self.all.get_mut(&key) {
            (series.count, series.last, series.heard) = (series.count + 1, told.at, now);
            series.told = told;
            return;
        }
        let (first, last) = (told.at, told.at);
        let series = Series { told, name: None, count: 1, first, last, written: 0, heard: now, due: now };
        if let Some((_, gone)) = self.all.push(key, series)
            && gone.count > gone.written
        {
            self.dropped += 1;
        }
    }

    /// What is to be written now, if anything may be.
    pub(super) fn next(&mut self, now: Instant) -> Option<Job> {
        self.forget(now);
        let refill = now.saturating_duration_since(self.refilled).as_secs();
        self.tokens = self.tokens.saturating_add(u32::try_from(refill).unwrap_or(BURST)).min(BURST);
        self.refilled += Duration::from_secs(refill);
        // Of several, who was heard of longest ago.
        let waits = |series: &Series| series.count > series.written && series.due <= now;
        let (key, series) =
            self.all.iter().rev().filter(|(_, series)| waits(series)).min_by_key(|(_, series)| series.due)?;
        self.tokens = self.tokens.checked_sub(1)?;
        let name = series.name.clone().unwrap_or_else(|| {
            // A pod's name may have 253 bytes, and so may an event's.
            format!(
                "{}.{:016x}",
                crate::text::cut(&series.told.pod, 236).trim_end_matches(['.', '-']),
                self.names
            )
        });
        self.names = self.names.wrapping_add(1);
        Some(Job {
            key: key.clone(),
            told: series.told.clone(),
            is_known: series.name.is_some(),
            name,
            count: series.count,
            first: series.first,
            last: series.last,
        })
    }

    /// When there may be something to write next; `None` where nothing waits.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let waiting = self.all.iter().filter(|(_, series)| series.count > series.written);
        let due = waiting.map(|(_, series)| series.due).min()?;
        let refilled = self.refilled + Duration::from_secs(1);
        Some(if self.tokens == 0 { due.max(refilled) } else { due }.max(now))
    }

    /// It stands there.
    pub(super) fn written(&mut self, job: &Job, now: Instant) {
        if let Some(series) = self.all.peek_mut(&job.key) {
            series.name = Some(job.name.clone());
            (series.written, series.due) = (job.count, now + REPEAT);
        }
    }

    /// The event is gone, or its name is taken: it is made under another.
    pub(super) fn unknown(&mut self, job: &Job) {
        if let Some(series) = self.all.peek_mut(&job.key) {
            series.name = None;
        }
    }

    /// Nobody takes it.
    pub(super) fn give_up(&mut self, job: &Job) {
        self.all.pop(&job.key);
        self.dropped += 1;
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.all.iter().filter(|(_, series)| series.count > series.written).count()
    }

    fn forget(&mut self, now: Instant) {
        let over = |series: &Series| {
            let silent = now.saturating_duration_since(series.heard);
            silent >= ENDED || (series.count > series.written && silent >= OUTDATED)
        };
        let gone: Vec<_> =
            self.all.iter().filter(|(_, series)| over(series)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            let unwritten = self.all.pop(&key).is_some_and(|series| series.count > series.written);
            self.dropped += u64::from(unwritten);
        }
    }
}

impl Job {
    /// The event (`core/v1` `Event`), as `node` tells it.
    pub(super) fn event(&self, node: &str) -> Value {
        let Told { namespace, pod, uid, reason, message, .. } = &self.told;
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod, "uid": uid,
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "count": self.count,
            "firstTimestamp": seconds(self.first),
            "lastTimestamp": seconds(self.last),
            "source": {"component": "binauthd", "host": node},
            "reportingComponent": "binauthd",
            "reportingInstance": node,
        })
    }

    /// What of it has changed since (a merge patch).
    pub(super) fn patch(&self) -> Value {
        json!({"count": self.count, "lastTimestamp": seconds(self.last), "message": self.told.message})
    }
}

pub(super) fn seconds(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(uid: &str, code: &'static str) -> Told {
        Told {
            namespace: "shop".into(),
            pod: "web".into(),
            uid: uid.into(),
            container: "main".into(),
            reason: "BinauthdDenied",
            code,
            message: "no".into(),
            at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn repeats_are_counted_up_and_written_once_a_minute() {
        let start = Instant::now();
        let mut series = AllSeries::new(7, start);
        assert!(series.due(start).is_none());
        for _ in 0..3 {
            series.take(told("1", "NO_ATTESTATION"), start);
        }
        series.take(told("1", "HOST_ACCESS"), start);
        let first = series.next(start).unwrap();
        assert_eq!((first.is_known, first.count, first.name.as_str()), (false, 3, "web.0000000000000007"));
        series.written(&first, start);
        let other = series.next(start).unwrap();
        assert_eq!(other.told.code, "HOST_ACCESS");
        series.written(&other, start);
        assert!(series.next(start).is_none() && series.due(start).is_none());
        series.take(told("1", "NO_ATTESTATION"), start);
        assert!(series.next(start + REPEAT / 2).is_none());
        assert_eq!(series.due(start).unwrap(), start + REPEAT);
        let again = series.next(start + REPEAT).unwrap();
        assert_eq!((again.is_known, again.count, &again.name), (true, 4, &first.name));
        // It has been forgotten there meanwhile.
        series.unknown(&again);
        let anew = series.next(start + REPEAT).unwrap();
        assert!(!anew.is_known && anew.name != first.name && anew.count == 4);
    }

    #[test]
    fn a_flood_is_written_slowly_and_has_an_end() {
        let start = Instant::now();
        let mut series = AllSeries::new(0, start);
        let flood = MAX_SERIES.get() + 100;
        for n in 0..flood {
            series.take(told(&n.to_string(), "NO_ATTESTATION"), start);
        }
        assert_eq!((series.waiting(), series.dropped), (MAX_SERIES.get(), 100));
        let written = |series: &mut AllSeries, now| {
            let mut jobs = 0;
            while let Some(job) = series.next(now) {
                series.written(&job, now);
                jobs += 1;
            }
            jobs
        };
        assert_eq!(written(&mut series, start), BURST as usize);
        assert_eq!(series.due(start).unwrap(), start + Duration::from_secs(1));
        assert_eq!(written(&mut series, start + Duration::from_secs(3)), 3);
        assert_eq!(written(&mut series, start + OUTDATED), 0);
        assert_eq!(series.dropped, (flood - BURST as usize - 3) as u64);
        assert_eq!(series.waiting(), 0);
    }

    #[test]
    fn the_event_is_of_its_pod() {
        let start = Instant::now();
        let mut series = AllSeries::new(0, start);
        series.take(Told { pod: "x".repeat(250), ..told("1", "NO_ATTESTATION") }, start);
        let job = series.next(start).unwrap();
        assert!(job.name.len() <= 253);
        let event = job.event("node-1");
        assert_eq!(event["involvedObject"]["uid"], "1");
        assert_eq!(event["metadata"]["namespace"], event["involvedObject"]["namespace"]);
        assert_eq!((&event["reportingInstance"], &event["type"]), (&json!("node-1"), &json!("Warning")));
        assert_eq!((&event["count"], &event["firstTimestamp"]), (&json!(1), &json!("1970-01-01T00:00:00Z")));
    }
}
