"""The kernel as it is once it has unpacked itself: an ELF file that QEMU's -kernel starts by its PVH note. Unpacking 8 MB of xz is half of a boot
where a processor is emulated. What it lacks: the kernel is not moved to an address by chance, which is part of unpacking."""
import lzma
import struct

SECTORS_AT, MAGIC_AT, PAYLOAD_AT = 0x1F1, 0x202, 0x248  # Documentation/x86/boot.rst, "The Real-Mode Kernel Header"


def unpacked(image):
    """The ELF file in a bzImage, its bytes."""
    if image[MAGIC_AT:MAGIC_AT + 4] != b"HdrS":
        raise SystemExit("image: the kernel is no bzImage")
    offset, length = struct.unpack_from("<II", image, PAYLOAD_AT)
    begin = (image[SECTORS_AT] + 1) * 512 + offset
    payload = image[begin:begin + length]
    if not payload.startswith(b"\xfd7zXZ\0"):
        raise SystemExit("image: Debian's kernel is not packed with xz any more: steps/plain.py knows nothing else")
    elf = lzma.LZMADecompressor().decompress(payload)
    if not elf.startswith(b"\x7fELF") or b"Xen\0" not in elf:
        raise SystemExit("image: what the kernel unpacks to does not start by PVH")
    return elf
