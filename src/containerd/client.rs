//! The connection to containerd: one channel, made when first needed and made anew by itself when
//! containerd was restarted.
//!
//! Everything here reads. So a call that met a dying connection is made once more, within the same
//! deadline. Believes only a containerd that runs as root or as the caller.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Response, Status};

use super::introspection::Loaded;
use super::waiting::Waiting;
use crate::image::{ContentError, Digest};
use crate::text::shown;

/// How long one call of [`Containerd`] may take, unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How much later than the caller containerd gives up, and after how long at the latest.
const GRACE: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(3_600);

/// The longest single message that is read, in bytes. containerd itself sends at most 16 MiB unless
/// configured otherwise.
pub(super) const MAX_MESSAGE: usize = 32 * 1024 * 1024;

/// A client of one containerd. Clones share the connection and cost next to nothing.
#[derive(Clone)]
pub struct Containerd {
    shared: Arc<Shared>,
    deadline: Duration,
}

pub(super) struct Shared {
    address: PathBuf,
    channel: Channel,
    /// How many connections were made: containerd may have been another one before.
    pub(super) epoch: Arc<AtomicU64>,
    /// The snapshotters that are loaded, as of a connection.
    pub(super) loaded: Mutex<Option<Loaded>>,
}

/// Why containerd could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// containerd knows no such thing.
    #[error("{0} is not in containerd")]
    NotThere(String),
    /// Nobody trustworthy listens on the socket, or the connection broke.
    #[error("containerd cannot be reached on `{}`: {cause}", address.display())]
    Unreachable {
        /// The socket.
        address: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// No answer within the deadline.
    #[error("containerd did not answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// containerd answered with an error.
    #[error("containerd refuses to say ({0:?}): {1}")]
    Refused(Code, String),
    /// An answer that cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// Bytes that are not what their digest says: the content store is corrupt.
    #[error(
        "content `{0}` in containerd's store is corrupt: its bytes have another digest; remove it and pull the image again"
    )]
    Corrupt(Digest),
    /// More bytes than the caller reads.
    #[error("content `{digest}` has {size} bytes, more than the {max} allowed")]
    TooLarge {
        /// What was to be read.
        digest: Digest,
        /// How long containerd says it is.
        size: u64,
        /// What the caller reads at most.
        max: u64,
    },
    /// Bytes that are what their digest says, and no document of an image.
    #[error("content `{0}`: {1}")]
    NotAnImage(Digest, ContentError),
    /// Several snapshotters hold a snapshot under the same key.
    #[error("snapshotters `{}` hold a snapshot of the same key", .0.join("`, `"))]
    Ambiguous(Vec<String>),
}

impl Containerd {
    /// A client of the containerd that listens on the unix socket `address`. Makes no connection yet, and
    /// no RPC. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(address: &Path) -> Self {
        let epoch = Arc::new(AtomicU64::new(0));
        let (path, count) = (address.to_owned(), Arc::clone(&epoch));
        let connector = tower::service_fn(move |_: Uri| {
            let (path, count) = (path.clone(), Arc::clone(&count));
            async move {
                let stream = connected(&path).await?;
                count.fetch_add(1, Ordering::SeqCst);
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        // The authority is never looked at.
        let channel = Endpoint::from_static("http://containerd").connect_with_connector_lazy(connector);
        let shared = Shared { address: address.to_owned(), channel, epoch, loaded: Mutex::default() };
        Self { shared: Arc::new(shared), deadline: DEADLINE }
    }

    /// The same client, each of whose calls may take `deadline`, however many RPCs it makes.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), deadline }
    }

    /// The socket.
    #[must_use]
    pub fn address(&self) -> &Path {
        &self.shared.address
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// `work`, or [`ReadError::Late`].
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        tokio::time::timeout(self.deadline, work).await.unwrap_or(Err(ReadError::Late(self.deadline)))
    }

    /// One RPC, once more if the connection turns out to be dead. `what` is asked for, in words.
    pub(super) async fn call<T, F>(&self, what: &str, rpc: impl Fn(Channel) -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let _waiting = Waiting::begin();
        // Boxed, as those of callers where they nest: the calls that gRPC is made of are kilobytes each, and a
        // thread that polls many of them within each other runs out of stack.
        let answer = match Box::pin(rpc(self.shared.channel.clone())).await {
            Err(status) if is_of_connection(&status) => Box::pin(rpc(self.shared.channel.clone())).await,
            answer => answer,
        };
        answer.map(Response::into_inner).map_err(|status| self.error(what, &status))
    }

    /// What a status says about `what`.
    pub(super) fn error(&self, what: &str, status: &Status) -> ReadError {
        if is_of_connection(status) {
            let cause = shown(&crate::chain(status), 300);
            return ReadError::Unreachable { address: self.shared.address.clone(), cause };
        }
        match status.code() {
            Code::NotFound => ReadError::NotThere(what.to_owned()),
            Code::DeadlineExceeded => ReadError::Late(self.deadline),
            code => ReadError::Refused(code, shown(status.message(), 300)),
        }
    }

    /// What a request carries that containerd answers for `namespace`, and gives up soon after the deadline.
    ///
    /// # Errors
    /// [`ReadError::Unreadable`] for a namespace that no header can carry.
    pub(super) fn namespaced(&self, namespace: &str) -> Result<Namespaced, ReadError> {
        let value = namespace.parse().ok().filter(|_| !namespace.is_empty());
        let unreadable = || ReadError::Unreadable(format!("`{}` is no namespace", shown(namespace, 80)));
        Ok(Namespaced { namespace: value.ok_or_else(unreadable)?, deadline: self.deadline })
    }
}

impl fmt::Debug for Containerd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Containerd").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

/// What every request about one namespace carries.
#[derive(Clone)]
pub(super) struct Namespaced {
    namespace: MetadataValue<Ascii>,
    deadline: Duration,
}

impl Namespaced {
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        // containerd, and tonic, give up after the caller has: the caller's word for it is the one to hear.
        request.set_timeout(self.deadline.min(LONGEST).saturating_add(GRACE));
        request
    }
}

/// The other end must have begun to listen as root or as the caller.
async fn connected(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path).await?;
    let uid = stream.peer_cred()?.uid();
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
        return Ok(stream);
    }
    Err(io::Error::other(format!("its socket is held by uid {uid}, which is not trusted")))
}

/// Whether the transport failed, rather than containerd said something.
fn is_of_connection(status: &Status) -> bool {
    std::error::Error::source(status).is_some() || status.code() == Code::Unavailable
}
