#!/usr/bin/env python3
"""What memory and disks change silently is found, named, mended, and costs the cluster nothing.

A bit of a value flips in the memory of one shard node, in the checkpoint of another, in an input of a coordinator's write-ahead store, in the voting
memory of a third shard node, which retires; in the end all hold the same state again, and nobody saw a wrong answer. In the long form also: memory
that fails again and again ends the process.
scrub.py short|long [SEED]
"""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, TOP, is_long, seed_of, wait  # noqa: E402

RATE = 200000
MEMBERS = 4


def built():
    shim = f"{TOP}/build/shim"
    subprocess.run(["tests/shim/build", shim], cwd=TOP, check=True, timeout=120)
    return shim


def status(system, name, field):
    answer = system.ask(name)
    return answer["scrub"][field] if answer else 0


def has(path, wanted):
    with open(path, "rb") as f:
        return wanted in f.read()


def flip_in_file(path, wanted):
    """Flips a bit in the middle of each place where these bytes are; how many there are. The node reads the file through its page cache."""
    with open(path, "r+b") as f:
        data = f.read()
        found, at = 0, data.find(wanted)
        while at >= 0:
            f.seek(at + len(wanted) // 2)
            byte = data[at + len(wanted) // 2]
            f.write(bytes([byte ^ 8]))
            found += 1
            at = data.find(wanted, at + 1)
    return found


def told(system, name, fields):
    return f" corruption_found node={name} {fields}" in system.log(name)


def votes(system, name):
    answer = system.ask(name)
    return bool(answer) and answer["phase"] == "voting" and answer["ready"]


def marker(rng, system, key):
    """A value that nothing else looks like."""
    value = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(64))
    done = system.client("put", key, value, "--timeout", 20)
    return value if done.returncode == 0 else None


def checkpoint_behind(system, prefix, name):
    """Puts until the checkpoint of this node is above what is final now, and every member has pruned blocks below one: without its checkpoint it can
    neither execute all of them again nor get them one by one."""
    height = max(s["height"] for s in system.cluster(prefix).values())
    for number in range(400):
        answers = system.cluster(prefix)
        pruned = len(answers) == MEMBERS and all(a["wal"]["pruned_height"] > 0 for a in answers.values())
        if pruned and answers[name]["checkpoint_height"] >= height:
            return True
        system.client("put", f"filler{number % 7}", str(number), "--timeout", 20)
    return False


def in_memory(cases, rng, system, name):
    value = marker(rng, system, "in-memory")
    cases.case(f"memory: {name} looks through all that it holds", wait(lambda: status(system, name, "memory_rounds") > 0))
    with open(f"{system.root}/{name}/flip.new", "w") as f:
        f.write(value)
    os.rename(f"{system.root}/{name}/flip.new", f"{system.root}/{name}/flip")
    cases.case(f"memory: a flip is found and named by {name}", wait(lambda: told(system, name, "store=memory what=entry"), 30),
               system.log(name)[-800:])
    cases.case(f"memory: {name} opens itself anew and votes again", wait(lambda: status(system, name, "opened_anew") == 1 and votes(system, name)),
               system.log(name)[-800:])
    got = system.client("get", "in-memory", "--timeout", 20)
    cases.case("memory: the value is what was put", got.stdout.strip() == value, got.stdout + got.stderr)


def in_checkpoint(cases, rng, system, name):
    value = marker(rng, system, "in-checkpoint")
    if not cases.case(f"checkpoint: it comes to hold the value at {name}", checkpoint_behind(system, "s0", name), system.states("s0")):
        return
    flips = flip_in_file(f"{system.root}/{name}/data/state/data.mdb", value.encode())
    cases.case(f"checkpoint: a bit flips on the disk of {name} ({flips} places)", flips > 0)
    cases.case("checkpoint: it is found and named", wait(lambda: told(system, name, "store=state"), 30), system.log(name)[-800:])
    came = wait(lambda: "transfer_installed" in system.log(name))
    cases.case("checkpoint: it is dropped, and comes from the peers", came, system.log(name)[-1500:])
    cases.case(f"checkpoint: {name} votes again", wait(lambda: votes(system, name)), system.log(name)[-800:])


def in_wal(cases, rng, system, name):
    """A coordinator's inputs are batches: the value lies in them."""
    value = marker(rng, system, "in-wal")
    system.wait_equal("c0", 20)
    path = f"{system.root}/{name}/data/wal/data.mdb"
    wait(lambda: has(path, value.encode()), 10)  # the journal has it first
    flips = flip_in_file(path, value.encode())
    cases.case(f"wal: a bit flips on the disk of {name} ({flips} places)", flips > 0)
    found = wait(lambda: told(system, name, "store=wal what=input"), 30)
    cases.case("wal: it is found, named, and written again or removed", found and "done=nothing" not in system.log(name), system.log(name)[-800:])
    rounds = status(system, name, "wal_rounds")
    wait(lambda: status(system, name, "wal_rounds") > rounds + 2)
    seen = status(system, name, "found")
    wait(lambda: status(system, name, "wal_rounds") > rounds + 5)
    cases.case("wal: once", status(system, name, "found") == seen and status(system, name, "repaired") == seen, system.ask(name))
    system.kill(name)
    system.start(name)
    cases.case(f"wal: {name} starts from it and votes", wait(lambda: votes(system, name)), system.log(name)[-800:])


def flip_in_votes(path):
    """The record of the voting memory by its key (kind 1, all else 0, chunk 0) in LMDB's leaves: size low and high, flags, key length, key, value."""
    key = b"\x14\x00" + b"\x01" + bytes(19)
    with open(path, "r+b") as f:
        data = f.read()
        found, at = 0, data.find(key)
        while at >= 0:
            count = int.from_bytes(data[at - 6:at - 2], "little")
            if 200 < count < 12300:
                place = at + len(key) + 8 + 20
                f.seek(place)
                f.write(bytes([data[place] ^ 8]))
                found += 1
            at = data.find(key, at + 1)
    return found


def in_votes(cases, system, name):
    """Of an idle cluster: a vote would write the record anew."""
    system.wait_equal("s0", 30)
    time.sleep(1)  # the journal has the newest first
    flips = flip_in_votes(f"{system.root}/{name}/data/wal/data.mdb")
    cases.case(f"votes: a bit flips on the disk of {name} ({flips} places)", flips > 0)
    cases.case("votes: it is found and named", wait(lambda: told(system, name, "store=wal what=vote"), 30), system.log(name)[-800:])
    retired = wait(lambda: (system.ask(name) or {}).get("phase") == "retired")
    cases.case(f"votes: {name} retires its key", retired and "key_retired" in system.log(name), system.log(name)[-800:])
    cases.case("votes: the cluster goes on", system.wait_ready())
    system.kill(name)
    system.start(name)
    cases.case("votes: and it stays so, and says why", wait(lambda: (system.ask(name) or {}).get("retired_by") == "memory_damaged"),
               system.log(name)[-800:])


def again_and_again(cases, rng, system, name):
    for turn in range(2):
        value = marker(rng, system, f"again-{turn}")
        wait(lambda: votes(system, name))
        time.sleep(1)
        with open(f"{system.root}/{name}/flip.new", "w") as f:
            f.write(value)
        os.rename(f"{system.root}/{name}/flip.new", f"{system.root}/{name}/flip")
        wait(lambda: not system.running(name) or status(system, name, "opened_anew") == 2 + turn, 60)
    cases.case(f"again and again: {name} ends, with one line", wait(lambda: not system.running(name), 60) and
               system.live[name].returncode == 1 and "cannot be trusted" in system.log(name), system.log(name)[-800:])
    system.start(name)
    cases.case("again and again: and comes back when it is started", wait(lambda: votes(system, name)), system.log(name)[-800:])


def run(cases, rng, long):
    shim = built()
    with System(conf={"scrub_records_s": RATE}, settings=("checkpoint_blocks=16",)) as system:
        for name in system.names:
            system.node_env[name] = {"LD_PRELOAD": f"{shim}/flip.so", "FLIP_FILE": f"{system.root}/{name}/flip"}
        system.start_all()
        if not cases.case("ready", system.wait_ready(), system.states("c0")):
            return
        in_memory(cases, rng, system, "s0-n1")
        in_checkpoint(cases, rng, system, "s0-n2")
        in_wal(cases, rng, system, "c0-n3")
        in_votes(cases, system, "s0-n3")
        for prefix in ("c0", "s0"):
            cases.case(f"all nodes of {prefix} hold one state", system.wait_equal(prefix) is not None, system.states(prefix))
        cases.case("a put and a get are answered with proof", system.wait_ready())
        # Leaders and sources are judged by time as well, which a machine that is busy otherwise takes from them; all else takes a proof.
        by_time = ("attack=silent_leader ", "attack=withheld_slice ")
        blamed = [line for n in system.names for line in system.log(n).splitlines() if "attack_seen" in line and not any(a in line for a in by_time)]
        cases.case("nobody is blamed for it", not blamed, blamed)
        if long:
            again_and_again(cases, rng, system, "s0-n1")


def main(argv):
    cases = Cases()
    run(cases, random.Random(seed_of(argv)), is_long(argv))
    return cases.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
