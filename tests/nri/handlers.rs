//! What handlers may do, and what becomes of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use binauthd::nri::api::{ContainerRequest, PodRequest, PodSandbox, StateChangeEvent, SynchronizeRequest};
use binauthd::nri::{Ended, Event, Limits, State};

use super::fake_runtime::{Answer, FakeRuntime, Outcome, Version};
use super::gate::{Gate, Served, WANTED, options, pod_and_container};
use super::rig::eventually;

const LIMIT: Duration = Duration::from_secs(2);

/// Every version asks about all that it knows, and a refusal of each question is one.
#[tokio::test]
async fn every_version_asks_and_is_answered() {
    for version in Version::ALL {
        let name = version.version;
        let validates = version.events == 0x3fff;
        let (served, mut runtime) = Served::with(version).await;
        assert_eq!(runtime.link.as_ref().unwrap().mask, if validates { 0x2029 } else { 0x29 }, "{name}");
        let (pod, container) = pod_and_container("good", &[]);
        assert_eq!(runtime.run_pod(&pod).await, Outcome::Allowed, "{name}");
        assert_eq!(runtime.run(&pod, &container).await, Outcome::Allowed, "{name}");
        let mut expected = vec![
            format!("configured by containerd {name}"),
            "synchronize 0 0".to_owned(),
            "run_pod good-pod".to_owned(),
            "create good".to_owned(),
            "validate good [\"default-validator\", \"binauthd\"]".to_owned(),
            "start good".to_owned(),
        ];
        if !validates {
            expected.remove(4);
        }
        assert_eq!(served.gate.seen(), expected, "{name}");

        for question in ["run_pod", "create", "validate", "start"] {
            let (pod, container) = pod_and_container("bad", &[(question, "refuse")]);
            let outcome = match question {
                "run_pod" => runtime.run_pod(&pod).await,
                _ => runtime.run(&pod, &container).await,
            };
            if question == "validate" && !validates {
                assert_eq!(outcome, Outcome::Allowed, "{name}");
                continue;
            }
            assert!(outcome.refusal().contains("image not attested"), "{name} {question}: {outcome:?}");
        }
        let status = served.status.borrow().clone();
        assert_eq!(status.refused, if validates { 4 } else { 3 }, "{name}");
        assert!(
            matches!(&status.state, State::Synchronized(is) if is.runtime.left_out.is_empty() == validates)
        );
        // Whatever it refused, the plugin stays.
        assert_eq!(runtime.run(&pod, &container).await, Outcome::Allowed, "{name}");
    }
}

/// Slow, panicking and talkative ones: always a refusal with code 7, always in time.
#[tokio::test]
async fn a_handler_that_fails_is_a_refusal() {
    let rows =
        [("wait", "no decision within 0.4 s"), ("panic", "no decision: its handler failed"), ("long", "€€€")];
    let (served, mut runtime) = Served::with(Version::CONTAINERD_2_3).await;
    for (order, expected) in rows {
        for question in ["run_pod", "create", "validate", "start"] {
            let (pod, container) = pod_and_container(order, &[(question, order)]);
            let outcome = match question {
                "run_pod" => runtime.run_pod(&pod).await,
                _ => runtime.run(&pod, &container).await,
            };
            let refusal = outcome.refusal();
            assert!(refusal.contains(expected), "{order} {question}: {refusal}");
            // Code 12 would be a plugin that is too old to be asked: the runtime would go on.
            assert!(question == "validate" || refusal.contains("code = 7"), "{order} {question}: {refusal}");
            assert!(refusal.len() < 3000, "{}", refusal.len());
        }
    }
    let (pod, container) = pod_and_container("good", &[]);
    assert_eq!(runtime.run(&pod, &container).await, Outcome::Allowed);
    let status = served.status.borrow().clone();
    assert_eq!((status.refused, status.late, status.panicked), (12, 4, 4));
    assert_eq!(served.gate.at_work.load(Ordering::SeqCst), 0, "those that waited were dropped");
}

/// The deadline is inside the runtime's own, whether that is told in `Configure` or with the request.
#[tokio::test]
async fn deadlines_are_shorter_than_the_runtimes() {
    for (told, of_request, expected) in
        [(1000, 2000, "0.6 s"), (5000, 1000, "0.6 s"), (5000, 10_000, "1.2 s"), (60_000, 0, "1.2 s")]
    {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let options = options(&WANTED).with_handler_deadline(Duration::from_millis(1200)).unwrap();
        let _served = Served::start(theirs, options, Gate::default());
        let mut runtime = FakeRuntime::new(Version::CONTAINERD_2_1);
        runtime.request_timeout = Duration::from_millis(told);
        runtime.adopt(ours).await.unwrap();
        let link = runtime.link.as_mut().unwrap();
        let (pod, container) = pod_and_container("slow", &[("create", "wait")]);
        let request = ContainerRequest { pod: Some(pod), container: Some(container) };
        let stream = link.ask("CreateContainer", &request, Duration::from_millis(of_request)).await;
        let Answer::Status(status) = link.answer_to(stream, LIMIT).await else {
            panic!("{told} {of_request}")
        };
        assert_eq!((status.code, status.message), (7, format!("no decision within {expected}")));
    }
}

/// A slow handler keeps nobody else waiting, is answered once, and too many at once are refused.
#[tokio::test]
async fn requests_are_handled_side_by_side_and_bounded() {
    let limits = Limits { requests: 3, ..Limits::default() };
    let (served, mut link) = Served::bare(options(&WANTED).with_limits(limits), Gate::default());
    let runtime = FakeRuntime::new(Version::CONTAINERD_2_1);
    runtime.register(&mut link).await.unwrap();
    runtime.configure(&mut link).await.unwrap();
    runtime.synchronize(&mut link).await.unwrap();

    let request = |orders: &[(&str, &str)]| {
        let (pod, container) = pod_and_container("c", orders);
        ContainerRequest { pod: Some(pod), container: Some(container) }
    };
    let slow = request(&[("create", "wait")]);
    let mut waiting = vec![
        link.ask("CreateContainer", &slow, LIMIT).await,
        link.ask("CreateContainer", &slow, LIMIT).await,
    ];
    let quick = link.ask("CreateContainer", &request(&[]), LIMIT).await;
    assert_eq!(link.answer(LIMIT).await, Ok((quick, Answer::Ok(Vec::new()))));
    waiting.push(link.ask("CreateContainer", &slow, LIMIT).await);
    let crowded = link.ask("CreateContainer", &request(&[]), LIMIT).await;
    let (stream, Answer::Status(status)) = link.answer(LIMIT).await.unwrap() else { panic!("allowed") };
    assert_eq!((stream, status.code), (crowded, 7));
    assert!(status.message.contains("3 requests are at work"), "{}", status.message);
    // What cannot be asked at all is told at once, too.
    let unknown = link.ask("NoSuchMethod", &request(&[]), LIMIT).await;
    assert!(
        matches!(link.answer(LIMIT).await, Ok((stream, Answer::Status(it))) if stream == unknown && it.code == 12)
    );

    let mut late = Vec::new();
    for _ in 0..3 {
        let (stream, Answer::Status(status)) = link.answer(LIMIT).await.unwrap() else { panic!("allowed") };
        assert!(status.message.contains("no decision"), "{}", status.message);
        late.push(stream);
    }
    late.sort_unstable();
    assert_eq!(late, waiting);
    assert_eq!(link.answer(Duration::from_millis(100)).await, Err(Answer::Late), "answered twice");
    assert_eq!(served.gate.at_work.load(Ordering::SeqCst), 0, "a late handler is dropped");
    let status = served.status.borrow().clone();
    assert_eq!((status.late, status.crowded, status.refused), (3, 1, 4));
}

/// What cannot be decided about is refused, what is not in the API is unimplemented, and neither is the
/// end.
#[tokio::test]
async fn only_an_unknown_method_is_unimplemented() {
    let (_served, mut runtime) = Served::with(Version::CONTAINERD_2_3).await;
    let link = runtime.link.as_mut().unwrap();
    let (pod, container) = pod_and_container("c", &[]);
    let empty = PodRequest::default();
    let mut codes = Vec::new();
    for method in
        ["RunPodSandbox", "CreateContainer", "StartContainer", "ValidateContainerAdjustment", "Nonsense"]
    {
        let Answer::Status(status) = link.call(method, &empty, LIMIT).await else { panic!("{method}") };
        codes.push(status.code);
    }
    assert_eq!(codes, [3, 3, 3, 3, 12]);
    let known = ["StopPodSandbox", "RemovePodSandbox", "UpdatePodSandbox", "PostUpdatePodSandbox"];
    let of_containers =
        ["PostCreateContainer", "PostStartContainer", "UpdateContainer", "PostUpdateContainer"];
    for method in known.iter().chain(&of_containers).chain(&["StopContainer", "RemoveContainer"]) {
        let request = ContainerRequest { pod: Some(pod.clone()), container: Some(container.clone()) };
        assert_eq!(link.call(method, &request, LIMIT).await, Answer::Ok(Vec::new()), "{method}");
    }
    // A stream that was used, and one that only a server would use.
    let request = PodRequest { pod: Some(pod) };
    for stream in [1, 2, u32::MAX - 1] {
        let request = binauthd::nri::ttrpc::Request {
            service: "nri.pkg.api.v1alpha1.Plugin".into(),
            method: "RunPodSandbox".into(),
            payload: prost::Message::encode_to_vec(&request),
            timeout_nano: 0,
        };
        link.send(1, stream, 1, &prost::Message::encode_to_vec(&request)).await;
        let (of, Answer::Status(status)) = link.answer(LIMIT).await.unwrap() else { panic!("{stream}") };
        assert_eq!((of, status.code), (stream, 3));
    }
    let change = |event| StateChangeEvent { event, pod: None, container: None };
    for event in [0, 1, 4, 6, 14, 15] {
        let answer = link.call("StateChange", &change(event), LIMIT).await;
        assert!(matches!(&answer, Answer::Status(status) if status.code == 3), "{event}: {answer:?}");
    }
    assert_eq!(link.call("StateChange", &change(11), LIMIT).await, Answer::Ok(Vec::new()));
}

/// A thousand containers in many parts are told once, as a whole.
#[tokio::test]
async fn a_split_synchronize_is_put_together() {
    for (chunk, requests) in [(usize::MAX, 1), (64, 16), (7, 143)] {
        let mut runtime = FakeRuntime::new(Version::CONTAINERD_2_2);
        let (pod, mut container) = pod_and_container("old", &[]);
        container.env = vec!["PADDING=".to_owned() + &"x".repeat(2000)];
        runtime.pods = vec![pod; 250];
        runtime.containers = vec![container; 1000];
        runtime.chunk = chunk;
        let (served, _runtime) = Served::with_runtime(runtime).await;
        assert_eq!(served.gate.seen()[1..], ["synchronize 250 1000"], "{chunk}");
        eventually("the state", LIMIT, || async {
            matches!(&served.status.borrow().state, State::Synchronized(is) if (is.pods, is.containers) == (250, 1000))
                .then_some(())
        })
        .await;
        assert_eq!(served.status.borrow().answered, 1 + requests);
    }
}

#[tokio::test]
async fn a_synchronize_of_too_much_is_refused() {
    let limits = Limits { synchronize: 100_000, ..Limits::default() };
    let (served, mut link) = Served::bare(options(&WANTED).with_limits(limits), Gate::default());
    let runtime = FakeRuntime::new(Version::CONTAINERD_2_1);
    runtime.register(&mut link).await.unwrap();
    runtime.configure(&mut link).await.unwrap();
    let name = "x".repeat(60_000);
    let pods = vec![PodSandbox { name, ..Default::default() }];
    let part = SynchronizeRequest { pods, containers: Vec::new(), more: true };
    assert!(matches!(link.call("Synchronize", &part, LIMIT).await, Answer::Ok(_)));
    let Answer::Status(status) = link.call("Synchronize", &part, LIMIT).await else { panic!("taken") };
    assert!(status.code == 7 && status.message.contains("at most 100000"), "{status:?}");
    assert_eq!(served.gate.seen().len(), 1, "{:?}", served.gate.seen());
}

/// An empty mask would be a wish for everything: a runtime that knows nothing of what is wanted is told.
#[tokio::test]
async fn a_plugin_that_cannot_be_asked_is_not_configured() {
    let wanted = [Event::ValidateContainerAdjustment];
    let (_served, mut link) = Served::bare(options(&wanted), Gate::default());
    let runtime = FakeRuntime::new(Version::CONTAINERD_2_1);
    runtime.register(&mut link).await.unwrap();
    let error = runtime.configure(&mut link).await.unwrap_err();
    assert!(error.contains("code: 7") && error.contains("ValidateContainerAdjustment"), "{error}");

    let gate = Gate { refuse_configure: true, ..Gate::default() };
    let (served, mut link) = Served::bare(options(&WANTED), gate);
    runtime.register(&mut link).await.unwrap();
    let error = runtime.configure(&mut link).await.unwrap_err();
    assert!(error.contains("not this one"), "{error}");
    drop(link);
    assert!(matches!(served.ended().await, Ended::Closed));
}
