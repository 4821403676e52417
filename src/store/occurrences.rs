//! Occurrences: attestations, and whatever else is filed under notes.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row as _};

use super::access::{Area, random};
use super::call::{Api, Id};
use super::changes::Change;
use super::database::Writing;
use super::error::{ApiError, Code};
use super::filter::{Comparison, Field, Filter, Row};
use super::grafeas::{self, Filed};
use super::notes;
use super::paging::{self, Numbered};
use super::server::Asked;
use crate::attestation::NoteName;
use crate::image::Digest;

/// Occurrences of one call (`BatchCreateOccurrences`).
pub(super) const MOST_AT_ONCE: usize = 1_000;
/// Bytes of the name that the server gives.
const ID: usize = 16;

const COLUMNS: &str = "seq, project, id, note_project, note, kind, resource, created, updated, body";

struct Kept {
    seq: i64,
    name: String,
    note: NoteName,
    kind: String,
    resource: String,
    created: String,
    updated: String,
    body: String,
}

impl Row for Kept {
    fn value(&self, field: Field) -> std::borrow::Cow<'_, str> {
        match field {
            Field::Name => self.name.as_str(),
            Field::NoteName => self.note.as_str(),
            Field::NoteProject => self.note.project(),
            Field::Note => self.note.id(),
            Field::Kind => &self.kind,
            Field::Resource => &self.resource,
            Field::Created => &self.created,
            Field::Updated => &self.updated,
        }
        .into()
    }
}

impl Numbered for Kept {
    fn seq(&self) -> i64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        self.body.len()
    }
}

/// What a list is of.
enum Of<'a> {
    Project(&'a str),
    Note(&'a NoteName),
}

/// A page, as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    occurrences: Vec<Box<RawValue>>,
    next_page_token: String,
}

/// `ListOccurrences`: a page as a text.
pub(super) async fn list(asked: &Asked<'_>, project: &str) -> Result<String, ApiError> {
    listed(asked, &Of::Project(project), &format!("occurrences of {project}")).await
}

/// `ListNoteOccurrences`: a page as a text.
pub(super) async fn list_of_note(asked: &Asked<'_>, note: &NoteName) -> Result<String, ApiError> {
    listed(asked, &Of::Note(note), &format!("occurrences of {note}")).await
}

async fn listed(asked: &Asked<'_>, of: &Of<'_>, list: &str) -> Result<String, ApiError> {
    asked.who.may_see(Area::Occurrences)?;
    let text = asked.parameter("filter").unwrap_or_default();
    let filter = Filter::parse(text).map_err(|error| Code::InvalidArgument.because(error.to_string()))?;
    let paging = asked.paging(list, text)?;
    let (narrow, project, id) = match of {
        Of::Project(project) => ("project = $3 AND $4 = ''", *project, ""),
        Of::Note(note) => ("note_project = $3 AND note = $4", note.project(), note.id()),
    };
    // Candidates by the index that finds the fewest. What the filter says is bound, never written into the query.
    let digest = pinned_digest(&filter);
    let by_digest = if digest.is_some() { "digest = $5" } else { "$5 = ''" };
    let query = format!(
        "SELECT {COLUMNS} FROM occurrences WHERE {narrow} AND {by_digest} AND seq > $1 ORDER BY seq LIMIT $2"
    );
    let bound = [project, id, digest.as_deref().unwrap_or_default()];
    let (rows, token) = paging::page(asked.database(), &paging, &filter, &query, &bound, kept).await?;
    let all = rows.into_iter().map(|one| match asked.api {
        Api::V1 => as_text(&one),
        Api::V1Beta1 => Ok(serde_json::value::to_raw_value(&whole(one, asked.api)?)?),
    });
    let listed = Listed { occurrences: all.collect::<Result<_, _>>()?, next_page_token: token };
    Ok(serde_json::to_string(&listed)?)
}

/// The digest that every match is of, where the filter names one.
fn pinned_digest(filter: &Filter) -> Option<String> {
    let of = |comparison| filter.pinned(Field::Resource, comparison);
    let text = of(Comparison::Equal).or_else(|| of(Comparison::Suffix))?;
    let digest = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
    digest.parse::<Digest>().ok().map(|digest| digest.to_string())
}

/// `GetOccurrence`
pub(super) async fn get(asked: &Asked<'_>, id: &Id) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Occurrences)?;
    whole(read(asked.database().pool(), id).await?, asked.api)
}

/// `GetOccurrenceNote`
pub(super) async fn note(asked: &Asked<'_>, id: &Id) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Occurrences)?;
    let occurrence = read(asked.database().pool(), id).await?;
    notes::get(asked, &occurrence.note).await
}

/// `CreateOccurrence`
pub(super) async fn create(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    let filed = Filed::read(asked.json()?, asked.api)?;
    asked.who.may_attach(&filed.note)?;
    let mut writing = asked.database().write().await?;
    let made = put(&mut writing, asked, project, filed).await?;
    asked.made(writing).await?;
    Ok(grafeas::occurrence_out(made, asked.api))
}

/// `BatchCreateOccurrences`: all of them, or none.
pub(super) async fn create_all(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    let mut body = asked.json()?;
    let all = match body.get_mut("occurrences").map(Value::take) {
        Some(Value::Array(all)) if !all.is_empty() => all,
        _ => return Err(Code::InvalidArgument.because("`occurrences` is no list of occurrences")),
    };
    if all.len() > MOST_AT_ONCE {
        return Err(Code::InvalidArgument.because(format!("more than the {MOST_AT_ONCE} allowed at once")));
    }
    let mut read = Vec::new();
    for (place, one) in all.into_iter().enumerate() {
        let wrong = |error: ApiError| error.code.because(format!("occurrences[{place}]: {error}"));
        let filed = Filed::read(one, asked.api).map_err(wrong)?;
        asked.who.may_attach(&filed.note).map_err(wrong)?;
        read.push(filed);
    }
    let mut writing = asked.database().write().await?;
    let mut made = Vec::new();
    for filed in read {
        if !made.is_empty() {
            writing.count_up().await?;
        }
        made.push(grafeas::occurrence_out(put(&mut writing, asked, project, filed).await?, asked.api));
    }
    asked.made(writing).await?;
    Ok(json!({"occurrences": made}))
}

async fn put(
    writing: &mut Writing<'_>,
    asked: &Asked<'_>,
    project: &str,
    filed: Filed,
) -> Result<Value, ApiError> {
    let kind = notes::kind(writing, &filed.note).await?;
    // An envelope is another way to attest.
    if kind != filed.kind && !(kind == "ATTESTATION" && filed.kind == "DSSE_ATTESTATION") {
        return Err(Code::InvalidArgument
            .because(format!("`{}` is of kind {kind}, the occurrence of kind {}", filed.note, filed.kind)));
    }
    let id = random::<ID>().map_err(|error| Code::Unavailable.because(error.to_string()))?;
    let body = Value::Object(filed.body).to_string();
    let (seq, time) = (writing.seq, writing.time.clone());
    sqlx::query(
        "INSERT INTO occurrences (seq, project, id, note_project, note, kind, resource, digest, created, updated, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(seq)
    .bind(project)
    .bind(&id)
    .bind(filed.note.project())
    .bind(filed.note.id())
    .bind(filed.kind)
    .bind(&filed.resource)
    .bind(&filed.digest)
    .bind(&time)
    .bind(&time)
    .bind(&body)
    .execute(writing.connection())
    .await?;
    let name = format!("projects/{project}/occurrences/{id}");
    let of = Digest::of(body.as_bytes()).to_string();
    Change {
        who: &asked.who.name,
        what: "occurrence",
        name: &name,
        place: (project, &id),
        note: filed.note.as_str(),
        resource: &filed.resource,
        before: None,
        after: Some(&of),
    }
    .log(writing)
    .await?;
    Ok(notes::with(serde_json::from_str(&body)?, &name, &time, &time))
}

/// `UpdateOccurrence`
pub(super) async fn update(asked: &Asked<'_>, id: &Id) -> Result<Value, ApiError> {
    let update = asked.json()?;
    let mut writing = asked.database().write().await?;
    let before = read(writing.connection(), id).await?;
    asked.who.may_attach(&before.note)?;
    let Value::Object(members) = serde_json::from_str(&before.body)? else { return Err(missing(id)) };
    let filed = Filed::read(grafeas::updated(members, update, asked.mask(), asked.api, false)?, Api::V1)?;
    if filed.kind != before.kind {
        return Err(
            Code::InvalidArgument.because(format!("the occurrence is of kind {}, and stays so", before.kind))
        );
    }
    let body = Value::Object(filed.body).to_string();
    let time = writing.time.clone();
    sqlx::query("UPDATE occurrences SET updated = $1, body = $2 WHERE project = $3 AND id = $4")
        .bind(&time)
        .bind(&body)
        .bind(&id.project)
        .bind(&id.id)
        .execute(writing.connection())
        .await?;
    tell(&mut writing, asked, id, &before, Some(&body)).await?;
    asked.made(writing).await?;
    whole(Kept { updated: time, body, ..before }, asked.api)
}

/// `DeleteOccurrence`
pub(super) async fn delete(asked: &Asked<'_>, id: &Id) -> Result<Value, ApiError> {
    let mut writing = asked.database().write().await?;
    let before = read(writing.connection(), id).await?;
    asked.who.may_attach(&before.note)?;
    sqlx::query("DELETE FROM occurrences WHERE project = $1 AND id = $2")
        .bind(&id.project)
        .bind(&id.id)
        .execute(writing.connection())
        .await?;
    tell(&mut writing, asked, id, &before, None).await?;
    asked.made(writing).await?;
    Ok(json!({}))
}

async fn tell(
    writing: &mut Writing<'_>,
    asked: &Asked<'_>,
    id: &Id,
    before: &Kept,
    after: Option<&str>,
) -> Result<(), ApiError> {
    let of = |body: &str| Digest::of(body.as_bytes()).to_string();
    let (former, after) = (of(&before.body), after.map(of));
    let change = Change {
        who: &asked.who.name,
        what: "occurrence",
        name: &before.name,
        place: (&id.project, &id.id),
        note: before.note.as_str(),
        resource: &before.resource,
        before: Some(&former),
        after: after.as_deref(),
    };
    Ok(change.log(writing).await?)
}

/// Whether anything is filed under a note.
pub(super) async fn are_under(writing: &mut Writing<'_>, note: &NoteName) -> Result<bool, ApiError> {
    let one = sqlx::query("SELECT 1 FROM occurrences WHERE note_project = $1 AND note = $2 LIMIT 1");
    let one = one.bind(note.project()).bind(note.id()).fetch_optional(writing.connection()).await?;
    Ok(one.is_some())
}

async fn read(from: impl Executor<'_, Database = Any>, id: &Id) -> Result<Kept, ApiError> {
    let query = format!("SELECT {COLUMNS} FROM occurrences WHERE project = $1 AND id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(&id.project).bind(&id.id);
    kept(&row.fetch_optional(from).await?.ok_or_else(|| missing(id))?)
}

fn kept(row: &AnyRow) -> Result<Kept, ApiError> {
    let text = |at: usize| row.try_get::<String, _>(at);
    let note = format!("projects/{}/notes/{}", text(3)?, text(4)?);
    Ok(Kept {
        seq: row.try_get(0)?,
        name: format!("projects/{}/occurrences/{}", text(1)?, text(2)?),
        note: note.parse().map_err(|error| Code::Unavailable.because(format!("the database: {error}")))?,
        kind: text(5)?,
        resource: text(6)?,
        created: text(7)?,
        updated: text(8)?,
        body: text(9)?,
    })
}

fn whole(one: Kept, api: Api) -> Result<Value, ApiError> {
    let body = serde_json::from_str(&one.body)?;
    Ok(grafeas::occurrence_out(notes::with(body, &one.name, &one.created, &one.updated), api))
}

/// The same as v1 writes it, without taking the body apart: there may be a thousand of them.
fn as_text(one: &Kept) -> Result<Box<RawValue>, ApiError> {
    let open = one.body.strip_suffix('}').ok_or_else(|| {
        Code::Unavailable.because(format!("the database: `{}` is no JSON object", one.name))
    })?;
    let (created, updated, name) = (json!(one.created), json!(one.updated), json!(one.name));
    Ok(RawValue::from_string(format!(
        "{open},\"createTime\":{created},\"name\":{name},\"updateTime\":{updated}}}"
    ))?)
}

fn missing(id: &Id) -> ApiError {
    Code::NotFound.because(format!("there is no occurrence `projects/{}/occurrences/{}`", id.project, id.id))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_what_a_question_for_one_has() {
        let kept = |body: &str| Kept {
            seq: 1,
            name: "projects/p/occurrences/o".to_owned(),
            note: "projects/p/notes/n".parse().unwrap(),
            kind: "BUILD".to_owned(),
            resource: "r".to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            updated: "2026-01-02T00:00:00Z".to_owned(),
            body: body.to_owned(),
        };
        let body =
            r#"{"build":{"a":"}"},"kind":"BUILD","noteName":"projects/p/notes/n","resourceUri":"\"r"}"#;
        let text = as_text(&kept(body)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(text.get()).unwrap(), whole(kept(body), Api::V1).unwrap());
        for broken in ["", "{}", "[1]", r#"{"a":1"#, r#"{"a":1}}"#, r#"x}"#] {
            assert!(as_text(&kept(broken)).is_err(), "{broken}");
        }
    }
}
