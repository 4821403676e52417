"""Attestations as JWTs (4.7 (f)). The claims are the simple-signing payload."""

from .shapes import *
from .signing import ALGORITHMS, key_id, sign, sign_jws


def filed(*texts, **more):
    return occurrence(b"", jwts=list(texts), **more)


def with_key(key, algorithm, id=None):
    return [attestor("built-by-ci", [pkix(key, algorithm, id)])]


def topic():
    t = Topic("jwt")
    bad = deny("MALFORMED_SIGNATURE", attestors=says("MALFORMED_SIGNATURE"))
    for algorithm, (key, _, _) in ALGORITHMS.items():
        t.attested(f"jwt-{jws_name(algorithm).lower()}-{key}", f"4.7 (f): {jws_name(algorithm)}", allow(attestors=says("ATTESTED", keyId=key_id(key), digest=D)),
                   [filed(jwt(key=key, algorithm=algorithm))], attestors=with_key(key, algorithm), open=algorithm == "ML_DSA_65")
    header = [
        ("typ-other", {"typ": "JOSE"}), ("typ-lower-case", {"typ": "jwt"}), ("typ-missing", {"typ": None}), ("typ-media-type", {"typ": "application/jwt"}),
        ("crit", {"crit": ["exp"], "exp": 1}), ("crit-empty", {"crit": []}), ("kid-missing", {"kid": None}), ("kid-number", {"kid": 5}),
        ("unknown-member", {"x5u": "https://evil.example"}), ("jwk", {"jwk": {"kty": "EC"}}), ("b64-false", {"b64": False, "crit": ["b64"]}),
        ("alg-missing", {"alg": None}), ("alg-number", {"alg": 1}),
    ]
    for name, members in header:
        t.attested(f"jwt-{name}", "4.7 (f): header is alg, typ JWT and kid; no crit", bad, [filed(jwt(**members))], open=True)
    for name, alg in (("alg-none", "none"), ("alg-hs256", "HS256"), ("alg-rs256", "RS256"), ("alg-es384", "ES384"), ("alg-lower-case", "es256"), ("alg-eddsa", "EdDSA")):
        t.attested(f"jwt-{name}", "4.7 (f): alg must be that of the key", bad, [filed(jwt(alg=alg))], open=True)
    unsigned = jwt(alg="none").rsplit(".", 1)[0] + "."
    t.attested("jwt-alg-none-unsigned", "an unsigned JWT", bad, [filed(unsigned)], open=True)
    hmac = jwt(alg="HS256", sign=lambda *_: __import__("hmac").new(signing.pem("p256").encode(), b"x", "sha256").digest())
    t.attested("jwt-hmac-with-the-public-key", "the public key as HMAC secret", bad, [filed(hmac)], open=True)
    t.attested("jwt-der-signature", "RFC 7518: raw r||s, not DER", bad, [filed(jwt(sign=sign))])
    raw = jwt().rsplit(".", 1)
    for name, text in (("padding", jwt() + "="), ("padded-parts", jwt(encode=lambda d: b64(d).replace("+", "-").replace("/", "_"))), ("standard-alphabet", _standard()),
                       ("two-parts", jwt().rsplit(".", 1)[0]), ("four-parts", jwt() + ".x"), ("five-parts", "a.b.c.d.e"), ("empty", ""), ("space", " " + jwt()),
                       ("newline", jwt() + "\n"), ("header-not-json", b64url("x") + "." + raw[0].split(".")[1] + "." + raw[1]),
                       ("header-duplicate", jwt(header=b'{"alg":"ES256","kid":"x","typ":"JWT","kid":"%s"}' % key_id("p256").encode())),
                       ("header-list", jwt(header=b"[]")), ("json-serialisation", '{"payload":"","signatures":[]}'), ("signature-empty", raw[0] + "."),
                       ("signature-short", raw[0] + "." + raw[1][:-4])):
        t.attested(f"jwt-{name}", "RFC 7515: three parts of unpadded base64url", bad, [filed(text)], open=True)
    t.attested("jwt-unknown-kid", "4.7 (f): kid is a key id", deny("UNKNOWN_KEY"), [filed(jwt(kid="somebody"))])
    t.attested("jwt-kid-of-another-key", "the id selects the key", deny("BAD_SIGNATURE"), [filed(jwt(key="p256-b", kid=key_id("p256")))])
    t.attested("jwt-kid-overridden", "3.2: an override as kid", allow(attestors=says("ATTESTED", keyId="k1")), [filed(jwt(kid="k1"))], attestors=with_key("p256", P256, "k1"))
    t.attested("jwt-p384-alg-p256-key", "alg of the other key of the attestor", bad, [filed(jwt(alg="ES384"))],
               attestors=[attestor("built-by-ci", [pkix("p256", P256), pkix("p384", "ECDSA_P384_SHA384")])], open=True)
    t.attested("jwt-ps256-under-rs256", "the scheme is bound to the key", bad, [filed(jwt(key="rsa2048", algorithm="RSA_PSS_2048_SHA256"))],
               attestors=with_key("rsa2048", "RSA_SIGN_PKCS1_2048_SHA256"), open=True)
    t.attested("jwt-tampered", "the claims are part of what is signed", deny("BAD_SIGNATURE"),
               [filed(".".join([raw[0].split(".")[0], b64url(compact(simple(reference="x"))), raw[1]]))])
    t.attested("jwt-pae", "no PAE for JWTs", deny("BAD_SIGNATURE"), [filed(jwt(sign=lambda key, alg, message: sign_jws(key, alg, pae(message))))])
    # Claims
    good = simple()
    for name, claims in (("other-digest", compact(simple(OTHER))), ("unknown-member", compact(good | {"iss": "ci"})), ("registered-claims", compact(good | {"exp": 4102444800, "iat": 0})),
                         ("other-type", compact(simple(kind="x"))), ("not-json", b"x"), ("duplicate", compact(good)[:-1] + b',"critical":{}}'), ("statement", statement("https://x", {}))):
        t.attested(f"jwt-claims-{name}", "our choice: the claims are the simple-signing payload, strictly", deny("WRONG_PAYLOAD"), [filed(jwt(claims))])
    t.attested("jwt-claims-gcloud-bytes", "the payload as gcloud writes it", allow(), [filed(jwt(gcloud()))])
    t.attested("jwt-payload-ignored", "4.7 (f): serializedPayload is ignored", allow(), [occurrence(gcloud(OTHER), [], uri=f"https://{IMAGE}", jwts=[jwt()])])
    t.attested("jwt-payload-does-not-help", "4.7 (f): serializedPayload is ignored", deny("WRONG_PAYLOAD"), [occurrence(gcloud(), [], jwts=[jwt(compact(simple(OTHER)))])])
    t.attested("jwt-beside-a-bad-signature", "OR over both lists", allow(), [occurrence(gcloud(), [signature(gcloud(OTHER))], jwts=[jwt()])])
    t.attested("jwt-bad-beside-a-signature", "OR over both lists", allow(), [occurrence(gcloud(), [signature(gcloud())], jwts=["x"])])
    t.attested("jwt-second", "OR over JWTs", allow(), [filed("x.y.z", unsigned, jwt())])
    t.attested("jwt-entry-malformed", "one entry that is none", allow(), [{**filed(jwt()), "attestation": {"jwts": [5, {}, {"compactJwt": jwt()}]}}])
    t.attested("jwt-foreign-note", "5: of this attestor's note only", deny("NO_ATTESTATION"), [filed(jwt(), note="scanned")])
    t.attested("jwt-as-signature", "a JWT filed as a detached signature", deny("MALFORMED_SIGNATURE"),
               [occurrence(gcloud(), [{"publicKeyId": key_id("p256"), "signature": b64(jwt())}])])
    t.attested("jwt-under-pgp-key", "OpenPGP keys sign no JWT", bad, [filed(jwt(kid=openpgp.fingerprint("pgp-rsa")))],
               attestors=[attestor("built-by-ci", [pgp("pgp-rsa")])], open=True)
    return t


def _standard():
    """The standard alphabet shows where there is a `+` or `/`."""
    for n in range(100):
        text = jwt(compact(simple() | {"optional": {"n": n * 1009, "s": "?~?~>>>"}}), encode=lambda data: b64(data).rstrip("="))
        if "+" in text or "/" in text:
            return text
    raise AssertionError
