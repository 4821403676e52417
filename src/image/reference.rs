//! Image references, as asked and as containerd normalises them.
//!
//! The grammar and the Docker Hub defaults are those of the `distribution/reference` package that
//! containerd vendors (`ParseNormalizedNamed`, `TagNameOnly`, `FamiliarString`). An image id
//! (`sha256:…` or 64 hexadecimal digits) addresses a local image and is never a name, also where
//! containerd has already spelled it `docker.io/library/sha256:…`.

use std::fmt;

use super::digest::{Digest, DigestError};

const HUB: &str = "docker.io";
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A parsed reference: registry, repository and, where given, tag and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a [`Reference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("image reference is empty")]
    Empty,
    /// A local image id, which no pattern and no attestation can name.
    #[error("`{0}` is an image id, not an image reference: use REPOSITORY@DIGEST")]
    ImageId(String),
    /// Repository too long (255 characters at most, with its registry).
    #[error("image name has {0} characters, more than the {MAX_NAME} allowed")]
    TooLong(usize),
    /// The registry part is not a host.
    #[error("`{0}` is not a registry host")]
    Registry(String),
    /// A path component breaks the grammar.
    #[error(
        "`{0}` is not a repository name: lower-case letters, digits, and `.`, `_`, `__` or `-` between them"
    )]
    Repository(String),
    /// The tag breaks the grammar.
    #[error("`{0}` is not a tag: up to {MAX_TAG} letters, digits, `_`, `.` and `-`")]
    Tag(String),
    /// What follows `@` is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// See [`ReferenceError`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if is_hex64(text) || text.strip_prefix("sha256:").is_some_and(is_hex64) {
            return Err(ReferenceError::ImageId(text.to_owned()));
        }
        let (text, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(text);
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(brief(tag)));
        }
        let (domain, path) = split_domain(name);
        if !is_domain(&domain) {
            return Err(ReferenceError::Registry(brief(&domain)));
        }
        if !path.split('/').all(is_component) {
            return Err(ReferenceError::Repository(brief(&path)));
        }
        let reference = Self { domain, path, tag: tag.map(str::to_owned), digest };
        let length = reference.repository().len();
        if length > MAX_NAME {
            return Err(ReferenceError::TooLong(length));
        }
        if reference.domain == HUB && reference.is_spelled_image_id() {
            return Err(ReferenceError::ImageId(reference.to_string()));
        }
        Ok(reference)
    }

    /// `registry/path`, without tag and digest.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The registry, as it is written, with its port.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What follows the registry, without tag and digest.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag after `:`.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The name without tag and digest: normalised, and its familiar short form where it has one.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let bare = Self { tag: None, digest: None, ..self.clone() };
        std::iter::once(bare.repository()).chain(bare.familiar()).collect()
    }

    /// The digest after `@`.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Every spelling that an allowlist pattern is tried on: the normalised name and its familiar
    /// short form; for a name without tag and digest also both with `:latest`, which is what
    /// containerd makes of it.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        let full = self.to_string();
        let mut spellings = vec![full];
        spellings.extend(self.familiar());
        if self.tag.is_none() && self.digest.is_none() {
            let tagged: Vec<_> = spellings.iter().map(|name| format!("{name}:latest")).collect();
            spellings.extend(tagged);
        }
        spellings
    }

    /// The short form of a Docker Hub name, where it leads back to this name: `docker.io/localhost/app`
    /// has none, because `localhost/app` is another image.
    fn familiar(&self) -> Option<String> {
        if self.domain != HUB {
            return None;
        }
        let official = self.path.strip_prefix("library/").filter(|name| !name.contains('/'));
        let short = format!("{}{}", official.unwrap_or(&self.path), self.suffix());
        Self::parse(&short).is_ok_and(|found| found == *self).then_some(short)
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }

    /// containerd reads the image id `sha256:<hex>` as tag `<hex>` of `docker.io/library/sha256`.
    fn is_spelled_image_id(&self) -> bool {
        self.path == "library/sha256" || self.path.strip_prefix("library/").is_some_and(is_hex64)
    }
}

impl fmt::Display for Reference {
    /// The normalised name, with tag and digest as they were given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

/// The reference in an artifact URL.
#[must_use]
pub fn without_scheme(text: &str) -> &str {
    text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text)
}

/// The repository of a reference as it is written, not normalised: without tag and digest.
#[must_use]
pub fn written_repository(text: &str) -> &str {
    split_tag(text.split('@').next().unwrap_or_default()).0
}

fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (HUB, name),
    };
    let domain = if domain == "index.docker.io" { HUB } else { domain };
    if domain == HUB && !path.contains('/') {
        return (domain.to_owned(), format!("library/{path}"));
    }
    (domain.to_owned(), path.to_owned())
}

fn looks_like_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !domain.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let port_ok = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host_ok = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(label),
    };
    port_ok && host_ok
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut separator = String::new();
    let mut last_alphanumeric = false;
    for byte in component.bytes() {
        if alphanumeric(byte) {
            let joins =
                matches!(separator.as_str(), "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
            if !joins || (!separator.is_empty() && !last_alphanumeric) {
                return false;
            }
            separator.clear();
            last_alphanumeric = true;
        } else if matches!(byte, b'.' | b'_' | b'-') && last_alphanumeric {
            separator.push(char::from(byte));
        } else {
            return false;
        }
    }
    last_alphanumeric && separator.is_empty()
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn brief(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:abababababababababababababababababababababababababababababababab";

    #[test]
    fn normalised_as_containerd_does() {
        let rows = [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("bitnami/redis", "docker.io/bitnami/redis"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx"),
            ("localhost/app", "localhost/app"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            ("gcr.io/p/app:v1", "gcr.io/p/app:v1"),
            ("UPPER/app", "UPPER/app"),
            ("gcr.io/p/a__b/c-d.e_f--g", "gcr.io/p/a__b/c-d.e_f--g"),
        ];
        for (text, normalised) in rows {
            assert_eq!(Reference::parse(text).unwrap().to_string(), normalised, "{text}");
        }
        let both = Reference::parse(&format!("gcr.io/p/app:v1@{D}")).unwrap();
        assert_eq!(both.to_string(), format!("gcr.io/p/app:v1@{D}"));
        assert_eq!(both.repository(), "gcr.io/p/app");
        assert_eq!(both.digest().unwrap().to_string(), D);
        assert_eq!((both.domain(), both.path(), both.tag()), ("gcr.io", "p/app", Some("v1")));
        assert_eq!(both.names(), ["gcr.io/p/app"]);
        assert_eq!(Reference::parse("nginx:1").unwrap().names(), ["docker.io/library/nginx", "nginx"]);
        assert_eq!(Reference::parse("docker.io/localhost/a").unwrap().names(), ["docker.io/localhost/a"]);
    }

    #[test]
    fn spellings_a_pattern_is_tried_on() {
        let of = |text: &str| Reference::parse(text).unwrap().spellings();
        assert_eq!(of("docker.io/library/nginx:1"), ["docker.io/library/nginx:1", "nginx:1"]);
        assert_eq!(of("docker.io/bitnami/redis:7"), ["docker.io/bitnami/redis:7", "bitnami/redis:7"]);
        assert_eq!(of("docker.io/library/a/b:1"), ["docker.io/library/a/b:1", "library/a/b:1"]);
        assert_eq!(of("docker.io/localhost/a:1"), ["docker.io/localhost/a:1"]);
        assert_eq!(of("docker.io/gcr.io/a:1"), ["docker.io/gcr.io/a:1"]);
        assert_eq!(of("gcr.io/p/a:v"), ["gcr.io/p/a:v"]);
        // A short form that means another image is none of this one's spellings.
        for text in ["docker.io/gcr.io/p/a:v", "docker.io/localhost/a:v", "index.docker.io/localhost/a:v"] {
            assert_eq!(of(text), [text.trim_start_matches("index.")]);
        }
        let nested = ["docker.io/library/bitnami/redis:7", "library/bitnami/redis:7"];
        assert_eq!(of("docker.io/library/bitnami/redis:7"), nested);
        assert_eq!(of("gcr.io/p/a"), ["gcr.io/p/a", "gcr.io/p/a:latest"]);
        assert_eq!(of(&format!("gcr.io/p/a@{D}")), [format!("gcr.io/p/a@{D}")]);
        assert_eq!(
            of("nginx"),
            ["docker.io/library/nginx", "nginx", "docker.io/library/nginx:latest", "nginx:latest"]
        );
    }

    #[test]
    fn refused() {
        let hex = &D[7..];
        for id in [hex, D, &format!("docker.io/library/{D}"), &format!("docker.io/library/{hex}:latest")] {
            assert!(matches!(Reference::parse(id), Err(ReferenceError::ImageId(_))), "{id}");
        }
        let long = format!("gcr.io/{}", "a".repeat(250));
        let rows = [
            "",
            "Nginx",
            "gcr.io/P/app",
            "gcr.io/p/",
            "gcr.io//app",
            "gcr.io/p/app:",
            "gcr.io/p/app:-x",
            "a b",
            "gcr.io/p/app@",
            "gcr.io/p/a..b",
            "gcr.io/p/a___b",
            "gcr.io/p/-a",
            "gcr.io/p/a-",
            "-bad.io/app",
            "https://gcr.io/p/app",
            "gcr.io:x/app",
            "gcr.io/p/app@sha512:ab",
            "gcr.io/../app",
            &long,
        ];
        for text in rows {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
