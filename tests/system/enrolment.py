#!/usr/bin/env python3
"""Clients enrolled, changed and revoked while two coordinator clusters and a shard run, by two of three administrators; nodes that move.

enrolment.py short|long [SEED]
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, TOP, Cases, System, free_base, is_long, seed_of  # noqa: E402

CLUSTERS = ("c0", "c1", "s0")
COORDINATORS = [f"{c}-n{i}" for c in CLUSTERS[:2] for i in range(4)]
BOUND_S = 5  # docs/guarantees.md states what it is made of; generous, for a machine that does other things


def run(*words, timeout=60):
    return subprocess.run([CLIENT] + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)


def until(limit_s, question):
    """Seconds until the question is answered by something true, or None."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        if question():
            return time.monotonic() - began
        time.sleep(0.1)
    return None


class Governed(System):
    """Two coordinator clusters and a shard, each node enrolled apart; two of three administrators must sign."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="heraclius-", dir=self.parent())
        self.root = f"{self.dir}/s"
        self.env, self.node_env, self.programs, self.live = {}, {}, {}, {}
        self.names = [f"{c}-n{i}" for c in CLUSTERS for i in range(4)]
        os.makedirs(self.root)
        for name in self.names:
            self.must("node", "enroll", "--name", name, "--out", f"{self.root}/{name}")
        for name in ("client", "bench-0", "bench-1", "late", "other"):
            self.must("client", "enroll", "--name", name, "--out", self.root)
        for name in ("ann", "bob", "cid"):
            self.must("admin", "enroll", "--name", name, "--out", self.root)
        words = ["system", "assemble", "--name", "governed", "--needed", 2, "--set", "table_keys_max=1000000", "--set", "table_bytes_max=268435456",
                 "--set", "checkpoint_blocks=16", "--out", f"{self.root}/system.json"]
        for cluster in CLUSTERS:
            words += ["--shard" if cluster == "s0" else "--coordinator",
                      ",".join(f"{self.root}/{n}/{n}.card" for n in self.names if n.startswith(cluster))]
        for name in ("ann", "bob", "cid"):
            words += ["--admin", f"{self.root}/{name}.card"]
        for name in ("client", "bench-0", "bench-1"):
            words += ["--client", f"{self.root}/{name}.card"]
        self.must(*words)
        self.system_id = json.loads(run("system", "show", "--json", f"{self.root}/system.json").stdout)["system_id"]
        base = free_base(len(self.names))
        self.ports = {n: base + i for i, n in enumerate(self.names)}
        self.addresses()
        for name in self.names:
            self.must("system", "init", "--system", f"{self.root}/system.json", "--node-key", f"{self.root}/{name}/{name}.key", "--data",
                      f"{self.root}/{name}")

    @staticmethod
    def must(*words):
        done = run(*words)
        if done.returncode != 0:
            raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")

    def addresses(self, text=None):
        nodes = {n: {"admin": "", "link": f"127.0.0.1:{p}"} for n, p in self.ports.items()}
        if text is None:
            text = json.dumps({"format": 1, "nodes": nodes, "system_id": self.system_id}, indent=2, sort_keys=True) + "\n"
        with open(f"{self.root}/addresses.json.new", "w") as f:
            f.write(text)
        os.replace(f"{self.root}/addresses.json.new", f"{self.root}/addresses.json")

    def admin(self, *words, **options):
        """`heraclius client ...` with -s."""
        return self.client("client", *words, **options)

    def client(self, *words, **options):
        words = [str(w) for w in words]
        if words[0] != "client":
            return super().client(*words, **options)
        verb = words[1]
        where = [] if verb == "show" else ["-s", f"{self.root}/system.json"]
        return run("client", verb, *where, *words[2:])

    def enrolments(self, client=None):
        """Number of each coordinator cluster by `status`."""
        out = json.loads(self.client("status", "--json", client=client).stdout or "{}")
        return {c["cluster"]: c.get("enrolment") for c in out.get("clusters", []) if c["cluster"].startswith("coordinator")}


def two_keys(system):
    return ["--admin", f"{system.root}/ann.key", "--admin", f"{system.root}/bob.key"]


def offline(cases, system):
    """Number 1 by the long way: made, shown, signed in two places, handed in."""
    op, copy = f"{system.dir}/op1", f"{system.dir}/op1.bob"
    done = system.client("put", "late/a", 1, client="late")
    good = done.returncode == 4 and "not enrolled" in done.stderr and done.stderr.count("\n") == 1
    cases.case("before it is enrolled a client is refused in one clear line: exit 4", good, done)
    done = system.client("settle", client="late")
    cases.case("and nothing of it stays unsettled", "every write of this client is settled" in done.stdout or done.returncode == 0, done)
    done = system.admin("add", f"{system.root}/late.card,rw:late/", "--out", op)
    cases.case("add --out makes number 1", done.returncode == 0 and "number       1\n" in done.stdout, done)
    done = system.admin("add", f"{system.root}/late.card,rw:late/", "--out", op)
    cases.case("and overwrites nothing: exit 2", done.returncode == 2 and "exists" in done.stderr, done)
    done = system.admin("submit", op)
    cases.case("unsigned it is refused: exit 4", done.returncode == 4 and "signatures-too-few" in done.stderr, done)
    shutil.copy(op, copy)
    done = system.admin("sign", op, "--admin", f"{system.root}/ann.key")
    cases.case("one administrator signs and sees what", done.returncode == 0 and "late" in done.stdout and '"late/"' in done.stdout, done)
    done = system.admin("submit", op)
    cases.case("k - 1 signatures are refused: exit 4", done.returncode == 4 and "signatures-too-few" in done.stderr, done)
    done = system.admin("sign", copy, "--admin", f"{system.root}/bob.key")
    cases.case("another signs a copy elsewhere", done.returncode == 0 and "bob" in done.stdout, done)
    subprocess.run([CLIENT, "admin", "enroll", "--name", "passer-by", "--out", system.dir], cwd=TOP, check=True, capture_output=True, timeout=30)
    done = system.admin("sign", copy, "--admin", f"{system.dir}/passer-by.key")
    cases.case("somebody's signature is shown as that of no administrator", done.returncode == 0 and "NO ADMINISTRATOR" in done.stdout
               and "signatures   1;" in done.stdout, done)
    done = system.admin("submit", op, copy, "--only", "c0")
    cases.case("both handed in at c0 alone: in effect there; the third signature is left out, and that is said",
               done.returncode == 0 and "coordinator 0: number 1 is in effect" in done.stdout and "is left out" in done.stderr, done)
    cases.case("status shows which cluster has which number", system.enrolments() == {"coordinator 0": 1, "coordinator 1": 0}, system.enrolments())
    done = system.client("put", "late/a", 1, "--via", "c1-n0", "--timeout", 20, client="late")
    cases.case("a cluster that has not heard of it costs the client a moment, no more", done.returncode == 0, done)
    done = system.admin("submit", op, copy)
    good = done.returncode == 0 and done.stdout.count("number 1 is in effect") == 2
    cases.case("handed in everywhere: in effect at both, where it was already too", good, done)


def every_coordinator(cases, system):
    bad = []
    for i, name in enumerate(COORDINATORS):
        put = system.client("put", f"late/{i}", name, "--via", name, client="late")
        before = COORDINATORS[i - 1]
        get = system.client("get", f"late/{i - 1}", "--via", name, client="late") if i > 0 else None
        if put.returncode != 0 or (get and get.stdout != f"{before}\n"):
            bad.append((name, put, get))
    cases.case("the new client writes and reads through all eight coordinator nodes", not bad, bad[:1])
    done = system.client("status", client="late")
    good = "coordinator 0: 4 of 4" in done.stdout and "a shard knows the clients of the system file alone" in done.stdout
    cases.case("its status shows the coordinators, and says why not the shard", done.returncode == 0 and good, done)
    done = system.client("put", "elsewhere", 1, client="late")
    cases.case("beyond its prefix it is refused: exit 4", done.returncode == 4 and "RIGHTS" in done.stderr, done)


def hostile(cases, system):
    done = system.admin("add", f"{system.root}/other.card", "--number", 1, *two_keys(system))
    cases.case("another operation with number 1: exit 4", done.returncode == 4 and "another operation has number 1" in done.stderr, done)
    done = system.admin("add", f"{system.root}/other.card", "--number", 9, "--predecessor", "ab" * 32, *two_keys(system))
    cases.case("number 9: exit 4, says what comes first", done.returncode == 4 and "submit number 2" in done.stderr, done)
    done = system.admin("add", f"{system.root}/other.card", "--number", 2, "--predecessor", "ab" * 32, *two_keys(system))
    cases.case("another predecessor: exit 4", done.returncode == 4 and "predecessor" in done.stderr, done)
    done = system.admin("add", f"{system.root}/late.card", *two_keys(system))
    cases.case("a client that is on record: exit 4", done.returncode == 4 and "on record already" in done.stderr, done)
    with open(f"{system.dir}/op1", "rb") as f:
        torn = f.read()[:-1]
    with open(f"{system.dir}/torn", "wb") as f:
        f.write(torn)
    done = system.admin("submit", f"{system.dir}/torn")
    cases.case("a torn file: exit 2", done.returncode == 2 and done.stderr.count("\n") == 1, done)


def change(cases, system):
    done = system.admin("change", f"{system.root}/late.card,rw:new/,quota:1:2", *two_keys(system))
    cases.case("change by one command: in effect at both", done.returncode == 0 and done.stdout.count("number 2 is in effect") == 2, done)
    done = system.client("put", "late/a", 2, client="late")
    cases.case("the old right is gone: exit 4", done.returncode == 4 and "RIGHTS" in done.stderr, done)
    done = system.client("get", "late/a", client="late")
    cases.case("for reads as well", done.returncode == 4 and "RIGHTS" in done.stderr, done)
    done = system.client("put", "new/a", 2, "--timeout", 20, client="late")
    cases.case("the new one holds", done.returncode == 0, done)
    with open(f"{system.dir}/list", "w") as f:
        f.write("".join(f"put new/{i} {i}\n" for i in range(6)))
    done = system.client("batch", f"{system.dir}/list", "--timeout", 2, client="late")
    cases.case("the new quota too: exit 4", done.returncode == 4 and "QUOTA" in done.stderr, done)
    done = system.client("settle", "--cancel", "--timeout", 30, client="late")
    cases.case("what it refused is cancelled", done.returncode == 0, done)


def restart(cases, system):
    """All nodes lose power; before that a write is signed that leaves its client only when the shard has closed its numbers."""
    height = max(system.ask(n)["height"] for n in COORDINATORS[:4])

    def kept():
        system.client("put", "push", 1, "--via", "c0-n0")
        return all(system.ask(n)["checkpoint_height"] >= height for n in COORDINATORS[:4])

    cases.case("what was enrolled is in checkpoints", until(20, kept) is not None, [system.ask(n)["checkpoint_height"] for n in COORDINATORS])
    system.kill_all()
    done = system.client("put", "new/kept", "back", "--timeout", 1, client="late")
    cases.case("with all nodes down a write is signed and kept: exit 3", done.returncode == 3, done)
    system.start_all()
    cases.case("twelve nodes are started again", system.wait_ready(60), system.log("c0-n0")[-500:])
    took = until(20, lambda: system.enrolments() == {"coordinator 0": 2, "coordinator 1": 2})
    cases.case("they know the number as before", took is not None, system.enrolments())
    took = until(20, lambda: system.client("get", "new/a", client="late").stdout == "2\n")
    cases.case("and the client", took is not None)


def revoke(cases, system, leader_too):
    done = system.admin("revoke", f"{system.root}/late.card", "--only", "c0", *two_keys(system))
    cases.case("revoked at c0 alone", done.returncode == 0, done)
    took = until(BOUND_S, lambda: system.client("put", "new/b", 1, "--via", "c1-n1", client="late").returncode == 4)
    cases.case(f"within {BOUND_S} s no shard takes a write of it from c1 either, which has not heard ({took and round(took, 1)} s)", took is not None)
    took = until(20, lambda: all(system.ask(n)["enrolment"] == 3 for n in COORDINATORS[:4]))
    cases.case("all nodes of c0 have heard", took is not None)
    done = system.client("settle", "--retry", "--timeout", 20, "--via", "c1-n1", client="late")
    cases.case("a signed write kept back, brought by c1, which has not heard: REVOKED by the shard", "REVOKED" in done.stdout + done.stderr, done)
    cases.case("and it did not happen", system.client("get", "new/kept").returncode == 1, system.client("get", "new/kept"))
    done = system.client("put", "new/a", 3, "--via", "c1-n1", "--timeout", 20, client="late")
    cases.case("a new write by c1: exit 4", done.returncode == 4 and "REVOKED" in done.stderr, done)
    done = system.admin("revoke", f"{system.root}/late.card", *two_keys(system))
    cases.case("a second revocation is refused by c0: exit 4", done.returncode == 4, done)
    leader, predecessor = system.leader("c1"), system_hash(system, 1)
    if leader_too:
        system.kill(leader, signal.SIGSTOP)
    began = time.monotonic()
    done = system.admin("revoke", f"{system.root}/late.card", "--only", "c1", "--number", 3, "--predecessor", predecessor, "--timeout", 30,
                        *two_keys(system))
    took = time.monotonic() - began
    cases.case(f"revoked at c1{', whose leader stands still,' if leader_too else ''} in {took:.1f} s", done.returncode == 0 and took < BOUND_S, done)
    if leader_too:
        system.kill(leader, signal.SIGCONT)
    began = time.monotonic()
    took = until(BOUND_S, lambda: system.client("get", "new/a", "--timeout", 10, client="late").returncode == 4)
    cases.case(f"within {BOUND_S} s a read is refused by both: exit 4 ({time.monotonic() - began:.1f} s, of them 1 s until the client is sure)",
               took is not None)
    for words in (("put", "new/a", 4), ("status",)):
        done = system.client(*words, client="late")
        cases.case(f"{words[0]}: exit 4 in one clear line", done.returncode == 4 and "revoked" in done.stderr, done)
    done = system.admin("add", f"{system.root}/late.card", *two_keys(system))
    cases.case("its key is never enrolled again: exit 4", done.returncode == 4, done)
    cases.case("the other clients are served", system.client("put", "new/a", 5).returncode == 0)


def system_hash(system, cluster):
    """The hash of number 2 as the cluster states it."""
    out = json.loads(system.client("status", "--json").stdout)
    return next(c["enrolment_hash"] for c in out["clusters"] if c["cluster"] == f"coordinator {cluster}")


def peers_up(system, name):
    """How many members of its cluster see this node's link up."""
    member = int(name[-1])
    seen = [s["members_seen"][member]["up"] for n, s in system.cluster(name[:2]).items() if n != name]
    return seen.count(True)


def answers(history):
    """So many calls were answered, as far as the file tells."""
    if not os.path.exists(history):
        return 0
    with open(history) as f:
        return sum('"outcome"' in line and '"unknown"' not in line for line in f)


def moves(cases, system):
    """All nodes of c0 move, one after another, told to the others by addresses.json alone, while a client is connected to c0 alone."""
    for name in COORDINATORS[4:]:
        system.kill(name)
    history = f"{system.dir}/history"
    bench = system.client_background("bench", "--out", f"{system.dir}/moving", "--users", 8, "--seconds", 120, "--client-keys", 2, "--mix", "50:50",
                                     "--keys", 64, "--history", history)
    cases.case("a client is connected to c0", until(20, lambda: answers(history) > 0) is not None)
    base = free_base(8)
    slow = []
    for i, names in enumerate((["c0-n0", "s0-n2"], ["c0-n1"], ["c0-n2"], ["c0-n3"])):
        pids = {n: system.live[n].pid for n in system.names if n not in names and system.running(n)}
        for k, name in enumerate(names):
            system.kill(name)
            system.ports[name] = base + 2 * i + k
        system.addresses()
        for name in names:
            system.start(name)
        found = until(15, lambda: all(peers_up(system, n) == 3 for n in names)) is not None
        if not found or any(not system.running(n) or system.live[n].pid != p for n, p in pids.items()):
            slow.append([(n, peers_up(system, n)) for n in names])
    cases.case("five nodes move to other ports, one after another: the others find them without a restart", not slow, slow)
    before = answers(history)
    took = until(20, lambda: answers(history) > before + 50)
    cases.case("a client that was connected all the while found them too", took is not None and bench.poll() is None, (before, answers(history)))
    bench.kill()
    bench.wait(timeout=30)
    for name in COORDINATORS[4:]:
        system.start(name)
    took = until(30, lambda: len(system.cluster("c1")) == 4 and system.client("put", "moved", 1, "--via", "c1-n0").returncode == 0)
    cases.case("c1 comes back and finds the shard's node where it is now", took is not None)


def bad_addresses(cases, system):
    before = {n: system.log(n).count("addresses_refused") for n in system.names}
    begun = {n: system.log(n).count(" started ") for n in system.names}
    system.addresses('{"format": 1,\n')
    lines = {n: 0 for n in system.names}

    def told():
        for n in system.names:
            lines[n] = system.log(n).count("addresses_refused") - before[n]
        return all(lines.values())

    took = until(15, told)
    cases.case("a bad addresses.json is refused by each node", took is not None, lines)
    time.sleep(1.5)
    told()
    for n in system.names:  # one that took a checkpoint meanwhile has begun anew, and reads the file again
        lines[n] -= min(lines[n] - 1, system.log(n).count(" started ") - begun[n])
    cases.case("in one line each", set(lines.values()) == {1}, lines)
    system.addresses()
    name = "c0-n2"
    read = system.log(name).count("addresses_read")
    took = until(15, lambda: system.log(name).count("addresses_read") > read)
    cases.case("mended, it is read", took is not None)
    read = system.log(name).count("addresses_read")
    system.live[name].send_signal(signal.SIGHUP)
    took = until(15, lambda: system.log(name).count("addresses_read") > read)
    cases.case("SIGHUP has it read again", took is not None and system.running(name))
    took = until(10, lambda: peers_up(system, name) == 3 and system.client("get", "moved").stdout == "1\n")
    cases.case("and links are as they were", took is not None)


def main():
    seed_of(sys.argv)
    cases = Cases()
    rounds = 3 if is_long(sys.argv) else 1
    with Governed() as system:
        for name in ("c0-n1", "s0-n0"):
            system.change_conf(name, {"threads": "split"})
        system.start_all()
        if not cases.case("twelve nodes answer", system.wait_ready(90), system.log("c0-n0")[-800:]):
            return cases.end()
        load = system.client_background("bench", "--out", f"{system.dir}/load", "--users", 16, "--seconds", 8, "--client-keys", 2, "--mix", "50:50",
                                        "--keys", 64)
        offline(cases, system)
        every_coordinator(cases, system)
        out, err = load.communicate(timeout=60)
        cases.case("a bench that ran all the while had every answer", load.returncode == 0, (load.returncode, err[-500:]))
        hostile(cases, system)
        change(cases, system)
        restart(cases, system)
        revoke(cases, system, is_long(sys.argv))
        for _ in range(rounds):
            moves(cases, system)
        bad_addresses(cases, system)
        crashed = [n for n in system.names if not system.running(n)]
        cases.case("no node ended by itself", not crashed, crashed)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
