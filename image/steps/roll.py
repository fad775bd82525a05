"""A release rolled through the machines that have slots, by `heraclius upgrade` as docs/operating.md tells its operator, and what is seen of that
meanwhile by other ways than its own words: by the serial lines."""
import json
import subprocess
import threading

from . import operator
from .eight import ANSWER_S, PLACES, NotShown

ROLL_S, TRIES = 2400, 5
BEGINS, ENDS, PANICS = b"heraclius: Heraclius appliance", b"heraclius: going down", b"Kernel panic - not syncing"


class Watch:
    """Looks at the serial lines until end(). Whoever goes down, all others of its cluster are seen voting at their consoles before it has begun
    again: so no two are away at once."""

    def __init__(self, cluster, load):
        self.cluster, self.load, self.fault, self.ending = cluster, load, None, threading.Event()
        self.before = {i: self.counts(i) for i in cluster.slots}
        self.away = {}      # who is: how much was acknowledged when it went
        self.meanwhile = 0  # acknowledged while one was away
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def counts(self, i):
        machine = self.cluster.machines[i]
        with machine.changed:
            return {what: machine.text.count(what) for what in (BEGINS, ENDS, PANICS)}

    def since(self, i, what):
        """How often its serial line has said that since the roll began."""
        return self.counts(i)[what] - self.before[i][what]

    def run(self):
        seen = {i: 0 for i in self.cluster.slots}
        try:
            while not self.ending.wait(0.3):
                for i in self.cluster.slots:
                    if i in self.away and self.since(i, BEGINS) >= seen[i]:
                        self.meanwhile += len(self.load.acknowledged) - self.away.pop(i)
                    if self.since(i, ENDS) > seen[i]:
                        seen[i] += 1
                        self.away[i] = len(self.load.acknowledged)
                        self.others_vote(i, seen[i])
        except Exception as fault:  # of whatever kind: the roll is not shown then
            self.fault = fault

    def others_vote(self, i, times):
        for k in self.cluster.slots:
            while k != i and not self.cluster.consoles[k].is_voting():
                if self.since(i, BEGINS) >= times:
                    raise NotShown(f"{PLACES[k]} did not vote while {PLACES[i]} was away")

    def end(self):
        self.ending.set()
        self.thread.join(ANSWER_S)
        if self.fault or self.thread.is_alive():
            raise NotShown(f"while a release was rolled: {self.fault or 'a console is silent'}")


class Roll:
    """All that is done once for it: where the admin consoles are, and their certificates as the serial consoles show them."""

    def __init__(self, cluster):
        self.cluster, owner = cluster, cluster.owner
        pins = {cluster.names[i]: cluster.consoles[i].view("config")["admin TLS"].strip() for i in cluster.slots}
        at = [f"{cluster.names[i]}={cluster.net.link(i)},{cluster.net.admin(i)}" for i in cluster.slots]
        operator.command("address", "set", "-s", owner.path("system.json"), *at)
        with open(owner.path("consoles.json"), "w") as file:
            file.write(json.dumps({"certificate": "me.pem", "consoles": pins, "key": "me.key"}, indent=2, sort_keys=True) + "\n")

    def places(self, line):
        for name, place in zip(self.cluster.names, PLACES):
            line = line.replace(name, place)
        return line

    def run(self, number, load):
        """(exit code, lines with the places' names, its Watch). Once more, as one does, where a machine that shares two processors with seven others
        had no time in which to write the release down: it runs what it ran then, and the roll goes on there."""
        watch = Watch(self.cluster, load)
        for _ in range(TRIES):
            code, lines = self.once(number)
            if code == 0 or "heraclius-slots took too long" not in lines[-1]:
                break
        watch.end()
        return code, lines, watch

    def once(self, number):
        owner, lines = self.cluster.owner, []
        process = subprocess.Popen([operator.CLIENT, "-s", owner.path("system.json"), "--client", owner.path("roll.key"), "upgrade",
                                    self.cluster.releases[number], "--consoles", owner.path("consoles.json"), "--key", owner.public],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        limit = threading.Timer(ROLL_S, process.kill)
        limit.start()
        try:
            for line in process.stdout:
                lines.append(self.places(line.strip()))
                print(f"{self.cluster.name}:   {lines[-1]}", flush=True)
            process.wait()
        finally:
            limit.cancel()
            process.kill()
        return process.returncode, lines or [""]

    def slots(self):
        """{machine: what its console says, as operator.Console.slots() has it}"""
        return {i: self.cluster.consoles[i].slots() for i in self.cluster.slots}
