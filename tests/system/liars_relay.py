#!/usr/bin/env python3
"""One liar in each cluster: lies to clients, as a relay, by old messages, and a table that goes bad in memory. liars_relay.py short|long

As liars_votes.py. A forged answer is seen by clients alone: they refuse it and ask another node.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, is_long  # noqa: E402
from lying import UNSEEN, build, scene  # noqa: E402


def main():
    cases, long = Cases(), is_long(sys.argv)
    build()
    # A vote or slice that comes again looks like one that comes late: it is dropped and counted, and named only when an input comes again and again.
    scene(cases, {"c0-n0": "replay", "s0-n0": "replay"}, {"c0-n0": ["replay"], "s0-n0": ["dropped consensus_stale"]}, long)
    scene(cases, {"c0-n0": "forge,value", "s0-n0": "corrupt,write"}, {"c0-n0": UNSEEN, "s0-n0": ["wrong_result"]}, long, forged=True,
          stops=["s0-n0"])
    scene(cases, {"c0-n0": "forge,quorum", "s0-n1": "corrupt,flip"}, {"c0-n0": UNSEEN}, long, forged=True, stops=["s0-n1"])
    scene(cases, {"c0-n0": "forge,old", "s0-n0": "withhold,proposals"}, {"c0-n0": UNSEEN, "s0-n0": ["silent_leader"]}, long, forged=True)
    scene(cases, {"c0-n0": "flood", "s0-n0": "slices,stale"}, {"c0-n0": ["flood", "bad_input"], "s0-n0": UNSEEN}, long)
    scene(cases, {"c0-n0": "withhold,answers"}, {"c0-n0": UNSEEN}, long)
    return cases.end()


sys.exit(main())
