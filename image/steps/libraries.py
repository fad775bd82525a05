"""What a dynamic program needs: its loader and its libraries, by their own dependency tables, from this machine or from an unpacked package tree."""
import os
import re

from . import tool


def needs(path, readelf="readelf"):
    """(loader or None, [sonames], [run path folders])"""
    head = tool.run([readelf, "-lW", path], 0).decode()  # in its own language: it speaks that of whoever builds, else
    loader = re.search(r"program interpreter: ([^\]]+)\]", head)
    table = tool.run([readelf, "-dW", path], 0).decode()
    names = re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", table)
    folders = re.findall(r"\((?:RUNPATH|RPATH)\)\s+Library r(?:un)?path: \[([^\]]+)\]", table)
    return loader.group(1) if loader else None, names, folders[0].split(":") if folders else []


def closure(programs, roots, triplet):
    """{path in the image: path here} of the loader and all libraries of the programs. `roots`: folders that stand for /, searched in order."""
    found, todo = {}, list(programs)
    usual = [f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib", "/usr/lib"]
    while todo:
        loader, names, folders = needs(todo.pop())
        wanted = [[loader]] if loader and loader not in found else []
        wanted += [[os.path.join(f, name) for f in folders + usual] for name in names]
        for paths in wanted:
            hits = [(p, root + p) for p in paths for root in roots if os.path.exists(root + p)]
            if not hits:
                raise SystemExit(f"image: nobody here has {os.path.basename(paths[0])}")
            at, here = hits[0]
            if at not in found:
                found[at] = os.path.realpath(here)
                todo.append(found[at])
    return found
