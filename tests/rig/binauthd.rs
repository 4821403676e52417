//! The programs under test: the daemon, and the tools that run and end.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::{Etc, Node, PATIENCE, Process, eventually};

/// binauthd of one node. Dropping it kills it, and so does the end of the node.
pub(crate) struct Daemon {
    home: PathBuf,
    etc: Etc,
    program: PathBuf,
    env: Vec<(String, String)>,
    process: Process,
}

impl Daemon {
    /// Starts `program` with the node's `config.toml` and waits until its sockets take
    /// connections.
    pub(crate) async fn start(node: &Node, program: &Path) -> Self {
        let mut daemon = Self::spawn(node, program, &[]);
        daemon.ready().await;
        daemon
    }

    /// The same without waiting, and with more environment: for daemons that are expected to end or to
    /// hang.
    pub(crate) fn spawn(node: &Node, program: &Path, env: &[(&str, &str)]) -> Self {
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let process = launch(node.home.path(), &node.etc, program, &env);
        Self {
            home: node.home.path().to_owned(),
            etc: node.etc.clone(),
            program: program.to_owned(),
            env,
            process,
        }
    }

    /// Waits until both sockets take connections.
    ///
    /// # Panics
    ///
    /// When the daemon ends instead, with its stderr.
    pub(crate) async fn ready(&mut self) {
        let process = &mut self.process;
        for socket in [self.etc.gate_socket(), self.etc.admin_socket()] {
            eventually("binauthd to take connections", PATIENCE, || {
                process.must_live();
                let socket = socket.clone();
                async move { UnixStream::connect(&socket).await.ok() }
            })
            .await;
        }
    }

    /// `kill -9`. The sockets' files stay, as they do on a node.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; `None` when it had to be killed after ten seconds.
    pub(crate) async fn terminate(&mut self) -> Option<ExitStatus> {
        self.process.terminate(Duration::from_secs(10)).await
    }

    /// Stops it where it stands (alive, silent), until [`Daemon::thaw`].
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Ends it, if it still runs, with `kill -9`, starts it again and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.home, &self.etc, &self.program, &self.env);
        self.ready().await;
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Everything it printed, over all restarts.
    pub(crate) fn stderr(&self) -> String {
        self.process.log()
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        self.process.resident_kib()
    }
}

fn launch(home: &Path, etc: &Etc, program: &Path, env: &Vec<(String, String)>) -> Process {
    let mut command = super::home::command(home, program);
    command.arg("--config").arg(etc.config());
    // Not this test run's supervisor.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    for (key, value) in env {
        command.env(key, value);
    }
    Process::start("binauthd", command, &home.join("log/binauthd"))
}

/// How a program ended and what it printed.
#[derive(Debug)]
pub(crate) struct Output {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Stdout of a run that must have worked.
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Stdout of a run that must have worked, as JSON.
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.success()).unwrap()
    }
}

/// A program that runs and ends: `binauthctl`, a gate program, `ctr`, `cosign`.
#[derive(Clone)]
pub(crate) struct Tool {
    program: PathBuf,
    before: Vec<String>,
    env: Vec<(String, String)>,
    folder: Option<PathBuf>,
}

impl Tool {
    pub(crate) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), before: Vec::new(), env: Vec::new(), folder: None }
    }

    /// An argument that goes before those of every run.
    pub(crate) fn with_arg(mut self, argument: impl Into<String>) -> Self {
        self.before.push(argument.into());
        self
    }

    pub(crate) fn with_env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// The folder it runs in, instead of the test's own.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Runs it with nothing on stdin.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"").await
    }

    /// Runs it with `stdin`. It has a minute.
    pub(crate) async fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut command = tokio::process::Command::new(&self.program);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command
            .args(&self.before)
            .args(arguments)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("`{}`: {error}", self.program.display()));
        let mut pipe = child.stdin.take().unwrap();
        let feed = async {
            let _ = pipe.write_all(stdin).await; // a program need not read it all
            drop(pipe);
        };
        let work = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(Duration::from_secs(60), work)
            .await
            .unwrap_or_else(|_| panic!("`{} {}` does not end", self.program.display(), arguments.join(" ")))
            .unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
