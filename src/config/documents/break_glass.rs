//! Break-glass grants and revocations, as files of one folder of this node.
//!
//! A file that is gone grants nothing any more, and one that cannot be read or does not hold grants nothing: there is no
//! last good version of a grant. What a revocation revokes stays revoked when its file is gone. A serial that two files
//! say different things under counts for neither, unless one of them was seen before.

mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::single::key;
use crate::attestation::KeyId;
use crate::config::slot::{Presence, Slot};
use crate::config::trust::{self, Serials, Trust};
use crate::config::trusted::{self, TrustError};
use crate::config::{BreakGlassConfig, Config};
use crate::document::Format;
use crate::image::Digest;
use crate::policy::break_glass::{GRANT, MAX_BYTES, Phase, Word};
use crate::policy::{BreakGlass, Grant, SealKey, Serial};

pub use status::{BreakGlassStatus, GrantState, GrantStatus};

/// The most files of the folder that are looked at.
const MAX_FILES: usize = 256;

/// The folder, and what is known of what lies in it.
#[derive(Debug)]
pub(super) struct Granted {
    config: BreakGlassConfig,
    /// Where this is, as grants name it.
    cluster: Option<String>,
    node: String,
    keys: Vec<(PathBuf, Slot<SealKey>)>,
    /// What the files were last held against.
    tried: Vec<KeyId>,
    files: BTreeMap<PathBuf, File>,
    folder_problem: Option<String>,
    /// What of `files` became of it, in their order.
    grants: Vec<(PathBuf, Standing)>,
    serials: Serials,
    /// Why what is known of serials is not on disk.
    unkept: Option<String>,
}

/// What a file said when it was last read.
#[derive(Debug)]
struct File {
    /// Of its bytes, where they could be read.
    print: Option<Digest>,
    word: Result<Word, String>,
}

/// Whether a grant may count.
#[derive(Debug)]
enum Standing {
    /// Its time decides.
    Held(Arc<Grant>),
    /// It is over, revoked, or for another node.
    Not(Arc<Grant>, GrantState),
    /// There is a grant, and it does not hold.
    Refused(Option<Arc<Grant>>, String),
}

fn read_key(text: &str, _: Format) -> Result<SealKey, String> {
    SealKey::parse(text).map_err(|error| format!("is not a {}: {error}", GRANT.key))
}

impl Granted {
    pub(super) fn remember(config: &Config, stored: &trust::Documents, trust: &Trust) -> Self {
        let remember = |path: &PathBuf| {
            let text = stored.get(&key(path));
            (path.clone(), Slot::remember(path, text, read_key))
        };
        let kubelet = config.kubelet.as_ref();
        let node = kubelet.and_then(|kubelet| kubelet.node_name.clone());
        let host = || nix::unistd::gethostname().unwrap_or_default().to_string_lossy().to_lowercase();
        Self {
            cluster: config.cluster.clone(),
            node: node.unwrap_or_else(host),
            keys: config.break_glass.keys.iter().map(remember).collect(),
            tried: Vec::new(),
            files: BTreeMap::new(),
            folder_problem: None,
            grants: Vec::new(),
            serials: trust.serials().clone(),
            unkept: None,
            config: config.break_glass.clone(),
        }
    }

    /// Reads keys and folder again, and writes down what is new of serials.
    pub(super) fn read(&mut self, now: SystemTime, trust: &mut Trust) {
        for (path, slot) in &mut self.keys {
            if slot.read(path, now, read_key) == Presence::Gone {
                *slot = Slot::EMPTY;
                slot.fail(format!("`{}` does not exist", path.display()));
            }
        }
        self.serials.absorb(trust.serials());
        self.read_files();
        self.hear_revocations(now);
        self.hear_grants(now);
        self.keep(now, trust);
    }

    /// Writes down what is known of serials, where that is new.
    pub(super) fn keep(&mut self, now: SystemTime, trust: &mut Trust) {
        // What cannot be written is tried again at the next reading; a full disk must not hold up an emergency.
        self.unkept = trust.keep_serials(&self.serials, now).err().map(|error| error.to_string());
    }

    fn read_files(&mut self) {
        self.folder_problem = None;
        let paths = match list(&self.config.grants) {
            Ok(paths) => paths,
            Err(problem) => {
                self.folder_problem = Some(problem);
                Vec::new()
            }
        };
        let keys: Vec<_> = self.keys.iter().filter_map(|(_, slot)| slot.good()).collect();
        let keys: Vec<SealKey> = keys.into_iter().map(|key| SealKey::clone(key)).collect();
        let ids: Vec<_> = keys.iter().map(|key| key.id().clone()).collect();
        let is_same_keys = ids == self.tried;
        let mut before = std::mem::take(&mut self.files);
        for path in paths {
            let bytes = match trusted::read(&path, MAX_BYTES) {
                Ok(bytes) => bytes,
                Err(TrustError::Missing(_)) => continue,
                Err(error) => {
                    self.files.insert(path, File { print: None, word: Err(error.to_string()) });
                    continue;
                }
            };
            let print = Some(Digest::of(&bytes));
            let file = match before.remove(&path) {
                Some(file) if is_same_keys && file.print == print => file,
                _ => File { print, word: Word::verify(&bytes, &keys).map_err(|error| error.to_string()) },
            };
            self.files.insert(path, file);
        }
        self.tried = ids;
    }

    fn hear_revocations(&mut self, now: SystemTime) {
        for file in self.files.values_mut() {
            let Ok(Word::Revocation(revocation)) = &file.word else { continue };
            let revoked = revocation.serials.iter().try_for_each(|serial| self.serials.revoke(serial, now));
            if let Err(error) = revoked {
                (file.print, file.word) = (None, Err(error.to_string()));
            }
        }
    }

    fn hear_grants(&mut self, now: SystemTime) {
        let mut contents: BTreeMap<&Serial, BTreeSet<Digest>> = BTreeMap::new();
        let grants = || {
            self.files.iter().filter_map(|(path, file)| match &file.word {
                Ok(Word::Grant(grant)) => Some((path, Ok(grant))),
                Ok(Word::Revocation(_)) => None,
                Err(problem) => Some((path, Err(problem))),
            })
        };
        for grant in grants().filter_map(|(_, grant)| grant.ok()) {
            contents.entry(grant.serial()).or_default().insert(grant.payload());
        }
        let mut standings = Vec::new();
        for (path, grant) in grants() {
            let standing = match grant {
                Err(problem) => Standing::Refused(None, problem.clone()),
                Ok(grant) => {
                    let several = contents.get(grant.serial()).is_some_and(|contents| contents.len() > 1);
                    stand(
                        grant,
                        several,
                        &self.config,
                        (self.cluster.as_deref(), &self.node),
                        &self.serials,
                        now,
                    )
                }
            };
            standings.push((path.clone(), standing));
        }
        for (_, standing) in &mut standings {
            if let Standing::Held(grant) = standing
                && let Err(error) = self.serials.note(grant, now)
            {
                *standing = Standing::Refused(Some(Arc::clone(grant)), error.to_string());
            }
        }
        self.grants = standings;
    }

    /// Revokes serials for good; `None` where that is on disk, and otherwise why it is not.
    pub(super) fn revoke(
        &mut self,
        serials: &[Serial],
        now: SystemTime,
        trust: &mut Trust,
    ) -> Result<(), String> {
        for serial in serials {
            self.serials.revoke(serial, now).map_err(|error| error.to_string())?;
        }
        self.hear_grants(now);
        self.keep(now, trust);
        match &self.unkept {
            None => Ok(()),
            Some(problem) => Err(format!(
                "it is revoked until the daemon ends, but cannot be written down for good: {problem}"
            )),
        }
    }

    /// Counts decisions that grants have let through; written down at the next reading.
    pub(super) fn count(&mut self, uses: &BTreeMap<String, u64>) {
        uses.iter().for_each(|(serial, uses)| self.serials.count(serial, *uses));
    }

    /// What a decision may ask.
    pub(super) fn in_force(&self) -> BreakGlass {
        let mut seen = BTreeSet::new();
        let held = self.grants.iter().filter_map(|(_, standing)| match standing {
            // The same grant may lie there twice.
            Standing::Held(grant) => seen.insert(grant.serial()).then(|| Arc::clone(grant)),
            Standing::Not(..) | Standing::Refused(..) => None,
        });
        BreakGlass::new(self.config.pod_label, held.collect())
    }

    pub(super) fn remembered(&self) -> impl Iterator<Item = (String, String)> {
        self.keys.iter().filter_map(|(path, slot)| Some((key(path), slot.text()?.clone())))
    }

    /// Paths of single files, and the folder whose entries count.
    pub(super) fn paths(&self) -> (impl Iterator<Item = &Path>, &Path) {
        (self.keys.iter().map(|(path, _)| path.as_path()), &self.config.grants)
    }
}

fn stand(
    grant: &Arc<Grant>,
    several: bool,
    config: &BreakGlassConfig,
    (cluster, node): (Option<&str>, &str),
    serials: &Serials,
    now: SystemTime,
) -> Standing {
    let shared = || Arc::clone(grant);
    if let Err(error) = serials.admit(grant) {
        return match error {
            trust::SerialError::Revoked(_) => Standing::Not(shared(), GrantState::Revoked),
            error => Standing::Refused(Some(shared()), error.to_string()),
        };
    }
    if several && !serials.has_seen(grant) {
        let problem = "another file has the same serial and says something else";
        return Standing::Refused(Some(shared()), problem.to_owned());
    }
    if let Err(error) = grant.within(config.max_duration) {
        return Standing::Refused(Some(shared()), error.to_string());
    }
    match grant.phase(now) {
        Phase::Expired => Standing::Not(shared(), GrantState::Expired),
        _ if !grant.is_for(cluster, node) => Standing::Not(shared(), GrantState::Elsewhere),
        Phase::NotYet | Phase::InForce => Standing::Held(shared()),
    }
}

/// The files to look at, in order of their names.
fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let names = match trusted::list(folder) {
        Ok(names) => names,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let is_document = |path: &PathBuf| {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|extension| extension == "json")
    };
    let paths: Vec<_> = names.iter().map(|name| folder.join(name)).filter(is_document).collect();
    if paths.len() > MAX_FILES {
        return Err(format!(
            "`{}` has {} documents, more than the {MAX_FILES} allowed, and none of them counts: remove those that are \
             over",
            folder.display(),
            paths.len()
        ));
    }
    Ok(paths)
}
