#!/usr/bin/env python3
"""heraclius-admin as init runs it on an appliance: no words but --appliance, what the owner configured comes as files of heraclius-setup.

Under the appliance's filter of system calls. Its certificate and who may do what, pairing by the serial console alone, another configuration while it
runs; logs to a syslog collector by TLS (a good one, a stranger, none at all, a flood); signed claims brought by HTTP, red and green; members that a
later CONFIG brought; the support bundle, searched for every secret. init and the serial console are played here. admin_appliance.py short|long
"""
import base64
import http.client
import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import confined  # noqa: E402
from admin_https import ADMIN, Admin, Played, PlayedNode, certificate_make, fingerprint  # noqa: E402
from appliance_config import Machines, ceremony, put, read, run  # noqa: E402
from cluster import TOP, Cases, free_base  # noqa: E402

NAME = "c0-n0"
FIELDS = ("architecture", "kernel", "compiler", "code", "image", "operator", "site", "power")
MESSAGE = re.compile(r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) (\S+) - - - (.*)", re.S)


class Init(Played):
    """init's socket, with logs that grow."""

    def __init__(self, path):
        self.asked, self.logs = [], {"node": "", "admin": "", "init": "[    1.000] Heraclius appliance\n", "console": "", "dhcp": "", "crash": "",
                                   "trial before": "[  300.000] trial of 7 waits for node, 1 of 1 ms counted: given up: error\n"}
        self.kmsg, self.status = "<3>[    0.500000] a fault of the kernel's\n", "disk=/dev/vda\ndisk_free=5\n"
        super().__init__(path, socket.SOCK_SEQPACKET)

    def answer_to(self, asked, peer):
        words = asked.split()
        self.asked.append(" ".join(words))
        text = self.kmsg if words[0] == "kmsg" else self.log(words) if words[0] == "log" else self.status
        peer.sendall(b"ok\n" + text.encode()[-60000:])

    def log(self, words):
        return self.logs.get(f"{words[1]} before" if words[2:3] == ["before"] else words[1], "")


class Node(PlayedNode):
    """Its `status` is what it is told to be."""

    def __init__(self, path, status):
        self.status = status
        super().__init__(path, {"metrics": {"node": NAME, "metrics": []}, "ready": {"ready": True, "phase": "voting", "node": NAME},
                                "evidence": {"evidence": [{"file": "two_commits-c0-member1-epoch0.evidence", "bytes": 700}]}})

    def answer_to(self, asked, peer):
        self.says["status"] = self.status
        super().answer_to(asked, peer)


class Service:
    """heraclius-admin, begun anew as init does whenever it ends."""

    def __init__(self, cases, machines):
        self.root, self.ends, self.text, self.stopping = machines.at(NAME), [], "", False
        self.program = confined.wrapped(machines.dir, "admin", ADMIN)
        self.start()
        threading.Thread(target=self.supervise, daemon=True).start()

    def start(self):
        self.process = subprocess.Popen([self.program, "--appliance", "--root", self.root], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)

    def supervise(self):
        while True:
            for line in self.process.stdout:
                self.text += line
            self.ends.append(self.process.wait())
            if self.stopping:
                return
            time.sleep(0.2)
            self.start()

    def stop(self):
        self.stopping = True
        self.process.send_signal(signal.SIGTERM)
        Admin.wait(lambda: self.process.poll() is not None)
        return self.process.poll()


class Client:
    """HTTPS to one port, whose certificate must be the one in `trusted`."""

    def __init__(self, port, trusted, certificate=None):
        self.port, self.context = port, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(trusted)
        if certificate:
            self.context.load_cert_chain(f"{certificate}/tls.cert", f"{certificate}/tls.key")
        self.csrf = None

    def ask(self, method, path, body=None, headers=None):
        """(status, text); status 0: no answer."""
        headers = dict(headers or {})
        if method == "POST":
            headers.setdefault("Content-Type", "application/json")
            headers.setdefault("X-CSRF-Token", self.csrf or "")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            self.headers = {k.lower(): v for k, v in answer.getheaders()}
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def get(self, path):
        return json.loads(self.ask("GET", path)[1])

    def session(self):
        said = self.get("/api/v1/session")
        self.csrf = said["csrf"]
        return said


class Collector:
    """Takes RFC 5425: length, blank, message."""

    def __init__(self, port, pem):
        self.messages, self.broken, self.connections, self.live = [], [], 0, None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.listening = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                raw, _ = self.listening.accept()
                self.connections += 1
                with self.context.wrap_socket(raw, server_side=True) as s:
                    self.live = s
                    self.take(s)
            except OSError as error:
                self.broken.append(str(error))
                if self.listening.fileno() < 0:
                    return

    def take(self, s):
        data = b""
        while True:
            some = s.recv(65536)
            if not some:
                return
            data += some
            while b" " in data:
                length, _, rest = data.partition(b" ")
                if not length.isdigit():
                    raise OSError("no length: " + repr(data[:40]))
                if len(rest) < int(length):
                    break
                self.messages.append(rest[:int(length)].decode())
                data = rest[int(length):]

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)  # ends accept(), which would keep the port
        self.listening.close()
        if self.live:
            try:
                self.live.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def has(self, what, limit_s=30):
        return Admin.wait(lambda: [m for m in self.messages if what in m], limit_s)


def pem_make(folder, name, subject):
    """A key and a certificate that vouches for itself in one file, and the certificate alone."""
    key, cert = f"{folder}/{name}.key", f"{folder}/{name}.cert"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                    "/CN=test", "-addext", f"subjectAltName={subject}", "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    put(f"{folder}/{name}.pem", read(cert) + read(key))
    return f"{folder}/{name}.pem", cert


def configured(cases, machines, name, *words):
    """Another configuration is taken and its files are written, as init has it done."""
    made = machines.bundle(NAME, name, *words)
    taken, files = machines.take(NAME, name), machines.files(NAME)
    return cases.case(f"configuration {name} is in force", (made.returncode, taken.returncode, files.returncode) == (0, 0, 0),
                      f"{made} {taken} {files}")


def settings(base, *more):
    return ("--set", f"listen=127.0.0.1:{base}", "--set", f"admin.listen=127.0.0.1:{base + 1}", "--set", f"syslog=127.0.0.1:{base + 2}", *more)


def first(cases, machines, service, base, pins):
    """From no configuration to a console that its owner reaches."""
    time.sleep(1)
    cases.case("without a configuration it waits and listens nowhere", service.process.poll() is None and "admin.conf" in service.text
               and Client(base + 1, pins["own"] + "/tls.cert").ask("GET", "/livez")[0] == 0, service.text)
    configured(cases, machines, "first", *settings(base), "--set", f"admin.client.0=own:{pins['own_hash']}", "--set",
               f"admin.peer.3={pins['own_hash']}@127.0.0.1:{base}", "--syslog-ca", pins["collector"])
    own = f"{service.root}/data/admin/tls.cert"
    shown = f"{service.root}/run/admin/fingerprint"
    good = Admin.wait(lambda: os.path.exists(shown) and os.path.exists(own) and Client(base + 1, own).ask("GET", "/livez")[0] == 200, 30)
    cases.case("then it is begun anew and serves where admin.listen says", good and service.ends == [0], (service.ends, service.text))
    cases.case("its certificate was made, once, and its hash is there for the serial console", read(shown).strip() == fingerprint(own), read(shown))
    cases.case("nothing listens on the port of the plain console", Client(8080, own).ask("GET", "/livez")[0] == 0)
    client = Client(base + 1, own, pins["own"])
    cases.case("the owner's client certificate owns", client.session()["role"] == "own")
    told = Admin.wait(lambda: "refused" in client.get("/api/v1/peers")["peers"][0]["fault"] and client.get("/api/v1/peers"), 20)
    cases.case("the other console that the configuration names is asked", told and told["peers"][0]["where"] == f"127.0.0.1:{base}" and
               told["peers"][0]["certificate"] == pins["own_hash"] and told["clusters"] == [], client.get("/api/v1/peers"))
    return client


def killed(cases, service, base):
    """A code that is worth nothing does not stay at the serial console."""
    own, shown, ends = f"{service.root}/data/admin/tls.cert", f"{service.root}/run/admin/pairing", len(service.ends)
    Client(base + 1, own).ask("POST", "/api/v1/pairing")
    before = os.path.exists(shown)
    service.process.kill()
    gone = Admin.wait(lambda: len(service.ends) > ends and not os.path.exists(shown), 20)
    cases.case("a start takes away the code of the start before", before and gone, (before, service.ends, service.text))
    cases.case("and serves again", Admin.wait(lambda: Client(base + 1, own).ask("GET", "/livez")[0] == 200, 20), service.text)


def pairing(cases, machines, service, base):
    asked = service.text.count("asked for")
    stranger = Client(base + 1, f"{service.root}/data/admin/tls.cert")
    code, text = stranger.ask("POST", "/api/v1/pairing")
    shown = f"{service.root}/run/admin/pairing"
    digits = read(shown).strip() if os.path.exists(shown) else ""
    cases.case("a pairing code is where the serial console reads it", code == 202 and re.fullmatch(r"\d{10}", digits), (text, digits))
    told = Admin.wait(lambda: service.text.count("pairing code was asked for") > asked, 10)
    cases.case("and in no log", digits and digits not in service.text and told, service.text)
    code, text = stranger.ask("POST", "/api/v1/session", {"code": digits, "role": "operate"})
    cookie = stranger.headers.get("set-cookie", "").partition(";")[0]
    cases.case("it pairs, and is gone", code == 201 and not os.path.exists(shown), (code, text))
    return [digits, cookie.partition("=")[2], json.loads(text).get("csrf")]


def syslog(cases, machines, service, init, client, base, pins):
    collector = Collector(base + 2, pins["collector_pem"])
    init.logs["node"] += "[    2.000] 2026-01-31T12:00:00.123Z error store_failed cause=x\n[    2.001] 2026-01-31T12:00:00.124Z info voting\n"
    wanted = ("store_failed cause=x", "info voting", "Heraclius appliance", "a fault of the kernel's", '"action":"pair"')
    good = all(collector.has(w) for w in wanted)
    parts = {w: MESSAGE.fullmatch((collector.has(w, 1) or [""])[0]) for w in wanted}
    good = good and all(parts.values()) and {m.group(2) for m in parts.values()} == {NAME}
    said = [(int(m.group(1)), m.group(3)) for m in parts.values()] if good else None
    cases.case("audit log and every program's log reach the collector, as RFC 5424 has it", good and
               said == [(131, "heraclius-node"), (134, "heraclius-node"), (134, "heraclius-init"), (131, "kernel"), (133, "heraclius-audit")],
               (said, collector.messages, collector.broken, service.text))
    time.sleep(3)
    once = [m for m in collector.messages if "store_failed" in m]
    cases.case("each line once", len(once) == 1, once)
    before = [MESSAGE.fullmatch(m) for m in collector.messages if "given up: error" in m]
    cases.case("and once what the start of the machine before said last, with its time there", len(before) == 1 and before[0] and
               before[0].group(1, 3, 4) == ("133", "heraclius-trial-before", "[  300.000] trial of 7 waits for node, 1 of 1 ms counted: "
                                                                             "given up: error"), (before, init.asked[-20:]))
    collector.close()
    init.logs["node"] += "".join(f"[    3.000] {i:05}\n" for i in range(3000))

    def lost():
        text = client.ask("GET", "/metrics")[1]
        found = re.search(r"^heraclius_syslog_lost_total (\d+)$", text, re.M)
        return "heraclius_syslog_up 0" in text and found and int(found.group(1)) > 0
    cases.case("while nobody takes them lines are counted as lost, and /metrics says so", Admin.wait(lost, 20), client.ask("GET", "/metrics")[1])
    stranger = Collector(base + 2, pins["stranger_pem"])
    good = Admin.wait(lambda: stranger.connections > 0 and "its certificate is refused" in service.text, 90)
    cases.case("a collector whose certificate nobody vouches for gets nothing", good and not stranger.messages, (stranger.messages, service.text))
    stranger.close()
    again = Collector(base + 2, pins["collector_pem"])
    good = again.has(" - - - 00000", 90)
    Admin.wait(lambda: "heraclius_syslog_up 1" in client.ask("GET", "/metrics")[1], 20)
    init.logs["node"] += "[    4.000] 2026-01-31T12:00:02.000Z info after_all\n"
    good = good and again.has("after_all")
    told = [m for m in again.messages if re.search(r"\d+ messages are lost here", m)]
    cases.case("the right one gets what waited, how many are lost, and what comes after", good and len(told) == 1, (told, again.messages[-3:]))
    init.logs["node"] = "".join(f"[    5.000] 2026-01-31T12:00:03.000Z info filler {i:05}\n" for i in range(1500))
    cases.case("what init did not keep between two looks is said to be missing", again.has("some lines are missing here"), again.messages[-3:])
    return again


def claim(machines, name, number, card=None, **texts):
    words = [w for field, text in texts.items() for w in ("--set", f"{field}={text}")]
    out = f"{machines.dir}/{name}-{number}.claim"
    made = run("node", "claim", "--card", card or f"{machines.dir}/{name}.card", "--owner-key", f"{machines.dir}/team.owner.key", "--number", number,
               "--out", out, *words)
    assert made.returncode == 0, made
    with open(out, "rb") as f:
        return base64.b64encode(f.read()).decode()


def fields_of(name, **other):
    return {f: other.get(f, f"{f} of {name}") for f in FIELDS}


def seen(client, what):
    last = None

    def look():
        nonlocal last
        last = client.get("/api/v1/exposure")
        return what({c["cluster"]: c for c in last["clusters"]}, last)
    return bool(Admin.wait(look, 15)), last


def exposure(cases, machines, client):
    good, last = seen(client, lambda c, whole: not whole["good"] and not c["c0"]["good"] and c["c0"]["epoch"] is None)
    cases.case("without claims: red; members by the system file", good, last)
    codes = [client.ask("POST", "/api/v1/claims", {"claim": claim(machines, n, 1, **fields_of(n))})[0] for n in machines.names]
    cases.case("eight signed claims are taken in over HTTP", codes == [200] * 8, codes)
    good, last = seen(client, lambda c, whole: whole["good"])
    cases.case("nothing in common: green", good, last)
    with open(f"{machines.dir}/c0-n1-1.claim", "rb") as f:
        old = base64.b64encode(f.read()).decode()
    codes = [client.ask("POST", "/api/v1/claims", body)[0]
             for body in ({"claim": old}, {"claim": "AAAA"}, {"claim": "#"}, {"claim": "A" * 3000}, {"card": {"kind": "node"}},
                          {}, {"claim": 5}, {"x": "y"})]
    cases.case("an old number, nonsense, no card: refused by name", codes == [422] * 5 + [400] * 3, codes)
    told = json.loads(client.ask("GET", "/api/v1/audit")[1])["entries"]
    told = [e for e in told if (e["action"], e["outcome"]) == ("claim", "refused")]
    cases.case("the first is in the audit log, with the reason; more of one sender within a minute are counted", len(told) == 1 and
               "number" in told[0]["detail"], told)
    client.ask("POST", "/api/v1/claims", {"claim": claim(machines, "c0-n1", 2, **fields_of("c0-n1", kernel="kernel of c0-n0"))})
    good, last = seen(client, lambda c, whole: not whole["good"] and c["s0"]["good"] and "may share: kernel" in c["c0"]["text"])
    cases.case("two of four share a kernel: red, with the reason", good, last)
    client.ask("POST", "/api/v1/claims", {"claim": claim(machines, "c0-n1", 3, **fields_of("c0-n1"))})
    cases.case("green again", seen(client, lambda c, whole: whole["good"])[0])


def own_image(cases, machines, init, client):
    """Of its own node the console knows what image runs."""
    def image_of(whole):
        return next(f for c in whole["clusters"] if c["cluster"] == "c0" for f in c["fields"] if f["field"] == "image")

    before, runs, other = init.status, "5f" * 32, "e0" * 32
    claims = {text: claim(machines, NAME, number, **fields_of(NAME, image=text)) for number, text in ((4, other), (5, runs))}
    client.ask("POST", "/api/v1/claims", {"claim": claims[other]})
    good, last = seen(client, lambda c, whole: whole["good"] and not whole["refused"])
    cases.case("an image that nothing here contradicts is believed", good, last)
    init.status += f"image_hash={runs}\n"
    good, last = seen(client, lambda c, whole: not c["c0"]["good"] and image_of(whole)["silent"] == [NAME])
    why = [r["why"] for r in last["refused"]]
    good = good and len(why) == 1 and runs in why[0] and other in why[0] and [f["field"] for c in last["clusters"] for f in c["fields"]
                                                                               if not f["good"]] == ["image"]
    cases.case("the claim says another image than the one that runs: it counts as shared, and both are named", good, last)
    client.ask("POST", "/api/v1/claims", {"claim": claims[runs]})
    good, last = seen(client, lambda c, whole: whole["good"] and not whole["refused"])
    cases.case("a new claim says what runs: green", good, last)
    init.status = before + f"image_hash={runs.upper()}\n"
    shared = fields_of(NAME, image=other, kernel="kernel of c0-n1")
    client.ask("POST", "/api/v1/claims", {"claim": claim(machines, NAME, 6, **shared)})
    good, last = seen(client, lambda c, whole: "may share: kernel" in c["c0"]["text"])
    cases.case("what init says that is no hash contradicts nobody", good and not last["refused"] and image_of(last)["silent"] == [], last)
    init.status = before
    client.ask("POST", "/api/v1/claims", {"claim": claim(machines, NAME, 7, **fields_of(NAME))})
    cases.case("green once more", seen(client, lambda c, whole: whole["good"])[0])


def later_config(cases, machines, client, node):
    """c0-n3 was replaced by a node that the system file does not know, as a node of the cluster tells."""
    made = run("node", "enroll", "--name", "c0-new", "--out", f"{machines.dir}/fresh", "--owner-key", f"{machines.dir}/team.owner.key")
    with open(f"{machines.dir}/fresh/c0-new.card") as f:
        card = json.load(f)
    ids = [machines.ids[f"c0-n{i}"] for i in range(3)] + [re.search(r"\b([0-9a-f]{64})\b", made.stdout).group(1)]
    shown = json.loads(run("system", "show", "--json", f"{machines.root}/system.json").stdout)
    node.status = {"node": NAME, "system_id": shown["system_id"], "cluster": "c0", "member": 0, "members": 4, "faults": 1, "ready": True,
                   "phase": "voting", "epoch": 3, "view": 1, "leader": 0, "height": 9,
                   "members_seen": [{"member": i, "up": True, "node_id": n} for i, n in enumerate(ids)]}
    good, last = seen(client, lambda c, whole: not whole["good"] and c["c0"]["epoch"] == 3 and not c["c0"]["good"] and
                      all(f["silent"] == [ids[3][:12]] for f in c["c0"]["fields"]))
    cases.case("a member of a later CONFIG: known by its id alone it counts as shared in everything", good, (made, last))
    fresh = claim(machines, "c0-new", 1, card=f"{machines.dir}/fresh/c0-new.card", **fields_of("c0-new"))
    code, text = client.ask("POST", "/api/v1/claims", {"claim": fresh})
    cases.case("its claim wants its card first", code == 422 and "bring its card first" in text, text)
    codes = [client.ask("POST", "/api/v1/claims", body)[0] for body in ({"card": card}, {"claim": fresh})]
    good, last = seen(client, lambda c, whole: whole["good"] and c["c0"]["epoch"] == 3)
    cases.case("card and claim brought: green, by the members of epoch 3", codes == [200, 200] and good, (codes, last))


def changed(cases, machines, service, init, base, pins, client):
    ends = len(service.ends)
    configured(cases, machines, "second", "--from", f"{machines.dir}/first", "--set", f"admin.listen=127.0.0.1:{base + 3}", "--set",
               f"admin.client.0=view:{pins['own_hash']}", "--admin-certificate", pins["brought_pem"])
    moved = Client(base + 3, pins["brought"], pins["own"])
    good = Admin.wait(lambda: moved.ask("GET", "/livez")[0] == 200, 30)
    cases.case("another address and certificate are followed, by a start that init does", good and service.ends[ends:] in ([0], [0, 0]),
               (service.ends, service.text[-500:]))
    cases.case("the old address is silent, the role another", client.ask("GET", "/livez")[0] == 0 and moved.session()["role"] == "view")
    cases.case("the brought certificate's hash is shown", read(f"{service.root}/run/admin/fingerprint").strip() == fingerprint(pins["brought"]))
    own = fingerprint(f"{service.root}/data/admin/tls.cert")
    put(f"{machines.dir}/bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    configured(cases, machines, "third", "--from", f"{machines.dir}/second", "--set", f"admin.client.0=own:{pins['own_hash']}",
               "--admin-certificate", f"{machines.dir}/bad.pem")
    back = Client(base + 3, f"{service.root}/data/admin/tls.cert", pins["own"])
    good = Admin.wait(lambda: back.ask("GET", "/livez")[0] == 200, 30)
    cases.case("a certificate of no use: its own again, the one from before, and it says why",
               good and "is not used" in service.text and fingerprint(f"{service.root}/data/admin/tls.cert") == own, service.text[-500:])
    return back


def support(cases, machines, service, client, secret):
    client.session()
    code, text = client.ask("GET", "/api/v1/support")
    bundle = json.loads(text) if code == 200 else {}
    wanted = {"format", "made_ms", "versions", "machine", "clusters", "faults", "nodes", "metrics", "evidence", "exposure", "configuration", "syslog",
              "history", "audit", "peers"}
    logs = bundle["machine"]["logs"] if bundle else {}
    whole = logs and logs["node"] and "crash" in logs and logs["trial before"][0].endswith("given up: error")
    good = set(bundle) == wanted and whole and "disk_free=5" in bundle["machine"]["status"]
    good = good and bundle["evidence"][0]["files"][0]["file"].startswith("two_commits") and "listen 127" in bundle["configuration"]["admin_conf"]
    cases.case("one download has all parts", good and "attachment" in client.headers.get("content-disposition", ""), (code, text[:500]))
    for name in ("data/node/node.key", "data/admin/tls.key", "data/public/admin.pem"):
        lines = re.findall(r"[0-9A-Za-z+/=]{30,}", read(f"{service.root}/{name}")) if os.path.exists(f"{service.root}/{name}") else []
        secret += lines if "BEGIN CERTIFICATE" not in read(f"{service.root}/{name}") else []
    secret += re.findall(r"[0-9A-Za-z+/=]{30,}", read(f"{machines.dir}/brought.key")) + [client.csrf]
    public = read(f"{service.root}/data/public/request") + json.dumps(client.get("/api/v1/nodes"))
    found = [s for s in secret if s and s in text and s not in public]
    cases.case(f"and none of {len(secret)} secrets: keys, codes, tokens", len(secret) > 8 and not found, found)
    entries = [(e["action"], e["outcome"]) for e in client.get("/api/v1/audit")["entries"]]
    cases.case("downloads and claims are in the audit log", ("support", "done") in entries and ("claim", "done") in entries, entries)


def main():
    cases = Cases()
    built = subprocess.run(["make", "build/gcc/tests/init/confined"], cwd=TOP, capture_output=True, text=True)
    cases.case("the wrapper is built", built.returncode == 0, built.stderr)
    with Machines(cases) as machines:
        ceremony(cases, machines)
        root = machines.at(NAME)
        for folder in ("data/admin", "run/admin", "run/init"):
            os.makedirs(f"{root}/{folder}")
        base = free_base(4)
        pins = {"own": f"{machines.dir}/own", "own_hash": certificate_make(f"{machines.dir}/own")}
        for name in ("collector", "stranger", "brought"):
            pins[f"{name}_pem"], pins[name] = pem_make(machines.dir, name, "IP:127.0.0.1")
        here = os.getcwd()
        os.chdir(root)  # paths of sockets are short
        init, node = Init("run/init/control.sock"), Node("run/node/control.sock", {"node": NAME, "error": "it starts"})
        os.chdir(here)
        service = Service(cases, machines)
        try:
            client = first(cases, machines, service, base, pins)
            killed(cases, service, base)
            client.session()  # its token is another one
            secret = pairing(cases, machines, service, base)
            syslog(cases, machines, service, init, client, base, pins)
            exposure(cases, machines, client)
            own_image(cases, machines, init, client)
            later_config(cases, machines, client, node)
            back = changed(cases, machines, service, init, base, pins, client)
            support(cases, machines, service, back, secret)
        finally:
            code = service.stop()
        cases.case("TERM: exit 0", code == 0, code)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
