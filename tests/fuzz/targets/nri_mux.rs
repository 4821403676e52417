//! The multiplexer: the same bytes of each connection come out whatever the parts they came in.
#![no_main]

use std::collections::BTreeMap;

use binauthd::nri::mux::{Demux, MAX_SENT, MuxError, Piece, encode};
use libfuzzer_sys::fuzz_target;

type Streams = BTreeMap<u32, Vec<u8>>;

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else { return };
    let (whole, between, error) = streams(bytes, bytes.len());
    let (parts, also_between, also) = streams(bytes, usize::from(*size));
    assert_eq!((&whole, between, &error), (&parts, also_between, &also));
    assert!(whole.values().map(Vec::len).sum::<usize>() <= bytes.len());

    let mut sent = Vec::new();
    for (connection, message) in &whole {
        let before = sent.len();
        encode(*connection, message, &mut sent);
        assert_eq!(sent.len() - before, message.len() + 8 * message.len().div_ceil(MAX_SENT));
    }
    assert_eq!(streams(&sent, usize::from(*size)), (whole, true, None));
});

/// What each connection carries, whether `bytes` end between frames, and why they could not be read.
fn streams(bytes: &[u8], size: usize) -> (Streams, bool, Option<MuxError>) {
    let (mut demux, mut streams) = (Demux::default(), Streams::new());
    for mut part in bytes.chunks(size.max(1)) {
        loop {
            match demux.next(&mut part) {
                Ok(Some(Piece { connection, payload })) => {
                    assert!(!payload.is_empty());
                    streams.entry(connection).or_default().extend_from_slice(payload);
                }
                Ok(None) => break assert!(part.is_empty()),
                Err(error) => return (streams, false, Some(error)),
            }
        }
    }
    (streams, demux.is_between_frames(), None)
}
