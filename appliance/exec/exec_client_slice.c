/* Items for clients, gathered by client while the block is executed, hashed at its end (D-10, D-11, D-16, O-33). Who sends a slice lays it out. */
#include "appliance/exec/exec_inside.h"

#include <string.h>

#include "merkle/sha256.h"

static uint32_t target_find(struct executor *ex, const uint8_t client_id[32]) {
    struct exec_scratch *scratch = &ex->scratch;
    uint32_t slot = bytes_get_le32(client_id) & scratch->map_mask;
    while (scratch->map[slot].stamp == scratch->map_stamp) {
        uint32_t target = scratch->map[slot].target;
        if (sha256_equal(scratch->targets[target].client_id, client_id)) return target;
        slot = (slot + 1) & scratch->map_mask;
    }
    CHECK(scratch->target_count < scratch->target_max);
    scratch->map[slot].stamp = scratch->map_stamp;
    scratch->map[slot].target = scratch->target_count;
    struct exec_target *target = &scratch->targets[scratch->target_count];
    *target = (struct exec_target){.first = UINT32_MAX, .last = UINT32_MAX, .bytes = 4};
    memcpy(target->client_id, client_id, 32);
    return scratch->target_count++;
}

/* O-25: would so many items leave the client's slice within 32 MiB? */
bool exec_client_fits(struct executor *ex, const uint8_t client_id[32], uint64_t item_count, uint64_t results_bytes) {
    const struct exec_target *target = &ex->scratch.targets[target_find(ex, client_id)];
    return target->bytes + item_count * (4 + CLIENT_ITEM_HEAD_BYTES) + results_bytes <= LEAF_SLICE_BYTES_MAX / 2;
}

void exec_client_item(struct executor *ex, const uint8_t client_id[32], const struct exec_item *item) {
    struct exec_scratch *scratch = &ex->scratch;
    CHECK(scratch->item_count < scratch->item_max);
    struct exec_target *target = &scratch->targets[target_find(ex, client_id)];
    uint64_t bytes = (uint64_t)4 + CLIENT_ITEM_HEAD_BYTES + item->results_bytes;
    if (target->bytes + bytes > LEAF_SLICE_BYTES_MAX) {
        ex->counts.garbage++;
        return;
    }
    uint32_t index = scratch->item_count++;
    scratch->items[index] = *item;
    scratch->items[index].next = UINT32_MAX;
    if (target->last == UINT32_MAX) target->first = index;
    else scratch->items[target->last].next = index;
    target->last = index;
    target->count++;
    target->bytes += bytes;
    ex->counts.answers++;
}

static int target_compare(const struct exec_scratch *scratch, uint32_t a, uint32_t b) {
    return memcmp(scratch->targets[a].client_id, scratch->targets[b].client_id, 32);
}

static void heap_sink(const struct exec_scratch *scratch, uint32_t *order, uint32_t at, uint32_t count) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && target_compare(scratch, order[child], order[child + 1]) < 0) child++;
        if (target_compare(scratch, order[at], order[child]) >= 0) return;
        uint32_t swap = order[at];
        order[at] = order[child];
        order[child] = swap;
        at = child;
    }
}

/* D-11: those that have items, ascending by client_id. A heap sort: in place, no worst case. Returns how many. */
static uint32_t targets_sort(struct exec_scratch *scratch) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < scratch->target_count; i++)
        if (scratch->targets[i].count > 0) scratch->order[count++] = i;
    for (uint32_t i = count / 2; i-- > 0;) heap_sink(scratch, scratch->order, i, count);
    for (uint32_t end = count; end-- > 1;) {
        uint32_t swap = scratch->order[0];
        scratch->order[0] = scratch->order[end];
        scratch->order[end] = swap;
        heap_sink(scratch, scratch->order, 0, end);
    }
    return count;
}

/* D-16, D-36. Not copied: of four nodes one sends it, if any. */
static void item_hash(const struct exec_item *item, const uint8_t *head, tree_hash out) {
    if (!slice_client_condensed(item->kind, item->results_bytes)) {
        const struct sha256_part parts[] = {{head, CLIENT_ITEM_HEAD_BYTES}, {item->results, item->results_bytes}};
        tree_leaf_hash_parts(parts, 2, out);
        return;
    }
    uint8_t hash[SHA256_BYTES];
    if (item->results_hash == NULL) slice_results_hash(item->results, item->results_bytes, item->op_count, hash);
    slice_client_leaf_hash_condensed(head, item->results_hash != NULL ? item->results_hash : hash, out);
}

/* D-16, O-25: one client's items, and the root over them. */
static void items_write(const struct exec_scratch *scratch, const struct exec_target *target, struct exec_client_item *out, tree_hash items_root) {
    struct tree_builder builder;
    tree_builder_init(&builder);
    for (uint32_t i = target->first; i != UINT32_MAX; i = scratch->items[i].next, out++) {
        const struct exec_item *item = &scratch->items[i];
        struct client_item head = {.kind = item->kind, .code = item->code, .shard = item->shard, .part_digest = item->digest, .height = item->height,
                                   .index = item->index, .first_op = item->first_op, .op_count = item->op_count,
                                       .results_bytes = item->results_bytes};
        bytes_put_le32(out->head, CLIENT_ITEM_HEAD_BYTES + item->results_bytes);
        slice_client_item_head_encode(out->head + 4, &head);
        out->results_bytes = item->results_bytes;
        out->results = item->results;
        tree_hash hash;
        item_hash(item, out->head + 4, hash);
        tree_builder_add(&builder, hash);
    }
    tree_builder_root(&builder, items_root);
}

void executor_client_slice(const struct exec_output *output, uint8_t *out) {
    CHECK(output->kind == LEAF_KIND_CLIENT);
    bytes_put_le32(out, output->item_count);
    uint8_t *at = out + 4;
    for (uint32_t i = 0; i < output->item_count; i++) {
        const struct exec_client_item *item = &output->items[i];
        memcpy(at, item->head, sizeof item->head);
        if (item->results_bytes > 0) memcpy(at + sizeof item->head, item->results, item->results_bytes);
        at += sizeof item->head + item->results_bytes;
    }
    CHECK((size_t)(at - out) == output->slice_bytes);
}

static void client_output(struct executor *ex, const struct exec_target *target, struct exec_client_item *items, struct exec_output *output) {
    struct leaf leaf = {.kind = LEAF_KIND_CLIENT, .source = ex->cluster, .item_count = target->count, .height = ex->height, .time = ex->time,
                        .slice_bytes = (uint32_t)target->bytes};
    memcpy(leaf.system_id, ex->system->system_id, sizeof leaf.system_id);
    memcpy(leaf.client_id, target->client_id, 32);
    items_write(&ex->scratch, target, items, leaf.slice_hash);
    *output = (struct exec_output){.kind = LEAF_KIND_CLIENT, .item_count = target->count, .items = items, .slice_bytes = (uint32_t)target->bytes};
    leaf_encode(&leaf, output->leaf);
    output->client_id = output->leaf + 44;
}

/* The block's segment: outputs, leaf hashes, clients' items. */
bool exec_outputs_lay(struct executor *ex, uint32_t cluster_count, struct exec_result *result) {
    struct exec_scratch *scratch = &ex->scratch;
    uint32_t client_count = targets_sort(scratch);
    uint64_t count = (uint64_t)cluster_count + client_count;
    uint64_t room = count + (ex->config_kind == EXEC_CONFIG_SEAL);
    uint64_t bytes = room * (sizeof(struct exec_output) + sizeof(tree_hash));
    for (uint32_t i = 0; i < client_count; i++) bytes += scratch->targets[scratch->order[i]].count * sizeof(struct exec_client_item);
    bytes = (bytes + 63) / 64 * 64; /* keeps every segment aligned */
    if (bytes > UINT32_MAX || !exec_log_open(&ex->blocks, bytes)) {
        exec_fail(ex, EXEC_NO_ROOM);
        return false;
    }
    uint64_t ordinal = ex->blocks.next - 1;
    exec_log_segment(&ex->blocks, ordinal)->bytes = (uint32_t)bytes;
    uint8_t *base = exec_log_bytes(&ex->blocks, ordinal);
    struct exec_output *outputs = (struct exec_output *)(void *)base;
    tree_hash *hashes = (tree_hash *)(void *)(outputs + room);
    struct exec_client_item *items = (struct exec_client_item *)(void *)(hashes + room);
    if (cluster_count > 0) memcpy(outputs, scratch->outputs, cluster_count * sizeof *outputs);
    for (uint32_t i = 0; i < client_count; i++) {
        const struct exec_target *target = &scratch->targets[scratch->order[i]];
        client_output(ex, target, items, &outputs[cluster_count + i]);
        items += target->count;
        ex->counts.slice_bytes_out += target->bytes;
    }
    for (uint64_t i = 0; i < count; i++) leaf_hash(outputs[i].leaf, hashes[i]);
    tree_root((const tree_hash *)hashes, count, result->outbox_root);
    result->outputs = outputs;
    result->leaf_hashes = (const tree_hash *)hashes;
    result->output_count = (uint32_t)count;
    return true;
}

/* D-35. The state after the block has none of this leaf in it: what the state keeps of an outbox are the leaves to clusters. */
void exec_state_leaf_lay(struct executor *ex, struct exec_result *result) {
    uint32_t at = result->output_count++;
    struct exec_output *outputs = (struct exec_output *)(void *)exec_log_bytes(&ex->blocks, ex->blocks.next - 1);
    tree_hash *hashes = (tree_hash *)(void *)(outputs + result->output_count);
    uint8_t root[32];
    executor_state_root(ex, root);
    outputs[at] = (struct exec_output){.kind = LEAF_KIND_STATE};
    leaf_state_encode(ex->system->system_id, ex->cluster, ex->height, root, outputs[at].leaf);
    leaf_hash(outputs[at].leaf, hashes[at]);
    tree_root((const tree_hash *)hashes, result->output_count, result->outbox_root);
}
