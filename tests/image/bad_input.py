#!/usr/bin/env python3
"""What nobody wants an appliance to meet, in virtual machines: each gives a clear line on the console, and a state that one can leave.

No disk, a full one, a read-only one, torn ones, one that does not answer, one that hangs later, a used one that has lost its partition table; sticks
and CDs; a calendar years off; no network, an address that another machine has, or comes with later, a gateway that is dead, a link without carrier,
no DHCP server; configurations that are refused, by fw_cfg and on a disk; noise and floods on the serial line.
Short: the network and no disk at all. bad_input.py short|long
"""
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boot  # noqa: E402
from boot import Cases, Console, vm  # noqa: E402

OWN, OTHER, GATEWAY = "10.0.2.7", bytes([2, 0, 0, 0, 0, 9]), "10.0.2.99"
ARP, ASKS, ANSWERS = b"\x08\x06", 1, 2


class Peer:
    """The other end of a machine's cable: a unix socket with a frame in each datagram. It has the addresses that it is given, and answers ARP."""

    def __init__(self, folder):
        self.at = os.path.join(folder, "peer")
        self.machine = os.path.join(folder, "card")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.at)
        self.addresses, self.defended, self.asked = set(), threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def words(self):
        return vm.network(0, f"dgram,local.type=unix,local.path={self.machine},remote.type=unix,remote.path={self.at}", mac="52:54:00:00:00:01")

    def arp(self, what, address, target_mac, target):
        packet = b"\0\1\x08\0\6\4\0" + bytes([what]) + OTHER + socket.inet_aton(address) + target_mac + socket.inet_aton(target)
        try:
            self.socket.sendto((b"\xff" * 6 + OTHER + ARP + packet).ljust(60, b"\0"), self.machine)
        except OSError:
            pass  # the machine is not there any more

    def router(self, prefix):
        """Says that it is a router, and which addresses there are (RFC 4861, 4.2; RFC 4862, 5.5.3)."""
        source, everybody = socket.inet_pton(socket.AF_INET6, "fe80::9"), socket.inet_pton(socket.AF_INET6, "ff02::1")
        told = b"\3\4\x40\xc0" + struct.pack(">III", 3600, 1800, 0) + socket.inet_pton(socket.AF_INET6, prefix) + b"\1\1" + OTHER
        said = b"\x86\0\0\0" + struct.pack(">BBHII", 64, 0, 1800, 0, 0) + told
        words = struct.unpack(f">{(40 + len(said)) // 2}H", source + everybody + struct.pack(">II", len(said), 58) + said)
        total = sum(words)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        said = said[:2] + struct.pack(">H", 0xFFFF - total) + said[4:]
        head = struct.pack(">IHBB", 6 << 28, len(said), 58, 255) + source + everybody
        self.socket.sendto(b"\x33\x33\0\0\0\1" + OTHER + b"\x86\xdd" + head + said, self.machine)

    def run(self):
        while True:
            frame = self.socket.recv(4096)
            if frame[12:14] != ARP or len(frame) < 42:
                continue
            sender, target = socket.inet_ntoa(frame[28:32]), socket.inet_ntoa(frame[38:42])
            if sender == target == OWN:
                self.defended.set()
            elif target == OWN and sender == "0.0.0.0":
                self.asked.set()
            if frame[21] == ASKS and target in self.addresses:
                self.arp(ANSWERS, target, frame[22:28], sender)


def routed(cases, peer, console):
    """Whoever is on the net may say that he is a router: heard where DHCP is asked for, and nowhere else."""
    console.job("config number 3;node n1;net name=eth0 address fd00::5/64;ready")
    console.until("stage.network", "good", 30)
    console.job("config number 4;node n1;net mac=02:00:00:00:00:77 dhcp;ready")
    status = console.until("net.eth0", "- ", 30)
    for _ in range(10):
        peer.router("2001:db8:7::")
        time.sleep(0.5)
    cases.case("a stranger that says he is a router gives no address to a link", status["net.eth0"].startswith("- ") and
               console.status()["net.eth0"].startswith("- "), console.status())
    # That he would be heard is shown where it is so.
    console.job("config number 5;node n1;net any dhcp;ready")
    until = time.monotonic() + 60
    while time.monotonic() < until and "2001:db8:7:" not in status["net.eth0"]:
        peer.router("2001:db8:7::")
        time.sleep(0.5)
        status = console.status()
    cases.case("where DHCP is asked for he does, on one port of two; the other has no cable",
               "2001:db8:7:" in status["net.eth0"] and status["stage.network"] == "good by DHCP", status)
    console.job("config number 6;node n1;net name=eth0 address fd00::5/64;ready")
    status = console.until("stage.network", "good static", 30)
    cases.case("and it goes with DHCP", status["net.eth0"].startswith("fd00::5 "), status)


def network(cases, folder, out):
    peer = Peer(folder)
    peer.addresses = {OWN, "10.0.2.2"}
    extra = [vm.drive("disk0", vm.blank(folder, 600, "net")), peer.words(), vm.network(1, vm.user_network())]
    with vm.Machine(os.path.join(folder, "network"), vm.direct(out, "amd64"), extra) as m:
        console = Console(m)
        m.ask("set_link", name="net1", up=False)
        began_ms, began = int(console.status()["uptime_ms"]), m.seconds()
        taken = console.job(f"config number 1;node n1;net any address {OWN}/24;net any gateway 10.0.2.2;ready")
        status = console.until("stage.network", "not used", 20)
        said = f"cannot eth0: {OWN} is not used: {OTHER.hex(':')} has it"
        cases.case("an address that another machine has is not used, and said", taken[0] == "ok" and status["stage.network"] == said and
                   status["net.eth0"].startswith("- ") and peer.asked.is_set(), (taken, status))
        peer.addresses.discard(OWN)
        status = console.until("stage.network", "good", 30)
        cases.case("it is used once the other has gone", status["stage.network"] == "good static" and status["net.eth0"] == f"{OWN} up", status)
        cases.case("a second port without a cable is shown, and is no fault where any link will do", status["net.eth1"] == "- down", status)
        peer.defended.clear()
        peer.arp(ANSWERS, OWN, b"\xff" * 6, OWN)
        status = console.until("stage.network", "too", 20)
        cases.case("another that comes with it later is said", f"{OWN} is used by {OTHER.hex(':')}, too" in status["stage.network"], status)
        cases.case("and it is defended", peer.defended.wait(10) and status["net.eth0"] == f"{OWN} up", status)
        console.job(f"config number 2;node n1;net any address 10.0.2.8/24;net any gateway {GATEWAY};ready")
        status = console.until("stage.network", "answer", 40)
        cases.case("a dead gateway is said", status["stage.network"] == f"cannot eth0: the gateway {GATEWAY} does not answer" and
                   status["net.eth0"] == "10.0.2.8 up", status)
        peer.addresses.add(GATEWAY)
        status = console.until("stage.network", "good", 40)
        cases.case("and that it is back", status["stage.network"] == "good static", status)
        m.ask("set_link", name="net0", up=False)
        status = console.until("stage.network", "carrier", 20)
        cases.case("a link without carrier is said", re.match("cannot eth[01] has no carrier", status["stage.network"]), status)
        m.ask("set_link", name="net0", up=True)
        status = console.until("stage.network", "good", 30)
        cases.case("and that it is back", status["stage.network"] == "good static", status)
        routed(cases, peer, console)
        console.job("config number 7;node n1;net any dhcp;ready")
        status = console.until("stage.network", "no DHCP server answers", 60)
        cases.case("no DHCP server: said, and asked again", status["stage.network"] == "cannot eth0: no DHCP server answers" and
                   status["program.dhcp"].startswith("up "), status)
        console.job("config number 8;node n1;net mac=02:00:00:00:00:77 dhcp;ready")
        status = console.until("stage.network", "no link", 20)
        cases.case("a link that there is not", status["stage.network"] == "cannot no link is mac=02:00:00:00:00:77", status)
        console.job(f"config number 9;node n1;net name=eth0 address {OWN}/24;ready")
        status = console.until("stage.network", "good", 30)
        cases.case("each of these states can be left", status["net.eth0"] == f"{OWN} up" and status["program.dhcp"].startswith("down"), status)
        ratio = (int(console.status()["uptime_ms"]) - began_ms) / 1000 / (m.seconds() - began)
        cases.case(f"a second of the machine is a second: {ratio:.2f}", 0.8 < ratio < 1.25, ratio)


def one_look(cases, folder, out, name, words, stage, wanted, again=None):
    """A machine that comes up, with its console, and says this of a stage; then `again`, in which it is well."""
    with vm.Machine(os.path.join(folder, name), vm.direct(out, "amd64"), words) as m:
        status = Console(m).status()
        cases.case(f"{name.replace('-', ' ')}: said", wanted in status[f"stage.{stage}"] and wanted.encode() in m.text, status)
    if again:
        with vm.Machine(os.path.join(folder, name), vm.direct(out, "amd64"), again) as m:
            status = Console(m).status()
            cases.case(f"{name.replace('-', ' ')}: left", status[f"stage.{stage}"].startswith("good "), status)


def filled(folder):
    """A data disk of 64 MiB of which a file has all."""
    path, tree, free = vm.blank(folder, 64, "full"), os.path.join(folder, "tree"), 0
    os.makedirs(tree)
    for more in (54 << 20, 0):
        with open(os.path.join(tree, "big"), "ab") as file:
            file.write(b"x" * (more + 4096 * free))
        subprocess.run(["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-b", "4096", "-J", "size=4", "-O", "^resize_inode,meta_bg,64bit",
                        "-L", "HERACLIUS-DATA", "-d", tree, path, "64m"], check=True)
        about = subprocess.run(["/usr/sbin/dumpe2fs", "-h", path], capture_output=True, text=True, check=True).stdout
        free = int(re.search(r"Free blocks: +(\d+)", about).group(1))
    return path


def torn(folder, name, at, count):
    """A data disk that lost `count` bytes from `at` on."""
    path = vm.blank(folder, 64, name)
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-L", "HERACLIUS-DATA", path, "64m"], check=True)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * count)
    return path


def no_disk(cases, folder, out):
    given = vm.drive("disk0", vm.blank(folder, 600, "given"))
    one_look(cases, folder, out, "no-disk", [], "disk", "0 disks, none labelled HERACLIUS-DATA", [given])


def disks(cases, folder, out):
    full = filled(folder)
    with vm.Machine(os.path.join(folder, "full-disk"), vm.direct(out, "amd64"), [vm.drive("disk0", full)]) as m:
        console = Console(m)
        status = console.status()
        cases.case("full disk: said", "is full" in status["stage.disk"] and b"is full" in m.text, status)
        refused = console.job("config number 1;node n1;net any dhcp;ready")
        cases.case("full disk: no configuration is taken that could not be kept", refused[0].startswith("error it could not be kept"), refused)
    os.truncate(full, 600 << 20)
    with vm.Machine(os.path.join(folder, "larger-disk"), vm.direct(out, "amd64"), [vm.drive("disk0", full)]) as m:
        console = Console(m)
        taken = console.job("config number 1;node n1;net any dhcp;ready")
        cases.case("full disk: left by making it larger", taken[0] == "ok" and "is full" not in console.status()["stage.disk"], taken)
    read_only = ["-drive", f"if=none,id=disk0,format=raw,readonly=on,file={torn(folder, 'whole', 0, 0)}", "-device", "virtio-blk-pci,drive=disk0"]
    one_look(cases, folder, out, "read-only-disk", [read_only], "disk", "does not mount: ")
    for name, at, count in (("torn-descriptors", 4096, 4096), ("torn-super-block", 1024, 48)):
        path = torn(folder, name, at, count)
        before = boot.digest(path)
        one_look(cases, folder, out, name, [vm.drive("disk0", path)], "disk", "does not mount: ")
        cases.case(f"{name.replace('-', ' ')}: not a byte is changed", boot.digest(path) == before)


def silent(name, path, answers=400000):
    """A disk that answers so many bytes long: as usual until the kernel has read its partition table."""
    return ["-drive", f"if=none,id={name},format=raw,file={path},throttling.bps-total=1,throttling.bps-total-max={answers}", "-device",
            f"virtio-blk-pci,drive={name}"]


def not_answering(cases, folder, out):
    good, bad = vm.blank(folder, 600, "answers"), vm.blank(folder, 600, "silent")
    with vm.Machine(os.path.join(folder, "silent-and-blank"), vm.direct(out, "amd64"), [vm.drive("disk0", good), silent("disk1", bad)]) as m:
        status = Console(m).status()
        ready, disk = m.text.find(b"standin: ready"), m.text.find(b"heraclius: disk: ")
        cases.case("a disk that does not answer: the console is there before anything is known of the disks", 0 <= ready < disk, m.last(1500))
        cases.case("a disk that does not answer: the console comes up, it is said, and nothing is formatted beside it",
                   status["stage.disk"].startswith("cannot vdb cannot be read") and b"vdb cannot be read, or does not answer" in m.text, status)
    with open(good, "rb") as file:
        cases.case("a disk that does not answer: the blank one is blank", not any(file.read(1 << 20)))
    one_look(cases, folder, out, "made-alone", [vm.drive("disk0", good)], "disk", "vda, 600 MiB, new")
    with vm.Machine(os.path.join(folder, "silent-and-data"), vm.direct(out, "amd64"), [vm.drive("disk0", good), silent("disk1", bad)]) as m:
        status = Console(m).status()
        cases.case("a disk that does not answer keeps nobody from his data disk", status["stage.disk"].startswith("good vda") and
                   b"vdb cannot be read, or does not answer" in m.text, status)
    dead(cases, folder, out, good, bad)
    with vm.Machine(os.path.join(folder, "answers-late"), vm.direct(out, "amd64"), [silent("disk0", good, 1)]) as m:
        console = Console(m)
        status = console.status()
        m.ask("block_set_io_throttle", device="disk0", bps=0, bps_rd=0, bps_wr=0, iops=0, iops_rd=0, iops_wr=0)
        later = console.until("stage.disk", "^good ")
        cases.case("a data disk that answers late is used when it does", status["stage.disk"].startswith("cannot vda cannot be read") and
                   later["stage.disk"].startswith("good vda"), (status, later))


def dead(cases, folder, out, good, bad):
    """Disks from which the kernel waits for their partition tables, before and behind the data disk."""
    disks = [silent("disk0", bad, 1), vm.drive("disk1", good), silent("disk2", vm.blank(folder, 600, "dead"), 1)]
    with vm.Machine(os.path.join(folder, "dead-and-data"), vm.direct(out, "amd64"), disks) as m:
        console = Console(m)
        status = console.status()
        cases.case("two disks that are dead from the beginning keep nobody from his data disk", re.search("^good vd., 600", status["stage.disk"]) and
                   b"modules: virtio_blk: a disk does not answer" in m.text and m.text.count(b" cannot be read, or does not answer") == 2, status)
        late = {stage: status[f"stage.{stage}"] for stage in ("mounts", "modules", "watchdog")}
        cases.case("nor from anything else", all(said.startswith("good") for said in late.values()), status)
        m.send(b"reboot sure\n")
        cases.case("and the machine goes down, by its watchdog at the latest", m.ended(boot.WAIT_S), m.last(1500))


def hanging(cases, folder, out):
    """A data disk that stops to answer while everything runs: init waits for nothing of it."""
    disk = vm.blank(folder, 600, "hangs")
    with boot.machine(folder, "hangs", out, disk) as m:
        console = Console(m)
        taken = console.job("config number 1;node n1;net any dhcp;ready")
        console.until("program.node", "^up ")
        status = console.status()
        cases.case("a disk that will hang: a node runs", taken[0] == "ok" and status["program.node"].startswith("up "), (taken, status))
        for _ in range(200):
            if any("standin: ?[2Jover" in line for line in console.ask("log node")):
                break
            time.sleep(0.2)
        said_ms = int(console.status()["uptime_ms"])
        while int(console.status()["uptime_ms"]) < said_ms + 5000:  # the logs are durable within a second
            time.sleep(0.2)
        m.ask("block_set_io_throttle", device="disk0", bps=1, bps_rd=0, bps_wr=0, iops=0, iops_rd=0, iops_wr=0)
        refused = console.job("config number 2;node n1;net any dhcp;ready")
        cases.case("a disk that hangs: a configuration is refused, since it could not be kept",
                   refused[0].startswith("error it could not be kept: /data took too long"), refused)
        status, log = console.status(), console.ask("log init")
        cases.case("a disk that hangs: init answers, and the one before is in force", status.get("config_number") == "1" and
                   status["program.node"].startswith("up ") and any("could not be kept" in line for line in log), (status, log))
        m.send(b"reboot sure\n")
        cases.case("a disk that hangs: the machine goes down all the same", m.ended(300), m.last(1500))
    with boot.machine(folder, "hung", out, disk) as m:
        before = Console(m).ask("log node before")
        cases.case("what the node said before the disk hung is there afterwards",
                   any("standin: ?[2Jover" in line for line in before), before)


def used(cases, folder, out):
    """A disk with a file system from its first MiB on, whose partition table is lost; then with the mark by which its owner gives it up."""
    path, part = vm.blank(folder, 65536, "used"), vm.blank(folder, 2048, "used-part")
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-E", "nodiscard", part, "2048m"], check=True)
    subprocess.run(["dd", f"if={part}", f"of={path}", "bs=1M", "seek=20", "conv=notrunc,sparse", "status=none"], check=True)
    before = os.stat(path).st_mtime_ns
    one_look(cases, folder, out, "a-used-disk", [vm.drive("disk0", path)], "disk", "vda is not known to be blank: there is something in its MiB 20")
    cases.case("a used disk: nothing is written", os.stat(path).st_mtime_ns == before)
    with open(path, "r+b") as file:
        file.write(bytes(1 << 20))
        file.seek(0)
        file.write(b"HERACLIUS-FORMATTING\n")
    one_look(cases, folder, out, "a-used-disk-that-is-marked", [vm.drive("disk0", path)], "disk", "vda, 65536 MiB, new")


def whose(cases, folder, out):
    """Where the machine has no identity; and a file system that turns out to be damaged."""
    disk = vm.drive("disk0", vm.blank(folder, 600, "whose"))
    named = [disk, ["-uuid", boot.UUID]]
    one_look(cases, folder, out, "the-first-machine", named, "disk", "new")
    with vm.Machine(os.path.join(folder, "nameless"), vm.direct(out, "amd64"), [disk]) as m:
        console = Console(m)
        status = console.status()
        cases.case("a machine without an identity does not take another's disk", status["stage.disk"].startswith(
            f"cannot vda is the disk of another machine, {boot.UUID}"), status)
        m.send(b"adopt sure\n")
        cases.case("but adopts it", m.ended(60), m.last(800))
    one_look(cases, folder, out, "nameless-again", [disk], "disk", "vda, 600 MiB")
    path = vm.blank(folder, 64, "errors")
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "metadata_csum", "-L", "HERACLIUS-DATA", path, "64m"], check=True)
    about = subprocess.run(["/usr/sbin/dumpe2fs", path], capture_output=True, text=True, check=True).stdout
    at = int(re.search(r"Inode bitmap at (\d+)", about).group(1)) * 4096
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"\x5a" * 4096)
    with vm.Machine(os.path.join(folder, "errors"), vm.direct(out, "amd64"), [vm.drive("disk0", path)]) as m:
        status = Console(m).until("stage.disk", "cannot", 60)
        cases.case("a file system with errors: said once it is read-only", status["stage.disk"].startswith("cannot vda cannot be written any more"),
                   status)


def iso(folder, name, make, *words):
    """A CD with what `make` puts into a folder."""
    tree, path = os.path.join(folder, f"{name}.tree"), os.path.join(folder, f"{name}.iso")
    os.makedirs(tree)
    make(os.path.join(tree, "heraclius.cfg"))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-V", "HERACLIUS-CFG", *words, "-o", path, tree], check=True, stderr=subprocess.DEVNULL)
    return ["-drive", f"if=none,id={name},format=raw,readonly=on,media=cdrom,file={path}", "-device", f"ide-cd,drive={name}"]


def media(cases, folder, out):
    def text(number):
        def put(path):
            with open(path, "w") as file:
                file.write(f"number {number}\nnode n1\nnet any dhcp\nready\n")
        return put
    disk = vm.drive("disk0", vm.blank(folder, 600, "media"))
    for number, (name, words) in enumerate((("cd-rock-ridge-joliet", ["-R", "-J"]), ("cd-rock-ridge", ["-R"]), ("cd-plain", [])), 1):
        with vm.Machine(os.path.join(folder, name), vm.direct(out, "amd64"), [disk, iso(folder, name, text(number), *words)]) as m:
            status = Console(m).status()
            cases.case(f"a configuration on a {name}", status.get("config_number") == str(number), (status, m.last(1500)))
    # Without Rock Ridge, which is not asked for, a FIFO and a link are files without content.
    for name, make in (("cd-fifo", os.mkfifo), ("cd-link", lambda path: os.symlink("/data/node/node.key", path)), ("cd-folder", os.mkdir)):
        with vm.Machine(os.path.join(folder, name), vm.direct(out, "amd64"), [disk, iso(folder, name, make, "-R")]) as m:
            status = Console(m).status()
            cases.case(f"a {name}: no configuration, and the machine comes up", status.get("config_number") == "3" and
                       re.search(rb"config: sr0: (it has no file heraclius.cfg|refused: )", m.text), (status, m.last(1500)))
    own, late = os.path.join(folder, "stick.cfg"), os.path.join(folder, "late.cfg")
    text(4)(own)
    text(5)(late)
    usb = vm.config_disk(folder, own, "stick")
    usb[-1] = usb[-1].replace("virtio-blk-pci", "usb-storage").split(",serial")[0]
    later = vm.config_disk(folder, late, "late")[:2]
    data = vm.drive("disk1", vm.blank(folder, 600, "usb-data"), "usb-storage")
    with vm.Machine(os.path.join(folder, "usb"), vm.direct(out, "amd64"), [["-device", "qemu-xhci"], data, usb, later]) as m:
        console = Console(m)
        status = console.status()
        cases.case("data disk and configuration on USB", status["stage.disk"].startswith("good sd") and status.get("config_number") == "4",
                   (status, m.last(1500)))
        m.ask("device_add", driver="usb-storage", drive="late", id="latestick")
        status = console.until("config_number", "5", 60)
        cases.case("a stick that comes later", status.get("config_number") == "5", (status, m.last(1500)))
    with vm.Machine(os.path.join(folder, "usb-late"), vm.direct(out, "amd64"), [["-device", "qemu-xhci"], data[:2]]) as m:
        console = Console(m)
        cases.case("no disk yet", console.status()["stage.disk"].startswith("cannot 0 disks"))
        m.ask("device_add", driver="usb-storage", drive="disk1", id="latedisk")
        status = console.until("stage.config", "good", 90)
        cases.case("a data disk that comes later, with its configuration", status["stage.disk"].startswith("good sd") and
                   status.get("config_number") == "5", (status, m.last(1500)))


def calendar(cases, folder, out):
    disk = vm.blank(folder, 600, "calendar")
    one_look(cases, folder, out, "a-calendar-of-2001", [vm.drive("disk0", disk), ["-rtc", "base=2001-02-03T04:05:06"]], "clock",
             "days before this image was made and was set to that day")
    one_look(cases, folder, out, "a-calendar-of-2090", [vm.drive("disk0", disk), ["-rtc", "base=2090-02-03T04:05:06"]], "clock",
             "years after this image was made")


def configurations(cases, folder, out):
    """The judge's words are tests/system/appliance_config.py's; here: that they reach the console, and that what was kept stays."""
    disk, brought = vm.blank(folder, 600, "kept"), vm.blank(folder, 8, "brought")
    good, bad = os.path.join(folder, "good.cfg"), os.path.join(folder, "bad.cfg")
    for path, text in ((good, "number 3\nnode n1\nnet any dhcp\nready\n"), (bad, "forged\n")):
        with open(path, "w") as file:
            file.write(text)
    subprocess.run(["/usr/sbin/mkfs.vfat", "-n", "HERACLIUS-C", brought], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mcopy", "-i", brought, bad, "::heraclius.cfg"], check=True)
    with vm.Machine(os.path.join(folder, "taken"), vm.direct(out, "amd64"), [vm.drive("disk0", disk), vm.configuration(good)]) as m:
        status = Console(m).status()
        cases.case("a configuration by fw_cfg is taken", status.get("config_number") == "3", status)
    extra = [vm.drive("disk0", disk), vm.drive("disk1", brought), vm.configuration(bad)]
    with vm.Machine(os.path.join(folder, "refused"), vm.direct(out, "amd64"), extra) as m:
        status = Console(m).status()
        for whence in ("fw_cfg", "vdb"):
            wanted = f"config: {whence}: refused: the signature is not the owner's".encode()
            cases.case(f"one that is refused, by {whence}: said", wanted in m.text, m.last(2000))
        cases.case("the last good one stays in force", status.get("config_number") == "3" and status["stage.config"].startswith("good"), status)
    with open(bad, "wb") as file:
        file.write(bytes((256 << 10) + 1))
    with vm.Machine(os.path.join(folder, "large"), vm.direct(out, "amd64"), [vm.drive("disk0", disk), vm.configuration(bad)]) as m:
        status = Console(m).status()
        cases.case("one that is too large: said", b"config: fw_cfg: refused: more than 262144 bytes" in m.text and status.get("config_number") == "3",
                   m.last(2000))


def serial(cases, folder):
    """heraclius-console itself on the line (tests/system/console.py has it on a pseudo-terminal, with what each key does)."""
    out = boot.made(os.path.join(folder, "out-console"), real=[("build/gcc/heraclius-console", "heraclius-console")])
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    noise = random.Random(seed)
    with vm.Machine(os.path.join(folder, "serial"), vm.direct(out, "amd64"), [vm.drive("disk0", vm.blank(folder, 600, "serial"))]) as m:
        m.expect("> ", boot.BOOT_S)
        for name, content in (("noise", noise.randbytes(100000)), ("a line without an end", b"x" * 100000), ("blank lines", b"\r" * 20000),
                              ("a command a hundred times", b"links\r" * 100)):
            m.send(content)
            m.send(b"\x03\r")
            good = False
            for turn in range(60):  # what was sent before is worked off, and the rest lost: the line answers again
                mark = f"{name.replace(' ', '-')}-{turn}"
                m.send(f"\x03\r{mark}\r".encode())
                try:
                    m.expect(f"no command {mark}", 5)
                    good = True
                    break
                except vm.Failed:
                    continue
            cases.case(f"{name}: the console answers afterwards", good, m.last(1500))
        m.send(b"\x03\rhalt\r")
        m.expect("Type yes: ", 120)
        ended = False
        for _ in range(10):  # what comes in the moment in which it asks is forgotten: a "yes" that was pasted is none
            m.send(b"yes\r")
            ended = ended or m.ended(10)
            if ended:
                break
        cases.case("and the machine halts in order", ended, m.last(1500))


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="bad-", dir=os.environ.get("TMPDIR")) as folder:
        out = boot.made(os.path.join(folder, "out"))
        try:
            network(cases, folder, out)
            no_disk(cases, folder, out)
            if sys.argv[1:2] == ["long"]:
                disks(cases, folder, out)
                not_answering(cases, folder, out)
                hanging(cases, folder, out)
                used(cases, folder, out)
                whose(cases, folder, out)
                media(cases, folder, out)
                configurations(cases, folder, out)
                serial(cases, folder)
                calendar(cases, folder, out)
        except vm.Failed as fault:
            cases.case("the machine answers", False, fault)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
