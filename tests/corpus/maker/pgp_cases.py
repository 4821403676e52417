"""OpenPGP attestations."""

from . import openpgp
from .openpgp import fingerprint, message
from .shapes import *


def with_pgp(*names):
    return [attestor("built-by-ci", [pgp(name) for name in names])]


def signed(name, text=None, payload=None, id=None):
    payload = gcloud() if payload is None else payload
    return occurrence(payload, [pgp_signature(message(name, gcloud()) if text is None else text, name, id)])


def topic():
    t = Topic("openpgp")
    payload = gcloud()
    raw = ("-z", "0")
    for name in ("pgp-rsa", "pgp-p256", "pgp-p384", "pgp-p521", "pgp-ed25519"):
        t.attested(f"{name}-good", "4.7 (d): gpg --sign --armor, base64 in v1",
                   allow(attestors=says("ATTESTED", keyId=fingerprint(name), digest=D)), [signed(name)], attestors=with_pgp(name))
    t.attested("pgp-v1beta1", "4.3: the message itself as a string", allow(), [beta(pgp_signed(message("pgp-rsa", payload), "pgp-rsa"))], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-v1beta1-base64", "4.3: early Kritis encoded the string once more", allow(),
               [beta(pgp_signed(b64(message("pgp-rsa", payload)), "pgp-rsa"))], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-v1beta1-crlf", "line ends of armor", allow(),
               [beta(pgp_signed(message("pgp-rsa", payload).replace("\n", "\r\n"), "pgp-rsa"))], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-v1beta1-tampered", "the payload is what the message contains", deny("BAD_SIGNATURE"),
               [beta(pgp_signed(openpgp.tamper(message("pgp-rsa", payload, extra=raw), b"abababab" * 8, b"cdcdcdcd" * 8), "pgp-rsa"),
                     uri=f"https://{REPOSITORY}@{OTHER}")], attestors=with_pgp("pgp-rsa"), subject=f"{REPOSITORY}@{OTHER}")
    t.attested("pgp-v1beta1-other-digest", "the message is about another image", deny("WRONG_PAYLOAD"),
               [beta(pgp_signed(message("pgp-rsa", gcloud(OTHER)), "pgp-rsa"))], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-v1beta1-garbage", "neither armor nor base64 of it", deny("MALFORMED_SIGNATURE"), [beta(pgp_signed("garbage", "pgp-rsa"))], attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-generic", "4.3: v1beta1 generic with a message as signature", allow(),
               [beta(generic(payload, [pgp_signature(message("pgp-rsa", payload), "pgp-rsa")]))], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-uncompressed", "RFC 4880, 11.3: a literal packet need not be compressed", allow(),
               [signed("pgp-rsa", message("pgp-rsa", payload, extra=raw))], attestors=with_pgp("pgp-rsa"))
    for name in ("zlib", "bzip2"):
        t.attested(f"pgp-{name}", "RFC 4880, 9.3: compression", allow(),
                   [signed("pgp-rsa", message("pgp-rsa", payload, extra=("--compress-algo", name)))], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-binary-message", "the packets without armor", allow(),
               [signed("pgp-rsa", openpgp.dearmor(message("pgp-rsa", payload)))], attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-no-payload-beside", "the message is the payload where none is filed beside it", allow(),
               [{**signed("pgp-rsa"), "attestation": {"signatures": [pgp_signature(message("pgp-rsa", payload), "pgp-rsa")]}}],
               attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-literal-differs", "4.7 (d): literal bytes == serializedPayload", deny("WRONG_PAYLOAD"),
               [signed("pgp-rsa", payload=compact(simple()))], attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-literal-is-another-image", "the payload beside it is a stranger's claim", deny("WRONG_PAYLOAD"),
               [signed("pgp-rsa", message("pgp-rsa", gcloud(OTHER)))], attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-tampered", "one byte of the signed text", deny("BAD_SIGNATURE"),
               [signed("pgp-rsa", openpgp.tamper(message("pgp-rsa", payload, extra=raw), b"team/app", b"team/apq"), gcloud(reference=REPOSITORY[:-1] + "q"))],
               attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-other-payload", "signed with this key, about another image", deny("WRONG_PAYLOAD"),
               [occurrence(gcloud(OTHER), [pgp_signature(message("pgp-rsa", gcloud(OTHER)), "pgp-rsa")])], attestors=with_pgp("pgp-rsa"))

    # Whose signature
    t.attested("pgp-wrong-key", "signed by another key under this key's id", deny("BAD_SIGNATURE"),
               [signed("pgp-rsa-b", id=fingerprint("pgp-rsa"))], attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-unknown-id", "no key of that fingerprint", deny("UNKNOWN_KEY"), [signed("pgp-rsa-b")], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-second-key", "any one key may verify", allow(attestors=says("ATTESTED", keyId=fingerprint("pgp-rsa-b"))), [signed("pgp-rsa-b")],
               attestors=with_pgp("pgp-rsa", "pgp-rsa-b"))
    t.attested("pgp-ids-exchanged", "the id selects the key; another key of the attestor does not stand in", deny("BAD_SIGNATURE"),
               [signed("pgp-rsa-b", id=fingerprint("pgp-rsa"))], attestors=with_pgp("pgp-rsa", "pgp-rsa-b"), open=True)
    t.attested("pgp-subkey", "a signing subkey, under the primary's fingerprint", allow(attestors=says("ATTESTED", keyId=fingerprint("pgp-subkey"))),
               [signed("pgp-subkey")], attestors=with_pgp("pgp-subkey"))
    t.attested("pgp-subkey-by-its-own-fingerprint", "3.2: the id is the primary's fingerprint", deny("UNKNOWN_KEY"),
               [signed("pgp-subkey", id=openpgp.subkey_fingerprint("pgp-subkey"))], attestors=with_pgp("pgp-subkey"))
    t.attested("pgp-openpgp4fpr", "3.2: openpgp4fpr:X is X", allow(attestors=says("ATTESTED", keyId=fingerprint("pgp-rsa"))),
               [signed("pgp-rsa", id="openpgp4fpr:" + fingerprint("pgp-rsa"))], attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-openpgp4fpr-of-another", "3.2: openpgp4fpr:X is X and nobody else", deny("UNKNOWN_KEY"),
               [signed("pgp-rsa", id="openpgp4fpr:" + fingerprint("pgp-rsa-b"))], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-lower-case-id", "3.2: 40 upper-case digits, exact", deny("UNKNOWN_KEY"),
               [signed("pgp-rsa", id=fingerprint("pgp-rsa").lower())], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-short-id", "3.2: exact", deny("UNKNOWN_KEY"), [signed("pgp-rsa", id=fingerprint("pgp-rsa")[-16:])], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-id-absent-in-the-attestor", "3.2: the id is computed", allow(), [signed("pgp-rsa")],
               attestors=[attestor("built-by-ci", [{"asciiArmoredPgpPublicKey": openpgp.certificate("pgp-rsa")}])])
    t.attested("pgp-crlf-certificate", "3.3: LF or CRLF", allow(), [signed("pgp-rsa")],
               attestors=[attestor("built-by-ci", [{"asciiArmoredPgpPublicKey": openpgp.certificate("pgp-rsa").replace("\n", "\r\n")}])])
    t.attested("pgp-message-under-pkix-id", "the kind of key decides what a signature is", deny("MALFORMED_SIGNATURE"),
               [occurrence(payload, [pgp_signature(message("pgp-rsa", payload), "pgp-rsa", id=signing.key_id("p256"))])])
    t.attested("pkix-signature-under-pgp-id", "the kind of key decides what a signature is", deny("MALFORMED_SIGNATURE"),
               [occurrence(payload, [signature(payload, id=fingerprint("pgp-rsa"))])], attestors=with_pgp("pgp-rsa"))
    t.attested("pgp-and-pkix-keys", "both kinds on one attestor", allow(attestors=says("ATTESTED", keyId=signing.key_id("p256"))), [occurrence()],
               attestors=[attestor("built-by-ci", [pgp("pgp-rsa"), pkix("p256", P256)])])

    # Times
    t.attested("pgp-before-expiry", "our choice: only what was signed after the key's end is refused", allow(),
               [signed("pgp-expires", message("pgp-expires", payload, clock="20260301T000000"))], attestors=with_pgp("pgp-expires"))
    t.attested("pgp-after-expiry", "signed after the key's end", deny("KEY_EXPIRED", attestors=says("KEY_EXPIRED")),
               [signed("pgp-expires", message("pgp-expires", payload, clock="20260901T000000"))], attestors=with_pgp("pgp-expires"))
    for name, days in (("expired", "30d"), ("expires", "3650d")):
        t.attested(f"pgp-signature-{name}", "our choice: a signature that itself ends is refused, whenever that is", deny("MALFORMED_SIGNATURE"),
                   [signed("pgp-rsa", message("pgp-rsa", payload, extra=("--default-sig-expire", days)))], attestors=with_pgp("pgp-rsa"), open=True)
    for name, words in (("pgp-hard", "compromised"), ("pgp-no-reason", "no reason given")):
        for when, clock in (("before", "20260301T000000"), ("after", "20260901T000000")):
            t.attested(f"{name}-revoked-signed-{when}", f"revoked, {words}: nothing it signed counts", deny("KEY_REVOKED", attestors=says("KEY_REVOKED")),
                       [signed(name, message(name, payload, clock=clock))], attestors=with_pgp(name))
    for name, words in (("pgp-soft", "retired"), ("pgp-superseded", "superseded")):
        t.attested(f"{name}-revoked-signed-before", f"revoked, {words}: what it signed before counts", allow(),
                   [signed(name, message(name, payload, clock="20260301T000000"))], attestors=with_pgp(name))
        t.attested(f"{name}-revoked-signed-after", f"revoked, {words}: what it signed after does not", deny("KEY_REVOKED"),
                   [signed(name, message(name, payload, clock="20260901T000000"))], attestors=with_pgp(name))

    # What is not an attached message with one signature
    for name, text, why in (
        ("pgp-detached", message("pgp-rsa", payload, "--detach-sign"), "4.7 (d): detached is refused"),
        ("pgp-clearsigned", message("pgp-rsa", payload, "--clear-sign"), "4.7 (d): clearsigned is refused"),
        ("pgp-two-signatures", message(["pgp-rsa", "pgp-rsa-b"], payload), "4.7 (d): exactly one signature"),
        ("pgp-text-mode", message("pgp-rsa", payload, extra=("--textmode",)), "4.7 (d): signature class 0x00"),
        ("pgp-encrypted", openpgp.encrypted("pgp-encrypt", payload), "no message we could open"),
        ("pgp-unsigned", openpgp.armor(openpgp.literal(payload)), "a literal packet that nobody signed"),
        ("pgp-bomb", openpgp.bomb(16 << 20), "some kilobytes that would open to 16 MiB"),
        ("pgp-nested", openpgp.quine(64), "compressed within compressed, 64 deep"),
        ("pgp-empty", "", "nothing"),
        ("pgp-armor-of-nothing", openpgp.armor(b""), "no packet"),
        ("pgp-cut", openpgp.armor(openpgp.dearmor(message("pgp-rsa", payload))[:-40]), "the end is missing"),
        ("pgp-public-key-as-message", openpgp.certificate("pgp-rsa"), "a certificate is no message"),
    ):
        t.attested(name, why, deny("MALFORMED_SIGNATURE"), [signed("pgp-rsa", text)], attestors=with_pgp("pgp-rsa"), open=True)
    t.attested("pgp-bomb-beside-a-good-one", "a bad signature never spoils a good one", allow(),
               [occurrence(payload, [pgp_signature(openpgp.bomb(16 << 20), "pgp-rsa"), pgp_signature(message("pgp-rsa", payload), "pgp-rsa")])],
               attestors=with_pgp("pgp-rsa"))
    # Certificates
    for name, text in (("garbage", "garbage"), ("message", message("pgp-rsa", payload)), ("two", openpgp.certificate("pgp-rsa") + openpgp.certificate("pgp-rsa-b")),
                       ("cut", openpgp.armor(openpgp.dearmor(openpgp.certificate("pgp-rsa"))[:-40], "PUBLIC KEY BLOCK")), ("empty", "")):
        t.attested(f"refused-certificate-{name}", "an attestor whose key cannot be read is refused", deny("ATTESTOR_MISSING"), [signed("pgp-rsa")],
                   attestors=[attestor("built-by-ci", [{"asciiArmoredPgpPublicKey": text}])], open=name in ("cut", "empty"))
    return t
