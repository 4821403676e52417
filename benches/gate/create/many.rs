//! Judging again what runs, where much runs.

use std::time::Duration;

use serde_json::Value;

use super::super::rig::eventually;
use super::super::samples::Samples;
use super::super::table::Table;
use super::place::Place;

const RUNNING: usize = 1_000;
const ROUNDS: usize = 9;
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints what a pass over all that runs takes, the first of a daemon and those after a change of policy.
pub(crate) async fn measure(place: &mut Place, table: &mut Table) {
    place.fill(RUNNING).await;
    let (mut own, mut whole) = (Samples::default(), Samples::default());
    let (mut first, mut first_whole) = (Samples::default(), Samples::default());
    for round in 0..ROUNDS {
        if round % 3 == 0 {
            place.guard().await;
            take(&over(place, 0).await, &mut first, &mut first_whole);
            // NRI's word of what runs is another reason.
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let before = passes(&last(place));
        place.change_policy(round);
        take(&over(place, before).await, &mut own, &mut whole);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    table.section(
        &format!("{RUNNING} running containers judged again"),
        &["own: the daemon's own time; whole: with what it reads of containerd."],
    );
    table.columns("ms", None);
    table.row("policy changed, own", &own, None);
    table.row("policy changed, whole", &whole, None);
    table.row("daemon started, own", &first, None);
    table.row("daemon started, whole", &first_whole, None);
    let worst = own.median().max(first.median());
    let measured = format!("{worst:.0} ms");
    table.goal("1,000 running containers judged again, own time", "< 200 ms", measured, worst < 200.0);
}

/// The first pass over all of them after so many.
async fn over(place: &Place, before: u64) -> Value {
    eventually("what runs to be judged", PATIENCE, || async {
        let last = last(place);
        (passes(&last) > before && last["containers"] == RUNNING).then_some(last)
    })
    .await
}

fn last(place: &Place) -> Value {
    place.status()["create"]["running"].clone()
}

fn passes(last: &Value) -> u64 {
    last["passes"].as_u64().unwrap()
}

fn take(last: &Value, own: &mut Samples, whole: &mut Samples) {
    assert_eq!(last["violations"], 0, "{last}");
    for (part, samples) in [("ownMicros", own), ("tookMicros", whole)] {
        samples.push(Duration::from_micros(last[part].as_u64().unwrap()));
    }
}
