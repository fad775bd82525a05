/*
 * Private: the journal of the wal: wal/journal, a file of fixed length in front of LMDB. A commit of LMDB is two flushes of the disk and writes each
 * page that it changed, for a vote of a hundred bytes as for a thousand records; most of them carry little. So what a commit of the wal changes is
 * first written here, as one entry, past the page cache, by one synchronous write, and is durable then. The same changes stand in an open transaction
 * of LMDB, which is committed after many entries (*folded*: wal.c says when); the journal begins anew then.
 *
 * The file is written over from its beginning to its end before it is used: a write has nothing to make durable but its bytes. An entry begins at a
 * multiple of 4,096 bytes, directly behind the one before:
 *
 *   | 0  | 4 | magic    | "HJNL"                                                          |
 *   | 4  | 4 | bytes    | of the entry, this head included, 88 to JOURNAL_ENTRY_BYTES_MAX |
 *   | 8  | 8 | number   | one more than that of the entry before                          |
 *   | 16 | 8 | checksum | of seed, number, and all that follows (checksum.h)              |
 *   | 24 | 64 | firsts  | the first byte of each of its blocks; of this one 0             |
 *   | 88 | - | records  | wal_entry.h                                                     |
 *
 * all little-endian. `seed` is made of the node's identity: an entry of another node's disk is none. That is no secret, and the checksum resists
 * nobody who chooses the bytes, as clients choose those of values, which stay behind the newest entries when the file is written over. So every
 * further block of an entry begins with a zero, in place of the byte that the head keeps: what begins with "HJNL" at such a place was written as an
 * entry's head.
 *
 * LMDB holds, in the same transaction as the changes, the number of the newest entry that is folded into it. On opening, entries with the numbers
 * that follow that one are taken from the file's beginning on, until the next is not there. That is the end: the write that would have been there was
 * never acknowledged, since an entry is written after the one before it is durable. If an entry with a higher number stands behind a gap, one that
 * was durable cannot be read any more: the file is damaged, and the node's votes with it. The same where the file is missing or shorter than it was
 * made. (Of the very last entry nobody can tell whether it was never whole or has rotted, as of LMDB's newest meta page.)
 *
 * One thread writes. Numbers only ever rise, over all openings.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "merkle/bytes.h"
#include "store/store.h"

enum {
    JOURNAL_BYTES = 4 << 20,
    JOURNAL_BLOCK_BYTES = 4096,
    JOURNAL_ENTRY_BYTES_MAX = 256 << 10,
    JOURNAL_HEAD_BYTES = 24 + JOURNAL_ENTRY_BYTES_MAX / JOURNAL_BLOCK_BYTES,
};

struct journal {
    int fd;
    bool direct;
    bool failed;                  /* a write or sync of this file did: the error's line names it */
    uint8_t *stage;               /* JOURNAL_ENTRY_BYTES_MAX */
    struct bytes_writer entry;    /* that is put together, in the stage; `failed` when it is too long for one */
    uint64_t seed;
    uint64_t number;              /* of the newest entry */
    uint32_t at;                  /* of the file: where the next one goes */
    char file[STORE_PATH_BYTES_MAX + 32];
};

/* Opens <directory>/wal/journal. `made`: LMDB knows of it, so that it must be there; else it is made, durably, with the folder's entry for it.
 * folded: the number of the newest entry that LMDB holds. */
enum store_status journal_open(struct journal *journal, const char *directory, const struct store_identity *identity, bool made, uint64_t folded,
                               struct store_error *error) __attribute__((warn_unused_result));
void journal_close(struct journal *journal);

/* While opening, over and over: the records of the next entry, in the journal's own memory until the next call. STORE_ABSENT: there is none.
 * STORE_DAMAGED, STORE_IO: with `error`. */
enum store_status journal_next(struct journal *journal, struct bytes_cursor *records, struct store_error *error) __attribute__((warn_unused_result));

/* A new entry is put together in journal->entry, then written: it is durable, and journal->number is its number. 0, or errno's code. */
void journal_begin(struct journal *journal);
int journal_write(struct journal *journal) __attribute__((warn_unused_result));
/* There is no more room for an entry of any length. */
bool journal_is_full(const struct journal *journal);
/* All entries are folded: the next goes to the beginning. */
void journal_restart(struct journal *journal);

#endif
