//! A store, its database, and whoever asks it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The program; another one may be named, such as one that was built to be shipped.
pub(crate) fn program() -> PathBuf {
    let other = std::env::var_os("BINAUTH_STORE");
    other.map_or_else(|| env!("CARGO_BIN_EXE_binauth-store").into(), PathBuf::from)
}
const SOON: Duration = Duration::from_secs(20);

/// Where a store keeps everything.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres(Postgres),
}

/// A PostgreSQL of its own.
pub(crate) struct Postgres {
    process: Child,
    folder: TempDir,
    port: u16,
    starts: usize,
    settings: &'static [&'static str],
}

/// A server.
pub(crate) struct Store {
    process: Child,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// A stream of changes.
pub(crate) struct Stream {
    process: Child,
    lines: Receiver<Value>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(Postgres::start(&["fsync=off"]))
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}/store.db", folder.path().display()),
            Self::Postgres(postgres) => postgres.url(),
        }
    }

    /// A server of it that lets everybody do everything.
    pub(crate) fn open(&self) -> Store {
        Store::start(&self.url(), &["--open-on-loopback"])
    }

    /// A verb, and what it prints.
    pub(crate) fn verb(&self, arguments: &[&str]) -> String {
        let output =
            Command::new(program()).args(arguments).args(["--database", &self.url()]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Postgres {
    /// With these settings beside its own.
    pub(crate) fn start(settings: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
        let made = nobody("initdb")
            .args(["-N", "-A", "trust", "-U", "store", "-E", "UTF8", "-D"])
            .arg(&data)
            .output();
        let made = made.unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Nobody else takes it in between, as far as can be helped.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Self::launch(&data, folder.path(), port, settings);
        let mut postgres = Self { process, folder, port, starts: 0, settings };
        postgres.ready();
        postgres
    }

    fn launch(data: &Path, folder: &Path, port: u16, settings: &[&str]) -> Child {
        let mut command = nobody("postgres");
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        command.arg("-D").arg(data).arg("-k").arg(folder).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        command.args(["-c", "max_connections=200"]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn ready(&mut self) {
        let start = Instant::now();
        self.starts += 1;
        loop {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            if log.matches("database system is ready to accept connections").count() == self.starts {
                return;
            }
            assert!(start.elapsed() < SOON, "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn url(&self) -> String {
        format!("postgres://store@127.0.0.1:{}/postgres", self.port)
    }

    /// `kill -9` of all of it, and started again.
    pub(crate) fn crash(&mut self) {
        self.stop();
        let folder = self.folder.path();
        self.process = Self::launch(&folder.join("data"), folder, self.port, self.settings);
        self.ready();
    }

    /// From now on, also for those who are connected.
    pub(crate) fn set(&self, setting: &str, value: &str) {
        let settings = self.folder.path().join("data/postgresql.auto.conf");
        fs::write(settings, format!("{setting} = {value}\n")).unwrap();
        self.signal(Signal::SIGHUP);
    }

    fn signal(&self, signal: Signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.process.id().cast_signed()), signal);
    }

    fn stop(&mut self) {
        // SIGQUIT: at once, without writing anything down; its own processes go with it.
        self.signal(Signal::SIGQUIT);
        let _ = self.process.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// PostgreSQL does not run as root.
fn nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(programs().join(program));
    command.current_dir("/").env("LC_ALL", "C");
    command
}

/// Of the newest one there is.
fn programs() -> PathBuf {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/rig/root/postgresql/usr/lib/postgresql");
    for root in [rig, PathBuf::from("/usr/lib/postgresql")] {
        let found = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        if let Some(found) = found.filter(|path| path.join("postgres").exists()).max() {
            return found;
        }
    }
    panic!("there is no PostgreSQL: run tests/rig/install.sh");
}

impl Store {
    pub(crate) fn start(database: &str, arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", database, arguments)
    }

    pub(crate) fn start_on(address: &str, database: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(program())
            .args(["--listen", address, "--database", database])
            .args(arguments)
            .env_remove("NOTIFY_SOCKET")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let url = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the store does not start: {said}") };
            if let Some((_, url)) = line.split_once("serves ") {
                break url.to_owned();
            }
            said += &(line + "\n");
        };
        // What it says later is read, so that it never waits.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url, token: None }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn with(&self, token: &str) -> Caller<'_> {
        Caller { url: &self.url, token: Some(token.trim().to_owned()), headers: Vec::new() }
    }

    pub(crate) fn call(&self, line: &str, body: Option<&Value>) -> Answer {
        Caller { url: &self.url, token: self.token.clone(), headers: Vec::new() }.call(line, body)
    }

    /// A call that must be answered with 200.
    pub(crate) fn done(&self, line: &str, body: Option<&Value>) -> Value {
        let answer = self.call(line, body);
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        answer.body
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Makes a note of attestations.
    pub(crate) fn note(&self, project: &str, id: &str) {
        let note = json!({"attestation": {"hint": {"humanReadableName": id}}});
        self.done(&format!("POST /v1/projects/{project}/notes?noteId={id}"), Some(&note));
    }

    /// Files this one; its name.
    pub(crate) fn put(&self, project: &str, occurrence: &Value) -> String {
        text(&self.done(&format!("POST /v1/projects/{project}/occurrences"), Some(occurrence)), "/name")
    }

    /// Files an occurrence; its name.
    pub(crate) fn file(&self, project: &str, note: &str, digit: char) -> String {
        self.put(project, &occurrence(note, digit))
    }

    pub(crate) fn follow(&self, query: &str) -> Stream {
        Stream::start(&format!("{}/v1/changes{query}", self.url), None)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Somebody who asks.
pub(crate) struct Caller<'a> {
    url: &'a str,
    token: Option<String>,
    headers: Vec<String>,
}

impl Caller<'_> {
    /// With one more header, `NAME: VALUE`.
    pub(crate) fn header(mut self, header: &str) -> Self {
        self.headers.extend(["-H".to_owned(), header.to_owned()]);
        self
    }

    pub(crate) fn follow(&self, query: &str) -> Stream {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}"));
        Stream::start(&format!("{}/v1/changes{query}", self.url), token.as_deref())
    }

    /// `METHOD PATH`
    pub(crate) fn call(&self, line: &str, body: Option<&Value>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut command = Command::new("curl");
        command.args(["-s", "--max-time", "60", "-X", method, "-w", "\n%{http_code}"]);
        if let Some(token) = &self.token {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        if body.is_some() {
            command.args(["-H", "Content-Type: application/json", "--data-binary", "@-"]);
        }
        command
            .args(&self.headers)
            .arg(format!("{}{path}", self.url))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut asked = command.spawn().unwrap();
        if let Some(body) = body {
            asked.stdin.take().unwrap().write_all(body.to_string().as_bytes()).unwrap();
        }
        drop(asked.stdin.take());
        let mut text = String::new();
        asked.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        asked.wait().unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap_or_default();
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        Answer { status: status.parse().unwrap_or_default(), body }
    }
}

impl Stream {
    fn start(url: &str, header: Option<&str>) -> Self {
        let mut command = Command::new("curl");
        command.args(["-s", "-N", url]).args(header.iter().flat_map(|header| ["-H", header]));
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let (give, taken) = channel();
        std::thread::spawn(move || give_lines(lines, &give));
        Self { process, lines: taken }
    }

    /// The next line that is no heartbeat.
    pub(crate) fn next(&self) -> Value {
        loop {
            let line = self.any(SOON).expect("a line");
            if line.get("heartbeat").is_none() {
                return line;
            }
        }
    }

    /// Whether the server ends it, within this time.
    pub(crate) fn ends_within(&self, within: Duration) -> bool {
        let start = Instant::now();
        while let Some(left) = within.checked_sub(start.elapsed()) {
            match self.lines.recv_timeout(left) {
                Ok(_) => {}
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
        false
    }

    /// The next line, within this time.
    pub(crate) fn any(&self, within: Duration) -> Option<Value> {
        self.lines.recv_timeout(within).ok()
    }
}

fn give_lines(lines: BufReader<ChildStdout>, give: &std::sync::mpsc::Sender<Value>) {
    for line in lines.lines().map_while(Result::ok) {
        if let Ok(line) = serde_json::from_str(&line)
            && give.send(line).is_err()
        {
            return;
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn occurrence(note: &str, digit: char) -> Value {
    json!({
        "resourceUri": format!("https://r.example/shop/app@{}", digest(digit)),
        "noteName": note,
        "attestation": {"serializedPayload": "aGk=", "signatures": [{"signature": "aGk=", "publicKeyId": "k"}]},
    })
}

pub(crate) fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// What a value has at a place, as a text.
pub(crate) fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Runs a test on both databases.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&mut crate::rig::Database::sqlite()) })+
        }
        mod postgres {
            $(#[test] fn $name() { super::$name(&mut crate::rig::Database::postgres()) })+
        }
    };
}
pub(crate) use on_both;
