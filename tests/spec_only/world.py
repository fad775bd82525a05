"""A made-up system all of whose keys we hold: what our own checks stand on where the vectors give no keys."""
import copy
import functools
import hashlib

import ed25519
import merkle
from cards import make_card
from config import CONFIG, SEAL, Config
from consensus import EMPTY_BODY, VOTE_TAG, Header
from coordinator import Coordinator
from limits import LIMITS, TIMEOUTS
from machine import genesis_state
from operations import Batch
from shard import Shard
from sysfile import SystemFile, canonical
from wire import H, le, quorum, tag

PARTITION_KEY = hashlib.sha256(b"partition").digest()[:16]
COORDINATOR, SHARD = 0x10000, 0x20000


def seed_of(name, kind):
    return hashlib.sha256(("spec only %s %s" % (name, kind)).encode()).digest()


def noise_secret(name):
    """S-10: the X25519 secret of a card's noise key."""
    return hashlib.sha512(seed_of(name, "noise")).digest()[:32]


def card(kind, name):
    return make_card(kind, name, seed_of(name, "signing"), seed_of(name, "noise"), seed_of(name, "owner"))


def member_of(x):
    """S-52."""
    return (x.id, x.signing_key, x.noise_key)


def sealed_file(obj):
    """The system file whose content this is, under the id that follows from it."""
    f = SystemFile.__new__(SystemFile)
    obj["system_id"] = bytes(16).hex()
    f.read(obj)
    obj["system_id"] = f.file_hash[:16].hex()
    return SystemFile(canonical(obj))


class World:
    """One coordinator and one shard of n members each, m administrators of whom k sign, one client with every right."""

    def __init__(self, n=4, k=2, m=3):
        self.nodes = {c: [card(1, "%s-%d" % (name, i)) for i in range(n)] for c, name in ((COORDINATOR, "c"), (SHARD, "s"))}
        self.admins = sorted((card(3, "admin-%d" % i) for i in range(m)), key=lambda a: a.signing_key)
        self.client = card(2, "client")
        self.seeds = {x.signing_key: seed_of(x.name.decode(), "signing")
                      for x in sum(self.nodes.values(), []) + self.admins + [self.client]}
        limits, timeouts = ({row[0]: row[1] for row in table} for table in (LIMITS, TIMEOUTS))
        limits["checkpoint_blocks"] = 16
        cluster = lambda c: {"nodes": [x.json() for x in self.nodes[c]], "origin_height": "0", "origin_root": bytes(32).hex()}
        self.object = {
            "administrators": {"cards": [a.json() for a in self.admins], "needed": k},
            "clients": [{"card": self.client.json(), "quota_burst": 0, "quota_per_second": 0,
                         "rights": [{"allow": "rw", "prefix": ""}]}],
            "coordinators": [cluster(COORDINATOR)], "format": 1, "limits": limits, "name": "spec-only",
            "partition_key": PARTITION_KEY.hex(), "predecessor_id": bytes(16).hex(), "protocol_version": 1,
            "shards": [cluster(SHARD)], "succession": 0, "timeouts": timeouts}
        self.file = sealed_file(self.object)
        self.system_id = self.file.system_id

    def node(self, name):
        """A node that is not in the system yet."""
        x = card(1, name)
        self.seeds[x.signing_key] = seed_of(name, "signing")
        return x

    def sign(self, key, message):
        return ed25519.sign(self.seeds[key], message)

    def signatures(self, cards, message):
        """S-70, S-141: count, then key and signature of each, ascending."""
        keys = sorted(x.signing_key for x in cards)
        return le(len(keys), 4) + b"".join(key + self.sign(key, message) for key in keys)

    # operations

    def operation(self, kind, cluster, serial, predecessor, body, signers=None):
        """S-70; signed by the first two administrators unless told otherwise."""
        text = bytes([kind, 1, 0, 0]) + le(cluster, 4) + self.system_id + le(serial, 8) + predecessor + body
        signed = tag("HRC admin-op") + self.system_id + H(17, text)
        return text + self.signatures(self.admins[:2] if signers is None else signers, signed)

    def changed(self, before, limits=None, members=None, k=None):
        """The CONFIG after another one, with some limits or members changed."""
        return Config(before.cluster, before.serial + 1, members or before.members, k or before.k, before.admins,
                      {**before.limits, **(limits or {})}, before.timeouts, before.version, before.system_id,
                      before.partition_key, before.succession, before.coordinators, before.shards)

    def config(self, before, after, cards=(), signers=None):
        """S-72."""
        whole = after.whole()
        body = le(len(whole), 4) + whole + bytes([len(cards), 0, 0, 0]) + b"".join(c.proven for c in cards)
        return self.operation(CONFIG, before.cluster, after.serial, before.hash, body, signers)

    def replace(self, before, index, new):
        """The CONFIG in which a new node has the place of another."""
        members = list(before.members)
        members[index] = member_of(new)
        return self.changed(before, members=members)

    # blocks

    def header(self, config, height, parent=bytes(32), body=EMPTY_BODY, outbox=None, state=bytes(32), time=0):
        return Header(self.system_id + config.hash + le(config.cluster, 4) + le(config.serial, 8) + le(0, 8) + le(height, 8)
                      + merkle.root(outbox or []) + parent + H(7, body) + state + bytes(32) + le(time, 8))

    def qc(self, config, header, kind=2):
        members = config.keys()[:quorum(config.n)]
        message = VOTE_TAG[kind] + header.ballot()
        signatures = b"".join(bytes([i]) + self.sign(key, message) for i, key in enumerate(members))
        return bytes([kind, len(members), 0, 0]) + header.ballot() + signatures

    def certificate(self, config, headers):
        """B-11: of the first header, by a QC on the last."""
        rest = headers if len(headers) > 1 else []
        return self.qc(config, headers[-1]) + le(len(rest), 2) + bytes(2) + b"".join(h.raw for h in rest)

    def descendants(self, config, header, count):
        """A chain of headers that begins with this one."""
        out = [header]
        for _ in range(count - 1):
            out.append(self.header(config, out[-1].height + 1, out[-1].id))
        return out

    def entry(self, config, height, op, outbox=None, named=None):
        """S-100: the entry of a CONFIG or SEAL, and its block's header; named: the hash that the body has instead of its input hash (D-2)."""
        body = le(1, 4) + bytes([3, 0, 0, 0]) + bytes(12) + (named or H(25, op))
        header = self.header(config, height, body=body, outbox=outbox)
        certificate = self.certificate(config, [header])
        return (header.raw + le(len(body), 4) + body + le(len(op), 4) + op + le(len(certificate), 4) + certificate), header

    def chain(self, cluster, entries, first=1):
        """S-103: payload of CONFIG_CHAIN."""
        return le(cluster, 4) + le(len(entries), 4) + le(first, 8) + b"".join(le(len(e), 4) + e for e in entries)

    def decision(self, config, header, leaves, index, body):
        """D-12."""
        certificate = self.certificate(config, [header])
        path = merkle.path(index, [merkle.leaf_hash(x) for x in leaves])
        size = merkle.least_size(index, len(path))
        return (le(len(certificate), 4) + certificate + le(index, 4) + le(size, 4) + le(len(path), 4) + b"".join(path)
                + leaves[index] + body)

    # clients

    def batch(self, parts, kind=2, nonce=bytes(16)):
        """O-20: parts are (shard, flags, number, floor, operations)."""
        raw = b""
        for shard, flags, number, floor, operations in parts:
            raw += (le(shard, 4) + bytes([flags, 0, 0, 0]) + le(number, 8) + le(floor, 8) + le(len(operations), 4)
                    + le(sum(map(len, operations)), 4) + b"".join(operations))
        size = 64 + len(raw) + (64 if kind == 2 else 0)
        out = (bytes([1, kind]) + le(len(parts), 2) + le(size, 4) + self.client.id + nonce + bytes(8) + raw)
        if kind == 2:
            out += self.sign(self.client.signing_key, tag("HRC batch") + self.system_id + H(12, out))
        return Batch(out, self.file.limits, len(self.file.shards))

    # successors

    def successor(self, root, name="spec-only", **other):
        """A successor's file: each shard begins from this root."""
        obj = copy.deepcopy(self.object)
        obj.update(name=name, predecessor_id=self.system_id.hex(), succession=self.file.succession + 1, **other)
        for x in obj["shards"]:
            x.update(origin_height="16", origin_root=root.hex())
        return sealed_file(obj)

    def statement(self, new, signers, **other):
        """S-141."""
        old_id, new_id = other.get("predecessor", self.system_id), other.get("successor", new.system_id)
        signed = tag("HRC successor") + old_id + new.system_id + new.file_hash
        count_and_signatures = self.signatures(signers, signed)
        return (b"\x01\0\0\0" + count_and_signatures[:4] + old_id + new_id + new.file_hash + count_and_signatures[4:])


@functools.lru_cache(None)
def world():
    return World()


class Pair:
    """The coordinator and the shard of a system, block by block, each slice going straight to the other one."""

    def __init__(self, w, system, states):
        self.w, self.coordinator = w, Coordinator(COORDINATOR, states[COORDINATOR])
        self.shard = Shard(SHARD, states[SHARD])
        for m in (self.coordinator, self.shard):
            m.genesis_of = {c: system.genesis(c) for c in (COORDINATOR, SHARD)}
        self.height, self.answers = system.succession << 48, []

    @staticmethod
    def of_genesis(w):
        return Pair(w, w.file, {c: genesis_state(w.file, c) for c in (COORDINATOR, SHARD)})

    def slices(self, machine, box):
        return [(1, machine.cluster, int.from_bytes(leaf[36:44], "little"), merkle.leaf_hash(leaf), body)
                for leaf, body in box if leaf[0] == 1]

    def decide(self, *inputs):
        """One block of each: inputs at the coordinator, then what it sends at the shard; gives the shard's code for the first part."""
        self.height += 1
        now = 10 * (self.height & 0xffff)
        requests = self.slices(self.coordinator, self.coordinator.run(self.height, now, self.answers + list(inputs)))
        self.answers = self.slices(self.shard, self.shard.run(self.height, now, requests))
        return self.answers[0][4][40] if self.answers else None  # envelope 16, head 8, dseq 8, part_count 4, zero 4, code

    def write(self, number, floor, operation, nonce=bytes(16)):
        return self.decide((2, self.w.batch([(SHARD, 0, number, floor, [operation])], nonce=nonce), 0))


def manifest(w, header, root, entries=0, size=0, items=()):
    """P-32; items: (kind, cluster, dseq, bytes, hash)."""
    return (b"\1\0\0\0" + le(header.cluster, 4) + w.system_id + le(header.epoch, 8) + le(header.height, 8) + header.id + root
            + le(entries, 8) + le(size, 8) + le(len(items), 4)
            + b"".join(bytes([k, 0, 0, 0]) + le(c, 4) + le(d, 8) + le(n, 8) + h for k, c, d, n, h in items))


def checkpoint(m, header, child, certificate, path=None):
    """P-42: one checkpoint; with a path, of SEAL's block."""
    tail = b"" if path is None else le(len(path), 4) + b"".join(path)
    return le(len(m), 4) + m + header.raw + child.raw + le(len(certificate), 4) + certificate + tail


def message(*checkpoints, nonce=bytes(8)):
    return nonce + le(len(checkpoints), 2) + bytes(6) + b"".join(checkpoints)


class Made:
    """A checkpoint at a height, under a CONFIG, whose child's certificate has so many headers."""

    def __init__(self, w, config, height, headers=0, child_config=None, header=None, root=b"\x33" * 32, **of_manifest):
        self.header = header or w.header(config, height)
        self.child = w.header(child_config or config, height + 1, self.header.id, state=root)
        line = w.descendants(child_config or config, self.child, max(headers, 1))
        self.certificate = w.certificate(child_config or config, line)
        self.manifest = manifest(w, self.header, root, **of_manifest)
        self.raw = self.showing(self.manifest)

    def showing(self, shown):
        """The checkpoint with a manifest shown otherwise."""
        return checkpoint(shown, self.header, self.child, self.certificate)


class Sealed:
    """A cluster after SEAL at a height, and what shows the state after it (D-35, P-42)."""

    def __init__(self, w, height=5, cluster=SHARD):
        self.w, self.config, self.height = w, w.file.genesis(cluster), height
        pair = Pair.of_genesis(w)
        self.machine = pair.shard if cluster == SHARD else pair.coordinator
        op = w.operation(SEAL, cluster, 1, self.config.hash, b"")
        self.outbox = self.machine.run(height, 100, [(3, op, 0)])
        self.leaves = [leaf for leaf, _ in self.outbox]
        self.root = self.machine.root()
        entry, self.header = w.entry(self.config, height, op, self.leaves)
        self.chain = w.chain(cluster, [entry])
        self.path = merkle.path(len(self.leaves) - 1, [merkle.leaf_hash(x) for x in self.leaves])

    def showing(self, headers=1, leaves=None, path=None, root=None, **of_manifest):
        """The checkpoint; leaves: of an outbox that the block has instead."""
        header, root = self.header, root or self.root
        if leaves is not None:
            header = self.w.header(self.config, self.height, outbox=leaves)
        certificate = self.w.certificate(self.config, self.w.descendants(self.config, header, headers))
        m = manifest(self.w, header, root, **of_manifest)
        return checkpoint(m, header, header, certificate, self.path if path is None else path)


def flips(raw, first=0, last=None):
    """The bytes with one bit of each byte of a part changed, another one from byte to byte."""
    for i in range(first, len(raw) if last is None else last):
        yield raw[:i] + bytes([raw[i] ^ 1 << i % 8]) + raw[i + 1:]


def entries_of(machine):
    """As Machine takes them."""
    return [(space, key, *entry) for (space, key), entry in sorted(machine.entries().items())]


def put(key, value):
    return bytes([2, 0]) + le(len(key), 2) + le(len(value), 4) + le(0, 4) + key + value


def get(key):
    return bytes([1, 0]) + le(len(key), 2) + le(1024, 4) + le(0, 4) + key
