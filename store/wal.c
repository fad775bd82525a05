#include "store/wal.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "store/env.h"
#include "store/journal.h"
#include "store/wal_entry.h"
#include "store/wal_prepare.h"
#include "store/writer.h"
#include <stdlib.h>
#include <string.h>

_Static_assert((int)WAL_CHUNK_BYTES == (int)RECORD_CHUNK_BYTES, "the manual states the record's chunk");
_Static_assert((int)WAL_VALUE_BYTES_MAX <= (int)RECORD_VALUE_BYTES_MAX, "values fit into records");
_Static_assert((int)WAL_QUEUE_SLOTS_MAX <= (int)WRITER_SLOTS_MAX, "the queue fits");

enum {
    USED_FOLDS = 16,
    /* Values of FAR_VALUE_BYTES go to the value log when a transaction has FAR_TRANSACTION_BYTES of them: its sync is one more, which little data is
     * not worth. */
    FAR_VALUE_BYTES = 4096,
    FAR_TRANSACTION_BYTES = 65536,
    SLOW_BYTES = 1 << 20,       /* of a batch: it begins a commit of its own */
    LMDB_SHARE = 16, /* of what both files may take, that part is left for LMDB to grow by */
    /* What the journal has is folded into LMDB when the storage thread has paused so often since the first of it, or when there is so much. */
    FOLD_PAUSES = 4,
    FOLD_COMMITS = 64,
    FOLD_RECORDS = 2048,
    FOLD_RECORDS_MAX = 3072,       /* with more the journal takes no entry: each may change a page, and its room below must do */
    FOLD_RANGE_RECORDS = 512,      /* as which a range counts */
    FOLD_FAR_BYTES = 64 << 20,     /* of the value log, whose places are used again after that alone */
    FOLD_ROOM_BYTES = 32 << 20,    /* what LMDB may need for that, and more */
};

static const uint8_t journal_key[ENV_META_KEY_BYTES] = {'j', 'o', 'u', 'r', 'n', 'a', 'l'};

struct wal {
    struct env env;
    struct vlog vlog;
    struct journal journal;
    struct writer writer;
    struct wal_prepare prepare;
    MDB_txn *txn;                /* the storage thread's: what the journal has and LMDB has not committed; NULL: nothing */
    uint32_t txn_commits;        /* what was made durable since it was begun, and what it holds */
    uint32_t txn_records;
    uint32_t txn_pauses;         /* of the storage thread, since */
    uint64_t txn_far_bytes;
    uint64_t applied;            /* the number of the newest batch in it, or before */
    _Atomic uint64_t folded;     /* the number of the newest batch that readers see */
    _Atomic uint64_t wanted;     /* and of the one that a reader waits for */
    uint64_t map_bytes;
    uint64_t (*clock_ns)(void);
    _Atomic uint64_t apply_ns;
    _Atomic uint64_t commits;
    _Atomic uint64_t batches;
    _Atomic uint64_t bytes;
    _Atomic uint64_t file_bytes;
    _Atomic uint64_t used_bytes;
    _Atomic uint64_t folds;
    uint64_t lmdb_used_bytes, used_told; /* of LMDB's file, and the folds when that was looked at; the storage thread's */
};

struct wal_reader {
    struct wal *wal;
    struct vlog_reader vlog;
    int code; /* of its beginning */
    MDB_txn *txn;
};

/* Writing: on the storage thread. */

static uint64_t value_bytes(const struct wal_record *record) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < record->part_count; i++) bytes += record->parts[i].iov_len;
    return bytes;
}

static bool may_lie_far(const struct wal_record *record) {
    return record->operation == WAL_PUT && wal_entry_db_is_far(record->db) && value_bytes(record) >= FAR_VALUE_BYTES;
}

/* What may have to be laid down yet. */
static uint64_t far_bytes_of(struct wal *wal, const struct wal_batch *batch) {
    uint64_t bytes = 0;
    for (uint32_t r = 0; r < batch->record_count && bytes < SLOW_BYTES; r++) {
        const struct wal_record *record = &batch->records[r];
        if (!may_lie_far(record) || (record->ticket > 0 && wal_prepare_has(&wal->prepare, record->ticket))) continue;
        bytes += value_bytes(record);
    }
    return bytes;
}

static bool is_long(struct wal *wal, void *const *items, uint32_t count) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count && bytes < FAR_TRANSACTION_BYTES; i++) bytes += far_bytes_of(wal, items[i]);
    return bytes >= FAR_TRANSACTION_BYTES;
}

/* Votes are not to wait for what takes the disk longer than a commit of theirs. */
static bool wal_is_slow(void *context, const void *item) {
    return far_bytes_of(context, item) >= SLOW_BYTES;
}

/* Of what both files may take, LMDB's. */
static uint64_t others_bytes(void *context) {
    struct wal *wal = context;
    return env_file_bytes(&wal->env) + wal->map_bytes / LMDB_SHARE;
}

/* What nobody may ever put takes half of it at the most: the rest is for what is acknowledged. */
static uint64_t hints_leave_bytes(void *context) {
    struct wal *wal = context;
    return others_bytes(wal) + wal->map_bytes / 2;
}

static int put(struct wal *wal, const struct wal_record *record, bool far, struct vlog_place *place) {
    const struct record_db *db = &wal->env.dbs[record->db];
    int code = MDB_NOTFOUND;
    if (record->ticket > 0)
        code = wal_prepare_take(&wal->prepare, record->ticket, record_place_seed(db, record->key, value_bytes(record)), place);
    if (code == 0) return record_put_place(wal->txn, db, record->key, place);
    if (code != MDB_NOTFOUND) return code;
    if (far && may_lie_far(record)) return record_put_far(wal->txn, db, record->key, record->parts, record->part_count, others_bytes(wal), place);
    return record_put(wal->txn, db, record->key, record->parts, record->part_count);
}

/* Into LMDB's transaction, and into the journal's entry. */
static int apply_record(struct wal *wal, const struct wal_record *record, bool far, uint64_t *bytes) {
    const struct record_db *db = &wal->env.dbs[record->db];
    struct vlog_place place = {0};
    int code = MDB_CORRUPTED; /* no such operation: check_record() has seen to it */
    switch (record->operation) {
    case WAL_PUT:
        *bytes += value_bytes(record);
        code = put(wal, record, far, &place);
        wal->txn_far_bytes += place.bytes;
        break;
    case WAL_DELETE: code = record_delete(wal->txn, db, record->key); break;
    case WAL_DELETE_RANGE: code = record_delete_range(wal->txn, db, record->key, record->key_end); break;
    }
    wal->txn_records += record->operation == WAL_DELETE_RANGE ? FOLD_RANGE_RECORDS : 1;
    if (code == 0) wal_entry_add(&wal->journal.entry, record, &place);
    return code;
}

/* LMDB's file never shrinks, so its size says nothing of what is left in it. */
static void used_look(struct wal *wal) {
    uint64_t file_bytes = env_file_bytes(&wal->env), freed = 0, folds = atomic_load_explicit(&wal->folds, memory_order_relaxed);
    uint64_t far_bytes = vlog_used_bytes(&wal->vlog);
    bool little = file_bytes + far_bytes <= wal->map_bytes / 2;
    if (little) {
        wal->lmdb_used_bytes = file_bytes;
    } else if (wal->used_told == 0 || folds - wal->used_told >= USED_FOLDS) {
        wal->used_told = folds;
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

static int txn_begin(struct wal *wal) {
    if (wal->txn != NULL) return 0;
    int code = mdb_txn_begin(wal->env.mdb, NULL, 0, &wal->txn);
    if (code) return code;
    vlog_begin(&wal->vlog, mdb_txn_id(wal->txn));
    wal->txn_commits = wal->txn_records = wal->txn_pauses = 0;
    wal->txn_far_bytes = 0;
    return 0;
}

static void txn_abort(struct wal *wal) {
    mdb_txn_abort(wal->txn);
    wal->txn = NULL;
}

static int journal_number_put(struct wal *wal, MDB_txn *txn) {
    uint8_t number[8];
    bytes_put_le64(number, wal->journal.number);
    return record_put(txn, &wal->env.meta, journal_key, &(struct iovec){number, sizeof number}, 1);
}

/* Commits LMDB's transaction, with the number of the newest entry in it; the journal begins anew. An entry that is written over from now on has a
 * number that no opening looks at again. */
static int fold(struct wal *wal) {
    if (wal->txn == NULL) return 0;
    int code = journal_number_put(wal, wal->txn);
    if (code) return code;
    code = mdb_txn_commit(wal->txn); /* which frees it also when it fails */
    wal->txn = NULL;
    if (code) return code;
    journal_restart(&wal->journal);
    atomic_fetch_add_explicit(&wal->folds, 1, memory_order_relaxed);
    atomic_store(&wal->folded, wal->applied);
    used_look(wal);
    writer_tell(&wal->writer);
    return 0;
}

static enum store_status write_failed(struct wal *wal, int code, struct store_error *error) {
    if (wal->txn != NULL) txn_abort(wal);
    if (writer_error(&wal->prepare.writer, error) != STORE_OK) return error->status; /* that is what it waited for */
    const struct vlog_lane *far = &wal->vlog.lanes[VLOG_MAIN];
    if (far->failed) return env_fail(error, env_file_status(far->fd, code), code, wal->vlog.file, "write");
    if (wal->journal.failed) return env_fail(error, env_file_status(wal->journal.fd, code), code, wal->journal.file, "write");
    return env_fail(error, env_write_status(&wal->env, code), code, wal->env.file, "write");
}

/* The transaction becomes durable by an entry of the journal, unless that is too long for one, or LMDB's file might lack the room for it later: what
 * is acknowledged is sure of that. */
static bool is_for_journal(struct wal *wal) {
    bool little = !wal->journal.entry.failed && wal->txn_records <= FOLD_RECORDS_MAX;
    return little && env_room_make(&wal->env, FOLD_ROOM_BYTES, vlog_file_bytes(&wal->vlog));
}

static enum store_status wal_apply(void *context, void *const *items, uint32_t count, struct store_error *error) {
    struct wal *wal = context;
    uint64_t bytes = 0;
    uint64_t begun_ns = wal->clock_ns != NULL ? wal->clock_ns() : 0;
    bool far = is_long(wal, items, count);
    int code = txn_begin(wal);
    if (code == 0) code = end_check(wal, items, count);
    journal_begin(&wal->journal);
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        const struct wal_batch *batch = items[i];
        for (uint32_t r = 0; code == 0 && r < batch->record_count; r++) code = apply_record(wal, &batch->records[r], far, &bytes);
    }
    if (code == 0) code = vlog_sync(&wal->vlog, VLOG_MAIN);
    if (wal->clock_ns != NULL) atomic_fetch_add_explicit(&wal->apply_ns, wal->clock_ns() - begun_ns, memory_order_relaxed);
    wal->applied += count;
    wal->txn_commits++;
    if (code == 0) code = is_for_journal(wal) ? journal_write(&wal->journal) : fold(wal);
    if (code) return write_failed(wal, code, error);
    atomic_fetch_add_explicit(&wal->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->batches, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->bytes, bytes, memory_order_relaxed);
    return STORE_OK;
}

static bool fold_is_wanted(const struct wal *wal) {
    return atomic_load(&wal->wanted) > atomic_load(&wal->folded);
}

/* On the storage thread, when what was applied is told: there must be room for the next entry. */
static enum store_status wal_after(void *context, struct store_error *error) {
    struct wal *wal = context;
    if (wal->txn == NULL) return STORE_OK;
    bool much = journal_is_full(&wal->journal) || wal->txn_commits >= FOLD_COMMITS || wal->txn_records >= FOLD_RECORDS;
    bool due = much || wal->txn_far_bytes >= FOLD_FAR_BYTES || fold_is_wanted(wal);
    int code = due ? fold(wal) : 0;
    return code ? write_failed(wal, code, error) : STORE_OK;
}

static enum writer_idle wal_idle(void *context, bool paused, struct store_error *error) {
    struct wal *wal = context;
    if (wal->txn == NULL) return WRITER_IDLE;
    wal->txn_pauses += paused;
    if (wal->txn_pauses < FOLD_PAUSES && !fold_is_wanted(wal)) return WRITER_GOES_ON;
    int code = fold(wal);
    if (code == 0) return WRITER_IDLE;
    (void)write_failed(wal, code, error);
    return WRITER_FAILED;
}

/* What cannot be folded at the end is in the journal. */
static void wal_finish(void *context) {
    struct wal *wal = context;
    if (writer_error(&wal->writer, NULL) == STORE_OK && fold(wal) == 0) return;
    if (wal->txn != NULL) txn_abort(wal);
}

/* Opening. */

/* What the journal has and LMDB has not. */
static enum store_status journal_fold(struct wal *wal, bool made, const struct store_identity *identity, struct store_error *error) {
    MDB_txn *txn = NULL;
    struct bytes_cursor records;
    uint64_t folded = wal->journal.number;
    enum store_status status = STORE_OK;
    int code = mdb_txn_begin(wal->env.mdb, NULL, 0, &txn);
    while (code == 0 && made && (status = journal_next(&wal->journal, &records, error)) == STORE_OK) code = wal_entry_apply(txn, &wal->env, &records);
    if (status == STORE_ABSENT) status = STORE_OK;
    if (code == MDB_CORRUPTED) status = env_fail(error, STORE_DAMAGED, 0, wal->journal.file, "an entry has records that no node writes");
    bool changed = !made || wal->journal.number != folded;
    if (code == 0 && status == STORE_OK && changed) code = journal_number_put(wal, txn);
    if (code == 0 && status == STORE_OK && !made) code = env_identity_put(&wal->env, txn, identity);
    if (code == 0 && status == STORE_OK && changed) {
        code = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    if (code && status == STORE_OK) return env_fail(error, env_write_status(&wal->env, code), code, wal->env.file, "write");
    if (status == STORE_OK) journal_restart(&wal->journal);
    return status;
}

/* LMDB knows whether there is a journal. */
static enum store_status near_open(struct wal *wal, const struct wal_config *config, struct store_error *error) {
    const char *path = store_directory_path(config->directory);
    MDB_txn *txn = NULL;
    uint8_t number[8] = {0};
    size_t bytes = 0;
    int code = mdb_txn_begin(wal->env.mdb, NULL, MDB_RDONLY, &txn);
    if (code == 0) code = record_get(txn, &wal->env.meta, journal_key, number, sizeof number, &bytes);
    mdb_txn_abort(txn);
    bool made = code == 0;
    if (made && bytes != sizeof number) code = MDB_CORRUPTED;
    if (code && code != MDB_NOTFOUND) return env_fail(error, env_status_of(code), code, wal->env.file, "read");
    enum store_status status = journal_open(&wal->journal, path, &config->identity, made, bytes_get_le64(number), error);
    if (status != STORE_OK) return status;
    status = journal_fold(wal, made, &config->identity, error);
    if (status != STORE_OK) journal_close(&wal->journal);
    return status;
}

/* The value log, and in it what the records hold. */
static enum store_status far_open(struct wal *wal, const char *path, struct store_error *error) {
    enum store_status status = vlog_open(&wal->vlog, path, wal->map_bytes, error);
    if (status != STORE_OK) return status;
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(wal->env.mdb, NULL, MDB_RDONLY, &txn);
    for (uint32_t db = 0; code == 0 && db < WAL_DB_COUNT; db++) {
        if (!wal_entry_db_is_far((enum wal_db)db)) continue;
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

/* All its files, and what they hold. */
static enum store_status files_open(struct wal *wal, const struct wal_config *config, struct store_error *error) {
    const char *path = store_directory_path(config->directory);
    enum store_status status = env_open(&wal->env, path, &env_layout_wal, &config->identity, config->map_bytes, error);
    if (status != STORE_OK) return status;
    status = near_open(wal, config, error);
    if (status == STORE_OK) {
        status = far_open(wal, path, error);
        if (status != STORE_OK) journal_close(&wal->journal);
    }
    if (status != STORE_OK) env_close(&wal->env);
    return status;
}

static void files_close(struct wal *wal) {
    vlog_close(&wal->vlog);
    journal_close(&wal->journal);
    env_close(&wal->env);
}

enum store_status wal_open(const struct wal_config *config, struct wal **out, struct store_error *error) {
    CHECK(config->map_bytes > 0 && config->map_bytes % (1 << 20) == 0);
    struct wal *wal = calloc(1, sizeof *wal);
    if (!wal) return env_fail(error, STORE_NO_MEMORY, 0, store_directory_path(config->directory), "open");
    wal->map_bytes = config->map_bytes;
    wal->clock_ns = config->clock_ns;
    enum store_status status = files_open(wal, config, error);
    if (status == STORE_OK) {
        atomic_store(&wal->file_bytes, env_file_bytes(&wal->env) + vlog_file_bytes(&wal->vlog));
        wal->lmdb_used_bytes = env_file_bytes(&wal->env);
        atomic_store(&wal->used_bytes, wal->lmdb_used_bytes + vlog_used_bytes(&wal->vlog));
        struct writer_config writer = {.name = "wal", .slots = config->queue_slots, .items_max = WAL_COMMIT_BATCHES_MAX, .cpu = config->cpu,
                                       .wake = config->wake, .wake_context = config->wake_context, .apply = wal_apply, .after = wal_after,
                                       .idle = wal_idle, .is_slow = wal_is_slow, .finish = wal_finish, .apply_context = wal};
        wal->prepare.vlog = &wal->vlog;
        wal->prepare.other_bytes = hints_leave_bytes;
        wal->prepare.context = wal;
        status = wal_prepare_start(&wal->prepare, config, error);
        if (status == STORE_OK) {
            status = writer_start(&wal->writer, &writer, error);
            if (status != STORE_OK) (void)wal_prepare_stop(&wal->prepare);
        }
        if (status != STORE_OK) files_close(wal);
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
    enum store_status status = writer_stop(&wal->writer), prepared = wal_prepare_stop(&wal->prepare);
    if (status == STORE_OK) status = prepared;
    files_close(wal);
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
    if (writer_error(&wal->prepare.writer, NULL) != STORE_OK) return STORE_STOPPED;
    return writer_submit(&wal->writer, batch, sequence);
}

uint64_t wal_completed(const struct wal *wal) {
    return writer_completed(&wal->writer);
}

enum store_status wal_prepare(struct wal *wal, const struct wal_value *value) {
    uint64_t bytes = 0;
    CHECK(value->ticket > 0 && value->part_count >= 1 && value->part_count <= WAL_PREPARE_PARTS_MAX && wal_entry_db_is_far(value->db));
    for (uint32_t i = 0; i < value->part_count; i++) {
        CHECK(value->parts[i].iov_len <= WAL_VALUE_BYTES_MAX);
        bytes += value->parts[i].iov_len;
    }
    CHECK(bytes > 0 && bytes <= WAL_VALUE_BYTES_MAX);
    if (writer_error(&wal->writer, NULL) != STORE_OK) return STORE_STOPPED;
    return wal_prepare_submit(&wal->prepare, record_place_seed(&wal->env.dbs[value->db], value->key, bytes), value);
}

uint64_t wal_prepared(const struct wal *wal) {
    return wal_prepare_done(&wal->prepare);
}

void wal_forget(struct wal *wal, uint64_t ticket) {
    wal_prepare_forget(&wal->prepare, ticket);
}

enum store_status wal_error(const struct wal *wal, struct store_error *error) {
    enum store_status status = writer_error(&wal->writer, error);
    return status != STORE_OK ? status : writer_error(&wal->prepare.writer, error);
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

enum store_status wal_reader_open_behind(struct wal *wal, struct wal_reader **out) {
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

struct fold_wanted {
    const struct wal *wal;
    uint64_t batch;
};

static bool is_folded(const void *context) {
    const struct fold_wanted *wanted = context;
    return atomic_load(&wanted->wal->folded) >= wanted->batch;
}

/* A store that has stopped shows what it has, if that is all: what is durable in the journal alone is never told to be absent. */
enum store_status wal_reader_open(struct wal *wal, struct wal_reader **out) {
    struct fold_wanted wanted = {wal, writer_completed(&wal->writer)};
    if (!is_folded(&wanted)) {
        uint64_t before = atomic_load(&wal->wanted);
        while (before < wanted.batch && !atomic_compare_exchange_weak(&wal->wanted, &before, wanted.batch)) {}
        writer_ask(&wal->writer);
        (void)writer_await(&wal->writer, is_folded, &wanted);
        if (!is_folded(&wanted)) return STORE_STOPPED;
    }
    return wal_reader_open_behind(wal, out);
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
    figures->folds = atomic_load_explicit(&wal->folds, memory_order_relaxed);
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
