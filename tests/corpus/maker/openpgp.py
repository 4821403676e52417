"""OpenPGP keys and messages by gpg, with a clock of its own; packets by hand where gpg would not.

A key is known by a short name. Its secret half and the certificate an attestor trusts are kept under
`keys/`; gpg runs in a home folder that is thrown away.
"""

import base64
import hashlib
import re
import zlib

from .signing import KEYS, cached, run, temporary

CREATED = "20260101T000000"

# Short name -> arguments of --quick-gen-key (algorithm, usage, expiry) and what is done to the key then.
PLANS = {
    "pgp-rsa": ("rsa2048", "sign", "never", None),
    "pgp-rsa-b": ("rsa2048", "sign", "never", None),
    "pgp-p256": ("nistp256", "sign", "never", None),
    "pgp-p384": ("nistp384", "sign", "never", None),
    "pgp-p521": ("nistp521", "sign", "never", None),
    "pgp-ed25519": ("ed25519", "sign", "never", None),
    "pgp-subkey": ("rsa2048", "cert", "never", "subkey"),
    "pgp-encrypt": ("rsa2048", "cert", "never", "encrypt"),
    "pgp-expires": ("rsa2048", "sign", "150d", "expires"),
    "pgp-hard": ("rsa2048", "sign", "never", "1"),
    "pgp-soft": ("rsa2048", "sign", "never", "3"),
    "pgp-superseded": ("rsa2048", "sign", "never", "2"),
    "pgp-no-reason": ("rsa2048", "sign", "never", "0"),
}
REVOKED = "20260601T000000"


def _gpg(home, arguments, data=b"", clock=CREATED, batch=True):
    command = ["gpg", "--homedir", home, "--no-tty", "--no-permission-warning", "--quiet",
               "--pinentry-mode", "loopback", "--passphrase", "", "--faked-system-time", clock + "!"]
    return run(command + (["--batch", "--yes"] if batch else []) + arguments, data)


def _stop(home):
    run(["gpgconf", "--homedir", home, "--kill", "all"])


def _make(name):
    algorithm, usage, expiry, then = PLANS[name]
    with temporary() as home:
        user = f"TEST ONLY {name} <{name}@example.com>"
        _gpg(home, ["--quick-gen-key", user, algorithm, usage, expiry])
        listing = _gpg(home, ["--list-keys", "--with-colons"]).decode()
        print_ = re.search(r"^fpr:+([0-9A-F]{40}):", listing, re.M).group(1)
        if then == "subkey":
            _gpg(home, ["--quick-add-key", print_, "rsa2048", "sign"])
        if then == "encrypt":
            _gpg(home, ["--quick-add-key", print_, "rsa2048", "encrypt"])
        secret = _gpg(home, ["--armor", "--export-secret-keys", print_])
        public = _gpg(home, ["--armor", "--export", print_])
        if then == "expires":  # the signer's copy lives on, or gpg would not sign after the end
            _gpg(home, ["--quick-set-expire", print_, "0"], clock="20260102T000000")
            secret = _gpg(home, ["--armor", "--export-secret-keys", print_])
        if then and then.isdigit():
            answers = f"y\n{then}\n\ny\n".encode()
            revocation = _gpg(home, ["--command-fd", "0", "--armor", "--gen-revoke", print_], answers,
                              clock=REVOKED, batch=False)
            _gpg(home, ["--import"], revocation, clock=REVOKED)
            public = _gpg(home, ["--armor", "--export", print_])
        _stop(home)
    (KEYS / f"TEST-ONLY-{name}.secret.asc").write_bytes(secret)
    (KEYS / f"TEST-ONLY-{name}.public.asc").write_bytes(public)


def certificate(name):
    """The armored certificate an attestor trusts."""
    path = KEYS / f"TEST-ONLY-{name}.public.asc"
    if not path.exists():
        _make(name)
    return path.read_text()


def packets(data):
    """(tag, body) of each packet of unencumbered binary data, new and old headers, no partial lengths."""
    at = 0
    while at < len(data):
        head = data[at]
        if head & 0x40:
            tag, first = head & 0x3F, data[at + 1]
            if first < 192:
                size, skip = first, 2
            elif first < 224:
                size, skip = (first - 192 << 8) + data[at + 2] + 192, 3
            else:
                size, skip = int.from_bytes(data[at + 2:at + 6], "big"), 6
        else:
            tag, width = head >> 2 & 15, 1 << (head & 3)
            if width == 8:  # indeterminate
                size, skip = len(data) - at - 1, 1
            else:
                size, skip = int.from_bytes(data[at + 1:at + 1 + width], "big"), 1 + width
        yield tag, data[at + skip:at + skip + size]
        at += skip + size


def packet(tag, body):
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def dearmor(text):
    lines = text.strip().splitlines()
    body = lines[lines.index("") + 1:-1]
    return base64.b64decode("".join(line for line in body if not line.startswith("=")))


def armor(data, what="MESSAGE"):
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    body = base64.b64encode(data).decode()
    lines = "\n".join(body[at:at + 64] for at in range(0, len(body), 64))
    check = base64.b64encode(crc.to_bytes(3, "big")).decode()
    return f"-----BEGIN PGP {what}-----\n\n{lines}\n={check}\n-----END PGP {what}-----\n"


def _fingerprint(body):
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()


def fingerprint(name):
    return next(_fingerprint(body) for tag, body in packets(dearmor(certificate(name))) if tag == 6)


def subkey_fingerprint(name):
    return next(_fingerprint(body) for tag, body in packets(dearmor(certificate(name))) if tag == 14)


def message(names, data, how="--sign", clock="20260301T000000", extra=()):
    """What `gpg --armor HOW` makes of `data`, signed by each of `names`."""
    names = [names] if isinstance(names, str) else names
    key = f"{'+'.join(names)} {how} {clock} {' '.join(extra)} {hashlib.sha256(data).hexdigest()}"

    def make():
        for name in names:
            certificate(name)
        with temporary() as home:
            users = []
            for name in names:
                _gpg(home, ["--import", str(KEYS / f"TEST-ONLY-{name}.secret.asc")], clock=clock)
                users += ["--local-user", f"{name}@example.com"]
            try:
                return _gpg(home, [*extra, *users, "--armor", how], data, clock=clock)
            finally:
                _stop(home)

    return cached(key, make).decode()


def encrypted(name, data):
    """Signed by nobody, encrypted to `name`."""
    def make():
        certificate(name)
        with temporary() as home:
            _gpg(home, ["--import", str(KEYS / f"TEST-ONLY-{name}.public.asc")])
            try:
                return _gpg(home, ["--armor", "--trust-model", "always", "-r", f"{name}@example.com", "--encrypt"], data)
            finally:
                _stop(home)
    return cached(f"{name} --encrypt {hashlib.sha256(data).hexdigest()}", make).decode()


def literal(data):
    return packet(11, b"b\x00\x00\x00\x00\x00" + data)


def bomb(size):
    """A compressed packet of a few kilobytes that would open to `size` bytes of literal data."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = bytes([0xC0 | 11, 0xFF]) + (size + 6).to_bytes(4, "big") + b"b\x00\x00\x00\x00\x00"
    out = press.compress(head)
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        out += press.compress(block)
    return armor(packet(8, b"\x01" + out + press.flush()))


def quine(depth):
    """Compressed packets within compressed packets."""
    data = literal(b"x")
    for _ in range(depth):
        press = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = packet(8, b"\x01" + press.compress(data) + press.flush())
    return armor(data)


def tamper(text, old, new):
    """Changes bytes of the literal data of an uncompressed message."""
    data = dearmor(text)
    assert data.count(old) == 1 and len(old) == len(new)
    return armor(data.replace(old, new))
