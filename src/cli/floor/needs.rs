//! What a node needs to come up, and the digests of it that are on the node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::Serialize;

use crate::config::ContainerdConfig as Settings;
use crate::containerd::wiring::{Effective, PlanError, View};
use crate::containerd::{Containerd, Handlers, Installed, Record};
use crate::image::{Digest, Reference};
use crate::kubelet::static_pods;
use crate::text::shown;

/// An image that the node needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Need {
    /// Such as `pause`, or `static pod kube-system/etcd`.
    pub(super) what: String,
    /// As it is written where it was found.
    pub(super) image: String,
    /// What that is on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Digest>,
    /// Why there is no digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// All of them, and what was looked at besides.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) found: Vec<Need>,
    /// Images of running containers that were not taken.
    pub(super) left_out: Vec<String>,
    pub(super) problems: Vec<String>,
}

/// What a running container is for, by the last part of its image's name: what such programs are called by those who
/// make them.
const ROLES: &[(&str, &[&str], &[&str])] = &[
    // What, what the name begins with, what it holds.
    ("kube-proxy", &["kube-proxy"], &[]),
    ("DNS", &["coredns", "k8s-dns-", "node-local-dns", "node-cache"], &[]),
    (
        "CNI",
        &[
            "calico",
            "canal",
            "cilium",
            "flannel",
            "kindnet",
            "kube-router",
            "weave-",
            "antrea",
            "ovn",
            "multus",
            "netd",
        ],
        &["cni"],
    ),
    ("CSI", &["livenessprobe", "node-driver-registrar"], &["csi"]),
    ("metadata store", &["binauth-store"], &[]),
];

impl Need {
    pub(super) fn row(&self) -> Vec<String> {
        let digest = self.digest.map(|digest| digest.to_string());
        let problem = self.problem.as_ref().map(|problem| format!("? {problem}"));
        vec![self.what.clone(), self.image.clone(), digest.or(problem).unwrap_or_default()]
    }
}

/// Looks at `listed` images and, with `manifests`, at what the node runs. Everything that cannot be looked at is a
/// problem in the answer.
pub(super) async fn gather(
    settings: &Settings,
    listed: &[String],
    manifests: Option<&Path>,
    namespaces: &[String],
) -> Needs {
    let containerd = Containerd::new(&settings.address);
    let mut node = Node { containerd, settings, needs: Needs::default(), seen: BTreeSet::new() };
    if let Some(manifests) = manifests {
        node.static_pods(manifests).await;
        node.pause().await;
        node.running(namespaces).await;
    }
    for image in listed {
        node.need("listed".to_owned(), image).await;
    }
    node.needs
}

struct Node<'a> {
    containerd: Containerd,
    settings: &'a Settings,
    needs: Needs,
    seen: BTreeSet<(String, Option<Digest>)>,
}

/// The pause image that a containerd would use that starts now.
fn configured_pause(address: &Path) -> Result<String, PlanError> {
    let installed = Installed::find(address, None, None)?;
    Ok(Effective::of(&View::read(&installed, &installed.file)?).pause)
}

impl Node<'_> {
    async fn static_pods(&mut self, folder: &Path) {
        match static_pods(folder) {
            Ok((pods, problems)) => {
                self.needs.problems.extend(problems.iter().map(ToString::to_string));
                for pod in pods {
                    let what = format!("static pod {}/{}", shown(&pod.namespace, 63), shown(&pod.name, 253));
                    for image in &pod.images {
                        self.need(what.clone(), image).await;
                    }
                }
            }
            Err(problem) => self.needs.problems.push(format!("static pods: {problem}")),
        }
    }

    /// As containerd is told, and as the sandboxes run that there are.
    async fn pause(&mut self) {
        match Handlers::ask(&self.settings.address).await {
            Ok(Handlers { sandbox_image: Some(image), .. }) => self.need("pause".to_owned(), &image).await,
            // containerd 2 tells it nowhere but in its configuration file.
            Ok(_) => match configured_pause(&self.settings.address) {
                Ok(image) => self.need("pause".to_owned(), &image).await,
                Err(error) => self.needs.problems.push(format!("the pause image: {}", crate::chain(&error))),
            },
            Err(error) => self.needs.problems.push(format!("the pause image: {error}")),
        }
    }

    async fn running(&mut self, namespaces: &[String]) {
        let records = match self.containerd.containers(&self.settings.namespace).await {
            Ok(records) => records,
            Err(error) => return self.needs.problems.push(format!("running containers: {error}")),
        };
        let records: Vec<Record> = records.into_iter().filter_map(|(_, record)| record.ok()).collect();
        let pods: HashMap<&str, &str> = records
            .iter()
            .filter_map(|record| Some((record.id.as_str(), record.sandbox.as_ref()?.namespace.as_str())))
            .collect();
        // Each image once, however many containers run it.
        let mut found: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        for record in &records {
            let id = record.cri.as_ref().map(|cri| cri.image.clone());
            let text = record.cri.as_ref().map(|cri| cri.user_specified_image.clone());
            let text = text.filter(|text| !text.is_empty()).unwrap_or_else(|| record.image_name.clone());
            let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| record.image_name.clone());
            if record.sandbox.is_some() {
                found.insert((id, text), "pause".to_owned());
                continue;
            }
            let Some(cri) = &record.cri else { continue };
            let pod = pods.get(cri.sandbox_id.as_str()).copied().unwrap_or_default();
            match (role(&text), namespaces.iter().find(|namespace| *namespace == pod)) {
                (Some(role), _) => found.insert((id, text), role.to_owned()),
                (None, Some(namespace)) => found.insert((id, text), format!("namespace {namespace}")),
                (None, None) => {
                    left_out.insert(format!("{} (namespace {})", shown(&text, 300), shown(pod, 63)));
                    None
                }
            };
        }
        for ((id, text), what) in found {
            self.need_by(what, &text, &id).await;
        }
        // What a static pod runs is taken already, whatever its name.
        let taken: BTreeSet<&str> = self.needs.found.iter().map(|need| need.image.as_str()).collect();
        let is_taken =
            |line: &String| line.split(" (namespace ").next().is_some_and(|image| taken.contains(image));
        self.needs.left_out = left_out.into_iter().filter(|line| !is_taken(line)).collect();
    }

    async fn need(&mut self, what: String, image: &str) {
        self.need_by(what, image, image).await;
    }

    /// `id` is what containerd is asked for: a name that has been moved since is not what runs.
    async fn need_by(&mut self, what: String, image: &str, id: &str) {
        let (digest, problem) = match self.digest(id).await {
            Ok(digest) => (Some(digest), None),
            Err(problem) => (None, Some(problem)),
        };
        let image = shown(image, 1_024);
        if self.seen.insert((image.clone(), digest)) {
            self.needs.found.push(Need { what, image, digest, problem });
        }
    }

    async fn digest(&self, id: &str) -> Result<Digest, String> {
        // CRI records an image by its id, too.
        if id.starts_with("sha256:") {
            let found = self.containerd.image(&self.settings.namespace, id).await;
            return found
                .map_err(|error| error.to_string())?
                .ok_or_else(|| "it is not on this node any more".to_owned());
        }
        let reference = Reference::parse(id).map_err(|error| format!("it names no image: {error}"))?;
        if let Some(digest) = reference.digest() {
            return Ok(digest);
        }
        match self.containerd.pointer(&self.settings.namespace, &reference).await {
            Ok(Some(pointer)) => Ok(pointer.target),
            Ok(None) => Err("it is not on this node: pull it first, or name it with its digest".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn role(image: &str) -> Option<&'static str> {
    let repository = image.rsplit_once('/').map_or("", |(repository, _)| repository);
    let name = image.rsplit('/').next()?.split(['@', ':']).next()?;
    let fits = |(_, begins, holds): &&(&str, &[&str], &[&str])| {
        begins.iter().any(|part| name.starts_with(part)) || holds.iter().any(|part| name.contains(part))
    };
    if repository.ends_with("/calico") && name == "node" {
        return Some("CNI");
    }
    ROLES.iter().find(fits).map(|(what, ..)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_images_are_for() {
        for (image, expected) in [
            ("registry.k8s.io/kube-proxy:v1.34.0", Some("kube-proxy")),
            ("registry.k8s.io/coredns/coredns@sha256:00", Some("DNS")),
            ("registry.k8s.io/dns/k8s-dns-node-cache:1.2", Some("DNS")),
            ("docker.io/calico/node:v3", Some("CNI")),
            ("docker.io/calico/typha:v3", None), // no part of a node: --namespace calico-system takes it
            ("docker.io/notcalico/node:v3", None),
            ("quay.io/calico/calico-node:v3", Some("CNI")),
            ("quay.io/cilium/cilium:v1", Some("CNI")),
            ("602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni-init:v1", Some("CNI")),
            ("registry.k8s.io/sig-storage/csi-node-driver-registrar:v2", Some("CSI")),
            ("gcr.io/gke-release/gcp-compute-persistent-disk-csi-driver:v1", Some("CSI")),
            ("registry.example.com:5000/binauth-store", Some("metadata store")),
            ("docker.io/library/nginx:1", None),
            ("docker.io/coredns-lookalike/miner:1", None),
            ("", None),
        ] {
            assert_eq!(role(image), expected, "{image}");
        }
    }
}
