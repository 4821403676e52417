//! The story itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::creation::Web;
use super::rig::{Daemon, Image, Node, Pushed, Refusal, Tool, Wiring, eventually};
use super::stage::{Failure, Stage, on_path, tail};

const BINAUTHD: &str = env!("CARGO_BIN_EXE_binauthd");
const BINAUTHCTL: &str = env!("CARGO_BIN_EXE_binauthctl");
const ATTESTOR: &str = "projects/shop/attestors/qa";
const ENTRY: &str = "00-binauthd";
/// How soon a change must count.
pub(crate) const A_SECOND: Duration = Duration::from_secs(1);
/// Within which a pull without a daemon must be refused.
const NO_DAEMON: Duration = Duration::from_secs(3);
/// How long the create hook asks a daemon that is gone, in seconds.
const WAIT: &str = "2";

/// Tells it; the number of steps, if every one was true.
pub(crate) async fn tell() -> Result<usize, Failure> {
    let mut stage = Stage::new();
    let verifier = gate_program(&stage, "binauthd-image-verifier", "BINAUTHD_VERIFIER")?;
    let hook = gate_program(&stage, "binauthd-create-hook", "BINAUTHD_CREATE_HOOK")?;
    let openssl = on_path("openssl")?;
    stage.say("Starting a private containerd and a private image registry.");
    let node = Node::start_with(Wiring::default().with_nri().hooked(&hook, &["--wait", WAIT])).await;
    let version = node.ctr().run(&["version"]).await.success();
    let version = version.rsplit("Version:").next().and_then(|text| text.split_whitespace().next());
    let version = version.and_then(|version| version.split('+').next()).unwrap_or_default();
    stage.say(&format!(
        "containerd {} and all else of this demo live in {} until it ends; a containerd that this machine \
         already has is not touched. Digests are shown with twelve of their 64 digits.",
        version.trim_start_matches('v'),
        node.home.path().display()
    ));
    let mut scene = Scene::new(node, &openssl);
    let told = scene.play(&mut stage, &verifier).await;
    if told.is_err() {
        scene.show_logs();
    }
    told.map(|()| stage.steps())
}

/// Everything the story is played with.
pub(crate) struct Scene {
    daemon: Option<Daemon>,
    pub(crate) binauthctl: Tool,
    openssl: Tool,
    pub(crate) node: Node,
}

impl Scene {
    fn new(node: Node, openssl: &Path) -> Self {
        let work = node.home.folder("work");
        let config = node.etc.config();
        let binauthctl = Tool::new(Path::new(BINAUTHCTL))
            .with_arg("--config")
            .with_arg(config.to_string_lossy())
            .within(&work);
        Self { daemon: None, binauthctl, openssl: Tool::new(openssl).within(&work), node }
    }

    async fn play(&mut self, stage: &mut Stage, verifier: &Path) -> Result<(), Failure> {
        self.trust(stage, verifier).await?;
        let (good, bad) = self.images(stage).await?;
        let web = self.attested_runs(stage, &good).await?;
        self.unattested_is_refused(stage, &bad).await?;
        self.moved_tag_is_refused(stage, &good).await?;
        self.pause_is_let_through(stage).await?;
        self.removed_key_counts_at_once(stage, &good).await?;
        self.dead_daemon_refuses(stage, &good, &bad, &web).await?;
        self.daemon_is_back(stage, &good, &web).await?;
        self.around_the_pull_gate(stage).await?;
        self.audit(stage).await
    }

    async fn trust(&mut self, stage: &mut Stage, verifier: &Path) -> Result<(), Failure> {
        stage.step("A key, an attestor that has it, and a policy that asks for it");
        stage.say(&format!(
            "`binauthctl` stands for `binauthctl --config {}` here; on a node of your own the file is \
             /etc/binauthd/config.toml and need not be named.",
            self.node.etc.config().display()
        ));
        let generate =
            ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "qa.key"];
        stage.run("openssl", &self.openssl, &generate).await?;
        stage.run("openssl", &self.openssl, &["pkey", "-in", "qa.key", "-pubout", "-out", "qa.pub"]).await?;
        self.ctl(
            stage,
            &["attestors", "create", "qa", "--project", "shop", "--attestation-authority-note", "qa"],
        )
        .await?;
        self.add_key(stage).await?;
        let policy = format!(
            "admissionWhitelistPatterns:          # let through as they are\n- namePattern: {}\ndefaultAdmissionRule:                # everything else\n  \
             evaluationMode: REQUIRE_ATTESTATION\n  enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG\n  \
             requireAttestationsBy:\n  - {ATTESTOR}\n",
            self.node.pause.pinned()
        );
        self.node.etc.write_policy(&policy);
        stage.command("cat policy.yaml");
        stage.quote(&policy);
        self.ctl(stage, &["policy", "check"]).await?;
        stage.say(&format!(
            "The daemon starts, and containerd gets its verifier: {}. From here on it asks at every pull, and \
             whenever a container is created or started: the daemon is a plugin of its NRI, and the runtime \
             executes a hook.",
            self.node.bin_dir().join(ENTRY).display()
        ));
        self.daemon = Some(Daemon::start(&self.node, Path::new(BINAUTHD)).await);
        self.node.install_verifier(ENTRY, verifier);
        self.create_gate_is_wired().await;
        Ok(())
    }

    async fn images(&self, stage: &mut Stage) -> Result<(Pushed, Pushed), Failure> {
        stage.step("Two images are pushed, one is attested");
        let good =
            self.node.registry.push("shop/web", "stable", &Image::service("hello from shop/web")).await;
        let bad = self.node.registry.push("shop/miner", "1", &Image::service("hello from shop/miner")).await;
        for image in [&good, &bad] {
            stage.say(&format!("pushed {} {}", image.tagged(), image.digest));
        }
        let url = good.pinned();
        self.attest(stage, &url).await?;
        self.ctl(stage, &["evaluate", &url]).await?;
        Ok((good, bad))
    }

    async fn attested_runs(&self, stage: &mut Stage, good: &Pushed) -> Result<Web, Failure> {
        stage.step("The attested image is pulled, and its container runs");
        let cri = &self.node.cri;
        let refused = |call: &str, refusal: Refusal| stage.failure(&format!("{call}: {refusal}"));
        stage.call("RunPodSandbox web");
        let pod = cri.run_pod("web").await.map_err(|refusal| refused("RunPodSandbox", refusal))?;
        let id = self.pull(stage, &good.tagged()).await.map_err(|refusal| refused("PullImage", refusal))?;
        stage.call("CreateContainer, StartContainer");
        let container = cri.create(&pod, "web", &id, &good.tagged()).await;
        let container = container.map_err(|refusal| refused("CreateContainer", refusal))?;
        cri.launch(&container).await.map_err(|refusal| refused("StartContainer", refusal))?;
        self.prints(stage, &container, "hello from shop/web").await?;
        Ok(Web { pod, image_id: id })
    }

    async fn unattested_is_refused(&self, stage: &mut Stage, bad: &Pushed) -> Result<(), Failure> {
        stage.step("The other image is refused at the pull");
        self.refused(stage, &bad.tagged(), &["denied by attestor", ATTESTOR, &bad.digest, "NO_ATTESTATION"])
            .await?;
        stage.check(
            self.node.cri.image_names().await.iter().all(|name| !name.contains("miner")),
            "it is on the node all the same",
        )?;
        stage.say("Nothing of it was fetched. The text above is what `kubectl describe pod` shows.");
        Ok(())
    }

    async fn moved_tag_is_refused(&self, stage: &mut Stage, good: &Pushed) -> Result<(), Failure> {
        stage.step("The attested tag is moved to other content: refused");
        let evil =
            self.node.registry.push("shop/web", "stable", &Image::service("hello from somebody else")).await;
        stage.say(&format!("pushed {} {}", evil.tagged(), evil.digest));
        self.refused(stage, &evil.tagged(), &[&evil.digest, "NO_ATTESTATION"]).await?;
        stage.say("The digest counts, not the tag. By its digest the attested content is still there:");
        self.allowed(stage, &good.pinned()).await
    }

    async fn pause_is_let_through(&self, stage: &mut Stage) -> Result<(), Failure> {
        stage.step("The pause image is let through: the policy lists it by its digest");
        let pause = self.node.pause.pinned();
        stage.say("Step 3 needed it already: every pod begins with it. Nobody has attested it.");
        let pulled = self.pull(stage, &pause).await;
        pulled.map_err(|refusal| stage.failure(&format!("it was to be pulled: {refusal}")))?;
        let record = self.record(&pause).await;
        stage.check(record["reason"] == "ALLOWLISTED", &record.to_string())?;
        stage.good(record["message"].as_str().unwrap_or_default());
        Ok(())
    }

    async fn removed_key_counts_at_once(&self, stage: &mut Stage, good: &Pushed) -> Result<(), Failure> {
        stage.step("The key is taken from the attestor: the same digest is refused within a second");
        let list = ["attestors", "public-keys", "list", "--attestor", ATTESTOR, "-o", "json"];
        let keys = self.binauthctl.run(&list).await.json();
        let id = keys[0]["id"].as_str().unwrap_or_default().to_owned();
        let image = good.pinned();
        let changed = Instant::now();
        self.ctl(stage, &["attestors", "public-keys", "remove", "--attestor", ATTESTOR, &id]).await?;
        let refusal = loop {
            match self.node.cri.pull(&image).await {
                Err(refusal) => break refusal,
                Ok(_) => stage.check(changed.elapsed() < A_SECOND, "still pulled a second later")?,
            }
        };
        let took = changed.elapsed();
        stage.call(&format!("PullImage {image}"));
        stage.refused(&refusal.to_string());
        stage.check(refusal.message.contains("ATTESTOR_WITHOUT_KEYS"), "refused for another reason")?;
        stage.check(took < A_SECOND, "that is too late")?;
        stage.say(&format!("That was {} ms after the command was started.", took.as_millis()));
        stage.say("With the key back, it is pulled again:");
        self.add_key(stage).await?;
        let changed = Instant::now();
        while let Err(refusal) = self.node.cri.pull(&image).await {
            stage.check(changed.elapsed() < A_SECOND, &refusal.to_string())?;
        }
        self.allowed(stage, &image).await
    }

    async fn dead_daemon_refuses(
        &mut self,
        stage: &mut Stage,
        good: &Pushed,
        bad: &Pushed,
        web: &Web,
    ) -> Result<(), Failure> {
        stage.step("The daemon is killed: every pull and every start is refused");
        let daemon = self.daemon.as_mut().ok_or_else(|| stage.failure("there is no daemon"))?;
        stage.command(&format!("kill -9 {}    # binauthd", daemon.pid()));
        daemon.kill();
        let start = Instant::now();
        self.refused(stage, &good.pinned(), &["did not answer", "nobody listens"]).await?;
        stage.check(start.elapsed() < NO_DAEMON, "that took too long")?;
        for image in [bad.tagged(), self.node.pause.pinned()] {
            let refusal = self.pull(stage, &image).await.err();
            let refusal = refusal.ok_or_else(|| stage.failure(&format!("{image} was pulled")))?;
            stage.check(refusal.message.contains("did not answer"), &refusal.to_string())?;
            stage.refused("likewise");
        }
        stage.say(&format!(
            "An image that is on the node already needs no pull. Its container is not started either: the hook asks \
             for {WAIT} s here, and for 20 s unless told otherwise: longer than a restart of the daemon takes."
        ));
        stage.call("CreateContainer, StartContainer    # web, once more");
        let refusal = self.start(web, "second", good).await.err();
        let refusal = refusal.ok_or_else(|| stage.failure("it was started"))?;
        stage.refused(&refusal.to_string());
        stage.check(refusal.message.contains("did not answer"), "refused for another reason")?;
        stage.say("What runs goes on running; kubelet tries again.");
        Ok(())
    }

    async fn daemon_is_back(&mut self, stage: &mut Stage, good: &Pushed, web: &Web) -> Result<(), Failure> {
        stage.step("The daemon is back: images are pulled, containers start");
        let daemon = self.daemon.as_mut().ok_or_else(|| stage.failure("there is no daemon"))?;
        stage.command("binauthd &");
        daemon.restart().await;
        self.allowed(stage, &good.pinned()).await?;
        self.create_gate_is_wired().await;
        stage.call("CreateContainer, StartContainer    # web, once more");
        let third =
            self.start(web, "third", good).await.map_err(|refusal| stage.failure(&refusal.to_string()))?;
        self.prints(stage, &third, "hello from shop/web").await?;
        self.ctl(stage, &["status"]).await?;
        Ok(())
    }

    async fn audit(&self, stage: &mut Stage) -> Result<(), Failure> {
        stage.step("Every decision is on record, allowances too");
        let records = self.node.etc.audit();
        let found = |verdict: &str, reason: &str| {
            let matches = |record: &&Value| record["verdict"] == verdict && record["reason"] == reason;
            records.iter().find(matches).ok_or_else(|| stage.failure(&format!("no record of {reason}")))
        };
        let (allowed, denied) = (found("ALLOW", "ATTESTED")?, found("DENY", "NO_ATTESTATION")?);
        stage.command(&format!(
            "cat {}    # two of {} lines, shortened",
            self.node.etc.audit_file.display(),
            records.len()
        ));
        for record in [allowed, denied] {
            stage.quote(&excerpt(record));
        }
        Ok(())
    }

    pub(crate) async fn attest(&self, stage: &Stage, url: &str) -> Result<(), Failure> {
        let sign = ["attestations", "sign-and-create", "--artifact-url", url, "--attestor", ATTESTOR];
        self.ctl(stage, &[&sign[..], &["--private-key-file", "qa.key"]].concat()).await?;
        // The daemon follows the folder; the story goes on when it has seen the attestation.
        let known = async || self.binauthctl.run(&["evaluate", url]).await.code == Some(0);
        eventually("the daemon to know the attestation", A_SECOND * 3, async || known().await.then_some(()))
            .await;
        Ok(())
    }

    async fn ctl(&self, stage: &Stage, arguments: &[&str]) -> Result<String, Failure> {
        stage.run("binauthctl", &self.binauthctl, arguments).await
    }

    async fn add_key(&self, stage: &Stage) -> Result<(), Failure> {
        let add =
            ["attestors", "public-keys", "add", "--attestor", ATTESTOR, "--pkix-public-key-file", "qa.pub"];
        self.ctl(stage, &add).await.map(drop)
    }

    /// PullImage, said before it is done.
    async fn pull(&self, stage: &Stage, image: &str) -> Result<String, Refusal> {
        stage.call(&format!("PullImage {image}"));
        self.node.cri.pull(image).await
    }

    async fn allowed(&self, stage: &Stage, image: &str) -> Result<(), Failure> {
        match self.pull(stage, image).await {
            Ok(_) => {
                stage.good("pulled");
                Ok(())
            }
            Err(refusal) => Err(stage.failure(&format!("it was to be pulled: {refusal}"))),
        }
    }

    async fn refused(&self, stage: &Stage, image: &str, says: &[&str]) -> Result<(), Failure> {
        let Err(refusal) = self.pull(stage, image).await else {
            return Err(stage.failure(&format!("`{image}` was to be refused and was pulled")));
        };
        stage.refused(&refusal.to_string());
        for part in says {
            stage.check(refusal.message.contains(part), &format!("the refusal does not say `{part}`"))?;
        }
        Ok(())
    }

    /// The newest audit record about `image`.
    async fn record(&self, image: &str) -> Value {
        eventually("the audit record", A_SECOND * 3, async || {
            self.node.etc.audit().into_iter().rfind(|record| record["image"] == image)
        })
        .await
    }

    fn show_logs(&self) {
        tail("containerd", &self.node.log());
        if let Some(daemon) = &self.daemon {
            tail("binauthd", &daemon.stderr());
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}

/// The members of an audit record that tell most, in one line.
fn excerpt(record: &Value) -> String {
    let members = ["time", "verdict", "reason", "image", "digest", "policyVersion", "durationMicros"];
    let members: Vec<_> = members.iter().map(|name| format!("\"{name}\":{}", record[*name])).collect();
    format!("{{{},…}}", members.join(","))
}

/// A static gate program, as it is shipped.
fn gate_program(stage: &Stage, name: &str, variable: &str) -> Result<PathBuf, Failure> {
    let target = Path::new(BINAUTHD).ancestors().nth(2).unwrap_or(Path::new("."));
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let built = target.join(triple).join("gate").join(name);
    let path = std::env::var_os(variable).map_or(built, PathBuf::from);
    if path.is_file() {
        return Ok(path);
    }
    Err(stage.failure(&format!("`{}` is not there: run `make demo`", path.display())))
}
