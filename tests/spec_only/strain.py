"""When a member times its view out (B-36, B-50, B-53), and strain (B-55): a local judgement, event by event, with times in ms.

How the text was read where it says less than a program must know:
- B-55: I of a period is that of its beginning, for its length and for the bounds I / 2 and I / 4, whatever becomes of k and s in it.
- B-55: what is pending has waited since the last of the three of B-36 (a block became final, the view was entered, it began to be pending):
  else a busy view, in which something always is, would never be calm. What waited counts in a period even if it came to an end in it.
- B-55: the f+1 hasty views are successive, but for those that decided nothing: so one that decided and is not hasty (it ended by turn) parts
  them like a calm period. Else f members could raise s where views are so short by turn that no period ends in them.
- B-55: a view ended by turn if B-53 held here in it, whoever timed it out for what.
- B-55: s at 5, the count begins anew all the same. On entering a view s rises before the new view's first period begins.
- B-36: k rises by 1 on entering a view, however many were skipped.
"""
STRAIN_MAX = 5


class Timer:
    def __init__(self, timeouts, f):
        self.base, self.most, self.relay = (timeouts[x] for x in ("view_base_ms", "view_max_ms", "input_relay_ms"))
        self.f = f
        self.epoch(0)

    def epoch(self, now):
        """A new one, or the start."""
        self.k = self.s = self.hasty = 0
        self.inputs, self.pending_since = {}, None
        self.view(now)

    def view(self, now):
        self.entered, self.last_final = now, now
        self.decided = self.calm = self.turned = self.timed_out = False
        self.inputs = {x: now for x in self.inputs}  # handed to the new leader, again
        self.pending_since = None
        self.begin(now)

    # B-36, B-50

    def t(self):
        return min(self.base << max(self.k, self.s), max(self.most, self.base))

    def i(self):
        return min(self.relay << max(self.k, self.s), max(self.most, self.relay))

    def due(self, now):
        """Why the view is to be timed out, or None."""
        self.pass_to(now)
        if self.timed_out:
            return None
        if self.turned:
            return "turn"
        if self.pending_since is not None and now - self.pending_from() >= self.t():
            return "pending"
        if self.inputs and now - min(self.inputs.values()) >= self.i():
            return "input"
        return None

    def pending_from(self):
        return max(self.last_final, self.entered, self.pending_since)

    # what happens

    def enter(self, now):
        """A later view."""
        self.pass_to(now)
        if self.decided:
            self.hasty = 0 if self.turned or self.calm else self.hasty + 1
            if self.hasty == self.f + 1:
                self.s, self.hasty = min(self.s + 1, STRAIN_MAX), 0
        self.k += 1
        self.view(now)

    def time_out(self, now):
        self.pass_to(now)
        self.timed_out = True

    def final(self, now, turn=False):
        """A block became final; turn: the one at the view's first height + R, by a QC of this view."""
        self.pass_to(now)
        if self.pending_since is not None:
            self.saw(now - self.pending_from())
        self.k, self.decided, self.last_final = 0, True, now
        self.turned = self.turned or turn

    def pend(self, now, something=True):
        """Something begins to be pending, or nothing is any more."""
        self.pass_to(now)
        if not something and self.pending_since is not None:
            self.saw(now - self.pending_from())
        self.pending_since = (now if self.pending_since is None else self.pending_since) if something else None

    def hand(self, now, name):
        self.pass_to(now)
        self.inputs[name] = now

    def consume(self, now, name):
        self.pass_to(now)
        self.saw(now - self.inputs.pop(name))

    # B-55: periods

    def begin(self, now):
        self.period_begun, self.period_i, self.longest = now, self.i(), 0

    def saw(self, wait):
        self.longest = max(self.longest, wait)

    def pass_to(self, now):
        """Ends the periods that are over by now."""
        while not self.timed_out and now >= self.period_begun + 4 * self.period_i:
            end = self.period_begun + 4 * self.period_i
            if self.pending_since is not None:
                self.saw(end - self.pending_from())
            for since in self.inputs.values():
                self.saw(end - since)
            if 2 * self.longest <= self.period_i:
                self.calm, self.hasty = True, 0
            if 4 * self.longest <= self.period_i:
                self.s = max(self.s - 1, 0)
            self.begin(end)
