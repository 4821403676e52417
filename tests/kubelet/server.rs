//! What speaks as kubelet or as the API server: HTTP/1.1, one request a connection, with or without TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, Shows};

/// A question as it came.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) method: String,
    /// As announced.
    pub(crate) body: String,
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
    /// 429, to be left alone for so many seconds.
    Rest(u64),
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
        // Whose clients may show a certificate of the same authority.
        let shows = Shows { takes_certificate: true, ..Shows::default() };
        let acceptor =
            tls.map(|(authority, name)| TlsAcceptor::from(Arc::new(authority.server(name, shows))));
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
    let method = head.split(' ').next().unwrap().to_owned();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let bearer = header("authorization").map(|value| value.strip_prefix("Bearer ").unwrap().to_owned());
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8(body).unwrap();
    counts.requests.fetch_add(1, Ordering::SeqCst);
    let now = counts.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    counts.most_at_once.fetch_max(now, Ordering::SeqCst);
    counts.targets.lock().unwrap().push(target.clone());
    let answer = answer(&Question { method, body, target, bearer, certified });
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
        Answer::Rest(seconds) => {
            let head = format!(
                "HTTP/1.1 429 X\r\nConnection: close\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
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
