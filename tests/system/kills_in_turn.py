#!/usr/bin/env python3
"""Kill -9 under load of one node after the other, leaders included.

Service goes on with a pause below 2 s, the history is linearizable, and at the end all nodes of a cluster have equal state roots at equal
heights. kills_in_turn.py short|long [SEED]
"""
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, equal_roots, is_long, seed_of  # noqa: E402
from lying import Load, linearizable, longest_pause_s  # noqa: E402

PAUSE_LIMIT_S = 2.0


def kill_one_by_one(cases, rng, seconds):
    with System() as system:
        system.start_all()
        if not cases.case("eight nodes answer", system.wait_ready()):
            return
        load = Load(system, "load", "--users", 64, "--seconds", seconds, "--keys", 40, "--mix", "50:50", "--client-keys", 4,
                    "--ops-per-signature", 8, limit_s=seconds + 100)
        time.sleep(2)
        kinds = []
        until = time.monotonic() + seconds - 8
        turn = 0
        while time.monotonic() < until:
            prefix = ("c0", "s0")[turn % 2]
            name = system.leader(prefix) if turn % 4 < 2 else rng.choice([n for n in system.names if n.startswith(prefix)])
            kinds.append(name)
            system.kill(name)
            time.sleep(rng.uniform(1.5, 3))
            system.start(name)
            time.sleep(rng.uniform(2, 4))
            turn += 1
        load.done()
        shown = ", ".join(kinds)
        cases.case(f"bench ends without an error while {shown} were killed", load.code == 0, f"exit {load.code} {load.summary} {load.text}")
        times = load.answers()
        pause = longest_pause_s(times)
        good = pause < PAUSE_LIMIT_S and len(times) > 100
        cases.case(f"the longest pause was {pause:.2f} s of {len(times)} answers, below {PAUSE_LIMIT_S} s", good, pause)
        good, text = linearizable(load.history)
        cases.case(f"kills one by one: linearizable: {text}", good, text)
        equal_roots(cases, "kills one by one", system)


def main():
    rng = random.Random(seed_of(sys.argv))
    cases = Cases()
    kill_one_by_one(cases, rng, 600 if is_long(sys.argv) else 30)
    return cases.end()


sys.exit(main())
