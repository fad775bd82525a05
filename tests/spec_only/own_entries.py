"""Checks of our own for evidence of kind 8 (B-81 to B-83): signed ENTRIES (P-45) that are not those of the checkpoint."""
import durability
import trie
from durability import PieceQuery, check_signed, make_piece, piece_message
from evidence import Evidence
from machine import genesis_state
from own_backup import entry_of
from own_consensus import file_of
from own_pieces import query
from wire import H, Reader, le, word_of
from world import COORDINATOR, SHARD, Made, Sealed, manifest, member_of, message, world


def entries_of(state):
    return sorted((durability.Entry(Reader(entry_of(*e))) for e in state), key=lambda e: e.path)


class Case:
    """A checkpoint, a question about it, and what a member answered; each part may be another one."""

    def __init__(self, w, raw, hash_, entries, key):
        self.w, self.raw, self.hash, self.entries, self.key = w, raw, hash_, entries, key
        self.asked = query(0, hash_)

    def piece(self, entries=None, asked=None):
        return make_piece(PieceQuery(asked or self.asked), self.entries[1:] if entries is None else entries)

    def items(self, shown=None, asked=None, piece=None, signature=None, tail=b""):
        asked = self.asked if asked is None else asked
        piece = self.piece() if piece is None else piece
        if signature is None:
            signature = self.w.sign(self.key, piece_message(self.w.system_id, asked, piece))
        shown = message(self.raw) if shown is None else shown
        return le(len(shown), 4) + shown + asked + le(len(piece), 4) + piece + signature + tail

    def file(self, signer=1, chain=b"", **parts):
        return file_of(8, signer, self.items(**parts), chain)


def of_made(w, made, entries, key):
    return Case(w, made.raw, H(22, made.manifest), entries, key)


def add(r):
    w = world()
    base, key = w.file.genesis(SHARD), w.nodes[SHARD][1].signing_key
    entries = entries_of(genesis_state(w.file, COORDINATOR))
    root = trie.root([(e.path, e.leaf) for e in entries])
    case = of_made(w, Made(w, base, 16, root=root), entries, key)
    forms(r, case)
    judged(r, w, base, root, case)
    epochs(r, w, base, root, entries)
    sealed(r, w, key)


def forms(r, case):
    """B-82: what needs no members."""
    form = lambda **parts: lambda: Evidence(case.file(**parts))
    raw, shown, piece = case.file(), message(case.raw), case.piece()
    head = 16  # magic 8, chain_bytes 4, kind 1, signer 1, zero 2
    ends = (head, head + 3, head + 4, head + 3 + len(shown), head + 4 + len(shown) + 95, head + 4 + len(shown) + 96 + 3,
            head + 4 + len(shown) + 96 + 4 + len(piece) - 1, len(raw) - 64, len(raw) - 1)
    at = lambda x, offset, value: x[:offset] + value + x[offset + len(value):]
    asked = lambda **k: form(asked=query(**{"kind": 0, "hash_": case.hash, **k}), piece=piece)
    unknown = piece[:41] + b"\1" + bytes(14)
    short = case.raw[4:4 + 120] + le(1025, 4) + bytes(32)
    of_short = message(le(156, 4) + short + case.raw[4 + 124:])
    short_query = query(0, bytes(32))
    proof = int.from_bytes(piece[56:60], "little")
    body = piece[:60 + proof]
    r.words("B-82 kind 8", [("the file cut at %d" % n, "truncated", lambda n=n: Evidence(raw[:n])) for n in ends])
    r.words("B-82 kind 8", [
        ("an entry less", "ok", form()), ("a byte behind the items", "truncated", form(tail=b"\0")), ("signer 15", "ok", form(signer=15)),
        ("signer 16", "bad_field", form(signer=16)), ("nobody as signer", "bad_field", form(signer=0xff)),
        ("a chain is not looked at", "ok", form(chain=b"\1")),
        ("a checkpoint's length of 2^32 - 1", "truncated", lambda: Evidence(at(raw, head, b"\xff" * 4))),
        ("a nonce of the checkpoint", "bad_checkpoint", form(shown=message(case.raw, nonce=b"\1" + bytes(7)))),
        ("none", "bad_checkpoint", form(shown=message())), ("two", "bad_checkpoint", form(shown=message(case.raw, case.raw))),
        ("an empty one", "bad_checkpoint", form(shown=b"")), ("a byte less", "bad_checkpoint", form(shown=shown[:-1])),
        ("a byte more", "bad_checkpoint", form(shown=shown + b"\0")), ("a manifest of format 2", "bad_checkpoint", form(shown=at(shown, 20, b"\2"))),
        ("a short manifest", "bad_checkpoint", form(shown=of_short, asked=short_query, piece=case.piece(asked=short_query))),
        ("the checkpoint before the question", "bad_checkpoint", form(shown=b"", asked=query(6))),
        ("a question of SUBROOTS", "bad_field", asked(kind=4)), ("of kind 6", "bad_field", asked(kind=6)),
        ("of another manifest", "bad_field", asked(hash_=bytes(32))),
        ("both of another manifest", "bad_field", form(asked=short_query, piece=case.piece(asked=short_query))),
        ("with bits behind the prefix", "bad_field", asked(prefix=b"\1" * 32)),
        ("with an offset", "bad_field", asked(offset=1)), ("of 257 bits", "bad_field", asked(bits=257)),
        ("another nonce than the question's", "bad_field", asked(nonce=bytes(8))),
        ("a piece of 55 bytes", "bad_field", form(piece=piece[:55])), ("an empty one", "bad_field", form(piece=b"")),
        ("UNKNOWN", "bad_field", form(piece=unknown)), ("code 4", "bad_field", form(piece=at(piece, 41, b"\4"))),
        ("a hint", "bad_field", form(piece=at(piece, 44, b"\1"))), ("of another manifest", "bad_field", form(piece=at(piece, 8, bytes(32)))),
        ("of another kind", "bad_field", form(piece=at(piece, 40, b"\4"))),
        ("the question before the entries", "bad_field", asked(kind=4, hash_=bytes(32))),
        ("the right entries", "no_conflict", form(piece=case.piece(case.entries))),
        ("the right ones of a part", "no_conflict", form(asked=query(0, case.hash, 1), piece=case.piece(case.entries, query(0, case.hash, 1)))),
        ("the signature comes after", "no_conflict", form(piece=case.piece(case.entries), signature=bytes(64))),
        ("in another order", "ok", form(piece=body + b"".join(e.raw for e in case.entries[::-1]))),
        ("a byte behind the entries", "ok", form(piece=case.piece(case.entries) + b"\0")), ("no proof", "ok", form(piece=piece[:56])),
        ("longer than any can be", "ok", form(piece=piece + bytes(durability.LONGEST - len(piece) + 1))),
        ("as long as one can be", "ok", form(piece=piece + bytes(durability.LONGEST - len(piece))))])


def judged(r, w, base, root, case):
    """B-83, in epoch 0."""
    convict = lambda c=case, **parts: lambda: Evidence(c.file(**parts)).convict(w.file)
    as_member = lambda raw, q: check_signed(raw, q, root, w.system_id, case.key)
    q, piece = PieceQuery(case.asked), case.piece()
    signature = w.sign(case.key, piece_message(w.system_id, case.asked, piece))
    turned = case.piece([e for e in case.entries if e is not case.entries[3]])
    made = lambda *a, **k: of_made(w, Made(w, base, *a, **{"root": root, **k}), case.entries, case.key)
    cut = Made(w, base, 16, root=root)
    flip = lambda raw, i: raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1:]
    broken = lambda i: message(flip(cut.raw, i))
    unlike = w.header(base, 16)
    wrong_child = Case(w, le(len(cut.manifest), 4) + cut.manifest + unlike.raw + w.header(base, 17, unlike.id).raw
                       + le(len(cut.certificate), 4) + cut.certificate, case.hash, case.entries, case.key)
    few = Case(w, cut.raw[:-len(cut.certificate) - 4] + few_votes(cut.certificate), case.hash, case.entries, case.key)
    stranger = Made(w, w.file.genesis(COORDINATOR), 16, root=root)
    elsewhere = other_system(case.raw)
    foreign = Case(w, elsewhere, H(22, elsewhere[4:128]), case.entries, case.key)
    chain = lambda number: w.chain(number, [])
    r.facts("B-83 kind 8", [
        ("an entry less", 1, convict()), ("another entry less", 1, convict(piece=turned)),
        ("a byte behind the entries", 1, convict(piece=case.piece(case.entries) + b"\0")),
        ("with a chain without entries", 1, convict(chain=chain(SHARD))), ("a height that is none of K", 1, convict(made(17))),
        ("255 headers", 1, convict(made(16, 255))), ("256 headers are judged as any others", 1, convict(made(16, 256)))])
    r.words("B-83 kind 8", [
        ("what its receiver found", "bad_proof", lambda: as_member(piece + signature, q)),
        ("signer n", "bad_signer", convict(signer=4)), ("another member's name", "bad_signature", convict(signer=2)),
        ("of another cluster, whose member it is not", "bad_signature", convict(of_made(w, stranger, case.entries, case.key))),
        ("another cluster's chain", "bad_signer", convict(chain=chain(COORDINATOR))), ("of another system", "bad_signer", convict(foreign)),
        ("a chain that does not decode", "bad_signer", convict(chain=b"\1")),
        ("a bit of the certificate's last signature", "bad_checkpoint", convict(shown=broken(len(cut.raw) - 8))),
        ("a certificate of fewer than q", "bad_checkpoint", convict(few)), ("a child of another block", "bad_checkpoint", convict(wrong_child)),
        ("the checkpoint before the signature", "bad_checkpoint", convict(shown=broken(len(cut.raw) - 8), signature=bytes(64))),
        ("the signer before the checkpoint", "bad_signer", convict(signer=4, shown=broken(len(cut.raw) - 8))),
        ("no signature", "bad_signature", convict(signature=bytes(64))),
        ("of another piece", "bad_signature", convict(piece=turned, signature=signature)),
        ("of another question", "bad_signature", convict(asked=query(0, case.hash, 1), signature=signature)),
        ("for another system", "bad_signature", convict(signature=w.sign(case.key, piece_message(bytes(16), case.asked, piece)))),
        ("of the right entries", "bad_signature", convict(signature=w.sign(case.key, piece_message(
            w.system_id, case.asked, case.piece(case.entries)))))])
    r.facts("B-83 kind 8", [("each byte of the signature", {"bad_signature"}, lambda: {
        word_of(convict(signature=flip(signature, i))) for i in range(64)})])


def few_votes(certificate):
    """A certificate by a QC without its last vote (n = 4: 3 votes)."""
    raw = certificate[:1] + b"\2" + certificate[2:144 + 65 * 2] + certificate[144 + 65 * 3:]
    return le(len(raw), 4) + raw


def other_system(raw):
    """The same checkpoint, in manifest, header and child of another system."""
    out = bytearray(raw)
    for offset in (4 + 8, 128, 128 + 244):
        out[offset:offset + 16] = bytes(16)
    return bytes(out)


def epochs(r, w, base, root, entries):
    """Of epoch 1, which a CONFIG at height 16 began: member 1 has the place and key of another."""
    new = w.node("s-new")
    second = w.replace(base, 1, new)
    raw, block = w.entry(base, 16, w.config(base, second, [new]))
    chain = w.chain(SHARD, [raw])
    third = w.changed(second)
    beyond = w.chain(SHARD, [raw, w.entry(second, 40, w.config(second, third))[0]])
    old_key, key = base.members[1][1], member_of(new)[1]
    case = lambda key, **k: of_made(w, Made(w, root=root, **k), entries, key)
    in_one = lambda key: case(key, config=second, height=32)
    first = lambda key: case(key, config=base, height=16, header=block, child_config=second)
    last = case(key, config=second, height=41)
    two_on = case(key, config=base, height=40, header=w.header(base, 40), child_config=third)
    convict = lambda c, chain=chain: lambda: Evidence(c.file(chain=chain)).convict(w.file)
    r.words("B-83 kind 8, epochs", [
        ("of epoch 1", "ok", convict(in_one(key))), ("by the key of epoch 0", "bad_signature", convict(in_one(old_key))),
        ("of the block that began epoch 1, by its child's members", "ok", convict(first(key))),
        ("and not by its own", "bad_signature", convict(first(old_key))), ("without the chain", "bad_signer", convict(in_one(key), b"")),
        ("and the chain goes on", "ok", convict(in_one(key), beyond)), ("of epoch 0, before it ended", "ok", convict(
            case(old_key, config=base, height=8))), ("a child above the epoch's last height", "bad_checkpoint", convict(last, beyond)),
        ("of which the chain does not tell", "ok", convict(last)),
        ("an entry beyond the next epoch that is no step", "ok", convict(case(old_key, config=base, height=8), no_step(w, raw, second, third))),
        ("one that is the next epoch's", "bad_signer", convict(in_one(key), no_step(w, raw, second, third))),
        ("of epoch 0, whose child is of epoch 2", "ok", convict(two_on, beyond)),
        ("one that does not decode", "bad_signer", convict(case(old_key, config=base, height=8), w.chain(SHARD, [raw, b"\1"])))])


def no_step(w, first, second, third):
    """A chain whose second entry decodes and is no step: one signature is of nobody who may."""
    entry = w.entry(second, 40, w.config(second, third, signers=[w.admins[0], w.nodes[SHARD][0]]))[0]
    return w.chain(SHARD, [first, entry])


def sealed(r, w, key):
    s = Sealed(w)
    entries = entries_of([(sp, k, *v) for (sp, k), v in s.machine.entries().items()])
    m = manifest(w, s.header, s.root)
    case = Case(w, s.showing(), H(22, m), entries, key)
    right = case.piece(entries)
    convict = lambda chain=s.chain, **parts: lambda: Evidence(case.file(chain=chain, **parts)).convict(w.file)
    path = s.showing(path=s.path[:-1] + [bytes(32)])
    r.words("B-83 kind 8, of SEAL's block", [
        ("an entry less", "ok", convict()), ("the right entries", "no_conflict", convict(piece=right)),
        ("SEAL at another height", "bad_checkpoint", convict(Sealed(w, 6).chain)),
        ("a chain without SEAL", "bad_checkpoint", convict(b"")), ("a path that does not lead", "bad_checkpoint", convict(shown=message(path))),
        ("another member's name", "bad_signature", convict(signer=3))])
