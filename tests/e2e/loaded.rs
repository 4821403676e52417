//! What is claimed of the create gate is what containerd has loaded, not what lies on disk.

use std::fs;
use std::time::Duration;

use super::gated::{Gated, Gates, base_spec};
use super::metrics::sample;
use super::rig::{Generation, Image, Wiring, eventually};

const OBSERVE: &str = "\"--observe\",";

impl Gated {
    /// Waits until the create gate is said to be so: enforcing, observing, asked by the hook, with an alarm about the base
    /// runtime spec.
    async fn claims(&self, when: &str, wanted: (bool, bool, bool, bool)) {
        let spec = self.node().base_spec("runc");
        let unread = format!("`{}` was changed since containerd started", spec.display());
        eventually(&format!("{wanted:?} {when}"), Duration::from_secs(40), || async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let status = self.guarded.status().await;
            let says = |pointer: &str, part: &str| {
                let all = status.pointer(pointer).unwrap().as_array().unwrap();
                all.iter().any(|one| one.as_str().unwrap().contains(part))
            };
            let is = async |name: &str| {
                sample(&self.guarded, &format!("binauthd_{name}{{gate=\"create\"}}")).await == Some(1.0)
            };
            let (hook, alarmed) = (says("/create/askedBy", "hook"), says("/alarms", &unread));
            ((is("enforcing").await, is("observing").await, hook, alarmed) == wanted).then_some(())
        })
        .await;
    }

    fn write_base_spec(&self, edit: impl Fn(&str) -> String) {
        let path = self.node().base_spec("runc");
        let (before, after) = (fs::read_to_string(&path).unwrap(), path.with_extension("new"));
        fs::write(&after, edit(&before)).unwrap();
        fs::rename(after, path).unwrap();
    }
}

#[tokio::test]
async fn a_mode_that_was_written_counts_once_containerd_has_it() {
    let observing = base_spec(Generation::V2_1, &["--observe"]).await;
    let observing = serde_json::from_str::<serde_json::Value>(&observing).unwrap().to_string();
    assert!(observing.contains(OBSERVE));
    let enforcing = |text: &str| text.replace(OBSERVE, "");
    let again = |text: &str| {
        text.replace("\"binauthd-create-hook\",", &format!("\"binauthd-create-hook\",{OBSERVE}"))
    };
    let wiring = Wiring { base_spec: Some(observing), ..Gates::Both.on(Generation::V2_1).await };
    let mut gated = Gated::start_on(wiring, |_, _| ()).await;
    let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
    gated.claims("with what observes", (false, true, true, false)).await;

    // Written, and not loaded: nobody knows, until the hook that containerd has says so.
    gated.write_base_spec(enforcing);
    gated.guarded.daemon.restart().await;
    gated.claims("before containerd is restarted", (false, false, false, true)).await;
    gated.runs("observed", &id, &good.tagged(), "good").await;
    gated.claims("as the hook says", (false, true, true, true)).await;
    gated.guarded.node.restart_containerd().await;
    gated.claims("after it was", (true, false, true, false)).await;
    gated.runs("enforced", &id, &good.tagged(), "good").await;
    gated.claims("as the hook says", (true, false, true, false)).await;

    // The other way round, the hook that enforces is still the one that containerd has.
    gated.write_base_spec(again);
    gated.claims("while it is loaded", (true, false, true, true)).await;
    gated.guarded.daemon.restart().await;
    gated.claims("while nobody has asked", (false, false, false, true)).await;
    gated.runs("known", &id, &good.tagged(), "good").await;
    gated.claims("as the hook says", (true, false, true, true)).await;
    gated.guarded.node.restart_containerd().await;
    gated.claims("with what observes once more", (false, true, true, false)).await;
    gated.stop().await;
}
