"""manifest.sha256: the hash of each output, as `sha256sum -c` reads it."""
import hashlib
import os


def sha256(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def make(folder, names, stem):
    """Of these files of `stem` (heraclius-ARCH), and what an earlier one said of other architectures' that lie there."""
    lines = {name: f"{sha256(os.path.join(folder, name))}  {name}\n" for name in names}
    try:
        with open(os.path.join(folder, "manifest.sha256")) as old:
            for line in old:
                name = line.split()[1]
                if not name.startswith(f"{stem}.") and os.path.exists(os.path.join(folder, name)):
                    lines[name] = line
    except FileNotFoundError:
        pass
    return "".join(lines[name] for name in sorted(lines)).encode()
