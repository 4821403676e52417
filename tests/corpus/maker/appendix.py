"""The known-answer vectors of appendix A, and what follows from them."""

from .openpgp import armor
from .shapes import *

RAW = "MEYCIQDrzbw7EV4LPC5UiBnlOb2oj3loIGcCuNjuAlGwA3Na9wIhAMzJiVJkyHOaDtsdbLXFQDp5jDCQB070Gojt7pnfTghU"
PAE = "MEYCIQDUMnUewcME3llUW+qUFW3sCpJIKqCdKSuPk40X1pnK0gIhAIX/N77PIIOCfGYJlSXv9ODIdc4JIkb8f7icrH9gfOl1"
PKCS1 = ("gOnb4gF5UNHMEYfOZ/hUejiRTuO9Y5LaTN/JzRSP+FiUbi+nbzeW+78EDCftNubkaBBxRQg/bgcEBk4i/qwVdR30nS4ZCL4LWVRF6IEN8BnLwuEsKWQwTYDE47f8OeDV0PbdddhDLnbVn5GnKrh/"
         "wIYCmPj8LdOraOR9Aay69QxSuk1qZ7tKPc19YPxqEv4/MZ6WOXZnU4pOTF/SKrmLh7S0dRYb26OndRJzcw4iJXxwaW7p4rd0XOnf6XwD0Kaor0ELNyD6IwQK2obcdn+irvUpUNw3RK/LGJ6F8FQkTAblhhc"
         "EDtkRih88w+UE2RJHe61rkaoMJNu1xcUizyiI0w==")
PSS = ("FnNHeKFII5RSyq2iZcxKU7onzXqLLWHovtyvSoekg7l9ZByLZrcIlCMZZ8aNkxFZLKHUrpRqBlryEwOOO3zrWFkVMYNUrW/4EcRXpqG6lIwtqcfAhqQXSlaohNAnUVWFp+wmOtRx5pzo2+ZFc7Ioc"
       "god1TwdZrA7olkrSzOciUCUl/ZH8csJr4v8BWWniGLeyHNO3+YhJE+G3vucS+zPOjbp5/hCbgBXUCZQogbEued4VxcBBP1ycUDMkbXJu0wbZGTz6lSplbbyuLxw1dmeE2b7yuAXpCbhqYZO6CiJmpdO9ezA"
       "gJ2hya6JOj/wG1bvPzVoO4JrAS7D7p76sjgMjA==")
PGP_ID = "586C09E2C96BBABD7F60C7F00930F022C42FD3D0"


def topic():
    t = Topic("appendix-a")
    payload, p256, rsa = gcloud(), signing.key_id("p256kat"), signing.key_id("rsa2048kat")
    assert sha256(payload) == "31339645182b869cf0f1a4445601cef90b484b335d7dd6ca84a6b65760a9533d" and len(payload) == 291
    assert sha256(pae(payload)) == "ec6ad157ff016582b5f08f89fb0954fa13bfa0950afedbaad1fce55b08314c52" and len(pae(payload)) == 354
    assert (p256, rsa) == ("ni:///sha-256;brF8RW4OMNJYtiWM4A2K0q3hkfUX-WdkF42aSb0G5oY", "ni:///sha-256;BMzvcKEsZgeuUY9LGgIXsVR_SwfGvT5LCNZrRSbYIMo")
    assert pae(b"hello world", "http://example.com/HelloWorld") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    files = signing.KEYS.parent / "vectors"
    certificate, message = (files / "pgp-public.asc").read_text(), (files / "pgp-message.asc").read_text()

    def of(key, algorithm, id=None):
        return [attestor("built-by-ci", [pkix(key, algorithm, id)])]

    def filed(id, text, body=payload, **more):
        return occurrence(body, [{"publicKeyId": id, "signature": text}], **more)

    ec, pgp_key = of("p256kat", P256), [attestor("built-by-ci", [{"id": PGP_ID, "asciiArmoredPgpPublicKey": certificate}])]
    ok = filed(p256, RAW)
    good = [
        ("ecdsa-raw", ec, ok), ("ecdsa-pae", ec, filed(p256, PAE)), ("rsa-pkcs1", of("rsa2048kat", "RSA_SIGN_PKCS1_2048_SHA256"), filed(rsa, PKCS1)),
        ("rsa-pss", of("rsa2048kat", "RSA_PSS_2048_SHA256"), filed(rsa, PSS)), ("pgp", pgp_key, filed(PGP_ID, b64(message))),
        ("pgp-v1beta1", pgp_key, beta({"pgpSignedAttestation": {"signature": message, "contentType": "SIMPLE_SIGNING_JSON", "pgpKeyId": PGP_ID}})),
    ]
    for name, attestors, found in good:
        id = {"rsa": rsa, "ecd": p256, "pgp": PGP_ID}[name[:3]]
        t.attested(f"vector-{name}", "Appendix A", allow(attestors=says("ATTESTED", keyId=id, digest=D)), [found], attestors=attestors)
        raw = found | ({"resource": {"uri": IMAGE}} if "resource" in found else {"resourceUri": IMAGE})
        t.attested(f"vector-{name}-without-scheme", "Appendix A: resourceUri with and without https://", allow(), [raw], attestors=attestors)
    bad = "BAD_SIGNATURE"
    t.attested("vector-newline-removed", "Appendix A: without the trailing newline", deny(bad), [filed(p256, RAW, payload[:-1])], attestors=ec)
    t.attested("vector-rsa-newline-removed", "Appendix A: without the trailing newline", deny(bad), [filed(rsa, PKCS1, payload[:-1])], attestors=of("rsa2048kat", "RSA_SIGN_PKCS1_2048_SHA256"))
    t.attested("vector-pgp-newline-removed", "Appendix A: literal and payload differ", deny("WRONG_PAYLOAD"), [filed(PGP_ID, b64(message), payload[:-1])], attestors=pgp_key, open=True)
    t.attested("vector-raw-in-an-envelope", "Appendix A: raw checked as PAE", deny(bad), [dsse({"payload": b64(payload), "payloadType": PAE_TYPE, "signatures": [{"sig": RAW}]})], attestors=ec)
    t.attested("vector-pae-in-an-envelope", "Appendix A: PAE in the right mode", allow(), [dsse({"payload": b64(payload), "payloadType": PAE_TYPE, "signatures": [{"sig": PAE}]})], attestors=ec)
    t.attested("vector-pae-of-another-type", "Appendix A: PAE checked under another type", deny(bad), [dsse({"payload": b64(payload), "payloadType": "x", "signatures": [{"sig": PAE}]})], attestors=ec)
    t.attested("vector-pae-as-payload-raw", "Appendix A: PAE checked as raw over its own bytes: holds, and is no JSON", deny("WRONG_PAYLOAD"), [filed(p256, PAE, pae(payload))], attestors=ec)
    t.attested("vector-another-pod", "Appendix A: payload digest not equal to the pod's", deny("WRONG_PAYLOAD"), [filed(p256, RAW, uri=f"https://{REPOSITORY}@{OTHER}")],
               attestors=ec, subject=f"{REPOSITORY}@{OTHER}")
    t.attested("vector-pgp-another-pod", "Appendix A: payload digest not equal to the pod's", deny("WRONG_PAYLOAD"), [filed(PGP_ID, b64(message), uri=f"https://{REPOSITORY}@{OTHER}")],
               attestors=pgp_key, subject=f"{REPOSITORY}@{OTHER}")
    t.attested("vector-unknown-id", "Appendix A: unknown publicKeyId, though the key would verify", deny("UNKNOWN_KEY"), [filed("ni:///sha-256;unknown", RAW)], attestors=ec)
    t.attested("vector-overridden-id", "3.2: the same key under an id of its own", allow(attestors=says("ATTESTED", keyId="k")), [filed("k", RAW)], attestors=of("p256kat", P256, "k"))
    missing = deny("ATTESTOR_MISSING")
    t.attested("vector-p256-declared-p384", "Appendix A: rejected at load", missing, [ok], attestors=of("p256kat", "ECDSA_P384_SHA384"))
    t.attested("vector-rsa2048-declared-pss-4096", "Appendix A: rejected at load", missing, [filed(rsa, PSS)], attestors=of("rsa2048kat", "RSA_PSS_4096_SHA256"))
    t.attested("vector-malformed-then-good", "Appendix A: one malformed entry followed by a good one", allow(), [{"raw": "{"}, ok], attestors=ec)
    t.attested("vector-malformed-base64-then-good", "Appendix A: one malformed entry followed by a good one", allow(),
               [{**ok, "attestation": {"serializedPayload": "%", "signatures": []}, "name": "projects/acme-att/occurrences/2"}, ok], attestors=ec)
    t.attested("vector-no-keys", "Appendix A: attestor with no keys", deny("ATTESTOR_WITHOUT_KEYS"), [ok], attestors=[attestor("built-by-ci")])
    t.attested("vector-two-attestors-one-attested", "Appendix A: two attestors, one attested", deny("NO_ATTESTATION"), [ok], require("built-by-ci", "scanned"), [*ec, SCANNED])
    t.attested("vector-pss-under-pkcs1", "the scheme is bound to the key", deny(bad), [filed(rsa, PSS)], attestors=of("rsa2048kat", "RSA_SIGN_PKCS1_2048_SHA256"))
    t.attested("vector-pkcs1-under-pss", "the scheme is bound to the key", deny(bad), [filed(rsa, PKCS1)], attestors=of("rsa2048kat", "RSA_PSS_2048_SHA256"))
    t.attested("vector-pgp-lower-case-id", "3.2: exact", deny("UNKNOWN_KEY"), [filed(PGP_ID.lower(), b64(message))], attestors=pgp_key)
    twice = compact(simple()).replace(b'"docker-manifest-digest"', b'"docker-manifest-digest":"%s","docker-manifest-digest"' % D.encode())
    t.attested("vector-duplicate-member", "Appendix A: duplicate member docker-manifest-digest", deny("WRONG_PAYLOAD"), [occurrence(twice)])
    google = {"id": "ni:///sha-256;EwVxs8fNUAHq9FI2AMfh8WNIXVBuuTMeGtPH72U-I70", "pkixPublicKey": {"signatureAlgorithm": P256, "keyId": "ni:///sha-256;EwVxs8fNUAHq9FI2AMfh8WNIXVBuuTMeGtPH72U-I70",
              "publicKeyPem": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXnpuYEfvLl1kj4fjxViFRwY1a+zC\n5qzlf9LJIK+rnjq42tiKGyyXMbnZKJiYPPdMDGyltnkrABnztg2jJ48aYQ==\n-----END PUBLIC KEY-----\n"}}
    computed = {"pkixPublicKey": {**google["pkixPublicKey"]}}
    del computed["pkixPublicKey"]["keyId"]
    for name, key in (("", google), ("-computed", computed)):
        t.attested(f"google-key-id{name}", "3.2 [V]: Google's published key and its id; the signature is not that key's", deny(bad), [filed(google["id"], RAW)], attestors=[attestor("built-by-ci", [key])])
    return t
