#!/usr/bin/env python3
"""How long an emulated machine takes from power-on to a vote, and where that goes: the figures of image/README.md. start_time.py [--starts N]

The machine of vote.py, configured, is started again and again beside its seven processes, and nobody types until it votes. What its programs said is
asked for afterwards, with the machine's own time of each line; a sample each 10 ms of what QEMU used of the processor turns that into three figures:

  wall     since power-on, as the operator sees it
  alone    the same without the time in which the machine's processor wanted to run and another program of this host did
  cpu      QEMU's processor time, all threads: what counts where several machines share a host

--cpu and --words give QEMU another processor and the kernel more words, --out IMAGE has another build's kernel and initrd: to try something.
"""
import argparse
import bisect
import glob
import re
import statistics
import sys
import threading
import time

import vote
from vote import MACHINE, Cases, operator, vm

PERIOD_S = 0.01
STAMP = r"\[ *(\d+\.\d+)\] (?:[^\n]*?)"
# What ends a stage: the log that says it, and how. The first is the one by which the two clocks are compared.
STAGES = (("init's first line", "init", r"Heraclius appliance"), ("drivers", "init", r"modules: \d+ loaded"), ("data disk", "init", r"disk: "),
          ("configuration judged", "init", r"config: number"), ("address in use", "net", r"good "), ("node started", "node", r" started "),
          ("node votes", "node", r" voting "), ("admin console", "admin", r"certificate SHA"))


class Meter(threading.Thread):
    """Samples of (wall, wall that counts, processor time) of a machine."""

    def __init__(self, machine):
        super().__init__(daemon=True)
        self.machine, self.samples, self.over = machine, [], threading.Event()
        self.processor = machine.ask("query-cpus-fast")[0]["thread-id"]

    def run(self):
        base = None
        while not self.over.wait(PERIOD_S):
            try:
                wall, cpu, waited = self.machine.seconds(), 0, 0
                for path in glob.glob(f"/proc/{self.machine.pid()}/task/*/schedstat"):
                    with open(path) as file:
                        ran, wanted, _ = map(int, file.read().split())
                    cpu += ran
                    waited += wanted if f"/{self.processor}/" in path else 0
            except (OSError, ValueError):
                continue
            base = base or (cpu, waited)
            self.samples.append((wall, wall - (waited - base[1]) / 1e9, (cpu - base[0]) / 1e9))

    def at(self, wall):
        return self.samples[min(bisect.bisect(self.samples, (wall,)), len(self.samples) - 1)]


def said(console, log):
    """{what of STAGES is in this log: the machine's time}"""
    text = console.do(f"logs {log} 60")
    return {name: float(found.group(1)) for name, of, pattern in STAGES if of == log and (found := re.search(STAMP + pattern, text))}


def member_up(system):
    there = system.ask("s0-n0")
    return there and any(m["member"] == 3 and m["up"] for m in there["members_seen"])


def one_start(system, config, args):
    """{stage: (wall, alone, cpu)}"""
    machine = system.machine(vm.configuration(config), ["-cpu", args.cpu] if args.cpu else [])
    if args.words:
        machine.words[machine.words.index("-append") + 1] += f" {args.words}"
    with machine:
        meter = Meter(machine)
        meter.start()
        console, arrived = operator.Console(machine), {}
        for name, of, pattern in STAGES:
            if of == "init":
                machine.expect(f"heraclius: {pattern}", vote.BOOT_S)
                arrived[name] = machine.seconds()
        console.ready(vote.BOOT_S)
        prompt = machine.seconds()
        end = time.monotonic() + vote.BOOT_S
        while not member_up(system) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(1)
        stamps = {}
        while "node votes" not in stamps or "admin console" not in stamps:
            if time.monotonic() > end:
                raise vm.Failed(f"it does not vote: {console.do('logs node 20')}")
            for log in ("init", "net", "node", "admin"):
                stamps.update(said(console, log))
        meter.over.set()
        meter.join()
        ahead = min(arrived[name] - stamps[name] for name in arrived if name in stamps)
        found = {name: meter.at(stamps[name] + ahead) for name, _, _ in STAGES if name in stamps}
        found["console's prompt"] = meter.at(prompt)
        console.confirmed("halt")
        machine.ended(30)
    return found


def show(starts):
    print(f"{'until':24}{'wall':>8}{'alone':>8}{'cpu':>8}   seconds, medians of {len(starts)} (cpu: least to most)")
    median = {name: [statistics.median(s[name][i] for s in starts if name in s) for i in range(3)] for name in starts[0]}
    for name, figures in sorted(median.items(), key=lambda item: item[1][1]):
        cpu = sorted(s[name][2] for s in starts if name in s)
        print(f"{name:24}" + "".join(f"{figure:8.2f}" for figure in figures) + f"   ({cpu[0]:.2f} to {cpu[-1]:.2f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--out", help="image/out of another build, with any owner's key or none")
    parser.add_argument("--cpu", help="QEMU's -cpu")
    parser.add_argument("--words", default="", help="more words for the kernel")
    args = parser.parse_args()
    with vote.Beside() as system:
        operator.image(system.out, system.owner.public)
        system.out = args.out or system.out
        config, _ = vote.first_boot(Cases(), system)  # on a blank disk: not measured
        system.start_all()
        if not system.wait_ready(60):
            raise vm.Failed("the seven beside it do not answer")
        starts = [one_start(system, config, args) for _ in range(args.starts)]
    show(starts)


if __name__ == "__main__":
    main()
