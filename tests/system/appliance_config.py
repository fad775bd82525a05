#!/usr/bin/env python3
"""How appliances are configured, by the commands and programs that do it, without a machine: eight nodes make their own keys, their owner makes cards
of what they ask, signs a bundle for each, and they run by it; then what is refused, with its word, and that the last good one stays.

The part of init (it keeps what `take` accepted, spec/appliance.md 9.5) is played here. Ends with "N passed, N failed".
"""
import base64
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, TOP, Cases, System, free_base  # noqa: E402

SETUP = "build/gcc/heraclius-setup"
NODES = 4


def run(*words):
    return subprocess.run([CLIENT] + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def setup(root, *words, bundle=os.devnull):
    """One job of heraclius-setup on the machine whose files are under `root`."""
    return subprocess.run(["sh", "-c", 'bundle=$1; shift; exec "$@" 3<"$bundle"', "sh", str(bundle), SETUP, "--root", root] + list(words), cwd=TOP,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def read(path):
    with open(path) as f:
        return f.read()


class Machines(System):
    def __init__(self, cases):
        self.dir = tempfile.mkdtemp(prefix="heraclius-", dir=self.parent())
        self.root = f"{self.dir}/s"
        self.cases = cases
        self.env, self.node_env, self.programs, self.live = {}, {}, {}, {}
        self.names = [f"{c}-n{i}" for c in ("c0", "s0") for i in range(NODES)]
        self.ids = {}
        self.base = free_base(len(self.names))
        self.owner = self.owner_make("team")
        self.stranger = self.owner_make("stranger")

    def at(self, name):
        return f"{self.root}/{name}"

    def owner_make(self, name):
        made = run("node", "owner", "--name", name, "--out", self.dir)
        self.cases.case(f"an owner's key: {name}", made.returncode == 0 and made.stdout.startswith("owner "), made)
        return made.stdout.split()[1]

    def machine(self, name, owner, by_image):
        """An appliance that was just made: folders as init makes them, an owner pinned by the image or by whoever first stood at its console."""
        root = self.at(name)
        for folder in ("data/node", "data/public", "data/config", "run/node"):
            os.makedirs(f"{root}/{folder}")
        os.makedirs(f"{root}/bin")
        os.symlink(f"{TOP}/build/gcc/heracliusd", f"{root}/bin/heracliusd")
        put(f"{root}/etc/heraclius/owner" if by_image else f"{root}/data/public/owner", owner + "\n")
        return root

    def start(self, name, preexec=None):
        with open(f"{self.at(name)}/log", "ab") as log:
            self.live[name] = subprocess.Popen(["build/gcc/heracliusd", "--config", f"{self.at(name)}/data/node/node.conf"], cwd=TOP,
                                               stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    # ---- what an owner does

    def addresses(self, change=None):
        shown = json.loads(run("system", "show", "--json", f"{self.root}/system.json").stdout)
        nodes = {n: {"admin": "", "link": f"127.0.0.1:{self.base + i}"} for i, n in enumerate(self.names)}
        nodes.update(change or {})
        text = json.dumps({"format": 1, "nodes": dict(sorted(nodes.items())), "system_id": shown["system_id"]}, indent=2)
        put(f"{self.root}/addresses.json", text + "\n")

    def bundle(self, name, out, *words, key="team"):
        """Made and signed; what `config sign` said."""
        made = run("node", "config", "new", "-s", f"{self.root}/system.json", "--node", name, *words, "--out", f"{self.dir}/{out}.new")
        signed = run("node", "config", "sign", f"{self.dir}/{out}.new", "--owner-key", f"{self.dir}/{key}.owner.key", "--out", f"{self.dir}/{out}")
        return made if made.returncode else signed

    # ---- what init does

    def take(self, name, bundle):
        taken = setup(self.at(name), "take", bundle=f"{self.dir}/{bundle}")
        if taken.returncode == 0:
            shutil.copy(f"{self.dir}/{bundle}", f"{self.at(name)}/data/config/bundle")
        return taken

    def files(self, name):
        return setup(self.at(name), "files", bundle=f"{self.at(name)}/data/config/bundle")


def resigned(text):
    """The same bundle with another signature."""
    begin, end = (f"-----{word} HERACLIUS NODE CONFIG-----\n" for word in ("BEGIN", "END"))
    record = bytearray(base64.b64decode(text[len(begin):text.index(end)]))
    record[-64] ^= 1
    code = base64.b64encode(record).decode()
    return begin + "".join(code[i:i + 64] + "\n" for i in range(0, len(code), 64)) + text[text.index(end):]


def keys(cases, machines):
    root = machines.machine("spare", machines.owner, True)
    early = setup(root, "take")
    cases.case("before there are keys nothing is taken: ask for the request first",
               early.returncode == 1 and "field-missing: " in early.stderr, early)
    asked = setup(root, "keys")
    again = setup(root, "keys")
    cases.case("a node makes its keys once, and asks with the same words ever after", asked.returncode == 0 and asked.stdout == again.stdout, again)
    cases.case("its key is nobody else's to read", os.stat(f"{root}/data/node/node.key").st_mode & 0o777 == 0o600)
    named = setup(root, "--name", "other", "keys")
    cases.case("its name is made with its keys", named.returncode == 1 and "file-exists: " in named.stderr, named)
    put(f"{machines.dir}/request", asked.stdout.replace("\n", "\r\n") + "\r\n")
    card = f"{machines.dir}/spare.card"
    strange = run("node", "approve", f"{machines.dir}/request", "--owner-key", f"{machines.dir}/stranger.owner.key", "--out", card)
    cases.case("another owner cannot make its card",
               strange.returncode == 2 and machines.owner in strange.stderr and not os.path.exists(card), strange)
    approved = run("node", "approve", f"{machines.dir}/request", "--owner-key", f"{machines.dir}/team.owner.key", "--out", card)
    cases.case("its owner makes a card of what a terminal brought, line ends changed",
               approved.returncode == 0 and "name  node-" in approved.stdout, approved)
    put(f"{root}/etc/heraclius/owner", machines.stranger + "\n")
    other = setup(root, "keys")
    cases.case("with another owner pinned its keys are not used", other.returncode == 1 and "foreign: " in other.stderr, other)
    put(f"{root}/etc/heraclius/owner", machines.owner + "\n")
    os.unlink(f"{root}/data/node/node.key")
    lost = setup(root, "keys")
    cases.case("a lost key is not made anew",
               lost.returncode == 1 and "is lost" in lost.stderr and not os.path.exists(f"{root}/data/node/node.key"), lost)


def owner(cases, machines):
    root = machines.machine("fresh", machines.stranger, False)
    pinned = f"{root}/data/public/owner"
    os.unlink(pinned)
    early = setup(root, "keys")
    cases.case("without an owner there are no keys", early.returncode == 1 and "field-missing: no owner is pinned" in early.stderr, early)
    for what, text, word in (("63 digits", machines.owner[:63], "field-type"), ("capitals", machines.owner.upper(), "field-type"),
                             ("no point of the curve", "02" + "00" * 31, "key-invalid"), ("65 digits", machines.owner + "0", "field-type")):
        refused = setup(root, "owner", text)
        cases.case(f"an owner of {what}: {word}", refused.returncode == 1 and refused.stderr.startswith(f"{word}: owner: ")
                   and not os.path.exists(pinned), refused)
    first, second = setup(root, "owner", machines.stranger), setup(root, "owner", machines.owner)
    cases.case("one is pinned, and a wrong one put right before there are keys",
               (first.returncode, second.returncode) == (0, 0) and read(pinned) == machines.owner, f"{first} {second}")
    made = setup(root, "--name", "fresh", "keys")
    other, same = setup(root, "owner", machines.stranger), setup(root, "owner", machines.owner)
    cases.case("then it stays", made.returncode == 0 and other.returncode == 1 and other.stderr.startswith("file-exists: ") and
               same.returncode == 0 and read(pinned) == machines.owner, f"{other} {same}")
    put(f"{root}/etc/heraclius/owner", "not hex\n")
    bad = setup(root, "keys")
    cases.case("an image's owner that is no key is refused by its file's name",
               bad.returncode == 1 and "field-type: " in bad.stderr and "/etc/heraclius/owner: must be the owner's public key" in bad.stderr, bad)


def ceremony(cases, machines):
    cards = {}
    good = True
    for i, name in enumerate(machines.names):
        root = machines.machine(name, machines.owner, i % 2 == 0)
        asked = setup(root, "--name", name, "keys")
        put(f"{root}/request", asked.stdout)
        approved = run("node", "approve", f"{root}/request", "--owner-key", f"{machines.dir}/team.owner.key", "--out", f"{machines.dir}/{name}.card")
        good = good and asked.returncode == 0 and approved.returncode == 0
        machines.ids[name] = approved.stdout.split()[1]
        cards.setdefault(name[:2], []).append(f"{machines.dir}/{name}.card")
    cases.case("eight machines make their keys, their owner makes cards of what they ask", good, approved)
    good = all(run(kind, "enroll", "--name", kind, "--out", machines.root).returncode == 0 for kind in ("client", "admin"))
    for out in ("system.json", "other.json"):
        done = run("system", "assemble", "--name", out[:5], "--coordinator", ",".join(cards["c0"]), "--shard", ",".join(cards["s0"]), "--admin",
                   f"{machines.root}/admin.card", "--needed", 1, "--client", f"{machines.root}/client.card", "--set", "table_keys_max=1000000",
                   "--set", "table_bytes_max=268435456", "--out", f"{machines.root}/{out}")
        good = good and done.returncode == 0
    cases.case("the system file is assembled from the cards", good, done)
    machines.addresses()


GREEDY = """#!/bin/sh
cd {root}/data || exit 1
for file in public/made public/retired public/owner public/admin.conf node/own; do
    (echo "$0 was here" > $file) 2> node/said || {{ echo "no $file" >> node/tried; continue; }}
    echo "wrote $file" >> node/tried
done
cat public/request > /dev/null 2>&1 && echo "read public/request" >> node/tried
echo "greedy: not this time" >&2
exit 1
"""


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0  # landlock_create_ruleset: its version


def greedy(cases, machines, name):
    """Another team's program, at its --init, goes for what the image keeps (A-22, A-26)."""
    root = machines.at(name)
    if not has_landlock():
        print("this kernel has no Landlock: a greedy --init is left out")
        return
    before = {file: read(f"{root}/data/public/{file}") for file in os.listdir(f"{root}/data/public")}
    program = f"{root}/bin/heracliusd"
    os.unlink(program)
    put(program, GREEDY.format(root=root))
    os.chmod(program, 0o755)
    made = machines.files(name)
    after = {file: read(f"{root}/data/public/{file}") for file in os.listdir(f"{root}/data/public")}
    after.pop("admin.conf"), after.pop("system.json")  # which setup itself puts there, before
    tried = read(f"{root}/data/node/tried").splitlines()
    cases.case("a program's --init writes in its own folder alone, and reads nothing of what the image keeps", made.returncode == 1 and
               tried == ["no public/made", "no public/retired", "no public/owner", "no public/admin.conf", "wrote node/own"] and before == after,
               f"{made} {tried} {before} {after}")
    cases.case("its line is said", made.stderr.startswith("greedy: not this time\n"), made)
    for file in ("node/tried", "node/said", "node/own"):
        os.unlink(f"{root}/data/{file}")
    os.unlink(program)
    os.symlink(f"{TOP}/build/gcc/heracliusd", program)


def first_boot(cases, machines):
    done = machines.bundle("c0-n0", "default")
    planned = machines.take("c0-n0", "default")
    cases.case("without a setting: DHCP on every link", planned.stdout == "number 1\nnode c0-n0\nnet any dhcp\nready\n", f"{done} {planned}")
    os.unlink(f"{machines.at('c0-n0')}/data/config/bundle")
    good = True
    for i, name in enumerate(machines.names):
        done = machines.bundle(name, f"{name}.1", "--set", f"listen=127.0.0.1:{machines.base + i}", "--set", "net.0.name=eth0", "--set",
                               "net.0.address=192.0.2.7/24,2001:db8::7/64", "--set", "net.0.gateway=192.0.2.1", "--set", "admin.listen=127.0.0.1:1",
                               "--set", "console.port=ttyS1",
                               "--set", f"admin.peer.7={'ab' * 32}@192.0.2.8:8443")
        taken = machines.take(name, f"{name}.1")
        if i == 0:
            greedy(cases, machines, name)
        made = machines.files(name)
        good = good and made.stdout == "" and (done.returncode, taken.returncode, made.returncode) == (0, 0, 0)
        if not good:
            break
    cases.case("each takes the bundle that its owner signed, and has its files and data", good, f"{done} {taken} {made}")
    cases.case("init is told what it needs", taken.stdout == f"number 1\nnode {name}\nconsole ttyS1\nnet name=eth0 address 192.0.2.7/24\n"
               "net name=eth0 address 2001:db8::7/64\nnet name=eth0 gateway 192.0.2.1\nready\n", taken.stdout)
    cases.case("the admin console is told where it listens, and of another one", f"listen 127.0.0.1:1\npeer {'ab' * 32}@192.0.2.8:8443\n" in
               read(f"{machines.at(name)}/data/public/admin.conf"))
    checked = run("node", "check-config", f"{machines.dir}/{name}.1")
    wanted = ("accepted: number 1", f"{name}, member 3 of cluster s0", "192.0.2.7/24", f"127.0.0.1:{machines.base + 7}", machines.owner,
              f"reads the console 192.0.2.8:8443, certificate {'ab' * 32}", "console  on ttyS1,")
    cases.case("check-config says the same on any machine", checked.returncode == 0 and all(w in checked.stdout for w in wanted), checked)
    checked = run("node", "check-config", f"{machines.dir}/default")
    cases.case("and of none where there is no setting", checked.returncode == 0 and "console  on" not in checked.stdout, checked)
    made = machines.bundle(name, "port", "--set", "console.port=ttyS8")
    cases.case("a port of another form is not signed, and it says what it may be", made.returncode != 0 and "field-range" in made.stderr and
               "ttyS, ttyAMA or hvc, and 0 to 7" in made.stderr, made)
    addresses = json.loads(read(f"{machines.root}/addresses.json"))
    addresses["nodes"]["c0-n0"]["link"] = "one.example:4000"
    put(f"{machines.dir}/named.json", json.dumps(addresses, indent=2) + "\n")
    put(f"{machines.dir}/ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    made = machines.bundle(name, "named", "--addresses", f"{machines.dir}/named.json", "--set", f"listen=127.0.0.1:{machines.base + 7}",
                    "--set", f"admin.peer.0={'ab' * 32}@console.example:1",
                    "--set", "syslog=logs.example:6514", "--syslog-ca", f"{machines.dir}/ca.pem")
    named = run("node", "check-config", f"{machines.dir}/named")
    told = [line for line in named.stdout.splitlines() if line.startswith("warning")]
    cases.case("check-config says which of its addresses are names, which a node there does not resolve", named.returncode == 0 and len(told) == 3
               and told[0].startswith("warning  c0-n0: one.example is a name")
               and told[1].startswith("warning  admin.peer: console.example is a name")
               and told[2].startswith("warning  syslog: logs.example is a name")
               and "warning" not in checked.stdout, f"{made} {named}")
    machines.start_all()
    cases.case("they run by it: a write and a read are answered with proof", machines.wait_ready(60), machines.log("c0-n0")[-800:])


def refused(cases, machines):
    name, root = "s0-n0", machines.at("s0-n0")
    kept = read(f"{root}/data/config/bundle")
    machines.bundle(name, "next", "--from", f"{machines.dir}/{name}.1", "--set", "log.level=warn")
    text = read(f"{machines.dir}/next")
    strange = machines.bundle(name, "strange", "--from", f"{machines.dir}/{name}.1", key="stranger")
    cases.case("another owner's key does not sign it", strange.returncode == 2 and "signature-invalid" in strange.stderr, strange)
    put(f"{machines.dir}/strange", resigned(text))
    put(f"{machines.dir}/cut", text[:len(text) // 2])
    shown = json.loads(run("system", "show", "--json", f"{machines.root}/other.json").stdout)
    there = json.loads(read(f"{machines.root}/addresses.json"))
    there["system_id"] = shown["system_id"]
    put(f"{machines.dir}/other-addresses.json", json.dumps(there, indent=2) + "\n")
    run("node", "config", "new", "-s", f"{machines.root}/other.json", "-a", f"{machines.dir}/other-addresses.json", "--node", name,
        "--number", 9, "--out", f"{machines.dir}/other.new")
    run("node", "config", "sign", f"{machines.dir}/other.new", "--owner-key", f"{machines.dir}/team.owner.key", "--out", f"{machines.dir}/other")
    machines.addresses({"c0-n0": {"admin": "", "link": "127.0.0.1:9"}})
    machines.bundle(name, "moved", "--from", f"{machines.dir}/next")
    moved = read(f"{machines.dir}/moved")
    machines.addresses()
    put(f"{machines.dir}/mixed", text[:text.index("-----BEGIN HERACLIUS ADDRESSES")] + moved[moved.index("-----BEGIN HERACLIUS ADDRESSES"):])
    put(f"{machines.dir}/noise", "hello\n")
    for what, file, word in (("unsigned", "next.new", "signature-invalid"), ("signed by another owner", "strange", "signature-invalid"),
                             ("cut off", "cut", "truncated"), ("of another node", "s0-n1.1", "foreign"), ("of another system", "other", "foreign"),
                             ("with a block of another one", "mixed", "id-mismatch"), ("no bundle at all", "noise", "not-canonical")):
        taken = machines.take(name, file)
        cases.case(f"{what}: refused with {word}", taken.returncode == 1 and taken.stderr.startswith(word + ": ") and not taken.stdout, taken)
    cases.case("what was kept is as it was, and planned", read(f"{root}/data/config/bundle") == kept and
               setup(root, "plan", bundle=f"{root}/data/config/bundle").stdout.startswith("number 1\n"))
    checked = run("node", "check-config", f"{machines.dir}/next.new")
    cases.case("check-config of an unsigned one: exit 1, and what to do", checked.returncode == 1 and "signature-invalid" in checked.stderr
               and "node config sign" in checked.stderr, checked)


def follows(cases, machines):
    name, root = "s0-n0", machines.at("s0-n0")
    taken = machines.take(name, f"{name}.1")
    cases.case("the one that is in force, handed in again, changes nothing", taken.returncode == 0 and taken.stdout.startswith("number 1\n"), taken)
    taken = machines.take(name, "moved")
    made = machines.files(name)
    cases.case("a higher number comes into force on a running node; its log.level is another, which it reads at its start",
               taken.returncode == 0 and made.returncode == 0 and made.stdout == "changed\n", f"{taken} {made}")
    until = time.monotonic() + 30
    while time.monotonic() < until and "addresses_read" not in machines.log(name):
        time.sleep(0.2)
    cases.case("which follows its new addresses", f"addresses_read node={name} changed=1" in machines.log(name), machines.log(name)[-500:])
    taken = machines.take(name, "next")
    cases.case("then an older one is refused with serial", taken.returncode == 1 and taken.stderr.startswith("serial: "), taken)
    checked = run("node", "check-config", f"{machines.dir}/next", "--kept", f"{machines.dir}/moved")
    cases.case("check-config knows that, too", checked.returncode == 1 and "serial" in checked.stderr, checked)
    os.unlink(f"{root}/data/config/bundle")
    taken = machines.take(name, "other")
    cases.case("also without the kept one a disk stays with its system", taken.returncode == 1 and taken.stderr.startswith("foreign: "), taken)


def retired(cases, machines):
    name, root = "s0-n1", machines.at("s0-n1")
    done = setup(root, "retire")
    made = machines.files(name)
    machines.kill(name)
    machines.start(name)
    until = time.monotonic() + 30
    while time.monotonic() < until and "stays_retired" not in machines.log(name):
        time.sleep(0.2)
    cases.case("a key that was given up signs no more", (done.returncode, made.returncode) == (0, 0)
               and "stays_retired" in machines.log(name) and "cause=given_up" in machines.log(name),
               f"{done} {made} {machines.log(name)[-500:]}")
    machines.kill(name)
    again = machines.files(name)
    conf = json.loads(read(f"{root}/data/node/node.conf"))
    cases.case("nor after its files were made anew", again.returncode == 0 and conf["retired"] is True, again)
    cases.case("init is told when a program that runs is to begin anew", made.stdout == "changed\n" and again.stdout == "", f"{made} {again}")
    keyless = machines.machine("keyless", machines.owner, True)
    none = setup(keyless, "retire")
    cases.case("who has no key gives none up", none.returncode == 1 and not os.path.exists(f"{keyless}/data/public/retired"), none)


def lost(cases, machines):
    name, root = "s0-n3", machines.at("s0-n3")
    machines.kill(name)
    shutil.rmtree(f"{root}/data/node/data")
    made = machines.files(name)
    cases.case("lost data are not made anew",
               made.returncode == 1 and "are lost" in made.stderr and not os.path.exists(f"{root}/data/node/data"), made)
    name, root = "s0-n2", machines.at("s0-n2")
    machines.kill(name)
    os.unlink(f"{root}/data/public/made")
    made = machines.files(name)
    cases.case("data of a set-up that was interrupted before its mark are good",
               made.returncode == 0 and os.path.exists(f"{root}/data/public/made"), made)
    put(f"{root}/data/config/bundle", read(f"{root}/data/config/bundle")[:-40])
    planned = setup(root, "plan", bundle=f"{root}/data/config/bundle")
    cases.case("a kept one that is damaged is not gone by", planned.returncode == 1 and planned.stderr.startswith("truncated: "), planned)


def main():
    cases = Cases()
    with Machines(cases) as machines:
        keys(cases, machines)
        owner(cases, machines)
        ceremony(cases, machines)
        first_boot(cases, machines)
        refused(cases, machines)
        follows(cases, machines)
        retired(cases, machines)
        lost(cases, machines)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
