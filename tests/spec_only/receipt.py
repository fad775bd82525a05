"""Receipts (5.9): run verify SYSTEM.json RECEIPT."""
import merkle
import operations as ops
from consensus import Certificate, epochs_of
from decisions import LEAF, ClientLeaf, OutboxProof
from sysfile import SystemFile
from wire import Bad, Reader, is_coordinator, need

MAGIC = b"HRCRCPT1"
OPCODES = ("", "GET", "PUT", "PUT-IF-ABSENT", "CAS", "CAS-VERSION", "DELETE", "ADD", "CHECK", "CANCEL", "CLIENT-STATE")
CODES = {0: "OK", 1: "ABSENT", 2: "EXISTS", 3: "MISMATCH", 4: "CHECK-FAILED", 5: "BELOW-FLOOR", 6: "WRONG-TYPE",
         7: "OVERFLOW", 8: "NOT-EXECUTED", 9: "UNSUPPORTED", 10: "LIMIT", 11: "TABLE-FULL", 12: "WRONG-SHARD",
         13: "RECORDED", 14: "CANCELLED"}


class Item:
    """O-25."""

    def __init__(self, raw):
        r = Reader(raw, "item", "item")
        self.kind, self.code = r.ranged(1, 1, 2), r.u(1)
        r.zero(2)
        self.shard, self.digest, self.height, self.index = r.u(4), r.take(32), r.u(8), r.u(4)
        self.first_op, self.op_count = r.u(4), r.u(4)
        self.results = r.take(r.u(4))
        r.end()


class Receipt:
    """O-70: the tables."""

    def __init__(self, raw):
        need(raw[:8] == MAGIC, "not_a_receipt")
        r = Reader(raw[8:])
        self.chain = r.take(r.u(4))
        self.certificate = r.take(r.u(4))
        self.outbox = OutboxProof(r)
        self.leaf = ClientLeaf(r.take(LEAF))
        self.item_index, self.item_count = r.u(4), r.u(4)
        self.item_path = self._path(r)
        self.item_raw = r.take(r.u(4))
        self.item = Item(self.item_raw)
        self.number, self.nonce, self.flags, self.op_count = r.u(8), r.take(16), r.u(1), r.u(4)
        self.op_index, self.op_count_again = r.u(4), r.u(4)
        self.op_path = self._path(r)
        self.op_raw = r.take(r.u(4))
        r.end()
        self.cause = ""

    @staticmethod
    def _path(r):
        n = r.u(4)
        need(n <= 64, "path")
        return [r.take(32) for _ in range(n)]

    def decision(self, system):
        """The certificate and what it proves of the leaf; gives the epoch and the newest that the chain shows."""
        cert = Certificate(self.certificate)
        cluster = cert.qc.ballot.cluster
        need(is_coordinator(cluster) and cluster in [c.number for c in system.coordinators], "cluster")
        genesis = system.genesis(cluster)
        number = cert.qc.ballot.epoch
        epochs = epochs_of(genesis, self.chain, number + 1)
        need(number < len(epochs), "epoch")
        epoch = epochs[number][0]
        cert.check(epoch)
        leaf = self.leaf
        self.outbox.check(leaf.hash, cert.outbox_root)
        need((leaf.system_id, leaf.source, leaf.height) == (system.system_id, cluster, cert.height), "leaf")
        return epoch, epochs[-1][0]

    def check(self, system):
        """O-71. Words: bad_decision, wrong_item, other_request."""
        try:
            out = self.decision(system)
        except Bad as e:
            self.cause = e.word
            raise Bad("bad_decision")
        try:
            self.the_item(system)
        except Bad as e:
            self.cause = e.word
            raise Bad("wrong_item")
        try:
            self.request()
        except Bad as e:
            self.cause = e.word
            raise Bad("other_request")
        return out

    def the_item(self, system):
        leaf, item = self.leaf, self.item
        need(self.item_count == leaf.item_count, "item count")
        need(merkle.verify_inclusion(merkle.leaf_hash(self.item_raw), self.item_index, self.item_count,
                                     self.item_path, leaf.items_root) == "ok", "item proof")
        need(item.kind == 2 and item.op_count == 1 and item.code in (ops.OK, ops.RECORDED), "item")
        need(item.shard in [c.number for c in system.shards], "item shard")
        results = ops.split_results(item.results, 1)
        need(results is not None, "result")
        self.result = ops.Result(Reader(results[0]))

    def request(self):
        leaf, item = self.leaf, self.item
        need(self.flags < 4 and self.flags & ops.RECEIPT, "flags")
        need(self.op_count >= 1 and self.op_count == self.op_count_again, "op_count")
        need(self.op_index == item.first_op and self.op_index < self.op_count, "operation index")
        (self.op,) = ops.read_ops(self.op_raw, 1)
        need(len(self.op_path) == merkle.count(self.op_index, self.op_count), "operation proof")
        root = merkle.root_from(merkle.leaf_hash(self.op_raw), self.op_index, self.op_count, self.op_path)
        digest = ops.part_digest(leaf.client_id, self.number, self.nonce, self.flags, self.op_count, root)
        need(digest == item.digest, "part_digest")

    def explain(self, system, epoch, newest):
        leaf, item, op, res = self.leaf, self.item, self.op, self.result
        names = [c.card.name.decode() for c in system.clients if c.card.id == leaf.client_id]
        show = lambda b: "%s (%s)" % (b.hex(), b.decode("ascii", "replace")) if b.isascii() else b.hex()
        name = OPCODES[op.code] if op.code < len(OPCODES) else "reserved %d" % op.code
        lines = ["system %s (%s)" % (system.system_id.hex(), system.name),
                 "coordinator cluster 0x%08x, epoch %d, height %d, header time %d ms" % (leaf.source, epoch.epoch,
                                                                                         leaf.height, leaf.time),
                 "decided for client %s%s" % (leaf.client_id.hex(), " (%s)" % names[0] if names else ""),
                 "part with number %d: operation %d of %d: %s %s" % (self.number, self.op_index, self.op_count, name,
                                                                     show(op.key)),
                 "answered by shard cluster 0x%08x at its height %d, index %d: %s%s" % (
                     item.shard, item.height, item.index, CODES.get(res.code, str(res.code)),
                     ", recorded earlier" if item.code == ops.RECORDED else "")]
        if res.flags & 1:
            lines.append("version: height %d, index %d" % (res.height, res.index))
        if res.flags & 2:
            lines.append("value left out, %d bytes" % res.value_bytes)
        elif res.value:
            lines.append("value: " + show(res.value))
        if epoch.height_last == 2**64 - 1:
            lines.append("judged by the members of epoch %d, the newest that the chain shows; whether they are "
                         "still in office it cannot show" % newest.epoch)
        else:
            lines.append("judged by the members of epoch %d, in office up to height %d" % (epoch.epoch,
                                                                                          epoch.height_last))
        lines.append("It does not prove that the value is still current, nor a calendar time.")
        return lines


def read(path):
    with open(path, "rb") as f:
        return f.read()


def main(system_path, receipt_path):
    try:
        system_raw, raw = read(system_path), read(receipt_path)
    except OSError as e:
        print("unreadable: %s: %s" % (e.filename, e.strerror))
        return 2
    try:
        system = SystemFile(system_raw)
    except Bad as e:
        print("unreadable: %s: no valid system file: %s" % (system_path, e.word))
        return 2
    receipt = None
    try:
        receipt = Receipt(raw)
        epoch, newest = receipt.check(system)
    except Bad as e:
        cause = receipt.cause if receipt else ""
        print("not valid: %s%s" % (e.word, " (%s)" % cause if cause else ""))
        return 1
    print("valid")
    for line in receipt.explain(system, epoch, newest):
        print("  " + line)
    return 0
