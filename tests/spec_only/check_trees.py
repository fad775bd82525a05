"""Chapter 2: vectors/trees.json."""
import ed25519
import merkle
import trie
from report import Report, differ, load


def hexes(case, name):
    return [bytes.fromhex(x) for x in case[name]]


def keys(c):
    return differ((c["error"], ed25519.check_key(c.hex("public_key"))))


def verify(c):
    return differ((c["error"], ed25519.verify(c.hex("public_key"), c.hex("message"), c.hex("signature"))))


def sign(c):
    seed, msg = c.hex("seed"), c.hex("message")
    return differ((c["public_key"], ed25519.public_key(seed).hex()), (c["signature"], ed25519.sign(seed, msg).hex()),
                  ("ok", ed25519.verify(c.hex("public_key"), msg, c.hex("signature"))))


def make_tree(r, prefix, data):
    leaves = [bytes.fromhex(x["bytes"]) for x in data["leaves"]]
    hs = [merkle.leaf_hash(x) for x in leaves]
    roots = data["roots"]

    def leaf(c):
        return differ((c["hash"], merkle.leaf_hash(c.hex("bytes")).hex()))

    def inclusion(c):
        i, n, hashes = c.num("index"), c.num("size"), hexes(c, "hashes")
        got = merkle.verify_inclusion(c.hex("leaf_hash"), i, n, hashes, c.hex("root"))
        if got != c["error"] or "name" in c:
            c.get("name")
            return differ((c["error"], got))
        return differ((roots[n], c["root"]), (hashes, merkle.path(i, hs[:n])), (hs[i], c.hex("leaf_hash")))

    def consistency(c):
        m, n, hashes = c.num("old_size"), c.num("size"), hexes(c, "hashes")
        got = merkle.verify_consistency(m, n, hashes, c.hex("old_root"), c.hex("root"))
        if got != c["error"] or "name" in c:
            c.get("name")
            return differ((c["error"], got))
        return differ((roots[n], c["root"]), (roots[m], c["old_root"]), (hashes, merkle.consistency(m, hs[:n])))

    def encoded(c):
        data_ = c.hex("bytes")
        err, i, n, hashes, _ = merkle.decode_inclusion(data_)
        if err == "ok":
            out = i.to_bytes(8, "little") + n.to_bytes(8, "little") + b"".join(hashes)
            if out != data_ or n < len(roots) and merkle.root_from(hs[i], i, n, hashes).hex() != roots[n]:
                return ("a proof of leaf %d of %d" % (i, n), "another root")
        return differ((c["error"], err))

    def all_roots(name, lst):
        for n, want in enumerate(lst):
            r.equal("%s[%d]" % (name, n), want, merkle.root(leaves[:n]).hex())

    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({"leaves": g(leaf), "roots": all_roots, "inclusion": g(inclusion), "consistency": g(consistency),
              "encoded": g(encoded)}, data, prefix)


def entry_leaf(c):
    return trie.leaf(c["space"], c.hex("key"), c.num("version_height"), c.num("version_index"), c.hex("value_hash"))


def hashes(c):
    return differ((c["path"], trie.key_path(c["space"], c.hex("key")).hex()),
                  (c["value_hash"], trie.value_hash(c.hex("value")).hex()), (c["leaf_hash"], entry_leaf(c).hex()))


def make_trie(r, prefix, data):
    states = {}

    def histories(name, lists):
        for i, history in enumerate(lists):
            state = {}

            def step(c):
                p = trie.key_path(c["space"], c.hex("key"))
                if c["do"] == "put":
                    entry = (c["space"], c.hex("key"), c.num("version_height"), c.num("version_index"), c.hex("value_hash"))
                    state[p] = (p, entry_leaf(c), entry)
                elif c["do"] == "remove":
                    del state[p]
                else:
                    return ("put or remove", c["do"])
                items = [state[k] for k in sorted(state)]
                got = trie.root(items).hex()
                states[got] = items
                return differ((c["root"], got))
            r.group("%s[%d]" % (name, i), history, step, ("key",))

    def proofs(c):
        space, key, root, proof = c["space"], c.hex("key"), c["root"], c.hex("proof")
        entry = None
        if c["claim"] == "present":
            entry = (c.num("version_height"), c.num("version_index"), c.hex("value_hash"))
        got = trie.verify_key(proof, bytes.fromhex(root), c["claim"], space, key, entry)
        named = c.get("name")
        if got == c["error"] == "ok" and root in states and not named:
            return differ((proof, trie.prove(states[root], trie.key_path(space, key))))
        return differ((c["error"], got))

    def pieces(c):
        n, prefix_, root, proof = c["prefix_bits"], c.hex("prefix"), c["root"], c.hex("proof")
        items = sorted((trie.key_path(x["space"], x.hex("key")), entry_leaf(x)) for x in c["leaves"])
        sub = trie.root(items)
        outside = n <= 256 and len(trie.subset(items, prefix_, n)) != len(items)
        got = "bad_leaf" if outside else trie.verify_piece(proof, bytes.fromhex(root), n, prefix_, sub)
        named = c.get("name")
        d = differ((c["error"], got), (c["subroot"], sub.hex()))
        if d or got != "ok" or named or root not in states:
            return d
        return differ((proof, trie.prove(states[root], trie.masked(prefix_, n), n)))

    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({"hashes": g(hashes), "histories": histories, "proofs": g(proofs), "pieces": g(pieces)}, data, prefix)


def run(path, mode):
    r, data = Report("trees"), load(path)
    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({
        "ed25519": lambda name, d: r.groups({"keys": g(keys), "verify": g(verify), "sign": g(sign)}, d, name + "."),
        "tree": lambda name, d: make_tree(r, name + ".", d),
        "trie": lambda name, d: make_trie(r, name + ".", d)}, data)
    return r
