/*
 * Private: the form in which values lie in both environments, and getting them in and out of LMDB. A disk may give back anything: every record is
 * decoded here, through a bounds-checked cursor, and is DAMAGED unless it is as it was written.
 *
 * Values of any length are cut into chunks of WAL_CHUNK_BYTES (the last one shorter; the empty value is one empty chunk). A chunk's key is the
 * record's key and the chunk's number, u32 big-endian. Its value:
 *
 *   | offset | size | name     | otherwise damaged                                                     |
 *   | 0      | 4    | checksum | of database tag, key with chunk number, total, bytes (checksum.h)     |
 *   | 4      | 4    | total    | bytes of the whole value, at most 2^30; the chunk's own length follows |
 *   | 8      | -    | bytes    |                                                                       |
 *
 * A long value may lie in the value log instead (vlog.h). Then chunk 0 is its place, and there is no other:
 *
 *   | 0  | 4 | checksum | as above, of the rest               |
 *   | 4  | 4 | total    | with the highest bit set            |
 *   | 8  | 8 | offset   | in the value log                    |
 *   | 16 | 8 | digest   | of database tag, key, total, value  |
 *
 * An entry of a checkpoint, under its trie path (32 bytes):
 *
 *   | 0  | 4 | checksum      | of path and all that follows        |
 *   | 4  | 1 | space         | 0, 1                                |
 *   | 5  | 1 | zero          | 0                                   |
 *   | 6  | 2 | key_bytes     | 1 to 256                            |
 *   | 8  | 4 | value_bytes   | 0 to 65536, exactly what is left    |
 *   | 12 | 8 | height        |                                     |
 *   | 20 | 4 | index         |                                     |
 *   | 24 | - | key, value    |                                     |
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "store/store.h"
#include "store/table.h"
#include "store/vlog.h"
#include <lmdb.h>
#include <sys/uio.h>

enum {
    RECORD_CHUNK_BYTES = 16360,
    RECORD_CHUNK_HEAD_BYTES = 8,
    RECORD_VALUE_BYTES_MAX = 1 << 30,
    RECORD_PLACE_BYTES = 24,
    RECORD_KEY_BYTES_MAX = 64,
    RECORD_ENTRY_HEAD_BYTES = 24,
    RECORD_PATH_BYTES = 32,
};

/* A database of ours: LMDB's handle, a tag of its own in every checksum, the fixed length of its keys. */
struct record_db {
    MDB_dbi dbi;
    uint8_t tag;
    uint8_t key_bytes;
    struct vlog *vlog; /* where long values may lie; NULL: nowhere */
};

/* One decoded chunk. */
struct record_chunk {
    const uint8_t *bytes;
    uint32_t byte_count;
    uint32_t total;
    uint32_t number;
};

/* Pure decoders: any bytes may be passed. False: damaged. stored_key is the record's key and the chunk's number. */
bool record_chunk_decode(uint8_t tag, uint8_t key_bytes, const void *stored_key, size_t stored_key_bytes, const void *stored, size_t stored_bytes,
                         struct record_chunk *chunk) __attribute__((warn_unused_result));
bool record_entry_decode(const void *stored_key, size_t stored_key_bytes, const void *stored, size_t stored_bytes, struct table_entry *entry)
    __attribute__((warn_unused_result));
/* Is it a place, and a whole one? */
bool record_place_decode(uint8_t tag, uint8_t key_bytes, const void *stored_key, size_t stored_key_bytes, const void *stored, size_t stored_bytes,
                         struct vlog_place *place) __attribute__((warn_unused_result));

/* The encoders. `stored` has room for head and bytes; chunk bytes are in place already, behind the head. */
void record_chunk_seal(uint8_t tag, const uint8_t *stored_key, size_t stored_key_bytes, uint8_t *stored, uint32_t byte_count, uint32_t total);
static inline size_t record_entry_bytes(const struct table_entry *entry) {
    return RECORD_ENTRY_HEAD_BYTES + (size_t)entry->key_bytes + entry->value_bytes;
}
/* Puts the checksum over what follows it; stored_bytes >= 4. */
void record_entry_seal(const uint8_t path[RECORD_PATH_BYTES], uint8_t *stored, size_t stored_bytes);
void record_entry_encode(const uint8_t path[RECORD_PATH_BYTES], const struct table_entry *entry, uint8_t *stored);

/* Whole values in a transaction. The results are LMDB's codes; MDB_CORRUPTED also for what does not decode, MDB_BAD_VALSIZE when `room` is too
 * small. */
int record_put(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const struct iovec *parts, uint32_t part_count)
    __attribute__((warn_unused_result));
/* Of the digest of a value in the value log: its own place among all. */
uint64_t record_place_seed(const struct record_db *db, const uint8_t *key, uint64_t total);
/* Lays the value down in db->vlog, of which `other_bytes` is not to be used, and puts its place; as record_put() when that has no room for it, with
 * place->bytes 0. Errors also as errno's codes. */
int record_put_far(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const struct iovec *parts, uint32_t part_count, uint64_t other_bytes,
                   struct vlog_place *place) __attribute__((warn_unused_result));
/* Puts the place of a value that lies there. */
int record_put_place(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const struct vlog_place *place)
    __attribute__((warn_unused_result));
/* Absent is no error. */
int record_delete(MDB_txn *txn, const struct record_db *db, const uint8_t *key) __attribute__((warn_unused_result));
/* Keys from `key` up to, without, `key_end`. */
int record_delete_range(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const uint8_t *key_end) __attribute__((warn_unused_result));
int record_get(MDB_txn *txn, const struct record_db *db, const uint8_t *key, void *value, size_t room, size_t *bytes)
    __attribute__((warn_unused_result));
/* Tells db->vlog of every place that the database holds. */
int record_hold_places(MDB_txn *txn, const struct record_db *db) __attribute__((warn_unused_result));
/* The first key >= (after: >) `key`, into `key`. */
int record_next(MDB_txn *txn, const struct record_db *db, uint8_t *key, bool after) __attribute__((warn_unused_result));
/* The last key <= `key`, into `key`. */
int record_last(MDB_txn *txn, const struct record_db *db, uint8_t *key) __attribute__((warn_unused_result));

#endif
