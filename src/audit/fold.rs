//! Folds refusals, so that whoever has many things refused writes no more than a bound.
//!
//! The first of each is written in full, and repeats of it within the minute behind it are counted, as long as there are
//! not too many that are followed at a time: 1,024, whose lines take 256 KiB together. While there are more, the others
//! are counted by gate, outcome, reason and namespace, 256 of these at a time, and beyond that by outcome alone.
//!
//! So refusals take **at most 1 MiB of the trail in a minute**, whatever is refused: 256 KiB in full, as much again for
//! their repeats, and 264 summaries of at most 1 KiB. What older lines tell is not pushed out of the trail sooner than in
//! `keep_bytes` divided by that: of 1 GiB in 17 hours. No refusal is missing in the counts. Allowances, break-glass and
//! dry run among them, changes, and what is found running, are never folded.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::record::{Gate, Record};
use crate::decision::{Decision, Reason};
use crate::text::{cut, shown};

/// How long refusals are counted before that is written.
pub(super) const SPAN: Duration = Duration::from_secs(60);
/// Refusals that are followed at a time.
const MOST: usize = 1_024;
/// What the lines of these take together, in bytes.
const MOST_BYTES: usize = 256 * 1024;
/// What a line takes beside its record: its link, and of repeats their count and since when.
const OVERHEAD: usize = 256;
/// Groups of the others that are counted apart at a time.
const GROUPS: usize = 256;
/// The longest namespace that is told of such a group, in bytes. Kubernetes has 63.
const MAX_NAMESPACE: usize = 128;
/// What a `repeats` record has in common with the decision it repeats.
const COMMON: &[&str] =
    &["gate", "verdict", "would", "enforced", "reason", "rule", "message", "image", "digest", "container"];

/// The most that refusals add to the trail within a minute, in bytes.
#[cfg(test)]
pub(super) const MOST_A_MINUTE: usize = 2 * MOST_BYTES + (GROUPS + 8) * 1024;

#[derive(Debug, Default)]
pub(super) struct Fold {
    followed: HashMap<String, Repeated>,
    /// What the lines of these take.
    bytes: usize,
    groups: HashMap<Group, Counted>,
}

#[derive(Debug)]
struct Repeated {
    until: Instant,
    /// What its first line takes.
    bytes: usize,
    /// Of the first repeat; none before there is one.
    since: Option<SystemTime>,
    count: u64,
    common: Map<String, Value>,
}

/// What refusals that are not followed have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Group {
    verdict: Decision,
    would: Decision,
    /// None for those of all other groups.
    told: Option<(Gate, Reason, String)>,
}

#[derive(Debug)]
struct Counted {
    until: Instant,
    since: SystemTime,
    count: u64,
}

/// A line that is written when a minute is over.
#[derive(Debug, PartialEq)]
pub(super) struct Over {
    pub(super) kind: &'static str,
    pub(super) rest: Value,
}

impl Fold {
    /// Whether `record`, whose line takes so many bytes, is a refusal that is counted instead of written: a repeat of one
    /// of this minute, or one too many.
    pub(super) fn takes(&mut self, record: &Record<'_>, bytes: usize, now: Instant) -> bool {
        let Some(key) = key(record) else { return false };
        if let Some(one) = self.followed.get_mut(&key) {
            if one.since.is_none() {
                (one.since, one.common) = (Some(record.time), common(record, one.bytes));
            }
            one.count += 1;
            return true;
        }
        let bytes = bytes.saturating_add(OVERHEAD);
        if self.followed.len() < MOST && self.bytes.saturating_add(bytes) <= MOST_BYTES {
            let (until, common) = (now + SPAN, Map::new());
            self.bytes += bytes;
            self.followed.insert(key, Repeated { until, bytes, since: None, count: 0, common });
            return false;
        }
        self.count(record, now);
        true
    }

    fn count(&mut self, record: &Record<'_>, now: Instant) {
        let mut group = Group::of(record);
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&group) {
            // Of these there are no more than pairs of outcomes.
            group.told = None;
        }
        let new = || Counted { until: now + SPAN, since: record.time, count: 0 };
        self.groups.entry(group).or_insert_with(new).count += 1;
    }

    /// The lines of what is over at `now`; without a time, of everything.
    pub(super) fn over(&mut self, now: Option<Instant>) -> Vec<Over> {
        let over = |until: Instant| now.is_none_or(|now| until <= now);
        let followed: Vec<_> = self.followed.extract_if(|_, one| over(one.until)).collect();
        self.bytes -= followed.iter().map(|(_, one)| one.bytes).sum::<usize>();
        let repeats = followed.into_iter().filter_map(|(_, one)| one.told());
        let groups = self.groups.extract_if(|_, one| over(one.until));
        repeats.chain(groups.map(|(group, counted)| group.told(&counted))).collect()
    }
}

impl Repeated {
    fn told(self) -> Option<Over> {
        let since = humantime::format_rfc3339_millis(self.since?).to_string();
        let mut told = self.common;
        told.insert("count".to_owned(), json!(self.count));
        told.insert("since".to_owned(), json!(since));
        Some(Over { kind: "repeats", rest: Value::Object(told) })
    }
}

impl Group {
    fn of(record: &Record<'_>) -> Self {
        let namespace = record.container.map_or("", |place| &place.pod_namespace);
        let namespace = cut(&shown(namespace, MAX_NAMESPACE), MAX_NAMESPACE).to_owned();
        let verdict = record.verdict;
        let told = Some((record.gate, verdict.reason, namespace));
        Self { verdict: verdict.verdict, would: verdict.would, told }
    }

    fn told(self, counted: &Counted) -> Over {
        let since = humantime::format_rfc3339_millis(counted.since).to_string();
        let mut members = Map::new();
        let mut tell = |name: &str, value| members.insert(name.to_owned(), value);
        tell("verdict", json!(self.verdict));
        tell("would", json!(self.would));
        tell("count", json!(counted.count));
        tell("since", json!(since));
        tell("message", json!(format!("{} further refusals, which are only counted", counted.count)));
        if let Some((gate, reason, namespace)) = self.told {
            tell("gate", json!(gate));
            tell("reason", json!(reason));
            if !namespace.is_empty() {
                tell("container", json!({"podNamespace": namespace}));
            }
        }
        Over { kind: "summary", rest: Value::Object(members) }
    }
}

/// What makes two refusals the same; none of what is not folded: allowances, and what runs.
fn key(record: &Record<'_>) -> Option<String> {
    let verdict = record.verdict;
    if verdict.allows() || record.gate == Gate::Running {
        return None;
    }
    // Without a digest it is the sentence that tells one question from another.
    let digest = verdict.digest.map_or_else(|| verdict.message.clone(), |digest| digest.hex());
    let namespace = record.container.map_or("", |place| &place.pod_namespace);
    let parts =
        [record.gate.name(), verdict.reason.code(), &digest, namespace, &verdict.rule, &verdict.image];
    Some(parts.join("\0"))
}

/// Of a repeat of a line that took so many bytes, which this does not exceed.
fn common(record: &Record<'_>, bytes: usize) -> Map<String, Value> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(record) else { return Map::new() };
    members.retain(|name, _| COMMON.contains(&name.as_str()));
    if let Some(place) = members.get_mut("container").and_then(Value::as_object_mut) {
        place.retain(|name, _| name == "namespace" || name == "podNamespace");
    }
    let length = serde_json::to_string(&members).map_or(usize::MAX, |text| text.len());
    if length.saturating_add(OVERHEAD) > bytes {
        // The rest is the same.
        members.remove("message");
    }
    members
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
mod tests {
    use super::*;
    use crate::audit::{Asked, Place};
    use crate::decision::Verdict;

    struct Trail {
        fold: Fold,
        now: Instant,
        /// Of all lines, with an allowance for their links.
        bytes: usize,
        lines: usize,
        counted: u64,
    }

    impl Trail {
        fn refuse(&mut self, image: &str, namespace: &str, reason: Reason, gate: Gate) {
            let verdict = Verdict::refused(image, None, reason, "cause", "");
            let asked = Asked { pid: 1, uid: 0, program: "p".into(), entry: "e".into() };
            let place = Place { pod_namespace: namespace.to_owned(), ..Place::default() };
            let record = Record {
                time: SystemTime::UNIX_EPOCH,
                gate,
                verdict: &verdict,
                asked: &asked,
                container: Some(&place),
                event: None,
                duration_micros: Duration::ZERO,
            };
            let length = serde_json::to_string(&record).unwrap().len();
            if !self.fold.takes(&record, length, self.now) {
                self.written(length);
                self.counted += 1;
            }
        }

        fn written(&mut self, length: usize) {
            self.bytes += length + 128;
            self.lines += 1;
        }

        fn over(&mut self, now: Option<Instant>) -> Vec<Over> {
            let over = self.fold.over(now);
            for one in &over {
                self.written(one.rest.to_string().len() + 64);
                self.counted += one.rest["count"].as_u64().unwrap();
            }
            over
        }
    }

    fn trail() -> Trail {
        Trail { fold: Fold::default(), now: Instant::now(), bytes: 0, lines: 0, counted: 0 }
    }

    #[test]
    fn beyond_the_bound_refusals_are_counted_by_group_and_then_together() {
        let mut trail = trail();
        // So that nothing is left of the bound for those behind them.
        (0..MOST).for_each(|number| trail.refuse(&number.to_string(), "", Reason::DenyListed, Gate::Pull));
        let (full, lines) = (trail.bytes, trail.lines);
        assert!(full <= MOST_BYTES && lines > 300, "{full} bytes, {lines} lines");
        let further = u64::try_from(MOST - lines).unwrap();
        for image in 0..10 {
            trail.refuse(&format!("a{image}"), "shop", Reason::NoAttestation, Gate::Create);
        }
        trail.refuse("\u{202e}", "shop\u{202e}", Reason::BadRequest, Gate::Create);
        assert_eq!(trail.lines, lines, "all of them are counted");
        for namespace in 0..GROUPS {
            trail.refuse("b", &format!("ns-{namespace}"), Reason::NoAttestation, Gate::Create);
        }
        let over = trail.over(Some(trail.now + SPAN));
        assert_eq!(over.len(), GROUPS + 1);
        let of = |namespace: &str| {
            let found = over.iter().find(|one| {
                one.rest.pointer("/container/podNamespace").and_then(Value::as_str).unwrap_or_default()
                    == namespace
                    && one.rest.get("reason").is_some()
            });
            found.unwrap().rest.clone()
        };
        let since = "1970-01-01T00:00:00.000Z";
        let shop = json!({
            "verdict": "DENY", "would": "DENY", "count": 10, "since": since, "gate": "create",
            "reason": "NO_ATTESTATION", "container": {"podNamespace": "shop"},
            "message": "10 further refusals, which are only counted",
        });
        assert_eq!(of("shop"), shop);
        assert_eq!((&of("")["count"], &of("")["gate"]), (&json!(further), &json!("pull")));
        assert_eq!(of("shop\u{fffd}")["verdict"], "CANNOT_DECIDE");
        let rest: Vec<_> = over.iter().filter(|one| one.rest.get("reason").is_none()).collect();
        let message = "3 further refusals, which are only counted";
        let together =
            json!({"verdict": "DENY", "would": "DENY", "count": 3, "since": since, "message": message});
        assert_eq!((rest.len(), &rest[0].rest), (1, &together));
        assert!(over.iter().all(|one| one.kind == "summary"));
        // The next minute has as much room as this one.
        let before = trail.lines;
        trail.now += SPAN;
        trail.refuse("a0", "shop", Reason::NoAttestation, Gate::Create);
        assert_eq!(trail.lines, before + 1);
    }

    #[test]
    fn a_minute_takes_no_more_than_the_bound_whatever_is_refused() {
        for (length, distinct) in [(1, 2_000), (200, 1_000), (4_000, 200), (100_000, 20), (300_000, 4)] {
            let mut trail = trail();
            let mut asked = 0;
            for minute in 0..3 {
                for number in 0..distinct {
                    let image = format!("{minute} {number} {}", "x".repeat(length));
                    let namespace = format!("{}{number}", "\"n".repeat(500));
                    let reason = Reason::ALL[number % Reason::ALL.len()];
                    // The second is a repeat, where the first is followed.
                    for _ in 0..2 {
                        trail.refuse(&image, &namespace, reason, Gate::Create);
                        asked += 1;
                    }
                }
                trail.now += SPAN;
                trail.over(Some(trail.now));
                assert!(
                    trail.bytes <= (minute + 1) * MOST_A_MINUTE,
                    "{} bytes after {minute} of {length}",
                    trail.bytes
                );
            }
            assert_eq!(trail.counted, asked, "{length}");
        }
    }
}
