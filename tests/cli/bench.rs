//! A folder in which binauthctl is run, and what it printed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

pub(crate) const D: &str = "sha256:abababababababababababababababababababababababababababababababab";
pub(crate) const PAYLOAD: &str = r#"{
  "critical": {
    "identity": {
      "docker-reference": "registry.example.com/team/app"
    },
    "image": {
      "docker-manifest-digest": "sha256:abababababababababababababababababababababababababababababababab"
    },
    "type": "Google cloud binauthz container signature"
  }
}
"#;
pub(crate) const ENFORCED: &str = "ENFORCED_BLOCK_AND_AUDIT_LOG";
pub(crate) const DRY_RUN: &str = "DRYRUN_AUDIT_LOG_ONLY";

pub(crate) fn app() -> String {
    format!("registry.example.com/team/app@{D}")
}

pub(crate) fn web() -> String {
    app().replace("app", "web")
}

pub(crate) fn other() -> String {
    app().replace("ab", "cd")
}

/// A folder in which binauthctl is run; `$A` and `$O` stand for the flags of its two folders.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn gave(self, code: i32, part: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        let all = format!("{}{}", self.out, self.err);
        assert!(all.contains(part), "{all:?} lacks {part:?}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With the attestor `ci` of project `p`, its key `ci.pem`, and a stranger's key `stranger.pem`.
    pub(crate) fn with_attestor() -> Self {
        let bench = Self::new();
        for name in ["ci", "stranger"] {
            bench.openssl(&format!("ecparam -genkey -name prime256v1 -noout -out {name}.pem"));
            bench.openssl(&format!("ec -in {name}.pem -pubout -out {name}.pub"));
            bench.chmod(&format!("{name}.pem"), 0o600);
        }
        bench.run("attestors create ci --project p --attestation-authority-note ci $A").gave(0, "created in");
        bench.add_key("ci.pub").gave(0, "added to");
        bench
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.at(name)).unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn policy(&self, rule: &str, enforcement: &str) {
        let text =
            format!("defaultAdmissionRule: {{enforcementMode: {enforcement}, evaluationMode: {rule}}}\n");
        self.write("policy.yaml", text);
    }

    pub(crate) fn policy_by_ci(&self, enforcement: &str) {
        self.policy("REQUIRE_ATTESTATION, requireAttestationsBy: [projects/p/attestors/ci]", enforcement);
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        let line = line.replace("$A", "--attestors attestors").replace("$O", "--occurrences occurrences");
        self.run_args(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn run_args(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_binauthctl"))
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn openssl(&self, line: &str) -> String {
        self.tool("openssl", &line.split_whitespace().collect::<Vec<_>>())
    }

    /// gpg with a home of this folder's own, and nobody to ask.
    pub(crate) fn gpg(&self, line: &str) -> String {
        let home = self.at("gnupg");
        if !home.exists() {
            fs::create_dir(&home).unwrap();
            self.chmod("gnupg", 0o700);
        }
        let home = home.to_str().unwrap();
        let quiet = ["--homedir", home, "--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback"];
        let line: Vec<_> = line.split_whitespace().collect();
        self.tool("gpg", &[&quiet[..], &["--passphrase", ""], &line].concat())
    }

    /// A signing key in that home, its certificate in `pgp.asc`; its fingerprint.
    pub(crate) fn gpg_key(&self) -> String {
        self.gpg("--quick-generate-key qa@example.com ed25519 sign never");
        self.gpg("--armor --output pgp.asc --export");
        let listed = self.gpg("--with-colons --list-keys");
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
        line.trim_matches(':').to_owned()
    }

    fn tool(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}; run `tests/rig/install.sh` first"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {text}{err}");
        text
    }

    pub(crate) fn add_key(&self, rest: &str) -> Ran {
        self.run(&format!("attestors public-keys add --attestor ci $A --pkix-public-key-file {rest}"))
    }

    /// The id of the first key of `ci`.
    pub(crate) fn key_id(&self) -> String {
        let keys = self.run("attestors public-keys list --attestor ci -o json $A").json();
        keys[0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn sign(&self, image: &str) -> Ran {
        self.run(&format!(
            "attestations sign-and-create --attestor ci --key ci.pem $A $O --artifact-url {image}"
        ))
    }

    pub(crate) fn verify(&self, image: &str, rest: &str) -> Ran {
        self.run(&format!("attestations verify --artifact-url {image} {rest} $A $O"))
    }

    pub(crate) fn evaluate(&self, rest: &str) -> Ran {
        self.run(&format!("evaluate --policy policy.yaml $A $O {rest}"))
    }

    pub(crate) fn occurrence_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.at("occurrences")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

impl Drop for Bench {
    /// gpg leaves an agent behind, which ends by itself when its folder goes, but not at once.
    fn drop(&mut self) {
        if self.at("gnupg").exists() {
            let _ = Command::new("gpgconf")
                .arg("--homedir")
                .arg(self.at("gnupg"))
                .args(["--kill", "all"])
                .stderr(Stdio::null())
                .status();
            // It takes its sockets away while it goes: until then the folder cannot be removed.
            for _ in 0..100 {
                let _ = fs::remove_dir_all(self.at("gnupg"));
                if !self.at("gnupg").exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
}
