#!/usr/bin/env python3
"""Threads of a node in the split map, verifiers and hashers among them, under the race detector: a node in each cluster does its part beside others,
under load of many small signatures and of large blocks, over checkpoints, is killed and started again, and ends; nothing is found.
races.py short|long
"""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, TOP, bench, is_long, wait  # noqa: E402

PROGRAM = "build/tsan/heracliusd"
WATCHED = ("c0-n1", "s0-n1")
FOUND = "WARNING: ThreadSanitizer"
SPLIT = {"threads": "split", "verifiers": 2, "hashers": 1}
SECONDS_SHORT, SECONDS_LONG = 5, 40
LOADS = {"a signature an operation": ("--users", 200, "--mix", "put", "--client-keys", 16, "--ops-per-signature", 1),
         "large blocks": ("--users", 2048, "--mix", "put", "--client-keys", 16, "--ops-per-signature", 256)}


def built():
    return subprocess.run(["make", "--no-print-directory", "-j2", PROGRAM], cwd=TOP, capture_output=True, text=True, timeout=900,
                          env={k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"})


def counter(system, name, wanted):
    answer = system.ask(name, "metrics")
    found = [m["value"] for m in answer["metrics"] if m["labels"].get("counter") == wanted] if answer else []
    return found[0] if found else 0


def at_work(system, name):
    """Verdicts that were found before anybody asked; at a shard, blocks that were hashed with help."""
    return counter(system, name, "verifications_ahead") > 0 and (name[0] == "c" or counter(system, name, "hash_shared") > 0)


def voting(system, name):
    answer = system.ask(name)
    return bool(answer) and answer["phase"] == "voting"


def loaded(cases, system, seconds, when):
    for load, words in LOADS.items():
        _, summary, said = bench(system, f"{system.dir}/out", *words, "--seconds", seconds, "--keys", 5000)
        good = summary and summary["ops_per_second"] > 0 and summary["verification_failures"] == 0
        cases.case(f"{when}: {load}: answered, and every answer verifies", good, f"{summary} {said}")


def ended(system, name):
    """Its exit code, when it is told to end."""
    system.live[name].send_signal(signal.SIGTERM)
    try:
        return system.live[name].wait(60)
    except subprocess.TimeoutExpired:
        return None


def main(argv):
    cases, seconds = Cases(), SECONDS_LONG if is_long(argv) else SECONDS_SHORT
    made = built()
    if not cases.case("the node is built with the race detector", made.returncode == 0, made.stdout + made.stderr):
        return cases.end()
    with System(programs={name: PROGRAM for name in WATCHED}, settings=("checkpoint_blocks=16",)) as system:
        for name in WATCHED:
            system.change_conf(name, SPLIT)
            system.node_env[name] = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}
        system.start_all()
        if not cases.case("ready", system.wait_ready(120), system.states("c0")):
            return cases.end()
        loaded(cases, system, seconds, "from the start")
        for name in WATCHED:
            cases.case(f"{name}: its verifiers and hashers are at work", wait(lambda: at_work(system, name), 30), system.log(name)[-1500:])
            system.kill(name)
            system.start(name)
        for name in WATCHED:
            cases.case(f"{name} votes again", wait(lambda: voting(system, name)), system.log(name)[-1500:])
        loaded(cases, system, seconds, "after a kill")
        for name in WATCHED:
            code = ended(system, name)
            log = system.log(name)
            at = log.find(FOUND)
            said = log[at:at + 4000] if at >= 0 else log[-1500:]
            cases.case(f"{name} ends well, and no race was found", code == 0 and at < 0, f"exit {code}: {said}")
    return cases.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
