//! What the audit trail says of a container that runs and would not be allowed to now: the entry of
//! continuous validation (`ContinuousValidationEvent`, binauthz log `continuous_validation`), for one container.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::record::Place;
use crate::decision::{Conformance, Decision, Verdict};

const EVENT: &str = "type.googleapis.com/google.cloud.binaryauthorization.v1beta1.ContinuousValidationEvent";

/// A container that violates what is in force.
#[derive(Debug, Clone, Copy)]
pub struct Violation<'a> {
    /// Which container.
    pub place: &'a Place,
    /// What is held against it.
    pub verdict: &'a Verdict,
    /// Its kind, as a pod lists it.
    pub kind: Kind,
    /// When it was made.
    pub deployed: Option<SystemTime>,
}

/// In which list of its pod a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// `containers`; also what is not known to be another.
    Container,
    /// `initContainers`.
    InitContainer,
    /// `ephemeralContainers`.
    EphemeralContainer,
}

impl Violation<'_> {
    /// The `jsonPayload` of the entry.
    #[must_use]
    pub fn payload(&self) -> Value {
        let Self { place, verdict, kind, deployed } = self;
        let failed = verdict.checks.iter().filter(|check| check.verdict == Conformance::NonConformant);
        let checks: Vec<_> = failed
            .map(|check| {
                json!({
                    "checkSetIndex": index_in(&check.place, "checkSets["),
                    "checkIndex": index_in(&check.place, "checks["),
                    "checkName": check.display_name,
                    "checkType": check.kind,
                    "verdict": "NON_CONFORMANT",
                    "explanation": check.explanation,
                })
            })
            .collect();
        let mut image = json!({
            "image": verdict.image,
            "containerName": place.name,
            "containerType": kind,
            "result": "DENY",
            "description": verdict.message,
        });
        let mut event = json!({
            "podNamespace": place.pod_namespace,
            "pod": place.pod,
            "verdict": "VIOLATES_POLICY",
        });
        if let (false, Some(image)) = (checks.is_empty(), image.as_object_mut()) {
            image.insert("checkResults".to_owned(), checks.into());
        }
        if let Some(event) = event.as_object_mut() {
            if let Some(deployed) = deployed {
                let time = humantime::format_rfc3339_seconds(*deployed).to_string();
                event.insert("deployTime".to_owned(), time.into());
            }
            event.insert("policyName".to_owned(), verdict.rule.clone().into());
            event.insert("images".to_owned(), vec![image].into());
        }
        json!({"@type": EVENT, "podEvent": event})
    }

    /// Whether there is anything to tell: of what may run there is not.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.verdict.would != Decision::Allow
    }
}

/// The number behind `mark` in a place such as `checkSets[0].checks[1]`, as text: so the entry has it.
fn index_in(place: &str, mark: &str) -> String {
    let digits = place.split_once(mark).map_or("", |(_, rest)| rest);
    digits.chars().take_while(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;

    #[test]
    fn the_entry_of_continuous_validation() {
        let verdict = Verdict::refused("r.io/a:1", None, Reason::HostAccess, "why", "");
        let place = Place {
            name: "web".into(),
            pod_namespace: "shop".into(),
            pod: "web-1".into(),
            ..Place::default()
        };
        let deployed = Some(SystemTime::UNIX_EPOCH);
        let violation = Violation { place: &place, verdict: &verdict, kind: Kind::InitContainer, deployed };
        assert!(violation.is_one());
        assert_eq!(
            violation.payload(),
            json!({"@type": EVENT, "podEvent": {
                "podNamespace": "shop", "pod": "web-1", "policyName": "none",
                "deployTime": "1970-01-01T00:00:00Z", "verdict": "VIOLATES_POLICY",
                "images": [{"image": "r.io/a:1", "containerName": "web", "containerType": "INIT_CONTAINER",
                    "result": "DENY", "description": "Image r.io/a:1 refused by Binary Authorization: why"}]}})
        );
    }

    #[test]
    fn places_have_numbers() {
        let place = "checkSets[12].checks[3]";
        assert_eq!((index_in(place, "checkSets["), index_in(place, "checks[")), ("12".into(), "3".into()));
        assert_eq!(index_in("none", "checks["), "");
    }
}
