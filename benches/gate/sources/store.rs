//! A metadata store that answers as fast as it can: the Grafeas v1 API of one note, pages ready beforehand.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use binauthd::image::Digest;

use super::stock::{PAGE, Stock};

const PATH: &str = "/v1/projects/bench/notes/build/occurrences";

/// Runs until it is dropped.
pub(super) struct Store {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    pages: Arc<[Vec<u8>]>,
    /// Of these pages, as many as there are.
    count: usize,
    /// What it answers to questions about one digest, by that.
    looked_up: Mutex<HashMap<String, String>>,
    /// Is slower to answer those by so much.
    delay: Mutex<Duration>,
    listings: AtomicUsize,
    /// How long it took with its last answer, in ns.
    answered: AtomicU64,
    stop: AtomicBool,
}

impl Store {
    /// Has the first `size` of the stock.
    pub(super) fn start(stock: &Stock, size: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            pages: Arc::clone(&stock.pages),
            count: size / PAGE,
            looked_up: Mutex::default(),
            delay: Mutex::default(),
            listings: AtomicUsize::default(),
            answered: AtomicU64::default(),
            stop: AtomicBool::default(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stop.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&serving)) else { continue };
                // Whoever hangs up is no concern of a store.
                std::thread::spawn(move || drop(shared.serve(&stream)));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on there is one more, which no listing gave.
    pub(super) fn file(&self, digest: Digest, attestation: String) {
        let body = format!("{{\"occurrences\":[{attestation}]}}");
        self.shared.looked_up.lock().unwrap().insert(digest.hex(), body);
    }

    pub(super) fn delay(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap() = delay;
    }

    /// How often all was listed from the beginning.
    pub(super) fn listings(&self) -> usize {
        self.shared.listings.load(Ordering::Relaxed)
    }

    /// From the end of the last question to the end of its answer.
    pub(super) fn answered(&self) -> Duration {
        Duration::from_nanos(self.shared.answered.load(Ordering::Acquire))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes the thread, which lets go of the port.
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while reader.read_line(&mut line)? > 2 {}
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            let asked = Instant::now();
            self.answer(&target, stream)?;
            self.answered.store(u64::try_from(asked.elapsed().as_nanos()).unwrap(), Ordering::Release);
        }
    }

    fn answer(&self, target: &str, stream: &TcpStream) -> std::io::Result<()> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        assert_eq!(path, PATH, "there is one note");
        let of = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        if let Some(filter) = of("filter") {
            let hex: String = filter.rsplit("%3A").next().unwrap().chars().take(64).collect();
            std::thread::sleep(*self.delay.lock().unwrap());
            let body = self.looked_up.lock().unwrap().get(&hex).cloned().unwrap_or_else(|| "{}".to_owned());
            return send(stream, &[body.as_bytes()]);
        }
        assert_eq!(of("pageSize"), Some(PAGE.to_string().as_str()));
        let place: usize = of("pageToken").map_or(0, |token| token.parse().unwrap());
        self.listings.fetch_add(usize::from(place == 0), Ordering::Relaxed);
        let next = if place + 1 < self.count { (place + 1).to_string() } else { String::new() };
        let end = format!("],\"nextPageToken\":\"{next}\"}}");
        send(stream, &[b"{\"occurrences\":[", &self.pages[place], end.as_bytes()])
    }
}

fn send(mut stream: &TcpStream, parts: &[&[u8]]) -> std::io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    // A short answer in one piece.
    let mut first = head.into_bytes();
    let mut rest = parts;
    while let Some((part, more)) = rest.split_first().filter(|(part, _)| part.len() < 16 * 1024) {
        (rest, _) = (more, first.extend_from_slice(part));
    }
    stream.write_all(&first)?;
    rest.iter().try_for_each(|part| stream.write_all(part))
}
