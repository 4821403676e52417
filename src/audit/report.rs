//! What a trail comes to over a span: counted, in memory that does not grow with it.
//!
//! Hours, names and images are told apart up to a bound each; what is beyond it is counted together, and said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use super::blocked::{Collected, WouldBlock};
use super::trail::{Entry, Filter, Lines};

/// Namespaces, reasons, rules, keys and grants that are told apart.
pub const MOST_NAMES: usize = 1_000;
/// Changes, gaps and violations that are told in full: the newest.
pub const MOST_TOLD: usize = 500;
/// Hours that are told apart: more than two years.
const MOST_HOURS: usize = 20_000;
const HOUR: u64 = 60 * 60;
/// Beyond so many hours a bucket is a day.
const HOURS_SHOWN: u64 = 72;

/// Decisions, by what came of them. Each is counted once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Allowed by what is in force.
    pub allowed: u64,
    /// Let through, and would be refused: dry run, or break-glass.
    pub would_block: u64,
    /// Refused.
    pub refused: u64,
}

/// Counts by a name, the most frequent first.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Names {
    /// Name and counts.
    pub named: Vec<(String, Counts)>,
    /// Those beyond [`MOST_NAMES`].
    pub beyond: u64,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The first line, RFC 3339; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Lines that were counted.
    pub lines: u64,
    /// What was no line of a trail.
    pub passed_over: u64,
    /// Decisions at gates.
    pub decisions: Counts,
    /// Of those let through: by break-glass, and because nobody answered a gate that observes.
    pub by_break_glass: u64,
    /// The latter.
    pub unanswered: u64,
    /// Containers that started unasked.
    pub ungated: u64,
    /// Connections to sockets that ended without a decision.
    pub unserved: u64,
    /// How often the canary was refused; it is in no other count.
    pub canaries: u64,
    /// How long a bucket is, in seconds.
    pub bucket_seconds: u64,
    /// Decisions over time: the bucket's start (RFC 3339), and its counts. Those without any are left out.
    pub over_time: Vec<(String, Counts)>,
    /// By gate.
    pub gates: Names,
    /// By the pod's namespace; pulls have none.
    pub namespaces: Names,
    /// By reason.
    pub reasons: Names,
    /// By rule.
    pub rules: Names,
    /// By attestor that was satisfied.
    pub attestors: Names,
    /// By key whose signature counted.
    pub keys: Names,
    /// By break-glass grant.
    pub grants: Names,
    /// What would be blocked, or was.
    pub would_block: WouldBlock,
    /// Containers that run and would not be allowed to: how many records, and the newest.
    pub violations: (u64, VecDeque<Value>),
    /// Changes of what decides: how many, and the newest.
    pub changes: (u64, VecDeque<Value>),
    /// Where lines are missing, by the trail's own word: gaps, torn and pruned lines.
    pub gaps: (u64, VecDeque<Value>),
}

/// Counts the lines of the trail whose newest file is `file` that `filter` takes.
///
/// # Errors
/// Where the trail cannot be read.
pub fn report(file: &Path, filter: &Filter) -> io::Result<Report> {
    let mut count = Count::default();
    let mut lines = Lines::of(file)?;
    while let Some(entry) = lines.next_entry()? {
        if filter.takes(&entry) {
            count.take(entry);
        }
    }
    Ok(count.end(lines.passed_over))
}

#[derive(Default)]
struct Count {
    report: Report,
    span: Option<(SystemTime, SystemTime)>,
    hours: BTreeMap<u64, Counts>,
    names: BTreeMap<&'static str, Tally>,
    blocked: Collected,
}

#[derive(Default)]
struct Tally {
    named: BTreeMap<String, Counts>,
    beyond: u64,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.allowed + self.would_block + self.refused
    }

    fn add(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.would_block += other.would_block;
        self.refused += other.refused;
    }

    fn of(entry: &Entry) -> Self {
        let count = entry.count();
        match (entry.text("/verdict"), entry.text("/would")) {
            ("ALLOW", "ALLOW" | "") => Self { allowed: count, ..Self::default() },
            ("ALLOW", _) => Self { would_block: count, ..Self::default() },
            _ => Self { refused: count, ..Self::default() },
        }
    }
}

impl Count {
    fn take(&mut self, entry: Entry) {
        self.report.lines += 1;
        let (first, last) = self.span.unwrap_or((entry.time, entry.time));
        self.span = Some((first.min(entry.time), last.max(entry.time)));
        match entry.kind() {
            _ if entry.is_of_decisions() && entry.text("/gate") == "running" => {
                keep(&mut self.report.violations, entry);
            }
            // It is shown to prove that it is refused, and is nobody's.
            _ if entry.is_of_decisions() && entry.text("/reason") == "CANARY" => {
                self.report.canaries += entry.count();
            }
            _ if entry.is_of_decisions() => self.decision(&entry),
            "change" => keep(&mut self.report.changes, entry),
            "unserved" => self.report.unserved += entry.count(),
            "gap" | "torn" | "pruned" => keep(&mut self.report.gaps, entry),
            _ => {}
        }
    }

    fn decision(&mut self, entry: &Entry) {
        let counts = Counts::of(entry);
        self.report.decisions.add(counts);
        let hour = entry.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / HOUR;
        if self.hours.len() < MOST_HOURS || self.hours.contains_key(&hour) {
            self.hours.entry(hour).or_default().add(counts);
        }
        match entry.text("/reason") {
            "BREAK_GLASS" => self.report.by_break_glass += entry.count(),
            "UNANSWERED" => self.report.unanswered += entry.count(),
            "UNGATED_START" => self.report.ungated += entry.count(),
            _ => {}
        }
        for (of, pointer) in [
            ("gate", "/gate"),
            ("namespace", "/container/podNamespace"),
            ("reason", "/reason"),
            ("rule", "/rule"),
            ("grant", "/breakGlass/serial"),
        ] {
            self.name(of, entry.text(pointer), counts);
        }
        let attestors = entry.value.get("attestors").and_then(Value::as_array);
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for attestor in attestors.into_iter().flatten() {
            let of = |key: &str| attestor.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            if attestor.get("satisfied").and_then(Value::as_bool) == Some(true) {
                names.insert(of("name"));
                keys.insert(of("keyId"));
            }
        }
        names.iter().for_each(|name| self.name("attestor", name, counts));
        keys.iter().for_each(|key| self.name("key", key, counts));
        self.blocked.take(entry);
    }

    fn name(&mut self, of: &'static str, name: &str, counts: Counts) {
        if name.is_empty() {
            return;
        }
        let tally = self.names.entry(of).or_default();
        let is_full = tally.named.len() >= MOST_NAMES;
        match tally.named.get_mut(name) {
            Some(found) => found.add(counts),
            None if is_full => tally.beyond += counts.all(),
            None => {
                tally.named.insert(name.to_owned(), counts);
            }
        }
    }

    fn end(mut self, passed_over: u64) -> Report {
        let mut names = |of: &str| {
            let tally = self.names.remove(of).unwrap_or_default();
            let mut named: Vec<_> = tally.named.into_iter().collect();
            named.sort_by(|one, other| other.1.all().cmp(&one.1.all()).then(one.0.cmp(&other.0)));
            Names { named, beyond: tally.beyond }
        };
        let mut report = Report {
            gates: names("gate"),
            namespaces: names("namespace"),
            reasons: names("reason"),
            rules: names("rule"),
            attestors: names("attestor"),
            keys: names("key"),
            grants: names("grant"),
            passed_over,
            would_block: self.blocked.end(),
            ..self.report
        };
        let span =
            self.hours.keys().next_back().zip(self.hours.keys().next()).map(|(last, first)| last - first);
        let hours = if span.unwrap_or_default() > HOURS_SHOWN { 24 } else { 1 };
        report.bucket_seconds = hours * HOUR;
        let mut buckets: BTreeMap<u64, Counts> = BTreeMap::new();
        for (hour, counts) in self.hours {
            buckets.entry(hour / hours * hours).or_default().add(counts);
        }
        let start = |hour: u64| UNIX_EPOCH + Duration::from_secs(hour * HOUR);
        report.over_time = buckets.into_iter().map(|(hour, counts)| (rfc3339(start(hour)), counts)).collect();
        report.first = self.span.map(|(first, _)| rfc3339(first));
        report.last = self.span.map(|(_, last)| rfc3339(last));
        report
    }
}

fn keep(kept: &mut (u64, VecDeque<Value>), entry: Entry) {
    kept.0 += entry.count();
    if kept.1.len() >= MOST_TOLD {
        kept.1.pop_front();
    }
    kept.1.push_back(entry.value);
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_decision_is_counted_once_and_where_it_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.jsonl");
        let of = |hour: u32, rest: &str| format!("{{\"time\":\"2026-11-26T{hour:02}:30:00Z\",{rest}}}\n");
        let decision = |verdict: &str, would: &str, reason: &str, more: &str| {
            format!(
                "\"kind\":\"decision\",\"gate\":\"create\",\"verdict\":\"{verdict}\",\"would\":\"{would}\",\"reason\":\"{reason}\",\
                 \"rule\":\"default\",\"image\":\"a\"{more}"
            )
        };
        let shop = ",\"container\":{\"podNamespace\":\"shop\"}";
        let attested = ",\"attestors\":[{\"name\":\"qa\",\"satisfied\":true,\"keyId\":\"k\"},{\"name\":\"no\",\"satisfied\":false}]";
        let text = [
            of(1, &decision("ALLOW", "ALLOW", "ATTESTED", attested)),
            of(1, &decision("ALLOW", "DENY", "NO_ATTESTATION", shop)),
            of(2, &decision("DENY", "DENY", "NO_ATTESTATION", shop)),
            of(
                2,
                &decision("DENY", "DENY", "NO_ATTESTATION", ",\"count\":4")
                    .replace("\"decision\"", "\"repeats\""),
            ),
            of(2, &decision("CANNOT_DECIDE", "CANNOT_DECIDE", "POLICY_MISSING", "")),
            of(3, &decision("ALLOW", "DENY", "BREAK_GLASS", ",\"breakGlass\":{\"serial\":\"s\"}")),
            of(3, &decision("ALLOW", "DENY", "NO_ATTESTATION", "").replace("create", "running")),
            of(4, "\"kind\":\"change\",\"what\":\"policy\""),
            of(4, "\"kind\":\"gap\",\"lost\":3"),
            "torn\n".to_owned(),
        ]
        .concat();
        fs::write(&file, text).unwrap();
        let found = report(&file, &Filter::default()).unwrap();
        assert_eq!(found.decisions, Counts { allowed: 1, would_block: 2, refused: 6 });
        assert_eq!((found.lines, found.passed_over, found.by_break_glass), (9, 1, 1));
        assert_eq!((found.violations.0, found.changes.0, found.gaps.0), (1, 1, 1));
        let hours: Vec<_> =
            found.over_time.iter().map(|(hour, counts)| (hour.as_str(), counts.all())).collect();
        assert_eq!(
            hours,
            [("2026-11-26T01:00:00Z", 2), ("2026-11-26T02:00:00Z", 6), ("2026-11-26T03:00:00Z", 1)]
        );
        assert_eq!(
            found.namespaces.named,
            [("shop".to_owned(), Counts { would_block: 1, refused: 1, allowed: 0 })]
        );
        assert_eq!(found.attestors.named.len() + found.keys.named.len(), 2);
        assert_eq!(found.grants.named[0].0, "s");
        assert_eq!(
            (found.first.as_deref(), found.last.as_deref()),
            (Some("2026-11-26T01:30:00Z"), Some("2026-11-26T04:30:00Z"))
        );
        assert_eq!(found.would_block.images.len(), 2);
    }
}
