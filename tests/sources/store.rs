//! A metadata store as a node sees one: the Grafeas API of one note, and every way to misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// What it does with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Good,
    /// Takes this much longer for each answer.
    Slow(Duration),
    /// Ends the connection in the middle of an answer.
    Reset,
    Html,
    Status(u16),
    /// 429, to be asked again after this many seconds.
    Busy(u64),
    /// Pages with nothing on them, one after the other.
    EmptyPages,
    /// The same page for ever, under new tokens.
    Endless,
    /// After the last page the first one again.
    Restarts,
    /// Every occurrence twice.
    Twice,
    /// Under the note that was asked for, those of another.
    AnotherNote,
    /// A gigabyte, as long as anybody reads it.
    Gigabyte,
    /// It has lost everything.
    Empty,
}

/// Runs until it is dropped.
pub(crate) struct Store {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    mode: Mutex<Mode>,
    /// By name, in the order of pages.
    occurrences: Mutex<BTreeMap<String, Value>>,
    pub(crate) asked: AtomicU64,
    pub(crate) sent: AtomicU64,
    stop: AtomicBool,
}

impl Store {
    pub(crate) fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), BTreeMap::new())
    }

    /// The same at an address that one had before, with what that had.
    pub(crate) fn again(address: SocketAddr, occurrences: BTreeMap<String, Value>) -> Self {
        Self::on(TcpListener::bind(address).unwrap(), occurrences)
    }

    fn on(listener: TcpListener, occurrences: BTreeMap<String, Value>) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Good),
            occurrences: Mutex::new(occurrences),
            asked: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&serving);
                // Whoever hangs up is no concern of a server.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn be(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    pub(crate) fn file(&self, occurrences: impl IntoIterator<Item = Value>) {
        let named = occurrences.into_iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one));
        self.shared.occurrences.lock().unwrap().extend(named);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.shared.occurrences.lock().unwrap().remove(name).unwrap();
    }

    pub(crate) fn occurrences(&self) -> BTreeMap<String, Value> {
        self.shared.occurrences.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
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
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut writer = stream.try_clone()?;
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
            self.asked.fetch_add(1, Ordering::Relaxed);
            if !self.answer(&target, &mut writer)? {
                return Ok(());
            }
        }
    }

    /// Whether the connection goes on.
    fn answer(&self, target: &str, out: &mut TcpStream) -> std::io::Result<bool> {
        let mode = *self.mode.lock().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path != "/v1/projects/shop/notes/ci/occurrences" {
            return self.send(out, 404, "", &json!({"error": {"message": "no such note"}}).to_string());
        }
        let of = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        let (token, size) = (of("pageToken"), of("pageSize").map_or(20, |size| size.parse().unwrap()));
        let filter = of("filter");
        let start: usize = token.and_then(|token| token.trim_start_matches("t").parse().ok()).unwrap_or(0);
        let wanted = |one: &&Value| {
            let uri = one["resourceUri"].as_str().unwrap();
            filter.is_none_or(|filter| filter.contains(&uri[uri.len() - 64..]))
        };
        let all: Vec<Value> = self.occurrences.lock().unwrap().values().filter(wanted).cloned().collect();
        let page: Vec<_> = all.iter().skip(start).take(size).cloned().collect();
        let next = (start + page.len() < all.len()).then(|| format!("t{}", start + page.len()));
        let good = |page: &[Value], next: Option<String>| {
            json!({"occurrences": page, "nextPageToken": next.unwrap_or_default()}).to_string()
        };
        match mode {
            Mode::Good => self.send(out, 200, "", &good(&page, next)),
            Mode::Slow(time) => {
                std::thread::sleep(time);
                self.send(out, 200, "", &good(&page, next))
            }
            Mode::Reset => {
                out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{\"occurrences\": [")?;
                Ok(false)
            }
            Mode::Html => {
                self.send(out, 200, "content-type: text/html\r\n", "<html><body>Sign in</body></html>")
            }
            Mode::Status(code) => self.send(out, code, "", "{}"),
            Mode::Busy(seconds) => self.send(out, 429, &format!("retry-after: {seconds}\r\n"), "{}"),
            Mode::EmptyPages => self.send(out, 200, "", &good(&[], Some(format!("t{}", start + 1)))),
            Mode::Endless => self.send(out, 200, "", &good(&all, Some(format!("t0{start}")))),
            Mode::Restarts => {
                self.send(out, 200, "", &good(&page, Some(next.unwrap_or_else(|| "t0".into()))))
            }
            Mode::Twice => self.send(out, 200, "", &good(&[page.clone(), page].concat(), next)),
            Mode::AnotherNote => {
                let mut page = page;
                page.iter_mut().for_each(|one| one["noteName"] = "projects/shop/notes/other".into());
                self.send(out, 200, "", &good(&page, next))
            }
            Mode::Gigabyte => self.gigabyte(out),
            Mode::Empty => self.send(out, 200, "", "{}"),
        }
    }

    fn gigabyte(&self, out: &mut TcpStream) -> std::io::Result<bool> {
        let length = 1_u64 << 30;
        out.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())?;
        let block = vec![b' '; 64 * 1024];
        for _ in 0..length / block.len() as u64 {
            out.write_all(&block)?;
            self.sent.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
        Ok(false)
    }

    fn send(&self, out: &mut TcpStream, code: u16, headers: &str, body: &str) -> std::io::Result<bool> {
        let head = format!("HTTP/1.1 {code} Whatever\r\n{headers}content-length: {}\r\n\r\n", body.len());
        out.write_all(head.as_bytes())?;
        out.write_all(body.as_bytes())?;
        Ok(true)
    }
}
