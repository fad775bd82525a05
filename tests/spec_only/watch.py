"""What the image sees and allows of a node program: its health, one that hangs, its confinement (A-25, A-26).

How the text was read where it says less than a program must know:
- A-25: at just 60 seconds it hangs, and at just 10 minutes it may be asked again. What lies between two questions counts as five seconds at most:
  after an answer that came late the rest alone counts. It is judged when a question is due. "In time" is within 5 seconds, though who asks may
  wait longer; an object is any, `error` too. `--init` is asked nothing. A-23's doubling is forgotten: it was up for a minute.
- A-26: with EPERM fail all calls of the list that begins with "starts no program"; what a call fails with that --init alone may not, is not said.
  With --init it sees what it sees else, but /proc and /run.
"""
import json
import posixpath

from contract import ANSWER_MAX, METRICS_MAX

WELL_MS, BEGIN_MS, HANG_MS, AGAIN_MS, KILL_MS, EACH_MS = 5000, 10000, 60000, 600000, 10000, 5000
DESCRIPTORS, THREADS, RUN_BYTES, RUN_FILES, SHARE = 4096, 512, 2 << 20, 256, 4
INIT_DESCRIPTORS, INIT_LOCKED = 64, 1 << 20
READS = ["/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup/node"]
DEVICES = ["/dev/null", "/dev/urandom"]
WRITES = ["/data/node", "/run/node"]
ALWAYS, ITSELF, NEVER, NOT_INIT = "always", "itself", "never", "not with --init"
ACTS = {"listen": NOT_INIT, "connect": NOT_INIT, "io_uring": NOT_INIT, "lock": ALWAYS, "seccomp": ITSELF, "program": NEVER, "device": NEVER,
        "tgkill": ITSELF, "kill": NEVER, "limit": ITSELF, "cpus": ITSELF, "policy": NEVER, "niceness": NEVER}


def well(since_start_ms, took_ms):
    """A-25: of a `ready` that was answered after so long, None if never; None is not judged yet."""
    if since_start_ms < BEGIN_MS:
        return None
    return took_ms is not None and took_ms <= WELL_MS


class Watch:
    """A-25: whether a program that runs hangs."""

    def __init__(self):
        self.last, self.silent, self.asked = None, 0, None

    def started(self):
        """Another process; when the last one was asked to end is not forgotten."""
        self.last, self.silent = None, 0

    def answered(self, ms):
        self.last, self.silent = ms, 0

    def question(self, ms):
        """One is due: whether it is asked to end now."""
        if self.last is not None:
            self.silent += min(ms - self.last, EACH_MS)
        self.last = ms
        hangs = self.silent >= HANG_MS and (self.asked is None or ms - self.asked >= AGAIN_MS)
        if hangs:
            self.asked = ms
        return hangs


def is_answer(raw, took_ms, what="ready"):
    """A-25: whether these bytes, with their 0x0A, are an answer; None: there is none, or no connection."""
    if raw is None or took_ms > WELL_MS or len(raw) > (METRICS_MAX if what == "metrics" else ANSWER_MAX) or raw.find(b"\n") != len(raw) - 1:
        return False
    try:
        return isinstance(json.loads(raw), dict)
    except ValueError:
        return False


def ends(ms):
    """By what one ends that was asked to and needs so long."""
    return "TERM" if ms <= KILL_MS else "KILL"


def may(act, itself=True, init=False):
    """A-26."""
    rule = ACTS[act]
    return rule == ALWAYS or rule == ITSELF and itself or rule == NOT_INIT and not init


def fails(act, itself=True):
    """What a call fails with that it may not make, or None; it goes on."""
    return None if may(act, itself) else "EPERM"


def sees(path, init=False):
    """A-26: "write", "read" or None, of a path that is no library."""
    path = posixpath.normpath(path)
    within = lambda roots: any(path == x or path.startswith(x + "/") for x in roots)
    if init and within(["/proc", "/run"]):
        return None
    return "write" if within(WRITES) else "read" if within(READS) or path in DEVICES else None


def locks(count, memory, init=False):
    """Whether it may lock so many bytes; memory: what it is given."""
    return count <= (INIT_LOCKED if init else memory)


def share(disk_bytes):
    """What is for it alone at least, of a data disk that had so many bytes as it was made."""
    return -(-disk_bytes * SHARE // 100)
