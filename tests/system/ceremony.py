#!/usr/bin/env python3
"""The way of real teams: each node's keys enrolled apart, cards assembled into a system file, each node's data made from it, seven nodes
a cluster; then rights, quotas and f = 2, by the commands alone.

Ends with "N passed, N failed".
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, TOP, Cases, System, free_base  # noqa: E402

NODES = 7


def run(*words):
    return subprocess.run([CLIENT] + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


class Enrolled(System):
    """A System whose files were made by enroll, assemble and init instead of `system local`."""

    def __init__(self, cases):
        self.dir = tempfile.mkdtemp(prefix="heraclius-", dir=self.parent())
        self.root = f"{self.dir}/s"
        self.env, self.node_env, self.programs, self.live = {}, {}, {}, {}
        self.names = [f"{c}-n{i}" for c in ("c0", "s0") for i in range(NODES)]
        os.makedirs(self.root)
        good = all(run("node", "enroll", "--name", n, "--out", f"{self.root}/{n}").returncode == 0 for n in self.names)
        for client in ("client", "reader", "writer", "slow"):
            good = good and run("client", "enroll", "--name", client, "--out", self.root).returncode == 0
        good = good and run("admin", "enroll", "--name", "admin", "--out", self.root).returncode == 0
        cases.case(f"{2 * NODES} nodes, four clients and an administrator are enrolled, each on its own", good)
        cards = {c: ",".join(f"{self.root}/{n}/{n}.card" for n in self.names if n.startswith(c)) for c in ("c0", "s0")}
        done = run("system", "assemble", "--name", "ceremony", "--coordinator", cards["c0"], "--shard", cards["s0"], "--admin",
                   f"{self.root}/admin.card", "--needed", 1, "--client", f"{self.root}/client.card", "--client",
                   f"{self.root}/reader.card,r:public/", "--client", f"{self.root}/writer.card,rw:public/", "--client",
                   f"{self.root}/slow.card,rw:,quota:2:2", "--set", "table_keys_max=1000000", "--set", "table_bytes_max=268435456", "--out",
                   f"{self.root}/system.json")
        cases.case("the system file is assembled from cards", done.returncode == 0, done.stdout + done.stderr)
        self.addresses()
        for n in self.names:
            done = run("system", "init", "--system", f"{self.root}/system.json", "--node-key", f"{self.root}/{n}/{n}.key", "--data",
                       f"{self.root}/{n}")
            good = good and done.returncode == 0
        cases.case("each node's data are made from it", good, done.stdout + done.stderr)

    def addresses(self):
        shown = json.loads(run("system", "show", "--json", f"{self.root}/system.json").stdout)
        base = free_base(len(self.names))
        nodes = {n: {"admin": "", "link": f"127.0.0.1:{base + i}"} for i, n in enumerate(self.names)}
        text = json.dumps({"format": 1, "nodes": dict(sorted(nodes.items())), "system_id": shown["system_id"]}, indent=2)
        with open(f"{self.root}/addresses.json", "w") as f:
            f.write(text + "\n")


def rights(cases, system):
    cases.case("everything is allowed to whom nothing is forbidden", system.client("put", "public/a", 1).returncode == 0)
    done = system.client("get", "public/a", client="reader")
    cases.case("a reader reads under its prefix", (done.returncode, done.stdout) == (0, "1\n"), done)
    done = system.client("get", "private", client="reader", timeout=60)
    cases.case("beyond its prefix a read is refused with exit 4", done.returncode == 4 and "RIGHTS" in done.stderr, done)
    done = system.client("put", "public/a", 2, client="reader")
    cases.case("a reader's write is refused with exit 4", done.returncode == 4 and "RIGHTS" in done.stderr, done)
    done = system.client("settle", client="reader")
    cases.case("and nothing stays unsettled", "every write of this client is settled" in done.stdout, done)
    cases.case("and it did not happen", system.client("get", "public/a").stdout == "1\n")
    cases.case("a writer writes under its prefix", system.client("put", "public/b", 2, client="writer").returncode == 0)
    done = system.client("put", "elsewhere", 2, client="writer")
    cases.case("beyond it a write is refused with exit 4", done.returncode == 4, done)


def quota(cases, system):
    with open(f"{system.dir}/list", "w") as f:
        f.write("".join(f"put q{i} {i}\n" for i in range(8)))
    done = system.client("batch", f"{system.dir}/list", "--timeout", 3, client="slow")
    cases.case("eight writes at once pass a quota of two a second never: exit 4", done.returncode == 4 and "QUOTA" in done.stderr, done)
    done = system.client("settle", "--cancel", "--timeout", 20, client="slow")
    cases.case("they can be cancelled", done.returncode == 0 and "CANCELLED" in done.stdout, done)
    cases.case("within its quota it writes", system.client("put", "q", 1, "--timeout", 20, client="slow").returncode == 0)
    with open(f"{system.dir}/reads", "w") as f:
        f.write("get q\n" * 8)
    done = system.client("batch", f"{system.dir}/reads", "--timeout", 3, client="slow")
    cases.case("eight reads at once pass it never either: exit 4", done.returncode == 4 and "QUOTA" in done.stderr, done)
    done = system.client("get", "q", "--timeout", 20, client="slow")
    cases.case("within its quota it reads", (done.returncode, done.stdout) == (0, "1\n"), done)


def old_journal(cases, system):
    """The writer's journal is lost and then an old one comes back: its numbers are below the floors of coordinators and shard."""
    journal = f"{system.root}/writer.key.journal"
    for lost in (False, True):
        key = f"public/{'lost' if lost else 'old'}"
        sums = [system.client("add", key, 1, client="writer").stdout]
        shutil.copy(journal, journal + ".old")
        if lost:
            os.unlink(journal)
        sums += [system.client("add", key, 1, client="writer").stdout for _ in range(2)]
        os.replace(journal + ".old", journal)
        done = [system.client("add", key, 1, client="writer") for _ in range(2)]
        sums += [d.stdout for d in done]
        cases.case(f"an old journal{' behind a lost one' if lost else ''}: each write takes effect, once", sums == [f"{i}\n" for i in range(1, 6)],
                   f"{sums} {done}")
    done = system.client("settle", client="writer")
    cases.case("and none is unsettled", "every write of this client is settled" in done.stdout, done)


def two_faults(cases, system):
    for prefix in ("c0", "s0"):
        leader = system.leader(prefix)
        other = next(n for n in system.names if n.startswith(prefix) and n != leader)
        system.kill(leader)
        system.kill(other)
    done = system.client("put", "after", "two", "--timeout", 30)
    cases.case("with two of seven dead in each cluster, the leaders among them, a write is answered", done.returncode == 0, done)
    done = system.client("status")
    none_more = done.stdout.count("5 of 7 nodes up, quorum 5: 0 more may fail") == 2
    cases.case("status says that none more may fail", done.returncode == 0 and none_more, done)
    system.kill(next(n for n in system.names if n.startswith("s0") and system.running(n)))
    done = system.client("put", "after", "three", "--timeout", 4)
    cases.case("with three dead in one cluster there is no answer: exit 3", done.returncode == 3, done)
    done = system.client("status")
    cases.case("status says NO QUORUM: exit 3", done.returncode == 3 and "NO QUORUM" in done.stdout, done)
    system.start_all()
    settled = system.client("settle", "--retry", "--timeout", 60, timeout=90)
    cases.case("when they are back, the write is settled", settled.returncode == 0, settled)
    cases.case("and took effect", system.client("get", "after", "--timeout", 30).stdout == "three\n")


def main():
    cases = Cases()
    with Enrolled(cases) as system:
        system.start_all()
        if cases.case(f"{2 * NODES} nodes answer", system.wait_ready(90), system.log("c0-n0")[-800:]):
            rights(cases, system)
            quota(cases, system)
            old_journal(cases, system)
            two_faults(cases, system)
    return cases.end()


sys.exit(main())
