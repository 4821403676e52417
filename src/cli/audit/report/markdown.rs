//! The page as Markdown (GitHub's tables). Whatever the trail quotes is an attacker's: no part of it becomes markup.

use std::fmt::Write as _;

use serde_json::Value;

use super::Document;
use crate::audit::report::{Counts, Names};
use crate::cli::status::text;

/// Rows of a table that is long.
pub(super) const ROWS: usize = 100;

pub(super) fn page(document: &Document) -> String {
    let trail = &document.trail;
    let mut page = format!("# Binary Authorization on `{}`\n\n", document.node.replace('`', "'"));
    let _ = writeln!(page, "{} to {}, made {}.\n", document.since, document.until, document.made);
    if !document.filters.is_empty() {
        let _ = writeln!(page, "Only lines with {}.\n", escaped(&document.filters.join(", ")));
    }
    let chain = &document.chain;
    if chain.intact {
        let _ =
            writeln!(page, "The chain over {} records in {} files is intact.\n", chain.records, chain.files);
    } else {
        let _ = writeln!(
            page,
            "**The chain is broken: what follows is what the files say, and not what was written.**\n"
        );
        let rows = chain.problems.iter().map(|problem| {
            vec![
                problem.what.to_owned(),
                format!("{}:{}", problem.file.display(), problem.line),
                problem.detail.clone(),
            ]
        });
        table(&mut page, &["What", "Where", "Detail"], rows, chain.further);
    }
    if trail.passed_over > 0 {
        let _ = writeln!(page, "{} lines are none of a trail.\n", trail.passed_over);
    }
    heading(&mut page, "Decisions");
    table(&mut page, &["", "Decisions"], summary(document).into_iter().map(Vec::from), 0);
    heading(&mut page, "What would be blocked");
    table(
        &mut page,
        &["Image", "Digest", "Reason", "Namespaces", "Count", "Refused", "First", "Last"],
        blocked(document),
        trail.would_block.beyond + trail.would_block.images.len().saturating_sub(ROWS) as u64,
    );
    heading(&mut page, "Over time");
    let rows = trail.over_time.iter().map(|(start, counts)| row(start, counts));
    table(&mut page, &["From", "Allowed", "Would block", "Refused"], rows, 0);
    for (title, names) in names(document) {
        heading(&mut page, title);
        let rows = names.named.iter().take(ROWS).map(|(name, counts)| row(name, counts));
        table(&mut page, &["", "Allowed", "Would block", "Refused"], rows, further(names));
    }
    for (title, headings, (count, rows)) in told(document) {
        heading(&mut page, title);
        let beyond = count.saturating_sub(rows.len() as u64);
        table(&mut page, headings, rows.into_iter(), beyond);
    }
    heading(&mut page, "Exceptions");
    if let Some(problem) = &document.exceptions_problem {
        let _ = writeln!(page, "Not known: {}\n", escaped(problem));
    }
    table(&mut page, &["Pattern", "Owner", "Ticket", "Ends", "State"], exceptions(document), 0);
    heading(&mut page, "Controls");
    let rows = document.controls.iter().map(|one| {
        vec![one.control.to_owned(), one.asks.to_owned(), one.shown.clone(), one.evidence.as_str().to_owned()]
    });
    table(&mut page, &["Control", "Asks", "Shown here", ""], rows, 0);
    heading(&mut page, "How to ask");
    for query in &document.queries {
        let _ = writeln!(page, "* {} `{}`", query.question, query.command);
    }
    page
}

/// The figures at the top.
pub(super) fn summary(document: &Document) -> Vec<[String; 2]> {
    let trail = &document.trail;
    let of = |name: &str, count: u64| [name.to_owned(), count.to_string()];
    vec![
        of("all", trail.decisions.all()),
        of("allowed", trail.decisions.allowed),
        of("let through, and would be blocked", trail.decisions.would_block),
        of("of these by break-glass", trail.by_break_glass),
        of("of these without an answer", trail.unanswered),
        of("refused", trail.decisions.refused),
        of("containers started unasked", trail.ungated),
        of("records of running containers in violation", trail.violations.0),
    ]
}

/// Tables of names.
pub(super) fn names(document: &Document) -> Vec<(&'static str, &Names)> {
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

/// Names that are not shown, by their decisions' number.
pub(super) fn further(names: &Names) -> u64 {
    names.beyond + names.named.iter().skip(ROWS).map(|(_, counts)| counts.all()).sum::<u64>()
}

pub(super) fn blocked(document: &Document) -> impl Iterator<Item = Vec<String>> {
    document.trail.would_block.images.iter().take(ROWS).map(|one| {
        let time = |time| humantime::format_rfc3339_seconds(time).to_string();
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
    })
}

type Told = (&'static str, &'static [&'static str], (u64, Vec<Vec<String>>));

/// What is told line by line, the newest first.
pub(super) fn told(document: &Document) -> Vec<Told> {
    let trail = &document.trail;
    let rows = |kept: &(u64, Vec<Value>), of: &dyn Fn(&Value) -> Vec<String>| {
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

pub(super) fn exceptions(document: &Document) -> impl Iterator<Item = Vec<String>> {
    document.exceptions.iter().map(|one| {
        let said = [&one.owner, &one.ticket, &one.ends].map(|said| said.clone().unwrap_or_default());
        [one.pattern.clone()].into_iter().chain(said).chain([one.state.to_owned()]).collect()
    })
}

pub(super) fn row(name: &str, counts: &Counts) -> Vec<String> {
    [name.to_owned()]
        .into_iter()
        .chain([counts.allowed, counts.would_block, counts.refused].map(|count| count.to_string()))
        .collect()
}

fn heading(page: &mut String, title: &str) {
    let _ = writeln!(page, "## {title}\n");
}

fn table(page: &mut String, headings: &[&str], rows: impl Iterator<Item = Vec<String>>, beyond: u64) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        page.push_str("None.\n\n");
        return;
    }
    let _ = writeln!(page, "| {} |", headings.join(" | "));
    let _ = writeln!(page, "|{}", "---|".repeat(headings.len()));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    if beyond > 0 {
        let _ = writeln!(page, "\nAnd {beyond} more.");
    }
    page.push('\n');
}

/// One line that is no markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_becomes_markup() {
        let hostile = "a|b`c`\n<script>[x](javascript:y)**!![\u{7}";
        assert_eq!(
            super::escaped(hostile),
            "a\\|b\\`c\\` &lt;script&gt;\\[x\\](javascript:y)\\*\\*\\!\\!\\[ "
        );
    }
}
