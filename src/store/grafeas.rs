//! Bodies of notes and occurrences: what a server sets, what must be there, and the two spellings of v1 and v1beta1. They are
//! kept as v1 writes them; what neither names is kept as it came.

use serde_json::{Map, Value, json};

use super::call::Api;
use super::enums;
use super::error::{ApiError, Code};
use crate::attestation::{NoteName, Occurrence};

/// The members that say what a note or an occurrence is, and the kind of each (`NoteKind`).
const KINDS: &[(&str, &str)] = &[
    ("attestation", "ATTESTATION"),
    ("build", "BUILD"),
    ("compliance", "COMPLIANCE"),
    ("deployment", "DEPLOYMENT"),
    ("discovery", "DISCOVERY"),
    ("dsseAttestation", "DSSE_ATTESTATION"),
    ("image", "IMAGE"),
    ("package", "PACKAGE"),
    ("sbomReference", "SBOM_REFERENCE"),
    ("secret", "SECRET"),
    ("upgrade", "UPGRADE"),
    ("vulnerability", "VULNERABILITY"),
    ("vulnerabilityAssessment", "VULNERABILITY_ASSESSMENT"),
];
/// What only the server says.
const OUTPUT: &[&str] = &["createTime", "updateTime"];
/// What stays as it was made.
const FIXED: &[&str] = &["name", "kind", "noteName", "resourceUri", "createTime", "updateTime"];

/// The largest body that is kept, in bytes, whatever it is: what nodes read of an occurrence.
const MAX_BODY: usize = crate::attestation::occurrence::MAX_BYTES;
/// The longest name of what an occurrence is about, in bytes.
const MAX_RESOURCE: usize = 4096;

/// A note that can be kept.
#[derive(Debug)]
pub struct Note {
    /// Its kind.
    pub kind: &'static str,
    /// All of it, without a name and times.
    pub body: Map<String, Value>,
}

/// An occurrence that can be kept.
#[derive(Debug)]
pub struct Filed {
    /// Its kind.
    pub kind: &'static str,
    /// The note that it is filed under.
    pub note: NoteName,
    /// What it is about.
    pub resource: String,
    /// The digest at the end of that, or nothing.
    pub digest: String,
    /// All of it, without a name and times.
    pub body: Map<String, Value>,
}

impl Note {
    /// Reads one that somebody sends.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`]
    pub fn read(body: Value, api: Api) -> Result<Self, ApiError> {
        let mut body = members(body)?;
        if api == Api::V1Beta1 {
            rename(&mut body, "attestationAuthority", "attestation");
        }
        for name in OUTPUT.iter().chain(&["name"]) {
            body.remove(*name);
        }
        let kind = kind(&body, "note")?;
        body.insert("kind".to_owned(), kind.into());
        fits(&body, "note")?;
        Ok(Self { kind, body })
    }
}

impl Filed {
    /// Reads one that somebody sends.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`]
    pub fn read(body: Value, api: Api) -> Result<Self, ApiError> {
        let mut body = members(body)?;
        if api == Api::V1Beta1 {
            beta_in(&mut body);
        }
        for name in OUTPUT.iter().chain(&["name"]) {
            body.remove(*name);
        }
        let kind = kind(&body, "occurrence")?;
        body.insert("kind".to_owned(), kind.into());
        fits(&body, "occurrence")?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let note = text("noteName")
            .parse::<NoteName>()
            .map_err(|error| Code::InvalidArgument.because(format!("`noteName`: {error}")))?;
        let resource = text("resourceUri");
        if resource.is_empty() {
            return Err(Code::InvalidArgument
                .because("`resourceUri` is missing: it says what the occurrence is about"));
        }
        if resource.len() > MAX_RESOURCE || resource.chars().any(char::is_control) {
            return Err(Code::InvalidArgument.because(format!(
                "`resourceUri` has control characters, or more than {MAX_RESOURCE} bytes"
            )));
        }
        if matches!(kind, "ATTESTATION" | "DSSE_ATTESTATION") {
            let text = Value::Object(body.clone()).to_string();
            let parsed = Occurrence::parse(text.as_bytes());
            let parsed = parsed.map_err(|error| Code::InvalidArgument.because(crate::chain(&error)))?;
            if parsed.signatures.is_empty() {
                return Err(Code::InvalidArgument.because("the attestation has no signature"));
            }
        }
        let digest = resource.rsplit_once('@').map(|(_, digest)| digest).unwrap_or_default();
        let digest =
            digest.parse::<crate::image::Digest>().map(|digest| digest.to_string()).unwrap_or_default();
        Ok(Self { kind, note, resource, digest, body })
    }
}

/// The kept body of `before` with what `update` says in the fields that `mask` names; without a mask, in all that it has.
///
/// # Errors
/// [`Code::InvalidArgument`] for fields that stay as they were made.
pub fn updated(
    mut before: Map<String, Value>,
    update: Value,
    mask: Option<&str>,
    api: Api,
    is_note: bool,
) -> Result<Value, ApiError> {
    let mut update = members(update)?;
    match (api, is_note) {
        (Api::V1Beta1, true) => rename(&mut update, "attestationAuthority", "attestation"),
        (Api::V1Beta1, false) => beta_in(&mut update),
        (Api::V1, _) => {}
    }
    let fields: Vec<String> = match mask.filter(|mask| !mask.is_empty()) {
        // What is said once more as it is, is no change.
        None => update
            .keys()
            .filter(|name| !(FIXED.contains(&name.as_str()) && before.get(*name) == update.get(*name)))
            .cloned()
            .collect(),
        Some(mask) if mask.contains('.') => {
            return Err(Code::InvalidArgument.because(format!(
                "`updateMask` names a part of a field, `{}`: name the whole field, and send all of it",
                crate::text::shown(mask, 200)
            )));
        }
        Some(mask) => mask.split(',').map(|path| camel(path.trim())).collect(),
    };
    for name in fields {
        let name = if is_note && name == "attestationAuthority" { "attestation".to_owned() } else { name };
        if FIXED.contains(&name.as_str()) && !(is_note && name == "kind") {
            return Err(Code::InvalidArgument.because(format!("`{name}` stays as it was made")));
        }
        match update.remove(&name) {
            Some(value) => before.insert(name, value),
            None => before.remove(&name),
        };
    }
    Ok(Value::Object(before))
}

/// A kept note as `api` writes it.
#[must_use]
pub fn note_out(body: Value, api: Api) -> Value {
    let Value::Object(mut body) = body else { return body };
    if api == Api::V1Beta1 {
        rename(&mut body, "attestation", "attestationAuthority");
    }
    Value::Object(body)
}

/// A kept occurrence as `api` writes it.
#[must_use]
pub fn occurrence_out(body: Value, api: Api) -> Value {
    let Value::Object(mut body) = body else { return body };
    if api == Api::V1Beta1 {
        let resource = body.remove("resourceUri").unwrap_or_default();
        body.insert("resource".to_owned(), json!({"uri": resource}));
        if let Some(attestation) = body.get_mut("attestation").filter(|one| one.get("attestation").is_none())
        {
            let mut generic = attestation.take();
            if let Some(generic) = generic.as_object_mut() {
                generic.insert("contentType".to_owned(), "SIMPLE_SIGNING_JSON".into());
            }
            *attestation = json!({"attestation": {"genericSignedAttestation": generic}});
        }
    }
    Value::Object(body)
}

/// v1beta1 names the resource and wraps the attestation.
fn beta_in(body: &mut Map<String, Value>) {
    if let Some(resource) = body.remove("resource") {
        let uri = resource.get("uri").cloned().unwrap_or_default();
        body.entry("resourceUri").or_insert(uri);
    }
    let generic = body.get("attestation").and_then(|outer| {
        let inner = outer.get("attestation")?;
        inner.get("genericSignedAttestation").or_else(|| inner.get("generic_signed_attestation"))
    });
    if let Some(mut generic) = generic.cloned() {
        if let Some(generic) = generic.as_object_mut() {
            generic.remove("contentType");
            generic.remove("content_type");
        }
        body.insert("attestation".to_owned(), generic);
    }
}

/// The members, spelled as in JSON.
fn members(body: Value) -> Result<Map<String, Value>, ApiError> {
    let Value::Object(body) = body else {
        return Err(Code::InvalidArgument.because("the body is no JSON object"));
    };
    let mut members = Map::new();
    for (name, value) in body {
        let name = camel(&name);
        if members.insert(name.clone(), value).is_some() {
            return Err(Code::InvalidArgument.because(format!("`{name}` is there twice")));
        }
    }
    enums::name_kind(&mut members);
    Ok(members)
}

fn camel(name: &str) -> String {
    let mut camel = String::new();
    let mut upper = false;
    for character in name.chars() {
        match character {
            '_' => upper = true,
            character if upper => {
                camel.extend(character.to_uppercase());
                upper = false;
            }
            character => camel.push(character),
        }
    }
    camel
}

pub(super) fn rename(body: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = body.remove(from) {
        body.insert(to.to_owned(), value);
    }
}

fn fits(body: &Map<String, Value>, what: &str) -> Result<(), ApiError> {
    let size = serde_json::to_vec(body).map_or(usize::MAX, |bytes| bytes.len());
    if size > MAX_BODY {
        return Err(
            Code::InvalidArgument.because(format!("the {what} has {size} bytes, and {MAX_BODY} are allowed"))
        );
    }
    Ok(())
}

fn kind(body: &Map<String, Value>, what: &str) -> Result<&'static str, ApiError> {
    let found: Vec<_> = KINDS.iter().filter(|(member, _)| body.contains_key(*member)).collect();
    let kind = match found.as_slice() {
        [(_, kind)] => *kind,
        [] if body.contains_key("envelope") => "DSSE_ATTESTATION",
        [] => {
            return Err(Code::InvalidArgument
                .because(format!("the {what} has nothing that says what it is, such as `attestation`")));
        }
        _ => return Err(Code::InvalidArgument.because(format!("the {what} is several things at once"))),
    };
    match body.get("kind").and_then(Value::as_str) {
        None | Some("" | "NOTE_KIND_UNSPECIFIED") => Ok(kind),
        Some(said) if said == kind => Ok(kind),
        Some(said) => Err(Code::InvalidArgument.because(format!(
            "`kind` is `{}`, and what it holds is of kind {kind}",
            crate::text::shown(said, 60)
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
mod tests {
    use super::*;

    fn occurrence() -> Value {
        json!({
            "resourceUri": format!("https://r.example/a@sha256:{}", "ab".repeat(32)),
            "noteName": "projects/p/notes/n",
            "attestation": {"serializedPayload": "aGk=", "signatures": [{"signature": "aGk=", "publicKeyId": "k"}]},
        })
    }

    #[test]
    fn both_spellings_are_one_occurrence() {
        let one = Filed::read(occurrence(), Api::V1).unwrap();
        assert_eq!((one.kind, one.note.as_str()), ("ATTESTATION", "projects/p/notes/n"));
        assert!(one.digest.starts_with("sha256:abab"));
        let beta = occurrence_out(Value::Object(one.body.clone()), Api::V1Beta1);
        assert!(beta["resource"]["uri"].is_string() && beta["resourceUri"].is_null(), "{beta}");
        let generic = &beta["attestation"]["attestation"]["genericSignedAttestation"];
        assert_eq!(generic["contentType"], "SIMPLE_SIGNING_JSON", "{beta}");
        assert_eq!(Filed::read(beta, Api::V1Beta1).unwrap().body, one.body);
        let mut snake = occurrence();
        let uri = snake.as_object_mut().unwrap().remove("resourceUri").unwrap();
        snake["resource_uri"] = uri;
        assert_eq!(Filed::read(snake, Api::V1).unwrap().body, one.body);
        let note =
            Note::read(json!({"attestationAuthority": {"hint": {"humanReadableName": "qa"}}}), Api::V1Beta1)
                .unwrap();
        assert_eq!((note.kind, note.body.contains_key("attestation")), ("ATTESTATION", true));
        assert!(note_out(Value::Object(note.body), Api::V1Beta1)["attestationAuthority"].is_object());
    }

    #[test]
    fn what_cannot_be_kept() {
        let with = |name: &str, value: Value| {
            let mut body = occurrence();
            body[name] = value;
            body
        };
        for (body, says) in [
            (json!([]), "no JSON object"),
            (json!({}), "nothing that says what it is"),
            (with("kind", "BUILD".into()), "`kind` is `BUILD`"),
            (with("build", json!({})), "several things at once"),
            (with("noteName", "n".into()), "`noteName`"),
            (with("resourceUri", "".into()), "`resourceUri` is missing"),
            (with("resourceUri", "https://r/a:1".into()), "does not end in `@sha256:`"),
            (with("attestation", json!({"serializedPayload": "aGk="})), "signature"),
            (with("resource_uri", "x".into()), "`resourceUri` is there twice"),
            (with("resourceUri", format!("r\0@sha256:{}", "ab".repeat(32)).into()), "control characters"),
            (with("resourceUri", format!("{}@sha256:{}", "r".repeat(4096), "ab".repeat(32)).into()), "4096"),
            (with("remediation", "r".repeat(MAX_BODY).into()), "1048576 are allowed"),
            (
                json!({"noteName": "projects/p/notes/n", "resourceUri": "r", "build": {"x": "r".repeat(MAX_BODY)}}),
                "1048576 are allowed",
            ),
        ] {
            let error = Filed::read(body, Api::V1).unwrap_err();
            assert_eq!(error.code, Code::InvalidArgument);
            assert!(error.message.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn a_mask_says_what_changes() {
        let before = || Filed::read(occurrence(), Api::V1).unwrap().body;
        let update = json!({"remediation": "r", "attestation": {"serializedPayload": "eA=="}});
        let after = updated(before(), update.clone(), Some("remediation"), Api::V1, false).unwrap();
        assert_eq!(
            (&after["remediation"], &after["attestation"]["serializedPayload"]),
            (&json!("r"), &json!("aGk="))
        );
        let after = updated(before(), update.clone(), None, Api::V1, false).unwrap();
        assert_eq!(after["attestation"]["serializedPayload"], "eA==");
        assert!(updated(before(), update.clone(), Some("note_name"), Api::V1, false).is_err());
        assert!(updated(before(), update.clone(), Some("attestation.signatures"), Api::V1, false).is_err());
        assert!(updated(before(), json!({"noteName": "projects/p/notes/m"}), None, Api::V1, false).is_err());
        assert!(updated(before(), json!({"noteName": "projects/p/notes/n"}), None, Api::V1, false).is_ok());
    }
}
