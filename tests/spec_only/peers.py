"""What an admin console makes of another one's word (A-41).

How the text was read where it says less than a program must know:
- A-41: an answer that breaks any of this is none, `truncated` or `too-large` by its length, else `format-unknown`; the words are ours. An entry
  without a name (S-11) is passed over. A value that is not of its kind is as one that is not there. Its age is what the other console says, and what
  passed here since.
- "An object with `nodes`": JSON as S-1 reads it; other members mean nothing.
"""
from hashlib import sha256

from cards import is_name
from sysfile import parse
from wire import need

ANSWER_MAX, NODES_MAX, OLD_MS = 131072, 16, 30000  # an answer's bytes with its head
REQUEST = "GET /api/v1/nodes HTTP/1.1"
SAYS = {"cluster": str, "member": int, "members": int, "ready": bool, "phase": str, "height": int, "view": int}


class Peer:
    """The setting admin.peer.N, in its form."""

    def __init__(self, value):
        self.certificate, _, self.endpoint = value.partition("@")

    def goes_on(self, der):
        """Whether this is the other one, by the certificate that it shows; nothing else of it is asked."""
        return sha256(der).hexdigest() == self.certificate


def content_of(raw):
    """The content of an answer, head and all given."""
    need(len(raw) <= ANSWER_MAX, "too-large")
    head, end, rest = raw.partition(b"\r\n\r\n")
    need(end, "truncated")
    first, *fields = head.decode("latin-1").split("\r\n")
    need(first.split(" ")[:2] == ["HTTP/1.1", "200"], "format-unknown")
    lengths = [v.strip(" \t") for k, _, v in (f.partition(":") for f in fields) if k.lower() == "content-length"]
    need(len(lengths) == 1 and lengths[0].isascii() and lengths[0].isdigit() and len(lengths[0]) <= 10, "format-unknown")
    need(len(raw) - len(rest) + int(lengths[0]) <= ANSWER_MAX, "too-large")
    need(len(rest) >= int(lengths[0]), "truncated")
    return rest[:int(lengths[0])]


def word_of_node(entry):
    """What is said of a node: of the others nothing, or `error` and its last words."""
    said = lambda obj: {k: obj[k] for k, kind in SAYS.items() if type(obj.get(k)) is kind}
    age = entry.get("age_ms")
    out = {"node": entry["node"], "age_ms": age if type(age) is int and age >= 0 else None}
    if "error" in entry:
        last = entry.get("last")
        return {**out, "error": str(entry["error"]), "last": said(last) if isinstance(last, dict) else {}}
    return {**out, **said(entry)}


def named(entry):
    return isinstance(entry, dict) and isinstance(entry.get("node"), str) and is_name(entry["node"].encode("utf-8", "surrogatepass"))


def nodes_of(raw):
    """The first 16 that have a name."""
    nodes = parse(content_of(raw)).get("nodes")
    need(isinstance(nodes, list), "format-unknown")
    return [word_of_node(x) for x in nodes if named(x)][:NODES_MAX]


def counts(word, since_ms):
    """Whether a word, come so long ago, still counts."""
    return word["age_ms"] is not None and word["age_ms"] + since_ms <= OLD_MS


def cluster_of(word):
    return word.get("cluster", word.get("last", {}).get("cluster"))


def shown(words, own_clusters, source, since_ms):
    """What is told of clusters of which no own node tells, with source and age; never that a node of it may be lost."""
    return [{**w, "source": source, "age_ms": w["age_ms"] + since_ms} for w in words
            if counts(w, since_ms) and cluster_of(w) not in own_clusters]
