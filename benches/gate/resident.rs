//! What a process keeps in memory.

use std::fs;

/// From `/proc`, in MiB.
pub(crate) struct Resident {
    pub(crate) all: f64,
    /// Not backed by a file: heap and stacks.
    pub(crate) own: f64,
    /// Pages of the program and its libraries.
    pub(crate) files: f64,
    /// The most there was.
    pub(crate) peak: f64,
}

impl Resident {
    pub(crate) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib: f64 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
            kib / 1024.0
        };
        let own = field("RssAnon");
        Self { all: field("VmRSS"), own, files: field("RssFile"), peak: field("VmHWM") }
    }
}
