//! Folds refusals, so that whoever has many things refused writes no more than a bound.
//!
//! The first of each is written in full, and repeats of it within the minute behind it are counted, as long as there are
//! not too many that are followed at a time: 1,024, whose lines take 256 KiB together. Half of that is for the creation of
//! containers and a quarter each for pulls and for pods, and no namespace takes more than an eighth of such a part, but for its first: nobody
//! makes the trail forget what is refused to others. Pulls are of no namespace. While there are more, the others are
//! counted by gate, outcome, reason and namespace, 248 of these at a time, and beyond that by outcome alone; of each
//! there is told which image was the first and which the last.
//!
//! So refusals take **at most 1 MiB of the trail in a minute**, whatever is refused: 256 KiB in full, as much again for
//! their repeats, and 256 summaries of at most 2 KiB. What older lines tell is not pushed out of the trail sooner than in
//! `keep_bytes` divided by that: of 1 GiB in 17 hours. What is counted is told once its minute is over, or when the daemon
//! stops: one that is killed loses the counts of up to 60 s, and nothing else is missing in them. Allowances, break-glass
//! and dry run among them, changes, and what is found running, are never folded.

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
/// A namespace has such a part of what its gate has.
const OF_A_NAMESPACE: usize = 8;
/// Groups of the others that are counted apart at a time.
const GROUPS: usize = 248;
/// What the line of a group takes at most, in bytes.
#[cfg(test)]
const MOST_OF_A_GROUP: usize = 2 * 1024;
/// The longest namespace that is told of such a group, in bytes. Kubernetes has 63.
const MAX_NAMESPACE: usize = 128;
/// The longest name of an image that is told of it, in bytes.
const MAX_IMAGE: usize = 200;
/// What a `repeats` record has in common with the decision it repeats.
const COMMON: &[&str] =
    &["gate", "verdict", "would", "enforced", "reason", "rule", "message", "image", "digest", "container"];

/// The most that refusals add to the trail within a minute, in bytes.
#[cfg(test)]
pub(super) const MOST_A_MINUTE: usize = 2 * MOST_BYTES + (GROUPS + 8) * MOST_OF_A_GROUP;

#[derive(Debug, Default)]
pub(super) struct Fold {
    followed: HashMap<String, Repeated>,
    /// What these take of the part of their gate, and of their namespace in it.
    gates: HashMap<Gate, Room>,
    namespaces: HashMap<Share, Room>,
    groups: HashMap<Group, Counted>,
}

/// Refusals that are followed, and what their lines take in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Room {
    lines: usize,
    bytes: usize,
}

/// Whose refusals they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Share {
    gate: Gate,
    namespace: String,
}

#[derive(Debug)]
struct Repeated {
    until: Instant,
    share: Share,
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
    /// The first image, and the last.
    first: Value,
    last: Value,
}

/// A line that is written when a minute is over.
#[derive(Debug, PartialEq)]
pub(super) struct Over {
    pub(super) kind: &'static str,
    /// How many refusals it tells of.
    pub(super) count: u64,
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
        let share = Share { gate: record.gate, namespace: namespace(record) };
        if self.has_room(&share, bytes) {
            let (until, common) = (now + SPAN, Map::new());
            self.gates.entry(share.gate).or_default().add(bytes);
            self.namespaces.entry(share.clone()).or_default().add(bytes);
            self.followed.insert(key, Repeated { until, share, bytes, since: None, count: 0, common });
            return false;
        }
        self.count(record, now);
        true
    }

    /// Whether one more, whose lines take so many bytes, may be followed. The first of a namespace may take more than its part.
    fn has_room(&self, share: &Share, bytes: usize) -> bool {
        let of_gate = self.gates.get(&share.gate).copied().unwrap_or_default();
        let of_namespace = self.namespaces.get(share).copied().unwrap_or_default();
        let is_first = of_namespace == Room::default();
        of_gate.has(Room::of(share.gate), bytes)
            && (is_first || of_namespace.has(Room::of_namespace(share.gate), bytes))
    }

    fn count(&mut self, record: &Record<'_>, now: Instant) {
        let mut group = Group::of(record);
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&group) {
            // Of these there are no more than pairs of outcomes.
            group.told = None;
        }
        let image = image(record);
        let new = || {
            let (first, last) = (image.clone(), Value::Null);
            Counted { until: now + SPAN, since: record.time, count: 0, first, last }
        };
        let counted = self.groups.entry(group).or_insert_with(new);
        (counted.count, counted.last) = (counted.count + 1, image);
    }

    /// The lines of what is over at `now`; without a time, of everything.
    pub(super) fn over(&mut self, now: Option<Instant>) -> Vec<Over> {
        let over = |until: Instant| now.is_none_or(|now| until <= now);
        let followed: Vec<_> = self.followed.extract_if(|_, one| over(one.until)).collect();
        for (_, Repeated { share, bytes, .. }) in &followed {
            if let Some(room) = self.gates.get_mut(&share.gate) {
                room.remove(*bytes);
            }
            if let Some(room) = self.namespaces.get_mut(share) {
                room.remove(*bytes);
            }
        }
        self.namespaces.retain(|_, room| room.lines > 0);
        let repeats = followed.into_iter().filter_map(|(_, one)| one.told());
        let groups = self.groups.extract_if(|_, one| over(one.until));
        repeats.chain(groups.map(|(group, counted)| group.told(counted))).collect()
    }
}

impl Room {
    /// What a gate has.
    const fn of(gate: Gate) -> Self {
        let part = match gate {
            Gate::Create => 2,
            Gate::Pull | Gate::Pod | Gate::Running => 4,
        };
        Self { lines: MOST / part, bytes: MOST_BYTES / part }
    }

    /// What a namespace has of that. Where none is known, all of them are that one.
    const fn of_namespace(gate: Gate) -> Self {
        let Self { lines, bytes } = Self::of(gate);
        match gate {
            Gate::Pull => Self { lines, bytes },
            _ => Self { lines: lines / OF_A_NAMESPACE, bytes: bytes / OF_A_NAMESPACE },
        }
    }

    const fn has(self, most: Self, bytes: usize) -> bool {
        self.lines < most.lines && self.bytes.saturating_add(bytes) <= most.bytes
    }

    const fn add(&mut self, bytes: usize) {
        self.lines += 1;
        self.bytes += bytes;
    }

    const fn remove(&mut self, bytes: usize) {
        self.lines -= 1;
        self.bytes -= bytes;
    }
}

impl Repeated {
    fn told(self) -> Option<Over> {
        let since = humantime::format_rfc3339_millis(self.since?).to_string();
        let mut told = self.common;
        told.insert("count".to_owned(), json!(self.count));
        told.insert("since".to_owned(), json!(since));
        Some(Over { kind: "repeats", count: self.count, rest: Value::Object(told) })
    }
}

impl Group {
    fn of(record: &Record<'_>) -> Self {
        let verdict = record.verdict;
        let told = Some((record.gate, verdict.reason, namespace(record)));
        Self { verdict: verdict.verdict, would: verdict.would, told }
    }

    fn told(self, counted: Counted) -> Over {
        let since = humantime::format_rfc3339_millis(counted.since).to_string();
        let mut members = Map::new();
        let mut tell = |name: &str, value| members.insert(name.to_owned(), value);
        tell("verdict", json!(self.verdict));
        tell("would", json!(self.would));
        tell("count", json!(counted.count));
        tell("since", json!(since));
        tell("message", json!(format!("{} further refusals, which are only counted", counted.count)));
        tell("first", counted.first);
        tell("last", counted.last);
        if let Some((gate, reason, namespace)) = self.told {
            tell("gate", json!(gate));
            tell("reason", json!(reason));
            if !namespace.is_empty() {
                tell("container", json!({"podNamespace": namespace}));
            }
        }
        Over { kind: "summary", count: counted.count, rest: Value::Object(members) }
    }
}

/// Of the pod, cut to a bound; empty where there is none.
fn namespace(record: &Record<'_>) -> String {
    let namespace = record.container.map_or("", |place| &place.pod_namespace);
    cut(&shown(namespace, MAX_NAMESPACE), MAX_NAMESPACE).to_owned()
}

/// Which image it is about, cut to a bound.
fn image(record: &Record<'_>) -> Value {
    let image = shown(&record.verdict.image, MAX_IMAGE);
    let mut told = Map::from_iter([("image".to_owned(), json!(cut(&image, MAX_IMAGE)))]);
    if let Some(digest) = &record.verdict.digest {
        told.insert("digest".to_owned(), json!(digest));
    }
    Value::Object(told)
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
    use crate::image::Digest;

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
            let digest = (image.len() > 100).then(|| Digest::of(image.as_bytes()));
            let verdict = Verdict::refused(image, digest, reason, "cause", "");
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
                assert_eq!(one.rest["count"], one.count);
                if one.kind == "summary" {
                    let length = one.rest.to_string().len() + 256;
                    assert!(length <= MOST_OF_A_GROUP, "{length}: {}", one.rest);
                }
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
    fn nobody_makes_the_trail_forget_what_is_refused_to_others() {
        let mut trail = trail();
        for number in 0..10_000 {
            let image = number.to_string();
            trail.refuse(&image, "hostile", Reason::DenyListed, Gate::Create);
            trail.refuse(&image, "hostile", Reason::DenyListed, Gate::Pod);
            trail.refuse(&image, "", Reason::DenyListed, Gate::Pull);
        }
        let taken = trail.lines;
        assert!(trail.bytes <= MOST_BYTES / 2, "{}", trail.bytes);
        for (namespace, gate) in [("shop", Gate::Create), ("shop", Gate::Pod), ("bank", Gate::Create)] {
            (0..8).for_each(|image| trail.refuse(&image.to_string(), namespace, Reason::DenyListed, gate));
        }
        assert_eq!(trail.lines, taken + 3 * 8, "in full");
        let long = format!("r.example/{}", "x".repeat(MOST_BYTES / 2 / OF_A_NAMESPACE));
        trail.refuse(&long, "long", Reason::DenyListed, Gate::Create);
        assert_eq!(trail.lines, taken + 3 * 8 + 1, "the first, however long");
        let over = trail.over(None);
        assert!(over.iter().all(|one| one.kind == "summary" && one.rest["last"]["image"] == "9999"));
        assert_eq!((over.len(), trail.counted), (3, 30_025));
        assert_eq!((trail.fold.namespaces.len(), trail.fold.gates[&Gate::Create]), (0, Room::default()));
    }

    #[test]
    fn beyond_the_bound_refusals_are_counted_by_group_and_then_together() {
        const FILLED: usize = 12;
        let mut trail = trail();
        // So that nothing is left of the bound for those behind them.
        (0..MOST).for_each(|number| trail.refuse(&number.to_string(), "", Reason::DenyListed, Gate::Pull));
        let (full, lines) = (trail.bytes, trail.lines);
        assert!(full <= MOST_BYTES / 4 && lines > 300 / 4, "{full} bytes, {lines} lines");
        let further = u64::try_from(MOST - lines).unwrap();
        // What eight namespaces leave, for being no whole line, others take.
        for (namespace, number) in (0..FILLED).flat_map(|namespace| (0..100).map(move |n| (namespace, n))) {
            let (image, namespace) = (number.to_string(), format!("filled-{namespace}"));
            trail.refuse(&image, &namespace, Reason::DenyListed, Gate::Create);
        }
        let (full, lines) = (trail.bytes, trail.lines);
        assert!(full <= MOST_BYTES * 3 / 4 && lines > 300 * 3 / 4, "{full} bytes, {lines} lines");
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
            "first": {"image": "a0"}, "last": {"image": "a9"},
        });
        assert_eq!(of("shop"), shop);
        assert_eq!((&of("")["count"], &of("")["gate"]), (&json!(further), &json!("pull")));
        assert_eq!(of("shop\u{fffd}")["verdict"], "CANNOT_DECIDE");
        let rest: Vec<_> = over.iter().filter(|one| one.rest.get("reason").is_none()).collect();
        let count = FILLED + 3;
        let together = json!({
            "verdict": "DENY", "would": "DENY", "count": count, "since": since,
            "message": format!("{count} further refusals, which are only counted"),
            "first": {"image": "b"}, "last": {"image": "b"},
        });
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
        const { assert!(MOST_A_MINUTE <= 1024 * 1024) };
        for (length, distinct) in [(1, 2_000), (200, 1_000), (4_000, 200), (100_000, 20), (300_000, 4)] {
            let mut trail = trail();
            let mut asked = 0;
            for minute in 0..3 {
                for number in 0..distinct {
                    let image = format!("{minute} {number} {}", "\"".repeat(length));
                    let namespace = format!("{number}{}", "\"n".repeat(500));
                    let reason = Reason::ALL[number % Reason::ALL.len()];
                    // The second is a repeat, where the first is followed.
                    for gate in [Gate::Create, Gate::Pull, Gate::Pod] {
                        (0..2).for_each(|_| trail.refuse(&image, &namespace, reason, gate));
                        asked += 2;
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
