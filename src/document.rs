//! Documents: bytes to wire structs, YAML or JSON, strictly.
//!
//! Owns the two parsers and their bounds; knows nothing of what a document means. Refuses what two
//! readers could understand differently: duplicate keys at any level, several documents in one file,
//! merge keys, `yes` for a boolean, a number where text belongs. Anchors and depth are bounded, so a
//! hostile document costs bounded time.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use sha2::{Digest as _, Sha256};

/// The largest policy or attestor document that is read, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The most scalars, lists and maps of a YAML document, aliases followed: as many as a policy of
/// [`MAX_BYTES`] has whose every rule is as short as can be, and some.
const MAX_NODES: usize = 1_000_000;

/// How a document is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// YAML 1.2.
    Yaml,
}

impl Format {
    /// `.json` is JSON, everything else YAML.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Nothing but white space (or comments).
    #[error("the document is empty")]
    Empty,
    /// Over [`MAX_BYTES`].
    #[error("the document has {0} bytes, more than the {MAX_BYTES} allowed")]
    TooLarge(usize),
    /// Not text.
    #[error("the document is not UTF-8")]
    NotUtf8,
    /// Not JSON, or not the JSON that belongs here.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Not YAML, or not the YAML that belongs here; the message names line and column.
    #[error("{0}")]
    Yaml(String),
}

/// Reads one document of type `T`.
///
/// # Errors
/// Anything but exactly one well-formed document of that shape within [`MAX_BYTES`].
pub fn parse<T: DeserializeOwned>(bytes: &[u8], format: Format) -> Result<T, DocumentError> {
    if bytes.len() > MAX_BYTES {
        return Err(DocumentError::TooLarge(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| DocumentError::NotUtf8)?;
    if text.trim().is_empty() {
        return Err(DocumentError::Empty);
    }
    match format {
        Format::Json => Ok(serde_json::from_str(text)?),
        Format::Yaml => serde_saphyr::from_str_with_options(text, yaml_options())
            .map_err(|error| DocumentError::Yaml(plain(&error))),
    }
}

fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        no_schema: true,
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
        },
    }
}

/// The first line of the parser's message: what follows is an excerpt drawn for terminals. Its advice to
/// whoever calls the parser is left out.
fn plain(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.replace(", set DuplicateKeyPolicy in Options if acceptable", "");
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("not a document").to_owned()
}

/// The version of a document: the first twelve hexadecimal digits of the SHA-256 of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        Self(hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time of RFC 3339, with `Z` or an offset, in either case.
#[must_use]
pub fn time(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    let at = text.rfind(['Z', '+', '-'])?;
    let (local, zone) = text.split_at_checked(at)?;
    // `humantime` looks neither at what follows the seconds nor at a second `Z`.
    let fraction = local.get(19..)?;
    if !fraction.is_empty() && !fraction.strip_prefix('.').is_some_and(is_number) {
        return None;
    }
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    if zone == "Z" {
        return Some(local);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let two_digits = |text: &str, below: u64| {
        let valid = text.len() == 2 && is_number(text);
        text.parse::<u64>().ok().filter(|number| valid && *number < below)
    };
    let ahead = Duration::from_secs(two_digits(hours, 24)? * 3600 + two_digits(minutes, 60)? * 60);
    if zone.starts_with('+') { local.checked_sub(ahead) } else { local.checked_add(ahead) }
}

/// The same, from 1970 to 9999 in UTC: what can be written again.
#[must_use]
pub fn writable_time(text: &str) -> Option<SystemTime> {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    time(text).filter(|time| (SystemTime::UNIX_EPOCH..end).contains(time))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A map whose keys keep their order and may not repeat; `serde`'s own maps let the last one win.
#[derive(Debug, Clone)]
pub struct UniqueMap<V>(pub Vec<(String, V)>);

impl<V> Default for UniqueMap<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = UniqueMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut seen = std::collections::HashSet::new();
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, V>()? {
                    if !seen.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("duplicate key `{key}`")));
                    }
                    pairs.push((key, value));
                }
                Ok(UniqueMap(pairs))
            }
        }
        deserializer.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

/// A struct written as an object: by itself serde takes a list of its members as well.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// For `deserialize_with`: a struct as an object.
///
/// # Errors
/// Whatever the object's own reading gives, and a list in its place.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// The same where the object may be absent.
///
/// # Errors
/// As [`object`].
pub fn maybe_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// For `deserialize_with`: a value that may be left out, and is there where its name is.
///
/// # Errors
/// Whatever the value's own reading gives; for most that refuses `null`.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same of an object.
///
/// # Errors
/// As [`object`].
pub fn given_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    object(deserializer).map(Some)
}

/// The same of each in a list.
///
/// # Errors
/// As [`object`].
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    // YAML reads nothing as no list at all, where what is left out means that nothing is asked.
    let list = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    let list =
        list.ok_or_else(|| serde::de::Error::custom("nothing stands where a list belongs: write `[]`"))?;
    Ok(list.into_iter().map(|Object(value)| value).collect())
}

/// Any JSON value, read only to be sure that no object in it repeats a member.
#[derive(Debug)]
pub struct AnyUnique;

impl<'de> Deserialize<'de> for AnyUnique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = AnyUnique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_bool<E>(self, _: bool) -> Result<AnyUnique, E> {
                Ok(AnyUnique)
            }
            fn visit_i64<E>(self, _: i64) -> Result<AnyUnique, E> {
                Ok(AnyUnique)
            }
            fn visit_u64<E>(self, _: u64) -> Result<AnyUnique, E> {
                Ok(AnyUnique)
            }
            fn visit_f64<E>(self, _: f64) -> Result<AnyUnique, E> {
                Ok(AnyUnique)
            }
            fn visit_str<E>(self, _: &str) -> Result<AnyUnique, E> {
                Ok(AnyUnique)
            }
            fn visit_unit<E>(self) -> Result<AnyUnique, E> {
                Ok(AnyUnique)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<AnyUnique, A::Error> {
                while seq.next_element::<AnyUnique>()?.is_some() {}
                Ok(AnyUnique)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AnyUnique, A::Error> {
                UniqueMap::<AnyUnique>::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(AnyUnique)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        a: String,
        #[serde(default)]
        m: UniqueMap<String>,
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let rows: &[(&str, Format, &str)] = &[
            ("", Format::Yaml, "empty"),
            ("a: x\na: y\n", Format::Yaml, "duplicate"),
            ("a: x\nm: {k: v, k: w}\n", Format::Yaml, "duplicate"),
            ("a: x\nb: y\n", Format::Yaml, "unknown field"),
            ("a: 5\n", Format::Yaml, "quot"),
            ("a: x\n---\na: y\n", Format::Yaml, "document"),
            ("x: &x {a: y}\n<<: *x\n", Format::Yaml, ""),
            (r#"{"a":"x","a":"y"}"#, Format::Json, "duplicate field"),
            (r#"{"a":"x","m":{"k":"v","k":"w"}}"#, Format::Json, "duplicate key `k`"),
            (r#"{"a":"x"} {}"#, Format::Json, "trailing"),
            (r#"{"a":5}"#, Format::Json, "invalid type"),
        ];
        for (text, format, part) in rows {
            let error = parse::<Sample>(text.as_bytes(), *format).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
        }
        assert!(matches!(parse::<Sample>(b"\xff", Format::Yaml), Err(DocumentError::NotUtf8)));
    }

    #[test]
    fn deep_nesting_costs_little() {
        let text = "[".repeat(100_000);
        assert!(parse::<Sample>(text.as_bytes(), Format::Yaml).is_err());
        assert!(parse::<Sample>(text.as_bytes(), Format::Json).is_err());
    }

    #[test]
    fn times() {
        let rows = [
            ("2027-01-01T00:00:00Z", Some("2027-01-01T00:00:00Z")),
            ("2027-01-01t00:00:00.5z", Some("2027-01-01T00:00:00.5Z")),
            ("2027-01-01T02:30:00+02:30", Some("2027-01-01T00:00:00Z")),
            ("2026-12-31T19:00:00-05:00", Some("2027-01-01T00:00:00Z")),
            ("2027-01-01T00:00:00", None),
            ("2027-01-01", None),
            ("2027-02-30T00:00:00Z", None),
            ("2027-01-01T00:00:00+2:00", None),
            ("2027-01-01T00:00:00+24:00", None),
            ("2027-01-01T00:00:00++1:00", None),
            ("2027-01-01T00:00:00Z+01:00", None),
            ("2027-01-01T00:00:00ZZ", None),
            ("2027-01-01T00:00:00x5Z", None),
            ("2027-01-01T00:00:00.Z", None),
            ("2027-01-01Z", None),
            ("1970-01-01T00:00:00+01:00", Some("1969")),
            ("tomorrow", None),
            ("äääääää", None),
            ("", None),
        ];
        for (text, expected) in rows {
            match expected {
                Some("1969") => assert!(time(text).unwrap() < SystemTime::UNIX_EPOCH),
                expected => assert_eq!(
                    time(text),
                    expected.map(|text| humantime::parse_rfc3339(text).unwrap()),
                    "{text}"
                ),
            }
        }
    }
}
