/* What becomes durable, in order, and the sends that wait for it (spec/durability.md P-1): everything put between two flushes is one batch. */
#include <stdlib.h>
#include <string.h>

#include "appliance/base/pool.h"
#include "appliance/replica/replica_private.h"

static void *grow(void *memory, uint32_t used, uint32_t *room, size_t each) {
    if (used < *room) return memory;
    *room = *room == 0 ? 16 : *room * 2;
    return pool_more(memory, used * each, *room * each);
}

static struct persist *persist_open(struct replica *r) {
    if (r->open != NULL) return r->open;
    r->open = pool_take(sizeof *r->open);
    memset(r->open, 0, sizeof *r->open);
    r->open->sequence = r->sequence_next++;
    return r->open;
}

static struct wal_record *record_add(struct replica *r, enum wal_operation operation, enum wal_db db, const uint8_t *key, size_t key_bytes) {
    struct persist *open = persist_open(r);
    uint32_t room = open->record_room;
    open->part_first = grow(open->part_first, open->record_count, &room, sizeof *open->part_first);
    open->records = grow(open->records, open->record_count, &open->record_room, sizeof *open->records);
    struct wal_record *record = &open->records[open->record_count];
    memset(record, 0, sizeof *record);
    record->operation = operation;
    record->db = db;
    memcpy(record->key, key, key_bytes);
    open->part_first[open->record_count++] = open->part_count;
    return record;
}

static void part_add(struct persist *open, struct blob *held, const uint8_t *bytes, size_t count) {
    open->parts = grow(open->parts, open->part_count, &open->part_room, sizeof *open->parts);
    open->parts[open->part_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    open->held = grow(open->held, open->held_count, &open->held_room, sizeof *open->held);
    open->held[open->held_count++] = held;
}

void persist_put_prepared(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes, const struct blob_piece *pieces, unsigned count,
                          uint64_t ticket) {
    struct wal_record *record = record_add(r, WAL_PUT, db, key, key_bytes);
    record->part_count = count;
    record->ticket = ticket;
    for (unsigned i = 0; i < count; i++) part_add(r->open, blob_hold(pieces[i].blob), blob_piece_bytes(&pieces[i]), pieces[i].count);
}

void persist_put(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes, const struct blob_piece *pieces, unsigned count) {
    persist_put_prepared(r, db, key, key_bytes, pieces, count, 0);
}

void persist_put_blob(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes, struct blob *blob) {
    struct wal_record *record = record_add(r, WAL_PUT, db, key, key_bytes);
    record->part_count = 1;
    part_add(r->open, blob, blob->bytes, blob->count);
}

void persist_delete(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes) {
    (void)record_add(r, WAL_DELETE, db, key, key_bytes);
}

void persist_delete_range(struct replica *r, enum wal_db db, const uint8_t *key, const uint8_t *key_end, size_t key_bytes) {
    struct wal_record *record = record_add(r, WAL_DELETE_RANGE, db, key, key_bytes);
    memcpy(record->key_end, key_end, key_bytes);
}

uint64_t persist_sequence(const struct replica *r) {
    return r->open != NULL ? r->open->sequence : r->sequence_next;
}

static void put_memory(struct replica *r) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    size_t key_bytes = wal_key_vote(key, WAL_VOTE_CORE, 0, 0, 0);
    uint8_t bytes[BFT_MEMORY_BYTES_MAX];
    size_t count = bft_memory_encode(&r->core->memory, bytes);
    persist_put_blob(r, WAL_VOTES, key, key_bytes, blob_copy(bytes, count));
    r->memory_dirty = false;
}

static void flush(struct replica *r) {
    if (r->memory_dirty) put_memory(r);
    bool lazy_due = r->certificates_unsaved > 0 && r->now_ms - r->unsaved_since_ms >= CERTIFICATE_LAZY_MS;
    if (r->open == NULL && !lazy_due) return;
    block_certificates_save(r);
    last_persist(r);
    struct persist *batch = r->open;
    r->open = NULL;
    for (uint32_t i = 0; i < batch->part_count; i++) batch->bytes += batch->parts[i].iov_len;
    r->flying_count++;
    r->flying_bytes += batch->bytes;
    for (uint32_t i = 0; i < batch->record_count; i++) batch->records[i].parts = batch->parts != NULL ? batch->parts + batch->part_first[i] : NULL;
    if (r->flying_last != NULL)
        r->flying_last->next = batch;
    else
        r->flying_first = batch;
    r->flying_last = batch;
    struct replica_output *output = output_add(r, REPLICA_PERSIST);
    output->sequence = batch->sequence;
    batch->batch = (struct wal_batch){.records = batch->records, .record_count = batch->record_count};
    output->batch = &batch->batch;
}

void persist_flush(struct replica *r) {
    enum cost_component before = cost_enter(r->meter, COST_PERSIST);
    flush(r);
    cost_leave(r->meter, before, 0);
}

static void persist_free(struct persist *batch) {
    for (uint32_t i = 0; i < batch->held_count; i++) blob_drop(batch->held[i]);
    pool_give(batch->records);
    pool_give(batch->parts);
    pool_give(batch->part_first);
    pool_give(batch->held);
    pool_give(batch);
}

void persist_free_all(struct replica *r) {
    if (r->open != NULL) persist_free(r->open);
    while (r->flying_first != NULL) {
        struct persist *next = r->flying_first->next;
        persist_free(r->flying_first);
        r->flying_first = next;
    }
    while (r->held_count > 0) {
        struct held_send *held = &r->held[r->held_first];
        for (unsigned i = 0; i < held->piece_count; i++) blob_drop(held->pieces[i].blob);
        pool_give(held->own);
        r->held_first = (r->held_first + 1) % r->held_room;
        r->held_count--;
    }
    free(r->held);
}

void replica_durable(struct replica *r, uint64_t sequence) {
    CHECK(sequence < r->sequence_next);
    if (sequence <= r->durable) return;
    r->durable = sequence;
    while (r->flying_first != NULL && r->flying_first->sequence <= sequence) {
        struct persist *done = r->flying_first;
        r->flying_first = done->next;
        if (r->flying_first == NULL) r->flying_last = NULL;
        r->flying_count--;
        r->flying_bytes -= done->bytes;
        persist_free(done);
    }
    held_send_release(r);
    block_publish(r);
}

bool persist_behind(struct replica *r) {
    /* Half of it must be done before more comes, or every message is a coin toss; blocks that are kept go by other rules. */
    uint32_t share = r->behind ? 2 : 1;
    bool behind = r->flying_count >= FLYING_BATCHES_MAX / share || r->flying_bytes >= FLYING_BYTES_MAX / share ||
                  r->held_count >= HELD_SENDS_MAX / share || r->unpublished > UNPUBLISHED_MAX / share ||
                  r->blocks_open + r->blocks_final >= BLOCKS_MAX - 1;
    if (behind == r->behind) return behind;
    r->behind = behind;
    if (behind) { /* what waits from now on waits for this disk: waiting_tick tells the core of it again afterwards */
        struct bft_event event = {.type = BFT_EVENT_WAITING, .waiting = {.view = bft_core_view(r->core)}};
        replica_event(r, &event);
        r->waiting_told = event.waiting;
    }
    replica_note(r, behind ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, behind ? "disk_behind" : "disk_caught_up",
                 "batches=%u bytes=%llu blocks=%u sends=%u height=%llu", r->flying_count, (unsigned long long)r->flying_bytes, r->unpublished,
                 r->held_count, (unsigned long long)r->tip_height);
    return behind;
}

static void held_grow(struct replica *r) {
    if (r->held_count < r->held_room) return;
    uint32_t room = r->held_room == 0 ? 64 : r->held_room * 2;
    struct held_send *grown = malloc(room * sizeof *grown);
    CHECK(grown != NULL);
    for (uint32_t i = 0; i < r->held_count; i++) grown[i] = r->held[(r->held_first + i) % r->held_room];
    free(r->held);
    r->held = grown;
    r->held_first = 0;
    r->held_room = room;
}

void held_send_add(struct replica *r, uint8_t to, uint16_t type, const struct blob_piece *pieces, unsigned count, struct bft_message *own) {
    held_grow(r);
    struct held_send *held = &r->held[(r->held_first + r->held_count++) % r->held_room];
    bool waits = r->memory_dirty || r->open != NULL;
    /* Whatever was given to the store before this moment must be durable first: the open batch, or the newest one that flies. */
    held->sequence = waits ? persist_sequence(r) : r->sequence_next - 1;
    held->to = to;
    held->type = type;
    held->piece_count = count;
    held->own = own;
    for (unsigned i = 0; i < count; i++) {
        held->pieces[i] = pieces[i];
        (void)blob_hold(pieces[i].blob);
    }
}

void held_send_release(struct replica *r) {
    while (r->held_count > 0 && r->held[r->held_first].sequence <= r->durable) {
        struct held_send held = r->held[r->held_first];
        r->held_first = (r->held_first + 1) % r->held_room;
        r->held_count--;
        for (uint32_t member = 0; member < r->members.n; member++) {
            if (member != r->me && (held.to == BFT_TO_ALL || held.to == member))
                output_send(r, peer_member(member), held.type, held.pieces, held.piece_count);
        }
        for (uint32_t i = 0; i < OBSERVERS_MAX && held.to == BFT_TO_ALL; i++) { /* B-76 */
            if (r->observers[i].up) output_send(r, peer_observer(i), held.type, held.pieces, held.piece_count);
        }
        for (unsigned i = 0; i < held.piece_count; i++) blob_drop(held.pieces[i].blob);
        if (held.own != NULL) {
            struct bft_event event = {.type = BFT_EVENT_MESSAGE, .from = r->me, .message = held.own};
            replica_event(r, &event);
            pool_give(held.own);
            if (r->event_count >= EVENTS_MAX / 2) replica_run(r);
        }
    }
}
