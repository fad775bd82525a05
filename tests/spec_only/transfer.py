"""The receiver of a checkpoint (P-48), which clients may ask (P-50), and which checkpoints a sender keeps and shows (P-49).

How the text was read where it says less than a program must know:
- P-48: of two that were shown when one was chosen last already, either will do: here the one that was shown first.
- P-48: of what is put last, what has not come once comes last of all.
- P-49: how long one that is taken stays is the node's choice (`hold`): so long after the last piece, ten times as long after the first.
  So long after his last question an asker asks anew. What it takes to show one is computed here at once.
"""


class Shown:
    """P-48: which manifest a receiver takes; a member shows what its newest answer shows."""

    def __init__(self, f):
        self.f, self.by_peer, self.chosen = f, {}, {}  # peer -> {manifest hash: height}; hash -> who showed it when it was chosen
        self.since = {}  # hash -> when somebody's newest answer came to have it, without a gap since; answers are counted
        self.answers, self.distrusted, self.tried = 0, set(), set()

    def answer(self, peer, manifests):
        """The first answer to a question; manifests: hash -> height."""
        self.by_peer[peer] = dict(manifests)
        self.answers += 1
        shown = {h for hashes in self.by_peer.values() for h in hashes}
        self.since = {h: self.since.get(h, self.answers) for h in shown}

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
        highest = lambda h: (height[h], -self.since[h])
        some = [h for h, peers in showers.items() if len(peers) > self.f]
        if not some and waited_long:
            others = lambda h: bool(showers[h] - self.distrusted)
            some, highest = list(showers), lambda h: (others(h), others(h) or h not in self.tried, height[h], -self.since[h])
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
    """P-49: the newest two, and those that somebody takes; whom a sender shows which."""

    def __init__(self, hold):
        self.hold, self.heights, self.taken = hold, [], {}  # taken: height -> (first asked, last asked)
        self.of = {}  # asker -> (height that he was shown first, when he last asked for it, for a piece of it or what there is)

    def made(self, height, now):
        self.heights.append(height)
        self.drop(now)

    def asked(self, height, now, asker=None):
        """A piece of it is asked for; False: UNKNOWN."""
        self.drop(now)
        if height in self.heights:
            self.take(height, now)
            if asker in self.of and self.of[asker][0] == height:
                self.of[asker] = (height, now)
        return height in self.heights

    def take(self, height, now):
        self.taken[height] = (self.taken.get(height, (now, now))[0], now)

    def drop(self, now):
        for h in sorted(self.heights)[:-2]:
            first, last = self.taken.get(h, (0, None))
            if last is None or now - last >= self.hold or now - first >= 10 * self.hold:
                self.heights.remove(h)
                self.taken.pop(h, None)

    def shown(self, asker, now):
        """To CHECKPOINT_QUERY: the newest, and behind it the one that he was shown first, as long as he goes on asking."""
        self.drop(now)
        newest = max(self.heights)
        height, last = self.of.get(asker, (newest, now))
        if height not in self.heights or now - last >= self.hold:
            height = newest
        self.of[asker] = (height, now)
        return [newest] if height == newest else [newest, height]
