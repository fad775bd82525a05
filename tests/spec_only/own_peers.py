"""Checks of our own for A-41: whom an admin console reads, and what counts of the answer."""
import json
import re
from hashlib import sha256

from peers import ANSWER_MAX, NODES_MAX, OLD_MS, REQUEST, SAYS, Peer, content_of, counts, nodes_of, shown
from spec_text import lines
from wire import word_of


def add(r, path):
    tables(r, path)
    answers(r)
    words(r)


def tables(r, path):
    text = "\n".join(lines(path, "appliance"))
    rule = text[text.index("- **A-41**"):text.index("## 9.6")]
    r.equal("A-41 request", REQUEST.split(" ")[:2], re.search(r"a `(GET [^`]*)`", rule)[1].split(" "))
    r.equal("A-41 sizes", [ANSWER_MAX, NODES_MAX, OLD_MS // 1000], [int(re.search(p, rule)[1].replace(",", "")) for p in (
        r"at most ([0-9,]+) bytes with its head", r"the first ([0-9]+) that have a name", r"older than ([0-9]+) seconds")])
    r.equal("A-41 members", list(SAYS), re.findall(r"`([a-z]+)`", re.search(r"and of A-24's `status` (.*?);", rule)[1]))


def http(content, code="200 OK", length=None, fields="", version="HTTP/1.1"):
    size = "Content-Length: %d\r\n" % len(content) if length is None else length
    return ("%s %s\r\n%s%s\r\n" % (version, code, fields, size)).encode() + content


def answers(r):
    good = b'{"nodes":[]}'
    of = lambda raw: lambda: nodes_of(raw)
    room = ANSWER_MAX - len(http(b"", length="Content-Length: 131000\r\n"))
    full = lambda n: http(good.ljust(n))
    r.facts("A-41 certificate", [("the one that is named", [True, False], lambda: [Peer(sha256(b"der").hexdigest() + "@h:1").goes_on(x) for x in (
        b"der", b"dex")]), ("where", "[::1]:5", lambda: Peer("0" * 64 + "@[::1]:5").endpoint)])
    r.words("A-41 answer", [
        ("as it is", "ok", of(http(good))), ("another code", "format-unknown", of(http(good, "204 No Content"))),
        ("another version", "format-unknown", of(http(good, version="HTTP/2"))), ("no length", "format-unknown", of(http(good, length=""))),
        ("two lengths", "format-unknown", of(http(good, fields="content-length: 1\r\n"))), ("a sign", "format-unknown", of(http(
            good, length="Content-Length: +12\r\n"))), ("in capitals", "ok", of(http(good, length="CONTENT-LENGTH:12\r\n"))),
        ("another field", "ok", of(http(good, fields="Server: x\r\n"))), ("its length is more", "truncated", of(http(
            good, length="Content-Length: 13\r\n"))), ("half a head", "truncated", of(b"HTTP/1.1 200 OK\r\n")),
        ("as large as may be", "ok", of(full(room))), ("one more", "too-large", of(full(room + 1))),
        ("said to be larger", "too-large", of(http(good, length="Content-Length: 131072\r\n"))), ("no JSON", "not-json", of(http(b"x"))),
        ("no object", "not-json", of(http(b"[]"))), ("without nodes", "format-unknown", of(http(b"{}"))),
        ("nodes that are none", "format-unknown", of(http(b'{"nodes":{}}'))), ("others beside", "ok", of(http(b'{"a":1.5,"nodes":[]}')))])
    r.facts("A-41 content", [("its length counts", good, lambda: content_of(http(good + b"more", length="Content-Length: 12\r\n"))),
                             ("and no less", "truncated", lambda: word_of(content_of, http(good)[:-1]))])


def words(r):
    one = {"node": "a", "cluster": "c0", "member": 1, "members": 4, "ready": True, "phase": "voting", "height": 9, "view": 2, "age_ms": 500}
    read = lambda *x: nodes_of(http(json.dumps({"nodes": x}).encode()))
    but = lambda **x: {**one, **x}
    gone = {"node": "b", "error": "it does not answer", "age_ms": 7, "last": {"cluster": "c0", "height": 8, "more": 1}}
    named = lambda *names: [x["node"] for x in read(*[but(node=n) for n in names])]
    r.facts("A-41 nodes", [
        ("one", [one], lambda: read(one)), ("others of its members mean nothing", [one], lambda: read(but(epoch=3))),
        ("without a name", ["a"], lambda: named("", "A", "a", None, 1, ".a")), ("no object", [one], lambda: read(1, [], None, one)),
        ("the first 16", ["n%d" % i for i in range(16)], lambda: named("B", *["n%d" % i for i in range(20)])),
        ("of another kind is as not there", [{k: v for k, v in one.items() if k != "height"}], lambda: read(but(height="9"))),
        ("one that does not answer", [{**gone, "last": {"cluster": "c0", "height": 8}}], lambda: read(gone)),
        ("with no last words", [{}], lambda: [x["last"] for x in read({"node": "b", "error": "x"})])])
    age = lambda ms, since: counts(read(but(age_ms=ms))[0], since)
    r.facts("A-41 age", [
        ("30 seconds", [True, False], lambda: [age(x, 0) for x in (OLD_MS, OLD_MS + 1)]), ("with what passed here", [True, False], lambda: [
            age(500, x) for x in (OLD_MS - 500, OLD_MS - 499)]), ("none that is told", [False] * 3, lambda: [age(x, 0) for x in (None, -1, "1")]),
        ("shown with source and age", [{**one, "source": "h:1", "age_ms": 600}], lambda: shown(read(one), {"c1"}, "h:1", 100)),
        ("nothing of a cluster of which an own node tells", [], lambda: shown(read(one), {"c0"}, "h:1", 100)),
        ("nor of a node of it that does not answer", [], lambda: shown(read(gone), {"c0"}, "h:1", 100)),
        ("nor what is too old", [], lambda: shown(read(one), (), "h:1", OLD_MS))])
