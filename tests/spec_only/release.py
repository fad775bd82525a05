"""Releases of an appliance's image (9.6): the record, the keys, what a UKI says of itself, what a machine takes.

How the text was read where it says less than a program must know:
- A-31: a record that stands alone (`slotN.rel`) has 160 bytes, no more; a release's is what its file begins with.
- A-33: another machine, and more than 64 sections, are `format-unknown` as all else is, so their order does not show.
"""
import re
from hashlib import sha256

import ed25519
from boot import boot_partition
from wire import Bad, H, Reader, le, need, tag

RECORD, SIGNED, LABEL, UKI_MAX = 160, 96, 40, 67108864
MACHINES = {0x8664: 1, 0xAA64: 2}  # of the PE head -> architecture of A-30
KEYS_MAX, SECTIONS_MAX, OSREL_MAX, OSREL = 8, 64, 4096, b".osrel".ljust(8, b"\0")
NUMBER, NUMBER_MAX = re.compile(rb"[0-9]{1,23}"), 2**64 - 7
TEXT = re.compile(rb"[!-~]{1,40}")


class Release:
    """A-30, A-31: the record."""

    def __init__(self, raw):
        need(len(raw) == RECORD, "truncated")
        r = Reader(raw)
        need(r.u(4) == 1, "format-unknown")
        self.architecture, self.number = r.ranged(4, 1, 3), r.ranged(8, 1, 2**64 - 1)
        self.length, self.hash = r.ranged(8, 1, UKI_MAX), r.take(32)
        label = r.take(LABEL)
        self.label = label.rstrip(b"\0")
        need(TEXT.fullmatch(self.label), "field-range")
        self.raw, self.signature = raw, r.take(64)

    def signed_by(self, keys):
        """A-32."""
        message = tag("HRC image") + H(0x1B, self.raw[:SIGNED])
        need(any(ed25519.verify(k, message, self.signature) == "ok" for k in keys), "signature-invalid")


def make_record(seed, uki, number, architecture=1, label=b"1", **other):
    head = le(other.get("format", 1), 4) + le(architecture, 4) + le(number, 8) + le(other.get("length", len(uki)), 8)
    head += other.get("hash", sha256(uki).digest()) + label.ljust(LABEL, b"\0")
    return head + ed25519.sign(seed, tag(other.get("tag", "HRC image")) + H(other.get("prefix", 0x1B), head))


def release_keys(file, owner):
    """A-32: file is the content of /etc/heraclius/release, owner the owner's key; None: there is none."""
    if file is None:
        need(owner is not None, "field-missing")
        return [owner]
    need(file, "field-missing")
    lines, keys = file.split(b"\n"), []
    if lines[-1] == b"":
        lines.pop()
    for line in lines:
        need(len(keys) < KEYS_MAX and re.fullmatch(b"[0-9a-f]{64}", line), "field-type")
        keys.append(bytes.fromhex(line.decode()))
        need(ed25519.check_key(keys[-1]) == "ok", "key-invalid")
    return keys


#

def sections(raw):
    """The machine of a PE head, and for each section, up to the first one named `.osrel`, its name, filled up, with place and length.

    What is no PE file is `format-unknown`; what lies behind that section is not looked at.
    """
    r = Reader(raw, "format-unknown")
    need(r.take(2) == b"MZ", "format-unknown")
    r.take(0x3A)
    r.pos = r.u(4)
    need(r.take(4) == b"PE\0\0", "format-unknown")
    machine, count = r.u(2), r.u(2)
    need(count <= SECTIONS_MAX, "format-unknown")
    r.take(12)
    between = r.u(2)
    r.take(2 + between)
    out = []
    for _ in range(count):
        name, size = r.take(8), r.u(4)
        r.take(4)
        size, at = min(size, r.u(4)), r.u(4)
        r.take(16)
        out.append((name, at, size))
        if name == OSREL:
            break
    return machine, out


def said(osrel):
    """NAME -> VALUE, of the text up to the first 0x00."""
    out = {}
    for line in osrel.split(b"\0")[0].split(b"\n"):
        name, equals, value = line.partition(b"=")
        if equals:
            quoted = len(value) >= 2 and value[:1] == value[-1:] == b'"'
            out[name] = value[1:-1] if quoted else value
    return out


class Uki:
    """number 0 and an empty label stand for none."""

    def __init__(self, raw):
        machine, found = sections(raw)
        need(machine in MACHINES, "format-unknown")
        need(found and found[-1][0] == OSREL, "format-unknown")
        _, at, size = found[-1]
        need(size <= OSREL_MAX and at + size <= len(raw), "format-unknown")
        text = said(raw[at:at + size])
        number, label = text.get(b"IMAGE_VERSION", b""), text.get(b"VERSION_ID", b"")
        self.raw, self.architecture = raw, MACHINES[machine]
        self.number = int(number) if NUMBER.fullmatch(number) and int(number) <= NUMBER_MAX else 0
        self.label = label if TEXT.fullmatch(label) else b""


def make_uki(number, machine=0x8664, osrel=None, first=()):
    """A file that is one as far as A-33 goes, the sections `first` before `.osrel`; the head of PE32+ is all zeros."""
    osrel = b"ID=heraclius\nIMAGE_VERSION=%d\nNAME=x\n" % number if osrel is None else osrel
    parts, head = [*first, (b".osrel", osrel)], b"MZ" + bytes(0x3A) + le(0x40, 4) + b"PE\0\0"
    head += le(machine, 2) + le(len(parts), 2) + bytes(12) + le(240, 2) + bytes(2) + bytes(240)
    at, table = len(head) + 40 * len(parts), b""
    for name, x in parts:
        table += name.ljust(8, b"\0") + le(len(x), 4) + bytes(4) + le(len(x), 4) + le(at, 4) + bytes(16)
        at += len(x)
    return head + table + b"".join(x for _, x in parts)


#

def says(raw):
    """The number that the UKI of a slot says; 0: none, or it is none."""
    try:
        return Uki(raw).number
    except Bad:
        return 0


class Running:
    """What runs, and where it started from. slot: the UKI of that slot, or None; keys: the content of /etc/heraclius/release, or None.

    partitions: the GUID of each boot partition, None of one that has none; loader: the variable LoaderDevicePartUUID, or None.
    """

    def __init__(self, architecture, number, slot=None, blessed=True, keys=None, owner=None, partitions=(None,), loader=None):
        self.architecture, self.number, self.slot, self.blessed = architecture, number, slot, blessed
        self.keys, self.owner, self.partitions, self.loader = keys, owner, partitions, loader


def taken(file, machine, written=lambda x: x):
    """A-34: a release's file, to a Running; written gives what the disk gives back of a UKI."""
    boot_partition(machine.partitions, machine.loader)
    keys = release_keys(machine.keys, machine.owner)
    need(machine.slot is not None and machine.number != 0 and says(machine.slot) == machine.number, "foreign")
    need(machine.blessed, "order")
    record, raw = Release(file[:RECORD]), file[RECORD:]
    record.signed_by(keys)
    need(record.architecture == machine.architecture, "foreign")
    need(record.number > machine.number, "serial")
    need(len(raw) >= record.length, "truncated")
    need(len(raw) <= record.length, "too-large")
    need(sha256(raw).digest() == record.hash, "id-mismatch")
    need(sha256(written(raw)).digest() == record.hash, "file-unreadable")
    uki = Uki(raw)
    need((uki.number, uki.architecture) == (record.number, record.architecture), "id-mismatch")
    return record, uki
