//! Creations as fast as containerd makes them.

use std::time::Instant;

use tokio::task::JoinSet;

use super::super::table::Table;
use super::place::Place;

/// Containers that run meanwhile.
const RUNNING: usize = 200;
const CREATIONS: usize = 1_000;
/// Clients that create.
const CLIENTS: usize = 4;

/// Prints what NRI's questions take of the daemon's own time, and whether one came too late.
pub(crate) async fn measure(place: &mut Place, table: &mut Table) {
    place.fill(RUNNING).await;
    // So that it remembers no other question.
    place.guard().await;
    let before = place.status()["create"]["nri"].clone();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (app, pod) = (place.app.clone(), place.pod(&format!("rate-{client}"), "").await);
        clients.spawn(async move {
            let start = Instant::now();
            for _ in 0..CREATIONS / CLIENTS {
                app.create(&pod).await.unwrap();
            }
            (pod, start, Instant::now())
        });
    }
    let done = clients.join_all().await;
    let (start, end) =
        (done.iter().map(|(_, start, _)| *start).min(), done.iter().map(|(.., end)| *end).max());
    let rate = CREATIONS as f64 / (end.unwrap() - start.unwrap()).as_secs_f64();
    let create = place.status()["create"].clone();
    for (pod, ..) in &done {
        place.node.cri.remove_pod(&pod.id).await.unwrap();
    }
    let own = |by: &str, part: &str| create["ownTimes"][by][part].as_u64().unwrap();
    let (questions, late) =
        (create["ownTimes"]["questions"].as_u64().unwrap(), create["nri"]["late"].as_u64().unwrap());
    table.section(
        &format!("{CREATIONS} creations by {CLIENTS} clients at once, {RUNNING} containers running"),
        &[
            "The daemon's own time for a question of NRI's: by the clock without the reads of containerd, and with",
            "the times when others have the core; on a core with what it does for those reads.",
        ],
    );
    table.line(&format!("{rate:.1} creations a second"));
    for (name, by) in [("on a core", "onCore"), ("by the clock", "byClock")] {
        let [median, p99, worst] = ["median", "p99", "worst"].map(|part| own(by, part));
        table.line(&format!(
            "{questions} questions, {name}: median {median} us, p99 {p99} us, worst {worst} us"
        ));
    }
    let p99 = own("byClock", "p99");
    table.goal("a question's own time in the daemon, p99", "< 200 us", format!("{p99} us"), p99 < 200);
    // One that came too late would have ended the connection.
    let is_same = create["nri"]["since"] == before["since"] && create["nri"]["state"] == "synchronized";
    let measured = format!("{late} of {questions}");
    table.goal("deadlines missed at that rate", "none", measured, late == 0 && is_same);
}
