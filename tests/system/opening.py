#!/usr/bin/env python3
"""While a node opens its data it is asked, and answers (spec/appliance.md A-24): phase `restoring`, and a `progress` that grows until it may vote and
then no more. Its process is let run for a moment at a time, so that what takes long with much data takes long here. Ends with "N passed, N failed".
"""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, bench  # noqa: E402

NAME, BLOCKS_MIN = "s0-n2", 60


class Slowly:
    """The process runs for 3 ms in 20."""

    def __init__(self, process):
        self.process, self.end = process, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.end.wait(0.003):
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(0.017)
            self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def watched(system, limit_s=40):
    """(phase, progress, height) of each answer from the first on, until it votes."""
    out, end = [], time.monotonic() + limit_s
    while time.monotonic() < end and not (out and out[-1][0] == "voting"):
        status = system.ask(NAME)
        if status:
            out.append((status["phase"], status["progress"], status["height"]))
    return out


def main():
    c = Cases()
    with System() as s:
        s.start_all()
        c.case("up", s.wait_ready())
        code, _, text = bench(s, f"{s.dir}/bench", "--users", "64", "--seconds", "5", "--mix", "put")
        before = s.wait_equal("s0")
        c.case("there are blocks to execute again", code == 0 and before and before[0] > BLOCKS_MIN, (before, text))
        s.kill(NAME)
        s.start(NAME)
        with Slowly(s.live[NAME]):
            seen = watched(s)
        opening = [progress for phase, progress, _ in seen if phase == "restoring"]
        c.case("it answers while it is opened, and is restoring", len(opening) > 1 and opening[0] < opening[-1], seen[:40])
        c.case("the progress never goes back", all(a[1] <= b[1] for a, b in zip(seen, seen[1:])), seen[:40])
        c.case("then it votes", seen and seen[-1][0] == "voting", seen[-1:])
        done = s.ask(NAME)["progress"]
        c.case("a write is decided", s.client("put", "k", "v").returncode == 0)
        end = time.monotonic() + 30
        while s.ask(NAME)["height"] <= before[0] and time.monotonic() < end:
            time.sleep(0.2)
        after = s.ask(NAME)
        c.case("who may vote has no more of that work", after["progress"] == done and after["height"] > before[0], (done, after))
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
