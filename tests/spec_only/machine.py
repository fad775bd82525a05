"""A cluster's replicated state: pairs, queues, dispatch, outbox (chapter 4)."""
import merkle
import trie
from condensed import items_hash, slice_hash
from config import CHANGE, ENROL, SEAL, Operation, decode_config
from decisions import items_root, state_leaf
from wire import H, Bad, Reader, is_coordinator, le, need

READ, WRITE, ANSWER, CONFIG_ITEM, REVOKE_ITEM = 1, 2, 3, 4, 5
BUDGET_WRITES = 131072
ENTRY = 76  # bytes of a routing entry (D-8)


class ConsumedFrom:
    """D-6."""

    def __init__(self, raw=bytes(56)):
        r = Reader(raw)
        self.dseq, self.leaf, self.bytes, self.epoch = r.u(8), r.take(32), r.u(8), r.u(8)
        r.end()

    def encode(self):
        return le(self.dseq, 8) + self.leaf + le(self.bytes, 8) + le(self.epoch, 8)


class Queue:
    """D-7."""

    def __init__(self, raw=bytes(192)):
        r = Reader(raw)
        self.sent, self.leaf, self.acked = r.u(8), r.take(32), r.u(8)
        self.items, self.ops, self.bytes, self.time, self.height = r.u(4), r.u(4), r.u(8), r.u(8), r.u(8)
        self.hash, self.open_ops = r.take(32), r.u(4)
        r.zero(4)
        self.open_bytes, self.relay = r.u(8), [r.u(4) for _ in range(16)]
        r.end()

    def encode(self):
        return (le(self.sent, 8) + self.leaf + le(self.acked, 8) + le(self.items, 4) + le(self.ops, 4)
                + le(self.bytes, 8) + le(self.time, 8) + le(self.height, 8) + self.hash + le(self.open_ops, 4)
                + bytes(4) + le(self.open_bytes, 8) + b"".join(le(x, 4) for x in self.relay))


class Group:
    """Pending items that become one slice (D-19)."""

    def __init__(self):
        self.items, self.routing, self.ops, self.count = b"", b"", 0, 0

    def hash(self):
        return items_hash(self.items) + H(16, self.routing)


def pending_hash(groups):
    """D-19."""
    return H(23, b"".join(g.hash() for g in groups)) if groups else bytes(32)


def ops_of(kind, body, entry):
    """D-19: what an item counts as operations; entry is its routing entry, if it has one."""
    if kind in (READ, WRITE):
        return int.from_bytes(entry[68:72], "little")
    if kind != ANSWER:
        return 1
    r, ops = Reader(body), 0
    r.take(8)
    parts = r.u(4)
    r.zero(4)
    for _ in range(parts):
        r.take(4)
        ops += r.u(4)
        r.take(12)
        r.take(r.u(4))
    r.end()
    return ops


def genesis_state(system, cluster):
    """D-33, from a system file."""
    h = system.succession << 48
    out = [(1, b"g", system.genesis(cluster).whole(), h, 0)]
    if cluster < 0x20000:
        for x in system.clients:
            rec = b"\x01\0\0\0" + bytes(8) + x.card.binary + x.rights.encode()
            out += [(1, b"k" + x.card.id, rec, h, 0), (1, b"n" + x.card.signing_key, x.card.id, h, 0)]
        out.append((1, b"e", bytes(8) + system.file_hash + le(len(system.clients), 4), h, 0))
    return out


class Machine:
    """State, and what one block does to it that both kinds of cluster share."""

    def __init__(self, cluster, entries, cursors=bytes(32), time=0):
        self.cluster, self.cursors, self.time = cluster, cursors, time
        self.user, self.system, self.user_size = {}, {}, 0  # key -> (value, height, index)
        for space, key, value, height, index in entries:
            (self.system if space else self.user)[key] = (value, height, index)
            if not space:
                self.user_size += len(key) + len(value) + 64
        self.groups, self.lists = {}, {}  # cluster -> [Group]; (cluster, dseq) -> [(entry)]
        self.config = decode_config(self.system[b"g"][0])
        self.coordinator, self.sealed = is_coordinator(cluster), None

    # state

    def root(self):
        items = []
        for space, table in ((0, self.user), (1, self.system)):
            for key, (value, height, index) in table.items():
                items.append((trie.key_path(space, key), trie.leaf(space, key, height, index, trie.value_hash(value))))
        return trie.root(sorted(items))

    def entries(self):
        return {(s, k): v for s, t in ((0, self.user), (1, self.system)) for k, v in t.items()}

    def get(self, key):
        v = self.system.get(key)
        return v[0] if v else None

    def put(self, key, value, initial=None):
        """A system record; its version is settled at the end of the block (D-34)."""
        if value is None or key not in self.system and value == initial:
            self.system.pop(key, None)
        else:
            self.system[key] = (value, None, 0)

    def consumed(self, c):
        raw = self.get(b"c" + le(c, 4))
        return ConsumedFrom(raw) if raw else ConsumedFrom()

    def set_consumed(self, c, rec):
        self.put(b"c" + le(c, 4), rec.encode(), bytes(56))

    def queue(self, c):
        raw = self.get(b"q" + le(c, 4))
        return Queue(raw) if raw else Queue()

    def set_queue(self, c, rec):
        self.put(b"q" + le(c, 4), rec.encode(), bytes(192))

    def pairs(self):
        if self.coordinator:
            return [0x20000 + i for i in range(self.config.shards)]
        return [0x10000 + i for i in range(self.config.coordinators)]

    def records_full(self):
        lim = self.config.limits
        size = sum(len(k) + len(v[0]) + 64 for k, v in self.system.items())
        return (len(self.system) >= max(lim["table_keys_max"] // 4, 1 << 20)
                or size >= max(lim["table_bytes_max"] // 2, 1 << 28))

    def take_budget(self, writes, size):
        if writes > self.budget[0] or size > self.budget[1]:
            return False
        self.budget = (self.budget[0] - writes, self.budget[1] - size)
        return True

    # a block

    def run(self, height, time, inputs):
        """Executes inputs; gives the outbox as (leaf, slice) pairs."""
        self.height, self.now, self.index = height, time, 0
        self.budget = (BUDGET_WRITES, min(8 * self.config.limits["block_input_bytes_max"], 536870912))
        self.client_items = {}
        before = dict(self.system)
        old = {c: (self.consumed(c), self.queue(c)) for c in self.pairs()}
        for x in inputs:
            if x[0] == 1:
                self.consume(*x[1:])
            elif x[0] == 2:
                self.batch(*x[1:])
            elif x[0] == 3:
                self.admin(*x[1:])
        out = [s for c in self.pairs() for s in self.dispatch(c)]
        for client in sorted(self.client_items):
            out.append(self.client_slice(client, self.client_items[client]))
        self.settle(before)
        if self.sealed:
            out.append((state_leaf(self.config.system_id, self.cluster, height, self.root()), b""))
        self.cursors_after(old)
        self.time = time
        return out

    def settle(self, before):
        for key, (value, height, _) in list(self.system.items()):
            if height is None:
                was = before.get(key)
                self.system[key] = was if was and was[0] == value else (value, self.height, 0)

    def cursors_after(self, old):
        out = b""
        for c in self.pairs():
            (a, b), x, y = old[c], self.consumed(c), self.queue(c)
            if (a.dseq, a.leaf, b.sent, b.leaf, b.acked) != (x.dseq, x.leaf, y.sent, y.leaf, y.acked):
                out += (le(c, 4) + bytes(4) + le(x.dseq, 8) + x.leaf + le(y.sent, 8) + y.leaf + le(y.acked, 8))
        if out:
            self.cursors = H(8, self.cursors, out)

    @staticmethod
    def envelope(raw):
        """D-13, D-15: (ack, items) where an item is (kind or None, kind byte, body)."""
        r = Reader(raw)
        try:
            need(r.u(1) == 1, "envelope")
            r.zero(3)
            count, ack = r.u(4), r.u(8)
        except Bad:
            return 0, []
        items = []
        while len(items) < count and r.left() >= 8:
            n, kind, zero = r.u(4), r.u(1), r.take(3)
            if r.left() < n:
                break
            items.append((kind if zero == bytes(3) else None, kind, r.take(n)))
        return ack, items

    def consume(self, source, dseq, leaf_hash, raw):
        ack, items = self.envelope(raw)
        c = self.consumed(source)
        c.dseq, c.leaf = dseq, leaf_hash
        if items:
            c.bytes += len(raw)
        self.set_consumed(source, c)
        q = self.queue(source)
        if q.acked <= ack <= q.sent:
            q.acked = ack
            self.set_queue(source, q)
        self.take_items(source, dseq, items)

    def enqueue(self, c, kind, body, ops, routing=b""):
        """D-19."""
        item = le(len(body), 4) + bytes([kind, 0, 0, 0]) + body
        self.join(self.groups.setdefault(c, []), item, ops, routing, self.config.limits)
        q = self.queue(c)
        if q.items == 0:
            q.time, q.height = self.now, self.height
        q.items, q.ops, q.bytes = q.items + 1, q.ops + ops, q.bytes + len(item)
        self.set_queue(c, q)

    @staticmethod
    def join(groups, item, ops, routing, lim):
        """D-19: an item joins the newest group, or begins one."""
        if (not groups or 16 + len(groups[-1].items) + len(item) > lim["slice_bytes_max"]
                or groups[-1].ops + ops > lim["slice_ops_max"]):
            groups.append(Group())
        g = groups[-1]
        g.items, g.routing, g.ops, g.count = g.items + item, g.routing + routing, g.ops + ops, g.count + 1

    def cut(self, items, routing, lim):
        """D-26, P-33: pending items with heads, cut into groups again; routing is a reader of their entries."""
        r, groups = Reader(items), []
        while r.left():
            at = r.pos
            n, kind = r.u(4), r.u(1)
            r.zero(3)
            body = r.take(n)
            entry = routing.take(ENTRY) if self.coordinator and kind in (READ, WRITE) else b""
            self.join(groups, items[at:r.pos], ops_of(kind, body, entry), entry, lim)
        return groups

    def dispatch(self, c):
        """D-18."""
        lim, q, cf = self.config.limits, self.queue(c), self.consumed(c)
        idle, out = q.sent == q.acked, []
        unfinished = len([k for k in self.lists if k[0] == c])
        due = (lim["queue_policy"] == 1 or idle or q.ops >= lim["enough_ops"] or q.bytes >= lim["enough_bytes"]
               or self.now - q.time >= self.config.timeouts["due_ms"] or self.height - q.height >= lim["due_blocks"])
        if q.items and due and not (self.coordinator and unfinished >= 256):
            g = self.groups[c].pop(0)
        elif q.items == 0 and cf.bytes >= lim["unacked_bytes_max"]:
            g = Group()
        else:
            g = None
        if g is not None:
            body = b"\x01\0\0\0" + le(g.count, 4) + le(cf.dseq, 8) + g.items
            q.sent += 1
            leaf = (b"\x01\x01\0\0" + le(self.cluster, 4) + le(c, 4) + self.config.system_id + le(self.height, 8)
                    + le(q.sent, 8) + q.leaf + le(len(body), 4) + slice_hash(body))
            q.leaf = merkle.leaf_hash(leaf)
            out.append((leaf, body))
            cf.bytes = 0
            self.set_consumed(c, cf)
            if g.count == 0 and idle:
                q.acked = q.sent
            q.items, q.ops, q.bytes = q.items - g.count, q.ops - g.ops, q.bytes - len(g.items)
            q.time, q.height = (self.now, self.height) if q.items else (0, 0)
            if g.routing:
                self.lists[c, q.sent] = [g.routing[i:i + ENTRY] for i in range(0, len(g.routing), ENTRY)]
                self.put(b"u" + le(c, 4) + le(q.sent, 8), H(16, g.routing))
        q.hash = pending_hash(self.groups.get(c, []))
        self.set_queue(c, q)
        return out

    def client_slice(self, client, items):
        body = le(len(items), 4) + b"".join(le(len(x), 4) + x for x in items)
        leaf = (b"\x02\x01\0\0" + le(self.cluster, 4) + le(len(items), 4) + self.config.system_id + le(self.height, 8)
                + le(self.now, 8) + client + le(len(body), 4) + items_root(items))
        return leaf, body

    # administration

    def known_config(self, c):
        raw = self.get(b"m" + le(c, 4))
        return decode_config(raw) if raw else self.genesis_of[c]

    genesis_of = {}

    def consume_config(self, source, body):
        """D-30."""
        try:
            op = Operation(body)
            need(op.kind <= 2, "kind")
            op.effect(self.known_config(source), self.genesis_of[source].limits)
        except (Bad, KeyError):
            return
        if op.kind == 1:
            self.put(b"m" + le(source, 4), op.config.whole())
            c = self.consumed(source)
            c.epoch = op.serial
            self.set_consumed(source, c)

    def admin(self, raw, relay):
        op = Operation(raw)
        try:
            if op.kind <= 2:
                op.effect(self.config, self.genesis_of[self.cluster].limits)
                if op.kind == 1:
                    self.config = op.config
                    self.put(b"g", op.config.whole())
                self.sealed = op.hash if op.kind == SEAL else None
                for c in self.pairs():
                    self.enqueue(c, CONFIG_ITEM, raw, 1)
            elif self.coordinator:
                self.enrolment(op)
        except Bad:
            return

    def allows(self, op, clients):
        """D-32: what an enrolment needs of the records."""
        rec = self.get(b"k" + op.client_id)
        if op.kind == ENROL:
            unknown = rec is None and self.get(b"n" + op.card.signing_key) is None
            return unknown and clients < self.config.limits["clients_max"]
        return rec is not None and rec[1] == 0

    def enrolment(self, op):
        """S-78, D-32."""
        op.signed_by(self.config)
        r = Reader(self.get(b"e"))
        serial, newest, clients = r.u(8), r.take(32), r.u(4)
        need(op.serial == serial + 1 and op.predecessor == newest, "serial")
        need(self.allows(op, clients), "client")
        key = b"k" + op.client_id
        rec = self.get(key)
        if op.kind == ENROL:
            clients += 1
            self.put(key, b"\x01\0\0\0" + le(op.serial, 8) + op.card.binary + op.rights.encode())
            self.put(b"n" + op.card.signing_key, op.client_id)
        elif op.kind == CHANGE:
            self.put(key, b"\x01\0\0\0" + le(op.serial, 8) + rec[12:144] + op.rights.encode())
        else:
            self.put(key, b"\x01\x01\0\0" + le(op.serial, 8) + rec[12:])
            for c in self.pairs():
                self.enqueue(c, REVOKE_ITEM, op.raw, 1)
        self.put(b"e", le(op.serial, 8) + op.hash + le(clients, 4))


def outbox_root(out):
    return merkle.root([leaf for leaf, _ in out])
