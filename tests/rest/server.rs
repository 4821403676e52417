//! What speaks as a server of occurrences, a metadata server or a proxy, and can misbehave: HTTP/1.1, one
//! request a connection, with or without TLS.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A question as it came.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) path: String,
    /// Decoded.
    pub(crate) query: HashMap<String, String>,
    /// By lower-case name.
    pub(crate) headers: HashMap<String, String>,
}

impl Question {
    pub(crate) fn of(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.headers.get("authorization").map(|value| value.strip_prefix("Bearer ").unwrap())
    }

    pub(crate) fn size(&self) -> usize {
        self.of("pageSize").parse().unwrap()
    }
}

#[derive(Clone)]
pub(crate) enum Answer {
    Json(serde_json::Value),
    Text(String),
    Bytes(Vec<u8>),
    /// Status, more headers, body.
    Whole(u16, Vec<(&'static str, String)>, String),
    /// After a while.
    Late(Duration, serde_json::Value),
    /// The body, a byte at a time with a pause between.
    Drip(String, Duration),
    /// Headers, a part of the body, and a reset.
    Reset,
    Silence,
    /// A gigabyte of one occurrence after another, announced or not.
    Gigabyte {
        announced: bool,
    },
    /// Leads to this port on loopback, as a proxy does.
    Tunnel(u16),
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) questions: Arc<Mutex<Vec<Question>>>,
    /// Bytes of bodies that were taken from it.
    pub(crate) sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(
        tls: Option<ServerConfig>,
        answer: impl Fn(&Question) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (answer, questions) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let sent = Arc::new(AtomicU64::new(0));
        let (kept, counted) = (Arc::clone(&questions), Arc::clone(&sent));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                let (kept, counted) = (Arc::clone(&kept), Arc::clone(&counted));
                connections.spawn(async move {
                    let answer = |question: Question| {
                        let said = answer(&question);
                        kept.lock().unwrap().push(question);
                        said
                    };
                    // Whoever hangs up, or is not believed, is no concern of a server.
                    let _ = serve(stream, acceptor, answer, &counted).await;
                });
            }
        });
        Self { address, questions, sent, task }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn asked(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    answer: impl FnOnce(Question) -> Answer,
    sent: &AtomicU64,
) -> std::io::Result<()> {
    let Some(acceptor) = acceptor else {
        let mut stream = stream;
        let said = answer(question(&mut stream).await?);
        return match said {
            Answer::Reset => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"occur").await?;
                // Unread bytes on our side make the close a reset.
                stream.set_zero_linger()
            }
            Answer::Tunnel(port) => {
                let mut there = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                tokio::io::copy_bidirectional(&mut stream, &mut there).await.map(|_| ())
            }
            said => write(&mut stream, said, sent).await,
        };
    };
    let mut stream = acceptor.accept(stream).await?;
    let said = answer(question(&mut stream).await?);
    write(&mut stream, said, sent).await
}

async fn question(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Question> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let target = lines.next().unwrap().split(' ').nth(1).unwrap();
    let base = reqwest::Url::parse("http://base").unwrap();
    let (path, query) = match base.join(target) {
        Ok(url) if target.starts_with('/') => {
            let query =
                url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
            (url.path().to_owned(), query)
        }
        _ => (target.to_owned(), HashMap::new()), // CONNECT
    };
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Ok(Question { path, query, headers })
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: Answer,
    sent: &AtomicU64,
) -> std::io::Result<()> {
    let head = |status: u16, headers: &[(&str, String)], length: Option<usize>| {
        let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
        for (key, value) in headers {
            head.push_str(&format!("{key}: {value}\r\n"));
        }
        if let Some(length) = length {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head + "\r\n"
    };
    let (status, headers, body) = match answer {
        Answer::Json(value) => (200, Vec::new(), value.to_string().into_bytes()),
        Answer::Late(after, value) => {
            tokio::time::sleep(after).await;
            (200, Vec::new(), value.to_string().into_bytes())
        }
        Answer::Text(text) => (200, Vec::new(), text.into_bytes()),
        Answer::Bytes(bytes) => (200, Vec::new(), bytes),
        Answer::Whole(status, headers, body) => (status, headers, body.into_bytes()),
        Answer::Drip(body, pause) => {
            stream.write_all(head(200, &[], Some(body.len())).as_bytes()).await?;
            for byte in body.bytes() {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(pause).await;
            }
            return stream.shutdown().await;
        }
        Answer::Silence => std::future::pending().await,
        Answer::Gigabyte { announced } => {
            const ALL: usize = 1 << 30;
            stream.write_all(head(200, &[], announced.then_some(ALL)).as_bytes()).await?;
            stream.write_all(b"{\"occurrences\":[{}").await?;
            let entry = b",{\"name\":\"projects/p/occurrences/o\"}";
            let megabyte = entry.repeat((1 << 20) / entry.len());
            for _ in 0..ALL / megabyte.len() {
                stream.write_all(&megabyte).await?;
                sent.fetch_add(megabyte.len() as u64, Ordering::SeqCst);
            }
            return stream.shutdown().await;
        }
        Answer::Reset | Answer::Tunnel(_) => panic!("without TLS only"),
    };
    stream.write_all(head(status, &headers, Some(body.len())).as_bytes()).await?;
    stream.write_all(&body).await?;
    sent.fetch_add(body.len() as u64, Ordering::SeqCst);
    stream.shutdown().await
}
