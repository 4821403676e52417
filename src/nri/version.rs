//! Which NRI a runtime has, and so which events it knows.
//!
//! A runtime says so itself since NRI 0.12; for older ones its name and version tell. Where neither does,
//! the answer is that nothing is known, and the narrow mask holds: an event too many in the mask is the
//! end of the connection, and with it of all asking.

use std::fmt;

use super::api::ConfigureRequest;
use super::event::Events;

/// `major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16, pub u16, pub u16);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The first version with `ValidateContainerAdjustment` and the events of pod updates.
const WIDE: Version = Version(0, 10, 0);

/// The first version of a runtime with each NRI; what lies between two rows has the former's
/// (`containerd/nri:pkg/api/version.go` and the `go.mod` of containerd's tags).
const CONTAINERD: &[(Version, Version)] = &[
    (Version(1, 7, 0), Version(0, 3, 0)),
    (Version(1, 7, 7), Version(0, 4, 0)),
    (Version(1, 7, 14), Version(0, 6, 0)),
    (Version(1, 7, 16), Version(0, 6, 1)),
    (Version(1, 7, 26), Version(0, 8, 0)),
    (Version(2, 2, 0), Version(0, 10, 0)),
    (Version(2, 2, 1), Version(0, 11, 0)),
    (Version(2, 3, 0), Version(0, 12, 0)),
];
const CRI_O: &[(Version, Version)] = &[
    (Version(1, 26, 0), Version(0, 2, 0)),
    (Version(1, 26, 2), Version(0, 3, 0)),
    (Version(1, 29, 0), Version(0, 5, 0)),
    (Version(1, 29, 2), Version(0, 6, 0)),
    (Version(1, 31, 0), Version(0, 6, 1)),
    (Version(1, 32, 0), Version(0, 9, 0)),
    (Version(1, 34, 0), Version(0, 10, 0)),
    (Version(1, 35, 0), Version(0, 11, 0)),
];

/// The NRI of the runtime that sent `configure`, or the least that it has; `None` if nothing tells.
#[must_use]
pub fn of(configure: &ConfigureRequest) -> Option<Version> {
    if let Some(told) = parse(&configure.nri_version).filter(|told| *told >= WIDE) {
        return Some(told);
    }
    let table = match configure.runtime_name.as_str() {
        "containerd" => CONTAINERD,
        "cri-o" => CRI_O,
        _ => return None,
    };
    let runtime = parse(&configure.runtime_version)?;
    table.iter().rev().find(|(first, _)| *first <= runtime).map(|(_, nri)| *nri)
}

/// The events that an NRI of this version knows.
#[must_use]
pub fn events(version: Option<Version>) -> Events {
    if version.is_some_and(|version| version >= WIDE) { Events::WIDE } else { Events::NARROW }
}

/// `v2.1.9`, and with whatever a packager adds: `2.1.9+unknown`, `1.7.24~ds1`, `2.1.5-k3s1`, `v2.2.7.m` (built from
/// a changed tree). `None` for what comes before a release, because that has an NRI of its own.
fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let before = rest.trim_start_matches(['-', '~', '.']);
    if ["alpha", "beta", "rc", "pre", "dev"].iter().any(|word| before.starts_with(word)) {
        return None;
    }
    let mut numbers = numbers.trim_end_matches('.').split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        return None;
    };
    Some(Version(major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_and_their_nri() {
        let rows: &[(&str, &str, &str, Option<&str>, i32)] = &[
            ("containerd", "1.7.6", "", Some("0.3.0"), 0x7ff),
            ("containerd", "v1.7.13", "", Some("0.4.0"), 0x7ff),
            ("containerd", "v1.7.15", "", Some("0.6.0"), 0x7ff),
            ("containerd", "v1.7.24", "", Some("0.6.1"), 0x7ff),
            ("containerd", "1.7.24~ds1", "", Some("0.6.1"), 0x7ff),
            ("containerd", "1.7.28-k3s1", "", Some("0.8.0"), 0x7ff),
            ("containerd", "v2.0.0", "", Some("0.8.0"), 0x7ff),
            ("containerd", "2.1.9+unknown", "", Some("0.8.0"), 0x7ff),
            ("containerd", "v2.1.0-300-gdeadbeef", "", Some("0.8.0"), 0x7ff),
            ("containerd", "v2.2.0-beta.0", "", None, 0x7ff),
            ("containerd", "2.2.0~rc.1+ds1", "", None, 0x7ff),
            ("containerd", "2.2.0", "", Some("0.10.0"), 0x3fff),
            ("containerd", "2.2.7+unknown", "", Some("0.11.0"), 0x3fff),
            ("containerd", "v2.2.7.m", "", Some("0.11.0"), 0x3fff),
            ("containerd", "v2.2.7-4-gdeadbeef.m", "", Some("0.11.0"), 0x3fff),
            ("containerd", "v2.2.0-rc.1.m", "", None, 0x7ff),
            ("containerd", "v2.1.9.m", "", Some("0.8.0"), 0x7ff),
            ("containerd", "2.3.4+unknown", "v0.12.0", Some("0.12.0"), 0x3fff),
            ("containerd", "2.3.4", "unknown", Some("0.12.0"), 0x3fff),
            ("containerd", "v2.4.0-beta.0", "v0.12.1", Some("0.12.1"), 0x3fff),
            ("containerd", "3.0.0", "", Some("0.12.0"), 0x3fff),
            ("containerd", "1.6.20", "", None, 0x7ff),
            ("containerd", "", "", None, 0x7ff),
            ("containerd", "2.2", "", None, 0x7ff),
            ("containerd", "2.2.1.1", "", None, 0x7ff),
            ("containerd", "2.99999.0", "", None, 0x7ff),
            ("containerd", "1c4457e00facac03ce1d75f7b6777a7a851e5c41", "", None, 0x7ff),
            ("cri-o", "1.33.8", "", Some("0.9.0"), 0x7ff),
            ("cri-o", "1.34.0", "", Some("0.10.0"), 0x3fff),
            ("cri-o", "1.36.1", "v0.12.2", Some("0.12.2"), 0x3fff),
            ("docker", "29.2.0", "", None, 0x7ff),
            ("docker", "29.2.0", "v0.13.0-0.20261101000000-e597e7849f24", Some("0.13.0"), 0x3fff),
            ("docker", "29.2.0", "(devel)", None, 0x7ff),
            ("", "", "v0.8.0", None, 0x7ff),
        ];
        for (name, version, told, expected, mask) in rows {
            let configure = ConfigureRequest {
                runtime_name: (*name).to_owned(),
                runtime_version: (*version).to_owned(),
                nri_version: (*told).to_owned(),
                ..Default::default()
            };
            let found = of(&configure);
            let shown = found.map(|version| version.to_string());
            assert_eq!(shown.as_deref(), *expected, "{name} {version} {told}");
            assert_eq!(events(found).mask(), *mask, "{name} {version} {told}");
        }
    }
}
