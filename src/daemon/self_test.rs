//! Whether the sandbox around the daemon lets it do its work: every path that it must read, write or dial is tried
//! once, before READY.
//!
//! A sandbox that is too tight fails late and far from its cause: a state that is not kept, an attestor that stays
//! unread, a containerd that is never asked. What is not there, or not yet, is no concern of this: documents, sources
//! and containerd tell that themselves. A problem is an alarm, never a failed start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use caps::CapSet;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{AccessFlags, faccessat};

use crate::config::{BundleOrigin, Config, Location};

/// Written, renamed and removed in each folder that is written to.
const PROBE: &str = ".self-test";

/// What does not work, one line each with the way out.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let paths = config.paths().filter_map(|(key, path)| match key {
        "state_dir" | "runtime_dir" => unwritable(key, path),
        "audit.file" => unwritable(key, path.parent()?),
        "containerd.address" | "containerd.nri_socket" => undialled(key, path),
        // Looked at as names alone: a container must not mount them.
        "containerd.root" | "containerd.state" => None,
        // Bound by now, or an alarm of its own.
        "metrics.listen" => None,
        _ => unreadable(key, path),
    });
    paths.chain(network(config)).chain(capabilities()).collect()
}

fn writable(folder: &Path) -> io::Result<()> {
    let (probe, renamed) = (folder.join(PROBE), folder.join(format!("{PROBE}.renamed")));
    let tried = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
        file.write_all(b"self-test")?;
        file.sync_all()?;
        fs::rename(&probe, &renamed)?;
        fs::remove_file(&renamed)?;
        File::open(folder)?.sync_all()
    })();
    // What is left of an attempt that failed.
    for left in [probe, renamed] {
        let _ = fs::remove_file(left);
    }
    tried
}

fn unwritable(key: &str, folder: &Path) -> Option<String> {
    let error = writable(folder).err()?;
    let folder = folder.display();
    let way_out = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EROFS | Errno::EACCES | Errno::EPERM) => format!(
            ": let the unit write there, with ReadWritePaths={folder} in a drop-in of binauthd.service"
        ),
        _ => String::new(),
    };
    Some(format!("self-test at start: `{folder}` ({key}) cannot be written: {error}{way_out}"))
}

fn unreadable(key: &str, path: &Path) -> Option<String> {
    // A pipe would hold us up.
    let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let error = opened.err().filter(|error| error.kind() == io::ErrorKind::PermissionDenied)?;
    let path = path.display();
    Some(format!(
        "self-test at start: `{path}` ({key}) cannot be read: {error}: the daemon keeps no privileges, so owner and mode of \
         the file and of the folders above it must let root in, and the unit must not hide it (ProtectHome=, \
         InaccessiblePaths=)"
    ))
}

/// Whether somebody listens does not matter here, and nobody is dialled: a plugin that hangs up at once is a fault to
/// whoever listens for plugins.
fn undialled(key: &str, path: &Path) -> Option<String> {
    let may = faccessat(AT_FDCWD, path, AccessFlags::R_OK | AccessFlags::W_OK, AtFlags::AT_EACCESS);
    let errno = may.err().filter(|errno| matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EROFS))?;
    Some(format!(
        "self-test at start: `{}` ({key}) cannot be dialled: {errno}: owner and mode of the socket and of the folders above \
         it must let root in without privileges",
        path.display()
    ))
}

/// Whether what is asked over the network can be asked.
fn network(config: &Config) -> Option<String> {
    let servers = config.sources.iter().any(|source| matches!(source.location, Location::Rest(_)));
    let bundle = config.bundle.as_ref().is_some_and(|bundle| matches!(bundle.origin, BundleOrigin::Url(_)));
    let (pods, events) = (config.kubelet.is_some(), config.events.is_some());
    if !(servers || bundle || pods || events) {
        return None;
    }
    // Where there is no IPv4 there may be IPv6.
    let can = |family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let errno = can(AddressFamily::Inet).or_else(|_| can(AddressFamily::Inet6)).err()?;
    let what =
        [(servers, "[[sources]]"), (bundle, "[policy] bundle"), (pods, "[kubelet]"), (events, "[events]")];
    let what: Vec<_> = what.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
    Some(format!(
        "self-test at start: {} need the network, and the unit gives none ({errno}): install binauthd-network.conf as a \
         drop-in of binauthd.service",
        what.join(" and ")
    ))
}

/// What should have been given up.
fn capabilities() -> Option<String> {
    let held = |set| caps::read(None, set).unwrap_or_default();
    let left =
        held(CapSet::Effective).union(&held(CapSet::Permitted)).copied().collect::<caps::CapsHashSet>();
    if left.is_empty() {
        return None;
    }
    let mut names: Vec<_> = left.iter().map(ToString::to_string).collect();
    names.sort();
    Some(format!("self-test at start: capabilities are still held: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &Config, parts: &[&str]) {
        let problems = problems(config);
        let fits = |problem: &&String| parts.iter().all(|part| problem.contains(part));
        assert!(problems.iter().any(|problem| fits(&problem)), "{parts:?} is missing in {problems:#?}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_and_one_that_can_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::under(folder.path());
        for path in [&config.state_dir, &config.runtime_dir, &config.audit_file.parent().unwrap().to_owned()]
        {
            fs::create_dir_all(path).unwrap();
        }
        let about_paths = |config: &Config| -> Vec<_> {
            problems(config).into_iter().filter(|problem| !problem.contains("capabilities")).collect()
        };
        assert_eq!(about_paths(&config), Vec::<String>::new(), "what is not there is told by others");
        assert_eq!(fs::read_dir(&config.state_dir).unwrap().count(), 0);
        config.state_dir = "/proc".into(); // nobody can write there, root neither
        told(&config, &["`/proc` (state_dir) cannot be written"]);
        config.audit_file = folder.path().join("none/audit.jsonl");
        told(&config, &["none` (audit.file) cannot be written", "No such file"]);
    }

    #[test]
    fn what_a_server_needs() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::under(folder.path());
        config.sources.push(crate::config::Source {
            name: "store".into(),
            location: Location::Rest(crate::config::RestConfig::at("https://store.example")),
        });
        // Here there is a network.
        assert_eq!(network(&config), None);
    }
}
