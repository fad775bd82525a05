"""RFC 9162 trees (chapter 2.2)."""
from hashlib import sha256


def H(prefix, *parts):
    return sha256(bytes([prefix]) + b"".join(parts)).digest()


def leaf_hash(data):
    return H(0, data)


def node(left, right):
    return H(1, left, right)


def root_of_hashes(hs):
    if not hs:
        return sha256(b"").digest()
    if len(hs) == 1:
        return hs[0]
    k = split(len(hs))
    return node(root_of_hashes(hs[:k]), root_of_hashes(hs[k:]))


def root(leaves):
    return root_of_hashes([leaf_hash(x) for x in leaves])


def split(n):
    return 1 << ((n - 1).bit_length() - 1)


def path(i, hs):
    if len(hs) <= 1:
        return []
    k = split(len(hs))
    if i < k:
        return path(i, hs[:k]) + [root_of_hashes(hs[k:])]
    return path(i - k, hs[k:]) + [root_of_hashes(hs[:k])]


def count(i, n):
    a, z, c = i, n - 1, 0
    while z > 0:
        if a & 1 or a != z:
            c += 1
        a >>= 1
        z >>= 1
    return c


def least_size(i, c):
    """The least n > i for which count(i, n) = c, or None (D-12)."""
    candidates = {i + 1} | {((i >> e) + 1 << e) + 1 for e in range(64)} | {(i >> e << e) + (1 << e) for e in range(64)}
    good = [n for n in candidates if n > i and count(i, n) == c]
    return min(good) if good else None


def root_from(leaf, i, n, hashes):
    r, a, z, it = leaf, i, n - 1, iter(hashes)
    while z > 0:
        if a & 1:
            r = node(next(it), r)
        elif a != z:
            r = node(r, next(it))
        a >>= 1
        z >>= 1
    return r


def verify_inclusion(leaf, i, n, hashes, want):
    if i >= n:
        return "bad_index"
    if len(hashes) != count(i, n):
        return "bad_length"
    return "ok" if root_from(leaf, i, n, hashes) == want else "bad_root"


def decode_inclusion(data, whole=True):
    """M-7: (error, index, size, hashes, bytes used)."""
    if len(data) < 16:
        return ("bad_bytes", 0, 0, [], 0)
    i, n = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")
    if i >= n:
        return ("bad_index", i, n, [], 16)
    end = 16 + 32 * count(i, n)
    if len(data) < end or (whole and len(data) > end):
        return ("bad_bytes", i, n, [], 16)
    return ("ok", i, n, [data[j:j + 32] for j in range(16, end, 32)], end)


def consistency(m, hs, whole=True):
    """PROOF(m, D): whole tells that the old tree's root is known."""
    n = len(hs)
    if m == n:
        return [] if whole else [root_of_hashes(hs)]
    k = split(n)
    if m <= k:
        return consistency(m, hs[:k], whole) + [root_of_hashes(hs[k:])]
    return consistency(m - k, hs[k:], False) + [root_of_hashes(hs[:k])]


def verify_consistency(m, n, hashes, old, new):
    if m == 0 or m > n:
        return "bad_index"
    if m == n:
        if hashes:
            return "bad_length"
        return "ok" if old == new else "bad_root"
    hs = list(hashes)
    if m & (m - 1) == 0:
        hs.insert(0, old)
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    if not hs:
        return "bad_length"
    fr = sr = hs[0]
    for c in hs[1:]:
        if sn == 0:
            return "bad_length"
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node(sr, c)
        fn >>= 1
        sn >>= 1
    if sn:
        return "bad_length"
    return "ok" if fr == old and sr == new else "bad_root"
