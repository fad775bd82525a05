"""What a node program and the image that runs it owe each other (9.5): node.conf, how it is called, exit codes, the control socket.

How the text was read where it says less than a program must know:
- A-21: `system`, `addresses`, `key`, `data` and `listen` are needed; a member of another form is refused (exit code 2), also one that the
  program could do without; `retired` false is as if it were not there. A path is taken as it is if it begins with `/`.
- A-22: `--chain` stands behind whenever there is a block CHAIN; the program is started only where the image's mark says that data were made.
- A-23: what is forgotten after a minute up is the doubling: the end after that waits 0.2 s again. An end that was asked for is none of the
  pauses' business, with whatever code. Refused (2) stays so until the configuration changes, also if the program was asked to end.
- A-22: a first call that fails is followed by the pauses of A-23 as any end is, also with 2; the doubling goes on from the one to the other.
- A-24: what is no object with the text `ask` is answered with `error`, too. A line that is too long
  closes the connection; a 17th connection is not taken. `voted` is of blocks that became final after it had voted for them since it started; it
  stays true. `hex` has at most 24,576 bytes, in digits twice as many.
- A-25: once `progress` stands still it does so as long as the process runs, whatever the phase is later.
- A-27: where several words are true the first in the text's order is said; of `rolled_back` and `succeeded` the first that there was.
- A-29: `height` and `view` are by a STATUS of any epoch, whoever brought it; of the node itself they are its own. A member that
  `members_seen` lacks is not told as not known, but counted as lost; one that is there without `votes` is as null.
"""
import json
import re

from appliance import ADDRESSES, CHAIN, FORMS, PREDECESSOR, STATEMENT, SYSTEM, address_port
from sysfile import parse
from wire import Bad, need

FOLDER = "/data/node/"
PROGRAM = ["/bin/heracliusd", "--config", FOLDER + "node.conf"]
ASKED, REFUSED, DISK = 0, 2, 3
FILES = {SYSTEM: "system.json", ADDRESSES: "addresses.json", CHAIN: "chain", PREDECESSOR: "predecessor.json", STATEMENT: "statement"}
LEAST_MEMORY = 32 << 20
INIT_MS, END_MS = 25000, 10000
PAUSE_MS, PAUSE_MAX_MS, FORGET_MS = 200, 30000, 60000
LINE_MAX, CONNECTIONS = 4096, 16  # the 0x0A is one of the bytes
STATUS = ("node system system_id cluster member members faults ready phase retired_by voted progress epoch view leader height state_root "
          "state_root_height checkpoint_height time_ms uptime_ms decisions view_changes links_up links_known "
          "clients_connected evidence resident_bytes members_seen").split()
SEEN = "member name up votes height view node_id".split()
ASKS = "ready status decide metrics evidence".split()
NO_VOTE = "retired rolled_back succeeded observing removed sealed".split()
RETIRED = {"P-14 newer": "newer_signature", "P-14 other": "other_signature", "P-15": "memory_damaged", "A-17": "given_up", "P-80": "from_backup"}
ANSWER_MAX, METRICS_MAX = 65536, 262144  # with the 0x0A
FILES_MAX, FILE, PART_MAX = 256, re.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"), 24576
BEHIND, FRESH_MS = 64, 5000
MAY_VOTE, SEALED = 2, 8
SERIAL, ADMIN, TRIAL = "serial console", "admin console", "trial"
BOTH = "log kmsg upgrade restart reboot halt rollback".split()
MAY_ASK = {"status": {SERIAL, ADMIN, TRIAL}, **dict.fromkeys(BOTH, {SERIAL, ADMIN}), **dict.fromkeys(("bless", "fail"), {SERIAL, TRIAL}),
           **dict.fromkeys("config request owner retire adopt".split(), {SERIAL})}


def files_of(blocks):
    """A-20: what is written of a bundle's blocks, by its name in the program's folder."""
    return {FILES[kind]: x for kind, x in blocks.items() if kind in FILES}


def memory_max(total_kib):
    """A-26: what a program may take, of the machine's MemTotal."""
    return (total_kib << 10) - LEAST_MEMORY


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
    if bundle.system.succession:
        out.update(predecessor=FILES[PREDECESSOR], statement=FILES[STATEMENT], backup="backup")
    return json.dumps(out).encode()


class NodeConf:
    """A-21, as the program reads it; Bad is exit code 2."""

    def __init__(self, raw, folder=FOLDER):
        obj = parse(raw)
        need(isinstance(obj, dict), "field-type")
        need(all(n in obj for n in ("system", "addresses", "key", "data", "listen")), "field-missing")
        paths = [n for n in ("system", "addresses", "key", "data", "control", "predecessor", "statement", "backup") if n in obj]
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
    """A-20, A-22, A-23: what the image does with the program. data: whether its folder is there; made is the image's own mark; backup: the names of
    the files in the backup's folder."""

    def __init__(self, backup=()):
        self.backup = set(backup)
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
        if not self.made and STATEMENT in blocks and "chain" not in self.backup:
            return None
        return PROGRAM if self.made else first_call(blocks)

    def ended(self, code, up_ms, asked=False):
        """The pause before it is started again, or None; a signal's code is negative."""
        self.refused = code == REFUSED
        if self.refused or asked:
            self.pause = None
            return None
        return self.wait(up_ms)

    def hung(self, code):
        """A-25: the end of one that hung: it is started at once, whatever the code."""
        self.refused, self.pause = False, None
        return 0

    def wait(self, up_ms):
        fresh = self.pause is None or up_ms >= FORGET_MS
        self.pause = PAUSE_MS if fresh else min(2 * self.pause, PAUSE_MAX_MS)
        return self.pause

    def configured(self):
        """The configuration changed."""
        self.refused, self.pause = False, None


def phase_form(text):
    """A-27."""
    return isinstance(text, str) and re.fullmatch("[a-z_]{1,31}", text) is not None


def phase(signer, behind=False, was_member=False):
    """A-24, A-27: why it does not vote, or `voting`; a retired key says so and stays up (A-23)."""
    if signer.retired is not None:
        return {"P-70": "rolled_back", "S-143": "succeeded"}.get(signer.left, "retired")
    if not signer.member:
        return "removed" if was_member else "observing"
    if signer.sealed:
        return "sealed"
    if not signer.may("PREPARE"):
        return "stopped" if signer.stopped else "asking"
    return "behind" if behind else "voting"


def retired_by(signer):
    """A-28, of a node whose phase is `retired`."""
    return RETIRED.get(signer.retired, "unknown")


def retires(there, whole, found):
    """A-28: for what a start retires the key, or None.

    there: any of the voting memory is; whole: it is as it was written; found: the word of P-14.
    """
    if there and not whole:
        return "P-15"
    return {"newer": "P-14 newer", "other": "P-14 other"}.get(found)


class Progress:
    """A-25: one for each record read, block executed again or taken, piece of a checkpoint taken."""

    def __init__(self):
        self.count, self.done = 0, False

    def did(self, now, count=1):
        """now: the phase."""
        self.done = self.done or now == "voting" or now in NO_VOTE
        self.count += 0 if self.done else count
        return self.count


#

def newest_of(heard, epoch, since_ms=0):
    """The newest STATUS of the epoch, if it came since then; heard: (ms, epoch, STATUS) of what came."""
    of_epoch = [(ms, status) for ms, e, status in heard if e == epoch]
    ms, status = max(of_epoch, key=lambda x: x[0], default=(-1, None))
    return status if ms >= since_ms else None


def sure_height(final, stated, faults):
    """The highest that is final here, or that f+1 others state, each that or a higher one."""
    return max([final] + sorted(stated, reverse=True)[faults:faults + 1])


def who_votes(me, ready, epoch, final, links, now_ms, view_base_ms, faults, others=()):
    """`votes` of each member. links: for each what came on its own link, or None if it is not up; epoch: None in none, or in one that is over;
    others: for each what else there is of it, brought by others or from a link that was lost."""
    since = max(now_ms - max(3 * view_base_ms, FRESH_MS), 0)
    newest = [None if x is None or epoch is None or i == me else newest_of(x, epoch, since) for i, x in enumerate(links)]
    others = others or [[]] * len(links)
    whenever = [newest_of([*(x or ()), *more], epoch) for i, (x, more) in enumerate(zip(links, others)) if i != me]
    sure = sure_height(final, [x.final_height for x in whenever if x], faults)
    votes = [x and x.flags & MAY_VOTE != 0 and x.flags & SEALED == 0 and x.final_height >= sure - BEHIND for x in newest]
    votes[me] = ready
    return votes


def seen_at(heard):
    """(`height`, `view`) of another member; heard: all that came of it, on its own link or by others."""
    last = max(heard, key=lambda x: x[0], default=None)
    return (last[2].final_height, last[2].view) if last else (0, 0)


def may_fail(answer):
    """How many more nodes may fail, by an answer to `status`, and of how many it is not known."""
    votes = [m.get("votes") for m in answer["members_seen"]]
    return votes.count(True) - (answer["members"] - answer["faults"]), votes.count(None)


def machine_asked(who, word, act):
    """A-40: act is done for those alone whose word it is."""
    need(who in MAY_ASK.get(word, ()), "refused")
    return act()


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
    """A-24: the control socket, by bytes. evidence: name -> content of each file, or None."""

    def __init__(self, signer, status=(), behind=False, voted=None, evidence=()):
        self.signer, self.status, self.behind, self.open = signer, dict(status), behind, {}
        self.voted, self.evidence = voted or Voted(), None if evidence is None else dict(evidence)

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
        if now == "retired":
            known["status"]["retired_by"] = retired_by(self.signer)
        if what == "decide":
            return self.voted.decide()
        if what == "evidence" and self.evidence is not None:
            return self.files(asked)
        return known[what] if isinstance(what, str) and what in known else {"error": "what is asked is not known"}

    def files(self, asked):
        """The list, or a part of one file of it."""
        names = sorted(n for n in self.evidence if FILE.fullmatch(n))[:FILES_MAX]
        if "file" not in asked and "from" not in asked:
            return {"evidence": [{"file": n, "bytes": len(self.evidence[n])} for n in names]}
        name, at = asked.get("file"), asked.get("from")
        raw = self.evidence[name] if name in names else b""
        if type(at) is not int or not 0 <= at < len(raw):
            return {"error": "no such file, or nothing of it there"}
        return {"file": name, "bytes": len(raw), "from": at, "hex": raw[at:at + PART_MAX].hex()}
