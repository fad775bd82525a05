#!/usr/bin/env python3
"""A node takes a client's signed write, keeps it, and brings it when the client has long settled it otherwise. liars_kept.py short|long

The kept bytes carry a good signature for ever; what makes them void is the number under which they were signed: the shard has its outcome, or its
floor has passed it.
"""
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, Cases, TOP, is_long  # noqa: E402
from lying import build, lies_told, lying_system, touch  # noqa: E402

LIAR, OTHER, OWNER = "c0-n0", "c0-n2", "bench-0"


def cut_off(system):
    """A system file beside addresses by which the liar alone is reached."""
    folder = f"{system.dir}/cut-off"
    os.makedirs(folder, exist_ok=True)
    shutil.copy(f"{system.root}/system.json", folder)
    with open(f"{system.root}/addresses.json") as f:
        text = f.read()
    addresses, end = json.loads(text), text[len(text.rstrip()):]
    for name, node in addresses["nodes"].items():
        if name != LIAR:
            node["link"] = "127.0.0.1:1"
    with open(f"{folder}/addresses.json", "w") as f:
        f.write(json.dumps(addresses, indent=2, sort_keys=True) + end)
    return f"{folder}/system.json"


def by_liar(system, *words):
    """The owner's client, which reaches the liar alone."""
    return subprocess.run([CLIENT, "-s", cut_off(system), "--client", f"{system.root}/{OWNER}.key"] + [str(w) for w in words], cwd=TOP,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def value(system, key):
    done = system.client("get", key, "--via", OTHER, "--timeout", 20)
    return done.stdout.strip() if done.returncode == 0 else "0"


def decided(system):
    return {n: s["decisions"] for n, s in system.cluster("c0").items()}


def kept_and_brought(cases, system, key, how, effect):
    """`how`: what the client does meanwhile, by way of an honest node; `effect`: how often the write has then happened, and ever after."""
    name = f"kept back, then {how}, then brought"
    touch(system, "keeps")
    time.sleep(0.2)
    done = by_liar(system, "add", key, 7, "--timeout", 2)
    unsettled = done.returncode == 3 and "unsettled" in done.stderr
    if not cases.case(f"{name}: the client gives up, exit 3, and says that it is unsettled", unsettled, f"{done}"):
        return
    settle = system.client("settle", how, "--via", OTHER, "--timeout", 20, client=OWNER)
    word = "CANCELLED" if how == "--cancel" else "OK"
    cases.case(f"{name}: settled through another node as {word}", settle.returncode == 0 and f": {word}" in settle.stdout, f"{settle}")
    cases.case(f"{name}: the number is {7 * effect} before the liar brings it", value(system, key) == str(7 * effect), value(system, key))
    before, told = decided(system), lies_told(system, LIAR)
    os.remove(f"{system.dir}/keeps")
    until = time.monotonic() + 10
    while lies_told(system, LIAR) == told and time.monotonic() < until:
        time.sleep(0.1)
    cases.case(f"{name}: the liar brought what it kept", lies_told(system, LIAR) > told, system.log(LIAR)[-300:])
    time.sleep(1.5)
    after = decided(system)
    cases.case(f"{name}: blocks were decided since", all(after[n] > before[n] for n in after if n in before), f"{before} {after}")
    cases.case(f"{name}: it had no effect", value(system, key) == str(7 * effect), value(system, key))
    done = system.client("add", key, 1, "--via", OTHER, "--timeout", 20, client=OWNER)
    cases.case(f"{name}: the client's next write counts on from there", done.stdout == f"{7 * effect + 1}\n", f"{done}")
    shown = system.client("settle", client=OWNER)
    cases.case(f"{name}: nothing is left to settle", "every write of this client is settled" in shown.stdout, f"{shown}")


def main():
    cases, long = Cases(), is_long(sys.argv)
    build()
    with lying_system({LIAR: ("keep", "keeps")}) as system:
        system.start_all()
        if cases.case("kept back: ready", system.wait_ready(), system.states("c0")):
            for turn in range(10 if long else 2):
                kept_and_brought(cases, system, f"cancelled-{turn}", "--cancel", 0)
                kept_and_brought(cases, system, f"again-{turn}", "--retry", 1)
    return cases.end()


sys.exit(main())
