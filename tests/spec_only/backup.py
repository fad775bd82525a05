"""A backup of one partition (P-80): a folder of files, checked against nothing but the system file.

The spec names one error, `bad_checkpoint`; the others here are ours: bad_chain (also one by which the checkpoint is left, P-42, or of
another cluster), bad_system, bad_name (a file that is none of P-80's, or pieces of several lengths), missing, bad_piece, bad_item, bad_counts.
Entries of the chain beyond the child's epoch must be valid, too. Another system, and a chain of another cluster, are told by the manifest,
after the checkpoint's form and before the rest of P-42.
"""
import re

from consensus import Payload, epochs_of
from coordinator import Coordinator
from decisions import ClusterLeaf, CompactDecision
from durability import HEADERS_MAX, Known, PieceQuery, check_piece, entries_of_piece, read_checkpoints
from machine import ENTRY, pending_hash
from shard import Shard
from wire import H, Bad, Reader, is_coordinator, le, need

PENDING, ROUTING, SLICE = 1, 2, 3
PIECE_NAME = re.compile(r"piece-([0-9]{3})-((?:[0-9a-f]{2})*)")
ITEM_NAME = re.compile(r"item-([123])-(0|[1-9][0-9]*)-(0|[1-9][0-9]*)")
BITS_MAX = 24


class Backup:
    """files: name -> bytes."""

    def __init__(self, system, files):
        self.system, self.files = system, files
        need("chain" in files and "checkpoint" in files, "missing")
        self.chain()
        self.checkpoint()
        self.names()
        entries = [e for n in sorted(self.pieces) for e in self.piece(n)]
        need((len(entries), sum(e.declared for e in entries)) == (self.manifest.entries, self.manifest.bytes), "bad_counts")
        kind = Coordinator if is_coordinator(self.manifest.cluster) else Shard
        self.machine = kind(self.manifest.cluster, [(e.space, e.key, e.value, e.height, e.index) for e in entries])
        need([x[:3] for x in self.manifest.items] == self.items_of_state(), "bad_counts")
        self.leaf_after = {}  # cluster -> the leaf above, from the newest slice down
        for item in reversed(self.manifest.items):
            self.item(*item)

    def chain(self):
        try:
            payload = self.files["chain"]
            cluster = Reader(payload).u(4)
            need(cluster in [c.number for c in self.system.clusters], "foreign")
            need(Payload(payload).first == 1, "serial")  # P-80, also without entries
            self.epochs = epochs_of(self.system.genesis(cluster), payload)
        except Bad:
            raise Bad("bad_chain")

    def checkpoint(self):
        try:
            nonce, checkpoints = read_checkpoints(self.files["checkpoint"])
            need(nonce == bytes(8) and len(checkpoints) == 1 and not checkpoints[0].manifest.short, "bad_field")
            need(len(checkpoints[0].certificate.headers) < HEADERS_MAX, "headers")
        except Bad:
            raise Bad("bad_checkpoint")
        self.manifest, child = checkpoints[0].manifest, checkpoints[0].child
        need(self.manifest.system_id == self.system.system_id, "bad_system")
        need(self.manifest.cluster == self.epochs[0][0].cluster, "bad_chain")
        try:
            reached = checkpoints[0].usable(Known.of_chain(self.epochs))
        except Bad:
            raise Bad("bad_checkpoint")
        need(reached, "bad_chain")
        self.limits = [c.limits for e, c in self.epochs if e.epoch == child.epoch][0]

    def names(self):
        self.pieces, lengths, items = {}, set(), set()
        for name in self.files.keys() - {"chain", "checkpoint"}:
            piece, item = PIECE_NAME.fullmatch(name), ITEM_NAME.fullmatch(name)
            if piece:
                bits, prefix = int(piece[1]), bytes.fromhex(piece[2])
                value = int.from_bytes(prefix, "big")
                need(bits <= BITS_MAX and len(prefix) == (bits + 7) // 8 and value % (1 << -bits % 8) == 0, "bad_name")
                lengths.add(bits)
                self.pieces[value >> -bits % 8] = name
            else:
                need(item is not None, "bad_name")
                items.add(tuple(map(int, item.groups())))
        need(len(lengths) < 2, "bad_name")
        need(lengths and len(self.pieces) == 1 << max(lengths), "missing")
        self.bits = lengths.pop()
        want = {x[:3] for x in self.manifest.items}
        need(items <= want, "bad_name")
        need(items == want, "missing")

    def piece(self, value):
        prefix = (value << 256 - self.bits).to_bytes(32, "big")
        q = PieceQuery(bytes(8) + self.manifest.hash + bytes(2) + le(self.bits, 2) + bytes(20) + prefix)
        raw = self.files[self.pieces[value]]
        try:
            check_piece(raw, q, self.manifest.state_root)
            need(raw[41] == 0, "code")
        except Bad:
            raise Bad("bad_piece")
        return entries_of_piece(raw)

    def items_of_state(self):
        """P-33: (kind, cluster, dseq) of each item."""
        m, out = self.machine, []
        for c in m.pairs():
            q = m.queue(c)
            out += [(PENDING, c, 0)] if q.items else []
            out += [(SLICE, c, d) for d in range(q.acked + 1, q.sent + 1)]
        out += [(ROUTING, int.from_bytes(k[1:5], "little"), int.from_bytes(k[5:], "little")) for k in m.system if k[:1] == b"u"]
        return sorted(out)

    def item(self, kind, cluster, dseq, size, hash_):
        raw = self.files["item-%d-%d-%d" % (kind, cluster, dseq)]
        try:
            if kind == SLICE:
                need(self.slice(cluster, dseq, raw, hash_) == size, "length")
            else:
                need(len(raw) == size, "length")
                need(hash_ == (self.pending(cluster, raw) if kind == PENDING else self.routing(cluster, dseq, raw)), "hash")
        except Bad:
            raise Bad("bad_item")

    def pending(self, cluster, raw):
        r, q = Reader(raw), self.machine.queue(cluster)
        item_bytes, entry_bytes = r.u(8), r.u(8)
        items, routing = r.take(item_bytes), Reader(r.take(entry_bytes))
        r.end()
        groups = self.machine.cut(items, routing, self.limits)
        routing.end()
        need(sum(g.count for g in groups) == q.items and pending_hash(groups) == q.hash, "pending")
        return q.hash

    def routing(self, cluster, dseq, raw):
        need(len(raw) % ENTRY == 0, "length")
        need(H(16, raw) == self.machine.get(b"u" + le(cluster, 4) + le(dseq, 8)), "routing")
        return H(16, raw)

    def slice(self, cluster, dseq, raw, hash_):
        """The length of the slice; its leaf is sent_leaf for the newest, else what the next one names."""
        d = CompactDecision(raw)
        d.form(ClusterLeaf)
        epoch = [e for e, _ in self.epochs if e.epoch == d.certificate.qc.ballot.epoch]
        need(epoch, "epoch")
        d.check(epoch[0])
        want = self.leaf_after[cluster].previous if cluster in self.leaf_after else self.machine.queue(cluster).leaf
        need(d.leaf.hash == want == hash_ and (d.leaf.destination, d.leaf.dseq) == (cluster, dseq), "leaf")
        self.leaf_after[cluster] = d.leaf
        return d.leaf.slice_bytes
