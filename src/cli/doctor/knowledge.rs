//! What the node decides from: policy, attestors, sources, what it remembers.

use serde_json::Value;

use super::Patient;
use super::item::Items;
use crate::cli::policy::{self, Warning};
use crate::document::Format;
use crate::policy::SystemPolicy;

/// Kinds of alarms of the daemon, each with what is wrong then and what to do.
const ALARMS: &[(&str, &str, bool, &str)] = &[
    // The alarm's kind, the item, whether it is broken, what to do.
    ("documents", "documents", true, "mend the file: until then the last good one decides, if there is one"),
    ("attestors", "attestors", true, "`binauthctl attestors create`, and give it a key"),
    (
        "source",
        "sources",
        true,
        "`binauthctl cache` tells what is known; unknown images are refused until it answers",
    ),
    ("evidence", "evidence", false, "it is built anew from the sources; see the daemon's log"),
    ("audit", "audit", true, "free the disk: the journal has what the file lacks"),
    ("clock", "clock", true, "set the clock; `binauthctl trust show` tells what the node remembers"),
    ("kubelet", "kubelet", false, "rules for service accounts cannot be told apart until kubelet answers"),
    ("sandbox", "sandbox", false, "what the unit may reach, drop-ins for it say: see the line"),
    ("metrics", "metrics", false, "see `[metrics]` of config.toml"),
];

pub(super) fn look(patient: &Patient<'_>, items: &mut Items) {
    if patient.status.is_ok() {
        in_force(patient, items);
        for (kind, name, is_broken, fix) in ALARMS {
            let alarms = patient.alarms(kind);
            for alarm in &alarms {
                if *is_broken {
                    items.broken(name, alarm.clone(), *fix);
                } else {
                    items.warning(name, alarm.clone(), *fix);
                }
            }
            if alarms.is_empty() {
                items.fine(name, fine(patient, kind));
            }
        }
        break_glass(patient, items);
    }
    lint(patient, items);
    floor(patient, items);
}

fn fine(patient: &Patient<'_>, kind: &str) -> String {
    let list = |pointer: &str| patient.at(pointer).as_array().map_or(0, Vec::len);
    match kind {
        "attestors" => format!("{}, all with keys", list("/keyRing/attestors")),
        "source" => match patient.at("/evidence/ageSeconds").as_u64() {
            Some(age) => format!("{}, read {age} s ago", list("/sources")),
            None => format!("{}", list("/sources")),
        },
        "evidence" => format!("{} attestations on file", patient.text("/evidence/disk/rows")),
        "audit" => patient.text("/audit/file"),
        _ => "nothing is wrong".to_owned(),
    }
}

fn in_force(patient: &Patient<'_>, items: &mut Items) {
    let version = patient.text("/policy/version");
    let state = patient.text("/policy/state");
    if version.is_empty() {
        items.broken(
            "policy",
            format!("none is in force, and everything is refused: {}", patient.text("/policy/problem")),
            "mend the file, `binauthctl policy check` tells what is wrong",
        );
        return;
    }
    if state == "current" || state.is_empty() {
        items.fine("policy", version);
    } else {
        items.warning(
            "policy",
            format!("{version} is {state}: {}", patient.text("/policy/problem")),
            "mend the file; until then the last good one decides",
        );
    }
    let is = |pointer: &str| patient.at(pointer).as_bool() == Some(true);
    let wrong = if is("/policy/enforcesNothing") {
        Some("no rule of the policy refuses anything")
    } else {
        is("/policy/alwaysAllows").then_some("the default rule of the policy allows every image")
    };
    match wrong {
        Some(wrong) => items.warning(
            "policy-mode",
            wrong,
            "`binauthctl audit query --would DENY` tells what it would refuse; then set ENFORCED_BLOCK_AND_AUDIT_LOG",
        ),
        None => items.fine("policy-mode", patient.text("/policy/defaultRule")),
    }
    let keyless = patient.at("/keyRing/attestors").as_array().into_iter().flatten();
    let keyless = keyless.filter(|attestor| attestor.get("keys").and_then(Value::as_u64) == Some(0));
    for attestor in keyless {
        let name = crate::cli::status::text(attestor, "/name");
        items.warning(
            "attestors",
            format!("`{name}` has no key: nobody can attest for it"),
            "`binauthctl attestors public-keys add`, or `attestors delete`",
        );
    }
}

fn break_glass(patient: &Patient<'_>, items: &mut Items) {
    let alarms = patient.alarms("break_glass");
    for alarm in &alarms {
        items.warning(
            "break-glass",
            alarm.clone(),
            "`binauthctl break-glass list`; `revoke` ends one before its time",
        );
    }
    if alarms.is_empty() {
        items.fine("break-glass", "no grant is in force");
    }
}

fn lint(patient: &Patient<'_>, items: &mut Items) {
    let path = &patient.context.defaults.policy;
    match policy::lints(patient.context, path) {
        Ok(lints) if lints.is_empty() => items.fine("policy-lint", path.display().to_string()),
        Ok(lints) => {
            for Warning { code, place, message } in lints {
                items.warning(
                    "policy-lint",
                    format!("{code} {place}: {message}"),
                    "see binauthctl-policy-check(1)",
                );
            }
        }
        Err(error) => items.warning(
            "policy-lint",
            crate::chain(&error),
            "`binauthctl policy check FILE` tells more; a policy of a bundle is checked where it is signed",
        ),
    }
}

fn floor(patient: &Patient<'_>, items: &mut Items) {
    let path = &patient.context.defaults.settings.system_policy;
    let found = crate::cli::files::document(path, "system policy")
        .ok()
        .and_then(|bytes| SystemPolicy::parse(&bytes, Format::of(path)).ok());
    match found {
        Some(floor) if !floor.is_empty() => items.fine("floor", format!("{} digests and patterns", floor.len())),
        _ => items.warning(
            "floor",
            format!("`{}` holds nothing: a node that starts without a network may refuse what it needs to get one", path.display()),
            "`binauthctl floor generate --write`",
        ),
    }
}
