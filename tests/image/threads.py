"""A guest with eight CPUs chooses the split thread map: each thread of its node on a CPU of its own, as /status of its admin console shows; its state
root is that of the nodes beside it, which have the fused one. `make split-map` runs it (no execute bit: an emulated machine of eight CPUs is too much
for make test)."""
import hashlib
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vote  # noqa: E402
from steps import operator, vm  # noqa: E402

CPUS, MEMORY_MB, ADMIN_PORT, LIMIT_S = 8, 384, 8443, 240


class Wide(vote.Beside):
    """The eighth place is that of a machine with eight CPUs, whose admin console lets this test look."""

    def __init__(self):
        super().__init__()
        self.cert, self.key = f"{self.dir}/look.pem", f"{self.dir}/look.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=look", "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)
        self.admin_port = vote.free_base(1)

    def machine(self, *extra):
        lan = vm.user_network([(self.port(vote.MACHINE), self.port(vote.MACHINE)), (self.admin_port, ADMIN_PORT)], reaches_host=True)
        return vm.Machine(f"{self.dir}/machine", vm.direct(self.out, "amd64"), [vm.drive("data", self.disk), vm.network(0, lan), *extra], MEMORY_MB,
                          cpus=CPUS)

    def assemble(self, name):
        super().assemble(name)
        for ending in ("new", "cfg"):  # its own says more
            os.remove(self.owner.path(f"{vote.MACHINE}.{ending}"))
        with open(self.cert) as file:
            print_of = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
        settings = ["net.0.address=10.0.2.15/24", f"admin.listen=0.0.0.0:{ADMIN_PORT}", f"admin.client.0=view:{print_of}"]
        return self.owner.configure(vote.MACHINE, name, f"{self.root}/machine.json", settings)

    def status(self):
        """What /status of its admin console says; None: nothing yet."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # made by itself; what it says is compared with others'
        context.load_cert_chain(self.cert, self.key)
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{self.admin_port}/status", timeout=10, context=context) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None


def nodes_in(status):
    """Every object in it that has a thread map."""
    found, todo = [], [status]
    while todo:
        one = todo.pop()
        if isinstance(one, dict) and "thread_map" in one:
            found.append(one)
        todo += list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
    return found


def threads(cases, system):
    end, found = time.monotonic() + LIMIT_S, []
    while not found and time.monotonic() < end:
        status = system.status()
        found = nodes_in(status)
        time.sleep(1)
    if not cases.case("its admin console shows its node", len(found) == 1, status):
        return
    pinned = {one["name"]: one["pinned_cpu"] for one in found[0]["threads"]}
    own = {name: pinned.get(name, -1) for name in ("network", "consensus", "execution", "wal", "state", "verify0", "hash0")}
    cases.case("it chose the split map", found[0]["thread_map"] == "split", found[0]["thread_map"])
    cases.case(f"one pinned CPU a thread, one left: {own}", min(own.values()) >= 0 and len(set(own.values())) == len(own) == len(pinned), pinned)
    ran = {one["name"]: one["running_cpu"] for one in found[0]["threads"]}
    cases.case("and each that has run ran there", all(cpu in (-1, pinned[name]) for name, cpu in ran.items()), ran)
    here = system.ask("s0-n0")
    cases.case("the nodes beside it have the fused map", here["thread_map"] == "fused", here["thread_map"])


def run(cases, system):
    operator.image(system.out, system.owner.public)
    config, _ = vote.first_boot(cases, system)
    system.start_all()
    if not cases.case("the other seven answer without it", system.wait_ready(90), system.states("s0")):
        return
    with system.machine(vm.configuration(config)) as machine:
        console = operator.Console(machine)
        console.ready(LIMIT_S)
        voting = vote.until_it_votes(console, LIMIT_S)
        if not cases.case("it votes", voting, f"{console.do('status all')} {console.do('logs node 20')}"):
            return
        threads(cases, system)
        vote.needed(cases, system)
        height, root = vote.same_state(cases, system, console)
        print(f"threads: {CPUS} CPUs, split map, root {root[:16]} of height {height} is that of three nodes with the fused map")


if __name__ == "__main__":
    sys.exit(vote.with_system(run, Wide))
