//! The multiplexer: several byte streams over one socket.
//!
//! A frame is `connection: u32 | length: u32 | payload`, both numbers big-endian
//! (`containerd/nri:pkg/net/multiplex/mux.go`, the same since NRI 0.3.0). Nothing opens or closes a
//! connection; frames of a number that nobody uses are dropped. What a connection carries is a stream of
//! bytes: where frames end means nothing to it.

/// The connection on which the runtime calls the plugin.
pub const PLUGIN_SERVICE: u32 = 1;
/// The connection on which the plugin calls the runtime.
pub const RUNTIME_SERVICE: u32 = 2;
/// The longest payload of a frame that is sent, in bytes. The runtime reads a frame as a whole into a
/// buffer of this size, and closes the connection at a larger one.
pub const MAX_SENT: usize = 4096;
/// The longest payload of a frame that is received, in bytes: what NRI before 0.8 may send at most.
pub const MAX_RECEIVED: usize = 1 << 24;

const HEADER: u8 = 8;

/// A frame that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MuxError {
    /// Its payload is longer than [`MAX_RECEIVED`].
    #[error("a frame of {0} bytes, at most {MAX_RECEIVED} are read")]
    TooLong(u32),
}

/// Some payload of a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its number.
    pub connection: u32,
    /// Never empty, and not always a whole frame's.
    pub payload: &'a [u8],
}

/// Takes frames apart as their bytes come in, and keeps none of them.
#[derive(Debug, Default)]
pub struct Demux {
    header: u64,
    /// How much of the header is there, in bytes.
    have: u8,
    connection: u32,
    /// Of the payload, in bytes.
    left: usize,
}

impl Demux {
    /// The next piece in `input`, which is shortened by what was taken of it; `None` once it is empty.
    ///
    /// # Errors
    /// See [`MuxError`]; nothing that follows can be read then.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, MuxError> {
        while self.left == 0 {
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.header = self.header << 8 | u64::from(*byte);
            self.have += 1;
            if self.have == HEADER {
                self.have = 0;
                let length = self.header as u32;
                self.connection = (self.header >> 32) as u32;
                self.left = length as usize;
                if self.left > MAX_RECEIVED {
                    return Err(MuxError::TooLong(length));
                }
            }
        }
        let (payload, rest) = input.split_at(self.left.min(input.len()));
        *input = rest;
        self.left -= payload.len();
        Ok((!payload.is_empty()).then_some(Piece { connection: self.connection, payload }))
    }

    /// Whether nothing of a frame has been read whose rest is missing.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

/// Adds to `out` the frames that carry `message`, which must be one ttrpc message: the runtime loses what
/// follows the end of a message in the same frame.
pub fn encode(connection: u32, message: &[u8], out: &mut Vec<u8>) {
    for payload in message.chunks(MAX_SENT) {
        out.extend_from_slice(&connection.to_be_bytes());
        out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        out.extend_from_slice(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of `input`, fed in parts of `size` bytes: the bytes of each connection, in order of frames.
    fn read(input: &[u8], size: usize) -> Result<Vec<(u32, Vec<u8>)>, MuxError> {
        let mut demux = Demux::default();
        let mut read: Vec<(u32, Vec<u8>)> = Vec::new();
        for mut part in input.chunks(size) {
            while let Some(Piece { connection, payload }) = demux.next(&mut part)? {
                match read.last_mut().filter(|(last, _)| *last == connection) {
                    Some((_, bytes)) => bytes.extend_from_slice(payload),
                    None => read.push((connection, payload.to_vec())),
                }
            }
            assert!(part.is_empty());
        }
        assert!(demux.is_between_frames());
        Ok(read)
    }

    #[test]
    fn frames_are_read_whatever_their_parts() {
        let mut frames = Vec::new();
        encode(2, b"abc", &mut frames);
        frames.extend_from_slice(&[0, 0, 0, 7, 0, 0, 0, 0]); // an empty one
        encode(1, &[9; 5000], &mut frames);
        encode(u32::MAX, b"z", &mut frames);
        let expected = [(2, b"abc".to_vec()), (1, vec![9; 5000]), (u32::MAX, b"z".to_vec())];
        for size in [1, 2, 3, 7, 8, 9, 11, 4096, frames.len()] {
            assert_eq!(read(&frames, size).unwrap(), expected, "{size}");
        }
        for at in 0..40 {
            let mut demux = Demux::default();
            let (mut before, mut after) = frames.split_at(at);
            let mut pieces = 0;
            while demux.next(&mut before).unwrap().is_some() {
                pieces += 1;
            }
            while demux.next(&mut after).unwrap().is_some() {
                pieces += 1;
            }
            assert!((4..=5).contains(&pieces) && demux.is_between_frames(), "{at}: {pieces}");
        }
    }

    #[test]
    fn what_is_sent_fits_the_runtimes_buffer() {
        for (length, frames) in [(0, 0), (1, 1), (4095, 1), (4096, 1), (4097, 2), (10_000, 3)] {
            let mut out = Vec::new();
            encode(1, &vec![1; length], &mut out);
            assert_eq!(out.len(), length + frames * 8, "{length}");
            assert_eq!(out.chunks(MAX_SENT + 8).count(), frames);
            assert!(out.chunks(MAX_SENT + 8).all(|frame| frame.starts_with(&[0, 0, 0, 1])));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_the_end() {
        let header = |length: u32| [1_u32.to_be_bytes(), length.to_be_bytes()].concat();
        let long = MAX_RECEIVED as u32;
        assert_eq!(Demux::default().next(&mut header(long).as_slice()), Ok(None));
        for length in [long + 1, u32::MAX] {
            let header = header(length);
            assert_eq!(Demux::default().next(&mut header.as_slice()), Err(MuxError::TooLong(length)));
        }
    }
}
