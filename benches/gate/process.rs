//! Whole processes, from `posix_spawn` to `wait`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::rivals::Rivals;
use super::samples::{Samples, order};
use super::scene::Scene;
use super::table::Table;

const ROUNDS: usize = 200;
const WARM_UP: usize = 5;

const SIDES: [&str; 8] = [
    "empty program",
    "empty program, again",
    "binauthd, warm",
    "binauthd, warm, again",
    "binauthd, cold",
    "the daemon's part of warm",
    "cosign verify",
    "notation verify",
];
const EMPTY: usize = 0;
const WARM: usize = 2;
const COLD: usize = 4;
const NOTATION: usize = 7;

/// Prints the processes. Uses up digests that nobody has asked about.
pub(crate) async fn measure(scene: &mut Scene, table: &mut Table) {
    let rivals = Rivals::new(scene);
    scene.daemon.restart().await;
    let digests: Vec<_> = scene.unasked.iter().map(ToString::to_string).collect();
    let cold: Vec<_> = digests
        .into_iter()
        .take(ROUNDS + WARM_UP)
        .map(|digest| (format!("registry.example.com/team/app@{digest}"), digest))
        .collect();
    let cold: Vec<Question> = cold.iter().map(|(name, digest)| Question::new(scene, name, digest)).collect();
    let warm = Question::new(scene, &scene.app.tagged(), &scene.app.digest);
    let misses = cold.len() + 1;

    let mut samples: [Samples; SIDES.len()] = std::array::from_fn(|_| Samples::default());
    for (round, cold) in cold.iter().enumerate() {
        for side in order(round, SIDES.len()) {
            let took = match side {
                0 | 1 => warm.put_to(scene, &scene.programs.nothing),
                2 | 3 => warm.put_to(scene, &scene.programs.verifier),
                4 => cold.put_to(scene, &scene.programs.verifier),
                5 => warm_question(scene),
                6 => time(rivals.cosign_verify().stdin(Stdio::null())),
                _ => time(rivals.notation_verify().stdin(Stdio::null())),
            };
            if round >= WARM_UP {
                samples[side].push(took);
            }
        }
    }
    let verdicts = scene.node.etc.audit();
    assert!(verdicts.iter().rev().take(misses).all(|record| record["verdict"] == "ALLOW"));

    let (cosign, notation) =
        (rivals.requests(rivals.cosign_verify()), rivals.requests(rivals.notation_verify()));
    table.section(
        "A whole process, from spawn to exit",
        &[
            "The empty program is static, as the gate program is, and started with the same input.",
            "binauthd: the gate program asks the daemon; no registry. warm: a digest asked about before.",
            "cold: the first question about a digest, 1 of 1,000 attestations in a local directory;",
            "one ECDSA P-256 signature is checked. daemon's part: the question alone, over the gate socket.",
            &format!("cosign: {cosign} registry requests; one ECDSA P-256 signature, no transparency log."),
            &format!("notation: {notation} registry requests; one RSA-2048 signature, certificate in a local store."),
            "Both fetch the signature at every run: over loopback here, over a network elsewhere.",
        ],
    );
    table.columns("ms", Some(SIDES[EMPTY]));
    for (place, (name, side)) in SIDES.iter().zip(&samples).enumerate() {
        table.row(name, side, (place != EMPTY).then_some(&samples[EMPTY]));
    }
    let over_warm = samples[COLD].over(&samples[WARM]).median();
    let times = samples[NOTATION].median() / samples[COLD].median();
    table.line(&format!("cold more than warm: {over_warm:+.3}; notation / cold: {times:.1}"));
    let reached = times >= 5.0;
    table.goal("cold verdict, times faster than notation verify", ">= 5.0", format!("{times:.1}"), reached);
}

/// The same question without a process: connect, ask, read the answer.
fn warm_question(scene: &Scene) -> Duration {
    let (name, digest) = (scene.app.tagged(), &scene.app.digest);
    let start = Instant::now();
    assert!(scene.allows(&name, digest));
    start.elapsed()
}

/// What containerd hands to a verifier.
struct Question {
    arguments: [String; 6],
    descriptor: PathBuf,
}

impl Question {
    fn new(scene: &Scene, name: &str, digest: &str) -> Self {
        Self { arguments: Scene::arguments(name, digest), descriptor: scene.descriptor(digest) }
    }

    fn put_to(&self, scene: &Scene, program: &PathBuf) -> Duration {
        let mut command = Command::new(program);
        command.args(&self.arguments).env("BINAUTHD_GATE_SOCKET", scene.node.etc.gate_socket());
        time(command.stdin(File::open(&self.descriptor).unwrap()))
    }
}

fn time(command: &mut Command) -> Duration {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let took = start.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}
