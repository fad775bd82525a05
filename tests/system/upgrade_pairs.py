#!/usr/bin/env python3
"""heraclius upgrade --at-once 2: a release rolled through a cluster of seven, of which two may fail, under load: never more than two are away, the
leader comes last, and one that falls back stops it while the other goes on. The nodes are real, their consoles are played (upgrade.py).

upgrade_pairs.py short|long
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System  # noqa: E402
from slots import release_make  # noqa: E402
from upgrade import World, Writer, written  # noqa: E402

SEVEN = [f"s0-n{i}" for i in range(7)]
AWAY = 2


def too_many(c, w, release):
    done = w.upgrade(release, "--at-once", str(AWAY + 1))
    c.case("three at once of seven are refused", done.returncode == 2 and "--at-once is 1 to 2" in done.stderr and w.untouched(), done)


def one_falls_back(c, w, release):
    """The first of a pair falls back: the second has the release already."""
    leader = w.system.leader("s0")
    first = next(name for name in SEVEN if name != leader)
    w.console(first).bad = True
    done = w.upgrade(release, "--at-once", str(AWAY))
    good = done.returncode == 1 and f"{first}: gave release 8 up and runs 7 again" in done.stderr and "no further node is handed it" in done.stderr
    c.case("one that falls back stops the roll", good, (done, w.record.events))
    order = w.record.order()
    c.case("no third one was handed it", order[0] == first and len(order) <= AWAY, order)
    c.case("all vote again", w.voting() and settled(w))
    w.console(first).bad = False
    others = [x.number for x in w.record.consoles if x.name in order[1:]]
    c.case("who had it already runs it", all(number == 8 for number in others), others)


def settled(w, limit_s=30):
    until = time.monotonic() + limit_s
    while time.monotonic() < until and not all(x.state == "blessed" and not x.down for x in w.record.consoles):
        time.sleep(0.1)
    return all(x.state == "blessed" and not x.down for x in w.record.consoles)


def hold_first(w):
    """The first one is away until the second is, however fast this machine is."""
    for console in w.record.consoles:
        console.hold.clear()
    until = time.monotonic() + 60
    while len(w.record.order()) < AWAY and time.monotonic() < until:
        time.sleep(0.05)
    for console in w.record.consoles:
        console.hold.set()


def pairs(c, w, release):
    w.record.events.clear()
    holder = threading.Thread(target=hold_first, args=(w,), daemon=True)
    holder.start()
    done = w.upgrade(release, "--at-once", str(AWAY))
    holder.join(60)
    good = done.returncode == 0 and "7 of 7 nodes run 9" in done.stdout and all(x.number == 9 and x.state == "blessed" for x in w.record.consoles)
    c.case("two at a time it rolls through seven", good, done)
    c.case("each was restarted once", sorted(w.record.order()) == SEVEN, w.record.events)
    c.case("two of them were away at once, at no time three", w.record.most_down() == AWAY, w.record.events)
    crowded = [e for e in w.record.events if e[1] == "down" and list(e[2].values()).count(True) < len(SEVEN) - AWAY]
    c.case("whenever one went down, five others voted", not crowded, crowded)


def main():
    c = Cases()
    with System(nodes=len(SEVEN)) as system:
        system.start_all()
        w = World(c, system, SEVEN)
        releases = {number: release_make(c, w.folder, number) for number in (8, 9)}
        if not c.case("seven nodes and seven coordinators are ready", system.wait_ready() and w.voting()):
            return c.end()
        too_many(c, w, releases[8])
        writer = Writer(system)
        writer.start()
        one_falls_back(c, w, releases[8])
        pairs(c, w, releases[9])
        written(c, w, writer)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
