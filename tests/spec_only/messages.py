"""Messages inside a cluster (3.3), inputs and decision queues (4.1, 4.6), the work blob (D-26)."""
import ed25519
from consensus import BODY_MAX, HEADER, QC, TC, VOTE_TAG, Ballot, Certificate, Header, check_place
from wire import H, form, le, need, tag


class Vote:
    """B-5."""

    def __init__(self, kind, raw):
        r = form(raw)
        self.kind, self.ballot, self.signer = kind, Ballot(r.take(140)), r.ranged(1, 0, 15)
        r.zero(3)
        self.signature = r.take(64)
        r.end()

    def check(self, e):
        b = self.ballot
        check_place(b.place, e)
        need(b.height > e.start_height, "height")
        need(self.signer < e.n, "signer")
        message = VOTE_TAG[self.kind] + b.raw
        need(ed25519.verify(e.keys[self.signer], message, self.signature) == "ok", "signature")


class Propose:
    """B-12."""

    def __init__(self, raw):
        r = form(raw)
        self.header, self.signer, has = Header(r.take(HEADER)), r.ranged(1, 0, 15), r.u(1)
        need(has <= 1, "range")
        r.zero(2)
        self.signature = r.take(64)
        self.tc = TC(r) if has else None
        n = r.u(4)
        need(n <= BODY_MAX, "body")
        self.body = r.take(n)
        r.end()
        need(H(7, self.body) == self.header.body_hash, "body")

    def check(self, e):
        h = self.header
        check_place(h.place, e)
        need(h.height > e.start_height, "height")
        need(self.signer == h.view % e.n, "signer")
        if self.tc is not None:
            need(self.tc.view + 1 == h.view, "tc")
            height, block = self.tc.block(e)
            need(h.parent_id == block and h.height == height + 1, "tc")
            self.tc.check(e)
        message = VOTE_TAG[1] + h.ballot()
        need(ed25519.verify(e.keys[self.signer], message, self.signature) == "ok", "signature")


class Fetch:
    """B-13."""

    def __init__(self, raw):
        r = form(raw)
        self.system_id, self.cluster, self.kind = r.take(16), r.u(4), r.ranged(1, 1, 2)
        r.zero(3)
        if self.kind == 1:
            self.block_id = r.take(32)
        else:
            self.first, self.count = r.u(8), r.ranged(4, 1, 64)
        r.end()

    def check(self, e):
        need(self.system_id == e.system_id, "system")
        need(self.cluster == e.cluster, "cluster")


class Block:
    def __init__(self, raw):
        r = form(raw)
        self.header, has = Header(r.take(HEADER)), r.ranged(1, 0, 1)
        r.zero(3)
        self.certificate = None
        if has:
            start = r.pos
            QC(r)
            r.pos += 4 + HEADER * int.from_bytes(r.data[r.pos:r.pos + 2], "little")
            self.certificate = Certificate(r.data[start:r.pos])
        n = r.u(4)
        need(n <= BODY_MAX, "body")
        self.body = r.take(n)
        r.end()
        need(H(7, self.body) == self.header.body_hash, "body")

    def check(self, e):
        check_place(self.header.place, e)
        if self.certificate:
            self.certificate.check(e)
            need(self.certificate.block_id == self.header.id, "chain")


class Status:
    """B-14."""

    def __init__(self, raw):
        r = form(raw)
        self.raw, self.place = raw, r.take(60)
        self.view, self.final_height, self.final_id = r.u(8), r.u(8), r.take(32)
        self.high = (r.u(8), r.u(8), r.take(32))
        self.prepared, self.time = (r.u(8), r.u(8)), r.u(8)
        self.flags, self.signer = r.ranged(1, 0, 15), r.ranged(1, 0, 15)
        r.zero(2)
        self.signature = r.take(64)
        r.end()

    def check(self, e):
        check_place(self.place, e)
        need(self.signer < e.n, "signer")
        signed = tag("HRC status") + self.raw[:184]
        need(ed25519.verify(e.keys[self.signer], signed, self.signature) == "ok", "signature")


class Noop:
    """B-15."""

    def __init__(self, raw):
        r = form(raw)
        self.system_id, self.cluster, self.epoch, self.nonce = r.take(16), r.u(4), r.u(8), r.u(8)
        self.signer = r.ranged(1, 0, 15)
        self.place = raw[:28]
        r.zero(3)
        self.signature = r.take(64)
        r.end()

    def check(self, e):
        need(self.system_id == e.system_id, "system")
        need(self.cluster == e.cluster, "cluster")
        need(self.epoch == e.epoch, "epoch")
        need(self.signer < e.n, "signer")
        signed = tag("HRC noop") + self.place + le(self.nonce, 8)
        need(ed25519.verify(e.keys[self.signer], signed, self.signature) == "ok", "signature")
