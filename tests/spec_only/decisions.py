"""Compact decisions and outbox leaves (4.3)."""
import merkle
from condensed import client_item, client_items, slice_hash
from consensus import Certificate
from wire import Bad, Reader, le, need

LEAF = 112
SLICE_MAX = 64 << 20


class ClusterLeaf:
    """D-9; what previous is for dseq 1 is D-4.1's to judge."""

    def __init__(self, raw):
        r = Reader(raw, "bad_leaf", "bad_leaf")
        need(r.u(1) == 1 and r.u(1) == 1, "bad_leaf")
        r.zero(2)
        self.source, self.destination, self.system_id = r.u(4), r.u(4), r.take(16)
        self.height, self.dseq, self.previous = r.u(8), r.u(8), r.take(32)
        self.slice_bytes, self.slice_hash = r.ranged(4, 16, SLICE_MAX), r.take(32)
        r.end()
        need(self.dseq >= 1, "bad_leaf")
        self.raw, self.hash = raw, merkle.leaf_hash(raw)

    def matches(self, body):
        return len(body) == self.slice_bytes and slice_hash(body) == self.slice_hash


class ClientLeaf:
    """D-10."""

    def __init__(self, raw):
        r = Reader(raw, "bad_leaf", "bad_leaf")
        need(r.u(1) == 2 and r.u(1) == 1, "bad_leaf")
        r.zero(2)
        self.source, self.item_count, self.system_id = r.u(4), r.ranged(4, 1, 1 << 24), r.take(16)
        self.height, self.time, self.client_id = r.u(8), r.u(8), r.take(32)
        self.slice_bytes, self.items_root = r.ranged(4, 0, SLICE_MAX), r.take(32)
        r.end()
        self.raw, self.hash = raw, merkle.leaf_hash(raw)

    def items(self, body):
        """D-16."""
        need(len(body) == self.slice_bytes, "wrong_slice")
        return client_items(body, self.item_count)

    def matches(self, body):
        try:
            return items_root(self.items(body)) == self.items_root
        except Bad:
            return False


def items_root(items):
    """D-10."""
    return merkle.root([client_item(x) for x in items])


def state_leaf(system_id, cluster, height, root):
    """D-35: what a SEAL's block says of the state after it."""
    return b"\x03\x01\0\0" + le(cluster, 4) + bytes(4) + system_id + le(height, 8) + bytes(8) + root + bytes(36)


def read_leaf(raw):
    """D-12: a state leaf is in no compact decision."""
    need(raw[0] in (1, 2), "bad_leaf")
    return ClusterLeaf(raw) if raw[0] == 1 else ClientLeaf(raw)


class OutboxProof:
    """leaf_index, leaf_count, path_count, path (D-12)."""

    def __init__(self, r):
        self.index, self.count, n = r.u(4), r.u(4), r.u(4)
        path = r.take(32 * n)
        self.path = [path[i:i + 32] for i in range(0, 32 * n, 32)]

    def form(self):
        need(1 <= self.count <= 1 << 24 and self.index < self.count, "bad_path")
        need(self.count == merkle.least_size(self.index, len(self.path)), "bad_path")

    def leads(self, leaf_hash, root):
        need(merkle.root_from(leaf_hash, self.index, self.count, self.path) == root, "wrong_leaf")


class DecisionHead:
    """D-12 up to the leaf, from a reader: the lengths alone."""

    def __init__(self, r):
        self.certificate_raw = r.take(r.u(4))
        self.proof = OutboxProof(r)
        self.leaf_raw = r.take(LEAF)
        self.cause = None

    def form(self, read=read_leaf):
        """What needs no members: bad_certificate, bad_path, bad_leaf."""
        try:
            self.certificate = Certificate(self.certificate_raw)
        except Bad:
            raise Bad("bad_certificate")
        self.proof.form()
        self.leaf = read(self.leaf_raw)

    def check(self, epoch):
        """After form: unproved (cause: a word of 3.13), wrong_leaf."""
        c, leaf = self.certificate, self.leaf
        try:
            c.check(epoch)
        except Bad as e:
            self.cause = e.word
            raise Bad("unproved")
        need((leaf.height, leaf.source, leaf.system_id) == (c.height, epoch.cluster, epoch.system_id), "wrong_leaf")
        self.proof.leads(leaf.hash, c.outbox_root)


class CompactDecision(DecisionHead):
    """D-12, whole: truncated, those of its head, wrong_slice."""

    def __init__(self, raw):
        r = Reader(raw)
        super().__init__(r)
        self.slice = r.take(int.from_bytes(self.leaf_raw[76:80], "little"))  # slice_bytes of both kinds of leaf
        r.end()

    def check(self, epoch):
        super().check(epoch)
        need(self.leaf.matches(self.slice), "wrong_slice")


def input_bytes_fit(references, most):
    """D-4.5: a SLICE by its leaf's slice_bytes, BATCH and ADMIN whole, NOOP nothing; one reference alone is not measured."""
    total = 0
    for kind, leaf, raw in references:
        if kind == 1:
            total += leaf.slice_bytes
        elif kind in (2, 3):
            total += len(raw)
    need(len(references) == 1 or total <= most, "invalid")
