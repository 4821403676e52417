//! The node's pods, asked over real connections: what a server of the tests' own says as kubelet or as
//! the API server, and what is believed of it.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "tls/authority.rs"]
mod authority;
#[path = "kubelet/kubeconfig.rs"]
mod kubeconfig;
#[path = "kubelet/server.rs"]
mod server;
#[path = "kubelet/told.rs"]
mod told;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binauthd::kubelet::{ContainerKind, Credentials, Options, Pods, PodsStatus};
use serde_json::{Value, json};

use authority::{Authority, Files};
use server::{Answer, Question, Server};

/// Longer than any look may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn pod(uid: &str, account: &str) -> Value {
    json!({"metadata": {"name": format!("p-{uid}"), "namespace": "shop", "uid": uid},
        "spec": {"serviceAccountName": account, "nodeName": "n1",
            "containers": [{"name": "main", "image": "r.io/a:1"}]}})
}

fn list(pods: &[Value]) -> String {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}).to_string()
}

fn kubelet(url: String, authority: Option<PathBuf>, credentials: Credentials) -> Options {
    Options::Kubelet { url, server_name: None, authority, credentials }
}

/// How the first look went.
async fn first_look(options: Options) -> PodsStatus {
    let pods = Pods::start(options).unwrap();
    pods.wanted("somebody", "shop");
    settled(&pods).await
}

async fn settled(pods: &Pods) -> PodsStatus {
    until(|| {
        let status = pods.status();
        (status.problem.is_some() || status.last_success_seconds.is_some()).then_some(status)
    })
    .await
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing happened");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn assert_problem(status: &PodsStatus, part: &str) {
    let problem = status.problem.as_deref().unwrap_or("no problem");
    assert!(problem.contains(part), "{problem:?} lacks {part:?}");
    assert_eq!(status.pods, 0);
}

/// Answers whoever has the token or a certificate.
fn guarded(question: &Question) -> Answer {
    match question.bearer.as_deref() {
        _ if question.target != "/pods" => Answer::Whole(404, "404 page not found".into()),
        Some("secret") => Answer::Whole(200, list(&[pod("1", "web")])),
        Some("weak") => Answer::Whole(403, "Forbidden (user=weak, verb=get, resource=nodes)".into()),
        None if question.certified => Answer::Whole(200, list(&[pod("1", "web")])),
        _ => Answer::Whole(401, "Unauthorized".into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_and_who_answers() {
    let (files, ours, other) = (Files::new(), Authority::new("ours"), Authority::new("other"));
    let (ca, wrong_ca) = (files.write("ca", &ours.pem()), files.write("wrong-ca", &other.pem()));
    let empty = files.write("empty", "");
    let token = |name: &str| Credentials::Token(files.write(name, &format!("{name}\n")));
    let certificate = |authority: &Authority, name: &str| {
        let both = files.write(name, &authority.sign("client"));
        Credentials::Certificate { certificate: both.clone(), key: both }
    };
    let server = Server::start(Some((&ours, "127.0.0.1")), guarded).await;
    let named = Server::start(Some((&ours, "n1")), guarded).await;
    let (url, wrong_path) = (server.url("https", ""), server.url("https", "/healthz"));
    let gone = files.path().join("gone");
    let rows = [
        (url.clone(), &ca, token("secret"), None),
        (url.clone(), &ca, certificate(&ours, "client"), None),
        (url.clone(), &ca, token("wrong"), Some("401 Unauthorized (Unauthorized): the token or certificate")),
        (
            url.clone(),
            &ca,
            token("weak"),
            Some("(Forbidden (user=weak, verb=get, resource=nodes)): allow its user"),
        ),
        (url.clone(), &ca, Credentials::None, Some("401")),
        (url.clone(), &ca, certificate(&other, "foreign"), Some("cannot be asked")),
        (url.clone(), &ca, Credentials::Token(empty.clone()), Some("holds no bearer token")),
        (url.clone(), &ca, Credentials::Token(ca.clone()), Some("holds no bearer token")),
        (url.clone(), &ca, Credentials::Token(gone.clone()), Some("No such file")),
        (
            url.clone(),
            &ca,
            Credentials::Certificate { certificate: ca.clone(), key: ca.clone() },
            Some("private key"),
        ),
        (url.clone(), &wrong_ca, token("secret"), Some("UnknownIssuer")),
        (url.clone(), &empty, token("secret"), Some("holds no certificate")),
        (wrong_path, &ca, token("secret"), Some("404 Not Found (404 page not found)")),
        (named.url("https", "/pods"), &ca, token("secret"), Some("certificate not valid for name")),
        (
            server.url("https", "/pods").replace("https://", "https://localhost@"),
            &ca,
            token("secret"),
            Some("more than scheme"),
        ),
    ];
    let asked_before = named.requests();
    for (url, authority, credentials, expected) in rows {
        let options = kubelet(url.clone(), Some(authority.clone()), credentials);
        match (Pods::start(options.clone()), expected) {
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
            (Err(error), None) => panic!("{error}"),
            (Ok(_), Some(part)) => assert_problem(&first_look(options).await, part),
            (Ok(_), None) => {
                let status = first_look(options).await;
                assert_eq!((status.problem, status.pods), (None, 1));
            }
        }
    }
    // A server that is not believed is not asked.
    assert_eq!(named.requests(), asked_before);
    let options = Options::Kubelet {
        url: named.url("https", "/pods"),
        server_name: Some("n1".into()),
        authority: Some(ca),
        credentials: token("secret"),
    };
    assert_eq!(first_look(options).await.pods, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_again() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let server = Server::start(Some((&ours, "127.0.0.1")), guarded).await;
    let token = files.write("token", "old");
    let credentials = Credentials::Token(token);
    let options = kubelet(server.url("https", "/pods"), Some(files.write("ca", &ours.pem())), credentials);
    let pods = Pods::start(options).unwrap();
    pods.wanted("1", "shop");
    assert_problem(&settled(&pods).await, "401");
    files.write("token", "secret");
    // It is tried again without being asked for once more.
    until(|| pods.known("1", "shop")).await;
    assert_eq!(pods.status().problem, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http() {
    let server = Server::start(None, |_| Answer::Whole(200, list(&[pod("1", "web")]))).await;
    let options = kubelet(server.url("http", "/"), None, Credentials::None);
    assert_eq!(first_look(options).await.pods, 1);
    let token = Credentials::Token("/nowhere".into());
    let ca = Some(PathBuf::from("/nowhere"));
    let rows = [
        (kubelet("http://10.0.0.1:10255/pods".into(), None, Credentials::None), "loopback"),
        (kubelet("http://localhost:10255/pods".into(), None, Credentials::None), "loopback"),
        (kubelet("http://127.0.0.1.example.com/pods".into(), None, Credentials::None), "loopback"),
        (kubelet(server.url("http", "/pods"), None, token.clone()), "in clear"),
        (kubelet("https://127.0.0.1:10250/pods".into(), None, token.clone()), "no certificate authority"),
        (kubelet("unix:///run/x".into(), ca.clone(), token.clone()), "only https and http"),
        (kubelet("10250".into(), ca.clone(), token.clone()), "`10250` is not asked"),
        (kubelet("https://127.0.0.1/pods?x=y".into(), ca, token), "more than scheme"),
    ];
    for (options, part) in rows {
        let error = Pods::start(options).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_root_does_not_hold() {
    use std::os::fd::AsFd as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/pods", listener.local_addr().unwrap());
    nix::unistd::fchown(listener.as_fd(), Some(65534.into()), None).unwrap();
    assert_problem(&first_look(kubelet(url, None, Credentials::None)).await, "uid 65534, not by root");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "it was asked");
}

type Saying = Box<dyn Fn() -> Answer + Send + Sync>;

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none() {
    let elsewhere = Server::start(None, |_| Answer::Whole(200, list(&[pod("1", "web")]))).await;
    let to = elsewhere.url("http", "/pods");
    let many = vec![Value::Null; 10_001];
    let rows: Vec<(Saying, &str)> = vec![
        (Box::new(move || Answer::Redirect(to.clone())), "redirects to `http://127.0.0.1:"),
        (Box::new(|| Answer::Huge { announced: true }), "more than 64 MiB"),
        (Box::new(|| Answer::Huge { announced: false }), "more than 64 MiB"),
        (Box::new(|| Answer::Trickle), "no whole answer within 5 s"),
        (Box::new(|| Answer::Silence), "no whole answer within 5 s"),
        (Box::new(|| Answer::Torn), "cannot be asked"),
        (Box::new(|| Answer::Whole(200, "<html>".into())), "no list of pods"),
        (Box::new(|| Answer::Whole(200, "{}".into())), "missing field `apiVersion`"),
        (Box::new(|| Answer::Whole(200, r#"{"kind":"Status","apiVersion":"v1"}"#.into())), "`v1 Status`"),
        (Box::new(move || Answer::Whole(200, list(&many))), "10001 pods"),
        (Box::new(|| Answer::Whole(503, "a\u{1b}[2Jb".into())), "503 Service Unavailable (a\u{fffd}[2Jb)"),
        (Box::new(|| Answer::Whole(204, String::new())), "204"),
    ];
    let looks = rows.into_iter().map(|(answer, part)| async move {
        let server = Server::start(None, move |_| answer()).await;
        let status = first_look(kubelet(server.url("http", "/pods"), None, Credentials::None)).await;
        assert_problem(&status, part);
    });
    let looks: Vec<_> = looks.map(tokio::spawn).collect();
    for look in looks {
        look.await.unwrap();
    }
    assert_eq!(elsewhere.requests(), 0);
    let status = first_look(kubelet("http://127.0.0.1:1/pods".into(), None, Credentials::None)).await;
    assert_problem(&status, "cannot be asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_doubtful_pods() {
    let mut large = pod("large", "web");
    let containers = |kind: &str| {
        (0..500).map(|n| json!({"name": format!("{kind}-{n}"), "image": "a"})).collect::<Vec<_>>()
    };
    large["spec"]["containers"] = json!(containers("c"));
    large["spec"]["initContainers"] = json!(containers("i"));
    let mut twin = pod("twice", "web");
    twin["spec"]["serviceAccountName"] = json!("admin");
    let mut elsewhere = pod("twice", "web");
    elsewhere["metadata"]["namespace"] = json!("other");
    let mut bad = pod("bad", "web");
    bad["spec"]["containers"] = json!({});
    let body =
        list(&[large, pod("twice", "web"), twin, elsewhere, bad, pod("same", "web"), pod("same", "web")]);
    let server = Server::start(None, move |_| Answer::Whole(200, body.clone())).await;
    let pods = Pods::start(kubelet(server.url("http", "/pods"), None, Credentials::None)).unwrap();
    pods.wanted("large", "shop");
    settled(&pods).await;
    let facts = pods.known("large", "shop").unwrap();
    assert_eq!(facts.containers.len(), 1000);
    assert_eq!(facts.container("i-499").map(|container| container.kind), Some(ContainerKind::Init));
    let known = |uid, namespace| pods.known(uid, namespace).is_some();
    assert!(known("same", "shop") && known("twice", "other"));
    assert!(!known("twice", "shop") && !known("bad", "shop") && !known("large", "other") && !known("", ""));
    let status = pods.status();
    assert_eq!((status.pods, status.contested, status.left_out, status.problem), (3, 1, 1, None));
    // What no look mends is not looked up.
    pods.wanted("twice", "shop");
    pods.wanted("large", "shop");
    pods.container_wanted("large", "shop", "c-0");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(server.requests(), 1);
}

/// A server whose list can be changed.
async fn changing(first: Vec<Value>) -> (Server, Arc<Mutex<Vec<Value>>>, Pods) {
    let listed = Arc::new(Mutex::new(first));
    let shown = Arc::clone(&listed);
    let answer = move |_: &Question| Answer::Late(Duration::from_millis(100), list(&shown.lock().unwrap()));
    let server = Server::start(None, answer).await;
    let pods = Pods::start(kubelet(server.url("http", "/pods"), None, Credentials::None)).unwrap();
    (server, listed, pods)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_at_a_time() {
    let (server, _, pods) = changing(vec![pod("1", "web")]).await;
    assert_eq!(server.requests(), 0, "nobody was asked for");
    let began = tokio::time::Instant::now();
    let asking: Vec<_> = (0..100)
        .map(|n| {
            let pods = pods.clone();
            tokio::spawn(async move {
                for m in 0..300 {
                    pods.wanted(&format!("{n}-{m}"), "shop");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    for task in asking {
        task.await.unwrap();
    }
    // One at once, and one for each second that began.
    let at_most = 1 + usize::try_from(began.elapsed().as_secs()).unwrap();
    let requests = server.requests();
    assert!((2..=at_most).contains(&requests), "{requests} requests, at most {at_most} were due");
    assert_eq!(server.counts.most_at_once.load(Ordering::SeqCst), 1);
    assert!(pods.known("1", "shop").is_some());
    // The last wish is answered, and then there is silence.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let requests = server.requests();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(server.requests(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_known_the_next_time() {
    let (server, listed, pods) = changing(vec![pod("1", "web")]).await;
    assert!(pods.known("1", "shop").is_none());
    pods.wanted("1", "shop");
    let facts = until(|| pods.known("1", "shop")).await;
    assert_eq!((facts.service_account.as_str(), facts.containers[0].image.as_str()), ("web", "r.io/a:1"));
    // An ephemeral container is added.
    let mut grown = pod("1", "web");
    grown["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "busybox"}]);
    *listed.lock().unwrap() = vec![grown, pod("2", "db")];
    pods.container_wanted("1", "shop", "debug");
    let kind = || pods.known("1", "shop")?.container("debug").map(|container| container.kind);
    assert_eq!(until(kind).await, ContainerKind::Ephemeral);
    assert!(pods.known("2", "shop").is_some());
    // A pod that is listed no more stays what it was; its uid never becomes another's.
    *listed.lock().unwrap() = vec![pod("2", "admin"), pod("3", "web")];
    assert!(pods.known_within("3", "shop", PATIENCE).await.is_some());
    assert_eq!(pods.known("1", "shop").unwrap().service_account, "web");
    assert!(pods.known("2", "shop").is_none());
    assert_eq!(pods.status().contested, 1);
    // Who waits for what is not there waits for one look, and not for longer than it said.
    let before = server.requests();
    assert!(pods.known_within("4", "shop", PATIENCE).await.is_none());
    assert_eq!(server.requests(), before + 1);
    assert!(pods.known_within("5", "shop", Duration::from_millis(1)).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn kubelet_restarts() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let answer = |account: &'static str, uid: &'static str| {
        move |_: &Question| Answer::Whole(200, list(&[pod(uid, account)]))
    };
    let first = Server::start(Some((&ours, "127.0.0.1")), answer("web", "1")).await;
    let address = first.address;
    let ca = files.write("ca", &ours.pem());
    let pods = Pods::start(kubelet(first.url("https", "/pods"), Some(ca), Credentials::None)).unwrap();
    assert!(pods.known_within("1", "shop", PATIENCE).await.is_some());
    first.stop().await;
    pods.wanted("2", "shop");
    until(|| pods.status().problem).await;
    assert!(pods.known("1", "shop").is_some(), "what was known is known");
    assert!(pods.known_within("2", "shop", Duration::from_millis(100)).await.is_none());
    // Another certificate of the same authority, on the same port.
    let second = Server::start_at(address, Some((&ours, "127.0.0.1")), answer("db", "2")).await;
    assert_eq!(until(|| pods.known("2", "shop")).await.service_account, "db");
    assert_eq!((pods.status().problem, second.requests()), (None, 1));
    // Nobody looks once nobody is left to ask.
    pods.wanted("3", "shop");
    drop(pods);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(second.requests() <= 2);
}
