/*
 * The checkpoint store of a simulated machine, in the place of store/state.c, and of what store/store.c does with a checkpoint that is on its way
 * from peers: the contracts of state.h and store.h without a file. Writes become visible together with the checkpoint that ends them, or never.
 * Entries and blobs are never changed, only replaced, and counted, so that a cut is a list of pointers.
 */
#include "merkle/trie.h"
#include "tests/sim/sys.h"

enum { BUCKETS = 4096 };

struct sys_entry {
    uint32_t holders;
    bool damaged, has_path;
    uint8_t path[STATE_PATH_BYTES];
    uint64_t hash;
    struct table_entry entry; /* key and value lie behind this struct */
};

struct sys_place { /* of an entry in its bucket */
    struct sys_place *next;
    struct sys_entry *entry;
};

struct sys_blobs {
    uint32_t holders, count;
    struct {
        char name[STATE_BLOB_NAME_BYTES];
        uint8_t *bytes;
        size_t count;
    } blobs[STATE_BLOBS_MAX];
};

/* A batch that was submitted: copied, so that its memory counts as given back at once. */
struct sys_pending {
    struct sys_pending *next;
    uint64_t sequence;
    struct state_write *writes; /* keys and values lie behind the array */
    uint32_t write_count;
    bool clear_first, has;
    struct state_checkpoint checkpoint;
    struct sys_blobs *blobs;
};

/* A cut. */
struct state_reader {
    struct sys_entry **entries;
    uint64_t count, at;
    bool has, sorted;
    struct state_checkpoint checkpoint;
    struct sys_blobs *blobs;
    const struct state *of;
    uint64_t commits; /* of it, when this was cut */
};

/* ---- entries and blobs ---- */

static struct sys_blobs *blobs_hold(struct sys_blobs *blobs) {
    if (blobs != NULL) blobs->holders++;
    return blobs;
}

static void blobs_drop(struct sys_blobs *blobs) {
    if (blobs == NULL || --blobs->holders > 0) return;
    for (uint32_t i = 0; i < blobs->count; i++) free(blobs->blobs[i].bytes);
    free(blobs);
}

static void entry_drop(struct sys_entry *entry) {
    if (--entry->holders == 0) free(entry);
}

static void entries_clear(struct state *state) {
    for (uint32_t i = 0; i < state->bucket_count; i++) {
        while (state->buckets[i] != NULL) {
            struct sys_place *place = state->buckets[i];
            state->buckets[i] = place->next;
            entry_drop(place->entry);
            free(place);
        }
    }
    state->entries = 0;
}

static struct sys_place **place_of(struct state *state, uint64_t hash, uint8_t space, const uint8_t *key, uint16_t key_bytes) {
    struct sys_place **at = &state->buckets[hash & (state->bucket_count - 1)];
    while (*at != NULL && ((*at)->entry->hash != hash || (*at)->entry->entry.space != space || (*at)->entry->entry.key_bytes != key_bytes ||
                           memcmp((*at)->entry->entry.key, key, key_bytes) != 0))
        at = &(*at)->next;
    return at;
}

static void entry_put(struct state *state, struct sys_entry *entry) {
    struct sys_place **at = &state->buckets[entry->hash & (state->bucket_count - 1)], *place = malloc(sizeof *place);
    CHECK(place != NULL);
    *place = (struct sys_place){.next = *at, .entry = entry};
    *at = place;
    entry->holders++;
    state->entries++;
}

static void write_apply(struct state *state, const struct state_write *write) {
    uint64_t hash = keyed_siphash(23, write->space, write->key, write->key_bytes);
    struct sys_place **at = place_of(state, hash, write->space, write->key, write->key_bytes), *old = *at;
    if (old != NULL) {
        *at = old->next;
        entry_drop(old->entry);
        free(old);
        state->entries--;
    }
    if (write->deleted) return;
    struct sys_entry *entry = malloc(sizeof *entry + write->key_bytes + write->value_bytes);
    CHECK(entry != NULL);
    uint8_t *key = (uint8_t *)(entry + 1), *value = key + write->key_bytes;
    memcpy(key, write->key, write->key_bytes);
    if (write->value_bytes > 0) memcpy(value, write->value, write->value_bytes);
    *entry = (struct sys_entry){.hash = hash};
    entry->entry.space = write->space;
    entry->entry.key = key;
    entry->entry.key_bytes = write->key_bytes;
    entry->entry.value = value;
    entry->entry.value_bytes = write->value_bytes;
    entry->entry.version = write->version;
    entry_put(state, entry);
}

static void pending_drop(struct state *state) {
    struct sys_pending *pending = state->pending;
    state->pending = pending->next;
    if (state->pending == NULL) state->pending_end = &state->pending;
    blobs_drop(pending->blobs);
    free(pending->writes);
    free(pending);
}

/* ---- cuts ---- */

static struct state_reader *cut_make(const struct state *state) {
    struct state_reader *cut = calloc(1, sizeof *cut);
    CHECK(cut != NULL);
    cut->entries = malloc((state->entries + 1) * sizeof(struct sys_entry *));
    CHECK(cut->entries != NULL);
    for (uint32_t i = 0; i < state->bucket_count; i++) {
        for (const struct sys_place *place = state->buckets[i]; place != NULL; place = place->next) {
            cut->entries[cut->count++] = place->entry;
            place->entry->holders++;
        }
    }
    CHECK(cut->count == state->entries);
    cut->has = state->has;
    cut->of = state;
    cut->commits = state->commits;
    cut->checkpoint = state->checkpoint;
    cut->blobs = blobs_hold(state->blobs);
    return cut;
}

static void cut_free(struct state_reader *cut) {
    if (cut == NULL) return;
    for (uint64_t i = 0; i < cut->count; i++) entry_drop(cut->entries[i]);
    blobs_drop(cut->blobs);
    free(cut->entries);
    free(cut);
}

static void cut_restore(struct state *state, const struct state_reader *cut) {
    sys_state_clear(state);
    for (uint64_t i = 0; i < cut->count; i++) entry_put(state, cut->entries[i]);
    state->has = cut->has;
    state->checkpoint = cut->checkpoint;
    state->blobs = blobs_hold(cut->blobs);
}

static int entry_compare(const void *a, const void *b) {
    const struct sys_entry *const *left = a, *const *right = b;
    return memcmp((*left)->path, (*right)->path, STATE_PATH_BYTES);
}

/* By path, once somebody reads it. */
static void cut_sort(struct state_reader *cut) {
    if (cut->sorted) return;
    for (uint64_t i = 0; i < cut->count; i++) {
        struct sys_entry *entry = cut->entries[i];
        if (!entry->has_path) trie_path((enum trie_space)entry->entry.space, entry->entry.key, entry->entry.key_bytes, entry->path);
        entry->has_path = true;
    }
    qsort(cut->entries, cut->count, sizeof *cut->entries, entry_compare);
    cut->sorted = true;
}

/* ---- life ---- */

void sys_state_init(struct sys_world *world, uint32_t node, struct state *state) {
    *state = (struct state){.world = world, .node = (uint8_t)node, .bucket_count = BUCKETS, .latency_us = 2000};
    state->buckets = calloc(BUCKETS, sizeof(struct sys_place *));
    state->pending_end = &state->pending;
    CHECK(state->buckets != NULL);
}

void sys_state_clear(struct state *state) {
    while (state->pending != NULL) pending_drop(state);
    entries_clear(state);
    blobs_drop(state->blobs);
    state->blobs = NULL;
    state->has = state->busy = false;
    state->submitted = state->completed = 0;
}

void sys_state_free(struct state *state) {
    sys_state_clear(state);
    cut_free(state->before);
    free(state->buckets);
}

void sys_state_copy(struct state *to, const struct state *from) {
    struct state_reader *cut = cut_make(from);
    cut_restore(to, cut);
    cut_free(cut);
}

/* What comes from peers is on disk when the call returns, and the caller waits so long: a power cut meanwhile may find what was there before. */
static void before_keep(struct state *state) {
    if (!state->transfer) return;
    cut_free(state->before);
    state->before = cut_make(state);
    state->writing_until_us = state->world->now_us + state->latency_us;
}

/* The oldest batches up to the first checkpoint among them. */
static void commit(struct state *state) {
    bool done = false;
    before_keep(state);
    while (state->pending != NULL && !done) {
        struct sys_pending *pending = state->pending;
        if (pending->clear_first) entries_clear(state);
        for (uint32_t i = 0; i < pending->write_count; i++) write_apply(state, &pending->writes[i]);
        done = pending->has;
        state->completed = pending->sequence;
        if (done) {
            blobs_drop(state->blobs);
            state->blobs = blobs_hold(pending->blobs);
            state->checkpoint = pending->checkpoint;
            CHECK(pending->checkpoint.entries == 0 || pending->checkpoint.entries == state->entries);
            state->checkpoint.entries = state->entries;
            state->has = true;
            state->commits++;
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
    if (state->busy || state->transfer || !checkpoint_waits(state)) return;
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
    if (state->transfer) {
        if (state->before != NULL && state->writing_until_us > world->now_us && !reached) cut_restore(state, state->before);
        cut_free(state->before);
        state->before = NULL;
        state->writing_until_us = 0;
        return;
    }
    if (reached && checkpoint_waits(state)) commit(state);
    while (state->pending != NULL) pending_drop(state);
    state->busy = false;
    state->submitted = state->completed = 0;
}

bool sys_state_damage(struct sys_world *world, struct state *state) {
    uint32_t from = (uint32_t)sys_random(world, state->bucket_count);
    for (uint32_t i = 0; i < state->bucket_count && state->has; i++) {
        const struct sys_place *place = state->buckets[(from + i) % state->bucket_count];
        if (place == NULL) continue;
        place->entry->damaged = true;
        return true;
    }
    return false;
}

bool sys_state_flip(struct state *state) {
    for (uint32_t i = 0; i < state->bucket_count && state->has; i++) {
        for (const struct sys_place *place = state->buckets[i]; place != NULL; place = place->next) {
            const struct table_entry *entry = &place->entry->entry;
            if (entry->space != 0 || entry->value_bytes == 0) continue;
            ((uint8_t *)(uintptr_t)entry->value)[0] ^= 1;
            return true;
        }
    }
    return false;
}

/* ---- state.h ---- */

enum store_status state_open(const struct state_config *config, struct state **state, struct store_error *error) {
    const struct store_directory *directory = config->directory;
    *error = (struct store_error){.status = STORE_OK};
    if (config->transfer && !directory->has_taken) return STORE_MISSING;
    *state = config->transfer ? directory->taken : directory->own;
    return STORE_OK;
}

enum store_status state_close(struct state *state) {
    while (checkpoint_waits(state)) commit(state);
    while (state->pending != NULL) pending_drop(state);
    state->busy = false;
    return STORE_OK;
}

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

static struct sys_blobs *blobs_copy(const struct state_batch *batch) {
    struct sys_blobs *blobs = calloc(1, sizeof *blobs);
    CHECK(blobs != NULL && batch->blob_count <= STATE_BLOBS_MAX);
    blobs->holders = 1;
    for (; blobs->count < batch->blob_count; blobs->count++) {
        const struct state_blob *from = &batch->blobs[blobs->count];
        memcpy(blobs->blobs[blobs->count].name, from->name, STATE_BLOB_NAME_BYTES);
        uint8_t *bytes = malloc(from->byte_count + 1);
        CHECK(bytes != NULL);
        if (from->byte_count > 0) memcpy(bytes, from->bytes, from->byte_count);
        blobs->blobs[blobs->count].bytes = bytes;
        blobs->blobs[blobs->count].count = from->byte_count;
    }
    return blobs;
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
        pending->blobs = blobs_copy(batch);
        if (!state->transfer) sys_check_checkpoint(state->world, state->node, batch->checkpoint); /* else it is not whole yet */
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

enum store_status state_reader_open(struct state *state, struct state_reader **reader) {
    if (!state->has) return STORE_ABSENT;
    *reader = cut_make(state);
    return STORE_OK;
}

void state_reader_close(struct state_reader *reader) {
    cut_free(reader);
}

const struct state_checkpoint *state_reader_checkpoint(const struct state_reader *reader) {
    return &reader->checkpoint;
}

/* As if states were large, and each checkpoint wrote all of it at every other node, a fourth of it at the others. */
enum store_status state_reader_cost(const struct state_reader *reader, uint64_t *kept_bytes, uint64_t *own_bytes) {
    *own_bytes = UINT64_C(1) << 30;
    *kept_bytes = (reader->of->commits - reader->commits) * (reader->of->node % 2 == 0 ? *own_bytes : *own_bytes / 4);
    return STORE_OK;
}

enum store_status state_read_entry(struct state_reader *reader, struct table_entry *entry, uint8_t path[STATE_PATH_BYTES]) {
    cut_sort(reader);
    if (reader->at == reader->count) return STORE_ABSENT;
    const struct sys_entry *next = reader->entries[reader->at];
    if (next->damaged) return STORE_DAMAGED;
    reader->at++;
    *entry = next->entry;
    if (path != NULL) memcpy(path, next->path, STATE_PATH_BYTES);
    return STORE_OK;
}

void state_read_seek(struct state_reader *reader, const uint8_t path[STATE_PATH_BYTES]) {
    cut_sort(reader);
    uint64_t low = 0, high = reader->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (memcmp(reader->entries[middle]->path, path, STATE_PATH_BYTES) < 0) low = middle + 1;
        else high = middle;
    }
    reader->at = low;
}

enum store_status state_read_blob(struct state_reader *reader, const char *name, void *bytes, size_t room, size_t *byte_count) {
    const struct sys_blobs *blobs = reader->blobs;
    for (uint32_t i = 0; blobs != NULL && i < blobs->count; i++) {
        if (strncmp(blobs->blobs[i].name, name, STATE_BLOB_NAME_BYTES) != 0) continue;
        *byte_count = blobs->blobs[i].count;
        if (*byte_count > room) return STORE_TOO_LONG;
        if (*byte_count > 0) memcpy(bytes, blobs->blobs[i].bytes, *byte_count);
        return STORE_OK;
    }
    return STORE_ABSENT;
}

/* ---- store.h: a checkpoint on its way ---- */

static struct store_directory *writable(const struct store_directory *directory) {
    return &directory->world->nodes[directory->node].directory;
}

bool store_transfer_exists(const struct store_directory *directory) {
    return directory->has_taken;
}

enum store_status store_transfer_remove(const struct store_directory *directory, struct store_error *error) {
    *error = (struct store_error){.status = STORE_OK};
    sys_state_clear(directory->taken);
    writable(directory)->has_taken = false;
    return STORE_OK;
}

enum store_status store_transfer_create(const struct store_directory *directory, const struct store_identity *identity, struct store_error *error) {
    (void)identity;
    enum store_status status = store_transfer_remove(directory, error);
    writable(directory)->has_taken = true;
    return status;
}

enum store_status store_transfer_promote(const struct store_directory *directory, struct store_error *error) {
    sys_state_copy(directory->own, directory->taken);
    sys_check_checkpoint(directory->world, directory->node, &directory->own->checkpoint);
    return store_transfer_remove(directory, error);
}
