#!/usr/bin/env python3
"""What is bad from outside, against real processes: files, disks, clocks, limits of the host, and bytes over sockets.

Each gives one clear line that names the file, peer or limit and what to do; a node that cannot run exits with a code other than 0; what comes over a
socket is counted; nothing is lost: afterwards the same node runs again and the data are there. bad_input.py short|long [SEED]
"""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, NODE, TOP, Cases, System, bench, is_long, seed_of, wait  # noqa: E402
import host  # noqa: E402
import members  # noqa: E402

HOSTILE = "build/gcc/tests/system/hostile"
EXIT_STOPPED, EXIT_CONFIG, EXIT_DATA, EXIT_NETWORK = 1, 2, 3, 4


def run_node(system, name, limit_s=10, preexec=None, env=None, conf=None):
    """Starts a node that should refuse to run; (exit code or None when it ran on, its complaint)."""
    process = subprocess.Popen([NODE, "--config", conf or f"{system.root}/{name}/node.conf"], cwd=TOP, env=dict(os.environ, **(env or {})), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=preexec, start_new_session=True)
    try:
        out, err = process.communicate(timeout=limit_s)
        return process.returncode, complaint(out + err)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return None, complaint(out + err) or "it ran on"


def complaint(text):
    """The lines that are not the log's."""
    return "\n".join(line for line in text.splitlines() if not re.match(r"\d{4}-\d\d-\d\dT", line))


def refuses(cases, what, system, name, code, *words, **how):
    got, text = run_node(system, name, **how)
    good = got == code and text.count("\n") == 0 and text.startswith("heracliusd: ") and all(re.search(w, text) for w in words)
    return cases.case(f"{what}: exit {code}, one line: {text if good else ''}", good, f"exit {got}: {text}")


def runs(cases, what, system, name, seconds=2.0):
    """The node runs when what was wrong is gone."""
    system.start(name)
    until = time.monotonic() + seconds + 8
    while time.monotonic() < until and system.running(name) and (system.ask(name) or {"phase": "restoring"})["phase"] == "restoring":
        time.sleep(0.05)
    answer = system.ask(name)
    good = system.running(name) and answer is not None and answer["phase"] != "restoring"
    cases.case(f"{what}: mended, it runs again", good, system.log(name)[-600:])
    return system.kill(name, signal.SIGTERM) if good else None


class Changed:
    """A file with other bytes for a while."""

    def __init__(self, path, change):
        self.path, self.change = path, change

    def __enter__(self):
        with open(self.path, "rb") as f:
            self.before = f.read()
        with open(self.path, "wb") as f:
            f.write(self.change(self.before))

    def __exit__(self, *_):
        with open(self.path, "wb") as f:
            f.write(self.before)


class Aside:
    """A file or folder that is not there for a while; `other` takes its place."""

    def __init__(self, path, other=None):
        self.path, self.other = path, other
        self.away = tempfile.mktemp(prefix="aside-", dir=System.parent())

    def __enter__(self):
        os.rename(self.path, self.away)
        if self.other:
            shutil.copytree(self.other, self.path)

    def __exit__(self, *_):
        if os.path.isdir(self.path):
            shutil.rmtree(self.path)
        os.rename(self.away, self.path)


def flip(rng):
    def change(data):
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
    return change


# ---------------------------------------------------------------- files


def files(cases, system, rng, flips):
    node = f"{system.root}/c0-n0"
    bad = []
    for _ in range(flips):
        with Changed(f"{system.root}/system.json", flip(rng)):
            shown = subprocess.run([CLIENT, "system", "show", f"{system.root}/system.json"], cwd=TOP, capture_output=True, text=True, timeout=20)
            if shown.returncode != 2 or "system.json" not in shown.stderr or shown.stderr.count("\n") != 1:
                bad.append((shown.returncode, shown.stderr))
    cases.case(f"system file: each of {flips} flipped bits is refused in one line with exit 2", not bad, bad)
    with Changed(f"{system.root}/system.json", flip(rng)):
        refuses(cases, "system file with a flipped bit", system, "c0-n0", EXIT_CONFIG, r"system\.json")
    for what in ("system.json", "addresses.json"):
        with Aside(f"{system.root}/{what}"):
            refuses(cases, f"{what} is missing", system, "c0-n0", EXIT_CONFIG, what)
    with Changed(f"{system.root}/addresses.json", lambda data: data.replace(b"c0-n1", b"c9-n1")):
        refuses(cases, "addresses of a node that the system lacks", system, "c0-n0", EXIT_CONFIG, r"addresses\.json")
    with Aside(f"{node}/node.key"):
        refuses(cases, "the key is missing", system, "c0-n0", EXIT_CONFIG, r"node\.key")
    with Changed(f"{node}/node.key", flip(rng)):
        refuses(cases, "key with a flipped bit", system, "c0-n0", EXIT_CONFIG, r"node\.key")
    os.chmod(f"{node}/node.key", 0o644)
    refuses(cases, "a key that others may read", system, "c0-n0", EXIT_CONFIG, r"node\.key", r"chmod|mode|others")
    os.chmod(f"{node}/node.key", 0o600)
    with Aside(f"{node}/node.conf"):
        refuses(cases, "the configuration is missing", system, "c0-n0", EXIT_CONFIG, r"node\.conf")
    with Changed(f"{node}/node.conf", lambda data: data.replace(b'"threads"', b'"thread"')):
        refuses(cases, "unknown field in node.conf", system, "c0-n0", EXIT_CONFIG, r"node\.conf", r"\bthread\b")
    with Changed(f"{node}/node.conf", lambda data: data[:-4]):
        refuses(cases, "node.conf cut off", system, "c0-n0", EXIT_CONFIG, r"node\.conf")
    with Changed(f"{node}/node.conf", lambda data: data.replace(b'"fused"', b'"both"')):
        refuses(cases, "a value out of range in node.conf", system, "c0-n0", EXIT_CONFIG, r"node\.conf", "threads")
    runs(cases, "files", system, "c0-n0")


def assemble(system, cards, out):
    words = [CLIENT, "system", "assemble", "--name", "x", "--admin", f"{system.root}/cards/admin.card", "-k", "1", "--out", out]
    for kind, names in (("--coordinator", cards[:4]), ("--shard", cards[4:])):
        words += [kind, ",".join(names)]
    return subprocess.run(words, cwd=TOP, capture_output=True, text=True, timeout=30)


def cards(cases, system, rng, flips):
    names = [f"{system.root}/cards/{n}.card" for n in system.names]
    bad = []
    for turn in range(flips):
        victim = rng.choice(names)
        with Changed(victim, flip(rng)):
            done = assemble(system, names, f"{system.dir}/flipped-{turn}.json")
            if done.returncode != 2 or os.path.basename(victim) not in done.stderr or done.stderr.count("\n") != 1:
                bad.append((victim, done.returncode, done.stderr))
    cases.case(f"cards: each of {flips} flipped bits is refused in one line that names the card, exit 2", not bad, bad)
    done = assemble(system, names[:3] + [names[0]] + names[4:], f"{system.dir}/twice.json")
    cases.case(f"two nodes with one key: assemble refuses: {done.stderr.strip()}", done.returncode == 2 and done.stderr.count("\n") == 1
               and not os.path.exists(f"{system.dir}/twice.json"), f"{done.returncode} {done.stderr}")
    done = assemble(system, names, f"{system.dir}/good.json")
    cases.case("the untouched cards make a system", done.returncode == 0, done.stderr)


# ---------------------------------------------------------------- data directories


def checksum(tag, key, total, data):
    """store/checksum.h, to give a record of ours a right checksum."""
    mask = (1 << 64) - 1

    def mix(state, word):
        state = ((state ^ word) * 0x9E3779B97F4A7C15) & mask
        return state ^ state >> 32

    def add(state, part):
        state = mix(state, len(part))
        for at in range(0, len(part), 8):
            state = mix(state, int.from_bytes(part[at:at + 8].ljust(8, b"\0"), "little"))
        return state

    return mix(add(add(mix(tag, total), key), data), 0x243F6A8885A308D3) >> 16 & 0xFFFFFFFF


def newer_format(data):
    """The identity record says that a later release wrote it, checksum and all."""
    key, out, at, found = b"identity\0\0\0\0", bytearray(data), 0, 0
    while (at := data.find(b"HRCSTORE", at)) >= 0:
        total = int.from_bytes(data[at - 4:at], "little")
        body = bytearray(data[at:at + total])
        if int.from_bytes(data[at - 8:at - 4], "little") == checksum(0x10, key, total, body):
            body[8:12] = (7).to_bytes(4, "little")
            out[at:at + total] = body
            out[at - 8:at - 4] = checksum(0x10, key, total, body).to_bytes(4, "little")
            found += 1
        at += 8
    assert found, "no identity record found: has the form changed?"
    return bytes(out)


def data_directories(cases, system, other):
    node = f"{system.root}/c0-n0"
    with Aside(f"{node}/data", f"{other.root}/c0-n0/data"):
        refuses(cases, "data of another system", system, "c0-n0", EXIT_DATA, "data", "another system")
    with Aside(f"{node}/data", f"{system.root}/c0-n1/data"):
        refuses(cases, "data of another node", system, "c0-n0", EXIT_DATA, "data", "another node")
    with Aside(f"{node}/data"):
        refuses(cases, "the data are missing", system, "c0-n0", EXIT_DATA, "data", "system init")
    for env in ("wal", "state"):
        with Changed(f"{node}/data/{env}/data.mdb", newer_format):
            refuses(cases, f"{env} of a newer format", system, "c0-n0", EXIT_DATA, env, "newer release")
        # Votes that are lost come from nowhere; a state comes back from peers (and here from the node's own blocks).
        for how, change in (("overwritten", lambda data: b"\x5a" * len(data)), ("emptied", lambda data: b"")):
            with Changed(f"{node}/data/{env}/data.mdb", change):
                if env == "wal":
                    refuses(cases, f"wal {how}", system, "c0-n0", EXIT_DATA, env)
                else:
                    mark = len(system.log("c0-n0"))
                    runs(cases, f"state {how}", system, "c0-n0")
                    cases.case(f"state {how}: it says so", " state_lost " in system.log("c0-n0")[mark:], system.log("c0-n0")[mark:][-800:])
    with Aside(f"{node}/data/wal"):
        refuses(cases, "votes are missing", system, "c0-n0", EXIT_DATA, "wal", "No such file", "disk is mounted", "so are its votes")
    if host.may_drop():
        os.chmod(f"{node}/data", 0)
        refuses(cases, "no permission on the data", system, "c0-n0", EXIT_DATA, "data", "owner|permission|Permission", preexec=host.as_nobody_special)
        os.chmod(f"{node}/data", 0o700)
    runs(cases, "data directory", system, "c0-n0")


def twice(cases, system):
    """One node started twice: by one configuration, by a copy of the key, by another configuration on the same data."""
    system.start("c0-n0")
    wait(lambda: system.ask("c0-n0"), 10)
    refuses(cases, "the same node started twice", system, "c0-n0", EXIT_CONFIG, "in use|another process|locked")
    copy = f"{system.dir}/copy"
    shutil.copytree(f"{system.root}/c0-n0", copy, ignore=shutil.ignore_patterns("*.sock", "log"))
    with open(f"{copy}/node.conf") as f:
        conf = json.load(f)
    conf.update(system=f"{system.root}/system.json", addresses=f"{system.root}/addresses.json", data=f"{system.root}/c0-n0/data")
    with open(f"{copy}/node.conf", "w") as f:
        json.dump(conf, f)
    refuses(cases, "a data directory in use", system, "c0-n0", EXIT_DATA, "data", "other process", conf=f"{copy}/node.conf")
    cases.case("and the first one runs on", system.running("c0-n0") and system.ask("c0-n0") is not None)
    conf["data"] = f"{copy}/data"
    with open(f"{copy}/node.conf", "w") as f:
        json.dump(conf, f)
    refuses(cases, "a copy of the whole node beside it: the port", system, "c0-n0", EXIT_NETWORK, r"127\.0\.0\.1:\d+", conf=f"{copy}/node.conf")
    system.kill("c0-n0", signal.SIGTERM)
    shutil.rmtree(copy)


def copied(cases):
    """A copy of a whole node runs on another port beside the original, which has voted on, and hurts nobody.

    Who dials whom depends on the keys: the copy gets links of members, finds newer votes of its key and retires, or none reaches it, which it says.
    """
    with System() as system:
        system.start_all()
        if cases.case("a copy on another port: ready without it", system.wait_ready()):
            copy_beside(cases, system, "c0-n3", f"{system.dir}/copy")


def copy_beside(cases, system, victim, copy):
    system.kill(victim, signal.SIGTERM)
    shutil.copytree(f"{system.root}/{victim}", copy, ignore=shutil.ignore_patterns("*.sock", "log"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with open(f"{copy}/node.conf") as f:
        conf = json.load(f)
    conf.update(system=f"{system.root}/system.json", addresses=f"{system.root}/addresses.json", listen=f"127.0.0.1:{port}")
    with open(f"{copy}/node.conf", "w") as f:
        json.dump(conf, f)
    system.start(victim)
    voting = members.wait_phase(system, victim, "voting")
    # What the copy knows, too, and maybe a little more: asked before the kill it would be less, and the copy rightly allowed to vote.
    height = system.ask(victim)["prepared_height"]
    until = time.monotonic() + 30
    while time.monotonic() < until and (system.ask(victim) or {"prepared_height": 0})["prepared_height"] <= height + 2:
        system.client("put", "copied", "on")
    cases.case("the original votes on", voting and system.ask(victim)["prepared_height"] > height + 2, system.ask(victim))
    before_all = pids(system)
    with open(f"{copy}/log", "w") as log:
        twin = subprocess.Popen([NODE, "--config", f"{copy}/node.conf"], cwd=TOP, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                start_new_session=True)
    text, line, until = "", "", time.monotonic() + 30
    while time.monotonic() < until and not line:
        time.sleep(0.1)
        with open(f"{copy}/log") as log:
            text = log.read()
        line = next((x for x in text.splitlines() if " key_retired " in x or " asking_long " in x), "")
    cases.case(f"a copy on another port may not vote and says what to do: {line.split(' ', 2)[2] if line else ''}", "do=" in line, text[-800:])
    cases.case("and never voted", " voting " not in text, text[-800:])
    cases.case("beside it the system goes on", system.wait_ready(20) and system.client("get", "copied").stdout == "on\n")
    twin.send_signal(signal.SIGTERM)
    cases.case("it ends when told to", twin.wait(timeout=20) == 0)
    until = time.monotonic() + 15
    while time.monotonic() < until and (system.ask(victim) or {}).get("phase") != "voting":
        time.sleep(0.2)
    status = system.ask(victim) or {}
    cases.case("nobody was stopped by it, and the original votes", pids(system) == before_all and status.get("phase") == "voting", status)


# ---------------------------------------------------------------- limits of the host


def host_limits(cases, system):
    addresses = json.load(open(f"{system.root}/addresses.json"))["nodes"]
    at, port = addresses["c0-n0"]["link"].split(":")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((at, int(port)))
        taken.listen(1)
        refuses(cases, "a port in use", system, "c0-n0", EXIT_NETWORK, f"{at}:{port}", "in use")
    refuses(cases, "no io_uring (not in the kernel)", system, "c0-n0", EXIT_NETWORK, "io_uring", preexec=host.without_io_uring)
    refuses(cases, "no io_uring (forbidden)", system, "c0-n0", EXIT_NETWORK, "io_uring", preexec=host.with_io_uring_forbidden)
    refuses(cases, "too little address space for the store", system, "c0-n0", EXIT_DATA, "wal_map_bytes", "ulimit -v",
            preexec=host.address_space(1 << 30))
    refuses(cases, "too little address space for the table", system, "c0-n0", EXIT_CONFIG, "table_keys_max|table_bytes_max", "ulimit -v",
            preexec=host.address_space((128 << 30) + (600 << 20)))
    refuses(cases, "too few open files", system, "c0-n0", EXIT_NETWORK, "ulimit -n", preexec=host.few_files())
    refuses(cases, "far too few open files", system, "c0-n0", EXIT_CONFIG, "ulimit -n", preexec=host.few_files(20))
    refuses(cases, "too few open files for the control socket", system, "c0-n0", EXIT_CONFIG, "ulimit -n", preexec=host.few_files(18))
    small_memlock(cases, system)
    runs(cases, "limits of the host", system, "c0-n0")


def small_memlock(cases, system):
    node = f"{system.root}/c0-n0"
    host.lend(node, (System.parent(), system.dir, system.root))
    refuses(cases, "no locked memory at all", system, "c0-n0", EXIT_NETWORK, "memlock", "ulimit -l", preexec=host.small_memlock(0))
    for kib in (64, 512):
        log = f"{system.dir}/memlock-{kib}"
        with open(log, "w") as out:
            process = subprocess.Popen([NODE, "--config", f"{node}/node.conf"], cwd=TOP, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       preexec_fn=host.small_memlock(kib), start_new_session=True)
            time.sleep(1.2)
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=30)
        with open(log) as f:
            text = f.read()
        told = [line for line in text.splitlines() if "memlock" in line]
        word = f"is told: {told[0]}" if told else "needs no word"
        cases.case(f"a memlock limit of {kib} KiB ends nothing and {word}", code == 0 and (told or kib > 64), f"{code}: {text[-800:]}")
    host.give_back(node)


# ---------------------------------------------------------------- over sockets


# attack -> (identity, how often, counters of the control socket of which at least one must have moved by so much)
CLIENT_ATTACKS = (
    ("garbage", 40, {"closed_preamble": 1, "closed_handshake": 1, "closed_version_unknown": 1}),
    ("damaged_flight", 20, {"closed_handshake": 5}),
    ("other_system", 10, {"closed_handshake": 10}),
    ("stranger", 10, {"closed_key_unknown": 10}),
    ("replayed_flight", 10, {"accepted": 10}),
    ("half_open", 1, {"closed_ended": 20, "refused_half_open": 20, "evicted_half_open": 20}),
    ("unknown_type", 12, {"closed_frame_type": 8}),
    ("wrong_role", 24, {"closed_frame_type": 24}),
    ("oversized", 5, {"closed_frame_length": 5}),
    ("bad_header", 3, {"closed_frame_header": 3}),
    ("tampered_record", 3, {"closed_record": 3}),
    ("replayed_record", 3, {"closed_record": 3}),
    ("short_record", 4, {"closed_record": 2}),
    ("bad_control", 4, {"closed_control": 2}),
    ("batch_cut", 300, {"batch_malformed": 200}),
    ("batch_flip", 300, {"batch_malformed": 20}),
    ("batch_signature", 50, {"batch_signature": 50}),
    ("batch_random", 300, {"batch_malformed": 250}),
    ("batch_of_another", 50, {"batch_foreign_client": 50}),
    ("batch_replayed", 300, {"heraclius_inputs_decided_total": 1}),
    ("status_flood", 400, {"rate": 1, "malformed": 1}),
)


def counters(system, name):
    """Every number that the node counts, by its own name."""
    out = {}
    for metric in (system.ask(name, "metrics") or {"metrics": []})["metrics"]:
        labels = metric.get("labels", {})
        if not labels:
            out[metric["name"]] = metric["value"]
        for label in ("counter", "cause", "kind"):
            if label in labels:
                out[labels[label]] = out.get(labels[label], 0) + metric["value"]
    return out


def changes(system, name, before):
    """Counter -> by how much it has moved."""
    after = counters(system, name)
    return {k: after.get(k, 0) - before.get(k, 0) for k in set(after) | set(before) if after.get(k, 0) != before.get(k, 0)}


def bad_of(moved):
    return sum(v for k, v in moved.items() if k.startswith("closed_frame") or k in DROPS)


def hostile(system, attack, key, node, seed, count, limit_s=60):
    at, port = json.load(open(f"{system.root}/addresses.json"))["nodes"][node]["link"].split(":")
    return subprocess.run([HOSTILE, attack, f"{system.root}/system.json", key, node, at, port, str(seed), str(count)], cwd=TOP, capture_output=True,
                          text=True, timeout=limit_s)


def pids(system):
    return {n: p.pid for n, p in system.live.items() if p.poll() is None}


class Loads(threading.Thread):
    """One short bench after the other until end(), which gives the exit codes and what those with another code than 0 said."""

    def __init__(self, system):
        super().__init__()
        self.system, self.ended, self.codes, self.said = system, False, [], ""
        self.start()

    def run(self):
        while not self.ended:
            try:
                code, _, text = bench(self.system, f"{self.system.dir}/load", "--users", 8, "--seconds", 3, "--mix", "50:50", "--keys", 50,
                                      "--client-keys", 2)
            except subprocess.TimeoutExpired as late:
                code, text = None, str(late)
            self.codes.append(code)
            self.said += text if code != 0 else ""

    def end(self):
        self.ended = True
        self.join()
        return self.codes, self.said


def over_sockets(cases, system, rng, times):
    target = "c0-n1"
    before_all = pids(system)
    for attack, count, wanted in CLIENT_ATTACKS:
        before = counters(system, target)
        done = hostile(system, attack, f"{system.root}/bench-15.key", target, rng.randrange(1 << 40), count * times)
        moved = {}

        def counted():
            moved.update(changes(system, target, before))
            return done.returncode == 0 and any(moved.get(k, 0) >= v for k, v in wanted.items())

        good = wait(counted, 5)
        shown = ", ".join(f"{k} +{moved[k]}" for k in wanted if k in moved)
        cases.case(f"{done.stdout.strip()}: counted ({shown})", good, f"{done.returncode} {done.stderr} {moved}")
        if pids(system) != before_all:
            break
    cases.case("no node was stopped by it", pids(system) == before_all, [system.log(n)[-400:] for n in system.names if not system.running(n)])
    answered = system.client("get", "hostile", "--timeout", 10)
    cases.case("a good write of the attacker's own, sent hundreds of times, took effect once", answered.stdout == "1\n",
               answered.stdout + answered.stderr)


def with_node_keys(cases, system, rng, times):
    """A member's and a foreign node's key in the hands of a liar: the node whose key it is, is down."""
    for thief, targets in (("c0-n3", ("c0-n0", "s0-n0")), ("s0-n3", ("s0-n1", "c0-n2"))):
        system.kill(thief)
        before_all = pids(system)
        for target in targets:
            for attack, count in (("node_random", 400), ("node_mutate", 600)):
                before = counters(system, target)
                done = hostile(system, attack, f"{system.root}/{thief}/node.key", target, rng.randrange(1 << 40), count * times)
                least = count * times / 16
                good = done.returncode == 0 and wait(lambda: bad_of(changes(system, target, before)) >= least, 5)
                moved = changes(system, target, before)
                said = " ".join(done.stdout.split("\n")).strip()
                cases.case(f"{thief}'s key against {target}: {said}: {bad_of(moved)} counted", good, f"{done.stderr} {moved}")
        good = cases.case(f"with {thief}'s key: no node was stopped by it", pids(system) == before_all,
                          [n + system.log(n)[-400:] for n in system.names if n != thief and not system.running(n)])
        cases.case("and the others serve", good and system.wait_ready(20))
        system.start(thief)
        cases.case(f"{thief} itself votes again", wait(lambda: (system.ask(thief) or {}).get("phase") == "voting", 30), system.ask(thief))


DROPS = ("malformed", "role", "input_relay", "input_unasked", "input_duplicate", "input_malformed", "admin_invalid", "slice_malformed",
         "slice_certificate", "slice_proof", "slice_leaf", "slice_stale", "slice_window", "block_invalid", "block_certificate",
         "consensus_stale", "consensus_signature", "consensus_invalid", "last_signed_invalid", "status_invalid", "rate", "batch_malformed",
         "batch_signature", "batch_unknown_client")


# ---------------------------------------------------------------- clocks, disks, roll-back, ends


def wrong_clocks(cases, rng):
    """One node per cluster years ahead or behind, others that drift: nobody's calendar matters."""
    years = 365 * 86400
    with System() as system:
        wrong = {"c0-n0": (9 * years, 0), "c0-n2": (0, 20000), "s0-n0": (-20 * years, 0), "s0-n1": (3 * years, -20000)}
        for name, (offset, rate) in wrong.items():
            shim = f"{TOP}/build/shim/clock.so"
            system.node_env[name] = {"LD_PRELOAD": shim, "CLOCK_OFFSET_S": str(offset), "CLOCK_RATE_PPM": str(rate)}
        system.start_all()
        if not cases.case("wrong clocks (years off, 2 % fast, 2 % slow): ready", system.wait_ready(40), system.states("c0")):
            return
        code, summary, text = bench(system, f"{system.dir}/out", "--users", 16, "--seconds", 6, "--mix", "50:50", "--keys", 50)
        cases.case("wrong clocks: load without an error", code == 0 and summary["ops_per_second"] > 20, text)
        for prefix in ("c0", "s0"):
            cases.case(f"wrong clocks: {prefix} agrees", system.wait_equal(prefix, 40) is not None, system.states(prefix))
        seen = {n: s["phase"] for p in ("c0", "s0") for n, s in system.cluster(p).items()}
        cases.case("wrong clocks: every node votes", set(seen.values()) == {"voting"}, seen)
        clocks_told(cases, system, {name: offset for name, (offset, _) in wrong.items() if offset})


def clocks_told(cases, system, wrong):
    """Each node whose calendar is far off says so once, and no other does (but one that drifts may come to it)."""
    until = time.monotonic() + 15
    while time.monotonic() < until and not all("clock_differs" in system.log(n) for n in wrong):
        time.sleep(0.2)
    time.sleep(1)
    for name, offset in wrong.items():
        lines = [x for x in system.log(name).splitlines() if " clock_differs " in x]
        told = int(re.search(r"difference_ms=(-?\d+)", lines[0]).group(1)) if lines else 0
        good = len(lines) == 1 and abs(told - 1000 * offset) < 60000 and "set this host's clock" in lines[0]
        cases.case(f"wrong clocks: {name} tells it once: {lines[0].split(' ', 2)[2] if lines else ''}", good, lines)
        shown = (system.ask(name) or {}).get("clock_difference_ms", 0)
        count = counters(system, name)
        cases.case("and shows and counts it", abs(shown - 1000 * offset) < 60000 and count["heraclius_clock_differs_total"] == 1
                   and abs(count["heraclius_clock_difference_ms"] - 1000 * offset) < 60000, f"{shown} {count}")
    right = [n for n in system.names if n not in system.node_env]
    bad = [x for n in right for x in system.log(n).splitlines() if "clock_differs" in x]
    shown = {n: system.ask(n)["clock_difference_ms"] for n in right}
    cases.case("wrong clocks: those that are right say nothing", not bad and max(map(abs, shown.values())) < 1000, f"{bad} {shown}")


def rolled_back(cases, system):
    """A copy of the data, put back after the node has voted on: it retires, votes no more, and names what to do; the others go on."""
    victim = "s0-n2"
    system.kill(victim, signal.SIGTERM)
    shutil.copytree(f"{system.root}/{victim}/data", f"{system.dir}/old")
    system.start(victim)
    cases.case("before the roll-back: ready", system.wait_ready(30))
    # It has to vote on what the copy does not have, and the others to hear it; it may have begun late, while they were ready without it.
    wait(lambda: (system.ask(victim) or {}).get("phase") == "voting", 20)
    voted = (system.ask(victim) or {}).get("prepared_height", 0)
    for i in range(12):
        system.client("put", f"after{i}", i)
    wait(lambda: (system.ask(victim) or {}).get("prepared_height", 0) >= voted + 6, 20)
    now = (system.ask(victim) or {}).get("prepared_height", 0)
    cases.case("before the roll-back: it votes on", now >= voted + 6, f"{voted} {now}")
    time.sleep(1)
    system.kill(victim, signal.SIGTERM)
    shutil.rmtree(f"{system.root}/{victim}/data")
    shutil.copytree(f"{system.dir}/old", f"{system.root}/{victim}/data")
    mark = len(system.log(victim))
    system.start(victim)
    until = time.monotonic() + 20
    while time.monotonic() < until and "key_retired" not in system.log(victim)[mark:]:
        time.sleep(0.1)
    line = next((x for x in system.log(victim)[mark:].splitlines() if "key_retired" in x), "")
    cases.case("a rolled back node finds out and says what to do", "rolled back" in line and "do=" in line, system.log(victim)[mark:][-800:])
    cases.case("it never voted after it came back", " voting " not in system.log(victim)[mark:], system.log(victim)[mark:])
    wait(lambda: (system.ask(victim) or {}).get("phase") == "retired", 10)
    status = system.ask(victim) or {}
    cases.case("its phase is shown as retired, and why", (status.get("phase"), status.get("retired_by")) == ("retired", "newer_signature"), status)
    cases.case("the others go on", system.wait_ready(20) and system.client("get", "after11").stdout == "11\n")
    system.kill(victim)
    mark = len(system.log(victim))
    system.start(victim)
    time.sleep(2)
    status = system.ask(victim) or {}
    cases.case("it stays retired over a restart, and still says why", (status.get("phase"), status.get("retired_by")) ==
               ("retired", "newer_signature") and " voting " not in system.log(victim)[mark:], status)


def disk_full(cases, system, rng):
    """One node on a disk that fills up: it stops, says so, has lost nothing, and comes back when there is room."""
    victim = "c0-n1"
    system.kill(victim, signal.SIGTERM)
    place = f"{system.root}/{victim}/data"
    disk = host.SmallDisk(f"{system.dir}/disk", place, 6 << 20)
    with disk:
        system.start(victim, preexec=None if disk.is_there else disk.preexec)
        load = system.client_background("bench", "--users", 16, "--seconds", 60, "--mix", "put", "--value-bytes", 20000, "--keys", 500,
                                        "--out", f"{system.dir}/fill")
        try:
            code = system.live[victim].wait(timeout=45)
        except subprocess.TimeoutExpired:
            code = None
        load.terminate()
        load.communicate(timeout=30)
        text = complaint(system.log(victim)).splitlines()
        line = text[-1] if text else ""
        good = code == EXIT_DATA and re.search("space|full|large", line, re.I) and "data" in line
        cases.case(f"full disk: exit {EXIT_DATA}: {line}", good, f"{code} {text}")
        cases.case("full disk: the others serve", system.wait_ready(20))
        if disk.is_still_full():
            again = subprocess.run([NODE, "--config", f"{system.root}/{victim}/node.conf"], cwd=TOP, capture_output=True, text=True, timeout=60,
                                   preexec_fn=None if disk.is_there else disk.preexec)
            cases.case("full disk: started again on it, it stops again with a line", again.returncode == EXIT_DATA, again.stderr[-300:])
        disk.grow(2 << 30)
        mark = len(system.log(victim))
        system.start(victim)
        until = time.monotonic() + 30
        while time.monotonic() < until and (system.ask(victim) or {}).get("phase") != "voting":
            time.sleep(0.2)
        status = system.ask(victim) or {}
        cases.case("full disk: with room again it comes back and votes", status.get("phase") == "voting", system.log(victim)[mark:][-500:])
        system.wait_ready(20)  # a block that it executes: before that it states the root that it started from
        cases.case("full disk: all of the cluster agree", system.wait_equal("c0", 40) is not None, system.states("c0"))
        system.kill(victim, signal.SIGTERM)
    system.start(victim)


def wal_fills(cases, system):
    """While a member is away the others keep what it lacks down to the checkpoint before: a store that fills up meanwhile says so at each mark, and
    who is missing."""
    away, victim, mark = "c0-n3", "c0-n2", len(system.log("c0-n2"))
    system.kill(away)
    low = system.ask(victim)["height"]
    load = system.client_background("bench", "--users", 16, "--seconds", 60, "--mix", "put", "--keys", 500, "--out", f"{system.dir}/wal")
    until = time.monotonic() + 40
    while time.monotonic() < until and system.ask(victim)["checkpoint_height"] <= low:
        time.sleep(0.2)
    load.terminate()
    load.communicate(timeout=30)
    wal = system.ask(victim)["wal"]
    cases.case("a member is away: the others show that it holds pruning back", wal["held_back_by_member"] == 3, wal)
    system.kill(victim, signal.SIGTERM)
    size = (wal["bytes"] * 16 // 10 >> 20) + 1 << 20
    system.change_conf(victim, {"wal_map_bytes": size})
    system.start(victim)
    wait(lambda: ((system.ask(victim) or {}).get("wal") or {}).get("held_back_by_member") == 3, 20)  # it has heard the others
    time.sleep(3.5)  # for three seconds after its start a node says nothing of its wal
    load = system.client_background("bench", "--users", 4, "--seconds", 60, "--mix", "put", "--value-bytes", 4000, "--keys", 500,
                                    "--out", f"{system.dir}/fill")
    shown = {}
    while time.monotonic() < until + 60 and system.running(victim):
        shown = counters(system, victim) or shown
        time.sleep(0.2)
    load.terminate()
    load.communicate(timeout=30)
    lines = [x for x in system.log(victim)[mark:].splitlines() if " wal_filling " in x]
    marks = [int(re.search(r"percent=(\d+)", x).group(1)) for x in lines]
    cases.case(f"a wal that fills up: one line at each mark: {lines[-1].split(' ', 2)[2] if lines else ''}",
               marks == [50, 75, 90] and all(f"map_bytes={size} " in x and f"held_back_by={away} " in x for x in lines), lines)
    cases.case("its metrics have both sizes", shown.get("heraclius_wal_map_bytes") == size and shown["heraclius_wal_bytes"] > size / 2, shown)
    text = complaint(system.log(victim)[mark:]).splitlines()
    line = text[-1] if text else ""
    code = system.live[victim].poll()
    cases.case(f"and when it is full: exit {EXIT_DATA}: {line}", code == EXIT_DATA and "wal" in line and "limit" in line, f"{code} {text}")
    system.change_conf(victim, {"wal_map_bytes": 64 << 30})
    system.start(victim)
    system.start(away)
    until = time.monotonic() + 30
    wal, checkpoint = {"pruned_height": 0}, 1
    while time.monotonic() < until and wal["pruned_height"] < checkpoint:
        system.client("put", "prune", "on", "--timeout", 5)  # it prunes along with what it writes
        status = system.ask(victim)
        if status:
            wal, checkpoint = status["wal"], status["checkpoint_height"]
    cases.case("with room again, and the member back, it prunes up to its checkpoint",
               wal["pruned_height"] == checkpoint > low and wal["held_back_by_member"] is None, wal)


def terminated(cases, system):
    """SIGTERM under load: every node ends with 0 within a bound, and nothing that was acknowledged is lost."""
    acknowledged = {}
    load = system.client_background("bench", "--users", 32, "--seconds", 30, "--mix", "50:50", "--keys", 50, "--client-keys", 2,
                                    "--out", f"{system.dir}/term")
    until = time.monotonic() + 3
    while time.monotonic() < until:
        done = system.client("add", "kept", 1, "--timeout", 10, client="bench-5")
        if done.returncode == 0:
            acknowledged["kept"] = int(done.stdout)
    began = time.monotonic()
    for process in system.live.values():
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    codes = {}
    for name, process in system.live.items():
        try:
            codes[name] = process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            codes[name] = None
    took = time.monotonic() - began
    load.kill()
    load.communicate()
    cases.case(f"SIGTERM under load: all exit 0, the last after {took:.1f} s", set(codes.values()) == {0} and took < 10, codes)
    system.start_all()
    back = system.wait_ready(30)
    value = system.client("get", "kept").stdout.strip()
    cases.case(f"SIGTERM under load: the {acknowledged.get('kept')} acknowledged are there", back and value == str(acknowledged.get("kept")), value)


def main():
    rng = random.Random(seed_of(sys.argv))
    long = is_long(sys.argv)
    cases = Cases()
    subprocess.run(["tests/shim/build", f"{TOP}/build/shim"], cwd=TOP, check=True, timeout=120)
    if not os.path.exists(f"{TOP}/{HOSTILE}"):
        subprocess.run(["make", "-s", HOSTILE], cwd=TOP, check=True, timeout=300)
    with System() as system, System() as other:
        files(cases, system, rng, 200 if long else 12)
        cards(cases, system, rng, 100 if long else 10)
        data_directories(cases, system, other)
        twice(cases, system)
        host_limits(cases, system)
    with System() as system:
        for name in ("c0-n1", "s0-n1"):
            system.change_conf(name, {"threads": "split"})
        system.start_all()
        if cases.case("eight nodes answer, two of them with split threads", system.wait_ready()):
            loads = Loads(system)
            try:
                over_sockets(cases, system, rng, 5 if long else 1)
                with_node_keys(cases, system, rng, 10 if long else 1)
            finally:
                codes, said = loads.end()
            cases.case(f"{len(codes)} loads beside all that had no error", set(codes) == {0}, f"{codes} {said[-1500:]}")
            wal_fills(cases, system)
            disk_full(cases, system, rng)
            terminated(cases, system)
            rolled_back(cases, system)
    copied(cases)
    wrong_clocks(cases, rng)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
