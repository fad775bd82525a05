"""Checks of our own for the end of a cluster: the state leaf (D-11, D-35), the checkpoint of SEAL's block (P-42), its backup (P-80)."""
import durability
import merkle
from backup import Backup
from config import SEAL
from consensus import epochs_of
from decisions import state_leaf
from durability import Checkpoint, Known, PieceQuery, checkpoint_message, make_piece
from machine import outbox_root
from own_backup import entry_of
from wire import Reader, le, word_of
from world import COORDINATOR, SHARD, Made, Pair, Sealed, entries_of, flips, message, put, world


def add(r):
    w = world()
    leaf(r, w)
    shown(r, w)
    paths(r, w)
    backups(r, w)


def leaf(r, w):
    base = w.file.genesis(SHARD)
    s, c = Sealed(w), Sealed(w, 7, COORDINATOR)
    by_table = bytes([3, 1, 0, 0]) + le(SHARD, 4) + bytes(4) + w.system_id + le(5, 8) + bytes(8) + s.root + bytes(36)

    def kinds(*inputs, cluster=SHARD):
        pair = Pair.of_genesis(w)
        machine = pair.shard if cluster == SHARD else pair.coordinator
        return [x[0] for x, _ in machine.run(9, 100, list(inputs))]
    seal = lambda cluster, serial=1, **k: (3, w.operation(SEAL, cluster, serial, w.file.genesis(cluster).hash, b"", **k), 0)
    config = (3, w.config(base, w.changed(base)), 0)
    too_new = (2, w.batch([(SHARD, 0, 9999, 1, [put(b"a", b"")])]), 0)
    r.facts("D-35", [
        ("by its table", by_table, lambda: s.leaves[-1]), ("112 bytes", 112, lambda: len(s.leaves[-1])),
        ("the root after the block", s.root, lambda: s.leaves[-1][44:76]),
        ("of a coordinator", state_leaf(w.system_id, COORDINATOR, 7, c.root), lambda: c.leaves[-1]),
        ("outbox_root is over it, too", merkle.root(s.leaves), lambda: outbox_root(s.outbox))])
    r.facts("D-11", [
        ("after the cluster leaf that carries SEAL", [1, 3], lambda: kinds(seal(SHARD))),
        ("after the client leaves", [1, 2, 3], lambda: kinds(too_new, seal(COORDINATOR), cluster=COORDINATOR)),
        ("SEAL of another cluster", [], lambda: kinds(seal(COORDINATOR))),
        ("SEAL with another number", [], lambda: kinds(seal(SHARD, 2))),
        ("SEAL one signature short", [], lambda: kinds(seal(SHARD, signers=w.admins[:1]))),
        ("CONFIG", [1], lambda: kinds(config)), ("an empty body", [], kinds)])


def taken(raw, known):
    """How many checkpoints of P-42 a receiver takes."""
    return len(checkpoint_message(message(raw), known))


def shown(r, w):
    s, later = Sealed(w), Sealed(w, 20)
    base, raw = s.config, s.showing()
    by = lambda chain: Known.of_chain(epochs_of(base, chain))
    known, short, elsewhere = by(s.chain), by(b""), by(Sealed(w, 6).chain)
    of_k = Sealed(w, 16)
    by_config = by(w.chain(SHARD, [w.entry(base, 5, w.config(base, w.changed(base)))[0]]))
    two = message(later.showing(), Made(w, base, 16).raw)
    own = lambda x: Checkpoint(Reader(x)).own_certificate()
    r.facts("P-42 SEAL", [
        ("with its chain", 1, lambda: taken(raw, known)), ("a chain that does not show it", 0, lambda: taken(raw, short)),
        ("a chain that shows it at another height", 0, lambda: taken(raw, elsewhere)),
        ("by a QC on a block after it", 1, lambda: taken(s.showing(2), known)), ("255 headers", 1, lambda: taken(s.showing(255), known)),
        ("256 headers: passed over", 0, lambda: taken(s.showing(256), known)),
        ("at a height of K", 1, lambda: taken(of_k.showing(), by(of_k.chain))),
        ("before one of K", [20, 16], lambda: [c.manifest.height for c in checkpoint_message(two, by(later.chain))]),
        ("its block's certificate is the one shown", w.certificate(base, [s.header]), lambda: own(raw))])
    at = raw.index(s.root)  # of the manifest; its counts, the header and the header again follow
    end = len(raw) - 32 * len(s.path)
    words = lambda cases: sorted({word_of(taken, x, known) for x in cases})
    other = Sealed(w, 6).showing()
    heights = lambda raw, height: raw[:44 - 8] + le(height, 8) + raw[44:]  # the manifest's, of a header that keeps its own
    final = lambda n: Known.of_chain(epochs_of(base, s.chain), n)
    top = Sealed(w, 2**64 - 1)
    r.facts("P-42 SEAL, the manifest's height", [
        ("is compared with the newest final block's", [1, 0], lambda: [taken(raw, final(n)) for n in (4, 5)]),
        ("and not the header's", 0, lambda: taken(heights(other, 5), final(5))),
        ("with 2^64 - 1 while the epoch goes on", [1, 0], lambda: [taken(top.showing(), x) for x in (short, known)])])
    r.words("P-42 SEAL, the manifest's height", [
        ("is SEAL's, the header's is not: it is seen", "bad_header", lambda: taken(heights(other, 5), known)),
        ("it is not, the header's is: it is left", "ok", lambda: taken(heights(raw, 6), known)),
        ("2^64 - 1, while the epoch goes on", "bad_header", lambda: taken(heights(raw, 2**64 - 1), short)),
        ("and after it ended", "ok", lambda: taken(heights(raw, 2**64 - 1), known))])
    r.facts("P-42 SEAL, a bit changed", [
        ("of the path", ["bad_header"], lambda: words(flips(raw, end))),
        ("of the state_root", ["bad_header"], lambda: words(flips(raw, at, at + 32))),
        ("of the block_id", ["bad_header"], lambda: words(flips(raw, at - 32, at))),
        ("of the manifest's epoch", ["bad_header"], lambda: words(flips(raw, at - 48, at - 40))),
        ("of its height, which is then not SEAL's", ["ok"], lambda: words(flips(raw, at - 40, at - 32))),
        ("of cluster and system", ["bad_place"], lambda: words(flips(raw, 8, 28))),
        ("of the last signature", ["bad_certificate"], lambda: words(flips(raw, end - 72, end - 8))),
        ("of a header alone, so that no path is read", ["bad_bytes"], lambda: words(flips(raw, at + 52, at + 52 + 244)))])
    claimed = lambda cluster=SHARD, height=5, system_id=w.system_id, **k: lambda: taken(
        s.showing(leaves=[state_leaf(system_id, cluster, height, s.root)], path=[], **k), known)
    word = lambda x, chain=known: lambda: taken(x, chain)
    r.words("P-42 SEAL", [
        ("as it is", "ok", word(raw)), ("left, it names nobody", "ok", word(raw, short)),
        ("whatever it says", "ok", word(s.showing(root=b"\1" * 32), short)), ("of another height, likewise", "ok", word(
            s.showing(root=b"\1" * 32), elsewhere)), ("the height alone is compared, be it a CONFIG's", "ok", word(raw, by_config)),
        ("256 headers, whatever they say", "ok", word(s.showing(256, root=b"\1" * 32))),
        ("a leaf that fits", "ok", claimed()), ("of another height", "bad_header", claimed(height=6)),
        ("of another cluster", "bad_header", claimed(cluster=COORDINATOR)), ("of another system", "bad_header", claimed(system_id=bytes(16))),
        ("a block without a state leaf", "bad_header", word(s.showing(leaves=s.leaves[:-1], path=[]))),
        ("24 hashes decode", "bad_header", word(s.showing(path=[bytes(32)] * 24))),
        ("25 do not", "bad_field", word(s.showing(path=[bytes(32)] * 25))),
        ("a path cut short", "bad_bytes", word(raw[:-1])), ("no path_count", "bad_bytes", word(raw[:end - 4])),
        ("a byte behind it", "bad_bytes", word(raw + b"\0")),
        ("a path behind one with a child", "bad_bytes", word(Made(w, base, 16).raw + bytes(4))),
        ("another cluster's", "bad_place", word(Sealed(w, 5, COORDINATOR).showing()))])


def paths(r, w):
    s = Sealed(w)
    last, others = s.leaves[-1], [bytes([i]) * 112 for i in range(20)]

    def leads(leaves, i=-1, more=(), less=0):
        path = merkle.path(i % len(leaves), [merkle.leaf_hash(x) for x in leaves])
        path = path[:len(path) - less] + list(more)
        return Checkpoint(Reader(s.showing(leaves=leaves, path=path))).path_leads()

    def flipped(n):
        leaves = others[:n] + [last]
        path = b"".join(merkle.path(n, [merkle.leaf_hash(x) for x in leaves]))
        cut = lambda x: [x[i:i + 32] for i in range(0, len(x), 32)]
        return {Checkpoint(Reader(s.showing(leaves=leaves, path=cut(x)))).path_leads() for x in flips(path)}
    r.facts("P-42 path", [("after %d others" % n, True, lambda n=n: leads(others[:n] + [last])) for n in (0, 1, 2, 3, 4, 7, 8, 19)])
    r.facts("P-42 path", [
        ("each bit flipped, after 7 others", {False}, lambda: flipped(7)),
        ("a hash more", False, lambda: leads(others[:2] + [last], more=[bytes(32)])),
        ("a hash less", False, lambda: leads(others[:3] + [last], less=1)), ("not the last", False, lambda: leads([last, others[0]], 0)),
        ("not the last, its partner to the left", False, lambda: leads([others[0], last, others[1]], 1))])


def backups(r, w):
    s = Sealed(w)
    (leaf_, body), _ = s.outbox
    entries = sorted((durability.Entry(Reader(entry_of(*e))) for e in entries_of(s.machine)), key=lambda e: e.path)
    slice_ = w.decision(s.config, s.header, s.leaves, 0, body)
    listed = [(3, COORDINATOR, 1, len(body), merkle.leaf_hash(leaf_))]

    def files(headers=1, **change):
        raw = s.showing(headers, entries=len(entries), size=sum(e.declared for e in entries), items=listed)
        q = PieceQuery(bytes(8) + Checkpoint(Reader(raw)).manifest.hash + bytes(56))
        return {"chain": s.chain, "checkpoint": message(raw), "piece-000-": make_piece(q, entries),
                "item-3-%d-1" % COORDINATOR: slice_, **change}
    judge = lambda **x: lambda: Backup(w.file, files(**x))
    good = files()
    r.words("P-80 of SEAL's block", [
        ("whole", "ok", judge()), ("255 headers", "ok", judge(headers=255)), ("256 headers", "bad_checkpoint", judge(headers=256)),
        ("a chain without SEAL", "bad_chain", judge(chain=w.chain(SHARD, []))),
        ("SEAL at another height", "bad_chain", judge(chain=Sealed(w, 6).chain)),
        ("a bit of the path", "bad_checkpoint", judge(checkpoint=good["checkpoint"][:-1] + bytes([good["checkpoint"][-1] ^ 1]))),
        ("an entry less", "bad_piece", judge(**{"piece-000-": make_piece(
            PieceQuery(bytes(8) + good["piece-000-"][8:40] + bytes(56)), entries[:-1])}))])
