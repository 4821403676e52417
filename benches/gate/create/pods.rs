//! Many pods at once on a machine that has no time for them.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::super::rig::Busy;
use super::super::samples::Samples;
use super::super::table::Table;
use super::place::{App, NOOP, Place};

const PODS: usize = 110;
/// How long a creation that is refused is tried again, as a kubelet does, and how often.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// What became of the pods.
#[derive(Default)]
struct Side {
    whole: Samples,
    starts: Samples,
    /// Creations that were tried again.
    retried: usize,
    /// Sandboxes and starts that failed, and creations that went on failing.
    refused: Vec<String>,
}

struct Up {
    whole: Duration,
    start: Duration,
    retried: usize,
}

/// Prints how long pods take, and says what was refused.
///
/// # Errors
/// The refusals.
pub(crate) async fn measure(place: &mut Place, table: &mut Table) -> Result<(), String> {
    place.node.cri.remove_all_pods().await;
    place.daemon.kill();
    let ungated = bring_up(place, "ungated", NOOP[0]).await;
    place.guard().await;
    let gated = bring_up(place, "gated", "").await;
    table.section(
        &format!("{PODS} pods at once, all cores kept busy by other threads"),
        &["RunPodSandbox, CreateContainer and StartContainer of an attested image, one container a pod."],
    );
    table.line(&format!("{:<33}{:>5} {:>9} {:>9} {:>9}   refused", "ms", "n", "median", "p90", "worst"));
    for (name, side) in [("no gate", &ungated), ("NRI and the hook", &gated)] {
        let refused = format!("{} ({} creations tried again)", side.refused.len(), side.retried);
        for (what, samples, refused) in
            [("pod", &side.whole, refused.as_str()), ("StartContainer", &side.starts, "")]
        {
            let (median, p90, worst) = (samples.median(), samples.quantile(0.9), samples.quantile(1.0));
            let (name, n) = (format!("{what}, {name}"), samples.len());
            table.line(&format!("{name:<33}{n:>5} {median:>9.0} {p90:>9.0} {worst:>9.0}   {refused}"));
        }
    }
    let (worst, count) = (gated.starts.quantile(1.0), gated.refused.len());
    let measured = format!("{count} of {PODS}");
    table.goal("110 pods at once, busy cores: attested starts refused", "none", measured, count == 0);
    let measured = format!("{worst:.0} ms");
    table.goal("the same: the longest start, printed only", "-", measured, true);
    let first = gated.refused.first().or(ungated.refused.first());
    first.map_or(Ok(()), |first| Err(format!("pods were refused: {first}")))
}

async fn bring_up(place: &Place, name: &str, handler: &'static str) -> Side {
    let mut side = Side::default();
    let busy = Busy::start();
    let mut pods = JoinSet::new();
    for number in 0..PODS {
        let (app, name) = (place.app.clone(), format!("{name}-{number}"));
        pods.spawn(async move { one(&app, &name, handler).await });
    }
    while let Some(up) = pods.join_next().await {
        match up.unwrap() {
            Ok(Up { whole, start, retried }) => {
                side.whole.push(whole);
                side.starts.push(start);
                side.retried += retried;
            }
            Err(refusal) => side.refused.push(refusal),
        }
    }
    drop(busy);
    place.node.cri.remove_all_pods().await;
    side
}

async fn one(app: &App, name: &str, handler: &str) -> Result<Up, String> {
    let begun = Instant::now();
    let pod = app.cri.run_pod_with("default", name, handler, |_| ()).await;
    let pod = pod.map_err(|refusal| refusal.to_string())?;
    let mut retried = 0;
    let container = loop {
        match app.create(&pod).await {
            Ok(container) => break container,
            Err(refusal) if begun.elapsed() > PATIENCE => return Err(refusal),
            Err(_) => retried += 1,
        }
        tokio::time::sleep(PAUSE).await;
    };
    let start = Instant::now();
    app.start(&container).await?;
    Ok(Up { whole: begun.elapsed(), start: start.elapsed(), retried })
}
