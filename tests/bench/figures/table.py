"""The rows of `make bench`: what a figure must reach, what it should, and which way is better. A part of the table is chosen by the name of a row."""


class Line:
    """One line of the table. `name`: "row" or "row.part"; `better`: "higher" or "lower"; `scale`: how it is shown."""

    def __init__(self, name, what, unit, must, aim, better="higher", digits=0):
        self.name, self.what, self.unit, self.must, self.aim, self.better, self.digits = name, what, unit, must, aim, better, digits

    @property
    def row(self):
        return self.name.split(".")[0]

    def reaches(self, value, wanted):
        return value >= wanted if self.better == "higher" else value <= wanted

    def ratio(self, value):
        """1 and above: as good as it must be."""
        if self.better == "higher":
            return value / self.must
        return self.must / value if value else float("inf")


LINES = (
    Line("get", "GET, best user count", "/s", 300000, 600000),
    Line("redis", "the same beside redis GET -P 64 -c 50 (one node, no disk)", "x", 1 / 3, 2 / 3, digits=3),
    Line("get4096", "GET, 4,096 users", "/s", 90000, 150000),
    Line("openloop.p50", "GET, open loop at 110,000/s, p50", "ms", 60, 30, "lower", 1),
    Line("openloop.p99", "GET, open loop at 110,000/s, p99", "ms", 120, 60, "lower", 1),
    Line("put", "durable PUT, 16 client keys, at most 256 operations a signature", "/s", 80000, 180000),
    Line("etcd", "the same beside etcd, 3 nodes, put", "x", 8, 20, digits=2),
    Line("put1000", "durable PUT, 1,000 client keys, one operation a signature", "/s", 4000, 7000),
    Line("mixed", "90:10, best user count", "/s", 180000, 400000),
    Line("zipf", "Zipf 0.99, 50:50, beside uniform", "x", 0.9, 1.0, digits=3),
    Line("one", "one user, idle system, GET p50", "ms", 12, 6, "lower", 2),
    Line("link", "GET of 1 KiB values: payload a second beside a bare AEAD link over the same hops", "x", 0.4, 0.7, digits=3),
    Line("faults.dead", "one dead node per cluster, beside fault-free", "x", 0.7, 0.85, digits=3),
    Line("faults.lying", "one lying node per cluster, beside fault-free", "x", 0.7, 0.85, digits=3),
    Line("copies", "bytes moved by memcpy in a node per payload byte, the most of any node", "x", 1.5, 1.0, "lower", 2),
    Line("leader.cpu", "leader's share of its cluster's CPU (25 % is even)", "%", 40, 28, "lower", 1),
    Line("leader.bytes", "leader's share of its cluster's bytes", "%", 40, 28, "lower", 1),
    Line("idle", "CPU of an idle node, the most of any", "%", 1, 0.3, "lower", 2),
    Line("memory", "node's memory, 1 million keys of 32 + 32 bytes (RSS, the most of any)", "MiB", 400, 200, "lower"),
    Line("clusters.2", "2 clusters a side, same users a cluster: CPU per operation beside one", "x", 1.15, 1.05, "lower", 3),
    Line("clusters.4", "4 clusters a side, the same", "x", 1.15, 1.05, "lower", 3),
    Line("clusters.8", "8 clusters a side, the same", "x", 1.15, 1.05, "lower", 3),
    Line("checkpoints", "p99 with checkpoints going on beside without", "x", 1.3, 1.1, "lower", 3),
)
ROWS = tuple(dict.fromkeys(line.row for line in LINES))

MEANS = ("every signature, certificate, proof, MAC and sync as in production; default configuration; three rounds; four nodes per cluster, one "
         "coordinator and one shard cluster; nodes and client on this machine, the client verifying every answer; random 32-byte keys over 1,000,000 "
         "existing ones, 32-byte values; 0 verification failures and 0 errors, BUSY not counted; medians of the runs, after warm-up. Where a row "
         "needs something else, its note says so.")


class BadRows(Exception):
    """What was asked for is no part of the table."""


def rows_chosen(text):
    """The rows named in "get,put", in the table's order; all of them for an empty text."""
    names = [n.strip() for n in (text or "").split(",") if n.strip()]
    unknown = [n for n in names if n not in ROWS]
    if unknown:
        raise BadRows(f"no such row: {', '.join(unknown)}; rows are {', '.join(ROWS)}")
    if text and not names:
        raise BadRows(f"ROWS names no row; rows are {', '.join(ROWS)}")
    return [r for r in ROWS if not names or r in names]


def line_named(name):
    return next(line for line in LINES if line.name == name)
