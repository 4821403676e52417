//! All of it, out and in, as lines of JSON.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;
use super::access::Role;
use super::call::{Api, some_id};
use super::changes::{Change, log_all};
use super::database::{Database, DatabaseError, Writing, places};
use super::error::{ApiError, Code};
use super::grafeas::{Filed, Note};
use crate::attestation::name::is_project;
use crate::image::Digest;

/// Rows that are read at a time.
const CHUNK: i64 = 1_000;
/// Rows that are taken in by one transaction.
const CHUNK_IN: usize = 1_000;
/// Rows of one statement: SQLite looks each place up among all of them.
const AT_ONCE: usize = 50;
/// The longest line that is taken, in bytes.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// A table, and its columns of text.
type Table = (&'static str, &'static [&'static str]);

/// The tables, in the order in which they are filled.
const TABLES: &[Table] = &[
    ("notes", &["project", "id", "kind", "created", "updated", "body"]),
    (
        "occurrences",
        &[
            "project",
            "id",
            "note_project",
            "note",
            "kind",
            "resource",
            "digest",
            "created",
            "updated",
            "body",
        ],
    ),
    ("documents", &["kind", "project", "id", "etag", "updated", "body"]),
    ("principals", &["id", "name", "roles", "created"]),
];

/// A row of a table.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    table: String,
    row: serde_json::Map<String, Value>,
}

/// Writes everything, as it is at one moment.
///
/// # Errors
/// [`StoreError`]
pub async fn export(database: &Database, to: Option<&Path>) -> Result<(), StoreError> {
    let mut out: Box<dyn Write> = match to {
        Some(path) => Box::new(File::create(path).map_err(file(path))?),
        None => Box::new(io::stdout()),
    };
    let mut out = BufWriter::new(&mut out);
    let mut moment = database.snapshot().await.map_err(DatabaseError::from)?;
    for (table, columns) in TABLES {
        // Those without a number are few.
        let is_numbered = is_numbered(table);
        let (order, number) = if is_numbered { ("seq", "seq, ") } else { ("id", "") };
        let mut after = 0;
        loop {
            let all = columns.join(", ");
            let query = match is_numbered {
                true => format!("SELECT {number}{all} FROM {table} WHERE seq > $1 ORDER BY {order} LIMIT $2"),
                false => format!("SELECT {all} FROM {table} WHERE $1 = 0 ORDER BY {order} LIMIT $2"),
            };
            let limit = if is_numbered { CHUNK } else { i64::MAX };
            let rows =
                sqlx::query(sqlx::AssertSqlSafe(query)).bind(after).bind(limit).fetch_all(&mut *moment).await;
            let rows = rows.map_err(DatabaseError::from)?;
            for row in &rows {
                let row = line(table, columns, row).map_err(DatabaseError::from)?;
                writeln!(out, "{}", serde_json::to_string(&row).map_err(io::Error::other)?)?;
            }
            let Some(last) = rows.last().filter(|_| is_numbered) else { break };
            after = last.try_get::<i64, _>(0).map_err(DatabaseError::from)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn line(table: &str, columns: &[&str], row: &AnyRow) -> Result<Line, sqlx::Error> {
    let value = |column: &&str| Ok(((*column).to_owned(), row.try_get::<String, _>(*column)?.into()));
    let row = columns.iter().map(value).collect::<Result<_, sqlx::Error>>()?;
    Ok(Line { table: table.to_owned(), row })
}

/// Takes everything in, a thousand lines at a time: what has been taken in stays where it breaks off, and is passed over the
/// next time.
///
/// # Errors
/// [`StoreError`] names the line.
pub async fn import(database: &Database, from: &Path) -> Result<(), StoreError> {
    let mut lines = BufReader::new(File::open(from).map_err(file(from))?);
    let (mut number, mut new, mut there) = (0_u64, 0, 0);
    loop {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_IN {
            let mut text = String::new();
            let read = io::Read::take(&mut lines, MAX_LINE).read_line(&mut text).map_err(file(from))?;
            if read == 0 {
                break;
            }
            number += 1;
            let wrong = |why: String| {
                Code::InvalidArgument.because(format!("`{}`: line {number}: {why}", from.display()))
            };
            chunk.push(Line::read(&text).map_err(|error| wrong(error.message))?);
        }
        if chunk.is_empty() {
            break;
        }
        let put = put(database, &chunk).await.map_err(DatabaseError::from)?;
        new += put;
        there += chunk.len() - put;
    }
    println!("{new} taken in, {there} were there already");
    Ok(())
}

/// How many of these were not there yet; they are there now.
async fn put(database: &Database, chunk: &[Line]) -> Result<usize, sqlx::Error> {
    let mut writing = database.write().await?;
    let mut new = 0;
    for table in TABLES {
        let lines: Vec<_> = chunk.iter().filter(|line| line.table == table.0).collect();
        for some in lines.chunks(AT_ONCE) {
            new += put_in(&mut writing, table, some).await?;
        }
    }
    writing.commit().await?;
    Ok(new)
}

/// The same of one table. Followers hear of them as of anything else that is filed.
async fn put_in(writing: &mut Writing<'_>, table: &Table, lines: &[&Line]) -> Result<usize, sqlx::Error> {
    let (table, columns) = table;
    let numbered = writing.numbers(lines.len()).await?..;
    let (number, key) = if is_numbered(table) { (", seq", "CAST(seq AS TEXT)") } else { ("", "id") };
    let query = format!(
        "INSERT INTO {table} ({}{number}) VALUES {} ON CONFLICT DO NOTHING RETURNING {key}",
        columns.join(", "),
        places(lines.len(), columns.len() + usize::from(is_numbered(table))),
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(query));
    for (line, seq) in lines.iter().zip(numbered.clone()) {
        query = columns.iter().fold(query, |query, column| query.bind(line.text(column)));
        if is_numbered(table) {
            query = query.bind(seq);
        }
    }
    let new = query.fetch_all(writing.connection()).await?;
    let new = new.iter().map(|row| row.try_get(0)).collect::<Result<BTreeSet<String>, _>>()?;
    let keys = lines.iter().zip(numbered).map(|(line, seq)| {
        let key = if is_numbered(table) { seq.to_string() } else { line.text("id").to_owned() };
        (*line, seq, key)
    });
    let told: Vec<_> =
        keys.filter(|(.., key)| new.contains(key)).map(|(line, seq, _)| (line, seq, line.names())).collect();
    let changes: Vec<_> = told.iter().map(|(line, seq, names)| (*seq, line.change(names))).collect();
    if !changes.is_empty() {
        log_all(writing, &changes).await?;
    }
    Ok(changes.len())
}

impl Line {
    /// One that could have been filed by a call. What follows from its body is taken from there.
    fn read(text: &str) -> Result<Self, ApiError> {
        let mut line: Self = serde_json::from_str(text)?;
        let wrong = |why: String| Code::InvalidArgument.because(why);
        let table = TABLES.iter().find(|(table, _)| *table == line.table);
        let (table, columns) = table
            .ok_or_else(|| wrong(format!("there is no table `{}`", crate::text::shown(&line.table, 60))))?;
        if let Some(column) =
            columns.iter().find(|column| !line.row.get(**column).is_some_and(Value::is_string))
        {
            return Err(wrong(format!("a row of {table} has no `{column}`")));
        }
        if *table == "principals" {
            let mut roles = line.text("roles").split(',').filter(|role| !role.is_empty());
            return match roles.find_map(|role| role.parse::<Role>().err()) {
                Some(why) => Err(wrong(why)),
                None => Ok(line),
            };
        }
        let (project, id) = (line.text("project"), line.text("id"));
        if !is_project(project) || !(id.is_empty() || some_id(id).is_some()) {
            return Err(wrong(format!(
                "`{}` is no name",
                crate::text::shown(&format!("{project}/{id}"), 100)
            )));
        }
        let body = serde_json::from_str::<serde_json::Map<String, Value>>(line.text("body"));
        let body = body.map_err(|error| wrong(format!("the `body` of a row of {table}: {error}")))?;
        let is_kept = |name: &&str| *table != "documents" && body.contains_key(*name);
        if let Some(name) = ["name", "createTime", "updateTime"].iter().find(|name| is_kept(name)) {
            return Err(wrong(format!("the `body` of a row of {table} has `{name}`, which its columns say")));
        }
        let mut tell = |column: &str, value: &str| line.row.insert(column.to_owned(), value.into());
        match *table {
            "notes" => {
                tell("kind", Note::read(body.into(), Api::V1)?.kind);
            }
            "occurrences" => {
                let Filed { kind, note, resource, digest, .. } = Filed::read(body.into(), Api::V1)?;
                tell("kind", kind);
                tell("note_project", note.project());
                tell("note", note.id());
                tell("resource", &resource);
                tell("digest", &digest);
            }
            _ => {}
        }
        Ok(line)
    }

    fn text(&self, column: &str) -> &str {
        self.row.get(column).and_then(Value::as_str).unwrap_or_default()
    }

    /// As the log of changes has it: name, note, and what it is.
    fn names(&self) -> [String; 3] {
        let (project, id, body) = (self.text("project"), self.text("id"), self.text("body"));
        let note = format!("projects/{}/notes/{}", self.text("note_project"), self.text("note"));
        match self.table.as_str() {
            "occurrences" => [
                format!("projects/{project}/occurrences/{id}"),
                note,
                Digest::of(body.as_bytes()).to_string(),
            ],
            "notes" => [format!("projects/{project}/notes/{id}"), String::new(), body.to_owned()],
            "documents" => {
                let document = serde_json::from_str::<Value>(body).ok();
                let name = document.as_ref().and_then(|body| body.get("name")?.as_str()).unwrap_or(project);
                [name.to_owned(), String::new(), body.to_owned()]
            }
            _ => [self.text("name").to_owned(), String::new(), self.text("roles").to_owned()],
        }
    }

    fn change<'a>(&'a self, [name, note, after]: &'a [String; 3]) -> Change<'a> {
        let (what, place) = match self.table.as_str() {
            "occurrences" => ("occurrence", (self.text("project"), self.text("id"))),
            "notes" => ("note", ("", "")),
            "documents" => (self.text("kind"), ("", "")),
            _ => ("access", ("", "")),
        };
        let resource = self.text("resource");
        Change { who: "import", what, name, place, note, resource, before: None, after: Some(after) }
    }
}

/// Whether its rows have numbers.
fn is_numbered(table: &str) -> bool {
    table != "principals"
}

/// Prints the log of changes.
///
/// # Errors
/// [`StoreError`]
pub async fn changes(database: &Database, mut after: i64) -> Result<(), StoreError> {
    let mut out = BufWriter::new(io::stdout());
    loop {
        let rows = sqlx::query(
            "SELECT seq, time, who, what, name, note, resource, before, after FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(CHUNK)
        .fetch_all(database.pool())
        .await
        .map_err(DatabaseError::from)?;
        let Some(last) = rows.last() else { break };
        for row in &rows {
            let change = change(row).map_err(DatabaseError::from)?;
            writeln!(out, "{change}")?;
        }
        after = last.try_get(0).map_err(DatabaseError::from)?;
    }
    out.flush()?;
    Ok(())
}

fn change(row: &AnyRow) -> Result<Value, sqlx::Error> {
    let text = |at: usize| row.try_get::<String, _>(at);
    let document = |at: usize| {
        let text = row.try_get::<Option<String>, _>(at)?;
        Ok::<_, sqlx::Error>(text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))))
    };
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(json!({
        "seq": row.try_get::<i64, _>(0)?, "time": text(1)?, "who": text(2)?, "what": text(3)?, "name": text(4)?,
        "noteName": given(text(5)?), "resourceUri": given(text(6)?), "before": document(7)?, "after": document(8)?,
    }))
}

fn file(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |cause| StoreError::File { path: path.display().to_string(), cause }
}
