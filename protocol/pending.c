#include "protocol/pending.h"

#include "merkle/sha256.h"

bool pending_item_ops(bool shard, const struct slice_item *item, uint32_t *ops, bool *routed) {
    *routed = false;
    *ops = 1;
    if (item->kind == SLICE_CONFIG) return true;
    if (shard) {
        struct slice_answer answer;
        if (item->kind != SLICE_ANSWER || !slice_answer_decode(item, &answer)) return false;
        struct slice_part part;
        size_t at = 0;
        for (*ops = 0; slice_part_next(&answer, &at, &part);) *ops += part.op_count;
        return true;
    }
    if (item->kind == SLICE_REVOKE) return true;
    if (item->kind != SLICE_READ && item->kind != SLICE_WRITE) return false;
    uint32_t head = item->kind == SLICE_WRITE ? SLICE_WRITE_HEAD_BYTES : SLICE_READ_HEAD_BYTES;
    if (item->body_bytes < head) return false;
    *ops = bytes_get_le32(item->body + (item->kind == SLICE_WRITE ? 84 : 0));
    *routed = true;
    return *ops > 0;
}

struct groups {
    const struct system_limits *limits;
    struct sha256_state all, routing;
    struct slice_items_hash items;
    uint64_t bytes, ops;
    uint32_t count;
};

static void group_open(struct groups *groups) {
    slice_items_hash_init(&groups->items);
    sha256_init_prefixed(&groups->routing, HASH_ROUTING);
    groups->bytes = SLICE_HEAD_BYTES;
    groups->ops = 0;
    groups->count = 0;
}

static void group_close(struct groups *groups) {
    uint8_t hash[SHA256_BYTES];
    slice_items_hash_final(&groups->items, hash);
    sha256_update(&groups->all, hash, sizeof hash);
    sha256_final(&groups->routing, hash);
    sha256_update(&groups->all, hash, sizeof hash);
}

/* The first item of a group always fits (D-19). */
static void item_add(struct groups *groups, const uint8_t *item, uint32_t bytes, uint32_t ops) {
    bool fits = groups->bytes + bytes <= groups->limits->slice_bytes_max && groups->ops + ops <= groups->limits->slice_ops_max;
    if (groups->count > 0 && !fits) {
        group_close(groups);
        group_open(groups);
    }
    slice_items_hash_add(&groups->items, item, bytes, NULL);
    groups->bytes += bytes;
    groups->ops += ops;
    groups->count++;
}

bool pending_valid(const struct system_limits *limits, bool shard, const uint8_t *items, size_t item_bytes, const uint8_t *entries,
                   size_t entry_bytes, uint32_t pending_items, const uint8_t pending_hash[32]) {
    struct slice slice = {.item_count = UINT32_MAX, .items = items, .items_bytes = item_bytes};
    struct slice_item item;
    size_t at = 0, entry_at = 0;
    uint32_t index = 0, count = 0;
    struct groups *groups = &(struct groups){.limits = limits};
    sha256_init_prefixed(&groups->all, HASH_GROUPS);
    group_open(groups);
    while (slice_item_next(&slice, &at, &index, &item)) {
        uint32_t ops, bytes = SLICE_ITEM_HEAD_BYTES + item.body_bytes;
        bool routed;
        if (!pending_item_ops(shard, &item, &ops, &routed) || bytes > limits->slice_bytes_max - SLICE_HEAD_BYTES) return false;
        item_add(groups, item.whole, bytes, ops);
        count++;
        if (!routed) continue;
        if (entry_bytes - entry_at < ROUTING_BYTES) return false;
        sha256_update(&groups->routing, entries + entry_at, ROUTING_BYTES);
        entry_at += ROUTING_BYTES;
    }
    if (at != item_bytes || entry_at != entry_bytes || count != pending_items || count == 0) return false;
    uint8_t hash[SHA256_BYTES];
    group_close(groups);
    sha256_final(&groups->all, hash);
    return sha256_equal(hash, pending_hash);
}
