#!/usr/bin/env python3
"""A disk that fails: each fault ends in a stop with one clear line, and after it is mended the node comes back with everything it had said.

Real nodes under faults.so: EIO, short writes, a failed sync, a full disk, a quota, a remount read-only, a cut file (SIGBUS), reads that fail at the
start. Meanwhile the cluster goes on without the node. disk_faults.py short|long [SEED]
"""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, TOP, is_long, seed_of, wait  # noqa: E402

# What fails, and the words that the one line must have.
FAULTS_SHORT = (
    ("write EIO 1 0 wal/data.mdb", "Input/output error", "a write that fails"),
    ("write EIO 1 0 wal/journal", "Input/output error", "a write to the journal that fails"),
    ("write short 2 0 wal/data.mdb", "Input/output error", "writes that are cut short"),
    ("sync EIO 1 1 wal/data.mdb", "Input/output error", "one sync that fails, and then none"),
    ("write ENOSPC 1 0 wal/data.mdb", "No space left on device", "a full disk"),
    ("write EROFS 1 0 /data/", "Read-only file system", "a remount read-only"),
    ("write EIO 1 0 state/data.mdb", "Input/output error", "a checkpoint that cannot be written"),
)
FAULTS_LONG = FAULTS_SHORT + (
    ("write EIO 3 1 wal/data.mdb", "Input/output error", "one write that fails, and then none"),
    ("write short 1 1 wal/data.mdb", "Input/output error", "one write that is cut short"),
    ("write EDQUOT 1 0 wal/data.mdb", "Disk quota exceeded", "a quota"),
    ("sync ENOSPC 1 0 wal/data.mdb", "No space left on device", "a disk that finds out at the sync that it is full"),
    ("sync EIO 1 0 state/data.mdb", "Input/output error", "a checkpoint whose sync fails"),
    ("write EROFS 1 0 state/data.mdb", "Read-only file system", "a checkpoint on a disk that is read-only"),
    ("write ENOSPC 1 0 state/data.mdb", "No space left on device", "a checkpoint on a full disk"),
)
START_FAULTS = (
    ("open EIO 1 0 wal/data.mdb", "Input/output error"),
    ("read EIO 1 0 wal/data.mdb", "Input/output error"),
    ("open EACCES 1 0 state/data.mdb", "Permission denied"),
    ("read EIO 1 0 state/data.mdb", "Input/output error"),
)


def arm(system, name, line):
    path = f"{system.root}/{name}/fault"
    with open(f"{path}.new", "w") as f:
        f.write(line)
    os.rename(f"{path}.new", path)


def disarm(system, name):
    os.unlink(f"{system.root}/{name}/fault")


def new_lines(system, name, before):
    """What the process wrote since then that is no event: the lines for people."""
    return [x for x in system.log(name)[before:].splitlines() if x.startswith("heracliusd: ") or x.startswith("/")]


def votes(system, name):
    answer = system.ask(name)
    return bool(answer) and answer["phase"] == "voting" and answer["ready"]


class Load:
    """Acknowledged puts, one after another; what was acknowledged is remembered."""

    def __init__(self, system):
        self.system, self.number, self.said = system, 0, {}

    def put(self):
        self.number += 1
        key, value = f"k{self.number % 9}", f"v{self.number}"
        done = self.system.client("put", key, value, "--timeout", 20)
        if done.returncode == 0:
            self.said[key] = value
        return done.returncode == 0

    def until(self, what, limit_s=40):
        end = time.monotonic() + limit_s
        while time.monotonic() < end and not what():
            self.put()
        return bool(what())

    def wrong(self):
        out = {}
        for key, value in self.said.items():
            got = self.system.client("get", key, "--timeout", 20).stdout.strip()
            if got != value:
                out[key] = (value, got)
        return out


def stops_and_comes_back(cases, system, load, name, line, words, what):
    before = len(system.log(name))
    arm(system, name, line)
    stopped = load.until(lambda: not system.running(name))
    code = system.live[name].returncode
    lines = new_lines(system, name, before)
    cases.case(f"{what}: {name} stops, exit {code}", stopped and code == 3, f"{code} {system.log(name)[before:][-600:]}")
    cases.case(f"{what}: one line: {lines[0][:200] if lines else ''}", len(lines) == 1 and words in lines[0] and
               ("data.mdb" in lines[0] or "wal/journal" in lines[0]), lines)
    cases.case(f"{what}: the cluster goes on", all(load.put() for _ in range(2)))
    if line.split()[3] == "0":  # nothing is mended: started, it stops again
        system.start(name)
        stopped = load.until(lambda: not system.running(name))
        cases.case(f"{what}: it stops again", stopped and system.live[name].returncode == 3, system.log(name)[-500:])
    disarm(system, name)
    system.start(name)
    cases.case(f"{what}: mended, it votes again", wait(lambda: votes(system, name)), system.log(name)[-600:])


def at_the_start(cases, system, name):
    for line, words in START_FAULTS:
        system.kill(name)
        before = len(system.log(name))
        arm(system, name, line)
        system.start(name)
        ended = wait(lambda: not system.running(name), 20)
        lines = new_lines(system, name, before)
        good = ended and system.live[name].returncode == 3 and len(lines) == 1 and words in lines[0]
        cases.case(f"at the start, {line}: {lines[0][:160] if lines else ''}", good, f"{ended} {lines} {system.log(name)[before:][-600:]}")
        disarm(system, name)
    system.start(name)
    cases.case("at the start: mended, it votes again", wait(lambda: votes(system, name)), system.log(name)[-600:])


def cut_file(cases, system, load, name):
    """A page that the disk cannot give is a SIGBUS: here the file is shorter than what is mapped."""
    path = f"{system.root}/{name}/data/wal/data.mdb"
    before = len(system.log(name))
    os.truncate(path, 16384)
    stopped = load.until(lambda: not system.running(name))
    lines = new_lines(system, name, before)
    named = any("cannot be read" in x or "damaged" in x or "Input/output" in x for x in lines)
    said = f"{name} stops, exit {system.live[name].returncode}: {lines[0][:160] if lines else ''}"
    cases.case(f"a file that is cut: {said}", stopped and named, system.log(name)[before:][-600:])
    before = len(system.log(name))
    system.start(name)
    ended = wait(lambda: not system.running(name), 20)
    lines = new_lines(system, name, before)
    good = ended and system.live[name].returncode != 0 and lines
    cases.case(f"a file that is cut: it never starts from it: {lines[0][:160] if lines else ''}", good, system.log(name)[before:][-600:])


def run(cases, rng, long):
    shim = f"{TOP}/build/shim"
    subprocess.run(["tests/shim/build", shim], cwd=TOP, check=True, timeout=120)
    with System(settings=("checkpoint_blocks=16",)) as system:
        for name in system.names:
            system.node_env[name] = {"LD_PRELOAD": f"{shim}/faults.so", "FAULT_FILE": f"{system.root}/{name}/fault",
                                     "FAULT_ROOT": f"{system.root}/{name}/data"}
        system.start_all()
        if not cases.case("ready", system.wait_ready(), system.states("c0")):
            return
        load = Load(system)
        faults = list(FAULTS_LONG if long else FAULTS_SHORT)
        rng.shuffle(faults)
        for turn, (line, words, what) in enumerate(faults):
            name = f"{('c0', 's0')[turn % 2]}-n{rng.randrange(4)}"
            stops_and_comes_back(cases, system, load, name, line, words, what)
        at_the_start(cases, system, f"s0-n{rng.randrange(4)}")
        for prefix in ("c0", "s0"):
            cases.case(f"all nodes of {prefix} hold one state", system.wait_equal(prefix) is not None, system.states(prefix))
        cut_file(cases, system, load, f"s0-n{rng.randrange(4)}")
        cases.case(f"{load.number} puts, {len(load.said)} keys: each holds what was acknowledged last", not load.wrong(), load.wrong())


def main(argv):
    cases = Cases()
    run(cases, random.Random(seed_of(argv)), is_long(argv))
    return cases.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
