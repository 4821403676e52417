//! `audit tail` and `query`: what the trail says.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::audit::trail::{Entry, Filter, Lines};
use crate::cli::Context;
use crate::cli::error::{CliError, Outcome};
use crate::cli::output::{self, Answer, Format, table};
use crate::text::shown;

/// How often there is a look at whether a followed trail has gone on.
const LOOK: Duration = Duration::from_millis(250);
/// The most lines that one answer holds.
const MOST: u32 = 100_000;

/// Which lines, and of which trail.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// The trail's newest file; the rotated ones beside it are read too [default: the configured one]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Decisions (`decision`, `repeats`, `summary`), or `change`, `start`, `gap` …
    #[arg(long)]
    kind: Option<String>,
    /// Where it was asked: pull, pod, create or running
    #[arg(long)]
    gate: Option<String>,
    /// What was decided: ALLOW, DENY or CANNOT_DECIDE
    #[arg(long)]
    verdict: Option<String>,
    /// What it would be without dry run
    #[arg(long)]
    would: Option<String>,
    /// A reason code, see binauthd-reasons(7)
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// A part of the rule's name
    #[arg(long, value_name = "TEXT")]
    rule: Option<String>,
    /// The pod's namespace; pulls have none
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// A part of the image's name
    #[arg(long, value_name = "TEXT")]
    image: Option<String>,
    /// The image's digest
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
}

/// The newest lines, and those that follow.
#[derive(Debug, Args)]
pub(in crate::cli) struct Tail {
    #[command(flatten)]
    wanted: Wanted,
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(MOST)))]
    lines: u32,
    /// Go on with what is written from now on, through rotations, until interrupted
    #[arg(short, long)]
    follow: bool,
}

/// Lines of a time, the newest of those that fit.
#[derive(Debug, Args)]
pub(in crate::cli) struct Query {
    #[command(flatten)]
    wanted: Wanted,
    /// Not before: a time (RFC 3339), or so long ago, such as 24h or 14d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
    /// How many lines at most, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    limit: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    /// How many fit, of which the newest are here.
    lines: u64,
    /// How many decisions those are, with those that are only counted.
    decisions: u64,
    /// What was no line of a trail.
    passed_over: u64,
    records: Vec<&'a Value>,
}

impl Wanted {
    /// What is asked for, for people.
    pub(super) fn shown(&self) -> Vec<String> {
        let all = [
            ("kind", &self.kind),
            ("gate", &self.gate),
            ("verdict", &self.verdict),
            ("would", &self.would),
            ("reason", &self.reason),
            ("rule", &self.rule),
            ("namespace", &self.namespace),
            ("image", &self.image),
            ("digest", &self.digest),
        ];
        all.into_iter().filter_map(|(name, wanted)| Some(format!("{name} {}", wanted.as_ref()?))).collect()
    }

    pub(super) fn filter(&self) -> Filter {
        Filter {
            since: None,
            until: None,
            kind: self.kind.clone(),
            gate: self.gate.clone(),
            verdict: self.verdict.clone(),
            would: self.would.clone(),
            reason: self.reason.clone(),
            rule: self.rule.clone(),
            namespace: self.namespace.clone(),
            image: self.image.clone(),
            digest: self.digest.clone(),
        }
    }

    pub(super) fn file<'a>(&'a self, context: &'a Context) -> &'a Path {
        self.file.as_deref().unwrap_or(&context.defaults.settings.audit_file)
    }
}

impl Tail {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let (file, filter) = (self.wanted.file(context), self.wanted.filter());
        let mut newest = Newest::new(self.lines);
        let mut lines = Lines::of(file).map_err(cannot(file))?;
        while let Some(entry) = lines.next_entry().map_err(cannot(file))? {
            newest.take(entry, &filter);
        }
        if !self.follow {
            return newest.answer(lines.passed_over, context);
        }
        for entry in &newest.entries {
            output::print(&line(entry, context.format)?)?;
        }
        follow(lines, file, &filter, context.format)
    }
}

impl Query {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let file = self.wanted.file(context);
        let filter = Filter { since: self.since, until: self.until, ..self.wanted.filter() };
        let mut newest = Newest::new(self.limit);
        let mut lines = Lines::of(file).map_err(cannot(file))?;
        while let Some(entry) = lines.next_entry().map_err(cannot(file))? {
            newest.take(entry, &filter);
        }
        newest.answer(lines.passed_over, context)
    }
}

/// The newest entries that fit, and how many there were.
struct Newest {
    most: usize,
    entries: VecDeque<Entry>,
    lines: u64,
    decisions: u64,
}

impl Newest {
    fn new(most: u32) -> Self {
        Self { most: most as usize, entries: VecDeque::new(), lines: 0, decisions: 0 }
    }

    fn take(&mut self, entry: Entry, filter: &Filter) {
        if !filter.takes(&entry) {
            return;
        }
        self.lines += 1;
        if entry.is_of_decisions() {
            self.decisions += entry.count();
        }
        if self.entries.len() == self.most {
            self.entries.pop_front();
        }
        if self.most > 0 {
            self.entries.push_back(entry);
        }
    }

    fn answer(&self, passed_over: u64, context: &Context) -> Result<Answer, CliError> {
        let records = self.entries.iter().map(|entry| &entry.value).collect();
        let found = Found { lines: self.lines, decisions: self.decisions, passed_over, records };
        context.answer(Outcome::Fine, &found, || {
            let mut text = table(&HEADINGS, self.entries.iter().map(row).collect());
            let shown = self.entries.len() as u64;
            if shown < self.lines {
                text += &format!("\nthe newest {shown} of {} lines\n", self.lines);
            }
            if passed_over > 0 {
                text += &format!(
                    "\n{passed_over} lines are none of a trail: `binauthctl audit verify` says which\n"
                );
            }
            text
        })
    }
}

const HEADINGS: [&str; 7] = ["TIME", "GATE", "VERDICT", "REASON", "POD", "IMAGE", "COUNT"];

fn row(entry: &Entry) -> Vec<String> {
    let text = |pointer: &str| shown(entry.text(pointer), 300);
    let (pod, namespace) = (text("/container/pod"), text("/container/podNamespace"));
    let pod = if namespace.is_empty() { pod } else { format!("{namespace}/{pod}") };
    let (verdict, would) = (text("/verdict"), text("/would"));
    let verdict =
        if verdict == would || would.is_empty() { verdict } else { format!("{verdict} (would {would})") };
    let about = match entry.kind() {
        "decision" | "repeats" => text("/image"),
        "change" => format!("{} {}", text("/what"), text("/name")),
        "unserved" => ends(entry),
        "summary" => match text("/first/image") {
            image if image.is_empty() => "images that are only counted".to_owned(),
            image => format!("images that are only counted, such as {image}"),
        },
        _ => String::new(),
    };
    let gate = match entry.kind() {
        _ if entry.is_of_decisions() && !entry.text("/gate").is_empty() => text("/gate"),
        kind => shown(kind, 30),
    };
    let count = Some(entry.count()).filter(|count| *count != 1).map(|count| count.to_string());
    vec![text("/time"), gate, verdict, text("/reason"), pod, about, count.unwrap_or_default()]
}

/// How connections ended.
fn ends(entry: &Entry) -> String {
    let ends = entry.value.get("ends").and_then(Value::as_object).into_iter().flatten();
    let ends: Vec<_> = ends.map(|(name, count)| format!("{count} {name}")).collect();
    shown(&ends.join(", "), 300)
}

/// One entry by itself.
fn line(entry: &Entry, format: Format) -> Result<String, CliError> {
    match format {
        Format::Table => {
            let mut row = row(entry);
            row.retain(|cell| !cell.is_empty());
            Ok(row.join("  ") + "\n")
        }
        Format::Json => Ok(serde_json::to_string(&entry.value).map_err(io::Error::other)? + "\n"),
        Format::Yaml => Ok(format!("---\n{}", output::yaml(&entry.value)?)),
    }
}

/// Goes on behind the end of `lines`, and in the file that takes the place of its last one.
fn follow(mut lines: Lines, path: &Path, filter: &Filter, format: Format) -> Result<Answer, CliError> {
    loop {
        // Asked before the file is read to its end: what was written before it was moved away is read too.
        let is_there = lines.is_at(path);
        while let Some(entry) = lines.next_entry().map_err(cannot(path))? {
            if filter.takes(&entry) {
                output::print(&line(&entry, format)?)?;
            }
        }
        if !is_there {
            match File::open(path) {
                Ok(file) => lines = Lines::onward(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot(path)(error)),
            }
        }
        std::thread::sleep(LOOK);
    }
}

pub(super) fn cannot(path: &Path) -> impl Fn(io::Error) -> CliError {
    move |cause| CliError::Read { what: "audit trail", path: path.to_owned(), cause }
}

/// A time, or so long ago.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = humantime::parse_rfc3339(text) {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text).map_err(|_| {
        "is neither a time such as 2026-11-26T08:00:00Z nor a duration such as 24h".to_owned()
    })?;
    SystemTime::now().checked_sub(ago).ok_or_else(|| "is too long ago".to_owned())
}
