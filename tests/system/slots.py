#!/usr/bin/env python3
"""Releases of the appliance's image and the slots that they go into, by the command and the program that do it, on a boot partition that mkfs.vfat
and mtools made and fsck.vfat checks; without a machine. What the loader does (it renames the file it starts) is played here by mtools. Ends with
"N passed, N failed".
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLIENT, TOP, Cases  # noqa: E402

SLOTS = "build/gcc/heraclius-slots"
SELECTED = "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
MACHINE = {"x86_64": 0x8664, "aarch64": 0xAA64}[os.uname().machine]
ESP_MB = 64


def run(*words):
    return subprocess.run([CLIENT] + [str(w) for w in words], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def tool(*words, **more):
    env = dict(os.environ, MTOOLS_SKIP_CHECK="1", PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=60, env=env, **more)


def uki(number, megabytes=3, machine=MACHINE):
    """Something that says what a UKI says, of some size."""
    osrel = f'ID=heraclius\nVERSION_ID="0.{number}"\nIMAGE_VERSION={number}\n'.encode()
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 1, 0, 0, 0, 0, 0)
    head += struct.pack("<8sIIIIIIHHI", b".osrel", len(osrel), 0x1000, 512, 512, 0, 0, 0, 0, 0)
    body = (f"image {number} ".encode() * (1 << 16))[:1 << 16]
    return head.ljust(512, b"\0") + osrel.ljust(512, b"\0") + body * (16 * megabytes)


class Machine:
    def __init__(self, folder, owner, cases):
        self.folder, self.cases, self.esp, self.root = folder, cases, f"{folder}/esp", f"{folder}/root"
        for path in ("etc/heraclius", "data/public", os.path.dirname(SELECTED)):
            os.makedirs(f"{self.root}/{path}")
        self.put("etc/heraclius/owner", owner + "\n")
        with open(self.esp, "wb") as file:
            file.truncate(ESP_MB << 20)
        made = tool("mkfs.vfat", "-F", "32", "-n", "HERACLIUS", self.esp)
        assert made.returncode == 0, made
        for path in ("EFI", "EFI/BOOT", "EFI/Linux"):
            tool("mmd", "-i", self.esp, f"::{path}")
        with open(f"{folder}/loader", "wb") as file:
            file.write(os.urandom(90000))
        tool("mcopy", "-i", self.esp, f"{folder}/loader", "::EFI/BOOT/BOOTX64.EFI")
        with open(f"{folder}/uki", "wb") as file:
            file.write(uki(100))
        tool("mcopy", "-i", self.esp, f"{folder}/uki", "::EFI/Linux/heraclius-1.efi")

    def put(self, path, text):
        with open(f"{self.root}/{path}", "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def names(self):
        listed = tool("mdir", "-b", "-i", self.esp, "::EFI/Linux").stdout.split()
        return sorted(os.path.basename(name) for name in listed)

    def content(self, name):
        out = f"{self.folder}/out"
        if os.path.exists(out):
            os.remove(out)
        tool("mcopy", "-i", self.esp, f"::EFI/Linux/{name}", out)
        with open(out, "rb") as file:
            return file.read()

    def starts(self, name, number):
        """The loader started that file; returns the name that it has then."""
        self.put(SELECTED, b"\6\0\0\0" + (name + "\0").encode("utf-16-le"))
        self.put("etc/heraclius/number", f"{number}\n")
        if "+" not in name:
            return name
        left, done = name[:-4].split("+")[1].partition("-")[::2]
        now = f"{name.split('+')[0]}+{int(left) - 1}-{int(done or 0) + 1}.efi"
        tool("mren", "-i", self.esp, f"::EFI/Linux/{name}", f"::EFI/Linux/{now}")
        return now

    def job(self, word, release=os.devnull):
        script = 'release=$1; esp=$2; shift 2; exec "$@" 3<"$release" 4<>"$esp"'
        return subprocess.run(["sh", "-c", script, "sh", release, self.esp, SLOTS, "--root", self.root, word], cwd=TOP,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def status(self):
        return dict(line.split("=", 1) for line in self.job("status").stdout.splitlines())

    def clean(self, when):
        checked = tool("fsck.vfat", "-n", self.esp)
        loader = f"{self.folder}/loader.back"
        if os.path.exists(loader):
            os.remove(loader)
        tool("mcopy", "-i", self.esp, "::EFI/BOOT/BOOTX64.EFI", loader)
        same = subprocess.run(["cmp", "-s", loader, f"{self.folder}/loader"]).returncode == 0
        self.cases.case(f"{when}: fsck.vfat finds nothing, and no other file changed", checked.returncode == 0 and same, checked)


def release_make(c, folder, number, key="team", machine=MACHINE, megabytes=3):
    path, out = f"{folder}/{number}-{machine:x}.efi", f"{folder}/{number}-{machine:x}-{key}.release"
    with open(path, "wb") as file:
        file.write(uki(number, megabytes, machine))
    made = run("image", "sign", path, "--key", f"{folder}/{key}.owner.key", "--out", out)
    c.case(f"image sign: {number} by {key}", made.returncode == 0 and f"number       {number}" in made.stdout, made)
    return out


def owners(c, folder):
    keys = []
    for name in ("team", "stranger"):
        made = run("node", "owner", "--name", name, "--out", folder)
        keys.append(made.stdout.split()[1])
    return keys


def commands(c, folder, keys):
    good = release_make(c, folder, 101)
    shown = run("image", "show", good)
    verified, other = (run("image", "verify", good, "--key", key) for key in keys)
    c.case("image show", shown.returncode == 0 and "number       101" in shown.stdout and "label        0.101" in shown.stdout, shown)
    c.case("image verify: by the owner's key", verified.returncode == 0 and "signed" in verified.stdout, verified)
    c.case("image verify: a stranger's is refused", other.returncode == 1 and "signature-invalid" in other.stderr, other)
    high = f"{folder}/high.efi"
    with open(high, "wb") as file:
        file.write(uki(2**63, 3, MACHINE))
    done = run("image", "sign", high, "--key", f"{folder}/team.owner.key", "--out", f"{folder}/high.release")
    c.case("image sign: no number that a console cannot tell", done.returncode == 2 and "field-range" in done.stderr and
           not os.path.exists(f"{folder}/high.release"), done)
    again = run("image", "sign", f"{folder}/101-{MACHINE:x}.efi", "--key", f"{folder}/team.owner.key", "--out", good)
    c.case("image sign: never over an old file", again.returncode == 2, again)
    with open(f"{folder}/nothing", "wb") as file:
        file.write(b"MZ" + bytes(5000))
    none = run("image", "sign", f"{folder}/nothing", "--key", f"{folder}/team.owner.key", "--out", f"{folder}/none")
    c.case("image sign: what is no UKI is refused", none.returncode == 2 and "format-unknown" in none.stderr, none)
    return good


def spoiled(folder, release, name, at=None, cut=None):
    with open(release, "rb") as file:
        content = bytearray(file.read())
    if at is not None:
        content[at] ^= 1
    with open(f"{folder}/{name}", "wb") as file:
        file.write(content[:cut])
    return f"{folder}/{name}"


def refusals(c, folder, machine, good, stranger):
    bad = {"a stranger's": (stranger, "signature-invalid"),
           "an older one": (release_make(c, folder, 99), "serial"),
           "the one that runs": (release_make(c, folder, 100), "serial"),
           "a damaged record": (spoiled(folder, good, "b1", at=40), "signature-invalid"),
           "another architecture": (release_make(c, folder, 101, machine=0x8664 + 0xAA64 - MACHINE), "foreign"),
           "an empty file": (spoiled(folder, good, "b3", cut=0), "truncated"),
           "one cut short": (spoiled(folder, good, "b4", cut=-1), "truncated"),
           "a damaged image": (spoiled(folder, good, "b5", at=2000000), "id-mismatch"),
           "a bare UKI": (f"{folder}/101-{MACHINE:x}.efi", "format-unknown")}
    for what, (path, word) in bad.items():
        done = machine.job("upgrade", path)
        c.case(f"refused: {what}", done.returncode == 1 and done.stderr.startswith(f"{word}: ") and done.stderr.count("\n") == 1, done)
        c.case(f"{what}: the slots are as before", machine.names() == ["heraclius-1.efi"], machine.names())
    machine.clean("after what was refused")


def life(c, folder, machine, good):
    name = machine.starts("heraclius-1.efi", 100)
    refused = machine.job("rollback")
    c.case("rollback with an empty slot is refused", refused.returncode == 1 and refused.stderr.startswith("field-missing: "), refused)
    done = machine.job("upgrade", good)
    c.case("upgrade: slot 2, next, two tries", done.returncode == 0 and "slot_next=2" in done.stdout.split() and
           machine.names() == ["heraclius-1.efi", "heraclius-2+2.efi", "slot2.rel", "slot2.was"], (done, machine.names()))
    c.case("what lies there is the image", machine.content("heraclius-2+2.efi") == uki(101) and machine.content("heraclius-1.efi") == uki(100))
    machine.clean("after an upgrade")
    name = machine.starts("heraclius-2+2.efi", 101)
    status = machine.status()
    c.case("on trial", status["slot"] == "2" and status["slot_state"] == "trial" and len(status.get("image_hash", "")) == 64, status)
    again = machine.job("upgrade", good)
    c.case("no upgrade during a trial", again.returncode == 1 and again.stderr.startswith("order: "), again)
    done = machine.job("bless")
    names = machine.names()
    c.case("blessed: the counter goes", done.returncode == 0 and name not in names and "heraclius-2.efi" in names, names)
    machine.starts("heraclius-2.efi", 101)
    bad = release_make(c, folder, 102)
    c.case("the next one goes into slot 1", machine.job("upgrade", bad).returncode == 0 and
           machine.names() == ["heraclius-1+2.efi", "heraclius-2.efi", "slot1.rel", "slot1.was", "slot2.rel", "slot2.was"], machine.names())
    machine.starts("heraclius-1+2.efi", 102)
    done = machine.job("fail")
    c.case("given up: slot 2 is next", done.returncode == 0 and machine.status()["slot_next"] == "2", done)
    machine.starts("heraclius-2.efi", 101)
    c.case("and may be tried again", machine.job("upgrade", bad).returncode == 0)
    machine.starts("heraclius-1+2.efi", 102)
    machine.job("bless")
    machine.starts("heraclius-1.efi", 102)
    done = machine.job("rollback")
    c.case("rollback: the older one is next, on trial", done.returncode == 0 and machine.status()["slot_next"] == "2" and
           machine.names()[:2] == ["heraclius-1+0.efi", "heraclius-2+2.efi"], machine.names())
    machine.clean("after all of it")
    name = machine.starts("heraclius-2+2.efi", 101)
    machine.job("bless")
    c.case("and blessed", "heraclius-2.efi" in machine.names(), machine.names())


def others(c, folder, machine, good, keys):
    machine.starts("", 101)
    done = machine.job("upgrade", good)
    c.case("who started otherwise has nothing to upgrade", done.returncode == 1 and done.stderr.startswith("foreign: "), done)
    machine.put("etc/heraclius/release", "a key\n")
    done = machine.job("upgrade", good)
    c.case("keys that cannot be read are said first", done.returncode == 1 and done.stderr.startswith("field-type: "), done)
    os.unlink(f"{machine.root}/etc/heraclius/release")
    os.rename(f"{machine.root}/etc/heraclius/owner", f"{folder}/owner")
    done = machine.job("upgrade", good)
    c.case("and that there are none, with neither file nor owner", done.returncode == 1 and done.stderr.startswith("field-missing: "), done)
    shown = machine.job("status")
    c.case("its slots are shown all the same", shown.returncode == 0 and "unsigned" in shown.stdout, shown)
    os.rename(f"{folder}/owner", f"{machine.root}/etc/heraclius/owner")
    machine.starts("heraclius-2.efi", 101)
    machine.put("etc/heraclius/release", keys[1] + "\n")
    stranger = release_make(c, folder, 103, "stranger")
    wrong, right = machine.job("upgrade", release_make(c, folder, 103)), machine.job("upgrade", stranger)
    c.case("an image with release keys of its own takes theirs, not the owner's", wrong.returncode == 1 and
           wrong.stderr.startswith("signature-invalid: ") and right.returncode == 0, (wrong, right))
    machine.clean("at the end")


def main():
    c = Cases()
    folder = tempfile.mkdtemp(prefix="heraclius-slots-", dir=os.environ.get("TMPDIR"))
    keys = owners(c, folder)
    good = commands(c, folder, keys)
    machine = Machine(folder, keys[0], c)
    machine.starts("heraclius-1.efi", 100)
    refusals(c, folder, machine, good, release_make(c, folder, 101, "stranger"))
    life(c, folder, machine, good)
    others(c, folder, machine, good, keys)
    if os.environ.get("KEEP"):
        print(f"its folder: {folder}")
    else:
        shutil.rmtree(folder)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
