#!/usr/bin/env python3
"""A cluster of which every member was replaced, and whose first members are gone for good: who is to join it next knows, by the system file, nobody
who is left. Given the chain of CONFIGs that `config new` wrote (S-105), it finds its cluster, catches up and votes; a wrong chain is refused before
anything is made.

  tests/system/rekeyed.py short|long
"""
import os
import subprocess
import sys

from cluster import CLIENT, TOP, Cases, System
from config import Admin, put
from members import change, enroll, observes, wait_phase

CLUSTER = "s0"


def all_replaced(c, system, admin):
    """Each by a node that a member of the system file, the last of them to leave, told of those who came before."""
    for place in range(4):
        new, old = f"{CLUSTER}-k{place}", f"{CLUSTER}-n{place}"
        card = enroll(c, system, new, CLUSTER)
        change(c, system, admin, CLUSTER, f"{CLUSTER}-{place + 1}", "--replace", f"{old}={card}", joiner=new)
        system.kill(old)
    c.case("the cluster goes on without any node of the system file", put(system, "all-new", "1").returncode == 0, system.states(CLUSTER))


def init_refused(c, system, name, text, *words):
    done = subprocess.run([CLIENT, "system", "init", "-s", f"{system.root}/system.json", "--data", f"{system.root}/{name}", *words], cwd=TOP,
                          capture_output=True, text=True, timeout=60)
    made = os.path.exists(f"{system.root}/{name}/data") or os.path.exists(f"{system.root}/{name}/node.conf")
    c.case(f"system init: {text}", done.returncode == 2 and text in done.stderr and not made, done.stdout + done.stderr)


def wrong_chains(c, system, card, chain):
    """Nothing is made of them."""
    key = card[:-len(".card")] + ".key"
    with open(chain, "rb") as f:
        good = f.read()
    bent = f"{system.dir}/bent.chain"
    for what, data in (("CONFIG", good[:-1] + bytes([good[-1] ^ 1])), ("CONFIG", good[:-1])):
        with open(bent, "wb") as f:
            f.write(data)
        init_refused(c, system, "refused", what, "--node-key", key, "--join", CLUSTER, "--listen", "127.0.0.1:1", "--chain", bent)
    init_refused(c, system, "refused", "cluster", "--node-key", key, "--join", "c0", "--listen", "127.0.0.1:1", "--chain", chain)
    init_refused(c, system, "refused", "No such file", "--node-key", key, "--join", CLUSTER, "--listen", "127.0.0.1:1", "--chain", f"{bent}.not")
    init_refused(c, system, "refused", "a node that joins", "--node-key", f"{system.root}/c0-n0/node.key", "--chain", chain)


def main(_argv):
    c = Cases()
    with System(settings=["checkpoint_blocks=16"]) as system:
        system.start_all()
        system.wait_ready()
        admin = Admin(system)
        all_replaced(c, system, admin)

        def config_first(card):
            done = admin.run("new", CLUSTER, "--out", f"{admin.dir}/next", "--replace", f"{CLUSTER}-k0={card}")
            c.case("the CONFIG is made, with the chain that it follows", done.returncode == 0, done.stdout + done.stderr)
            wrong_chains(c, system, card, f"{admin.dir}/next.chain")
            return ["--chain", f"{admin.dir}/next.chain"]

        enroll(c, system, f"{CLUSTER}-next", CLUSTER, config_first)
        c.case("signed", admin.sign("next").returncode == 0)
        observes(c, system, admin, CLUSTER, "next", f"{CLUSTER}-next")
        done = admin.submit("next.signed", 30)
        c.case("it takes effect", done.returncode == 0, done.stdout + done.stderr)
        c.case("and the new node votes", wait_phase(system, f"{CLUSTER}-next", "voting", 5), system.ask(f"{CLUSTER}-next"))
        system.kill(f"{CLUSTER}-k1")
        c.case("and is needed", put(system, "needs-it", "1").returncode == 0, system.states(CLUSTER))
    return c.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
