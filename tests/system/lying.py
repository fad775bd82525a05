"""Systems with one liar in a cluster: started, loaded, looked at. Used by liars_*.py, leaders.py and kills*.py.

Not a test by itself (no execute bit).
"""
import glob
import json
import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import System, TOP, bench, wait  # noqa: E402

LIAR = "build/gcc/tests/liar/heracliusd-liar"
TOLD = re.compile(r"^liar kind=(\w+) count=(\d+)", re.M)


def build():
    subprocess.run(["make", "-s", LIAR], cwd=TOP, check=True, timeout=600)


def lying_system(lies, **options):
    """`lies`: node name -> HERACLIUS_LIE, or a pair of it and the file while which it lies (below the system's folder)."""
    system = System(programs={name: LIAR for name in lies}, **options)
    for name, lie in lies.items():
        text, path = lie if isinstance(lie, tuple) else (lie, None)
        system.node_env[name] = {"HERACLIUS_LIE": text}
        if path:
            system.node_env[name]["HERACLIUS_LIE_WHILE"] = f"{system.dir}/{path}"
    return system


def touch(system, path, text=""):
    with open(f"{system.dir}/{path}.new", "w") as f:
        f.write(text)
    os.rename(f"{system.dir}/{path}.new", f"{system.dir}/{path}")


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


def evidence_of(system, liars):
    """Files of evidence of the honest nodes: (convicted node -> kinds, what does not convict)."""
    convicted, bad = {}, []
    for name in (n for n in system.names if n not in liars):
        for path in sorted(glob.glob(f"{system.root}/{name}/data/evidence/*.evidence")):
            done = system.client("evidence", "verify", "-s", f"{system.root}/system.json", "--json", path)
            said = json.loads(done.stdout or "{}")
            if done.returncode != 0 or not said.get("convicts"):
                bad.append((path, done.stdout, done.stderr))
            else:
                convicted.setdefault(said["name"] or said["cluster"], set()).add(said["kind"])
    return convicted, bad


def linearizable(history):
    done = subprocess.run([sys.executable, f"{TOP}/tests/history/checker.py", history], capture_output=True, text=True, timeout=900)
    return done.returncode == 0, (done.stdout.strip().splitlines() or [done.stderr])[-1]


class Load(threading.Thread):
    """bench in the background, with a history."""

    def __init__(self, system, name, *words, limit_s=300):
        super().__init__()
        self.system, self.out, self.words, self.limit_s = system, f"{system.dir}/{name}", words, limit_s
        self.history = f"{self.out}.history"
        self.code, self.summary, self.text = None, None, ""
        self.start()

    def run(self):
        try:
            self.code, self.summary, self.text = bench(self.system, self.out, "--history", self.history, *self.words,
                                                       limit_s=self.limit_s)
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


def count_up(system, rounds, client, via):
    """Adds 1 so often by way of this node, each acknowledged or settled; (how many took effect, trouble)."""
    sure, trouble = 0, []
    for _ in range(rounds):
        done = system.client("add", "counted", 1, "--timeout", 20, "--via", via, client=client, timeout=60)
        if done.returncode == 0:
            sure += 1
            continue
        settle = system.client("settle", "--retry", "--timeout", 20, client=client, timeout=60)
        sure += settle.stdout.count(": OK") + settle.stdout.count(": RECORDED")
        if settle.returncode != 0:
            trouble.append(done.stderr + settle.stdout + settle.stderr)
    return sure, trouble


def longest_pause_s(times):
    return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e6


SECONDS_SHORT, SECONDS_LONG = 5, 60
PAUSE_LIMIT_S = 5.0
UNSEEN = None


def scene(cases, lies, expected, long, forged=False, stops=(), convicts=None):
    """One liar in each cluster at a time, under load. `expected`: liar -> names of attacks of which an honest node's status names one with this
    liar as the attacker; or UNSEEN: nobody can see this lie, and its outcome alone counts. `stops`: liars that find their own fault and end.
    `convicts`: liar -> kinds of evidence that an honest node keeps of it, which is verified offline; no evidence ever convicts another."""
    convicts = convicts or {}
    name = " and ".join(f"{node} {lie}" for node, lie in lies.items())
    with lying_system(lies) as system:
        system.start_all()
        # Whoever leads first is to be there when it is asked: a leader that was late lost its view for that, and not for its lies.
        wait(lambda: all((system.ask(node) or {}).get("phase") == "voting" for node in system.names), 30)
        if not cases.case(f"{name}: ready", system.wait_ready(), system.states("c0")):
            return
        load = Load(system, "load", "--users", 24, "--seconds", SECONDS_LONG if long else SECONDS_SHORT, "--keys", 40, "--mix", "50:50",
                    "--client-keys", 3, "--ops-per-signature", 4)
        sure, trouble = count_up(system, 50 if long else 6, "bench-4", next(iter(lies)))
        load.done()
        summary = load.summary or {}
        good = summary.get("errors") == 0 and load.code in ((0, 1) if forged else (0,))
        operations = summary.get("reads", 0) + summary.get("writes", 0)
        cases.case(f"{name}: no error in {operations} operations", good, f"exit {load.code} {summary} {load.text}")
        good, text = linearizable(load.history)
        cases.case(f"{name}: {text}", good, text)
        times = load.answers()
        pause = longest_pause_s(times)
        cases.case(f"{name}: service stayed up, longest pause {pause:.2f} s", len(times) > 50 and pause < PAUSE_LIMIT_S, len(times))
        counted = system.client("get", "counted", "--timeout", 20, "--via", next(iter(lies)))
        good = not trouble and counted.stdout == f"{sure}\n"
        cases.case(f"{name}: {sure} additions by way of the liar took effect once", good, f"{counted} {trouble}")
        if not forged:
            cases.case(f"{name}: no client saw an answer that does not verify", summary.get("verification_failures") == 0, summary)
        gone = [node for node in lies if not system.running(node) and node not in stops]
        cases.case(f"{name}: the liars still run", not gone, [system.log(node)[-700:] for node in gone])
        told = {node: lies_told(system, node) for node in lies}
        cases.case(f"{name}: the attacks happened: {told}", all(told.values()), told)
        attacks, attackers, dropped = seen(system, lies)
        for node, names in expected.items():
            if names is UNSEEN:
                named = [a for a, by in attackers if by == node]
                print(f"     {node} {lies[node]}: no honest node can see this lie, its outcome is what counts (named for: {named})")
                continue
            found = [a for a in names if (a, node) in attackers or (a.startswith("dropped ") and dropped.get(a[8:], 0) > 0)]
            cases.case(f"{name}: honest nodes name {node} for {found or names}", found, f"{attackers} {dropped}")
        # Leaders and sources are judged by time as well; everything else needs proof, and no honest node may be named for it.
        wrongly = {a: n for a, n in attackers.items() if a[1] not in lies and a[0] not in ("silent_leader", "withheld_slice")}
        cases.case(f"{name}: no honest node is accused", not wrongly, wrongly)
        convicted, bad = evidence_of(system, lies)
        good = not bad and set(convicted) <= set(lies) and all(convicts.get(n, set()) <= convicted.get(n, set()) for n in convicts)
        cases.case(f"{name}: evidence convicts {convicted or 'nobody'}", good, f"{bad} {convicted} {convicts}")
        for node in stops:
            # The product opens itself anew then; a liar's process ends there.
            told = any(m in system.log(node) for m in ("checksum of the table in memory", " node_opens_anew "))
            down = not system.running(node) and told
            log = system.log(node)[-900:].replace("\n", "; ")
            cases.case(f"{name}: {node} found the fault of its own memory and stopped with a message", down, log)
            unseen = [n for n, s in system.cluster(node[:2]).items() if s["members_seen"][int(node[4:])]["up"]]
            cases.case(f"{name}: the others' status shows that {node} is down", not unseen, unseen)
