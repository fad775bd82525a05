"""A unified kernel image: systemd's stub with the kernel, its initrd and command line as sections of one PE file, which UEFI starts and can check."""
import os
import struct
import subprocess
import tempfile

PAGE = 4096


def sections(path):
    """[(name, virtual address, virtual size)] of a PE file, by its own headers."""
    with open(path, "rb") as file:
        content = file.read()
    at = struct.unpack_from("<I", content, 0x3C)[0]
    if content[at:at + 4] != b"PE\0\0":
        raise SystemExit(f"image: {path} is no PE file")
    count, optional = struct.unpack_from("<H", content, at + 6)[0], struct.unpack_from("<H", content, at + 20)[0]
    found = []
    for i in range(count):
        entry = at + 24 + optional + 40 * i
        size, address = struct.unpack_from("<II", content, entry + 8)
        found.append((content[entry:entry + 8].rstrip(b"\0").decode(), address, size))
    return found


def make(stub, parts, out, time, objcopy="objcopy"):
    """`parts`: (section, bytes) in order; the kernel last, since it may need room behind it."""
    end = max(address + size for _, address, size in sections(stub))
    base = 0
    with open(stub, "rb") as file:
        head = file.read(4096)
    at = struct.unpack_from("<I", head, 0x3C)[0]
    base = struct.unpack_from("<Q", head, at + 24 + 24)[0]
    words = [objcopy]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in parts:
            path = os.path.join(folder, name.lstrip("."))
            with open(path, "wb") as file:
                file.write(content)
            end = (end + PAGE - 1) // PAGE * PAGE
            words += ["--add-section", f"{name}={path}", "--set-section-flags", f"{name}=data,readonly", "--change-section-vma",
                      f"{name}={base + end:#x}"]
            end += len(content)
        subprocess.run(words + [stub, out], check=True, env=dict(os.environ, SOURCE_DATE_EPOCH=str(time)))
    stamp(out, time)


def stamp(path, time):
    """Two words of the PE header are the making's: its time, which becomes the image's, and a checksum over that time too, which no UEFI firmware
    reads: none (signing sets it)."""
    with open(path, "r+b") as file:
        file.seek(0x3C)
        at = struct.unpack("<I", file.read(4))[0]
        file.seek(at + 8)
        file.write(struct.pack("<I", time & 0xFFFFFFFF))
        file.seek(at + 24 + 64)
        file.write(bytes(4))
