//! What the page says, section by section, whatever it is written as.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde_json::Value;

use super::Document;
use crate::audit::report::{Counts, Names};
use crate::cli::status::text;

/// Rows of a table that is long.
const ROWS: usize = 100;
const COUNTED: [&str; 4] = ["Name", "Allowed", "Would block", "Refused"];

/// A part of the page.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    /// Why what it is about is not known.
    pub(super) problem: Option<String>,
    pub(super) table: Table,
}

/// What a section has beside its table, where it can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Plain,
    /// Plots of what would be blocked.
    Blocked,
    /// Rows that are good or bad.
    Controls,
}

/// Some rows.
pub(super) struct Table {
    pub(super) caption: &'static str,
    pub(super) headings: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
    /// What is not shown.
    pub(super) beyond: u64,
}

/// What the chain says of the trail; where it is broken, of what.
pub(super) fn chain(document: &Document) -> Result<String, (&'static str, Table)> {
    let chain = &document.chain;
    if chain.intact {
        return Ok(format!("The chain over {} records in {} files is intact.", chain.records, chain.files));
    }
    let rows = chain.problems.iter().map(|problem| {
        vec![
            problem.what.to_owned(),
            format!("{}:{}", problem.file.display(), problem.line),
            problem.detail.clone(),
        ]
    });
    let table = Table {
        caption: "What is wrong with it",
        headings: vec!["What", "Where", "Detail"],
        rows: rows.collect(),
        beyond: chain.further,
    };
    Err(("The chain is broken: what follows is what the files say, and not what was written.", table))
}

/// All sections, in their order.
pub(super) fn sections(document: &Document) -> Vec<Section> {
    let trail = &document.trail;
    let section = |title, caption, headings: &[&'static str], rows, beyond| Section {
        title,
        kind: Kind::Plain,
        problem: None,
        table: Table { caption, headings: headings.to_vec(), rows, beyond },
    };
    let counted = "Each is counted once, with the refusals that were folded into one line";
    let mut sections = vec![section("Decisions", counted, &["What", "Count"], summary(document), 0)];
    let images = &trail.would_block;
    sections.push(Section {
        kind: Kind::Blocked,
        ..section(
            "What would be blocked",
            "To be worked off before a rule enforces, the most frequent first",
            &["Image", "Digest", "Reason", "Namespaces", "Count", "Refused", "First", "Last"],
            blocked(document),
            images.beyond + images.images.len().saturating_sub(ROWS) as u64,
        )
    });
    let each = if trail.bucket_seconds > 3600 { "by day" } else { "by hour" };
    let rows = trail.over_time.iter().map(|(start, counts)| row(start, counts)).collect();
    let [_, counts @ ..] = COUNTED;
    let headings: Vec<_> = ["From"].into_iter().chain(counts).collect();
    sections.push(section("Over time", each, &headings, rows, 0));
    for (title, names) in names(document) {
        let rows = names.named.iter().take(ROWS).map(|(name, counts)| row(name, counts)).collect();
        sections.push(section(title, "Decisions", &COUNTED, rows, further(names)));
    }
    for (title, headings, (count, rows)) in told(document) {
        let beyond = count.saturating_sub(rows.len() as u64);
        sections.push(section(title, "The newest first", headings, rows, beyond));
    }
    sections.push(Section {
        problem: document.exceptions_problem.as_ref().map(|problem| format!("Not known: {problem}")),
        ..section(
            "Exceptions",
            "Allowlist entries of the policy as it lies here now",
            &["Pattern", "Owner", "Ticket", "Ends", "State"],
            exceptions(document),
            0,
        )
    });
    let rows = document.controls.iter().map(|one| {
        vec![one.control.to_owned(), one.asks.to_owned(), one.shown.clone(), one.evidence.as_str().to_owned()]
    });
    sections.push(Section {
        kind: Kind::Controls,
        ..section(
            "Controls",
            "What the trail of this span shows; whether that is enough, whoever audits decides",
            &["Control", "Asks", "Shown here", "Evidence"],
            rows.collect(),
            0,
        )
    });
    sections
}

/// The figures at the top.
fn summary(document: &Document) -> Vec<Vec<String>> {
    let trail = &document.trail;
    let of = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
    vec![
        of("all", trail.decisions.all()),
        of("allowed", trail.decisions.allowed),
        of("let through, and would be blocked", trail.decisions.would_block),
        of("of these by break-glass", trail.by_break_glass),
        of("of these without an answer", trail.unanswered),
        of("refused", trail.decisions.refused),
        of("containers started unasked", trail.ungated),
        of("connections that ended without a decision", trail.unserved),
        of("records of running containers in violation", trail.violations.0),
    ]
}

/// Tables of names.
fn names(document: &Document) -> Vec<(&'static str, &Names)> {
    let trail = &document.trail;
    let all = [
        ("By gate", &trail.gates),
        ("By namespace", &trail.namespaces),
        ("By reason", &trail.reasons),
        ("By rule", &trail.rules),
        ("By attestor", &trail.attestors),
        ("By key", &trail.keys),
        ("Break-glass grants", &trail.grants),
    ];
    all.into_iter().filter(|(_, names)| !names.named.is_empty()).collect()
}

/// Decisions of names that are not shown.
fn further(names: &Names) -> u64 {
    names.beyond + names.named.iter().skip(ROWS).map(|(_, counts)| counts.all()).sum::<u64>()
}

fn blocked(document: &Document) -> Vec<Vec<String>> {
    let rows = document.trail.would_block.images.iter().take(ROWS).map(|one| {
        let time = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
        vec![
            one.image.clone(),
            one.digest.map(|digest| digest.to_string()).unwrap_or_default(),
            one.reason.clone(),
            one.namespaces.iter().cloned().collect::<Vec<_>>().join(", "),
            one.count.to_string(),
            one.refused.to_string(),
            time(one.first),
            time(one.last),
        ]
    });
    rows.collect()
}

type Told = (&'static str, &'static [&'static str], (u64, Vec<Vec<String>>));

/// What is told line by line, the newest first.
fn told(document: &Document) -> Vec<Told> {
    let trail = &document.trail;
    let rows = |kept: &(u64, VecDeque<Value>), of: &dyn Fn(&Value) -> Vec<String>| {
        (kept.0, kept.1.iter().rev().take(ROWS).map(of).collect::<Vec<_>>())
    };
    let all: Vec<Told> = vec![
        (
            "Running containers in violation",
            &["Time", "Image", "Namespace", "Pod", "Reason"],
            rows(&trail.violations, &|line| {
                ["/time", "/image", "/container/podNamespace", "/container/pod", "/reason"]
                    .map(|at| text(line, at))
                    .to_vec()
            }),
        ),
        (
            "Changes of what decides",
            &["Time", "What", "Which", "Before", "After", "Who"],
            rows(&trail.changes, &|line| {
                ["/time", "/what", "/name", "/before", "/after", "/who"].map(|at| text(line, at)).to_vec()
            }),
        ),
        (
            "Where lines are missing, by the trail's own word",
            &["Time", "What", "Lost"],
            rows(&trail.gaps, &|line| {
                let lost = ["/lost", "/torn", "/files"].map(|at| text(line, at)).concat();
                vec![text(line, "/time"), text(line, "/kind"), lost]
            }),
        ),
    ];
    all.into_iter().filter(|(_, _, (count, _))| *count > 0).collect()
}

fn exceptions(document: &Document) -> Vec<Vec<String>> {
    let rows = document.exceptions.iter().map(|one| {
        let said = [&one.owner, &one.ticket, &one.ends].map(|said| said.clone().unwrap_or_default());
        [one.pattern.to_string()].into_iter().chain(said).chain([one.state.as_str().to_owned()]).collect()
    });
    rows.collect()
}

fn row(name: &str, counts: &Counts) -> Vec<String> {
    [name.to_owned()]
        .into_iter()
        .chain([counts.allowed, counts.would_block, counts.refused].map(|count| count.to_string()))
        .collect()
}
