"""When a member times its view out (B-36, B-50, B-53, B-56), strain (B-55), and what it sends again (B-70): event by event, with times in ms.

How the text was read where it says less than a program must know:
- B-55: "a quarter of it" is a quarter of that I, as "half of that I" is, not of the period: what waits that long is timed out anyway.
- B-55: a member looks at whatever happens and at a period's end, so what came to an end in a period counts with all that it had waited.
- B-55: when I falls with k or s, a period that has lasted as long by now ends at that moment, not before; so it can be longer than 4 * I.
- B-55: a view was over by B-53 if that held here in it, whoever timed it out for what, and whether or not a later QC came since.
- B-55: on entering a view s rises before the new view's first period begins.
- B-55, B-62: before a member might sign in a view, nothing in it counts, and no period of it begins; that it was entered counts for k.
- B-56: both times must have passed since it was entered, 60 seconds and 8 * I, not their sum; from both on at once.
- D-25: what is much longer than slices used to wait is the node's choice, and not here; without it 10 ms is the soonest, and that if rate was low.
- B-70: what is sent while a member is stuck needs no other STATUS beside it, and counts from the last one, whichever it was.
"""
STRAIN_MAX, BEHIND_MS, SLOW_HAND_MS = 5, 60000, 10


class Timer:
    """One member. Inputs have a name and the time from which they wait, None: not handed to the leader of this view yet."""

    def __init__(self, timeouts, f):
        self.base, self.most, self.relay = (timeouts[x] for x in ("view_base_ms", "view_max_ms", "input_relay_ms"))
        self.f, self.inputs, self.dispatches = f, {}, {}
        self.epoch(0)

    def epoch(self, now, may_sign=True):
        """A new one, or the start; may_sign: LAST-SIGNED is answered for it (B-62)."""
        self.k = self.s = self.hasty = self.number = 0
        self.others = set()  # views of which others' TIMEOUTs are held
        self.newest = None  # the view of whose QC the newest final block is final
        self.view(now, may_sign)

    def view(self, now, may_sign=True):
        self.entered = now if may_sign else None
        self.last_final, self.pending_since = now, None
        self.calm = self.turned = self.timed_out = self.leads = False
        self.inputs = {x: None for x in self.inputs}
        self.begin(now)

    def allow(self, now):
        """From now on this member may sign."""
        if self.entered is None:
            self.entered = now
            self.begin(now)

    # B-36, B-50

    def t(self):
        return min(self.base << max(self.k, self.s), max(self.most, self.base))

    def i(self):
        return min(self.relay << max(self.k, self.s), max(self.most, self.relay))

    def due(self, now):
        """Why the view is to be timed out, or None."""
        self.pass_to(now)
        if self.timed_out or self.entered is None:
            return None
        if self.turned:
            return "turn"
        if self.pending_since is not None and self.pending_for(now) >= self.t():
            return "pending"
        if self.oldest_for(now) >= self.i():
            return "input"
        return "left behind" if self.left_behind(now) else None

    def pending_for(self, now):
        """How long, since B-36 counts, something has been pending; 0 if nothing is."""
        return 0 if self.pending_since is None else now - max(self.last_final, self.entered, self.pending_since)

    def oldest_for(self, now):
        """How long, since B-50 counts, the oldest input has waited; 0 if none does."""
        waiting = [x for x in (*self.inputs.values(), *self.dispatches.values()) if x is not None]
        return now - max(min(waiting), self.entered) if waiting else 0

    def left_behind(self, now):
        """B-56."""
        return self.leads and self.number in self.others and self.calm and now - self.entered >= max(BEHIND_MS, 8 * self.i())

    def decided(self):
        """B-55: by a QC of this very view."""
        return self.newest == self.number

    def hand_by(self, since):
        """D-25: an input that this member holds since then is handed to the leader at the latest; by view_base_ms alone."""
        return since + self.base // 4

    def hand_from(self, since, slow):
        """D-25: and at the soonest; slow: rate was low by B-52 in the newest period (Throughput.slow)."""
        return since + SLOW_HAND_MS if slow else self.hand_by(since)

    def sends(self, since, stuck, tc=True):
        """B-70: what is sent so long after the last STATUS; tc: TC(view-1) is held (B-32)."""
        if since < (self.base // 4 if stuck else self.base):
            return []
        again = (["TC"] if tc and self.number > 0 else []) + ["TIMEOUT"] if self.timed_out else []
        return ["STATUS with flag 4" if stuck else "STATUS"] + again

    # what happens

    def enter(self, now, to=None, hand=True, may_sign=True):
        """A later view, whatever lies between; hand: all inputs that wait go to its leader at once."""
        self.pass_to(now)
        if self.turned:
            self.hasty = 0
        elif self.decided() and not self.calm:
            self.hasty += 1
            if self.hasty == self.f + 1:
                self.s, self.hasty = min(self.s + 1, STRAIN_MAX), 0
        self.k += 1
        self.number = self.number + 1 if to is None else to
        self.view(now, may_sign)
        if hand:
            for name in list(self.inputs):
                self.hand(now, name)

    def lead(self, now):
        """This member leads the view."""
        self.pass_to(now)
        self.leads = True

    def told(self, now, view=None):
        """Another member's TIMEOUT of a view, this one if not told."""
        self.pass_to(now)
        self.others.add(self.number if view is None else view)

    def time_out(self, now):
        self.pass_to(now)
        self.timed_out = True

    def final(self, now, turn=False, by=None):
        """A block became final; by: the view of its QC, this one's if not told; turn: it is at the view's first height + R, by a QC of this view."""
        self.pass_to(now)
        self.newest = self.number if by is None else by
        self.k, self.last_final = 0, now
        self.turned = self.turned or turn
        self.pass_to(now)

    def pend(self, now, something=True):
        """Something begins to be pending, or nothing is any more."""
        self.pass_to(now)
        self.pending_since = (now if self.pending_since is None else self.pending_since) if something else None

    def hand(self, now, name):
        """An input goes, whole, to the leader of the view."""
        self.pass_to(now)
        if self.inputs.get(name) is None:
            self.inputs[name] = now

    def dispatch(self, now, name):
        """D-21: a dispatch is due on the member's own clock; nobody hands it to anybody."""
        self.pass_to(now)
        self.dispatches.setdefault(name, now)

    def consume(self, now, name):
        """A final block did."""
        self.pass_to(now)
        self.inputs.pop(name, None)
        self.dispatches.pop(name, None)

    # B-55: periods

    def begin(self, now):
        self.period_begun = self.looked = now
        self.longest = 0

    def look(self, now):
        self.longest = max(self.longest, self.oldest_for(now), self.pending_for(now))

    def pass_to(self, now):
        """Ends the periods that are over by now, and looks."""
        if self.entered is None:
            return
        while not self.timed_out and now >= self.period_begun + 4 * self.i():
            self.end_period(max(self.period_begun + 4 * self.i(), self.looked))
        self.look(now)
        self.looked = now

    def end_period(self, end):
        i = self.i()
        self.look(end)
        if 2 * self.longest <= i:
            self.calm, self.hasty = True, 0
        if 4 * self.longest <= i:
            self.s = max(self.s - 1, 0)
        self.begin(end)
