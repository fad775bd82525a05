#!/usr/bin/env python3
"""An appliance whose disk is lost is replaced by a machine with a blank one, by the commands of docs/operating.md, "Replace an appliance": a new key
under the same name and at the same address, its card, a CONFIG, a configuration with `join` and the cluster's chain. No other node's configuration
changes. The old disk, should it turn up, votes no more.

The parts of init are played, as in appliance_config.py. Ends with "N passed, N failed".
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from appliance_config import Machines, ceremony, put, read, run, setup  # noqa: E402
from cluster import Cases, free_base  # noqa: E402

NAME = "s0-n2"


class Replaced(Machines):
    def ask(self, name, what="status"):
        """The control socket lies where an appliance has it."""
        there = f"{self.at(name)}/control.sock"
        if not os.path.lexists(there):
            os.symlink("run/node/control.sock", there)
        return super().ask(name, what)

    def wait_phase(self, name, phase, limit_s=60):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            state = self.ask(name)
            if state and state["phase"] == phase:
                return True
            time.sleep(0.2)
        return False

    def config(self, *words):
        return run("config", words[0], "-s", f"{self.root}/system.json", *words[1:])


def first_boot(cases, machines):
    good = True
    for i, name in enumerate(machines.names):
        done = machines.bundle(name, f"{name}.1", "--set", f"listen=127.0.0.1:{machines.base + i}")
        good = good and (done.returncode, machines.take(name, f"{name}.1").returncode, machines.files(name).returncode) == (0, 0, 0)
    machines.start_all()
    cases.case("eight appliances run by their configurations", good and machines.wait_ready(), machines.log("c0-n0")[-800:])
    cases.case("with something to lose", machines.client("put", "kept", "yes", "--timeout", 30).returncode == 0)


def card_made(cases, machines):
    """Steps 1 and 2: at the new machine, and at its owner's."""
    os.rename(machines.at(NAME), machines.at("old-disk"))
    root = machines.machine(NAME, machines.owner, False)
    asked = setup(root, "--name", NAME, "keys")
    put(f"{machines.dir}/{NAME}.request", asked.stdout)
    card = f"{machines.dir}/{NAME}.b.card"
    approved = run("node", "approve", f"{machines.dir}/{NAME}.request", "--owner-key", f"{machines.dir}/team.owner.key", "--out", card)
    cases.case("the new machine makes a key of its own under the old name, and its owner the card",
               (asked.returncode, approved.returncode) == (0, 0) and machines.ids[NAME] not in approved.stdout, approved)
    return card


def config_made(cases, machines, card):
    """Step 3: the CONFIG, which all k administrators sign."""
    change = f"{machines.dir}/change"
    done = machines.config("new", "s0", "--out", change, "--replace", f"{NAME}={card}")
    signed = machines.config("sign", change, "--admin-key", f"{machines.root}/admin.key", "--out", f"{change}.signed")
    cases.case("the CONFIG that puts its card in the old one's place, and the chain beside it", (done.returncode, signed.returncode) == (0, 0) and
               os.path.exists(f"{change}.chain"), f"{done} {signed}")
    return change


def configured(cases, machines, card, chain):
    """Step 4: a configuration of a node that the system file does not name."""
    out = f"{machines.dir}/{NAME}.b"
    port = machines.base + machines.names.index(NAME)
    listen = ("--set", f"listen=127.0.0.1:{port}")
    done = run("node", "config", "new", "-s", f"{machines.root}/system.json", "--node", NAME, *listen, "--out", f"{out}.wrong.new")
    signed = run("node", "config", "sign", f"{out}.wrong.new", "--owner-key", f"{machines.dir}/team.owner.key", "--out", f"{out}.wrong")
    taken = setup(machines.at(NAME), "take", bundle=f"{out}.wrong")
    cases.case("the configuration of the key that is lost is refused there: foreign",
               (done.returncode, signed.returncode, taken.returncode) == (0, 0, 1) and taken.stderr.startswith("foreign: "),
               f"{done} {signed} {taken}")
    done = run("node", "config", "new", "-s", f"{machines.root}/system.json", "--card", card, "--set", "join=s0", "--chain", chain, *listen, "--out",
               f"{out}.new")
    signed = run("node", "config", "sign", f"{out}.new", "--card", card, "--owner-key", f"{machines.dir}/team.owner.key", "--out", out)
    checked = run("node", "check-config", out, "--card", card)
    cases.case("its owner signs one with join and the chain; check-config says that it joins",
               (done.returncode, signed.returncode, checked.returncode) == (0, 0, 0) and
               f"node     {NAME}, joins cluster s0 when a CONFIG brings it in" in checked.stdout,
               f"{done} {signed} {checked}")
    unknown = run("node", "check-config", out)
    cases.case("without the card nobody can say whose it is", unknown.returncode == 1 and "proof-invalid" in unknown.stderr and
               "--card FILE" in unknown.stderr, unknown)
    taken, made = machines.take(NAME, f"{NAME}.b"), machines.files(NAME)
    cases.case("the new machine takes it, and makes its data", (taken.returncode, made.returncode) == (0, 0), f"{taken} {made}")
    machines.start(NAME)
    cases.case("it looks on: nobody knows its key yet", machines.wait_phase(NAME, "observing"), machines.log(NAME)[-800:])


def brought_in(cases, machines, change):
    """Step 5."""
    seen = machines.config("observe", f"{change}.signed")
    cases.case("observe: the members let it catch up before it counts", seen.returncode == 0, seen)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        mine, other = machines.ask(NAME), machines.ask("s0-n0")
        if mine and other and mine["height"] + 8 >= other["height"] > 0:
            break
        time.sleep(0.2)
    done = machines.config("submit", f"{change}.signed", "--timeout", "40")
    cases.case("submit: in force, and it votes, with exit 0", done.returncode == 0 and f"votes: {NAME}" in done.stdout and
               "in force: cluster s0 is in epoch 1" in done.stdout, done)
    cases.case("its own console says so", machines.wait_phase(NAME, "voting"), machines.log(NAME)[-800:])
    machines.kill("s0-n0")
    got = machines.client("get", "kept", "--timeout", 30)
    done = machines.client("put", "kept", "still", "--timeout", 30)
    cases.case("its vote is one that a quorum needs, and what was there is there", got.stdout == "yes\n" and done.returncode == 0, f"{got} {done}")
    machines.start("s0-n0")
    cases.case("and the one that was away comes back", machines.wait_phase("s0-n0", "voting"), machines.log("s0-n0")[-800:])


def restarted(cases, machines):
    """What a machine does at each start, of the configuration that it kept."""
    out, card = f"{machines.dir}/{NAME}.b", f"{machines.dir}/{NAME}.b.card"
    done = run("node", "config", "new", "-s", f"{machines.root}/system.json", "--from", out, "--card", card, "--set", "log.level=warn", "--out",
               f"{out}.2.new")
    signed = run("node", "config", "sign", f"{out}.2.new", "--card", card, "--owner-key", f"{machines.dir}/team.owner.key", "--out", f"{out}.2")
    taken, made = machines.take(NAME, f"{NAME}.b.2"), machines.files(NAME)
    cases.case("a later configuration is made from its last one, and keeps join",
               (done.returncode, signed.returncode, taken.returncode, made.returncode, made.stdout) == (0, 0, 0, 0, "changed\n") and
               '"join": "s0"' in read(f"{machines.at(NAME)}/data/node/node.conf"), f"{done} {signed} {taken} {made}")
    machines.kill(NAME)
    planned, made = setup(machines.at(NAME), "plan", bundle=f"{machines.at(NAME)}/data/config/bundle"), machines.files(NAME)
    machines.start(NAME)
    cases.case("started again it votes by what it kept", (planned.returncode, made.returncode, made.stdout) == (0, 0, "") and
               machines.wait_phase(NAME, "voting"), f"{planned} {made} {machines.log(NAME)[-800:]}")


def old_disk_turns_up(cases, machines):
    """Its address is the new one's, so it listens elsewhere. Who dials whom depends on the keys: it dials a member, which tells it; or none, and
    nobody comes where it listens, which it says."""
    root, free = machines.at("old-disk"), free_base(1)
    conf = f"{root}/data/node/node.conf"
    put(conf, re.sub(r'"127\.0\.0\.1:\d+"', f'"127.0.0.1:{free}"', read(conf)).replace(machines.at(NAME), root))
    before = len(machines.log("old-disk"))  # of its better days
    machines.start("old-disk")
    gone, alone, until = False, False, time.monotonic() + 60
    while time.monotonic() < until and not (gone or alone):
        gone, alone = machines.wait_phase("old-disk", "removed", 1), " asking_long " in machines.log("old-disk")[before:]
    cases.case("the old disk, started after all, finds that its key was replaced" + ("" if gone else ", or reaches nobody") + ": it signs nothing",
               (gone or alone) and not machines.ask("old-disk")["ready"] and " voting " not in machines.log("old-disk")[before:],
               f"{machines.ask('old-disk')} {machines.log('old-disk')[-1200:]}")


def main():
    cases = Cases()
    with Replaced(cases) as machines:
        ceremony(cases, machines)
        first_boot(cases, machines)
        machines.kill(NAME)
        card = card_made(cases, machines)
        change = config_made(cases, machines, card)
        configured(cases, machines, card, f"{change}.chain")
        brought_in(cases, machines, change)
        restarted(cases, machines)
        old_disk_turns_up(cases, machines)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
