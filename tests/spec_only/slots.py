"""Two slots of a boot partition, and how an image is kept or given up (9.7).

How the text was read where it says less than a program must know:
- A-35: a counter is decimal digits. Of two with L = 0 the one with the higher number goes first, too.
- A-36: of two names of one slot that one promises less which has a counter, then which has less tries left.
- A-37: all of the time before the first look counts, however long. What comes late, `voted` after 300 seconds where there is no other slot,
  blesses still. A-39 is judged with `voted`, before the time. The first height that is told shows nothing, at whatever look; one that is told
  while A-39 is being shown is not looked at for later looks, either. `members` and `faults` that are no numbers are as
  none; that holds for A-39, too, which is judged by the same looks.
- A-38: who said the word before is told that all is well, and nothing is looked at. A word that was refused was not said.
"""
import re
from hashlib import sha256

from contract import NO_VOTE, phase_form
from release import Release, says
from wire import Bad, need

FOLDER, TRIES, TRIAL_MS, LOOK_MS, MORE_MS, SHOWN_MS, BEHIND = "EFI/Linux/", 2, 300000, 10000, 4 * 3600000, 60000, 64
WAS = re.compile(rb"heraclius-was 1 (0|[1-9][0-9]*) ([a-z_]{1,31}) (0|[1-9][0-9]*) ([01])\n")
NAME = re.compile(r"EFI/Linux/heraclius-([12])(?:\+([0-9]+)(?:-([0-9]+))?)?\.efi")


def name_of(slot, left=None, used=0):
    count = "" if left is None else "+%d" % left + ("-%d" % used if used else "")
    return "%sheraclius-%d%s.efi" % (FOLDER, slot, count)


def record_of(slot):
    return "%sslot%d.rel" % (FOLDER, slot)


def was_of(slot):
    return "%sslot%d.was" % (FOLDER, slot)


def reached(answer):
    """A-24: the other members that a node reaches."""
    return [m for m in answer["members_seen"] if m["up"] and m["member"] != answer["member"]]


def was_line(number, answer, configured=True):
    """A-39: what is written beside a slot; answer is the node's to `status`, or None."""
    phase, height, linked = "silent" if configured else "unconfigured", 0, 0
    if answer:
        phase = answer["phase"] if phase_form(answer["phase"]) else phase
        height, linked = answer["checkpoint_height"], int(bool(reached(answer)))
    return b"heraclius-was 1 %d %s %d %d\n" % (number, phase.encode(), height, linked)


def was_read(raw, number):
    """(PHASE, HEIGHT, LINKED); a line of another form or image, or none, is as `silent`."""
    m = WAS.fullmatch(raw or b"")
    return (m[2].decode(), int(m[3]), m[4] == b"1") if m and int(m[1]) == number != 0 else ("silent", 0, False)


def parsed(name):
    """(slot, L or None, D), or None."""
    m = NAME.fullmatch(name)
    return m and (int(m[1]), None if m[2] is None else int(m[2]), int(m[3] or 0))


class Disk:
    """What is durable: name -> bytes. Each change is the write of one sector; a power cut comes after `cut` of them."""

    def __init__(self, files=(), cut=None):
        self.files, self.cut, self.said = dict(files), cut, False

    def change(self, name, raw):
        if self.cut is not None:
            if self.cut == 0:
                raise EOFError("the power is cut")
            self.cut -= 1
        if raw is None:
            del self.files[name]
        else:
            self.files[name] = raw

    def names(self, slot):
        """Those of one slot, what promises less first."""
        found = [n for n in self.files if parsed(n) and parsed(n)[0] == slot]
        return sorted(found, key=lambda n: (parsed(n)[1] is None, parsed(n)[1] or 0))

    def slot(self, slot):
        """(L or None, D, bytes), or None."""
        names = self.names(slot)
        return parsed(names[0])[1:] + (self.files[names[0]],) if names else None

    def rename(self, slot, left, used=0):
        """A-36: both names lead to the same bytes in between; names of an earlier cut go, too."""
        new, raw = name_of(slot, left, used), self.slot(slot)[2]
        if new not in self.files:
            self.change(new, raw)
        for old in self.names(slot):
            if old != new:
                self.change(old, None)

    def upgrade(self, running, record, raw, was=b""):
        """A-35, after A-34: what the loader could start goes first, and comes last."""
        slot = 3 - running
        for name in self.names(slot):
            self.change(name, None)
        if record_of(slot) in self.files:
            self.change(record_of(slot), None)
        self.change(record_of(slot), record)
        self.change(was_of(slot), was)
        self.change(name_of(slot, TRIES), raw)

    def choice(self):
        """What the loader takes: a slot, or None."""
        have = [(self.slot(n)[0] != 0, says(self.slot(n)[2]) or 0, n) for n in (1, 2) if self.slot(n)]
        return max(have)[2] if have else None

    def boot(self):
        """The slot that starts, with a try taken off."""
        self.said = False
        slot = self.choice()
        left, used, _ = self.slot(slot)
        if left:
            self.rename(slot, left - 1, used + 1)
        return slot

    def go_back(self, running, runs, keys, was=b""):
        """A-38; running: the slot that this machine started from, or None; runs: the number that runs; keys are those of A-32; was: None if the disk
        takes no line."""
        if self.said:
            return
        here = self.slot(running) if running else None
        need(here and runs != 0 and says(here[2]) == runs, "foreign")
        slot = 3 - running
        other = self.slot(slot)
        number = says(other[2]) if other else 0
        need(number, "field-missing")
        need(here[0] is None or other[0] != 0 or number > runs, "order")
        record = signed_record(self.files.get(record_of(slot)), keys)
        if record and (record.length, record.number) == (len(other[2]), number):
            need(record.hash == sha256(other[2]).digest(), "id-mismatch")
        if here[0] is None:
            if was is not None or was_of(slot) in self.files:
                self.change(was_of(slot), was)
            self.rename(slot, TRIES)
        if here[0] is not None or number < runs:
            self.rename(running, 0, here[1])
        self.said = True


def signed_record(raw, keys):
    """A slot's record, if it is there and signed by one of the keys."""
    try:
        record = Release(raw or b"")
        record.signed_by(keys)
    except Bad:
        return None
    return record


def could_vote(answer):
    """A-37: whether those that a node reaches, and of which it does not say that they do not vote, are a quorum with it, or it reaches nobody."""
    up = reached(answer)
    return not up or 1 + sum(m.get("votes") is not False for m in up) >= answer["members"] - answer["faults"]


def status_of(answer):
    """A-37: an answer to `status`, None if it is as none."""
    counts = [(answer or {}).get(x) for x in ("members", "faults")]
    return answer if all(type(x) is int for x in counts) and counts[1] < counts[0] else None


def as_before(was, answer):
    """A-39: a node that says the same as under the image before, and has lost nothing since."""
    phase, height, linked = was
    if phase not in NO_VOTE or answer["phase"] != phase or answer["height"] < height:
        return False
    up = reached(answer)
    ahead = sum(m["height"] is not None and m["height"] > answer["height"] + BEHIND for m in up)
    return bool(up or not linked) and ahead <= answer["faults"]


class Trial:
    """A-37, A-39, of the slot that runs. bare: no configuration is in force, the data disk is good, and the console runs."""

    def __init__(self, disk, slot):
        self.disk, self.slot = disk, slot
        left, _, raw = disk.slot(slot)
        self.on, self.was = left is not None, was_read(disk.files.get(was_of(slot)), says(raw))
        self.counted, self.all, self.best, self.height, self.shown, self.first = 0, 0, 0, None, None, True

    def passed(self, ms, answer=None, bare=False):
        """A look, so long after the last one, the first one after the machine's start: what is done. answer: to `status`, None if there is none."""
        if not self.on:
            return "is blessed"
        ms, self.first, answer = ms if self.first else min(ms, LOOK_MS), False, status_of(answer)
        if answer and answer["voted"] or self.shows(ms, answer, bare):
            self.disk.rename(self.slot, None)
            self.on = False
            return "blessed"
        if self.shown is not None:
            return "shows"
        stands = answer and not self.decided(answer) and not could_vote(answer)
        if not stands:
            self.counted, self.all = self.counted + ms, self.all + ms
        if answer:
            self.renew(answer)
        if stands:
            return "waits"
        if self.counted < TRIAL_MS or not self.other():
            return "asked to decide" if answer else "runs"
        if self.disk.slot(self.slot)[0] != 0:
            self.disk.rename(self.slot, 0, self.disk.slot(self.slot)[1])
        self.on = False
        return "given up"

    def other(self):
        """Whether there is another slot to go back to, which the loader then takes."""
        left, _, raw = self.disk.slot(3 - self.slot) or (0, 0, b"")
        return says(raw) != 0 and (left != 0 or says(raw) > says(self.disk.slot(self.slot)[2]))

    def shows(self, ms, answer, bare):
        """Whether A-39 has been shown long enough."""
        fits = as_before(self.was, answer) if answer else self.was[0] == "unconfigured" and bare
        self.shown = None if not fits else 0 if self.shown is None else self.shown + ms
        return fits and self.shown >= SHOWN_MS

    def decided(self, answer):
        """Whether a quorum decided since the looks before, by the height that is told."""
        before, height = self.height, answer.get("height")
        if type(height) is int:
            self.height = height if before is None else max(before, height)
        return before is not None and self.height > before

    def renew(self, answer):
        """The time begins anew with more progress, as long as no more than 4 hours were counted in all."""
        progress = answer.get("progress", 0)
        if answer["phase"] == "voting" or answer["phase"] in NO_VOTE or progress <= self.best:
            return
        self.best = progress
        if self.all <= MORE_MS:
            self.counted = 0
