"""ChaCha20-Poly1305 (RFC 8439) and AES-256-GCM in plain Python; open() gives None on a wrong tag."""
import struct

M32 = 0xffffffff


def _quarter(s, a, b, c, d):
    s[a] = s[a] + s[b] & M32
    x = s[d] ^ s[a]
    s[d] = (x << 16 | x >> 16) & M32
    s[c] = s[c] + s[d] & M32
    x = s[b] ^ s[c]
    s[b] = (x << 12 | x >> 20) & M32
    s[a] = s[a] + s[b] & M32
    x = s[d] ^ s[a]
    s[d] = (x << 8 | x >> 24) & M32
    s[c] = s[c] + s[d] & M32
    x = s[b] ^ s[c]
    s[b] = (x << 7 | x >> 25) & M32


def _chacha_block(key, counter, nonce):
    init = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    s = list(init)
    for _ in range(10):
        for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                  (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            _quarter(s, *q)
    return struct.pack("<16I", *((x + y) & M32 for x, y in zip(s, init)))


def _xor(data, stream):
    n = len(data)
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream[:n], "little")).to_bytes(n, "little")


def _pad16(data):
    return data + bytes(-len(data) % 16)


class ChaChaPoly:
    @staticmethod
    def nonce(n):
        return bytes(4) + n.to_bytes(8, "little")

    def __init__(self, key):
        self.key = key

    def _crypt(self, nonce, data):
        blocks = (len(data) + 63) // 64
        return _xor(data, b"".join(_chacha_block(self.key, i + 1, nonce) for i in range(blocks)))

    def _tag(self, nonce, ad, ct):
        otk = _chacha_block(self.key, 0, nonce)
        r = int.from_bytes(otk[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
        acc, p = 0, 2**130 - 5
        msg = _pad16(ad) + _pad16(ct) + struct.pack("<QQ", len(ad), len(ct))
        for i in range(0, len(msg), 16):
            acc = (acc + int.from_bytes(msg[i:i + 16] + b"\x01", "little")) * r % p
        return (acc + int.from_bytes(otk[16:32], "little") & (1 << 128) - 1).to_bytes(16, "little")

    def seal(self, n, ad, plain):
        nonce = self.nonce(n)
        ct = self._crypt(nonce, plain)
        return ct + self._tag(nonce, ad, ct)

    def open(self, n, ad, sealed):
        nonce, ct = self.nonce(n), sealed[:-16]
        if len(sealed) < 16 or self._tag(nonce, ad, ct) != sealed[-16:]:
            return None
        return self._crypt(nonce, ct)


def _make_sbox():
    sbox, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1 ^ (0x11b if p & 0x80 else 0)) & 0x1ff
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xff
        if q & 0x80:
            q ^= 0x09
        rot = lambda n: (q << n | q >> (8 - n)) & 0xff
        sbox[p] = q ^ rot(1) ^ rot(2) ^ rot(3) ^ rot(4) ^ 0x63
        if p == 1:
            break
    sbox[0] = 0x63
    return sbox


SBOX = _make_sbox()
XT = [(x << 1 ^ (0x1b if x & 0x80 else 0)) & 0xff for x in range(256)]
T0 = [XT[s] << 24 | s << 16 | s << 8 | XT[s] ^ s for s in SBOX]
TT = [T0] + [[(t >> 8 * k | t << 32 - 8 * k) & M32 for t in T0] for k in (1, 2, 3)]


def _expand(key):
    w = list(struct.unpack(">8I", key))
    sub = lambda t: SBOX[t >> 24] << 24 | SBOX[t >> 16 & 255] << 16 | SBOX[t >> 8 & 255] << 8 | SBOX[t & 255]
    rcon = 1
    for i in range(8, 60):
        t = w[i - 1]
        if i % 8 == 0:
            t = sub((t << 8 | t >> 24) & M32) ^ rcon << 24
            rcon = XT[rcon]
        elif i % 8 == 4:
            t = sub(t)
        w.append(w[i - 8] ^ t)
    return w


def _aes(w, block):
    s = [x ^ k for x, k in zip(struct.unpack(">4I", block), w[:4])]
    a, b, c, d = TT
    for r in range(4, 56, 4):
        s = [a[s[i] >> 24] ^ b[s[(i + 1) & 3] >> 16 & 255] ^ c[s[(i + 2) & 3] >> 8 & 255]
             ^ d[s[(i + 3) & 3] & 255] ^ w[r + i] for i in range(4)]
    out = [(SBOX[s[i] >> 24] << 24 | SBOX[s[(i + 1) & 3] >> 16 & 255] << 16 | SBOX[s[(i + 2) & 3] >> 8 & 255] << 8
            | SBOX[s[(i + 3) & 3] & 255]) ^ w[56 + i] for i in range(4)]
    return struct.pack(">4I", *out)


class AesGcm:
    @staticmethod
    def nonce(n):
        return bytes(4) + n.to_bytes(8, "big")

    def __init__(self, key):
        self.w = _expand(key)
        h = int.from_bytes(_aes(self.w, bytes(16)), "big")
        self.rows = []  # h * x^i for the 128 bits
        for _ in range(128):
            self.rows.append(h)
            h = h >> 1 ^ (0xe1 << 120 if h & 1 else 0)

    def _mul(self, x):
        out = 0
        for i, row in enumerate(self.rows):
            if x >> (127 - i) & 1:
                out ^= row
        return out

    def _crypt(self, nonce, data):
        blocks = (len(data) + 15) // 16
        return _xor(data, b"".join(_aes(self.w, nonce + struct.pack(">I", i + 2)) for i in range(blocks)))

    def _tag(self, nonce, ad, ct):
        acc, msg = 0, _pad16(ad) + _pad16(ct) + struct.pack(">QQ", 8 * len(ad), 8 * len(ct))
        for i in range(0, len(msg), 16):
            acc = self._mul(acc ^ int.from_bytes(msg[i:i + 16], "big"))
        return _xor(_aes(self.w, nonce + struct.pack(">I", 1)), acc.to_bytes(16, "big"))

    seal = ChaChaPoly.seal
    open = ChaChaPoly.open


def rekey(cls, key):
    """Noise REKEY (L-16)."""
    return cls(key).seal(2**64 - 1, b"", bytes(32))[:32]
