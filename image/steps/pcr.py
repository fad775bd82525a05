"""TPM PCR 11 after systemd's stub has started a UKI: for each section it measures, the name with its zero, then the content, in the stub's order
(systemd 252, src/fundamental/tpm-pcr.c). It says which image runs, its command line included; not which configuration, which is signed instead."""
import hashlib

ORDER = (".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey")


def predicted(parts, bank="sha256"):
    """`parts`: (section, bytes), as in the UKI."""
    def extend(value, data):
        return hashlib.new(bank, value + hashlib.new(bank, data).digest()).digest()
    value = bytes(hashlib.new(bank).digest_size)
    sections = dict(parts)
    for name in ORDER:
        if name in sections:
            value = extend(extend(value, name.encode() + b"\0"), sections[name])
    return value.hex()
