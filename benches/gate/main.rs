//! The gates as a node sees them, on the real containerd: what they cost, beside what they are compared with.
//!
//! One run prints one table. Sides that are compared are sampled in turns, in an order that changes
//! every round, with one of them there twice as the measure of chance. Numbers are printed and never
//! asserted; the exit code tells whether everything worked.
//!
//! Needs root, `tests/rig/install.sh --bench` and the programs of `make build`; other ones can be
//! named in `BINAUTHD_DAEMON`, `BINAUTHD_VERIFIER` and `BINAUTHD_CREATE_HOOK`. `cargo bench --bench gate -- pull`
//! and `-- create` measure one of the gates alone, `-- sources` what comes from a metadata store.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench that cannot be set up, or whose subject fails, ends there"
)]

use std::process::ExitCode;
use std::time::Instant;

mod attest;
mod create;
mod crowd;
mod flood;
mod hostile;
mod in_process;
mod memory;
mod process;
mod programs;
mod pull;
mod removal;
mod resident;
#[path = "../../tests/rig/mod.rs"]
mod rig;
mod rivals;
mod samples;
mod scene;
mod sources;
mod table;

use in_process::{Folder, NAME, decide, digests};
use programs::Programs;
use samples::Samples;
use scene::Scene;
use table::Table;

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS; // `cargo test --benches` wants to know that it compiles
    }
    if flood::is_measured_here() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match runtime.block_on(rig::until_interrupted(run())) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("gate bench: {error}");
            ExitCode::FAILURE
        }
        None => ExitCode::from(130),
    }
}

async fn run() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let programs = Programs::find(folder.path())?;
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |gate: &str| only.as_ref().is_none_or(|only| only == gate);
    let start = Instant::now();
    let mut table = Table::default();
    println!("Last column: median of the differences within a round, and its 95 % interval.");
    let pulled = if is_wanted("pull") { pull_gate(&programs, &mut table).await } else { Ok(()) };
    let created = if is_wanted("create") { create::measure(&programs, &mut table).await } else { Ok(()) };
    if is_wanted("sources") {
        sources::measure(&programs.daemon, &mut table);
    }
    table.finish();
    println!("\n{:.0} s in all", start.elapsed().as_secs_f64());
    pulled.and(created)
}

async fn pull_gate(programs: &Programs, table: &mut Table) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut scene = Scene::set(programs.clone(), folder).await;
    pull::measure(&scene, table).await;
    process::measure(&mut scene, table).await;
    memory::measure(&mut scene, table).await;
    let crowded = crowd::measure(&mut scene, table).await;
    removal::measure(&scene, table);
    cached_decision(table);
    flood::measure(table);
    scene.node.stop().await;
    crowded
}

/// In this process; `cargo bench --bench judge` says more.
fn cached_decision(table: &mut Table) {
    const SAMPLES: usize = 200;
    const DECISIONS: usize = 1_000;
    let digest = digests("attested", 1);
    let engine = Folder::new(&digest, &[]).engine();
    let text = digest[0].to_string();
    let mut samples = Samples::default();
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..DECISIONS {
            assert!(decide(&engine, NAME, &text).allows());
        }
        // Milliseconds for a thousand are microseconds for one.
        samples.push(start.elapsed());
    }
    table.section(
        "A cached decision in the daemon",
        &["Name and digest parsed, two attestors weighed, verdict made; each sample the mean of 1,000."],
    );
    table.columns("us", None);
    table.row("decision", &samples, None);
    let median = samples.median();
    table.goal("a cached decision in process", "< 5.00 us", format!("{median:.2} us"), median < 5.0);
}
