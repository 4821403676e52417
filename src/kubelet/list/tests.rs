use serde_json::{Value, json};

use super::*;

const HASH_OF: &str = "0123456789abcdef0123456789abcdef";

fn api() -> Reporter {
    Reporter::ApiServer { node: "n1".into() }
}

fn pod(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "8b6a3d5e-1", "labels": {"a": "b"}},
        "spec": {
            "serviceAccountName": "web", "serviceAccount": "web", "nodeName": "n1", "hostPID": true,
            "containers": [{"name": "a", "image": "r.io/a:1", "ports": [{"containerPort": 1}]}],
            "initContainers": [{"name": "b", "image": "b", "restartPolicy": "Always"}],
            "ephemeralContainers": [{"name": "c", "image": "sha256:x", "targetContainerName": "a"}],
            "volumes": [{"name": "v", "image": {"reference": "r.io/v:1"}}, {"name": "w", "emptyDir": {}}]},
        "status": {"phase": "Running"}});
    change(&mut pod);
    pod
}

fn read(pod: &Value, reporter: &Reporter) -> Result<Listed, String> {
    let body = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod]});
    let mut list = parse(body.to_string().as_bytes(), reporter).unwrap();
    assert_eq!(list.pods.len() + list.left_out, 1);
    list.pods.pop().ok_or_else(|| list.causes.pop().unwrap())
}

fn annotated(annotations: Value) -> Value {
    pod(|pod| pod["metadata"]["annotations"] = annotations)
}

#[test]
fn what_is_kept() {
    for reporter in [Reporter::Kubelet, api()] {
        let listed = read(&pod(|_| ()), &reporter).unwrap();
        let container =
            |name: &str, image: &str, kind| Container { name: name.into(), image: image.into(), kind };
        let expected = PodFacts {
            namespace: "shop".into(),
            name: "web-1".into(),
            service_account: "web".into(),
            host_pid: true,
            static_pod: false,
            containers: vec![
                container("a", "r.io/a:1", ContainerKind::Regular),
                container("b", "b", ContainerKind::Init),
                container("c", "sha256:x", ContainerKind::Ephemeral),
            ],
            image_volumes: vec![ImageVolume { name: "v".into(), reference: "r.io/v:1".into() }],
        };
        assert_eq!((&*listed.facts, listed.uids.as_slice()), (&expected, &["8b6a3d5e-1".to_owned()][..]));
        assert!(!listed.finished);
    }
    let least = json!({"metadata": {"name": "a", "namespace": "b", "uid": "c"}, "spec": {"containers": []}});
    assert_eq!(read(&least, &Reporter::Kubelet).unwrap().facts.service_account, "");
}

#[test]
fn static_pods() {
    let file = json!({"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": HASH_OF});
    let mirror = json!({"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": HASH_OF,
        "kubernetes.io/config.mirror": HASH_OF});
    const UID: &str = "8b6a3d5e-1";
    type Expected = Result<(bool, &'static [&'static str]), &'static str>;
    let rows: &[(Value, Reporter, Expected)] = &[
        (json!({"kubernetes.io/config.source": "api"}), Reporter::Kubelet, Ok((false, &[UID]))),
        (json!({"kubernetes.io/config.source": "http"}), Reporter::Kubelet, Ok((true, &[UID]))),
        (file.clone(), Reporter::Kubelet, Ok((true, &[UID]))),
        // Anybody may write these into a pod of their own.
        (file, api(), Ok((false, &[UID]))),
        (json!({"kubernetes.io/config.mirror": HASH_OF}), Reporter::Kubelet, Ok((false, &[UID]))),
        (mirror, api(), Ok((true, &[UID, HASH_OF]))),
        (json!({"kubernetes.io/config.mirror": HASH_OF}), api(), Err("mirrors")),
        (
            json!({"kubernetes.io/config.mirror": UID, "kubernetes.io/config.hash": UID}),
            api(),
            Err("mirrors"),
        ),
    ];
    for (annotations, reporter, expected) in rows {
        let found = read(&annotated(annotations.clone()), reporter);
        match (found, expected) {
            (Ok(listed), Ok((static_pod, uids))) => {
                assert_eq!(
                    (listed.facts.static_pod, listed.uids.as_slice()),
                    (*static_pod, &uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>()[..]),
                    "{annotations}"
                );
                // What a manifest says of service accounts is not Kubernetes' word.
                assert_eq!(listed.facts.service_account, if *static_pod { "" } else { "web" });
            }
            (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
            (found, _) => panic!("{annotations} gave {found:?}"),
        }
    }
}

#[test]
fn pods_that_are_left_out() {
    type Change = fn(&mut Value);
    let rows: &[(Change, &str)] = &[
        (|pod| pod["metadata"]["namespace"] = json!("Shop"), "none of Kubernetes"),
        (|pod| pod["metadata"]["namespace"] = json!(""), "none of Kubernetes"),
        (|pod| pod["metadata"]["name"] = json!("a/b"), "none of Kubernetes"),
        (|pod| pod["metadata"]["name"] = json!("a\u{202e}b"), "a\u{fffd}b"),
        (|pod| pod["metadata"]["uid"] = json!(""), "uid"),
        (|pod| pod["metadata"]["uid"] = json!("a/b"), "uid"),
        (|pod| pod["metadata"]["uid"] = json!("a".repeat(129)), "uid"),
        (|pod| pod["metadata"]["uid"] = json!(5), "cannot be read"),
        (|pod| pod["metadata"] = json!(["web-1", "shop", "u", null]), "cannot be read"),
        (
            |pod| {
                (pod["spec"]["serviceAccountName"], pod["spec"]["serviceAccount"]) =
                    (json!("a:b"), json!("a:b"))
            },
            "service account is no name",
        ),
        (|pod| pod["spec"]["serviceAccount"] = json!("admin"), "differ"),
        (|pod| pod["spec"]["serviceAccountName"] = json!(null), "differ"),
        (|pod| pod["spec"]["nodeName"] = json!("n2"), "another node's"),
        (|pod| pod["spec"]["containers"][0]["name"] = json!("b"), "two containers `b`"),
        (|pod| pod["spec"]["containers"][0]["name"] = json!("B"), "container"),
        (|pod| pod["spec"]["containers"][0]["image"] = json!("a".repeat(4_097)), "4097 bytes"),
        (|pod| pod["spec"]["volumes"][0]["image"]["reference"] = json!("a".repeat(4_097)), "image volume"),
        (|pod| pod["spec"]["unknown"] = json!("a".repeat(MAX_POD)), "more than the 2097152"),
        (
            |pod| {
                let many = (0..4_096).map(|n| json!({"name": format!("m{n}")})).collect::<Vec<_>>();
                pod["spec"]["containers"] = json!(many);
            },
            "4098 containers",
        ),
    ];
    for (change, part) in rows {
        let cause = read(&pod(change), &api()).unwrap_err();
        assert!(cause.contains(part), "{cause:?} lacks {part:?}");
    }
    let twice = pod(|_| ()).to_string().replacen("\"uid\":", "\"uid\":\"other\",\"uid\":", 1);
    let body = format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{twice},{}]}}"#, pod(|_| ()));
    let list = parse(body.as_bytes(), &api()).unwrap();
    assert_eq!((list.pods.len(), list.left_out), (1, 1));
    assert!(list.causes[0].contains("duplicate field `uid`"), "{:?}", list.causes);
}

#[test]
fn lists() {
    let rows = [
        (r#"{"kind":"PodList","apiVersion":"v1","items":null}"#.to_owned(), Ok(None)),
        (r#"{"kind":"PodList","apiVersion":"v1","metadata":{"continue":""},"items":[]}"#.into(), Ok(None)),
        (
            r#"{"kind":"PodList","apiVersion":"v1","metadata":{"continue":"x"},"items":[]}"#.into(),
            Ok(Some("x")),
        ),
        (r#"{"kind":"Status","apiVersion":"v1","message":"no"}"#.into(), Err("v1 Status")),
        (r#"{"kind":"PodList","apiVersion":"v2","items":[]}"#.into(), Err("v2 PodList")),
        (r#"{"kind":"PodList","kind":"PodList","apiVersion":"v1","items":[]}"#.into(), Err("duplicate")),
        (r#"{"kind":"PodList","apiVersion":"v1","items":[{}]} x"#.into(), Err("trailing")),
        (r#"{"kind":"PodList","apiVersion":"v1","items":[{}"#.into(), Err("EOF")),
        (String::new(), Err("EOF")),
        ("<html>".into(), Err("expected value")),
        (
            format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{}]}}"#, ["0"; 10_001].join(",")),
            Err("10001 pods"),
        ),
        (format!(r#"{{"kind":"PodList","apiVersion":"v1","x":{}"#, "[".repeat(1_000_000)), Err("")),
    ];
    for (body, expected) in rows {
        match (parse(body.as_bytes(), &Reporter::Kubelet), expected) {
            (Ok(list), Ok(next)) => assert_eq!((list.next.as_deref(), list.pods.len()), (next, 0)),
            (Err(cause), Err(part)) => assert!(cause.contains(part), "{cause:?} lacks {part:?}"),
            (found, _) => panic!("{body} gave {found:?}"),
        }
    }
    let many = vec!["[]"; 20].join(",");
    let list =
        parse(format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{many}]}}"#).as_bytes(), &api())
            .unwrap();
    assert_eq!((list.left_out, list.causes.len()), (20, MAX_CAUSES));
}
