"""Keys and signatures: openssl makes them, `signatures.json` keeps them.

ECDSA, PSS and OpenPGP signatures differ each time they are made. Whatever was made once is taken from
the file, so that a second run changes nothing.
"""

import base64
import hashlib
import json
import pathlib
import random
import subprocess
import tempfile

from . import mldsa

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEYS = ROOT / "keys"
CACHE = ROOT / "signatures.json"

_cache = json.loads(CACHE.read_text()) if CACHE.exists() else {}
_used = set()

GENERATE = {
    "p256": ["ecparam", "-name", "prime256v1", "-genkey", "-noout"],
    "p384": ["ecparam", "-name", "secp384r1", "-genkey", "-noout"],
    "p521": ["ecparam", "-name", "secp521r1", "-genkey", "-noout"],
    "secp256k1": ["ecparam", "-name", "secp256k1", "-genkey", "-noout"],
    "rsa1024": ["genrsa", "1024"],
    "rsa2048": ["genrsa", "2048"],
    "rsa3072": ["genrsa", "3072"],
    "rsa4096": ["genrsa", "4096"],
    "ed25519": ["genpkey", "-algorithm", "ed25519"],
}

# Declared algorithm -> kind of key, hash, PSS.
ALGORITHMS = {
    "RSA_PSS_2048_SHA256": ("rsa2048", "sha256", True),
    "RSA_PSS_3072_SHA256": ("rsa3072", "sha256", True),
    "RSA_PSS_4096_SHA256": ("rsa4096", "sha256", True),
    "RSA_PSS_4096_SHA512": ("rsa4096", "sha512", True),
    "RSA_SIGN_PKCS1_2048_SHA256": ("rsa2048", "sha256", False),
    "RSA_SIGN_PKCS1_3072_SHA256": ("rsa3072", "sha256", False),
    "RSA_SIGN_PKCS1_4096_SHA256": ("rsa4096", "sha256", False),
    "RSA_SIGN_PKCS1_4096_SHA512": ("rsa4096", "sha512", False),
    "ECDSA_P256_SHA256": ("p256", "sha256", False),
    "ECDSA_P384_SHA384": ("p384", "sha384", False),
    "ECDSA_P521_SHA512": ("p521", "sha512", False),
    "ML_DSA_65": ("mldsa65", None, False),
}


def cached(name, make):
    """Bytes that are made once."""
    _used.add(name)
    if name not in _cache:
        _cache[name] = base64.b64encode(make()).decode()
    return base64.b64decode(_cache[name])


def save():
    """Writes what is in use, in order."""
    kept = {name: _cache[name] for name in sorted(_used)}
    CACHE.write_text(json.dumps(kept, indent=1) + "\n")


def run(command, data=b"", **options):
    return subprocess.run(command, input=data, check=True, capture_output=True, **options).stdout


def kind(key):
    """`rsa2048-b` is a key of kind `rsa2048`."""
    return key.split("-")[0]


def private(key):
    """Path of a private key, made if it is not there."""
    path = KEYS / f"TEST-ONLY-{key}.pem"
    if not path.exists():
        path.write_bytes(run(["openssl", *GENERATE[kind(key)]]))
    return path


def _seed(key):
    return hashlib.sha256(f"TEST ONLY {key}".encode()).digest()


def der(key):
    """DER SubjectPublicKeyInfo."""
    if kind(key) == "mldsa65":
        return mldsa.spki(_seed(key))
    if kind(key) == "rsa16384":
        return _rsa_spki(16384)
    if kind(key) == "p256kat":
        return base64.b64decode(VECTOR_P256)
    if kind(key) == "rsa2048kat":
        return base64.b64decode(VECTOR_RSA)
    return run(["openssl", "pkey", "-in", str(private(key)), "-pubout", "-outform", "DER"])


def pem(key):
    body = base64.b64encode(der(key)).decode()
    lines = "\n".join(body[at:at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def key_id(key):
    digest = hashlib.sha256(der(key)).digest()
    return "ni:///sha-256;" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def sign(key, algorithm, message, salt="digest"):
    """Signature bytes as Binary Authorization wants them; `salt` is openssl's `rsa_pss_saltlen`."""
    _, digest, pss = ALGORITHMS[algorithm]
    if kind(key) == "mldsa65":
        return mldsa.sign(_seed(key), message)
    command = ["openssl", "dgst", f"-{digest}", "-sign", str(private(key))]
    if pss:
        command += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", f"rsa_pss_saltlen:{salt}"]
    name = f"{key} {algorithm}{'' if salt == 'digest' else ' salt ' + salt} {hashlib.sha256(message).hexdigest()}"
    return cached(name, lambda: run(command, message))


def sign_jws(key, algorithm, message):
    """The same as JWS has it: raw r||s for ECDSA (RFC 7518, 3.4)."""
    signature = sign(key, algorithm, message)
    if not algorithm.startswith("ECDSA"):
        return signature
    size = {"p256": 32, "p384": 48, "p521": 66}[kind(key)]
    return raw_ecdsa(signature, size)


def raw_ecdsa(signature, size):
    at = 3 if signature[1] & 0x80 else 2
    numbers = []
    for _ in range(2):
        assert signature[at] == 2
        length = signature[at + 1]
        numbers.append(int.from_bytes(signature[at + 2:at + 2 + length], "big"))
        at += 2 + length
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def _length(size):
    if size < 128:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def tlv(tag, content):
    return bytes([tag]) + _length(len(content)) + content


def _rsa_spki(bits):
    """A modulus of the right size that is nobody's: such keys are refused before anything is verified."""
    modulus = random.Random(16384).getrandbits(bits) | 1 << (bits - 1) | 1
    number = b"\x00" + modulus.to_bytes(bits // 8, "big")
    key = tlv(0x30, tlv(2, number) + tlv(2, b"\x01\x00\x01"))
    oid = bytes.fromhex("06092a864886f70d0101010500")
    return tlv(0x30, tlv(0x30, oid) + tlv(3, b"\x00" + key))


def temporary():
    return tempfile.TemporaryDirectory(prefix="corpus-")


VECTOR_P256 = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvgIMsXWHkzCb6RxjV0BrxMypUsr2"
    "IT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ=="
)
VECTOR_RSA = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3yLN9RfXNU6wtocRsdEx"
    "EIjfZbBE4VcjZfA8IO92Wnm7+s3bceOatiPDoHtOicNv0zoFh7pavtAkfwUA7x/d"
    "HkGOS79dU1N65EFSSvOgGUBxVqDgdMyF4H4dMGKxJH/YWSxqPM6CaAK02b5Dnyy9"
    "Asxoiv5b53YjOz2qRuJ2AwMGRvVRQF0x4ccB/djaHVj6NG2MsEgq2Jxv6PFAuIuE"
    "hFI60mTCtNxnVmuohDOnG9zlrr/L3fsS8IR/Ebgfur4IW+3tqO5fh84eyTs66pgF"
    "Za80jnHszlxadmotxc/nx+4D4pTdk4ih6x8hXoQwXp8ZBM1JuRo3UIiyT2Py0PCz"
    "XwIDAQAB"
)
