//! The proxy that stands between this machine and others, as the environment names it.

use std::fmt;

use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

use super::address;
use super::error::HttpError;

/// What the environment says of proxies. Plain HTTP goes to loopback alone, and there no proxy is used, so
/// `HTTP_PROXY` has nothing to say. A password may stand in it, so it is printed without.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// For HTTPS: `HOST:PORT` or `http://[USER:PASSWORD@]HOST:PORT`.
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached without, separated by commas; `*` is all.
    pub exempt: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let https = self.https.as_deref().map(address::shown);
        f.debug_struct("Proxies").field("https", &https).field("exempt", &self.exempt).finish()
    }
}

impl Proxies {
    /// What `variable` gives for `HTTPS_PROXY` or, without it, `ALL_PROXY`, and for `NO_PROXY`; each in lower
    /// case first, as curl does. An empty one is none.
    #[must_use]
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let find = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| variable(name))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        Self {
            https: find(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            exempt: find(&["no_proxy", "NO_PROXY"]),
        }
    }

    /// What this process's environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// A client for `url` that goes through the proxy, where one is meant for it.
    pub(super) fn apply(&self, builder: ClientBuilder, url: &Url) -> Result<ClientBuilder, HttpError> {
        let builder = builder.no_proxy();
        let local = address::loopback(url).is_some() || url.host_str() == Some("localhost");
        let Some(https) = self.https.as_deref().filter(|_| !local && url.scheme() == "https") else {
            return Ok(builder);
        };
        // What the library says of an address may repeat a password that stands in it.
        let wrong = |_| HttpError::Proxy { proxy: address::shown(https) };
        let known = https.split_once("://").is_none_or(|(scheme, _)| matches!(scheme, "http" | "https"));
        if !known {
            return Err(HttpError::Proxy { proxy: address::shown(https) });
        }
        let exempt = self.exempt.as_deref().and_then(NoProxy::from_string);
        Ok(builder.proxy(Proxy::https(https).map_err(wrong)?.no_proxy(exempt)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
        let rows: &[Row<'_>] = &[
            (&[], None, None),
            (&[("HTTPS_PROXY", "p:1")], Some("p:1"), None),
            (&[("HTTPS_PROXY", "p:1"), ("https_proxy", "q:2")], Some("q:2"), None),
            (&[("ALL_PROXY", "p:1"), ("NO_PROXY", ".a, b")], Some("p:1"), Some(".a, b")),
            (&[("all_proxy", "p:1"), ("no_proxy", "*"), ("NO_PROXY", "a")], Some("p:1"), Some("*")),
            (&[("HTTPS_PROXY", " "), ("HTTP_PROXY", "p:1")], None, None),
        ];
        for (variables, https, exempt) in rows {
            let found = Proxies::of(|name| {
                variables.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned())
            });
            assert_eq!((found.https.as_deref(), found.exempt.as_deref()), (*https, *exempt), "{variables:?}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let proxies = Proxies { https: Some("http://user:hidden@proxy:1".into()), exempt: None };
        let printed = format!("{proxies:?}");
        assert!(printed.contains("proxy:1") && !printed.contains("hidden"), "{printed}");
        let url = Url::parse("https://store.example").unwrap();
        for proxy in ["socks5://user:hidden@proxy:1", "http://user:hidden@", "http://user:hidden@a b"] {
            let proxies = Proxies { https: Some(proxy.into()), exempt: None };
            let error = proxies.apply(reqwest::Client::builder(), &url).unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("hidden"), "{error}");
        }
    }
}
