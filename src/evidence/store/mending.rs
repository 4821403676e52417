//! How the store goes on when its file does not.
//!
//! Damage: the file is set aside and begun anew. A disk that is full or fails: the file is opened again
//! without being written, so that reads go on, and from a second later each write tries anew. No file at
//! all: everything is held in memory, bounded, and moved into a file once one can be made.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase as _};

use super::error::{Fault, StoreError, guarded};
use super::file::{self, Paths};
use super::tables::{FORMAT, Reading, Writing};
use super::{ScopeId, Store};
use crate::chain;

/// How long after a failure the file is not tried again for writing; doubled at each failure to move what
/// is in memory, up to [`LONGEST_WAIT`].
const WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The most bytes that are held for want of a file.
const MAX_IN_MEMORY: u64 = 64 * 1024 * 1024;

/// What the store works on.
#[derive(Debug)]
pub(super) struct Open {
    /// None when not even reading goes.
    database: Option<Database>,
    backing: Backing,
    /// Which opening this is: whoever met a fault in an earlier one finds it mended.
    generation: u64,
    /// Nothing is in it that was on file before.
    is_new: bool,
    /// How often that was so.
    losses: u64,
}

#[derive(Debug)]
enum Backing {
    /// The file.
    File,
    /// The file, which is not written.
    Unwritten,
    /// Nothing, with how many bytes are held.
    Memory(Arc<AtomicU64>),
}

/// What wants looking at.
#[derive(Debug, Default)]
pub(super) struct Health {
    trouble: Option<Trouble>,
    aside: Option<Aside>,
}

#[derive(Debug)]
struct Trouble {
    error: StoreError,
    text: String,
    retry_at: Instant,
    wait: Duration,
}

#[derive(Debug)]
struct Aside {
    text: String,
    /// What sources gave anew since.
    rebuilt: BTreeSet<ScopeId>,
}

impl Health {
    fn note(&mut self, error: StoreError, text: &str, wait: Duration) {
        let text = format!("{text}: {}", chain(&error));
        self.trouble = Some(Trouble { error, text, retry_at: Instant::now() + wait, wait });
    }
}

impl Open {
    /// Opens or makes the file, or does without.
    pub(super) fn establish(paths: &Paths, health: &mut Health) -> Self {
        match paths.open() {
            Ok(database) => Self::over_file(database),
            Err(Fault::Io(error)) if error.kind() == ErrorKind::NotFound => Self::anew(paths, health),
            Err(Fault::Corrupt(why)) => Self::after_damage(paths, health, &why),
            Err(fault @ Fault::Held) => Self::memory(health, paths, fault.into()),
            Err(fault) => Self::unwritten(paths, health, fault.into()),
        }
    }

    fn of(database: Option<Database>, backing: Backing) -> Self {
        Self { database, backing, generation: 0, is_new: true, losses: 0 }
    }

    fn over_file(database: Database) -> Self {
        Self { is_new: false, ..Self::of(Some(database), Backing::File) }
    }

    fn anew(paths: &Paths, health: &mut Health) -> Self {
        match paths.begin(FORMAT, |_| Ok(())) {
            Ok(database) => Self::of(Some(database), Backing::File),
            Err(fault) => Self::memory(health, paths, fault.into()),
        }
    }

    fn after_damage(paths: &Paths, health: &mut Health, why: &str) -> Self {
        let (file, aside) = (paths.file.display(), paths.aside.display());
        let text = match paths.set_aside() {
            Ok(()) => {
                format!("`{file}` was set aside as `{aside}` and is built anew from the sources: {why}")
            }
            Err(error) => {
                health.aside = None;
                let text = format!("`{file}` is damaged ({why}) and cannot be set aside");
                return Self::memory_because(health, &text, StoreError::of(error));
            }
        };
        health.aside = Some(Aside { text, rebuilt: BTreeSet::new() });
        Self::anew(paths, health)
    }

    fn unwritten(paths: &Paths, health: &mut Health, error: StoreError) -> Self {
        match paths.open_unwritten() {
            Ok(database) => {
                let text = format!("`{}` is read and not written", paths.file.display());
                health.note(error, &text, WAIT);
                Self { is_new: false, ..Self::of(Some(database), Backing::Unwritten) }
            }
            Err(Fault::Corrupt(why)) => Self::after_damage(paths, health, &why),
            Err(_) => Self::memory(health, paths, error),
        }
    }

    fn memory(health: &mut Health, paths: &Paths, error: StoreError) -> Self {
        let text = format!("there is no `{}`: evidence is held in memory", paths.file.display());
        Self::memory_because(health, &text, error)
    }

    fn memory_because(health: &mut Health, text: &str, error: StoreError) -> Self {
        health.note(error, text, WAIT);
        let held = file::in_memory().ok();
        let (database, length) = held.map_or((None, Arc::default()), |(held, length)| (Some(held), length));
        Self::of(database, Backing::Memory(length))
    }

    /// Lets go of the file: it is locked as long as it is open.
    fn close(&mut self) {
        let database = self.database.take();
        // What is closed may be damaged.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }

    fn replace(&mut self, other: Self) {
        let (generation, losses) = (self.generation + 1, self.losses + u64::from(other.is_new));
        self.close();
        *self = Self { generation, losses, ..other };
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => Self::of(error),
            Fault::Held => Self::of(io::Error::new(ErrorKind::WouldBlock, "another process has it open")),
            Fault::Latched => Self::of(io::Error::other("it failed before")),
            Fault::Corrupt(why) => Self::Corrupt(why),
        }
    }
}

impl Store {
    /// Reads. Where the file fails it is opened again and `work` done once more.
    pub(super) fn read<T>(&self, work: impl Fn(&Reading) -> Result<T, Fault>) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            let open = self.opened();
            let Some(database) = &open.database else {
                drop(open);
                return Err(self.trouble());
            };
            let generation = open.generation;
            let done = guarded(|| work(&Reading::of(&database.begin_read()?)?));
            drop(open);
            tries += 1;
            match done {
                Ok(value) => return Ok(value),
                Err(Fault::Corrupt(why)) => return Err(self.begin_anew(generation, why)),
                Err(fault) => {
                    let error = self.degrade(generation, fault);
                    if tries > 1 {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Writes in one durable transaction, if `work` says that it changed anything.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<(T, bool), Fault>,
    ) -> Result<T, StoreError> {
        self.regain();
        let open = self.opened();
        let (Some(database), Backing::File | Backing::Memory(_)) = (&open.database, &open.backing) else {
            drop(open);
            return Err(self.trouble());
        };
        let generation = open.generation;
        let in_file = matches!(open.backing, Backing::File);
        let done = guarded(|| {
            let mut transaction = database.begin_write()?;
            // What opens fast after a kill, and is certain of its last commit: the state of the pages is
            // written with each, and the commit is made in two steps.
            transaction.set_quick_repair(true);
            let (value, changed) = work(&mut Writing::of(&transaction)?)?;
            if changed {
                transaction.commit()?;
            } else {
                transaction.abort()?;
            }
            Ok((value, changed))
        });
        drop(open);
        match done {
            Ok((value, changed)) => {
                if in_file && changed {
                    self.health().trouble = None;
                }
                Ok(value)
            }
            Err(Fault::Corrupt(why)) => Err(self.begin_anew(generation, why)),
            Err(fault) => Err(self.degrade(generation, fault)),
        }
    }

    /// Refuses when what is held in memory is all that may be.
    pub(super) fn has_room(&self) -> Result<(), StoreError> {
        match &self.opened().backing {
            Backing::Memory(length) if length.load(Ordering::Acquire) > MAX_IN_MEMORY => {
                Err(StoreError::of(ErrorKind::StorageFull.into()))
            }
            _ => Ok(()),
        }
    }

    /// Empties the store: as if the file had been begun anew.
    ///
    /// # Errors
    /// When the file cannot be removed. See [`StoreError`].
    pub fn clear(&self) -> Result<(), StoreError> {
        let mut open = self.opened_alone();
        let mut health = self.health();
        if let Backing::Memory(_) = open.backing {
            // A file that is there may be somebody else's.
            let known = health.trouble.take().map(|trouble| trouble.error);
            let error = known.unwrap_or_else(|| Fault::Latched.into());
            open.replace(Open::memory(&mut health, &self.paths, error));
            return Ok(());
        }
        // The old file goes first: the new one may need its room.
        let removed = fs::remove_file(&self.paths.file);
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            return Err(StoreError::of(error));
        }
        *health = Health::default();
        let established = Open::anew(&self.paths, &mut health);
        open.replace(established);
        Ok(())
    }

    /// A scope has what its source has, again.
    pub(super) fn note_rebuilt(&self, scope: ScopeId) {
        if self.health().aside.is_none() {
            return;
        }
        let all: BTreeSet<ScopeId> = self.names().keys().copied().collect();
        let mut health = self.health();
        let Some(aside) = &mut health.aside else { return };
        aside.rebuilt.insert(scope);
        if aside.rebuilt.is_superset(&all) {
            health.aside = None;
        }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let health = self.health();
        let trouble = health.trouble.as_ref().map(|trouble| trouble.text.clone());
        trouble.into_iter().chain(health.aside.as_ref().map(|aside| aside.text.clone())).collect()
    }

    /// Changes whenever what was on file may be lost: after damage, and after all of it was forgotten.
    pub(in crate::evidence) fn losses(&self) -> u64 {
        self.opened().losses
    }

    pub(super) fn is_in_memory(&self) -> Option<u64> {
        match &self.opened().backing {
            Backing::Memory(length) => Some(length.load(Ordering::Acquire)),
            Backing::File | Backing::Unwritten => None,
        }
    }

    fn begin_anew(&self, generation: u64, why: String) -> StoreError {
        let mut open = self.opened_alone();
        if open.generation == generation {
            let mut health = self.health();
            // The name goes first: what is closed must not be taken for whole by the next start.
            let established = match open.backing {
                Backing::Memory(_) => {
                    Open::memory(&mut health, &self.paths, StoreError::Corrupt(why.clone()))
                }
                Backing::File | Backing::Unwritten => Open::after_damage(&self.paths, &mut health, &why),
            };
            open.replace(established);
        }
        StoreError::Corrupt(why)
    }

    /// Opens the file again without writing it.
    fn degrade(&self, generation: u64, fault: Fault) -> StoreError {
        let mut open = self.opened_alone();
        let mut health = self.health();
        if open.generation != generation {
            let known = health.trouble.as_ref().map(|trouble| trouble.error.clone());
            return known.unwrap_or_else(|| fault.into());
        }
        let error = StoreError::from(fault);
        open.close();
        let established = match &open.backing {
            Backing::Memory(_) => Open::memory(&mut health, &self.paths, error.clone()),
            Backing::File | Backing::Unwritten => Open::unwritten(&self.paths, &mut health, error.clone()),
        };
        open.replace(established);
        error
    }

    /// Tries the file again for writing, when it is time.
    fn regain(&self) {
        let due = self.health().trouble.as_ref().is_some_and(|trouble| trouble.retry_at <= Instant::now());
        if !due || matches!(self.opened().backing, Backing::File) {
            return;
        }
        let mut open = self.opened_alone();
        let mut health = self.health();
        match &open.backing {
            Backing::File => {}
            Backing::Unwritten => {
                open.close();
                let established = Open::establish(&self.paths, &mut health);
                open.replace(established);
            }
            Backing::Memory(_) => self.move_into_file(&mut open, &mut health),
        }
    }

    fn move_into_file(&self, open: &mut Open, health: &mut Health) {
        let wait = health.trouble.as_ref().map_or(WAIT, |trouble| trouble.wait);
        let moved = self.aside_unless_held().and_then(|()| match &open.database {
            Some(held) => self.paths.begin(FORMAT, |writing| file::copy(held, writing)),
            None => self.paths.begin(FORMAT, |_| Ok(())),
        });
        match moved {
            Ok(database) => {
                health.trouble = None;
                open.replace(Open::over_file(database));
            }
            Err(fault) => {
                let text = format!("there is no `{}`: evidence is held in memory", self.paths.file.display());
                health.note(fault.into(), &text, LONGEST_WAIT.min(wait * 2));
            }
        }
    }

    /// What is in memory is newer than a file that could not be opened.
    fn aside_unless_held(&self) -> Result<(), Fault> {
        match self.paths.open() {
            Err(Fault::Held) => Err(Fault::Held),
            _ => self.paths.set_aside().map_err(Fault::Io),
        }
    }

    fn trouble(&self) -> StoreError {
        let health = self.health();
        let known = health.trouble.as_ref().map(|trouble| trouble.error.clone());
        known.unwrap_or_else(|| StoreError::of(io::Error::other("it is not open")))
    }

    /// A panic elsewhere leaves the store whole: it is replaced in one piece.
    fn opened(&self) -> RwLockReadGuard<'_, Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened_alone(&self) -> RwLockWriteGuard<'_, Open> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_loses_nothing_that_sources_would_have_to_give_again() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path());
        let before = store.losses();
        for _ in 0..2 {
            let opening = store.opened().generation;
            store.degrade(opening, Fault::Io(ErrorKind::StorageFull.into()));
            assert!(matches!(store.opened().backing, Backing::Unwritten));
            std::thread::sleep(WAIT);
            store.regain();
            assert!(matches!(store.opened().backing, Backing::File));
        }
        assert_eq!(store.losses(), before);
        let opening = store.opened().generation;
        store.begin_anew(opening, "damage".to_owned());
        assert_ne!(store.losses(), before);
    }
}
