//! What the daemon keeps in memory.

use std::time::Duration;

use super::resident::Resident;
use super::scene::{ATTESTATIONS, Scene};
use super::table::Table;

/// Of the clients that ask at once.
const CLIENTS: usize = 8;

/// Prints the daemon's resident memory before and after it was asked about every attestation.
pub(crate) async fn measure(scene: &mut Scene, table: &mut Table) {
    scene.daemon.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = Resident::of(scene.daemon.pid());
    ask_everything(scene);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Resident::of(scene.daemon.pid());

    table.section(
        &format!("Resident memory of the daemon, {ATTESTATIONS} attestations in its folder"),
        &[&format!("asked: about each of them once, by {CLIENTS} clients at a time")],
    );
    table.line(&format!("{:<33}{:>9} {:>9} {:>9} {:>9}", "MiB", "all", "own", "files", "peak"));
    for (name, resident) in [("idle after start", &idle), ("asked", &asked)] {
        let Resident { all, own, files, peak } = resident;
        table.line(&format!("{name:<33}{all:>9.1} {own:>9.1} {files:>9.1} {peak:>9.1}"));
    }
    let measured = format!("{:.1} MiB", asked.all);
    table.goal("daemon's memory, 1,000 attestations all asked", "< 15.0 MiB", measured, asked.all < 15.0);
}

fn ask_everything(scene: &Scene) {
    let mut digests: Vec<_> = scene.unasked.iter().map(ToString::to_string).collect();
    digests.extend(scene.crowd.iter().chain([&scene.app]).map(|image| image.digest.clone()));
    assert_eq!(digests.len(), ATTESTATIONS);
    std::thread::scope(|scope| {
        for some in digests.chunks(ATTESTATIONS.div_ceil(CLIENTS)) {
            scope.spawn(move || {
                for digest in some {
                    assert!(scene.allows(&format!("registry.example.com/team/app@{digest}"), digest));
                }
            });
        }
    });
}
