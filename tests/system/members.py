#!/usr/bin/env python3
"""A node's life: enrolled, started before anybody knows it, let in as an observer, caught up, brought in by a CONFIG under load in another's place,
voting, restarted; the one that was replaced says so and harms nobody. Then a cluster grows by a node and shrinks again. Blocks are pruned all the
while: who comes later takes checkpoints.

  tests/system/members.py short|long
"""
import json
import os
import subprocess
import sys
import time

from cluster import CLIENT, TOP, Cases, System, free_base, is_long
from config import Admin, put, verify_alone, wait_epoch


def wait_phase(system, name, phase, epoch=None, limit_s=40):
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        state = system.ask(name)
        if state and state["phase"] == phase and epoch in (None, state["epoch"]):
            return True
        time.sleep(0.1)
    return False


def wait_pruned(system, cluster, limit_s=60):
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        states = system.cluster(cluster).values()
        if states and min(s["wal"]["pruned_height"] for s in states) > 0:
            return True
        time.sleep(0.2)
    return False


def address_add(system, name, link):
    """What an operator does: the new node's address joins the file, in one step."""
    subprocess.run([CLIENT, "address", "set", "-s", f"{system.root}/system.json", "--new", f"{name}={link}"], cwd=TOP, check=True, timeout=60,
                   stdout=subprocess.DEVNULL)


def enroll(c, system, name, cluster, between=None):
    """Keys and card of a node that the system file does not know, its data directory, started. `between`: its card to more words for init."""
    cards = f"{system.dir}/new"
    listen = f"127.0.0.1:{free_base(1)}"
    address_add(system, name, listen)
    done = subprocess.run([CLIENT, "node", "enroll", "--name", name, "--out", cards], cwd=TOP, capture_output=True, text=True, timeout=60)
    good = done.returncode == 0
    words = between(f"{cards}/{name}.card") if between else []
    done = subprocess.run([CLIENT, "system", "init", "-s", f"{system.root}/system.json", "--node-key", f"{cards}/{name}.key", "--data",
                           f"{system.root}/{name}", "--join", cluster, "--listen", listen, *words], cwd=TOP, capture_output=True,
                          text=True, timeout=60)
    c.case(f"{name}: keys, card and data directory", good and done.returncode == 0, done.stdout + done.stderr)
    system.start(name)
    c.case(f"{name} observes until a CONFIG knows it", wait_phase(system, name, "observing"), system.ask(name))
    return f"{cards}/{name}.card"


def observes(c, system, admin, cluster, name, joiner, limit_s=90):
    """The new node looks on, before the CONFIG that brings it in is submitted, until it has what the others have."""
    done = admin.run("observe", f"{admin.dir}/{name}.signed")
    until = time.monotonic() + limit_s
    ahead = state = None
    while done.returncode == 0 and time.monotonic() < until:
        heights = [s["height"] for n, s in system.cluster(cluster).items() if n != joiner and s["phase"] == "voting"]
        state = system.ask(joiner)
        ahead = max(heights, default=0) - ((state or {}).get("height") or 0)
        if heights and ahead <= 64 and state and state["phase"] == "observing":
            break
        time.sleep(0.2)
    c.case(f"{joiner} catches up while it observes", ahead is not None and ahead <= 64 and state and state["phase"] == "observing",
           f"{done.stdout}{done.stderr} {ahead} {state}")


def change(c, system, admin, cluster, name, *words, joiner=None):
    done = admin.run("new", cluster, "--out", f"{admin.dir}/{name}", *words)
    text = done.stdout + done.stderr
    good = done.returncode == 0 and admin.sign(name).returncode == 0
    if good and joiner:
        observes(c, system, admin, cluster, name, joiner)
    done = admin.submit(f"{name}.signed", 30) if good else done
    c.case(f"CONFIG {name} takes effect", good and done.returncode == 0, text + done.stdout + done.stderr)
    if joiner:
        c.case(f"submit waits until {joiner} votes", f"votes: {joiner}\n" in done.stdout, done.stdout + done.stderr)
    return text


def replaced(c, system, admin, cluster, old, new):
    card = enroll(c, system, new, cluster)
    epoch = 2
    change(c, system, admin, cluster, f"{cluster}-{epoch}", "--replace", f"{old}={card}", joiner=new)
    c.case(f"{new} votes in epoch {epoch}", wait_phase(system, new, "voting", epoch), system.ask(new))
    c.case(f"{new} took a checkpoint, since the first blocks were pruned", " transfer_installed " in system.log(new), system.log(new)[-1000:])
    c.case(f"{old} says that it was removed", wait_phase(system, old, "removed", epoch), system.ask(old))
    done = put(system, f"after-{new}", "1", f"{system.dir}/receipt-{new}")
    c.case("a put goes through", done.returncode == 0, done.stderr)
    done = system.client("status", "--json")
    shown = {m["name"]: m["reached"] for cl in json.loads(done.stdout)["clusters"] for m in cl["members"]}
    c.case("status shows the new node, reached, and the old one no more", shown.get(new) is True and old not in shown, shown)
    alone = verify_alone(system, f"{system.dir}/receipt-{new}", system.dir)
    c.case("its receipt verifies by the system file alone", alone.returncode == 0, alone.stdout + alone.stderr)


def address_followed(c, system, name, by):
    """The address of a node that a CONFIG brought in changes: the others, who run, dial the new one from now on."""
    with open(f"{system.root}/addresses.json") as f:
        before = json.load(f)["nodes"][name]["link"]
    for link in (f"127.0.0.1:{free_base(1)}", before):
        marks = {other: len(system.log(other)) for other in by}
        address_add(system, name, link)
        until = time.monotonic() + 20
        while time.monotonic() < until and not all(" changed=1" in system.log(other)[mark:] for other, mark in marks.items()):
            time.sleep(0.1)
        missing = [other for other, mark in marks.items() if " changed=1" not in system.log(other)[mark:]]
        c.case(f"{link} is read as the address of {name}", not missing, missing)


def one_after_another(c, system, admin, card, down):
    """While a member does not vote no other is brought in."""
    system.kill(down)
    for done in (admin.run("new", "s0", "--out", f"{admin.dir}/early", "--add", card), admin.sign("early")):
        c.case("a CONFIG is made and signed", done.returncode == 0, done.stdout + done.stderr)
    done = admin.submit("early.signed")
    c.case("submit refuses while a member that stays does not vote", done.returncode == 4 and f"no vote yet of {down};" in done.stderr,
           done.stdout + done.stderr)
    system.start(down)
    c.case(f"{down} is back", wait_phase(system, down, "voting"), system.ask(down))


def not_removed_early(c, system, admin, cluster, down, other):
    """Nor is one removed: those who stay may be too few."""
    system.kill(down)
    for done in (admin.run("new", cluster, "--out", f"{admin.dir}/{cluster}-less", "--remove", other), admin.sign(f"{cluster}-less")):
        c.case("a CONFIG that removes is made and signed", done.returncode == 0, done.stdout + done.stderr)
    done = admin.submit(f"{cluster}-less.signed")
    c.case(f"submit refuses to remove {other} while {down} does not vote", done.returncode == 4 and f"no vote yet of {down};" in done.stderr,
           done.stdout + done.stderr)
    system.start(down)
    c.case(f"{down} is back after that", wait_phase(system, down, "voting"), system.ask(down))


def needed(c, system, cluster, new, others):
    """With one of the others down, and the removed one too, nothing goes without the new node."""
    system.kill(others[0])
    done = put(system, f"needs-{new}", "1")
    c.case(f"with {others[0]} down {new} is one of the quorum", done.returncode == 0, done.stderr)
    system.kill(new)
    system.start(new)
    c.case(f"{new} restarts in its epoch and votes", wait_phase(system, new, "voting"), system.ask(new))
    done = put(system, f"again-{new}", "1")
    c.case("and is needed again", done.returncode == 0, done.stderr)
    system.start(others[0])
    c.case(f"{others[0]} comes back and finds it", wait_phase(system, others[0], "voting"), system.ask(others[0]))


def removed_while_away(c, system, admin):
    """Down while a CONFIG removes it: when it comes back in the old epoch it is shown the CONFIG, and votes no more."""
    card = enroll(c, system, "s0-late", "s0")  # not let in before the CONFIG takes effect: it catches up as a member
    system.kill("s0-n3")
    change(c, system, admin, "s0", "s0-3", "--replace", f"s0-n3={card}")
    c.case("s0-late votes in epoch 3", wait_phase(system, "s0-late", "voting", 3), system.ask("s0-late"))
    put(system, "without-n3", "1")
    system.start("s0-n3")
    c.case("s0-n3 comes back and hears that it was removed", wait_phase(system, "s0-n3", "removed", 3), system.ask("s0-n3"))
    views = {n: s["view"] for n, s in system.cluster("s0").items() if s["phase"] == "voting"}
    c.case("and deposed no leader", set(views.values()) == {0}, views)


def grow_and_shrink(c, system, admin, cluster, epoch, most):
    """4, 5, ... and back, under load."""
    load = system.client_background("bench", "--out", f"{system.dir}/bench", "--users", 32, "--seconds", 4 * (most - 4), "--mix", "50:50", "--keys",
                                    200)
    names = []
    for n in range(5, most + 1):
        names.append(f"{cluster}-more-{n}")
        card = enroll(c, system, names[-1], cluster)
        epoch += 1
        change(c, system, admin, cluster, f"{cluster}-{epoch}", "--add", card, joiner=names[-1])
        caught_up = wait_phase(system, names[-1], "voting", epoch, limit_s=60)
        c.case(f"member {n} of {cluster} votes in epoch {epoch}", caught_up, system.ask(names[-1]))
    if most == 7:
        for name in names[:2]:
            system.kill(name)
        c.case("seven go on with two of them down", put(system, "two-down", "1").returncode == 0)
        for name in names[:2]:
            system.start(name)
            c.case(f"{name} is back", wait_phase(system, name, "voting", epoch), system.ask(name))
    if cluster == "s0":
        not_removed_early(c, system, admin, cluster, names[0], f"{cluster}-n0")
    for n in range(most, 4, -1):
        epoch += 1
        name = names.pop() if n > 5 else f"{cluster}-n0" if cluster == "s0" else f"{cluster}-n1"  # the last, and at last one in front of others
        text = change(c, system, admin, cluster, f"{cluster}-{epoch}", "--remove", name)
        c.case("those who sign are warned exactly when fewer faults are tolerated", ("WARNING" in text) == (n == 7), text)
        c.case("and shown who moves", (n > 5) == (" moves from place " not in text), text)
        c.case(f"{name} says that it was removed", wait_phase(system, name, "removed", epoch), system.ask(name))
    out, err = load.communicate(timeout=120)
    c.case("the load went on", load.returncode == 0, out + err)
    c.case("four go on", put(system, "four", "1").returncode == 0)
    moved = names[0]
    c.case(f"{moved} votes from the place to which it moved", wait_phase(system, moved, "voting", epoch), system.ask(moved))
    system.kill(moved)
    system.start(moved)
    c.case(f"{moved} restarts there", wait_phase(system, moved, "voting", epoch), system.ask(moved))
    other = f"{cluster}-n1" if cluster == "s0" else f"{cluster}-n3"
    system.kill(other)
    done = put(system, "without", "1")
    c.case(f"with {other} down it is needed", done.returncode == 0, done.stderr)
    system.start(other)
    c.case(f"{other} is back", wait_phase(system, other, "voting", epoch), system.ask(other))
    return epoch


def refused(c, system, admin, card):
    done = admin.run("new", "s0", "--out", f"{admin.dir}/bad", "--remove", "s0-n1")
    c.case("four do not become three", done.returncode == 2 and "at least 4" in done.stderr, done.stderr)
    done = admin.run("new", "s0", "--out", f"{admin.dir}/bad", "--replace", f"s0-n0={card}", "--replace", f"s0-n1={card}")
    c.case("one key in two places is refused", done.returncode == 2, done.stderr)
    done = admin.run("new", "s0", "--out", f"{admin.dir}/bad", "--replace", f"s0-n0={card}", "--add", f"{system.root}/cards/c0-n1.card")
    c.case("more than f at a time is refused", done.returncode == 2, done.stderr)


def main(argv):
    c = Cases()
    threads = {"threads": "split"} if is_long(argv) else None
    with System(settings=["checkpoint_blocks=64"], conf=threads) as system:
        system.start_all()
        system.wait_ready()
        admin = Admin(system)
        os.makedirs(f"{system.dir}/bench")
        for cluster in ("s0", "c0"):
            change(c, system, admin, cluster, f"{cluster}-1", "--set", "checkpoint_blocks=16")
        load = system.client_background("bench", "--out", f"{system.dir}/bench", "--users", 32, "--seconds", 6, "--mix", "50:50", "--keys", 200)
        c.case("blocks are pruned", wait_pruned(system, "s0") and wait_pruned(system, "c0"), system.states("s0"))
        replaced(c, system, admin, "s0", "s0-n2", "s0-new")
        out, err = load.communicate(timeout=120)
        c.case("the load went on", load.returncode == 0, out + err)
        refused(c, system, admin, f"{system.dir}/new/s0-new.card")
        address_followed(c, system, "s0-new", ("s0-n0", "c0-n0"))
        needed(c, system, "s0", "s0-new", ["s0-n1"])
        if is_long(argv):
            one_after_another(c, system, admin, enroll(c, system, "s0-early", "s0"), "s0-n1")
            system.kill("s0-early")
        removed_while_away(c, system, admin)
        replaced(c, system, admin, "c0", "c0-n0", "c0-new")
        system.kill("c0-n0")
        if is_long(argv):
            needed(c, system, "c0", "c0-new", ["c0-n3"])
        grow_and_shrink(c, system, admin, "s0", 3, 7 if is_long(argv) else 5)
        if is_long(argv):
            grow_and_shrink(c, system, admin, "c0", 2, 7)
            system.kill_all()
            for name in sorted({n for n in os.listdir(system.root) if os.path.exists(f"{system.root}/{n}/node.conf")}):
                system.start(name)
            c.case("power off and on: s0 as it is now votes", all(wait_phase(system, n, "voting", limit_s=60) for n in
                                                                  ("s0-n1", "s0-new", "s0-late", "s0-more-5")), system.states("s0"))
            c.case("and c0", all(wait_phase(system, n, "voting", limit_s=60) for n in ("c0-new", "c0-n2", "c0-n3", "c0-more-5")),
                   system.states("c0"))
            c.case("and answer", put(system, "after-all", "1").returncode == 0)
    return c.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
