"""What lies in the initrd, which is all the files that the machine has.

  /init                       PID 1
  /bin                        the programs
  /lib, /usr/lib, /lib64      the loader and the libraries that they name, each where Debian has it
  /lib/modules                the kernel's modules
  /etc/heraclius/modules      which of them, in what order, for which device   (steps/kernel.py)
  /etc/heraclius/ext4         the blocks of an empty data disk                 (steps/disk.py)
  /etc/heraclius/made, version, number, owner, release
"""
import os
import tempfile

from . import cpio, disk, libraries, lists, tool

FOLDERS = ("/proc", "/sys", "/dev", "/run", "/data", "/bin", "/etc/heraclius")


class Root:
    """`origin`: {path in the image: (path here, what of: ours, kernel, debian)}, for the SBOM; `archive`: the files."""

    def __init__(self, time, arch):
        self.time, self.arch, self.archive, self.origin = time, arch, cpio.Archive(), {}
        for folder in FOLDERS:
            self.archive.folder(folder)
        self.archive.link("/var/lib/dhcpcd", "/run/dhcpcd")  # its folders' names are compiled in; init gives it the one in /run
        self.archive.character("/dev/console", 0o600, 5, 1)
        self.archive.character("/dev/null", 0o666, 1, 3)

    def text(self, path, content):
        self.archive.put(path, content)
        self.origin[path] = (None, "ours")

    def copy(self, at, here, of, mode=0o644):
        self.archive.copy(at, here, mode)
        self.origin[at] = (here, of)

    def program(self, at, here):
        """One of ours: without its symbols, and without the hash of its debug information, which names the folder that it was built in."""
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "stripped")
            tool.run([f"{self.arch.tools}strip", "-R", ".note.gnu.build-id", "-R", ".comment", "-o", out, here], self.time)
            self.archive.copy(at, out, 0o755)
        self.origin[at] = (here, "ours")

    def modules(self, chosen, paths):
        # Never stripped: each has Debian's signature behind its last section, and module.sig_enforce wants it.
        for name in chosen.order:
            self.copy(chosen.path(name), paths[name], "kernel")
        self.text("/etc/heraclius/modules", chosen.table().encode())

    def debian(self, listing, packages):
        """image/contents.ARCH; returns the programs, whose libraries are wanted too."""
        programs = []
        for kind, at, package, here in lists.contents(listing):
            found = packages.path(package, here)
            self.copy(at, found, "debian", 0o755 if kind == "program" else 0o644)
            programs += [found] if kind == "program" else []
        return programs

    def libraries(self, programs, root):
        """`root`: stands for /, from which they come."""
        for at, here in libraries.closure(programs, [root], self.arch.triplet).items():
            self.copy(at, here, "debian", 0o755)

    def facts(self, version, number, owner, release):
        self.text("/etc/heraclius/ext4", disk.blocks(self.time))
        self.text("/etc/heraclius/made", f"{self.time}\n".encode())
        self.text("/etc/heraclius/version", f"{version}\n".encode())
        self.text("/etc/heraclius/number", f"{number}\n".encode())
        if owner:
            self.text("/etc/heraclius/owner", owner)
        if release:
            self.text("/etc/heraclius/release", release)

    def packed(self, level, by="zstd"):
        """zstd in one thread, whose output does not depend on the number of processors; the kernel's own decompressor wants no window above 8 MiB
        beyond what -19 takes."""
        if by == "xz":  # with what the kernel can check, and a window as small as zstd's: the kernel takes so much memory for it; most is code, in
            # words of four bytes (lp=2: 1 % less)
            words = ["xz", "--format=xz", "--check=crc32", "--lzma2=preset=9e,dict=8MiB,lc=2,lp=2", "-T1", "-c"]
            return tool.run(words, self.time, input=self.archive.bytes(self.time))
        return tool.run(["zstd", "-q", f"-{level}", "-T1", "--no-progress", "-c"], self.time, input=self.archive.bytes(self.time))
