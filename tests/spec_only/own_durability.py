"""Checks of our own for chapter 8: certificates of 256 headers (P-42, P-48), epochs of a checkpoint, manifests (P-48), clients (P-50),
roll-backs (P-70)."""
from cards import Rights
from config import SEAL
from consensus import Certificate, epochs_of, references
from durability import Checkpoint, Known, checkpoint_message
from leader import noop_reference
from transfer import Shown, may_copy, more_bits
from voting import STEP_MAX, Suspicion
from wire import Bad, Reader, le
from world import COORDINATOR, SHARD, Made, checkpoint, manifest, message, world


def add(r):
    w = world()
    headers(r, w)
    epochs(r, w)
    choice(r)
    clients(r)
    rollbacks(r)


def headers(r, w):
    config = w.file.genesis(SHARD)
    epochs_ = epochs_of(config, b"")
    known, epoch = Known.of_chain(epochs_), epochs_[0][0]
    low, some, most, one_more = (Made(w, config, h, n) for h, n in ((16, 0), (32, 2), (48, 255), (64, 256)))
    heights = lambda *made: lambda: [c.manifest.height for c in checkpoint_message(message(*(x.raw for x in made)), known)]
    spoilt = lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])
    bad, odd = message(spoilt(one_more.raw)), Made(w, config, 17, 2)
    elsewhere = Made(w, w.file.genesis(COORDINATOR), 64, 256)
    unlike = lambda a, b: checkpoint(a.manifest, b.header, b.child, b.certificate)
    told = lambda raw, final=-1: lambda: checkpoint_message(raw, Known.of_chain(epochs_, final))
    above = lambda final: lambda: [c.manifest.height for c in told(message(some.raw, low.raw), final)()]
    r.facts("P-42", [
        ("a QC alone", [16], heights(low)), ("255 headers", [48], heights(most)), ("256 headers: passed over", [], heights(one_more)),
        ("256 headers, and an older one", [16], heights(one_more, low)), ("two", [32, 16], heights(some, low)),
        ("those above the newest final block", [[32, 16], [32], [32], []], lambda: [above(n)() for n in (15, 16, 31, 32)]),
        ("none", [], heights())])
    r.words("P-42", [
        ("256 headers name nobody", "ok", heights(one_more)), ("whatever they prove", "ok", told(bad)),
        ("wherever they are", "ok", told(message(elsewhere.raw))), ("but decode", "bad_bytes", told(message(one_more.raw[:-1]))),
        ("the other checkpoint is judged", "bad_certificate", told(message(one_more.raw, spoilt(some.raw)))),
        ("what is not above the newest final block, at whatever height", "ok", told(message(spoilt(odd.raw)), 17)),
        ("is above it", "bad_place", told(message(spoilt(odd.raw)), 16)),
        ("K before the certificate", "bad_place", told(message(spoilt(odd.raw)))),
        ("the manifest is not above it, its header is", "ok", told(message(unlike(low, some)), 16)),
        ("the manifest is, its header is not", "bad_header", told(message(unlike(some, low)), 16)),
        ("heights that rise", "bad_field", heights(low, some)), ("one twice", "bad_field", heights(low, low)),
        ("three", "bad_field", heights(most, some, low)), ("257 headers", "bad_certificate", heights(Made(w, config, 80, 257))),
        ("a byte more", "bad_bytes", lambda: checkpoint_message(message(low.raw) + b"\0", known))])

    def own(made):
        """P-48: the checkpoint's own certificate, from the child's."""
        c = Certificate(Checkpoint(Reader(made.raw)).own_certificate())
        c.check(epoch)
        if (c.block_id, c.height) != (made.header.id, made.header.height):
            raise Bad("another block")
    r.words("P-48 certificate of the checkpoint's block", [
        ("from a QC alone", "ok", lambda: own(low)), ("from 2 headers", "ok", lambda: own(some)),
        ("from 255 headers", "ok", lambda: own(most)), ("from 256 headers", "range", lambda: own(one_more))])


def epochs(r, w):
    base = w.file.genesis(SHARD)
    second = w.changed(base, {"checkpoint_blocks": 32})
    raw, block = w.entry(base, 48, w.config(base, second))
    sealed, _ = w.entry(base, 48, w.operation(SEAL, SHARD, 1, base.hash, b""))
    short, whole, end = (Known.of_chain(epochs_of(base, x)) for x in (b"", w.chain(SHARD, [raw]), w.chain(SHARD, [sealed])))
    root = b"\x33" * 32

    def raw_of(header, child, config):
        return checkpoint(manifest(w, header, root), header, child, w.certificate(config, [child]))
    first = raw_of(block, w.header(second, 49, block.id, state=root), second)  # of the CONFIG block, by the epoch that it began
    own = raw_of(block, w.header(base, 49, block.id, state=root), base)  # by a suffix block
    fork = w.header(base, 48)
    foreign = raw_of(fork, w.header(second, 49, fork.id, state=root), second)
    early = w.header(base, 32)
    jump = raw_of(early, w.header(second, 33, early.id, state=root), second)
    third = w.changed(second)
    beyond = raw_of(early, w.header(third, 33, early.id, state=root), third)
    longer = Known.of_chain(epochs_of(base, w.chain(SHARD, [raw, w.entry(second, 80, w.config(second, third))[0]])))
    late = w.header(second, 64)
    back = raw_of(late, w.header(base, 65, late.id, state=root), base)
    odd = w.header(base, 33)
    astray = raw_of(odd, w.header(second, 34, odd.id, state=root), second)
    unlike = raw_of(late, w.header(second, 65, late.id), second)
    elsewhere = w.file.genesis(COORDINATOR)
    of_other = Made(w, w.changed(elsewhere), 64).raw
    usable = lambda raw, known=whole: lambda: len(checkpoint_message(message(raw), known))
    by_next = (block, w.header(second, 49, block.id, state=root))
    certified = w.certificate(second, [by_next[1]])
    of_other_height = checkpoint(manifest(w, odd, root), *by_next, certified)
    head = manifest(w, block, root)
    stray = w.header(second, 49, fork.id, state=root)
    placed = checkpoint(head[:4] + le(COORDINATOR, 4) + head[8:], block, stray, w.certificate(second, [stray]))
    of_k = checkpoint(manifest(w, early, root), late, w.header(second, 65, late.id, state=root), certified)
    astray_k = checkpoint(manifest(w, w.header(base, 48), root), late, w.header(second, 65, late.id, state=root), certified)
    r.facts("P-42 epochs", [
        ("the CONFIG block, its child of the next epoch", 1, usable(first)),
        ("the child's epoch is not known", 0, usable(first, short)),
        ("the manifest's epoch is not known", 0, usable(Made(w, second, 64).raw, short)),
        ("an unknown epoch's K is not judged", 0, usable(Made(w, second, 65).raw, short)),
        ("a block of the epoch that ended", 1, usable(Made(w, base, 16).raw)),
        ("its last block but one", 1, usable(raw_of(early, w.header(base, 33, early.id, state=root), base))),
        ("the second epoch's K", 1, usable(Made(w, second, 64).raw))])
    r.words("P-42 epochs", [
        ("K of the second epoch", "bad_place", usable(Made(w, second, 80).raw)), ("K of the first", "ok", usable(Made(w, base, 16).raw)),
        ("a child above the epoch's last height", "bad_certificate", usable(own)),
        ("of which the chain does not tell", "ok", usable(own, short)), ("after SEAL", "bad_certificate", usable(own, end)),
        ("a parent that is not what began the next epoch", "bad_header", usable(foreign)),
        ("a lower one", "bad_header", usable(jump)), ("a child two epochs on", "bad_header", usable(beyond, longer)),
        ("whose epoch is not known: left", "ok", usable(beyond)), ("a child of an epoch before", "bad_header", usable(back)),
        ("a child's epoch before the place", "bad_header", usable(astray)),
        ("it is the manifest's height that is compared", "bad_header", usable(of_other_height)),
        ("not the child's parent", "bad_place", usable(placed)),
        ("K of the header's epoch, the manifest's height", "bad_header", usable(of_k)),
        ("which that epoch does not allow", "bad_place", usable(astray_k)),
        ("another root, of an epoch that is not known: left", "ok", usable(unlike, short)), ("of one that is", "bad_header", usable(unlike)),
        ("another cluster's, of an epoch that is not known: left", "ok", usable(of_other, short)),
        ("another cluster", "bad_place", usable(Made(w, w.file.genesis(COORDINATOR), 16).raw))])


def choice(r):
    a, b, c = (bytes([x]) * 32 for x in (1, 2, 3))

    def taken(*answers, waited=False, failed=(), f=1, later=()):
        s = Shown(f)
        for x in answers:
            s.answer(*x)
        for x in failed:
            s.take(waited)
            s.did_not_come(x)
        for x in later:
            s.answer(*x)
        return s.take(waited)
    both = [(0, {c: 32, a: 16}), (1, {c: 32, a: 16}), (2, {b: 16}), (3, {b: 16})]
    gone = [(0, {a: 16}), (1, {a: 16})]
    r.facts("P-48 manifests", [
        ("f + 1 show one", a, lambda: taken((0, {a: 16}), (1, {a: 16}))),
        ("f show one", None, lambda: taken((0, {a: 16}), (1, {b: 16}))),
        ("the newest that f + 1 show", b, lambda: taken((0, {b: 32, a: 16}), (1, {b: 32, a: 16}), (2, {c: 48}))),
        ("one peer twice", None, lambda: taken((0, {a: 16}), (0, {a: 16}))),
        ("its newest answer", None, lambda: taken((0, {a: 16}), (1, {a: 16}), (1, {b: 32}))),
        ("after long any", b, lambda: taken((0, {a: 16}), (1, {b: 32}), waited=True)),
        ("what others show than whose did not come", a, lambda: taken((0, {b: 32, c: 48}), (1, {a: 16}), waited=True, failed=[c])),
        ("of one height that which came first", b, lambda: taken((0, {b: 16}), (1, {a: 16}), (2, {a: 16}), (3, {b: 16}))),
        ("whoever shows it by now", b, lambda: taken(
            (0, {b: 16}), (1, {a: 16}), (2, {a: 16}), (3, {b: 16}), (4, {b: 16}), (0, {a: 16}))),
        ("with a gap, from its end on", a, lambda: taken((0, {b: 16}), (0, {}), (1, {a: 16}), (2, {a: 16}), (3, {b: 16}), (0, {b: 16}))),
        ("an answer that has it still is no gap", b, lambda: taken(
            (0, {b: 16}), (1, {a: 16}), (0, {b: 16, c: 8}), (2, {a: 16}), (3, {b: 16}))),
        ("of two that were there at the last choice, either", True, lambda: taken(*both, failed=[c], later=gone) in (a, b)),
        ("one of them before one that came since", a, lambda: taken(*both[:2], failed=[c], later=[*both[2:], *gone])),
        ("height before that", c, lambda: taken((0, {b: 16}), (1, {b: 16}), (2, {c: 32}), (3, {c: 32}))),
        ("likewise after long", c, lambda: taken((0, {c: 16}), (1, {b: 16}), waited=True)),
        ("those who showed it stay last, whatever they show then", a, lambda: taken(
            (0, {c: 48}), (1, {a: 16}), waited=True, failed=[c], later=[(0, {b: 64})])),
        ("who shows it after it was chosen does not", c, lambda: taken(
            (0, {c: 48}), (1, {a: 16}), waited=True, failed=[c], later=[(1, {c: 48})])),
        ("once somebody else shows it, it counts like any", c, lambda: taken(
            (0, {c: 48}), (1, {a: 16}), waited=True, failed=[c], f=2, later=[(2, {c: 48, b: 32})])),
        ("the highest of which is taken", b, lambda: taken(
            (0, {c: 48}), (1, {a: 16}), waited=True, failed=[c], f=2, later=[(2, {c: 48, b: 64})])),
        ("of what is put last, it comes last", b, lambda: taken((0, {c: 48, b: 32}), waited=True, failed=[c])),
        ("what more than f show is never put last", c, lambda: taken(
            (0, {c: 48}), (1, {a: 16}), waited=True, failed=[c], later=[(2, {c: 48})])),
        ("nor are those who showed it, more than f of them", b, lambda: taken(
            (0, {c: 48}), (1, {c: 48}), (2, {a: 16}), failed=[c], later=[(0, {b: 64}), (1, {b: 64})])),
        ("made-up ones keep nobody else's out", a,
         lambda: taken(*[(5, {bytes([i]) * 32: 16 * i}) for i in range(4, 99)], (0, {a: 16}), (1, {a: 16}), waited=True)),
        ("nobody shows any", None, lambda: taken(waited=True))])
    def moved(*answers):
        s = Shown(1)
        for x in answers:
            s.answer(*x)
        return s.moved_on(a, 16)
    r.facts("P-48 a newer one", [
        ("f + 1 show it and not the old", True, lambda: moved((0, {b: 32}), (1, {c: 48, b: 32}))), ("f do", False, lambda: moved((0, {b: 32}))),
        ("and the old", False, lambda: moved((0, {b: 32}), (1, {b: 32, a: 16}))),
        ("at last they all moved on", True, lambda: moved((0, {b: 32}), (1, {b: 32, a: 16}), (1, {b: 32}))),
        ("nothing at all", False, lambda: moved((0, {}), (1, {}), (2, {b: 32})))])
    r.facts("P-48 TOO-LARGE", [
        ("f + 1 said so", True, lambda: more_bits({0, 1}, {0, 1, 2}, 1)), ("one alone", False, lambda: more_bits({0}, {0, 1, 2}, 1)),
        ("all that may be asked", True, lambda: more_bits({0}, {0}, 1)), ("nobody may be asked", False, lambda: more_bits(set(), set(), 1))])


def clients(r):
    may = lambda *rules: lambda: may_copy(Rights(0, 0, list(rules)))
    r.facts("P-50", [
        ("reads every key", True, may((1, b""))), ("reads and writes every key", True, may((3, b""))),
        ("writes every key", False, may((2, b""))), ("reads some", False, may((1, b"a"), (1, b"b"))),
        ("writes every key and reads some", False, may((2, b""), (1, b"a"))), ("no rights", False, may())])


def rollbacks(r):
    def verdicts(*blocks, ack=9, me=2):
        """blocks: (sent_dseq, [names: what the body names, by a function of the first nonce asked and the second])."""
        s = Suspicion(me, ack, 1000)
        asked = (s.ask(STEP_MAX), s.ask(5))
        out = []
        for sent, names in blocks:
            refs = [noop_reference(who, nonce(*asked)) for who, nonce in names]
            out.append(s.final(references(le(len(refs), 4) + b"".join(refs), 16), sent))
        return out[-1]
    first, second, below, between = (lambda x, y: x), (lambda x, y: y), (lambda x, y: x - 1), (lambda x, y: x + 1)
    step = lambda n: lambda: Suspicion(0, 9, 0).ask(n)

    def refused(n):
        try:
            step(n)()
        except ValueError:
            return True
        return False
    r.facts("P-70", [
        ("below ack after the nonce", "retire", lambda: verdicts((8, [(2, first)]))),
        ("after one that was asked for later", "retire", lambda: verdicts((8, [(2, second)]))),
        ("ack is reached", "unfounded", lambda: verdicts((9, [(2, first)]))),
        ("ack is reached without the nonce", "unfounded", lambda: verdicts((9, []))),
        ("an empty body", "waits", lambda: verdicts((8, []))),
        ("a nonce never asked for, below one that was", "waits", lambda: verdicts((8, [(2, below)]))),
        ("a nonce between two that were", "waits", lambda: verdicts((8, [(2, between)]))),
        ("a nonce of before", "waits", lambda: verdicts((8, [(2, lambda x, y: 1000)]))),
        ("another member's NOOP with this nonce", "waits", lambda: verdicts((8, [(1, first)]))),
        ("with another member's beside it", "retire", lambda: verdicts((8, [(1, first), (2, first)]))),
        ("two NOOPs of this node in one body", "waits", lambda: verdicts((8, [(2, first), (2, second)]))),
        ("a comb", "waits", lambda: verdicts((8, [(2, between), (2, first)]))),
        ("a comb, and then the nonce", "retire", lambda: verdicts((8, [(2, between), (2, first)]), (8, [(2, second)]))),
        ("a step of 2^40", STEP_MAX, step(STEP_MAX)), ("of more", True, lambda: refused(STEP_MAX + 1)),
        ("of nothing", True, lambda: refused(0))])
