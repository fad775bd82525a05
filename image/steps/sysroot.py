"""Debian's libraries of another architecture: fetched once, unpacked into a tree that stands for / when something is compiled for it or packed.

What was fetched stands in CACHE/libraries.ARCH, a line for each package file with its hash, and is used until somebody asks for the newest: a build
says what it has, needs no network when it has it, and is the same tomorrow. Nothing of the packages is run; this machine's own are not touched."""
import json
import os
import re
import shutil
import subprocess

from . import apt, lists, manifest, packages, tool


def wanted(listing, arch):
    """image/sysroot.packages: the names for an architecture."""
    return [name for name, where in lists.lines(listing, 2) if where == "all" or arch in where.split(",")]


def fetched(arch, cache, names, fresh):
    """The paths of the package files: the wanted ones and all that they depend on."""
    note, folder = os.path.join(cache, f"libraries.{arch}"), os.path.join(cache, f"libraries.{arch}.debs")
    asked = " ".join(names)
    if os.path.exists(note) and not fresh:
        with open(note) as file:
            first, *lines = file.read().splitlines()
        if first == asked:
            return [checked(folder, *line.split()) for line in lines]
    debian = apt.Apt(cache)
    planned = debian.run(arch, "apt-get", "-s", "-q", "--no-install-recommends", "install", *names)
    found = re.findall(r"^Inst (\S+) \((\S+) ", planned, re.M)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    debian.tried_in(folder, arch, *[f"{name}={version}" for name, version in found])
    debs = sorted(name for name in os.listdir(folder) if name.endswith(".deb"))
    if len(debs) != len(found):
        raise SystemExit(f"image: {len(found)} packages of {arch} were asked for, {len(debs)} came")
    tool.write(note, "".join([f"{asked}\n"] + [f"{name} {manifest.sha256(os.path.join(folder, name))}\n" for name in debs]).encode())
    return [os.path.join(folder, name) for name in debs]


def checked(folder, name, hash):
    path = os.path.join(folder, os.path.basename(name))
    if not os.path.exists(path) or manifest.sha256(path) != hash:
        raise SystemExit(f"image: {path} is not what was fetched; remove {folder} and the list beside it, then try again")
    return path


def within(root):
    """A link to /... would lead out of the tree, to this machine's own: it becomes one from where it lies."""
    for at, folders, names in os.walk(root):
        for path in (os.path.join(at, name) for name in folders + names):
            if os.path.islink(path) and os.readlink(path).startswith("/"):
                target = os.path.relpath(root + os.readlink(path), at)
                os.remove(path)
                os.symlink(target, path)


def make(arch, cache, listing, fresh=False):
    """CACHE/sysroot.ARCH, unpacked anew if it is of other packages; its path."""
    os.makedirs(cache, exist_ok=True)
    debs = fetched(arch, cache, wanted(listing, arch), fresh)
    root, of = os.path.join(cache, f"sysroot.{arch}"), {}
    new = f"{root}.new"
    for old in (new, root):
        shutil.rmtree(old, ignore_errors=True)
    os.makedirs(new)
    for deb in debs:
        subprocess.run(["dpkg-deb", "-x", deb, new], check=True)
        listed = subprocess.run(["dpkg-deb", "-c", deb], check=True, capture_output=True, text=True).stdout
        five = packages.of_deb(deb)
        of[five[0]] = (five, re.findall(r"^[^d]\S* .* \.(/[^>\n]*?)(?: -> .*| link to .*)?$", listed, re.M))
    within(new)
    tool.write(os.path.join(new, "whole"), json.dumps(of).encode())
    os.rename(new, root)
    return root


class Sysroot:
    """The tree, asked like packages.Packages."""

    def __init__(self, arch, cache):
        self.arch, self.root = arch, os.path.join(os.path.abspath(cache), f"sysroot.{arch}")
        try:
            with open(os.path.join(self.root, "whole")) as file:
                of = json.load(file)
        except FileNotFoundError:
            raise SystemExit(f"image: {self.root} is not there: image/sysroot --arch {arch} --cache {cache} makes it") from None
        self.known = {name: tuple(five) for name, (five, _) in of.items()}
        self.files = {path: name for name, (_, paths) in of.items() for path in paths}

    def of(self, path):
        at = os.path.realpath(path)[len(os.path.realpath(self.root)):]
        name = self.files.get(at) or self.files.get(at[4:] if at.startswith("/usr/") else f"/usr{at}")
        return self.known[name] if name else None

    def named(self, package):
        if package not in self.known:
            raise SystemExit(f"image: {package} is not among the packages of {self.arch}: image/sysroot.packages lists what is fetched")
        return self.known[package]

    def path(self, package, at):
        self.named(package)
        if not os.path.exists(self.root + at):
            raise SystemExit(f"image: {package} of {self.arch} has no {at}")
        return self.root + at
