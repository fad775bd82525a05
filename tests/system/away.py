#!/usr/bin/env python3
"""A node that was away while its cluster went through CONFIGs and pruned its blocks: it learns the chain, takes a checkpoint of the newer epoch from
the members of that epoch, and votes. So does one whose state is gone as well, one that is killed while it does so, and one whose peers were replaced
meanwhile.

  tests/system/away.py short|long
"""
import os
import shutil
import sys
import time

from cluster import Cases, System, is_long
from config import Admin, put
from members import change, enroll, wait_phase
from transfer import height_of, load

K = 16
STATUS_OLD_S = 1  # what a status says is younger


def pruned(system, name):
    return (system.ask(name) or {"wal": {"pruned_height": 0}})["wal"]["pruned_height"]


def prune_beyond(system, names, height, limit_s=90):
    """Load until none of these has the blocks up to this height any more."""
    until = time.monotonic() + limit_s
    good, text = True, ""
    while good and time.monotonic() < until and min(pruned(system, n) for n in names) <= height:
        good, text = load(system, 1)
    return good and min(pruned(system, n) for n in names) > height, text


def wait_log(system, name, mark, word, limit_s):
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if f" {word} " in system.log(name)[mark:]:
            return True
        time.sleep(0.005)
    return False


def came_back(c, what, system, victim, epoch, mark, helpers):
    began = time.monotonic()
    back = wait_phase(system, victim, "voting", epoch, limit_s=60)
    log = system.log(victim)[mark:]
    c.case(f"{what}: votes in epoch {epoch} after {time.monotonic() - began:.1f} s", back, log[-1500:])
    c.case(f"{what}: by the chain, and a checkpoint of its peers", " epochs_learned " in log and " transfer_installed " in log, log[-1500:])
    c.case(f"{what}: names nobody", " attack_seen " not in log and " transfer_bad " not in log, log[-1500:])
    c.case(f"{what}: has the state of the others", system.wait_equal(victim[:2], 40) is not None, system.states(victim[:2]))
    system.kill(helpers[0])
    done = put(system, f"needs-{victim}-{epoch}", "1")
    c.case(f"{what}: without its vote nothing would be decided, and it is", done.returncode == 0, done.stdout + done.stderr)
    system.start(helpers[0])
    c.case(f"{what}: {helpers[0]} is back", wait_phase(system, helpers[0], "voting", epoch), system.ask(helpers[0]))


def away(c, what, system, victim, epoch, configs, while_down=None, killed_at=()):
    """configs: what becomes of the cluster meanwhile, one CONFIG each. Returns the epoch after them."""
    cluster = victim[:2]
    system.kill(victim)
    peers = [n for n in system.names if n.startswith(cluster) and n != victim and system.running(n)]
    time.sleep(STATUS_OLD_S)
    height = max(height_of(system, n) for n in peers)
    for config in configs:
        epoch += 1
        config(epoch)
    peers = [n for n in system.names if n.startswith(cluster) and n != victim and system.running(n)]
    good, text = prune_beyond(system, peers, height + K)
    if not c.case(f"{what}: its peers decide, and prune", good, text):
        return epoch
    if while_down:
        while_down()
    mark = len(system.log(victim))
    system.start(victim)
    for word in killed_at:
        c.case(f"{what}: is killed at {word}", wait_log(system, victim, mark, word, 40))
        system.kill(victim)
        system.start(victim)
    came_back(c, what, system, victim, epoch, mark, peers)
    return epoch


def main(argv):
    c = Cases()
    with System(settings=[f"checkpoint_blocks={K}"], conf={"threads": "split"} if is_long(argv) else None) as system:
        system.start_all()
        if not c.case("a system with a checkpoint every 16 blocks answers", system.wait_ready()):
            return c.end()
        admin = Admin(system)
        load(system, 1)

        def limits(cluster, setting):
            return lambda epoch: change(c, system, admin, cluster, f"{cluster}-{epoch}", "--set", setting)

        shard = away(c, "a shard node away over two CONFIGs", system, "s0-n1", 0, [limits("s0", "view_base_ms=1500"), limits("s0", "fetch_ms=150")])
        coordinator = away(c, "a coordinator node that lost its state too", system, "c0-n2", 0,
                           [limits("c0", "view_base_ms=1500")], while_down=lambda: shutil.rmtree(f"{system.root}/c0-n2/data/state"))
        if is_long(argv):
            shard = away(c, "one that is killed again and again meanwhile", system, "s0-n2", shard, [limits("s0", "view_base_ms=1200")],
                         killed_at=("epochs_learned", "transfer_begins", "transfer_whole"))
            card = enroll(c, system, "c0-new", "c0")
            system.names.append("c0-new")

            def replaced(epoch):
                change(c, system, admin, "c0", f"c0-{epoch}", "--replace", f"c0-n1={card}")
                c.case(f"c0-new votes in epoch {epoch}", wait_phase(system, "c0-new", "voting", epoch, limit_s=60), system.ask("c0-new"))
                system.kill("c0-n1")

            away(c, "one whose peers were replaced meanwhile", system, "c0-n0", coordinator, [replaced, limits("c0", "view_base_ms=1100")])
    return c.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
