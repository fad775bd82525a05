"""Rows of 1 KiB values: payload a second beside a bare link, and what memcpy moves in a node for each byte of it."""
import json
import os
import statistics
import subprocess
import time

from figures.harness import Result, TOP, Wrong, counters, fill, one, started
from figures.peers import ratio

LINK = "build/gcc/tests/bench/bench_link"
LINK_FRAMES = (65536, 262144, 1048576)
VALUE_BYTES = 1024
SMALL_BYTES = 32
KEYS = 100000
USERS = (32768, 65536)
COPIES_USERS = 4096
COPIES_KEYS = 2000
COPIES_WRITE_S = 1  # the library writes its counts twice a second


def link_once(frame_bytes, seconds):
    done = subprocess.run([os.path.join(TOP, LINK), str(frame_bytes), str(seconds)], cwd=TOP, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode != 0:
        raise Wrong(f"{LINK}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)["payload_bytes_per_second"]


def bare_size(bench):
    """The frame size that is best for a bare link."""
    def make():
        subprocess.run(["make", "-s", LINK], cwd=TOP, check=True, timeout=600)
        tried = {size: link_once(size, 1) for size in LINK_FRAMES}
        return max(tried, key=tried.get)
    return bench.kept("bare link", make)


def bare_link(bench, runs):
    """While no system of ours is up."""
    size = bare_size(bench)
    rates = [link_once(size, 3) for _ in range(runs)]
    if rates:
        bench.tell(f"    bare link, frames of {size:,} bytes: {', '.join(f'{rate / 1e6:,.0f}' for rate in rates)} MB/s")
    return rates


def link(bench):
    """The bare link is measured before and after, as often: what a machine does in a second changes meanwhile."""
    bench.system_close()
    theirs = bare_link(bench, max(1, bench.runs // 2))
    seed = bench.seed + 1
    words = ("--value-bytes", VALUE_BYTES, "--client-keys", 16)  # so that no batch asks for more than a slice may hold
    with started() as system:
        fill(system, seed, KEYS, VALUE_BYTES)
        users, runs = bench.best(USERS, *words, system=system, seed=seed, keys=KEYS)
    theirs += bare_link(bench, len(theirs) if bench.runs > 1 else 0)
    ours = [r.rate * VALUE_BYTES for r in runs]
    values, note = ratio(ours, theirs, "a bare link's")
    return [Result("link", values, f"{note.replace('/s', ' B/s')}; {KEYS:,} keys, {users:,} users", runs)]


def copied(system, name):
    with open(f"{system.dir}/{name}.copies") as f:
        return int(f.read().split()[0])


def counted(bench, system, value_bytes, seed):
    """For each node: (bytes copied, payload received) an operation, GETs of such values."""
    before = {n: (copied(system, n), counters(system, n)["payload_received_bytes"]) for n in system.names}
    run = one(system, "--users", COPIES_USERS, "--value-bytes", value_bytes, seconds=bench.less, seed=seed, keys=COPIES_KEYS, warm_up_ms=0)
    time.sleep(COPIES_WRITE_S)
    return {n: ((copied(system, n) - before[n][0]) / run.summary["reads"],
                (counters(system, n)["payload_received_bytes"] - before[n][1]) / run.summary["reads"]) for n in system.names}


def copies(bench):
    """Two loads that differ in the length of values alone. What the longer ones add is copying of payload; the rest is of requests (each is relayed
    to all coordinators), of headers, votes and proofs, and is told apart."""
    bench.system_close()
    subprocess.run(["tests/shim/build", "build/shim"], cwd=TOP, check=True, timeout=120)
    with started(prepare=preload) as system:
        found = {}
        for size, seed in ((VALUE_BYTES, bench.seed + 2), (SMALL_BYTES, bench.seed + 3)):
            fill(system, seed, COPIES_KEYS, size)
            found[size] = counted(bench, system, size, seed)
    more = VALUE_BYTES - SMALL_BYTES
    slopes = {n: (found[VALUE_BYTES][n][0] - found[SMALL_BYTES][n][0]) / more for n in found[VALUE_BYTES]}
    for n, slope in slopes.items():
        beside = found[SMALL_BYTES][n][0] - slope * SMALL_BYTES
        moved, received = found[VALUE_BYTES][n]
        bench.tell(f"    {n}: {slope:.2f} bytes copied a payload byte; {beside:,.0f} B an operation of requests, relaying and headers; "
                   f"in all {moved:,.0f} B copied and {received:,.0f} B received an operation of {VALUE_BYTES:,} B")
    worst = max(slopes, key=slopes.get)
    return [Result("copies", list(slopes.values()), f"{worst}; each value of a run is a node's; counting build", middle=slopes[worst])]


def preload(system):
    for name in system.names:
        system.node_env[name] = {"LD_PRELOAD": os.path.join(TOP, "build/shim/copies.so"), "COPIES_FILE": f"{system.dir}/{name}.copies"}
