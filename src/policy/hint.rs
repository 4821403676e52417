//! What the author of a refused policy probably meant.
//!
//! A second, loose look at a document that has been refused already: it changes nothing about that, it
//! only finds the words. Knows the shapes that circulate as Binary Authorization policies and are none.

use serde_json::{Map, Value};

use super::maps::Scope;
use crate::document::{self, Format};
use crate::text;

const TOP: &[&str] = &[
    "name",
    "description",
    "globalPolicyEvaluationMode",
    PATTERNS,
    "clusterAdmissionRules",
    "kubernetesNamespaceAdmissionRules",
    "kubernetesServiceAccountAdmissionRules",
    "istioServiceIdentityAdmissionRules",
    DEFAULT,
    "updateTime",
    "etag",
];
const DEFAULT: &str = "defaultAdmissionRule";
const PATTERNS: &str = "admissionWhitelistPatterns";
const REQUIRE: &str = "requireAttestationsBy";
const RULE: &[&str] = &["evaluationMode", REQUIRE, "enforcementMode"];
const SCOPES: [Scope; 4] = [Scope::Cluster, Scope::Namespace, Scope::ServiceAccount, Scope::MeshIdentity];

/// The largest document that is looked at again, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Not even close in spelling, and met all the same.
const ALSO_WRITTEN: &[(&str, &[&str])] = &[
    (PATTERNS, &["whitelistPatterns", "allowlistPatterns", "admissionAllowlistPatterns", "imageAllowlist"]),
    (DEFAULT, &["defaultRule"]),
    ("namePattern", &["pattern", "name"]),
    (REQUIRE, &["attestors", "requiredAttestors", "requireAttestors", "requireAttestations"]),
];

/// What is probably wrong with the shape of a policy.
pub(super) fn of_policy(bytes: &[u8], format: Format) -> Option<String> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    match document::parse(bytes, format).ok()? {
        Value::Object(top) => top.iter().find_map(|(field, value)| of_top(field, value)),
        _ => Some("a policy is one object with `defaultAdmissionRule` in it".to_owned()),
    }
}

/// The end of a message about a value: the one that was meant, or all that may be.
pub(super) fn expected(meant: &Option<&str>, all: &str) -> String {
    meant.map_or_else(|| format!("expected {all}"), |meant| format!("write `{meant}`"))
}

fn of_top(field: &str, value: &Value) -> Option<String> {
    if let Some(known) = spelled(field, TOP) {
        return match SCOPES.into_iter().find(|scope| scope.field() == known) {
            Some(scope) => of_map(scope, value),
            None if known == DEFAULT => of_rule(DEFAULT, value),
            None if known == PATTERNS => of_patterns(value),
            None => None,
        };
    }
    match field {
        "apiVersion" | "kind" | "metadata" | "spec" => Some(format!(
            "`{field}`: the document is the bare Policy: move what is under `spec` to the top, without \
             `apiVersion`, `kind` and `metadata`"
        )),
        "gkePolicy" | "gke_policy" => {
            Some(format!("`{field}`: this is a platform policy: name it as `platform_policy`"))
        }
        "userOwnedGrafeasNote" | "user_owned_grafeas_note" => {
            Some(format!("`{field}`: this is an attestor: put it into the folder of attestors"))
        }
        "digests" => Some(format!(
            "`{field}`: this is a deny list or a system policy: name it as `deny_list` or `system_policy`"
        )),
        _ if spelled(field, RULE).is_some() => {
            Some(format!("`{field}` belongs to a rule: indent it under `{DEFAULT}`"))
        }
        _ => misspelled("", field, TOP),
    }
}

fn of_map(scope: Scope, value: &Value) -> Option<String> {
    let field = scope.field();
    match value {
        Value::Object(rules) => {
            rules.iter().find_map(|(key, rule)| of_rule(&format!("{field}[{}]", text::shown(key, 120)), rule))
        }
        Value::Null => None,
        _ => Some(format!("{field}: expected a map of rules, whose keys are {}", scope.form())),
    }
}

fn of_rule(place: &str, rule: &Value) -> Option<String> {
    let rule = match rule {
        Value::Object(rule) => rule,
        Value::Null => return None,
        _ => return Some(format!("{place}: expected one rule, an object with `evaluationMode`")),
    };
    rule.iter().find_map(|(field, value)| match spelled(field, RULE) {
        Some(REQUIRE) if !value.is_array() && !value.is_null() => {
            Some(format!("{place}.{REQUIRE}: expected a list, such as [projects/PROJECT/attestors/ID]"))
        }
        Some(_) => None,
        None => misspelled(&format!("{place}."), field, RULE),
    })
}

fn of_patterns(patterns: &Value) -> Option<String> {
    let of_pattern = |(index, pattern): (usize, &Value)| match pattern {
        Value::Object(pattern) => {
            let place = format!("{PATTERNS}[{index}].");
            Map::keys(pattern).find_map(|field| misspelled(&place, field, &["namePattern"]))
        }
        _ => Some(format!("{PATTERNS}[{index}]: expected an object: put `namePattern:` before the pattern")),
    };
    match patterns {
        Value::Array(patterns) => patterns.iter().enumerate().find_map(of_pattern),
        Value::Null => None,
        _ => Some(format!("{PATTERNS}: expected a list of objects with `namePattern`")),
    }
}

/// The field that `written` is, in either spelling of it.
fn spelled(written: &str, fields: &[&'static str]) -> Option<&'static str> {
    fields.iter().copied().find(|field| written == *field || written == snake(field))
}

fn snake(field: &str) -> String {
    let mut text = String::with_capacity(field.len() + 4);
    for c in field.chars() {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn misspelled(place: &str, written: &str, fields: &[&'static str]) -> Option<String> {
    if spelled(written, fields).is_some() {
        return None;
    }
    let means = |field: &&'static str| {
        let others = ALSO_WRITTEN.iter().filter(|(known, _)| known == field).flat_map(|(_, others)| *others);
        others.copied().any(|other| written == other || written == snake(other))
    };
    let meant = fields.iter().copied().find(means).or_else(|| closest(written, fields))?;
    Some(format!("{place}{}: no such field: write `{meant}`", text::shown(written, 60)))
}

/// The field or mode that `written` is a slip of the pen for: at most one letter in five, three in all.
pub(super) fn closest(written: &str, fields: &[&'static str]) -> Option<&'static str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    if written.len() > 64 {
        return None;
    }
    let apart = |field: &'static str| (distance(&plain(written), &plain(field)), field);
    let (distance, field) = fields.iter().copied().map(apart).min()?;
    (distance <= (field.len() / 5).min(3)).then_some(field)
}

/// Levenshtein's, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (1..=b.chars().count()).collect();
    for (before, x) in a.chars().enumerate() {
        let (mut diagonal, mut left) = (before, before + 1);
        for (cell, y) in row.iter_mut().zip(b.chars()) {
            let best = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
    }
    row.last().copied().unwrap_or(a.chars().count())
}

#[cfg(test)]
mod tests {
    #[test]
    fn slips_of_the_pen() {
        let rows = [
            ("defaultAdmissionRules", Some("defaultAdmissionRule")),
            ("DefaultAdmissionRule", Some("defaultAdmissionRule")),
            ("default-admission-rule", Some("defaultAdmissionRule")),
            ("nmae", None),
            ("Name", Some("name")),
            ("", None),
            ("foo", None),
        ];
        for (written, field) in rows {
            assert_eq!(super::closest(written, super::TOP), field, "{written}");
        }
        for (a, b, apart) in [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3)] {
            assert_eq!(super::distance(a, b), apart, "{a} {b}");
        }
    }
}
