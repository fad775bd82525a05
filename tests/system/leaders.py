#!/usr/bin/env python3
"""Leaders that harm without a lie that can be shown: one that starves a client, one that is slow on purpose. leaders.py short|long

A starved client is served within three time-outs (view_base_ms, 1 s at the default); a leader at about a fifth of its speed is replaced within 5 s
of load.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, is_long  # noqa: E402
from lying import Load, build, lies_told, lying_system, seen, touch  # noqa: E402

TIMEOUT_S = 1.0
STARVED_LIMIT_S = 3 * TIMEOUT_S
REPLACED_LIMIT_S = 5.0
USERS = 64
PERCENT = 20  # of its speed that a slow leader keeps; throughput_percent is 35
FELT = 0.3    # of the rate before, in a second of it


def client_index(system, name):
    """The number of a client in the system file, which lists them in the order that the nodes use."""
    with open(f"{system.root}/system.json") as f:
        names = [c["card"]["name"] for c in json.load(f)["clients"]]
    return names.index(name)


def starved(cases, words, rounds):
    name = f"a client whose {words[0]} the leader ignores"
    with lying_system({"c0-n0": ("censor,0", "censors")}) as system:
        system.node_env["c0-n0"]["HERACLIUS_LIE"] = f"censor,{client_index(system, 'bench-0')}"
        system.start_all()
        if not cases.case(f"{name}: ready", system.wait_ready(), system.states("c0")):
            return
        system.client("put", "k", "v", client="bench-0")
        for turn in range(rounds):
            if system.leader("c0") != "c0-n0":
                break
            touch(system, "censors")
            time.sleep(0.1)
            told, began = lies_told(system, "c0-n0"), time.monotonic()
            done = system.client(*words, "--via", "c0-n2", "--timeout", 20, client="bench-0")
            took = time.monotonic() - began
            good = done.returncode == 0 and took <= STARVED_LIMIT_S
            cases.case(f"{name} is served after {took:.2f} s, {STARVED_LIMIT_S} s allowed", good, f"{done} {system.states('c0')}")
            time.sleep(0.5)
            cases.case(f"{name}: it did ignore it", lies_told(system, "c0-n0") > told, system.log("c0-n0")[-300:])
            _, attackers, _ = seen(system, {"c0-n0"})
            cases.case(f"{name}: honest nodes name it", ("silent_leader", "c0-n0") in attackers, attackers)


def rate(times, since, until):
    return sum(since <= t < until for t in times) / max((until - since) / 1e6, 1e-9)


def slow(cases, leader, long):
    """The load runs at full speed for a while; then the leader lets a fifth of it through."""
    prefix = leader[:2]
    name = f"{leader} slow"
    with lying_system({leader: ("slow", "slow")}) as system:
        system.start_all()
        if not cases.case(f"{name}: ready", system.wait_ready(), system.states(prefix)):
            return
        load = Load(system, "load", "--seconds", 60 if long else 16, "--users", USERS, "--keys", 400, "--mix", "50:50", "--client-keys", 8,
                    "--ops-per-signature", 8)
        time.sleep(6)
        view = max(s["view"] for s in system.cluster(prefix).values())
        turned = time.monotonic()
        touch(system, "slow", str(PERCENT))
        replaced = None
        while time.monotonic() - turned < 9 and replaced is None:
            views = sorted(s["view"] for n, s in system.cluster(prefix).items() if n != leader)
            if len(views) == 3 and views[1] > view:
                replaced = time.monotonic() - turned
            time.sleep(0.02)
        load.done()
        times = load.answers()
        first = times[0]
        before = rate(times, first + 2e6, first + 5e6)
        least = min(rate(times, t, t + 1e6) for t in range(int(first + 5e6), int(times[-1] - 2e6), 100000))
        cases.case(f"{name}: {lies_told(system, leader)} proposals late; {before:.0f} operations/s before, {least:.0f} at the least",
                   least < before * FELT, "the leader was not slow here")
        cases.case(f"{name}: replaced after {replaced if replaced is None else round(replaced, 2)} s, {REPLACED_LIMIT_S} s allowed",
                   replaced is not None and replaced <= REPLACED_LIMIT_S, f"{system.states(prefix)}")
        _, attackers, _ = seen(system, {leader})
        cases.case(f"{name}: honest nodes name it", ("silent_leader", leader) in attackers, f"{attackers} {system.log(f'{prefix}-n1')[-1500:]}")
        cases.case(f"{name}: no error", load.summary and load.summary["errors"] == 0, load.text)


def main():
    cases, long = Cases(), is_long(sys.argv)
    build()
    starved(cases, ["put", "k", "w"], 5 if long else 1)
    starved(cases, ["get", "k"], 5 if long else 1)
    slow(cases, "c0-n0", long)
    slow(cases, "s0-n0", long)
    return cases.end()


sys.exit(main())
