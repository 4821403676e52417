//! Connections: how many there are, and how long each may be there for nothing.
//!
//! Whoever is not known yet has few of them, and seconds to say who it is: a flood of strangers takes nothing from those who are.
//! Where there are too many of them already, the one that has waited longest makes room for the one that comes: so whoever says
//! at once who it is gets in, whatever waits beside it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::access;
use super::server::Store;

/// How long a client may take to say who it is, and for each head of a call.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Connections at a time.
const CONNECTIONS: usize = 20_000;
/// Those of them on which nobody known has asked yet: of all, and of one address, or of one /64 of IPv6, as one host has it.
const STRANGERS: (usize, usize) = (2_000, 500);
/// Calls that are under way on one of them: each asks the database who it is.
const STRANGE_CALLS: usize = 4;
/// A connection on which nothing is asked is closed after this long.
const IDLE: Duration = Duration::from_secs(120);
/// How often a connection of HTTP/2 is asked whether it lives, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// The seats.
#[derive(Debug)]
struct Seats {
    all: Arc<Semaphore>,
    strangers: Mutex<Strangers>,
}

/// Connections on which nobody known has asked yet, by where they come from; of each place in the order in which they came.
#[derive(Debug, Default)]
struct Strangers {
    by_place: HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>,
    many: usize,
    /// How many came in all.
    came: u64,
}

/// One of them.
#[derive(Debug)]
struct Stranger {
    seats: Arc<Seats>,
    place: IpAddr,
    number: u64,
    /// Told when it makes room for another.
    shown_out: Arc<Notify>,
}

/// A connection, as the calls on it see it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// The client's certificate, as it is known by.
    pub(super) certificate: Option<String>,
    stranger: Mutex<Option<Stranger>>,
    /// Whether nobody knows who asked last.
    is_strange: AtomicBool,
    /// Under way.
    calls: AtomicUsize,
    /// Those of somebody known.
    known_calls: AtomicUsize,
    /// When one of those ended last.
    last: Mutex<Instant>,
}

/// A call that is under way, until all of its answer is sent.
#[derive(Debug)]
pub(super) struct Busy {
    connection: Arc<Connection>,
    is_known: AtomicBool,
}

impl Seats {
    fn new() -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(CONNECTIONS)), strangers: Mutex::default() })
    }

    /// One more; none where there is no room for anybody.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<(OwnedSemaphorePermit, Stranger)> {
        let seat = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let (place, shown_out) = (place(address), Arc::new(Notify::new()));
        let number = lock(&self.strangers).come(place, Arc::clone(&shown_out));
        Some((seat, Stranger { seats: Arc::clone(self), place, number, shown_out }))
    }
}

/// What counts as one address.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

impl Strangers {
    /// One more, instead of another where there are enough; its number.
    fn come(&mut self, place: IpAddr, shown_out: Arc<Notify>) -> u64 {
        if self.by_place.get(&place).is_some_and(|of_it| of_it.len() >= STRANGERS.1) {
            self.show_out(place);
        } else if self.many >= STRANGERS.0 {
            let longest = |of_it: &BTreeMap<u64, _>| Reverse(of_it.keys().next().copied());
            let fullest = self.by_place.iter().max_by_key(|(_, of_it)| (of_it.len(), longest(of_it)));
            if let Some(place) = fullest.map(|(place, _)| *place) {
                self.show_out(place);
            }
        }
        self.came += 1;
        self.many += 1;
        self.by_place.entry(place).or_default().insert(self.came, shown_out);
        self.came
    }

    /// The one of this place that has waited longest goes.
    fn show_out(&mut self, place: IpAddr) {
        let longest = self.by_place.get(&place).and_then(BTreeMap::first_key_value);
        if let Some((number, shown_out)) = longest {
            let number = *number;
            shown_out.notify_one();
            self.leave(place, number);
        }
    }

    fn leave(&mut self, place: IpAddr, number: u64) {
        if let Some(of_it) = self.by_place.get_mut(&place)
            && of_it.remove(&number).is_some()
        {
            self.many -= 1;
            if of_it.is_empty() {
                self.by_place.remove(&place);
            }
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        lock(&self.seats.strangers).leave(self.place, self.number);
    }
}

impl Connection {
    /// Nobody knows who has asked.
    pub(super) fn is_strange(&self) {
        self.is_strange.store(true, Ordering::SeqCst);
    }

    /// Whether more is asked at a time than somebody may whom nobody knows.
    pub(super) fn is_crowded(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > STRANGE_CALLS && self.is_strange.load(Ordering::SeqCst)
    }

    /// A call begins.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Busy { connection: Arc::clone(self), is_known: AtomicBool::new(false) }
    }

    /// Comes to its end when nobody known has asked in time, or has made room for another, or nobody known asks any more.
    async fn is_neglected(&self, shown_out: &Notify) {
        let _ = tokio::time::timeout(HEAD_TIME, shown_out.notified()).await;
        if lock(&self.stranger).is_some() {
            return;
        }
        loop {
            let rest = IDLE.saturating_sub(lock(&self.last).elapsed());
            let is_idle = self.known_calls.load(Ordering::SeqCst) == 0;
            if is_idle && rest.is_zero() {
                return;
            }
            tokio::time::sleep(if is_idle { rest } else { IDLE }).await;
        }
    }
}

impl Busy {
    /// Somebody known has asked.
    pub(super) fn is_known(&self) {
        let connection = &self.connection;
        if !self.is_known.swap(true, Ordering::SeqCst) {
            connection.known_calls.fetch_add(1, Ordering::SeqCst);
        }
        connection.is_strange.store(false, Ordering::SeqCst);
        lock(&connection.stranger).take();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let connection = &self.connection;
        if self.is_known.load(Ordering::SeqCst) {
            *lock(&connection.last) = Instant::now();
            connection.known_calls.fetch_sub(1, Ordering::SeqCst);
        }
        connection.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves until `stopped`; connections under way are given a few seconds then.
pub(super) async fn serve(
    store: Arc<Store>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let seats = Seats::new();
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Ok((stream, peer)) = accepted else {
            // File descriptors have run out, most likely.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Beyond the bounds nobody is answered; clients try again.
        let Some((seat, stranger)) = seats.take(peer.ip()) else { continue };
        let (store, tls, watcher) = (Arc::clone(&store), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection(store, stream, peer, stranger, tls, watcher).await;
            drop(seat);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(Duration::from_secs(3), graceful.shutdown()).await;
}

async fn connection(
    store: Arc<Store>,
    stream: TcpStream,
    peer: SocketAddr,
    stranger: Stranger,
    tls: Option<TlsAcceptor>,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256).max_header_list_size(64 * 1024);
    builder.http2().keep_alive_interval(Some(PING.0)).keep_alive_timeout(PING.1);
    let shown_out = Arc::clone(&stranger.shown_out);
    let came = |certificate: Option<String>| {
        Arc::new(Connection {
            peer,
            certificate,
            stranger: Mutex::new(Some(stranger)),
            is_strange: AtomicBool::new(true),
            calls: AtomicUsize::new(0),
            known_calls: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        })
    };
    let serve = |connection: &Arc<Connection>| {
        let connection = Arc::clone(connection);
        hyper::service::service_fn(move |request| {
            let (store, connection) = (Arc::clone(&store), Arc::clone(&connection));
            async move { Ok::<_, Infallible>(store.answer(request, connection).await) }
        })
    };
    let served = match tls {
        None => {
            let connection = came(None);
            let serving = builder.serve_connection(TokioIo::new(stream), serve(&connection)).into_owned();
            tokio::select! {
                served = watcher.watch(serving) => served,
                () = connection.is_neglected(&shown_out) => Ok(()),
            }
        }
        Some(tls) => {
            let accepted = tokio::select! {
                accepted = tokio::time::timeout(HEAD_TIME, tls.accept(stream)) => accepted,
                () = shown_out.notified() => return,
            };
            let Ok(Ok(stream)) = accepted else { return };
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates.and_then(|all| all.first()).map(|one| access::of_certificate(one));
            let connection = came(certificate);
            let serving = builder.serve_connection(TokioIo::new(stream), serve(&connection)).into_owned();
            tokio::select! {
                served = watcher.watch(serving) => served,
                () = connection.is_neglected(&shown_out) => Ok(()),
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, "connection: {error}");
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn strangers_take_few_seats_and_make_room_for_each_other() {
        let seats = Seats::new();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let take = |address| seats.take(address).unwrap();
        let of = |last: u8| lock(&seats.strangers).by_place.get(&address(last)).map_or(0, BTreeMap::len);
        let mut taken: Vec<_> = (0..STRANGERS.1).map(|_| take(address(1))).collect();
        let is_shown_out = |stranger: &Stranger| {
            let strangers = lock(&seats.strangers);
            strangers.by_place.get(&stranger.place).is_none_or(|of_it| !of_it.contains_key(&stranger.number))
        };
        // One more than an address may have: the first that came is the one that goes.
        taken.push(take(address(1)));
        assert_eq!(of(1), STRANGERS.1);
        assert!(is_shown_out(&taken[0].1) && !is_shown_out(&taken[1].1));
        drop(taken.remove(0));
        for last in 2..5 {
            taken.extend((0..STRANGERS.1 - usize::from(last == 4)).map(|_| take(address(last))));
        }
        // All are there but one: the next is one more, and those after it go before others of the fullest.
        taken.push(take(address(9)));
        assert_eq!(lock(&seats.strangers).many, STRANGERS.0);
        taken.push(take(address(9)));
        assert_eq!((of(1), of(2), of(9)), (STRANGERS.1 - 1, STRANGERS.1, 2));
        assert!(is_shown_out(&taken[0].1));
        // Once they are known, their seats as strangers are free.
        let known: Vec<_> = taken.into_iter().map(|(seat, _)| seat).collect();
        assert!(lock(&seats.strangers).by_place.is_empty());
        assert_eq!(
            (lock(&seats.strangers).many, seats.all.available_permits()),
            (0, CONNECTIONS - known.len())
        );
    }

    #[test]
    fn an_address_is_what_one_host_has() {
        let of = |text: &str| place(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }

    #[tokio::test]
    async fn whoever_makes_room_is_told_unless_it_is_known_by_then() {
        let seats = Seats::new();
        let (_seat, stranger) = seats.take(IpAddr::from([192, 0, 2, 1])).unwrap();
        let shown_out = Arc::clone(&stranger.shown_out);
        let connection = Arc::new(Connection {
            peer: ([192, 0, 2, 1], 1).into(),
            certificate: None,
            stranger: Mutex::new(Some(stranger)),
            is_strange: AtomicBool::new(true),
            calls: AtomicUsize::new(0),
            known_calls: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        });
        let is_over = async |limit| {
            tokio::time::timeout(Duration::from_millis(limit), connection.is_neglected(&shown_out))
                .await
                .is_ok()
        };
        assert!(!is_over(10).await);
        lock(&seats.strangers).show_out(IpAddr::from([192, 0, 2, 1]));
        assert!(is_over(5_000).await);
        let busy = connection.busy();
        busy.is_known();
        shown_out.notify_one();
        assert!(!is_over(10).await);
        assert!(!connection.is_crowded());
        connection.is_strange();
        let _more = [(); STRANGE_CALLS].map(|()| connection.busy());
        assert!(connection.is_crowded());
    }
}
