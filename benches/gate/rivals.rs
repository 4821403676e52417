//! Other verifiers of signatures, over the same image on the same registry: cosign and notation, set up
//! so that neither looks beyond the loopback interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::Scene;

/// An image signed by both, and the folder with their keys, certificates and configuration.
pub(crate) struct Rivals {
    home: PathBuf,
    image: String,
    cosign: PathBuf,
    notation: PathBuf,
    registry_log: PathBuf,
}

impl Rivals {
    /// Makes keys and signs the app image.
    pub(crate) fn new(scene: &Scene) -> Self {
        let home = scene.folder.path().join("rivals");
        fs::create_dir(&home).unwrap();
        let rivals = Self {
            home,
            image: scene.app.pinned(),
            cosign: scene.programs.cosign.clone(),
            notation: scene.programs.notation.clone(),
            registry_log: scene.node.home.path().join("registry/log"),
        };
        rivals.sign_with_cosign();
        rivals.sign_with_notation();
        rivals
    }

    /// `cosign verify` with a key: no transparency log, no certificate.
    pub(crate) fn cosign_verify(&self) -> Command {
        let mut command = self.command(&self.cosign);
        command.args(["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"]);
        command.arg(&self.image);
        command
    }

    /// `notation verify` at level `strict` with a certificate of its trust store.
    pub(crate) fn notation_verify(&self) -> Command {
        let mut command = self.command(&self.notation);
        command.args(["verify", "--insecure-registry", &self.image]);
        command
    }

    /// How many requests a command makes of the registry.
    pub(crate) fn requests(&self, command: Command) -> usize {
        let count = || {
            let log = fs::read_to_string(&self.registry_log).unwrap_or_default();
            log.matches("response completed").count()
        };
        let before = count();
        succeed(command);
        // The line is written after the answer has been read.
        std::thread::sleep(std::time::Duration::from_millis(100));
        count() - before
    }

    fn sign_with_cosign(&self) {
        let run = |arguments: &[&str]| {
            let mut command = self.command(&self.cosign);
            command.args(arguments);
            succeed(command)
        };
        run(&["generate-key-pair"]);
        // Without services: neither a log nor a time stamp is asked for.
        let services = run(&["signing-config", "create"]);
        fs::write(self.home.join("services.json"), services).unwrap();
        let how = ["sign", "--yes", "--key", "cosign.key", "--signing-config", "services.json"];
        run(&[&how[..], &["--allow-http-registry", &self.image]].concat());
    }

    fn sign_with_notation(&self) {
        let run = |arguments: &[&str]| {
            let mut command = self.command(&self.notation);
            command.args(arguments);
            succeed(command)
        };
        run(&["cert", "generate-test", "--default", "bench"]);
        let policy = serde_json::json!({
            "version": "1.0",
            "trustPolicies": [{
                "name": "bench",
                "registryScopes": ["*"],
                "signatureVerification": { "level": "strict" },
                "trustStores": ["ca:bench"],
                "trustedIdentities": ["*"],
            }],
        });
        fs::write(self.home.join("policy.json"), policy.to_string()).unwrap();
        run(&["policy", "import", "policy.json"]);
        run(&["sign", "--insecure-registry", &self.image]);
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.home).env("HOME", &self.home).env("COSIGN_PASSWORD", "");
        for variable in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DOCKER_CONFIG"] {
            command.env(variable, self.home.join(variable));
        }
        // Nothing listens there: what is not on loopback fails at once.
        for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(variable, "http://127.0.0.1:9");
        }
        for variable in ["no_proxy", "NO_PROXY"] {
            command.env(variable, "localhost,127.0.0.1");
        }
        command
    }
}

fn succeed(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
