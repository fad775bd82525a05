"""Checks of our own for 9.7: names, slots under power cuts, trials, going back, nodes that have no vote."""
from hashlib import sha256

from contract import NO_VOTE
from own_release import KEY, NINE, OTHER, PUBLIC, SEVEN
from release import Release, make_record, make_uki
from slots import LOOK_MS, MORE_MS, SHOWN_MS, TRIAL_MS, Disk, Trial, name_of, parsed, record_of, was_line, was_of, was_read
from wire import word_of

LOOK = 2000


def add(r):
    loader(r)
    cuts(r)
    trials(r)
    renewals(r)
    back(r)
    lines_of_was(r)
    without_vote(r)
    unconfigured(r)


def two(left=2, used=0, one=None, first=SEVEN, second=NINE):
    """Slot 1 (blessed, 7) and slot 2 (9)."""
    return Disk({name_of(1, one): first, name_of(2, left, used): second})


def loader(r):
    r.facts("A-35 names", [
        ("blessed", (1, None, 0), lambda: parsed("EFI/Linux/heraclius-1.efi")), ("left", (2, 2, 0), lambda: parsed("EFI/Linux/heraclius-2+2.efi")),
        ("used", (2, 0, 2), lambda: parsed("EFI/Linux/heraclius-2+0-2.efi")),
        ("none", [None] * 4, lambda: [parsed("EFI/Linux/heraclius-" + x) for x in ("3.efi", "1-1.efi", "1+.efi", "1+1.new")])])

    def starts(disk, count):
        return [disk.boot() for _ in range(count)], sorted(x.split("/")[-1] for x in disk.files)
    r.facts("A-35, A-37", [
        ("twice, then the other one", ([2, 2, 1, 1], ["heraclius-1.efi", "heraclius-2+0-2.efi"]), lambda: starts(two(), 4)),
        ("a try is taken off", ([2], ["heraclius-1.efi", "heraclius-2+1-1.efi"]), lambda: starts(two(), 1)),
        ("blessed: the higher number", ([2, 2], ["heraclius-1.efi", "heraclius-2.efi"]), lambda: starts(two(None), 2)),
        ("one alone without tries", ([2], ["heraclius-2+0-2.efi"]), lambda: starts(Disk({name_of(2, 0, 2): NINE}), 1)),
        ("numbers, not slots", [1], lambda: starts(two(None, first=make_uki(10)), 1)[0])])


def cuts(r):
    """A-36: whatever was done when the power went, all that the loader would start is whole, and there is one to rely on."""
    record, old, line = make_record(KEY, NINE, 9), make_uki(5), was_line(9, None)
    before = {name_of(1): SEVEN, name_of(2): old, record_of(2): make_record(KEY, old, 5), was_of(2): was_line(5, None)}

    def all_of(files, act, running=1):
        out = []
        for cut in range(12):
            disk, done = Disk(files, cut), False
            try:
                act(disk)
                done = True
            except EOFError:
                pass
            whole = all(x in (SEVEN, NINE, old) for n, x in disk.files.items() if parsed(n))
            safe = any(parsed(n)[1] is None or parsed(n)[0] == running for n in disk.files if parsed(n))
            fits = record_of(2) not in disk.files or not disk.slot(2) or Release(disk.files[record_of(2)]).hash == sha256(disk.slot(2)[2]).digest()
            kept = all(disk.files.get(n) == files[n] for n in files if n.startswith(name_of(1)[:-4])) or act not in (upgrade,)
            told_first = act is not upgrade or not disk.slot(2) or disk.slot(2)[2] != NINE or disk.files[was_of(2)] == line
            same = all(len({disk.files[n] for n in disk.names(s)}) <= 1 for s in (1, 2))
            disk.cut = None
            out.append((whole, safe, fits, kept, told_first, same, disk.choice() is not None))
            if done:
                return set(out), cut, sorted(x.split("/")[-1] for x in disk.files if parsed(x))
        return out
    upgrade = lambda d: d.upgrade(1, record, NINE, line)
    fine = {(True,) * 7}
    trial = {name_of(1): SEVEN, name_of(2, 1, 1): NINE}
    r.facts("A-36", [
        ("an upgrade", (fine, 5, ["heraclius-1.efi", "heraclius-2+2.efi"]), lambda: all_of(before, upgrade)),
        ("the first one", (fine, 3, ["heraclius-1.efi", "heraclius-2+2.efi"]), lambda: all_of({name_of(1): SEVEN}, upgrade)),
        ("a blessing", (fine, 2, ["heraclius-1.efi", "heraclius-2.efi"]), lambda: all_of(trial, lambda d: d.rename(2, None), 2)),
        ("a giving up", (fine, 2, ["heraclius-1.efi", "heraclius-2+0-1.efi"]), lambda: all_of(trial, lambda d: d.rename(2, 0, 1), 2)),
        ("a going back", (fine, 5, ["heraclius-1+0.efi", "heraclius-2+2.efi"]), lambda: all_of(before, lambda d: d.go_back(1, 7, [], line))),
        ("a going back on trial", (fine, 2, ["heraclius-1.efi", "heraclius-2+0-1.efi"]), lambda: all_of(trial, lambda d: d.go_back(2, 9, []), 2)),
        ("of two names the one that promises less", [1, 1, 0], lambda: [Disk({name_of(2, *x): NINE for x in pair}).slot(2)[0] for pair in (
            [(None,), (1, 1)], [(2,), (1, 1)], [(1, 1), (0, 1)])])])


def told(up=3, voted=False, n=4, votes=True, **x):
    """What a node answers to `status`: member 0 of n, which reaches `up` others; votes: of each, or of all."""
    votes = votes if isinstance(votes, list) else [votes] * (n - 1)
    seen = [{"member": i + 1, "up": i < up, "votes": votes[i], "height": 100} for i in range(n - 1)]
    out = {"voted": voted, "member": 0, "members": n, "faults": (n - 1) // 3, "phase": "asking", "progress": 0, "height": 100,
           "checkpoint_height": 96, "members_seen": [{"member": 0, "up": True, "votes": False, "height": 100}] + seen}
    return {**out, **x}


def looks(trial, ms, *a):
    """A look every two seconds: the last word."""
    return [trial.passed(LOOK, *a) for _ in range(ms // LOOK)][-1]


def trials(r):
    def run_(*steps, disk=None, slot=2):
        disk = disk or two(1, 1)
        t = Trial(disk, slot)
        return [looks(t, *x) for x in steps], disk.slot(slot)[0]
    begun = told(phase="voting")
    short, one, nobody = TRIAL_MS - LOOK, told(1), told(0, phase="voting")
    asked = "asked to decide"
    none_votes = told(votes=False)

    def stood(*ms, answer=None):
        trial = Trial(two(1, 1), 2)
        return [trial.passed(x, answer) for x in ms][-1]
    r.facts("A-37", [
        ("voted", ([asked, "blessed", "is blessed"], None), lambda: run_((LOOK, begun), (LOOK, told(voted=True)), (TRIAL_MS, None))),
        ("no answer", (["runs", "given up"], 0), lambda: run_((short,), (LOOK,))),
        ("an answer alone", ([asked, "given up"], 0), lambda: run_((short, begun), (LOOK, begun))),
        ("reaching nobody counts", ([asked, "given up"], 0), lambda: run_((short, nobody), (LOOK, nobody))),
        ("fewer than a quorum: time stands still", (["waits", asked, "given up"], 0), lambda: run_(
            (3 * TRIAL_MS, one), (short, begun), (LOOK, begun))),
        ("all are there, and do not vote", (["waits"], 1), lambda: run_((3 * TRIAL_MS, none_votes))),
        ("it is not known whether they do: it counts", (["given up"], 0), lambda: run_((TRIAL_MS, told(votes=None, phase="voting")))),
        ("one votes, of one it is not known", (["given up"], 0), lambda: run_((TRIAL_MS, told(votes=[True, None, False], phase="voting")))),
        ("one votes, two do not", (["waits"], 1), lambda: run_((TRIAL_MS, told(votes=[True, False, False])))),
        ("one that votes is not reached", (["waits"], 1), lambda: run_((TRIAL_MS, told(2, votes=[True, False, True])))),
        ("with itself a quorum: it counts", (["given up"], 0), lambda: run_((TRIAL_MS, told(2, phase="voting")))),
        ("of seven", (["waits", "given up"], 0), lambda: run_((TRIAL_MS, told(3, n=7)), (TRIAL_MS, told(4, n=7, phase="voting")))),
        ("voted at the look at which the time is reached", (["runs", "blessed"], None), lambda: run_((short,), (LOOK, told(voted=True)))),
        ("more progress at that look", (["runs", asked, "given up"], 0), lambda: run_(
            (short,), (LOOK, told(progress=1)), (TRIAL_MS, told(progress=1)))),
        ("the same progress", (["runs", "given up"], 0), lambda: run_((short,), (LOOK, told(progress=0)))),
        ("voted in time", (["blessed"], None), lambda: run_((LOOK, told(1, voted=True)))),
        ("no other slot: it stays", (["runs", "blessed"], None), lambda: run_((TRIAL_MS,), (LOOK, told(voted=True)), disk=Disk(
            {name_of(2, 0, 2): NINE}))),
        ("one without tries is none", (["runs"], 1), lambda: run_((TRIAL_MS,), disk=two(1, 1, one=0))),
        ("a blessed one is on no trial", (["is blessed"], None), lambda: run_((TRIAL_MS,), slot=1)),
        ("L = 0 already", (["given up"], 0), lambda: run_((TRIAL_MS,), disk=two(0, 2))),
        ("a machine that stood still", "runs", lambda: stood(LOOK, 10 * TRIAL_MS)), ("that counts as ten seconds", ["runs", "given up"], lambda: [
            stood(*[LOOK_MS] * 28, 10 * TRIAL_MS, LOOK_MS - x) for x in (1, 0)]),
        ("at the first look all counts", ["runs", "given up"], lambda: [stood(TRIAL_MS - x) for x in (1, 0)]),
        ("what it finds goes for all of it", "waits", lambda: stood(9 * TRIAL_MS, answer=one)),
        ("the other UKI says no number", (["runs"], 1), lambda: run_((TRIAL_MS,), disk=two(1, 1, first=make_uki(7, osrel=b"")))),
        ("is none", (["runs"], 1), lambda: run_((TRIAL_MS,), disk=two(1, 1, first=b"x"))),
        ("the other has L = 0 and the higher number", (["given up"], 0), lambda: run_((TRIAL_MS,), disk=two(1, 1, one=0, first=make_uki(10)))),
        ("a status without members or faults, or with no less of these", [["given up"]] * 4, lambda: [run_((TRIAL_MS, {**one, **x}))[0] for x in (
            {"members": None}, {"faults": None}, {"members": 1}, {"members": "4"})]),
        ("it says nothing, not that it voted either", (["runs"], 1), lambda: run_((LOOK, told(voted=True, faults=4)))),
        ("the other starts then", 1, lambda: (lambda d: (run_((TRIAL_MS,), disk=d), d.boot())[1])(two(1, 1)))])


def renewals(r):
    def lasts(answer, most=2 * MORE_MS):
        """How long a trial lasts; answer: of the look at ms."""
        t, ms = Trial(two(1, 1), 2), 0
        while ms < most:
            ms += LOOK
            if t.passed(LOOK, answer(ms)) == "given up":
                return ms
        return None
    later = lambda *at: lambda ms: told(progress=min(ms, at[0]) + (ms >= at[1]))
    grows = lambda until, **x: lambda ms: told(progress=min(ms, until), **x)
    r.facts("A-37 progress", [
        ("it begins anew", 100000 + TRIAL_MS, lambda: lasts(grows(100000))),
        ("no more than 4 hours, and 300 seconds", MORE_MS + TRIAL_MS, lambda: lasts(
            grows(4 * MORE_MS))),
        ("none", TRIAL_MS, lambda: lasts(grows(0))), ("one at the first look", LOOK + TRIAL_MS, lambda: lasts(grows(LOOK))),
        ("it votes", TRIAL_MS, lambda: lasts(grows(MORE_MS, phase="voting"))),
        ("it does not tell", TRIAL_MS, lambda: lasts(lambda ms: {k: v for k, v in told().items() if k != "progress"})),
        ("a word of A-27", [TRIAL_MS] * len(NO_VOTE), lambda: [lasts(grows(MORE_MS, phase=x)) for x in NO_VOTE]),
        ("one that begins again and again", 100000 + TRIAL_MS, lambda: lasts(lambda ms: told(progress=ms % 100000 or 100000))),
        ("what it told when it voted does not count", 50000 + TRIAL_MS, lambda: lasts(
            lambda ms: told(progress=9, phase="asking") if ms == LOOK else told(
            progress=500, phase="voting") if ms < 50000 else told(progress=min(ms // 100, 500)))),
        ("it waits, and that is none of the 4 hours", None, lambda: lasts(grows(4 * MORE_MS, up=1))),
        ("none after 4 hours in all", MORE_MS + 100000, lambda: lasts(later(MORE_MS - 200000, MORE_MS + LOOK))),
        ("one at just 4 hours", MORE_MS + TRIAL_MS, lambda: lasts(later(MORE_MS - 200000, MORE_MS))),
        ("one while it waits", 600000 + TRIAL_MS, lambda: lasts(lambda ms: told(1, progress=int(ms > 500000)) if 200000 < ms <= 600000 else told()))])
    alone = lambda height: lambda ms: told(1, height=height(ms))
    r.facts("A-37 height", [
        ("a look counts at which it is higher", 150 * 20000, lambda: lasts(alone(lambda ms: ms // 20000))),
        ("the first that is told shows nothing", LOOK + TRIAL_MS, lambda: lasts(alone(lambda ms: ms))),
        ("nor if it is told late", LOOK + TRIAL_MS, lambda: lasts(lambda ms: None if ms <= 50000 else told(1, height=ms))),
        ("nor the same again, nor a lower one", [None, None], lambda: [lasts(alone(f)) for f in (lambda ms: 100, lambda ms: 10**9 - ms)]),
        ("one that is told while a quorum is there is one before", None, lambda: lasts(
            lambda ms: told(3 if ms < 9000 else 1, height=min(ms, 8000))))])


def back(r):
    keys = [PUBLIC[KEY]]

    def goes(disk, running):
        disk.go_back(running, {1: 7, 2: 9}[running], keys)
        return [disk.boot() for _ in range(3)]

    def kept(disk):
        disk.go_back(2, 9, keys)
        return disk.boot(), Trial(disk, 1).passed(1, told(voted=True)), disk.boot(), disk.boot()

    def fails(disk):
        """The trial that follows fails: what starts then, whether it is given up in turn, and what its first vote does."""
        disk.go_back(2, 9, keys)
        first = disk.boot()
        looks(Trial(disk, first), TRIAL_MS)
        then = Trial(disk, disk.boot())
        return first, then.slot, looks(then, 2 * TRIAL_MS), then.passed(LOOK, told(voted=True))
    good, of_nine, rotten = (make_record(KEY, x, 7, **more) for x, more in ((SEVEN, {}), (NINE + b"x", {}), (SEVEN, {"hash": bytes(32)})))
    with_ = lambda record, **x: Disk({**two(None, **x).files, record_of(1): record})
    r.facts("A-38", [
        ("to the lower number, twice, and the one that ran", [1, 1, 2], lambda: goes(two(None), 2)),
        ("to the higher one, given up before", [2, 2, 1], lambda: goes(two(0, 2), 1)), ("with its record", [1, 1, 2], lambda: goes(with_(good), 2)),
        ("on trial: the blessed one", [1, 1, 1], lambda: goes(two(1, 1), 2)),
        ("blessed again it is kept", (1, "blessed", 1, 1), lambda: kept(two(None))),
        ("it fails", (1, 2, "runs", "blessed"), lambda: fails(two(None)))])
    go = lambda disk, running=2, runs=9: lambda: disk.go_back(running, runs, keys)
    r.words("A-38", [
        ("another content", "id-mismatch", go(with_(rotten))), ("half a record is none", "ok", go(with_(rotten[:-1]))),
        ("a record of another length", "ok", go(with_(of_nine))), ("of another number", "ok", go(with_(make_record(KEY, SEVEN, 8, hash=bytes(32))))),
        ("not signed by a release key", "ok", go(with_(make_record(OTHER, SEVEN, 7, hash=bytes(32))))),
        ("no other slot", "field-missing", go(Disk({name_of(2): NINE}))), ("no UKI in it", "field-missing", go(two(None, first=b"x"))),
        ("one that says no number", "field-missing", go(two(None, first=make_uki(7, osrel=b"")))),
        ("on trial, and the other one too", "order", go(two(1, 1, one=0))),
        ("order before what the other has", "order", go(Disk({**two(1, 1, one=0).files, record_of(1): rotten}))),
        ("on trial, and another content", "id-mismatch", go(Disk({**two(1, 1).files, record_of(1): rotten}))),
        ("no other slot before order", "field-missing", go(two(1, 1, one=0, first=b"x"))),
        ("on trial, the other with tries", "ok", go(two(1, 1, one=1))),
        ("on trial, the other with L = 0 and the higher number", "ok", go(two(0, 2, one=1), 1, 7)),
        ("no slot", "foreign", go(two(None), None)), ("another number runs", "foreign", go(two(None), runs=8)), ("none runs", "foreign", go(
            two(None, second=make_uki(9, osrel=b"")), runs=0)), ("no slot before no other one", "foreign", go(Disk({name_of(2): NINE}), runs=7))])

    def nothing():
        disk = two(1, 1, one=0)
        before = dict(disk.files)
        return word_of(disk.go_back, 2, 9, keys), disk.files == before
    r.facts("A-38 order", [("nothing is done", ("order", True), nothing)])

    def again(disk, restarted):
        disk.go_back(2, 9, keys)
        before = dict(disk.files)
        if restarted:
            disk.boot()
        return word_of(disk.go_back, 2, 9, keys), disk.files == before

    def line_of(was, old):
        disk = two(None)
        disk.files.update({was_of(1): old} if old else {})
        disk.go_back(2, 9, keys, was)
        return disk.files.get(was_of(1))
    line, stale = was_line(7, None), was_line(6, None)
    r.facts("A-38 more", [
        ("said again: without effect", ("ok", True), lambda: again(two(None), False)), ("on trial, likewise", ("ok", True), lambda: again(
            two(1, 1, one=None), False)), ("a restart, and what runs is on trial", ("ok", False), lambda: again(two(None), True)),
        ("the line", [line, line], lambda: [line_of(line, x) for x in (None, stale)]),
        ("the disk takes none: no older one stays", [None, None], lambda: [line_of(None, x) for x in (None, stale)])])


def lines_of_was(r):
    line = lambda *a: lambda: was_line(*a)
    read = lambda raw, number=9: lambda: was_read(raw, number)
    silent = ("silent", 0, False)
    r.facts("A-39 line", [
        ("of a node", b"heraclius-was 1 9 sealed 96 1\n", line(9, told(phase="sealed"))), ("that reaches nobody", b"heraclius-was 1 9 sealed 96 0\n",
                                                                                          line(9, told(0, phase="sealed"))),
        ("that does not answer", b"heraclius-was 1 9 silent 0 0\n", line(9, None)),
        ("a phase of another form", b"heraclius-was 1 9 silent 96 1\n", line(9, told(phase="Sealed"))),
        ("of 32 letters", b"heraclius-was 1 9 silent 96 1\n", line(9, told(phase="a" * 32))),
        ("without configuration", b"heraclius-was 1 9 unconfigured 0 0\n", line(9, None, False)),
        ("of number 0", silent, read(b"heraclius-was 1 0 sealed 96 1\n", 0)),
        ("as it was written", ("sealed", 96, True), read(was_line(9, told(phase="sealed")))),
        ("none", silent, read(None)), ("of another image", silent, read(b"heraclius-was 1 8 sealed 96 1\n")),
        ("of other forms", [silent] * 7, lambda: [read(x)() for x in (
            b"heraclius-was 1 9 sealed 96 1", b"heraclius-was 2 9 sealed 96 1\n", b"heraclius-was 1 09 sealed 96 1\n",
            b"heraclius-was 1 9 sealed 096 1\n", b"heraclius-was 1 9 sealed  96 1\n", b"heraclius-was 1 9 sealed 96 2\n",
            b"heraclius-was 1 9 sealed 96 1\n\n")])])


def with_line(raw):
    return Disk({**two(1, 1).files, was_of(2): raw})


def without_vote(r):
    def run_(*steps, was=told(phase="removed")):
        t = Trial(with_line(was_line(9, was)), 2)
        return [looks(t, *x) for x in steps]
    same = told(phase="removed")
    first, long = SHOWN_MS, TRIAL_MS
    heights = lambda *h: {**same, "members_seen": [{"member": i, "up": True, "votes": True, "height": x} for i, x in enumerate((100, *h))]}
    r.facts("A-39", [
        ("for 60 seconds", ["shows", "blessed"], lambda: run_((first, same), (LOOK, same))),
        ("each word of A-27", ["blessed"] * len(NO_VOTE), lambda: [run_((first + LOOK, told(phase=x)), was=told(phase=x))[0] for x in NO_VOTE]),
        ("not on end", ["shows", "runs", "shows"], lambda: run_((first, same), (LOOK, None), (first, same))),
        ("it voted before", ["given up"], lambda: run_((long, same), was=told(phase="voting"))),
        ("another word of the program's own", ["given up"], lambda: run_((TRIAL_MS, told(phase="behind")), was=told(phase="behind"))),
        ("another word than before", ["given up"], lambda: run_((long, told(phase="observing")))),
        ("a height below the checkpoint", ["given up"], lambda: run_((long, {**same, "height": 95}))),
        ("not below it", ["blessed"], lambda: run_((first + LOOK, {**same, "height": 96}))),
        ("it reached others before", ["given up"], lambda: run_((long, told(0, phase="removed")))),
        ("and reached none before", ["blessed"], lambda: run_((first + LOOK, told(0, phase="removed")), was=told(0, phase="removed"))),
        ("one is further on", ["blessed"], lambda: run_((first + LOOK, heights(165, 164, 164)))),
        ("two are", ["given up"], lambda: run_((long, heights(165, 165, 164)))),
        ("whose height is not known is not", ["blessed"], lambda: run_((first + LOOK, heights(165, None, None)))),
        ("a height of such a look is not looked at later", ["shows", "waits", "asked to decide"], lambda: run_(
            (LOOK, {**same, "height": 200}), *[(LOOK, told(1, phase="sealed", height=x)) for x in (150, 160)])),
        ("time stands still", ["shows", "asked to decide", "given up"], lambda: run_(
            (first, same), (TRIAL_MS - LOOK, told(phase="sealed")), (LOOK, told(phase="sealed"))))])


def unconfigured(r):
    def run_(*steps, was=b"heraclius-was 1 9 unconfigured 0 0\n"):
        t = Trial(with_line(was), 2)
        return [looks(t, *x) for x in steps]
    whole = (SHOWN_MS + LOOK, None, True)
    r.facts("A-39 unconfigured", [
        ("blessed", ["blessed"], lambda: run_(whole)), ("not where something fails", ["given up"], lambda: run_((TRIAL_MS, None, False))),
        ("nor of another image", ["given up"], lambda: run_((TRIAL_MS, None, True), was=b"heraclius-was 1 8 unconfigured 0 0\n")),
        ("nor of a silent one", ["given up"], lambda: run_((TRIAL_MS, None, True), was=was_line(9, None))),
        ("a node answers", ["given up"], lambda: run_((TRIAL_MS, told(phase="voting"), True)))])
