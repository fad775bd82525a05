"""Debian's kernel package: fetched, unpacked, and which of its modules an image carries."""
import glob
import os
import re
import shutil
import subprocess


class Kernel:
    """`release`: what uname -r says; `image`: path of the kernel; `modules`: name -> path of each module."""

    def __init__(self, deb, cache):
        self.deb = deb
        self.package = os.path.basename(deb).split("_")[0]
        self.tree = os.path.join(cache, f"{os.path.basename(deb)[:-4]}.tree")
        if not os.path.exists(os.path.join(self.tree, "whole")):
            shutil.rmtree(self.tree, ignore_errors=True)  # one that was broken off
            subprocess.run(["dpkg-deb", "-x", deb, self.tree], check=True)
            open(os.path.join(self.tree, "whole"), "w").close()
        self.image = glob.glob(os.path.join(self.tree, "boot/vmlinu*"))[0]
        self.release = os.path.basename(self.image).split("-", 1)[1]
        self.modules = {}
        for folder, _, names in os.walk(os.path.join(self.tree, "lib/modules", self.release, "kernel")):
            for name in names:
                if name.endswith(".ko"):
                    self.modules[name[:-3].replace("-", "_")] = os.path.join(folder, name)
        with open(os.path.join(self.tree, "lib/modules", self.release, "modules.builtin")) as lines:
            self.builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in lines}


def entries(path):
    """Each \\0-ended `key=value` of the module's .modinfo, in order."""
    with open(path, "rb") as module:
        content = module.read()
    for piece in content.split(b"\0"):
        if re.match(rb"(depends|alias|softdep)=[\x20-\x7e]*$", piece):
            key, _, value = piece.decode().partition("=")
            yield key, value


class Chosen:
    """The modules of an image: `order`: names, each after what it needs; `loads`: lines of the table; `aliases`: (pattern, name)."""

    def __init__(self, kernel, listing):
        self.order, self.loads, self.aliases, self.needs, self.disk = [], [], [], {}, set()
        late = []
        for name, when in read_list(listing):
            if name in kernel.builtin:
                continue
            if name not in kernel.modules:
                raise SystemExit(f"image: {listing} names {name}, which Debian's {kernel.package} does not have")
            self.add(kernel, name, [])
            late += [name] if when == "late" else []
            if when == "disk":
                self.disk.add(name)
            if when not in ("device", "disk"):
                self.loads.append(f"load {name}" if when == "always" else f"load {name} {when}")
            self.aliases += [(value, name) for key, value in entries(kernel.modules[name]) if key == "alias"]

        self.late = {need for name in late for need in self.all_needs(name) + [name]}
        for name in self.order:
            if name not in self.disk and self.disk & set(self.all_needs(name)):
                raise SystemExit(f"image: {listing}: {name} needs a driver of disks, and init loads those last: say `disk` of it, too")

    def path(self, name):
        """In the image. init removes what no device asked for, but below late/; what is below disk/ it loads last, in a process apart."""
        return f"/lib/modules/{'late/' if name in self.late else 'disk/' if name in self.disk else ''}{name}.ko"

    def add(self, kernel, name, above):
        if name in self.needs:
            return
        if name in above:
            raise SystemExit(f"image: modules need each other in a circle: {' '.join(above)}")
        needs = []
        for key, value in entries(kernel.modules[name]):
            if key == "depends":
                needs += [n.replace("-", "_") for n in value.split(",") if n]
            if key == "softdep" and value.startswith("pre: "):
                needs += [n.replace("-", "_") for n in value[5:].split(" post:")[0].split()]
        needs = [n for n in dict.fromkeys(needs) if n in kernel.modules and n not in kernel.builtin]
        for need in needs:
            self.add(kernel, need, above + [name])
        self.needs[name] = needs
        self.order.append(name)

    def all_needs(self, name):
        """In load order, without the module itself."""
        found = []
        for need in self.needs[name]:
            found += [n for n in self.all_needs(need) + [need] if n not in found]
        return found

    def table(self):
        """/etc/heraclius/modules, as init reads it."""
        lines = [" ".join(["module", n, self.path(n)] + self.all_needs(n)) for n in self.order]
        lines += self.loads
        lines += [f"alias {pattern} {n}" for pattern, n in self.aliases]
        return "".join(line + "\n" for line in lines)


def read_list(path):
    """(name, when) of each line; every line must say why it is there."""
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) < 3 or words[1] not in ("always", "device", "disk", "late") and not re.match("!?/", words[1]):
                raise SystemExit(f"image: {path}:{number}: want NAME, always, device, disk, late, /PATH or !/PATH, and why")
            yield words[0].replace("-", "_"), words[1]
