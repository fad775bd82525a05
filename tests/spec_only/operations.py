"""Keys, operations, results and batches (chapter 5.1 to 5.4)."""
import ed25519
import merkle
from wire import H, Bad, Reader, le, need, tag

GET, PUT, PUT_IF_ABSENT, CAS, CAS_VERSION, DELETE, ADD, CHECK, CANCEL, CLIENT_STATE = range(1, 11)
RESERVED = (16, 17, 18)
READS = (GET, CHECK, CLIENT_STATE)
(OK, ABSENT, EXISTS, MISMATCH, CHECK_FAILED, BELOW_FLOOR, WRONG_TYPE, OVERFLOW, NOT_EXECUTED, UNSUPPORTED, LIMIT,
 TABLE_FULL, WRONG_SHARD, RECORDED, CANCELLED) = range(15)
RIGHTS, QUOTA, REVOKED, TOO_OLD, TOO_NEW, BUSY, REUSED, MALFORMED, RECORDS_FULL = 16, 17, 18, 19, 20, 21, 23, 24, 25
ATOMIC, RECEIPT = 1, 2
M64 = 2**64 - 1


def siphash24(key, data):
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v0, v1 = k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d
    v2, v3 = k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573

    def rounds(n, v0, v1, v2, v3):
        for _ in range(n):
            v0 = v0 + v1 & M64
            v1 = (v1 << 13 | v1 >> 51) & M64 ^ v0
            v0 = (v0 << 32 | v0 >> 32) & M64
            v2 = v2 + v3 & M64
            v3 = (v3 << 16 | v3 >> 48) & M64 ^ v2
            v0 = v0 + v3 & M64
            v3 = (v3 << 21 | v3 >> 43) & M64 ^ v0
            v2 = v2 + v1 & M64
            v1 = (v1 << 17 | v1 >> 47) & M64 ^ v2
            v2 = (v2 << 32 | v2 >> 32) & M64
        return v0, v1, v2, v3
    tail = len(data) // 8 * 8
    words = [data[i:i + 8] for i in range(0, tail, 8)]
    words.append(data[tail:].ljust(7, b"\0") + bytes([len(data) & 255]))
    for w in words:
        m = int.from_bytes(w, "little")
        v0, v1, v2, v3 = rounds(2, v0, v1, v2, v3 ^ m)
        v0 ^= m
    v0, v1, v2, v3 = rounds(4, v0, v1, v2 ^ 255, v3)
    return v0 ^ v1 ^ v2 ^ v3


def route(key):
    """O-2."""
    i = key.find(b"{")
    j = key.find(b"}", i + 1) if i >= 0 else -1
    return key[i + 1:j] if i >= 0 and j > i + 1 else key


def shard_of(partition_key, key, shards):
    return siphash24(partition_key, route(key)) * shards >> 64


class Op:
    """O-4, O-5; every fault is 'malformed'."""

    def __init__(self, r):
        start = r.pos
        self.code, self.flags, k, self.a, self.b = r.u(1), r.u(1), r.u(2), r.u(4), r.u(4)
        c, a, b = self.code, self.a, self.b
        need(1 <= c <= 10 or c in RESERVED, "malformed")
        need(self.flags & ~1 == 0, "malformed")
        need((k == 0) == (c in (CANCEL, CLIENT_STATE)), "malformed")
        fits = {GET: b == 0, PUT: b == 0, PUT_IF_ABSENT: b == 0, CAS: True, CAS_VERSION: a == 12,
                DELETE: a == b == 0, ADD: a == 8 and b in (0, 8), CHECK: a in (0, 12) and b == 0,
                CANCEL: a == b == 0, CLIENT_STATE: a == 32 and b == 0}
        need(fits.get(c, True), "malformed")
        self.key = r.take(k)
        self.arg_a = b"" if c == GET else r.take(a)
        self.arg_b = b"" if c == GET else r.take(b)
        self.raw = r.data[start:r.pos]
        self.write = c not in READS
        self.version_asked = bool(self.flags & 1)

    def stored(self):
        """The value that it would store (all but ADD), or None."""
        return {PUT: self.arg_a, PUT_IF_ABSENT: self.arg_a, CAS: self.arg_b, CAS_VERSION: self.arg_b}.get(self.code)


def read_ops(raw, count):
    r = Reader(raw, "malformed", "malformed")
    out = [Op(r) for _ in range(count)]
    r.end()
    return out


def check_list(ops, write):
    """Rules of a part's list of operations (O-20)."""
    if write:
        need(any(o.write for o in ops), "malformed")
        need(len(ops) == 1 or all(o.code != CANCEL for o in ops), "malformed")
    else:
        need(not any(o.write for o in ops), "malformed")


def result(code, value=None, version=None, left_out=None):
    """O-6; left_out is the length of a value that is not sent."""
    flags = (1 if version is not None else 0) | (2 if left_out is not None else 0)
    n = left_out if left_out is not None else len(value or b"")
    out = bytes([code, flags, 0, 0]) + le(n, 4)
    if version is not None:
        out += le(version[0], 8) + le(version[1], 4)
    return out + (b"" if left_out is not None else value or b"")


class Result:
    def __init__(self, r):
        start = r.pos
        self.code, self.flags = r.u(1), r.u(1)
        need(self.flags < 4, r.field)
        r.zero(2)
        self.value_bytes = r.u(4)
        self.height, self.index = (r.u(8), r.u(4)) if self.flags & 1 else (0, 0)
        self.value = b"" if self.flags & 2 else r.take(self.value_bytes)
        self.raw = r.data[start:r.pos]


def split_results(raw, count):
    """Exactly count results, or None."""
    r = Reader(raw)
    try:
        out = [Result(r).raw for _ in range(count)]
        r.end()
    except Bad:
        return None
    return out


def number(raw):
    """O-10: a canonical i64, or None."""
    digits = raw[1:] if raw[:1] == b"-" else raw
    if raw == b"0":
        return 0
    if not digits or len(digits) > 19 or not all(48 <= c <= 57 for c in digits) or digits[0] == 48:
        return None
    v = int(raw)
    return v if -2**63 <= v < 2**63 else None


def part_digest(client_id, num, nonce, flags, op_count, x):
    return H(11, client_id, le(num, 8), nonce, bytes([flags]), le(op_count, 4), x)


class Part:
    pass


class Batch:
    """O-20. Words: bad_head, bad_part, too_large, bad_operation, truncated."""

    def __init__(self, raw, limits, shards):
        r = Reader(raw, "truncated", "bad_head")
        self.raw = raw
        need(r.u(1) == 1, "bad_head")
        self.kind, count = r.ranged(1, 1, 2), r.u(2)
        need(count >= 1, "bad_head")
        size = r.u(4)
        self.client_id, self.nonce, self.attempt = r.take(32), r.take(16), r.u(4)
        r.zero(4)
        need(size == len(raw), "truncated")
        need(len(raw) <= limits["batch_bytes_max"] and count <= limits["batch_parts_max"], "too_large")
        self.write, self.parts, ops_left, before = self.kind == 2, [], limits["batch_ops_max"], -1
        for _ in range(count):
            p = self._part(r, shards, before)
            ops_left -= p.op_count
            need(ops_left >= 0, "too_large")
            p.raw = r.take(p.ops_bytes)
            try:
                p.ops = read_ops(p.raw, p.op_count)
                check_list(p.ops, self.write)
            except Bad:
                raise Bad("bad_operation")
            x = merkle.root([o.raw for o in p.ops]) if p.flags & RECEIPT else p.raw
            p.digest = part_digest(self.client_id, p.number, self.nonce, p.flags, p.op_count, x)
            before = p.shard
            self.parts.append(p)
        self.id = H(12, raw[:r.pos])
        self.signature = r.take(64) if self.write else None
        r.end()

    def _part(self, r, shards, before):
        r.field = "bad_part"
        p = Part()
        p.shard, p.flags = r.u(4), r.u(1)
        need(0x20000 <= p.shard < 0x20000 + shards and p.shard > before, "bad_part")
        need(p.flags < 4, "bad_part")
        r.zero(3)
        p.number, p.floor, p.op_count, ops_bytes = r.u(8), r.u(8), r.u(4), r.u(4)
        if self.write:
            need(1 <= p.floor <= p.number, "bad_part")
        else:
            need(p.number == p.floor == 0, "bad_part")
        need(p.op_count >= 1, "bad_part")
        p.ops_bytes = ops_bytes
        return p

    def signed(self, system_id):
        return tag("HRC batch") + system_id + self.id

    def verify(self, system_id, key):
        return ed25519.verify(key, self.signed(system_id), self.signature)


class WriteItem:
    """O-22."""

    def __init__(self, body):
        r = Reader(body, "malformed", "malformed")
        self.client_id, self.number, self.floor, self.digest = r.take(32), r.u(8), r.u(8), r.take(32)
        self.flags = r.u(1)
        need(self.flags < 4, "malformed")
        r.zero(3)
        self.op_count = r.u(4)
        need(1 <= self.floor <= self.number and self.op_count >= 1, "malformed")
        self.ops_raw = r.rest()


class ReadItem:
    def __init__(self, body):
        r = Reader(body, "malformed", "malformed")
        self.op_count = r.u(4)
        r.zero(4)
        need(self.op_count >= 1, "malformed")
        self.ops_raw = r.rest()


def write_item(client_id, p):
    return (client_id + le(p.number, 8) + le(p.floor, 8) + p.digest + bytes([p.flags, 0, 0, 0]) + le(p.op_count, 4)
            + p.raw)


def read_item(p):
    return le(p.op_count, 4) + bytes(4) + p.raw


def client_item(kind, code, shard, digest, height, index, first_op, op_count, results):
    return (bytes([kind, code, 0, 0]) + le(shard, 4) + digest + le(height, 8) + le(index, 4) + le(first_op, 4)
            + le(op_count, 4) + le(len(results), 4) + results)
