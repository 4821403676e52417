//! Servers that binauthctl speaks to by itself: how they are reached, and a store of occurrences that attestations
//! are filed in.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::CliError;
use crate::attestation::{NoteName, Occurrence};
use crate::evidence::rest::{Api, Limits, RestOptions, RestSource};
use crate::evidence::source::{Scope, Source as _, SourceError};
use crate::http::{self, Credentials, Held, METADATA_SERVER, Proxies};
use crate::image::Digest;

/// How one server is reached.
pub(super) struct Access<'a> {
    pub(super) url: &'a str,
    pub(super) authority: Option<&'a Path>,
    pub(super) token_file: Option<&'a Path>,
    /// The environment variable that may hold the token.
    pub(super) token_variable: &'static str,
    pub(super) metadata_server: bool,
}

impl Access<'_> {
    pub(super) fn options(&self) -> http::Options {
        let variable = |name: &str| std::env::var(name).ok();
        let held = |token: String| Held { origin: self.token_variable.to_owned(), bytes: token.into_bytes() };
        let credentials = match (self.token_file, self.metadata_server) {
            (Some(path), _) => Credentials::Token(path.to_owned()),
            (None, true) => Credentials::MetadataServer(METADATA_SERVER.to_owned()),
            (None, false) => match variable(self.token_variable).filter(|token| !token.is_empty()) {
                Some(token) => Credentials::Given(held(token)),
                None => Credentials::None,
            },
        };
        http::Options {
            url: self.url.to_owned(),
            authority: self.authority.map(Path::to_owned),
            credentials,
            proxies: Proxies::of(variable),
        }
    }
}

/// A store of occurrences: Container Analysis, or another server of its API (v1).
#[derive(Debug, Args)]
pub(super) struct Store {
    /// Server to use in place of a folder: https://containeranalysis.googleapis.com, or another that speaks
    /// the same REST (v1); plain http for a loopback address alone
    #[arg(long, value_name = "URL", conflicts_with = "occurrences")]
    store: Option<String>,
    /// File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]
    #[arg(long, value_name = "FILE", requires = "store")]
    store_token_file: Option<PathBuf>,
    /// Speak as the service account of this machine of Google's: ask its metadata server for the token
    #[arg(long, requires = "store", conflicts_with = "store_token_file")]
    store_metadata_server: bool,
    /// Certificates (PEM) that vouch for it, and no others [default: the system's]
    #[arg(long, value_name = "FILE", requires = "store")]
    store_ca: Option<PathBuf>,
}

/// A store that can be asked.
pub(super) struct Server {
    source: RestSource,
}

impl Store {
    /// The server, where a flag names one.
    pub(super) fn server(&self) -> Result<Option<Server>, CliError> {
        let Some(url) = &self.store else { return Ok(None) };
        let access = Access {
            url,
            authority: self.store_ca.as_deref(),
            token_file: self.store_token_file.as_deref(),
            token_variable: "BINAUTHCTL_STORE_TOKEN",
            metadata_server: self.store_metadata_server,
        };
        let options = RestOptions {
            name: "store".to_owned(),
            api: Api::V1,
            http: access.options(),
            tells: false,
            limits: Limits::default(),
        };
        let source = RestSource::new(options)
            .map_err(|error| CliError::MalformedCommand(format!("--store: {error}")))?;
        Ok(Some(Server { source }))
    }
}

impl Server {
    /// Where it is.
    pub(super) fn location(&self) -> String {
        self.source.location()
    }

    /// What it holds for `digest` below `note`.
    pub(super) async fn occurrences(
        &self,
        note: &NoteName,
        digest: Digest,
    ) -> Result<Vec<Occurrence>, CliError> {
        let found = self.source.look_up(&Scope::Note(note.clone()), digest).await?;
        Ok(found.documents.into_iter().map(|document| document.occurrence).collect())
    }

    /// Files `document` in `project`; what the server has made of it.
    pub(super) async fn create(&self, project: &str, document: Vec<u8>) -> Result<Occurrence, SourceError> {
        self.source.create(project, document).await
    }
}
