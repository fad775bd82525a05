"""Checks of our own for 9.5: node.conf, how a program is called and started again, the control socket."""
import json
import re

from appliance import CHAIN
from contract import (ASKED, ASKS, CONNECTIONS, DISK, END_MS, LINE_MAX, PROGRAM, REFUSED, SEEN, STATUS, Control, Machine, NodeConf, Voted, exit_code,
                      first_call, node_conf, phase)
from own_appliance import Made
from spec_text import lines
from voting import Signer
from world import world


def add(r, path):
    w = world()
    tables(r, path)
    files(r, w)
    calls(r)
    pauses(r)
    socket(r)


def tables(r, path):
    """What A-20, A-21 and A-24 list is what is here."""
    text = "\n".join(lines(path, "appliance"))
    row = re.search(r"\| `status` \| (.*) \|", text)[1]
    r.equal("A-24 status", STATUS, re.findall(r"`([a-z_]+)`", re.sub(r"\([^()]*\)", "", row)))
    r.equal("A-24 members_seen", SEEN, re.findall(r"`([a-z_]+)`", re.search(r"`members_seen` \(([^()]*)\)", row)[1]))
    part = text[text.index("- **A-24**"):text.index("- **A-25**")]
    r.equal("A-24 WHAT", sorted(ASKS), sorted(re.findall(r"(?m)^\| `([a-z]+)` \|", part)))
    rule = re.search(r"- \*\*A-21\*\*.*", text)[0]
    named = set(re.findall(r"`([a-z_]+)`", rule)) - {"fused", "split", "auto"}
    r.equal("A-21 members", set(), set("system addresses key data control listen log_level threads cpus join retired".split()) - named)


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
        ("what it has no use for is ignored", ["[::]:1"], lambda: read(cpus={"main": 0}, more=[None, 1.5])().listen)])
    r.facts("A-23 refused", [(what, code, lambda f=f: exit_code(f)) for what, code, f in [
        ("asked to end", ASKED, read()), ("no object", REFUSED, lambda: NodeConf(b"[]")), ("no JSON", REFUSED, lambda: NodeConf(b"{")),
        ("auto, which the image decides", REFUSED, read(threads="auto")), ("no key", REFUSED, read(key=None)),
        ("a listen that is a name", REFUSED, read(listen=["host:1"])), ("a join of no cluster", REFUSED, read(join="x1")),
        ("no level", REFUSED, read(log_level="trace")), ("a disk that fails", DISK, lambda: open("/dev/null/x"))]])


def calls(r):
    def after(*ends, data=True, blocks=()):
        m = Machine()
        for code, ms in ends:
            m.init(code, ms)
        m.data = m.data and data
        return m.call(blocks)
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
        ("evidence", [{"evidence": [{"file": "a", "bytes": 5}]}], lambda: says(b'{"ask":"evidence"}\n', evidence=[("a", 5)])),
        ("no evidence", [{"evidence": []}], lambda: says(b'{"ask":"evidence"}\n')),
        ("which may be error", ["error"], lambda: list(says(b'{"ask":"evidence"}\n', evidence=None)[0])),
        ("decide", [{"voted": False}], lambda: says(b'{"ask":"decide"}\n')),
        ("ready", [{"ready": True, "phase": "voting"}], lambda: says(one)),
        ("behind", [{"ready": False, "phase": "behind"}], lambda: says(one, behind=True)),
        ("a key that was given up says so", [{"ready": False, "phase": "retired: A-17"}], lambda: says(one, given_up)),
        ("and is no reason to end", "retired: A-17", lambda: phase(given_up, True)), ("sealed", False, lambda: says(one, sealed)[0]["ready"]),
        ("metrics may be empty", [{"metrics": []}], lambda: says(b'{"ask":"metrics"}\n')),
        ("status has ready, too", [{"cluster": "c0", "ready": True, "phase": "voting", "voted": False}], lambda: says(
            b'{"ask":"status"}\n', status={"cluster": "c0"})),
        ("one after another", 2, lambda: len(says(one + one))), ("half a line", [], lambda: says(one[:-1]) or []),
        ("a line of 4,096 bytes with its end", 1, lambda: len(says(full(LINE_MAX)))), ("of one more: closed", None, lambda: says(full(LINE_MAX + 1))),
        ("4,095 without their end", b"", lambda: says(b" " * (LINE_MAX - 1))), ("4,096 without it", None, lambda: says(b" " * LINE_MAX))])
    r.facts("A-24 error", [(what, [["error"]], error(data)) for what, data in [
        ("another word", b'{"ask":"stop"}\n'), ("no word", b'{"ask":1}\n'), ("no object", b'["ready"]\n'), ("no JSON", b'ready\n'),
        ("nothing", b'\n'), ("no member", b'{}\n')]])

    def connections():
        c = Control(Signer())
        return sum(c.connect(i) for i in range(CONNECTIONS + 1))
    r.facts("A-24", [("16 connections", 16, connections)])
    decisions(r)


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
