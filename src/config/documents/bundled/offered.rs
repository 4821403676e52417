//! Bundles that lie in a folder, or in one file. The highest version that is acceptable is taken; lower ones beside
//! it are what came before, and nothing is said of them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Bundled, OfferError};
use crate::config::trust::Trust;
use crate::config::trusted::{self, TrustError};
use crate::policy::Highest;
use crate::policy::bundle::MAX_BYTES;

/// The most bundles of a folder.
const MAX_FILES: usize = 256;

impl Bundled {
    pub(super) fn read_path(&mut self, path: &Path, now: SystemTime, trust: &mut Trust) {
        let files = match list(path) {
            Ok(files) => files,
            Err(problem) => {
                self.unfetched = Some(problem);
                return;
            }
        };
        self.fetched(now);
        self.refused.retain(|from, _| files.iter().any(|file| *from == file.display().to_string()));
        // One at a time: together they may be large.
        let mut found = Vec::new();
        for file in &files {
            match self.rank_of(file, trust) {
                Ok(Some(rank)) => found.push((rank, file)),
                Ok(None) => {}
                Err(problem) => self.refuse(file.display().to_string(), problem, now),
            }
        }
        found.sort_by_key(|(rank, _)| std::cmp::Reverse(rank.version));
        for (rank, file) in &found {
            let from = file.display().to_string();
            if self.is_behind(*rank, &found) {
                self.refused.remove(&from);
                continue;
            }
            match self.take_file(file, now, trust) {
                Ok(()) => drop(self.refused.remove(&from)),
                Err(problem) => self.refuse(from, problem, now),
            }
        }
    }

    /// The version that a file holds; `None` where the file has gone.
    fn rank_of(&self, file: &Path, trust: &Trust) -> Result<Option<Highest>, String> {
        let bytes = match trusted::read(file, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(TrustError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match self.check(&bytes, trust) {
            Ok(Some(bundle)) => Ok(Some(bundle.rank())),
            Ok(None) => Ok(self.in_force.as_ref().map(|used| used.bundle.rank())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn take_file(&mut self, file: &Path, now: SystemTime, trust: &mut Trust) -> Result<(), String> {
        let bytes = trusted::read(file, MAX_BYTES).map_err(|error| error.to_string())?;
        let taken = self.check(&bytes, trust).and_then(|offered| self.take(offered, &bytes, now, trust));
        taken.map(drop).map_err(|error: OfferError| error.to_string())
    }

    /// Whether it is one that came before the one in force, which lies beside it.
    fn is_behind(&self, rank: Highest, found: &[(Highest, &PathBuf)]) -> bool {
        let Some(used) = self.in_force.as_ref().map(|used| used.bundle.rank()) else { return false };
        rank.version < used.version && found.iter().any(|(other, _)| *other == used)
    }
}

/// The files to look at, in order of their names.
fn list(path: &Path) -> Result<Vec<PathBuf>, String> {
    let names = match trusted::list(path) {
        Ok(names) => names,
        Err(TrustError::NotFolder(_)) => return Ok(vec![path.to_owned()]),
        Err(error) => return Err(error.to_string()),
    };
    let is_bundle = |path: &PathBuf| {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|extension| extension == "json")
    };
    let files: Vec<_> = names.iter().map(|name| path.join(name)).filter(is_bundle).collect();
    if files.len() > MAX_FILES {
        return Err(format!(
            "`{}` has {} bundles, more than the {MAX_FILES} allowed",
            path.display(),
            files.len()
        ));
    }
    Ok(files)
}
