/*
 * Private: runs. What a checkpoint changed lies beside the entries at first, sorted and whole, in the database `runs`: an entry that changed costs
 * its own bytes on the disk and not a page. Who reads a checkpoint merges entries and runs; of one path the newest run says what is there. Later
 * the storage thread folds the oldest runs into the entries, many changes of a page at a time (state_write.c).
 *
 * A run is a number and chunks of about RUN_CHUNK_BYTES. A chunk's key: number u32 big-endian, path of its first item (32). Its value:
 *
 *   | 0 | 4 | checksum | of database tag, key, and all that follows |
 *   | 4 | 4 | items    | 1 or more                                  |
 *   | 8 | - | items, of ascending paths, also from chunk to chunk   |
 *
 * An item:
 *
 *   | 0  | 32 | path                                                      |
 *   | 32 | 4  | stored_bytes, 0: there is no entry at this path           |
 *   | 36 | -  | the entry as it lies in `entries` (record.h)              |
 */
#ifndef STORE_RUNS_H
#define STORE_RUNS_H

#include "merkle/bytes.h"
#include "store/record.h"

enum {
    RUNS_MAX = 64, /* at a time */
    RUN_KEY_BYTES = 36,
    RUN_CHUNK_BYTES = 16360,
    RUN_CHUNK_HEAD_BYTES = 8,
    RUN_ITEM_HEAD_BYTES = 36,
};

struct run_item {
    const uint8_t *path;
    const uint8_t *stored;
    uint32_t stored_bytes; /* 0: removed */
};

/* Pure: any bytes may be passed. False: damaged; the items are looked at as they are read. */
bool run_chunk_decode(uint8_t tag, const void *key, size_t key_bytes, const void *stored, size_t stored_bytes, struct bytes_cursor *items,
                      uint32_t *item_count) __attribute__((warn_unused_result));
/* The next item, whose path must be above `path_before` (NULL: any). */
bool run_item_decode(struct bytes_cursor *items, const uint8_t *path_before, struct run_item *item) __attribute__((warn_unused_result));

/* Puts the checksum over what follows it; stored_bytes >= 4. */
void run_chunk_seal(uint8_t tag, const uint8_t key[RUN_KEY_BYTES], uint8_t *stored, size_t stored_bytes);

/* The results of what follows are LMDB's codes. */

/* Appends items of ascending paths to run `number`, which is the highest there is, and whose paths so far are below. */
int runs_append(MDB_txn *txn, const struct record_db *db, uint32_t number, const struct run_item *items, uint32_t count)
    __attribute__((warn_unused_result));
/* Removes the runs from `first` up to, without, `end`. */
int runs_remove(MDB_txn *txn, const struct record_db *db, uint32_t first, uint32_t end) __attribute__((warn_unused_result));
/* The lowest number from `number` on; MDB_NOTFOUND: none. */
int runs_next(MDB_txn *txn, const struct record_db *db, uint32_t *number) __attribute__((warn_unused_result));

struct runs_source {
    MDB_cursor *cursor;
    uint32_t number;
    struct bytes_cursor items; /* of the chunk under the cursor */
    uint32_t left;
    struct run_item item;      /* the next one, unless `ended` */
    bool ended;
};

/* Several runs at once, in the order of paths. */
struct runs_merge {
    uint8_t tag;
    uint32_t count;
    struct runs_source sources[RUNS_MAX]; /* newest first */
};

/* Of the runs from `first` up to, without, `end`; at the first item. Also after an error it is to be closed, before its transaction ends. */
int runs_merge_open(struct runs_merge *merge, MDB_txn *txn, const struct record_db *db, uint32_t first, uint32_t end)
    __attribute__((warn_unused_result));
void runs_merge_close(struct runs_merge *merge);
/* Goes to the first item whose path is >= `path`. */
int runs_merge_seek(struct runs_merge *merge, const uint8_t path[RECORD_PATH_BYTES]) __attribute__((warn_unused_result));
/* The next path's newest item, removed ones too; MDB_NOTFOUND: no more. It points into the store, until that changes. */
int runs_merge_next(struct runs_merge *merge, struct run_item *item) __attribute__((warn_unused_result));

#endif
