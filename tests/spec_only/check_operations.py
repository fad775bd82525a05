"""Chapter 5: vectors/operations.json."""
import ed25519
import merkle
import operations as ops
import own_operations
from condensed import slice_hash
from coordinator import Coordinator
from machine import outbox_root
from operations import Batch, Result
from report import Report, differ, load
from shard import Shard
from wire import Reader, le, word_of


def siphash(c):
    return differ((c["output_little_endian"], le(ops.siphash24(c.hex("key"), c.hex("input")), 8).hex()))


def shards(c):
    return differ((c["shard"], ops.shard_of(c.hex("partition_key"), c.hex("key"), c["shards"])))


def route(c):
    return differ((c["route"], ops.route(c.hex("key")).hex()))


def numbers(c):
    want = None if c["value"] is None else int(c["value"])
    return differ((want, ops.number(c.hex("stored"))), (c["case"], c.hex("stored").decode()))


def operation(c):
    raw = c.hex("bytes")
    (o,) = ops.read_ops(raw, 1)
    rest = o.arg_a + o.arg_b
    again = bytes([o.code, o.flags]) + le(len(o.key), 2) + le(o.a, 4) + le(o.b, 4) + o.key + rest
    return differ((c["opcode"], o.code), (c["flags"], o.flags), (c["a"], o.a), (c["b"], o.b), (c["key"], o.key.hex()),
                  (c["write"], o.write), (raw, again))


def operation_refused(c):
    return differ((c["error"], word_of(ops.read_ops, c.hex("bytes"), 1)))


def result(c):
    r = Reader(c.hex("bytes"))
    x = Result(r)
    r.end()
    names = "OK ABSENT EXISTS MISMATCH CHECK_FAILED BELOW_FLOOR WRONG_TYPE OVERFLOW".split()
    again = ops.result(x.code, x.value, (x.height, x.index) if x.flags & 1 else None,
                       x.value_bytes if x.flags & 2 else None)
    return differ((c["code"], x.code), (c["flags"], x.flags), (c.num("height"), x.height), (c.num("index"), x.index),
                  (c["value_bytes"], x.value_bytes), (c["case"].replace("-", "_"), names[x.code]), (c["bytes"], again.hex()))


def to_input(c, machine):
    """('kind', ...) as Machine.run takes it."""
    raw = c.hex("bytes")
    if c["kind"] == 1:
        leaf = c.hex("leaf")
        if merkle.leaf_hash(leaf) != c.hex("leaf_hash") or c["relay"] != 0:
            raise ValueError("leaf and its hash differ")
        had = machine.consumed(c["source"])
        fits = (leaf[4:8] == le(c["source"], 4) and leaf[8:12] == le(machine.cluster, 4)
                and leaf[12:28] == machine.config.system_id and leaf[36:44] == le(c["dseq"], 8)
                and c["dseq"] == had.dseq + 1 and leaf[44:76] == had.leaf and leaf[76:80] == le(len(raw), 4)
                and leaf[80:] == slice_hash(raw))
        if not fits:
            raise ValueError("a reference that D-4 refuses")
        return (1, c["source"], c["dseq"], c.hex("leaf_hash"), raw)
    if c["kind"] == 2:
        return (2, Batch(raw, machine.config.limits, machine.config.shards), c["relay"])
    return (3, raw, c["relay"])


def entries_of(lst):
    return [(e["space"], e.hex("key"), e.hex("value"), int(e["height"]), int(e["index"])) for e in lst]


def run_blocks(r, name, data):
    machines, genesis = {}, {}
    system_id, partition_key = data.hex("system_id"), data.hex("partition_key")

    def start(c):
        cls = Coordinator if c["cluster"] < 0x20000 else Shard
        m = cls(c["cluster"], entries_of(c["state"]))
        machines[m.cluster] = m
        genesis[m.cluster] = m.config
        m.genesis_of = genesis
        kind = "coordinator" if m.coordinator else "shard"
        records = {b"g": m.config.whole()}
        if m.coordinator:
            cards = [v[0] for k, v in m.system.items() if k[:1] == b"k"]
            for card in (x[12:144] for x in cards):
                cid = ops.H(13, card)
                records[b"k" + cid] = m.get(b"k" + cid)
                records[b"n" + card[36:68]] = cid
            records[b"e"] = le(0, 8) + data.hex("file_hash") + le(len(cards), 4)
        versions = {v[1:] for v in m.system.values()}
        return differ((c["state_root"], m.root().hex()), (c["case"], kind), (m.config.cluster, m.cluster),
                      (records, {k: v[0] for k, v in m.system.items()}), ({(0, 0)}, versions), (0, len(m.user)),
                      ((system_id, partition_key), (m.config.system_id, m.config.partition_key)))

    def block(c):
        m = machines[c["cluster"]]
        before = differ((c["state_root"], m.root().hex()), (c["parent_time"], m.time))
        out = m.run(c["height"], c["time"], [to_input(x, m) for x in c.get("inputs", [])])
        after = {(e[0], e[1]): e[2:] for e in entries_of(c["state"])}
        got = m.entries()
        bad = [k for k in set(after) | set(got) if after.get(k) != got.get(k)]
        pairs = [((x["leaf"], x["slice"], x["leaf_hash"]), (a.hex(), b.hex(), merkle.leaf_hash(a).hex()))
                 for x, (a, b) in zip(c.get("outputs", []), out)]
        return before or differ(
            *pairs, (len(c.get("outputs", [])), len(out)), (c["outbox_root"], outbox_root(out).hex()),
            *[((k, after.get(k)), (k, got.get(k))) for k in bad], (c["state_root_after"], m.root().hex()),
            (c["cursors_hash"], m.cursors.hex()), (True, bool(c["case"])))

    plain = lambda n, v: None
    g = lambda judge: lambda n, cases: r.group(n, cases, judge)
    r.groups({"system_id": plain, "partition_key": plain, "file_hash": plain, "genesis": g(start), "blocks": g(block)},
             data, name + ".")


def run(path, mode):
    r, data = Report("operations"), load(path)
    lim = data["batch_limits"]
    limits = {k: lim[k] for k in ("batch_bytes_max", "batch_ops_max", "batch_parts_max")}
    count = lim["shards"]

    def batch(c):
        b = Batch(c.hex("bytes"), limits, count)
        system_id, key, seed = c.hex("system_id"), c.hex("signing_key"), c.hex("signing_seed")
        out = [(c["batch_id"], b.id.hex()), (len(c["parts"]), len(b.parts)), (key, ed25519.public_key(seed)),
               (b.write, "write" in c["case"])]
        for x, p in zip(c["parts"], b.parts):
            out += [(x["flags"], p.flags), (x.num("floor"), p.floor), (x.num("number"), p.number),
                    (x["op_count"], p.op_count), (x["operations"], p.raw.hex()), (x["part_digest"], p.digest.hex()),
                    (x["shard"], p.shard)]
        if b.write:
            out += [(c["signed"], b.signed(system_id).hex()), (b.signature, ed25519.sign(seed, b.signed(system_id))),
                    ("ok", b.verify(system_id, key))]
        return differ(*out)

    def refused(c):
        return differ((c["error"], word_of(Batch, c.hex("bytes"), limits, count)))

    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({"siphash": g(siphash), "shards": g(shards), "routes": g(route), "numbers": g(numbers),
              "operations": g(operation), "operations_refused": g(operation_refused), "results": g(result),
              "batch_limits": lambda n, v: r.equal(n, 4, len(v)), "batches": g(batch), "batches_refused": g(refused),
              "execution": lambda n, v: run_blocks(r, n, v)}, data)
    own_operations.add(r, path)
    return r
