"""The receiver of a checkpoint (P-48), which clients may ask (P-50), and which checkpoints a sender keeps and shows (P-49).

How the text was read where it says less than a program must know:
- P-48: of several manifests that f+1 peers show alike the newest is taken. What has not come once is asked for again only
  when nothing else is left.
- P-48: "what others show is tried before what those show": those are all peers who showed a manifest that did not come.
- P-49: how long one that is taken stays is the node's choice (`hold`): so long after the last piece, ten times as long after the first.
"""


class Shown:
    """P-48: which manifest a receiver takes; a member shows what its newest answer shows."""

    def __init__(self, f):
        self.f, self.by_peer, self.failed = f, {}, []  # peer -> {manifest hash: height}

    def answer(self, peer, manifests):
        """The first answer to a question; manifests: hash -> height."""
        self.by_peer[peer] = dict(manifests)

    def did_not_come(self, manifest_hash):
        self.failed.append((manifest_hash, {p for p, m in self.by_peer.items() if manifest_hash in m}))

    def take(self, waited_long):
        """A manifest's hash, or None."""
        showers = {}
        for peer, manifests in self.by_peer.items():
            for h, height in manifests.items():
                showers.setdefault((height, h), set()).add(peer)
        alike = [x for x, peers in showers.items() if len(peers) > self.f]
        if alike or not waited_long:
            return max(alike)[1] if alike else None
        distrusted = {p for _, peers in self.failed for p in peers}
        tried = {h for h, _ in self.failed}
        rank = lambda x: (x[1] not in tried, bool(showers[x] - distrusted), x)
        return max(showers, key=rank)[1] if showers else None


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
