#!/usr/bin/env python3
"""Power that fails at any point of a first boot: a blank disk is formatted, an owner pinned, keys are made, a configuration is kept.

QEMU writes down each write and each flush of the disk (blklogwrites). Then, for each point of that record, the disk is made as a cut there may leave
it: what was flushed is there, of the rest any blocks of 4 KiB, by chance (sectors of 512 bytes, while init formats: tests/init/test_disk.c). Each
must be a disk that init may begin anew, or a file system that its journal puts right, in which every file of ours is whole or not there. Some are
booted, among them all that e2fsck has doubts about (it looks at descriptors before the journal has been played back): the machine comes up, and the
node's keys are made or found.

The long form does all of it once more with the disk of the last cut before init's mark is cleared, so one that was mounted and grown already: nothing
that the first file system left there comes back.
power_cut.py short|long [SEED]
"""
import os
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boot  # noqa: E402
from boot import Cases, Console, vm  # noqa: E402
from steps import writes  # noqa: E402

MEGABYTES = 600
OWNER = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"  # RFC 8032, 7.1, test 1
FILES = ("node/node.key", "public/request", "public/owner", "config/bundle", "disk")
MARK = b"HERACLIUS-FORMATTING\n"


def copy(path, to):
    subprocess.run(["cp", "--sparse=always", path, to], check=True)


def cut(path, entries, point, seed, before):
    """The disk after a cut in front of entry `point`, the same for the same seed; `before`: what it was at first."""
    chance = random.Random(f"{seed} {point}")
    keep = chance.choice((0.0, 0.5, 1.0))
    copy(before, path)
    with open(path, "r+b") as file:
        writes.cut(file, entries, point, chance, keep)


def files_of(disk):
    """The files of ours on it; None for one that is not there."""
    found = {}
    for name in FILES:
        done = subprocess.run(["/usr/sbin/debugfs", "-R", f"cat /{name}", disk], capture_output=True)
        found[name] = None if b"not found" in done.stderr else done.stdout
    return found


def verdict(path, whole):
    """What is wrong with this disk, or "", and what it is: begun, whole, doubtful."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head.startswith(MARK) or not any(head):
        return "", "begun"
    if head[1080:1082] != b"\x53\xef":
        return "neither blank, nor begun, nor a file system", "begun"
    done = subprocess.run(["/usr/sbin/e2fsck", "-fy", path], capture_output=True, text=True)
    if done.returncode > 1:
        return "", "doubtful"
    found = files_of(path)
    torn = [n for n, content in found.items() if content is not None and content != whole[n]]
    if torn:
        return f"{torn} are neither whole nor missing", "whole"
    return "" if found["node/node.key"] or not found["public/request"] else "a request without its key", "whole"


def first_boot(folder, out, disk, name):
    log = os.path.join(folder, f"{name}.writes")
    open(log, "wb").close()
    with vm.Machine(os.path.join(folder, name), vm.direct(out, "amd64"), [writes.logged(disk, log), ["-uuid", boot.UUID]]) as m:
        console = Console(m)
        said = [console.job(f"owner {OWNER} sure"), console.job("request first"), console.job("config number 1;node n1;net any dhcp;ready")]
        if [answer[0] for answer in said] != ["ok"] * 3:
            raise vm.Failed(f"the first boot does not go well: {said}")
        m.send(b"halt sure\n")
        if not m.ended(60):
            raise vm.Failed("the machine does not halt")
    return writes.record(log)


def boots(cases, out, path, make, points):
    for point in points:
        make(point)
        with vm.Machine(f"{path}-{point}", vm.direct(out, "amd64"), [vm.drive("disk0", path), ["-uuid", boot.UUID]]) as m:
            console = Console(m)
            status = console.status()
            owner, asked = console.job(f"owner {OWNER} sure"), console.job("request first")
            taken = console.job("config number 2;node n1;net any dhcp;ready")
            good = status["stage.disk"].startswith("good") and [a[0] for a in (owner, asked, taken)] == ["ok"] * 3
            cases.case(f"cut before write {point}: the machine comes up, has its keys and takes a configuration", good, (status, owner, asked, taken))


def swept(cases, folder, out, name, before, seed, is_short):
    """A first boot on a copy of `before`, and cuts all along it; a disk cut off last before its mark is cleared."""
    disk, path = os.path.join(folder, f"{name}.disk"), os.path.join(folder, f"{name}.cut")
    copy(before, disk)
    entries = first_boot(folder, out, disk, name)
    whole = files_of(disk)
    cases.case(f"a {name} boot leaves its files", all(whole.values()), {n: c and len(c) for n, c in whole.items()})

    def make(point, to=path):
        cut(to, entries, point, f"{name} {seed}", before)
        return to
    bad, kinds = [], {"begun": [], "whole": [], "doubtful": []}
    points = range(0, len(entries) + 1, max(1, len(entries) // 150) if is_short else 1)
    for point in points:
        fault, kind = verdict(make(point), whole)
        kinds[kind].append(point)
        if fault:
            bad.append((point, fault))
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in sorted(kinds.items()))
    good = not bad and kinds["begun"] and kinds["whole"] and max(kinds["begun"]) < min(kinds["whole"] + kinds["doubtful"])
    cases.case(f"{name} boot, {len(points)} cuts in {len(entries)} writes: {counts}; first all begun, then none", good, bad[:5] or kinds)
    chosen = random.Random(seed).sample(range(len(entries) + 1), 2 if is_short else 12)
    boots(cases, out, path, make, sorted(set(chosen + kinds["doubtful"][:2 if is_short else 40])))
    return make(max(kinds["begun"]), os.path.join(folder, f"{name}.begun"))


def main():
    cases, is_short = Cases(), sys.argv[1:2] != ["long"]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="cut-", dir=os.environ.get("TMPDIR")) as folder:
        try:
            out = boot.made(os.path.join(folder, "out"), real=[("build/gcc/heraclius-setup", "setup-real")])
            begun = swept(cases, folder, out, "first", vm.blank(folder, MEGABYTES, "blank"), seed, is_short)
            if not is_short:
                swept(cases, folder, out, "second", begun, seed, is_short)
        except vm.Failed as fault:
            cases.case("the machine answers", False, fault)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
