"""An initrd, the same to the byte wherever it is made: newc, root's, one time, names in order."""
import os
import stat


class Archive:
    def __init__(self):
        self.files = {}

    def folder(self, path, mode=0o755):
        parent = os.path.dirname(path)
        if parent not in ("/", "") and parent not in self.files:
            self.folder(parent)
        self.files[path] = (stat.S_IFDIR | mode, b"", 0, 0)

    def put(self, path, content, mode=0o644):
        if os.path.dirname(path) not in ("/", "") and os.path.dirname(path) not in self.files:
            self.folder(os.path.dirname(path))
        self.files[path] = (stat.S_IFREG | mode, content, 0, 0)

    def copy(self, path, source, mode=0o644):
        with open(source, "rb") as file:
            self.put(path, file.read(), mode)

    def link(self, path, target):
        if os.path.dirname(path) not in ("/", "") and os.path.dirname(path) not in self.files:
            self.folder(os.path.dirname(path))
        self.files[path] = (stat.S_IFLNK | 0o777, target.encode(), 0, 0)

    def character(self, path, mode, major, minor):
        self.folder(os.path.dirname(path))
        self.files[path] = (stat.S_IFCHR | mode, b"", major, minor)

    def bytes(self, time):
        out = bytearray()
        for number, path in enumerate(sorted(self.files), 1):
            mode, content, major, minor = self.files[path]
            out += entry(path.lstrip("/"), number, mode, content, time, major, minor)
        out += entry("TRAILER!!!", 0, 0, b"", 0, 0, 0)
        return bytes(out) + bytes(-len(out) % 512)


def entry(name, number, mode, content, time, major, minor):
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, time, len(content), 0, 0, major, minor, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    head += bytes(-len(head) % 4)
    return head + content + bytes(-len(content) % 4)
