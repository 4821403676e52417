"""Public keys and signature algorithms; ids."""

from . import openpgp
from .shapes import *
from .signing import ALGORITHMS, kind, key_id, sign

ALIASES = {"RSA_PSS_2048_SHA256": "RSA_SIGN_PSS_2048_SHA256", "ECDSA_P256_SHA256": "EC_SIGN_P256_SHA256",
           "ECDSA_P384_SHA384": "EC_SIGN_P384_SHA384", "ECDSA_P521_SHA512": "EC_SIGN_P521_SHA512"}


def slug(algorithm):
    return algorithm.lower().replace("_", "-")


def with_key(key, algorithm, id=None, **more):
    return [attestor("built-by-ci", [pkix(key, algorithm, id, **more)])]


def topic():
    t = Topic("keys")
    payload = gcloud()
    for algorithm, (key, digest, pss) in ALGORITHMS.items():
        name, doc = slug(algorithm), with_key(key, algorithm)
        good = signature(payload, key, algorithm)
        t.attested(f"{name}-good", "3.3", allow(attestors=says("ATTESTED", keyId=key_id(key), digest=D)), [occurrence(payload, [good])], attestors=doc)
        t.attested(f"{name}-pae", "4.7 (c): over the PAE of the payload", allow(), [occurrence(payload, [signature(pae(payload), key, algorithm)])], attestors=doc)
        other = signature(payload, f"{key}-b", algorithm, id=key_id(key))
        t.attested(f"{name}-wrong-key", "signed by another key under this key's id", deny("BAD_SIGNATURE", attestors=says("BAD_SIGNATURE")),
                   [occurrence(payload, [other])], attestors=doc)
        other = signature(gcloud(OTHER), key, algorithm)
        t.attested(f"{name}-other-bytes", "the signature is over another payload", deny("BAD_SIGNATURE"), [occurrence(payload, [other])], attestors=doc)
        garbage = {"publicKeyId": key_id(key), "signature": b64(b"no signature")}
        t.attested(f"{name}-no-signature", "not even the shape of one", deny("MALFORMED_SIGNATURE"), [occurrence(payload, [garbage])], attestors=doc)
        if algorithm in ALIASES:
            t.attested(f"{name}-alias", "3.3: alias of the enum", allow(), [occurrence(payload, [good])], attestors=with_key(key, ALIASES[algorithm]))
        wrong = {"rsa2048": "rsa3072", "rsa3072": "rsa4096", "rsa4096": "rsa2048", "p256": "p384", "p384": "p521", "p521": "p256", "mldsa65": "p256"}[key]
        t.attested(f"{name}-declared-for-{wrong}", "3.3: algorithm and key must match; such an attestor is refused",
                   deny("ATTESTOR_MISSING"), [occurrence(payload, [good])], attestors=with_key(wrong, algorithm))
    t.attested("algorithm-in-kebab-case", "3.3: gcloud's spelling", allow(), [occurrence()], attestors=with_key("p256", "ecdsa-p256-sha256"))

    pss = "RSA_PSS_2048_SHA256"
    for salt, words in (("max", "Kritis signs with the longest salt"), ("20", "some other length"), ("0", "no salt")):
        t.attested(f"pss-salt-{salt}", f"3.3, our choice: any salt length; {words}", allow(),
                   [occurrence(payload, [signature(payload, "rsa2048", pss, salt=salt)])], attestors=with_key("rsa2048", pss))
    t.attested("pss-4096-sha512-salt-max", "3.3, our choice: any salt length", allow(),
               [occurrence(payload, [signature(payload, "rsa4096", "RSA_PSS_4096_SHA512", salt="max")])], attestors=with_key("rsa4096", "RSA_PSS_4096_SHA512"))
    pkcs1 = "RSA_SIGN_PKCS1_2048_SHA256"
    for declared, made, name in ((pss, pkcs1, "pkcs1-under-pss"), (pkcs1, pss, "pss-under-pkcs1")):
        t.attested(name, "the scheme is bound to the key", deny("BAD_SIGNATURE"),
                   [occurrence(payload, [signature(payload, "rsa2048", made)])], attestors=with_key("rsa2048", declared))
    t.attested("sha256-under-sha512", "the hash is bound to the key", deny("BAD_SIGNATURE"),
               [occurrence(payload, [signature(payload, "rsa4096", "RSA_SIGN_PKCS1_4096_SHA256")])], attestors=with_key("rsa4096", "RSA_SIGN_PKCS1_4096_SHA512"))
    short = sign("rsa2048", pkcs1, payload)
    for name, data in (("short", short[:-1]), ("long", short + b"\0"), ("empty", b"")):
        t.attested(f"rsa-signature-{name}", "an RSA signature is as long as its modulus", deny("MALFORMED_SIGNATURE"),
                   [occurrence(payload, [{"publicKeyId": key_id("rsa2048"), "signature": b64(data)}])], attestors=with_key("rsa2048", pkcs1))
    raw = signing.sign_jws("p256", P256, payload)
    t.attested("ecdsa-raw-instead-of-der", "3.3: ASN.1 DER outside of JWTs", deny("MALFORMED_SIGNATURE"),
               [occurrence(payload, [{"publicKeyId": key_id("p256"), "signature": b64(raw)}])])
    t.attested("ecdsa-trailing-byte", "DER ends where it ends", deny("MALFORMED_SIGNATURE"),
               [occurrence(payload, [{"publicKeyId": key_id("p256"), "signature": b64(sign("p256", P256, payload) + b"\0")}])])
    zero = signing.tlv(0x30, signing.tlv(2, b"\0") * 2)
    t.attested("ecdsa-zeros", "r and s of zero verify nothing", deny("MALFORMED_SIGNATURE"),
               [occurrence(payload, [{"publicKeyId": key_id("p256"), "signature": b64(zero)}])], open=True)
    t.attested("ecdsa-p256-signature-under-p384", "a signature of another curve", deny("BAD_SIGNATURE"),
               [occurrence(payload, [signature(payload, id=key_id("p384"))])], attestors=with_key("p384", "ECDSA_P384_SHA384"), open=True)
    t.attested("ml-dsa-with-context", "ML-DSA with the empty context only", deny("BAD_SIGNATURE"),
               [occurrence(payload, [{"publicKeyId": key_id("mldsa65"), "signature": b64(signing.mldsa.sign(signing._seed("mldsa65"), payload, b"x"))}])],
               attestors=with_key("mldsa65", "ML_DSA_65"))

    # Ids
    p = key_id("p256")
    ids = [
        ("id-computed", None, p, "ATTESTED", "3.2: RFC 6920 over the DER"),
        ("id-unknown", None, "ni:///sha-256;" + "A" * 43, "UNKNOWN_KEY", "4.7, 5: fails even though the key would verify"),
        ("id-empty", None, "", "UNKNOWN_KEY", "exact match"),
        ("id-other-case", None, p.swapcase(), "UNKNOWN_KEY", "3.2: exact string equality"),
        ("id-without-scheme", None, p.removeprefix("ni:///sha-256;"), "UNKNOWN_KEY", "3.2: exact string equality"),
        ("id-as-nih", None, "nih:///sha-256;" + sha256(signing.der("p256")), "UNKNOWN_KEY", "3.2: Grafeas lists the spelling; only exact ids match"),
        ("id-trailing-space", None, p + " ", "UNKNOWN_KEY", "3.2: exact string equality"),
        ("id-overridden", "k1", "k1", "ATTESTED", "3.2: any string as override"),
        ("id-overridden-and-computed", "k1", p, "UNKNOWN_KEY", "3.2: the override replaces the computed id"),
        ("id-kms", "//cloudkms.googleapis.com/v1/projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
         "//cloudkms.googleapis.com/v1/projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1", "ATTESTED", "3.2: KMS ids"),
        ("id-kms-other-version", "//cloudkms.googleapis.com/v1/projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
         "//cloudkms.googleapis.com/v1/projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/10", "UNKNOWN_KEY", "3.2: exact string equality"),
        ("id-overridden-case", "Key-One", "key-one", "UNKNOWN_KEY", "3.2: exact string equality"),
    ]
    for name, declared, named, reason, why in ids:
        expect = allow(attestors=says("ATTESTED", keyId=declared or p)) if reason == "ATTESTED" else deny(reason, attestors=says(reason))
        t.attested(name, why, expect, [occurrence(payload, [signature(payload, id=named)])], attestors=with_key("p256", P256, declared))
    t.attested("id-in-both-places", "3.1: keyId equal to id", allow(), [occurrence(payload, [signature(payload, id="k1")])], attestors=with_key("p256", P256, "k1", keyId="k1"))
    t.attested("id-blank-key-id", "3.1: keyId may be blank", allow(), [occurrence(payload, [signature(payload, id="k1")])], attestors=with_key("p256", P256, "k1", keyId=""))
    t.attested("id-blank", "an empty id is computed", allow(), [occurrence()], attestors=with_key("p256", P256, ""))
    t.attested("any-key-verifies", "3.1: any one key may verify", allow(attestors=says("ATTESTED", keyId=key_id("p384"))),
               [occurrence(payload, [signature(payload, "p384", "ECDSA_P384_SHA384")])],
               attestors=[attestor("built-by-ci", [pkix("p256", P256), pkix("p384", "ECDSA_P384_SHA384"), pkix("rsa2048", pss)])])
    t.attested("one-key-two-ids", "the same key under two ids", allow(attestors=says("ATTESTED", keyId="new")),
               [occurrence(payload, [signature(payload, id="new")])], attestors=[attestor("built-by-ci", [pkix("p256", P256, "old"), pkix("p256", P256, "new")])])
    t.attested("no-keys", "3.1: empty publicKeys never has a valid attestation", deny("ATTESTOR_WITHOUT_KEYS", attestors=says("ATTESTOR_WITHOUT_KEYS")),
               [occurrence()], attestors=[attestor("built-by-ci")])
    t.attested("no-keys-member", "3.1: publicKeys absent is empty", deny("ATTESTOR_WITHOUT_KEYS"), [occurrence()],
               attestors=[{"name": attestor_name("built-by-ci"), "userOwnedGrafeasNote": {"noteReference": note_name("built-by-ci")}}])

    # Attestors that are refused
    def broken(name, why, *keys, **more):
        t.attested(f"refused-key-{name}", why, deny("ATTESTOR_MISSING", attestors=says("ATTESTOR_MISSING")), [occurrence()],
                   attestors=[attestor("built-by-ci", keys)], **more)

    good = pkix("p256", P256)
    text = signing.pem("p256")

    def as_pem(value, algorithm=P256):
        return {"pkixPublicKey": {"publicKeyPem": value, "signatureAlgorithm": algorithm}}

    broken("duplicate-id", "5: duplicate ids are refused", good, good)
    broken("duplicate-override", "5: duplicate ids are refused", pkix("p256", P256, "k"), pkix("p384", "ECDSA_P384_SHA384", "k"))
    broken("key-id-differs", "3.1: keyId must equal id or be blank", pkix("p256", P256, "k1", keyId="k2"))
    broken("two-blocks", "3.3: one block", as_pem(text + text))
    broken("trailing-text", "3.3: no trailing data", as_pem(text + "x"))
    broken("leading-text", "3.3: no leading data", as_pem("# key\n" + text))
    broken("private-label", "3.3: BEGIN PUBLIC KEY", as_pem(text.replace("PUBLIC", "PRIVATE")))
    broken("no-end-line", "3.3: one block", as_pem(text.split("-----END")[0]))
    broken("not-base64", "3.3", as_pem(text.replace("MFkw", "M!kw")))
    broken("not-der", "3.3", as_pem(text.replace("MFkw", "AAAA")))
    broken("no-pem", "8, Kritis 7: input that is not PEM", as_pem("MFkw"))
    broken("empty-pem", "3.3", as_pem(""))
    broken("point-off-curve", "the point must be on the curve", as_pem(_spoiled("p256")))
    broken("trailing-der", "DER ends where it ends", as_pem(_pem(signing.der("p256") + b"\0")))
    broken("rsa1024", "3.3: RSA 2048, 3072 or 4096", pkix("rsa1024", pkcs1))
    broken("rsa16384", "a key of any other size costs nothing", pkix("rsa16384", "RSA_SIGN_PKCS1_4096_SHA512"))
    broken("ed25519", "3.3: no algorithm of the enum", pkix("ed25519", P256))
    broken("secp256k1", "3.3: another curve of the same size", pkix("secp256k1", P256))
    broken("no-such-algorithm", "3.3", pkix("p256", "ES256"))
    broken("algorithm-unspecified", "3.3", pkix("p256", "SIGNATURE_ALGORITHM_UNSPECIFIED"))
    broken("neither-kind", "3.1: one of the two kinds", {"id": "k"})
    broken("both-kinds", "3.1: one of the two kinds", good | {"asciiArmoredPgpPublicKey": openpgp.certificate("pgp-rsa")})
    broken("unknown-member", "1.3: unknown members", good | {"expires": "2030-01-01"})
    broken("one-bad-of-two", "a document with one refused key is refused", good, pkix("p256", "ECDSA_P384_SHA384", "k2"))
    broken("id-with-space", "3.2: a URI", pkix("p256", P256, "a b"))
    return t


def _pem(der):
    body = b64(der)
    lines = "\n".join(body[at:at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def _spoiled(key):
    der = bytearray(signing.der(key))
    der[-1] ^= 1
    return _pem(bytes(der))
