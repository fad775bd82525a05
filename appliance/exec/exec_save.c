/*
 * The work blob of a checkpoint (D-26): pending items, their routing entries, routing lists of unfinished slices; and starting from a checkpoint.
 *
 *   offset size      name
 *   0      4         format, 1
 *   4      4         pair_count: pairs that have any of it, ascending
 *   then each pair:
 *   0      4         cluster
 *   4      4         list_count
 *   8      8         item_bytes
 *   16     8         entry_bytes, 76 for each pending READ or WRITE item at a coordinator, else 0
 *   24     -         pending items with their heads, oldest first
 *   -      -         routing entries of the pending items
 *   -      -         lists, ascending by dseq: dseq u64, list_bytes u32, zero u32, the list: what is unanswered of it
 */
#include "appliance/exec/exec_inside.h"

#include <string.h>

#include "merkle/sha256.h"

static void pending_write(const struct executor *ex, uint32_t pair, const struct exec_queue *view, bool routing, struct bytes_writer *writer) {
    for (uint64_t number = view->turn.sent_dseq + 1; number < view->log_next; number++) {
        const struct exec_log *log = routing ? &ex->routings[pair] : &ex->slices[pair];
        uint32_t bytes = exec_log_segment(log, number)->bytes, start = routing ? 0 : SLICE_HEAD_BYTES;
        if (number + 1 == view->log_next) bytes = routing ? view->routing_tail_bytes : view->tail.bytes;
        bytes_put_raw(writer, exec_log_bytes(log, number) + start, bytes - start);
    }
}

static void lists_write(const struct executor *ex, uint32_t pair, const struct exec_queue *view, struct bytes_writer *writer) {
    const struct exec_log *log = &ex->routings[pair];
    uint64_t number = view->unfinished_first;
    uint32_t at = view->unfinished_at;
    for (uint32_t left = view->turn.unfinished_count; left > 0; number++) {
        const struct exec_segment *segment = exec_log_segment(log, number);
        if (segment->bytes == 0) continue;
        bytes_put_u64(writer, number);
        bytes_put_u32(writer, segment->bytes - at);
        bytes_put_u32(writer, 0);
        bytes_put_raw(writer, exec_log_bytes(log, number) + at, segment->bytes - at);
        at = 0;
        left--;
    }
}

static void work_write(const struct executor *ex, struct bytes_writer *writer) {
    bytes_put_u32(writer, 1);
    uint8_t *count_at = bytes_put_space(writer, 4);
    uint32_t count = 0;
    for (uint32_t i = 0; i < ex->pairs; i++) {
        struct exec_queue view;
        exec_queue_final(ex, i, &view);
        if (view.turn.pending_items == 0 && view.turn.unfinished_count == 0) continue;
        count++;
        bytes_put_u32(writer, view.cluster);
        bytes_put_u32(writer, view.turn.unfinished_count);
        bytes_put_u64(writer, view.turn.pending_bytes);
        uint8_t *entries_at = bytes_put_space(writer, 8);
        pending_write(ex, i, &view, false, writer);
        size_t before = writer->used;
        if (!ex->shard) pending_write(ex, i, &view, true, writer);
        if (entries_at) bytes_put_le64(entries_at, writer->used - before);
        if (!ex->shard) lists_write(ex, i, &view, writer);
    }
    if (count_at) bytes_put_le32(count_at, count);
}

/* An upper bound of the blob's size. */
static size_t work_bytes_max(const struct executor *ex) {
    uint64_t bytes = 8;
    for (uint32_t i = 0; i < ex->pairs; i++) {
        struct exec_queue view;
        exec_queue_final(ex, i, &view);
        bytes += 24 + view.turn.pending_bytes + (uint64_t)16 * view.turn.unfinished_count;
        if (ex->shard) continue;
        uint64_t first = view.turn.unfinished_count > 0 ? view.unfinished_first : view.turn.sent_dseq + 1;
        for (uint64_t number = first; number < view.log_next; number++) bytes += exec_log_segment(&ex->routings[i], number)->bytes;
    }
    return bytes;
}

enum exec_status executor_save(struct executor *ex, uint8_t *work, size_t room, size_t *bytes, uint8_t state_root[32]) {
    if (ex->corrupt) return EXEC_CORRUPT;
    if (state_root) {
        if (ex->next > ex->open) memcpy(state_root, exec_entry_at(ex, ex->open)->root_before, 32);
        else executor_state_root(ex, state_root);
    }
    *bytes = work_bytes_max(ex);
    if (*bytes > room) return EXEC_BUFFER_FULL;
    struct bytes_writer writer = bytes_writer_of(work, room);
    work_write(ex, &writer);
    CHECK(!writer.failed && writer.used <= *bytes);
    *bytes = writer.used;
    return EXEC_VALID;
}

/* Loading. Everything is checked: the blob may come from a peer, and only its hashes in the certified state vouch for it. */

void exec_logs_reset(struct executor *ex) {
    for (uint32_t i = 0; i < ex->pairs; i++) {
        exec_log_reset(&ex->slices[i], ex->queues[i].turn.sent_dseq + 1);
        if (!ex->shard) exec_log_reset(&ex->routings[i], ex->queues[i].turn.sent_dseq + 1);
        struct exec_queue *queue = exec_queue_change(ex, i);
        queue->log_next = queue->turn.sent_dseq + 1;
        queue->unfinished_first = queue->turn.sent_dseq + 1;
    }
    exec_log_reset(&ex->blocks, ex->next);
}

static bool entries_valid(const uint8_t *entries, size_t bytes) {
    if (bytes % ROUTING_BYTES != 0) return false;
    for (size_t at = 0; at < bytes; at += ROUTING_BYTES)
        if (entries[at + 64] >= EXEC_MEMBERS_MAX || bytes_get_le16(entries + at + 66) != 0) return false;
    return true;
}

static bool lists_load(struct executor *ex, uint32_t pair, uint32_t list_count, struct bytes_cursor *cursor) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    struct exec_log *log = &ex->routings[pair];
    for (uint32_t i = 0; i < list_count; i++) {
        uint64_t dseq = bytes_get_u64(cursor);
        uint32_t bytes = bytes_get_u32(cursor), zero = bytes_get_u32(cursor);
        const uint8_t *list = bytes_get_raw(cursor, bytes);
        if (!list || bytes == 0 || zero != 0 || !entries_valid(list, bytes) || dseq == 0 || dseq > queue->turn.sent_dseq) return false;
        uint8_t key[EXEC_SYSTEM_KEY_MAX], hash[32];
        struct table_entry entry;
        size_t key_bytes = exec_key_cluster('u', queue->cluster, key);
        bytes_put_le64(key + key_bytes, dseq);
        routing_hash(list, bytes, hash);
        if (!exec_state_get(ex, key, key_bytes + 8, &entry) || entry.value_bytes != 32 || !sha256_equal(hash, entry.value)) return false;
        if (i == 0) {
            queue->unfinished_first = dseq;
            exec_log_reset(log, dseq);
        }
        if (dseq < log->next) return false;
        while (log->next <= dseq)
            if (!exec_log_open(log, bytes)) return false;
        memcpy(exec_log_bytes(log, dseq), list, bytes);
        exec_log_segment(log, dseq)->bytes = bytes;
        queue->turn.unfinished_count++;
        ex->load_lists--;
    }
    while (list_count > 0 && log->next <= queue->turn.sent_dseq)
        if (!exec_log_open(log, 0)) return false;
    return true;
}

static bool pending_load(struct executor *ex, uint32_t pair, const uint8_t *items, size_t item_bytes, const uint8_t *entries, size_t entry_bytes) {
    struct slice slice = {.item_count = UINT32_MAX, .items = items, .items_bytes = item_bytes};
    size_t at = 0, entry_at = 0;
    uint32_t index = 0;
    struct slice_item item;
    while (slice_item_next(&slice, &at, &index, &item)) {
        uint32_t ops, bytes = SLICE_ITEM_HEAD_BYTES + item.body_bytes;
        bool routed;
        if (!pending_item_ops(ex->shard, &item, &ops, &routed) || bytes > ex->config.limits.slice_bytes_max - SLICE_HEAD_BYTES) return false;
        uint8_t *to = exec_queue_space(ex, pair, bytes, ops);
        if (!to) return false;
        memcpy(to, item.whole, bytes);
        if (!routed) continue;
        if (entry_bytes - entry_at < ROUTING_BYTES) return false;
        struct routing routing;
        routing_decode(entries + entry_at, &routing);
        entry_at += ROUTING_BYTES;
        exec_queue_route(ex, pair, &routing);
    }
    return at == item_bytes && entry_at == entry_bytes;
}

/* The pair's part of the blob; at the end the queue must be what its record says. */
static bool pair_load(struct executor *ex, uint32_t pair, struct bytes_cursor *cursor) {
    struct exec_queue *queue = exec_queue_change(ex, pair), record = *queue;
    uint32_t list_count = bytes_get_u32(cursor);
    uint64_t item_bytes = bytes_get_u64(cursor), entry_bytes = bytes_get_u64(cursor);
    if (cursor->failed || item_bytes > cursor->left || entry_bytes > cursor->left) return false;
    const uint8_t *items = bytes_get_raw(cursor, item_bytes), *entries = bytes_get_raw(cursor, entry_bytes);
    if (cursor->failed || !entries_valid(entries, entry_bytes)) return false;
    if (ex->shard && (list_count > 0 || entry_bytes > 0)) return false;
    if (list_count > EXEC_UNFINISHED_MAX || !lists_load(ex, pair, list_count, cursor)) return false;
    queue->turn.pending_items = 0;
    queue->turn.pending_ops = 0;
    queue->turn.pending_bytes = 0;
    if (!pending_load(ex, pair, items, item_bytes, entries, entry_bytes)) return false;
    exec_queue_hash(ex, pair);
    queue->turn.oldest_time = record.turn.oldest_time;
    queue->turn.oldest_height = record.turn.oldest_height;
    return queue->turn.pending_items == record.turn.pending_items && queue->turn.pending_ops == record.turn.pending_ops &&
           queue->turn.pending_bytes == record.turn.pending_bytes && sha256_equal(queue->pending_hash, record.pending_hash);
}

static bool work_load(struct executor *ex, const uint8_t *work, size_t work_bytes) {
    struct bytes_cursor cursor = bytes_cursor_of(work, work_bytes);
    uint32_t format = bytes_get_u32(&cursor), count = bytes_get_u32(&cursor), previous = 0;
    if (cursor.failed || format != 1) return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cluster = bytes_get_u32(&cursor);
        int pair = exec_pair_find(ex, cluster);
        if (cursor.failed || pair < 0 || cluster <= previous || !pair_load(ex, (uint32_t)pair, &cursor)) return false;
        previous = cluster;
    }
    return bytes_finished(&cursor) && ex->load_lists == 0;
}

/* The 'c' and 'q' records of all pairs. A queue with pending items that the blob leaves out shows in its pending bytes. */
static bool queues_load(struct executor *ex) {
    for (uint32_t i = 0; i < ex->pairs; i++) {
        uint8_t key[EXEC_SYSTEM_KEY_MAX];
        struct table_entry consumed = {0}, sent = {0};
        bool has_consumed = exec_state_get(ex, key, exec_key_cluster('c', ex->queues[i].cluster, key), &consumed);
        bool has_sent = exec_state_get(ex, key, exec_key_cluster('q', ex->queues[i].cluster, key), &sent);
        size_t consumed_bytes = has_consumed ? consumed.value_bytes : 0, sent_bytes = has_sent ? sent.value_bytes : 0;
        if (!exec_queue_decode(exec_queue_change(ex, i), consumed.value, consumed_bytes, sent.value, sent_bytes)) return false;
    }
    return true;
}

static bool pending_complete(const struct executor *ex) {
    for (uint32_t i = 0; i < ex->pairs; i++) {
        uint64_t bytes = 0;
        const struct exec_queue *queue = &ex->queues[i];
        for (uint64_t number = queue->turn.sent_dseq + 1; number < queue->log_next; number++)
            bytes += exec_log_segment(&ex->slices[i], number)->bytes - SLICE_HEAD_BYTES;
        if (bytes != queue->turn.pending_bytes) return false;
    }
    return true;
}

enum exec_status executor_load_entry(struct executor *ex, const struct table_entry *entry) {
    if (!exec_state_load(ex, entry)) return EXEC_BAD_CHECKPOINT;
    if (entry->space == TRIE_SPACE_SYSTEM && entry->key[0] == 'u' && entry->key_bytes == 13) ex->load_lists++;
    return EXEC_VALID;
}

enum exec_status executor_load_end(struct executor *ex, const struct exec_position *position, const uint8_t state_root[32], const uint8_t *work,
                                   size_t work_bytes) {
    uint8_t root[32];
    trie_root(ex->trie, root);
    bool good = sha256_equal(root, state_root) && exec_admin_config_reload(ex) && queues_load(ex);
    if (good) {
        exec_logs_reset(ex);
        good = work_load(ex, work, work_bytes) && pending_complete(ex) && ex->fault == EXEC_VALID;
    }
    if (!good) {
        executor_load_begin(ex);
        return EXEC_BAD_CHECKPOINT;
    }
    ex->now = (struct exec_point){.height = position->height, .time = position->time};
    memcpy(ex->now.cursors_hash, position->cursors_hash, 32);
    ex->final = ex->now;
    return EXEC_VALID;
}
