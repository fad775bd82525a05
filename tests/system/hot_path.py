#!/usr/bin/env python3
"""What a decision costs a node in allocations, system calls, sleeps and page faults, when it has run for a while: stated below, and not exceeded. And
that the cost counters explain the processor time of the process.

  tests/system/hot_path.py short|long [SEED]

One user asks at a time (three decisions at each request, each with hardly anything in it), then many (decisions as large as the load). Allocations
are counted by a preloaded library (tests/shim/allocs.c), apart for the loop's thread: between checkpoints, of which each takes a few large buffers,
it takes nothing. The numbers are of a decision, so a slow or busy machine changes them little; the ceilings leave room for that.
"""
import os
import subprocess
import sys
import time

from cluster import Cases, System, TOP, bench, seed_of

KEYS = 20000
KEPT = 512            # blocks that a node keeps: until it has so many, each decision takes memory that stays
WARM = KEPT + 200
WATCHED = ("c0-n0", "c0-n1", "s0-n0", "s0-n1")
REFRESH_S = 1.2       # both the library's file and the node's snapshot are younger
EXPLAINED = 0.9
# Of a decision, by load: what it is, what is let pass.
CEILINGS = {
    "one user": {"loop_allocs": 0.5, "maps": 0.3, "submits": 25, "commits": 2.6, "wakes": 6, "sleeps": 45, "faults": 60},
    "many users": {"loop_allocs": 0.5, "maps": 3, "submits": 60, "commits": 3, "wakes": 8, "sleeps": 70},
}
ONCE = 60  # allocations of the loop's thread in the time that it takes, however few decisions there are: checkpoints, what still grows
TELLS = {"loop_allocs": "allocations by the loop's thread", "maps": "maps and unmaps",
         "submits": "calls for the network", "commits": "commits", "wakes": "wake-ups by the storage thread", "sleeps": "sleeps of any thread",
         "faults": "page faults"}


class Sample:
    def __init__(self, system, name):
        found = {}
        for m in system.ask(name, "metrics")["metrics"]:
            found[m["name"], next(iter(m["labels"].values()), "")] = m["value"]
        self.decisions = found["heraclius_decisions_total", ""]
        with open(f"{system.dir}/{name}.allocs") as f:
            loop, _, maps = map(int, f.readline().split())
        self.counts = {"loop_allocs": loop, "maps": maps, "submits": found["heraclius_counter", "loop_submits"],
                       "commits": found["heraclius_counter", "wal_commits"], "wakes": found["heraclius_counter", "loop_wakes"],
                       "sleeps": found["heraclius_context_switches_total", "voluntary"], "faults": found["heraclius_page_faults_total", ""]}
        threads = {label: v for (metric, label), v in found.items() if metric == "heraclius_thread_cpu_seconds_total"}
        costs = {label: v for (metric, label), v in found.items() if metric == "heraclius_cost_seconds_total"}
        self.components = sum(v for label, v in costs.items() if label != "wal_apply")
        self.loop_s, self.wal_s, self.apply_s = threads["node"], threads.get("wal", 0), costs["wal_apply"]


def warm_up(system, users, seed):
    """Until each node has made so many decisions."""
    for _ in range(60):
        if all(Sample(system, n).decisions >= WARM for n in WATCHED):
            return True
        bench(system, f"{system.dir}/out", "--users", users, "--seconds", 1, "--keys", KEYS, "--seed", seed)
    return False


def load(cases, system, name, users, seconds, seed):
    out = f"{system.dir}/out"
    bench(system, out, "--users", users, "--seconds", 2, "--keys", KEYS, "--seed", seed)
    time.sleep(REFRESH_S)
    before = {n: Sample(system, n) for n in WATCHED}
    code, summary, text = bench(system, out, "--users", users, "--seconds", seconds, "--keys", KEYS, "--seed", seed)
    time.sleep(REFRESH_S)
    after = {n: Sample(system, n) for n in WATCHED}
    cases.case(f"{name}: bench ends well", code == 0 and summary and summary["verification_failures"] == 0, text)
    allocs = {}
    for node in WATCHED:
        a, b = after[node], before[node]
        decisions = a.decisions - b.decisions
        if not cases.case(f"{name}, {node}: {decisions} decisions", decisions >= 20, decisions):
            continue
        allocs.setdefault(node[:2], []).append(max(0, a.counts["loop_allocs"] - b.counts["loop_allocs"] - ONCE) / decisions)
        for what, ceiling in CEILINGS[name].items():
            if what == "loop_allocs":
                continue
            now = (a.counts[what] - b.counts[what]) / decisions
            cases.case(f"{name}, {node}: {now:.2f} {TELLS[what]} a decision, at most {ceiling}", now <= ceiling,
                       f"{a.counts[what] - b.counts[what]} in {decisions} decisions: ALLOCS_CALLERS of tests/shim/allocs.c, or perf trace, says who")
        loop, components = a.loop_s - b.loop_s, a.components - b.components
        good = EXPLAINED * loop <= components <= loop / EXPLAINED and a.apply_s - b.apply_s <= a.wal_s - b.wal_s
        cases.case(f"{name}, {node}: components explain {100 * components / loop:.1f} % of the loop's processor time", good,
                   f"loop {loop:.3f} s, components {components:.3f} s, wal {a.wal_s - b.wal_s:.3f} s, of it apply {a.apply_s - b.apply_s:.3f} s")
    # A node whose pools still grow takes something once; what every decision takes is seen at each node of its cluster.
    for cluster, found in allocs.items():
        ceiling = CEILINGS[name]["loop_allocs"]
        cases.case(f"{name}, {cluster}: {min(found):.2f} {TELLS['loop_allocs']} a decision beyond {ONCE}, at most {ceiling}", min(found) <= ceiling,
                   f"{found}: ALLOCS_CALLERS of tests/shim/allocs.c says who")


def main():
    form = sys.argv[1] if len(sys.argv) > 1 else "short"
    seed = seed_of(sys.argv)
    cases = Cases()
    subprocess.run(["tests/shim/build", f"{TOP}/build/shim"], cwd=TOP, check=True, timeout=120)
    with System(settings=("answer_blocks_kept=16", "checkpoint_blocks=64")) as system:
        for name in WATCHED:
            system.node_env[name] = {"LD_PRELOAD": os.path.join(TOP, "build/shim/allocs.so"), "ALLOCS_FILE": f"{system.dir}/{name}.allocs"}
        system.start_all()
        if not cases.case("all nodes vote", system.wait_ready()):
            return cases.end()
        code, _, text = bench(system, f"{system.dir}/out", "--users", 256, "--seconds", 1, "--keys", KEYS, "--seed", seed + 1, "--load")
        cases.case(f"{KEYS} keys are put", code == 0, text)
        time.sleep(REFRESH_S)
        cases.case(f"each node has made {WARM} decisions", warm_up(system, 4, seed + 2))
        load(cases, system, "one user", 1, 4 if form == "short" else 30, seed + 3)
        load(cases, system, "many users", 4096, 5 if form == "short" else 30, seed + 4)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
