//! What an image's own documents say: which manifests an index lists, which config a manifest names,
//! which layers a config asks for.
//!
//! Decided by the bytes alone (OCI image-spec 1.1 `image-index.md`, `manifest.md`, `config.md`; Docker
//! image manifest version 2, schema 2, which spells the same members): a descriptor's word for what lies
//! behind it is a stranger's. Whoever calls has hashed the bytes. Go reads member names in any case, these
//! functions in the one that is written down; an image that uses another leads to nothing here.

use std::fmt;

use serde::de::{Deserialize, IgnoredAny};

use super::digest::{Digest, DigestError};
use crate::document::{AnyUnique, Object, given, maybe_object, object};

/// The longest index, manifest or config that is read, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The most manifests that an index may list.
pub const MAX_CHILDREN: usize = 256;

/// The most layers that a config may name.
pub const MAX_LAYERS: usize = 1_024;

const INDEXES: &[&str] =
    &["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFESTS: &[&str] =
    &["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const CONFIGS: &[&str] =
    &["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// containerd rewrites the manifest of such a config when it pulls: what it stores under that name is not
/// what was asked for.
const REWRITTEN: &str = "application/octet-stream";

/// What a digest in an image store may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An image index (OCI), or manifest list: what it lists under a `sha256` digest, in its order. What
    /// each of them is, only its own bytes say.
    Index(Vec<Digest>),
    /// The manifest of an image for one platform.
    Manifest {
        /// Digest of the image config, which CRI calls the image id.
        config: Digest,
    },
}

/// Which of an image's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// An index or a manifest.
    Manifest,
    /// A config.
    Config,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Config => "config",
        })
    }
}

/// Why bytes are not a document of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Over [`MAX_BYTES`].
    #[error("the {0} has {1} bytes, more than the {MAX_BYTES} allowed")]
    TooLarge(Document, usize),
    /// Not JSON, a member twice, or not of the shape that belongs here.
    #[error("the {0} cannot be read: {1}")]
    Shape(Document, String),
    /// Members of an index and of a manifest side by side: two readers could take it for two things.
    #[error("the manifest is an index and a manifest at once")]
    Both,
    /// Neither `manifests` nor `config` and `layers`.
    #[error("the manifest is neither an index (`manifests`) nor a manifest (`config` and `layers`)")]
    Neither,
    /// `mediaType` contradicts the members.
    #[error("the manifest calls itself `{0}`, which its members are not")]
    MediaType(String),
    /// More than [`MAX_CHILDREN`].
    #[error("the index lists {0} manifests, more than the {MAX_CHILDREN} allowed")]
    TooManyChildren(usize),
    /// Of a type that containerd rewrites, so that it stores another digest than the one asked for.
    #[error("the config is of type `{REWRITTEN}`, which containerd rewrites: build the image anew")]
    Rewritten,
    /// An artifact, not an image.
    #[error("the config is of type `{0}`, which is not an image's")]
    NotAnImage(String),
    /// The config is named by no digest that can be attested.
    #[error("the config's digest: {0}")]
    Config(DigestError),
    /// `rootfs.type` is not `layers`.
    #[error("the root filesystem is of type `{0}`, only `layers` is known")]
    RootFs(String),
    /// More than [`MAX_LAYERS`].
    #[error("the config names {0} layers, more than the {MAX_LAYERS} allowed")]
    TooManyLayers(usize),
    /// A layer is named by no digest that can be attested.
    #[error("layer {0} of the config: {1}")]
    Layer(usize, DigestError),
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default, deserialize_with = "given")]
    media_type: Option<String>,
    // `null` counts as there: Go's readers disagree about it among themselves.
    #[serde(default, deserialize_with = "given")]
    manifests: Option<Vec<Object<Child>>>,
    #[serde(default, deserialize_with = "maybe_object")]
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "given")]
    layers: Option<Vec<IgnoredAny>>,
    #[serde(default, deserialize_with = "given")]
    fs_layers: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Child {
    digest: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
}

#[derive(serde::Deserialize)]
struct ImageConfig {
    #[serde(deserialize_with = "object")]
    rootfs: RootFs,
}

#[derive(serde::Deserialize)]
struct RootFs {
    r#type: String,
    // Builders write `null` for an image without layers.
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

impl Content {
    /// Reads an index or a manifest.
    ///
    /// An entry of an index whose digest is not `sha256` is left out: nothing can attest it, and it says
    /// nothing about the others.
    ///
    /// # Errors
    /// See [`ContentError`].
    pub fn read(bytes: &[u8]) -> Result<Self, ContentError> {
        let wire: Wire = strictly(bytes, Document::Manifest)?;
        let of_manifest = wire.config.is_some() || wire.layers.is_some() || wire.fs_layers.is_some();
        let called = |known: &[&str]| match &wire.media_type {
            Some(other) if !known.contains(&other.as_str()) => Err(ContentError::MediaType(brief(other))),
            _ => Ok(()),
        };
        match (&wire.manifests, &wire.config, &wire.layers) {
            (Some(_), ..) if of_manifest => Err(ContentError::Both),
            (Some(children), ..) if children.len() > MAX_CHILDREN => {
                Err(ContentError::TooManyChildren(children.len()))
            }
            (Some(children), ..) => {
                called(INDEXES)?;
                let digests = children.iter().filter_map(|Object(child)| child.digest.parse().ok());
                Ok(Self::Index(digests.collect()))
            }
            (None, Some(config), Some(_)) if wire.fs_layers.is_none() => {
                called(MANIFESTS)?;
                match config.media_type.as_str() {
                    REWRITTEN => return Err(ContentError::Rewritten),
                    known if CONFIGS.contains(&known) => {}
                    other => return Err(ContentError::NotAnImage(brief(other))),
                }
                let config = config.digest.parse().map_err(ContentError::Config)?;
                Ok(Self::Manifest { config })
            }
            _ => Err(ContentError::Neither),
        }
    }
}

/// Reads an image config: the digests of its layers, uncompressed, the lowest first (`rootfs.diff_ids`).
///
/// # Errors
/// See [`ContentError`].
pub fn config(bytes: &[u8]) -> Result<Vec<Digest>, ContentError> {
    let ImageConfig { rootfs } = strictly(bytes, Document::Config)?;
    if rootfs.r#type != "layers" {
        return Err(ContentError::RootFs(brief(&rootfs.r#type)));
    }
    let layers = rootfs.diff_ids.unwrap_or_default();
    if layers.len() > MAX_LAYERS {
        return Err(ContentError::TooManyLayers(layers.len()));
    }
    let numbered = layers.iter().enumerate();
    numbered.map(|(at, layer)| layer.parse().map_err(|error| ContentError::Layer(at, error))).collect()
}

/// The chain ID of these layers, the lowest first: the name under which containerd keeps the root
/// filesystem they make (OCI image-spec `config.md`, "Layer ChainID"). None for no layers: such a
/// filesystem has no name.
#[must_use]
pub fn chain_id(layers: &[Digest]) -> Option<Digest> {
    layers.iter().copied().reduce(|chain, layer| Digest::of(format!("{chain} {layer}").as_bytes()))
}

/// An object in which no member stands twice, at any depth.
fn strictly<T: for<'de> Deserialize<'de>>(bytes: &[u8], document: Document) -> Result<T, ContentError> {
    if bytes.len() > MAX_BYTES {
        return Err(ContentError::TooLarge(document, bytes.len()));
    }
    let shape = |error: serde_json::Error| ContentError::Shape(document, brief(&error.to_string()));
    let _: AnyUnique = serde_json::from_slice(bytes).map_err(shape)?;
    let Object(read) = serde_json::from_slice(bytes).map_err(shape)?;
    Ok(read)
}

fn brief(text: &str) -> String {
    crate::text::shown(text, 160)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn d(text: &str) -> Digest {
        text.parse().unwrap()
    }

    fn manifest() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFESTS[0],
            "config": {"mediaType": CONFIGS[0], "digest": A, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": B, "size": 1}],
        })
    }

    fn index() -> Value {
        json!({"schemaVersion": 2, "manifests": [
            {"mediaType": MANIFESTS[0], "digest": B, "size": 1},
            {"mediaType": MANIFESTS[0], "digest": format!("sha512:{}", "ab".repeat(64)), "size": 1},
            {"mediaType": MANIFESTS[0], "digest": A, "size": 1},
        ]})
    }

    fn with(mut value: Value, path: &str, put: Value) -> Value {
        let (parent, name) = path.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), put);
        value
    }

    fn without(mut value: Value, name: &str) -> Value {
        value.as_object_mut().unwrap().remove(name);
        value
    }

    fn read(value: &Value) -> Result<Content, ContentError> {
        Content::read(value.to_string().as_bytes())
    }

    #[test]
    fn documents_of_images() {
        let manifest_of_a = Content::Manifest { config: d(A) };
        let docker =
            with(with(manifest(), "/mediaType", json!(MANIFESTS[1])), "/config/mediaType", json!(CONFIGS[1]));
        let rows = [
            (manifest(), manifest_of_a.clone()),
            (docker, manifest_of_a.clone()),
            (without(manifest(), "mediaType"), manifest_of_a.clone()),
            (without(manifest(), "schemaVersion"), manifest_of_a.clone()),
            (with(manifest(), "/layers", json!([])), manifest_of_a.clone()),
            (with(manifest(), "/annotations", json!({"a": "b"})), manifest_of_a),
            (index(), Content::Index(vec![d(B), d(A)])),
            (with(index(), "/mediaType", json!(INDEXES[0])), Content::Index(vec![d(B), d(A)])),
            (with(index(), "/mediaType", json!(INDEXES[1])), Content::Index(vec![d(B), d(A)])),
            (with(index(), "/manifests", json!([])), Content::Index(vec![])),
        ];
        for (document, expected) in rows {
            assert_eq!(read(&document), Ok(expected), "{document}");
        }
    }

    #[test]
    fn other_documents_are_refused() {
        let config = |media_type: &str| with(manifest(), "/config/mediaType", json!(media_type));
        let many: Vec<Value> = (0..=MAX_CHILDREN).map(|_| json!({"digest": A})).collect();
        let rows = [
            (with(manifest(), "/manifests", json!([])), "an index and a manifest at once"),
            (with(index(), "/layers", json!([])), "an index and a manifest at once"),
            (with(index(), "/config", json!({"mediaType": "x", "digest": "y"})), "at once"),
            (with(index(), "/fsLayers", json!([])), "at once"),
            (with(manifest(), "/fsLayers", json!([])), "neither"),
            (json!({}), "neither"),
            (without(manifest(), "layers"), "neither"),
            (without(manifest(), "config"), "neither"),
            (
                with(manifest(), "/mediaType", json!(INDEXES[0])),
                "calls itself `application/vnd.oci.image.index",
            ),
            (with(index(), "/mediaType", json!(MANIFESTS[0])), "calls itself"),
            (with(index(), "/mediaType", json!("text/\u{202e}html")), "`text/\u{fffd}html`"),
            (with(index(), "/mediaType", json!(null)), "cannot be read"),
            (with(index(), "/manifests", json!(null)), "cannot be read"),
            (with(index(), "/manifests", json!([[A]])), "cannot be read"),
            (with(index(), "/manifests", json!([{"size": 1}])), "cannot be read"),
            (with(index(), "/manifests", json!(many)), "lists 257 manifests"),
            (with(manifest(), "/layers", json!({})), "cannot be read"),
            (with(manifest(), "/config", json!([CONFIGS[0], A])), "cannot be read"),
            (config("application/octet-stream"), "containerd rewrites"),
            (config("application/vnd.cncf.helm.config.v1+json"), "not an image's"),
            (config(""), "not an image's"),
            (with(manifest(), "/config/digest", json!("sha512:ab")), "`sha512` is not supported"),
            (json!([2, "", [], {}, []]), "cannot be read"),
            (json!(null), "cannot be read"),
        ];
        for (document, part) in rows {
            let error = read(&document).unwrap_err().to_string();
            assert!(error.contains(part), "{document} gave {error:?}, which lacks {part:?}");
        }
        let texts = [
            (String::new(), "cannot be read"),
            (manifest().to_string() + "{}", "trailing"),
            (
                manifest().to_string().replacen('{', &format!("{{\"layers\":[],\"layers\":{},", "[]"), 1),
                "duplicate",
            ),
            (manifest().to_string().replacen("\"size\"", "\"digest\":\"x\",\"size\"", 1), "duplicate"),
            (
                index().to_string().replacen("\"size\"", "\"a\":{\"b\":1,\"b\":2},\"size\"", 1),
                "duplicate key `b`",
            ),
            (format!("{{\"manifests\":{}", "[".repeat(100_000)), "cannot be read"),
        ];
        for (text, part) in texts {
            let error = Content::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{text:.300} gave {error:?}, which lacks {part:?}");
        }
        let long = vec![b' '; MAX_BYTES + 1];
        assert_eq!(Content::read(&long), Err(ContentError::TooLarge(Document::Manifest, MAX_BYTES + 1)));
    }

    #[test]
    fn configs() {
        let of = |diff_ids: Value| {
            json!({"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string()
        };
        assert_eq!(config(of(json!([B, A])).as_bytes()), Ok(vec![d(B), d(A)]));
        for none in [of(json!([])), of(json!(null)), r#"{"rootfs":{"type":"layers"}}"#.to_owned()] {
            assert_eq!(config(none.as_bytes()), Ok(vec![]), "{none}");
        }
        assert_eq!(config(of(json!(vec![A; MAX_LAYERS])).as_bytes()).unwrap().len(), MAX_LAYERS);
        let rows = [
            (of(json!(vec![A; MAX_LAYERS + 1])), "names 1025 layers"),
            (of(json!([A, "sha256:ab"])), "layer 1 of the config"),
            (of(json!([A])).replace("layers", "zip"), "type `zip`"),
            (of(json!([A])).replace("\"type\"", "\"type\":\"layers\",\"type\""), "duplicate"),
            (of(json!({})), "the config cannot be read"),
            ("{}".into(), "missing field `rootfs`"),
            (r#"{"rootfs":null}"#.into(), "cannot be read"),
            (r#"{"rootfs":{"diff_ids":[]}}"#.into(), "missing field `type`"),
            (r#"{"rootfs":["layers",[]]}"#.into(), "cannot be read"),
        ];
        for (text, part) in rows {
            let error = config(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{text:.300} gave {error:?}, which lacks {part:?}");
        }
    }

    /// The chains were made with `printf '%s %s' CHAIN LAYER | sha256sum`.
    #[test]
    fn chain_ids() {
        let two = "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c";
        let three = "sha256:406364a4bd8d39df8107071d4494fa73814420337124657ec5999b072e5d3352";
        let rows: [(&[&str], Option<&str>); 4] =
            [(&[], None), (&[A], Some(A)), (&[A, B], Some(two)), (&[A, B, A], Some(three))];
        for (layers, chain) in rows {
            let layers: Vec<Digest> = layers.iter().map(|layer| d(layer)).collect();
            assert_eq!(chain_id(&layers), chain.map(d), "{layers:?}");
        }
    }
}
