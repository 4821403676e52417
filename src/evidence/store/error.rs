//! What can go wrong with the evidence file, told apart by what is to be done about it.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Why the store did not do what it was asked for. It has changed nothing then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file held something that nobody put there. It is set aside, and the store is empty now.
    #[error("the evidence file was damaged and is begun anew: {0}")]
    Corrupt(String),
    /// No room on the disk, or none left for what is held in memory for want of a file. Reads go on.
    #[error("there is no room for evidence")]
    Full(#[source] Arc<io::Error>),
    /// The system refused. Reads go on where they can.
    #[error("the evidence file cannot be used")]
    Io(#[source] Arc<io::Error>),
    /// A document of more than [`crate::attestation::occurrence::MAX_BYTES`].
    #[error("a document of {0} bytes is not kept: it is too large")]
    TooLarge(usize),
    /// A scope that [`super::Store::retain`] forgot.
    #[error("the scope is no longer known")]
    Forgotten,
}

impl StoreError {
    pub(super) fn of(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(Arc::new(error)),
            _ => Self::Io(Arc::new(error)),
        }
    }
}

/// Why work on the file ended early.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes are not what was written.
    Corrupt(String),
    /// The system refused; redb goes on with nothing until the file is opened again.
    Io(io::Error),
    /// The system refused before; the file was not opened again since.
    Latched,
    /// Somebody else has the file open.
    Held,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // What redb reads beyond the end of the file, and what it says of a file that is none of its own.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Io(error),
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Latched,
            redb::Error::DatabaseAlreadyOpen => Self::Held,
            error => Self::Corrupt(error.to_string()),
        }
    }
}

macro_rules! through_redb {
    ($($error:ident)*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}
through_redb!(DatabaseError StorageError TableError TransactionError CommitError);

/// Does `work`, which calls redb and nothing that is not of the store. On damaged pages redb may panic:
/// that is damage like any other.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    // What is behind a panic is not used again: the file is set aside.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Fault::Corrupt(said(panic.as_ref()))))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    format!("its pages make no sense ({})", crate::text::shown(text, 200))
}
