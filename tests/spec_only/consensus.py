"""Headers, votes, QCs, TIMEOUTs, TCs and certificates (chapter 3), and the chain of CONFIGs (7.8).

How the text was read where it says less than a program must know:
- S-101, S-104: the head of CONFIG_CHAIN (S-103) first: its table, the cluster, that it begins with serial 1, also without entries; then entry
  after entry: "that" which is checked first is that nothing follows SEAL, and before it the lengths of the payload.
- S-103: the serial of an entry is that of its place; what its operation says is judged by S-76 alone, so of none beyond E + 1.
- S-105: what is known already is skipped, but must decode.
"""
import ed25519
from config import CONFIG, SEAL, Operation
from wire import H, Bad, Reader, form, le, need, quorum, tag

EMPTY_BODY = bytes(4)
HEADER = 244
BODY_MAX = 1 << 20
ENTRIES_MAX = 4096  # of a CONFIG_CHAIN
TOP = 2**64 - 1


class Header:
    FIELDS = (("system_id", 16), ("config_hash", 32), ("cluster", 4), ("epoch", 8), ("view", 8), ("height", 8),
              ("outbox_root", 32), ("parent_id", 32), ("body_hash", 32), ("state_root", 32), ("cursors_hash", 32),
              ("time", 8))
    NUMBERS = {"cluster", "epoch", "view", "height", "time"}

    def __init__(self, raw):
        need(len(raw) == HEADER, "range")
        r, self.raw = Reader(raw), raw
        for name, size in self.FIELDS:
            setattr(self, name, r.u(size) if name in self.NUMBERS else r.take(size))
        self.id = H(2, raw)
        self.place = raw[:60]

    def ballot(self):
        return self.raw[:76] + self.id + self.outbox_root


class Epoch:
    """The members of one epoch, and which heights they prove."""

    def __init__(self, system_id, config_hash, cluster, epoch, keys, start_height, height_last=TOP, start_id=None):
        self.system_id, self.config_hash, self.cluster, self.epoch = system_id, config_hash, cluster, epoch
        self.keys, self.start_height, self.height_last, self.start_id = keys, start_height, height_last, start_id
        self.n, self.q = len(keys), quorum(len(keys))
        self.place = system_id + config_hash + le(cluster, 4) + le(epoch, 8)

    @staticmethod
    def of_config(c, start_height, height_last=TOP, start_id=None):
        return Epoch(c.system_id, c.hash, c.cluster, c.serial, c.keys(), start_height, height_last, start_id)


class Ballot:
    def __init__(self, raw):
        r, self.raw = form(raw), raw
        self.system_id, self.config_hash, self.cluster, self.epoch = r.take(16), r.take(32), r.u(4), r.u(8)
        self.view, self.height, self.block_id, self.outbox_root = r.u(8), r.u(8), r.take(32), r.take(32)
        self.place = raw[:60]


VOTE_TAG = {1: tag("HRC prepare"), 2: tag("HRC commit")}


class QC:
    def __init__(self, r):
        start = r.pos
        self.kind = r.u(1)
        need(self.kind in (1, 2), "range")
        count = r.u(1)
        need(1 <= count <= 11, "range")
        r.zero(2)
        self.ballot = Ballot(r.take(140))
        self.signatures = [(r.u(1), r.take(64)) for _ in range(count)]
        idx = [i for i, _ in self.signatures]
        need(all(i < 16 for i in idx) and all(a < b for a, b in zip(idx, idx[1:])), "range")
        self.raw = r.data[start:r.pos]
        self.rank = (self.ballot.view, self.ballot.height)

    def place_error(self, e):
        b = self.ballot
        need(b.system_id == e.system_id, "system")
        need(b.cluster == e.cluster, "cluster")
        need(b.epoch == e.epoch, "epoch")
        need(b.config_hash == e.config_hash, "config")

    def members_error(self, e):
        need(self.ballot.height > e.start_height, "height")
        need(all(i < e.n for i, _ in self.signatures), "signer")
        need(len(self.signatures) == e.q, "quorum")

    def signature_error(self, e):
        message = VOTE_TAG[self.kind] + self.ballot.raw
        need(all(ed25519.verify(e.keys[i], message, s) == "ok" for i, s in self.signatures), "signature")

    def check(self, e, kind=None):
        self.place_error(e)
        need(kind is None or kind == self.kind, "kind")
        self.members_error(e)
        self.signature_error(e)


def decode_qc(raw):
    r = form(raw)
    qc = QC(r)
    r.end()
    return qc


class Certificate:
    def __init__(self, raw):
        r = form(raw)
        self.raw, self.qc = raw, QC(r)
        count = r.u(2)
        need(count == 0 or 2 <= count <= 256, "range")
        r.zero(2)
        self.headers = [Header(r.take(HEADER)) for _ in range(count)]
        r.end()
        first = self.headers[0] if self.headers else self.qc.ballot
        self.height, self.outbox_root = first.height, first.outbox_root
        self.block_id = self.headers[0].id if self.headers else first.block_id

    def check(self, e):
        """B-11, in its order of checks."""
        qc, hs = self.qc, self.headers
        qc.place_error(e)
        need(qc.kind == 2, "kind")
        qc.members_error(e)
        if hs:
            need(hs[-1].id == qc.ballot.block_id and hs[-1].height == qc.ballot.height
                 and hs[-1].outbox_root == qc.ballot.outbox_root and hs[-1].view == qc.ballot.view, "chain")
            need(all(h.place == qc.ballot.place for h in hs), "chain")
            need(all(b.height == a.height + 1 and b.parent_id == a.id for a, b in zip(hs, hs[1:])), "chain")
        need(e.start_height < self.height <= e.height_last, "height")
        qc.signature_error(e)


class Timeout:
    """B-8."""

    def __init__(self, raw):
        r = form(raw)
        self.raw, self.place, self.view = raw, r.take(60), r.u(8)
        self.high = (r.u(8), r.u(8), r.take(32))
        self.signer = r.u(1)
        need(self.signer < 16, "range")
        has = r.u(1)
        need(has <= 1, "range")
        r.zero(2)
        self.signature = r.take(64)
        self.qc = QC(r) if has else None
        r.end()
        self.signed = tag("HRC timeout") + raw[:116]

    def check(self, e):
        check_place(self.place, e)
        need(self.signer < e.n, "signer")
        check_high(self.high, self.view, self.qc is None, e)
        if self.qc:
            b = self.qc.ballot
            need(self.high == (b.view, b.height, b.block_id), "high")
            self.qc.check(e, 1)
        need(ed25519.verify(e.keys[self.signer], self.signed, self.signature) == "ok", "signature")


def check_place(place, e):
    r = Reader(place)
    system_id, config_hash, cluster, epoch = r.take(16), r.take(32), r.u(4), r.u(8)
    need(system_id == e.system_id, "system")
    need(cluster == e.cluster, "cluster")
    need(epoch == e.epoch, "epoch")
    need(config_hash == e.config_hash, "config")


def start_high(e):
    return (0, e.start_height, e.start_id)


def check_high(high, view, is_start, e):
    need(high[0] <= view, "high")
    if is_start:
        need(high == start_high(e), "high")


class TC:
    """B-9."""

    def __init__(self, r):
        start = r.pos
        self.place, self.view = r.take(60), r.u(8)
        count = r.u(1)
        need(1 <= count <= 11, "range")
        has = r.u(1)
        need(has <= 1, "range")
        r.zero(2)
        self.entries = [(r.u(1), (r.u(8), r.u(8), r.take(32)), r.take(64)) for _ in range(count)]
        idx = [x[0] for x in self.entries]
        need(all(i < 16 for i in idx) and all(a < b for a, b in zip(idx, idx[1:])), "range")
        self.qc = QC(r) if has else None
        self.raw = r.data[start:r.pos]

    def check(self, e):
        check_place(self.place, e)
        need(all(i < e.n for i, _, _ in self.entries), "signer")
        need(len(self.entries) == e.q, "quorum")
        highs = [h for _, h, _ in self.entries]
        need(all(h[0] <= self.view for h in highs), "high")
        start = start_high(e)
        rest = [h for h in highs if h != start]
        need(all(h[1] > e.start_height for h in rest), "high")
        if self.qc is None:
            need(not rest, "highest")
        else:
            b = self.qc.ballot
            want = (b.view, b.height, b.block_id)
            need(all((h[0], h[1]) <= self.qc.rank for h in rest), "highest")
            need(want in rest, "highest")
            need(all(h == want for h in rest if (h[0], h[1]) == self.qc.rank), "highest")
            self.qc.check(e, 1)
        for i, h, sig in self.entries:
            signed = tag("HRC timeout") + self.place + le(self.view, 8) + le(h[0], 8) + le(h[1], 8) + h[2]
            need(ed25519.verify(e.keys[i], signed, sig) == "ok", "signature")

    def block(self, e):
        """(height, id) of Q*'s block."""
        if self.qc is None:
            return (e.start_height, e.start_id)
        return (self.qc.ballot.height, self.qc.ballot.block_id)


def decode_tc(raw):
    r = form(raw)
    tc = TC(r)
    r.end()
    return tc


def references(body, most, word="certificate"):
    """D-1, D-2: the references of a body, well formed."""
    r = Reader(body, word, word)
    count = r.ranged(4, 0, most)
    out = []
    for _ in range(count):
        kind, relay = r.ranged(1, 1, 4), r.u(1)
        r.zero(2)
        source, dseq, hash_ = r.u(4), r.u(8), r.take(32)
        if kind == 1:
            need(relay == 0 and dseq >= 1, word)
        else:
            need(source == 0, word)
            need(kind == 4 or dseq == 0, word)
            need(kind != 4 or hash_ == bytes(32), word)
        out.append((kind, relay, source, dseq, hash_))
    r.end()
    return out


class Entry:
    """S-100."""

    def __init__(self, raw):
        r = Reader(raw, field="truncated")
        self.header = Header(r.take(HEADER))
        self.body = r.take(r.ranged(4, 0, BODY_MAX))
        operation, certificate = r.take(r.u(4)), r.take(r.u(4))
        r.end()
        try:
            self.certificate = Certificate(certificate)
        except Bad:
            raise Bad("certificate")
        self.operation = Operation(operation)


def take_step(base, config, start_height, entry, start_id=None):
    """S-101: the epoch that ends here, and the CONFIG after it (None after SEAL); base are the limits of the system file (D-32)."""
    op, h = entry.operation, entry.header
    need(op.kind in (CONFIG, SEAL), "field-range")
    op.effect(config, base)
    epoch = Epoch.of_config(config, start_height, h.height, start_id)
    need(h.place == epoch.place, "certificate")
    need(H(7, entry.body) == h.body_hash, "certificate")
    refs = references(entry.body, config.limits["block_refs_max"])
    need(refs and refs[-1][0] == 3 and refs[-1][4] == op.input_hash, "certificate")
    c = entry.certificate
    try:
        c.check(epoch)
    except Bad:
        raise Bad("certificate")
    need(c.block_id == h.id and c.height == h.height, "certificate")
    return epoch, op.config


class Payload:
    """S-103: a CONFIG_CHAIN; the entries' bytes come one after another (S-104), the end when all were taken. What breaks its table is
    `truncated`, also first_serial 0 without entries."""

    def __init__(self, payload):
        self.rest = r = Reader(payload, field="truncated")
        self.cluster, self.count, self.first = r.u(4), r.ranged(4, 0, ENTRIES_MAX), r.ranged(8, 1, TOP)

    def entries(self):
        for serial in range(self.first, self.first + self.count):
            yield serial, self.rest.take(self.rest.u(4))
        self.rest.end()


class Chain:
    """The epochs of a cluster that one knows, from genesis on.

    S-105: of an entry that is skipped the length within the payload must fit, not those of S-100; a gap is found after that length.
    S-104: in a chain that is shown from another serial than 1 on, the gap is met before the first entry's length.
    """

    def __init__(self, genesis):
        self.genesis, self.ended = genesis, []
        self.config, self.start = genesis, (genesis.succession << 48, None)

    def begins(self, payload):
        """S-104: a chain that is shown is of this cluster, and from serial 1 on if it has entries (S-103)."""
        shown = Payload(payload)
        need(shown.cluster == self.genesis.cluster, "foreign")
        need(shown.first == 1 or shown.count == 0, "serial")

    def take(self, payload, most=TOP):
        """S-105: steps from what is known on, up to epoch most; what is known already is skipped, whatever is in it, a gap is refused."""
        shown = Payload(payload)
        need(shown.cluster == self.genesis.cluster, "foreign")
        for serial, raw in shown.entries():
            if serial > most:
                Entry(raw)
            elif serial > len(self.ended):
                self.step(serial, raw)

    def step(self, serial, raw):
        need(self.config is not None and serial == len(self.ended) + 1, "serial")
        entry = Entry(raw)
        epoch, after = take_step(self.genesis.limits, self.config, self.start[0], entry, self.start[1])
        self.ended.append((epoch, self.config))
        self.config, self.start = after, (entry.header.height, entry.header.id)

    def epochs(self):
        """(epoch, CONFIG) of each; after SEAL the last one has ended, too."""
        if self.config is None:
            return self.ended
        return self.ended + [(Epoch.of_config(self.config, self.start[0], TOP, self.start[1]), self.config)]


def epochs_of(genesis, payload, most=TOP):
    """S-104: the epochs that the chain shows, from genesis on; steps are taken up to epoch most."""
    chain = Chain(genesis)
    if payload:
        chain.begins(payload)
        chain.take(payload, most)
    return chain.epochs()
