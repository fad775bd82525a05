"""Runs a real local system and says what a steady second of it cost: CPU by process, decisions, inputs, slices, bytes, operations.

Not a test by itself (no execute bit). `calibrate` and `check` use it. One row is one user count; the figures are differences between two looks at
/proc and at the nodes' metrics (control socket, `ask metrics` and `status`) in the middle of a run of `heraclius bench`, so neither start nor end
of the load is in them.
"""
import fcntl
import glob
import json
import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from cluster import System  # noqa: E402

HANDLES = 4  # client keys per coordinator cluster, as `heraclius bench` has by default with one
ROUTING = "group"  # how `heraclius bench` sends where each coordinator cluster has a client key: to that of the key's group


class Lock:
    """The machine to oneself, if HERACLIUS_MEASURE_LOCK names a file that all who measure lock."""

    def __init__(self):
        self.path = os.environ.get("HERACLIUS_MEASURE_LOCK")
        self.file = None

    def __enter__(self):
        if self.path:
            self.file = open(self.path, "a")
            fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        if self.file:
            self.file.close()


def cpu_ns(pid):
    """(all threads, the main thread) of a process, nanoseconds on a CPU. Threads that ended are not in it: a node ends none while it runs."""
    total = main = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path) as f:
                ns = int(f.read().split()[0])
        except (OSError, IndexError):
            continue
        total += ns
        if path.split("/")[4] == str(pid):
            main = ns
    return total, main


def metric_sums(answer):
    sums = {}
    for m in (answer or {}).get("metrics", []):
        labels = m.get("labels") or {}
        key = m["name"] + "".join(f"[{v}]" for v in labels.values())
        if isinstance(m["value"], (int, float)):
            sums[key] = sums.get(key, 0) + m["value"]
    return sums


def look(system, client_pids):
    """One look at everything: {name: {...}}. The CPU first, of all at once: many nodes on few CPUs take seconds to answer."""
    out = {"wall": time.monotonic(), "client": {"cpu_ns": sum(cpu_ns(pid)[0] for pid in client_pids)}}
    cpu = {name: cpu_ns(system.live[name].pid) for name in system.names}
    for name in system.names:
        total, main = cpu[name]
        sums = metric_sums(system.ask(name, "metrics"))
        status = system.ask(name) or {}
        out[name] = {"cpu_ns": total, "main_ns": main, "decisions": sums.get("heraclius_decisions_total", 0),
                     "inputs": sums.get("heraclius_inputs_decided_total", 0),
                     "slices_in": sum(p["consumed"] for p in status.get("pairs", [])),
                     "slices_out": sum(p["sent"] for p in status.get("pairs", [])),
                     "bytes_in": sums.get("heraclius_counter[payload_received_bytes]", 0),
                     "bytes_out": sums.get("heraclius_counter[payload_sent_bytes]", 0)}
    return out


def wait_busy(system, clusters, limit_s=30):
    """Until each coordinator cluster, or the first of them, decides what the load sends: opening the client's links takes a while, the longer the
    more clusters."""
    first = [n for n in system.names if n.startswith("c") and n.endswith("-n0")][:clusters]
    began = {n: metric_sums(system.ask(n, "metrics")).get("heraclius_inputs_decided_total", 0) for n in first}
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if all(metric_sums(system.ask(n, "metrics")).get("heraclius_inputs_decided_total", 0) > began[n] + 8 for n in first):
            return
        time.sleep(0.05)


def row(system, side, users, seconds, keys, value_bytes, handles, one_key):
    """One steady run: `users` and `handles` (client keys) per coordinator cluster; `one_key`: one client key in all, so all goes by one coordinator
    cluster to all shards. None if it failed (says why)."""
    out = f"{system.dir}/out"
    os.makedirs(out, exist_ok=True)
    client = system.client_background("bench", "--out", out, "--users", users * side, "--seconds", int(seconds), "--keys", keys,
                                      "--seed", value_bytes, "--value-bytes", value_bytes, "--client-keys", 1 if one_key else handles * side)
    wait_busy(system, 1 if one_key else side)
    time.sleep(0.5)
    before = look(system, [client.pid])
    time.sleep(max(0.5, before["wall"] + max(1.0, seconds - 2.0) - time.monotonic()))
    after = look(system, [client.pid])
    _, text = client.communicate(timeout=120)
    if client.returncode != 0:
        print(f"measure: bench with {users} users failed: {text[-300:]}", file=sys.stderr)
        return None
    with open(f"{out}/summary.json") as f:
        summary = json.load(f)
    span = after["wall"] - before["wall"]
    found = {"side": side, "users": users, "value_bytes": value_bytes, "handles": handles, "span_s": span,
             "routing": "one" if one_key else ROUTING,
             "ops_per_second": summary["ops_per_second"],
             "ops": summary["ops_per_second"] * span, "p50_ms": summary["latency_us"]["p50"] / 1000, "p99_ms": summary["latency_us"]["p99"] / 1000,
             "wrong": summary["errors"] + summary["verification_failures"], "busy": summary["busy"],
             "client_cpu_s": (after["client"]["cpu_ns"] - before["client"]["cpu_ns"]) / 1e9}
    for kind, prefix in (("coordinator", "c"), ("shard", "s")):
        names = [n for n in system.names if n.startswith(prefix)]
        delta = {k: sum(after[n][k] - before[n][k] for n in names) for k in before[names[0]]}
        found[kind] = {"cpu_s": delta["cpu_ns"] / 1e9, "main_s": delta["main_ns"] / 1e9,
                       # per cluster: each of its nodes counts the same blocks
                       **{k: delta[k] / 4 for k in ("decisions", "inputs", "slices_in", "slices_out")},
                       "bytes_in": delta["bytes_in"], "bytes_out": delta["bytes_out"]}
    total = found["coordinator"]["cpu_s"] + found["shard"]["cpu_s"] + found["client_cpu_s"]
    found["cpu_us_per_op"] = total * 1e6 / found["ops"] if found["ops"] else None
    return found


def resident_mib(system):
    total = 0
    for name in system.names:
        with open(f"/proc/{system.live[name].pid}/status") as f:
            total += next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    return total / 1024


def seconds_for(side, seconds):
    """Many clusters on few CPUs: one turn of all users takes seconds."""
    return max(seconds, 3 * side // 2)


def rows(side, plan, seconds, keys, settings=(), one_key=False, say=print):
    """`plan`: [(users per coordinator cluster, value bytes[, handles])]. A system of `side` clusters a side, loaded, each row once."""
    results = []
    with Lock(), System(coordinators=side, shards=side, settings=settings, bench_keys=max(16, HANDLES * side)) as system:
        began = time.monotonic()
        system.start_all()
        if not system.wait_ready():
            raise RuntimeError(f"{side} a side: the system did not come up")
        loaded = None
        for users, value_bytes, *handles in sorted(plan, key=lambda p: (-p[1], p[0])):
            if value_bytes != loaded:
                done = system.client("bench", "--out", f"{system.dir}/out", "--users", 1024, "--seconds", 1, "--keys", keys, "--seed", value_bytes,
                                     "--value-bytes", value_bytes, "--load", "--client-keys", HANDLES * side, timeout=120)
                loaded = value_bytes
                if done.returncode != 0:
                    raise RuntimeError(f"loading failed: {done.stderr[-300:]}")
            found = row(system, side, users, seconds_for(side, seconds), keys, value_bytes, *(handles or [HANDLES]), one_key=one_key)
            if found:
                found["settings"] = list(settings)
                results.append(found)
                say(f"{side} a side, {users} users, {value_bytes} B: {found['ops_per_second']:,.0f} ops/s, {found['cpu_us_per_op']:.2f} us CPU an "
                    f"operation, p50 {found['p50_ms']:.1f} ms, decisions {found['coordinator']['decisions']/found['span_s']:.0f}+"
                    f"{found['shard']['decisions']/found['span_s']:.0f}/s, slices {found['shard']['slices_in']/found['span_s']:.0f}/s", flush=True)
        say(f"{side} a side: {resident_mib(system):,.0f} MiB resident in {len(system.names)} nodes; {time.monotonic() - began:.0f} s", flush=True)
    return results


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    commit = subprocess.run(["git", "-C", TOP, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": cpu, "cores": os.cpu_count(), "commit": commit, "date": time.strftime("%Y-%m-%d %H:%M")}
