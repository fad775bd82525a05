"""Rows of GET."""
from figures import peers
from figures.harness import Result, Wrong

BEST_USERS = (16384, 32768, 65536, 131072, 262144)
CLIENT_KEYS = 16  # so that no client has more than a few batches under way
RATE = 110000
RATE_USERS_MAX = 131072
RATE_REACHED = 0.98


def get_best(bench):
    return bench.kept("get", lambda: bench.best(BEST_USERS, "--client-keys", CLIENT_KEYS))


def get(bench):
    users, runs = get_best(bench)
    return [Result("get", [r.rate for r in runs], f"{users:,} users, p50 {middle_ms(runs, 'p50')} ms, p99 {middle_ms(runs, 'p99')} ms", runs)]


def middle_ms(runs, name):
    return f"{sorted(r.latency_ms(name) for r in runs)[len(runs) // 2]:.1f}"


def beside_redis(bench):
    theirs = peers.redis(bench)
    _, runs = get_best(bench)
    return [Result("redis", *peers.ratio([r.rate for r in runs], theirs), runs)]


def get_4096(bench):
    runs = bench.repeat("--users", 4096)
    return [Result("get4096", [r.rate for r in runs], f"p50 {middle_ms(runs, 'p50')} ms, p99 {middle_ms(runs, 'p99')} ms", runs)]


def open_loop(bench):
    runs = bench.repeat("--users", RATE_USERS_MAX, "--rate", RATE)
    achieved = min(r.rate for r in runs)
    late = sum(r.summary["started_late"] for r in runs)
    if achieved < RATE * RATE_REACHED:
        raise Wrong(f"{RATE:,}/s were offered and {achieved:,.0f}/s done: the queue grew, and a latency says nothing")
    note = f"{achieved:,.0f}/s done, {late:,} operations of all runs waited for a user, latency from the intended start"
    return [Result("openloop.p50", [r.latency_ms("p50") for r in runs], note, runs),
            Result("openloop.p99", [r.latency_ms("p99") for r in runs], note)]


def one_user(bench):
    runs = bench.repeat("--users", 1, "--client-keys", 1, seconds=bench.less)
    return [Result("one", [r.latency_ms("p50") for r in runs], f"p99 {middle_ms(runs, 'p99')} ms", runs)]
