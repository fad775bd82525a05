#!/usr/bin/env python3
"""A system is lost and goes on upon appliances (spec/appliance.md A-19): each machine makes its key, has the backup on its data disk, and takes a
configuration that brings the predecessor's system file and the statement. What is not a whole succession is refused by its word, and nothing is made.

The parts of init are played, as in appliance_config.py. Ends with "N passed, N failed".
"""
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from appliance_config import Machines, put, run, setup  # noqa: E402
from cluster import Cases, System, free_base, wait  # noqa: E402
from succession import lost_with_backup  # noqa: E402


class Successor(Machines):
    """Appliances of a system that succeeds `old`, from the backups of it."""

    def __init__(self, cases, folder, old, backup):
        self.dir, self.root, self.cases = f"{folder}/new", f"{folder}/new/s", cases
        os.makedirs(self.root)
        self.env, self.node_env, self.programs, self.live, self.ids = {}, {}, {}, {}, {}
        self.names = [f"{c}-n{i}" for c in ("c0", "s0") for i in range(4)]
        self.base = free_base(len(self.names))
        self.old, self.backup, self.before = old, backup, f"{old.root}/system.json"
        self.owner = self.owner_make("team")
        self.of_it = ("--predecessor", self.before, "--statement", f"{self.dir}/statement.1")

    def assemble(self):
        cards = {"c0": [], "s0": []}
        for name in self.names:
            put(f"{self.dir}/request", setup(self.machine(name, self.owner, True), "--name", name, "keys").stdout)
            cards[name[:2]].append(f"{self.dir}/{name}.card")
            run("node", "approve", f"{self.dir}/request", "--owner-key", f"{self.dir}/team.owner.key", "--out", cards[name[:2]][-1])
        words = [w for i in range(3) for w in ("--admin", f"{self.old.root}/admin{i}.card")]
        done = run("system", "assemble", "--name", "new", "--predecessor", self.before, "--origin", f"s0={self.backup}/s0", "--coordinator",
                   ",".join(cards["c0"]), "--shard", ",".join(cards["s0"]), *words, "--needed", 2, "--client", f"{self.old.root}/client.card",
                   "--out", f"{self.root}/system.json")
        self.cases.case("the successor's file is made of the cards of eight appliances", done.returncode == 0, done)
        self.addresses()

    def signed(self):
        both = ("--predecessor", self.before, "--successor", f"{self.root}/system.json", "--backup", f"{self.backup}/s0", "--backup",
                f"{self.backup}/c0", "--seen", "s0=1")
        done = [run("successor", "new", *both, "--out", f"{self.dir}/statement")]
        for before, after, admin in (("", ".0", 0), (".0", ".1", 2)):
            done.append(run("successor", "sign", f"{self.dir}/statement{before}", *both, "--admin-key", f"{self.old.root}/admin{admin}.key", "--out",
                            f"{self.dir}/statement{after}"))
        self.cases.case("two of three administrators sign the statement", all(d.returncode == 0 for d in done) and "\nVALID" in done[-1].stdout, done)

    def of_name(self, name, out, *words):
        port = self.base + self.names.index(name)
        return self.bundle(name, out, "--set", f"listen=127.0.0.1:{port}", *words)

    def backup_put(self, name, cluster):
        """What is done with its data disk on another machine: files for all to read."""
        there = f"{self.at(name)}/data/node/backup"
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(f"{self.backup}/{cluster}", there)


def refused(cases, new):
    name = "s0-n0"
    half = new.of_name(name, "half", *new.of_it[:2])
    cases.case("without the statement nobody makes its configuration: field-missing",
               half.returncode == 2 and "field-missing: " in half.stderr and "--statement FILE" in half.stderr, half)
    none = new.of_name(name, "none")
    cases.case("nor without the system before", none.returncode == 2 and "field-missing: " in none.stderr and "PREDECESSOR" in none.stderr, none)
    wrong = new.of_name(name, "wrong", "--predecessor", f"{new.root}/system.json", *new.of_it[2:])
    cases.case("nor of another system before: foreign", wrong.returncode == 2 and "foreign: PREDECESSOR: " in wrong.stderr, wrong)
    with open(f"{new.dir}/statement.1", "rb") as f:
        bytes_ = bytearray(f.read())
    bytes_[8] ^= 1
    with open(f"{new.dir}/strange", "wb") as f:
        f.write(bytes_)
    wrong = new.of_name(name, "strange.cfg", *new.of_it[:2], "--statement", f"{new.dir}/strange")
    cases.case("nor with a statement about another system's successor: foreign",
               wrong.returncode == 2 and "foreign: STATEMENT: " in wrong.stderr, wrong)

    few = new.of_name(name, "few", *new.of_it[:2], "--statement", f"{new.dir}/statement.0")
    taken, made = new.take(name, "few"), new.files(name)
    nothing = not os.path.exists(f"{new.at(name)}/data/node/data") and not os.path.exists(f"{new.at(name)}/data/public/made")
    cases.case("without a backup on its disk no data are made, and it says what to bring",
               (few.returncode, taken.returncode, made.returncode) == (0, 0, 1) and nothing and
               "/data/node/backup/chain: No such file" in made.stderr and "operating.md" in made.stderr, f"{few} {taken} {made}")
    new.backup_put(name, "s0")
    made = new.files(name)
    nothing = not os.path.exists(f"{new.at(name)}/data/node/data") and not os.path.exists(f"{new.at(name)}/data/public/made")
    cases.case("one signature of two: none either", made.returncode == 1 and "2 administrators must sign" in made.stderr and nothing, made)


def right(cases, new):
    name = "s0-n0"
    done = [new.of_name(n, f"{n}.1", *new.of_it, "--number", 2) for n in new.names]
    checked = run("node", "check-config", f"{new.dir}/{name}.1")
    cases.case("check-config says what it succeeds, and what its disk must have", all(d.returncode == 0 for d in done) and
               f"succeeds system {new.old.id}, by a statement with 2 signatures\n" in checked.stdout and
               "needs    a backup of that system, of s0, in the folder node/backup of its data disk\n" in checked.stdout, f"{done[0]} {checked}")
    other = run("node", "check-config", f"{new.dir}/c0-n0.1")
    cases.case("a coordinator begins from any", "a backup of that system, the newest there is, in the folder" in other.stdout, other)
    taken = new.take(name, f"{name}.1")
    new.backup_put(name, "c0")
    made = new.files(name)
    cases.case("another backup than its origin's: no data are made", taken.returncode == 0 and made.returncode == 1 and "origin" in made.stderr and
               not os.path.exists(f"{new.at(name)}/data/node/data"), made)
    good, made = True, []
    for n in new.names:
        new.backup_put(n, "s0" if n.startswith("s0") else "c0")
        good = good and new.take(n, f"{n}.1").returncode == 0
        made.append(new.files(n))
    cases.case("with the statement and its backup each has its data", good and all(m.returncode == 0 for m in made), made)
    again = new.files(name)
    cases.case("they are made once", again.returncode == 0 and again.stdout == "", again)


def runs(cases, new):
    new.start_all()
    got = []

    def answers():
        got[:] = [new.client("settle", "--predecessor", new.before, "--statement", f"{new.dir}/statement.1", "--chain", f"{new.backup}/c0/chain",
                             "--timeout", 20, timeout=60, client="client")]
        return got[0].returncode == 0
    shutil.copy(f"{new.old.root}/client.key", f"{new.root}/client.key")
    if os.path.exists(f"{new.old.root}/client.key.journal"):
        shutil.copy(f"{new.old.root}/client.key.journal", f"{new.root}/client.key.journal")
    cases.case("eight appliances run, and a client follows", wait(answers, 90), f"{got} {new.log('s0-n0')[-800:]}")
    value = new.client("get", "kept", "--timeout", 20, client="client")
    cases.case("what was there is there", value.stdout == "yes\n", value)
    roots = [re.findall(r" genesis_inherited [^\n]*root=([0-9a-f]{64})", new.log(n)) for n in new.names if n.startswith("s0")]
    cases.case("their logs say from which root, and all of one", len({r[0] for r in roots if r}) == 1 and all(roots), roots)


def main():
    cases = Cases()
    with tempfile.TemporaryDirectory(prefix="heraclius-", dir=System.parent()) as folder:
        old = lost_with_backup(cases, folder)
        new = Successor(cases, folder, old, f"{folder}/backup")
        try:
            new.assemble()
            new.signed()
            refused(cases, new)
            right(cases, new)
            runs(cases, new)
        finally:
            new.kill_all()
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
