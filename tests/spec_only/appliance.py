"""The bundle of an appliance, its settings, card requests, and what is accepted (chapter 9, 7.7).

How the text was read where it says less than a program must know:
- A-3: a BEGIN line at the end of the text without its own end is one.
- A-7, A-8: that the other of mac and name stands already is found in the record's order, before what is missing.
- A-7: a port that is set and lacking is not made up for by the one that the image names.
- A-10: neither in the image nor typed: `field-missing`.
- A-14: data are made after the bundle was accepted; A-16: a kept bundle that fails counts as none.
- S-90: of an entry the name goes before its value, `admin` before `link`. A name that S-5 does not allow is `foreign` whatever its characters.
"""
import base64
import re

import ed25519
from cards import POP, is_name
from config import SETTING, endpoint, text as short_text
from succession import Statement, follows
from sysfile import SystemFile, TWO53, canonical, hexa, integer, names, parse, text
from wire import H, Bad, Reader, le, need, tag

TEXT_MAX = 8388608
KEY = re.compile("[0-9a-f]{64}")
KINDS = [("NODE CONFIG", 18752), ("SYSTEM", 8388608), ("ADDRESSES", 4194304), ("CHAIN", 2097152),
         ("ADMIN CERTIFICATE", 65536), ("SYSLOG CA", 65536), ("PREDECESSOR", 8388608), ("STATEMENT", 3144)]
CONFIG, SYSTEM, ADDRESSES, CHAIN = range(4)
PREDECESSOR, STATEMENT = 6, 7
REQUEST, REQUEST_BYTES, BINARY = len(KINDS), 292, 164
LABELS = {label: i for i, (label, _) in enumerate(KINDS + [("CARD REQUEST", None)])}
MOST = [most for _, most in KINDS] + [REQUEST_BYTES]
BEGIN, END, DASHES = b"-----BEGIN HERACLIUS ", b"-----END HERACLIUS ", b"-----"
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4}){0,15}(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)")


# 9.1

def lines(raw):
    """A-2: (line, whether it has its end)."""
    parts = raw.split(b"\n")
    for line in parts[:-1]:
        yield (line[:-1] if line.endswith(b"\r") else line), True
    if parts[-1]:
        yield parts[-1], False


def label_of(line, begin):
    """The label of a BEGIN or END line, else None."""
    if line.startswith(begin) and line.endswith(DASHES) and len(line) >= len(begin) + len(DASHES):
        return line[len(begin):-len(DASHES)]
    return None


def content_of(line):
    """A-1: the bytes of one line."""
    need(BASE64.fullmatch(line), "not-canonical")
    raw = base64.b64decode(line)
    need(base64.b64encode(raw) == line, "not-canonical")
    return raw


def read_blocks(raw):
    """A-1 to A-3: kind -> content."""
    need(len(raw) <= TEXT_MAX, "too-large")
    out, kind, content, last = {}, None, None, False
    for line, ended in lines(raw):
        begins, ends = label_of(line, BEGIN), label_of(line, END)
        if kind is None:
            if line == b"":
                continue
            need(begins is not None, "not-canonical")
            kind = LABELS.get(begins.decode("latin-1"))
            need(kind is not None, "format-unknown")
            need(not out or kind > max(out), "order")
            content, last = bytearray(), False
        elif ends is not None:
            need(LABELS.get(ends.decode("latin-1")) == kind and content, "truncated")
            out[kind], kind = bytes(content), None
        else:
            need(ended and begins is None, "truncated")
            need(not last, "not-canonical")
            content += content_of(line)
            last = len(line) < 64 or line.endswith(b"=")
            need(len(content) <= MOST[kind], "too-large")
    need(kind is None and out, "truncated")
    return out


def write_blocks(blocks, end=b"\n"):
    """The text of kind -> content."""
    out, label = [], {i: name.encode() for name, i in LABELS.items()}
    for kind in sorted(blocks):
        digits = base64.b64encode(blocks[kind])
        out += [BEGIN + label[kind] + DASHES] + [digits[i:i + 64] for i in range(0, len(digits), 64)] + [END + label[kind] + DASHES]
    return b"".join(line + end for line in out)


def configuration(raw):
    """A-1 to A-4."""
    blocks = read_blocks(raw)
    need(all(kind in blocks for kind in (CONFIG, SYSTEM, ADDRESSES)), "field-missing")
    need(REQUEST not in blocks, "field-unknown")
    return blocks


def bundle_hash(blocks):
    """A-5."""
    return H(0x1A, *(le(kind, 4) + le(len(x), 4) + x for kind, x in sorted(blocks.items()) if kind >= 1))


# the record (S-111)

class Record:
    def __init__(self, raw):
        try:
            self._read(raw)
        except Bad:
            raise Bad("truncated")

    def _read(self, raw):
        r = Reader(raw)
        need(r.u(1) == 1, "format-unknown")
        r.zero(3)
        count, self.number = r.ranged(4, 0, 64), r.u(8)
        self.system_id, self.node_id = r.take(16), r.take(32)
        self.settings = []
        for _ in range(count):
            name = short_text(r, 1, 32, SETTING)
            value = r.take(r.ranged(2, 0, 256))
            need(all(0x20 <= c <= 0x7e for c in value), "field-range")
            need(not self.settings or self.settings[-1][0] < name.decode(), "order")
            self.settings.append((name.decode(), value.decode()))
        self.hash = H(0x15, raw[:r.pos])
        self.signature, self.raw = r.take(64), raw
        r.end()

    def signed_by(self, owner_key):
        message = tag("HRC node-config") + self.system_id + self.hash
        need(ed25519.verify(owner_key, message, self.signature) == "ok", "signature-invalid")


# 9.2

def decimal(s, low, high):
    return s.isascii() and s.isdigit() and (s == "0" or s[0] != "0") and len(s) <= 10 and low <= int(s) <= high


def ipv4(s):
    parts = s.split(".")
    return len(parts) == 4 and all(decimal(p, 0, 255) for p in parts)


def ipv6(s):
    """RFC 4291, 2.2."""
    halves = s.split("::")
    if len(halves) > 2:
        return False
    groups = [h.split(":") if h else [] for h in halves]
    count = 0
    for i, half in enumerate(groups):
        for j, g in enumerate(half):
            last = i == len(groups) - 1 and j == len(half) - 1
            if last and "." in g:
                if not ipv4(g):
                    return False
                count += 2
            elif re.fullmatch("[0-9A-Fa-f]{1,4}", g):
                count += 1
            else:
                return False
    return count == 8 if len(halves) == 1 else count <= 7


def address(s):
    return ipv4(s) or ipv6(s)


def address_port(s):
    host = s.rpartition(":")[0]
    return endpoint(s) and (ipv6(host[1:-1]) if host.startswith("[") else ipv4(host))


def address_bits(s):
    host, slash, bits = s.partition("/")
    return bool(slash) and (ipv4(host) and decimal(bits, 1, 32) or ipv6(host) and decimal(bits, 1, 128))


def several(one, most):
    return lambda s: s.count(",") < most and all(one(x) for x in s.split(","))


def form(pattern):
    return lambda s: re.fullmatch(pattern, s) is not None


def words(*allowed):
    return lambda s: s in allowed


def link_name(s):
    return 1 <= len(s) <= 15 and all(0x20 < ord(c) <= 0x7e and c not in "/:" for c in s) and s not in (".", "..")


PORTS, PORT_MAX = ("ttyS", "ttyAMA", "hvc"), 7
FORMS = {
    "admin.client.N": form("(view|operate|own):[0-9a-f]{64}"),
    "admin.listen": address_port,
    "admin.peer.N": lambda s: KEY.fullmatch(s[:64]) is not None and s[64:65] == "@" and endpoint(s[65:]),
    "bundle.sha256": form("[0-9a-f]{64}"),
    "console.port": lambda s: any(s[:len(x)] == x and decimal(s[len(x):], 0, PORT_MAX) for x in PORTS),
    "join": lambda s: s[:1] in ("c", "s") and decimal(s[1:], 0, 4095),
    "listen": several(address_port, 4),
    "log.level": words("debug", "info", "warn", "error"),
    "net.N.address": lambda s: s == "dhcp" or several(address_bits, 4)(s),
    "net.N.gateway": several(address, 2),
    "net.N.mac": form("[0-9a-f]{2}(:[0-9a-f]{2}){5}"),
    "net.N.name": link_name,
    "syslog": endpoint,
    "threads": words("auto", "fused", "split")}
NUMBERS = {"admin.client.N": 15, "admin.peer.N": 15, "net.N.address": 3, "net.N.gateway": 3, "net.N.mac": 3, "net.N.name": 3}


def known(name):
    """The row of A-7 that a setting's name is of, or None."""
    for row in FORMS:
        if row not in NUMBERS:
            if name == row:
                return row
            continue
        before, after = row.split("N")
        if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after):
            if decimal(name[len(before):len(name) - len(after)], 0, NUMBERS[row]):
                return row
    return None


def check_settings(pairs):
    """A-7, A-8: name -> value."""
    out, other = {}, {"net.N.mac": "name", "net.N.name": "mac"}
    for name, value in pairs:
        row = known(name)
        need(row is not None, "field-unknown")
        need(FORMS[row](value), "field-range")
        need(row not in other or name[:len("net.N.")] + other[row] not in out, "field-range")
        out[name] = value
    need("bundle.sha256" in out, "field-missing")
    nets = sorted({name.split(".")[1] for name in out if name.startswith("net.")})
    links = []
    for n in nets:
        need("net.%s.address" % n in out, "field-missing")
        mac, name = out.get("net.%s.mac" % n), out.get("net.%s.name" % n)
        need((mac, name) not in links, "name-twice")
        links.append((mac, name))
    return out


def nets_of(settings, links):
    """A-8: for each (name, mac) of a machine's links the N that it is of, "dhcp" without any net setting, or None."""
    nets = sorted({name.split(".")[1] for name in settings if name.startswith("net.")})
    if not nets:
        return ["dhcp" for _ in links]
    named = {settings[k]: n for n in nets for k in ("net.%s.mac" % n, "net.%s.name" % n) if k in settings}
    rest = [n for n in nets if n not in named.values()]
    return [named.get(mac, named.get(name, rest[0] if rest else None)) for name, mac in links]


def console(settings, image, has):
    """A-7: the port of the serial console, None for the kernel's console, and whether a line there says that a port is lacking.

    image: the port that the image names, or None; has: Linux's names of ports on this machine -> whether there is a device behind.
    """
    port = settings.get("console.port", image)
    there = has.get(port, False)
    return (port if there else None), port is not None and not there


def join_cluster(s):
    """The cluster that `join` names (C-6)."""
    return {"c": 0x10000, "s": 0x20000}[s[0]] + int(s[1:])


# addresses.json (7.7)

def end(obj, name):
    e = text(obj, name)
    need(e == "" or endpoint(e), "field-range")
    return e


class Addresses:
    def __init__(self, raw, system_id):
        need(len(raw) <= 4 << 20, "too-large")
        obj = parse(raw)
        need("format" in obj, "field-missing")
        need(integer(obj, "format", 0, TWO53) == 1, "format-unknown")
        names(obj, {"format", "nodes", "system_id"})
        need(isinstance(obj["nodes"], dict), "field-type")
        need(hexa(obj, "system_id", 16) == system_id, "foreign")
        self.nodes = {}
        for name in obj["nodes"]:
            need(is_name(name.encode("utf-8", "surrogatepass")), "foreign")
            node = obj["nodes"][name]
            names(node, {"admin", "link"})
            self.nodes[name] = end(node, "admin"), end(node, "link")
        need(canonical(obj) == raw, "not-canonical")

    def link(self, name):
        return self.nodes.get(name, ("", ""))[1]


def listens(settings, addresses, name):
    """A-9: where a node listens."""
    if "listen" in settings:
        return settings["listen"].split(",")
    host, colon, port = addresses.link(name).rpartition(":")
    need(colon, "field-missing")
    return [("[::]:" if ":" in host else "0.0.0.0:") + port]


# 9.3

def pinned_key(image, typed=None):
    """A-10: the owner's key; the image's goes before what is typed."""
    text_ = typed if image is None else image
    need(text_ is not None, "field-missing")
    need(KEY.fullmatch(text_), "field-type")
    key = bytes.fromhex(text_)
    need(ed25519.check_key(key) == "ok", "key-invalid")
    return key


class Request:
    """A-11."""

    def __init__(self, raw):
        blocks = read_blocks(raw)
        need(list(blocks) == [REQUEST], "field-unknown")
        self.content = x = blocks[REQUEST]
        need(len(x) == REQUEST_BYTES, "truncated")
        need(x[0] == 1, "field-range")
        need(x[1] == 1, "format-unknown")
        need(x[2:4] == bytes(2), "field-range")
        self.binary, self.name = x[:BINARY], x[4:36].rstrip(b"\0")
        need(is_name(self.name) and self.name.ljust(32, b"\0") == x[4:36], "field-range")
        signing, noise, noise_proof, self.owner_key = (x[i:i + 32] for i in range(36, BINARY, 32))
        for key, name, proof in ((signing, POP[1], x[164:228]), (noise_proof, "HRC noise-pop", x[228:])):
            need(ed25519.check_key(key) == "ok", "key-invalid")
            need(ed25519.verify(key, tag(name) + self.binary, proof) == "ok", "proof-invalid")
        need(ed25519.montgomery(noise_proof) == noise, "key-invalid")
        need(noise_proof != signing, "key-twice")
        need(ed25519.check_key(self.owner_key) == "ok", "key-invalid")
        need(self.owner_key not in (signing, noise_proof), "key-twice")
        self.id = H(13, self.binary)


# 9.4

class Bundle:
    """A-13. card and pinned: the judging node's and its owner's key; kept: the record in force; disk: node_id and system_id of its data.
    Without card: judged elsewhere, by the card of the system file, the signature last."""

    def __init__(self, raw, card=None, pinned=None, kept=None, disk=None):
        self.blocks = configuration(raw)
        self.record = rec = Record(self.blocks[CONFIG])
        if card:
            need(rec.node_id == card.id, "foreign")
            need(card.owner_key == pinned, "foreign")
            rec.signed_by(card.owner_key)
        self.settings = check_settings(rec.settings)
        self.join = self.settings.get("join")
        need(card or not self.join, "proof-invalid")
        need(self.settings["bundle.sha256"] == bundle_hash(self.blocks).hex(), "id-mismatch")
        self.system = SystemFile(self.blocks[SYSTEM])
        need(self.system.system_id == rec.system_id, "foreign")
        need(self.join or CHAIN not in self.blocks, "field-unknown")
        found = [n for c in self.system.clusters for n in c.nodes if n.id == rec.node_id]
        if self.join:
            need(not found, "foreign")
            need(join_cluster(self.join) in [c.number for c in self.system.clusters], "foreign")
        else:
            need(found, "foreign")
        self.card = card or found[0]
        self.addresses = Addresses(self.blocks[ADDRESSES], self.system.system_id)
        self.listen = listens(self.settings, self.addresses, self.card.name.decode())
        self.succession()
        need(disk is None or disk == (rec.node_id, rec.system_id), "foreign")
        if kept is not None:
            need(rec.system_id == kept.system_id, "foreign")
            need(rec.number > kept.number or rec.raw == kept.raw, "serial")
        if not card:
            rec.signed_by(self.card.owner_key)

    def succession(self):
        """A-19; who signed the statement is judged where the data are made (A-22)."""
        there = [kind in self.blocks for kind in (PREDECESSOR, STATEMENT)]
        if self.system.succession == 0:
            need(not any(there), "field-unknown")
            return
        need(all(there), "field-missing")
        follows(SystemFile(self.blocks[PREDECESSOR]), self.system)
        statement = Statement(self.blocks[STATEMENT])
        need(statement.predecessor == self.system.predecessor_id, "foreign")
        need(statement.file_hash == self.system.file_hash, "foreign")


class Appliance:
    """A-14 to A-17: which bundle is in force, whose the disk is, whether the key was given up. What begins with `disk` is durable."""

    def __init__(self, card, pinned):
        self.card, self.pinned = card, pinned
        self.disk_text = self.disk = self.in_force = None
        self.disk_retired = self.full = False

    def take(self, raw):
        kept = self.in_force and self.in_force.record
        b = Bundle(raw, self.card, self.pinned, kept, self.disk)
        if kept is None or b.record.raw != kept.raw:
            if self.full:
                raise OSError("what is accepted is durable, or is not accepted (A-16)")
            self.disk_text, self.in_force = raw, b

    def data_made(self):
        self.disk = (self.in_force.record.node_id, self.in_force.record.system_id)

    def start(self):
        """A-16: what it goes by after a start, or None."""
        self.in_force = None
        try:
            if self.disk_text is not None:
                self.in_force = Bundle(self.disk_text, self.card, self.pinned, None, self.disk)
        except Bad:
            pass
        return self.in_force

    def give_up(self, tell):
        """A-17: the mark is durable before the node is told, on a full disk too."""
        self.disk_retired = True
        tell(self.disk_retired)
