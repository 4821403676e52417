//! OCI images made by hand: a busybox layer that all of them share, and one small layer that makes
//! each its own. The same content gives the same digests on every machine with the same busybox.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::json;
use sha2::{Digest as _, Sha256};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Bytes and their `sha256:…`.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes }
    }
}

/// An image for this machine's platform.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) layers: Vec<Blob>,
    /// Its digest is the image id that CRI answers.
    pub(crate) config: Blob,
    /// Its digest is the one that a registry answers and an attestation names.
    pub(crate) manifest: Blob,
}

impl Image {
    /// An image that runs `command` (of busybox, found in `/bin`) and holds `marker` in `/marker`.
    pub(crate) fn new(marker: &str, command: &[&str]) -> Self {
        let mut tar = Tar::default();
        tar.file("marker", 0o644, marker.as_bytes());
        let config = json!({ "Cmd": command, "Env": ["PATH=/bin"], "WorkingDir": "/" });
        Self::of(vec![busybox().clone(), Blob::new(tar.end())], &config)
    }

    /// An image of these layers; `config` is what runs, in OCI's words.
    fn of(layers: Vec<Blob>, config: &serde_json::Value) -> Self {
        let config = Blob::new(bytes(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>(),
            },
        })));
        let manifest = Blob::new(bytes(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": layers.iter().map(|layer| descriptor(LAYER, layer)).collect::<Vec<_>>(),
        })));
        Self { layers, config, manifest }
    }

    /// The same layers under another config: what runs is something else.
    pub(crate) fn reconfigured(&self, command: &[&str], env: &[&str]) -> Self {
        let env: Vec<_> = ["PATH=/bin"].iter().chain(env).collect();
        Self::of(self.layers.clone(), &json!({ "Cmd": command, "Env": env, "WorkingDir": "/" }))
    }

    /// `FROM scratch`: no layer at all. What it runs, a mount must bring; [`Image::tools`] is such a thing.
    pub(crate) fn scratch(command: &[&str]) -> Self {
        Self::of(Vec::new(), &json!({ "Cmd": command }))
    }

    /// The program that all tools of the other images are. Mounted as `/busybox`: it goes by its name.
    pub(crate) fn tools() -> PathBuf {
        super::program("busybox")
    }

    /// One that writes its marker into the file `ran` of a folder mounted at `/proof`, and stays up.
    pub(crate) fn proves(marker: &str) -> Self {
        Self::new(marker, &["sh", "-c", "cat /marker > /proof/ran; exec sleep 1000000"])
    }

    /// One that sends its marker to a port of the loopback interface, and stays up.
    pub(crate) fn calls(marker: &str, port: u16) -> Self {
        Self::new(marker, &["sh", "-c", &format!("nc 127.0.0.1 {port} < /marker; exec sleep 1000000")])
    }

    /// The same content under a manifest, and so a digest, of its own.
    pub(crate) fn annotated(&self, value: &str) -> Self {
        let mut manifest: serde_json::Value = serde_json::from_slice(&self.manifest.bytes).unwrap();
        manifest["annotations"] = json!({ "test": value });
        Self { manifest: Blob::new(bytes(&manifest)), ..self.clone() }
    }

    /// The same under a manifest that says its config is of another type.
    pub(crate) fn with_config_type(&self, media_type: &str) -> Self {
        let mut manifest: serde_json::Value = serde_json::from_slice(&self.manifest.bytes).unwrap();
        manifest["config"]["mediaType"] = json!(media_type);
        Self { manifest: Blob::new(bytes(&manifest)), ..self.clone() }
    }

    /// One that prints its marker and stays up until it is stopped.
    pub(crate) fn service(marker: &str) -> Self {
        Self::new(marker, &["sh", "-c", "cat /marker; echo; exec sleep 1000000"])
    }

    /// One that prints its marker and ends.
    pub(crate) fn job(marker: &str) -> Self {
        Self::new(marker, &["sh", "-c", "cat /marker; echo"])
    }

    /// The image index that lists these images, all for this machine's platform but for the variant.
    pub(crate) fn index(images: &[&Self]) -> Blob {
        let manifests: Vec<_> = images
            .iter()
            .enumerate()
            .map(|(place, image)| {
                let mut entry = descriptor(MANIFEST, &image.manifest);
                entry["platform"] = json!({ "architecture": architecture(), "os": "linux" });
                if place > 0 {
                    entry["platform"]["architecture"] = json!("s390x");
                }
                entry
            })
            .collect();
        Blob::new(bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })))
    }

    /// Digest of the manifest.
    pub(crate) fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// What CRI calls the image id: the config's digest.
    pub(crate) fn id(&self) -> &str {
        &self.config.digest
    }
}

/// `sha256:` and lower-case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn bytes(document: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(document).unwrap()
}

fn descriptor(media_type: &str, blob: &Blob) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.bytes.len() })
}

/// This machine's, as OCI names it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn busybox() -> &'static Blob {
    static LAYER: OnceLock<Blob> = OnceLock::new();
    LAYER.get_or_init(|| {
        let mut tar = Tar::default();
        tar.folder("bin");
        tar.file("bin/busybox", 0o755, &fs::read(super::program("busybox")).unwrap());
        for applet in ["sh", "cat", "echo", "id", "nc", "readlink", "sleep", "true", "false"] {
            tar.link(&format!("bin/{applet}"), "busybox");
        }
        Blob::new(tar.end())
    })
}

/// A ustar archive: root's, of the epoch, names under 100 bytes.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn folder(&mut self, name: &str) {
        self.entry(name, b'5', 0o755, "", b"");
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, b'0', mode, "", content);
    }

    fn link(&mut self, name: &str, target: &str) {
        self.entry(name, b'2', 0o777, target, b"");
    }

    fn entry(&mut self, name: &str, kind: u8, mode: u32, target: &str, content: &[u8]) {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        "); // the checksum counts its own field as spaces
        put(157, target);
        put(257, "ustar");
        put(263, "00");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
