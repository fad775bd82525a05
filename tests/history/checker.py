#!/usr/bin/env python3
"""Is a history of `heraclius bench --history` linearizable, key by key?

  tests/history/checker.py FILE...

Every value is written at most once to a key (bench numbers its writes), so a register's history is linearizable exactly if its *zones* do not clash
(Gibbons and Korach, 1997): put each write together with the reads that returned its value; between the first return and the last call in such a group
the value must have been the register's. Checked per key, in O(n log n):

  R1  a read returns a value that some write wrote, or the one value that was there before the history began
  R2  no read returns before its write was called
  R3  no two forward zones overlap; no backward zone lies within a forward zone of another value

A write without an answer may have happened at any time after its call, or never: if some read saw it, it returned at infinity, otherwise it is left
out. Prints the number of operations and keys; exit 0 linearizable, 1 not (with the operations that clash), 2 unreadable.
"""
import bisect
import json
import math
import sys

ABSENT = "absent"


def groups_of(operations):
    """One group per value: [write call, write return, reads], and the broken rule, if any."""
    writes, reads = {}, {}
    for op in operations:
        if op["op"] == "put":
            if op["value"] in writes:
                return None, f"two writes of value {op['value']}: the history itself is broken"
            returned = op["return"] if op["outcome"] == "ok" else math.inf
            writes[op["value"]] = (op["call"], returned, op["outcome"] == "ok")
        elif op["outcome"] in ("ok", ABSENT):
            value = ABSENT if op["outcome"] == ABSENT else op["value"]
            reads.setdefault(value, []).append((op["call"], op["return"]))
    groups = {v: [c, r, reads.get(v, [])] for v, (c, r, answered) in writes.items() if answered or v in reads}
    before = [v for v in reads if v not in writes]
    if len(before) > 1:
        return None, f"R1: values {sorted(map(str, before))} were read and never written; only one can have been there before"
    for v in before:
        groups[v] = [-math.inf, -math.inf, reads[v]]
    return groups, None


def check_key(operations):
    """None if linearizable, otherwise what clashes."""
    groups, broken = groups_of(operations)
    if broken:
        return broken
    forward, backward = [], []
    for value, (call, returned, reads) in groups.items():
        early = [r for r in reads if r[1] < call]
        if early:
            return f"R2: value {value} was read by {early[0]} before it was written at {call}"
        first_return = min([returned] + [r[1] for r in reads])
        last_call = max([call] + [r[0] for r in reads])
        (forward if first_return < last_call else backward).append((min(first_return, last_call), max(first_return, last_call), value))
    forward.sort(key=lambda z: z[:2])
    for a, b in zip(forward, forward[1:]):
        if b[0] < a[1]:
            return f"R3: value {a[2]} must have stood from {a[0]} to {a[1]}, and value {b[2]} from {b[0]} to {b[1]}"
    starts = [z[0] for z in forward]
    for low, high, value in backward:
        at = bisect.bisect_right(starts, low) - 1
        if at >= 0 and forward[at][0] < low and high < forward[at][1]:
            return f"R3: value {value} stood only within {low} to {high}, when value {forward[at][2]} stood from {forward[at][0]} to {forward[at][1]}"
    return None


def check(operations):
    """(keys, list of faults)."""
    keys = {}
    for op in operations:
        keys.setdefault(op["key"], []).append(op)
    faults = [f"key {key}: {fault}" for key, fault in ((k, check_key(v)) for k, v in keys.items()) if fault]
    return len(keys), faults


def main(paths):
    operations = []
    try:
        for path in paths:
            with open(path) as file:
                operations += [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError) as error:
        print(f"checker: {error}", file=sys.stderr)
        return 2
    keys, faults = check(operations)
    for fault in faults[:10]:
        print(fault)
    print(f"{len(operations)} operations on {keys} keys: {'linearizable' if not faults else f'{len(faults)} keys are not linearizable'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if len(sys.argv) > 1 else 2)
