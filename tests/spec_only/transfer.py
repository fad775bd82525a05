"""The receiver of a checkpoint (P-48), which clients may ask (P-50), and which checkpoints a sender keeps and shows (P-49).

How the text was read where it says less than a program must know:
- P-48: which came first of one height is told by who showed it first at all, not by whose newest answer came first.
- P-48: of what the same peers show, what has not come once is asked for again last.
- P-49: how long one that is taken stays is the node's choice (`hold`): so long after the last piece, ten times as long after the first.
"""


class Shown:
    """P-48: which manifest a receiver takes; a member shows what its newest answer shows."""

    def __init__(self, f):
        self.f, self.by_peer, self.came, self.chosen = f, {}, {}, {}  # peer -> {manifest hash: height}; hash -> how many came before; hash -> peers
        self.distrusted, self.tried = set(), set()

    def answer(self, peer, manifests):
        """The first answer to a question; manifests: hash -> height."""
        self.by_peer[peer] = dict(manifests)
        for h in manifests:
            self.came.setdefault(h, len(self.came))

    def did_not_come(self, manifest_hash):
        """One that was taken."""
        self.tried.add(manifest_hash)
        if len(self.chosen[manifest_hash]) <= self.f:
            self.distrusted |= self.chosen[manifest_hash]

    def moved_on(self, manifest_hash, height):
        """Whether f + 1 peers show a newer one and not this, whoever else is silent."""
        newer = [p for p, shown in self.by_peer.items() if manifest_hash not in shown and any(at > height for at in shown.values())]
        return len(newer) > self.f

    def take(self, waited_long):
        """A manifest's hash, or None."""
        showers, height = {}, {}
        for peer, manifests in self.by_peer.items():
            for h, at in manifests.items():
                showers.setdefault(h, set()).add(peer)
                height[h] = at
        highest = lambda h: (height[h], -self.came[h])
        some = [h for h, peers in showers.items() if len(peers) > self.f]
        if not some and waited_long:
            some, highest = list(showers), lambda h: (bool(showers[h] - self.distrusted), h not in self.tried, height[h], -self.came[h])
        if not some:
            return None
        best = max(some, key=highest)
        self.chosen[best] = showers[best]
        return best


def more_bits(too_large, asked, f):
    """P-48: whether a piece is asked for with more bits; peers that said TOO-LARGE, and all that may be asked."""
    return len(too_large) > f or bool(asked) and set(asked) <= set(too_large)


def may_copy(rights):
    """P-50: who may read every key."""
    return any(flags & 1 and not prefix for flags, prefix in rights.rules)


class Snapshots:
    """P-49: the newest two, and those that somebody takes."""

    def __init__(self, hold):
        self.hold, self.heights, self.taken = hold, [], {}  # taken: height -> (first asked, last asked)

    def made(self, height, now):
        self.heights.append(height)
        self.drop(now)

    def asked(self, height, now):
        """A piece of it is asked for; False: UNKNOWN."""
        self.drop(now)
        if height in self.heights:
            self.taken[height] = (self.taken.get(height, (now, now))[0], now)
        return height in self.heights

    def drop(self, now):
        for h in sorted(self.heights)[:-2]:
            first, last = self.taken.get(h, (0, None))
            if last is None or now - last >= self.hold or now - first >= 10 * self.hold:
                self.heights.remove(h)
                self.taken.pop(h, None)

    def shown(self, now):
        """The newest, and the one that is taken longest, else the one before."""
        self.drop(now)
        newest, *rest = sorted(self.heights, reverse=True)
        old = [h for h in rest if h in self.taken]
        return [newest] + (sorted(old, key=lambda h: self.taken[h][0]) or rest)[:1]
