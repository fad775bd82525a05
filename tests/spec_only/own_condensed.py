"""Checks of our own for condensed items: D-9, D-10, D-16, D-19 and D-36."""
import random
from hashlib import sha256

import merkle
from condensed import client_item, client_items, condensed, items_hash, results_hash, slice_hash
from consensus import Epoch
from decisions import ClientLeaf, CompactDecision, items_root
from machine import Group, Machine, pending_hash
from operations import RECEIPT, Result, result, split_results
from own_decisions import leaf_of
from wire import H, Reader, le, need, word_of
from world import COORDINATOR, SHARD, Pair, get, put, world

A, B = b"a" * 512, b"b" * 600
HASH_A, HASH_B = H(28, A), H(28, B)  # what stands for them


def add(r):
    answers(r)
    heads(r)
    hashes(r)
    injective(r)
    client(r)
    machines(r, world())


def part(results, claimed=None, head=bytes(20)):
    """O-24; claimed: results_bytes, if it is another."""
    return head + le(len(results) if claimed is None else claimed, 4) + results


def item(body, kind=3, zero=bytes(3), claimed=None):
    return le(len(body) if claimed is None else claimed, 4) + bytes([kind]) + zero + body


def short(results, stands):
    """A part with the hash of its results in their place."""
    return le(0, 20) + le(len(results), 4) + stands


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
        ("and exactly to its end", *before(whole(over(0, part(B)), FRONT + short(A, HASH_A) + short(A + part(B), H(28, A + part(B)))))),
        ("beyond it, with a part inside", *before(whole(
            FRONT + part(A) + part(b"", 537) + part(A), FRONT + short(A, HASH_A) + part(b"", 537) + part(A)))),
        *(("%d bytes behind the parts" % n, *before(tail(n))) for n in (1, 3, 20, 23)),
        ("24 that claim more", *before(tail(24))),
        ("a body of 16 bytes", *before((item(FRONT), item(FRONT)))), ("of 15", *before((item(FRONT[:15]), item(FRONT[:15])))),
        ("of none", *before((item(b""), item(b"")))), ("of 39", *before((item(FRONT + bytes(23)), item(FRONT + bytes(23)))))))


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
        ("results", plain(b"\x1c", A), lambda: results_hash(A)), ("no items", plain(b"\x0f", bytes(8)), lambda: items_hash(b"")),
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


def expand(short_, length, results_of):
    """The inverse of condensed: each length is met before what it decides. results_of: hash -> results."""
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
            n = int.from_bytes(take(24)[20:], "little")
            body -= 24
            if n > body:
                break
            body -= n
            if n < 512:
                take(n)
            else:
                out.append(results_of[r.take(32)])
                need(len(out[-1]) == n, "length")
        take(body)
    out.append(r.take(left))
    r.end()
    return b"".join(out)


def any_items(rnd):
    """Items, some of which claim more or less than there is."""
    near = lambda n: max(0, n + rnd.choice((0,) * 12 + (-1, 1, -24, 32, -480)))
    raw = b""
    for _ in range(rnd.randrange(4)):
        body = rnd.randbytes(rnd.choice((16, 16, 16, 16, 3)))
        for _ in range(rnd.randrange(4)):
            results = rnd.randbytes(rnd.choice((0, 32, 511, 512, 513, 700)))
            body += part(results, near(len(results)))
        raw += item(body, rnd.choice((3, 3, 3, 3, 1)), rnd.choice((bytes(3), bytes(3), bytes(3), b"\0\1\0")), near(len(body)))
    return raw[:len(raw) - rnd.choice((0,) * 6 + (1, 8, 24))] if raw else raw


def injective(r):
    """D-36: from the condensed items, their length and the results of each hash, the items come back."""
    rnd = random.Random(36)
    samples = [any_items(rnd) for _ in range(600)]

    class Seen(dict):
        """Results by their hash: every stretch of the items that might be one."""

        def __init__(self, raw):
            super().__init__()
            for at in range(0, len(raw) - 4):
                n = int.from_bytes(raw[at:at + 4], "little")
                if 512 <= n <= len(raw) - at - 4:
                    self[H(28, raw[at + 4:at + 4 + n])] = raw[at + 4:at + 4 + n]

    def wrong():
        return [x.hex() for x in samples if expand(condensed(x), len(x), Seen(x)) != x]
    r.facts("D-36 is injective", [
        ("each comes back", [], wrong), ("enough of them were condensed", True, lambda: sum(len(condensed(x)) < len(x) for x in samples) > 80),
        ("and enough broke off", True, lambda: sum(len(condensed(x)) == len(x) > 512 for x in samples) > 100)])


def client_bytes(results, kind=1, claimed=None, zero=bytes(2)):
    """O-25."""
    return bytes([kind, 0]) + zero + b"\5" * 56 + le(len(results) if claimed is None else claimed, 4) + results


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
    r.words("D-12 between clusters", [
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
    (kind, _, answer), = Machine.envelope(body)[1]
    parts = Reader(answer[16:])
    got = [parts.take(24)[20:] + parts.take(len(value)) for _ in range(2)]
    stands = answer[:40] + H(28, value) + answer[40 + len(value):64 + len(value)] + H(28, value)
    at = pair.coordinator.run(3, 30, pair.slices(pair.shard, box))
    answer_leaf, answer_body = [x for x in at if x[0][0] == 2][0]
    items = ClientLeaf(answer_leaf).items(answer_body)
    leaves = [items[0][:64] + H(28, value), items[1]]

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
    stands = group.items[:48] + H(28, value)
    r.facts("D-19 of long results", [
        ("one item waits", (1, 48 + len(value)), lambda: (q.items, q.bytes)),
        ("pending_hash", H(23, H(15, stands, le(len(group.items), 8)), H(16)), lambda: q.hash)])
