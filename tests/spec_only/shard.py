"""What a shard cluster does with requests: execution and exactly once (5.2, 5.6)."""
from config import Operation
from machine import ANSWER, CONFIG_ITEM, READ, REVOKE_ITEM, WRITE, Machine
from operations import (ABSENT, ADD, ATOMIC, BELOW_FLOOR, BUSY, CANCEL, CANCELLED, CAS, CAS_VERSION, CHECK,
                        CHECK_FAILED, CLIENT_STATE, DELETE, EXISTS, GET, LIMIT, MALFORMED, MISMATCH, NOT_EXECUTED, OK,
                        OVERFLOW, PUT_IF_ABSENT, RECORDED, RECORDS_FULL, RESERVED, REUSED, REVOKED,
                        TABLE_FULL, TOO_NEW, TOO_OLD, UNSUPPORTED, WRONG_SHARD, WRONG_TYPE, ReadItem, WriteItem,
                        check_list, number, read_ops, result, shard_of)
from wire import Bad, Reader, le, need


class ClientRecord:
    """Record 'w'."""

    INITIAL = le(1, 8) + bytes(16)

    def __init__(self, raw):
        r = Reader(raw or self.INITIAL)
        self.floor, self.records, self.bytes, self.closed = r.u(8), r.u(4), r.u(4), r.u(1)
        r.zero(7)

    def encode(self):
        return le(self.floor, 8) + le(self.records, 4) + le(self.bytes, 4) + bytes([self.closed]) + bytes(7)


class Record:
    """One number's recorded outcome (O-40)."""

    def __init__(self, digest, height, index, op_count, form, codes, numbers):
        self.digest, self.height, self.index, self.op_count = digest, height, index, op_count
        self.form, self.codes, self.numbers = form, codes, numbers

    @staticmethod
    def read(r):
        digest, height, index, op_count, form = r.take(32), r.u(8), r.u(4), r.u(4), r.u(1)
        r.zero(1)
        n = r.u(2)
        codes = r.take(op_count) if form == 1 else bytes(op_count)
        return Record(digest, height, index, op_count, form, codes, [r.take(8) for _ in range(n)])

    def encode(self):
        return (self.digest + le(self.height, 8) + le(self.index, 4) + le(self.op_count, 4) + bytes([self.form, 0])
                + le(len(self.numbers), 2) + (self.codes if self.form == 1 else b"") + b"".join(self.numbers))


class Shard(Machine):
    def clients_let_in(self, system):
        """O-54: noise keys of the file's clients whose numbers are not closed."""
        return {x.card.noise_key for x in system.clients if not ClientRecord(self.get(b"w" + x.card.id)).closed}

    # records

    def chunk_key(self, client, chunk):
        return b"r" + client + le(chunk, 8)

    def chunk(self, client, n):
        """Numbers of chunk n with their records."""
        raw = self.get(self.chunk_key(client, n))
        if not raw:
            return {}
        r = Reader(raw)
        mask = r.u(2)
        return {16 * n + i: Record.read(r) for i in range(16) if mask >> i & 1}

    def set_chunk(self, client, n, records):
        key = self.chunk_key(client, n)
        if not records:
            return self.put(key, None)
        mask = sum(1 << k - 16 * n for k in records)
        self.put(key, le(mask, 2) + b"".join(records[k].encode() for k in sorted(records)))

    def chunks_of(self, client):
        p = b"r" + client
        return sorted(int.from_bytes(k[33:], "little") for k in self.system if k.startswith(p))

    def raise_floor(self, client, w, floor):
        for n in self.chunks_of(client):
            if 16 * n < floor:
                recs = self.chunk(client, n)
                for k in [k for k in recs if k < floor]:
                    w.records -= 1
                    w.bytes -= len(recs.pop(k).encode())
                self.set_chunk(client, n, recs)
        w.floor = floor

    def client_state(self, client):
        w = ClientRecord(self.get(b"w" + client))
        numbers = [k for n in self.chunks_of(client) for k in sorted(self.chunk(client, n))]
        return le(w.floor, 8) + le(len(numbers), 4) + bytes(4) + b"".join(le(k, 8) for k in numbers)

    # items

    def limits_of_answer(self):
        a = self.config.limits["slice_bytes_max"] - 65536
        return a, a - 48

    def take_items(self, source, dseq, items):
        parts = []
        for kind, _, body in items:
            if kind in (READ, WRITE):
                parts.append(self.read_item(body) if kind == READ else self.write_item(body))
            elif kind == CONFIG_ITEM:
                self.consume_config(source, body)
            elif kind == REVOKE_ITEM:
                self.revoke(body)
        most, now, ops = self.limits_of_answer()[0], [], 0
        head = lambda: le(dseq, 8) + le(len(now), 4) + bytes(4)
        for raw, op_count in parts:
            if now and 8 + 16 + sum(map(len, now)) + len(raw) > most:
                self.enqueue(source, ANSWER, head() + b"".join(now), ops)
                now, ops = [], 0
            now.append(raw)
            ops += op_count
        if now:
            self.enqueue(source, ANSWER, head() + b"".join(now), ops)

    def part(self, code, op_count, height=None, index=None, results=()):
        height, index = (self.height, self.first) if height is None else (height, index)
        raw = b"".join(results)
        out = bytes([code, 0, 0, 0]) + le(op_count, 4) + le(height, 8) + le(index, 4) + le(len(raw), 4) + raw
        return out, op_count

    @property
    def first(self):
        return self.index

    def malformed_by_size(self, op_count, write):
        return op_count > self.limits_of_answer()[1] // 8 or write and op_count > 4096

    def read_item(self, body):
        try:
            it = ReadItem(body)
            need(not self.malformed_by_size(it.op_count, False), "malformed")
            ops = read_ops(it.ops_raw, it.op_count)
            check_list(ops, False)
        except Bad:
            return self.part(MALFORMED, 0)
        results, _, _ = self.execute(ops, False)
        out = self.part(OK, it.op_count, results=results)
        self.index += it.op_count
        return out

    def write_item(self, body):
        try:
            it = WriteItem(body)
            need(not self.malformed_by_size(it.op_count, True), "malformed")
            ops = read_ops(it.ops_raw, it.op_count)
            check_list(ops, True)
        except Bad:
            return self.part(MALFORMED, 0)
        out = self.write(it, ops, len(body))
        self.index += it.op_count
        return out

    def budget_of(self, it, w, body_bytes):
        """O-18, shard."""
        value = lambda n: len(self.get(self.chunk_key(it.client_id, n)) or b"")
        c, s = 0, value(it.number // 16)
        if it.floor > w.floor and w.records > 0:
            last = min(it.floor - 1, w.floor + self.config.limits["number_window"] - 1)
            c = last // 16 - w.floor // 16 + 1
            s += value(it.floor // 16)
        return it.op_count + 3 + c, body_bytes + 105 * it.op_count + 564 + 105 * c + s

    def write(self, it, ops, body_bytes):
        """O-41."""
        key, lim = b"w" + it.client_id, self.config.limits
        w = ClientRecord(self.get(key))
        cancel = ops[0].code == CANCEL
        refuse = lambda code: self.part(code, it.op_count)
        if w.closed:
            return refuse(REVOKED)
        if not self.take_budget(*self.budget_of(it, w, body_bytes)):
            return refuse(BUSY)
        if self.get(key) is None and self.records_full():
            return refuse(RECORDS_FULL)
        if it.floor > w.floor:
            self.raise_floor(it.client_id, w, it.floor)
            self.put(key, w.encode(), w.INITIAL)
        if it.number < w.floor:
            return refuse(TOO_OLD)
        if it.number >= w.floor + lim["number_window"]:
            return refuse(TOO_NEW)
        n = it.number // 16
        recs = self.chunk(it.client_id, n)
        rec = recs.get(it.number)
        if rec is not None:
            if cancel and rec.form != 2:
                results = [bytes([c, 2, 0, 0, 0, 0, 0, 0]) for c in rec.codes]
                return self.part(RECORDED, rec.op_count, rec.height, rec.index, results)
            if rec.form == 2:
                return refuse(CANCELLED)
            if rec.digest == it.digest and rec.op_count == it.op_count:
                return self.part(RECORDED, it.op_count, rec.height, rec.index, self.recorded(rec, ops))
            return refuse(REUSED)
        if self.records_full():
            return refuse(RECORDS_FULL)
        if cancel:
            rec, out = Record(it.digest, self.height, self.index, 0, 2, b"", []), refuse(CANCELLED)
        else:
            size = len(self.get(self.chunk_key(it.client_id, n)) or bytes(2))
            if w.bytes + 52 + 9 * it.op_count > lim["record_bytes_max"] or size + 52 + 9 * it.op_count > 64704:
                return refuse(RECORDS_FULL)
            results, codes, numbers = self.execute(ops, bool(it.flags & ATOMIC))
            form = 1 if any(codes) else 0
            rec = Record(it.digest, self.height, self.index, it.op_count, form, codes, numbers)
            out = self.part(OK, it.op_count, results=results)
        recs[it.number] = rec
        w.records, w.bytes = w.records + 1, w.bytes + len(rec.encode())
        self.set_chunk(it.client_id, n, recs)
        self.put(key, w.encode(), w.INITIAL)
        return out

    def recorded(self, rec, ops):
        """O-42."""
        out, numbers = [], iter(rec.numbers)
        for i, (code, o) in enumerate(zip(rec.codes, ops)):
            value, left, version = None, None, None
            if code == OK and o.write:
                version = (rec.height, rec.index + i)
                if o.code == ADD:
                    value = b"%d" % int.from_bytes(next(numbers), "little", signed=True)
            if code == BELOW_FLOOR or code == OK and o.code in (GET, CLIENT_STATE):
                left = 0
            out.append(result(code, value, version, left))
        return out

    def revoke(self, body):
        """O-45, S-79."""
        try:
            op = Operation(body)
            need(op.kind == 5, "kind")
            op.signed_by(self.config)
        except Bad:
            return
        w = ClientRecord(self.get(b"w" + op.client_id))
        w.closed = 1
        self.put(b"w" + op.client_id, w.encode(), w.INITIAL)

    # operations

    def execute(self, ops, atomic):
        """Results, codes and ADD numbers of one part (O-8 to O-13, O-24)."""
        saved = (dict(self.user), self.user_size) if atomic else None
        out, codes, numbers, most, c = [], [], [], self.limits_of_answer()[1], len(ops)
        used = 0
        for i, o in enumerate(ops):
            raw, num = self.one(o, i, used, most - 8 * (c - i - 1))
            out.append(raw)
            codes.append(raw[0])
            used += len(raw)
            if num is not None:
                numbers.append(le(num & 2**64 - 1, 8))
            if atomic and raw[0] != OK and not (raw[0] == ABSENT and o.code in (GET, DELETE)):
                self.user, self.user_size = saved
                none = result(NOT_EXECUTED)
                out = [raw if j == i else none for j in range(c)]
                return out, bytes(x[0] for x in out), []
        return out, bytes(codes), numbers

    def one(self, o, i, used, most):
        """(result, number of an ADD with OK)."""
        lim, fail = self.config.limits, lambda code, **k: (result(code, **k), None)
        if o.code in RESERVED:
            return fail(UNSUPPORTED)
        stored = o.stored()
        if len(o.key) > lim["key_bytes_max"] or stored is not None and len(stored) > lim["value_bytes_max"]:
            return fail(LIMIT)
        if o.key:
            mine = 0x20000 + shard_of(self.config.partition_key, o.key, self.config.shards)
            if mine != self.cluster:
                return fail(WRONG_SHARD)
        if not o.write:
            raw = self.read_one(o)
            return fail(LIMIT) if used + len(raw) > most else (raw, None)
        if used + 40 > most:
            return fail(LIMIT)
        at = (self.height, self.index + i)
        old = self.user.get(o.key)
        if o.code == PUT_IF_ABSENT and old:
            return fail(EXISTS)
        if o.code in (CAS, CAS_VERSION):
            if o.code == CAS:
                same = old and old[0] == o.arg_a
            else:
                same = old and le(old[1], 8) + le(old[2], 4) == o.arg_a
            if not same:
                return fail(MISMATCH, version=old[1:] if old else None)
        if o.code == DELETE:
            if not old:
                return fail(ABSENT)
            self.user_size -= len(o.key) + len(old[0]) + 64
            del self.user[o.key]
            return fail(OK, version=at)
        num = None
        if o.code == ADD:
            have = number(old[0]) if old else 0
            if have is None:
                return fail(WRONG_TYPE)
            delta = int.from_bytes(o.arg_a, "little", signed=True)
            num = have + delta
            if not -2**63 <= num < 2**63:
                return fail(OVERFLOW)
            if o.b and delta < 0 and num < int.from_bytes(o.arg_b, "little", signed=True):
                return fail(BELOW_FLOOR, value=b"%d" % have)
            stored = b"%d" % num
        grows = len(stored) - len(old[0]) if old else len(o.key) + len(stored) + 64
        if grows > 0 and (self.user_size + grows > lim["table_bytes_max"]
                          or not old and len(self.user) + 1 > lim["table_keys_max"]):
            return fail(TABLE_FULL)
        self.user[o.key] = (stored, *at)
        self.user_size += grows
        return result(OK, stored if o.code == ADD else None, at), num

    def read_one(self, o):
        if o.code == CLIENT_STATE:
            return result(OK, self.client_state(o.arg_a))
        old = self.user.get(o.key)
        version = old[1:] if old and o.version_asked else None
        if o.code == CHECK:
            want = le(old[1], 8) + le(old[2], 4) if old else b""
            return result(OK if want == o.arg_a else CHECK_FAILED, version=version)
        if not old:
            return result(ABSENT)
        if len(old[0]) <= o.a:
            return result(OK, old[0], version)
        return result(OK, None, version, len(old[0]))
