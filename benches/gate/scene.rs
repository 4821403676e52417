//! One node with everything that is measured: containerd, its registry, the daemon, and exactly 1,000
//! attestations in the daemon's folder.

use std::fs;
use std::path::{Path, PathBuf};

use binauthd::gate::client::{Patience, ask};
use binauthd::gate::message::{Answer, Ask, AskedImage, Decision};
use binauthd::image::Digest;
use tempfile::TempDir;

use super::attest::{Key, attestor, policy};
use super::in_process::digests;
use super::programs::Programs;
use super::rig::{Daemon, Image, Node, Pushed};

/// Documents in the daemon's folder.
pub(crate) const ATTESTATIONS: usize = 1_000;
/// Images that are pulled at once.
pub(crate) const CROWD: usize = 110;

const ATTESTOR: &str = "build";
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";

/// The node and what was made for it.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    pub(crate) programs: Programs,
    /// Attested, and on the registry.
    pub(crate) app: Pushed,
    /// Attested, each another image, and on the registry.
    pub(crate) crowd: Vec<Pushed>,
    /// Not attested, and on the registry.
    pub(crate) stranger: Pushed,
    /// Attested digests of no image: nobody asks about one of them twice.
    pub(crate) unasked: Vec<Digest>,
    /// For files of the bench's own.
    pub(crate) folder: TempDir,
    keys: [Key; 2],
    /// Last, so that it goes last.
    pub(crate) node: Node,
}

impl Scene {
    /// Starts everything. Every attestation is by the first of the attestor's two keys.
    pub(crate) async fn set(programs: Programs, folder: TempDir) -> Self {
        let node = Node::start().await;
        let app = node.registry.push("app", "1", &Image::job("app")).await;
        let stranger = node.registry.push("stranger", "1", &Image::job("stranger")).await;
        let mut crowd = Vec::new();
        for n in 0..CROWD {
            let (path, marker) = (format!("crowd-{n}"), format!("crowd {n}"));
            crowd.push(node.registry.push(&path, "1", &Image::job(&marker)).await);
        }
        let keys = [Key::new(1), Key::new(2)];
        let unasked = digests("unasked", ATTESTATIONS - CROWD - 1);
        for image in crowd.iter().chain([&app]) {
            let digest = image.digest.parse().unwrap();
            let document = keys[0].attest(ATTESTOR, &image.repository, digest);
            node.etc.write_occurrence(&format!("{}.json", digest.hex()), &document);
        }
        for digest in &unasked {
            let document = keys[0].attest(ATTESTOR, "registry.example.com/team/app", *digest);
            node.etc.write_occurrence(&format!("{}.json", digest.hex()), &document);
        }
        node.etc.write_policy(&policy(&[ATTESTOR], &[]));
        node.etc.write_attestor("build.json", &attestor(ATTESTOR, &[&keys[0], &keys[1]]));
        let daemon = Daemon::start(&node, &programs.daemon).await;
        Self { daemon, programs, app, crowd, stranger, unasked, folder, keys, node }
    }

    /// Takes the key that signed everything out of the attestor, or puts it back.
    pub(crate) fn trust(&self, first_key: bool) {
        let keys: Vec<_> = self.keys.iter().skip(usize::from(!first_key)).collect();
        self.node.etc.write_attestor("build.json", &attestor(ATTESTOR, &keys));
    }

    /// Asks the daemon from this process.
    pub(crate) fn ask(&self, name: &str, digest: &str) -> Answer {
        let image = AskedImage { name: name.into(), digests: vec![digest.into()], ..AskedImage::default() };
        let (program, entry) = ("bench".into(), "00-binauthd".into());
        let question = Ask {
            gate: "pull".into(),
            program,
            entry,
            image,
            container: None,
            observes: None,
            problem: None,
        };
        ask(&self.node.etc.gate_socket(), &question, Patience::GATE).unwrap()
    }

    pub(crate) fn allows(&self, name: &str, digest: &str) -> bool {
        self.ask(name, digest).decision == Decision::Allow
    }

    /// A file with what containerd writes to a verifier's standard input.
    pub(crate) fn descriptor(&self, digest: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{}.descriptor", digest.trim_start_matches("sha256:")));
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let text = serde_json::json!({ "mediaType": media_type, "digest": digest, "size": 504 });
        fs::write(&path, format!("{text}\n")).unwrap();
        path
    }

    /// The arguments containerd gives to a verifier.
    pub(crate) fn arguments(name: &str, digest: &str) -> [String; 6] {
        ["-name", name, "-digest", digest, "-stdin-media-type", DESCRIPTOR].map(ToOwned::to_owned)
    }
}

/// The verifiers of one node, of which at most one is in `bin_dir`.
pub(crate) struct Verifiers {
    waiting: PathBuf,
    entry: PathBuf,
    installed: Option<&'static str>,
}

impl Verifiers {
    /// Each program is copied under its name; none is installed.
    pub(crate) fn new(scene: &Scene, folder: &str, programs: &[(&'static str, &Path)]) -> Self {
        let waiting = scene.node.home.folder(folder);
        for (name, program) in programs {
            fs::copy(program, waiting.join(name)).unwrap();
        }
        Self { waiting, entry: scene.node.bin_dir().join("00-binauthd"), installed: None }
    }

    /// Exchanges the one in `bin_dir` by renaming.
    pub(crate) fn install(&mut self, name: Option<&'static str>) {
        if let Some(installed) = self.installed {
            fs::rename(&self.entry, self.waiting.join(installed)).unwrap();
        }
        if let Some(name) = name {
            fs::rename(self.waiting.join(name), &self.entry).unwrap();
        }
        self.installed = name;
    }
}

impl Drop for Verifiers {
    fn drop(&mut self) {
        self.install(None);
    }
}
