"""The lists beside image/build, one thing a line with its reason: words.ARCH, contents.ARCH. (modules.ARCH is kernel.py's.)"""


def lines(path, columns):
    """The first `columns` words of each line; what follows is the reason, without which a line is refused."""
    with open(path) as file:
        for number, line in enumerate(file, 1):
            parts = line.split(None, columns)
            if not parts or parts[0].startswith("#"):
                continue
            if len(parts) <= columns:
                raise SystemExit(f"image: {path}:{number}: a line says why it is there")
            yield parts[:columns]


def words(path):
    """The kernel's command line."""
    return " ".join(word for word, in lines(path, 1))


def contents(path):
    """(program or file, where in the image, package, where here)"""
    for kind, at, source in lines(path, 3):
        package, colon, here = source.partition(":")
        if kind not in ("program", "file") or not colon or not at.startswith("/") or not here.startswith("/"):
            raise SystemExit(f"image: {path}: {kind} {at} {source}: want program or file, /WHERE, PACKAGE:/WHERE, and why")
        yield kind, at, package, here
