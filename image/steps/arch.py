"""What differs between the architectures that an image can be of."""
import collections

# triplet: as Debian's compilers and library folders say it. tools: what stands before the names of binutils. kernel: Debian's package that leads to
# the newest. efi: as UEFI names the architecture, None where there is none: then kernel and initrd are all that is made. bios: starts by BIOS too.
# must: bytes of the UKI at most, a megabyte being a million (image/build fails beyond). uki: what packs its initrd. xz makes it an eighth smaller and
# takes 0.5 s more to unpack at a start.
Arch = collections.namedtuple("Arch", "name triplet tools kernel efi bios must uki")

ALL = {arch.name: arch for arch in (
    Arch("amd64", "x86_64-linux-gnu", "", "linux-image-amd64", "x64", True, 24_000_000, "zstd"),
    Arch("arm64", "aarch64-linux-gnu", "aarch64-linux-gnu-", "linux-image-arm64", "aa64", False, 40_000_000, "xz"),
    Arch("s390x", "s390x-linux-gnu", "s390x-linux-gnu-", "linux-image-s390x", None, False, None, None),
)}


def loaders(arch):
    """{name: (package, where)} of what an image is started by."""
    at, found = "/usr/lib/systemd/boot/efi", {}
    if arch.efi:
        found = {"stub": ("systemd-boot-efi", f"{at}/linux{arch.efi}.efi.stub"), "boot": ("systemd-boot-efi", f"{at}/systemd-boot{arch.efi}.efi")}
    if arch.bios:
        found["ldlinux.c32"] = ("syslinux-common", "/usr/lib/syslinux/modules/bios/ldlinux.c32")
        found["gptmbr.bin"] = ("syslinux-common", "/usr/lib/syslinux/mbr/gptmbr.bin")
        found["isolinux.bin"] = ("isolinux", "/usr/lib/ISOLINUX/isolinux.bin")
        found["isohdpfx.bin"] = ("isolinux", "/usr/lib/ISOLINUX/isohdpfx.bin")
    return found


def removable(arch):
    """Where firmware looks first."""
    return f"EFI/BOOT/BOOT{arch.efi.upper()}.EFI"
