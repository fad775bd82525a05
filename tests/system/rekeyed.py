#!/usr/bin/env python3
"""A cluster of which every member was replaced, and whose first members are gone for good: who is to join it next knows, by the system file, nobody
who is left. Given the chain of CONFIGs that `config new` wrote (S-105), it finds its cluster, catches up and votes; a wrong chain is refused before
anything is made. One that was begun without, and brought in, finds nobody; it is given the chain as it is by then into the data that it has.

  tests/system/rekeyed.py short|long
"""
import os
import signal
import subprocess
import sys
import time

from cluster import CLIENT, TOP, Cases, System
from config import Admin, put
from members import enroll, wait_phase

CLUSTER = "s0"


def observes(c, system, admin, change, name, other, epoch):
    """The new node looks on until it has what another has: who that is, it learns from members that it knows, or by the chain that it was given."""
    done = admin.run("observe", f"{admin.dir}/{change}.signed")
    until = time.monotonic() + 60
    state = its = None
    while time.monotonic() < until:
        state, its = system.ask(name), system.ask(other)
        if state and its and state["epoch"] == its["epoch"] == epoch and state["height"] >= its["height"]:
            break
        time.sleep(0.1)
    good = state and its and state["epoch"] == its["epoch"] == epoch and state["phase"] == "observing" and state["height"] + 8 >= its["height"]
    c.case(f"{name} finds its cluster in epoch {epoch} and catches up", done.returncode == 0 and good, f"{done.stdout}{done.stderr} {state} {its}")


def submitted(c, system, admin, change, name, epoch):
    done = admin.submit(f"{change}.signed", 30)
    c.case(f"CONFIG {change} takes effect", done.returncode == 0, done.stdout + done.stderr)
    c.case(f"{name} votes in epoch {epoch}", wait_phase(system, name, "voting", epoch), system.ask(name))


def all_replaced(c, system, admin):
    """Each by a node that a member of the system file, the last of them to leave, told of those who came before."""
    for place in range(4):
        new, old, other, change = f"{CLUSTER}-k{place}", f"{CLUSTER}-n{place}", f"{CLUSTER}-n3", f"{CLUSTER}-{place + 1}"
        card = enroll(c, system, new, CLUSTER)
        done = admin.run("new", CLUSTER, "--out", f"{admin.dir}/{change}", "--replace", f"{old}={card}")
        c.case(f"CONFIG {change} is made and signed", done.returncode == 0 and admin.sign(change).returncode == 0, done.stdout + done.stderr)
        observes(c, system, admin, change, new, other, place)
        submitted(c, system, admin, change, new, place + 1)
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


def left_alone(c, system, admin):
    """Brought in before it has met anybody: what it lacks is who they are."""
    name, change, node = f"{CLUSTER}-alone", "alone", "build/gcc/heracliusd"
    conf, chain = f"{system.root}/{name}/node.conf", f"{system.dir}/s0.chain"
    card = enroll(c, system, name, CLUSTER)
    done = admin.run("new", CLUSTER, "--out", f"{admin.dir}/{change}", "--replace", f"{CLUSTER}-k1={card}")
    c.case("a CONFIG for a node that knows nobody is signed", done.returncode == 0 and admin.sign(change).returncode == 0, done.stdout + done.stderr)
    done = admin.submit(f"{change}.signed", 6)
    c.case("it takes effect without that node", "in force" in done.stdout, done.stdout + done.stderr)
    state = system.ask(name)
    c.case(f"{name} has come to nobody", state and state["phase"] == "observing" and state["epoch"] == 0, state)

    def give(path):
        return subprocess.run([node, "--config", conf, "--chain", path], cwd=TOP, capture_output=True, text=True, timeout=60)

    done = system.client("config", "status", CLUSTER, "--out", chain)
    c.case("the chain is asked of those who have it", done.returncode == 0, done.stdout + done.stderr)
    done = give(chain)
    c.case("nothing is put into data that a node has open", done.returncode == 2 and "use" in done.stderr, done.stdout + done.stderr)
    system.kill(name, signal.SIGTERM)
    with open(chain, "rb") as f:
        good = f.read()
    with open(f"{chain}.bent", "wb") as f:
        f.write(good[:-1] + bytes([good[-1] ^ 1]))
    done = give(f"{chain}.bent")
    c.case("a wrong chain is refused", done.returncode == 2 and "CONFIG" in done.stderr, done.stdout + done.stderr)
    done = give(chain)
    c.case("the chain goes into the data that are there", done.returncode == 0 and done.stdout.startswith("6 CONFIGs"), done.stdout + done.stderr)
    system.start(name)
    c.case(f"{name} votes in epoch 6", wait_phase(system, name, "voting", 6), system.ask(name))


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
        c.case("it is signed", admin.sign("next").returncode == 0)
        observes(c, system, admin, "next", f"{CLUSTER}-next", f"{CLUSTER}-k1", 4)
        submitted(c, system, admin, "next", f"{CLUSTER}-next", 5)
        system.kill(f"{CLUSTER}-k1")
        c.case("and is needed", put(system, "needs-it", "1").returncode == 0, system.states(CLUSTER))
        left_alone(c, system, admin)
    return c.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
