"""Two slots of a boot partition, and how an image is kept or given up (9.7).

How the text was read where it says less than a program must know:
- A-35: a counter is decimal digits. Of two with L = 0 the one with the higher number goes first, too.
- A-36: of two names of one slot that one promises less which has a counter, then which has less tries left.
- A-37: the node itself is one of those that a quorum needs; who does not say how many members there are is no reason to wait. What comes
  late, `voted` after 300 seconds where there is no other slot, blesses still. A slot that was given up (L = 0) is none to go back to.
- A-38: the other slot gets two tries; where the loader would take the one that runs all the same, that one's L becomes 0: after a failed trial
  both have none, and the one that ran has the higher number.
"""
import re
from hashlib import sha256

from release import RECORD, Release, says
from wire import need, quorum

FOLDER, TRIES, TRIAL_MS = "EFI/Linux/", 2, 300000
NAME = re.compile(r"EFI/Linux/heraclius-([12])(?:\+([0-9]+)(?:-([0-9]+))?)?\.efi")


def name_of(slot, left=None, used=0):
    count = "" if left is None else "+%d" % left + ("-%d" % used if used else "")
    return "%sheraclius-%d%s.efi" % (FOLDER, slot, count)


def record_of(slot):
    return "%sslot%d.rel" % (FOLDER, slot)


def parsed(name):
    """(slot, L or None, D), or None."""
    m = NAME.fullmatch(name)
    return m and (int(m[1]), None if m[2] is None else int(m[2]), int(m[3] or 0))


class Disk:
    """What is durable: name -> bytes. Each change is the write of one sector; a power cut comes after `cut` of them."""

    def __init__(self, files=(), cut=None):
        self.files, self.cut = dict(files), cut

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

    def upgrade(self, running, record, raw):
        """A-35, after A-34: what the loader could start goes first, and comes last."""
        slot = 3 - running
        for name in self.names(slot):
            self.change(name, None)
        if record_of(slot) in self.files:
            self.change(record_of(slot), None)
        self.change(record_of(slot), record)
        self.change(name_of(slot, TRIES), raw)

    def choice(self):
        """What the loader takes: a slot, or None."""
        have = [(self.slot(n)[0] != 0, says(self.slot(n)[2]) or 0, n) for n in (1, 2) if self.slot(n)]
        return max(have)[2] if have else None

    def boot(self):
        """The slot that starts, with a try taken off."""
        slot = self.choice()
        left, used, _ = self.slot(slot)
        if left:
            self.rename(slot, left - 1, used + 1)
        return slot

    def go_back(self, running):
        """A-38."""
        slot = 3 - running
        need(self.slot(slot), "file-unreadable")
        raw = self.slot(slot)[2]
        if record_of(slot) in self.files:
            record = self.files[record_of(slot)]
            need(len(record) == RECORD and Release(record).hash == sha256(raw).digest(), "id-mismatch")
        self.rename(slot, TRIES)
        if self.choice() != slot:
            self.rename(running, 0, self.slot(running)[1])


class Trial:
    """A-37, of the slot that runs."""

    def __init__(self, disk, slot):
        self.disk, self.slot, self.counted = disk, slot, 0
        self.on = disk.slot(slot)[0] is not None

    def passed(self, ms, answer=None):
        """So long after the last time, with the answer to `status` (None: it does not answer): what is done."""
        if not self.on:
            return "is blessed"
        if answer and answer.get("voted"):
            self.disk.rename(self.slot, None)
            self.on = False
            return "blessed"
        up, n = (answer or {}).get("up", 0), (answer or {}).get("members", 0)
        if 1 <= up and up + 1 < quorum(n):
            return "waits"
        self.counted += ms
        other = self.disk.slot(3 - self.slot)
        if self.counted < TRIAL_MS or not other or other[0] == 0:
            return "asked to decide" if answer else "runs"
        self.disk.rename(self.slot, 0, self.disk.slot(self.slot)[1])
        self.on = False
        return "given up"
