"""Memory that a virtual machine has, but its host has taken back. A guest tells its host of large blocks of memory that it does not use (free page
reporting, a balloon); the first touch of such a page costs the host's work as well, ten times as much as of another. Which pages are free in that
way depends on what ran before, hours ago even. So what a first touch costs is told beside figures, and memory is touched and given back before
each row and each peer."""
import mmap
import time

from figures import machine

PROBE_MIB = 256
AGAIN = 3           # of which the least counts: what was given back is not always what is given out next
CHUNK_MIB = 64
SHARE = 0.6         # of what is available
MOST_MIB = 8192
FREE_SHARE = 0.9    # of what is free, so that nothing is pushed out of the page cache
PAGES_A_MIB = (1 << 20) // mmap.PAGESIZE
MADV_POPULATE_WRITE = 23  # Linux 5.14; Python has no name for it
MEANS = (f"before each row and each peer {100 * SHARE:.0f} % of what is available, at most {MOST_MIB:,} MiB, are touched and given back, so that "
         "what the host of a virtual machine had taken of it is there again (--memory-as-it-is leaves that out)")


def chunk(mib):
    """So much memory, all of it there."""
    memory = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)  # what was given back as huge pages went to the host again four times as fast
    memory.madvise(MADV_POPULATE_WRITE)
    return memory


def touch(mib):
    """Has so much memory there all at once, and gives it back; seconds of processor until it was there."""
    began, held = time.process_time(), []
    try:
        while (done := len(held) * CHUNK_MIB) < mib:
            held.append(chunk(min(CHUNK_MIB, mib - done)))
        return time.process_time() - began
    finally:
        for memory in held:
            memory.close()


def us_a_page():
    return touch(PROBE_MIB) * 1e6 / (PROBE_MIB * PAGES_A_MIB)


def probed():
    """(microseconds a page of untouched memory, and of what was just given back). What lies between them is the host's."""
    first = us_a_page()
    return round(first, 2), round(min(us_a_page() for _ in range(AGAIN)), 2)


def share_mib(available_mib, free_mib):
    return max(0, int(min(SHARE * available_mib, MOST_MIB, FREE_SHARE * free_mib)))


def warm(tell):
    mib, began = share_mib(machine.available_mib(), machine.free_mib()), time.monotonic()
    touch(mib)
    tell(f"  memory: {mib:,} MiB touched and given back in {time.monotonic() - began:.1f} s")
