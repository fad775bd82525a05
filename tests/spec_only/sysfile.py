"""Canonical JSON and the system file (7.1, 7.3).

How the text was read where it says less than a program must know:
- S-4, S-25: values go in the order of the table, each wholly where it stands: an array's length, then its elements, then the value behind it.
  Only of the file's head S-25 names another order. A card's id is compared after S-14.
- S-1: of the two that programs may read otherwise, half a pair is `field-type` where a text stands, and brackets are read as far as Python reads.
- S-4: an integer of 2^53 or more is `field-range` as `format`, too. A prefix (S-31) of more than 256 bytes is `field-range`. Integers beyond
  64 bits are found where they stand.
"""
import json

from cards import KINDS, Card, Rights, is_name
from config import Config, encode_limits, encode_timeouts
from limits import LIMITS, TIMEOUTS, limits_relations, timeouts_relations
from wire import H, Bad, le, need

FILE_MAX, CARD_FILE_MAX = 32 << 20, 8192
TWO53 = 1 << 53
DIGITS = 20  # more than any integer has that is not beyond all ranges


class NotInteger:
    """A JSON number that S-3 does not know."""


def strings(value):
    """All strings and names in it."""
    left = [value]
    while left:
        v = left.pop()
        if isinstance(v, str):
            yield v
        elif isinstance(v, dict):
            left += [*v, *v.values()]
        elif isinstance(v, list):
            left += v


def parse(raw):
    """S-1, S-4: JSON, with -0 as another spelling of 0."""
    def pairs(items):
        out = dict(items)
        need(len(out) == len(items), "not-json")
        return out

    def integer(s):
        if s == "-0":
            return 0
        return NotInteger() if s[0] == "-" else int(s) if len(s) <= DIGITS else 10 ** DIGITS

    def constant(s):
        raise Bad("not-json")
    try:
        out = json.loads(raw.decode("utf-8"), object_pairs_hook=pairs, parse_int=integer,
                         parse_float=lambda s: NotInteger(), parse_constant=constant)
    except (ValueError, RecursionError):
        raise Bad("not-json")
    need(isinstance(out, dict) and all("\0" not in s for s in strings(out)), "not-json")
    return out


def canonical(value):
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def names(obj, want):
    need(isinstance(obj, dict), "field-type")
    need(all(n in obj for n in want), "field-missing")
    need(all(n in want for n in obj), "field-unknown")


def integer(obj, name, low, high):
    v = obj[name]
    need(isinstance(v, int) and not isinstance(v, bool), "field-type")
    need(low <= v <= min(high, TWO53 - 1), "field-range")
    return v


def hexa(obj, name, size=None, most=None):
    v = obj[name]
    need(isinstance(v, str) and len(v) % 2 == 0 and all(c in "0123456789abcdef" for c in v), "field-type")
    need(size is None or len(v) == 2 * size, "field-type")
    need(most is None or len(v) <= 2 * most, "field-range")
    return bytes.fromhex(v)


def text(obj, name):
    v = obj[name]
    need(isinstance(v, str), "field-type")
    need(all(0x20 <= ord(c) <= 0x7e and c not in '"\\' for c in v), "field-type")
    return v


def array(obj, name, low, high):
    v = obj[name]
    need(isinstance(v, list), "field-type")
    need(len(v) <= high, "too-large")
    need(len(v) >= low, "field-range")
    return v


def decimal(obj, name):
    v = obj[name]
    need(isinstance(v, str) and v.isascii() and v.isdigit() and (v == "0" or v[0] != "0"), "field-type")
    need(len(v) <= 20 and int(v) < 1 << 64, "field-range")
    return int(v)


def card_of(obj, kind):
    fields = ["card", "format", "id", "name", "signing_key", "signing_proof"]
    keys, proofs = ["signing_key"], ["signing_proof"]
    if kind != 3:
        keys += ["noise_key", "noise_proof_key"]
        proofs += ["noise_proof"]
    if kind == 1:
        keys += ["owner_key"]
        proofs += ["owner_proof"]
    names(obj, set(fields + keys + proofs))
    need(KINDS.get(text(obj, "card")) == kind, "field-range")
    need(integer(obj, "format", 0, TWO53) == 1, "format-unknown")
    cid, name = hexa(obj, "id", 32), text(obj, "name")
    need(is_name(name.encode()), "field-range")
    form = bytes([kind, 1, 0, 0]) + name.encode().ljust(32, b"\0")
    form += b"".join(hexa(obj, k, 32) for k in keys) + b"".join(hexa(obj, k, 64) for k in proofs)
    card = Card(kind, form)
    need(card.id == cid, "id-mismatch")
    return card


def parse_card_file(raw, kind):
    need(len(raw) <= CARD_FILE_MAX, "too-large")
    obj = parse(raw)
    card = card_of(obj, kind)
    need(canonical(obj) == raw, "not-canonical")
    return card


class Cluster:
    def __init__(self, number, obj):
        names(obj, {"nodes", "origin_height", "origin_root"})
        self.number = number
        self.nodes = [card_of(x, 1) for x in array(obj, "nodes", 4, 16)]
        self.origin_height, self.origin_root = decimal(obj, "origin_height"), hexa(obj, "origin_root", 32)


class Client:
    def __init__(self, obj):
        names(obj, {"card", "quota_burst", "quota_per_second", "rights"})
        self.card, rules = card_of(obj["card"], 2), []
        burst, per_second = (integer(obj, n, 0, 2**32 - 1) for n in ("quota_burst", "quota_per_second"))
        for rule in array(obj, "rights", 0, 16):
            names(rule, {"allow", "prefix"})
            allow = text(rule, "allow")
            need(allow in ("r", "w", "rw"), "field-range")
            rules.append(({"r": 1, "w": 2, "rw": 3}[allow], hexa(rule, "prefix", most=256)))
        self.rights = Rights(per_second, burst, rules)


def values(obj, table):
    names(obj, {row[0] for row in table})
    return {name: integer(obj, name, low, high) for name, _, low, high in table}


class SystemFile:
    """A whole system file; the constructor does all checks in the order of S-25."""

    HEAD = {"administrators", "clients", "coordinators", "format", "limits", "name", "partition_key",
            "predecessor_id", "protocol_version", "shards", "succession", "system_id", "timeouts"}

    def __init__(self, raw):
        need(len(raw) <= FILE_MAX, "too-large")
        obj = parse(raw)
        need("format" in obj, "field-missing")
        need(integer(obj, "format", 0, TWO53) == 1, "format-unknown")
        names(obj, self.HEAD)
        self.read(obj)
        need(self.file_hash[:16] == self.system_id, "id-mismatch")
        need(canonical(obj) == raw, "not-canonical")

    def read(self, obj):
        """All but the head's format, the id and the canonical form."""
        self.name = text(obj, "name")
        self.partition_key, self.predecessor_id = hexa(obj, "partition_key", 16), hexa(obj, "predecessor_id", 16)
        self.protocol_version = integer(obj, "protocol_version", 0, 2**32 - 1)
        self.succession = integer(obj, "succession", 0, 65535)
        self.system_id = hexa(obj, "system_id", 16)
        self.limits, self.timeouts = values(obj["limits"], LIMITS), values(obj["timeouts"], TIMEOUTS)
        admins = obj["administrators"]
        names(admins, {"cards", "needed"})
        self.admins = [card_of(x, 3) for x in array(admins, "cards", 1, 32)]
        self.needed = integer(admins, "needed", 0, TWO53)
        self.coordinators = [Cluster(0x10000 + i, x) for i, x in enumerate(array(obj, "coordinators", 1, 256))]
        self.shards = [Cluster(0x20000 + i, x) for i, x in enumerate(array(obj, "shards", 1, 256))]
        self.clients = [Client(x) for x in array(obj, "clients", 0, 4096)]
        self.clusters = self.coordinators + self.shards
        limits_relations(self.limits, len(self.clients))
        timeouts_relations(self.timeouts)
        self._more_rules()
        self._nothing_twice()
        self.binary = self._binary()
        self.file_hash = H(14, self.binary)

    def _more_rules(self):
        need(is_name(self.name.encode()), "field-range")
        need(self.protocol_version == 1, "format-unknown")
        need((self.predecessor_id == bytes(16)) == (self.succession == 0), "field-range")
        m = len(self.admins)
        need(m < 2 * self.needed <= 2 * m, "field-range")
        for c in self.clusters:
            height, origin = c.origin_height, c.origin_root != bytes(32)
            if self.succession == 0:
                need(not origin and height == 0, "field-range")
            elif c in self.shards or origin or height:
                need(origin and height >> 48 < self.succession, "field-range")
        for c in self.clients:
            need((c.rights.per_second == 0) == (c.rights.burst == 0), "field-range")
            ascending([p for _, p in c.rights.rules])
        ascending([a.signing_key for a in self.admins])
        ascending([c.card.id for c in self.clients])

    def _nothing_twice(self):
        nodes = [n for c in self.clusters for n in c.nodes]
        keys, owners = [], {n.owner_key for n in nodes}
        for card in nodes + [c.card for c in self.clients] + self.admins:
            keys += [k for k in (card.signing_key, card.noise_key, card.noise_proof_key) if k]
        need(len(set(keys)) == len(keys) and not owners & set(keys), "key-twice")
        for group in (nodes, [c.card for c in self.clients], self.admins):
            need(len({x.name for x in group}) == len(group), "name-twice")

    def _binary(self):
        out = le(1, 4) + le(self.protocol_version, 4) + le(self.succession, 2) + bytes(2)
        out += self.predecessor_id + self.partition_key + self.name.encode().ljust(32, b"\0")
        out += encode_limits(self.limits) + encode_timeouts(self.timeouts)
        out += bytes([self.needed, len(self.admins), 0, 0]) + b"".join(a.proven for a in self.admins)
        out += le(len(self.coordinators), 4) + le(len(self.shards), 4)
        for c in self.clusters:
            out += le(c.number, 4) + le(len(c.nodes), 4) + le(c.origin_height, 8) + c.origin_root
            out += b"".join(n.proven for n in c.nodes)
        out += le(len(self.clients), 4)
        return out + b"".join(c.card.proven + c.rights.encode() for c in self.clients)

    def genesis(self, cluster):
        """The genesis CONFIG of a cluster (S-51)."""
        nodes = [c for c in self.clusters if c.number == cluster][0].nodes
        return Config(cluster, 0, [(n.id, n.signing_key, n.noise_key) for n in nodes], self.needed,
                      [(a.id, a.signing_key) for a in self.admins], dict(self.limits), dict(self.timeouts),
                      self.protocol_version, self.system_id, self.partition_key, self.succession,
                      len(self.coordinators), len(self.shards))


def ascending(values_):
    need(all(a < b for a, b in zip(values_, values_[1:])), "order")
