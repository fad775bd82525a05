"""Checks of our own for chapter 6: who may send which type (C-12, L-26), whom a responder lets in (L-13)."""
from admin import Announced, let_in
from config import CHANGE, REVOKE
from links import (CLIENT, CONTROL, COORDINATOR, MEMBER, OBSERVER, OTHER_NODE, TABLE, TYPES, Receiver, Refused, allowed, frame,
                   initiate, respond)
from spec_text import message_types
from wire import le
from world import SHARD, Pair, card, noise_secret, world
from x25519 import public

HELLO = bytes.fromhex("01000100000010000000000000000000")
ENDS = [(MEMBER, MEMBER), (MEMBER, OBSERVER), (OBSERVER, MEMBER), (OBSERVER, OBSERVER), (OTHER_NODE, OTHER_NODE),
        (CLIENT, COORDINATOR), (CLIENT, MEMBER), (COORDINATOR, CLIENT), (MEMBER, CLIENT)]


def word(f, *args):
    try:
        f(*args)
    except Refused as e:
        return str(e)
    return "ok"


def sent(type_, sender, receiver):
    reader = Receiver(1, 1 << 20, allowed(sender, receiver))
    reader.take(frame(1, HELLO))
    return word(reader.take, frame(type_, b""))


def add(r, vectors):
    r.facts("C-12 as its text has it", [
        ("types, senders and receivers", ({t: (set(a), set(b)) for t, (a, b) in TABLE.items()}, set(CONTROL)), lambda: message_types(vectors))])
    table(r)
    responder(r)


def table(r):
    may = {(CLIENT, MEMBER): {0x10d, 0x10f, 0x113, 0x304, 0x306, 0x308}, (OBSERVER, OBSERVER): set(range(0x101, 0x10c)),
           (CLIENT, COORDINATOR): {0x10d, 0x10f, 0x113, 0x301, 0x304, 0x306, 0x308},
           (OBSERVER, MEMBER): set(range(0x101, 0x10c)) | {0x10d, 0x10f, 0x112, 0x113},
           (OTHER_NODE, OTHER_NODE): {0x113, 0x114, 0x201, 0x202, 0x203, 0x204},
           (MEMBER, CLIENT): {0x10e, 0x110, 0x114, 0x305, 0x307},
           (COORDINATOR, CLIENT): {0x10e, 0x110, 0x114, 0x302, 0x303, 0x305, 0x307},
           (MEMBER, MEMBER): set(range(0x101, 0x115)),
           (MEMBER, OBSERVER): set(range(0x101, 0x115)) - {0x107, 0x10a, 0x10b, 0x10c, 0x10d, 0x10f, 0x112, 0x113}}
    for ends in ENDS:
        got = [t for t in TABLE if sent(t, *ends) == "ok"]
        r.equal("own C-12: %s to %s" % ends, sorted(may[ends]), sorted(got))
    r.facts("C-12", [
        ("ANNOUNCE of a client", "ok", lambda: sent(0x308, CLIENT, MEMBER)),
        ("ANNOUNCE of a member", "frame_type", lambda: sent(0x308, MEMBER, MEMBER)),
        ("ANNOUNCE of an observer", "frame_type", lambda: sent(0x308, OBSERVER, MEMBER)),
        ("ANNOUNCE of a node of another cluster", "frame_type", lambda: sent(0x308, OTHER_NODE, OTHER_NODE)),
        ("ANNOUNCE to a client", "frame_type", lambda: sent(0x308, MEMBER, CLIENT)),
        ("a type that the table lacks", "frame_type", lambda: sent(0x309, CLIENT, MEMBER)),
        ("every other type that it lacks", {"frame_type"},
         lambda: {sent(t, *ends) for t in set(range(0x400)) - TYPES for ends in ((CLIENT, MEMBER), (MEMBER, MEMBER))}),
        ("a link's own frames", set(CONTROL), lambda: set.intersection(*(allowed(*ends) for ends in ENDS)))])


def responder(r):
    w = world()
    old, new, other = Pair.of_genesis(w), w.node("new"), w.node("newer")
    member, secret = w.nodes[SHARD][0], noise_secret("s-0")
    config = w.file.genesis(SHARD)
    announce = lambda x: w.config(config, w.replace(config, 3, x), [x])

    def knock(name, machine, announced, removed=()):
        s = noise_secret(name)
        first, _ = initiate(1, 1, w.system_id, s, b"\x01" * 32, member.noise_key)
        known = let_in(w.file, machine, announced, removed)
        return word(respond, first, (1, 1), (1,), w.system_id, secret, b"\x02" * 32, known)

    def after(*shown, ended=False):
        a = Announced()
        for x in shown:
            a.take(announce(x), old.shard, {})
        if ended:
            a.epoch_began()
        return a
    later = Pair.of_genesis(w)
    enrolled = w.operation(REVOKE, 0, 1, w.file.file_hash, w.client.id)
    later.decide((3, enrolled, 0))
    unchanged = Pair.of_genesis(w)
    rights = w.file.clients[0].rights.encode()
    unchanged.decide((3, w.operation(CHANGE, 0, 1, w.file.file_hash, w.client.id + rights), 0))
    gone = card(1, "gone")
    r.facts("L-13", [
        ("the card's key is the scalar's", member.noise_key, lambda: public(secret)),
        ("a member", "ok", lambda: knock("s-1", old.shard, after())),
        ("a node of another cluster", "ok", lambda: knock("c-1", old.shard, after())),
        ("a client", "ok", lambda: knock("client", old.shard, after())),
        ("a stranger", "key_unknown", lambda: knock("new", old.shard, after())),
        ("one that observes by S-81", "ok", lambda: knock("new", old.shard, after(new))),
        ("one of a CONFIG beside which another came", "ok", lambda: knock("new", old.shard, after(new, other))),
        ("one of the CONFIG beside it", "ok", lambda: knock("newer", old.shard, after(new, other))),
        ("one that observed, after an epoch began", "key_unknown", lambda: knock("new", old.shard, after(new, ended=True))),
        ("a removed member that L-47 allows", "ok", lambda: knock("gone", old.shard, after(), [gone.noise_key])),
        ("a removed member that it does not", "key_unknown", lambda: knock("gone", old.shard, after())),
        ("a client whose rights changed", "ok", lambda: knock("client", unchanged.coordinator, after())),
        ("a revoked client at a coordinator", "key_unknown", lambda: knock("client", later.coordinator, after())),
        ("a revoked client at a shard", "key_unknown", lambda: knock("client", later.shard, after())),
        ("a limit of the header comes before the payload", "frame_length", long_announce)])


def long_announce():
    """L-23, L-24: one byte more than the receiver stated."""
    reader = Receiver(1, 1 << 20, allowed(CLIENT, MEMBER))
    reader.take(frame(1, HELLO))
    return word(reader.take, le((1 << 20) + 1, 4) + le(0x308, 2) + bytes(2))
