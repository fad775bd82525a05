"""Checks of our own for what a receiver of a checkpoint is sent: short manifests (P-42), MANIFEST (P-43, P-47, P-48), signed ENTRIES (P-45),
what a sender keeps (P-49)."""
import durability
from consensus import HEADER, epochs_of
from durability import (ITEMS_SHOWN, PATH_MAX, PIECE_MAX, SHORT, Gathered, Known, Manifest, PieceQuery, check_piece, check_signed, checkpoint_message,
                        fetched_manifest, make_part, make_piece, piece_message)
from machine import genesis_state
from own_backup import entry_of
from transfer import Snapshots
from wire import H, Reader, le, word_of
from world import COORDINATOR, SHARD, Made, flips, message, world

CHECKPOINT_MAX = 262144
CERTIFICATE_MAX = 144 + 65 * 11 + 4 + 244 * 256  # B-11


def add(r):
    w = world()
    short(r, w)
    fetched(r, w)
    parts(r, w)
    signed(r, w)
    snapshots(r)


def slices(n):
    return [(3, COORDINATOR, i + 1, 100, bytes(32)) for i in range(n)]


def short(r, w):
    base = w.file.genesis(SHARD)
    known = Known.of_chain(epochs_of(base, b""))
    few, many = (Made(w, base, 16, items=slices(n)) for n in (ITEMS_SHOWN, ITEMS_SHOWN + 1))
    cut = lambda made: made.manifest[:SHORT - 32] + H(22, made.manifest)
    good = cut(many)
    as_shown = lambda raw, made=many: lambda: len(checkpoint_message(message(made.showing(raw)), known))
    counted = lambda n: good[:120] + le(n, 4) + good[124:]
    other = Made(w, w.file.genesis(COORDINATOR), 16, items=slices(ITEMS_SHOWN + 1))
    r.facts("P-42 manifests", [
        ("1,024 items are shown whole", few.manifest, lambda: Manifest(few.manifest).shown()),
        ("1,025 short", good, lambda: Manifest(many.manifest).shown()), ("156 bytes", 156, lambda: len(good)),
        ("short, it is shown as it is", good, lambda: Manifest(good).shown()),
        ("one hash", Manifest(many.manifest).hash, lambda: Manifest(good).hash),
        ("whole, of 1,024", 1, as_shown(few.manifest, few)), ("short, of 1,025", 1, as_shown(good)),
        ("whole, of 1,025", 1, as_shown(many.manifest)),
        ("the largest message", True, lambda: 16 + 2 * (
            4 + len(few.manifest) + 2 * HEADER + 4 + CERTIFICATE_MAX + 4 + 32 * PATH_MAX) <= CHECKPOINT_MAX)])
    r.words("P-42 manifests", [
        ("short, of 1,024", "bad_bytes", as_shown(cut(few), few)), ("short, that says 0", "bad_bytes", as_shown(counted(0))),
        ("short, of 2^20", "ok", as_shown(counted(1 << 20))), ("short, of 2^20 + 1", "bad_field", as_shown(counted((1 << 20) + 1))),
        ("format 2", "bad_field", as_shown(b"\2" + good[1:])), ("zero is not", "bad_field", as_shown(good[:3] + b"\1" + good[4:])),
        ("whole, a byte less", "bad_bytes", as_shown(many.manifest[:-1])),
        ("whole, a byte more", "bad_bytes", as_shown(many.manifest + b"\0")),
        ("whole, an item less", "bad_bytes", as_shown(many.manifest[:-56])), ("the length before the items", "bad_bytes", as_shown(
            many.manifest[:124] + b"\4" + many.manifest[125:-1])), ("the items' fields", "bad_field", as_shown(
                many.manifest[:124] + b"\4" + many.manifest[125:])), ("the head before the length", "bad_field", as_shown(
                    b"\2" + many.manifest[1:-1])), ("the head alone", "bad_bytes", as_shown(good[:124])),
        ("of another cluster", "bad_place", as_shown(cut(other))),
        ("of another block", "bad_header", as_shown(good[:40] + bytes(32) + good[72:])),
        ("of another root", "bad_header", as_shown(good[:72] + bytes(32) + good[104:]))])


def fetched(r, w):
    base = w.file.genesis(SHARD)
    made, other = (Made(w, base, 16, items=slices(n)) for n in (1025, 1026))
    whole = made.manifest
    shown = Manifest(Manifest(whole).shown())
    claim = lambda head, raw: Manifest(head[:SHORT - 32] + H(22, raw))
    fetch = lambda raw, by=shown: lambda: fetched_manifest(by, raw)
    junk = whole[:-1] + b"\1" * 57
    small = Made(w, base, 16).manifest
    r.words("P-48 a short manifest's bytes", [
        ("whole", "ok", fetch(whole)), ("others", "sender", fetch(other.manifest)), ("cut", "sender", fetch(whole[:-1])),
        ("nothing", "sender", fetch(b"")), ("no manifest, but of its hash", "showers", fetch(junk, claim(whole, junk))),
        ("another manifest, of its hash", "showers", fetch(other.manifest, claim(whole, other.manifest))),
        ("one of few items, of its hash", "showers", fetch(small, claim(whole, small))),
        ("a short one, of its hash", "showers", fetch(shown.raw, claim(whole, shown.raw)))])
    r.facts("P-48 a short manifest's bytes", [
        ("a bit of each kind of field", {"sender"}, lambda: {word_of(fetch(x)) for x in flips(whole, 0, 240)}),
        ("its items", Manifest(whole).items, lambda: fetched_manifest(shown, whole).items)])


def query(kind, hash_=bytes(32), bits=0, cluster=0, dseq=0, offset=0, prefix=bytes(32), nonce=b"question"):
    return nonce + hash_ + bytes([kind, 0]) + le(bits, 2) + le(cluster, 4) + le(dseq, 8) + le(offset, 8) + prefix


def parts(r, w):
    ask = lambda *a, **k: lambda: PieceQuery(query(*a, **k))
    r.words("P-43", [
        ("MANIFEST", "ok", ask(5)), ("from an offset on", "ok", ask(5, offset=1 << 20)), ("with bits", "bad_field", ask(5, bits=8)),
        ("of a cluster", "bad_field", ask(5, cluster=SHARD)), ("with a dseq", "bad_field", ask(5, dseq=1)),
        ("with a prefix", "bad_field", ask(5, prefix=b"\1" + bytes(31))), ("kind 6", "bad_field", ask(6)),
        ("ENTRIES from an offset on", "bad_field", ask(0, offset=1)), ("SUBROOTS from an offset on", "bad_field", ask(4, offset=1)),
        ("a SLICE from an offset on", "ok", ask(3, cluster=SHARD, dseq=1, offset=1)),
        ("95 bytes", "bad_bytes", lambda: PieceQuery(query(5)[:-1])), ("97 bytes", "bad_bytes", lambda: PieceQuery(query(5) + b"\0"))])
    whole = Made(w, w.file.genesis(SHARD), 16, items=slices(20000)).manifest
    at = lambda offset: PieceQuery(query(5, H(22, whole), offset=offset))
    first, second = (make_part(at(n), whole) for n in (0, PIECE_MAX))

    def gather(*taken):
        g = Gathered()
        done = [g.take(raw, at(offset)) for offset, raw in taken]
        return done, g.raw
    word = lambda *x: lambda: gather(*x)
    unknown = first[:41] + b"\1" + bytes(14)
    total = lambda raw, n: raw[:48] + le(n, 8) + raw[56:]
    r.facts("P-47 MANIFEST", [
        ("in two parts", ([False, True], whole), word((0, first), (PIECE_MAX, second))), ("a part is a MiB", 56 + PIECE_MAX, lambda: len(first)),
        ("UNKNOWN brings nothing", ([False, False], whole[:PIECE_MAX]), word((0, first), (PIECE_MAX, unknown)))])
    r.words("P-44, P-47 MANIFEST", [
        ("in two parts", "ok", word((0, first), (PIECE_MAX, second))),
        ("another total", "bad_bytes", word((0, first), (PIECE_MAX, total(second, 5)))),
        ("a total that grew", "bad_bytes", word((0, first), (PIECE_MAX, total(second, len(whole) + 1)))),
        ("more than the total", "bad_bytes", word((0, total(first, 5)))), ("more than a piece", "bad_bytes", word((0, first + b"\0"))),
        ("nothing before the end", "bad_bytes", word((0, first[:56]))), ("another offset than is needed", "bad_bytes", word((PIECE_MAX, second))),
        ("of another kind", "bad_nonce", word((0, first[:40] + b"\3" + first[41:]))),
        ("kind 6", "bad_field", word((0, first[:40] + b"\6" + first[41:]))),
        ("of another manifest", "bad_nonce", word((0, first[:8] + bytes(32) + first[40:]))),
        ("UNKNOWN with content", "bad_bytes", word((0, unknown + b"\0"))), ("55 bytes", "bad_bytes", word((0, first[:55])))])


class Signer:
    """A member of the shard that answers ENTRIES of genesis."""

    def __init__(self, w, member=1):
        self.w, self.key = w, w.nodes[SHARD][member].signing_key
        self.entries = sorted((durability.Entry(Reader(entry_of(*e))) for e in genesis_state(w.file, COORDINATOR)), key=lambda e: e.path)
        self.root = durability.trie.root([(e.path, e.leaf) for e in self.entries])

    def signature(self, q, piece, system_id=None):
        return self.w.sign(self.key, piece_message(system_id or self.w.system_id, q.raw, piece))

    def answer(self, q, entries=None):
        piece = make_piece(q, self.entries if entries is None else entries)
        return piece + self.signature(q, piece)


def signed(r, w):
    me, other = Signer(w), Signer(w, 2)
    q, again = PieceQuery(query(0, b"\7" * 32)), PieceQuery(query(0, b"\7" * 32, 1))
    raw = me.answer(q)
    piece, signature = raw[:-64], raw[-64:]
    judge = lambda x, question=q, key=me.key: lambda: check_signed(x, question, me.root, w.system_id, key)
    by = lambda x: piece + x
    plain = lambda text: w.sign(me.key, text)
    less, swapped = me.entries[1:], me.entries[::-1]
    resigned = lambda x: x + me.signature(q, x)
    code = lambda c, hint=0: piece[:41] + bytes([c, 0, 0]) + le(hint, 4) + bytes(8)
    subroots = PieceQuery(query(4, b"\7" * 32))
    hashes = make_piece(subroots, me.entries)
    turned = piece[:56 + 4 + int.from_bytes(piece[56:60], "little")] + b"".join(e.raw for e in swapped)
    r.words("P-45 signed", [
        ("by the member asked", "ok", judge(raw)), ("not at all", "unsigned", judge(piece)), ("by half", "unsigned", judge(raw[:-32])),
        ("by another member", "unsigned", judge(by(other.signature(q, piece)))), ("judged by another key", "unsigned", judge(raw, key=other.key)),
        ("for another system", "unsigned", judge(by(me.signature(q, piece, bytes(16))))),
        ("another question's answer, whose bytes are the same", "unsigned", judge(by(me.signature(again, piece)))),
        ("the piece alone", "unsigned", judge(by(plain(piece_message(w.system_id, b"", piece))))),
        ("without its tag", "unsigned", judge(by(plain(piece_message(w.system_id, q.raw, piece)[16:])))),
        ("a byte behind the signature", "unsigned", judge(raw + b"\0")), ("the head alone", "unsigned", judge(piece[:56])),
        ("another nonce comes first", "bad_nonce", judge(b"\1" + raw[1:])), ("a hint comes first", "bad_field", judge(raw[:44] + b"\1" + raw[45:])),
        ("signed, an entry less", "bad_proof", judge(me.answer(q, less))), ("signed, in another order", "bad_order", judge(resigned(turned))),
        ("signed, a byte more", "bad_bytes", judge(resigned(piece + b"\0"))), ("signed, cut", "bad_bytes", judge(resigned(piece[:-1]))),
        ("UNKNOWN is not signed", "ok", judge(code(1))), ("TOO-LARGE is not", "ok", judge(code(2, 3))), ("BUSY is not", "ok", judge(code(3, 9))),
        ("BUSY with a signature", "bad_bytes", judge(code(3, 9) + signature)), ("SUBROOTS are not", "ok", judge(hashes, subroots)),
        ("TOO-LARGE to SUBROOTS", "bad_field", judge(hashes[:41] + bytes([2, 0, 0]) + le(3, 4) + bytes(8), subroots)),
        ("BUSY to SUBROOTS", "ok", judge(hashes[:41] + bytes([3, 0, 0]) + le(3, 4) + bytes(8), subroots)),
        ("its nonce before that", "bad_nonce", judge(bytes(8) + hashes[8:41] + bytes([2, 0, 0]) + le(3, 4) + bytes(8), subroots)),
        ("SUBROOTS with a signature", "bad_bytes", judge(hashes + me.signature(subroots, hashes), subroots)),
        ("longer than any can be, and not signed", "unsigned", judge(piece + bytes(durability.LONGEST - len(piece) + 65))),
        ("longer than any can be, its entries' order not looked at", "bad_bytes", judge(resigned(
            turned + bytes(durability.LONGEST - len(piece) + 1)))),
        ("as long as one can be, which has its order", "bad_order", judge(resigned(turned + bytes(durability.LONGEST - len(piece))))),
        ("to a client it may be longer", "bad_order", lambda: check_piece(turned + bytes(durability.LONGEST), q, me.root)),
        ("to a client without", "ok", lambda: check_piece(piece, q, me.root)),
        ("to a client with", "bad_bytes", lambda: check_piece(raw, q, me.root))])
    sample = lambda first, last: {word_of(judge(x)) for x in flips(raw, first, last)}
    r.facts("P-45, a bit changed", [
        ("of the entries, whose fault it might be", {"unsigned"}, lambda: sample(48, 120)),
        ("of the signature", {"unsigned"}, lambda: sample(len(raw) - 64, None)),
        ("of the question", {"unsigned"}, lambda: {word_of(judge(raw, x)) for x in (again, PieceQuery(query(0, b"\7" * 32, 256)))}),
        ("what is signed", b"HRC piece".ljust(16, b"\0") + w.system_id + H(0x18, q.raw + piece), lambda: piece_message(w.system_id, q.raw, piece))])


def snapshots(r):
    def after(*events, hold=600):
        s = Snapshots(hold)
        for what, *args in events:
            getattr(s, what)(*args)
        return s
    made = [("made", h, h) for h in (16, 32)]
    two_more = [("made", h, h) for h in (48, 64)]
    asks = lambda last: [("asked", 16, t, "a") for t in range(540, last + 1, 500)]
    old = [("made", 16, 16), ("shown", "a", 20), ("made", 32, 32), ("asked", 16, 40, "a"), *two_more]
    r.facts("P-49", [
        ("the newest", [32], lambda: after(*made).shown("a", 32)), ("a third takes the oldest one's place", False, lambda: after(
            *made, ("made", 48, 48)).asked(16, 48)), ("the older of two is there", True, lambda: after(*made).asked(16, 32)),
        ("one that he takes stays, and is shown behind the newest", [64, 16], lambda: after(*old).shown("a", 64)),
        ("who asks anew is shown the newest", [64], lambda: after(*old).shown("b", 64)),
        ("who goes on asking is shown what he was first", [64, 48], lambda: after(
            ("made", 48, 48), ("shown", "b", 50), ("made", 64, 64)).shown("b", 70)),
        ("until it is gone", [64], lambda: after(("made", 16, 16), ("shown", "b", 20), ("made", 32, 32), *two_more).shown("b", 70)),
        ("until nobody asks for its pieces", [64], lambda: after(*old).shown("a", 641)),
        ("as long as he asks", [64, 16], lambda: after(*old, *asks(5540)).shown("a", 5600)),
        ("but for no more than a bounded time", [64], lambda: after(*old, *asks(9540)).shown("a", 9600)),
        ("what is gone is UNKNOWN", False, lambda: after(*made, ("made", 48, 48)).asked(16, 50))])
