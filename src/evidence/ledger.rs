//! All sources together: which occurrences there are for a digest, and what they prove.
//!
//! Reading the sources is apart from answering: whoever asks before they have been read once waits for
//! that, and never for a later reading.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cache::{Cache, CacheStatus, Filed};
use super::folder::{Folder, SourceStatus};
use crate::attestation::verify::Observer;
use crate::attestation::{Evidence, KeyRing, Occurrence};
use crate::image::Digest;

/// How long a question waits for the first reading: less than a gate waits for its answer.
const FIRST_READING: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(6) };

/// What is known of images, and where from.
#[derive(Debug)]
pub struct Ledger {
    /// Locked for as long as a reading takes.
    folders: Mutex<Vec<Folder>>,
    index: Mutex<Arc<Index>>,
    read: Condvar,
    cache: Cache,
}

#[derive(Debug, Default)]
struct Index {
    by_digest: Arc<HashMap<Digest, Arc<[Arc<Occurrence>]>>>,
    /// When every source was last read to the end; `None` before any reading.
    complete: Option<Instant>,
    sources: Vec<SourceStatus>,
}

impl Ledger {
    /// Knows `folders` (name and path) and has read none of them; [`Ledger::refresh`] does.
    #[must_use]
    pub fn new<'a>(folders: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Self {
        let folders: Vec<_> = folders.into_iter().map(|(name, path)| Folder::new(name, path)).collect();
        let sources = folders.iter().map(Folder::status).collect();
        let index = Index { sources, ..Index::default() };
        Self {
            folders: Mutex::new(folders),
            index: Mutex::new(Arc::new(index)),
            read: Condvar::new(),
            cache: Cache::new(),
        }
    }

    /// Looks at every source again; whether anything there has changed.
    pub fn refresh(&self) -> bool {
        let started = Instant::now();
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        // Every folder is scanned, also after one that has changed.
        let changed = folders.iter_mut().map(Folder::scan).fold(false, |any, changed| any | changed);
        let before = self.index();
        let whole = folders.iter().all(Folder::is_readable);
        let index = Index {
            by_digest: if changed {
                Arc::new(filed(&folders, &before))
            } else {
                Arc::clone(&before.by_digest)
            },
            complete: if whole { Some(started) } else { before.complete.or(Some(started)) },
            sources: folders.iter().map(Folder::status).collect(),
        };
        for (was, is) in before.sources.iter().zip(&index.sources) {
            match &is.problem {
                Some(problem) if was.problem != is.problem => {
                    tracing::warn!("source `{}`: {problem}", is.name)
                }
                None if was.problem.is_some() => tracing::info!("source `{}` can be read again", is.name),
                _ => {}
            }
        }
        *self.lock() = Arc::new(index);
        self.read.notify_all();
        changed
    }

    /// What is known of `digest` under `key_ring`, and how long ago the sources were last read to the
    /// end. From the cache where it is there; otherwise every signature that may count is checked now.
    /// `None` when the sources have not been read once within 6 s.
    #[must_use]
    pub fn evidence(&self, digest: Digest, key_ring: &KeyRing) -> Option<(Arc<Evidence>, Duration)> {
        let index = self.first_reading()?;
        let age = index.complete?.elapsed();
        let filed = index.by_digest.get(&digest).cloned();
        if let Some(evidence) = self.cache.lookup(digest, &filed, key_ring) {
            return Some((evidence, age));
        }
        let occurrences = filed.as_deref().unwrap_or_default();
        let before = self.cache.found_before(digest);
        let occurrences = occurrences.iter().map(AsRef::as_ref);
        let evidence = Arc::new(Evidence::gather_again(digest, occurrences, key_ring, before.as_deref()));
        self.cache.store(filed, Arc::clone(&evidence));
        Some((evidence, age))
    }

    /// The same with every signature looked at again, telling `observer` of each; the cache is left alone.
    pub fn watched(
        &self,
        digest: Digest,
        key_ring: &KeyRing,
        observer: &mut impl Observer,
    ) -> Option<(Arc<Evidence>, Duration)> {
        let index = self.first_reading()?;
        let filed = index.by_digest.get(&digest).cloned();
        let before = self.cache.found_before(digest);
        let occurrences = filed.as_deref().unwrap_or_default().iter().map(AsRef::as_ref);
        let evidence = Evidence::gather_watched(digest, occurrences, key_ring, before.as_deref(), observer);
        Some((Arc::new(evidence), index.complete?.elapsed()))
    }

    /// The same from the cache alone: at once, or not at all.
    #[must_use]
    pub fn cached(&self, digest: Digest, key_ring: &KeyRing) -> Option<(Arc<Evidence>, Duration)> {
        let index = self.index();
        let age = index.complete?.elapsed();
        let filed: Filed = index.by_digest.get(&digest).cloned();
        Some((self.cache.lookup(digest, &filed, key_ring)?, age))
    }

    /// What became of each source at the last reading.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.index().sources.clone()
    }

    /// Digests with at least one attestation on file, and how old that knowledge is; no age before the
    /// first reading.
    #[must_use]
    pub fn size(&self) -> (usize, Option<Duration>) {
        let index = self.index();
        (index.by_digest.len(), index.complete.map(|complete| complete.elapsed()))
    }

    /// How full the cache is.
    #[must_use]
    pub fn cache(&self) -> CacheStatus {
        self.cache.status()
    }

    fn first_reading(&self) -> Option<Arc<Index>> {
        let unread = |index: &mut Arc<Index>| index.complete.is_none();
        let (index, waited) = self
            .read
            .wait_timeout_while(self.lock(), FIRST_READING, unread)
            .unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then(|| Arc::clone(&index))
    }

    fn index(&self) -> Arc<Index> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is filed in `folders`, by digest. What is as it was `before` stays the same allocation, which is
/// how the cache knows that an answer still counts.
fn filed(folders: &[Folder], before: &Index) -> HashMap<Digest, Arc<[Arc<Occurrence>]>> {
    let mut now: HashMap<_, Vec<_>> = HashMap::new();
    for occurrence in folders.iter().flat_map(Folder::occurrences) {
        now.entry(occurrence.digest).or_default().push(Arc::clone(occurrence));
    }
    now.into_iter()
        .map(|(digest, mut occurrences)| {
            occurrences.sort_by_key(|occurrence| Arc::as_ptr(occurrence).addr());
            let same = before.by_digest.get(&digest).filter(|before| {
                before.len() == occurrences.len()
                    && before.iter().zip(&occurrences).all(|(one, other)| Arc::ptr_eq(one, other))
            });
            (digest, same.map_or_else(|| occurrences.into(), Arc::clone))
        })
        .collect()
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
        let ledger = Ledger::new([("local", folder.path())]);
        ledger.refresh();
        let digest = D.parse().unwrap();
        let count = |ring: &KeyRing| ledger.evidence(digest, ring).unwrap().0.verified().count();
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
    fn what_is_filed_for_others_voids_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("o.json", &occurrence());
        let ledger = Ledger::new([("local", folder.path())]);
        ledger.refresh();
        let (ring, digest) = (ring("k"), D.parse().unwrap());
        assert!(ledger.cached(digest, &ring).is_none());
        assert_eq!(ledger.evidence(digest, &ring).unwrap().0.verified().count(), 1);
        write("other.json", &occurrence().replace("ab", "cd"));
        ledger.refresh();
        assert!(ledger.cached(digest, &ring).is_some());
        write("same.json", &occurrence());
        ledger.refresh();
        assert!(ledger.cached(digest, &ring).is_none());
    }

    #[test]
    fn a_question_waits_for_the_first_reading_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("o.json"), occurrence()).unwrap();
        let ledger = Ledger::new([("local", folder.path())]);
        let (ring, digest) = (ring("k"), D.parse().unwrap());
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| ledger.evidence(digest, &ring).unwrap().0.verified().count());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!asked.is_finished());
            ledger.refresh();
            assert_eq!(asked.join().unwrap(), 1);
        });
        // A source that cannot be read is an empty one that alarms.
        let ledger = Ledger::new([("gone", Path::new("/nowhere"))]);
        ledger.refresh();
        assert_eq!(ledger.evidence(digest, &ring).unwrap().0.verified().count(), 0);
        assert!(ledger.sources()[0].problem.is_some());
    }

    #[test]
    fn unknown_digests_push_out_no_attested_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("o.json"), occurrence()).unwrap();
        let ledger = Ledger::new([("local", folder.path())]);
        ledger.refresh();
        let ring = ring("k");
        let ask = |digest| ledger.evidence(digest, &ring).unwrap().0.verified().count();
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
