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
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
