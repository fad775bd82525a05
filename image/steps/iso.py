"""The ISO: a CD, or written to a stick, by UEFI and, on amd64, by BIOS. Its UEFI half is the UKI itself, where firmware looks first, in a small FAT
file system; the BIOS half isolinux. A CD is not written to: it has one slot, and an upgrade is another CD."""
import os
import tempfile
import time as clock

from . import arch, fat, rawdisk, tool


def make(path, of, parts, loaders, seed, time):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        tree = os.path.join(folder, "tree")
        files = {}
        if of.bios:
            files = {"isolinux/isolinux.bin": rawdisk.read(loaders["isolinux.bin"]), "isolinux/ldlinux.c32": rawdisk.read(loaders["ldlinux.c32"]),
                     "isolinux/isolinux.cfg": rawdisk.syslinux_config(parts.words), "heraclius/linux": parts.linux, "heraclius/initrd": parts.initrd}
        for name, content in files.items():
            at = os.path.join(tree, name)
            os.makedirs(os.path.dirname(at), exist_ok=True)
            tool.write(at, content)
        esp = os.path.join(tree, "heraclius/efi.img")
        os.makedirs(os.path.dirname(esp), exist_ok=True)
        fat.make(esp, (len(parts.uki) >> 20) + 3, "HERACLIUS", int(seed[:8], 16), {arch.removable(of): parts.uki}, time)
        os.chmod(esp, 0o644)
        for at, folders, names in os.walk(tree, topdown=False):
            os.chmod(at, 0o755)
            for name in names + folders + [""]:
                os.utime(os.path.join(at, name), (time, time))
        day = clock.strftime("%Y%m%d%H%M%S00", clock.gmtime(time))
        if os.path.exists(path):
            os.remove(path)
        if of.bios:
            ways = ["-isohybrid-mbr", loaders["isohdpfx.bin"], "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
                    "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot", "-e", "heraclius/efi.img", "-no-emul-boot",
                    "-isohybrid-gpt-basdat"]
        else:  # it is larger than a CD's boot record can say, where 1 stands for all that follows (UEFI 2.10, 13.3.2.1); a stick's table names it too
            ways = ["-e", "heraclius/efi.img", "-no-emul-boot", "-boot-load-size", "1", "-efi-boot-part", "--efi-boot-image"]
        tool.run(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-V", "HERACLIUS", f"--modification-date={day}", "--gpt_disk_guid",
                  "modification-date"] + ways + ["-o", path, tree], time)
        os.chmod(path, 0o644)
