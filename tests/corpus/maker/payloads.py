"""What is signed: simple-signing payloads and the bytes around them."""

from .shapes import *


def claims(**changes):
    """A compact payload with members of `critical` changed; None takes one out."""
    critical = simple()["critical"] | changes
    return compact({"critical": {name: value for name, value in critical.items() if value is not None}})


def topic():
    t = Topic("payloads")
    raw = simple()
    holds = allow(attestors=says("ATTESTED", digest=D))
    wrong = deny("WRONG_PAYLOAD", attestors=says("WRONG_PAYLOAD"))
    good = [
        ("gcloud", gcloud(), "4.7 (a)"), ("compact", compact(raw), "4.7 (a): as Go writes it"),
        ("kritis", compact(simple(kind=KRITIS)), "4.7 (a)"), ("voucher", compact(simple(kind=GCLOUD)), "4.7 (a)"),
        ("cosign", compact(simple(kind=COSIGN)), "4.7 (a)"), ("cosign-optional-null", compact(simple(kind=COSIGN) | {"optional": None}), "4.7: cosign writes null"),
        ("cva-capitals", compact(simple(kind="Google Cloud BinAuthz container signature")), "4.7 (a): the CV guide's capitals"),
        ("type-upper-case", compact(simple(kind=GCLOUD.upper())), "5: ASCII case-insensitive"),
        ("optional-empty", compact(raw | {"optional": {}}), "5"), ("optional-absent", compact(raw), "5: gcloud never writes it"),
        ("optional-any", compact(raw | {"optional": {"creator": "x", "timestamp": 1, "deep": {"a": [1, 2.5, None, True]}}}), "5: unknown members in optional"),
        ("indented-by-four", json_indent(raw), "4.7: stored bytes are verified, then parsed"),
        ("white-space-around", b" \n" + compact(raw) + b"\n\n", "RFC 8259: white space"),
        ("other-order", compact({"critical": dict(reversed(raw["critical"].items()))}), "RFC 8259: members have no order"),
        ("escaped", compact(raw).replace(b'"image"', b'"im\\u0061ge"'), "RFC 8259: escapes"),
        ("reference-other-registry", gcloud(reference="mirror.example.net/x"), "5: docker-reference is not compared"),
        ("reference-empty", gcloud(reference=""), "5: docker-reference is not compared"),
        ("reference-with-tag", gcloud(reference=REPOSITORY + ":v1"), "5: docker-reference is not compared"),
    ]
    for name, payload, why in good:
        t.attested(f"payload-{name}", why, holds, [occurrence(payload)])
    twice = compact(raw).replace(b'"docker-manifest-digest"', b'"docker-manifest-digest":"%s","docker-manifest-digest"' % D.encode())
    other_first = compact(raw).replace(b'"docker-manifest-digest"', b'"docker-manifest-digest":"%s","docker-manifest-digest"' % OTHER.encode())
    bad = [
        ("other-type", compact(simple(kind="another signature")), "5: other types are refused"),
        ("empty-type", compact(simple(kind="")), "5"), ("type-prefix", compact(simple(kind=GCLOUD + " 2")), "5"),
        ("type-missing", claims(type=None), "5"), ("type-number", claims(type=5), "5: wrong types"),
        ("other-digest", gcloud(OTHER), "5: the digest in the signed payload is the authority"),
        ("digest-upper-case", gcloud(D.replace("ab", "AB")), "4.7: 64 lower-case digits"),
        ("digest-algorithm-upper-case", gcloud(D.replace("sha", "SHA")), "4.7"),
        ("digest-short", gcloud(D[:-2]), "4.7"), ("digest-long", gcloud(D + "ab"), "4.7"), ("digest-sha512", gcloud("sha512:" + "ab" * 64), "4.7"),
        ("digest-without-algorithm", gcloud(D[7:]), "4.7"), ("digest-space", gcloud(D + " "), "4.7"), ("digest-empty", gcloud(""), "4.7"),
        ("digest-missing", claims(image={}), "5"), ("digest-null", claims(image={"docker-manifest-digest": None}), "5"),
        ("digest-list", claims(image={"docker-manifest-digest": [D]}), "5: wrong types"),
        ("digest-capital-member", compact(raw).replace(b"docker-manifest-digest", b"Docker-manifest-digest"), "5: member names are exact"),
        ("unknown-in-critical", claims(extra=1), "5"), ("unknown-in-image", claims(image={"docker-manifest-digest": D, "x": 1}), "5"),
        ("unknown-in-identity", claims(identity={"docker-reference": REPOSITORY, "x": 1}), "5"),
        ("identity-missing", claims(identity=None), "5"), ("image-missing", claims(image=None), "5"), ("reference-missing", claims(identity={}), "5"),
        ("unknown-at-the-top", compact(raw | {"extra": 1}), "top-level members are critical and optional"),
        ("critical-missing", compact({"optional": {}}), "5"), ("critical-list", compact({"critical": [[REPOSITORY], [D], GCLOUD]}), "5: wrong types"),
        ("critical-text", compact({"critical": "x"}), "5"), ("optional-number", compact(raw | {"optional": 5}), "5: wrong types"),
        ("optional-list", compact(raw | {"optional": []}), "5: wrong types"),
        ("optional-duplicate", compact(raw)[:-1] + b',"optional":{"a":1,"a":2}}', "5: duplicates"),
        ("optional-duplicate-deep", compact(raw)[:-1] + b',"optional":{"a":{"b":1,"b":2}}}', "5: duplicates"),
        ("duplicate-digest", twice, "Appendix A: duplicate member docker-manifest-digest"),
        ("duplicate-digest-other-first", other_first, "5: duplicates, whichever would win"),
        ("duplicate-critical", compact(raw)[:-1] + b',"critical":' + compact(raw["critical"]) + b"}", "5: duplicates"),
        ("duplicate-by-escape", compact(raw).replace(b'"type"', b'"typ\\u0065":"x","type"'), "5: duplicates, also when spelled with an escape"),
        ("trailing-data", compact(raw) + b"{}", "RFC 8259: one value"), ("not-json", b"no JSON", "6.2"), ("empty-object", b"{}", "5"),
        ("list", b"[]", "5"), ("byte-order-mark", b"\xef\xbb\xbf" + compact(raw), "RFC 8259, 8.1"), ("not-utf8", compact(raw).replace(b"team", b"te\xffm"), "RFC 8259, 8.1"),
        ("deep", compact(raw)[:-1] + b',"optional":{"a":' + b"[" * 200 + b"]" * 200 + b"}}", "bounded depth"),
        ("comment", compact(raw) + b"// x", "RFC 8259"), ("single-quotes", compact(raw).replace(b'"', b"'"), "RFC 8259"),
        ("statement-as-raw", statement("https://example.com/p", {}), "an in-toto statement outside of DSSE is no simple-signing payload"),
    ]
    for name, payload, why in bad:
        t.attested(f"payload-{name}", why, wrong, [occurrence(payload, uri=f"https://{IMAGE}")], open=name == "statement-as-raw")
    t.attested("payload-empty", "nothing was signed", deny("WRONG_PAYLOAD"),
               [{**occurrence(), "attestation": {"serializedPayload": "", "signatures": [signature(b"")]}}], open=True)

    # Which bytes
    payload, custom = gcloud(), "application/vnd.example.attestation+json"
    t.attested("payload-newline-cut", "Appendix A: signed without the trailing newline", deny("BAD_SIGNATURE"), [occurrence(payload, [signature(payload[:-1])])])
    t.attested("payload-newline-added", "signed with, filed without", deny("BAD_SIGNATURE"), [occurrence(payload[:-1], [signature(payload)])])
    t.attested("payload-newline-cut-in-both", "what is filed is what was signed", allow(), [occurrence(payload[:-1])])
    t.attested("payload-reserialised", "4.7: never re-serialise", deny("BAD_SIGNATURE"), [occurrence(compact(raw), [signature(payload)])])
    t.attested("pae-default-type", "4.7 (c): both raw and PAE are tried", allow(), [occurrence(payload, [signature(pae(payload))])])
    t.attested("pae-other-type", "4.7 (c): a type that is not configured", deny("BAD_SIGNATURE"), [occurrence(payload, [signature(pae(payload, custom))])])
    t.attested("pae-configured-type", "4.7 (c): a type that is configured", allow(), [occurrence(payload, [signature(pae(payload, custom))])], options={"dsseTypes": [custom]})
    t.attested("pae-default-type-still-there", "4.7 (c): configured types are further types", allow(), [occurrence(payload, [signature(pae(payload))])],
               options={"dsseTypes": [PAE_TYPE, custom]})
    t.attested("raw-with-configured-types", "4.7 (b): raw is always tried", allow(), [occurrence(payload)], options={"dsseTypes": [custom]})
    t.attested("pae-as-payload", "the PAE itself filed as payload: verified raw, and then no JSON", deny("WRONG_PAYLOAD"),
               [occurrence(pae(payload), [signature(pae(payload))])])
    t.attested("pae-wrong-length", "a PAE whose length lies", deny("BAD_SIGNATURE"),
               [occurrence(payload, [signature(pae(payload).replace(b" 291 ", b" 290 "))])])
    t.attested("pae-twice", "PAE of the PAE", deny("BAD_SIGNATURE"), [occurrence(payload, [signature(pae(pae(payload)))])])
    t.attested("pae-and-raw-signatures", "one signature of each", allow(), [occurrence(payload, [signature(pae(payload, custom)), signature(payload)])])
    t.attested("prehashed", "the signature is over the payload, not over its hash in hex", deny("BAD_SIGNATURE"),
               [occurrence(payload, [signature(sha256(payload).encode())])])
    return t


def json_indent(value):
    import json
    return json.dumps(value, indent=4).encode()
