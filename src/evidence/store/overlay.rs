//! Storage that keeps what is written in memory: over a file that is only read, or over nothing.
//!
//! redb repairs what a broken write or a kill left before it reads anything, and refuses to read only
//! what it would have to repair. Over this it repairs in memory, so that reads go on while the disk
//! takes no writes.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

const PAGE: usize = 4096;

/// What lies over the file, page by page, or is all there is.
#[derive(Debug)]
pub(super) struct Overlay {
    file: Option<FileBackend>,
    pages: Mutex<BTreeMap<u64, Box<[u8; PAGE]>>>,
    length: Arc<AtomicU64>,
    /// How much of the file shows where nothing lies over it: what was cut off once is zeros.
    shows: AtomicU64,
}

impl Overlay {
    /// Over nothing: all of it is held in memory. The second value is its length in bytes as it grows.
    pub(super) fn memory() -> (Self, Arc<AtomicU64>) {
        let length = Arc::new(AtomicU64::new(0));
        let shows = AtomicU64::new(0);
        (Self { file: None, pages: Mutex::default(), length: Arc::clone(&length), shows }, length)
    }

    /// Over a file, which is not written.
    pub(super) fn over(file: FileBackend) -> Result<Self, io::Error> {
        let length = file.len()?;
        Ok(Self {
            file: Some(file),
            pages: Mutex::default(),
            length: Arc::new(AtomicU64::new(length)),
            shows: AtomicU64::new(length),
        })
    }

    /// A panic elsewhere leaves whole pages behind: the lock is usable.
    fn pages(&self) -> MutexGuard<'_, BTreeMap<u64, Box<[u8; PAGE]>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file has at `offset`; zeros beyond its end.
    fn beneath(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        out.fill(0);
        let Some(file) = &self.file else { return Ok(()) };
        let shows = self.shows.load(Ordering::Acquire);
        let there = usize::try_from(shows.saturating_sub(offset)).unwrap_or(usize::MAX);
        let end = there.min(out.len());
        match out.get_mut(..end) {
            Some(out) if !out.is_empty() => file.read(offset, out),
            _ => Ok(()),
        }
    }

    /// Walks the pages that `offset` and `length` bytes from it lie in: the page's number, where the part
    /// starts in it, and the part's place among the bytes.
    fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset + done as u64;
            let start = usize::try_from(at % PAGE as u64).unwrap_or(0);
            let end = length.min(done + PAGE - start);
            let part = (at / PAGE as u64, start, done..end);
            (done < length).then(|| {
                done = end;
                part
            })
        })
    }
}

fn out_of_range() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.length.load(Ordering::Acquire))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.length.load(Ordering::Acquire)) {
            return Err(out_of_range());
        }
        self.beneath(offset, out)?;
        let pages = self.pages();
        for (number, start, part) in Self::parts(offset, out.len()) {
            let Some(page) = pages.get(&number) else { continue };
            let (Some(from), Some(to)) = (page.get(start..start + part.len()), out.get_mut(part)) else {
                return Err(out_of_range());
            };
            to.copy_from_slice(from);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let mut pages = self.pages();
        self.length.store(length, Ordering::Release);
        self.shows.fetch_min(length, Ordering::AcqRel);
        pages.retain(|number, _| number * (PAGE as u64) < length);
        let tail = usize::try_from(length % PAGE as u64).unwrap_or(0);
        if let Some(page) = pages.get_mut(&(length / PAGE as u64)) {
            page.iter_mut().skip(tail).for_each(|byte| *byte = 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > self.length.load(Ordering::Acquire)) {
            return Err(out_of_range());
        }
        let mut pages = self.pages();
        for (number, start, part) in Self::parts(offset, data.len()) {
            let page = match pages.entry(number) {
                std::collections::btree_map::Entry::Occupied(page) => page.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    let mut page = Box::new([0; PAGE]);
                    self.beneath(number * PAGE as u64, page.as_mut_slice())?;
                    free.insert(page)
                }
            };
            let (Some(to), Some(from)) = (page.get_mut(start..start + part.len()), data.get(part)) else {
                return Err(out_of_range());
            };
            to.copy_from_slice(from);
        }
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.as_ref().map_or(Ok(()), StorageBackend::close)
    }

    // A file that is open for reading takes no exclusive lock. A shared one keeps writers out as well.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let file = self.file.as_ref().ok_or(BackendError::Unsupported)?;
        file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock_shared_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        let file = self.file.as_ref().ok_or(BackendError::Unsupported)?;
        file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        let file = self.file.as_ref().ok_or(BackendError::Unsupported)?;
        file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let file = self.file.as_ref().ok_or(BackendError::Unsupported)?;
        file.query_lock_range(start, end)
    }
}
