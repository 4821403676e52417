//! What is asked: method and path (`grafeas.proto`, `binaryauthorization/v1/service.proto`), read into a call.

use super::error::{ApiError, Code};
use crate::attestation::name::is_project;
use crate::attestation::{AttestorName, NoteName};
use crate::document;

const MIB: usize = 1024 * 1024;

/// Which API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// v1
    V1,
    /// v1beta1
    V1Beta1,
}

/// A call, without its parameters and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `ListNotes`
    ListNotes(String),
    /// `CreateNote`
    CreateNote(String),
    /// `BatchCreateNotes`
    CreateNotes(String),
    /// `GetNote`
    GetNote(NoteName),
    /// `UpdateNote`
    UpdateNote(NoteName),
    /// `DeleteNote`
    DeleteNote(NoteName),
    /// `ListNoteOccurrences`
    ListNoteOccurrences(NoteName),
    /// `ListOccurrences`
    ListOccurrences(String),
    /// `CreateOccurrence`
    CreateOccurrence(String),
    /// `BatchCreateOccurrences`
    CreateOccurrences(String),
    /// `GetOccurrence`
    GetOccurrence(Id),
    /// `GetOccurrenceNote`
    GetOccurrenceNote(Id),
    /// `UpdateOccurrence`
    UpdateOccurrence(Id),
    /// `DeleteOccurrence`
    DeleteOccurrence(Id),
    /// `GetPolicy`
    GetPolicy(String),
    /// `UpdatePolicy`
    UpdatePolicy(String),
    /// `ListAttestors`
    ListAttestors(String),
    /// `CreateAttestor`
    CreateAttestor(String),
    /// `GetAttestor`
    GetAttestor(AttestorName),
    /// `UpdateAttestor`
    UpdateAttestor(AttestorName),
    /// `DeleteAttestor`
    DeleteAttestor(AttestorName),
    /// `ValidateAttestationOccurrence`
    Validate(AttestorName),
    /// `ListPlatformPolicies`
    ListPlatformPolicies(String),
    /// `CreatePlatformPolicy`
    CreatePlatformPolicy(String),
    /// `GetPlatformPolicy`
    GetPlatformPolicy(Id),
    /// `ReplacePlatformPolicy`
    UpdatePlatformPolicy(Id),
    /// `DeletePlatformPolicy`
    DeletePlatformPolicy(Id),
    /// The signed policy bundle of a project, as it was put.
    GetBundle(String),
    /// Puts it.
    PutBundle(String),
    /// The stream of changes.
    Changes,
    /// Projects of Grafeas' open-source server, which have to be made before anything is in them; here they are just names.
    Project(String),
    /// The same to be made.
    CreateProject,
    /// Whether the server and its database answer.
    Health,
}

/// Something in a project, by a name of the server's or of the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id {
    /// The project.
    pub project: String,
    /// Its name in that.
    pub id: String,
}

/// What a body may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Bytes.
    pub bytes: usize,
    /// Values of its JSON.
    pub values: usize,
}

impl Most {
    /// A body has more bytes.
    #[must_use]
    pub fn is_exceeded(self) -> ApiError {
        Code::TooLarge.because(format!("the body is larger than the {} bytes allowed", self.bytes))
    }
}

impl Call {
    /// Reads one.
    ///
    /// # Errors
    /// [`Code::NotFound`] where there is no such path, [`Code::Unimplemented`] where it is not served with this method or at all.
    pub fn read(method: &str, path: &str) -> Result<(Api, Self), ApiError> {
        let none = || Code::NotFound.because(format!("there is no `{}` here", crate::text::shown(path, 200)));
        let path = path.strip_prefix('/').ok_or_else(none)?;
        if path == "healthz" && method == "GET" {
            return Ok((Api::V1, Self::Health));
        }
        let (version, rest) = path.split_once('/').ok_or_else(none)?;
        let api = match version {
            "v1" => Api::V1,
            "v1beta1" => Api::V1Beta1,
            _ => return Err(none()),
        };
        let segments = rest.split('/').map(decoded).collect::<Option<Vec<_>>>().ok_or_else(none)?;
        let mut segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        // Everything is at the one place there is.
        if let ["projects", _, "locations", "global", ..] = segments.as_slice() {
            segments.drain(2..4);
        }
        let call = Self::of(method, &segments).ok_or_else(|| match segments.as_slice() {
            [.., last] if last.ends_with("IamPolicy") || last.ends_with(":testIamPermissions") => {
                Code::Unimplemented
                    .because("roles are not given by this API: `binauth-store access` gives and takes them")
            }
            _ if ["GET", "POST", "PUT", "PATCH", "DELETE"]
                .iter()
                .any(|other| Self::of(other, &segments).is_some()) =>
            {
                Code::Unimplemented.because(format!("{method} is no call of this path"))
            }
            _ => none(),
        })?;
        Ok((api, call))
    }

    /// What its body may have.
    #[must_use]
    pub const fn most(&self) -> Most {
        match self {
            Self::CreateNotes(_) | Self::CreateOccurrences(_) => Most { bytes: 32 * MIB, values: 250_000 },
            Self::UpdatePolicy(_)
            | Self::CreateAttestor(_)
            | Self::UpdateAttestor(_)
            | Self::CreatePlatformPolicy(_)
            | Self::UpdatePlatformPolicy(_)
            | Self::PutBundle(_) => Most { bytes: document::MAX_BYTES, values: 250_000 },
            _ => Most { bytes: 2 * MIB, values: 50_000 },
        }
    }

    fn of(method: &str, segments: &[&str]) -> Option<Self> {
        let project = |project: &str| is_project(project).then(|| project.to_owned());
        let note = |project: &str, id: &str| format!("projects/{project}/notes/{id}").parse().ok();
        let attestor = |project: &str, id: &str| format!("projects/{project}/attestors/{id}").parse().ok();
        let id = |of: &str, id: &str| Some(Id { project: project(of)?, id: some_id(id)? });
        Some(match (method, segments) {
            ("GET", ["projects", p, "notes"]) => Self::ListNotes(project(p)?),
            ("POST", ["projects", p, "notes"]) => Self::CreateNote(project(p)?),
            ("POST", ["projects", p, "notes:batchCreate"]) => Self::CreateNotes(project(p)?),
            ("GET", ["projects", p, "notes", n]) => Self::GetNote(note(p, n)?),
            ("PATCH", ["projects", p, "notes", n]) => Self::UpdateNote(note(p, n)?),
            ("DELETE", ["projects", p, "notes", n]) => Self::DeleteNote(note(p, n)?),
            ("GET", ["projects", p, "notes", n, "occurrences"]) => Self::ListNoteOccurrences(note(p, n)?),
            ("GET", ["projects", p, "occurrences"]) => Self::ListOccurrences(project(p)?),
            ("POST", ["projects", p, "occurrences"]) => Self::CreateOccurrence(project(p)?),
            ("POST", ["projects", p, "occurrences:batchCreate"]) => Self::CreateOccurrences(project(p)?),
            ("GET", ["projects", p, "occurrences", o]) => Self::GetOccurrence(id(p, o)?),
            ("GET", ["projects", p, "occurrences", o, "notes"]) => Self::GetOccurrenceNote(id(p, o)?),
            ("PATCH", ["projects", p, "occurrences", o]) => Self::UpdateOccurrence(id(p, o)?),
            ("DELETE", ["projects", p, "occurrences", o]) => Self::DeleteOccurrence(id(p, o)?),
            ("GET", ["projects", p, "policy"]) => Self::GetPolicy(project(p)?),
            ("PUT", ["projects", p, "policy"]) => Self::UpdatePolicy(project(p)?),
            ("GET", ["projects", p, "attestors"]) => Self::ListAttestors(project(p)?),
            ("POST", ["projects", p, "attestors"]) => Self::CreateAttestor(project(p)?),
            ("POST", ["projects", p, "attestors", a]) => {
                Self::Validate(attestor(p, a.strip_suffix(":validateAttestationOccurrence")?)?)
            }
            ("GET", ["projects", p, "attestors", a]) => Self::GetAttestor(attestor(p, a)?),
            ("PUT", ["projects", p, "attestors", a]) => Self::UpdateAttestor(attestor(p, a)?),
            ("DELETE", ["projects", p, "attestors", a]) => Self::DeleteAttestor(attestor(p, a)?),
            ("GET", ["projects", p, "platforms", "gke", "policies"]) => {
                Self::ListPlatformPolicies(project(p)?)
            }
            ("POST", ["projects", p, "platforms", "gke", "policies"]) => {
                Self::CreatePlatformPolicy(project(p)?)
            }
            ("GET", ["projects", p, "platforms", "gke", "policies", x]) => Self::GetPlatformPolicy(id(p, x)?),
            ("PUT", ["projects", p, "platforms", "gke", "policies", x]) => {
                Self::UpdatePlatformPolicy(id(p, x)?)
            }
            ("DELETE", ["projects", p, "platforms", "gke", "policies", x]) => {
                Self::DeletePlatformPolicy(id(p, x)?)
            }
            ("GET", ["projects", p, "bundle"]) => Self::GetBundle(project(p)?),
            ("PUT", ["projects", p, "bundle"]) => Self::PutBundle(project(p)?),
            ("GET", ["changes"]) => Self::Changes,
            ("GET", ["projects", p]) => Self::Project(project(p)?),
            ("POST", ["projects"]) => Self::CreateProject,
            _ => return None,
        })
    }
}

/// A name that the caller may choose: as of a note.
#[must_use]
pub fn some_id(text: &str) -> Option<String> {
    format!("projects/p/notes/{text}").parse::<NoteName>().ok().filter(|name| name.id() == text)?;
    Some(text.to_owned())
}

/// RFC 3986, without a slash in what was encoded.
fn decoded(segment: &str) -> Option<String> {
    let text = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
    (!text.is_empty() && !text.contains('/')).then(|| text.into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn calls() {
        let read = |line: &str| {
            let (method, path) = line.split_once(' ').unwrap();
            Call::read(method, path).map_err(|error| error.code)
        };
        let note: NoteName = "projects/p/notes/n".parse().unwrap();
        let attestor: AttestorName = "projects/p/attestors/a".parse().unwrap();
        let id = |id: &str| Id { project: "p".to_owned(), id: id.to_owned() };
        for (line, call) in [
            ("GET /v1/projects/p/notes/n", (Api::V1, Call::GetNote(note.clone()))),
            (
                "GET /v1beta1/projects/p/notes/n/occurrences",
                (Api::V1Beta1, Call::ListNoteOccurrences(note.clone())),
            ),
            ("GET /v1/projects/p/locations/global/notes/n", (Api::V1, Call::GetNote(note))),
            (
                "POST /v1/projects/p/occurrences:batchCreate",
                (Api::V1, Call::CreateOccurrences("p".to_owned())),
            ),
            (
                "POST /v1/projects/p/occurrences%3AbatchCreate",
                (Api::V1, Call::CreateOccurrences("p".to_owned())),
            ),
            ("DELETE /v1/projects/p/occurrences/o", (Api::V1, Call::DeleteOccurrence(id("o")))),
            (
                "POST /v1/projects/p/attestors/a:validateAttestationOccurrence",
                (Api::V1, Call::Validate(attestor)),
            ),
            ("GET /v1/projects/example.com:p/policy", (Api::V1, Call::GetPolicy("example.com:p".to_owned()))),
            ("GET /v1/projects/p/platforms/gke/policies/x", (Api::V1, Call::GetPlatformPolicy(id("x")))),
        ] {
            assert_eq!(read(line).unwrap(), call, "{line}");
        }
        for (line, code) in [
            ("GET /", Code::NotFound),
            ("GET /v2/projects/p/notes", Code::NotFound),
            ("GET /v1/projects/p/notes/", Code::NotFound),
            ("GET /v1/projects/p/notes/a%2Fb", Code::NotFound),
            ("GET /v1/projects/../notes", Code::NotFound),
            ("GET /v1/projects/p/locations/eu/notes", Code::NotFound),
            ("PUT /v1/projects/p/notes/n", Code::Unimplemented),
            ("POST /v1/projects/p/notes/n:setIamPolicy", Code::Unimplemented),
        ] {
            assert_eq!(read(line).unwrap_err(), code, "{line}");
        }
    }
}
