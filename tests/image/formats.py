#!/usr/bin/env python3
"""An image starts: by each way that a machine can start from it, with each driver that QEMU has a device for, and signed under Secure Boot only.

  tests/image/formats.py short     kernel and initrd given by QEMU, on virtio
  tests/image/formats.py long      and UKI, raw disk, ISO, by UEFI and BIOS; NVMe, AHCI, SCSI, USB, Intel's cards; Secure Boot; the TPM's PCR 11

A boot has come up when init has made a data disk of the blank one that the machine has. Limits are for a slow and busy machine.
"""
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TOP, "image"), os.path.join(TOP, "tests/system")]
from cluster import Cases, is_long  # noqa: E402
from steps import cpio, pcr, uki, vm  # noqa: E402

OUT = os.path.join(TOP, "build/image-test")
LIMIT_S = 240
UP = (r"heraclius: Heraclius appliance", r"heraclius: modules: \d+ loaded", r"heraclius: disk: [^\r\n]+\r")
CANNOT = rb"heraclius: (?:modules|entropy|watchdog|clock|disk): CANNOT[^\r\n]*"
SNAKEOIL = "/usr/share/ovmf/PkKek-1-snakeoil"

# What the kernel says when its driver has a device; the data disk's driver is shown by the data disk itself, a network card's by what it sends.
ON_NVME = (("virtio-scsi", ["-device", "virtio-scsi-pci"], r"scsi host\d+: Virtio SCSI HBA"),
           ("xhci", ["-device", "qemu-xhci", "-device", "usb-kbd"], r"xhci_hcd \S+ xHCI Host Controller"),
           ("i6300esb", [], r"i6300ESB timer"))
ON_AHCI = (("ahci", [], r"ahci \S+ AHCI"),
           ("ehci", ["-device", "usb-ehci"], r"ehci-pci \S+ EHCI Host Controller"))
CARDS = ("virtio-net-pci", "e1000e", "e1000", "igb")  # as far as QEMU has them: 7.2 has no igb


def make(words, out):
    done = subprocess.run(["make", "-C", TOP, "--no-print-directory", "image", f"OUT={out}", "LEVEL=3", *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=1500)
    return done.returncode == 0, (done.stdout + done.stderr)[-2000:]


@contextlib.contextmanager
def machine(work, name, start, extra=(), data="virtio-blk-pci", **more):
    folder = os.path.join(work, name)
    os.makedirs(folder)
    disk = vm.drive("data", vm.blank(folder, 600), data)
    with vm.Machine(folder, start, [disk, *extra], **more) as one:
        yield one


def boots(c, work, name, start, limit_s=LIMIT_S, **more):
    """One case: up, with nothing that cannot. Returns what the console said."""
    try:
        with machine(work, re.sub(r"\W+", "-", name), start, **more) as one:
            times = []
            for pattern in UP:
                one.expect(pattern, limit_s)
                times.append(one.seconds())
            cannot = re.findall(CANNOT, bytes(one.text))
            c.case(f"{name}: up in {times[0]:.1f} s, data disk after {times[2]:.1f} s", not cannot, b"; ".join(cannot).decode(errors="replace"))
            return one.last(vm.SERIAL_BYTES_MAX)
    except vm.Failed as failed:
        c.case(f"{name}: up", False, failed)
        return ""


def has_device(name):
    listed = subprocess.run([vm.KINDS["amd64"].program, "-device", "help"], capture_output=True, text=True).stdout
    return f'name "{name}"' in listed


def drivers(c, work):
    for data, devices in (("nvme", ON_NVME), ("ide-hd", ON_AHCI)):
        said = boots(c, work, f"data disk on {data}", vm.direct(OUT, "amd64", "ignore_loglevel"), extra=[words for _, words, _ in devices], data=data)
        for what, _, pattern in devices:
            c.case(f"driver of {what}", re.search(pattern, said), f"no line like {pattern} among {said.count(chr(10))}: {said[-300:]}")


def sends(path, mac, limit_s):
    """The card has sent something: IPv6 asks for routers and whether its address is taken, as soon as a link is up."""
    source, until = bytes.fromhex(mac.replace(":", "")), time.monotonic() + limit_s
    while time.monotonic() < until:
        with open(path, "rb") as file:
            if source in file.read():
                return True
        time.sleep(0.3)
    return False


def cards(c, work):
    known = subprocess.run([vm.KINDS["amd64"].program, "-device", "help"], capture_output=True, text=True).stdout
    there = [card for card in CARDS if f'name "{card}"' in known]
    macs = {card: f"52:54:00:48:52:{number:02x}" for number, card in enumerate(there, 1)}
    frames = {card: os.path.join(work, f"{card}.pcap") for card in there}
    extra = [vm.network(n, vm.user_network(), card, macs[card]) + vm.frames(n, frames[card]) for n, card in enumerate(there)]
    try:
        with machine(work, "cards", vm.direct(OUT, "amd64"), extra) as one:
            one.expect(UP[-1], LIMIT_S)
            for card in there:
                c.case(f"driver of {card}: the card sends", sends(frames[card], macs[card], 60), one.last(1000))
    except vm.Failed as failed:
        c.case("network cards", False, failed)


def secure_boot(c, work):
    """By a key that only this test's firmware knows: UKI and loader of `make image SIGN_KEY=`; the unsigned UKI is refused."""
    firmware = {"code": "OVMF_CODE_4M.secboot.fd", "variables": "OVMF_VARS_4M.snakeoil.fd", "secure": True}
    image, key, out = os.path.join(OUT, "heraclius-amd64.efi"), os.path.join(work, "key"), os.path.join(work, "signed")
    subprocess.run(["openssl", "rsa", "-passin", "pass:snakeoil", "-in", f"{SNAKEOIL}.key", "-out", key], check=True, capture_output=True)
    good, text = make([f"SIGN_KEY={key}", f"SIGN_CERT={SNAKEOIL}.pem"], out)
    if c.case("make image SIGN_KEY=", good, text):
        boots(c, work, "signed UKI under Secure Boot", vm.uefi_program(f"{out}/heraclius-amd64.efi", **firmware), secure=True)
        boots(c, work, "signed raw disk under Secure Boot", vm.uefi_disk(f"{out}/heraclius-amd64.img", **firmware), secure=True)
    try:
        with machine(work, "unsigned", vm.uefi_program(image, **firmware), secure=True) as one:
            one.expect("Access Denied", LIMIT_S)
            c.case("unsigned UKI under Secure Boot: refused", b"Heraclius appliance" not in one.text, one.last(500))
    except vm.Failed as failed:
        c.case("unsigned UKI under Secure Boot: refused", False, failed)


def measured(c, work):
    """PCR 11 as predicted, by the steps of the build, is what a TPM then holds. The initrd is the test's own: it says so."""
    program, image, chip = (os.path.join(work, name) for name in ("pcr11", "pcr11.efi", "tpm"))
    os.mkdir(chip)
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-static", "-o", program, os.path.join(TOP, "tests/image/pcr11.c")], check=True)
    root = cpio.Archive()
    root.folder("/sys")
    root.character("/dev/console", 0o600, 5, 1)
    root.copy("/init", program, 0o755)
    with open(os.path.join(OUT, "heraclius-amd64.linux"), "rb") as linux:
        sections = [(".osrel", b"ID=heraclius\n"), (".cmdline", b"console=ttyS0 quiet"), (".initrd", root.bytes(0)), (".linux", linux.read())]
    uki.make("/usr/lib/systemd/boot/efi/linuxx64.efi.stub", sections, image, 0)
    control = os.path.join(chip, "control")
    with subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={chip}", "--ctrl", f"type=unixio,path={control}"]) as tpm:
        try:
            for _ in range(100):
                if os.path.exists(control):
                    break
                time.sleep(0.1)
            with machine(work, "measured", vm.uefi_program(image), tpm=control) as one:
                found = one.expect(r"pcr11: ([0-9A-Fa-f]{64}|none)", LIMIT_S).group(1).decode().lower()
            c.case("PCR 11: as predicted", found == pcr.predicted(sections), f"{found}, predicted {pcr.predicted(sections)}")
        except vm.Failed as failed:
            c.case("PCR 11: as predicted", False, failed)
        finally:
            tpm.kill()


def formats(c, work):
    at = os.path.join(OUT, "heraclius-amd64")
    boots(c, work, "UKI by UEFI", vm.uefi_program(f"{at}.efi"))
    boots(c, work, "raw disk by UEFI", vm.uefi_disk(f"{at}.img"))
    boots(c, work, "raw disk by BIOS", vm.bios_disk(f"{at}.img"))
    boots(c, work, "ISO by BIOS", vm.bios_cd(f"{at}.iso"))
    boots(c, work, "ISO by UEFI", vm.uefi_cd(f"{at}.iso"))
    boots(c, work, "ISO written to a stick, by BIOS", vm.bios_disk(f"{at}.iso"))


def hashes(c):
    done = subprocess.run(["sha256sum", "-c", "--quiet", "manifest.sha256"], cwd=OUT, capture_output=True, text=True)
    c.case("manifest.sha256: what is there", done.returncode == 0, done.stdout + done.stderr)


def unpacked(content):
    """{path: content} of the plain files of a newc archive, read by its format's description alone."""
    found, at = {}, 0
    while True:
        assert content[at:at + 6] == b"070701"
        fields = [int(content[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_bytes = fields[1], fields[6], fields[11]
        name = content[at + 110:at + 109 + name_bytes].decode()
        at += (110 + name_bytes + 3) & ~3
        if name == "TRAILER!!!":
            return found
        if mode >> 12 == 8:
            found[f"/{name}"] = content[at:at + size]
        at += (size + 3) & ~3


def contents(c):
    """What the SBOM says is what is there, and Debian's signatures are still behind the modules."""
    initrd = subprocess.run(["zstd", "-dqc", os.path.join(OUT, "heraclius-amd64.initrd")], check=True, capture_output=True).stdout
    files = unpacked(initrd)
    with open(os.path.join(OUT, "heraclius-amd64.spdx.json")) as text:
        listed = json.load(text)["files"]
    said = {f["fileName"][1:]: s["checksumValue"] for f in listed for s in f["checksums"] if s["algorithm"] == "SHA256"}
    is_so = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    c.case("SBOM: each file of the initrd, and its hash", said == is_so and files, sorted(set(said.items()) ^ set(is_so.items()))[:3])
    modules = [path for path in files if path.endswith(".ko")]
    unsigned = [path for path in modules if not files[path].endswith(b"~Module signature appended~\n")]
    c.case(f"{len(modules)} modules: Debian's signatures are there", modules and not unsigned, unsigned)


def main():
    c = Cases()
    work = tempfile.mkdtemp(prefix="heraclius-image-")
    good, text = make([] if is_long(sys.argv) else ["ONLY=direct"], OUT)
    if c.case("make image", good, text):
        hashes(c)
        contents(c)
        boots(c, work, "kernel and initrd by QEMU", vm.direct(OUT, "amd64"), extra=[vm.network(0, vm.user_network())])
        if is_long(sys.argv):
            formats(c, work)
            drivers(c, work)
            cards(c, work)
            secure_boot(c, work)
            measured(c, work)
    if not os.environ.get("KEEP") and not c.failed:
        shutil.rmtree(work)
    else:
        print(f"its folder: {work}")
    return c.end()


sys.exit(main())
