"""Chapter 9: vectors/appliance.json."""
import ed25519
import own_appliance
import own_boot
import own_contract
import own_peers
import own_release
import own_slots
import own_watch
from appliance import CONFIG, Bundle, Record, Request, bundle_hash, configuration, read_blocks, write_blocks
from cards import Card
from release import Release, Running, Uki, release_keys, taken
from report import Report, differ, load
from wire import Bad, word_of


def told(c, read, says):
    """A case is refused, or says all of what is expected and nothing else."""
    try:
        x = read()
    except Bad as e:
        return differ((c["error"], e.word), (set(), set(c) - {"case", "error", "file", "record", "uki"}), (True, bool(c["case"])))
    return differ((c["error"], "ok"), *[(c[k], v) for k, v in says(x).items()], (True, bool(c["case"])))


def key_file(c):
    return told(c, lambda: release_keys(c["file"].encode(), None), lambda keys: {"keys": [k.hex() for k in keys]})


def uki(c):
    return told(c, lambda: Uki(c.hex("uki")), lambda x: {"architecture": x.architecture, "number": str(x.number), "label": x.label.decode()})


def upgrade(c):
    m = c["machine"]
    keys, owner = m.get("release_keys"), m.get("owner")
    machine = Running(m["architecture"], m.num("number"), m.hex("slot") if "slot" in m else None, m.get("blessed"),
                      None if keys is None else keys.encode(), None if owner is None else bytes.fromhex(owner))
    return differ((c["error"], word_of(taken, c.hex("file"), machine)), ("slot" in m, "blessed" in m), (True, bool(c["case"])))


def run(path, mode):
    r, data = Report("appliance"), load(path)
    card, pinned = Card(1, data.hex("card")), data.hex("owner_key")

    def block(c):
        raw = c["text"].encode()
        word = word_of(read_blocks, raw)
        again = word != "ok" or read_blocks(write_blocks(read_blocks(raw))) == read_blocks(raw)
        return differ((c["error"], word), (True, again), (True, bool(c["case"])))

    def request(c):
        try:
            q = Request(c["text"].encode())
        except Bad as e:
            return differ((c["error"], e.word), (False, "id" in c), (True, bool(c["case"])))
        return differ((c["error"], "ok"), (c["id"], q.id.hex()), (c["text"].encode(), write_blocks(read_blocks(c["text"].encode()))),
                      (True, bool(c["case"])))

    def bundle(c):
        raw, kept = c["text"].encode(), None
        if "kept" in c:
            kept = Record(configuration(data["bundles"][c["kept"]]["text"].encode())[CONFIG])
        out = [(c["error"], word_of(Bundle, raw, card, pinned, kept)), (True, bool(c["case"]))]
        try:
            blocks = read_blocks(raw)
        except Bad:
            return differ(*out, (False, "hash" in c))
        return differ(*out, (c["hash"], bundle_hash(blocks).hex()), (raw, write_blocks(blocks)))

    signed = [bytes.fromhex(x) for x in data["release_signers"]]

    def signers(name, values):
        r.equal(name, (2, ["ok"]), (len(set(values)), sorted({ed25519.check_key(x) for x in signed})))

    def release(c):
        def record():
            x = Release(c.hex("record"))
            x.signed_by(signed)
            return x
        return told(c, record, lambda x: {"architecture": x.architecture, "number": str(x.number), "length": str(x.length),
                                          "hash": x.hash.hex(), "label": x.label.decode()})

    def one(name, value):
        first = Request(data["requests"][0]["text"].encode())
        mine = {"owner_key": first.owner_key, "card": first.binary + first.content[164:]}[name]
        r.equal(name, True, bytes.fromhex(value)[:len(mine)] == mine and len(value) == {"owner_key": 64, "card": 712}[name])

    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({"owner_key": one, "card": one, "blocks": g(block), "requests": g(request), "bundles": g(bundle),
              "release_keys": g(key_file), "release_signers": signers, "releases": g(release), "ukis": g(uki), "upgrades": g(upgrade)}, data)
    own_appliance.add(r, path)
    own_contract.add(r, path)
    own_peers.add(r, path)
    own_release.add(r, path)
    own_boot.add(r, path)
    own_slots.add(r)
    own_watch.add(r, path)
    return r
