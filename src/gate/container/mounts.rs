//! What is mounted in a container by the kernel's word (proc_pid_mountinfo(5)), told as paths of the node.
//!
//! The runtime has followed every source by now. Who may change a folder on the node can have led it elsewhere
//! for just that moment, so neither the text nor where it leads now tells what was mounted.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The longest list of mounts that is read, in bytes.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// A line of the list.
struct Mount<'a> {
    /// Which file system, `major:minor`.
    device: &'a str,
    /// What of it is mounted.
    root: PathBuf,
    at: PathBuf,
    is_readonly: bool,
}

/// Where on this node lies what process `pid` has mounted below `rootfs`, and whether read-only. What lies nowhere on the node, as a
/// file system made for the container, is left out.
pub(super) fn sources(pid: u32, rootfs: &Path) -> Result<Vec<(PathBuf, bool)>, String> {
    let theirs = list(&format!("/proc/{pid}/mountinfo"))?;
    let ours = list("/proc/self/mountinfo")?;
    Ok(lie_at(&theirs, &ours, rootfs))
}

fn list(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("`{path}` cannot be read: {error}");
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_LIST + 1).read_to_string(&mut text)).map_err(failed)?;
    if text.len() as u64 > MAX_LIST {
        return Err(format!("`{path}` has more than the {MAX_LIST} bytes allowed"));
    }
    Ok(text)
}

fn lie_at(theirs: &str, ours: &str, rootfs: &Path) -> Vec<(PathBuf, bool)> {
    let ours: Vec<Mount<'_>> = ours.lines().filter_map(Mount::read).collect();
    let below = |mount: &Mount<'_>| mount.at != rootfs && mount.at.starts_with(rootfs);
    let mut places = Vec::new();
    for mount in theirs.lines().filter_map(Mount::read).filter(below) {
        let same = ours.iter().filter(|own| own.device == mount.device);
        let below = same.filter_map(|own| Some(own.at.join(mount.root.strip_prefix(&own.root).ok()?)));
        // A path joined to nothing ends with `/`.
        places.extend(below.map(|place| (place.components().collect(), mount.is_readonly)));
    }
    places.sort_unstable();
    places.dedup();
    places
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split(' ').skip(2);
        let (device, root, at) = (fields.next()?, unescaped(fields.next()?), unescaped(fields.next()?));
        // Those of this mount. That the file system itself is read-only may change.
        let is_readonly = fields.next()?.split(',').any(|option| option == "ro");
        Some(Self { device, root, at, is_readonly })
    }
}

/// Blanks, line ends and `\` are written as `\` and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(b'\\'));
        rest = if byte.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_lies_somewhere_on_the_node() {
        let ours = "\
            20 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            21 20 0:20 / /proc rw - proc proc rw\n\
            22 20 0:24 / /run rw - tmpfs tmpfs rw\n\
            23 22 0:40 / /run/c/b/rootfs rw - overlay overlay rw\n\
            24 20 8:1 /srv/a\\040b /mnt/again rw - ext4 /dev/sda1 rw\n\
            nonsense\n";
        let theirs = "\
            120 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            130 120 0:40 / /run/c/b/rootfs rw - overlay overlay rw\n\
            131 130 0:99 / /run/c/b/rootfs/proc rw - proc proc rw\n\
            132 130 0:24 /containerd /run/c/b/rootfs/innocent rw - tmpfs tmpfs rw\n\
            133 130 8:1 /srv/a\\040b/file /run/c/b/rootfs/file rw - ext4 /dev/sda1 rw\n\
            134 130 8:1 / /run/c/b/rootfs/host ro - ext4 /dev/sda1 rw\n\
            135 120 0:24 /nri /run/c/b/rootfs2/x rw - tmpfs tmpfs rw\n";
        let expected =
            [("/", true), ("/mnt/again/file", false), ("/run/containerd", false), ("/srv/a b/file", false)]
                .map(|(path, is_readonly)| (PathBuf::from(path), is_readonly));
        assert_eq!(lie_at(theirs, ours, Path::new("/run/c/b/rootfs")), expected);
        assert_eq!(lie_at("", ours, Path::new("/")), []);
    }

    #[test]
    fn escapes() {
        for (text, path) in [("/a", "/a"), ("/a\\040\\134b", "/a \\b"), ("/a\\9", "/a\\9"), ("\\", "\\")] {
            assert_eq!(unescaped(text), Path::new(path), "{text}");
        }
    }

    #[test]
    fn the_list_of_a_process() {
        let places = sources(std::process::id(), Path::new("/")).unwrap();
        assert!(places.iter().any(|(place, _)| place == Path::new("/proc")), "{places:?}");
        assert!(sources(u32::MAX, Path::new("/")).unwrap_err().contains("cannot be read"));
    }
}
