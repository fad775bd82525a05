#include "store/state.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/trie.h"
#include "store/env.h"
#include "store/writer.h"
#include <stdlib.h>
#include <string.h>

/*
 * The description of a checkpoint, in `meta` under "checkpnt":
 *
 *   | 0  | 8  | epoch      |
 *   | 8  | 8  | height     |
 *   | 16 | 8  | entries    |
 *   | 24 | 32 | block_id   |
 *   | 56 | 32 | state_root |
 */
enum { ENTRIES = 0, BLOBS = 1, DESCRIPTION_BYTES = 88 };

static const uint8_t description_key[ENV_META_KEY_BYTES] = {'c', 'h', 'e', 'c', 'k', 'p', 'n', 't'};

struct state {
    struct env env;
    struct writer writer;
    MDB_txn *txn;                       /* storage thread: writes of blocks since the last checkpoint; NULL: none */
    uint64_t map_bytes;
    _Atomic uint64_t checkpoints;
    _Atomic uint64_t height;
    _Atomic uint64_t file_bytes;
};

struct state_reader {
    struct state *state;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key;                        /* of the entry under the cursor, when `standing` */
    MDB_val value;
    int code;                           /* of the seek that stands there */
    bool standing;
    bool sought;                        /* not read from the first entry on: the count says nothing */
    uint64_t entries;                   /* read since the start or the last seek */
    uint8_t path[STATE_PATH_BYTES];     /* of the last of them */
    struct state_checkpoint checkpoint;
};

/* Writing: on the storage thread. */

/* The cursor finds a key without a walk from the root where the write before it was near: as most are, changes come in the order of their paths. */
static int apply_write(struct state *state, MDB_cursor *cursor, const struct state_write *write) {
    uint8_t path[STATE_PATH_BYTES];
    trie_path((enum trie_space)write->space, write->key, write->key_bytes, path);
    MDB_val key = {.mv_size = sizeof path, .mv_data = path};
    if (write->deleted) {
        int code = mdb_del(state->txn, state->env.dbs[ENTRIES].dbi, &key, NULL);
        return code == MDB_NOTFOUND ? 0 : code; /* made and deleted between two checkpoints */
    }
    struct table_entry entry = {.key = write->key, .value = write->value, .key_bytes = write->key_bytes, .value_bytes = write->value_bytes,
                                .version = write->version, .space = write->space};
    MDB_val value = {.mv_size = record_entry_bytes(&entry)};
    int code = mdb_cursor_put(cursor, &key, &value, MDB_RESERVE);
    if (code == 0) record_entry_encode(path, &entry, value.mv_data);
    return code;
}

static int apply_writes(struct state *state, const struct state_batch *batch) {
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(state->txn, state->env.dbs[ENTRIES].dbi, &cursor);
    for (uint32_t i = 0; code == 0 && i < batch->write_count; i++) code = apply_write(state, cursor, &batch->writes[i]);
    mdb_cursor_close(cursor);
    return code;
}

static int put_blobs(struct state *state, const struct state_batch *batch) {
    int code = mdb_drop(state->txn, state->env.dbs[BLOBS].dbi, 0);
    for (uint32_t i = 0; code == 0 && i < batch->blob_count; i++) {
        const struct state_blob *blob = &batch->blobs[i];
        struct iovec part = {.iov_base = (void *)(uintptr_t)blob->bytes, .iov_len = blob->byte_count};
        code = record_put(state->txn, &state->env.dbs[BLOBS], (const uint8_t *)blob->name, &part, 1);
    }
    return code;
}

static int put_description(struct state *state, const struct state_checkpoint *checkpoint) {
    MDB_stat stat;
    int code = mdb_stat(state->txn, state->env.dbs[ENTRIES].dbi, &stat);
    if (code) return code;
    uint8_t bytes[DESCRIPTION_BYTES];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    bytes_put_u64(&writer, checkpoint->epoch);
    bytes_put_u64(&writer, checkpoint->height);
    bytes_put_u64(&writer, stat.ms_entries);
    bytes_put_hash(&writer, checkpoint->block_id);
    bytes_put_hash(&writer, checkpoint->state_root);
    CHECK(!writer.failed && writer.used == sizeof bytes);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    return record_put(state->txn, &state->env.meta, description_key, &part, 1);
}

static int apply_batch(struct state *state, const struct state_batch *batch) {
    int code = 0;
    if (!state->txn) code = mdb_txn_begin(state->env.mdb, NULL, 0, &state->txn);
    if (code == 0 && batch->clear_first) code = mdb_drop(state->txn, state->env.dbs[ENTRIES].dbi, 0);
    if (code == 0) code = apply_writes(state, batch);
    if (code || !batch->checkpoint) return code;
    code = put_blobs(state, batch);
    if (code == 0) code = put_description(state, batch->checkpoint);
    if (code) return code;
    code = mdb_txn_commit(state->txn);
    state->txn = NULL; /* the commit freed it, also when it failed */
    if (code) return code;
    atomic_fetch_add_explicit(&state->checkpoints, 1, memory_order_relaxed);
    atomic_store_explicit(&state->height, batch->checkpoint->height, memory_order_relaxed);
    atomic_store_explicit(&state->file_bytes, env_file_bytes(&state->env), memory_order_relaxed);
    return 0;
}

/* One batch at a time: a batch is either all in memory or all on disk when its number is published. */
static enum store_status state_apply(void *context, void *const *items, uint32_t count, struct store_error *error) {
    struct state *state = context;
    CHECK(count == 1);
    int code = apply_batch(state, items[0]);
    if (code == 0) return STORE_OK;
    if (state->txn) mdb_txn_abort(state->txn);
    state->txn = NULL;
    return env_fail(error, env_write_status(&state->env, code), code, state->env.file, "write");
}

/* LMDB wants a write transaction ended by the thread that began it. */
static void state_finish(void *context) {
    struct state *state = context;
    if (state->txn) mdb_txn_abort(state->txn);
    state->txn = NULL;
}

static int description_read(struct state *state, MDB_txn *txn, struct state_checkpoint *checkpoint) {
    uint8_t bytes[DESCRIPTION_BYTES];
    size_t count = 0;
    int code = record_get(txn, &state->env.meta, description_key, bytes, sizeof bytes, &count);
    if (code) return code == MDB_BAD_VALSIZE ? MDB_CORRUPTED : code;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    checkpoint->epoch = bytes_get_u64(&cursor);
    checkpoint->height = bytes_get_u64(&cursor);
    checkpoint->entries = bytes_get_u64(&cursor);
    (void)bytes_get_hash(&cursor, checkpoint->block_id);
    (void)bytes_get_hash(&cursor, checkpoint->state_root);
    if (!bytes_finished(&cursor)) return MDB_CORRUPTED;
    MDB_stat stat;
    code = mdb_stat(txn, state->env.dbs[ENTRIES].dbi, &stat);
    if (code) return code;
    return stat.ms_entries == checkpoint->entries ? 0 : MDB_CORRUPTED;
}

enum store_status state_open(const struct state_config *config, struct state **out, struct store_error *error) {
    CHECK(config->map_bytes > 0 && config->map_bytes % (1 << 20) == 0);
    struct state *state = calloc(1, sizeof *state);
    const char *path = store_directory_path(config->directory);
    const struct env_layout *layout = config->transfer ? &env_layout_transfer : &env_layout_state;
    if (!state) return env_fail(error, STORE_NO_MEMORY, 0, path, "open");
    enum store_status status = env_open(&state->env, path, layout, &config->identity, config->map_bytes, error);
    if (status != STORE_OK) {
        free(state);
        return status;
    }
    state->map_bytes = config->map_bytes;
    atomic_store(&state->file_bytes, env_file_bytes(&state->env));
    struct state_reader *reader = NULL;
    status = state_reader_open(state, &reader);
    if (status == STORE_OK) {
        atomic_store(&state->height, reader->checkpoint.height);
        state_reader_close(reader);
    } else if (status == STORE_ABSENT) {
        status = STORE_OK;
    } else {
        (void)env_fail(error, status, 0, state->env.file, "description of the checkpoint");
    }
    struct writer_config writer = {.name = layout->name, .slots = config->queue_slots, .items_max = 1, .cpu = config->cpu, .wake = config->wake,
                                   .wake_context = config->wake_context, .apply = state_apply, .finish = state_finish,
                                   .apply_context = state};
    if (status == STORE_OK) status = writer_start(&state->writer, &writer, error);
    if (status != STORE_OK) {
        env_close(&state->env);
        free(state);
        return status;
    }
    *out = state;
    return STORE_OK;
}

enum store_status state_close(struct state *state) {
    if (!state) return STORE_OK;
    enum store_status status = writer_stop(&state->writer);
    env_close(&state->env);
    free(state);
    return status;
}

static void check_batch(const struct state_batch *batch) {
    CHECK(batch->write_count <= STATE_WRITES_MAX);
    CHECK(batch->blob_count <= STATE_BLOBS_MAX && (batch->checkpoint || batch->blob_count == 0));
    for (uint32_t i = 0; i < batch->blob_count; i++) CHECK(batch->blobs[i].byte_count <= STATE_BLOB_BYTES_MAX);
    for (uint32_t i = 0; i < batch->write_count; i++) {
        const struct state_write *write = &batch->writes[i];
        CHECK(write->space < TABLE_SPACES && write->key_bytes >= 1 && write->key_bytes <= TABLE_KEY_BYTES_MAX);
        CHECK(write->value_bytes <= TABLE_VALUE_BYTES_MAX);
    }
}

enum store_status state_submit(struct state *state, const struct state_batch *batch, uint64_t *sequence) {
    check_batch(batch);
    return writer_submit(&state->writer, batch, sequence);
}

uint64_t state_completed(const struct state *state) {
    return writer_completed(&state->writer);
}

enum store_status state_error(const struct state *state, struct store_error *error) {
    return writer_error(&state->writer, error);
}

enum store_status state_wait(struct state *state, uint64_t sequence) {
    return writer_wait(&state->writer, sequence);
}

/* Reading. */

enum store_status state_reader_open(struct state *state, struct state_reader **out) {
    struct state_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return STORE_NO_MEMORY;
    reader->state = state;
    int code = mdb_txn_begin(state->env.mdb, NULL, MDB_RDONLY, &reader->txn);
    if (code == 0) code = description_read(state, reader->txn, &reader->checkpoint);
    if (code == 0) code = mdb_cursor_open(reader->txn, state->env.dbs[ENTRIES].dbi, &reader->cursor);
    if (code) {
        if (reader->txn) mdb_txn_abort(reader->txn);
        free(reader);
        return env_status_of(code);
    }
    *out = reader;
    return STORE_OK;
}

void state_reader_close(struct state_reader *reader) {
    if (!reader) return;
    mdb_cursor_close(reader->cursor);
    mdb_txn_abort(reader->txn);
    free(reader);
}

const struct state_checkpoint *state_reader_checkpoint(const struct state_reader *reader) {
    return &reader->checkpoint;
}

enum store_status state_reader_cost(const struct state_reader *reader, uint64_t *kept_bytes, uint64_t *own_bytes) {
    const struct env *env = &reader->state->env;
    uint64_t kept = 0, own = 0;
    for (uint32_t i = 0; i < env->layout->db_count; i++) {
        MDB_stat stat;
        int code = mdb_stat(reader->txn, env->dbs[i].dbi, &stat);
        if (code) return env_status_of(code);
        own += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    MDB_txn *now;
    int code = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &now);
    if (code) return env_status_of(code);
    code = env_pages_freed(now, mdb_txn_id(reader->txn), &kept);
    mdb_txn_abort(now);
    *kept_bytes = kept * env->page_bytes;
    *own_bytes = own * env->page_bytes;
    return code ? env_status_of(code) : STORE_OK;
}

void state_read_seek(struct state_reader *reader, const uint8_t path[STATE_PATH_BYTES]) {
    uint8_t copy[STATE_PATH_BYTES];
    memcpy(copy, path, sizeof copy);
    reader->key = (MDB_val){.mv_size = sizeof copy, .mv_data = copy};
    reader->code = mdb_cursor_get(reader->cursor, &reader->key, &reader->value, MDB_SET_RANGE);
    reader->standing = true;
    reader->sought = true;
    reader->entries = 0;
}

/* A damaged page of the tree can lead to pages twice, never, or to those of an older checkpoint, whose entries are whole. Ascending paths end every
 * walk; the count finds what is missing; what is older than it should be, the caller finds by the root. */
static enum store_status entry_check(struct state_reader *reader, struct table_entry *entry) {
    if (!record_entry_decode(reader->key.mv_data, reader->key.mv_size, reader->value.mv_data, reader->value.mv_size, entry)) return STORE_DAMAGED;
    if (reader->entries > 0 && memcmp(reader->path, reader->key.mv_data, STATE_PATH_BYTES) >= 0) return STORE_DAMAGED;
    memcpy(reader->path, reader->key.mv_data, STATE_PATH_BYTES);
    reader->entries++;
    return reader->entries <= reader->checkpoint.entries ? STORE_OK : STORE_DAMAGED;
}

enum store_status state_read_entry(struct state_reader *reader, struct table_entry *entry, uint8_t path[STATE_PATH_BYTES]) {
    int code = reader->code;
    if (!reader->standing) code = mdb_cursor_get(reader->cursor, &reader->key, &reader->value, MDB_NEXT);
    reader->standing = code == MDB_NOTFOUND; /* the end stays the end */
    reader->code = code;
    if (code == MDB_NOTFOUND && !reader->sought && reader->entries != reader->checkpoint.entries) return STORE_DAMAGED;
    if (code) return env_status_of(code);
    enum store_status status = entry_check(reader, entry);
    if (status == STORE_OK && path) memcpy(path, reader->path, STATE_PATH_BYTES);
    return status;
}

enum store_status state_read_blob(struct state_reader *reader, const char *name, void *bytes, size_t room, size_t *byte_count) {
    uint8_t key[STATE_BLOB_NAME_BYTES] = {0};
    size_t length = strlen(name);
    CHECK(length >= 1 && length <= sizeof key);
    memcpy(key, name, length);
    return env_status_of(record_get(reader->txn, &reader->state->env.dbs[BLOBS], key, bytes, room, byte_count));
}

void state_figures(const struct state *state, struct state_figures *figures) {
    figures->checkpoints = atomic_load_explicit(&state->checkpoints, memory_order_relaxed);
    figures->height = atomic_load_explicit(&state->height, memory_order_relaxed);
    figures->file_bytes = atomic_load_explicit(&state->file_bytes, memory_order_relaxed);
    figures->map_bytes = state->map_bytes;
    figures->cpu = writer_cpu(&state->writer);
}
