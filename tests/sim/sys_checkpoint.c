/*
 * The checkpoint store of a simulated machine, in the place of store/state.c: the contract of state.h without a file. Writes become visible together
 * with the checkpoint that ends them, or never.
 */
#include "tests/sim/sys.h"

enum { BUCKETS = 4096 };

/* A batch that was submitted: copied, so that its memory counts as given back at once. */
struct sys_pending {
    struct sys_pending *next;
    uint64_t sequence;
    struct state_write *writes; /* keys and values lie behind the array */
    uint32_t write_count;
    bool clear_first, has;
    struct state_checkpoint checkpoint;
    struct sys_blob blobs[EXECUTION_BLOBS_MAX + 1];
    uint32_t blob_count;
};

void sys_state_init(struct sys_world *world, uint32_t node, struct state *state) {
    *state = (struct state){.world = world, .node = (uint8_t)node, .bucket_count = BUCKETS, .latency_us = 2000};
    state->buckets = calloc(BUCKETS, sizeof *state->buckets);
    state->pending_end = &state->pending;
    CHECK(state->buckets != NULL);
}

static void blobs_free(struct sys_blob *blobs, uint32_t *count) {
    for (uint32_t i = 0; i < *count; i++) free(blobs[i].bytes);
    *count = 0;
}

static void entries_clear(struct state *state) {
    for (uint32_t i = 0; i < state->bucket_count; i++) {
        while (state->buckets[i] != NULL) {
            struct sys_entry *entry = state->buckets[i];
            state->buckets[i] = entry->next;
            free(entry);
        }
    }
}

static void pending_drop(struct state *state) {
    struct sys_pending *pending = state->pending;
    state->pending = pending->next;
    if (state->pending == NULL) state->pending_end = &state->pending;
    blobs_free(pending->blobs, &pending->blob_count);
    free(pending->writes);
    free(pending);
}

void sys_state_clear(struct state *state) {
    while (state->pending != NULL) pending_drop(state);
    entries_clear(state);
    blobs_free(state->blobs, &state->blob_count);
    state->has = state->busy = false;
    state->submitted = state->completed = 0;
}

void sys_state_free(struct state *state) {
    sys_state_clear(state);
    free(state->buckets);
}

static void write_apply(struct state *state, const struct state_write *write) {
    uint64_t hash = keyed_siphash(23, write->space, write->key, write->key_bytes);
    struct sys_entry **at = &state->buckets[hash & (state->bucket_count - 1)];
    while (*at != NULL && ((*at)->hash != hash || (*at)->entry.space != write->space || (*at)->entry.key_bytes != write->key_bytes ||
                           memcmp((*at)->entry.key, write->key, write->key_bytes) != 0))
        at = &(*at)->next;
    if (*at != NULL) {
        struct sys_entry *old = *at;
        *at = old->next;
        free(old);
    }
    if (write->deleted) return;
    struct sys_entry *entry = malloc(sizeof *entry + write->key_bytes + write->value_bytes);
    CHECK(entry != NULL);
    uint8_t *key = (uint8_t *)(entry + 1), *value = key + write->key_bytes;
    memcpy(key, write->key, write->key_bytes);
    if (write->value_bytes > 0) memcpy(value, write->value, write->value_bytes);
    *entry = (struct sys_entry){.next = *at, .hash = hash};
    entry->entry.space = write->space;
    entry->entry.key = key;
    entry->entry.key_bytes = write->key_bytes;
    entry->entry.value = value;
    entry->entry.value_bytes = write->value_bytes;
    entry->entry.version = write->version;
    *at = entry;
}

static uint64_t entries_count(const struct state *state) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < state->bucket_count; i++) {
        for (const struct sys_entry *entry = state->buckets[i]; entry != NULL; entry = entry->next) count++;
    }
    return count;
}

/* The oldest batches up to the first checkpoint among them. */
static void commit(struct state *state) {
    bool done = false;
    while (state->pending != NULL && !done) {
        struct sys_pending *pending = state->pending;
        if (pending->clear_first) entries_clear(state);
        for (uint32_t i = 0; i < pending->write_count; i++) write_apply(state, &pending->writes[i]);
        done = pending->has;
        state->completed = pending->sequence;
        if (done) {
            blobs_free(state->blobs, &state->blob_count);
            memcpy(state->blobs, pending->blobs, sizeof state->blobs);
            state->blob_count = pending->blob_count;
            state->checkpoint = pending->checkpoint;
            state->checkpoint.entries = entries_count(state);
            state->has = true;
            pending->blob_count = 0;
        }
        pending_drop(state);
    }
}

static bool checkpoint_waits(const struct state *state) {
    for (const struct sys_pending *pending = state->pending; pending != NULL; pending = pending->next) {
        if (pending->has) return true;
    }
    return false;
}

static void begin(struct state *state) {
    if (state->busy || !checkpoint_waits(state)) return;
    state->busy = true;
    struct sys_world *world = state->world;
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + state->latency_us + sys_random(world, state->latency_us),
                                           .kind = SYS_CHECKPOINT,
                                           .to = state->node,
                                           .generation = world->nodes[state->node].generation});
}

void sys_state_commit(struct sys_world *world, uint32_t node) {
    struct state *state = &world->nodes[node].state;
    state->busy = false;
    commit(state);
    begin(state);
}

void sys_state_crash(struct sys_world *world, struct state *state, bool reached) {
    (void)world;
    if (reached && checkpoint_waits(state)) commit(state);
    while (state->pending != NULL) pending_drop(state);
    state->busy = false;
    state->submitted = state->completed = 0;
}

bool sys_state_damage(struct sys_world *world, struct state *state) {
    uint32_t from = (uint32_t)sys_random(world, state->bucket_count);
    for (uint32_t i = 0; i < state->bucket_count && state->has; i++) {
        struct sys_entry *entry = state->buckets[(from + i) % state->bucket_count];
        if (entry == NULL) continue;
        entry->damaged = true;
        return true;
    }
    return false;
}

/* ---- state.h ---- */

static void writes_copy(struct sys_pending *pending, const struct state_batch *batch) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < batch->write_count; i++) bytes += (size_t)batch->writes[i].key_bytes + batch->writes[i].value_bytes;
    pending->writes = malloc(batch->write_count * sizeof *pending->writes + bytes + 1);
    CHECK(pending->writes != NULL);
    uint8_t *at = (uint8_t *)(pending->writes + batch->write_count);
    for (uint32_t i = 0; i < batch->write_count; i++) {
        struct state_write *write = &pending->writes[i];
        *write = batch->writes[i];
        memcpy(at, write->key, write->key_bytes);
        write->key = at;
        at += write->key_bytes;
        if (write->value_bytes > 0) memcpy(at, write->value, write->value_bytes);
        write->value = at;
        at += write->value_bytes;
    }
    pending->write_count = batch->write_count;
}

enum store_status state_submit(struct state *state, const struct state_batch *batch, uint64_t *sequence) {
    struct sys_pending *pending = calloc(1, sizeof *pending);
    CHECK(pending != NULL);
    pending->sequence = *sequence = ++state->submitted;
    pending->clear_first = batch->clear_first;
    writes_copy(pending, batch);
    if (batch->checkpoint != NULL) {
        pending->has = true;
        pending->checkpoint = *batch->checkpoint;
        CHECK(batch->blob_count <= EXECUTION_BLOBS_MAX + 1);
        for (uint32_t i = 0; i < batch->blob_count; i++) {
            const struct state_blob *from = &batch->blobs[i];
            struct sys_blob *to = &pending->blobs[pending->blob_count++];
            memcpy(to->name, from->name, sizeof to->name);
            to->count = from->byte_count;
            to->bytes = malloc(from->byte_count + 1);
            CHECK(to->bytes != NULL);
            if (from->byte_count > 0) memcpy(to->bytes, from->bytes, from->byte_count);
        }
        sys_check_checkpoint(state->world, state->node, batch->checkpoint);
    }
    *state->pending_end = pending;
    state->pending_end = &pending->next;
    begin(state);
    return STORE_OK;
}

/* Batches without a checkpoint are copied already. */
uint64_t state_completed(const struct state *state) {
    uint64_t completed = state->completed;
    for (const struct sys_pending *pending = state->pending; pending != NULL && !pending->has; pending = pending->next) completed = pending->sequence;
    return completed;
}

enum store_status state_error(const struct state *state, struct store_error *error) {
    (void)state;
    *error = (struct store_error){.status = STORE_OK};
    return STORE_OK;
}

enum store_status state_wait(struct state *state, uint64_t sequence) {
    while (state_completed(state) < sequence) commit(state);
    return STORE_OK;
}

struct state_reader {
    const struct state *state;
    uint32_t bucket;
    const struct sys_entry *next;
};

enum store_status state_reader_open(struct state *state, struct state_reader **reader) {
    if (!state->has) return STORE_ABSENT;
    *reader = calloc(1, sizeof **reader);
    CHECK(*reader != NULL);
    (*reader)->state = state;
    (*reader)->next = state->buckets[0];
    return STORE_OK;
}

void state_reader_close(struct state_reader *reader) {
    free(reader);
}

const struct state_checkpoint *state_reader_checkpoint(const struct state_reader *reader) {
    return &reader->state->checkpoint;
}

enum store_status state_read_entry(struct state_reader *reader, struct table_entry *entry, uint8_t path[STATE_PATH_BYTES]) {
    CHECK(path == NULL);
    while (reader->next == NULL) {
        if (++reader->bucket >= reader->state->bucket_count) return STORE_ABSENT;
        reader->next = reader->state->buckets[reader->bucket];
    }
    if (reader->next->damaged) return STORE_DAMAGED;
    *entry = reader->next->entry;
    reader->next = reader->next->next;
    return STORE_OK;
}

enum store_status state_read_blob(struct state_reader *reader, const char *name, void *bytes, size_t room, size_t *byte_count) {
    for (uint32_t i = 0; i < reader->state->blob_count; i++) {
        const struct sys_blob *blob = &reader->state->blobs[i];
        if (strncmp(blob->name, name, sizeof blob->name) != 0) continue;
        *byte_count = blob->count;
        if (blob->count > room) return STORE_TOO_LONG;
        if (blob->count > 0) memcpy(bytes, blob->bytes, blob->count);
        return STORE_OK;
    }
    return STORE_ABSENT;
}
