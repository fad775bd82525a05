#!/usr/bin/env python3
"""The trial of an image beside a real node of a real cluster (spec/appliance.md A-37); init is played. Of four members one is retired, and linked,
and one is down: no image could vote, and the trial waits, though links are enough. It is kept when the node has voted. trial.py [short|long]
"""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import TOP, Cases, System  # noqa: E402
from console import Init  # noqa: E402

SLOTS = f"{TOP}/build/gcc/heraclius-slots"
LINE = re.compile(r"trial of \d+ waits for (\w+), (\d+) of 300000 ms counted: (.*)")


class Trial:
    def __init__(self, system, name):
        root = f"{system.dir}/root"
        for folder in ("run/node", "run/init"):
            os.makedirs(f"{root}/{folder}")
        os.symlink(f"{system.root}/{name}/control.sock", f"{root}/run/node/control.sock")
        os.symlink(f"{root}/init.sock", f"{root}/run/init/control.sock")
        self.init, self.log = Init(root, "ok\nuptime_ms=5000\nstage.disk=good\nconfig_number=1\n"), f"{root}/log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([SLOTS, "--root", root, "trial"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def lines(self):
        with open(self.log) as f:
            return [(word, int(ms), text) for word, ms, text in LINE.findall(f.read())]

    def until(self, test, limit_s=40):
        end = time.monotonic() + limit_s
        while not test(self.lines()) and time.monotonic() < end:
            time.sleep(0.2)
        return test(self.lines())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.init.ended.set()


def main():
    c = Cases()
    with System() as s:
        s.change_conf("s0-n3", {"retired": True})
        for name in s.names:
            if name != "s0-n2":
                s.start(name)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            seen = (s.ask("s0-n0") or {}).get("members_seen", [{}] * 4)
            if seen[1].get("votes") is True and seen[3].get("votes") is False:
                break
            time.sleep(0.2)
        with Trial(s, "s0-n0") as trial:
            text = "of 3 other members 2 are reached, 1 of them do not vote, 2 must: no image could vote now"
            good = trial.until(lambda lines: ("quorum", text) in [(w, t) for w, _, t in lines])
            c.case("links are enough, votes are not: it waits, and says so", good, trial.lines())
            first = [ms for word, ms, _ in trial.lines() if word == "quorum"]
            good = trial.until(lambda lines: sum(word == "quorum" for word, _, _ in lines) > 1)
            c.case("and its time stands still", good and {ms for word, ms, _ in trial.lines() if word == "quorum"} == {first[0]}, trial.lines())
            c.case("nothing is asked of init", trial.init.words() == [], trial.init.words())
            s.start("s0-n2")
            good = trial.until(lambda _: "bless sure" in trial.init.words(), 60)
            c.case("a third one votes: the node has voted, and the image is kept", good, (trial.init.words(), trial.lines()))
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
