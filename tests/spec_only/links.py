"""Links: preamble, Noise IK, records and frames (chapter 6)."""
import hashlib
import hmac

from aead import AesGcm, ChaChaPoly, rekey
from x25519 import public, x25519

SUITES = {1: ("Noise_IK_25519_ChaChaPoly_SHA256", ChaChaPoly), 2: ("Noise_IK_25519_AESGCM_SHA256", AesGcm)}
REKEY_RECORDS, FRAME_MAX = 65536, 33554432
CONTROL = {1: 16, 2: 8, 3: 8, 4: 4}
# C-12: who sends a type to whom; a link's own frames are not in it
MEMBER, OBSERVER, OTHER_NODE, CLIENT = "member", "observer", "node of another cluster", "client"
COORDINATOR = "coordinator member"  # a member, of whom clients ask more
INSIDE, ANYONE, ASKERS = (MEMBER, OBSERVER), (MEMBER, OBSERVER, OTHER_NODE, CLIENT), (MEMBER, OBSERVER, CLIENT)
TABLE = {
    0x101: ((MEMBER,), INSIDE), 0x102: ((MEMBER,), INSIDE), 0x103: ((MEMBER,), INSIDE), 0x104: ((MEMBER,), INSIDE),
    0x105: ((MEMBER,), INSIDE), 0x106: ((MEMBER,), INSIDE), 0x107: (INSIDE, (MEMBER,)), 0x108: ((MEMBER,), INSIDE),
    0x109: (INSIDE, INSIDE), 0x10a: ((MEMBER,), (MEMBER,)), 0x10b: ((MEMBER,), (MEMBER,)), 0x10c: ((MEMBER,), (MEMBER,)),
    0x10d: (ASKERS, (MEMBER,)), 0x10e: ((MEMBER,), ASKERS), 0x10f: (ASKERS, (MEMBER,)), 0x110: ((MEMBER,), ASKERS),
    0x111: ((MEMBER,), INSIDE), 0x112: (INSIDE, (MEMBER,)), 0x113: (ANYONE, (MEMBER,)), 0x114: ((MEMBER,), ANYONE),
    0x201: ((OTHER_NODE,), (MEMBER,)), 0x202: ((MEMBER,), (OTHER_NODE,)), 0x203: ((OTHER_NODE,), (MEMBER,)),
    0x204: ((MEMBER,), (OTHER_NODE,)), 0x301: ((CLIENT,), (COORDINATOR,)), 0x302: ((COORDINATOR,), (CLIENT,)),
    0x303: ((COORDINATOR,), (CLIENT,)), 0x304: ((CLIENT,), (MEMBER,)), 0x305: ((MEMBER,), (CLIENT,)),
    0x306: ((CLIENT,), (MEMBER,)), 0x307: ((MEMBER,), (CLIENT,)), 0x308: ((CLIENT,), (MEMBER,))}
TYPES = set(CONTROL) | set(TABLE)
OF_MEMBERS = set(range(0x101, 0x10c))  # what a member that CONFIG removed sends as long as it does not know it


def allowed(sender, receiver):
    """L-26: the types that one end of a link may send to the other. Of two nodes of different clusters each is the table's
    member to itself and the other node to its peer, so both directions of the table hold."""
    pairs = [(MEMBER, OTHER_NODE), (OTHER_NODE, MEMBER)] if sender == receiver == OTHER_NODE else [(sender, receiver)]
    names = lambda role: {role, MEMBER} if role == COORDINATOR else {role}
    more = OF_MEMBERS if sender == OBSERVER and receiver in INSIDE else set()
    return set(CONTROL) | more | {t for t, (a, b) in TABLE.items() for x, y in pairs if names(x) & set(a) and names(y) & set(b)}


class Refused(Exception):
    pass


def refuse_if(bad, word):
    if bad:
        raise Refused(word)


def _mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf2(ck, data):
    t = _mac(ck, data)
    a = _mac(t, b"\x01")
    return a, _mac(t, a + b"\x02")


class Symmetric:
    def __init__(self, suite, prologue, responder_static):
        name, self.cls = SUITES[suite]
        self.h = name.encode().ljust(32, b"\0")  # both names have at most 32 bytes
        self.ck, self.k, self.n = self.h, None, 0
        self.mix_hash(prologue)
        self.mix_hash(responder_static)

    def mix_hash(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_dh(self, private, pub):
        out = x25519(private, pub)
        refuse_if(out == bytes(32), "handshake")
        self.ck, self.k = hkdf2(self.ck, out)
        self.n = 0

    def encrypt(self, plain):
        out = self.cls(self.k).seal(self.n, self.h, plain)
        self.n += 1
        self.mix_hash(out)
        return out

    def decrypt(self, sealed):
        out = self.cls(self.k).open(self.n, self.h, sealed)
        refuse_if(out is None, "handshake")
        self.n += 1
        self.mix_hash(sealed)
        return out

    def split(self):
        return hkdf2(self.ck, b"")


def preamble(version, suite):
    return b"HRCL" + version.to_bytes(2, "little") + bytes([suite, 0])


def initiate(suite, version, system_id, s_priv, e_priv, rs):
    pre = preamble(version, suite)
    y = Symmetric(suite, pre + system_id, rs)
    e = public(e_priv)
    y.mix_hash(e)
    y.mix_dh(e_priv, rs)
    s = y.encrypt(public(s_priv))
    y.mix_dh(s_priv, rs)
    return pre + e + s + y.encrypt(b""), y


def finish(y, s_priv, e_priv, second):
    """The initiator reads the second message."""
    refuse_if(len(second) != 48, "handshake")
    re = second[:32]
    y.mix_hash(re)
    y.mix_dh(e_priv, re)
    y.mix_dh(s_priv, re)
    refuse_if(y.decrypt(second[32:]) != b"", "handshake")
    return y.split()


def respond(first, versions, suites, system_id, s_priv, e_priv, known):
    """L-4, L-13: the second message, or Refused with the word."""
    refuse_if(first[:4] != b"HRCL", "preamble")
    refuse_if(not versions[0] <= int.from_bytes(first[4:6], "little") <= versions[1], "version_unknown")
    suite = first[6]
    refuse_if(suite not in SUITES or suite not in suites, "suite")
    refuse_if(first[7] != 0, "preamble")
    refuse_if(len(first) != 104, "handshake")
    y = Symmetric(suite, first[:8] + system_id, public(s_priv))
    e = first[8:40]
    y.mix_hash(e)
    y.mix_dh(s_priv, e)
    s = y.decrypt(first[40:88])
    refuse_if(s not in known, "key_unknown")
    y.mix_dh(s_priv, s)
    refuse_if(y.decrypt(first[88:104]) != b"", "handshake")
    re = public(e_priv)
    y.mix_hash(re)
    y.mix_dh(e_priv, e)
    y.mix_dh(e_priv, s)
    return re + y.encrypt(b""), y.split()


class Direction:
    """One direction's records: sealing and opening, with the change of keys."""

    def __init__(self, suite, key, number=0):
        self.cls, self.key, self.number = SUITES[suite][1], key, number

    def _change(self):
        if self.number and self.number % REKEY_RECORDS == 0:
            self.key = rekey(self.cls, self.key)

    def seal(self, plain):
        self._change()
        sealed = self.cls(self.key).seal(self.number, b"", plain)
        self.number += 1
        return len(sealed).to_bytes(2, "little") + sealed

    def open(self, wire):
        refuse_if(len(wire) < 2, "record")
        n = int.from_bytes(wire[:2], "little")
        refuse_if(not 17 <= n <= 16400 or len(wire) != 2 + n, "record")
        self._change()
        plain = self.cls(self.key).open(self.number, b"", wire[2:])
        refuse_if(plain is None, "record")
        self.number += 1
        return plain


def frame(type_, payload):
    return len(payload).to_bytes(4, "little") + type_.to_bytes(2, "little") + bytes(2) + payload


class Receiver:
    """What a peer's frames do to the link (L-18, L-23 to L-28)."""

    def __init__(self, version, stated_max, types):
        self.version, self.limit, self.types, self.hello = version, min(stated_max, FRAME_MAX), types, False

    def take(self, plain):
        out = []
        while plain:
            refuse_if(len(plain) < 8, "truncated")
            n, type_ = int.from_bytes(plain[:4], "little"), int.from_bytes(plain[4:6], "little")
            refuse_if(plain[6:8] != bytes(2), "frame_header")
            refuse_if((type_ == 1) == self.hello, "hello")
            refuse_if(type_ not in self.types, "frame_type")
            refuse_if(n > self.limit, "frame_length")
            refuse_if(type_ in CONTROL and n != CONTROL[type_], "hello" if type_ == 1 else "control")
            payload, plain = plain[8:8 + n], plain[8 + n:]
            refuse_if(len(payload) != n, "truncated")
            if type_ == 1:
                low, high = int.from_bytes(payload[:2], "little"), int.from_bytes(payload[2:4], "little")
                refuse_if(not low <= self.version <= high or payload[8:] != bytes(8), "hello")
                self.hello = True
            refuse_if(type_ == 4, "goodbye")
            out.append((type_, payload))
        return out
