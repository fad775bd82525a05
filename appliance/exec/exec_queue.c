/* Pending items in groups, each of which becomes one slice; dispatch (D-18, D-19); the pending hash (D-7). */
#include "appliance/exec/exec_inside.h"

#include <string.h>

#include "merkle/sha256.h"

/* Segments: a slice of at most slice_bytes_max, and behind it an ANSWER item that may turn out too long for it. */
static size_t segment_need(const struct executor *ex) {
    return 3 * (size_t)ex->config.limits.slice_bytes_max + 65536;
}

/* Entries of one group: every READ or WRITE item has an operation. */
static size_t routing_need(const struct executor *ex) {
    return (size_t)ROUTING_BYTES * ex->config.limits.slice_ops_max;
}

/* A new, empty group at the end of the queue. */
static bool group_begin(struct executor *ex, uint32_t pair) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    struct exec_log *log = &ex->slices[pair];
    CHECK(log->next == queue->log_next);
    if (!exec_log_open(log, segment_need(ex))) {
        exec_fail(ex, EXEC_NO_ROOM);
        return false;
    }
    if (!ex->shard && !exec_log_open(&ex->routings[pair], routing_need(ex))) {
        exec_log_truncate(log, log->next - 1);
        exec_fail(ex, EXEC_NO_ROOM);
        return false;
    }
    exec_log_segment(log, queue->log_next)->bytes = SLICE_HEAD_BYTES;
    queue->log_next++;
    return true;
}

static bool group_fits(const struct executor *ex, const struct exec_segment *segment, uint64_t bytes, uint64_t ops) {
    return exec_turn_fits(&ex->config.limits, segment->items, segment->bytes, segment->ops, bytes, ops);
}

/* D-19: the item just placed at the end of the newest group. */
static void item_count(struct executor *ex, uint32_t pair, uint32_t bytes, uint32_t ops) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    struct exec_segment *segment = exec_log_segment(&ex->slices[pair], queue->log_next - 1);
    segment->bytes += bytes;
    segment->items++;
    segment->ops += ops;
    exec_turn_enter(&queue->turn, ex->time, ex->height, bytes, ops);
}

uint8_t *exec_queue_space(struct executor *ex, uint32_t pair, uint32_t item_bytes, uint32_t ops) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    struct exec_log *log = &ex->slices[pair];
    if (ex->fault != EXEC_VALID) return NULL;
    CHECK((uint64_t)item_bytes + SLICE_HEAD_BYTES <= ex->config.limits.slice_bytes_max);
    bool fits = exec_group_open(queue) && group_fits(ex, exec_log_segment(log, queue->log_next - 1), item_bytes, ops);
    if (!fits && !group_begin(ex, pair)) return NULL;
    uint8_t *at = exec_log_bytes(log, queue->log_next - 1) + exec_log_segment(log, queue->log_next - 1)->bytes;
    item_count(ex, pair, item_bytes, ops);
    return at;
}

void exec_queue_route(struct executor *ex, uint32_t pair, const struct routing *routing) {
    struct exec_log *log = &ex->routings[pair];
    struct exec_segment *segment = exec_log_segment(log, log->next - 1);
    CHECK(segment->bytes + ROUTING_BYTES <= routing_need(ex));
    routing_encode(routing, exec_log_bytes(log, log->next - 1) + segment->bytes);
    segment->bytes += ROUTING_BYTES;
    segment->items++;
}

/* ANSWER items (O-24): written at the end of the log, placed into a group when their length is known (exec_answer_end(), below). */

/* Longest item with its head: what a slice may hold, less 64 KiB. */
uint32_t exec_answer_bytes_max(const struct executor *ex) {
    return ex->config.limits.slice_bytes_max - 65536;
}

void exec_answer_begin(struct executor *ex, struct exec_answer *answer) {
    const struct exec_queue *queue = &ex->queues[answer->pair];
    struct exec_log *log = &ex->slices[answer->pair];
    answer->item = NULL;
    answer->bytes = SLICE_ITEM_HEAD_BYTES + SLICE_ANSWER_HEAD_BYTES;
    answer->parts = 0;
    answer->ops = 0;
    ex->scratch.values.count = 0;
    if (ex->fault != EXEC_VALID || (!exec_group_open(queue) && !group_begin(ex, answer->pair))) return;
    answer->item = exec_log_bytes(log, queue->log_next - 1) + exec_log_segment(log, queue->log_next - 1)->bytes;
}

uint8_t *exec_answer_part(struct executor *ex, struct exec_answer *answer) {
    answer->values = ex->scratch.values.count;
    return ex->fault == EXEC_VALID && answer->item ? answer->item + answer->bytes : NULL;
}

/* The part that has the last `count` of the noted values begins a new item, `back` bytes nearer to its first byte. */
static void values_move(struct slice_longs *values, uint32_t first, uint32_t count, uint32_t back) {
    for (uint32_t i = 0; i < count; i++) {
        values->list[i] = values->list[first + i];
        values->list[i].at -= back;
    }
    values->count = count;
}

void exec_answer_part_done(struct executor *ex, struct exec_answer *answer, const struct slice_part *part) {
    if (ex->fault != EXEC_VALID) return;
    uint32_t part_bytes = SLICE_PART_HEAD_BYTES + part->results_bytes;
    uint8_t *at = answer->item + answer->bytes;
    slice_part_head_encode(at, part);
    if (answer->parts > 0 && answer->bytes + part_bytes > exec_answer_bytes_max(ex)) {
        memcpy(ex->scratch.part_bytes, at, part_bytes);
        uint32_t old_at = answer->bytes, part_values = ex->scratch.values.count - answer->values;
        ex->scratch.values.count = answer->values;
        exec_answer_end(ex, answer);
        exec_answer_begin(ex, answer);
        if (!answer->item) return;
        memcpy(answer->item + answer->bytes, ex->scratch.part_bytes, part_bytes);
        values_move(&ex->scratch.values, answer->values, part_values, old_at - answer->bytes);
    }
    answer->bytes += part_bytes;
    answer->parts++;
    answer->ops += part->op_count;
}

/* Hashes of groups, hashing only what came since the last time. */

static void hash_restart(struct exec_queue *queue, uint64_t segment) {
    queue->hash_segment = segment;
    queue->hash_bytes = SLICE_HEAD_BYTES;
    queue->hash_routing_bytes = 0;
    slice_items_hash_init(&queue->hash_items);
    sha256_init_prefixed(&queue->hash_routing_state, HASH_ROUTING);
}

/* Items enter a group whole. */
static void hash_extend_items(struct executor *ex, uint32_t pair, uint64_t number, const struct slice_longs *values) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    const struct exec_segment *segment = exec_log_segment(&ex->slices[pair], number);
    const uint8_t *bytes = exec_log_bytes(&ex->slices[pair], number);
    ex->counts.values_known +=
        slice_items_hash_add_known(&queue->hash_items, bytes + queue->hash_bytes, segment->bytes - queue->hash_bytes, values);
    queue->hash_bytes = segment->bytes;
}

static void hash_extend(struct executor *ex, uint32_t pair, uint64_t number) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    hash_extend_items(ex, pair, number, NULL);
    if (ex->shard) return;
    const struct exec_segment *routing = exec_log_segment(&ex->routings[pair], number);
    sha256_update(&queue->hash_routing_state, exec_log_bytes(&ex->routings[pair], number) + queue->hash_routing_bytes,
                  routing->bytes - queue->hash_routing_bytes);
    queue->hash_routing_bytes = routing->bytes;
}

static void hash_final(const struct exec_queue *queue, uint8_t items[32], uint8_t routing[32]) {
    struct sha256_state state = queue->hash_routing_state;
    slice_items_hash_final(&queue->hash_items, items);
    sha256_final(&state, routing);
}

/* All groups before the newest are hashed whole. */
static void hash_reach_newest(struct executor *ex, uint32_t pair) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    if (queue->hash_segment <= queue->turn.sent_dseq) hash_restart(queue, queue->turn.sent_dseq + 1);
    for (; queue->hash_segment < queue->log_next - 1; hash_restart(queue, queue->hash_segment + 1)) {
        struct exec_segment *segment = exec_log_segment(&ex->slices[pair], queue->hash_segment);
        hash_extend(ex, pair, queue->hash_segment);
        hash_final(queue, segment->items_hash, segment->routing_hash);
    }
}

/* items_hash of the group that is cut now: what is hashed of it already, and the rest. */
static void group_items_hash(struct executor *ex, uint32_t pair, uint64_t dseq, uint8_t items_hash[32]) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    if (queue->hash_segment > dseq) {
        memcpy(items_hash, exec_log_segment(&ex->slices[pair], dseq)->items_hash, 32);
        return;
    }
    if (queue->hash_segment < dseq) hash_restart(queue, dseq);
    hash_extend_items(ex, pair, dseq, NULL);
    slice_items_hash_final(&queue->hash_items, items_hash);
}

/* The newest item, at `item_at` of its group, has long values whose hashes are known now: it is hashed while they are. */
static void hash_with_values(struct executor *ex, uint32_t pair, uint32_t item_at) {
    const struct exec_queue *queue = &ex->queues[pair];
    struct slice_longs *values = &ex->scratch.values;
    if (values->count == 0) return;
    for (uint32_t i = 0; i < values->count; i++) values->list[i].at += item_at;
    hash_reach_newest(ex, pair);
    hash_extend_items(ex, pair, queue->log_next - 1, values);
    values->count = 0;
}

void exec_answer_end(struct executor *ex, struct exec_answer *answer) {
    if (ex->fault != EXEC_VALID || answer->parts == 0) return;
    struct exec_log *log = &ex->slices[answer->pair];
    slice_item_head_encode(answer->item, answer->bytes - SLICE_ITEM_HEAD_BYTES, SLICE_ANSWER);
    slice_answer_head_encode(answer->item + SLICE_ITEM_HEAD_BYTES, answer->request_dseq, answer->parts);
    const uint8_t *item = answer->item;
    if (!group_fits(ex, exec_log_segment(log, log->next - 1), answer->bytes, answer->ops)) {
        if (!group_begin(ex, answer->pair)) return;
        memmove(exec_log_bytes(log, log->next - 1) + SLICE_HEAD_BYTES, item, answer->bytes);
    }
    uint32_t item_at = exec_log_segment(log, log->next - 1)->bytes;
    item_count(ex, answer->pair, answer->bytes, answer->ops);
    hash_with_values(ex, answer->pair, item_at);
    answer->item = NULL;
}

/* Dispatch. */

void exec_queue_due(const struct executor *ex, struct exec_due *due) {
    due->now = false;
    due->time = UINT64_MAX;
    for (uint32_t i = exec_pair_next(ex, ex->busy, 0); i < ex->pairs; i = exec_pair_next(ex, ex->busy, i + 1)) {
        const struct exec_turn *turn = &ex->queues[i].turn;
        if (exec_turn_now(turn, &ex->config.limits, ex->now.height + 1)) due->now = true;
        uint64_t time = exec_turn_due_ms(turn, &ex->config.timeouts);
        if (time < due->time) due->time = time;
    }
}

/* The 'u' record of the slice just cut (D-8). */
static void unfinished_begin(struct executor *ex, uint32_t pair, uint64_t dseq) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    struct exec_log *log = &ex->routings[pair];
    const struct exec_segment *segment = exec_log_segment(log, dseq);
    if (segment->bytes == 0) return;
    uint8_t key[EXEC_SYSTEM_KEY_MAX], hash[32];
    size_t key_bytes = exec_key_cluster('u', queue->cluster, key);
    bytes_put_le64(key + key_bytes, dseq);
    routing_hash(exec_log_bytes(log, dseq), segment->bytes, hash);
    exec_state_put(ex, key, key_bytes + 8, hash, sizeof hash);
    if (queue->turn.unfinished_count++ == 0) {
        queue->unfinished_first = dseq;
        queue->unfinished_at = 0;
    }
}

static void dispatch_leaf(struct executor *ex, uint32_t pair, uint64_t dseq, struct exec_output *output) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    const struct exec_segment *segment = exec_log_segment(&ex->slices[pair], dseq);
    uint8_t *slice = exec_log_bytes(&ex->slices[pair], dseq);
    slice_head_encode(slice, segment->items, queue->consumed_dseq);
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = ex->cluster, .destination = queue->cluster, .height = ex->height, .dseq = dseq,
                        .slice_bytes = segment->bytes};
    memcpy(leaf.system_id, ex->system->system_id, sizeof leaf.system_id);
    memcpy(leaf.previous, queue->sent_leaf, sizeof leaf.previous);
    uint8_t items_hash[32];
    group_items_hash(ex, pair, dseq, items_hash);
    slice_hash_of_items(slice, items_hash, leaf.slice_hash);
    *output = (struct exec_output){.kind = LEAF_KIND_CLUSTER, .destination = queue->cluster, .dseq = dseq, .item_count = segment->items,
        .slice = slice,
                                   .slice_bytes = segment->bytes};
    leaf_encode(&leaf, output->leaf);
    leaf_hash(output->leaf, queue->sent_leaf);
    ex->counts.slice_bytes_out += segment->bytes;
}

static bool dispatch_pair(struct executor *ex, uint32_t pair, struct exec_output *output) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    uint64_t dseq = queue->turn.sent_dseq + 1;
    if (queue->turn.pending_items == 0 && !group_begin(ex, pair)) return false; /* an acknowledgement alone */
    const struct exec_segment *segment = exec_log_segment(&ex->slices[pair], dseq);
    dispatch_leaf(ex, pair, dseq, output);
    bool alone = exec_turn_cut(&queue->turn, segment->items, segment->ops, segment->bytes - SLICE_HEAD_BYTES, ex->height, ex->time);
    if (!alone && !ex->shard) unfinished_begin(ex, pair, dseq);
    return true;
}

/* What the block changed is busy; so is all, when limits change, since a CONFIG has an item for each pair. The hash of what waits in a pair changes
 * with it alone. */
void exec_queue_dispatch(struct executor *ex, uint32_t *output_count) {
    const uint64_t *changed = exec_changed(ex, ex->next);
    for (uint32_t i = exec_pair_next(ex, ex->busy, 0); i < ex->pairs && ex->fault == EXEC_VALID; i = exec_pair_next(ex, ex->busy, i + 1)) {
        const struct exec_turn *turn = &ex->queues[i].turn;
        bool ready = exec_turn_ready(turn, &ex->config.limits, &ex->config.timeouts, ex->height, ex->time);
        if (ready && dispatch_pair(ex, i, &ex->scratch.outputs[*output_count])) *output_count += 1;
        if (exec_pair_in(changed, i)) exec_queue_hash(ex, i);
        if (!exec_turn_busy(turn, &ex->config.limits)) ex->busy[i / 64] &= ~(UINT64_C(1) << i % 64);
    }
}

/* The pending hash (D-7). */
void exec_queue_hash(struct executor *ex, uint32_t pair) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    memset(queue->pending_hash, 0, sizeof queue->pending_hash);
    if (ex->fault != EXEC_VALID || queue->turn.pending_items == 0) return;
    hash_reach_newest(ex, pair);
    uint64_t newest = queue->log_next - 1;
    hash_extend(ex, pair, newest);
    struct sha256_state state;
    sha256_init_prefixed(&state, HASH_GROUPS);
    for (uint64_t number = queue->turn.sent_dseq + 1; number < newest; number++) {
        sha256_update(&state, exec_log_segment(&ex->slices[pair], number)->items_hash, 32);
        sha256_update(&state, exec_log_segment(&ex->slices[pair], number)->routing_hash, 32);
    }
    uint8_t items[32], routing[32];
    hash_final(queue, items, routing);
    sha256_update(&state, items, 32);
    sha256_update(&state, routing, 32);
    sha256_final(&state, queue->pending_hash);
}
