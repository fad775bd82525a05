#include "store/state_inside.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
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
const uint8_t state_description_key[ENV_META_KEY_BYTES] = {'c', 'h', 'e', 'c', 'k', 'p', 'n', 't'};
const uint8_t state_runs_key[ENV_META_KEY_BYTES] = {'r', 'u', 'n', 's', 'l', 'i', 's', 't'};

struct state_reader {
    struct state *state;
    MDB_txn *txn;
    MDB_cursor *cursor;                 /* in the entries */
    MDB_val key;                        /* of the entry under the cursor, when `standing`; `code` says whether there is one */
    MDB_val value;
    int code;
    bool standing;
    struct runs_merge runs;
    struct run_item item;               /* of the runs, when `run_standing`; `run_code` says whether there is one */
    int run_code;
    bool run_standing;
    bool sought;                        /* not read from the first entry on: the count says nothing */
    uint64_t entries;                   /* read since the start or the last seek */
    uint8_t path[STATE_PATH_BYTES];     /* of the last of them */
    struct state_checkpoint checkpoint;
};

int state_runs_read(const struct state *state, MDB_txn *txn, uint64_t height, uint32_t *first, uint32_t *end) {
    uint8_t bytes[STATE_RUNS_BYTES];
    size_t count = 0;
    *first = *end = 0;
    int code = record_get(txn, &state->env.meta, state_runs_key, bytes, sizeof bytes, &count);
    if (code) return code == MDB_NOTFOUND ? 0 : code == MDB_BAD_VALSIZE ? MDB_CORRUPTED : code;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    *first = bytes_get_u32(&cursor);
    *end = bytes_get_u32(&cursor);
    bool others = bytes_get_u64(&cursor) != height;
    if (!bytes_finished(&cursor) || *first > *end) return MDB_CORRUPTED;
    if (others) *first = *end = 0;
    return 0;
}

static int description_read(struct state *state, MDB_txn *txn, struct state_checkpoint *checkpoint) {
    uint8_t bytes[STATE_DESCRIPTION_BYTES];
    size_t count = 0;
    int code = record_get(txn, &state->env.meta, state_description_key, bytes, sizeof bytes, &count);
    if (code) return code == MDB_BAD_VALSIZE ? MDB_CORRUPTED : code;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    checkpoint->epoch = bytes_get_u64(&cursor);
    checkpoint->height = bytes_get_u64(&cursor);
    checkpoint->entries = bytes_get_u64(&cursor);
    (void)bytes_get_hash(&cursor, checkpoint->block_id);
    (void)bytes_get_hash(&cursor, checkpoint->state_root);
    if (!bytes_finished(&cursor)) return MDB_CORRUPTED;
    MDB_stat entries, runs;
    code = mdb_stat(txn, state->env.dbs[STATE_DB_ENTRIES].dbi, &entries);
    if (code == 0) code = mdb_stat(txn, state->env.dbs[STATE_DB_RUNS].dbi, &runs);
    if (code) return code;
    return runs.ms_entries > 0 || entries.ms_entries == checkpoint->entries ? 0 : MDB_CORRUPTED;
}

enum store_status state_open(const struct state_config *config, struct state **out, struct store_error *error) {
    CHECK(config->map_bytes > 0 && config->map_bytes % (1 << 20) == 0);
    CHECK(config->run_bytes == 0 || (config->run_bytes >= RUN_BYTES_MIN && config->run_bytes <= RUN_BYTES_MAX));
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
    state->run_bytes = config->run_bytes ? config->run_bytes : RUN_BYTES_MAX;
    atomic_store(&state->file_bytes, env_file_bytes(&state->env));
    struct state_reader *reader = NULL;
    status = state_reader_open(state, &reader);
    if (status == STORE_OK) {
        atomic_store(&state->height, reader->checkpoint.height);
        state_reader_close(reader);
    } else if (status == STORE_ABSENT) {
        status = STORE_OK;
    } else {
        (void)env_fail(error, status, 0, state->env.file, "the checkpoint");
    }
    if (status == STORE_OK && !state_pending_create(state)) status = env_fail(error, STORE_NO_MEMORY, 0, path, "open");
    int code = status == STORE_OK ? state_runs_begin(state) : 0;
    if (code) status = env_fail(error, env_write_status(&state->env, code), code, state->env.file, "what a crash left");
    struct writer_config writer = {.name = layout->name, .slots = config->queue_slots, .items_max = 1, .cpu = config->cpu, .wake = config->wake,
                                   .wake_context = config->wake_context, .apply = state_apply, .idle = state_idle,
                                   .finish = state_finish, .apply_context = state};
    if (status == STORE_OK) status = writer_start(&state->writer, &writer, error);
    if (status != STORE_OK) {
        env_close(&state->env);
        state_pending_destroy(state);
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
    state_pending_destroy(state);
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
    if (code == 0) code = mdb_cursor_open(reader->txn, state->env.dbs[STATE_DB_ENTRIES].dbi, &reader->cursor);
    uint32_t first, end;
    if (code == 0) code = state_runs_read(state, reader->txn, reader->checkpoint.height, &first, &end);
    if (code == 0) code = runs_merge_open(&reader->runs, reader->txn, &state->env.dbs[STATE_DB_RUNS], first, end);
    if (code) {
        runs_merge_close(&reader->runs);
        if (reader->cursor) mdb_cursor_close(reader->cursor);
        if (reader->txn) mdb_txn_abort(reader->txn);
        free(reader);
        return env_status_of(code);
    }
    *out = reader;
    return STORE_OK;
}

void state_reader_close(struct state_reader *reader) {
    if (!reader) return;
    runs_merge_close(&reader->runs);
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
    reader->run_code = runs_merge_seek(&reader->runs, path);
    reader->run_standing = reader->run_code != 0; /* which stays */
    reader->sought = true;
    reader->entries = 0;
}

/* A damaged page of the tree can lead to pages twice, never, or to those of an older checkpoint, whose entries are whole. Ascending paths end every
 * walk; the count finds what is missing; what is older than it should be, the caller finds by the root. */
static enum store_status entry_check(struct state_reader *reader, const MDB_val *key, const MDB_val *value, struct table_entry *entry) {
    if (!record_entry_decode(key->mv_data, key->mv_size, value->mv_data, value->mv_size, entry)) return STORE_DAMAGED;
    if (reader->entries > 0 && memcmp(reader->path, key->mv_data, STATE_PATH_BYTES) >= 0) return STORE_DAMAGED;
    memcpy(reader->path, key->mv_data, STATE_PATH_BYTES);
    reader->entries++;
    return reader->entries <= reader->checkpoint.entries ? STORE_OK : STORE_DAMAGED;
}

/* What comes next in the entries, and in the runs, unless it stands there. The end stays the end. 0, or why there is no going on. */
static int both_stand(struct state_reader *reader) {
    if (!reader->standing) reader->code = mdb_cursor_get(reader->cursor, &reader->key, &reader->value, MDB_NEXT);
    if (!reader->run_standing) reader->run_code = runs_merge_next(&reader->runs, &reader->item);
    reader->standing = reader->run_standing = true;
    if (reader->code && reader->code != MDB_NOTFOUND) return reader->code;
    if (reader->run_code && reader->run_code != MDB_NOTFOUND) return reader->run_code;
    return reader->code == 0 && reader->key.mv_size != STATE_PATH_BYTES ? MDB_CORRUPTED : 0;
}

/* Where both have a path, the runs' is the newer. MDB_NOTFOUND: the end. */
static int entry_next(struct state_reader *reader, MDB_val *key, MDB_val *value) {
    for (;;) {
        int code = both_stand(reader);
        if (code) return code;
        if (reader->code && reader->run_code) return MDB_NOTFOUND;
        int order = reader->run_code ? -1 : reader->code ? 1 : memcmp(reader->key.mv_data, reader->item.path, STATE_PATH_BYTES);
        if (order <= 0) reader->standing = false;
        if (order < 0) {
            *key = reader->key;
            *value = reader->value;
            return 0;
        }
        reader->run_standing = false;
        *key = (MDB_val){.mv_size = STATE_PATH_BYTES, .mv_data = (void *)(uintptr_t)reader->item.path};
        *value = (MDB_val){.mv_size = reader->item.stored_bytes, .mv_data = (void *)(uintptr_t)reader->item.stored};
        if (reader->item.stored_bytes > 0) return 0;
    }
}

enum store_status state_read_entry(struct state_reader *reader, struct table_entry *entry, uint8_t path[STATE_PATH_BYTES]) {
    MDB_val key, value;
    int code = entry_next(reader, &key, &value);
    if (code == MDB_NOTFOUND && !reader->sought && reader->entries != reader->checkpoint.entries) return STORE_DAMAGED;
    if (code) return env_status_of(code);
    enum store_status status = entry_check(reader, &key, &value, entry);
    if (status == STORE_OK && path) memcpy(path, reader->path, STATE_PATH_BYTES);
    return status;
}

enum store_status state_read_blob(struct state_reader *reader, const char *name, void *bytes, size_t room, size_t *byte_count) {
    uint8_t key[STATE_BLOB_NAME_BYTES] = {0};
    size_t length = strlen(name);
    CHECK(length >= 1 && length <= sizeof key);
    memcpy(key, name, length);
    return env_status_of(record_get(reader->txn, &reader->state->env.dbs[STATE_DB_BLOBS], key, bytes, room, byte_count));
}

void state_figures(const struct state *state, struct state_figures *figures) {
    figures->checkpoints = atomic_load_explicit(&state->checkpoints, memory_order_relaxed);
    figures->height = atomic_load_explicit(&state->height, memory_order_relaxed);
    figures->file_bytes = atomic_load_explicit(&state->file_bytes, memory_order_relaxed);
    figures->map_bytes = state->map_bytes;
    figures->fold_parts = atomic_load_explicit(&state->fold_parts, memory_order_relaxed);
    figures->compactions = atomic_load_explicit(&state->compactions, memory_order_relaxed);
    figures->cpu = writer_cpu(&state->writer);
}
