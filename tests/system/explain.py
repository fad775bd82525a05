#!/usr/bin/env python3
"""heracliusd --explain: what it prints is what a node then does, on this machine and on fewer CPUs; it touches nothing, also beside one that runs.
explain.py short|long"""
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import NODE, TOP, Cases, System  # noqa: E402

SPLIT_CPUS, TAKEN, VERIFIERS_MAX = 8, 6, 6  # appliance/config/thread_plan.h


def explain(*words, cpus=None):
    done = subprocess.run([NODE, "--explain", *words], cwd=TOP, capture_output=True, text=True, timeout=60,
                          preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None)
    return done.returncode, parts_of(done.stdout), done.stderr


def parts_of(text):
    """Heading -> {first word: rest}."""
    parts, at = {}, {}
    for line in text.splitlines():
        if line.startswith("  "):
            name, _, rest = line.strip().partition(" ")
            at[name] = rest
        else:
            at = parts.setdefault(line.strip(), {})
    return parts


def print_of(folder):
    """Of all files in it: name, size, bytes."""
    digest = hashlib.sha256()
    for here, _, files in sorted(os.walk(folder)):
        for name in sorted(files):
            path = os.path.join(here, name)
            digest.update(path.encode() + b"\0")
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    digest.update(file.read())
    return digest.hexdigest()


def machine(cases):
    usable = sorted(os.sched_getaffinity(0))
    for cpus in ({usable[0]}, set(usable)):
        code, parts, text = explain(cpus=cpus)
        if not cases.case(f"without a configuration it explains {len(cpus)} CPUs", code == 0, text):
            continue
        count = len(cpus)
        cases.case("it counts the CPUs that it may use", parts["machine"]["cpus"].startswith(f"{count} ("), parts["machine"])
        expected = "split" if int(parts["machine"]["usable_cpus"]) >= SPLIT_CPUS else "fused"
        cases.case(f"and chooses {expected} by the thresholds that it prints", parts["map"]["threads"] == expected
                   and int(parts["thresholds"]["split_cpus"]) == SPLIT_CPUS and "split_cpus" in parts["map"]["because"], parts)


def as_it_runs(cases, system, name):
    """The explanation and the node's own status."""
    code, parts, text = explain("--config", f"{system.root}/{name}/node.conf")
    status = system.ask(name)
    if not cases.case(f"{name}: it explains beside a node that runs", code == 0 and status, text):
        return
    pinned = {t["name"]: f"cpu {t['pinned_cpu']}" if t["pinned_cpu"] >= 0 else "any cpu" for t in status["threads"]}
    cases.case(f"{name}: map and threads are as the node says", parts["map"]["threads"] == status["thread_map"] and parts["threads"] == pinned,
               (parts["threads"], pinned))
    budget = {k: int(v) for k, v in parts["memory_budget"].items()}
    cases.case(f"{name}: its memory budget has a sum", budget.pop("all") == sum(budget.values()), budget)
    own = status["memory_budget_bytes"]
    differ = {k for k in own if not k.startswith("net_") and own[k] != budget.get(k)}  # the network's fits itself to the limits of its process
    cases.case(f"{name}: and is the node's own, part by part", set(own) == set(budget) and not differ, (own, budget))


def zero_copy(cases, system):
    name = system.names[1]
    for conf, expected in (({"send_zc_bytes": 65536}, ("65536", "yes")), ({"send_zc_bytes": 0}, ("never", "no"))):
        system.change_conf(name, conf)
        thresholds = explain("--config", f"{system.root}/{name}/node.conf")[1]["thresholds"]
        shown = (thresholds["send_zc_bytes"], thresholds["registered_send_buffers"].split(",")[0])
        cases.case(f"SEND_ZC from {expected[0]} on is shown, and whether its buffers are registered", shown == expected, thresholds)


def refused(cases, system):
    name = system.names[0]
    for words, why in ((("--config", "/nowhere/node.conf"), "No such file"), (("--init",), "usage")):
        code, _, text = explain(*words)
        cases.case(f"{' '.join(words)}: exit 2, and why", code == 2 and why in text, (code, text))
    system.change_conf(name, {"threads": "many"})
    code, _, text = explain("--config", f"{system.root}/{name}/node.conf")
    cases.case("a configuration that a node refuses it refuses too", code == 2 and "threads" in text, (code, text))
    system.change_conf(name, {"threads": "fused"})


def main():
    cases = Cases()
    machine(cases)
    with System() as system:
        maps = {"c0-n1": {"threads": "split", "verifiers": 2, "cpus": {"consensus": 0}}, "s0-n2": {"threads": "split"}, "s0-n3": {"threads": "auto"}}
        for name, conf in maps.items():
            system.change_conf(name, conf)
        before = {n: print_of(f"{system.root}/{n}") for n in system.names}
        codes = [explain("--config", f"{system.root}/{n}/node.conf")[0] for n in system.names]
        cases.case("it explains nodes that do not run", codes == [0] * len(codes), codes)
        cases.case("and leaves their folders as they were", before == {n: print_of(f"{system.root}/{n}") for n in system.names})
        system.start_all()
        if cases.case("a system of these maps answers", system.wait_ready()):
            for name in ("c0-n0", *maps):
                as_it_runs(cases, system, name)
            cases.case("and answers still", system.wait_ready(20))
        zero_copy(cases, system)
        refused(cases, system)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
