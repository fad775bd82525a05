"""Rows of faults: one dead, one lying node in each cluster, beside the same system without a fault, all of them in turn."""
import os
import statistics
import sys
import time

from figures.harness import Result, TOP, Wrong, fill, started
from figures.peers import ratio

sys.path.insert(0, os.path.join(TOP, "tests/system"))
from lying import LIAR, build, lies_told  # noqa: E402

FAULTY = ("c0-n3", "s0-n3")
# One a round; tests/liar/liar.h says what each does. Who signed two things for one place comes last: started again, its key retires, and rightly.
LIES = ("slices,wrong", "withhold,votes", "flood", "replay", "equivocate")
USERS = 65536
WARM_UP_MS = 2000
VOTES_WITHIN_S = 60


def restart(system, lie=None):
    """The faulty ones begin anew, as liars or as honest nodes, and vote."""
    for name in FAULTY:
        system.kill(name)
        system.programs.pop(name, None)
        system.node_env.pop(name, None)
        if lie:
            system.programs[name] = LIAR
            system.node_env[name] = {"HERACLIUS_LIE": lie}
        system.start(name)
    until = time.monotonic() + VOTES_WITHIN_S
    while (phases := [(system.ask(n) or {}).get("phase") for n in FAULTY]) != ["voting"] * len(FAULTY):
        if time.monotonic() > until or "retired" in phases:
            raise Wrong(f"{' and '.join(FAULTY)} do not vote after a restart: {phases}")
        time.sleep(0.2)


def lies_of(runs):
    again = LIES[:-1]
    return [again[i % len(again)] for i in range(runs - 1)] + [LIES[-1] if runs >= len(LIES) else again[(runs - 1) % len(again)]]


def rounds(bench, system):
    """({kind of system: runs}, [(lie, its run)])."""
    found, lied = {"free": [], "dead": [], "lying": []}, []
    seconds = bench.less

    def run(kind, **options):
        bench.tell(f"    {kind}:")
        found[kind.split()[0]].append(bench.run("--users", USERS, system=system, seconds=seconds, warm_up_ms=WARM_UP_MS, **options))

    for i, lie in enumerate(lies_of(bench.runs)):
        if i:
            restart(system)
        run("free")
        for name in FAULTY:
            system.kill(name)
        run("dead")
        restart(system, lie)
        told = {n: lies_told(system, n) for n in FAULTY}
        run(f"lying ({lie})", refused=True)
        if not any(lies_told(system, n) > told[n] for n in FAULTY):
            raise Wrong(f"nobody lied ({lie}): {told}")
        lied.append((lie, found["lying"][-1]))
    return found, lied


def faults(bench):
    bench.system_close()
    build()
    with started() as system:
        fill(system, bench.seed, bench.keys)
        found, lied = rounds(bench, system)
    free = [r.rate for r in found["free"]]
    dead, note = ratio([r.rate for r in found["dead"]], free, "fault-free")
    results = [Result("faults.dead", dead, f"{note}; GET, {USERS:,} users", found["dead"])]
    middle = statistics.median(free)
    told = ", ".join(f"{lie} {run.rate / middle:.2f}" for lie, run in lied)
    lying, note = ratio([r.rate for r in found["lying"]], free, "fault-free")
    return results + [Result("faults.lying", lying, f"{note}; {told}", found["lying"])]
