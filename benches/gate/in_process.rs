//! The daemon's engine in this process, over documents and attestations in a folder of its own.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use binauthd::audit::{Audit, Settings};
use binauthd::config::{Config, Documents};
use binauthd::daemon::Engine;
use binauthd::decision::{Subject, Verdict};
use binauthd::evidence::{self, Followed, Ledger, LookUps, Sources};
use binauthd::image::{Digest, DigestKind};
use tempfile::TempDir;

use super::attest::{Key, attestor, policy};

/// What a pod's author writes; no pattern of a bench matches it.
pub(crate) const NAME: &str = "registry.example.com/team/app:1.4";
const REPOSITORY: &str = "registry.example.com/team/app";
const ATTESTORS: [&str; 2] = ["build", "test"];
const SOURCE: &str = "local";

/// Two attestors that a policy requires, and an engine that knows their attestations.
pub(crate) struct Folder {
    path: TempDir,
}

impl Folder {
    /// Both attestors attest each of these digests.
    pub(crate) fn new(attested: &[Digest], allowlist: &[String]) -> Self {
        let path = tempfile::tempdir().unwrap();
        let at = |name: &str| path.path().join(name);
        for folder in ["attestors", "occurrences", "state"] {
            fs::create_dir(at(folder)).unwrap();
        }
        fs::write(at("policy.yaml"), policy(&ATTESTORS, allowlist)).unwrap();
        for (seed, id) in (1..).zip(ATTESTORS) {
            let key = Key::new(seed);
            fs::write(at(&format!("attestors/{id}.json")), attestor(id, &[&key])).unwrap();
            for digest in attested {
                let name = format!("occurrences/{id}-{}.json", digest.hex());
                fs::write(at(&name), key.attest(id, REPOSITORY, *digest)).unwrap();
            }
        }
        Self { path }
    }

    /// An engine that has asked nothing yet, with the documents on file and nobody following the folder.
    /// One at a time: they share a file.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        let at = |name: &str| self.path.path().join(name);
        let config = Config::under(self.path.path());
        let documents = Documents::open(&config, SystemTime::now());
        let (ledger, problems) = Ledger::open(&at("state"), [SOURCE]);
        assert!(problems.is_empty(), "{problems:?}");
        let (ledger, (look_ups, queue)) = (Arc::new(ledger), LookUps::new());
        let look_ups = Arc::new(look_ups);
        let audit = Audit::open(Settings::at(&at("audit.jsonl"), self.path.path()));
        let engine = Engine::new(documents, Arc::clone(&ledger), Arc::clone(&look_ups), audit, &config);
        let engine = Arc::new(engine);
        let folder = Followed {
            source: Arc::new(evidence::Folder::new(SOURCE, &at("occurrences"))),
            local: true,
            interval: Duration::from_secs(3_600),
            list_limit: u64::MAX,
        };
        let node = Arc::clone(&engine);
        let sources = Sources::start(ledger, look_ups, queue, node, vec![folder]).unwrap();
        // The first question waits until the folder has been read.
        let _ = decide(&engine, NAME, &Digest::of(b"nobody's").to_string());
        drop(sources);
        engine
    }
}

/// A decision as the pull gate makes it, from the texts that containerd hands over.
pub(crate) fn decide(engine: &Engine, name: &str, digest: &str) -> Verdict {
    let subject = Subject::pulled(name, &[(digest.parse().unwrap(), DigestKind::Unknown)]).unwrap();
    engine.decide(&subject)
}

/// `count` digests, the same for the same `kind`.
pub(crate) fn digests(kind: &str, count: usize) -> Vec<Digest> {
    (0..count).map(|n| Digest::of(format!("{kind} {n}").as_bytes())).collect()
}
