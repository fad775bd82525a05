#!/usr/bin/env python3
"""heraclius-admin before a running system: /livez, /readyz, /status, /metrics; a dead node; hostile HTTP; where it listens.

admin.py short|long [SEED]
"""
import http.client
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import TOP, Cases, System, free_base, is_long, seed_of  # noqa: E402

ADMIN = "build/gcc/heraclius-admin"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*"'
SAMPLE = re.compile(rf"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{{{LABEL}(?:,{LABEL})*\}})? (-?[0-9.]+|\+Inf|NaN)$")


class Admin:
    def __init__(self, system):
        self.port = free_base(1)
        # relative paths: the path of a Unix socket is short
        sockets = [f"{n}/control.sock" for n in system.names]
        self.process = subprocess.Popen([f"{TOP}/{ADMIN}", "--listen", f"127.0.0.1:{self.port}", "--sockets"] + sockets,
                                        cwd=system.root, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 10
        while time.monotonic() < until and self.get("/livez")[0] != 200:
            time.sleep(0.05)

    def get(self, path, method="GET", timeout=15):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, "", str(error)
        finally:
            connection.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)


def faults_of(text):
    """What is wrong with a page of Prometheus text; and its samples: (name, labels) -> value."""
    faults, types, helps, seen, family_now, ended = [], {}, {}, {}, None, set()
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, name, rest = (line + " ").split(" ", 3)
            into = {"HELP": helps, "TYPE": types}.get(word)
            if into is None or name in into or not rest.strip():
                faults.append(f"bad or repeated: {line}")
                continue
            into[name] = rest.strip()
            continue
        match = SAMPLE.match(line)
        if not match:
            faults.append(f"no sample: {line}")
            continue
        name, labels, value = match.groups()
        family = re.sub(r"_(bucket|sum|count)$", "", name) if types.get(re.sub(r"_(bucket|sum|count)$", "", name)) == "histogram" else name
        if family not in types or family not in helps:
            faults.append(f"without HELP and TYPE before it: {line}")
        if family != family_now:
            if family in ended:
                faults.append(f"family in two places: {line}")
            ended.add(family_now)
            family_now = family
        if (name, labels) in seen:
            faults.append(f"twice: {line}")
        seen[name, labels] = float(value)
    if not text.endswith("\n"):
        faults.append("no newline at the end")
    return faults + [f"unknown type {t}" for t in types.values() if t not in ("counter", "gauge", "histogram", "untyped")], seen


HISTOGRAMS = ["heraclius_commit_seconds", "heraclius_input_seconds", "heraclius_prepare_seconds", "heraclius_finalize_seconds",
              "heraclius_publish_seconds", "heraclius_execute_seconds", "heraclius_wal_seconds", "heraclius_checkpoint_seconds",
              "heraclius_block_operations"]


def histogram_faults(seen, names):
    faults = []
    for node, family in ((n, f) for n in names for f in HISTOGRAMS):
        buckets = [(float(re.search(r'le="([^"]+)"', labels).group(1).replace("+Inf", "inf")), value) for (name, labels), value in seen.items()
                   if name == family + "_bucket" and f'node="{node}"' in labels]
        buckets.sort()
        values = [v for _, v in buckets]
        total = seen.get((family + "_count", f'{{node="{node}"}}'))
        if len(buckets) < 5 or values != sorted(values) or values[-1] != total or buckets[-1][0] != float("inf"):
            faults.append((node, family, buckets, total))
    return faults


def pages(cases, admin, system):
    code, kind, text = admin.get("/livez")
    cases.case("/livez: 200", code == 200 and text == "live\n" and kind.startswith("text/plain"), (code, kind, text))
    code, kind, text = admin.get("/readyz")
    cases.case("/readyz: 200, a line per node", code == 200 and text.count(" ready voting\n") == 8, (code, text))
    code, kind, text = admin.get("/status")
    nodes = {n.get("node"): n for n in json.loads(text)["nodes"]}
    wanted = ("view", "height", "leader", "queues", "links_up", "dropped", "commit_us", "attackers", "threads", "memory_budget_bytes", "state_root")
    good = code == 200 and kind == "application/json" and sorted(nodes) == system.names and all(w in n for w in wanted for n in nodes.values())
    cases.case("/status: JSON of all eight with view, height, leader, queues, links, drops, latency", good, (code, kind, text[:600]))
    code, kind, text = admin.get("/metrics")
    faults, seen = faults_of(text)
    good = code == 200 and kind.startswith("text/plain; version=0.0.4") and not faults
    cases.case(f"/metrics: {len(seen)} samples, each with HELP and TYPE, no series twice", good, faults[:10])
    wrong = histogram_faults(seen, system.names)
    cases.case("/metrics: each histogram adds up", not wrong, wrong[:1])
    needed = ("heraclius_up", "heraclius_view", "heraclius_height", "heraclius_leader", "heraclius_queue_depth", "heraclius_links_up",
              "heraclius_dropped_total", "heraclius_attacks_total", "heraclius_commit_seconds_bucket", "heraclius_counter",
              "heraclius_cost_seconds_total", "heraclius_cost_events_total", "heraclius_cost_bytes_total",
              "heraclius_thread_cpu_seconds_total", "heraclius_page_faults_total",
              "heraclius_resident_bytes", "heraclius_memory_budget_bytes", "heraclius_memory_resident_bytes", "heraclius_memory_limit_bytes")
    lacking = [(m, n) for m in needed for n in system.names if not any(name == m and f'node="{n}"' in (labels or "") for name, labels in seen)]
    cases.case("/metrics: each node has what an operator needs", not lacking, lacking)
    before = seen["heraclius_decisions_total", '{node="c0-n0"}']
    system.client("put", "x", "y")
    time.sleep(0.8)
    after = faults_of(admin.get("/metrics")[2])[1]["heraclius_decisions_total", '{node="c0-n0"}']
    cases.case("/metrics: a put moves the count of decisions", after > before, (before, after))
    secret = [w for w in ("adminsecretvalue", "adminsecretkey") if w in text + admin.get("/status")[2]]
    cases.case("no key and no value on any page", not secret, secret)
    cases.case("another page: 404; another method: 405", admin.get("/x")[0] == 404 and admin.get("/status", "POST")[0] == 405
               and admin.get("/status", "HEAD")[0] == 200)


def votes_seen(admin):
    """{cluster: {(node, members that it knows to vote, quorum)}} by /metrics."""
    seen, found = faults_of(admin.get("/metrics")[2])[1], {"c0": set(), "s0": set()}
    for (name, labels), value in seen.items():
        if name == "heraclius_members_voting":
            node, cluster = re.search(r'node="([^"]+)"', labels)[1], re.search(r'cluster="([^"]+)"', labels)[1]
            found[cluster].add((node, value, seen["heraclius_quorum", labels]))
    return found


def dead_node(cases, admin, system):
    system.kill("s0-n1")
    code, _, text = admin.get("/readyz")
    good = code == 503 and "s0-n1 not ready down" in text and text.count(" ready voting") == 7
    cases.case("a node killed: /readyz 503, and says which", good, text)
    listed = json.loads(admin.get("/status")[2])["nodes"]
    dead = [n for n in listed if "error" in n]
    cases.case("a node killed: /status shows it beside seven others", len(dead) == 1 and dead[0]["node"] == "s0-n1" and len(listed) == 8, dead)
    faults, seen = faults_of(admin.get("/metrics")[2])
    up = {labels: value for (name, labels), value in seen.items() if name == "heraclius_up"}
    cases.case("a node killed: /metrics still parses and says 7 up", not faults and sum(up.values()) == 7 and len(up) == 8, (faults[:3], up))
    time.sleep(1)
    others = [n for n in json.loads(admin.get("/status")[2])["nodes"] if n.get("cluster") == "s0"]
    cases.case("a node killed: its cluster's members see its link down", len(others) == 3 and all(not n["members_seen"][1]["up"] for n in others),
               [n["members_seen"] for n in others])
    quorum = votes_seen(admin)
    cases.case("a node killed: the metrics of the other three say three of four vote, as many as a quorum",
               quorum["s0"] == {("s0-n0", 3, 3), ("s0-n2", 3, 3), ("s0-n3", 3, 3)} and {q[1:] for q in quorum["c0"]} == {(4, 3)}, quorum)
    system.kill("s0-n3")
    time.sleep(2)
    cases.case("two killed: those that are left see no quorum", votes_seen(admin)["s0"] == {("s0-n0", 2, 3), ("s0-n2", 2, 3)}, votes_seen(admin))
    system.start("s0-n3")
    system.kill("s0-n2", signal.SIGSTOP)
    began = time.monotonic()
    code, _, text = admin.get("/readyz", timeout=30)
    took = time.monotonic() - began
    cases.case(f"a node that hangs: /readyz 503 after {took:.1f} s", code == 503 and took < 10 and "s0-n2" in text, (code, text))
    system.live["s0-n2"].send_signal(signal.SIGCONT)
    system.start("s0-n1")
    until = time.monotonic() + 30
    while time.monotonic() < until and admin.get("/readyz", timeout=30)[0] != 200:
        time.sleep(0.3)
    cases.case("back again: /readyz 200", admin.get("/readyz")[0] == 200, admin.get("/readyz"))


def hostile(cases, admin, rng, times):
    def raw(data, wait_s=0.3):
        with socket.create_connection(("127.0.0.1", admin.port), timeout=5) as s:
            s.settimeout(wait_s)
            try:
                s.sendall(data)
                return s.recv(4096)
            except OSError:
                return b""

    for _ in range(30 * times):
        raw(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 3000))), 0.02)
    answers = [raw(b"GET /status HTTP/1.1\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n"), raw(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"),
               raw(b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n"),
               raw(b"POST /status HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nxx"),
               raw(b"GET /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), raw(b"GET /%00%ff/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")]
    cases.case("garbage and huge headers get no page", not any(b" 200 " in a for a in answers), [a[:60] for a in answers])
    cases.case("and hurt nobody", admin.get("/livez")[0] == 200 and admin.process.poll() is None)
    slow = []
    for _ in range(200):
        s = socket.socket()
        s.settimeout(2)
        try:
            s.connect(("127.0.0.1", admin.port))
            s.sendall(b"GET /sta")
        except OSError:
            pass
        slow.append(s)
    time.sleep(1)
    with open(f"/proc/{admin.process.pid}/status") as f:
        kib = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    cases.case(f"200 slow connections cost little ({kib} KiB resident)", admin.process.poll() is None and kib < 32 << 10, kib)
    began = time.monotonic()
    served = admin.get("/livez", timeout=15)[0] == 200
    cases.case(f"while they are held open another is served ({time.monotonic() - began:.1f} s)", served)
    for _ in range(200):
        s = socket.socket()
        s.settimeout(2)
        try:
            s.connect(("127.0.0.1", admin.port))
        except OSError:
            pass
        slow.append(s)
    began = time.monotonic()
    while time.monotonic() - began < 30 and admin.get("/livez", timeout=3)[0] != 200:
        time.sleep(0.3)
    waited = time.monotonic() - began
    cases.case(f"past the limit of connections the idle ones are given up, and others served ({waited:.1f} s)", waited < 20)
    for s in slow:
        s.close()


def listening(cases, admin):
    for where in ("0.0.0.0", "192.0.2.1", "[::]"):
        done = subprocess.run([ADMIN, "--listen", f"{where}:{free_base(1)}", "--sockets", "x"], cwd=TOP, capture_output=True, text=True, timeout=10)
        good = done.returncode == 2 and "loopback" in done.stderr and done.stderr.count("\n") == 1
        cases.case(f"{where} is refused in one line, exit 2", good, done.stderr)
    done = subprocess.run([ADMIN, "--listen", f"127.0.0.1:{admin.port}", "--sockets", "x"], cwd=TOP, capture_output=True, text=True, timeout=10)
    cases.case("a port in use: exit 4, names it", done.returncode == 4 and str(admin.port) in done.stderr and done.stderr.count("\n") == 1,
               (done.returncode, done.stderr))
    for words in ((), ("--listen", "nonsense", "--sockets", "x"), ("--listen", "127.0.0.1:1"), ("--wrong",)):
        done = subprocess.run([ADMIN, *words], cwd=TOP, capture_output=True, text=True, timeout=10)
        cases.case(f"usage: {' '.join(words) or 'no words'}: exit 2", done.returncode == 2 and "usage" in done.stderr, done.stderr)


def main():
    rng = random.Random(seed_of(sys.argv))
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    cases = Cases()
    with System() as system:
        system.start_all()
        if not cases.case("eight nodes answer", system.wait_ready()):
            return cases.end()
        system.client("put", "adminsecretkey", "adminsecretvalue")
        admin = Admin(system)
        try:
            pages(cases, admin, system)
            dead_node(cases, admin, system)
            hostile(cases, admin, rng, 10 if is_long(sys.argv) else 1)
            listening(cases, admin)
            logs = "".join(system.log(n) for n in system.names)
            cases.case("no key and no value in any log", "adminsecret" not in logs)
            cases.case("SIGTERM: exit 0", admin.stop() == 0)
        finally:
            if admin.process.poll() is None:
                admin.process.kill()
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
