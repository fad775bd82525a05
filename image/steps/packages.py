"""Which of Debian's packages a file of this machine comes from, for the list of what is in an image."""
import os
import re
import subprocess


class Packages:
    """This machine's own. `root`: where its files lie."""
    root = ""

    def __init__(self):
        self.known = {}

    def of(self, path):
        """(package, version, architecture, source package, its version), or None for a file that no package has."""
        real = os.path.realpath(path)
        # A package may name a file by /lib or by /usr/lib, which are one folder.
        names = [path, real] + [p[4:] if p.startswith("/usr/") else f"/usr{p}" for p in (path, real)]
        for name in names:
            done = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"))
            found = re.match(r"([^\s:,]+)(?::[^\s,]+)?(?:, [^:]+(?::[^\s,]+)?)*: ", done.stdout)
            if done.returncode == 0 and found:
                return self.named(found.group(1))
        return None

    def named(self, package):
        if package not in self.known:
            form = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
            done = subprocess.run(["dpkg-query", "-W", f"-f={form}", package], capture_output=True, text=True)
            if done.returncode != 0 or not done.stdout.split():
                raise SystemExit(f"image: Debian's package {package} is not installed here: tests/setup image installs what is needed")
            self.known[package] = tuple(done.stdout.splitlines()[0].split("\t"))
        return self.known[package]

    def path(self, package, at):
        """A file that this package must have brought here."""
        self.named(package)
        if not os.path.exists(at):
            raise SystemExit(f"image: {package} has no {at}")
        return at


def of_deb(deb):
    """The same five of a package file that is not installed."""
    def field(name):
        return subprocess.run(["dpkg-deb", "-f", deb, name], check=True, capture_output=True, text=True).stdout.strip()
    source = re.fullmatch(r"(\S*)(?: \((\S+)\))?", field("Source"))
    package, version = field("Package"), field("Version")
    return package, version, field("Architecture"), source.group(1) or package, source.group(2) or version
