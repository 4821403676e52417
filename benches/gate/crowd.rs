//! Many pulls at once on a machine that has no time for them.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::rig::Busy;
use super::samples::Samples;
use super::scene::{CROWD, Scene, Verifiers};
use super::table::Table;

const ROUNDS: usize = 4;

/// One side over all rounds.
struct Side {
    name: &'static str,
    program: &'static str,
    pulls: Samples,
    refused: Vec<String>,
}

/// Prints the pulls and the verifiers' times; says what was refused.
///
/// # Errors
/// The refusals.
pub(crate) async fn measure(scene: &mut Scene, table: &mut Table) -> Result<(), String> {
    let times = scene.folder.path().to_owned();
    let timed = |name, verifier: &Path| {
        scene.programs.stopwatch(&format!("timed-{name}"), verifier, &times.join(format!("{name}.times")))
    };
    let (noop, ours) = (timed("noop", &scene.programs.nothing), timed("ours", &scene.programs.verifier));
    let mut verifiers = Verifiers::new(scene, "timed", &[("noop", &noop), ("ours", &ours)]);
    let side = |name, program| Side { name, program, pulls: Samples::default(), refused: Vec::new() };
    let mut sides = [side("no-op verifier", "noop"), side("binauthd-image-verifier", "ours")];

    // All of them come onto the node first. Pulls wait for the disk: what this wrote must be on it.
    for _ in 0..2 {
        pull_all(scene, &mut side("", "")).await;
        nix::unistd::sync();
    }
    let records = scene.node.etc.audit().len();
    for round in 0..ROUNDS {
        for place in 0..sides.len() {
            let side = &mut sides[(place + round) % 2];
            verifiers.install(Some(side.program));
            scene.daemon.restart().await;
            let busy = Busy::start();
            pull_all(scene, side).await;
            drop(busy);
        }
    }
    drop(verifiers);

    let cores = available_parallelism().map_or(1, usize::from);
    table.section(
        &format!("{CROWD} pulls at once, all {cores} cores kept busy by {cores} other threads"),
        &[
            &format!(
                "{CROWD} attested images that are on the node, {ROUNDS} times over; each time the daemon is"
            ),
            "started anew, so that every question is its first. verifier: the process's whole time, taken",
            "by a stopwatch between containerd and each of the two; judging: the daemon's own part.",
        ],
    );
    table.line(&format!("{:<33}{:>5} {:>9} {:>9} {:>9}   refused", "ms", "n", "median", "p90", "worst"));
    let line = |name: &str, samples: &Samples, refused: &str| {
        let (median, p90, worst) = (samples.median(), samples.quantile(0.9), samples.quantile(1.0));
        let n = samples.len();
        table.line(&format!("{name:<33}{n:>5} {median:>9.1} {p90:>9.1} {worst:>9.1}   {refused}"));
    };
    for side in &sides {
        line(&format!("pull, {}", side.name), &side.pulls, &side.refused.len().to_string());
    }
    for side in &sides {
        line(
            &format!("verifier, {}", side.name),
            &stopped(&times.join(format!("{}.times", side.program))),
            "",
        );
    }
    let mut judging = Samples::default();
    for record in scene.node.etc.audit().iter().skip(records) {
        judging.push(Duration::from_micros(record["durationMicros"].as_u64().unwrap()));
    }
    line("judging", &judging, "");

    let refused = &sides[1].refused;
    let measured = format!("{} of {}", refused.len(), CROWD * ROUNDS);
    table.goal("110 attested pulls at once, busy cores: refused", "none", measured, refused.is_empty());
    let refused: Vec<_> = sides.iter().flat_map(|side| &side.refused).collect();
    refused.first().map_or(Ok(()), |first| Err(format!("{} pulls were refused: {first}", refused.len())))
}

async fn pull_all(scene: &Scene, side: &mut Side) {
    let mut pulls = JoinSet::new();
    for image in &scene.crowd {
        let (cri, image) = (scene.node.cri.clone(), image.tagged());
        pulls.spawn(async move {
            let start = Instant::now();
            let answer = cri.pull(&image).await;
            (start.elapsed(), answer)
        });
    }
    while let Some(pull) = pulls.join_next().await {
        let (took, answer) = pull.unwrap();
        side.pulls.push(took);
        if let Err(refusal) = answer {
            side.refused.push(refusal.to_string());
        }
    }
}

/// What a stopwatch wrote.
fn stopped(file: &Path) -> Samples {
    let mut samples = Samples::default();
    for line in fs::read_to_string(file).unwrap().lines() {
        samples.push(Duration::from_micros(line.parse().unwrap()));
    }
    samples
}
