/*
 * Power loss without a power switch. `unsynced.so`, preloaded into a process, keeps for each file that it tracks the content that a power cut would
 * leave: the pages as they were at the last fsync or fdatasync. After kill -9 (the kernel's page cache survives that), `powerloss` puts these pages
 * back, so that the file holds what was synced and nothing else.
 *
 *   UNSYNCED_DIR   where the undo files lie; must exist. Unset: the library does nothing.
 *   UNSYNCED_ROOT  absolute path; only regular files below it are tracked, except names ending in .log and /lock.mdb
 *   UNSYNCED_LIE   if set, fsync and fdatasync count for nothing: shows that a test would catch a missing sync
 *   UNSYNCED_REAL  if set, the real fsync and fdatasync are called too; otherwise not, since the page cache survives the kill anyway
 *
 *   powerloss DIR [SEED]   without SEED every unsynced page goes back; with SEED each page, or some of its 512-byte sectors, goes back or stays at
 *   random, as a
 *                          disk may do. Then the undo files are removed. Prints how many pages went back.
 *
 * Covered: open, openat, creat, close, write, pwrite, writev, pwritev, ftruncate, fsync, fdatasync, O_SYNC and O_DSYNC writes (durable by
 * themselves, page by page). Not covered: writes through mmap or io_uring, stdio, dup()ed descriptors; creation, renaming and removal count as
 * durable at once.
 *
 * An undo file <device>-<inode>.undo is a head and records, each written before the write that it undoes:
 *
 *   head    8 magic "UNSYNCED", u64 durable size, u32 path length, path
 *   record  u8 kind (P: page before the first unsynced write; D: page made durable by itself), u64 page number, u32 length, bytes
 *
 * all in the machine's own byte order. A cut-off last record belongs to a write that never began. No head: nothing is unsynced.
 */
#ifndef TESTS_SHIM_UNSYNCED_H
#define TESTS_SHIM_UNSYNCED_H

#include <stdint.h>

enum { UNSYNCED_PAGE = 4096, UNSYNCED_SECTOR = 512, UNSYNCED_PATH_MAX = 4096 };

#define UNSYNCED_MAGIC "UNSYNCED"

struct unsynced_head {
    char magic[8];
    uint64_t durable_size;
    uint32_t path_bytes;
    uint32_t zero;
};

struct unsynced_record {
    uint64_t page;
    uint32_t length;
    uint32_t kind; /* 'P' or 'D' */
};

#endif
