#!/usr/bin/env python3
"""Whether a node has voted since it was started (spec/appliance.md A-24, `voted`, `decide`): a node that comes back to an idle cluster has not until
it asks for a decision, and cannot without a quorum. Ends with "N passed, N failed".
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System  # noqa: E402

NODES = [f"s0-n{i}" for i in range(4)]


def until(test, limit_s=60):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if test():
            return True
        time.sleep(0.2)
    return False


def says(s, name, what, value):
    return (s.ask(name) or {}).get(what) == value


def main():
    c = Cases()
    with System() as s:
        s.start_all()
        c.case("up", s.wait_ready())
        c.case("who decided has voted", until(lambda: all(says(s, name, "voted", True) for name in NODES)), s.cluster("s0"))
        s.kill("s0-n2")
        s.start("s0-n2")
        c.case("started again: ready", until(lambda: says(s, "s0-n2", "ready", True)), s.ask("s0-n2"))
        before = s.wait_equal("s0")
        c.case("and has not voted yet, in a cluster that is idle", before and says(s, "s0-n2", "voted", False), s.ask("s0-n2"))
        asked = s.ask("s0-n2", "decide")
        c.case("decide: no", asked == {"voted": False}, asked)
        c.case("then it has voted, in a decision that it asked for",
               until(lambda: s.ask("s0-n2", "decide") == {"voted": True}) and s.ask("s0-n2")["height"] > before[0], (before, s.ask("s0-n2")))
        after = s.wait_equal("s0")
        for _ in range(20):
            s.ask("s0-n2", "decide")
        c.case("who has voted asks for no more", s.wait_equal("s0") == after, (after, s.states("s0")))
        for name in NODES:
            s.kill(name)
        s.start("s0-n2")
        s.start("s0-n3")
        c.case("two of four: up", until(lambda: all(s.ask(name) for name in NODES[2:])))
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            s.ask("s0-n2", "decide")
            time.sleep(0.2)
        c.case("without a quorum nobody has voted in a decision", all(says(s, name, "voted", False) for name in NODES[2:]), s.cluster("s0"))
        s.start("s0-n1")
        c.case("with one it has", until(lambda: s.ask("s0-n2", "decide") == {"voted": True}), s.cluster("s0"))
    return c.end()


sys.exit(main())
