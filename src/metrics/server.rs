//! Answers `GET /metrics`, on a unix socket or on a TCP port, and nothing else.
//!
//! Whoever may connect is taken for hostile: connections are few, each ends within a time and takes one question
//! with a head of at most [`MAX_HEAD`] bytes; a body is not read. One page is made at a time, and the same one is
//! given out again for a moment ([`Limits`]): however often somebody asks, the daemon is not kept busy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::page::CONTENT_TYPE;

/// The longest head of a question, in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// How long `accept` rests after an error.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// What those who ask may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Between one accept and the next: the thread that answers here is the one that gates wait for.
    pub pace: Duration,
    /// From accept to the end of a connection.
    pub deadline: Duration,
    /// How long a page is given out again.
    pub fresh: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16,
            pace: Duration::from_millis(5),
            deadline: Duration::from_secs(5),
            fresh: Duration::from_millis(200),
        }
    }
}

/// Where questions come in.
#[derive(Debug)]
pub enum Listening {
    /// A unix socket.
    Unix(UnixListener),
    /// A TCP port.
    Tcp(TcpListener),
}

macro_rules! outcomes {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// How connections ended.
        #[derive(Debug, Default)]
        pub struct Outcomes { $($name: AtomicU64,)+ }

        impl Outcomes {
            /// Each, with how often it was so.
            #[must_use]
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)+]
            }
        }
    };
}

outcomes! {
    /// With the page.
    answered,
    /// There were too many.
    busy,
    /// Another question, or none that is HTTP.
    refused,
    /// Not within the time.
    timed_out,
    /// The other end went away.
    abandoned,
}

/// The page that was made last.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<(Instant, Arc<str>)>>);

impl Kept {
    async fn page<F: Future<Output = String>>(&self, make: impl Fn() -> F, fresh: Duration) -> Arc<str> {
        let mut kept = self.0.lock().await;
        match &*kept {
            Some((at, page)) if at.elapsed() < fresh => Arc::clone(page),
            _ => {
                let page: Arc<str> = make().await.into();
                *kept = Some((Instant::now(), Arc::clone(&page)));
                page
            }
        }
    }
}

/// Serves `listening` with what `make` gives, for as long as the future runs.
pub async fn serve<M, F>(listening: &Listening, limits: Limits, make: M, outcomes: &Arc<Outcomes>)
where
    M: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = String> + Send,
{
    let seats = Arc::new(Semaphore::new(limits.connections));
    let kept = Arc::new(Kept::default());
    // Dropped with this future, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        sleep(limits.pace).await;
        while connections.try_join_next().is_some() {}
        let accepted = match listening {
            Listening::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            Listening::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
        };
        let Ok(stream) = accepted else {
            sleep(ACCEPT_REST).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            count(&outcomes.busy);
            continue;
        };
        let (make, kept, outcomes) = (make.clone(), Arc::clone(&kept), Arc::clone(outcomes));
        connections.spawn(async move {
            let page = || kept.page(&make, limits.fresh);
            let end = async {
                match stream {
                    Stream::Unix(stream) => exchange(stream, page, &outcomes).await,
                    Stream::Tcp(stream) => exchange(stream, page, &outcomes).await,
                }
            };
            match timeout(limits.deadline, end).await {
                Ok(Ok(ended)) => count(ended),
                Ok(Err(_)) => count(&outcomes.abandoned),
                Err(_) => count(&outcomes.timed_out),
            }
            drop(seat);
        });
    }
}

enum Stream {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
}

fn count(outcome: &AtomicU64) {
    outcome.fetch_add(1, Ordering::Relaxed);
}

/// One question and its answer.
async fn exchange<F: Future<Output = Arc<str>>>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    page: impl Fn() -> F,
    outcomes: &Outcomes,
) -> io::Result<&AtomicU64> {
    let asked = match head(&mut stream).await? {
        Some(head) => understood(&head),
        None => Err("431 Request Header Fields Too Large"),
    };
    let (answer, body, ended) = match asked {
        Ok(has_body) => {
            let page = page().await;
            let head = format!("200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {}", page.len());
            (head, has_body.then_some(page), &outcomes.answered)
        }
        Err(status) => {
            let allow = if status.starts_with("405") { "\r\nAllow: GET, HEAD" } else { "" };
            (format!("{status}{allow}\r\nContent-Length: 0"), None, &outcomes.refused)
        }
    };
    let rest = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close";
    stream.write_all(format!("HTTP/1.1 {answer}\r\n{rest}\r\n\r\n").as_bytes()).await?;
    if let Some(body) = body {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await?;
    Ok(ended)
}

/// All before the empty line; `None` where that does not come within the bound.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(part.get(..read).unwrap_or_default());
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            bytes.truncate(end);
            return Ok((end <= MAX_HEAD).then_some(bytes));
        }
        if bytes.len() > MAX_HEAD {
            return Ok(None);
        }
    }
}

/// Whether the page is asked for with its body, or the status of the refusal.
fn understood(head: &[u8]) -> Result<bool, &'static str> {
    const BAD: &str = "400 Bad Request";
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| BAD)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD);
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err("505 HTTP Version Not Supported");
    }
    let path = target.split('?').next().unwrap_or_default();
    match (method, path) {
        (_, path) if path != "/metrics" => Err("404 Not Found"),
        ("GET", _) => Ok(true),
        ("HEAD", _) => Ok(false),
        _ => Err("405 Method Not Allowed"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    #[test]
    fn only_one_question_is_understood() {
        let rows: &[(&[u8], Result<bool, &str>)] = &[
            (b"GET /metrics HTTP/1.1\r\nHost: x", Ok(true)),
            (b"GET /metrics?x=1 HTTP/1.0", Ok(true)),
            (b"HEAD /metrics HTTP/1.1", Ok(false)),
            (b"POST /metrics HTTP/1.1", Err("405 Method Not Allowed")),
            (b"GET / HTTP/1.1", Err("404 Not Found")),
            (b"GET /metrics/ HTTP/1.1", Err("404 Not Found")),
            (b"GET http://x/metrics HTTP/1.1", Err("404 Not Found")),
            (b"GET /metrics HTTP/2", Err("505 HTTP Version Not Supported")),
            (b"GET /metrics", Err("400 Bad Request")),
            (b"GET  /metrics HTTP/1.1", Err("400 Bad Request")),
            (b"\xff /metrics HTTP/1.1", Err("400 Bad Request")),
            (b"", Err("400 Bad Request")),
        ];
        for (head, wanted) in rows {
            assert_eq!(understood(head), *wanted, "{}", String::from_utf8_lossy(head));
        }
    }

    const LIMITS: Limits = Limits {
        connections: 4,
        pace: Duration::from_millis(5),
        deadline: Duration::from_millis(500),
        fresh: Duration::from_millis(200),
    };

    /// A server whose pages are numbered.
    fn start(folder: &std::path::Path) -> (std::path::PathBuf, Arc<Outcomes>, tokio::task::JoinHandle<()>) {
        let path = folder.join("metrics.sock");
        let listening = Listening::Unix(UnixListener::bind(&path).unwrap());
        let (outcomes, pages) = (Arc::new(Outcomes::default()), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&outcomes);
        let make = move || {
            let number = pages.fetch_add(1, Ordering::Relaxed);
            async move { format!("page {number}\n") }
        };
        let task = tokio::spawn(async move { serve(&listening, LIMITS, make, &counted).await });
        (path, outcomes, task)
    }

    async fn ask(path: &std::path::Path, question: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(question).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_page_is_given_out_again_for_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let (path, outcomes, _task) = start(folder.path());
        let question = b"GET /metrics HTTP/1.1\r\n\r\n";
        let first = ask(&path, question).await;
        assert!(first.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{first}");
        assert!(first.ends_with("\r\n\r\npage 0\n"), "{first}");
        assert_eq!(ask(&path, question).await, first);
        sleep(LIMITS.fresh).await;
        assert!(ask(&path, question).await.ends_with("page 1\n"));
        let head = ask(&path, b"HEAD /metrics HTTP/1.1\r\n\r\n").await;
        assert!(head.contains("Content-Length: 7\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        let refused = ask(&path, b"PUT /metrics HTTP/1.1\r\n\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("Allow: GET"), "{refused}");
        let counts = outcomes.counts();
        assert!(counts.contains(&("answered", 4)) && counts.contains(&("refused", 1)), "{counts:?}");
    }

    #[tokio::test]
    async fn nobody_keeps_the_thread_busy() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _, _task) = start(folder.path());
        let started = Instant::now();
        for _ in 0..20 {
            ask(&path, b"GET /metrics HTTP/1.1\r\n\r\n").await;
        }
        assert!(started.elapsed() >= LIMITS.pace * 19, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn whoever_keeps_silent_or_talks_on_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (path, outcomes, _task) = start(folder.path());
        let mut long = b"GET /metrics HTTP/1.1\r\nx: ".to_vec();
        long.resize(MAX_HEAD + 1, b'x');
        let answer = ask(&path, &long).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let mut silent = Vec::new();
        for _ in 0..LIMITS.connections {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut one_more = UnixStream::connect(&path).await.unwrap();
        assert_eq!(one_more.read(&mut [0; 1]).await.unwrap(), 0, "the seats are taken");
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        }
        let counts = outcomes.counts();
        assert!(counts.contains(&("timed_out", LIMITS.connections as u64)), "{counts:?}");
        assert!(counts.contains(&("busy", 1)), "{counts:?}");
    }
}
