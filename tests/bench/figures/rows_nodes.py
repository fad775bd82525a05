"""Rows of nodes by themselves: at rest, their memory, leaders, checkpoints."""
import re
import time

from figures import cpu
from figures.harness import Result, Wrong, fill, link_bytes, one, pids_of, started
from figures.rows_reads import get_best

IDLE_S = 20
SETTLE_S = 3
LEADER_RUNS = 3
CHECKPOINT_BLOCKS = 64      # one or more a second, so that one goes on in all of a run
NO_CHECKPOINT_BLOCKS = 1048576
CHECKPOINT_WORDS = ("--mix", "50:50", "--users", 16384, "--client-keys", 16, "--ops-per-signature", 256)
CLUSTERS = ("c0", "s0")


def idle(bench):
    system = bench.system()
    time.sleep(SETTLE_S)
    before, began = cpu.sample(pids_of(system)), time.monotonic()
    time.sleep(IDLE_S)
    spent, took = cpu.spent(before, cpu.sample(pids_of(system))), time.monotonic() - began
    percents = {n: 100 * s / took for n, s in cpu.by_process(spent).items()}
    for role in sorted(set(cpu.ROLES.values())):
        threads = {t: 100 * s / took for (r, t), s in cpu.by_role(spent).items() if r == role}
        told = ", ".join(f"{t} {p / 4:.2f}" for t, p in sorted(threads.items(), key=lambda x: -x[1]) if p >= 0.02)
        bench.tell(f"    {role} at rest, % of a CPU by thread: {told}")
    worst = max(percents, key=percents.get)
    return [Result("idle", list(percents.values()), f"{worst}, over {IDLE_S} s; each value is a node's", middle=percents[worst])]


def memory_mib(pid):
    """{Rss, Pss, Anonymous: MiB} of a process."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        found = dict(re.findall(r"^(Rss|Pss|Anonymous):\s+(\d+) kB", f.read(), re.M))
    return {name: int(kb) / 1024 for name, kb in found.items()}


def memory(bench):
    system = bench.system()
    time.sleep(SETTLE_S)
    found = {n: memory_mib(pid) for n, pid in pids_of(system).items()}
    for n, m in found.items():
        bench.tell(f"    {n}: RSS {m['Rss']:,.0f} MiB, PSS {m['Pss']:,.0f}, anonymous {m['Anonymous']:,.0f}")
    worst = max(found, key=lambda n: found[n]["Rss"])
    m = found[worst]
    note = f"{worst}, just filled; PSS {m['Pss']:,.0f}, anonymous {m['Anonymous']:,.0f} MiB, the rest is pages of its files; each value is a node's"
    return [Result("memory", [m["Rss"] for m in found.values()], note, middle=m["Rss"])]


def shares(bench, users):
    """One run: {cluster: (leader's percent of CPU, of bytes)}; None if a leader changed in it, or no processor time was read."""
    system = bench.system()
    leaders = {c: system.leader(c) for c in CLUSTERS}
    before = {n: link_bytes(system, n) for n in system.names}
    run = bench.run("--users", users)
    moved = {n: link_bytes(system, n) - before[n] for n in system.names}
    if not run.cpu or any(system.leader(c) != leaders[c] for c in CLUSTERS):
        return None
    used = cpu.by_process(run.cpu)
    out = {}
    for c, leader in leaders.items():
        members = [n for n in system.names if n.startswith(c)]
        out[c] = tuple(100 * of[leader] / sum(of[n] for n in members) for of in (used, moved))
    return out


def leader(bench):
    """GET with the best user count. Of the two clusters the one whose leader has more counts."""
    users, _ = get_best(bench)
    found = [s for s in (shares(bench, users) for _ in range(min(LEADER_RUNS, bench.runs))) if s]
    if not found:
        raise Wrong("a leader changed in each of the runs, or no processor time was read")
    lines = []
    for i, name in enumerate(("leader.cpu", "leader.bytes")):
        middles = {c: sorted(s[c][i] for s in found)[len(found) // 2] for c in CLUSTERS}
        told = ", ".join(f"{'coordinators' if c == 'c0' else 'shards'} {middles[c]:.1f} %" for c in CLUSTERS)
        lines.append(Result(name, [max(s[c][i] for c in CLUSTERS) for s in found], f"{told}; GET, {users:,} users"))
    return lines


def checkpoints_taken(system):
    return min(s["checkpoint_height"] for s in system.cluster("s0").values())


def checkpoint_system(bench, blocks):
    system = started(settings=[f"checkpoint_blocks={blocks}"])
    fill(system, bench.seed, bench.keys)
    return system


def checkpoints(bench):
    """Two systems that differ in the limit K alone, loaded in turn with reads and writes at half of what they carry; all in one."""
    bench.system_close()
    p99 = {True: [], False: []}
    with checkpoint_system(bench, CHECKPOINT_BLOCKS) as going_on, checkpoint_system(bench, NO_CHECKPOINT_BLOCKS) as none:
        rate = int(one(none, *CHECKPOINT_WORDS, seconds=bench.try_seconds, seed=bench.seed, keys=bench.keys).rate / 2)
        heights = []
        for _ in range(bench.runs):
            before = checkpoints_taken(going_on)
            for system, with_them in ((going_on, True), (none, False)):
                run = bench.run(*CHECKPOINT_WORDS, "--rate", rate, system=system)
                p99[with_them].append(run.latency_ms("p99"))
            heights.append((checkpoints_taken(going_on) - before) // CHECKPOINT_BLOCKS)
        if min(heights) < 1 or checkpoints_taken(none):
            raise Wrong(f"checkpoints in the runs: {heights} with a checkpoint each {CHECKPOINT_BLOCKS} blocks")
    middle = sorted(p99[False])[bench.runs // 2]
    note = (f"{sorted(p99[True])[bench.runs // 2]:.0f} beside {middle:.0f} ms; {bench.keys:,} keys, 50:50 at {rate:,}/s, "
            f"{min(heights)} to {max(heights)} checkpoints a run (K = {CHECKPOINT_BLOCKS})")
    return [Result("checkpoints", [p / middle for p in p99[True]], note)]
