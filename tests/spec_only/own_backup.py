"""Checks of our own for P-80: a backup that is whole, and one fault at a time."""
import durability
from backup import Backup
from durability import PieceQuery, make_piece
from wire import H, Reader, le
from world import COORDINATOR, SHARD, Made, Pair, entries_of, message, put, world

BITS = 1


class Source:
    """A coordinator at height 16: one slice that its shard has not acknowledged, its 'u' record, and one item pending."""

    def __init__(self, w):
        self.w, self.config = w, w.file.genesis(COORDINATOR)
        m = Pair.of_genesis(w).coordinator
        write = lambda number: (2, w.batch([(SHARD, 0, number, 1, [put(b"k%d" % number, b"v")])]), 0)
        box = m.run(15, 1000, [write(1)])
        m.run(16, 1000, [write(2)])
        (leaf, body), = box
        decide = lambda x: w.decision(self.config, w.header(self.config, 15, outbox=[x]), [x], 0, body)
        self.other_slice = decide(leaf[:44] + b"\1" * 32 + leaf[76:])  # of another history, under the same number
        group, = m.groups[SHARD]
        routing = b"".join(m.lists[SHARD, 1])
        self.items = {
            (1, SHARD, 0): le(len(group.items), 8) + le(len(group.routing), 8) + group.items + group.routing,
            (2, SHARD, 1): routing, (3, SHARD, 1): decide(leaf)}
        hashes = {1: m.queue(SHARD).hash, 2: H(16, routing), 3: m.queue(SHARD).leaf}
        sizes = {k: len(body) if k[0] == 3 else len(v) for k, v in self.items.items()}
        self.listed = [(*k, sizes[k], hashes[k[0]]) for k in sorted(self.items)]
        self.entries = sorted((durability.Entry(Reader(entry_of(*e))) for e in entries_of(m)), key=lambda e: e.path)
        self.root = m.root()

    def files(self, bits=BITS, **change):
        """The folder; items, entries and size of the manifest may be changed, and what else a checkpoint is made of."""
        of_manifest = {"entries": len(self.entries), "size": sum(e.declared for e in self.entries), "items": self.listed, **change}
        c = Made(self.w, self.config, 16, root=self.root, **of_manifest)
        m = durability.Checkpoint(Reader(c.raw)).manifest
        out = {"chain": self.w.chain(COORDINATOR, []), "checkpoint": message(c.raw)}
        for value in range(1 << bits):
            prefix = (value << 256 - bits).to_bytes(32, "big")
            q = PieceQuery(bytes(8) + m.hash + bytes(2) + le(bits, 2) + bytes(20) + prefix)
            out["piece-%03d-%s" % (bits, prefix[:(bits + 7) // 8].hex())] = make_piece(q, self.entries)
        out.update({"item-%d-%d-%d" % k: v for k, v in self.items.items()})
        return out


def entry_of(space, key, value, height, index):
    return bytes([space, 0]) + le(len(key), 2) + le(len(value), 4) + le(height, 8) + le(index, 4) + key + value


def add(r):
    w = world()
    s = Source(w)
    good = s.files()
    many = Made(w, s.config, 16, root=s.root, items=[(3, SHARD, d, 16, bytes(32)) for d in range(1, 1026)])
    judge = lambda files: lambda: Backup(w.file, files)
    but = lambda **x: judge({**good, **x})
    named = lambda name, raw: judge({**good, name: raw})
    without = lambda name: judge({k: v for k, v in good.items() if k != name})
    flipped = lambda name: named(name, good[name][:-1] + bytes([good[name][-1] ^ 1]))
    pending, routing, slice_ = ("item-%d-%d-%d" % k for k in sorted(s.items))
    zero, one = "piece-001-00", "piece-001-80"
    other = good[zero][:8] + bytes(32) + good[zero][40:]
    long = s.listed[:2] + [(*s.listed[2][:3], s.listed[2][3] + 1, s.listed[2][4])]
    header = 20 + int.from_bytes(good["checkpoint"][16:20], "little")
    foreign = lambda at: good["checkpoint"][:at] + bytes(16) + good["checkpoint"][at + 16:]
    base = s.config
    step = w.entry(base, 32, w.config(base, w.changed(base)))[0]
    raw, block = w.entry(base, 16, w.config(base, w.changed(base)))
    after = lambda chain: judge({**s.files(header=block, child_config=w.changed(base)), "chain": w.chain(COORDINATOR, chain)})
    wide = {k: v for k, v in good.items() if k not in (zero, one)}
    strange = w.entry(base, 32, w.config(base, w.changed(base), signers=[w.admins[0], w.nodes[SHARD][0]]))[0]
    r.words("P-80", [
        ("whole", "ok", judge(good)), ("whole, in one piece", "ok", judge(s.files(0))),
        ("in 16 pieces", "ok", judge(s.files(4))), ("255 headers", "ok", judge(s.files(headers=255))),
        ("256 headers", "bad_checkpoint", judge(s.files(headers=256))),
        ("a nonce", "bad_checkpoint", but(checkpoint=b"\1" + good["checkpoint"][1:])),
        ("no checkpoint in it", "bad_checkpoint", but(checkpoint=message())),
        ("a short manifest", "bad_checkpoint", but(checkpoint=message(many.showing(durability.Manifest(many.manifest).shown())))),
        ("a whole one of 1,025 items is read, and lists others", "bad_name", but(checkpoint=message(many.raw))),
        ("a bit of its certificate", "bad_checkpoint", flipped("checkpoint")),
        ("a chain that goes on", "ok", but(chain=w.chain(COORDINATOR, [step]))),
        ("of the block that began the next epoch", "ok", after([raw])), ("a chain that ends before it", "bad_chain", after([])),
        ("a chain of another cluster", "bad_chain", but(chain=w.chain(SHARD, []))),
        ("a checkpoint of another", "bad_chain", but(checkpoint=message(Made(w, w.file.genesis(SHARD), 16).raw))),
        ("a chain of no cluster", "bad_chain", but(chain=w.chain(COORDINATOR + 1, []))),
        ("another system", "bad_system", but(checkpoint=foreign(28))), ("its header of another", "bad_checkpoint", but(checkpoint=foreign(header))),
        ("a height that K does not divide", "bad_checkpoint", but(checkpoint=message(Made(w, s.config, 17, root=s.root).raw))),
        ("a chain from serial 2 on", "bad_chain", but(chain=w.chain(COORDINATOR, [], 2))),
        ("a step that is not valid", "bad_chain", but(chain=w.chain(COORDINATOR, [strange]))),
        ("an empty chain", "bad_chain", but(chain=b"")),
        ("a file more", "bad_name", named("note", b"")), ("a name in upper case", "bad_name", named("piece-001-8A", b"")),
        ("a piece of another length", "bad_name", named("piece-002-00", good[zero])),
        ("a prefix with bits behind it", "bad_name", named("piece-001-81", good[one])),
        ("a prefix of two bytes", "bad_name", named("piece-001-8000", good[one])),
        ("a number with a leading zero", "bad_name", named("item-03-%d-1" % SHARD, good[slice_])),
        ("an item that the manifest lacks", "bad_name", named("item-3-%d-2" % SHARD, good[slice_])),
        ("25 bits", "bad_name", judge({**wide, "piece-025-00000000": good[zero]})),
        ("24 bits, of which one piece is there", "missing", judge({**wide, "piece-024-000000": good[zero]})),
        ("no chain", "missing", without("chain")), ("no checkpoint", "missing", without("checkpoint")),
        ("a piece is missing", "missing", without(one)), ("an item is missing", "missing", without(routing)),
        ("a piece in another's place", "bad_piece", named(one, good[zero])), ("a bit of a piece", "bad_piece", flipped(zero)),
        ("a piece with a nonce", "bad_piece", named(zero, b"\1" + good[zero][1:])),
        ("a piece of another manifest", "bad_piece", named(zero, other)),
        ("a piece that says UNKNOWN", "bad_piece", named(zero, good[zero][:41] + b"\1" + bytes(14))),
        ("a bit of a pending item's routing", "bad_item", flipped(pending)), ("a bit of a routing list", "bad_item", flipped(routing)),
        ("a bit of a slice", "bad_item", flipped(slice_)), ("another slice under its number", "bad_item", named(slice_, s.other_slice)),
        ("a slice's length", "bad_item", judge(s.files(items=long))),
        ("an entry too few", "bad_counts", judge(s.files(entries=len(s.entries) - 1))),
        ("a byte too many", "bad_counts", judge(s.files(size=1))),
        ("an item too few", "bad_name", judge(s.files(items=s.listed[:2])))])
    fewer = {k: v for k, v in s.files(items=s.listed[:2]).items() if k != slice_}
    r.words("P-33", [("an item of the state that the manifest lacks", "bad_counts", judge(fewer))])
