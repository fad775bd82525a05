"""`heraclius upgrade` and a whole machine: from the client by HTTPS to heraclius-admin, init, heraclius-slots, the boot partition, systemd-boot, a
start on trial, and the vote that blesses it. All programs are our own; the machine starts by UEFI from the raw disk, as the fourth member of a shard
whose other three are processes here. `make test-roll` runs it (no execute bit: each start by UEFI takes an emulated machine half a minute).

The first release is bad: its init ends. The machine panics as often as the loader tries, and comes back to what it ran, by itself; the roll says so
and ends with 1. The second one comes up, and its node (voter.c) answers and never votes: it is given up 300 s after its start, by itself, and the
console of what comes back says why. The third one is blessed, and votes in a cluster that needs its vote."""
import json
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vote  # noqa: E402
from vote import MACHINE, Cases, operator, vm  # noqa: E402

FIRST, BAD, MUTE, GOOD = 1000, 1001, 1002, 1003
TRIAL_S = 300  # spec/appliance.md A-37
START_S, ROLL_S, MEMORY_MB, ADMIN_PORT = 300, 2400, 256, 8443
BEGINS, ENDS, PANICS = b"heraclius: Heraclius appliance", b"heraclius: going down", b"Kernel panic - not syncing"


class Rolled(vote.Beside):
    """Its machine has two slots, and takes orders from who has me.key."""

    def machine(self, *extra):
        lan = vm.user_network([(self.port(MACHINE), self.port(MACHINE)), (self.admin, ADMIN_PORT)], reaches_host=True)
        return vm.Machine(f"{self.dir}/machine", vm.uefi_disk(f"{self.out}/heraclius-amd64.img"), [vm.drive("data", self.disk), vm.network(0, lan),
                                                                                                   *extra], MEMORY_MB, reboots=True)

    def assemble(self, name):
        """As there, and whose the admin console is."""
        super().assemble(name)
        for ending in ("new", "cfg"):  # its own says more
            os.remove(self.owner.path(f"{MACHINE}.{ending}"))
        settings = ["net.0.address=10.0.2.15/24", f"admin.listen=10.0.2.15:{ADMIN_PORT}", f"admin.client.0=own:{self.owner.certificate()}"]
        return self.owner.configure(MACHINE, name, self.owner.path("machine.json"), settings)

    def releases(self):
        mute, source = self.owner.path("mute"), os.path.join(vote.TOP, "tests/image/voter.c")
        subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-DPORT=0", "-DVOTES=0", "-o", mute, source], check=True)
        self.owner.release(BAD, "init")
        self.owner.release(MUTE, node=mute)
        self.owner.release(GOOD)

    def consoles(self, name, pin):
        """What its operator writes down once."""
        operator.command("address", "set", "-s", self.owner.path("system.json"),
                         f"{name}=127.0.0.1:{self.port(MACHINE)},127.0.0.1:{self.admin}")
        with open(self.owner.path("consoles.json"), "w") as file:
            json.dump({"certificate": "me.pem", "consoles": {name: pin}, "key": "me.key"}, file, indent=2)

    def roll(self, number):
        """(exit code, what was said)"""
        done = subprocess.run([operator.CLIENT, "-s", self.owner.path("system.json"), "upgrade", self.owner.path(f"{number}.release"), "--consoles",
                               self.owner.path("consoles.json"), "--key", self.owner.public], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=ROLL_S)
        return done.returncode, done.stdout


def counts(machine):
    with machine.changed:
        return tuple(machine.text.count(what) for what in (BEGINS, ENDS, PANICS))


def came(machine, before):
    return tuple(now - then for now, then in zip(counts(machine), before))


def first(cases, system, machine):
    """From power-on to a vote; its console."""
    console = operator.Console(machine)
    console.ready(START_S)
    name = system.owner.approve(console.request(), MACHINE)
    config = system.assemble(name)
    system.start_all()
    cases.case("the other seven answer without it", system.wait_ready(120), system.states("s0"))
    said = console.configure(config)
    cases.case("its configuration is taken", "is in force" in said, said)
    cases.case("it votes, from slot 1", vote.until_it_votes(console, START_S), console.do("logs node 20"))
    seen = console.slots()
    cases.case("slot 2 is empty", seen == (1, True, {1: (FIRST, "blessed"), 2: None}), seen)
    system.consoles(name, console.view("config").get("admin TLS", "").strip())
    return console


def bad(cases, system, console):
    before = counts(console.machine)
    code, said = system.roll(BAD)
    cases.case("the roll of a release whose init ends stops, and names who gave it up",
               code == 1 and f"gave release {BAD} up and runs {FIRST} again" in said.replace("\n", " "), (code, said))
    seen, did = console.slots(), came(console.machine, before)
    cases.case("it was tried twice, and the machine came back by itself to what it ran", did == (1, 1, 2), did)
    cases.case("its console says so", seen == (1, True, {1: (FIRST, "blessed"), 2: (BAD, "given up")}), seen)
    cases.case("it votes again", vote.until_it_votes(console, START_S), console.do("logs node 20"))


def mute(cases, system, console):
    """The seconds after its start at which the image that does not vote is given up."""
    before = counts(console.machine)
    code, said = system.roll(MUTE)
    seen, did = console.slots(), came(console.machine, before)
    cases.case("the roll of a release that comes up and does not vote stops, and names who gave it up",
               code == 1 and f"gave release {MUTE} up and runs {FIRST} again" in said.replace("\n", " "), (code, said))
    cases.case("it was started once, and went down in order to come back to what ran", did == (2, 2, 0), did)
    trial = " ".join(console.do("logs trial before 40").split())
    ended = re.search(rf"trial of {MUTE} waits for vote, (\d+) of {TRIAL_S}000 ms counted: given up: the node has not voted", trial)
    cases.case(f"by itself, {TRIAL_S} s after its start, as the log of its trial says", ended and int(ended[1]) >= TRIAL_S * 1000, trial[-300:])
    cases.case("its console says so", seen == (1, True, {1: (FIRST, "blessed"), 2: (MUTE, "given up")}), seen)
    why = console.view("slots").get("given up")
    cases.case("and why", why == "slot 2: given up: the node has not voted yet", why)
    cases.case("it votes again", vote.until_it_votes(console, START_S), console.do("logs node 20"))
    return int(ended[1]) // 1000 if ended else None


def good(cases, system, console):
    before, began = counts(console.machine), time.monotonic()
    code, said = system.roll(GOOD)
    took_s = time.monotonic() - began
    seen, did = console.slots(), came(console.machine, before)
    cases.case("the next release is rolled", code == 0 and f"1 of 1 nodes run {GOOD}" in said, (code, said))
    cases.case("with one start", did == (1, 1, 0), did)
    cases.case("it runs from slot 2, blessed", seen == (2, True, {1: (FIRST, "blessed"), 2: (GOOD, "blessed")}), seen)
    trial = console.do("logs trial 40").replace("\n", " ")
    cases.case("once its node had voted in a decision", "voted in a decision" in trial, trial)
    vote.needed(cases, system)
    vote.same_state(cases, system, console)
    console.confirmed("halt")
    cases.case("it goes down in order", console.machine.ended(60) and b"halted" in console.machine.text, console.machine.last(600))
    return took_s


def main():
    cases = Cases()
    subprocess.run(["make", "-s", "product-gcc", "heraclius"], cwd=vote.TOP, check=True)
    with Rolled() as system:
        operator.image(system.out, system.owner.public, only=None, number=FIRST)
        system.releases()
        try:
            with system.machine() as machine:
                console = first(cases, system, machine)
                bad(cases, system, console)
                given_up_s = mute(cases, system, console)
                took_s = good(cases, system, console)
                print(f"rolled: a bad release fell back by itself after two panics, one that does not vote {given_up_s} s after its start; a good "
                      f"one was handed over, started, blessed and voted in {took_s:.0f} s")
        except (vm.Failed, operator.Refused, subprocess.TimeoutExpired) as fault:
            cases.case("the machine and its owner go on", False, fault)
    return cases.end()


sys.exit(main())
