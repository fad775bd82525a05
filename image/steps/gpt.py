"""A disk with one partition, the EFI system partition, by GUID partition table (UEFI 2.10, 5.3); BIOS starts from it by code in its first sector.

  sector 0          the BIOS's first 440 bytes of code; one entry that covers the disk, so that old tools leave it alone
  sector 1          head;  2 to 33: 128 entries of 128 bytes
  sector 2048       the partition
  last 33 sectors   entries and head again
"""
import os
import struct
import uuid
import zlib

SECTOR = 512
FIRST = 2048
ENTRIES, ENTRY_BYTES = 128, 128
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LEGACY_BOOTABLE = 1 << 2  # what gptmbr.bin looks for
CHUNK = 1 << 20


def derived(seed, what):
    """A GUID that two different images do not share."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"heraclius {what} {seed}")


def head(own, other, entries_at, last, disk_guid, entries):
    def packed(check):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, check, 0, own, other, FIRST, last - 33, disk_guid.bytes_le, entries_at,
                           ENTRIES, ENTRY_BYTES, zlib.crc32(entries))
    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")


def make(path, partition, mbr_code, seed):
    """`partition`: the file with its content; `mbr_code`: at most 440 bytes. Zeros stay holes."""
    sectors = os.path.getsize(partition) // SECTOR
    total = FIRST + sectors + FIRST
    last = total - 1
    name = "heraclius".encode("utf-16-le").ljust(72, b"\0")
    entry = struct.pack("<16s16sQQQ72s", ESP.bytes_le, derived(seed, "partition").bytes_le, FIRST, FIRST + sectors - 1, LEGACY_BOOTABLE, name)
    entries = entry.ljust(ENTRIES * ENTRY_BYTES, b"\0")
    guid = derived(seed, "disk")
    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFFFFFF))
    assert len(mbr_code) <= 440
    with open(path, "wb") as disk, open(partition, "rb") as content:
        disk.truncate(total * SECTOR)
        disk.write(mbr_code.ljust(446, b"\0") + protective.ljust(64, b"\0") + b"\x55\xaa")
        disk.write(head(1, last, 2, last, guid, entries) + entries)
        disk.seek(FIRST * SECTOR)
        while chunk := content.read(CHUNK):
            if chunk.strip(b"\0"):
                disk.write(chunk)
            else:
                disk.seek(len(chunk), os.SEEK_CUR)
        disk.seek((last - 32) * SECTOR)
        disk.write(entries + head(last, 1, last - 32, last, guid, entries))
    os.chmod(path, 0o644)
