#!/usr/bin/env python3
"""Nodes and heraclius-admin under the filters of system calls that the appliance puts on them (init/seccomp.h): everything that they do still works.

A cluster whose nodes all run confined takes load, loses a node and gets it back, makes checkpoints; no node was refused a single call, as far as the
kernel's log can be read, and each ends in order. confined.py short|long
"""
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import admin  # noqa: E402
from cluster import TOP, Cases, System, is_long  # noqa: E402

CLONE3 = "syscall=435 "  # glibc asks once and goes on with clone
CONFINED = f"{TOP}/build/gcc/tests/init/confined"


INTRUDER = "build/gcc/tests/intruder.so"


def wrapped(folder, name, program, intruder=None):
    """A program under its filter; `intruder`: with somebody in it from the beginning (intruder/intruder.c), and where he writes what he got."""
    path = os.path.join(folder, f"confined-{name}{'-intruder' if intruder else ''}")
    with open(path, "w") as f:
        also = f'LD_PRELOAD="{TOP}/{INTRUDER}" INTRUDER="{intruder}" ' if intruder else ""
        f.write(f'#!/bin/sh\n{also}exec "{CONFINED}" {name} "{program}" "$@"\n')
    os.chmod(path, 0o755)
    return path


def filters_of(pid):
    """Of each thread of the process: how many filters there are; 0 is none."""
    counts = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            said = f.read()
        is_filter = re.search(r"^Seccomp:\s+(\d)", said, re.M).group(1) == "2"
        counts.add(int(re.search(r"^Seccomp_filters:\s+(\d+)", said, re.M).group(1)) if is_filter else 0)
    return counts


def written(path, seconds=20):
    """What the intruder wrote; None if he does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.path.exists(path) and os.path.getsize(path) > 0:
            with open(path) as f:
                return f.read().strip()
        time.sleep(0.05)
    return None


def intruded(cases, system, name, path):
    """He could make a ring before the node had its own, and cannot any more: the node dies of it."""
    cases.case("somebody in a node's process could make a ring before the node began", written(f"{path}.before") == "a ring", path)
    with open(f"{path}.go", "w"):
        pass
    try:
        ended = system.live[name].wait(timeout=30)
    except subprocess.TimeoutExpired:
        ended = None
    cases.case("once the node has its own he dies of it, in a thread that was there before", ended == -signal.SIGSYS and
               not os.path.exists(f"{path}.after"), (ended, written(f"{path}.after", 0.1)))


def kernel_log():
    """Its lines; None where they cannot be read."""
    done = subprocess.run(["dmesg"], capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else None


def refusals(before, pids):
    """What the kernel says that it refused these processes; None where its log cannot be read.

    `before`: the log when none of them was there yet. The machine's log is older than this test, and a pid comes again."""
    now = kernel_log()
    if now is None or before is None:
        return None
    old = set(before)
    new = [line for line in now if line not in old]
    return [line for line in new if "type=1326" in line and CLONE3 not in line and any(f" pid={p} " in line for p in pids)]


def asked(path, question):
    """One line of a control socket; the path may be too long for an address."""
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        os.chdir(os.path.dirname(path))
        s.connect(os.path.basename(path))
        os.chdir(here)
        s.sendall(question)
        return s.makefile("rb").readline()


def main():
    cases = Cases()
    built = subprocess.run(["make", "build/gcc/tests/init/confined", INTRUDER], cwd=TOP, capture_output=True, text=True)
    if not cases.case("the wrapper is built", built.returncode == 0, built.stderr):
        return cases.end()
    before = kernel_log()
    with System(coordinators=1, shards=1, nodes=4) as system:
        node = wrapped(system.dir, "node", f"{TOP}/build/gcc/heracliusd")
        system.programs = {name: node for name in system.names}
        intruder = os.path.join(system.dir, "intruder")
        system.programs["s0-n3"] = wrapped(system.dir, "node", f"{TOP}/build/gcc/heracliusd", intruder)
        system.start_all()
        if not cases.case("a confined cluster answers", system.wait_ready(), system.states("c0")):
            print(system.log(system.names[0])[-2000:])
            return cases.end()
        pids = {name: process.pid for name, process in system.live.items()}
        counts = {name: filters_of(pid) for name, pid in pids.items()}
        good = all(count == {2} for count in counts.values())
        cases.case("each thread of each node runs under a filter, and under one of the node's own that no ring is made behind", good, counts)
        admin.ADMIN = os.path.relpath(wrapped(system.dir, "admin", f"{TOP}/build/gcc/heraclius-admin"), TOP)
        watcher = admin.Admin(system)
        pids["admin"] = watcher.process.pid
        cases.case("heraclius-admin runs under one, too", filters_of(pids["admin"]) == {1}, pids)
        load = system.client("bench", "--seconds", "20" if is_long(sys.argv) else "4", "--mix", "50:50", "--out", f"{system.dir}/bench", timeout=120)
        cases.case("it takes load", load.returncode == 0, load.stdout + load.stderr)
        page = watcher.get("/metrics")
        cases.case("and heraclius-admin shows it", page[0] == 200 and "heraclius" in page[2] and watcher.get("/readyz")[0] == 200, page[2][:300])
        os.makedirs(f"{system.root}/s0-n0/data/evidence", exist_ok=True)
        with open(f"{system.root}/s0-n0/data/evidence/kept", "w") as f:
            f.write("abc")
        page = watcher.get("/api/v1/evidence")
        piece = asked(f"{system.root}/s0-n0/control.sock", b'{"ask":"evidence","file":"kept","from":1}\n')
        good = page[0] == 200 and '"kept"' in page[2] and b'"hex":"6263"' in piece
        cases.case("a file of evidence is listed and handed out", good, (page, piece))
        intruded(cases, system, "s0-n3", intruder)
        del pids["s0-n3"]  # he was refused something
        system.programs["s0-n3"] = node
        cases.case("it goes on with one node less", system.client("put", "k", "v", "--timeout", 20).returncode == 0, system.states("s0"))
        system.start("s0-n3")
        pids["s0-n3 again"] = system.live["s0-n3"].pid
        cases.case("the node comes back", system.wait_equal("s0", 30) is not None, system.states("s0"))
        cases.case("and what was put is there", system.client("get", "k", "--timeout", 20).stdout == "v\n", system.states("s0"))
        admin_ended = watcher.stop()
        cases.case("heraclius-admin ends in order", admin_ended == 0, admin_ended)
        ended = {name: system.kill(name, signal.SIGTERM) for name in system.names}
        cases.case("each ends in order", set(ended.values()) == {0}, ended)
        said = refusals(before, pids.values())
        if said is None:
            print("the kernel's log cannot be read here: refused calls were not looked for")
        else:
            cases.case("no call was refused", not said, "\n".join(said[:10]))
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
