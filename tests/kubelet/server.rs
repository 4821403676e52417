//! What speaks as kubelet or as the API server: HTTP/1.1, one request a connection, with or without TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Signs for servers and clients.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key for `name`, both PEM in one text, as kubelet keeps its own.
    pub(crate) fn sign(&self, name: &str) -> String {
        let (certificate, key) = self.certificate(name);
        certificate.pem() + &key.serialize_pem()
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server called `name`, whose clients may show a certificate of this authority.
    fn server(&self, name: &str) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let (certificate, key) = self.certificate(name);
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap()
    }
}

/// A question as it came.
pub(crate) struct Question {
    /// Path and query.
    pub(crate) target: String,
    pub(crate) bearer: Option<String>,
    /// The client showed a certificate.
    pub(crate) certified: bool,
}

pub(crate) enum Answer {
    Whole(u16, String),
    /// After a while.
    Late(Duration, String),
    Redirect(String),
    /// A gigabyte, announced or not.
    Huge {
        announced: bool,
    },
    /// A byte now and then.
    Trickle,
    Silence,
    /// Fewer bytes than announced.
    Torn,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicUsize,
    under_way: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    pub(crate) targets: Mutex<Vec<String>>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(
        tls: Option<(&Authority, &str)>,
        answer: impl Fn(&Question) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), tls, answer).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        tls: Option<(&Authority, &str)>,
        answer: impl Fn(&Question) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = tls.map(|(authority, name)| TlsAcceptor::from(Arc::new(authority.server(name))));
        let (answer, counts) = (Arc::new(answer), Arc::new(Counts::default()));
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            // Dropped with this task, so nothing is answered any more.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                let counts = Arc::clone(&counted);
                connections.spawn(async move { serve(stream, acceptor, &*answer, &counts).await });
            }
        });
        Self { address, counts, task }
    }

    /// Closes the port and every connection.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    answer: &(dyn Fn(&Question) -> Answer + Send + Sync),
    counts: &Counts,
) {
    // Whoever hangs up, or is not believed, is no concern of a server.
    let _ = match acceptor {
        None => exchange(stream, false, answer, counts).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                let certified = stream.get_ref().1.peer_certificates().is_some();
                exchange(stream, certified, answer, counts).await
            }
            Err(error) => Err(error),
        },
    };
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    certified: bool,
    answer: &(dyn Fn(&Question) -> Answer + Send + Sync),
    counts: &Counts,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let bearer = head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case("authorization").then(|| value.strip_prefix("Bearer ").unwrap().to_owned())
    });
    counts.requests.fetch_add(1, Ordering::SeqCst);
    let now = counts.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    counts.most_at_once.fetch_max(now, Ordering::SeqCst);
    counts.targets.lock().unwrap().push(target.clone());
    let answer = answer(&Question { target, bearer, certified });
    let written = write(&mut stream, answer).await;
    counts.under_way.fetch_sub(1, Ordering::SeqCst);
    written
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), answer: Answer) -> std::io::Result<()> {
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
    };
    let unbounded = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    match answer {
        Answer::Whole(status, body) => {
            stream.write_all((head(status, body.len()) + &body).as_bytes()).await?;
        }
        Answer::Late(after, body) => {
            tokio::time::sleep(after).await;
            stream.write_all((head(200, body.len()) + &body).as_bytes()).await?;
        }
        Answer::Redirect(to) => {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        Answer::Huge { announced } => {
            let head = if announced { head(200, 1 << 30) } else { unbounded.to_owned() };
            stream.write_all(head.as_bytes()).await?;
            let megabyte = vec![b' '; 1 << 20];
            for _ in 0..1024 {
                stream.write_all(&megabyte).await?;
            }
        }
        Answer::Trickle => {
            stream.write_all(unbounded.as_bytes()).await?;
            loop {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Answer::Silence => std::future::pending().await,
        Answer::Torn => stream.write_all((head(200, 100) + "{").as_bytes()).await?,
    }
    stream.shutdown().await
}

/// A folder of files, gone with the test.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
