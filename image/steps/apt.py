"""Packages of Debian, of any architecture, without touching what this machine has installed.

This machine's own sources and keys are used; the lists of another architecture lie in a folder of their own, since an update of them can fail in the
middle of a mirror's renewal and must not break this machine's."""
import glob
import os
import re
import subprocess


class Apt:
    def __init__(self, cache):
        self.root = os.path.join(os.path.abspath(cache), "apt")
        self.ready = set()

    def options(self, arch):
        at = os.path.join(self.root, arch)
        for folder in ("lists/partial", "archives/partial"):
            os.makedirs(os.path.join(at, folder), exist_ok=True)
        open(os.path.join(at, "status"), "a").close()
        return ["-o", f"Dir::State::Lists={at}/lists", "-o", f"Dir::State::status={at}/status", "-o", f"Dir::Cache={at}", "-o",
                f"APT::Architecture={arch}", "-o", f"APT::Architectures={arch}", "-o", "APT::Sandbox::User=root", "-o",
                "Acquire::Languages=none"]

    def run(self, arch, *words):
        if arch not in self.ready:
            self.ready.add(arch)
            self.tried("apt-get", arch, "-q", "update")
        return self.tried(words[0], arch, *words[1:])

    def tried(self, program, arch, *words):
        for attempt in range(3):
            done = subprocess.run([program] + self.options(arch) + list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  cwd=self.root)
            if done.returncode == 0:
                return done.stdout
        raise SystemExit(f"image: {program} {' '.join(words)} ({arch}) failed three times:\n{done.stderr.strip()}")

    def depends(self, package, arch, pattern):
        """The one package that `package` depends on and that fits the pattern."""
        found = re.findall(rf"^\s*Depends: ({pattern})$", self.run(arch, "apt-cache", "depends", package), re.M)
        if len(found) != 1:
            raise SystemExit(f"image: {package} of {arch} depends on {found or 'nothing'} that fits {pattern}")
        return found[0]

    def download(self, package, arch, into):
        """The path of the newest .deb of a package, fetched if it is not there yet."""
        os.makedirs(into, exist_ok=True)
        uri = self.run(arch, "apt-get", "download", "--print-uris", package).split()
        if len(uri) < 2:
            raise SystemExit(f"image: Debian has no {package} for {arch}")
        path = os.path.join(os.path.abspath(into), uri[1])
        if not os.path.exists(path):
            fetched = os.path.join(self.root, arch, "archives")
            for old in glob.glob(f"{fetched}/*.deb"):
                os.remove(old)
            self.tried_in(fetched, arch, package)
            os.replace(glob.glob(f"{fetched}/*.deb")[0], path)
        return path

    def tried_in(self, folder, arch, *names):
        folder = os.path.abspath(folder)
        for attempt in range(3):
            done = subprocess.run(["apt-get"] + self.options(arch) + ["-q", "download", *names], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, cwd=folder)
            if done.returncode == 0:
                return
        raise SystemExit(f"image: apt-get download {' '.join(names)} ({arch}) failed three times:\n{done.stderr.strip()}")

    @staticmethod
    def version_of(deb):
        return subprocess.run(["dpkg-deb", "-f", deb, "Version"], check=True, capture_output=True, text=True).stdout.strip()
