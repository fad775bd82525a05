"""Debian's kernel package, fetched once: what was fetched stands in CACHE/kernel.ARCH, and is used until somebody asks for the newest one.

A build therefore says which kernel it has, needs no network when it has one, and does not change under whoever builds it twice."""
import os
import time as clock

from . import apt, manifest, packages, tool
from .arch import ALL

OLD_DAYS = 30


def kernel(arch, cache, fresh):
    """The path of the .deb."""
    note = os.path.join(cache, f"kernel.{arch}")
    os.makedirs(cache, exist_ok=True)
    if not os.path.exists(note) or fresh:
        debian = apt.Apt(cache)
        deb = debian.download(debian.depends(ALL[arch].kernel, arch, r"linux-image-[0-9].*"), arch, cache)
        tool.write(note, f"{os.path.basename(deb)} {manifest.sha256(deb)}\n".encode())
        for old in os.listdir(cache):
            if old.endswith(f"_{arch}.deb") and old != os.path.basename(deb):
                os.remove(os.path.join(cache, old))
        return deb
    with open(note) as file:
        name, wanted = file.read().split()
    deb = os.path.join(os.path.abspath(cache), os.path.basename(name))
    if not os.path.exists(deb) or manifest.sha256(deb) != wanted:
        raise SystemExit(f"image: {deb} is not what was fetched ({note}); remove both, or make image FRESH=1")
    days = int((clock.time() - os.path.getmtime(note)) / 86400)
    if days > OLD_DAYS:
        print(f"image: the kernel is {packages.of_deb(deb)[1]}, asked for {days} days ago; make image FRESH=1 asks again")
    return deb
