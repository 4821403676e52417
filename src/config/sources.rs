//! `[[sources]]` of `config.toml`, and its reading.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::file::{Location, Source};
use super::sections::{Api, RestConfig};
use super::values::{MAX_URL, Wrong, brief, period};
use crate::http::{self, Credentials, METADATA_SERVER};

/// The longest name of a source, in bytes.
const MAX_NAME: usize = 64;
const MAX_SOURCES: usize = 64;
/// Of `list_limit`: as many as a listing gives at most.
const LIMITS: std::ops::RangeInclusive<usize> = 0..=1_000_000;

#[derive(Deserialize)]
pub(super) struct SourceTable {
    name: String,
    url: String,
    api: Option<ApiName>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    metadata_server: Option<MetadataServer>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    interval: Option<String>,
    list_limit: Option<usize>,
    proxy: Option<bool>,
    changes: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ApiName {
    V1,
    V1Beta1,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected `true`, `false` or an address such as `http://169.254.169.254`")]
enum MetadataServer {
    Usual(bool),
    At(String),
}

/// All sources; no two have one name.
pub(super) fn read(tables: Vec<SourceTable>, warnings: &mut Vec<String>) -> Result<Vec<Source>, Wrong> {
    if tables.len() > MAX_SOURCES {
        return Err(Wrong::new("sources", format!("at most {MAX_SOURCES} are taken")));
    }
    let mut names = BTreeSet::new();
    tables
        .into_iter()
        .map(|table| {
            let name = table.name.clone();
            if !is_name(&name) {
                let rule = format!("up to {MAX_NAME} letters, digits, `.`, `-` and `_`");
                let cause = format!("`{}` is not the name of a source: {rule}", brief(&name));
                return Err(Wrong::new("sources.name", cause));
            }
            if !names.insert(name.clone()) {
                return Err(Wrong::new("sources.name", format!("two sources are called `{name}`")));
            }
            Ok(Source { location: table.location(warnings)?, name })
        })
        .collect()
}

impl SourceTable {
    fn location(self, warnings: &mut Vec<String>) -> Result<Location, Wrong> {
        if let Some(path) = self.url.strip_prefix("file://") {
            return match self.key_of_servers() {
                Some(key) => {
                    Err(Wrong::new(&format!("sources.{key}"), "is for https and http, not for a folder"))
                }
                None => Ok(Location::Folder(path.into())),
            };
        }
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            let known = "this version reads from file, https and http";
            warnings.push(format!("source `{}`: {known}", self.name));
            return Ok(Location::Unsupported(self.url));
        }
        if self.url.len() > MAX_URL {
            return Err(Wrong::new("sources.url", format!("has more than {MAX_URL} bytes")));
        }
        let list_limit = self.list_limit;
        if let Some(limit) = list_limit.filter(|limit| !LIMITS.contains(limit)) {
            let cause = format!("{limit} is not between {} and {}", LIMITS.start(), LIMITS.end());
            return Err(Wrong::new("sources.list_limit", cause));
        }
        let defaults = RestConfig::at(self.url);
        let config = RestConfig {
            api: match self.api {
                None => defaults.api,
                Some(ApiName::V1) => Api::V1,
                Some(ApiName::V1Beta1) => Api::V1Beta1,
            },
            ca: self.ca,
            interval: self
                .interval
                .map_or(Ok(defaults.interval), |text| period("sources.interval", &text))?,
            list_limit: list_limit.unwrap_or(defaults.list_limit),
            proxy: self.proxy.unwrap_or(defaults.proxy),
            changes: self.changes.unwrap_or(defaults.changes),
            credentials: credentials(
                self.token_file,
                self.metadata_server,
                self.client_certificate,
                self.client_key,
            )?,
            url: defaults.url,
        };
        let asked = http::Options {
            url: config.url.clone(),
            authority: config.ca.clone(),
            credentials: config.credentials.clone(),
            proxies: http::Proxies::default(),
        };
        // What is wrong with an address that is never asked is known now.
        http::Client::new(asked).map_err(|error| Wrong::new("sources", error))?;
        Ok(Location::Rest(config))
    }

    /// A key that a folder has no use for.
    fn key_of_servers(&self) -> Option<&'static str> {
        [
            ("api", self.api.is_some()),
            ("ca", self.ca.is_some()),
            ("token_file", self.token_file.is_some()),
            ("metadata_server", self.metadata_server.is_some()),
            ("client_certificate", self.client_certificate.is_some()),
            ("client_key", self.client_key.is_some()),
            ("interval", self.interval.is_some()),
            ("list_limit", self.list_limit.is_some()),
            ("proxy", self.proxy.is_some()),
            ("changes", self.changes.is_some()),
        ]
        .into_iter()
        .find_map(|(key, set)| set.then_some(key))
    }
}

/// Nobody in particular unless it is said, also for Google's own address: who a node is must be chosen.
fn credentials(
    token: Option<PathBuf>,
    server: Option<MetadataServer>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Credentials, Wrong> {
    let server = match server {
        None | Some(MetadataServer::Usual(false)) => None,
        Some(MetadataServer::Usual(true)) => Some(METADATA_SERVER.to_owned()),
        Some(MetadataServer::At(address)) => Some(address),
    };
    match (token, server, certificate, key) {
        (None, None, None, None) => Ok(Credentials::None),
        (Some(token), None, None, None) => Ok(Credentials::Token(token)),
        (None, Some(server), None, None) => Ok(Credentials::MetadataServer(server)),
        (None, None, Some(certificate), Some(key)) => Ok(Credentials::Certificate { certificate, key }),
        _ => {
            let cause =
                "name one of `token_file`, `metadata_server`, or `client_certificate` and `client_key`";
            Err(Wrong::new("sources", cause))
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed)
}
