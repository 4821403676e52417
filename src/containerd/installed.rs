//! The containerd of this machine: which program it is, which configuration file it reads, what that comes to.
//!
//! The one that runs tells by itself: the process behind its socket has a program and a command line. Where none
//! runs, it is `containerd` on the path, with the file that it reads unless told otherwise.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{SysconfVar, sysconf};

use super::run::output;

/// The file that containerd reads unless told otherwise.
pub const DEFAULT_FILE: &str = "/etc/containerd/config.toml";
/// The largest configuration that is read, in bytes. The default one has 10,000.
const MAX_DUMP: usize = 4 * 1024 * 1024;
/// How long the program is waited for. It takes some 50 ms.
const DEADLINE: Duration = Duration::from_secs(20);
/// How exactly it is known when a process started.
const PRECISION: Duration = Duration::from_secs(2);

/// Why nothing is known of it.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// The program does not tell.
    #[error("`{program}` does not tell its {what}: {cause}")]
    Program {
        /// What was run.
        program: String,
        /// What it was asked.
        what: &'static str,
        /// Why not.
        cause: io::Error,
    },
    /// It told something that cannot be understood.
    #[error("`{program}` prints a configuration that cannot be understood")]
    Dump {
        /// What was run.
        program: String,
        /// Why not.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A version of another form than `1.7.24~ds1` or `v2.1.4`.
    #[error("`{program}` is of a version that cannot be understood: `{version}`")]
    Version {
        /// What was run.
        program: String,
        /// What it said.
        version: String,
    },
}

/// A version, as far as features hang on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// Such as 2.
    pub major: u32,
    /// Such as 1.
    pub minor: u32,
}

/// The containerd of this machine.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Its program.
    pub program: PathBuf,
    /// Its configuration file, which need not exist.
    pub file: PathBuf,
    /// Its version as it prints it, without a leading `v`.
    pub version: String,
    /// The same, read.
    pub release: Release,
    /// The `ctr` that came with it.
    pub ctr: PathBuf,
    /// Its process, where it runs.
    pub running: Option<Running>,
}

/// A running containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Its process.
    pub pid: i32,
    /// When it started; to a second.
    pub started: Option<SystemTime>,
}

impl Release {
    /// Reads the version that containerd prints.
    #[must_use]
    pub fn parse(version: &str) -> Option<Self> {
        let mut parts = version.trim_start_matches('v').splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?;
        let digits = minor.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(minor.len());
        Some(Self { major, minor: minor.get(..digits)?.parse().ok()? })
    }

    /// Whether it is `major.minor` or later.
    #[must_use]
    pub const fn is_at_least(self, major: u32, minor: u32) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }
}

impl Installed {
    /// Finds the one behind `socket`. What is named, `program` or `file`, is not looked for.
    ///
    /// # Errors
    /// [`InstalledError`] where the program cannot be run or prints no version.
    pub fn find(
        socket: &Path,
        program: Option<PathBuf>,
        file: Option<PathBuf>,
    ) -> Result<Self, InstalledError> {
        let pid = behind(socket);
        let program = program.or_else(|| executed(pid?)).unwrap_or_else(|| PathBuf::from("containerd"));
        let file = file.or_else(|| told(pid?)).unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let version = version(&program)?;
        let release = Release::parse(&version).ok_or_else(|| InstalledError::Version {
            program: program.display().to_string(),
            version: version.clone(),
        })?;
        let running = pid.map(|pid| Running { pid, started: started(pid) });
        let beside = program.with_file_name("ctr");
        let ctr = if beside.is_file() { beside } else { PathBuf::from("ctr") };
        Ok(Self { program, file, version, release, ctr, running })
    }

    /// What a configuration file comes to, everything that it imports and every default included (`containerd config
    /// dump`). Of a file that is not there, the defaults.
    ///
    /// It is what a containerd that starts now would do; one that runs already may have started from something else.
    ///
    /// # Errors
    /// [`InstalledError`] where containerd refuses the file, says so in another form than TOML, or takes over 20 s.
    pub fn dump(&self, file: &Path) -> Result<toml::Table, InstalledError> {
        if !file.exists() {
            return self.defaults();
        }
        let mut command = Command::new(&self.program);
        self.printed(command.arg("--config").arg(file).args(["config", "dump"]))
    }

    /// The same without a file.
    ///
    /// # Errors
    /// As [`Installed::dump`].
    pub fn defaults(&self) -> Result<toml::Table, InstalledError> {
        self.printed(Command::new(&self.program).args(["config", "default"]))
    }

    fn printed(&self, command: &mut Command) -> Result<toml::Table, InstalledError> {
        let program = || self.program.display().to_string();
        let text = output(command, MAX_DUMP, DEADLINE).map_err(|cause| InstalledError::Program {
            program: program(),
            what: "configuration",
            cause,
        })?;
        text.parse().map_err(|cause| InstalledError::Dump { program: program(), cause: Box::new(cause) })
    }
}

impl Running {
    /// Whether `file` was changed after this process started; not where nobody knows. What happened within two seconds of its
    /// start counts as before: it is not told more exactly.
    #[must_use]
    pub fn is_older_than(&self, file: &Path) -> bool {
        let changed = fs::metadata(file).and_then(|file| file.modified()).ok();
        matches!((self.started, changed), (Some(started), Some(changed)) if started + PRECISION < changed)
    }
}

/// The program of the containerd that serves on `socket`; none where the caller may not see that process.
#[must_use]
pub fn program_behind(socket: &Path) -> Option<PathBuf> {
    executed(behind(socket)?)
}

fn executed(pid: i32) -> Option<PathBuf> {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // What an upgrade has replaced lies at the same place again.
    let exe = exe.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
    Some(PathBuf::from(exe)).filter(|exe| exe.is_file())
}

/// The process that listens on a socket.
fn behind(socket: &Path) -> Option<i32> {
    let stream = UnixStream::connect(socket).ok()?;
    let pid = getsockopt(&stream, PeerCredentials).ok()?.pid();
    // 0 for a process that is not in this namespace.
    Some(pid).filter(|&pid| pid > 0)
}

/// The configuration file that a process was told to read.
fn told(pid: i32) -> Option<PathBuf> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let file = told_by(line.split('\0'))?;
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_else(|_| PathBuf::from("/"));
    Some(cwd.join(file))
}

fn told_by<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Option<PathBuf> {
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (argument, None),
        };
        if matches!(flag, "-c" | "--c" | "-config" | "--config") {
            return value.or_else(|| arguments.next()).map(PathBuf::from);
        }
    }
    None
}

fn version(program: &Path) -> Result<String, InstalledError> {
    let mut command = Command::new(program);
    let text = output(command.arg("--version"), MAX_DUMP, DEADLINE);
    let text = text.map_err(|cause| InstalledError::Program {
        program: program.display().to_string(),
        what: "version",
        cause,
    })?;
    // `containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376`
    Ok(text.split_whitespace().nth(2).unwrap_or_default().trim_start_matches('v').to_owned())
}

/// proc(5): the 22nd field of `stat` is when it started, in ticks since boot.
fn started(pid: i32) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: u64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
    let in_a_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let since_boot = Duration::from_secs(ticks.checked_div(in_a_second)?);
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(booted) + since_boot)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn versions() {
        let release = |text| Release::parse(text).map(|release| (release.major, release.minor));
        assert_eq!(release("1.7.24~ds1"), Some((1, 7)));
        assert_eq!(release("v2.1.4"), Some((2, 1)));
        assert_eq!(release("2.4-beta"), Some((2, 4)));
        assert_eq!(release("main"), None);
        let newer = Release { major: 2, minor: 2 };
        assert!(newer.is_at_least(2, 2) && newer.is_at_least(1, 7) && !newer.is_at_least(2, 3));
    }

    #[test]
    fn the_file_that_it_was_told_to_read() {
        let told = |line: &str| told_by(line.split(' '));
        assert_eq!(told("containerd --config /a"), Some("/a".into()));
        assert_eq!(told("containerd -c=/a --address x"), Some("/a".into()));
        assert_eq!(told("containerd --log-level debug"), None);
    }

    #[test]
    fn the_process_behind_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.sock");
        assert_eq!(behind(&path), None);
        let _listener = UnixListener::bind(&path).unwrap();
        let pid = behind(&path).unwrap();
        assert_eq!(u32::try_from(pid).unwrap(), std::process::id());
        let started = started(pid).unwrap();
        assert!(started <= SystemTime::now());
        assert_eq!(program_behind(&path), std::env::current_exe().ok());
        let running = Running { pid, started: Some(started - Duration::from_secs(5)) };
        assert!(running.is_older_than(&path) && !running.is_older_than(Path::new("/none")));
    }
}
