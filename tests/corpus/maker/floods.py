"""Much that is bad beside little that is good."""

from .shapes import *


def topic():
    t = Topic("floods")
    n, old, new = 10_000, "2026-01-01T00:00:00Z", "2026-11-23T00:00:00Z"
    good = occurrence()

    def flood(of, count=n):
        return {"repeat": count, "of": of}

    rows = [
        ("foreign-note", occurrence(note="scanned", created=new), "they are not of this note"),
        ("foreign-digest", occurrence(digest=OTHER, created=new), "they are of another image"),
        ("unknown-key", occurrence(gcloud(), [signature(gcloud(), "p256-b")], created=new), "a key id nobody has costs nothing"),
        ("malformed-signature", occurrence(gcloud(), [{"publicKeyId": signing.key_id("p256"), "signature": "AAAA"}], created=new), "what is no signature costs nothing"),
        ("malformed-json", {"raw": "{"}, "what cannot be read counts for nothing"),
        ("older-bad-signature", occurrence(gcloud(), [signature(gcloud(OTHER))], created=old), "newest first: the good one is looked at first"),
        ("older-wrong-payload", occurrence(gcloud(OTHER), uri=f"https://{IMAGE}", created=old), "newest first: the good one is looked at first"),
        ("malformed-jwt", occurrence(b"", jwts=["x.y.z"], created=new), "what is no JWT costs nothing"),
        ("dsse-unknown-key", dsse(envelope(statement("https://x.example/p", {}), key="p256-b", keyid="somebody"), created=new), "an envelope that no key verifies"),
        ("good", occurrence(created=old), "the same attestation many times"),
    ]
    for name, of, why in rows:
        t.attested(f"flood-{name}-then-good", why, allow(), [flood(of), good])
        if name != "good":
            t.attested(f"flood-good-then-{name}", why, allow(), [good, flood(of)])
    t.attested("flood-unknown-key-alone", "all of them bad", deny("UNKNOWN_KEY"), [flood(rows[2][1])])
    t.attested("flood-malformed-alone", "all of them bad", deny("MALFORMED_SIGNATURE"), [flood(rows[3][1])])
    t.attested("flood-foreign-alone", "all of them somebody else's", deny("NO_ATTESTATION"), [flood(rows[0][1]), flood(rows[1][1])])
    t.attested("flood-bad-signature-alone", "all of them bad, more than are checked", deny("BAD_SIGNATURE"), [flood(rows[5][1])])
    t.attested("flood-newer-bad-signature", "what is the same need be checked but once", allow(),
               [flood(occurrence(gcloud(), [signature(gcloud(OTHER))], created=new)), good], open=True)
    newer = [occurrence(gcloud(), [bad(at)], created=new, id=f"b{at}") for at in range(257)]
    older = [occurrence(gcloud(), [bad(at)], created=old, id=f"b{at}") for at in range(257, 386)]
    t.attested("flood-386-bad-signatures-around", "at most 256 are checked: neither from the newest nor from both ends is the good one reached", deny("TOO_MANY_SIGNATURES"),
               [*newer, good, *older], open=True)
    t.attested("flood-129-older-bad-signatures", "newest first: the good one is the first", allow(), [*older, good])
    t.attested("flood-300-bad-signatures-in-one-occurrence", "one occurrence does not use up what others may be checked for", allow(),
               [occurrence(gcloud(), [bad(at) for at in range(300)], created=new, id="b"), good], open=True)
    t.attested("flood-255-newer-bad-signatures", "at most 256 are checked: the good one is the last", allow(),
               [flood(occurrence(gcloud(), [signature(gcloud(OTHER))], created=new), 255), good])
    wide = "occurrences/many-signatures.json"
    t.attested("flood-within-one-occurrence", "10,000 signatures of nobody and a good one behind them, in one document", allow(), [wide])
    t.attested("flood-of-attestors", "two attestors are looked for among what is filed for one", deny("NO_ATTESTATION", attestors=says("ATTESTED") | says("NO_ATTESTATION", "scanned")),
               [flood(good)], require("built-by-ci", "scanned"), [CI, SCANNED])
    return t


def bad(number):
    """Of the shape of a signature, under our id, and no two alike."""
    half = [bytes.fromhex(sha256(f"{number} {name}".encode())) for name in "rs"]
    integers = b"".join(signing.tlv(2, b"\x00" + one if one[0] & 0x80 else one.lstrip(b"\x00")) for one in half)
    return {"publicKeyId": signing.key_id("p256"), "signature": b64(signing.tlv(0x30, integers))}


def many_signatures():
    """Just under 1 MiB."""
    payload = gcloud()
    nobody = [{"publicKeyId": f"k{n}", "signature": "AAAA"} for n in range(10_000)]
    return occurrence(payload, [*nobody, signature(payload)], id="many")
