//! Lines of a document without an end.
//!
//! Each byte is looked at once and moved at most twice, however the server cuts what it sends. Of a line that is too
//! long nothing is kept.

use std::time::Duration;

use reqwest::Response;

use super::error::HttpError;

/// A line that has more bytes than this will not end.
const ENDLESS: usize = 64 * 1024 * 1024;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// All of it, without its end.
    Whole(Vec<u8>),
    /// It was too long, and was passed over.
    TooLong,
}

/// Lines of a document without an end.
#[derive(Debug)]
pub struct Lines {
    response: Response,
    unread: Unread,
    url: String,
    silence: Duration,
}

impl Lines {
    pub(super) fn new(response: Response, url: String, silence: Duration, max_line: usize) -> Self {
        Self { response, unread: Unread::new(max_line), url, silence }
    }

    /// The next one; none where the document has an end after all. Does not wait for what has come already: whoever
    /// shares a thread lets others have their turn now and then.
    ///
    /// # Errors
    /// [`HttpError::Slow`] after a silence, [`HttpError::TooMuch`] for a line of more than 64 MiB.
    pub async fn next(&mut self) -> Result<Option<Line>, HttpError> {
        loop {
            if let Some(line) = self.unread.take() {
                return Ok(Some(line));
            }
            if self.unread.passed > ENDLESS {
                let (url, read) = (self.url.clone(), self.unread.passed);
                return Err(HttpError::TooMuch { url, max: ENDLESS, read });
            }
            let slow = |_| HttpError::Slow { url: self.url.clone(), limit: self.silence };
            let chunk = tokio::time::timeout(self.silence, self.response.chunk()).await.map_err(slow)?;
            match chunk.map_err(|error| HttpError::broken(self.url.clone(), error))? {
                Some(chunk) => self.unread.add(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// What has come and was not taken.
#[derive(Debug)]
struct Unread {
    max_line: usize,
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// No line ends from there up to here.
    seen: usize,
    /// How many bytes of the next line were passed over.
    passed: usize,
}

impl Unread {
    fn new(max_line: usize) -> Self {
        Self { max_line, bytes: Vec::new(), start: 0, seen: 0, passed: 0 }
    }

    /// The next line, where all of it is there.
    fn take(&mut self) -> Option<Line> {
        let unseen = self.bytes.get(self.seen..).unwrap_or_default();
        let Some(at) = unseen.iter().position(|byte| *byte == b'\n') else {
            self.seen = self.bytes.len();
            return None;
        };
        let end = self.seen + at;
        let line = self.bytes.get(self.start..end).unwrap_or_default();
        let is_too_long = std::mem::take(&mut self.passed) > 0 || line.len() > self.max_line;
        let line = if is_too_long { Line::TooLong } else { Line::Whole(line.to_vec()) };
        (self.start, self.seen) = (end + 1, end + 1);
        Some(line)
    }

    /// Adds what came, where there is no line to be taken.
    fn add(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start);
        (self.start, self.seen) = (0, self.bytes.len());
        if self.bytes.len() > self.max_line {
            self.passed += self.bytes.len();
            self.bytes.clear();
            self.seen = 0;
        }
        self.bytes.extend_from_slice(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 10;

    /// All lines of `text`, which comes in chunks of so many bytes; and the most that was held of it.
    fn lines(text: &[u8], size: usize) -> (Vec<Line>, usize) {
        let mut unread = Unread::new(MAX);
        let (mut lines, mut held) = (Vec::new(), 0);
        for chunk in text.chunks(size) {
            unread.add(chunk);
            held = held.max(unread.bytes.len());
            lines.extend(std::iter::from_fn(|| unread.take()));
        }
        (lines, held)
    }

    #[test]
    fn however_it_is_cut() {
        let text = format!("one\n\n{}\n{}\nlast\nrest", "x".repeat(MAX), "y".repeat(1_000));
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        let expected = [whole("one"), whole(""), whole(&"x".repeat(MAX)), Line::TooLong, whole("last")];
        for size in [1, 2, 3, 7, 11, 64, 10_000] {
            let (lines, held) = lines(text.as_bytes(), size);
            assert_eq!(lines, expected, "{size}");
            assert!(held <= MAX + 2 * size, "{held} bytes are held of chunks of {size}");
        }
    }

    #[test]
    fn no_byte_is_looked_at_again_and_what_lies_behind_is_not_moved() {
        let began = std::time::Instant::now();
        // A line in small pieces, and many small lines in one piece.
        let mut unread = Unread::new(1_000_000);
        (0..200_000).for_each(|_| {
            unread.add(b"x");
            assert_eq!(unread.take(), None);
        });
        unread.add(&b"\n".repeat(1_000_000));
        let lines = std::iter::from_fn(|| unread.take()).count();
        assert_eq!(lines, 1_000_000, "the first has all of the pieces");
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
