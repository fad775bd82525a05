#!/usr/bin/env python3
"""The simulator of the whole system runs what is shipped, and a seed is the same walk under every compiler.

It holds the linker's map of sim_system against those of heracliusd and heraclius: every member of a product archive that the simulator links and
that they link too is one and the same (path, and SHA-256 of the member); the core, the replica, the executor, recovery and the client's engine are
among them; and of the machine's parts that the simulator replaces none came along. Then one seed's walks under gcc, clang and the sanitizers end in
one trace hash.
"""
import hashlib
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = {"sim": "build/gcc/tests/sim/sim_system", "node": "build/gcc/heracliusd", "client": "build/gcc/heraclius"}
MEMBER = re.compile(r"(build/gcc/([\w/]+)\.a)\((\w+\.o)\)")
NEEDED = {"bft": ("core", "core_vote", "core_view", "core_run", "core_table", "core_repair", "certificate", "wire", "memory"),
          "merkle": ("tree", "trie", "sha256"), "store": ("table", "state_buffer", "wal_key"),
          "protocol": ("batch", "decision", "slice", "operation", "system", "checkpoint", "checkpoint_records", "pending",
                       "backup", "backup_folder", "successor"),
          "appliance/base": ("checkpoint_blobs",),
          "appliance/exec": ("executor", "exec_block", "exec_coordinator", "exec_shard", "exec_queue", "exec_record", "exec_operation", "execution",
                             "exec_admin"),
          "appliance/transfer": ("transfer", "transfer_evidence", "transfer_items", "transfer_manifest", "transfer_piece", "transfer_pieces",
                                 "transfer_serve", "transfer_kept", "transfer_take", "transfer_epoch"),
          "appliance/replica": ("replica", "replica_batch", "replica_block", "replica_core", "replica_input", "replica_last", "replica_persist",
                                "replica_propose", "replica_queue", "replica_restore", "replica_source", "replica_client", "replica_transfer",
                                "replica_epoch", "replica_config", "replica_admin", "replica_successor"),
          "appliance/node": ("node_restore", "transfer_disk", "node_inherit"),
          "client": ("engine", "request", "answer", "numbers", "journal", "settle", "follow", "backup", "backup_manifest", "backup_pieces",
                     "backup_store")}
REPLACED = (("store", "wal.o"), ("store", "state.o"), ("store", "store.o"), ("ring", "clock.o"), ("ring", "entropy.o"), ("client", "connection.o"),
            ("appliance/node", "node_genesis.o"))
passed = failed = 0


def check(name, good, text=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    print(f"{'ok  ' if good else 'FAIL'} {name} {text}", flush=True)


def members(program):
    """(archive, member) -> hash of what the program was linked with."""
    with open(program + ".map", errors="replace") as f:
        found = {(m.group(1), m.group(2), m.group(3)) for m in MEMBER.finditer(f.read())}
    out = {}
    for path, folder, member in found:
        if os.stat(path).st_mtime > os.stat(program).st_mtime:
            raise SystemExit(f"{program} is older than {path}: make it first")
        data = subprocess.run(["ar", "p", path, member], check=True, capture_output=True).stdout
        out[(folder, member)] = hashlib.sha256(data).hexdigest()
    return out


def main():
    os.chdir(TOP)
    long_form = sys.argv[1:] == ["long"]
    flavours = ["gcc", "clang", "asan"]
    targets = list(PROGRAMS.values()) + [f"build/{f}/tests/sim/sim_system" for f in flavours]
    subprocess.run(["make", "--no-print-directory", "-j2"] + sorted(set(targets)), check=True, stdout=subprocess.DEVNULL)
    linked = {name: members(program) for name, program in PROGRAMS.items()}
    sim = linked["sim"]
    product = {**linked["client"], **linked["node"]}
    shared = [m for m in sim if m in product]
    check("each object that both link is the same", shared and all(sim[m] == product[m] for m in shared), f"{len(shared)} objects")
    missing = [f"{folder}/{name}.o" for folder, names in NEEDED.items() for name in names
               if (folder, name + ".o") not in sim or (folder, name + ".o") not in product]
    check("core, replica, executor, recovery and client are among them", not missing, " ".join(missing))
    check("of what the simulator replaces nothing came along", not [m for m in REPLACED if m in sim])
    events = "400000" if long_form else "40000"
    traces = {}
    for flavour in flavours:
        words = [f"build/{flavour}/tests/sim/sim_system", "--seed", "20261126", "--events", events, "--walk-events", "20000", "--no-shrink"]
        run = subprocess.run(words, capture_output=True, text=True, timeout=1800 if long_form else 120)
        found = re.search(r"^trace (\w+)$", run.stdout, re.M)
        traces[flavour] = found.group(1) if found and run.returncode == 0 else run.stdout[-2000:] + run.stderr[-2000:]
    check("one trace hash under gcc, clang and sanitizers", len(set(traces.values())) == 1, str(traces))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
