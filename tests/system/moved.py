#!/usr/bin/env python3
"""A member moves to another address and is cut out by a CONFIG later: those who stay dial it where it is, though nobody dialled it anew. Its key
is the highest of its cluster, so all others dial it (L-44). It is linked to all of them: it hears that it was removed, and is shown what it asks for.

  tests/system/moved.py short|long
"""
import json
import subprocess
import sys
import time

from cluster import CLIENT, TOP, Cases, System, free_base
from config import Admin, put

CLUSTER = "s0"


def until(limit_s, condition):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def highest_key(system):
    """Of the members of the cluster, by the static keys of links."""
    with open(f"{system.root}/system.json") as f:
        nodes = json.load(f)["shards"][0]["nodes"]
    return max(nodes, key=lambda node: node["noise_key"])["name"]


def ups(system, name):
    """Which members of its cluster this node has a link to, itself left out."""
    state = system.ask(name)
    return sum(bool(m["up"]) for m in state["members_seen"]) if state else None


def moves(c, system, name):
    others = {n: system.live[n].pid for n in system.names if n != name}
    system.kill(name)
    done = subprocess.run([CLIENT, "address", "set", "-s", f"{system.root}/system.json", f"{name}=127.0.0.1:{free_base(1)}"], cwd=TOP,
                          capture_output=True, text=True, timeout=60)
    c.case(f"the address of {name} is another one", done.returncode == 0, done.stdout + done.stderr)
    read = {n: system.log(n).count("addresses_read") for n in others}
    system.start(name)
    c.case("the others have read it", until(20, lambda: all(system.log(n).count("addresses_read") > read[n] for n in others)))
    there = until(30, lambda: (system.ask(name) or {}).get("phase") == "voting" and (ups(system, name) or 0) >= 4)
    c.case(f"{name} votes from there", there, system.ask(name))
    c.case("nobody else was started again", all(system.running(n) and system.live[n].pid == pid for n, pid in others.items()))


def cut_out(c, system, admin, name):
    done = admin.run("new", CLUSTER, "--out", f"{admin.dir}/less", "--remove", name)
    c.case(f"a CONFIG without {name} is made and signed", done.returncode == 0 and admin.sign("less").returncode == 0, done.stdout + done.stderr)
    done = admin.submit("less.signed", 30)
    c.case("it takes effect", done.returncode == 0, done.stdout + done.stderr)
    c.case(f"{name} says that it was removed", until(30, lambda: (system.ask(name) or {}).get("phase") == "removed"), system.ask(name))
    # A link that its net had before is closed: these are new ones, to an observer.
    c.case("and is linked to all four who stay", until(20, lambda: ups(system, name) == 4), system.ask(name))
    c.case("who go on", put(system, "goes", "on").returncode == 0, system.states(CLUSTER))


def main(_argv):
    c = Cases()
    with System(nodes=5) as system:
        system.start_all()
        system.wait_ready()
        name = highest_key(system)
        moves(c, system, name)
        cut_out(c, system, Admin(system), name)
    return c.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
