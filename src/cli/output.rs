//! How answers are written: a table for people, JSON or YAML for programs.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::Context;
use super::error::{CliError, Outcome};
use crate::text::shown;

/// The widest cell of a table, in characters.
const MAX_CELL: usize = 1024;
/// The longest line of text for people, in characters: whatever it quotes may be a megabyte.
const MAX_MESSAGE: usize = 16 * 1024;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Yaml,
}

/// What a verb prints, and what it comes to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) outcome: Outcome,
}

impl Context {
    /// `value` for programs, or `table` for people.
    pub(super) fn answer(
        &self,
        outcome: Outcome,
        value: &impl Serialize,
        table: impl FnOnce() -> String,
    ) -> Result<Answer, CliError> {
        let text = match self.format {
            Format::Table => table(),
            Format::Json => serde_json::to_string_pretty(value).map_err(io::Error::other)? + "\n",
            Format::Yaml => yaml(value)?,
        };
        Ok(Answer { text, outcome })
    }
}

/// A YAML document. Long lines stay whole: every line of text is easy to find and to compare.
pub(super) fn yaml(value: &impl Serialize) -> io::Result<String> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text = serde_saphyr::to_string_with_options(value, options).map_err(io::Error::other)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Rows under headings, in columns as wide as their widest cell; a longer text is cut.
pub(super) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut lines = vec![headings.iter().map(|&heading| heading.to_owned()).collect()];
    lines
        .extend(rows.into_iter().map(|row| row.iter().map(|cell| shown(cell, MAX_CELL)).collect::<Vec<_>>()));
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `name: value` lines; a value that is empty leaves its line out.
pub(super) fn fields(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = pairs.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
    pairs.iter().map(|(name, value)| format!("{:width$} {}\n", format!("{name}:"), plain(value))).collect()
}

/// Text of unknown origin, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    shown(text, MAX_MESSAGE)
}

/// Prints the answer. A reader that has gone has read enough.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says on standard error what does not stop the verb.
pub(super) fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "binauthctl: warning: {}", shown(message, MAX_MESSAGE));
}

/// Says on standard error why there is no answer: the error and its causes, on one line.
pub fn report(error: &CliError) {
    let _ = writeln!(io::stderr(), "binauthctl: {}", plain(&crate::chain(error)));
}
