"""What a coordinator cluster does with batches and answers (5.5)."""
from cards import Rights
from machine import ANSWER, CONFIG_ITEM, READ, WRITE, Machine
from operations import (ADD, BUSY, CLIENT_STATE, GET, MALFORMED, QUOTA, READS, RECEIPT, REVOKED, RIGHTS, TOO_NEW,
                        TOO_OLD, client_item, read_item, split_results, write_item)
from transfer import may_copy
from wire import H, Bad, Reader, le, need


class Client:
    """D-31."""

    def __init__(self, raw):
        r = Reader(raw)
        need(r.u(1) == 1, "format-unknown")
        self.revoked = r.u(1)
        r.zero(2)
        self.serial, self.card = r.u(8), r.take(132)
        self.rights = Rights.read(r)
        r.end()


class Charged:
    """Record 'f' of O-30.2."""

    def __init__(self, raw, window):
        self.floor = int.from_bytes(raw[:8], "little") if raw else 1
        self.bits, self.window = int.from_bytes(raw[8:], "little") if raw else 0, window

    def rise(self, floor):
        shift = floor - self.floor
        self.bits = self.bits >> shift if shift < self.window else 0
        self.floor = floor

    def encode(self):
        return le(self.floor, 8) + le(self.bits, (self.window + 7) // 8)


def reserve(p, item_bytes, limits):
    """O-31; item_bytes without the head."""
    n = 8 + item_bytes + 24
    for o in p.ops:
        n += 20
        if o.code == GET:
            n += min(o.a, limits["value_bytes_max"])
        elif o.code == ADD:
            n += 20
        elif o.code == CLIENT_STATE:
            n += 16 + 8 * limits["number_window"]
    return n


def tokens_at(rights, bucket, now):
    """O-30.5: the thousandths of an operation that a bucket (tokens, time) holds now; the first use starts full."""
    tokens, time = bucket or (1000 * rights.burst, now)
    return min(1000 * rights.burst, tokens + rights.per_second * (now - time))


def forbidden(operations, rights, client_id):
    """O-30.3: whether the client may not do one of these."""
    for o in operations:
        if o.code == CLIENT_STATE:
            if o.arg_a != client_id and not may_copy(rights):
                return True
        elif o.key and not rights.may(o.key, 1 if o.code in READS else 2):
            return True
    return False


class Coordinator(Machine):
    def clients_let_in(self, system):
        """O-54: noise keys of the clients on record that are not revoked; the file does not matter here."""
        records = [Client(v[0]) for k, v in self.system.items() if k[:1] == b"k"]
        return {x.card[68:100] for x in records if not x.revoked}

    def room(self, client_id, more, most):
        """Whether the client's slice of this block stays within most bytes (O-25)."""
        return 4 + sum(4 + len(x) for x in self.client_items.get(client_id, ())) + more <= most

    def answer_client(self, client_id, item):
        if self.room(client_id, 4 + len(item), 64 << 20):
            self.client_items.setdefault(client_id, []).append(item)

    def batch(self, b, relay):
        raw = self.get(b"k" + b.client_id)
        if raw is None:
            return
        client = Client(raw)
        for p in b.parts:
            code = self.admit(b, p, relay, client)
            if code is not None:
                self.answer_client(b.client_id, client_item(1, code, p.shard, p.digest, 0, 0, 0, p.op_count, b""))

    def admit(self, b, p, relay, client):
        """O-30: None if admitted, else the code."""
        lim = self.config.limits
        window = lim["number_window"]
        key = b"f" + b.client_id + le(p.shard, 4)
        initial = Charged(None, window).encode()
        body = write_item(b.client_id, p) if b.write else read_item(p)
        if b.write:
            if p.op_count > 4096:
                return MALFORMED
            if client.revoked:
                return REVOKED
            if self.records_full() or not self.take_budget(2, 280 + (window + 7) // 8):
                return BUSY
            f = Charged(self.get(key), window)
            if p.number < f.floor:
                return TOO_OLD
            if p.floor > f.floor:
                f.rise(p.floor)
                self.put(key, f.encode(), initial)
            if p.number >= f.floor + window:
                return TOO_NEW
            if forbidden(p.ops, client.rights, b.client_id):
                return RIGHTS
        q, hold = self.queue(p.shard), reserve(p, len(body), lim)
        if (q.open_ops + p.op_count > lim["credit_ops"] or q.open_bytes + hold > lim["credit_bytes"] or hold >= 1 << 32
                or q.relay[relay] + p.op_count > lim["credit_ops"] // (self.config.f + 1)):
            return BUSY
        if b.write and not f.bits >> (p.number - f.floor) & 1:
            if client.rights.per_second:
                if not self.pay(b.client_id, client.rights, p.op_count):
                    return QUOTA
            f.bits |= 1 << (p.number - f.floor)
            self.put(key, f.encode(), initial)
        q.open_ops, q.open_bytes = q.open_ops + p.op_count, q.open_bytes + hold
        q.relay[relay] += p.op_count
        self.set_queue(p.shard, q)
        routing = b.client_id + p.digest + bytes([relay, p.flags, 0, 0]) + le(p.op_count, 4) + le(hold, 4)
        self.enqueue(p.shard, WRITE if b.write else READ, body, p.op_count, routing)
        return None

    def pay(self, client_id, rights, ops):
        raw = self.get(b"b" + client_id)
        bucket = (int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")) if raw else None
        tokens = tokens_at(rights, bucket, self.now)
        if tokens < 1000 * ops:
            return False
        self.put(b"b" + client_id, le(tokens - 1000 * ops, 8) + le(self.now, 8))
        return True

    def take_items(self, source, dseq, items):
        for kind, _, body in items:
            if kind == ANSWER:
                try:
                    self.take_answer(source, body)
                except Bad:
                    pass
            elif kind == CONFIG_ITEM:
                self.consume_config(source, body)

    def take_answer(self, source, body):
        """O-32."""
        r = Reader(body)
        dseq, count = r.u(8), r.u(4)
        r.zero(4)
        parts = []
        for _ in range(count):
            code = r.u(1)
            r.zero(3)
            op_count, height, index = r.u(4), r.u(8), r.u(4)
            parts.append((code, op_count, height, index, r.take(r.u(4))))
            need(len(parts) <= 1 << 20, "many")
        r.end()
        open_ = [d for c, d in self.lists if c == source]
        need(open_ and dseq == min(open_), "not the oldest")
        entries = self.lists[source, dseq]
        need(1 <= count <= len(entries), "count")
        q = self.queue(source)
        for entry, (code, op_count, height, index, results) in zip(entries, parts):
            e = Reader(entry)
            client, digest, relay, flags = e.take(32), e.take(32), e.u(1), e.u(1)
            e.zero(2)
            ops, hold = e.u(4), e.u(4)
            q.open_ops, q.open_bytes = q.open_ops - ops, q.open_bytes - hold
            q.relay[relay] -= ops
            each = split_results(results, op_count) if flags & RECEIPT and results else None
            if each is None or not self.room(client, sum(68 + len(x) for x in each), 32 << 20):
                self.answer_client(client, client_item(1, code, source, digest, height, index, 0, op_count, results))
            else:
                for i, x in enumerate(each):
                    self.answer_client(client, client_item(2, code, source, digest, height, index + i, i, 1, x))
        self.set_queue(source, q)
        key, rest = b"u" + le(source, 4) + le(dseq, 8), entries[count:]
        if rest:
            self.lists[source, dseq] = rest
            self.put(key, H(16, b"".join(rest)))
        else:
            del self.lists[source, dseq]
            self.put(key, None)
