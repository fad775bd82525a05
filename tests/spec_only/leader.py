"""What members demand of a leader, and what they ask it for: NOOPs (B-15, B-25), throughput (B-52).

How the text was read where it says less than a program must know:
- B-15: the newest NOOP is the newest that was taken; one that came too early is not remembered.
- B-52: before the first period the best is 0, which any period's rate is not below. When s (B-55) sinks, a period that has
  lasted as long by now ends at once, and its rate is that of all the time that it lasted.
- B-52: of a slice's bytes / 64 the whole ones count.
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


class Throughput:
    """B-52, as one member judges the leader of its view."""

    def __init__(self, percent, window_ms, half_life_ms):
        self.percent, self.window, self.half_life = percent, window_ms, half_life_ms
        self.best = self.best_backlog = 0.0
        self.low_before = False

    def view(self):
        """On entering a view."""
        self.best, self.low_before = self.best / 2, False

    def over(self, lasted, strain):
        """Whether a period that lasted so long ends, as s is now."""
        return lasted >= self.window << strain

    def period(self, operations, backlog, waited_late, lasted=None):
        """One period's operations, its mean number of operations in what waits, and whether something waited within its last quarter.

        True if the view is to be timed out.
        """
        length = lasted or self.window
        rate = operations * self.window / length
        self.best *= 0.5 ** (length / self.half_life)
        if rate >= self.best:
            self.best, self.best_backlog = rate, backlog
        low = waited_late and backlog >= 1 and backlog >= self.best_backlog / 2 and self.best >= 64 and rate < self.best * self.percent / 100
        out, self.low_before = low and self.low_before, low
        return out
