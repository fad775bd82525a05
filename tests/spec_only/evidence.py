"""Evidence (3.11).

How the text was read (B-82, B-83 say so now):
- chain_bytes: a chain that does not decode is `truncated`; whether it leads to the place of the items needs the system file and is the caller's.
- Bytes that end between the magic and the items are `truncated`; ones that end within a compact decision are `bad_decision`, as are, in kind 5, bytes
  that follow it; in kind 6 these are `truncated`.
- Kinds 5, 6: what D-12 checks before `unproved` is form (B-82), then comes `no_conflict`; what it checks from there on is B-83's.
- Another place is `bad_signer` in all kinds, as B-83 says without exception. Two items of different places are `no_conflict`.
- A leaf for a client is `bad_decision`. The head of an item whose zero field is not 0 is no fault of the envelope (D-15).
- D-9's "zeros for dseq 1" of previous is D-4.1's to judge, not the leaf table's: CHAINED = False leaves this one check out.
"""
import ed25519
from consensus import Certificate, decode_chain
from decisions import ClusterLeaf, CompactDecision, DecisionHead
from wire import Bad, Reader, need, tag

MAGIC = b"HRCEVID1"
CLUSTER = 0xFF
CHAINED = False


class Signed:
    """One item of P-12: what was signed without its tag, then the signature."""

    def __init__(self, r, name, size):
        self.raw = r.take(size + 64)
        self.signed, self.signature = tag(name) + self.raw[:size], self.raw[size:]
        c = Reader(self.raw)
        self.place, self.view = c.take(60), c.u(8)
        self.content(c)


class Vote(Signed):
    def __init__(self, r, name):
        super().__init__(r, name, 140)

    def content(self, c):
        self.rank, self.what = (self.view, c.u(8)), c.take(64)  # block_id, outbox_root


class Timeout(Signed):
    def __init__(self, r, name):
        super().__init__(r, name, 116)

    def content(self, c):
        self.high_rank, self.high_id = (c.u(8), c.u(8)), c.take(32)


PREPARE, COMMIT, TIMEOUT = (Vote, "HRC prepare"), (Vote, "HRC commit"), (Timeout, "HRC timeout")
PAIRS = {1: (PREPARE, PREPARE), 2: (COMMIT, COMMIT), 3: (TIMEOUT, TIMEOUT), 4: (COMMIT, TIMEOUT)}


def contradict(kind, a, b):
    """B-81, kinds 1 to 4, and the order of B-82."""
    if a.place != b.place:
        return False
    if kind in (1, 2):
        return a.rank == b.rank and a.what != b.what and a.raw < b.raw
    if kind == 3:
        return a.view == b.view and (a.high_rank, a.high_id) != (b.high_rank, b.high_id) and a.raw < b.raw
    return b.view >= a.view and b.high_rank < a.rank


def well_formed(slice_):
    """An envelope of D-13 that its item_count items fill exactly."""
    try:
        r = Reader(slice_)
        r.ranged(1, 1, 1)
        r.zero(3)
        count = r.u(4)
        r.take(8)
        for _ in range(count):
            length = r.u(4)
            r.take(4 + length)
        r.end()
    except Bad:
        return False
    return True


def decision(read, *args):
    """D-12 as far as no members are needed; its place is the certificate's."""
    try:
        d = read(*args, lambda raw: ClusterLeaf(raw, CHAINED))
        d.place = Certificate(d.certificate_raw).qc.ballot.place
        d.proof.form()
    except Bad:
        raise Bad("bad_decision")
    return d


class Evidence:
    """B-82; check is B-83."""

    def __init__(self, raw):
        need(raw[:8] == MAGIC, "not_evidence")
        r = Reader(raw, "truncated", "bad_field")
        r.take(8)
        self.chain = r.take(r.u(4))
        if self.chain:
            try:
                decode_chain(self.chain)
            except Bad:
                raise Bad("truncated")
        self.kind, self.signer = r.ranged(1, 1, 6), r.u(1)
        need(self.signer < 16 if self.kind <= 4 else self.signer == CLUSTER, "bad_field")
        self.culprit = None if self.signer == CLUSTER else self.signer
        r.zero(2)
        if self.kind <= 4:
            self.items = [what(r, name) for what, name in PAIRS[self.kind]]
            r.end()
            need(contradict(self.kind, *self.items), "no_conflict")
        elif self.kind == 5:
            self.items = [decision(CompactDecision, r.rest())]
            need(not well_formed(self.items[0].slice), "no_conflict")
        else:
            self.items = a, b = [decision(DecisionHead, r) for _ in range(2)]
            r.end()
            same = [(d.place, d.leaf.source, d.leaf.destination, d.leaf.dseq) for d in (a, b)]
            need(same[0] == same[1] and a.leaf.raw < b.leaf.raw, "no_conflict")
        self.place = self.items[0].place

    def check(self, epoch):
        """With the members of its place."""
        need(self.place == epoch.place, "bad_signer")
        if self.culprit is None:
            try:
                for d in self.items:
                    d.check(epoch)
            except Bad:
                raise Bad("bad_decision")
            return
        need(self.signer < epoch.n, "bad_signer")
        key = epoch.keys[self.signer]
        need(all(ed25519.verify(key, x.signed, x.signature) == "ok" for x in self.items), "bad_signature")
