//! `audit`: what the trail says, and whether it is what the daemon wrote.

mod reading;
mod report;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Context;
use super::error::{CliError, Outcome};
use super::output::{Answer, fields, table, warn};
use crate::audit::chain::Head;
use crate::audit::head;
use crate::audit::verify::{self, Finding, Report};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Look the trail over for edits, and for lines that are missing or moved
    ///
    /// Every line names the hash of the one before it, over all files of the trail. Its end is held by the head
    /// that the daemon keeps in its state folder (for root to read), and by those that the journal has been given: fields
    /// BINAUTHD_SEQ and BINAUTHD_HEAD. Exits 1 where something is wrong, 2 where the trail cannot be read.
    Verify(Verify),
    /// Show the newest lines of the trail, and with -f those that follow
    ///
    /// Reads the trail by your own rights; the daemon need not run. `repeats` are further refusals like one before them,
    /// counted over a minute; a `summary` counts those of a minute that were too many to be told one by one.
    Tail(reading::Tail),
    /// Find lines of the trail: by time, namespace, image, verdict, reason, rule
    ///
    /// All that is given must fit. Denials of a day: `audit query --since 24h --verdict DENY`; what enforcement would
    /// refuse: `audit query --since 14d --verdict ALLOW --would DENY`. A trail of any size takes little memory.
    Query(reading::Query),
    /// Tell what the trail comes to: what would be blocked, by whom, over time; and the table of controls
    ///
    /// The page that a dry run ends with, and that an auditor gets: as Markdown, as JSON, or as one HTML page that needs nothing
    /// else. What is counted: decisions at gates; what a policy in dry run or break-glass let through would be blocked. Whether
    /// the trail is what the daemon wrote stands at its top. A trail of any size takes little memory.
    Report(report::Report),
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The folder of a trail that was copied here; without it the configured trail
    #[arg(value_name = "FOLDER", conflicts_with = "file")]
    folder: Option<PathBuf>,
    /// One file alone: where it begins and ends proves nothing
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A line that must be there, from the journal
    #[arg(long, value_name = "SEQ:HASH", value_parser = read_head, conflicts_with = "file")]
    head: Option<Head>,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Verify(verb) => verb.run(context),
            Self::Tail(verb) => verb.run(context),
            Self::Query(verb) => verb.run(context),
            Self::Report(verb) => verb.run(context),
        }
    }
}

impl Verify {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let report = match (self.file, self.folder) {
            (Some(file), _) => verify::one(&file),
            (None, Some(folder)) => verify::trail(&verify::file_in(&folder), self.head),
            (None, None) => {
                // First the head, then the files: a trail that is being written is ahead of it.
                let head = self.head.or_else(|| kept(context));
                verify::trail(&context.defaults.settings.audit_file, head)
            }
        };
        let report = report.map_err(CliError::from)?;
        let outcome = if report.problems.is_empty() { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &report, || overview(&report))
    }
}

fn kept(context: &Context) -> Option<Head> {
    let path = head::path(&context.defaults.settings.state_dir);
    match head::read(&path) {
        Ok(Some(head)) => return Some(head),
        Ok(None) => {
            warn(&format!("`{}` is not there: lines missing at the end are not found", path.display()))
        }
        Err(error) => {
            warn(&format!("`{}`: {error}: lines missing at the end are not found", path.display()));
        }
    }
    None
}

fn read_head(text: &str) -> Result<Head, String> {
    let head = text.split_once(':').and_then(|(seq, hash)| {
        Some(Head { seq: seq.parse().ok()?, hash: format!("sha256:{hash}").parse().ok()? })
    });
    head.ok_or_else(|| "is not of the form SEQ:HASH, a number and 64 hex digits".to_owned())
}

fn overview(report: &Report) -> String {
    let number = |number: Option<u64>| number.map_or("none".to_owned(), |number| number.to_string());
    let verdict = match report.problems.len() {
        0 => "whole".to_owned(),
        1 => "1 PROBLEM".to_owned(),
        count => format!("{count} PROBLEMS"),
    };
    let mut text = fields(&[
        ("trail", verdict),
        ("files", report.files.len().to_string()),
        ("records", format!("{}, from {} to {}", report.records, number(report.first), number(report.last))),
    ]);
    let row = |mark: &'static str| {
        move |found: &Finding| {
            let seq = found.seq.map(|seq| seq.to_string()).unwrap_or_default();
            let place = format!("{}:{}", found.file.display(), found.line);
            vec![mark.to_owned(), found.what.to_owned(), place, seq, found.detail.clone()]
        }
    };
    let rows: Vec<_> =
        report.problems.iter().map(row("problem")).chain(report.notes.iter().map(row("note"))).collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(&["", "WHAT", "WHERE", "SEQ", "DETAIL"], rows));
    }
    text
}
