"""Where signatures are filed: shapes of occurrences, and what surrounds a good one."""

import json

from .shapes import *
from .payloads import claims


def topic():
    t = Topic("occurrences")
    good = occurrence()
    body = good["attestation"]
    none = deny("NO_ATTESTATION", attestors=says("NO_ATTESTATION"))

    def without(*names, **more):
        return {name: value for name, value in good.items() if name not in names} | more

    rows = [
        ("v1", good, True, "4.2"),
        ("v1-http", occurrence(uri=f"http://{IMAGE}"), True, "4.2: compared without scheme"),
        ("v1-no-scheme", occurrence(uri=IMAGE), True, "4.2: gcloud strips the scheme"),
        ("v1-tag-and-digest", occurrence(uri=f"https://{REPOSITORY}:v1@{D}"), True, "4.2: the suffix counts"),
        ("v1-another-registry", occurrence(uri=f"https://mirror.example.net/x@{D}"), True, "5: the same bytes in any registry"),
        ("v1beta1-generic", beta(generic()), True, "4.3"),
        ("v1beta1-generic-no-scheme", beta(generic(), uri=IMAGE), True, "4.3"),
        ("v1beta1-generic-http", beta(generic(), uri=f"http://{IMAGE}"), True, "4.3"),
        ("v1beta1-content-hash", beta(generic(), resource={"uri": f"https://{IMAGE}", "name": "app", "contentHash": {"type": "SHA256", "value": "q6s="}}), True, "4.3: other members of resource"),
        ("kind-missing", without("kind"), True, "5: derived from the member, not from `kind`"),
        ("kind-unspecified", without(kind="NOTE_KIND_UNSPECIFIED"), True, "8, Grafeas 5: kind is stored as sent"),
        ("kind-legacy", without(kind="ATTESTATION_AUTHORITY"), True, "4.1: v1alpha1"),
        ("kind-lies", without(kind="VULNERABILITY"), True, "5: derived from the member, not from `kind`"),
        ("kind-number", without(kind=7), True, "5: not looked at"),
        ("unknown-members", without(remediation="x", future={"a": [1]}), True, "members that are not needed are not looked at"),
        ("times-missing", without("createTime", "updateTime"), True, "4.2: output only"),
        ("times-garbage", without(createTime="yesterday"), True, "times order candidates and decide nothing"),
        ("name-missing", without("name"), True, "4.2: output only"),
        ("payload-url-safe", without(attestation={"serializedPayload": b64url(gcloud()), "signatures": body["signatures"]}), True, "proto3 JSON: either alphabet of base64"),
        ("signature-url-safe", without(attestation={**body, "signatures": [{**body["signatures"][0], "signature": b64url(signing.sign("p256", P256, gcloud()))}]}), True, "proto3 JSON: either alphabet of base64"),
        ("snake-case", {"name": good["name"], "resource_uri": good["resourceUri"], "note_name": good["noteName"],
                        "attestation": {"serialized_payload": body["serializedPayload"],
                                        "signatures": [{"public_key_id": body["signatures"][0]["publicKeyId"], "signature": body["signatures"][0]["signature"]}]}}, None, "proto3 JSON: either spelling"),
        ("foreign-note", occurrence(note="scanned"), False, "5: of this attestor's note only"),
        ("note-prefix", occurrence(note="built-by-ci-2"), False, "8, Grafeas 3: names are compared whole"),
        ("note-of-another-project", occurrence(note="projects/acme-sec2/notes/built-by-ci"), False, "8, Grafeas 3: names are compared whole"),
        ("note-case", occurrence(note="Built-By-CI"), False, "names are compared to the letter"),
        ("foreign-digest", occurrence(digest=OTHER), False, "4.6: filtered again by digest"),
        ("right-payload-foreign-digest", occurrence(gcloud(), uri=f"https://{REPOSITORY}@{OTHER}"), False, "filed under another digest: not a candidate"),
        ("resource-tag", occurrence(uri=f"https://{REPOSITORY}:v1"), False, "4.2: no digest"),
        ("resource-upper-case", occurrence(uri=f"https://{REPOSITORY}@{D.replace('ab', 'AB')}"), False, "4.7: 64 lower-case digits"),
        ("resource-missing", without("resourceUri"), False, "4.2: required"),
        ("resource-number", without(resourceUri=5), False, "4.2: a text"),
        ("note-missing", without("noteName"), False, "4.2: required"),
        ("no-attestation", without("attestation"), False, "5: no attestation inside"),
        ("attestation-null", without(attestation=None), False, "5: no attestation inside"),
        ("attestation-empty", without(attestation={}), False, "5: nothing signed"),
        ("vulnerability", without("attestation", kind="VULNERABILITY", vulnerability={"severity": "LOW"}), False, "5: another kind of occurrence"),
        ("signatures-empty", without(attestation={**body, "signatures": []}), False, "8, Grafeas 8: accepted by servers, says nothing"),
        ("signatures-missing", without(attestation={"serializedPayload": body["serializedPayload"]}), False, "8, Grafeas 8"),
        ("payload-not-base64", without(attestation={**body, "serializedPayload": "%%%"}), False, "4.2: base64"),
        ("payload-missing", without(attestation={"signatures": body["signatures"]}), None, "4.2: a detached signature over nothing"),
        ("v1beta1-generic-no-payload", beta({"genericSignedAttestation": {"contentType": "SIMPLE_SIGNING_JSON"}}), False, "8, Grafeas 8"),
        ("v1beta1-single-nesting", without("resourceUri", resource={"uri": IMAGE}, attestation=generic()), None, "4.3: `attestation.attestation`"),
        ("malformed", {"raw": '{"name": "projects/acme-att/occurrences/1", '}, False, "not JSON"),
        ("empty", {"raw": ""}, False, "nothing"),
        ("null", {"raw": "null"}, False, "no occurrence"),
        ("list", {"raw": "[" + json.dumps(good) + "]"}, False, "one occurrence a document"),
        ("two-in-one", {"raw": json.dumps(good) + json.dumps(good)}, False, "one occurrence a document"),
        ("deep", {"raw": '{"attestation":' + '{"a":' * 500 + "1" + "}" * 501}, False, "nested deeper than a reader goes"),
    ]
    for name, found, holds, why in rows:
        expect = allow() if holds or (holds is None and name != "payload-missing") else none
        if name == "v1beta1-single-nesting":
            expect = none
        if name == "payload-missing":
            expect = deny("MALFORMED_SIGNATURE")
        t.attested(f"occurrence-{name}", why, expect, [found], open=holds is None)
    t.attested("occurrence-none", "nothing is filed", none, [])
    t.attested("occurrence-duplicate-members", "two readers could read two payloads", none,
               [{"raw": json.dumps(good)[:-1] + ', "attestation": ' + json.dumps(body) + "}"}], open=True)

    # Beside a good one
    bad = {
        "malformed-json": {"raw": "{"},
        "malformed-base64": without(attestation={**body, "serializedPayload": "%"}, name="projects/acme-att/occurrences/2"),
        "malformed-signature": occurrence(gcloud(), [{"publicKeyId": signing.key_id("p256"), "signature": "%"}], id="2"),
        "wrong-types": without(attestation={"serializedPayload": 5, "signatures": "x"}, name="projects/acme-att/occurrences/2"),
        "bad-signature": occurrence(gcloud(), [signature(gcloud(OTHER))], id="2"),
        "unknown-key": occurrence(gcloud(), [signature(gcloud(), "p256-b")], id="2"),
        "wrong-payload": occurrence(gcloud(OTHER), uri=f"https://{IMAGE}", id="2"),
        "foreign-note": occurrence(note="scanned", id="2"),
        "vulnerability": without("attestation", kind="VULNERABILITY", vulnerability={}),
        "unknown-form": without(attestation={"futureAttestation": {}}, name="projects/acme-att/occurrences/2"),
        "v1beta1-pgp-garbage": beta({"pgpSignedAttestation": {"signature": "x", "pgpKeyId": "y"}}, id="2"),
    }
    for name, other in bad.items():
        t.attested(f"good-after-{name}", "5: a bad one never spoils a good one", allow(), [other, good])
        t.attested(f"good-before-{name}", "5: a bad one never spoils a good one", allow(), [good, other])
    fine = body["signatures"][0]
    for name, other in (("number", 5), ("no-id", {"signature": fine["signature"]}), ("id-number", {"publicKeyId": 1, "signature": "AAAA"}),
                        ("not-base64", {**fine, "signature": "!"}), ("null", None), ("bad", {**fine, "signature": b64(b"x")})):
        t.attested(f"signature-after-{name}", "5: within one occurrence too", allow(), [occurrence(gcloud(), [other, fine])])
    mixed = [beta(generic(), note="scanned"), occurrence(digest=OTHER), {"raw": "x"}, beta(generic(), id="2"), without("attestation", vulnerability={})]
    t.attested("occurrences-mixed", "both versions of the API beside each other", allow(attestors=says("ATTESTED")), mixed)
    t.attested("signature-not-base64-alone", "no bytes verify under no key", deny("MALFORMED_SIGNATURE"),
               [occurrence(gcloud(), [{**fine, "signature": "!"}])], open=True)

    # The most specific word
    worse = [("unknown-key", "UNKNOWN_KEY"), ("malformed-signature", "MALFORMED_SIGNATURE"), ("bad-signature", "BAD_SIGNATURE"), ("wrong-payload", "WRONG_PAYLOAD")]
    for index, (first, _) in enumerate(worse):
        for second, reason in worse[index + 1:]:
            t.attested(f"reason-{second}-over-{first}", "the most specific reason is told", deny(reason, attestors=says(reason)), [bad[second], bad[first]],
                       open="malformed" in first + second)
    return t
