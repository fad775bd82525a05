"""A whole system of virtual machines from one image: eight of them, four coordinators and four shard nodes, as `make cluster` and others
have it. What an operator and an owner do is done as they do it (operator.py): keys are made in each, cards of their requests, signed
configurations pasted in."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import time

from . import lan, operator, vm

PLACES = [f"{cluster}-n{i}" for cluster in ("c0", "s0") for i in range(4)]
CPUS = os.cpu_count()  # a machine has half a minute for what init has heraclius-setup do: not more of them compute at once than can
BOOT_S, ANSWER_S = 240, 240


class NotShown(Exception):
    """What was to be shown, and what was seen instead."""


class Cluster:
    """`name`: of the program that shows something with it. `slots`: who starts by UEFI from a disk with two slots; the others' kernel and initrd are
    put into memory by QEMU. `releases`: {number: what ends in it}, as Owner.release() has it; each is above FIRST, which all run at first."""
    FIRST = 1000

    def __init__(self, name, folder, memory_mb, port, slots=(), releases=None):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.name, self.folder, self.memory_mb, self.slots = name, folder, memory_mb, slots
        self.owner = operator.Owner(f"{folder}/owner")
        self.image_mb = operator.image(f"{folder}/image", self.owner.public, number=self.FIRST, only=None if slots else "direct")
        self.releases = {number: self.owner.release(number, ends) for number, ends in (releases or {}).items()}
        self.net = lan.here(len(PLACES), port)  # after the last that may want Debian's mirror, before there is a thread
        self.machines, self.consoles = [None] * len(PLACES), [None] * len(PLACES)

    def show(self, what, good, seen=""):
        if not good:
            raise NotShown(f"{what}: {seen}")
        print(f"{self.name}: {what}", flush=True)

    # ---- power

    def disk(self, i):
        """Words of QEMU for the data disk of a machine; a blank one if it has none yet."""
        at = f"{self.folder}/{PLACES[i]}"
        os.makedirs(at, exist_ok=True)
        return vm.drive("data", f"{at}/data.disk" if os.path.exists(f"{at}/data.disk") else vm.blank(at, 1024))

    def power(self, i, disk=None):
        """Power for one; `disk`: words of QEMU for its data disk, if they are to be others."""
        extra = [disk or self.disk(i), self.net.words(i)]
        start = vm.uefi_disk(f"{self.folder}/image/heraclius-amd64.img") if i in self.slots else vm.direct(f"{self.folder}/image", "amd64")
        self.machines[i] = vm.Machine(f"{self.folder}/{PLACES[i]}", start, extra, self.memory_mb, reboots=True).__enter__()
        self.consoles[i] = operator.Console(self.machines[i])

    def start(self):
        """Power for all; the time."""
        began = time.monotonic()
        for i in range(len(PLACES)):
            self.power(i)
        return began

    def end(self):
        for machine in self.machines:
            if machine:
                machine.end()

    def each(self, job, at_once=len(PLACES)):
        """job(place, console) for all, so many at once; what they gave."""
        with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
            return list(threads.map(job, PLACES, self.consoles))

    # ---- the ceremony

    def requests(self):
        """Seconds to each one's console; each has its card then."""
        def until_ready(_, console):
            console.ready(BOOT_S)
            return console.machine.seconds()

        seconds = self.each(until_ready)
        asked = self.each(lambda place, console: console.request(), CPUS)
        self.names = [self.owner.approve(request, place) for place, request in zip(PLACES, asked)]
        return seconds

    def configure(self):
        # Eight emulated machines share this one's processors: who is as slow as that is not deposed, nor asked again at once.
        settings = ["table_keys_max=1000000", "table_bytes_max=268435456", "view_base_ms=5000", "input_relay_ms=5000", "source_slow_ms=5000",
                    "last_signed_ms=2000", "fetch_ms=1000"]
        system_id = self.owner.assemble(PLACES[:4], PLACES[4:], settings, ("client", "roll"))
        self.owner.addresses("addresses.json", system_id, {name: self.net.link(i) for i, name in enumerate(self.names)})
        configs, me = {}, self.owner.certificate()
        for i, (place, name) in enumerate(zip(PLACES, self.names)):
            view = self.owner.addresses(f"{place}.json", system_id, {other: self.net.link(k, i) for k, other in enumerate(self.names)})
            listen = [f"listen=0.0.0.0:{lan.LINK_PORT}", f"admin.listen=0.0.0.0:{lan.ADMIN_PORT}", f"admin.client.0=own:{me}"]
            configs[place] = self.owner.configure(place, name, view, self.net.settings(i) + listen)
        said = self.each(lambda place, console: console.configure(configs[place]), CPUS)
        bad = [f"{place}: {text}" for place, text in zip(PLACES, said) if "is in force" not in text]
        self.show("eight configurations were pasted, judged and taken", not bad, bad)

    # ---- asking

    def client(self, *words):
        return subprocess.run([operator.CLIENT, "-s", self.owner.path("system.json"), *map(str, words)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=ANSWER_S)

    def answered(self, key, value=None):
        """Until a put of the value (if there is one) and a get of the key are answered with proof; what the get gave."""
        end, last = time.monotonic() + ANSWER_S, None
        while time.monotonic() < end:
            last = self.client("put", key, value, "--timeout", 10) if value else None
            if not value or last.returncode == 0:
                last = self.client("get", key, "--timeout", 10)
                if last.returncode == 0:
                    return last.stdout.strip()
        raise NotShown(f"no answer in {ANSWER_S} s: {last}")

    def voting(self):
        """Until all eight vote; {place: height}."""
        end, seen = time.monotonic() + ANSWER_S, None
        while time.monotonic() < end:
            said = self.client("status", "--json")
            try:
                nodes = [node for cluster in json.loads(said.stdout)["clusters"] for node in cluster["members"]]
            except (ValueError, KeyError, TypeError):
                nodes = []
            seen = {PLACES[self.names.index(node["name"])]: (node["voting"], node["height"]) for node in nodes}
            if len(seen) == len(PLACES) and all(votes for votes, _ in seen.values()):
                return {place: height for place, (_, height) in seen.items()}
            time.sleep(0.5)
        ended = [place for place, machine in zip(PLACES, self.machines) if machine.ended(0)]
        raise NotShown(f"not all vote after {ANSWER_S} s: {seen}; machines that ended by themselves: {ended}")

    def roots(self):
        """One (height, state root) for each cluster, which all its four state."""
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end:
            stated = self.each(lambda place, console: console.root())
            both = [set(stated[:4]), set(stated[4:])]
            if all(len(one) == 1 and None not in one for one in both):
                return [one.pop() for one in both]
        raise NotShown(f"the state roots differ: {list(zip(PLACES, stated))}")

    def halt(self):
        self.each(lambda place, console: console.confirmed("halt"))
        up = [place for place, machine in zip(PLACES, self.machines) if not machine.ended(60)]
        self.show("all were halted at their consoles, in order", not up, up)
        for place, machine in zip(PLACES, self.machines):
            check = subprocess.run(["/usr/sbin/e2fsck", "-fn", f"{machine.folder}/data.disk"], capture_output=True, text=True)
            if check.returncode != 0:
                raise NotShown(f"the disk of {place} is not clean: {check.stdout}")

