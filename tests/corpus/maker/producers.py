"""Attestations by the programs people use: openssl, gpg, cosign, notation.

What cosign and notation made lies in `producers/`; `make.py --producers` makes it anew.
"""

import hashlib
import json
import os
import pathlib

from . import openpgp
from .shapes import *
from .signing import ROOT, private, run, temporary

FILES = ROOT / "producers"
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
NO_SERVICES = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", "rekorTlogConfig": {}, "tsaConfig": {}}


def cosign_payload():
    return compact(simple(kind=COSIGN) | {"optional": None})


def produce():
    """Runs cosign and notation, which must be on PATH; neither reaches for the network."""
    FILES.mkdir(exist_ok=True)
    with temporary() as folder:
        at = pathlib.Path(folder)
        environment = os.environ | {"COSIGN_PASSWORD": "test", "HOME": folder, "XDG_CONFIG_HOME": folder, "NOTATION_EXPERIMENTAL": "1"}

        def do(*command):
            return run(list(command), cwd=folder, env=environment)

        (at / "payload").write_bytes(cosign_payload())
        (at / "predicate").write_text("{}")
        (at / "services").write_text(json.dumps(NO_SERVICES))
        do("cosign", "import-key-pair", "--key", str(private("p256")), "--output-key-prefix", "test")
        common = ["--key", "test.key", "--signing-config", "services", "--yes"]
        do("cosign", "sign-blob", *common, "--bundle", "blob", "payload")
        do("cosign", "attest-blob", *common, "--bundle", "attest", "--type", COSIGN_SIGN, "--predicate", "predicate", "--hash", D[7:], "payload")
        for name in ("blob", "attest"):
            (FILES / f"cosign-{name}.json").write_text(json.dumps(json.loads((at / name).read_text()), indent=1) + "\n")

        do("notation", "certificate", "generate-test", "--default", "corpus.test")
        blobs = at / "oci/blobs/sha256"
        blobs.mkdir(parents=True)

        def put(data):
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"digest": f"sha256:{digest}", "size": len(data)}

        empty = {"mediaType": "application/vnd.oci.empty.v1+json"} | put(b"{}")
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"mediaType": kind} | put(compact({"schemaVersion": 2, "mediaType": kind, "config": empty, "layers": [empty]}))
        (at / "oci/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (at / "oci/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
        before = set(blobs.iterdir())
        do("notation", "sign", "--oci-layout", f"oci@{manifest['digest']}")
        found = [json.loads(path.read_bytes()) for path in set(blobs.iterdir()) - before]
        jws = next(one for one in found if "protected" in one)
        certificate = next(at.rglob("corpus.test.crt"))
        public = run(["openssl", "x509", "-in", str(certificate), "-noout", "-pubkey"]).decode()
        saved = {"digest": manifest["digest"], "publicKeyPem": public, "jws": jws}
        (FILES / "notation.json").write_text(json.dumps(saved, indent=1) + "\n")


def topic():
    t = Topic("producers")
    payload = gcloud()
    t.attested("openssl-dgst", "`openssl dgst -sha256 -sign KEY payload`, as Google's guide has it", allow(), [occurrence(payload)])
    t.attested("openssl-dgst-pae", "the same over the PAE, as gcloud --pae-encode-payload prints it", allow(), [occurrence(payload, [signature(pae(payload))])])
    t.attested("openssl-dgst-pss", "`-sigopt rsa_padding_mode:pss` with the default salt, the longest there is", allow(),
               [occurrence(payload, [signature(payload, "rsa2048", "RSA_PSS_2048_SHA256", salt="max")])],
               attestors=[attestor("built-by-ci", [pkix("rsa2048", "RSA_PSS_2048_SHA256")])])
    t.attested("gpg-sign-armor", "`gpg --sign --armor`", allow(), [occurrence(payload, [pgp_signature(openpgp.message("pgp-rsa", payload), "pgp-rsa")])],
               attestors=[attestor("built-by-ci", [pgp("pgp-rsa")])])
    blob = json.loads((FILES / "cosign-blob.json").read_text())["messageSignature"]["signature"]
    mine = signing.key_id("p256")
    t.attested("cosign-sign-blob", "`cosign sign-blob`: a raw signature over its simple-signing payload", allow(),
               [occurrence(cosign_payload(), [{"publicKeyId": mine, "signature": blob}])])
    t.attested("cosign-sign-blob-other-payload", "the same beside a payload it was not made for", deny("BAD_SIGNATURE"),
               [occurrence(payload, [{"publicKeyId": mine, "signature": blob}])])
    envelope_ = json.loads((FILES / "cosign-attest.json").read_text())["dsseEnvelope"]
    t.attested("cosign-attest-blob", "`cosign attest-blob`: a DSSE envelope without keyid", allow(attestors=says("ATTESTED", keyId=mine, digest=D)), [dsse(envelope_)])
    t.attested("cosign-attest-blob-deprecated-place", "4.7 (e): dsseAttestation.envelope", allow(), [dsse(envelope_, wrapper=True)])
    t.attested("cosign-attest-blob-filed-elsewhere", "4.7 (e): its subject is another image", deny("WRONG_PAYLOAD"), [dsse(envelope_, digest=OTHER)],
               subject=f"{REPOSITORY}@{OTHER}")
    t.attested("cosign-bundle-as-occurrence", "a bundle is no occurrence", deny("NO_ATTESTATION"), [{"raw": json.dumps(json.loads((FILES / "cosign-attest.json").read_text()))}])
    notation = json.loads((FILES / "notation.json").read_text())
    jws, digest = notation["jws"], notation["digest"]
    der = base64.b64decode("".join(notation["publicKeyPem"].splitlines()[1:-1]))
    theirs = "ni:///sha-256;" + base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    key = {"id": theirs, "pkixPublicKey": {"publicKeyPem": notation["publicKeyPem"], "signatureAlgorithm": "RSA_PSS_2048_SHA256"}}
    text = ".".join([jws["protected"], jws["payload"], jws["signature"]])
    where = {"attestors": [attestor("built-by-ci", [key])], "subject": f"{REPOSITORY}@{digest}"}
    t.attested("notation-jws", "4.7 (f): notation's header has crit and no kid", deny("MALFORMED_SIGNATURE"),
               [occurrence(b"", jwts=[text], digest=digest)], open=True, **where)
    t.attested("notation-jws-as-signature", "its signature is over the JWS signing input, filed as payload: it holds, and says nothing of ours", deny("WRONG_PAYLOAD"),
               [occurrence(f"{jws['protected']}.{jws['payload']}".encode(), [{"publicKeyId": theirs, "signature": jws["signature"]}], digest=digest)], **where)
    return t


import base64  # noqa: E402
