"""CONFIG and administrative operations (7.5, 7.6), owner records (7.9)."""
import ed25519
import merkle
from cards import PROVEN, Card, Rights
from limits import LIMITS, TIMEOUTS, limits_relations, timeouts_relations
from wire import H, Bad, Reader, le, need, tag

CONFIG, SEAL, ENROL, CHANGE, REVOKE = 1, 2, 3, 4, 5


def encode_limits(v):
    return b"\x03" + le(len(LIMITS), 2) + b"".join(le(v[row[0]], 8) for row in LIMITS)


def encode_timeouts(v):
    return b"\x04" + le(len(TIMEOUTS), 2) + b"".join(le(v[row[0]], 8) for row in TIMEOUTS)


def read_values(raw, number, table):
    r = Reader(raw)
    need(r.u(1) == number and r.u(2) == len(table), "field-range")
    out = {name: r.ranged(8, low, high) for name, _, low, high in table}
    r.end()
    return out


class Config:
    def __init__(self, cluster, serial, members, k, admins, limits, timeouts, version, system_id, partition_key,
                 succession, coordinators, shards):
        self.cluster, self.serial, self.members, self.k, self.admins = cluster, serial, members, k, admins
        self.limits, self.timeouts, self.version, self.system_id = limits, timeouts, version, system_id
        self.partition_key, self.succession = partition_key, succession
        self.coordinators, self.shards = coordinators, shards
        self.n = len(members)
        self.f = (self.n - 1) // 3
        self.hash = merkle.root(self.leaves())

    def leaves(self):
        return [bytes([1, self.n]) + le(self.cluster, 4) + le(self.serial, 8) + b"".join(map(b"".join, self.members)),
                bytes([2, self.k, len(self.admins), 0]) + b"".join(map(b"".join, self.admins)),
                encode_limits(self.limits), encode_timeouts(self.timeouts), b"\x05" + le(self.version, 4),
                self.system_leaf()]

    def system_leaf(self):
        return (b"\x06" + self.system_id + self.partition_key + le(self.succession, 2)
                + le(self.coordinators, 2) + le(self.shards, 2))

    def whole(self):
        return b"".join(le(len(x), 4) + x for x in self.leaves())

    def proof(self, i):
        return merkle.path(i, [merkle.leaf_hash(x) for x in self.leaves()])

    def keys(self):
        return [m[1] for m in self.members]


def decode_config(whole):
    r = Reader(whole)
    raw = [r.take(r.u(4)) for _ in range(6)]
    r.end()
    r = Reader(raw[0])
    need(r.u(1) == 1, "field-range")
    n = r.ranged(1, 4, 16)
    cluster, serial = r.u(4), r.u(8)
    members = [(r.take(32), r.take(32), r.take(32)) for _ in range(n)]
    r.end()
    for i in range(3):
        need(len({m[i] for m in members}) == n, "key-twice")
    r = Reader(raw[1])
    need(r.u(1) == 2, "field-range")
    k, m = r.u(1), r.ranged(1, 1, 32)
    r.zero(1)
    need(m < 2 * k <= 2 * m, "field-range")
    admins = [(r.take(32), r.take(32)) for _ in range(m)]
    r.end()
    need(all(a[1] < b[1] for a, b in zip(admins, admins[1:])), "order")
    limits = read_values(raw[2], 3, LIMITS)
    limits_relations(limits)
    timeouts = read_values(raw[3], 4, TIMEOUTS)
    timeouts_relations(timeouts)
    r = Reader(raw[4])
    need(r.u(1) == 5, "field-range")
    version = r.ranged(4, 1, 65535)
    r.end()
    r = Reader(raw[5])
    need(r.u(1) == 6, "field-range")
    system_id, partition_key, succession, c, s = r.take(16), r.take(16), r.u(2), r.u(2), r.u(2)
    r.end()
    need(1 <= c <= 256 and 1 <= s <= 256, "field-range")
    need(0x10000 <= cluster < 0x10000 + c or 0x20000 <= cluster < 0x20000 + s, "field-range")
    return Config(cluster, serial, members, k, admins, limits, timeouts, version, system_id, partition_key,
                  succession, c, s)


FIXED = ("slice_bytes_max", "slice_ops_max")
NOT_ABOVE = ("block_input_bytes_max", "credit_ops", "credit_bytes", "table_keys_max", "table_bytes_max", "clients_max")


def limits_follow(a, b, base):
    """D-32: what no CONFIG changes or lowers, and what none raises above the system file's value (base)."""
    need(all(b[x] == a[x] for x in FIXED) and b["number_window"] >= a["number_window"], "limits-conflict")
    need(all(b[x] <= base[x] for x in NOT_ABOVE), "limits-conflict")


def new_members(a, b):
    kept = set(a.members)
    return [m for m in b.members if m not in kept]


def may_follow(a, b):
    """S-60 to S-62."""
    need(a.system_leaf() == b.system_leaf() and a.cluster == b.cluster, "foreign")
    need(b.serial == a.serial + 1, "serial")
    need(b.version >= a.version, "field-range")
    new = new_members(a, b)
    for i in range(3):
        old = {m[i] for m in a.members}
        need(all(m[i] not in old for m in new), "key-twice")
    gone = len([m for m in a.members if m not in set(b.members)])
    need(max(len(new), gone) <= min(a.f, b.f), "change-too-large")


class Operation:
    """S-70 to S-74, S-80."""

    def __init__(self, raw):
        r = Reader(raw)
        self.raw, self.kind = raw, r.ranged(1, 1, 5)
        need(r.u(1) == 1, "format-unknown")
        r.zero(2)
        self.cluster = r.u(4)
        need(self.kind <= 2 or self.cluster == 0, "field-range")
        self.system_id, self.serial = r.take(16), r.u(8)
        need(self.serial >= 1, "field-range")
        self.predecessor = r.take(32)
        self.config, self.node_cards, self.admin_cards = None, [], []
        if self.kind == CONFIG:
            self.config = decode_config(r.take(r.u(4)))
            nodes, admins = r.u(1), r.u(1)
            r.zero(2)
            self.node_cards = [Card(1, r.take(PROVEN[1])) for _ in range(nodes)]
            self.admin_cards = [Card(3, r.take(PROVEN[3])) for _ in range(admins)]
            need((self.config.system_id, self.config.cluster, self.config.serial)
                 == (self.system_id, self.cluster, self.serial), "foreign")
        elif self.kind == ENROL:
            self.card = Card(2, r.take(PROVEN[2]))
            self.client_id = self.card.id
            self.rights = Rights.read(r)
        elif self.kind == CHANGE:
            self.client_id = r.take(32)
            self.rights = Rights.read(r)
        elif self.kind == REVOKE:
            self.client_id = r.take(32)
        self.hash = H(17, raw[:r.pos])
        count = r.ranged(4, 0, 32)
        self.signatures = [(r.take(32), r.take(64)) for _ in range(count)]
        r.end()
        need(all(a[0] < b[0] for a, b in zip(self.signatures, self.signatures[1:])), "order")
        self.input_hash = H(25, raw)  # D-2: what a block names; hash is for predecessor links

    def signed_by(self, config):
        """S-75."""
        need(self.system_id == config.system_id, "foreign")
        check_signatures(self.signatures, config, tag("HRC admin-op") + self.system_id + self.hash)

    def effect(self, config, base):
        """S-76 with D-32, for CONFIG and SEAL; base are the limits of the system file."""
        need(self.kind <= 2, "field-range")
        self.signed_by(config)
        need(self.cluster == config.cluster, "foreign")
        need(self.serial == config.serial + 1 and self.predecessor == config.hash, "serial")
        if self.kind == CONFIG:
            may_follow(config, self.config)
            self._cards(config)
            limits_follow(config.limits, self.config.limits, base)

    def _cards(self, before):
        """S-77."""
        known = set(before.admins)
        for cards, want, entry in (
                (self.node_cards, new_members(before, self.config), lambda c: (c.id, c.signing_key, c.noise_key)),
                (self.admin_cards, [a for a in self.config.admins if a not in known],
                 lambda c: (c.id, c.signing_key))):
            need(len(cards) >= len(want), "proof-invalid")
            need(len(cards) == len(want), "field-range")
            need(all(entry(c) == w for c, w in zip(cards, want)), "proof-invalid")


def check_signatures(signatures, config, message):
    need(len(signatures) >= config.k, "signatures-too-few")
    known = {a[1] for a in config.admins}
    for key, sig in signatures:
        need(key in known and ed25519.verify(key, message, sig) == "ok", "signature-invalid")


def text(r, low, high, chars=None):
    raw = r.take(r.ranged(1, low, high))
    need(all(0x20 <= c <= 0x7e for c in raw) and (chars is None or all(c in chars for c in raw)), "field-range")
    return raw


SETTING = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789._-")
HOST = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789.-:")
CLAIM = "architecture kernel compiler code image operator site power".split()


def claim(raw, node):
    """S-110: its form as a whole, then whose it is, then who signed it."""
    r = Reader(raw, "truncated", "truncated")
    try:
        r.ranged(1, 1, 1)
        r.zero(3)
        r.zero(4)
        r.ranged(8, 1, 2**64 - 1)
        whose = r.take(32)
        for _ in CLAIM:
            text(r, 0, 128)
        signed, signature = H(18, raw[:r.pos]), r.take(64)
        r.end()
    except Bad:
        raise Bad("truncated")
    need(whose == node.id, "foreign")
    need(ed25519.verify(node.owner_key, tag("HRC claim") + signed, signature) == "ok", "signature-invalid")


def owner_record(raw, what, system_id, node):
    """S-110 to S-112; node is the card; what is claim, node configuration or addresses record."""
    if what == "claim":
        return claim(raw, node)
    r = Reader(raw)
    need(r.u(1) == 1, "format-unknown")
    r.zero(3)
    extra = r.u(4)
    need(extra <= 64 if what == "node configuration" else extra == 0, "field-range")
    r.take(8)  # its number
    need(r.take(16) == system_id and r.take(32) == node.id, "foreign")
    if what == "node configuration":
        before = None
        for _ in range(extra):
            key = text(r, 1, 32, SETTING)
            need(before is None or before < key, "order")
            before = key
            value = r.take(r.ranged(2, 0, 256))
            need(all(0x20 <= c <= 0x7e for c in value), "field-range")
        prefix, name = 21, "HRC node-config"
    elif what == "addresses record":
        text(r, 1, 253, HOST)
        need(r.u(2) != 0, "field-range")
        host = text(r, 0, 253, HOST)
        need((r.u(2) == 0) == (not host), "field-range")
        prefix, name = 20, "HRC addresses"
    else:
        raise Bad("a record that is not recognised")
    signed = H(prefix, raw[:r.pos])
    signature = r.take(64)
    r.end()
    need(ed25519.verify(node.owner_key, tag(name) + system_id + signed, signature) == "ok", "signature-invalid")


def endpoint(s):
    """S-91."""
    host, colon, port = s.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or port[0] == "0" or len(port) > 5 or int(port) > 65535:
        return False
    if host.startswith("["):
        inner = host[1:-1]
        return host.endswith("]") and ":" in inner and all(c in "abcdef0123456789:." for c in inner)
    return 1 <= len(host) <= 253 and all(c in "abcdefghijklmnopqrstuvwxyz0123456789.-" for c in host)
