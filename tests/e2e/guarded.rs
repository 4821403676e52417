//! A node that binauthd guards: what nearly every test here begins with.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use binauthd::gate::admin::{AdminAnswer, AdminAsk, AskedPod, MAX_BODY};
use binauthd::gate::client::{NoAnswer, Patience, exchange};
use serde_json::Value;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::rig::{Daemon, Image, Node, Output, Pushed, Refusal, Tool, Wiring, eventually};
use super::signer::Signer;

pub(crate) const DAEMON: &str = env!("CARGO_BIN_EXE_binauthd");
/// The verifier's name where it enforces.
pub(crate) const ENFORCE: &str = "00-binauthd";
/// The verifier's name where it observes.
pub(crate) const OBSERVE: &str = "00-binauthd-observe";
/// Within which a change must show; the design asks for a second. A test machine may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// Tests that load the machine run alone: the others look at times.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// A node, its daemon, and who attests. Everything is gone when it goes.
pub(crate) struct Guarded {
    pub(crate) daemon: Daemon,
    pub(crate) node: Node,
    pub(crate) qa: Signer,
    _machine: Share,
}

/// Of the machine: one of many, or all of it.
pub(crate) enum Share {
    Some(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    All(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

impl Share {
    pub(crate) async fn some() -> Self {
        Self::Some(MACHINE.read().await)
    }

    pub(crate) async fn all() -> Self {
        Self::All(MACHINE.write().await)
    }
}

impl Guarded {
    /// The verifier enforces, policy asks for an attestation by `qa`, whose document is there, and
    /// lets the pause image through by its digest.
    pub(crate) async fn start() -> Self {
        Self::start_with(ENFORCE, Share::some().await, |node, qa| {
            node.etc.write_policy(&policy(node, &requires(&[qa])));
            node.etc.write_attestor("qa.json", &qa.document());
        })
        .await
    }

    /// The same with a verifier of another name, a share of the machine, and documents of the test's
    /// own, which are there before the daemon starts.
    pub(crate) async fn start_with(
        entry: &str,
        share: Share,
        documents: impl FnOnce(&Node, &Signer),
    ) -> Self {
        let node = Node::start_with(Wiring::default()).await;
        let qa = Signer::new("qa");
        documents(&node, &qa);
        node.install_verifier(entry, &verifier());
        let daemon = Daemon::start(&node, Path::new(DAEMON)).await;
        Self { daemon, node, qa, _machine: share }
    }

    /// One that a test has put together itself.
    pub(crate) fn of(daemon: Daemon, node: Node, qa: Signer, share: Share) -> Self {
        Self { daemon, node, qa, _machine: share }
    }

    /// Pushes an image that stays up, with content of its own.
    pub(crate) async fn push(&self, path: &str, tag: &str) -> Pushed {
        let marker = format!("{path} {tag}");
        self.node.registry.push(path, tag, &Image::service(&marker)).await
    }

    /// Pushes one, attests it and waits until the daemon knows.
    pub(crate) async fn push_attested(&self, path: &str, tag: &str) -> Pushed {
        let image = self.push(path, tag).await;
        self.attest(&image);
        self.known(&image).await;
        image
    }

    /// Files an attestation of `qa`. Its name is [`file_of`] the image.
    pub(crate) fn attest(&self, image: &Pushed) {
        self.file(&file_of(image), &self.qa.attestation(image));
    }

    pub(crate) fn file(&self, name: &str, occurrence: &Value) {
        self.node.etc.write_occurrence(name, &occurrence.to_string());
    }

    pub(crate) fn write_policy(&self, rule: &str) {
        self.node.etc.write_policy(&policy(&self.node, rule));
    }

    /// Waits until the daemon would allow `image`, without asking at the gate.
    pub(crate) async fn known(&self, image: &Pushed) {
        eventually("the daemon to know an attestation", SOON, || async {
            (self.evaluate(&image.pinned()).await["verdict"] == "ALLOW").then_some(())
        })
        .await;
    }

    /// Pulls again and again until it is allowed; how long that took.
    pub(crate) async fn allowed_soon(&self, image: &str) -> Duration {
        let start = Instant::now();
        eventually("a pull to be allowed", SOON, || async { self.node.cri.pull(image).await.ok() }).await;
        start.elapsed()
    }

    /// Pulls again and again until it is refused; how long that took, and the refusal.
    pub(crate) async fn refused_soon(&self, image: &str) -> (Duration, Refusal) {
        let start = Instant::now();
        let refusal =
            eventually("a pull to be refused", SOON, || async { self.node.cri.pull(image).await.err() })
                .await;
        (start.elapsed(), refusal)
    }

    /// Pulls once; the refusal must say each of `parts`.
    pub(crate) async fn refused(&self, image: &str, parts: &[&str]) -> Refusal {
        let refusal = self.node.cri.pull(image).await.expect_err("the pull must be refused");
        for part in parts {
            assert!(refusal.message.contains(part), "`{part}` is missing in: {}", refusal.message);
        }
        refusal
    }

    /// The daemon's status.
    pub(crate) async fn status(&self) -> Value {
        match self.ask(AdminAsk::Status).await.unwrap() {
            AdminAnswer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until an alarm says all of `parts`.
    pub(crate) async fn alarm(&self, parts: &[&str]) -> String {
        eventually(&format!("an alarm with {parts:?}"), SOON, || async {
            let status = self.status().await;
            let mut alarms = status["alarms"].as_array().unwrap().iter().map(|alarm| alarm.as_str().unwrap());
            alarms.find(|alarm| parts.iter().all(|part| alarm.contains(part))).map(str::to_owned)
        })
        .await
    }

    /// Waits until there is nothing to complain about.
    pub(crate) async fn no_alarm(&self) {
        let start = Instant::now();
        loop {
            let status = self.status().await;
            match status["alarms"].as_array().unwrap().as_slice() {
                [] => return,
                alarms => assert!(start.elapsed() < SOON, "still alarmed: {alarms:?}"),
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    pub(crate) async fn evaluate(&self, image: &str) -> Value {
        match self
            .ask(AdminAsk::Evaluate { image: image.to_owned(), pod: AskedPod::default(), explain: false })
            .await
            .unwrap()
        {
            AdminAnswer::Verdict(verdict) => verdict,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ask(&self, ask: AdminAsk) -> Result<AdminAnswer, NoAnswer> {
        let socket = self.node.etc.admin_socket();
        let patience = Patience { max_body: MAX_BODY, ..Patience::GATE };
        tokio::task::spawn_blocking(move || exchange(&socket, &ask, patience)).await.unwrap()
    }

    /// Runs `binauthctl` with the node's configuration.
    pub(crate) async fn binauthctl(&self, line: &str) -> Output {
        let tool = Tool::new(Path::new(env!("CARGO_BIN_EXE_binauthctl")))
            .with_arg("--config")
            .with_arg(self.node.etc.config().to_string_lossy())
            .within(self.node.home.path());
        tool.run(&line.split_whitespace().collect::<Vec<_>>()).await
    }

    /// Waits until the audit trail holds `count` records, and returns all.
    pub(crate) async fn audited_in_all(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} audit records"), SOON, || async {
            let records = self.node.etc.audit();
            (records.len() >= count).then_some(records)
        })
        .await
    }

    /// Waits until the audit trail holds `count` records about `image`, and returns them.
    pub(crate) async fn audited(&self, image: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} audit records of `{image}`"), SOON, || async {
            let records = self.node.etc.audit().into_iter().filter(|record| record["image"] == image);
            let records: Vec<_> = records.collect();
            (records.len() >= count).then_some(records)
        })
        .await
    }
}

/// A policy with `rule` as its default rule, which lets the pause image through by its digest.
pub(crate) fn policy(node: &Node, rule: &str) -> String {
    format!("admissionWhitelistPatterns:\n- namePattern: {}\n{rule}", node.pause.pinned())
}

/// The default rule that asks all of `signers`.
pub(crate) fn requires(signers: &[&Signer]) -> String {
    let names: Vec<_> = signers.iter().map(|signer| signer.attestor()).collect();
    format!(
        "defaultAdmissionRule:\n  evaluationMode: REQUIRE_ATTESTATION\n  \
         enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG\n  requireAttestationsBy: [{}]\n",
        names.join(", ")
    )
}

pub(crate) fn file_of(image: &Pushed) -> String {
    format!("{}.json", image.digest.replace(':', "-"))
}

/// The static verifier.
pub(crate) fn verifier() -> PathBuf {
    let target = Path::new(DAEMON).ancestors().nth(2).unwrap();
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let built = target.join(triple).join("gate/binauthd-image-verifier");
    let path = std::env::var_os("BINAUTHD_VERIFIER").map_or(built, PathBuf::from);
    assert!(path.exists(), "`{}` is not there: run `make gate` first, or `make test`", path.display());
    path
}
