//! The server: HTTP/1.1 and HTTP/2, with or without TLS, bounded in whatever a client may take.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, WWW_AUTHENTICATE};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::access::{self, Area, Principal};
use super::call::{Api, Call};
use super::changes::{Hub, Next, Wanted};
use super::database::{Database, Writing};
use super::error::{ApiError, Code};
use super::paging::Paging;
use super::{documents, notes, occurrences};

/// The largest body of a call, in bytes: a thousand occurrences of usual size, or one document.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How long a call may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long a client may take to say who it is, and for each head of a call.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection may last on which nobody known has asked anything.
const UNKNOWN_TIME: Duration = Duration::from_secs(30);
/// Connections at a time.
const CONNECTIONS: usize = 20_000;
/// A follower is told that the server lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A follower that takes nothing for so long is left.
const STUCK: Duration = Duration::from_secs(30);
/// Calls a second of one principal, and how many may come at once.
const RATE: (f64, f64) = (500.0, 2_000.0);
/// Change streams at a time: one connection may carry many.
const FOLLOWERS: usize = 20_000;
/// What bodies that are being read or worked on may take together, in KiB.
const BODIES: u32 = 256 * 1024;
/// Principals whose rate is known.
const MOST_RATES: usize = 100_000;

type Body = BoxBody<Bytes, Infallible>;

/// Who is served.
#[derive(Debug)]
pub struct Store {
    /// Where everything is.
    pub database: Arc<Database>,
    /// What followers are told from.
    pub hub: Arc<Hub>,
    /// Whether everybody may do everything.
    pub is_open: bool,
    /// How much each has asked lately.
    rates: Mutex<HashMap<String, (f64, Instant)>>,
    followers: Arc<Semaphore>,
    bodies: Semaphore,
}

/// A call, with all that it brings.
pub(super) struct Asked<'a> {
    store: &'a Store,
    pub(super) who: Principal,
    pub(super) api: Api,
    parameters: Vec<(String, String)>,
    body: Bytes,
}

impl Asked<'_> {
    pub(super) fn database(&self) -> &Database {
        &self.store.database
    }

    /// A parameter of the query; the first of several.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn mask(&self) -> Option<&str> {
        self.parameter("updateMask").or_else(|| self.parameter("update_mask"))
    }

    pub(super) fn paging(&self, list: &str, filter: &str) -> Result<Paging, ApiError> {
        let size = self.parameter("pageSize").or_else(|| self.parameter("page_size"));
        let token = self.parameter("pageToken").or_else(|| self.parameter("page_token"));
        Paging::read(list, filter, size, token)
    }

    pub(super) fn json(&self) -> Result<Value, ApiError> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// Makes a change, and tells followers of it.
    pub(super) async fn made(&self, writing: Writing<'_>) -> Result<(), ApiError> {
        writing.commit().await?;
        let hub = Arc::clone(&self.store.hub);
        tokio::spawn(async move { hub.changed().await });
        Ok(())
    }
}

impl Store {
    /// Serves what is in `database`.
    #[must_use]
    pub fn new(database: Arc<Database>, hub: Arc<Hub>, is_open: bool) -> Self {
        let (followers, bodies) = (Arc::new(Semaphore::new(FOLLOWERS)), Semaphore::new(BODIES as usize));
        Self { database, hub, is_open, rates: Mutex::default(), followers, bodies }
    }

    /// Who asks: by its token, else by its certificate.
    async fn principal(&self, headers: &HeaderMap, certificate: Option<&str>) -> Result<Principal, ApiError> {
        let token = headers.get(AUTHORIZATION).map(|value| {
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim())
        });
        match (token, certificate) {
            (Some(Some(token)), _) => match access::known(&self.database, &access::of_token(token)).await {
                // A token of whatever else a client speaks to is none of ours.
                Err(error) if error.code == Code::Unauthenticated && self.is_open => Ok(Principal::anybody()),
                known => known,
            },
            (Some(None), _) if !self.is_open => {
                Err(Code::Unauthenticated.because("`Authorization` is no `Bearer TOKEN`"))
            }
            (None, Some(certificate)) => access::known(&self.database, certificate).await,
            _ if self.is_open => Ok(Principal::anybody()),
            _ => Err(Code::Unauthenticated
                .because("who asks? `Authorization: Bearer TOKEN`, or a client certificate, is missing")),
        }
    }

    /// Whether somebody asks too often.
    fn is_too_fast(&self, who: &str) -> bool {
        let now = Instant::now();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= MOST_RATES {
            rates.retain(|_, (_, since)| now.duration_since(*since) < Duration::from_secs(60));
        }
        let (left, since) = rates.entry(who.to_owned()).or_insert((RATE.1, now));
        *left = (*left + now.duration_since(*since).as_secs_f64() * RATE.0).min(RATE.1);
        *since = now;
        let is_too_fast = *left < 1.0;
        if !is_too_fast {
            *left -= 1.0;
        }
        is_too_fast
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        certificate: Option<Arc<str>>,
        is_known: &AtomicBool,
    ) -> Response<Body> {
        let answered = self.answered(request, certificate.as_deref(), is_known).await;
        answered.unwrap_or_else(|error| {
            let status = if error.message == TOO_LARGE { 413 } else { error.code.parts().0 };
            let mut response = json_response(status, &error.body());
            if error.code == Code::Unauthenticated {
                response
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Bearer"));
            }
            response
        })
    }

    async fn answered(
        self: &Arc<Self>,
        request: Request<Incoming>,
        certificate: Option<&str>,
        is_known: &AtomicBool,
    ) -> Result<Response<Body>, ApiError> {
        let (api, call) = Call::read(request.method().as_str(), request.uri().path())?;
        if call == Call::Health {
            self.database.last().await?;
            return Ok(json_response(200, &json!({"status": "ok"})));
        }
        let who = self.principal(request.headers(), certificate).await?;
        is_known.store(true, Ordering::Relaxed);
        if self.is_too_fast(&who.name) {
            return Err(Code::ResourceExhausted
                .because(format!("`{}` asks more than {} times a second", who.name, RATE.0)));
        }
        let query = request.uri().query().unwrap_or_default();
        let parameters = reqwest::Url::parse(&format!("http://h/?{query}"))
            .map(|url| url.query_pairs().into_owned().collect::<Vec<_>>())
            .unwrap_or_default();
        if call == Call::Changes {
            return self.follow(&who, &parameters);
        }
        let seen = request.headers().get(IF_NONE_MATCH).cloned();
        let (_room, body) = self.read(request.into_body()).await?;
        let asked = Asked { store: self, who, api, parameters, body };
        if let Call::GetBundle(project) = &call {
            let (bundle, etag) = documents::bundle(&asked, project).await?;
            let is_seen = seen.is_some_and(|seen| seen.as_bytes() == etag.as_bytes());
            let mut response =
                if is_seen { json_response(304, &Value::Null) } else { json_response(200, &bundle) };
            if let Ok(etag) = etag.parse() {
                response.headers_mut().insert(ETAG, etag);
            }
            return Ok(response);
        }
        Ok(match &call {
            Call::ListOccurrences(project) => text_response(200, occurrences::list(&asked, project).await?),
            Call::ListNoteOccurrences(note) => {
                text_response(200, occurrences::list_of_note(&asked, note).await?)
            }
            call => json_response(200, &call.done(&asked).await?),
        })
    }

    /// The body, and the room that it takes until it is worked on.
    async fn read(&self, body: Incoming) -> Result<(SemaphorePermit<'_>, Bytes), ApiError> {
        let most =
            body.size_hint().upper().map_or(MAX_BODY, |most| usize::try_from(most).unwrap_or(MAX_BODY));
        // What is too large is refused as such.
        let most = u32::try_from(most.min(MAX_BODY).div_ceil(1024)).unwrap_or(BODIES);
        let busy = || Code::ResourceExhausted.because("too much is being sent at a time");
        let room = tokio::time::timeout(BODY_TIME, self.bodies.acquire_many(most)).await;
        let room = room.map_err(|_| busy())?.map_err(|_| busy())?;
        Ok((room, read(body).await?))
    }

    /// A stream of changes, for ever.
    fn follow(
        self: &Arc<Self>,
        who: &Principal,
        parameters: &[(String, String)],
    ) -> Result<Response<Body>, ApiError> {
        who.may_see(Area::Occurrences)?;
        let token = parameters.iter().find(|(name, _)| name == "token").map(|(_, token)| token.as_str());
        let notes = parameters.iter().filter(|(name, _)| name == "note").map(|(_, note)| note.clone());
        let wanted = Wanted { notes: notes.collect() };
        let start = match token.filter(|token| !token.is_empty()) {
            None => Start::Now,
            Some(token) => self.hub.seq(token).map_or(Start::Lost, Start::After),
        };
        let seat = Arc::clone(&self.followers).try_acquire_owned().map_err(|_| {
            Code::ResourceExhausted.because(format!("there are {FOLLOWERS} followers already"))
        })?;
        let (lines, taken) = mpsc::channel(4);
        let hub = Arc::clone(&self.hub);
        tokio::spawn(async move {
            tell(&hub, start, &wanted, &lines).await;
            drop(seat);
        });
        let frames = futures_util::stream::unfold(taken, |mut taken| async move {
            taken.recv().await.map(|line| (Ok::<_, Infallible>(Frame::data(line)), taken))
        });
        let mut response = Response::new(StreamBody::new(frames).boxed());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/jsonl"));
        Ok(response)
    }
}

/// Where a follower goes on from.
enum Start {
    Now,
    After(i64),
    /// From a token that says nothing here.
    Lost,
}

/// Tells a follower until it is gone. One that takes nothing holds up nobody, and is left after a while.
async fn tell(hub: &Hub, start: Start, wanted: &Wanted, lines: &mpsc::Sender<Bytes>) {
    let mut last = hub.subscribe();
    let mark =
        |kind: &str, seq: i64| Bytes::from(format!("{}\n", json!({"token": hub.token(seq), kind: true})));
    let give = async |line: Bytes| matches!(tokio::time::timeout(STUCK, lines.send(line)).await, Ok(Ok(())));
    let (mut after, first) = match start {
        Start::Now => (hub.last(), "heartbeat"),
        Start::After(seq) => (seq, "heartbeat"),
        Start::Lost => (hub.last(), "relist"),
    };
    if !give(mark(first, after)).await {
        return;
    }
    loop {
        // What comes from here on is seen by the next turn.
        last.mark_unchanged();
        let known = hub.last();
        while after < known {
            match hub.next(after, wanted).await {
                Ok(Next::Changes(all, upto)) => {
                    for line in all {
                        if !give(line).await {
                            return;
                        }
                    }
                    after = upto.max(after);
                }
                Ok(Next::Relist(seq)) => {
                    after = seq;
                    if !give(mark("relist", seq)).await {
                        return;
                    }
                }
                // It asks again, with its token.
                Err(_) => return,
            }
        }
        tokio::select! {
            changed = last.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(HEARTBEAT) => if !give(mark("heartbeat", after)).await { return },
            () = lines.closed() => return,
        }
    }
}

const TOO_LARGE: &str = "the body is larger than the 33554432 bytes allowed";

async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    let limited = Limited::new(body, MAX_BODY).collect();
    match tokio::time::timeout(BODY_TIME, limited).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Code::InvalidArgument.because(TOO_LARGE))
        }
        Ok(Err(error)) => Err(Code::InvalidArgument.because(format!("the body cannot be read: {error}"))),
        Err(_) => Err(Code::InvalidArgument
            .because(format!("the body did not arrive within {} s", BODY_TIME.as_secs()))),
    }
}

fn json_response(status: u16, body: &Value) -> Response<Body> {
    text_response(status, if body.is_null() { String::new() } else { body.to_string() })
}

fn text_response(status: u16, json: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(json)).boxed());
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

impl Call {
    async fn done(&self, asked: &Asked<'_>) -> Result<Value, ApiError> {
        match self {
            Self::ListNotes(project) => notes::list(asked, project).await,
            Self::CreateNote(project) => notes::create(asked, project).await,
            Self::CreateNotes(project) => notes::create_all(asked, project).await,
            Self::GetNote(name) => notes::get(asked, name).await,
            Self::UpdateNote(name) => notes::update(asked, name).await,
            Self::DeleteNote(name) => notes::delete(asked, name).await,
            Self::CreateOccurrence(project) => occurrences::create(asked, project).await,
            Self::CreateOccurrences(project) => occurrences::create_all(asked, project).await,
            Self::GetOccurrence(id) => occurrences::get(asked, id).await,
            Self::GetOccurrenceNote(id) => occurrences::note(asked, id).await,
            Self::UpdateOccurrence(id) => occurrences::update(asked, id).await,
            Self::DeleteOccurrence(id) => occurrences::delete(asked, id).await,
            Self::GetPolicy(project) => documents::policy(asked, project).await,
            Self::UpdatePolicy(project) => documents::put_policy(asked, project).await,
            Self::ListAttestors(project) => documents::attestors(asked, project).await,
            Self::CreateAttestor(project) => documents::create_attestor(asked, project).await,
            Self::GetAttestor(name) => documents::attestor(asked, name).await,
            Self::UpdateAttestor(name) => documents::update_attestor(asked, name).await,
            Self::DeleteAttestor(name) => documents::delete_attestor(asked, name).await,
            Self::Validate(name) => documents::validate(asked, name).await,
            Self::ListPlatformPolicies(project) => documents::platform_policies(asked, project).await,
            Self::CreatePlatformPolicy(project) => documents::create_platform_policy(asked, project).await,
            Self::GetPlatformPolicy(id) => documents::platform_policy(asked, id).await,
            Self::UpdatePlatformPolicy(id) => documents::update_platform_policy(asked, id).await,
            Self::DeletePlatformPolicy(id) => documents::delete_platform_policy(asked, id).await,
            Self::PutBundle(project) => documents::put_bundle(asked, project).await,
            Self::Project(project) => Ok(json!({"name": format!("projects/{project}")})),
            Self::CreateProject => asked.json(),
            // Answered otherwise.
            Self::ListNoteOccurrences(_)
            | Self::ListOccurrences(_)
            | Self::GetBundle(_)
            | Self::Changes
            | Self::Health => Ok(Value::Null),
        }
    }
}

/// Serves until `stopped`; connections under way are given a few seconds then.
pub async fn serve(
    store: Arc<Store>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = hyper_util::server::graceful::GracefulShutdown::new();
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
        // Beyond the bound nobody is answered; clients try again.
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let (store, tls, watcher) = (Arc::clone(&store), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection(store, stream, peer, tls, watcher).await;
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
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256).max_header_list_size(64 * 1024);
    builder.http2().keep_alive_interval(Some(HEARTBEAT)).keep_alive_timeout(STUCK);
    let is_known = Arc::new(AtomicBool::new(false));
    let knows = Arc::clone(&is_known);
    let serve = |certificate: Option<Arc<str>>| {
        hyper::service::service_fn(move |request| {
            let (store, certificate, is_known) =
                (Arc::clone(&store), certificate.clone(), Arc::clone(&knows));
            async move { Ok::<_, Infallible>(store.answer(request, certificate, &is_known).await) }
        })
    };
    let served = match tls {
        None => {
            let served = builder.serve_connection(TokioIo::new(stream), serve(None)).into_owned();
            while_known(watcher.watch(served), &is_known).await
        }
        Some(tls) => {
            let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIME, tls.accept(stream)).await else { return };
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates.and_then(|all| all.first()).map(|one| access::of_certificate(one));
            let service = serve(certificate.map(Arc::from));
            let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            while_known(watcher.watch(served), &is_known).await
        }
    };
    if let Some(Err(error)) = served {
        tracing::debug!(%peer, "connection: {error}");
    }
}

/// Serves to the end; who has not said who it is by then, does not keep its seat: none.
async fn while_known<T>(served: impl Future<Output = T>, is_known: &AtomicBool) -> Option<T> {
    tokio::pin!(served);
    tokio::select! {
        done = &mut served => Some(done),
        () = tokio::time::sleep(UNKNOWN_TIME) => match is_known.load(Ordering::Relaxed) {
            true => Some(served.await),
            false => None,
        },
    }
}
