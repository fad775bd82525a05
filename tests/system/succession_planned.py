#!/usr/bin/env python3
"""A planned succession: each cluster is ended by SEAL, and backed up afterwards. The backup is the state after SEAL, whatever its height, so that the
successor begins with every write that was answered.

succession_planned.py short|long
"""
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, wait  # noqa: E402
from succession import CLUSTERS, K, Made, adds, run, succeed  # noqa: E402


def states(system, cluster):
    return [system.ask(n) or {} for n in system.names if n.startswith(cluster)]


def ends(system, cluster):
    return {(s.get("phase"), s.get("height"), s.get("checkpoint_height")) for s in states(system, cluster)}


def sealed(system, cluster):
    """At one height, with a checkpoint there."""
    found = ends(system, cluster)
    phase, height, checkpoint = next(iter(found))
    return len(found) == 1 and phase == "sealed" and height == checkpoint


def seal(cases, system, cluster):
    file = ("-s", f"{system.root}/system.json")
    at, chain = f"{system.dir}/{cluster}.seal", f"{system.dir}/{cluster}.seal.chain"
    done = [run("config", "new", cluster, "--seal", "--out", at, *file)]
    for i, admin in enumerate(("admin0", "admin1")):
        done.append(run("config", "sign", at, "--admin-key", f"{system.root}/{admin}.key", "--out", f"{at}.{i}", "--chain", chain, *file))
        at = f"{at}.{i}"
    done.append(run("config", "submit", at, "--timeout", 30, *file, timeout=90))
    cases.case(f"{cluster}: two of three administrators end it", all(d.returncode == 0 for d in done), [d.stdout + d.stderr for d in done])
    return cases.case(f"{cluster}: its nodes are sealed at one height, which is that of a checkpoint", wait(lambda: sealed(system, cluster)),
                      ends(system, cluster))


def backed_up(cases, old):
    """Heights of the shard: as the nodes say, as the backup says."""
    ended = states(old, "s0")[0].get("height")
    for n in old.names:
        if n.startswith("s0"):
            old.kill(n)
    old.start_all()
    cases.case("killed all at once, they come back sealed, with that checkpoint", wait(lambda: sealed(old, "s0")), ends(old, "s0"))
    done = old.client("status")
    cases.case("status says so of both clusters", done.stdout.count("SEALED for ever") == 2, done)
    done = old.client("backup", "--out", f"{old.dir}/backup", timeout=60)
    found = re.search(r"s0: checkpoint at height (\d+)", done.stdout + done.stderr)
    cases.case("the backup is of the state after SEAL", done.returncode == 0 and found and int(found.group(1)) == ended,
               f"{ended}: {done.stdout}{done.stderr}")
    done = run("verify", f"{old.dir}/backup", "-s", f"{old.root}/system.json")
    cases.case("and proves itself offline", done.returncode == 0 and "valid" in done.stdout, done.stdout + done.stderr)
    shutil.copytree(f"{old.dir}/backup", f"{old.dir}/short")
    chain = f"{old.dir}/short/s0/chain"
    with open(chain, "rb") as f:
        head = f.read(4)
    with open(chain, "wb") as f:
        f.write(head + bytes(4) + (1).to_bytes(8, "little"))
    done = run("verify", f"{old.dir}/short", "-s", f"{old.root}/system.json")
    cases.case("with a chain that shows no SEAL it is refused", done.returncode == 1 and "SEAL" in done.stdout + done.stderr,
               done.stdout + done.stderr)


def begun(cases, old):
    new, statement, _ = succeed(cases, old, "new", old.root)
    try:
        done = run("successor", "show", statement, "--predecessor", f"{old.root}/system.json", "--successor", f"{new.root}/system.json", "--backup",
                   f"{old.dir}/backup/s0")
        cases.case("who signs it reads that nothing is lost", done.returncode == 0 and "may lose: nothing, the cluster was sealed" in done.stdout,
                   done)
        of_successor = ("--predecessor", f"{old.root}/system.json", "--statement", statement)
        new.init({c: (*of_successor, "--backup", f"{old.dir}/backup/{c}") for c in CLUSTERS})
        new.start_all()
        done = new.client("settle", *of_successor, "--chain", f"{old.dir}/backup/c0/chain", "--timeout", 60, timeout=90)
        cases.case("the client follows, and has nothing to send again", done.returncode == 0, done.stdout + done.stderr)
        values = [new.client("get", k, "--timeout", 20).stdout.strip() for k in ("early", "late", "{x}name")]
        cases.case("what was answered up to SEAL is there", values == ["3", "5", "Bob"], values)
        done = new.client("add", "late", 1, "--timeout", 20)
        cases.case("and it goes on", done.stdout == "6\n", done)
    finally:
        new.kill_all()


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="heraclius-", dir=System.parent()) as folder:
        old = Made(folder, "old")
        try:
            old.start_all()
            cases.case(f"a system with a checkpoint every {K} blocks answers", old.wait_ready())
            cases.case("writes", adds(old, "early", 3) and adds(old, "late", 5) and old.client("put", "{x}name", "Bob").returncode == 0)
            if all([seal(cases, old, cluster) for cluster in reversed(CLUSTERS)]):
                backed_up(cases, old)
                begun(cases, old)
        finally:
            old.kill_all()
            if os.environ.get("KEEP") == "1":
                shutil.copytree(folder, folder + ".kept", ignore_dangling_symlinks=True)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
