#!/usr/bin/env python3
"""appliance/local, which is behind make run, start, stop, status and reset, with the real programs.

Ends with "N passed, N failed". Called with "long", it also tries four clusters a side and seven nodes a cluster.
"""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
A, B = "build/test-tmp/local-a", "build/test-tmp/local-b"
passed = failed = 0


def case(name, good, text=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    print(f"{'ok  ' if good else 'FAIL'} {name}{'' if good else ': ' + str(text).strip()}", flush=True)
    return good


def local(directory, *words, yes=False, limit_s=120):
    env = {k: v for k, v in os.environ.items() if k != "YES"}
    if yes:
        env["YES"] = "1"
    return subprocess.run(["appliance/local", "--dir", directory] + list(words), stdin=subprocess.DEVNULL, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit_s)


def client(directory, *words):
    return subprocess.run(["./heraclius", "-s", f"{directory}/system.json"] + list(words), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def pids(directory):
    out = {}
    for f in glob.glob(f"{directory}/*/node.pid"):
        with open(f) as g:
            out[f.split("/")[-2]] = int(g.read())
    return out


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def about(directory):
    with open(f"{directory}/local.json") as f:
        return json.load(f)


def page_of(port, page):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as f:
            return f.status, f.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError as e:
        return 0, str(e)


def first_use():
    p = local(A, "status")
    case("status before the first start says that there is nothing, exit 3", p.returncode == 3 and "make start" in p.stdout, p.stdout)
    p = local(A, "start")
    if not case("start from nothing returns after a verified put and get", p.returncode == 0 and "verified put and get" in p.stdout, p.stdout):
        return False
    case("eight nodes run", len(pids(A)) == 8 and all(alive(x) for x in pids(A).values()), pids(A))
    p = local(A, "status")
    case("status names every node, exit 0", p.returncode == 0 and all(f"{k}{0}-n{i}" in p.stdout for k in "cs" for i in range(4)), p.stdout)
    until = time.monotonic() + 20  # three of four serve already; the last may still ask for its newest signatures
    while page_of(about(A)["admin_port"], "readyz")[0] != 200 and time.monotonic() < until:
        time.sleep(0.1)
    for page, want in (("livez", "live"), ("readyz", ""), ("status", '"c0-n0"'), ("metrics", "heraclius_view")):
        code, text = page_of(about(A)["admin_port"], page)
        case(f"the admin serves /{page}", code == 200 and want in text, f"{code} {text[:300]}")
    p = client(A, "put", "kept", "over restarts")
    return case("a put of ours", p.returncode == 0, p.stdout)


def again():
    before = pids(A)
    p = local(A, "start")
    case("start is idempotent: no process is touched", p.returncode == 0 and pids(A) == before, p.stdout)
    os.kill(before["s0-n1"], signal.SIGKILL)
    while alive(before["s0-n1"]):
        time.sleep(0.02)
    p = local(A, "status")
    case("status with a dead node, exit 3", p.returncode == 3 and "down" in p.stdout, p.stdout)
    with open(f"{A}/s0-n1/node.pid", "w") as f:
        f.write(f"{os.getpid()}\n")
    p = local(A, "start")
    after = pids(A)
    case("start brings the dead node back, beside live ones, though its pid file names a stranger",
         p.returncode == 0 and after["s0-n1"] not in (before["s0-n1"], os.getpid()) and alive(after["s0-n1"])
         and all(after[n] == before[n] for n in before if n != "s0-n1"), p.stdout)
    for words in (("--nodes", "7"), ("--shards", "2"), ("--coordinators", "2")):
        p = local(A, "start", *words)
        case(f"start {' '.join(words)} is refused beside existing data, exit 2",
             p.returncode == 2 and "reset" in p.stdout and pids(A) == after, p.stdout)


def side_by_side():
    p = local(B, "start")
    case("a second system starts beside the first", p.returncode == 0, p.stdout)
    a, b = about(A), about(B)
    case("with ports of its own", abs(a["port_base"] - b["port_base"]) > 8, (a, b))
    case("and does not know the first one's key", client(B, "get", "kept").returncode == 1)
    p = local(B, "stop")
    case("stopping it leaves the first alone", p.returncode == 0 and all(alive(x) for x in pids(A).values()), p.stdout)


def stop_and_go_on():
    before = pids(A)
    p = local(A, "stop")
    case("stop stops all, exit 0, none had to be killed",
         p.returncode == 0 and not any(alive(x) for x in before.values()) and "killed" not in p.stdout, p.stdout)
    case("stop again is fine", local(A, "stop").returncode == 0)
    began = time.monotonic()
    p = local(A, "start")
    took = time.monotonic() - began
    case("started again within 5 s", p.returncode == 0 and took < 5, f"{took:.1f} s\n{p.stdout}")
    p = client(A, "get", "kept")
    case("and the data are there", p.returncode == 0 and p.stdout.strip() == "over restarts", p.stdout)


def taken_port():
    local(A, "stop")
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", about(A)["port_base"] + 1))
        s.listen(1)
        p = local(A, "start")
        case("a port taken meanwhile is avoided", p.returncode == 0, p.stdout)
        p = client(A, "get", "kept")
        case("with the data", p.returncode == 0 and p.stdout.strip() == "over restarts", p.stdout)
    local(A, "stop")


def foreground():
    p = subprocess.Popen(["appliance/local", "--dir", A, "run"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, start_new_session=True)
    lines = []
    while "ctrl-C" not in "".join(lines):
        line = p.stdout.readline()
        if not line:
            break
        lines.append(line)
    case("run says where everything is and what to try", sum("./heraclius" in x for x in lines) == 3 and "system.json" in "".join(lines), lines)
    case("run shows a live status line", "8 of 8 nodes up" in p.stdout.readline() or "8 of 8 nodes up" in p.stdout.readline())
    mine = pids(A)
    p.send_signal(signal.SIGINT)
    rest = p.communicate(timeout=60)[0]
    case("ctrl-C stops all cleanly and keeps the data", p.returncode == 0 and not any(alive(x) for x in mine.values())
         and os.path.exists(f"{A}/system.json"), rest)


def reset():
    p = local(A, "reset")
    case("reset asks, and without anybody to ask keeps", p.returncode == 1 and os.path.exists(f"{A}/system.json"), p.stdout)
    p = local(A, "reset", yes=True)
    case("YES=1 reset deletes", p.returncode == 0 and not os.path.exists(A), p.stdout)
    os.makedirs(A)
    with open(f"{A}/mine", "w") as f:
        f.write("x")
    p = local(A, "start")
    case("a folder that is not ours is never taken", p.returncode == 1 and os.path.exists(f"{A}/mine") and len(os.listdir(A)) == 1, p.stdout)
    shutil.rmtree(A)


def statuses():
    """By node, what the admin shows; the nodes' snapshots are no older than what the caller did before."""
    time.sleep(0.3)
    return {x["node"]: x for x in json.loads(page_of(about(A)["admin_port"], "status")[1])["nodes"]}


def of(seen, cluster, field):
    return [x[field] for name, x in sorted(seen.items()) if name.startswith(f"{cluster}-")]


def every_shard_through(coordinator, other, shards):
    """Keys are tried until this coordinator has put one on each shard; another coordinator reads them."""
    keys, first = {}, statuses()
    for turn in range(12 * shards):
        time.sleep(0.5)  # what a node tells of itself is up to a fifth of a second old, and may be of the put before
        before = statuses()
        p = client(A, "--via", f"{coordinator}-n1", "put", f"{coordinator} {turn}", f"value {turn}")
        if p.returncode != 0:
            return case(f"a put through {coordinator}", False, p.stdout)
        until = time.monotonic() + 5
        executed = []
        while not executed and time.monotonic() < until:
            seen = statuses()
            executed = [s for s in (f"s{i}" for i in range(shards)) if max(of(seen, s, "height")) > max(of(before, s, "height"))]
        if len(executed) != 1:
            return case(f"a put through {coordinator} is executed by one shard", False, executed)
        keys.setdefault(executed[0], turn)
        if len(keys) == shards:
            break
    case(f"keys put through {coordinator} are executed by each of {shards} shards", len(keys) == shards, keys)
    for s in keys:
        until = time.monotonic() + 10
        while len(set(of(seen, s, "state_root"))) != 1 and time.monotonic() < until:
            seen = statuses()
        roots = set(of(seen, s, "state_root"))
        case(f"all nodes of {s} have one new state root, and decided", len(roots) == 1 and not roots & set(of(first, s, "state_root"))
             and min(of(seen, s, "decisions")) > min(of(first, s, "decisions")), roots)
        p = client(A, "--via", f"{other}-n1", "get", f"{coordinator} {keys[s]}")
        case(f"{other} reads what {coordinator} put on {s}", p.stdout.strip() == f"value {keys[s]}", p.stdout)
    before, after = of(first, coordinator, "decisions"), of(seen, coordinator, "decisions")
    case(f"and it was {coordinator} that decided them", min(after) >= min(before) + 2 * turn, after)


def grown_since(before, prefix, many, field):
    """The clusters of this kind whose count of `field` grew since; waits until some did."""
    until = time.monotonic() + 5
    while True:
        seen = statuses()
        grown = [i for i in range(many) if max(of(seen, f"{prefix}{i}", field)) > max(of(before, f"{prefix}{i}", field))]
        if grown or time.monotonic() > until:
            return grown


def each_shard_through_its_own(many):
    """Where nobody names a node, a key is put by the coordinators of its shard's number, and by no others."""
    served = {}
    for turn in range(12 * many):
        time.sleep(0.5)  # as above
        before = statuses()
        p = client(A, "put", f"grouped {turn}", "v")
        if p.returncode != 0:
            return case("a put through whichever coordinator", False, p.stdout)
        shards = grown_since(before, "s", many, "height")
        time.sleep(0.5)
        coordinators = grown_since(before, "c", many, "decisions")
        if len(shards) != 1 or shards != coordinators:
            return case("a key is put through its shard's own coordinators alone", False, f"shard {shards}, coordinators {coordinators}")
        served[shards[0]] = coordinators
        if len(served) == many:
            break
    return case(f"keys of each of {many} shards are put through that shard's own coordinators alone", len(served) == many, served)


def taken(many):
    """(coordinator, shard) -> how many slices the shard has taken in."""
    seen, out = statuses(), {}
    for s in range(many):
        for pair in (x for pairs in of(seen, f"s{s}", "pairs") for x in pairs):
            place = (int(pair["cluster"][1:]), s)
            out[place] = max(out.get(place, 0), pair["consumed"])
    return out


def bench_by_groups(many):
    """As many client keys as clusters or more: a shard gets slices of its own coordinators alone; with one key, of that one's for all."""
    out = f"{A}/bench"
    words = ("--client-keys", str(2 * many), "--users", "64", "--seconds", "2", "--keys", "500", "--seed", "9", "--out", out)
    for more in (("--load", "--mix", "get=60,put=20,cas=10,add=5,del=5"), ("--mix", "1:1", "--zipf", "0.99", "--rate", "300"),
                 ("--mix", "put", "--client-keys", "1")):
        before = taken(many)
        p = client(A, "bench", *words, *more)
        case(f"bench {' '.join(more)}", p.returncode == 0, p.stdout)
        with open(f"{out}/summary.json") as f:
            summary = json.load(f)
        case("answers everything, and no shard is told a key that is not its own", summary["errors"] == 0 and
             summary["verification_failures"] == 0 and sum(summary["ops"].values()) > 0, summary)
        time.sleep(0.5)
        after = taken(many)
        wanted = {(c, s) for c in range(many) for s in range(many) if (c == s if "--client-keys" not in more else c == 0)}
        grown = {pair for pair in after if after[pair] > before[pair]}
        case("and slices went from those coordinators to those shards", grown == wanted, f"{sorted(grown)}, not {sorted(wanted)}")


def other_size(words, count):
    p = local(A, "start", *words, limit_s=300)
    case(f"start {' '.join(words)}", p.returncode == 0 and len(pids(A)) == count, p.stdout)
    many = int(words[1]) if words[0] == "--coordinators" else 1
    for i in range(many):
        every_shard_through(f"c{i}", f"c{(i + 1) % many}", many)
    if many > 1:
        each_shard_through_its_own(many)
        bench_by_groups(many)
    local(A, "reset", yes=True, limit_s=300)


def main():
    os.chdir(TOP)
    for d in (A, B):
        local(d, "stop")
        shutil.rmtree(d, ignore_errors=True)
    os.makedirs(os.path.dirname(A), exist_ok=True)
    try:
        if first_use():
            for part in (again, side_by_side, stop_and_go_on, taken_port, foreground, reset):
                part()
            other_size(("--coordinators", "2", "--shards", "2"), 16)
            if "long" in sys.argv:
                other_size(("--nodes", "7"), 14)
                other_size(("--coordinators", "4", "--shards", "4"), 32)
    finally:
        for d in (A, B):
            local(d, "reset", yes=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
