"""The raw disk: starts by UEFI (systemd-boot, which knows two slots and counts tries), on amd64 by BIOS too (syslinux, one slot).

  /EFI/BOOT/BOOT*.EFI             systemd-boot, where firmware looks first
  /EFI/Linux/heraclius-1.efi      slot 1: the image. An upgrade goes into the other slot, heraclius-2+N.efi with N tries; blessing takes the +N away
  /loader/loader.conf             no menu, no editor
  /ldlinux.sys, /ldlinux.c32, /syslinux.cfg, /heraclius/linux, /heraclius/initrd      the same for BIOS
"""
import os
import tempfile

from . import arch, fat, gpt, tool

ESP_MEGABYTES = 256
LOADER = b"timeout 0\neditor no\nauto-entries no\nauto-firmware no\ndefault heraclius-*\n"
CODE_BYTES = 440


def syslinux_config(words, folder="/heraclius/"):
    return f"DEFAULT heraclius\nPROMPT 0\nLABEL heraclius\n  LINUX {folder}linux\n  INITRD {folder}initrd\n  APPEND {words}\n".encode()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make(path, of, parts, loaders, seed, time):
    """`of`: the architecture; `parts`: the image's uki, linux, initrd (bytes) and words; `loaders`: {name: path}; `seed`: hex digits of what the
    image is."""
    files = {arch.removable(of): parts.boot, "EFI/Linux/heraclius-1.efi": parts.uki, "loader/loader.conf": LOADER}
    if of.bios:
        files.update({"ldlinux.c32": read(loaders["ldlinux.c32"]), "syslinux.cfg": syslinux_config(parts.words), "heraclius/linux": parts.linux,
                      "heraclius/initrd": parts.initrd})
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        esp = os.path.join(folder, "esp")
        fat.make(esp, ESP_MEGABYTES, "HERACLIUS", int(seed[:8], 16), files, time, hidden=gpt.FIRST)
        if of.bios:
            tool.run(["syslinux", "--install", esp], time)
        gpt.make(path, esp, read(loaders["gptmbr.bin"])[:CODE_BYTES] if of.bios else b"", seed)
