//! Answers: who asks, how often, how much at a time; then the call is done.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, ORIGIN,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::access::{self, Acquaintances, Area, Principal};
use super::call::{Api, Call, Most};
use super::changes::{Hub, Next, Wanted};
use super::connection::{Busy, Connection};
use super::database::{Database, Writing, within};
use super::error::{ApiError, Code};
use super::paging::Paging;
use super::{documents, notes, occurrences};

/// How long a call may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// The bodies of all calls at a time, in KiB.
const BODIES: usize = 256 * 1024;
/// What those bodies have in them, at a time: each value takes some hundred bytes once it is read, however short it was sent.
const VALUES: usize = 1_000_000;
/// How long a call may wait for room for its body, and again for what is in it.
const ROOM_TIME: Duration = Duration::from_secs(5);
/// How long the database may take for a call, and to say that it is there.
const DATABASE_TIME: Duration = Duration::from_secs(20);
const HEALTH_TIME: Duration = Duration::from_secs(5);
/// How long the database is taken to be as it was when it answered last.
const HEALTH: Duration = Duration::from_secs(1);
/// Followers at a time.
const FOLLOWERS: usize = 40_000;
/// How often it is seen whether a follower may still follow.
const STILL: Duration = Duration::from_secs(5);
/// A follower is told that the server lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A follower that takes nothing for so long is left.
const STUCK: Duration = Duration::from_secs(30);
/// Calls a second of one principal from one address, and how many may come at once.
const RATE: (f64, f64) = (500.0, 2_000.0);
/// Rates that are known.
const MOST_RATES: usize = 100_000;

/// What is given to a client at a time: hyper keeps a little more, and takes no more until that is sent.
const PIECE: usize = 64 * 1024;

type Body = BoxBody<Bytes, Infallible>;

/// A text, in pieces.
struct Pieces(Bytes);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.len().min(PIECE);
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(self.0.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// An answer. The call is under way until it is sent, however slowly it is taken.
pub(super) struct Sent {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Who is served.
#[derive(Debug)]
pub struct Store {
    /// Where everything is.
    pub database: Arc<Database>,
    /// What followers are told from.
    pub hub: Arc<Hub>,
    /// Whether everybody may do everything.
    pub is_open: bool,
    acquaintances: Acquaintances,
    /// How much each has asked lately.
    rates: Mutex<HashMap<(String, IpAddr), (f64, Instant)>>,
    bodies: Arc<Semaphore>,
    values: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    /// When the database answered last.
    healthy: Mutex<Option<Instant>>,
}

/// A call, with all that it brings.
pub(super) struct Asked<'a> {
    store: &'a Store,
    pub(super) who: Principal,
    pub(super) api: Api,
    parameters: Vec<(String, String)>,
    condition: Condition,
    body: Bytes,
    _room: Option<Room>,
}

/// A call's part of what all of them may take: for its bytes, and for the values in them.
type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// What the caller says that it has seen, in headers (RFC 9110 section 13.1).
#[derive(Debug, Default)]
struct Condition {
    is: Option<String>,
    is_not: Option<String>,
}

impl Condition {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        Self { is: text(IF_MATCH), is_not: text(IF_NONE_MATCH) }
    }
}

impl Asked<'_> {
    pub(super) fn database(&self) -> &Database {
        &self.store.database
    }

    /// A parameter of the query; the first of several.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether what is there, by its entity tag, is what the caller says that it has seen; so it is where it says nothing.
    pub(super) fn has_seen(&self, etag: Option<&str>) -> bool {
        let Condition { is, is_not } = &self.condition;
        let matches = |said: &str| etag.is_some_and(|etag| said == "*" || said == etag);
        is.as_deref().is_none_or(matches) && !is_not.as_deref().is_some_and(matches)
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
        Self {
            database,
            hub,
            is_open,
            acquaintances: Acquaintances::default(),
            rates: Mutex::default(),
            bodies: Arc::new(Semaphore::new(BODIES)),
            values: Arc::new(Semaphore::new(VALUES)),
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            healthy: Mutex::default(),
        }
    }

    /// Who asks: by its token, else by its certificate.
    async fn principal(&self, headers: &HeaderMap, connection: &Connection) -> Result<Principal, ApiError> {
        let known = |id| self.acquaintances.known(&self.database, id, connection.is_crowded());
        let token = headers.get(AUTHORIZATION).map(|value| {
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim())
        });
        match (token, connection.certificate.as_deref()) {
            (Some(Some(token)), _) => match known(&access::of_token(token)).await {
                // A token of whatever else a client speaks to is none of ours.
                Err(error) if error.code == Code::Unauthenticated && self.is_open => Ok(Principal::anybody()),
                known => known,
            },
            (Some(None), _) if !self.is_open => {
                Err(Code::Unauthenticated.because("`Authorization` is no `Bearer TOKEN`"))
            }
            (None, Some(certificate)) => known(certificate).await,
            _ if self.is_open => Ok(Principal::anybody()),
            _ => Err(Code::Unauthenticated
                .because("who asks? `Authorization: Bearer TOKEN`, or a client certificate, is missing")),
        }
    }

    /// Whether somebody asks too often.
    fn is_too_fast(&self, who: &str, from: IpAddr) -> bool {
        let now = Instant::now();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= MOST_RATES {
            rates.retain(|_, (_, since)| now.duration_since(*since) < Duration::from_secs(60));
        }
        let (left, since) = rates.entry((who.to_owned(), from)).or_insert((RATE.1, now));
        *left = (*left + now.duration_since(*since).as_secs_f64() * RATE.0).min(RATE.1);
        *since = now;
        let is_too_fast = *left < 1.0;
        if !is_too_fast {
            *left -= 1.0;
        }
        is_too_fast
    }

    /// Whether the database answers; it is asked once a second at most.
    async fn is_healthy(&self) -> Result<(), ApiError> {
        let lately = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() < HEALTH);
        if lately(&self.healthy.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        within(HEALTH_TIME, async { Ok(self.database.last().await?) }).await?;
        *self.healthy.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// Answers one call.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Sent> {
        let asked = format!("{} {}", request.method(), crate::text::shown(request.uri().path(), 200));
        let busy = connection.busy();
        let answered = self.answered(request, &connection, &busy).await;
        let response = answered.unwrap_or_else(|error| {
            if error.code == Code::Unauthenticated {
                connection.is_strange();
            }
            let mut response = json_response(error.code.parts().0, &error.body());
            let mut tell = |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
            match error.code {
                Code::Unauthenticated => {
                    tell(WWW_AUTHENTICATE, "Bearer");
                }
                Code::ResourceExhausted | Code::Unavailable => {
                    tell(RETRY_AFTER, "1");
                }
                _ => {}
            }
            if matches!(error.code, Code::Unauthenticated | Code::PermissionDenied) {
                tracing::info!(peer = %connection.peer, "refused {asked}: {error}");
            }
            response
        });
        response.map(|body| Sent { body, _busy: busy })
    }

    async fn answered(
        self: &Arc<Self>,
        request: Request<Incoming>,
        connection: &Connection,
        busy: &Busy,
    ) -> Result<Response<Body>, ApiError> {
        let (api, call) = Call::read(request.method().as_str(), request.uri().path())?;
        if call == Call::Health {
            self.is_healthy().await?;
            return Ok(json_response(200, &json!({"status": "ok"})));
        }
        if self.is_open && !is_of_this_machine(&request) {
            return Err(Code::PermissionDenied.because(
                "everything is open to the programs of this machine, and to no web page: nothing is answered that has \
                 an `Origin`, or asks for another host than localhost",
            ));
        }
        let who = self.principal(request.headers(), connection).await?;
        busy.is_known();
        if self.is_too_fast(&who.name, connection.peer.ip()) {
            return Err(Code::ResourceExhausted
                .because(format!("`{}` asks more than {} times a second", who.name, RATE.0)));
        }
        let query = request.uri().query().unwrap_or_default();
        let parameters = reqwest::Url::parse(&format!("http://h/?{query}"))
            .map(|url| url.query_pairs().into_owned().collect::<Vec<_>>())
            .unwrap_or_default();
        if call == Call::Changes {
            return self.follow(who, &parameters);
        }
        let condition = Condition::of(request.headers());
        let (body, room) = if matches!(*request.method(), Method::GET | Method::DELETE) {
            (Bytes::new(), None)
        } else {
            match call {
                Call::Validate(_) => who.may_see(Area::Attestors)?,
                _ => who.may_change_something()?,
            }
            let (body, room) = self.read(request.into_body(), call.most()).await?;
            (body, Some(room))
        };
        let asked = Asked { store: self, who, api, parameters, condition, body, _room: room };
        within(DATABASE_TIME, answer(&call, &asked)).await
    }

    /// The body of a call, and its part of the room that there is for all of them.
    async fn read(&self, body: Incoming, most: Most) -> Result<(Bytes, Room), ApiError> {
        let limit = most.bytes as u64;
        let size = body.size_hint().upper().unwrap_or(limit);
        if size > limit {
            return Err(most.is_exceeded());
        }
        let bytes = room(&self.bodies, usize::try_from(size.div_ceil(1024)).unwrap_or(BODIES)).await?;
        let body = read(body, most).await?;
        let found = values(&body);
        if found > most.values {
            return Err(Code::TooLarge.because(format!(
                "the body has too many values: {found}, where {} are allowed",
                most.values
            )));
        }
        let values = room(&self.values, found).await?;
        Ok((body, (bytes, values)))
    }

    /// A stream of changes, until who follows may not any more.
    fn follow(
        self: &Arc<Self>,
        who: Principal,
        parameters: &[(String, String)],
    ) -> Result<Response<Body>, ApiError> {
        who.may_see(Area::Occurrences)?;
        let Ok(place) = Arc::clone(&self.followers).try_acquire_owned() else {
            return Err(Code::ResourceExhausted.because(format!("{FOLLOWERS} follow already")));
        };
        let token = parameters.iter().find(|(name, _)| name == "token").map(|(_, token)| token.as_str());
        let notes = parameters.iter().filter(|(name, _)| name == "note").map(|(_, note)| note.clone());
        let wanted = Wanted { notes: notes.collect(), bundles: who.may_see(Area::Policies).is_ok() };
        let start = match token.filter(|token| !token.is_empty()) {
            None => Start::Now,
            Some(token) => self.hub.seq(token).map_or(Start::Lost, Start::After),
        };
        let (lines, taken) = mpsc::channel(4);
        let store = Arc::clone(self);
        tokio::spawn(async move { store.tell(start, &who, &wanted, &lines).await });
        let frames = futures_util::stream::unfold((taken, place), |mut follower| async move {
            follower.0.recv().await.map(|line| (Ok::<_, Infallible>(Frame::data(line)), follower))
        });
        let mut response = Response::new(StreamBody::new(frames).boxed());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
        Ok(response)
    }

    /// Tells a follower until it is gone. One that takes nothing holds up nobody, and is left after a while.
    async fn tell(&self, start: Start, who: &Principal, wanted: &Wanted, lines: &mpsc::Sender<Bytes>) {
        let hub = &self.hub;
        let mut last = hub.subscribe();
        let mut met = hub.losses();
        let mark =
            |kind: &str, seq: i64| Bytes::from(format!("{}\n", json!({"token": hub.token(seq), kind: true})));
        let give =
            async |line: Bytes| matches!(tokio::time::timeout(STUCK, lines.send(line)).await, Ok(Ok(())));
        let (mut after, first) = match start {
            Start::Now => (hub.last(), "heartbeat"),
            Start::After(seq) => (seq, "heartbeat"),
            Start::Lost => (hub.last(), "relist"),
        };
        if !give(mark(first, after)).await {
            return;
        }
        let mut looked = Instant::now();
        loop {
            // What comes from here on is seen by the next turn.
            last.mark_unchanged();
            let losses = hub.losses();
            let known = hub.last();
            if losses != met || known < after {
                (met, after) = (losses, known);
                if !give(mark("relist", known)).await {
                    return;
                }
            }
            while after < known && hub.losses() == losses {
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
            // Who was taken off the list, or may see less now, comes back as what it is, or not at all. It is
            // asked for once what is new was told: nobody waits for that.
            if looked.elapsed() >= STILL {
                let is_as_before = match who.id() {
                    None => true,
                    Some(id) => match self.acquaintances.known(&self.database, id, false).await {
                        Ok(now) => now == *who,
                        Err(error) => error.code != Code::Unauthenticated,
                    },
                };
                if !is_as_before {
                    return;
                }
                looked = Instant::now();
            }
            tokio::select! {
                changed = last.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(HEARTBEAT) => if !give(mark("heartbeat", after)).await { return },
                () = lines.closed() => return,
            }
        }
    }
}

/// Where a follower goes on from.
enum Start {
    Now,
    After(i64),
    /// From a token that says nothing here.
    Lost,
}

/// Whether a call is one of a program of this machine, and not of a page that a browser here shows: those say where they are from,
/// or ask for the name that led them here.
fn is_of_this_machine(request: &Request<Incoming>) -> bool {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str()).or(named);
    let host = authority.and_then(|authority| reqwest::Url::parse(&format!("http://{authority}/")).ok());
    let is_local = host.as_ref().and_then(|url| url.host_str()).is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    is_local && !request.headers().contains_key(ORIGIN)
}

/// A part of what all calls may take at a time.
async fn room(of: &Arc<Semaphore>, much: usize) -> Result<OwnedSemaphorePermit, ApiError> {
    let much = u32::try_from(much).unwrap_or(u32::MAX);
    match tokio::time::timeout(ROOM_TIME, Arc::clone(of).acquire_many_owned(much)).await {
        Ok(Ok(room)) => Ok(room),
        _ => Err(Code::ResourceExhausted.because("many large calls are under way: try again")),
    }
}

/// How many values a text of JSON has, before it is read: as many as it has begin or follow another one, and not less.
fn values(json: &[u8]) -> usize {
    let (mut found, mut is_text) = (0, false);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_text = !is_text,
            b'\\' if is_text => {
                bytes.next();
            }
            b'{' | b'[' | b',' if !is_text => found += 1,
            _ => {}
        }
    }
    found
}

async fn read(body: Incoming, most: Most) -> Result<Bytes, ApiError> {
    let limited = Limited::new(body, most.bytes).collect();
    match tokio::time::timeout(BODY_TIME, limited).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(most.is_exceeded()),
        Ok(Err(error)) => Err(Code::InvalidArgument.because(format!("the body cannot be read: {error}"))),
        Err(_) => Err(Code::InvalidArgument
            .because(format!("the body did not arrive within {} s", BODY_TIME.as_secs()))),
    }
}

/// Does a call.
async fn answer(call: &Call, asked: &Asked<'_>) -> Result<Response<Body>, ApiError> {
    if let Call::GetBundle(project) = call {
        let (bundle, etag) = documents::bundle(asked, project).await?;
        let is_seen = asked.condition.is_not.as_deref() == Some(etag.as_str());
        let mut response =
            if is_seen { json_response(304, &Value::Null) } else { json_response(200, &bundle) };
        if let Ok(etag) = etag.parse() {
            response.headers_mut().insert(ETAG, etag);
        }
        return Ok(response);
    }
    Ok(match call {
        Call::ListNotes(project) => text_response(200, notes::list(asked, project).await?),
        Call::ListOccurrences(project) => text_response(200, occurrences::list(asked, project).await?),
        Call::ListNoteOccurrences(note) => text_response(200, occurrences::list_of_note(asked, note).await?),
        call => json_response(200, &call.done(asked).await?),
    })
}

fn json_response(status: u16, body: &Value) -> Response<Body> {
    text_response(status, if body.is_null() { String::new() } else { body.to_string() })
}

fn text_response(status: u16, json: String) -> Response<Body> {
    let mut response = Response::new(Pieces(Bytes::from(json)).boxed());
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Call {
    async fn done(&self, asked: &Asked<'_>) -> Result<Value, ApiError> {
        match self {
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
            Self::ListNotes(_)
            | Self::ListNoteOccurrences(_)
            | Self::ListOccurrences(_)
            | Self::GetBundle(_)
            | Self::Changes
            | Self::Health => Ok(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_are_counted_where_they_are_values() {
        for (json, found) in [
            ("", 0),
            ("{}", 1),
            (r#"{"a":[1,2,{}],"b":"{[,"}"#, 6),
            (r#"["\"{[,","\\",1]"#, 3),
            (r#"["{[,"#, 1),
            ("[[[[", 4),
        ] {
            assert_eq!(values(json.as_bytes()), found, "{json}");
        }
    }
}
