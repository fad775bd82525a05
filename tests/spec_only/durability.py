"""LAST-SIGNED, checkpoints and pieces (chapter 8).

How the text was read where it says less than a program must know:
- P-42: a message may show a manifest of more than 1,024 items whole, too; a short one of no more is told by its length of 156 bytes.
- P-42: what is passed over as not above the newest final block is told by the manifest's height, too.
- P-47 names no word for a part of an item or manifest: one beyond piece_bytes_max or the total, of another total than before, or
  empty before the end is `bad_bytes` here.
"""
import ed25519
import merkle
import trie
from consensus import HEADER, TOP, Certificate, Header
from decisions import state_leaf
from wire import Bad, H, Reader, le, need, tag

HEADERS_MAX = 256  # of a certificate (B-11)
ITEMS_SHOWN, SHORT, PIECE_MAX, PATH_MAX = 1024, 156, 1 << 20, 24
LONGEST = 56 + 4 + 8755 + PIECE_MAX  # of a PIECE before its signature (P-45)
ENTRIES, SUBROOTS, MANIFEST = 0, 4, 5
SIGNATURE = 64


class Query:
    """P-11."""

    def __init__(self, raw):
        r = Reader(raw, "bad_bytes", "bad_field")
        self.raw = raw
        self.system_id, self.cluster, self.epoch = r.take(16), r.u(4), r.u(8)
        self.asker = r.ranged(1, 0, 15)
        r.zero(3)
        self.nonce = r.take(16)
        r.end()


class Answer:
    """P-12, all checks in its order."""

    def __init__(self, raw, query, keys):
        r = Reader(raw, "bad_bytes", "bad_field")
        head = Reader(r.take(48))
        place, asker, self.signer, self.present, zero = head.take(28), head.u(1), head.u(1), head.u(1), head.u(1)
        nonce = head.take(16)
        need(asker < 16, "bad_field")
        need(self.signer < 16 and self.signer != asker, "bad_field")
        need(self.present < 8 and zero == 0, "bad_field")
        items = []
        for bit, size, name in ((1, 140, "HRC prepare"), (2, 140, "HRC commit"), (4, 116, "HRC timeout")):
            items.append((tag(name), r.take(size), r.take(64)) if self.present & bit else None)
        signature = r.take(64)
        r.end()
        need(place == query.raw[:28] and asker == query.asker and nonce == query.nonce, "bad_query")
        need(self.signer < len(keys), "bad_signer")
        signed = tag("HRC last-signed") + raw[:-64]
        need(ed25519.verify(keys[self.signer], signed, signature) == "ok", "bad_signature")
        for item in items:
            if item:
                t, content, sig = item
                ok = content[:16] == query.system_id and content[48:52] == le(query.cluster, 4)
                need(ok and ed25519.verify(keys[asker], t + content, sig) == "ok", "bad_item")
        self.prepare, self.commit, self.timeout = [x and x[1] for x in items]


def vote_rank(ballot):
    return tuple(int.from_bytes(ballot[i:i + 8], "little") for i in (52, 60, 68))


def judge(answer, memory):
    """P-14: 'known', 'newer' (clauses 1, 3) or 'other' (clauses 2, 4)."""
    if memory is None:
        return "newer" if answer.present else "known"
    for item, mine in ((answer.prepare, memory["prepared"]), (answer.commit, memory["committed"])):
        if item is None or vote_rank(item)[0] < memory["epoch"]:
            continue
        if mine is None or vote_rank(item) > vote_rank(mine):
            return "newer"
        if vote_rank(item) == vote_rank(mine) and item != mine:
            return "other"
    t = answer.timeout
    if t is not None:
        epoch, view = vote_rank(t)[:2]
        high = (int.from_bytes(t[68:76], "little"), int.from_bytes(t[76:84], "little"), t[84:116])
        if epoch >= memory["epoch"]:
            if epoch > memory["epoch"] or view > memory["view"] or view == memory["view"] and not memory["timed_out"]:
                return "newer"
            if view == memory["view"] and high != memory["high"]:
                return "other"
    return "known"


class Manifest:
    """P-32; short as P-42 shows one of many items."""

    def __init__(self, raw):
        r = Reader(raw, "bad_bytes", "bad_field")
        self.raw, self.short = raw, len(raw) == SHORT
        self.format = r.ranged(1, 1, 1)
        r.zero(3)
        self.cluster, self.system_id, self.epoch, self.height = r.u(4), r.take(16), r.u(8), r.u(8)
        self.block_id, self.state_root, self.entries, self.bytes = r.take(32), r.take(32), r.u(8), r.u(8)
        self.item_count = r.ranged(4, 0, 1 << 20)
        if self.short:
            need(self.item_count > ITEMS_SHOWN, "bad_bytes")
            self.hash = r.take(32)
            return
        need(r.left() == 56 * self.item_count, "bad_bytes")
        self.hash, self.items, before = H(22, raw), [], None
        for _ in range(self.item_count):
            kind = r.ranged(1, 1, 3)
            r.zero(3)
            cluster, dseq, size, hash_ = r.u(4), r.u(8), r.u(8), r.take(32)
            need((kind == 1) == (dseq == 0), "bad_field")
            need(before is None or before < (kind, cluster, dseq), "bad_field")
            before = (kind, cluster, dseq)
            self.items.append((kind, cluster, dseq, size, hash_))

    def shown(self):
        """The bytes by which CHECKPOINT shows it."""
        return self.raw if self.item_count <= ITEMS_SHOWN else self.raw[:SHORT - 32] + self.hash


class Known:
    """What a receiver's chain shows: number -> (epoch, checkpoint_blocks); seal: (epoch, height) of SEAL, if it has one; and the height
    of its newest final block."""

    def __init__(self, system_id, cluster, epochs, seal=None, final=-1):
        self.system_id, self.cluster, self.epochs, self.seal, self.final = system_id, cluster, epochs, seal, final

    @staticmethod
    def of_chain(epochs, final=-1):
        """Of consensus.epochs_of."""
        first, last = epochs[0][0], epochs[-1][0]
        seal = None if last.height_last == TOP else (last.epoch, last.height_last)
        return Known(first.system_id, first.cluster, {e.epoch: (e, c.limits["checkpoint_blocks"]) for e, c in epochs}, seal, final)


class Checkpoint:
    """One checkpoint of P-42."""

    def __init__(self, r):
        self.manifest = Manifest(r.take(r.u(4)))
        self.header, self.child = Header(r.take(HEADER)), Header(r.take(HEADER))
        raw = r.take(r.u(4))
        try:
            self.certificate = Certificate(raw)
        except Bad:
            raise Bad("bad_certificate")
        self.of_seal = self.child.raw == self.header.raw
        self.path = [r.take(32) for _ in range(r.ranged(4, 0, PATH_MAX))] if self.of_seal else []

    def usable(self, known):
        """True if a receiver may take it, False if it is passed over or left, before all else but form; errors are Bad."""
        if self.passed_over(known):
            return False
        m, header, child = self.manifest, self.header, self.child
        epoch, _ = known.epochs[child.epoch]
        if child.epoch != header.epoch:
            need(child.epoch == header.epoch + 1, "bad_header")
            need((epoch.start_height, epoch.start_id) == (m.height, m.block_id), "bad_header")
        need((m.system_id, m.cluster) == (known.system_id, known.cluster), "bad_place")
        need(self.of_seal or (m.height & (1 << 48) - 1) % known.epochs[header.epoch][1] == 0, "bad_place")
        self.fits()
        self.proved(epoch)
        return True

    def passed_over(self, known):
        """P-42: names nobody and tells nothing."""
        header, height = self.header, self.manifest.height
        if len(self.certificate.headers) == HEADERS_MAX or height <= known.final:
            return True
        if header.epoch not in known.epochs or self.child.epoch not in known.epochs:
            return True
        return self.of_seal and known.epochs[header.epoch][0].height_last != height

    def fits(self):
        """Manifest, header, child or path: `bad_header`."""
        m, header, child = self.manifest, self.header, self.child
        need(header.id == m.block_id and (header.system_id, header.cluster, header.epoch, header.height)
             == (m.system_id, m.cluster, m.epoch, m.height), "bad_header")
        if self.of_seal:
            need(self.path_leads(), "bad_header")
        else:
            need(child.parent_id == m.block_id and child.height == m.height + 1 and child.state_root == m.state_root, "bad_header")

    def proved(self, epoch):
        """The certificate, by the members of the child's epoch."""
        try:
            self.certificate.check(epoch)
        except Bad:
            raise Bad("bad_certificate")
        need((self.certificate.block_id, self.certificate.height) == (self.child.id, self.child.height), "bad_certificate")

    def path_leads(self):
        """P-42: from the state leaf, the outbox's last, each neighbour to the left."""
        m = self.manifest
        h = merkle.leaf_hash(state_leaf(m.system_id, m.cluster, m.height, m.state_root))
        for neighbour in self.path:
            h = merkle.node(neighbour, h)
        return h == self.header.outbox_root

    def own_certificate(self):
        """P-48: that of the checkpoint's block, made from the child's; of a block that ended its epoch the chain has it."""
        if self.of_seal:
            return self.certificate.raw
        rest = [self.header] + (self.certificate.headers or [self.child])
        return self.certificate.qc.raw + le(len(rest), 2) + bytes(2) + b"".join(h.raw for h in rest)


def read_checkpoints(raw):
    """P-42, what needs nothing else: the nonce and the checkpoints."""
    r = Reader(raw, "bad_bytes", "bad_field")
    nonce, count, out = r.take(8), r.ranged(2, 0, 2), []
    r.zero(6)
    for _ in range(count):
        out.append(Checkpoint(r))
        need(len(out) == 1 or out[0].manifest.height > out[1].manifest.height, "bad_field")
    r.end()
    return nonce, out


def checkpoint_message(raw, known):
    """P-42: the checkpoints that a receiver may take."""
    return [c for c in read_checkpoints(raw)[1] if c.usable(known)]


class PieceQuery:
    """P-43."""

    def __init__(self, raw):
        r = Reader(raw, "bad_bytes", "bad_field")
        self.nonce, self.manifest_hash, self.kind = r.take(8), r.take(32), r.ranged(1, 0, 5)
        r.zero(1)
        self.bits, self.cluster, self.dseq, self.offset, self.prefix = r.u(2), r.u(4), r.u(8), r.u(8), r.take(32)
        r.end()
        self.raw = raw
        need(self.bits <= {ENTRIES: 256, SUBROOTS: 248}.get(self.kind, 0), "bad_field")
        need(self.kind in (1, 2, 3) or self.cluster == 0, "bad_field")
        need(self.kind in (1, 2, 3, MANIFEST) or self.offset == 0, "bad_field")
        need(self.kind in (2, 3) or self.dseq == 0, "bad_field")
        need(trie.masked(self.prefix, self.bits) == self.prefix, "bad_field")


class Entry:
    def __init__(self, r):
        start = r.pos
        self.space = r.ranged(1, 0, 1)
        r.zero(1)
        k, v = r.ranged(2, 1, 256), r.ranged(4, 0, 65536)
        self.height, self.index = r.u(8), r.u(4)
        self.key, self.value = r.take(k), r.take(v)
        self.raw = r.data[start:r.pos]
        self.path = trie.key_path(self.space, self.key)
        self.content = (self.space, self.key, self.height, self.index, trie.value_hash(self.value))
        self.leaf = trie.other_hash(self.content)
        self.declared = k + v + 64


def piece_head(raw, query):
    """P-44: (the rest, code, total)."""
    r = Reader(raw, "bad_bytes", "bad_field")
    need(len(raw) >= 56, "bad_bytes")
    nonce, manifest, kind, code = r.take(8), r.take(32), r.ranged(1, 0, 5), r.ranged(1, 0, 3)
    r.zero(2)
    hint, total = r.u(4), r.u(8)
    need(1 <= hint <= 16 if code == 2 else code == 3 or hint == 0, "bad_field")
    need(code == 0 or total == 0, "bad_field")
    need(code == 0 or r.left() == 0, "bad_bytes")
    need((nonce, manifest, kind) == (query.nonce, query.manifest_hash, query.kind), "bad_nonce")
    need(code != 2 or kind == ENTRIES, "bad_field")
    return r, code, total


def check_piece(raw, query, root):
    """P-44 to P-46 as a client gets it, or a file has it, however long; root is what the piece is checked against."""
    r, code, total = piece_head(raw, query)
    if code == 0 and query.kind == ENTRIES:
        check_entries(r, query, total, root)
    elif code == 0 and query.kind == SUBROOTS:
        check_subroots(r, query, total, root)


def piece_message(system_id, query, piece):
    """P-45: what a sender of ENTRIES signs; query and piece are bytes, the piece up to its signature."""
    return tag("HRC piece") + system_id + H(24, query, piece)


def check_signed(raw, query, root, system_id, key):
    """P-44 to P-46 as a member or observer gets it from the member with this key."""
    _, code, _ = piece_head(raw, query)
    if code == 0 and query.kind == ENTRIES:
        piece, signature = raw[:-SIGNATURE], raw[-SIGNATURE:]
        need(ed25519.verify(key, piece_message(system_id, query.raw, piece), signature) == "ok", "unsigned")
        need(len(piece) <= LONGEST, "bad_bytes")
        raw = piece
    check_piece(raw, query, root)


class Gathered:
    """P-47: an item or a manifest, part after part from one peer."""

    def __init__(self):
        self.raw, self.total = b"", None

    def take(self, raw, query):
        """True when it is whole."""
        r, code, total = piece_head(raw, query)
        if code:
            return False
        need(query.offset == len(self.raw) and self.total in (None, total), "bad_bytes")
        part = r.rest()
        self.total, self.raw = total, self.raw + part
        need(len(part) <= PIECE_MAX and len(self.raw) <= total and (part or len(self.raw) == total), "bad_bytes")
        return len(self.raw) == total


def fetched_manifest(shown, raw):
    """P-48: the whole of a manifest that was shown short. Bad `sender`: whose bytes they are; `showers`: who showed it."""
    need(H(22, raw) == shown.hash, "sender")
    try:
        whole = Manifest(raw)
        need(whole.shown() == shown.raw, "begins otherwise")
    except Bad:
        raise Bad("showers")
    return whole


def entries_of_piece(raw):
    """The entries of an ENTRIES piece that was checked."""
    r = Reader(raw)
    r.take(48)
    total = r.u(8)
    r.take(r.u(4))
    return [Entry(r) for _ in range(total)]


def check_entries(r, q, total, root):
    r.field = "bad_bytes"
    proof, entries = r.take(r.u(4)), []
    for _ in range(total):
        e = Entry(r)
        need(trie.first_difference(e.path, q.prefix) >= q.bits, "bad_order")
        need(not entries or entries[-1].path < e.path, "bad_order")
        entries.append(e)
    r.end()
    sub = trie.root([(e.path, e.leaf) for e in entries])
    need(trie.verify_piece(proof, root, q.bits, q.prefix, sub) == "ok", "bad_proof")


def combine(hashes, top_bit):
    """P-46: neighbours from the deepest bit up."""
    b = top_bit + 7
    while len(hashes) > 1:
        nxt = []
        for left, right in zip(hashes[::2], hashes[1::2]):
            if left == trie.EMPTY or right == trie.EMPTY:
                nxt.append(left if right == trie.EMPTY else right)
            else:
                nxt.append(trie.inner(b, left, right))
        hashes, b = nxt, b - 1
    return hashes[0]


def check_subroots(r, q, total, root):
    need(total == 256, "bad_bytes")
    hashes = [r.take(32) for _ in range(256)]
    r.end()
    need(combine(hashes, q.bits) == root, "bad_proof")


def make_part(q, whole):
    """P-47: PIECE with the bytes of an item or manifest."""
    return q.nonce + q.manifest_hash + bytes([q.kind]) + bytes(7) + le(len(whole), 8) + whole[q.offset:q.offset + PIECE_MAX]


def make_piece(q, entries):
    """The content of an ENTRIES or SUBROOTS piece from the whole state, ascending by path."""
    head = q.nonce + q.manifest_hash + bytes([q.kind, 0, 0, 0]) + bytes(4)
    inside = [e for e in entries if trie.first_difference(e.path, q.prefix) >= q.bits]
    if q.kind == 0:
        items = [(e.path, e.leaf, e.content) for e in entries]
        p = trie.prove([(a, b, c) for a, b, c in items], trie.masked(q.prefix, q.bits), q.bits)
        return head + le(len(inside), 8) + le(len(p), 4) + p + b"".join(e.raw for e in inside)
    out, n = head + le(256, 8), q.bits + 8
    base = int.from_bytes(q.prefix, "big")
    for i in range(256):
        prefix = (base | i << 256 - n).to_bytes(32, "big")
        out += trie.root([(e.path, e.leaf) for e in inside if trie.first_difference(e.path, prefix) >= n])
    return out
