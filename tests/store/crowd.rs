//! More followers at a time than any cluster has nodes.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::rig::{Database, Store, text};

const NOTE: &str = "projects/sec/notes/qa";
const FOLLOWERS: usize = 10_000;
/// Names that they go by: one may open no more than 500 streams a second, and 2,000 at once.
const NAMES: usize = 10;
/// Connections that are opened at a time.
const AT_ONCE: usize = 200;
const MIB: usize = 1 << 20;

/// A line that says what is filed or gone; none of a heartbeat.
type Heard = Option<String>;

#[test]
fn ten_thousand_followers_hear_of_a_change_and_take_little() {
    let files = FOLLOWERS as u64 + 1_000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(files), hard.max(files)).unwrap();
    let database = Database::sqlite();
    let names: Vec<_> = (0..NAMES).map(|n| format!("nodes-{n}")).collect();
    let tokens: Vec<_> =
        names.iter().map(|name| database.verb(&["access", "add", name, "--role", "viewer"])).collect();
    let mut store = Store::start(&database.url(), &[]);
    let role = format!("attacher={NOTE}");
    let admin = database.verb(&["access", "add", "admin", "--role", "attestor-admin", "--role", &role]);
    store.token = Some(admin.trim().to_owned());
    store.note("sec", "qa");
    let before = resident(&store);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (tell, mut heard) = unbounded_channel();
    let doors = Arc::new(Semaphore::new(AT_ONCE));
    let start = Instant::now();
    for n in 0..FOLLOWERS {
        let token = tokens[n % NAMES].trim().to_owned();
        runtime.spawn(follow(store.url.clone(), token, Arc::clone(&doors), tell.clone()));
    }
    for n in 0..FOLLOWERS {
        assert_eq!(next(&runtime, &mut heard), None, "follower {n} is there");
    }
    let each = resident(&store).saturating_sub(before) / FOLLOWERS;
    println!("{FOLLOWERS} follow after {:?}, {each} bytes each", start.elapsed());
    assert!(each < 64 * 1024, "{each} bytes for each follower");

    let mut all = |what: &str, name: &str| {
        let start = Instant::now();
        let mut told = 0;
        while told < FOLLOWERS {
            if let Some(line) = next(&runtime, &mut heard) {
                assert!(line.contains(what) && line.contains(name), "{line}");
                told += 1;
            }
        }
        println!("{what} {name}: all have heard after {:?}", start.elapsed());
    };
    let filed = store.file("shop", NOTE, 'a');
    all("filed", &filed);
    store.done(&format!("DELETE /v1/{filed}"), None);
    all("gone", &filed);
    let most = resident(&store).saturating_sub(before);
    assert!(most < 1024 * MIB, "{most} bytes");
    // Whoever asks anything else is answered.
    let list = store.done(&format!("GET /v1/{NOTE}"), None);
    assert_eq!(text(&list, "/name"), NOTE);
}

fn next(runtime: &tokio::runtime::Runtime, heard: &mut UnboundedReceiver<Heard>) -> Heard {
    let next = async { tokio::time::timeout(Duration::from_secs(60), heard.recv()).await };
    runtime.block_on(next).expect("everybody hears").unwrap()
}

async fn follow(url: String, token: String, doors: Arc<Semaphore>, tell: UnboundedSender<Heard>) {
    let host = url.strip_prefix("http://").unwrap();
    let head = format!("GET /v1/changes HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut line = String::new();
    let door = doors.acquire().await.unwrap();
    let mut stream = BufReader::with_capacity(512, TcpStream::connect(host).await.unwrap());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    drop(door);
    let mut is_first = true;
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let is_beat = line.contains("\"heartbeat\"");
        let is_change = line.contains("\"filed\"") || line.contains("\"gone\"");
        if is_change || is_beat && is_first {
            is_first = false;
            if tell.send(is_change.then(|| line.clone())).is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// Bytes that the server keeps in memory.
fn resident(store: &Store) -> usize {
    let pages = fs::read_to_string(format!("/proc/{}/statm", store.pid())).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
