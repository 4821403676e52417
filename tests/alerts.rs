//! Alert rules and dashboard: valid by promtool, true in the cases of `tests/alerts`, and about metrics that there
//! are. promtool is what `tests/rig/install.sh` fetches.
#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use binauthd::metrics::{Kind, family};
use serde_json::{Value, json};

const RULES: &str = "packaging/prometheus/binauthd.rules.yaml";
const DASHBOARD: &str = "packaging/grafana/binauthd.json";
const CASES: [&str; 2] = ["tests/alerts/cases.yaml", "tests/alerts/weeks.yaml"];

fn at(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn promtool(args: &[&str]) -> String {
    let rig = std::env::var_os("BINAUTHD_RIG_DIR").map_or_else(|| at("target/rig"), PathBuf::from);
    let tool = rig.join("bin/promtool");
    assert!(tool.exists(), "`{}` is not there: run `tests/rig/install.sh` first", tool.display());
    let output = Command::new(tool).args(args).current_dir(at("")).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {said}");
    said
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(at(name)).unwrap()).unwrap()
}

fn rules() -> Vec<Value> {
    let groups = yaml(RULES)["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The expressions of the dashboard, with what Grafana puts in their place.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(at(DASHBOARD)).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let of_panels = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let lists = dashboard["templating"]["list"].as_array().unwrap();
    let of_lists = lists.iter().filter_map(|list| {
        let (_, rest) = list["query"]["query"].as_str()?.split_once("label_values(")?;
        Some(rest.rsplit_once(',')?.0.to_owned())
    });
    of_panels
        .chain(of_lists)
        .map(|query| query.replace("$__rate_interval", "5m").replace("$instance", ".*"))
        .collect()
}

/// Every name of ours in an expression, without what Prometheus adds to histograms.
fn named(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c));
    let ours = words.filter(|word| word.starts_with("binauthd_") || word.starts_with("process_"));
    let histogram = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        let base = ends.iter().find_map(|end| word.strip_suffix(end))?;
        family::ALL.iter().find(|family| family.name == base && family.kind == Kind::Histogram)
    };
    ours.map(|word| histogram(word).map_or(word, |family| family.name).to_owned()).collect()
}

fn exist(what: &str, names: &BTreeSet<String>) {
    for name in names {
        assert!(
            family::ALL.iter().any(|family| family.name == name),
            "{what} names `{name}`, which is no metric"
        );
    }
}

#[test]
fn the_rules_are_valid_and_say_what_to_do() {
    let said = promtool(&["check", "rules", RULES]);
    let rules = rules();
    assert!(said.contains(&format!("SUCCESS: {} rules found", rules.len())), "{said}");
    let mut alerts = BTreeSet::new();
    for rule in &rules {
        let alert = rule["alert"].as_str().unwrap();
        assert!(alerts.insert(alert.to_owned()) && alert.starts_with("Binauthd"), "{alert}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{alert}");
        for text in ["summary", "runbook"] {
            let text = rule["annotations"][text].as_str().unwrap();
            assert!(text.len() > 20 && text.len() < 500, "{alert}: {text}");
        }
        exist(alert, &named(rule["expr"].as_str().unwrap()));
    }
    // Of each there is a case in which it is raised; that it is not otherwise, the same cases hold, since they name
    // all that is raised.
    let mut raised = BTreeSet::new();
    for test in CASES.iter().flat_map(|cases| yaml(cases)["tests"].as_array().unwrap().clone()) {
        for case in test["promql_expr_test"].as_array().unwrap() {
            assert_eq!(case["expr"], "count by (alertname, instance) (ALERTS{alertstate=\"firing\"})");
            for sample in case["exp_samples"].as_array().unwrap() {
                let labels = sample["labels"].as_str().unwrap();
                raised.insert(labels.split('"').nth(1).unwrap().to_owned());
            }
        }
    }
    assert_eq!(raised, alerts);
}

#[test]
fn alerts_are_raised_when_they_should_be() {
    for cases in CASES {
        let said = promtool(&["test", "rules", cases]);
        assert!(said.contains("SUCCESS"), "{said}");
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(at(DASHBOARD)).unwrap()).unwrap();
    assert_eq!((&dashboard["uid"], &dashboard["id"]), (&json!("binauthd"), &Value::Null));
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    let lists = dashboard["templating"]["list"].as_array().unwrap();
    assert!(lists.iter().any(|list| list["type"] == "datasource" && list["query"] == "prometheus"));
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = &panel["gridPos"];
        let of = |key: &str| place[key].as_u64().unwrap();
        for x in of("x")..of("x") + of("w") {
            for y in of("y")..of("y") + of("h") {
                assert!(x < 24 && places.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"], json!({"type": "prometheus", "uid": "${datasource}"}), "{panel}");
        assert!(panel["description"].as_str().unwrap().len() > 20, "{panel}");
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
    // As rules, promtool reads them.
    let queries = queries();
    let rule =
        |(number, query): (usize, &String)| json!({"record": format!("query:number{number}"), "expr": query});
    let rules: Vec<_> = queries.iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.yaml");
    fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    promtool(&["check", "rules", &file.to_string_lossy()]);
    queries.iter().for_each(|query| exist(query, &named(query)));
}

/// What is counted is to be seen: each metric is in an alert or on the dashboard, or is left to whoever asks.
#[test]
fn every_metric_is_watched_or_left_out_on_purpose() {
    const LEFT_OUT: &[&str] = &[
        "binauthd_policy_rules",
        "binauthd_policy_patterns",
        "binauthd_key_ring_keys",
        "binauthd_running_looks_total",
        "binauthd_scrapes_total",
        "process_max_fds",
    ];
    let rules = rules();
    let expressions = rules.iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).chain(queries());
    let watched: BTreeSet<String> = expressions.flat_map(|expression| named(&expression)).collect();
    for family in family::ALL {
        let is_left_out = LEFT_OUT.contains(&family.name);
        assert_ne!(watched.contains(family.name), is_left_out, "{}", family.name);
    }
}
