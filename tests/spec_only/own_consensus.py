"""Checks of our own for chapter 3: evidence (B-81 to B-83), certificates (B-11), NOOPs (B-15, B-25), throughput (B-52), who signs (B-62)."""
import copy

from condensed import slice_hash
from config import SEAL
from consensus import VOTE_TAG, Certificate, Epoch, references
from evidence import MAGIC, Evidence
from leader import Noops, Throughput, Waited, noop_reference
from succession import Statement
from voting import ALWAYS, VOTES, Signer
from wire import le
from world import COORDINATOR, SHARD, sealed_file, world


def add(r):
    w = world()
    statements(r, w)
    two_systems(r, w)
    by_chain(r, w)
    certificates(r, w)
    noops(r)
    throughput(r)
    waited(r)
    signing(r)


def file_of(kind, signer, items, chain=b"", zero=bytes(2)):
    """B-82."""
    return MAGIC + le(len(chain), 4) + chain + bytes([kind, signer]) + zero + items


def pair(*raws):
    return b"".join(le(len(x), 4) + x for x in raws)


def statements(r, w):
    """Kind 7."""
    one, two = sorted((w.successor(b"\x11" * 32), w.successor(b"\x12" * 32)), key=lambda f: f.file_hash)
    a, b, c = w.admins
    first, second = w.statement(one, [a, b]), w.statement(two, [b, c])
    good = file_of(7, 0xff, pair(first, second))
    form = lambda raw: lambda: Evidence(raw)
    after = lambda x: form(file_of(7, 0xff, x))
    swapped = second[:72] + second[168:] + second[72:168]
    head = file_of(7, 0xff, b"")
    r.words("B-82 kind 7", [
        ("two successors", "ok", form(good)), ("kind 9", "bad_field", form(file_of(9, 0xff, pair(first, second)))),
        ("a member as signer", "bad_field", form(file_of(7, 2, pair(first, second)))),
        ("a zero that is none", "bad_field", form(file_of(7, 0xff, pair(first, second), zero=b"\0\1"))),
        ("without items", "truncated", form(head)), ("cut in its fields, whatever they are", "truncated", form(file_of(9, 2, b"")[:-1])),
        ("kind 9 without items", "bad_field", form(file_of(9, 0xff, b""))), ("half a length", "truncated", form(head + b"\1\0")),
        ("one statement", "truncated", after(pair(first))), ("a byte less", "truncated", form(good[:-1])),
        ("a byte behind the items", "truncated", form(good + b"\0")),
        ("a length of 2^32 - 1", "truncated", after(b"\xff" * 4 + first)),
        ("a statement without its last byte", "bad_field", after(pair(first, second[:-1]))),
        ("the first one's fault before the second's length", "bad_field", after(pair(first + b"\0") + b"\1")),
        ("the second one's fault before what lies behind", "bad_field", after(pair(first, second[:-1]) + b"\0")),
        ("what lies behind before the pair", "truncated", after(pair(second, first) + b"\0")),
        ("a chain that does not decode is not looked at", "ok", form(file_of(7, 0xff, pair(first, second), b"\1"))),
        ("a statement with a byte more", "bad_field", after(pair(first + b"\0", second))),
        ("an empty statement", "bad_field", after(pair(b"", second))),
        ("format 2", "bad_field", after(pair(b"\2" + first[1:], second))),
        ("signatures that do not ascend", "bad_field", after(pair(first, swapped))),
        ("a successor_id of another file", "bad_field", after(pair(w.statement(one, [a, b], successor=bytes(16)), second))),
        ("the wrong order", "no_conflict", after(pair(second, first))),
        ("one successor twice", "no_conflict", after(pair(first, first))),
        ("one successor under other signatures", "no_conflict", after(pair(first, w.statement(one, [b, c])))),
        ("two predecessors", "no_conflict", after(pair(first, w.statement(two, [b, c], predecessor=bytes(16)))))])
    base = w.file.genesis(COORDINATOR)
    three = w.changed(base, k=3)
    chain = w.chain(COORDINATOR, [w.entry(base, 5, w.config(base, three))[0]])
    seal = w.chain(COORDINATOR, [w.entry(base, 5, w.operation(SEAL, COORDINATOR, 1, base.hash, b""))[0]])
    of_shard = w.file.genesis(SHARD)
    other = w.chain(SHARD, [w.entry(of_shard, 5, w.config(of_shard, w.changed(of_shard, k=3)))[0]])
    unknown = le(COORDINATOR + 1, 4) + chain[4:]
    judged = lambda x, y, chain=b"": lambda: Evidence(file_of(7, 0xff, pair(x, y), chain)).convict(w.file)
    whole = (w.statement(one, w.admins), w.statement(two, w.admins))
    strange = w.statement(two, [b, c, w.nodes[SHARD][0]])
    foreign = [w.statement(f, [b, c], predecessor=bytes(16)) for f in (one, two)]
    r.facts("B-83 kind 7", [
        ("who signed both", [b.signing_key], judged(first, second)),
        ("two who signed both", [a.signing_key, b.signing_key], judged(first, w.statement(two, [a, b]))),
        ("by the newest CONFIG, which needs three", sorted(x.signing_key for x in w.admins), judged(*whole, chain)),
        ("by the CONFIG that SEAL ended", [b.signing_key], judged(first, second, seal))])
    r.words("B-83 kind 7", [
        ("two successors", "ok", judged(first, second)), ("of another system", "bad_signer", judged(*foreign)),
        ("fewer than k", "bad_signer", judged(first, w.statement(two, [c]))),
        ("fewer than the newest CONFIG's k", "bad_signer", judged(first, second, chain)),
        ("fewer than k by another cluster's chain", "bad_signer", judged(first, second, other)),
        ("a stranger", "bad_signature", judged(first, strange)),
        ("a bit of a signature", "bad_signature", judged(first, second[:-1] + bytes([second[-1] ^ 1]))),
        ("a chain of no cluster of the system", "bad_signer", judged(*whole, unknown)),
        ("a chain whose step is not valid", "bad_signer", judged(*whole, w.chain(COORDINATOR, [
            w.entry(base, 5, w.config(base, three, signers=[a, w.nodes[SHARD][0]]))[0]]))),
        ("a chain that does not decode", "bad_signer", judged(*whole, chain[:-1]))])


def two_systems(r, w):
    """S-141: two administrators who sign, honestly, that B follows A and that C follows B are convicted by no pair made of it."""
    b = w.successor(b"\x11" * 32)
    obj = copy.deepcopy(w.object)
    obj.update(name="spec-only-2", predecessor_id=b.system_id.hex(), succession=b.succession + 1)
    for x in obj["shards"]:
        x.update(origin_height=str((b.succession << 48) + 16), origin_root="12" * 32)
    c, signers = sealed_file(obj), w.admins[:2]
    first, second = w.statement(b, signers), w.statement(c, signers, predecessor=b.system_id)
    forged = second[:8] + w.system_id + second[24:]
    by_hash = lambda x, y: pair(*sorted((x, y), key=lambda s: s[40:72]))
    judged = lambda x, y: lambda: Evidence(file_of(7, 0xff, by_hash(x, y))).convict(w.file)
    r.words("S-141 of two systems", [
        ("each of them is valid", "ok", lambda: (Statement(first).check(w.file.genesis(SHARD), w.file, b),
                                                 Statement(second).check(b.genesis(SHARD), b, c))),
        ("as they were signed", "no_conflict", judged(first, second)),
        ("the second under the first one's predecessor", "bad_signature", judged(first, forged))])
    r.facts("S-141 of two systems", [
        ("signed for the first one's predecessor", [x.signing_key for x in signers], judged(first, w.statement(c, signers)))])


def by_chain(r, w):
    """Kinds 1 and 6 of an epoch that a chain shows, and its last height."""
    base = w.file.genesis(SHARD)
    second = w.changed(base, {"due_blocks": 3})
    third = w.changed(second)
    entries = [w.entry(base, 5, w.config(base, second))[0], w.entry(second, 9, w.config(second, third))[0]]
    to_epoch, beyond = w.chain(SHARD, entries[:1]), w.chain(SHARD, entries)

    def votes(config, height):
        ballots = sorted(w.header(config, height, bytes([x]) * 32).ballot() for x in (1, 2))
        key = config.keys()[1]
        return b"".join(sorted(x + w.sign(key, VOTE_TAG[1] + x) for x in ballots))

    def slices(config, height):
        decisions = []
        for body in (b"\1" + bytes(15), b"\1" + bytes(14) + b"\2"):
            leaf = (b"\1\1\0\0" + le(SHARD, 4) + le(COORDINATOR, 4) + w.system_id + le(height, 8) + le(1, 8) + bytes(32)
                    + le(len(body), 4) + slice_hash(body))
            header = w.header(config, height, outbox=[leaf])
            decisions.append((leaf, w.decision(config, header, [leaf], 0, b"")))
        return b"".join(d for _, d in sorted(decisions))
    judged = lambda kind, items, chain: lambda: Evidence(file_of(kind, 1 if kind < 5 else 0xff, items, chain)).convict(w.file)
    vote, slice_ = votes(second, 7), slices(second, 7)
    other = w.chain(COORDINATOR, [])
    foreign = bytes(16) + vote[16:204] + bytes(16) + vote[220:]
    r.words("B-83 with a chain", [
        ("votes of epoch 1", "ok", judged(1, vote, to_epoch)), ("and the chain goes on", "ok", judged(1, vote, beyond)),
        ("votes of epoch 0", "ok", judged(1, votes(base, 3), b"")),
        ("no chain", "bad_signer", judged(1, vote, b"")), ("a chain that ends before", "bad_signer", judged(1, votes(third, 11), to_epoch)),
        ("another cluster's chain", "bad_signer", judged(1, vote, other)),
        ("none from serial 2 on", "ok", judged(1, votes(base, 3), w.chain(SHARD, [], 2))), 
        ("nor from 0", "bad_signer", judged(1, votes(base, 3), w.chain(SHARD, [], 0))),
        ("a chain from serial 2 on", "bad_signer", judged(1, vote, w.chain(SHARD, entries[1:], 2))),
        ("another system", "bad_signer", judged(1, foreign, to_epoch)),
        ("votes above the epoch's last height", "ok", judged(1, votes(second, 12), beyond)),
        ("slices of epoch 1", "ok", judged(6, slice_, to_epoch)), ("and the chain goes on beyond", "ok", judged(6, slice_, beyond)),
        ("slices above the epoch's last height", "bad_decision", judged(6, slices(second, 12), beyond)),
        ("of which the chain does not tell", "ok", judged(6, slices(second, 12), to_epoch)),
        ("slices at the epoch's start", "bad_decision", judged(6, slices(second, 5), to_epoch))])


def certificates(r, w):
    config = w.file.genesis(SHARD)
    epoch = Epoch.of_config(config, 0)
    line = w.descendants(config, w.header(config, 1), 257)
    check = lambda first, last: lambda: Certificate(w.certificate(config, line[first:last])).check(epoch)
    one = w.qc(config, line[0]) + le(1, 2) + bytes(2) + line[0].raw
    r.words("B-11", [("QC alone", "ok", check(0, 1)), ("2 headers", "ok", check(0, 2)), ("256 headers", "ok", check(0, 256)),
                     ("257 headers", "range", check(0, 257)), ("1 header", "range", lambda: Certificate(one))])


def noops(r):
    def taken(*what, base=1000):
        n = Noops(base)
        return [n.take(*x) for x in what]

    def in_new_epoch():
        n = Noops(1000)
        n.take(1, 5, 0)
        n.epoch()
        return n.take(1, 4, 1)
    r.facts("B-15", [
        ("a nonce that grows, view_base_ms later", [True, True], lambda: taken((1, 5, 0), (1, 6, 1000))),
        ("the same nonce", [True, False], lambda: taken((1, 5, 0), (1, 5, 1000))),
        ("a lower nonce", [True, False], lambda: taken((1, 5, 0), (1, 4, 1000))),
        ("within view_base_ms", [True, False], lambda: taken((1, 5, 0), (1, 6, 999))),
        ("each signer by itself", [True, True], lambda: taken((1, 5, 0), (2, 5, 0))),
        ("nonce 0 at first", [True], lambda: taken((1, 0, 0))),
        ("what came too early counts for neither", [True, False, True], lambda: taken((1, 5, 0), (1, 9, 999), (1, 6, 1000))),
        ("a lower one in a new epoch", True, in_new_epoch)])

    def bodies(*events):
        n, out = Noops(1000), []
        for x in events:
            if x is None:
                refs = n.name([noop_reference(9, 9)])
                out.append(references(le(len(refs), 4) + b"".join(refs), 16))
            else:
                n.take(*x)
        return [[(x[1], x[3]) for x in refs] for refs in out]
    r.facts("B-25", [
        ("the newest of each member, at the front", [[(1, 7), (2, 5), (9, 9)]], lambda: bodies((2, 5, 0), (1, 6, 0), (1, 7, 1000), None)),
        ("once", [[(1, 6), (9, 9)], [(9, 9)]], lambda: bodies((1, 6, 0), None, None)),
        ("what was ignored is not named", [[(1, 6), (9, 9)]], lambda: bodies((1, 6, 0), (1, 5, 1000), None))])


def throughput(r):
    def times_out(*periods, views=(), half_life=60000):
        t, out = Throughput(35, 1000, half_life), []
        for i, x in enumerate(periods):
            if i in views:
                t.view()
            out.append(t.period(*x))
        return out
    best, slow = (1000, 10, 1000), (100, 10, 1000)
    r.facts("B-52", [
        ("two low periods in a row", [False, False, True], lambda: times_out(best, slow, slow)),
        ("a best of 64", [False, False, True], lambda: times_out((64.1, 10, 1000), (1, 10, 1000), (1, 10, 1000), half_life=10**9)),
        ("below that chance alone halves it", [False] * 3, lambda: times_out((63, 10, 1000), (1, 10, 1000), (1, 10, 1000), half_life=10**9)),
        ("fast enough", [False] * 3, lambda: times_out(best, (400, 10, 1000), (400, 10, 1000))),
        ("a good period between", [False] * 4, lambda: times_out(best, slow, (900, 10, 1000), slow)),
        ("five eighths of it", [False, False, True], lambda: times_out(best, (100, 10, 625), (100, 10, 625))),
        ("a ms less, in the first", [False] * 3, lambda: times_out(best, (100, 10, 624), slow)),
        ("in the second", [False] * 3, lambda: times_out(best, slow, (100, 10, 624))),
        ("nothing waited", [False] * 4, lambda: times_out(best, slow, (100, 10, 0), slow)),
        ("a best, whatever waited", [False, False, True], lambda: times_out((1000, 10, 0), slow, slow)),
        ("less than one input waits", [False] * 3, lambda: times_out((1000, 1, 1000), (100, 0.9, 1000), slow)),
        ("less than half of the best's backlog", [False] * 3, lambda: times_out(best, (100, 4.9, 1000), slow)),
        ("half of it", [False, False, True], lambda: times_out(best, (100, 5, 1000), slow)),
        ("best halves in a view", [False] * 3, lambda: times_out(best, (180, 10, 1000), (180, 10, 1000), views=(1,))),
        ("low periods are counted anew in a view", [False] * 4, lambda: times_out(best, slow, (100, 10, 1000), (400, 10, 1000), views=(2,))),
        ("two after it", [False, False, False, True], lambda: times_out(best, slow, slow, slow, views=(2,))),
        ("an equal rate is the new best, with its backlog", [False, False, False, True],
         lambda: times_out(best, (500, 1, 1000), (80, 1, 1000), (40, 1, 1000), half_life=1000)),
        ("a rate above, with a small backlog, which is then what half is of", [False, False, False, True],
         lambda: times_out(best, (2000, 1, 1000), (100, 1, 1000), (100, 1, 1000))),
        ("and did not without", [False, False, True], lambda: times_out(best, (180, 10, 1000), (180, 10, 1000))),
        ("the best decays by half in its half-life", [False] * 62, lambda: times_out(best, *[(0, 0, 0)] * 59, *[(180, 10, 1000)] * 2)),
        ("and no sooner", True, lambda: times_out(best, *[(0, 0, 0)] * 9, *[(180, 10, 1000)] * 2)[-1])])


def waited(r):
    def ends(*events):
        """For how many ms of each period something waited; events are (what, ms, name)."""
        w, out = Waited(), []
        for what, *args in events:
            got = getattr(w, what)(*args)
            out += [got] if what == "end" else []
        return out

    def times_out(had, handed, consumed):
        """After a best and two periods, in each of which one input was had, handed on and consumed so long after its beginning."""
        w, t, out = Waited(1000), Throughput(35, 1000, 60000), False
        t.period(1000, 1, 1000)
        for begun in (1000, 2000):
            for what, ms in (("have", had), ("hand", handed), ("consume", consumed)):
                getattr(w, what)(begun + ms, begun)
            out = t.period(100, 1, w.end(begun + 1000))
        return out
    a, end, second = ("have", 200, "a"), ("end", 1000), ("end", 2000)
    r.facts("B-52 waited", [
        ("nothing", [0], lambda: ends(end)), ("from when it was had, whole", [800], lambda: ends(a, ("hand", 450, "a"), end)),
        ("had twice, from the first time", [800], lambda: ends(a, ("have", 300, "a"), ("hand", 450, "a"), end)),
        ("handed on as the period ends", [800], lambda: ends(a, ("hand", 1000, "a"), end)),
        ("not by its end", [0], lambda: ends(a, end)), ("consumed, and never handed on", [0], lambda: ends(a, ("consume", 900, "a"), end)),
        ("handed on later: from the beginning of that period", [0, 1000], lambda: ends(a, end, ("hand", 1100, "a"), second)),
        ("until a block consumed it, in that period", [500, 0], lambda: ends(a, ("hand", 300, "a"), ("consume", 700, "a"), end, second)),
        ("in the next", [800, 300], lambda: ends(a, ("hand", 300, "a"), end, ("consume", 1300, "a"), second)),
        ("over all of a period", [800, 1000], lambda: ends(a, ("hand", 300, "a"), end, second)),
        ("two at a time count once", [700], lambda: ends(
            a, ("have", 300, "b"), ("hand", 400, "a"), ("hand", 400, "b"), ("consume", 600, "a"), ("consume", 900, "b"), end)),
        ("one within another", [700], lambda: ends(
            a, ("have", 300, "b"), ("hand", 400, "a"), ("hand", 400, "b"), ("consume", 600, "b"), ("consume", 900, "a"), end)),
        ("two within another, one after the other", [700], lambda: ends(
            a, ("hand", 200, "a"), ("hand", 300, "b"), ("consume", 400, "b"), ("hand", 600, "c"), ("consume", 800, "c"), ("consume", 900, "a"), end)),
        ("one after another, and what lies between does not", [300], lambda: ends(
            a, ("hand", 250, "a"), ("consume", 400, "a"), ("have", 700, "b"), ("hand", 750, "b"), ("consume", 800, "b"), end)),
        ("an input that waits, and one that is not handed on", [300], lambda: ends(a, ("have", 700, "b"), ("hand", 900, "b"), end)),
        ("a dispatch, from when it is due", [600], lambda: ends(("dispatch", 400, "d"), end)),
        ("one that is due anew", [400], lambda: ends(("dispatch", 100, "d"), ("consume", 200, "d"), ("dispatch", 700, "d"), end)),
        ("in the next view too", [600], lambda: ends(("dispatch", 400, "d"), ("view", 500), end)),
        ("an input until the view was left", [300, 0], lambda: ends(a, ("hand", 300, "a"), ("view", 500), end, second)),
        ("handed to the next leader: all the time", [800], lambda: ends(a, ("hand", 300, "a"), ("view", 500), ("hand", 990, "a"), end)),
        ("with B-52: five eighths, most of it not handed on yet", [True, False], lambda: [times_out(200, 800, x) for x in (825, 824)]),
        ("something that waited early alone is enough", True, lambda: times_out(0, 0, 625)),
        ("that waited late alone is not", False, lambda: times_out(700, 700, 1000))])


def signing(r):
    def may(**change):
        s = Signer()
        for name, value in change.items():
            if name == "retire":
                s.retire(value)
            else:
                setattr(s, name, value)
        return [what for what in VOTES + ALWAYS if s.may(what)]
    s = Signer()
    s.retire("S-143")
    s.retire("P-70")
    r.facts("B-62, P-15", [
        ("a member", list(VOTES + ALWAYS), may), ("nothing unknown", False, lambda: Signer().may("SOMETHING")),
        ("an observer", list(ALWAYS), lambda: may(member=False)), ("before LAST-SIGNED is answered", list(ALWAYS), lambda: may(answered=False)),
        ("after SEAL", list(ALWAYS), lambda: may(sealed=True)), ("stopped", ["ENTRIES"], lambda: may(stopped=True)),
        ("a retired key", list(ALWAYS), lambda: may(retire="P-14 newer")), ("left for a successor", list(ALWAYS), lambda: may(retire="S-143")),
        ("given up by its operator", list(ALWAYS), lambda: may(retire="A-17")),
        ("a retired key still signs", ["STATUS", "LAST_SIGNED_ANSWER", "ENTRIES"], lambda: may(retire="P-70")),
        ("the first reason stays", "S-143", lambda: s.retired)])
