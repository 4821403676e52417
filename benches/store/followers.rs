//! Nodes on change streams, each with a connection of its own.

use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::client::{self, Client};
use super::rig::Store;
use super::samples::Samples;
use super::stock;

pub(crate) const FOLLOWERS: usize = 500;
/// Occurrences that are deleted, one after the other.
const REVOKED: usize = 100;

/// What a follower hears.
enum Heard {
    Heartbeat,
    Gone(Instant),
}

/// How long it takes from the beginning of a deletion until each follower, and until the last of them has heard of it.
/// They follow by one token, as the nodes of a cluster do.
pub(crate) fn measured(store: &Store, token: &str, client: &mut Client, size: usize) -> [Samples; 2] {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (tell, mut heard) = unbounded_channel();
    let host = store.url.strip_prefix("http://").unwrap().to_owned();
    for _ in 0..FOLLOWERS {
        runtime.spawn(follow(host.clone(), client::bearer(token), tell.clone()));
    }
    for _ in 0..FOLLOWERS {
        assert!(matches!(next(&runtime, &mut heard), Heard::Heartbeat), "each is there");
    }
    let (mut each, mut last) = (Samples::default(), Samples::default());
    for revoked in 0..REVOKED {
        let start = Instant::now();
        client.done("DELETE", &stock::name(revoked * 97 % size));
        let (mut count, mut latest) = (0, start);
        while count < FOLLOWERS {
            if let Heard::Gone(at) = next(&runtime, &mut heard) {
                each.push(at - start);
                latest = latest.max(at);
                count += 1;
            }
        }
        last.push(latest - start);
    }
    [each, last]
}

fn next(runtime: &tokio::runtime::Runtime, heard: &mut UnboundedReceiver<Heard>) -> Heard {
    let next = async { tokio::time::timeout(Duration::from_secs(20), heard.recv()).await };
    runtime.block_on(next).expect("every follower hears").unwrap()
}

async fn follow(host: String, token: String, tell: UnboundedSender<Heard>) {
    let mut stream = BufReader::new(TcpStream::connect(&host).await.unwrap());
    let head = format!("GET /v1/changes HTTP/1.1\r\nHost: {host}\r\n{token}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = String::new();
    // To the end of the bench.
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let at = Instant::now();
        let heard = match &line {
            line if line.contains("\"gone\"") => Some(Heard::Gone(at)),
            line if line.contains("\"heartbeat\"") => Some(Heard::Heartbeat),
            _ => None,
        };
        if let Some(heard) = heard
            && tell.send(heard).is_err()
        {
            return;
        }
        line.clear();
    }
}
