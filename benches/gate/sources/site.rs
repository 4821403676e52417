//! A daemon with a metadata store and without a containerd.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use binauthd::gate::admin::{AdminAnswer, AdminAsk, MAX_BODY};
use binauthd::gate::client::{Patience, exchange};
use binauthd::gate::message::{Answer, Ask, AskedImage, Decision};
use binauthd::image::Digest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::super::resident::Resident;
use super::stock::{self, Stock};

/// Of the clients that ask at once.
const CLIENTS: usize = 8;
/// For what takes long.
const PATIENCE: Duration = Duration::from_secs(900);
/// Between two looks at how far it is.
const PAUSE: Duration = Duration::from_millis(10);
/// The same where a millisecond counts.
const SHORT_PAUSE: Duration = Duration::from_micros(200);

/// A folder of its own with everything that the daemon needs.
pub(super) struct Site {
    home: TempDir,
    program: PathBuf,
    daemon: Option<Child>,
}

impl Site {
    /// Its source is the store at `url`, of which so many documents are listed at most.
    pub(super) fn new(program: &Path, url: &str, list_limit: Option<usize>) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let site = Self { home, program: program.to_owned(), daemon: None };
        for folder in ["attestors", "state"] {
            fs::create_dir(site.at(folder)).unwrap();
        }
        let at = |name: &str| site.at(name).display().to_string();
        let limit = list_limit.map_or_else(String::new, |limit| format!("list_limit = {limit}\n"));
        let config = format!(
            "config_version = 1\npolicy = '{policy}'\ndeny_list = '{deny}'\nsystem_policy = '{system}'\n\
             attestors = '{attestors}'\nstate_dir = '{state}'\nruntime_dir = '{run}'\n\
             [containerd]\naddress = '{none}'\nnri_socket = '{none}'\n\
             [[sources]]\nname = 'store'\nurl = '{url}'\ninterval = '1h'\nproxy = false\n{limit}\
             [audit]\nfile = '{audit}'\n",
            policy = at("policy.yaml"),
            deny = at("deny.yaml"),
            system = at("system-policy.yaml"),
            attestors = at("attestors"),
            state = at("state"),
            run = at("run"),
            none = at("none.sock"),
            audit = at("audit.jsonl"),
        );
        let (policy, attestor) = stock::documents();
        for (name, text) in
            [("config.toml", config), ("policy.yaml", policy), ("attestors/build.json", attestor)]
        {
            fs::write(site.at(name), text).unwrap();
        }
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The file of what sources gave.
    pub(super) fn evidence(&self) -> PathBuf {
        self.at("state/evidence.redb")
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.at("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.at("config.toml")).env_remove("NOTIFY_SOCKET");
        self.daemon = Some(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// SIGTERM, or SIGKILL.
    pub(super) fn stop(&mut self, at_once: bool) {
        let mut daemon = self.daemon.take().unwrap();
        let signal = if at_once { Signal::SIGKILL } else { Signal::SIGTERM };
        kill(Pid::from_raw(i32::try_from(daemon.id()).unwrap()), signal).unwrap();
        daemon.wait().unwrap();
    }

    /// Starts it, until all `size` documents of the store are on file.
    pub(super) fn list(&mut self, size: usize) -> Duration {
        let begun = Instant::now();
        self.start();
        self.until("the listing", |source| {
            source["attestations"] == size && source["scopes"][0]["ageSeconds"].is_u64()
        });
        begun.elapsed()
    }

    /// Starts it, until it has found that the store has more than is listed.
    pub(super) fn find_too_long(&mut self) -> Duration {
        let begun = Instant::now();
        self.start();
        self.until("the end of listing", |source| source["scopes"][0]["lookupOnly"] == true);
        begun.elapsed()
    }

    fn until(&self, what: &str, done: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.source().as_ref().is_some_and(&done) {
            assert!(Instant::now() < deadline, "{what} does not come: {:?}", self.source());
            sleep(PAUSE);
        }
    }

    fn source(&self) -> Option<Value> {
        let patience = Patience { max_body: MAX_BODY, ..Patience::GATE };
        match exchange(&self.at("run/admin.sock"), &AdminAsk::Status, patience) {
            Ok(AdminAnswer::Status(status)) => Some(status["sources"][0].clone()),
            _ => None,
        }
    }

    /// Starts it, until it allows `digest`.
    pub(super) fn first_verdict(&mut self, digest: Digest) -> Duration {
        let begun = Instant::now();
        self.start();
        while !self.ask(digest).is_ok_and(|answer| answer.decision == Decision::Allow) {
            assert!(begun.elapsed() < PATIENCE, "it does not allow {digest}");
            sleep(SHORT_PAUSE);
        }
        begun.elapsed()
    }

    pub(super) fn resident(&self) -> Resident {
        Resident::of(self.daemon.as_ref().unwrap().id())
    }

    /// Asks about the first `count` images once, by several clients at a time.
    pub(super) fn ask_all(&self, stock: &Stock, count: usize) -> Duration {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                scope.spawn(move || {
                    for n in (client..count).step_by(CLIENTS) {
                        self.allows(stock.digest(n));
                    }
                });
            }
        });
        begun.elapsed()
    }

    /// Asks about an image that must be allowed; how long that took.
    pub(super) fn allows(&self, digest: Digest) -> Duration {
        let begun = Instant::now();
        let answer = self.ask(digest).unwrap();
        let took = begun.elapsed();
        assert_eq!(answer.decision, Decision::Allow, "{}", answer.message);
        took
    }

    /// Asks as the image verifier does. Each image is of a repository of its own: one may not have
    /// much looked up at once.
    fn ask(&self, digest: Digest) -> Result<Answer, String> {
        let name = format!("registry.example.com/team/app-{}:1", &digest.hex()[..12]);
        let image = AskedImage { name, digests: vec![digest.to_string()], ..AskedImage::default() };
        let (program, entry) = ("bench".into(), "00-binauthd".into());
        let question = Ask {
            gate: "pull".into(),
            program,
            entry,
            image,
            container: None,
            observes: None,
            problem: None,
        };
        exchange(&self.at("run/gate.sock"), &question, Patience::GATE).map_err(|error| format!("{error:?}"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
