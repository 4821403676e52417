//! Addresses: which can be asked at all, and how they are printed.

use std::net::IpAddr;

use reqwest::Url;

/// An address of scheme, host, port and path, and of nothing else.
///
/// # Errors
/// Says what is wrong with it. The address is not in it: a password may be.
pub fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("it has more than scheme, host, port and path".to_owned());
    }
    Ok(url)
}

/// The port of a loopback address.
#[must_use]
pub fn loopback(url: &Url) -> Option<u16> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let address: IpAddr = host.parse().ok()?;
    address.is_loopback().then(|| url.port_or_known_default()).flatten()
}

/// An address as it may be printed before it was parsed: a password may stand before the host.
#[must_use]
pub fn shown(text: &str) -> String {
    let after = text.rsplit_once('@').map_or(text, |(_, after)| after);
    crate::text::shown(after, 300)
}

/// Scheme, host, port and path.
#[must_use]
pub fn plain(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
