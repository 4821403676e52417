//! `cache`: what the daemon on this node has on file.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Context;
use super::daemon;
use super::error::{CliError, Outcome};
use super::output::{Answer, fields, table};
use super::status::{list, text};
use crate::gate::admin::CacheAsk;

/// Between two looks at whether the sources have been read.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// How full memory and disk are, and how each source does
    Stats,
    /// Digests that something is on file for
    List(List),
    /// All that is known of a digest: documents, and who has attested it
    Show(Show),
    /// Ask the sources again: for one digest, or for everything
    Refresh(Refresh),
    /// Forget a digest, or everything; the sources give it again
    Drop(Drop),
    /// Let go what a source no longer gives and what was kept because that looked like a fault
    AcceptDeletions(AcceptDeletions),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Only those after this digest
    #[arg(long, value_name = "DIGEST")]
    after: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// sha256:…
    digest: String,
}

#[derive(Debug, Args)]
pub(super) struct Refresh {
    /// sha256:… [default: everything]
    digest: Option<String>,
    /// How long to wait until every source has been read
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

#[derive(Debug, Args)]
pub(super) struct Drop {
    /// sha256:…
    #[arg(required_unless_present = "all")]
    digest: Option<String>,
    /// Everything
    #[arg(long, conflicts_with = "digest")]
    all: bool,
}

#[derive(Debug, Args)]
pub(super) struct AcceptDeletions {
    /// The source's name [default: all]
    source: Option<String>,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let socket = context.defaults.admin_socket();
        let ask = |ask| daemon::cache(&socket, ask);
        match self {
            Self::Stats => {
                let status = daemon::status(&socket)?;
                let value = of_evidence(&status);
                context.answer(Outcome::Fine, &value, || stats(&value))
            }
            Self::List(List { limit, after }) => {
                let value = ask(CacheAsk::List { after, limit: limit.into() })?;
                context.answer(Outcome::Fine, &value, || digests(&value))
            }
            Self::Show(Show { digest }) => shown(context, &ask(CacheAsk::Show { digest })?),
            Self::Refresh(Refresh { digest: Some(digest), .. }) => {
                shown(context, &ask(CacheAsk::Refresh { digest: Some(digest) })?)
            }
            Self::Refresh(Refresh { digest: None, wait }) => {
                let before = ask(CacheAsk::Refresh { digest: None })?;
                let end = Instant::now() + Duration::from_secs(wait);
                let status = loop {
                    let status = daemon::status(&socket)?;
                    if is_read_again(&before, &status) || Instant::now() >= end {
                        break status;
                    }
                    std::thread::sleep(LOOK);
                };
                let well = is_read_again(&before, &status)
                    && list(&status, "/sources").iter().all(|source| source.get("problem").is_none());
                let value = of_evidence(&status);
                context.answer(if well { Outcome::Fine } else { Outcome::Failed }, &value, || stats(&value))
            }
            Self::Drop(Drop { digest, .. }) => {
                let value = ask(CacheAsk::Drop { digest })?;
                let said = format!("dropped {}; the sources are read again\n", text(&value, "/dropped"));
                context.answer(Outcome::Fine, &value, || said)
            }
            Self::AcceptDeletions(AcceptDeletions { source }) => {
                let value = ask(CacheAsk::AcceptDeletions { source })?;
                let said = format!("deleted {} documents\n", text(&value, "/deleted"));
                context.answer(Outcome::Fine, &value, || said)
            }
        }
    }
}

/// The part of the status that is about evidence.
fn of_evidence(status: &Value) -> Value {
    json!({"evidence": status.get("evidence"), "sources": status.get("sources")})
}

/// Whether every source has been read since `before`.
fn is_read_again(before: &Value, status: &Value) -> bool {
    list(status, "/sources").iter().all(|source| {
        let refreshed = source.get("refreshed").and_then(Value::as_u64).unwrap_or_default();
        let name = text(source, "/name");
        let asked = before.get("refreshes").and_then(|asked| asked.get(name)).and_then(Value::as_u64);
        refreshed >= asked.unwrap_or_default()
    })
}

fn stats(value: &Value) -> String {
    let of = |pointer: &str| text(value, pointer);
    let lines = [
        ("documents on file", of("/evidence/disk/rows")),
        ("bytes on disk", of("/evidence/disk/fileBytes")),
        (
            "in memory",
            format!(
                "{} attested, {} not, {} of what runs",
                of("/evidence/cache/found"),
                of("/evidence/cache/absent"),
                of("/evidence/cache/pinned")
            ),
        ),
        (
            "answers",
            format!("{} from memory, {} made", of("/evidence/cache/hits"), of("/evidence/cache/misses")),
        ),
        (
            "look-ups",
            format!(
                "{} asked, {} failed, {} limited, {} under way",
                of("/evidence/lookUps/asked"),
                of("/evidence/lookUps/failed"),
                of("/evidence/lookUps/limited"),
                of("/evidence/lookUps/underWay")
            ),
        ),
    ];
    let scopes = list(value, "/sources").iter().flat_map(|source| {
        list(source, "/scopes").iter().map(|scope| {
            let held = scope.get("heldBack").map(|held| {
                format!("{} deletions held back since {}", text(held, "/documents"), text(held, "/since"))
            });
            let only = (text(scope, "/lookupOnly") == "true").then(|| "too many to list".to_owned());
            let state = held.or(only).unwrap_or_else(|| text(source, "/problem"));
            vec![
                text(source, "/name"),
                text(scope, "/scope"),
                text(scope, "/attestations"),
                text(scope, "/ageSeconds"),
                state,
            ]
        })
    });
    [fields(&lines), table(&["SOURCE", "SCOPE", "DOCUMENTS", "AGE (S)", "STATE"], scopes.collect())]
        .join("\n")
}

fn digests(value: &Value) -> String {
    let rows = list(value, "/digests").iter().map(|row| vec![text(row, "/digest"), text(row, "/documents")]);
    table(&["DIGEST", "DOCUMENTS"], rows.collect())
}

fn shown(context: &Context, value: &Value) -> Result<Answer, CliError> {
    context.answer(Outcome::Fine, value, || {
        let of = |pointer: &str| text(value, pointer);
        let age = of("/ageSeconds");
        let lines = [
            ("digest", of("/digest")),
            ("sources read", if age.is_empty() { "not yet".to_owned() } else { format!("{age} s ago") }),
            ("runs here", of("/pinned")),
            ("look-up", of("/lookUp")),
        ];
        let attestors = list(value, "/attestors").iter();
        let attestors = attestors.map(|one| vec![text(one, "/attestor"), text(one, "/reason")]);
        let documents = list(value, "/documents").iter().map(|one| {
            ["/source", "/scope", "/name", "/created", "/bytes"].map(|pointer| text(one, pointer)).to_vec()
        });
        [
            fields(&lines),
            table(&["ATTESTOR", "FINDING"], attestors.collect()),
            table(&["SOURCE", "SCOPE", "OCCURRENCE", "CREATED", "BYTES"], documents.collect()),
        ]
        .join("\n")
    })
}
