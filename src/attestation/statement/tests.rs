use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const HEX: &str = "abababababababababababababababababababababababababababababababab";
const T: &str = "2021-08-06T17:50:50.52Z";

fn statement(kind: &str, predicate: &Value) -> String {
    json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": predicate,
        "subject": [{"name": "image", "digest": {"sha256": HEX}}]})
    .to_string()
}

fn predicate(kind: &str, predicate: &Value) -> Predicate {
    Statement::parse(statement(kind, predicate).as_bytes()).unwrap().predicate
}

#[test]
fn subjects() {
    let rows = [
        (json!([{"name": "a", "digest": {"sha256": HEX}}]), Ok(1)),
        (
            json!([{"digest": {"sha1": "ab", "sha256": HEX}}, {"name": "b", "digest": {"gitCommit": "ab"}}, {}]),
            Ok(1),
        ),
        (json!([{"digest": {"sha256": HEX}}, {"digest": {"sha256": HEX.replace("ab", "cd")}}]), Ok(2)),
        (json!([]), Err("no subject")),
        (json!([{"digest": {"sha512": HEX}}]), Err("no subject")),
        (json!([{"digest": {"sha256": HEX}}, {"digest": {"sha256": HEX.to_uppercase()}}]), Err("subject 1")),
        (json!([{"digest": {"sha256": format!("sha256:{HEX}")}}]), Err("subject 0")),
        (json!([{"digest": {"sha256": 5}}]), Err("invalid type")),
        (json!([{"digest": HEX}]), Err("invalid type")),
        (json!([[{"sha256": HEX}]]), Err("expected an object")),
        (json!({"digest": {"sha256": HEX}}), Err("invalid type")),
    ];
    for (subject, expected) in rows {
        let text =
            json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "t", "subject": subject});
        let read = Statement::parse(text.to_string().as_bytes());
        match (read, expected) {
            (Ok(statement), Ok(count)) => {
                assert_eq!(statement.subjects.len(), count, "{subject}");
                assert_eq!(statement.subjects[0].hex(), HEX);
                assert_eq!((statement.predicate_type.as_str(), statement.predicate), ("t", Predicate::Other));
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{subject} {error}"),
            (read, _) => panic!("{subject} gave {read:?}"),
        }
    }
}

#[test]
fn refused() {
    let good = statement("t", &json!({"a": {"b": [{"c": 1}]}}));
    assert!(Statement::parse(good.as_bytes()).is_ok());
    let rows = [
        (String::new(), "EOF"),
        ("[]".into(), "expected an object"),
        (format!("{good}x"), "trailing"),
        (good.replacen("\"_type\"", "\"_type\":5,\"_type\"", 1), "duplicate key `_type`"),
        (good.replacen("\"c\":1", "\"c\":1,\"\\u0063\":1", 1), "duplicate key `c`"),
        (good.replacen("\"name\"", "\"x\":1,\"x\":1,\"name\"", 1), "duplicate key `x`"),
        (good.replacen("Statement/v1", "Statement/v2", 1), "`_type` `https://in-toto.io/Statement/v2`"),
        (good.replacen("\"_type\"", "\"type\"", 1), "missing field `_type`"),
        (good.replacen("\"predicateType\":\"t\"", "\"predicateType\":5", 1), "invalid type"),
        (good.replacen("\"predicateType\":\"t\",", "", 1), "missing field `predicateType`"),
        ("[".repeat(100_000), "recursion"),
    ];
    for (text, part) in rows {
        let error = Statement::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{text:.200} gave {error:?}, which lacks {part:?}");
    }
    assert!(Statement::parse(b"{\"\xff\":1}").unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn provenance() {
    let builder = json!({"id": "https://b"});
    let git = json!({"uri": "git+https://g/r@refs/heads/main", "digest": {"sha1": "ab"}});
    let bucket = json!({"uri": "gs://s/x.tgz", "digest": {"sha256": HEX}});
    let https = json!({"uri": "https://g/r", "digest": {"gitCommit": "ab"}});
    let ended = json!({"buildFinishedOn": T});
    let git_uri = Some("git+https://g/r@refs/heads/main");
    let file = json!({"repository": "https://g/conf", "path": "cloudbuild.yaml", "ref": "refs/heads/main"});
    let run = json!({"builder": builder, "metadata": {"invocationId": "i", "finishedOn": T}});
    let rows = [
        ("v0.1", json!({"builder": builder}), None, false, false),
        (
            "v0.1",
            json!({"builder": builder, "metadata": ended, "materials": [bucket, https],
                "recipe": {"type": "t", "definedInMaterial": 1, "entryPoint": "cloudbuild.yaml"}}),
            Some("https://g/r"),
            true,
            true,
        ),
        (
            "v0.1",
            json!({"builder": builder, "recipe": {"type": "t", "entryPoint": ""}, "materials": [bucket, git]}),
            git_uri,
            false,
            false,
        ),
        ("v0.2", json!({"builder": builder, "buildType": "t", "materials": [bucket]}), None, false, false),
        (
            "v0.2",
            json!({"builder": builder, "metadata": ended, "materials": [git],
                "invocation": {"configSource": {"uri": "git+https://g/c", "digest": {}, "entryPoint": "b.yaml"}}}),
            Some("git+https://g/c"),
            true,
            true,
        ),
        (
            "v0.2",
            json!({"builder": builder, "invocation": {"configSource": {}}, "materials": [https], "metadata": null}),
            Some("https://g/r"),
            false,
            false,
        ),
        (
            "v1",
            json!({"runDetails": run, "buildDefinition": {"buildType": "t", "resolvedDependencies": [bucket, git],
                "externalParameters": {"buildConfigSource": file, "substitutions": {"a": [1]}}}}),
            Some("https://g/conf"),
            true,
            true,
        ),
        (
            "v1",
            json!({"runDetails": run, "buildDefinition": {"buildType": "t", "externalParameters": {"workflow": file}}}),
            Some("https://g/conf"),
            true,
            true,
        ),
        (
            "v1",
            json!({"runDetails": {"builder": builder}, "buildDefinition": {"buildType": "t",
                "externalParameters": {"source": {}}, "resolvedDependencies": [bucket, git]}}),
            git_uri,
            false,
            false,
        ),
    ];
    for (version, text, source, config_based, finished) in rows {
        let read = predicate(&format!("https://slsa.dev/provenance/{version}"), &text);
        let expected = Provenance {
            builder: "https://b".into(),
            source: source.map(str::to_owned),
            config_based,
            finished: finished.then(|| humantime::parse_rfc3339(T).unwrap()),
        };
        assert_eq!(read, Predicate::Provenance(expected), "{version} {text}");
    }
}

#[test]
fn scans() {
    let cosign = "https://cosign.sigstore.dev/attestation/vuln/v1";
    let in_toto = "https://in-toto.io/attestation/vulns/v0.2";
    let trivy = json!({"SchemaVersion": 2, "ArtifactName": "i", "Results": [{"Target": "a"}, {"Vulnerabilities": null},
        {"Vulnerabilities": [{"VulnerabilityID": "A", "Severity": "HIGH", "FixedVersion": "1.2", "x": {}},
            {"VulnerabilityID": "B", "Severity": "UNKNOWN", "FixedVersion": ""}]},
        {"Vulnerabilities": [{"VulnerabilityID": "C"}, {"VulnerabilityID": "D", "Severity": "low"}]}]});
    let fix = |state: &str| json!({"state": state, "versions": ["1"]});
    let grype = json!({"matches": [
        {"vulnerability": {"id": "A", "severity": "Negligible", "fix": fix("fixed")}, "artifact": {}},
        {"vulnerability": {"id": "B", "severity": "Medium", "fix": fix("not-fixed")}},
        {"vulnerability": {"id": "C", "severity": "Unknown", "fix": fix("wont-fix")}},
        {"vulnerability": {"id": "D", "fix": fix("unknown")}},
        {"vulnerability": {"id": "E", "severity": "Low"}}], "source": {}});
    let own = json!([
        {"id": "A", "severity": [{"method": "nvd", "score": "medium"}, {"method": "cvss_score", "score": "5.2"}]},
        {"id": "B", "severity": [{"method": "a", "score": "low"}, {"method": "b", "score": 7.0}], "annotations": []},
        {"id": "C", "severity": []},
        {"id": "D", "severity": [{"method": "v", "score": "CVSS:3.1/AV:N"}, {"method": "n", "score": "low"}]},
        {"id": "E"},
        {"vulnerability": {"id": "F", "severity": [{"score": "0.0"}]}}]);
    use Severity::{Critical, High, Low, Medium, Minimal};
    type Found<'a> = (&'a str, Severity, Option<bool>);
    let rows: &[(&str, Value, &[Found<'_>])] = &[
        (
            cosign,
            trivy.clone(),
            &[
                ("A", High, Some(true)),
                ("B", Critical, Some(false)),
                ("C", Critical, Some(false)),
                ("D", Low, Some(false)),
            ],
        ),
        ("https://cosign.sigstore.dev/attestation/vuln", json!({"Results": []}), &[]),
        (cosign, json!({"SchemaVersion": 2, "ArtifactName": "i"}), &[]),
        (cosign, json!({"matches": []}), &[]),
        (
            cosign,
            grype,
            &[
                ("A", Minimal, Some(true)),
                ("B", Medium, Some(false)),
                ("C", Critical, Some(false)),
                ("D", Critical, None),
                ("E", Low, None),
            ],
        ),
        (
            in_toto,
            own.clone(),
            &[
                ("A", Medium, None),
                ("B", High, None),
                ("C", Critical, None),
                ("D", Critical, None),
                ("E", Critical, None),
                ("F", Minimal, None),
            ],
        ),
        ("https://in-toto.io/attestation/vulns/v0.1", json!([]), &[]),
    ];
    for (kind, result, expected) in rows {
        let text = json!({"scanner": {"uri": "u", "result": result}, "metadata": {"scanFinishedOn": T}});
        let Predicate::Scan(scan) = predicate(kind, &text) else { panic!("{kind} {result}") };
        assert_eq!(scan.finished, humantime::parse_rfc3339(T).unwrap());
        let found: Vec<_> =
            scan.findings.iter().map(|one| (one.id.as_str(), one.severity, one.fixable)).collect();
        assert_eq!(found, *expected, "{result}");
    }
    let unreadable = [
        (cosign, json!({"SchemaVersion": 1})),
        (cosign, json!({"SchemaVersion": 2, "Results": [], "matches": []})),
        (cosign, json!({"runs": []})),
        (cosign, json!([])),
        (cosign, json!(null)),
        (cosign, json!({"Results": {}})),
        (cosign, json!({"Results": [{"Vulnerabilities": [{"Severity": "LOW"}]}]})),
        (cosign, json!({"matches": [{}]})),
        (cosign, own),
        (in_toto, trivy),
        (in_toto, json!([{"severity": []}])),
        (in_toto, json!([{"id": "A", "vulnerability": {"id": "B", "severity": []}}])),
        (in_toto, Value::Array(vec![json!({"id": "A"}); MAX_FINDINGS + 1])),
        (cosign, json!({"matches": vec![json!({"vulnerability": {"id": ""}}); MAX_FINDINGS + 1]})),
    ];
    for (kind, result) in unreadable {
        let text = json!({"scanner": {"result": result}, "metadata": {"scanFinishedOn": T}});
        assert!(
            matches!(predicate(kind, &text), Predicate::Unreadable(_) | Predicate::UnreadableScan(_)),
            "{kind} {result:.200}"
        );
    }
    for metadata in
        [json!(null), json!({}), json!({"scanFinishedOn": "yesterday"}), json!({"scanFinishedOn": 5})]
    {
        let text = json!({"scanner": {"result": {"matches": []}}, "metadata": metadata});
        assert!(matches!(predicate(cosign, &text), Predicate::UnreadableScan(_)), "{metadata}");
    }
}

#[test]
fn severities() {
    use Severity::{Critical, High, Low, Medium, Minimal};
    let rows = [
        ("NEGLIGIBLE", Minimal),
        ("none", Minimal),
        ("Minimal", Minimal),
        ("low", Low),
        ("Moderate", Medium),
        ("MEDIUM", Medium),
        ("Important", High),
        ("high", High),
        ("critical", Critical),
        ("UNKNOWN", Critical),
        ("", Critical),
        ("0", Minimal),
        ("0.1", Low),
        ("3.9", Low),
        ("4.0", Medium),
        ("6.9", Medium),
        ("7", High),
        ("8.9", High),
        ("9.0", Critical),
        ("10", Critical),
        ("11", Critical),
        ("-1", Critical),
        ("nan", Critical),
        ("-inf", Critical),
    ];
    for (text, severity) in rows {
        assert_eq!(Severity::read(text), severity, "{text}");
    }
    assert!(Minimal < Low && Low < Medium && Medium < High && High < Critical);
}

#[test]
fn what_says_no_or_cannot_be_read() {
    let vsa = "https://slsa.dev/verification_summary/v1";
    let test = "https://in-toto.io/attestation/test-result/v0.1";
    let v1 = "https://slsa.dev/provenance/v1";
    let rows = [
        (vsa, json!({"verificationResult": "PASSED"}), "other"),
        (vsa, json!({"verificationResult": "FAILED"}), "negative: the verification result is `FAILED`"),
        (vsa, json!({"verificationResult": "passed"}), "negative"),
        ("https://slsa.dev/verification_summary/v0.2", json!({"verification_result": "FAILED"}), "negative"),
        ("https://slsa.dev/verification_summary/v0.1", json!({"verification_result": "PASSED"}), "other"),
        (
            vsa,
            json!({"verificationResult": "PASSED", "verification_result": "FAILED"}),
            "unreadable: duplicate",
        ),
        (vsa, json!({"verificationResult": true}), "unreadable"),
        (vsa, json!({}), "unreadable"),
        (vsa, json!(null), "unreadable"),
        (vsa, json!(["PASSED"]), "unreadable"),
        ("https://slsa.dev/verification_summary/v2", json!({"verificationResult": "PASSED"}), "unreadable"),
        (test, json!({"result": "PASSED", "failedTests": []}), "other"),
        (test, json!({"result": "WARNED"}), "other"),
        (test, json!({"result": "FAILED"}), "negative: the test result is `FAILED`"),
        (test, json!({"result": "F\n"}), "negative: the test result is `F\u{fffd}`"),
        (test, json!({"results": "PASSED"}), "unreadable"),
        ("https://in-toto.io/attestation/test-result/v1", json!({"result": "PASSED"}), "unreadable"),
        (v1, json!({}), "unreadable: missing field"),
        (
            v1,
            json!({"runDetails": {"builder": {"id": "b"}}, "buildDefinition": {}}),
            "unreadable: missing field",
        ),
        (
            v1,
            json!({"runDetails": {"builder": {"id": "b"}, "metadata": {"finishedOn": "now"}},
                "buildDefinition": {"buildType": "t"}}),
            "unreadable: `finishedOn` is `now`",
        ),
        ("https://slsa.dev/provenance/v0.2", json!({"builder": {"id": ""}}), "unreadable: `builder.id`"),
        ("https://slsa.dev/provenance/v0.2", json!({"builder": "b"}), "unreadable"),
        (
            "https://slsa.dev/provenance/v0.1",
            json!({"builder": {"id": "b"}, "recipe": {"definedInMaterial": 7}}),
            "unreadable: there is no material 7",
        ),
        ("https://slsa.dev/provenance/v3", json!({}), "unreadable: predicate type"),
        ("https://spdx.dev/Document", json!({}), "other"),
        ("https://slsa.dev/provenance", json!({}), "unreadable: predicate type"),
        ("https://openvex.dev/ns/v0.2.0", json!({}), "unreadable: predicate type"),
        ("HTTPS://slsa.dev/verification_summary/", json!({}), "unreadable: predicate type"),
        ("", json!(5), "other"),
    ];
    for (kind, text, expected) in rows {
        let found = match predicate(kind, &text) {
            Predicate::Negative(why) => format!("negative: {why}"),
            Predicate::Unreadable(why) | Predicate::UnreadableScan(why) => format!("unreadable: {why}"),
            Predicate::Other => "other".into(),
            read => format!("{read:?}"),
        };
        assert!(found.starts_with(expected), "{kind} {text} gave {found:?}, not {expected:?}");
    }
}

#[test]
fn times() {
    let seconds = |text: &str| {
        let time = time("t", text).ok()?;
        Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
    };
    let rows = [
        ("1970-01-02T00:00:00Z", Some(86_400)),
        ("1970-01-02T00:00:00.999999999Z", Some(86_400)),
        ("1970-01-02T00:00:00+00:00", Some(86_400)),
        ("1970-01-02T02:00:00+02:00", Some(86_400)),
        ("1970-01-01T18:30:00.5-05:30", Some(86_400)),
        ("1970-01-01T00:00:00", None),
        ("1970-01-01 00:00:00Z", None),
        ("1970-01-01T00:00:00+24:00", None),
        ("1970-01-01T00:00:00+0a:00", None),
        ("1970-01-01T00:00:00Z+00:00", None),
        ("1970-01-01T00:00:00+00:00Z", None),
        ("1970-01-01T00:00:00+00:00+00:00", None),
        ("1970-01-01T00:00:00++1:00", None),
        ("1970-01-01T00:00:00+01:00:00", None),
        ("1970-01-01T00:00:00ZZ", None),
        ("1970-01-01T00:00:00+02:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("+00:00", None),
        ("é00:00", None),
        ("", None),
    ];
    for (text, expected) in rows {
        assert_eq!(seconds(text), expected, "{text}");
    }
}

proptest! {
    /// Whatever is changed or cut, a parser answers.
    #[test]
    fn spoilt_documents_are_refused_or_read(
        which in 0usize..4,
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        end in any::<proptest::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let scan = |result| json!({"scanner": {"result": result}, "metadata": {"scanFinishedOn": T}});
        let mut bytes = [
            statement("https://slsa.dev/provenance/v1", &json!({"runDetails": {"builder": {"id": "b"},
                "metadata": {"finishedOn": T}}, "buildDefinition": {"buildType": "t", "externalParameters": {},
                "resolvedDependencies": [{"uri": "git+a", "digest": {"sha1": "a"}}]}})),
            statement("https://cosign.sigstore.dev/attestation/vuln/v1", &scan(json!({"matches": [
                {"vulnerability": {"id": "A", "severity": "Low", "fix": {"state": "fixed"}}}]}))),
            statement("https://in-toto.io/attestation/vulns/v0.2", &scan(json!([
                {"id": "A", "severity": [{"method": "m", "score": "5.2"}]}]))),
            statement("https://slsa.dev/verification_summary/v1", &json!({"verificationResult": "PASSED"})),
        ][which].clone().into_bytes();
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let _ = Statement::parse(&bytes);
    }
}
