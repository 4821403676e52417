//! ttrpc: requests and responses on one connection of the multiplexer.
//!
//! A message is `length: u32 | stream: u32 | type: u8 | flags: u8 | body`, numbers big-endian
//! (`containerd/ttrpc:PROTOCOL.md`, `channel.go`). Only what NRI uses of it: unary calls. Stream numbers
//! are odd, start at 1 and rise with each call of a connection.

use prost::Message;

/// The longest body of a message, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;
/// The longest text of a status that is sent, in bytes: with it a message fits one frame.
pub const MAX_STATUS: usize = 2900;

const HEADER: u8 = 10;

/// A message that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtrpcError {
    /// Its body is longer than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes, at most {MAX_MESSAGE} are read")]
    TooLong(u32),
    /// Its body is not what its type says.
    #[error("a message that is no {0}")]
    Unreadable(&'static str),
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A call.
    Request = 1,
    /// Its answer.
    Response = 2,
    /// Of a stream, which NRI does not use.
    Data = 3,
}

/// A message whose body has not been read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Which call it belongs to.
    pub stream: u32,
    /// Its type; see [`Kind`].
    pub kind: u8,
    /// What unary calls do not use.
    pub flags: u8,
    /// Protobuf.
    pub body: Vec<u8>,
}

/// A call.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// The full name of the service.
    #[prost(string, tag = "1")]
    pub service: String,
    /// Its method.
    #[prost(string, tag = "2")]
    pub method: String,
    /// The method's message.
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
    /// How long the caller waits, in nanoseconds; 0 is for ever.
    #[prost(int64, tag = "4")]
    pub timeout_nano: i64,
}

/// The answer to a call: an error, or the method's message.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// There is none, or one with code 0, if all went well.
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    /// The method's message. An empty one has no bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
}

/// How a call went, with the codes of gRPC.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// One of [`Code`], or another.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// The codes that are sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// The message does not say what the method needs.
    InvalidArgument = 3,
    /// Refused.
    PermissionDenied = 7,
    /// There is no such method. For a method that there is, the runtime takes this for a plugin that is
    /// older than itself, asks no more, and goes on.
    Unimplemented = 12,
}

impl Status {
    /// A status whose text is cut to [`MAX_STATUS`] bytes, between characters.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let mut message = message.into();
        let mut end = MAX_STATUS.min(message.len());
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        Self { code: code as i32, message }
    }
}

impl Response {
    /// The answer to a call that went well.
    #[must_use]
    pub fn ok(message: &impl Message) -> Self {
        Self { status: None, payload: message.encode_to_vec() }
    }
}

impl From<Status> for Response {
    fn from(status: Status) -> Self {
        Self { status: Some(status), payload: Vec::new() }
    }
}

impl Envelope {
    /// Its body as a request.
    ///
    /// # Errors
    /// It is none.
    pub fn request(&self) -> Result<Request, TtrpcError> {
        Request::decode(self.body.as_slice()).map_err(|_| TtrpcError::Unreadable("request"))
    }

    /// Its body as a response.
    ///
    /// # Errors
    /// It is none.
    pub fn response(&self) -> Result<Response, TtrpcError> {
        Response::decode(self.body.as_slice()).map_err(|_| TtrpcError::Unreadable("response"))
    }
}

/// A message as its bytes. The caller keeps within [`MAX_MESSAGE`].
#[must_use]
pub fn encode(stream: u32, kind: Kind, body: &impl Message) -> Vec<u8> {
    let length = body.encoded_len();
    let mut out = Vec::with_capacity(usize::from(HEADER) + length);
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&[kind as u8, 0]);
    out.extend_from_slice(&body.encode_to_vec());
    out
}

/// Puts the messages of one connection together as its bytes come in. Holds at most one message, and of
/// that no more than has come.
#[derive(Debug, Default)]
pub struct Decoder {
    header: u128,
    /// How much of the header is there, in bytes.
    have: u8,
    body: Vec<u8>,
}

impl Decoder {
    /// The next message in `input`, which is shortened by what was taken of it; `None` if it ends before
    /// the message does.
    ///
    /// # Errors
    /// See [`TtrpcError`]; nothing that follows can be read then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Envelope>, TtrpcError> {
        while self.have < HEADER {
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.header = self.header << 8 | u128::from(*byte);
            self.have += 1;
        }
        let length = (self.header >> 48) as u32;
        let wanted = length as usize;
        if wanted > MAX_MESSAGE {
            return Err(TtrpcError::TooLong(length));
        }
        let missing = wanted.saturating_sub(self.body.len());
        let (more, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        self.body.extend_from_slice(more);
        if self.body.len() < wanted {
            return Ok(None);
        }
        let (stream, kind, flags) = ((self.header >> 16) as u32, (self.header >> 8) as u8, self.header as u8);
        (self.header, self.have) = (0, 0);
        Ok(Some(Envelope { stream, kind, flags, body: std::mem::take(&mut self.body) }))
    }

    /// Whether nothing of a message has been read whose rest is missing.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.have == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nri::api;
    use crate::nri::mux::{self, Demux, PLUGIN_SERVICE, Piece, RUNTIME_SERVICE};

    /// Computed by hand from the two specifications: one message a row, in its frame.
    const REGISTER: &str = "00000002 0000004d 00000043 00000001 01 00 \
        0a1c 6e72692e706b672e6170692e7631616c706861312e52756e74696d65 \
        120e 5265676973746572506c7567696e 1a0d 0a07 61747465737464 1202 3030 2080e497d012";
    const REGISTERED: &str = "00000002 0000000a 00000000 00000001 02 00";
    const MASK_29: &str = "00000001 0000000e 00000004 00000001 02 00 1202 1029";
    const MASK_2029: &str = "00000001 0000000f 00000005 00000001 02 00 1203 10a940";
    const DENIED: &str = "00000001 00000024 0000001a 00000005 02 00 \
        0a18 0807 1214 756e6174746573746564207368613235363a2e2e";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn framed(connection: u32, stream: u32, kind: Kind, body: &impl Message) -> Vec<u8> {
        let mut out = Vec::new();
        mux::encode(connection, &encode(stream, kind, body), &mut out);
        out
    }

    /// All messages of one connection, fed in parts of `size` bytes.
    fn read(bytes: &[u8], size: usize) -> Result<Vec<Envelope>, TtrpcError> {
        let mut decoder = Decoder::default();
        let mut read = Vec::new();
        for mut part in bytes.chunks(size) {
            while let Some(envelope) = decoder.next(&mut part)? {
                read.push(envelope);
            }
            assert!(part.is_empty() && decoder.body.len() <= MAX_MESSAGE);
        }
        assert!(decoder.is_between_messages());
        Ok(read)
    }

    #[test]
    fn what_is_written_is_the_protocol_to_the_byte() {
        let register = Request {
            service: api::RUNTIME.into(),
            method: "RegisterPlugin".into(),
            payload: api::RegisterPluginRequest {
                plugin_name: "attestd".into(),
                plugin_idx: "00".into(),
                nri_version: String::new(),
            }
            .encode_to_vec(),
            timeout_nano: 5_000_000_000,
        };
        let mask = |events| Response::ok(&api::ConfigureResponse { events });
        let denied: Response = Status::new(Code::PermissionDenied, "unattested sha256:..").into();
        let (one, two) = (PLUGIN_SERVICE, RUNTIME_SERVICE);
        let rows = [
            (framed(two, 1, Kind::Request, &register), REGISTER),
            (framed(two, 1, Kind::Response, &Response::ok(&api::Empty {})), REGISTERED),
            (framed(one, 1, Kind::Response, &mask(0x29)), MASK_29),
            (framed(one, 1, Kind::Response, &mask(0x2029)), MASK_2029),
            (framed(one, 5, Kind::Response, &denied), DENIED),
        ];
        for (found, expected) in rows {
            assert_eq!(found, hex(expected), "{expected}");
        }
    }

    #[test]
    fn what_is_read_is_the_same_at_every_split() {
        let frame = hex(REGISTER);
        for at in 0..=frame.len() {
            let (mut demux, mut decoder) = (Demux::default(), Decoder::default());
            let mut found = Vec::new();
            let (before, after) = frame.split_at(at);
            for mut bytes in [before, after] {
                while let Some(Piece { connection, mut payload }) = demux.next(&mut bytes).unwrap() {
                    assert_eq!(connection, RUNTIME_SERVICE);
                    found.extend(decoder.next(&mut payload).unwrap());
                }
            }
            let [envelope] = found.as_slice() else { panic!("{at}: {found:?}") };
            let request = envelope.request().unwrap();
            assert_eq!((envelope.stream, envelope.kind, envelope.flags), (1, 1, 0));
            assert_eq!((request.method.as_str(), request.timeout_nano), ("RegisterPlugin", 5_000_000_000));
        }
        let denied = read(&hex(DENIED)[8..], 7).unwrap();
        let status = denied[0].response().unwrap().status.unwrap();
        assert_eq!((status.code, status.message.as_str()), (7, "unattested sha256:.."));
    }

    #[test]
    fn several_messages_in_one_piece() {
        let message = |stream, length| {
            encode(stream, Kind::Request, &Request { payload: vec![7; length], ..Default::default() })
        };
        let bytes = [message(1, 0), message(3, 9000), message(u32::MAX, 1)].concat();
        for size in [1, 5, 10, 11, 4096, bytes.len()] {
            let streams: Vec<u32> = read(&bytes, size).unwrap().iter().map(|found| found.stream).collect();
            assert_eq!(streams, [1, 3, u32::MAX], "{size}");
        }
    }

    #[test]
    fn what_cannot_be_is_the_end() {
        let header = |length: u32| [&length.to_be_bytes()[..], &[0, 0, 0, 1, 1, 0]].concat();
        let mut decoder = Decoder::default();
        assert_eq!(decoder.next(&mut header(MAX_MESSAGE as u32).as_slice()), Ok(None));
        assert_eq!(decoder.body.capacity(), 0, "room for what has not come");
        for length in [MAX_MESSAGE as u32 + 1, u32::MAX] {
            let error = read(&header(length), 1);
            assert_eq!(error, Err(TtrpcError::TooLong(length)));
        }
        for body in [&[0xff][..], &[0x0a, 9, 1], &[0x0a, 1, 0xff], &[0x0b]] {
            let envelope = Envelope { stream: 1, kind: 1, flags: 0, body: body.to_vec() };
            assert_eq!(envelope.request(), Err(TtrpcError::Unreadable("request")), "{body:?}");
            assert_eq!(envelope.response(), Err(TtrpcError::Unreadable("response")), "{body:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_fits_a_frame() {
        for (text, length) in [("a".repeat(5000), 2900), ("€".repeat(1000), 2898), ("b".repeat(3), 3)] {
            let status = Status::new(Code::PermissionDenied, text.clone());
            assert!(text.starts_with(&status.message) && status.message.len() == length, "{length}");
            let message = encode(u32::MAX, Kind::Response, &Response::from(status));
            assert!(message.len() <= mux::MAX_SENT);
        }
    }
}
