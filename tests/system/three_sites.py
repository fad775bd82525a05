#!/usr/bin/env python3
"""Three sites, 40 ms round trips between them, default time-outs: no false view change, and what a GET costs.

Every node has addresses.json of its own site: who is at another site is reached by a relay that holds back what it carries for 20 ms, each way. So
links, handshakes and time-outs are the real ones, and no right to change the machine's network is needed. Two of a cluster's four nodes are at the
first site, where the client is too: each quorum needs another site.

three_sites.py short           that the distance is felt, and everything is answered
three_sites.py long [SECONDS]  ten minutes (or so long), load that comes and goes; no view is given up; who asks alone has his GETs
                               answered within 400 ms (p50); what they cost among others is printed
"""
import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cases, System, bench, free_base, is_long  # noqa: E402

SITES = 3
ONE_WAY_S = 0.02
GET_P50_MS = 400
# A request is decided three times, and each decision crosses to another site and back: PROPOSE with PREPARE there, PREPARE or COMMIT back.
FELT_MS = 3 * 2 * ONE_WAY_S * 1000
SHORT_S, LONG_S = 5, 600
PHASES = (("90:10", 1, 10), ("90:10", 64, 20), ("50:50", 8, 20))  # mix, users, seconds


# ---- the relay: a process of its own


async def one_way(reader, writer):
    """What came leaves ONE_WAY_S later, in its order."""
    loop, flying = asyncio.get_running_loop(), asyncio.Queue()

    async def leave():
        while True:
            due, data = await flying.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    leaving = asyncio.create_task(leave())
    try:
        data = b"-"
        while data:
            data = await reader.read(1 << 18)
            flying.put_nowait((loop.time() + ONE_WAY_S, data))
        await leaving
    except OSError:
        leaving.cancel()
        writer.close()


def relay_of(target):
    async def connected(reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(one_way(reader, back), one_way(there, writer), return_exceptions=True)
    return connected


async def relays(pairs):
    servers = [await asyncio.start_server(relay_of(target), "127.0.0.1", port) for port, target in pairs]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


# ---- the system


def site_of(name):
    return int(name.split("-n")[1]) % SITES


class Sites(System):
    """A system whose nodes see each other from their sites."""

    def __init__(self):
        super().__init__()
        with open(f"{self.root}/addresses.json") as f:
            addresses = json.load(f)
        base = free_base(len(self.names))
        direct = {n: int(addresses["nodes"][n]["link"].split(":")[1]) for n in self.names}
        far = {n: base + i for i, n in enumerate(self.names)}
        for site in range(SITES):
            for n in self.names:
                addresses["nodes"][n]["link"] = f"127.0.0.1:{direct[n] if site_of(n) == site else far[n]}"
            with open(f"{self.root}/addresses-{site}.json", "w") as f:
                f.write(json.dumps(addresses, indent=2, sort_keys=True) + "\n")
        for n in self.names:
            self.change_conf(n, {"addresses": f"{self.root}/addresses-{site_of(n)}.json"})
        os.replace(f"{self.root}/addresses-0.json", f"{self.root}/addresses.json")  # the client's, and that of the nodes beside it
        for n in self.names:
            if site_of(n) == 0:
                self.change_conf(n, {"addresses": f"{self.root}/addresses.json"})
        self.relay = subprocess.Popen([sys.executable, os.path.abspath(__file__), "relay"] + [f"{far[n]}:{direct[n]}" for n in self.names],
                                      stdout=subprocess.PIPE, text=True, start_new_session=True)
        if self.relay.stdout.readline() != "ready\n":
            raise RuntimeError("the relay does not start")

    def kill_all(self):
        super().kill_all()
        self.relay.kill()
        self.relay.wait(timeout=30)


class Stalls(threading.Thread):
    """How long this process was kept waiting for the machine, and when: what a false view change is to be held against."""

    PAUSE_S, WORTH_S = 0.05, 0.3

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = []

    def run(self):
        while True:
            before = time.monotonic()
            time.sleep(self.PAUSE_S)
            late = time.monotonic() - before - self.PAUSE_S
            if late >= self.WORTH_S:
                self.seen.append(f"{time.strftime('%H:%M:%S')} {late * 1000:.0f} ms")


def alarms(system):
    """Who gave up a view, when and why, by the nodes' logs: time, node, view, cause."""
    lines = [x for n in system.names for x in system.log(n).splitlines() if " view_timeout " in x]
    return [" ".join([x[11:23]] + [w for w in x.split() if w.startswith(("node=", "view=", "cause="))]) for x in sorted(lines)]


def get_times(path):
    """Milliseconds of each GET of a history."""
    with open(path) as f:
        ops = [json.loads(line) for line in f]
    return [(op["return"] - op["call"]) / 1000 for op in ops if op["op"] == "get" and op["outcome"] != "unknown"]


def load(cases, system, number, mix, users, seconds):
    """One bench; the times of its GETs, or None."""
    out = f"{system.dir}/load-{number}"
    code, summary, text = bench(system, out, "--history", f"{out}.history", "--users", users, "--seconds", seconds, "--keys", 200, "--mix", mix,
                                "--client-keys", 4, limit_s=seconds + 120)
    good = code == 0 and summary and summary["errors"] == 0
    if not good:
        cases.case(f"{users} users, {mix}: everything is answered", False, f"{code} {summary} {text[-800:]}")
    return get_times(f"{out}.history") if good else None


def report(cases, users, times):
    times = sorted(times)
    p50, p99 = statistics.median(times), times[len(times) * 99 // 100]
    cases.case(f"the distance is felt: {users} users, {len(times)} GETs, p50 {p50:.0f} ms, p99 {p99:.0f} ms", p50 >= FELT_MS, times[:5])
    return p50


def rotation_blocks(system):
    with open(f"{system.root}/system.json") as f:
        return json.load(f)["limits"]["rotation_blocks"]


def quiet(cases, system):
    """A view ends by rotation (B-53) alone."""
    turn = rotation_blocks(system)
    states = {n: s for prefix in ("c0", "s0") for n, s in system.cluster(prefix).items()}
    false = {n: (s["view"], s["height"]) for n, s in states.items() if s["view"] > s["height"] // turn}
    views = {n: s["view"] for n, s in states.items()}
    cases.case(f"no false view change, heights {max(s['height'] for s in states.values())}, views {sorted(set(views.values()))}",
               len(states) == len(system.names) and not false, f"{false} {system.states('c0')} {system.states('s0')}")
    for line in alarms(system):
        print(f"     gave up a view: {line}")
    accused = sorted((n, a["attack"], a["peer"]) for n, s in states.items() for a in s["attackers"])
    print(f"     accused by one and not deposed, as when a machine stands still for a second: {accused or 'nobody'}")


def main():
    cases = Cases()
    if len(sys.argv) > 1 and sys.argv[1] == "relay":
        asyncio.run(relays([tuple(map(int, pair.split(":"))) for pair in sys.argv[2:]]))
        return 0
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else LONG_S if is_long(sys.argv) else SHORT_S
    stalls = Stalls()
    stalls.start()
    with Sites() as system:
        system.start_all()
        if not cases.case("a system over three sites answers", system.wait_ready(), system.states("c0")):
            return cases.end()
        times, began, turn = {}, time.monotonic(), 0
        while time.monotonic() - began < seconds:
            mix, users, phase_s = PHASES[turn % len(PHASES)]
            here = load(cases, system, turn, mix, users, max(1, min(phase_s, seconds)))
            if not here:
                return cases.end()
            times.setdefault(users, []).extend(here)
            turn += 1
        p50 = {users: report(cases, users, times[users]) for users in sorted(times)}
        if is_long(sys.argv):
            cases.case(f"a GET of one who asks alone: p50 below {GET_P50_MS} ms", p50[min(p50)] < GET_P50_MS, p50)
            quiet(cases, system)
            print(f"     kept waiting by the machine for {Stalls.WORTH_S * 1000:.0f} ms and more: {', '.join(stalls.seen) or 'never'}")
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
