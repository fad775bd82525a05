#!/usr/bin/env python3
"""A node that is behind what its peers still have: it takes a checkpoint from them and votes again; nobody's disk grows because one is gone.

transfer.py short|long [SEED]
"""
import os
import shutil
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, bench, is_long  # noqa: E402

K = 16
STATUS_S = 0.25  # what a node tells of itself may be a fifth of a second old


def wal_bytes(system, name):
    return os.stat(f"{system.root}/{name}/data/wal/data.mdb").st_blocks * 512


def load(system, seconds, keys=400):
    code, summary, text = bench(system, f"{system.dir}/out-{time.monotonic_ns()}", "--users", 32, "--seconds", seconds, "--keys", keys, "--mix",
                                "50:50", "--client-keys", 4, limit_s=seconds + 100)
    return code == 0 and summary["errors"] == 0, f"{code} {summary} {text}"


def height_of(system, name, field="height"):
    return (system.ask(name) or {}).get(field) or 0


def decide_past(system, names, height, limit_s=90):
    """Load until each of these has a checkpoint at or above this height."""
    until = time.monotonic() + limit_s
    good, text = True, ""
    while time.monotonic() < until and min(height_of(system, n, "checkpoint_height") for n in names) < height:
        good, text = load(system, 2)
        if not good:
            break
    return good and min(height_of(system, n, "checkpoint_height") for n in names) >= height, text


def wait_voting(system, name, above, limit_s=60):
    began = time.monotonic()
    while time.monotonic() < began + limit_s:
        status = system.ask(name) or {}
        if status.get("phase") == "voting" and status.get("height", 0) > above:
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def came_back(cases, what, system, victim, height, log_from, helpers):
    took = wait_voting(system, victim, height + 2 * K)
    log = system.log(victim)[log_from:]
    cases.case(f"{what}: it votes again{f' after {took:.1f} s' if took else ''}", took is not None, log[-1500:])
    cases.case(f"{what}: from a checkpoint of its peers", " transfer_whole " in log and " transfer_installed " in log, log[-1500:])
    cases.case(f"{what}: nobody is named", "attack=bad_piece" not in log, log[-1500:])
    good, text = load(system, 1)
    cases.case(f"{what}: service goes on without an error", good, text)
    root = system.wait_equal(victim[:2], 40)
    cases.case(f"{what}: all have one state root at one height", root is not None, system.states(victim[:2]))
    # With another one gone nothing is decided without its vote.
    other = helpers[0]
    system.kill(other)
    done = system.client("put", "voted", what, "--timeout", 30)
    cases.case(f"{what}: without its vote nothing would be decided, and it is", done.returncode == 0, done.stdout + done.stderr)
    system.start(other)
    wait_voting(system, other, 0)


def behind(cases, system, victim, what, while_down=None, while_up=None):
    peers = [n for n in system.names if n.startswith(victim[:2]) and n != victim]
    wait_voting(system, victim, 0)  # a node that does not answer yet has no height, and nothing would be decided past that
    system.kill(victim)
    time.sleep(2 * STATUS_S)
    height = max(height_of(system, n) for n in peers)  # the victim had no more, and what it last told of itself may be much less
    good, text = decide_past(system, peers, height + 3 * K)
    if not cases.case(f"{what}: the others decide past three checkpoints and prune", good, text):
        return
    if while_down:
        while_down()
    mark = len(system.log(victim))
    system.start(victim)
    if while_up:
        while_up(peers)
    came_back(cases, what, system, victim, height, mark, peers)


def helper_dies(system, victim, mark):
    """Kills a helper as soon as the transfer begins, and starts it again later."""

    def act(peers):
        until = time.monotonic() + 30
        while time.monotonic() < until and " transfer_begins " not in system.log(victim)[mark:] and "catching_up" not in system.log(victim)[mark:]:
            time.sleep(0.005)
        system.kill(peers[1])
        timer = threading.Timer(3, lambda: system.start(peers[1]))
        timer.start()
        timer.join()

    return act


def disk_is_bounded(cases, system, seconds):
    """With one member gone the files stop growing: what was pruned is used again."""
    gone = "s0-n1"
    system.kill(gone)
    load(system, seconds)
    before = wal_bytes(system, "s0-n0")
    blocks = height_of(system, "s0-n0")
    load(system, 2 * seconds)
    after, decided = wal_bytes(system, "s0-n0"), height_of(system, "s0-n0") - blocks
    cases.case(f"with a member gone the wal stays as large as it is: {before >> 10} KiB, after {decided} more blocks {after >> 10} KiB",
               decided > 2 * K and after < before + (before >> 1) + (1 << 20), after)
    system.start(gone)
    wait_voting(system, gone, 0)


def main():
    cases = Cases()
    long_form = is_long(sys.argv)
    with System(settings=[f"checkpoint_blocks={K}"]) as system:
        system.start_all()
        if not cases.case("a system with a checkpoint every 16 blocks answers", system.wait_ready()):
            return cases.end()
        load(system, 1)
        behind(cases, system, "s0-n3", "a shard node behind beyond pruning")
        behind(cases, system, "c0-n2", "a coordinator node that lost its state too",
               while_down=lambda: shutil.rmtree(f"{system.root}/c0-n2/data/state"))
        if long_form:
            mark = len(system.log("s0-n2"))
            behind(cases, system, "s0-n2", "a helper dies in the middle", while_up=helper_dies(system, "s0-n2", mark))
        disk_is_bounded(cases, system, 6 if long_form else 2)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
