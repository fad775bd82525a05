#!/usr/bin/env python3
"""One liar in each cluster, as leader or member: lies about proposals, votes, results and compact decisions. liars_votes.py short|long

Answers stay right, service stays up, the honest nodes' status names what they saw, and the liar counts that it lied.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, is_long  # noqa: E402
from lying import UNSEEN, build, scene  # noqa: E402


def main():
    cases, long = Cases(), is_long(sys.argv)
    build()
    both = {"two_prepares", "two_commits"}
    scene(cases, {"c0-n0": "equivocate", "s0-n0": "equivocate"}, {"c0-n0": ["equivocation"], "s0-n0": ["equivocation"]}, long,
          convicts={"c0-n0": both, "s0-n0": both})
    scene(cases, {"c0-n0": "result", "s0-n0": "result"}, {"c0-n0": ["wrong_result"], "s0-n0": ["wrong_result"]}, long)
    # Node i subscribes to node i of the other cluster: c0-n2 and s0-n1 are honest and are lied to.
    scene(cases, {"c0-n1": "slices,wrong", "s0-n2": "slices,stale"}, {"c0-n1": ["bad_slice"], "s0-n2": ["withheld_slice", "stale_slice"]}, long)
    scene(cases, {"c0-n1": "slices,quorum", "s0-n2": "withhold,decisions"}, {"c0-n1": ["bad_slice"], "s0-n2": ["withheld_slice"]}, long)
    scene(cases, {"c0-n0": "withhold,proposals", "s0-n0": "withhold,votes"}, {"c0-n0": ["silent_leader"], "s0-n0": UNSEEN}, long)
    return cases.end()


sys.exit(main())
