#include "store/runs.h"
#include "merkle/check.h"
#include "store/checksum.h"

struct run_key {
    uint8_t bytes[RUN_KEY_BYTES];
};

static void key_make(struct run_key *key, uint32_t number, const uint8_t *path) {
    for (unsigned i = 0; i < 4; i++) key->bytes[i] = (uint8_t)(number >> (24 - 8 * i));
    if (path) {
        memcpy(key->bytes + 4, path, RECORD_PATH_BYTES);
    } else {
        memset(key->bytes + 4, 0, RECORD_PATH_BYTES);
    }
}

static MDB_val key_val(struct run_key *key) {
    return (MDB_val){.mv_size = sizeof key->bytes, .mv_data = key->bytes};
}

static uint32_t key_number(const uint8_t *key) {
    return (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
}

static uint32_t chunk_checksum(uint8_t tag, const uint8_t *key, const uint8_t *stored, size_t stored_bytes) {
    uint64_t state = checksum_add(tag, key, RUN_KEY_BYTES);
    return checksum_end(checksum_add(state, stored + 4, stored_bytes - 4));
}

bool run_chunk_decode(uint8_t tag, const void *key, size_t key_bytes, const void *stored, size_t stored_bytes, struct bytes_cursor *items,
                      uint32_t *item_count) {
    if (key_bytes != RUN_KEY_BYTES) return false;
    *items = bytes_cursor_of(stored, stored_bytes);
    uint32_t checksum = bytes_get_u32(items);
    *item_count = bytes_get_u32(items);
    bytes_require(items, *item_count >= 1);
    return !items->failed && checksum == chunk_checksum(tag, key, stored, stored_bytes);
}

bool run_item_decode(struct bytes_cursor *items, const uint8_t *path_before, struct run_item *item) {
    item->path = bytes_get_raw(items, RECORD_PATH_BYTES);
    item->stored_bytes = bytes_get_u32(items);
    item->stored = bytes_get_raw(items, item->stored_bytes);
    return !items->failed && (!path_before || memcmp(path_before, item->path, RECORD_PATH_BYTES) < 0);
}

/* Writing. */

void run_chunk_seal(uint8_t tag, const uint8_t key[RUN_KEY_BYTES], uint8_t *stored, size_t stored_bytes) {
    CHECK(stored_bytes >= 4);
    bytes_put_le32(stored, chunk_checksum(tag, key, stored, stored_bytes));
}

static size_t item_bytes(const struct run_item *item) {
    return RUN_ITEM_HEAD_BYTES + (size_t)item->stored_bytes;
}

/* How many of the items go into the next chunk: one at least. */
static uint32_t chunk_fill(const struct run_item *items, uint32_t count, size_t *bytes) {
    uint32_t fill = 1;
    *bytes = RUN_CHUNK_HEAD_BYTES + item_bytes(&items[0]);
    while (fill < count && *bytes + item_bytes(&items[fill]) <= RUN_CHUNK_BYTES) *bytes += item_bytes(&items[fill++]);
    return fill;
}

static void chunk_write(uint8_t tag, const struct run_key *key, const struct run_item *items, uint32_t count, uint8_t *stored, size_t bytes) {
    struct bytes_writer writer = bytes_writer_of(stored, bytes);
    bytes_put_u32(&writer, 0);
    bytes_put_u32(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_raw(&writer, items[i].path, RECORD_PATH_BYTES);
        bytes_put_u32(&writer, items[i].stored_bytes);
        if (items[i].stored_bytes > 0) bytes_put_raw(&writer, items[i].stored, items[i].stored_bytes);
    }
    CHECK(!writer.failed && writer.used == bytes);
    run_chunk_seal(tag, key->bytes, stored, bytes);
}

int runs_append(MDB_txn *txn, const struct record_db *db, uint32_t number, const struct run_item *items, uint32_t count) {
    for (uint32_t done = 0; done < count;) {
        size_t bytes;
        uint32_t fill = chunk_fill(items + done, count - done, &bytes);
        struct run_key key;
        key_make(&key, number, items[done].path);
        MDB_val at = key_val(&key), value = {.mv_size = bytes};
        int code = mdb_put(txn, db->dbi, &at, &value, MDB_APPEND | MDB_RESERVE);
        if (code) return code;
        chunk_write(db->tag, &key, items + done, fill, value.mv_data, bytes);
        done += fill;
    }
    return 0;
}

int runs_remove(MDB_txn *txn, const struct record_db *db, uint32_t first, uint32_t end) {
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(txn, db->dbi, &cursor);
    if (code) return code;
    struct run_key key;
    key_make(&key, first, NULL);
    MDB_val at = key_val(&key), value;
    code = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    while (code == 0 && at.mv_size == RUN_KEY_BYTES && key_number(at.mv_data) < end) {
        code = mdb_cursor_del(cursor, 0);
        if (code == 0) code = mdb_cursor_get(cursor, &at, &value, MDB_NEXT); /* right after a deletion: the one that took its place */
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int runs_next(MDB_txn *txn, const struct record_db *db, uint32_t *number) {
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(txn, db->dbi, &cursor);
    if (code) return code;
    struct run_key key;
    key_make(&key, *number, NULL);
    MDB_val at = key_val(&key), value;
    code = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    if (code == 0 && at.mv_size != RUN_KEY_BYTES) code = MDB_CORRUPTED;
    if (code == 0) *number = key_number(at.mv_data);
    mdb_cursor_close(cursor);
    return code;
}

/* Reading. */

/* The next item of the chunk, which has one. */
static int source_item(struct runs_source *source, const uint8_t *path_before) {
    if (!run_item_decode(&source->items, path_before, &source->item)) return MDB_CORRUPTED;
    source->left--;
    return source->left == 0 && source->items.left > 0 ? MDB_CORRUPTED : 0;
}

/* The chunk that the cursor found with `code`, and its first item. */
static int source_chunk(const struct runs_merge *merge, struct runs_source *source, int code, const MDB_val *key, const MDB_val *value,
                        const uint8_t *path_before) {
    source->ended = code == MDB_NOTFOUND || (code == 0 && key->mv_size == RUN_KEY_BYTES && key_number(key->mv_data) != source->number);
    if (source->ended) return 0;
    if (code) return code;
    bool good = run_chunk_decode(merge->tag, key->mv_data, key->mv_size, value->mv_data, value->mv_size, &source->items, &source->left);
    code = good ? source_item(source, path_before) : MDB_CORRUPTED;
    if (code == 0 && memcmp(source->item.path, (const uint8_t *)key->mv_data + 4, RECORD_PATH_BYTES) != 0) code = MDB_CORRUPTED;
    return code;
}

static int source_step(const struct runs_merge *merge, struct runs_source *source) {
    const uint8_t *before = source->item.path;
    if (source->left > 0) return source_item(source, before);
    MDB_val key, value;
    int code = mdb_cursor_get(source->cursor, &key, &value, MDB_NEXT);
    return source_chunk(merge, source, code, &key, &value, before);
}

/* The chunk that begins at the path, or else the one before, which may hold it, or else the run's first one. */
static int source_seek(const struct runs_merge *merge, struct runs_source *source, const uint8_t *path) {
    struct run_key wanted;
    key_make(&wanted, source->number, path);
    MDB_val key = key_val(&wanted), value;
    int code = mdb_cursor_get(source->cursor, &key, &value, MDB_SET_RANGE);
    bool exact = code == 0 && key.mv_size == RUN_KEY_BYTES && memcmp(key.mv_data, wanted.bytes, RUN_KEY_BYTES) == 0;
    if (!exact && (code == 0 || code == MDB_NOTFOUND)) {
        int back = mdb_cursor_get(source->cursor, &key, &value, code == 0 ? MDB_PREV : MDB_LAST);
        bool own = back == 0 && key.mv_size == RUN_KEY_BYTES && key_number(key.mv_data) == source->number;
        if (!own) {
            key = key_val(&wanted);
            back = mdb_cursor_get(source->cursor, &key, &value, MDB_SET_RANGE);
        }
        code = back;
    }
    code = source_chunk(merge, source, code, &key, &value, NULL);
    while (code == 0 && !source->ended && memcmp(source->item.path, path, RECORD_PATH_BYTES) < 0) code = source_step(merge, source);
    return code;
}

int runs_merge_open(struct runs_merge *merge, MDB_txn *txn, const struct record_db *db, uint32_t first, uint32_t end) {
    uint32_t numbers[RUNS_MAX];
    static const uint8_t lowest[RECORD_PATH_BYTES];
    merge->tag = db->tag;
    merge->count = 0;
    uint32_t count = 0;
    for (uint32_t number = first; number < end; number++) {
        int code = runs_next(txn, db, &number);
        if (code == MDB_NOTFOUND || (code == 0 && number >= end)) break;
        if (code) return code;
        if (count == RUNS_MAX) return MDB_CORRUPTED;
        numbers[count++] = number;
    }
    while (merge->count < count) {
        struct runs_source *source = &merge->sources[merge->count];
        *source = (struct runs_source){.number = numbers[count - 1 - merge->count]};
        int code = mdb_cursor_open(txn, db->dbi, &source->cursor);
        if (code) return code;
        merge->count++;
    }
    return runs_merge_seek(merge, lowest);
}

void runs_merge_close(struct runs_merge *merge) {
    for (uint32_t i = 0; i < merge->count; i++) mdb_cursor_close(merge->sources[i].cursor);
    merge->count = 0;
}

int runs_merge_seek(struct runs_merge *merge, const uint8_t path[RECORD_PATH_BYTES]) {
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < merge->count; i++) code = source_seek(merge, &merge->sources[i], path);
    return code;
}

int runs_merge_next(struct runs_merge *merge, struct run_item *item) {
    const struct runs_source *least = NULL;
    for (uint32_t i = 0; i < merge->count; i++) {
        const struct runs_source *source = &merge->sources[i];
        if (!source->ended && (!least || memcmp(source->item.path, least->item.path, RECORD_PATH_BYTES) < 0)) least = source;
    }
    if (!least) return MDB_NOTFOUND;
    *item = least->item;
    for (uint32_t i = 0; i < merge->count; i++) {
        struct runs_source *source = &merge->sources[i];
        if (source->ended || memcmp(source->item.path, item->path, RECORD_PATH_BYTES) != 0) continue;
        int code = source_step(merge, source);
        if (code) return code;
    }
    return 0;
}
