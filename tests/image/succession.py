"""A machine is a member of a system that succeeds a lost one (docs/operating.md, "A successor on appliances"): init, heraclius-setup and heracliusd
in one virtual machine, with Debian's kernel, as the fourth member of the successor's shard, whose other seven nodes run here.

Its data disk is made here by the drill's commands, with the backup on it; it makes its key on that, its configuration brings the system file before
and the statement, it makes its genesis of the backup as confined as it is, and a quorum needs its vote. `make test-succession`
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TOP, "image"), os.path.join(TOP, "tests/system")]
from cluster import Cases, System, free_base  # noqa: E402
from steps import operator, vm  # noqa: E402
from succession import lost_with_backup, run  # noqa: E402

PLACES = [f"{cluster}-n{i}" for cluster in ("c0", "s0") for i in range(4)]
MACHINE = "s0-n3"
BOOT_S = 120


class Beside(System):
    """Seven nodes as processes here; the eighth place is the machine's."""

    def __init__(self, folder, old):
        self.dir, self.root, self.out, self.old = folder, f"{folder}/new", f"{folder}/image", old
        self.env, self.node_env, self.programs, self.live = {}, {}, {}, {}
        os.makedirs(self.root)
        self.names = [place for place in PLACES if place != MACHINE]
        self.base = free_base(len(PLACES))
        self.owner = operator.Owner(self.root)
        self.before = ("--predecessor", f"{old.root}/system.json", "--statement", f"{self.root}/statement.1")

    def disk(self):
        """By the drill's commands."""
        tree, path = f"{self.dir}/disk/node/backup", f"{self.dir}/data.img"
        shutil.copytree(f"{self.dir}/backup/s0", tree)
        for words in (["chmod", "-R", "a+rX", f"{self.dir}/disk"], ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "HERACLIUS-DATA", "-E",
                                                                     "root_owner=0:0", "-d", f"{self.dir}/disk", path, "1G"]):
            subprocess.run(words, check=True)
        return path

    def machine(self, disk, *extra):
        port = self.base + PLACES.index(MACHINE)
        lan = vm.user_network([(port, port)], reaches_host=True)
        return vm.Machine(f"{self.dir}/machine", vm.direct(self.out, "amd64"), [vm.drive("data", disk), vm.network(0, lan), *extra], 256)

    def assemble(self):
        """Cards, the file, two signatures of three, the seven nodes' data."""
        for place in self.names:
            operator.command("node", "enroll", "--name", place, "--out", f"{self.root}/{place}")
            shutil.copy(f"{self.root}/{place}/{place}.card", self.root)
        cards = [",".join(f"{self.root}/{p}.card" for p in PLACES[at:at + 4]) for at in (0, 4)]
        admins = [w for i in range(3) for w in ("--admin", f"{self.old.root}/admin{i}.card")]
        backup = f"{self.dir}/backup"
        operator.command("system", "assemble", "--name", "new", *self.before[:2], "--origin", f"s0={backup}/s0", "--coordinator", cards[0], "--shard",
                         cards[1], *admins, "--needed", 2, "--client", f"{self.old.root}/client.card", "--out", f"{self.root}/system.json")
        both = (*self.before[:2], "--successor", f"{self.root}/system.json", "--backup", f"{backup}/s0", "--backup", f"{backup}/c0")
        operator.command("successor", "new", *both, "--seen", "s0=1", "--out", f"{self.root}/statement")
        for before, after, admin in (("", ".0", 0), (".0", ".1", 2)):
            operator.command("successor", "sign", f"{self.root}/statement{before}", *both, "--seen", "s0=1", "--admin-key",
                             f"{self.old.root}/admin{admin}.key", "--out", f"{self.root}/statement{after}")
        said = operator.command("system", "show", "--json", f"{self.root}/system.json")
        system_id = re.search(r'"system_id": "([0-9a-f]+)"', said).group(1)
        here = self.owner.addresses("addresses.json", system_id, {p: f"127.0.0.1:{self.base + i}" for i, p in enumerate(PLACES)})
        there = self.owner.addresses("machine.json", system_id, {p: f"10.0.2.{15 if p == MACHINE else 2}:{self.base + i}"
                                                                 for i, p in enumerate(PLACES)})
        for place in self.names:
            operator.command("system", "init", "-s", f"{self.root}/system.json", *self.before, "--backup", f"{backup}/{place[:2]}", "--addresses",
                             here, "--node-key", f"{self.root}/{place}/{place}.key", "--data", f"{self.root}/{place}")
        new, signed = self.owner.path("machine.new"), self.owner.path("machine.cfg")
        operator.command("node", "config", "new", "-s", f"{self.root}/system.json", "-a", there, "--node", MACHINE, *self.before, "--set",
                         "net.0.address=10.0.2.15/24", "--out", new)
        operator.command("node", "config", "sign", new, "--owner-key", self.owner.key, "--out", signed)
        return signed


def first_boot(cases, system, disk):
    with system.machine(disk) as machine:
        console = operator.Console(machine)
        look = console.ready(BOOT_S)
        cases.case("the disk that was made here is its data disk", "vda, 1024 MiB" in look, look)
        request = console.do("request " + MACHINE)
        found = re.search(r"-----BEGIN HERACLIUS CARD REQUEST-----\n.*?-----END HERACLIUS CARD REQUEST-----", request, re.S)
        name = system.owner.approve(found.group(0) + "\n" if found else request, MACHINE)
        cases.case("it makes its key on it, and its owner the card", name == MACHINE, request)
        config = system.assemble()
        console.confirmed("halt")
        cases.case("halted", machine.ended(60), machine.last(600))
    return config


def second_boot(cases, system, disk, config):
    with system.machine(disk, vm.configuration(config)) as machine:
        console = operator.Console(machine)
        console.ready(BOOT_S)
        end = time.monotonic() + BOOT_S
        while not (voting := console.is_voting()) and time.monotonic() < end:
            time.sleep(0.5)
        if not cases.case("configured with the statement, it makes its genesis of the backup, and votes", voting,
                          f"{console.do('status all')} {console.do('logs node 30')} {console.do('logs init 20')}"):
            return
        roots = {re.search(r" genesis_inherited [^\n]*root=([0-9a-f]{64})", text).group(1) for text in
                 [console.do("logs node 400").replace("\n", "")] + [system.log(n) for n in system.names if n.startswith("s0")]}
        cases.case("its log has the same root as the other three", len(roots) == 1, roots)
        system.kill("s0-n0")
        value = system.client("get", "kept", "--timeout", 60, timeout=90, client="client")
        done = system.client("put", "kept", "still", "--timeout", 60, timeout=90, client="client")
        cases.case("what was before is there, and with one of the others dead a write needs its vote", value.stdout == "yes\n" and
                   done.returncode == 0, f"{value} {done}")
        said = [line for line in console.do("logs kmsg 5000").split("\n") if "type=1326" in line and "syscall=435 " not in line]
        cases.case("no program was refused a system call that it needs", not said, said)
        console.confirmed("halt")
        cases.case("it goes down in order", machine.ended(60), machine.last(600))


def main():
    cases = Cases()
    subprocess.run(["make", "-s", "product-gcc", "heraclius"], cwd=TOP, check=True)
    with tempfile.TemporaryDirectory(prefix="succession-", dir=System.parent()) as folder:
        old = lost_with_backup(cases, folder)
        system = Beside(folder, old)
        try:
            operator.image(system.out, system.owner.public)
            disk = system.disk()
            config = first_boot(cases, system, disk)
            system.start_all()
            for end in (".key", ".key.journal"):
                shutil.copy(f"{old.root}/client{end}", f"{system.root}/client{end}")
            done = run("settle", "-s", f"{system.root}/system.json", "--client", f"{system.root}/client.key", *system.before, "--chain",
                       f"{folder}/backup/c0/chain", "--timeout", "60", timeout=120)
            cases.case("a client follows", done.returncode == 0, done)
            second_boot(cases, system, disk, config)
        except (vm.Failed, operator.Refused) as fault:
            cases.case("the machine and its owner go on", False, fault)
        finally:
            system.kill_all()
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
