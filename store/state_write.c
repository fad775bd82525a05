/*
 * The thread of a checkpoint store. Writes are collected, sorted by path, and written as runs (runs.h), which no checkpoint names yet; the commit
 * that names them makes the checkpoint. Up to FLUSH_BYTES go to the disk at a time, so that the votes of this node and its neighbours, on the same
 * disk, never wait behind much; what comes in the order of paths, as from a table, becomes one run all the same. When it is not known how many
 * entries there are then, all runs are folded into the entries with that commit, and counted.
 *
 * The first checkpoint of a store, which begins from nothing, has no older one beside it to be kept whole: its writes go into the entries at once, a
 * transaction for each run_bytes. What a crash leaves of it nobody reads, and the next attempt drops.
 *
 * Runs are folded a part at a time, each part a transaction: what the oldest runs say of some paths goes into the entries, where the same runs, while
 * they are there, hide it; after the last part they go. So every commit of a fold leaves the same checkpoint, and a crash begins the fold anew.
 */
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/trie.h"
#include "store/reserve.h"
#include "store/state_inside.h"
#include <stdlib.h>

enum {
    PENDING_MAX = RUN_BYTES_MAX / 64,
    FLUSH_BYTES = 1 << 20,
    FOLD_PART_BYTES = 512,  /* of run_bytes for each path that is folded in one transaction: of the usual 2 MiB 4,096; and at most run_bytes */
    FOLD_FROM_RUNS = 16,
    FOLD_NOW_RUNS = 40,    /* so many are folded before anything else, or four times the pages of the entries and of these */
    FOLD_NOW_PAGES = 16384,
    COMPACT_RUNS = 20,     /* of one checkpoint that is being made */
};
_Static_assert(FOLD_NOW_RUNS + COMPACT_RUNS < RUNS_MAX, "a merge takes all of them");

struct state_place {
    uint64_t start; /* of the path, as a number */
    uint32_t at;    /* in units of ITEM_ALIGN */
};
enum { ITEM_ALIGN = 8 };

static struct record_db *db_of(struct state *state, unsigned db) {
    return &state->env.dbs[db];
}

/* Pending writes. */

bool state_pending_create(struct state *state) {
    state->pending.memory = store_reserve(RUN_BYTES_MAX);
    state->pending.places = store_reserve(PENDING_MAX * sizeof *state->pending.places);
    state->items = store_reserve(PENDING_MAX * sizeof *state->items);
    return state->pending.memory && state->pending.places && state->items;
}

uint64_t state_budget(void) {
    return RUN_BYTES_MAX + PENDING_MAX * (sizeof(struct state_place) + sizeof(struct run_item));
}

void state_pending_destroy(struct state *state) {
    store_unreserve(state->pending.memory, RUN_BYTES_MAX);
    store_unreserve(state->pending.places, PENDING_MAX * sizeof *state->pending.places);
    store_unreserve(state->items, PENDING_MAX * sizeof *state->items);
}

static void pending_empty(struct state *state, bool give_back) {
    if (give_back && state->pending.used > 0) {
        store_forget(state->pending.memory, RUN_BYTES_MAX);
        store_forget(state->pending.places, PENDING_MAX * sizeof *state->pending.places);
        store_forget(state->items, PENDING_MAX * sizeof *state->items);
    }
    state->pending.used = 0;
    state->pending.count = 0;
}

/* False: no room. */
static bool pending_add(struct state *state, const struct state_write *write) {
    struct state_pending *pending = &state->pending;
    struct table_entry entry = {.key = write->key, .value = write->value, .key_bytes = write->key_bytes, .value_bytes = write->value_bytes,
                                .version = write->version, .space = write->space};
    size_t stored_bytes = write->deleted ? 0 : record_entry_bytes(&entry);
    size_t bytes = (RUN_ITEM_HEAD_BYTES + stored_bytes + ITEM_ALIGN - 1) / ITEM_ALIGN * ITEM_ALIGN;
    uint32_t room = !state->direct && state->run_bytes > FLUSH_BYTES ? FLUSH_BYTES : state->run_bytes;
    if (pending->count == PENDING_MAX || room - pending->used < bytes) return false;
    uint8_t *item = pending->memory + pending->used;
    trie_path((enum trie_space)write->space, write->key, write->key_bytes, item);
    bytes_put_le32(item + RECORD_PATH_BYTES, (uint32_t)stored_bytes);
    if (stored_bytes > 0) record_entry_encode(item, &entry, item + RUN_ITEM_HEAD_BYTES);
    uint64_t start = 0;
    for (unsigned i = 0; i < 8; i++) start = start << 8 | item[i];
    pending->places[pending->count++] = (struct state_place){.start = start, .at = (uint32_t)(pending->used / ITEM_ALIGN)};
    pending->used += bytes;
    return true;
}

static const uint8_t *pending_at(const struct state *state, const struct state_place *place) {
    return state->pending.memory + (size_t)place->at * ITEM_ALIGN;
}

/* Places whose paths begin alike: insertion, the later of one path last. */
static void places_settle(struct state *state, struct state_place *places, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        struct state_place place = places[i];
        uint32_t at = i;
        for (; at > 0; at--) {
            if (memcmp(pending_at(state, &places[at - 1]), pending_at(state, &place), RECORD_PATH_BYTES) <= 0) break;
            places[at] = places[at - 1];
        }
        places[at] = place;
    }
}

/* Of equal starts the one that came first comes first. */
static int places_compare(const void *a, const void *b) {
    const struct state_place *left = a, *right = b;
    if (left->start != right->start) return left->start < right->start ? -1 : 1;
    return left->at < right->at ? -1 : 1;
}

/* Into state->items: ascending, of each path the newest. */
static void pending_sort(struct state *state) {
    struct state_place *places = state->pending.places;
    uint32_t count = state->pending.count, kept = 0;
    qsort(places, count, sizeof *places, places_compare);
    for (uint32_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && places[to].start == places[from].start;) to++;
        places_settle(state, places + from, to - from);
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = pending_at(state, &places[i]);
        if (kept > 0 && memcmp(state->items[kept - 1].path, at, RECORD_PATH_BYTES) == 0) kept--;
        state->items[kept++] = (struct run_item){
            .path = at, .stored = at + RUN_ITEM_HEAD_BYTES, .stored_bytes = bytes_get_le32(at + RECORD_PATH_BYTES)};
    }
    state->item_count = kept;
}

/* Runs. */

static int runs_put(struct state *state, MDB_txn *txn, uint64_t height, uint32_t first, uint32_t end) {
    uint8_t bytes[STATE_RUNS_BYTES];
    bytes_put_le32(bytes, first);
    bytes_put_le32(bytes + 4, end);
    bytes_put_le64(bytes + 8, height);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    return record_put(txn, &state->env.meta, state_runs_key, &part, 1);
}

/* How many runs from `first` up to, without, `end`. */
static int runs_count(struct state *state, MDB_txn *txn, uint32_t first, uint32_t end, uint32_t *count) {
    *count = 0;
    for (uint32_t number = first; number < end; number++) {
        int code = runs_next(txn, db_of(state, STATE_DB_RUNS), &number);
        if (code == MDB_NOTFOUND || (code == 0 && number >= end)) return 0;
        if (code) return code;
        ++*count;
    }
    return 0;
}

static int fold_look(struct state *state);

/* What a crash cut off of a fold is begun again, before there may be more runs than a merge takes. */
int state_runs_begin(struct state *state) {
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(state->env.mdb, NULL, 0, &txn);
    if (code) return code;
    code = state_runs_read(state, txn, atomic_load(&state->height), &state->runs_first, &state->runs_end);
    if (code == 0) code = runs_remove(txn, db_of(state, STATE_DB_RUNS), state->runs_end, UINT32_MAX);
    state->runs_next = state->runs_end;
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    code = mdb_txn_commit(txn);
    return code ? code : fold_look(state);
}

static int entry_apply(struct state *state, MDB_txn *txn, MDB_cursor *cursor, const struct run_item *item) {
    MDB_val key = {.mv_size = RECORD_PATH_BYTES, .mv_data = (void *)(uintptr_t)item->path};
    MDB_val value = {.mv_size = item->stored_bytes, .mv_data = (void *)(uintptr_t)item->stored};
    if (item->stored_bytes > 0) return mdb_cursor_put(cursor, &key, &value, 0);
    int code = mdb_del(txn, db_of(state, STATE_DB_ENTRIES)->dbi, &key, NULL);
    return code == MDB_NOTFOUND ? 0 : code; /* made and removed again meanwhile */
}

/* What the runs from runs_first up to, without, `end` say, from `path` on, goes into the entries: of so many paths, or until so many bytes have.
 * MDB_NOTFOUND: that was the last one; else `path` is where to go on. The runs are in no page that `txn` has changed: LMDB may put such a one
 * elsewhere. */
static int entries_fold(struct state *state, MDB_txn *txn, uint32_t end, uint32_t items_max, uint64_t bytes_max, uint8_t path[RECORD_PATH_BYTES]) {
    MDB_cursor *cursor = NULL;
    struct run_item item;
    uint64_t bytes = 0;
    int code = runs_merge_open(&state->merge, txn, db_of(state, STATE_DB_RUNS), state->runs_first, end);
    if (code == 0) code = runs_merge_seek(&state->merge, path);
    if (code == 0) code = mdb_cursor_open(txn, db_of(state, STATE_DB_ENTRIES)->dbi, &cursor);
    for (uint32_t i = 0; code == 0 && i < items_max && bytes < bytes_max; i++) {
        code = runs_merge_next(&state->merge, &item);
        if (code) break;
        bytes += item.stored_bytes;
        code = entry_apply(state, txn, cursor, &item);
        if (code == 0) memcpy(path, item.path, RECORD_PATH_BYTES);
        if (code == 0 && !trie_path_next(path)) code = MDB_NOTFOUND;
    }
    mdb_cursor_close(cursor);
    runs_merge_close(&state->merge);
    return code;
}

/* One part of the fold that is under way. */
static int fold_step(struct state *state) {
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(state->env.mdb, NULL, 0, &txn);
    if (code) return code;
    code = entries_fold(state, txn, state->fold_end, state->run_bytes / FOLD_PART_BYTES, state->run_bytes, state->fold_path);
    bool last = code == MDB_NOTFOUND;
    if (last) code = runs_remove(txn, db_of(state, STATE_DB_RUNS), state->runs_first, state->fold_end);
    if (last && code == 0) code = runs_put(state, txn, atomic_load(&state->height), state->fold_end, state->runs_end);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    code = mdb_txn_commit(txn);
    if (code == 0) atomic_fetch_add_explicit(&state->fold_parts, 1, memory_order_relaxed);
    if (code || !last) return code;
    state->runs_first = state->fold_end;
    state->fold_end = 0;
    return 0;
}

static void fold_begin(struct state *state) {
    state->fold_end = state->runs_end;
    memset(state->fold_path, 0, sizeof state->fold_path);
}

static int fold_all(struct state *state) {
    int code = 0;
    if (state->fold_end == 0 && state->runs_first < state->runs_end) fold_begin(state);
    while (code == 0 && state->fold_end > 0) {
        code = fold_step(state);
        if (code == 0 && state->fold_end == 0 && state->runs_first < state->runs_end) fold_begin(state); /* came during the last one */
    }
    return code;
}

/* When runs have as many pages as the entries, or there are many of them. */
static int fold_look(struct state *state) {
    MDB_txn *txn = NULL;
    MDB_stat runs, entries;
    uint32_t count = 0;
    if (state->runs_first == state->runs_end) return 0;
    int code = mdb_txn_begin(state->env.mdb, NULL, MDB_RDONLY, &txn);
    if (code) return code;
    code = runs_count(state, txn, state->runs_first, state->runs_end, &count);
    if (code == 0) code = mdb_stat(txn, db_of(state, STATE_DB_RUNS)->dbi, &runs);
    if (code == 0) code = mdb_stat(txn, db_of(state, STATE_DB_ENTRIES)->dbi, &entries);
    mdb_txn_abort(txn);
    if (code) return code;
    size_t run_pages = runs.ms_leaf_pages + runs.ms_overflow_pages, entry_pages = entries.ms_leaf_pages + entries.ms_overflow_pages;
    if (state->fold_end == 0 && (count >= FOLD_FROM_RUNS || run_pages >= entry_pages)) fold_begin(state);
    return count >= FOLD_NOW_RUNS || run_pages / 4 > entry_pages + FOLD_NOW_PAGES ? fold_all(state) : 0;
}

/* Pending writes go into the entries. */
static int entries_write(struct state *state, MDB_txn *txn) {
    MDB_cursor *cursor = NULL;
    pending_sort(state);
    int code = mdb_cursor_open(txn, db_of(state, STATE_DB_ENTRIES)->dbi, &cursor);
    for (uint32_t i = 0; code == 0 && i < state->item_count; i++) code = entry_apply(state, txn, cursor, &state->items[i]);
    mdb_cursor_close(cursor);
    return code;
}

/* Pending writes become a run, which no checkpoint names yet, or the end of the newest such. `end`: the first number above it. */
static int run_write(struct state *state, MDB_txn *txn, uint32_t *end) {
    *end = state->runs_next;
    if (state->pending.count == 0) return 0;
    pending_sort(state);
    if (!state->run_open || memcmp(state->run_last, state->items[0].path, RECORD_PATH_BYTES) >= 0) ++*end;
    return runs_append(txn, db_of(state, STATE_DB_RUNS), *end - 1, state->items, state->item_count);
}

static int pending_commit(struct state *state) {
    MDB_txn *txn = NULL;
    uint32_t end = state->runs_next;
    int code = mdb_txn_begin(state->env.mdb, NULL, 0, &txn);
    if (code) return code;
    code = state->direct ? entries_write(state, txn) : run_write(state, txn, &end);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    code = mdb_txn_commit(txn);
    if (code) return code;
    state->runs_next = end;
    state->run_open = !state->direct;
    memcpy(state->run_last, state->items[state->item_count - 1].path, RECORD_PATH_BYTES);
    pending_empty(state, false);
    return 0;
}

/* A part of the runs of the checkpoint that is being made, from `path` on, as the run runs_next. MDB_NOTFOUND: that was the last one. */
static int compact_part(struct state *state, MDB_txn *txn, uint32_t from, uint8_t path[RECORD_PATH_BYTES]) {
    uint32_t count = 0;
    size_t bytes = 0;
    int code = runs_merge_open(&state->merge, txn, db_of(state, STATE_DB_RUNS), from, state->runs_next);
    if (code == 0) code = runs_merge_seek(&state->merge, path);
    while (code == 0 && count < PENDING_MAX && bytes < state->run_bytes) {
        code = runs_merge_next(&state->merge, &state->items[count]);
        if (code) break;
        bytes += RUN_ITEM_HEAD_BYTES + (size_t)state->items[count].stored_bytes;
        memcpy(path, state->items[count++].path, RECORD_PATH_BYTES);
        if (!trie_path_next(path)) code = MDB_NOTFOUND;
    }
    runs_merge_close(&state->merge);
    if (code && code != MDB_NOTFOUND) return code;
    int written = runs_append(txn, db_of(state, STATE_DB_RUNS), state->runs_next, state->items, count);
    return written ? written : code;
}

/* Many runs of the checkpoint that is being made become one. */
static int runs_compact(struct state *state) {
    uint32_t from = state->clear ? state->clear_from : state->runs_end, count = 0;
    uint8_t path[RECORD_PATH_BYTES] = {0};
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(state->env.mdb, NULL, 0, &txn);
    if (code) return code;
    code = runs_count(state, txn, from, state->runs_next, &count);
    if (code || count < COMPACT_RUNS) {
        mdb_txn_abort(txn);
        return code;
    }
    for (bool last = false; !last;) {
        code = txn ? 0 : mdb_txn_begin(state->env.mdb, NULL, 0, &txn);
        if (code) return code;
        code = compact_part(state, txn, from, path);
        last = code == MDB_NOTFOUND;
        if (last) code = runs_remove(txn, db_of(state, STATE_DB_RUNS), from, state->runs_next);
        if (code) {
            mdb_txn_abort(txn);
            return code;
        }
        code = mdb_txn_commit(txn);
        txn = NULL;
        if (code) return code;
    }
    state->runs_next++;
    state->run_open = false;
    atomic_fetch_add_explicit(&state->compactions, 1, memory_order_relaxed);
    return 0;
}

/* The checkpoint. */

static int put_blobs(struct state *state, MDB_txn *txn, const struct state_batch *batch) {
    int code = mdb_drop(txn, db_of(state, STATE_DB_BLOBS)->dbi, 0);
    for (uint32_t i = 0; code == 0 && i < batch->blob_count; i++) {
        const struct state_blob *blob = &batch->blobs[i];
        struct iovec part = {.iov_base = (void *)(uintptr_t)blob->bytes, .iov_len = blob->byte_count};
        code = record_put(txn, db_of(state, STATE_DB_BLOBS), (const uint8_t *)blob->name, &part, 1);
    }
    return code;
}

static int put_description(struct state *state, MDB_txn *txn, const struct state_checkpoint *checkpoint) {
    MDB_stat stat;
    int code = mdb_stat(txn, db_of(state, STATE_DB_ENTRIES)->dbi, &stat);
    if (code) return code;
    uint8_t bytes[STATE_DESCRIPTION_BYTES];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    bytes_put_u64(&writer, checkpoint->epoch);
    bytes_put_u64(&writer, checkpoint->height);
    bytes_put_u64(&writer, checkpoint->entries > 0 ? checkpoint->entries : stat.ms_entries);
    bytes_put_hash(&writer, checkpoint->block_id);
    bytes_put_hash(&writer, checkpoint->state_root);
    CHECK(!writer.failed && writer.used == sizeof bytes);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    return record_put(txn, &state->env.meta, state_description_key, &part, 1);
}

/* Nobody counted: all goes into the entries now. */
static int entries_settle(struct state *state, MDB_txn *txn, uint32_t end) {
    uint8_t path[RECORD_PATH_BYTES] = {0};
    if (state->runs_first < end) {
        int code = entries_fold(state, txn, end, UINT32_MAX, UINT64_MAX, path);
        return code == MDB_NOTFOUND ? runs_remove(txn, db_of(state, STATE_DB_RUNS), state->runs_first, end) : code;
    }
    return entries_write(state, txn);
}

/* Whether it ends in a run. */
static bool is_run(const struct state *state, const struct state_batch *batch) {
    return batch->checkpoint->entries > 0 && !state->direct;
}

/* All of one checkpoint's commit but the commit; its runs are those up to, without, `end`. */
static int checkpoint_write(struct state *state, MDB_txn *txn, const struct state_batch *batch, uint32_t *end) {
    bool counted = is_run(state, batch);
    int code = 0;
    if (state->clear) code = mdb_drop(txn, db_of(state, STATE_DB_ENTRIES)->dbi, 0);
    *end = state->runs_next;
    if (code == 0) code = counted ? run_write(state, txn, end) : entries_settle(state, txn, state->runs_next);
    if (code == 0) code = put_blobs(state, txn, batch);
    if (code == 0) code = put_description(state, txn, batch->checkpoint);
    return code ? code : runs_put(state, txn, batch->checkpoint->height, counted ? state->runs_first : *end, *end);
}

static int checkpoint_commit(struct state *state, const struct state_batch *batch) {
    bool counted = is_run(state, batch);
    MDB_txn *txn = NULL;
    int code = 0;
    if (state->clear) state->fold_end = 0;
    uint32_t kept_first = state->clear ? state->clear_from : state->runs_first;
    if (!counted && kept_first < state->runs_next && state->pending.count > 0) code = pending_commit(state);
    if (code == 0) code = mdb_txn_begin(state->env.mdb, NULL, 0, &txn);
    uint32_t gone_first = state->runs_first, end = 0;
    state->runs_first = kept_first;
    if (code == 0) code = checkpoint_write(state, txn, batch, &end);
    /* Last, because a fold reads from pages that its transaction has not changed (entries_fold). */
    if (code == 0 && state->clear) code = runs_remove(txn, db_of(state, STATE_DB_RUNS), gone_first, state->clear_from);
    if (code) {
        if (txn) mdb_txn_abort(txn);
        return code;
    }
    code = mdb_txn_commit(txn); /* which frees txn also when it fails */
    if (code) return code;
    if (!counted) {
        state->runs_first = end;
        state->fold_end = 0;
    }
    state->runs_end = state->runs_next = end;
    state->clear = state->direct = state->run_open = false;
    pending_empty(state, true);
    atomic_fetch_add_explicit(&state->checkpoints, 1, memory_order_relaxed);
    atomic_store_explicit(&state->height, batch->checkpoint->height, memory_order_relaxed);
    atomic_store_explicit(&state->file_bytes, env_file_bytes(&state->env), memory_order_relaxed);
    return fold_look(state);
}

/* A checkpoint that begins from nothing. Where there is none before, all that lies in the store is what a crash left. */
static int clear_begin(struct state *state) {
    MDB_txn *txn = NULL;
    size_t bytes;
    pending_empty(state, false);
    state->clear = true;
    state->clear_from = state->runs_next;
    state->run_open = false;
    int code = mdb_txn_begin(state->env.mdb, NULL, 0, &txn);
    if (code) return code;
    code = record_get(txn, &state->env.meta, state_description_key, NULL, 0, &bytes);
    if (code != MDB_NOTFOUND) {
        mdb_txn_abort(txn);
        return code == MDB_BAD_VALSIZE ? 0 : code;
    }
    code = mdb_drop(txn, db_of(state, STATE_DB_ENTRIES)->dbi, 0);
    if (code == 0) code = runs_remove(txn, db_of(state, STATE_DB_RUNS), 0, UINT32_MAX);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    code = mdb_txn_commit(txn);
    if (code) return code;
    state->runs_first = state->runs_end = state->runs_next = 0;
    state->clear = false;
    state->direct = true;
    return 0;
}

static int apply_batch(struct state *state, const struct state_batch *batch) {
    int code = batch->clear_first ? clear_begin(state) : 0;
    for (uint32_t i = 0; code == 0 && i < batch->write_count; i++) {
        if (pending_add(state, &batch->writes[i])) continue;
        code = pending_commit(state);
        if (code == 0) code = runs_compact(state);
        CHECK(code || pending_add(state, &batch->writes[i])); /* an empty one takes the largest */
    }
    return code || !batch->checkpoint ? code : checkpoint_commit(state, batch);
}

/* The thread's work. */

static enum store_status failed(struct state *state, int code, struct store_error *error) {
    return env_fail(error, env_write_status(&state->env, code), code, state->env.file, "write");
}

/* One batch at a time: what it points to is no longer needed, or on disk, when its number is published. */
enum store_status state_apply(void *context, void *const *items, uint32_t count, struct store_error *error) {
    struct state *state = context;
    CHECK(count == 1);
    int code = apply_batch(state, items[0]);
    return code == 0 ? STORE_OK : failed(state, code, error);
}

enum writer_idle state_idle(void *context, bool paused, struct store_error *error) {
    struct state *state = context;
    (void)paused;
    if (state->fold_end == 0) return WRITER_IDLE;
    int code = fold_step(state);
    if (code == 0) return state->fold_end == 0 ? WRITER_IDLE : WRITER_GOES_ON;
    (void)failed(state, code, error);
    return WRITER_FAILED;
}

/* Nothing but time is lost when it cannot. */
void state_finish(void *context) {
    struct state *state = context;
    if (writer_error(&state->writer, NULL) == STORE_OK) (void)fold_all(state);
}
