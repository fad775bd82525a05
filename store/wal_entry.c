#include "store/wal_entry.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include <string.h>

enum { ENTRY_PUT = WAL_PUT, ENTRY_DELETE = WAL_DELETE, ENTRY_DELETE_RANGE = WAL_DELETE_RANGE, ENTRY_PLACE };

bool wal_entry_db_is_far(enum wal_db db) {
    return db == WAL_BLOCKS || db == WAL_INPUTS;
}

void wal_entry_add(struct bytes_writer *entry, const struct wal_record *record, const struct vlog_place *place) {
    size_t key_bytes = wal_key_bytes(record->db);
    bool far = record->operation == WAL_PUT && place->bytes > 0;
    bytes_put_u8(entry, far ? ENTRY_PLACE : (uint8_t)record->operation);
    bytes_put_u8(entry, (uint8_t)record->db);
    bytes_put_raw(entry, record->key, key_bytes);
    if (record->operation == WAL_DELETE_RANGE) bytes_put_raw(entry, record->key_end, key_bytes);
    if (far) {
        bytes_put_u64(entry, place->offset);
        bytes_put_u64(entry, place->digest);
        bytes_put_u32(entry, place->bytes);
    } else if (record->operation == WAL_PUT) {
        uint64_t total = 0;
        for (uint32_t i = 0; i < record->part_count; i++) total += record->parts[i].iov_len;
        bytes_put_u32(entry, (uint32_t)total);
        for (uint32_t i = 0; i < record->part_count; i++) bytes_put_raw(entry, record->parts[i].iov_base, record->parts[i].iov_len);
    }
}

static int record_apply(MDB_txn *txn, const struct env *env, struct bytes_cursor *records) {
    uint8_t operation = bytes_get_u8(records), number = bytes_get_u8(records);
    bytes_require(records, operation <= ENTRY_PLACE && number < WAL_DB_COUNT);
    if (records->failed) return MDB_CORRUPTED;
    const struct record_db *db = &env->dbs[number];
    const uint8_t *key = bytes_get_raw(records, db->key_bytes);
    if (operation == ENTRY_DELETE_RANGE) {
        const uint8_t *key_end = bytes_get_raw(records, db->key_bytes);
        return records->failed ? MDB_CORRUPTED : record_delete_range(txn, db, key, key_end);
    }
    if (operation == ENTRY_PLACE) {
        struct vlog_place place;
        place.offset = bytes_get_u64(records);
        place.digest = bytes_get_u64(records);
        place.bytes = bytes_get_u32(records);
        bytes_require(records, wal_entry_db_is_far((enum wal_db)number) && place.bytes > 0 && place.bytes <= WAL_VALUE_BYTES_MAX);
        return records->failed ? MDB_CORRUPTED : record_put_place(txn, db, key, &place);
    }
    if (operation == ENTRY_DELETE) return records->failed ? MDB_CORRUPTED : record_delete(txn, db, key);
    uint32_t bytes = bytes_get_u32(records);
    const uint8_t *value = bytes_get_raw(records, bytes);
    if (records->failed) return MDB_CORRUPTED;
    struct iovec part = {.iov_base = (void *)(uintptr_t)value, .iov_len = bytes};
    return record_put(txn, db, key, &part, 1);
}

int wal_entry_apply(MDB_txn *txn, const struct env *env, struct bytes_cursor *records) {
    int code = 0;
    while (code == 0 && !bytes_finished(records)) code = record_apply(txn, env, records);
    return code;
}
