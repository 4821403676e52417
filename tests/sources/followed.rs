//! A node that follows a real binauth-store: what is filed, taken away or pushed counts at once, though it is listed once a day.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use p256::pkcs8::{EncodePrivateKey as _, LineEnding};

use super::node::{Node, attestation, key};
use super::rig::{Database, Store, text};

/// The design asks for a second; a test machine may be busy.
const SOON: Duration = Duration::from_secs(3);

fn following(url: &str) -> Node {
    let mut node =
        Node::with(&format!("name = 'store'\nurl = '{url}'\ninterval = '24h'\nchanges = true"), "");
    node.start();
    node.until("it follows", |node| node.json(&["status"])["sources"][0]["tells"] == true);
    node
}

fn within(what: &str, node: &Node, reached: impl Fn(&Node) -> bool) {
    let start = Instant::now();
    while !reached(node) {
        assert!(start.elapsed() < SOON, "{what}: {}", node.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("{what}: {:?}", start.elapsed());
}

#[test]
fn what_a_store_tells_counts_at_once() {
    let database = Database::sqlite();
    let mut store = database.open();
    store.note("shop", "ci");
    let names: Vec<_> = (0..20).map(|n| store.put("shop", &attestation(n))).collect();
    let node = following(&store.url);
    node.all_allowed(0..20);
    assert!(node.pull(20).is_some(), "it is known that there is none");
    store.put("shop", &attestation(20));
    within("filed", &node, |node| node.pull(20).is_none());
    store.done(&format!("DELETE /v1/{}", names[3]), None);
    within("taken away", &node, |node| node.pull(3).is_some());

    // While the store is away; it comes back as another process, and the node goes on where it was.
    let (url, address) = (store.url.clone(), store.url.strip_prefix("http://").unwrap().to_owned());
    store.kill();
    node.until("it does not follow", |node| node.json(&["status"])["sources"][0]["tells"] == false);
    let other = database.open();
    other.done(&format!("DELETE /v1/{}", names[4]), None);
    let store = Store::start_on(&address, &database.url(), &["--open-on-loopback"]);
    assert_eq!(store.url, url);
    node.until("what was missed", |node| node.pull(4).is_some());
    node.all_allowed(5..20);
    let filed = other.put("shop", &attestation(3));
    assert_eq!(text(&store.done(&format!("GET /v1/{filed}"), None), "/name"), filed);
    within("filed at another server", &node, |node| node.pull(3).is_none());
}

/// A store with a certificate: nodes fetch bundles over https alone.
struct Protected {
    folder: tempfile::TempDir,
}

impl Protected {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "crt.pem"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn serve(&self, address: &str, database: &Database) -> Store {
        let (certificate, private) = (self.at("crt.pem"), self.at("key.pem"));
        let tls = ["--tls-certificate", &certificate, "--tls-key", &private, "--open-on-loopback"];
        Store::start_on(address, &database.url(), &tls)
    }
}

/// A node that obeys the bundles of project `shop`, asks for them once a day, and is told of them.
fn obeying(store: &Store, protected: &Protected) -> Node {
    let (url, ca) = (&store.url, protected.at("crt.pem"));
    let source = format!("name = 'store'\nurl = '{url}'\nca = '{ca}'\ninterval = '24h'\nchanges = true");
    let mut node = Node::with(&source, "");
    let private = key().to_pkcs8_pem(LineEnding::LF).unwrap();
    fs::write(node.at("release.key"), private.as_bytes()).unwrap();
    fs::set_permissions(node.at("release.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let public = node.at("attestors/ci.json");
    let attestor: serde_json::Value = serde_json::from_slice(&fs::read(public).unwrap()).unwrap();
    let pem = text(&attestor, "/userOwnedGrafeasNote/publicKeys/0/pkixPublicKey/publicKeyPem");
    fs::write(node.at("release.pem"), pem).unwrap();
    let config = fs::read_to_string(node.at("config.toml")).unwrap();
    let others = config.lines().filter(|line| !line.starts_with("policy = "));
    let config: String = others.map(|line| format!("{line}\n")).collect();
    let keys = node.at("release.pem").display().to_string();
    let policy = format!(
        "[policy]\nbundle = '{url}/v1/projects/shop/bundle'\nca = '{ca}'\ninterval = '24h'\n\
         bundle_keys = ['{keys}']\nproject = 'shop'\n"
    );
    fs::write(node.at("config.toml"), config + &policy).unwrap();
    node.start();
    node.until("it follows", |node| node.json(&["status"])["sources"][0]["tells"] == true);
    node
}

/// Signs a bundle whose policy has this rule, and pushes it as its users do.
fn push(node: &Node, store: &Store, protected: &Protected, version: u32, rule: &str) -> Instant {
    let at = |name: &str| node.at(name).display().to_string();
    fs::write(
        at("next.yaml"),
        format!("defaultAdmissionRule: {{enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG, evaluationMode: {rule}}}\n"),
    )
    .unwrap();
    let version = version.to_string();
    let sign = ["policy", "sign", "--project", "shop", "--version", &version, "--expires-in", "1d"];
    let of = [
        "--policy",
        &at("next.yaml"),
        "--attestors",
        &at("attestors"),
        "--key",
        &at("release.key"),
        "--to",
        &at("next.json"),
    ];
    let signed = node.ctl(&[&sign[..], &of].concat());
    assert_eq!(signed.0, Some(0), "{signed:?}");
    let start = Instant::now();
    let (next, ca) = (at("next.json"), protected.at("crt.pem"));
    let pushed = node.ctl(&["policy", "push", &next, "--store", &store.url, "--store-ca", &ca]);
    assert_eq!(pushed.0, Some(0), "{pushed:?}");
    start
}

#[test]
fn a_bundle_that_is_pushed_is_obeyed_at_once() {
    let (protected, database) = (Protected::new(), Database::sqlite());
    let mut store = protected.serve("127.0.0.1:0", &database);
    let node = obeying(&store, &protected);
    assert_eq!(node.pull(0).as_deref(), Some("POLICY_MISSING"));
    let by_ci = "REQUIRE_ATTESTATION, requireAttestationsBy: [projects/shop/attestors/ci]";
    let rules = [by_ci, "ALWAYS_ALLOW", "ALWAYS_DENY", "ALWAYS_ALLOW", by_ci];
    for (version, rule) in (1..).zip(rules) {
        let start = push(&node, &store, &protected, version, rule);
        let wanted = match rule {
            "ALWAYS_ALLOW" => None,
            "ALWAYS_DENY" => Some("ALWAYS_DENY"),
            _ => Some("NO_ATTESTATION"),
        };
        let pushed = start.elapsed();
        within(rule, &node, |node| node.pull(0).as_deref() == wanted);
        println!("{rule}: pushed within {pushed:?}, obeyed within {:?} of the command", start.elapsed());
    }

    // Pushed to another database, under no token of which the node has ever been told anything.
    let address = store.url.strip_prefix("https://").unwrap().to_owned();
    store.kill();
    node.until("it does not follow", |node| node.json(&["status"])["sources"][0]["tells"] == false);
    let elsewhere = Database::sqlite();
    let other = protected.serve("127.0.0.1:0", &elsewhere);
    push(&node, &other, &protected, 6, "ALWAYS_ALLOW");
    drop(other);
    let _store = protected.serve(&address, &elsewhere);
    node.until("what was missed", |node| node.pull(0).is_none());
}
