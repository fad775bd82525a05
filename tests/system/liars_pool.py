#!/usr/bin/env python3
"""Lies that aim at the pool of inputs: references that a leader made up, and a flood of tiny batches. liars_pool.py short|long

As liars_votes.py. In the flood each honest node gets other batches, so that each lacks what the leader's blocks name. What the flood costs is over
when its sender is.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, is_long  # noqa: E402
from lying import PAUSE_LIMIT_S, Load, build, lies_told, linearizable, longest_pause_s, lying_system, scene, seen, touch  # noqa: E402

RELAY = "c0-n3"


def operations_in(system, name, seconds):
    load = Load(system, name, "--users", 24, "--seconds", seconds, "--keys", 40, "--mix", "50:50", "--client-keys", 3,
                "--ops-per-signature", 4).done()
    summary = load.summary or {}
    return load, summary.get("reads", 0) + summary.get("writes", 0)


def load_case(cases, system, name, phase, seconds):
    load, operations = operations_in(system, phase, seconds)
    summary = load.summary or {}
    cases.case(f"{name}, {phase}: no error in {operations} operations", summary.get("errors") == 0 and load.code == 0,
               f"exit {load.code} {summary} {load.text}")
    good, text = linearizable(load.history)
    cases.case(f"{name}, {phase}: {text}", good, text)
    times = load.answers()
    pause = longest_pause_s(times)
    cases.case(f"{name}, {phase}: service stayed up, longest pause {pause:.2f} s", len(times) > 50 and pause < PAUSE_LIMIT_S, len(times))
    return operations


def tiny_flood(cases, long):
    name, seconds = "a flood of tiny batches", 20 if long else 6
    with lying_system({RELAY: ("tiny", "floods")}) as system:
        system.start_all()
        if not cases.case(f"{name}: ready", system.wait_ready(), system.states("c0")):
            return
        before = load_case(cases, system, name, "before", seconds)
        touch(system, "floods")
        load_case(cases, system, name, "meanwhile", 2 * seconds)
        told = lies_told(system, RELAY)
        cases.case(f"{name}: the attack happened: {told} batches", told > 10000, told)
        attacks, attackers, dropped = seen(system, {RELAY})
        cases.case(f"{name}: honest nodes name {RELAY}", ("flood", RELAY) in attackers, f"{attackers} {dropped}")
        wrongly = {a: n for a, n in attackers.items() if a[1] != RELAY}
        cases.case(f"{name}: no honest node is accused of anything", not wrongly, wrongly)
        system.kill(RELAY)
        time.sleep(3)  # what it left in the pool is decided first
        after = load_case(cases, system, name, "after the liar's end", seconds)
        cases.case(f"{name}: throughput is back: {before} operations before, {after} after", after * 2 > before, f"{before} {after}")


def main():
    cases, long = Cases(), is_long(sys.argv)
    build()
    scene(cases, {"c0-n0": "references", "s0-n0": "references"}, {"c0-n0": ["wrong_result"], "s0-n0": ["wrong_result"]}, long)
    tiny_flood(cases, long)
    return cases.end()


sys.exit(main())
