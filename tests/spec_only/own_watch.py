"""Checks of our own for A-25 and A-26: a program that hangs, and what it may not do."""
import re

import watch
from contract import ANSWER_MAX, LEAST_MEMORY, METRICS_MAX, Control, Machine
from spec_text import lines
from voting import Signer
from watch import (ACTS, AGAIN_MS, DEVICES, EACH_MS, HANG_MS, INIT_LOCKED, NEVER, READS, WRITES, Watch, ends, fails, is_answer, locks, may,
                   sees, share, well)


def add(r, path):
    tables(r, path)
    health(r)
    hangs(r)
    confined(r)


def tables(r, path):
    """The numbers and names that the rules have, whatever stands around them."""
    text = "\n".join(lines(path, "appliance"))

    def rule(name, behind):
        return text[text.index("- **%s**" % name):text.index("- **%s**" % behind)]

    def numbers(of):
        found = re.findall(r"\b([0-9][0-9,]*) (seconds|minutes|MiB|files|descriptors|threads|%)", of)
        return sorted({(int(x.replace(",", "")), unit) for x, unit in found})
    r.equal("A-25 numbers", sorted([(watch.WELL_MS // 1000, "seconds"), (watch.BEGIN_MS // 1000, "seconds"), (HANG_MS // 1000, "seconds"),
                                    (AGAIN_MS // 60000, "minutes")]), numbers(rule("A-25", "A-26")))
    confinement = rule("A-26", "A-40")
    r.equal("A-26 numbers", sorted([
        (watch.DESCRIPTORS, "descriptors"), (watch.THREADS, "threads"), (watch.RUN_BYTES >> 20, "MiB"), (watch.RUN_FILES, "files"),
        (watch.SHARE, "%"), (watch.INIT_DESCRIPTORS, "descriptors"), (INIT_LOCKED >> 20, "MiB"), (LEAST_MEMORY >> 20, "MiB")]), numbers(confinement))
    first = confinement.split("\n")[0]
    r.equal("A-26 files", sorted(READS + DEVICES + WRITES), sorted({x for x in re.findall("`(/[^`]*)`", first)}))
    names = {"CAP_IPC_LOCK", "tgkill", "EPERM", "io_uring"}
    r.equal("A-26 names", names, names & set(re.findall(r"\w+", first)))


def health(r):
    r.facts("A-25 well", [
        ("not judged in the first 10 seconds", [None, None], lambda: [well(9999, x) for x in (0, None)]),
        ("then it is", [True, False], lambda: [well(10000, x) for x in (0, None)]),
        ("within 5 seconds", [True, False], lambda: [well(60000, x) for x in (5000, 5001)])])


def hangs(r):
    def looks(*steps):
        """(what, ms): whether it is asked to end, at each question."""
        w, out = Watch(), []
        for what, *ms in steps:
            if what == "until":
                begin, end = ms
                out.append([x for x in range(begin, end + 1, EACH_MS) if w.question(x)])
            elif what == "question":
                out.append(w.question(*ms))
            else:
                getattr(w, what)(*ms)
        return out

    def asked(answers, until, takes=0):
        """When a program is asked to end that answers, within 1 ms, questions so long after its first one."""
        w, first, out = Watch(), 0, []
        for ms in range(0, until, EACH_MS):
            if ms < first:
                continue
            if w.question(ms):
                out.append(ms)
                w.started()
                first = ms + takes + EACH_MS
            elif ms - first in answers:
                w.answered(ms + 1)
        return out
    hour, all_ = 3600000, ("until", 0, HANG_MS)
    every = [HANG_MS + i * AGAIN_MS for i in range(6)]
    r.facts("A-25 hangs", [
        ("60 seconds from the first question", [[HANG_MS]], lambda: looks(all_)),
        ("whenever that is", [[7000 + HANG_MS]], lambda: looks(("until", 7000, 7000 + HANG_MS))),
        ("from its last answer", [[], [], [115000]], lambda: looks(("until", 0, 55000), ("answered", 55000), ("until", 60000, 110000), (
            "until", 115000, 115000))),
        ("which is later than its question", [[], []], lambda: looks(("until", 0, 50000), ("answered", 50001), ("until", 55000, 110000))),
        ("a machine that stood still", [False, False, [hour + 55000]], lambda: looks(("question", 0), ("question", hour), (
            "until", hour + 5000, hour + 55000))),
        ("and stands still each time", [False] * 12 + [True], lambda: looks(*[("question", i * hour) for i in range(13)])),
        ("another process: from the first question to that", [[60000], [], [710000]], lambda: looks(all_, ("started",), ("until", 600000, 645000), (
            "started",), ("until", 650000, 710000))),
        ("once in 10 minutes, from one asking to the next", [[60000], [], False, True], lambda: looks(all_, ("started",), ("until", 65000, 650000), (
            "question", 659999), ("question", 660000))),
        ("and not before it hangs", [[60000], [], [710000]], lambda: looks(all_, ("started",), ("until", 65000, 650000), ("answered", 650000), (
            "until", 655000, 710000))),
        ("one that never answers", every, lambda: asked((), hour)), ("that takes its 10 seconds to end", every, lambda: asked((), hour, 10000)),
        ("one that answers each eleventh question", [], lambda: asked(range(0, hour, 55000), hour)),
        ("one that answers its first question alone", [65000], lambda: asked((0,), AGAIN_MS)),
        ("asked again while it ends: no", [[60000], []], lambda: looks(all_, ("until", 65000, 70000)))])

    def answered(line):
        """What a program of ours answers."""
        c = Control(Signer())
        c.connect(0)
        return c.came(0, line)
    long = lambda n: b'{"x":"' + b"0" * (n - 9) + b'"}\n'
    r.facts("A-25 answers", [
        ("any word of A-24, and `error`", [True] * 5, lambda: [is_answer(answered(x), 0) for x in (
            b'{"ask":"ready"}\n', b'{"ask":"status"}\n', b'{"ask":"metrics"}\n', b'{"ask":"stop"}\n', b"?\n")]),
        ("half a line, one that is too long, no connection", [False] * 3, lambda: [is_answer(x, 0) for x in (
            answered(b'{"ask":'), answered(b" " * 5000), None)]),
        ("an object alone", [False] * 8, lambda: [is_answer(x, 0) for x in (
            b"[]\n", b"null\n", b"true\n", b'"ready"\n', b"\n", b"{\n", b"{}", b"{}\n{}\n")]),
        ("in time", [True, False], lambda: [is_answer(b"{}\n", x) for x in (5000, 5001)]),
        ("no longer than A-24 says", [(ANSWER_MAX, True), (ANSWER_MAX + 1, False)], lambda: [
            (len(long(x)), is_answer(long(x), 0)) for x in (ANSWER_MAX, ANSWER_MAX + 1)]),
        ("of metrics", [True, False], lambda: [is_answer(long(x), 0, "metrics") for x in (METRICS_MAX, METRICS_MAX + 1)])])

    def again(code):
        m = Machine()
        m.init(0, 1)
        return m.hung(code), m.call(()) is not None, m.ended(1, 0)
    r.facts("A-25 then", [
        ("asked to end, killed if it does not", ["TERM", "TERM", "KILL"], lambda: [ends(x) for x in (0, 10000, 10001)]),
        ("started again at once, with 0 and 2 too", [(0, True, 200)] * 5, lambda: [again(x) for x in (0, 1, 2, 3, -9)]),
        ("one that ends with 2 by itself is not", [None, None], lambda: (lambda m: [m.ended(2, 60000), m.call(())])(Machine())),
        ("one asked for by others is not", None, lambda: Machine().ended(0, 60000, True))])


def confined(r):
    r.facts("A-26", [
        ("of itself", ["connect", "cpus", "io_uring", "limit", "listen", "lock", "seccomp", "tgkill"], lambda: sorted(x for x in ACTS if may(x))),
        ("of another process", ["EPERM"] * 5, lambda: [fails(x, itself=False) for x in ("tgkill", "kill", "limit", "policy", "niceness")]),
        ("such calls fail", [None] * 3 + ["EPERM"] * 5, lambda: [fails(x) for x in (
            "tgkill", "limit", "cpus", "kill", "policy", "niceness", "program", "device")]),
        ("never, of itself neither", ["device", "kill", "niceness", "policy", "program"], lambda: sorted(
            x for x in ACTS if ACTS[x] == NEVER and not may(x))),
        ("with --init", ["cpus", "limit", "lock", "seccomp", "tgkill"], lambda: sorted(x for x in ACTS if may(x, init=True)))])
    r.facts("A-26 files", [
        ("to write", ["write"] * 4, lambda: [sees(x) for x in ("/data/node", "/data/node/data/x", "/run/node/control.sock", "/data/x/../node/y")]),
        ("to read", ["read"] * 5, lambda: [sees(x) for x in (
            "/proc/meminfo", "/proc", "/sys/devices/system/cpu/online", "/sys/fs/cgroup/node/memory.max", "/dev/urandom")]),
        ("not at all", [None] * 10, lambda: [sees(x) for x in (
            "/data", "/data/node2", "/data/bundle", "/run", "/run/init.sock", "/sys/devices/system/node", "/sys/fs/cgroup", "/dev/sda", "/dev/random",
            "/data/node/../x")]),
        ("with --init", ["write", None, None, None], lambda: [sees(x, True) for x in ("/data/node/data", "/run/node", "/proc/meminfo", "/proc")])])
    r.facts("A-26 sizes", [
        ("locked with --init", [True, False], lambda: [locks(x, 1 << 30, True) for x in (1 << 20, (1 << 20) + 1)]),
        ("else what it is given", [True, False], lambda: [locks(x, 1 << 30) for x in (1 << 30, (1 << 30) + 1)]),
        ("4 % of the disk, and no byte less", [4, 5, 0, 42949673], lambda: [share(x) for x in (100, 101, 0, 1 << 30)])])
