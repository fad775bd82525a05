"""Succession (7.12): the statement, who leaves and who follows, genesis of a successor.

How the text was read where it says less than a program must know:
- S-142: a chain that is shown is judged whole from genesis on, and then what is known beside it.
"""
from config import check_signatures
from consensus import Chain, Payload
from machine import genesis_state
from wire import Bad, Reader, need, tag

CLIENT_KEY, CHUNK_KEY = 33, 41  # bytes of the keys of O-40: 'w' client_id, 'r' client_id chunk


class Statement:
    """S-141: the form."""

    def __init__(self, raw):
        r, self.raw = Reader(raw, "truncated", "truncated"), raw
        r.ranged(1, 1, 1)
        r.zero(3)
        count = r.ranged(4, 0, 32)
        self.predecessor, self.successor, self.file_hash = r.take(16), r.take(16), r.take(32)
        self.signatures = [(r.take(32), r.take(64)) for _ in range(count)]
        r.end()
        need(self.successor == self.file_hash[:16], "id-mismatch")
        need(all(a[0] < b[0] for a, b in zip(self.signatures, self.signatures[1:])), "order")
        self.signed = tag("HRC successor") + self.predecessor + self.successor + self.file_hash

    def check(self, config, old, new):
        """S-142; old and new are SystemFile, config is one of the old system."""
        follows(old, new)
        need(self.predecessor == old.system_id and self.file_hash == new.file_hash, "foreign")
        check_signatures(self.signatures, config, self.signed)


def follows(old, new):
    """S-140, with the words of S-142."""
    need(new.predecessor_id == old.system_id, "foreign")
    need(new.succession == old.succession + 1 and new.partition_key == old.partition_key
         and len(new.shards) == len(old.shards), "serial")


def in_office(system, payload, known=()):
    """S-142: the CONFIG by which whoever is no node of the old system judges a statement. payload: the CONFIG_CHAIN that was shown with it;
    known: those that were taken before, of whichever clusters. After SEAL it is the CONFIG that SEAL ended."""
    cluster = Payload(payload).cluster
    need(cluster in [c.number for c in system.clusters], "foreign")
    chain = Chain(system.genesis(cluster))
    chain.begins(payload)
    for x in (payload, *known):
        if Payload(x).cluster == cluster:
            chain.take(x)
    return chain.epochs()[-1][1]


def judged(old, new, raw, payload, known=()):
    """S-142, by whoever is no node of the old system: the statement's form (S-141), then the two files, then the chain, then the rest."""
    statement = Statement(raw)
    follows(old, new)
    statement.check(in_office(old, payload, known), old, new)


class Leaving:
    """S-143: what a node of the old system remembers of the successor that it was shown."""

    def __init__(self):
        self.statement = None

    def shown(self, statement, config, old, new):
        """True if it goes to this successor; a statement that is not valid changes nothing."""
        try:
            statement.check(config, old, new)
        except Bad:
            return False
        if self.statement is None:
            self.statement = statement
        return self.statement.file_hash == statement.file_hash


def windows_follow(new, configs):
    """S-144: configs are those in force at each shard's cut."""
    need(all(new.limits["number_window"] >= c.limits["number_window"] for c in configs), "limits-conflict")


def kept(space, key):
    """S-144: users' keys, and the records of exactly once."""
    return space == 0 or key[:1] == b"w" and len(key) == CLIENT_KEY or key[:1] == b"r" and len(key) == CHUNK_KEY


def successor_genesis(origin, system, cluster):
    """S-144: the entries of genesis; origin are those of a shard's origin, as (space, key, value, height, index)."""
    own = genesis_state(system, cluster)
    return own if cluster < 0x20000 else [e for e in origin if kept(e[0], e[1])] + own
