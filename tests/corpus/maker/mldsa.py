"""ML-DSA-65 (FIPS 204): key generation and deterministic signing, for tests.

openssl signs with ML-DSA only from 3.5 on, which few distributions have. This is slow, leaks its key
through timing and checks nothing: it makes test vectors and must not be used for anything else.
"""

import hashlib

Q, D, TAU, GAMMA1, GAMMA2 = 8380417, 13, 49, 1 << 19, (8380417 - 1) // 32
K, L, ETA, OMEGA, CTILDE = 6, 5, 4, 55, 48
BETA = TAU * ETA
OID = bytes.fromhex("0609608648016503040312")  # 2.16.840.1.101.3.4.3.18


def _reverse8(value):
    return int(f"{value:08b}"[::-1], 2)


ZETAS = [pow(1753, _reverse8(k), Q) for k in range(256)]


def _shake(bits, data, length):
    return (hashlib.shake_128 if bits == 128 else hashlib.shake_256)(data).digest(length)


def _ntt(poly):
    w, m, length = list(poly), 0, 128
    while length >= 1:
        for start in range(0, 256, 2 * length):
            m += 1
            zeta = ZETAS[m]
            for j in range(start, start + length):
                t = zeta * w[j + length] % Q
                w[j + length], w[j] = (w[j] - t) % Q, (w[j] + t) % Q
        length //= 2
    return w


def _inverse_ntt(poly):
    w, m, length = list(poly), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            m -= 1
            zeta = -ZETAS[m]
            for j in range(start, start + length):
                t = w[j]
                w[j], w[j + length] = (t + w[j + length]) % Q, zeta * (t - w[j + length]) % Q
        length *= 2
    return [x * 8347681 % Q for x in w]


def _add(a, b):
    return [(x + y) % Q for x, y in zip(a, b)]


def _mul(a, b):
    return [x * y % Q for x, y in zip(a, b)]


def _uniform(seed):
    """RejNTTPoly."""
    stream, out, at = _shake(128, seed, 2000), [], 0
    while len(out) < 256:
        value = stream[at] | stream[at + 1] << 8 | (stream[at + 2] & 0x7F) << 16
        at += 3
        if value < Q:
            out.append(value)
    return out


def _small(seed):
    """RejBoundedPoly for eta 4."""
    out = []
    for byte in _shake(256, seed, 1000):
        for half in (byte & 15, byte >> 4):
            if half < 9 and len(out) < 256:
                out.append((4 - half) % Q)
    return out


def _matrix(rho):
    return [[_uniform(rho + bytes([s, r])) for s in range(L)] for r in range(K)]


def _centered(value):
    value %= Q
    return value - Q if value > Q // 2 else value


def _power2round(value):
    low = value & ((1 << D) - 1)
    low = low - (1 << D) if low > 1 << (D - 1) else low
    return (value - low) >> D, low


def _decompose(value):
    value %= Q
    low = value % (2 * GAMMA2)
    low = low - 2 * GAMMA2 if low > GAMMA2 else low
    if value - low == Q - 1:
        return 0, low - 1
    return (value - low) // (2 * GAMMA2), low


def _pack(values, bits):
    total = 0
    for index, value in enumerate(values):
        total |= value << (index * bits)
    return total.to_bytes(len(values) * bits // 8, "little")


def _challenge(seed):
    """SampleInBall."""
    stream = _shake(256, seed, 2000)
    signs, at, c = int.from_bytes(stream[:8], "little"), 8, [0] * 256
    for i in range(256 - TAU, 256):
        while stream[at] > i:
            at += 1
        j = stream[at]
        at += 1
        c[i] = c[j]
        c[j] = Q - 1 if signs & 1 else 1
        signs >>= 1
    return c


def _times(matrix, vector):
    rows = []
    for row in matrix:
        total = [0] * 256
        for a, b in zip(row, vector):
            total = _add(total, _mul(a, b))
        rows.append(total)
    return rows


def _expand(seed):
    stream = _shake(256, seed + bytes([K, L]), 128)
    rho, rho2, key = stream[:32], stream[32:96], stream[96:]
    s1 = [_small(rho2 + r.to_bytes(2, "little")) for r in range(L)]
    s2 = [_small(rho2 + r.to_bytes(2, "little")) for r in range(L, L + K)]
    a = _matrix(rho)
    product = [_inverse_ntt(row) for row in _times(a, [_ntt(s) for s in s1])]
    t1, t0 = [], []
    for row, s in zip(product, s2):
        pairs = [_power2round(value) for value in _add(row, s)]
        t1.append([high for high, _ in pairs])
        t0.append([low % Q for _, low in pairs])
    public = rho + b"".join(_pack(poly, 10) for poly in t1)
    return a, key, s1, s2, t0, public


def spki(seed):
    """DER SubjectPublicKeyInfo of the key that `seed` (32 bytes) makes."""
    public = _expand(seed)[-1]
    bits = b"\x03\x82" + (len(public) + 1).to_bytes(2, "big") + b"\x00" + public
    body = b"\x30" + bytes([len(OID)]) + OID + bits
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def sign(seed, message, context=b""):
    """The deterministic variant, pure (no pre-hash)."""
    a, key, s1, s2, t0, public = _expand(seed)
    tr = _shake(256, public, 64)
    mu = _shake(256, tr + bytes([0, len(context)]) + context + message, 64)
    rho2 = _shake(256, key + bytes(32) + mu, 64)
    s1, s2, t0 = ([_ntt(poly) for poly in vector] for vector in (s1, s2, t0))
    kappa = 0
    while True:
        y = []
        for r in range(L):
            stream = int.from_bytes(_shake(256, rho2 + (kappa + r).to_bytes(2, "little"), 640), "little")
            y.append([GAMMA1 - (stream >> (20 * i) & 0xFFFFF) for i in range(256)])
        kappa += L
        w = [_inverse_ntt(row) for row in _times(a, [_ntt([v % Q for v in poly]) for poly in y])]
        w1 = b"".join(_pack([_decompose(v)[0] for v in poly], 4) for poly in w)
        ctilde = _shake(256, mu + w1, CTILDE)
        c = _ntt(_challenge(ctilde))
        cs1 = [_inverse_ntt(_mul(c, poly)) for poly in s1]
        cs2 = [_inverse_ntt(_mul(c, poly)) for poly in s2]
        z = [[_centered(p + q) for p, q in zip(a_, b_)] for a_, b_ in zip(y, cs1)]
        if max(abs(v) for poly in z for v in poly) >= GAMMA1 - BETA:
            continue
        rest = [[(p - q) % Q for p, q in zip(a_, b_)] for a_, b_ in zip(w, cs2)]
        if max(abs(_decompose(v)[1]) for poly in rest for v in poly) >= GAMMA2 - BETA:
            continue
        ct0 = [_inverse_ntt(_mul(c, poly)) for poly in t0]
        if max(abs(_centered(v)) for poly in ct0 for v in poly) >= GAMMA2:
            continue
        hints = [[int(_decompose(r)[0] != _decompose(r + t)[0]) for r, t in zip(a_, b_)]
                 for a_, b_ in zip(rest, ct0)]
        if sum(map(sum, hints)) > OMEGA:
            continue
        places, counts = bytearray(OMEGA), []
        at = 0
        for poly in hints:
            for index, bit in enumerate(poly):
                if bit:
                    places[at] = index
                    at += 1
            counts.append(at)
        packed = b"".join(_pack([GAMMA1 - v for v in poly], 20) for poly in z)
        return ctilde + packed + bytes(places) + bytes(counts)
