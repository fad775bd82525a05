"""Receipts (5.9): run verify SYSTEM.json RECEIPT.

How the text was read where it says less than a program must know:
- O-71: `truncated` for an index, count and path count that do not fit is said of the item's and the operation's; the leaf's are `bad_path` (D-12),
  so `bad_decision`. Other bits in flags are `other_request`, like flags without RECEIPT.
"""
import merkle
import operations as ops
from consensus import epochs_of
from decisions import ClientLeaf, DecisionHead
from sysfile import SystemFile
from wire import Bad, Reader, need

MAGIC = b"HRCRCPT1"
OPCODES = ("", "GET", "PUT", "PUT-IF-ABSENT", "CAS", "CAS-VERSION", "DELETE", "ADD", "CHECK", "CANCEL", "CLIENT-STATE")
CODES = {0: "OK", 1: "ABSENT", 2: "EXISTS", 3: "MISMATCH", 4: "CHECK-FAILED", 5: "BELOW-FLOOR", 6: "WRONG-TYPE",
         7: "OVERFLOW", 8: "NOT-EXECUTED", 9: "UNSUPPORTED", 10: "LIMIT", 11: "TABLE-FULL", 12: "WRONG-SHARD",
         13: "RECORDED", 14: "CANCELLED"}


class Item:
    """O-25, as O-71 wants it: of kind 2, with exactly one result."""

    def __init__(self, raw):
        r = Reader(raw, "item", "item")
        need(r.u(1) == 2, "item kind")
        self.code = r.u(1)
        r.zero(2)
        self.shard, self.digest, self.height, self.index = r.u(4), r.take(32), r.u(8), r.u(4)
        self.first_op = r.u(4)
        need(r.u(4) == 1, "item op_count")
        results = r.take(r.u(4))
        r.end()
        r = Reader(results, "result", "result")
        self.result = ops.Result(r)
        r.end()


class Receipt:
    """O-70; on construction what needs no members (O-71), the rest in check."""

    def __init__(self, raw):
        need(raw[:8] == MAGIC, "not_a_receipt")
        r = Reader(raw[8:])
        self.chain = r.take(r.u(4))
        self.decision = DecisionHead(r)
        self.item_index, self.item_count = r.u(4), r.u(4)
        self.item_path = self._path(r)
        self.item_raw = r.take(r.u(4))
        self.number, self.nonce, self.flags, self.op_count = r.u(8), r.take(16), r.u(1), r.u(4)
        self.op_index, self.op_count_again = r.u(4), r.u(4)
        self.op_path = self._path(r)
        self.op_raw = r.take(r.u(4))
        r.end()
        fits = lambda i, n, path: need(i < n and len(path) == merkle.count(i, n), "truncated")
        fits(self.item_index, self.item_count, self.item_path)
        fits(self.op_index, self.op_count_again, self.op_path)
        self.cause = ""
        self._part("bad_decision", self.decision.form, ClientLeaf)
        self.leaf = self.decision.leaf
        self._part("bad_item", self.the_item)
        self._part("bad_operation", self.operation)
        self._part("other_request", self.asked)

    @staticmethod
    def _path(r):
        path = r.take(32 * r.u(4))
        return [path[i:i + 32] for i in range(0, len(path), 32)]

    def decided(self, system):
        """The decision; gives its epoch and the newest that the chain shows."""
        d, ballot = self.decision, self.decision.certificate.qc.ballot
        need(ballot.cluster in [c.number for c in system.coordinators], "cluster")
        epochs = epochs_of(system.genesis(ballot.cluster), self.chain, ballot.epoch + 1)
        need(ballot.epoch < len(epochs), "epoch")
        epoch = epochs[ballot.epoch][0]
        d.check(epoch)
        return epoch, epochs[-1][0]

    def check(self, system):
        """O-71, what needs the members, and the digest."""
        out = self._part("bad_decision", self.decided, system)
        self._part("item_unproved", self.proved)
        self._part("other_request", self.request)
        return out

    def _part(self, word, f, *args):
        try:
            return f(*args)
        except Bad as e:
            self.cause = ": ".join(filter(None, (e.word, self.decision.cause)))
            raise Bad(word)

    def the_item(self):
        need(self.item_count == self.leaf.item_count, "item count")
        self.item = Item(self.item_raw)
        self.result = self.item.result

    def proved(self):
        word = merkle.verify_inclusion(merkle.leaf_hash(self.item_raw), self.item_index, self.item_count, self.item_path,
                                       self.leaf.items_root)
        need(word == "ok", word)

    def operation(self):
        (self.op,) = ops.read_ops(self.op_raw, 1)

    def asked(self):
        need(self.op_count == self.op_count_again, "op_count")
        need(self.op_index == self.item.first_op, "operation index")
        need(self.flags < 4 and self.flags & ops.RECEIPT, "flags")

    def request(self):
        root = merkle.root_from(merkle.leaf_hash(self.op_raw), self.op_index, self.op_count, self.op_path)
        digest = ops.part_digest(self.leaf.client_id, self.number, self.nonce, self.flags, self.op_count, root)
        need(digest == self.item.digest, "part_digest")

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
