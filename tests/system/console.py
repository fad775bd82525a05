#!/usr/bin/env python3
"""heraclius-console over a real pseudo-terminal, with a node and an init that are made up: alive, dead, slow, lying; windows of 80x24 and 40x10;
a paste of 100 KB at full speed, a megabyte of noise, a reader that never reads, a hang-up; each action refused and confirmed.

console.py short|long [SEED]
"""
import array
import base64
import concurrent.futures
import fcntl
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import TOP, Cases, System, is_long, seed_of  # noqa: E402

CONSOLE = f"{TOP}/build/gcc/heraclius-console"
NODE = {"node": "c0-n1", "system": "demo", "cluster": "c0", "member": 1, "members": 4, "faults": 1, "ready": True, "phase": "voting", "epoch": 0,
        "view": 7, "leader": 2, "height": 4711, "prepared_height": 4712, "executed_height": 4711, "checkpoint_height": 4096, "links_up": 5,
        "state_root": "0f" * 32, "state_root_height": 4710, "links_known": 7, "decisions": 600, "view_changes": 3, "evidence": 2,
        "attacks": {"equivocation": 2},
        "attackers": [{"attack": "equivocation", "peer": "member 3", "count": 2}], "dropped": {"malformed": 9},
        "members_seen": [{"member": i, "name": f"c0-n{i}", "up": True, "votes": True, "height": 4700 + i, "view": 7} for i in range(4)],
        "pairs": [{"cluster": "s0", "consumed": 11, "sent": 22, "acknowledged": 21, "held": 0}], "commit_us": {"p50": 2100, "p99": 9000},
        "wal": {"bytes": 3 << 20, "map_bytes": 64 << 20}, "scrub": {"found": 0, "repaired": 0}, "resident_bytes": 63 << 20,
        "memory_budget_total_bytes": 96 << 20, "clock_difference_ms": 12, "uptime_ms": 5000}
INIT = """ok
uptime_ms=3723000
stage=services
stage.disk=good
stage.config=good number 5
stage.network=good
image_version=1.4.2
slot=a
slot_state=blessed
slot_next=2
slot.1=number 7 label r7 blessed tries 0 done 0 signed
slot.2=number 8 label r8 unblessed tries 2 done 0 signed
disk=/dev/vda
disk_bytes=8589934592
disk_free=6442450944
config_number=5
net.eth0=10.0.2.15/24 up
program.node=up pid=71 restarts=0 
program.admin=up pid=72 restarts=2 ended by signal 11
"""
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def status(**changes):
    return json.dumps(dict(NODE, **changes)).encode() + b"\n"


class Fake:
    """A listener whose every connection is handled by `answer`: a function of the socket."""

    def __init__(self, path, kind, answer):
        self.answer, self.listener = answer, socket.socket(socket.AF_UNIX, kind)
        self.listener.bind(path)
        self.listener.listen(16)
        self.ended = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.ended.is_set():
            if not select.select([self.listener], [], [], 0.2)[0]:
                continue
            connection, _ = self.listener.accept()
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()
        self.listener.close()

    def one(self, connection):
        with connection:
            try:
                self.answer(connection)
            except OSError:
                pass


class Node(Fake):
    def __init__(self, folder, text=None, behave=None):
        self.text = text if text is not None else status()
        super().__init__(f"{folder}/node.sock", socket.SOCK_STREAM, behave or self.tell)

    def tell(self, connection):
        connection.recv(4096)
        connection.sendall(self.text)


class Drip(Node):
    def tell(self, connection):
        while not self.ended.wait(0.1):
            connection.sendall(b"{")


class Init(Fake):
    """Keeps every request but `status`, with the bytes of the descriptor that came with it."""

    def __init__(self, folder, text=INIT, behave=None):
        self.text, self.asked, self.answers = text, [], {}
        super().__init__(f"{folder}/init.sock", socket.SOCK_SEQPACKET, behave or self.tell)

    def tell(self, connection):
        request, ancillary, _, _ = connection.recvmsg(512, socket.CMSG_SPACE(16))
        passed = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                passed.frombytes(data[:4])
        content = None
        for fd in passed:
            with os.fdopen(fd, "rb") as f:
                content = f.read()
        request = request.decode()
        if request == "status":
            connection.send(self.text.encode("latin-1"))
            return
        self.asked.append((request, content))
        connection.send(self.answers.get(request, "ok\n").encode("latin-1"))

    def words(self):
        return [request for request, _ in self.asked]


class Console:
    def __init__(self, folder, columns=80, rows=24, env=None):
        self.master, slave = os.openpty()
        self.size(columns, rows)
        self.found = termios.tcgetattr(self.master)
        self.got = b""
        self.process = subprocess.Popen([CONSOLE, "--node", f"{folder}/node.sock", "--init", f"{folder}/init.sock", "--admin", folder],
                                        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env=env if env is not None else {"PATH": "/bin"})
        os.close(slave)

    def size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, wait):
        if not select.select([self.master], [], [], wait)[0]:
            return False
        try:
            some = os.read(self.master, 65536)
        except OSError:
            return False
        self.got += some
        return bool(some)

    def until(self, text, timeout=20, start=0):
        """What came from `start` up to `text`, or None."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            plain = self.plain()[start:]
            if text in plain:
                return plain
            self.read(0.1)
        return None

    def plain(self):
        return ESCAPES.sub(b"", self.got).replace(b"\r", b"").decode("latin-1")

    def send(self, data):
        os.write(self.master, data.encode("latin-1") if isinstance(data, str) else data)

    def do(self, line, until="> ", timeout=20):
        """Types a line; what was written from then on until `until` comes behind the line's echo."""
        start = len(self.plain())
        self.send(line + "\r")
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            rest = self.plain()[start:]
            echo = rest.find(line)
            if echo >= 0 and until in rest[echo + len(line):]:
                return rest[echo + len(line):]
            self.read(0.1)
        return ""

    def ready(self, timeout=20):
        """The prompt is the last thing that came."""
        end = time.monotonic() + timeout
        while not self.plain().endswith("> ") and time.monotonic() < end:
            self.read(0.1)

    def is_alive(self):
        return self.process.poll() is None

    def close(self):
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + 5
            while self.is_alive() and time.monotonic() < end:
                self.read(0.05)
            if self.is_alive():
                self.process.kill()
        code = self.process.wait(timeout=10)
        if self.master >= 0:
            os.close(self.master)
        return code


class Stage:
    """A folder with a node and an init; None: not there."""

    def __init__(self, node=Node, init=Init, **console):
        self.dir = tempfile.mkdtemp(prefix="console-", dir=System.parent())
        self.node = node(self.dir) if node else None
        self.init = init(self.dir) if init else None
        self.arguments = console

    def __enter__(self):
        self.console = Console(self.dir, **self.arguments)
        return self

    def __exit__(self, *_):
        self.console.close()
        for fake in (self.node, self.init):
            if fake:
                fake.ended.set()
        shutil.rmtree(self.dir, ignore_errors=True)


def fits(text, columns, rows):
    lines = text.split("\n")
    return all(len(line) < columns for line in lines) and len(lines) <= rows


def one_look(cases):
    with Stage() as s:
        look = s.console.until("c0-n1> ")
        wanted = ["WELL       yes", "c0-n1, member 1 of 4 of cluster c0, system demo", "eth0 10.0.2.15/24 up", "1.4.2, slot a", "configuration 5",
                  "voting, ready", "7 of epoch 0, led by member 2", "4711 final", "1 more of 4", "6.0 GiB left of 8.0 GiB", "63 MiB resident",
                  "admin: ended by signal 11", "01:02:03"]
        cases.case("one look says all", look and all(w in look for w in wanted), look)
        cases.case("it fits 80x24", look and fits(look, 80, 24), look)
        cases.case("its bytes are ASCII and few escapes", re.fullmatch(rb"[\x20-\x7e\r\n\x08\x07]*", ESCAPES.sub(b"", s.console.got)), s.console.got)
        views = [("links", ["member 3", "links      5 up", "eth0", "sent 22"]), ("disk", ["/dev/vda", "3.0 MiB", "64 MiB"]),
                 ("votes", ["3 votes of 4", "4703", "state root " + "0f" * 32, "height 4710"]),
                 ("evidence", ["2 files", "member 3: equivocation"]),
                 ("config", ["number", "5"]),
                 ("slots", ["slot a, blessed", "slot 1     release 7 (r7), blessed", "slot 2     release 8 (r8), untried", "next       slot 2",
                            "rollback"]),
                 ("help", ["retire", "rollback"])]
        for word, wanted in views:
            page = s.console.do(word, "c0-n1> ")
            cases.case(f"{word}", all(w in page for w in wanted) and fits(page, 80, 24), page)
        cases.case("an unknown word is said to be one", "no command nonsense" in s.console.do("nonsense", "c0-n1> "))
        cases.case("a view is found by its beginning, in any case", "7 of epoch" in s.console.do("ST", "c0-n1> ") and
                   "member 0" in s.console.do("vo", "c0-n1> ") and "retire" in s.console.do("?", "c0-n1> "))
        cases.case("an action by its whole name alone", all("no command" in s.console.do(w, "c0-n1> ") for w in ("ret", "reb", "hal", "r")) and
                   s.init.asked == [])
        cases.case("what cannot be is refused before it is asked", "no program nod; there are: node admin" in s.console.do("restart nod", "c0-n1> ")
                   and "64 digits" in s.console.do("owner zz", "c0-n1> ") and s.init.asked == [])
        cases.case("wrong words get the usage", "usage: restart NAME" in s.console.do("restart", "c0-n1> "))
        time.sleep(0.6)
        cases.case("an empty line is a look", "WELL" in s.console.do("", "last fault"))
        s.console.size(40, 10)
        s.console.process.send_signal(signal.SIGWINCH)
        cases.case("it follows a new size", fits(s.console.do("status", "(more: status all)"), 40, 10))
        for name, text in (("pairing", "12345678\n"), ("fingerprint", "ab" * 32 + "\n")):
            with open(f"{s.dir}/{name}", "w") as f:
                f.write(text)
        s.console.size(80, 24)
        s.console.process.send_signal(signal.SIGWINCH)
        look = s.console.do("status", "c0-n1> ")
        cases.case("a pairing code of the admin console is shown, with its certificate's hash",
                   "pairing    code 12345678" in look and "ab" * 32 in look and fits(look, 80, 24), look)
        with open(f"{s.dir}/pairing", "w") as f:
            f.write("\033[2Jx\n")
        look = s.console.do("status", "c0-n1> ")
        cases.case("and what is no code is not", "pairing" not in look and "WELL" in look, look)
    with Stage(columns=40, rows=10) as s:
        look = s.console.until("c0-n1> ")
        cases.case("40x10: it fits, the verdict first", look and fits(look, 40, 10) and look.startswith("WELL       yes"), look)
        whole = s.console.do("status all", "c0-n1> ")
        cases.case("40x10: status all has the rest", "last fault" in whole and all(len(line) < 40 for line in whole.split("\n")), whole)


def sick(cases):
    stuck = {"members_seen": [{"member": i, "up": True, "votes": i == 1, "height": 9, "view": 1} for i in range(4)]}
    alone = {"members_seen": [{"member": i, "up": i == 1, "height": 9, "view": 1} for i in range(4)]}
    retired = {"members_seen": [{"member": i, "name": f"c0-n{i}", "up": True, "votes": i < 3, "height": 9, "view": 1} for i in range(4)]}
    foreign = "ok\nstage.disk=cannot /dev/vda is the disk of another machine, 0f1e; if that one is off for good: adopt (console)\n"
    dead_init = "ok\nstage.disk=cannot two disks have this label\nprogram.node=failed pid=0 restarts=0 ended with 2\n"
    for name, node, init, wanted in [
            ("a node that restores", lambda f: Node(f, status(ready=False, phase="restoring")), Init,
             ["WELL NO", "phase restoring", "may fail 0 more"]),
            ("a cluster that was rolled back", lambda f: Node(f, status(ready=False, phase="rolled_back")), Init, ["whole cluster", "successor"]),
            ("a disk that was rolled back", lambda f: Node(f, status(ready=False, phase="retired", retired_by="newer_signature")), Init,
             ["retired: its disk is older than what its key signed", "give this place to a new node"]),
            ("a copied disk", lambda f: Node(f, status(ready=False, phase="retired", retired_by="other_signature")), Init,
             ["retired: its key signed something else elsewhere", "a copy of its disk"]),
            ("a key that was given up", lambda f: Node(f, status(ready=False, phase="retired", retired_by="given_up")), Init,
             ["retired: its operator gave its key up"]),
            ("a node that is retired and says no more", lambda f: Node(f, status(ready=False, phase="retired")), Init, ["its key is retired"]),
            ("another machine's disk", Node, lambda f: Init(f, foreign), ["disk:", "another machine", "adopt"]),
            ("a cluster that is stuck", lambda f: Node(f, status(**stuck)), Init,
             ["cannot decide", "1 of its 4", "not voting: member 0, member 2, member 3"]),
            ("a node that reaches nobody", lambda f: Node(f, status(**alone)), Init,
             ["may not be able to decide", "1 of its 4", "no link to member 0, member 2, member 3"]),
            ("a member that is linked and retired", lambda f: Node(f, status(**retired)), Init, ["WELL yes", "may fail 0 more", "not voting: c0-n3"]),
            ("init's complaints", Node, lambda f: Init(f, dead_init), ["disk: two disks", "node failed", "ended with 2"]),
            ("init that refuses", Node, lambda f: Init(f, "error not yours\n"), ["it says: not yours", "c0-n1"])]:
        with Stage(node, init) as s:
            look = s.console.until("c0-n1> ")
            cases.case(name, look and all(w in " ".join(look.split()) for w in wanted) and fits(look, 80, 24), look)


def dead_or_lying(cases):
    deep, long = b"[" * 60000 + b"\n", b"x" * (2 << 20)
    escapes = status(node="\x1b[2J\u00e9evil\n", phase="\x07voting")
    hostile = [
            ("no node", None, Init, "heraclius> ", ["has no socket", "10.0.2.15"]),
            ("no init", Node, None, "c0-n1> ", ["init does not answer", "voting"]),
            ("neither", None, None, "heraclius> ", ["the node does not answer", "init does not answer"]),
            ("a node that hangs", lambda f: Node(f, behave=lambda c: time.sleep(20)), Init, "heraclius> ", ["no answer in time", "10.0.2.15"]),
            ("an init that hangs", Node, lambda f: Init(f, behave=lambda c: time.sleep(20)), "c0-n1> ", ["init does not answer: no answer in time"]),
            ("a node that drips", Drip, Init, "heraclius> ", ["no answer in time"]),
            ("a node that says garbage", lambda f: Node(f, b"\x00\xff{}}{\n"), Init, "heraclius> ", ["no JSON object"]),
            ("a node that says half", lambda f: Node(f, b'{"node":"a"'), Init, "heraclius> ", ["closed the connection"]),
            ("a node that says too little", lambda f: Node(f, b'{"node":"a"}\n'), Init, "heraclius> ", ['no good "cluster"']),
            ("a node that nests", lambda f: Node(f, deep), Init, "heraclius> ", ["no JSON object"]),
            ("a node that goes on and on", lambda f: Node(f, long), Init, "heraclius> ", ["longer than 64 KiB"]),
            ("a node with escapes in its name", lambda f: Node(f, escapes), Init, "?[2J??evil?> ", ["?voting"]),
            ("an init that says garbage", Node, lambda f: Init(f, "\xff\x1b[2J"), "c0-n1> ", ["neither ok nor error"]),
            ("an init that goes on and on", Node, lambda f: Init(f, "ok\n" + "x" * 150000), "c0-n1> ", ["longer than 128 KiB"])]

    def one(case):
        name, node, init, prompt, wanted = case
        with Stage(node, init) as s:
            begun = time.monotonic()
            look = s.console.until(prompt)
            good = look and all(w in look for w in wanted) and fits(look, 80, 24) and ("WELL       NO" in look or "name" in name)
            return name, good and time.monotonic() - begun < 15, look, "completes" in s.console.do("help", prompt)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name, good, look, works in pool.map(one, hostile):
            cases.case(name, good, look)
            cases.case(f"{name}: the line still works", works)


def bombs(cases):
    """Of what is allowed the worst that JSON can become in memory: below the 32 MB that the appliance gives it (init/confine.c)."""
    for name, text in (("objects", b"{},"), ("arrays", b"[],")):
        head = b'{"node":"c0-n1","x":['
        bomb = head + text * ((65536 - len(head) - 8) // 3) + b"0]}\n"
        with Stage(lambda f: Node(f, bomb)) as s:
            look = s.console.until("heraclius> ")
            with open(f"/proc/{s.console.process.pid}/status") as file:
                peak = int(next(line for line in file if line.startswith("VmHWM")).split()[1])
            cases.case(f"a node that answers with {name} without end costs no memory", look and "no good" in look and peak < 24 << 10, (peak, look))


ACTIONS = [("reboot", "reboot sure"), ("halt", "halt sure"), ("rollback", "rollback sure"), ("retire", "retire sure"),
           ("restart node", "restart node sure"), ("owner " + "ab" * 32, "owner " + "ab" * 32 + " sure"), ("adopt", "adopt sure")]


def actions(cases):
    with Stage() as s:
        s.console.until("c0-n1> ")
        for line, request in ACTIONS:
            asked = s.console.do(line, "Type yes: ")
            voteless = line.startswith(("owner", "adopt"))
            until = "from then on" if line == "retire" else "while it is away"
            cost = "It costs no vote" if voteless else f"0 more nodes may fail {until}; now it is 1"
            cases.case(f"{line.split()[0]}: says what it costs", cost in " ".join(asked.split()), asked)
            cases.case(f"{line.split()[0]}: a no is a no", "Not done" in s.console.do("y", "c0-n1> ") and s.init.words() == [], s.init.words())
            s.console.do(line, "Type yes: ")
            done = s.console.do("yes", "c0-n1> ")
            cases.case(f"{line.split()[0]}: a yes is done", "Done" in done and s.init.words() == [request], (done, s.init.words()))
            s.init.asked.clear()
        cases.case("restart of another program costs no vote", "costs no vote" in s.console.do("restart admin", "Type yes: "))
        s.console.do("no", "c0-n1> ")
        start = len(s.console.plain())
        s.console.send("reboot\ryes\r")
        s.console.until("Type yes: ", start=start)
        time.sleep(0.5)
        while s.console.read(0.1):
            pass
        pending = s.console.plain()[start:].rstrip().endswith("Type yes:")
        cases.case("a yes that was typed ahead is none", pending and s.init.words() == [], s.console.plain()[start:])
        start = len(s.console.plain())
        s.console.send("\x03")
        cases.case("ctrl-C is a no", s.console.until("Not done", start=start) and s.init.words() == [])
        s.init.answers["halt sure"] = "error the last one\nsecond"
        s.console.do("halt", "Type yes: ")
        cases.case("a refusal is shown", "init refuses: the last one" in s.console.do("yes", "c0-n1> "))
        with open(f"{TOP}/spec/vectors/appliance.json") as f:
            good = json.load(f)["requests"][0]
        s.init.answers["request"] = "ok\n" + good["text"]
        shown = s.console.do("request", "c0-n1> ")
        cases.case("request shows the card request, and the id that its owner compares",
                   good["text"] in shown and "id    " + good["id"] in shown, shown)
        s.init.answers["request"] = "ok\n-----BEGIN HERACLIUS CARD REQUEST-----\nQUJD\n-----END HERACLIUS CARD REQUEST-----\n"
        shown = s.console.do("request", "c0-n1> ")
        cases.case("one that is none is said to be none", "QUJD\n-----END" in shown and "no card request" in shown, shown)
        s.node.text = status(members_seen=[{"member": i, "up": True, "votes": i != 3, "height": 9, "view": 1} for i in range(4)])
        asked = s.console.do("reboot", "Type yes: ")
        cases.case("it says when it costs the cluster its decisions", "costs cluster c0 its decisions" in " ".join(asked.split()), asked)


def logs(cases):
    with Stage() as s:
        s.console.until("c0-n1> ")
        s.init.answers["log node"] = "ok\n" + "".join(f"line {i} \x1b[31m\xff\x00\n" for i in range(500))
        shown = s.console.do("logs node 40", "c0-n1> ")
        lines = re.findall(r"line (\d+) \?\[31m\?\?", shown)
        cases.case("logs node 40: the newest 40, made harmless", lines == [str(i) for i in range(460, 500)], shown)
        s.init.answers["kmsg"] = "ok\n[    0.000000] Linux\n"
        cases.case("the kernel's", "0.000000] Linux" in s.console.do("logs kmsg 3", "c0-n1> "))
        s.init.answers["log init"] = "ok\n"
        cases.case("an empty log is said to be one", "(empty)" in s.console.do("logs", "c0-n1> "))
        cases.case("no such count of lines", "usage" in s.console.do("logs node 0", "c0-n1> ") and "usage" in s.console.do("logs node 4x", "c0-n1> "))
        s.init.answers["log nobody"] = "error no program nobody\n"
        s.init.answers["log node before"] = "ok\n[    1.000] of the start before\n[    2.000] and its end\n"
        shown = s.console.do("logs node before 1", "c0-n1> ")
        cases.case("what earlier starts wrote", "and its end" in shown and "of the start before" not in shown, shown)
        s.init.answers["log crash before"] = "ok\n[    0.100] Panic#1 Part1\n"
        cases.case("of the kernel, if it had crashed", "Panic#1" in s.console.do("logs kmsg before", "c0-n1> "))
        wrong = [words for words in ("after", "before 0", "before 5 5", "5 before") if "usage" not in s.console.do(f"logs node {words}", "c0-n1> ")]
        cases.case("no such word", not wrong, wrong)
        cases.case("no such log", "init refuses: no program nobody" in s.console.do("logs nobody", "c0-n1> "))


def given_up(cases):
    with Stage() as s:
        s.console.until("c0-n1> ")
        s.init.text = INIT.replace("slot=a", "slot=1").replace("unblessed tries 2 done 0", "unblessed tries 0 done 1")
        s.init.answers["log trial before 60000"] = ("ok\n[  9.000] trial of 8 waits for node, 9000 of 300000 ms counted: early\n"
                                                    "[300.000] trial of 8 waits for members, 300000 of 300000 ms counted: given up: no other: none\n"
                                                    "[  1.000] trial of 9 waits for vote, 1000 of 300000 ms counted: another image\n")
        shown = s.console.do("slots", "c0-n1> ")
        cases.case("why an image was given up: what its own trial said last", "given up   slot 2: given up: no other: none" in shown and
                   "early" not in shown and "another image" not in shown, shown)
        s.init.answers["log trial before 60000"] = "ok\n"
        cases.case("nothing is kept of it: that is said", "its trial said nothing that is kept" in s.console.do("slots", "c0-n1> "))


def editing(cases):
    with Stage() as s:
        s.console.until("c0-n1> ")
        start = len(s.console.plain())
        s.console.send("vo\t\r")
        cases.case("tab completes", s.console.until("3 votes of 4", start=start))
        start = len(s.console.plain())
        s.console.send("re\t")
        cases.case("tab lists", s.console.until("request  restart  reboot  retire", start=start), s.console.plain()[start:])
        start = len(s.console.plain())
        s.console.send("\x03")
        s.console.until("c0-n1> ", start=start)
        s.init.answers["log node"] = "ok\nfrom the node\n"
        start = len(s.console.plain())
        s.console.send("logs no\t\r")
        cases.case("programs complete", s.console.until("from the node", start=start), s.console.plain()[start:])
        s.console.ready()
        start = len(s.console.plain())
        s.console.send("\x1b[A\r")
        cases.case("up goes back", s.console.until("from the node", start=start) and s.init.words() == ["log node"] * 2, s.init.words())
        s.console.ready()
        start = len(s.console.plain())
        s.console.send("vXotes\x1b[D\x1b[D\x1b[D\x1b[D\x7f\r")
        cases.case("arrows and backspace", s.console.until("3 votes of 4", start=start), s.console.plain()[start:])
        s.console.ready()
        s.console.send("\xc3\xa9vo\xfftes\r")
        cases.case("what is no ASCII is dropped and told", s.console.until("(3 bytes that no terminal sends were dropped)"), s.console.plain()[-300:])
        start = len(s.console.plain())
        s.console.send("\x04\x04\x1a\x1c\x13help\r")
        cases.case("no key ends it or stops it", s.console.until("completes", start=start) and s.console.is_alive())
        start = len(s.console.plain())
        s.console.send("a" * 3000 + "\r")
        bounded = s.console.until("no command", start=start) and s.console.until("2800 bytes", start=start)
        cases.case("a line is bounded", bounded, s.console.plain()[-300:])


def blocks(randoms, sizes):
    out = ""
    for kind, size in sizes:
        text = base64.b64encode(randoms.randbytes(size)).decode()
        lines = [text[i:i + 64] for i in range(0, len(text), 64)]
        out += "\n".join([f"-----BEGIN HERACLIUS {kind}-----", *lines, f"-----END HERACLIUS {kind}-----", ""])
    return out


def pour(console, data, timeout=60):
    """At full speed, reading meanwhile what the console writes."""
    end = time.monotonic() + timeout
    os.set_blocking(console.master, False)
    while data and time.monotonic() < end:
        _, can, _ = select.select([], [console.master], [], 0.02)
        while console.read(0):
            pass
        try:
            data = data[os.write(console.master, data[:4096]):] if can else data
        except BlockingIOError:
            pass
    os.set_blocking(console.master, True)
    return not data


def pastes(cases, randoms):
    with Stage() as s:
        s.console.until("c0-n1> ")
        bundle = blocks(randoms, [("NODE CONFIG", 900), ("SYSTEM", 60000), ("ADDRESSES", 15000)])
        s.console.do("config paste", "not echoed")
        begun = time.monotonic()
        poured = pour(s.console, bundle.replace("\n", "\r\n").encode())
        speed = len(bundle) / (time.monotonic() - begun) / 1e6
        taken = s.console.until("in force", 30)
        cases.case(f"a paste of {len(bundle) // 1000} KB ({speed:.1f} MB/s) comes whole to init", poured and taken and
                   s.init.asked == [("config", bundle.encode())], (s.console.plain()[-500:], s.init.words()))
        s.console.ready()
        s.init.asked.clear()
        s.init.answers["config"] = "error its number 4 is not above 5\n"
        s.console.do("config paste", "not echoed")
        pour(s.console, (blocks(randoms, [("SYSTEM", 100)]) + "\n.\n").encode())
        refused = s.console.until("init refuses: its number 4 is not above 5")
        cases.case("what init says of it is shown", refused and "is in force" not in s.console.plain()[-200:])
        s.init.asked.clear()
        for name, text, said in [("a byte lost", bundle[:5000] + "#" + bundle[5001:], "neither base64"),
                                 ("text that is no block", "status\nreboot\nyes\n" + bundle, "begins no block"),
                                 ("another block's end", bundle.replace("END HERACLIUS SYSTEM", "END HERACLIUS CHAIN"), "ends another block"),
                                 ("an endless line", "-----BEGIN HERACLIUS SYSTEM-----\n" + "A" * 50000 + "\nhalt\nyes\n", "too long"),
                                 ("nothing", ".\n", "no block")]:
            s.console.ready()
            start = len(s.console.plain())
            s.console.do("config paste", "not echoed")
            pour(s.console, text.encode())
            refused = s.console.until("Not taken", 30, start)
            cases.case(f"a paste with {name} is refused whole", refused and said in refused and s.init.words() == [], (refused, s.init.words()))
        s.console.ready()
        s.console.do("config paste", "not echoed")
        s.console.send(bundle[:300] + "\x03")
        cases.case("ctrl-C gives a paste up", s.console.until("Given up") and s.init.words() == [])


def noise(cases, randoms, count):
    with Stage() as s:
        s.console.until("c0-n1> ")
        cases.case(f"{count >> 10} KB of noise are taken", pour(s.console, randoms.randbytes(count), 120), "not poured in time")
        s.console.send("\x03")
        while s.console.read(0.3):
            pass
        cases.case("after it the line works", "3 votes of 4" in s.console.do("votes", "c0-n1> "), s.console.plain()[-500:])
        asked = [word for word in s.init.words() if word.split()[:1] not in (["log"], ["kmsg"])]  # "l", tab, enter: to read does no harm
        cases.case("noise asks init for nothing that changes anything", asked == [], asked)
        cases.case("what was dropped is told", "bytes that no terminal sends" in s.console.plain())
        strange = re.findall(rb".{0,20}[^\x20-\x7e\r\n\x08\x07].{0,20}", ESCAPES.sub(b"", s.console.got))
        cases.case("nothing but ASCII came out", not strange, strange[:5])
        with open(f"/proc/{s.console.process.pid}/status", encoding="ascii") as f:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1))
        cases.case(f"its memory stays small ({peak >> 10} MiB)", peak < 24 << 10, peak)


def deaf(cases):
    with Stage() as s:
        s.console.until("c0-n1> ")
        s.init.answers["log node"] = "ok\n" + "x" * 79 + "\n" + ("y" * 79 + "\n") * 700
        for _ in range(3):
            s.console.send("logs node 1000\r")
        s.console.send("logs admin\r")
        end = time.monotonic() + 20
        while "log admin" not in s.init.words() and time.monotonic() < end:
            time.sleep(0.1)  # nobody reads what it writes
        cases.case("who reads nothing does not hold it up", s.init.words()[-1:] == ["log admin"], s.init.words())
        while s.console.read(0.3):
            pass
        cases.case("then it goes on, and says what was lost", "3 votes of 4" in s.console.do("votes", "c0-n1> ") and
                   "bytes were not shown" in s.console.plain(), s.console.plain()[-500:])


def ends(cases):
    with Stage() as s:
        s.console.until("c0-n1> ")
        os.close(s.console.master)
        s.console.master = -1
        cases.case("a hang-up ends it", s.console.process.wait(timeout=10) == 0)
    with Stage() as s:
        s.console.until("c0-n1> ")
        s.console.do("config paste", "not echoed")
        s.console.send("-----BEGIN HERACLIUS SYSTEM-----\n")
        os.close(s.console.master)
        s.console.master = -1
        cases.case("a hang-up in a paste too", s.console.process.wait(timeout=10) == 0 and s.init.words() == [])
    with Stage() as s:
        s.console.until("c0-n1> ")
        meanwhile = termios.tcgetattr(s.console.master)
        s.console.process.send_signal(signal.SIGTERM)
        code = s.console.process.wait(timeout=10)
        after = termios.tcgetattr(s.console.master)
        cases.case("TERM ends it, and the line is as it was found", code == 0 and after == s.console.found and meanwhile != after, (code, after))
    with Stage(env={"PATH": "/bin", "TERM": "no-such-terminal", "TERMINFO": "/nonexistent"}) as s:
        cases.case("it needs no terminal description", s.console.until("c0-n1> ") and "No entry" not in s.console.plain(), s.console.plain())
    with Stage() as s:
        piped = subprocess.run([CONSOLE, "--node", f"{s.dir}/node.sock", "--init", f"{s.dir}/init.sock"], input=b"votes\nlinks", timeout=30,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        cases.case("it does without a terminal", piped.returncode == 0 and b"3 votes of 4" in piped.stdout, piped.stdout)
        wrong = subprocess.run([CONSOLE, "--wrong"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=10, check=False)
        cases.case("a wrong option is refused", wrong.returncode == 2 and b"--wrong" in wrong.stderr, wrong.stderr)


def main():
    seed = seed_of(sys.argv)
    randoms = random.Random(seed)
    cases = Cases()
    one_look(cases)
    sick(cases)
    dead_or_lying(cases)
    bombs(cases)
    actions(cases)
    logs(cases)
    given_up(cases)
    editing(cases)
    pastes(cases, randoms)
    noise(cases, randoms, (16 if is_long(sys.argv) else 1) << 20)
    deaf(cases)
    ends(cases)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
