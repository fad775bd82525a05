#!/usr/bin/env python3
"""heraclius-admin beside a node and an init that accept and are silent: its console goes on, says since when, and takes a release at full speed.

Both are played. Three browsers ask all that the page asks, as it does, while /livez is timed and a release is uploaded; then a node that takes
seconds for each answer, as it may. admin_hang.py short|long
"""
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from admin_console import misfit  # noqa: E402
from admin_https import Admin, PlayedNode  # noqa: E402
from admin_upgrade import Session  # noqa: E402
from cluster import Cases  # noqa: E402

PAGE = ("clusters", "nodes", "history?newest=180", "faults", "evidence", "exposure", "audit", "upgrade")
BROWSERS, RELEASE = 3, 24 << 20
UPLOAD_S = 25  # with each question waited for by the listener's one thread it was 49 s with one browser on a quiet machine, and had no end with two
STATUS = {"node": "n", "cluster": "s0", "member": 0, "members": 4, "faults": 1, "epoch": 1, "ready": True, "phase": "voting", "view": 3, "leader": 0,
          "height": 4711, "links_up": 3, "resident_bytes": 1, "memory_budget_total_bytes": 2, "queues": {"inputs_waiting": 0, "blocks_open": 0},
          "commit_us": {"p50": 1, "p99": 2}, "wal": {"bytes": 1, "map_bytes": 2},
          "members_seen": [{"member": m, "name": f"n{m}", "up": True, "votes": True} for m in range(4)]}


def on_a_thread(answer, peer, words):
    """Who hangs with one who asks has others come in all the same."""
    copy = socket.socket(fileno=os.dup(peer.fileno()))

    def run():
        with copy:
            try:
                answer(words, copy)
            except OSError:
                pass
    threading.Thread(target=run, daemon=True).start()


class Node(PlayedNode):
    """Answers after `pause_s`; None: never."""

    def __init__(self, path):
        self.pause_s = 0
        super().__init__(path, {"status": STATUS, "ready": {"ready": True, "phase": "voting"}, "metrics": {"metrics": []},
                                "evidence": {"evidence": []}})

    def answer_to(self, asked, peer):
        on_a_thread(self.slowly, peer, asked)

    def slowly(self, asked, peer):
        if self.pause_s is None:
            peer.recv(1)
            return
        time.sleep(self.pause_s)
        super().answer_to(asked, peer)


class Init(PlayedNode):
    """Takes releases, and refuses them; what it is asked else it answers as long as it does not hang."""

    def __init__(self, path):
        self.hangs, self.upgrades = False, 0
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening.bind(path)
        self.listening.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def answer_to(self, asked, peer):
        on_a_thread(self.say, peer, asked)

    def say(self, asked, peer):
        if asked.startswith("upgrade"):
            self.upgrades += 1
            peer.sendall(b"error signature-invalid: no release key of this image has signed it\n")
        elif self.hangs:
            peer.recv(1)
        else:
            peer.sendall(b"ok\nuptime_ms=5000\nimage_version=test\n" if asked == "status" else b"ok\n")


class Browsers:
    """Each asks all that the page asks, one after the other, again and again."""

    def __init__(self, admin, session):
        self.ending, self.count = False, 0
        self.threads = [threading.Thread(target=self.run, args=(admin, session), daemon=True) for _ in range(BROWSERS)]
        for thread in self.threads:
            thread.start()

    def run(self, admin, session):
        while not self.ending:
            for what in PAGE:
                try:
                    admin.https("GET", f"/api/v1/{what}", cookie=session.cookie)
                    self.count += 1
                except OSError:
                    pass
            time.sleep(0.2)

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join()


def timed(what):
    began = time.monotonic()
    return what(), time.monotonic() - began


def live(cases, admin, what, times):
    """Half of all answers within a second, on a machine however busy: each used to take five to ten."""
    took = [timed(lambda: admin.https("GET", "/livez")) for _ in range(times)]
    spans = [span for _, span in took]
    cases.case(f"{what}: /livez in {statistics.median(spans):.2f} s, at most {max(spans):.2f}", all(got[0] == 200 for got, _ in took) and
               statistics.median(spans) < 1, spans)


def node_of(session):
    return session.get("/api/v1/nodes")["nodes"][0]


def silent(cases, admin, own, node, init):
    seen = node_of(own)
    cases.case("a node that answers: its status, and no age to speak of", seen["phase"] == "voting" and seen["age_ms"] < 5500, seen)
    browsers = Browsers(admin, own)
    cases.case("the browsers ask", Admin.wait(lambda: browsers.count > BROWSERS * len(PAGE)))
    node.pause_s, init.hangs = None, True
    (code, said), took = timed(lambda: own.upload(os.urandom(1 << 20) * (RELEASE >> 20)))
    cases.case(f"while both hang and {BROWSERS} browsers ask, {RELEASE >> 20} MiB are taken and handed to init in {took:.1f} s",
               code == 422 and said["name"] == "signature-invalid" and init.upgrades == 1 and took < UPLOAD_S, (code, said, took))
    live(cases, admin, "meanwhile", 15)
    down = Admin.wait(lambda: "error" in node_of(own) and node_of(own), 40)
    good = down and down["error"].startswith("no answer for ") and down["silent_ms"] >= 5000 and down["last"]["height"] == 4711
    cases.case("it is told that it does not answer, since when, and what it said last", good and down["last"]["age_ms"] >= 5000, down)
    doc = json.loads(admin.https("GET", "/api/v1/openapi.json")[2])
    wrong = misfit(own.get("/api/v1/nodes"), doc["paths"]["/api/v1/nodes"]["get"]["responses"]["200"]["content"]["application/json"]["schema"], doc)
    cases.case("as the OpenAPI file says", wrong is None, wrong)
    cases.case("its last word is nobody's state: it is in no cluster", own.get("/api/v1/clusters")["clusters"] == [])
    text = admin.https("GET", "/", cookie=own.cookie)[2]
    cases.case("the page says so", "no answer for " in text and "Its last word, " in text and "voting, height 4711" in text, text[-3000:])
    cases.case("/readyz: 503; /metrics: down", admin.http("GET", "/readyz")[0] == 503 and
               'heraclius_up{node="n"} 0' in admin.http("GET", "/metrics")[2])
    live(cases, admin, "a node and an init that are known to hang", 15)
    (code, _, _), took = timed(lambda: admin.https("GET", "/api/v1/support", cookie=own.cookie))
    cases.case(f"the support bundle is made all the same, in {took:.1f} s", code == 200 and took < 10, (code, took))
    browsers.end()


def back(cases, admin, own, node, init):
    node.pause_s, init.hangs = 0, False
    fresh = Admin.wait(lambda: node_of(own).get("phase") == "voting" and admin.http("GET", "/readyz")[0] == 200, 30)
    cases.case("when it answers again, that is told", fresh, node_of(own))
    said = Admin.wait(lambda: own.get().get("age_ms", 99999) < 2000, 20)
    cases.case("init too", said, own.get())


def slow(cases, admin, own, node):
    node.pause_s = 3
    seen = Admin.wait(lambda: "; as of " in admin.https("GET", "/", cookie=own.cookie)[2] and node_of(own), 30)
    cases.case("one that takes 3 s, as it may, is shown as of a moment ago", seen and seen.get("phase") == "voting", seen)
    live(cases, admin, "it keeps nobody waiting", 10)
    cases.case("nor is it down", "error" not in node_of(own) and admin.http("GET", "/readyz")[0] == 200, node_of(own))
    node.pause_s = 0.4  # too slow to be waited for
    cases.case("one that takes 0.4 s is ready", Admin.wait(lambda: admin.http("GET", "/readyz")[0] == 200, 30))
    node.says["ready"] = {"ready": False, "phase": "retired"}
    node.says["metrics"] = {"metrics": [{"name": "heraclius_ready", "type": "gauge", "help": "votes", "value": 0}]}
    time.sleep(15)  # nobody asks
    ready, metrics = admin.http("GET", "/readyz"), admin.http("GET", "/metrics")[2]
    cases.case("when it is retired, whoever asks next is told that, not what it was when somebody asked last",
               ready[0] == 503 and "retired" in ready[2] and 'heraclius_ready{node="n"} 0' in metrics, (ready, metrics))


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="hang-") as folder:
        node, init = Node(f"{folder}/node.sock"), Init(f"{folder}/init.sock")
        admin = Admin(folder, ["n=node.sock"], f"{folder}/state", ["--init", "init.sock"])
        try:
            own = Session(admin, "own")
            silent(cases, admin, own, node, init)
            back(cases, admin, own, node, init)
            slow(cases, admin, own, node)
        finally:
            code = admin.stop()
        cases.case("TERM: exit 0", code == 0, code)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
