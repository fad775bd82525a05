"""The steps of `make experiment`. Each part yields a dictionary a step, with the columns of experiment.csv."""
from figures import machine
from figures.harness import TOP, fill, one, pids_of, started
from figures.rows_faults import FAULTY, LIES, build, restart
from figures.rows_nodes import memory_mib

COLUMNS = ("part", "clusters", "users", "mix", "zipf", "faults", "offered", "ops_per_second", "p50_ms", "p90_ms", "p99_ms", "us_per_op", "busy",
           "errors", "seconds", "date", "commit")
USERS = tuple(1 << n for n in range(10, 21))
CLUSTERS = (1, 2, 4)
MIX_USERS = (4096, 16384, 65536)
MIXES = ("get", "90:10", "50:50", "put")
ZIPFS = (0.0, 0.5, 0.8, 0.99, 1.2)
ZIPF_USERS = 32768
FAULT_USERS = 65536
FAULT_MIXES = ("get", "50:50")
LOADS = (1000, 3000, 10000, 30000, 60000, 110000)  # a second
LOAD_SHARES = (0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.25, 1.5, 2.0)  # of the peak
LOAD_USERS_MAX = 1 << 20  # above what nodes admit, so that they are the ones who refuse
PEAK_USERS = 65536
PEAK_KEPT = 0.9
CLIENT_KEYS_EACH = 4
WRITE_KEYS = 16
MEMORY_SHARE = 0.8


class Experiment:
    """Options; a step measured and told."""

    def __init__(self, seconds, seed, keys, tell, clusters=CLUSTERS):
        self.seconds, self.seed, self.keys, self.tell, self.clusters = seconds, seed, keys, tell, clusters
        self.about = machine.about(TOP)

    def step(self, system, part, clusters=1, users=0, mix="get", zipf=0.0, faults="none", offered=0, refused=False):
        words = ["--users", users, "--mix", mix, "--client-keys", CLIENT_KEYS_EACH * clusters if mix == "get" else WRITE_KEYS]
        words += (["--zipf", zipf] if zipf else []) + (["--rate", offered] if offered else [])
        run = one(system, *words, seconds=self.seconds, seed=self.seed, keys=self.keys, warm_up_ms=1000 + (0 if offered else users // 256),
                  refused=refused)
        row = {"part": part, "clusters": clusters, "users": users, "mix": mix, "zipf": zipf, "faults": faults, "offered": offered or "",
               "ops_per_second": round(run.rate), "p50_ms": run.latency_ms("p50"), "p90_ms": run.latency_ms("p90"), "p99_ms": run.latency_ms("p99"),
               "us_per_op": round(run.total_us_per_op(), 3), "busy": run.summary.get("busy", 0), "errors": run.summary["errors"],
               "seconds": self.seconds, "date": self.about["date"], "commit": self.about["commit"][:12]}
        self.tell("  " + ", ".join(f"{k} {row[k]}" for k in COLUMNS[:-3] if row[k] not in ("", 0, 0.0, "none")))
        return row

    def filled(self, **options):
        system = started(**options)
        fill(system, self.seed, self.keys)
        return system


def users_part(experiment):
    """The paper's: one client a coordinator cluster, blocking GETs, virtual users doubled from step to step; 1, 2 and 4 clusters a side."""
    mib = 0
    for clusters in experiment.clusters:
        if 2 * mib > MEMORY_SHARE * machine.available_mib():
            experiment.tell(f"  {clusters} clusters a side are left out: {8 * clusters} nodes would take up to {2 * mib:,.0f} MiB")
            return
        with experiment.filled(coordinators=clusters, shards=clusters) as system:
            for users in USERS:
                yield experiment.step(system, "users", clusters, users)
            mib = sum(memory_mib(pid)["Pss"] for pid in pids_of(system).values())


def mixes_part(experiment):
    with experiment.filled() as system:
        for mix in MIXES:
            for users in MIX_USERS:
                yield experiment.step(system, "mixes", users=users, mix=mix)


def zipf_part(experiment):
    with experiment.filled() as system:
        for mix in ("get", "50:50"):
            for zipf in ZIPFS:
                yield experiment.step(system, "zipf", users=ZIPF_USERS, mix=mix, zipf=zipf)


def faults_part(experiment):
    """One faulty node in each cluster at a time: none, dead, and each lie of `make bench`."""
    build()
    with experiment.filled() as system:
        for mix in FAULT_MIXES:
            yield experiment.step(system, "faults", users=FAULT_USERS, mix=mix)
        for name in FAULTY:
            system.kill(name)
        for mix in FAULT_MIXES:
            yield experiment.step(system, "faults", users=FAULT_USERS, mix=mix, faults="dead")
        for lie in LIES:
            restart(system, lie)
            for mix in FAULT_MIXES:
                yield experiment.step(system, "faults", users=FAULT_USERS, mix=mix, faults=lie.replace(",", " "), refused=True)


def load_part(experiment):
    """Latency, from the intended start, over offered load: below the peak, at it, and up to twice of it, where what is over is refused as BUSY."""
    with experiment.filled() as system:
        peak = experiment.step(system, "load", users=PEAK_USERS)
        yield peak
        shares = [int(peak["ops_per_second"] * share) for share in LOAD_SHARES]
        for offered in sorted({n for n in LOADS if n < shares[0]} | set(shares)):
            yield experiment.step(system, "load", users=LOAD_USERS_MAX, offered=offered)


def kept_of(rows, part, experiment):
    """Of what was there, the rows that this part does not measure anew."""
    return [r for r in rows if r["part"] != part or (part == "users" and int(r["clusters"]) not in experiment.clusters)]


PARTS = {"users": users_part, "mixes": mixes_part, "zipf": zipf_part, "faults": faults_part, "load": load_part}


class BadParts(Exception):
    """What was asked for is no part of the experiment."""


def parts_chosen(text):
    names = [n.strip() for n in (text or "").split(",") if n.strip()]
    unknown = [n for n in names if n not in PARTS]
    if unknown or (text and not names):
        raise BadParts(f"no such part: {', '.join(unknown) or text}; parts are {', '.join(PARTS)}")
    return [p for p in PARTS if not names or p in names]


def clusters_chosen(text):
    words = [w.strip() for w in text.split(",")]
    if any(not w.isdigit() or int(w) not in CLUSTERS for w in words):
        raise BadParts(f"no such clusters: {text}; they are {', '.join(map(str, CLUSTERS))}")
    return tuple(n for n in CLUSTERS if str(n) in words)


def overload(rows):
    """(the peak, the most offered, what was then done) of part `load`, or None."""
    load = [r for r in rows if r["part"] == "load"]
    peaks = [float(r["ops_per_second"]) for r in load if r["offered"] in ("", 0)]
    offered = [r for r in load if r["offered"] not in ("", 0)]
    if not peaks or not offered:
        return None
    most = max(offered, key=lambda r: float(r["offered"]))
    return peaks[0], float(most["offered"]), float(most["ops_per_second"])


def overload_kept(rows):
    """Does at twice the load the peak stay? A text for each fault: none if the part was not run."""
    seen = overload(rows)
    if seen is None:
        return []
    peak, offered, done = seen
    if offered < 1.9 * peak:
        return [f"the highest load offered was {offered:,.0f}/s, less than twice the peak of {peak:,.0f}/s"]
    if done < PEAK_KEPT * peak:
        return [f"at {offered:,.0f}/s, twice the peak, {done:,.0f}/s were done: {done / peak:.2f} of the peak, must be {PEAK_KEPT}"]
    return []
