"""Fits the model's costs to measured rows, and runs the model. Not a test by itself (no execute bit). Python's standard library only."""
import json
import math
import os
import resource
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(TOP, "build/gcc/tests/model/scale_model")
PAIR_COSTS = os.path.join(TOP, "build/gcc/tests/model/pair_costs")
LINK = os.path.join(TOP, "build/gcc/tests/bench/bench_link")
COSTS = os.path.join(TOP, "tests/model/costs.json")
JITTER = 0.5
NODES = 4


def model(costs, side, users, *words, value_bytes=32):
    """One run; its JSON."""
    out = subprocess.run([MODEL, "--costs", costs, "--side", str(side), "--users", str(users), "--value-bytes", str(value_bytes), *words],
                         capture_output=True, text=True, check=False)
    if out.returncode != 0:
        raise RuntimeError(f"scale_model: {out.stdout}{out.stderr}")
    return json.loads(out.stdout)


def least_squares(rows, wanted, turns=4000):
    """x >= 0 that brings rows * x near to wanted, each error as a share of what is wanted; and those errors."""
    rows = [[a / w for a in row] for row, w in zip(rows, wanted)]
    count = len(rows[0])
    x, left = [0.0] * count, [1.0] * len(rows)
    squares = [sum(row[j] ** 2 for row in rows) for j in range(count)]
    for _ in range(turns):
        for j in range(count):
            if squares[j] == 0:
                continue
            step = sum(row[j] * e for row, e in zip(rows, left)) / squares[j]
            new = max(0.0, x[j] + step)
            if new != x[j]:
                left = [e - row[j] * (new - x[j]) for row, e in zip(rows, left)]
                x[j] = new
    return x, left


def pair_costs():
    """What pairs, slices and parts cost in the executor, from tests/model/pair_costs."""
    found = [json.loads(line) for line in subprocess.run([PAIR_COSTS], capture_output=True, text=True, check=True).stdout.splitlines()]
    kinds = {}
    for row in found:
        kinds.setdefault(row["what"], []).append(row)

    def fit(kind):
        rows = kinds[kind]
        x, _ = least_squares([[1, r["pairs"], r["slices"], r["parts"], r["ops"]] for r in rows], [r["us"] for r in rows])
        return dict(zip(("block", "pair", "slice", "part", "op"), x))

    def slope(kind):
        rows = sorted(kinds[kind], key=lambda r: r["pairs"])
        return (rows[-1]["us"] - rows[0]["us"]) / (rows[-1]["pairs"] - rows[0]["pairs"])

    request, answer, execute = fit("request"), fit("answer"), fit("execute")
    verify = sorted(kinds["verify"], key=lambda r: r["pairs"])
    return {"slice_verify": verify[0]["us"], "path_hash": max(0.0, (verify[-1]["us"] - verify[0]["us"]) / math.log2(verify[-1]["pairs"] / 2)),
            "pair_block": max(0.0, slope("coordinator_empty") + slope("shard_empty")) / 2 + slope("publish"), "pair_turn": slope("turn"),
            "coordinator_part": request["part"] + answer["part"], "shard_part": execute["part"],
            "executor_slice": (request["slice"] + answer["slice"] + execute["slice"]) / 2}


def frame_us(seconds=4):
    """A small frame over a link, both ends: tests/bench/bench_link sends ten for each that its client takes, half a second longer than it counts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([LINK, "512", str(seconds)], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(done.stdout)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    return cpu / (10 * found["frames"]) * found["seconds"] / (found["seconds"] + 0.5)


def crowd(side, crowding):
    """By which CPU costs grow where many clusters share a machine."""
    return 1 + crowding * math.log2(side)


def node_costs(rows, idle_us, small):
    """Decisions, operations, slices, and how much dearer all is in a crowd: least squares over all rows of small values; `small`: pair_costs()."""
    tried = [node_costs_crowded(rows, idle_us, small, step / 50) for step in range(26)]
    return min(tried, key=lambda found: found[1])


def node_costs_crowded(rows, idle_us, small, crowding):
    lines, wanted = [], []
    for r in rows:
        for place, kind in enumerate(("coordinator", "shard")):
            k, line = r[kind], [0.0] * 6
            line[place], line[2 + place], line[4] = k["decisions"], r["ops"], k["slices_in"] + k["slices_out"]
            line[5] = max(0, k["inputs"] - k["slices_in"]) if place == 0 else 0
            lines.append(line)
            wanted.append(k["cpu_s"] * 1e6 / NODES / crowd(r["side"], crowding) - idle_us * r["span_s"] * r["side"]
                          - small["slice_verify"] * k["slices_in"])
    x, left = least_squares(lines, wanted)
    # Of one slice, both ends: decisions and slices grow together in one and two a side, so no less than what was measured of it by itself.
    handling = max(x[4] * 2, small["executor_slice"] + small["frame"])
    costs = {"crowding": crowding, "coordinator_decision": x[0], "shard_decision": x[1], "coordinator_op": x[2], "shard_op": x[3], "batch": x[5],
             "coordinator_slice_in": handling / 2, "shard_slice_in": handling / 2, "coordinator_slice_out": handling / 2,
             "shard_slice_out": handling / 2}
    return costs, (sum(e * e for e in left) / len(left)) ** 0.5


def client_costs(rows, verify_us, crowding):
    """An answer costs the client q signatures and the rest of its turn; there is one per batch."""
    lines = [[max(0, r["coordinator"]["inputs"] - r["coordinator"]["slices_in"]), r["ops"]] for r in rows]
    x, _ = least_squares(lines, [r["client_cpu_s"] * 1e6 / crowd(r["side"], crowding) for r in rows])
    return {"client_answer": max(x[0], verify_us), "client_op": x[1]}


def byte_costs(rows, costs, idle_us):
    """What a byte of value beyond the 32 costs, from the rows with larger values."""
    sums = {"coordinator": [0.0, 0.0], "shard": [0.0, 0.0], "client": [0.0, 0.0]}
    for r in rows:
        more = r["ops"] * (r["value_bytes"] - 32)
        for kind in ("coordinator", "shard"):
            k = r[kind]
            known = (k["decisions"] * costs[f"{kind}_decision"] + r["ops"] * costs[f"{kind}_op"] + idle_us * r["span_s"] * r["side"]
                     + (k["inputs"] - k["slices_in"]) * (costs["batch"] if kind == "coordinator" else 0)
                     + k["slices_in"] * (costs["slice_verify"] + costs[f"{kind}_slice_in"]) + k["slices_out"] * costs[f"{kind}_slice_out"])
            sums[kind][0] += max(0.0, k["cpu_s"] * 1e6 / NODES - known)
            sums[kind][1] += more
        sums["client"][0] += max(0.0, r["client_cpu_s"] * 1e6 - r["ops"] * costs["client_op"])
        sums["client"][1] += more
    return {f"{kind}_byte": (us / of if of else 0.0) for kind, (us, of) in sums.items()}


def save(path, document):
    with open(path, "w") as f:
        json.dump(document, f, indent=1, sort_keys=True)
        f.write("\n")


def routing(row):
    """How the clients sent: rows of before there was a choice do not say it."""
    return row.get("routing", "spread")


def misfit(costs_path, rows, cores, words):
    """Mean square of the logarithms of model over measured: latency, throughput, CPU an operation."""
    total, count = 0.0, 0
    for r in rows:
        got = model(costs_path, r["side"], r["users"], "--shared", str(cores), "--routing", routing(r), *words,
                    *[w for s in r.get("settings", []) for w in ("--set", s)], value_bytes=r["value_bytes"])
        for name, weight in (("p50_ms", 0.5), ("ops_per_second", 0.5), ("cpu_us_per_op", 1.0)):
            total += weight * math.log(got[name] / r[name]) ** 2
            count += weight
    return total / count


def waits(document, path, rows, cores, say=print):
    """sync_ms, hop_ms, disk_ms_per_mb by descent, one after the other; the model decides. `document` is changed and saved at `path`."""
    costs = document["costs"]
    save(path, document)
    words = ["--measured", "10"]
    best = misfit(path, rows, cores, words)
    for factor in (2.0, 1.4, 1.15):
        moved = True
        while moved:
            moved = False
            for name in ("sync_ms", "hop_ms", "disk_ms_per_mb"):
                for by in (factor, 1 / factor):
                    before = costs[name]
                    costs[name] = before * by
                    save(path, document)
                    now = misfit(path, rows, cores, words)
                    if now < best - 1e-5:
                        best, moved = now, True
                    else:
                        costs[name] = before
    save(path, document)
    say(f"waits: sync {costs['sync_ms']:.3f} ms, hop {costs['hop_ms']:.3f} ms, disk {costs['disk_ms_per_mb']:.3f} ms a MB; "
        f"the model is {100 * (math.exp(best ** 0.5) - 1):.0f} % off in the rows that it was fitted to")
    return best
