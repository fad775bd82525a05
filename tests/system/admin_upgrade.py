#!/usr/bin/env python3
"""A release by HTTPS: heraclius-admin takes it, hands it to init, which runs heraclius-slots on a boot partition. init is played here.

Both run under the appliance's filters of system calls. What is taken, each refusal by its name, roll back; heads that are refused before a byte is
read; a disk without room; an upload that ends early, is silent, comes twice, or meanwhile a flood of connections; a job that takes long while
others are served; init that is busy, dead, or says nonsense. admin_upgrade.py short|long
"""
import fcntl
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import confined  # noqa: E402
import slots  # noqa: E402
from admin_appliance import Node  # noqa: E402
from admin_console import misfit  # noqa: E402
from admin_https import ADMIN, Admin  # noqa: E402
from cluster import TOP, Cases  # noqa: E402

SILENT_S = 5
OTHERS = {"x86_64": 0xAA64, "aarch64": 0x8664}


class Init:
    """init's socket: a word of the slots' job is done by the job, with the descriptor that came as its release."""

    def __init__(self, path, machine, program):
        self.machine, self.program, self.asked, self.pause_s, self.says, self.busy, self.status = machine, program, [], 0, None, 0, ""
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening.bind(path)
        self.listening.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.listening.accept()
            with peer:
                words, fds, _, _ = socket.recv_fds(peer, 512, 4)
                try:
                    peer.sendall(self.answer(words.decode().split(), fds[0] if fds else os.open(os.devnull, os.O_RDONLY)))
                except OSError:
                    pass
                for fd in fds:
                    os.close(fd)

    def answer(self, words, release):
        if words[:3] == ["log", "trial", "before"]:
            return (b"ok\n[  300.000] trial of 102 waits for members, 300000 of 300000 ms counted: given up: no other member is reached\n"
                    b"[    9.000] trial of 90 waits for vote, 1 of 300000 ms counted: another one\n")
        if words[0] == "log":
            return b"ok\n[    1.000] trial of 102 waits for quorum, 12000 of 300000 ms counted: 0 of 3 other members are reached\n"
        if words[0] == "status":
            return b"ok\nuptime_ms=5000\nimage_version=test 1\n" + self.status.encode()
        self.asked.append(" ".join(words))
        if self.busy > 0:
            self.busy -= 1
            return b"error busy: ask again in 100 ms\n"
        if self.says is not None:
            return self.says
        time.sleep(self.pause_s)
        code, text = self.job(words[0], release)
        if code == 0:
            self.status = text
        return (b"ok\n" if code == 0 else b"error ") + text.encode()

    def job(self, word, release):
        """As init/job.c has it: the release is descriptor 3, the partition 4."""
        read, write = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (release, os.open(self.machine.esp, os.O_RDWR), write)]
        moves = [(os.POSIX_SPAWN_DUP2, high[0], 3), (os.POSIX_SPAWN_DUP2, high[1], 4), (os.POSIX_SPAWN_DUP2, high[2], 1),
                 (os.POSIX_SPAWN_DUP2, high[2], 2)] + [(os.POSIX_SPAWN_CLOSE, fd) for fd in high]
        pid = os.posix_spawn(self.program, [self.program, "--root", self.machine.root, word], os.environ, file_actions=moves)
        for fd in high + [write]:
            os.close(fd)
        with os.fdopen(read) as file:
            text = file.read()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text if text.startswith("slot=") else text.split("\n")[0]


class Session:
    """One who may do something."""

    def __init__(self, admin, role):
        self.admin, (self.cookie, self.csrf) = admin, admin.pair(role)

    def get(self, path="/api/v1/upgrade"):
        return json.loads(self.admin.https("GET", path, cookie=self.cookie)[2])

    def post(self, path, body=None):
        code, _, text = self.admin.https("POST", path, body, cookie=self.cookie, csrf=self.csrf)
        return code, json.loads(text) if text.startswith("{") else text

    def begin(self, bytes_, **headers):
        """A connection on which the head of an upload was sent."""
        connection = http.client.HTTPSConnection("test.example", self.admin.base + 1, timeout=60)
        connection.sock = self.admin.connect(timeout=60)
        connection.putrequest("POST", "/api/v1/upgrade", skip_accept_encoding=True)
        wanted = {"Content-Type": "application/octet-stream", "Content-Length": str(bytes_), "Cookie": f"__Host-heraclius={self.cookie}",
                  "X-CSRF-Token": self.csrf}
        wanted.update({name.replace("_", "-"): value for name, value in headers.items()})
        for name, value in wanted.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        return connection

    @staticmethod
    def end(connection):
        """(code, what it says) of what was begun."""
        try:
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, str(error)
        finally:
            connection.close()

    def upload(self, data, **headers):
        connection = self.begin(len(data), **headers)
        try:
            connection.send(data)
        except OSError:
            pass
        return self.end(connection)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def fits(cases, admin, seen, what):
    doc = json.loads(admin.https("GET", "/api/v1/openapi.json")[2])
    cases.case(f"{what}: as the OpenAPI file says", misfit(seen, {"$ref": "#/components/schemas/Upgrade"}, doc) is None,
               misfit(seen, {"$ref": "#/components/schemas/Upgrade"}, doc))


def heads(cases, admin, own, init, release):
    asked = len(init.asked)
    view = Session(admin, "view")
    length = len(release)
    tries = {"a stranger": (401, dict(Cookie=None)), "the role view": (403, dict(Cookie=f"__Host-heraclius={view.cookie}", X_CSRF_Token=view.csrf)),
             "no CSRF token": (403, dict(X_CSRF_Token=None)), "another origin": (403, dict(Origin="https://elsewhere.example")),
             "another type": (415, dict(Content_Type="application/json")), "no type": (415, dict(Content_Type=None)),
             "no length": (411, dict(Content_Length=None, Transfer_Encoding="chunked")), "159 bytes": (400, dict(Content_Length="159")),
             "a byte too many": (413, dict(Content_Length=str(160 + (64 << 20) + 1)))}
    codes = {}
    for name, (_, headers) in tries.items():
        codes[name] = own.end(own.begin(length, Expect="100-continue", **headers))[0]
    cases.case("what its head refuses is answered before a byte is read", codes == {name: code for name, (code, _) in tries.items()}, codes)
    code = admin.http("POST", "/api/v1/upgrade", "x" * 200, {"Content-Type": "application/octet-stream"})[0]
    cases.case("over plain HTTP: 403", code == 403, code)
    cases.case("nothing of that reached init, or is under way", len(init.asked) == asked and own.get()["upload"] is None, init.asked)


def refusals(cases, own, init, paths, machine):
    before = read(machine.esp)
    good = read(paths["101"])
    wanted = {"a stranger's": (read(paths["stranger"]), "signature-invalid"), "the one that runs": (read(paths["100"]), "serial"),
              "another kind of machine's": (read(paths["other"]), "foreign"), "cut short": (good[:-1], "truncated"),
              "too long": (good + b"x", "too-large"), "no release": (b"x" * 5000, "format-unknown")}
    for name, (data, error) in wanted.items():
        code, said = own.upload(data)
        cases.case(f"{name}: {error}", code == 422 and said["name"] == error and said["error"] and error not in said["error"], (code, said))
    cases.case("none of them changed a byte of the boot partition", read(machine.esp) == before)
    code, said = own.upload(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
    cases.case("damaged on the way: id-mismatch, and no name appears", code == 422 and said["name"] == "id-mismatch" and
               machine.names() == ["heraclius-1.efi"], (code, said, machine.names()))
    code, said = own.post("/api/v1/actions/rollback", {"sure": True})
    cases.case("nothing to go back to: field-missing", code == 422 and said["name"] == "field-missing", (code, said))
    code, said = own.post("/api/v1/actions/rollback", {})
    cases.case("a roll back that is not sure: 400, and what it costs", code == 400 and "one node less" in said["error"], (code, said))
    last = own.get()["last"]
    cases.case("the last refusal is told", last["action"] == "rollback" and last["outcome"] == "refused" and last["name"] == "field-missing", last)
    says, init.says = init.says, b"error nonsense: x\n"
    code, said = own.upload(good)
    cases.case("a failure that is none of the specification's: 502", code == 502 and said == {"error": "nonsense: x"}, (code, said))
    init.says = says


def taken(cases, admin, own, init, paths, machine, node):
    node.status = {"node": "n1", "phase": "observing", "member": 16, "members": 4, "faults": 1, "checkpoint_height": 640, "height": 650,
                   "members_seen": [{"member": 0, "up": True}]}
    init.busy = 2
    code, said = own.upload(read(paths["101"]))
    good = code == 200 and (said["number"], said["label"], said["slot"], said["audited"]) == (101, "0.101", 2, True) and "restart" in said["text"]
    cases.case("the owner's is taken, though init was busy at first: number, label, slot", good, (code, said))
    cases.case("it lies there byte for byte, with two tries", machine.names()[:2] == ["heraclius-1.efi", "heraclius-2+2.efi"] and
               machine.content("heraclius-2+2.efi") == read(paths["101"])[160:], machine.names())
    cases.case("and beside it what the node was when it was taken", machine.content("slot2.was") == b"heraclius-was 1 101 observing 640 1\n",
               machine.content("slot2.was"))
    seen = own.get()
    good = seen["running"] == {"slot": 1, "number": 100, "label": "0.100", "state": "blessed", "signed": False} and seen["next"] == 2
    good = good and seen["other"]["state"] == "untried" and seen["other"]["number"] == 101 and seen["other"]["tries_left"] == 2
    good = good and seen["last"]["outcome"] == "taken" and seen["node"]["phase"] == "observing" and seen["trial"] is None
    cases.case("GET tells of it: what runs, what is next", good, seen)
    fits(cases, admin, seen, "an upgrade that was taken")
    cases.case("nothing stays in the state folder", not os.path.exists(f"{admin.state}/upload") and init.asked.count("upgrade") > 7)
    entries = [(e["action"], e["outcome"]) for e in own.get("/api/v1/audit")["entries"]]
    wanted = [("upgrade", w) for w in ("begun", "refused", "failed", "done")] + [("rollback", "begun"), ("rollback", "refused")]
    cases.case("all of it is in the audit log", all(w in entries for w in wanted), entries)


def resident(admin):
    with open(f"/proc/{admin.process.pid}/status") as file:
        return int([line for line in file if line.startswith("RssAnon")][0].split()[1])


def under_way(cases, admin, own, init, paths):
    release = read(paths["102"])
    before = resident(admin)
    connection = own.begin(len(release))
    connection.send(release[:len(release) // 2])
    half = Admin.wait(lambda: (own.get()["upload"] or {}).get("bytes") == len(release) // 2 and own.get()["upload"])
    cases.case("an upload that is under way is told of", half and half["state"] == "receiving" and half["of_bytes"] == len(release), half)
    code, said = own.end(own.begin(len(release), Expect="100-continue"))
    cases.case("one at a time: 409 for another", code == 409, (code, said))
    cases.case("and for a roll back", own.post("/api/v1/actions/rollback", {"sure": True})[0] == 409)
    flood = []
    for _ in range(260):
        try:
            flood.append(socket.create_connection(("127.0.0.1", admin.base + 1), timeout=5))
        except OSError:
            break
    connection.send(release[len(release) // 2:-1])
    for one in flood:
        one.close()
    init.pause_s = 3
    connection.send(release[-1:])
    told = Admin.wait(lambda: (own.get()["upload"] or {}).get("state") == "checking" and own.get(), 30)
    began = time.monotonic()
    served = told and admin.https("GET", "/livez")[0] == 200 and own.get("/api/v1/audit")["entries"]
    cases.case("while the job runs everybody else is served", served and time.monotonic() - began < 3, (told, time.monotonic() - began))
    fits(cases, admin, told, "an upgrade that is being checked")
    code, said = own.end(connection)
    init.pause_s = 0
    cases.case(f"a flood of {len(flood)} connections does not end an upload", code == 200 and said["number"] == 102, (code, said))
    grown = resident(admin) - before
    cases.case(f"{len(release) >> 20} MiB cost {grown} KiB of the program's memory", grown < 6144, grown)


class SmallDisk(Admin):
    """Its state lies on a disk of some megabytes, which nobody else sees."""

    def __init__(self, folder, megabytes, *words):
        program = f"{folder}/small-disk"
        with open(program, "w") as file:
            file.write(f"#!/bin/sh\nexec unshare {'' if os.getuid() == 0 else '--map-root-user '}--mount sh -c '"
                       f"mount -t tmpfs -o size={megabytes}m,mode=700 none \"$0\" && exec {ADMIN} \"$@\"' {folder}/small \"$@\"\n")
        os.chmod(program, 0o755)
        super().__init__(folder, ["root/run/node/control.sock"], f"{folder}/small", ["--init", "init.sock"], program)
        self.state = f"/proc/{self.process.pid}/root{folder}/small"


def no_room(cases, folder, init, paths):
    admin = SmallDisk(folder, 80)
    try:
        own, asked, release = Session(admin, "own"), len(init.asked), read(paths["101"])
        code, said = own.end(own.begin(len(read(paths["102"])), Expect="100-continue"))
        cases.case("20 MiB where the node would be left less than 64: 507", code == 507 and "64 MiB left for the node" in said["error"], (code, said))
        cases.case("nothing is kept of it, and init was asked nothing", own.get()["upload"] is None and len(init.asked) == asked and
                   not os.path.exists(f"{admin.state}/upload"), init.asked[asked:])
        code, said = own.upload(release)
        cases.case("3 MiB, for which there is room, are taken", code == 200 and said["number"] == 101, (code, said))
        code, said = own.upload(release)
        cases.case("and again: the first ones are gone from that disk", code == 200, (code, said))
    finally:
        code = admin.stop()
    cases.case("TERM: exit 0", code == 0, code)


def broken(cases, admin, own, init, paths):
    release, asked = read(paths["102"]), len(init.asked)
    connection = own.begin(len(release))
    connection.send(release[:100000])
    connection.sock.close()
    gone = Admin.wait(lambda: own.get()["upload"] is None)
    told = own.get()["last"]
    cases.case("an upload that ends early leaves nothing, and is told of", gone and told["outcome"] == "refused" and
               told["text"].startswith("broken off after 100000 of ") and not os.path.exists(f"{admin.state}/upload"), told)
    connection = own.begin(len(release))
    connection.send(release[:1000])
    began = time.monotonic()
    gone = Admin.wait(lambda: own.get()["upload"] is None, 60)
    cases.case("one that is silent is ended", gone and time.monotonic() - began >= SILENT_S - 1, time.monotonic() - began)
    connection.close()
    cases.case("init was asked nothing", len(init.asked) == asked, init.asked[asked:])
    code, said = own.upload(release)
    cases.case("and the next one is taken", code == 200, (code, said))


def rollback(cases, admin, own, init, machine):
    machine.starts("heraclius-2+2.efi", 102)
    init.status = init.job("status", os.open(os.devnull, os.O_RDONLY))[1]
    seen = own.get()
    good = seen["architecture"] == {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    cases.case("GET says the machine's architecture", good, seen)
    good = seen["running"]["state"] == "trial" and seen["running"]["number"] == 102 and seen["number"] == 102
    good = good and seen["trial"] == {"waits_for": "quorum", "text": "0 of 3 other members are reached", "counted_ms": 12000, "limit_ms": 300000}
    cases.case("an image on trial: what it waits for, and how long it may", good, seen)
    fits(cases, admin, seen, "an image on trial")
    code, said = own.upload(b"x" * 500)
    cases.case("it takes no release: order", code == 422 and said["name"] == "order", (code, said))
    code, said = own.post("/api/v1/actions/rollback", {"sure": True})
    cases.case("a roll back is done", code == 200 and said == {"done": "rollback sure", "audited": True} and init.asked[-1] == "rollback sure",
               (code, said))
    machine.starts("heraclius-1.efi", 100)
    init.status = init.job("status", os.open(os.devnull, os.O_RDONLY))[1]
    seen = own.get()
    cases.case("then the other one was given up, and it is said", seen["running"]["number"] == 100 and seen["other"]["state"] == "given-up" and
               seen["next"] == 1, seen)
    cases.case("and why, by the last line of its own trial in an earlier start", seen["other"]["text"] ==
               "was on trial, which said last: given up: no other member is reached", seen["other"])
    fits(cases, admin, seen, "an image that was given up")
    tells = "slot=1\nslot_state=blessed\nimage_number={0}\nslot_next=2\nslot.1=number {0} label r blessed tries 0 done 0 signed\n" \
            "slot.2=number {1} label s unblessed tries 2 done 0 signed\n"
    for what, high, told in (("a number of 19 digits, as of a clock that counts nanoseconds, is told", 2**63 - 1, 2**63 - 1),
                             ("one of 20 digits, which JSON's integers do not reach, is told as 0, and the slot is there", 2**64 - 7, 0)):
        init.status = tells.format(1764230000000000000, high)
        seen = own.get()
        slots_seen = [(slot or {}).get(name) for slot in (seen["running"], seen["other"]) for name in ("number", "state")]
        cases.case(what, seen["number"] == 1764230000000000000 and slots_seen == [1764230000000000000, "blessed", told, "untried"], seen)
    init.status = ""
    seen = own.get()
    cases.case("a machine without slots says why", seen["running"] is None and seen["other"] is None and "boot partition" in seen["why"], seen)
    init.listening.close()


def releases(cases, folder):
    return {"100": slots.release_make(cases, folder, 100), "101": slots.release_make(cases, folder, 101),
            "102": slots.release_make(cases, folder, 102, megabytes=20), "stranger": slots.release_make(cases, folder, 103, key="stranger"),
            "other": slots.release_make(cases, folder, 104, machine=OTHERS[os.uname().machine])}


def main():
    cases = Cases()
    folder = tempfile.mkdtemp(prefix="admin-upgrade-", dir=os.environ.get("TMPDIR"))
    built = subprocess.run(["make", "build/gcc/tests/init/confined"], cwd=TOP, capture_output=True, text=True)
    cases.case("the wrapper is built", built.returncode == 0, built.stderr)
    here = os.getcwd()
    try:
        machine = slots.Machine(folder, slots.owners(cases, folder)[0], cases)
        machine.starts("heraclius-1.efi", 100)
        machine.put("data/public/admin.conf", "heraclius-admin 1\nnode n1\n")
        os.makedirs(f"{machine.root}/run/node")
        paths = releases(cases, folder)
        os.chdir(folder)  # paths of sockets are short
        node = Node("root/run/node/control.sock", {"error": "it starts"})
        init = Init("init.sock", machine, confined.wrapped(folder, "slots", f"{TOP}/{slots.SLOTS}"))
        os.chdir(here)
        init.status = init.job("status", os.open(os.devnull, os.O_RDONLY))[1]
        admin = Admin(folder, ["root/run/node/control.sock"], f"{folder}/state", ["--init", "init.sock"],
                      confined.wrapped(folder, "admin", ADMIN))
        try:
            own = Session(admin, "own")
            heads(cases, admin, own, init, read(paths["101"]))
            refusals(cases, own, init, paths, machine)
            taken(cases, admin, own, init, paths, machine, node)
            no_room(cases, folder, init, paths)
            under_way(cases, admin, own, init, paths)
            broken(cases, admin, own, init, paths)
            rollback(cases, admin, own, init, machine)
        finally:
            code = admin.stop()
        cases.case("TERM: exit 0", code == 0, code)
    finally:
        os.chdir(here)
        if os.environ.get("KEEP"):
            print(f"its folder: {folder}")
        else:
            shutil.rmtree(folder)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
