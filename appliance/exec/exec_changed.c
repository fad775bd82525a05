/*
 * Which pairs a block changed, what they were before it (undo), and which pairs have something to cut. A system may have hundreds of pairs, and most
 * of them have no traffic in a block: the executor goes through all of them only for what has an item for each: CONFIG, SEAL, REVOKE.
 *
 * That undo of the queues is whole follows from the type: ex->queues is const, and exec_queue_change() alone gives one to be written to. Whoever
 * writes to a pair's logs changes its queue before, whose copy says how long they were.
 */
#include "appliance/exec/exec_inside.h"

#include <string.h>

uint32_t exec_pair_next(const struct executor *ex, const uint64_t *set, uint32_t from) {
    for (uint32_t word = from / 64; word < ex->set_words; word++) {
        uint64_t left = set[word];
        if (word == from / 64) left &= UINT64_MAX << from % 64;
        if (left != 0) return word * 64 + (uint32_t)__builtin_ctzll(left);
    }
    return ex->pairs;
}

void exec_changed_begin(struct executor *ex) {
    memset(exec_changed(ex, ex->next), 0, ex->set_words * sizeof *ex->changed);
    ex->in_block = true;
}

/* The pair as it is now, its tail included. */
static void queue_copy(const struct executor *ex, uint32_t pair, struct exec_queue *copy) {
    *copy = ex->queues[pair];
    if (!exec_group_open(copy)) return;
    copy->tail = *exec_log_segment(&ex->slices[pair], copy->log_next - 1);
    copy->routing_tail_bytes = ex->shard ? 0 : exec_log_segment(&ex->routings[pair], copy->log_next - 1)->bytes;
}

void exec_queue_keep(struct executor *ex, uint32_t pair) {
    exec_changed(ex, ex->next)[pair / 64] |= UINT64_C(1) << pair % 64;
    queue_copy(ex, pair, &exec_snapshot(ex, ex->next)[pair]);
}

/* The first open block that changed it knows what it was. */
void exec_queue_final(const struct executor *ex, uint32_t pair, struct exec_queue *view) {
    for (uint64_t ordinal = ex->open; ordinal < ex->next; ordinal++) {
        if (!exec_pair_in(exec_changed(ex, ordinal), pair)) continue;
        *view = exec_snapshot(ex, ordinal)[pair];
        return;
    }
    queue_copy(ex, pair, view);
}

/* Back to the copy made before a block. The logs' bytes below the copy's ends were never written over. */
static void queue_restore(struct executor *ex, uint32_t pair, const struct exec_queue *before) {
    *exec_queue_change(ex, pair) = *before;
    exec_log_truncate(&ex->slices[pair], before->log_next);
    if (!ex->shard) exec_log_truncate(&ex->routings[pair], before->log_next);
    if (!exec_group_open(before)) return;
    struct exec_segment *segment = exec_log_segment(&ex->slices[pair], before->log_next - 1);
    segment->bytes = before->tail.bytes;
    segment->items = before->tail.items;
    segment->ops = before->tail.ops;
    if (ex->shard) return;
    segment = exec_log_segment(&ex->routings[pair], before->log_next - 1);
    segment->bytes = before->routing_tail_bytes;
    segment->items = before->routing_tail_bytes / ROUTING_BYTES;
}

void exec_changed_undo(struct executor *ex, uint64_t ordinal) {
    const uint64_t *changed = exec_changed(ex, ordinal);
    ex->in_block = false;
    for (uint32_t i = exec_pair_next(ex, changed, 0); i < ex->pairs; i = exec_pair_next(ex, changed, i + 1))
        queue_restore(ex, i, &exec_snapshot(ex, ordinal)[i]);
}

uint32_t executor_pair_changed(const struct executor *ex, uint32_t from) {
    return ex->next > ex->open ? exec_pair_next(ex, exec_changed(ex, ex->open), from) : ex->pairs;
}
