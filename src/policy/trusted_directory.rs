//! Trusted directories (dialect C: `trustedDirectoryCheck.trustedDirPatterns`).
//!
//! A pattern names the directory that holds the image: the normalised name without its last component.
//! `gcr.io/p/r` is that directory and no other; `gcr.io/p/*` is every directory directly in `gcr.io/p`,
//! and not `gcr.io/p` itself; `gcr.io/p/team-*` is those that begin so; `gcr.io/p/**` is `gcr.io/p` and
//! whatever lies in it. `**` stands directly after `/`: `gcr.io/p**` would trust the neighbours of `p`.
//!
//! The registry is two or more words with dots between them, named in full, with its port if it has one.
//! One `*` may lead it, for letters, digits and `-` at the beginning of the first word, where two or more
//! words follow that word: `*-docker.pkg.dev` is `us-docker.pkg.dev`, `*.gcr.io` is `eu.gcr.io`, and
//! neither is `x.us-docker.pkg.dev`. Who may register names below those words is not looked at.

use std::fmt;

use super::written::{self, WrittenError};
use crate::image::Reference;

/// A valid pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedDirectory {
    text: String,
    registry: Registry,
    directory: Directory,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Registry {
    Exact(String),
    /// What follows the leading `*`.
    Suffix(String),
}

/// Below the registry, without `/` at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Directory {
    Exact(String),
    /// `parent/prefix*`.
    In {
        parent: String,
        prefix: String,
    },
    /// `/**`; empty for the whole registry.
    Below(String),
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedDirectoryError {
    /// What is no pattern in any dialect.
    #[error(transparent)]
    Written(#[from] WrittenError),
    /// No directory below the registry.
    #[error("`{0}` is not of the form `registry/path/to/directory`")]
    Form(String),
    /// A registry that is not named in full.
    #[error("`{0}`: the registry must be two or more words with `.` between them, named in full")]
    Registry(String),
    /// A leading wildcard that is not one `*`, or stands for more than the beginning of a subdomain.
    #[error(
        "`{0}`: one leading `*` may stand for the beginning of the first word of the registry, and two words must follow that word"
    )]
    Leading(String),
    /// A `*` in between, or too many.
    #[error("`{0}`: a wildcard is one leading `*`, or `*` or `/**` at the end")]
    Wildcard(String),
    /// `p**` would match the neighbours of `p` and all they hold.
    #[error("`{0}`: `**` stands directly after `/`")]
    Separator(String),
    /// Tags and digests are no part of a directory; neither are empty or dot components.
    #[error("`{0}` is not a directory: lower-case letters, digits, `.`, `_` and `-` between `/`")]
    Path(String),
}

impl TrustedDirectory {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`TrustedDirectoryError`].
    pub fn parse(text: &str) -> Result<Self, TrustedDirectoryError> {
        written::bounded(text)?;
        let (registry, path) = text.split_once('/').unwrap_or((text, ""));
        let registry = read_registry(registry, text)?;
        if path.is_empty() {
            return Err(TrustedDirectoryError::Form(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), registry, directory: read_directory(path, text)? })
    }

    /// Whether the image lies in such a directory.
    #[must_use]
    pub fn matches(&self, image: &Reference) -> bool {
        let directory = image.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        self.registry.matches(image.domain()) && self.directory.matches(directory)
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for TrustedDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Registry {
    fn matches(&self, domain: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == domain,
            Self::Suffix(suffix) => domain.strip_suffix(&**suffix).is_some_and(|replaced| {
                !replaced.is_empty() && replaced.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            }),
        }
    }
}

impl Directory {
    fn matches(&self, directory: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == directory,
            Self::In { parent, prefix } => {
                let (above, last) = directory.rsplit_once('/').unwrap_or(("", directory));
                above == parent && !last.is_empty() && last.starts_with(&**prefix)
            }
            Self::Below(root) => {
                root.is_empty()
                    || directory
                        .strip_prefix(&**root)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

fn read_registry(registry: &str, text: &str) -> Result<Registry, TrustedDirectoryError> {
    let Some(suffix) = registry.strip_prefix('*') else {
        return match is_complete(registry) {
            true => Ok(Registry::Exact(registry.to_owned())),
            false if registry.contains('*') && !registry.ends_with('*') => {
                Err(TrustedDirectoryError::Wildcard(text.to_owned()))
            }
            false => Err(TrustedDirectoryError::Registry(text.to_owned())),
        };
    };
    let valid = suffix.split_once('.').is_some_and(|(word, rest)| {
        word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !word.ends_with('-')
            && is_complete(rest)
    });
    match valid {
        true => Ok(Registry::Suffix(suffix.to_owned())),
        false => Err(TrustedDirectoryError::Leading(text.to_owned())),
    }
}

/// Two or more words, and a port perhaps.
fn is_complete(registry: &str) -> bool {
    let (host, port) = registry.split_once(':').unwrap_or((registry, "0"));
    let is_word = |word: &str| {
        !word.is_empty()
            && !word.starts_with('-')
            && !word.ends_with('-')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.contains('.')
        && host.split('.').all(is_word)
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
}

fn read_directory(path: &str, text: &str) -> Result<Directory, TrustedDirectoryError> {
    let stem = path.trim_end_matches('*');
    let stars = path.len() - stem.len();
    if stars > 2 || stem.contains('*') {
        return Err(TrustedDirectoryError::Wildcard(text.to_owned()));
    }
    let directory = match stars {
        0 => return checked(stem, text).map(Directory::Exact),
        1 => {
            let (parent, prefix) = stem.rsplit_once('/').unwrap_or(("", stem));
            if prefix.bytes().any(|b| !is_plain(b)) {
                return Err(TrustedDirectoryError::Path(text.to_owned()));
            }
            let parent = if parent.is_empty() && !stem.starts_with('/') {
                String::new()
            } else {
                checked(parent, text)?
            };
            Directory::In { parent, prefix: prefix.to_owned() }
        }
        _ if stem.is_empty() => Directory::Below(String::new()),
        _ => match stem.strip_suffix('/') {
            Some(root) => Directory::Below(checked(root, text)?),
            None => return Err(TrustedDirectoryError::Separator(text.to_owned())),
        },
    };
    Ok(directory)
}

fn checked(directory: &str, text: &str) -> Result<String, TrustedDirectoryError> {
    let is_component = |component: &str| {
        component.bytes().all(is_plain) && component.bytes().any(|b| b.is_ascii_alphanumeric())
    };
    match directory.split('/').all(is_component) {
        true => Ok(directory.to_owned()),
        false => Err(TrustedDirectoryError::Path(text.to_owned())),
    }
}

fn is_plain(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dialect_c() {
        let rows: &[(&str, &str, bool)] = &[
            ("gcr.io/p/r", "gcr.io/p/r/img:v1", true),
            ("gcr.io/p/r", "gcr.io/p/r", false),
            ("gcr.io/p/r", "gcr.io/p/r/sub/img", false),
            ("gcr.io/p/r", "gcr.io/p/r2/img", false),
            ("gcr.io/p/r", "eu.gcr.io/p/r/img", false),
            ("gcr.io/p", "gcr.io/p/img", true),
            ("gcr.io/p", "gcr.io/img", false),
            ("gcr.io/p/*", "gcr.io/p/r/img", true),
            ("gcr.io/p/*", "gcr.io/p/img", false),
            ("gcr.io/p/*", "gcr.io/p/r/sub/img", false),
            ("gcr.io/p/*", "gcr.io/px/r/img", false),
            ("gcr.io/p/team-*", "gcr.io/p/team-a/img", true),
            ("gcr.io/p/team-*", "gcr.io/p/team-a/sub/img", false),
            ("gcr.io/p/team-*", "gcr.io/p/team-img", false),
            ("gcr.io/p/team-*", "gcr.io/p/other/img", false),
            ("gcr.io/p/**", "gcr.io/p/img", true),
            ("gcr.io/p/**", "gcr.io/p/r/img", true),
            ("gcr.io/p/**", "gcr.io/p/r/sub/img", true),
            ("gcr.io/p/**", "gcr.io/p", false),
            ("gcr.io/p/**", "gcr.io/px/img", false),
            ("gcr.io/p/**", "gcr.io/p-exploit/r/img", false),
            ("gcr.io/**", "gcr.io/img", true),
            ("gcr.io/**", "gcr.io/p/r/img", true),
            ("gcr.io/**", "eu.gcr.io/img", false),
            ("gcr.io/*", "gcr.io/p/img", true),
            ("gcr.io/*", "gcr.io/img", false),
            ("gcr.io/p*", "gcr.io/px/img", true),
            ("*-docker.pkg.dev/p/r", "us-docker.pkg.dev/p/r/img", true),
            ("*-docker.pkg.dev/p/r", "us-central1-docker.pkg.dev/p/r/img", true),
            ("*-docker.pkg.dev/p/r", "x.us-docker.pkg.dev/p/r/img", false),
            ("*-docker.pkg.dev/p/r", "docker.pkg.dev/p/r/img", false),
            ("*-docker.pkg.dev/p/r", "evil.io/us-docker.pkg.dev/p/r/img", false),
            ("*-docker.pkg.dev/p/r", "us-docker.pkg.dev:444/p/r/img", false),
            ("*.gcr.io/p", "eu.gcr.io/p/img", true),
            ("*.gcr.io/p", "gcr.io/p/img", false),
            ("*.gcr.io/p", "a.b.gcr.io/p/img", false),
            ("*.gcr.io/p", "evilgcr.io/p/img", false),
            ("*.gcr.io/p/**", "asia.gcr.io/p/a/b", true),
            ("r.acme.example:5000/p", "r.acme.example:5000/p/img", true),
            ("r.acme.example:5000/p", "r.acme.example/p/img", false),
            ("docker.io/library", "nginx:1", true),
            ("docker.io/library", "bitnami/nginx", false),
        ];
        for (pattern, image, matches) in rows {
            let image = Reference::parse(image).unwrap();
            let pattern = TrustedDirectory::parse(pattern).unwrap();
            assert_eq!(pattern.matches(&image), *matches, "{pattern} on {image}");
        }
    }

    #[test]
    fn refused() {
        let long = format!("gcr.io/{}", "a".repeat(2000));
        let rows = [
            ("", "is empty"),
            (&*long, "bytes"),
            ("gcr.io", "is not of the form"),
            ("gcr.io/", "is not of the form"),
            ("*-docker.pkg.dev", "is not of the form"),
            ("gcr.i*", "named in full"),
            ("gcr/p", "named in full"),
            ("localhost/p", "named in full"),
            ("localhost:5000/p", "named in full"),
            ("gcr..io/p", "named in full"),
            ("gcr.io:/p", "named in full"),
            ("/p", "named in full"),
            ("https://gcr.io/p", "named in full"),
            ("sub*domain.gcr.io/nginx", "a wildcard is"),
            ("gcr.*.io/p", "a wildcard is"),
            ("*pkg.dev/p/r", "leading"),
            ("**-docker.pkg.dev", "leading"),
            ("**.gcr.io/p", "leading"),
            ("*/p", "leading"),
            ("*", "leading"),
            ("**", "leading"),
            ("*.io/p", "leading"),
            ("*-docker*.pkg.dev/p", "leading"),
            ("*-.pkg.dev/p", "leading"),
            ("gcr.io/*/r", "a wildcard is"),
            ("gcr.io/p***", "a wildcard is"),
            ("gcr.io/p**", "directly after"),
            ("gcr.io/p/r:v1", "not a directory"),
            ("gcr.io/p/r@sha256:ab", "not a directory"),
            ("gcr.io/p//r", "not a directory"),
            ("gcr.io/p/", "not a directory"),
            ("gcr.io//*", "not a directory"),
            ("gcr.io//**", "not a directory"),
            ("gcr.io/p/../q", "not a directory"),
            ("gcr.io/P", "not a directory"),
            ("gcr.io/a b*", "not a directory"),
        ];
        for (text, part) in rows {
            let error = TrustedDirectory::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text} gave {error:?}, which lacks {part:?}");
        }
    }

    /// Component by component, from the left.
    fn naive(pattern: &str, image: &str) -> bool {
        let (wanted, mut there): (Vec<_>, Vec<_>) =
            (pattern.split('/').collect(), image.split('/').collect());
        there.pop();
        let is = |wanted: &str, there: &str| match wanted.split_once('*') {
            None => wanted == there,
            // Leading, for letters and digits; or last, for anything.
            Some(("", end)) if !end.is_empty() => {
                let replaced = there.len().checked_sub(end.len()).map_or("", |at| &there[..at]);
                there.ends_with(end) && !replaced.is_empty() && !replaced.contains('.')
            }
            Some((start, _)) => there.starts_with(start),
        };
        for (place, component) in wanted.iter().enumerate() {
            match (*component, there.get(place)) {
                ("**", _) => return true,
                (_, Some(there)) if is(component, there) => {}
                _ => return false,
            }
        }
        wanted.len() == there.len()
    }

    proptest! {
        #[test]
        fn as_a_naive_matcher_says(
            pattern in "(\\*?[ab]?\\.r\\.io|r\\.io)(/[ab]{1,2}){0,2}/(\\*\\*|[ab]{0,2}\\*|[ab]{1,2})",
            image in "([ab]{1,2}\\.){0,2}r\\.io(/[ab]{1,2}){1,4}",
        ) {
            let Ok(directory) = TrustedDirectory::parse(&pattern) else {
                prop_assert!(pattern.starts_with('.'), "{}", pattern);
                return Ok(());
            };
            let found = directory.matches(&Reference::parse(&image).unwrap());
            prop_assert_eq!(found, naive(&pattern, &image), "{} on {}", pattern, image);
        }
    }
}
