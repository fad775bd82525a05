"""What a disk of a virtual machine was told, written down by QEMU (blklogwrites), and what a cut of its power may leave of that."""
import struct

from . import vm

SECTOR, BLOCK = 512, 4096
LOG_MAGIC, FLUSH, FUA, DISCARD = 0x6A736677736872, 1, 2, 4


def logged(disk, log, every=4096):
    """Words of QEMU. The record's head, which says how many entries there are, is written after each flush and after so many entries."""
    return ["-blockdev", f"driver=file,node-name=raw0,filename={disk}", "-blockdev", f"driver=file,node-name=log0,filename={log}", "-blockdev",
            f"driver=blklogwrites,node-name=disk0,file=raw0,log=log0,log-sector-size={SECTOR},log-super-update-interval={every}", "-device",
            "virtio-blk-pci,drive=disk0,serial=disk0"]


def record(path):
    """(flags, byte, content) of each entry, in the order in which the disk was told."""
    with open(path, "rb") as file:
        magic, version, count, size = struct.unpack("<QQQI", file.read(28))
        if (magic, version, size) != (LOG_MAGIC, 1, SECTOR):
            raise vm.Failed("QEMU's record of writes has another form")
        at, entries = SECTOR, []
        for _ in range(count):
            file.seek(at)
            sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
            file.seek(at + SECTOR)
            content = b"" if flags & DISCARD else file.read(sectors * SECTOR)
            entries.append((flags, sector * SECTOR, content))
            at += SECTOR + (0 if flags & DISCARD else sectors * SECTOR)
    return entries


def cut(file, entries, point, chance, keep):
    """Into an open disk, as it was before all of them: what a cut in front of entry `point` leaves of them. What was flushed is there; of the rest
    each block of 4 KiB with the probability `keep`. How many blocks were lost."""
    settled, lost = max((i for i in range(point) if entries[i][0] & FLUSH), default=-1), 0
    for i in range(point):
        flags, at, content = entries[i]
        whole = i < settled or flags & FUA
        for begin in range(at - at % BLOCK, at + len(content), BLOCK):
            if whole or chance.random() < keep:
                piece = content[max(begin - at, 0):begin + BLOCK - at]
                file.seek(max(begin, at))
                file.write(piece)
            else:
                lost += 1
    return lost
