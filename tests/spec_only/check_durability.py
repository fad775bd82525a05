"""Chapter 8: vectors/durability.json."""
import durability
import ed25519
import own_backup
import own_durability
import own_pieces
import own_seal
import trie
from consensus import Epoch
from durability import Answer, Entry, Known, Manifest, PieceQuery, Query
from report import Report, differ, load
from wire import Reader, word_of


def run(path, mode):
    r, data = Report("durability"), load(path)
    system_id, config_hash = data.hex("system_id"), data.hex("config_hash")
    cluster, epoch_number = data["cluster"], data["epoch"]
    keys = [c.hex("public_key") for c in data["members"]]
    epoch = Epoch(system_id, config_hash, cluster, epoch_number, keys, 0)
    query = Query(data.hex("last_signed_query"))

    def entries_of(cases):
        out = []
        for c in cases:
            rd = Reader(c.hex("entry"))
            out.append(Entry(rd))
            rd.end()
        return out
    state = sorted(entries_of(data["checkpoint_entries"]), key=lambda e: e.path)
    root = trie.root([(e.path, e.leaf) for e in state])

    def member(c):
        return differ((c["public_key"], ed25519.public_key(c.hex("seed")).hex()))

    def entry(c):
        return differ((c["path"], entries_of([c])[0].path.hex()))

    def the_query(name, v):
        want = system_id + cluster.to_bytes(4, "little") + epoch_number.to_bytes(8, "little")
        r.equal(name, v, (want + bytes([query.asker, 0, 0, 0]) + query.nonce).hex())

    def answer(c):
        return differ((c["expect"], word_of(Answer, c.hex("payload"), query, keys)))

    def verdict(c):
        memory = None
        if "memory" in c:
            m = c["memory"]
            memory = {"epoch": m["epoch"], "view": m["view"], "timed_out": m["timed_out"]}
            for k in ("prepared", "committed"):
                memory[k] = m.hex(k) if k in m else None
            if m["timed_out"]:
                memory["high"] = (m.num("timeout_high_view"), m.num("timeout_high_height"), m.hex("timeout_high_id"))
        return differ((c["expect"], durability.judge(Answer(c.hex("payload"), query, keys), memory)))

    def manifest(name, v):
        m = Manifest(bytes.fromhex(v))
        place = (m.system_id, m.cluster, m.epoch, m.state_root)
        r.equal(name + " place", (system_id, cluster, epoch_number, root), place)
        r.equal(name + " counts", (len(state), sum(e.declared for e in state)), (m.entries, m.bytes))
        r.equal(name + " hash", data["manifest_hash"], m.hash.hex())

    def checkpoint(c):
        got = []
        known = Known(system_id, cluster, {epoch_number: (epoch, c["checkpoint_blocks"])})
        word = word_of(lambda: got.extend(durability.checkpoint_message(c.hex("payload"), known)))
        same = word != "ok" or [x.manifest.raw.hex() for x in got] == [data["manifest"]]
        return differ((c["expect"], word), (True, same))

    def piece(c):
        q, raw = PieceQuery(c.hex("query")), c.hex("payload")
        d = differ((c["expect"], word_of(durability.check_piece, raw, q, c.hex("against"))))
        if d or c["expect"] != "ok" or raw[41] or q.kind not in (0, 4):
            return d
        return differ((raw, durability.make_piece(q, state)))

    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    number = lambda name, v: r.equal(name, True, isinstance(v, int))
    text = lambda name, v: r.equal(name, True, isinstance(v, str))
    r.groups({"system_id": text, "config_hash": text, "cluster": number, "epoch": number,
              "members": g(member), "last_signed_query": the_query, "last_signed_answers": g(answer),
              "last_signed_verdicts": g(verdict), "manifest": manifest, "manifest_hash": text,
              "checkpoint_entries": g(entry), "checkpoint_state_root": lambda n, v: r.equal(n, v, root.hex()),
              "checkpoints": g(checkpoint), "pieces": g(piece)}, data)
    own_durability.add(r)
    own_backup.add(r)
    own_pieces.add(r)
    own_seal.add(r)
    return r
