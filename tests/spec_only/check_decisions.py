"""Chapter 4 (and receipts, 5.9): vectors/decisions.json."""
import merkle
import own_condensed
import own_decisions
from check_operations import entries_of
from condensed import client_items, items_hash, slice_hash
from consensus import EMPTY_BODY, VOTE_TAG, Certificate, Epoch, Header, references
from coordinator import Coordinator
from decisions import LEAF, ClientLeaf, ClusterLeaf, CompactDecision, input_bytes_fit, items_root, read_leaf, state_leaf
from machine import Machine, genesis_state, pending_hash
from operations import Batch
from receipt import Receipt
from report import Report, differ, load
from shard import Shard
from sysfile import SystemFile
from wire import H, Bad, Reader, le, need, word_of

def body(c, most):
    raw = c.hex("body")
    refs = references(raw, most, "invalid")
    again = le(len(refs), 4)
    for kind, relay, source, dseq, hash_ in refs:
        again += bytes([kind, relay, 0, 0]) + le(source, 4) + le(dseq, 8) + hash_
    return differ((c["body_hash"], H(7, raw).hex()), (raw, again), (c["case"] == "empty", raw == EMPTY_BODY))


def body_refused(c, most):
    return differ((c["error"], word_of(references, c.hex("body"), most, "invalid")))


def body_inputs(c, most):
    refs, out = [], [(True, bool(c["case"]))]
    for x in c["references"]:
        kind, relay = x["kind"], x["relay"]
        one = read_leaf(x.hex("leaf")) if kind == 1 else None
        raw = x.hex("bytes") if kind in (2, 3) else b""
        if one:  # D-9, D-4.1; D-12: a compact decision is longer than its slice
            out += [((x["source"], x["dseq"], 0), (one.source, one.dseq, relay)), (c["cluster"], one.destination),
                    (True, x["compact_decision_bytes"] > one.slice_bytes + LEAF)]
        out.append((True, kind != 2 or c["cluster"] < 0x20000))  # D-4.2
        refs.append((kind, one, raw))
    return differ(*out, (c.get("error", "ok"), word_of(input_bytes_fit, refs, most)))


def leaf(c):
    x = read_leaf(c.hex("leaf"))
    kind = ClusterLeaf if c["case"] == "to a cluster" else ClientLeaf
    return differ((c["leaf_hash"], x.hash.hex()), (kind, type(x)))


def leaf_refused(c):
    got = word_of(read_leaf, c.hex("leaf"))
    return differ((c["error"], "invalid" if got == "bad_leaf" else got))


def state_leaf_case(c):
    """D-35, D-11."""
    raw = state_leaf(c.hex("system_id"), c["source"], c.num("height"), c.hex("state_root"))
    box = [x.hex("leaf") for x in c["outbox"]]
    others = [read_leaf(x) for x in box[:-1]]
    same = {(x.source, x.system_id, x.height) for x in others} <= {(c["source"], c.hex("system_id"), c.num("height"))}
    kinds = [x[0] for x in box]
    return differ((c["leaf"], raw.hex()), (LEAF, len(raw)), (c["leaf_hash"], merkle.leaf_hash(raw).hex()), (raw, box[-1]),
                  (c["outbox_root"], merkle.root(box).hex()), (True, same), (sorted(kinds), kinds), ("bad_leaf", word_of(read_leaf, raw)),
                  (True, bool(c["case"])))


def outbox(c):
    return differ((c["outbox_root"], merkle.root([x.hex("leaf") for x in c["leaves"]]).hex()))


def slice_(c):
    raw = c.hex("slice")
    ack, items = Machine.envelope(raw)
    envelope = len(raw) >= 16 and raw[:4] == b"\x01\0\0\0"
    return differ((c["ack"], ack), (c["items_taken"], len(items)), (c["envelope"], envelope),
                  (c["slice_hash"], slice_hash(raw).hex()))


def client_slice(c):
    raw, n = c.hex("slice"), c["item_count"]
    word = word_of(client_items, raw, n)
    root = items_root(client_items(raw, n)).hex() if word == "ok" else None
    return differ((c.get("error", "ok"), word), (c.get("items_root"), root), (True, bool(c["case"])))


def cursors(c):
    return differ((c["cursors_hash"], H(8, c.hex("parent"), c.hex("entries")).hex()))


def pending(c):
    out, pairs = b"", []
    for x in c["groups"]:
        a, b = items_hash(x.hex("items")), H(16, x.hex("routing_list"))
        pairs += [(x["items_hash"], a.hex()), (x["routing_hash"], b.hex()), (x["case"], "group")]
        out += a + b
    return differ(*pairs, (c["pending_hash"], H(23, out).hex()))


def work(c):
    """D-26: every hash and count of the state from the blob."""
    entries = entries_of(c["state"])
    cluster = int.from_bytes([e for e in entries if e[1] == b"g"][0][2][6:10], "little")
    m = (Coordinator if cluster < 0x20000 else Shard)(cluster, entries)
    r, out = Reader(c.hex("work")), [(c["state_root"], m.root().hex())]
    need(r.u(4) == 1, "format")
    seen, lists = [], {}
    for _ in range(r.u(4)):
        pair, list_count, item_bytes, entry_bytes = r.u(4), r.u(4), r.u(8), r.u(8)
        items, routing = r.take(item_bytes), Reader(r.take(entry_bytes))
        q = m.queue(pair)
        groups = m.cut(items, routing, m.config.limits)
        count, total = sum(g.count for g in groups), sum(g.ops for g in groups)
        routing.end()
        out += [(q.items, count), (q.ops, total), (q.bytes, item_bytes), (q.hash, pending_hash(groups))]
        open_ops = total if m.coordinator else 0
        for _ in range(list_count):
            dseq, n = r.u(8), r.u(4)
            r.zero(4)
            lists[b"u" + le(pair, 4) + le(dseq, 8)] = x = r.take(n)
            open_ops += sum(int.from_bytes(x[i + 68:i + 72], "little") for i in range(0, n, 76))
        out += [(q.open_ops, open_ops), (True, bool(groups or list_count))]
        seen.append(pair)
    r.end()
    hashes = {k: m.get(k) for k in m.system if k[:1] == b"u"}
    busy = [p for p in m.pairs() if m.queue(p).items or any(k[1:5] == le(p, 4) for k in hashes)]
    return differ(*out, (hashes, {k: H(16, v) for k, v in lists.items()}), (busy, seen),
                  (c["case"], "coordinator" if m.coordinator else "shard"))


def genesis_header(f, m):
    """B-10."""
    return (f.system_id + m.config.hash + le(m.cluster, 4) + bytes(16) + le(f.succession << 48, 8) + merkle.root([])
            + bytes(32) + H(7, EMPTY_BODY) + m.root() + bytes(32) + bytes(8))


def whole(c):
    f = SystemFile(c["system_file"].encode())
    co, sh = f.coordinators[0].number, f.shards[0].number
    ms = {co: Coordinator(co, genesis_state(f, co)), sh: Shard(sh, genesis_state(f, sh))}
    for m in ms.values():
        m.genesis_of = {k: f.genesis(k) for k in ms}
    heads = {co: genesis_header(f, ms[co]), sh: genesis_header(f, ms[sh])}
    out = [(c["coordinator_genesis_header"], heads[co].hex()), (c["shard_genesis_header"], heads[sh].hex()),
           ("n = %d" % len(f.coordinators[0].nodes), c["case"])]
    request = Batch(c.hex("request"), f.limits, len(f.shards))
    client = [x for x in f.clients if x.card.id == request.client_id][0]
    out.append(("ok", request.verify(f.system_id, client.card.signing_key)))
    decided = {}
    for b in c["blocks"]:
        m, h, raw = ms[b["cluster"]], Header(b.hex("header")), b.hex("body")
        parent = Header(heads[m.cluster])
        epoch = Epoch.of_config(f.genesis(m.cluster), f.succession << 48)
        state = m.root()
        inputs = []
        for kind, relay, source, dseq, hash_ in references(raw, m.config.limits["block_refs_max"]):
            if kind == 1:
                x = decided[hash_]
                need(x.leaf.destination == m.cluster and x.leaf.source == source and x.leaf.dseq == dseq
                     and m.consumed(source).dseq + 1 == dseq and m.consumed(source).leaf == x.leaf.previous, "D-4")
                inputs.append((1, source, dseq, hash_, x.slice))
            else:
                need(kind == 2 and hash_ == request.id and relay < m.config.n, "D-4")
                inputs.append((2, request, relay))
        box = m.run(h.height, h.time, inputs)
        root = merkle.root([x for x, _ in box])
        cert, d = Certificate(b.hex("certificate")), CompactDecision(b.hex("compact_decision"))
        d.form()
        got = (word_of(cert.check, epoch), word_of(d.check, epoch))
        decided[d.leaf.hash] = d
        path = merkle.path(d.proof.index, [merkle.leaf_hash(x) for x, _ in box])
        out += [(b["block_id"], h.id.hex()), (h.body_hash, H(7, raw)), (h.parent_id, parent.id), (h.state_root, state),
                (h.height, parent.height + 1), (h.place, epoch.place), (h.outbox_root, root), (True, h.time >= parent.time),
                (h.cursors_hash, m.cursors), (b["commit_preimage"], (VOTE_TAG[2] + h.ballot()).hex()),
                (("ok", "ok"), got), (cert.block_id, h.id), (d.certificate.block_id, h.id),
                (b["state_root_after"], m.root().hex()), (box[d.proof.index], (d.leaf.raw, d.slice)),
                (d.proof.path, path), (True, bool(b["case"]))]
        if isinstance(d.leaf, ClientLeaf):
            out.append((h.time, d.leaf.time))
        heads[m.cluster] = h.raw
    for x in c["receipts"]:
        got = word_of(lambda: Receipt(x.hex("receipt")).check(f))
        out.append(((x["case"], x["error"]), (x["case"], got)))
    return differ(*out)


def run(path, mode):
    r, data = Report("decisions"), load(path)

    def compact(name, lists):
        for i, c in enumerate(lists):
            keys = [k.hex("key") for k in c["signing_keys"]]
            epoch = Epoch(c.hex("system_id"), c.hex("config_hash"), c["cluster"], 0, keys, 0)
            tag = "%s[%d]" % (name, i)
            r.equal(tag + " n", c["case"], "n = %d" % len(keys))

            def one(x):
                d = None
                try:
                    d = CompactDecision(x.hex("bytes"))
                    d.form()
                    d.check(epoch)
                    got = "ok"
                except Bad as e:
                    got = e.word
                return differ((x["error"], got), (x.get("cause"), d.cause if d else None))
            r.group(tag, c["decisions"], one)
            if c.unread():
                r.fail(tag, "all fields used", "not recognised: " + ", ".join(c.unread()))

    g = lambda j: lambda name, cases: r.group(name, cases, j)
    most, bytes_most = data["bodies_block_refs_max"], data["body_inputs_block_input_bytes_max"]
    r.groups({"bodies_block_refs_max": lambda n, v: r.equal(n, True, 1 <= v <= 16384),
              "bodies": g(lambda c: body(c, most)), "bodies_refused": g(lambda c: body_refused(c, most)),
              "body_inputs_block_input_bytes_max": lambda n, v: r.equal(n, True, 2097152 <= v <= 268435456),
              "body_inputs": g(lambda c: body_inputs(c, bytes_most)),
              "leaves": g(leaf), "leaves_refused": g(leaf_refused),
              "outbox_roots": g(outbox), "state_leaves": g(state_leaf_case), "slices": g(slice_),
              "client_slices": g(client_slice), "cursors": g(cursors),
              "pending": lambda n, v: r.case(n, v, pending), "compact_decisions": compact, "work": g(work),
              "whole": g(whole)}, data)
    own_decisions.add(r, data["whole"][0])
    own_condensed.add(r)
    return r
