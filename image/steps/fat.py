"""A FAT file system in a file, without mounting and without root: mkfs.vfat and mtools."""
import os
import tempfile

from . import tool


def make(path, megabytes, label, number, files, time, hidden=0):
    """`files`: {path: bytes}; `number`: the volume's, 32 bits; `hidden`: sectors before it on its disk."""
    if os.path.exists(path):
        os.remove(path)
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
    wide = ["-F", "32"] if megabytes >= 128 else []
    tool.run(["mkfs.vfat"] + wide + ["-h", str(hidden), "-i", f"{number:08x}", "-n", label, "--invariant", path], time)
    folders = sorted({"/".join(f.split("/")[:n]) for f in files for n in range(1, f.count("/") + 1)})
    for folder in folders:
        tool.run(["mmd", "-i", path, f"::{folder}"], time)
    with tempfile.TemporaryDirectory() as staging:
        for name in sorted(files):
            here = os.path.join(staging, "file")
            tool.write(here, files[name])
            os.utime(here, (time, time))  # -m: the file's time, not that of the copying
            tool.run(["mcopy", "-m", "-i", path, here, f"::{name}"], time)
