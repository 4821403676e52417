use serde_json::{Value, json};

use super::*;
use crate::policy::bundle;
use crate::policy::bundle::tests::{TestKey, at};

pub(crate) const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A grant for [`A`] in `shop`, from noon for four hours.
pub(crate) fn grant(serial: &str) -> Value {
    json!({"version": 1, "serial": serial, "issued": "2027-03-01T12:00:00Z", "expires": "2027-03-01T16:00:00Z",
        "digests": [A], "namespaces": ["shop"], "reason": "the signer is down", "ticket": "INC-42"})
}

pub(crate) fn sealed(key: &TestKey, payload: &Value) -> String {
    key.seal_as(&GRANT, payload.to_string().as_bytes())
}

fn verify(envelope: &str) -> Result<Word, BreakGlassError> {
    Word::verify(envelope.as_bytes(), &[TestKey::new(1).public()])
}

fn read(payload: &Value) -> Arc<Grant> {
    match verify(&sealed(&TestKey::new(1), payload)).unwrap() {
        Word::Grant(grant) => grant,
        Word::Revocation(_) => panic!("a revocation"),
    }
}

#[test]
fn a_grant_is_what_it_says() {
    let found = read(&grant("one"));
    assert_eq!(
        (found.serial().as_str(), found.reason(), found.ticket()),
        ("one", "the signer is down", Some("INC-42"))
    );
    assert_eq!(found.signer(), TestKey::new(1).public().id());
    assert_eq!(found.digests().map(|digest| digest.to_string()).collect::<Vec<_>>(), [A]);
    assert_eq!(found.not_before(), at("2027-03-01T12:00:00Z"));
    let phases = [
        ("2027-03-01T11:59:59Z", Phase::NotYet),
        ("2027-03-01T12:00:00Z", Phase::InForce),
        ("2027-03-01T15:59:59Z", Phase::InForce),
        ("2027-03-01T16:00:00Z", Phase::Expired),
    ];
    for (now, phase) in phases {
        assert_eq!(found.phase(at(now)), phase, "{now}");
    }
    let covered = [Some("shop"), Some("other"), None].map(|namespace| found.covers(namespace));
    assert_eq!(covered, [true, false, false]);
    let mut anywhere = grant("two");
    anywhere.as_object_mut().unwrap().remove("namespaces");
    anywhere["anyNamespace"] = true.into();
    let anywhere = read(&anywhere);
    assert!(anywhere.covers(None) && anywhere.covers(Some("x")));
    assert!(found.within(Duration::from_secs(4 * 3600)).is_ok());
    let long = found.within(Duration::from_secs(3600)).unwrap_err().to_string();
    assert!(long.contains("it holds for 4h, longer than the 1h"), "{long}");
}

#[test]
fn clusters_and_nodes_narrow_it() {
    let mut narrow = grant("one");
    narrow["clusters"] = json!(["us-central1-a.prod"]);
    let of_cluster = read(&narrow);
    narrow["nodes"] = json!(["node-1"]);
    let of_node = read(&narrow);
    let rows = [
        (Some("us-central1-a.prod"), "node-1", true, true),
        (Some("us-central1-a.prod"), "node-2", true, false),
        (Some("us-central1-a.test"), "node-1", false, false),
        (None, "node-1", false, false),
    ];
    for (cluster, node, in_cluster, on_node) in rows {
        assert_eq!((of_cluster.is_for(cluster, node), of_node.is_for(cluster, node)), (in_cluster, on_node));
    }
    assert!(read(&grant("one")).is_for(None, "any"));
}

#[test]
fn only_a_break_glass_key_over_that_very_type() {
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let payload = grant("one").to_string();
    let as_type = |seal: &Seal, payload_type: &str| {
        let mut envelope: Value = serde_json::from_str(&key.seal_as(seal, payload.as_bytes())).unwrap();
        envelope["payloadType"] = payload_type.into();
        envelope.to_string()
    };
    assert!(verify(&as_type(&GRANT, GRANT.payload_type)).is_ok());
    let rows = [
        // Of whom it is: an attestor's, a bundle's or anybody's, but not one of the node's.
        (stranger.seal_as(&GRANT, payload.as_bytes()), "it is not signed by a break-glass key of this node"),
        // A bundle that a break-glass key has signed, as it is and under another name.
        (key.seal(payload.as_bytes()), "its payloadType is `application/vnd.binauthd.policy-bundle.v1+json`"),
        (as_type(&bundle::SEAL, GRANT.payload_type), "it is not signed by a break-glass key"),
        (as_type(&REVOCATION, GRANT.payload_type), "it is not signed by a break-glass key"),
        (as_type(&GRANT, REVOCATION.payload_type), "it is not signed by a break-glass key"),
        (as_type(&GRANT, "application/vnd.in-toto+json"), "its payloadType is `application/vnd.in-toto+json`"),
        // A signature over the payload alone, as attestations may have.
        (
            json!({"payloadType": GRANT.payload_type, "payload": crate::attestation::base64::encode(payload.as_bytes()),
                "signatures": []}).to_string(),
            "it has no signature",
        ),
        (payload.clone(), "it is not a DSSE envelope"),
        (String::new(), "the document is empty"),
        (" ".repeat(MAX_BYTES + 1), "it has 65537 bytes, more than the 65536 allowed"),
    ];
    for (envelope, part) in rows {
        let error = verify(&envelope).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    let nobody = Word::verify(sealed(&key, &grant("one")).as_bytes(), &[]).unwrap_err().to_string();
    assert_eq!(nobody, "there is no break-glass key to check it with");
    // And the other way round: a grant is no bundle.
    let terms = bundle::Terms { keys: &[key.public()], project: "p", options: Default::default() };
    assert!(bundle::Bundle::verify_kept(sealed(&key, &grant("one")).as_bytes(), terms).is_err());
}

#[test]
fn refused_by_name() {
    let change = |member: &str, value: Value| {
        let mut payload = grant("one");
        payload[member] = value;
        sealed(&TestKey::new(1), &payload)
    };
    let without = |member: &str| {
        let mut payload = grant("one");
        payload.as_object_mut().unwrap().remove(member);
        sealed(&TestKey::new(1), &payload)
    };
    let long = "x".repeat(MAX_TEXT + 1);
    let rows = [
        (change("version", json!(2)), "its version is 2: only 1 is known here"),
        (change("colour", json!(1)), "unknown field `colour`"),
        (change("serial", json!("")), "`` is not a serial"),
        (change("serial", json!("../x")), "`../x` is not a serial"),
        (change("serial", json!(".x")), "is not a serial"),
        (change("serial", json!("x".repeat(65))), "is not a serial"),
        (change("issued", json!("now")), "issued: `now` is not a time of RFC 3339"),
        (change("expires", json!("9999-12-31T23:59:59-01:00")), "is not a time of RFC 3339"),
        (change("expires", json!("2027-03-01T12:00:00Z")), "notBefore must be before expires"),
        (change("expires", json!("2027-03-01T11:00:00Z")), "notBefore must be before expires"),
        (change("notBefore", json!("2027-03-01T11:00:00Z")), "issued must be before notBefore"),
        (change("digests", json!([])), "digests: is empty"),
        (change("digests", json!([A, "latest"])), "digests[1]: `latest` is not a digest"),
        (
            change("digests", json!(vec![A; MAX_ENTRIES + 1])),
            "digests: 257 entries, more than the 256 allowed",
        ),
        (change("anyNamespace", json!(true)), "one of them, and not both"),
        (without("namespaces"), "one of them, and not both"),
        (change("namespaces", json!(["*"])), "namespaces: `*` is not the name of one"),
        (change("namespaces", json!(["Shop"])), "namespaces: `Shop` is not the name of one"),
        (change("clusters", json!(["prod"])), "clusters: `prod` is not the name of one"),
        (change("nodes", json!(["node 1"])), "nodes: `node 1` is not the name of one"),
        (change("reason", json!("  ")), "reason: is empty"),
        (without("reason"), "missing field `reason`"),
        (without("expires"), "missing field `expires`"),
        (change("ticket", json!(long)), "ticket: 1025 bytes, more than the 1024 allowed"),
        (TestKey::new(1).seal_as(&GRANT, b"[]"), "expected an object"),
    ];
    for (envelope, part) in rows {
        let error = verify(&envelope).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn a_revocation_lists_serials() {
    let serials = ["b", "a", "b"].map(|serial| serial.parse().unwrap());
    let document = RevocationDocument::new(&serials, Some("stolen".into()), at("2027-03-01T12:00:00Z"));
    let envelope = TestKey::new(1).seal_as(&REVOCATION, &document.to_bytes().unwrap());
    let Word::Revocation(revocation) = verify(&envelope).unwrap() else { panic!("a grant") };
    assert_eq!(revocation.serials.iter().map(Serial::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        (revocation.reason.as_deref(), revocation.issued),
        (Some("stolen"), at("2027-03-01T12:00:00Z"))
    );
    let none = RevocationDocument::new(&[], None, at("2027-03-01T12:00:00Z")).to_bytes().unwrap_err();
    assert_eq!(none.to_string(), "serials: is empty");
}

#[test]
fn what_a_decision_may_ask() {
    let mut later = grant("later");
    later["notBefore"] = "2027-03-01T15:00:00Z".into();
    later["expires"] = "2027-03-01T18:00:00Z".into();
    later["digests"] = json!([A, B]);
    let grants = BreakGlass::new(false, vec![read(&grant("one")), read(&later)]);
    let [a, b]: [crate::image::Digest; 2] = [A, B].map(|text| text.parse().unwrap());
    let by = |digests: &[crate::image::Digest], namespace: Option<&str>, now: &str| {
        let found = grants.covering(digests.iter().copied(), namespace, at(now));
        found.map(|grant| grant.serial().as_str().to_owned()).unwrap_or_default()
    };
    let rows = [
        (&[a][..], Some("shop"), "2027-03-01T13:00:00Z", "one"),
        (&[a], Some("shop"), "2027-03-01T15:30:00Z", "later"),
        (&[b, a], Some("shop"), "2027-03-01T13:00:00Z", "one"),
        (&[b], Some("shop"), "2027-03-01T13:00:00Z", ""),
        (&[b], Some("shop"), "2027-03-01T17:59:59Z", "later"),
        (&[a, b], Some("shop"), "2027-03-01T18:00:00Z", ""),
        (&[a], Some("other"), "2027-03-01T13:00:00Z", ""),
        (&[a], None, "2027-03-01T13:00:00Z", ""),
        (&[], Some("shop"), "2027-03-01T13:00:00Z", ""),
    ];
    for (digests, namespace, now, serial) in rows {
        assert_eq!(by(digests, namespace, now), serial, "{digests:?} {namespace:?} {now}");
    }
    assert!(grants.somewhere([a].into_iter(), at("2027-03-01T13:00:00Z")).is_some());
    let mut now = at("2027-03-01T00:00:00Z");
    let mut changes = Vec::new();
    let mut versions = vec![grants.version(now)];
    while let Some(next) = grants.next_change(now) {
        now = next;
        changes.push(humantime::format_rfc3339_seconds(now).to_string());
        versions.push(grants.version(now));
    }
    let hours: Vec<_> = changes.iter().map(|time| &time[11..13]).collect();
    assert_eq!(hours, ["12", "15", "16", "18"]);
    assert!(versions.windows(2).all(|two| two[0] != two[1]) && versions.last().unwrap().is_none());
    assert!(BreakGlass::default().is_empty() && !BreakGlass::new(true, Vec::new()).is_empty());
}
