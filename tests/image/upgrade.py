#!/usr/bin/env python3
"""A machine upgrades itself: UEFI, systemd-boot, the raw disk that make image makes, init and heraclius-slots as they are; node and admin console are
stood in for, by the contract (tests/image/voter.c).

A release is taken over the network, handed to init, written to the other slot, started on trial, blessed once its node voted. A foreign one is
refused. An image that does not come up is started twice, then the old one comes back by itself; of one that is given up the last words of its trial
can be read.

  upgrade.py short    no machine, since each start by UEFI takes its time: a UKI as it is made, its release, and what it says of itself
  upgrade.py long     all of it
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TOP, "image"), os.path.join(TOP, "tests/system"), os.path.join(TOP, "tests/image")]
import boot  # noqa: E402
from cluster import Cases, free_base, is_long  # noqa: E402
from steps import gpt, operator, vm  # noqa: E402

START_S = 300
PLAN = "config number 2;node n1;net any address 10.0.2.15/24;ready"


class Sender:
    """Gives each who connects what is on offer, once."""

    def __init__(self, port):
        self.offer, self.socket = None, socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", port))
        self.socket.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            to, _ = self.socket.accept()
            offer, self.offer = self.offer, None
            with to:
                try:
                    to.sendall(offer or b"")
                except OSError:
                    self.offer = offer


class Images:
    """Images of this tree with stand-ins, and releases of them."""

    def __init__(self, folder, port):
        self.folder, self.programs = folder, f"{folder}/programs"
        os.makedirs(self.programs)
        self.own = [f"build/gcc/heraclius-{name}" for name in ("net", "disk", "slots", "logs")]
        subprocess.run(["make", "-s", "heraclius", "build/gcc/init", boot.STANDIN] + self.own, cwd=TOP, check=True)
        for name in ("heraclius-console", "heraclius-setup"):
            shutil.copy(os.path.join(TOP, boot.STANDIN), f"{self.programs}/{name}")
        os.makedirs(f"{folder}/mute")
        for name, votes in ((f"{self.programs}/heracliusd", 1), (f"{self.programs}/heraclius-admin", 1), (f"{folder}/mute/heracliusd", 0)):
            subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O2", f"-DPORT={port}", f"-DVOTES={votes}", "-o", name,
                            os.path.join(TOP, "tests/image/voter.c")], check=True)
        with open(f"{folder}/ends.c", "w") as file:
            file.write("int main(void) { return 1; }\n")
        subprocess.run(["gcc", "-static", "-o", f"{folder}/ends", f"{folder}/ends.c"], check=True)
        self.owner, self.stranger = (self.key(name) for name in ("team", "stranger"))

    def key(self, name):
        return re.match(r"owner (\S+)", operator.command("node", "owner", "--name", name, "--out", self.folder)).group(1)

    def make(self, number, init="build/gcc/init", only="uki", node=None):
        out = f"{self.folder}/{number}"
        words = [os.path.join(TOP, "image/build"), "--cache", os.environ.get("IMAGE_CACHE", "build/image"), "--out", out, "--init", init, "--node",
                 node or f"{self.programs}/heracliusd", "--level", "3", "--number", str(number), "--owner", self.owner]
        for path in [f"{self.programs}/heraclius-{name}" for name in ("admin", "console", "setup")] + self.own:
            words += ["--program", path]
        subprocess.run(words + (["--only", only] if only else []), cwd=TOP, check=True, stdout=subprocess.DEVNULL)
        return out

    def release(self, number, key="team", **how):
        out = self.make(number, **how)
        path = f"{out}/{key}.release"
        operator.command("image", "sign", f"{out}/heraclius-amd64.efi", "--key", f"{self.folder}/{key}.owner.key", "--out", path)
        with open(path, "rb") as file:
            return file.read()


class Host:
    """One machine with its firmware's variables and two disks, which outlive each start of it."""

    def __init__(self, folder, image):
        self.folder, self.disk, self.data = folder, f"{folder}/start.img", vm.blank(folder, 700)
        subprocess.run(["cp", "--sparse=always", f"{image}/heraclius-amd64.img", self.disk], check=True)

    def machine(self, *beside):
        def start(folder):
            return vm.uefi(folder, "amd64") + vm.drive("start", self.disk, "virtio-blk-pci", 1)
        extra = [vm.drive("data", self.data), vm.network(0, vm.user_network(reaches_host=True)), ["-uuid", boot.UUID]]
        extra += [vm.drive(f"beside{i}", path) for i, path in enumerate(beside)]
        return vm.Machine(f"{self.folder}/machine", start, extra)


    def stick(self, name, seed):
        """Another disk with the same boot partition: a copy of the disk, or, with a seed, one whose partition table has GUIDs of its own."""
        path, partition = f"{self.folder}/{name}.img", f"{self.folder}/{name}.partition"
        subprocess.run(["cp", "--sparse=always", self.disk, path], check=True)
        if seed:
            block = gpt.FIRST * gpt.SECTOR
            subprocess.run(["dd", f"if={path}", f"of={partition}", f"bs={block}", "skip=1", f"count={os.path.getsize(path) // block - 2}",
                            "conv=sparse", "status=none"], check=True)
            gpt.make(path, partition, b"", seed)
        return path


def up(m):
    m.expect("standin: ready", START_S)
    return boot.Console(m)


def offered(console, sender, release, said):
    """What init said of a release, by the log of the stand-in for the admin console."""
    sender.offer = release
    end = console.machine.seconds() + 120
    while console.machine.seconds() < end:
        answers = re.findall(r"upgrade: ((?:ok|error).*)", "\n".join(console.ask("log admin 4000")))
        if len(answers) > said:
            return answers[-1]
        time.sleep(0.5)
    return "no answer"


def reboots(c, console, word):
    m = console.machine
    console.hand_in(f"{word} sure")
    c.case(f"{word}: the machine goes down to come up again", m.ended(60) and b"rebooting" in m.text, m.last(600))


def beside(c, host):
    """A stick that is still in, beside the disk that was started from."""
    for name, seed, known in (("another image's", "another", True), ("a copy", None, False)):
        with host.machine(host.stick(name.split()[-1], seed)) as m:
            console = up(m)
            status = console.until("slot" if known else "slots", "1" if known else "two boot partitions", 60)
            good = status.get("slot") == "1" if known else "slot" not in status and "two boot partitions" in status.get("slots", "")
            c.case(f"a second boot partition, {name}: {'it is passed over' if known else 'none is used, and it says so'}", good, status)


def first(c, host, sender, images):
    with host.machine() as m:
        console = up(m)
        status = console.until("slot", "1", 60)
        blessed = status.get("slot") == "1" and status.get("slot_state") == "blessed" and status.get("image_number") == "1000"
        c.case("slot 1 runs, blessed", blessed, status)
        console.job(PLAN)
        answer = offered(console, sender, images.release(1001, "stranger"), 0)
        c.case("a stranger's release is refused, with the reason", answer.startswith("error signature-invalid: "), answer)
        answer = offered(console, sender, images.release(1001), 1)
        status = console.status()
        c.case("the owner's is taken, into slot 2, which is next", answer == "ok" and status.get("slot_next") == "2" and
               status.get("slot.2", "").startswith("number 1001 ") and "unblessed tries 2 done 0 signed" in status["slot.2"], (answer, status))
        c.case("slot 1 goes on meanwhile", status.get("slot") == "1" and status["program.node"].startswith("up "), status)
        reboots(c, console, "reboot")


def second(c, host, sender, images):
    with host.machine() as m:
        console = up(m)
        status = console.until("slot_state", "blessed", 120)
        c.case("slot 2 was started, and blessed once its node had voted", status.get("slot") == "2" and status.get("slot_state") == "blessed" and
               status.get("image_number") == "1001" and len(status.get("image_hash", "")) == 64, (status, console.ask("log trial 2000")))
        c.case("who blessed it is there no more", status["program.trial"].startswith(("down", "stopping")), status)
        answer = offered(console, sender, images.release(1002, init=f"{images.folder}/ends"), 0)
        c.case("an image that will not come up is taken", answer == "ok", answer)
        reboots(c, console, "reboot")


def falls_back(c, host):
    for turn in ("first", "second"):
        with host.machine() as m:
            c.case(f"it does not come up, {turn} try", m.ended(START_S) and b"standin: ready" not in m.text, m.last(600))
    with host.machine() as m:
        console = up(m)
        status = console.until("slot", "2", 60)
        c.case("then the old one comes back by itself", status.get("slot") == "2" and status.get("slot_state") == "blessed" and
               "unblessed tries 0" in status.get("slot.1", ""), status)
        cost = console.ask("rollback")
        c.case("rollback alone says what it costs", cost[0].startswith("error ") and "rollback sure" in cost[0], cost)


def gives_up(c, host, sender, images):
    """An image that comes up and does not vote. Its trial would give it up after 300 s; here the operator says the word."""
    with host.machine() as m:
        console = up(m)
        answer = offered(console, sender, images.release(1003, node=f"{images.folder}/mute/heracliusd"), 0)
        c.case("an image whose node will not vote is taken", answer == "ok", answer)
        reboots(c, console, "reboot")
    with host.machine() as m:
        console = up(m)
        status, end = console.until("slot_state", "trial", 60), m.seconds() + 60
        while (said := console.ask("log trial 2000")) and "has not voted yet" not in said[-1] and m.seconds() < end:
            time.sleep(0.5)
        c.case("it is on trial, and says what it waits for", status.get("image_number") == "1003" and "trial of 1003 waits for vote" in said[-1],
               (status, said))
        reboots(c, console, "fail")
    with host.machine() as m:
        console = up(m)
        status = console.until("slot", "2", 60)
        before, now = console.ask("log trial before"), console.ask("log trial")
        c.case("the one before runs again, and has what the other's trial said last", status.get("image_number") == "1001" and now == ["ok"] and
               "trial of 1003 waits for vote" in before[-1], (status, before, now))


def shown(c, images):
    release = images.release(1001)
    said = operator.command("image", "verify", f"{images.folder}/1001/team.release", "--key", images.owner)
    with open(f"{images.folder}/1001/heraclius-amd64.efi", "rb") as file:
        whole = release[160:] == file.read()
    c.case("a release of a UKI as it is made: its number, its architecture", whole and re.search(r"number +1001\n", said) and "amd64" in said, said)


def main():
    c = Cases()
    folder, port = tempfile.mkdtemp(prefix="upgrade-", dir=os.environ.get("TMPDIR")), free_base(1)
    try:
        images = Images(folder, port)
        if is_long(sys.argv):
            sender, host = Sender(port), Host(folder, images.make(1000, only=None))
            beside(c, host)
            first(c, host, sender, images)
            second(c, host, sender, images)
            falls_back(c, host)
            gives_up(c, host, sender, images)
        else:
            shown(c, images)
    except (vm.Failed, operator.Refused) as fault:
        c.case("the machine goes on", False, fault)
    if os.environ.get("KEEP"):
        print(f"its folder: {folder}")
    else:
        shutil.rmtree(folder)
    return c.end()


sys.exit(main())
