//! The canary: an image that is part of the program and refused before everything else, so that a node can be shown an
//! image which nobody may ever let through.
//!
//! Its bytes are made here and nowhere else: one layer with an empty folder, one config and one manifest for each
//! architecture. Whoever wants one that is let through has to change the program.

use std::sync::OnceLock;

use super::reason::Reason;
use super::subject::Subject;
use super::verdict::Verdict;
use crate::image::Digest;

/// `GOARCH` of the machines that containerd runs on.
const ARCHITECTURES: &[&str] = &["amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64"];
/// The one thing in the image.
const FOLDER: &[u8] = b"binauthd-canary/";
/// What is said of it, after its name.
const REFUSAL: &str = "is the canary of binauthd, which is always refused";
const BLOCK: usize = 512;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The canary for one architecture, as a registry holds it (OCI image specification, 1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The image manifest.
    pub manifest: Blob,
    /// The image config.
    pub config: Blob,
    /// A tar archive of one empty folder.
    pub layer: Blob,
}

/// Some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Of its bytes.
    pub digest: Digest,
    /// Its media type.
    pub kind: &'static str,
    /// Itself.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(kind: &'static str, bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), kind, bytes }
    }

    /// As a manifest names it.
    fn descriptor(&self) -> String {
        format!(
            "{{\"digest\":\"{}\",\"mediaType\":\"{}\",\"size\":{}}}",
            self.digest,
            self.kind,
            self.bytes.len()
        )
    }
}

impl Canary {
    /// Of an architecture as Go names it; one that is not known gives an image that no machine runs.
    #[must_use]
    pub fn of(architecture: &str) -> Self {
        let layer = Blob::new(LAYER, layer());
        let config = format!(
            "{{\"architecture\":\"{architecture}\",\"config\":{{\"Cmd\":[\"/nothing\"]}},\"os\":\"linux\",\
             \"rootfs\":{{\"diff_ids\":[\"{}\"],\"type\":\"layers\"}}}}",
            layer.digest
        );
        let config = Blob::new(CONFIG, config.into_bytes());
        let manifest = format!(
            "{{\"config\":{},\"layers\":[{}],\"mediaType\":\"{MANIFEST}\",\"schemaVersion\":2}}",
            config.descriptor(),
            layer.descriptor()
        );
        Self { manifest: Blob::new(MANIFEST, manifest.into_bytes()), config, layer }
    }

    /// The digest of the manifest: that of the image.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.manifest.digest
    }

    /// Whether a text carries the refusal of this canary, and not of something that only sounds like it.
    #[must_use]
    pub fn is_refused_in(&self, text: &str) -> bool {
        let code = format!("({})", Reason::Canary);
        let names_it =
            [self.digest(), self.config.digest].iter().any(|digest| text.contains(&digest.to_string()));
        names_it && text.contains(REFUSAL) && text.contains(&code)
    }

    /// All of it.
    #[must_use]
    pub const fn blobs(&self) -> [&Blob; 3] {
        [&self.manifest, &self.config, &self.layer]
    }
}

/// Whether an image is the canary of any architecture.
pub(super) fn is_in(subject: &Subject) -> bool {
    static RESERVED: OnceLock<Vec<Digest>> = OnceLock::new();
    let reserved = RESERVED.get_or_init(|| {
        let all = ARCHITECTURES.iter().map(|architecture| Canary::of(architecture));
        all.flat_map(|canary| [canary.digest(), canary.config.digest]).collect()
    });
    subject.deniable().any(|digest| reserved.contains(&digest))
}

/// The verdict on the canary, whatever is in force; none for every other image.
#[must_use]
pub fn refusal(subject: &Subject) -> Option<Verdict> {
    is_in(subject).then(|| verdict(subject))
}

pub(super) fn verdict(subject: &Subject) -> Verdict {
    let message = format!("Image {} {REFUSAL}", subject.image());
    Verdict::deny(subject, Reason::Canary, "canary".to_owned(), message, false)
}

/// POSIX.1-1988 (ustar): a header for the folder, and the two empty blocks at the end.
fn layer() -> Vec<u8> {
    let mut header = vec![0; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        for (place, byte) in header.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    put(0, FOLDER);
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, b"00000000000\0");
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"5");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in header.iter_mut().skip(148).zip(sum.bytes()) {
        *place = byte;
    }
    header.resize(3 * BLOCK, 0);
    header
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::decision::{Case, Decision};
    use crate::policy::Rulebook;

    #[test]
    fn its_digests_never_change() {
        let canary = Canary::of("amd64");
        assert_eq!(
            (canary.digest().to_string().as_str(), Canary::of("arm64").digest().to_string().as_str()),
            (
                "sha256:ecfe873bc725c88c42f1cfd176d96ea814b6d89207ea016be3f2f64969968283",
                "sha256:95004509c9f1c6f376bff957598e24f16c45ae36663214564b29ad79cf6464a4",
            )
        );
        assert_eq!(canary.layer.bytes.len(), 1536);
        serde_json::from_slice::<serde_json::Value>(&canary.manifest.bytes).expect("JSON");
    }

    #[test]
    fn it_is_refused_by_whatever_is_in_force() {
        let named = format!("r.example/any@{}", Canary::of("arm64").digest());
        let subject = Subject::named(&named).unwrap();
        let rulebook = Rulebook::default();
        let verdict = Case::new(&subject, &rulebook, SystemTime::UNIX_EPOCH).judge(&[]);
        assert_eq!(
            (verdict.verdict, verdict.reason, verdict.enforced),
            (Decision::Deny, Reason::Canary, true)
        );
        let verdict = refusal(&subject).expect("refused");
        assert_eq!(verdict.reason, Reason::Canary);
        let told = format!("image verifier blocked pull: binauthd: {} ({})", verdict.line(), verdict.reason);
        assert!(
            Canary::of("arm64").is_refused_in(&told) && !Canary::of("amd64").is_refused_in(&told),
            "{told}"
        );
        for other in [told.replace("CANARY", "X"), told.replace("always", "never"), "CANARY".to_owned()] {
            assert!(!Canary::of("arm64").is_refused_in(&other), "{other}");
        }
        let other = Subject::named("r.example/any:1").unwrap();
        assert!(refusal(&other).is_none());
    }
}
