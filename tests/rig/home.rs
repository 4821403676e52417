//! The folder of one node, and the end of everything that lives in it.
//!
//! Owns the rule by which the rig knows its own: a process is this node's when its environment
//! carries the node's mark (containerd hands its environment down to shims and verifiers) or when
//! it sits in the node's cgroup (containers). Nothing else is ever signalled.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

const PREFIX: &str = "ba-";
const MARK: &str = "BINAUTHD_RIG_NODE";
const CGROUPS: &str = "/sys/fs/cgroup";
/// What `ctr run` makes outside of the folder, innermost first.
const CTR_FOLDERS: &[&str] = &[
    "/run/containerd/fifo",
    "/run/containerd/runc/default",
    "/run/containerd/runc/k8s.io",
    "/run/containerd/runc",
];
/// containerd compiles this path into its shims: their sockets are outside of the folder.
const SHIM_SOCKETS: &str = "/run/containerd/s";

/// A node's folder. Dropping it ends the node's processes, unmounts what is mounted below it and
/// removes it.
pub(crate) struct Home {
    path: PathBuf,
    /// Held for as long as this process lives: tells a living node's folder from a dead one's.
    _lock: File,
}

impl Home {
    /// A new folder under `$TMPDIR` or `/tmp`, after removing what dead test runs left there.
    pub(crate) fn new() -> Self {
        assert!(geteuid().is_root(), "the rig runs containers: it needs root");
        // A unix socket's path has at most 107 bytes, and containerd adds its own suffixes.
        let base = Some(std::env::temp_dir())
            .filter(|path| path.is_absolute() && path.as_os_str().len() < 40)
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        for path in homes(&base) {
            if let Some(_lock) = abandoned(&path) {
                remove(&path);
            }
        }
        let path = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&base).unwrap().keep();
        // Others may come as far as a socket's own mode lets them.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let lock = File::create(path.join("lock.new")).unwrap();
        lock.lock().unwrap();
        fs::rename(path.join("lock.new"), path.join("lock")).unwrap();
        Self { path, _lock: lock }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder below this one, made with mode 0755 if it is not there.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A command whose process, and what that starts, ends with this folder.
    pub(crate) fn command(&self, program: &Path) -> Command {
        command(&self.path, program)
    }

    /// The cgroup under which this node's containers run.
    pub(crate) fn cgroup(&self) -> String {
        cgroup(&self.path)
    }

    /// The snapshotter that works here.
    pub(crate) fn snapshotter(&self) -> &'static str {
        if self.takes_overlay() { "overlayfs" } else { "native" }
    }

    /// Whether the folder's file system carries overlayfs (not so when it is an overlay itself, as in
    /// a container).
    pub(crate) fn takes_overlay(&self) -> bool {
        let probe = self.folder("overlay");
        for part in ["lower", "upper", "work", "merged"] {
            fs::create_dir_all(probe.join(part)).unwrap();
        }
        let at = |part: &str| probe.join(part).display().to_string();
        let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
        let merged = probe.join("merged");
        let mounted =
            mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
                .is_ok();
        unmount(&probe);
        fs::remove_dir_all(&probe).unwrap();
        mounted
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// [`Home::command`] for who knows the folder but must not keep it.
pub(super) fn command(home: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    // A group of its own: an interrupt from the terminal is for the test to act on.
    command.env(MARK, home).current_dir(home).stdin(Stdio::null()).process_group(0);
    command
}

/// Writes a whole file at once (another name, then rename), so that who reads it never sees half.
pub(crate) fn write(path: &Path, mode: u32, bytes: &[u8]) {
    let folder = path.parent().unwrap();
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).unwrap();
    file.write_all(bytes).unwrap();
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).unwrap();
    // What is executed must not be open for writing any more ("text file busy").
    file.into_temp_path().persist(path).unwrap();
}

fn homes(base: &Path) -> Vec<PathBuf> {
    fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path())
        .collect()
}

/// Its lock, if it has one and nobody held it. A folder without one is being made, or is not ours.
fn abandoned(path: &Path) -> Option<File> {
    let lock = File::open(path.join("lock")).ok()?;
    lock.try_lock().is_ok().then_some(lock)
}

fn remove(path: &Path) {
    let sockets = shim_sockets(path);
    for _ in 0..400 {
        let processes = processes(path);
        if processes.is_empty() {
            break;
        }
        for pid in processes {
            let _ = kill(pid, Signal::SIGKILL);
        }
        sleep(Duration::from_millis(5));
    }
    unmount(path);
    for socket in sockets {
        let _ = fs::remove_file(socket);
    }
    remove_cgroups(path);
    let removed = fs::remove_dir_all(path);
    // A panic here would be a second one during a test's own.
    if let Err(error) = removed
        && path.exists()
    {
        eprintln!("rig: `{}` stays behind: {error}", path.display());
    }
    let others = path.parent().map(homes).unwrap_or_default();
    if others.is_empty() && !Path::new("/run/containerd/containerd.sock").exists() {
        for folder in [SHIM_SOCKETS].iter().chain(CTR_FOLDERS).chain(&["/run/containerd"]) {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Every process of the node in `home`, but for those that have ended and wait for their parent.
fn processes(home: &Path) -> Vec<Pid> {
    let mark = format!("{MARK}={}", home.display());
    let cgroup = format!(":{}/", cgroup(home));
    let carries = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
            || fs::read_to_string(process.join("cgroup")).is_ok_and(|text| text.contains(&cgroup))
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(|pid| (pid, entry.path())))
        .filter(|(pid, path)| *pid != std::process::id() as i32 && !is_zombie(path) && carries(path))
        .map(|(pid, _)| Pid::from_raw(pid))
        .collect()
}

fn is_zombie(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Sockets of the shims that containerd recorded in the node's state folder.
fn shim_sockets(home: &Path) -> Vec<PathBuf> {
    let tasks = home.join("state/io.containerd.runtime.v2.task/k8s.io");
    fs::read_dir(tasks)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| shim_address(&task.path()))
        .filter_map(|address| Some(PathBuf::from(address.strip_prefix("unix://")?)))
        .filter(|socket| socket.starts_with(SHIM_SOCKETS))
        .collect()
}

/// containerd 1.6 keeps the address by itself, later ones among other things.
fn shim_address(task: &Path) -> Option<String> {
    if let Ok(address) = fs::read_to_string(task.join("address")) {
        return Some(address.trim().to_owned());
    }
    let bootstrap = fs::read(task.join("bootstrap.json")).ok()?;
    let bootstrap: serde_json::Value = serde_json::from_slice(&bootstrap).ok()?;
    Some(bootstrap["address"].as_str()?.to_owned())
}

fn unmount(home: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    let below: Vec<&Path> = points.filter(|point| point.starts_with(home)).collect();
    // The last one mounted first.
    for point in below.iter().rev() {
        let _ = umount2(*point, MntFlags::MNT_DETACH);
    }
}

fn cgroup(home: &Path) -> String {
    format!("/{}", home.file_name().unwrap_or_default().to_string_lossy())
}

/// One hierarchy, or one for each controller.
fn remove_cgroups(home: &Path) {
    let name = cgroup(home);
    let name = name.trim_start_matches('/');
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    for root in hierarchies.chain([PathBuf::from(CGROUPS)]) {
        remove_cgroup(&root.join(name));
    }
}

/// A cgroup's folder goes with `rmdir`, innermost first, though it looks full of files.
fn remove_cgroup(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
