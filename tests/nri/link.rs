//! One connection to a plugin, by hand: frames of the multiplexer and of ttrpc.

use std::time::Duration;

use binauthd::nri::api::PluginInstance;
use binauthd::nri::ttrpc::{Request, Response, Status};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

pub(crate) const PLUGIN: u32 = 1;
pub(crate) const RUNTIME: u32 = 2;

/// Any stream to a plugin.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// What came of a request to the plugin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Ok(Vec<u8>),
    Status(Status),
    /// No answer in time.
    Late,
    /// The connection has ended.
    Closed,
}

/// One connection to a plugin.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    pub(crate) name: String,
    pub(crate) index: String,
    pub(crate) mask: i32,
    next_stream: u32,
    /// Bytes of each of the two connections that are no whole message yet.
    unread: [Vec<u8>; 3],
    /// Every frame that the plugin sent, with its header.
    pub(crate) frames: Vec<Vec<u8>>,
}

impl Link {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            name: String::new(),
            index: String::new(),
            mask: 0,
            next_stream: 1,
            unread: Default::default(),
            frames: Vec::new(),
        }
    }

    pub(super) fn instance(&self) -> PluginInstance {
        PluginInstance { name: self.name.clone(), index: self.index.clone() }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn call(&mut self, method: &str, message: &impl Message, limit: Duration) -> Answer {
        let stream = self.ask(method, message, limit).await;
        self.answer_to(stream, limit).await
    }

    /// Asks, and returns the stream on which the answer will come.
    pub(crate) async fn ask(&mut self, method: &str, message: &impl Message, limit: Duration) -> u32 {
        let request = Request {
            service: "nri.pkg.api.v1alpha1.Plugin".to_owned(),
            method: method.to_owned(),
            payload: message.encode_to_vec(),
            timeout_nano: limit.as_nanos() as i64,
        };
        let stream = self.next_stream;
        self.next_stream += 2;
        self.send(PLUGIN, stream, 1, &request.encode_to_vec()).await;
        stream
    }

    /// The next answer, which must be the one to `stream`.
    pub(crate) async fn answer_to(&mut self, stream: u32, limit: Duration) -> Answer {
        match self.answer(limit).await {
            Ok((of, answer)) => {
                assert_eq!(of, stream, "an answer to another request: {answer:?}");
                answer
            }
            Err(no_answer) => no_answer,
        }
    }

    /// The next answer, whatever it answers.
    pub(crate) async fn answer(&mut self, limit: Duration) -> Result<(u32, Answer), Answer> {
        let (connection, stream, kind, body) = self.receive(limit).await?;
        assert_eq!((connection, kind), (PLUGIN, 2), "a response on the plugin's connection");
        let Response { status, payload } = Response::decode(body.as_slice()).unwrap();
        match status.filter(|status| status.code != 0) {
            Some(status) => Ok((stream, Answer::Status(status))),
            None => Ok((stream, Answer::Ok(payload))),
        }
    }

    /// Sends a message as Go's sender does, through a buffer of 4096 bytes.
    pub(crate) async fn send(&mut self, connection: u32, stream: u32, kind: u8, body: &[u8]) {
        let mut message = (body.len() as u32).to_be_bytes().to_vec();
        message.extend_from_slice(&stream.to_be_bytes());
        message.extend_from_slice(&[kind, 0]);
        message.extend_from_slice(body);
        for payload in message.chunks(4096) {
            let mut frame = connection.to_be_bytes().to_vec();
            frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            frame.extend_from_slice(payload);
            self.send_bytes(&frame).await;
        }
    }

    /// Sends what a plugin may not understand. That it is gone will be seen when it does not answer.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next message: connection, stream, type and body. Holds the plugin to the rules of frames.
    pub(crate) async fn receive(&mut self, limit: Duration) -> Result<(u32, u32, u8, Vec<u8>), Answer> {
        let received = timeout(limit, async {
            loop {
                let (connection, payload) = self.frame().await?;
                let unread = &mut self.unread[connection as usize];
                unread.extend_from_slice(&payload);
                if unread.len() < 10 {
                    continue;
                }
                let word = |at: usize| u32::from_be_bytes(unread[at..at + 4].try_into().unwrap());
                let (length, stream, kind) = (word(0) as usize, word(4), unread[8]);
                assert!(unread.len() <= 10 + length, "bytes of two messages in one frame");
                if unread.len() == 10 + length {
                    let body = std::mem::take(unread).split_off(10);
                    return Some((connection, stream, kind, body));
                }
            }
        });
        match received.await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Answer::Closed),
            Err(_) => Err(Answer::Late),
        }
    }

    /// The next frame: its connection and payload. `None` at the end of the connection.
    pub(crate) async fn frame(&mut self) -> Option<(u32, Vec<u8>)> {
        let mut frame = vec![0; 8];
        self.stream.read_exact(&mut frame).await.ok()?;
        let connection = u32::from_be_bytes(frame[..4].try_into().unwrap());
        let length = u32::from_be_bytes(frame[4..].try_into().unwrap()) as usize;
        assert!([PLUGIN, RUNTIME].contains(&connection), "connection {connection}");
        assert!((1..=4096).contains(&length), "a frame of {length} bytes, which Go's reader does not take");
        frame.resize(8 + length, 0);
        self.stream.read_exact(&mut frame[8..]).await.ok()?;
        let payload = frame[8..].to_vec();
        self.frames.push(frame);
        Some((connection, payload))
    }
}
