//! What each gate adds to the call it is asked in.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::programs::Programs;
use super::super::samples::{Samples, order};
use super::super::table::Table;
use super::place::{NOOP, Place};

/// The plugin comes and goes between blocks of creations, not between any two.
const BLOCKS: usize = 24;
const IN_A_BLOCK: usize = 8;
const WARM_UP: usize = 2;
const STARTS: usize = 240;
const CONTAINERS: usize = 10;
/// Times that one of them is asked about.
const OF_ONE: usize = 40;
/// For what a daemon does when it has just started.
const SETTLE: Duration = Duration::from_millis(400);

/// Prints CreateContainer with and without the plugin.
pub(crate) async fn to_creations(place: &mut Place, table: &mut Table) {
    const SIDES: [&str; 3] = ["no plugin", "no plugin, again", "binauthd asked by NRI"];
    const OURS: usize = 2;
    let pod = place.pod("creations", "").await;
    let mut samples = SIDES.map(|_| Samples::default());
    for block in 0..BLOCKS {
        for side in order(block, SIDES.len()) {
            if side == OURS {
                place.guard().await;
            } else {
                place.daemon.kill();
            }
            tokio::time::sleep(SETTLE).await;
            let mut made = Vec::new();
            for place_in_block in 0..WARM_UP + IN_A_BLOCK {
                let start = Instant::now();
                made.push(place.app.create(&pod).await.unwrap());
                if place_in_block >= WARM_UP {
                    samples[side].push(start.elapsed());
                }
            }
            for container in made {
                place.app.cri.remove(&container).await.unwrap();
            }
        }
    }
    place.guard().await;
    table.section(
        "CreateContainer of an attested image, with the NRI plugin and without",
        &[
            &format!("{BLOCKS} blocks of {IN_A_BLOCK} for each side; in between the daemon is killed, or started and"),
            "warmed up by two creations.",
        ],
    );
    table.columns("ms", Some(SIDES[0]));
    for (side, name) in SIDES.iter().enumerate() {
        table.row(name, &samples[side], (side != 0).then_some(&samples[0]));
    }
    let more = samples[OURS].over(&samples[0]).median();
    let most = (samples[0].median() / 10.0).max(1.0);
    let limit = format!("<= {most:.2} ms");
    table.goal(
        "what NRI adds to CreateContainer (1 ms or 10 %)",
        &limit,
        format!("{more:.2} ms"),
        more <= most,
    );
}

/// Prints StartContainer with our hook and with one that does nothing; NRI asks about all of them.
pub(crate) async fn to_starts(place: &Place, table: &mut Table) {
    const SIDES: [&str; 3] = ["no-op hook", "no-op hook, again", "binauthd-create-hook"];
    let handlers = [NOOP[0], NOOP[1], ""];
    let mut pods = Vec::new();
    for (name, handler) in ["noop", "noop-again", "ours"].into_iter().zip(handlers) {
        pods.push(place.pod(&format!("starts-{name}"), handler).await);
    }
    let mut samples = SIDES.map(|_| Samples::default());
    for round in 0..WARM_UP + STARTS {
        for side in order(round, SIDES.len()) {
            let container = place.app.create(&pods[side]).await.unwrap();
            let start = Instant::now();
            place.app.start(&container).await.unwrap();
            let took = start.elapsed();
            if round >= WARM_UP {
                samples[side].push(took);
            }
            place.app.cri.remove(&container).await.unwrap();
        }
    }
    table.section(
        "StartContainer of an attested image, with the create hook and with one that does nothing",
        &[
            "The no-op hook is an empty static program. NRI asks at all starts alike. Starts scatter by more than a",
            "hook takes: that is measured below.",
        ],
    );
    table.columns("ms", Some(SIDES[0]));
    for (side, name) in SIDES.iter().enumerate() {
        table.row(name, &samples[side], (side != 0).then_some(&samples[0]));
    }
}

/// Prints the hooks alone, executed as the runtime does.
pub(crate) async fn to_the_runtime(place: &Place, programs: &Programs, table: &mut Table) {
    const SIDES: [&str; 3] = ["no-op hook", "no-op hook, again", "binauthd-create-hook"];
    const OURS: usize = 2;
    let pod = place.pod("hooks", "").await;
    let mut samples = SIDES.map(|_| Samples::default());
    for _ in 0..CONTAINERS {
        // Its record is read while it is being set up, which takes the runtime longer than this.
        let container = place.app.create(&pod).await.unwrap();
        place.app.start(&container).await.unwrap();
        let bundle = place.node.bundle(&container.id);
        let pid = fs::read_to_string(bundle.join("init.pid")).unwrap();
        let pid: u32 = pid.trim().parse().unwrap();
        let state = json!({
            "ociVersion": "1.1.0", "id": container.id, "status": "creating", "pid": pid, "bundle": bundle,
        });
        for round in 0..WARM_UP + OF_ONE {
            for side in order(round, SIDES.len()) {
                let program = if side == OURS { &programs.hook } else { &programs.nothing };
                let took = execute(program, place, &state.to_string());
                if round >= WARM_UP {
                    samples[side].push(took);
                }
            }
        }
        place.app.cri.remove(&container).await.unwrap();
    }
    table.section(
        "The create hook and one that does nothing, from their start to their end",
        &[
            &format!("{CONTAINERS} containers, each asked about {OF_ONE} times within seconds of its creation, with"),
            "the state that its runtime would write; it runs by then, and has fewer mounts than the node.",
        ],
    );
    table.columns("ms", Some(SIDES[0]));
    for (side, name) in SIDES.iter().enumerate() {
        table.row(name, &samples[side], (side != 0).then_some(&samples[0]));
    }
    let more = samples[OURS].over(&samples[0]).median();
    let measured = format!("{more:.2} ms");
    table.goal("what our hook adds to StartContainer over a no-op one", "<= 0.70 ms", measured, more <= 0.7);
}

fn execute(hook: &Path, place: &Place, state: &str) -> Duration {
    let start = Instant::now();
    let mut process = Command::new(hook)
        .env("BINAUTHD_GATE_SOCKET", place.node.etc.gate_socket())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads nothing may be gone by now.
    let _ = process.stdin.take().unwrap().write_all(state.as_bytes());
    assert!(process.wait().unwrap().success());
    start.elapsed()
}
