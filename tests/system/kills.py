#!/usr/bin/env python3
"""Kill -9 under load: all eight at once; power loss of all with unsynced writes lost; the client itself. One by one: kills_in_turn.py.

No acknowledged write is lost, retries take effect once, histories are linearizable, and at the end all nodes of a cluster have equal
state roots at equal heights. kills.py short|long [SEED]
"""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, TOP, bench, equal_roots, is_long, seed_of  # noqa: E402
from lying import linearizable  # noqa: E402


def counter_load(system, stop, acknowledged, client):
    """Adds 1 again and again; what was acknowledged is counted. Unsettled adds are settled by retry before the next."""
    while not stop.is_set():
        done = system.client("add", "counter", 1, "--timeout", 30, client=client, timeout=90)
        if done.returncode == 0:
            acknowledged.append(int(done.stdout))
        elif done.returncode == 3 and not stop.is_set():
            settle = system.client("settle", "--retry", "--timeout", 60, client=client, timeout=90)
            if settle.returncode == 0 and ": OK" in settle.stdout:
                acknowledged.append(-1)


def history_start(system, seconds):
    """Several users beside all that; each of their calls lasts through an outage (30 s). The thread and what bench() gave."""
    results = []
    words = ("--users", 8, "--seconds", seconds, "--keys", 20, "--mix", "50:50", "--client-keys", 2, "--ops-per-signature", 4, "--history",
             f"{system.dir}/history")
    load = threading.Thread(target=lambda: results.append(bench(system, f"{system.dir}/out", *words, limit_s=seconds + 120)))
    load.start()
    time.sleep(1)
    return load, results


def history_end(cases, name, system, load, results, dead):
    """The users' history over these moments when every node was dead (of the monotonic clock, in seconds) is whole and linearizable."""
    load.join(timeout=180)
    code, summary, text = results[0] if results else (None, None, "it did not end")
    with open(f"{system.dir}/history") as f:
        calls = [json.loads(line) for line in f]
    unknown = sum(op["outcome"] == "unknown" for op in calls)
    first, last = min((op["call"] for op in calls), default=0), max((op["call"] for op in calls), default=0)
    met = [1e6 * t for t in dead if first < 1e6 * t < last]
    through = [sum(op["call"] < t and (t < op["return"] or op["outcome"] == "unknown") for op in calls) for t in met]
    good = code in (0, 1) and summary and summary["verification_failures"] == 0 and (code == 0 or unknown > 0)
    cases.case(f"{name}: bench beside it: {len(calls)} calls, {unknown} unknown; under way when all nodes were dead: {through}",
               good and through and min(through) > 0, f"exit {code} {summary} {text[-600:]}")
    good, text = linearizable(f"{system.dir}/history")
    cases.case(f"{name}: linearizable: {text}", good, text)


def kill_all_at_once(cases, rng, points, shim):
    """`shim`: the folder with unsynced.so; a kill then also loses every write that was not synced."""
    name = "power loss of all eight" if shim else "kill -9 of all eight"
    undo = None
    with System() as system:
        if shim:
            undo = f"{system.dir}/undo"
            os.makedirs(undo)
            system.env.update({"LD_PRELOAD": f"{shim}/unsynced.so", "UNSYNCED_DIR": undo, "UNSYNCED_ROOT": os.path.abspath(system.root)})
        system.start_all()
        if not cases.case(f"{name}: ready", system.wait_ready()):
            return
        system.client("add", "counter", 0)
        users, results = history_start(system, 3 * points)
        dead = []
        for point in range(points):
            stop, acknowledged = threading.Event(), []
            before = int(system.client("get", "counter", "--timeout", 30).stdout or -1)
            load = threading.Thread(target=counter_load, args=(system, stop, acknowledged, "bench-9"))
            load.start()
            time.sleep(rng.uniform(0.1, 1.2))
            for process in system.live.values():
                process.send_signal(signal.SIGKILL)
            stop.set()
            system.kill_all()
            dead.append(time.monotonic())
            if shim:
                subprocess.run([f"{shim}/powerloss", undo, str(rng.randrange(1 << 30))], check=True, capture_output=True, timeout=60)
            system.start_all()
            load.join(timeout=120)
            if not system.wait_ready(60):
                cases.case(f"{name}: point {point} comes back", False, system.states("c0"))
                return
            settle = system.client("settle", "--retry", "--timeout", 30, client="bench-9")
            after = int(system.client("get", "counter", "--timeout", 30).stdout or -1)
            sums = sum(1 for _ in acknowledged)
            extra = settle.stdout.count(": OK")
            if not (settle.returncode == 0 and after == before + sums + extra):
                what = f"{before} + {sums} acknowledged + {extra} settled is not {after}"
                cases.case(f"{name}: point {point}", False, f"{what}: {settle.stdout}{settle.stderr}")
                return
        cases.case(f"{name}: {points} random points, each acknowledged add took effect exactly once", True)
        history_end(cases, name, system, users, results, dead)
        equal_roots(cases, name, system)


def kill_client(cases, rng, rounds):
    with System() as system:
        system.start_all()
        if not cases.case("client: ready", system.wait_ready()):
            return
        sure = int(system.client("add", "n", 1, client="bench-1").stdout or 0)
        maybe = 0
        for _ in range(rounds):
            child = system.client_background("add", "n", 1, "--timeout", 20, client="bench-1")
            try:
                out, _ = child.communicate(timeout=rng.uniform(0.001, 0.25))
                sure += child.returncode == 0
            except subprocess.TimeoutExpired:
                child.kill()
                out, _ = child.communicate()
                if out.strip():
                    sure += 1
                else:
                    settle = system.client("settle", rng.choice(["--retry", "--cancel"]), "--timeout", 20, client="bench-1")
                    maybe += settle.stdout.count(": OK") + settle.stdout.count(": RECORDED")
        shown = system.client("settle", client="bench-1").stdout
        total = int(system.client("get", "n").stdout or 0)
        cases.case(f"a killed client: {sure} acknowledged and {maybe} settled as done make {total}", total == sure + maybe, shown)
        cases.case("a killed client: nothing is left unsettled", "settled" in shown and "unsettled" not in shown, shown)


def main():
    rng = random.Random(seed_of(sys.argv))
    long = is_long(sys.argv)
    cases = Cases()
    shim = f"{TOP}/build/shim"
    subprocess.run(["tests/shim/build", shim], cwd=TOP, check=True, timeout=120)
    kill_client(cases, rng, 200 if long else 15)
    kill_all_at_once(cases, rng, 20 if long else 3, None)
    kill_all_at_once(cases, rng, 200 if long else 10, shim)
    return cases.end()


sys.exit(main())
