#!/usr/bin/env python3
"""The crash-point sweep (tests/sweep): every write, sync, rename and send of the real store and of a real node is a moment at which the power goes.

A store under record.so lives a whole life; a node of a running system does, through view changes and restarts. Of each record the sweep rebuilds
what the disk may hold at each point and recovers from that. Then the same sweep with a planted fault must fail: a sync that is left out, messages
that leave before what they wait for is durable. crash_points.py short|long [SEED]
"""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, TOP, is_long, seed_of  # noqa: E402

SWEEP = "build/gcc/tests/sweep/sweep"
POINTS_LONG = 10000


def built():
    programs = [SWEEP, "build/gcc/tests/sweep/store_run", "build/gcc/tests/sweep/heracliusd-recorded"]
    made = subprocess.run(["make", "--no-print-directory"] + programs, cwd=TOP, capture_output=True, text=True, timeout=900)
    shim = subprocess.run(["tests/shim/build", "build/shim"], cwd=TOP, capture_output=True, text=True, timeout=120)
    if made.returncode != 0 or shim.returncode != 0:
        sys.exit(f"cannot build: {made.stdout[-2000:]}{made.stderr[-2000:]}{shim.stderr}")


class Memory:
    """A folder in memory if there is room for one: an image is written for each point."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="heraclius-sweep-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else System.parent())
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def sweep(record, work, *words, limit_s=1800):
    """(exit code, points covered, the last line)."""
    shutil.rmtree(f"{work}/image", ignore_errors=True)
    done = subprocess.run([SWEEP, "--record", record, "--work", f"{work}/image", *map(str, words)], cwd=TOP, capture_output=True, text=True,
                          timeout=limit_s)
    lines = (done.stdout + done.stderr).strip().splitlines()
    line = next((x for x in reversed(lines) if x.startswith(("points ", "violation "))), lines[-1] if lines else "")
    found = re.match(r"points (\d+) ", line)
    return done.returncode, int(found.group(1)) if found else 0, line


def covered(cases, name, result, least):
    code, points, line = result
    cases.case(f"{name}: {line}", code == 0 and points >= least, f"exit {code}, {points} points, at least {least} wanted")
    return points


def planted(cases, name, result):
    code, _, line = result
    cases.case(f"{name} is found: {line}", code == 3 and line.startswith("violation "), f"exit {code}")


def of_the_store(cases, work, seed, steps, points, plant_points):
    os.makedirs(f"{work}/store")
    env = dict(os.environ, LD_PRELOAD=f"{TOP}/build/shim/record.so", RECORD_FILE=f"{work}/store.record", RECORD_ROOT=f"{work}/store")
    done = subprocess.run(["build/gcc/tests/sweep/store_run", f"{work}/store/data", str(steps), str(seed)], cwd=TOP, env=env, capture_output=True,
                          text=True, timeout=300)
    if not cases.case("the store: a life of its own is recorded", done.returncode == 0, done.stderr):
        return 0
    words = ("--data", "data", "--seed", seed)
    result = sweep(f"{work}/store.record", work, *words, "--points", points)
    total = covered(cases, "the store", result, min(points, 500) if points else 500)
    for plant, what in (("missing-sync", "a missing sync"), ("missing-value-sync", "a missing sync of the value log"),
                        ("missing-journal-sync", "a journal that is not synchronous")):
        planted(cases, f"the store: {what}", sweep(f"{work}/store.record", work, *words, "--points", plant_points, "--plant", plant))
    return total


def record_node(cases, work, seed, seconds):
    """A leader's and a member's life in one record: the leader changes by rotation, the node is killed and comes back. The path of its base, or
    None."""
    rng = random.Random(seed)
    with System(settings=("checkpoint_blocks=16", "rotation_blocks=40")) as system:
        name = "c0-n0"
        home = f"{system.root}/{name}"
        shutil.copytree(f"{home}/data", f"{work}/base")
        system.programs[name] = "build/gcc/tests/sweep/heracliusd-recorded"
        system.node_env[name] = {"LD_PRELOAD": f"{TOP}/build/shim/record.so", "RECORD_FILE": f"{work}/node.record", "RECORD_ROOT": f"{home}/data"}
        system.start_all()
        if not cases.case("the node: its system is ready", system.wait_ready(), system.states("c0")):
            return False
        until = time.monotonic() + seconds
        answered = asked = restarts = 0
        while time.monotonic() < until or restarts < 2:
            asked += 1
            answered += system.client("put", f"k{rng.randrange(50)}", "v" * rng.randrange(1, 3000), "--timeout", 20).returncode == 0
            if asked % 25 == 0:
                restarts += 1
                system.kill(name)
                system.start(name)
        views = max((s["view"] for s in system.cluster("c0").values()), default=0)
        cases.case(f"the node: {answered} puts of {asked}, {restarts} times killed, {views} views", answered == asked and views >= 1)
        system.kill_all()
        # What the sweep needs: the node's files.
        shutil.copytree(system.root, f"{work}/s", ignore=shutil.ignore_patterns("data", "log", "*.sock"))
    return True


def of_the_node(cases, work, seed, seconds, points, plant_points):
    if not record_node(cases, work, seed, seconds):
        return 0
    words = ("--base", f"{work}/base", "--config", f"{work}/s/c0-n0/node.conf", "--seed", seed)
    result = sweep(f"{work}/node.record", work, *words, "--points", points)
    total = covered(cases, "the node", result, min(points, 300) if points else 3000)
    for plant, what in (("missing-sync", "a missing sync"), ("missing-journal-sync", "a journal that is not synchronous"),
                        ("early-send", "a message that leaves too early")):
        planted(cases, f"the node: {what}", sweep(f"{work}/node.record", work, *words, "--points", plant_points, "--plant", plant))
    return total


def main(argv):
    seed = seed_of(argv)
    cases = Cases()
    built()
    with Memory() as work:
        if is_long(argv):
            total = of_the_store(cases, work, seed, 3000, 0, 2000)
            total += of_the_node(cases, work, seed, 40, 0, 2000)
            cases.case(f"{total} distinct points, at least {POINTS_LONG}", total >= POINTS_LONG)
        else:
            of_the_store(cases, work, seed, 200, 600, 600)
            of_the_node(cases, work, seed, 3, 300, 600)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
