"""What a node program and the image that runs it owe each other (9.5): node.conf, how it is called, exit codes, the control socket.

How the text was read where it says less than a program must know:
- A-21: `system`, `addresses`, `key`, `data` and `listen` are needed; a member of another form is refused (exit code 2), also one that the
  program could do without; `retired` false is as if it were not there. A path is taken as it is if it begins with `/`.
- A-22: `--chain` stands behind whenever there is a block CHAIN; the program is started only where the image's mark says that data were made.
- A-23: what is forgotten after a minute up is the doubling: the end after that waits 0.2 s again. An end that was asked for is none of the
  pauses' business, with whatever code. Refused (2) stays so until the configuration changes, also if the program was asked to end.
- A-22: a first call that fails is followed by the pauses of A-23 as any end is, also with 2; the doubling goes on from the one to the other.
- A-24: what is no object with the one text `ask` is answered with `error`, too. A line that is too long closes the connection; a 17th
  connection is not taken. `voted` is of blocks that became final after it had voted for them since it started; it stays true.
"""
import json

from appliance import CHAIN, FORMS, address_port
from sysfile import parse
from wire import Bad, need

FOLDER = "/data/node/"
PROGRAM = ["/bin/heracliusd", "--config", FOLDER + "node.conf"]
ASKED, REFUSED, DISK = 0, 2, 3
INIT_MS, END_MS = 25000, 10000
PAUSE_MS, PAUSE_MAX_MS, FORGET_MS = 200, 30000, 60000
LINE_MAX, CONNECTIONS = 4096, 16  # the 0x0A is one of the bytes
STATUS = ("node system system_id cluster member members faults ready phase voted epoch view leader height state_root "
          "state_root_height checkpoint_height time_ms uptime_ms decisions view_changes links_up links_known "
          "clients_connected evidence resident_bytes members_seen").split()
SEEN = "member up height view node_id".split()
ASKS = "ready status decide metrics evidence".split()


def node_conf(bundle, retired=False, cpus=None, machine_cpus=1):
    """A-21: what the image writes; threads `auto` is decided by the machine's CPUs (ours: split from four on)."""
    s = bundle.settings
    threads = s.get("threads", "auto")
    out = {"system": "system.json", "addresses": "addresses.json", "key": "node.key", "data": "data", "control": "/run/node/control.sock",
           "listen": bundle.listen, "log_level": s.get("log.level", "info"),
           "threads": threads if threads != "auto" else "split" if machine_cpus >= 4 else "fused"}
    if cpus:
        out["cpus"] = cpus
    if "join" in s:
        out["join"] = s["join"]
    if retired:
        out["retired"] = True
    return json.dumps(out).encode()


class NodeConf:
    """A-21, as the program reads it; Bad is exit code 2."""

    def __init__(self, raw, folder=FOLDER):
        obj = parse(raw)
        need(isinstance(obj, dict), "field-type")
        need(all(n in obj for n in ("system", "addresses", "key", "data", "listen")), "field-missing")
        paths = [n for n in ("system", "addresses", "key", "data", "control") if n in obj]
        need(all(isinstance(obj[n], str) and obj[n] for n in paths), "field-type")
        self.paths = {n: obj[n] if obj[n].startswith("/") else folder + obj[n] for n in paths}
        self.listen = obj["listen"]
        need(isinstance(self.listen, list) and all(isinstance(x, str) for x in self.listen), "field-type")
        need(all(address_port(x) for x in self.listen) and 1 <= len(self.listen) <= 4, "field-range")
        self.log_level, self.threads, self.join = obj.get("log_level", "info"), obj.get("threads", "fused"), obj.get("join")
        need(FORMS["log.level"](self.log_level) and self.threads in ("fused", "split"), "field-range")
        need(self.join is None or isinstance(self.join, str) and FORMS["join"](self.join), "field-range")
        self.retired = obj.get("retired", False)
        need(isinstance(self.retired, bool), "field-type")


def exit_code(start):
    """A-23: of a start that is refused, that finds its disk failing, or goes well until it is asked to end."""
    try:
        start()
    except Bad:
        return REFUSED
    except OSError:
        return DISK
    return ASKED


def first_call(blocks):
    """A-22: how it is called once, before its first start."""
    return [PROGRAM[0], "--init", *PROGRAM[1:]] + (["--chain", FOLDER + "chain"] if CHAIN in blocks else [])


class Machine:
    """A-20, A-22, A-23: what the image does with the program. data: whether its folder is there; made is the image's own mark."""

    def __init__(self):
        self.made, self.data, self.pause, self.refused = False, False, None, False

    def init(self, code, ms):
        """The end of the first call. What a failed one left is gone (A-22)."""
        self.made = self.data = code == ASKED and ms <= INIT_MS
        if not self.made:
            self.wait(ms)
        return self.made

    def call(self, blocks):
        """What is called next, or None."""
        if self.refused or self.made and not self.data:
            return None
        return PROGRAM if self.made else first_call(blocks)

    def ended(self, code, up_ms, asked=False):
        """The pause before it is started again, or None; a signal's code is negative."""
        self.refused = code == REFUSED
        if self.refused or asked:
            self.pause = None
            return None
        return self.wait(up_ms)

    def wait(self, up_ms):
        fresh = self.pause is None or up_ms >= FORGET_MS
        self.pause = PAUSE_MS if fresh else min(2 * self.pause, PAUSE_MAX_MS)
        return self.pause

    def configured(self):
        """The configuration changed."""
        self.refused, self.pause = False, None


def phase(signer, behind=False):
    """A-24: why it does not vote, or `voting`; a retired key says so and stays up (A-23)."""
    if signer.retired is not None:
        return "retired: " + signer.retired
    if not signer.may("PREPARE"):
        return "does not sign"
    return "behind" if behind else "voting"


class Voted:
    """A-24: `voted` and `decide`."""

    def __init__(self):
        self.mine, self.voted, self.wanted = set(), False, False

    def vote(self, block_id):
        self.mine.add(block_id)

    def final(self, block_id):
        self.voted = self.voted or block_id in self.mine
        self.wanted = self.wanted and not self.voted

    def decide(self):
        self.wanted = not self.voted
        return {"voted": self.voted}

    def noop(self, signer, waits):
        """Whether the cluster is asked for one decision now (B-15): once, as soon as it may; waits: one comes by itself."""
        asks = self.wanted and not waits and signer.may("NOOP")
        self.wanted = self.wanted and not asks
        return asks


class Control:
    """A-24: the control socket, by bytes. evidence: (file, bytes) of each, or None."""

    def __init__(self, signer, status=(), behind=False, voted=None, evidence=()):
        self.signer, self.status, self.behind, self.open = signer, dict(status), behind, {}
        self.voted, self.evidence = voted or Voted(), evidence

    def connect(self, who):
        if len(self.open) < CONNECTIONS:
            self.open[who] = b""
        return who in self.open

    def came(self, who, data):
        """The answers to what came; None: closed."""
        *whole, rest = (self.open[who] + data).split(b"\n")
        if any(len(x) >= LINE_MAX for x in (*whole, rest)):
            del self.open[who]
            return None
        self.open[who] = rest
        return b"".join(json.dumps(self.answer(x)).encode() + b"\n" for x in whole)

    def answer(self, line):
        now = phase(self.signer, self.behind)
        ready = {"ready": now == "voting", "phase": now}
        try:
            asked = parse(line)
        except Bad as e:
            return {"error": e.word}
        what = asked.get("ask") if isinstance(asked, dict) else None
        known = {"ready": ready, "status": {**self.status, **ready, "voted": self.voted.voted}, "metrics": {"metrics": []}}
        if what == "decide":
            return self.voted.decide()
        if self.evidence is not None:
            known["evidence"] = {"evidence": [{"file": name, "bytes": size} for name, size in self.evidence]}
        return known[what] if isinstance(what, str) and what in known else {"error": "what is asked is not known"}
