"""Checks of our own for A-34: two boot partitions, and what the loader says."""
import re

from boot import LABEL, SYSTEM, boot_partition, boot_partitions, guid_raw, guid_text, is_boot, loader_says, make_disk, make_fat, mbr, partitions
from spec_text import lines
from wire import Bad, le, word_of

A, B, C = ("%08x-0a4c-41cf-b6c7-440b29bb8c4f" % x for x in (0x4a67b082, 0x4a67b083, 0x82b0674a))
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def variable(text, end="\0"):
    return (text + end).encode("utf-16-le")


def add(r, path):
    rule = next(line for line in lines(path, "appliance") if line.startswith("- **A-34**"))
    r.equal("A-34 label", {"FAT32", LABEL.decode()}, {"FAT32", LABEL.decode()} & set(re.findall(r"\w+", rule)))
    guids(r)
    systems(r)
    tables(r)
    choices(r)


def guids(r):
    raw = bytes.fromhex("28732ac11ff8d211ba4b00c04fc93ec9")  # as UEFI has the type of a system partition
    r.facts("A-34 GUID", [
        ("of bytes", SYSTEM, lambda: guid_text(raw)), ("and back", raw, lambda: guid_raw(SYSTEM)),
        ("bytes in their order are another one", False, lambda: guid_text(raw).replace("-", "") == raw.hex())])
    other = [None, b"", variable(""), variable(A[1:]), variable(A + "0"), variable("{" + A + "}"), variable(A.replace("-", "")),
             variable(A.replace("a", "g")), variable(A, "\0\0"), variable(" " + A), variable(A)[:-1], A.encode(), A.encode("utf-16-be"),
             b"\6\0\0\0" + variable(A), b"\x00\xd8"]
    r.facts("A-34 LoaderDevicePartUUID", [
        ("with its end, and without", [A, A], lambda: [loader_says(variable(A, x)) for x in ("\0", "")]),
        ("capitals", [A, A], lambda: [loader_says(variable(x)) for x in (A.upper(), A[:12].upper() + A[12:])]),
        ("other forms say nothing", [None] * len(other), lambda: [loader_says(x) for x in other])])


def tables(r):
    given = [(SYSTEM, A, b""), (LINUX, B, b"")]
    rows = [(t, g, i * 1024 + 5120, i * 1024 + 6144) for i, (t, g, _) in enumerate(given)]
    whole, large = make_disk(given), [(t, g, a * 8, b * 8) for t, g, a, b in rows]
    hit = lambda disk, *at: bytes(x ^ 1 if i in at else x for i, x in enumerate(disk))
    last = len(whole) - 512
    r.facts("A-34 GPT", [
        ("its partitions", rows, lambda: partitions(whole)), ("of 4,096 bytes a sector", large, lambda: partitions(make_disk(given, 4096), 4096)),
        ("none", [], lambda: partitions(bytes(len(whole)))), ("no disk", [], lambda: partitions(b"")),
        ("a damaged head: the last sector's", rows, lambda: partitions(hit(whole, 512 + 60))),
        ("both", [], lambda: partitions(hit(whole, 512 + 60, last + 60))), ("the last one alone", rows, lambda: partitions(make_disk(
            given, heads=(-1,)))), ("a damaged partition", [], lambda: partitions(hit(whole, 1024 + 16))),
        ("a head in another sector", [], lambda: partitions(whole[:512] + bytes(512) + whole[1024:-512] + whole[512:1024]))])


def systems(r):
    """What a boot partition is."""
    fat, other = make_fat(), make_fat(b"EFI")
    hit = lambda at, x: fat[:at] + x + fat[at + len(x):]
    r.facts("A-34 file system", [
        ("FAT32 with the label", [True, False], lambda: [is_boot(x) for x in (fat, other)]),
        ("other labels", [False] * 5, lambda: [is_boot(make_fat(x)) for x in (b"", b"heraclius", b"HERACLIUS-", b"HERACLIUS1", b" HERACLIUS")]),
        ("no FAT32", [False] * 6, lambda: [is_boot(x) for x in (
            make_fat(kind=b"FAT16   "), hit(510, b"\0"), hit(22, b"\1"), hit(36, bytes(4)), bytes(512), b"")])])
    row = bytes(4) + b"\x0c" + bytes(3)
    of_mbr = (bytes(446) + row + le(1, 4) + le(2, 4) + row + le(3, 4) + le(1, 4) + bytes(32) + b"\x55\xaa")
    r.facts("A-34 boot partitions", [
        ("of two disks", [(0, A), (1, C), (1, A)], lambda: boot_partitions([
            make_disk([(SYSTEM, A, fat), (LINUX, B, other)]), make_disk([(LINUX, B, b""), (SYSTEM, C, fat), (SYSTEM, A, fat)])])),
        ("whatever the type of the partition", [(0, A)], lambda:
            boot_partitions([make_disk([(LINUX, A, fat), (SYSTEM, B, other), (SYSTEM, C, b"")])])),
        ("of 4,096 bytes a sector", [(0, B)], lambda: boot_partitions([make_disk([(SYSTEM, A, other), (SYSTEM, B, fat)], 4096)], 4096)),
        ("a whole disk", [(1, None)], lambda: boot_partitions([other + bytes(9216), fat + bytes(9216)])),
        ("an MBR's", ([(512, 1536), (1536, 2048)], [(0, None)]), lambda: (mbr(of_mbr), boot_partitions([of_mbr + bytes(1024) + fat + bytes(9216)]))),
        ("both of those", [(0, None)] * 2, lambda: boot_partitions([of_mbr + fat + bytes(512) + fat + bytes(9216)])),
        ("a whole disk beside a partition: two", "file-unreadable", lambda: word_of(boot_partition, [x[1] for x in boot_partitions([
            make_disk([(SYSTEM, A, fat)]), fat + bytes(9216)])], None)),
        ("which of them, the loader can say", 0, lambda: boot_partition([x[1] for x in boot_partitions([
            make_disk([(SYSTEM, A, fat)]), fat + bytes(9216)])], variable(A))),
        ("no disk", [], lambda: boot_partitions([]))])


def choices(r):
    def of(found, said=None):
        try:
            return boot_partition(found, said)
        except Bad as e:
            return e.word
    two, is_a, is_b = "file-unreadable", variable(A), variable(B)
    r.facts("A-34 partitions", [
        ("none", ["foreign"] * 2, lambda: [of([], x) for x in (None, is_a)]),
        ("one, whatever the loader says", [0] * 4, lambda: [of([A], x) for x in (None, is_a, is_b, b"x")]),
        ("one without GUID", [0] * 2, lambda: [of([None], x) for x in (None, is_a)]),
        ("two, and it says nothing", [two] * 3, lambda: [of([A, B], x) for x in (None, b"", variable("?"))]),
        ("two, one of them", [0, 1], lambda: [of([A, B], x) for x in (is_a, is_b)]),
        ("capitals or not", [1] * 3, lambda: [of(x, y) for x, y in (([A, B.upper()], is_b), ([A, B], variable(B.upper())), (
            [A.upper(), B.upper()], is_b))]), ("neither", two, lambda: of([A, B], variable(C))),
        ("both: a disk and its copy", two, lambda: of([A, A], is_a)), ("another one's copy", [two, 2], lambda: [of([A, A, B], x) for x in (
            is_a, is_b)]), ("of three the last", 2, lambda: of([C, A, B], is_b)),
        ("one without GUID beside it", [0, two], lambda: [of([A, None], x) for x in (is_a, is_b)]),
        ("none of which has one", [two] * 2, lambda: [of([None, None], x) for x in (None, is_a)]),
        ("a GUID whose bytes are in their order", two, lambda: of([guid_text(bytes.fromhex(A.replace("-", ""))), C.upper()[:-1] + "0"], is_a)),
        ("what is no boot partition does not count", [two, 0], lambda: [of([x[1] for x in boot_partitions([make_disk(
            [(SYSTEM, A, make_fat()), (SYSTEM, C, make_fat()), (LINUX, B, b"")])])], x) for x in (is_b, is_a)])])
    r.words("A-34 choice", [("as a word", two, lambda: boot_partition([A, B], None)), ("right", "ok", lambda: boot_partition([A, B], is_a))])
    r.equal("own A-34: words", ["foreign", two], [word_of(boot_partition, x, None) for x in ([], [A, B])])
