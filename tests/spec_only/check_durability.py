"""Chapter 8: vectors/durability.json."""
import durability
import ed25519
import merkle
import own_backup
import own_durability
import own_pieces
import own_seal
import trie
from consensus import Epoch
from decisions import state_leaf
from durability import Answer, Entry, Gathered, Known, Manifest, PieceQuery, Query
from evidence import PIECE, Evidence
from report import Report, differ, load
from wire import Reader, word_of


def run(path, mode):
    r, data = Report("durability"), load(path)
    system_id, config_hash = data.hex("system_id"), data.hex("config_hash")
    cluster, epoch_number = data["cluster"], data["epoch"]
    keys = [c.hex("public_key") for c in data["members"]]
    start = 20  # spec/vectors/README.md
    epoch = Epoch(system_id, config_hash, cluster, epoch_number, keys, start)
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

    def checkpoints(c, seal=None):
        """The word, and what a receiver takes; seal: the height of SEAL that the chain shows."""
        got, judge, last = [], epoch, None
        if seal is not None:
            judge, last = Epoch(system_id, config_hash, cluster, epoch_number, keys, start, seal), (epoch_number, seal)
        known = Known(system_id, cluster, {epoch_number: (judge, c["checkpoint_blocks"])}, last)
        return word_of(lambda: got.extend(durability.checkpoint_message(c.hex("payload"), known))), got

    def checkpoint(c):
        word, got = checkpoints(c)
        same = word != "ok" or [x.manifest.raw.hex() for x in got] == [data["manifest"]]
        return differ((c["expect"], word), (True, same))

    def sealed(c):
        """P-31, P-42; the path is recomputed from the outbox."""
        word, got = checkpoints(c, c["height_last"])
        leaves = [x.hex("leaf") for x in c["outbox"]]
        out = [(c["expect"], word), (leaves[-1], state_leaf(system_id, cluster, c["height_last"], root)), (word == "ok", len(got) == 1)]
        for x in got:
            out += [(merkle.root(leaves), x.header.outbox_root), (merkle.path(len(leaves) - 1, [merkle.leaf_hash(y) for y in leaves]), x.path),
                    (True, x.of_seal and x.path_leads()), (root, x.manifest.state_root)]
        return differ(*out)

    shown = []

    def short(c):
        word, got = checkpoints(c)
        shown.extend(x.manifest for x in got)
        counts = (len(state), sum(e.declared for e in state), root)
        return differ((c["expect"], word), ([True] if word == "ok" else [], [x.manifest.short for x in got]),
                      *[(counts, (x.manifest.entries, x.manifest.bytes, x.manifest.state_root)) for x in got])

    gathered = Gathered()

    def manifest_piece(c):
        """P-43, P-44, P-47; the first has the whole manifest."""
        q, raw = PieceQuery(c.hex("query")), c.hex("payload")
        d = differ((c["expect"], word_of(durability.check_piece, raw, q, root)), (durability.MANIFEST, q.kind), (True, bool(c["case"])))
        if d or c["expect"] != "ok":
            return d
        if not gathered.raw:
            gathered.take(raw, q)
            whole = durability.fetched_manifest(shown[0], gathered.raw)
            d = differ((data["short_manifest_hash"], whole.hash.hex()), (gathered.total, len(gathered.raw)), (1025, len(whole.items)))
        return d or differ((data["short_manifest_hash"], q.manifest_hash.hex()), (raw, durability.make_part(q, gathered.raw)))

    def evidence(c):
        found = []

        def one():
            e = Evidence(c.hex("bytes"))
            if e.kind != PIECE or e.chain:
                raise ValueError("evidence of another kind than 8, or with a chain")
            e.check_piece(epoch, Known(system_id, cluster, {epoch_number: (epoch, None)}))
            inside = word_of(durability.check_piece, e.piece, e.query, e.checkpoint.manifest.state_root)
            found.append((e.signer, inside))
        word, case = word_of(one), c["case"]
        inside = next((x for x in ("bad_bytes", "bad_order", "bad_proof") if "(%s)" % x in case), None)
        want = [(c["signer"], inside or found and found[0][1])] if c["error"] == "ok" else []
        return differ((c["error"], word), (want, found))

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
              "checkpoints": g(checkpoint), "pieces": g(piece), "sealed_checkpoints": g(sealed), "short_checkpoints": g(short),
              "short_manifest_hash": lambda n, v: r.equal(n, v, shown[0].hash.hex()), "manifest_pieces": g(manifest_piece),
              "evidence": g(evidence)}, data)
    own_durability.add(r)
    own_backup.add(r)
    own_pieces.add(r)
    own_seal.add(r)
    return r
