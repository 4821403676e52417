//! `policy` in `config.toml`: the path of a file, or a table that may name signed bundles.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::sections::{BundleConfig, BundleOrigin};
use super::values::{Wrong, brief, checked_url, period};
use crate::attestation::name::is_project;
use crate::http::address::shown;
use crate::policy::sealed::MAX_KEYS;

/// How often a URL is asked unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(60);

/// What stands behind `policy`.
pub(super) enum PolicyKey {
    Path(PathBuf),
    Table(Box<PolicyTable>),
}

#[derive(Deserialize, Default)]
pub(super) struct PolicyTable {
    pub(super) path: Option<PathBuf>,
    bundle: Option<String>,
    bundle_keys: Option<Vec<PathBuf>>,
    project: Option<String>,
    interval: Option<String>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
}

impl<'de> Deserialize<'de> for PolicyKey {
    /// By hand: an untagged enum would read the table before the keys in it that nobody knows could be told.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PolicyKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a policy, or a table")
            }

            fn visit_str<E>(self, path: &str) -> Result<PolicyKey, E> {
                Ok(PolicyKey::Path(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PolicyKey, A::Error> {
                let table = PolicyTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PolicyKey::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl PolicyKey {
    /// A path is a table with nothing else in it.
    pub(super) fn into_table(self) -> PolicyTable {
        match self {
            Self::Path(path) => PolicyTable { path: Some(path), ..PolicyTable::default() },
            Self::Table(table) => *table,
        }
    }
}

impl PolicyTable {
    /// The bundles that it names, if any.
    pub(super) fn read(self) -> Result<Option<BundleConfig>, Wrong> {
        let Some(bundle) = self.bundle else {
            let beside = [
                ("policy.bundle_keys", self.bundle_keys.is_some()),
                ("policy.project", self.project.is_some()),
                ("policy.interval", self.interval.is_some()),
                ("policy.ca", self.ca.is_some()),
                ("policy.token_file", self.token_file.is_some()),
            ];
            return match beside.into_iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(Wrong::new(key, "means nothing without `bundle`")),
                None => Ok(None),
            };
        };
        let keys = self.bundle_keys.unwrap_or_default();
        if keys.is_empty() {
            let cause = "is missing: name the public keys that bundles count under";
            return Err(Wrong::new("policy.bundle_keys", cause));
        }
        if keys.len() > MAX_KEYS {
            return Err(Wrong::new("policy.bundle_keys", format!("at most {MAX_KEYS} are taken")));
        }
        let Some(project) = self.project else {
            return Err(Wrong::new("policy.project", "is missing: say whose bundles are obeyed"));
        };
        if !is_project(&project) {
            let cause = format!("`{}` is not the id of a project", brief(&project));
            return Err(Wrong::new("policy.project", cause));
        }
        let origin = origin(bundle)?;
        if let BundleOrigin::Path(_) = origin {
            let remote = [
                ("policy.interval", self.interval.is_some()),
                ("policy.ca", self.ca.is_some()),
                ("policy.token_file", self.token_file.is_some()),
            ];
            if let Some((key, _)) = remote.into_iter().find(|(_, given)| *given) {
                return Err(Wrong::new(key, "means nothing where `bundle` is no URL of https"));
            }
        }
        Ok(Some(BundleConfig {
            origin,
            keys,
            project,
            interval: self.interval.map_or(Ok(INTERVAL), |text| period("policy.interval", &text))?,
            ca: self.ca,
            token_file: self.token_file,
        }))
    }
}

fn origin(bundle: String) -> Result<BundleOrigin, Wrong> {
    if bundle.starts_with("https://") {
        return checked_url("policy.bundle", bundle).map(BundleOrigin::Url);
    }
    let path = bundle.strip_prefix("file://").unwrap_or(&bundle);
    if path.contains("://") {
        let cause =
            format!("`{}` is neither https://HOST[:PORT]/PATH nor file:///PATH nor a path", shown(&bundle));
        return Err(Wrong::new("policy.bundle", cause));
    }
    Ok(BundleOrigin::Path(path.into()))
}
