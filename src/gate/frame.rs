//! Frames: a 12-byte header, then a JSON body.
//!
//! | bytes | field |
//! |---|---|
//! | 0–3 | magic `BAUD` |
//! | 4–5 | protocol version, big-endian |
//! | 6–7 | [`Kind`], big-endian |
//! | 8–11 | length of the body in bytes, big-endian |
//!
//! The header, the number of [`Kind::Unsupported`] and the body of that kind are the same in every
//! version. Bytes that are no frame are refused with the reason, before anything is allocated for them.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What every frame begins with.
pub const MAGIC: [u8; 4] = *b"BAUD";
/// The length of a header in bytes.
pub const HEADER_LENGTH: usize = 12;
/// The version spoken here.
pub const VERSION: u16 = 1;
/// The longest body on the gate socket in bytes, of everything but a question.
pub const MAX_BODY: usize = 64 * 1024;
/// The longest question on the gate socket in bytes: a container with 500 mounts of long paths fits.
pub const MAX_ASK: usize = 256 * 1024;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// A question; the first and only frame of a client.
    Ask = 1,
    /// The question has arrived whole.
    Ack = 2,
    /// The question is still being worked on.
    Alive = 3,
    /// The last frame: what was decided.
    Answer = 4,
    /// The last frame: the version of the question is not spoken here. The same in every version.
    Unsupported = 5,
}

impl TryFrom<u16> for Kind {
    type Error = FrameError;

    fn try_from(number: u16) -> Result<Self, FrameError> {
        match number {
            1 => Ok(Self::Ask),
            2 => Ok(Self::Ack),
            3 => Ok(Self::Alive),
            4 => Ok(Self::Answer),
            5 => Ok(Self::Unsupported),
            _ => Err(FrameError::UnknownKind(number)),
        }
    }
}

/// Why bytes are not a frame, or a value does not make one.
#[derive(Debug)]
pub enum FrameError {
    /// Something else than this protocol; holds the first bytes, at most four.
    ForeignMagic(Vec<u8>),
    /// The body is over the cap.
    Oversize {
        /// Bytes announced or needed.
        length: usize,
        /// Bytes allowed.
        cap: usize,
    },
    /// The stream ended inside a frame, after that many bytes of it.
    Truncated(usize),
    /// A kind that this version does not have.
    UnknownKind(u16),
    /// A kind that this side does not expect.
    Unexpected(Kind),
    /// The body is not the JSON that belongs here.
    Body(serde_json::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignMagic(bytes) => {
                write!(
                    f,
                    "not the gate protocol: it begins with `{}` instead of `BAUD`",
                    bytes.escape_ascii()
                )
            }
            Self::Oversize { length, cap } => {
                write!(f, "a message of {length} bytes, more than the {cap} allowed")
            }
            Self::Truncated(have) => write!(f, "a message cut off after {have} bytes"),
            Self::UnknownKind(kind) => write!(f, "a message of the unknown kind {kind}"),
            Self::Unexpected(kind) => write!(f, "a message of kind {kind:?} where none belongs"),
            Self::Body(error) => write!(f, "a message whose body cannot be read: {error}"),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Body(error) => Some(error),
            _ => None,
        }
    }
}

/// A header as read: neither version nor kind need be known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The version of the sender.
    pub version: u16,
    /// The number of the [`Kind`].
    pub kind: u16,
    /// The length of the body in bytes.
    pub length: u32,
}

/// Writes a frame of [`VERSION`] with `body` as JSON.
///
/// # Errors
/// [`FrameError::Oversize`] over `cap` bytes of body; [`FrameError::Body`] if it has no JSON form.
pub fn encode<T: Serialize>(kind: Kind, body: &T, cap: usize) -> Result<Vec<u8>, FrameError> {
    let mut frame = Vec::with_capacity(1024);
    frame.extend_from_slice(&[0; HEADER_LENGTH]);
    serde_json::to_writer(&mut frame, body).map_err(FrameError::Body)?;
    let length = frame.len() - HEADER_LENGTH;
    let header = match u32::try_from(length) {
        Ok(number) if length <= cap => header(kind, number),
        _ => return Err(FrameError::Oversize { length, cap }),
    };
    for (place, byte) in frame.iter_mut().zip(header) {
        *place = byte;
    }
    Ok(frame)
}

/// A frame of [`VERSION`] without a body.
#[must_use]
pub fn bare(kind: Kind) -> [u8; HEADER_LENGTH] {
    header(kind, 0)
}

fn header(kind: Kind, length: u32) -> [u8; HEADER_LENGTH] {
    let ([m0, m1, m2, m3], [v0, v1]) = (MAGIC, VERSION.to_be_bytes());
    let ([k0, k1], [l0, l1, l2, l3]) = ((kind as u16).to_be_bytes(), length.to_be_bytes());
    [m0, m1, m2, m3, v0, v1, k0, k1, l0, l1, l2, l3]
}

/// Reads the JSON of a body; members that are not known here are ignored.
///
/// # Errors
/// [`FrameError::Body`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(FrameError::Body)
}

/// Collects what a stream delivers and hands out whole frames. Holds at most one frame and one chunk.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    cap: usize,
}

impl Inbox {
    /// An empty inbox for bodies of at most `cap` bytes.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { bytes: Vec::new(), cap }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The header of the next frame once it has arrived.
    ///
    /// # Errors
    /// [`FrameError::ForeignMagic`] as soon as one byte is wrong.
    pub fn header(&self) -> Result<Option<Header>, FrameError> {
        if self.bytes.iter().zip(MAGIC).any(|(byte, magic)| *byte != magic) {
            return Err(FrameError::ForeignMagic(self.bytes.iter().take(MAGIC.len()).copied().collect()));
        }
        let Some([_, _, _, _, v0, v1, k0, k1, l0, l1, l2, l3]) = self.bytes.first_chunk::<HEADER_LENGTH>()
        else {
            return Ok(None);
        };
        Ok(Some(Header {
            version: u16::from_be_bytes([*v0, *v1]),
            kind: u16::from_be_bytes([*k0, *k1]),
            length: u32::from_be_bytes([*l0, *l1, *l2, *l3]),
        }))
    }

    /// Takes the next frame out once it has arrived whole.
    ///
    /// # Errors
    /// [`FrameError::ForeignMagic`] and [`FrameError::Oversize`], both before the body has arrived.
    pub fn frame(&mut self) -> Result<Option<(Header, Vec<u8>)>, FrameError> {
        let Some(header) = self.header()? else { return Ok(None) };
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > self.cap {
            return Err(FrameError::Oversize { length, cap: self.cap });
        }
        if self.bytes.len() < HEADER_LENGTH + length {
            return Ok(None);
        }
        let body = self.bytes.drain(..HEADER_LENGTH + length).skip(HEADER_LENGTH).collect();
        Ok(Some((header, body)))
    }

    /// What it means that the stream has ended now: nothing, or a frame cut off.
    ///
    /// # Errors
    /// [`FrameError::Truncated`].
    pub fn end(&self) -> Result<(), FrameError> {
        match self.bytes.len() {
            0 => Ok(()),
            have => Err(FrameError::Truncated(have)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(bytes: &[u8]) -> Inbox {
        let mut inbox = Inbox::new(MAX_BODY);
        inbox.push(bytes);
        inbox
    }

    #[test]
    fn the_header_is_these_twelve_bytes_for_ever() {
        let frame = encode(Kind::Ask, &"x", MAX_BODY).unwrap();
        assert_eq!(frame, b"BAUD\x00\x01\x00\x01\x00\x00\x00\x03\"x\"");
        assert_eq!(bare(Kind::Unsupported), *b"BAUD\x00\x01\x00\x05\x00\x00\x00\x00");
    }

    #[test]
    fn what_is_no_frame_is_named() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "begins with `GET `"),
            (b"x", "begins with `x`"),
            (b"BA\x00", "begins with `BA\\x00`"),
            (b"BAUD\x00\x01\x00\x01\x00\x01\x00\x01", "65537 bytes, more than the 65536"),
            (b"BAUD\x00\x01\x00\x01\xff\xff\xff\xff", "4294967295 bytes"),
        ] {
            let error = inbox(bytes).frame().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = Kind::try_from(6).unwrap_err().to_string();
        assert_eq!(error, "a message of the unknown kind 6");
        let error = decode::<u8>(b"\"\xff\"").unwrap_err().to_string();
        assert!(error.starts_with("a message whose body cannot be read: "), "{error}");
        let error = encode(Kind::Ask, &"x".repeat(MAX_BODY), MAX_BODY).unwrap_err().to_string();
        assert_eq!(error, "a message of 65538 bytes, more than the 65536 allowed");
    }

    #[test]
    fn frames_come_out_whole_at_every_split() {
        let mut bytes = encode(Kind::Ask, &"one", MAX_BODY).unwrap();
        bytes.extend_from_slice(&bare(Kind::Ack));
        for split in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(split);
            let mut inbox = Inbox::new(MAX_BODY);
            let mut kinds = Vec::new();
            for part in [head, tail] {
                inbox.push(part);
                while let Some((header, body)) = inbox.frame().unwrap() {
                    kinds.push((header.kind, body));
                }
            }
            assert_eq!(kinds, [(1, b"\"one\"".to_vec()), (2, vec![])]);
            inbox.end().unwrap();
        }
        for cut in 1..bytes.len() - HEADER_LENGTH {
            let mut inbox = inbox(&bytes[..cut]);
            assert!(inbox.frame().unwrap().is_none());
            assert!(matches!(inbox.end(), Err(FrameError::Truncated(have)) if have == cut));
        }
    }
}
