#!/usr/bin/env python3
"""From a liar to its conviction without a look at any disk: honest nodes keep evidence, the admin console lists it and hands it out, and
`heraclius evidence verify` convicts by what came. And what is not handed out, by the console or by nodes that lie to it. evidence.py short|long
"""
import hashlib
import http.client
import json
import os
import re
import random
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from admin_https import Admin  # noqa: E402
from cluster import Cases  # noqa: E402
from lying import build, lying_system  # noqa: E402

LIAR = "s0-n0"
LIST = "/api/v1/evidence"
PIECE = 24 << 10


def fetch(admin, path, cookie, method="GET"):
    """(status, headers, bytes); "broken off": it ended before its length."""
    connection = http.client.HTTPSConnection("test.example", admin.base + 1, timeout=30)
    try:
        connection.sock = admin.connect()
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Cookie", f"__Host-heraclius={cookie}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    except http.client.IncompleteRead:
        return "broken off", {}, b""
    except (OSError, http.client.HTTPException) as error:
        return 0, {}, str(error).encode()
    finally:
        connection.close()


def place(node, file):
    return f"{LIST}/file?node={node}&file={file}"


def listed(admin, cookie):
    """node -> {file: where it is}, or None."""
    code, _, text = fetch(admin, LIST, cookie)
    assert code == 200, (code, text)
    return {n["node"]: None if n["files"] is None else {f["file"]: place(n["node"], f["file"]) for f in n["files"]}
            for n in json.loads(text)["nodes"]}


def kept(cases, admin, system, cookie):
    """Until an honest node says that it has evidence; its files."""
    until = time.monotonic() + 60
    turn, of_liar, seen = 0, [], {}
    while not of_liar and time.monotonic() < until:
        system.client("put", f"k{turn % 5}", turn, "--timeout", 10)
        seen = listed(admin, cookie)
        of_liar = [(n, f, p) for n, files in seen.items() if n != LIAR for f, p in (files or {}).items() if "-s0-member0-" in f]
        turn += 1
    cases.case("honest nodes keep evidence of the liar, and the console lists it", of_liar, seen)
    metrics = admin.http("GET", "/metrics")[2]
    told = of_liar and re.search(rf'^heraclius_evidence_files{{node="{of_liar[0][0]}"}} ([0-9]+)$', metrics, re.M)
    cases.case("the metrics say how many files lie there", told and int(told[1]) >= 1, told)
    return of_liar


def conviction(cases, admin, system, cookies, files):
    """cookies: by role."""
    node, name, path = files[0]
    codes = (fetch(admin, path, cookies["view"])[0], fetch(admin, path, "0" * 64)[0], admin.http("GET", path)[0], admin.http("GET", LIST)[0])
    cases.case("view and loopback see names alone, a stranger not even them", codes == (403, 401, 403, 200) and
               fetch(admin, LIST, "0" * 64)[0] == 401, codes)
    wrong, convicted = [], set()
    for node, name, path in files:
        code, headers, data = fetch(admin, path, cookies["operate"])
        with open(f"{system.root}/{node}/data/evidence/{name}", "rb") as f:
            good = code == 200 and data == f.read()
        good = good and headers["content-type"] == "application/octet-stream" and headers["content-length"] == str(len(data))
        if not good or headers["content-disposition"] != f'attachment; filename="{name}"':
            wrong.append((code, headers, len(data)))
        with open(f"{system.dir}/{name}", "wb") as f:
            f.write(data)
        done = system.client("evidence", "verify", "-s", f"{system.root}/system.json", "--json", f"{system.dir}/{name}")
        said = json.loads(done.stdout or "{}")
        convicted.add((said.get("name"), said.get("convicts")))
    cases.case("operate downloads each file as the node keeps it, under its name", not wrong, wrong)
    cases.case(f"and heraclius evidence verify convicts {LIAR} by it", convicted == {(LIAR, True)}, convicted)
    code, headers, data = fetch(admin, path, cookies["own"], "HEAD")
    cases.case("HEAD tells its length alone", code == 200 and int(headers["content-length"]) > 0 and data == b"", (code, headers))
    lines = json.loads(fetch(admin, "/api/v1/audit", cookies["view"])[2])["entries"]
    told = {e["detail"] for e in lines if e["action"] == "evidence" and e["outcome"] == "done" and e["who"].startswith("session ")}
    cases.case("each download stands in the audit log", told == {f"{n}: {f}" for n, f, _ in files}, told)


def sizes(cases, admin, system, cookie, rng):
    """As many pieces as it takes: files that are put there by hand."""
    wrong = []
    for bytes_ in (1, PIECE - 1, PIECE, PIECE + 1, 9_000_001):
        data = rng.randbytes(bytes_)
        with open(f"{system.root}/s0-n1/data/evidence/by-hand", "wb") as f:
            f.write(data)
        code, headers, got = fetch(admin, place("s0-n1", "by-hand"), cookie)
        if code != 200 or headers["content-length"] != str(bytes_) or hashlib.sha256(got).digest() != hashlib.sha256(data).digest():
            wrong.append((bytes_, code, headers, len(got)))
    cases.case("files of 1 byte to 9 MB come whole", not wrong, wrong)


def not_handed_out(cases, admin, system, cookie):
    folder = f"{system.root}/s0-n1/data/evidence"
    os.symlink("../../node.key", f"{folder}/link")
    os.mkfifo(f"{folder}/pipe")
    os.mkdir(f"{folder}/inner")
    for name in (".hidden", "half.evidence.new", "inner/deep"):
        with open(f"{folder}/{name}", "w") as f:
            f.write("x")
    none = ["link", "pipe", "inner", "none", "n" * 128]
    bad = ["inner/deep", ".hidden", "half.evidence.new", "..", ".", "", "../../node.key", "..%2f..%2fnode.key", "%2e%2e%2f%2e%2e%2fnode.key",
           "/etc/passwd", "%2fetc%2fpasswd", "by-hand/", "by-hand%22%2c%22ask%22%3a%22decide", "by-hand%0d%0ax", "n" * 129, "n" * 4000, "by%20hand",
           "%ff"]
    codes = {n: fetch(admin, place("s0-n1", n), cookie)[0] for n in none + bad}
    cases.case("what is no file of evidence: 404; what is no name of one: 400", codes == {n: 404 if n in none else 400 for n in codes}, codes)
    codes = {p: fetch(admin, p, cookie)[0] for p in (f"{LIST}/file", place("s0-n9", "by-hand"), place("S0-N1", "by-hand"), place("", "by-hand"),
                                                     f"{LIST}/file?file=by-hand", f"{LIST}/file?node=s0-n1")}
    cases.case("nor of another node, or of none", set(codes.values()) == {404, 400} and codes[place("", "by-hand")] == 404, codes)
    seen = set(listed(admin, cookie)["s0-n1"])
    cases.case("nor is any of these listed", "by-hand" in seen and not seen & set(none + bad), seen)
    system.kill("s0-n1")
    seen, code = listed(admin, cookie), fetch(admin, place("s0-n1", "by-hand"), cookie)[0]
    cases.case("of a node that is down nothing is known: null, and 404", code == 404 and seen["s0-n1"] is None, (code, seen))


class Lying:
    """A node's control socket that answers by `pieces`: file -> what is said at an offset."""

    FILES = [{"file": f, "bytes": b} for f, b in (("grows", 3 * PIECE), ("ends", 3 * PIECE), ("goes", 3 * PIECE), ("huge", 1 << 62), ("long", 4),
                                                  ("other", 4), ("less", -1), ("../../up", 4), ("a\"b", 4), ("<b>", 4), (7, 4), ("", 4))] + [5, None]

    def __init__(self, path):
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        self.listening.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def piece(name, offset):
        data, bytes_ = b"x" * PIECE, 3 * PIECE
        if offset > 0 and name == "goes":
            return {"error": "gone"}
        if offset > 0 and name == "ends":
            data = b""
        if offset > 0 and name == "grows":
            bytes_ += 1
        if name == "huge":
            bytes_ = 1 << 62
        if name == "long":
            data, bytes_ = data + data, 2 * PIECE
        said = {"file": name, "bytes": bytes_, "from": offset, "hex": data.hex()}
        if name == "other":
            said["from"] += 1
        if name == "none":
            said["hex"] = "xx"
        if name == "odd":
            said["hex"] += "0"
        if name == "less":
            said["bytes"] = -1
        if name == "text":
            said["bytes"] = "3"
        return said

    def serve(self):
        while True:
            peer, _ = self.listening.accept()
            with peer:
                asked = json.loads(peer.recv(4096))
                answer = {"node": "s0-n1", "ready": True}
                if asked["ask"] == "evidence":
                    answer = self.piece(asked["file"], asked["from"]) if "file" in asked else {"evidence": self.FILES}
                peer.sendall(json.dumps(answer).encode() + b"\n")


def lying_to_the_console(cases, system):
    here = os.getcwd()
    os.chdir(system.root)
    Lying("lying.sock")
    os.chdir(here)
    admin = Admin(system.root, ["liar=lying.sock"], f"{system.dir}/lying-state")
    try:
        cookie = admin.pair("operate")[0]
        seen = sorted(listed(admin, cookie)["liar"])
        wanted = ["ends", "goes", "grows", "huge", "long", "other"]
        cases.case("of what a lying node lists, names and lengths that can be are shown", seen == wanted, seen)
        codes = {f: fetch(admin, place("liar", f), cookie)[0]
                 for f in ("grows", "ends", "goes", "huge", "long", "other", "none", "odd", "less", "text")}
        wanted = {f: "broken off" if f in ("grows", "ends", "goes") else 404 for f in codes}
        cases.case("pieces that do not fit break the transfer off, or never begin one", codes == wanted, codes)
        cases.case("which hurts nobody", admin.https("GET", "/livez")[0] == 200 and admin.stop() == 0)
    finally:
        if admin.process.poll() is None:
            admin.process.send_signal(signal.SIGKILL)


def main():
    cases, rng = Cases(), random.Random(7)
    build()
    with lying_system({LIAR: "equivocate"}) as system:
        system.start_all()
        if not cases.case("eight nodes answer, one of them a liar", system.wait_ready()):
            return cases.end()
        admin = Admin(system.root, [f"{n}/control.sock" for n in system.names], f"{system.dir}/state")
        try:
            cookies = {role: admin.pair(role)[0] for role in ("view", "operate", "own")}
            files = kept(cases, admin, system, cookies["view"])
            if files:
                conviction(cases, admin, system, cookies, files)
                os.makedirs(f"{system.root}/s0-n1/data/evidence", exist_ok=True)
                sizes(cases, admin, system, cookies["operate"], rng)
                not_handed_out(cases, admin, system, cookies["operate"])
            lying_to_the_console(cases, system)
        finally:
            if admin.process.poll() is None:
                admin.process.send_signal(signal.SIGKILL)
    return cases.end()


sys.exit(main())
