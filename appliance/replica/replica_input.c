/* The pool of inputs: what is held, wanted, or done and kept; by hash, with a waiting list for each relay. */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"

enum { EVICT_TRIES = 64 };

static uint32_t bucket_of(const uint8_t hash[32]) {
    return bytes_get_le32(hash) & (INPUT_BUCKETS - 1);
}

uint32_t input_find(const struct replica *r, const uint8_t hash[32]) {
    uint32_t index = r->input_buckets[bucket_of(hash)];
    while (index != NONE && memcmp(r->inputs[index].hash, hash, 32) != 0) index = r->inputs[index].bucket_next;
    return index;
}

void list_append(struct replica *r, struct list *list, uint32_t index) {
    struct input *input = &r->inputs[index];
    input->list_prev = list->last;
    input->list_next = NONE;
    if (list->last != NONE)
        r->inputs[list->last].list_next = index;
    else
        list->first = index;
    list->last = index;
    list->count++;
}

void list_remove(struct replica *r, struct list *list, uint32_t index) {
    struct input *input = &r->inputs[index];
    if (input->list_prev != NONE)
        r->inputs[input->list_prev].list_next = input->list_next;
    else
        list->first = input->list_next;
    if (input->list_next != NONE)
        r->inputs[input->list_next].list_prev = input->list_prev;
    else
        list->last = input->list_prev;
    input->list_prev = input->list_next = NONE;
    list->count--;
}

/* What each relay may have waiting (input_take, batch_refusal), what each source may send ahead (D-23), what open blocks refer to beyond that, what
 * is kept of the decided, for members and for answers; and the fixed tables. */
void replica_budget(const struct replica *r, struct replica_budget *budget) {
    const struct system_limits *limits = &r->config.limits;
    uint64_t open = 2 * (uint64_t)limits->window_blocks;
    uint64_t clients = r->client_room * (sizeof *r->clients + ADMIN_OP_RIGHTS_BYTES_MAX) + EARLY_MAX * (uint64_t)EARLY_BYTES_MAX;
    uint64_t noted = r->longs.room * sizeof *r->longs.list; /* with a slice */
    budget->inputs_bytes = r->members.n * limits->relay_bytes_max + (uint64_t)r->pair_count * SOURCE_WINDOW * (limits->slice_bytes_max + noted) +
                           open * limits->block_input_bytes_max + DONE_BYTES_MAX + KEPT_BYTES_MAX;
    budget->tables_bytes = (uint64_t)INPUTS_MAX * sizeof *r->inputs + INPUT_BUCKETS * sizeof *r->input_buckets +
                           (uint64_t)BLOCKS_MAX * sizeof *r->blocks + clients + r->pair_count * sizeof *r->pairs +
                           sizeof *r + sizeof *r->core + sizeof *r->update + noted;
}

static bool input_in_waiting(const struct input *input) {
    return input->state == INPUT_HELD && input->kind != BODY_SLICE;
}

uint32_t relay_inputs_max(const struct replica *r) {
    return INPUTS_MAX / 2 / r->members.n;
}

/* The oldest of the done that no block has any more. */
static bool done_evict(struct replica *r) {
    uint32_t index = r->done.first;
    while (index != NONE && r->inputs[index].in_blocks > 0) index = r->inputs[index].list_next;
    if (index == NONE) return false;
    input_drop(r, index, r->inputs[index].decided_height);
    return true;
}

/* May it be forgotten? Nobody signed it, no block names it, no client of mine waits for it: whoever asked for it asks again elsewhere. */
static bool read_may_go(const struct input *input) {
    return !input->mine && !input->is_signed && !input->persisted && input->in_blocks == 0;
}

void reads_forget(struct replica *r, uint32_t relay, uint64_t age_ms) {
    for (uint32_t index = r->waiting[relay].first, next; index != NONE; index = next) {
        next = r->inputs[index].list_next;
        if (read_may_go(&r->inputs[index]) && r->now_ms - r->inputs[index].arrived_ms >= age_ms) input_free(r, index);
    }
}

/* The newest read of the relay with the most: the first of some. */
static void read_evict(struct replica *r) {
    uint32_t most = r->me;
    for (uint32_t relay = 0; relay < r->members.n; relay++) {
        if (relay != r->me && (most == r->me || r->waiting[relay].count > r->waiting[most].count)) most = relay;
    }
    uint32_t index = r->waiting[most].last;
    for (uint32_t tries = 0; tries < EVICT_TRIES && index != NONE; tries++) {
        if (read_may_go(&r->inputs[index])) {
            input_free(r, index);
            return;
        }
        index = r->inputs[index].list_prev;
    }
}

uint32_t input_make(struct replica *r, uint8_t kind, const uint8_t hash[32]) {
    bool full = r->input_free == NONE && r->inputs_used_max == INPUTS_MAX;
    if (full && !done_evict(r)) read_evict(r);
    uint32_t index = r->input_free;
    if (index != NONE) {
        r->input_free = r->inputs[index].bucket_next;
    } else if (r->inputs_used_max < INPUTS_MAX) {
        index = r->inputs_used_max++;
    } else {
        return NONE;
    }
    struct input *input = &r->inputs[index];
    memset(input, 0, sizeof *input);
    memcpy(input->hash, hash, 32);
    input->state = INPUT_WANTED;
    input->kind = kind;
    input->client = NONE;
    input->list_prev = input->list_next = NONE;
    input->arrived_ms = r->now_ms;
    input->asked_peer = BFT_NOBODY;
    uint32_t *bucket = &r->input_buckets[bucket_of(hash)];
    input->bucket_next = *bucket;
    *bucket = index;
    r->wanted_count++;
    return index;
}

void input_hold(struct replica *r, uint32_t index, struct blob_piece bytes) {
    struct input *input = &r->inputs[index];
    CHECK(input->state == INPUT_WANTED);
    input->state = INPUT_HELD;
    input->blob = blob_hold(bytes.blob);
    input->offset = bytes.offset;
    input->count = bytes.count;
    input->arrived_ms = r->now_ms;
    input->arrived_us = r->now_us;
    r->wanted_count--;
    r->inputs_held++;
    r->input_bytes += bytes.count;
    if (input->kind != BODY_SLICE) {
        r->named_bytes[input->relay] += input->named ? bytes.count : 0;
        r->named_count[input->relay] += input->named;
        r->relay_bytes[input->relay] += bytes.count;
        r->relay_weight[input->relay] += input->weight;
        list_append(r, &r->waiting[input->relay], index);
    }
}

static void named_no_more(struct replica *r, struct input *input) {
    if (!input->named) return;
    input->named = false;
    r->named_bytes[input->relay] -= input->count;
    r->named_count[input->relay]--;
}

bool relay_is_full(const struct replica *r, uint32_t relay, size_t more, uint32_t share) {
    uint64_t bytes = r->relay_bytes[relay] - r->named_bytes[relay], count = r->waiting[relay].count - r->named_count[relay];
    return bytes + more > r->config.limits.relay_bytes_max / share || count >= relay_inputs_max(r) / share;
}

void input_relay_change(struct replica *r, uint32_t index, uint8_t relay) {
    struct input *input = &r->inputs[index];
    CHECK(input_in_waiting(input));
    named_no_more(r, input);
    r->relay_bytes[input->relay] -= input->count;
    r->relay_weight[input->relay] -= input->weight;
    list_remove(r, &r->waiting[input->relay], index);
    input->relay = relay;
    r->relay_bytes[relay] += input->count;
    r->relay_weight[relay] += input->weight;
    list_append(r, &r->waiting[relay], index);
}

static void input_unhold(struct replica *r, uint32_t index) {
    struct input *input = &r->inputs[index];
    if (input->state == INPUT_WANTED) r->wanted_count--;
    if (input_in_waiting(input)) {
        named_no_more(r, input);
        r->relay_bytes[input->relay] -= input->count;
        r->relay_weight[input->relay] -= input->weight;
        list_remove(r, &r->waiting[input->relay], index);
    }
    if (input->state == INPUT_HELD) r->inputs_held--;
    if (input->waiting_turn == r->waiting_turn && r->waiting_left > 0) r->waiting_left--;
    input->waiting_turn = 0;
}

void input_done(struct replica *r, uint32_t index, uint64_t height) {
    struct input *input = &r->inputs[index];
    CHECK(input->state == INPUT_HELD);
    input_unhold(r, index);
    input->state = INPUT_DONE;
    input->decided_height = height;
    r->done_bytes += input->count;
    list_append(r, &r->done, index);
    /* The oldest bytes go; what they were stays known, so that a repetition is not decided again. */
    if (r->done_oldest == NONE) r->done_oldest = index;
    while (r->done_bytes > DONE_BYTES_MAX && r->done_oldest != NONE) {
        struct input *oldest = &r->inputs[r->done_oldest];
        if (!oldest->persisted || oldest->in_blocks > 0) break;
        blob_drop(oldest->blob);
        oldest->blob = NULL;
        r->done_bytes -= oldest->count;
        r->input_bytes -= oldest->count;
        r->done_oldest = oldest->list_next;
    }
}

void input_done_again(struct replica *r, uint32_t index, uint64_t height) {
    if (index == r->done_oldest) r->done_oldest = r->inputs[index].list_next;
    list_remove(r, &r->done, index);
    r->inputs[index].decided_height = height;
    list_append(r, &r->done, index);
    if (r->done_oldest == NONE && r->inputs[index].blob != NULL) r->done_oldest = index;
}

void input_orphan(struct replica *r, const uint8_t hash[32], uint64_t height) {
    if (r->orphan_count == r->orphan_room) {
        r->orphan_room = r->orphan_room == 0 ? 256 : r->orphan_room * 2;
        r->orphans = realloc(r->orphans, r->orphan_room * sizeof *r->orphans);
        CHECK(r->orphans != NULL);
    }
    struct orphan *orphan = &r->orphans[r->orphan_count++];
    memcpy(orphan->hash, hash, 32);
    orphan->height = height;
}

void input_free(struct replica *r, uint32_t index) {
    struct input *input = &r->inputs[index];
    if (input->kind == BODY_SLICE && input->ticket > 0) output_add(r, REPLICA_FORGET)->cookie = input->ticket;
    input_unhold(r, index);
    if (index == r->done_oldest) r->done_oldest = input->list_next;
    if (input->state == INPUT_DONE) list_remove(r, &r->done, index);
    if (input->blob != NULL) {
        r->input_bytes -= input->count;
        if (input->state == INPUT_DONE) r->done_bytes -= input->count;
        blob_drop(input->blob);
    }
    uint32_t *at = &r->input_buckets[bucket_of(input->hash)];
    while (*at != index) at = &r->inputs[*at].bucket_next;
    *at = input->bucket_next;
    input->state = INPUT_FREE;
    input->blob = NULL;
    input->bucket_next = r->input_free;
    r->input_free = index;
}

void input_drop(struct replica *r, uint32_t index, uint64_t height) {
    if (r->inputs[index].persisted) input_orphan(r, r->inputs[index].hash, height);
    input_free(r, index);
}
