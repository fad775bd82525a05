"""Checks of our own for chapter 5: ADMIN, ANNOUNCE and ADMIN_STATE (O-53, O-55, S-81), what a node refuses alone (O-50)."""
import admin
from admin import (BUSY, DONE, ELSEWHERE, INVALID, NOTHING, NUMBER, OTHER_CLIENT, WAITS, Announced, Held, Question, State,
                   handed_in, row)
from cards import Rights, make_card
from config import CHANGE, CONFIG, ENROL, REVOKE, SEAL, Operation
from operations import BUSY as NO_ROOM, MALFORMED, QUOTA, REVOKED, RIGHTS
from relay import Relay, held, refused
from spec_text import errors
from wire import le
from world import COORDINATOR, SHARD, Pair, card, get, member_of, put, seed_of, world


def add(r, vectors):
    r.facts("7.14 as its text has it", [("rows", list(admin.ROWS), lambda: errors(vectors))])
    w = world()
    of_config(r, w)
    of_enrolments(r, w)
    relayed(r, w)
    announcements(r, w)
    states(r, w)
    reads(r, w)
    numbers(r, w)


def of_config(r, w):
    pair, base = Pair.of_genesis(w), w.file.genesis(SHARD)
    after = w.changed(base, {"due_blocks": 3})
    op, seal = w.config(base, after), w.operation(SEAL, SHARD, 1, base.hash, b"")
    new = w.node("new")
    cards = [w.node("newer"), new]
    two = w.changed(base, members=base.members[:2] + [member_of(x) for x in cards])
    ended = Pair.of_genesis(w)
    ended.shard.run(1, 10, [(3, seal, 0)])
    far = w.changed(w.changed(base, members=base.members[::-1]), members=two.members).whole()
    other_system = le(len(far), 4) + far + bytes([2, 0, 0, 0]) + b"".join(x.proven for x in cards)
    answer = lambda raw, begun={}, machine=pair.shard, **k: lambda: handed_in(raw, machine, begun, **k)
    invalid = lambda word: (INVALID, row(word))
    r.facts("O-53 CONFIG", [
        ("waits", (WAITS, 0), answer(op)), ("SEAL waits", (WAITS, 0), answer(seal)),
        ("busy comes first", (BUSY, 0), answer(b"", room=False)),
        ("one that began an epoch here", (DONE, 0), answer(op, {1: after.hash})),
        ("one whose number another CONFIG took", (WAITS, 0), answer(op, {1: base.hash})),
        ("a later number", (NUMBER, 0), answer(w.operation(SEAL, SHARD, 2, base.hash, b""))),
        ("another predecessor", (NUMBER, 0), answer(w.operation(SEAL, SHARD, 1, after.hash, b""))),
        ("a later number, badly signed", invalid("signatures-too-few"), answer(w.operation(SEAL, SHARD, 2, base.hash, b"", w.admins[:1]))),
        ("a later number of another cluster", invalid("foreign"), answer(w.operation(SEAL, COORDINATOR, 2, base.hash, b""))),
        ("done comes before signatures", (DONE, 0), answer(w.config(base, after, signers=w.admins[:1]), {1: after.hash})),
        ("SEAL that ended the cluster", (DONE, 0), answer(seal, machine=ended.shard)),
        ("under other signatures", (DONE, 0), answer(w.operation(SEAL, SHARD, 1, base.hash, b"", w.admins[1:]), machine=ended.shard)),
        ("after SEAL the CONFIG that might have been", (NUMBER, 0), answer(op, machine=ended.shard)),
        ("and what would follow", (NUMBER, 0), answer(w.operation(SEAL, SHARD, 2, base.hash, b""), machine=ended.shard)),
        ("but the signatures come before", invalid("signatures-too-few"), answer(
            w.config(base, after, signers=w.admins[:1]), machine=ended.shard)),
        ("the number before S-60", (NUMBER, 0), answer(w.operation(CONFIG, SHARD, 2, base.hash, other_system))),
        ("one signature short", invalid("signatures-too-few"), answer(w.config(base, after, signers=w.admins[:1]))),
        ("another cluster, with this one's hash", invalid("foreign"), answer(w.operation(SEAL, COORDINATOR, 1, base.hash, b""))),
        ("two members at once", invalid("change-too-large"), answer(w.config(base, two, cards))),
        ("a card is missing", invalid("proof-invalid"), answer(w.config(base, w.replace(base, 3, new)))),
        ("what does not decode", invalid("truncated"), answer(op[:-1])),
        ("its first byte alone", invalid("truncated"), answer(op[:1])),
        ("rows of 7.14", [1, 27], lambda: [row("file-unreadable"), row("nothing-free")])])


def of_enrolments(r, w):
    pair = Pair.of_genesis(w)
    rights = Rights(0, 0, [(3, b"k")]).encode()
    fresh = card(2, "fresh")
    first = w.file.file_hash
    enrol = lambda serial=1, before=first, who=fresh, signers=None: w.operation(ENROL, 0, serial, before, who.proven + rights, signers)
    then = Pair.of_genesis(w)
    then.decide((3, enrol(), 0))
    newest = Operation(enrol()).hash
    answer = lambda raw, machine=pair.coordinator: lambda: handed_in(raw, machine, {})
    other = bytearray(enrol())
    other[8] ^= 1
    revoked = Pair.of_genesis(w)
    revoked.decide((3, w.operation(REVOKE, 0, 1, first, w.client.id), 0))
    hash1 = Operation(w.operation(REVOKE, 0, 1, first, w.client.id)).hash
    change = w.operation(CHANGE, 0, 2, hash1, w.client.id + rights)
    lent = make_card(2, "lent", seed_of("lent", "signing"), seed_of("client", "noise"), None)

    def decided(raw):
        pair = Pair.of_genesis(w)
        pair.decide((3, raw, 0))
        return admin.newest_enrolment(pair.coordinator)[0]
    full = Pair.of_genesis(w)
    full.coordinator.config.limits["clients_max"] = 1
    r.facts("O-53 enrolment", [
        ("waits", (WAITS, 0), answer(enrol())), ("at a shard", (ELSEWHERE, 0), answer(enrol(), pair.shard)),
        ("nothing handed in", (NOTHING, 0), answer(b"")), ("nothing handed in at a shard", (ELSEWHERE, 0), answer(b"", pair.shard)),
        ("another system", (INVALID, row("foreign")), answer(bytes(other))),
        ("the newest", (DONE, 0), answer(enrol(), then.coordinator)),
        ("the newest under other signatures", (DONE, 0), answer(enrol(signers=w.admins[1:]), then.coordinator)),
        ("not the next number", (NUMBER, 0), answer(enrol(2))),
        ("another predecessor", (NUMBER, 0), answer(enrol(before=newest))),
        ("one signature short", (INVALID, row("signatures-too-few")), answer(enrol(signers=w.admins[:1]))),
        ("a client that has a record", (OTHER_CLIENT, 0), answer(enrol(who=w.client))),
        ("a revoked client", (OTHER_CLIENT, 0), answer(change, revoked.coordinator)),
        ("more than clients_max", (OTHER_CLIENT, 0), answer(enrol(), full.coordinator)),
        ("another client has its noise_key", (OTHER_CLIENT, 0), answer(enrol(who=lent))),
        ("which D-32 allows", [1], lambda: [decided(enrol(who=lent))]),
        ("a second client after the first", (WAITS, 0), answer(enrol(2, newest, card(2, "second")), then.coordinator))])


def relayed(r, w):
    """O-53, D-3: what members hold of what relays bring."""
    base, first = w.file.genesis(SHARD), w.file.file_hash
    rights = Rights(0, 0, [(3, b"k")]).encode()
    enrol = lambda serial, before, name, signers=None: w.operation(ENROL, 0, serial, before, card(2, name).proven + rights, signers)
    one, other = enrol(1, first, "one"), enrol(1, first, "other")
    again = enrol(1, first, "one", w.admins[1:])
    two = enrol(2, Operation(one).hash, "two")
    astray = enrol(2, Operation(other).hash, "two")
    three = enrol(3, Operation(two).hash, "three")
    known = w.operation(ENROL, 0, 1, first, w.client.proven + rights)
    config = w.config(base, w.changed(base))

    def held(*brought, decided=(), shard=False):
        pair, h = Pair.of_genesis(w), Held()
        machine = pair.shard if shard else pair.coordinator
        taken = [h.take(relay, raw, machine) for relay, raw in brought]
        for raw in decided:
            pair.decide((3, raw, 0))
            h.final(machine)
        return taken, sorted((relay, op.serial) for (relay, _), op in h.kept.items()), h.proposable(machine)

    def early():
        """Decided before its turn, without effect: taken and proposed again under the same hash."""
        pair, h = Pair.of_genesis(w), Held()
        h.take(0, two, pair.coordinator)
        for raw in (two, one):
            pair.decide((3, raw, 0))
            h.final(pair.coordinator)
        return h.take(0, two, pair.coordinator), h.proposable(pair.coordinator)
    r.facts("O-53 relays", [
        ("the next", ([True], [(0, 1)], [one]), lambda: held((0, one))), ("not next yet", ([True], [(0, 2)], []), lambda: held((0, two))),
        ("in the order of their numbers", [one], lambda: held((0, three), (1, two), (2, one))[2]),
        ("after the first the second", [two], lambda: held((0, three), (1, two), (2, one), decided=[one])[2]),
        ("what is settled is dropped", [(0, 3), (1, 2)], lambda: held((0, three), (1, two), (2, one), decided=[one])[1]),
        ("the next one of another predecessor is, too", [], lambda: held((0, astray), decided=[one])[1]),
        ("one that D-32 does not allow", [False], lambda: held((0, known))[0]), ("one of too few", [False], lambda: held((0, enrol(
            1, first, "one", w.admins[:1])))[0]),
        ("two sets of signatures, of two relays", [one, again], lambda: held((0, one), (1, again))[2]),
        ("of one relay", [True, False], lambda: held((0, one), (0, again))[0]),
        ("one set twice, of two relays", [one, one], lambda: held((0, one), (1, one))[2]),
        ("an enrolment at a shard", [False], lambda: held((0, one), shard=True)[0]), ("a CONFIG", [config], lambda: held((0, config), shard=True)[2]),
        ("a CONFIG of another cluster", [False], lambda: held((0, config))[0]), ("decided before its turn", (False, [two]), early)])


def announcements(r, w):
    pair, base = Pair.of_genesis(w), w.file.genesis(SHARD)
    nodes = [w.node("announced-%d" % i) for i in range(6)]
    ops = [w.config(base, w.replace(base, 3, x), [x]) for x in nodes]
    again = w.config(base, w.replace(base, 3, nodes[0]), [nodes[0]], w.admins[1:])
    seal = w.operation(SEAL, SHARD, 1, base.hash, b"")
    few = w.config(base, w.replace(base, 3, nodes[1]), [nodes[1]], w.admins[:1])
    few_of_fifth = w.config(base, w.replace(base, 3, nodes[4]), [nodes[4]], w.admins[:1])
    next_ = w.changed(base)
    later = w.config(next_, w.replace(next_, 3, nodes[0]), [nodes[0]])
    take = lambda a, raw: a.take(raw, pair.shard, {})

    def after(*shown):
        a = Announced()
        for raw in shown:
            take(a, raw)
        return a
    new = [x.noise_key for x in nodes]

    def keys(*shown):
        return after(*shown).keys

    def begun():
        a = after(*ops[:4])
        a.epoch_began()
        return a.keys, take(a, ops[5])
    r.facts("O-55, S-81", [
        ("one that would have an effect", (WAITS, 0), lambda: take(after(), ops[0])),
        ("it lets in the new member", {nodes[0].noise_key}, lambda: keys(ops[0])),
        ("a CONFIG without new members lets in nobody", set(), lambda: keys(w.config(base, w.changed(base)))),
        ("one signature short", (INVALID, row("signatures-too-few")), lambda: take(after(), few)),
        ("what is refused takes no place", {nodes[0].noise_key}, lambda: keys(ops[0], few)),
        ("SEAL", (INVALID, row("field-range")), lambda: take(after(), seal)),
        ("nothing", (INVALID, row("truncated")), lambda: take(after(), b"")),
        ("what does not decode", (INVALID, row("format-unknown")), lambda: take(after(), ops[0][:1] + b"\2" + ops[0][2:])),
        ("SEAL of another number", (INVALID, row("field-range")), lambda: take(after(), w.operation(SEAL, SHARD, 2, base.hash, b""))),
        ("an enrolment", (INVALID, row("field-range")), lambda: take(after(), w.operation(REVOKE, 0, 1, w.file.file_hash, w.client.id))),
        ("another number", (NUMBER, 0), lambda: take(after(), later)),
        ("one that began an epoch", (DONE, 0), lambda: after().take(ops[0], pair.shard, {1: w.replace(base, 3, nodes[0]).hash})),
        ("one that is invalid, when four are kept", (INVALID, row("signatures-too-few")), lambda: take(after(*ops[:4]), few_of_fifth)),
        ("one of another number, when four are", (NUMBER, 0), lambda: take(after(*ops[:4]), later)),
        ("one that is kept, signed by too few now", (INVALID, row("signatures-too-few")), lambda: take(after(ops[1]), few)),
        ("which keeps it", {nodes[1].noise_key}, lambda: keys(ops[1], few)),
        ("another beside it", set(new[:2]), lambda: keys(*ops[:2])),
        ("four beside one another", (WAITS, 0), lambda: take(after(*ops[:3]), ops[3])),
        ("a fifth", (BUSY, 0), lambda: take(after(*ops[:4]), ops[4])),
        ("a fifth changes nothing", set(new[:4]), lambda: keys(*ops[:5])),
        ("one that is kept, when four are", (WAITS, 0), lambda: take(after(*ops[:4]), ops[1])),
        ("one that is kept, under other signatures", (WAITS, 0), lambda: take(after(*ops[:4]), again)),
        ("which is no other one", (WAITS, 0), lambda: take(after(ops[0], again, *ops[1:3]), ops[3])),
        ("an epoch begins", (set(), (WAITS, 0)), begun)])


def states(r, w):
    pair = Pair.of_genesis(w)
    q = Question(b"nonce-08" + b"operation")
    raw = admin.state(q.nonce, (INVALID, row("serial")), pair.coordinator, 7)
    s = State(raw)
    r.facts("ADMIN_STATE", [
        ("length", admin.STATE, lambda: len(raw)), ("question", (b"nonce-08", b"operation"), lambda: (q.nonce, q.operation)),
        ("answer", (b"nonce-08", INVALID, 24), lambda: (s.nonce, s.code, s.row)),
        ("clients", (1, 65536), lambda: (s.clients, s.clients_max)),
        ("newest enrolment", (0, w.file.file_hash), lambda: (s.number, s.hash)),
        ("state", (7, COORDINATOR), lambda: (s.height, s.cluster))])
    change = lambda at, value: lambda: State(raw[:at] + value + raw[at + len(value):])
    r.words("ADMIN_STATE", [
        ("as it is", "ok", lambda: State(raw)), ("code 8", "field-range", change(8, b"\x08")),
        ("a row with code 1", "field-range", change(8, b"\x01")), ("code 4 without a row", "field-range", change(9, b"\0")),
        ("a row that 7.14 lacks", "field-range", change(9, b"\x1c")), ("zero", "field-range", change(10, b"\x01")),
        ("the last zero", "field-range", change(75, b"\x01")), ("a byte less", "truncated", lambda: State(raw[:-1])),
        ("a byte more", "truncated", lambda: State(raw + b"\0")), ("a question of 7 bytes", "truncated", lambda: Question(bytes(7)))])


def numbers(r, w):
    """O-30.3, O-50: whose numbers a CLIENT-STATE may ask for."""
    me, another = w.client.id, b"\7" * 32
    state = lambda who: bytes([10, 0, 0, 0]) + le(32, 4) + bytes(4) + who
    all_, reads_, writes = (Rights(0, 0, [(flags, b"")]) for flags in (3, 1, 2))
    some = Rights(0, 0, [(3, b"a"), (1, b"b")])

    def machine(rights):
        m = Pair.of_genesis(w).coordinator
        m.put(b"k" + me, m.get(b"k" + me)[:144] + rights.encode())
        return m

    def admitted(rights, who):
        """The code of the answer in the block, or None."""
        box = machine(rights).run(1, 10, [(2, w.batch([(SHARD, 0, 1, 1, [put(b"a", b""), state(who)])]), 0)])
        return [body[9] for leaf, body in box if leaf[0] == 2]
    asked = lambda rights, who: Relay(machine(rights)).refuse(w.batch([(SHARD, 0, 0, 0, [state(who)])], 1), me, 0)
    r.facts("O-30.3", [
        ("its own numbers", [], lambda: admitted(some, me)), ("another's", [RIGHTS], lambda: admitted(some, another)),
        ("another's, who may read every key", [], lambda: admitted(all_, another)),
        ("another's, who may write every key and read some", [RIGHTS], lambda: admitted(Rights(0, 0, [(2, b""), (1, b"a")]), another))])
    r.facts("O-50, O-30.3", [
        ("its own numbers", None, lambda: asked(some, me)), ("its own without any right", None, lambda: asked(Rights(0, 0, []), me)),
        ("another's", (RIGHTS, 0), lambda: asked(some, another)), ("another's, who may read every key", None, lambda: asked(reads_, another)),
        ("another's, who may write every key", (RIGHTS, 0), lambda: asked(writes, another))])


def reads(r, w):
    def relay(rights):
        pair = Pair.of_genesis(w)
        key = b"k" + w.client.id
        rec = pair.coordinator.get(key)
        pair.coordinator.put(key, rec[:144] + rights.encode())
        return Relay(pair.coordinator)
    batch = lambda *keys: w.batch([(SHARD, 0, 0, 0, [get(k) for k in keys])], 1)
    all_, some = Rights(0, 0, [(3, b"")]), Rights(0, 0, [(2, b"a"), (1, b"b")])
    poor = Rights(3, 4, [(3, b"")])
    me = w.client.id

    def asked(rights, *times_and_batches):
        node = relay(rights)
        return [node.refuse(b, me, now) for now, b in times_and_batches][-1]

    def strange():
        """A state that does not know the client."""
        m = Pair.of_genesis(w).coordinator
        m.put(b"k" + me, None)
        return m

    revoked = Pair.of_genesis(w)
    revoked.decide((3, w.operation(REVOKE, 0, 1, w.file.file_hash, me), 0))
    forged = w.batch([(SHARD, 0, 1, 1, [put(b"bb", b"")])])
    forged.signature = bytes([forged.signature[0] ^ 1]) + forged.signature[1:]
    four, one = batch(b"a", b"b", b"c", b"d"), batch(b"a")
    r.facts("O-50", [
        ("in its own name", None, lambda: relay(all_).refuse(one, me, 0)),
        ("in another's name", RIGHTS, lambda: relay(all_).refuse(one, bytes(32), 0)[0]),
        ("a key that it may read", None, lambda: asked(some, (0, batch(b"bb")))),
        ("a key that it may only write", (RIGHTS, 0), lambda: asked(some, (0, batch(b"bb", b"a")))),
        ("a key that it may only read, to be written: admission's matter", None,
         lambda: asked(some, (0, w.batch([(SHARD, 0, 1, 1, [put(b"bb", b"")])])))),
        ("a revoked client", (REVOKED, 0), lambda: Relay(revoked.coordinator).refuse(one, me, 0)),
        ("the first use starts full", None, lambda: asked(poor, (0, four))),
        ("then one must wait for 1000 thousandths at 3 a ms", (QUOTA, 334), lambda: asked(poor, (0, four), (0, one))),
        ("one ms too soon", (QUOTA, 1), lambda: asked(poor, (0, four), (333, one))),
        ("soon enough", None, lambda: asked(poor, (0, four), (334, one))),
        ("a refusal takes nothing", None, lambda: asked(poor, (0, four), (333, one), (334, one))),
        ("no more than the burst is saved up", (QUOTA, 334), lambda: asked(poor, (0, one), (10 ** 9, four), (10 ** 9, one))),
        ("more than the bucket can hold", (QUOTA, 334), lambda: asked(poor, (0, batch(*[b"a"] * 5)))),
        ("is never taken", (QUOTA, 334), lambda: asked(poor, (0, batch(*[b"a"] * 5)), (10 ** 9, batch(*[b"a"] * 5)))),
        ("busy", (NO_ROOM, 77), lambda: relay(all_).refuse(one, me, 0, 77)),
        ("busy before RIGHTS of its keys", NO_ROOM, lambda: relay(some).refuse(batch(b"a"), me, 0, 77)[0]),
        ("RIGHTS of its name before busy", (RIGHTS, 0), lambda: relay(all_).refuse(one, bytes(32), 0, 77)),
        ("REVOKED before busy", (REVOKED, 0), lambda: Relay(revoked.coordinator).refuse(one, me, 0, 77)),
        ("a write's signature", (MALFORMED, 0), lambda: relay(all_).refuse(forged, me, 0)),
        ("busy before it", NO_ROOM, lambda: relay(all_).refuse(forged, me, 0, 77)[0]),
        ("retry_ms is a u32", (NO_ROOM, 2**32 - 1), lambda: relay(all_).refuse(one, me, 0, 2**33)),
        ("in the name of nobody", (RIGHTS, 0), lambda: Relay(strange()).refuse(one, bytes(32), 0)),
        ("without a quota", None, lambda: asked(all_, (0, four), (0, four)))])
    write = w.batch([(SHARD, 0, 1, 1, [put(b"bb", b"")])])
    r.facts("D-3", [
        ("a batch", True, lambda: held(Pair.of_genesis(w).coordinator, write)),
        ("signed wrong", False, lambda: held(Pair.of_genesis(w).coordinator, forged)),
        ("reads", True, lambda: held(Pair.of_genesis(w).coordinator, one)),
        ("of a client not known yet", None, lambda: held(strange(), write)), ("its reads", None, lambda: held(strange(), one)),
        ("of one who was revoked", True, lambda: held(revoked.coordinator, write))])
    r.facts("O-51", [
        ("REFUSED", bytes(32) + bytes([MALFORMED]) + bytes(7), lambda: refused(None, MALFORMED, 0)),
        ("with a time", b"\1" * 32 + bytes([QUOTA, 0, 0, 0]) + le(334, 4), lambda: refused(b"\1" * 32, QUOTA, 334))])
