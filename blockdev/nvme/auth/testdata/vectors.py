"""Writes vectors.txt: whole authentications, computed from the formulas of the base
specification with Python's arithmetic and the primes of OpenSSL 3.

    python3 vectors.py > vectors.txt

The random numbers of each end are SHA-256(name || counter), one after the other; the
name is the case's and the end's. A host takes a transaction (4 bytes, the low 2 count), a
private exponent (64), a challenge and a sequence number (4); a controller a sequence
number, a challenge and an exponent.
"""
import base64
import ctypes
import hashlib
import hmac
import struct
import zlib

HOST, SUB = b"nqn.2026-01.example.host:a", b"nqn.2026-01.example.lockify:disk"
HASHES = {1: hashlib.sha256, 2: hashlib.sha384, 3: hashlib.sha512}


def prime(bits):
    c = ctypes.CDLL("libcrypto.so.3")
    for f in ("EVP_PKEY_CTX_new_from_name", "BN_bn2hex"):
        getattr(c, f).restype = ctypes.c_void_p
    ctx = ctypes.c_void_p(c.EVP_PKEY_CTX_new_from_name(None, b"DH", None))
    key, p = ctypes.c_void_p(), ctypes.c_void_p()
    if (c.EVP_PKEY_keygen_init(ctx) != 1 or c.EVP_PKEY_CTX_set_group_name(ctx, b"ffdhe%d" % bits) != 1
            or c.EVP_PKEY_generate(ctx, ctypes.byref(key)) != 1
            or c.EVP_PKEY_get_bn_param(key, b"p", ctypes.byref(p)) != 1):
        raise SystemExit("OpenSSL has no group of %d bits" % bits)
    return int(ctypes.string_at(c.BN_bn2hex(p)), 16)


PRIMES = {g: prime(bits) for g, bits in enumerate((2048, 3072, 4096, 6144, 8192), 1)}


class Random:
    def __init__(self, name):
        self.name, self.n, self.left = name.encode(), 0, b""

    def take(self, n):
        while len(self.left) < n:
            self.left += hashlib.sha256(self.name + struct.pack("<I", self.n)).digest()
            self.n += 1
        out, self.left = self.left[:n], self.left[n:]
        return out

    def number(self):
        return max(1, struct.unpack("<I", self.take(4))[0])


class Secret:
    def __init__(self, name, kind, size):
        self.kind, self.key = kind, Random(name).take(size)

    def text(self):
        crc = struct.pack("<I", zlib.crc32(self.key))
        return "DHHC-1:%02d:%s:" % (self.kind, base64.b64encode(self.key + crc).decode())

    def of(self, nqn):
        if self.kind == 0:
            return self.key
        return hmac.new(self.key, nqn + b"NVMe-over-Fabrics", HASHES[self.kind]).digest()


def response(h, secret, shared, challenge, seq, tid, role, one, other):
    if shared is not None:
        challenge = hmac.new(HASHES[h](shared).digest(), challenge, HASHES[h]).digest()
    text = challenge + struct.pack("<IHB", seq, tid, 0) + role + one + b"\0" + other
    return hmac.new(secret.of(one), text, HASHES[h]).digest()


def case(h, g, two, kind, size):
    name = "hash%d-group%d-%s-secret%d-%d" % (h, g, "two" if two else "one", kind, size)
    host, ctrl = Random(name + "-host"), Random(name + "-controller")
    secret, own = Secret(name + "-hs", kind, size), Secret(name + "-cs", kind, size)
    hl, dhl = HASHES[h]().digest_size, PRIMES[g].bit_length() // 8 if g else 0
    tid = host.number() & 0xffff
    seq1 = ctrl.number()
    c1 = ctrl.take(hl)
    shared, gx, gy = None, b"", b""
    if g:
        p = PRIMES[g]
        x, y = int.from_bytes(ctrl.take(64), "big"), int.from_bytes(host.take(64), "big")
        gx, gy = pow(2, x, p).to_bytes(dhl, "big"), pow(2, y, p).to_bytes(dhl, "big")
        shared = pow(2, x * y, p).to_bytes(dhl, "big")
    c2, seq2 = bytes(hl), 0
    if two:
        c2 = host.take(hl)
        seq2 = host.number()
    r1 = response(h, secret, shared, c1, seq1, tid, b"HostHost", HOST, SUB)
    r2 = response(h, own, shared, c2, seq2, tid, b"Controller", SUB, HOST) if two else b""
    hashes, groups = bytes([h]).ljust(30, b"\0"), bytes([g]).ljust(30, b"\0")
    common = lambda kind, number: struct.pack("<BBHH", kind, number, 0, tid)
    print("case", name, h, g, secret.text(), own.text() if two else "-")
    messages = [
        common(0, 0) + bytes([0, 1]) + bytes([1, 0, 1, 1]) + hashes + groups,
        common(1, 1) + struct.pack("<BBBBHI", hl, 0, h, g, dhl, seq1) + c1 + gx,
        common(1, 2) + struct.pack("<BBBBHI", hl, 0, int(two), 0, dhl, seq2) + r1 + c2 + gy,
        common(1, 3) + struct.pack("<BBBB", hl, 0, int(two), 0) + bytes(6) + r2,
    ]
    if two:
        messages.append(common(1, 4) + bytes(10))
    for m in messages:
        # Long ones by their hash: what is long is a public value, and r1 and r2 depend on it.
        print(m.hex() if len(m) <= 160 else "sha256 " + hashlib.sha256(m).hexdigest())


for h in HASHES:
    case(h, 0, False, 0, 32)
    case(h, 0, True, h, HASHES[h]().digest_size)
    case(h, 1, True, (h + 1) % 4, 48)
for g in PRIMES:
    case(g % 3 + 1, g, False, 1, 32)
    case((g + 1) % 3 + 1, g, True, 3, 64)
