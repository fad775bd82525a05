#!/usr/bin/env python3
"""init in a virtual machine, with programs that stand in for the appliance's (tests/init/standin_main.c): its stages, its disk, its socket, its end.

A blank disk is made the data disk; a configuration from outside is judged, kept, and in force again after a restart; a foreign disk and a second data
disk are refused and not written to; programs have what confine.c gives them. boot.py short|long
"""
import hashlib
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
from cluster import Cases, is_long  # noqa: E402
from steps import vm  # noqa: E402

STANDIN = "build/gcc/tests/init/standin"
PLAN = "number {};node n1;net any address 10.0.2.{}/24;net any address fd00::{}/64;net any gateway 10.0.2.2;ready"
BOOT_S, WAIT_S = 240, 120  # of a busy host: what comes is not waited for any longer


class Console:
    """The stand-in for the console: a request to init's control socket, and its answer's lines."""

    def __init__(self, machine, at_once=False):
        """`at_once`: while the stages are still gone through."""
        self.machine = machine
        machine.expect("standin: ready", BOOT_S)
        if not at_once:
            self.until("boot_ms", "^[1-9]", BOOT_S)

    def ask(self, line, seconds=WAIT_S):
        after = len(self.machine.text)
        self.machine.send(line.encode() + b"\n")
        self.machine.expect(r"\n\|\.\r?\n", seconds, after)
        said = bytes(self.machine.text[after:]).decode(errors="replace").replace("\r", "")
        return re.findall(r"^\| (.*)$", said, re.M)

    def job(self, line):
        """What heraclius-setup is run for, again while init says that it is too early for another."""
        while (answer := self.ask(line))[0].startswith("error busy"):
            time.sleep(0.1)
        return answer

    def hand_in(self, line):
        """A job that ends the console, which may not come to show the answer."""
        try:
            while (answer := self.ask(line, 5))[0].startswith("error busy"):
                time.sleep(0.1)
        except vm.Failed:
            return None
        return answer

    def status(self):
        return dict(line.split("=", 1) for line in self.ask("status") if "=" in line)

    def until(self, name, pattern, seconds=WAIT_S):
        """The status once a value fits; else the last one."""
        end = self.machine.seconds() + seconds
        while True:
            status = self.status()
            if re.search(pattern, status.get(name, "")) or self.machine.seconds() > end:
                return status
            time.sleep(0.1)  # what is said on the line is kept, up to SERIAL_BYTES_MAX


def made(folder, real=()):
    """Kernel and initrd with stand-ins; their folder. `real`: (program, its name in /bin) beside them, or in the place of one."""
    own = ["build/gcc/heraclius-net", "build/gcc/heraclius-disk", "build/gcc/heraclius-logs"]
    subprocess.run(["make", "-s", "build/gcc/init", STANDIN] + own + [program for program, _ in real], cwd=TOP, check=True)
    programs = os.path.join(folder, "programs")
    os.makedirs(programs)
    for name in ("heracliusd", "heraclius-admin", "heraclius-console", "heraclius-setup"):
        shutil.copy(os.path.join(TOP, STANDIN), os.path.join(programs, name))
    words = [os.path.join(TOP, "image/build"), "--cache", os.environ.get("IMAGE_CACHE", "build/image"), "--out", folder, "--init", "build/gcc/init",
             "--node", f"{programs}/heracliusd", "--level", "3", "--only", "direct"]
    for name in ("heraclius-admin", "heraclius-console", "heraclius-setup"):
        words += ["--program", f"{programs}/{name}"]
    for program in own:
        words += ["--program", program]
    for program, name in real:
        if not os.path.exists(f"{programs}/{name}"):
            words += ["--program", f"{programs}/{name}"]
        shutil.copy(os.path.join(TOP, program), os.path.join(programs, name))
    subprocess.run(words, cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    return folder


UUID = "2b0d8a55-63a1-4a9f-9d3e-8a1f2c3b4d5e"
ANOTHER = "3c1e9b66-74b2-4ba0-8e4f-9b203d4c5e6f"


def machine(folder, name, out, *disks, uuid=UUID, words="", **more):
    extra = [vm.drive(f"disk{i}", path) for i, path in enumerate(disks)] + [vm.network(0, vm.user_network()), ["-uuid", uuid]]
    return vm.Machine(os.path.join(folder, name), vm.direct(out, "amd64", words), extra, **more)


def first_boot(cases, folder, out, disk):
    with machine(folder, "first", out, disk) as m:
        console = Console(m)
        cases.case(f"a console after {m.seconds():.1f} s", True)
        status = console.status()
        cases.case("modules are loaded", re.match(r"good \d+ loaded", status["stage.modules"]), status)
        states = {status[f"stage.{s}"].split()[0] for s in ("entropy", "clock", "watchdog")}
        cases.case("there is entropy, a calendar, a watchdog", states == {"good"}, status)
        cases.case("the blank disk is the data disk now", status["stage.disk"].endswith(", new") and status["disk"] == "vda", status)
        cases.case("and has all of the disk", int(status["disk_free"]) > 960 << 20, status)
        cases.case("there is no configuration, and init says what to do", "card request" in status["stage.config"], status)
        cases.case("the card request is handed out", console.job("request")[:2] == ["ok", "-----BEGIN CARD REQUEST-----"])
        refused = console.job("config forged")
        cases.case("a candidate that the judge refuses is refused with the reason", refused == ["error the signature is not the owner's"], refused)
        status = console.status()
        cases.case("which is shown until another is accepted", status.get("config_refused") == "console: the signature is not the owner's", status)
        taken = console.job("config " + PLAN.format(2, 7, 7))
        status = console.until("net.eth0", "10.0.2.7 up")
        cases.case("and no longer", "config_refused" not in status, status)
        cases.case("one that it accepts is in force", taken[:2] == ["ok", "config_number=2"] and status["net.eth0"] == "10.0.2.7 up", (taken, status))
        taken = console.job("config " + PLAN.format(3, 9, 9))
        status = console.until("net.eth0", "10.0.2.9 up")
        cases.case("a newer one takes its place, and its address the old one's", taken[:2] == ["ok", "config_number=3"] and
                   status["net.eth0"] == "10.0.2.9 up", (taken, status))
        taken = console.job("config number 4;node n1;net any dhcp;ready")
        status = console.until("net.eth0", "10.0.2.15 up")
        cases.case("one by DHCP, too", status["net.eth0"] == "10.0.2.15 up", (taken, status, console.ask("log dhcp 1500")))
        status = console.until("program.admin", "failed")
        cases.case("the node is up", status["program.node"].startswith("up "), status)
        cases.case("what ended with 2 is not tried again", status["program.admin"].startswith("failed"), status)
        confined(cases, console)
        cost = console.ask("halt")
        cases.case("halt alone says what it costs", cost[0].startswith("error ") and "halt sure" in cost[0], cost)
        for line in ("reboot", "restart node", "retire", "adopt", "owner " + "ab" * 32):
            cost = console.ask(line)
            good = len(cost) == 1 and cost[0].startswith("error ") and cost[0].endswith(f"{line} sure")
            cases.case(f"{line.split()[0]} alone does, too", good, cost)
        again = console.ask("restart node sure")
        status = console.until("program.node", "ended with|ended by")
        cases.case("restart ends a program and begins it anew", again == ["ok"] and status["program.node"].startswith("up "), (again, status))
        files(cases, console)
        retired = console.job("retire sure")
        cases.case("a key is given up when that is durable", retired == ["ok"], retired)
        lost(cases, console)
        none = console.job("adopt sure")
        cases.case("there is nothing to adopt", none == ["error there is no disk of another machine"], none)
        m.send(b"halt sure\n")
        m.expect("going down", WAIT_S)
        cases.case("halt ends in order", m.ended(WAIT_S), m.last(800))
    blocks, kept = (superblock(disk, name) for name in ("Block count", "Reserved block count"))
    cases.case("4 % of the grown disk at least are for the node alone", kept * 100 >= 4 * blocks, (blocks, kept))
    clean(cases, disk)


def superblock(disk, name):
    said = subprocess.run(["/usr/sbin/dumpe2fs", "-h", disk], capture_output=True, text=True).stdout
    return int(re.search(rf"^{name}: +(\d+)", said, re.M).group(1))


def clean(cases, disk):
    check = subprocess.run(["/usr/sbin/e2fsck", "-fn", disk], capture_output=True, text=True)
    cases.case("the disk is clean", check.returncode == 0, check.stdout + check.stderr)


def files(cases, console):
    """The node's own files: another node.conf is read at the node's start alone, and what could not be made is tried again (A-20, A-22)."""
    pid = console.status()["program.node"].split()[1]
    console.job("config number 5;node n1;net any dhcp;ready")
    same = console.status()["program.node"].split()[1]
    console.job("config number 6;node n1;net any dhcp;files changed;ready")
    status = console.until("program.node", f"^up (?!{pid} )pid=")
    cases.case("a node is begun anew by a configuration that changes what it read at its start, and by no other",
               same == pid and status["program.node"].startswith("up ") and status["program.node"].split()[1] != pid, (pid, same, status))
    failed = console.job("config number 7;node n1;net any dhcp;files fail;ready")
    pid = status["program.node"].split()[1]
    status = console.until("stage.config", "^good ")
    cases.case("files that could not be made are tried again, without anybody", status["stage.config"] == "good number 7, node n1" and
               status["stage.services"].startswith("good") and "the data cannot be made" in "\n".join(console.ask("log init")), (failed, status))
    status = console.until("program.node", f"^up (?!{pid} )pid=")
    cases.case("and the node is begun anew then: what failed may have changed some of them already", status["program.node"].startswith("up ") and
               status["program.node"].split()[1] != pid, (pid, status))


def lost(cases, console):
    console.job("config number 8;node n1;net any dhcp;files lost;ready")
    said = console.job("retire sure")
    status = console.until("program.node", "^down ")
    cases.case("a node whose retirement cannot be told to it is stopped, and the console says why",
               said[0].startswith("error the key is given up") and
               "the data cannot be made" in said[0] and status["program.node"].startswith("down "), (said, status))
    again = console.ask("restart node sure")
    cases.case("nobody starts it meanwhile", again == ["error it is not to run now: status says why"], again)
    trial = console.ask("restart trial sure")
    cases.case("nor a trial that is none", trial == ["error it is not to run now: status says why"], trial)
    console.job("config number 9;node n1;net any dhcp;ready")
    status = console.until("program.node", "^up ")
    cases.case("then it is mended, and it runs", status["program.node"].startswith("up "), status)


def confined(cases, console):
    log = "\n".join(console.ask("log node"))
    wanted = {"own file": "done", "own socket's folder": "done", "locked memory": "done", "a log": "refused", "the disk": "refused",
              "another's folder": "refused", "root again": "refused", "a child": "refused"}
    said = dict(re.findall(r"standin: (.*) (done|refused)$", log, re.M))
    cases.case("the node has what the table gives it and no more", said == wanted and "user 100 group 100" in log, log)
    shown = dict(re.findall(r"standin: (/\S+) says (.*)$", log, re.M))
    memory = int(shown["/proc/meminfo"].split()[1]) * 1024 - int(shown["/sys/fs/cgroup/node/memory.max"])
    cases.case("it has the machine's memory less 32 MiB (A-26), 512 threads, and is worth more than the admin console", memory == 32 << 20 and
               shown["/sys/fs/cgroup/node/pids.max"] == "512" and shown["/proc/self/oom_score_adj"] == "0", shown)
    cases.case("and its share of the processors, as each has", shown.get("/sys/fs/cgroup/node/cpu.weight") == "100", shown)
    cases.case("blocks of its disk are for it alone", "resuid=100" in shown["/proc/self/mounts"], shown)
    cases.case("no key of a serial line reboots the kernel, and no other kernel is loaded", shown["/proc/sys/kernel/sysrq"] == "0" and
               shown["/proc/sys/kernel/kexec_load_disabled"] == "1", shown)
    cases.case("its log tells no terminal what to do", "standin: ?[2Jover" in log and "\x1b" not in log, log)


def second_boot(cases, folder, out, disk):
    """Its disk is a little larger now."""
    os.truncate(disk, (1024 + 64) << 20)
    with machine(folder, "second", out, disk, words="heraclius.console=ttyS3") as m:
        console = Console(m)
        cases.case("where there is no port of that name the console is the kernel's", b"console: there is no port /dev/ttyS3" in m.text, m.last(800))
        status = console.until("program.node", "^up ")
        cases.case("the disk is kept", status["disk"] == "vda" and not status["stage.disk"].endswith("new"), status)
        node, init, now = (console.ask(f"log {words}") for words in ("node before", "init before 1500", "log node"))
        good = sum("standin: own file done" in line for line in node) >= 2 and len(init) > 3
        good = good and any("going down" in line for line in init[-5:])  # the network may have something to say behind it
        cases.case("what the programs and init said in the start before can be read", good, (node, init))
        cases.case("nothing of it is taken for this start's, and no crash is known", console.ask("log crash") == ["ok"] and
                   console.ask("log crash before") == ["ok"] and not any("going down" in line for line in console.ask("log init")), now)
        cases.case("and so is the configuration", status.get("config_number") == "9" and status["program.node"].startswith("up "), status)
        m.send(b"reboot sure\n")
        cases.case("reboot ends in order", m.ended(WAIT_S) and b"rebooting" in m.text, m.last(800))
    blocks = superblock(disk, "Block count")
    cases.case("the disk's new size is the file system's", blocks == (1024 + 64) << 20 >> 12, blocks)
    clean(cases, disk)


def port(cases, folder, out):
    """The configuration's console.port: the serial port of a BMC, say, whose other end shows it over the network."""
    disk, plan = vm.blank(folder, 1024, "port"), "config number {};node n1;{}net any dhcp;ready"
    with machine(folder, "port", out, disk, second=True) as m:
        console, there = Console(m), m.second
        cases.case("without a setting nothing is said on the second port", not there.text, there.text)
        console.hand_in(plan.format(1, "console ttyS1;"))
        m.expect("heraclius: console: it goes to ttyS1", WAIT_S)
        console, after = Console(there), len(m.text)
        cases.case("a configuration brings the console of a machine that runs to another port, at 115200", b"ready at 115200" in there.text)
        m.send(b"status\n")
        status, refused = console.status(), console.job("config forged")
        cases.case("which answers there, and not where it was", status["config_number"] == "1" and b"| " not in m.text[after:], m.last(300))
        said, line = [bytes(one.text) for one in (m, there)], b"heraclius: config: console: refused: the signature"
        cases.case("what init says is shown on both, once", [text.count(line) for text in said] == [1, 1], (refused, said))
        silent(cases, m, console)
        for name in ("again", "and once more"):
            after = len(there.text)
            there.send(b"restart console sure\n")
            there.expect("standin: ready", WAIT_S, after)
            console.job("config forged")
            cases.case(f"also when the console was begun anew, {name}", there.text[after:].count(line) == 1, there.last(800))
        after = len(m.text)
        console.hand_in(plan.format(2, "console ttyS3;"))
        m.expect("standin: ready", WAIT_S, after)
        console = Console(m)
        log = "\n".join(console.ask("log init"))
        cases.case("if there is no such port it is on the kernel's, and the log says so", "console: there is no port /dev/ttyS3" in log, log)
        before = len(there.text)
        console.hand_in(plan.format(3, "console ttyS1;"))
        there.expect("standin: ready", WAIT_S, before)
        there.send(b"reboot sure\n")
        cases.case("it ends in order from there", m.ended(WAIT_S) and b"heraclius: rebooting" in there.text, there.last(800))
    with machine(folder, "port-again", out, disk, words="heraclius.console=ttyS0", second=True) as m:
        console, there = Console(m.second), m.second
        once = m.text.count(b"heraclius: modules: ") == 1 and m.text.count(b"standin: ready") == 1 and b"modules: " not in there.text
        cases.case("at a start it is on the image's port first, then on the configuration's", once, m.last(800))
        status, after = console.status(), len(m.text)
        console.hand_in(plan.format(4, ""))
        m.expect("standin: ready", WAIT_S, after)
        cases.case("without the setting it goes back to the image's", status["config_number"] == "3" and
                   b"console: it goes to the image's port" in there.text and Console(m).status()["config_number"] == "4", m.last(800))


def silent(cases, m, console):
    """Nobody takes what the port says; init, which says things on it, goes on."""
    there, after = m.second, len(m.text)
    there.reads.clear()
    there.send(b"kmsg 60000\nkmsg 60000\n")
    time.sleep(2)
    m.ask("set_link", name="net0", up=False)
    m.expect("heraclius: network: CANNOT: eth0 has no carrier", WAIT_S, after)
    stuck = len(there.text)
    m.ask("set_link", name="net0", up=True)
    there.reads.set()
    there.expect(r"(?s)(\n\|\.\r?\n.*){2}", WAIT_S, stuck - 1)
    status = console.until("net.eth0", "up$")
    cases.case("a port that takes nothing keeps init from nothing", len(there.text) > stuck + 4096 and status["net.eth0"], (stuck, len(there.text)))


def another_machine(cases, folder, out, disk):
    """The disk in a machine that has another identity: named, not used, used once somebody says so."""
    with machine(folder, "another", out, disk, uuid=ANOTHER) as m:
        console = Console(m)
        status = console.status()
        cases.case("a disk of another machine is named and not used", status["stage.disk"].startswith("cannot vda is the disk of another machine") and
                   UUID in status["stage.disk"] and status["disk"] == "", status)
        refused = console.job("config " + PLAN.format(9, 7, 7))
        cases.case("no configuration is kept meanwhile", refused[0].startswith("error "), refused)
        console.hand_in("adopt sure")
        cases.case("it is adopted: the machine comes up anew", m.ended(WAIT_S) and b"rebooting" in m.text, m.last(800))
    with machine(folder, "another-again", out, disk, uuid=ANOTHER) as m:
        status = Console(m).until("program.node", "^up ")
        cases.case("and has its disk, and its configuration", status["disk"] == "vda" and status.get("config_number") == "9", status)


def crashed(cases, folder, out, disk):
    """The kernel crashes while the machine runs, which starts anew by UEFI: the kernel's last lines were kept in the firmware's variables."""
    def start(at):  # firmware takes the kernel as it is packed
        words = vm.direct(out, "amd64", "unknown_nmi_panic")(at)
        words[words.index("-kernel") + 1] = os.path.join(out, "heraclius-amd64.linux")
        return vm.uefi(at, "amd64") + words
    extra = [vm.drive("disk0", disk), vm.network(0, vm.user_network()), ["-uuid", UUID]]
    with vm.Machine(os.path.join(folder, "crashed"), start, extra) as m:
        Console(m)
        time.sleep(8)  # what was said is on the disk by then (logs.h, LOGS_SYNC_MS)
        m.ask("inject-nmi")
        cases.case("a kernel that crashes starts the machine anew by itself", m.ended(WAIT_S) and b"Kernel panic" in m.text, m.last(800))
    with vm.Machine(os.path.join(folder, "crashed"), start, extra) as m:
        console = Console(m)
        text = "\n".join(console.ask("log crash 60000"))
        cases.case("its last lines are there then, why it crashed among them", "Kernel panic - not syncing: NMI" in text and "</TASK>" in text, text)
        before = "\n".join(console.ask("log init before 60000"))
        cases.case("and what init said until then", "heraclius: " in before or "Heraclius" in before, before)
        m.send(b"reboot sure\n")
        cases.case("reboot ends in order", m.ended(WAIT_S) and b"rebooting" in m.text, m.last(800))
    with vm.Machine(os.path.join(folder, "crashed"), start, extra) as m:
        console = Console(m)
        now, before = ("\n".join(console.ask(f"log crash {words}60000")) for words in ("", "before "))
        cases.case("at the next start they are those of a start before", "Kernel panic" not in now and "Kernel panic - not syncing: NMI" in before,
                   (now, before))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()


def refused_disks(cases, folder, out, disk):
    foreign = vm.blank(folder, 600, "foreign")
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "SOMEBODY", foreign], check=True)
    copied = os.path.join(folder, "copy.disk")
    subprocess.run(["cp", "--sparse=always", disk, copied], check=True)
    for name, disks, words in (("a foreign disk", [foreign], "none labelled HERACLIUS-DATA"), ("two data disks", [disk, copied], "two data disks")):
        before = [digest(path) for path in disks]
        with machine(folder, name.replace(" ", "-"), out, *disks) as m:
            status = Console(m).status()
            cases.case(f"{name}: refused, with the reason", status["stage.disk"].startswith("cannot ") and words in status["stage.disk"], status)
        cases.case(f"{name}: not a byte is changed", before == [digest(path) for path in disks])


def torn_disk(cases, folder, out, disk):
    """What somebody put in the place of a folder, and a FIFO in the place of what is read: not followed, not waited for."""
    torn = os.path.join(folder, "torn.disk")
    for name, words, until in (("a link for a folder", ("rmdir admin", "symlink admin /run"), "cannot vda is not used: /data/admin is no folder"),
                               ("a FIFO for the configuration", ("rm config/bundle", "cd config", "mknod bundle p"), "good vda")):
        subprocess.run(["cp", "--sparse=always", disk, torn], check=True)
        subprocess.run(["/usr/sbin/e2fsck", "-fy", torn], capture_output=True)  # power was cut: debugfs knows of no journal
        subprocess.run(["/usr/sbin/debugfs", "-w", "-f", "/dev/stdin", torn], input="\n".join(words).encode(), check=True, capture_output=True)
        with machine(folder, name.replace(" ", "-"), out, torn, uuid=ANOTHER) as m:  # which had it last
            console = Console(m)
            status = console.until("stage.config", "^cannot", 20)
            good = status["stage.disk"].startswith(until) and status["stage.config"].startswith("cannot ")
            cases.case(f"{name}: the console comes up and says so, and no node", good and status["program.node"].startswith("down "), status)
            if "is not used" in until:
                refused = console.job("config " + PLAN.format(10, 7, 7))
                cases.case(f"{name}: no configuration is kept on it", refused[0].startswith("error "), refused)


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="boot-", dir=os.environ.get("TMPDIR")) as folder:
        out = made(os.path.join(folder, "out"))
        disk = vm.blank(folder, 1024)
        try:
            first_boot(cases, folder, out, disk)
            second_boot(cases, folder, out, disk)
            crashed(cases, folder, out, disk)
            port(cases, folder, out)
            refused_disks(cases, folder, out, disk)
            another_machine(cases, folder, out, disk)
            if is_long(sys.argv):
                torn_disk(cases, folder, out, disk)
        except vm.Failed as fault:
            cases.case("the machine answers", False, fault)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
