//! Servers that binauthctl speaks to by itself: how they are reached, and a store of occurrences that attestations
//! are filed in. The documents of a store, policy and attestors, are [`Documents`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::documents::Documents;
use super::error::CliError;
use super::output;
use crate::attestation::{Filing, KeyRing, NoteName, Occurrence};
use crate::evidence::rest::{Api, Limits, RestOptions, RestSource};
use crate::evidence::source::{Document, Page, Pages, Scope, Source as _, SourceError, Work};
use crate::http::{self, Credentials, Held, METADATA_SERVER, Proxies};
use crate::image::Digest;

/// Google has the two halves of the API at two places. Whichever is named, each half is asked at its own.
const CONTAINER_ANALYSIS: &str = "https://containeranalysis.googleapis.com";
const BINARY_AUTHORIZATION: &str = "https://binaryauthorization.googleapis.com";

/// The most attestations that are taken of a list, and the most bytes of them.
const MAX_LISTED: usize = 100_000;
const MAX_LISTED_BYTES: usize = 256 * 1024 * 1024;

/// How one server is reached.
pub(super) struct Access<'a> {
    pub(super) url: &'a str,
    pub(super) authority: Option<&'a Path>,
    pub(super) token_file: Option<&'a Path>,
    /// The environment variable that may hold the token.
    pub(super) token_variable: &'static str,
    pub(super) metadata_server: bool,
    /// Client certificate and key.
    pub(super) certificate: Option<(&'a Path, &'a Path)>,
}

impl Access<'_> {
    pub(super) fn options(&self) -> http::Options {
        let variable = |name: &str| std::env::var(name).ok();
        let held = |token: String| Held { origin: self.token_variable.to_owned(), bytes: token.into_bytes() };
        let credentials = match (self.token_file, self.metadata_server, self.certificate) {
            (Some(path), ..) => Credentials::Token(path.to_owned()),
            (None, true, _) => Credentials::MetadataServer(METADATA_SERVER.to_owned()),
            (None, false, Some((certificate, key))) => {
                Credentials::Certificate { certificate: certificate.to_owned(), key: key.to_owned() }
            }
            (None, false, None) => match variable(self.token_variable).filter(|token| !token.is_empty()) {
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

/// A store: Container Analysis and Binary Authorization, or another server of their API (v1).
#[derive(Debug, Args)]
pub(super) struct Store {
    /// Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for
    /// https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same
    /// REST (v1); plain http for a loopback address alone
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]
    #[arg(long, value_name = "FILE", requires = "store")]
    store_token_file: Option<PathBuf>,
    /// Speak as the service account of this machine of Google's: ask its metadata server for the token
    #[arg(long, requires = "store", conflicts_with = "store_token_file")]
    store_metadata_server: bool,
    /// Client certificate to speak with, and its chain (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["store", "store_key"], conflicts_with_all = ["store_token_file", "store_metadata_server"])]
    store_certificate: Option<PathBuf>,
    /// Its private key (PEM); may be the same file
    #[arg(long, value_name = "FILE", requires = "store_certificate")]
    store_key: Option<PathBuf>,
    /// Certificates (PEM) that vouch for it, and no others [default: the system's]
    #[arg(long, value_name = "FILE", requires = "store")]
    store_ca: Option<PathBuf>,
}

/// A store that can be asked.
pub(super) struct Server {
    source: RestSource,
}

impl Store {
    /// Whether a flag names one.
    pub(super) fn is_given(&self) -> bool {
        self.store.is_some()
    }

    /// Its attestations, where a flag names it.
    pub(super) fn server(&self) -> Result<Option<Server>, CliError> {
        let Some(http) = self.options(CONTAINER_ANALYSIS) else { return Ok(None) };
        let options = RestOptions {
            name: "store".to_owned(),
            api: Api::V1,
            http,
            tells: false,
            limits: Limits::default(),
        };
        let source = RestSource::new(options).map_err(|error| wrong(&error))?;
        Ok(Some(Server { source }))
    }

    /// Its policy, attestors and bundles, where a flag names it.
    pub(super) fn documents(&self) -> Result<Option<Documents>, CliError> {
        let options = self.options(BINARY_AUTHORIZATION);
        options.map(Documents::new).transpose().map_err(|error| wrong(&error))
    }

    /// Its notes, where a flag names it.
    pub(super) fn notes(&self) -> Result<Option<Documents>, CliError> {
        let options = self.options(CONTAINER_ANALYSIS);
        options.map(Documents::new).transpose().map_err(|error| wrong(&error))
    }

    /// As [`documents`](Self::documents), where nothing else can be asked.
    pub(super) fn needed(&self) -> Result<Documents, CliError> {
        let missing = || CliError::MalformedCommand("--store is missing: which server is meant?".to_owned());
        self.documents()?.ok_or_else(missing)
    }

    /// How the half that Google has at `half` is asked.
    fn options(&self, half: &str) -> Option<http::Options> {
        let url = self.store.as_deref()?;
        let is_google = [CONTAINER_ANALYSIS, BINARY_AUTHORIZATION].contains(&url.trim_end_matches('/'));
        let access = Access {
            url: if is_google { half } else { url },
            authority: self.store_ca.as_deref(),
            token_file: self.store_token_file.as_deref(),
            token_variable: "BINAUTHCTL_STORE_TOKEN",
            metadata_server: self.store_metadata_server,
            certificate: self.store_certificate.as_deref().zip(self.store_key.as_deref()),
        };
        Some(access.options())
    }
}

fn wrong(error: &http::HttpError) -> CliError {
    CliError::MalformedCommand(format!("--store: {error}"))
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
        let found = self.look_up(&Scope::Note(note.clone()), digest).await?;
        Ok(found.into_iter().map(|document| document.occurrence).collect())
    }

    /// What it holds for `digest` wherever attestations of these attestors are filed.
    pub(super) async fn filed(
        &self,
        key_ring: &KeyRing,
        digest: Digest,
    ) -> Result<Vec<Occurrence>, CliError> {
        let found = self.documents(key_ring, &[digest]).await?;
        Ok(found.into_iter().map(|document| document.occurrence).collect())
    }

    /// The same for each of `digests`, or without any for all that there are; each document as the server gives it.
    pub(super) async fn documents(
        &self,
        key_ring: &KeyRing,
        digests: &[Digest],
    ) -> Result<Vec<Document>, CliError> {
        let mut scopes = BTreeSet::new();
        for filing in key_ring.filings() {
            match filing {
                Filing::Note(note) => drop(scopes.insert(Scope::Note(note.clone()))),
                Filing::Projects(projects) => scopes.extend(projects.iter().cloned().map(Scope::Project)),
            }
        }
        let mut all = Collected::default();
        for scope in &scopes {
            for digest in digests {
                all.documents.extend(self.look_up(scope, *digest).await?);
            }
            if digests.is_empty() {
                self.source.list(scope, &mut all).await?;
            }
        }
        Ok(all.documents)
    }

    async fn look_up(&self, scope: &Scope, digest: Digest) -> Result<Vec<Document>, CliError> {
        let found = self.source.look_up(scope, digest).await?;
        if found.is_cut {
            output::warn(&format!("{scope} has more for {digest} than is taken: some was not looked at"));
        }
        Ok(found.documents)
    }

    /// All that it holds below `note`.
    pub(super) async fn list(&self, note: &NoteName) -> Result<Vec<Occurrence>, CliError> {
        let mut all = Collected::default();
        self.source.list(&Scope::Note(note.clone()), &mut all).await?;
        Ok(all.documents.into_iter().map(|document| document.occurrence).collect())
    }

    /// Files `document` in `project`; what the server has made of it.
    pub(super) async fn create(&self, project: &str, document: Vec<u8>) -> Result<Occurrence, SourceError> {
        self.source.create(project, document).await
    }
}

/// A list, as far as it goes into memory.
#[derive(Default)]
struct Collected {
    documents: Vec<Document>,
    bytes: usize,
}

impl Pages for Collected {
    fn take<'a>(&'a mut self, page: Page) -> Work<'a, Result<(), String>> {
        self.bytes += page.documents.iter().map(|document| document.text.len()).sum::<usize>();
        self.documents.extend(page.documents);
        let is_too_much = self.documents.len() > MAX_LISTED || self.bytes > MAX_LISTED_BYTES;
        Box::pin(std::future::ready(if is_too_much {
            Err(format!(
                "more than {MAX_LISTED} attestations or {MAX_LISTED_BYTES} bytes of them: name a digest"
            ))
        } else {
            Ok(())
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        store: Store,
    }

    #[test]
    fn each_half_of_google_is_asked_at_its_own_place() {
        let asked = |url: &str| {
            let Line { store } = Line::try_parse_from(["x", "--store", url]).unwrap();
            let plain = |location: String| location.trim_end_matches('/').to_owned();
            let server = store.server().unwrap().unwrap().location();
            (plain(store.needed().unwrap().location()), plain(server))
        };
        let google = (BINARY_AUTHORIZATION.to_owned(), CONTAINER_ANALYSIS.to_owned());
        for url in [BINARY_AUTHORIZATION, CONTAINER_ANALYSIS, "https://containeranalysis.googleapis.com/"] {
            assert_eq!(asked(url), google);
        }
        // One that stands in for Google, or goes there by a way of its own, has both.
        for url in [
            "https://containeranalysis.googleapis.com:8443",
            "https://store.example/google",
            "http://127.0.0.1:1",
        ] {
            assert_eq!(asked(url), (url.to_owned(), url.to_owned()));
        }
    }
}
