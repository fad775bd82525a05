#!/usr/bin/env python3
"""Backups: taken from a live system under load, checked offline, damaged in every way and refused by file and reason, gone on with after an
interruption, and a node made from one, with its old key and with a new one.

backup.py short|long [SEED]
"""
import json
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, TOP, Cases, System, bench, free_base, is_long, seed_of  # noqa: E402
from config import Admin  # noqa: E402
from lying import LIAR, build  # noqa: E402
from members import address_add, wait_phase  # noqa: E402

K = 16
BIG, VALUE = 60, 30000  # values enough for several pieces of a quarter of a MiB


def run(*words, timeout=120, env=None):
    return subprocess.run([CLIENT] + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          env=dict(os.environ, **env) if env else None)


def elsewhere(system):
    """The system file alone: no addresses, no keys."""
    folder = f"{system.dir}/elsewhere"
    os.makedirs(folder, exist_ok=True)
    shutil.copy(f"{system.root}/system.json", folder)
    return f"{folder}/system.json"


def verify(system, path, *words):
    return run("-s", elsewhere(system), "verify", path, *words)


def fill(system):
    """BIG keys with long values, 30 to a batch."""
    for first in range(0, BIG, 30):
        path = f"{system.dir}/batch-{first}"
        with open(path, "w") as f:
            for i in range(first, first + 30):
                f.write(f"put big-{i} {chr(97 + i % 26) * VALUE}\n")
        done = system.client("batch", path, "--timeout", 60, timeout=90)
        if done.returncode != 0:
            return done
    return done


def load(system, seconds):
    code, summary, text = bench(system, f"{system.dir}/out-{time.monotonic_ns()}", "--users", 32, "--seconds", seconds, "--keys", 200, "--mix",
                                "50:50", "--client-keys", 4, limit_s=seconds + 100)
    return code == 0 and summary["errors"] == 0, f"{code} {summary} {text}"


def to_checkpoint(system, prefixes=("c0", "s0"), limit_s=90):
    """Load until every node has a checkpoint that is newer than now, and a block above it."""
    began = {p: max(s["height"] for s in system.cluster(p).values()) for p in prefixes}
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        good, text = load(system, 1)
        if not good:
            return False, text
        behind = [n for p in prefixes for n, s in system.cluster(p).items() if s["phase"] == "voting" and s["checkpoint_height"] <= began[p]]
        if not behind:
            return True, ""
    return False, f"without a newer checkpoint: {behind}"


def settled(system):
    """Idle: no block comes any more."""
    for prefix in ("c0", "s0"):
        system.wait_equal(prefix, 20)


def partition(text, name):
    return next((p for p in json.loads(text)["partitions"] if p.get("cluster") == name), None)


# ---- taking


def under_load(cases, system):
    out = f"{system.dir}/under-load"
    noise = system.client_background("bench", "--out", f"{system.dir}/noise", "--users", 32, "--seconds", 6, "--keys", 200, "--mix", "50:50",
                                     "--client-keys", 4)
    began = time.monotonic()
    done = system.client("backup", "--out", out, "--json", timeout=120)
    took = time.monotonic() - began
    text = done.stdout + done.stderr
    good = done.returncode == 0 and json.loads(done.stdout)["whole"]
    cases.case(f"a backup of all clusters under load is whole after {took:.1f} s", good, text)
    noise_text = noise.communicate(timeout=60)
    cases.case("and the load had no error", noise.returncode == 0, noise_text)
    if not good:
        return None
    for name in ("c0", "s0"):
        p = partition(done.stdout, name)
        cases.case(f"{name}: at a checkpoint's height, certified by a quorum, with every entry",
                   p and p["height"] % K == 0 and p["height"] > 0 and p["signers"] == 3 and p["entries"] > 0, p)
    shown = verify(system, out, "--json")
    same = shown.returncode == 0 and all(partition(shown.stdout, n)["state_root"] == partition(done.stdout, n)["state_root"] for n in ("c0", "s0"))
    cases.case("verify says the same with the system file alone", same, shown.stdout + shown.stderr)
    plain = verify(system, out)
    words = "not proved: that it is the newest state" in plain.stdout and "state root" in plain.stdout and "epoch 0" in plain.stdout
    cases.case("and says what it does not prove", plain.returncode == 0 and words, plain.stdout + plain.stderr)
    return out


def what_is_in_it(cases, folder):
    """Read without any code of ours: the long values are there, each once."""
    found = {i: 0 for i in range(BIG)}
    names = sorted(n for n in os.listdir(folder) if n.startswith("piece-"))
    for name in names:
        with open(f"{folder}/{name}", "rb") as f:
            data = f.read()
        for i in range(BIG):
            found[i] += data.count(f"big-{i}".encode() + (chr(97 + i % 26) * VALUE).encode())
    cases.case(f"every value that was written before lies in one of its {len(names)} pieces", len(names) > 1 and set(found.values()) == {1}, found)
    modes = {os.stat(f"{folder}/{n}").st_mode & 0o077 for n in os.listdir(folder)}
    cases.case("nobody but its owner may read it", modes == {0}, modes)


def flips(cases, system, out, count, rng):
    missed = []
    files = [(c, n) for c in ("c0", "s0") for n in sorted(os.listdir(f"{out}/{c}"))]
    kinds = {}
    for cluster, name in files:
        kinds.setdefault(name.split("-")[0], []).append((cluster, name))
    for turn in range(count):
        cluster, name = rng.choice(kinds[sorted(kinds)[turn % len(kinds)]])
        path = f"{out}/{cluster}/{name}"
        with open(path, "rb") as f:
            data = f.read()
        bit = rng.randrange(len(data) * 8)
        with open(path, "r+b") as f:
            f.seek(bit // 8)
            f.write(bytes([data[bit // 8] ^ 1 << bit % 8]))
        done = verify(system, f"{out}/{cluster}")
        # A manifest that states other counts has another hash: the first piece is named, which is of another checkpoint then.
        named = f"{cluster}/{name}:" in done.stderr or (name == "checkpoint" and f"{cluster}/piece-" in done.stderr)
        if done.returncode != 1 or not named:
            missed.append((cluster, name, bit, done.returncode, done.stderr))
        with open(path, "wb") as f:
            f.write(data)
    cases.case(f"{count} flipped bits in {sorted(kinds)}: each is refused, exit 1, by the file's name", not missed, missed)


def other_damage(cases, system, out):
    folder = f"{out}/s0"
    piece = sorted(n for n in os.listdir(folder) if n.startswith("piece-"))[1]
    os.rename(f"{folder}/{piece}", f"{system.dir}/away")
    done = verify(system, out)
    cases.case("a missing piece is named", done.returncode == 1 and f"s0/{piece}: not valid: missing" in done.stderr, done.stderr)
    os.rename(f"{system.dir}/away", f"{folder}/{piece}")
    os.rename(f"{folder}/checkpoint", f"{system.dir}/away")
    done = verify(system, folder)
    cases.case("a missing checkpoint too", done.returncode == 1 and "s0/checkpoint: not valid: missing" in done.stderr, done.stderr)
    os.rename(f"{system.dir}/away", f"{folder}/checkpoint")
    with open(f"{folder}/notes", "w") as f:
        f.write("x")
    done = verify(system, out)
    cases.case("a file too many is named", done.returncode == 1 and "s0/notes: not valid: extra" in done.stderr, done.stderr)
    os.remove(f"{folder}/notes")
    done = verify(system, f"{folder}/{piece}")
    cases.case("one piece alone is checked", done.returncode == 0 and "this file alone" in done.stdout, done.stdout + done.stderr)
    os.rename(f"{out}/c0", f"{system.dir}/c0-away")
    done = verify(system, out)
    cases.case("a cluster that is not in it is said", done.returncode == 0 and "not in it: cluster c0" in done.stdout, done.stdout + done.stderr)
    os.rename(f"{system.dir}/c0-away", f"{out}/c0")
    other = f"{system.dir}/other"
    made = run("system", "local", "--out", other, "--port-base", free_base(8))
    done = run("-s", f"{other}/system.json", "verify", f"{out}/s0")
    cases.case("by another system's file it is foreign", made.returncode == 0 and done.returncode == 1 and "foreign" in done.stderr, done.stderr)
    done = verify(system, out)
    cases.case("and all put back, it is valid again", done.returncode == 0, done.stderr)


def folders(cases, system, idle, rng):
    """Again into the same folder; into one that holds other things; gone on with after an interruption."""
    again = system.client("backup", "--out", idle)
    cases.case("the same folder again: it is checked, and left as it is", again.returncode == 0 and "was there already" in again.stdout,
               again.stdout + again.stderr)
    foreign = f"{system.dir}/foreign"
    os.makedirs(foreign)
    with open(f"{foreign}/letters", "w") as f:
        f.write("x")
    done = system.client("backup", "--out", foreign)
    cases.case("a folder with other things is refused, exit 2, and left alone", done.returncode == 2 and "letters" in done.stderr
               and os.listdir(foreign) == ["letters"], done.stdout + done.stderr)
    begun = f"{system.dir}/begun"
    shutil.copytree(f"{idle}/s0", f"{begun}/s0.part")
    pieces = sorted(n for n in os.listdir(f"{begun}/s0.part") if n.startswith("piece-"))
    gone = rng.sample(pieces, len(pieces) // 2)
    for name in gone[1:]:
        os.remove(f"{begun}/s0.part/{name}")
    with open(f"{begun}/s0.part/{gone[0]}", "r+b") as f:  # torn in the middle of a write
        f.truncate(1000)
    kept = [n for n in pieces if n not in gone]
    before = {n: os.stat(f"{begun}/s0.part/{n}").st_mtime_ns for n in kept}
    unfinished = verify(system, begun)
    cases.case("what is not finished does not pass for a backup", unfinished.returncode == 1 and "was not finished" in unfinished.stderr,
               unfinished.stderr)
    done = system.client("backup", "--out", begun, "--cluster", "s0")
    after = {n: os.stat(f"{begun}/s0/{n}").st_mtime_ns for n in kept} if done.returncode == 0 else None
    cases.case("an interrupted one is gone on with: what was there and good is not taken again", "going on with" in done.stderr and before == after
               and verify(system, begun).returncode == 0, done.stdout + done.stderr)


def who_may(cases, system):
    card = f"{system.dir}/late"
    run("client", "enroll", "--name", "late", "--out", card)
    done = system.client("client", "add", f"{card}/late.card,r:", "--admin", f"{system.root}/admin.key")
    good = done.returncode == 0
    done = run("-s", f"{system.root}/system.json", "--client", f"{card}/late.key", "backup", "--out", f"{system.dir}/late-out")
    cases.case("a client that shards do not know is told so, exit 4", good and done.returncode == 4 and "enrolled later" in done.stderr,
               done.stdout + done.stderr)
    done = run("-s", f"{system.root}/system.json", "--client", f"{card}/late.key", "backup", "--out", f"{system.dir}/late-out", "--cluster", "c0")
    cases.case("and may take a coordinator cluster's, having the right to read every key", done.returncode == 0, done.stdout + done.stderr)
    done = system.client("client", "change", f"{card}/late.card,r:only/", "--admin", f"{system.root}/admin.key")
    good = done.returncode == 0
    done = run("-s", f"{system.root}/system.json", "--client", f"{card}/late.key", "backup", "--out", f"{system.dir}/late-2", "--cluster", "c0",
               "--timeout", 3)
    drops = [(s["dropped"] or {}).get("transfer_rights", 0) for s in system.cluster("c0").values()]
    cases.case("when it may not read every key any more, no node answers it", good and done.returncode == 3 and all(drops),
               f"{done.stdout}{done.stderr}{drops}")


def liar_named(cases, system, out):
    """One node of the shard sends pieces with a flipped bit."""
    system.kill("s0-n1")
    system.programs["s0-n1"] = LIAR
    system.node_env["s0-n1"] = {"HERACLIUS_LIE": "pieces"}
    system.start("s0-n1")
    wait_phase(system, "s0-n1", "voting")
    good, text = to_checkpoint(system, ("s0",))
    done = system.client("backup", "--out", out, "--cluster", "s0", timeout=120)
    named = "s0-n1 sent a bad piece" in done.stderr
    others = [n for n in ("s0-n0", "s0-n2", "s0-n3") if f"{n} sent a bad" in done.stderr]
    cases.case("a node that sends bad pieces is named, nobody else is, and the backup is whole", good and done.returncode == 0 and named
               and not others and verify(system, out).returncode == 0, text + done.stdout + done.stderr)
    system.kill("s0-n1")
    del system.programs["s0-n1"], system.node_env["s0-n1"]
    system.start("s0-n1")
    wait_phase(system, "s0-n1", "voting")


# ---- restoring


def init_from(system, name, key, out, *words, env=None):
    return run("system", "init", "-s", f"{system.root}/system.json", "--node-key", key, "--data", f"{system.root}/{name}", "--from", out, *words,
               env=env)


def wait_height(system, name, prefix, limit_s=60):
    """Until it is as high as its cluster; seconds, or None."""
    began = time.monotonic()
    while time.monotonic() < began + limit_s:
        own = (system.ask(name) or {}).get("height", 0)
        others = [s["height"] for n, s in system.cluster(prefix).items() if n != name]
        if others and own >= max(others):
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def with_old_key(cases, system, out):
    """Its disk is gone; the backup brings the state back, and nothing brings the votes back."""
    victim = "c0-n2"
    system.kill(victim)
    shutil.rmtree(f"{system.root}/{victim}/data")
    os.remove(f"{system.root}/{victim}/node.conf")
    done = init_from(system, victim, f"{system.root}/{victim}/node.key", out)
    cases.case("a node's data are made from the backup, and its key is said to be retired", done.returncode == 0 and "retired" in done.stdout,
               done.stdout + done.stderr)
    mark = len(system.log(victim))
    system.start(victim)
    took = wait_height(system, victim, "c0")
    log = system.log(victim)[mark:]
    height = partition(verify(system, f"{out}/c0", "--json").stdout, "c0")["height"]
    cases.case("it begins at the backup's height", f"initialised node={victim} height={height}" in log, log[-1500:])
    state = system.ask(victim) or {}
    cases.case(f"with its old key it follows, caught up after {took or 0:.1f} s, and never votes", took is not None
               and state.get("phase") == "retired", f"{state.get('phase')} {log[-1500:]}")
    system.kill(victim)
    system.start(victim)
    cases.case("nor after a restart, and it says why", wait_phase(system, victim, "retired")
               and (system.ask(victim) or {}).get("retired_by") == "from_backup", system.ask(victim))
    done = system.client("status", "--json")
    shown = next(x for x in json.loads(done.stdout)["clusters"] if x["cluster"] == "coordinator 0")
    member = next(m for m in shown["members"] if m["name"] == victim)
    cases.case("status counts it among those that do not vote, whatever others still show of it", member["reached"]
               and not member["voting"] and shown["up"] == 3 and shown["may_fail"] == 0, shown)
    root = {s["state_root"] for s in system.cluster("c0").values()} if system.wait_equal("c0", 30) else None
    cases.case("it has the state that the others have", root is not None and len(root) == 1, system.states("c0"))
    return victim


def with_new_key(cases, system, admin, out, old, cluster="s0", name="s0-new"):
    """A new key, begun from the backup: a CONFIG brings it in in the old one's place, it catches up and votes."""
    shown = verify(system, f"{out}/{cluster}", "--json")
    height = partition(shown.stdout, cluster)["height"]
    listen = f"127.0.0.1:{free_base(1)}"
    address_add(system, name, listen)
    keys = f"{system.dir}/keys"
    made = run("node", "enroll", "--name", name, "--out", keys)
    done = init_from(system, name, f"{keys}/{name}.key", out, "--join", cluster, "--listen", listen)
    cases.case("a new node's data are made from the backup", made.returncode == 0 and done.returncode == 0, done.stdout + done.stderr)
    system.start(name)
    cases.case("it begins at the backup's height, and waits for the CONFIG that brings it in", wait_phase(system, name, "observing")
               and system.ask(name)["height"] == height, f"{system.ask(name)} {system.log(name)[-1500:]}")
    signed = f"{name}.signed"
    done = admin.run("new", cluster, "--out", f"{admin.dir}/{name}", "--replace", f"{old}={keys}/{name}.card")
    done = admin.sign(name) if done.returncode == 0 else done
    done = admin.run("observe", f"{admin.dir}/{signed}") if done.returncode == 0 else done
    took = wait_height(system, name, cluster) if done.returncode == 0 else None
    cases.case(f"signed, not decided yet: it looks on, and has caught up after {took or 0:.1f} s", took is not None
               and system.ask(name)["phase"] == "observing", f"{done.stdout}{done.stderr}{system.ask(name)}{system.log(name)[-1500:]}")
    done = admin.submit(signed, 30)
    cases.case("the CONFIG takes effect", done.returncode == 0, done.stdout + done.stderr)
    cases.case("a CONFIG brings it in, and it votes", wait_phase(system, name, "voting"), system.ask(name))
    log = system.log(name)
    cases.case("by blocks, without a state transfer", " transfer_begins " not in log, log[-1500:])
    others = [n for n in system.names if n.startswith(cluster) and n != old]
    system.kill(others[0])
    done = system.client("put", f"needs-{name}", "1", "--timeout", 30)
    cases.case("with another one down nothing goes without its vote, and it goes", done.returncode == 0, done.stdout + done.stderr)
    system.start(others[0])
    wait_phase(system, others[0], "voting")


def bad_backup_makes_nothing(cases, system, out):
    bad = f"{system.dir}/bad"
    shutil.copytree(f"{out}/s0", f"{bad}/s0")
    piece = sorted(n for n in os.listdir(f"{bad}/s0") if n.startswith("piece-"))[-1]
    with open(f"{bad}/s0/{piece}", "r+b") as f:
        f.seek(300)
        byte = f.read(1)[0]
        f.seek(300)
        f.write(bytes([byte ^ 4]))
    system.kill("s0-n2")  # its key is free
    done = init_from(system, "s0-from-bad", f"{system.root}/s0-n2/node.key", bad)
    made = os.path.exists(f"{system.root}/s0-from-bad/data")
    cases.case("of a backup with a flipped bit nothing is made, and the file is named", done.returncode == 2 and piece in done.stderr and not made,
               done.stdout + done.stderr)
    done = init_from(system, "s0-joins", f"{system.root}/s0-n2/node.key", out, "--join", "s0")
    cases.case("nor for a member's key that is to join once more, from nothing", done.returncode == 2 and "the key of s0-n2" in done.stderr
               and not os.path.exists(f"{system.root}/s0-joins/data"), done.stdout + done.stderr)
    done = init_from(system, "s0-from-other", f"{system.root}/s0-n2/node.key", f"{out}/c0")
    cases.case("nor of another cluster's", done.returncode == 2 and "another cluster" in done.stderr, done.stdout + done.stderr)
    full_disk_makes_nothing(cases, system, out, f"{system.root}/s0-n2/node.key")
    system.start("s0-n2")
    wait_phase(system, "s0-n2", "voting")


def full_disk_makes_nothing(cases, system, out, key):
    """The disk is full at one write after the other: a member's key never gets a directory from which it could sign on."""
    subprocess.run(["tests/shim/build", f"{TOP}/build/shim"], cwd=TOP, check=True, timeout=120)
    name = "s0-full-disk"
    root, plan = os.path.abspath(f"{system.root}/{name}"), os.path.abspath(f"{system.dir}/fault")
    env = {"LD_PRELOAD": f"{TOP}/build/shim/faults.so", "FAULT_FILE": plan, "FAULT_ROOT": f"{root}/data"}
    made, text = [], ""
    for write in range(1, 200):
        with open(plan, "w") as f:
            f.write(f"write ENOSPC {write} 0")
        done = init_from(system, name, key, out, env=env)
        if done.returncode == 0:
            break
        text = done.stderr
        made += [write] if os.path.exists(f"{root}/data") else []
    cases.case(f"a disk that is full at any of {write - 1} writes makes no data directory", write > 4 and done.returncode == 0 and not made
               and "disk_full" in text, f"{made} {text} {done.stderr}")
    cases.case("and none of the failures is in the way afterwards", "retired" in done.stdout and not os.path.exists(f"{root}/data.making"),
               done.stdout)


def main():
    cases = Cases()
    long_form = is_long(sys.argv)
    rng = random.Random(seed_of(sys.argv))
    build()
    with System(settings=[f"checkpoint_blocks={K}"]) as system:
        system.start_all()
        if not cases.case("a system with a checkpoint every 16 blocks answers", system.wait_ready()):
            return cases.end()
        early = system.client("backup", "--out", f"{system.dir}/early", "--timeout", 2)
        cases.case("before there is a checkpoint it says so, exit 3", early.returncode == 3 and "no checkpoint yet" in early.stderr
                   and early.stderr.count("to have one: writes make blocks") == 1, early.stdout + early.stderr)
        done = fill(system)
        good, text = to_checkpoint(system)
        if not cases.case("long values are written", done.returncode == 0 and good, done.stderr + text):
            return cases.end()
        out = under_load(cases, system)
        if out is None:
            return cases.end()
        what_is_in_it(cases, f"{out}/s0")
        flips(cases, system, out, 400 if long_form else 24, rng)
        other_damage(cases, system, out)
        settled(system)
        idle = f"{system.dir}/idle"
        done = system.client("backup", "--out", idle)
        cases.case("an idle system too is backed up", done.returncode == 0, done.stdout + done.stderr)
        folders(cases, system, idle, rng)
        who_may(cases, system)
        liar_named(cases, system, f"{system.dir}/with-liar")
        bad_backup_makes_nothing(cases, system, idle)
        with_old_key(cases, system, idle)
        admin = Admin(system)
        system.client("backup", "--out", f"{system.dir}/fresh", "--cluster", "s0")
        with_new_key(cases, system, admin, f"{system.dir}/fresh", "s0-n3")
        good, text = to_checkpoint(system, ("s0",))
        done = system.client("backup", "--out", f"{system.dir}/epoch-1", "--cluster", "s0", "--json")
        p = partition(done.stdout, "s0") if done.returncode == 0 else None
        shown = verify(system, f"{system.dir}/epoch-1")
        cases.case("a backup of a later epoch carries its chain", good and p and p["epoch"] == 1 and shown.returncode == 0,
                   text + done.stdout + done.stderr + shown.stderr)
        if long_form:
            with_new_key(cases, system, admin, f"{system.dir}/epoch-1", "s0-n2", name="s0-newer")
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
