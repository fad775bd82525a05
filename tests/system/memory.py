#!/usr/bin/env python3
"""Memory of real nodes: idle and empty at most 32 MiB resident; under load within the printed budget, and explained by what status says.

memory.py short|long [SEED]
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, bench, is_long, seed_of  # noqa: E402

MIB = 1 << 20
IDLE_MAX = 32 * MIB
LOADED_MAX = 400 * MIB
INDEX_MAX = 24 * MIB  # beside that, of what the newest blocks wrote
BUDGET_MAX = 16 << 30  # of the local system's limits: a sum of worst cases, most of it address space that is never touched


def resident(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"{field}:\s+(\d+) kB", f.read()).group(1)) << 10


def shown(sizes):
    return ", ".join(f"{n} {b / MIB:.1f}" for n, b in sizes.items()) + " MiB"


def budget_printed(system, name):
    """part -> bytes as the log has it, from the newest start."""
    parts = {}
    for part, size in re.findall(r" memory_budget .*?part=(\S+) bytes=(\d+)", system.log(name)):
        parts[part] = int(size)
    return parts


def budgets(cases, system):
    bad = []
    for name in system.names:
        parts, status = budget_printed(system, name), system.ask(name)
        total = parts.pop("all", 0)
        if total != sum(parts.values()) or parts != status["memory_budget_bytes"] or total != status["memory_budget_total_bytes"] or len(parts) < 12:
            bad.append((name, parts, status["memory_budget_bytes"]))
        if any(size == 0 for part, size in parts.items() if part != "routing") or not 1 << 28 < total <= BUDGET_MAX:
            bad.append((name, total, parts))
    total = system.ask("s0-n0")["memory_budget_total_bytes"]
    cases.case(f"each node prints its budget, part by part ({total / MIB:.0f} MiB for a shard); the control socket has the same", not bad, bad)


def within_budget(cases, system, what):
    over, unexplained, parts_over = [], [], []
    for name in system.names:
        status = system.ask(name)
        now = resident(system.live[name].pid)
        if now - status["resident_file_bytes"] > status["memory_budget_total_bytes"]:
            over.append((name, now))
        if abs(now - status["resident_bytes"]) > 24 * MIB or status["heap_bytes"] > status["resident_bytes"] + 64 * MIB:
            unexplained.append((name, now, status["resident_bytes"], status["heap_bytes"]))
        parts, budget = dict(status["memory_resident_bytes"]), status["memory_budget_bytes"]
        if abs(sum(parts.values()) - status["resident_bytes"]) > MIB:
            unexplained.append((name, parts, status["resident_bytes"]))
        del parts["files"]
        heap = parts.pop("heap_and_stacks")
        rest = sum(size for part, size in budget.items() if part not in parts)
        parts_over += [(name, part, size, budget[part]) for part, size in parts.items() if size > budget[part]]
        if heap > rest:
            parts_over.append((name, "heap_and_stacks", heap, rest))
    cases.case(f"{what}: every node is within its printed budget", not over, over)
    cases.case(f"{what}: and so is each part of it", not parts_over, parts_over)
    cases.case(f"{what}: status says what is resident, part by part", not unexplained, unexplained)
    for name in ("c0-n0", "s0-n0"):
        used, budget = system.ask(name)["memory_resident_bytes"], system.ask(name)["memory_budget_bytes"]
        print(f"     {name}: " + ", ".join(f"{part} {size / MIB:.1f}" + (f" of {budget[part] / MIB:.0f}" if part in budget else "")
                                          for part, size in used.items()) + " MiB")


def table_explained(cases, system, keys):
    """The part that grows with what is stored is the size that its entries have, not a guess."""
    declared = keys * (32 + 32 + 64)
    for name in (n for n in system.names if n.startswith("s0")):
        table = system.ask(name)["memory_resident_bytes"]["table"]
        if not 0.5 * declared < table < 2 * declared + INDEX_MAX:
            return cases.case(f"{keys} keys of 32 + 32 bytes: what the table holds fits what is stored", False, (name, table, declared))
    return cases.case(f"{keys} keys of 32 + 32 bytes ({declared / MIB:.0f} MiB declared): what each table holds fits what is stored", True)


def cannot_reserve(cases):
    """What is printed is what is reserved: the address space of a node grows with its printed table."""
    with System() as system:
        system.start("s0-n0")
        system.start("c0-n0")
        time.sleep(1)
        for name in ("s0-n0", "c0-n0"):
            size = resident(system.live[name].pid, "VmSize")
            parts = budget_printed(system, name)
            reserved = sum(parts[p] for p in ("table", "trie", "slices", "routing", "blocks", "scratch"))
            cases.case(f"{name}: what the executor prints ({reserved / MIB:.0f} MiB) is reserved", size >= reserved, (size, reserved))


def main():
    long = is_long(sys.argv)
    seed = seed_of(sys.argv)
    keys = 1000000 if long else 100000
    cases = Cases()
    with System() as system:
        system.start_all()
        if not cases.case("eight nodes answer", system.wait_ready()):
            return cases.end()
        time.sleep(3)
        sizes = {n: resident(system.live[n].pid) for n in system.names}
        cases.case(f"idle and empty, each of the eight holds at most 32 MiB: {shown(sizes)}", max(sizes.values()) <= IDLE_MAX, sizes)
        budgets(cases, system)
        code, summary, text = bench(system, f"{system.dir}/load", "--users", 256, "--seconds", 300 if long else 20, "--mix", "80:20", "--keys", keys,
                                    "--load", "--client-keys", 8, "--ops-per-signature", 64, "--seed", seed, limit_s=900)
        cases.case(f"{keys} keys are loaded and read", code == 0 and summary["verification_failures"] == 0, text[-1000:])
        within_budget(cases, system, "after the load")
        table_explained(cases, system, keys)
        sizes = {n: resident(system.live[n].pid) for n in system.names}
        peaks = {n: resident(system.live[n].pid, "VmHWM") for n in system.names}
        limit = LOADED_MAX if not long else 4 * LOADED_MAX
        cases.case(f"with {keys} keys resident below {limit / MIB:.0f} MiB: {shown(sizes)}", max(sizes.values()) <= limit, sizes)
        cases.case(f"and at its highest within twice that: {shown(peaks)}", max(peaks.values()) <= 2 * limit, peaks)
        later = sizes
        time.sleep(5)
        for _ in range(6):  # the last checkpoint of the load may be under way yet, whose copies are memory, too
            before, later = later, {n: resident(system.live[n].pid) for n in system.names}
            if all(later[n] <= before[n] + 8 * MIB for n in before):
                break
            time.sleep(5)
        cases.case("quiet again, nobody grows", all(later[n] <= before[n] + 8 * MIB for n in before), (before, later))
    cannot_reserve(cases)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
