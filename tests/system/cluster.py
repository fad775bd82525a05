"""A system of real processes for the tests in this folder: made in a folder of its own, each node started, killed, restarted by name.

Not a test by itself (no execute bit). Python's standard library only.
"""
import glob
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NODE = "build/gcc/heracliusd"
CLIENT = "./heraclius"


class Cases:
    """Counts, prints, and ends with the line that tests/run reads."""

    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, good, text=""):
        self.passed += bool(good)
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name}{'' if good else ': ' + str(text).strip()[:2000]}", flush=True)
        return good

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def free_base(count):
    """`count` neighbouring ports that nobody listens on now, of those that tests/run gives to this test alone: a node that is down holds none."""
    first, last = map(int, os.environ.get("HERACLIUS_TEST_PORTS", "10000-30999").split("-"))
    for _ in range(200):
        base = random.randrange(first, last + 2 - count)
        try:
            for port in range(base, base + count):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
    raise RuntimeError("no free ports")


class System:
    def __init__(self, coordinators=1, shards=1, nodes=4, env=None, programs=None, conf=None, settings=(), bench_keys=None):
        """`settings`: NAME=VALUE of limits and time-outs; `env`: for every node; `programs`: node name -> another heracliusd; `conf`: fields to
        change in each node.conf; `bench_keys`: how many clients for bench."""
        self.dir = tempfile.mkdtemp(prefix="heraclius-", dir=self.parent())
        self.env = dict(env or {})
        self.node_env = {}
        self.programs = dict(programs or {})
        self.live = {}
        count = (coordinators + shards) * nodes
        made = subprocess.run([CLIENT, "system", "local", "--out", f"{self.dir}/s", "--coordinators", str(coordinators), "--shards", str(shards),
                               "--nodes", str(nodes), "--port-base", str(free_base(count))]
                              + (["--bench-keys", str(bench_keys)] if bench_keys else [])
                              + [word for setting in settings for word in ("--set", setting)], cwd=TOP, capture_output=True, text=True, timeout=120)
        if made.returncode != 0:
            raise RuntimeError(f"system local failed: {made.stdout}{made.stderr}")
        self.root = f"{self.dir}/s"
        self.names = sorted(os.path.basename(os.path.dirname(c)) for c in glob.glob(f"{self.root}/*/node.conf"))
        for name in self.names if conf else []:
            self.change_conf(name, conf)

    @staticmethod
    def parent():
        path = os.path.join(TOP, "build/test-tmp")
        os.makedirs(path, exist_ok=True)
        return path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill_all()
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"kept {self.dir}")

    def change_conf(self, name, fields):
        path = f"{self.root}/{name}/node.conf"
        with open(path) as f:
            conf = json.load(f)
        conf.update(fields)
        with open(path, "w") as f:
            json.dump(conf, f, indent=2)

    # ---- processes

    def start(self, name, preexec=None):
        program = self.programs.get(name, NODE)
        env = dict(os.environ, **self.env, **self.node_env.get(name, {}))
        with open(f"{self.root}/{name}/log", "ab") as log:
            self.live[name] = subprocess.Popen([program, "--config", f"{self.root}/{name}/node.conf"], cwd=TOP, env=env, stdin=subprocess.DEVNULL,
                                               stdout=log, stderr=log, start_new_session=True, preexec_fn=preexec)

    def start_all(self):
        for name in self.names:
            if not self.running(name):
                self.start(name)

    def running(self, name):
        return name in self.live and self.live[name].poll() is None

    def kill(self, name, sig=signal.SIGKILL):
        process = self.live.get(name)
        if process and process.poll() is None:
            process.send_signal(sig)
        return process.wait(timeout=30) if process and sig in (signal.SIGKILL, signal.SIGTERM) else None

    def kill_all(self):
        for process in self.live.values():
            if process.poll() is None:
                process.kill()
        for process in self.live.values():
            process.wait(timeout=30)

    def log(self, name):
        with open(f"{self.root}/{name}/log", errors="replace") as f:
            return f.read()

    # ---- asking

    def ask(self, name, what="status"):
        """The node's own answer over its control socket; None if it does not answer."""
        here = os.getcwd()
        try:
            os.chdir(f"{self.root}/{name}")  # a socket's path is short
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect("control.sock")
                s.sendall(json.dumps({"ask": what}).encode() + b"\n")
                with s.makefile() as lines:
                    return json.loads(lines.readline())
        except (OSError, ValueError):
            return None
        finally:
            os.chdir(here)

    def cluster(self, prefix):
        """Answers of the live nodes whose names begin with this."""
        out = {}
        for name in self.names:
            if name.startswith(prefix) and self.running(name):
                status = self.ask(name)
                if status:
                    out[name] = status
        return out

    def leader(self, prefix):
        """Name of the leader that most live nodes of this cluster state."""
        votes = {}
        for status in self.cluster(prefix).values():
            votes[status["leader"]] = votes.get(status["leader"], 0) + 1
        return f"{prefix}-n{max(votes, key=votes.get)}" if votes else None

    def client(self, *words, timeout=60, client=None):
        options = ["--client", f"{self.root}/{client}.key"] if client else []
        return subprocess.run([CLIENT, "-s", f"{self.root}/system.json"] + options + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)

    def client_background(self, *words, client=None):
        options = ["--client", f"{self.root}/{client}.key"] if client else []
        return subprocess.Popen([CLIENT, "-s", f"{self.root}/system.json"] + options + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def wait_ready(self, limit_s=60):
        """Until a put and a get are answered with proof."""
        until = time.monotonic() + limit_s
        last = None
        while time.monotonic() < until:
            last = self.client("put", "ready", "yes", "--timeout", 5)
            if last.returncode == 0 and self.client("get", "ready", "--timeout", 5).stdout == "yes\n":
                return True
        print(f"not ready: {last.stdout}{last.stderr}", file=sys.stderr)
        return False

    def wait_equal(self, prefix, limit_s=60):
        """Until all live nodes of a cluster state one height and one state root; (height, root) or None. Idle clusters only."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            seen = {(s["height"], s["state_root_height"], s["state_root"]) for s in self.cluster(prefix).values()}
            if len(seen) == 1 and len(self.cluster(prefix)) == sum(n.startswith(prefix) and self.running(n) for n in self.names):
                return seen.pop()
            time.sleep(0.3)
        return None

    def states(self, prefix):
        return {n: (s["phase"], s["view"], s["height"], s["state_root_height"], s["state_root"][:16]) for n, s in self.cluster(prefix).items()}


def bench(system, out, *words, limit_s=300):
    """Runs bench to its end; (exit code, summary or None, stderr)."""
    os.makedirs(out, exist_ok=True)
    done = system.client("bench", "--out", out, *words, timeout=limit_s)
    summary = None
    if os.path.exists(f"{out}/summary.json"):
        with open(f"{out}/summary.json") as f:
            summary = json.load(f)
    return done.returncode, summary, done.stderr


def equal_roots(cases, name, system):
    for prefix in ("c0", "s0"):
        root = system.wait_equal(prefix, 60)
        cases.case(f"{name}: all nodes of {prefix} have one state root at one height", root is not None, system.states(prefix))


def wait(what, limit_s=60):
    """What it says once that is true, or what it says when the time is over."""
    until = time.monotonic() + limit_s
    while not (seen := what()) and time.monotonic() < until:
        time.sleep(0.1)
    return seen


def seed_of(argv):
    """The seed given as the second argument, or a random one; printed."""
    seed = int(argv[2]) if len(argv) > 2 else random.SystemRandom().getrandbits(32)
    print(f"seed {seed}", flush=True)
    return seed


def is_long(argv):
    return len(argv) > 1 and argv[1] == "long"
