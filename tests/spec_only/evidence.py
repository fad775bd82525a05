"""Evidence (3.11).

How the text was read where it says less than a program must know:
- Kind 8: "nothing is asked of the header's epoch but that it is the manifest's": the child may be of any epoch, before it or after it.
"""
import ed25519
from consensus import TOP, Payload, epochs_of
from decisions import ClusterLeaf, CompactDecision, DecisionHead
from durability import ENTRIES, Known, PieceQuery, check_piece, piece_head, piece_message, read_checkpoints
from succession import Statement
from wire import Bad, Reader, need, tag, word_of

MAGIC = b"HRCEVID1"
NOBODY = 0xFF
STATEMENTS, PIECE = 7, 8


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


class Evidence:
    """B-82; check and convict are B-83."""

    def __init__(self, raw):
        need(raw[:8] == MAGIC, "not_evidence")
        r = Reader(raw, "truncated", "bad_field")
        r.take(8)
        self.chain = r.take(r.u(4))
        head = Reader(r.take(4), field="bad_field")
        self.kind, self.signer = head.ranged(1, 1, PIECE), head.u(1)
        need(self.signer < 16 if self.kind <= 4 or self.kind == PIECE else self.signer == NOBODY, "bad_field")
        self.culprit = None if self.signer == NOBODY else self.signer
        head.zero(2)
        if self.kind <= 4:
            self.items = [what(r, name) for what, name in PAIRS[self.kind]]
            r.end()
            need(contradict(self.kind, *self.items), "no_conflict")
        elif self.kind == STATEMENTS:
            self.statements(r)
        elif self.kind == PIECE:
            self.piece_of(r)
        else:
            self.decisions(r)
        self.place = None if self.kind == STATEMENTS else self.items[0].place

    def decisions(self, r):
        """D-12 as far as no members are needed; the place is the certificate's."""
        try:
            self.items = [CompactDecision(r.rest())] if self.kind == 5 else [DecisionHead(r), DecisionHead(r)]
            for d in self.items:
                d.form(ClusterLeaf)
                d.place = d.certificate.qc.ballot.place
        except Bad:
            raise Bad("bad_decision")
        r.end()
        if self.kind == 5:
            need(not well_formed(self.items[0].slice), "no_conflict")
        else:
            a, b = self.items
            same = [(d.place, d.leaf.source, d.leaf.destination, d.leaf.dseq) for d in (a, b)]
            need(same[0] == same[1] and a.leaf.raw < b.leaf.raw, "no_conflict")

    def statements(self, r):
        self.items = []
        for _ in range(2):
            raw = r.take(r.u(4))
            try:
                self.items.append(Statement(raw))
            except Bad:
                raise Bad("bad_field")
        r.end()
        a, b = self.items
        need(a.predecessor == b.predecessor and a.file_hash < b.file_hash, "no_conflict")

    def piece_of(self, r):
        """Kind 8; the place is that of the checkpoint's child."""
        shown, asked, self.piece, self.signature = r.take(r.u(4)), r.take(96), r.take(r.u(4)), r.take(64)
        r.end()
        try:
            nonce, found = read_checkpoints(shown)
            need(nonce == bytes(8) and len(found) == 1 and not found[0].manifest.short, "not as in a backup")
        except Bad:
            raise Bad("bad_checkpoint")
        self.checkpoint, self.items = found[0], [found[0].child]
        manifest = self.checkpoint.manifest
        try:
            self.query = PieceQuery(asked)
            need((self.query.kind, self.query.manifest_hash) == (ENTRIES, manifest.hash), "another question")
            need(piece_head(self.piece, self.query)[1] == 0, "code")
        except Bad:
            raise Bad("bad_field")
        need(word_of(check_piece, self.piece, self.query, manifest.state_root) != "ok", "no_conflict")

    def check_piece(self, epoch, known):
        """Kind 8, with what the chain shows."""
        need(self.place == epoch.place and self.signer < epoch.n, "bad_signer")
        shown = self.checkpoint
        manifest, header = shown.manifest, shown.header
        try:
            need((manifest.system_id, manifest.cluster) == (known.system_id, known.cluster), "place")
            need(not shown.of_seal or known.seal == (header.epoch, header.height), "no SEAL there")
            shown.fits()
            shown.proved(epoch)
        except Bad:
            raise Bad("bad_checkpoint")
        signed = piece_message(epoch.system_id, self.query.raw, self.piece)
        need(ed25519.verify(epoch.keys[self.signer], signed, self.signature) == "ok", "bad_signature")

    def check(self, epoch):
        """Kinds 1 to 6, with the members of its place."""
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

    def check_statements(self, system_id, config):
        """Kind 7: the keys of the administrators who signed both."""
        known = {a[1] for a in config.admins}
        for s in self.items:
            need(s.predecessor == system_id, "bad_signer")
            need(all(key in known and ed25519.verify(key, s.signed, sig) == "ok" for key, sig in s.signatures), "bad_signature")
            need(len(s.signatures) >= config.k, "bad_signer")
        a, b = ({key for key, _ in s.signatures} for s in self.items)
        return sorted(a & b)

    def shown(self, system, most):
        """The epochs that system file and chain show, up to epoch most; the chain's cluster, or the one of the place, or any."""
        try:
            if self.chain:
                cluster = Payload(self.chain).cluster
            elif self.place:
                cluster = int.from_bytes(self.place[48:52], "little")
            else:
                cluster = system.clusters[0].number
            need(cluster in [c.number for c in system.clusters], "foreign")
            return epochs_of(system.genesis(cluster), self.chain, most)
        except Bad:
            raise Bad("bad_signer")

    def convict(self, system):
        """By system file and chain: what it convicts, an index, a list of administrators' keys or None (the cluster)."""
        if self.kind == STATEMENTS:
            return self.check_statements(system.system_id, self.shown(system, TOP)[-1][1])
        need(self.place[:16] == system.system_id, "bad_signer")
        number = int.from_bytes(self.place[52:60], "little")
        epochs = self.shown(system, number + 1)
        need(number < len(epochs), "bad_signer")
        if self.kind == PIECE:
            self.check_piece(epochs[number][0], Known.of_chain(epochs))
        else:
            self.check(epochs[number][0])
        return self.culprit
