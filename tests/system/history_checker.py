#!/usr/bin/env python3
"""The linearizability checker is itself checked: it accepts right histories, refuses broken ones, and agrees with brute force on small ones.

Ends with "N passed, N failed". The seed of the random part is printed and may be given: history_checker.py short SEED.
"""
import itertools
import os
import random
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/history"))
import checker  # noqa: E402

passed = failed = 0


def case(name, good):
    global passed, failed
    passed += bool(good)
    failed += not good
    print(f"{'ok  ' if good else 'FAIL'} {name}", flush=True)


def put(value, call, returned, outcome="ok"):
    return {"user": 0, "op": "put", "key": 1, "call": call, "return": returned, "outcome": outcome, "value": value}


def get(value, call, returned):
    outcome = "absent" if value is None else "ok"
    return {"user": 0, "op": "get", "key": 1, "call": call, "return": returned, "outcome": outcome, "value": value or 0}


def good(*operations):
    return checker.check(list(operations))[1] == []


def brute(operations):
    """Tries every order. Unanswered writes may be left out."""
    sure = [o for o in operations if o["outcome"] != "unknown"]
    maybe = [o for o in operations if o["outcome"] == "unknown"]
    written = {o["value"] for o in operations if o["op"] == "put"}
    before = {(None if o["outcome"] == "absent" else o["value"]) for o in sure if o["op"] == "get"} - written
    if len(before) > 1:
        return False
    start = before.pop() if before else object()
    for count in range(len(maybe) + 1):
        for chosen in itertools.combinations(maybe, count):
            for order in itertools.permutations(sure + list(chosen)):
                if fits(order, start):
                    return True
    return False


def fits(order, value):
    for i, op in enumerate(order):
        for later in order[i + 1:]:
            if later["outcome"] != "unknown" and later["return"] < op["call"]:
                return False
        if op["op"] == "put":
            value = op["value"]
        elif value != (None if op["outcome"] == "absent" else op["value"]):
            return False
    return True


def random_history(rng):
    operations, value = [], 0
    for _ in range(rng.randint(2, 6)):
        call = rng.randint(0, 12)
        returned = call + rng.randint(1, 6)
        if rng.random() < 0.5:
            value += 1
            operations.append(put(value, call, returned, "ok" if rng.random() < 0.8 else "unknown"))
        else:
            operations.append(get(rng.choice([None, 1, 2, 3]), call, returned))
    # distinct times: ties have no order of their own
    for i, op in enumerate(operations):
        op["call"] = op["call"] * 100 + i
        op["return"] = op["return"] * 100 + 50 + i
    return operations


def op(kind, call, returned, outcome="ok", value=0, version=None, expected=None):
    out = {"user": 0, "op": kind, "key": 1, "call": call, "return": returned, "outcome": outcome, "value": value}
    out.update({"version": [version, 0]} if version else {})
    out.update({"expected": expected} if expected is not None else {})
    return out


def step(operation, state):
    """What it does to a state (value, version): the new one, and what it answers."""
    value, version, kind = state[0], operation.get("version"), operation["op"]
    if kind == "put":
        return (operation["value"], version), "ok"
    if kind == "cas":
        return ((operation["value"], version), "ok") if value == operation["expected"] else (state, "mismatch")
    if kind == "del":
        return (("absent", version), "ok") if value != "absent" else (state, "absent")
    return state, "absent" if value == "absent" else "ok"


def fits_versions(order, start):
    """Does this order explain all answers, in the order of their versions?"""
    state, newest = (start, None), [0]
    for i, operation in enumerate(order):
        if any(later["outcome"] != "unknown" and later["return"] < operation["call"] for later in order[i + 1:]):
            return False
        after, answer = step(operation, state)
        if answer != operation["outcome"]:
            return False
        if operation["op"] == "get":
            if answer == "ok" and (state[0] != operation["value"] or (state[1] or operation["version"]) != operation["version"]):
                return False
        elif answer == "ok":
            if operation["version"] <= newest:
                return False
            newest = operation["version"]
        state = after
    return True


def brute_versions(operations):
    return any(fits_versions(order, "absent") for order in itertools.permutations(operations))


def random_versions(rng):
    """Operations in an order, each with the times around its place; then perhaps something is made wrong."""
    state, operations = (99, [1, 0]), [op("put", -1001, -1000, value=99, version=1)]
    for i in range(rng.randint(3, 5)):
        kind = rng.choice(["put", "cas", "del", "get", "get"])
        operation = op(kind, 100 * i - rng.randint(0, 250), 100 * i + rng.randint(1, 250), value=i + 1, version=i + 2)
        if kind == "cas":
            operation["expected"] = rng.choice([state[0], state[0], "absent", 1, 2])
        state, operation["outcome"] = step(operation, state)
        if kind == "get" and operation["outcome"] == "ok":
            operation["value"], operation["version"] = state
        elif operation["outcome"] != "ok":
            operation.pop("version")
        operations.append(operation)
    if rng.random() < 0.7:
        chosen = rng.choice(operations)
        what = rng.choice(["later", "earlier", "other"])
        chosen["call"] += {"later": 300, "earlier": -300}.get(what, 0)
        chosen["return"] += {"later": 300, "earlier": -300}.get(what, 0)
        if what == "other" and chosen["outcome"] in ("absent", "mismatch") and chosen["op"] != "get":
            chosen.update(outcome="ok", version=[rng.randint(2, 8), 1])
        elif what == "other" and chosen["op"] in ("cas", "del"):
            chosen["outcome"] = {"cas": "mismatch", "del": "absent"}[chosen["op"]]
            chosen.pop("version")
    rng.shuffle(operations)
    return operations


def versions_against_brute_force(rng, seed, rounds):
    judged = [0, 0]
    for i in range(rounds):
        operations = random_versions(rng)
        expected = brute_versions(operations)
        judged[expected] += 1
        if (checker.check_versions(operations) is None) != expected:
            case(f"seed {seed}, round {i}: brute force says {expected}, not {checker.check_versions(operations)}: {operations}", False)
            break
    case(f"versions: agrees with brute force on {judged[1]} linearizable and {judged[0]} broken histories", judged[0] > 100 and judged[1] > 100)


def versions():
    """Keys with cas, del and add."""
    wrote = op("put", 0, 1, value=1, version=1)
    case("a deletion, and a read that finds nothing", good(wrote, op("del", 2, 3, version=2), op("get", 4, 5, "absent")))
    case("a cas of what was read", good(wrote, op("cas", 2, 3, value=2, version=2, expected=1), op("get", 4, 5, value=2, version=2)))
    case("a cas that failed, since another came first",
         good(wrote, op("put", 2, 9, value=2, version=2), op("cas", 3, 8, "mismatch", value=3, expected=1), op("del", 10, 11, version=3)))
    case("adds, each one more", good(op("add", 0, 9, value=5, version=1), op("add", 0, 9, value=7, version=3), op("add", 0, 9, value=6, version=2)))
    case("an add without an answer may have happened", good(op("add", 0, 1, value=5, version=1), op("add", 2, 0, "unknown"),
                                                            op("add", 3, 4, value=7, version=3)))
    case("a deletion without an answer may have happened", good(wrote, op("del", 2, 0, "unknown"), op("get", 4, 5, "absent")))
    case("a cas without an answer that a read saw", good(wrote, op("cas", 2, 0, "unknown", value=2, expected=1), op("get", 4, 5, value=2, version=2)))
    case("broken: absent, and nothing deleted it", not good(wrote, op("get", 2, 3, "absent"), op("del", 4, 5, version=2)))
    case("broken: there after its deletion", not good(wrote, op("del", 2, 3, version=2), op("get", 4, 5, value=1, version=1)))
    case("broken: two cas of one value", not good(wrote, op("cas", 2, 9, value=2, version=2, expected=1),
                                                  op("cas", 2, 9, value=3, version=3, expected=1)))
    case("broken: a cas failed, and nothing had changed", not good(wrote, op("cas", 2, 3, "mismatch", value=2, expected=1)))
    case("broken: two adds to one number", not good(op("add", 0, 9, value=5, version=1), op("add", 0, 9, value=5, version=2)))
    case("broken: an add that was lost", not good(op("add", 0, 1, value=5, version=1), op("add", 2, 3, value=5, version=2)))
    case("broken: versions against time", not good(op("del", 0, 1, version=3), op("put", 2, 3, value=2, version=2)))
    case("broken: two writes of one version", not good(op("put", 0, 9, value=1, version=1), op("put", 0, 9, value=2, version=1),
                                                       op("del", 0, 9, "absent")))
    case("broken: a value of another version", not good(wrote, op("put", 2, 3, value=2, version=2), op("get", 4, 5, value=1, version=2),
                                                        op("del", 6, 7, version=3)))


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().getrandbits(32)
    rounds = 20000 if len(sys.argv) > 1 and sys.argv[1] == "long" else 3000
    case("a write and a later read of it", good(put(1, 0, 1), get(1, 2, 3)))
    case("a read beside a write may see either value", good(put(1, 0, 1), put(2, 2, 9), get(1, 3, 4), get(2, 5, 6)))
    case("an unanswered write may have happened", good(put(1, 0, 1), put(2, 2, 0, "unknown"), get(2, 50, 60)))
    case("an unanswered write may never have happened", good(put(1, 0, 1), put(2, 2, 0, "unknown"), get(1, 50, 60)))
    case("a value from before the history", good(get(77, 0, 1), put(1, 2, 3), get(1, 4, 5)))
    case("broken: a stale read", not good(put(1, 0, 1), put(2, 2, 3), get(1, 4, 5)))
    case("broken: a lost write", not good(get(None, 0, 1), put(1, 2, 3), get(None, 4, 5)))
    case("broken: a read from the future", not good(get(1, 0, 1), put(1, 2, 3)))
    case("broken: new, then old", not good(put(1, 0, 1), put(2, 2, 20), get(2, 3, 4), get(1, 5, 6)))
    case("broken: two values from before", not good(get(7, 0, 1), get(8, 2, 3)))
    case("broken: a write between two reads of an older value", not good(put(1, 0, 1), get(1, 2, 3), put(2, 4, 5), get(1, 6, 7)))
    print(f"random histories against brute force, seed {seed}")
    rng = random.Random(seed)
    judged = [0, 0]
    for i in range(rounds):
        operations = random_history(rng)
        expected = brute(operations)
        judged[expected] += 1
        if (checker.check(operations)[1] == []) != expected:
            case(f"seed {seed}, round {i}: brute force says {expected}: {operations}", False)
            break
    case(f"agrees with brute force on {judged[1]} linearizable and {judged[0]} broken histories", judged[0] > 100 and judged[1] > 100)
    versions()
    versions_against_brute_force(rng, seed, rounds)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
