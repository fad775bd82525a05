"""What a coordinator's node refuses by its own word before it relays a batch (O-50, O-51), and what it holds (D-3).

How the text was read where it says less than a program must know:
- O-51: no link has a client whom the state does not know (O-54, S-79); if one had, it would be RIGHTS.
- O-51: retry_ms of BUSY is the node's choice, within its bound.
"""
from coordinator import Client, forbidden, tokens_at
from operations import BUSY, MALFORMED, QUOTA, REVOKED, RIGHTS
from wire import le

RETRY_MAX = 2**32 - 1


def refused(batch_id, code, retry_ms):
    """REFUSED (O-51); batch_id is None of what does not decode."""
    return (batch_id or bytes(32)) + bytes([code]) + bytes(3) + le(retry_ms, 4)


def held(machine, batch):
    """D-3, of a batch that decodes: True, False, or None: not until final state knows its client."""
    raw = machine.get(b"k" + batch.client_id)
    if raw is None:
        return None
    return not batch.write or batch.verify(machine.config.system_id, Client(raw).card[36:68]) == "ok"


class Relay:
    def __init__(self, machine):
        self.machine, self.buckets = machine, {}

    def refuse(self, batch, link_client, now, busy=None):
        """(code, retry_ms) of REFUSED, or None; busy: the retry_ms of a node that has no room."""
        raw = self.machine.get(b"k" + batch.client_id)
        if batch.client_id != link_client or raw is None:
            return RIGHTS, 0
        client = Client(raw)
        if client.revoked:
            return REVOKED, 0
        if busy is not None:
            return BUSY, min(busy, RETRY_MAX)
        if batch.write:
            good = batch.verify(self.machine.config.system_id, client.card[36:68]) == "ok"
            return None if good else (MALFORMED, 0)
        return self.refuse_reads(batch, client.rights, now)

    def refuse_reads(self, batch, rights, now):
        """O-30.3, then the bucket; retry_ms as if quota_burst did not bound it."""
        operations = [o for p in batch.parts for o in p.ops]
        if forbidden(operations, rights, batch.client_id):
            return RIGHTS, 0
        if not rights.per_second:
            return None
        tokens, price = tokens_at(rights, self.buckets.get(batch.client_id), now), 1000 * len(operations)
        if tokens < price:
            return QUOTA, min(-((tokens - price) // rights.per_second), RETRY_MAX)
        self.buckets[batch.client_id] = (tokens - price, now)
        return None
