"""DSSE envelopes: simple-signing payloads and in-toto statements."""

from .shapes import *

V01 = "https://in-toto.io/Statement/v0.1"
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
VSA = "https://slsa.dev/verification_summary/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
COSIGN_VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"
OTHER_TYPE = "https://acme.example/attestation/review/v1"


def topic():
    t = Topic("dsse")
    holds = allow(attestors=says("ATTESTED", keyId=signing.key_id("p256"), digest=D))
    wrong = deny("WRONG_PAYLOAD", attestors=says("WRONG_PAYLOAD"))
    review = statement(OTHER_TYPE, {"result": "reviewed"})
    plain = envelope(review)
    p = signing.key_id("p256")

    good = [
        ("simple-signing", dsse(envelope(gcloud(), PAE_TYPE)), "4.7 (e): a simple-signing payload"),
        ("statement-v1", dsse(plain), "4.7 (e)"),
        ("statement-v0.1", dsse(envelope(statement(OTHER_TYPE, {}, kind=V01))), "4.7 (e)"),
        ("deprecated-place", dsse(plain, wrapper=True), "4.7 (e): dsseAttestation.envelope"),
        ("keyid-matches", dsse(envelope(review, keyid=p)), "4.7 (e)"),
        ("keyid-empty", dsse(envelope(review, keyid="")), "4.7 (e): cosign writes it empty"),
        ("url-safe", dsse(envelope(review, encode=b64url)), "4.7 (e): either alphabet"),
        ("several-subjects", dsse(envelope(statement(OTHER_TYPE, {}, [OTHER, D, THIRD]))), "our digest is among them"),
        ("several-algorithms", dsse(envelope(statement(OTHER_TYPE, {}, subject=[{"name": "app", "digest": {"sha512": "ab" * 64, "sha256": D[7:]}}]))), "a digest set with other algorithms"),
        ("subject-without-name", dsse(envelope(statement(OTHER_TYPE, {}, subject=[{"digest": {"sha256": D[7:]}}]))), "a subject is its digest"),
        ("cosign-sign", dsse(envelope(statement(COSIGN_SIGN, {}))), "cosign v3 signs a statement"),
        ("predicate-missing", dsse(envelope(compact({"_type": V01, "subject": [{"name": "a", "digest": {"sha256": D[7:]}}], "predicateType": OTHER_TYPE}))), "in-toto: the predicate is optional"),
        ("predicate-null", dsse(envelope(statement(OTHER_TYPE, None))), "in-toto: the predicate is optional"),
        ("vsa-passed", dsse(envelope(statement(VSA, vsa("PASSED")))), "a summary that says PASSED"),
        ("kind-missing", {name: value for name, value in dsse(plain).items() if name != "kind"}, "8, Grafeas 5"),
        ("second-signature", dsse({**plain, "signatures": [{"sig": b64(b"x")}, *plain["signatures"]]}), "OR over signatures"),
    ]
    for name, found, why in good:
        t.attested(f"dsse-{name}", why, holds, [found], open=name in ("predicate-missing", "predicate-null", "keyid-empty"))
    bad = [
        ("another-digest", statement(OTHER_TYPE, {}, [OTHER]), "our digest is not among the subjects"),
        ("no-subjects", statement(OTHER_TYPE, {}, subject=[]), "nothing is attested"),
        ("subject-upper-case", statement(OTHER_TYPE, {}, subject=[{"name": "a", "digest": {"sha256": D[7:].upper()}}]), "lower-case digits"),
        ("subject-with-prefix", statement(OTHER_TYPE, {}, subject=[{"name": "a", "digest": {"sha256": D}}]), "hex only"),
        ("subject-other-algorithm", statement(OTHER_TYPE, {}, subject=[{"name": "a", "digest": {"sha512": D[7:]}}]), "sha256 only"),
        ("digest-in-the-name", statement(OTHER_TYPE, {}, subject=[{"name": IMAGE, "digest": {"sha256": OTHER[7:]}}]), "a name is no digest"),
        ("statement-of-another-version", statement(OTHER_TYPE, {}, kind="https://in-toto.io/Statement/v9"), "an unknown `_type`"),
        ("no-statement", compact({"hello": "world"}), "not a statement"), ("not-json", b"hello world", "not a statement"),
        ("simple-signing-as-statement", gcloud(), "a simple-signing payload under the type of statements"),
        ("duplicate-subject", statement(OTHER_TYPE, {})[:-1] + b',"subject":[]}', "duplicates"),
        ("scan", statement(COSIGN_VULN, scan()), "the result of a scan is no approval"),
        ("scan-with-findings", statement(COSIGN_VULN, scan("CRITICAL")), "the result of a scan is no approval"),
        ("vsa-failed", statement(VSA, vsa("FAILED")), "a summary that says FAILED"),
        ("test-failed", statement(TEST_RESULT, {"result": "FAILED", "configuration": []}), "a test that failed"),
    ]
    for name, payload, why in bad:
        t.attested(f"dsse-{name}", why, wrong, [dsse(envelope(payload))])
    t.attested("dsse-statement-as-simple-signing", "a statement under the type of simple signing", wrong, [dsse(envelope(review, PAE_TYPE))])
    t.attested("dsse-simple-signing-other-digest", "5", wrong, [dsse(envelope(gcloud(OTHER), PAE_TYPE))])
    t.attested("dsse-type-not-configured", "a payload type nobody configured", wrong, [dsse(envelope(gcloud(), "application/x"))], open=True)
    t.attested("dsse-type-configured", "a simple-signing type that is configured", holds, [dsse(envelope(gcloud(), "application/x"))], options={"dsseTypes": ["application/x"]})
    t.attested("dsse-type-exchanged", "the type is part of what is signed", deny("BAD_SIGNATURE"), [dsse({**envelope(review, "application/x"), "payloadType": IN_TOTO})])
    t.attested("dsse-raw-signature", "4.7 (e): over the PAE, never over the payload", deny("BAD_SIGNATURE"), [dsse(envelope(review, signed=review))])
    t.attested("dsse-wrong-key", "signed by another key, which no id names", deny("BAD_SIGNATURE"), [dsse(envelope(review, key="p256-b"))])
    t.attested("dsse-wrong-key-under-our-id", "signed by another key under our id", deny("BAD_SIGNATURE"), [dsse(envelope(review, key="p256-b", keyid=p))])
    t.attested("dsse-keyid-unknown", "4.7 (e): an id is an unsigned hint; the key verifies", holds, [dsse(envelope(review, keyid="somebody"))], open=True)
    t.attested("dsse-keyid-of-another-key", "the id of a key of the attestor selects that key", deny("BAD_SIGNATURE"),
               [dsse(envelope(review, keyid=signing.key_id("p384")))], attestors=[attestor("built-by-ci", [pkix("p256", P256), pkix("p384", "ECDSA_P384_SHA384")])], open=True)
    t.attested("dsse-keyid-absent-two-keys", "no id: every key is tried", allow(attestors=says("ATTESTED", keyId=signing.key_id("p384"))),
               [dsse(envelope(review, key="p384", algorithm="ECDSA_P384_SHA384"))],
               attestors=[attestor("built-by-ci", [pkix("p256", P256), pkix("p384", "ECDSA_P384_SHA384"), pkix("rsa2048", "RSA_PSS_2048_SHA256")])])
    t.attested("dsse-no-signatures", "nobody signed", deny("NO_ATTESTATION"), [dsse({**plain, "signatures": []})])
    t.attested("dsse-sig-not-base64", "no signature", deny("MALFORMED_SIGNATURE"), [dsse({**plain, "signatures": [{"sig": "%", "keyid": p}]})], open=True)
    t.attested("dsse-payload-not-base64", "nothing to verify", deny("NO_ATTESTATION"), [dsse({**plain, "payload": "%"})], open=True)
    t.attested("dsse-envelope-null", "no envelope", deny("NO_ATTESTATION"), [dsse(None)])
    t.attested("dsse-foreign-note", "5: of this attestor's note only", deny("NO_ATTESTATION"), [dsse(plain, note="scanned")])
    # The decoded copy beside the envelope is nobody's word.
    lying = {"_type": V01, "subject": [{"name": "a", "digest": {"sha256": D[7:]}}], "predicateType": OTHER_TYPE}
    away = envelope(statement(OTHER_TYPE, {}, [OTHER]))
    t.attested("dsse-lying-copy", "4.7 (e): dsseAttestation.statement is unsigned", wrong,
               [{**dsse(away, wrapper=True), "dsseAttestation": {"envelope": away, "statement": lying}}])
    t.attested("dsse-copy-alone", "4.7 (e): a statement without an envelope", deny("NO_ATTESTATION"), [{**dsse(away), "envelope": None, "dsseAttestation": {"statement": lying}}])
    t.attested("dsse-copy-says-another-digest", "4.7 (e): the copy is not looked at", holds,
               [{**dsse(plain), "envelope": None, "dsseAttestation": {"envelope": plain, "statement": {**lying, "subject": []}}}])
    t.attested("dsse-both-places", "4.7 (e): Occurrence.envelope is preferred", holds, [{**dsse(plain), "dsseAttestation": {"envelope": away}}], open=True)
    v1beta1 = {"name": "projects/acme-att/occurrences/1", "resource": {"uri": f"https://{IMAGE}"}, "noteName": note_name("built-by-ci"), "envelope": plain}
    t.attested("dsse-v1beta1", "4.3: OSS Grafeas has the envelope in v1beta1", holds, [v1beta1])
    # Types an attestor may be narrowed to
    narrowed = [ci(binauthdPredicateTypes=[COSIGN_SIGN])]
    t.attested("dsse-predicate-type-listed", "binauthdPredicateTypes lists it", holds, [dsse(envelope(statement(COSIGN_SIGN, {})))], attestors=narrowed)
    t.attested("dsse-predicate-type-not-listed", "binauthdPredicateTypes does not list it", wrong, [dsse(plain)], attestors=narrowed)
    t.attested("dsse-predicate-type-prefix", "types are compared whole", wrong, [dsse(envelope(statement(COSIGN_SIGN + "2", {})))], attestors=narrowed)
    t.attested("dsse-predicate-types-scan-listed", "a scan is no approval, whatever is listed", wrong, [dsse(envelope(statement(COSIGN_VULN, scan())))],
               attestors=[ci(binauthdPredicateTypes=[COSIGN_VULN])], open=True)
    t.attested("dsse-predicate-types-and-simple-signing", "the list is about statements", allow(), [occurrence()], attestors=narrowed, open=True)
    t.attested("dsse-pgp", "the PAE in an OpenPGP message", deny("MALFORMED_SIGNATURE"),
               [dsse({**plain, "signatures": [{"sig": b64(openpgp.message("pgp-rsa", pae(review, IN_TOTO))), "keyid": openpgp.fingerprint("pgp-rsa")}]})],
               attestors=[attestor("built-by-ci", [pgp("pgp-rsa")])], open=True)
    return t


def vsa(result):
    return {"verifier": {"id": "https://acme.example/verifier"}, "timeVerified": "2026-11-20T00:00:00Z", "resourceUri": REPOSITORY,
            "policy": {"uri": "https://acme.example/policy"}, "verificationResult": result, "verifiedLevels": ["SLSA_BUILD_LEVEL_3"] if result == "PASSED" else []}


def scan(*severities, finished="2026-11-24T00:00:00Z", fixed=None):
    """A scan as cosign carries it, with what trivy found."""
    found = [{"VulnerabilityID": f"CVE-2026-{1000 + n}", "PkgName": "libx", "InstalledVersion": "1", "Severity": severity}
             | ({"FixedVersion": "2"} if fixed else {}) for n, severity in enumerate(severities)]
    return {"invocation": {"uri": "", "event_id": "", "builder.id": ""},
            "scanner": {"uri": "pkg:github/aquasecurity/trivy@v0.60.0", "version": "0.60.0", "db": {"uri": "", "version": ""},
                        "result": {"SchemaVersion": 2, "Results": [{"Target": "app", "Vulnerabilities": found}]}},
            "metadata": {"scanStartedOn": finished, "scanFinishedOn": finished}}
