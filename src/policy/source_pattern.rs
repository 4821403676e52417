//! Source repository patterns of SLSA rules (dialect D: `trustedSourceRepoPatterns`).
//!
//! A pattern is a repository's URL without its scheme: exact, or with `/*` (one more component) or `/**`
//! (one or more) at the end. Of the URL in a provenance its scheme and user are left aside; of one that
//! is not matched to the letter also the revision (`@refs/heads/main`, as SPDX download locations carry
//! it) and `.git`. A URL that another program could read as another repository matches nothing: with
//! `.` or `..` components, empty ones, escapes, a query or a fragment.

use std::fmt;

use super::written::{self, WrittenError};

const MAX_URL: usize = 4096;

/// A valid pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePattern {
    text: String,
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Exact,
    One,
    Any,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourcePatternError {
    /// What is no pattern in any dialect.
    #[error(transparent)]
    Written(#[from] WrittenError),
    /// A scheme.
    #[error("`{0}`: a pattern has no scheme")]
    Scheme(String),
    /// A `*` that is not the whole last component, or too many.
    #[error("`{0}`: a wildcard is `/*` or `/**`, at the end of the pattern only")]
    Wildcard(String),
    /// Not `host/path`, or one that no URL can match.
    #[error("`{0}` is not a repository: expected HOST/PATH without user, query and `..`")]
    Form(String),
}

impl SourcePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`SourcePatternError`].
    pub fn parse(text: &str) -> Result<Self, SourcePatternError> {
        written::bounded(text)?;
        if text.contains("://") {
            return Err(SourcePatternError::Scheme(text.to_owned()));
        }
        let (stem, reach) = match (text.strip_suffix("/**"), text.strip_suffix("/*")) {
            (Some(stem), _) => (stem, Reach::Any),
            (_, Some(stem)) => (stem, Reach::One),
            _ => (text, Reach::Exact),
        };
        if stem.contains('*') {
            return Err(SourcePatternError::Wildcard(text.to_owned()));
        }
        let (host, path) = stem.split_once('/').unwrap_or((stem, ""));
        let has_path = !path.is_empty() || (reach != Reach::Exact && !stem.contains('/'));
        if !has_path || !is_host(host) || !(path.is_empty() || is_plain_path(path)) {
            return Err(SourcePatternError::Form(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), reach })
    }

    /// Whether it matches this URL, with or without scheme.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let Some(repository) = repository_of(url) else { return false };
        let without_revision = before_revision(repository);
        let without_git = without_revision.strip_suffix(".git").unwrap_or(without_revision);
        [repository, without_revision, without_git].into_iter().any(|text| self.matches_text(text))
    }

    fn matches_text(&self, text: &str) -> bool {
        let stem = self.text.trim_end_matches('*');
        match self.reach {
            Reach::Exact => text == self.text,
            Reach::One => text.strip_prefix(stem).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
            Reach::Any => text.strip_prefix(stem).is_some_and(|rest| !rest.is_empty()),
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `host/path` of a URL that can be read in one way only.
fn repository_of(url: &str) -> Option<&str> {
    if url.len() > MAX_URL {
        return None;
    }
    let rest = match url.split_once("://") {
        // Others reach no host, or whoever is between.
        Some(("https" | "git+https" | "ssh" | "git+ssh", rest)) => rest,
        Some(_) => return None,
        None => url,
    };
    let slash = rest.find('/')?;
    let user = rest.get(..slash)?.find('@').map_or(0, |at| at + 1);
    let repository = rest.get(user..)?;
    let (host, path) = repository.split_once('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let repository = repository.strip_suffix('/').unwrap_or(repository);
    (is_host(host) && is_plain_path(path)).then_some(repository)
}

/// A revision holds a `/` only as a full ref: `o@x/r` is a path.
fn before_revision(repository: &str) -> &str {
    match repository.split_once('@') {
        Some((before, revision)) if revision.starts_with("refs/") || !revision.contains('/') => before,
        _ => repository,
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
}

fn is_plain_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~' | b'+' | b'@');
    path.split('/').all(|component| {
        !component.is_empty() && !matches!(component, "." | "..") && component.bytes().all(plain)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dialect_d() {
        let google = "source.cloud.google.com/my-project/my-repo-name";
        let rows: &[(&str, &str, bool)] = &[
            (google, google, true),
            (google, "git+ssh://source.cloud.google.com/my-project/my-repo-name", true),
            (google, "https://source.cloud.google.com/my-project/my-repo-name", true),
            (google, "https://source.cloud.google.com/my-project/my-repo-name2", false),
            ("github.com/o/r", "https://github.com/o/r.git", true),
            ("github.com/o/r.git", "https://github.com/o/r.git", true),
            ("github.com/o/r.git", "https://github.com/o/r", false),
            ("github.com/o/r", "git+https://github.com/o/r@refs/heads/main", true),
            ("github.com/o/r", "git+https://github.com/o/r.git@0a1b2c", true),
            ("github.com/o/r", "https://github.com/o/r/", true),
            ("github.com/o/r", "ssh://git@github.com/o/r", true),
            ("github.com/o/r", "https://github.com/O/r", false),
            ("github.com/o/r", "https://github.com/o/r/tree/main", false),
            ("github.com/o/*", "https://github.com/o/r", true),
            ("github.com/o/*", "https://github.com/o/r/s", false),
            ("github.com/o/*", "git+https://github.com/o/r@refs/heads/main", true),
            ("github.com/o/*", "https://github.com/o", false),
            ("github.com/o/*", "https://github.com/o2/r", false),
            ("github.com/**", "https://github.com/o/r", true),
            ("github.com/**", "https://github.com/", false),
            ("github.com/**", "https://github.com.evil.example/o/r", false),
            ("github.com/**", "https://github.com@evil.example/o/r", false),
            ("github.com/**", "https://evil.example/github.com/o/r", false),
            ("github.com/o/**", "https://github.com/o/../evil/r", false),
            ("github.com/o/**", "https://github.com/o/%2e%2e/evil/r", false),
            ("github.com/o/**", "https://github.com/o/r?x=/y", false),
            ("github.com/o/**", "https://github.com/o/r#x", false),
            ("github.com/o/**", "https://github.com/o/\\..\\evil", false),
            ("github.com/o/**", "https://github.com//o/r", false),
            ("github.com/o/**", "git@github.com:o/r", false),
            ("github.com/o/**", "https://a@b@github.com/o/r", false),
            ("git.acme.example:8443/t/*", "https://git.acme.example:8443/t/r", true),
            ("git.acme.example/o", "https://git.acme.example/o@x/r", false),
            ("git.acme.example/**", "https://git.acme.example/o@x/r", true),
            ("github.com/**", "", false),
        ];
        for (pattern, url, matches) in rows {
            assert_eq!(SourcePattern::parse(pattern).unwrap().matches(url), *matches, "{pattern} on {url}");
        }
        let long = format!("https://github.com/{}", "a".repeat(5000));
        assert!(!SourcePattern::parse("github.com/**").unwrap().matches(&long));
    }

    #[test]
    fn refused() {
        let long = format!("github.com/{}", "a".repeat(2000));
        let rows = [
            ("", "is empty"),
            (&*long, "bytes"),
            ("https://github.com/o/r", "no scheme"),
            ("github.com/o*", "a wildcard is"),
            ("github.com/o**", "a wildcard is"),
            ("github.com/*/r", "a wildcard is"),
            ("github.com/o/***", "a wildcard is"),
            ("github.com/o/**/**", "a wildcard is"),
            ("github.com/o/*/*", "a wildcard is"),
            ("*", "a wildcard is"),
            ("**", "a wildcard is"),
            ("*.com/o/r", "a wildcard is"),
            ("/*", "is not a repository"),
            ("github.com", "is not a repository"),
            ("github.com/", "is not a repository"),
            ("github.com//**", "is not a repository"),
            ("github.com/o//r", "is not a repository"),
            ("github.com/o/../r", "is not a repository"),
            ("git@github.com/o/r", "is not a repository"),
            ("github.com/o/r?x", "is not a repository"),
            ("github.com/o r", "is not a repository"),
            ("github.com/o/r\n", "is not a repository"),
        ];
        for (text, part) in rows {
            let error = SourcePattern::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text} gave {error:?}, which lacks {part:?}");
        }
    }

    proptest! {
        /// Component by component, of a URL that is nothing but a repository.
        #[test]
        fn as_a_naive_matcher_says(
            stem in "g\\.io(/[ab]{1,2}){1,2}",
            end in "(/\\*\\*?)?",
            scheme in "(https://|git\\+ssh://git@)?",
            repository in "g\\.io(/[ab]{1,2}){1,4}",
        ) {
            let (wanted, there): (Vec<_>, Vec<_>) = (stem.split('/').collect(), repository.split('/').collect());
            let more = match end.as_str() {
                "" => 0..=0,
                "/*" => 1..=1,
                _ => 1..=9,
            };
            let expected = there.starts_with(&wanted) && more.contains(&(there.len() - wanted.len()));
            let pattern = SourcePattern::parse(&format!("{stem}{end}")).unwrap();
            let found = pattern.matches(&format!("{scheme}{repository}"));
            prop_assert_eq!(found, expected, "{} on {}", pattern, repository);
        }
    }
}
