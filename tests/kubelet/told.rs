//! What the API server is told: events of pods, and the condition of the node.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use binauthd::kubelet::{Condition, Events, Standing, Told};
use serde_json::Value;

use super::authority::{Authority, Files};
use super::server::{Answer, Question, Server};
use super::until;

fn told(uid: &str, code: &'static str) -> Told {
    Told {
        namespace: "shop".into(),
        pod: "web-1".into(),
        uid: uid.into(),
        container: "main".into(),
        reason: "BinauthdDenied",
        code,
        message: format!("Image r.io/a denied ({code})"),
        at: SystemTime::now(),
    }
}

/// An API server that keeps what it is asked, and the node's kubeconfig for it.
struct Api {
    server: Server,
    asked: Arc<Mutex<Vec<Question>>>,
    kubeconfig: PathBuf,
    _files: Files,
}

impl Api {
    /// `answer` sees how many came before.
    async fn start(answer: impl Fn(usize, &Question) -> Answer + Send + Sync + 'static) -> Self {
        let (files, ours) = (Files::new(), Authority::new("ours"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let server = Server::start(Some((&ours, "api.example.com")), move |question| {
            let mut kept = kept.lock().unwrap();
            let before = kept.len();
            kept.push(question.clone());
            match question.bearer.as_deref() {
                Some("secret") => answer(before, question),
                _ => Answer::Whole(401, String::new()),
            }
        })
        .await;
        files.write("ca.crt", &ours.pem());
        files.write("token", "secret");
        let cluster = format!(
            "server: {}\ntls-server-name: api.example.com\ncertificate-authority: ca.crt",
            server.url("https", "")
        );
        let kubeconfig =
            files.write("kubelet.conf", &super::kubeconfig::config(&cluster, "tokenFile: token"));
        Self { server, asked, kubeconfig, _files: files }
    }

    fn events(&self) -> Events {
        Events::start(self.kubeconfig.clone(), Some("n1".into())).unwrap()
    }

    fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

fn taken(_: usize, _: &Question) -> Answer {
    Answer::Whole(201, "{}".into())
}

fn body(question: &Question) -> Value {
    serde_json::from_str(&question.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_one_event_of_its_pod_however_often_it_comes() {
    let api = Api::start(taken).await;
    let events = api.events();
    for _ in 0..100 {
        events.tell(told("u-1", "NO_ATTESTATION"));
    }
    events.tell(told("u-1", "HOST_ACCESS"));
    events.tell(told("u-2", "NO_ATTESTATION"));
    // What names no pod reaches nobody.
    for (namespace, pod, uid) in [
        ("", "p", "u"),
        ("a/b", "p", "u"),
        ("a.b", "p", "u"),
        ("a", "../x", "u"),
        ("a", "p", ""),
        ("a", "p", "u u"),
    ] {
        let (namespace, pod, uid) = (namespace.into(), pod.into(), uid.into());
        events.tell(Told { namespace, pod, uid, ..told("", "NO_ATTESTATION") });
    }
    until(|| (events.status().sent == 3).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = api.asked();
    assert_eq!(asked.len(), 3, "the repeats are written a minute later");
    let (names, bodies): (Vec<_>, Vec<_>) = asked
        .iter()
        .map(|question| ((question.method.clone(), question.target.clone()), body(question)))
        .unzip();
    assert!(
        names.iter().all(|name| *name == ("POST".into(), "/api/v1/namespaces/shop/events".into())),
        "{names:?}"
    );
    assert_eq!(bodies[0]["involvedObject"]["uid"], "u-1");
    assert_eq!(bodies[0]["message"], "Image r.io/a denied (NO_ATTESTATION)");
    assert_eq!(
        (&bodies[0]["reason"], &bodies[0]["reportingInstance"]),
        (&"BinauthdDenied".into(), &"n1".into())
    );
    assert_ne!(bodies[0]["metadata"]["name"], bodies[2]["metadata"]["name"]);
    let status = events.status();
    assert_eq!((status.failed, status.dropped), (0, 0), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_and_tried_again() {
    let api = Api::start(|before, _| match before {
        0 => Answer::Whole(500, "broken".into()),
        1 => Answer::Rest(1),
        2 => Answer::Whole(409, String::new()),
        _ => Answer::Whole(201, "{}".into()),
    })
    .await;
    let events = api.events();
    let started = Instant::now();
    events.tell(told("u-1", "NO_ATTESTATION"));
    until(|| events.status().problem.is_some_and(|problem| problem.contains("500")).then_some(())).await;
    until(|| (events.status().sent == 1).then_some(())).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "it is left alone as long as it wants");
    let (status, asked) = (events.status(), api.asked());
    assert_eq!((asked.len(), status.failed, status.dropped), (4, 2, 0), "{status:?}");
    assert!(status.problem.is_none(), "{status:?}");
    assert_ne!(
        body(&asked[2])["metadata"]["name"],
        body(&asked[3])["metadata"]["name"],
        "the name was taken"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_what_it_takes_and_what_is_wrong_is_given_up() {
    let api = Api::start(|_, question| match question.body.contains("u-1") {
        true => Answer::Whole(422, r#"{"kind":"Status","message":"invalid"}"#.into()),
        false => Answer::Whole(403, r#"{"kind":"Status","message":"forbidden"}"#.into()),
    })
    .await;
    let events = api.events();
    events.tell(told("u-1", "NO_ATTESTATION"));
    until(|| (events.status().dropped == 1).then_some(())).await;
    events.tell(told("u-2", "NO_ATTESTATION"));
    let problem = until(|| events.status().problem.filter(|problem| problem.contains("403"))).await;
    assert!(problem.contains("(forbidden): allow its user to `create` and `patch` `events`"), "{problem}");
    assert_eq!(events.status().waiting, 1);
}

/// Whoever tells does not wait, whatever the API server does; and what it does not take is not kept without end.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_an_api_server() {
    let silent = Api::start(|_, _| Answer::Silence).await;
    let gone = Api::start(taken).await;
    let address = gone.kubeconfig.clone();
    let Api { server, _files: files, .. } = gone;
    server.stop().await;
    let missing = files.path().join("nothing.conf");
    for kubeconfig in [silent.kubeconfig.clone(), address, missing] {
        let events = Events::start(kubeconfig, Some("n1".into())).unwrap();
        let started = Instant::now();
        for n in 0..10_000 {
            events.tell(told(&format!("u-{n}"), "NO_ATTESTATION"));
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        until(|| (events.status().failed > 0).then_some(())).await;
        let status = events.status();
        assert!(status.waiting <= 1_024 && status.dropped > 0 && status.sent == 0, "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_condition_of_the_node_is_written_when_it_changes() {
    let api = Api::start(|before, _| match before {
        0 => Answer::Whole(503, String::new()),
        _ => Answer::Whole(200, "{}".into()),
    })
    .await;
    let enforces = Arc::new(Mutex::new(Some(true)));
    let seen = Arc::clone(&enforces);
    let standing = move || Standing {
        enforces: *seen.lock().unwrap(),
        reason: "Enforcing",
        message: "pulls and creations are judged".into(),
    };
    let condition = Condition::start(api.kubeconfig.clone(), Some("n1".into()), standing).unwrap();
    until(|| (condition.status().failed == 1).then_some(())).await;
    until(|| (condition.status().sent == 1).then_some(())).await;
    *enforces.lock().unwrap() = Some(false);
    until(|| (condition.status().sent == 2).then_some(())).await;
    let asked = api.asked();
    let conditions: Vec<_> =
        asked.iter().map(|question| body(question)["status"]["conditions"][0].clone()).collect();
    let statuses: Vec<_> = conditions.iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["True", "True", "False"]);
    assert!(asked.iter().all(|one| one.method == "PATCH" && one.target == "/api/v1/nodes/n1/status"));
    assert!(conditions.iter().all(|one| one["type"] == "BinauthdEnforcing" && one["reason"] == "Enforcing"));
    assert_eq!(conditions[0]["lastTransitionTime"], conditions[1]["lastTransitionTime"]);
    assert_ne!(conditions[1]["lastTransitionTime"], conditions[2]["lastTransitionTime"]);
}
