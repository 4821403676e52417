"""What Kritis and Grafeas got wrong (section 8), as far as a judge can."""

from . import openpgp
from .shapes import *


def topic():
    t = Topic("defects")
    payload, ours = gcloud(), occurrence()
    both = require("built-by-ci", "scanned")
    slow = "RSA_PSS_4096_SHA256"

    def kritis(number, name, why, expect, occurrences, policy=None, attestors=None, **more):
        t.attested(f"kritis-{number:02}-{name}", f"8, Kritis {number}: {why}", expect, occurrences, policy, attestors, **more)

    def grafeas(number, name, why, expect, occurrences, policy=None, attestors=None, **more):
        t.attested(f"grafeas-{number:02}-{name}", f"8, Grafeas {number}: {why}", expect, occurrences, policy, attestors, **more)

    kritis(1, "attestors-share-nothing", "a cache keyed by image alone would let one attestor speak for another",
           deny("NO_ATTESTATION", attestors=says("ATTESTED") | says("NO_ATTESTATION", "scanned")), [ours], both, [CI, SCANNED])
    kritis(2, "one-bad-occurrence", "a signature of an unknown kind refused the image", allow(),
           [{**occurrence(id="2"), "attestation": {"futureSignature": {}}}, ours])
    kritis(2, "one-bad-occurrence-last", "a signature of an unknown kind refused the image", allow(),
           [ours, {**occurrence(id="2"), "attestation": {"attestation": {"unknownSignedAttestation": {}}}}])
    kritis(3, "pkix-keys-count", "PKIX keys were skipped at admission", allow(attestors=says("ATTESTED", keyId=signing.key_id("p256"))), [beta(generic())])
    kritis(3, "pkix-beside-pgp", "PKIX keys were skipped at admission", allow(), [ours], attestors=[attestor("built-by-ci", [pgp("pgp-rsa"), pkix("p256", P256)])])
    kritis(4, "jwt-works", "JWTs never verified", allow(), [occurrence(b"", jwts=[jwt()])])
    kritis(4, "jwt-result-counts", "the verify result was discarded", deny("BAD_SIGNATURE"), [occurrence(b"", jwts=[jwt(key="p256-b", kid=signing.key_id("p256"))])])
    kritis(5, "modulus-is-compared", "RSA sizes were not compared with the declared algorithm", deny("ATTESTOR_MISSING"),
           [occurrence(payload, [signature(payload, "rsa2048", "RSA_PSS_2048_SHA256")])], attestors=[attestor("built-by-ci", [pkix("rsa2048", slow)])])
    kritis(5, "curve-is-compared", "curves were not compared with the declared algorithm", deny("ATTESTOR_MISSING"),
           [occurrence(payload, [signature(payload, "p384", "ECDSA_P384_SHA384")])], attestors=[attestor("built-by-ci", [pkix("p384", P256)])])
    kritis(6, "pss-4096-is-spelled-right", "a typo made rsa-pss-4096-sha256 unreadable", allow(),
           [occurrence(payload, [signature(payload, "rsa4096", slow)])], attestors=[attestor("built-by-ci", [pkix("rsa4096", "rsa-pss-4096-sha256")])])
    kritis(6, "the-typo-is-no-name", "a typo made rsa-pss-4096-sha256 unreadable", deny("ATTESTOR_MISSING"),
           [occurrence(payload, [signature(payload, "rsa4096", slow)])], attestors=[attestor("built-by-ci", [pkix("rsa4096", "rsa-pss-4096s-ha256")])])
    kritis(7, "no-pem", "input that is not PEM crashed it", deny("ATTESTOR_MISSING"), [ours],
           attestors=[attestor("built-by-ci", [{"pkixPublicKey": {"publicKeyPem": "not PEM", "signatureAlgorithm": P256}}])])
    kritis(7, "no-pem-beside-a-good-attestor", "input that is not PEM crashed it", allow(), [ours],
           attestors=[CI, attestor("scanned", [{"pkixPublicKey": {"publicKeyPem": "not PEM", "signatureAlgorithm": P256}}])])
    raw = compact(simple())
    for name, body in (("type-is-checked", compact(simple(kind="something else"))), ("names-are-exact", raw.replace(b"critical", b"Critical")),
                       ("duplicates-are-refused", raw.replace(b'"type"', b'"type":"x","type"')), ("unknown-members-are-refused", raw.replace(b'"type"', b'"x":1,"type"'))):
        kritis(8, name, "the payload was read loosely", deny("WRONG_PAYLOAD"), [occurrence(body)])
    kritis(8, "mirrored-image", "docker-reference equality was required", allow(), [ours], subject=f"mirror.example.net/app@{D}")
    kritis(9, "duplicate-key-ids", "the last of two keys with one id won silently", deny("ATTESTOR_MISSING"), [ours],
           attestors=[attestor("built-by-ci", [pkix("p256-b", P256, "k"), pkix("p256", P256, "k")])])
    t.add("kritis-10-star-star", "8, Kritis 10: there was no `**`", allow("ALLOWLISTED"), refuse("gcr.io/a/**"), subject="gcr.io/a/b/c:1")
    t.add("kritis-10-star-in-the-registry", "8, Kritis 10: where a `*` stands was not checked", unreadable("namePattern"), refuse("gcr.i*"), subject="gcr.io/a")
    t.add("kritis-10-star-in-the-middle", "8, Kritis 10: where a `*` stands was not checked", unreadable("namePattern"), refuse("gcr.io/*/a"), subject="gcr.io/b/a")
    t.add("kritis-14-namespace-unknown", "8, Kritis 14: no namespace meant the rules of all of them", undecided("POD_CONTEXT_UNKNOWN"),
          {"kubernetesNamespaceAdmissionRules": {"sandbox": ALWAYS_ALLOW}, "defaultAdmissionRule": ALWAYS_DENY})
    t.add("kritis-14-namespace-empty", "8, Kritis 14: an empty namespace is no namespace of a rule", deny("ALWAYS_DENY", rule="defaultAdmissionRule"),
          {"kubernetesNamespaceAdmissionRules": {"sandbox": ALWAYS_ALLOW}, "defaultAdmissionRule": ALWAYS_DENY}, subject={"image": IMAGE, "namespace": ""}, open=True)
    kritis(15, "all-attestors", "any one of several sufficed", deny("NO_ATTESTATION"), [ours], both, [CI, SCANNED])
    t.add("kritis-15-no-global-allowlist", "8, Kritis 15: repositories of third parties were exempt", deny("NO_ATTESTATION"), require(), [CI],
          subject=f"gcr.io/google-containers/pause@{D}")
    t.add("kritis-15-tag-of-an-allowlisted-repository", "8, Kritis 15: allowlists compared repositories, whatever the tag", deny("ALWAYS_DENY"), refuse("gcr.io/p/app:v1"), subject="gcr.io/p/app:evil")
    t.add("kritis-16-cluster-rule", "8, Kritis 16: no cluster rules", allow("ALWAYS_ALLOW"),
          {"clusterAdmissionRules": {"us-central1-a.prod": ALWAYS_ALLOW}, "defaultAdmissionRule": ALWAYS_DENY}, subject={"image": IMAGE, "cluster": "us-central1-a.prod"})
    t.add("kritis-16-service-account-rule", "8, Kritis 16: no service-account rules", allow("ALWAYS_ALLOW"),
          {"kubernetesServiceAccountAdmissionRules": {"shop:web": ALWAYS_ALLOW}, "defaultAdmissionRule": ALWAYS_DENY}, subject={"image": IMAGE, "namespace": "shop", "serviceAccount": "web"})
    t.attested("kritis-16-dry-run", "8, Kritis 16: no dry run", dry("NO_ATTESTATION"), [], require(enforcement=DRY_RUN))
    kritis(17, "kind-attestation", "occurrences of any other kind than ATTESTATION_AUTHORITY were not seen", allow(), [ours])
    kritis(17, "kind-attestation-authority", "the old kind", allow(), [{**ours, "kind": "ATTESTATION_AUTHORITY"}])
    kritis(17, "any-project", "occurrences of other projects than `kritis` were not seen", allow(), [occurrence(project="somewhere")])
    kritis(19, "pss-salt", "it signs with the longest salt", allow(),
           [occurrence(payload, [signature(payload, "rsa2048", "RSA_PSS_2048_SHA256", salt="max")])], attestors=[attestor("built-by-ci", [pkix("rsa2048", "RSA_PSS_2048_SHA256")])])
    kritis(19, "armor-encoded-again", "its CRD carries the armored key base64-encoded again, unlike Binary Authorization", deny("ATTESTOR_MISSING"),
           [occurrence(payload, [pgp_signature(openpgp.message("pgp-rsa", payload), "pgp-rsa")])],
           attestors=[attestor("built-by-ci", [{"asciiArmoredPgpPublicKey": b64(openpgp.certificate("pgp-rsa"))}])], open=True)

    grafeas(1, "altered-payload", "anyone may alter what is filed", deny("BAD_SIGNATURE"),
            [{**ours, "attestation": {**ours["attestation"], "serializedPayload": b64(gcloud(reference="evil.example/app"))}}])
    grafeas(1, "created-by-anyone", "anyone may file", deny("UNKNOWN_KEY"), [occurrence(payload, [signature(payload, "p256-b")])])
    grafeas(1, "note-renamed-by-anyone", "a genuine attestation of another attestor, filed under our note", deny("UNKNOWN_KEY"),
            [occurrence(payload, [signature(payload, "p256-b")], note="built-by-ci")])
    grafeas(2, "other-images", "filters are ignored: other images' attestations come along", deny("NO_ATTESTATION"), [occurrence(digest=OTHER), occurrence(digest=THIRD)])
    grafeas(2, "other-images-and-ours", "filters are ignored: other images' attestations come along", allow(), [occurrence(digest=OTHER), ours, occurrence(digest=THIRD)])
    grafeas(2, "other-notes", "filters are ignored: other notes' attestations come along", deny("NO_ATTESTATION"), [occurrence(note="scanned")])
    grafeas(3, "project-prefix", "project `foo` also lists `foobar`", deny("NO_ATTESTATION"), [occurrence(note="projects/acme-secret/notes/built-by-ci")])
    grafeas(4, "resource-rewritten", "immutable fields can be changed: the signed digest decides", deny("WRONG_PAYLOAD"), [occurrence(gcloud(OTHER), uri=f"https://{IMAGE}")])
    grafeas(4, "name-of-anything", "the stored name is whatever the client sent", allow(), [{**ours, "name": "../../etc/passwd"}])
    for name, kind in (("unset", None), ("other", "BUILD"), ("number", 3)):
        grafeas(5, f"kind-{name}", "kind is stored as sent", allow(), [{key: value for key, value in (ours | {"kind": kind}).items() if value is not None}])
    grafeas(8, "generic-without-payload", "a genericSignedAttestation with nothing in it passes its validator", deny("NO_ATTESTATION"), [beta({"genericSignedAttestation": {}})])
    grafeas(8, "generic-without-payload-beside-a-good-one", "a genericSignedAttestation with nothing in it passes its validator", allow(), [beta({"genericSignedAttestation": {}}), ours])
    grafeas(9, "v1beta1-only", "it serves v1beta1 only", allow(), [beta(generic())])
    t.add("grafeas-10-quotes", "8, Grafeas 10: names are data", deny("ATTESTOR_MISSING"), require("projects/acme-sec/attestors/x"), [CI],
          [{**ours, "noteName": "projects/acme-sec/notes/x' OR '1'='1"}])
    return t
