//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

/// Nobody is waited for longer, whatever they say.
const MAX: Duration = Duration::from_secs(3_600);

/// How long after `now` the other end wants to be asked again, at most an hour; `None` for what cannot be
/// read. A date that has passed is no time at all.
#[must_use]
pub fn parse(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let after = if digits {
        // More than fits is more than is waited.
        text.parse().map_or(MAX, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(after.min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let rows = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("86400", Some(3_600)),
            ("99999999999999999999999", Some(3_600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(3_600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text, now), expected.map(Duration::from_secs), "{text:?}");
        }
    }
}
