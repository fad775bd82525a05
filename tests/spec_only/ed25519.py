"""Ed25519 by the strict rule of chapter 2.1 (E-1 to E-5), in plain Python."""
import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
D2 = 2 * D % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SMALL_ORDER = frozenset(bytes.fromhex(h) for h in (
    "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "00" * 32, "00" * 31 + "80",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"))
NEUTRAL = (0, 1, 1, 0)


def recover_x(y, sign):
    """x of the point with this y and sign bit, or None (E-2c)."""
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == (-u) % P:
        x = x * SQRT_M1 % P
    if v * x * x % P != u:
        return None
    return P - x if (x & 1) != sign and x else x


def decode(data):
    n = int.from_bytes(data, "little")
    y, sign = n & (2**255 - 1), n >> 255
    x = recover_x(y % P, sign)
    return None if x is None else (x, y % P, 1, x * y % P)


def encode(pt):
    zi = pow(pt[2], P - 2, P)
    x, y = pt[0] * zi % P, pt[1] * zi % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def double(pt):
    x, y, z, _ = pt
    a, b = x * x % P, y * y % P
    h = a + b
    e, g = h - (x + y) * (x + y) % P, a - b
    f = 2 * z * z % P + g
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def cache(pt):
    x, y, z, t = pt
    return ((y - x) % P, (y + x) % P, t * D2 % P, 2 * z % P)


def add_cached(pt, c):
    x, y, z, t = pt
    a, b, cc, d = (y - x) * c[0] % P, (y + x) * c[1] % P, t * c[2] % P, z * c[3] % P
    e, f, g, h = b - a, d - cc, d + cc, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def sub_cached(pt, c):
    return add_cached(pt, (c[1], c[0], -c[2], c[3]))


def add(p, q):
    return add_cached(p, cache(q))


def negate(pt):
    return ((-pt[0]) % P, pt[1], pt[2], (-pt[3]) % P)


def odd_multiples(pt, count):
    two, out, cur = cache(double(pt)), [], pt
    for _ in range(count):
        out.append(cache(cur))
        cur = add_cached(cur, two)
    return out


def naf(k, width):
    """Digits of width-w NAF as (position, odd digit), ascending."""
    out, pos, full, half = [], 0, 1 << width, 1 << (width - 1)
    while k:
        shift = (k & -k).bit_length() - 1
        k >>= shift
        pos += shift
        d = k & (full - 1)
        if d >= half:
            d -= full
        out.append((pos, d))
        k -= d
    return out


def double_scalar(s, h, a_table, b_table):
    """[s]B + [h]A by Straus; the tables hold odd multiples."""
    steps = {}
    for pos, d in naf(s, 9):
        steps.setdefault(pos, []).append((b_table, d))
    for pos, d in naf(h, 5):
        steps.setdefault(pos, []).append((a_table, d))
    acc = NEUTRAL
    for pos in range(max(steps, default=-1), -1, -1):
        acc = double(acc)
        for table, d in steps.get(pos, ()):
            acc = add_cached(acc, table[d >> 1]) if d > 0 else sub_cached(acc, table[(-d) >> 1])
    return acc


BASE = (lambda y: (recover_x(y, 0), y, 1, recover_x(y, 0) * y % P))(4 * pow(5, P - 2, P) % P)
B_TABLE = odd_multiples(BASE, 128)


def _comb():
    rows, cur = [], BASE
    for _ in range(64):
        row, acc = [None], NEUTRAL
        c = cache(cur)
        for _ in range(15):
            acc = add_cached(acc, c)
            row.append(cache(acc))
        rows.append(row)
        cur = add_cached(acc, c)
    return rows


COMB = []


def base_mult(k):
    if not COMB:
        COMB.extend(_comb())
    acc = NEUTRAL
    for row in COMB:
        d = k & 15
        if d:
            acc = add_cached(acc, row[d])
        k >>= 4
    return acc


def key_form(a):
    """E-2a and E-2b; the error word or None."""
    n = int.from_bytes(a, "little")
    y, sign = n & (2**255 - 1), n >> 255
    if y >= P or (y in (1, P - 1) and sign):
        return "key_not_canonical"
    return "key_small_order" if a in SMALL_ORDER else None


_registered = {}


def check_key(a):
    """E-2: may this key be registered? 'ok' or the error word."""
    if a not in _registered:
        _registered[a] = _check_key(a)
    return _registered[a]


def _check_key(a):
    bad = key_form(a)
    if bad:
        return bad
    pt = decode(a)
    if pt is None:
        return "key_not_a_point"
    x, y, z, _ = double_scalar(0, L, odd_multiples(pt, 8), B_TABLE)
    return "ok" if x % P == 0 and (y - z) % P == 0 else "key_not_prime_order"


_tables = {}


def _table(a):
    if a not in _tables:
        pt = decode(a)
        _tables[a] = None if pt is None else odd_multiples(negate(pt), 8)
    return _tables[a]


def _hash_int(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


_verified = {}


def verify(a, message, signature):
    """E-3: 'ok' or the error word of the first clause that fails."""
    memo = (a, message, signature)
    if memo not in _verified:
        _verified[memo] = _verify(a, message, signature)
    return _verified[memo]


def _verify(a, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= L:
        return "bad_s"
    if r in SMALL_ORDER:
        return "small_order_r"
    bad = key_form(a)
    if bad:
        return bad
    table = _table(a)
    if table is None:
        return "mismatch"
    h = _hash_int(r, a, message)
    return "ok" if encode(double_scalar(s, h, table, B_TABLE)) == r else "mismatch"


def clamp(data):
    n = int.from_bytes(data, "little")
    return n & ~7 & (2**255 - 1) | 2**254


def secret(seed):
    h = hashlib.sha512(seed).digest()
    return clamp(h[:32]), h[32:]


def public_key(seed):
    return encode(base_mult(secret(seed)[0] % L))


def sign(seed, message):
    a, prefix = secret(seed)
    pub = encode(base_mult(a % L))
    r = _hash_int(prefix, message)
    rb = encode(base_mult(r))
    s = (r + _hash_int(rb, pub, message) * a) % L
    return rb + s.to_bytes(32, "little")


def montgomery(a):
    """u = (1 + y) / (1 - y) of an encoded point (S-10)."""
    y = int.from_bytes(a, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")
