#!/usr/bin/env python3
"""Admin consoles that tell of their nodes to one another: three heraclius-admin, the nodes played, and others that lie, are silent, drip, or say too
much. What is told is shown with its source and age, and nothing of it is in any other answer. admin_peers.py short|long
"""
import json
import os
import socket
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from admin_console import misfit  # noqa: E402
from admin_hang import STATUS  # noqa: E402
from admin_https import Admin, PlayedNode, certificate_make, fingerprint  # noqa: E402
from admin_upgrade import Session  # noqa: E402
from cluster import Cases, is_long  # noqa: E402

MARKUP = "<script>alert(1)</script>"
OLD_S = 30


def status(cluster, member, **more):
    seen = [{"member": m, "name": f"{cluster}-n{m}", "up": True, "votes": True} for m in range(4)]
    return {**STATUS, "node": f"{cluster}-n{member}", "cluster": cluster, "member": member, "members_seen": seen, **more}


class Node(PlayedNode):
    def __init__(self, folder, cluster, member):
        self.name = f"{cluster}-n{member}"
        super().__init__(f"{folder}/{self.name}.sock", {"status": status(cluster, member), "ready": {"ready": True, "phase": "voting"},
                                                      "metrics": {"metrics": []}, "evidence": {"evidence": []}})


class Console:
    """One that answers with `says`: bytes, sent as they are; or a function of the connection."""

    def __init__(self, certificate, says):
        self.says, self.asked, self.fingerprint = says, [], fingerprint(f"{certificate}/tls.cert")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{certificate}/tls.cert", f"{certificate}/tls.key")
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

        self.at = f"127.0.0.1:{self.port}"

    def where(self, pinned=None):
        return f"{pinned or self.fingerprint}@{self.at}"

    def serve(self):
        while True:
            peer, _ = self.listening.accept()
            threading.Thread(target=self.one, args=(peer,), daemon=True).start()

    def one(self, peer):
        try:
            if self.says is None:
                time.sleep(60)  # not even TLS
            with self.context.wrap_socket(peer, server_side=True) as link:
                self.asked.append(link.recv(4096))
                if callable(self.says):
                    self.says(link)
                else:
                    link.sendall(self.says)
        except OSError:
            pass
        finally:
            peer.close()

    def say(self, *nodes):
        self.says = answer(json.dumps({"nodes": nodes}).encode())


def answer(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def drip(link):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 100000:
        link.sendall(bytes([byte]))
        time.sleep(0.5)


def flood(link):
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * (4 << 20))


class All:
    """The console `a`, of cluster c0, and the others that it is told of."""

    def __init__(self, folder, node, others, strangers):
        self.folder = folder
        self.fingerprint = certificate_make(f"{folder}/a", "test.example")
        for other in others:
            other.start(self.fingerprint)
        words = [w for one in [o.where() for o in others] + strangers for w in ("--peer", one)]
        self.admin = Admin(folder, [f"{node.name}={node.name}.sock"], f"{folder}/a", words)
        self.own = None

    def seen(self):
        return self.own.get("/api/v1/peers")

    def wait(self, what, limit_s=30):
        """(good, what was seen last)"""
        until, seen = time.monotonic() + limit_s, self.seen()
        while time.monotonic() < until:
            try:
                if what({p["where"]: p for p in seen["peers"]}, {c["cluster"]: c for c in seen["clusters"]}):
                    return True, seen
            except (KeyError, IndexError):
                pass
            time.sleep(0.2)
            seen = self.seen()
        return False, seen


class Other:
    """Another console, with nodes of its own; it lets in whom it is told to."""

    def __init__(self, folder, name, nodes):
        self.folder, self.name, self.nodes, self.admin = folder, name, nodes, None
        self.fingerprint = certificate_make(f"{folder}/{name}", "test.example")

    def start(self, lets_in):
        words = ["--client", f"view:{lets_in}"]
        self.admin = Admin(self.folder, [f"{n.name}={n.name}.sock" for n in self.nodes], f"{self.folder}/{self.name}", words)

    def at(self):
        return f"127.0.0.1:{self.admin.base + 1}"

    def where(self):
        return f"{self.fingerprint}@{self.at()}"


def told(cases, every, b, c):
    good, seen = every.wait(lambda peers, clusters: clusters["s0"]["told_voting"] == 4)
    peers = {p["where"]: p for p in seen["peers"]}
    s0 = seen["clusters"][0] if seen["clusters"] else {}
    cases.case("four nodes that two other consoles tell of", good and s0["quorum"] == 3 and s0["enough"] and s0["consoles"] == 2 and s0["text"] ==
               "by the word of 2 other consoles, which nothing here verifies, 4 of 4 vote, 3 decide: s0-n0, s0-n1, s0-n2, s0-n3", seen)
    one = peers[b.at()]
    good = one["up"] and one["counts"] and one["age_ms"] < OLD_S * 1000 and one["certificate"] == b.fingerprint
    node = one["nodes"][0] if one["nodes"] else {}
    good = good and [n["node"] for n in one["nodes"]] == ["s0-n0", "s0-n1"] and node["votes"] and node["phase"] == "voting" and node["height"] == 4711
    cases.case("each with its source, its age and what it does", good, one)
    doc = json.loads(every.admin.https("GET", "/api/v1/openapi.json")[2])
    wrong = misfit(seen, {"$ref": "#/components/schemas/Peers"}, doc)
    cases.case("as the OpenAPI file says", wrong is None, wrong)
    clusters = every.own.get("/api/v1/clusters")["clusters"]
    cases.case("what is told is in no answer of our own", [k["cluster"] for k in clusters] == ["c0"] and
               [n["node"] for n in every.own.get("/api/v1/nodes")["nodes"]] == ["c0-n0"] and "s0-n" not in every.admin.http("GET", "/metrics")[2] and
               "s0-n" not in every.admin.http("GET", "/readyz")[2], clusters)
    text = every.admin.https("GET", "/", cookie=every.own.cookie)[2]
    part = text[text.index("Other consoles"):] if "Other consoles" in text else text
    part = part[:part.index("</section>")]
    cases.case("the page tells of it, and never in green", "As told:" in part and c.at() in part and "s0-n3" in part and "card told" in part and
               "card good" not in part and "yes, any" not in part, part)
    code = b.admin.https("POST", "/api/v1/actions/restart", {"program": "node"}, certificate=f"{every.folder}/a")[0]
    role = json.loads(b.admin.https("GET", "/api/v1/session", certificate=f"{every.folder}/a")[2])["role"]
    cases.case("its certificate may look there, and nothing else", (code, role) == (403, "view"), (code, role))


def changes(cases, every, c):
    c.nodes[1].close()
    c.nodes[0].says["status"] = status("s0", 2, ready=False, phase="catching_up")
    good, seen = every.wait(lambda peers, clusters: clusters["s0"]["told_voting"] == 2 and "; not voting: s0-n2 (catching_up), s0-n3 (no answer)" in
                            clusters["s0"]["text"])
    cases.case("who says that it does not vote, and who does not answer its console, does not: two of four are too few",
               good and not seen["clusters"][0]["enough"], seen)
    text = every.admin.https("GET", "/", cookie=every.own.cookie)[2]
    cases.case("the page says so in red", "Too few, as told:" in text)


def lies(cases, every, liar):
    before = every.own.get("/api/v1/clusters")["clusters"]
    liar.say(*[status("s7", m) for m in range(4)], *[status("c0", m, ready=False, phase="retired") for m in range(4)],
             status(MARKUP, 0), status("s1", 99), status("s1", 0, members=2**40), status("s2", -1), {"node": MARKUP}, 7, None,
             status("s3", 0, phase=MARKUP, height=-5, view="x"), *[status("s4", 0, node=f"n{i}") for i in range(40)])
    good, seen = every.wait(lambda peers, clusters: clusters["s7"]["told_voting"] == 4 and "s3" in clusters)
    s7 = [k for k in seen["clusters"] if k["cluster"] == "s7"]
    cases.case("one that tells of a cluster that is not there: its word alone, and nobody may be lost by it", good and
               s7[0]["text"].startswith("by the word of 1 other console, which") and "may_lose" not in s7[0], seen)
    names = [k["cluster"] for k in seen["clusters"]]
    after = every.own.get("/api/v1/clusters")["clusters"]
    cases.case("what it says of our own cluster changes nothing", before == after and after[0]["may_lose"] == 1 and "c0" not in names,
               (before, after))
    nodes = [p["nodes"] for p in seen["peers"] if p["where"] == liar.at][0]
    cases.case("what has another form is left out, and the rest is bounded", good and "s1" not in names and "s2" not in names and len(nodes) == 16 and
               [n["phase"] for n in nodes if n["cluster"] == "s3"] == ["unknown"] and MARKUP not in json.dumps(seen), seen)
    cases.case("nothing of it is markup on the page", MARKUP not in every.admin.https("GET", "/", cookie=every.own.cookie)[2])
    liar.say(status("s0", 0), status("s0", 3))
    good, seen = every.wait(lambda peers, clusters: "claimed by two nodes: member 0" in clusters["s0"]["text"])
    cases.case("who claims to be a node that another tells of: neither counts", good, seen)
    cases.case("all that it was ever asked is one thing", liar.asked and all(a.startswith(b"GET /api/v1/nodes HTTP/1.1\r\n") for a in liar.asked),
               liar.asked[:3])


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: "
NONSENSE = (("an answer that is cut off", HEAD + b"100\r\n\r\n{}", "cut off"), ("no HTTP", b"SSH-2.0-x\r\n\r\n", "no HTTP"),
            ("a length that is none", HEAD + b"-1\r\n\r\n", "no HTTP"), ("two lengths", HEAD + b"2\r\nContent-Length: 3\r\n\r\n{}", "no HTTP"),
            ("more than its length", flood, "no HTTP"), ("another code", b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", "an error"),
            ("one that does not let us in", b"HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", "admin.client.N"),
            ("a deep body", answer(b"[" * 100000), "cannot be read"), ("a body that is no JSON", answer(b"\xff" * 1000), "cannot be read"),
            ("a body of another kind", answer(b'{"nodes": 5}'), "cannot be read"))


def nonsense(cases, every, consoles):
    for (what, _, fault), console in zip(NONSENSE, consoles):
        good, seen = every.wait(lambda peers, clusters: fault in peers[console.at]["fault"])
        cases.case(f"{what}: {fault}", good, [p for p in seen["peers"] if p["where"] == console.at])


def resident(admin):
    with open(f"/proc/{admin.process.pid}/status") as file:
        return int([line for line in file if line.startswith("RssAnon")][0].split()[1])


def bad(cases, every, b, stranger, silent, dripping):
    good, seen = every.wait(lambda peers, clusters: "another certificate" in peers[stranger.at]["fault"])
    cases.case("one with another certificate is not asked anything", good and not stranger.asked, (seen, stranger.asked))
    good, seen = every.wait(lambda peers, clusters: peers[dripping.at]["fault"] == "it does not answer in time" and
                            not peers[silent.at]["up"] and peers[silent.at]["fault"] != "not read yet")
    cases.case("one that is silent and one that drips are given up in time", good, seen)
    good, seen = every.wait(lambda peers, clusters: peers[b.at()]["up"] and peers[b.at()]["age_ms"] < 15000)
    cases.case("and hold up no other", good, seen)
    cases.case(f"all of it in {resident(every.admin)} KiB", resident(every.admin) < 24 << 10, resident(every.admin))


def let_out(cases, every, c, long):
    c.admin.stop()
    good, seen = every.wait(lambda peers, clusters: not peers[c.at()]["up"])
    one = [p for p in seen["peers"] if p["where"] == c.at()][0]
    cases.case("a console that is gone: why, and what it said last with its age", good and one["fault"] and len(one["nodes"]) == 2 and
               one["age_ms"] > 0, one)
    if long:
        good, seen = every.wait(lambda peers, clusters: not peers[c.at()]["counts"] and clusters["s0"]["told_voting"] < 3, OLD_S + 20)
        cases.case(f"after {OLD_S} s it counts no more", good, seen)


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        nodes = [Node(folder, "s0", m) for m in range(4)]
        b, c = Other(folder, "b", nodes[:2]), Other(folder, "c", nodes[2:])
        certificate_make(f"{folder}/x")
        liar, stranger, silent, dripping, *others = (Console(f"{folder}/x", says) for says in [answer(b'{"nodes": []}'), b"", None, drip] +
                                                     [says for _, says, _ in NONSENSE])
        strangers = [liar.where(), stranger.where("0" * 64)] + [o.where() for o in (silent, dripping, *others)]
        every = All(folder, Node(folder, "c0", 0), [b, c], strangers)
        try:
            every.own = Session(every.admin, "own")
            told(cases, every, b, c)
            changes(cases, every, c)
            lies(cases, every, liar)
            nonsense(cases, every, others)
            bad(cases, every, b, stranger, silent, dripping)
            let_out(cases, every, c, is_long(sys.argv))
        finally:
            began = time.monotonic()
            code = every.admin.stop()
            took = time.monotonic() - began
            for other in (b, c):
                other.admin.stop()
        cases.case("TERM: exit 0, whoever is silent", code == 0 and took < 5, (code, took))
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
