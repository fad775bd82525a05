"""What administrators and askers say to one member: ADMIN, ANNOUNCE, ADMIN_STATE (5.7), observers (S-81), who is let in
(L-13, O-54), who is told which chain (S-103).

How the text was read where it says less than a program must know:
- O-53: "the SEAL ended the cluster" is told by its hash (S-71), under whichever signatures; so is an enrolment that is the newest.
- O-53: "another client has its noise_key": any on record, a revoked one too.
- O-53: what a relay brings is held if it is signed well enough now (D-3: a CONFIG or SEAL, if it has an effect now) and not left behind.
- S-103: who may not be told a cluster's chain is not answered.
"""
from config import CONFIG, ENROL, SEAL, Operation, new_members
from consensus import ENTRIES_MAX
from links import CLIENT, FRAME_MAX, MEMBER, OBSERVER, OTHER_NODE
from wire import Bad, Reader, le, need

NOTHING, WAITS, DONE, NUMBER, INVALID, OTHER_CLIENT, BUSY, ELSEWHERE = range(8)
ROWS = ("file-unreadable file-exists file-in-use file-open-mode too-large truncated not-json not-canonical field-missing "
        "field-unknown field-type field-range format-unknown id-mismatch key-invalid proof-invalid signature-invalid "
        "signatures-too-few key-twice name-twice order limits-conflict foreign serial change-too-large certificate nothing-free").split()
STATE, CHAIN_HEAD = 76, 16
KEPT = 4  # S-81: CONFIGs beside one another in one epoch


def row(word):
    """7.14, from 1."""
    return ROWS.index(word) + 1


class Question:
    """O-53, O-55: the payload of ADMIN and of ANNOUNCE."""

    def __init__(self, raw):
        r = Reader(raw)
        self.nonce, self.operation = r.take(8), r.rest()


class State:
    """ADMIN_STATE."""

    def __init__(self, raw):
        r = Reader(raw)
        self.nonce, self.code, self.row = r.take(8), r.ranged(1, 0, 7), r.ranged(1, 0, len(ROWS))
        r.zero(2)
        self.clients, self.clients_max, self.number, self.hash = r.u(4), r.u(4), r.u(8), r.take(32)
        self.height, self.cluster = r.u(8), r.u(4)
        r.zero(4)
        r.end()
        need((self.code == INVALID) == (self.row != 0), "field-range")


def state(nonce, answer, machine, height):
    """ADMIN_STATE of a member whose final state is the machine's; answer is (code, row)."""
    r = Reader(machine.get(b"e") or bytes(44))
    number, newest, clients = r.u(8), r.take(32), r.u(4)
    return (nonce + bytes(answer) + bytes(2) + le(clients, 4) + le(machine.config.limits["clients_max"], 4) + le(number, 8)
            + newest + le(height, 8) + le(machine.cluster, 4) + bytes(4))


def handed_in(raw, machine, begun, room=True):
    """O-53: (code, row); begun: serial -> config_hash of the epochs that are known here."""
    if not room:
        return BUSY, 0
    if not raw:
        return (NOTHING if machine.coordinator else ELSEWHERE), 0
    try:
        op = Operation(raw)
    except Bad as e:
        return INVALID, row(e.word)
    return config_code(op, machine, begun) if op.kind in (CONFIG, SEAL) else enrolment_code(op, machine)


def code_of(f, *args):
    """4 with the row of the error, or None."""
    try:
        f(*args)
    except Bad as e:
        return INVALID, row(e.word)
    return None


def config_code(op, machine, begun):
    """Of a CONFIG or SEAL."""
    now = machine.config
    if op.kind == CONFIG and begun.get(op.serial) == op.config.hash or op.kind == SEAL and machine.sealed == op.hash:
        return DONE, 0

    def signed_here():
        op.signed_by(now)
        need(op.cluster == now.cluster, "foreign")
    bad = code_of(signed_here)
    if bad:
        return bad
    if machine.sealed or op.serial != now.serial + 1 or op.predecessor != now.hash:
        return NUMBER, 0
    return code_of(op.effect, now, machine.genesis_of[machine.cluster].limits) or (WAITS, 0)


def newest_enrolment(machine):
    """D-32: number, hash, clients."""
    r = Reader(machine.get(b"e"))
    return r.u(8), r.take(32), r.u(4)


def noise_key_taken(op, machine):
    """An ENROL whose noise_key another client on record has (D-31: the card's binary form from byte 12 on, S-11)."""
    records = ((k[1:], v[0]) for k, v in machine.system.items() if k[:1] == b"k")
    return op.kind == ENROL and any(client != op.client_id and raw[80:112] == op.card.noise_key for client, raw in records)


def enrolment_code(op, machine):
    if not machine.coordinator:
        return ELSEWHERE, 0
    if op.system_id != machine.config.system_id:
        return INVALID, row("foreign")
    number, newest, clients = newest_enrolment(machine)
    if op.hash == newest:
        return DONE, 0
    if op.serial != number + 1 or op.predecessor != newest:
        return NUMBER, 0
    bad = code_of(op.signed_by, machine.config)
    if bad:
        return bad
    return (WAITS if machine.allows(op, clients) and not noise_key_taken(op, machine) else OTHER_CLIENT), 0


def left_behind(op, machine):
    """O-53: of an enrolment, by final state."""
    if not machine.coordinator:
        return True
    number, newest, clients = newest_enrolment(machine)
    if op.serial != number + 1:
        return op.serial <= number
    return op.predecessor != newest or not machine.allows(op, clients)


class Held:
    """O-53: what a member holds of what relays brought; of one operation under several sets of signatures, one of each relay."""

    def __init__(self):
        self.kept = {}  # (relay, hash) -> operation

    def take(self, relay, raw, machine):
        op = Operation(raw)
        if (relay, op.hash) in self.kept or not self.wanted(op, machine):
            return False
        self.kept[relay, op.hash] = op
        return True

    @staticmethod
    def wanted(op, machine):
        if op.kind in (CONFIG, SEAL):
            return not machine.sealed and code_of(op.effect, machine.config, machine.genesis_of[machine.cluster].limits) is None
        return code_of(op.signed_by, machine.config) is None and not left_behind(op, machine)

    def final(self, machine):
        """After a final block."""
        self.kept = {k: op for k, op in self.kept.items() if self.wanted(op, machine)}

    def proposable(self, machine):
        """What a leader may name now: of enrolments those whose number is the next."""
        next_ = newest_enrolment(machine)[0] + 1 if machine.coordinator else 0
        return [op.raw for _, op in sorted(self.kept.items(), key=lambda x: x[0][0]) if op.kind in (CONFIG, SEAL) or op.serial == next_]


class Announced:
    """S-81: the CONFIGs that a member was shown before one of them is to be decided."""

    def __init__(self):
        self.kept = {}  # hash -> noise keys of its new members

    @property
    def keys(self):
        return set().union(*self.kept.values())

    def take(self, raw, machine, begun):
        """O-55: (code, row) of an ANNOUNCE; what is kept already is answered by the signatures that it has now."""
        bad = code_of(Operation, raw)
        if bad:
            return bad
        op = Operation(raw)
        if op.kind != CONFIG:
            return INVALID, row("field-range")
        answer = config_code(op, machine, begun)
        if answer[0] != WAITS or op.hash in self.kept:
            return answer
        if len(self.kept) >= KEPT:
            return BUSY, 0
        self.kept[op.hash] = {m[2] for m in new_members(machine.config, op.config)}
        return answer

    def epoch_began(self):
        self.kept = {}


def let_in(system, machine, announced, removed=()):
    """L-13: the static keys that a member takes; removed: of members that CONFIG removed and that L-47 allows."""
    nodes = {n.noise_key for c in system.clusters if c.number != machine.cluster for n in c.nodes}
    own = {m[2] for m in machine.config.members}
    return nodes | own | set(removed) | announced.keys | machine.clients_let_in(system)


class ConfigQuery:
    """S-103."""

    def __init__(self, raw):
        r = Reader(raw)
        self.cluster = r.u(4)
        r.zero(4)
        self.first = r.u(8)
        r.end()
        need(self.first >= 1, "field-range")


def chain_answer(query, own, chains, role, frame_max=FRAME_MAX):
    """S-103: the payload of CONFIG_CHAIN, or None; chains: cluster -> entries from serial 1, of the own cluster and its pairs.
    frame_max: what the asker accepts (L-24)."""
    need(role in (MEMBER, OBSERVER, OTHER_NODE, CLIENT), "frame_type")
    if query.cluster != own and role not in (MEMBER, OBSERVER) or query.cluster not in chains:
        return None
    entries, left = [], frame_max - CHAIN_HEAD
    for e in chains[query.cluster][query.first - 1:][:ENTRIES_MAX]:
        left -= 4 + len(e)
        if left < 0:
            break
        entries.append(le(len(e), 4) + e)
    return le(query.cluster, 4) + le(len(entries), 4) + le(query.first, 8) + b"".join(entries)
