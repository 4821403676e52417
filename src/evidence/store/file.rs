//! Opens the evidence file, begins a new one, and sets aside what is none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::fcntl::OFlag;
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};

use super::error::{Fault, guarded};
use super::overlay::Overlay;
use super::tables::{self, FORMAT, Reading, Writing};

/// What redb may keep of the file in memory, in bytes: pages read, and pages that a transaction changed.
pub(super) const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// The file, the one that was set aside, and the one that is being begun.
#[derive(Debug)]
pub(super) struct Paths {
    folder: PathBuf,
    pub(super) file: PathBuf,
    pub(super) aside: PathBuf,
    new: PathBuf,
}

impl Paths {
    pub(super) fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file: folder.join("evidence.redb"),
            aside: folder.join("evidence.redb.aside"),
            new: folder.join("evidence.redb.new"),
        }
    }

    /// Opens the file as it is; never makes one.
    pub(super) fn open(&self) -> Result<Database, Fault> {
        let file = self.regular(OpenOptions::new().read(true).write(true))?;
        guarded(|| {
            let database = builder().create_with_backend(FileBackend::new(file)?)?;
            inspect(&database)?;
            Ok(database)
        })
    }

    /// Opens the file without writing to it.
    pub(super) fn open_unwritten(&self) -> Result<Database, Fault> {
        let file = self.regular(OpenOptions::new().read(true))?;
        guarded(|| {
            let overlay = Overlay::over(FileBackend::new(file)?)?;
            let database = builder().create_with_backend(overlay)?;
            inspect(&database)?;
            Ok(database)
        })
    }

    /// Nothing else is opened: opening some devices does something.
    fn regular(&self, options: &mut OpenOptions) -> Result<File, Fault> {
        let found = fs::symlink_metadata(&self.file).map_err(Fault::Io)?;
        if !found.is_file() {
            return Err(Fault::Corrupt("it is no regular file".to_owned()));
        }
        if found.len() == 0 {
            // A file is whole from when it has its name: see `begin`.
            return Err(Fault::Corrupt("it is empty".to_owned()));
        }
        options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&self.file).map_err(Fault::Io)
    }

    /// Makes a file with nothing in it but what `fill` puts there, in the place of any other.
    pub(super) fn begin(
        &self,
        format: u32,
        fill: impl FnOnce(&mut Writing<'_>) -> Result<(), Fault>,
    ) -> Result<Database, Fault> {
        let made = self.begin_new(format, fill);
        if made.is_err() {
            let _ = fs::remove_file(&self.new);
        }
        made
    }

    fn begin_new(
        &self,
        format: u32,
        fill: impl FnOnce(&mut Writing<'_>) -> Result<(), Fault>,
    ) -> Result<Database, Fault> {
        match fs::remove_file(&self.new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Fault::Io(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600);
        let file = file.open(&self.new).map_err(Fault::Io)?;
        let database = guarded(|| {
            let database = builder().create_with_backend(FileBackend::new(file)?)?;
            fill_new(&database, format, fill)?;
            Ok(database)
        })?;
        fs::rename(&self.new, &self.file).map_err(Fault::Io)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(Fault::Io)?;
        Ok(database)
    }

    /// Renames the file; the one that was set aside before goes.
    pub(super) fn set_aside(&self) -> io::Result<()> {
        match fs::rename(&self.file, &self.aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(_) => {
                // A folder and a file do not replace one another.
                let _ = fs::remove_file(&self.aside).or_else(|_| fs::remove_dir_all(&self.aside));
                fs::rename(&self.file, &self.aside)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Holds everything in memory. The second value is how many bytes that is.
pub(super) fn in_memory() -> Result<(Database, Arc<AtomicU64>), Fault> {
    let (overlay, length) = Overlay::memory();
    let database = guarded(|| {
        let database = builder().create_with_backend(overlay)?;
        fill_new(&database, FORMAT, |_| Ok(()))?;
        Ok(database)
    })?;
    Ok((database, length))
}

/// Writes all that `from` holds into `to`.
pub(super) fn copy(from: &Database, to: &mut Writing<'_>) -> Result<(), Fault> {
    let from = Reading::of(&from.begin_read()?)?;
    macro_rules! each {
        ($($table:ident)*) => {$(
            for entry in from.$table.iter()? {
                let (key, value) = entry?;
                to.$table.insert(key.value(), value.value())?;
            }
        )*};
    }
    each!(scopes filed index used looked_up);
    Ok(())
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn fill_new(
    database: &Database,
    format: u32,
    fill: impl FnOnce(&mut Writing<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    tables::begin(&transaction, format)?;
    fill(&mut Writing::of(&transaction)?)?;
    transaction.commit()?;
    Ok(())
}

/// Refuses what is none of ours, as far as that shows without reading all of it.
fn inspect(database: &Database) -> Result<(), Fault> {
    let transaction = database.begin_read()?;
    let format = tables::format_of(&transaction)?;
    if format != FORMAT {
        return Err(Fault::Corrupt(format!("it is of format {format}, and {FORMAT} is what is read here")));
    }
    let reading = Reading::of(&transaction)?;
    reading.scope_records()?;
    if reading.filed.len()? == reading.index.len()? { Ok(()) } else { Err(tables::astray()) }
}
