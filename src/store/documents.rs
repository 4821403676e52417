//! Documents that are replaced as a whole: policies, attestors, platform policies, policy bundles.
//!
//! Each is read by the parser that the nodes use before it is kept: what no node would take is not stored either. Bundles
//! are opaque: whether one is to be obeyed, the nodes find out by their own keys.

use serde_json::{Value, json};
use sqlx::{Any, Executor, Row as _};

use super::access::Area;
use super::call::{Api, Id, some_id};
use super::changes;
use super::database::Writing;
use super::enums;
use super::error::{ApiError, Code};
use super::filter::{Field, Filter, Row};
use super::grafeas::rename;
use super::paging::{self, Numbered};
use super::server::Asked;
use crate::attestation::attestor::AttestorDocument;
use crate::attestation::{Attestor, AttestorName, Evidence, KeyRing, Occurrence, verify};
use crate::decision::attestors::explain;
use crate::document::{Format, Version};
use crate::policy::{Options, PlatformPolicy, Policy};

/// What is kept, and under which word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Policy,
    Attestor,
    PlatformPolicy,
    Bundle,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Attestor => "attestor",
            Self::PlatformPolicy => "platform policy",
            Self::Bundle => "bundle",
        }
    }

    fn name(self, project: &str, id: &str) -> String {
        match self {
            Self::Policy => format!("projects/{project}/policy"),
            Self::Attestor => format!("projects/{project}/attestors/{id}"),
            Self::PlatformPolicy => format!("projects/{project}/platforms/gke/policies/{id}"),
            Self::Bundle => format!("projects/{project}/bundle"),
        }
    }
}

/// The etag of what was never put, so that of two who put it first one is told.
const NEVER_PUT: &str = "\"0\"";

struct Kept {
    seq: i64,
    etag: String,
    body: Value,
    /// Of the body, as a text.
    bytes: usize,
}

impl Row for Kept {
    fn value(&self, _: Field) -> std::borrow::Cow<'_, str> {
        "".into()
    }
}

impl Numbered for Kept {
    fn seq(&self) -> i64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What becomes of a document of that name that is there, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    New,
    There,
    Either,
}

/// `GetPolicy`; one that allows everything where none was ever set.
pub(super) async fn policy(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Policies)?;
    Ok(get(asked, Kind::Policy, project, "").await?.map_or_else(
        || {
            json!({
                "name": Kind::Policy.name(project, ""),
                "etag": NEVER_PUT,
                "globalPolicyEvaluationMode": "ENABLE",
                "defaultAdmissionRule": {
                    "evaluationMode": "ALWAYS_ALLOW",
                    "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
                },
            })
        },
        |kept| kept.body,
    ))
}

/// `UpdatePolicy`
pub(super) async fn put_policy(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Policies)?;
    let body = document(asked)?;
    let policy = Policy::parse(body.to_string().as_bytes(), Format::Json, Options::default())
        .map_err(|error| Code::InvalidArgument.because(crate::chain(&error)))?;
    let mut writing = asked.database().write().await?;
    for attestor in policy.attestors() {
        if read(writing.connection(), Kind::Attestor, attestor.project(), attestor.id()).await?.is_none() {
            return Err(Code::FailedPrecondition
                .because(format!("there is no attestor `{attestor}`: create it first")));
        }
    }
    put(asked, writing, Kind::Policy, (project, ""), body, When::Either).await
}

/// `ListAttestors`
pub(super) async fn attestors(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Attestors)?;
    let (all, token) = list(asked, Kind::Attestor, project).await?;
    let all: Vec<_> = all.into_iter().map(|body| attestor_out(body, asked.api)).collect();
    Ok(json!({"attestors": all, "nextPageToken": token}))
}

/// `GetAttestor`
pub(super) async fn attestor(asked: &Asked<'_>, name: &AttestorName) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Attestors)?;
    let kept = get(asked, Kind::Attestor, name.project(), name.id()).await?;
    Ok(attestor_out(kept.ok_or_else(|| missing(name.as_str()))?.body, asked.api))
}

/// `CreateAttestor`
pub(super) async fn create_attestor(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Attestors)?;
    let id = asked.parameter("attestorId").or_else(|| asked.parameter("attestor_id")).unwrap_or_default();
    let id =
        some_id(id).ok_or_else(|| Code::InvalidArgument.because("`attestorId` is missing, or is no name"))?;
    put_attestor(asked, project, &id, When::New).await
}

/// `UpdateAttestor`
pub(super) async fn update_attestor(asked: &Asked<'_>, name: &AttestorName) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Attestors)?;
    put_attestor(asked, name.project(), name.id(), When::There).await
}

async fn put_attestor(asked: &Asked<'_>, project: &str, id: &str, when: When) -> Result<Value, ApiError> {
    let mut body = document(asked)?;
    if let Some(members) = body.as_object_mut() {
        members.insert("name".to_owned(), Kind::Attestor.name(project, id).into());
    }
    let bytes = body.to_string();
    let wrong = |error: &dyn std::error::Error| Code::InvalidArgument.because(crate::chain(error));
    let attestor = Attestor::parse(bytes.as_bytes(), Format::Json).map_err(|error| wrong(&error))?;
    let mut document: AttestorDocument = serde_json::from_str(&bytes)?;
    // A key is named by its id, which the server gives where nobody has.
    for (document, key) in document.user_owned_grafeas_note.public_keys.iter_mut().zip(attestor.keys()) {
        document.id.get_or_insert_with(|| key.id.to_string());
    }
    let body = serde_json::to_value(document)?;
    let writing = asked.database().write().await?;
    Ok(attestor_out(put(asked, writing, Kind::Attestor, (project, id), body, when).await?, asked.api))
}

/// `DeleteAttestor`
pub(super) async fn delete_attestor(asked: &Asked<'_>, name: &AttestorName) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Attestors)?;
    delete(asked, Kind::Attestor, name.project(), name.id()).await
}

/// `ValidateAttestationOccurrence`
pub(super) async fn validate(asked: &Asked<'_>, name: &AttestorName) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Attestors)?;
    let kept = get(asked, Kind::Attestor, name.project(), name.id()).await?;
    let kept = kept.ok_or_else(|| missing(name.as_str()))?;
    let broken = |error: &dyn std::error::Error| Code::Unavailable.because(crate::chain(error));
    let attestor =
        Attestor::parse(kept.body.to_string().as_bytes(), Format::Json).map_err(|error| broken(&error))?;
    let body = asked.json()?;
    let of = |name: &str| body.get(name).cloned().unwrap_or_default();
    let document = json!({
        "resourceUri": of("occurrenceResourceUri"),
        "noteName": of("occurrenceNote"),
        "attestation": of("attestation"),
    });
    let denied = |reason: String| json!({"result": "ATTESTATION_NOT_VERIFIABLE", "denialReason": reason});
    let occurrence = match Occurrence::parse(document.to_string().as_bytes()) {
        Ok(occurrence) => occurrence,
        Err(error) => return Ok(denied(crate::chain(&error))),
    };
    let key_ring = KeyRing::new([attestor]);
    let evidence = Evidence::gather(occurrence.digest, [&occurrence], &key_ring);
    Ok(match evidence.finding(name) {
        Some(Ok(_)) => json!({"result": "VERIFIED"}),
        Some(Err(verify::Miss::NoAttestation)) => denied(format!(
            "`{}` is not the note of this attestor",
            crate::text::shown(&occurrence.note, 200)
        )),
        Some(Err(miss)) => denied(explain(miss)),
        None => denied("nothing was found".to_owned()),
    })
}

/// `ListPlatformPolicies`
pub(super) async fn platform_policies(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Policies)?;
    let (all, token) = list(asked, Kind::PlatformPolicy, project).await?;
    Ok(json!({"platformPolicies": all, "nextPageToken": token}))
}

/// `GetPlatformPolicy`
pub(super) async fn platform_policy(asked: &Asked<'_>, id: &Id) -> Result<Value, ApiError> {
    asked.who.may_see(Area::Policies)?;
    let kept = get(asked, Kind::PlatformPolicy, &id.project, &id.id).await?;
    Ok(kept.ok_or_else(|| missing(&Kind::PlatformPolicy.name(&id.project, &id.id)))?.body)
}

/// `CreatePlatformPolicy`
pub(super) async fn create_platform_policy(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Policies)?;
    let id = asked.parameter("policyId").or_else(|| asked.parameter("policy_id")).unwrap_or_default();
    let id =
        some_id(id).ok_or_else(|| Code::InvalidArgument.because("`policyId` is missing, or is no name"))?;
    put_platform_policy(asked, project, &id, When::New).await
}

/// `ReplacePlatformPolicy`
pub(super) async fn update_platform_policy(asked: &Asked<'_>, id: &Id) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Policies)?;
    put_platform_policy(asked, &id.project, &id.id, When::There).await
}

async fn put_platform_policy(
    asked: &Asked<'_>,
    project: &str,
    id: &str,
    when: When,
) -> Result<Value, ApiError> {
    let body = document(asked)?;
    PlatformPolicy::parse(body.to_string().as_bytes(), Format::Json)
        .map_err(|error| Code::InvalidArgument.because(crate::chain(&error)))?;
    let writing = asked.database().write().await?;
    put(asked, writing, Kind::PlatformPolicy, (project, id), body, when).await
}

/// `DeletePlatformPolicy`
pub(super) async fn delete_platform_policy(asked: &Asked<'_>, id: &Id) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Policies)?;
    delete(asked, Kind::PlatformPolicy, &id.project, &id.id).await
}

/// A policy bundle, as it was put, and its etag.
pub(super) async fn bundle(asked: &Asked<'_>, project: &str) -> Result<(Value, String), ApiError> {
    asked.who.may_see(Area::Policies)?;
    let kept = get(asked, Kind::Bundle, project, "").await?;
    let kept = kept.ok_or_else(|| missing(&Kind::Bundle.name(project, "")))?;
    Ok((kept.body, kept.etag))
}

/// Puts a policy bundle.
pub(super) async fn put_bundle(asked: &Asked<'_>, project: &str) -> Result<Value, ApiError> {
    asked.who.may_change(Area::Policies)?;
    let body = asked.json()?;
    if !body.is_object() {
        return Err(Code::InvalidArgument.because("the bundle is no JSON object"));
    }
    let mut writing = asked.database().write().await?;
    let before = read(writing.connection(), Kind::Bundle, project, "").await?;
    if !asked.has_seen(before.as_ref().map(|before| before.etag.as_str())) {
        return Err(changed(&Kind::Bundle.name(project, "")));
    }
    write(&mut writing, asked, Kind::Bundle, (project, ""), before.as_ref(), body).await?;
    asked.made(writing).await?;
    Ok(json!({}))
}

/// What is sent, its enums by their names.
fn document(asked: &Asked<'_>) -> Result<Value, ApiError> {
    let mut body = asked.json()?;
    enums::name_all(&mut body);
    Ok(body)
}

async fn get(asked: &Asked<'_>, kind: Kind, project: &str, id: &str) -> Result<Option<Kept>, ApiError> {
    read(asked.database().pool(), kind, project, id).await
}

async fn read(
    from: impl Executor<'_, Database = Any>,
    kind: Kind,
    project: &str,
    id: &str,
) -> Result<Option<Kept>, ApiError> {
    let row =
        sqlx::query("SELECT seq, etag, body FROM documents WHERE kind = $1 AND project = $2 AND id = $3");
    let row = row.bind(kind.word()).bind(project).bind(id).fetch_optional(from).await?;
    row.map(|row| kept(&row)).transpose()
}

async fn list(asked: &Asked<'_>, kind: Kind, project: &str) -> Result<(Vec<Value>, String), ApiError> {
    let paging = asked.paging(&format!("{} of {project}", kind.word()), "")?;
    let query = "SELECT seq, etag, body FROM documents WHERE kind = $3 AND project = $4 AND seq > $1 \
                 ORDER BY seq LIMIT $2";
    let bound = [kind.word(), project];
    let (rows, token) = paging::page(asked.database(), &paging, &Filter::All, query, &bound, kept).await?;
    Ok((rows.into_iter().map(|kept| kept.body).collect(), token))
}

fn kept(row: &sqlx::any::AnyRow) -> Result<Kept, ApiError> {
    let body: String = row.try_get(2)?;
    let bytes = body.len();
    Ok(Kept { seq: row.try_get(0)?, etag: row.try_get(1)?, body: serde_json::from_str(&body)?, bytes })
}

/// Replaces a document, or makes it.
async fn put(
    asked: &Asked<'_>,
    mut writing: Writing<'_>,
    kind: Kind,
    (project, id): (&str, &str),
    mut body: Value,
    when: When,
) -> Result<Value, ApiError> {
    let name = kind.name(project, id);
    let before = read(writing.connection(), kind, project, id).await?;
    match (&before, when) {
        (Some(_), When::New) => return Err(Code::AlreadyExists.because(format!("`{name}` is there already"))),
        (None, When::There) => return Err(missing(&name)),
        _ => {}
    }
    let Some(members) = body.as_object_mut() else {
        return Err(Code::InvalidArgument.because("the body is no JSON object"));
    };
    let seen = members.remove("etag");
    unchanged(&name, before.as_ref(), seen.as_ref().and_then(Value::as_str))?;
    members.insert("name".to_owned(), name.into());
    members.remove("update_time");
    members.insert("updateTime".to_owned(), writing.time.clone().into());
    let body = write(&mut writing, asked, kind, (project, id), before.as_ref(), body).await?;
    asked.made(writing).await?;
    Ok(body)
}

/// Whether a document has the etag that the caller has seen, where it says which.
fn unchanged(name: &str, before: Option<&Kept>, seen: Option<&str>) -> Result<(), ApiError> {
    match seen.filter(|seen| !seen.is_empty()) {
        Some(seen) if before.map_or(NEVER_PUT, |before| &before.etag) != seen => Err(changed(name)),
        _ => Ok(()),
    }
}

/// Keeps a document, with an etag of its own in it; a bundle stays as it came.
async fn write(
    writing: &mut Writing<'_>,
    asked: &Asked<'_>,
    kind: Kind,
    (project, id): (&str, &str),
    before: Option<&Kept>,
    mut body: Value,
) -> Result<Value, ApiError> {
    let etag = format!("\"{}-{}\"", Version::of(body.to_string().as_bytes()), writing.seq);
    if kind != Kind::Bundle
        && let Some(members) = body.as_object_mut()
    {
        members.insert("etag".to_owned(), etag.as_str().into());
    }
    let text = body.to_string();
    // A list is in the order in which its documents were made.
    let seq = before.map_or(writing.seq, |before| before.seq);
    let time = writing.time.clone();
    sqlx::query(
        "INSERT INTO documents (kind, project, id, seq, etag, updated, body) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (kind, project, id) DO UPDATE SET etag = excluded.etag, updated = excluded.updated, body = excluded.body",
    )
    .bind(kind.word())
    .bind(project)
    .bind(id)
    .bind(seq)
    .bind(etag)
    .bind(time)
    .bind(&text)
    .execute(writing.connection())
    .await?;
    let former = before.map(|before| before.body.to_string());
    let name = kind.name(project, id);
    changes::log(writing, &asked.who.name, kind.word(), &name, former.as_deref(), Some(&text)).await?;
    Ok(body)
}

async fn delete(asked: &Asked<'_>, kind: Kind, project: &str, id: &str) -> Result<Value, ApiError> {
    let name = kind.name(project, id);
    let mut writing = asked.database().write().await?;
    let before = read(writing.connection(), kind, project, id).await?.ok_or_else(|| missing(&name))?;
    unchanged(&name, Some(&before), asked.parameter("etag"))?;
    sqlx::query("DELETE FROM documents WHERE kind = $1 AND project = $2 AND id = $3")
        .bind(kind.word())
        .bind(project)
        .bind(id)
        .execute(writing.connection())
        .await?;
    let former = before.body.to_string();
    changes::log(&mut writing, &asked.who.name, kind.word(), &name, Some(&former), None).await?;
    asked.made(writing).await?;
    Ok(json!({}))
}

/// v1beta1 names the note otherwise.
fn attestor_out(body: Value, api: Api) -> Value {
    let Value::Object(mut members) = body else { return body };
    if api == Api::V1Beta1 {
        rename(&mut members, "userOwnedGrafeasNote", "userOwnedDrydockNote");
    }
    Value::Object(members)
}

fn changed(name: &str) -> ApiError {
    Code::Aborted.because(format!("`{name}` was changed since: read it again, and put that"))
}

fn missing(name: &str) -> ApiError {
    Code::NotFound.because(format!("there is no `{name}`"))
}
