"""Documents: payloads, attestors, occurrences, policies, and the list of cases."""

import base64
import hashlib
import json

from . import openpgp, signing

NOW = "2026-11-24T12:00:00Z"
D = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
THIRD = "sha256:" + "ef" * 32
REPOSITORY = "registry.example.com/team/app"
IMAGE = f"{REPOSITORY}@{D}"
GCLOUD = "Google cloud binauthz container signature"
KRITIS = "atomic container signature"
COSIGN = "cosign container image signature"
PAE_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
ENFORCED = "ENFORCED_BLOCK_AND_AUDIT_LOG"
DRY_RUN = "DRYRUN_AUDIT_LOG_ONLY"
ALWAYS_ALLOW = {"evaluationMode": "ALWAYS_ALLOW", "enforcementMode": ENFORCED}
ALWAYS_DENY = {"evaluationMode": "ALWAYS_DENY", "enforcementMode": ENFORCED}


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).decode().rstrip("=")


# Payloads

def simple(digest=D, reference=REPOSITORY, kind=GCLOUD):
    return {"critical": {"identity": {"docker-reference": reference},
                         "image": {"docker-manifest-digest": digest}, "type": kind}}


def gcloud(digest=D, reference=REPOSITORY, kind=GCLOUD):
    """As gcloud writes it: two spaces, sorted, a newline at the end."""
    text = json.dumps(simple(digest, reference, kind), indent=2, separators=(",", ": "), sort_keys=True)
    return text.encode() + b"\n"


def compact(value):
    """As Go writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def pae(payload, kind=PAE_TYPE):
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)


def statement(predicate_type, predicate, digests=(D,), kind="https://in-toto.io/Statement/v1", subject=None):
    if subject is None:
        subject = [{"name": REPOSITORY, "digest": {"sha256": digest.removeprefix("sha256:")}} for digest in digests]
    return compact({"_type": kind, "subject": subject, "predicateType": predicate_type, "predicate": predicate})


# Attestors

def attestor_name(name):
    return name if "/" in name else f"projects/acme-sec/attestors/{name}"


def note_name(name):
    return name if "/" in name else f"projects/acme-sec/notes/{name}"


def pkix(key, algorithm, id=None, **more):
    """`id` is left to be computed where it is None."""
    entry = {"pkixPublicKey": {"publicKeyPem": signing.pem(key), "signatureAlgorithm": algorithm} | more}
    return ({"id": id} if id is not None else {}) | entry


def pgp(name, id=None):
    return {"id": id or openpgp.fingerprint(name), "asciiArmoredPgpPublicKey": openpgp.certificate(name)}


def attestor(name="built-by-ci", keys=(), note=None, member="userOwnedGrafeasNote", **extensions):
    note = {"noteReference": note_name(note or name), "publicKeys": list(keys)}
    return {"name": attestor_name(name), member: note} | extensions


P256 = "ECDSA_P256_SHA256"


def ci(**more):
    """The attestor most cases use; also `attestors/built-by-ci.json`."""
    return attestor("built-by-ci", [pkix("p256", P256, signing.key_id("p256"))], **more)


CI = "attestors/built-by-ci.json"
SCANNED = "attestors/scanned.json"


# Occurrences

def signature(message, key="p256", algorithm=P256, id=None, **how):
    return {"publicKeyId": signing.key_id(key) if id is None else id,
            "signature": b64(signing.sign(key, algorithm, message, **how))}


def pgp_signature(text, name, id=None):
    return {"publicKeyId": id or openpgp.fingerprint(name), "signature": b64(text)}


def occurrence(payload=None, signatures=None, note="built-by-ci", digest=D, uri=None, id="1", created="2026-11-20T00:00:00Z",
               project="acme-att", jwts=None, **more):
    """v1, as gcloud creates it."""
    payload = gcloud(digest) if payload is None else payload
    if signatures is None and jwts is None:
        signatures = [signature(payload)]
    attestation = {"serializedPayload": b64(payload)} if payload != b"" else {}
    if signatures is not None:
        attestation["signatures"] = signatures
    if jwts is not None:
        attestation["jwts"] = [{"compactJwt": text} for text in jwts]
    return {"name": f"projects/{project}/occurrences/{id}",
            "resourceUri": uri or f"https://{REPOSITORY}@{digest}", "noteName": note_name(note),
            "kind": "ATTESTATION", "createTime": created, "updateTime": created, "attestation": attestation} | more


def beta(attestation, note="built-by-ci", uri=f"https://{REPOSITORY}@{D}", id="1", **more):
    """v1beta1: `resource.uri`, and the attestation one level deeper."""
    return {"name": f"projects/acme-att/occurrences/{id}", "resource": {"uri": uri}, "noteName": note_name(note),
            "kind": "ATTESTATION", "createTime": "2026-11-20T00:00:00Z",
            "attestation": {"attestation": attestation}} | more


def generic(payload=None, signatures=None, **more):
    payload = gcloud() if payload is None else payload
    signatures = [signature(payload)] if signatures is None else signatures
    return {"genericSignedAttestation": {"contentType": "SIMPLE_SIGNING_JSON", "serializedPayload": b64(payload),
                                         "signatures": signatures} | more}


def pgp_signed(text, name, id=None, kind="SIMPLE_SIGNING_JSON"):
    return {"pgpSignedAttestation": {"signature": text, "contentType": kind,
                                     "pgpKeyId": id or openpgp.fingerprint(name)}}


def envelope(payload, kind=IN_TOTO, key="p256", algorithm=P256, keyid=None, encode=b64, signed=None):
    """A DSSE envelope; `keyid` is left out where it is None, `signed` is what is signed instead of the PAE."""
    one = {"sig": encode(signing.sign(key, algorithm, pae(payload, kind) if signed is None else signed))}
    if keyid is not None:
        one["keyid"] = keyid
    return {"payload": encode(payload), "payloadType": kind, "signatures": [one]}


def dsse(inner, note="built-by-ci", digest=D, id="1", wrapper=False, created="2026-11-20T00:00:00Z", uri=None,
         project="acme-att", **more):
    """An occurrence that carries an envelope; `wrapper` for the deprecated place."""
    body = {"dsseAttestation": {"envelope": inner}} if wrapper else {"envelope": inner}
    return {"name": f"projects/{project}/occurrences/{id}", "resourceUri": uri or f"https://{REPOSITORY}@{digest}",
            "noteName": note_name(note), "kind": "DSSE_ATTESTATION", "createTime": created} | body | more


JWS = {"ECDSA_P256_SHA256": "ES256", "ECDSA_P384_SHA384": "ES384", "ECDSA_P521_SHA512": "ES512",
       "ML_DSA_65": "ML-DSA-65"}


def jws_name(algorithm):
    if algorithm in JWS:
        return JWS[algorithm]
    return ("PS" if "PSS" in algorithm else "RS") + algorithm[-3:]


def jwt(claims=None, key="p256", algorithm=P256, header=None, sign=signing.sign_jws, encode=b64url, **members):
    """A compact JWS; `members` change the header (None takes one out), `header` replaces it."""
    claims = compact(simple()) if claims is None else claims
    if header is None:
        fields = {"alg": jws_name(algorithm), "kid": signing.key_id(key), "typ": "JWT"} | members
        header = compact({name: value for name, value in fields.items() if value is not None})
    text = f"{encode(header)}.{encode(claims)}"
    return f"{text}.{encode(sign(key, algorithm, text.encode()))}"


# Policies

def require(*names, enforcement=ENFORCED, **policy):
    rule = {"evaluationMode": "REQUIRE_ATTESTATION", "enforcementMode": enforcement,
            "requireAttestationsBy": [attestor_name(name) for name in names or ("built-by-ci",)]}
    return policy | {"defaultAdmissionRule": rule}


def rule(mode, enforcement=ENFORCED, *names):
    found = {"evaluationMode": mode, "enforcementMode": enforcement}
    return found | ({"requireAttestationsBy": [attestor_name(name) for name in names]} if names else {})


def refuse(*patterns, **policy):
    """Everything is denied but what a pattern exempts."""
    return {"admissionWhitelistPatterns": [{"namePattern": pattern} for pattern in patterns],
            "defaultAdmissionRule": ALWAYS_DENY} | policy


# Expectations

def allow(reason="ATTESTED", **more):
    return {"verdict": "ALLOW", "would": "ALLOW", "reason": reason} | more


def deny(reason, **more):
    return {"verdict": "DENY", "would": "DENY", "reason": reason} | more


def dry(reason, **more):
    return {"verdict": "ALLOW", "would": "DENY", "reason": reason} | more


def undecided(reason, *message, **more):
    found = {"verdict": "CANNOT_DECIDE", "would": "CANNOT_DECIDE", "reason": reason}
    return found | ({"message": list(message)} if message else {}) | more


def unreadable(*message, **more):
    return undecided("POLICY_UNREADABLE", *message, **more)


def says(reason, name="built-by-ci", **more):
    """The word of one attestor."""
    return {attestor_name(name): {"reason": reason} | more}


class Topic:
    """One file of cases."""

    def __init__(self, name):
        self.name, self.cases = name, []

    def add(self, name, why, expect, policy=None, attestors=None, occurrences=None, subject=None, now=NOW,
            options=None, open=False, **more):
        subject = {"image": subject} if isinstance(subject, str) else subject
        found = {"name": name, "why": why, "now": now}
        if open:
            found["open"] = True
        if options:
            found["options"] = options
        if policy is not None:
            found["policy"] = policy
        found |= more
        found |= {"attestors": attestors or [], "occurrences": occurrences or [],
                  "subject": subject or {"image": IMAGE}, "expect": expect}
        self.cases.append(found)

    def attested(self, name, why, expect, occurrences, policy=None, attestors=None, **more):
        """One attestor is required and there are these occurrences."""
        self.add(name, why, expect, policy or require(), [CI] if attestors is None else attestors, occurrences, **more)


def sha256(data):
    return hashlib.sha256(data).hexdigest()
