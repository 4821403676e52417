//! A registry of one image on the loopback: as much of the OCI distribution specification as a pull needs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::decision::{Blob, Canary};

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 16 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    /// The manifest.
    image: AtomicBool,
    /// What it names.
    below: AtomicBool,
}

/// Serves until it is dropped.
pub(super) struct Registry {
    address: SocketAddr,
    asked: Arc<Asked>,
    server: JoinHandle<()>,
}

impl Registry {
    pub(super) async fn start(image: &Canary) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Asked::default());
        let (image, noted) = (Arc::new(image.clone()), Arc::clone(&asked));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (image, noted) = (Arc::clone(&image), Arc::clone(&noted));
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(DEADLINE, serve(stream, &image, &noted)).await;
                });
            }
        });
        Ok(Self { address, asked, server })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether anybody has fetched what lies below the manifest: nobody does before a verifier has allowed it.
    pub(super) fn was_fetched(&self) -> bool {
        self.asked.below.load(Ordering::SeqCst)
    }

    /// Whether anybody has asked which image this is.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.image.load(Ordering::SeqCst)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One request a connection.
async fn serve(mut stream: TcpStream, image: &Canary, asked: &Asked) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut more = [0; 1024];
        let read = stream.read(&mut more).await?;
        let is_tls = request.is_empty() && more.first() == Some(&0x16);
        request.extend_from_slice(more.get(..read).unwrap_or_default());
        if read == 0 || is_tls || request.len() > MAX_REQUEST {
            // Whoever tries TLS first hears that this is plain HTTP.
            return answer(&mut stream, "400 Bad Request", None, true).await;
        }
    }
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let with_body = words.next() == Some("GET");
    let path = words.next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let found = image.blobs().into_iter().find(|blob| blob.digest.to_string() == last);
    match found {
        Some(blob) => {
            if blob.digest == image.digest() {
                asked.image.store(true, Ordering::SeqCst);
            } else if with_body {
                asked.below.store(true, Ordering::SeqCst);
            }
            answer(&mut stream, "200 OK", Some(blob), with_body).await
        }
        None if path == "/v2/" || path == "/v2" => answer(&mut stream, "200 OK", None, with_body).await,
        None => answer(&mut stream, "404 Not Found", None, with_body).await,
    }
}

async fn answer(
    stream: &mut TcpStream,
    status: &str,
    blob: Option<&Blob>,
    with_body: bool,
) -> io::Result<()> {
    let (kind, digest, bytes) = match blob {
        Some(blob) => {
            (blob.kind, format!("Docker-Content-Digest: {}\r\n", blob.digest), blob.bytes.as_slice())
        }
        None => ("application/json", String::new(), b"{}".as_slice()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{digest}Connection: close\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if with_body {
        stream.write_all(bytes).await?;
    }
    stream.shutdown().await
}
