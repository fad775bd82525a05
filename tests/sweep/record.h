/*
 * What a process does to the files below one folder, call by call, and what it says meanwhile: record.so (tests/shim/record.c), preloaded, appends it
 * all to one file, from which image.c rebuilds what a disk would hold after a power cut at any moment.
 *
 *   RECORD_FILE   the record; appended to, so that several lives of a process make one record. Unset: the library does nothing.
 *   RECORD_ROOT   absolute path; only what lies below it is recorded, except names ending in .log and /lock.mdb (LMDB makes that file anew)
 *
 * One mutex holds call and record together, so the order of the record is the order of the calls: a write stands before it happens, a sync once it
 * is done. A program that links record_note() weakly may put events of its own between them, such as each message that it sends.
 *
 * Covered: open with O_CREAT, write, pwrite, writev, pwritev, ftruncate, fsync, fdatasync, O_SYNC and O_DSYNC writes, mkdir, rename, unlink, rmdir.
 * Not covered: writes through mmap or io_uring, stdio, dup()ed descriptors.
 *
 * The record is a row of events in the machine's own byte order: struct record_event, path (relative to the root), bytes.
 */
#ifndef TESTS_SWEEP_RECORD_H
#define TESTS_SWEEP_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum record_kind {
    RECORD_WRITE = 1, /* path, offset, bytes */
    RECORD_DURABLE,   /* the same by a descriptor with O_SYNC or O_DSYNC: durable when it returns */
    RECORD_SYNC,      /* path: its bytes are durable now */
    RECORD_SYNC_DIR,  /* path: the names in it are durable now */
    RECORD_LENGTH,    /* path; offset: the length to which it was cut or made longer */
    RECORD_CREATE,    /* path: a new, empty file */
    RECORD_MKDIR,
    RECORD_RENAME, /* path; bytes: the new path */
    RECORD_UNLINK,
    RECORD_RMDIR,
    RECORD_NOTE, /* offset: a number of the program's own; bytes */
    RECORD_KINDS
};

struct record_event {
    uint32_t kind;
    uint32_t path_bytes;
    uint64_t offset;
    uint64_t bytes;
};

/* Thread-safe. Not there (NULL) unless record.so is preloaded. */
void record_note(uint64_t number, const void *bytes, size_t count) __attribute__((weak));

#endif
