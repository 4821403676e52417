//! Notes: what attestations hang on.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row as _};

use super::access::Area;
use super::call::{Api, some_id};
use super::database::Writing;
use super::error::{ApiError, Code};
use super::filter::{Field, Filter, Row};
use super::grafeas::{self, Note};
use super::occurrences::MOST_AT_ONCE;
use super::paging::{self, Numbered};
use super::server::Asked;
use super::{changes, occurrences};
use crate::attestation::NoteName;

struct Kept {
    seq: i64,
    name: String,
    kind: String,
    created: String,
    updated: String,
    body: String,
}

/// A page, as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    notes: Vec<Box<RawValue>>,
    next_page_token: String,
}

impl Numbered for Kept {
    fn seq(&self) -> i64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        self.body.len()
    }
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

/// `ListNotes`: a page as a text, of which one note at a time is taken apart.
pub(super) async fn list(asked: &Asked<'_>, project: &str) -> Result<String, ApiError> {
    asked.who.may_see(Area::Notes)?;
    let text = asked.parameter("filter").unwrap_or_default();
    let filter = Filter::parse(text).map_err(|error| Code::InvalidArgument.because(error.to_string()))?;
    let paging = asked.paging(&format!("notes of {project}"), text)?;
    let query = "SELECT seq, project, id, kind, created, updated, body FROM notes WHERE project = $3 \
                 AND seq > $1 ORDER BY seq LIMIT $2";
    let (rows, token) = paging::page(asked.database(), &paging, &filter, query, &[project], kept).await?;
    let notes = rows.into_iter().map(|note| Ok(to_raw_value(&whole(note, asked.api)?)?));
    let listed = Listed { notes: notes.collect::<Result<_, ApiError>>()?, next_page_token: token };
    Ok(serde_json::to_string(&listed)?)
}

/// `GetNote`
pub(super) async fn get(asked: &Asked<'_>, name: &NoteName) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Notes)?;
    whole(read(asked.database().pool(), name).await?, asked.api)
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
    let before = read(writing.connection(), name).await?;
    let Value::Object(members) = serde_json::from_str(&before.body)? else { return Err(missing(name)) };
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
    let former = Some(before.body.as_str());
    changes::log(&mut writing, &asked.who.name, "note", name.as_str(), former, Some(&body)).await?;
    asked.made(writing).await?;
    whole(Kept { updated: time, body, ..before }, asked.api)
}

/// `DeleteNote`; what is filed under it would be nobody's.
pub(super) async fn delete(asked: &Asked<'_>, name: &NoteName) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Notes)?;
    let mut writing = asked.database().write().await?;
    let before = read(writing.connection(), name).await?;
    if occurrences::are_under(&mut writing, name).await? {
        return Err(Code::FailedPrecondition
            .because(format!("occurrences are filed under `{name}`: take them away first")));
    }
    sqlx::query("DELETE FROM notes WHERE project = $1 AND id = $2")
        .bind(name.project())
        .bind(name.id())
        .execute(writing.connection())
        .await?;
    changes::log(&mut writing, &asked.who.name, "note", name.as_str(), Some(&before.body), None).await?;
    asked.made(writing).await?;
    Ok(json!({}))
}

/// The kind of a note that occurrences are filed under.
pub(super) async fn kind(writing: &mut Writing<'_>, name: &NoteName) -> Result<String, ApiError> {
    Ok(read(writing.connection(), name).await?.kind)
}

async fn read(from: impl Executor<'_, Database = Any>, name: &NoteName) -> Result<Kept, ApiError> {
    let row = sqlx::query(
        "SELECT seq, project, id, kind, created, updated, body FROM notes WHERE project = $1 AND id = $2",
    );
    let row = row.bind(name.project()).bind(name.id()).fetch_optional(from).await?;
    kept(&row.ok_or_else(|| missing(name))?)
}

fn kept(row: &AnyRow) -> Result<Kept, ApiError> {
    let (project, id): (String, String) = (row.try_get(1)?, row.try_get(2)?);
    Ok(Kept {
        seq: row.try_get(0)?,
        name: format!("projects/{project}/notes/{id}"),
        kind: row.try_get(3)?,
        created: row.try_get(4)?,
        updated: row.try_get(5)?,
        body: row.try_get(6)?,
    })
}

fn whole(note: Kept, api: Api) -> Result<Value, ApiError> {
    let body = serde_json::from_str(&note.body)?;
    Ok(grafeas::note_out(with(body, &note.name, &note.created, &note.updated), api))
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
