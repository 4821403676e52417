//! Gives records to the journal, by its native protocol: one datagram of fields each, never waited for.
//!
//! `journalctl -t binauthd BINAUTHD_VERDICT=DENY` finds them there.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc;
use serde::Serialize;
use serde_json::Value;

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// The members of a record that are fields of their own.
const FIELDS: &[(&str, &str)] = &[
    ("KIND", "/kind"),
    ("GATE", "/gate"),
    ("VERDICT", "/verdict"),
    ("WOULD", "/would"),
    ("REASON", "/reason"),
    ("RULE", "/rule"),
    ("IMAGE", "/image"),
    ("DIGEST", "/digest"),
    ("POD_NAMESPACE", "/container/podNamespace"),
    ("POD", "/container/pod"),
    ("CONTAINER", "/container/name"),
    ("COUNT", "/count"),
    ("LOST", "/lost"),
    ("WHAT", "/what"),
    ("NAME", "/name"),
];

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    sent: AtomicU64,
    lost: AtomicU64,
}

/// How it is doing.
#[derive(Debug, Clone, Serialize)]
pub struct JournalStatus {
    /// Records it took since start.
    pub sent: u64,
    /// Records it did not take: it is not there, or behind.
    pub lost: u64,
}

impl Journal {
    pub(super) fn at(path: &Path) -> Self {
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        Self { path: path.to_owned(), socket: socket.ok(), sent: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    pub(super) fn status(&self) -> JournalStatus {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        JournalStatus { sent: of(&self.sent), lost: of(&self.lost) }
    }

    /// Hands over the record `body`, with its number where the trail has it; whether the journal took it.
    pub(super) fn send(&self, body: &str, seq: Option<u64>) -> bool {
        let record: Value = serde_json::from_str(body).unwrap_or_default();
        let mut fields = fields(&record, seq);
        let short = fields.len();
        put(&mut fields, "BINAUTHD_RECORD", body);
        let taken = match self.send_bytes(&fields) {
            // A record longer than a datagram goes without its text.
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                fields.truncate(short);
                self.send_bytes(&fields).is_ok()
            }
            sent => sent.is_ok(),
        };
        let counter = if taken { &self.sent } else { &self.lost };
        counter.fetch_add(1, Ordering::Relaxed);
        taken
    }

    fn send_bytes(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let socket = self.socket.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        socket.send_to(bytes, &self.path)
    }
}

fn fields(record: &Value, seq: Option<u64>) -> Vec<u8> {
    let of = |pointer: &str| match record.pointer(pointer) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let kind = of("/kind").unwrap_or_default();
    let is_allowed = of("/would").is_some_and(|would| would == "ALLOW");
    let priority = match kind.as_str() {
        "gap" => "3",
        "decision" | "repeats" | "summary" if !is_allowed => "4",
        "change" | "unserved" => "5",
        _ => "6",
    };
    let mut bytes = Vec::new();
    let told = ["/what", "/name", "/after", "/socket", "/ends", "/lost", "/seq", "/hash"]
        .iter()
        .filter_map(|pointer| of(pointer));
    let message =
        of("/message").unwrap_or_else(|| told.fold(format!("audit {kind}"), |text, one| text + " " + &one));
    put(&mut bytes, "MESSAGE", &message);
    put(&mut bytes, "PRIORITY", priority);
    put(&mut bytes, "SYSLOG_IDENTIFIER", "binauthd");
    for (name, pointer) in FIELDS {
        if let Some(text) = of(pointer) {
            put(&mut bytes, &format!("BINAUTHD_{name}"), &text);
        }
    }
    if let Some(seq) = seq {
        put(&mut bytes, "BINAUTHD_SEQ", &seq.to_string());
    }
    if let Some(hash) = of("/hash") {
        put(&mut bytes, "BINAUTHD_HEAD", &hash);
    }
    bytes
}

/// A value with a newline in it is preceded by its length.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = Journal::at(&path);
        let body = r#"{"kind":"decision","would":"DENY","verdict":"DENY","reason":"NO_ATTESTATION","message":"a\nb","container":{"pod":"p","podNamespace":"n"}}"#;
        assert!(!journal.send(body, None), "nobody is there");
        let listener = UnixDatagram::bind(&path).unwrap();
        assert!(journal.send(body, Some(7)));
        let mut bytes = vec![0; 65_536];
        let length = listener.recv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        assert!(text.starts_with("MESSAGE\n\u{3}\0\0\0\0\0\0\0a\nb\nPRIORITY=4\n"), "{text:?}");
        for field in ["VERDICT=DENY", "REASON=NO_ATTESTATION", "POD=p", "POD_NAMESPACE=n", "SEQ=7"] {
            assert!(text.contains(&format!("\nBINAUTHD_{field}\n")), "{field}: {text:?}");
        }
        let long = format!("{{\"kind\":\"decision\",\"message\":\"m\",\"x\":\"{}\"}}", "x".repeat(8 << 20));
        assert!(journal.send(&long, None));
        let status = journal.status();
        assert_eq!((status.sent, status.lost), (2, 1));
    }
}
