#!/usr/bin/env python3
"""Two neighbouring releases side by side in one system: this tree's node, and one built of the same tree that plays the next release, which has
another number and knows one protocol version more. Mixed clusters decide, their roots are equal, receipts verify; each node is rolled to the next
release, one back and forth again; the next protocol version is activated by a CONFIG, where a node of the release before stops and says why, and
comes back by the next one. Nothing acknowledged is lost meanwhile.

neighbours.py short|long
"""
import os
import shlex
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import NODE, TOP, Cases, System, equal_roots, wait  # noqa: E402
from config import Admin, verify_alone, wait_epoch  # noqa: E402
from upgrade import Writer  # noqa: E402

# What the next release has otherwise; the rest is that of build/gcc.
DEFINES = ['-DNODE_RELEASE="1.1.0"', "-DCONFIG_PROTOCOL_VERSION_NEWEST=2"]
# The files that know of either.
CHANGED = ["appliance/node/heracliusd_main.c", "appliance/replica/replica_epoch.c", "protocol/system.c", "protocol/assembly.c"]
FOLDERS = [f"appliance/{name}" for name in ("node", "config", "replica", "transfer", "exec", "base", "status")]
BELOW = ["protocol", "ring", "store", "bft", "merkle"]


def build_next(out):
    """A heracliusd of the next release."""
    words = subprocess.run(["make", "-s", "--no-print-directory", "recipe"], cwd=TOP, capture_output=True, text=True, check=True, timeout=120).stdout
    compiler, linker, libraries = (shlex.split(line) for line in words.splitlines())
    objects = []
    for source in CHANGED:
        objects.append(f"{out}.{os.path.basename(source)[:-2]}.o")
        subprocess.run(compiler + DEFINES + ["-c", "-o", objects[-1], source], cwd=TOP, check=True, timeout=120)
    archives = [f"build/gcc/{folder}.a" for folder in FOLDERS + BELOW]
    subprocess.run(linker + ["-o", out, *objects, "-Wl,--start-group", *archives, "-Wl,--end-group", *libraries], cwd=TOP, check=True, timeout=120)
    return out


def becomes(system, name, program):
    """The node stops, and goes on as another program; True when it votes in a decision again."""
    system.kill(name, signal.SIGTERM)
    system.programs[name] = program
    system.start(name)
    return wait(lambda: (system.ask(name, "decide") or {}).get("voted") and (system.ask(name) or {}).get("ready"))


def receipts(c, system, when):
    """A write, and its receipt by the system file alone."""
    path = f"{system.dir}/{when}.receipt"
    put = system.client("put", f"receipt-{when}", when, "--receipt", path, "--timeout", 30)
    verified = verify_alone(system, path, system.dir)
    c.case(f"{when}: a write is answered, and its receipt verifies", put.returncode == 0 and verified.returncode == 0, (put, verified))


def activate(c, system, following):
    """Version 2 in the shard while one node is still of the release before."""
    admin = Admin(system)
    late = "s0-n0"
    c.case("a node goes back to the release before, while version 1 is active", becomes(system, late, NODE), system.log(late)[-400:])
    steps = [admin.run("new", "s0", "--out", f"{admin.dir}/two", "--protocol-version", "2")]
    steps += [admin.sign("two"), admin.submit("two.signed")]
    c.case("a CONFIG activates protocol version 2", all(done.returncode == 0 for done in steps), steps)
    stopped = wait(lambda: not system.running(late))
    said = system.log(late)
    good = stopped and "activates protocol version 2 and this program knows 1: install a newer release" in said
    c.case("the node that does not know it stops, and says what to do", good, said[-400:])
    c.case("the other three go on in the new epoch", wait_epoch(system, "s0", 1), system.states("s0"))
    receipts(c, system, "version-2")
    system.start(late)
    c.case("started again as it is, it stops again", wait(lambda: not system.running(late)), system.log(late)[-400:])
    c.case("as the next release it comes back, and votes", becomes(system, late, following), system.log(late)[-400:])


def main():
    c = Cases()
    with System() as system:
        following = build_next(f"{system.dir}/heracliusd-next")
        versions = [subprocess.run([p, "--version"], cwd=TOP, capture_output=True, text=True, timeout=20).stdout.split()[1]
                    for p in (NODE, following)]
        c.case("two releases", versions[0] != versions[1] and versions[1] == "1.1.0", versions)
        for name in ("c0-n1", "c0-n2", "s0-n2", "s0-n3"):
            system.programs[name] = following
        system.start_all()
        if not c.case("two and two in each cluster: they decide", system.wait_ready()):
            return c.end()
        leaders = {system.leader(prefix) for prefix in ("c0", "s0")}
        print(f"led by {sorted(leaders)}; of the next release are {sorted(system.programs)}")
        receipts(c, system, "mixed")
        writer = Writer(system)
        writer.start()
        for name in system.names:
            if system.programs.get(name) != following:
                c.case(f"{name} becomes the next release", becomes(system, name, following), system.log(name)[-400:])
        c.case("one goes back, and forth again", becomes(system, "c0-n3", NODE) and becomes(system, "c0-n3", following), system.log("c0-n3")[-400:])
        receipts(c, system, "rolled")
        activate(c, system, following)
        writer.ends.set()
        writer.join(60)
        equal_roots(c, "at the end", system)
        lost = [key for key, value in writer.acknowledged.items() if system.client("get", key).stdout != value + "\n"]
        c.case(f"all {len(writer.acknowledged)} writes that were acknowledged meanwhile are there", len(writer.acknowledged) > 10 and not lost,
               lost)
        c.case("every write of that time was answered", not writer.others, writer.others[:3])
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
