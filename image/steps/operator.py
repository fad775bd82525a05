"""What people do with appliances, as tests and `make cluster` need it: an operator at a machine's serial console, and the owner of nodes with
`heraclius` on a machine of his own. Nothing here has a way in that they have not."""
import glob
import hashlib
import json
import os
import re
import ssl
import subprocess
import time

from . import vm

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLIENT = os.path.join(TOP, "build/gcc/heraclius")
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\r")
BUILT = os.path.join(TOP, "build/gcc")
PROMPT = re.compile(r"(?:^|\n)[a-z0-9.-]+> ")
SAID = re.compile(r"heraclius: [^\n]*\n")  # a line of init's
ASK_S = 240  # emulated machines beside each other are slow


class Console:
    """heraclius-console on a machine's serial line."""

    def __init__(self, machine):
        self.machine = machine

    def until(self, good, seconds, after=0):
        """What came from byte `after` on, without escapes, as soon as good(that) is true."""
        end, machine = time.monotonic() + seconds, self.machine
        with machine.changed:
            while True:
                text = ESCAPES.sub(b"", bytes(machine.text[after:])).decode(errors="replace")
                if found := good(text):
                    return text, found
                if machine.closed or time.monotonic() > end:
                    raise vm.Failed(f"the console of {machine.folder} {'ended' if machine.closed else f'is silent for {seconds} s'}:\n{text[-1500:]}")
                machine.changed.wait(0.5)

    def ready(self, seconds=120):
        """Until there is a prompt; the first look, which came before it."""
        return self.until(PROMPT.search, seconds)[0]

    def do(self, line, until=PROMPT, seconds=ASK_S):
        """Types a line; what was said from behind its echo up to `until`."""
        def plain(text):
            return text if line in text else SAID.sub("", text)  # init may have said something in the middle of the echo

        def answered(text):
            text = plain(text)
            echo = text.find(line)
            return echo >= 0 and until.search(text, echo + len(line))

        after = len(self.machine.text)
        self.machine.send(line.encode() + b"\r")
        text, found = self.until(answered, seconds, after)
        text = plain(text)
        return text[text.find(line) + len(line):found.start()]

    def confirmed(self, line):
        """A command that asks whether one is sure."""
        cost = self.do(line, re.compile("Type yes: "))
        self.machine.send(b"yes\r")
        return cost

    def request(self):
        """The card request, as one copies it out of the window; keys are made for it."""
        for _ in range(5):
            said = self.do("request")
            if found := re.search(r"-----BEGIN HERACLIUS CARD REQUEST-----\n.*?-----END HERACLIUS CARD REQUEST-----", said, re.S):
                return found.group(0) + "\n"
            if "busy" not in said:
                break
            time.sleep(2)
        raise vm.Failed(f"no card request: {said}")

    def paste(self, bundle):
        """A configuration; what was said to it."""
        self.do("config paste", re.compile("It is not echoed"))
        after = len(self.machine.text)
        with open(bundle, "rb") as file:
            self.machine.send(file.read().replace(b"\n", b"\r") + b".\r")
        return self.until(PROMPT.search, ASK_S, after)[0]

    def configure(self, bundle):
        """The same, once more, as one does, where the judge was too slow on a busy machine or had something else to do."""
        for _ in range(3):
            said = self.paste(bundle)
            if "is in force" in said or not re.search("took too long|busy", said):
                break
            time.sleep(1)
        return said

    def view(self, name):
        """One of its views: {label: text}."""
        seen, label = {}, None
        for line in self.do(name).split("\n"):
            label = line[:11].strip() or label
            if label and line[11:]:
                seen[label] = f"{seen[label]} {line[11:]}" if label in seen else line[11:]
        return seen

    def is_voting(self):
        return self.view("status all").get("phase", "") == "voting, ready"

    def slots(self):
        """(slot that runs, is it blessed, {slot: (number, what became of it); None: it is empty})"""
        view = self.view("slots")
        runs = re.match(r"\s*slot (\d), (blessed|on trial)", view.get("runs", ""))
        if not runs:
            raise vm.Failed(f"{self.machine.folder} says nothing of its slots: {view}")
        releases = {n: re.match(r"\s*release (\d+) .*?, (blessed|given up|untried|on trial)", view.get(f"slot {n}", "")) for n in (1, 2)}
        return int(runs[1]), runs[2] == "blessed", {n: (int(one[1]), one[2]) if one else None for n, one in releases.items()}

    def root(self):
        """(height, state root) that its node states."""
        found = re.match(r"([0-9a-f]{64}) of height (\d+)", self.view("votes").get("state root", ""))
        return (int(found.group(2)), found.group(1)) if found else None


# ---------------------------------------------------------------- the owner

class Refused(Exception):
    """A command that was to go well did not; its words."""


def command(*words, timeout=60):
    """One command of `heraclius`; what it printed."""
    done = subprocess.run([CLIENT] + [str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise Refused(f"heraclius {' '.join(map(str, words))}: exit {done.returncode}: {done.stdout}{done.stderr}".strip())
    return done.stdout


def image(out, owner, level=3, only="direct", number=None, init=f"{BUILT}/init", node=f"{BUILT}/heracliusd"):
    """Kernel and initrd with our programs, with this owner's key pinned; MB of both. `only`: of image/build; None: all that it makes."""
    programs = [path for path in sorted(glob.glob(f"{BUILT}/heraclius-*")) if "." not in os.path.basename(path)]
    words = [os.path.join(TOP, "image/build"), "--cache", os.environ.get("IMAGE_CACHE", "build/image"), "--out", out, "--init", init, "--node",
             node, "--owner", owner, "--level", str(level)]
    words += (["--only", only] if only else []) + (["--number", str(number)] if number else [])
    done = subprocess.run(words + [word for path in programs for word in ("--program", path)], cwd=TOP, capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"image/build: {done.stdout}{done.stderr}")
    return sum(os.path.getsize(f"{out}/heraclius-amd64.{part}") for part in ("linux", "initrd")) / 1e6


class Owner:
    """A team that owns nodes: its key, and what it signs with it. All its files lie in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.key = os.path.join(folder, "team.owner.key")
        self.public = re.match(r"owner ([0-9a-f]{64})", command("node", "owner", "--name", "team", "--out", folder)).group(1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def approve(self, request, place):
        """Makes the card of a machine that asks for it; the name that the machine gave itself."""
        with open(self.path(f"{place}.request"), "w") as file:
            file.write(request)
        said = command("node", "approve", self.path(f"{place}.request"), "--owner-key", self.key, "--out", self.path(f"{place}.card"))
        return re.search(r"^name\s+(\S+)", said, re.M).group(1)

    def assemble(self, coordinators, shards, settings=(), clients=("client",)):
        """The system file of these places' cards, clients and an administrator; its id."""
        for kind, name in [("admin", "admin")] + [("client", name) for name in clients]:
            command(kind, "enroll", "--name", name, "--out", self.folder)
        cards = [",".join(self.path(f"{place}.card") for place in places) for places in (coordinators, shards)]
        command("system", "assemble", "--name", "appliances", "--coordinator", cards[0], "--shard", cards[1], "--admin", self.path("admin.card"),
                "--needed", 1, *(word for name in clients for word in ("--client", self.path(f"{name}.card"))),
                *(word for setting in settings for word in ("--set", setting)), "--out", self.path("system.json"))
        return json.loads(command("system", "show", "--json", self.path("system.json")))["system_id"]

    def addresses(self, file, system_id, links):
        """Where nodes are, as one place sees it: {node's name: HOST:PORT}."""
        nodes = {name: {"admin": "", "link": link} for name, link in sorted(links.items())}
        with open(self.path(file), "w") as out:
            out.write(json.dumps({"format": 1, "nodes": nodes, "system_id": system_id}, indent=2) + "\n")
        return self.path(file)

    def configure(self, place, name, addresses, settings):
        """A signed configuration; its file."""
        new, signed = self.path(f"{place}.new"), self.path(f"{place}.cfg")
        command("node", "config", "new", "-s", self.path("system.json"), "-a", addresses, "--node", name,
                *(word for setting in settings for word in ("--set", setting)), "--out", new)
        command("node", "config", "sign", new, "--owner-key", self.key, "--out", signed)
        return signed

    def certificate(self):
        """me.pem and me.key: with them this owner goes to its machines' admin consoles; its SHA-256."""
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
                               "-subj", "/CN=me", "-keyout", self.path("me.key"), "-out", self.path("me.pem")], capture_output=True, text=True)
        if done.returncode != 0:
            raise Refused(f"openssl: {done.stderr}")
        with open(self.path("me.pem")) as file:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()

    def release(self, number, ends=None, **parts):
        """A release of an image of this number; its file. `ends`: what of it, `init` or `node`, is a program that ends at once: a bad image. `parts`:
        programs that it has in the place of these (image())."""
        out, path = self.path(f"image-{number}"), self.path(f"{number}.release")
        if ends:
            parts[ends] = self.path("ends")
            compiler = ["gcc", "-static", "-x", "c", "-o", parts[ends], "-"]
            done = subprocess.run(compiler, input="int main(void) { return 1; }\n", capture_output=True, text=True)
            if done.returncode != 0:
                raise Refused(f"gcc: {done.stderr}")
        image(out, self.public, only="uki", number=number, **parts)
        command("image", "sign", f"{out}/heraclius-amd64.efi", "--key", self.key, "--out", path)
        return path
