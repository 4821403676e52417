//! The steps of the story in which containers are created.

use super::rig::{Container, Image, Pod, Pushed, Refusal, eventually};
use super::stage::{Failure, Stage};
use super::story::{A_SECOND, Scene};

/// The image that reaches the node around the pull gate.
const CART: &str = "shop/cart";

/// A pod of the story, and the id of the image it runs.
pub(crate) struct Web {
    pub(crate) pod: Pod,
    pub(crate) image_id: String,
}

impl Scene {
    pub(crate) async fn around_the_pull_gate(&self, stage: &mut Stage) -> Result<(), Failure> {
        stage.step("An image comes to the node around the pull gate: its container is not created");
        let cart = self.node.registry.push(CART, "1", &Image::service("hello from shop/cart")).await;
        stage.say(&format!("pushed {} {}", cart.tagged(), cart.digest));
        stage.say(
            "containerd asks no verifier about images that are pulled with --local, imported, or part of the \
             machine's disk image:",
        );
        stage.command(&format!("ctr -n k8s.io images pull --local --plain-http {}", cart.tagged()));
        let pull = ["images", "pull", "--local", "--plain-http", &cart.tagged()];
        self.node.ctr().run(&pull).await.success();
        stage.good("it is on the node");
        let cri = &self.node.cri;
        stage.call("RunPodSandbox cart");
        let pod = cri.run_pod("cart").await.map_err(|refusal| stage.failure(&refusal.to_string()))?;
        stage.call("CreateContainer");
        let Err(refusal) = cri.create(&pod, "cart", &cart.tagged(), &cart.tagged()).await else {
            return Err(stage.failure("it was created"));
        };
        stage.refused(&refusal.to_string());
        for part in ["binauthd", &cart.digest, "NO_ATTESTATION"] {
            stage.check(refusal.message.contains(part), &format!("the refusal does not say `{part}`"))?;
        }
        stage.say("The pipeline attests it, and kubelet's next try succeeds. Nothing is pulled again:");
        self.attest(stage, &cart.pinned()).await?;
        stage.call("CreateContainer, StartContainer");
        let cart_pod = Web { pod, image_id: cart.tagged() };
        let started = self.start(&cart_pod, "cart", &cart).await;
        let container = started.map_err(|refusal| stage.failure(&refusal.to_string()))?;
        self.prints(stage, &container, "hello from shop/cart").await?;
        self.records_of(stage, &cart)
    }

    /// What the daemon has on record of a container of `image`: first refused, then allowed.
    fn records_of(&self, stage: &Stage, image: &Pushed) -> Result<(), Failure> {
        let records = self.node.etc.audit();
        let of: Vec<_> = records
            .iter()
            .filter(|record| record["gate"] == "create" && record["image"] == image.tagged())
            .collect();
        let reasons: Vec<_> = of.iter().filter_map(|record| record["reason"].as_str()).collect();
        let told = matches!(reasons.as_slice(), ["NO_ATTESTATION", rest @ ..] if !rest.is_empty()
            && rest.iter().all(|reason| *reason == "ATTESTED"));
        stage.check(told, &format!("the records are {reasons:?}"))?;
        stage.say(
            "The daemon's record of it: one line for each time that it was asked, by whom and about what.",
        );
        for record in of {
            stage.quote(&format!(
                "{} {:<5} {:<14} {}: container {} of pod {}/{}",
                record["gate"].as_str().unwrap_or_default(),
                record["verdict"].as_str().unwrap_or_default(),
                record["reason"].as_str().unwrap_or_default(),
                record["asked"]["entry"].as_str().unwrap_or_default(),
                record["container"]["name"].as_str().unwrap_or_default(),
                record["container"]["podNamespace"].as_str().unwrap_or_default(),
                record["container"]["pod"].as_str().unwrap_or_default(),
            ));
        }
        Ok(())
    }

    /// Waits until the daemon is asked by NRI and by the hook.
    pub(crate) async fn create_gate_is_wired(&self) {
        eventually("the create gate to be wired", A_SECOND * 10, async || {
            let status = self.binauthctl.run(&["status", "-o", "json"]).await.json();
            (status["create"]["askedBy"] == serde_json::json!(["nri", "hook"])).then_some(())
        })
        .await;
    }

    /// CreateContainer and StartContainer, of an image that is on the node.
    pub(crate) async fn start(&self, web: &Web, name: &str, image: &Pushed) -> Result<Container, Refusal> {
        let cri = &self.node.cri;
        let container = cri.create(&web.pod, name, &web.image_id, &image.tagged()).await?;
        cri.launch(&container).await?;
        Ok(container)
    }

    pub(crate) async fn prints(
        &self,
        stage: &Stage,
        container: &Container,
        line: &str,
    ) -> Result<(), Failure> {
        eventually("the container to print", A_SECOND * 10, async || {
            (!container.log().is_empty()).then_some(())
        })
        .await;
        stage.check(self.node.cri.is_running(container).await, "the container does not run")?;
        stage.check(container.log() == format!("{line}\n"), &container.log())?;
        stage.good(&format!("the container runs and prints \"{line}\""));
        Ok(())
    }
}
