//! Single values of `config.toml`, and how it is said what is wrong with one.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use crate::http::address;
use crate::text::shown;

/// Snapshotters, and runtime handlers.
const MAX_NAMES: usize = 64;
/// A containerd identifier has 76 bytes at most, the name of a Kubernetes object 253.
const MAX_NAME: usize = 253;
/// The longest address, in bytes.
pub(super) const MAX_URL: usize = 2_048;
/// Of what is done again and again, in seconds.
const PERIODS: std::ops::RangeInclusive<u64> = 10..=86_400;

/// A value that makes no sense.
pub(super) struct Wrong {
    /// Its key, with the tables it stands in.
    pub(super) key: String,
    /// What is wrong with it.
    pub(super) cause: String,
}

impl Wrong {
    pub(super) fn new(key: &str, cause: impl Display) -> Self {
        Self { key: key.to_owned(), cause: cause.to_string() }
    }
}

/// A time after which something is done again.
pub(super) fn period(key: &str, text: &str) -> Result<Duration, Wrong> {
    let wrong = |cause: &str| Wrong::new(key, format!("`{}` {cause}", brief(text)));
    let period = humantime::parse_duration(text).map_err(|_| wrong("is not a duration such as `5m`"))?;
    if !PERIODS.contains(&period.as_secs()) || period > Duration::from_secs(*PERIODS.end()) {
        return Err(wrong("is not between `10s` and `24h`"));
    }
    Ok(period)
}

/// An address at https: without TLS any user of the node could answer in kubelet's place, once its port is free.
pub(super) fn checked_url(key: &str, url: String) -> Result<String, Wrong> {
    let rest = url.strip_prefix("https://");
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let fits = url.len() <= MAX_URL && url.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits || host.is_empty() || host.contains('@') {
        let cause = format!("`{}` is not of the form https://HOST[:PORT]/PATH", address::shown(&url));
        return Err(Wrong::new(key, cause));
    }
    Ok(url)
}

/// Names, at most 64.
pub(super) fn names_of(key: &str, names: Vec<String>) -> Result<BTreeSet<String>, Wrong> {
    if names.len() > MAX_NAMES {
        return Err(Wrong::new(key, format!("at most {MAX_NAMES} are taken")));
    }
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(Wrong::new(key, format!("`{}` is not a name", brief(name)))),
        None => Ok(names.into_iter().collect()),
    }
}

/// What containerd and Kubernetes have in common of names.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

/// As much of a value as an error repeats.
pub(super) fn brief(text: &str) -> String {
    shown(text, 80)
}
