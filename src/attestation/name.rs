//! Resource names: `projects/P/attestors/A` and `projects/P/notes/N` (AIP-122, Binary Authorization
//! `resources.proto`).

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

const MAX_SEGMENT: usize = 128;

/// Why a text is not a resource name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not of the form `projects/PROJECT/{collection}/ID`")]
pub struct NameError {
    text: String,
    collection: &'static str,
}

fn parse(text: &str, collection: &'static str) -> Result<String, NameError> {
    let segments: Vec<_> = text.split('/').collect();
    // v1beta1 attestors may still hang on a note of before projects had them.
    let is_root = |root: &str| root == "projects" || (root == "providers" && collection == "notes");
    match segments.as_slice() {
        [root, project, found, id]
            if is_root(root) && *found == collection && is_segment(project) && is_segment(id) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(NameError { text: text.chars().take(200).collect(), collection }),
    }
}

/// Whether `text` can be the id of a project, as it stands in resource names.
#[must_use]
pub fn is_project(text: &str) -> bool {
    is_segment(text)
}

/// Letters, digits, `-`, `_`, `.`, and `:` as in domain-scoped projects.
fn is_segment(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    !segment.is_empty()
        && segment.len() <= MAX_SEGMENT
        && segment.bytes().all(plain)
        && !segment.starts_with('.')
}

macro_rules! resource_name {
    ($(#[$doc:meta])* $name:ident, $collection:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The whole name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// What follows the last `/`.
            #[must_use]
            pub fn id(&self) -> &str {
                self.0.rsplit('/').next().unwrap_or_default()
            }

            /// The project that owns it.
            #[must_use]
            pub fn project(&self) -> &str {
                self.0.split('/').nth(1).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                parse(text, $collection).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

resource_name!(
    /// `projects/P/attestors/A`.
    AttestorName,
    "attestors"
);
impl AttestorName {
    /// The name of an attestor that a check defines in its place, such as `checkSets[0].checks[1]`: none
    /// that a document can define or name, because it is no resource name. For that no `/` stays in it.
    #[must_use]
    pub fn inline(place: &str) -> Self {
        Self(place.replace('/', "|"))
    }
}

resource_name!(
    /// `projects/P/notes/N`, of old `providers/P/notes/N`: what an attestor's attestations hang on.
    NoteName,
    "notes"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name: AttestorName = "projects/acme-sec/attestors/built-by-ci".parse().unwrap();
        assert_eq!((name.project(), name.id()), ("acme-sec", "built-by-ci"));
        for text in [
            "",
            "built-by-ci",
            "projects/p/notes/a",
            "projects//attestors/a",
            "projects/p/attestors/",
            "projects/p/attestors/a/b",
            "/projects/p/attestors/a",
            "projects/p/attestors/a b",
            "projects/../attestors/a",
            "projects/p/attestors/..",
            "providers/p/attestors/a",
        ] {
            assert!(text.parse::<AttestorName>().is_err(), "{text}");
        }
        for (text, is_note) in
            [("projects/p/notes/n", true), ("providers/p/notes/n", true), ("other/p/notes/n", false)]
        {
            assert_eq!(text.parse::<NoteName>().is_ok(), is_note, "{text}");
        }
        let inline = AttestorName::inline("checkSets[0].checks[1]");
        assert_eq!((inline.as_str(), inline.project()), ("checkSets[0].checks[1]", ""));
        for place in ["checkSets[0].checks[1]", "projects/p/attestors/a"] {
            assert!(AttestorName::inline(place).as_str().parse::<AttestorName>().is_err(), "{place}");
        }
    }
}
