"""Rows of PUT and mixes. Every write is durable at a quorum before it is answered."""
from figures import peers
from figures.harness import Result, fill, started
from figures.rows_reads import middle_ms

SIXTEEN = ("--client-keys", 16, "--ops-per-signature", 256)
PUT_USERS = (8192, 16384, 32768, 65536)
SINGLE_USERS = (1000, 2000, 4000)
SINGLE_KEYS = 1000
MIXED_USERS = (16384, 32768, 65536, 131072)
ZIPF_USERS = 32768
ZIPF = 0.99


def put_best(bench):
    return bench.kept("put", lambda: bench.best(PUT_USERS, "--mix", "put", *SIXTEEN))


def put(bench):
    users, runs = put_best(bench)
    return [Result("put", [r.rate for r in runs], f"{users:,} users, p50 {middle_ms(runs, 'p50')} ms, p99 {middle_ms(runs, 'p99')} ms", runs)]


def beside_etcd(bench):
    theirs = peers.etcd(bench)
    _, runs = put_best(bench)
    return [Result("etcd", *peers.ratio([r.rate for r in runs], theirs), runs)]


def put_single(bench):
    bench.system_close()
    with started(bench_keys=SINGLE_KEYS) as system:
        fill(system, bench.seed, bench.keys)
        users, runs = bench.best(SINGLE_USERS, "--mix", "put", "--client-keys", SINGLE_KEYS, "--ops-per-signature", 1, system=system)
    return [Result("put1000", [r.rate for r in runs], f"{users:,} users, p50 {middle_ms(runs, 'p50')} ms", runs)]


def mixed(bench):
    users, runs = bench.best(MIXED_USERS, "--mix", "90:10", *SIXTEEN)
    return [Result("mixed", [r.rate for r in runs], f"{users:,} users, p50 {middle_ms(runs, 'p50')} ms", runs)]


def zipf(bench):
    """Uniform and Zipf in turn, so that both see the machine alike."""
    words = ("--users", ZIPF_USERS, "--mix", "50:50", *SIXTEEN)
    even, skewed = [], []
    for _ in range(bench.runs):
        even.append(bench.run(*words, seconds=bench.less))
        skewed.append(bench.run(*words, "--zipf", ZIPF, seconds=bench.less))
    return [Result("zipf", *peers.ratio([r.rate for r in skewed], [r.rate for r in even], "uniform"), skewed)]
