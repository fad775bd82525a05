"""What a coordinator's node refuses by its own word before it relays a batch (O-50, O-51).

How the text was read where it says less than a program must know:
- A batch in another client's name is REFUSED with RIGHTS; a client that is unknown here is refused so, too.
- The quota of reads counts the operations of the whole batch, since it is relayed or refused whole.
- A batch of more operations than the bucket can ever hold has the highest retry_ms.
"""
from coordinator import Client, forbidden, tokens_at
from operations import QUOTA, REVOKED, RIGHTS

NEVER = 2**32 - 1


class Relay:
    def __init__(self, machine):
        self.machine, self.buckets = machine, {}

    def refuse(self, batch, link_client, now):
        """(code, retry_ms) of REFUSED, or None."""
        raw = self.machine.get(b"k" + batch.client_id)
        if batch.client_id != link_client or raw is None:
            return RIGHTS, 0
        client = Client(raw)
        if client.revoked:
            return REVOKED, 0
        return None if batch.write else self.refuse_reads(batch, client.rights, now)

    def refuse_reads(self, batch, rights, now):
        operations = [o for p in batch.parts for o in p.ops]
        if forbidden(operations, rights, batch.client_id):
            return RIGHTS, 0
        if not rights.per_second:
            return None
        tokens, price = tokens_at(rights, self.buckets.get(batch.client_id), now), 1000 * len(operations)
        if price > 1000 * rights.burst:
            return QUOTA, NEVER
        if tokens < price:
            return QUOTA, -((tokens - price) // rights.per_second)
        self.buckets[batch.client_id] = (tokens - price, now)
        return None
