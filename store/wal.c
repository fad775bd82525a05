#include "store/wal.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "store/env.h"
#include "store/writer.h"
#include <stdlib.h>
#include <string.h>

_Static_assert((int)WAL_CHUNK_BYTES == (int)RECORD_CHUNK_BYTES, "the manual states the record's chunk");
_Static_assert((int)WAL_VALUE_BYTES_MAX <= (int)RECORD_VALUE_BYTES_MAX, "values fit into records");
_Static_assert((int)WAL_QUEUE_SLOTS_MAX <= (int)WRITER_SLOTS_MAX, "the queue fits");

enum {
    USED_COMMITS = 16,
    /* Values of FAR_VALUE_BYTES go to the value log when a transaction has FAR_TRANSACTION_BYTES of them: its sync is one more, which little data is
     * not worth. */
    FAR_VALUE_BYTES = 4096,
    FAR_TRANSACTION_BYTES = 65536,
    LMDB_SHARE = 16, /* of what both files may take, that part is left for LMDB to grow by */
};

struct wal {
    struct env env;
    struct vlog vlog;
    struct writer writer;
    uint64_t map_bytes;
    uint64_t (*clock_ns)(void);
    _Atomic uint64_t apply_ns;
    _Atomic uint64_t commits;
    _Atomic uint64_t batches;
    _Atomic uint64_t bytes;
    _Atomic uint64_t file_bytes;
    _Atomic uint64_t used_bytes;
    uint64_t lmdb_used_bytes, used_told; /* of LMDB's file, and the commits when that was looked at; the storage thread's */
};

struct wal_reader {
    struct wal *wal;
    struct vlog_reader vlog;
    int code; /* of its beginning */
    MDB_txn *txn;
};

/* Writing: on the storage thread. */

/* Of those that are pruned: one that stayed would keep its segment. */
static bool db_has_long_values(enum wal_db db) {
    return db == WAL_BLOCKS || db == WAL_INPUTS;
}

static uint64_t value_bytes(const struct wal_record *record) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < record->part_count; i++) bytes += record->parts[i].iov_len;
    return bytes;
}

static bool may_lie_far(const struct wal_record *record) {
    return record->operation == WAL_PUT && db_has_long_values(record->db) && value_bytes(record) >= FAR_VALUE_BYTES;
}

static bool is_long(void *const *items, uint32_t count) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct wal_batch *batch = items[i];
        for (uint32_t r = 0; r < batch->record_count && bytes < FAR_TRANSACTION_BYTES; r++) {
            if (may_lie_far(&batch->records[r])) bytes += value_bytes(&batch->records[r]);
        }
    }
    return bytes >= FAR_TRANSACTION_BYTES;
}

static int apply_record(struct wal *wal, MDB_txn *txn, const struct wal_record *record, bool far, uint64_t *bytes) {
    const struct record_db *db = &wal->env.dbs[record->db];
    switch (record->operation) {
    case WAL_PUT:
        *bytes += value_bytes(record);
        if (far && may_lie_far(record))
            return record_put_far(txn, db, record->key, record->parts, record->part_count, env_file_bytes(&wal->env) + wal->map_bytes / LMDB_SHARE);
        return record_put(txn, db, record->key, record->parts, record->part_count);
    case WAL_DELETE: return record_delete(txn, db, record->key);
    case WAL_DELETE_RANGE: return record_delete_range(txn, db, record->key, record->key_end);
    }
    return MDB_CORRUPTED; /* no such operation: check_record() has seen to it */
}

/* LMDB's file never shrinks, so its size says nothing of what is left in it. */
static void used_look(struct wal *wal) {
    uint64_t file_bytes = env_file_bytes(&wal->env), freed = 0, commits = atomic_load_explicit(&wal->commits, memory_order_relaxed);
    uint64_t far_bytes = vlog_used_bytes(&wal->vlog);
    bool little = file_bytes + far_bytes <= wal->map_bytes / 2;
    if (little) {
        wal->lmdb_used_bytes = file_bytes;
    } else if (wal->used_told == 0 || commits - wal->used_told >= USED_COMMITS) {
        wal->used_told = commits;
        MDB_txn *txn = NULL;
        bool known = mdb_txn_begin(wal->env.mdb, NULL, MDB_RDONLY, &txn) == 0 && env_pages_freed(txn, 0, &freed) == 0;
        mdb_txn_abort(txn);
        if (known) wal->lmdb_used_bytes = file_bytes - freed * wal->env.page_bytes;
    }
    atomic_store_explicit(&wal->file_bytes, file_bytes + vlog_file_bytes(&wal->vlog), memory_order_relaxed);
    atomic_store_explicit(&wal->used_bytes, wal->lmdb_used_bytes + far_bytes, memory_order_relaxed);
}

static bool puts_something(void *const *items, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const struct wal_batch *batch = items[i];
        for (uint32_t r = 0; r < batch->record_count; r++) {
            if (batch->records[r].operation == WAL_PUT) return true;
        }
    }
    return false;
}

/* Both files together are a hard end for what the wal takes of a disk, but for what deletes only. */
static int end_check(struct wal *wal, void *const *items, uint32_t count) {
    uint64_t file_bytes = env_file_bytes(&wal->env);
    if (file_bytes + vlog_file_bytes(&wal->vlog) > wal->map_bytes) vlog_shrink(&wal->vlog);
    if (file_bytes + vlog_file_bytes(&wal->vlog) <= wal->map_bytes) return 0;
    return puts_something(items, count) ? MDB_MAP_FULL : 0;
}

static enum store_status wal_apply(void *context, void *const *items, uint32_t count, struct store_error *error) {
    struct wal *wal = context;
    MDB_txn *txn = NULL;
    uint64_t bytes = 0;
    uint64_t begun_ns = wal->clock_ns != NULL ? wal->clock_ns() : 0;
    bool far = is_long(items, count);
    int code = mdb_txn_begin(wal->env.mdb, NULL, 0, &txn);
    if (code == 0) vlog_begin(&wal->vlog, mdb_txn_id(txn));
    if (code == 0) code = end_check(wal, items, count);
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        const struct wal_batch *batch = items[i];
        for (uint32_t r = 0; code == 0 && r < batch->record_count; r++) code = apply_record(wal, txn, &batch->records[r], far, &bytes);
    }
    if (code == 0) code = vlog_sync(&wal->vlog);
    if (wal->clock_ns != NULL) atomic_fetch_add_explicit(&wal->apply_ns, wal->clock_ns() - begun_ns, memory_order_relaxed);
    if (code == 0) {
        code = mdb_txn_commit(txn); /* which frees txn also when it fails */
    } else if (txn) {
        mdb_txn_abort(txn);
    }
    if (code && wal->vlog.failed) return env_fail(error, env_file_status(wal->vlog.write_fd, code), code, wal->vlog.file, "write");
    if (code) return env_fail(error, env_write_status(&wal->env, code), code, wal->env.file, "write");
    atomic_fetch_add_explicit(&wal->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->batches, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->bytes, bytes, memory_order_relaxed);
    used_look(wal);
    return STORE_OK;
}

/* The value log, and in it what the records hold. */
static enum store_status far_open(struct wal *wal, const char *path, struct store_error *error) {
    enum store_status status = vlog_open(&wal->vlog, path, wal->map_bytes, error);
    if (status != STORE_OK) return status;
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(wal->env.mdb, NULL, MDB_RDONLY, &txn);
    for (uint32_t db = 0; code == 0 && db < WAL_DB_COUNT; db++) {
        if (!db_has_long_values((enum wal_db)db)) continue;
        wal->env.dbs[db].vlog = &wal->vlog;
        code = record_hold_places(txn, &wal->env.dbs[db]);
    }
    mdb_txn_abort(txn);
    if (code == 0) {
        vlog_held(&wal->vlog);
        return STORE_OK;
    }
    vlog_close(&wal->vlog);
    return env_fail(error, env_status_of(code), code, wal->env.file, "read");
}

enum store_status wal_open(const struct wal_config *config, struct wal **out, struct store_error *error) {
    CHECK(config->map_bytes > 0 && config->map_bytes % (1 << 20) == 0);
    struct wal *wal = calloc(1, sizeof *wal);
    const char *path = store_directory_path(config->directory);
    if (!wal) return env_fail(error, STORE_NO_MEMORY, 0, path, "open");
    enum store_status status = env_open(&wal->env, path, &env_layout_wal, &config->identity, config->map_bytes, error);
    wal->map_bytes = config->map_bytes;
    if (status == STORE_OK) {
        status = far_open(wal, path, error);
        if (status != STORE_OK) env_close(&wal->env);
    }
    if (status == STORE_OK) {
        wal->clock_ns = config->clock_ns;
        atomic_store(&wal->file_bytes, env_file_bytes(&wal->env) + vlog_file_bytes(&wal->vlog));
        wal->lmdb_used_bytes = env_file_bytes(&wal->env);
        atomic_store(&wal->used_bytes, wal->lmdb_used_bytes + vlog_used_bytes(&wal->vlog));
        struct writer_config writer = {.name = "wal", .slots = config->queue_slots, .items_max = WAL_COMMIT_BATCHES_MAX, .cpu = config->cpu,
                                       .wake = config->wake, .wake_context = config->wake_context, .apply = wal_apply, .apply_context = wal};
        status = writer_start(&wal->writer, &writer, error);
        if (status != STORE_OK) {
            vlog_close(&wal->vlog);
            env_close(&wal->env);
        }
    }
    if (status != STORE_OK) {
        free(wal);
        return status;
    }
    *out = wal;
    return STORE_OK;
}

enum store_status wal_close(struct wal *wal) {
    if (!wal) return STORE_OK;
    enum store_status status = writer_stop(&wal->writer);
    vlog_close(&wal->vlog);
    env_close(&wal->env);
    free(wal);
    return status;
}

static void check_record(const struct wal_record *record) {
    CHECK(record->db < WAL_DB_COUNT && record->operation <= WAL_DELETE_RANGE);
    if (record->operation != WAL_PUT) return;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < record->part_count; i++) {
        CHECK(record->parts[i].iov_len <= WAL_VALUE_BYTES_MAX);
        bytes += record->parts[i].iov_len;
        CHECK(bytes <= WAL_VALUE_BYTES_MAX);
    }
}

enum store_status wal_submit(struct wal *wal, const struct wal_batch *batch, uint64_t *sequence) {
    CHECK(batch->record_count >= 1 && batch->record_count <= WAL_RECORDS_MAX);
    for (uint32_t i = 0; i < batch->record_count; i++) check_record(&batch->records[i]);
    return writer_submit(&wal->writer, batch, sequence);
}

uint64_t wal_completed(const struct wal *wal) {
    return writer_completed(&wal->writer);
}

enum store_status wal_error(const struct wal *wal, struct store_error *error) {
    return writer_error(&wal->writer, error);
}

enum store_status wal_wait(struct wal *wal, uint64_t sequence) {
    return writer_wait(&wal->writer, sequence);
}

/* Reading. */

static uint64_t reader_begin(void *context) {
    struct wal_reader *reader = context;
    reader->code = mdb_txn_begin(reader->wal->env.mdb, NULL, MDB_RDONLY, &reader->txn);
    return reader->code == 0 ? mdb_txn_id(reader->txn) : UINT64_MAX;
}

enum store_status wal_reader_open(struct wal *wal, struct wal_reader **out) {
    struct wal_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return STORE_NO_MEMORY;
    reader->wal = wal;
    vlog_reader_open(&wal->vlog, &reader->vlog, reader_begin, reader);
    if (reader->code) {
        enum store_status status = env_status_of(reader->code);
        vlog_reader_close(&wal->vlog, &reader->vlog);
        free(reader);
        return status;
    }
    *out = reader;
    return STORE_OK;
}

void wal_reader_close(struct wal_reader *reader) {
    if (!reader) return;
    mdb_txn_abort(reader->txn);
    vlog_reader_close(&reader->wal->vlog, &reader->vlog);
    free(reader);
}

enum store_status wal_read(struct wal_reader *reader, enum wal_db db, const uint8_t *key, void *value, size_t room, size_t *bytes) {
    CHECK(db < WAL_DB_COUNT);
    return env_status_of(record_get(reader->txn, &reader->wal->env.dbs[db], key, value, room, bytes));
}

enum store_status wal_read_next(struct wal_reader *reader, enum wal_db db, uint8_t key[WAL_KEY_BYTES_MAX], bool after) {
    CHECK(db < WAL_DB_COUNT);
    return env_status_of(record_next(reader->txn, &reader->wal->env.dbs[db], key, after));
}

enum store_status wal_read_last(struct wal_reader *reader, enum wal_db db, uint8_t key[WAL_KEY_BYTES_MAX]) {
    CHECK(db < WAL_DB_COUNT);
    return env_status_of(record_last(reader->txn, &reader->wal->env.dbs[db], key));
}

uint64_t wal_reader_units(struct wal_reader *reader) {
    uint64_t units = vlog_used_bytes(&reader->wal->vlog) / reader->wal->env.page_bytes;
    for (int db = 0; db < WAL_DB_COUNT; db++) {
        MDB_stat stat;
        if (mdb_stat(reader->txn, reader->wal->env.dbs[db].dbi, &stat) == 0) units += stat.ms_entries + stat.ms_overflow_pages;
    }
    return units;
}

enum store_status wal_get(struct wal *wal, enum wal_db db, const uint8_t *key, void *value, size_t room, size_t *bytes) {
    struct wal_reader *reader = NULL;
    enum store_status status = wal_reader_open(wal, &reader);
    if (status != STORE_OK) return status;
    status = wal_read(reader, db, key, value, room, bytes);
    wal_reader_close(reader);
    return status;
}

void wal_figures(const struct wal *wal, struct wal_figures *figures) {
    figures->commits = atomic_load_explicit(&wal->commits, memory_order_relaxed);
    figures->batches = atomic_load_explicit(&wal->batches, memory_order_relaxed);
    figures->bytes = atomic_load_explicit(&wal->bytes, memory_order_relaxed);
    figures->file_bytes = atomic_load_explicit(&wal->file_bytes, memory_order_relaxed);
    figures->used_bytes = atomic_load_explicit(&wal->used_bytes, memory_order_relaxed);
    figures->map_bytes = wal->map_bytes;
    figures->values_lost = wal->vlog.lost;
    figures->apply_ns = atomic_load_explicit(&wal->apply_ns, memory_order_relaxed);
    figures->cpu = writer_cpu(&wal->writer);
}
