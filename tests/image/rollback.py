#!/usr/bin/env python3
"""A machine whose data disk was put back to an older copy does not vote, and its console says so; its cluster goes on without it.

The machine is the fourth member of a shard, as in vote.py. It votes and is halted; its disk is copied; it is started, votes on and is halted again;
the copy takes the place of the disk. Nothing of that disk tells that it is old: what tells is what the other members hold of the machine's own votes
(LAST-SIGNED). rollback.py short|long
"""
import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vote  # noqa: E402
from vote import operator, vm  # noqa: E402

PUTS, SAYS_S = 6, 120


def ready(console):
    """At its prompt, and init has said its last word of a start, which else comes between the letters that are typed."""
    console.ready(vote.BOOT_S)
    console.machine.expect("heraclius: network: static", vote.BOOT_S)


def voted_and_halted(cases, system, when, config=None):
    """One life of the machine, in which it votes for blocks of some puts."""
    with system.machine(*([vm.configuration(config)] if config else [])) as machine:
        console = operator.Console(machine)
        ready(console)
        voting = vote.until_it_votes(console, vote.BOOT_S)
        system.kill("s0-n2")  # of the three that are left each must vote
        good = [vote.answered(system, f"{when}{i}", str(i)) for i in range(PUTS)] if voting else []
        system.start("s0-n2")
        cases.case(f"{when}: it votes, in blocks that need its vote", good and all(ok for ok, _ in good), good or console.do("logs node 20"))
        console.confirmed("halt")
        return cases.case(f"{when}: it is halted", machine.ended(60), machine.last(600)) and voting


def old_disk(cases, system):
    """The machine on the copy: what its console says in the end, having never said that it votes."""
    with system.machine() as machine:
        console = operator.Console(machine)
        ready(console)
        seen, end = {}, time.monotonic() + SAYS_S
        phases = set()
        while time.monotonic() < end and "retired" not in seen.get("phase", ""):
            seen = console.view("status all")
            phases.add(seen.get("phase", ""))
        cases.case("on the old disk it never votes", not any(phase.startswith("voting") for phase in phases), phases)
        cases.case("its console says that it is not well, and why", "never votes again" in seen.get("why not", ""), seen)
        logs = console.do("logs node 40")
        cases.case("and its log that the disk was rolled back", "rolled back" in logs.replace("\n", ""), logs)
        good, text = vote.answered(system, "onwards", "yes")
        cases.case("its cluster goes on", good, text)
        console.confirmed("halt")
        cases.case("it goes down in order", machine.ended(60), machine.last(600))
    return seen


def run(cases, system):
    operator.image(system.out, system.owner.public)
    config, _ = vote.first_boot(cases, system)
    system.start_all()
    if not cases.case("the other seven answer without it", system.wait_ready(60), system.states("s0")):
        return
    copy = f"{system.dir}/old.disk"
    if not voted_and_halted(cases, system, "before", config):
        return
    subprocess.run(["cp", "--sparse=always", system.disk, copy], check=True)
    if not voted_and_halted(cases, system, "after"):
        return
    shutil.move(copy, system.disk)
    seen = old_disk(cases, system)
    print(f"rollback: a machine on an older copy of its disk: {seen.get('phase', '?')}; its cluster of four decides without it")


if __name__ == "__main__":
    sys.exit(vote.with_system(run, vote.Beside))
