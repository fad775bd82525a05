"""Systems with one liar in a cluster: started, loaded, looked at. Used by liars_*.py and leaders.py.

Not a test by itself (no execute bit).
"""
import json
import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import System, TOP, bench  # noqa: E402

LIAR = "build/gcc/tests/liar/heracliusd-liar"
TOLD = re.compile(r"^liar kind=(\w+) count=(\d+)", re.M)


def build():
    subprocess.run(["make", "-s", LIAR, "product-gcc"], cwd=TOP, check=True, timeout=600)


def lying_system(lies, **options):
    """`lies`: node name -> HERACLIUS_LIE, or a pair of it and the file while which it lies (below the system's folder)."""
    system = System(programs={name: LIAR for name in lies}, **options)
    for name, lie in lies.items():
        text, path = lie if isinstance(lie, tuple) else (lie, None)
        system.node_env[name] = {"HERACLIUS_LIE": text}
        if path:
            system.node_env[name]["HERACLIUS_LIE_WHILE"] = f"{system.dir}/{path}"
    return system


def touch(system, path):
    with open(f"{system.dir}/{path}", "w"):
        pass


def lies_told(system, name):
    """How often this node lied, by its own word."""
    counts = [int(m.group(2)) for m in TOLD.finditer(system.log(name))]
    return counts[-1] if counts else 0


def seen(system, liars):
    """What the honest nodes' status says: attacks by name, attackers by (attack, peer), dropped input by cause, over all of them."""
    attacks, attackers, dropped = {}, {}, {}
    for prefix in ("c", "s"):
        for name, status in system.cluster(prefix).items():
            if name in liars:
                continue
            for key, value in status["attacks"].items():
                attacks[key] = attacks.get(key, 0) + value
            for key, value in status["dropped"].items():
                dropped[key] = dropped.get(key, 0) + value
            for a in status["attackers"]:
                peer = a["peer"] if not a["peer"].startswith("member ") else f"{status['cluster']}-n{a['peer'][7:]}"
                attackers[(a["attack"], peer)] = attackers.get((a["attack"], peer), 0) + a["count"]
    return attacks, attackers, dropped


def linearizable(history):
    done = subprocess.run([sys.executable, f"{TOP}/tests/history/checker.py", history], capture_output=True, text=True, timeout=120)
    return done.returncode == 0, (done.stdout.strip().splitlines() or [done.stderr])[-1]


class Load(threading.Thread):
    """bench in the background, with a history."""

    def __init__(self, system, name, *words):
        super().__init__()
        self.system, self.out, self.words = system, f"{system.dir}/{name}", words
        self.history = f"{self.out}.history"
        self.code, self.summary, self.text = None, None, ""
        self.start()

    def run(self):
        try:
            self.code, self.summary, self.text = bench(self.system, self.out, "--history", self.history, *self.words)
        except subprocess.TimeoutExpired as e:
            self.text = f"bench never ended: {e}"

    def done(self):
        self.join()
        return self

    def answers(self):
        """Times of return in microseconds, ascending."""
        times = []
        with open(self.history) as f:
            for line in f:
                op = json.loads(line)
                if op["outcome"] != "unknown":
                    times.append(op["return"])
        return sorted(times)


def count_up(system, rounds, client):
    """Adds 1 so often, each acknowledged or settled; (how many took effect, trouble)."""
    sure, trouble = 0, []
    for _ in range(rounds):
        done = system.client("add", "counted", 1, "--timeout", 20, client=client, timeout=60)
        if done.returncode == 0:
            sure += 1
            continue
        settle = system.client("settle", "--retry", "--timeout", 20, client=client, timeout=60)
        sure += settle.stdout.count(": OK") + settle.stdout.count(": RECORDED")
        if settle.returncode != 0:
            trouble.append(done.stderr + settle.stdout + settle.stderr)
    return sure, trouble
