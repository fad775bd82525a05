#!/usr/bin/env python3
"""One input log gives one chain: block ids, outbox roots and state roots are the same from every compiler and with every map of threads.

Two halves. tests/appliance/replay_main.c executes a log made from a seed: its lines from gcc -O2, clang -O3 and the sanitizers must be equal. Then
a system of real nodes, in each cluster one fused, one split and pinned, two split with 2 and 4 verifiers and half as many hashers: whoever leads,
all must vote for the same blocks, and have equal state roots at equal heights. determinism.py short|long [SEED]
"""
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, TOP, bench, is_long, seed_of  # noqa: E402

HELPERS = (0, 1, 2, 4)  # threads that help an executor to hash
HELPED = ("gcc", "tsan")
THREADS_SPLIT = ("network", "consensus", "execution", "wal", "state")
THREADS_FUSED = ("node", "wal", "state")
VERIFIERS = {0: None, 1: 0, 2: 2, 3: 4}  # by member; None: fused; hashers are half as many


def verifiers_of(name):
    return VERIFIERS[int(name[-1])]


def workers_of(name):
    return (("verify", verifiers_of(name)), ("hash", verifiers_of(name) // 2))


def replay_compare(cases, rng, flavours, seeds, rounds):
    programs = {f: f"build/{f}/tests/appliance/replay" for f in flavours}
    made = subprocess.run(["make", "--no-print-directory", "-j2"] + list(programs.values()), cwd=TOP, capture_output=True, text=True, timeout=900,
                          env={k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"})
    if not cases.case(f"the replay is built as {', '.join(flavours)}", made.returncode == 0, made.stdout + made.stderr):
        return
    for seed in seeds:
        lines = {}
        for flavour, program in programs.items():
            key = rng.getrandbits(63)  # of the table's hash: a node draws it, so nothing may depend on it
            for helpers in HELPERS if flavour in HELPED else (0,):
                done = subprocess.run([program, str(seed), str(rounds), str(key), str(helpers)], cwd=TOP, capture_output=True, text=True, timeout=600)
                name = f"{flavour}, {helpers} helpers" if helpers else flavour
                if not cases.case(f"seed {seed}: {name} ends well", done.returncode == 0, done.stderr):
                    return
                lines[name] = done.stdout.splitlines()
        first = lines[flavours[0]]
        blocks = sum(line.startswith(("c0 height", "s0 height")) for line in first)
        cases.case(f"seed {seed}: the log is long: {blocks} lines of blocks, rolled back ones, every outcome", is_rich(first, blocks), first[-4:])
        for flavour in list(lines)[1:]:
            differ = next((i for i, (a, b) in enumerate(zip(first, lines[flavour])) if a != b), None)
            same = differ is None and len(first) == len(lines[flavour])
            cases.case(f"seed {seed}: {flavours[0]} and {flavour} give the same {len(first)} lines: {first[-1][:20]}…", same,
                       "lengths" if differ is None else f"\n{first[differ]}\n{lines[flavour][differ]}")
        if seed == seeds[0]:
            other = subprocess.run([programs[flavours[0]], str(seed + 1), str(rounds)], cwd=TOP, capture_output=True, text=True, timeout=600)
            cases.case("another seed gives another chain", other.stdout.splitlines()[-1] != first[-1])


def is_rich(lines, blocks):
    """The counts at the end: enough of everything, else the comparison says little."""
    counts = {}
    for line in lines:
        words = line.split()
        if words[1] == "end":
            counts[words[0]] = {name: int(words[words.index(name) + 1]) for name in ("reads", "writes", "refused", "recorded", "answers", "back")}
    if blocks < 16 or set(counts) != {"c0", "s0"}:
        return False
    coordinator, shard = counts["c0"], counts["s0"]
    return min(coordinator[x] for x in ("reads", "writes", "refused", "answers", "back")) > 20 and min(shard["recorded"], shard["back"]) > 20


def threads_checked(cases, system, cpus):
    """What /status says of the threads, held against the operating system."""
    for name in system.names:
        status = system.ask(name)
        if not cases.case(f"{name} answers", status is not None):
            continue
        shown = {t["name"]: (t["pinned_cpu"], t["running_cpu"]) for t in status["threads"]}
        verifiers = verifiers_of(name)
        is_split = verifiers is not None
        expected = THREADS_SPLIT + tuple(f"{w}{i}" for w, n in workers_of(name) for i in range(n)) if is_split else THREADS_FUSED
        good = status["thread_map"] == ("split" if is_split else "fused") and set(shown) == set(expected)
        cases.case(f"{name} says that it is {status['thread_map']} and names {len(shown)} threads", good, status["threads"])
        known = all(0 <= running < (os.cpu_count() or 1) for _, running in shown.values())
        cases.case(f"{name} shows the CPU that each thread runs on", known, status["threads"])
        if is_split:
            honoured = all(shown[thread] == (cpu, cpu) for thread, cpu in cpus.items())
            cases.case(f"{name}: each thread runs where it is pinned", honoured, status["threads"])
            allowed = kernel_affinities(system.live[name].pid)
            wanted = {cpu: sum(c == cpu for c in cpus.values()) for cpu in set(cpus.values())}
            pinned = all(allowed.count({cpu}) >= count for cpu, count in wanted.items()) if (os.cpu_count() or 1) > 1 else True
            cases.case(f"{name}: the kernel says so too", pinned, allowed)


def workers_checked(cases, system):
    """Under load some of what consensus asked for was found already, and where there are no verifiers nothing is counted."""
    for name in system.names:
        metrics = (system.ask(name, "metrics") or {}).get("metrics", [])
        counted = {m["labels"]["counter"]: m["value"] for m in metrics if m["labels"].get("counter", "").startswith("verifications_")}
        if not verifiers_of(name):
            cases.case(f"{name} has no verifiers, and counts nothing of them", counted == {}, counted)
            continue
        shared = next((m["value"] for m in metrics if m["labels"].get("counter") == "hash_shared"), None)
        if name not in system.restarted and name.startswith("s"):
            cases.case(f"{name}: its hashers were of use: {shared} times", (shared or 0) > 0, shared)
        good = 0 < counted.get("verifications_ahead", 0) <= counted.get("verifications_asked", 0)
        cases.case(f"{name}: its verifiers were of use: {counted.get('verifications_ahead')} of {counted.get('verifications_asked')}", good, counted)


def kernel_affinities(pid):
    out = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            out.append(os.sched_getaffinity(int(thread)))
        except OSError:
            continue
    return out


def fused_and_split(cases, rng, seconds):
    with System() as system:
        usable = sorted(os.sched_getaffinity(0))
        cpus = {thread: usable[i % len(usable)] for i, thread in enumerate(THREADS_SPLIT)}
        for name in system.names:
            verifiers = verifiers_of(name)
            system.change_conf(name, {"threads": "fused"} if verifiers is None else 
                               {"threads": "split", "verifiers": verifiers, "hashers": verifiers // 2, "cpus": cpus})
        system.start_all()
        if not cases.case("a system answers, in each cluster one fused, one split, two with verifiers", system.wait_ready()):
            return
        code, summary, text = bench(system, f"{system.dir}/out", "--users", 64, "--seconds", seconds, "--keys", 200, "--mix", "30:70",
                                    "--client-keys", 4, "--ops-per-signature", 8, "--seed", rng.getrandbits(31))
        cases.case("load: every answer verified", code == 0 and summary and summary["ops_per_second"] > 0, f"exit {code} {summary} {text}")
        code, _, text = bench(system, f"{system.dir}/large", "--users", 2048, "--seconds", seconds, "--keys", 20000, "--mix", "put", "--load",
                              "--client-keys", 4, "--seed", rng.getrandbits(31))
        cases.case("load of large blocks: every answer verified", code == 0, f"exit {code} {text}")
        leaders = kill_leaders(cases, system)
        code, summary, text = bench(system, f"{system.dir}/out2", "--users", 64, "--seconds", seconds, "--keys", 200, "--mix", "30:70",
                                    "--client-keys", 4, "--ops-per-signature", 8, "--seed", rng.getrandbits(31))
        cases.case(f"load again, after {leaders} were killed and came back: every answer verified", code == 0, f"exit {code} {summary} {text}")
        threads_checked(cases, system, cpus)
        workers_checked(cases, system)
        for prefix in ("c0", "s0"):
            root = system.wait_equal(prefix, 40)
            good = root is not None and root[0] > 20
            cases.case(f"{prefix}: fused and split have one state root at one height: {root[0] if root else '-'}", good, system.states(prefix))


def kill_leaders(cases, system):
    """So that nodes of both maps lead: views go on by one, and members alternate."""
    killed = []
    for prefix in ("c0", "s0"):
        name = system.leader(prefix)
        killed.append(name)
        system.kill(name)
        cases.case(f"service goes on without {name}", system.wait_ready(30))
        system.start(name)
    system.restarted = killed
    return " and ".join(killed)


def main():
    seed = seed_of(sys.argv)
    rng = random.Random(seed)
    cases = Cases()
    long = is_long(sys.argv)
    flavours = ("gcc", "clang", "asan", "tsan") if long else ("gcc", "clang", "asan")
    seeds = [1] + [rng.getrandbits(40) for _ in range(40 if long else 2)]
    replay_compare(cases, rng, flavours, seeds, 12000 if long else 1500)
    fused_and_split(cases, rng, 60 if long else 8)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
