//! Image patterns of platform policies (dialect B: `imageAllowlist.allowPattern`).
//!
//! Taken apart, not compared as text: a name, and where the pattern gives them a tag and a digest. What
//! it leaves out may be anything, so `r.io/p/img` matches every tag and digest of that image. A wildcard
//! stands at the end of the name, where nothing follows, or at the end of the tag; a digest has none.
//!
//! As in allowlists, a name is tried normalised and in its familiar short form, and a reference without
//! tag and digest has the tag `latest`, which is what containerd makes of it.

use std::fmt;

use super::written::{self, WrittenError};
use crate::image::{Digest, DigestError, Reference};

const DEFAULT_TAG: &str = "latest";

/// A valid pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePattern {
    text: String,
    name: Name,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exact(String),
    /// `*`: begins so, and goes on without `/`.
    Within(String),
    /// `/**`: begins so, `/` included.
    Below(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tag {
    Exact(String),
    Prefix(String),
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagePatternError {
    /// What is no pattern in any dialect.
    #[error(transparent)]
    Written(#[from] WrittenError),
    /// A `*` that is not at the end of name or tag, or too many.
    #[error("`{0}`: a wildcard is `*` or `/**` at the end of a name, or `*` at the end of a tag")]
    Wildcard(String),
    /// Nothing stands before the wildcard.
    #[error("`{0}`: something must stand before the wildcard")]
    EmptyPrefix(String),
    /// `p**` would match the neighbours of `p` and all they hold.
    #[error("`{0}`: `**` stands directly after `/`")]
    Separator(String),
    /// A wildcard in the name already stands for any tag and digest.
    #[error("`{0}`: a wildcard in the name goes without tag and digest")]
    NotAlone(String),
    /// An image or tag without a name.
    #[error("`{0}`: name or tag is empty")]
    EmptyPart(String),
    /// What follows `@` is not a digest.
    #[error("`{text}`: {cause}")]
    Digest {
        /// The pattern.
        text: String,
        /// What is wrong with it.
        cause: DigestError,
    },
}

impl ImagePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`ImagePatternError`].
    pub fn parse(text: &str) -> Result<Self, ImagePatternError> {
        written::word(text)?;
        let of = || text.to_owned();
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| digest.contains('*')) {
            return Err(ImagePatternError::Wildcard(of()));
        }
        let digest = digest
            .map(str::parse)
            .transpose()
            .map_err(|cause| ImagePatternError::Digest { text: of(), cause })?;
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.is_empty() || tag == Some("") {
            return Err(ImagePatternError::EmptyPart(of()));
        }
        let name = read_name(name, text)?;
        let tag = tag.map(|tag| read_tag(tag, text)).transpose()?;
        if !matches!(name, Name::Exact(_)) && (tag.is_some() || digest.is_some()) {
            return Err(ImagePatternError::NotAlone(of()));
        }
        if matches!(tag, Some(Tag::Prefix(_))) && digest.is_some() {
            return Err(ImagePatternError::Wildcard(of()));
        }
        Ok(Self { text: of(), name, tag, digest })
    }

    /// Whether it matches this image.
    #[must_use]
    pub fn matches(&self, image: &Reference) -> bool {
        self.matches_named(image, &image.names())
    }

    /// The first of `patterns` that matches this image.
    #[must_use]
    pub fn first_match<'a>(patterns: &'a [Self], image: &Reference) -> Option<&'a Self> {
        if patterns.is_empty() {
            return None;
        }
        let names = image.names();
        patterns.iter().find(|pattern| pattern.matches_named(image, &names))
    }

    fn matches_named(&self, image: &Reference, names: &[String]) -> bool {
        let default = image.digest().is_none().then_some(DEFAULT_TAG);
        let tag = image.tag().or(default);
        names.iter().any(|name| self.name.matches(name))
            && self.tag.as_ref().is_none_or(|wanted| tag.is_some_and(|tag| wanted.matches(tag)))
            && self.digest.is_none_or(|digest| image.digest() == Some(digest))
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Name {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Within(prefix) => name.strip_prefix(&**prefix).is_some_and(|rest| !rest.contains('/')),
            Self::Below(prefix) => name.starts_with(&**prefix),
        }
    }
}

impl Tag {
    fn matches(&self, tag: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == tag,
            Self::Prefix(prefix) => tag.starts_with(&**prefix),
        }
    }
}

fn read_name(name: &str, text: &str) -> Result<Name, ImagePatternError> {
    let prefix = name.trim_end_matches('*');
    let stars = name.len() - prefix.len();
    if stars > 2 || prefix.contains('*') {
        return Err(ImagePatternError::Wildcard(text.to_owned()));
    }
    if prefix.is_empty() {
        return Err(ImagePatternError::EmptyPrefix(text.to_owned()));
    }
    let prefix = prefix.to_owned();
    match stars {
        0 => Ok(Name::Exact(prefix)),
        1 => Ok(Name::Within(prefix)),
        _ if prefix.ends_with('/') => Ok(Name::Below(prefix)),
        _ => Err(ImagePatternError::Separator(text.to_owned())),
    }
}

fn read_tag(tag: &str, text: &str) -> Result<Tag, ImagePatternError> {
    let Some(prefix) = tag.strip_suffix('*') else {
        return match tag.contains('*') {
            true => Err(ImagePatternError::Wildcard(text.to_owned())),
            false => Ok(Tag::Exact(tag.to_owned())),
        };
    };
    if prefix.contains('*') {
        return Err(ImagePatternError::Wildcard(text.to_owned()));
    }
    if prefix.is_empty() {
        return Err(ImagePatternError::EmptyPrefix(text.to_owned()));
    }
    Ok(Tag::Prefix(prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::AllowlistPattern;

    const D: &str = "@sha256:abababababababababababababababababababababababababababababababab";
    const E: &str = "@sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

    #[test]
    fn dialect_b() {
        let with = |digest: &str, name: &str| format!("{name}{digest}");
        let rows: &[(&str, &str, bool)] = &[
            ("r.io/p/img", "r.io/p/img:v1", true),
            ("r.io/p/img", "r.io/p/img", true),
            ("r.io/p/img", &with(D, "r.io/p/img"), true),
            ("r.io/p/img", &with(D, "r.io/p/img:v1"), true),
            ("r.io/p/img", "r.io/p/img2:v1", false),
            ("r.io/p/img", "r.io/p/img/sub:v1", false),
            ("r.io/p/img", "q.io/p/img:v1", false),
            ("r.io/p/img:v1", "r.io/p/img:v1", true),
            ("r.io/p/img:v1", &with(D, "r.io/p/img:v1"), true),
            ("r.io/p/img:v1", "r.io/p/img:v10", false),
            ("r.io/p/img:v1", "r.io/p/img", false),
            ("r.io/p/img:v1", &with(D, "r.io/p/img"), false),
            ("r.io/p/img:v1*", "r.io/p/img:v10", true),
            ("r.io/p/img:v1*", &with(D, "r.io/p/img:v1"), true),
            ("r.io/p/img:v1*", "r.io/p/img:v2", false),
            ("r.io/p/img:v1*", &with(D, "r.io/p/img"), false),
            ("r.io/p/img:latest", "r.io/p/img", true),
            ("r.io/p/img:latest", &with(D, "r.io/p/img"), false),
            (&with(D, "r.io/p/img"), &with(D, "r.io/p/img"), true),
            (&with(D, "r.io/p/img"), &with(D, "r.io/p/img:v1"), true),
            (&with(D, "r.io/p/img"), &with(E, "r.io/p/img"), false),
            (&with(D, "r.io/p/img"), "r.io/p/img:v1", false),
            (&with(D, "r.io/p/img:v1"), &with(D, "r.io/p/img:v1"), true),
            (&with(D, "r.io/p/img:v1"), &with(D, "r.io/p/img:v2"), false),
            (&with(D, "r.io/p/img:v1"), &with(D, "r.io/p/img"), false),
            (&with(D, "r.io/p/img:v1"), "r.io/p/img:v1", false),
            ("r.io/p/*", "r.io/p/img:v1", true),
            ("r.io/p/*", &with(D, "r.io/p/img:v1"), true),
            ("r.io/p/*", "r.io/p/a/b", false),
            ("r.io/p/im*", "r.io/p/img", true),
            ("r.io/p/im*", "r.io/p/img/a", false),
            ("r.io/p*", "r.io/px", true),
            ("r.io/p*", "r.io/px/y", false),
            ("r.io/p/**", "r.io/p/a/b:v1", true),
            ("r.io/p/**", "r.io/p/a", true),
            ("r.io/p/**", "r.io/px/y", false),
            ("r.io:5000/p", "r.io:5000/p:v1", true),
            ("r.io:5000/p", "r.io:5001/p:v1", false),
            ("r.io:5000/p/**", "r.io:5000/p/a", true),
            ("nginx", "docker.io/library/nginx:1", true),
            ("nginx:1", "nginx:1", true),
            ("docker.io/library/nginx", "nginx:1", true),
            ("bitnami/*", "docker.io/bitnami/redis", true),
            ("localhost/*", "docker.io/localhost/app", false),
            ("r.io/p/Img", "r.io/p/img", false),
        ];
        for (pattern, image, matches) in rows {
            let image = Reference::parse(image).unwrap();
            let pattern = ImagePattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(&image), *matches, "{pattern} on {image}");
            assert_eq!(ImagePattern::first_match(&[pattern], &image).is_some(), *matches);
        }
    }

    /// Rows that the two dialects answer differently: pattern, image, A, B (`None` is refused).
    #[test]
    fn not_dialect_a() {
        let at = |name: &str| format!("{name}{D}");
        let rows: &[(&str, &str, bool, Option<bool>)] = &[
            ("r.io/p/img", "r.io/p/img:v1", false, Some(true)),
            ("r.io/p/img:v1", &at("r.io/p/img:v1"), false, Some(true)),
            (&at("r.io/p/img"), &at("r.io/p/img:v1"), false, Some(true)),
            ("r.io/p**", "r.io/px/y", true, None),
            ("r.io/p/img:*", "r.io/p/img:v1", true, None),
        ];
        for (pattern, image, a, b) in rows {
            assert_eq!(AllowlistPattern::parse(pattern).unwrap().matches(image), *a, "{pattern}");
            let image = Reference::parse(image).unwrap();
            assert_eq!(ImagePattern::parse(pattern).ok().map(|found| found.matches(&image)), *b, "{pattern}");
        }
    }

    #[test]
    fn refused() {
        let long = "a".repeat(2000);
        let rows = [
            ("", "is empty"),
            (&long, "2000 bytes"),
            ("a b", "white space"),
            ("r.io/a\n", "white space"),
            ("*", "before the wildcard"),
            ("**", "before the wildcard"),
            ("img:*", "before the wildcard"),
            ("r.io/*/img", "a wildcard is"),
            ("r.io/a***", "a wildcard is"),
            ("r.io/n*x", "a wildcard is"),
            ("img:v*1", "a wildcard is"),
            ("img:v1**", "a wildcard is"),
            ("r.io/p/img@sha256:ab*", "a wildcard is"),
            ("r.io/p/img@*", "a wildcard is"),
            (&format!("img:v1*{D}"), "a wildcard is"),
            ("r.io/p**", "directly after `/`"),
            ("r.io/p/*:v1", "without tag and digest"),
            (&format!("r.io/p/**{D}"), "without tag and digest"),
            (":v1", "is empty"),
            ("img:", "is empty"),
            (D, "is empty"),
            ("img@sha256:ab", "img@sha256:ab"),
            ("img@", "img@"),
        ];
        for (text, part) in rows {
            let error = ImagePattern::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text} gave {error:?}, which lacks {part:?}");
        }
    }

    /// `*` for anything without `/`, `**` for anything, tried at every length.
    fn glob(pattern: &str, text: &str) -> bool {
        let tails = || text.char_indices().map(|(at, _)| at).chain([text.len()]);
        if let Some(rest) = pattern.strip_prefix("**") {
            return tails().any(|at| glob(rest, &text[at..]));
        }
        if let Some(rest) = pattern.strip_prefix('*') {
            return tails().any(|at| !text[..at].contains('/') && glob(rest, &text[at..]));
        }
        match (pattern.chars().next(), text.chars().next()) {
            (None, None) => true,
            (Some(a), Some(b)) => a == b && glob(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        /// Name, tag and digest apart, each by itself; what the pattern leaves out is anything.
        #[test]
        fn as_a_naive_matcher_says(
            wanted in ("r\\.io(/[ab]{1,2}){1,2}(\\*|/\\*|/\\*\\*)?", "(:[ab]{1,2}\\*?)?", 0..3_usize),
            image in ("r\\.io(/[ab]{1,2}){1,3}", "(:[ab]{1,3})?", 0..3_usize),
        ) {
            let digests = ["", D, E];
            let whole = |(name, tag, digest): &(String, String, usize)| format!("{name}{tag}{}", digests[*digest]);
            let Ok(pattern) = ImagePattern::parse(&whole(&wanted)) else {
                // Refused is what has a wildcard with something behind it, and nothing else.
                let (name, tag, digest) = &wanted;
                let of_name = name.ends_with('*') && (!tag.is_empty() || *digest > 0);
                prop_assert!(of_name || (tag.ends_with('*') && *digest > 0), "{}", whole(&wanted));
                return Ok(());
            };
            let tag = match (image.1.as_str(), image.2) {
                ("", 0) => ":latest",
                (tag, _) => tag,
            };
            let expected = glob(&wanted.0, &image.0)
                && (wanted.1.is_empty() || glob(&wanted.1, tag))
                && (wanted.2 == 0 || wanted.2 == image.2);
            let text = whole(&image);
            let found = pattern.matches(&Reference::parse(&text).unwrap());
            prop_assert_eq!(found, expected, "{} on {}", pattern, text);
        }
    }
}
