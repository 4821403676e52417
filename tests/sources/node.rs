//! A node without a containerd: the daemon, its documents, and who asks it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use binauthd::attestation::{base64, payload};
use binauthd::gate::client::{Patience, exchange};
use binauthd::gate::message::{Answer, Ask, AskedImage, Decision};
use binauthd::image::Digest;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::store::Store;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const REPOSITORY: &str = "registry.example.com/shop/app";

pub(crate) fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

/// The digest of image number `n`.
pub(crate) fn image(n: u32) -> Digest {
    Digest::of(&n.to_be_bytes())
}

pub(crate) fn name(n: u32) -> String {
    format!("projects/shop/occurrences/{n:08}")
}

/// An attestation of image number `n`.
pub(crate) fn attestation(n: u32) -> Value {
    let payload = payload::gcloud(REPOSITORY, image(n));
    let signature: DerSignature = key().sign(payload.as_bytes());
    json!({"name": name(n), "resourceUri": format!("https://{REPOSITORY}@{}", image(n)),
        "noteName": "projects/shop/notes/ci", "kind": "ATTESTATION",
        "attestation": {"serializedPayload": base64::encode(payload.as_bytes()),
            "signatures": [{"publicKeyId": "k", "signature": base64::encode(signature.as_bytes())}]}})
}

/// A folder of its own with everything that a daemon needs.
pub(crate) struct Node {
    home: TempDir,
    daemon: Option<Child>,
}

impl Node {
    /// Its source is `store`; the policy requires attestor `ci`.
    pub(crate) fn new(store: &Store) -> Self {
        Self::with(&format!("name = 'store'\nurl = '{}'\ninterval = '10s'", store.url()), "")
    }

    /// Started on a store that attests as many images, and has listed it.
    pub(crate) fn listing(images: u32) -> (Store, Self) {
        let store = Store::start();
        store.file((0..images).map(attestation));
        let mut node = Self::new(&store);
        node.start();
        node.until("the first listing", |node| node.pull(images - 1).is_none());
        // That one may have been looked up before the listing was through.
        node.until("all of it", |node| node.json(&["status"])["sources"][0]["attestations"] == images);
        (store, node)
    }

    /// With this source, and more of the configuration before it.
    pub(crate) fn with(source: &str, more: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let node = Self { home, daemon: None };
        for folder in ["attestors", "occurrences", "state"] {
            fs::create_dir(node.at(folder)).unwrap();
        }
        let at = |name: &str| node.at(name).display().to_string();
        let config = format!(
            "config_version = 1\npolicy = '{policy}'\ndeny_list = '{deny}'\nsystem_policy = '{system}'\n\
             attestors = '{attestors}'\nstate_dir = '{state}'\nruntime_dir = '{run}'\n{more}\n\
             [containerd]\naddress = '{none}'\nnri_socket = '{none}'\n[[sources]]\n{source}\n\
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
        fs::write(node.at("config.toml"), config).unwrap();
        node.write_policy("");
        let pem = key().verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        let attestor = json!({"name": "projects/shop/attestors/ci", "userOwnedGrafeasNote": {
            "noteReference": "projects/shop/notes/ci", "publicKeys": [{"id": "k",
                "pkixPublicKey": {"publicKeyPem": pem, "signatureAlgorithm": "ECDSA_P256_SHA256"}}]}});
        fs::write(node.at("attestors/ci.json"), attestor.to_string()).unwrap();
        node
    }

    /// With more of its default rule, in YAML.
    pub(crate) fn write_policy(&self, rule: &str) {
        let policy = format!(
            "defaultAdmissionRule: {{evaluationMode: REQUIRE_ATTESTATION, requireAttestationsBy: \
             [projects/shop/attestors/ci], enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG{rule}}}"
        );
        let new = self.at("policy.new");
        fs::write(&new, policy).unwrap();
        fs::rename(new, self.at("policy.yaml")).unwrap();
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Starts the daemon and waits until it answers; how long that took.
    pub(crate) fn start(&mut self) -> Duration {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.at("log")).unwrap();
        let started = Instant::now();
        let daemon = Command::new(env!("CARGO_BIN_EXE_binauthd"))
            .arg("--config")
            .arg(self.at("config.toml"))
            .env_remove("NOTIFY_SOCKET")
            .envs(["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name, "")))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        self.until("the daemon answers", |node| node.try_ask(0).is_ok());
        started.elapsed()
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
        assert!(daemon.wait().unwrap().success(), "{}", self.log());
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let pid = self.daemon.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The end of what it printed.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.at("log")).unwrap();
        let lines: Vec<_> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn try_ask(&self, n: u32) -> Result<Answer, String> {
        ask(&self.at("run/gate.sock"), n)
    }

    /// What the pull gate says of image number `n`: nothing where it may be pulled, else the reason's code.
    pub(crate) fn pull(&self, n: u32) -> Option<String> {
        let answer = self.try_ask(n).unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        (answer.decision != Decision::Allow).then_some(answer.reason)
    }

    /// Whether each of these may be pulled.
    #[track_caller]
    pub(crate) fn all_allowed(&self, images: impl IntoIterator<Item = u32>) {
        for n in images {
            assert_eq!(self.pull(n), None, "image {n}: {}", self.log());
        }
    }

    pub(crate) fn ctl(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_binauthctl"))
            .arg("--config")
            .arg(self.at("config.toml"))
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let (code, text) = self.ctl(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?} exits {code:?}: {text}"))
    }

    pub(crate) fn status(&self) -> Value {
        self.json(&["status"])
    }

    pub(crate) fn alarms(&self) -> String {
        self.status()["alarms"].to_string()
    }

    /// Has every source read again and waits for it.
    pub(crate) fn refresh(&self) {
        let _ = self.ctl(&["cache", "refresh", "--wait", "20"]);
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what} does not come: {}", self.log());
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks as the image verifier does.
pub(crate) fn ask(socket: &Path, n: u32) -> Result<Answer, String> {
    let question = Ask {
        gate: "pull".into(),
        program: "test".into(),
        entry: "00-binauthd".into(),
        image: AskedImage {
            name: format!("{REPOSITORY}:{n}"),
            digests: vec![image(n).to_string()],
            ..AskedImage::default()
        },
        container: None,
        observes: None,
        problem: None,
    };
    exchange::<_, Answer>(socket, &question, Patience::GATE).map_err(|error| format!("{error:?}"))
}
