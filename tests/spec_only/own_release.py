"""Checks of our own for 9.6: the record, release keys, what a UKI says, what is taken."""
import re
from hashlib import sha256

import ed25519
from own_boot import A, B, C, variable
from release import NUMBER_MAX, RECORD, SIGNED, UKI_MAX, Release, Running, Uki, make_record, make_uki, release_keys, sections, taken
from spec_text import lines
from wire import H, le, need, tag, word_of
from world import seed_of

KEY, OTHER, OWNER = (seed_of("release " + x, "owner") for x in ("one", "two", "owner"))
PUBLIC = {x: ed25519.public_key(x) for x in (KEY, OTHER, OWNER)}
SEVEN, NINE = make_uki(7), make_uki(9)


def add(r, path):
    tables(r, path)
    records(r)
    keys(r)
    ukis(r)
    order(r)


def tables(r, path):
    text = "\n".join(lines(path, "appliance"))
    part = text[text.index("- **A-30**"):text.index("- **A-31**")]
    rows = [(int(a), int(b)) for a, b in re.findall(r"(?m)^\| (\d+) \| (\d+) \|", part)]
    r.equal("A-30 table", [(a, b) for a, b in rows], [(sum(n for _, n in rows[:i]), b) for i, (_, b) in enumerate(rows)])
    r.equal("A-30 size", (RECORD, SIGNED, UKI_MAX), (sum(rows[-1]), rows[-1][0], int(re.search(r"1 to ([0-9,]+) \|", part)[1].replace(",", ""))))
    conventions = "\n".join(lines(path, "conventions"))
    r.equal("C-9, C-11", (1, 1), (conventions.count("| 0x1B |"), conventions.count("| `HRC image` |")))


def records(r):
    good = make_record(KEY, NINE, 9, label=b"heraclius-9")
    cut = lambda at, new: lambda: Release(good[:at] + new + good[at + len(new):])
    made = lambda **x: lambda: Release(make_record(KEY, NINE, **{"number": 9, **x}))
    r.facts("A-30", [
        ("by hand", "ok", lambda: ed25519.verify(PUBLIC[KEY], b"HRC image".ljust(16, b"\0") + sha256(b"\x1b" + good[:96]).digest(), good[96:])),
        ("fields", (1, 9, len(NINE), sha256(NINE).digest(), b"heraclius-9"), lambda: (lambda x: (
            x.architecture, x.number, x.length, x.hash, x.label))(Release(good)))])
    r.words("A-31", [
        ("as it is", "ok", lambda: Release(good)), ("a byte less", "truncated", lambda: Release(good[:-1])),
        ("one more", "truncated", lambda: Release(good + b"\0")), ("nothing", "truncated", lambda: Release(b"")),
        ("format 2", "format-unknown", cut(0, le(2, 4))),
        ("format 0x101", "format-unknown", cut(1, b"\1")), ("short, of another format", "truncated", lambda: Release(b"\2" + good[1:-1])),
        ("format before a range", "format-unknown", cut(0, le(2, 4) + le(4, 4))),
        ("architecture 0", "field-range", cut(4, le(0, 4))),
        ("4", "field-range", cut(4, le(4, 4))), ("3", "ok", made(architecture=3)), ("number 0", "field-range", made(number=0)),
        ("2^64 - 1", "ok", made(number=2**64 - 1)), ("length 0", "field-range", made(length=0)), ("the longest", "ok", made(length=UKI_MAX)),
        ("one more", "field-range", made(length=UKI_MAX + 1)), ("no label", "field-range", made(label=b"")), ("of 40", "ok", made(label=b"~" * 40)),
        ("with a blank", "field-range", made(label=b"a b")),
        ("0x7F", "field-range", made(label=b"a\x7f")),
        ("a character behind zeros", "field-range", cut(95, b"x")), ("zeros before it", "field-range", made(label=b"\0a")),
        ("a capital", "ok", made(label=b"!A"))])
    by = lambda *k, **x: lambda: Release(make_record(KEY, NINE, 9, **x)).signed_by([PUBLIC[i] for i in k])
    r.words("A-32 signed", [
        ("by one", "ok", by(KEY)), ("by the last of them", "ok", by(OWNER, OTHER, KEY)), ("by none", "signature-invalid", by(OWNER, OTHER)),
        ("under another tag", "signature-invalid", by(KEY, tag="HRC claim")), ("another prefix", "signature-invalid", by(KEY, prefix=0x1A)),
        ("a bit of the label", "signature-invalid", lambda: cut(56, b"x")().signed_by([PUBLIC[KEY]])),
        ("no more than the head", "signature-invalid", lambda: Release(good[:96] + ed25519.sign(KEY, tag("HRC image") + good[:96])).signed_by(
            [PUBLIC[KEY]])),
        ("a hash without a prefix", "signature-invalid", lambda: Release(good[:96] + ed25519.sign(KEY, tag("HRC image") + sha256(
            good[:96]).digest())).signed_by([PUBLIC[KEY]]))])
    need(H(0x1B, b"") == sha256(b"\x1b").digest(), "the fixture")


def keys(r):
    a, b = (PUBLIC[x].hex().encode() for x in (KEY, OTHER))
    of = lambda file, owner=PUBLIC[OWNER]: lambda: release_keys(file, owner)
    bad = b"01" + b"00" * 31
    r.facts("A-32", [
        ("without a file the owner's", [PUBLIC[OWNER]], of(None)), ("one, and not the owner's", [PUBLIC[KEY]], of(a + b"\n")),
        ("one, without an owner", [PUBLIC[KEY]], of(a + b"\n", None)),
        ("two", [PUBLIC[KEY], PUBLIC[OTHER]], of(a + b"\n" + b)), ("eight", 8, lambda: len(of((a + b"\n") * 8)()))])
    r.words("A-32", [
        ("nine", "field-type", of((a + b"\n") * 9)), ("none", "field-missing", of(b"")), ("in capitals", "field-type", of(a.upper())),
        ("neither file nor owner", "field-missing", of(None, None)), ("an empty file, and an owner", "field-missing", of(b"")),
        ("no key", "key-invalid", of(a + b"\n" + bad)), ("a blank line", "field-type", of(a + b"\n\n" + b)),
        ("nine, the second no key", "key-invalid", of(a + b"\n" + bad + b"\n" + (a + b"\n") * 7)),
        ("a line's form before its key", "field-type", of(bad + b"0\n")), ("one key twice", "ok", of(a + b"\n" + a)),
        ("an empty line at the end", "field-type", of(a + b"\n\n")), ("nothing but an end", "field-type", of(b"\n")),
        ("no key before another form", "key-invalid", of(bad + b"\nx\n")), ("another form before no key", "field-type", of(b"x\n" + bad))])


def announced(raw, count):
    """The same file, with another number of sections announced."""
    return raw[:0x46] + le(count, 2) + raw[0x48:]


def moved(raw, at):
    """A file of one section, whose content is said to lie elsewhere."""
    return raw[:0x40 + 24 + 240 + 20] + le(at, 4) + raw[0x40 + 24 + 240 + 24:]


def ukis(r):
    number = lambda osrel: lambda: Uki(make_uki(0, osrel=osrel)).number
    label = lambda osrel: lambda: Uki(make_uki(0, osrel=osrel)).label
    u = lambda raw: lambda: Uki(raw)
    linux = make_uki(7, first=[(b".linux", b"kernel")])
    far = linux[:344] + le(2**32 - 1, 4) + le(2**32 - 2, 4) + linux[352:]  # its bytes in the file, and their place
    r.facts("A-33", [
        ("number and architecture", [(7, 1), (7, 2)], lambda: [(x.number, x.architecture) for x in (Uki(SEVEN), Uki(make_uki(7, 0xAA64)))]),
        ("first line", 5, number(b"IMAGE_VERSION=5\n")), ("no end of line", 5, number(b"A=1\nIMAGE_VERSION=5")),
        ("another name", 0, number(b"MY_IMAGE_VERSION=5\n")), ("none", 0, number(b"ID=x\n")), ("no decimals", 0, number(b"IMAGE_VERSION=0x5\n")),
        ("twice", 6, number(b"IMAGE_VERSION=5\nIMAGE_VERSION=6\n")), ("in quotes", 5, number(b'IMAGE_VERSION="5"')),
        ("one quotation mark", 0, number(b'IMAGE_VERSION="5')), ("the last line says none", 0, number(b"IMAGE_VERSION=5\nIMAGE_VERSION=\n")),
        ("lines of any bytes", 5, number(b"\xff\x80\n=7\nIMAGE_VERSION\nIMAGE_VERSION=5\nIMAGE_VERSION 6\n")),
        ("in others", 0, number(b"IMAGE_VERSION='5'")), ("twice in quotes", 0, number(b'IMAGE_VERSION=""5""')),
        ("of 23 digits", 5, number(b"IMAGE_VERSION=" + b"5".rjust(23, b"0"))), ("of 24", 0, number(b"IMAGE_VERSION=" + b"5".rjust(24, b"0"))),
        ("the highest", NUMBER_MAX, number(b"IMAGE_VERSION=18446744073709551609")), ("0", 0, number(b"IMAGE_VERSION=0")),
        ("behind 0x00", 5, number(b"IMAGE_VERSION=5\n\0\nIMAGE_VERSION=6\n")), ("cut by it", 5, number(b"IMAGE_VERSION=5\x006")),
        ("a label", b"r=1", label(b"VERSION_ID=r=1\n")), ("an empty one", b"", label(b'VERSION_ID=""\n')), ("none", b"", label(b"ID=x")),
        ("of two .osrel the first", 8, lambda: Uki(make_uki(7, first=[(b".osrel", b"IMAGE_VERSION=8\n")])).number),
        ("none behind it is looked at", [b".osrel"], lambda: [x[0].rstrip(b"\0") for x in sections(announced(SEVEN, 64))[1]]),
        ("the sections", [b".linux", b".osrel"], lambda: [x[0].rstrip(b"\0") for x in sections(far)[1]]),
        ("another section's content is not looked at", 7, lambda: Uki(far).number)])
    empty = make_uki(7, osrel=b"")
    r.words("A-33 within the file", [
        ("64 are announced, one is there", "ok", u(announced(SEVEN, 64))), ("65", "format-unknown", u(announced(SEVEN, 65))),
        ("two, .osrel cut off", "format-unknown", u(linux[:384])), ("none is announced", "format-unknown", u(announced(SEVEN, 0))),
        ("an empty .osrel at its end", "ok", u(empty)), ("behind it", "format-unknown", u(moved(empty, len(empty) + 1))),
        ("at the file's first byte", "ok", u(moved(SEVEN, 0))), ("a byte behind", "format-unknown", u(moved(SEVEN, len(SEVEN) - 35)))])
    r.words("A-33", [
        ("as it is", "ok", u(SEVEN)), ("no MZ", "format-unknown", u(b"x" + SEVEN[1:])), ("cut off", "format-unknown", u(SEVEN[:-1])),
        ("no PE", "format-unknown", u(SEVEN.replace(b"PE\0\0", b"PX\0\0"))), ("its head alone", "format-unknown", u(SEVEN[:100])),
        ("another machine", "format-unknown", u(make_uki(7, 0x14C))), ("no .osrel", "format-unknown", u(SEVEN.replace(b".osrel", b".osrem"))),
        ("63 before it", "ok", u(make_uki(7, first=[(b".text", b"")] * 63))), ("64", "format-unknown", u(make_uki(7, first=[(b".text", b"")] * 64))),
        ("4,096 bytes", "ok", u(make_uki(7, osrel=b"\0" * 4096))), ("one more", "format-unknown", u(make_uki(7, osrel=b"\0" * 4097)))])


class Runs:
    """A machine that runs number 7 from a blessed slot, and a release 9 for it, but for what is told."""

    def __init__(self, **x):
        file = x.get("keys", PUBLIC[KEY].hex().encode())
        self.machine = Running(1, x.get("running", 7), x.get("slot", SEVEN), x.get("blessed", True), file, x.get("owner"),
                               x.get("partitions", [A]), x.get("loader"))
        raw = x.get("raw", NINE)
        record = make_record(x.get("by", KEY), raw, x.get("number", 9), x.get("architecture", 1), **x.get("record", {}))
        self.file = record + raw + x.get("behind", b"")
        self.file, self.disk = self.file[:len(self.file) - x.get("less", 0)], x.get("disk", lambda raw: raw)

    def word(self):
        return word_of(taken, self.file, self.machine, self.disk)


def order(r):
    """A-34: each fault, and each before all that come later."""
    rot = lambda raw: raw[:-1] + b"?"
    faults = [
        ("two partitions", "file-unreadable", {"partitions": [A, B]}), ("keys", "field-type", {"keys": b"x"}),
        ("no slot", "foreign", {"slot": None}), ("on trial", "order", {"blessed": False}), ("record", "field-range", {"record": {"label": b""}}),
        ("signature", "signature-invalid", {"by": OTHER}), ("architecture", "foreign", {"architecture": 2}), ("number", "serial", {"number": 7}),
        ("less", "truncated", {"less": 1}), ("hash", "id-mismatch", {"record": {"hash": bytes(32)}}), ("disk", "file-unreadable", {"disk": rot}),
        ("no UKI", "format-unknown", {"raw": b"x"}), ("says another", "id-mismatch", {"raw": make_uki(8)})]

    def both(a, b):
        x = {**b[2], **a[2]}
        if "record" in a[2] and "record" in b[2]:
            x["record"] = {**b[2]["record"], **a[2]["record"]}
        return x
    pairs = [(a, b) for i, a in enumerate(faults) for b in faults[i + 1:] if (a[0], b[0]) != ("no UKI", "says another")]
    r.facts("A-34", [("taken", "ok", Runs().word)] + [(f[0], f[1], Runs(**f[2]).word) for f in faults])
    r.facts("A-34 order", [("each of %d before each later one" % len(faults), [], lambda: [
        (a[0], b[0], got) for a, b in pairs for got in [Runs(**both(a, b)).word()] if got != a[1]])])
    unnumbered = make_uki(7, osrel=b"")
    r.facts("A-34 more", [
        ("one higher", "ok", Runs(number=8, raw=make_uki(8)).word), ("a lower one, signed", "serial", Runs(number=6, raw=make_uki(6)).word),
        ("a byte behind", "too-large", Runs(behind=b"x").word), ("the slot says another number", "foreign", Runs(slot=NINE).word),
        ("no partition", "foreign", Runs(partitions=[], keys=b"x").word), ("no number runs", "foreign", Runs(running=0, slot=unnumbered).word),
        ("a slot that is no UKI", "foreign", Runs(slot=b"").word), ("and is on trial", "foreign", Runs(slot=NINE, blessed=False).word),
        ("its UKI is of another architecture", "id-mismatch", Runs(raw=make_uki(9, 0xAA64)).word),
        ("a UKI without number", "id-mismatch", Runs(raw=make_uki(9, osrel=b"")).word), ("no file", "truncated", Runs(less=RECORD + len(NINE)).word),
        ("two, and the loader says which", "ok", Runs(partitions=[A, B], loader=variable(B)).word),
        ("it says another", "file-unreadable", Runs(partitions=[A, B], loader=variable(C)).word),
        ("two of one GUID", "file-unreadable", Runs(partitions=[A, A], loader=variable(A)).word),
        ("which it says, before its keys", "field-type", Runs(partitions=[A, B], loader=variable(A), keys=b"x").word),
        ("one, and it says another", "ok", Runs(partitions=[A], loader=variable(B)).word),
        ("none, and it says one", "foreign", Runs(partitions=[], loader=variable(B)).word),
        ("by the owner, beside a file", "signature-invalid", Runs(by=OWNER, owner=PUBLIC[OWNER]).word),
        ("by the owner, without one", "ok", Runs(by=OWNER, owner=PUBLIC[OWNER], keys=None).word),
        ("signed by the release's own new key", "signature-invalid", Runs(by=OTHER).word)])
