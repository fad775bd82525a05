"""Checks of our own for time-outs under strain (B-36, B-50, B-52, B-53, B-55, B-56, B-70, D-25)."""
from leader import Throughput, slice_operations
from limits import TIMEOUTS
from strain import Timer


def add(r):
    time_outs(r)
    hasty(r)
    calm(r)
    left_behind(r)
    status(r)
    throughput(r)


def timer(f=1, s=0, **other):
    out = Timer({**{row[0]: row[1] for row in TIMEOUTS}, **other}, f)
    out.s = s
    out.view(0)
    return out


def time_outs(r):
    def both(k, s, **other):
        x = timer(s=s, **other)
        x.k = k
        return x.t(), x.i()

    def due(*events, s=0, until=100000):
        """The first ms at which the view is to be timed out, and why."""
        x = timer(s=s)
        for name, *args in events:
            getattr(x, name)(*args)
        for now in range(until):
            if x.due(now):
                return now, x.due(now)
        return None
    r.facts("B-36, B-50", [
        ("in calm", (1000, 1000), lambda: both(0, 0)), ("the third view", (8000, 8000), lambda: both(3, 0)),
        ("under strain", (4000, 4000), lambda: both(0, 2)), ("the higher of both, not their sum", (8000, 8000), lambda: both(3, 2)),
        ("likewise", (16000, 16000), lambda: both(2, 4)), ("view_max_ms ends it", (60000, 60000), lambda: both(6, 5)),
        ("of inputs their own time", (2000, 10000), lambda: both(0, 1, input_relay_ms=5000)),
        ("view_max_ms below input_relay_ms", (1000, 5000), lambda: both(0, 3, view_max_ms=1000, input_relay_ms=5000)),
        ("nothing pending, nothing waiting", None, due), ("pending", (1007, "pending"), lambda: due(("pend", 7))),
        ("under strain 3", (8007, "pending"), lambda: due(("pend", 7), s=3)),
        ("a block became final meanwhile", (1500, "pending"), lambda: due(("pend", 7), ("final", 500))),
        ("no longer pending", None, lambda: due(("pend", 7), ("pend", 900, False))),
        ("pending anew", (1950, "pending"), lambda: due(("pend", 7), ("pend", 900, False), ("pend", 950))),
        ("an input", (1010, "input"), lambda: due(("hand", 10, "a"))), ("the oldest of them", (1010, "input"), lambda: due(
            ("hand", 10, "a"), ("hand", 20, "b"))), ("that was consumed", (1020, "input"), lambda: due(
                ("hand", 10, "a"), ("hand", 20, "b"), ("consume", 30, "a"))),
        ("a final block does not help it", (1010, "input"), lambda: due(("hand", 10, "a"), ("final", 900))),
        ("under strain 1", (2010, "input"), lambda: due(("hand", 10, "a"), s=1)),
        ("in the next view from its beginning, twice as long", (2500, "input"), lambda: due(("hand", 10, "a"), ("enter", 500))),
        ("not handed to the new leader", None, lambda: due(("hand", 10, "a"), ("enter", 500, 1, False))),
        ("handed to it later", (2700, "input"), lambda: due(("hand", 10, "a"), ("enter", 500, 1, False), ("hand", 700, "a"))),
        ("handed twice, it waits since the first time", (1010, "input"), lambda: due(("hand", 10, "a"), ("hand", 90, "a"))),
        ("a dispatch, which nobody hands on", (2500, "input"), lambda: due(("dispatch", 10, "d"), ("enter", 500, 1, False))),
        ("that was sent", None, lambda: due(("dispatch", 10, "d"), ("consume", 500, "d"))),
        ("not handed in a new epoch", None, lambda: due(("hand", 10, "a"), ("epoch", 500))),
        ("a dispatch in a new epoch, from its beginning", (1500, "input"), lambda: due(("dispatch", 10, "d"), ("epoch", 500))),
        ("before it may sign", None, lambda: due(("epoch", 0, False), ("hand", 10, "a"), ("pend", 10))),
        ("from then on", (1700, "pending"), lambda: due(("epoch", 0, False), ("pend", 10), ("allow", 700), ("hand", 710, "a"))),
        ("an input that came before", (1700, "input"), lambda: due(("epoch", 0, False), ("hand", 10, "a"), ("allow", 700))),
        ("a view without a block: T doubles", (2507, "pending"), lambda: due(("enter", 500), ("pend", 507))),
        ("three views at once: it doubles once", (2507, "pending"), lambda: due(("enter", 500, 3), ("pend", 507))),
        ("and so from one to the next", (4507, "pending"), lambda: due(("enter", 400), ("enter", 500), ("pend", 507))),
        ("D-25: a quarter of view_base_ms, whatever s is", 257, lambda: timer(s=5).hand_by(7)),
        ("the turn", (0, "turn"), lambda: due(("final", 0, True))), ("timed out once", None, lambda: due(("hand", 0, "a"), ("time_out", 9)))])


def views(*kinds, f=1, s=0, gap=100):
    """The strain after each view: a view of this kind, and then the next is entered. Something waits all the time.

    block: it decided; turn: it ended by that; calm: it decided and had a calm period; idle: it had one and decided nothing; none: neither;
    late: its block became final by a QC of a later view; both: it decided, and then another block became final so; over: and it was over by turn.
    """
    x, now, out = timer(f, s), 0, []
    x.hand(0, "late")
    for kind in kinds:
        now += gap
        if kind in ("block", "turn", "calm"):
            x.final(now, turn=kind == "turn")
        if kind in ("late", "both", "over"):
            if kind != "late":
                x.final(now, turn=kind == "over")
            x.final(now, by=x.number + 1)
        if kind in ("calm", "idle"):
            x.consume(now, "late")
            now = x.period_begun + 4 * x.i()
            x.hand(now, "late")  # the calm period is over by then
        x.enter(now)
        out.append(x.s)
    return out


def hasty(r):
    r.facts("B-55 hasty", [
        ("f + 1 views that decided", [0, 1], lambda: views("block", "block")), ("f", [0], lambda: views("block")),
        ("f + 1 with f = 2", [0, 0, 1], lambda: views(*["block"] * 3, f=2)), ("with f = 5", [0] * 5 + [1], lambda: views(*["block"] * 6, f=5)),
        ("the count begins anew", [0, 1, 1, 2, 2, 3], lambda: views(*["block"] * 6)),
        ("5 at most", [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 5], lambda: views(*["block"] * 14)),
        ("views that decided nothing are left aside", [0, 0, 0, 1], lambda: views("block", "none", "none", "block")),
        ("they are not hasty", [0] * 6, lambda: views(*["none"] * 6)),
        ("those that end by turn are not", [0] * 4, lambda: views(*["turn"] * 4)),
        ("a turn parts the hasty", [0, 0, 0, 1], lambda: views("block", "turn", "block", "block")),
        ("a calm period in one that decided nothing does", [0, 0, 0, 1], lambda: views("block", "idle", "block", "block")),
        ("f members alone do not raise it, with others' turns between", [0] * 12, lambda: views(*["block", "turn", "turn", "turn"] * 3)),
        ("a calm period does", [0, 0, 0, 1], lambda: views("block", "calm", "block", "block")),
        ("calm views alone", [0] * 4, lambda: views(*["calm"] * 4)),
        ("a QC of a later view decided nothing here", [0] * 4, lambda: views(*["late"] * 4)),
        ("nor if an own one came before", [0] * 4, lambda: views(*["both"] * 4)),
        ("such views are left aside", [0, 0, 0, 1], lambda: views("block", "late", "both", "block")),
        ("but for one that was over by turn", [0, 0, 0, 1], lambda: views("block", "over", "block", "block")),
        ("the QC of an earlier one neither", [0, 0], lambda: [earlier() for _ in range(2)])])


def earlier():
    """Blocks that become final, after it was left, by the QC of the view before."""
    x = timer()
    x.final(0)
    for now in (100, 200, 300):
        x.enter(now)
        x.final(now, by=x.number - 1)
    return x.s


def calm(r):
    def after(*events, s=3, until=0):
        """(strain, whether the view had a calm period) at a time."""
        x = timer(s=s)
        for name, *args in events:
            getattr(x, name)(*args)
        x.due(until)
        return x.s, x.calm
    i = 8000  # of strain 3; a period is 32,000
    first, second = 4 * i, 4 * i + 2 * i  # the second period is of strain 2
    skipped = [("enter", 100 * n) for n in range(2, 6)]  # k is 4
    r.facts("B-55 periods", [
        ("before the first ends", (3, False), lambda: after(until=first - 1)), ("at its end", (2, True), lambda: after(until=first)),
        ("the next is shorter", (2, True), lambda: after(until=second - 1)), ("and sinks again", (1, True), lambda: after(until=second)),
        ("down to 0", (0, True), lambda: after(until=10 * first)),
        ("one waited I / 4", (2, True), lambda: after(("hand", 5, "a"), ("consume", 2005, "a"), until=first)),
        ("a ms longer: calm, but s stays", (3, True), lambda: after(("hand", 5, "a"), ("consume", 2006, "a"), until=first)),
        ("I / 2", (3, True), lambda: after(("hand", 5, "a"), ("consume", 4005, "a"), until=first)),
        ("longer: not calm", (3, False), lambda: after(("hand", 5, "a"), ("consume", 4006, "a"), until=first)),
        ("one that still waits at the end", (3, False), lambda: after(("hand", first - 4001, "a"), until=first)),
        ("not long yet", (2, True), lambda: after(("hand", first - 2000, "a"), until=first)),
        ("and then too long, in the second", (2, True), lambda: after(("hand", first - 2000, "a"), until=second)),
        ("pending so long", (3, False), lambda: after(("pend", 5), ("pend", 4006, False), until=first)),
        ("pending, and a block between", (3, True), lambda: after(("pend", 5), ("final", 4000), ("pend", 7000, False), until=first)),
        ("pending all the time, with a block each 2 s", (2, True), lambda: after(
            ("pend", 5), *[("final", 2000 * n) for n in range(1, 16)], ("final", first), until=first)),
        ("timed out: no period ends", (3, False), lambda: after(("time_out", 9), until=9 * first)),
        ("a view that ends before", (3, False), lambda: after(("enter", first - 1), until=first)),
        ("the next one's first period begins on entering it", (3, False), lambda: after(("enter", 100), until=first + 99)),
        ("with the I of its end", (2, True), lambda: after(("enter", 100), until=first + 100)),
        ("k is above s: longer by so much", (3, False), lambda: after(*skipped, until=2 * first + 499)),
        ("and then it ends", (2, True), lambda: after(*skipped, until=2 * first + 500)),
        ("a block makes it shorter", (3, False), lambda: after(*skipped, ("final", 900), until=first + 499)),
        ("so that it ends before", (2, True), lambda: after(*skipped, ("final", 900), until=first + 500)),
        ("at once", (2, True), lambda: after(*skipped, ("final", first + 7000), until=first + 7000)),
        ("what had waited is held against the shorter one", (3, True), lambda: after(
            *skipped, ("hand", 5000, "a"), ("consume", 8000, "a"), ("final", first + 7000), until=first + 7000)),
        ("and not calm by it", (3, False), lambda: after(
            *skipped, ("hand", 5000, "a"), ("consume", 9001, "a"), ("final", first + 7000), until=first + 7000)),
        ("calm by the longer", (3, True), lambda: after(
            *skipped, ("hand", 5000, "a"), ("consume", 9001, "a"), until=2 * first + 500)),
        ("the next one begins where it ended", (2, True), lambda: after(
            *skipped, ("final", first + 7000), until=first + 7000 + 2 * i - 1)),
        ("not handed to this leader: it does not wait", (2, True), lambda: after(("hand", 5, "a"), ("enter", 9, 1, False), until=first + 9)),
        ("before it may sign none begins", (0, False), lambda: after(("epoch", 0, False), until=first)),
        ("from then on", (0, [False, True]), lambda: (0, [after(("epoch", 0, False), ("allow", 50), until=50 + n)[1] for n in (3999, 4000)])),
        ("a new epoch begins at 0", 0, new_epoch)])


def left_behind(r):
    def due(*events, s=0, until=100000, **other):
        """The first ms at which the view is to be timed out, and why."""
        x = timer(s=s, **other)
        for now in range(0, until, 50):
            for name, at, *args in events:
                if at == now:
                    getattr(x, name)(now, *args)
            if x.due(now):
                return now, x.due(now)
        return None
    lead, told = ("lead", 0), ("told", 500)
    waits = [("hand", 0, "a")]
    busy = [e for n in range(0, 70000, 1000) for e in (("hand", n, str(n)), ("consume", n + 900, str(n)))]
    r.facts("B-56", [
        ("after 60 seconds", (60000, "left behind"), lambda: due(lead, told)), ("who does not lead does not", None, lambda: due(told)),
        ("nobody timed it out", None, lambda: due(lead)), ("one that comes later", (77000, "left behind"), lambda: due(lead, ("told", 77000))),
        ("of another view", None, lambda: due(lead, ("told", 500, 1))), ("of the view before", None, lambda: due(
            ("told", 0), ("enter", 100), ("lead", 100))), ("from entering it", (60100, "left behind"), lambda: due(
                ("enter", 100), ("lead", 100), ("told", 200), ("final", 300))),
        ("one that came before it was entered", (60100, "left behind"), lambda: due(("told", 0, 1), ("enter", 100), ("lead", 100), ("final", 300))),
        ("8 * I", (80000, "left behind"), lambda: due(lead, told, input_relay_ms=10000)),
        ("as k and s are now: a block ended k", (60400, "left behind"), lambda: due(
            *[("enter", 100 * n) for n in range(1, 5)], ("lead", 400), ("told", 500), ("final", 59000))),
        ("and with k", (128400, "left behind"), lambda: due(
            *[("enter", 100 * n) for n in range(1, 5)], ("lead", 400), ("told", 500), until=200000)),
        ("no calm period", None, lambda: due(lead, told, *busy, until=68000)), ("something waits too long before", (1000, "input"), lambda: due(
            lead, told, *waits)), ("timed out already", None, lambda: due(lead, told, ("time_out", 50000))),
        ("from when it might sign", (60700, "left behind"), lambda: due(("epoch", 0, False), lead, told, ("allow", 700)))])


def status(r):
    def sends(since, stuck=False, out=True, view=1, tc=True):
        x = timer()
        x.number, x.timed_out = view, out
        return x.sends(since, stuck, tc)
    r.facts("B-70", [
        ("each view_base_ms", [[], ["STATUS"]], lambda: [sends(n, out=False) for n in (999, 1000)]),
        ("stuck: four times as often", [[], ["STATUS with flag 4"]], lambda: [sends(n, True, False) for n in (249, 250)]),
        ("timed out: with either", [[x, "TC", "TIMEOUT"] for x in ("STATUS", "STATUS with flag 4")], lambda: [sends(1000), sends(250, True)]),
        ("in view 0, or where it is not held, the TIMEOUT alone", [["STATUS", "TIMEOUT"]] * 2, lambda: [sends(1000, view=0), sends(1000, tc=False)]),
        ("and not between", [], lambda: sends(500))])


def new_epoch():
    x = timer(s=3)
    x.final(10)
    x.hand(10, "a")
    x.enter(20)
    x.epoch(30)
    return x.s + x.hasty + x.k


def throughput(r):
    def times_out(*periods):
        """Periods are (strain, operations, backlog, for how many eighths of it something waited)."""
        t = Throughput(35, 1000, 60000)
        return [t.period(done, backlog, eighths * (125 << s), lasted=1000 << s) for s, done, backlog, eighths in periods]
    over = lambda lasted, s: lambda: Throughput(35, 1000, 60000).over(lasted, s)
    best = (0, 1000, 10, 8)
    r.facts("B-52 under strain", [
        ("a period in calm", [False, True], lambda: [over(n, 0)() for n in (999, 1000)]),
        ("under strain 3", [False, True], lambda: [over(n, 3)() for n in (7999, 8000)]),
        ("by the s of its end", True, over(7999, 2)),
        ("operations of a slice", [1, 1, 2, 65537], lambda: [slice_operations(n) for n in (16, 63, 64, 1 << 22)]),
        ("one that became longer than s says", [False] * 3, lambda: times_out(best, (1, 800, 10, 8), (1, 800, 10, 8))),
        ("a longer period of the same rate", [False] * 3, lambda: times_out(best, (2, 2000, 10, 8), (2, 2000, 10, 8))),
        ("as many operations in it are low", [False, False, True], lambda: times_out(best, (2, 1000, 10, 8), (2, 1000, 10, 8))),
        ("five eighths of as long as it is", [True, False], lambda: [times_out(best, *[(2, 1000, 10, x)] * 2)[-1] for x in (5, 4)]),
        ("of a period that became longer than s says", [True, False], lambda: [became_longer(x) for x in (1875, 1874)]),
        ("the best decays as long as it is", [False] * 4, lambda: times_out(best, (5, 0, 0, 0), (5, 9000, 10, 8), (5, 9000, 10, 8))),
        ("and no longer", [False] * 3 + [True], lambda: times_out(best, (0, 0, 0, 0), (0, 281, 10, 8), (0, 281, 10, 8)))])
    best = (1000, 10, 1000)
    r.facts("D-25 sooner", [
        ("before the first period: no", 257, lambda: hand_from()), ("rate was low", 17, lambda: hand_from(best, (340, 10, 1000))),
        ("and was not", 257, lambda: hand_from(best, (350, 10, 1000))),
        ("10 ms, whatever view_base_ms is", 17, lambda: hand_from(best, (100, 10, 1000), base=60000)),
        ("nothing waited", 17, lambda: hand_from(best, (100, 10, 0))),
        ("for less than five eighths", 17, lambda: hand_from(best, (100, 10, 624))),
        ("less than one operation", 17, lambda: hand_from(best, (100, 0.5, 1000))),
        ("less than half of the best's backlog", 17, lambda: hand_from(best, (100, 4, 1000))),
        ("a best below 64", 257, lambda: hand_from((63, 10, 1000), (1, 10, 1000))),
        ("not the newest period", 257, lambda: hand_from(best, (100, 10, 1000), (900, 10, 1000))),
        ("the newest, after one that was fast", 17, lambda: hand_from(best, (900, 10, 1000), (100, 10, 1000))),
        ("of the view before", 17, lambda: hand_from(best, (100, 10, 1000), None)),
        ("with the best halved in a view", 257, lambda: hand_from(best, None, (180, 10, 1000)))])


def became_longer(waited):
    """Whether two periods of 3,000 ms end the view in which s is 1 as they end, in each of which something waited so long."""
    t = Throughput(35, 1000, 60000)
    t.period(1000, 10, 0)
    return [t.period(500, 10, waited, lasted=3000) for _ in range(2)][-1]


def hand_from(*periods, base=1000):
    """From when an input that is here since 7 may be handed on, after such periods; None: a view is entered."""
    t = Throughput(35, 1000, 60000)
    for x in periods:
        if x is None:
            t.view()
        else:
            t.period(*x)
    return timer(view_base_ms=base).hand_from(7, t.slow)
