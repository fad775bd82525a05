#!/usr/bin/env python3
"""May another node be lost? What the page, the API and the serial console of one node say of a real cluster, beside `heraclius status`: a member that
is retired keeps its links and votes no more, one that is stopped is not known to vote. Ends with "N passed, N failed". lose.py [short|long]
"""
import http.client
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import TOP, Cases, System, free_base  # noqa: E402
from console import Console, Init  # noqa: E402

ADMIN = f"{TOP}/build/gcc/heraclius-admin"
LIMIT_S = 40


class Page:
    """The admin of one node, as on an appliance: of the others it knows what that one tells."""

    def __init__(self, system, name):
        self.port = free_base(1)
        self.process = subprocess.Popen([ADMIN, "--listen", f"127.0.0.1:{self.port}", "--sockets", f"{name}/control.sock"], cwd=system.root,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def cluster(self):
        text = self.get("/api/v1/clusters")
        return next(iter(json.loads(text)["clusters"]), {}) if text else {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=15)


class Line:
    """A serial console at one node's control socket."""

    def __init__(self, system, name):
        self.dir = f"{system.dir}/{name}"
        os.mkdir(self.dir)
        os.symlink(f"{system.root}/{name}/control.sock", f"{self.dir}/node.sock")
        self.init = Init(self.dir)
        self.console = Console(self.dir, columns=132)
        self.console.until(f"{name}> ")
        self.prompt = f"{name}> "

    def look(self, line="status"):
        return " ".join(self.console.do(line, self.prompt).split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.console.close()
        self.init.ended.set()


def told(system, page, line):
    """What all three say: (of `heraclius status`, the API's, whether page and console say the same as the API)."""
    clusters = json.loads(system.client("status", "--json").stdout or "{}").get("clusters", [])
    signed = next((c["may_fail"] if c["quorum"] else -1 for c in clusters if c["cluster"] == "shard 0"), None)
    api, look = page.cluster(), line.look()
    count = api.get("may_lose", 0) if api.get("up", 0) >= api.get("quorum", 9) else -1
    console = f"may fail {count} more of 4" in look or (count < 0 and "may fail none: the cluster" in look)
    return signed, count, console and api.get("text", "?") in page.get("/"), api.get("text"), look


def until(system, page, line, want, words):
    """Until all say `want`, and the API's sentence and the console's have these words."""
    end = time.monotonic() + LIMIT_S
    while True:
        seen = told(system, page, line)
        good = seen[0] == want and seen[1] == want and seen[2] and any(w in (seen[3] or "") and w.replace("s: ", " ") in seen[4] for w in words)
        if good or time.monotonic() > end:
            return good, seen
        time.sleep(0.3)


def main():
    c = Cases()
    with System() as s:
        s.start_all()
        c.case("up", s.wait_ready())
        with Page(s, "s0-n0") as page, Line(s, "s0-n0") as line:
            c.case("all vote: one may be lost, and all three say so", *until(s, page, line, 1, [""]))
            c.case("and which", page.cluster()["text"] == "yes, any 1 of: s0-n0, s0-n1, s0-n2, s0-n3", page.cluster())
            s.kill("s0-n3", signal.SIGTERM)
            s.change_conf("s0-n3", {"retired": True})
            s.start("s0-n3")
            c.case("one is retired, and is linked: none may be lost, all three say so", *until(s, page, line, 0, ["not voting: s0-n3"]))
            seen = s.ask("s0-n0")["members_seen"]
            c.case("its link is up", seen[3]["up"] and seen[3]["votes"] is False and seen[3]["name"] == "s0-n3", seen)
            cost = " ".join(line.console.do("reboot", "Type yes: ").split())
            c.case("a reboot says what it costs", "It costs cluster s0 its decisions" in cost and "not voting: s0-n3" in cost, cost)
            line.console.do("no", line.prompt)
            with Page(s, "s0-n3") as own:
                good, seen = False, None
                end = time.monotonic() + LIMIT_S
                while not good and time.monotonic() < end:
                    seen = own.cluster()
                    good = seen.get("text") == "no, each of these is needed: s0-n0, s0-n1, s0-n2; not voting: s0-n3"
                    time.sleep(0.2)
                c.case("the retired one's own console says the same", good, seen)
            s.kill("s0-n2", signal.SIGSTOP)
            words = ["not known whether they vote: s0-n2", "no link to: s0-n2"]
            end = time.monotonic() + LIMIT_S
            while page.cluster().get("up") != 2 and time.monotonic() < end:
                time.sleep(0.2)
            seen, look = page.cluster(), line.look()
            good = seen["up"] == 2 and seen["may_lose"] == 0 and seen["text"].startswith("no: ") and any(w in seen["text"] for w in words)
            c.case("another is stopped: it is not known to vote, and counts as lost", good, seen)
            c.case("and the console: it may not be able to decide", "may not be able to decide" in look and "WELL NO" in look, look)
            s.kill("s0-n2", signal.SIGCONT)
            c.case("it goes on: three vote again", *until(s, page, line, 0, ["not voting: s0-n3"]))
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
