//! Just enough HTTP/1.1: one question after the other on one connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// One who asks.
pub(crate) struct Client {
    host: String,
    /// A header.
    token: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn of(url: &str, token: &str) -> Self {
        let host = url.strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { host, token: bearer(token), stream: BufReader::new(stream) }
    }

    /// Asks what must be answered with 200; how long it took until all of the answer was there, and its body.
    pub(crate) fn done(&mut self, method: &str, target: &str) -> (Duration, Vec<u8>) {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{}\r\n", self.host, self.token);
        let start = Instant::now();
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
        let (mut line, mut status, mut length) = (String::new(), String::new(), 0);
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if status.is_empty() {
                text.clone_into(&mut status);
            } else if let Some((name, value)) = text.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let took = start.elapsed();
        assert_eq!(status, "HTTP/1.1 200 OK", "{target}: {}", String::from_utf8_lossy(&body));
        (took, body)
    }
}

/// The header of a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {}\r\n", token.trim())
}

/// How many occurrences a page has, and the token of the next.
pub(crate) fn occurrences(body: &[u8]) -> (usize, String) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        #[serde(default)]
        occurrences: Vec<IgnoredAny>,
        #[serde(default)]
        next_page_token: String,
    }
    let page: Page = serde_json::from_slice(body).unwrap();
    (page.occurrences.len(), page.next_page_token)
}
