//! What this process takes, by the kernel's word (`/proc/self`).

use std::time::Duration;

/// What is asked about it; whatever cannot be read is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Memory that is resident, in bytes.
    pub resident_bytes: Option<u64>,
    /// Time on processors, its threads' and the kernel's for it.
    pub cpu: Option<Duration>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// As many as it may open.
    pub max_fds: Option<u64>,
}

impl Process {
    /// Reads it now.
    #[must_use]
    pub fn now() -> Self {
        let text = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let fds = std::fs::read_dir("/proc/self/fd").ok();
        Self {
            // The one that reads the folder is open, too, and is not counted.
            open_fds: fds.map(|fds| (fds.count() as u64).saturating_sub(1)),
            ..Self::of(&text("status"), &text("stat"), &text("limits"), ticks())
        }
    }

    /// From the texts of `status`, `stat` and `limits`, with so many ticks a second.
    fn of(status: &str, stat: &str, limits: &str, ticks: u64) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // The name in brackets may hold anything; user and system time are the 14th and 15th field.
        let times = stat.rsplit_once(')').and_then(|(_, rest)| {
            let mut fields = rest.split_whitespace().skip(11);
            Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
        });
        let max = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            resident_bytes: field("VmRSS:").map(|kib| kib * 1024),
            cpu: times.map(|used| Duration::from_millis(used.saturating_mul(1000) / ticks.max(1))),
            open_fds: None,
            max_fds: max.and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
        }
    }
}

fn ticks() -> u64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    ticks.and_then(|ticks| ticks.try_into().ok()).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let status = "Name:\tbinauthd\nVmRSS:\t    5120 kB\nThreads:\t7\n";
        let stat = "12 (bin) auth (d) S 1 12 12 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 7 0 100 1 2";
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024    4096    files\n";
        let read = Process::of(status, stat, limits, 100);
        let whole = Process {
            resident_bytes: Some(5 * 1024 * 1024),
            cpu: Some(Duration::from_secs(2)),
            open_fds: None,
            max_fds: Some(1024),
        };
        assert_eq!(read, whole);
        assert_eq!(Process::of("", "", "Max open files unlimited", 100), Process::default());
        let now = Process::now();
        assert!(now.resident_bytes.unwrap() > 0 && now.open_fds.unwrap() > 2);
        assert!(now.cpu.is_some());
    }
}
