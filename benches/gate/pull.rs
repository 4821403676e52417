//! CRI pulls with one verifier or another in containerd's `bin_dir`.

use std::time::Instant;

use super::samples::{Samples, order};
use super::scene::{Scene, Verifiers};
use super::table::Table;

const ROUNDS: usize = 400;
const FRESH_ROUNDS: usize = 150;
const WARM_UP: usize = 8;

const SIDES: [(&str, Option<&str>); 5] = [
    ("no verifier", None),
    ("no verifier, again", None),
    ("no-op verifier", Some("noop-1")),
    ("no-op verifier, again", Some("noop-2")),
    ("binauthd-image-verifier", Some("ours")),
];
const NOOP: usize = 2;
const OURS: usize = 4;

/// Prints both kinds of pull.
pub(crate) async fn measure(scene: &Scene, table: &mut Table) {
    let nothing = scene.programs.nothing.as_path();
    let programs = [("noop-1", nothing), ("noop-2", nothing), ("ours", scene.programs.verifier.as_path())];
    let mut verifiers = Verifiers::new(scene, "verifiers", &programs);
    in_the_way(scene, &mut verifiers).await;

    let sides = sample(scene, &mut verifiers, ROUNDS, &SIDES, false).await;
    table.section(
        "CRI pull of an attested image that is already on the node (imagePullPolicy: Always)",
        &[
            "PullImage over CRI by tag: containerd asks the registry for the tag's digest, runs the",
            "verifier, and fetches no layer. The digest was asked about before. The no-op verifier is an",
            "empty static program.",
        ],
    );
    table.columns("ms", Some(SIDES[NOOP].0));
    rows(table, &SIDES, &sides, NOOP);
    let more = sides[OURS].over(&sides[NOOP]).median();
    table.goal(
        "what our verifier adds to a pull over a no-op one",
        "<= 0.300 ms",
        format!("{more:.3} ms"),
        more <= 0.3,
    );

    let few = [SIDES[NOOP], SIDES[NOOP + 1], SIDES[OURS]];
    let sides = sample(scene, &mut verifiers, FRESH_ROUNDS, &few, true).await;
    table.section(
        "CRI pull of the same image after it was removed from the node",
        &["As above, and two layers (2 MB) are fetched from the loopback registry and unpacked."],
    );
    table.columns("ms", Some(few[0].0));
    rows(table, &few, &sides, 0);
}

/// What is measured is what it is taken for: ours refuses, a no-op does not.
async fn in_the_way(scene: &Scene, verifiers: &mut Verifiers) {
    let stranger = scene.stranger.tagged();
    verifiers.install(Some("ours"));
    let refused = scene.node.cri.pull(&stranger).await.unwrap_err();
    assert!(refused.message.contains("NO_ATTESTATION"), "{refused}");
    verifiers.install(Some("noop-1"));
    scene.node.cri.pull(&stranger).await.unwrap();
    scene.node.cri.pull(&scene.app.tagged()).await.unwrap();
}

async fn sample(
    scene: &Scene,
    verifiers: &mut Verifiers,
    rounds: usize,
    sides: &[(&str, Option<&'static str>)],
    fresh: bool,
) -> Vec<Samples> {
    let image = scene.app.tagged();
    let mut samples: Vec<Samples> = sides.iter().map(|_| Samples::default()).collect();
    for round in 0..rounds + WARM_UP {
        for side in order(round, sides.len()) {
            verifiers.install(sides[side].1);
            if fresh {
                scene.node.cri.remove_image(&image).await.unwrap();
            }
            let start = Instant::now();
            scene.node.cri.pull(&image).await.unwrap();
            let took = start.elapsed();
            if round >= WARM_UP {
                samples[side].push(took);
            }
        }
    }
    samples
}

fn rows(table: &Table, sides: &[(&str, Option<&str>)], samples: &[Samples], base: usize) {
    for (place, ((name, _), side)) in sides.iter().zip(samples).enumerate() {
        table.row(name, side, (place != base).then_some(&samples[base]));
    }
}
