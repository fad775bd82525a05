"""Checks of our own for 9.5: node.conf, how a program is called and started again, the control socket."""
import json
import re

from appliance import CHAIN, PREDECESSOR, STATEMENT
from contract import (ADMIN, ANSWER_MAX, ASKED, ASKS, CONNECTIONS, DISK, END_MS, FILES, FILES_MAX, LEAST_MEMORY, LINE_MAX, MAY_ASK, METRICS_MAX,
                      NO_VOTE, PART_MAX, PROGRAM, REFUSED, RETIRED, SEEN, SERIAL, STATUS, TRIAL, Control, Machine, NodeConf, Progress, Voted,
                      exit_code, files_of, first_call, machine_asked, may_fail, memory_max, node_conf, phase, phase_form, retired_by, retires,
                      seen_at, who_votes)
from own_appliance import Made, Next
from spec_text import lines
from sysfile import canonical
from voting import Signer
from wire import word_of
from world import world


def add(r, path):
    w = world()
    tables(r, path)
    files(r, w)
    calls(r)
    pauses(r)
    socket(r)
    evidence(r)
    phases(r)
    voters(r)
    machine(r)


def tables(r, path):
    """What A-20, A-21, A-24, A-27, A-28 and A-40 list is what is here."""
    text = "\n".join(lines(path, "appliance"))
    row = re.search(r"\| `status` \| (.*) \|", text)[1]
    r.equal("A-24 status", STATUS, re.findall(r"`([a-z_]+)`", re.sub(r"\([^()]*\)", "", row)))
    r.equal("A-24 members_seen", SEEN, re.findall(r"`([a-z_]+)`", re.search(r"`members_seen` \(([^()]*)\)", row)[1]))
    part = text[text.index("- **A-24**"):text.index("- **A-25**")]
    r.equal("A-24 WHAT", sorted(ASKS), sorted(re.findall(r"(?m)^\| `([a-z]+)` \|", part)))
    sizes = (r"has at most ([0-9,]+) bytes, of `metrics` ([0-9,]+)", r"that are kept\. At most ([0-9]+);", r"from there on, at most ([0-9,]+)\)")
    found = [int(x.replace(",", "")) for pattern in sizes for x in re.search(pattern, part).groups()]
    r.equal("A-24 sizes", [ANSWER_MAX, METRICS_MAX, FILES_MAX, PART_MAX], found)
    rule = re.search(r"- \*\*A-27\*\*.*", text)[0]
    r.equal("A-27", NO_VOTE, re.findall(r"`([a-z_]+)` \(", rule))
    rule = re.search(r"- \*\*A-28\*\*.*", text)[0].partition("what its operator has to know:")[2]
    r.equal("A-28", {*RETIRED.values(), "unknown"}, set(re.findall(r"`([a-z_]+)`", rule)))
    part = text[text.index("- **A-40**"):text.index("## 9.6")]
    r.equal("A-40", MAY_ASK, {word: {who for who, yes in zip((SERIAL, ADMIN, TRIAL), m[2].split("|")) if yes.strip() == "yes"}
                              for m in re.finditer(r"(?m)^\| (`.*?) \| (.*) \|$", part) for word in re.findall(r"`([a-z]+)`", m[1])})
    rule = re.search(r"- \*\*A-21\*\*.*", text)[0]
    named = set(re.findall(r"`([a-z_]+)`", rule)) - {"fused", "split", "auto"}
    members = "system addresses key data control listen log_level threads cpus join retired predecessor statement backup"
    r.equal("A-21 members", set(), set(members.split()) - named)
    part = text[text.index("- **A-20**"):text.index("- **A-21**")]
    listed = {x for row in re.findall(r"(?m)^\| (`.*?) \|", part) for x in re.findall(r"`(?:/data/node/)?([a-z./]+)`", row)}
    r.equal("A-20 files", {*FILES.values(), "node.conf", "node.key", "backup/", "data/"}, listed)
    rule = re.search(r"(?s)- \*\*A-26\*\*.*?- \*\*A-40", text)[0]
    r.equal("A-26 memory", LEAST_MEMORY, int(re.search(r"less ([0-9]+) MiB, which", rule)[1]) << 20)


def files(r, w):
    def written(have=None, **x):
        return NodeConf(node_conf(Made(w, have=have).judged(), **x))
    good = {"system": "system.json", "addresses": "/a", "key": "node.key", "data": "data", "listen": ["[::]:1"]}
    read = lambda **x: lambda: NodeConf(json.dumps({k: v for k, v in {**good, **x}.items() if v is not None}).encode())
    r.facts("A-21", [
        ("paths by its folder, or absolute", ["/data/node/system.json", "/a"], lambda: [read()().paths[k] for k in ("system", "addresses")]),
        ("the control socket's path", "/run/node/control.sock", lambda: written().paths["control"]),
        ("listen by A-9", ["0.0.0.0:7000"], lambda: written().listen),
        ("by the setting", ["1.2.3.4:5", "[::]:6"], lambda: written({"listen": "1.2.3.4:5,[::]:6"}).listen),
        ("log_level", ["info", "warn"], lambda: [written(x).log_level for x in (None, {"log.level": "warn"})]),
        ("threads", ["fused", "split", "split", "fused"], lambda: [written(x, machine_cpus=n).threads for x, n in (
            (None, 1), (None, 8), ({"threads": "split"}, 1), ({"threads": "fused"}, 8))]),
        ("join, if it joins", [None, "s0"], lambda: [written().join, NodeConf(node_conf(
            Made(w, node=w.node("newcomer"), have={"join": "s0", "listen": "[::]:1"}).judged())).join]),
        ("all that is always there", "addresses control data key listen log_level system threads".split(),
         lambda: sorted(json.loads(node_conf(Made(w).judged())))),
        ("retired, once its key was given up", [False, True], lambda: [written().retired, written(retired=True).retired]),
        ("and not a word of it before", False, lambda: b"retired" in node_conf(Made(w).judged())),
        ("of a successor's node", ["/data/node/" + x for x in ("predecessor.json", "statement", "backup")], lambda: (lambda x: [x.paths[k] for k in (
            "predecessor", "statement", "backup")])(NodeConf(node_conf(after_one(w))))),
        ("what is written of its blocks", ["addresses.json", "predecessor.json", "statement", "system.json"], lambda: sorted(files_of(
            after_one(w).blocks))), ("of another one's, with certificates", ["addresses.json", "system.json"], lambda: sorted(files_of(Made(
                w, blocks={4: b"x", 5: b"y"}).judged().blocks))),
        ("A-26: memory", (1 << 30) - (32 << 20), lambda: memory_max(1 << 20)),
        ("what it has no use for is ignored", ["[::]:1"], lambda: read(cpus={"main": 0}, more=[None, 1.5])().listen)])
    r.facts("A-23 refused", [(what, code, lambda f=f: exit_code(f)) for what, code, f in [
        ("asked to end", ASKED, read()), ("no object", REFUSED, lambda: NodeConf(b"[]")), ("no JSON", REFUSED, lambda: NodeConf(b"{")),
        ("auto, which the image decides", REFUSED, read(threads="auto")), ("no key", REFUSED, read(key=None)),
        ("a listen that is a name", REFUSED, read(listen=["host:1"])), ("a join of no cluster", REFUSED, read(join="x1")),
        ("a statement that is no path", REFUSED, read(statement=1)), ("no level", REFUSED, read(log_level="trace")),
        ("a disk that fails", DISK, lambda: open("/dev/null/x"))]])


def after_one(w):
    """The bundle of a successor's node."""
    new = Next.of(w)
    return Made(new, blocks={PREDECESSOR: canonical(w.object), STATEMENT: w.statement(new.file, w.admins)}).judged()


def calls(r):
    def after(*ends, data=True, blocks=(), backup=()):
        m = Machine(backup)
        for code, ms in ends:
            m.init(code, ms)
        m.data = m.data and data
        return m.call(blocks)
    of_one = {PREDECESSOR: b"x", STATEMENT: b"y"}

    def tries(*ends):
        m = Machine()
        return [None if m.init(*e) else m.pause for e in ends]
    first, start = ["/bin/heracliusd", "--init", "--config", "/data/node/node.conf"], ["/bin/heracliusd", "--config", "/data/node/node.conf"]
    r.facts("A-20, A-22", [
        ("first", first, after), ("with a chain", first + ["--chain", "/data/node/chain"], lambda: first_call({CHAIN: b"x"})),
        ("then", start, lambda: after((0, 100))), ("not with a chain that comes later", start, lambda: after((0, 100), blocks={CHAIN: b"x"})),
        ("after 25 seconds", start, lambda: after((0, 25000))), ("later it did not end", first, lambda: after((0, 25001))),
        ("another code", first, lambda: after((2, 100))), ("lost data are not made anew", None, lambda: after((0, 100), data=False)),
        ("2 at the first call is no refusal", [200, 400, 800], lambda: tries((2, 1), (1, 1), (3, 1))),
        ("nor is a call that takes too long", [200, 400], lambda: tries((0, 25001), (0, 30000))),
        ("and made at last", [200, None], lambda: tries((2, 1), (0, 1))),
        ("a successor's, without a backup", [None, None], lambda: [after(blocks=of_one, backup=x) for x in ((), ("manifest",))]),
        ("with one", first, lambda: after(blocks=of_one, backup=("chain", "manifest"))),
        ("none is asked for later", start, lambda: after((0, 100), blocks=of_one)), ("nor of another node", first, after),
        ("the program", start, lambda: PROGRAM), ("the time to end", 10000, lambda: END_MS)])


def pauses(r):
    def waits(*ends):
        m = Machine()
        return [m.ended(*e) for e in ends]
    fail = (1, 100)
    r.facts("A-23", [
        ("doubling, up to 30 seconds", [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000], lambda: waits(*[fail] * 10)),
        ("forgotten after a minute up", [200, 400, 200, 400], lambda: waits(fail, fail, (1, 60000), fail)),
        ("not before", [200, 400], lambda: waits(fail, (1, 59999))),
        ("0 that nobody asked for", [200], lambda: waits((0, 1))), ("asked for", [None], lambda: waits((0, 1, True))),
        ("disk", [200], lambda: waits((3, 1))), ("a signal", [200], lambda: waits((-9, 1))), ("refused", [None], lambda: waits((2, 1)))])

    def refused():
        m = Machine()
        m.init(0, 1)
        m.ended(2, 1)
        before = m.call(())
        m.configured()
        return before, m.call(())
    r.facts("A-23 refused", [("until the configuration changes", (None, PROGRAM), refused)])


def socket(r):
    def says(data, signer=None, **x):
        c = Control(signer or Signer(), **x)
        c.connect(0)
        out = c.came(0, data)
        return out and [json.loads(x) for x in out.split(b"\n")[:-1]]
    given_up, sealed = Signer(), Signer()
    given_up.retire("A-17")
    sealed.sealed = True
    one = b'{"ask":"ready"}\n'
    error = lambda data: lambda: [list(x) for x in says(data)]
    full = lambda n: b" " * (n - len(one)) + one
    r.facts("A-24", [
        ("decide", [{"voted": False}], lambda: says(b'{"ask":"decide"}\n')),
        ("ready", [{"ready": True, "phase": "voting"}], lambda: says(one)),
        ("behind", [{"ready": False, "phase": "behind"}], lambda: says(one, behind=True)),
        ("a key that was given up says so", [{"ready": False, "phase": "retired"}], lambda: says(one, given_up)),
        ("and why", "given_up", lambda: says(b'{"ask":"status"}\n', given_up)[0]["retired_by"]),
        ("and is no reason to end", "retired", lambda: phase(given_up, True)), ("sealed", False, lambda: says(one, sealed)[0]["ready"]),
        ("metrics may be empty", [{"metrics": []}], lambda: says(b'{"ask":"metrics"}\n')),
        ("status has ready, too", [{"cluster": "c0", "ready": True, "phase": "voting", "voted": False}], lambda: says(
            b'{"ask":"status"}\n', status={"cluster": "c0"})),
        ("one after another", 2, lambda: len(says(one + one))), ("half a line", [], lambda: says(one[:-1]) or []),
        ("a line of 4,096 bytes with its end", 1, lambda: len(says(full(LINE_MAX)))), ("of one more: closed", None, lambda: says(full(LINE_MAX + 1))),
        ("4,095 without their end", b"", lambda: says(b" " * (LINE_MAX - 1))), ("4,096 without it", None, lambda: says(b" " * LINE_MAX))])
    r.facts("A-24 error", [(what, [["error"]], error(data)) for what, data in [
        ("another word", b'{"ask":"stop"}\n'), ("no word", b'{"ask":1}\n'), ("no object", b'["ready"]\n'), ("no JSON", b'ready\n'),
        ("nothing", b'\n'), ("no member", b'{}\n'), ("a name twice", b'{"ask":"ready","ask":"ready"}\n'),
        ("another name twice", b'{"ask":"ready","a":1,"a":1}\n')]])
    r.facts("A-24 others", [("members beside ask mean nothing", [True] * 3, lambda: [says(x)[0]["ready"] for x in (
        b'{"ask":"ready","file":"a"}\n', b'{"x":[1.5,null],"ask":"status","from":-1}\n', b'{"ask":"ready","":{}}\n')])])

    def connections():
        c = Control(Signer())
        return sum(c.connect(i) for i in range(CONNECTIONS + 1))
    r.facts("A-24", [("16 connections", 16, connections)])
    decisions(r)


def evidence(r):
    """A-24: the list of files, and one file in parts."""
    def says(kept, **x):
        c = Control(Signer(), evidence=kept)
        c.connect(0)
        return c.came(0, json.dumps({"ask": "evidence", **x}).encode() + b"\n")
    answer = lambda kept, **x: lambda: json.loads(says(kept, **x))
    long = bytes(range(256)) * 200
    files = {"a": b"x" * 5, "long.bin": long, ".hidden": b"x", "a/b": b"x", "n" * 128: b"y", "n" * 129: b"y"}

    def whole(name):
        got, sizes = b"", []
        while len(got) < len(files[name]):
            part = json.loads(says(files, file=name, **{"from": len(got)}))
            got, sizes = got + bytes.fromhex(part["hex"]), sizes + [part["bytes"]]
        return got, set(sizes)
    many = {"%0128d" % i: b"x" * 1000000 for i in range(FILES_MAX + 1)}
    r.facts("A-24 evidence", [
        ("the list", [("a", 5), ("long.bin", len(long)), ("n" * 128, 1)], lambda: [tuple(x.values()) for x in answer(files)()["evidence"]]),
        ("none", {"evidence": []}, answer({})), ("which may be error", ["error"], lambda: list(answer(None)())),
        ("no more than 256, and in one answer", (FILES_MAX, True), lambda: (len(answer(many)()["evidence"]), len(says(many)) <= ANSWER_MAX)),
        ("what is not in the list cannot be read", [False, True], lambda: ["error" in answer(many, file="%0128d" % i, **{"from": 0})() for i in (
            FILES_MAX - 1, FILES_MAX)]), ("a part", {"file": "a", "bytes": 5, "from": 3, "hex": "7878"}, answer(files, file="a", **{"from": 3})),
        ("part by part", (long, {len(long)}), lambda: whole("long.bin")),
        ("a part is at most so long", (2 * PART_MAX, True), lambda: (len(answer(files, file="long.bin", **{"from": 0})()["hex"]), len(says(
            files, file="long.bin", **{"from": 0})) <= ANSWER_MAX))])
    r.facts("A-24 evidence error", [(what, ["error"], lambda x=x: list(answer(files, **x)())) for what, x in [
        ("from its length on", {"file": "a", "from": 5}), ("below 0", {"file": "a", "from": -1}), ("no number", {"file": "a", "from": True}),
        ("half a number", {"file": "a", "from": 1.5}), ("a number as text", {"file": "a", "from": "0"}),
        ("null, and null", {"file": None, "from": None}),
        ("no such file", {"file": "b", "from": 0}), ("a name that is none", {"file": ".hidden", "from": 0}), ("another folder", {
            "file": "a/b", "from": 0}), ("no text", {"file": 1, "from": 0}), ("no from", {"file": "a"}), ("no file", {"from": 0})]])


def phases(r):
    """A-25, A-27, A-28."""
    def of(retire=None, **change):
        s = Signer()
        for name, value in change.items():
            setattr(s, name, value)
        for why in retire or ():
            s.retire(why)
        return s
    r.facts("A-27", [
        ("retired", ["retired"] * len(RETIRED), lambda: [phase(of([x])) for x in RETIRED]),
        ("rolled back", "rolled_back", lambda: phase(of(["P-70"]))), ("left for a successor", "succeeded", lambda: phase(of(["S-143"]))),
        ("an observer", ["observing", "removed"], lambda: [phase(of(member=False), was_member=x) for x in (False, True)]),
        ("sealed", "sealed", lambda: phase(of(sealed=True))), ("retired goes before", "retired", lambda: phase(of(["P-15"], sealed=True))),
        ("the program's own are none of them", [], lambda: [x for x in (phase(of()), phase(of(), True), phase(of(answered=False)), phase(
            of(stopped=True))) if x in NO_VOTE or not phase_form(x)]),
        ("forms", [True, True, False, False, False, False], lambda: [phase_form(x) for x in ("a_z", "a" * 31, "a" * 32, "", "A", 1)])])
    r.facts("A-28", [
        ("each reason", list(RETIRED.values()), lambda: [retired_by(of([x])) for x in RETIRED]),
        ("another one", "unknown", lambda: retired_by(of(["something"]))),
        ("given up, and then by P-14", "given_up", lambda: retired_by(of(["A-17", "P-14 newer"]))),
        ("a retired node takes on what goes before", ["rolled_back", "succeeded"], lambda: [phase(of(x)) for x in (
            ["P-14 newer", "P-70"], ["A-17", "P-15", "S-143"])]), ("whose first word stays", "given_up", lambda: retired_by(of(["A-17", "S-143"]))),
        ("memory", ["memory_damaged", "memory_damaged", "newer_signature", "other_signature", None, None], lambda: [x and RETIRED[x] for x in (
            retires(True, False, "known"), retires(True, False, "newer"), retires(False, False, "newer"), retires(True, True, "other"),
            retires(False, False, "known"), retires(True, True, "known"))]),
        ("the first stays", ["other_signature", "rolled_back"], lambda: [retired_by(of(["P-14 other", "A-17"])), phase(of(["P-70", "A-17"]))])])

    def did(*steps):
        p = Progress()
        return [p.did(*x) for x in steps]
    r.facts("A-25", [
        ("one for each", [1, 4], lambda: did(("asking",), ("behind", 3))),
        ("not once it votes", [2, 2], lambda: did(("behind", 2), ("voting",))),
        ("nor later", [0, 0], lambda: did(("voting",), ("behind", 5))),
        ("nor where it gets no vote", [0] * len(NO_VOTE), lambda: [did((x,))[0] for x in NO_VOTE])])


class Heard:
    """What A-29 looks at in a STATUS."""

    def __init__(self, final_height=100, flags=2, view=0):
        self.final_height, self.flags, self.view = final_height, flags, view


def voters(r):
    """A-29, of a node that is member 0 of 4, at final height 100."""
    def of(*links, epoch=3, ready=True, final=100, base=1000, now=10000, faults=1, others=None):
        others = others and [[]] + others
        links = [x if x is None else [x if isinstance(x, tuple) else (now, 3, x)] if not isinstance(x, list) else x for x in links]
        return who_votes(0, ready, epoch, final, [None] + links, now, base, faults, others)[1:]
    good, far = Heard(), (1, 3, Heard(165, 0))
    of_me = lambda x: who_votes(0, True, 3, 100, [None, [(9, 3, good)], [(9, 3, Heard(165))], None], 10, 1000, 1, [x, [], [], []])[1]
    good, asks = Heard(), Heard(flags=6)
    r.facts("A-29", [
        ("itself", [True, False], lambda: [who_votes(0, x, 3, 100, [None] * 4, 0, 1000, 1)[0] for x in (True, False)]),
        ("flags", [True, True, False, False, True], lambda: of(good, asks, Heard(flags=0), Heard(flags=10), Heard(flags=3))),
        ("no link", [None, True], lambda: of(None, good)), ("no STATUS yet", [None], lambda: of([])),
        ("of another epoch", [None], lambda: of((10000, 2, good))), ("the newest of the epoch", [True], lambda: of([(9000, 3, good), (10000, 2, Heard(
            flags=0))])),
        ("the newest of two", [False], lambda: of([(9000, 3, good), (9500, 3, Heard(flags=0))])),
        ("5 seconds", [True, None], lambda: of((5000, 3, good), (4999, 3, good))),
        ("3 view_base_ms", [True, None], lambda: of((4000, 3, good), (3999, 3, good), base=2000)),
        ("in no epoch", [None, None], lambda: of(good, Heard(flags=0), epoch=None)),
        ("64 below", [True, False], lambda: of(Heard(36), Heard(35))), ("one alone states more", [True, True], lambda: of(good, Heard(1000))),
        ("f+1 do", [False, True, True], lambda: of(good, Heard(1000), Heard(165))),
        ("as high as the lower of them allows", [True, True, True], lambda: of(good, Heard(1000), Heard(164))),
        ("of seven it takes three", [True] * 3 + [False], lambda: of(good, Heard(1000), Heard(1000), Heard(35), faults=2)),
        ("however old, and whatever their flags", [False, None, None], lambda: of(good, [far], [(2, 3, Heard(165, 8))])),
        ("not of another epoch", [True, None, None], lambda: of(good, [far], [(2, 2, Heard(165))])),
        ("of those that are not up, brought by others", [False, None, None], lambda: of(good, None, None, others=[[], [far], [far]])),
        ("which says nothing of their vote", [False, None, None], lambda: of(good, [], [], others=[[], [(10000, 3, Heard(165))], [far]])),
        ("nor of one that is heard", [True], lambda: of(good, others=[[(10000, 3, Heard(100, 0))]])),
        ("the newest of each", [True, None, None], lambda: of(good, [far], [far], others=[[], [(2, 3, Heard(164))], []])),
        ("of f+1 others, without itself", [True, True], lambda: [of_me(x) for x in ([far], [])]),
        ("the node itself is behind", [True, True], lambda: of(good, good, final=0))])
    old, new = (1, 3, Heard(165, 2, 9)), (5000, 3, Heard(100, 0, 4))
    r.facts("A-29 height and view", [
        ("none", (0, 0), lambda: seen_at([])), ("however old", (165, 9), lambda: seen_at([old])),
        ("the one that came last, if it states less", [(100, 4)] * 2, lambda: [seen_at(x) for x in ([old, new], [new, old])]),
        ("whose flags do not count", (7, 1), lambda: seen_at([(2, 3, Heard(7, 8, 1))]))])
    told = lambda *votes, n=4, f=1: lambda: may_fail({"members": n, "faults": f, "members_seen": [{"votes": x} for x in votes]})
    r.facts("A-29 how many may fail", [
        ("all vote", (1, 0), told(True, True, True, True)), ("one does not", (0, 0), told(True, True, True, False)),
        ("of one it is not known", (0, 1), told(True, True, True, None)), ("too few", (-1, 0), told(True, True, False, False)),
        ("one is not told of", (0, 0), told(True, True, True)),
        ("one neither, of one it is not known", (-1, 1), told(True, True, None)), ("of another program, that does not say", (-3, 4), lambda: may_fail(
            {"members": 4, "faults": 1, "members_seen": [{}] * 4}))])


def machine(r):
    """A-40: nothing is done for whose word it is not."""
    def asked(who, word):
        done = []
        return word_of(machine_asked, who, word, lambda: done.append(word)), len(done)
    r.facts("A-40", [
        ("every word at the serial console, but of no other", [("ok", 1)] * len(MAY_ASK), lambda: [asked(SERIAL, x) for x in MAY_ASK]),
        ("the admin console has none that uses the key", [("refused", 0)] * 7, lambda: [asked(ADMIN, x) for x in (
            "bless", "fail", "config", "request", "owner", "retire", "adopt")]),
        ("the trial", ["bless", "fail", "status"], lambda: sorted(x for x in MAY_ASK if asked(TRIAL, x) == ("ok", 1))),
        ("an unknown word", ("refused", 0), lambda: asked(SERIAL, "shell")), ("another program", ("refused", 0), lambda: asked("node", "status"))])


def decisions(r):
    """A-24: `voted`, `decide`."""
    def after(*steps, signer=None):
        v, out, signer = Voted(), [], signer or Signer()
        for what, *a in steps:
            if what == "may":
                signer.answered = a[0]
            else:
                out.append(v.noop(signer, *a) if what == "noop" else v.decide()["voted"] if what == "decide" else getattr(v, what)(*a))
        return [x for x in out if x is not None]
    vote, final, ask, noop, comes = ("vote", 1), ("final", 1), ("decide",), ("noop", False), ("noop", True)
    r.facts("A-24 voted", [
        ("nothing yet", [False], lambda: after(ask)), ("a vote alone", [False], lambda: after(vote, ask)),
        ("another's block", [False], lambda: after(final, ask)), ("its own", [True], lambda: after(vote, final, ask)),
        ("for ever", [True], lambda: after(vote, final, ("final", 2), ask)), ("voted for too late", [False], lambda: after(final, vote, ask)),
        ("not unless asked", [False], lambda: after(noop)), ("asked: once", [False, True, False], lambda: after(ask, noop, noop)),
        ("one comes by itself", [False, False], lambda: after(ask, comes)), ("came", [False, False], lambda: after(ask, vote, final, noop)),
        ("as soon as it may vote", [False, False, True], lambda: after(("may", False), ask, noop, ("may", True), noop)),
        ("no reason, once it voted", [True, False], lambda: after(vote, final, ask, noop))])
