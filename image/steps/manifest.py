"""manifest.sha256: the hash of each output, as `sha256sum -c` reads it."""
import hashlib
import os


def sha256(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def make(folder, names):
    return "".join(f"{sha256(os.path.join(folder, name))}  {name}\n" for name in sorted(names)).encode()
