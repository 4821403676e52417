//! One connection to a runtime, from registration to its end.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::api::{self, RegisterPluginRequest};
use super::call::Call;
use super::chunks::Chunks;
use super::ended::Ended;
use super::mux::{self, Demux, PLUGIN_SERVICE, RUNTIME_SERVICE};
use super::options::Options;
use super::plugin::{Plugin, Refusal, Runtime};
use super::status::{State, Status, Synchronized};
use super::ttrpc::{self, Code, Decoder, Envelope, Kind, Request, Response};
use super::work::{Done, Outcome, Then, Work, by};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// How many messages wait to be written; more are waited for.
const QUEUE: usize = 64;

/// Serves a runtime on a stream that is open already, such as one of a test, or the socket that a runtime
/// has handed to a plugin it started itself. Ends when the stream does, or `stop`.
///
/// `status` is kept up to date.
///
/// Reads, writes and counts deadlines on the caller's own tokio runtime: a handler that blocks its thread
/// may hold up all of them. [`run`](super::run) is not held up.
pub async fn serve<P: Plugin, S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    options: &Options,
    plugin: Arc<P>,
    status: &watch::Sender<Status>,
    stop: impl Future<Output = ()>,
) -> Ended {
    serve_with(stream, options, plugin, Handle::current(), status, stop).await
}

/// The same, with handlers that run elsewhere.
pub(super) async fn serve_with<P: Plugin, S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    options: &Options,
    plugin: Arc<P>,
    handlers: Handle,
    status: &watch::Sender<Status>,
    stop: impl Future<Output = ()>,
) -> Ended {
    status.send_modify(|status| status.state = State::Connecting);
    let (input, output) = tokio::io::split(stream);
    let (out, queue) = mpsc::channel(QUEUE);
    let mut writer = tokio::spawn(write(output, queue, options.limits.write));
    let mut session = Session {
        plugin: Arc::clone(&plugin),
        handlers: handlers.clone(),
        options: options.clone(),
        status,
        out,
        calls: JoinSet::new(),
        chunks: Chunks::new(options.limits.synchronize),
        runtime: None,
        last_stream: 0,
        registered: false,
        synchronized: false,
    };
    let ended = tokio::select! {
        ended = session.serve(input) => ended,
        written = &mut writer => match written {
            Ok(Err(ended)) => ended,
            _ => Ended::Closed,
        },
        () = stop => Ended::Stopped,
    };
    drop(session); // and with it the handlers that are still at work
    status.send_modify(|status| status.state = State::Lost(ended.to_string()));
    // An answer that is under way still goes out.
    if !writer.is_finished() && timeout(options.limits.write, &mut writer).await.is_err() {
        writer.abort();
    }
    let why = ended.to_string();
    let told = async move { plugin.disconnected(&why).await };
    let _ = by(Instant::now() + options.handler_deadline, &handlers, told).await;
    ended
}

struct Session<'a, P> {
    plugin: Arc<P>,
    handlers: Handle,
    options: Options,
    status: &'a watch::Sender<Status>,
    out: mpsc::Sender<Vec<u8>>,
    calls: JoinSet<Done>,
    chunks: Chunks,
    runtime: Option<Runtime>,
    /// The number of the latest request.
    last_stream: u32,
    registered: bool,
    synchronized: bool,
}

impl<P: Plugin> Session<'_, P> {
    async fn serve<S: AsyncRead>(&mut self, input: ReadHalf<S>) -> Ended {
        match self.run(input).await {
            Err(ended) => ended,
            Ok(()) => Ended::Closed,
        }
    }

    async fn run<S: AsyncRead>(&mut self, mut input: ReadHalf<S>) -> Result<(), Ended> {
        let limits = self.options.limits;
        let start = Instant::now();
        self.register().await?;
        let mut demux = Demux::default();
        let (mut calls, mut answers) = (Decoder::default(), Decoder::default());
        let mut chunk = vec![0; CHUNK];
        let mut begun: Option<Instant> = None;
        loop {
            let (deadline, late) = if let Some(begun) = begun {
                let limit = self.runtime.as_ref().map_or(limits.message, |runtime| {
                    limits.message.max(runtime.request_timeout.min(limits.handshake))
                });
                (Some(begun + limit), Ended::Stalled(limit))
            } else if !self.registered {
                (Some(start + limits.registration), Ended::Unregistered(limits.registration))
            } else {
                let deadline = (!self.synchronized).then(|| start + limits.handshake);
                (deadline, Ended::Unsynchronized(limits.handshake))
            };
            tokio::select! {
                // Answers before questions: those wait in the kernel. A flood of them starves neither.
                biased;
                () = until(deadline) => return Err(late),
                Some(done) = self.calls.join_next() => {
                    if let Ok(done) = done {
                        self.finish(done).await?;
                    }
                }
                read = input.read(&mut chunk) => {
                    let have = read?;
                    if have == 0 {
                        return Ok(());
                    }
                    let mut bytes = chunk.get(..have).unwrap_or_default();
                    let mut messages = 0;
                    while let Some(piece) = demux.next(&mut bytes)? {
                        let mut payload = piece.payload;
                        match piece.connection {
                            PLUGIN_SERVICE => while let Some(envelope) = calls.next(&mut payload)? {
                                messages += 1;
                                self.asked(&envelope).await?;
                            },
                            RUNTIME_SERVICE => while let Some(envelope) = answers.next(&mut payload)? {
                                messages += 1;
                                self.answered(&envelope)?;
                            },
                            _ => {} // whose ever that is, as runtimes do
                        }
                    }
                    let whole = demux.is_between_frames()
                        && calls.is_between_messages()
                        && answers.is_between_messages();
                    begun = match begun {
                        _ if whole => None,
                        Some(begun) if messages == 0 => Some(begun),
                        _ => Some(Instant::now()),
                    };
                }
            }
        }
    }

    async fn register(&mut self) -> Result<(), Ended> {
        let message = RegisterPluginRequest {
            plugin_name: self.options.name.clone(),
            plugin_idx: self.options.index.clone(),
            nri_version: String::new(),
        };
        let request = Request {
            service: api::RUNTIME.to_owned(),
            method: "RegisterPlugin".to_owned(),
            payload: message.encode_to_vec(),
            timeout_nano: i64::try_from(self.options.limits.registration.as_nanos()).unwrap_or(i64::MAX),
        };
        self.send(RUNTIME_SERVICE, &ttrpc::encode(1, Kind::Request, &request)).await
    }

    /// The answer to the one call that is ever made.
    fn answered(&mut self, envelope: &Envelope) -> Result<(), Ended> {
        if self.registered || envelope.stream != 1 || envelope.kind != Kind::Response as u8 {
            return Ok(());
        }
        let status = envelope.response()?.status.unwrap_or_default();
        if status.code != 0 {
            return Err(Ended::Unwanted { code: status.code, message: status.message });
        }
        self.registered = true;
        self.status.send_if_modified(|status| {
            let first = status.state == State::Connecting;
            if first {
                status.state = State::Registered;
            }
            first
        });
        Ok(())
    }

    /// A call, which is answered here if that takes no time.
    async fn asked(&mut self, envelope: &Envelope) -> Result<(), Ended> {
        let now = Instant::now();
        let stream = envelope.stream;
        if envelope.kind != Kind::Request as u8 {
            return Ok(()); // nothing that was asked for
        }
        if stream.is_multiple_of(2) || stream <= self.last_stream {
            let why = format!("stream {stream} cannot follow stream {}", self.last_stream);
            return self.answer(stream, ttrpc::Status::new(Code::InvalidArgument, why).into()).await;
        }
        self.last_stream = stream;
        let request = envelope.request()?;
        let call = match Call::read(&request) {
            Ok(call) => call,
            Err(status) => return self.answer(stream, status.into()).await,
        };
        let call = match call {
            Call::Shutdown => {
                self.answer(stream, Response::default()).await?;
                return Err(Ended::Shutdown);
            }
            Call::Synchronize(part) => {
                let more = part.more;
                match self.chunks.add(part, request.payload.len()) {
                    Err(why) => return self.refuse(stream, &why).await,
                    Ok(None) => {
                        let message = api::SynchronizeResponse { more };
                        return self.answer(stream, Response::ok(&message)).await;
                    }
                    Ok(Some(whole)) => Call::Synchronize(whole),
                }
            }
            Call::Configure(configure) => {
                self.runtime = Some(Runtime::new(configure.clone(), self.options.events));
                Call::Configure(configure)
            }
            call => call,
        };
        if self.calls.len() >= self.options.limits.requests {
            self.count(|status| status.crowded += 1);
            let why = format!("{} requests are at work already, ask again", self.calls.len());
            return self.refuse(stream, &why).await;
        }
        let allowance = self.allowance(request.timeout_nano);
        if let Call::Configure(_) = &call
            && let Some(runtime) = &self.runtime
            && runtime.events.is_empty()
        {
            // An empty mask would be read as a wish for everything.
            let why = format!("this runtime knows none of the events {:?}", runtime.left_out);
            return self.refuse(stream, &why).await;
        }
        let work = Work { stream, deadline: now + allowance, allowance };
        self.calls.spawn(work.done(
            call,
            self.runtime.as_ref(),
            Arc::clone(&self.plugin),
            self.handlers.clone(),
        ));
        Ok(())
    }

    /// Answers what a handler is done with.
    async fn finish(&mut self, Done { stream, outcome, then }: Done) -> Result<(), Ended> {
        match outcome {
            Outcome::Allowed => {}
            Outcome::Refused(Refusal(why)) => return self.refuse(stream, &why).await,
            Outcome::Late(allowance) => {
                self.count(|status| status.late += 1);
                let why = format!("no decision within {:.1} s", allowance.as_secs_f32());
                return self.refuse(stream, &why).await;
            }
            Outcome::Panicked => {
                self.count(|status| status.panicked += 1);
                return self.refuse(stream, "no decision: its handler failed").await;
            }
        }
        match then {
            Then::Nothing => self.answer(stream, Response::default()).await,
            Then::Configured(events) => {
                self.answer(stream, Response::ok(&api::ConfigureResponse { events })).await
            }
            Then::Synchronized { pods, containers } => {
                self.answer(stream, Response::default()).await?;
                self.synchronized = true;
                let Some(runtime) = self.runtime.clone() else { return Ok(()) };
                tracing::info!(
                    "NRI: {} {} asks about {:?}; {pods} pods and {containers} containers are there",
                    runtime.name,
                    runtime.version,
                    runtime.events
                );
                let since = SystemTime::now();
                self.status.send_modify(|status| {
                    status.synchronized += 1;
                    status.state = State::Synchronized(Synchronized { since, runtime, pods, containers });
                });
                Ok(())
            }
        }
    }

    async fn refuse(&mut self, stream: u32, why: &str) -> Result<(), Ended> {
        self.count(|status| status.refused += 1);
        self.answer(stream, ttrpc::Status::new(Code::PermissionDenied, why).into()).await
    }

    async fn answer(&mut self, stream: u32, response: Response) -> Result<(), Ended> {
        self.count(|status| status.answered += 1);
        self.send(PLUGIN_SERVICE, &ttrpc::encode(stream, Kind::Response, &response)).await
    }

    async fn send(&mut self, connection: u32, message: &[u8]) -> Result<(), Ended> {
        let mut frames = Vec::with_capacity(message.len() + 16);
        mux::encode(connection, message, &mut frames);
        // Nobody takes it once the writer has ended, and why is the writer's to say.
        match self.out.send(frames).await {
            Ok(()) => Ok(()),
            Err(_) => std::future::pending().await,
        }
    }

    /// Counts without waking who watches the state.
    fn count(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            change(status);
            false
        });
    }

    /// How long a handler may take: 60 % of what the runtime waits, and not longer than the options say.
    fn allowance(&self, timeout_nano: i64) -> Duration {
        let most = |waits: Duration| waits / 5 * 3;
        let told = u64::try_from(timeout_nano).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos);
        let runtime = self.runtime.as_ref().map_or(Duration::from_secs(2), |runtime| runtime.request_timeout);
        let allowance = self.options.handler_deadline.min(most(runtime));
        told.map_or(allowance, |told| allowance.min(most(told)))
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Writes what is in the queue until that is closed.
async fn write<S: AsyncWrite>(
    mut output: WriteHalf<S>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    limit: Duration,
) -> Result<(), Ended> {
    while let Some(frames) = queue.recv().await {
        match timeout(limit, output.write_all(&frames)).await {
            Ok(written) => written?,
            Err(_) => return Err(Ended::Unread(limit)),
        }
    }
    let _ = timeout(limit, output.shutdown()).await;
    Ok(())
}
