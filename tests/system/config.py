#!/usr/bin/env python3
"""CONFIG by the tools, as administrators and operators use them: limits and time-outs of both clusters change under load, clients and receipts
follow, nodes restart in the later epoch, one that was away for two epochs comes back, and what is not signed well enough or not the next is refused
with a line that says so.

  tests/system/config.py short|long
"""
import json
import os
import shutil
import subprocess
import sys
import time

from cluster import CLIENT, TOP, Cases, System, is_long


class Admin:
    """Runs `heraclius config ...` on one system; files lie in its folder."""

    def __init__(self, system):
        self.system = system
        self.dir = f"{system.dir}/admin"
        os.makedirs(self.dir)

    def run(self, *words, timeout=60):
        return subprocess.run([CLIENT, "config", *words, "-s", f"{self.system.root}/system.json"], cwd=TOP, capture_output=True, text=True,
                              timeout=timeout)

    def new(self, cluster, name, *settings):
        words = [w for s in settings for w in ("--set", s)]
        return self.run("new", cluster, "--out", f"{self.dir}/{name}", *words)

    def sign(self, name):
        return self.run("sign", f"{self.dir}/{name}", "--admin-key", f"{self.system.root}/admin.key", "--out", f"{self.dir}/{name}.signed",
                        "--chain", f"{self.dir}/{name}.chain")

    def submit(self, name, timeout_s=20):
        return self.run("submit", f"{self.dir}/{name}", "--timeout", str(timeout_s), timeout=timeout_s * 3 + 20)

    def whole(self, cluster, name, *settings):
        """New, signed, submitted: the submit."""
        for done in (self.new(cluster, name, *settings), self.sign(name)):
            if done.returncode != 0:
                return done
        return self.submit(f"{name}.signed")


def epochs(system, prefix):
    return sorted({s.get("epoch") for s in system.cluster(prefix).values() if s})


def wait_epoch(system, prefix, epoch, limit_s=40):
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        states = system.cluster(prefix)
        if states and all(s.get("epoch") == epoch and s.get("phase") == "voting" for s in states.values()):
            return True
        time.sleep(0.1)
    return False


def put(system, key, value, receipt=None):
    return system.client("put", key, value, *(["--receipt", receipt] if receipt else []), "--timeout", "30")


def verify_alone(system, receipt, work):
    """By a copy of the system file alone: no addresses, no keys, no chain beside it."""
    alone = f"{work}/alone"
    os.makedirs(alone, exist_ok=True)
    shutil.copy(f"{system.root}/system.json", f"{alone}/system.json")
    return subprocess.run([CLIENT, "verify", receipt, "--json", "-s", f"{alone}/system.json"], cwd=TOP, capture_output=True, text=True, timeout=60)


def refused_before_it_begins(c, admin):
    done = admin.new("s0", "shard-1", "checkpoint_blocks=16", "view_base_ms=1500")
    c.case("config new: a file to be signed, and what it follows", done.returncode == 0 and "checkpoint_blocks" in done.stdout, done.stderr)
    done = admin.run("show", f"{admin.dir}/shard-1")
    c.case("config show: what changes", "1024 -> 16" in done.stdout and "0 of the 1 administrators" in done.stdout, done.stdout + done.stderr)
    done = admin.submit("shard-1")
    c.case("one signature short: refused, and it says so", done.returncode == 4 and "1 of the 1 administrators must sign" in done.stderr, done.stderr)
    done = admin.new("s0", "bad", "slice_bytes_max=2097152")
    c.case("what no CONFIG changes is refused by config new", done.returncode == 2 and "cannot be changed" in done.stderr, done.stderr)
    done = admin.new("s0", "bad", "number_window=16")
    c.case("and what none lowers", done.returncode == 2 and "number_window cannot be lowered" in done.stderr, done.stderr)
    done = admin.new("s0", "bad", "due_ms=5000")
    c.case("limits that contradict each other too", done.returncode == 2 and "due_ms" in done.stderr, done.stderr)
    done = admin.run("new", "s0", "--add", f"{admin.system.root}/cards/c0-n2.card", "--out", f"{admin.dir}/bad")
    c.case("a key of another cluster's node comes into none", done.returncode == 2 and "of another cluster" in done.stderr, done.stderr)
    done = admin.new("s7", "bad")
    c.case("and a cluster that is not there", done.returncode == 2 and "no cluster" in done.stderr, done.stderr)
    done = admin.run("new", "s0", "--seal", "--set", "checkpoint_blocks=16", "--out", f"{admin.dir}/bad")
    c.case("SEAL with a wish beside it: neither is made", done.returncode == 2 and "alone" in done.stderr and not os.path.exists(f"{admin.dir}/bad"),
           done.stdout + done.stderr)
    done = [admin.run("new", "s0", "--protocol-version", v, "--out", f"{admin.dir}/bad") for v in ("0", "-7")]
    c.case("nor a protocol version that there cannot be", all(d.returncode == 2 and "version" in d.stderr for d in done), done)
    done = admin.run("sign", f"{admin.dir}/shard-1", "--admin-key", f"{admin.system.root}/client.key", "--out", f"{admin.dir}/bad")
    c.case("a client's key signs nothing", done.returncode == 2, done.stderr)


def both_clusters_under_load(c, system, admin):
    os.makedirs(f"{system.dir}/bench")
    load = system.client_background("bench", "--out", f"{system.dir}/bench", "--users", 64, "--seconds", 6, "--mix", "50:50", "--keys", 200,
                                    "--history", f"{system.dir}/bench/history")
    c.case("config sign", admin.sign("shard-1").returncode == 0)
    done = admin.submit("shard-1.signed")
    c.case("a CONFIG of the shard takes effect under load", done.returncode == 0 and "in epoch 1 since height" in done.stdout, done.stderr)
    done = admin.whole("c0", "coordinator-1", "checkpoint_blocks=16", "window_blocks=3")
    c.case("and one of the coordinators", done.returncode == 0, done.stdout + done.stderr)
    c.case("all nodes of both vote in epoch 1", wait_epoch(system, "s0", 1) and wait_epoch(system, "c0", 1),
           (epochs(system, "s0"), epochs(system, "c0")))
    out, err = load.communicate(timeout=120)
    with open(f"{system.dir}/bench/summary.json") as f:
        summary = json.load(f)
    c.case("the load went on through both, nothing unanswered or unproved",
           load.returncode == 0 and summary["errors"] == 0 and summary["verification_failures"] == 0, (load.returncode, out, err[-500:], summary))
    done = subprocess.run([sys.executable, f"{TOP}/tests/history/checker.py", f"{system.dir}/bench/history"], capture_output=True, text=True,
                          timeout=300)
    c.case("and every key's history is linearizable", done.returncode == 0, done.stdout + done.stderr)


def receipts(c, system, work):
    done = put(system, "after", "2", f"{work}/receipt-1")
    c.case("a put in epoch 1 with a receipt", done.returncode == 0, done.stderr)
    done = verify_alone(system, f"{work}/receipt-1", work)
    c.case("the receipt of epoch 1 proves itself by the system file alone", done.returncode == 0 and json.loads(done.stdout)["epoch"] == 1,
           done.stdout + done.stderr)
    done = verify_alone(system, f"{work}/receipt-0", work)
    c.case("one of epoch 0 still does", done.returncode == 0 and json.loads(done.stdout)["epoch"] == 0, done.stdout + done.stderr)
    with open(f"{work}/receipt-1", "rb") as f:
        good = f.read()
    refused = 0
    places = range(30, min(9000, len(good) - 1), 397)
    for at in places:
        with open(f"{work}/flipped", "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        refused += verify_alone(system, f"{work}/flipped", work).returncode == 1
    c.case("a receipt with one bit of its chain flipped proves nothing", refused == len(places), (refused, len(places)))


def restart(c, system, epoch):
    system.kill_all()
    system.start_all()
    c.case(f"power off and on: all nodes vote in epoch {epoch}", wait_epoch(system, "s0", epoch, 60) and wait_epoch(system, "c0", epoch, 60),
           (system.states("s0"), system.states("c0")))
    done = system.client("get", "after", "--timeout", "30")
    c.case("and what was written is there", done.returncode == 0 and done.stdout.strip() == "2", done.stdout + done.stderr)


def again_and_away(c, system, admin):
    done = admin.submit("coordinator-1.signed")
    c.case("the same CONFIG once more: it is in force already", done.returncode == 0, done.stdout + done.stderr)
    system.kill("c0-n3")
    system.kill("s0-n3")
    for epoch in (2, 3):
        for cluster in ("c0", "s0"):
            done = admin.whole(cluster, f"{cluster}-{epoch}", f"view_base_ms={1000 + epoch}")
            c.case(f"CONFIG {epoch} of {cluster} with a node down", done.returncode == 0, done.stdout + done.stderr)
        put(system, f"while-{epoch}", "x")
    done = admin.submit("c0-2.signed")
    c.case("an old one again: in force once, and no more", done.returncode == 0, done.stdout + done.stderr)
    system.start("c0-n3")
    system.start("s0-n3")
    c.case("the nodes that were away for two epochs vote in epoch 3", wait_epoch(system, "c0", 3, 60) and wait_epoch(system, "s0", 3, 60),
           (system.states("c0"), system.states("s0")))
    c.case("the clusters agree", system.wait_equal("c0") and system.wait_equal("s0"), (system.states("c0"), system.states("s0")))
    done = admin.run("status")
    c.case("config status: epoch 3 of each, proved", done.returncode == 0 and done.stdout.count("epoch 3 since height") == 2, done.stderr)


def main(argv):
    c = Cases()
    with System() as system:
        system.start_all()
        system.wait_ready()
        admin = Admin(system)
        done = put(system, "before", "1", f"{system.dir}/receipt-0")
        c.case("a put in epoch 0 with a receipt", done.returncode == 0, done.stderr)
        refused_before_it_begins(c, admin)
        both_clusters_under_load(c, system, admin)
        receipts(c, system, system.dir)
        restart(c, system, 1)
        again_and_away(c, system, admin)
        for _ in range(3 if is_long(argv) else 1):
            restart(c, system, 3)
    return c.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
