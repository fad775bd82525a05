"""The file system of a data disk, as the blocks that are not zero: init/disk.h says the format."""
import os
import struct
import subprocess
import tempfile

BLOCK = 4096
BYTES_EACH = 256 << 10  # of disk for each file that there may be: a node has some dozens, and each has 256 bytes of room, used or not
MEGABYTES = 256
RESERVED_PERCENT = 5.01  # for the node, by how init mounts it: nobody else fills its disk. Of what it grows to, the kernel keeps 4 to 5 %
OPTIONS = "64bit,meta_bg,^resize_inode,metadata_csum,metadata_csum_seed"
UUID = "6865726b-6c69-7573-2d64-617461000001"  # init gives each disk its own


def blocks(time):
    env = dict(os.environ, E2FSPROGS_FAKE_TIME=str(time), PATH="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data")
        with open(path, "wb") as file:
            file.truncate(MEGABYTES << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", str(BLOCK), "-O", OPTIONS, "-U", UUID, "-L", "HERACLIUS-DATA",
                        "-m", str(RESERVED_PERCENT), "-i", str(BYTES_EACH), "-J", "size=16", "-E",
                        f"lazy_itable_init=0,lazy_journal_init=0,nodiscard,hash_seed={UUID},root_owner=0:0", path], check=True, env=env)
        found = []
        with open(path, "rb") as file:
            for number in range((MEGABYTES << 20) // BLOCK):
                content = file.read(BLOCK)
                if content.strip(b"\0"):
                    found.append(struct.pack("<I", number) + content)
    return b"HRCEXT4\1" + struct.pack("<I", len(found)) + b"".join(found)
