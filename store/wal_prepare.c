#include "store/wal_prepare.h"
#include "merkle/check.h"
#include "store/env.h"
#include <errno.h>
#include <string.h>

enum { ITEMS_AT_ONCE = 4 }; /* one sync for so many */

static void enter(struct wal_prepare *prepare) {
    CHECK(pthread_mutex_lock(&prepare->lock) == 0);
}

static void leave(struct wal_prepare *prepare) {
    CHECK(pthread_mutex_unlock(&prepare->lock) == 0);
}

static struct prepared *find(struct wal_prepare *prepare, uint64_t ticket) {
    for (uint32_t i = 0; i < WAL_PREPARED_MAX; i++) {
        struct prepared *slot = &prepare->slots[i];
        if (slot->state != PREPARED_FREE && slot->ticket == ticket) return slot;
    }
    return NULL;
}

/* It is durable, or was refused; nobody may want it any more. */
static void settle(struct wal_prepare *prepare, struct prepared *slot) {
    bool laid = slot->place.bytes > 0;
    enter(prepare);
    if (slot->state == PREPARED_FORGOTTEN) {
        if (laid) vlog_forget(prepare->vlog, &slot->place);
        slot->state = PREPARED_FREE;
    } else {
        slot->state = laid ? PREPARED_WRITTEN : PREPARED_REFUSED;
    }
    leave(prepare);
}

static enum store_status apply(void *context, void *const *items, uint32_t count, struct store_error *error) {
    struct wal_prepare *prepare = context;
    uint64_t last = 0, others = prepare->other_bytes(prepare->context);
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        struct prepared *slot = items[i]; /* but for its state it is this thread's while it is queued */
        last = slot->ticket;
        code = vlog_append(prepare->vlog, VLOG_BESIDE, slot->seed, slot->parts, slot->part_count, others, &slot->place);
        if (code == MDB_MAP_FULL) code = 0; /* its place stays empty */
    }
    if (code == 0) code = vlog_sync(prepare->vlog, VLOG_BESIDE);
    if (code) return env_fail(error, env_file_status(prepare->vlog->lanes[VLOG_BESIDE].fd, code), code, prepare->vlog->file, "write");
    atomic_store_explicit(&prepare->done, last, memory_order_release); /* before their slots are given again: no more are read at a time */
    for (uint32_t i = 0; i < count; i++) settle(prepare, items[i]);
    return STORE_OK;
}

enum store_status wal_prepare_start(struct wal_prepare *prepare, const struct wal_config *config, struct store_error *error) {
    struct writer_config writer = {.name = "wal-values", .slots = 2 * WAL_PREPARED_MAX, .items_max = ITEMS_AT_ONCE, .cpu = config->cpu,
                                   .wake = config->wake, .wake_context = config->wake_context, .apply = apply, .apply_context = prepare};
    CHECK(pthread_mutex_init(&prepare->lock, NULL) == 0);
    enum store_status status = writer_start(&prepare->writer, &writer, error);
    if (status != STORE_OK) (void)pthread_mutex_destroy(&prepare->lock);
    return status;
}

enum store_status wal_prepare_stop(struct wal_prepare *prepare) {
    enum store_status status = writer_stop(&prepare->writer);
    (void)pthread_mutex_destroy(&prepare->lock);
    return status;
}

/* Whole before the lock is left: the wal's thread looks at all that are not free for a ticket of its own. */
static struct prepared *slot_take(struct wal_prepare *prepare, uint64_t seed, const struct wal_value *value) {
    struct prepared *slot = NULL;
    enter(prepare);
    for (uint32_t i = 0; slot == NULL && i < WAL_PREPARED_MAX; i++) {
        if (prepare->slots[i].state == PREPARED_FREE) slot = &prepare->slots[i];
    }
    if (slot != NULL) {
        *slot = (struct prepared){.state = PREPARED_QUEUED, .ticket = value->ticket, .seed = seed, .part_count = value->part_count};
        memcpy(slot->parts, value->parts, value->part_count * sizeof *value->parts);
    }
    leave(prepare);
    return slot;
}

enum store_status wal_prepare_submit(struct wal_prepare *prepare, uint64_t seed, const struct wal_value *value) {
    struct prepared *slot = slot_take(prepare, seed, value);
    if (slot == NULL) return STORE_BUSY;
    enum store_status status = writer_submit(&prepare->writer, slot, &slot->sequence);
    if (status == STORE_OK) return STORE_OK;
    enter(prepare);
    slot->state = PREPARED_FREE;
    leave(prepare);
    return status;
}

void wal_prepare_forget(struct wal_prepare *prepare, uint64_t ticket) {
    enter(prepare);
    struct prepared *slot = find(prepare, ticket);
    if (slot != NULL && slot->state == PREPARED_QUEUED) {
        slot->state = PREPARED_FORGOTTEN;
    } else if (slot != NULL && slot->state != PREPARED_FORGOTTEN) {
        if (slot->state == PREPARED_WRITTEN) vlog_forget(prepare->vlog, &slot->place);
        slot->state = PREPARED_FREE;
    }
    leave(prepare);
}

bool wal_prepare_has(struct wal_prepare *prepare, uint64_t ticket) {
    enter(prepare);
    const struct prepared *slot = find(prepare, ticket);
    bool has = slot != NULL && slot->state == PREPARED_WRITTEN;
    leave(prepare);
    return has;
}

int wal_prepare_take(struct wal_prepare *prepare, uint64_t ticket, uint64_t seed, struct vlog_place *place) {
    enter(prepare);
    struct prepared *slot = find(prepare, ticket);
    if (slot != NULL && slot->seed != seed) slot = NULL; /* a value under another key: it stays whose it is */
    uint64_t sequence = slot != NULL && slot->state == PREPARED_QUEUED ? slot->sequence : 0;
    leave(prepare);
    if (slot == NULL) return MDB_NOTFOUND;
    if (sequence > 0 && writer_wait(&prepare->writer, sequence) != STORE_OK) return EIO;
    enter(prepare);
    bool written = slot->state == PREPARED_WRITTEN;
    if (written) *place = slot->place;
    if (slot->state != PREPARED_FORGOTTEN) slot->state = PREPARED_FREE;
    leave(prepare);
    return written ? 0 : MDB_NOTFOUND;
}
