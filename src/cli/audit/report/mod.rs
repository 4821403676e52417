//! `audit report`: what the trail comes to, as a page for whoever decides whether a dry run is over, and for an auditor.

mod compliance;
mod content;
mod html;
mod markdown;

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use nix::unistd::gethostname;
use serde::Serialize;

use super::reading::{Wanted, cannot, moment};
use crate::audit::report::{Report as Trail, report};
use crate::audit::trail::Filter;
use crate::audit::verify::{self, Finding};
use crate::cli::error::{CliError, Outcome};
use crate::cli::output::{Answer, Format};
use crate::cli::{Context, policy, write};
use compliance::Control;

/// Findings about the chain that are told.
const MOST_FINDINGS: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Page {
    Markdown,
    Html,
    Json,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Report {
    #[command(flatten)]
    wanted: Wanted,
    /// Not before: a time (RFC 3339), or so long ago, such as 24h or 14d
    #[arg(long, value_name = "TIME", value_parser = moment, default_value = "14d")]
    since: SystemTime,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// What it is written as; `-o json` is JSON too [default: markdown]
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<Page>,
    /// Where to write it; replaced in one step [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// The whole page, whatever it is written as.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    made: String,
    node: String,
    since: String,
    until: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filters: Vec<String>,
    chain: Chain,
    trail: Trail,
    exceptions: Vec<policy::Excepted>,
    /// Why they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    exceptions_problem: Option<String>,
    controls: Vec<Control>,
    queries: Vec<Query>,
}

/// Whether the trail is what the daemon wrote.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    intact: bool,
    records: u64,
    files: usize,
    problems: Vec<Finding>,
    /// Those beyond the ones that are told.
    further: u64,
}

/// A question that is asked of such a trail, and how to ask it.
#[derive(Serialize)]
struct Query {
    question: &'static str,
    command: String,
}

impl Report {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let file = self.wanted.file(context);
        let until = self.until.unwrap_or_else(SystemTime::now);
        let filter = Filter { since: Some(self.since), until: Some(until), ..self.wanted.filter() };
        let chain = verify::trail(file, super::kept(context)).map_err(cannot(file))?;
        let trail = report(file, &filter).map_err(cannot(file))?;
        let (exceptions, exceptions_problem) = match policy::excepted(&context.defaults.policy) {
            Ok(exceptions) => (exceptions, None),
            Err(error) => (Vec::new(), Some(crate::chain(&error))),
        };
        let chain = Chain {
            intact: chain.problems.is_empty(),
            records: chain.records,
            files: chain.files.len(),
            further: chain.further + chain.problems.len().saturating_sub(MOST_FINDINGS) as u64,
            problems: chain.problems.into_iter().take(MOST_FINDINGS).collect(),
        };
        let rfc3339 = |time| humantime::format_rfc3339_seconds(time).to_string();
        let document = Document {
            made: rfc3339(SystemTime::now()),
            node: gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
            since: rfc3339(self.since),
            until: rfc3339(until),
            filters: self.wanted.shown(),
            controls: compliance::controls(&trail, &chain, &exceptions),
            queries: queries(&rfc3339(self.since)),
            chain,
            trail,
            exceptions,
            exceptions_problem,
        };
        let page = self.format.unwrap_or(match context.format {
            Format::Table => Page::Markdown,
            Format::Json | Format::Yaml => Page::Json,
        });
        let answer = match (page, context.format) {
            (Page::Markdown, _) => Answer { text: markdown::page(&document), outcome: Outcome::Fine },
            (Page::Html, _) => Answer { text: html::page(&document), outcome: Outcome::Fine },
            (Page::Json, Format::Yaml) => context.answer(Outcome::Fine, &document, String::new)?,
            (Page::Json, _) => {
                let text = serde_json::to_string_pretty(&document).map_err(std::io::Error::other)? + "\n";
                Answer { text, outcome: Outcome::Fine }
            }
        };
        let Some(to) = &self.to else { return Ok(answer) };
        write::replace(to, answer.text.as_bytes())?;
        Ok(Answer { text: format!("{}\n", to.display()), outcome: answer.outcome })
    }
}

fn queries(since: &str) -> Vec<Query> {
    let of = |question, flags: &str| Query {
        question,
        command: format!("binauthctl audit query --since {since} {flags}").trim_end().to_owned(),
    };
    vec![
        of("What was refused?", "--verdict DENY"),
        of("What would be refused, and was let through?", "--verdict ALLOW --would DENY"),
        of("What could not be decided?", "--verdict CANNOT_DECIDE"),
        of("What became of an image?", "--image NAME"),
        of("What became of a namespace?", "--namespace NAME"),
        of("What ran by break-glass?", "--reason BREAK_GLASS"),
        of("What went through because nobody answered?", "--reason UNANSWERED"),
        of("What runs and would not be allowed to?", "--gate running"),
        of("Who changed what decides?", "--kind change"),
    ]
}
