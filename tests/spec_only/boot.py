"""Which partition a machine started from, where there is more than one boot partition (A-34).

How the text was read where it says less than a program must know:
- A-34: a boot partition is found by its file system alone, whatever the type of its partition. FAT32 is told by the first sector of it: 0x55AA at
  its end, sectors of a FAT in 32 bits and none in 16, `FAT32` at 82; its label is the one at 71 there, letter for letter (that of the root's folder
  is taken to be the same). "Two" are two or more. What is not one of them does not count, also if the loader says that it started from there. Two of
  one GUID (a disk and its copy) are not exactly one. A variable that is of another form says nothing.
- Partitions are those of a GPT, else the four of an MBR, which have no GUID in a GPT; a disk that is a file system as a whole has no MBR.
- The variable is UTF-16LE, its 0x0000 may be there; a GUID's first three numbers are little-endian in the GPT (UEFI). The head of a GPT whose sums
  do not fit does not count; then the one in the last sector does; without either the disk has no partitions.
"""
import re
import zlib

from wire import le, need

SIGNATURE, HEAD, ENTRY, ENTRIES_MAX = b"EFI PART", 92, 128, 1 << 20
LABEL = b"HERACLIUS"
SYSTEM = "c12a7328-f81f-11d2-ba4b-00c04fc93ec9"
GUID = re.compile("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def guid_text(raw):
    """Of the 16 bytes in a GPT, small letters."""
    x = (raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]).hex()
    return "-".join((x[:8], x[8:12], x[12:16], x[16:20], x[20:]))


def guid_raw(text):
    x = bytes.fromhex(text.replace("-", ""))
    return x[3::-1] + x[5:3:-1] + x[7:5:-1] + x[8:]


def loader_says(variable):
    """The GUID that LoaderDevicePartUUID has, in small letters, or None."""
    try:
        text = (variable or b"").decode("utf-16-le")
    except UnicodeDecodeError:
        return None
    text = text[:-1] if text.endswith("\0") else text
    return text.lower() if GUID.fullmatch(text) else None


def num(raw, at, size):
    return int.from_bytes(raw[at:at + size], "little")


def table(disk, at, sector):
    """The partitions by the head in sector `at`, as (type, GUID, first byte, the one behind), or None."""
    head = disk[at * sector:(at + 1) * sector]
    size = num(head, 12, 4)
    if head[:8] != SIGNATURE or not HEAD <= size <= sector or num(head, 24, 8) != at:
        return None
    if zlib.crc32(head[:16] + bytes(4) + head[20:size]) != num(head, 16, 4):
        return None
    begin, count, each = num(head, 72, 8) * sector, num(head, 80, 4), num(head, 84, 4)
    if each < ENTRY or count * each > ENTRIES_MAX:
        return None
    rows = disk[begin:begin + count * each]
    if len(rows) != count * each or zlib.crc32(rows) != num(head, 88, 4):
        return None
    rows = [rows[i * each:(i + 1) * each] for i in range(count)]
    return [(guid_text(x[:16]), guid_text(x[16:32]), num(x, 32, 8) * sector, (num(x, 40, 8) + 1) * sector) for x in rows if any(x[:16])]


def partitions(disk, sector=512):
    """Those of a GPT."""
    first = table(disk, 1, sector)
    return first if first is not None else table(disk, len(disk) // sector - 1, sector) or []


def mbr(disk, sector=512):
    """(first byte, the one behind) of those of an MBR."""
    if disk[510:512] != b"\x55\xaa":
        return []
    rows = [disk[i:i + 16] for i in range(446, 510, 16)]
    return [(num(x, 8, 4) * sector, (num(x, 8, 4) + num(x, 12, 4)) * sector) for x in rows if x[4]]


def is_boot(raw):
    """Whether a file system that begins so is FAT32 with the label."""
    fat32 = raw[510:512] == b"\x55\xaa" and raw[82:90] == b"FAT32   " and num(raw, 22, 2) == 0 and num(raw, 36, 4) != 0
    return fat32 and raw[71:82].rstrip(b" ") == LABEL


def make_fat(label=LABEL, kind=b"FAT32   "):
    """The first sector of one."""
    head = b"\xeb\x58\x90" + b"heraclius"[:8] + le(512, 2) + b"\x01" + le(32, 2) + b"\x02" + bytes(4) + b"\xf8" + bytes(2)
    return (head.ljust(36, b"\0") + le(9, 4)).ljust(71, b"\0") + label.ljust(11) + kind + bytes(420) + b"\x55\xaa"


def make_disk(rows, sector=512, sectors=80, heads=(1, -1)):
    """A disk with a GPT of these (type, GUID, begin of its content), two sectors each, in the sectors `heads`."""
    begin = 10
    places = [(begin + 2 * i, begin + 2 * i + 1) for i in range(len(rows))]
    raw = b"".join(guid_raw(t) + guid_raw(g) + le(a, 8) + le(b, 8) + bytes(ENTRY - 48) for (t, g, _), (a, b) in zip(rows, places))
    raw = raw.ljust(4 * ENTRY, b"\0")
    disk = bytearray(sector * sectors)
    disk[2 * sector:2 * sector + len(raw)] = raw
    for (_, _, content), (a, _) in zip(rows, places):
        disk[a * sector:a * sector + len(content)] = content
    for at in heads:
        at = at % sectors
        parts = [SIGNATURE, le(0x10000, 4), le(HEAD, 4), bytes(8), le(at, 8), bytes(40), le(2, 8), le(len(raw) // ENTRY, 4), le(ENTRY, 4),
                 le(zlib.crc32(raw), 4)]
        head = b"".join(parts)
        disk[at * sector:at * sector + HEAD] = head[:16] + le(zlib.crc32(head), 4) + head[20:]
    return bytes(disk)


def boot_partitions(disks, sector=512):
    """(number of the disk, GUID or None) of each boot partition of a machine."""
    out = []
    for i, disk in enumerate(disks):
        rows = [(guid, a) for _, guid, a, _ in partitions(disk, sector)]
        if is_boot(disk):
            rows.append((None, 0))
        elif not rows:
            rows = [(None, a) for a, _ in mbr(disk, sector)]
        out += [(i, guid) for guid, a in rows if is_boot(disk[a:a + 512])]
    return out


def boot_partition(found, variable):
    """A-34: the place of the one that counts, among their GUIDs (None: of one that has none)."""
    need(found, "foreign")
    if len(found) == 1:
        return 0
    said = loader_says(variable)
    those = [i for i, guid in enumerate(found) if said is not None and guid is not None and guid.lower() == said]
    need(len(those) == 1, "file-unreadable")
    return those[0]
