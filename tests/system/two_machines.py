#!/usr/bin/env python3
"""heraclius-net between two machines that are network namespaces, joined by one cable: an address that the other has, of IPv4 and of IPv6, is not
used, named, and used once the other has gone; one that nobody has is used at once; one that another comes with later is kept.

two_machines.py short|long. All of it in namespaces of its own (user, mount, network): nothing of this machine is touched. Skipped, in a clear word,
where such namespaces or cables (veth) cannot be made.
"""
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import TOP, Cases  # noqa: E402

NET = f"{TOP}/build/gcc/heraclius-net"
TAKEN_S = 10  # NET_TAKEN_MS


def ip(*words, where=None):
    enter = ["nsenter", "-t", str(where), "-n"] if where else []
    return subprocess.run([*enter, "ip", *words], capture_output=True, text=True, timeout=20, check=True).stdout


class Other:
    """The machine at the other end: a process that keeps its network."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "600"], stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == own:
            time.sleep(0.02)
        self.pid = self.process.pid
        ip("link", "add", "here0", "type", "veth", "peer", "name", "there0")
        ip("link", "set", "there0", "netns", str(self.pid))
        ip("link", "set", "there0", "up", where=self.pid)

    def has(self, address, lifted=False):
        """Without asking anybody: it was there first, or does not ask."""
        words = ["nodad"] if ":" in address and not lifted else []
        ip("addr", "del" if lifted else "add", address, "dev", "there0", *words, where=self.pid)

    def says(self, program):
        """A packet of its own, as bytes from Python within its network."""
        return subprocess.run(["nsenter", "-t", str(self.pid), "-n", sys.executable, "-c", program], capture_output=True, text=True, timeout=20)


ANNOUNCEMENT = """
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("there0", 0x0806))
mac, address = s.getsockname()[4], socket.inet_aton("10.9.0.2")
s.send(b"\\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + address + b"\\0" * 6 + address)
"""


class Net:
    """heraclius-net with a plan, and what it tells init."""

    def __init__(self, *lines):
        with open("/run/init/plan", "w") as plan:
            plan.write("number 1\nnode n-1\n" + "".join(f"net name=here0 {line}\n" for line in lines) + "ready\n")
        self.process = subprocess.Popen([NET], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def state(self):
        try:
            with open("/run/net/state") as state:
                return state.read()
        except OSError:
            return ""

    def until(self, what, limit_s):
        """What is seen of (the state, the addresses that can be used) as soon as that is so; else the last."""
        end = time.monotonic() + limit_s
        while True:
            seen = self.state(), usable()
            if what(*seen) or time.monotonic() > end:
                return bool(what(*seen)), seen
            time.sleep(0.1)

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        os.unlink("/run/net/state")


def usable():
    """Addresses here that the kernel uses: none that are still asked for, or that were found to be another's."""
    lines = [line.split() for line in ip("-o", "addr", "show", "dev", "here0").splitlines()]
    return {words[3] for words in lines if "tentative" not in words and "dadfailed" not in words}


def run(cases):
    other = Other()
    mine4, mine6, free4, free6 = "10.9.0.1/24", "fd09::1/64", "10.9.0.2/24", "fd09::2/64"
    try:
        for address in (mine4, mine6):
            other.has(address)
        # The state names what comes first in the plan.
        for name, first, second in (("IPv6", mine6, mine4), ("IPv4", mine4, mine6)):
            net = Net(f"address {first}", f"address {second}")
            told = f"here0: {first.split('/')[0]} is not used: "
            good, seen = net.until(lambda state, have, told=told: state.startswith(f"cannot {told}"), 20)
            cases.case(f"{name}: an address that another machine has is named, and whose it is", good, seen)
            good, seen = net.until(lambda state, have: not have & {mine4, mine6}, 5)
            cases.case(f"{name}: neither it nor the other one is used", good, seen)
            if name == "IPv6":
                net.end()
        for address in (mine4, mine6):
            other.has(address, lifted=True)
        good, seen = net.until(lambda state, have: state.startswith("good") and {mine4, mine6} <= have, 3 * TAKEN_S)
        cases.case("when the other has gone both are used", good, seen)
        net.end()
        ip("addr", "flush", "dev", "here0", "scope", "global")
        net = Net(f"address {free4}", f"address {free6}")
        good, seen = net.until(lambda state, have: state.startswith("good") and {free4, free6} <= have, 20)
        cases.case("addresses that nobody has are used, both kinds on one link", good, seen)
        said = other.says(ANNOUNCEMENT)
        good, seen = net.until(lambda state, have: "10.9.0.2" in state.split("\n")[0], 10)
        cases.case("another that comes with it later is named, and the address is kept", good and free4 in seen[1], f"{seen} {said}")
        net.end()
    finally:
        other.process.kill()
        other.process.wait()


def main():
    cases = Cases()
    if sys.argv[-1] == "inside":
        for folder in ("/run/init", "/run/net"):
            os.makedirs(folder)
        run(cases)
        return cases.end()
    if not os.path.exists(NET):
        subprocess.run(["make", "-s", "build/gcc/heraclius-net"], cwd=TOP, check=True)
    enter = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    own = "mount -t tmpfs none /run && mount -t proc none /proc && mount -t sysfs none /sys"
    trial = subprocess.run([*enter, "sh", "-c", f"{own} && ip link add here0 type veth peer name there0"], capture_output=True, text=True)
    if trial.returncode != 0:
        print(f"skipped: no namespaces or no veth here: {trial.stderr.strip()}")
        return cases.end()
    inside = f"{own} && exec {sys.executable} {os.path.abspath(__file__)} {sys.argv[1]} inside"
    return subprocess.run([*enter, "sh", "-c", inside], timeout=200).returncode


if __name__ == "__main__":
    sys.exit(main())
