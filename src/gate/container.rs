//! From a bundle to an [`AskedContainer`]: what the gate `create` asks about.
//!
//! Reads `config.json` as the runtime will, in its final form, and nothing else. What cannot be read, does not
//! fit a question or contradicts itself is a problem, which refuses the container by name; nothing is cut where
//! it could decide. [`AskedContainer::privileged`] is true if one of these marks is there. Each reaches the host
//! by itself, or would with a runtime that reads a specification less strictly than another; a user namespace
//! takes the force out of most, and is told apart for that.
//!
//! | mark | because |
//! |---|---|
//! | one of the [`CAPABILITIES`] in any set | it mounts, loads code into the kernel, or opens files outside of the root |
//! | the devices cgroup does not begin with nothing, or allows all devices, all block devices of a driver, or all character devices, to be read or written | the host's disks and memory |
//! | `proc` is mounted and `maskedPaths` is empty or `readonlyPaths` lacks `/proc/sys`, or it is mounted elsewhere than on `/proc` | `core_pattern` and the like run programs on the host |
//! | `sysfs` is mounted writable | `uevent_helper` likewise |
//! | a mount that is neither a bind nor one of the [`FILE_SYSTEMS`] | a disk, or a part of the kernel, mounted by the runtime |
//! | no `linux` at all | none of the above is bounded |
//!
//! A privileged container of containerd has the first four.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use self::specification::Specification;
pub use self::specification::{CAPABILITIES, FILE_SYSTEMS};
use super::frame::MAX_ASK;
use super::line::one_line;
use super::message::AskedContainer;
use crate::text::cut;

mod mounts;
mod specification;

/// A longer `config.json`, in bytes, is not read.
pub const MAX_CONFIG: u64 = 16 * 1024 * 1024;
/// A container whose description is longer than so many bytes of JSON is not asked about: the rest of a
/// question is the gate's own and fits beside it.
pub const MAX_DESCRIPTION: usize = MAX_ASK - 16 * 1024;
/// The longest id in bytes.
const MAX_ID: usize = 1024;
/// The longest path of the bundle and of the root, in bytes: `PATH_MAX`.
const MAX_PATH: usize = 4096;
/// The folder in which containerd keeps the bundles of its namespaces.
const TASKS: &str = "io.containerd.runtime.v2.task";
/// Annotations that are passed on beside CRI's: containerd writes them for a checkpoint.
const CHECKPOINT: [&str; 3] = ["restored", "checkpointedAt", "checkpointImage"];

/// Describes the container `id` whose bundle is the folder `bundle`, about to be created by `command`. With a
/// problem the description is what is known, cut to fit.
#[must_use]
pub fn describe(id: &str, bundle: &Path, command: &str) -> (AskedContainer, Option<String>) {
    describe_mounted(id, bundle, command, None)
}

/// The same of one whose mounts are made by now, in the mount namespace of the process `pid`: its sources are
/// also told as what is mounted there.
#[must_use]
pub fn describe_mounted(
    id: &str,
    bundle: &Path,
    command: &str,
    pid: Option<u32>,
) -> (AskedContainer, Option<String>) {
    let mut container = AskedContainer {
        id: cut(id, MAX_ID).to_owned(),
        bundle: cut(&bundle.to_string_lossy(), MAX_PATH).to_owned(),
        command: command.to_owned(),
        ..AskedContainer::default()
    };
    let read = read(&mut container, id, bundle, pid).and_then(|()| check_size(&container));
    let problem = read.err().map(|problem| one_line(&problem, MAX_ID));
    if problem.is_some() {
        shorten(&mut container);
    }
    (container, problem)
}

fn read(container: &mut AskedContainer, id: &str, bundle: &Path, pid: Option<u32>) -> Result<(), String> {
    if id.is_empty() {
        return Err("the container has no id".to_owned());
    }
    if id.len() > MAX_ID {
        return Err(format!("the id has {} bytes, more than the {MAX_ID} allowed", id.len()));
    }
    if !bundle.is_absolute() {
        return Err(format!("the bundle `{}` is not an absolute path", bundle.display()));
    }
    let named = bundle;
    let bundle = std::fs::canonicalize(named)
        .map_err(|error| format!("the bundle `{}` cannot be read: {error}", named.display()))?;
    container.bundle = path(&bundle)?;
    if let Some((namespace, last)) = containerd_task(&bundle) {
        container.namespace = Some(namespace.to_owned());
        if last != id {
            return Err(format!("the bundle is that of `{last}`, and the id is `{id}`"));
        }
    }

    let file = bundle.join("config.json");
    let named = |problem: String| format!("`{}` {problem}", file.display());
    let text = contents(&file).map_err(named)?;
    let specification: Specification =
        serde_json::from_slice(&text).map_err(|error| named(format!("cannot be read: {error}")))?;

    container.annotations = specification.annotations(is_passed_on);
    container.rootfs = match specification.root() {
        Some(root) => path(&bundle.join(root))?,
        None => return Err(named("has no `root.path`".to_owned())),
    };
    let mut sources = BTreeMap::new();
    let mut add = |source: &Path, is_readonly: bool| {
        let everywhere = sources.entry(path(source)?).or_insert(true);
        *everywhere &= is_readonly;
        Ok::<_, String>(())
    };
    for (source, is_readonly) in specification.bind_sources(&bundle) {
        add(&source, is_readonly)?;
        // As the runtime, with all its rights and in the node's own view, follows it: the daemon has neither.
        if let Ok(real) = std::fs::canonicalize(&source) {
            add(&real, is_readonly)?;
        }
    }
    if let Some(pid) = pid {
        for (mounted, is_readonly) in mounts::sources(pid, Path::new(&container.rootfs))? {
            add(&mounted, is_readonly)?;
        }
    }
    let read_only = sources.values().enumerate().filter(|(_, is_readonly)| **is_readonly);
    container.read_only = read_only.map(|(place, _)| place).collect();
    container.sources = sources.into_keys().collect();
    container.privileged = specification.is_privileged();
    container.host_pid = !specification.has_own_namespace("pid");
    container.user_namespace = specification.has_own_namespace("user");
    Ok(())
}

fn path(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) if text.len() <= MAX_PATH => Ok(text.to_owned()),
        Some(text) => Err(format!(
            "the path `{}…` has {} bytes, more than the {MAX_PATH} allowed",
            cut(text, 128),
            text.len()
        )),
        None => Err(format!("the path `{}` is not UTF-8", path.display())),
    }
}

fn is_passed_on(annotation: &str) -> bool {
    annotation.starts_with("io.kubernetes.cri.") || CHECKPOINT.contains(&annotation)
}

/// Namespace and id of a bundle where containerd keeps its bundles.
fn containerd_task(bundle: &Path) -> Option<(&str, &str)> {
    let mut parts = bundle.components().rev().map(|part| part.as_os_str().to_str());
    let (id, namespace, tasks) = (parts.next()??, parts.next()??, parts.next()??);
    (tasks == TASKS).then_some((namespace, id))
}

/// The whole of a regular file of at most [`MAX_CONFIG`] bytes that is no symbolic link. Waits for no writer.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(number) if number == nix::errno::Errno::ELOOP as i32 => {
                "is a symbolic link; the runtime's caller must write a file there".to_owned()
            }
            _ => failed(error),
        })?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut text =
        Vec::with_capacity(usize::try_from(metadata.len().min(MAX_CONFIG)).unwrap_or_default() + 1);
    file.take(MAX_CONFIG + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_CONFIG {
        return Err(format!("has more than the {MAX_CONFIG} bytes allowed"));
    }
    Ok(text)
}

fn check_size(container: &AskedContainer) -> Result<(), String> {
    let length = length(container);
    if length <= MAX_DESCRIPTION {
        return Ok(());
    }
    Err(format!(
        "the container with its {} annotations and {} bind mounts takes {length} bytes to describe, more than the \
         {MAX_DESCRIPTION} allowed; give it fewer mounts, or shorter paths",
        container.annotations.len(),
        container.sources.len()
    ))
}

fn length(container: &AskedContainer) -> usize {
    serde_json::to_vec(container).map_or(usize::MAX, |text| text.len())
}

/// Leaves out what may be long, of a container that is refused anyway; its names stay as far as they are short.
fn shorten(container: &mut AskedContainer) {
    container.sources.clear();
    container.read_only.clear();
    container.annotations.retain(|key, value| key.len() + value.len() <= 1024);
    if length(container) > MAX_DESCRIPTION {
        container.annotations.clear();
    }
}

/// `path` as it is meant by a process in this one's folder; `None` where that has gone.
#[must_use]
pub fn absolute(path: &Path) -> Option<PathBuf> {
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    std::env::current_dir().ok().map(|folder| folder.join(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use serde_json::{Value, json};

    use super::*;

    /// The bundle of `id` in the namespace `k8s.io` of a containerd.
    fn bundle(folder: &Path, id: &str, config: &str) -> PathBuf {
        let bundle = folder.canonicalize().unwrap().join(TASKS).join("k8s.io").join(id);
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("config.json"), config).unwrap();
        bundle
    }

    fn config(mounts: usize, annotation: &str) -> Value {
        let mounts: Vec<_> = (0..mounts)
            .map(|n| {
                let source = format!(
                    "/var/lib/kubelet/pods/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9/volume-subpaths/a-long-name-of-a-volume/\
                     the-container/{n}/{}",
                    "a-file-name-of-some-length/".repeat(4)
                );
                json!({"destination": format!("/mnt/{n}"), "type": "bind", "source": source, "options": ["rbind", "ro"]})
            })
            .collect();
        json!({
            "root": {"path": "rootfs"}, "mounts": mounts, "linux": {"namespaces": [{"type": "pid"}]},
            "annotations": {"io.kubernetes.cri.container-name": "web", "restored": "true", "other": annotation},
        })
    }

    #[test]
    fn a_container_of_containerd() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = bundle(folder.path(), "c1", &config(1, "x").to_string());
        let link = folder.path().join("link");
        symlink(folder.path().join(TASKS), &link).unwrap();
        for named in [bundle.clone(), bundle.join("."), link.join("k8s.io/c1"), bundle.join("../c1/")] {
            let (container, problem) = describe("c1", &named, "hook");
            assert_eq!(problem, None);
            let at = bundle.to_str().unwrap();
            assert_eq!((container.id.as_str(), container.namespace.as_deref()), ("c1", Some("k8s.io")));
            assert_eq!((container.bundle.as_str(), container.rootfs), (at, format!("{at}/rootfs")));
            assert_eq!((container.command.as_str(), container.sources.len()), ("hook", 1));
            assert_eq!(container.read_only, [0].into());
            let annotations: Vec<_> = container.annotations.keys().map(String::as_str).collect();
            assert_eq!(annotations, ["io.kubernetes.cri.container-name", "restored"]);
            assert!(container.privileged, "nothing bounds its devices");
            assert!(!container.host_pid && !container.user_namespace);
        }
    }

    #[test]
    fn sources_are_told_as_written_and_as_they_resolve() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::create_dir(at("closed")).unwrap();
        symlink(at("real"), at("closed/link")).unwrap();
        // As a container's own user may have it.
        fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(at("closed"), Some(1000), Some(1000)).ok();
        let mut config = config(0, "");
        config["mounts"] = json!([
            {"destination": "/a", "type": "bind", "source": at("closed/link")},
            {"destination": "/b", "type": "bind", "source": at("none"), "options": ["ro"]},
            {"destination": "/c", "type": "bind", "source": at("closed"), "options": ["rbind", "rro"]},
            {"destination": "/d", "type": "bind", "source": at("real"), "options": ["ro"]},
        ]);
        let (container, problem) = describe("c", &bundle(folder.path(), "c", &config.to_string()), "hook");
        assert_eq!(problem, None);
        let expected = ["closed", "closed/link", "none", "real"].map(|name| at(name).display().to_string());
        assert_eq!(container.sources, expected);
        // One that can be written somewhere can be written.
        assert_eq!(container.read_only, [0, 2].into());
    }

    #[test]
    fn bundles_elsewhere_have_no_namespace() {
        for (path, expected) in [
            ("/run/containerd/io.containerd.runtime.v2.task/default/c", Some(("default", "c"))),
            ("/run/containerd/io.containerd.runtime.v2.task/default/c/x", None),
            ("/run/containerd/io.containerd.runtime.v2.task/c", None),
            ("/run/containerd/io.containerd.runtime.v1.linux/default/c", None),
            ("/b", None),
        ] {
            assert_eq!(containerd_task(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn five_hundred_mounts_fit_and_what_does_not_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let many = bundle(folder.path(), "many", &config(500, &"x".repeat(1_000_000)).to_string());
        let (container, problem) = describe("many", &many, "hook");
        assert_eq!((problem, container.sources.len()), (None, 500));
        assert!(length(&container) > 64 * 1024, "the old bound would not do");

        let more = bundle(folder.path(), "more", &config(2_000, "").to_string());
        let (container, problem) = describe("more", &more, "hook");
        let problem = problem.unwrap();
        assert!(problem.contains("2000 bind mounts takes") && problem.contains("fewer mounts"), "{problem}");
        assert!(length(&container) < MAX_DESCRIPTION && container.annotations.len() == 2);
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let deep = format!("{{\"root\":{}", "[".repeat(1_000_000));
        let twice = r#"{"root":{"path":"a"},"root":{"path":"b"}}"#;
        let long = format!(r#"{{"root":{{"path":"{}"}}}}"#, "r".repeat(5000));
        for (config, expected) in [
            ("", "cannot be read: EOF"),
            ("nonsense", "cannot be read: expected"),
            ("[]", "cannot be read: "),
            ("{}", "has no `root.path`"),
            (r#"{"root":null}"#, "has no `root.path`"),
            (r#"{"root":{"path":""}}"#, "has no `root.path`"),
            (r#"{"root":{"path":"r"},"mounts":[{"source":7}]}"#, "cannot be read: invalid type"),
            (twice, "duplicate field `root`"),
            (&deep, "cannot be read: "),
            ("{\"root\":{\"path\":\"\u{0}\"}}", "cannot be read: control character"),
            (&long, "has 5"),
        ] {
            let (container, problem) = describe("c", &bundle(folder.path(), "c", config), "hook");
            let problem = problem.unwrap();
            assert!(problem.contains(expected) && problem.len() <= 1024, "{problem}");
            assert_eq!((container.id.as_str(), container.namespace.as_deref()), ("c", Some("k8s.io")));
        }

        let good = config(1, "").to_string();
        let linked = bundle(folder.path(), "linked", &good);
        fs::rename(linked.join("config.json"), folder.path().join("elsewhere")).unwrap();
        symlink(folder.path().join("elsewhere"), linked.join("config.json")).unwrap();
        let fifo = bundle(folder.path(), "fifo", &good);
        fs::remove_file(fifo.join("config.json")).unwrap();
        nix::unistd::mkfifo(&fifo.join("config.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let huge = bundle(folder.path(), "huge", &good);
        fs::File::options()
            .write(true)
            .open(huge.join("config.json"))
            .unwrap()
            .set_len(MAX_CONFIG + 1)
            .unwrap();
        let gone = bundle(folder.path(), "gone", &good);
        fs::remove_file(gone.join("config.json")).unwrap();
        let long = "i".repeat(5000);
        for (id, path, expected) in [
            ("linked", linked, "config.json` is a symbolic link"),
            ("fifo", fifo, "is not a regular file"),
            ("huge", huge, "has more than the 16777216 bytes allowed"),
            ("gone", gone.clone(), "No such file"),
            ("other", gone, "the bundle is that of `gone`, and the id is `other`"),
            ("", "/".into(), "the container has no id"),
            ("c", "relative".into(), "the bundle `relative` is not an absolute path"),
            ("c", "/no/where".into(), "the bundle `/no/where` cannot be read: No such file"),
            (&long, "/".into(), "the id has 5000 bytes"),
        ] {
            let (container, problem) = describe(id, &path, "hook");
            let problem = problem.unwrap();
            assert!(problem.contains(expected), "{problem}");
            assert!(container.id.len() <= MAX_ID);
        }
    }
}
