//! Folds repeats of one refusal: the first is written in full, those of the minute behind it are counted.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::record::{Gate, Record};

/// How long repeats are counted before they are written.
pub(super) const SPAN: Duration = Duration::from_secs(60);
/// Refusals that are followed at a time; while there are more, the others are each written in full.
const MOST: usize = 1_024;
/// What a `repeats` record has in common with the decision it repeats.
const COMMON: &[&str] =
    &["gate", "verdict", "would", "enforced", "reason", "rule", "message", "image", "digest", "container"];

#[derive(Debug, Default)]
pub(super) struct Fold(HashMap<String, Repeated>);

#[derive(Debug)]
struct Repeated {
    until: Instant,
    /// Of the first repeat; none before there is one.
    since: Option<SystemTime>,
    count: u64,
    common: Map<String, Value>,
}

impl Fold {
    /// Whether `record` repeats a refusal of this minute, and is counted.
    pub(super) fn takes(&mut self, record: &Record<'_>, now: Instant) -> bool {
        let Some(key) = key(record) else { return false };
        if let Some(one) = self.0.get_mut(&key) {
            if one.since.is_none() {
                (one.since, one.common) = (Some(record.time), common(record));
            }
            one.count += 1;
            return true;
        }
        if self.0.len() < MOST {
            let (until, common) = (now + SPAN, Map::new());
            self.0.insert(key, Repeated { until, since: None, count: 0, common });
        }
        false
    }

    /// The `repeats` records of what is over at `now`; without a time, of everything.
    pub(super) fn over(&mut self, now: Option<Instant>) -> Vec<Value> {
        let over = |one: &Repeated| now.is_none_or(|now| one.until <= now);
        self.0.extract_if(|_, one| over(one)).filter_map(|(_, one)| one.told()).collect()
    }
}

impl Repeated {
    fn told(self) -> Option<Value> {
        let since = humantime::format_rfc3339_millis(self.since?).to_string();
        let mut told = self.common;
        told.insert("count".to_owned(), json!(self.count));
        told.insert("since".to_owned(), json!(since));
        Some(Value::Object(told))
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

fn common(record: &Record<'_>) -> Map<String, Value> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(record) else { return Map::new() };
    members.retain(|name, _| COMMON.contains(&name.as_str()));
    if let Some(place) = members.get_mut("container").and_then(Value::as_object_mut) {
        place.retain(|name, _| name == "namespace" || name == "podNamespace");
    }
    members
}
