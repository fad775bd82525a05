"""Systems that are filled and loaded, and one run of `heraclius bench` with the processor time of every process and thread beside it."""
import csv
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from cluster import System  # noqa: E402

from figures import cpu  # noqa: E402

KEYS = 1000000
PROGRESS = re.compile(r"heraclius bench: .*ops/s")
WARM_UP_MS = 1000


class Wrong(Exception):
    """A row that gives no figure: errors, verification failures, something that did not start."""


class Run:
    """One run of bench. `cpu`: {(process, thread): seconds} over a window inside the measured time, in which `ops` were done; empty if it told its
    progress but once."""

    def __init__(self, summary, spent, ops):
        self.summary = summary
        self.cpu = spent
        self.ops = ops

    @property
    def rate(self):
        return self.summary["ops_per_second"]

    def latency_ms(self, name):
        return self.summary["latency_us"][name] / 1000

    def us_per_op(self):
        """{(role, thread): microseconds of processor an operation}."""
        return {key: s / self.ops * 1e6 for key, s in cpu.by_role(self.cpu).items()} if self.ops else {}

    def total_us_per_op(self):
        return sum(self.us_per_op().values())


class Result:
    """What a line of the table got: a value for each run, and what is told beside."""

    def __init__(self, name, values, note="", runs=(), middle=None):
        self.name, self.note = name, note
        self.values = [float(v) for v in values]
        self.value = statistics.median(self.values) if middle is None else float(middle)
        self.lowest, self.highest = min(self.values), max(self.values)
        self.busy = sum(r.summary.get("busy", 0) for r in runs)
        self.us_per_op = middle_of_maps([r.us_per_op() for r in runs])


def middle_of_maps(maps):
    """The median of each entry; of a run that was over before the second sample there is none."""
    maps = [m for m in maps if m]
    keys = dict.fromkeys(k for m in maps for k in m)
    return {k: statistics.median([m.get(k, 0) for m in maps]) for k in keys}


def pids_of(system):
    return {name: process.pid for name, process in system.live.items() if process.poll() is None}


class Sampler(threading.Thread):
    """Reads bench's progress, and with each line of it the processors' time: between the first line and the last lies the window.

    A line comes each second, but later when a turn of a client that shares two CPUs with 64 nodes takes longer; so no clock of ours says when the
    last sample is due. What was done between two lines stands in bench's own series, which has a row for each."""

    def __init__(self, system, process, series):
        super().__init__(daemon=True)
        self.system, self.process, self.series = system, process, series
        self.lines, self.first, self.last, self.samples = [], None, None, 0
        self.start()

    def take(self):
        return cpu.sample(dict(pids_of(self.system), **{cpu.CLIENT: self.process.pid}))

    def run(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if not PROGRESS.search(line):
                continue
            sample = self.take()
            if not any(process == cpu.CLIENT for process, _ in sample):
                break  # bench is over and its time gone: the window ends with the line before
            self.first = self.first or sample
            self.last = sample
            self.samples += 1

    def spent(self):
        """(what cpu.spent() gives, operations done meanwhile); ({}, 0) of fewer than two samples."""
        self.join(timeout=30)
        if self.samples < 2:
            return {}, 0
        with open(self.series, newline="") as f:
            done = [int(row["ops"]) for row in csv.DictReader(f)]
        return cpu.spent(self.first, self.last), sum(done[1:self.samples])


def one(system, *words, seconds, seed, keys=KEYS, warm_up_ms=WARM_UP_MS, refused=False):
    """Runs bench against a live system. Wrong if a value was wrong, an answer did not verify or an operation failed. `refused`: the exit code of a
    run in which clients saw answers that did not verify is no fault: a lying node gave them."""
    out = f"{system.dir}/out"
    os.makedirs(out, exist_ok=True)
    path, series = f"{out}/summary.json", f"{out}/series.csv"
    if os.path.exists(path):
        os.remove(path)
    process = system.client_background("bench", "--out", out, "--series", series, "--seconds", seconds, "--keys", keys, "--seed", seed,
                                       "--warmup-ms", warm_up_ms, *words)
    sampler = Sampler(system, process, series)
    try:
        code = process.wait(timeout=seconds + warm_up_ms / 1000 + 900)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Wrong(f"bench did not end: {' '.join(map(str, words))}")
    spent, ops = sampler.spent()
    process.stdout.close()
    process.stderr.close()
    said = "".join(sampler.lines[-6:]).strip()
    if not os.path.exists(path):
        raise Wrong(f"bench gave no figures (exit {code}): {said}")
    with open(path) as f:
        summary = json.load(f)
    forged = summary["verification_failures"] if not refused else 0
    if summary["errors"] or forged or code not in ((0, 1) if refused else (0,)):
        raise Wrong(f"{summary['errors']} errors, {summary['verification_failures']} verification failures (exit {code}): {said}")
    return Run(summary, spent, ops)


def fill(system, seed, keys=KEYS, value_bytes=32, client_keys=16):
    """Every key gets a value."""
    one(system, "--load", "--users", 1, "--value-bytes", value_bytes, "--client-keys", client_keys, seconds=1, seed=seed, keys=keys, warm_up_ms=0)


def started(prepare=None, **options):
    """A system that answers; the caller closes it. `prepare`: what is done to it before its nodes start."""
    system = System(**options)
    try:
        if prepare:
            prepare(system)
        system.start_all()
        if not system.wait_ready(120):
            raise Wrong("the system did not become ready")
    except BaseException:
        system.__exit__()
        raise
    return system


def counters(system, name):
    """A node's counters by name."""
    answer = system.ask(name, "metrics")
    if not answer:
        raise Wrong(f"{name} does not tell its metrics")
    return {m["labels"]["counter"]: m["value"] for m in answer["metrics"] if m["name"] == "heraclius_counter"}


def link_bytes(system, name):
    """What its sockets sent and received since its start."""
    found = counters(system, name)
    return found["loop_send_bytes"] + found["loop_receive_bytes"]


def ends_in_order():
    """Who is told to end stops what it started."""
    signal.signal(signal.SIGTERM, lambda signum, _: sys.exit(128 + signum))


class Bench:
    """What the rows share: options, the main system (filled when it is first asked for), and what one row measured and others look at."""

    def __init__(self, seed, seconds=8, runs=5, try_seconds=3, keys=KEYS, tell=print):
        self.seed, self.seconds, self.runs, self.try_seconds, self.keys = seed, seconds, runs, try_seconds, keys
        self.less = max(seconds * 5 // 8, 2)  # seconds of a run where a row has many, or needs no more
        self.tell = tell
        self._system = None
        self._kept = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.system_close()

    def system(self):
        if self._system is None:
            self._system = started()
            self.tell(f"  filling: {self.keys:,} keys")
            fill(self._system, self.seed, self.keys)
        return self._system

    def system_close(self):
        if self._system is not None:
            self._system.__exit__()
            self._system = None

    def kept(self, name, make):
        """What `make` gave when this was first asked for."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def run(self, *words, system=None, seconds=None, seed=None, keys=None, **options):
        run = one(system or self.system(), *words, seconds=seconds or self.seconds, seed=seed or self.seed, keys=keys or self.keys, **options)
        if not run.rate and not options.get("refused"):
            raise Wrong(f"nothing was answered in the measured time, and no latency is no short one: {' '.join(map(str, words))}")
        self.tell(f"    {' '.join(str(w) for w in words)}: {run.rate:,.0f}/s, p50 {run.latency_ms('p50'):.1f} ms, "
                  f"p99 {run.latency_ms('p99'):.1f} ms, {run.total_us_per_op():.2f} us/op")
        return run

    def repeat(self, *words, runs=None, **options):
        return [self.run(*words, **options) for _ in range(runs or self.runs)]

    def best_users(self, users, *words, **options):
        """The user count of these with which the rate was highest, briefly tried."""
        rates = {n: self.run("--users", n, *words, seconds=self.try_seconds, **options).rate for n in users}
        return max(rates, key=rates.get)

    def best(self, users, *words, **options):
        """(the best user count, its runs)."""
        best = self.best_users(users, *words, **options)
        return best, self.repeat("--users", best, *words, **options)
