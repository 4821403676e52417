//! The server: bounded, by deadlines, and with an answer for everybody.
//!
//! Serves any pair of request and response types in the gate's framing, so the admin socket uses it too.
//! The peer is who the kernel says. A connection ends within [`Limits::exchange`] whatever its peer does,
//! and each way to end has a counter. The loop ends at shutdown only: errors of `accept` are counted and
//! waited out, a handler that panics is a refusal. Decides nothing but whom to serve.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout, timeout_at};

use super::frame::{self, FrameError, Inbox, Kind};
use super::listener::Listener;
use super::message::{Answer, Decision, Unsupported, reason};

/// How long `accept` rests after an error, as when file descriptors have run out.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Who is at the other end, by `SO_PEERCRED`: the process that called `connect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process id; 0 if it has none in this PID namespace.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// The peer policy of the gate socket: root alone.
///
/// # Errors
/// Names the uid that is not root.
pub fn root_only(peer: &Peer) -> Result<(), String> {
    if peer.uid == 0 { Ok(()) } else { Err(format!("uid {} may not ask here, only root", peer.uid)) }
}

/// What a server can answer without its handler.
pub trait Refusal {
    /// A refusal with one of the codes in [`reason`] and a line for people.
    fn refusal(reason: &'static str, message: String) -> Self;
}

impl Refusal for Answer {
    fn refusal(reason: &'static str, message: String) -> Self {
        Self { decision: Decision::Refuse, reason: reason.to_owned(), message }
    }
}

/// What one client may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one process at a time.
    pub per_process: usize,
    /// From accept until the request is there whole.
    pub request: Duration,
    /// One write to the peer.
    pub write: Duration,
    /// From accept to the end of the connection; the handler has this less one [`Limits::write`].
    pub exchange: Duration,
    /// Between two signs of life.
    pub alive: Duration,
    /// For connections under way when shutdown begins.
    pub grace: Duration,
    /// The longest body of a request in bytes.
    pub max_request: usize,
    /// The longest body of an answer in bytes.
    pub max_body: usize,
}

impl Limits {
    /// Those of the gate socket.
    pub const GATE: Self = Self {
        connections: 512,
        per_process: 32,
        request: Duration::from_secs(1),
        write: Duration::from_secs(1),
        exchange: Duration::from_secs(9),
        alive: Duration::from_millis(500),
        grace: Duration::from_secs(5),
        max_request: frame::MAX_ASK,
        max_body: frame::MAX_BODY,
    };
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// How connections ended, since the start. Read with [`Counters::counts`].
        #[derive(Debug, Default)]
        pub struct Counters { $($name: AtomicU64,)+ }

        /// A reading of [`Counters`].
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Counts { $($(#[$doc])+ pub $name: u64,)+ }

        impl Counts {
            /// Each count with its name.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }

        impl Counters {
            /// The counts now.
            #[must_use]
            pub fn counts(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Connections accepted; every one of them is counted once more below when it ends.
    accepted,
    /// The handler's answer was sent.
    answered,
    /// Refused because there were too many connections, in all or from one process.
    busy,
    /// Refused because of who the peer is.
    refused_peer,
    /// Not the protocol.
    malformed,
    /// Another version of the protocol.
    unsupported,
    /// The request did not arrive whole in time.
    timed_out,
    /// The handler did not answer in time.
    overdue,
    /// The handler panicked, or its answer could not be sent as a message.
    failed,
    /// The peer went away, or read nothing, before the end.
    abandoned,
    /// Errors of `accept`, which are no connections.
    accept_failed,
}

impl Counts {
    /// How connections ended, which is every count but `accepted`.
    pub fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.all().into_iter().filter(|(name, _)| *name != "accepted")
    }
}

/// Serves `listener` until `shutdown` is ready, then lets connections under way finish within
/// [`Limits::grace`]. `peer_policy` says whom to serve. `handler` answers; its future runs in a task of its
/// own and is dropped when its time is over or its peer has gone, so what must survive that (a look-up others
/// wait for) belongs elsewhere.
///
/// # Errors
/// Only if the listener cannot be registered with the runtime, at the start.
pub async fn serve<Q, A, P, H, F>(
    listener: Listener,
    limits: Limits,
    peer_policy: P,
    handler: H,
    counters: Arc<Counters>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Refusal + Send + 'static,
    P: Fn(&Peer) -> Result<(), String>,
    H: Fn(Peer, Q) -> F + Send + Sync + 'static,
    F: Future<Output = A> + Send + 'static,
{
    let listener = UnixListener::from_std(listener.0)?;
    let handler = Arc::new(handler);
    let seats = Arc::new(Seats::default());
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted.and_then(|(stream, _)| Ok((peer_of(&stream)?, stream))) {
            Ok((peer, stream)) => (stream, peer),
            Err(error) => {
                count(&counters.accept_failed);
                if !failing {
                    tracing::warn!(%error, "cannot accept connections");
                }
                failing = true;
                sleep(ACCEPT_REST).await;
                continue;
            }
        };
        failing = false;
        count(&counters.accepted);
        if let Err(message) = peer_policy(&peer) {
            count(&counters.refused_peer);
            turn_away::<A>(&stream, reason::PEER_REFUSED, message, &limits);
            continue;
        }
        let Some(seat) = Seats::take(&seats, peer.pid, &limits) else {
            count(&counters.busy);
            let message =
                "binauthd has too many connections, in all or from this process; try again".to_owned();
            turn_away::<A>(&stream, reason::BUSY, message, &limits);
            continue;
        };
        let (handler, counters) = (Arc::clone(&handler), Arc::clone(&counters));
        connections.spawn(async move {
            let end = converse(stream, peer, limits, handler, &counters).await;
            count(end);
            drop(seat);
        });
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, finished).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were cut off at shutdown");
    }
    Ok(())
}

/// One connection from accept to close; returns the counter of how it ended.
async fn converse<Q, A, H, F>(
    mut stream: UnixStream,
    peer: Peer,
    limits: Limits,
    handler: Arc<H>,
    counters: &Counters,
) -> &AtomicU64
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Refusal + Send + 'static,
    H: Fn(Peer, Q) -> F + Send + Sync + 'static,
    F: Future<Output = A> + Send + 'static,
{
    let start = Instant::now();
    let request = match timeout_at(start + limits.request, request(&mut stream, limits.max_request)).await {
        Ok(Ok(request)) => request,
        Ok(Err(Unread::Gone)) => return &counters.abandoned,
        Ok(Err(Unread::Version(version))) => {
            send(&mut stream, &unsupported(version), &limits).await;
            return &counters.unsupported;
        }
        Ok(Err(Unread::Malformed(error))) => {
            tracing::debug!(?peer, %error, "malformed request");
            let (message, _) =
                message(&A::refusal(reason::MALFORMED, format!("the daemon got {error}")), &limits);
            send(&mut stream, &message, &limits).await;
            return &counters.malformed;
        }
        Err(_) => {
            let text = format!("the request did not arrive whole within {} s", limits.request.as_secs_f32());
            let (message, _) = message(&A::refusal(reason::TIMED_OUT, text), &limits);
            send(&mut stream, &message, &limits).await;
            return &counters.timed_out;
        }
    };
    if !send(&mut stream, &frame::bare(Kind::Ack), &limits).await {
        return &counters.abandoned;
    }

    let mut judging = JoinSet::new(); // aborts its task when dropped
    judging.spawn(async move { handler(peer, request).await });
    let over = start + limits.exchange.saturating_sub(limits.write);
    let mut alive = interval_at(Instant::now() + limits.alive, limits.alive);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (answer, ended) = loop {
        tokio::select! {
            biased;
            Some(judged) = judging.join_next() => match judged {
                Ok(answer) => break (answer, &counters.answered),
                Err(error) => {
                    tracing::error!(?peer, %error, "a handler did not finish");
                    let text = "binauthd failed at this question; its log says how".to_owned();
                    break (A::refusal(reason::INTERNAL, text), &counters.failed);
                }
            },
            () = sleep_until(over) => {
                let text = format!("binauthd had not decided after {} s", (over - start).as_secs_f32());
                break (A::refusal(reason::TIMED_OUT, text), &counters.overdue);
            }
            _ = alive.tick() => if !send(&mut stream, &frame::bare(Kind::Alive), &limits).await {
                return &counters.abandoned;
            },
        }
    };
    match message(&answer, &limits) {
        (message, fits) if send(&mut stream, &message, &limits).await => {
            if fits {
                ended
            } else {
                &counters.failed
            }
        }
        _ => &counters.abandoned,
    }
}

/// Why there is no request.
enum Unread {
    Gone,
    Version(u16),
    Malformed(FrameError),
}

impl From<FrameError> for Unread {
    fn from(error: FrameError) -> Self {
        Self::Malformed(error)
    }
}

async fn request<Q: DeserializeOwned>(stream: &mut UnixStream, max_body: usize) -> Result<Q, Unread> {
    let mut inbox = Inbox::new(max_body);
    let mut chunk = [0; 4096];
    loop {
        let have = stream.read(&mut chunk).await.map_err(|_| Unread::Gone)?;
        if have == 0 {
            inbox.end()?;
            return Err(Unread::Gone);
        }
        inbox.push(chunk.get(..have).unwrap_or_default());
        // The header alone tells the version: what follows in another one is not ours to read.
        let Some(header) = inbox.header()? else { continue };
        if header.version != frame::VERSION {
            return Err(Unread::Version(header.version));
        }
        match Kind::try_from(header.kind)? {
            Kind::Ask => {}
            other => return Err(FrameError::Unexpected(other).into()),
        }
        if let Some((_, body)) = inbox.frame()? {
            return Ok(frame::decode(&body)?);
        }
    }
}

fn unsupported(version: u16) -> Vec<u8> {
    let body = Unsupported {
        supported: vec![frame::VERSION],
        message: format!(
            "binauthd {} does not speak version {version} of the gate protocol",
            env!("CARGO_PKG_VERSION")
        ),
    };
    frame::encode(Kind::Unsupported, &body, frame::MAX_BODY).unwrap_or_default()
}

/// The frame of `answer`, and whether it is that: an answer over the cap becomes a refusal.
fn message<A: Serialize + Refusal>(answer: &A, limits: &Limits) -> (Vec<u8>, bool) {
    match frame::encode(Kind::Answer, answer, limits.max_body) {
        Ok(frame) => (frame, true),
        Err(error) => {
            let refusal = A::refusal(reason::INTERNAL, format!("the answer is {error}"));
            (frame::encode(Kind::Answer, &refusal, limits.max_body).unwrap_or_default(), false)
        }
    }
}

/// Whether the peer took all of it in time.
async fn send(stream: &mut UnixStream, message: &[u8], limits: &Limits) -> bool {
    matches!(timeout(limits.write, stream.write_all(message)).await, Ok(Ok(())))
}

/// Says why and closes, without waiting for a peer that may never read.
fn turn_away<A: Serialize + Refusal>(
    stream: &UnixStream,
    reason: &'static str,
    text: String,
    limits: &Limits,
) {
    let (message, _) = message(&A::refusal(reason, text), limits);
    stream.try_write(&message).ok();
}

fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    Ok(Peer { pid: credentials.pid().unwrap_or(0), uid: credentials.uid(), gid: credentials.gid() })
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The connections of each process.
#[derive(Debug, Default)]
struct Seats(Mutex<HashMap<i32, usize>>);

/// One connection's place among [`Limits::connections`] and [`Limits::per_process`], given back on drop.
struct Seat {
    seats: Arc<Seats>,
    pid: i32,
}

impl Seats {
    fn take(seats: &Arc<Self>, pid: i32, limits: &Limits) -> Option<Seat> {
        let mut taken = seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_process = taken.get(&pid).copied().unwrap_or(0);
        // Processes of another PID namespace have no number here to be told apart by.
        let has_share = pid == 0 || of_process < limits.per_process;
        if !has_share || taken.values().sum::<usize>() >= limits.connections {
            return None;
        }
        taken.insert(pid, of_process + 1);
        drop(taken);
        Some(Seat { seats: Arc::clone(seats), pid })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.pid) {
            Some(of_process) if *of_process > 1 => *of_process -= 1,
            _ => drop(taken.remove(&self.pid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_cannot_take_every_seat() {
        let limits = Limits { connections: 5, per_process: 3, ..Limits::GATE };
        let seats = Arc::new(Seats::default());
        let mut first: Vec<_> = (0..3).map(|_| Seats::take(&seats, 1, &limits).unwrap()).collect();
        assert!(Seats::take(&seats, 1, &limits).is_none(), "the process has its share");
        let second: Vec<_> = (0..2).map(|_| Seats::take(&seats, 2, &limits).unwrap()).collect();
        assert!(Seats::take(&seats, 3, &limits).is_none(), "the house is full");
        first.pop();
        assert!(Seats::take(&seats, 3, &limits).is_some());
        drop((first, second));
        assert!(seats.0.lock().unwrap().is_empty());
    }
}
