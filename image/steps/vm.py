"""Virtual machines for tests and for `make boot`: QEMU, one process each, ended by whoever made it.

    with vm.Machine(folder, vm.direct("image/out", "amd64"), disks=[vm.blank(folder, 64)]) as machine:
        machine.expect(r"heraclius: disk: .*", 30)
        machine.send(b"help\\n")

Of any architecture that an image can be of; devices go by the names that they have on PCI, and those of virtio become a channel's on s390x, which
has no PCI here. Emulated by TCG, unless KVM=1 is in the environment and the machine is of this one's kind. The serial line and the monitor are
sockets that QEMU inherits, so nothing of the machine can be reached from outside, and nothing is said before there is somebody who listens. A machine
dies with the thread that started it.
"""
import collections
import ctypes
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from . import fat

SERIAL_BYTES_MAX = 4 << 20
# uname: this machine's own name of the architecture. cpu: as TCG has it; of s390x the model that QEMU takes by itself; there making a first
# Ed25519 key takes 20 to 30 s in the machine, and 0.9 s as a program under emulation: why is not known. firmware: UEFI's folder, code,
# variables, and the name under which it looks for a program.
Kind = collections.namedtuple("Kind", "uname program machine cpu watchdog firmware")
KINDS = {
    "amd64": Kind("x86_64", "qemu-system-x86_64", "q35", "max", "i6300esb",
                  ("/usr/share/OVMF", "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd", "BOOTX64.EFI")),
    "arm64": Kind("aarch64", "qemu-system-aarch64", "virt", "cortex-a72", "i6300esb",
                  ("/usr/share/AAVMF", "AAVMF_CODE.fd", "AAVMF_VARS.fd", "BOOTAA64.EFI")),
    "s390x": Kind("s390x", "qemu-system-s390x", "s390-ccw-virtio", "qemu", "diag288", None),
}


class Failed(Exception):
    """Something that was waited for did not come; says what came instead."""


# ---------------------------------------------------------------- what a machine starts from: its words for QEMU, made in its own folder

def by_kvm(arch):
    return os.environ.get("KVM") == "1" and platform.machine() == KINDS[arch].uname


def direct(out, arch, words=""):
    """Kernel and initrd of image/out, put into memory by QEMU itself; the kernel as it is when it has unpacked itself.

    tsc=unstable, where an amd64 machine is emulated: Linux measures the processor's own clock against the old timer (PIT), and where the emulator is
    taken off its processor in the middle of that, it believes the timer: on a busy host one start in seven had seconds that passed 4 to 40 times too
    fast. HPET is the clock then, which the emulator has from the host."""
    at = os.path.join(out, f"heraclius-{arch}")
    with open(f"{at}.words") as file:
        clock = "tsc=unstable" if arch == "amd64" and not by_kvm(arch) else ""
        line = " ".join(filter(None, (file.read().strip(), words, clock)))
    return lambda folder: ["-kernel", f"{at}.vmlinux" if arch == "amd64" else f"{at}.linux", "-initrd", f"{at}.initrd", "-append", line]


def bios_disk(path):
    return lambda folder: drive("start", overlay(folder, "start", path), "virtio-blk-pci", 1)


def bios_cd(path):
    return lambda folder: ["-drive", f"if=none,id=start,format=raw,readonly=on,media=cdrom,file={path}", "-device",
                           "ide-cd,drive=start,bootindex=1"]


def uefi_disk(path, arch="amd64", **firmware):
    return lambda folder: uefi(folder, arch, **firmware) + drive("start", overlay(folder, "start", path), "virtio-blk-pci", 1)


def uefi_cd(path, arch="amd64", **firmware):
    if arch == "amd64":
        return lambda folder: uefi(folder, arch, **firmware) + bios_cd(path)(folder)
    return lambda folder: uefi(folder, arch, **firmware) + ["-device", "virtio-scsi-pci", "-drive",
                                                             f"if=none,id=start,format=raw,readonly=on,media=cdrom,file={path}", "-device",
                                                             "scsi-cd,drive=start,bootindex=1"]


def uefi_program(path, arch="amd64", **firmware):
    """An EFI program alone, as firmware finds it on a disk: QEMU shows a folder as one."""
    def words(folder):
        tree = os.path.join(folder, "esp")
        os.makedirs(os.path.join(tree, "EFI/BOOT"), exist_ok=True)
        shutil.copyfile(path, os.path.join(tree, "EFI/BOOT", KINDS[arch].firmware[3]))
        return uefi(folder, arch, **firmware) + ["-drive", f"if=none,id=start,format=raw,readonly=on,file=fat:{tree}", "-device",
                                           "virtio-blk-pci,drive=start,bootindex=1"]
    return words


def uefi(folder, arch, code=None, variables=None, secure=False):
    """Firmware with variables of its own; they stay in the folder over a restart."""
    own, (at, usual_code, usual_variables, _) = os.path.join(folder, "firmware.vars"), KINDS[arch].firmware
    code, variables = code or usual_code, variables or usual_variables
    if not os.path.exists(own):
        shutil.copyfile(variables if "/" in variables else os.path.join(at, variables), own)
    words = ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={os.path.join(at, code)}", "-drive",
             f"if=pflash,format=raw,unit=1,file={own}"]
    return words + (["-global", "driver=cfi.pflash01,property=secure,value=on"] if secure else [])


# ---------------------------------------------------------------- what it has

def drive(name, path, device="virtio-blk-pci", bootindex=None, form=None):
    """A disk behind a device of QEMU's: virtio-blk-pci, nvme, ide-hd, scsi-hd, usb-storage."""
    more = ",serial=" + name if device in ("nvme", "virtio-blk-pci") else ""
    more += f",bootindex={bootindex}" if bootindex is not None else ""
    form = form or ("qcow2" if path.endswith(".qcow2") else "raw")
    return ["-drive", f"if=none,id={name},format={form},file={path}", "-device", f"{device},drive={name}{more}"]


def blank(folder, megabytes, name="data"):
    """A sparse file of zeros."""
    path = os.path.join(folder, f"{name}.disk")
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
    return path


def overlay(folder, name, path):
    """A disk of the machine's own over a file that stays as it is."""
    own = os.path.join(folder, f"{name}.qcow2")
    if not os.path.exists(own):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", os.path.abspath(path), own], check=True)
    return own


def network(number, netdev, device="virtio-net-pci", mac=None):
    """`netdev`: what QEMU's -netdev says without the id: user_network(), multicast(), link()."""
    kind, _, rest = netdev.partition(",")
    return ["-netdev", f"{kind},id=net{number}" + (f",{rest}" if rest else ""), "-device",
            f"{device},netdev=net{number}" + (f",mac={mac}" if mac else "")]


def frames(number, path):
    """All that goes through network `number`, into a file (pcap)."""
    return ["-object", f"filter-dump,id=frames{number},netdev=net{number},file={path}"]


def user_network(forward=(), reaches_host=False):
    """Cut off from the world; `forward`: (port on 127.0.0.1, port in the machine). `reaches_host`: 127.0.0.1 is 10.0.2.2 in the machine, and what it
    sends further, if it was given a gateway, goes out."""
    return f"user,restrict={'off' if reaches_host else 'on'}" + "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in forward)


def multicast(port, group="230.0.0.1"):
    """A hub on the loopback interface that machines with the same port share."""
    return f"dgram,local.type=inet,local.host=127.0.0.1,local.port={port},remote.type=inet,remote.host={group},remote.port={port}"


def link(path, listens):
    """A cable between two machines: a unix socket, one of them listens."""
    return f"stream,server={'on' if listens else 'off'},addr.type=unix,addr.path={path}"


def configuration(path):
    """fw_cfg: what init looks for first (init/config.h); s390x has none: config_disk()."""
    return ["-fw_cfg", f"name=opt/heraclius/config,file={path}"]


def config_disk(folder, path, name="config"):
    """The same on a disk of its own: vfat, labelled, with one file."""
    own = os.path.join(folder, f"{name}.disk")
    with open(path, "rb") as file:
        fat.make(own, 16, "HERACLIUS-C", 0x68657263, {"heraclius.cfg": file.read()}, 1 << 30)
    return drive(name, own)


# ---------------------------------------------------------------- the machine

def die_with_maker():
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


class Line:
    """A serial line: what it said, and what it is told."""

    def __init__(self, path):
        self.path, self.serial, self.text, self.started = path, None, bytearray(), 0
        self.changed, self.closed, self.reads = threading.Condition(), False, threading.Event()
        self.reads.set()  # cleared: nobody takes what it says, as from a port that nobody is at

    def begin(self, serial):
        self.serial, self.started = serial, time.monotonic()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """All that it says, kept in its file too."""
        with open(self.path, "ab", buffering=0) as log:
            while self.reads.wait():
                try:
                    some = self.serial.recv(65536)
                except OSError:
                    some = b""
                with self.changed:
                    self.text += some
                    self.closed = not some or len(self.text) > SERIAL_BYTES_MAX
                    self.changed.notify_all()
                    if self.closed:
                        return
                log.write(some)

    def expect(self, pattern, seconds, after=0):
        """The match of a pattern in what it said from byte `after` on. Failed: not in time, or the machine ended before."""
        wanted, until = re.compile(pattern.encode() if isinstance(pattern, str) else pattern), time.monotonic() + seconds
        with self.changed:
            while True:
                if found := wanted.search(self.text, after):
                    return found
                left = until - time.monotonic()
                if left <= 0 or self.closed:
                    why = "the machine ended before" if self.closed else f"not in {seconds} s"
                    raise Failed(f"{pattern!r}: {why}; its last words:\n{self.last(1500)}\n{self.log()}")
                self.changed.wait(min(left, 0.5))

    def last(self, count):
        return re.sub(rb"\x1b\[[0-9;?=]*[A-Za-z]|\r", b"", bytes(self.text[-count:])).decode(errors="replace")

    def send(self, content):
        self.serial.sendall(content)

    def seconds(self):
        """Since power was given."""
        return time.monotonic() - self.started

    def log(self):
        return ""


class Machine(Line):
    def __init__(self, folder, start, extra=(), memory_mb=256, cpus=1, arch="amd64", watchdog=True, terminal=False, tpm=None, secure=False,
                 reboots=False, second=False):
        """`start`: of the functions above; `extra`: lists of words; `tpm`: the control socket of a swtpm; `terminal`: the serial line is our own;
        `reboots`: what resets it (its watchdog, say) starts it anew, else it ends; `second`: it has another serial line, COM2 (amd64)."""
        super().__init__(os.path.join(folder, "serial.log"))
        os.makedirs(folder, exist_ok=True)
        self.folder, self.process, self.monitor = folder, None, None
        self.second = Line(os.path.join(folder, "second.log")) if second else None
        kind = KINDS[arch]
        kvm = by_kvm(arch)
        self.words = [kind.program, "-M", kind.machine + (",smm=on" if secure else ""), "-accel", "kvm" if kvm else "tcg", "-cpu",
                      "max" if kvm else kind.cpu, "-m", str(memory_mb), "-smp", str(cpus), "-nodefaults", "-display", "none",
                      "-device", "virtio-rng-pci"]
        if not reboots:
            self.words += ["-no-reboot"]
        if watchdog:
            self.words += ["-device", kind.watchdog, "-watchdog-action", "reset"]
        if tpm:
            self.words += ["-chardev", f"socket,id=tpm,path={tpm}", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"]
        self.words += start(folder)
        for words in extra:
            self.words += words
        if arch == "amd64" and not any(word.startswith("ide-") for word in self.words):
            self.words[2] += ",sata=off"  # nothing is on it: asking six empty ports costs a start 0.5 s
        if arch == "s390x":
            self.words = [re.sub(r"^(virtio-[a-z]+)-pci\b", r"\1-ccw", word) for word in self.words]
        self.terminal = terminal

    def __enter__(self):
        ours, theirs = socket.socketpair()
        monitor, monitor_theirs = socket.socketpair()
        words = self.words + ["-S", "-chardev", f"socket,id=monitor,fd={monitor_theirs.fileno()}", "-mon", "chardev=monitor,mode=control"]
        if self.terminal:
            words += ["-chardev", "stdio,id=serial,mux=on,signal=off", "-mon", "chardev=serial,mode=readline", "-serial", "chardev:serial"]
        else:
            words += ["-chardev", f"socket,id=serial,fd={theirs.fileno()}", "-serial", "chardev:serial"]
        second, second_theirs = socket.socketpair()
        second_theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # a line keeps little that was not taken
        if self.second:
            words += ["-chardev", f"socket,id=second,fd={second_theirs.fileno()}", "-device", "isa-serial,chardev=second,index=1"]
        passed = (theirs.fileno(), monitor_theirs.fileno(), second_theirs.fileno())
        with open(os.path.join(self.folder, "qemu.log"), "wb") as log:
            self.process = subprocess.Popen(words, pass_fds=passed, stderr=log, preexec_fn=die_with_maker,
                                            stdin=None if self.terminal else subprocess.DEVNULL, stdout=None if self.terminal else log)
        for one in (theirs, monitor_theirs, second_theirs):
            one.close()
        self.monitor = monitor.makefile("rw")
        monitor.close()
        self.begin(ours)
        if self.second:
            self.second.begin(second)
        else:
            second.close()
        try:
            self.monitor.readline()  # who QEMU is
            self.ask("qmp_capabilities")
            self.ask("cont")
        except (OSError, ValueError, Failed):
            self.end()
            raise Failed(f"QEMU did not start: {self.log()}") from None
        self.started = time.monotonic()
        return self

    def __exit__(self, *_):
        self.end()

    def log(self):
        with open(os.path.join(self.folder, "qemu.log"), errors="replace") as file:
            return file.read()[-2000:].strip()

    def ask(self, command, **arguments):
        """One command of QEMU's monitor (QMP); its answer."""
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while line := self.monitor.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise Failed(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise Failed(f"{command}: QEMU ended")

    def pid(self):
        return self.process.pid

    def ended(self, seconds):
        """Waits until the machine has ended by itself: True."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self):
        """Power off, as if a plug were pulled."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for one in (self.serial, self.monitor, self.second and self.second.serial):
            if one:
                try:
                    one.close()
                except OSError:
                    pass
