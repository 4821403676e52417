//! A daemon of a bench's own, without a containerd.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bench::{Bench, Ran, app};

/// Changes are in force within a second; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(15);

/// A folder with a `config.toml`, and a daemon that was started by it.
pub(crate) struct Node {
    pub(crate) bench: Bench,
    pub(crate) daemon: Option<Child>,
}

impl Node {
    /// With what stands before the tables of its configuration, and these tables. Documents lie in `etc`.
    pub(crate) fn of(bench: Bench, more: &str, tables: &str) -> Self {
        bench.chmod(".", 0o755);
        for folder in ["occurrences", "etc/attestors"] {
            fs::create_dir_all(bench.at(folder)).unwrap();
        }
        let at = |name: &str| bench.at(name).display().to_string();
        let config = format!(
            "config_version = 1\n{more}deny_list = '{deny}'\nsystem_policy = '{system}'\nattestors = '{attestors}'\n\
             state_dir = '{state}'\nruntime_dir = '{run}'\n{tables}\
             [containerd]\naddress = '{none}'\nnri_socket = '{none}'\n\
             [[sources]]\nname = 'local'\nurl = 'file://{occurrences}'\n[audit]\nfile = '{audit}'\n",
            deny = at("etc/deny.yaml"),
            system = at("etc/system-policy.yaml"),
            attestors = at("etc/attestors"),
            state = at("state"),
            run = at("run"),
            none = at("none.sock"),
            occurrences = at("occurrences"),
            audit = at("audit.jsonl"),
        );
        bench.write("config.toml", config);
        bench.run("config check config.toml").gave(0, "valid:         yes");
        Self { bench, daemon: None }
    }

    pub(crate) fn start(&mut self) {
        let daemon = Command::new(env!("CARGO_BIN_EXE_binauthd"))
            .arg("--config")
            .arg(self.bench.at("config.toml"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        self.until("the daemon to answer", |node| node.run("status").code == 0);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub(crate) fn terminate(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(daemon.wait().unwrap().success());
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        self.bench.run(&format!("--config config.toml {line}"))
    }

    pub(crate) fn status(&self) -> Value {
        self.run("status -o json").gave(0, "").json()
    }

    pub(crate) fn version(&self) -> Option<u64> {
        self.status()["bundle"]["version"].as_u64()
    }

    pub(crate) fn verdict(&self) -> Value {
        self.run(&format!("evaluate {} -o json", app())).json()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.run("status"));
            sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub(crate) fn until_version(&self, version: u64) {
        self.until(&format!("version {version}"), |node| node.version() == Some(version));
    }

    pub(crate) fn alarms(&self) -> String {
        self.status()["alarms"].to_string()
    }

    #[track_caller]
    pub(crate) fn until_alarm(&self, part: &str) {
        self.until(part, |node| node.alarms().contains(part));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
