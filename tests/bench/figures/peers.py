"""What others reach on this machine: the scripts in tests/bench/peers, run while no system of ours is up."""
import json
import os
import statistics
import subprocess

from figures.harness import TOP, Wrong


def script(bench, name, *words):
    """What it says in its last line; its commands are shown."""
    done = subprocess.run([os.path.join(TOP, "tests/bench/peers", name), *map(str, words)], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=900)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise Wrong(f"tests/bench/peers/{name}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    for line in lines[:-1]:
        bench.tell(f"  {line}")
    return json.loads(lines[-1])


def measured(bench, name, *words):
    """Operations a second of each run. Ours are stopped before: an idle node takes some of the processors too."""
    def make():
        bench.system_close()
        return script(bench, name, "--runs", bench.runs, "--seconds", bench.seconds, "--keys", bench.keys, *words)["ops_per_second"]
    return bench.kept(f"peer {name}", make)


def redis(bench):
    return measured(bench, "redis")


def etcd(bench):
    return measured(bench, "etcd")


def ratio(ours, theirs, who="theirs"):
    """(our runs over their median, a note), as Result takes them."""
    theirs_middle = statistics.median(theirs)
    note = f"{statistics.median(ours):,.0f}/s beside {who} {theirs_middle:,.0f}/s ({min(theirs):,.0f} to {max(theirs):,.0f})"
    return [rate / theirs_middle for rate in ours], note
