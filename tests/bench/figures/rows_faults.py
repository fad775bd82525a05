"""Rows of faults: one dead, one lying node in each cluster, beside the same system without a fault, all of them in turn; each lie at least once,
however few runs are asked for."""
import os
import statistics
import sys
import time

from figures.harness import Result, TOP, Wrong, fill, started
from figures.peers import ratio

sys.path.insert(0, os.path.join(TOP, "tests/system"))
from lying import LIAR, build, lies_told  # noqa: E402

FAULTY = ("c0-n3", "s0-n3")
# One a round, each in turn; tests/liar/liar.h says what each does. Who signed two things for one place comes last: started again, its key retires,
# and rightly.
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
    return [again[i % len(again)] for i in range(max(runs, len(LIES)) - 1)] + [LIES[-1]]


def rounds(bench, system):
    """(runs of the system without a fault, with a dead node, {lie: its runs}). A round: without a fault, dead, one lie; so that all see the machine
    alike. Rounds beyond those asked for are there for their lie alone."""
    free, dead, lying = [], [], {}

    def run(what, **options):
        bench.tell(f"    {what}:")
        return bench.run("--users", USERS, system=system, seconds=bench.less, warm_up_ms=WARM_UP_MS, **options)

    for i, lie in enumerate(lies_of(bench.runs)):
        if i < bench.runs:
            if i:
                restart(system)
            free.append(run("free"))
            for name in FAULTY:
                system.kill(name)
            dead.append(run("dead"))
        restart(system, lie)
        told = {n: lies_told(system, n) for n in FAULTY}
        lying.setdefault(lie, []).append(run(f"lying ({lie})", refused=True))
        if not any(lies_told(system, n) > told[n] for n in FAULTY):
            raise Wrong(f"nobody lied ({lie}): {told}")
    return free, dead, lying


def results(free, dead, lying):
    """Both lines, each beside the median of the runs without a fault. Of the lies each value is the median of one lie's runs."""
    rates = [r.rate for r in free]
    values, note = ratio([r.rate for r in dead], rates, "fault-free")
    lines = [Result("faults.dead", values, f"{note}; GET, {USERS:,} users", dead)]
    values, note = ratio([statistics.median(r.rate for r in runs) for runs in lying.values()], rates, "fault-free")
    told = ", ".join(f"{lie} {value:.2f}" for lie, value in zip(lying, values))
    return lines + [Result("faults.lying", values, f"{note}; each value is a lie's: {told}", [r for runs in lying.values() for r in runs])]


def faults(bench):
    bench.system_close()
    build()
    with started() as system:
        fill(system, bench.seed, bench.keys)
        return results(*rounds(bench, system))
