//! What Prometheus is told, by a real daemon on a node on which everything that is counted happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binauthd::attestation::base64;
use binauthd::metrics::{Kind, family};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::authority::Authority;
use super::break_glass;
use super::gated::{Gated, Gates, Settings, configure};
use super::guarded::{DAEMON, ENFORCE, Guarded, OBSERVE, SOON, Share, policy, requires, verifier};
use super::kubelet::{Answer, Question, Server};
use super::rig::{Daemon, Generation, Image, Node, eventually, program};
use super::signer::Signer;

/// Faults that do not happen here, and what lasts for a moment only.
const MAY_BE_NOTHING: [&str; 4] = [
    "binauthd_evidence_in_memory",
    "binauthd_lookups_under_way",
    "binauthd_policy_bundle_expired",
    "binauthd_source_held_back_documents",
];

/// A page, read strictly: families in the order of the table, each with help and type before its samples.
#[derive(Debug, Default)]
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn of(page: &str) -> Self {
        let (mut samples, mut current) = (BTreeMap::new(), None);
        let mut families = family::ALL.iter();
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                let family = families.find(|family| family.name == name);
                let family = family.unwrap_or_else(|| panic!("`{name}` is out of order or not declared"));
                assert_eq!(text, family.help);
                assert_eq!(lines.next().unwrap(), format!("# TYPE {name} {}", family.kind.name()));
                current = Some(family);
                continue;
            }
            let family = current.unwrap_or_else(|| panic!("a sample before its family: {line}"));
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            let of_family = match family.kind {
                Kind::Histogram => {
                    ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{}{end}", family.name))
                }
                _ => name == family.name,
            };
            assert!(of_family, "{line} below {}", family.name);
            let labels = labels.strip_suffix('}').unwrap();
            let names: Vec<_> =
                labels.split("\",").filter_map(|label| Some(label.split_once("=\"")?.0)).collect();
            let names: Vec<_> = names.into_iter().filter(|name| *name != "le").collect();
            assert_eq!(names, family.labels, "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value >= 0.0, "{line}");
            assert_eq!(samples.insert(sample.to_owned(), value), None, "{sample} is there twice");
        }
        assert!(!samples.is_empty());
        Self(samples)
    }

    /// Of the one sample.
    fn value(&self, sample: &str) -> Option<f64> {
        self.0.get(sample).copied()
    }

    /// Of all samples whose name and labels hold each of `parts`.
    fn sum(&self, parts: &[&str]) -> f64 {
        self.0
            .iter()
            .filter(|(sample, _)| parts.iter().all(|part| sample.contains(part)))
            .map(|(_, value)| value)
            .sum()
    }

    /// The families with a sample, and those of them with one that is not 0.
    fn families(&self) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
        let of = |sample: &str| {
            let name = sample.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let known =
                |name: &str| family::ALL.iter().find(|family| family.name == name).map(|family| family.name);
            known(name).or_else(|| known(base?)).unwrap()
        };
        let set = self.0.keys().map(|sample| of(sample)).collect();
        let moved = self.0.iter().filter(|(_, value)| **value > 0.0).map(|(sample, _)| of(sample)).collect();
        (set, moved)
    }
}

/// Whether the condition of the node is written so.
fn is_enforcing(question: &Question) -> bool {
    let body: Value = serde_json::from_str(&question.body).unwrap();
    let condition = &body["status"]["conditions"][0];
    question.target == "/api/v1/nodes/n1/status"
        && condition["type"] == "BinauthdEnforcing"
        && condition["status"] == "True"
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    page.to_owned()
}

async fn page(guarded: &Guarded) -> String {
    let socket = guarded.node.etc.runtime_dir.join("metrics.sock");
    ask(UnixStream::connect(&socket).await.unwrap()).await
}

async fn scrape(guarded: &Guarded) -> Scrape {
    Scrape::of(&page(guarded).await)
}

/// One sample of the page, if it is there.
pub(crate) async fn sample(guarded: &Guarded, sample: &str) -> Option<f64> {
    scrape(guarded).await.value(sample)
}

/// Scrapes until the sample is what it should be.
async fn until(guarded: &Guarded, sample: &str, fits: impl Fn(f64) -> bool) -> Scrape {
    eventually(&format!("{sample} to fit"), Duration::from_secs(40), || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let scrape = scrape(guarded).await;
        scrape.value(sample).is_some_and(&fits).then_some(scrape)
    })
    .await
}

async fn promtool(args: &[&str], input: &str) {
    let mut tool = tokio::process::Command::new(program("promtool"));
    let mut tool =
        tool.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    tool.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = tool.wait_with_output().await.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool {args:?}: {said}");
}

/// An API server and the node's kubeconfig for it, which the daemon tells from its next start on; what it is asked goes
/// to `asked`.
async fn api_server(
    node: &Node,
    asked: &Arc<Mutex<Vec<Question>>>,
    answer: impl Fn() -> Answer + Send + Sync + 'static,
) -> Server {
    let authority = Authority::new("cluster");
    let kept = Arc::clone(asked);
    let server = Server::start(Some((&authority, "api.test")), move |question| {
        kept.lock().unwrap().push(question.clone());
        answer()
    })
    .await;
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "node",
        "contexts": [{"name": "node", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {
            "server": server.url("https", ""),
            "tls-server-name": "api.test",
            "certificate-authority-data": base64::encode(authority.pem().as_bytes()),
        }}],
        "users": [{"name": "u", "user": {"token": "of-the-node"}}],
    });
    let path = node.etc.folder.join("kubelet.conf");
    fs::write(&path, kubeconfig.to_string()).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let table = format!(
        "\n[events]\nkubeconfig = \"{}\"\nnode_name = \"n1\"\ndry_run = true\nnode_condition = true\n",
        path.display()
    );
    let config = fs::read_to_string(node.etc.config()).unwrap() + &table;
    fs::write(node.etc.config(), config).unwrap();
    server
}

/// Every family that is declared is set, and moves, on a node on which it happens.
#[tokio::test]
async fn every_family_is_set_by_what_happens() {
    let wiring = Gates::Both.on(Generation::V2_1).await.with_handler("bare");
    let gated = Gated::start_on(wiring, |node, qa| {
        let remote =
            "\n[running]\nperiod = \"10s\"\n[[sources]]\nname = \"remote\"\nurl = \"http://127.0.0.1:1\"\n";
        configure(node, &Settings { more: "", containerd: "allow_handlers = [\"bare\"]" });
        let config = fs::read_to_string(node.etc.config()).unwrap() + remote + &break_glass::table(node, "");
        fs::write(node.etc.config(), config).unwrap();
        node.install_verifier(ENFORCE, &verifier());
        node.etc.write_occurrence("broken.json", "no occurrence");
        node.etc.write_attestor(
            "keyless.json",
            &qa.document_without_keys().replace("attestors/qa", "attestors/keyless"),
        );
        node.etc.write_beside("deny.yaml", "digests: []\n");
    })
    .await;
    let mut gated = gated;
    let told = Arc::new(Mutex::new(Vec::new()));
    let _api = api_server(gated.node(), &told, || Answer::Whole(201, "{}".to_owned())).await;
    gated.guarded.daemon.restart().await;
    gated.asked_by_nri().await;
    let guarded = &gated.guarded;
    let mut seen = Vec::new();

    // Pulled, created, refused at both gates, and a question that is none.
    let good = guarded.node.registry.push("shop/good", "1", &Image::proves("good")).await;
    guarded.attest(&good);
    guarded.known(&good).await;
    let id = guarded.node.cri.pull(&good.tagged()).await.unwrap();
    gated.runs("good", &id, &good.tagged(), "good").await;
    // One that is attested and that nothing runs.
    let idle = guarded.push_attested("shop/idle", "1").await;
    guarded.node.cri.pull(&idle.tagged()).await.unwrap();
    let bad = guarded.push("shop/bad", "1").await;
    guarded.refused(&bad.tagged(), &["(SOURCE_UNREACHABLE)"]).await;
    guarded.node.remove_verifier(ENFORCE);
    guarded.node.ctr().run(&["images", "pull", "--local", "--plain-http", &bad.tagged()]).await.success();
    let bad_id = guarded.node.cri.pull(&bad.tagged()).await.unwrap();
    // The first one may be told that it is being looked up.
    eventually("a refusal for want of a source", SOON, || async {
        let refusal = gated.run("bad", &bad_id, &bad.tagged()).await.unwrap_err();
        refusal.message.contains("SOURCE_UNREACHABLE").then_some(())
    })
    .await;
    let mut stranger = UnixStream::connect(guarded.node.etc.gate_socket()).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = stranger.read_to_end(&mut Vec::new()).await;

    let enforcing = "binauthd_enforcing{gate=\"create\"}";
    until(guarded, enforcing, |value| value == 1.0).await;
    eventually("the node to be said to enforce", Duration::from_secs(10), || async {
        told.lock().unwrap().iter().any(is_enforcing).then_some(())
    })
    .await;
    let scraped = scrape(guarded).await;
    for (sample, least) in [
        (
            "binauthd_decisions_total{gate=\"pull\",verdict=\"ALLOW\",reason=\"ATTESTED\",mode=\"enforced\"}",
            1.0,
        ),
        (
            "binauthd_decisions_total{gate=\"pull\",verdict=\"DENY\",reason=\"SOURCE_UNREACHABLE\",mode=\"enforced\"}",
            1.0,
        ),
        (
            "binauthd_decisions_total{gate=\"create\",verdict=\"DENY\",reason=\"SOURCE_UNREACHABLE\",mode=\"enforced\"}",
            1.0,
        ),
        (
            "binauthd_decisions_total{gate=\"create\",verdict=\"ALLOW\",reason=\"ATTESTED\",mode=\"enforced\"}",
            1.0,
        ),
        ("binauthd_sync_failures_total{source=\"remote\"}", 1.0),
        ("binauthd_source_refused_documents{source=\"local\"}", 1.0),
        ("binauthd_nri_questions_total{outcome=\"refused\"}", 1.0),
        ("binauthd_runtime_handlers{hook=\"no\"}", 1.0),
        ("binauthd_gate_connections_total{outcome=\"malformed\"}", 1.0),
        ("binauthd_key_ring_attestors{state=\"without_keys\"}", 1.0),
        ("binauthd_alarms{kind=\"source\"}", 1.0),
        ("binauthd_nri_connected", 1.0),
    ] {
        assert!(scraped.value(sample).is_some_and(|value| value >= least), "{sample} in {scraped:#?}");
    }
    for (sample, value) in [
        ("binauthd_source_well{source=\"remote\"}", 0.0),
        ("binauthd_source_well{source=\"local\"}", 1.0),
        ("binauthd_policy_dry_run", 0.0),
        ("binauthd_document_up_to_date{document=\"policy\"}", 1.0),
        ("binauthd_document_up_to_date{document=\"deny_list\"}", 1.0),
        ("binauthd_running_violations", 0.0),
        ("binauthd_enforcing{gate=\"pull\"}", 1.0),
        ("binauthd_observing{gate=\"create\"}", 0.0),
    ] {
        assert_eq!(scraped.value(sample), Some(value), "{sample} in {scraped:#?}");
    }
    assert!(
        scraped.sum(&["binauthd_decision_duration_seconds_count", "gate=\"pull\"", "cache=\"miss\""]) > 0.0
    );
    assert_eq!(
        scraped.sum(&["binauthd_alarms"]),
        guarded.status().await["alarms"].as_array().unwrap().len() as f64
    );
    seen.push(scraped);

    // An image that runs by break-glass.
    let (fix, fix_id) = gated.bring("shop/fix", &Image::proves("fix")).await;
    let grant = break_glass::grant(&Signer::new("glass"), "one", &fix, "default", Duration::from_secs(600));
    break_glass::drop_there(&guarded.node, "one.json", &grant);
    until(guarded, "binauthd_break_glass_active", |value| value == 1.0).await;
    gated.runs("fix", &fix_id, &fix.tagged(), "fix").await;
    let broken = "verdict=\"ALLOW\",reason=\"BREAK_GLASS\",mode=\"break_glass\"";
    let used = "binauthd_break_glass_uses_total{by=\"grant\"}";
    let scraped = until(guarded, used, |value| value >= 2.0).await;
    assert!(scraped.sum(&["binauthd_decisions_total{gate=\"create\"", broken]) > 0.0, "{scraped:#?}");
    seen.push(scraped);

    // The canary is shown to both gates, of which the verifier has not been put in place here. What else the doctor finds on a
    // node in a folder of its own does not matter.
    let _ = guarded.binauthctl("doctor --canary").await;
    for (gate, refused) in [("pull", 0.0), ("create", 1.0)] {
        let shown = format!("binauthd_canary_success{{gate=\"{gate}\"}}");
        seen.push(until(guarded, &shown, |value| (value - refused).abs() < 0.5).await);
    }

    // Dry run, what runs violates, and a document that cannot be read keeps its last good version.
    let rule = requires(&[&guarded.qa]).replace("ENFORCED_BLOCK_AND_AUDIT_LOG", "DRYRUN_AUDIT_LOG_ONLY");
    gated.obey(&policy(&guarded.node, &rule)).await;
    gated.run("dry", &bad_id, &bad.tagged()).await.unwrap();
    guarded.node.etc.write_policy("no: policy");
    let scraped =
        until(guarded, "binauthd_document_up_to_date{document=\"policy\"}", |value| value == 0.0).await;
    let dry = "verdict=\"ALLOW\",reason=\"SOURCE_UNREACHABLE\",mode=\"dry_run\"";
    assert!(scraped.sum(&["binauthd_decisions_total{gate=\"create\"", dry]) > 0.0, "{scraped:#?}");
    assert_eq!(scraped.value("binauthd_policy_dry_run"), Some(1.0));
    seen.push(until(guarded, "binauthd_running_violations", |value| value >= 1.0).await);
    let allow = "kubernetesNamespaceAdmissionRules:\n  shop: {evaluationMode: ALWAYS_ALLOW, enforcementMode: \
                 ENFORCED_BLOCK_AND_AUDIT_LOG}\ndefaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW, \
                 enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n";
    gated.obey(&policy(&guarded.node, allow)).await;
    seen.push(until(guarded, "binauthd_policy_always_allow", |value| value == 1.0).await);

    // An audit trail that cannot be written.
    let trail = guarded.node.etc.audit_file.clone();
    fs::rename(&trail, trail.with_extension("away")).unwrap();
    fs::create_dir(&trail).unwrap();
    seen.push(until(guarded, "binauthd_audit_failing", |value| value == 1.0).await);
    fs::remove_dir(&trail).unwrap();

    // The cluster has heard of it.
    let told: Vec<(String, Value)> = told
        .lock()
        .unwrap()
        .iter()
        .map(|question| (question.target.clone(), serde_json::from_str(&question.body).unwrap()))
        .collect();
    let of_fix = |event: &Value| event["involvedObject"]["name"] == "fix";
    let (_, event) = told.iter().find(|(_, event)| of_fix(event)).unwrap();
    assert_eq!(event["reason"], "BinauthdBreakGlass");
    for (pod, reason) in [("bad", "BinauthdDenied"), ("dry", "BinauthdDryRun")] {
        let of_pod = |event: &Value| {
            let code = event["message"].as_str().unwrap_or_default();
            event["involvedObject"]["name"] == pod && code.ends_with("(SOURCE_UNREACHABLE)")
        };
        let (target, event) = told.iter().find(|(_, event)| of_pod(event)).unwrap();
        assert_eq!(target, "/api/v1/namespaces/default/events");
        assert_eq!(event["reason"], reason);
        assert!(event["message"].as_str().unwrap().starts_with("Container main: Image "), "{event}");
        assert!(!event["involvedObject"]["uid"].as_str().unwrap().is_empty(), "{event}");
    }

    // A pull that nobody answered, and a signed bundle.
    guarded.node.install_verifier(OBSERVE, &verifier());
    gated.guarded.daemon.kill();
    gated.guarded.node.cri.pull(&good.pinned()).await.unwrap();
    bundle(&gated.guarded).await;
    gated.guarded.daemon.restart().await;
    gated.guarded.node.cri.pull(&good.tagged()).await.unwrap();
    let guarded = &gated.guarded;
    let scraped = until(guarded, "binauthd_observing{gate=\"pull\"}", |value| value == 1.0).await;
    assert_eq!(scraped.value("binauthd_enforcing{gate=\"pull\"}"), Some(0.0));
    assert_eq!(scraped.value("binauthd_policy_bundle_version"), Some(3.0));
    let observed = "verdict=\"ALLOW\",reason=\"UNANSWERED\",mode=\"observe\"";
    eventually("the unanswered pull", SOON, || async {
        (self::scrape(guarded).await.sum(&[observed]) > 0.0).then_some(())
    })
    .await;
    seen.push(scraped);

    let (mut set, mut moved) = (BTreeSet::new(), BTreeSet::new());
    for scrape in &seen {
        let (one, other) = scrape.families();
        set.extend(one);
        moved.extend(other);
    }
    for family in family::ALL {
        assert!(set.contains(family.name), "`{}` is declared and never set", family.name);
        let may_rest = MAY_BE_NOTHING.contains(&family.name);
        assert!(moved.contains(family.name) || may_rest, "`{}` never moves", family.name);
    }
    promtool(&["check", "metrics"], &page(guarded).await).await;
    gated.stop().await;
}

/// An API server that takes for ever, or is gone, holds up no decision.
#[tokio::test]
async fn no_decision_waits_for_the_api_server() {
    let mut gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    let times = async |gated: &Gated| {
        let mut worst = Duration::ZERO;
        for n in 0..5 {
            let pod = gated.node().cri.run_pod(&format!("bad-{n}")).await.unwrap();
            let started = std::time::Instant::now();
            gated.run_in(&pod, "main", &id, &bad.tagged()).await.unwrap_err();
            worst = worst.max(started.elapsed());
        }
        gated.node().cri.remove_all_pods().await;
        worst
    };
    let before = times(&gated).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let api = api_server(gated.node(), &asked, || Answer::Silence).await;
    gated.guarded.daemon.restart().await;
    gated.asked_by_nri().await;
    let silent = times(&gated).await;
    eventually("the API server to be asked", SOON, || async {
        (!asked.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    api.stop().await;
    let gone = times(&gated).await;
    // A write may take 5 s.
    let bound = before + Duration::from_secs(2);
    assert!(silent < bound && gone < bound, "{before:?}, {silent:?}, {gone:?}");
    until(&gated.guarded, "binauthd_pod_events_total{outcome=\"failed\"}", |value| value >= 1.0).await;
    gated.stop().await;
}

/// Puts a bundle of version 3 in force at the next start.
async fn bundle(guarded: &Guarded) {
    let etc = &guarded.node.etc;
    let at = |name: &str| guarded.node.home.path().join(name);
    let openssl = |args: &str| {
        let mut command = std::process::Command::new("openssl");
        let status =
            command.args(args.split_whitespace()).current_dir(guarded.node.home.path()).output().unwrap();
        assert!(status.status.success(), "{status:?}");
    };
    openssl("ecparam -name prime256v1 -genkey -noout -out release.pem");
    openssl("ec -in release.pem -pubout -out release.pub");
    fs::set_permissions(at("release.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    let line = format!(
        "policy sign --project shop --version 3 --expires 2099-01-01T00:00:00Z --policy {} --attestors {} \
         --private-key-file release.pem --to bundle.json",
        etc.policy().display(),
        etc.attestors().display()
    );
    guarded.binauthctl(&line).await.success();
    let config = fs::read_to_string(etc.config()).unwrap();
    let own = [
        format!("policy = \"{}\"\n", etc.policy().display()),
        format!("attestors = \"{}\"\n", etc.attestors().display()),
    ];
    let config = own.iter().fold(config, |config, line| config.replace(line, ""));
    let table = format!(
        "\n[policy]\nbundle = \"file://{}\"\nbundle_keys = [\"{}\"]\nproject = \"shop\"\n",
        at("bundle.json").display(),
        at("release.pub").display()
    );
    fs::write(etc.config(), config + &table).unwrap();
}

/// The socket has the mode of the operators' one; a port works, too; neither stops the daemon where it cannot be.
#[tokio::test]
async fn the_listener_is_bound_again_and_never_stops_the_daemon() {
    let share = Share::some().await;
    let node = super::rig::Node::start_with(super::rig::Wiring::default()).await;
    let qa = super::signer::Signer::new("qa");
    node.etc.write_policy(&policy(&node, &requires(&[&qa])));
    let socket = node.etc.runtime_dir.join("metrics.sock");
    fs::create_dir(&socket).unwrap();
    let daemon = Daemon::start(&node, Path::new(DAEMON)).await;
    let mut guarded = Guarded::of(daemon, node, qa, share);
    guarded.alarm(&["metrics", "metrics.sock` is not a socket"]).await;
    fs::remove_dir(&socket).unwrap();
    let connect = || async { UnixStream::connect(&socket).await.ok() };
    eventually("the socket", Duration::from_secs(10), connect).await;
    let metadata = fs::metadata(&socket).unwrap();
    let admin = fs::metadata(guarded.node.etc.admin_socket()).unwrap();
    // Where there is a group, a socket that is made later is root's alone.
    let mode = if admin.gid() == 0 { 0o660 } else { 0o600 };
    assert_eq!((metadata.mode() & 0o777, admin.mode() & 0o777), (mode, 0o660));
    let before = scrape(&guarded).await.value("process_start_time_seconds").unwrap();

    // Removed, it comes back.
    fs::remove_file(&socket).unwrap();
    eventually("the socket once more", Duration::from_secs(10), connect).await;

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = fs::read_to_string(guarded.node.etc.config()).unwrap();
    fs::write(guarded.node.etc.config(), format!("{config}\n[metrics]\nlisten = \"{port}\"\n")).unwrap();
    guarded.daemon.restart().await;
    let stream = eventually("the port", SOON, || async { TcpStream::connect(port).await.ok() }).await;
    let scraped = Scrape::of(&ask(stream).await);
    assert!(scraped.value("process_start_time_seconds").unwrap() > before);
    promtool(&["check", "metrics"], &ask(TcpStream::connect(port).await.unwrap()).await).await;

    // Everybody on the node may ask a port; nobody keeps the daemon from deciding by it.
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(port).await.unwrap());
    }
    let pause = guarded.node.pause.clone();
    assert_eq!(guarded.evaluate(&pause.pinned()).await["verdict"], "ALLOW");
    drop(silent);
    eventually("an answer after the crowd", Duration::from_secs(10), || async {
        let mut stream = TcpStream::connect(port).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        (answer.contains("binauthd_scrapes_total{outcome=\"busy\"}")).then_some(())
    })
    .await;
    let Guarded { node, daemon, .. } = guarded;
    drop(daemon);
    node.stop().await;
}
