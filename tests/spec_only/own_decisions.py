"""Checks of our own for chapter 4: the order of D-12's errors, D-9, and the words of receipts."""
import merkle
from condensed import slice_hash
from consensus import Epoch
from decisions import ClusterLeaf, CompactDecision, state_leaf
from receipt import Receipt
from sysfile import SystemFile
from wire import le
from world import COORDINATOR, SHARD, world


def add(r, whole):
    w = world()
    decisions(r, w)
    receipts(r, SystemFile(whole["system_file"].encode()), whole["receipts"][0].hex("receipt"))


def leaf_of(w, height, dseq=1, previous=bytes(32), body=bytes(16), **other):
    return (bytes([1, other.get("format", 1), 0, 0]) + le(other.get("source", SHARD), 4) + le(COORDINATOR, 4)
            + other.get("system_id", w.system_id) + le(height, 8) + le(dseq, 8) + previous + le(len(body), 4) + slice_hash(body))


def decisions(r, w):
    config = w.file.genesis(SHARD)
    epoch = Epoch.of_config(config, 0)
    body = b"\1" + bytes(15)
    leaf = leaf_of(w, 7, body=body)
    others = [bytes([2]) * 112] * 4
    good = w.decision(config, w.header(config, 7, outbox=[leaf] + others), [leaf] + others, 0, body)
    path = 4 + int.from_bytes(good[:4], "little")  # where leaf_index stands

    def judge(raw):
        d = CompactDecision(raw)
        d.form()
        d.check(epoch)

    def at(*changes):
        raw = bytearray(good)
        for offset, value in changes:
            raw[offset:offset + len(value)] = value
        return lambda: judge(bytes(raw))
    size = int.from_bytes(good[path + 4:path + 8], "little")
    place = path + 12 + 32 * 3
    made = lambda x, b=body: lambda: judge(w.decision(config, w.header(config, 7, outbox=[x]), [x], 0, b))
    kind = (4, b"\1")  # a prepare QC: decodes, and proves nothing
    form = (4, b"\3")
    r.words("D-12", [
        ("good", "ok", lambda: judge(good)), ("its leaf_count is the least", "ok", at((path + 4, le(size, 4)))),
        ("one more, whose path has the same shape", "bad_path", at((path + 4, le(size + 1, 4)))),
        ("leaf_index beyond it", "bad_path", at((path, le(size, 4)))), ("another path_count", "truncated", at((path + 8, le(2, 4)))),
        ("a path_count without its bytes", "truncated", at((path + 8, b"\xff" * 4))),
        ("a certificate that does not decode", "bad_certificate", at(form)),
        ("that comes before the path", "bad_certificate", at(form, (path, le(size, 4)))),
        ("the path before the leaf", "bad_path", at((path, le(size, 4)), (place + 1, b"\2"))),
        ("the leaf before the proof", "bad_leaf", at(kind, (place + 1, b"\2"))), ("the proof before where it leads", "unproved", at(
            kind, (place + 44, b"\1"))),
        ("a state leaf", "bad_leaf", made(state_leaf(w.system_id, SHARD, 7, bytes(32)), b"")),
        ("a leaf of another source", "wrong_leaf", made(leaf_of(w, 7, source=SHARD + 1, body=body))),
        ("of another system", "wrong_leaf", made(leaf_of(w, 7, system_id=bytes(16), body=body))),
        ("of another height", "wrong_leaf", made(leaf_of(w, 8, body=body))),
        ("not in the outbox", "wrong_leaf", at((place + 44, b"\1"))), ("another slice", "wrong_slice", at((len(good) - 1, b"\1")))])
    r.words("D-9", [("dseq 1 after zeros", "ok", lambda: ClusterLeaf(leaf)),
                    ("dseq 1 after something is D-4.1's matter", "ok", lambda: ClusterLeaf(leaf_of(w, 7, previous=b"\1" * 32))),
                    ("dseq 0", "bad_leaf", lambda: ClusterLeaf(leaf_of(w, 7, dseq=0)))])


def receipts(r, system, raw):
    x = Receipt(raw)
    item = raw.index(x.item_raw)
    part = item + len(x.item_raw)  # number 8, nonce 16, flags 1, op_count 4, operation index 4, op_count 4
    operation = len(raw) - len(x.op_raw)
    leaf = raw.index(x.decision.leaf_raw)
    index = item - 4 - 32 * len(x.item_path) - 12
    fits = x.op_count > 1 and merkle.count(1, x.op_count) == len(x.op_path)
    other_index = "other_request" if fits else "truncated"
    certificate = 16  # magic 8, chain 4 (empty), length 4

    def both(*changes):
        out = bytearray(raw)
        for offset, value in changes:
            out[offset:offset + len(value)] = value
        return lambda: Receipt(bytes(out)).check(system)
    at = lambda *change: both(change)
    r.words("O-71", [
        ("good", "ok", lambda: Receipt(raw).check(system)), ("format of the leaf", "bad_decision", at(leaf + 1, b"\2")),
        ("time of the leaf", "bad_decision", at(leaf + 36, b"\xee")), ("an item of kind 1", "bad_item", at(item, b"\1")),
        ("zero of the item", "bad_item", at(item + 2, b"\1")), ("op_count 2 of the item", "bad_item", at(item + 56, b"\2")),
        ("flags of the result", "bad_item", at(item + 65, b"\4")), ("height of the item", "item_unproved", at(item + 40, b"\xee")),
        ("item index", "truncated", at(index, b"\xee")),
        ("item count that the path does not fit", "truncated", at(index + 4, le(1 << 20, 4))),
        ("the leaf's item count", "bad_item", at(leaf + 8, b"\xee")), ("first_op of the item", "other_request", at(item + 52, b"\xee")),
        ("an item index beyond the count", "truncated", at(index, le(x.item_count, 4))),
        ("flags without RECEIPT", "other_request", at(part + 24, b"\0")), ("flags 4", "other_request", at(part + 24, b"\6")),
        ("op_count", "other_request", at(part + 25, b"\xee")), ("op_count, the second", "truncated", at(part + 33, b"\xee")),
        ("operation index", "truncated", at(part + 29, b"\xee")),
        ("another operation's index", other_index, at(part + 29, b"\1")), ("opcode 0", "bad_operation", at(operation, b"\0")),
        ("number", "other_request", at(part, le(x.number + 1, 8))), ("nonce", "other_request", at(part + 8, bytes(16))),
        ("a byte of the operation's key", "other_request", at(operation + 12, b"\xee")),
        ("the certificate's form before the item", "bad_decision", both((certificate, b"\3"), (item, b"\1"))),
        ("the item before the operation", "bad_item", both((item, b"\1"), (operation, b"\0"))),
        ("the operation before what was asked", "bad_operation", both((operation, b"\0"), (part + 24, b"\0"))),
        ("what needs no members before the certificate", "other_request", both((part + 24, b"\0"), (certificate + 4, b"\xee"))),
        ("the certificate before the item's path", "bad_decision", both((certificate + 4, b"\xee"), (item + 40, b"\xee"))),
        ("the item's path before the digest", "item_unproved", both((item + 40, b"\xee"), (part, le(x.number + 1, 8))))])
