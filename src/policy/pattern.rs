//! Admission allowlist patterns (dialect A: `admissionWhitelistPatterns[].namePattern`).
//!
//! Plain text matching, case-sensitive, no normalisation of either side: a trailing `*` stands for
//! anything without `/`, a trailing `**` for anything. Which spellings of an image are tried is not
//! decided here.
//!
//! [`AllowlistPattern::matches`] is the definition; [`Allowlist`](super::Allowlist) gives the same answers over many
//! patterns without trying each of them.

use std::fmt;

use serde::Serialize;

use super::written::{self, WrittenError};

/// A valid pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AllowlistPattern(String);

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// What is no pattern in any dialect.
    #[error(transparent)]
    Written(#[from] WrittenError),
    /// A `*` that is not at the end, or more than two.
    #[error("`{0}`: a wildcard is `*` or `**`, at the end of the pattern only")]
    Wildcard(String),
    /// The wildcard would reach into the registry's name.
    #[error("`{0}`: a wildcard needs a registry and `/` before it, so that the registry is named in full")]
    Registry(String),
}

impl AllowlistPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        written::word(text)?;
        let prefix = text.trim_end_matches('*');
        let stars = text.len() - prefix.len();
        if stars > 2 || prefix.contains('*') {
            return Err(PatternError::Wildcard(text.to_owned()));
        }
        // `mysql:*` names its repository in full; `mysql:**` would be a registry with any port.
        let names_registry = prefix.contains('/') || (stars == 1 && prefix.contains([':', '@']));
        if stars > 0 && !names_registry {
            return Err(PatternError::Registry(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it matches this spelling of an image.
    #[must_use]
    pub fn matches(&self, spelling: &str) -> bool {
        if let Some(prefix) = self.0.strip_suffix("**") {
            return spelling.starts_with(prefix);
        }
        if let Some(prefix) = self.0.strip_suffix('*') {
            return spelling.strip_prefix(prefix).is_some_and(|rest| !rest.contains('/'));
        }
        self.0 == spelling
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the wildcard.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.0.trim_end_matches('*')
    }

    /// What the stem may be followed by.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self.0.len() - self.stem().len() {
            0 => Reach::Exact,
            1 => Reach::Name,
            _ => Reach::Path,
        }
    }

    /// Whether whatever `other` matches, this one matches too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.reach() <= self.reach() && self.matches(other.stem())
    }
}

/// How far a pattern goes beyond its stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No further.
    Exact,
    /// `*`: as far as the next `/`.
    Name,
    /// `**`: anywhere.
    Path,
}

impl fmt::Display for AllowlistPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "@sha256:abababababababababababababababababababababababababababababababab";

    #[test]
    fn dialect_a() {
        let at = |name: &str| format!("{name}{D}");
        let rows: &[(&str, &str, bool)] = &[
            ("gcr.io/my-project/nginx*", "gcr.io/my-project/nginx:latest", true),
            ("gcr.io/my-project/nginx*", "gcr.io/my-project/nginx-images/nginx", false),
            ("gcr.io/my-project/nginx**", "gcr.io/my-project/nginx-1.14.2/image:latest", true),
            ("gcr.io/my-project**", "gcr.io/my-project-exploit/nginx-exploit", true),
            ("gcr.io/nginx*", "gcr.io/nginx@latest", true),
            ("gcr.io/nginx*", "gcr.io/nginx/image", false),
            ("gcr.io/nginx**", "gcr.io/nginx/image", true),
            ("gcr.io/example-project/*", "gcr.io/example-project/helloworld:v1", true),
            ("gcr.io/example-project/*", "gcr.io/example-project/dir/helloworld:v1", false),
            ("gcr.io/example-project/**", "gcr.io/example-project/dir/helloworld:v1", true),
            ("gcr.io/example-project/**", "gcr.io/example-project2/x", false),
            ("gcr.io/example-project/helloworld", "gcr.io/example-project/helloworld", true),
            ("gcr.io/example-project/helloworld", "gcr.io/example-project/helloworld:latest", false),
            ("gcr.io/example-project/helloworld", &at("gcr.io/example-project/helloworld"), false),
            ("gcr.io/example-project/helloworld:v1.*", "gcr.io/example-project/helloworld:v1.3", true),
            ("gcr.io/example-project/helloworld:v1.*", "gcr.io/example-project/helloworld:v2.3", false),
            ("gcr.io/example-project/helloworld:v1.*", &at("gcr.io/example-project/helloworld:v1.3"), true),
            ("gcr.io/2-img:*", "gcr.io/2-img:any", true),
            ("gcr.io/example-project/helloworld@*", &at("gcr.io/example-project/helloworld"), true),
            ("gcr.io/example-project/helloworld@*", "gcr.io/example-project/helloworld:latest", false),
            ("gcr.io/8-img@sha256:*", &at("gcr.io/8-img"), true),
            (&at("gcr.io/p/helloworld"), &at("gcr.io/p/helloworld:v1"), false),
            (&at("gcr.io/p/helloworld"), &at("gcr.io/p/helloworld"), true),
            ("gcr.io/*", "gcr.io/a", true),
            ("gcr.io/*", "gcr.io/a/b", false),
            ("gcr.io/**", "gcr.io/a/b:c", true),
            ("k8s.gcr.io/**", "k8s.gcr.io/pause:3.1", true),
            ("loc-ref", "loc-ref", true),
            ("loc-ref", "docker.io/library/loc-ref", false),
            ("local-image-1:*", "local-image-1:any-tag", true),
            ("local-image-1:*", "local-image-1:5000/evil", false),
            ("gcr.io/p/App", "gcr.io/p/app", false),
        ];
        for (pattern, image, matches) in rows {
            assert_eq!(
                AllowlistPattern::parse(pattern).unwrap().matches(image),
                *matches,
                "{pattern} on {image}"
            );
        }
    }

    #[test]
    fn refused() {
        let long = "a".repeat(2000);
        for text in [
            "",
            "gcr.io/n*x",
            "gcr.io/**/b",
            "gcr.io/a***",
            "*",
            "**",
            "gcr.i*",
            "gcr.io**",
            "a b",
            "gcr.io/a\n",
            "gcr.io/*/b*",
            "mysql:**",
            "mysql@**",
            &long,
        ] {
            assert!(AllowlistPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn covers() {
        let rows = [
            ("r.io/p/**", "r.io/p/**", true),
            ("r.io/**", "r.io/p/a*", true),
            ("r.io/**", "r.io/p/a:v1", true),
            ("r.io/p/*", "r.io/p/**", false),
            ("r.io/p/*", "r.io/p/a*", true),
            ("r.io/p/*", "r.io/p/a/b*", false),
            ("r.io/p/*", "r.io/p/a:v1", true),
            ("r.io/p/a", "r.io/p/a", true),
            ("r.io/p/a", "r.io/p/a*", false),
            ("r.io/p/a*", "r.io/p/*", false),
        ];
        for (one, other, covered) in rows {
            let [one, other] = [one, other].map(|text| AllowlistPattern::parse(text).unwrap());
            assert_eq!(one.covers(&other), covered, "{one} and {other}");
        }
    }
}
