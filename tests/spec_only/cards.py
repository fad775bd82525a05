"""Cards, quota and rights (7.2, S-31, S-32)."""
import ed25519
from wire import H, Reader, le, need, tag

KINDS = {"node": 1, "client": 2, "admin": 3}
PROVEN = {1: 356, 2: 260, 3: 132}
POP = {1: "HRC node-pop", 2: "HRC client-pop", 3: "HRC admin-pop"}
NAME_CHARS = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789.-")


def is_name(raw):
    return 1 <= len(raw) <= 32 and all(c in NAME_CHARS for c in raw) and raw[0] not in b".-"


class Card:
    """One card in its proven form; the checks of S-14 are done on construction."""

    def __init__(self, kind, proven):
        r = Reader(proven)
        need(len(proven) >= 1, "truncated")
        need(r.u(1) == kind, "field-range")
        need(r.u(1) == 1, "format-unknown")
        r.zero(2)
        raw = r.take(32)
        self.kind, self.proven = kind, proven
        self.name = raw.rstrip(b"\0")
        self.signing_key = r.take(32)
        self.noise_key = self.noise_proof_key = self.owner_key = None
        if kind != 3:
            self.noise_key, self.noise_proof_key = r.take(32), r.take(32)
        if kind == 1:
            self.owner_key = r.take(32)
        self.binary = proven[:r.pos]
        self.signing_proof = r.take(64)
        self.noise_proof = r.take(64) if kind != 3 else None
        self.owner_proof = r.take(64) if kind == 1 else None
        r.end()
        self.id = H(13, self.binary)
        need(is_name(self.name) and self.name.ljust(32, b"\0") == raw, "field-range")
        self._key(self.signing_key, POP[kind], self.signing_proof)
        if kind != 3:
            self._key(self.noise_proof_key, "HRC noise-pop", self.noise_proof)
            need(ed25519.montgomery(self.noise_proof_key) == self.noise_key, "key-invalid")
            need(self.noise_proof_key != self.signing_key, "key-twice")
        if kind == 1:
            self._key(self.owner_key, "HRC owner-pop", self.owner_proof)
            need(self.owner_key not in (self.signing_key, self.noise_proof_key), "key-twice")

    def _key(self, key, tag_text, proof):
        need(ed25519.check_key(key) == "ok", "key-invalid")
        need(ed25519.verify(key, tag(tag_text) + self.binary, proof) == "ok", "proof-invalid")

    def json(self):
        out = {"card": {1: "node", 2: "client", 3: "admin"}[self.kind], "format": 1, "id": self.id.hex(),
               "name": self.name.decode(), "signing_key": self.signing_key.hex(),
               "signing_proof": self.signing_proof.hex()}
        if self.kind != 3:
            out.update(noise_key=self.noise_key.hex(), noise_proof=self.noise_proof.hex(),
                       noise_proof_key=self.noise_proof_key.hex())
        if self.kind == 1:
            out.update(owner_key=self.owner_key.hex(), owner_proof=self.owner_proof.hex())
        return out


def make_card(kind, name, signing_seed, noise_seed=None, owner_seed=None):
    """A card from its seeds, as its owner makes it."""
    out = bytes([kind, 1, 0, 0]) + name.encode().ljust(32, b"\0") + ed25519.public_key(signing_seed)
    if kind != 3:
        npk = ed25519.public_key(noise_seed)
        out += ed25519.montgomery(npk) + npk
    if kind == 1:
        out += ed25519.public_key(owner_seed)
    proofs = ed25519.sign(signing_seed, tag(POP[kind]) + out)
    if kind != 3:
        proofs += ed25519.sign(noise_seed, tag("HRC noise-pop") + out)
    if kind == 1:
        proofs += ed25519.sign(owner_seed, tag("HRC owner-pop") + out)
    return Card(kind, out + proofs)


class Rights:
    def __init__(self, per_second, burst, rules):
        self.per_second, self.burst, self.rules = per_second, burst, rules  # rules: (flags, prefix)

    def encode(self):
        out = le(self.per_second, 4) + le(self.burst, 4) + le(len(self.rules), 2) + bytes(2)
        return out + b"".join(bytes([f, 0]) + le(len(p), 2) + p for f, p in self.rules)

    def may(self, key, flag):
        return any(f & flag for f, p in self.rules if key.startswith(p))

    @staticmethod
    def read(r):
        per_second, burst = r.u(4), r.u(4)
        need((per_second == 0) == (burst == 0), "field-range")
        n, rules = r.ranged(2, 0, 16), []
        r.zero(2)
        for _ in range(n):
            flags = r.ranged(1, 1, 3)
            r.zero(1)
            rules.append((flags, r.take(r.ranged(2, 0, 256))))
            need(len(rules) < 2 or rules[-2][1] < rules[-1][1], "order")
        return Rights(per_second, burst, rules)
