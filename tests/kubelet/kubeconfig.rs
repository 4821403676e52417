//! The API server as a kubeconfig says, and its pages.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use binauthd::kubelet::{Options, Pods};
use serde_json::{Value, json};

use super::authority::{Authority, Files};
use super::server::{Answer, Question, Server};
use super::{PATIENCE, assert_problem, first_look, list, pod};

fn options(path: PathBuf) -> Options {
    Options::Kubeconfig { path, node: Some("n1".into()) }
}

/// A kubeconfig with these lines for cluster and user.
pub(crate) fn config(cluster: &str, user: &str) -> String {
    let lines = |text: &str| {
        text.lines().fold(String::new(), |mut all, line| {
            writeln!(all, "    {line}").unwrap();
            all
        })
    };
    format!(
        "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: default\nclusters:\n- name: c\n  cluster:\n{}\
         users:\n- name: u\n  user:\n{}contexts:\n- name: default\n  context:\n    cluster: c\n    user: u\n    namespace: x\n",
        lines(cluster),
        lines(user)
    )
}

fn encoded(text: &str) -> String {
    binauthd::attestation::base64::encode(text.as_bytes())
}

fn guarded(question: &Question) -> Answer {
    let right = question.bearer.as_deref() == Some("secret") || question.certified;
    match question.target.as_str() {
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=500" if right => {
            Answer::Whole(200, list(&[pod("1", "web")]))
        }
        _ if right => Answer::Whole(404, String::new()),
        _ => Answer::Whole(401, json!({"kind": "Status", "message": "Unauthorized by the test"}).to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfigs() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let server = Server::start(Some((&ours, "api.example.com")), guarded).await;
    let server = server.url("https", "");
    files.write("ca.crt", &ours.pem());
    files.write("token", "secret");
    let client = files.write("client.pem", &ours.sign("client"));
    let pem = ours.sign("client");
    let ca = format!("server: {server}\ntls-server-name: api.example.com\ncertificate-authority: ca.crt");
    let ca_data = format!(
        "server: {server}/\ntls-server-name: api.example.com\ncertificate-authority: gone\ncertificate-authority-data: {}",
        encoded(&ours.pem())
    );
    let no_ca = format!("server: {server}");
    let certificate = format!("client-certificate: {0}\nclient-key: {0}", client.display());
    let data = format!("client-certificate-data: {0}\nclient-key-data: {0}", encoded(&pem));
    let rows: Vec<(String, Option<&str>)> = vec![
        (config(&ca, "tokenFile: token"), None),
        (config(&ca, "tokenFile: token\ntoken: old"), None),
        (config(&ca, "token: secret"), None),
        (config(&ca_data, "token: secret"), None),
        (config(&ca, "client-certificate: client.pem\nclient-key: client.pem"), None),
        (config(&ca, &certificate), None),
        (config(&ca, &data), None),
        (config(&ca, "token: wrong"), Some("401 Unauthorized (Unauthorized by the test)")),
        (config(&ca, "{}"), Some("neither token nor certificate")),
        (config(&ca, "client-certificate: client.pem"), Some("`client-key` is not")),
        (config(&ca, "client-key: client.pem"), Some("`client-certificate` is not")),
        (config(&ca, "client-key-data: '%'"), Some("not base64")),
        (config(&ca, "tokenFile: gone"), Some("gone`: No such file")),
        (config(&ca, "token: secret\nusername: a\npassword: b"), Some("`username` is not taken")),
        (config(&ca, "token: secret\nas: admin"), Some("`as` is not taken")),
        (
            config(
                &ca,
                "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: aws\n  args: [eks, get-token]",
            ),
            Some("`exec` is not taken; ask kubelet's own endpoint"),
        ),
        (config(&ca, "auth-provider:\n  name: gcp"), Some("`auth-provider` is not taken")),
        (
            config(&format!("{ca}\ninsecure-skip-tls-verify: true"), "token: secret"),
            Some("`insecure-skip-tls-verify` is not taken"),
        ),
        (
            config(&format!("{ca}\nproxy-url: http://proxy"), "token: secret"),
            Some("`proxy-url` is not taken"),
        ),
        (config(&no_ca, "token: secret"), Some("no certificate authority")),
        (config("server: http://10.0.0.1", "token: secret"), Some("loopback")),
        (config(&ca.replace("api.example.com", "127.0.0.1"), "token: secret"), Some("no DNS name")),
        (config(&ca.replace("api.example.com", "other"), "token: secret"), Some("not valid for name")),
        (
            config(&ca, "token: secret").replace("current-context: default", "current-context: ''"),
            Some("no `current-context`"),
        ),
        (
            config(&ca, "token: secret").replace("current-context: default", "current-context: x"),
            Some("`contexts` has no `x`"),
        ),
        (config(&ca, "token: secret").replace("user: u\n", "user: v\n"), Some("`users` has no `v`")),
        (
            config(&ca, "token: secret").replace("users:\n", "users:\n- {name: u, user: {token: other}}\n"),
            Some("`users` has `u` twice"),
        ),
        (config(&ca, "token: a\ntoken: b"), Some("duplicate")),
        ("{}".into(), Some("no `current-context`")),
        ("[".into(), Some("kubeconfig`: ")),
        (String::new(), Some("the document is empty")),
    ];
    for (text, expected) in rows {
        let status = first_look(options(files.write("kubeconfig", &text))).await;
        match expected {
            Some(part) => assert_problem(&status, part),
            None => assert_eq!((status.problem, status.pods), (None, 1), "{text}"),
        }
    }
    assert_problem(&first_look(options("/nowhere/kubeconfig".into())).await, "No such file");
    let node = Options::Kubeconfig { path: "/nowhere".into(), node: Some("n1,metadata.name=x".into()) };
    assert!(Pods::start(node).unwrap_err().to_string().contains("no name of a node"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_name_is_the_nodes() {
    let files = Files::new();
    let (ours, path) = (Authority::new("ours"), files.path().join("kubeconfig"));
    let server = Server::start(Some((&ours, "127.0.0.1")), |_| Answer::Whole(200, list(&[]))).await;
    let ca = encoded(&ours.pem());
    let cluster = format!("server: {}\ncertificate-authority-data: {ca}", server.url("https", ""));
    files.write("kubeconfig", &config(&cluster, "token: secret"));
    assert_eq!(first_look(Options::Kubeconfig { path, node: None }).await.problem, None);
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap().to_ascii_lowercase();
    let target = server.counts.targets.lock().unwrap()[0].clone();
    assert!(target.contains(&format!("fieldSelector=spec.nodeName%3D{host}&")), "{target}");
}

/// Pages of one pod each: the continuation is the number of the next.
fn page(question: &Question, pages: usize) -> Answer {
    let number = question.target.split_once("&continue=").map_or(0, |(_, number)| number.parse().unwrap());
    let next = if number + 1 < pages { (number + 1).to_string() } else { String::new() };
    let body = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next},
        "items": [pod(&format!("uid-{number}"), "web")]});
    Answer::Whole(200, body.to_string())
}

async fn paged(
    files: &Files,
    answer: impl Fn(&Question) -> Answer + Send + Sync + 'static,
) -> (Server, Pods) {
    let ours = Authority::new("ours");
    let server = Server::start(Some((&ours, "127.0.0.1")), answer).await;
    let ca = encoded(&ours.pem());
    let cluster = format!("server: {}\ncertificate-authority-data: {ca}", server.url("https", "/prefix"));
    let path: &Path = &files.write("kubeconfig", &config(&cluster, "token: secret"));
    (server, Pods::start(options(path.to_owned())).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages() {
    let files = Files::new();
    let (server, pods) = paged(&files, |question| page(question, 64)).await;
    assert!(pods.known_within("uid-63", "shop", PATIENCE).await.is_some());
    assert_eq!((pods.status().pods, server.requests()), (64, 64));
    let targets = server.counts.targets.lock().unwrap().clone();
    let query = "/prefix/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=500";
    assert_eq!((targets[0].as_str(), targets[1].clone()), (query, format!("{query}&continue=1")));

    let (server, pods) = paged(&files, |question| page(question, usize::MAX)).await;
    pods.wanted("uid-0", "shop");
    assert_problem(&super::settled(&pods).await, "more than 64 pages");
    assert_eq!(server.requests(), 64);

    // An end in the middle is no list.
    let (_server, pods) = paged(&files, |question| match question.target.contains("continue=1") {
        true => Answer::Whole(410, json!({"message": "the continue token is too old"}).to_string()),
        false => page(question, 3),
    })
    .await;
    pods.wanted("uid-0", "shop");
    assert_problem(&super::settled(&pods).await, "410 Gone (the continue token is too old)");
}

#[tokio::test(flavor = "multi_thread")]
async fn static_pods_and_other_nodes() {
    let files = Files::new();
    let hash = "0123456789abcdef0123456789abcdef";
    let mut mirror = pod("8b6a3d5e-0", "");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": hash, "kubernetes.io/config.hash": hash,
        "kubernetes.io/config.source": "file"});
    let mut foreign = pod("2", "web");
    foreign["spec"]["nodeName"] = json!("n2");
    let mut unbound = pod("3", "web");
    unbound["spec"]["nodeName"] = Value::Null;
    let body = list(&[mirror, foreign, unbound]);
    let (_server, pods) = paged(&files, move |_| Answer::Whole(200, body.clone())).await;
    let facts = pods.known_within(hash, "shop", PATIENCE).await.unwrap();
    assert!(facts.static_pod);
    assert_eq!(pods.known("8b6a3d5e-0", "shop").unwrap(), facts);
    let status = pods.status();
    assert_eq!((status.pods, status.left_out), (2, 2));
    assert!(status.left_out_causes[0].contains("another node's"), "{:?}", status.left_out_causes);
}
