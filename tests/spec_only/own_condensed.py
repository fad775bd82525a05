"""Checks of our own for condensed items: D-9, D-10, D-16, D-19 and D-36."""
import random
from hashlib import sha256

import merkle
import trie
from condensed import client_item, client_items, condensed, items_hash, results_hash, shortened, slice_hash
from consensus import Epoch
from decisions import ClientLeaf, CompactDecision, items_root
from machine import Group, Machine, pending_hash
from operations import RECEIPT, Result, result, split_results
from own_decisions import leaf_of
from wire import H, Reader, le, need, word_of
from world import COORDINATOR, SHARD, Pair, get, put, world

A, B = b"a" * 512, b"b" * 600
HASH_A, HASH_B = H(28, A), H(28, B)  # what stands for them where op_count is 3, so that they have fewer than 768 bytes


def head_of(op_count):
    """A part's head up to results_bytes (O-24)."""
    return le(0, 4) + le(op_count, 4) + bytes(12)


HEAD = head_of(3)


def add(r):
    answers(r)
    prefixes(r)
    shortening(r)
    heads(r)
    hashes(r)
    injective(r)
    injective_results(r)
    client(r)
    machines(r, world())


def part(results, claimed=None, head=HEAD):
    """O-24; claimed: results_bytes, if it is another."""
    return head + le(len(results) if claimed is None else claimed, 4) + results


def item(body, kind=3, zero=bytes(3), claimed=None):
    return le(len(body) if claimed is None else claimed, 4) + bytes([kind]) + zero + body


def short(results, stands, head=HEAD):
    """A part with the hash of its results in their place."""
    return head + le(len(results), 4) + stands


def long_hash(short_results, length):
    """D-36: the results hash of shortened results."""
    return H(29, short_results, le(length, 8))


def one(value=b"", flags=0, version=b"", claimed=None, code=0, zero=bytes(2)):
    """O-6, of any bytes; claimed: value_bytes, if it is another."""
    return bytes([code, flags]) + zero + le(len(value) if claimed is None else claimed, 4) + version + value


FRONT = le(7, 8) + le(2, 4) + bytes(4)  # dseq, part_count, zero
ONE = item(FRONT + part(A))
ONE_SHORT = item(FRONT, claimed=16 + 24 + 512) + short(A, HASH_A)
BEHIND = (ONE, ONE_SHORT)  # an item whose condensing shows that the walk went on


def cases(*rows):
    """Facts of D-36: (label, items, condensed)."""
    return [(label, want, lambda raw=raw: condensed(raw)) for label, raw, want in rows]


def same(*rows):
    return cases(*((label, raw, raw) for label, raw in rows))


def whole(body, short_body, **of_head):
    """An item, and what it becomes: only its body's bytes change."""
    raw = item(body, **of_head)
    return raw, raw[:8] + short_body


def before(pair):
    """With an item behind it that is condensed in any case."""
    return pair[0] + BEHIND[0], pair[1] + BEHIND[1]


def answers(r):
    inside = whole(FRONT + part(A) + part(b"") + part(A[1:]) + part(B), FRONT + short(A, HASH_A) + part(b"") + part(A[1:]) + short(B, HASH_B))
    odd = le(9, 8) + le(1 << 31, 4) + b"\1\2\3\4"  # any dseq, any count, zero that is not
    over = lambda by, rest=b"": FRONT + part(A) + part(A + rest, claimed=512 + len(rest) + by)
    kept = lambda by, rest=b"": FRONT + short(A, HASH_A) + part(A + rest, claimed=512 + len(rest) + by)
    tail = lambda n: whole(FRONT + part(A) + b"\1" * n, FRONT + short(A, HASH_A) + b"\1" * n)
    r.facts("D-36.2 parts of an ANSWER", cases(
        ("511 bytes", item(FRONT + part(A[1:])), item(FRONT + part(A[1:]))), ("512 bytes", ONE, ONE_SHORT),
        ("600 bytes", *whole(FRONT + part(B), FRONT + short(B, HASH_B))), ("long, empty, short, long", *inside),
        ("a head of other bytes", *whole(odd + part(A), odd + short(A, HASH_A))),
        ("a part's head of other bytes", *whole(FRONT + part(A, head=b"\xff" * 20), FRONT + b"\xff" * 20 + short(A, HASH_A)[20:])),
        ("part_count 1 of two", *whole(le(7, 8) + le(1, 8) + part(A) + part(B), le(7, 8) + le(1, 8) + short(A, HASH_A) + short(B, HASH_B))),
        ("part_count 0", *whole(bytes(16) + part(A), bytes(16) + short(A, HASH_A))),
        ("results that are no results", *whole(FRONT + part(b"\xff" * 512), FRONT + short(A, H(28, b"\xff" * 512)))),
        ("results_bytes beyond the item", *before(whole(over(1), kept(1)))),
        ("beyond it by 2^32 - 1 - 512", *before(whole(over((1 << 32) - 1 - 512), kept((1 << 32) - 1 - 512)))),
        ("whose 512 bytes are parts themselves", *before(whole(over(1, part(B)), kept(1, part(B))))),
        ("and exactly to its end", *before(whole(over(0, part(B)), FRONT + short(A, HASH_A) + short(A + part(B), long_hash(A + part(B), 1136))))),
        ("beyond it, with a part inside", *before(whole(
            FRONT + part(A) + part(b"", 537) + part(A), FRONT + short(A, HASH_A) + part(b"", 537) + part(A)))),
        *(("%d bytes behind the parts" % n, *before(tail(n))) for n in (1, 3, 20, 23)),
        ("24 that claim more", *before(tail(24))),
        ("a body of 16 bytes", *before((item(FRONT), item(FRONT)))), ("of 15", *before((item(FRONT[:15]), item(FRONT[:15])))),
        ("of none", *before((item(b""), item(b"")))), ("of 39", *before((item(FRONT + bytes(23)), item(FRONT + bytes(23)))))))


def prefixes(r):
    """D-36: which prefix a results hash has, by the op_count at 4 of the part's head and the length."""
    def pair(n, op_count, stands):
        raw, head = b"a" * n, head_of(op_count)  # a value longer than there is, so that no byte is shortened
        return before(whole(FRONT + part(raw, head=head), FRONT + (short(raw, stands(raw), head) if stands else part(raw, head=head))))
    plain, shorter = lambda raw: H(28, raw), lambda raw: long_hash(raw, len(raw))
    rows = [(511, k, None) for k in (0, 1, 2, 3)] + [
        (512, 0, shorter), (512, 1, shorter), (512, 2, shorter), (512, 3, plain), (513, 2, shorter), (767, 3, plain), (768, 3, shorter),
        (769, 3, shorter), (1023, 4, plain), (1024, 4, shorter), (1024, 0, shorter), (256 * 300 - 1, 300, plain), (256 * 300, 300, shorter),
        # where 256 * op_count has more than 32 bits
        (512, 1 << 24, plain), (512, (1 << 24) + 2, plain), (512, 1 << 31, plain), (512, (1 << 32) - 1, plain)]
    value, same_ = one(B), lambda head: part(one(B), head=head)
    by = long_hash(one(B, claimed=600)[:8] + H(9, B), 608)
    near = b"\2\0\0\0" + le(1, 4) + le(2, 8) + le(2, 4)  # op_count 1 between other numbers that are not it
    r.facts("D-36 the prefix", cases(
        *(("%d bytes of %d operations" % (n, k), *pair(n, k, stands)) for n, k, stands in rows),
        ("the same results in parts of 2, 3 and 2 operations", *whole(
            FRONT + same_(head_of(2)) + same_(head_of(3)) + same_(head_of(2)),
            FRONT + short(value, by, head_of(2)) + short(value, H(28, value), head_of(3)) + short(value, by, head_of(2)))),
        ("of a part whose other fields would be another", *whole(FRONT + same_(near), FRONT + short(value, by, near))),
        ("part_count is not op_count", *whole(le(7, 8) + le(9, 8) + same_(head_of(2)), le(7, 8) + le(9, 8) + short(value, by, head_of(2)))),
        ("more results than operations, all are shortened", *whole(
            FRONT + part(value * 3, head=head_of(1)), FRONT + short(value * 3, long_hash((value[:8] + H(9, B)) * 3, 1824), head_of(1)))),
        ("fewer", *whole(FRONT + part(value + one(B[:200]), head=head_of(3)), FRONT + short(
            value + one(B[:200]), long_hash(value[:8] + H(9, B) + one(B[:200]), 816), head_of(3)))),
        ("an op_count of none", *whole(FRONT + part(value, head=head_of(0)), FRONT + short(value, by, head_of(0)))),
        ("results of 511 bytes have no long value to shorten", *whole(
            FRONT + part(one(A[9:]), head=head_of(1)), FRONT + part(one(A[9:]), head=head_of(1))))))


def shortening(r):
    """D-36: the walk over results, whatever bytes they are."""
    V, ver, big = H(9, A), bytes(range(12)), b"\7" * 65537
    long_ = lambda flags=0, version=b"", **x: (one(A, flags, version, **x), one(V, flags, version, claimed=512, **x))
    L, S = long_()
    inner = one(b"xy") + L
    same_ = lambda *rows: [(label, raw, raw) for label, raw in rows]
    behind = lambda label, raw: (label, raw + L, raw + S)  # the walk goes on behind it
    rows = same_(
        ("nothing", b""), *(("%d bytes" % n, b"\0\1\2\3\0\0\0"[:n]) for n in (1, 4, 7)), ("a head alone", one()), ("511 bytes", one(A[1:])),
        ("511 with a version", one(A[1:], 1, ver)), ("500 with a version, 512 together", one(A[12:], 1, ver)),
        ("2^31 + 512 bytes", one(A, claimed=(1 << 31) + 512)), ("left out", one(flags=2, claimed=512)),
        ("left out, with a version", one(flags=3, version=ver, claimed=512)), ("one byte more than is left", one(A, claimed=513)),
        ("all of 32 bits", one(A, claimed=(1 << 32) - 1)), ("all of 32 bits, with a version", one(A, 1, ver, claimed=(1 << 32) - 1)),
        ("a version of which a byte lacks", one(flags=1, version=ver[:11])), ("of which all lack", one(flags=1)),
        ("a version of which a byte lacks, left out", one(flags=3, version=ver[:11])), ("a value that fits without its version", one(A, 1)),
        ("and by a byte not with it", one(A, 1, ver, claimed=513)), ("the head less 1 byte", L[:-1]), ("shortened before", S),
        # version and value together have 2^32 bytes, and in 32 bits none; 12 more; 512
        *(("2^32 + %d with a version" % n, one(flags=1, version=ver, claimed=(1 << 32) - 12 + n) + L) for n in (0, 1, 11)),
        ("8 more than a long one", one(claimed=len(L) + 1) + L), ("beyond, with long ones inside", one(L + L, claimed=2 * len(L) + 1)))
    rows += [behind(label, raw) for label, raw in (
        ("behind an empty one", one()), ("behind a short one", one(b"x")), ("behind 511 bytes", one(A[1:])), ("behind a version", one(b"x", 1, ver)),
        ("behind many", (one() + one(b"xyz") + one(b"q", 1, ver)) * 9), ("behind one left out", one(flags=2, claimed=512)),
        ("behind one left out of 2^32 - 1 bytes", one(flags=2, claimed=(1 << 32) - 1)), ("behind both", one(flags=3, version=ver, claimed=600)),
        ("behind an odd code and zero", one(b"x", code=255, zero=b"\1\2")))]
    rows += [("512 bytes", L, S), ("513", one(A + b"a"), one(H(9, A + b"a"), claimed=513)), ("65,537", one(big), one(H(9, big), claimed=65537)),
             ("two", L + L, S + S), ("long, short, long", L + one(b"x") + L, S + one(b"x") + S), ("with a version", *long_(1, ver)),
             ("with a version that is a head", *long_(1, one(A[:4]))), ("of any code and zero", *long_(code=200, zero=b"\xff\xff")),
             *(("with bits %02x of the flags" % k, *long_(k)) for k in (4, 8, 128, 252)),
             *(("with bits %02x and a version" % k, *long_(k, ver)) for k in (5, 253)),
             *(("with bits %02x, left out" % k, one(flags=k, claimed=512) + L, one(flags=k, claimed=512) + S) for k in (6, 254)),
             ("with all bits", one(flags=255, version=ver, claimed=512) + L, one(flags=255, version=ver, claimed=512) + S),
             ("whose bytes are results themselves", one(inner), one(H(9, inner), claimed=len(inner))),
             ("short, whose bytes would be a head", one(one(claimed=1)) + L, one(one(claimed=1)) + S),
             *(("%d bytes behind" % n, L + b"\0\0\0\0\0\0\1"[:n], S + b"\0\0\0\0\0\0\1"[:n]) for n in range(1, 8)),
             ("8 bytes behind", L + one(), S + one()), ("8 bytes that claim one more", L + one(claimed=1), S + one(claimed=1)),
             ("one behind that claims a byte more", L + one(A, claimed=513), S + one(A, claimed=513)),
             ("one behind that claims all but a byte", L + one(A, claimed=511), S + one(A[1:]) + b"a")]
    r.facts("D-36 shortened", [(label, want, lambda raw=raw: shortened(raw)) for label, raw, want in rows])
    both = L + one(b"x")
    r.facts("D-36 results hash", [
        ("shortened", sha256(b"\x1d" + S + one(b"x") + le(len(both), 8)).digest(), lambda: results_hash(both, 2)),
        ("as they are", sha256(b"\x1c" + both).digest(), lambda: results_hash(both, 3)),
        ("a value hash is the trie's", trie.value_hash(A), lambda: shortened(L)[8:]),
        ("others that are shortened to the same, of another length", (S, S, False), lambda: (
            shortened(L), shortened(S), results_hash(L, 0) == results_hash(S, 0))),
        *(("a byte at %d" % i, False, lambda i=i: results_hash(L, 1) == results_hash(L[:i] + bytes([L[i] ^ 1]) + L[i + 1:], 1))
          for i in (0, 2, 3, 8, 519))])


def heads(r):
    body = FRONT + part(A)
    r.facts("D-36.1 items", cases(
        ("none", b"", b""), ("two", ONE + ONE, ONE_SHORT + ONE_SHORT),
        ("a kind that stays, before one", *before((item(body, 2), item(body, 2)))),
        ("one that runs past the end", ONE + item(body, claimed=len(body) + 1), ONE_SHORT + item(body, claimed=len(body) + 1)),
        ("a long one of kind 1 before", *before((item(body * 3, 1), item(body * 3, 1)))),
        *(("%d bytes behind" % n, ONE + b"\0\0\0\0\3\0\0"[:n], ONE_SHORT + b"\0\0\0\0\3\0\0"[:n]) for n in (1, 3, 4, 7)),
        ("8 bytes behind: an empty one", ONE + item(b""), ONE_SHORT + item(b"")),
        ("8 bytes that claim one more", ONE + item(b"", claimed=1), ONE_SHORT + item(b"", claimed=1))) + same(
            ("past the end, with one inside", item(b"", claimed=len(ONE) + 1) + ONE),
            ("past the end by all", item(body, claimed=(1 << 32) - 1)),
            ("8 bytes less than the head", ONE[:-8]), ("a byte less", ONE[:-1]),
            *(("of kind %d" % k, item(body, k)) for k in (0, 1, 2, 4, 5, 19, 131, 255)),
            *(("zero byte %d is not" % i, item(body, 3, bytes([i == 0, i == 1, i == 2]))) for i in range(3))))


def hashes(r):
    two = ONE + item(b"other", 4)
    env = b"\1\0\0\0" + le(2, 4) + le(5, 8)
    plain = lambda *x: sha256(b"".join(x)).digest()
    of = lambda head: plain(b"\x0a", head, plain(b"\x0f", ONE_SHORT + item(b"other", 4), le(len(two), 8)))
    groups = [Group(), Group()]
    groups[0].items, groups[1].items, groups[1].routing = two, ONE, b"\7" * 76
    want = b"".join(plain(b"\x0f", x, le(n, 8)) + plain(b"\x10", y) for x, n, y in (
        (ONE_SHORT + item(b"other", 4), len(two), b""), (ONE_SHORT, len(ONE), b"\7" * 76)))
    r.facts("D-36 hashes", [
        ("results", plain(b"\x1c", A), lambda: results_hash(A, 3)), ("no items", plain(b"\x0f", bytes(8)), lambda: items_hash(b"")),
        ("the length before", plain(b"\x0f", ONE_SHORT, le(len(ONE), 8)), lambda: items_hash(ONE)),
        ("others that are condensed to the same, as their head says more than there is", (ONE_SHORT, ONE_SHORT, False), lambda: (
            condensed(ONE), condensed(ONE_SHORT), items_hash(ONE) == items_hash(ONE_SHORT))),
        ("a byte of long results", False, lambda: items_hash(ONE) == items_hash(ONE[:-1] + b"b")),
        ("pending_hash", plain(b"\x17", want), lambda: pending_hash(groups))])
    r.facts("D-9 slice_hash", [
        ("of two items", of(env), lambda: slice_hash(env + two)), ("of an acknowledgement", plain(b"\x0a", env, plain(b"\x0f", bytes(8))),
                                                             lambda: slice_hash(env)),
        *(("item_count %d" % n, of(env[:4] + le(n, 4) + env[8:]), lambda n=n: slice_hash(env[:4] + le(n, 4) + env[8:] + two)) for n in (0, 1, 9)),
        *((label, of(head), lambda head=head: slice_hash(head + two)) for label, head in (
            ("format 3, whatever is read of it", b"\3" + env[1:]), ("zero that is not", b"\1\1" + env[2:]),
            ("an envelope that would be an item", le(len(two) + 8, 4) + b"\3\0\0\0" + bytes(8))))])


class Known:
    """What was hashed, by its hash: every stretch of the bytes that might be results, or a value."""

    def __init__(self, raw):
        self.plain, self.shorter, self.values = {}, {}, {}
        for at in range(len(raw) - 3):
            n = int.from_bytes(raw[at:at + 4], "little")
            for start in (at + 4, at + 16):
                if 512 <= n <= len(raw) - start:
                    stretch = raw[start:start + n]
                    self.values[H(9, stretch)] = self.plain[H(28, stretch)] = stretch
                    self.shorter[long_hash(shortened(stretch), n)] = shortened(stretch)

    def results(self, hash_, length, op_count):
        """The inverse of the results hash; the prefix follows from what is known before."""
        if length < 256 * op_count:
            return self.plain[hash_]
        return lengthen(self.shorter[hash_], length, self.values)


def lengthen(short_, length, values):
    """The inverse of shortened: each length is met before what it decides. values: value hash -> value."""
    r, out, left = Reader(short_), [], length
    while left >= 8:
        head = r.take(8)
        out.append(head)
        left -= 8
        version = 12 * (head[1] & 1)
        n = 0 if head[1] & 2 else int.from_bytes(head[4:], "little")
        if version + n > left:
            break
        left -= version + n
        out.append(r.take(version))
        out.append(r.take(n) if n < 512 else values[r.take(32)])
        need(n < 512 or len(out[-1]) == n, "length")
    out.append(r.take(left))
    r.end()
    return b"".join(out)


def expand(short_, length, known):
    """The inverse of condensed: each length is met before what it decides."""
    r, out = Reader(short_), []

    def take(n):
        out.append(r.take(n))
        return out[-1]
    left = length
    while left >= 8:
        head = take(8)
        body = int.from_bytes(head[:4], "little")
        left -= 8
        if body > left:
            break
        left -= body
        if head[4:] != b"\3\0\0\0":
            take(body)
            continue
        body -= len(take(min(16, body)))
        while body >= 24:
            head = take(24)
            n = int.from_bytes(head[20:], "little")
            body -= 24
            if n > body:
                break
            body -= n
            if n < 512:
                take(n)
            else:
                out.append(known.results(r.take(32), n, int.from_bytes(head[4:8], "little")))
                need(len(out[-1]) == n, "length")
        take(body)
    out.append(r.take(left))
    r.end()
    return b"".join(out)


def any_results(rnd):
    """Results, some of which claim more or less than there is."""
    near = lambda n: max(0, n + rnd.choice((0,) * 16 + (-1, 1, -12, 12, -480)))
    raw = b""
    for _ in range(rnd.randrange(5)):
        value, flags = rnd.randbytes(rnd.choice((0, 32, 511, 512, 513, 700))), rnd.choice((0, 0, 0, 1, 1, 2, 3, 4, 253))
        raw += one(b"" if flags & 2 else value, flags, rnd.randbytes(12 * (flags & 1)), near(len(value)), rnd.randrange(256))
    return raw + rnd.randbytes(rnd.choice((0, 0, 0, 1, 7, 8)))


def any_items(rnd):
    """Items, some of which claim more or less than there is."""
    near = lambda n: max(0, n + rnd.choice((0,) * 12 + (-1, 1, -24, 32, -480)))
    raw = b""
    for _ in range(rnd.randrange(4)):
        body = rnd.randbytes(rnd.choice((16, 16, 16, 16, 3)))
        for _ in range(rnd.randrange(4)):
            results = any_results(rnd) if rnd.randrange(2) else rnd.randbytes(rnd.choice((0, 32, 511, 512, 513, 700)))
            body += part(results, near(len(results)), head_of(rnd.choice((0, 1, 2, 3, 4, 8, 1 << 24))))
        raw += item(body, rnd.choice((3, 3, 3, 3, 1)), rnd.choice((bytes(3), bytes(3), bytes(3), b"\0\1\0")), near(len(body)))
    return raw[:len(raw) - rnd.choice((0,) * 6 + (1, 8, 24))] if raw else raw


def injective(r):
    """D-36: from the condensed items, their length and what each hash is of, the items come back."""
    rnd = random.Random(36)
    samples = [any_items(rnd) for _ in range(600)]

    def wrong():
        return [x.hex() for x in samples if expand(condensed(x), len(x), Known(x)) != x]
    r.facts("D-36 is injective", [
        ("each comes back", [], wrong), ("enough of them were condensed", True, lambda: sum(len(condensed(x)) < len(x) for x in samples) > 80),
        ("and enough broke off", True, lambda: sum(len(condensed(x)) == len(x) > 512 for x in samples) > 100)])


def injective_results(r):
    """D-36: from the shortened results, their length and the values, the results come back."""
    rnd = random.Random(360)
    samples = [any_results(rnd) for _ in range(1500)]

    def wrong():
        return [x.hex() for x in samples if lengthen(shortened(x), len(x), Known(x).values) != x]

    def changed():
        """Samples of which one other byte gives the same hash, of results and of items."""
        out = []
        for x in samples:
            if len(x) >= 512:
                at, ops = rnd.choice((rnd.randrange(len(x)), rnd.randrange(min(len(x), 21)))), rnd.choice((0, 1, 2, 3, 4, 8))
                y = x[:at] + bytes([x[at] ^ 1 << rnd.randrange(8)]) + x[at + 1:]
                of = lambda z: items_hash(item(FRONT + part(z, head=head_of(ops))))
                out += [x.hex()] if results_hash(x, ops) == results_hash(y, ops) or of(x) == of(y) else []
        return out

    def alike():
        """Lengths and op_counts of the same bytes: no two of them have one items_hash."""
        raw = one(A) + one(B)
        all_ = [items_hash(item(FRONT + part(raw[:n], head=head_of(k)) + raw[n:])) for n in (512, 520, 521, len(raw)) for k in range(7)]
        return len(all_) - len(set(all_))
    short_ = lambda want: sum((len(shortened(x)) < len(x)) == want and len(x) >= 512 for x in samples)
    r.facts("D-36 shortening is injective", [
        ("each comes back", [], wrong), ("no byte changes without the hash", [], changed), ("nor the length, nor op_count", 0, alike),
        ("enough of them were shortened", True, lambda: short_(True) > 500), ("and enough were not", True, lambda: short_(False) > 100)])


def client_bytes(results, kind=1, claimed=None, zero=bytes(2), ops=3):
    """O-25."""
    return bytes([kind, 0]) + zero + b"\5" * 52 + le(ops, 4) + le(len(results) if claimed is None else claimed, 4) + results


def of_operations(r):
    """D-16: the results hash by the op_count at 56 of a client's item."""
    value = one(B)
    by = long_hash(value[:8] + H(9, B), 608)
    full = b"a" * 768
    rows = [("512 bytes of %d operations" % k, A, k, long_hash(A, 512)) for k in (0, 1, 2)] + [
        ("512 bytes of %d operations" % k, A, k, HASH_A) for k in (3, 1 << 24, (1 << 32) - 1)] + [
        ("767 of 3", full[1:], 3, H(28, full[1:])), ("768 of 3", full, 3, long_hash(full, 768)), ("a long value of 1", value, 1, by),
        ("a long value of 2", value, 2, by), ("of 3", value, 3, H(28, value))]
    r.facts("D-16 op_count", [
        *((label, client_bytes(stands, claimed=len(raw), ops=k), lambda raw=raw, k=k: client_item(client_bytes(raw, ops=k)))
          for label, raw, k, stands in rows),
        *(("511 of %d" % k, client_bytes(A[1:], ops=k), lambda k=k: client_item(client_bytes(A[1:], ops=k))) for k in (0, 1, 2)),
        ("a long value of kind 2", client_bytes(value, 2, ops=1), lambda: client_item(client_bytes(value, 2, ops=1))),
        ("the hash of the shard's part", [True] * 5, lambda: [
            client_item(client_bytes(value, ops=k))[64:] == condensed(item(FRONT + part(value, head=head_of(k))))[48:] for k in range(5)])])


def client(r):
    long_, long_short = client_bytes(A), client_bytes(HASH_A, claimed=512)
    slice_ = lambda *items: le(len(items), 4) + b"".join(le(len(x), 4) + x for x in items)
    read = lambda raw, n=1: lambda: client_items(raw, n)
    stays = [("511 bytes", client_bytes(A[1:])), ("none", client_bytes(b"")), ("kind 2, 512 bytes", client_bytes(A, 2)),
             ("kind 2, 600 bytes", client_bytes(B, 2)), ("kind 0", client_bytes(A, 0)), ("kind 3", client_bytes(A, 3)),
             ("kind 255", client_bytes(A, 255)), ("32 bytes", client_bytes(HASH_A))]
    some = [long_, client_bytes(b"x"), client_bytes(B, 2), client_bytes(B)]
    leaves = [long_short, some[1], some[2], client_bytes(HASH_B, claimed=600)]
    r.facts("D-16 condensed", [
        ("512 bytes", long_short, lambda: client_item(long_)), ("which is 96 bytes", 96, lambda: len(client_item(long_))),
        ("its head alone in kind", client_bytes(HASH_A, claimed=512, zero=b"\1\1"), lambda: client_item(client_bytes(A, zero=b"\1\1"))),
        *((label, raw, lambda raw=raw: client_item(raw)) for label, raw in stays),
        ("the root", merkle.root(leaves), lambda: items_root(some)), ("the items are as they were", some, read(slice_(*some), 4)),
        ("the items with the same leaves that are none", (merkle.root(leaves), "wrong_slice"), lambda: (
            items_root(leaves), word_of(read(slice_(*leaves), 4))))])
    short_, good = client_bytes(b"x" * 5), slice_(long_, long_)
    r.words("D-16", [
        ("good", "ok", read(good, 2)), ("the head alone", "ok", read(slice_(client_bytes(b"")))),
        ("a byte less than the head", "wrong_slice", read(slice_(client_bytes(b"")[:-1]))), ("an empty item", "wrong_slice", read(slice_(b""))),
        ("more items than the leaf's", "wrong_slice", read(good, 1)), ("fewer", "wrong_slice", read(good, 3)),
        ("a count that is the leaf's, of fewer", "wrong_slice", read(le(3, 4) + good[4:], 3)),
        ("of more", "wrong_slice", read(le(1, 4) + good[4:], 1)), ("a byte behind", "wrong_slice", read(good + b"\0", 2)),
        ("a byte lacking", "wrong_slice", read(good[:-1], 2)), ("a length alone behind", "wrong_slice", read(good + bytes(4), 2)),
        ("less than a count", "wrong_slice", read(b"\1\0\0")), ("nothing", "wrong_slice", read(b"")),
        ("a length beyond the end", "wrong_slice", read(le(1, 4) + le(1 << 31, 4) + short_)),
        *(("results_bytes %+d of kind %d, %d bytes" % (by, kind, len(x)), "wrong_slice", read(slice_(client_bytes(x, kind, len(x) + by))))
          for by in (-1, 1) for kind in (1, 2, 3) for x in (b"x" * 5, A)),
        ("the second item's", "wrong_slice", read(slice_(long_, client_bytes(A, claimed=511)), 2)),
        ("a condensed item", "wrong_slice", read(slice_(long_short)))])
    of_operations(r)
    decided(r, world(), slice_)
    between(r, world())


def decided(r, w, slice_):
    """D-12, with a client leaf."""
    config = w.file.genesis(COORDINATOR)
    items = [client_bytes(A), client_bytes(B, 2)]
    want = merkle.root([client_bytes(HASH_A, claimed=512), items[1]])
    raw = merkle.root(items)

    def judge(root, body, count=2):
        leaf = (b"\2\1\0\0" + le(COORDINATOR, 4) + le(count, 4) + w.system_id + le(7, 8) + le(9, 8) + w.client.id + le(len(body), 4) + root)
        d = CompactDecision(w.decision(config, w.header(config, 7, outbox=[leaf]), [leaf], 0, body))
        d.form()
        need(isinstance(d.leaf, ClientLeaf), "kind")
        need(d.leaf.matches(d.slice), "wrong_slice")
    r.words("D-12 of a client", [
        ("good", "ok", lambda: judge(want, slice_(*items))), ("the root of the items as they are", "wrong_slice", lambda: judge(raw, slice_(*items))),
        ("condensed by the sender", "wrong_slice", lambda: judge(want, slice_(client_bytes(HASH_A, claimed=512), items[1]))),
        ("another byte of long results", "wrong_slice", lambda: judge(want, slice_(client_bytes(A[1:] + b"b"), items[1]))),
        ("another op_count, of which the prefix is the same", "wrong_slice", lambda: judge(want, slice_(client_bytes(A, ops=4), items[1]))),
        ("another op_count, of which it is not", "wrong_slice", lambda: judge(want, slice_(client_bytes(A, ops=2), items[1]))),
        ("another count", "wrong_slice", lambda: judge(want, slice_(*items), 3))])


def between(r, w):
    """D-12, with a cluster leaf."""
    config = w.file.genesis(SHARD)
    env = b"\1\0\0\0" + le(1, 4) + bytes(8)
    of = lambda items: H(10, env, H(15, items, le(len(ONE), 8)))

    def judge(hash_, body):
        leaf = leaf_of(w, 7, body=body)[:80] + hash_
        d = CompactDecision(w.decision(config, w.header(config, 7, outbox=[leaf]), [leaf], 0, body))
        d.form()
        d.check(Epoch.of_config(config, 0))
    long_ = item(FRONT + part(one(A), head=head_of(1)))
    of_long = lambda stands: H(10, env, H(15, item(FRONT, claimed=560) + short(one(A), stands, head_of(1)), le(len(long_), 8)))
    want = of_long(long_hash(one(H(9, A), claimed=512), 520))
    r.words("D-12 between clusters", [
        ("a long value", "ok", lambda: judge(want, env + long_)), ("another byte of it", "wrong_slice", lambda: judge(want, env + long_[:-1] + b"b")),
        ("its results under the other prefix", "wrong_slice", lambda: judge(of_long(H(28, one(A))), env + long_)),
        ("its results not shortened", "wrong_slice", lambda: judge(of_long(long_hash(one(A), 520)), env + long_)),
        ("without their length", "wrong_slice", lambda: judge(of_long(H(29, one(H(9, A), claimed=512))), env + long_)),
        ("with the length of the value", "wrong_slice", lambda: judge(of_long(long_hash(one(H(9, A), claimed=512), 512)), env + long_)),
        ("shortened by the sender", "wrong_slice", lambda: judge(want, env + item(FRONT + part(one(H(9, A), claimed=512), 520, head_of(1))))),
        ("good", "ok", lambda: judge(of(ONE_SHORT), env + ONE)),
        ("the hash of the items as they are", "wrong_slice", lambda: judge(of(ONE), env + ONE)),
        ("condensed by the sender", "wrong_slice", lambda: judge(of(ONE_SHORT), env + ONE_SHORT)),
        ("another byte of long results", "wrong_slice", lambda: judge(of(ONE_SHORT), env + ONE[:-1] + b"b")),
        ("another byte of the envelope", "wrong_slice", lambda: judge(of(ONE_SHORT), env[:-1] + b"\1" + ONE)),
        ("items that condense to others' and have their length", "wrong_slice", lambda: judge(
            of(ONE_SHORT), env + ONE_SHORT + bytes(len(ONE) - len(ONE_SHORT))))])


def machines(r, w):
    """A value of 600 bytes from the client's request to its answers, with a receipt and without."""
    pair = Pair.of_genesis(w)
    pair.write(1, 1, put(b"k", B))
    ask = lambda flags, nonce: (2, w.batch([(SHARD, flags, 0, 0, [get(b"k")])], 1, nonce), 0)
    requests = pair.slices(pair.coordinator, pair.coordinator.run(2, 20, pair.answers + [ask(0, b"1" * 16), ask(RECEIPT, b"2" * 16)]))
    box = pair.shard.run(2, 20, requests)
    leaf, body = [x for x in box if x[0][0] == 1][0]
    value = result(0, B)
    value_by = long_hash(value[:8] + H(9, B), len(value))  # one operation, 608 bytes
    (kind, _, answer), = Machine.envelope(body)[1]
    parts = Reader(answer[16:])
    got = [parts.take(24)[20:] + parts.take(len(value)) for _ in range(2)]
    stands = answer[:40] + value_by + answer[40 + len(value):64 + len(value)] + value_by
    at = pair.coordinator.run(3, 30, pair.slices(pair.shard, box))
    answer_leaf, answer_body = [x for x in at if x[0][0] == 2][0]
    items = ClientLeaf(answer_leaf).items(answer_body)
    leaves = [items[0][:64] + value_by, items[1]]

    def split(raw):
        (x,) = split_results(raw[64:], 1)
        return Result(Reader(x)).value
    r.facts("D-9, D-10 of long results", [
        ("two parts in one item", (3, [le(len(value), 4) + value] * 2), lambda: (kind, got)),
        ("the shard's leaf", H(10, body[:16], H(15, body[16:24], stands, le(len(body) - 16, 8))), lambda: leaf[80:]),
        ("the client's items", [1, 2], lambda: [x[0] for x in items]), ("with the value", [B, B], lambda: [split(x) for x in items]),
        ("the client's leaf", merkle.root(leaves), lambda: answer_leaf[80:]),
        ("the receipt's item is proved as it is", "ok", lambda: merkle.verify_inclusion(
            merkle.leaf_hash(items[1]), 1, 2, [merkle.leaf_hash(leaves[0])], answer_leaf[80:]))])
    waiting = Pair.of_genesis(w)
    waiting.write(1, 1, put(b"k", B))
    shard = waiting.shard
    request = b"\1\0\0\0" + le(1, 4) + bytes(8) + item(le(1, 4) + bytes(4) + get(b"k"), 1)  # acknowledges nothing, so its answer waits
    shard.run(2, 11, [(1, COORDINATOR, 2, bytes(32), request)])
    q = shard.queue(COORDINATOR)
    (group,) = shard.groups[COORDINATOR]
    stands = group.items[:48] + long_hash(value[:8] + H(9, B), len(value))
    r.facts("D-19 of long results", [
        ("one item waits", (1, 48 + len(value)), lambda: (q.items, q.bytes)),
        ("pending_hash", H(23, H(15, stands, le(len(group.items), 8)), H(16)), lambda: q.hash)])
    # four operations whose results have fewer than 1,024 bytes; two whose results have versions
    pair = Pair.of_genesis(w)
    pair.write(1, 1, put(b"k", B))
    versioned = lambda key: (lambda raw: raw[:1] + b"\1" + raw[2:])(get(key))
    asks = [[get(b"k")] + [get(b"none")] * 3, [versioned(b"k"), versioned(b"k")]]
    batches = [(2, w.batch([(SHARD, 0, 0, 0, x)], 1, bytes([i]) * 16), 0) for i, x in enumerate(asks)]
    requests = pair.slices(pair.coordinator, pair.coordinator.run(2, 20, pair.answers + batches))
    box = pair.shard.run(2, 20, requests)
    leaf, body = [x for x in box if x[0][0] == 1][0]
    results = [result(0, B) + result(1) * 3, result(0, B, (1, 0)) * 2]
    at = pair.coordinator.run(3, 30, pair.slices(pair.shard, box))
    answer_leaf, answer_body = [x for x in at if x[0][0] == 2][0]
    items = ClientLeaf(answer_leaf).items(answer_body)
    (_, _, answer), = Machine.envelope(body)[1]
    second = 40 + len(results[0])
    by = [H(28, results[0]), long_hash((results[1][:20] + H(9, B)) * 2, len(results[1]))]
    stands = answer[:40] + by[0] + answer[second:second + 24] + by[1]
    r.facts("D-9, D-10 of results of many operations", [
        ("the results", [x.hex() for x in results], lambda: [x[64:].hex() for x in items]),
        ("op_count", [4, 2], lambda: [int.from_bytes(x[56:60], "little") for x in items]),
        ("the shard's leaf", H(10, body[:16], H(15, body[16:24], stands, le(len(body) - 16, 8))), lambda: leaf[80:]),
        ("the client's leaf", merkle.root([x[:64] + y for x, y in zip(items, by)]), lambda: answer_leaf[80:])])
