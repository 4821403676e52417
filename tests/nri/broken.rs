//! Connections that break, stall or talk nonsense.

use std::sync::atomic::Ordering;
use std::time::Duration;

use binauthd::nri::api::{ContainerRequest, PodRequest};
use binauthd::nri::{Ended, Limits, State};
use prost::Message;

use super::fake_runtime::{Answer, FakeRuntime, Link, PLUGIN, RUNTIME, Version};
use super::gate::{Gate, Served, WANTED, options, pod_and_container};
use super::rig::eventually;

const SOON: Duration = Duration::from_secs(5);

/// Limits that end within the test, one of which is what it is about.
fn limited(change: impl FnOnce(&mut Limits)) -> (Served, Link) {
    let mut limits = Limits::default();
    change(&mut limits);
    Served::bare(options(&WANTED).with_limits(limits), Gate::default())
}

const BRIEF: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_runtime_that_is_silent_is_left() {
    let (served, _link) = limited(|limits| limits.registration = BRIEF);
    assert!(matches!(served.ended().await, Ended::Unregistered(BRIEF)));

    let (served, mut link) = limited(|limits| limits.handshake = BRIEF);
    FakeRuntime::new(Version::CONTAINERD_2_1).register(&mut link).await.unwrap();
    let gate = served.gate.clone();
    let mut status = served.status.clone();
    status.wait_for(|status| status.state == State::Registered).await.unwrap();
    assert!(matches!(served.ended().await, Ended::Unsynchronized(BRIEF)));
    assert_eq!(gate.seen(), ["disconnected: the runtime did not synchronize this plugin within 0.2 s"]);

    // Once it has synchronized it may be silent for as long as it likes.
    let (served, mut runtime) = Served::with(Version::CONTAINERD_2_1).await;
    tokio::time::sleep(BRIEF * 2).await;
    let (pod, _) = pod_and_container("late", &[]);
    assert!(runtime.run_pod(&pod).await.goes_on() && runtime.link.is_some());
    drop(runtime);
    assert!(matches!(served.ended().await, Ended::Closed));
}

#[tokio::test]
async fn a_runtime_that_does_not_want_the_plugin_is_told_of() {
    let (served, mut link) = limited(|_| {});
    link.receive(SOON).await.unwrap();
    // Status{code: 3, message: "bad name"}
    link.send(RUNTIME, 1, 2, b"\x0a\x0c\x08\x03\x12\x08bad name").await;
    let ended = served.ended().await;
    assert_eq!(ended.to_string(), "the runtime refuses to register this plugin (code 3): bad name");
}

/// Half a frame, half a message in a whole frame, half a header: nothing may wait for ever.
#[tokio::test]
async fn half_a_message_and_then_silence_is_the_end() {
    let whole = {
        let mut frame = vec![0, 0, 0, 1, 0, 0, 0, 30, 0, 0, 0, 20, 0, 0, 0, 1, 1, 0];
        frame.extend_from_slice(&[0; 20]);
        frame
    };
    let rows = [
        whole[..5].to_vec(),
        whole[..8].to_vec(),
        whole[..20].to_vec(),
        [&[0, 0, 0, 1, 0, 0, 0, 12], &whole[8..20]].concat(),
        [0, 0, 0, 9, 0, 0, 1, 0].to_vec(), // of a connection that nobody uses
    ];
    for bytes in rows {
        let limits = Limits { message: BRIEF, handshake: Duration::from_secs(2), ..Limits::default() };
        let (served, mut link) = Served::bare(options(&WANTED).with_limits(limits), Gate::default());
        let runtime = FakeRuntime::new(Version::CONTAINERD_2_1);
        runtime.register(&mut link).await.unwrap();
        link.send_bytes(&bytes).await;
        assert!(matches!(served.ended().await, Ended::Stalled(BRIEF)), "{bytes:?}");
    }
}

/// A byte now and then is no progress, and one message after the other is.
#[tokio::test]
async fn a_message_has_its_time_and_a_flow_of_them_has_not() {
    let limits = Limits { message: Duration::from_secs(1), ..Limits::default() };
    let (served, mut link) = Served::bare(options(&WANTED).with_limits(limits), Gate::default());
    FakeRuntime::new(Version::CONTAINERD_2_1).register(&mut link).await.unwrap();
    let frame = [0, 0, 0, 1, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0];
    link.send_bytes(&frame[..9]).await;
    for _ in 0..5 {
        // The end of one and the beginning of the next.
        link.send_bytes(&frame[9..]).await;
        link.send_bytes(&frame[..9]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    drop(link);
    assert!(matches!(served.ended().await, Ended::Closed));

    let limits = Limits { message: BRIEF, ..Limits::default() };
    let (served, mut link) = Served::bare(options(&WANTED).with_limits(limits), Gate::default());
    FakeRuntime::new(Version::CONTAINERD_2_1).register(&mut link).await.unwrap();
    let dripping = tokio::spawn(async move {
        link.send_bytes(&[0, 0, 0, 1, 0, 0, 0xff, 0]).await;
        loop {
            link.send_bytes(&[0]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(matches!(served.ended().await, Ended::Stalled(BRIEF)));
    dripping.abort();
}

#[tokio::test]
async fn nonsense_is_the_end() {
    let frame = |connection: u32, payload: &[u8]| {
        [&connection.to_be_bytes()[..], &(payload.len() as u32).to_be_bytes(), payload].concat()
    };
    let rows: [(Vec<u8>, &str); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "a frame of 790644820 bytes"),
        (vec![0xff; 64], "a frame of 4294967295 bytes"),
        (frame(PLUGIN, &[0xff; 10]), "a message of 4294967295 bytes"),
        (frame(PLUGIN, &[0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0xff]), "a message that is no request"),
        (frame(RUNTIME, &[0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 0xff]), "a message that is no response"),
    ];
    for (bytes, expected) in rows {
        let (served, mut link) = limited(|_| {});
        link.receive(SOON).await.unwrap();
        link.send_bytes(&bytes).await;
        let ended = served.ended().await.to_string();
        assert!(ended.contains(expected), "{ended}");
    }
    // Data of streams, answers that nobody waits for, connections that nobody uses: passed over.
    let (served, mut runtime) = Served::with(Version::CONTAINERD_2_1).await;
    let link = runtime.link.as_mut().unwrap();
    link.send_bytes(&frame(77, b"whatever")).await;
    link.send(PLUGIN, 5, 3, b"data").await;
    link.send(PLUGIN, 5, 2, b"").await;
    link.send(RUNTIME, 9, 2, &[0xff]).await;
    let (pod, container) = pod_and_container("c", &[]);
    assert!(runtime.run(&pod, &container).await.goes_on() && runtime.link.is_some());
    assert!(matches!(served.status.borrow().state, State::Synchronized(_)));
}

/// Two requests in one piece and one in many: the stream is what counts.
#[tokio::test]
async fn requests_are_read_whatever_their_frames() {
    let (_served, mut runtime) = Served::with(Version::CONTAINERD_2_3).await;
    let link = runtime.link.as_mut().unwrap();
    let (pod, _) = pod_and_container("c", &[]);
    let message = |stream: u32| {
        let body = binauthd::nri::ttrpc::Request {
            service: "nri.pkg.api.v1alpha1.Plugin".into(),
            method: "RunPodSandbox".into(),
            payload: PodRequest { pod: Some(pod.clone()) }.encode_to_vec(),
            timeout_nano: 0,
        }
        .encode_to_vec();
        [&(body.len() as u32).to_be_bytes()[..], &stream.to_be_bytes(), &[1, 0], &body].concat()
    };
    for (first, size) in [(101, usize::MAX), (201, 1), (301, 13)] {
        let both = [message(first), message(first + 2)].concat();
        for payload in both.chunks(size.min(both.len())) {
            let header = [1_u32.to_be_bytes(), (payload.len() as u32).to_be_bytes()].concat();
            link.send_bytes(&[&header, payload].concat()).await;
        }
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (stream, answer) = link.answer(SOON).await.unwrap();
            assert_eq!(answer, Answer::Ok(Vec::new()), "{size}");
            streams.push(stream);
        }
        streams.sort_unstable();
        assert_eq!(streams, [first, first + 2]);
    }
}

#[tokio::test]
async fn a_connection_that_closes_over_a_request_drops_its_handler() {
    let (served, mut runtime) = Served::with(Version::CONTAINERD_2_1).await;
    let (pod, container) = pod_and_container("c", &[("create", "wait")]);
    let request = ContainerRequest { pod: Some(pod), container: Some(container) };
    runtime.link.as_mut().unwrap().ask("CreateContainer", &request, SOON).await;
    let gate = served.gate.clone();
    eventually("the handler", SOON, || async { (gate.at_work.load(Ordering::SeqCst) == 1).then_some(()) })
        .await;
    runtime.link = None;
    assert!(matches!(served.ended().await, Ended::Closed));
    eventually("no handler", SOON, || async { (gate.at_work.load(Ordering::SeqCst) == 0).then_some(()) })
        .await;
    assert_eq!(gate.seen().last().unwrap(), "disconnected: the runtime closed the connection");
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_answered() {
    let (served, mut runtime) = Served::with(Version::CONTAINERD_2_1).await;
    let link = runtime.link.as_mut().unwrap();
    assert_eq!(link.call("Shutdown", &PodRequest::default(), SOON).await, Answer::Ok(Vec::new()));
    let (pod, container) = pod_and_container("c", &[]);
    let request = ContainerRequest { pod: Some(pod), container: Some(container) };
    assert_eq!(link.call("CreateContainer", &request, SOON).await, Answer::Closed);
    let gate = served.gate.clone();
    assert!(matches!(served.ended().await, Ended::Shutdown));
    assert!(gate.seen().iter().all(|seen| !seen.starts_with("create")), "{:?}", gate.seen());
}

#[tokio::test]
async fn a_runtime_that_does_not_read_is_left() {
    let (ours, theirs) = tokio::io::duplex(256);
    let limits = Limits { write: BRIEF, ..Limits::default() };
    let served = Served::start(theirs, options(&WANTED).with_limits(limits), Gate::default());
    let mut runtime = FakeRuntime::new(Version::CONTAINERD_2_1);
    runtime.adopt(ours).await.unwrap();
    let asking = tokio::spawn(async move {
        let link = runtime.link.as_mut().unwrap();
        for _ in 0..1000 {
            link.ask("NoSuchMethod", &PodRequest::default(), SOON).await;
        }
        std::future::pending::<()>().await; // still there, and deaf
    });
    assert!(matches!(served.ended().await, Ended::Unread(BRIEF)));
    asking.abort();
}
