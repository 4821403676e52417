//! `status`: what the daemon tells of itself. JSON and YAML hold all of it, the table what a person
//! looks for first.

use serde_json::Value;

use super::Context;
use super::daemon;
use super::error::{CliError, Outcome};
use super::output::{Answer, fields, table};

pub(super) fn status(context: &Context) -> Result<Answer, CliError> {
    let value = daemon::status(&context.defaults.admin_socket())?;
    context.answer(Outcome::Fine, &value, || overview(&value))
}

fn overview(status: &Value) -> String {
    let of = |pointer: &str| text(status, pointer);
    let mut lines = vec![
        ("binauthd", format!("{}, pid {}, up {} s", of("/version"), of("/pid"), of("/uptimeSeconds"))),
        ("policy", policy(status)),
        ("policy bundle", bundle(status)),
        ("key ring", of("/keyRing/version")),
        (
            "evidence",
            format!(
                "{} attestations on file, read {} s ago",
                of("/evidence/disk/rows"),
                of("/evidence/ageSeconds")
            ),
        ),
        (
            "audit",
            format!(
                "{}: {} written, {} folded, {} lost",
                of("/audit/file"),
                of("/audit/written"),
                of("/audit/folded"),
                of("/audit/lost")
            ),
        ),
        ("containerd", containerd(status)),
        ("create gate", create_gate(status)),
        ("last reload error", last_error(status)),
    ];
    lines.extend(list(status, "/alarms").iter().map(|alarm| ("ALARM", text(alarm, ""))));
    let attestors = list(status, "/keyRing/attestors").iter().map(|attestor| {
        let state = if text(attestor, "/ambiguous") == "true" { "defined more than once" } else { "" };
        vec![text(attestor, "/name"), text(attestor, "/keys"), state.to_owned()]
    });
    let documents = list(status, "/documents").iter().map(|document| {
        ["/name", "/state", "/version", "/loaded", "/path"].map(|pointer| text(document, pointer)).to_vec()
    });
    let documents = table(&["DOCUMENT", "STATE", "VERSION", "SINCE", "FILE"], documents.collect());
    let sources = list(status, "/sources").iter().map(|source| {
        let place = text(source, "/path") + &text(source, "/url");
        let columns = ["/name", "/attestations", "/refused", "/ageSeconds"];
        columns.map(|pointer| text(source, pointer)).into_iter().chain([place]).collect()
    });
    let gates = status.get("gates").and_then(Value::as_object).into_iter().flatten().map(|(name, gate)| {
        let counts = ["/allowed", "/denied", "/undecidable", "/dryRun", "/breakGlass", "/unanswered"]
            .map(|pointer| text(gate, pointer));
        [name.clone()].into_iter().chain(counts).collect()
    });
    let documents = (!list(status, "/documents").is_empty()).then_some(documents);
    let tables = [
        table(&["ATTESTOR", "KEYS", "STATE"], attestors.collect()),
        table(&["SOURCE", "ATTESTATIONS", "REFUSED", "AGE (S)", "PLACE"], sources.collect()),
        table(
            &["GATE", "ALLOWED", "DENIED", "UNDECIDABLE", "DRY RUN", "BREAK-GLASS", "UNANSWERED"],
            gates.collect(),
        ),
    ];
    [fields(&lines)].into_iter().chain(documents).chain(tables).collect::<Vec<_>>().join("\n")
}

fn policy(status: &Value) -> String {
    let of = |pointer: &str| text(status, pointer);
    match of("/policy/version").as_str() {
        "" => format!("none in force: {}", of("/policy/problem")),
        version => format!(
            "{version} ({}, {} since {}): {}, {} other rules, {} patterns",
            of("/policy/path"),
            of("/policy/state"),
            of("/policy/loaded"),
            of("/policy/defaultRule"),
            of("/policy/rules"),
            of("/policy/patterns")
        ),
    }
}

fn bundle(status: &Value) -> String {
    let of = |pointer: &str| text(status, pointer);
    if of("/bundle/from").is_empty() {
        return String::new();
    }
    let fetched = match of("/bundle/fetchedSecondsAgo").as_str() {
        "" => "not looked for yet".to_owned(),
        seconds => format!("looked for {seconds} s ago"),
    };
    let left = list(status, "/bundle/leftAside").iter().map(|path| text(path, ""));
    let left: Vec<_> = left.collect();
    let aside = if left.is_empty() { String::new() } else { format!("; left aside: {}", left.join(", ")) };
    let place = format!("project {} from {}, {fetched}{aside}", of("/bundle/project"), of("/bundle/from"));
    match of("/bundle/version").as_str() {
        "" => format!("none in force: {place}"),
        version => {
            let until = if of("/bundle/expired") == "true" { "expired at" } else { "until" };
            format!("{version}, {until} {}: {place}", of("/bundle/expires"))
        }
    }
}

fn containerd(status: &Value) -> String {
    let of = |pointer: &str| text(status, pointer);
    match (of("/containerd/version"), of("/containerd/verifierPlugin").as_str()) {
        (version, _) if version.is_empty() => format!("no answer on {}", of("/containerd/address")),
        (version, "true") => format!("{version}, image-verifier plugin loaded"),
        (version, _) => format!("{version}, image-verifier plugin NOT loaded"),
    }
}

fn create_gate(status: &Value) -> String {
    let asked_by: Vec<_> = list(status, "/create/askedBy").iter().map(|name| text(name, "")).collect();
    match asked_by.as_slice() {
        [] => "not wired: containers are created unasked".to_owned(),
        some => format!("asked by {}", some.join(" and ")),
    }
}

fn last_error(status: &Value) -> String {
    let problems = list(status, "/lastReloadError/problems");
    let problems: Vec<_> = problems.iter().map(|problem| text(problem, "")).collect();
    if problems.is_empty() {
        return String::new();
    }
    format!("{}: {}", text(status, "/lastReloadError/time"), problems.join("; "))
}

/// The value at a JSON pointer as text; empty where there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
