"""Releases of an appliance's image (9.6): the record, the keys, what a UKI says of itself, what a machine takes.

How the text was read where it says less than a program must know:
- A-31: a record that stands alone (`slotN.rel`) has 160 bytes, no more; a release's is what its file begins with.
- A-32: the last line may lack its 0x0A. A file that is there and not of this form is refused, whoever signed (`field-type`; too many lines
  `too-large`, none `truncated`; no key: `key-invalid`); the owner's key does not take its place.
- A-33: a UKI is a PE file whose machine is one of ours, with the sections `.osrel` and `.linux` within the file. In `.osrel` one line is
  IMAGE_VERSION= and decimals, not 0, without leading zeros or quotes; what says it otherwise, twice or not, says no number. s390x has no
  machine of PE, so no UKI of it is one.
- A-34: `foreign` of a slot is also a slot whose UKI cannot be read.
"""
import re
from hashlib import sha256

import ed25519
from wire import Bad, H, Reader, le, need, tag

RECORD, SIGNED, LABEL, UKI_MAX = 160, 96, 40, 67108864
MACHINES = {0x8664: 1, 0xAA64: 2}  # of the PE head -> architecture of A-30
KEYS_MAX = 8
VERSION = re.compile(rb"IMAGE_VERSION=([1-9][0-9]{0,19})")


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
        need(self.label and all(0x21 <= c <= 0x7E for c in self.label), "field-range")
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
    """A-32: file is the content of /etc/heraclius/release, or None."""
    if file is None:
        return [owner]
    lines = file.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    need(lines, "truncated")
    need(len(lines) <= KEYS_MAX, "too-large")
    need(all(re.fullmatch(b"[0-9a-f]{64}", x) for x in lines), "field-type")
    keys = [bytes.fromhex(x.decode()) for x in lines]
    need(all(ed25519.check_key(k) == "ok" for k in keys), "key-invalid")
    return keys


#

def sections(raw):
    """The machine of a PE head, and name -> content; what is no PE file is `format-unknown`."""
    r = Reader(raw, "format-unknown")
    need(r.take(2) == b"MZ", "format-unknown")
    r.take(0x3A)
    r.pos = r.u(4)
    need(r.pos <= len(raw) and r.take(4) == b"PE\0\0", "format-unknown")
    machine, count = r.u(2), r.u(2)
    r.take(12)
    optional = r.u(2)
    r.take(2 + optional)
    out = {}
    for _ in range(count):
        name, virtual = r.take(8).rstrip(b"\0"), r.u(4)
        r.take(4)
        size, at = r.u(4), r.u(4)
        r.take(16)
        need(at + size <= len(raw), "format-unknown")
        out.setdefault(name, raw[at:at + min(size, virtual)])
    return machine, out


class Uki:
    def __init__(self, raw):
        machine, found = sections(raw)
        need(machine in MACHINES and b".osrel" in found and b".linux" in found, "format-unknown")
        self.raw, self.architecture = raw, MACHINES[machine]
        said = [x for x in found[b".osrel"].split(b"\n") if x.startswith(b"IMAGE_VERSION=")]
        m = VERSION.fullmatch(said[0]) if len(said) == 1 else None
        self.number = int(m[1]) if m else None


def make_uki(number, machine=0x8664, osrel=None, more=b"kernel", linux=b".linux"):
    """A file that is one as far as A-33 goes; the head of PE32+ is all zeros."""
    osrel = b"ID=heraclius\nIMAGE_VERSION=%d\nNAME=x\n" % number if osrel is None else osrel
    parts, head = [(b".osrel", osrel), (linux, more)], b"MZ" + bytes(0x3A) + le(0x40, 4) + b"PE\0\0"
    head += le(machine, 2) + le(len(parts), 2) + bytes(12) + le(240, 2) + bytes(2) + bytes(240)
    at, table = len(head) + 40 * len(parts), b""
    for name, x in parts:
        table += name.ljust(8, b"\0") + le(len(x), 4) + bytes(4) + le(len(x), 4) + le(at, 4) + bytes(16)
        at += len(x)
    return head + table + b"".join(x for _, x in parts)


#

def says(raw):
    try:
        return Uki(raw).number
    except Bad:
        return None


def taken(file, machine, written=lambda x: x):
    """A-34: a release's file; machine has number, architecture, keys (of A-32), slot (None or its number), blessed and uki (the bytes of the
    slot that runs). written gives what the disk gives back of a UKI."""
    need(machine.slot is not None and says(machine.uki) == machine.number, "foreign")
    need(machine.blessed, "order")
    record, raw = Release(file[:RECORD]), file[RECORD:]
    record.signed_by(machine.keys)
    need(record.architecture == machine.architecture, "foreign")
    need(record.number > machine.number, "serial")
    need(len(raw) >= record.length, "truncated")
    need(len(raw) <= record.length, "too-large")
    need(sha256(raw).digest() == record.hash, "id-mismatch")
    need(sha256(written(raw)).digest() == record.hash, "file-unreadable")
    uki = Uki(raw)
    need((uki.number, uki.architecture) == (record.number, record.architecture), "id-mismatch")
    return record, uki
