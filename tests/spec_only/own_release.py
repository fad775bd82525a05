"""Checks of our own for 9.6 and 9.7: the record, release keys, what is taken, slots under power cuts, trials."""
import re
from hashlib import sha256

import ed25519
from release import RECORD, SIGNED, UKI_MAX, Release, Uki, make_record, make_uki, release_keys, sections, taken
from slots import Disk, Trial, name_of, parsed, record_of
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
    loader(r)
    cuts(r)
    trials(r)
    back(r)


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
    of = lambda file: lambda: release_keys(file, PUBLIC[OWNER])
    r.facts("A-32", [
        ("without a file the owner's", [PUBLIC[OWNER]], of(None)), ("one, and not the owner's", [PUBLIC[KEY]], of(a + b"\n")),
        ("two", [PUBLIC[KEY], PUBLIC[OTHER]], of(a + b"\n" + b)), ("eight", 8, lambda: len(of((a + b"\n") * 8)()))])
    r.words("A-32", [("nine", "too-large", of((a + b"\n") * 9)), ("none", "truncated", of(b"")), ("in capitals", "field-type", of(a.upper())),
                     ("no key", "key-invalid", of(a + b"\n01" + b"00" * 31)), ("a blank line", "field-type", of(a + b"\n\n" + b))])


def ukis(r):
    said = lambda osrel: lambda: Uki(make_uki(0, osrel=osrel)).number
    u = lambda raw: lambda: Uki(raw)
    r.facts("A-33", [
        ("number and architecture", [(7, 1), (7, 2)], lambda: [(x.number, x.architecture) for x in (Uki(SEVEN), Uki(make_uki(7, 0xAA64)))]),
        ("first line", 5, said(b"IMAGE_VERSION=5\n")), ("no end of line", 5, said(b"A=1\nIMAGE_VERSION=5")),
        ("another name", None, said(b"MY_IMAGE_VERSION=5\n")), ("none", None, said(b"ID=x\n")), ("no decimals", None, said(b"IMAGE_VERSION=0x5\n")),
        ("twice", None, said(b"IMAGE_VERSION=5\nIMAGE_VERSION=6\n")), ("the sections", [b".linux", b".osrel"], lambda: sorted(sections(SEVEN)[1]))])
    r.words("A-33", [("as it is", "ok", u(SEVEN)), ("no MZ", "format-unknown", u(b"x" + SEVEN[1:])), ("cut off", "format-unknown", u(SEVEN[:-1])),
                     ("no PE", "format-unknown", u(SEVEN.replace(b"PE\0\0", b"PX\0\0"))), ("its head alone", "format-unknown", u(SEVEN[:100])),
                     ("another machine", "format-unknown", u(make_uki(7, 0x14C))), ("no kernel", "format-unknown", u(make_uki(7, linux=b".text")))])


class Runs:
    """A machine that runs number 7 from a blessed slot, and a release 9 for it, but for what is told."""

    def __init__(self, **x):
        self.number, self.architecture, self.keys = 7, 1, [PUBLIC[KEY]]
        self.slot, self.blessed, self.uki = x.get("slot", 1), x.get("blessed", True), x.get("runs", SEVEN)
        raw = x.get("raw", NINE)
        record = make_record(x.get("by", KEY), raw, x.get("number", 9), x.get("architecture", 1), **x.get("record", {}))
        self.file = record + raw + x.get("behind", b"")
        self.file, self.disk = self.file[:len(self.file) - x.get("less", 0)], x.get("disk", lambda raw: raw)

    def word(self):
        return word_of(taken, self.file, self, self.disk)


def order(r):
    """A-34: each fault, and each before all that come later."""
    rot = lambda raw: raw[:-1] + b"?"
    faults = [
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
    r.facts("A-34 more", [
        ("one higher", "ok", Runs(number=8, raw=make_uki(8)).word), ("a lower one, signed", "serial", Runs(number=6, raw=make_uki(6)).word),
        ("a byte behind", "too-large", Runs(behind=b"x").word), ("the slot says another number", "foreign", Runs(runs=NINE).word),
        ("a slot that is no UKI", "foreign", Runs(runs=b"").word), ("and is on trial", "foreign", Runs(runs=NINE, blessed=False).word),
        ("its UKI is of another architecture", "id-mismatch", Runs(raw=make_uki(9, 0xAA64)).word),
        ("a UKI without number", "id-mismatch", Runs(raw=make_uki(9, osrel=b"")).word), ("no file", "truncated", Runs(less=RECORD + len(NINE)).word),
        ("signed by the release's own new key", "signature-invalid", Runs(by=OWNER).word)])


def two(left=2, used=0, one=None, first=SEVEN, second=NINE):
    """Slot 1 (blessed, 7) and slot 2 (9)."""
    return Disk({name_of(1, one): first, name_of(2, left, used): second})


def loader(r):
    r.facts("A-35 names", [
        ("blessed", (1, None, 0), lambda: parsed("EFI/Linux/heraclius-1.efi")), ("left", (2, 2, 0), lambda: parsed("EFI/Linux/heraclius-2+2.efi")),
        ("used", (2, 0, 2), lambda: parsed("EFI/Linux/heraclius-2+0-2.efi")),
        ("none", [None] * 4, lambda: [parsed("EFI/Linux/heraclius-" + x) for x in ("3.efi", "1-1.efi", "1+.efi", "1+1.new")])])

    def starts(disk, count):
        return [disk.boot() for _ in range(count)], sorted(x.split("/")[-1] for x in disk.files)
    r.facts("A-35, A-37", [
        ("twice, then the other one", ([2, 2, 1, 1], ["heraclius-1.efi", "heraclius-2+0-2.efi"]), lambda: starts(two(), 4)),
        ("a try is taken off", ([2], ["heraclius-1.efi", "heraclius-2+1-1.efi"]), lambda: starts(two(), 1)),
        ("blessed: the higher number", ([2, 2], ["heraclius-1.efi", "heraclius-2.efi"]), lambda: starts(two(None), 2)),
        ("one alone without tries", ([2], ["heraclius-2+0-2.efi"]), lambda: starts(Disk({name_of(2, 0, 2): NINE}), 1)),
        ("numbers, not slots", [1], lambda: starts(two(None, first=make_uki(10)), 1)[0])])


def cuts(r):
    """A-36: whatever was done when the power went, all that the loader would start is whole, and there is one to rely on."""
    record, old = make_record(KEY, NINE, 9), make_uki(5)
    before = {name_of(1): SEVEN, name_of(2): old, record_of(2): make_record(KEY, old, 5)}

    def all_of(files, act, running=1):
        out = []
        for cut in range(12):
            disk, done = Disk(files, cut), False
            try:
                act(disk)
                done = True
            except EOFError:
                pass
            whole = all(x in (SEVEN, NINE, old) for n, x in disk.files.items() if parsed(n))
            safe = any(parsed(n)[1] is None or parsed(n)[0] == running for n in disk.files if parsed(n))
            fits = record_of(2) not in disk.files or not disk.slot(2) or Release(disk.files[record_of(2)]).hash == sha256(disk.slot(2)[2]).digest()
            kept = all(disk.files.get(n) == files[n] for n in files if n.startswith(name_of(1)[:-4])) or act not in (upgrade,)
            same = all(len({disk.files[n] for n in disk.names(s)}) <= 1 for s in (1, 2))
            disk.cut = None
            out.append((whole, safe, fits, kept, same, disk.choice() is not None))
            if done:
                return set(out), cut, sorted(x.split("/")[-1] for x in disk.files if parsed(x))
        return out
    upgrade = lambda d: d.upgrade(1, record, NINE)
    fine = {(True,) * 6}
    trial = {name_of(1): SEVEN, name_of(2, 1, 1): NINE}
    r.facts("A-36", [
        ("an upgrade", (fine, 4, ["heraclius-1.efi", "heraclius-2+2.efi"]), lambda: all_of(before, upgrade)),
        ("the first one", (fine, 2, ["heraclius-1.efi", "heraclius-2+2.efi"]), lambda: all_of({name_of(1): SEVEN}, upgrade)),
        ("a blessing", (fine, 2, ["heraclius-1.efi", "heraclius-2.efi"]), lambda: all_of(trial, lambda d: d.rename(2, None), 2)),
        ("a giving up", (fine, 2, ["heraclius-1.efi", "heraclius-2+0-1.efi"]), lambda: all_of(trial, lambda d: d.rename(2, 0, 1), 2)),
        ("a going back", (fine, 4, ["heraclius-1+0.efi", "heraclius-2+2.efi"]), lambda: all_of(before, lambda d: d.go_back(1))),
        ("of two names the one that promises less", [1, 1, 0], lambda: [Disk({name_of(2, *x): NINE for x in pair}).slot(2)[0] for pair in (
            [(None,), (1, 1)], [(2,), (1, 1)], [(1, 1), (0, 1)])])])


def trials(r):
    def run_(*steps, disk=None, slot=2):
        disk = disk or two(1, 1)
        t = Trial(disk, slot)
        return [t.passed(*x) for x in steps], disk.slot(slot)[0]
    has = lambda up, voted=False, n=4: {"voted": voted, "up": up, "members": n}
    all_, some, nobody = has(3), has(1), has(0)
    long, short = 300000, 299999
    r.facts("A-37", [
        ("voted", (["asked to decide", "blessed", "is blessed"], None), lambda: run_((9, all_), (9, has(3, True)), (long, None))),
        ("no answer", (["runs", "given up"], 0), lambda: run_((short,), (1,))),
        ("an answer alone", (["asked to decide", "given up"], 0), lambda: run_((short, all_), (1, all_))),
        ("reaching nobody counts", (["asked to decide", "given up"], 0), lambda: run_((short, nobody), (1, nobody))),
        ("fewer than a quorum: time stands still", (["waits", "asked to decide", "given up"], 0), lambda: run_(
            (long, some), (short, all_), (1, all_))),
        ("with itself a quorum: it counts", (["given up"], 0), lambda: run_((long, has(2)))),
        ("of seven", (["waits", "given up"], 0), lambda: run_((long, has(3, n=7)), (long, has(4, n=7)))),
        ("voted in time", (["blessed"], None), lambda: run_((long, has(1, True)))),
        ("no other slot: it stays", (["runs", "blessed"], None), lambda: run_((long,), (1, has(3, True)), disk=Disk({name_of(2, 0, 2): NINE}))),
        ("one without tries is none", (["runs"], 1), lambda: run_((long,), disk=two(1, 1, one=0))),
        ("a blessed one is on no trial", (["is blessed"], None), lambda: run_((long,), slot=1)),
        ("the other starts then", 1, lambda: (lambda d: (run_((long,), disk=d), d.boot())[1])(two(1, 1)))])


def back(r):
    def goes(disk, running, *fails):
        disk.go_back(running)
        return [disk.boot() for _ in range(3)]
    def kept(disk):
        disk.go_back(2)
        return disk.boot(), Trial(disk, 1).passed(1, {"voted": True}), disk.boot(), disk.boot()
    good, bad = make_record(KEY, SEVEN, 7), make_record(KEY, NINE, 7)
    with_ = lambda record: Disk({**two(None).files, record_of(1): record})
    r.facts("A-38", [
        ("to the lower number, twice, and the one that ran", [1, 1, 2], lambda: goes(two(None), 2)),
        ("to the higher one, once given up", [2, 2, 1], lambda: goes(two(0, 2), 1)), ("with its record", [1, 1, 2], lambda: goes(with_(good), 2)),
        ("blessed again it is kept", (1, "blessed", 1, 1), lambda: kept(two(None)))])
    r.words("A-38", [("another's record", "id-mismatch", lambda: with_(bad).go_back(2)), ("half a record", "id-mismatch", lambda: with_(
        good[:-1]).go_back(2)), ("no other slot", "file-unreadable", lambda: Disk({name_of(2): NINE}).go_back(2))])
