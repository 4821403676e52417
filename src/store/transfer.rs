//! All of it, out and in, as lines of JSON.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;
use super::changes::Change;
use super::database::{Database, DatabaseError, Writing};
use super::error::Code;
use crate::image::Digest;

/// Rows that are read at a time.
const CHUNK: i64 = 1_000;
/// The longest line that is taken, in bytes.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// The tables, in the order in which they are filled, and their columns of text.
const TABLES: &[(&str, &[&str])] = &[
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

/// Writes everything.
///
/// # Errors
/// [`StoreError`]
pub async fn export(database: &Database, to: Option<&Path>) -> Result<(), StoreError> {
    let mut out: Box<dyn Write> = match to {
        Some(path) => Box::new(File::create(path).map_err(file(path))?),
        None => Box::new(io::stdout()),
    };
    let mut out = BufWriter::new(&mut out);
    for (table, columns) in TABLES {
        // Those without a number are few.
        let is_numbered = *table != "principals";
        let (order, number) = if is_numbered { ("seq", "seq, ") } else { ("id", "") };
        let mut after = 0;
        loop {
            let all = columns.join(", ");
            let query = match is_numbered {
                true => format!("SELECT {number}{all} FROM {table} WHERE seq > $1 ORDER BY {order} LIMIT $2"),
                false => format!("SELECT {all} FROM {table} WHERE $1 = 0 ORDER BY {order} LIMIT $2"),
            };
            let limit = if is_numbered { CHUNK } else { i64::MAX };
            let rows = sqlx::query(sqlx::AssertSqlSafe(query))
                .bind(after)
                .bind(limit)
                .fetch_all(database.pool())
                .await;
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
    let (mut number, mut new, mut there) = (0_u64, 0_u64, 0_u64);
    loop {
        let mut chunk = Vec::new();
        while chunk.len() < 1_000 {
            let mut text = String::new();
            let read = io::Read::take(&mut lines, MAX_LINE).read_line(&mut text).map_err(file(from))?;
            if read == 0 {
                break;
            }
            number += 1;
            let line: Line = serde_json::from_str(&text).map_err(|error| {
                Code::InvalidArgument.because(format!("`{}`: line {number}: {error}", from.display()))
            })?;
            chunk.push(line);
        }
        if chunk.is_empty() {
            break;
        }
        let mut writing = database.write().await.map_err(DatabaseError::from)?;
        for line in chunk {
            if put(&mut writing, &line).await? {
                new += 1;
                writing.count_up().await.map_err(DatabaseError::from)?;
            } else {
                there += 1;
            }
        }
        writing.commit().await.map_err(DatabaseError::from)?;
    }
    println!("{new} taken in, {there} were there already");
    Ok(())
}

/// Whether it was not there yet.
async fn put(writing: &mut Writing<'_>, line: &Line) -> Result<bool, StoreError> {
    let Some((table, columns)) = TABLES.iter().find(|(table, _)| *table == line.table) else {
        return Err(Code::InvalidArgument
            .because(format!("there is no table `{}`", crate::text::shown(&line.table, 60)))
            .into());
    };
    let is_numbered = *table != "principals";
    let mut names: Vec<&str> = columns.to_vec();
    if is_numbered {
        names.push("seq");
    }
    let places: Vec<_> = (1..=names.len()).map(|place| format!("${place}")).collect();
    let query = format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
        names.join(", "),
        places.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(query));
    for column in *columns {
        let Some(text) = line.row.get(*column).and_then(Value::as_str) else {
            return Err(Code::InvalidArgument.because(format!("a row of {table} has no `{column}`")).into());
        };
        query = query.bind(text.to_owned());
    }
    if is_numbered {
        query = query.bind(writing.seq);
    }
    let done = query.execute(writing.connection()).await.map_err(DatabaseError::from)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    tell(writing, line).await.map_err(DatabaseError::from)?;
    Ok(true)
}

/// Followers hear of it as of anything else that is filed.
async fn tell(writing: &mut Writing<'_>, line: &Line) -> Result<(), sqlx::Error> {
    let text = |name: &str| line.row.get(name).and_then(Value::as_str).unwrap_or_default();
    let (project, id, body) = (text("project"), text("id"), text("body"));
    let change = Change { who: "import", ..Change::default() };
    match line.table.as_str() {
        "occurrences" => {
            let name = format!("projects/{project}/occurrences/{id}");
            let note = format!("projects/{}/notes/{}", text("note_project"), text("note"));
            let of = Digest::of(body.as_bytes()).to_string();
            let (what, resource) = ("occurrence", text("resource"));
            Change {
                what,
                name: &name,
                place: (project, id),
                note: &note,
                resource,
                after: Some(&of),
                ..change
            }
            .log(writing)
            .await
        }
        "notes" => {
            let name = format!("projects/{project}/notes/{id}");
            Change { what: "note", name: &name, after: Some(body), ..change }.log(writing).await
        }
        "documents" => {
            let name = serde_json::from_str::<Value>(body).ok();
            let name = name.as_ref().and_then(|body| body.get("name")?.as_str()).unwrap_or(project);
            Change { what: text("kind"), name, after: Some(body), ..change }.log(writing).await
        }
        _ => {
            Change { what: "access", name: text("name"), after: Some(text("roles")), ..change }
                .log(writing)
                .await
        }
    }
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
