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
out.

A key on which there was also cas, add or del (where one state, absence, comes back again and again) is judged by versions: every write that was
answered OK has one, and so has every value that was read, and their order is a claim to be checked. What has a version stands in the *epoch* of
the write that has it; what found the key absent, or a cas failed without a version, stands in some epoch that was so. It is linearizable in that
order if

  V1  a version is of one write, and has its value everywhere; a read's is of a write, or of the one value that was there before
  V2  each cas, deletion and add follows an epoch that lets it: the expected value, something there, the number before
  V3  nothing returns before something of an earlier epoch (of its own: the write) was called, and the others find an epoch in which that is so

Writes without an answer that no read saw might explain what V2 and the others of V3 ask for: then that is not held against the history. Prints the
number of operations and keys; exit 0 linearizable, 1 not (with the operations that clash), 2 unreadable.
"""
import bisect
import heapq
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


VALUES = ("put", "cas", "del", "add")


class Epochs:
    """The states of one key in the order of versions: each the write that made it, and what is known to have stood in it."""

    def __init__(self, operations):
        self.fault = None
        self.writes = [op for op in operations if op["op"] in VALUES and op["outcome"] == "ok"]
        self.others = [op for op in operations if op["outcome"] != "unknown" and not (op["op"] in VALUES and op["outcome"] == "ok")]
        if any("version" not in op for op in self.writes):
            self.fault = "V1: a write that was answered OK has no version"
            return
        self.wild = [op for op in operations if op["op"] in VALUES and op["outcome"] == "unknown"]
        self.before = None  # (version, value) of what was there before
        self.adopt()
        self.writes.sort(key=lambda op: op["version"])
        versions = [tuple(op["version"]) for op in self.writes]
        if len(set(versions)) < len(versions):
            self.fault = f"V1: two writes of one version among {sorted(v for v in versions if versions.count(v) > 1)[:2]}"
        self.at = {v: i + 1 for i, v in enumerate(versions)}
        if self.before:
            self.at[self.before[0]] = 0
            if versions and self.before[0] > versions[0]:
                self.fault = f"V1: {self.before} was read, no write made it, and it is newer than a write"
        self.states = [self.before[1] if self.before else None] + [ABSENT if op["op"] == "del" else op["value"] for op in self.writes]

    def adopt(self):
        """Writes without an answer that a read saw have its version, and returned at infinity."""
        known = {tuple(op["version"]) for op in self.writes}
        for op in self.others:
            version = tuple(op.get("version", ()))
            if op["op"] != "get" or not version or version in known:
                continue
            found = [w for w in self.wild if w["op"] in ("put", "cas") and w["value"] == op["value"]]
            if found:
                self.wild.remove(found[0])
                self.writes.append(dict(found[0], **{"return": math.inf, "version": op["version"]}))
                known.add(version)
            elif self.before in (None, (version, op["value"])):
                self.before = (version, op["value"])
            else:
                self.fault = f"V1: {self.before} and {(version, op['value'])} were read, and never written; only one can have been there before"

    def explained(self, op, kinds=VALUES):
        """Might a write without an answer be the reason?"""
        return sum(w["call"] <= op["return"] and w["op"] in kinds for w in self.wild)

    def follows(self, op, state):
        """V2: may this write follow that state? None: it is not known."""
        if op["op"] == "add":
            return state is None or state < op["value"] <= state + 1 + self.explained(op)
        if op["op"] == "del":
            return state != ABSENT or self.explained(op, ("put", "cas"))
        if op["op"] == "cas":
            return state in (None, op["expected"]) or (op["expected"] == ABSENT and self.explained(op, ("del",)))
        return True

    def fits(self, op, state):
        """May this operation, which changed nothing and has no version, have met that state?"""
        if op["outcome"] == "mismatch":
            return state != op["expected"]
        return state in (None, ABSENT)

    def place(self):
        """Each operation with a version into its epoch; those without one. None: a fault."""
        inside, loose = [[] for _ in self.states], []
        for op in self.others:
            epoch = self.at.get(tuple(op["version"])) if "version" in op else None
            if epoch is None:
                loose.append(op)
                continue
            state = self.states[epoch]
            if (op["op"] == "get" and state != op["value"]) or (op["outcome"] == "mismatch" and state == op["expected"]):
                self.fault = f"V1: {op} met the version of {state}"
                return None, None
            inside[epoch].append(op)
        return inside, loose


def check_versions(operations):
    """As check_key, for keys with cas, add or del."""
    epochs = Epochs(operations)
    inside, loose = epochs.place() if not epochs.fault else (None, None)
    if epochs.fault:
        return epochs.fault
    latest, calls = -math.inf, []  # calls[k]: the latest call of what stands before something in epoch k
    for k, ops in enumerate(inside):
        if k > 0:
            write = epochs.writes[k - 1]
            if not epochs.follows(write, epochs.states[k - 1]):
                return f"V2: {write} after {epochs.states[k - 1]}"
            if write["return"] < latest:
                return f"V3: {write} returned before something of an older version was called, at {latest}"
            latest = max(latest, write["call"])
        calls.append(latest)
        early = [op for op in ops if op["return"] < latest]
        if early:
            return f"V3: {early[0]} returned before something of an older version was called, at {latest}"
        latest = max([latest] + [op["call"] for op in ops])
    returns = [math.inf] * len(inside)  # returns[k]: the first return of what stands in a later epoch
    for k in range(len(inside) - 2, -1, -1):
        returns[k] = min([returns[k + 1], epochs.writes[k]["return"]] + [op["return"] for op in inside[k + 1]])
    return check_loose(epochs, loose, calls, returns)


def check_loose(epochs, loose, calls, returns):
    """Each into the first epoch that is so, not before that of one which had returned when it was called: if that is too late, there is none."""
    ended, floor = [], 0
    for op in sorted(loose, key=lambda o: o["call"]):
        if epochs.explained(op):
            continue
        while ended and ended[0][0] < op["call"]:
            floor = max(floor, heapq.heappop(ended)[1])
        epoch = max(floor, bisect.bisect_left(returns, op["call"]))
        while epoch < len(calls) and not epochs.fits(op, epochs.states[epoch]):
            epoch += 1
        if epoch == len(calls) or calls[epoch] > op["return"]:
            return f"V3: {op} fits no epoch that stood in its time"
        heapq.heappush(ended, (op["return"], epoch))
    return None


def check(operations):
    """(keys, list of faults)."""
    keys = {}
    for op in operations:
        keys.setdefault(op["key"], []).append(op)
    versioned = {op["key"] for op in operations if op["op"] in ("cas", "add", "del")}
    judged = ((k, check_versions(v) if k in versioned else check_key(v)) for k, v in keys.items())
    faults = [f"key {key}: {fault}" for key, fault in judged if fault]
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
