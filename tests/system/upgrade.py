#!/usr/bin/env python3
"""heraclius upgrade: a release rolled through a cluster of real nodes, each behind a played admin console that stops and starts its node as an
appliance would, or falls back to the old image. Under load; one at a time; refusals before anything is sent; what fails stops it; a rerun goes on.

upgrade.py short|long
"""
import hashlib
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, TOP, Cases, System, free_base  # noqa: E402
from slots import owners, release_make  # noqa: E402

CLUSTER = [f"s0-n{i}" for i in range(4)]
CSRF = "c5" * 32
OWN, OTHER = ("amd64", "arm64") if os.uname().machine == "x86_64" else ("arm64", "amd64")


def certificate_make(folder, name):
    """A key and a certificate, signed with itself; (files, SHA-256)."""
    cert, key = f"{folder}/{name}.pem", f"{folder}/{name}.key"
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                           f"/CN={name}", "-keyout", key, "-out", cert], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made
    with open(cert) as file:
        return cert, key, hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()


class Console:
    """What heraclius-admin, init and the loader do of an upgrade, for one node: spec/appliance.md 9.7."""

    def __init__(self, system, name, port, folder, operator, stranger, record):
        self.system, self.name, self.record = system, name, record
        self.number, self.state, self.other, self.down = 7, "blessed", None, False
        self.architecture = OWN
        self.bad = False  # the image that it is handed does not vote
        self.late_s = 0  # so long after a head it says that the body may come: a client sends that without, after 2 s
        self.while_taking = None  # what happens while it takes a release in
        self.hold = threading.Event()  # a machine starts again when this is set
        self.hold.set()
        self.handed = 0
        cert, key, self.pin = certificate_make(folder, name)
        with open(operator[0]) as file:
            self.operator = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.num_tickets = 0  # as with heraclius-admin, nothing comes behind the handshake by itself
        for known in (operator, stranger):  # TLS lets both in: who may do what is judged by the certificate's hash
            context.load_verify_locations(known[0])
        context.verify_mode = ssl.CERT_OPTIONAL
        console = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                self.request.settimeout(10)
                self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def log_message(self, *_):
                pass

            def handle_expect_100(self):
                time.sleep(console.late_s)
                return super().handle_expect_100()

            def do_GET(self):
                console.answer(self, "GET")

            def do_POST(self):
                console.answer(self, "POST")

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def verify_request(self, request, address):
                return not console.down

            def handle_error(self, request, address):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def ask(self, what):
        """The node's control socket, by a short path."""
        folder = os.open(f"{self.system.root}/{self.name}", os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(f"/proc/self/fd/{folder}/control.sock")
                s.sendall(json.dumps({"ask": what}).encode() + b"\n")
                with s.makefile() as lines:
                    return json.loads(lines.readline())
        except (OSError, ValueError):
            return {}
        finally:
            os.close(folder)

    def answer(self, handler, method):
        code, body = self.made(handler, method)
        text = json.dumps(body).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def made(self, handler, method):
        shown = handler.connection.getpeercert(binary_form=True)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if not shown or hashlib.sha256(shown).hexdigest() != self.operator:
            return 401, {"error": "pair first, or show a client certificate that is known here"}
        if (method, handler.path) == ("GET", "/api/v1/session"):
            return 200, {"role": "own", "who": "certificate", "csrf": CSRF, "tls": True}
        if (method, handler.path) == ("GET", "/api/v1/upgrade"):
            return 200, self.told()
        if handler.headers.get("X-CSRF-Token") != CSRF:
            return 403, {"error": "without its CSRF token"}
        if (method, handler.path) == ("POST", "/api/v1/upgrade"):
            return self.take(body)
        if (method, handler.path) == ("POST", "/api/v1/actions/reboot") and json.loads(body) == {"sure": True}:
            self.down = True
            others = {c.name: c.ask("status").get("ready") for c in self.record.consoles if c is not self}
            self.record.event(self.name, "down", others)
            threading.Thread(target=self.restart, daemon=True).start()
            return 200, {"done": "reboot sure", "audited": True}
        return 404, {"error": "no such path"}

    def told(self):
        status = self.ask("status")
        trial = {"waits_for": "vote", "text": "it has not voted in a decision yet", "counted_ms": 1000, "limit_ms": 300000}
        return {"uptime_ms": 1, "version": "played", "number": self.number, "architecture": self.architecture,
                "running": {"slot": 1, "number": self.number, "label": "r", "state": self.state, "signed": True}, "other": self.other, "next": 1,
                "why": "", "trial": trial if self.state == "trial" else None, "upload": None, "last": None,
                "node": {"node": self.name, "ready": status.get("ready", False)} if status else None}

    def take(self, body):
        number = int.from_bytes(body[8:16], "little")
        self.handed += 1
        happens, self.while_taking = self.while_taking, None
        if happens:
            happens()
        if number <= self.number:
            return 422, {"error": f"release {number} is not newer than {self.number}, which runs", "name": "serial"}
        self.other = {"slot": 2, "number": number, "label": "r", "state": "untried", "signed": True, "tries_left": 2}
        return 200, {"number": number, "label": "r", "slot": 2, "text": "it lies in slot 2", "audited": True}

    def restart(self):
        """Down; then up with the release, on trial until its node has voted; or, if that is bad, with what ran before."""
        self.system.kill(self.name, signal.SIGTERM)
        before, other = self.number, self.other
        time.sleep(0.3)
        self.hold.wait(60)
        if other and other["state"] == "untried" and self.bad:
            other["state"] = "given-up"
        elif other and other["state"] == "untried":
            self.number, self.state = other["number"], "trial"
            self.other = {"slot": 1, "number": before, "label": "r", "state": "blessed", "signed": True, "tries_left": 0}
        self.system.start(self.name)
        self.down = False
        while self.state == "trial":
            if self.ask("decide").get("voted"):
                self.state = "blessed"
            time.sleep(0.1)
        self.record.event(self.name, "up", self.number)


class Record:
    def __init__(self):
        self.lock, self.events, self.consoles = threading.Lock(), [], []

    def event(self, *event):
        with self.lock:
            self.events.append(event)

    def order(self):
        return [e[0] for e in self.events if e[1] == "down"]

    def most_down(self):
        down, most = set(), 0
        for name, what, _ in self.events:
            down = down | {name} if what == "down" else down - {name}
            most = max(most, len(down))
        return most


class Writer(threading.Thread):
    """Puts, one after the other; remembers what was acknowledged."""

    def __init__(self, system):
        super().__init__(daemon=True)
        self.system, self.acknowledged, self.others, self.ends = system, {}, [], threading.Event()

    def run(self):
        for i in range(100000):
            if self.ends.is_set():
                return
            done = self.system.client("put", f"k{i}", f"v{i}", "--timeout", 30, timeout=60)
            if done.returncode == 0:
                self.acknowledged[f"k{i}"] = f"v{i}"
            else:
                self.others.append((i, done.returncode, done.stderr))


class World:
    def __init__(self, cases, system, names=CLUSTER):
        self.cases, self.system, self.record = cases, system, Record()
        self.folder = f"{system.dir}/w"
        os.mkdir(self.folder)
        self.operator, self.stranger = (certificate_make(self.folder, name) for name in ("operator", "stranger"))
        base = free_base(len(names))
        with open(f"{system.root}/addresses.json") as file:
            links = {name: entry["link"] for name, entry in json.load(file)["nodes"].items()}
        for i, name in enumerate(names):
            self.record.consoles.append(Console(system, name, base + i, self.folder, self.operator, self.stranger, self.record))
        moved = system.client("address", "set", *(f"{name}={links[name]},127.0.0.1:{base + i}" for i, name in enumerate(names)))
        assert moved.returncode == 0, moved
        self.record.consoles[1].late_s = 3
        self.pins = {c.name: c.pin for c in self.record.consoles}
        self.file = self.consoles_file("consoles.json", self.pins)
        self.keys = owners(cases, self.folder)

    def consoles_file(self, name, pins, certificate="operator"):
        path = f"{self.folder}/{name}"
        with open(path, "w") as file:
            json.dump({"certificate": f"{certificate}.pem", "key": f"{certificate}.key", "consoles": pins}, file)
        return path

    def words(self, release, *more, consoles=None):
        return [CLIENT, "-s", f"{self.system.root}/system.json", "--client", f"{self.system.root}/bench-0.key", "upgrade", release, "--consoles",
                consoles or self.file, "--key", self.keys[0], *more]

    def upgrade(self, release, *more, consoles=None):
        return subprocess.run(self.words(release, *more, consoles=consoles), cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120)

    def console(self, name):
        return next(c for c in self.record.consoles if c.name == name)

    def untouched(self):
        return not self.record.events and not any(c.handed for c in self.record.consoles)

    def voting(self, limit_s=30):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if all(c.ask("status").get("ready") for c in self.record.consoles):
                return True
            time.sleep(0.1)
        return False


def written(c, w, writer):
    writer.ends.set()
    writer.join(60)
    with open(f"{w.folder}/gets", "w") as file:
        file.write("".join(f"get {key}\n" for key in writer.acknowledged))
    told = w.system.client("batch", f"{w.folder}/gets", "--json", "--timeout", 30)
    values = [r.get("value") for r in json.loads(told.stdout)] if told.returncode == 0 else []
    c.case(f"all {len(writer.acknowledged)} writes that were acknowledged meanwhile are there",
           len(writer.acknowledged) > 10 and values == list(writer.acknowledged.values()), (told.stdout[:500], told.stderr[:500], writer.others[:2]))
    c.case("every write of that time was answered", not writer.others, writer.others[:3])



def refusals(c, w, release):
    with open(release, "rb") as file:
        whole = bytearray(file.read())
    whole[-1] ^= 1
    with open(f"{w.folder}/torn", "wb") as file:
        file.write(whole)
    done = w.upgrade(f"{w.folder}/torn")
    c.case("a release with one bit wrong is refused", done.returncode == 1 and "id-mismatch" in done.stderr, done)
    done = subprocess.run(w.words(release)[:-1] + [w.keys[1]], cwd=TOP, capture_output=True, text=True, timeout=60)
    c.case("one that another owner signed is refused", done.returncode == 1 and "signature-invalid" in done.stderr, done)
    pins = dict(w.pins, **{"s0-n2": w.pins["s0-n1"]})
    done = w.upgrade(release, consoles=w.consoles_file("wrong.json", pins))
    good = done.returncode == 3 and "s0-n2" in done.stderr and w.pins["s0-n2"] in done.stderr and "nothing was sent" in done.stderr
    c.case("a console with another certificate than the pinned one is not spoken to; both are named", good, done)
    done = w.upgrade(release, consoles=w.consoles_file("stranger.json", w.pins, "stranger"))
    c.case("a client certificate that no console knows: exit 4, and what to do",
           done.returncode == 4 and done.stderr.count("admin.client.N") == 4, done)
    done = w.upgrade(release, "--at-once", "2")
    c.case("more than f at once are refused", done.returncode == 2 and "--at-once is 1 to 1" in done.stderr, done)
    for text, named in (("{}", "certificate: missing"),
                        ('{"certificate": "operator.pem", "key": "operator.key", "consoles": {"s9-n0": "%s"}}' % ("a" * 64), "s9-n0"),
                        ('{"certificate": "none.pem", "key": "operator.key", "consoles": {"s0-n0": "%s"}}' % ("a" * 64), "none.pem"),
                        ('{"certificate": "operator.pem", "key": "operator.key", "consoles": {"s0-n0": "12"}}', "s0-n0")):
        with open(f"{w.folder}/odd.json", "w") as file:
            file.write(text)
        done = w.upgrade(release, consoles=f"{w.folder}/odd.json")
        c.case(f"a consoles' file that is none ({named}): exit 2", done.returncode == 2 and named in done.stderr, done)
    done = w.upgrade(release, "--dry-run")
    good = done.returncode == 0 and done.stdout.count("would be handed the release") == 4 and "nothing was sent" in done.stdout
    c.case("--dry-run names all four, and sends nothing", good, done)
    w.console("s0-n2").architecture = OTHER
    done = w.upgrade(release, "--dry-run")
    good = done.returncode == 0 and done.stdout.count("would be handed the release") == 3
    good = good and f"s0-n2: is {OTHER}, this release is for {OWN}: left as it is" in done.stdout
    c.case("a node of another architecture is named, and left as it is", good, done)
    for console in w.record.consoles:
        console.architecture = OTHER
    done = w.upgrade(release)
    c.case("a release that is for none of them: exit 1", done.returncode == 1 and f"none of these nodes is {OWN}" in done.stderr, done)
    for console in w.record.consoles:
        console.architecture = OWN
    c.case("up to here no console was handed anything", w.untouched(), w.record.events)


def until_said(lines, text):
    """What a roll says up to a line with this text, or all: a roll ends by itself."""
    said = []
    for line in lines:
        said.append(line)
        if text in line:
            break
    return said


def one_down(c, w, release):
    w.system.kill("s0-n3")
    done = w.upgrade(release, "--away", "0")
    good = done.returncode == 3 and "s0-n3 down" in done.stderr and "nothing was sent" in done.stderr and w.untouched()
    c.case("with a node down it does not begin, and says which", good and "waited for" not in done.stdout + done.stderr, done)
    done = w.upgrade(release, "--away", "1")
    good = done.returncode == 3 and "s0-n3 down" in done.stdout and "waited for, 1 s at most" in done.stdout and "s0-n3 down" in done.stderr
    c.case("it waits for that node for the time that it says, then does not begin", good and "they were waited for" in done.stderr, done)
    w.system.start("s0-n3")
    c.case("the node is back", w.voting())


def roll_under_load(c, w, bad, good_release):
    """A bad image first: it stops at the node that falls back. Then the good one, broken off in the middle, and gone on with."""
    writer = Writer(w.system)
    writer.start()
    leader = w.system.leader("s0")
    first = next(name for name in CLUSTER if name != leader)
    w.console(first).bad = True
    done = w.upgrade(bad)
    good = done.returncode == 1 and f"{first}: gave release 8 up and runs 7 again" in done.stderr and w.record.order() == [first]
    c.case("a trial that failed stops the roll at its node", good, (done, w.record.events))
    c.case("it votes again with the old image", w.voting())
    done = w.upgrade(bad)
    good = done.returncode == 1 and f"{first}: gave this release up before" in done.stderr and w.record.order() == [first]
    c.case("the same release again is not begun where it failed", good, (done, w.record.events))
    w.console(first).bad = False
    w.record.events.clear()
    w.console(first).hold.clear()
    other = next(name for name in CLUSTER if name not in (leader, first))
    w.console(first).while_taking = lambda: w.system.kill(other)
    broken = subprocess.Popen(w.words(good_release), cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = until_said(broken.stdout, "waits to be started again")
    c.case("another node dies while the release is taken in: the one that has it is not started again, and says for whom it waits",
           said and f"{first}: has it, and waits to be started again: {other} down" in said[-1] and not w.record.events, (said, w.record.events))
    w.system.start(other)
    until = time.monotonic() + 30
    while not w.record.events and time.monotonic() < until:
        time.sleep(0.05)
    # Its signed word says that it votes; one that has just come back may be behind for a moment after that (ready False), but is not away (None).
    back = bool(w.record.events) and all(ready or (name == other and ready is not None) for name, ready in w.record.events[0][2].items())
    c.case("it is started again once that one votes", w.record.order() == [first] and back, w.record.events)
    broken.send_signal(signal.SIGINT)
    out, text = broken.communicate(timeout=30)
    c.case("ctrl-C while a node is away: exit 3, and it says that a rerun goes on", broken.returncode == 3 and "goes on" in text, (out, text))
    again = subprocess.Popen(w.words(good_release, "--json"), cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
    said = until_said(again.stderr, "waited for")
    c.case("begun anew while that node is still away: it says that it waits, and for how long",
           said and first in said[-1] and "300 s at most" in said[-1] and w.record.order() == [first], (said, w.record.events))
    w.console(first).hold.set()
    out, text = again.communicate(timeout=300)  # a link on which nothing moves is given up after 120 s, and asked anew
    done = subprocess.CompletedProcess(again.args, again.returncode, out, "".join(said) + text)
    c.case("that node comes back by itself", "all that are concerned vote" in done.stderr, done)
    told = json.loads(done.stdout) if done.stdout else {}
    states = {n["name"]: (n["state"], n["number"]) for n in told.get("nodes", [])}
    good = done.returncode == 0 and all(n == 9 and state in ("done", "skipped") for state, n in states.values()) and len(states) == 4 and told["done"]
    good = good and all(x.state == "blessed" for x in w.record.consoles)
    c.case("begun anew it rolls through the others", good, (done, states))
    c.case("and does not hand it to that node again", [w.console(name).handed for name in CLUSTER] == [2 if n == first else 1 for n in CLUSTER])
    c.case("each node was restarted once", sorted(w.record.order()) == CLUSTER, w.record.events)
    c.case("at no time was more than one of them away or on trial", w.record.most_down() == 1, w.record.events)
    alone = [e for e in w.record.events if e[1] == "down" and not all(ready or (name == other and ready is not None) for name, ready in e[2].items())]
    c.case("whenever one went down, its node had said that all others vote", not alone, alone)
    done = w.upgrade(good_release)
    c.case("once more: nothing to do", done.returncode == 0 and "4 of 4 nodes run 9" in done.stdout and len(w.record.order()) == 4, done)
    written(c, w, writer)


def main():
    c = Cases()
    with System() as system:
        system.start_all()
        w = World(c, system)
        releases = {number: release_make(c, w.folder, number) for number in (8, 9)}
        if not c.case("four nodes and four coordinators are ready", system.wait_ready() and w.voting()):
            return c.end()
        refusals(c, w, releases[8])
        one_down(c, w, releases[8])
        roll_under_load(c, w, releases[8], releases[9])
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
