"""What a host may deny a process: system calls, limits, capabilities, disk space. For subprocess' preexec_fn.

Not a test by itself (no execute bit).
"""
import ctypes
import os
import resource
import shutil
import struct
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 23, 24, 38
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
IO_URING_SETUP, IO_URING_REGISTER = 425, 427
ENOSYS, EPERM = 38, 1
NOBODY = 54321  # a user that owns nothing else


class Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def prctl(*words):
    if LIBC.prctl(*[ctypes.c_ulong(w) if isinstance(w, int) else w for w in words]) < 0:
        raise OSError(ctypes.get_errno(), "prctl")


def deny_calls(first, last, error):
    """A seccomp filter: calls numbered first to last give this error, all others go through."""
    code = struct.pack("=HBBI", 0x20, 0, 0, 0)  # load the call's number
    code += struct.pack("=HBBI", 0x35, 0, 2, first)  # below first: allow
    code += struct.pack("=HBBI", 0x25, 1, 0, last)  # above last: allow
    code += struct.pack("=HBBI", 0x06, 0, 0, 0x00050000 | error)
    code += struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0)


def without_io_uring():
    deny_calls(IO_URING_SETUP, IO_URING_REGISTER, ENOSYS)


def with_io_uring_forbidden():
    deny_calls(IO_URING_SETUP, IO_URING_REGISTER, EPERM)


def address_space(limit):
    def preexec():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return preexec


def few_files(count=23):
    def preexec():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return preexec


def may_drop():
    """As root, capabilities can be dropped for a child; as anybody else there are none."""
    return os.getuid() != 0 or LIBC.prctl(PR_CAPBSET_READ, ctypes.c_ulong(8), 0, 0, 0) == 1


def drop(*capabilities):
    if os.getuid() == 0:
        for capability in capabilities:
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def as_nobody_special():
    drop(CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)


def lend(path, folders):
    """As root: gives what is at `path` to a user who has nothing else, as locked memory is counted per user; `folders` may be entered."""
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", path], check=True)
        for folder in folders:
            os.chmod(folder, 0o755)


def give_back(path):
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "0:0", path], check=True)


def small_memlock(kib):
    def preexec():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (kib << 10, kib << 10))
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    return preexec


class SmallDisk:
    """`place` lies for a while on a file system with `room` bytes beside what it holds: a tmpfs as root. Elsewhere preexec() limits the size
    of files instead."""

    def __init__(self, mount, place, room):
        self.mount, self.place = mount, place
        self.size = room + sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(place) for f in files)
        self.is_there = False

    def preexec(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))

    def __enter__(self):
        os.makedirs(self.mount)
        self.is_there = os.getuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "none", self.mount],
                                                            capture_output=True).returncode == 0
        if self.is_there:
            try:
                shutil.copytree(self.place, f"{self.mount}/data")
            except OSError:
                subprocess.run(["umount", "-l", self.mount], capture_output=True)
                raise
            os.rename(self.place, self.place + ".aside")
            os.symlink(f"{self.mount}/data", self.place)
        return self

    def grow(self, size):
        if self.is_there:
            subprocess.run(["mount", "-o", f"remount,size={size}", self.mount], check=True, capture_output=True)

    def is_still_full(self):
        if not self.is_there:
            return True
        at = os.statvfs(self.mount)
        return at.f_bavail * at.f_frsize < 16384

    def __exit__(self, *_):
        """What is on the disk by now becomes the place's content."""
        if self.is_there:
            os.unlink(self.place)
            shutil.rmtree(self.place + ".aside")
            shutil.copytree(f"{self.mount}/data", self.place)
            subprocess.run(["umount", "-l", self.mount], check=True, capture_output=True)
