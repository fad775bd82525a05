#!/usr/bin/env python3
"""A disk that stalls under load: nothing is synced for 25 s (long: 60 s) on one node of each cluster. slow_disk.py short|long

The others go on; the node neither stops nor grows without bound, says that its disk is behind, and is level again when the disk answers.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, TOP, is_long  # noqa: E402

STALLED = ("c0-n3", "s0-n2")
GROWTH_KB_MAX = 1 << 20  # the named limits, a quarter GiB of batches first among them, and what the load itself takes


def resident_kb(system, name):
    with open(f"/proc/{system.live[name].pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def run(cases, stall_s):
    shim = f"{TOP}/build/shim"
    subprocess.run(["tests/shim/build", shim], cwd=TOP, check=True, timeout=120)
    with System() as system:
        for name in STALLED:
            system.node_env[name] = {"LD_PRELOAD": f"{shim}/stall.so", "STALL_FILE": f"{system.root}/{name}/stall"}
        system.start_all()
        if not cases.case("ready", system.wait_ready(), system.states("c0")):
            return
        load = system.client_background("bench", "--seconds", str(stall_s + 8), "--users", "64", "--keys", "400", "--mix", "50:50",
                                        "--client-keys", "8", "--out", f"{system.dir}/bench")
        time.sleep(2)
        before = {name: resident_kb(system, name) for name in STALLED}
        for name in STALLED:
            open(f"{system.root}/{name}/stall", "w").close()
        time.sleep(stall_s)
        for name in STALLED:
            alive = cases.case(f"{name} is alive after {stall_s} s without a sync", system.running(name), system.log(name)[-800:])
            if not alive:
                continue
            grown = resident_kb(system, name) - before[name]
            cases.case(f"{name} has grown by {grown >> 10} MiB, {GROWTH_KB_MAX >> 10} MiB allowed", grown <= GROWTH_KB_MAX, grown)
            mine, others = system.ask(name), system.ask(name[:-1] + "0")
            cases.case(f"{name} is behind ({mine['height']}), the others went on ({others['height']})", mine["height"] + 100 < others["height"])
            cases.case(f"{name} answers nobody with what is not durable, and says why", "disk_behind" in system.log(name), system.log(name)[-800:])
            os.unlink(f"{system.root}/{name}/stall")
        out, err = load.communicate(timeout=120)
        cases.case("the load saw no wrong answer", load.returncode == 0, (out + err)[-600:])
        for name in STALLED:
            cases.case(f"{name} blames nobody for its own disk", "attack_seen" not in system.log(name), system.log(name)[-800:])
        for prefix in ("c0", "s0"):
            cases.case(f"{prefix}: all four are level again", system.wait_equal(prefix, 40), system.states(prefix))
        cases.case("a put and a get are answered with proof", system.wait_ready())


def main(argv):
    cases = Cases()
    run(cases, 60 if is_long(argv) else 25)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
