"""State trie (chapter 2.3): roots, proofs of keys and pieces, verification."""
from merkle import H

EMPTY = bytes(32)


def key_path(space, key):
    return H(5, H(6, bytes([space]), key))


def bit(path, i):
    return path[i >> 3] >> (7 - (i & 7)) & 1


def value_hash(value):
    return H(9, value)


def leaf(space, key, height, index, vhash):
    return H(3, bytes([space]), len(key).to_bytes(2, "little"), key,
             height.to_bytes(8, "little"), index.to_bytes(4, "little"), vhash)


def inner(b, left, right):
    return H(4, bytes([b]), left, right)


def first_difference(p, q):
    return 256 - (int.from_bytes(p, "big") ^ int.from_bytes(q, "big")).bit_length()


def root(items):
    """T-6 of a list of (path, leaf hash, ...) sorted by path."""
    if not items:
        return EMPTY
    if len(items) == 1:
        return items[0][1]
    b = first_difference(items[0][0], items[-1][0])
    lo, hi = 0, len(items)
    while lo < hi:
        mid = (lo + hi) // 2
        if bit(items[mid][0], b):
            hi = mid
        else:
            lo = mid + 1
    return inner(b, root(items[:lo]), root(items[lo:]))


def subset(items, prefix, n):
    return [x for x in items if first_difference(x[0], prefix) >= n]


def walk(items, p, limit):
    """The steps (bit, other side) on the way of p with bit < limit, and the set where it ends."""
    steps = []
    while len(items) > 1:
        b = first_difference(items[0][0], items[-1][0])
        if b >= limit:
            break
        zero, one = [x for x in items if not bit(x[0], b)], [x for x in items if bit(x[0], b)]
        items, other = (one, zero) if bit(p, b) else (zero, one)
        steps.append((b, root(other)))
    return steps, items


def encode_proof(kind, steps, other=None):
    out = bytes([kind, 0]) + len(steps).to_bytes(2, "little")
    for b, h in steps:
        out += bytes([b]) + h
    if kind == 2:
        space, key, height, index, vh = other
        out += height.to_bytes(8, "little") + index.to_bytes(4, "little") + vh + bytes([space])
        out += len(key).to_bytes(2, "little") + key
    return out


def prove(items, p, n=256):
    """Proof about path p (n = 256) or the piece of n bits; items are (path, leaf hash, entry)."""
    if not items:
        return encode_proof(0, [])
    steps, end = walk(items, p, n)
    if subset(end, p, n):
        return encode_proof(1, steps)
    steps, end = walk(items, p, 257)
    return encode_proof(2, steps, end[0][2])


def masked(prefix, n):
    """The prefix's first n bits, filled up with 0 bits."""
    return ((int.from_bytes(prefix, "big") >> (256 - n)) << (256 - n)).to_bytes(32, "big")


def decode_proof(data):
    """T-13 step 2: (error, kind, steps, other)."""
    bad = lambda e: (e, 0, [], None)
    if len(data) < 4:
        return bad("bad_bytes")
    kind, zero, s = data[0], data[1], int.from_bytes(data[2:4], "little")
    if kind > 2 or zero or s > 256 or (kind == 0 and s):
        return bad("bad_field")
    e = 4 + 33 * s
    if len(data) < e:
        return bad("bad_bytes")
    steps = [(data[i], data[i + 1:i + 33]) for i in range(4, e, 33)]
    if any(steps[i][0] <= steps[i - 1][0] for i in range(1, s)):
        return bad("bad_field")
    other = None
    if kind == 2:
        if len(data) < e + 47:
            return bad("bad_bytes")
        space, k = data[e + 44], int.from_bytes(data[e + 45:e + 47], "little")
        if space > 1 or not 1 <= k <= 256:
            return bad("bad_field")
        if len(data) < e + 47 + k:
            return bad("bad_bytes")
        other = (space, data[e + 47:e + 47 + k], int.from_bytes(data[e:e + 8], "little"),
                 int.from_bytes(data[e + 8:e + 12], "little"), data[e + 12:e + 44])
        e += 47 + k
    return ("ok", kind, steps, other) if len(data) == e else bad("bad_bytes")


def climb(p, h, steps):
    for b, side in reversed(steps):
        h = inner(b, side, h) if bit(p, b) else inner(b, h, side)
    return h


def other_hash(other):
    space, key, height, index, vh = other
    return leaf(space, key, height, index, vh)


def by_other(p, n, steps, other, want):
    """Steps 5 and 6 for kind 2."""
    q = key_path(other[0], other[1])
    if first_difference(p, q) >= n or any(bit(p, b) != bit(q, b) for b, _ in steps):
        return "bad_leaf"
    return "ok" if climb(p, other_hash(other), steps) == want else "bad_root"


def verify_key(proof, want, claim, space, key, entry=None):
    """T-13; entry is (height, index, value hash) where presence is claimed."""
    if space > 1 or not 1 <= len(key) <= 256:
        return "bad_key"
    err, kind, steps, other = decode_proof(proof)
    if err != "ok":
        return err
    if (kind == 1) != (claim == "present"):
        return "bad_kind"
    if kind == 0:
        return "ok" if want == EMPTY else "bad_root"
    p = key_path(space, key)
    if kind == 2:
        return by_other(p, 256, steps, other, want)
    return "ok" if climb(p, leaf(space, key, *entry), steps) == want else "bad_root"


def verify_piece(proof, want, n, prefix, subroot):
    """T-15, the subroot having been computed from the leaves received."""
    if n > 256:
        return "bad_key"
    err, kind, steps, other = decode_proof(proof)
    if err != "ok":
        return err
    p = masked(prefix, n)
    if subroot == EMPTY:
        if kind == 1:
            return "bad_kind"
        if kind == 0:
            return "ok" if want == EMPTY else "bad_root"
        return by_other(p, n, steps, other, want)
    if kind != 1:
        return "bad_kind"
    if any(b >= n for b, _ in steps):
        return "bad_leaf"
    return "ok" if climb(p, subroot, steps) == want else "bad_root"
