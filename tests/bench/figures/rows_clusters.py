"""Rows of more clusters: does an operation cost the same? All of it on this machine, so what grows is the processor time of an operation."""
import statistics

from figures import machine
from figures.harness import Result, WARM_UP_MS, Wrong, fill, pids_of, started
from figures.report import LeftOut, Missing
from figures.rows_nodes import memory_mib

COUNTS = (1, 2, 4, 8)
USERS_EACH = 65536
CLIENT_KEYS_EACH = 4
MEMORY_SHARE = 0.8  # of what is available
# A run begins with all users in step, and with leaders that hold nothing back yet: at four clusters a side an operation costs the nodes 2.8 to 3.2 us
# for the first 2.5 to 3 s of each run, 2.2 to 2.3 from then on. And users wait their turn at two CPUs for longer the more of them there are: 64 nodes
# answer 524,288 of them after some 3 s.
WARM_UP_MS_EACH = 1000
SECONDS_EACH = 0.75
# What a pair's queue holds at once, it holds after some cycles for the first time: until then its memory is new, and costs page faults. The longer
# warm-ups of the runs have their share of that.
FIRST_SECONDS_EACH = 1
UNREAD = "in no run did bench tell its progress twice, so no processor time was read: give it longer, --seconds S"


def measured(bench, count, runs=None):
    """(runs, MiB of all nodes) with so many clusters a side."""
    with started(coordinators=count, shards=count, bench_keys=max(16, CLIENT_KEYS_EACH * count)) as system:
        fill(system, bench.seed, bench.keys, client_keys=CLIENT_KEYS_EACH * count)
        words = ("--users", USERS_EACH * count, "--client-keys", CLIENT_KEYS_EACH * count)
        bench.run(*words, system=system, seconds=FIRST_SECONDS_EACH * count)
        found = bench.repeat(*words, runs=runs, system=system, seconds=max(bench.less, int(SECONDS_EACH * count)),
                             warm_up_ms=WARM_UP_MS + WARM_UP_MS_EACH * count)
        mib = sum(memory_mib(pid)["Pss"] for pid in pids_of(system).values())
    bench.tell(f"    {count} clusters a side: {8 * count} nodes with {mib:,.0f} MiB in all")
    return found, mib


def costs_of(runs):
    return [r.total_us_per_op() for r in runs if r.cpu]


def several(bench, first_mib):
    """{count: (runs, MiB)} of more than one, and why those that are not there are left out."""
    found, mib = {}, first_mib
    for count in COUNTS[1:]:
        # Twice the nodes, and the same keys, take at most twice the memory.
        if 2 * mib > MEMORY_SHARE * machine.available_mib():
            return found, f"{8 * count} nodes would take up to {2 * mib:,.0f} MiB of {machine.available_mib():,} that are free"
        found[count] = measured(bench, count)
        mib = found[count][1]
    return found, ""


def clusters(bench):
    """One a side is measured before and after the others, as often: minutes lie between, and what a machine does in a second changes meanwhile."""
    bench.system_close()
    before, mib = measured(bench, 1, max(1, bench.runs // 2))
    if not costs_of(before):
        raise Wrong(f"1 cluster a side: {UNREAD}")
    found, why = several(bench, mib)
    after = measured(bench, 1, len(before))[0] if bench.runs > 1 else []
    medians = [statistics.median(costs_of(runs)) for runs in (before, after) if costs_of(runs)]
    base, results = statistics.median(costs_of(before + after)), []
    alone = f"{base:.2f} us ({', then '.join(f'{median:.2f}' for median in medians)})"
    for count in COUNTS[1:]:
        runs, mib = found.get(count, ([], 0))
        costs = costs_of(runs)
        if not runs:
            results.append(LeftOut(f"clusters.{count}", why))
        elif not costs:
            results.append(Missing(f"clusters.{count}", UNREAD))
        else:
            note = (f"{statistics.median(costs):.2f} beside {alone}, {statistics.median(r.rate for r in runs):,.0f}/s, "
                    f"{USERS_EACH * count:,} users; {8 * count} nodes, {mib:,.0f} MiB")
            results.append(Result(f"clusters.{count}", [c / base for c in costs], note, runs))
    return results
