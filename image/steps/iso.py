"""The ISO: a CD, or written to a stick, by UEFI and by BIOS. Its UEFI half is the UKI itself as BOOTX64.EFI in a small FAT file system; the BIOS half
isolinux. A CD is not written to: it has one slot, and an upgrade is another CD."""
import os
import tempfile
import time as clock

from . import fat, rawdisk, tool


def make(path, parts, loaders, seed, time):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        tree = os.path.join(folder, "tree")
        files = {"isolinux/isolinux.bin": rawdisk.read(loaders["isolinux.bin"]), "isolinux/ldlinux.c32": rawdisk.read(loaders["ldlinux.c32"]),
                 "isolinux/isolinux.cfg": rawdisk.syslinux_config(parts.words), "heraclius/linux": parts.linux, "heraclius/initrd": parts.initrd}
        for name, content in files.items():
            at = os.path.join(tree, name)
            os.makedirs(os.path.dirname(at), exist_ok=True)
            tool.write(at, content)
        esp = os.path.join(tree, "heraclius/efi.img")
        fat.make(esp, (len(parts.uki) >> 20) + 3, "HERACLIUS", int(seed[:8], 16), {"EFI/BOOT/BOOTX64.EFI": parts.uki}, time)
        os.chmod(esp, 0o644)
        for at, folders, names in os.walk(tree, topdown=False):
            os.chmod(at, 0o755)
            for name in names + folders + [""]:
                os.utime(os.path.join(at, name), (time, time))
        day = clock.strftime("%Y%m%d%H%M%S00", clock.gmtime(time))
        if os.path.exists(path):
            os.remove(path)
        bios = ["-isohybrid-mbr", loaders["isohdpfx.bin"], "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
                "-boot-load-size", "4", "-boot-info-table"]
        uefi = ["-eltorito-alt-boot", "-e", "heraclius/efi.img", "-no-emul-boot", "-isohybrid-gpt-basdat"]
        tool.run(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-V", "HERACLIUS", f"--modification-date={day}", "--gpt_disk_guid",
                  "modification-date"] + bios + uefi + ["-o", path, tree], time)
        os.chmod(path, 0o644)
