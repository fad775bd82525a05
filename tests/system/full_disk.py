#!/usr/bin/env python3
"""heraclius-setup on a data disk that is full to its last block and its last inode, as a node in strange hands can make it: the node's key is given
up, and a configuration is brought, by the room that is kept for it (appliance/setup/setup.h); without that room the key is given up all the same, and
the configuration refused with what to do. Cut off at any call, and the disk filled again, both are done at the next try.

On a file system in memory, and on ext4 where one may be mounted, each seen by this test alone. full_disk.py short|long [SEED]
"""
import ctypes
import errno
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import appliance_config  # noqa: E402
from appliance_config import Machines, put, read, run, setup  # noqa: E402
from cluster import Cases, is_long, seed_of  # noqa: E402

NAME = "c0-n0"
MEGABYTES, INODES, PIECE = 160, 500, 1 << 20
PIECES = [f"ballast.{letter}" for letter in "abcdefghijklmnopqrst"]
WORDS = "the operator gave this node's key up\n"
FULL = "the disk is full: give it more room, then reboot (operating.md"


class Machine:
    """One whose /data is a small disk."""

    def __init__(self, cases, machines, kind):
        self.cases, self.kind, self.dir, self.root = cases, kind, machines.dir, machines.at(NAME)
        self.data = f"{self.root}/data"
        self.public, self.node, self.filler = f"{self.data}/public", f"{self.data}/node", f"{self.data}/node/filler"
        os.makedirs(self.data)
        if kind == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,nr_inodes={INODES}", "none", self.data], check=True)
        else:
            assert not mounted(ext4(machines.dir), self.data)

    def case(self, name, good, why=""):
        self.cases.case(f"{self.kind}: {name}", good, why)

    # ---- what the node does to the disk

    def fill(self, inodes=True, left=0):
        """All that is free is taken, but `left` bytes."""
        os.makedirs(self.filler, exist_ok=True)
        count = len(os.listdir(self.filler))
        try:
            while inodes:
                count += 1
                os.close(os.open(f"{self.filler}/{count}", os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
        file = os.open(f"{self.filler}/1", os.O_WRONLY | os.O_CREAT, 0o600)
        self.sync()
        at = os.fstat(file).st_size
        for step in (1 << 20, 1 << 16, 1 << 12):
            while self.free() - step >= left:
                try:
                    os.posix_fallocate(file, at, step)
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error
                    break
                at += step
        os.close(file)

    def free(self):
        about = os.statvfs(self.data)
        return about.f_bfree * about.f_frsize

    def empty(self):
        shutil.rmtree(self.filler, ignore_errors=True)
        self.sync()

    def sync(self):
        """What was removed is free from now on."""
        folder = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)
        assert ctypes.CDLL(None).syncfs(folder) == 0
        os.close(folder)

    # ---- what is there

    def ballast(self):
        """The blocks' bytes of each piece that is there."""
        return {name: os.stat(f"{self.public}/{name}").st_blocks * 512 for name in PIECES if os.path.isfile(f"{self.public}/{name}")}

    def whole(self):
        found = self.ballast()
        return len(found) == len(PIECES) and all(PIECE <= size <= PIECE + 8192 for size in found.values())

    def files(self, bundle):
        taken = setup(self.root, "take", bundle=f"{self.dir}/{bundle}")
        return setup(self.root, "files", bundle=f"{self.dir}/{bundle}") if taken.returncode == 0 else taken

    def unretired(self):
        for path in ("retired", "retired.new"):
            if os.path.lexists(f"{self.public}/{path}"):
                os.unlink(f"{self.public}/{path}")

    def room(self):
        """As at the beginning: the ballast whole, and nothing filled."""
        self.unretired()
        self.empty()
        return self.files("small").returncode == 0 and self.whole()


def ext4(folder):
    """A new one, in a file of no name later; in memory if that can be had, since all is synced again and again."""
    path = tempfile.mktemp(prefix="heraclius-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else folder)
    with open(path, "wb") as file:
        file.truncate(MEGABYTES << 20)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-m", "0", "-N", str(INODES), path], check=True)
    return path


def mounted(path, folder):
    """Why not; the file goes with the mount."""
    done = subprocess.run(["mount", "-o", "loop", path, folder], capture_output=True, text=True)
    os.unlink(path)
    return done.stderr.strip() if done.returncode else ""


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else -1


def bundles(machine, machines):
    """A small one, and one whose files are larger, with some that were not there."""
    with open(f"{machine.dir}/ca.pem", "w") as file:
        file.write("-----BEGIN CERTIFICATE-----\n" + ("A" * 64 + "\n") * 900 + "-----END CERTIFICATE-----\n")
    for name, words in (("small", ()), ("large", ("--number", 2, "--set", "log.level=warn", "--set", "syslog=192.0.2.9:6514", "--syslog-ca",
                                                  f"{machine.dir}/ca.pem"))):
        made = machines.bundle(NAME, name, "--set", f"listen=127.0.0.1:{machines.base}", *words)
        machine.case(f"a {name} bundle", made.returncode == 0, made)


def made(machine):
    machine.case("the room is there once the node has its keys", machine.whole(), machine.ballast())
    modes = {stat.S_IMODE(os.stat(f"{machine.public}/{name}").st_mode) for name in PIECES}
    machine.case("and nobody else's to read", modes == {0o600}, modes)
    for name in PIECES:
        os.unlink(f"{machine.public}/{name}")
    done = machine.files("small")
    machine.case("it is made at a start of an image that has it", done.returncode == 0 and machine.whole(), f"{done} {machine.ballast()}")
    for name in PIECES[:7]:
        os.unlink(f"{machine.public}/{name}")
    machine.fill(inodes=False, left=15 << 20)
    free, done = machine.free(), machine.files("small")
    machine.case("it takes no room of which a node has little", done.returncode == 0 and free - machine.free() < 1 << 20, (free, machine.free()))
    machine.case("and is whole when there is room", machine.room(), machine.ballast())


def configured(machine):
    for inodes in (False, True):
        what = "to its last block" + (" and its last inode" if inodes else "")
        machine.fill(inodes)
        done = machine.files("large")
        conf, ca = json.loads(read(f"{machine.node}/node.conf")), size(f"{machine.public}/syslog.pem")
        machine.case(f"a configuration is brought on a disk that is full {what}", done.returncode == 0 and done.stdout == "changed\n" and
                     conf["log_level"] == "warn" and ca == size(f"{machine.dir}/ca.pem"), f"{done} {conf} {ca}")
        machine.fill(inodes)
        again = machine.files("small")
        machine.case("and the next one after the node has taken all that became free", again.returncode == 0, again)
        machine.case("the room is kept again when there is some", machine.room(), machine.ballast())


def retired(machine):
    for inodes in (False, True):
        what = "to its last block" + (" and its last inode" if inodes else "")
        machine.fill(inodes)
        done = setup(machine.root, "retire")
        said = os.path.exists(f"{machine.public}/retired") and read(f"{machine.public}/retired")
        machine.case(f"a key is given up on a disk that is full {what}", done.returncode == 0 and said == WORDS, f"{done} {said}")
        told = machine.files("small")
        machine.case("and the node told", told.returncode == 0 and json.loads(read(f"{machine.node}/node.conf")).get("retired") is True, told)
        machine.room()


def without(machine):
    """A disk that was full before it came to an image that keeps room."""
    for name in PIECES:
        os.unlink(f"{machine.public}/{name}")
    machine.fill(inodes=machine.kind != "tmpfs")  # which counts each name as an inode
    before = {path: read(f"{machine.node}/{path}") for path in ("node.conf", "system.json", "addresses.json")}
    done = machine.files("large")
    machine.case("without the room a configuration is refused, with what to do", done.returncode == 1 and FULL in done.stderr, done)
    after = {path: read(f"{machine.node}/{path}") for path in before}
    machine.case("and the files are as they were", before == after and not os.path.exists(f"{machine.node}/node.conf.new"), after)
    done = setup(machine.root, "retire")
    machine.case("a key is given up without it", done.returncode == 0 and os.path.exists(f"{machine.public}/retired"), done)
    again = setup(machine.root, "retire")
    machine.case("and again", again.returncode == 0 and os.path.exists(f"{machine.public}/retired"), again)
    machine.empty()
    told = machine.files("small")
    conf = json.loads(read(f"{machine.node}/node.conf"))
    machine.case("and the node told once there is room", told.returncode == 0 and conf.get("retired") is True, f"{told} {conf}")
    machine.room()


def strange(machine):
    """What somebody else's disk has in the places of the room."""
    victim = f"{machine.node}/victim"
    put(victim, "not yours\n")
    about = os.stat(victim)
    for name in PIECES[:4]:
        os.unlink(f"{machine.public}/{name}")
    os.symlink(victim, f"{machine.public}/ballast.a")
    os.mkfifo(f"{machine.public}/ballast.b")
    put(f"{machine.public}/ballast.c/file", "in a folder\n")
    os.link(victim, f"{machine.public}/ballast.d")
    done = machine.files("small")
    now = os.stat(victim)
    machine.case("a link, a FIFO, a folder and another file's name are not written to", done.returncode == 0 and read(victim) == "not yours\n" and
                 (now.st_size, now.st_blocks, now.st_mode) == (about.st_size, about.st_blocks, about.st_mode) and
                 read(f"{machine.public}/ballast.c/file") == "in a folder\n", f"{done} {now} {about}")
    machine.fill()
    done, given_up = machine.files("large"), setup(machine.root, "retire")
    machine.case("nor in the way", (done.returncode, given_up.returncode) == (0, 0) and read(f"{machine.public}/retired") == WORDS and
                 read(victim) == "not yours\n", f"{done} {given_up}")
    shutil.rmtree(f"{machine.public}/ballast.c")
    os.unlink(victim)
    machine.case("and gone with the folder", machine.room(), machine.ballast())


# ---- cut off

PTRACE_TRACEME, PTRACE_SYSCALL = 0, 24


def ptrace(request, pid):
    return ctypes.CDLL(None).ptrace(request, pid, None, None)


def cut(machine, stop, word, bundle):
    """heraclius-setup, killed at the so many-th beginning or end of a system call. False: it had ended before."""
    nothing, file = os.open(os.devnull, os.O_RDWR), os.open(bundle, os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        for to, fd in ((0, nothing), (1, nothing), (2, nothing), (3, os.dup(file))):
            os.dup2(fd, to)
        if ptrace(PTRACE_TRACEME, 0) == 0:
            os.execv(appliance_config.SETUP, [appliance_config.SETUP, "--root", machine.root, word])
        os._exit(99)
    os.close(nothing), os.close(file)
    state = os.waitpid(pid, 0)[1]
    while stop > 0 and os.WIFSTOPPED(state):
        stop -= 1
        ptrace(PTRACE_SYSCALL, pid)
        state = os.waitpid(pid, 0)[1]
    if not os.WIFSTOPPED(state):
        assert os.WIFEXITED(state) and os.WEXITSTATUS(state) == 0, state
        return False
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def cuts(machine, word, good, chance, step):
    """At every `step`-th of all calls; each time the node takes what is free, as after a power cut, and it is tried again."""
    bad, count, stop, again = [], 0, chance.randrange(step), None
    while True:
        machine.room()
        machine.fill()
        if not cut(machine, stop, word, f"{machine.dir}/large"):
            break
        machine.fill()
        again = setup(machine.root, word, bundle=f"{machine.dir}/large")
        count += 1
        if again.returncode != 0 or not good():
            bad.append((stop, again))
        stop += step
    machine.case(f"{word} is done at the next try, cut off at each of {count} calls before", count > 100 // step and not bad, bad[:3])
    machine.room()


def all_of(cases, machines, kind, chance, is_short):
    machine = Machine(cases, machines, kind)
    try:
        appliance_config.ceremony(cases, machines)
        bundles(machine, machines)
        done = machine.files("small")
        machine.case("a node", done.returncode == 0, done)
        for part in (made, configured, retired, without, strange):
            part(machine)
        step = 20 if is_short else 1
        cuts(machine, "retire", lambda: read(f"{machine.public}/retired") == WORDS, chance, step)
        cuts(machine, "files", lambda: json.loads(read(f"{machine.node}/node.conf"))["log_level"] == "warn" and
             size(f"{machine.public}/syslog.pem") == size(f"{machine.dir}/ca.pem"), chance, step)
    finally:
        subprocess.run(["umount", machine.data], check=True)


def has_ext4(folder):
    """Whether one can be mounted here."""
    os.makedirs(f"{folder}/try")
    fault = mounted(ext4(folder), f"{folder}/try")
    if fault:
        print(f"ext4 cannot be mounted here, and is left out: {fault}")
    else:
        subprocess.run(["umount", f"{folder}/try"], check=True)
    return not fault


def main():
    cases = Cases()
    if "inside" not in sys.argv:
        for enter in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
            trial = subprocess.run([*enter, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
            if trial.returncode == 0:
                break
        else:
            print(f"skipped: nothing can be mounted here: {trial.stderr.strip()}")
            return 0
        return subprocess.run([*enter, sys.executable, os.path.abspath(__file__), *sys.argv[1:], "inside"], timeout=3600).returncode
    sys.argv.remove("inside")
    seed = seed_of(sys.argv)
    kinds = ["tmpfs"]
    for kind in kinds:
        with Machines(cases) as machines:
            all_of(cases, machines, kind, random.Random(f"{seed} {kind}"), not is_long(sys.argv))
            if kind == "tmpfs" and has_ext4(machines.dir):
                kinds.append("ext4")
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
