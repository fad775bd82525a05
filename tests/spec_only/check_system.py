"""Chapter 7: vectors/system.json."""
import cards
import config
import consensus
import ed25519
import limits
import merkle
import own_system
from evidence import STATEMENTS, Evidence
from report import Report, differ, load
from succession import Statement
from sysfile import SystemFile, canonical, parse_card_file
from wire import H, Bad, Reader, word_of


def card(c):
    kind = c["kind"]
    seeds = [bytes.fromhex(c[k]) if k in c else None for k in ("signing_seed", "noise_seed", "owner_seed")]
    x = cards.make_card(kind, c["name"], *seeds)
    out = [(c["binary"], x.binary.hex()), (c["proven"], x.proven.hex()), (c["id"], x.id.hex()),
           (c["signing_key"], x.signing_key.hex()), (c["file"].encode(), canonical(x.json())),
           (c["proven"], parse_card_file(c["file"].encode(), kind).proven.hex()), (True, bool(c["case"]))]
    if kind != 3:
        scalar = ed25519.clamp(ed25519.hashlib.sha512(seeds[1]).digest()[:32])
        from x25519 import public
        out += [(c["noise_key"], x.noise_key.hex()), (c["noise_proof_key"], x.noise_proof_key.hex()),
                (c["noise_secret"], scalar.to_bytes(32, "little").hex()),
                (c["noise_key"], public(c.hex("noise_secret")).hex())]
    return differ(*out)


def card_refused(c):
    return differ((c["error"], word_of(cards.Card, c["kind"], c.hex("proven"))))


def genesis_configs(f, lst):
    if sorted(x["cluster"] for x in lst) != sorted(x.number for x in f.clusters):
        return ("every cluster", "others")
    for c in lst:
        g = f.genesis(c["cluster"])
        kind = "coordinator" if c["cluster"] < 0x20000 else "shard"
        out = [(kind, c["case"]), (c["config_hash"], g.hash.hex()), (c["whole"], g.whole().hex()),
               (g.hash, config.decode_config(c.hex("whole")).hash), (6, len(c["leaves"]))]
        for i, x in enumerate(c["leaves"]):
            proof = c["leaves"][i]["proof"]
            hashes = [bytes.fromhex(proof[j:j + 64]) for j in range(0, len(proof), 64)]
            out += [("leaf %d" % i, x["case"]), (x["bytes"], g.leaves()[i].hex()), (hashes, g.proof(i)),
                    ("ok", merkle.verify_inclusion(merkle.leaf_hash(x.hex("bytes")), i, 6, hashes, g.hash)),
                    (3 if i < 4 else 2, len(hashes))]
        d = differ(*out)
        if d:
            return d
    return None


def system_file(c):
    f = SystemFile(c["file"].encode())
    ns = {len(x.nodes) for x in f.clusters}
    d = differ((c["binary"], f.binary.hex()), (c["file_hash"], f.file_hash.hex()), (c["system_id"], f.system_id.hex()))
    if not d and c["case"].startswith("n = "):
        d = differ(({int(c["case"][4:])}, ns))
    return d or genesis_configs(f, c["genesis_configs"])


def rights(c):
    r = Reader(c.hex("rights"))
    x = cards.Rights.read(r)
    r.end()
    key = c.hex("key")
    return differ((c["read"], int(x.may(key, 1))), (c["write"], int(x.may(key, 2))), (c["rights"], x.encode().hex()),
                  ("quota %d, burst %d" % (x.per_second, x.burst), c["case"]))


def table(rows):
    def judge(c):
        name, default, low, high = rows[c["index"]]
        return differ((c["case"], name), (c["default"], default), (c["lowest"], low), (c["highest"], high))
    return judge


def run(path, mode):
    r, data = Report("system"), load(path)
    base_text = data["system_files"][0]["file"]
    base = SystemFile(base_text.encode())
    shard = base.genesis(0x20000)

    def file_refused(c):
        if c["find"] not in base_text:
            return ("the text to replace", "not found")
        changed = base_text.replace(c["find"], c["replace"], 1)
        return differ((c["error"], word_of(SystemFile, changed.encode())))

    def files_refused(c):
        return differ((c["error"], word_of(SystemFile, c["file"].encode())))

    newest = [0, base.file_hash]

    def operation(c):
        raw = c.hex("operation")
        try:
            op = config.Operation(raw)
        except Bad as e:
            return (c["error"], "does not decode: " + e.word)
        if op.kind <= 2:
            got = word_of(op.effect, shard, shard.limits)
        else:
            got = word_of(op.signed_by, shard)
            if got == "ok":
                if [op.serial, op.predecessor] != [newest[0] + 1, newest[1]]:
                    got = "serial"
                newest[:] = [op.serial, op.hash]
        return differ((c["hash"], op.hash.hex()), (c["error"], got))

    inputs = {}

    def operation_input(c):
        """D-2, S-71: one hash, and an input hash for each set of signatures."""
        op, body = config.Operation(c.hex("operation")), c.hex("body")
        refs = consensus.references(body, shard.limits["block_refs_max"])
        inputs.setdefault(op.hash, []).append(op.input_hash)
        twice = len(inputs[op.hash]) - len(set(inputs[op.hash]))
        return differ((c["hash"], op.hash.hex()), (c["input_hash"], op.input_hash.hex()), (c["body_hash"], H(7, body).hex()),
                      ([(3, 0, 0, op.input_hash)], [(kind, source, dseq, x) for kind, _, source, dseq, x in refs]),
                      (True, refs[0][1] < shard.n), (c["error"], word_of(op.effect, shard, shard.limits)), ((1, 0), (len(inputs), twice)),
                      (True, bool(c["case"])))

    payloads = []

    def chain(c):
        if "entry" in c:
            got = word_of(lambda: consensus.take_step(shard.limits, shard, 0, consensus.Entry(c.hex("entry"))))
            return differ((c["error"], got))
        if "payload" in c:
            payloads.append(c.hex("payload"))
        if not payloads:
            return ("a payload", "none")
        try:
            epochs = consensus.epochs_of(shard, payloads[-1])
            if c["epoch"] >= len(epochs):
                raise Bad("serial")
        except Bad as e:
            return differ((c["error"], e.word))
        e, _ = epochs[c["epoch"]]
        return differ((c["error"], "ok"), (c["config_hash"], e.config_hash.hex()), (c["epoch"], e.epoch),
                      (c["keys"], b"".join(e.keys).hex()), (c.num("start_height"), e.start_height),
                      (c.num("height_last"), e.height_last))

    def owner(c):
        what = c["case"].replace(" with another number", "")
        node = base.coordinators[0].nodes[0]
        return differ((c["error"], word_of(config.owner_record, c.hex("record"), what, base.system_id, node)))

    def successor(c):
        f = SystemFile(c["file"].encode())
        d = system_file(c)
        old = base.genesis(0x10000)
        return d or differ((c["error"], word_of(lambda: Statement(c.hex("statement")).check(old, base, f))))

    def evidence(c):
        found = []

        def one():
            e = Evidence(c.hex("bytes"))
            if e.kind != STATEMENTS:
                raise ValueError("evidence of another kind than 7")
            found.extend(key.hex() for key in e.convict(base))
        word = word_of(one)
        return differ((c["error"], word), (c["administrators"] if c["error"] == "ok" else [], found))

    def ends(c):
        valid = c["case"] == "" or config.endpoint(c["case"])
        return differ((c["valid"], int(valid)))

    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({"cards": g(card), "cards_refused": g(card_refused), "limits": g(table(limits.LIMITS)),
              "timeouts": g(table(limits.TIMEOUTS)), "system_files": g(system_file),
              "system_file_refused": g(file_refused), "system_files_refused": g(files_refused), "rights": g(rights),
              "endpoints": g(ends), "operations": g(operation), "operation_inputs": g(operation_input), "config_chains": g(chain),
              "owner_records": g(owner), "successors": g(successor), "evidence": g(evidence)}, data)
    own_system.add(r, path)
    r.equal("limits rows", len(limits.LIMITS), len(data["limits"]))
    r.equal("timeouts rows", len(limits.TIMEOUTS), len(data["timeouts"]))
    return r
