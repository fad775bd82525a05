"""Chapter 9: vectors/appliance.json."""
import own_appliance
import own_contract
import own_release
from appliance import CONFIG, Bundle, Record, Request, bundle_hash, configuration, read_blocks, write_blocks
from cards import Card
from report import Report, differ, load
from wire import Bad, word_of


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

    def one(name, value):
        first = Request(data["requests"][0]["text"].encode())
        mine = {"owner_key": first.owner_key, "card": first.binary + first.content[164:]}[name]
        r.equal(name, True, bytes.fromhex(value)[:len(mine)] == mine and len(value) == {"owner_key": 64, "card": 712}[name])

    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({"owner_key": one, "card": one, "blocks": g(block), "requests": g(request), "bundles": g(bundle)}, data)
    own_appliance.add(r, path)
    own_contract.add(r, path)
    own_release.add(r, path)
    return r
