//! What a container is made from and what its image leads to, read from a real containerd 2.1.
//!
//! Needs root and what `tests/rig/install.sh` fetches, as `tests/e2e.rs` does.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod rig;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use binauthd::containerd::{Containerd, Links, Parents, PidNamespace, Probe, ReadError, Root};
use binauthd::image::content::chain_id;
use binauthd::image::{Digest, DigestKind, Reference};
use rig::{Container, Image, Node, Pod};
use serde_json::{Value, json};

const K8S: &str = "k8s.io";

/// A node and a client of its containerd that has time.
async fn node() -> (Node, Containerd) {
    let node = Node::start().await;
    let containerd = Containerd::new(&node.socket()).within(Duration::from_secs(20));
    (node, containerd)
}

fn d(text: &str) -> Digest {
    text.parse().unwrap()
}

fn manifest(image: &Image) -> Digest {
    d(image.digest())
}

fn config(image: &Image) -> Digest {
    d(image.id())
}

/// As the bytes say, without asking anybody.
fn chain(image: &Image) -> Option<Digest> {
    // What the rig pushes is not compressed.
    let layers: Vec<Digest> = image.layers.iter().map(|layer| d(&layer.digest)).collect();
    chain_id(&layers)
}

/// The same layers under another config.
fn reconfigured(image: &Image, change: impl FnOnce(&mut Value)) -> Image {
    let mut image = image.clone();
    let mut config: Value = serde_json::from_slice(&image.config.bytes).unwrap();
    change(&mut config);
    image.config.bytes = serde_json::to_vec(&config).unwrap();
    image.config.digest = Digest::of(&image.config.bytes).to_string();
    let mut manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    manifest["config"]["digest"] = json!(image.config.digest);
    manifest["config"]["size"] = json!(image.config.bytes.len());
    manifest["layers"].as_array_mut().unwrap().truncate(image.layers.len());
    image.manifest.bytes = serde_json::to_vec(&manifest).unwrap();
    image.manifest.digest = Digest::of(&image.manifest.bytes).to_string();
    image
}

/// An image without layers. It can be created, not started.
fn scratch() -> Image {
    let mut image = Image::service("scratch");
    image.layers.clear();
    reconfigured(&image, |config| config["rootfs"]["diff_ids"] = json!([]))
}

/// A created container of an image that is pulled under `text`.
async fn created(node: &Node, pod: &Pod, name: &str, text: &str) -> Container {
    let id = node.cri.pull(text).await.unwrap();
    node.cri.create(pod, name, &id, text).await.unwrap()
}

fn blob(node: &Node, digest: Digest) -> PathBuf {
    let blobs = node.home.path().join("root/io.containerd.content.v1.content/blobs/sha256");
    blobs.join(digest.hex())
}

fn root(config: Digest, digests: &[(Digest, DigestKind)]) -> Root {
    let mut digests = digests.to_vec();
    digests.sort();
    Root { config, digests }
}

/// Runs `ctr`, which must succeed.
async fn ctr(node: &Node, line: &str) -> String {
    node.ctr().run(&line.split_whitespace().collect::<Vec<_>>()).await.success()
}

#[tokio::test]
async fn a_container_is_bound_before_it_starts() {
    let (mut node, containerd) = node().await;
    let image = Image::service("app");
    let app = node.registry.push("shop/app", "1", &image).await;
    let pod = node.cri.run_pod("app").await.unwrap();
    let container = created(&node, &pod, "main", &app.tagged()).await;
    let snapshot = containerd.snapshot(K8S, &container.id).await.unwrap();
    assert_eq!(snapshot.parents, Parents::Chain(chain(&image).unwrap()));
    let same = containerd.snapshot_in(K8S, &snapshot.snapshotter, &container.id).await.unwrap();
    assert_eq!(same, snapshot);

    let record = containerd.container(K8S, &container.id).await.unwrap();
    assert_eq!((&record.snapshot_key, &record.snapshotter), (&container.id, &snapshot.snapshotter));
    assert_eq!((&record.image_name, &record.sandbox_id), (&app.tagged(), &pod.id));
    assert_eq!(record.runtime, "io.containerd.runc.v2");
    assert!(record.created.unwrap().elapsed().unwrap() < Duration::from_secs(600));
    let cri = record.cri.unwrap();
    assert_eq!((cri.config, cri.name.as_str()), (config(&image), "main"));
    assert_eq!((cri.image.as_str(), cri.user_specified_image), (image.id(), app.tagged()));
    assert_eq!(
        (cri.is_privileged, cri.pid, cri.sandbox_id),
        (false, PidNamespace::Container, pod.id.clone())
    );
    let spec = record.spec.unwrap();
    assert_eq!(spec.args[0], "sh");
    assert_eq!(spec.annotations["io.kubernetes.cri.sandbox-name"], "app");
    assert!(!spec.shares_with_host("pid") && spec.shares_with_host("user"));
    assert!(spec.mounts.iter().any(|mount| mount.destination == "/etc/hosts" && mount.kind == "bind"));

    let sandbox = containerd.sandbox(K8S, &pod.id).await.unwrap();
    assert_eq!((sandbox.namespace.as_str(), sandbox.name.as_str()), ("default", "app"));
    assert!(sandbox.uid.starts_with("app-"));
    assert!(containerd.snapshot(K8S, &pod.id).await.unwrap().parents.chain().is_some());
    let all = containerd.containers(K8S).await.unwrap();
    assert!(all.iter().all(|(id, record)| record.as_ref().unwrap().id == *id));
    assert_eq!(all.len(), 2);

    for error in [
        containerd.snapshot(K8S, "nobody").await.unwrap_err(),
        containerd.snapshot_in(K8S, "native", "nobody").await.unwrap_err(),
        containerd.snapshot("elsewhere", &container.id).await.unwrap_err(),
        containerd.container(K8S, "nobody").await.unwrap_err(),
        containerd.sandbox(K8S, "nobody").await.unwrap_err(),
    ] {
        assert!(matches!(error, ReadError::NotThere(_)), "{error}");
    }
    let layers = chain(&image).unwrap().to_string();
    for error in [
        containerd.snapshot(K8S, &layers).await.unwrap_err(), // the layers are no container
        containerd.sandbox(K8S, &container.id).await.unwrap_err(),
        containerd.container("a\nb", "c").await.unwrap_err(),
        containerd.images("").await.unwrap_err(),
    ] {
        assert!(matches!(error, ReadError::Unreadable(_)), "{error}");
    }

    let probe = Probe::start(node.socket());
    let status = rig::eventually("the probe to look", Duration::from_secs(10), || async {
        Some(probe.status()).filter(|status| status.version.is_some())
    })
    .await;
    assert!(status.version.as_ref().unwrap().starts_with("containerd "), "{status:?}");
    assert!(status.verifier_plugin && status.problem().is_none(), "{status:?}");

    // The same client goes on after containerd was killed and started.
    node.restart_containerd().await;
    assert_eq!(containerd.snapshot(K8S, &container.id).await.unwrap(), snapshot);
    node.cri.launch(&container).await.unwrap();
    assert_eq!(containerd.snapshot(K8S, &container.id).await.unwrap(), snapshot);
    assert_eq!(containerd.container(K8S, &container.id).await.unwrap().cri.unwrap().config, config(&image));

    // A second snapshot of the same key, where nobody would look. (On a file system that carries no
    // overlayfs there is no second snapshotter.)
    if snapshot.snapshotter != "native" {
        ctr(&node, &format!("snapshots --snapshotter native prepare {}", container.id)).await;
        let error = containerd.snapshot(K8S, &container.id).await.unwrap_err();
        let ReadError::Ambiguous(names) = error else { panic!("{error}") };
        assert_eq!(names, ["native".to_owned(), snapshot.snapshotter]);
    }
    node.stop().await;
}

#[tokio::test]
async fn the_same_layers_under_other_configs_are_told_apart() {
    use DigestKind::{Index, Manifest};
    let (node, containerd) = node().await;
    let links = Links::new();
    let one = Image::service("app");
    let two = reconfigured(&one, |config| config["config"]["Cmd"] = json!(["sh", "-c", "sleep 999"]));
    let far = Image::service("far");
    let (alone, again) = (one.annotated("alone"), two.annotated("again"));
    let registry = &node.registry;
    let index = registry.push_index("shop/app", "1", &[&one, &far]).await;
    let single = registry.push("shop/app", "alone", &alone).await;
    let other = registry.push("shop/other", "1", &two).await;
    registry.push("shop/other", "2", &again).await;
    let pulled = [index.tagged(), single.tagged(), other.tagged(), format!("{}:2", other.repository)];
    for text in &pulled {
        node.cri.pull(text).await.unwrap();
    }
    assert_eq!(links.rooted(chain(&one)), []);
    links.refresh(&containerd, K8S).await.unwrap();
    let (index, chain_of_one) = (d(&index.digest), chain(&one));
    assert_eq!(chain_of_one, chain(&two));
    let root_of_one =
        root(config(&one), &[(index, Index), (manifest(&one), Manifest), (manifest(&alone), Manifest)]);
    let root_of_two = root(config(&two), &[(manifest(&two), Manifest), (manifest(&again), Manifest)]);
    assert_eq!(links.root(chain_of_one, config(&one)), Some(root_of_one.clone()));
    assert_eq!(links.root(chain_of_one, config(&two)), Some(root_of_two.clone()));
    assert_eq!(links.rooted(chain_of_one).len(), 2);
    assert_eq!(links.root(chain_of_one, config(&far)), None);

    // Only this node's platform of the index was fetched. The other comes later.
    let leaves = links.leaves(&containerd, K8S, index).await.unwrap();
    assert_eq!(leaves.iter().map(|leaf| leaf.manifest).collect::<Vec<_>>(), [manifest(&one)]);
    assert_eq!(links.rooted(chain(&far)), []);
    ctr(&node, &format!("content fetch --all-platforms {}", pulled[0])).await;
    links.refresh(&containerd, K8S).await.unwrap();
    let root_of_far = root(config(&far), &[(index, Index), (manifest(&far), Manifest)]);
    assert_eq!(links.rooted(chain(&far)), [root_of_far]);

    // What was recomputed stays when names and bytes have gone.
    for text in &pulled {
        node.cri.remove_image(text).await.unwrap();
    }
    links.refresh(&containerd, K8S).await.unwrap();
    assert_eq!(links.root(chain_of_one, config(&one)), Some(root_of_one));
    assert_eq!(links.root(chain_of_one, config(&two)), Some(root_of_two));
    node.stop().await;
}

#[tokio::test]
async fn a_name_counts_while_it_leads_to_what_runs() {
    let (node, containerd) = node().await;
    let links = Links::new();
    let (one, two) = (Image::service("one"), Image::service("two"));
    let index = node.registry.push_index("shop/app", "1", &[&one, &two]).await;
    let other = node.registry.push("shop/other", "1", &two).await;
    node.cri.pull(&index.tagged()).await.unwrap();
    node.cri.pull(&other.tagged()).await.unwrap();
    let leads = async |text: &str, image: &Image| {
        let name = Reference::parse(text).unwrap();
        let pointer = containerd.pointer(K8S, &name).await.unwrap()?;
        let wanted = [config(image)];
        let led = links.led(&containerd, K8S, &pointer, chain(image), &wanted).await.unwrap();
        led.contains(&config(image)).then(|| pointer.recorded.to_string())
    };
    let of_manifest = format!("{}@{}", index.repository, one.digest());
    let both = format!("{}:whatever@{}", index.repository, index.digest);
    assert_eq!(leads(&index.tagged(), &one).await, Some(index.tagged()));
    assert_eq!(leads(&index.pinned(), &one).await, Some(index.pinned()));
    assert_eq!(leads(&both, &one).await, Some(index.pinned()));
    assert_eq!(leads(&other.tagged(), &two).await, Some(other.tagged()));
    assert_eq!(leads(&other.tagged(), &one).await, None);
    assert_eq!(leads(&of_manifest, &one).await, None, "there is no record of that name");
    assert_eq!(leads(&index.repository, &one).await, None, "nothing is called `latest`");
    assert_eq!(leads(&format!("{}:2", index.repository), &one).await, None);
    assert_eq!(leads("nginx", &one).await, None);
    // Not even of the same layers under another config.
    let foreign = reconfigured(&one, |config| config["config"]["User"] = json!("0"));
    assert_eq!(leads(&index.tagged(), &foreign).await, None);

    ctr(&node, &format!("images tag --force {} {}", other.tagged(), index.tagged())).await;
    assert_eq!(leads(&index.tagged(), &one).await, None);
    assert_eq!(leads(&index.tagged(), &two).await, Some(index.tagged()));
    // A record whose name has a digest, and whose target is another.
    ctr(&node, &format!("images tag --force {} {}", other.tagged(), index.pinned())).await;
    assert_eq!(leads(&index.pinned(), &two).await, None);
    ctr(&node, &format!("images tag {} {}:latest", index.tagged(), index.repository)).await;
    assert_eq!(leads(&index.repository, &two).await, Some(format!("{}:latest", index.repository)));
    node.stop().await;
}

#[tokio::test]
async fn bytes_that_changed_on_disk_lead_nowhere() {
    let (node, containerd) = node().await;
    let image = Image::service("app");
    let app = node.registry.push("shop/app", "1", &image).await;
    let index = node.registry.push_index("shop/app", "2", &[&image]).await;
    node.cri.pull(&app.tagged()).await.unwrap();
    node.cri.pull(&index.tagged()).await.unwrap();
    for (spoilt, target) in [
        (manifest(&image), manifest(&image)),
        (config(&image), manifest(&image)),
        (config(&image), d(&index.digest)),
    ] {
        let links = Links::new();
        let path = blob(&node, spoilt);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let error = links.leaves(&containerd, K8S, target).await.unwrap_err();
        assert!(matches!(error, ReadError::Corrupt(digest) if digest == spoilt), "{error}");
        links.refresh(&containerd, K8S).await.unwrap();
        assert_eq!(links.rooted(chain(&image)), []);
        fs::write(&path, &whole[..10]).unwrap();
        assert!(links.leaves(&containerd, K8S, target).await.is_err());
        fs::write(&path, &whole).unwrap();
        assert_eq!(links.leaves(&containerd, K8S, target).await.unwrap().len(), 1);
    }
    let size = fs::metadata(blob(&node, manifest(&image))).unwrap().len();
    let error = containerd.read(K8S, manifest(&image), size - 1).await.unwrap_err();
    assert!(matches!(error, ReadError::TooLarge { size: told, .. } if told == size), "{error}");
    assert_eq!(containerd.read(K8S, manifest(&image), size).await.unwrap(), image.manifest.bytes);

    // A layer is bytes, but no manifest.
    let layer = d(&image.layers[1].digest);
    let error = Links::new().leaves(&containerd, K8S, layer).await.unwrap_err();
    assert!(matches!(error, ReadError::NotAnImage(digest, _) if digest == layer), "{error}");

    let known = Links::new();
    known.refresh(&containerd, K8S).await.unwrap();
    ctr(&node, &format!("content rm {}", image.id())).await;
    let error = Links::new().leaves(&containerd, K8S, manifest(&image)).await.unwrap_err();
    assert!(matches!(&error, ReadError::NotThere(what) if what.contains(image.id())), "{error}");
    assert_eq!(Links::new().leaves(&containerd, K8S, d(&index.digest)).await.unwrap().len(), 0);
    assert_eq!(known.leaves(&containerd, K8S, manifest(&image)).await.unwrap().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn an_index_is_not_spoilt_by_what_is_no_image() {
    let (node, containerd) = node().await;
    let image = Image::service("app");
    let mut artifact = Image::service("statement");
    artifact.layers.truncate(1);
    let mut artifact = reconfigured(&artifact, |_| {});
    let mut document: Value = serde_json::from_slice(&artifact.manifest.bytes).unwrap();
    document["config"]["mediaType"] = json!("application/vnd.example.statement+json");
    artifact.manifest.bytes = serde_json::to_vec(&document).unwrap();
    artifact.manifest.digest = Digest::of(&artifact.manifest.bytes).to_string();
    let index = node.registry.push_index("shop/app", "1", &[&image, &artifact]).await;
    ctr(&node, &format!("content fetch --all-platforms {}", index.tagged())).await;
    assert!(blob(&node, manifest(&artifact)).exists());
    let links = Links::new();
    let leaves = links.leaves(&containerd, K8S, d(&index.digest)).await.unwrap();
    assert_eq!(leaves.iter().map(|leaf| leaf.manifest).collect::<Vec<_>>(), [manifest(&image)]);
    let error = links.leaves(&containerd, K8S, manifest(&artifact)).await.unwrap_err();
    assert!(error.to_string().contains("`application/vnd.example.statement+json`"), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn layers_that_were_discarded_are_not_missed() {
    let (mut node, containerd) = node().await;
    let drop_in = "version = 3\n[plugins.\"io.containerd.cri.v1.images\"]\ndiscard_unpacked_layers = true\n";
    fs::write(node.home.path().join("conf.d/60-discard.toml"), drop_in).unwrap();
    node.restart_containerd().await;
    let image = Image::service("app");
    let app = node.registry.push("shop/app", "1", &image).await;
    let pod = node.cri.run_pod("app").await.unwrap();
    let container = created(&node, &pod, "main", &app.tagged()).await;
    let layer = blob(&node, d(&image.layers[1].digest));
    rig::eventually("the layer to be discarded", Duration::from_secs(30), || async {
        (!layer.exists()).then_some(())
    })
    .await;
    let links = Links::new();
    links.refresh(&containerd, K8S).await.unwrap();
    let parents = containerd.snapshot(K8S, &container.id).await.unwrap().parents;
    assert_eq!(parents.chain(), chain(&image));
    assert!(links.root(parents.chain(), config(&image)).is_some());
    node.stop().await;
}

#[tokio::test]
async fn an_image_without_layers() {
    let (node, containerd) = node().await;
    let one = scratch();
    let two = reconfigured(&one, |config| config["config"]["User"] = json!("1000"));
    let app = node.registry.push("shop/scratch", "1", &one).await;
    node.registry.push("shop/scratch", "2", &two).await;
    let pod = node.cri.run_pod("app").await.unwrap();
    let container = created(&node, &pod, "main", &app.tagged()).await;
    node.cri.pull(&format!("{}:2", app.repository)).await.unwrap();
    let snapshot = containerd.snapshot(K8S, &container.id).await.unwrap();
    assert_eq!((snapshot.parents, snapshot.parents.chain()), (Parents::Scratch, None));
    let links = Links::new();
    links.refresh(&containerd, K8S).await.unwrap();
    assert_eq!(links.rooted(None).len(), 2);
    let root_of_one = root(config(&one), &[(manifest(&one), DigestKind::Manifest)]);
    assert_eq!(links.root(None, config(&one)), Some(root_of_one));
    node.stop().await;
}

/// `ctr` copies layers, and labels snapshots, for a user namespace as CRI does.
#[tokio::test]
async fn a_user_namespace_is_seen_through() {
    let (node, containerd) = node().await;
    let image = Image::service("app");
    let app = node.registry.push("shop/app", "1", &image).await;
    node.cri.pull(&app.tagged()).await.unwrap();
    ctr(&node, &format!("images pull --local --snapshotter native {}", app.tagged())).await;
    let chain = chain(&image);
    // `native` cannot map ids: its layers are copied. The node's own snapshotter may or may not.
    for (snapshotter, id, more) in [
        ("native", "plain", ""),
        ("native", "labelled", "--uidmap 0:100000:65536 --gidmap 0:200000:65536 --remap-labels"),
        ("native", "again", "--uidmap 0:100000:65536 --gidmap 0:200000:65536 --remap-labels"),
        ("native", "other", "--uidmap 0:300000:65536 --gidmap 0:300000:65536 --remap-labels"),
        ("overlayfs", "overlay", "--uidmap 0:100000:65536 --gidmap 0:200000:65536 --remap-labels"),
    ] {
        // Whether it then starts is the kernel's affair: record and snapshot stay either way.
        let runc = rig::program("runc");
        let line = format!(
            "run --null-io --runc-binary {} --runc-root {}/runc --snapshotter {snapshotter} {more} {} {id} true",
            runc.display(),
            node.home.path().display(),
            app.tagged()
        );
        let output = node.ctr().run(&line.split_whitespace().collect::<Vec<_>>()).await;
        println!("{id}: ctr ends with {:?}: {}", output.code, output.stderr);
        if containerd.container(K8S, id).await.is_err() && snapshotter == "overlayfs" {
            continue; // no overlayfs for a user namespace here
        }
        let snapshot = containerd.snapshot(K8S, id).await.unwrap();
        println!("{id}: {snapshot:?}");
        assert_eq!((snapshot.snapshotter.as_str(), snapshot.parents.chain()), (snapshotter, chain), "{id}");
        let is_copied = snapshotter == "native" && !more.is_empty();
        if snapshotter == "native" {
            assert_eq!(matches!(snapshot.parents, Parents::Remapped(_)), is_copied, "{id}");
        }
        let record = containerd.container(K8S, id).await.unwrap();
        assert!(record.cri.is_none() && record.sandbox.is_none());
        assert_eq!((record.snapshot_key.as_str(), record.image_name), (id, app.tagged()));
        assert_eq!(record.spec.unwrap().shares_with_host("user"), more.is_empty());
    }
    // Labels do not make a chain of two layers into a copy of the one below it.
    let layers = chain.unwrap();
    let mapping =
        "--label containerd.io/snapshot/uidmapping=0:1:1 --label containerd.io/snapshot/gidmapping=0:1:1";
    let line = format!("snapshots --snapshotter native prepare labelled-by-hand {layers}");
    ctr(&node, &line).await;
    let labels = mapping.replace("--label ", "");
    ctr(&node, &format!("snapshots --snapshotter native label labelled-by-hand {labels}")).await;
    let snapshot = containerd.snapshot(K8S, "labelled-by-hand").await.unwrap();
    assert_eq!(snapshot.parents, Parents::Chain(layers));
    // A parent that is no chain ID.
    ctr(&node, "snapshots --snapshotter native prepare base").await;
    ctr(&node, "snapshots --snapshotter native commit foreign base").await;
    ctr(&node, "snapshots --snapshotter native prepare on-foreign foreign").await;
    let error = containerd.snapshot(K8S, "on-foreign").await.unwrap_err();
    assert!(matches!(&error, ReadError::Unreadable(what) if what.contains("`foreign`")), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn many_images_and_many_who_ask() {
    let (node, containerd) = node().await;
    let image = Image::service("app");
    let mut manifests = Vec::new();
    for n in 0..100 {
        let copy = image.annotated(&n.to_string());
        let pushed = node.registry.push("shop/app", &n.to_string(), &copy).await;
        node.cri.pull(&pushed.tagged()).await.unwrap();
        manifests.push(manifest(&copy));
    }
    let links = Links::new();
    let start = Instant::now();
    let refreshes: Vec<_> = (0..4)
        .map(|_| {
            let (links, containerd) = (links.clone(), containerd.clone());
            tokio::spawn(async move { links.refresh(&containerd, K8S).await })
        })
        .collect();
    for refresh in refreshes {
        refresh.await.unwrap().unwrap();
    }
    println!("four refreshes at once over 100 images: {:?}", start.elapsed());
    let start = Instant::now();
    links.refresh(&containerd, K8S).await.unwrap();
    println!("one more: {:?}", start.elapsed());
    let found = links.root(chain(&image), config(&image)).unwrap();
    assert_eq!(found.digests.len(), 100);
    assert!(manifests.iter().all(|manifest| found.digests.contains(&(*manifest, DigestKind::Manifest))));
    // Whoever gives up leaves the look to the others.
    let fresh = Links::new();
    let hurried = containerd.within(Duration::ZERO);
    let (late, found) =
        tokio::join!(fresh.leaves(&hurried, K8S, manifests[0]), fresh.leaves(&containerd, K8S, manifests[0]));
    assert!(matches!(late, Err(ReadError::Late(_))));
    assert_eq!(found.unwrap().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn nobody_who_answers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("c.sock");
    let containerd = Containerd::new(&socket).within(Duration::from_millis(300));
    let unreachable =
        |error: ReadError| matches!(error, ReadError::Unreachable { address, .. } if address == socket);
    assert!(unreachable(containerd.snapshot(K8S, "a").await.unwrap_err()));
    // Accepts, and says nothing.
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let start = Instant::now();
    let error = containerd.containers(K8S).await.err().unwrap();
    assert!(matches!(error, ReadError::Late(_)), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(300));
    let error = Links::new().refresh(&containerd, K8S).await.unwrap_err();
    assert!(matches!(error, ReadError::Late(_)), "{error}");
    silent.abort();
    let _ = silent.await;
    // Something that is no containerd.
    fs::remove_file(&socket).unwrap();
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let babbling = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &[b'x'; 65_536]).await;
        }
    });
    let error = Containerd::new(&socket).container(K8S, "a").await.unwrap_err();
    assert!(unreachable(error.clone()), "{error:?}");
    let probe = Probe::start(socket.clone());
    let problem =
        rig::eventually("the probe to look", Duration::from_secs(10), || async { probe.status().problem() })
            .await;
    assert_eq!(problem.matches("c.sock").count(), 1, "{problem}");
    babbling.abort();
}
