#include "store/record.h"
#include "merkle/check.h"
#include "store/checksum.h"

static uint32_t chunk_checksum(uint8_t tag, const uint8_t *stored_key, size_t stored_key_bytes, const uint8_t *stored, size_t byte_count) {
    uint64_t state = checksum_mix(tag, bytes_get_le32(stored + 4));
    state = checksum_add(state, stored_key, stored_key_bytes);
    return checksum_end(checksum_add(state, stored + RECORD_CHUNK_HEAD_BYTES, byte_count));
}

static uint32_t number_get(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void number_put(uint8_t *at, uint32_t number) {
    at[0] = (uint8_t)(number >> 24);
    at[1] = (uint8_t)(number >> 16);
    at[2] = (uint8_t)(number >> 8);
    at[3] = (uint8_t)number;
}

bool record_chunk_decode(uint8_t tag, uint8_t key_bytes, const void *stored_key, size_t stored_key_bytes, const void *stored, size_t stored_bytes,
                         struct record_chunk *chunk) {
    if (stored_key_bytes != (size_t)key_bytes + 4) return false;
    struct bytes_cursor cursor = bytes_cursor_of(stored, stored_bytes);
    uint32_t checksum = bytes_get_u32(&cursor);
    uint32_t total = bytes_get_u32(&cursor);
    if (cursor.failed || total > RECORD_VALUE_BYTES_MAX) return false;
    uint32_t number = number_get((const uint8_t *)stored_key + key_bytes);
    uint64_t before = (uint64_t)number * RECORD_CHUNK_BYTES;
    if (before >= total && number != 0) return false;
    uint64_t expected = total - before < RECORD_CHUNK_BYTES ? total - before : RECORD_CHUNK_BYTES;
    if (cursor.left != expected) return false;
    if (checksum != chunk_checksum(tag, stored_key, stored_key_bytes, stored, cursor.left)) return false;
    chunk->bytes = cursor.at;
    chunk->byte_count = (uint32_t)cursor.left;
    chunk->total = total;
    chunk->number = number;
    return true;
}

void record_chunk_seal(uint8_t tag, const uint8_t *stored_key, size_t stored_key_bytes, uint8_t *stored, uint32_t byte_count, uint32_t total) {
    bytes_put_le32(stored + 4, total);
    bytes_put_le32(stored, chunk_checksum(tag, stored_key, stored_key_bytes, stored, byte_count));
}

static const uint32_t far_flag = UINT32_C(1) << 31;

bool record_place_decode(uint8_t tag, uint8_t key_bytes, const void *stored_key, size_t stored_key_bytes, const void *stored, size_t stored_bytes,
                         struct vlog_place *place) {
    if (stored_key_bytes != (size_t)key_bytes + 4 || stored_bytes != RECORD_PLACE_BYTES) return false;
    struct bytes_cursor cursor = bytes_cursor_of(stored, stored_bytes);
    uint32_t checksum = bytes_get_u32(&cursor);
    uint32_t total = bytes_get_u32(&cursor);
    place->offset = bytes_get_u64(&cursor);
    place->digest = bytes_get_u64(&cursor);
    place->bytes = total & ~far_flag;
    if (!bytes_finished(&cursor) || (total & far_flag) == 0 || place->bytes > RECORD_VALUE_BYTES_MAX) return false;
    if (number_get((const uint8_t *)stored_key + key_bytes) != 0) return false;
    return checksum == chunk_checksum(tag, stored_key, stored_key_bytes, stored, RECORD_PLACE_BYTES - RECORD_CHUNK_HEAD_BYTES);
}

static uint32_t entry_checksum(const uint8_t path[RECORD_PATH_BYTES], const uint8_t *stored, size_t stored_bytes) {
    uint64_t state = checksum_add(0, path, RECORD_PATH_BYTES);
    return checksum_end(checksum_add(state, stored + 4, stored_bytes - 4));
}

void record_entry_seal(const uint8_t path[RECORD_PATH_BYTES], uint8_t *stored, size_t stored_bytes) {
    CHECK(stored_bytes >= 4);
    bytes_put_le32(stored, entry_checksum(path, stored, stored_bytes));
}

bool record_entry_decode(const void *stored_key, size_t stored_key_bytes, const void *stored, size_t stored_bytes, struct table_entry *entry) {
    if (stored_key_bytes != RECORD_PATH_BYTES) return false;
    struct bytes_cursor cursor = bytes_cursor_of(stored, stored_bytes);
    struct table_entry read = {0};
    uint32_t checksum = bytes_get_u32(&cursor);
    read.space = bytes_get_u8(&cursor);
    uint8_t zero = bytes_get_u8(&cursor);
    read.key_bytes = bytes_get_u16(&cursor);
    read.value_bytes = bytes_get_u32(&cursor);
    read.version.height = bytes_get_u64(&cursor);
    read.version.index = bytes_get_u32(&cursor);
    bytes_require(&cursor, read.space < TABLE_SPACES && zero == 0 && read.key_bytes >= 1 && read.key_bytes <= TABLE_KEY_BYTES_MAX);
    bytes_require(&cursor, read.value_bytes <= TABLE_VALUE_BYTES_MAX);
    read.key = bytes_get_raw(&cursor, read.key_bytes);
    read.value = bytes_get_raw(&cursor, read.value_bytes);
    if (!bytes_finished(&cursor) || checksum != entry_checksum(stored_key, stored, stored_bytes)) return false;
    *entry = read;
    return true;
}

void record_entry_encode(const uint8_t path[RECORD_PATH_BYTES], const struct table_entry *entry, uint8_t *stored) {
    size_t bytes = record_entry_bytes(entry);
    struct bytes_writer writer = bytes_writer_of(stored, bytes);
    bytes_put_u32(&writer, 0);
    bytes_put_u8(&writer, entry->space);
    bytes_put_u8(&writer, 0);
    bytes_put_u16(&writer, (uint16_t)entry->key_bytes);
    bytes_put_u32(&writer, entry->value_bytes);
    bytes_put_u64(&writer, entry->version.height);
    bytes_put_u32(&writer, entry->version.index);
    bytes_put_raw(&writer, entry->key, entry->key_bytes);
    bytes_put_raw(&writer, entry->value, entry->value_bytes);
    CHECK(!writer.failed && writer.used == bytes);
    record_entry_seal(path, stored, bytes);
}

/* In transactions. */

struct stored_key {
    uint8_t bytes[RECORD_KEY_BYTES_MAX];
};

static MDB_val stored_key_of(struct stored_key *stored, const struct record_db *db, const uint8_t *key, uint32_t number) {
    CHECK(db->key_bytes + 4 <= RECORD_KEY_BYTES_MAX);
    memcpy(stored->bytes, key, db->key_bytes);
    number_put(stored->bytes + db->key_bytes, number);
    return (MDB_val){.mv_size = (size_t)db->key_bytes + 4, .mv_data = stored->bytes};
}

/* Walks the parts of a value, a chunk at a time. */
struct gather {
    const struct iovec *parts;
    uint32_t part_count;
    uint32_t part;
    size_t offset;
};

static void gather_copy(struct gather *from, uint8_t *to, size_t count) {
    while (count > 0) {
        CHECK(from->part < from->part_count);
        const struct iovec *part = &from->parts[from->part];
        size_t step = part->iov_len - from->offset;
        if (step > count) step = count;
        if (step > 0) memcpy(to, (const uint8_t *)part->iov_base + from->offset, step);
        to += step;
        count -= step;
        from->offset += step;
        if (from->offset < part->iov_len) continue;
        from->part++;
        from->offset = 0;
    }
}

uint64_t record_place_seed(const struct record_db *db, const uint8_t *key, uint64_t total) {
    return checksum_add(checksum_mix(db->tag, total), key, db->key_bytes);
}

static void place_release(const struct record_db *db, const MDB_val *at, const MDB_val *value) {
    struct vlog_place place;
    if (db->vlog == NULL || value->mv_size != RECORD_PLACE_BYTES) return;
    if (record_place_decode(db->tag, db->key_bytes, at->mv_data, at->mv_size, value->mv_data, value->mv_size, &place)) vlog_release(db->vlog, &place);
}

/* The place of the value under this key. 0; MDB_NOTFOUND: it has none, or lies here. */
static int place_get(MDB_txn *txn, const struct record_db *db, const uint8_t *key, struct vlog_place *place) {
    struct stored_key stored;
    MDB_val at = stored_key_of(&stored, db, key, 0);
    MDB_val value;
    if (db->vlog == NULL) return MDB_NOTFOUND;
    int code = mdb_get(txn, db->dbi, &at, &value);
    if (code) return code;
    return record_place_decode(db->tag, db->key_bytes, at.mv_data, at.mv_size, value.mv_data, value.mv_size, place) ? 0 : MDB_NOTFOUND;
}

/* The value under this key is going to be another, or none. */
static int place_drop(MDB_txn *txn, const struct record_db *db, const uint8_t *key) {
    struct vlog_place place;
    int code = place_get(txn, db, key, &place);
    if (code == 0) vlog_release(db->vlog, &place);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* Chunks of an older, longer value under the same key. */
static int delete_from_chunk(MDB_txn *txn, const struct record_db *db, const uint8_t *key, uint32_t number) {
    struct stored_key stored;
    for (;; number++) {
        MDB_val at = stored_key_of(&stored, db, key, number);
        int code = mdb_del(txn, db->dbi, &at, NULL);
        if (code == MDB_NOTFOUND) return 0;
        if (code) return code;
    }
}

int record_put(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const struct iovec *parts, uint32_t part_count) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < part_count; i++) total += parts[i].iov_len;
    CHECK(total <= RECORD_VALUE_BYTES_MAX);
    struct gather from = {.parts = parts, .part_count = part_count};
    struct stored_key stored;
    uint64_t left = total;
    uint32_t number = 0;
    int dropped = place_drop(txn, db, key);
    if (dropped) return dropped;
    do {
        uint32_t count = left < RECORD_CHUNK_BYTES ? (uint32_t)left : RECORD_CHUNK_BYTES;
        MDB_val at = stored_key_of(&stored, db, key, number++);
        MDB_val value = {.mv_size = RECORD_CHUNK_HEAD_BYTES + (size_t)count};
        int code = mdb_put(txn, db->dbi, &at, &value, MDB_RESERVE);
        if (code) return code;
        gather_copy(&from, (uint8_t *)value.mv_data + RECORD_CHUNK_HEAD_BYTES, count);
        record_chunk_seal(db->tag, stored.bytes, (size_t)db->key_bytes + 4, value.mv_data, count, (uint32_t)total);
        left -= count;
    } while (left > 0);
    return delete_from_chunk(txn, db, key, number);
}

int record_put_place(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const struct vlog_place *place) {
    int code = place_drop(txn, db, key);
    if (code) return code;
    struct stored_key stored;
    MDB_val at = stored_key_of(&stored, db, key, 0);
    MDB_val value = {.mv_size = RECORD_PLACE_BYTES};
    code = mdb_put(txn, db->dbi, &at, &value, MDB_RESERVE);
    if (code) return code;
    uint8_t *to = value.mv_data;
    bytes_put_le64(to + RECORD_CHUNK_HEAD_BYTES, place->offset);
    bytes_put_le64(to + RECORD_CHUNK_HEAD_BYTES + 8, place->digest);
    record_chunk_seal(db->tag, stored.bytes, (size_t)db->key_bytes + 4, to, RECORD_PLACE_BYTES - RECORD_CHUNK_HEAD_BYTES, place->bytes | far_flag);
    return delete_from_chunk(txn, db, key, 1);
}

int record_put_far(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const struct iovec *parts, uint32_t part_count,
                   uint64_t other_bytes, struct vlog_place *place) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < part_count; i++) total += parts[i].iov_len;
    CHECK(db->vlog != NULL && total > 0 && total <= RECORD_VALUE_BYTES_MAX);
    int code = vlog_append(db->vlog, VLOG_MAIN, record_place_seed(db, key, total), parts, part_count, other_bytes, place);
    if (code == 0) return record_put_place(txn, db, key, place);
    place->bytes = 0;
    return code == MDB_MAP_FULL ? record_put(txn, db, key, parts, part_count) : code; /* no room in one piece: LMDB may have free pages */
}

int record_delete(MDB_txn *txn, const struct record_db *db, const uint8_t *key) {
    int code = place_drop(txn, db, key);
    return code ? code : delete_from_chunk(txn, db, key, 0);
}

int record_delete_range(MDB_txn *txn, const struct record_db *db, const uint8_t *key, const uint8_t *key_end) {
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(txn, db->dbi, &cursor);
    if (code) return code;
    struct stored_key stored;
    MDB_val at = stored_key_of(&stored, db, key, 0);
    MDB_val value;
    code = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    while (code == 0 && at.mv_size >= db->key_bytes && memcmp(at.mv_data, key_end, db->key_bytes) < 0) {
        place_release(db, &at, &value);
        code = mdb_cursor_del(cursor, 0);
        if (code == 0) code = mdb_cursor_get(cursor, &at, &value, MDB_NEXT); /* right after a deletion: the one that took its place */
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int record_get(MDB_txn *txn, const struct record_db *db, const uint8_t *key, void *value, size_t room, size_t *bytes) {
    struct stored_key stored;
    struct vlog_place place;
    uint64_t done = 0;
    uint64_t total = 0;
    uint32_t number = 0;
    int far = place_get(txn, db, key, &place);
    if (far == 0) {
        *bytes = place.bytes;
        return place.bytes > room ? MDB_BAD_VALSIZE : vlog_read(db->vlog, record_place_seed(db, key, place.bytes), &place, value);
    }
    if (far != MDB_NOTFOUND) return far;
    do {
        MDB_val at = stored_key_of(&stored, db, key, number);
        MDB_val found;
        int code = mdb_get(txn, db->dbi, &at, &found);
        if (code == MDB_NOTFOUND && number > 0) return MDB_CORRUPTED;
        if (code) return code;
        struct record_chunk chunk;
        if (!record_chunk_decode(db->tag, db->key_bytes, at.mv_data, at.mv_size, found.mv_data, found.mv_size, &chunk)) return MDB_CORRUPTED;
        if (number > 0 && chunk.total != total) return MDB_CORRUPTED;
        total = chunk.total;
        *bytes = total;
        if (total > room) return MDB_BAD_VALSIZE;
        if (chunk.byte_count) memcpy((uint8_t *)value + done, chunk.bytes, chunk.byte_count);
        done += chunk.byte_count;
        number++;
    } while (done < total);
    return 0;
}

int record_hold_places(MDB_txn *txn, const struct record_db *db) {
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(txn, db->dbi, &cursor);
    if (code) return code;
    MDB_val at, value;
    struct vlog_place place;
    for (code = mdb_cursor_get(cursor, &at, &value, MDB_FIRST); code == 0; code = mdb_cursor_get(cursor, &at, &value, MDB_NEXT)) {
        if (value.mv_size != RECORD_PLACE_BYTES) continue; /* which a long one is not: none of its pages is read for this */
        if (record_place_decode(db->tag, db->key_bytes, at.mv_data, at.mv_size, value.mv_data, value.mv_size, &place)) vlog_hold(db->vlog, &place);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int record_next(MDB_txn *txn, const struct record_db *db, uint8_t *key, bool after) {
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(txn, db->dbi, &cursor);
    if (code) return code;
    struct stored_key stored;
    MDB_val at = stored_key_of(&stored, db, key, after ? UINT32_MAX : 0);
    MDB_val value;
    code = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    if (code == 0 && at.mv_size != (size_t)db->key_bytes + 4) code = MDB_CORRUPTED;
    if (code == 0) memcpy(key, at.mv_data, db->key_bytes);
    mdb_cursor_close(cursor);
    return code;
}

int record_last(MDB_txn *txn, const struct record_db *db, uint8_t *key) {
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(txn, db->dbi, &cursor);
    if (code) return code;
    struct stored_key stored;
    MDB_val at = stored_key_of(&stored, db, key, UINT32_MAX);
    MDB_val value;
    code = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    if (code == MDB_NOTFOUND) {
        code = mdb_cursor_get(cursor, &at, &value, MDB_LAST);
    } else if (code == 0) {
        code = mdb_cursor_get(cursor, &at, &value, MDB_PREV);
    }
    if (code == 0 && at.mv_size != (size_t)db->key_bytes + 4) code = MDB_CORRUPTED;
    if (code == 0) memcpy(key, at.mv_data, db->key_bytes);
    mdb_cursor_close(cursor);
    return code;
}
