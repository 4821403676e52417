//! The page as Markdown (GitHub's tables). Whatever the trail quotes is an attacker's: no part of it becomes markup.

use std::fmt::Write as _;

use super::Document;
use super::content::{Table, chain, sections};

pub(super) fn page(document: &Document) -> String {
    let mut page = format!("# Binary Authorization on `{}`\n\n", document.node.replace('`', "'"));
    let _ = writeln!(page, "{} to {}, made {}.\n", document.since, document.until, document.made);
    if !document.filters.is_empty() {
        let _ = writeln!(page, "Only lines with {}.\n", escaped(&document.filters.join(", ")));
    }
    match chain(document) {
        Ok(intact) => {
            let _ = writeln!(page, "{intact}\n");
        }
        Err((broken, problems)) => {
            let _ = writeln!(page, "**{broken}**\n");
            table(&mut page, &problems);
        }
    }
    if document.trail.passed_over > 0 {
        let _ = writeln!(page, "{} lines are none of a trail.\n", document.trail.passed_over);
    }
    for section in sections(document) {
        let _ = writeln!(page, "## {}\n", section.title);
        if let Some(problem) = &section.problem {
            let _ = writeln!(page, "{}\n", escaped(problem));
        }
        table(&mut page, &section.table);
    }
    let _ = writeln!(page, "## How to ask\n");
    for query in &document.queries {
        let _ = writeln!(page, "* {} `{}`", query.question, query.command);
    }
    page
}

fn table(page: &mut String, table: &Table) {
    if table.rows.is_empty() {
        page.push_str("None.\n\n");
        return;
    }
    let _ = writeln!(page, "| {} |", table.headings.join(" | "));
    let _ = writeln!(page, "|{}", "---|".repeat(table.headings.len()));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    if table.beyond > 0 {
        let _ = writeln!(page, "\nAnd {} more.", table.beyond);
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
