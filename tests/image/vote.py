#!/usr/bin/env python3
"""The whole appliance, booted to a vote: init, heraclius-setup, heraclius-console, heraclius-admin and heracliusd in one virtual machine, with
Debian's kernel, as the fourth member of a shard whose other three run here, beside a coordinator cluster.

The machine makes its keys at its first start, its owner makes a card of what its serial console shows, signs its configuration, and that comes by
fw_cfg at the second. One of the other three is killed: what is answered then has the machine's vote in it. Its state root is the others'. No program
was refused a system call. It is halted at the console. vote.py short|long
"""
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TOP, "image"), os.path.join(TOP, "tests/system")]
from cluster import Cases, System, free_base  # noqa: E402
from steps import operator, vm  # noqa: E402

PLACES = [f"{cluster}-n{i}" for cluster in ("c0", "s0") for i in range(4)]
MACHINE = "s0-n3"
MEMORY_MB = 128  # what a node may take of a host (issue 4)
BOOT_S = 90
CLONE3 = "syscall=435 "  # glibc asks once and goes on with clone


class Beside(System):
    """Seven nodes as processes here; the eighth place is the machine's."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="vote-", dir=self.parent())
        self.root, self.out = f"{self.dir}/s", f"{self.dir}/image"
        self.env, self.node_env, self.programs, self.live = {}, {}, {}, {}
        self.names = [place for place in PLACES if place != MACHINE]
        self.base = free_base(len(PLACES) + 1)
        self.admin = self.base + len(PLACES)
        self.owner = operator.Owner(self.root)
        self.disk = vm.blank(self.dir, 1024)

    def port(self, place):
        return self.base + PLACES.index(place)

    def machine(self, *extra):
        lan = vm.user_network([(self.port(MACHINE), self.port(MACHINE)), (self.admin, 8443)], reaches_host=True)
        return vm.Machine(f"{self.dir}/machine", vm.direct(self.out, "amd64"), [vm.drive("data", self.disk), vm.network(0, lan), *extra], MEMORY_MB)

    def assemble(self, name):
        """Files of the seven, and the machine's configuration; `name` is what the machine calls itself."""
        called = {place: name if place == MACHINE else place for place in PLACES}
        for place in self.names:
            operator.command("node", "enroll", "--name", place, "--out", f"{self.root}/{place}")
            shutil.copy(f"{self.root}/{place}/{place}.card", self.root)
        system_id = self.owner.assemble(PLACES[:4], PLACES[4:], ("table_keys_max=1000000", "table_bytes_max=268435456"))
        here = self.owner.addresses("addresses.json", system_id, {called[p]: f"127.0.0.1:{self.port(p)}" for p in PLACES})
        there = self.owner.addresses("machine.json", system_id, {called[p]: f"10.0.2.{15 if p == MACHINE else 2}:{self.port(p)}" for p in PLACES})
        for place in self.names:
            operator.command("system", "init", "--system", f"{self.root}/system.json", "--addresses", here, "--node-key",
                             f"{self.root}/{place}/{place}.key", "--data", f"{self.root}/{place}")
        return self.owner.configure(MACHINE, name, there, ["net.0.address=10.0.2.15/24", "admin.listen=10.0.2.15:8443"])


def first_boot(cases, system):
    """Its keys; the configuration that its owner signed; seconds to the console."""
    with system.machine() as machine:
        console = operator.Console(machine)
        look = console.ready(BOOT_S)
        seconds = machine.seconds()
        for _ in range(30):  # a busy host: the stages take longer than the console waits for them
            if "card request" in look:
                break
            look = console.do("status")
        cases.case("the console comes up and says what the machine lacks", "WELL       NO" in look and "card request" in look, look)
        name = system.owner.approve(console.request(), MACHINE)
        cases.case("it made its keys, and its owner a card of its request", name.startswith("node-"), name)
        config = system.assemble(name)
        cost = console.confirmed("halt")
        cases.case("halted, having said what it costs", "stays down" in cost and machine.ended(60), machine.last(600))
    return config, seconds


def until_it_votes(console, seconds):
    """When it votes, since power-on."""
    end = time.monotonic() + seconds
    while not console.is_voting():
        if time.monotonic() > end:
            return None
        time.sleep(0.2)
    return console.machine.seconds()


def answered(system, key, value):
    put = system.client("put", key, value, "--timeout", 30, timeout=60)
    got = system.client("get", key, "--timeout", 30, timeout=60)
    return (put.returncode, got.stdout) == (0, value + "\n"), f"{put} {got}"


def needed(cases, system):
    """Three of four must vote: with one of them dead, the machine's vote is one of those."""
    before = system.ask("s0-n0")["height"]
    system.kill("s0-n2")
    good, text = answered(system, "with", "its-vote")
    cases.case("with one of the others dead a put and a get are answered, with proof", good, text)
    end = time.monotonic() + 20  # a node tells its height now and then, and others may be ahead of it
    while system.ask("s0-n0")["height"] <= before and time.monotonic() < end:
        time.sleep(0.2)
    cases.case("by decisions of its cluster, which need its vote", system.ask("s0-n0")["height"] > before, system.states("s0"))
    system.start("s0-n2")


def same_state(cases, system, console):
    """(height, root)"""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        here = system.wait_equal("s0", 30)
        there = console.root()
        if here and there == (here[1], here[2]):
            break
    cases.case("its state root is that of the others", here and there == (here[1], here[2]), f"{there}, {system.states('s0')}")
    return there


def calls(cases, console):
    """Only what is looked for can be missing: the one call that is meant to be refused stands in the kernel's log."""
    said = [line for line in console.do("logs kmsg 5000").split("\n") if "type=1326" in line]
    others = [line for line in said if CLONE3 not in line]
    cases.case("no program was refused a system call that it needs", said and not others, "\n".join(others[:10]) or "nothing of it in the log")


def administered(cases, system, console):
    """The admin console on the network, by the certificate and the code that the serial console shows."""
    shown = console.view("config").get("admin TLS", "")
    got = ssl.get_server_certificate(("127.0.0.1", system.admin), timeout=60)
    own = hashlib.sha256(ssl.PEM_cert_to_DER_cert(got)).hexdigest()
    cases.case("the admin console has the certificate whose hash the serial console shows", shown == own, (shown, own))
    context = ssl.create_default_context(cadata=got)
    context.check_hostname = False

    def ask(method, path, body=None, headers=()):
        connection = http.client.HTTPSConnection("127.0.0.1", system.admin, timeout=60, context=context)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, answer.headers.get("set-cookie", "")
    asked = ask("POST", "/api/v1/pairing")
    code = re.search(r"code (\d{10})", console.view("status all").get("pairing", ""))
    cases.case("it has a pairing code shown on the serial console", code, (asked, console.do("logs admin")))
    status, text, cookie = ask("POST", "/api/v1/session", {"code": code.group(1) if code else ""})
    session = {"Cookie": cookie.partition(";")[0]}
    nodes, exposure = ask("GET", "/api/v1/nodes", headers=session), ask("GET", "/api/v1/exposure", headers=session)
    cases.case("paired, it shows the node that votes here", status == 201 and '"phase":"voting"' in nodes[1], (status, text, nodes))
    cases.case("and, by the system file, what its members may share",
               '"cluster":"s0"' in exposure[1] and '"silent":["s0-n0"' in exposure[1], exposure)
    bundle = ask("GET", "/api/v1/support", headers=session)
    logs = json.loads(bundle[1])["machine"]["logs"] if bundle[0] == 200 else {}
    cases.case("the support bundle has the programs' logs, and no code", logs.get("node") and logs.get("kernel") and code.group(1) not in bundle[1],
               bundle[1][:500])


def second_boot(cases, system, config):
    with system.machine(vm.configuration(config)) as machine:
        console = operator.Console(machine)
        console.ready(BOOT_S)
        voting = until_it_votes(console, BOOT_S)
        if not cases.case("configured by fw_cfg, it votes", voting,
                          f"{console.do('status all')} {console.do('logs node 20')} {console.do('logs init 20')}"):
            return None
        needed(cases, system)
        root = same_state(cases, system, console)
        look, until = console.view("status all"), time.monotonic() + BOOT_S
        while look.get("WELL") != "yes" and time.monotonic() < until:  # it has to hear of the others' votes first
            time.sleep(0.5)
            look = console.view("status all")
        cases.case("the console says that it is well", look.get("WELL") == "yes", look)
        administered(cases, system, console)
        calls(cases, console)
        console.confirmed("halt")
        cases.case("it goes down in order", machine.ended(60) and b"halted" in machine.text, machine.last(600))
    good, text = answered(system, "without", "it")
    cases.case("and its cluster goes on without it", good, text)
    return voting, root, look.get("memory", "?")


def run(cases, system):
    size = operator.image(system.out, system.owner.public)
    config, console_s = first_boot(cases, system)
    check = subprocess.run(["/usr/sbin/e2fsck", "-fn", system.disk], capture_output=True, text=True)
    cases.case("its disk is clean", check.returncode == 0, check.stdout + check.stderr)
    system.start_all()
    if not cases.case("the other seven answer without it", system.wait_ready(60), system.states("s0")):
        return
    if seen := second_boot(cases, system, config):
        voting, (height, root), memory = seen
        print(f"vote: {size:.1f} MB of kernel and initrd; first power-on to a console {console_s:.1f} s; power-on to ready to vote {voting:.1f} s, "
              f"in a guest of {MEMORY_MB} MB (node: {memory}); height {height}, root {root[:16]}, equal at four of four")


def with_system(run, made):
    """A test: run(cases, system) in a system that `made` gives; its exit code."""
    cases = Cases()
    subprocess.run(["make", "-s", "product-gcc", "heraclius"], cwd=TOP, check=True)
    with made() as system:
        try:
            run(cases, system)
        except (vm.Failed, operator.Refused) as fault:
            cases.case("the machine and its owner go on", False, fault)
    return cases.end()


if __name__ == "__main__":
    sys.exit(with_system(run, Beside))
