"""Nodes that are processes of this machine, beside machines from an image: set up by the same heraclius-setup as there, below a folder that stands
for the machine's own."""
import json
import os
import shutil
import socket
import subprocess
import time

from . import vm
from .operator import TOP


def unused_ports(count):
    """That nobody listens on now. Those of tests/run are taken from what it gives to a test."""
    first, last = map(int, os.environ.get("HERACLIUS_TEST_PORTS", "10000-30999").split("-"))
    found = []
    for port in range(first + os.getpid() * 37 % max(1, last - first - 2 * count), last + 1):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                continue
        if len(found) == count:
            return found
    raise vm.Failed(f"{count} ports are not to be had")


class Node:
    """`build`: the folder of its programs, build/gcc or that of another flavour."""

    def __init__(self, root, owner, build="build/gcc"):
        self.root, self.build, self.process = root, os.path.join(TOP, build), None
        for folder in ("data/node", "data/public", "data/config", "run/node", "etc/heraclius", "bin"):
            os.makedirs(os.path.join(root, folder))
        os.symlink(os.path.join(self.build, "heracliusd"), os.path.join(root, "bin/heracliusd"))
        with open(os.path.join(root, "etc/heraclius/owner"), "w") as file:
            file.write(f"{owner}\n")

    def setup(self, *words, bundle=os.devnull):
        program = os.path.join(self.build, "heraclius-setup")
        done = subprocess.run(["sh", "-c", 'bundle=$1; shift; exec "$@" 3<"$bundle"', "sh", bundle, program, "--root", self.root, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise vm.Failed(f"heraclius-setup {' '.join(words)} in {self.root}: {done.stderr.strip()}")
        return done.stdout

    def request(self, name):
        return self.setup("--name", name, "keys")

    def configure(self, bundle):
        self.setup("take", bundle=bundle)
        kept = os.path.join(self.root, "data/config/bundle")
        shutil.copyfile(bundle, kept)
        self.setup("files", bundle=kept)

    def start(self):
        with open(os.path.join(self.root, "log"), "ab") as log:
            self.process = subprocess.Popen([os.path.join(self.build, "heracliusd"), "--config", os.path.join(self.root, "data/node/node.conf")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=vm.die_with_maker)

    def status(self):
        """What it answers on its control socket; {}: nothing."""
        folder = os.open(os.path.join(self.root, "run/node"), os.O_PATH)  # a socket's path is short
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(5)
                one.connect(f"/proc/self/fd/{folder}/control.sock")
                one.sendall(b'{"ask":"status"}\n')
                with one.makefile() as lines:
                    return json.loads(lines.readline())
        except (OSError, ValueError):
            return {}
        finally:
            os.close(folder)

    def root_now(self):
        """(height, state root), as Console.root() says it of a machine."""
        status = self.status()
        return (status["state_root_height"], status["state_root"]) if "state_root" in status else None

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def until(good, seconds, what):
    """good()'s first value that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := good():
            return found
        time.sleep(0.5)
    raise vm.Failed(f"not in {seconds} s: {what() if callable(what) else what}")
