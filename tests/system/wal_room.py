#!/usr/bin/env python3
"""A member takes a checkpoint, and the blocks above it are kept for it: a helper whose write-ahead store is small lets them go before it is full,
and the member comes back by a newer one.

wal_room.py short|long [SEED]
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, wait  # noqa: E402

K = 16
MAP = 16 << 20


def load(system, name, users=16):
    return system.client_background("bench", "--users", users, "--seconds", 120, "--mix", "put", "--value-bytes", 4000, "--keys", 500,
                                    "--client-keys", 4, "--out", f"{system.dir}/{name}")


def end(load):
    load.terminate()
    load.communicate(timeout=30)


def field(system, name, what):
    return (system.ask(name) or {}).get(what) or 0


def main():
    cases = Cases()
    helper, taker = "s0-n0", "s0-n3"
    with System(settings=[f"checkpoint_blocks={K}"]) as system:
        system.change_conf(helper, {"wal_map_bytes": MAP})
        system.start_all()
        if not cases.case("a system with a checkpoint every 16 blocks answers", system.wait_ready()):
            return cases.end()
        system.kill(taker)
        low, running = field(system, helper, "height"), load(system, "behind", 4)
        good = wait(lambda: field(system, helper, "checkpoint_height") >= low + 4 * K, 60)
        end(running)
        cases.case("one is behind by more than the others keep", good, system.states("s0"))
        mark = len(system.log(taker))
        system.start(taker)
        good = wait(lambda: " transfer_whole " in system.log(taker)[mark:] or " transfer_begins " in system.log(taker)[mark:], 40)
        time.sleep(0.5)  # it has asked everybody
        system.kill(taker)
        cases.case("it takes a checkpoint, and is gone again", good, system.log(taker)[mark:][-1500:])
        running = load(system, "fill")
        good = wait(lambda: not system.running(helper) or " hold_let_go " in system.log(helper), 55)
        text = system.log(helper)[-1500:]
        cases.case("a helper with a small store lets go of what it keeps for it, and says so", good and " hold_let_go " in text, text)
        low = field(system, helper, "height")
        wait(lambda: not system.running(helper) or field(system, helper, "height") >= low + 8 * K, 40)
        wal = (system.ask(helper) or {}).get("wal") or {}
        end(running)
        cases.case(f"it goes on, and its store is not full: {wal.get('bytes', 0) >> 20} of {MAP >> 20} MiB", system.running(helper) and
                   field(system, helper, "height") >= low + 8 * K and 0 < wal["bytes"] < MAP, system.log(helper)[-1500:])
        mark = len(system.log(taker))
        system.start(taker)
        good = wait(lambda: field(system, taker, "phase") == "voting" and field(system, taker, "height") >= low + 8 * K, 40)
        cases.case("the member comes back", good, system.log(taker)[mark:][-1500:])
        cases.case("and all have one state", system.wait_equal("s0", 40) is not None, system.states("s0"))
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
