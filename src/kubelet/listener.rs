//! Who listens on a port of loopback.
//!
//! Plain HTTP proves nothing, and kubelet's read-only port is one that any user may bind before kubelet
//! does. So whoever listens there must be root, before the question and after the answer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};

use super::error::KubeletError;

/// Listening sockets lead these tables, so the rest of a busy node's need not be read. Below `self` they
/// are there also where a unit sees processes alone (`ProcSubset=pid`).
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// `TCP_LISTEN` of the kernel's `net/tcp_states.h`.
const LISTENING: &str = "0A";

/// Refuses a port that anybody but root listens on, on whatever address. A port that nobody listens on
/// passes: the connection fails by itself.
///
/// # Errors
/// [`KubeletError::Listener`], and [`KubeletError::Io`] when the kernel's tables cannot be read.
pub(super) fn check(port: u16) -> Result<(), KubeletError> {
    for table in TABLES {
        let file = match File::open(table) {
            Ok(file) => file,
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(KubeletError::Io { path: table.into(), cause }),
        };
        if let Some(uid) = foreigner(BufReader::new(file.take(MAX_BYTES)), port) {
            return Err(KubeletError::Listener { port, uid });
        }
    }
    Ok(())
}

/// Who listens on `port` and is not root, by a table of `proc_pid_net(5)`.
fn foreigner(table: impl BufRead, port: u16) -> Option<u32> {
    table.lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (_, local) = fields.next()?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let listens = state == LISTENING && u16::from_str_radix(local, 16).ok()? == port;
        let uid = fields.nth(3)?.parse().ok()?;
        (listens && uid != 0).then_some(uid)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd as _;

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2817 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:2818 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 100 0 0 10 0
   2: 0100007F:2819 0100007F:2817 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 100 0 0 10 0
";

    #[test]
    fn listeners_are_found() {
        for (port, expected) in [(0x2817, None), (0x2818, Some(1000)), (0x2819, None), (1, None)] {
            assert_eq!(foreigner(TABLE.as_bytes(), port), expected, "{port}");
        }
    }

    #[test]
    fn another_user_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        check(port).unwrap();
        // The kernel shows a socket as whose file it is.
        nix::unistd::fchown(listener.as_fd(), Some(65534.into()), None).unwrap();
        assert!(matches!(check(port), Err(KubeletError::Listener { uid: 65534, .. })));
    }
}
