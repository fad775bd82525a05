"""What members demand of a leader, and what they ask it for: NOOPs (B-15, B-25), throughput (B-52, D-25).

How the text was read where it says less than a program must know:
- B-15: the newest NOOP is the newest that was taken; one that came too early is not remembered.
- B-52: before the first period the best is 0, which any period's rate is not below. When s (B-55) sinks, a period that has
  lasted as long by now ends at once, and its rate is that of all the time that it lasted.
- B-52: of a slice's bytes / 64 the whole ones count.
- B-52: "counted here" is of the five eighths alone, for which several that wait at a time are one; backlog goes by B-50. What was had before
  the period counts from its beginning; what is not handed on by its end does not count in it, even if it is handed on later.
- B-52: a period goes on when a view is entered. What was handed to the leader before, and not in the new view, waited until it was entered.
- D-25: "rate was low" is all that B-52 says of rate and best (so best >= 64), in the newest period that ended, though it was in an earlier view.
"""
from wire import le


def noop_reference(signer, nonce):
    """D-2."""
    return bytes([4, signer, 0, 0]) + le(0, 4) + le(nonce, 8) + bytes(32)


class Noops:
    """B-15: the NOOPs that a member takes; B-25: those that the leader names in its next body."""

    def __init__(self, view_base_ms):
        self.base, self.newest, self.unnamed = view_base_ms, {}, {}

    def take(self, signer, nonce, now):
        nonce_before, time = self.newest.get(signer, (-1, None))
        if nonce <= nonce_before or time is not None and now - time < self.base:
            return False
        self.newest[signer] = (nonce, now)
        self.unnamed[signer] = nonce
        return True

    def epoch(self):
        """A new one: what was remembered of nonces is void."""
        self.newest, self.unnamed = {}, {}

    def name(self, references):
        """The references of the next body that may have one."""
        front = [noop_reference(s, n) for s, n in sorted(self.unnamed.items())]
        self.unnamed = {}
        return front + references


def slice_operations(size):
    """B-52: what a slice counts for while it waits."""
    return size // 64 + 1


class Waited:
    """B-52: for how long of a period something waited. What waits at its end or waited in it counts from when this member had it whole."""

    def __init__(self, begun=0):
        self.begun, self.had, self.waiting, self.dispatches, self.spans = begun, {}, set(), set(), []

    def have(self, now, name):
        """This member has an input, whole."""
        self.had.setdefault(name, now)

    def hand(self, now, name):
        """It goes to the leader of the view: it waits by B-50."""
        self.have(now, name)
        self.waiting.add(name)

    def dispatch(self, now, name):
        """D-21: one is due on the member's own clock; nobody hands it to anybody."""
        self.hand(now, name)
        self.dispatches.add(name)

    def view(self, now):
        """On entering a view, or an epoch: nothing is handed to its leader yet."""
        for name in self.waiting - self.dispatches:
            self.stop(now, name)

    def consume(self, now, name):
        """A final block did."""
        self.stop(now, name)
        self.had.pop(name, None)
        self.dispatches.discard(name)

    def stop(self, now, name):
        if name in self.waiting:
            self.waiting.remove(name)
            self.spans.append((self.had[name], now))

    def end(self, now):
        """The period ends, and the next one begins: the ms of it in which something waited."""
        total, reached = 0, self.begun
        for since, until in sorted(self.spans + [(self.had[x], now) for x in self.waiting]):
            total += max(until - max(since, reached), 0)
            reached = max(until, reached)
        self.begun, self.spans = now, []
        return total


class Throughput:
    """B-52, as one member judges the leader of its view."""

    def __init__(self, percent, window_ms, half_life_ms):
        self.percent, self.window, self.half_life = percent, window_ms, half_life_ms
        self.best = self.best_backlog = 0.0
        self.low_before = False
        self.slow = False  # D-25: rate was low in the newest period, whatever waited

    def view(self):
        """On entering a view."""
        self.best, self.low_before = self.best / 2, False

    def over(self, lasted, strain):
        """Whether a period that lasted so long ends, as s is now."""
        return lasted >= self.window << strain

    def period(self, operations, backlog, waited, lasted=None):
        """One period's operations, its mean number of operations in what waits, and for how many ms of it something waited (Waited).

        True if the view is to be timed out.
        """
        length = lasted or self.window
        rate = operations * self.window / length
        self.best *= 0.5 ** (length / self.half_life)
        if rate >= self.best:
            self.best, self.best_backlog = rate, backlog
        self.slow = self.best >= 64 and rate < self.best * self.percent / 100
        low = 8 * waited >= 5 * length and backlog >= 1 and backlog >= self.best_backlog / 2 and self.slow
        out, self.low_before = low and self.low_before, low
        return out
