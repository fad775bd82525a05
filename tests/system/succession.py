#!/usr/bin/env python3
"""A whole shard cluster burns: a successor from its backup, signed by two of three administrators, at other places; and a cluster that was rolled
back as a whole finds out.

succession.py short|long
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, TOP, Cases, System, free_base, wait  # noqa: E402

K = 16
SETTINGS = (f"checkpoint_blocks={K}", "table_keys_max=100000", "table_bytes_max=67108864", "t_idle_ms=500")
CLUSTERS = ("c0", "s0")


def run(*words, timeout=60):
    return subprocess.run([CLIENT] + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)


class Made(System):
    """A system whose files were made by enroll, assemble and init: with three administrators, two of whom must sign."""

    def __init__(self, parent, name, extra=(), init=(), keys=None, data=True):
        self.dir, self.root = parent, f"{parent}/{name}"
        self.env, self.node_env, self.programs, self.live = {}, {}, {}, {}
        self.names = [f"{c}-n{i}" for c in CLUSTERS for i in range(4)]
        self.keys, self.said = keys or self.root, []
        os.makedirs(self.root)
        for n in self.names:
            self.must("node", "enroll", "--name", n, "--out", f"{self.root}/{n}")
        if not keys:
            for client in ("client", "load"):
                self.must("client", "enroll", "--name", client, "--out", self.root)
            for i in range(3):
                self.must("admin", "enroll", "--name", f"admin{i}", "--out", self.root)
        cards = {c: ",".join(f"{self.root}/{n}/{n}.card" for n in self.names if n.startswith(c)) for c in CLUSTERS}
        words = ["system", "assemble", "--name", name, "--coordinator", cards["c0"], "--shard", cards["s0"], "--needed", 2, "--client",
                 f"{self.keys}/client.card", "--client", f"{self.keys}/load.card,rw:load/", "--out", f"{self.root}/system.json"]
        words += [w for i in range(3) for w in ("--admin", f"{self.keys}/admin{i}.card")] + [w for s in SETTINGS for w in ("--set", s)]
        self.must(*words, *extra)
        shown = json.loads(run("system", "show", "--json", f"{self.root}/system.json").stdout)
        base = free_base(len(self.names))
        nodes = {n: {"admin": "", "link": f"127.0.0.1:{base + i}"} for i, n in enumerate(self.names)}
        self.id = shown["system_id"]
        with open(f"{self.root}/addresses.json", "w") as f:
            f.write(json.dumps({"format": 1, "nodes": nodes, "system_id": self.id}, indent=2, sort_keys=True) + "\n")
        if data:
            self.init(init)

    def must(self, *words):
        done = run(*words)
        if done.returncode != 0:
            raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def init(self, words):
        """`words`: of each cluster, what system init needs more."""
        for n in self.names:
            self.said.append(self.must("system", "init", "--system", f"{self.root}/system.json", "--node-key", f"{self.root}/{n}/{n}.key", "--data",
                                       f"{self.root}/{n}", *(words[n[:2]] if words else ())))

    def client(self, *words, timeout=60, client=None):
        who = ["-s", f"{self.root}/system.json", "--client", f"{self.keys}/{client or 'client'}.key"]
        return subprocess.run([CLIENT] + who + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)


def adds(system, key, count):
    return all(system.client("add", key, 1, "--timeout", 20).returncode == 0 for _ in range(count))


def checkpoint_past(system, height):
    """Writes until all nodes of the shard have a checkpoint above this height."""
    def done():
        system.client("add", "{x}filler", 1, "--timeout", 10)
        return min((system.ask(n) or {}).get("checkpoint_height") or 0 for n in system.names if n.startswith("s0")) > height
    return wait(done, 60)


def lost_with_backup(cases, folder):
    """A system of nodes on hosts that has a backup, and is gone."""
    old = Made(folder, "old")
    try:
        old.start_all()
        cases.case("the system before answers", old.wait_ready() and old.client("put", "kept", "yes", "--timeout", 30).returncode == 0)
        height = max((old.ask(n) or {}).get("height") or 0 for n in old.names if n.startswith("s0"))
        cases.case("a checkpoint lies above what was written", checkpoint_past(old, height))
        ready = wait(lambda: old.client("backup", "--out", f"{folder}/backup", timeout=60).returncode == 0, 120)
        cases.case("it is backed up, and lost as a whole", ready)
    finally:
        old.kill_all()
    return old


class Load:
    """Writes one after the other, of a client of its own, as long as they are answered; then there is one that was not."""

    def __init__(self, system):
        self.system, self.done, self.ended = system, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended and self.system.client("add", "load/n", 1, "--timeout", 4, client="load").returncode == 0:
            self.done += 1

    def end(self):
        self.ended = True
        self.thread.join()


def backed_up(cases, old):
    """Writes below the cut; a backup; writes above it; one that is decided and never answered, one that the shard never saw."""
    cases.case("the old system answers", old.wait_ready())
    cases.case("writes below the cut", adds(old, "below", 3) and old.client("put", "{x}name", "Alice").returncode == 0)
    height = max((old.ask(n) or {}).get("height") or 0 for n in old.names if n.startswith("s0"))
    cases.case("a checkpoint lies above them", checkpoint_past(old, height))
    shutil.copy(f"{old.root}/client.key.journal", f"{old.root}/journal.early")
    load = Load(old)
    done = old.client("backup", "--out", f"{old.dir}/backup", timeout=60)
    cases.case("it is backed up while it runs", done.returncode == 0, done.stdout + done.stderr)
    cases.case("writes above the cut", adds(old, "above", 3) and old.client("put", "{x}name", "Bob").returncode == 0)
    for n in old.names:
        if n.startswith("s0"):
            old.kill(n)
            shutil.rmtree(f"{old.root}/{n}")
    done = old.client("add", "unanswered", 1, "--timeout", 3)
    cases.case("the shard cluster burns, and a write is not answered: exit 3", done.returncode == 3, done)
    load.end()
    return load.done


def succeed(cases, old, name, keys, sign=("admin0", "admin2")):
    """A successor of the backup, signed; its nodes are initialised at other places. Returns it and the path of its statement."""
    backup = f"{old.dir}/backup"
    new = Made(old.dir, name, extra=("--predecessor", f"{old.root}/system.json", "--origin", f"s0={backup}/s0"), keys=keys, data=False)
    both = ("--predecessor", f"{old.root}/system.json", "--successor", f"{new.root}/system.json", "--backup", f"{backup}/s0", "--backup",
            f"{backup}/c0")
    seen = max((old.ask(n) or {}).get("height") or 0 for n in old.names if n.startswith("c0"))
    done = run("successor", "new", *both, "--seen", f"s0={seen + 100000}", "--out", f"{new.root}/statement")
    cases.case("before anybody signs, the cut, what it may lose and what it may halve are printed",
               done.returncode == 0 and "s0 goes on from height" in done.stdout and "may lose: what" in done.stdout and "root " in done.stdout,
               done.stdout + done.stderr)
    before = f"{new.root}/statement"
    for i, admin in enumerate(sign):
        after = f"{new.root}/statement.{i}"
        done = run("successor", "sign", before, *both, "--admin-key", f"{old.root}/{admin}.key", "--out", after)
        valid = "\nVALID" in done.stdout
        cases.case(f"{admin} signs; it is {'valid' if valid else 'not valid yet'}", done.returncode == 0 and valid == (i == 1),
                   done.stdout + done.stderr)
        before = after
    return new, before, both


def started(cases, old, new, statement):
    backup = f"{old.dir}/backup"
    of_successor = ("--predecessor", f"{old.root}/system.json", "--statement", statement)
    first = f"{new.root}/statement.0"
    n = "s0-n0"
    done = run("system", "init", "--system", f"{new.root}/system.json", "--node-key", f"{new.root}/{n}/{n}.key", "--data", f"{new.root}/{n}",
               "--predecessor", f"{old.root}/system.json", "--statement", first, "--backup", f"{backup}/s0")
    cases.case("one signature of two: no data are made", done.returncode == 2 and "2 administrators must sign" in done.stderr, done)
    done = run("system", "init", "--system", f"{new.root}/system.json", "--node-key", f"{new.root}/{n}/{n}.key", "--data", f"{new.root}/{n}",
               *of_successor, "--backup", f"{backup}/c0")
    cases.case("another backup than the origin's: no data are made", done.returncode == 2 and "origin" in done.stderr, done)
    n = "c0-n0"
    done = run("system", "init", "--system", f"{new.root}/system.json", "--node-key", f"{new.root}/{n}/{n}.key", "--data", f"{new.root}/{n}",
               *of_successor)
    cases.case("without a chain of the old system's CONFIGs no data are made, and it says what to bring",
               done.returncode == 2 and "--backup" in done.stderr, done)
    new.init({"c0": (*of_successor, "--backup", f"{backup}/c0"), "s0": (*of_successor, "--backup", f"{backup}/s0")})
    roots = {line.split("root ")[1].split(":")[0] for said in new.said for line in said.splitlines() if "has root" in line}
    cases.case("all four nodes of the shard come to one root of genesis", len(roots) == 1, new.said)
    new.start_all()


def followed(cases, old, new, statement):
    shown = ("--predecessor", f"{old.root}/system.json", "--statement", statement, "--chain", f"{old.dir}/backup/c0/chain")
    done = new.client("settle")
    cases.case("without the statement the client stays with the old system", done.returncode == 2 and "statement" in done.stderr, done)
    done = new.client("settle", *shown[:4])
    cases.case("nor without a chain of its CONFIGs, which says who signs for it", done.returncode == 2 and "--chain" in done.stderr, done)
    done = new.client("settle", *shown[:2], "--statement", f"{new.root}/statement.0", *shown[4:])
    cases.case("one signature of two does not move it", done.returncode == 2 and "administrators must sign" in done.stderr, done)
    done = new.client("settle", "--retry", *shown, "--timeout", 60, timeout=90)
    cases.case("it follows, and settles what was unsettled or above the cut", done.returncode == 0, done.stdout + done.stderr)
    values = {k: new.client("get", k, "--timeout", 20).stdout.strip() for k in ("below", "above", "unanswered", "{x}name")}
    cases.case("each write took effect once, below the cut, above it, and the one without an answer; the later name stands",
               values == {"below": "3", "above": "3", "unanswered": "1", "{x}name": "Bob"}, f"{values} {done.stdout}")
    done = new.client("add", "below", 1, "--timeout", 20)
    cases.case("and it goes on", done.stdout == "4\n", done)
    return shown


def loaded_once(cases, new, shown, loaded):
    """Under load one knows how many were answered; the one after those was not."""
    done = new.client("settle", "--retry", *shown, "--timeout", 60, timeout=90, client="load")
    value = int(new.client("get", "load/n", "--timeout", 20).stdout or 0)
    cases.case(f"of the client that wrote all the while, {loaded} writes answered and one not, each took effect once",
               done.returncode == 0 and loaded > 3 and value == loaded + 1, f"{loaded} {value} {done}")


def twice(cases, old, new, shown):
    """A journal that still holds as unsettled what lies below the cut: the answer is the recorded one."""
    done = new.client("settle", *shown)
    cases.case("nothing is left unsettled", "every write of this client is settled" in done.stdout, done)
    versions = json.loads(new.client("get", "below", "--json", "--timeout", 20).stdout)
    height = int(str(versions["version"]).split(".")[0])
    cases.case("heights of the successor are above all of the old system", height >> 48 == 1, versions)
    for n in new.names:
        new.kill(n)
    new.start_all()
    cases.case("killed all at once, the successor comes back from its genesis", new.wait_ready())
    cases.case("with what it had", new.client("get", "below", "--timeout", 20).stdout == "4\n")


def two_successors(cases, old, new, statement, both, shown):
    """The old coordinators still run. They leave for the first; a second one, as valid, is refused and convicts who signed both."""
    for n in ("c0-n0", "c0-n1"):
        done = run("successor", "leave", statement, *both[:4], "--data", f"{old.root}/{n}")
        cases.case(f"{n} is shown the successor", done.returncode == 0, done)
    left = wait(lambda: all((old.ask(n) or {}).get("phase") == "succeeded" for n in ("c0-n0", "c0-n1")))
    cases.case("they leave the old system and say so", left, old.states("c0"))
    with open(f"{old.root}/no-chain", "wb") as f:
        f.write(b"no chain at all")
    done = run("successor", "show", statement, *both[:4], "--chain", f"{old.root}/no-chain")
    cases.case("a file that is no chain is named as that", done.returncode == 2 and "it is no chain" in done.stderr, done)
    second, other, both_of = succeed(cases, old, "second", new.keys, sign=("admin0", "admin1"))
    done = run("successor", "leave", other, *both_of[:4], "--data", f"{old.root}/c0-n0")
    path = f"{old.root}/c0-n0/data/evidence/two_successors.evidence"
    cases.case("shown a second one it keeps both as evidence", done.returncode == 0 and wait(lambda: os.path.exists(path)), old.log("c0-n0")[-800:])
    done = run("evidence", "verify", "-s", f"{old.root}/system.json", path)
    cases.case("which convicts who signed both, and nobody else", done.returncode == 0 and "administrator admin0:" in done.stdout and
               "admin1" not in done.stdout and "admin2" not in done.stdout, done)
    done = run("successor", "convict", statement, other, "--predecessor", f"{old.root}/system.json", "--out", f"{old.root}/two")
    same = run("evidence", "verify", "-s", f"{old.root}/system.json", f"{old.root}/two")
    cases.case("so do the two statements alone, where no old node is left", done.returncode == 0 and same.returncode == 0 and
               "administrator admin0:" in same.stdout and "admin1" not in same.stdout and "admin2" not in same.stdout, f"{done} {same}")
    done = run("successor", "convict", statement, f"{new.root}/statement.0", "--predecessor", f"{old.root}/system.json", "--out", f"{old.root}/one")
    cases.case("two statements about one successor convict nobody", done.returncode == 2 and "one successor" in done.stderr, done)
    done = run("successor", "convict", statement, f"{second.root}/statement.0", "--predecessor", f"{old.root}/system.json", "--out",
               f"{old.root}/few")
    cases.case("nor does one that too few signed", done.returncode == 2 and "convict nobody" in done.stderr, done)
    old.kill("c0-n0")
    mark = len(old.log("c0-n0"))
    old.start("c0-n0")
    cases.case("over a restart it has left for good", wait(lambda: (old.ask("c0-n0") or {}).get("phase") == "succeeded") and
               " voting " not in old.log("c0-n0")[mark:], old.log("c0-n0")[mark:])
    done = second.client("settle", "--predecessor", f"{old.root}/system.json", "--statement", other,
                         "--chain", f"{old.dir}/backup/c0/chain")
    cases.case("the client, which followed the first, refuses the second", done.returncode == 2 and "another system" in done.stderr, done)


def burned(cases):
    with tempfile.TemporaryDirectory(prefix="heraclius-", dir=System.parent()) as folder:
        old = new = None
        try:
            old = Made(folder, "old")
            old.start_all()
            loaded = backed_up(cases, old)
            new, statement, both = succeed(cases, old, "new", old.root)
            started(cases, old, new, statement)
            shown = followed(cases, old, new, statement)
            loaded_once(cases, new, shown, loaded)
            twice(cases, old, new, shown)
            two_successors(cases, old, new, statement, both, shown)
        finally:
            for system in (old, new):
                if system:
                    system.kill_all()
            if os.environ.get("KEEP") == "1":
                shutil.copytree(folder, folder + ".kept", ignore_dangling_symlinks=True)


def rolled_back(cases):
    """A snapshot of all nodes of one cluster is restored."""
    with System(settings=SETTINGS) as system:
        system.start_all()
        cases.case("a system to be rolled back answers", system.wait_ready())
        shard = [n for n in system.names if n.startswith("s0")]
        cases.case("writes before the snapshot", adds(system, "n", 2))
        for n in shard:
            system.kill(n)
            shutil.copytree(f"{system.root}/{n}/data", f"{system.dir}/{n}.snapshot")
        system.start_all()
        cases.case("writes after it", system.wait_ready() and adds(system, "n", 6))
        for n in shard:
            system.kill(n)
            shutil.rmtree(f"{system.root}/{n}/data")
            os.rename(f"{system.dir}/{n}.snapshot", f"{system.root}/{n}/data")
        system.start_all()

        def seen():
            system.client("add", "n", 1, "--timeout", 1)
            return sum((system.ask(n) or {}).get("phase") == "rolled_back" for n in shard) >= 2
        cases.case("its whole shard cluster put back to a snapshot, it stops within seconds, and says why", wait(seen, 60),
                   f"{system.states('s0')} {system.log(shard[0])[-1500:]}")
        victim = next((n for n in shard if (system.ask(n) or {}).get("phase") == "rolled_back"), shard[0])
        kept = f"{system.root}/{victim}/data/evidence/rolled-back-shown-by-c0.decision"
        log = system.log(victim)
        cases.case("it calls for a successor and keeps the proof", " cluster_rolled_back " in log and os.path.getsize(kept) > 0, log[-1500:])
        said = wait(lambda: " of 4 nodes vote (4 are up), quorum 3: NO QUORUM" in system.client("status").stdout, 20)
        cases.case("status says that they are up, and that too few vote", said, system.client("status"))
        cases.case("nobody of the other cluster retires", all(s["phase"] == "voting" for s in system.cluster("c0").values()), system.states("c0"))


def main():
    cases = Cases()
    rolled_back(cases)
    burned(cases)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
