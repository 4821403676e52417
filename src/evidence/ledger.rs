//! All sources together: which occurrences there are for a digest, and what they prove.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::cache::{Cache, CacheStatus};
use super::folder::{Folder, SourceStatus};
use crate::attestation::{Evidence, KeyRing, Occurrence};
use crate::image::Digest;

/// What is known of images, and where from.
#[derive(Debug)]
pub struct Ledger {
    folders: Mutex<Vec<Folder>>,
    index: RwLock<Arc<Index>>,
    cache: Cache,
}

#[derive(Debug)]
struct Index {
    generation: u64,
    by_digest: Arc<HashMap<Digest, Vec<Arc<Occurrence>>>>,
    /// When every source was last read to the end.
    complete: Instant,
}

impl Ledger {
    /// Reads `folders` (name and path) for the first time.
    #[must_use]
    pub fn open<'a>(folders: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Self {
        let folders = folders.into_iter().map(|(name, path)| Folder::new(name, path)).collect();
        let index = Index { generation: 0, by_digest: Arc::default(), complete: Instant::now() };
        let ledger =
            Self { folders: Mutex::new(folders), index: RwLock::new(Arc::new(index)), cache: Cache::new() };
        ledger.refresh();
        ledger
    }

    /// Looks at every source again.
    pub fn refresh(&self) {
        let started = Instant::now();
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        // Every folder is scanned, also after one that has changed.
        let changed = folders.iter_mut().map(Folder::scan).fold(false, |any, changed| any | changed);
        let before = self.index();
        let complete = if folders.iter().all(Folder::is_readable) { started } else { before.complete };
        let (generation, by_digest) = if changed {
            let mut by_digest: HashMap<_, Vec<_>> = HashMap::new();
            for occurrence in folders.iter().flat_map(Folder::occurrences) {
                by_digest.entry(occurrence.digest).or_default().push(Arc::clone(occurrence));
            }
            (before.generation + 1, Arc::new(by_digest))
        } else {
            (before.generation, Arc::clone(&before.by_digest))
        };
        let index = Arc::new(Index { generation, by_digest, complete });
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }

    /// What is known of `digest` under `key_ring`, and how long ago the sources were last read to the
    /// end. From the cache where it is there; otherwise every signature that may count is checked now.
    #[must_use]
    pub fn evidence(&self, digest: Digest, key_ring: &KeyRing) -> (Arc<Evidence>, Duration) {
        let index = self.index();
        let age = index.complete.elapsed();
        if let Some(evidence) = self.cache.lookup(digest, index.generation, key_ring) {
            return (evidence, age);
        }
        let occurrences = index.by_digest.get(&digest).map(Vec::as_slice).unwrap_or_default();
        let evidence = Arc::new(Evidence::gather(digest, occurrences.iter().map(AsRef::as_ref), key_ring));
        self.cache.store(index.generation, Arc::clone(&evidence));
        (evidence, age)
    }

    /// Whether [`Ledger::evidence`] would answer from the cache.
    #[must_use]
    pub fn has_cached(&self, digest: Digest, key_ring: &KeyRing) -> bool {
        self.cache.has(digest, self.index().generation, key_ring)
    }

    /// What became of each source.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Folder::status).collect()
    }

    /// The folders to watch.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.iter().map(|folder| folder.path().to_owned()).collect()
    }

    /// Digests with at least one attestation on file, and how old that knowledge is.
    #[must_use]
    pub fn size(&self) -> (usize, Duration) {
        let index = self.index();
        (index.by_digest.len(), index.complete.elapsed())
    }

    /// How full the cache is.
    #[must_use]
    pub fn cache(&self) -> CacheStatus {
        self.cache.status()
    }

    fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Attestor;
    use crate::document::Format;

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvgIMsXWHkzCb6RxjV0BrxMypUsr2\nIT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ==\n-----END PUBLIC KEY-----\n";
    const SIGNATURE: &str =
        "MEYCIQDrzbw7EV4LPC5UiBnlOb2oj3loIGcCuNjuAlGwA3Na9wIhAMzJiVJkyHOaDtsdbLXFQDp5jDCQB070Gojt7pnfTghU";
    const D: &str = "sha256:abababababababababababababababababababababababababababababababab";

    fn ring(id: &str) -> KeyRing {
        let document = serde_json::json!({"name": "projects/p/attestors/a", "userOwnedGrafeasNote": {
            "noteReference": "projects/p/notes/a",
            "publicKeys": [{"id": id, "pkixPublicKey": {"publicKeyPem": PEM, "signatureAlgorithm": "ECDSA_P256_SHA256"}}]}});
        KeyRing::new([Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()])
    }

    fn occurrence() -> String {
        let payload =
            crate::attestation::payload::gcloud("registry.example.com/team/app", D.parse().unwrap());
        serde_json::json!({"resourceUri": format!("https://r/a@{D}"), "noteName": "projects/p/notes/a",
            "attestation": {"serializedPayload": crate::attestation::base64::encode(payload.as_bytes()),
                "signatures": [{"publicKeyId": "k", "signature": SIGNATURE}]}})
        .to_string()
    }

    #[test]
    fn evidence_follows_keys_and_sources() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open([("local", folder.path())]);
        let digest = D.parse().unwrap();
        let count = |ring: &KeyRing| ledger.evidence(digest, ring).0.verified().count();
        let (k, other) = (ring("k"), ring("other"));
        assert_eq!(count(&k), 0);
        std::fs::write(folder.path().join("o.json"), occurrence()).unwrap();
        assert_eq!(count(&k), 0);
        ledger.refresh();
        assert_eq!((count(&k), count(&k), count(&other), count(&k)), (1, 1, 0, 1));
        let status = ledger.cache();
        assert_eq!((status.found, status.absent, status.hits), (1, 0, 2));
        std::fs::remove_file(folder.path().join("o.json")).unwrap();
        ledger.refresh();
        assert_eq!((count(&k), ledger.cache().found, ledger.cache().absent), (0, 0, 1));
    }

    #[test]
    fn unknown_digests_push_out_no_attested_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("o.json"), occurrence()).unwrap();
        let ledger = Ledger::open([("local", folder.path())]);
        let ring = ring("k");
        let ask = |digest| ledger.evidence(digest, &ring).0.verified().count();
        assert_eq!(ask(D.parse().unwrap()), 1);
        for n in 0..100_000_u32 {
            assert_eq!(ask(Digest::of(&n.to_be_bytes())), 0);
        }
        let before = ledger.cache();
        assert_eq!(ask(D.parse().unwrap()), 1);
        assert_eq!(ledger.cache().hits, before.hits + 1);
        assert_eq!((before.found, before.absent), (1, 2_048));
    }
}
