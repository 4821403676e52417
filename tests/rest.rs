//! Servers of occurrences, asked over real connections: what a server of the tests' own says, and what is
//! taken of it.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "tls/authority.rs"]
mod authority;
#[path = "rest/changes.rs"]
mod changes;
#[path = "rest/credentials.rs"]
mod credentials;
#[path = "rest/endings.rs"]
mod endings;
#[path = "rest/large.rs"]
mod large;
#[path = "rest/looked_up.rs"]
mod looked_up;
#[path = "rest/server.rs"]
mod server;
#[path = "rest/tls.rs"]
mod tls;

use std::time::Duration;

use binauthd::evidence::rest::{Api, Limits, RestOptions, RestSource};
use binauthd::evidence::source::{Page, Pages, Scope, Source as _, SourceError, Work};
use binauthd::http;
use binauthd::image::Digest;
use serde_json::{Value, json};

use server::{Answer, Question, Server};

pub(crate) const NOTE: &str = "projects/p/notes/n";

pub(crate) fn digest(n: usize) -> Digest {
    Digest::of(&n.to_be_bytes())
}

/// As gcloud files it.
pub(crate) fn v1(n: usize) -> Value {
    json!({
        "name": format!("projects/p/occurrences/{n}"),
        "resourceUri": format!("https://registry.example.com/team/app@{}", digest(n)),
        "noteName": NOTE,
        "kind": "ATTESTATION",
        "createTime": "2026-01-02T03:04:05Z", "updateTime": "2026-01-02T03:04:05Z",
        "attestation": {
            "serializedPayload": "cGF5bG9hZA==",
            "signatures": [{"publicKeyId": "ni:///sha-256;a", "signature": "AAAA"}],
        },
    })
}

/// `v1(n)` with other members.
pub(crate) fn but(n: usize, members: &[(&str, Value)]) -> Value {
    let mut occurrence = v1(n);
    for (key, value) in members {
        occurrence[*key] = value.clone();
    }
    occurrence
}

pub(crate) fn page(occurrences: &[Value], next: &str) -> Answer {
    Answer::Json(json!({"occurrences": occurrences, "nextPageToken": next}))
}

/// As a server that keeps to the rules gives the `n`th page of `pages`, by token `t1`, `t2` and so on.
pub(crate) fn paged(question: &Question, pages: &[Vec<Value>]) -> Answer {
    let at: usize = question.of("pageToken").trim_start_matches('t').parse().unwrap_or(0);
    let next = if at + 1 < pages.len() { format!("t{}", at + 1) } else { String::new() };
    page(&pages[at], &next)
}

pub(crate) fn note() -> Scope {
    Scope::Note(NOTE.parse().unwrap())
}

pub(crate) fn http_options(url: String) -> http::Options {
    http::Options { url, ..http::Options::default() }
}

/// With times that a busy machine keeps.
pub(crate) fn limits() -> Limits {
    let (page, all) = (Duration::from_secs(15), Duration::from_secs(60));
    Limits { page, look_up: page, whole_look_up: all, listing: all, ..Limits::default() }
}

pub(crate) fn source_of(http: http::Options, api: Api, limits: Limits) -> RestSource {
    RestSource::new(RestOptions { name: "store".into(), api, http, tells: false, limits }).unwrap()
}

pub(crate) fn source(server: &Server) -> RestSource {
    source_of(http_options(server.url("http")), Api::V1, limits())
}

/// What was taken of a listing.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) names: Vec<String>,
    pub(crate) left_out: usize,
    pub(crate) pages: usize,
    /// After so many pages no more is taken.
    pub(crate) at_most: Option<usize>,
}

impl Pages for Taken {
    fn take<'a>(&'a mut self, page: Page) -> Work<'a, Result<(), String>> {
        Box::pin(async move {
            if self.at_most == Some(self.pages) {
                return Err("that is enough".to_owned());
            }
            self.pages += 1;
            self.left_out += page.left_out;
            for document in page.documents {
                // What is kept is what was sent.
                let again = binauthd::attestation::Occurrence::parse(&document.text).unwrap();
                assert_eq!(again, document.occurrence);
                let name = document.occurrence.name;
                self.names.push(name.rsplit('/').next().unwrap_or_default().to_owned());
            }
            Ok(())
        })
    }
}

pub(crate) async fn listed(source: &RestSource, scope: &Scope) -> (Result<(), SourceError>, Taken) {
    let mut taken = Taken::default();
    let ended = source.list(scope, &mut taken).await;
    (ended, taken)
}

/// Holds an error to saying all of `parts`, which stand between `…`.
pub(crate) fn assert_says(error: &SourceError, parts: &str, row: &str) {
    let text = error.to_string();
    for part in parts.split('…') {
        assert!(text.contains(part), "{row}: {text:?} lacks {part:?}");
    }
}
