//! Policies, attestors and signed bundles at a server: Binary Authorization over REST
//! (`binaryauthorization/v1/service.proto`), or binauth-store, which keeps bundles too.
//!
//! The server is believed nothing but what it was asked: an answer has a bound in bytes and in time, and must be of the
//! name that was asked for. Whatever is replaced is replaced only if it still is what was read.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::CliError;
use crate::attestation::attestor::AttestorDocument;
use crate::attestation::name::is_project;
use crate::attestation::{AttestorName, NoteName};
use crate::document;
use crate::http::{self, Answer, Bounds, Change, Client, HttpError, Seen, address};
use crate::policy::bundle;

/// For one document.
const BOUNDS: Bounds = Bounds { max_bytes: document::MAX_BYTES, limit: Duration::from_secs(30) };
/// A page of attestors has more bytes than one.
const PAGE: Bounds = Bounds { max_bytes: 4 * document::MAX_BYTES, limit: Duration::from_secs(30) };
/// Attestors of a page that are asked for.
const PAGE_SIZE: &str = "200";
/// The most attestors that are taken of a project, and the most pages.
const MAX_ATTESTORS: usize = 10_000;
/// The most bytes that all of their pages may have.
const MAX_LISTED: usize = 64 * 1024 * 1024;

/// Why a server has not done what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No such thing.
    #[error("there is no `{name}` at `{at}`: {way_out}")]
    Missing {
        /// What was asked for.
        name: String,
        /// Of whom.
        at: String,
        /// What to do about it.
        way_out: &'static str,
    },
    /// A name that is taken.
    #[error("`{name}` is there already, at `{at}`: add keys to it with `attestors public-keys add`")]
    Exists {
        /// The name.
        name: String,
        /// Where.
        at: String,
    },
    /// Somebody else was faster.
    #[error("`{name}` at `{at}` is not what it was any more, somebody has changed it: {way_out}")]
    Changed {
        /// What was to be replaced.
        name: String,
        /// Where.
        at: String,
        /// What to do about it.
        way_out: &'static str,
    },
    /// Who asks may not.
    #[error("`{at}` refuses to {what}{said}: it takes the role {role}")]
    Denied {
        /// Who refuses.
        at: String,
        /// What was asked.
        what: String,
        /// What it says, in brackets after a space; or nothing.
        said: String,
        /// The roles, of binauth-store and of Google.
        role: &'static str,
    },
    /// Nobody knows who asks.
    #[error(
        "`{at}` does not know who asks{said}: give a token with --store-token-file, BINAUTHCTL_STORE_TOKEN or \
         --store-metadata-server, or --store-certificate and --store-key"
    )]
    Unknown {
        /// Who refuses.
        at: String,
        /// What it says, in brackets after a space; or nothing.
        said: String,
    },
    /// No answer, or another refusal.
    #[error(transparent)]
    Http(HttpError),
    /// An answer that is not what was asked for.
    #[error("`{at}` does not answer as such a server does: {cause}")]
    Malformed {
        /// Who answers.
        at: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// A server that can be asked.
#[derive(Debug)]
pub(super) struct Documents {
    client: Client,
}

/// What is asked for, for whoever is refused.
struct Asked<'a> {
    name: &'a str,
    what: &'static str,
    role: &'static str,
    missing: &'static str,
}

const POLICY_VIEWER: &str = "`viewer` (at Google `roles/binaryauthorization.policyViewer`)";
const POLICY_ADMIN: &str = "`policy-admin` (at Google `roles/binaryauthorization.policyEditor`)";
const ATTESTORS_VIEWER: &str = "`viewer` (at Google `roles/binaryauthorization.attestorsViewer`)";
const ATTESTOR_ADMIN: &str = "`attestor-admin` (at Google `roles/binaryauthorization.attestorsEditor`)";

const NOTE_EDITOR: &str = "`attestor-admin` (at Google `roles/containeranalysis.notes.editor`)";

const NO_ATTESTOR: &str = "`attestors list` shows those there are, `attestors create` makes one";
const NO_PROJECT: &str = "look at the URL and at the project";

impl Documents {
    /// Reads no file and asks nobody.
    ///
    /// # Errors
    /// [`HttpError::Url`] and [`HttpError::Proxy`] for addresses that are not asked.
    pub(super) fn new(options: http::Options) -> Result<Self, HttpError> {
        Ok(Self { client: Client::new(options)? })
    }

    /// Where it is.
    pub(super) fn location(&self) -> String {
        address::plain(self.client.url())
    }

    /// The policy of a project, in JSON. Where none was ever set servers give one that allows everything.
    pub(super) async fn policy(&self, project: &str) -> Result<Vec<u8>, RemoteError> {
        let name = format!("projects/{project}/policy");
        let asked = Asked { name: &name, what: "give the policy", role: POLICY_VIEWER, missing: NO_PROJECT };
        Ok(self.get(&asked, &["projects", project, "policy"], BOUNDS).await?.0)
    }

    /// Replaces it; what the server has made of it. An `etag` in it must be that of what is there.
    pub(super) async fn put_policy(&self, project: &str, json: Vec<u8>) -> Result<Vec<u8>, RemoteError> {
        let name = format!("projects/{project}/policy");
        let asked = Asked { name: &name, what: "set the policy", role: POLICY_ADMIN, missing: NO_PROJECT };
        let way_out = "export it again, make your change to that, and import it; without `etag` in the file \
                       whatever is there is replaced";
        self.change(&asked, &["projects", project, "policy"], Change::Put(json, Seen::Unsaid), way_out).await
    }

    /// All attestors of a project.
    pub(super) async fn attestors(&self, project: &str) -> Result<Vec<AttestorDocument>, RemoteError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            #[serde(default)]
            attestors: Vec<AttestorDocument>,
            #[serde(default)]
            next_page_token: String,
        }
        let name = format!("projects/{project}/attestors");
        let asked =
            Asked { name: &name, what: "list the attestors", role: ATTESTORS_VIEWER, missing: NO_PROJECT };
        let mut all = Vec::new();
        let (mut token, mut listed) = (String::new(), 0);
        loop {
            let mut url = self.url(&["projects", project, "attestors"])?;
            url.query_pairs_mut().append_pair("pageSize", PAGE_SIZE);
            if !token.is_empty() {
                url.query_pairs_mut().append_pair("pageToken", &token);
            }
            let bytes = self.get_at(&asked, url, PAGE).await?.0;
            listed += bytes.len();
            if listed > MAX_LISTED {
                return Err(self.malformed(format!("its list of attestors has more than {MAX_LISTED} bytes")));
            }
            let page: Page = self.read(&bytes)?;
            let is_more = !page.attestors.is_empty();
            all.extend(page.attestors);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            // One that pages for ever gives nothing at some time, or too much.
            if !is_more || all.len() > MAX_ATTESTORS {
                let cause = format!("its list of attestors does not end, or has more than {MAX_ATTESTORS}");
                return Err(self.malformed(cause));
            }
            token = page.next_page_token;
        }
    }

    /// Makes a note of attestations, for people under this name; whether it is new. Asked of the half that keeps notes.
    pub(super) async fn create_note(&self, note: &NoteName, named: &str) -> Result<bool, RemoteError> {
        let asked =
            Asked { name: note.as_str(), what: "make the note", role: NOTE_EDITOR, missing: NO_PROJECT };
        let mut url = self.url(&["projects", note.project(), "notes"])?;
        url.query_pairs_mut().append_pair("noteId", note.id());
        let document = json!({"attestation": {"hint": {"humanReadableName": named}}});
        match self.client.post(url, document.to_string().into_bytes(), BOUNDS).await {
            Ok(_) => Ok(true),
            Err(HttpError::Status { status: StatusCode::CONFLICT, .. }) => Ok(false),
            Err(error) => Err(self.refused(error, &asked)),
        }
    }

    /// One attestor.
    pub(super) async fn attestor(&self, name: &AttestorName) -> Result<AttestorDocument, RemoteError> {
        let asked = Asked {
            name: name.as_str(),
            what: "give the attestor",
            role: ATTESTORS_VIEWER,
            missing: NO_ATTESTOR,
        };
        let bytes = self.get(&asked, &path_of(name), BOUNDS).await?.0;
        self.attestor_of(name, &bytes)
    }

    /// Makes a new one; what the server has made of it.
    pub(super) async fn create_attestor(
        &self,
        name: &AttestorName,
        document: &AttestorDocument,
    ) -> Result<AttestorDocument, RemoteError> {
        let asked = Asked {
            name: name.as_str(),
            what: "create the attestor",
            role: ATTESTOR_ADMIN,
            missing: NO_PROJECT,
        };
        let mut url = self.url(&["projects", name.project(), "attestors"])?;
        url.query_pairs_mut().append_pair("attestorId", name.id());
        let created = self.client.post(url, self.written(document)?, BOUNDS).await;
        let bytes = created.map_err(|error| match error {
            HttpError::Status { status: StatusCode::CONFLICT, .. } => {
                RemoteError::Exists { name: name.to_string(), at: self.location() }
            }
            error => self.refused(error, &asked),
        })?;
        self.attestor_of(name, &bytes)
    }

    /// Replaces one. Its `etag` must be that of what is there.
    pub(super) async fn put_attestor(
        &self,
        name: &AttestorName,
        document: &AttestorDocument,
    ) -> Result<AttestorDocument, RemoteError> {
        let asked = Asked {
            name: name.as_str(),
            what: "change the attestor",
            role: ATTESTOR_ADMIN,
            missing: NO_ATTESTOR,
        };
        let put = Change::Put(self.written(document)?, Seen::Unsaid);
        let bytes = self.change(&asked, &path_of(name), put, "run the same again").await?;
        self.attestor_of(name, &bytes)
    }

    /// Takes one away.
    pub(super) async fn delete_attestor(&self, name: &AttestorName) -> Result<(), RemoteError> {
        let asked = Asked {
            name: name.as_str(),
            what: "delete the attestor",
            role: ATTESTOR_ADMIN,
            missing: NO_ATTESTOR,
        };
        self.change(&asked, &path_of(name), Change::Delete, "run the same again").await.map(drop)
    }

    /// The signed bundle of a project, and its entity tag.
    pub(super) async fn bundle(&self, project: &str) -> Result<(Vec<u8>, Option<String>), RemoteError> {
        let name = format!("projects/{project}/bundle");
        let asked = Asked {
            name: &name,
            what: "give the bundle",
            role: "`viewer`",
            missing: "`policy push` puts one there; only a binauth-store keeps bundles",
        };
        let bounds = Bounds { max_bytes: bundle::MAX_BYTES, ..BOUNDS };
        self.get(&asked, &["projects", project, "bundle"], bounds).await
    }

    /// Puts one there, in place of what was `seen`.
    pub(super) async fn put_bundle(
        &self,
        project: &str,
        envelope: Vec<u8>,
        seen: Seen<'_>,
    ) -> Result<(), RemoteError> {
        let name = format!("projects/{project}/bundle");
        let asked = Asked {
            name: &name,
            what: "take the bundle",
            role: "`policy-admin`",
            missing: "only a binauth-store keeps bundles",
        };
        let put = Change::Put(envelope, seen);
        self.change(&asked, &["projects", project, "bundle"], put, "run the same again").await.map(drop)
    }

    fn url(&self, path: &[&str]) -> Result<Url, RemoteError> {
        let mut url = self.client.url().clone();
        url.path_segments_mut()
            .map_err(|()| self.malformed("its address has no path".to_owned()))?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        Ok(url)
    }

    async fn get(
        &self,
        asked: &Asked<'_>,
        path: &[&str],
        bounds: Bounds,
    ) -> Result<(Vec<u8>, Option<String>), RemoteError> {
        self.get_at(asked, self.url(path)?, bounds).await
    }

    async fn get_at(
        &self,
        asked: &Asked<'_>,
        url: Url,
        bounds: Bounds,
    ) -> Result<(Vec<u8>, Option<String>), RemoteError> {
        match self.client.get(url, bounds, None).await {
            Ok(Answer::Body { bytes, etag }) => Ok((bytes, etag)),
            Ok(Answer::Unchanged) => Err(self.malformed("it gives nothing".to_owned())),
            Err(error) => Err(self.refused(error, asked)),
        }
    }

    async fn change(
        &self,
        asked: &Asked<'_>,
        path: &[&str],
        change: Change<'_>,
        way_out: &'static str,
    ) -> Result<Vec<u8>, RemoteError> {
        self.client.change(self.url(path)?, change, BOUNDS).await.map_err(|error| match error {
            HttpError::Status { status: StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, .. } => {
                RemoteError::Changed { name: asked.name.to_owned(), at: self.location(), way_out }
            }
            error => self.refused(error, asked),
        })
    }

    fn refused(&self, error: HttpError, asked: &Asked<'_>) -> RemoteError {
        let HttpError::Status { status, said, .. } = &error else { return RemoteError::Http(error) };
        let (at, said) = (self.location(), said.clone());
        match *status {
            StatusCode::NOT_FOUND => {
                RemoteError::Missing { name: asked.name.to_owned(), at, way_out: asked.missing }
            }
            StatusCode::FORBIDDEN => {
                let what = format!("{} `{}`", asked.what, asked.name);
                RemoteError::Denied { at, what, said, role: asked.role }
            }
            StatusCode::UNAUTHORIZED => RemoteError::Unknown { at, said },
            _ => RemoteError::Http(error),
        }
    }

    fn attestor_of(&self, name: &AttestorName, bytes: &[u8]) -> Result<AttestorDocument, RemoteError> {
        let document: AttestorDocument = self.read(bytes)?;
        if document.name == name.as_str() {
            return Ok(document);
        }
        let other = crate::text::shown(&document.name, 200);
        Err(self.malformed(format!("asked for `{name}`, it gives `{other}`")))
    }

    fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, RemoteError> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.malformed(crate::text::shown(&error.to_string(), 200)))
    }

    fn written(&self, document: &AttestorDocument) -> Result<Vec<u8>, RemoteError> {
        serde_json::to_vec(document).map_err(|error| self.malformed(error.to_string()))
    }

    fn malformed(&self, cause: String) -> RemoteError {
        RemoteError::Malformed { at: self.location(), cause }
    }
}

fn path_of(name: &AttestorName) -> [&str; 4] {
    ["projects", name.project(), "attestors", name.id()]
}

/// A project, as names have it.
///
/// # Errors
/// [`CliError::MalformedCommand`] for what is none.
pub(super) fn project(text: &str) -> Result<&str, CliError> {
    if is_project(text) {
        return Ok(text);
    }
    let shown = crate::text::shown(text, 120);
    Err(CliError::MalformedCommand(format!("`{shown}` is not the name of a project")))
}

/// What the server at this place gave is not what it should be.
pub(super) fn malformed(at: &str, cause: &dyn std::error::Error) -> RemoteError {
    let cause = crate::text::shown(&crate::chain(cause), 400);
    RemoteError::Malformed { at: at.to_owned(), cause }
}
