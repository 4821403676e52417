//! Notes: what attestations hang on.

use serde_json::{Map, Value, json};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::access::Area;
use super::call::{Api, some_id};
use super::database::Writing;
use super::error::{ApiError, Code};
use super::filter::{Field, Filter, Row};
use super::grafeas::{self, Note};
use super::occurrences::MOST_AT_ONCE;
use super::paging::Paging;
use super::server::Asked;
use super::{changes, occurrences};
use crate::attestation::NoteName;

/// Rows that a filter is held against for one page; a page may have fewer than were asked for, and the token goes on.
const MOST_LOOKED_AT: usize = 20_000;
/// Rows that are read at a time.
const CHUNK: usize = 1_001;

struct Kept {
    seq: i64,
    name: String,
    kind: String,
    created: String,
    updated: String,
    body: Value,
}

impl Row for Kept {
    fn value(&self, field: Field) -> std::borrow::Cow<'_, str> {
        match field {
            Field::Name | Field::NoteName => self.name.as_str().into(),
            Field::Kind => self.kind.as_str().into(),
            Field::NoteProject => self.name.split('/').nth(1).unwrap_or_default().into(),
            Field::Note => self.name.split('/').nth(3).unwrap_or_default().into(),
            Field::Created => self.created.as_str().into(),
            Field::Updated => self.updated.as_str().into(),
            Field::Resource => "".into(),
        }
    }
}

/// `ListNotes`
pub(super) async fn list(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Notes)?;
    let text = asked.parameter("filter").unwrap_or_default();
    let filter = Filter::parse(text).map_err(|error| Code::InvalidArgument.because(error.to_string()))?;
    let paging = asked.paging(&format!("notes of {project}"), text)?;
    let mut page = Page::new(&paging, &filter);
    while page.wants_more() {
        let rows = sqlx::query(
            "SELECT seq, project, id, kind, created, updated, body FROM notes WHERE project = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(project)
        .bind(page.after)
        .bind(page.chunk())
        .fetch_all(asked.database().pool())
        .await?;
        page.take(rows.iter().map(kept).collect::<Result<Vec<_>, _>>()?);
    }
    let (rows, token) = page.done();
    let notes: Vec<_> = rows.into_iter().map(|note| whole(note, asked.api)).collect();
    Ok(json!({"notes": notes, "nextPageToken": token}))
}

/// `GetNote`
pub(super) async fn get(asked: &Asked<'_>, name: &NoteName) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Notes)?;
    let row = sqlx::query(
        "SELECT seq, project, id, kind, created, updated, body FROM notes WHERE project = $1 AND id = $2",
    );
    let row = row.bind(name.project()).bind(name.id()).fetch_optional(asked.database().pool()).await?;
    match row {
        Some(row) => Ok(whole(kept(&row)?, asked.api)),
        None => Err(missing(name)),
    }
}

/// `CreateNote`
pub(super) async fn create(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Notes)?;
    let id = asked.parameter("noteId").or_else(|| asked.parameter("note_id")).unwrap_or_default();
    let note = Note::read(asked.json()?, asked.api)?;
    let mut writing = asked.database().write().await?;
    let made = put(&mut writing, asked, project, id, note).await?;
    asked.made(writing).await?;
    Ok(grafeas::note_out(made, asked.api))
}

/// `BatchCreateNotes`
pub(super) async fn create_all(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Notes)?;
    let mut body = asked.json()?;
    let notes = match body.get_mut("notes").map(Value::take) {
        Some(Value::Object(notes)) if !notes.is_empty() => notes,
        _ => return Err(Code::InvalidArgument.because("`notes` is no object of notes by their ids")),
    };
    if notes.len() > MOST_AT_ONCE {
        return Err(Code::InvalidArgument.because(format!("more than the {MOST_AT_ONCE} allowed at once")));
    }
    let notes = notes.into_iter().map(|(id, note)| Ok((id, Note::read(note, asked.api)?)));
    let notes = notes.collect::<Result<Vec<_>, ApiError>>()?;
    let mut writing = asked.database().write().await?;
    let mut made = Vec::new();
    for (id, note) in notes {
        made.push(grafeas::note_out(put(&mut writing, asked, project, &id, note).await?, asked.api));
        writing.count_up().await?;
    }
    asked.made(writing).await?;
    Ok(json!({"notes": made}))
}

async fn put(
    writing: &mut Writing<'_>,
    asked: &Asked<'_>,
    project: &str,
    id: &str,
    note: Note,
) -> Result<Value, ApiError> {
    let id = some_id(id).ok_or_else(|| {
        Code::InvalidArgument
            .because("`noteId` is missing, or is no name: letters, digits, `-`, `_` and `.`, 128 at most")
    })?;
    let name = format!("projects/{project}/notes/{id}");
    let there = sqlx::query("SELECT 1 FROM notes WHERE project = $1 AND id = $2").bind(project).bind(&id);
    if there.fetch_optional(writing.connection()).await?.is_some() {
        return Err(Code::AlreadyExists.because(format!("`{name}` is there already")));
    }
    let body = Value::Object(note.body).to_string();
    let (seq, time) = (writing.seq, writing.time.clone());
    sqlx::query("INSERT INTO notes (seq, project, id, kind, created, updated, body) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(seq)
        .bind(project)
        .bind(&id)
        .bind(note.kind)
        .bind(&time)
        .bind(&time)
        .bind(&body)
        .execute(writing.connection())
        .await?;
    changes::log(writing, &asked.who.name, "note", &name, None, Some(&body)).await?;
    Ok(with(serde_json::from_str(&body)?, &name, &time, &time))
}

/// `UpdateNote`
pub(super) async fn update(asked: &Asked<'_>, name: &NoteName) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Notes)?;
    let update = asked.json()?;
    let mut writing = asked.database().write().await?;
    let before = read(&mut writing, name).await?;
    let Value::Object(members) = before.body.clone() else { return Err(missing(name)) };
    let note = Note::read(grafeas::updated(members, update, asked.mask(), asked.api, true)?, Api::V1)?;
    if note.kind != before.kind {
        return Err(
            Code::InvalidArgument.because(format!("the note is of kind {}, and stays so", before.kind))
        );
    }
    let body = Value::Object(note.body).to_string();
    let time = writing.time.clone();
    sqlx::query("UPDATE notes SET updated = $1, body = $2 WHERE project = $3 AND id = $4")
        .bind(&time)
        .bind(&body)
        .bind(name.project())
        .bind(name.id())
        .execute(writing.connection())
        .await?;
    let former = before.body.to_string();
    changes::log(&mut writing, &asked.who.name, "note", name.as_str(), Some(&former), Some(&body)).await?;
    asked.made(writing).await?;
    Ok(whole(Kept { updated: time, body: serde_json::from_str(&body)?, ..before }, asked.api))
}

/// `DeleteNote`; what is filed under it would be nobody's.
pub(super) async fn delete(asked: &Asked<'_>, name: &NoteName) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Notes)?;
    let mut writing = asked.database().write().await?;
    let before = read(&mut writing, name).await?;
    if occurrences::are_under(&mut writing, name).await? {
        return Err(Code::FailedPrecondition
            .because(format!("occurrences are filed under `{name}`: take them away first")));
    }
    sqlx::query("DELETE FROM notes WHERE project = $1 AND id = $2")
        .bind(name.project())
        .bind(name.id())
        .execute(writing.connection())
        .await?;
    let former = before.body.to_string();
    changes::log(&mut writing, &asked.who.name, "note", name.as_str(), Some(&former), None).await?;
    asked.made(writing).await?;
    Ok(json!({}))
}

/// The kind of a note that occurrences are filed under.
pub(super) async fn kind(writing: &mut Writing<'_>, name: &NoteName) -> Result<String, ApiError> {
    Ok(read(writing, name).await?.kind)
}

async fn read(writing: &mut Writing<'_>, name: &NoteName) -> Result<Kept, ApiError> {
    let row = sqlx::query(
        "SELECT seq, project, id, kind, created, updated, body FROM notes WHERE project = $1 AND id = $2",
    );
    let row = row.bind(name.project()).bind(name.id()).fetch_optional(writing.connection()).await?;
    kept(&row.ok_or_else(|| missing(name))?)
}

fn kept(row: &AnyRow) -> Result<Kept, ApiError> {
    let (project, id): (String, String) = (row.try_get(1)?, row.try_get(2)?);
    let body: String = row.try_get(6)?;
    Ok(Kept {
        seq: row.try_get(0)?,
        name: format!("projects/{project}/notes/{id}"),
        kind: row.try_get(3)?,
        created: row.try_get(4)?,
        updated: row.try_get(5)?,
        body: serde_json::from_str(&body)?,
    })
}

fn whole(note: Kept, api: Api) -> Value {
    grafeas::note_out(with(note.body, &note.name, &note.created, &note.updated), api)
}

/// With what the server says.
pub(super) fn with(body: Value, name: &str, created: &str, updated: &str) -> Value {
    let Value::Object(members) = body else { return body };
    let mut body = Map::from_iter([("name".to_owned(), name.into())]);
    body.extend(members);
    body.insert("createTime".to_owned(), created.into());
    body.insert("updateTime".to_owned(), updated.into());
    Value::Object(body)
}

fn missing(name: &NoteName) -> ApiError {
    Code::NotFound.because(format!("there is no note `{name}`"))
}

/// A page that is being filled.
pub(super) struct Page<'a, T> {
    paging: &'a Paging,
    filter: &'a Filter,
    rows: Vec<T>,
    pub(super) after: i64,
    looked_at: usize,
    /// The last row that was looked at, where there are more.
    rest: Option<i64>,
    is_over: bool,
}

/// A row with a number.
pub(super) trait Numbered: Row {
    fn seq(&self) -> i64;
}

impl Numbered for Kept {
    fn seq(&self) -> i64 {
        self.seq
    }
}

impl<'a, T: Numbered> Page<'a, T> {
    pub(super) fn new(paging: &'a Paging, filter: &'a Filter) -> Self {
        Self {
            paging,
            filter,
            rows: Vec::new(),
            after: paging.after,
            looked_at: 0,
            rest: None,
            is_over: false,
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        !self.is_over
    }

    /// How many rows are read next: no more than are given, where each of them is.
    pub(super) fn chunk(&self) -> i64 {
        let rows = if *self.filter == Filter::All { CHUNK.min(self.paging.size + 1) } else { CHUNK };
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    /// Takes the next [`chunk`](Self::chunk) of rows; fewer are the last.
    pub(super) fn take(&mut self, chunk: Vec<T>) {
        let is_last = i64::try_from(chunk.len()).is_ok_and(|rows| rows < self.chunk());
        for row in chunk {
            self.looked_at += 1;
            if !self.filter.keeps(&row) {
                self.after = row.seq();
                continue;
            }
            if self.rows.len() == self.paging.size {
                self.rest = Some(self.after);
                self.is_over = true;
                return;
            }
            self.after = row.seq();
            self.rows.push(row);
        }
        if is_last {
            self.is_over = true;
        } else if self.looked_at >= MOST_LOOKED_AT {
            self.rest = Some(self.after);
            self.is_over = true;
        }
    }

    /// The rows, and the token of the next page; empty at the end.
    pub(super) fn done(self) -> (Vec<T>, String) {
        (self.rows, self.rest.map(|rest| self.paging.token(rest)).unwrap_or_default())
    }
}
