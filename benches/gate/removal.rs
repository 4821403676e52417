//! How long a key that was taken away still counts.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::samples::Samples;
use super::scene::Scene;
use super::table::Table;

const ROUNDS: usize = 20;
/// Between two questions.
const PAUSE: Duration = Duration::from_micros(500);
const TOO_LONG: Duration = Duration::from_secs(20);

/// Prints the time from the new attestor document to the first refusal, and back.
pub(crate) fn measure(scene: &Scene, table: &mut Table) {
    let (mut removed, mut restored) = (Samples::default(), Samples::default());
    assert!(allowed(scene));
    for round in 0..ROUNDS {
        // Not in step with the daemon's own looks at its files.
        sleep(Duration::from_millis(37 * (round as u64 % 13)));
        removed.push(until(scene, false));
        restored.push(until(scene, true));
    }
    table.section(
        "A key taken out of an attestor's document",
        &["From writing the document; asked every half millisecond about a digest the key signed."],
    );
    table.columns("ms", None);
    table.row("until the first refusal", &removed, None);
    table.row("put back, until allowed again", &restored, None);
    let worst = removed.quantile(1.0);
    let measured = format!("{worst:.0} ms");
    table.goal("a removed key counts no longer, worst of 20", "< 1,000 ms", measured, worst < 1_000.0);
}

fn until(scene: &Scene, trusted: bool) -> Duration {
    let start = Instant::now();
    scene.trust(trusted);
    while allowed(scene) != trusted {
        assert!(start.elapsed() < TOO_LONG, "the daemon does not follow its documents");
        sleep(PAUSE);
    }
    start.elapsed()
}

fn allowed(scene: &Scene) -> bool {
    scene.allows(&scene.app.tagged(), &scene.app.digest)
}
