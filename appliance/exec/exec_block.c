/* Executing, undoing, finalizing blocks (D-4, D-17). */
#include "appliance/exec/exec_inside.h"

#include <string.h>

#include "merkle/sha256.h"

enum { BYTES_A_UNIT = 256, STEPS_A_UNIT = 32 }; /* of changes that are told: about as long as an entry takes */

/* D-4.1 */
static enum exec_status slice_check(const struct executor *ex, const struct exec_ref *ref, uint32_t *pair) {
    int found = exec_pair_find(ex, ref->source);
    if (found < 0) return EXEC_BAD_SOURCE;
    if (!ref->leaf) return EXEC_BAD_INPUT;
    *pair = (uint32_t)found;
    const struct exec_queue *queue = &ex->queues[found];
    struct leaf leaf;
    uint8_t hash[32];
    leaf_hash(ref->leaf, hash);
    if (!sha256_equal(hash, ref->hash) || !leaf_decode(ref->leaf, &leaf) || leaf.kind != LEAF_KIND_CLUSTER) return EXEC_BAD_INPUT;
    if (leaf.dseq != ref->dseq || leaf.slice_bytes != ref->byte_count) return EXEC_BAD_INPUT;
    if (leaf.source != ref->source || leaf.destination != ex->cluster || memcmp(leaf.system_id, ex->system->system_id, sizeof leaf.system_id) != 0)
        return EXEC_BAD_SOURCE;
    if (ref->dseq != queue->consumed_dseq + 1) return EXEC_BAD_DSEQ;
    if (!sha256_equal(leaf.previous, queue->consumed_leaf)) return EXEC_BAD_PREVIOUS;
    return EXEC_VALID;
}

/* D-17.1 */
static enum exec_status slice_consume(struct executor *ex, const struct exec_ref *ref) {
    uint32_t pair;
    enum exec_status status = slice_check(ex, ref, &pair);
    if (status != EXEC_VALID) return status;
    struct exec_queue *queue = exec_queue_change(ex, pair);
    queue->consumed_dseq = ref->dseq;
    memcpy(queue->consumed_leaf, ref->hash, 32);
    ex->counts.slice_bytes_in += ref->byte_count;
    struct slice slice;
    if (!slice_decode(ref->bytes, ref->byte_count, &slice)) {
        ex->counts.garbage++;
        return EXEC_VALID;
    }
    size_t at = 0;
    uint32_t index = 0;
    struct slice_item item;
    exec_turn_consumed(&queue->turn, slice.ack, ref->byte_count, slice_item_next(&slice, &at, &index, &item));
    if (ex->shard) exec_shard_slice(ex, pair, ref->dseq, &slice);
    else exec_coordinator_slice(ex, pair, ref, &slice);
    return EXEC_VALID;
}

/* D-17, all references; result->bad_ref is the one at fault. */
static enum exec_status refs_execute(struct executor *ex, const struct exec_block *block, struct exec_result *result) {
    bool config = false;
    for (uint32_t i = 0; i < block->ref_count && ex->fault == EXEC_VALID; i++) {
        const struct exec_ref *ref = &block->refs[i];
        enum exec_status status = EXEC_BAD_KIND;
        result->bad_ref = i;
        if (config) return EXEC_BAD_ORDER;
        if (ref->byte_count > EXEC_INPUT_BYTES_MAX || (!ref->bytes && ref->kind != BODY_NOOP)) return EXEC_BAD_INPUT;
        if (ref->kind == BODY_SLICE) status = slice_consume(ex, ref);
        else if (ref->kind == BODY_BATCH) status = exec_coordinator_batch(ex, ref);
        else if (ref->kind == BODY_ADMIN) status = exec_admin_operation(ex, ref, &config);
        else if (ref->kind == BODY_NOOP) status = ref->relay < ex->config.members.count ? EXEC_VALID : EXEC_BAD_RELAY;
        if (status != EXEC_VALID) return status;
    }
    result->bad_ref = 0;
    return ex->fault;
}

/* D-1, D-4.5, header against the parent: before anything is touched. */
static enum exec_status block_check(const struct executor *ex, const struct exec_block *block, struct exec_result *result) {
    if (block->height != ex->now.height + 1) return EXEC_BAD_HEIGHT;
    if (block->time < ex->now.time) return EXEC_BAD_TIME;
    if (block->suffix) return block->ref_count == 0 && block->time == ex->now.time ? EXEC_VALID : EXEC_BAD_ORDER;
    if (block->ref_count > ex->config.limits.block_refs_max) return EXEC_TOO_MANY;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < block->ref_count; i++) {
        bytes += block->refs[i].byte_count;
        result->bad_ref = i;
        if (block->ref_count > 1 && bytes > ex->config.limits.block_input_bytes_max) return EXEC_TOO_LARGE;
    }
    result->bad_ref = 0;
    return EXEC_VALID;
}

static void block_begin(struct executor *ex, const struct exec_block *block) {
    exec_changed_begin(ex);
    table_block_begin(ex->table, block->height);
    ex->fault = EXEC_VALID;
    ex->config_changed = false;
    ex->clients_changed = false;
    ex->removed = false;
    ex->config_kind = EXEC_CONFIG_NONE;
    ex->height = block->height;
    ex->time = block->time;
    ex->op_index = 0;
    ex->block_writes = 0;
    ex->block_bytes = 0;
    memset(&ex->counts, 0, sizeof ex->counts);
    struct exec_scratch *scratch = &ex->scratch;
    scratch->item_count = 0;
    scratch->target_count = 0;
    if (++scratch->map_stamp == 0) {
        memset(scratch->map, 0, ((size_t)scratch->map_mask + 1) * sizeof *scratch->map);
        scratch->map_stamp = 1;
    }
}

/* Undoes the table's newest block and the queues' changes in it. */
static void block_undo(struct executor *ex, uint64_t ordinal, bool config_changed) {
    table_rollback_newest(ex->table);
    exec_changed_undo(ex, ordinal);
    if (ex->blocks.next > ordinal) exec_log_truncate(&ex->blocks, ordinal);
    if (config_changed) CHECK(exec_admin_config_reload(ex));
}

static enum exec_status block_run(struct executor *ex, const struct exec_block *block, struct exec_result *result) {
    uint32_t cluster_count = 0;
    if (!block->suffix) {
        enum exec_status status = refs_execute(ex, block, result);
        if (status != EXEC_VALID) return status;
        enum cost_component before_cut = cost_enter(ex->meter, COST_CUT);
        exec_queue_dispatch(ex, &cluster_count);
        cost_leave(ex->meter, before_cut, 0);
        if (ex->fault != EXEC_VALID) return ex->fault;
    }
    enum cost_component before_outbox = cost_enter(ex->meter, COST_OUTBOX);
    bool laid = exec_outputs_lay(ex, cluster_count, result);
    cost_leave(ex->meter, before_outbox, ex->counts.slice_bytes_out);
    if (!laid) return ex->fault;
    exec_cursors_hash(ex, result->cursors_hash);
    exec_records_write(ex);
    return ex->fault;
}

/* To the named parent, if need be by undoing what is above it. */
static enum exec_status parent_find(struct executor *ex, uint64_t parent) {
    if (parent == ex->now.ticket) return EXEC_VALID;
    return executor_rollback(ex, parent) == EXEC_VALID ? EXEC_VALID : EXEC_UNKNOWN_PARENT;
}

enum exec_status executor_execute(struct executor *ex, const struct exec_block *block, struct exec_result *result) {
    memset(result, 0, sizeof *result);
    result->status = EXEC_CORRUPT;
    if (ex->corrupt) return result->status;
    CHECK(block->ticket > 0);
    result->status = parent_find(ex, block->parent);
    if (result->status != EXEC_VALID) return result->status;
    executor_state_root(ex, result->state_root);
    if (ex->next - ex->open >= ex->open_max) return result->status = EXEC_OPEN_FULL;
    if (ex->next - ex->released >= (uint64_t)ex->kept_max + EXEC_OPEN_MAX) return result->status = EXEC_NO_ROOM;
    result->status = block_check(ex, block, result);
    if (result->status != EXEC_VALID) return result->status;
    block_begin(ex, block);
    result->status = block_run(ex, block, result);
    if (result->status != EXEC_VALID) {
        block_undo(ex, ex->next, ex->config_changed);
        return result->status;
    }
    ex->in_block = false;
    struct exec_entry *entry = exec_entry_at(ex, ex->next++);
    *entry = (struct exec_entry){.point = {.ticket = block->ticket, .height = block->height, .time = block->time},
        .config_changed = ex->config_changed, .clients_changed = ex->clients_changed, .removed = ex->removed};
    memcpy(entry->point.cursors_hash, result->cursors_hash, 32);
    memcpy(entry->root_before, result->state_root, 32);
    ex->now = entry->point;
    result->counts = ex->counts;
    result->config_kind = ex->config_kind;
    if (ex->config_kind == EXEC_CONFIG_SEAL) exec_state_leaf_lay(ex, result);
    exec_queue_due(ex, &result->due);
    return EXEC_VALID;
}

void executor_settle(struct executor *ex) {
    exec_state_settle(ex);
}

enum exec_status executor_rollback(struct executor *ex, uint64_t ticket) {
    bool known = ticket == ex->final.ticket;
    for (uint64_t i = ex->open; i < ex->next; i++) known = known || exec_entry_at(ex, i)->point.ticket == ticket;
    if (!known) return EXEC_NOT_FOUND;
    while (ex->now.ticket != ticket) {
        struct exec_entry *newest = exec_entry_at(ex, --ex->next);
        if (newest->settled) CHECK(trie_mark_rollback(ex->trie, newest->point.height) == TRIE_OK);
        block_undo(ex, ex->next, newest->config_changed);
        ex->now = ex->next > ex->open ? exec_entry_at(ex, ex->next - 1)->point : ex->final;
    }
    if (ex->next == ex->open) ex->finalized_writes = 0;
    return ex->corrupt ? EXEC_CORRUPT : EXEC_VALID;
}

/* One for the entry, and for what is copied of it. */
static uint64_t units_of(const struct table_entry *entry) {
    return 1 + ((uint64_t)entry->key_bytes + entry->value_bytes) / BYTES_A_UNIT;
}

enum exec_status executor_changes(struct executor *ex, struct state_buffer *writes, uint64_t *units) {
    uint64_t left = units ? *units : UINT64_MAX;
    if (!ex->changes_begun) {
        if (!table_changes_sort(ex->table, units ? left * STEPS_A_UNIT : UINT64_MAX)) {
            *units = 0;
            return EXEC_GOES_ON;
        }
        ex->changes = table_changes_begin(ex->table);
    }
    ex->changes_begun = true;
    struct table_write write = {.deleted = false};
    struct table_changes before = ex->changes;
    enum exec_status status = EXEC_VALID;
    bool intact;
    while (status == EXEC_VALID && table_changes_next(&ex->changes, &write.entry, &intact)) {
        uint64_t cost = units_of(&write.entry);
        if (left == 0 && ex->changes.at > before.at) { /* not between entries of one ref: it begins with all of them again */
            ex->changes.probe = 0;
            before = ex->changes;
            status = EXEC_GOES_ON;
        } else if (!intact) {
            exec_fail(ex, EXEC_CORRUPT);
            status = EXEC_CORRUPT;
        } else if (!state_buffer_add(writes, &write)) {
            status = EXEC_BUFFER_FULL;
        } else {
            before = ex->changes;
            left -= left < cost ? left : cost;
        }
    }
    ex->changes = before;
    if (units) *units = left;
    if (status != EXEC_VALID) return status;
    table_changes_end(ex->table);
    ex->changes_begun = false;
    return EXEC_VALID;
}

uint32_t executor_changes_left(const struct executor *ex) {
    return table_changes_count(ex->table) - (ex->changes_begun ? ex->changes.at : 0);
}

bool executor_changes_full(const struct executor *ex) {
    return ex->next > ex->open && table_changes_full(ex->table);
}

uint32_t executor_open_left(const struct executor *ex) {
    return ex->open_max - (uint32_t)(ex->next - ex->open);
}

uint64_t executor_final_entries(const struct executor *ex) {
    return table_final_keys(ex->table, TRIE_SPACE_USER) + table_final_keys(ex->table, TRIE_SPACE_SYSTEM);
}

/* What must be known before the oldest block is final: the keys that it removes, from the first that no buffer has; and all changes, when there is no
 * room to remember more of them. */
static enum exec_status finalize_collect(struct executor *ex, struct state_buffer *writes) {
    if (table_changes_full(ex->table)) {
        enum exec_status status = executor_changes(ex, writes, NULL);
        if (status != EXEC_VALID) return status;
    }
    if (!exec_entry_at(ex, ex->open)->removed) return EXEC_VALID;
    struct table_writes walk = table_writes_of_oldest(ex->table);
    struct table_write write;
    for (uint32_t i = 0; table_writes_next(&walk, &write); i++) {
        if (i < ex->finalized_writes) continue;
        if (write.deleted && !state_buffer_add(writes, &write)) return EXEC_BUFFER_FULL;
        ex->finalized_writes++;
    }
    return EXEC_VALID;
}

void executor_client_writes(const struct executor *ex, struct exec_client_writes *walk) {
    walk->left = ex->open < ex->next && exec_entry_at(ex, ex->open)->clients_changed;
    if (walk->left) walk->writes = table_writes_of_oldest(ex->table);
}

bool executor_client_writes_next(struct exec_client_writes *walk, struct table_entry *entry) {
    struct table_write write;
    while (walk->left && table_writes_next(&walk->writes, &write)) {
        if (write.deleted || !executor_is_client_record(&write.entry)) continue;
        *entry = write.entry;
        return true;
    }
    return walk->left = false;
}

enum exec_status executor_finalize(struct executor *ex, uint64_t ticket, struct state_buffer *writes) {
    if (ex->corrupt) return EXEC_CORRUPT;
    if (ex->open == ex->next || exec_entry_at(ex, ex->open)->point.ticket != ticket) return EXEC_NOT_FOUND;
    struct exec_entry *entry = exec_entry_at(ex, ex->open);
    enum exec_status status = writes ? finalize_collect(ex, writes) : EXEC_VALID;
    if (status != EXEC_VALID) return status;
    if (!entry->settled) exec_state_settle(ex);
    CHECK(entry->settled && trie_mark_release(ex->trie, entry->point.height) == TRIE_OK);
    table_finalize_oldest(ex->table);
    if (!writes) table_changes_end(ex->table);
    ex->finalized_writes = 0;
    ex->final = entry->point;
    const uint64_t *changed = exec_changed(ex, ex->open++);
    for (uint32_t i = exec_pair_next(ex, changed, 0); !ex->shard && i < ex->pairs; i = exec_pair_next(ex, changed, i + 1)) {
        struct exec_queue view;
        exec_queue_final(ex, i, &view);
        exec_log_release(&ex->routings[i], view.turn.unfinished_count > 0 ? view.unfinished_first : view.turn.sent_dseq + 1);
    }
    return EXEC_VALID;
}

enum exec_status executor_release_block(struct executor *ex, uint64_t ticket) {
    if (ex->released == ex->open || exec_entry_at(ex, ex->released)->point.ticket != ticket) return EXEC_NOT_FOUND;
    ex->released++;
    exec_log_release(&ex->blocks, ex->released);
    return EXEC_VALID;
}

void executor_release_slices(struct executor *ex, uint32_t destination, uint64_t dseq) {
    int pair = exec_pair_find(ex, destination);
    if (pair < 0) return;
    struct exec_queue view;
    exec_queue_final(ex, (uint32_t)pair, &view);
    exec_log_release(&ex->slices[pair], (dseq < view.turn.sent_dseq ? dseq : view.turn.sent_dseq) + 1);
}

enum exec_status executor_slice(const struct executor *ex, uint32_t destination, uint64_t dseq, const uint8_t **slice, uint32_t *slice_bytes) {
    int pair = exec_pair_find(ex, destination);
    if (pair < 0 || dseq > ex->queues[pair].turn.sent_dseq || !exec_log_has(&ex->slices[pair], dseq)) return EXEC_NOT_FOUND;
    *slice = exec_log_bytes(&ex->slices[pair], dseq);
    *slice_bytes = exec_log_segment(&ex->slices[pair], dseq)->bytes;
    return EXEC_VALID;
}
