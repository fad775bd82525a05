"""The receiver of a checkpoint (P-48), and which clients may ask (P-50).

How the text was read where it says less than a program must know:
- P-48: of several manifests that f+1 peers show alike the newest is taken. What has not come once is asked for again only
  when nothing else is left.
- P-48: "what others show is tried before what those show": those are all peers who showed a manifest that did not come.
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
